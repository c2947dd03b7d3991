//! The target `run`: a model, its hash made right, is opened, planned in little memory, and runs one batch. Small ones are held
//! against the oracle.
//!
//! An input is a model file, then up to 255 bytes that images are made of, then two bytes: how many those are, and how to run
//! (see `How`). So any model file is an input too.

use crate::noise::Data;
use penjing_format::{DataType, ModelView, Op, Shape, hash};
use penjing_runtime::reference::{self, Tensor};
use penjing_runtime::{Isa, Model, OpenOptions, Session, SessionOptions};

/// The most bytes that a session may take.
const MAX_BYTES: u64 = 1 << 22;

/// Steps of a batch: products, or elements that are looked at. More would take too long to be worth it.
const MOST_STEPS: u64 = 1 << 22;

/// Steps of an image that the oracle follows, in 16 bytes each.
const MOST_ORACLE_STEPS: u64 = 1 << 16;

/// Elements of a batch's inputs or outputs, which are the caller's memory and not the session's.
const MOST_ELEMENTS: usize = 1 << 18;

/// What an input's last byte says.
struct How {
    images: usize,
    /// Reals of any bits.
    raw: bool,
    isa: Isa,
}

impl How {
    fn new(byte: u8) -> Self {
        let images = [1, 2, 1, 17][usize::from(byte & 3)];
        let sets: Vec<Isa> = Isa::available().collect();
        let isa = sets[usize::from(byte >> 3) % sets.len()];
        Self { images, raw: byte & 4 != 0, isa }
    }
}

