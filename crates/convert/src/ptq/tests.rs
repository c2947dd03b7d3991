//! Quantization of made-up networks: what the graphs look like, what the errors are, what stays as it was.

use penjing_format::{Activation, ChannelAxis, DataType, Padding, QuantParams, Shape};

use super::*;
use crate::eval::Evaluator;
use crate::ir::{Bias, Binary, Conv, Dense, Node, Op, Operand, Pool, Value, WeightData, Weights};

/// 48 bits of a linear congruential sequence, so that every run tries the same numbers.
struct Random(u64);

impl Random {
    /// In `[-1, 1)`.
    fn signed(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(0x5DEE_CE66D).wrapping_add(11) & ((1 << 48) - 1);
        (self.0 >> 16) as u32 as f32 / (1_u64 << 31) as f32 - 1.0
    }

    fn many(&mut self, n: usize, spread: f32) -> Vec<f32> {
        (0..n).map(|_| spread * self.signed()).collect()
    }
}

fn value(shape: &[u32]) -> Value {
    let shape = Shape::new(shape).unwrap();
    Value { name: None, shape, dtype: DataType::F32, quantization: None }
}

/// A graph of one f32 input, to which nodes are added.
fn graph(input: &[u32]) -> Graph {
    let input = Value { name: Some("x".into()), ..value(input) };
    let (nodes, outputs) = (Vec::new(), Vec::new());
    Graph { name: String::new(), inputs: vec![input], nodes, outputs, pixels: false }
}

fn add(graph: &mut Graph, name: &str, op: Op, inputs: &[usize], shape: &[u32]) -> usize {
    let (name, inputs, output) = (name.to_owned(), inputs.to_vec(), value(shape));
    graph.nodes.push(Node { name, op, inputs, output });
    let last = graph.inputs.len() + graph.nodes.len() - 1;
    graph.outputs = vec![last];
    last
}

/// 3 x 3, SAME; a few channels much larger than the others, every third weight zero.
fn conv(random: &mut Random, [from, to]: [u32; 2], activation: Activation) -> Op {
    let mut data = random.many((from * to * 9) as usize, (6.0 / (9.0 * from as f32)).sqrt());
    for (i, w) in data.iter_mut().enumerate() {
        *w *= [1.0, 0.2, 0.0][i % 3] * if i < (9 * from) as usize { 4.0 } else { 1.0 };
    }
    Op::Conv2d(Conv {
        weights: Weights {
            shape: vec![to, 3, 3, from],
            axis: ChannelAxis::First,
            data: WeightData::F32(data, None),
        },
        bias: Bias::F32(random.many(to as usize, 0.1)),
        stride: [1, 1],
        dilation: [1, 1],
        padding: Padding { top: 1, bottom: 1, left: 1, right: 1 },
        activation,
    })
}

fn dense(random: &mut Random, [from, to]: [u32; 2]) -> Op {
    let data = WeightData::F32(random.many((from * to) as usize, 0.7), None);
    Op::FullyConnected(Dense {
        weights: Weights { shape: vec![to, from], axis: ChannelAxis::First, data },
        bias: Bias::F32(random.many(to as usize, 0.1)),
        activation: Activation::None,
    })
}

fn plain(operand: Option<Operand>) -> Binary {
    Binary { operand, activation: Activation::None }
}

/// Two branches that are added, a standalone ReLU, a mean, a dense layer, softmax.
fn residual() -> Graph {
    let mut random = Random(3);
    let mut g = graph(&[1, 8, 8, 3]);
    let image = [1, 8, 8, 8];
    let a = add(&mut g, "a", conv(&mut random, [3, 8], Activation::Relu), &[0], &image);
    let b = add(&mut g, "b", conv(&mut random, [8, 8], Activation::None), &[a], &image);
    let sum = add(&mut g, "sum", Op::Add(plain(None)), &[a, b], &image);
    let relu = add(&mut g, "relu", Op::Relu(Activation::Relu), &[sum], &image);
    let pool = Pool { window: [2, 2], stride: [2, 2], padding: Padding::default() };
    let pooled = add(&mut g, "pool", Op::MaxPool2d(pool), &[relu], &[1, 4, 4, 8]);
    let mean = add(&mut g, "mean", Op::Mean, &[pooled], &[1, 8]);
    let logits = add(&mut g, "dense", dense(&mut random, [8, 5]), &[mean], &[1, 5]);
    add(&mut g, "softmax", Op::Softmax, &[logits], &[1, 5]);
    g
}

