//! The arithmetic of holding two networks against each other on the same images: which layers belong together, how far
//! apart their values lie, which images change class. It opens no file and runs no network: `side` does.

use crate::check::argmax;

/// A layer of a network: an op that computes, and the value it yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Index of its node in the graph.
    pub node: usize,
    /// Its name, where the file keeps one.
    pub name: Option<String>,
    /// The op as the schema spells it: `conv2d`, `fully_connected`.
    pub op: &'static str,
    /// Dimensions of one image's output, without the batch.
    pub shape: Vec<u32>,
}

/// Layers of two networks that belong together, as indices into the lists they came from, and those left over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matching {
    /// A layer of A and one of B, both in order.
    pub pairs: Vec<(usize, usize)>,
    /// Layers of A without a partner.
    pub only_a: Vec<usize>,
    /// Layers of B without a partner.
    pub only_b: Vec<usize>,
}

/// Pairs layers of the same op and output shape, in order. Where the next two differ, as few layers as can be are passed
/// over until two fit again (of two ways with as many, the one that passes over fewer of A's).
#[must_use]
pub fn match_layers(a: &[Layer], b: &[Layer]) -> Matching {
    let fits = |i: usize, j: usize| a[i].op == b[j].op && a[i].shape == b[j].shape;
    let mut matching = Matching::default();
    let (mut i, mut j) = (0, 0);
    loop {
        let (rest_a, rest_b) = (a.len() - i, b.len() - j);
        let next = (0..rest_a + rest_b).find_map(|passed| {
            (passed.saturating_sub(rest_b)..=passed.min(rest_a))
                .map(|of_a| (i + of_a, j + passed - of_a))
                .find(|&(i, j)| i < a.len() && j < b.len() && fits(i, j))
        });
        let (to_i, to_j) = next.unwrap_or((a.len(), b.len()));
        matching.only_a.extend(i..to_i);
        matching.only_b.extend(j..to_j);
        if next.is_none() {
            return matching;
        }
        matching.pairs.push((to_i, to_j));
        (i, j) = (to_i + 1, to_j + 1);
    }
}

/// How far two sequences of values lie apart, over all that were added.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Distance {
    signal: f64,
    noise: f64,
    largest: f64,
}

impl Distance {
    /// Adds values of A and of B, which are as many.
    ///
    /// # Panics
    /// If they are not.
    pub fn add(&mut self, a: &[f32], b: &[f32]) {
        assert_eq!(a.len(), b.len(), "values of layers of one shape");
        for (&a, &b) in a.iter().zip(b) {
            let difference = difference(a, b);
            self.signal += f64::from(a) * f64::from(a);
            self.noise += difference * difference;
            self.largest = larger(self.largest, difference);
        }
    }

    /// Whether all values are the same.
    #[must_use]
    pub fn equal(&self) -> bool {
        self.largest == 0.0
    }

    /// Signal-to-quantization-noise ratio, `10 log10(sum a^2 / sum (a - b)^2)`, in dB. `None` where there is no noise.
    /// Negative infinity where there is no signal, NaN where a value is not finite.
    #[must_use]
    pub fn sqnr_db(&self) -> Option<f64> {
        (!self.equal()).then(|| 10.0 * (self.signal / self.noise).log10())
    }

    /// Adds what another distance has gathered.
    pub fn merge(&mut self, other: &Self) {
        self.signal += other.signal;
        self.noise += other.noise;
        self.largest = larger(self.largest, other.largest);
    }

    /// `sum (a - b)^2`.
    #[must_use]
    pub fn noise(&self) -> f64 {
        self.noise
    }

    /// The largest `|a - b|`.
    #[must_use]
    pub fn largest(&self) -> f64 {
        self.largest
    }
}

/// `|a - b|`; 0 for two infinities of one sign and for two NaN, which `==` would not tell.
fn difference(a: f32, b: f32) -> f64 {
    if a == b || (a.is_nan() && b.is_nan()) { 0.0 } else { (f64::from(a) - f64::from(b)).abs() }
}

