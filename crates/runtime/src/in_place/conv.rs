//! Convolutions and what is joined to them: a max-pool takes sums before they become codes, a fully connected layer takes codes a
//! few positions at a time. What lies between is never stored as a whole.

use super::feed::Feed;
use super::flaw::Flaw;
use super::gather::Gather;
use super::ops::{self, has};
use super::patches::Patches;
use super::step::{Step, Walk, Window};
use super::sums::Rows;
use super::ty::Ty;
use crate::arch::memory::halves;
use penjing_format::lean::op;

/// Positions of which the codes are kept until they go on.
pub(super) const TOGETHER: u32 = 4;

/// A convolution and what is joined to it.
#[derive(Clone, Copy)]
pub(super) struct Streamed<'a> {
    pub(super) conv: Step<'a>,
    /// The pool's window, and its value.
    pub(super) pool: Option<(Window, Ty)>,
    /// The fully connected layer.
    pub(super) feed: Option<Step<'a>>,
}

impl<'a> Streamed<'a> {
    /// Joins what follows node `first` as long as `more` allows it of a node's value; returns the last node joined, too.
    pub(super) fn join<const OPS: u32>(
        walk: &mut Walk<'_, 'a>,
        conv: Step<'a>,
        first: usize,
        more: impl Fn(usize) -> bool,
    ) -> Result<(usize, Self), Flaw> {
        let mut joined = Self { conv, pool: None, feed: None };
        let (mut end, mut index, mut ahead) = (first, first, *walk);
        while more(index) {
            index = index.wrapping_add(1);
            let step = ahead.step::<OPS>(index)?;
            let own = walk.model.n_inputs().wrapping_add(index) as u32;
            if step.input.0.wrapping_add(1) != own {
                break;
            }
            match step.node.op {
                op::MAX_POOL_2D if joined.pool.is_none() && end.wrapping_add(1) == index => {
                    let Window { size: [h, w], stride: [down, right], .. } = step.window;
                    if down < h || right < w {
                        break;
                    }
                    joined.pool = Some((step.window, step.output));
                }
                op::RESHAPE => continue,
                op::FULLY_CONNECTED if has::<OPS>(ops::FEED) && joined.gains(&step) => {
                    joined.feed = Some(step);
                }
                _ => break,
            }
            (end, *walk) = (index, ahead);
            if joined.feed.is_some() {
                break;
            }
        }
        Ok((end, joined))
    }

    /// Whether a layer's sums take less room than its input would.
    fn gains(&self, dense: &Step<'_>) -> bool {
        dense.output.elements().wrapping_mul(16) < dense.input.1.elements()
    }

    /// What is stored in the end.
    pub(super) fn output(&self) -> Ty {
        match (self.feed, self.pool) {
            (Some(step), _) => step.output,
            (None, Some((_, output))) => output,
            (None, None) => self.conv.output,
        }
    }

    /// The type of the values that go on: of each position all channels.
    pub(super) fn planes(&self) -> Ty {
        self.pool.map_or(self.conv.output, |(_, output)| output)
    }

    /// Whether the way for 3 x 3 over one channel under a pool of 2 x 2 is open.
    pub(super) fn is_patches(&self) -> bool {
        let conv = &self.conv;
        let pool = self.pool.is_some_and(|(pool, _)| {
            pool.size == [2; 2] && pool.stride == [2; 2] && pool.is_whole()
        });
        let Window { size, stride, dilation, .. } = conv.window;
        let plain = size == [3; 2] && stride == [1; 2] && dilation == [1; 2];
        pool && plain && conv.window.is_whole() && conv.input.1.channels() == 1
    }

    /// Words of scratch memory, in the order in which [`run`](Self::run) takes them.
    pub(super) fn scratch_words<const OPS: u32>(&self) -> Result<u32, Flaw> {
        let rows = Rows::new::<OPS>(&self.conv)?;
        let channels = self.conv.output.channels();
        let mut words = rows.scratch_words(rows.is_small());
        words = words.saturating_add(channels.saturating_mul(TOGETHER / 2));
        if let Some(dense) = &self.feed {
            words = words.saturating_add(Feed::scratch_words::<OPS>(dense)?);
        }
        if has::<OPS>(ops::PATCHES) && self.is_patches() {
            if !rows.is_small() && rows.weights.whole().is_none() {
                return Err(Flaw::Unsupported("so many packed weights of 3 x 3 over one channel"));
            }
            return Ok(words.saturating_add(channels.div_ceil(2)));
        }
        if !has::<OPS>(ops::WINDOWS) {
            return Err(Flaw::Unsupported(
                "a convolution of a shape that this session was not made for",
            ));
        }
        Ok(words.saturating_add(Gather::scratch_words(&self.conv, self.pool.map(|(pool, _)| pool))))
    }