fn samples(count: usize, len: usize) -> Samples<'static> {
    Samples::reals(vec![Random(9).many(count * len, 2.0)], count)
}

fn options() -> PtqOptions {
    PtqOptions { threads: 1, ..PtqOptions::default() }
}

/// Whether every node reads what it can read, integers where it yields them, reals where it yields reals; and whether a
/// file holds it.
fn check_types(graph: &Graph) {
    let bytes = crate::emit::emit(graph, &Options::default()).unwrap();
    penjing_format::ModelView::open(&bytes).unwrap();
    for node in &graph.nodes {
        let output = &node.output;
        assert_eq!(output.dtype != DataType::F32, output.quantization.is_some(), "{}", node.name);
        for &id in &node.inputs {
            let input = graph.value(id);
            match node.op {
                Op::Quantize => assert_ne!(output.dtype, DataType::F32),
                Op::Dequantize => assert_ne!(input.dtype, DataType::F32),
                _ => {
                    let (input, output) =
                        (input.dtype == DataType::F32, output.dtype == DataType::F32);
                    assert_eq!(input, output, "{}", node.name);
                }
            }
            if matches!(node.op, Op::Concat { .. }) {
                assert_eq!(input.quantization, output.quantization, "{}", node.name);
            }
        }
    }
}

fn names(graph: &Graph) -> Vec<&str> {
    graph.nodes.iter().map(|node| &node.name[..]).collect()
}

#[test]
fn a_network_becomes_integers_that_compute_alike() {
    let made = quantize(&residual(), &samples(40, 192), &options()).unwrap();
    check_types(&made.graph);
    assert_eq!(names(&made.graph), ["a", "b", "sum", "pool", "mean", "dense", "softmax"]);
    assert!(made.graph.nodes.iter().all(|node| node.output.dtype == DataType::I8));
    let softmax = QuantParams { scale: 1.0 / 256.0, zero_point: -128 };
    assert_eq!(made.graph.nodes[6].output.quantization, Some(softmax));
    let layers: Vec<_> = made.report.layers.iter().map(|layer| &layer.name[..]).collect();
    assert_eq!(layers, ["a", "b", "sum", "mean", "dense", "softmax"]);
    for layer in &made.report.layers {
        let sqnr = layer.after.sqnr_db().unwrap();
        assert!(sqnr > 30.0, "{}: {sqnr} dB", layer.name);
    }
    // integers, read by their scales, compute what the grids promise, but for the rounding of biases
    let (fake, lowered) =
        (Evaluator::new(&made.source).unwrap(), Evaluator::new(&made.graph).unwrap());
    for x in Random(11).many(1920, 2.0).chunks(192) {
        let (a, b) = (fake.run(&[x]), lowered.run(&[x]));
        for (a, b) in a.last().unwrap().iter().zip(b.last().unwrap()) {
            assert!((a - b).abs() <= 1.01 / 256.0, "{a} and {b}");
        }
    }
}

#[test]
fn threads_change_nothing() {
    let made = |threads| {
        let options = PtqOptions { threads, ..PtqOptions::default() };
        let made = quantize(&residual(), &samples(11, 192), &options).unwrap();
        format!("{made:?}")
    };
    let one = made(1);
    for threads in [2, 3, 16] {
        assert!(made(threads) == one, "{threads} threads");
    }
}

