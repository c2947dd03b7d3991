//! The article's own figures, copied from its three tables, to print beneath ours. Its sizes are of zipped files; it gives
//! no raw sizes, and no standard deviations.

/// A row of one of the article's tables.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ArticleRow {
    /// The row's key in results.json.
    pub(super) model: &'static str,
    /// Fraction of the table's test images that are classified as labelled.
    pub(super) accuracy: f64,
    /// Seconds for all the table's batches.
    pub(super) seconds: f64,
    /// Bytes of the zipped file.
    pub(super) zipped_bytes: u64,
}

const fn row(model: &'static str, accuracy: f64, seconds: f64, zipped_bytes: u64) -> ArticleRow {
    ArticleRow { model, accuracy, seconds, zipped_bytes }
}

/// One batch of 32 images.
const TABLE_1: [ArticleRow; 6] = [
    row("baseline", 0.96875, 0.072, 78_117),
    row("pruned", 0.96875, 0.0379, 25_584),
    row("qat", 1.0, 0.062025, 79_774),
    row("pruned_lite", 0.9375, 0.00499, 24_851),
    row("qat_lite", 0.9375, 0.01199, 17_690),
    row("pruned_qat_lite", 0.96875, 0.0030, 8_044),
];

/// 313 batches in a loop.
const TABLE_2: [ArticleRow; 6] = [
    row("baseline", 0.9699, 0.3200, 78_117),
    row("pruned", 0.9719, 0.27707, 25_584),
    row("qat", 0.97315, 0.3164, 79_774),
    row("pruned_lite", 0.9707, 0.28508, 24_851),
    row("qat_lite", 0.9777, 3.52852, 17_690),
    row("pruned_qat_lite", 0.9723, 0.4626, 8_044),
];

/// 313 batches on threads.
const TABLE_3: [ArticleRow; 4] = [
    row("baseline", 0.97345, 0.3202, 78_093),
    row("pruned_lite", 0.9707, 0.2515, 24_851),
    row("qat_lite", 0.9777, 0.2339, 17_690),
    row("pruned_qat_lite", 0.9684, 0.2660, 8_342),
];

/// The rows of table `number`, the baseline first.
pub(super) fn table(number: &str) -> &'static [ArticleRow] {
    match number {
        "1" => &TABLE_1,
        "2" => &TABLE_2,
        "3" => &TABLE_3,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reproduce::measure::TABLES;

    #[test]
    fn each_of_our_rows_has_one_of_the_article() {
        for ours in &TABLES {
            let models: Vec<&str> = ours.models.iter().map(|model| model.key).collect();
            let theirs: Vec<&str> = table(ours.number).iter().map(|row| row.model).collect();
            assert_eq!(models, theirs, "table {}", ours.number);
        }
    }
}
