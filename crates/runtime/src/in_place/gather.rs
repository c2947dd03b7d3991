//! Patches of an input for convolutions of any shape: of four positions at once, distances from the zero point, in the order in
//! which [`small::columns`] reads them. Padding is 0.

use super::conv::Streamed;
use super::pools::bounds;
use super::step::Window;
use super::sums::Rules;
use super::ty::Codes;
use crate::arch::memory::halves;
use crate::arch::small::{self, QUAD};

pub(super) struct Gather<'s> {
    /// Taps by four columns.
    pub(super) patch: &'s mut [i16],
    /// The largest sums so far of a pooled position, a channel each.
    pub(super) best: &'s mut [u32],
    window: Window,
    codes: Codes,
    /// Rows, columns and channels of the input.
    dims: [u32; 3],
    /// Rows and columns of the convolution.
    plane: [u32; 2],
}

impl<'s> Gather<'s> {
    /// Words of scratch memory.
    pub(super) fn scratch_words(conv: &Streamed<'_>) -> u32 {
        let (patch, best) = Self::parts(conv);
        patch.saturating_add(best)
    }

    fn parts(conv: &Streamed<'_>) -> (u32, u32) {
        let patch = conv.rows.row_len().div_ceil(4).saturating_mul(QUAD as u32 / 2);
        (patch, if conv.pool.is_some() { conv.rows.channels() as u32 } else { 0 })
    }

    pub(super) fn new(conv: &Streamed<'_>, scratch: &mut &'s mut [u32]) -> Option<Self> {
        let (patch, best) = Self::parts(conv);
        let patch = super::take(scratch, patch)?;
        // Taps past the last are 0 for good.
        patch.fill(0);
        let best = super::take(scratch, best)?;
        Some(Self {
            patch: halves(patch),
            best,
            window: conv.window,
            codes: conv.input.codes(),
            dims: conv.input.dims,
            plane: conv.plane,
        })
    }

    /// Fills a column with what position (y, x) of the convolution sees.
    #[inline(never)]
    pub(super) fn column(&mut self, input: &[u8], column: u32, y: u32, x: u32) {
        let Window { size, stride, dilation, before, .. } = self.window;
        let [height, width, channels] = self.dims;
        let ([size_h, size_w], [down, right]) = (size.map(u32::from), stride.map(u32::from));
        let [dilation_h, dilation_w] = dilation.map(u32::from);
        let [top, left] = before.map(u32::from);
        let (y, x) =
            (y.wrapping_mul(down).wrapping_sub(top), x.wrapping_mul(right).wrapping_sub(left));
        let mut tap = 0_usize;
        for kernel_y in 0..size_h {
            let row = y.wrapping_add(kernel_y.wrapping_mul(dilation_h));
            for kernel_x in 0..size_w {
                let at = x.wrapping_add(kernel_x.wrapping_mul(dilation_w));
                // Above and to the left numbers wrapped around, and are too large as well.
                let seen = row < height && at < width;
                let first = row.wrapping_mul(width).wrapping_add(at).wrapping_mul(channels);
                let seen = if seen { input.get(first as usize..).unwrap_or(&[]) } else { &[] };
                let mut seen = seen.iter();
                for _ in 0..channels {
                    let distance = seen.next().map_or(0, |&byte| self.codes.distance(byte));
                    let place = small::place(tap).wrapping_add(column.wrapping_mul(2) as usize);
                    if let Some(slot) = self.patch.get_mut(place) {
                        *slot = distance as i16;
                    }
                    tap = tap.wrapping_add(1);
                }
            }
        }
    }

    /// The largest sums of a pool's window at (y, x), four positions at a time.
    #[inline(never)]
    pub(super) fn pooled<const OPS: u32>(
        &mut self,
        input: &[u8],
        rules: &Rules<'_>,
        pool: &Window,
        [y, x]: [u32; 2],
    ) {
        let ([down, right], [h, w]) = (pool.stride.map(u32::from), pool.size.map(u32::from));
        let ([top, left], [height, width]) = (pool.before.map(u32::from), self.plane);
        // A window may be far larger than what it sees.
        let (above, below) = bounds(y, down, top, h, height);
        let (from, to) = bounds(x, right, left, w, width);
        self.best.fill(i32::MIN as u32);
        let mut column = 0;
        for row in above..below {
            for at in from..to {
                self.column(input, column, row, at);
                column = column.wrapping_add(1);
                let last = row.wrapping_add(1) == below && at.wrapping_add(1) == to;
                if column == 4 || last {
                    self.raise::<OPS>(rules, column as usize);
                    column = 0;
                }
            }
        }
    }

    fn raise<const OPS: u32>(&mut self, rules: &Rules<'_>, columns: usize) {
        let best = &mut *self.best;
        rules.each::<OPS>(self.patch, |channel, sums, _| {
            if let Some(best) = best.get_mut(channel) {
                let of = sums.iter().take(columns).fold(*best as i32, |best, &sum| best.max(sum));
                *best = of as u32;
            }
        });
    }
}
