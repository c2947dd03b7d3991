//! Sessions in memory that is lent, held against sessions that have a heap: the same bits, and nothing outside the arena.
#![allow(dead_code, reason = "each test takes what it needs")]

use super::data::Data;
use penjing_format::DataType;
use penjing_runtime::{Error, InPlace, Input, Model, Output, RunError, in_place};

/// Bytes around an arena that nobody may touch.
const GUARD: usize = 64;

/// A byte that no planner would write by chance everywhere.
const MARK: u8 = 0xa5;

/// An arena of any alignment between bytes that must stay.
pub(crate) struct Guarded {
    bytes: Vec<u8>,
    from: usize,
    len: usize,
}

impl Guarded {
    /// `len` bytes of garbage of which the first lies `past` bytes past a multiple of 4.
    pub(crate) fn new(len: usize, past: usize, seed: u64) -> Self {
        let mut bytes = vec![MARK; len + 2 * GUARD + 8];
        let from = GUARD + bytes[GUARD..].as_ptr().align_offset(4) + past;
        let mut noise = super::Noise(seed);
        bytes[from..from + len].fill_with(|| noise.extreme_byte());
        Self { bytes, from, len }
    }

    pub(crate) fn arena(&mut self) -> &mut [u8] {
        &mut self.bytes[self.from..self.from + self.len]
    }

    /// Panics where a byte around the arena changed.
    pub(crate) fn check(&self) {
        let around = self.bytes[..self.from].iter().chain(&self.bytes[self.from + self.len..]);
        assert!(around.copied().all(|byte| byte == MARK), "written outside the arena");
    }
}

/// Runs one image; `outputs` are what it becomes.
pub(crate) fn run<const OPS: u32>(
    session: &mut InPlace<'_, OPS>,
    inputs: &[Data],
    outputs: &mut [Data],
) -> Result<(), RunError> {
    let given: Vec<Input<'_>> = inputs.iter().map(Data::input).collect();
    let mut places: Vec<Output<'_>> = outputs.iter_mut().map(Data::output).collect();
    session.run_many(&given, &mut places)
}

/// Places for one image's outputs.
pub(crate) fn outputs(model: &Model) -> Vec<Data> {
    model.outputs().map(|info| Data::zeros(info.dtype, info.len())).collect()
}

/// Whether a model has what sessions in place do not do: sums and tables of reals, and samples of more than three dimensions.
fn is_beyond(model: &Model) -> bool {
    let mut types: Vec<_> =
        (0..model.view().n_inputs()).map(|index| model.view().input_type(index).unwrap()).collect();
    types.extend(model.view().walk().map(|step| step.unwrap().output.ty));
    types.iter().any(|ty| ty.dtype == DataType::F32 || ty.shape.rank() > 4)
}

/// Holds a session in place against `found`, a session's outputs of these images: bit for bit, with any address of the arena, any
/// content of it, and again on the same session. False where the model is refused, as it must be beyond 8 bits.
pub(crate) fn agrees(model: &Model, images: usize, inputs: &[Data], found: &[Data]) -> bool {
    let bytes = match in_place::arena_bytes(model) {
        Ok(bytes) => bytes,
        Err(Error::Unsupported { .. }) if is_beyond(model) => return false,
        Err(error) => panic!("{error}"),
    };
    let past = bytes % 4 + found.len() % 4;
    let mut arena = Guarded::new(bytes + (4 - past % 4) % 4, past % 4, bytes as u64);
    let mut session: InPlace<'_> = InPlace::new(model, arena.arena()).unwrap();
    for index in (0..images).chain([0]) {
        let part = |(info, data): (penjing_runtime::TensorInfo<'_>, &Data)| {
            data.part(index * info.len(), info.len())
        };
        let image: Vec<Data> = model.inputs().zip(inputs).map(part).collect();
        let want: Vec<Data> = model.outputs().zip(found).map(part).collect();
        let mut outputs = outputs(model);
        run(&mut session, &image, &mut outputs).unwrap();
        for (number, (found, want)) in outputs.iter().zip(&want).enumerate() {
            assert!(
                found.same(want),
                "in place, image {index}, output {number}: {found:?}, expected {want:?}"
            );
        }
    }
    arena.check();
    true
}

/// As [`agrees`], of random images.
pub(crate) fn conforms(model: &Model, seed: u64) -> bool {
    const IMAGES: usize = 2;
    let inputs: Vec<Data> = model
        .inputs()
        .zip(seed..)
        .map(|(info, seed)| Data::noise(info.dtype, IMAGES * info.len(), seed))
        .collect();
    let mut found: Vec<Data> =
        model.outputs().map(|info| Data::zeros(info.dtype, IMAGES * info.len())).collect();
    let given: Vec<_> = inputs.iter().map(Data::input).collect();
    let mut places: Vec<_> = found.iter_mut().map(Data::output).collect();
    super::session(model, 1).run_many(&given, &mut places).unwrap();
    agrees(model, IMAGES, &inputs, &found)
}
