//! From what was seen of a value to the range that its grid spans: a histogram, and three ways to choose.

use penjing_quant::{ActivationRange, QuantParams};

use super::walk::map;

/// Bins of a histogram: a dozen and more a step of the grid that spans it.
const BINS: usize = 4096;

/// How a range is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Ranges {
    /// All that was seen.
    MinMax,
    /// All but the share of values that lies beyond this percentile, above and below; 99.99 leaves out one in ten thousand
    /// on either side.
    Percentile(f64),
    /// The range whose grid has the least mean squared error, rounding and clipping together.
    #[default]
    Mse,
}

/// Counts of a value's elements over its range. Exact zeros are counted apart: every grid holds them exactly.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Histogram {
    min: f32,
    max: f32,
    zeros: u64,
    bins: Vec<u64>,
}

impl Histogram {
    /// Of all samples of a value. `None` if an element is not finite.
    pub(super) fn of(samples: &[Vec<f32>], threads: usize) -> Option<Self> {
        let extremes = map(samples.len(), threads, |i| {
            let finite = samples[i].iter().all(|x| x.is_finite());
            let fold = |(lo, hi): (f32, f32), &x: &f32| (lo.min(x), hi.max(x));
            finite.then(|| samples[i].iter().fold((0.0, 0.0), fold))
        });
        let (mut min, mut max) = (0.0_f32, 0.0_f32);
        for extreme in extremes {
            let (lo, hi) = extreme?;
            (min, max) = (min.min(lo), max.max(hi));
        }
        let mut all = Self { min, max, zeros: 0, bins: vec![0; BINS] };
        // as many parts as threads: counts add up to the same whatever the parts are
        let per = samples.len().div_ceil(threads.max(1)).max(1);
        let parts: Vec<&[Vec<f32>]> = samples.chunks(per).collect();
        let parts = map(parts.len(), threads, |i| {
            let mut part = Self { bins: vec![0; BINS], ..all };
            for &x in parts[i].iter().flatten() {
                part.add(x, 1);
            }
            part
        });
        for part in parts {
            all.zeros += part.zeros;
            for (sum, n) in all.bins.iter_mut().zip(part.bins) {
                *sum += n;
            }
        }
        Some(all)
    }

    fn add(&mut self, x: f32, n: u64) {
        if x == 0.0 {
            self.zeros += n;
            return;
        }
        let width = (self.max - self.min) / BINS as f32;
        let bin = ((x - self.min) / width) as usize;
        self.bins[bin.min(BINS - 1)] += n;
    }

    /// Of both values together.
    pub(super) fn merge(&self, other: &Self) -> Self {
        let mut all = Self {
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            zeros: self.zeros + other.zeros,
            bins: vec![0; BINS],
        };
        for part in [self, other] {
            for (x, n) in part.filled() {
                all.add(x, n);
            }
        }
        all
    }

    /// Centres and counts of the bins that are not empty.
    fn filled(&self) -> impl Iterator<Item = (f32, u64)> {
        let width = (self.max - self.min) / BINS as f32;
        let centre = move |(i, &n): (usize, &u64)| (self.min + (i as f32 + 0.5) * width, n);
        self.bins.iter().enumerate().filter(|(_, n)| **n > 0).map(centre)
    }

    /// The range that `ranges` chooses.
    pub(super) fn range(&self, ranges: Ranges) -> ActivationRange {
        let all = ActivationRange { min: self.min, max: self.max };
        match ranges {
            Ranges::MinMax => all,
            Ranges::Percentile(percentile) => self.percentile(percentile),
            Ranges::Mse => self.least_error(all),
        }
    }

    fn percentile(&self, percentile: f64) -> ActivationRange {
        let n = self.zeros + self.bins.iter().sum::<u64>();
        let beyond = (n as f64 * (1.0 - percentile / 100.0)).max(0.0) as u64;
        let width = (self.max - self.min) / BINS as f32;
        // the outer edge of the bin in which the count from that end passes `beyond`, but not across 0
        let passed = |bins: &mut dyn Iterator<Item = &u64>| {
            let mut sum = 0;
            bins.take_while(|&&n| {
                sum += n;
                sum <= beyond
            })
            .count()
        };
        let below = passed(&mut self.bins.iter()) as f32;
        let above = passed(&mut self.bins.iter().rev()) as f32;
        ActivationRange {
            min: (self.min + below * width).min(0.0),
            max: (self.max - above * width).max(0.0),
        }
    }

