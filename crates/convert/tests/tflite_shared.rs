//! What the TFLite front end makes of the shared models: nodes, shapes, grids, constants. Skipped where they are absent. That
//! they yield LiteRT's answers is the command's tests' affair.

mod support;

use penjing_convert::ir::{Graph, Op, WeightData};
use penjing_convert::tflite;
use penjing_format::{DataType, QuantParams};

use support::shared_models;

/// The graph of a shared model; `None` where the models are absent.
fn graph(name: &str) -> Option<Graph> {
    let models = shared_models();
    let path = models.iter().find(|path| path.ends_with(name))?;
    let bytes = std::fs::read(path).expect("a readable file");
    Some(tflite::read(&bytes, name).unwrap_or_else(|error| panic!("{name}: {error}")))
}

fn ops(graph: &Graph) -> Vec<&'static str> {
    graph.nodes.iter().map(|node| node.op.name()).collect()
}

#[test]
fn the_articles_network_and_its_twin_of_an_open_batch() {
    let Some(graph) = graph("mnist_pqat_int8.tflite") else { return };
    assert_eq!(ops(&graph), ["reshape", "conv2d", "max_pool2d", "reshape", "fully_connected"]);
    let shapes = graph.nodes.iter().map(|node| node.output.shape.dims().to_vec());
    let expected =
        [vec![1, 28, 28, 1], vec![1, 26, 26, 12], vec![1, 13, 13, 12], vec![1, 2028], vec![1, 10]];
    assert_eq!(shapes.collect::<Vec<_>>(), expected);
    let input = &graph.inputs[0];
    let grid = QuantParams { scale: 0.003_921_569, zero_point: -128 };
    assert_eq!((input.dtype, input.quantization), (DataType::I8, Some(grid)));
    assert_eq!(input.shape.dims(), [1, 28, 28]);
    let Op::Conv2d(conv) = &graph.nodes[1].op else { panic!("{:?}", graph.nodes[1]) };
    let WeightData::I8(_, scales) = &conv.weights.data else { panic!("{conv:?}") };
    // channels without weights have the scale of one that has some
    assert_eq!(scales.len(), 12);
    assert!(scales.iter().all(|&scale| scale > 1e-6), "{scales:?}");
    let twin = self::graph("mnist_pqat_int8_dynamic_batch.tflite").expect("the other is there");
    assert_eq!(ops(&twin), ops(&graph));
    for (own, other) in graph.nodes.iter().zip(&twin.nodes) {
        assert_eq!(own.output.shape, other.output.shape);
        assert_eq!(own.output.quantization, other.output.quantization);
        assert_eq!(own.op.layer(), other.op.layer());
    }
}

#[test]
fn keyword_spotting() {
    let Some(graph) = graph("kws_ref_model.tflite") else { return };
    let mut expected = vec!["conv2d"];
    expected.extend(["depthwise_conv2d", "conv2d"].repeat(4));
    expected.extend(["average_pool2d", "reshape", "fully_connected", "softmax"]);
    assert_eq!(ops(&graph), expected);
    let grid = QuantParams { scale: 1.0 / 256.0, zero_point: -128 };
    let last = &graph.nodes.last().expect("nodes").output;
    assert_eq!((last.quantization, last.name.as_deref()), (Some(grid), Some("Identity")));
    assert_eq!(graph.inputs[0].shape.dims(), [1, 49, 10, 1]);
}

#[test]
fn anomaly_detection() {
    for (name, dtype) in [("ad01_int8.tflite", DataType::I8), ("ad01_fp32.tflite", DataType::F32)] {
        let Some(graph) = graph(name) else { return };
        assert_eq!(ops(&graph), ["fully_connected"; 10]);
        let sizes = graph.nodes.iter().map(|node| node.output.shape.dims()[1]);
        let sizes: Vec<_> = sizes.collect();
        assert_eq!(sizes, [128, 128, 128, 128, 8, 128, 128, 128, 128, 640]);
        assert!(graph.nodes.iter().all(|node| node.output.dtype == dtype));
        assert!(
            graph
                .nodes
                .iter()
                .all(|node| node.output.quantization.is_some() == (dtype != DataType::F32))
        );
    }
}

#[test]
fn image_classification() {
    for name in ["pretrainedResnet_quant.tflite", "pretrainedResnet.tflite"] {
        let Some(graph) = graph(name) else { return };
        let expected = [
            vec!["conv2d", "conv2d", "conv2d", "add"],
            vec!["conv2d", "conv2d", "conv2d", "add"],
            vec!["conv2d", "conv2d", "conv2d", "add"],
            vec!["average_pool2d", "reshape", "fully_connected", "softmax"],
        ];
        assert_eq!(ops(&graph), expected.concat());
        let shapes = graph.nodes.iter().map(|node| node.output.shape.dims());
        let last: Vec<_> = shapes.skip(11).collect();
        let expected = [&[1, 8, 8, 64][..], &[1, 1, 1, 64], &[1, 64], &[1, 10], &[1, 10]];
        assert_eq!(last, expected);
    }
}
