//! A 3x3 convolution of a one-channel image with a 2x2 max-pool behind it, a patch a pooled output: what a network for grey
//! images opens with. Any other convolution is `conv2d`'s.
//!
//! The result lies by channels, `[channels][positions]` in whole vectors, and a dense layer behind it reads it so; anybody
//! else gets NHWC.

use super::max_pool2d::MaxPool2d;
use super::sums::{Quantization, Sums, Weighted, image_of, place_of};
use super::window::Window;
use super::{Failure, Planning, mismatch};
use crate::arch::Isa;
use crate::arch::kernels::patches::{self, Patches, READ_SLACK, RunPatches, SplitRows};
use crate::arch::kernels::prepare::shift;
use crate::arch::kernels::winograd::{self, Finish, Parity, Split, transform};
use crate::arch::lanes::{Codes, Products, centred_bounds};
use crate::arch::memory::{ALIGNMENT, cast, cast_mut, room, take};
use crate::budget::product;
use crate::operand::{self, Weight};
use crate::tensor::{Input, Output};
use alloc::vec;
use alloc::vec::Vec;
use penjing_format::{Conv2d as Attributes, TensorType};

/// Sums up to this are exact in f32.
const EXACT_F32: u64 = 1 << 24;

/// Weights from here on are left to `conv2d`.
const MODERATE: f32 = (1_u64 << 60) as f32;

/// A planned convolution and pool.
pub(crate) struct ConvPool {
    parity: Parity,
    layout: Planar,
    body: Body,
    sums: Sums,
    /// Ones in the bits of a lane that holds a position.
    mask: Vec<f32>,
    /// Whether the next op reads `layout`.
    keep_planar: bool,
    macs: u64,
}

/// By what arithmetic.
enum Body {
    /// Winograd's; of integers that are exact in f32, too. Weights are `[channels][16]`.
    Reals { weights: Vec<f32>, bias: Vec<f32> },
    /// The set's integer products. `bias` has the zero point folded in, `rest` has not.
    Codes { weights: Vec<u32>, bias: Vec<i32>, rest: Vec<i32>, zero: i32 },
}

/// Where the elements of an `[height, width, channels]` tensor lie when channels are outermost and rows have a pitch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Planar {
    pub(crate) size: [usize; 2],
    pub(crate) channels: usize,
    /// Lanes from one row to the next.
    pub(crate) pitch: usize,
    /// Lanes of a channel.
    pub(crate) lanes: usize,
    pub(crate) codes: Codes,
}

impl Planar {
    /// Bytes of an image, whole cache lines; what no element takes is 0 in reals and finite in codes.
    pub(crate) fn bytes(&self) -> usize {
        (self.channels * self.lanes * self.codes.bytes()).next_multiple_of(ALIGNMENT)
    }

    /// The places of all elements, in NHWC order.
    pub(crate) fn places(&self) -> impl Iterator<Item = usize> + '_ {
        let [rows, columns] = self.size;
        (0..rows)
            .flat_map(move |row| (0..columns).map(move |column| row * self.pitch + column))
            .flat_map(move |at| (0..self.channels).map(move |channel| channel * self.lanes + at))
    }
}

impl ConvPool {
    /// `Ok(None)` where the shapes are other ones, or integers outgrow f32.
    pub(crate) fn new(
        planning: Planning<'_>,
        op: &Attributes<'_>,
        pool: &MaxPool2d,
        input: &TensorType,
        output: &TensorType,
    ) -> Result<Option<Self>, Failure> {
        let shapes = [input.shape, op.weights.shape, output.shape];
        let window = Window::new(shapes, op.stride, op.dilation, op.padding)?;
        let fits = window.channels == 1
            && window.kernel == [3, 3]
            && window.stride == [1, 1]
            && window.dilation == [1, 1]
            && [pool.window, pool.stride] == [[2, 2]; 2]
            && pool.pad == [0, 0]
            && (0..2).all(|axis| 2 * pool.output[axis] <= window.output[axis]);
        if !fits {
            return Ok(None);
        }
        let traits = planning.isa.traits();
        let quantization = Quantization::of(input, output);
        let channels = window.out_channels;
        let weighted =
            Weighted { weights: &op.weights, bias: op.bias.as_ref(), activation: op.activation };
        // Weights in the file's order and in the kernel's, at most 16 dwords each.
        planning.budget.take(product(&[32 + Sums::DWORDS, channels, size_of::<u32>()]))?;
        let sums = Sums::new(weighted, quantization, channels, channels)?;
        let Some(body) = Body::new(op, &sums, quantization, traits.patches, traits.codes) else {
            return Ok(None);
        };
        let size = pool.output;
        let [rows, columns] = [0, 1].map(|axis| {
            let padded = window.pad[axis] + window.input[axis];
            padded.max(2 * size[axis] + 2).div_ceil(2)
        });
        planning.budget.fits(product(&[rows, columns, 4 * size_of::<f32>()]))?;
        let pitch = columns;
        let groups = ((size[0] - 1) * pitch + size[1]).div_ceil(traits.lanes);
        let lanes = groups * traits.lanes;
        let plane = (rows * pitch).max(lanes + pitch + 2).next_multiple_of(16);
        let parity = Parity { image: window.input, pad: window.pad, pitch, plane, groups };
        let codes = sums.codes(traits.codes);
        planning.budget.take(product(&[lanes, size_of::<f32>()]))?;
        let planes = product(&[4 * size_of::<f32>(), plane]);
        planning.budget.fits(planes.saturating_add(product(&[channels, lanes, 4])))?;
        let layout = Planar { size, channels, pitch, lanes, codes };
        let mask = mask(&layout);
        let macs = (window.positions() * channels * 9) as u64;
        Ok(Some(Self { parity, layout, body, sums, mask, keep_planar: false, macs }))
    }

