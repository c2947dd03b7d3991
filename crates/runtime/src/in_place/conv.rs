//! Convolutions and what is joined to them: a max-pool takes sums before they become codes, a fully connected layer takes codes a
//! few positions at a time. What lies between is never stored as a whole.

use super::feed::Feed;
use super::flaw::Flaw;
use super::gather::Gather;
use super::ops::{self, has};
use super::patches::Patches;
use super::step::{Step, Walk, Window};
use super::sums::{Rows, Rules};
use super::ty::Ty;
use crate::arch::memory::halves;
use penjing_format::lean::op;

/// Positions of which the codes are kept until they go on.
pub(super) const TOGETHER: u32 = 8;

/// A convolution and what is joined to it.
pub(super) struct Streamed<'a> {
    pub(super) rows: Rows<'a>,
    pub(super) window: Window,
    /// Number and type of the value that it reads.
    pub(super) id: u32,
    pub(super) input: Ty,
    /// Rows and columns of the convolution.
    pub(super) plane: [u32; 2],
    pub(super) pool: Option<Window>,
    /// Type of the codes that go on: of each position all channels.
    planes: Ty,
    feed: Option<Rows<'a>>,
    /// What is stored in the end.
    pub(super) output: Ty,
}

impl<'a> Streamed<'a> {
    /// Nothing yet.
    pub(super) const EMPTY: Self = Self {
        rows: Rows::EMPTY,
        window: Window::NONE,
        id: 0,
        input: Ty::NONE,
        plane: [0; 2],
        pool: None,
        planes: Ty::NONE,
        feed: None,
        output: Ty::NONE,
    };

    /// The convolution alone.
    fn begin<const OPS: u32>(&mut self, step: &Step<'a>) -> Result<(), Flaw> {
        let [h, w, _] = step.output.dims;
        self.window = step.window;
        self.id = step.id;
        self.input = step.input;
        self.plane = [h, w];
        self.planes = step.output;
        self.output = step.output;
        self.rows.read::<OPS>(step)
    }

    /// Of node `index`, where the walk stands, and what follows as long as `more` allows it of a node's value. `index` becomes the
    /// last node joined, or the one that an error is about.
    #[inline(never)]
    pub(super) fn join<const OPS: u32>(
        &mut self,
        walk: &mut Walk<'_, 'a>,
        index: &mut usize,
        more: &dyn Fn(usize) -> bool,
    ) -> Result<(), Flaw> {
        self.begin::<OPS>(&walk.step)?;
        let (mut end, mut types) = (*index, walk.types);
        while more(*index) && self.feed.is_none() {
            *index = index.wrapping_add(1);
            walk.go::<OPS>(*index)?;
            let step = &walk.step;
            if step.id.wrapping_add(1) != walk.own(*index) {
                break;
            }
            match step.node.op {
                op::MAX_POOL_2D if self.pool.is_none() && end.wrapping_add(1) == *index => {
                    let Window { size: [h, w], stride: [down, right], .. } = step.window;
                    if down < h || right < w {
                        break;
                    }
                    self.pool = Some(step.window);
                    self.planes = step.output;
                }
                op::RESHAPE => continue,
                op::FULLY_CONNECTED if has::<OPS>(ops::FEED) => {
                    // The sums must take less room than the layer's input would.
                    if step.output.elements().saturating_mul(16) >= step.input.elements() {
                        break;
                    }
                    self.feed.insert(Rows::EMPTY).read::<OPS>(step)?;
                }
                _ => break,
            }
            self.output = step.output;
            (end, types) = (*index, walk.types);
        }
        (walk.types, *index) = (types, end);
        Ok(())
    }

    /// The ways that it takes.
    #[cfg(feature = "alloc")]
    pub(super) fn ways(&self) -> u32 {
        let feed = if self.feed.is_some() { ops::FEED } else { 0 };
        feed | if self.is_patches() { ops::PATCHES } else { ops::WINDOWS }
    }

    /// Whether the way for 3 x 3 over one channel under a pool of 2 x 2 is open.
    fn is_patches(&self) -> bool {
        let plain = |window: &Window, size: u16, stride: u16| {
            window.size == [size; 2] && window.stride == [stride; 2] && window.is_whole()
        };
        // Rows of nine weights must lie in whole bytes, or be few enough to be expanded.
        let at_hand = self.rows.is_small() || self.rows.weights.whole().is_some();
        at_hand
            && self.pool.is_some_and(|pool| plain(&pool, 2, 2))
            && plain(&self.window, 3, 1)
            && self.window.dilation == [1; 2]
            && self.input.channels() == 1
    }

