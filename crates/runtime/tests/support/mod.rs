//! Sessions on every instruction set, and results held against the oracle's. Random models are in `cases`, images in `data`.
#![allow(dead_code, unused_imports, reason = "each test takes what it needs")]

mod cases;
mod data;
pub(crate) mod in_place;
pub(crate) mod light;

pub(crate) use cases::*;
pub(crate) use data::*;

use penjing_format::write::{Constant, ConstantData, Model as Spec, Op, PackingChoice, WriteError};
use penjing_runtime::reference::{self, Tensor};
use penjing_runtime::{Isa, Model, RunError, Session, SessionOptions};
use std::io::Write;
use std::sync::OnceLock;

pub(crate) fn model(spec: &Spec, packing: PackingChoice) -> Model {
    Model::from_bytes(spec.to_bytes(packing).unwrap()).unwrap()
}

/// Any packing, by a seed; where the model cannot be packed so, whichever is smallest.
pub(crate) fn some_packing(spec: &Spec, seed: u64) -> PackingChoice {
    let choice = PackingChoice::IN_PLACE[(seed >> 17) as usize % PackingChoice::IN_PLACE.len()];
    match spec.to_bytes(choice) {
        Err(WriteError::Packing { .. }) => PackingChoice::Auto,
        _ => choice,
    }
}

/// A session with the instruction set that `PENJING_ISA` names, or the best.
pub(crate) fn session(model: &Model, threads: usize) -> Session {
    Session::new(model, SessionOptions { threads, ..SessionOptions::default() }).unwrap()
}

pub(crate) fn session_on(model: &Model, isa: Isa, threads: usize) -> Session {
    let options = SessionOptions { threads, isa: Some(isa), ..SessionOptions::default() };
    Session::new(model, options).unwrap()
}

/// Every instruction set that this machine has. Says which it lacks; `PENJING_REQUIRE_ISA`, names with commas between, makes
/// it fail where one of those is lacking.
pub(crate) fn instruction_sets() -> &'static [Isa] {
    static SETS: OnceLock<Vec<Isa>> = OnceLock::new();
    SETS.get_or_init(|| {
        let required = std::env::var("PENJING_REQUIRE_ISA").unwrap_or_default();
        let required: Vec<&str> =
            required.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        for name in &required {
            assert!(Isa::from_name(name).is_ok(), "PENJING_REQUIRE_ISA: no {name} here");
        }
        let sets: Vec<Isa> = Isa::available().collect();
        for name in Isa::NAMES {
            if sets.iter().all(|isa| isa.name() != *name) {
                // Past the harness, which keeps what a passing test prints.
                let _ = writeln!(std::io::stderr(), "SKIPPED: {name}, which this machine lacks");
            }
        }
        sets
    })
}

/// Runs a batch through a model with one input and one output.
pub(crate) fn run(
    session: &mut Session,
    model: &Model,
    images: &Data,
    n: usize,
) -> Result<Data, RunError> {
    let info = model.outputs().next().unwrap();
    let mut output = Data::zeros(info.dtype, n * info.shape.elements().unwrap());
    session.run(images.input(), output.output())?;
    Ok(output)
}

/// Holds a batch's results against the oracle's, image by image. Reals may differ by `slack` times the oracle's tolerance.
pub(crate) fn check(isa: Isa, model: &Model, images: &Data, results: &Data, n: usize, slack: f64) {
    let input_len = model.inputs().next().unwrap().shape.elements().unwrap();
    let output_len = model.outputs().next().unwrap().shape.elements().unwrap();
    for index in 0..n {
        let want = reference::run(&model.view(), &[images.image(index, input_len)]).unwrap();
        agree(isa, &results.image(index, output_len), &want[0], slack);
    }
}

/// As [`check`] for reals, where an error is measured by the largest input and by all weights of the first node, a convolution:
/// what Winograd's sums, which mix the inputs of neighbouring outputs, can promise.
pub(crate) fn check_by_magnitude(
    isa: Isa,
    spec: &Spec,
    model: &Model,
    images: &Data,
    found: &Data,
    n: usize,
) {
    let (Op::Conv2d(conv), Data::F32(x), Data::F32(found)) = (&spec.nodes[0].op, images, found)
    else {
        panic!("a convolution of reals expected")
    };
    let reals = |constant: &Constant| match &constant.data {
        ConstantData::F32(values) => values.clone(),
        _ => panic!("reals expected"),
    };
    let weights = reals(&conv.weights);
    let channels = conv.weights.shape.first().unwrap() as usize;
    let bias = conv.bias.as_ref().map_or(vec![0.0; channels], reals);
    let (image, result) = (x.len() / n, found.len() / n);
    for index in 0..n {
        let want = reference::run(&model.view(), &[images.image(index, image)]).unwrap();
        let Tensor::Reals(want, _) = &want[0] else { panic!("reals expected") };
        let x = &x[index * image..(index + 1) * image];
        let largest = x.iter().fold(0.0_f32, |a, &x| a.max(x.abs()));
        for (i, (w, f)) in want.iter().zip(&found[index * result..]).enumerate() {
            let c = i % channels;
            let taps = weights.len() / channels;
            let sum: f32 = weights[c * taps..(c + 1) * taps].iter().map(|w| w.abs()).sum();
            let tolerance = 1e-5 * (largest * sum + bias[c].abs());
            assert!((w - f).abs() <= tolerance, "{isa}: element {i}: {f}, expected {w}");
        }
    }
}

/// Holds one image's result against the oracle's.
pub(crate) fn agree(isa: Isa, found: &Tensor, want: &Tensor, slack: f64) {
    match (want, found) {
        (Tensor::Codes(want), Tensor::Codes(found)) => assert_eq!(found, want, "{isa}"),
        (Tensor::Reals(want, tolerances), Tensor::Reals(found, _)) => {
            assert_eq!(want.len(), found.len());
            for (i, ((w, f), t)) in want.iter().zip(found).zip(tolerances).enumerate() {
                let error = (f64::from(*w) - f64::from(*f)).abs();
                assert!(error <= t * slack, "{isa}: element {i}: {f}, expected {w}");
            }
        }
        _ => panic!("the oracle and the session differ in type"),
    }
}
