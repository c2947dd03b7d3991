//! Convolutions of 3 x 3 over one channel under a max-pool of 2 x 2: what the four sums of a pooled position need is one patch of
//! 4 x 4 elements, read once. A patch of nothing but the zero point yields what the bias alone does, and takes no multiplication.

use super::conv::Sink;
use super::sums::Rules;
use super::ty::{Codes, Ty};
use crate::arch::memory::halves;
use crate::arch::small;

pub(super) struct Patches<'s> {
    rules: Rules<'s>,
    codes: Codes,
    /// Elements of a row of the input.
    stride: usize,
    /// Pooled rows and columns.
    plane: [usize; 2],
}

impl<'s> Patches<'s> {
    pub(super) fn new(input: &Ty, pooled: &Ty, rules: Rules<'s>) -> Self {
        let ([_, stride, _], [h, w, _]) = (input.dims, pooled.dims);
        let plane = [h as usize, w as usize];
        Self { rules, codes: input.codes(), stride: stride as usize, plane }
    }

    /// Runs on one image.
    #[inline(never)]
    pub(super) fn run<const OPS: u32>(
        &self,
        input: &[u8],
        mut scratch: &mut [u32],
        sink: &mut Sink<'_>,
    ) -> Option<()> {
        let channels = self.rules.channels();
        let words = super::take(&mut scratch, channels.div_ceil(2) as u32)?;
        let background = halves(words).get_mut(..channels)?;
        self.rules.each_rule(|channel, rule| {
            if let Some(slot) = background.get_mut(channel) {
                *slot = rule.distance(rule.bias) as i16;
            }
        });
        let ([h, w], mut patch) = (self.plane, small::Patch::EMPTY);
        for y in 0..h {
            for x in 0..w {
                let first =
                    y.wrapping_mul(2).wrapping_mul(self.stride).wrapping_add(x.wrapping_mul(2));
                let (bytes, Codes { flip, zero }) = (input.get(first..)?, self.codes);
                let places = sink.next(channels).iter_mut();
                if patch.load(bytes, self.stride, flip, zero)? {
                    for (place, (row, rule)) in places.zip(self.rules.nines()) {
                        *place = rule.distance(patch.largest(row, rule.bias)) as i16;
                    }
                } else {
                    places.zip(&*background).for_each(|(place, &x)| *place = x);
                }
                sink.advance::<OPS>(channels)?;
            }
        }
        Some(())
    }
}
