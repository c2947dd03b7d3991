//! Instruction sets: a token for each, and the table of kernels that possession of a token opens.
//!
//! Dispatch happens once, when a session is planned. Loops over geometry live in `ops`; here are only the inner kernels.

pub(crate) mod portable;

use crate::error::Error;
use alloc::string::String;
use core::fmt;
use core::ops::Range;
use penjing_quant::Requantize;

/// The environment variable that forces an instruction set.
#[cfg(feature = "std")]
pub const ISA_VARIABLE: &str = "PENJING_ISA";

/// An instruction set that this machine has: a value of this type proves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    Portable,
}

impl Isa {
    /// Plain Rust, on any machine.
    pub const PORTABLE: Isa = Isa(Set::Portable);

    /// Names that [`from_name`](Self::from_name) knows, best last.
    pub const NAMES: &'static [&'static str] = &["portable"];

    /// The best set that this machine has.
    #[must_use]
    pub fn detect() -> Self {
        Self::PORTABLE
    }

    /// The set of that name, if this version knows it and this machine has it.
    pub fn from_name(name: &str) -> Result<Self, Error> {
        match name {
            "portable" => Ok(Self::PORTABLE),
            _ => Err(Error::Isa { requested: String::from(name), choices: Self::NAMES }),
        }
    }

    /// What `PENJING_ISA` names; the best set where it is unset or empty.
    #[cfg(feature = "std")]
    pub fn from_env() -> Result<Self, Error> {
        Self::from_variable(std::env::var_os(ISA_VARIABLE))
    }

    #[cfg(feature = "std")]
    fn from_variable(value: Option<std::ffi::OsString>) -> Result<Self, Error> {
        match value {
            Some(name) if !name.is_empty() => Self::from_name(&name.to_string_lossy()),
            _ => Ok(Self::detect()),
        }
    }

    /// Its name, as `PENJING_ISA` takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Set::Portable => "portable",
        }
    }

    /// Its kernels.
    pub(crate) fn kernels(self) -> &'static Kernels {
        match self.0 {
            Set::Portable => &PORTABLE,
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A dense layer of one image: input, weights `[out][in]`, bias, output.
type Dense<T, A> = fn(&[T], &[T], &[A], &mut [A]);

/// One instruction set's inner kernels.
pub(crate) struct Kernels {
    /// A convolution's, by the number of output channels in lanes.
    pub(crate) conv: &'static [ConvKernels],
    /// Input, weights `[out][in]`, bias, output.
    pub(crate) dense_f32: Dense<f32, f32>,
    /// Centred input, weights `[out][in]`, bias, sums.
    pub(crate) dense_i16: Dense<i16, i32>,
    /// Codes, zero point, `q - zero_point`.
    pub(crate) center_i8_f32: fn(&[i8], i32, &mut [f32]),
    pub(crate) center_u8_f32: fn(&[u8], i32, &mut [f32]),
    pub(crate) center_i8_i16: fn(&[i8], i32, &mut [i16]),
    pub(crate) center_u8_i16: fn(&[u8], i32, &mut [i16]),
}

/// The kernels of a convolution with tiles of `lanes` output channels.
pub(crate) struct ConvKernels {
    pub(crate) lanes: usize,
    /// Sums in f32: of reals, or of integers that stay within 2^24.
    pub(crate) f32: SumKernels<f32>,
    /// Sums of integers in i32.
    pub(crate) i32: SumKernels<i32>,
    /// Sums, ReLU or not, channels, output row.
    pub(crate) store: fn(&[f32], bool, usize, &mut [f32]),
}

/// Kernels over rows of sums of one type, `[width][lanes]`.
pub(crate) struct SumKernels<A> {
    /// Writes a row of sums.
    pub(crate) conv: fn(&ConvRow<'_, A>, &mut [A]),
    /// Pools a row into another; `true` for the first row of a window.
    pub(crate) pool: fn(&PoolRow, &[A], &mut [A], bool),
    /// Sums, a multiplier a lane, the tensor's rule, channels, output row.
    pub(crate) requantize: fn(&[A], &[f32], Requantize, usize, &mut [i8]),
}

/// `L` lanes, and `P` output columns that share a load of weights: as many as keep all sums in the 16 registers of SSE2.
const fn portable_conv<const L: usize, const P: usize>() -> ConvKernels {
    ConvKernels {
        lanes: L,
        f32: SumKernels {
            conv: portable::conv_row::<f32, L, P>,
            pool: portable::pool_row::<f32, L>,
            requantize: portable::requantize_row::<f32, L>,
        },
        i32: SumKernels {
            conv: portable::conv_row::<i32, L, P>,
            pool: portable::pool_row::<i32, L>,
            requantize: portable::requantize_row::<i32, L>,
        },
        store: portable::store_row::<L>,
    }
}

static PORTABLE: Kernels = Kernels {
    conv: &[portable_conv::<12, 2>(), portable_conv::<8, 4>(), portable_conv::<4, 8>()],
    dense_f32: portable::dense_f32,
    dense_i16: portable::dense_i16,
    center_i8_f32: portable::center_f32::<i8>,
    center_u8_f32: portable::center_f32::<u8>,
    center_i8_i16: portable::center_i16::<i8>,
    center_u8_i16: portable::center_i16::<u8>,
};

impl Kernels {
    /// The convolution kernels that pad `channels` least; among equals, those with more lanes.
    pub(crate) fn conv_for(&self, channels: usize) -> &'static ConvKernels {
        let mut best = &self.conv[0];
        for kernels in self.conv {
            let padded = |k: &ConvKernels| channels.next_multiple_of(k.lanes);
            if padded(kernels) < padded(best) {
                best = kernels;
            }
        }
        best
    }
}

/// What a kernel needs for one output row of a convolution.
pub(crate) struct ConvRow<'a, A> {
    /// One image, `[height][width][channels]`; integers are centred (`q - zero_point`), so that padding is 0.
    pub(crate) input: &'a [f32],
    /// `[tile][kernel_h][kernel_w][channels][lanes]`: tiles of output channels.
    pub(crate) weights: &'a [f32],
    /// One a lane of every tile.
    pub(crate) bias: &'a [A],
    /// Kernel height and width.
    pub(crate) kernel: [usize; 2],
    /// Rows and columns between taps.
    pub(crate) dilation: [usize; 2],
    /// Columns between outputs.
    pub(crate) stride_w: usize,
    /// Rows of padding above.
    pub(crate) pad_top: usize,
    /// Columns of padding to the left.
    pub(crate) pad_left: usize,
    /// Input columns.
    pub(crate) width: usize,
    /// Input channels.
    pub(crate) channels: usize,
    /// Output columns.
    pub(crate) out_width: usize,
    /// Output channels, rounded up to whole tiles.
    pub(crate) out_lanes: usize,
    /// The first tap's row in the padded input.
    pub(crate) top: usize,
    /// Kernel rows that lie inside the input.
    pub(crate) kernel_rows: Range<usize>,
    /// Output columns whose windows lie inside the input.
    pub(crate) inside: Range<usize>,
}

