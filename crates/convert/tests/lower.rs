//! Lowering of made-up checkpoints of every stage, run by the runtime and held against the interpreted network; and the
//! ways in which lowering refuses.

use std::collections::BTreeMap;

use penjing_checkpoint::{
    Activation, Architecture, Checkpoint, Conv2d, Dense, Flatten, Granularity, Layer,
    LayerSparsity, Layout, MANIFEST_VERSION, Manifest, MaxPool2d, Padding, PaddingMode,
    Quantization, Sparsity, Stage, Tensor,
};
use penjing_convert::{
    ConvertError, InputDtype, Options, PackingChoice, TargetDtype, check, lower_checkpoint,
};
use penjing_dataset::Split;
use penjing_format::write::WriteError;
use penjing_format::{DataType, Layout as PackedLayout, ModelView, Op};

/// A small generator, so that every run tries the same numbers: 48 bits of a linear congruential sequence.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(0x5DEE_CE66D).wrapping_add(11) & ((1 << 48) - 1);
        (self.0 >> 16) as u32
    }

    /// In `[-1, 1)`.
    fn signed(&mut self) -> f32 {
        self.next() as f32 / (1_u64 << 31) as f32 - 1.0
    }
}

fn conv(out_channels: usize, kernel: [usize; 2], stride: [usize; 2], padding: Padding) -> Layer {
    let activation = Activation::Relu;
    Layer::Conv2d(Conv2d { name: String::new(), out_channels, kernel, stride, padding, activation })
}

fn pool(window: [usize; 2], padding: Padding) -> Layer {
    Layer::MaxPool2d(MaxPool2d { name: String::new(), window, stride: None, padding })
}

fn dense(units: usize, activation: Activation) -> Layer {
    Layer::Dense(Dense { name: String::new(), units, activation })
}

fn named(input: [usize; 3], mut layers: Vec<Layer>) -> Architecture {
    let at = layers.iter().position(|l| matches!(l, Layer::Dense(_))).unwrap();
    layers.insert(at, Layer::Flatten(Flatten::default()));
    let mut a = Architecture { name: "made up".into(), input, layers };
    a.name_layers();
    a
}

fn article() -> Architecture {
    let layers = vec![
        conv(12, [3, 3], [1, 1], Padding::default()),
        pool([2, 2], Padding::default()),
        dense(10, Activation::None),
    ];
    named([28, 28, 1], layers)
}

/// Two convolutions, uneven padding, three channels, two dense layers.
fn deeper() -> Architecture {
    let layers = vec![
        conv(8, [3, 3], [2, 2], Padding::Mode(PaddingMode::Same)),
        conv(5, [2, 3], [1, 1], Padding::Explicit([1, 0, 2, 1])),
        pool([2, 3], Padding::Explicit([0, 1, 1, 1])),
        dense(16, Activation::Relu),
        dense(4, Activation::None),
    ];
    named([15, 14, 3], layers)
}

/// Random weights; about four of five zeros from `Pruned` on, and a first filter that is all zero; ranges for `Qat`.
fn checkpoint(architecture: Architecture, stage: Stage, sparse: bool) -> Checkpoint {
    let network = architecture.resolve().unwrap();
    let mut random = Random(17);
    let mut tensors = BTreeMap::new();
    let mut sparsity = BTreeMap::new();
    let mut granularity = BTreeMap::new();
    for layer in network.weighted() {
        let shape = layer.weight_shape().unwrap();
        let (n, channels) = (shape.iter().product::<usize>(), shape[0]);
        let spread = (2.0 / (n / channels) as f32).sqrt();
        let keep = |i: usize, r: u32| !sparse || (i >= n / channels && r.is_multiple_of(5));
        let data: Vec<f32> = (0..n)
            .map(|i| if keep(i, random.next()) { spread * random.signed() } else { 0.0 })
            .collect();
        let zeros = data.iter().filter(|v| **v == 0.0).count();
        sparsity.insert(layer.name.clone(), LayerSparsity { target: 0.8, zeros, elements: n });
        granularity.insert(
            layer.name.clone(),
            if shape.len() == 4 { Granularity::PerChannel } else { Granularity::PerTensor },
        );
        let bias = (0..channels).map(|_| 0.1 * random.signed()).collect();
        tensors.insert(format!("{}.weight", layer.name), Tensor { shape, data });
        tensors
            .insert(format!("{}.bias", layer.name), Tensor { shape: vec![channels], data: bias });
        if stage == Stage::Qat {
            let min = if layer.activation() == Activation::Relu { 0.0 } else { -1.5 };
            let range = Tensor { shape: vec![2], data: vec![min, 1.6] };
            tensors.insert(format!("{}.range", layer.name), range);
        }
    }
    let manifest = Manifest {
        version: MANIFEST_VERSION,
        stage,
        architecture,
        layout: Layout::default(),
        seed: 0,
        parent: None,
        sparsity: sparse.then_some(Sparsity { layers: sparsity }),
        quantization: (stage == Stage::Qat)
            .then_some(Quantization { bits: 8, weights: granularity }),
        recipe: serde_json::Value::Null,
    };
    let made = Checkpoint { manifest, tensors };
    // as a user's would be: through the file's own checks
    Checkpoint::from_bytes(&made.to_bytes().unwrap(), "made-up".as_ref()).unwrap()
}