    /// Words of scratch memory, in the order in which [`run`](Self::run) takes them.
    #[inline(never)]
    pub(super) fn scratch_words<const OPS: u32>(&self) -> Result<u32, Flaw> {
        let channels = self.rows.channels() as u32;
        let mut words = self.rows.scratch_words(self.rows.is_small());
        words = words.saturating_add(channels.saturating_mul(TOGETHER / 2));
        if let Some(dense) = &self.feed {
            words = words.saturating_add((dense.channels() as u32).saturating_mul(4));
        }
        if has::<OPS>(ops::PATCHES) && self.is_patches() {
            return Ok(words.saturating_add(channels.div_ceil(2)));
        }
        if !has::<OPS>(ops::WINDOWS) {
            return Err(Flaw::Unsupported("a convolution that this session was not made for"));
        }
        Ok(words.saturating_add(Gather::scratch_words(self)))
    }

    /// Runs on one image.
    #[inline(never)]
    pub(super) fn run<'s, const OPS: u32>(
        &'s mut self,
        input: &[u8],
        output: &'s mut [u8],
        mut scratch: &'s mut [u32],
    ) -> Option<()> {
        let expand = self.rows.is_small();
        let rules = self.rows.prepare::<OPS>(expand, &mut scratch)?;
        let kept = super::take(&mut scratch, (rules.channels() as u32).checked_mul(TOGETHER / 2)?)?;
        let feed = match &self.feed {
            Some(rows) if has::<OPS>(ops::FEED) => Some(Feed::new::<OPS>(rows, &mut scratch)?),
            _ => None,
        };
        let zeros = [self.planes.zero_point, self.output.zero_point].map(i32::from);
        let mut sink = Sink { kept: halves(kept), filled: 0, output, at: 0, zeros, feed };
        if has::<OPS>(ops::PATCHES) && self.is_patches() {
            Patches::new(&self.input, &self.planes, rules).run::<OPS>(input, scratch, &mut sink)?;
        } else if has::<OPS>(ops::WINDOWS) {
            self.windows::<OPS>(&rules, input, scratch, &mut sink)?;
        }
        sink.finish::<OPS>()
    }
}

impl Streamed<'_> {
    /// Convolutions of any shape: four positions of the convolution at once, or of a window of the pool.
    #[inline(never)]
    fn windows<const OPS: u32>(
        &self,
        rules: &Rules<'_>,
        input: &[u8],
        mut scratch: &mut [u32],
        sink: &mut Sink<'_>,
    ) -> Option<()> {
        let mut gather = Gather::new(self, &mut scratch)?;
        let [h, w, _] = self.planes.dims;
        let channels = rules.channels();
        let Some(pool) = &self.pool else {
            let (mut columns, mut made) = (0_u32, 0_u32);
            let count = h.checked_mul(w)?;
            for y in 0..h {
                for x in 0..w {
                    gather.column(input, columns, y, x);
                    (columns, made) = (columns.wrapping_add(1), made.wrapping_add(1));
                    if columns < 4 && made < count {
                        continue;
                    }
                    rules.each::<OPS>(gather.patch, |channel, sums, rule| {
                        for (column, &sum) in sums.iter().enumerate().take(columns as usize) {
                            let place = column.wrapping_mul(channels).wrapping_add(channel);
                            sink.set(place, rule.distance(sum));
                        }
                    });
                    sink.advance::<OPS>(channels.wrapping_mul(columns as usize))?;
                    columns = 0;
                }
            }
            return Some(());
        };
        for y in 0..h {
            for x in 0..w {
                gather.pooled::<OPS>(input, rules, pool, [y, x]);
                let best = &gather.best;
                rules.each_rule(|channel, rule| {
                    let sum = best.get(channel).map_or(0, |&sum| sum as i32);
                    sink.set(channel, rule.distance(sum));
                });
                sink.advance::<OPS>(channels)?;
            }
        }
        Some(())
    }
}

/// Where codes go: those of a few positions are kept, and then go on.
pub(super) struct Sink<'s> {
    /// Distances of codes from their zero point, position by position.
    kept: &'s mut [i16],
    filled: usize,
    output: &'s mut [u8],
    /// Values that went on.
    at: usize,
    /// Zero points of what is kept, and of the output.
    zeros: [i32; 2],
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
                    *place = i32::from(distance).wrapping_add(self.zeros[0]) as u8;
                }
            }
        }
        self.at = self.at.wrapping_add(self.filled);
        self.filled = 0;
        Some(())
    }

    /// After the last value.
    #[inline(never)]
    fn finish<const OPS: u32>(&mut self) -> Option<()> {
        self.flush::<OPS>()?;
        if let Some(feed) = &self.feed
            && has::<OPS>(ops::FEED)
        {
            feed.finish(self.output, self.zeros[1]);
        }
        Some(())
    }
}
