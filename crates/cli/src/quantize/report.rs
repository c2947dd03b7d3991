//! What `penjing quantize` tells of each layer: a table for people, JSON for programs.

use std::io::Write;

use anyhow::Result;
use comfy_table::CellAlignment;
use penjing_convert::ptq;
use serde::Serialize;

use super::{QuantizeArgs, RangeChoice};
use crate::compare::DistanceReport;
use crate::model_file;

/// Characters of a layer's name in the table; JSON has all.
const NAME: usize = 32;

/// What `--report` writes.
#[derive(Serialize)]
pub(super) struct Report {
    source: String,
    output: String,
    /// Of the model file.
    bytes: usize,
    /// What the figures are over: the calibration samples.
    samples: usize,
    ranges: &'static str,
    /// By output: samples whose largest element is the same one in f32 and as quantized.
    argmax_equal: Vec<usize>,
    layers: Vec<Layer>,
}

#[derive(Serialize)]
struct Layer {
    name: String,
    op: &'static str,
    /// The reals that the output's integers span; `null` of a layer in f32.
    range: Option<[f32; 2]>,
    /// One step of them.
    scale: Option<f32>,
    weights: Option<Weights>,
    /// Of the output, with biases as they were.
    before: DistanceReport,
    /// Of the output as it is.
    after: DistanceReport,
    bias_corrected: bool,
}

#[derive(Serialize)]
struct Weights {
    #[serde(flatten)]
    error: DistanceReport,
    scales: usize,
    zeros_before: usize,
    zeros: usize,
}

impl Report {
    pub(super) fn new(args: &QuantizeArgs, report: &ptq::Report, bytes: usize) -> Self {
        Self {
            source: model_file::name(&args.source),
            output: model_file::name(&args.output),
            bytes,
            samples: report.samples,
            ranges: match args.ranges {
                RangeChoice::Minmax => "minmax",
                RangeChoice::Percentile => "percentile",
                RangeChoice::Mse => "mse",
            },
            argmax_equal: report.argmax_equal.clone(),
            layers: report.layers.iter().map(Layer::new).collect(),
        }
    }

    pub(super) fn print(&self, out: &mut impl Write) -> Result<()> {
        let mut table = crate::table::new();
        table.set_header([
            "#",
            "layer",
            "op",
            "range",
            "weights dB",
            "output dB",
            "corrected dB",
            "largest error",
        ]);
        for (number, layer) in self.layers.iter().enumerate() {
            let [before, _] = layer.before.cells();
            let [after, largest] = layer.after.cells();
            table.add_row([
                number.to_string(),
                cut(&layer.name),
                layer.op.to_owned(),
                layer.range.map_or_else(|| "f32".into(), |[lo, hi]| format!("{lo:.3} .. {hi:.3}")),
                layer.weights.as_ref().map_or_else(|| "-".into(), |w| w.error.cells()[0].clone()),
                before,
                if layer.bias_corrected { after } else { "-".into() },
                largest,
            ]);
        }
        for column in table.column_iter_mut().skip(3) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(out, "{table}")?;
        for (index, equal) in self.argmax_equal.iter().enumerate() {
            let of = if self.argmax_equal.len() > 1 {
                format!(" of output {index}")
            } else {
                String::new()
            };
            writeln!(
                out,
                "{} calibration samples: argmax{of} agrees with f32 on {:.2} %",
                self.samples,
                100.0 * *equal as f64 / self.samples as f64
            )?;
        }
        Ok(())
    }
}

impl Layer {
    fn new(layer: &ptq::LayerError) -> Self {
        Self {
            name: layer.name.clone(),
            op: layer.op,
            range: layer.range.map(|(lo, hi)| [lo, hi]),
            scale: layer.scale,
            weights: layer.weights.as_ref().map(|weights| Weights {
                error: DistanceReport::new(&weights.distance),
                scales: weights.scales,
                zeros_before: weights.zeros_before,
                zeros: weights.zeros,
            }),
            before: DistanceReport::new(&layer.before),
            after: DistanceReport::new(&layer.after),
            bias_corrected: layer.corrected,
        }
    }
}

/// The end of a long name, which tells more than its beginning: importers write paths.
fn cut(name: &str) -> String {
    let count = name.chars().count();
    if count <= NAME {
        return name.to_owned();
    }
    std::iter::once('…').chain(name.chars().skip(count - NAME + 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_keep_their_ends() {
        assert_eq!(cut("dense"), "dense");
        let long = format!("model/{}/Conv2D", "x".repeat(40));
        let short = cut(&long);
        assert_eq!(short.chars().count(), NAME);
        assert!(short.starts_with('…') && short.ends_with("xx/Conv2D"));
    }
}