/// The larger of two that are not negative; NaN is larger than all.
fn larger(a: f64, b: f64) -> f64 {
    if a.total_cmp(&b).is_lt() { b } else { a }
}

/// An image and what two networks make of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// Number of the image.
    pub index: usize,
    /// Its class as labelled, where there are labels.
    pub label: Option<usize>,
    /// The class that A names.
    pub class_a: usize,
    /// The class that B names.
    pub class_b: usize,
    /// The largest difference of a score.
    pub difference: f64,
}

/// What two networks make of images, counted image by image.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Images added.
    pub images: usize,
    /// Images that A classifies as labelled.
    pub correct_a: usize,
    /// Images that B classifies as labelled.
    pub correct_b: usize,
    /// Images for which the two name different classes, by number.
    pub disagreements: Vec<usize>,
    /// Of those, images that A classifies as labelled.
    pub only_a_correct: usize,
    /// Of those, images that B classifies as labelled.
    pub only_b_correct: usize,
    /// Images whose scores differ most, the worst first; none whose scores are the same.
    pub worst: Vec<Verdict>,
    /// Distance of all values that the two yield.
    pub scores: Distance,
    limit: usize,
}

impl Tally {
    /// An empty tally that keeps the `limit` worst images.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Adds image `index`, a higher number than those before it, with what A and B yield, the scores of the `classes` first.
    ///
    /// # Panics
    /// If A yields not as many values as B, or fewer than there are classes.
    pub fn add(
        &mut self,
        index: usize,
        label: Option<usize>,
        classes: usize,
        a: &[f32],
        b: &[f32],
    ) {
        let mut distance = Distance::default();
        distance.add(a, b);
        self.scores.add(a, b);
        let (class_a, class_b) = (argmax(&a[..classes]), argmax(&b[..classes]));
        let (hit_a, hit_b) = (Some(class_a) == label, Some(class_b) == label);
        self.images += 1;
        self.correct_a += usize::from(hit_a);
        self.correct_b += usize::from(hit_b);
        if class_a != class_b {
            self.disagreements.push(index);
            self.only_a_correct += usize::from(hit_a);
            self.only_b_correct += usize::from(hit_b);
        }
        let verdict = Verdict { index, label, class_a, class_b, difference: distance.largest() };
        if !distance.equal() {
            // after those that are as bad: of several, the first stay
            let at =
                self.worst.partition_point(|w| w.difference.total_cmp(&verdict.difference).is_ge());
            self.worst.insert(at, verdict);
            self.worst.truncate(self.limit);
        }
    }

    /// Images for which both name the same class.
    #[must_use]
    pub fn agreed(&self) -> usize {
        self.images - self.disagreements.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(text: &str) -> Vec<Layer> {
        let op = |c| match c {
            'c' | 'C' => "conv2d",
            'p' => "max_pool2d",
            _ => "fully_connected",
        };
        // capitals are of another shape
        let layer = |(node, c): (usize, char)| Layer {
            node,
            name: None,
            op: op(c),
            shape: vec![if c.is_uppercase() { 5 } else { 4 }],
        };
        text.chars().enumerate().map(layer).collect()
    }

    #[test]
    fn layers_are_paired_in_order_and_the_rest_is_named() {
        type Case<'a> = (&'a str, &'a str, &'a [(usize, usize)], &'a [usize], &'a [usize]);
        let cases: [Case<'_>; 9] = [
            ("cpf", "cpf", &[(0, 0), (1, 1), (2, 2)], &[], &[]),
            ("cpf", "pf", &[(1, 0), (2, 1)], &[0], &[]),
            ("pf", "cpf", &[(0, 1), (1, 2)], &[], &[0]),
            ("cCf", "cf", &[(0, 0), (2, 1)], &[1], &[]),
            ("cCpf", "ccpf", &[(0, 0), (2, 2), (3, 3)], &[1], &[1]),
            ("cp", "fC", &[], &[0, 1], &[0, 1]),
            ("", "f", &[], &[], &[0]),
            ("cf", "", &[], &[0, 1], &[]),
            ("cff", "cf", &[(0, 0), (1, 1)], &[2], &[]),
        ];
        for (a, b, pairs, only_a, only_b) in cases {
            let expected = Matching {
                pairs: pairs.to_vec(),
                only_a: only_a.to_vec(),
                only_b: only_b.to_vec(),
            };
            assert_eq!(match_layers(&layers(a), &layers(b)), expected, "{a:?} and {b:?}");
        }
    }