    /// Shrinks both ends together, then each by itself, as long as the squared error becomes smaller.
    fn least_error(&self, all: ActivationRange) -> ActivationRange {
        let values: Vec<(f32, u64)> = self.filled().collect();
        let scaled = |lo: f32, hi: f32| ActivationRange { min: all.min * lo, max: all.max * hi };
        let error = |lo, hi| squared_error(&values, scaled(lo, hi).params_i8());
        let shares = || (1..=100).rev().map(|i| i as f32 / 100.0);
        let best = |candidates: &mut dyn Iterator<Item = (f32, f32)>| {
            let mut least = (f64::INFINITY, (1.0, 1.0));
            for (lo, hi) in candidates {
                let e = error(lo, hi);
                if e < least.0 {
                    least = (e, (lo, hi));
                }
            }
            least.1
        };
        let (mut lo, mut hi) = best(&mut shares().map(|s| (s, s)));
        for _ in 0..2 {
            (lo, hi) = best(&mut shares().map(|s| (lo, s)));
            if all.min < 0.0 {
                (lo, hi) = best(&mut shares().map(|s| (s, hi)));
            }
        }
        scaled(lo, hi)
    }
}

fn squared_error(values: &[(f32, u64)], grid: QuantParams) -> f64 {
    let term = |&(x, n): &(f32, u64)| {
        let e = f64::from(x - grid.fake_quantize_i8(x));
        e * e * n as f64
    };
    values.iter().map(term).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One sample whose elements are the quantiles of a distribution.
    fn quantiles(n: usize, inverse: impl Fn(f64) -> f64) -> Vec<Vec<f32>> {
        vec![(0..n).map(|i| inverse((i as f64 + 0.5) / n as f64) as f32).collect()]
    }

    fn laplace(p: f64) -> f64 {
        if p < 0.5 { (2.0 * p).ln() } else { -(2.0 * (1.0 - p)).ln() }
    }

    #[test]
    fn least_error_of_a_laplace_distribution_is_the_known_clip() {
        // Banner et al. 2019 (arXiv 1810.05723), 8 bits: clipping at 9.89 b
        let seen = Histogram::of(&quantiles(2_000_000, laplace), 2).unwrap();
        assert!(seen.max > 14.0);
        let range = seen.range(Ranges::Mse);
        assert!((range.max - 9.89).abs() < 0.35, "{range:?}");
        assert!((range.min + 9.89).abs() < 0.35, "{range:?}");
    }

    #[test]
    fn least_error_of_a_uniform_distribution_is_all_of_it() {
        let seen = Histogram::of(&quantiles(100_000, |p| 6.0 * p), 1).unwrap();
        let range = seen.range(Ranges::Mse);
        assert_eq!((range.min, range.max), (0.0, seen.max));
    }

    #[test]
    fn one_outlier_is_left_out_by_percentile_and_error_but_not_by_min_and_max() {
        let mut samples = quantiles(100_000, |p| p);
        samples.push(vec![1000.0]);
        let seen = Histogram::of(&samples, 2).unwrap();
        assert_eq!(seen.range(Ranges::MinMax).max, 1000.0);
        // a bin is a quarter wide
        assert!((seen.range(Ranges::Percentile(99.99)).max - 1.0).abs() < 0.25);
        assert_eq!(seen.range(Ranges::Percentile(100.0)).max, 1000.0);
    }

    #[test]
    fn zeros_do_not_count_for_the_error_but_for_percentiles() {
        let mut samples = quantiles(1000, |p| p);
        samples.push(vec![0.0; 999_000]);
        let seen = Histogram::of(&samples, 1).unwrap();
        assert!((seen.range(Ranges::Mse).max - 1.0).abs() < 0.01);
        assert!((seen.range(Ranges::Percentile(99.95)).max - 0.5).abs() < 0.01);
    }

    #[test]
    fn threads_and_merging_change_nothing() {
        let samples: Vec<Vec<f32>> =
            (0..7).map(|i| vec![i as f32 - 3.0, 0.1 * i as f32, 0.0]).collect();
        let one = Histogram::of(&samples, 1).unwrap();
        for threads in 2..9 {
            assert_eq!(Histogram::of(&samples, threads).unwrap(), one);
        }
        let halves: Vec<_> =
            samples.chunks(3).map(|half| Histogram::of(half, 1).unwrap()).collect();
        let merged = halves[0].merge(&halves[1]).merge(&halves[2]);
        assert_eq!((merged.min, merged.max, merged.zeros), (one.min, one.max, one.zeros));
        assert_eq!(merged.bins.iter().sum::<u64>(), one.bins.iter().sum::<u64>());
    }

    #[test]
    fn what_is_not_finite_has_no_range() {
        assert_eq!(Histogram::of(&[vec![1.0], vec![f32::NAN]], 2), None);
        let empty = Histogram::of(&[vec![0.0; 4]], 1).unwrap();
        for ranges in [Ranges::MinMax, Ranges::Percentile(99.0), Ranges::Mse] {
            assert!(empty.range(ranges).params_i8().is_valid(-128, 127));
        }
    }
}