/// Runs the model in `data`: never a panic, no more memory than granted, and integers as the oracle has them.
pub fn run(data: &[u8]) {
    let (rest, [noise, how]) = data.split_last_chunk().unwrap_or((data, &[0, 0]));
    let at = rest.len().saturating_sub(usize::from(*noise));
    let (file, noise) = rest.split_at(at);
    let how = How::new(*how);
    let mut file = file.to_vec();
    hash::stamp(&mut file);
    let mut open = OpenOptions::default();
    open.max_bytes = MAX_BYTES;
    let model = match Model::from_bytes_with(file, &open) {
        Ok(model) => model,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let options =
        SessionOptions { isa: Some(how.isa), max_bytes: MAX_BYTES, ..SessionOptions::default() };
    let mut session = match Session::new(&model, options) {
        Ok(session) => session,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert!(session.arena_bytes() <= MAX_BYTES);
    assert!(session.groups().all(|group| group.nodes.end <= model.view().n_nodes()));
    let (steps, oracle_steps) = steps(&model.view());
    let few = |elements: Option<usize>| elements.is_some_and(|sum| sum <= MOST_ELEMENTS);
    let elements = |len: usize| len.checked_mul(how.images);
    let fits =
        few(model.inputs().try_fold(0_usize, |sum, info| sum.checked_add(elements(info.len())?)))
            && few(model
                .outputs()
                .try_fold(0_usize, |sum, info| sum.checked_add(elements(info.len())?)));
    if !fits || steps.saturating_mul(how.images as u64) > MOST_STEPS {
        return;
    }
    let inputs: Vec<Data> = model
        .inputs()
        .map(|info| Data::from_bytes(info.dtype, how.images * info.len(), noise, how.raw))
        .collect();
    let outputs = run_batch(&mut session, &model, &inputs, how.images);
    for index in [0, how.images - 1] {
        let image: Vec<Data> =
            model.inputs().zip(&inputs).map(|(info, data)| data.image(index, info.len())).collect();
        let found: Vec<Data> = model
            .outputs()
            .zip(&outputs)
            .map(|(info, data)| data.image(index, info.len()))
            .collect();
        let alone = run_batch(&mut session, &model, &image, 1);
        let same = alone.iter().zip(&found).all(|(alone, found)| alone.same(found));
        assert!(same, "{}: image {index} alone: {alone:?}, in a batch: {found:?}", how.isa.name());
        if oracle_steps <= MOST_ORACLE_STEPS {
            agree(&model.view(), &image, &found, how.isa);
        }
    }
}

fn run_batch(session: &mut Session, model: &Model, inputs: &[Data], images: usize) -> Vec<Data> {
    let mut outputs: Vec<Data> =
        model.outputs().map(|info| Data::zeros(info.dtype, images * info.len())).collect();
    let from: Vec<_> = inputs.iter().map(Data::input).collect();
    let mut to: Vec<_> = outputs.iter_mut().map(Data::output).collect();
    session.run_many(&from, &mut to).expect("inputs and outputs as the model has them");
    outputs
}

/// Steps that one image takes in a session, and in the oracle, which looks at all input channels of a depthwise convolution.
fn steps(model: &ModelView<'_>) -> (u64, u64) {
    let (mut session, mut oracle) = (0_u64, 0_u64);
    for step in model.walk() {
        let step = step.expect("an accepted model's walk is free of errors");
        let elements = |shape: Shape| shape.elements().unwrap_or(usize::MAX) as u64;
        let outputs = elements(step.output.ty.shape);
        let taps = |constant: Shape| elements(constant) / u64::from(constant.first().unwrap_or(1));
        let (each, of_oracle) = match &step.op {
            Op::Conv2d(op) => (taps(op.weights.shape), taps(op.weights.shape)),
            Op::FullyConnected(op) => (taps(op.weights.shape), taps(op.weights.shape)),
            Op::DepthwiseConv2d(op) => {
                let channels = u64::from(op.weights.shape.last().unwrap_or(1));
                let taps = elements(op.weights.shape) / channels;
                (taps, taps * u64::from(step.input.ty.shape.last().unwrap_or(1)))
            }
            Op::MaxPool2d(op) => {
                let taps = op.window.iter().map(|&side| u64::from(side)).product();
                (taps, taps)
            }
            Op::AveragePool2d(op) => {
                let taps = op.window.iter().map(|&side| u64::from(side)).product();
                (taps, taps)
            }
            // Each element of the input is looked at once.
            Op::Mean => {
                let taps = elements(step.input.ty.shape) / outputs.max(1);
                (taps, taps)
            }
            Op::Reshape(_)
            | Op::Quantize
            | Op::Dequantize
            | Op::Add(_)
            | Op::Mul(_)
            | Op::Pad(_)
            | Op::Concat(_)
            | Op::Relu(_)
            | Op::Softmax
            | Op::Logistic
            | Op::Tanh => (1, 1),
        };
        session = session.saturating_add(outputs.saturating_mul(each));
        oracle = oracle.saturating_add(outputs.saturating_mul(of_oracle));
    }
    (session, oracle)
}

/// Holds one image's outputs against the oracle's, where no sum of reals, whose last bits are free, is on the way to them.
fn agree(model: &ModelView<'_>, image: &[Data], found: &[Data], isa: Isa) {
    let mut exact = vec![true; model.n_inputs()];
    let mut nan: Vec<bool> = image.iter().map(Data::has_nan).collect();
    for step in model.walk().map_while(Result::ok) {
        let reals = step.output.ty.dtype == DataType::F32;
        let all_exact = step.operands().all(|operand| exact[usize::from(operand.id)]);
        let some_nan = step.operands().any(|operand| nan[usize::from(operand.id)]);
        exact.push(match step.op {
            Op::Conv2d(_)
            | Op::DepthwiseConv2d(_)
            | Op::FullyConnected(_)
            | Op::AveragePool2d(_)
            | Op::Mean => !reals && all_exact,
            // docs/numerics.md leaves open what becomes of a NaN.
            Op::MaxPool2d(_) | Op::Add(_) | Op::Mul(_) | Op::Relu(_) => all_exact && !some_nan,
            // Their reals, and so their codes, are near those of the oracle.
            Op::Softmax | Op::Logistic | Op::Tanh => false,
            Op::Reshape(_) | Op::Pad(_) | Op::Concat(_) | Op::Quantize | Op::Dequantize => {
                all_exact
            }
        });
        // A sum of two infinities is a NaN too.
        let made = matches!(step.op, Op::Add(_) | Op::Mul(_));
        nan.push((some_nan || made) && reals);
    }
    let tensors: Vec<Tensor> = image.iter().map(Data::tensor).collect();
    let wanted = reference::run(model, &tensors).expect("an accepted model");
    for ((id, found), wanted) in model.outputs().zip(found).zip(wanted) {
        if !exact[usize::from(id)] {
            continue;
        }
        let same = match (&wanted, &found.tensor()) {
            (Tensor::Codes(wanted), Tensor::Codes(found)) => wanted == found,
            (Tensor::Reals(wanted, _), Tensor::Reals(found, _)) => {
                wanted.iter().zip(found).all(|(a, b)| a == b || (a.is_nan() && b.is_nan()))
            }
            _ => false,
        };
        assert!(same, "{}: value {id}: {found:?}, by the oracle {wanted:?}", isa.name());
    }
}
