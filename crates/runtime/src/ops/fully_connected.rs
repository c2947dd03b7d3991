//! Matrix product of a batch's features by weights `[out, in]`. Outputs are in lanes where they fill them, else features are.

use super::conv_pool::{ConvPool, Planar};
use super::sums::{Quantization, Rows, Sums, Weighted, image_of};
use super::{Failure, Planning, mismatch};
use crate::arch::kernels::conv::{Gather, Product};
use crate::arch::kernels::dot::RunDot;
use crate::arch::kernels::prepare::{PlaneShape, Prepare, shift};
use crate::arch::kernels::target::Target;
use crate::arch::lanes::Codes;
use crate::arch::memory::{cast, room, take};
use crate::arch::{Floats, Integers, Isa};
use crate::budget::product;
use crate::operand::Weights;
use crate::tensor::{Input, Output};
use alloc::vec::Vec;
use penjing_format::{FullyConnected as Attributes, TensorType};

/// A planned fully connected op.
pub(crate) struct FullyConnected {
    features: usize,
    outputs: usize,
    /// How an image's features lie before the kernels; `None` where they come so.
    plane: Option<PlaneShape>,
    codes: Codes,
    path: Path,
    weights: Weights,
    sums: Sums,
    /// Sums of an image.
    lanes: usize,
}

enum Path {
    /// Outputs in lanes; images are the positions.
    Outputs { gather: Gather, tile: usize },
    /// Features in lanes; dwords of an image.
    Features { dwords: usize },
}

impl FullyConnected {
    /// With a `planar` input, features lie as a [`ConvPool`] has left them.
    pub(crate) fn new(
        planning: Planning<'_>,
        op: &Attributes<'_>,
        input: &TensorType,
        output: &TensorType,
        planar: Option<&Planar>,
    ) -> Result<Self, Failure> {
        let [outputs, features] =
            op.weights.shape.as_2d().ok_or(Failure::Rank)?.map(|d| d as usize);
        let traits = planning.isa.traits();
        let quantization = Quantization::of(input, output);
        let codes = if quantization.is_some() { traits.codes } else { Codes::F32 };
        let tile = super::conv2d::tile(outputs, traits.lanes, traits.registers);
        let padded = outputs.next_multiple_of(tile * traits.lanes);
        // Lanes along the features waste nothing but the sum over lanes at the end.
        let along_features = planar.is_some()
            || (4 * outputs < 3 * padded && features >= 2 * traits.lanes * codes.per_dword());
        let vectors = outputs.next_multiple_of(traits.lanes);
        let lanes = if along_features { vectors } else { padded };
        let whole = if along_features { traits.lanes } else { 1 };
        let dwords = match planar {
            Some(planar) => planar.bytes() / 4,
            None => features.div_ceil(codes.per_dword()).next_multiple_of(whole),
        };
        let rows = if along_features { outputs } else { lanes };
        planning.budget.take(product(&[features, size_of::<(usize, usize)>()]))?;
        planning.budget.take(product(&[rows, dwords, size_of::<u32>()]))?;
        planning.budget.take(product(&[lanes + dwords, Sums::DWORDS, size_of::<u32>()]))?;
        let weighted =
            Weighted { weights: &op.weights, bias: op.bias.as_ref(), activation: op.activation };
        let mut sums = Sums::new(weighted, quantization, outputs, lanes)?;
        let per_dword = codes.per_dword();
        let plain = quantization.is_none() && dwords == features;
        let plane = (planar.is_none() && !plain).then(|| row_of(features, dwords * per_dword));
        let places = places(features, planar, per_dword);
        let mut weights = Weights::zeroed(rows * dwords, codes);
        let width = if along_features { 1 } else { tile * traits.lanes };
        let place = |output: usize| {
            let (first, places) = (output / width * dwords * width + output % width, &places);
            move |feature: usize| (first + places[feature].0 * width, places[feature].1)
        };
        let mut folding = sums.folding(quantization, |unsigned, zero_point| match planar {
            Some(_) => ConvPool::shift(codes, zero_point),
            None => zero_point + shift(codes, unsigned, zero_point),
        });
        weights.fill(&op.weights, place, |channel, sum| folding.take(channel, sum));
        let path = if along_features {
            Path::Features { dwords }
        } else {
            let bases = (0..planning.images).map(|i| i * dwords * 4);
            let offsets: Vec<usize> = (0..dwords).map(|k| k * 4).collect();
            let gather = Gather::new(bases, &offsets).ok_or(Failure::TooLarge)?;
            Path::Outputs { gather, tile }
        };
        Ok(Self { features, outputs, plane, codes, path, weights, sums, lanes })
    }

