//! Tests of shape resolution: the article's network, paddings, and each way a network can be wrong.

use crate::*;

fn conv(out_channels: usize, kernel: [usize; 2], stride: [usize; 2], padding: Padding) -> Layer {
    let activation = Activation::Relu;
    Layer::Conv2d(Conv2d { name: String::new(), out_channels, kernel, stride, padding, activation })
}

fn pool(window: [usize; 2]) -> Layer {
    Layer::MaxPool2d(MaxPool2d {
        name: String::new(),
        window,
        stride: None,
        padding: Padding::default(),
    })
}

fn dense(units: usize) -> Layer {
    Layer::Dense(Dense { name: String::new(), units, activation: Activation::None })
}

fn network(input: [usize; 3], layers: Vec<Layer>) -> Architecture {
    let mut a = Architecture { name: "test".into(), input, layers };
    a.name_layers();
    a
}

fn flatten() -> Layer {
    Layer::Flatten(Flatten::default())
}

const SAME: Padding = Padding::Mode(PaddingMode::Same);
const VALID: Padding = Padding::Mode(PaddingMode::Valid);

#[test]
fn the_articles_shapes() {
    let layers = vec![conv(12, [3, 3], [1, 1], VALID), pool([2, 2]), flatten(), dense(10)];
    let n = network([28, 28, 1], layers).resolve().unwrap();
    assert_eq!(n.layers[0].output, [26, 26, 12]);
    assert_eq!(n.layers[1].output, [13, 13, 12]);
    assert_eq!(n.layers[2].output, [2028]);
    assert_eq!(n.layers[3].weight_shape().unwrap(), [10, 2028]);
    assert_eq!(n.classes, 10);
    assert_eq!(n.weighted().count(), 2);
}

#[test]
fn same_padding_puts_the_odd_rest_last() {
    let layers = vec![conv(4, [3, 3], [2, 2], SAME), flatten(), dense(2)];
    let n = network([28, 27, 1], layers).resolve().unwrap();
    assert_eq!(n.layers[0].output, [14, 14, 4]);
    let ResolvedOp::Conv2d { padding, .. } = n.layers[0].op else { panic!("not a conv2d") };
    assert_eq!(padding, [0, 1, 1, 1]);
}

#[test]
fn unnamed_layers_are_numbered_around_given_names() {
    let mut named = dense(3);
    if let Layer::Dense(d) = &mut named {
        d.name = "dense".into();
    }
    let n = network([1, 1, 4], vec![flatten(), dense(8), named, dense(3)]);
    let names: Vec<_> = n.layers.iter().map(Layer::name).collect();
    assert_eq!(names, ["flatten", "dense_1", "dense", "dense_2"]);
}

#[test]
fn wrong_networks_are_named() {
    let explicit = |p| conv(4, [3, 3], [1, 1], Padding::Explicit(p));
    let cases: Vec<(Vec<Layer>, &str)> = vec![
        (vec![], "no layers"),
        (vec![dense(10)], "flatten"),
        (vec![flatten(), conv(4, [3, 3], [1, 1], VALID)], "image [H, W, C]"),
        (vec![conv(4, [9, 3], [1, 1], VALID)], "[9, 3]"),
        (vec![conv(4, [3, 3], [0, 1], VALID)], "stride"),
        (vec![conv(0, [3, 3], [1, 1], VALID)], "out_channels"),
        (vec![explicit([3, 0, 0, 0])], "padding"),
        (vec![explicit([usize::MAX, 0, 0, 0])], "padding"),
        (vec![conv(4, [usize::MAX, 3], [1, 1], SAME)], "kernel"),
        (vec![conv(4, [3, 3], [1, 1], VALID)], "ends in"),
        (vec![flatten(), dense(usize::MAX)], "dense"),
    ];
    for (layers, word) in cases {
        let message = network([8, 8, 1], layers).resolve().unwrap_err().to_string();
        assert!(message.contains(word), "{message:?} should speak of {word:?}");
    }
    let same_name = network([1, 1, 4], vec![flatten(), dense(2), dense(2)]);
    let mut twice = same_name.clone();
    twice.layers[2] = same_name.layers[1].clone();
    assert!(matches!(twice.resolve(), Err(ArchitectureError::DuplicateName { index: 2, .. })));
}
