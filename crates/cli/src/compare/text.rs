//! What `penjing compare` prints for people. The figures, and their JSON, are made by `compare`.

use std::io::Write;

use anyhow::Result;
use comfy_table::CellAlignment;

use super::{AgreementReport, DistanceReport, LayerId, Report, UnmatchedLayer};

/// Images told by number; `--json` tells all.
const LISTED: usize = 20;

impl Report {
    pub(super) fn print(&self, out: &mut impl Write) -> Result<()> {
        let mut table = crate::table::new();
        table.set_header(["", "file", "bytes", "parameters", "non-zero", "accuracy"]);
        for (side, file) in [("A", &self.a), ("B", &self.b)] {
            table.add_row([
                side.to_owned(),
                file.file.clone(),
                file.bytes.to_string(),
                file.parameters.to_string(),
                format!(
                    "{} ({:.1} %)",
                    file.nnz,
                    100.0 * file.nnz as f64 / file.parameters.max(1) as f64
                ),
                file.accuracy.map_or_else(|| "-".into(), |accuracy| format!("{accuracy:.4}")),
            ]);
        }
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(out, "{table}")?;
        writeln!(out, "size of A / size of B: {:.2}x", self.size_ratio)?;
        self.print_agreement(out)?;
        self.print_layers(out)?;
        self.print_worst(out)
    }

    fn print_agreement(&self, out: &mut impl Write) -> Result<()> {
        let AgreementReport { images, agreed, share, disagreements, .. } = &self.agreement;
        let (only_a, only_b) = (self.agreement.only_a_correct, self.agreement.only_b_correct);
        let samples = &self.samples;
        writeln!(
            out,
            "{samples}: argmax agrees on {agreed} of {images} images ({:.2} %)",
            100.0 * share
        )?;
        if disagreements.is_empty() {
            return Ok(());
        }
        let n = disagreements.len();
        let neither = n - only_a - only_b;
        let listed: Vec<String> =
            disagreements.iter().take(LISTED).map(ToString::to_string).collect();
        let more = match n - listed.len() {
            0 => String::new(),
            more => format!(" and {more} more (--json tells all)"),
        };
        if self.a.accuracy.is_some() {
            writeln!(
                out,
                "of the other {n}: A is right on {only_a}, B on {only_b}, neither on {neither}"
            )?;
        }
        writeln!(out, "they are images {}{more}", listed.join(", "))?;
        Ok(())
    }

    fn print_layers(&self, out: &mut impl Write) -> Result<()> {
        let mut table = crate::table::new();
        table.set_header(["layer", "output", "A", "B", "SQNR dB", "largest difference"]);
        for layer in &self.layers {
            let Some(distance) = &layer.distance else { continue };
            let [ratio, largest] = distance.cells();
            let shape = format!("{:?}", layer.shape);
            let (a, b) = (layer.a.describe(), layer.b.describe());
            table.add_row([layer.op.to_owned(), shape, a, b, ratio, largest]);
        }
        let [ratio, largest] = self.scores.cells();
        let none = String::new;
        table.add_row(["scores".to_owned(), none(), none(), none(), ratio, largest]);
        for column in table.column_iter_mut().skip(4) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let (layers, all) = (self.layer_images, self.agreement.images);
        writeln!(out, "\nlayers on {layers} images (A and B: node and name), scores on {all}")?;
        writeln!(out, "{table}")?;
        for (side, layers) in [("A", &self.unmatched.a), ("B", &self.unmatched.b)] {
            for UnmatchedLayer { op, shape, id } in layers {
                writeln!(out, "not matched: {op} {shape:?}, node {} of {side}", id.describe())?;
            }
        }
        Ok(())
    }

    fn print_worst(&self, out: &mut impl Write) -> Result<()> {
        if self.scores.equal {
            writeln!(out, "\nno image's scores differ")?;
            return Ok(());
        }
        if self.worst.is_empty() {
            return Ok(());
        }
        let mut table = crate::table::new();
        table.set_header(["image", "label", "A", "B", "difference"]);
        for w in &self.worst {
            let numbers = [Some(w.index), w.label, Some(w.a), Some(w.b)]
                .map(|n| n.map_or_else(|| "-".into(), |n| n.to_string()));
            table.add_row(numbers.into_iter().chain([short(w.difference)]));
        }
        for column in table.column_iter_mut() {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(out, "\nimages with the largest difference of a score (A and B: class)")?;
        writeln!(out, "{table}")?;
        Ok(())
    }
}

impl DistanceReport {
    /// Two cells of a table.
    pub(crate) fn cells(&self) -> [String; 2] {
        match self.sqnr_db {
            None => ["equal".into(), "0".into()],
            Some(db) => [format!("{db:.1}"), short(self.max_difference)],
        }
    }
}

impl LayerId {
    fn describe(&self) -> String {
        let name = self.name.as_deref().map_or_else(String::new, |n| format!(" {n}"));
        format!("{}{name}", self.node)
    }
}

/// Four decimals, and an exponent where those would hide the number.
fn short(difference: f64) -> String {
    if difference < 1e-3 { format!("{difference:.1e}") } else { format!("{difference:.4}") }
}
