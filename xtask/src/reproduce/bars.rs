//! The bars that `--check` holds a run against. How they were measured is `measure`'s.

use super::article;
use super::measure::Row;

/// What the bars look at.
pub(super) struct Found<'a> {
    /// The rows of table 2.
    pub(super) table_2: &'a [Row],
    /// Lowered model, mean accuracy of its checkpoint, of its file.
    pub(super) lowered: Vec<(&'static str, f64, f64)>,
    /// Lowered model, zeros and elements of its dense kernel.
    pub(super) dense_zeros: Vec<(&'static str, u64, u64)>,
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
    for (name, zeros, elements) in &found.dense_zeros {
        if 10 * zeros != 8 * elements {
            missed.push(format!(
                "{name}: {zeros} zeros of {elements} in the dense kernel, expected 80.0 %"
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
            dense_zeros: vec![("pruned", zeros, 20_280)],
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
        assert_eq!(found(&slow, 16_223, 0.9839).len(), 4);
        let mut wrong = good();
        wrong[0][0] = made_up(0.9690, 0.1, 82_848);
        let lines = found(&wrong, 16_224, 0.985);
        assert!(lines.len() == 2 && lines.iter().all(|l| l.starts_with("baseline")), "{lines:?}");
    }
}