#[test]
fn corrected_biases_lower_the_mean_error() {
    let reals = Random(9).many(40 * 192, 2.0);
    let calibration = Samples::reals(vec![reals.clone()], 40);
    let mean_error = |bias_correction| {
        let options = PtqOptions {
            bias_correction,
            weights: Granularity::PerTensor,
            ranges: Ranges::MinMax,
            ..options()
        };
        let made = quantize(&residual(), &calibration, &options).unwrap();
        assert_eq!(bias_correction, made.report.layers.iter().any(|layer| layer.corrected));
        let (a, b) =
            (Evaluator::new(&made.reference).unwrap(), Evaluator::new(&made.source).unwrap());
        let mut sums = [0.0_f64; 5];
        for x in reals.chunks(192) {
            let (a, b) = (a.run(&[x]), b.run(&[x]));
            for ((sum, a), b) in sums.iter_mut().zip(&a[6]).zip(&b[6]) {
                *sum += f64::from(b - a) / 40.0;
            }
        }
        sums.iter().map(|sum| sum.abs()).sum::<f64>()
    };
    let (without, with) = (mean_error(false), mean_error(true));
    assert!(with < 0.5 * without, "{with} against {without}");
}

#[test]
fn zeros_stay_zeros() {
    let made = quantize(&residual(), &samples(10, 192), &options()).unwrap();
    for (before, after) in made.reference.nodes.iter().zip(&made.graph.nodes) {
        let (Some((before, _)), Some((after, _))) = (before.op.layer(), after.op.layer()) else {
            continue;
        };
        let (WeightData::F32(before, _), WeightData::I8(after, _)) = (&before.data, &after.data)
        else {
            panic!("not quantized");
        };
        assert!(before.iter().zip(after).all(|(&before, &after)| before != 0.0 || after == 0));
    }
    let conv = made.report.layers[0].weights.unwrap();
    assert_eq!((conv.zeros_before, conv.scales), (72, 8));
    assert!(conv.zeros >= 72);
}

#[test]
fn kept_layers_are_islands_of_reals() {
    let keep = |names: &[&str], input, float_output| {
        let keep_float = names.iter().map(|&name| name.into()).collect();
        let options = PtqOptions { keep_float, input: Some(input), float_output, ..options() };
        let made = quantize(&residual(), &samples(10, 192), &options).unwrap();
        check_types(&made.graph);
        made
    };
    let made = keep(&["b"], InputDtype::I8, false);
    let around = ["a", "dequantize", "b", "quantize", "sum", "pool", "mean", "dense", "softmax"];
    assert_eq!(names(&made.graph), around);
    assert!(matches!(made.graph.nodes[2].op.layer().unwrap().0.data, WeightData::F32(_, None)));
    let by_number = keep(&["1"], InputDtype::I8, false);
    assert_eq!(format!("{:?}", by_number.graph), format!("{:?}", made.graph));
    let layer = &made.report.layers[1];
    assert!(layer.range.is_none() && layer.weights.is_none() && !layer.corrected);
    // reals flow through what only moves them
    let made = keep(&["sum", "mean", "dense", "softmax"], InputDtype::I8, false);
    let around = ["a", "b", "dequantize", "dequantize", "sum", "pool", "mean", "dense", "softmax"];
    assert_eq!(names(&made.graph), around);
    let all = ["a", "b", "sum", "mean", "dense", "softmax"];
    let made = keep(&all, InputDtype::F32, true);
    assert_eq!(names(&made.graph), ["a", "b", "sum", "pool", "mean", "dense", "softmax"]);
    assert!(made.report.layers.iter().all(|layer| layer.after.equal()), "nothing was quantized");
    let made = keep(&all, InputDtype::U8, false);
    assert_eq!(made.graph.nodes[0].name, "dequantize");
}

#[test]
fn inputs_and_outputs_in_the_type_asked_for() {
    let made = |input, float_output| {
        let options = PtqOptions { input: Some(input), float_output, ..options() };
        let made = quantize(&residual(), &samples(10, 192), &options).unwrap();
        check_types(&made.graph);
        made.graph
    };
    let of_i8 = made(InputDtype::I8, false);
    let of_u8 = made(InputDtype::U8, false);
    let grids = [&of_i8, &of_u8].map(|graph| graph.inputs[0].quantization.unwrap());
    assert_eq!(grids[0].scale, grids[1].scale);
    assert_eq!(grids[0].zero_point + 128, grids[1].zero_point);
    assert_eq!(of_u8.inputs[0].dtype, DataType::U8);
    let of_f32 = made(InputDtype::F32, true);
    assert_eq!(of_f32.inputs[0].dtype, DataType::F32);
    assert!(matches!(of_f32.nodes[0].op, Op::Quantize));
    let last = of_f32.nodes.last().unwrap();
    assert!(matches!(last.op, Op::Dequantize) && last.output.dtype == DataType::F32);
    assert_eq!(of_f32.outputs, [of_f32.nodes.len()]);
}