    #[test]
    fn the_ratio_is_that_of_sums_over_all_that_was_added() {
        let mut distance = Distance::default();
        assert_eq!((distance.equal(), distance.sqnr_db()), (true, None));
        distance.add(&[3.0, 4.0], &[3.0, 4.0]);
        assert_eq!((distance.equal(), distance.sqnr_db()), (true, None));
        // signal 25 + 75, noise 1: 20 dB
        distance.add(&[5.0, 5.0, 5.0], &[5.0, 4.0, 5.0]);
        assert_eq!((distance.equal(), distance.largest()), (false, 1.0));
        assert!((distance.sqnr_db().unwrap() - 20.0).abs() < 1e-12, "{distance:?}");
    }

    #[test]
    fn values_without_a_ratio_are_told_apart() {
        let of = |a: &[f32], b: &[f32]| {
            let mut distance = Distance::default();
            distance.add(a, b);
            (distance.equal(), distance.sqnr_db())
        };
        let (inf, nan) = (f32::INFINITY, f32::NAN);
        assert_eq!(of(&[0.0, 0.0], &[0.0, -0.0]), (true, None));
        assert_eq!(of(&[inf, nan], &[inf, nan]), (true, None));
        assert_eq!(of(&[0.0], &[0.5]), (false, Some(f64::NEG_INFINITY)));
        for (a, b) in [(nan, 1.0), (1.0, nan), (inf, 1.0), (inf, -inf)] {
            let (equal, ratio) = of(&[a, 1.0], &[b, 1.0]);
            assert!(!equal && ratio.unwrap().is_nan(), "{a} and {b}: {ratio:?}");
        }
    }

    #[test]
    fn images_are_counted_and_the_worst_kept() {
        let mut tally = Tally::new(2);
        let images: [(usize, [f32; 2], [f32; 2]); 5] = [
            (0, [2.0, 1.0], [2.0, 1.0]),  // both right, the same scores
            (0, [2.0, 1.0], [1.0, 1.5]),  // only A right
            (1, [2.0, 1.0], [1.0, 2.0]),  // only B right, as bad as the one before
            (1, [0.0, 1.0], [0.0, 5.0]),  // both right, the worst
            (0, [0.0, 1.0], [0.5, 0.75]), // both wrong, alike
        ];
        for (i, (label, a, b)) in images.iter().enumerate() {
            tally.add(10 + i, Some(*label), 2, a, b);
        }
        assert_eq!((tally.images, tally.agreed()), (5, 3));
        assert_eq!((tally.correct_a, tally.correct_b), (3, 3));
        assert_eq!(tally.disagreements, [11, 12]);
        assert_eq!((tally.only_a_correct, tally.only_b_correct), (1, 1));
        let worst: Vec<_> = tally.worst.iter().map(|w| (w.index, w.difference)).collect();
        assert_eq!(worst, [(13, 4.0), (11, 1.0)]);
        let first = tally.worst[0];
        assert_eq!((first.label, first.class_a, first.class_b), (Some(1), 1, 1));
        assert_eq!(tally.scores.largest(), 4.0);
    }

    #[test]
    fn a_score_that_is_no_number_is_the_worst_and_a_limit_of_none_keeps_none() {
        let (mut three, mut none) = (Tally::new(3), Tally::new(0));
        for (i, score) in [1.0, f32::NAN, 9.0].into_iter().enumerate() {
            three.add(i, None, 2, &[0.0, 0.0], &[0.0, score]);
            none.add(i, None, 1, &[0.0, 0.0], &[0.0, score]);
        }
        assert_eq!(three.worst.iter().map(|w| w.index).collect::<Vec<_>>(), [1, 2, 0]);
        assert!(none.worst.is_empty());
    }
}
