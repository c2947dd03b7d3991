//! What a model may take of memory, and what a session says of it: a small file may ask for much.

mod support;

use penjing_format::write::{
    Concat, Constant, ConstantData, Conv2d, FullyConnected, MaxPool2d, Model as Spec, Node, Op,
    PackingChoice, Value,
};
use penjing_format::{Activation, DataType, Padding, QuantParams, Shape};
use penjing_runtime::{Error, Model, Session, SessionOptions};

#[test]
fn a_small_file_cannot_ask_for_much_memory() {
    let case = support::ConvCase {
        dtype: DataType::U8,
        input: [2, 2, 1],
        kernel: [1, 1],
        out_channels: 4,
        stride: [1, 1],
        dilation: [1, 1],
        pads: [9_000; 4],
        pool: None,
        seed: 0xe3,
    };
    let model = support::model(&case.spec().unwrap(), PackingChoice::Auto);
    let found = Session::new(&model, SessionOptions::default()).unwrap_err();
    let Error::TooLarge { needed, limit } = found else { panic!("{found}") };
    assert!(needed >= 18_002 * 18_002 * 4 && limit == 256 << 20, "{needed} {limit}");
}

/// What a pool behind it leaves small is refused by its own size, before any table of it is made.
#[test]
fn a_pool_hides_no_large_convolution() {
    let case = support::ConvCase {
        dtype: DataType::U8,
        input: [1, 1, 1],
        kernel: [1, 1],
        out_channels: 1,
        stride: [1, 1],
        dilation: [1, 1],
        pads: [30_000; 4],
        pool: Some(([60_001, 60_001], [60_001, 60_001], [0; 4])),
        seed: 0xe2,
    };
    let model = support::model(&case.spec().unwrap(), PackingChoice::Auto);
    for &isa in support::instruction_sets() {
        let options = SessionOptions { isa: Some(isa), ..SessionOptions::default() };
        let found = Session::new(&model, options).unwrap_err();
        let Error::TooLarge { needed, limit } = found else { panic!("{found}") };
        assert!(needed > 60_001 * 60_001 * 4 && limit == 256 << 20, "{needed} {limit}");
    }
}

fn limited(model: &Model, threads: usize, max_bytes: u64) -> Result<Session, Error> {
    Session::new(model, SessionOptions { threads, max_bytes, ..SessionOptions::default() })
}

#[test]
fn threads_share_what_is_granted() {
    // 4 MB in, 4 bytes out: the caller's thread reads the image where it lies, others a copy.
    let params = QuantParams { scale: 1.0, zero_point: 0 };
    let mut spec = Spec {
        inputs: vec![support::input_value(DataType::F32, [1, 1000, 1000, 1].into(), params)],
        ..Default::default()
    };
    let pool = MaxPool2d { window: [1000; 2], stride: [1000; 2], padding: Padding::default() };
    spec.nodes.push(Node::new(Op::MaxPool2d(pool), None));
    let model = support::model(&spec, PackingChoice::Auto);
    assert_eq!(limited(&model, 1, 1 << 20).unwrap().threads(), 1);
    assert_eq!(limited(&model, 2, 10 << 20).unwrap().threads(), 2);
    for threads in [2, 1000] {
        let found = limited(&model, threads, 1 << 20).unwrap_err();
        let Error::TooLarge { needed, limit } = found else { panic!("{found}") };
        assert!(needed > 8_000_000 * (threads as u64 - 1) && limit == 1 << 20, "{needed} {limit}");
    }
}

/// Zeros cost a bit in the file, or nothing, and a whole element where they are expanded. Tables alone would fit.
#[test]
fn expanded_weights_are_counted() {
    let zeros = |shape: Shape| Constant {
        data: ConstantData::F32(vec![0.0; shape.elements().unwrap()]),
        shape,
        scales: Vec::new(),
        packing: None,
    };
    let params = QuantParams { scale: 1.0, zero_point: 0 };
    let activation = Activation::None;
    let dense = Op::FullyConnected(FullyConnected {
        weights: zeros([3, 2_000_000].into()),
        bias: None,
        activation,
    });
    let conv = Op::Conv2d(Conv2d {
        weights: zeros([1, 1, 1, 2_000_000].into()),
        bias: None,
        activation,
        stride: [1; 2],
        dilation: [1; 2],
        padding: Padding::default(),
    });
    for (op, shape) in [(dense, Shape::from([1, 2_000_000])), (conv, [1, 1, 1, 2_000_000].into())] {
        let spec = Spec {
            inputs: vec![support::input_value(DataType::F32, shape, params)],
            nodes: vec![Node::new(op, None)],
            ..Default::default()
        };
        let model = support::model(&spec, PackingChoice::Auto);
        for &isa in support::instruction_sets() {
            let options =
                SessionOptions { isa: Some(isa), max_bytes: 52 << 20, ..SessionOptions::default() };
            let found = Session::new(&model, options).unwrap_err();
            let Error::TooLarge { needed, limit } = found else { panic!("{found}") };
            assert!(needed > limit && limit == 52 << 20, "{needed} {limit}");
        }
        assert!(limited(&model, 1, 512 << 20).is_ok());
    }
}