    /// Runs on one image.
    pub(super) fn run<'s, const OPS: u32>(
        &self,
        input: &[u8],
        output: &'s mut [u8],
        mut scratch: &'s mut [u32],
        zero_out: i32,
    ) -> Option<()>
    where
        'a: 's,
    {
        let rows = Rows::new::<OPS>(&self.conv).ok()?;
        let rows = rows.prepare::<OPS>(rows.is_small(), &mut scratch)?;
        let channels = self.conv.output.channels();
        let kept = super::take(&mut scratch, channels.checked_mul(TOGETHER / 2)?)?;
        let planes = self.planes();
        let feed = match &self.feed {
            Some(dense) => Some(Feed::new::<OPS>(dense, &mut scratch)?),
            None => None,
        };
        let zero = planes.grid.zero_point;
        let mut sink = Sink { kept: halves(kept), filled: 0, output, at: 0, zero, feed };
        if has::<OPS>(ops::PATCHES) && self.is_patches() {
            Patches::new(&self.conv, planes, rows).run::<OPS>(input, scratch, &mut sink)?;
        } else if has::<OPS>(ops::WINDOWS) {
            self.windows::<OPS>(rows, input, scratch, &mut sink)?;
        }
        sink.finish::<OPS>(zero_out)
    }

    /// Convolutions of any shape: four positions of the convolution at once, or of a window of the pool.
    #[inline(never)]
    fn windows<const OPS: u32>(
        &self,
        rows: Rows<'_>,
        input: &[u8],
        mut scratch: &mut [u32],
        sink: &mut Sink<'_>,
    ) -> Option<()> {
        let mut gather = Gather::new(&self.conv, self.pool.map(|(pool, _)| pool), &mut scratch)?;
        let [h, w, _] = self.planes().dims;
        let count = h.checked_mul(w)?;
        let Some((pool, _)) = self.pool else {
            let mut position = 0;
            while position < count {
                let columns = count.wrapping_sub(position).min(TOGETHER);
                for column in 0..TOGETHER {
                    let here = position.wrapping_add(column.min(columns.wrapping_sub(1)));
                    let (y, x) = (here.checked_div(w)?, here.checked_rem(w)?);
                    gather.column(input, column, y, x);
                }
                rows.each::<OPS>(gather.patch, |channel, sums, rule| {
                    for (column, &sum) in sums.iter().enumerate().take(columns as usize) {
                        sink.set(
                            column.wrapping_mul(rows.channels()).wrapping_add(channel),
                            rule.distance(sum),
                        );
                    }
                });
                sink.advance::<OPS>(columns.wrapping_mul(rows.channels() as u32) as usize)?;
                position = position.wrapping_add(columns);
            }
            return Some(());
        };
        for y in 0..h {
            for x in 0..w {
                gather.pooled::<OPS>(input, &rows, &pool, [y, x])?;
                let best = &gather.best;
                rows.rules(|channel, rule| {
                    let sum = best.get(channel).map_or(0, |&sum| sum as i32);
                    sink.set(channel, rule.distance(sum));
                });
                sink.advance::<OPS>(rows.channels())?;
            }
        }
        Some(())
    }
}

/// Where codes go: so many positions are kept, and then go on.
pub(super) struct Sink<'s> {
    /// Distances of codes from their zero point, position by position.
    kept: &'s mut [i16],
    filled: usize,
    output: &'s mut [u8],
    /// Values that went on.
    at: usize,
    zero: i32,
    feed: Option<Feed<'s>>,
}

impl Sink<'_> {
    /// Value `offset` of the positions that are being made.
    #[inline(always)]
    pub(super) fn set(&mut self, offset: usize, distance: i32) {
        if let Some(slot) = self.kept.get_mut(self.filled.wrapping_add(offset)) {
            *slot = distance as i16;
        }
    }

    /// The places of the next `count` values.
    #[inline(always)]
    pub(super) fn next(&mut self, count: usize) -> &mut [i16] {
        self.kept.get_mut(self.filled..).and_then(|rest| rest.get_mut(..count)).unwrap_or_default()
    }

    /// `count` values are made. They go on where the next ones might find no room.
    #[inline(always)]
    pub(super) fn advance<const OPS: u32>(&mut self, count: usize) -> Option<()> {
        self.filled = self.filled.wrapping_add(count);
        if self.filled >= self.kept.len() { self.flush::<OPS>() } else { Some(()) }
    }

    /// What is kept goes on.
    #[inline(never)]
    fn flush<const OPS: u32>(&mut self) -> Option<()> {
        let kept = self.kept.get(..self.filled)?;
        match &mut self.feed {
            Some(feed) if has::<OPS>(ops::FEED) => feed.take::<OPS>(kept, self.at as u32),
            _ => {
                let places = self.output.get_mut(self.at..)?.iter_mut();
                for (place, &distance) in places.zip(kept) {
                    *place = i32::from(distance).wrapping_add(self.zero) as u8;
                }
            }
        }
        self.at = self.at.wrapping_add(self.filled);
        self.filled = 0;
        Some(())
    }

    /// After the last value.
    fn finish<const OPS: u32>(&mut self, zero: i32) -> Option<()> {
        self.flush::<OPS>()?;
        match &self.feed {
            Some(feed) if has::<OPS>(ops::FEED) => feed.finish(self.output, zero),
            _ => Some(()),
        }
    }
}