    /// The layout in which the result lies from now on; bytes, not elements.
    pub(crate) fn keep_planar(&mut self) -> &Planar {
        self.keep_planar = true;
        &self.layout
    }

    pub(crate) fn macs(&self) -> u64 {
        self.macs
    }

    pub(crate) fn scratch(&self) -> usize {
        let planar = if self.keep_planar { 0 } else { self.layout.bytes() };
        room::<u8>(self.plane_bytes()) + room::<u8>(planar)
    }

    fn plane_bytes(&self) -> usize {
        match &self.body {
            Body::Reals { .. } => 4 * self.parity.plane * size_of::<f32>(),
            Body::Codes { .. } => 4 * self.parity.plane * self.layout.codes.bytes() + READ_SLACK,
        }
    }

    /// Runs on `images` images.
    pub(crate) fn run(
        &self,
        isa: Isa,
        input: Input<'_>,
        mut output: Output<'_>,
        images: usize,
        scratch: &mut [u8],
    ) {
        for index in 0..images {
            let mut scratch = &mut *scratch;
            let planes = take::<u8>(&mut scratch, self.plane_bytes());
            self.split(isa, image_of(input, index, images), planes);
            match place_of(&mut output, index, images) {
                Output::U8(out) if self.keep_planar => self.convolve(isa, planes, out),
                out => {
                    let planar = take::<u8>(&mut scratch, self.layout.bytes());
                    self.convolve(isa, planes, planar);
                    self.interleave(planar, out);
                }
            }
        }
    }

    /// What is added to a centred code, and to real 0, to lie as the set's codes do.
    pub(crate) fn shift(codes: Codes, zero_point: i32) -> i32 {
        zero_point + shift(codes, false, zero_point)
    }

    fn split(&self, isa: Isa, image: Input<'_>, planes: &mut [u8]) {
        let (shape, zero_point) = (&self.parity, self.sums.zero_point());
        match &self.body {
            Body::Reals { .. } => {
                isa.dispatch(Split { shape, image, zero_point, planes: cast_mut(planes) });
            }
            Body::Codes { .. } => {
                let codes = self.layout.codes;
                isa.dispatch(SplitRows { shape, image, zero_point, codes, planes });
            }
        }
    }

    fn convolve(&self, isa: Isa, planes: &[u8], out: &mut [u8]) {
        let used = self.layout.channels * self.layout.lanes * self.layout.codes.bytes();
        out[used..].fill(0);
        let shape = &self.parity;
        let shift = |zero_point| Self::shift(self.layout.codes, zero_point);
        match (&self.body, &self.sums) {
            (Body::Reals { weights, bias }, sums) => {
                let finish = match sums {
                    Sums::Reals { clamp, .. } => Finish::Reals { clamp: *clamp, mask: &self.mask },
                    Sums::Codes { to, .. } => Finish::Codes {
                        bounds: centred_bounds(to.rule),
                        shift: shift(to.rule.zero_point),
                        multipliers: &to.multipliers,
                    },
                };
                let planes = cast(planes);
                isa.dispatch(winograd::ConvPool { shape, planes, weights, bias, finish, out });
            }
            (Body::Codes { weights, bias, rest, zero }, Sums::Codes { to, .. }) => {
                isa.dispatch(RunPatches(Patches {
                    shape,
                    planes,
                    weights,
                    bias,
                    rest,
                    zero: *zero as u8,
                    bounds: centred_bounds(to.rule),
                    shift: shift(to.rule.zero_point),
                    multipliers: &to.multipliers,
                    out,
                }));
            }
            (Body::Codes { .. }, Sums::Reals { .. }) => unreachable!("codes have a rule"),
        }
    }