#[test]
fn u8_is_read_by_layers_and_made_i8_for_all_else() {
    let mut g = graph(&[1, 4, 4, 2]);
    let operand = Operand { data: WeightData::F32(vec![0.5, -1.5], None), zero_point: 0 };
    let scaled = add(&mut g, "scaled", Op::Mul(plain(Some(operand))), &[0], &[1, 4, 4, 2]);
    let mut random = Random(5);
    add(&mut g, "conv", conv(&mut random, [2, 3], Activation::None), &[scaled], &[1, 4, 4, 3]);
    g.pixels = true;
    let made = quantize(&g, &samples(5, 32), &options()).unwrap();
    check_types(&made.graph);
    assert_eq!(made.graph.inputs[0].quantization, Some(QuantParams::PIXEL));
    assert_eq!(names(&made.graph), ["quantize", "scaled", "conv"]);
    assert_eq!(made.graph.nodes[0].output.quantization.unwrap().zero_point, -128);
    let Op::Mul(mul) = &made.graph.nodes[1].op else { panic!("a product") };
    assert!(matches!(mul.operand.as_ref().unwrap().data, WeightData::I8(..)));
    assert!(made.report.layers[0].weights.is_some());
}

#[test]
fn a_concatenation_has_one_grid_for_all_its_inputs() {
    let mut random = Random(7);
    let mut g = graph(&[1, 4, 4, 3]);
    let image = |channels| [1, 4, 4, channels];
    let a = add(&mut g, "a", conv(&mut random, [3, 2], Activation::None), &[0], &image(2));
    let b = add(&mut g, "b", conv(&mut random, [3, 2], Activation::Relu), &[0], &image(2));
    let gate = add(&mut g, "gate", Op::Logistic, &[b], &image(2));
    add(&mut g, "all", Op::Concat { axis: 3 }, &[a, b, gate, 0], &image(9));
    let made = quantize(&g, &samples(10, 48), &options()).unwrap();
    check_types(&made.graph);
    // what has a grid of its own is requantized: the gate and the input
    assert_eq!(names(&made.graph), ["a", "b", "gate", "quantize", "quantize", "all"]);
    let grid = |k: usize| made.graph.nodes[k].output.quantization;
    assert_eq!((grid(0), grid(1)), (grid(5), grid(5)));
    assert_ne!(grid(2), grid(5));
}

#[test]
fn what_cannot_be_quantized_is_refused_by_name() {
    let keep_float = vec!["b".to_owned(), "pool".to_owned()];
    let unknown = quantize(&residual(), &samples(1, 192), &PtqOptions { keep_float, ..options() });
    let text = unknown.unwrap_err().to_string();
    assert_eq!(
        text,
        "keep float: expected a layer of a, b, sum, mean, dense, softmax, or the number of one, from 0; found pool"
    );
    let made = quantize(&residual(), &samples(2, 192), &options()).unwrap();
    for again in [&made.source, &made.graph] {
        let error = quantize(again, &samples(2, 192), &options()).unwrap_err();
        assert!(error.to_string().starts_with("node a (conv2d): expected f32 layers"), "{error}");
    }
    let error = |samples| quantize(&residual(), &samples, &options()).unwrap_err().to_string();
    assert_eq!(error(samples(0, 192)), "calibration: expected at least 1 sample, found 0");
    let short = error(samples(2, 191));
    assert!(short.contains("192") && short.contains("191"), "{short}");
    let two = error(Samples::reals(vec![vec![0.0; 192]; 2], 1));
    assert!(two.contains('2'), "{two}");
    let wild = error(Samples::reals(vec![vec![f32::MAX; 192]], 1));
    assert_eq!(wild, "calibration: a yields values that are not finite");
}