    pub(crate) fn macs(&self) -> u64 {
        (self.features * self.outputs) as u64
    }

    fn plane_bytes(&self) -> usize {
        self.plane.as_ref().map_or(0, |plane| plane.len * self.codes.bytes())
    }

    pub(crate) fn scratch(&self, images: usize) -> usize {
        let sums = match self.path {
            Path::Outputs { .. } => 0,
            Path::Features { .. } => room::<f32>(images * self.lanes),
        };
        room::<u8>(images * self.plane_bytes()) + sums
    }

    /// Runs on `images` images.
    pub(crate) fn run(
        &self,
        isa: Isa,
        input: Input<'_>,
        output: Output<'_>,
        images: usize,
        mut scratch: &mut [u8],
    ) {
        let bytes = self.plane_bytes();
        let planes = take::<u8>(&mut scratch, images * bytes);
        let planes = if let Some(shape) = &self.plane {
            for (index, plane) in planes.chunks_exact_mut(bytes).enumerate() {
                let image = image_of(input, index, images);
                let (zero_point, codes) = (self.sums.zero_point(), self.codes);
                isa.dispatch(Prepare { shape, image, zero_point, codes, plane });
            }
            planes
        } else {
            input.bytes()
        };
        match (&self.sums, output) {
            (Sums::Reals { bias, clamp }, Output::F32(out)) => {
                self.product::<Floats>(isa, planes, bias, *clamp, out, scratch);
            }
            (Sums::Codes { bias, to, .. }, Output::I8(out)) => {
                self.product::<Integers>(isa, planes, bias, to.rule(), out, scratch);
            }
            (_, output) => mismatch("fully_connected", input.dtype(), output.dtype()),
        }
    }

    fn product<A: Rows>(
        &self,
        isa: Isa,
        plane: &[u8],
        bias: &[A::Sum],
        rule: A::Rule<'_>,
        out: &mut [A::Out],
        mut scratch: &mut [u8],
    ) {
        let (weights, channels) = (self.weights.dwords(), self.outputs);
        let images = out.len() / channels;
        match &self.path {
            Path::Outputs { gather, tile } => {
                let (positions, tile) = (0..images, *tile);
                let target = Target::Out { rule, channels, out };
                isa.dispatch(Product::<A> {
                    gather,
                    positions,
                    plane,
                    weights,
                    bias,
                    target,
                    tile,
                });
            }
            Path::Features { dwords } => {
                let sums = take::<A::Sum>(&mut scratch, images * self.lanes);
                let inputs = cast(&plane[..images * dwords * 4]);
                let (dwords, outputs, pitch) = (*dwords, channels, self.lanes);
                isa.dispatch(RunDot::<A> { inputs, weights, dwords, outputs, bias, pitch, sums });
                A::emit(isa, sums, pitch, channels, rule, out);
            }
        }
    }
}

/// A plane of one row of features, `len` elements long.
fn row_of(features: usize, len: usize) -> PlaneShape {
    PlaneShape {
        rows: 1,
        width: features,
        every: [1, 1],
        image_width: features,
        channels: 1,
        plane_channels: 1,
        repeat: 1,
        pitch: features,
        first: 0,
        len,
    }
}

/// Every feature's dword and part, made once: a division a weight would take longer than the rest of the plan.
fn places(features: usize, planar: Option<&Planar>, per_dword: usize) -> Vec<(usize, usize)> {
    let bits = per_dword.trailing_zeros();
    let split = |place: usize| (place >> bits, place % (1 << bits));
    let mut places = Vec::with_capacity(features);
    match planar {
        // Not `extend`, which would ask the nested iterators for one place at a time.
        Some(planar) => planar.places().for_each(|place| places.push(split(place))),
        None => places.extend((0..features).map(split)),
    }
    places
}