#[test]
fn arena_bytes_count_what_lives_at_once() {
    // Two quantize ops in a row through a dequantize: the first codes are gone when the second are made.
    let params = QuantParams { scale: 0.1, zero_point: 0 };
    let codes = support::i8_value(false, params);
    let spec = Spec {
        inputs: vec![support::input_value(DataType::F32, [1, 64].into(), params)],
        nodes: vec![
            Node::new(Op::Quantize, codes.clone()),
            Node::new(Op::Dequantize, None),
            Node::new(Op::Quantize, codes),
        ],
        ..Default::default()
    };
    let session = support::session(&support::model(&spec, PackingChoice::Auto), 1);
    // A tile of 16 images.
    assert_eq!(session.arena_bytes(), 16 * (64 + 4 * 64));
}

/// A chain needs its largest pair of neighbours, to the byte; more images at once take as many.
#[test]
fn arena_bytes_are_the_largest_pair() {
    let params = QuantParams { scale: 1.0, zero_point: 0 };
    let pool =
        |window| Op::MaxPool2d(MaxPool2d { window, stride: window, padding: Padding::default() });
    let spec = Spec {
        inputs: vec![support::input_value(DataType::F32, [1, 64, 64, 4].into(), params)],
        nodes: [[1, 2], [2, 1], [2, 2], [4, 4], [2, 1]]
            .map(|window| Node::new(pool(window), None))
            .into(),
        ..Default::default()
    };
    let model = support::model(&spec, PackingChoice::Auto);
    for tile_images in [1, 2] {
        let options = SessionOptions { tile_images, ..SessionOptions::default() };
        let session = Session::new(&model, options).unwrap();
        // 64 x 32 and 32 x 32 positions of 4 channels, 4 bytes each. The largest alone fills a tile.
        assert_eq!(session.plan().tensor_bytes(), (64 + 32) * 32 * 4 * 4);
        assert_eq!(session.plan().tile_images(), 1);
        assert_eq!(session.plan().placements().len(), 5);
    }
}

/// A value may be listed as an output any number of times, and each is asked for by itself: walking to each took a
/// minute.
#[test]
fn many_outputs_are_walked_once() {
    let params = QuantParams { scale: 1.0, zero_point: 0 };
    let pool = MaxPool2d { window: [1; 2], stride: [1; 2], padding: Padding::default() };
    let spec = Spec {
        inputs: vec![support::input_value(DataType::F32, [1, 1, 1, 1].into(), params)],
        nodes: (0..2_000).map(|_| Node::new(Op::MaxPool2d(pool), None)).collect(),
        outputs: vec![2_000; 60_000],
        ..Default::default()
    };
    let model = support::model(&spec, PackingChoice::Auto);
    assert!(model.outputs().all(|info| info.len() == 1 && info.dtype == DataType::F32));
    assert_eq!(model.outputs().count(), 60_000);
}

/// Weights are read where they lie: in a map of the file, or in flash, whatever multiple of 4 that begins at.
#[test]
fn opening_copies_no_weight() {
    let bytes = support::network_spec(DataType::U8).to_bytes(PackingChoice::Auto).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pnj");
    std::fs::write(&path, &bytes).unwrap();
    let flash: &'static mut [u8] = vec![0; bytes.len() + 16].leak();
    let start = flash.as_ptr().align_offset(8) + 4;
    flash[start..start + bytes.len()].copy_from_slice(&bytes);
    let flash = &flash[start..start + bytes.len()];
    for (model, within) in [
        (Model::open(&path).unwrap(), None),
        (Model::from_static(flash).unwrap(), Some(flash.as_ptr_range())),
    ] {
        let file = within.unwrap_or_else(|| model.view().bytes().as_ptr_range());
        let mut seen = 0;
        for step in model.view().walk().map(Result::unwrap) {
            let Some((weights, bias)) = step.op.constants() else { continue };
            for constant in [Some(weights), bias].into_iter().flatten() {
                let stored = constant.packed.values().bytes();
                assert!(!stored.is_empty());
                assert!(file.contains(&stored.as_ptr()), "{constant:?}");
                seen += 1;
            }
        }
        assert_eq!(seen, 4);
    }
}

/// A value that is read again and again takes bytes of the plan each time, of which the file has two.
#[test]
fn a_long_list_of_values_counts() {
    let byte = Value {
        shape: Some(Shape::from([1, 1])),
        dtype: Some(DataType::I8),
        quantization: Some(QuantParams { scale: 1.0, zero_point: 0 }),
        ..Value::default()
    };
    let mut join = Node::new(Op::Concat(Concat { axis: 1 }), None);
    join.inputs = vec![0; 60_000];
    let file = Spec { inputs: vec![byte], nodes: vec![join], ..Spec::default() };
    let model = Model::from_bytes(file.to_bytes(PackingChoice::Dense).unwrap()).unwrap();
    let error = limited(&model, 1, 1 << 20).unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    assert!(limited(&model, 1, 16 << 20).is_ok());
}
