//! Means of windows: average pools, and the mean over height and width, which is a pool of one window and a rule of its own.

use super::max_pool2d::MaxPool2d;
use super::mismatch;
use super::sums::{image_of, place_of};
use crate::arch::lanes::Set;
use crate::arch::{Isa, Kernel};
use crate::tensor::{Input, Output};
use core::ops::{AddAssign, Range};
use penjing_format::{Padding, QuantParams, Shape};
use penjing_quant::{Average, Mean};

/// Channels that are summed at once.
const CHANNELS: usize = 64;

/// Likewise, of what is left.
const FEW: usize = 16;

/// Elements whose f32 sum is joined with the rest: what keeps rounding errors small.
const CHUNK: usize = 128;

/// A window that slides, and what becomes of its sum.
pub(crate) struct AveragePool {
    name: &'static str,
    window: MaxPool2d,
    /// The rule of a mean of codes; a pool's is the same for all grids.
    mean: Option<Mean>,
}

impl AveragePool {
    /// A pool of this window.
    pub(crate) fn new(window: MaxPool2d) -> Self {
        Self { name: "average_pool2d", window, mean: None }
    }

    /// From `[1, H, W, C]`, else `None`; grids of integers. The file's check has seen that an i32 holds the sum.
    pub(crate) fn mean(from: Shape, grids: Option<[QuantParams; 2]>) -> Option<Self> {
        let [n, h, w, c] = from.as_4d()?;
        let window = [h, w];
        let op = penjing_format::MaxPool2d { window, stride: window, padding: Padding::default() };
        let window = MaxPool2d::new(&op, from, [n, 1, 1, c].into())?;
        let rule = |[input, output]: [QuantParams; 2]| Mean::new(h * w, input, output, [-128, 127]);
        Some(Self { name: "mean", window, mean: grids.map(rule) })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Runs on `images` images.
    pub(crate) fn run(&self, isa: Isa, input: Input<'_>, mut output: Output<'_>, images: usize) {
        for index in 0..images {
            let output = place_of(&mut output, index, images);
            isa.dispatch(Run { op: self, input: image_of(input, index, images), output });
        }
    }
}

/// One image; plain loops that LLVM vectorizes for each set.
struct Run<'a> {
    op: &'a AveragePool,
    input: Input<'a>,
    output: Output<'a>,
}

impl Kernel for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Set>(self, _: S) {
        let window = &self.op.window;
        match (self.input, self.output, self.op.mean) {
            (Input::F32(x), Output::F32(out), _) => pool(window, x, out, |count| {
                let factor = 1.0 / count as f32;
                move |sum: f32| sum * factor
            }),
            (Input::I8(x), Output::I8(out), Some(mean)) => {
                pool(window, x, out, |_| move |sum: i32| mean.apply(sum) as i8);
            }
            (Input::I8(x), Output::I8(out), None) => pool(window, x, out, |count| {
                let rule = Average::new(count as u32);
                move |sum: i32| rule.apply(sum) as i8
            }),
            (input, output, _) => mismatch(self.op.name, input.dtype(), output.dtype()),
        }
    }
}

/// What is summed.
trait Element: Copy {
    type Sum: Copy + Default + AddAssign;
    fn widen(self) -> Self::Sum;
}

impl Element for f32 {
    type Sum = f32;
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
}

impl Element for i8 {
    type Sum = i32;
    #[inline(always)]
    fn widen(self) -> i32 {
        i32::from(self)
    }
}

/// `finish` makes a rule of a window's elements that are no padding.
#[inline(always)]
fn pool<T: Element, F: Fn(T::Sum) -> T>(
    op: &MaxPool2d,
    input: &[T],
    output: &mut [T],
    finish: impl Fn(usize) -> F,
) {
    let channels = op.channels;
    let mut places = output.chunks_exact_mut(channels);
    for row in 0..op.output[0] {
        let rows = op.window_at(0, row);
        for column in 0..op.output[1] {
            let Some(place) = places.next() else { return };
            let columns = op.window_at(1, column);
            let finish = finish(rows.len() * columns.len());
            let window = Window { input, width: op.input[1], channels, rows: &rows, columns };
            let mut first = 0;
            let (mut many, rest) = (place.chunks_exact_mut(CHANNELS), channels % CHANNELS);
            for place in &mut many {
                window.finish::<CHANNELS, F>(first, place, &finish);
                first += CHANNELS;
            }
            let mut few = many.into_remainder().chunks_exact_mut(FEW);
            for place in &mut few {
                window.finish::<FEW, F>(first, place, &finish);
                first += FEW;
            }
            if rest % FEW > 0 {
                window.finish::<FEW, F>(first, few.into_remainder(), &finish);
            }
        }
    }
}

/// The elements of one window.
struct Window<'a, T> {
    input: &'a [T],
    width: usize,
    channels: usize,
    rows: &'a Range<usize>,
    columns: Range<usize>,
}

impl<T: Element> Window<'_, T> {
    /// Sums up to `N` channels from `first` on, as many as there are places, and writes what becomes of the sums.
    #[inline(always)]
    fn finish<const N: usize, F: Fn(T::Sum) -> T>(
        &self,
        first: usize,
        places: &mut [T],
        finish: &F,
    ) {
        let mut total = [T::Sum::default(); N];
        let mut sums = [T::Sum::default(); N];
        let mut left = CHUNK;
        for row in self.rows.clone() {
            let line = (row * self.width + self.columns.start) * self.channels;
            let line = &self.input[line..line + self.columns.len() * self.channels];
            for position in line.chunks_exact(self.channels) {
                let elements = &position[first..first + places.len()];
                if let Ok(elements) = <&[T; N]>::try_from(elements) {
                    for (sum, &x) in sums.iter_mut().zip(elements) {
                        *sum += x.widen();
                    }
                } else {
                    for (sum, &x) in sums.iter_mut().zip(elements) {
                        *sum += x.widen();
                    }
                }
                left -= 1;
                if left == 0 {
                    join(&mut total, &mut sums);
                    left = CHUNK;
                }
            }
        }
        join(&mut total, &mut sums);
        for (to, &sum) in places.iter_mut().zip(&total) {
            *to = finish(sum);
        }
    }
}

/// Takes sums over and leaves zeros.
#[inline(always)]
fn join<S: Copy + Default + AddAssign, const N: usize>(total: &mut [S; N], sums: &mut [S; N]) {
    for (total, sum) in total.iter_mut().zip(sums) {
        *total += *sum;
        *sum = S::default();
    }
}
