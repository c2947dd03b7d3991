//! The tables as text, Markdown and JSON, each row with the article's beneath. It measures nothing.

use anyhow::Result;
use serde::Serialize;

use super::article;
use super::measure::{Row, TABLES};
use crate::host::Host;

/// Everything that a run found out.
pub(super) struct Report {
    /// The rows of tables 1, 2 and 3.
    pub(super) tables: [Vec<Row>; 3],
    pub(super) host: Host,
    pub(super) commit: String,
    pub(super) seeds: usize,
    pub(super) recipe: Vec<String>,
    /// What else is worth a line: zeros, agreement.
    pub(super) notes: Vec<String>,
}

/// results.json.
#[derive(Serialize)]
struct Results<'a> {
    tables: std::collections::BTreeMap<&'static str, &'a [Row]>,
    host: &'a Host,
    commit: &'a str,
    seeds: usize,
    recipe: &'a [String],
    notes: &'a [String],
}

impl Report {
    /// The JSON of results.json.
    pub(super) fn json(&self) -> Result<String> {
        let tables =
            TABLES.iter().zip(&self.tables).map(|(t, rows)| (t.number, &rows[..])).collect();
        let results = Results {
            tables,
            host: &self.host,
            commit: &self.commit,
            seeds: self.seeds,
            recipe: &self.recipe,
            notes: &self.notes,
        };
        Ok(serde_json::to_string_pretty(&results)? + "\n")
    }

    /// tables.md: tables, then recipe and host.
    pub(super) fn markdown(&self) -> String {
        let mut text = String::new();
        for (spec, rows) in TABLES.iter().zip(&self.tables) {
            text += &format!(
                "**Table {}: {}**\n\n{}\n",
                spec.number,
                spec.title,
                markdown_table(spec.number, rows)
            );
        }
        text += "Accuracy and its standard deviation are over seeds; seconds are the warm median (the first pass, with cold \
                 caches, beside it); speed-up and size ratio are against the same table's first row. Unlowered rows run in \
                 the training framework, with their checkpoint files as sizes; the article's sizes are of zipped files.\n\n";
        let seeds: Vec<String> = (0..self.seeds).map(|seed| seed.to_string()).collect();
        text += &format!("Seeds: {}. Recipe, chosen on validation data:\n\n", seeds.join(", "));
        for line in &self.recipe {
            text += &format!("    {line}\n");
        }
        text += "\n";
        for line in &self.notes {
            text += &format!("- {line}\n");
        }
        let h = &self.host;
        text += &format!(
            "\nHost: {}, {} cores, {} {}; {}; runtime kernels {}, training kernels {}. Commit {}.\n",
            h.machine.cpu,
            h.machine.cores,
            h.machine.os,
            h.machine.arch,
            h.rustc,
            h.runtime_isa,
            h.train_isa,
            self.commit
        );
        text
    }

    /// The tables for a terminal.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (spec, rows) in TABLES.iter().zip(&self.tables) {
            let mut table = comfy_table::Table::new();
            table.set_header(HEADER);
            for cells in body(spec.number, rows) {
                table.add_row(cells);
            }
            text += &format!("Table {}: {}\n{table}\n\n", spec.number, spec.title);
        }
        for line in self.recipe.iter().chain(&self.notes) {
            text += &format!("{line}\n");
        }
        text
    }
}

const HEADER: [&str; 8] =
    ["model", "accuracy", "seconds (cold)", "speed-up", "bytes", "size ratio", "gzip -9", "by"];

/// Our row and the article's, alternating.
fn body(number: &str, rows: &[Row]) -> Vec<[String; 8]> {
    let theirs = article::table(number);
    let mut cells = Vec::new();
    for row in rows {
        let accuracy = match row.accuracy_sd {
            0.0 => format!("{:.4}", row.accuracy),
            sd => format!("{:.4} ± {sd:.4}", row.accuracy),
        };
        cells.push([
            row.model.to_owned(),
            accuracy,
            format!("{} ({})", seconds(row.seconds), seconds(row.seconds_cold)),
            format!("{:.2}x", row.speedup),
            row.bytes.to_string(),
            format!("{:.2}x", row.size_ratio),
            row.gzip_bytes.to_string(),
            "Penjing".to_owned(),
        ]);
        if let (Some(a), Some(base)) =
            (theirs.iter().find(|a| a.model == row.model), theirs.first())
        {
            cells.push([
                String::new(),
                format!("{:.4}", a.accuracy),
                seconds(a.seconds),
                format!("{:.2}x", base.seconds / a.seconds),
                String::new(),
                format!("{:.2}x", base.zipped_bytes as f64 / a.zipped_bytes as f64),
                a.zipped_bytes.to_string(),
                "article".to_owned(),
            ]);
        }
    }
    cells
}

/// Three significant digits.
fn seconds(s: f64) -> String {
    let decimals = if s > 0.0 { (2.0 - s.log10().floor()).clamp(0.0, 9.0) as usize } else { 0 };
    format!("{s:.decimals$}")
}

fn markdown_table(number: &str, rows: &[Row]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut text = line(&HEADER.map(str::to_owned));
    text += "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n";
    body(number, rows).iter().for_each(|cells| text += &line(cells));
    text
}

#[cfg(test)]
mod tests {
    use super::super::measure::{made_up, rows};
    use super::*;

    #[test]
    fn each_row_has_the_articles_beneath() {
        let rows =
            rows(&TABLES[2], &[vec![made_up(0.98, 0.4, 98_000)], vec![made_up(0.97, 0.1, 19_600)]]);
        let body = body("3", &rows);
        assert_eq!(body.len(), 4);
        assert_eq!(
            body[2][..6],
            ["pruned_lite", "0.9700", "0.100 (0.200)", "4.00x", "19600", "5.00x"]
        );
        assert_eq!((&body[3][7][..], &body[3][6][..]), ("article", "24851"));
        assert!(markdown_table("3", &rows).lines().all(|l| l.matches('|').count() == 9));
    }

    #[test]
    fn seconds_have_three_significant_digits() {
        let shown = [3.528, 0.3200, 0.0721, 0.00499, 0.000_164_2, 0.0].map(seconds);
        assert_eq!(shown, ["3.53", "0.320", "0.0721", "0.00499", "0.000164", "0"]);
    }
}
