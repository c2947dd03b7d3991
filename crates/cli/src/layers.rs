//! `penjing bench --per-layer`: time, MACs and share of every group of ops that the runtime runs as one. The clock is the
//! runtime's; which passes there are and what else they tell is `bench`'s.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use comfy_table::CellAlignment;
use penjing_runtime::{Model, Profile};
use serde::Serialize;

/// One group, as a row of the table and an element of `layers` of `--json`.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Layer {
    /// First and last of the file's nodes that the group does. Nodes in no group, reshapes, take no time.
    nodes: [usize; 2],
    /// What it does, such as `conv2d+max_pool2d`.
    name: &'static str,
    /// Of the last node's output, in the file's axis order.
    shape: Vec<u32>,
    /// For one image, as a direct convolution does them, padding included.
    macs: u64,
    /// The least of the passes' means.
    us_per_image: f64,
    /// 10^9 MACs a second; none where there is nothing to multiply.
    gmac_per_s: Option<f64>,
    /// Of the sum of all groups' times; 0 to 1.
    share: f64,
}

/// The groups' least times over passes of one session; the model's file tells their shapes.
pub(crate) fn layers(path: &Path, passes: &[Profile]) -> Result<Vec<Layer>> {
    let model = Model::open(path).with_context(|| path.display().to_string())?;
    let shapes = model
        .view()
        .walk()
        .map(|step| Ok(step?.output.ty.shape.dims().to_vec()))
        .collect::<Result<Vec<_>>>()
        .with_context(|| path.display().to_string())?;
    let Some(first) = passes.first() else { bail!("--per-layer: no pass was timed") };
    let mut layers = Vec::with_capacity(first.groups().len());
    for (index, group) in first.groups().iter().enumerate() {
        let last = group.nodes.end.saturating_sub(1);
        let shape = shapes.get(last).with_context(|| {
            format!("{}: has no node {last} any more: the file was replaced", path.display())
        })?;
        let us_per_image = least(passes.iter().map(|pass| {
            let group = &pass.groups()[index];
            group.seconds / group.images as f64 * 1e6
        }));
        layers.push(Layer {
            nodes: [group.nodes.start, last],
            name: group.name,
            shape: shape.clone(),
            macs: group.macs,
            us_per_image,
            gmac_per_s: gmac_per_s(group.macs, us_per_image),
            share: 0.0,
        });
    }
    let sum = us_sum(&layers);
    for layer in &mut layers {
        layer.share = share(layer.us_per_image, sum);
    }
    Ok(layers)
}

fn least(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(f64::INFINITY, f64::min)
}

fn us_sum(layers: &[Layer]) -> f64 {
    layers.iter().map(|layer| layer.us_per_image).sum()
}

/// A sum below the clock's resolution has no shares.
fn share(us: f64, sum: f64) -> f64 {
    if sum > 0.0 { us / sum } else { 0.0 }
}

fn gmac_per_s(macs: u64, us: f64) -> Option<f64> {
    (macs > 0 && us > 0.0).then(|| macs as f64 / us / 1e3)
}

/// A row a group and one for their sum.
pub(crate) fn print(layers: &[Layer], out: &mut impl Write) -> Result<()> {
    let mut table = crate::table::new();
    table.set_header(["#", "nodes", "name", "output", "us/image", "MACs", "GMAC/s", "share"]);
    let figures = |us: f64, macs: u64, share: f64| {
        [
            format!("{us:.3}"),
            if macs == 0 { "-".to_owned() } else { macs.to_string() },
            gmac_per_s(macs, us).map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}")),
            format!("{:.1} %", 100.0 * share),
        ]
    };
    for (index, layer) in layers.iter().enumerate() {
        let [first, last] = layer.nodes;
        let nodes = if first == last { first.to_string() } else { format!("{first}-{last}") };
        let text = [index.to_string(), nodes, layer.name.to_owned(), format!("{:?}", layer.shape)];
        table.add_row(text.into_iter().chain(figures(layer.us_per_image, layer.macs, layer.share)));
    }
    let (sum, macs) = (us_sum(layers), layers.iter().map(|layer| layer.macs).sum());
    let text = ["", "", "total", ""].map(str::to_owned);
    table.add_row(text.into_iter().chain(figures(sum, macs, share(sum, sum))));
    for column in table.column_iter_mut().skip(4) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    writeln!(out, "{table}")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_needs_macs_and_time() {
        assert_eq!(gmac_per_s(3_000, 1.5), Some(2.0));
        assert_eq!(gmac_per_s(0, 1.5), None);
        assert_eq!(gmac_per_s(3_000, 0.0), None);
    }

    #[test]
    fn the_table_has_a_row_a_group_and_their_sum() {
        let layer = |nodes, name, macs, us_per_image, share| Layer {
            nodes,
            name,
            shape: vec![1, 5, 5, 6],
            macs,
            us_per_image,
            gmac_per_s: gmac_per_s(macs, us_per_image),
            share,
        };
        let layers = [
            layer([0, 1], "conv2d+max_pool2d", 6_000, 1.5, 0.75),
            layer([3, 3], "dequantize", 0, 0.5, 0.25),
        ];
        let mut out = Vec::new();
        print(&layers, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let rows: Vec<Vec<&str>> =
            text.lines().skip(2).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            rows,
            [
                "0 0-1 conv2d+max_pool2d [1, 5, 5, 6] 1.500 6000 4.0 75.0 %",
                "1 3 dequantize [1, 5, 5, 6] 0.500 - - 25.0 %",
                "total 2.000 6000 3.0 100.0 %",
            ]
            .map(|row| row.split(' ').collect::<Vec<_>>())
        );
    }
}