fn images(shape: [usize; 3], n: usize) -> Split {
    let mut random = Random(3);
    let len = n * shape.iter().product::<usize>();
    let pixels = (0..len).map(|_| random.next() as u8).collect();
    Split::from_memory("noise", pixels, vec![0; n], shape).unwrap()
}

fn every_stage() -> Vec<Checkpoint> {
    let mut all = Vec::new();
    for architecture in [article(), deeper()] {
        for (stage, sparse) in [
            (Stage::Baseline, false),
            (Stage::Pruned, true),
            (Stage::Qat, false),
            (Stage::Qat, true),
        ] {
            all.push(checkpoint(architecture.clone(), stage, sparse));
        }
    }
    all
}

#[test]
fn the_file_computes_what_the_checkpoint_does_whatever_its_input_and_packing() {
    let mut refused = 0;
    for checkpoint in every_stage() {
        let split = images(checkpoint.manifest.architecture.input, 40);
        for input in [InputDtype::U8, InputDtype::I8, InputDtype::F32].map(Some) {
            for packing in PackingChoice::IN_PLACE {
                let options = Options { input, packing, ..Options::default() };
                let lowered = match lower_checkpoint(&checkpoint, &options) {
                    Ok(lowered) => lowered,
                    // Weights that are not sparse are not so many of so many.
                    Err(ConvertError::Write(WriteError::Packing { .. }))
                        if packing == PackingChoice::NOfM =>
                    {
                        refused += 1;
                        continue;
                    }
                    Err(error) => panic!("{error}"),
                };
                let a = check::compare(&lowered, &split, usize::MAX).unwrap();
                assert_eq!(a.images, 40);
                assert_eq!(a.integers, checkpoint.manifest.stage == Stage::Qat);
                let limit = if a.integers { 1.0 } else { 1e-5 };
                let name = (checkpoint.manifest.stage, input, packing);
                assert!(a.max_difference <= limit, "{name:?}: {a}");
            }
        }
    }
    // Of three types of input each: the checkpoints that are not sparse.
    assert_eq!(refused, 12);
}

#[test]
fn a_qat_checkpoint_becomes_integers_only() {
    let lowered =
        lower_checkpoint(&checkpoint(article(), Stage::Qat, true), &Options::default()).unwrap();
    let view = ModelView::open(&lowered.bytes).unwrap();
    let mut kernels = 0;
    for step in view.walk() {
        let step = step.unwrap();
        assert_ne!(step.output.ty.dtype, DataType::F32);
        if let Op::Conv2d(c) = step.op {
            assert_eq!((c.weights.dtype, c.weights.scales.len()), (DataType::I8, 12));
            let scales: Vec<f32> = (0..12).map(|channel| c.weights.scales.get(channel)).collect();
            let largest = scales.iter().copied().fold(0.0, f32::max);
            assert_eq!(scales[0], largest, "the first filter is all zero");
            kernels += 1;
        }
        if let Op::FullyConnected(f) = step.op {
            assert_eq!((f.weights.dtype, f.weights.scales.len()), (DataType::I8, 1));
            assert!(matches!(f.weights.packed.layout(), PackedLayout::Gaps(_)));
            kernels += 1;
        }
    }
    assert_eq!(kernels, 2);
}