impl<A> ConvRow<'_, A> {
    /// The kernel columns that lie inside the input, for one output column.
    #[inline]
    pub(crate) fn clip_column(&self, column: usize) -> Range<usize> {
        let start = column * self.stride_w;
        clip(start, self.pad_left, self.kernel[1], self.dilation[1], self.width)
    }
}

/// What a kernel needs to pool a row along its columns.
#[derive(Clone, Debug)]
pub(crate) struct PoolRow {
    /// Columns of a window.
    pub(crate) window: usize,
    /// Columns between windows.
    pub(crate) stride: usize,
    /// Columns of padding to the left.
    pub(crate) pad_left: usize,
    /// Input columns.
    pub(crate) width: usize,
    /// Output columns.
    pub(crate) out_width: usize,
    /// Channels, rounded up to whole tiles.
    pub(crate) lanes: usize,
}

impl PoolRow {
    /// The input columns of an output column's window; never none.
    #[inline]
    pub(crate) fn clip_column(&self, column: usize) -> Range<usize> {
        clip_window(column * self.stride, self.pad_left, self.window, self.width)
    }
}

/// The taps of a window starting at `start` of the padded axis that lie inside the `len` elements after `pad`.
#[inline]
pub(crate) fn clip(
    start: usize,
    pad: usize,
    taps: usize,
    dilation: usize,
    len: usize,
) -> Range<usize> {
    let first = pad.saturating_sub(start).div_ceil(dilation).min(taps);
    let end = (pad + len).saturating_sub(start).div_ceil(dilation).min(taps);
    first..end.max(first)
}

/// The elements of an axis of `len` that lie in a pool's window starting at `start` of the axis with `pad` before it.
#[inline]
pub(crate) fn clip_window(start: usize, pad: usize, window: usize, len: usize) -> Range<usize> {
    start.max(pad) - pad..(start + window).min(pad + len) - pad
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clip_equals_a_count() {
        for (start, pad, taps, dilation, len) in
            [0_usize, 1, 2, 5, 9].into_iter().flat_map(|start| {
                [(0, 3, 1, 4), (2, 3, 1, 4), (3, 2, 2, 1), (4, 5, 3, 6), (1, 1, 1, 1)]
                    .map(|(pad, taps, dilation, len)| (start, pad, taps, dilation, len))
            })
        {
            let want: alloc::vec::Vec<usize> =
                (0..taps).filter(|t| (pad..pad + len).contains(&(start + t * dilation))).collect();
            let found: alloc::vec::Vec<usize> = clip(start, pad, taps, dilation, len).collect();
            assert_eq!(found, want, "{start} {pad} {taps} {dilation} {len}");
        }
    }

    #[test]
    fn an_unknown_set_names_the_choices() {
        let error = Isa::from_name("mmx").unwrap_err();
        let text = alloc::string::ToString::to_string(&error);
        assert!(text.contains("mmx") && text.contains("portable"), "{text}");
        assert_eq!(Isa::from_name("portable").unwrap(), Isa::PORTABLE);
        for unset in [None, Some("".into())] {
            assert_eq!(Isa::from_variable(unset).unwrap(), Isa::detect());
        }
        assert!(Isa::from_variable(Some("portable".into())).is_ok());
        assert!(Isa::from_variable(Some("Portable ".into())).is_err());
    }
}