#[test]
fn a_pool_over_a_whole_image_is_a_mean_with_a_grid_of_its_own() {
    let mut random = Random(7);
    let mut g = graph(&[1, 4, 4, 3]);
    let shape = [1, 4, 4, 8];
    add(&mut g, "conv", conv(&mut random, [3, 8], Activation::Relu), &[0], &shape);
    let pool = Pool { window: [4, 4], stride: [4, 4], padding: Padding::default() };
    add(&mut g, "pool", Op::AveragePool2d(pool), &[1], &[1, 1, 1, 8]);
    add(&mut g, "flatten", Op::Reshape, &[2], &[1, 8]);
    add(&mut g, "dense", dense(&mut random, [8, 5]), &[3], &[1, 5]);
    let made = quantize(&g, &samples(10, 48), &options()).unwrap();
    check_types(&made.graph);
    assert_eq!(names(&made.graph), ["conv", "pool", "dense"]);
    assert!(matches!(made.graph.nodes[1].op, Op::Mean));
    let grid = |k: usize| made.graph.nodes[k].output.quantization.unwrap().scale;
    assert!(grid(1) < 0.7 * grid(0), "{} and {}", grid(1), grid(0));
    let x = Random(1).many(48, 2.0);
    let (a, b) = (Evaluator::new(&g).unwrap(), Evaluator::new(&made.reference).unwrap());
    let (a, b) = (a.run(&[&x]), b.run(&[&x]));
    for (a, b) in a.last().unwrap().iter().zip(b.last().unwrap()) {
        assert!((a - b).abs() < 1e-5, "{a} and {b}");
    }
}

#[test]
fn large_values_are_calibrated_on_fewer_samples() {
    assert_eq!(default_samples(&residual()), 1000);
    assert_eq!(default_samples(&graph(&[1, 1024, 1024, 4])), 8);
    assert_eq!(default_samples(&graph(&[1, 65535, 1024, 4])), 1);
}

#[test]
fn sums_of_operands_far_apart_and_grids_far_apart_fit_a_file() {
    let mut random = Random(7);
    let image = [1, 4, 4, 2];
    let constant = |by: f32| {
        let data = WeightData::F32(vec![by], None);
        Some(Operand { data, zero_point: 0 })
    };
    let relu = |operand| Op::Add(Binary { operand, activation: Activation::Relu });
    let mut g = graph(&[1, 4, 4, 3]);
    let a = add(&mut g, "a", conv(&mut random, [3, 2], Activation::None), &[0], &image);
    // nothing but zeros, and what is left of two large numbers
    let dead = add(&mut g, "dead", relu(constant(-0.04)), &[a], &image);
    g.nodes[0].op.layer_mut().unwrap().0.data = WeightData::F32(vec![0.0; 54], None);
    if let Some((_, bias)) = g.nodes[0].op.layer_mut() {
        *bias = Bias::F32(vec![0.01, 0.02]);
    }
    let large = add(&mut g, "large", Op::Add(plain(constant(3e5))), &[a], &image);
    let left = add(&mut g, "left", Op::Add(plain(constant(-3e5))), &[large], &image);
    let scaled = add(&mut g, "scaled", Op::Mul(plain(constant(1e6))), &[a], &image);
    let shares = add(&mut g, "shares", Op::Softmax, &[left], &image);
    let all = [1, 4, 4, 6];
    add(&mut g, "all", Op::Concat { axis: 3 }, &[dead, shares, scaled], &all);
    let made = quantize(&g, &samples(4, 48), &options()).unwrap();
    check_types(&made.graph);
    let conversions = |name: &str| names(&made.graph).iter().filter(|n| **n == name).count();
    // by way of reals: what is left, what shares the grid of much larger values, and the shares
    assert_eq!((conversions("dequantize"), conversions("quantize")), (3, 3));
    let all = made.graph.nodes.last().unwrap().output.quantization.unwrap();
    assert!(all.range_i8().1 > 1.9e4, "{all:?}");
}
