//! The bars that `--check` holds a run against. How they were measured is `measure`'s.

use super::article;
use super::measure::Row;

/// Lowered model, zeros and elements of its dense kernel seed by seed.
pub(super) type DenseZeros = (&'static str, Vec<(u64, u64)>);

/// What the bars look at.
pub(super) struct Found<'a> {
    /// The rows of table 2.
    pub(super) table_2: &'a [Row],
    /// Lowered model, mean accuracy of its checkpoint, of its file.
    pub(super) lowered: Vec<(&'static str, f64, f64)>,
    pub(super) dense_zeros: Vec<DenseZeros>,
}

const ACCURACY: [(&str, f64); 6] = [
    ("baseline", 0.980),
    ("pruned", 0.976),
    ("qat", 0.980),
    ("pruned_lite", 0.976),
    ("qat_lite", 0.980),
    ("pruned_qat_lite", 0.976),
];
const BYTES: [(&str, u64); 3] =
    [("pruned_lite", 19_800), ("qat_lite", 21_600), ("pruned_qat_lite", 7_600)];
const SECONDS: f64 = 0.2;
const LOWERING: f64 = 0.001;
/// Percent, to one decimal; and no weight fewer, since rounding to int8 only adds zeros.
const DENSE_ZEROS: &str = "80.0 %";

fn is_pruned(count: &(u64, u64)) -> bool {
    10 * count.0 >= 8 * count.1 && zeros(count) == DENSE_ZEROS
}

/// A kernel's zeros as percent of its elements, to one decimal.
pub(super) fn zeros(&(zeros, elements): &(u64, u64)) -> String {
    format!("{:.1} %", 100.0 * zeros as f64 / elements as f64)
}

/// One line for each bar that was missed.
pub(super) fn missed(found: &Found<'_>) -> Vec<String> {
    let mut missed = Vec::new();
    let theirs = article::table("2");
    for row in found.table_2 {
        let name = row.model;
        for (_, bar) in ACCURACY.iter().filter(|(model, _)| *model == name) {
            if row.accuracy < *bar {
                missed
                    .push(format!("{name}: accuracy {:.4}, expected at least {bar}", row.accuracy));
            }
        }
        for a in theirs.iter().filter(|a| a.model == name && row.accuracy <= a.accuracy) {
            missed.push(format!(
                "{name}: accuracy {:.4}, expected above the article's {}",
                row.accuracy, a.accuracy
            ));
        }
        for (_, bar) in BYTES.iter().filter(|(model, _)| *model == name) {
            if row.bytes > *bar {
                missed.push(format!("{name}: {} bytes, expected at most {bar}", row.bytes));
            }
            if row.seconds > SECONDS {
                missed.push(format!("{name}: {:.3} s, expected at most {SECONDS}", row.seconds));
            }
        }
    }
    for (name, checkpoint, file) in &found.lowered {
        if (checkpoint - file).abs() > LOWERING {
            missed.push(format!("{name}: lowered {file:.4}, its checkpoint {checkpoint:.4}, expected within {LOWERING}"));
        }
    }
    for (name, counts) in &found.dense_zeros {
        for (seed, count) in counts.iter().enumerate().filter(|(_, c)| !is_pruned(c)) {
            missed.push(format!(
                "{name}: {} zeros of {} in the dense kernel of seed {seed}, expected {DENSE_ZEROS}",
                count.0, count.1
            ));
        }
    }
    missed
}

#[cfg(test)]
mod tests {
    use super::super::measure::{Bench, TABLES, made_up, rows};
    use super::*;

    fn found(measured: &[Vec<Bench>], zeros: u64, lowered: f64) -> Vec<String> {
        let rows = rows(&TABLES[1], measured);
        missed(&Found {
            table_2: &rows,
            lowered: vec![("pruned", 0.985, lowered)],
            dense_zeros: vec![("pruned", vec![(16_224, 20_280), (zeros, 20_280)])],
        })
    }

    #[test]
    fn each_bar_is_named_when_it_is_missed() {
        let good = || {
            let of = |bytes| vec![made_up(0.985, 0.1, bytes)];
            vec![of(82_848), of(83_200), of(83_320), of(19_800), of(21_600), of(7_600)]
        };
        assert_eq!(found(&good(), 16_224, 0.985), Vec::<String>::new());
        let mut slow = good();
        slow[4][0] = made_up(0.985, 0.21, 21_601);
        let lines = found(&slow, 16_223, 0.9839);
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert!(lines.iter().any(|l| l.contains("16223 zeros") && l.contains("seed 1")));
        let mut wrong = good();
        wrong[0][0] = made_up(0.9690, 0.1, 82_848);
        let lines = found(&wrong, 16_224, 0.985);
        assert!(lines.len() == 2 && lines.iter().all(|l| l.starts_with("baseline")), "{lines:?}");
    }
}