#[test]
fn a_sparse_file_meets_its_size_on_disk() {
    let size = |stage, sparse| {
        let checkpoint = checkpoint(article(), stage, sparse);
        lower_checkpoint(&checkpoint, &Options::default()).unwrap().bytes.len()
    };
    assert!(size(Stage::Pruned, true) <= 19_800);
    assert!(size(Stage::Qat, false) <= 21_600);
    assert!(size(Stage::Qat, true) <= 7_600);
}

#[test]
fn int8_asked_of_a_float_checkpoint_is_refused_by_layer() {
    let options = Options { dtype: TargetDtype::Int8, ..Options::default() };
    let error =
        lower_checkpoint(&checkpoint(article(), Stage::Baseline, false), &options).unwrap_err();
    assert!(
        matches!(&error, ConvertError::FloatLayer { layer, .. } if layer == "conv2d"),
        "{error}"
    );
    let options = Options { dtype: TargetDtype::F32, ..Options::default() };
    let error = lower_checkpoint(&checkpoint(article(), Stage::Qat, false), &options).unwrap_err();
    assert!(matches!(error, ConvertError::FloatFromQat));
}

#[test]
fn names_and_labels_reach_the_file_when_asked_for() {
    let checkpoint = checkpoint(article(), Stage::Baseline, false);
    let labels: Vec<String> = (0..10).map(|d| format!("digit {d}")).collect();
    let options = Options { names: true, labels: labels.clone(), ..Options::default() };
    let lowered = lower_checkpoint(&checkpoint, &options).unwrap();
    let view = ModelView::open(&lowered.bytes).unwrap();
    let found: Vec<_> = view.labels().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(found, labels);
    let names: Vec<_> = view.nodes().map(|n| n.value().name.unwrap()).collect();
    // The last node's value has a name of its own, and they share one.
    assert_eq!(names, ["dequantize", "conv2d", "max_pool2d", "flatten", "output"]);
    assert_eq!(view.inputs().next().unwrap().name, Some("input"));
    let bytes = lower_checkpoint(&checkpoint, &Options::default()).unwrap().bytes;
    let view = ModelView::open(&bytes).unwrap();
    let unnamed = view.nodes().take(4).all(|node| node.value().name.is_none());
    assert!(unnamed && view.labels().is_none(), "unless asked for");
    let options = Options { labels: labels[..9].to_vec(), ..Options::default() };
    let error = lower_checkpoint(&checkpoint, &options).unwrap_err();
    assert!(matches!(error, ConvertError::Labels { expected: 10, found: 9 }));
}

#[test]
fn the_same_checkpoint_gives_the_same_bytes() {
    for checkpoint in every_stage() {
        let first = lower_checkpoint(&checkpoint, &Options::default()).unwrap().bytes;
        for _ in 0..3 {
            assert_eq!(lower_checkpoint(&checkpoint, &Options::default()).unwrap().bytes, first);
        }
    }
}

#[test]
fn a_file_that_computes_something_else_is_caught() {
    let split = images([28, 28, 1], 40);
    for stage in [Stage::Baseline, Stage::Qat] {
        let mut lowered =
            lower_checkpoint(&checkpoint(article(), stage, false), &Options::default()).unwrap();
        check::verify(&lowered, &split, 40).unwrap();
        let mut other = checkpoint(article(), stage, false);
        for w in &mut other.tensors.get_mut("dense.weight").unwrap().data[..4000] {
            *w = -*w;
        }
        lowered.bytes = lower_checkpoint(&other, &Options::default()).unwrap().bytes;
        let error = check::verify(&lowered, &split, 40).unwrap_err();
        assert!(matches!(error, ConvertError::Disagrees { .. }), "{error}");
    }
}

#[test]
fn images_of_another_shape_are_refused() {
    let lowered =
        lower_checkpoint(&checkpoint(article(), Stage::Baseline, false), &Options::default())
            .unwrap();
    let error = check::compare(&lowered, &images([27, 28, 1], 2), 2).unwrap_err();
    assert!(matches!(error, ConvertError::ImageShape { .. }));
}