    /// From channels outermost to NHWC.
    fn interleave(&self, planar: &[u8], output: Output<'_>) {
        let layout = &self.layout;
        match (&self.sums, output) {
            (Sums::Reals { .. }, Output::F32(out)) => {
                let planar = cast::<f32>(planar);
                scatter(layout, out, |at| planar[at]);
            }
            (Sums::Codes { to, .. }, Output::I8(out)) => {
                let shift = to.rule.zero_point - Self::shift(layout.codes, to.rule.zero_point);
                match layout.codes {
                    Codes::F32 => {
                        let planar = cast::<f32>(planar);
                        scatter(layout, out, |at| (planar[at] as i32 + shift) as i8);
                    }
                    Codes::I16 => {
                        let planar = cast::<i16>(planar);
                        scatter(layout, out, |at| (i32::from(planar[at]) + shift) as i8);
                    }
                    Codes::U8 | Codes::I8 => {
                        scatter(layout, out, |at| planar[at].wrapping_add(shift as u8) as i8);
                    }
                }
            }
            (_, output) => mismatch("conv2d", output.dtype(), output.dtype()),
        }
    }
}

/// Writes the element that `get` finds at each place of the layout to its place in NHWC order.
fn scatter<T>(layout: &Planar, out: &mut [T], get: impl Fn(usize) -> T) {
    let [rows, columns] = layout.size;
    let mut pixels = out.chunks_exact_mut(layout.channels);
    for row in 0..rows {
        for column in 0..columns {
            let Some(pixel) = pixels.next() else { return };
            for (channel, out) in pixel.iter_mut().enumerate() {
                *out = get(channel * layout.lanes + row * layout.pitch + column);
            }
        }
    }
}

fn mask(layout: &Planar) -> Vec<f32> {
    let mut mask = vec![0.0; layout.lanes];
    for row in 0..layout.size[0] {
        mask[row * layout.pitch..][..layout.size[1]].fill(f32::from_bits(u32::MAX));
    }
    mask
}

impl Body {
    /// `None` where integers outgrow f32 and the set has no products of its own.
    fn new(
        op: &Attributes<'_>,
        sums: &Sums,
        quantization: Option<Quantization>,
        products: Option<Products>,
        codes: Codes,
    ) -> Option<Self> {
        match (sums, quantization, products) {
            (Sums::Reals { bias, .. }, _, _) => {
                let kernels = kernels(op, bias.len(), 0.0, |weight| match weight {
                    Weight::Real(w) => w,
                    Weight::Code(w) => f32::from(w),
                });
                let weights: Vec<f32> = kernels.into_iter().flat_map(transform).collect();
                // Sums and differences of larger ones could overflow where the products themselves do not.
                let moderate = weights.iter().all(|w| w.abs() < MODERATE);
                moderate.then(|| Body::Reals { weights, bias: bias.clone() })
            }
            (Sums::Codes { bias, .. }, Some(q), None) => {
                let exact = operand::worst_accumulator(&op.weights, bias, q.reach) <= EXACT_F32;
                let kernels = kernels(op, bias.len(), 0.0, |weight| f32::from(code(weight)));
                let weights = kernels.into_iter().flat_map(transform).collect();
                let bias = bias.iter().map(|&b| b as f32).collect();
                exact.then_some(Body::Reals { weights, bias })
            }
            (Sums::Codes { bias: rest, zero_point, .. }, Some(q), Some(products)) => {
                let kernels = kernels(op, rest.len(), 0, code);
                let to_dwords = match products {
                    Products::Pairs => patches::pairs,
                    Products::Quads => patches::quads,
                };
                let weights = kernels.into_iter().flat_map(to_dwords).collect();
                let zero = *zero_point + shift(codes, q.unsigned, *zero_point);
                let (mut bias, rest) = (rest.clone(), rest.clone());
                operand::fold_zero(&op.weights, &mut bias, zero);
                Some(Body::Codes { weights, bias, rest, zero })
            }
            (Sums::Codes { .. }, None, _) => None,
        }
    }
}

fn code(weight: Weight) -> i8 {
    match weight {
        Weight::Code(w) => w,
        Weight::Real(_) => 0,
    }
}

/// Every channel's nine weights, in row order.
fn kernels<T: Copy>(
    op: &Attributes<'_>,
    channels: usize,
    zero: T,
    convert: impl Fn(Weight) -> T,
) -> Vec<[T; 9]> {
    let mut kernels = vec![[zero; 9]; channels];
    operand::each_weight(&op.weights, |channel, tap, weight| {
        kernels[channel][tap] = convert(weight);
    });
    kernels
}
