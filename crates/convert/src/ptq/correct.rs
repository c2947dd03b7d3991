//! Runs the quantized graph beside the f32 network, node by node: corrects the biases of each layer by the mean error of its
//! output channels, before the next layer runs, and measures.

use super::borders::Built;
use super::report::{LayerError, Report, WeightError};
use super::samples::Calibration;
use super::walk::{Batch, Walk, each, map};
use super::{PtqError, PtqOptions};
use crate::check::argmax;
use crate::compare::Distance;
use crate::eval::{self, Constants};
use crate::ir::{Bias, Graph, Node, Op, WeightData};

pub(super) fn correct(
    reference: &Graph,
    built: &mut Built,
    samples: &Calibration,
    options: &PtqOptions,
    threads: usize,
) -> Result<Report, PtqError> {
    let plain = |value: &crate::ir::Value| crate::ir::Value { quantization: None, ..value.clone() };
    let reference =
        Graph { inputs: reference.inputs.iter().map(plain).collect(), ..reference.clone() };
    let mut floats = Walk::new(&reference, samples, threads);
    let mut quantized = Walk::new(&built.graph, samples, threads);
    let mut report = Report { samples: samples.count(), ..Report::default() };
    for k in 0..built.graph.nodes.len() {
        let node = &built.graph.nodes[k];
        let mut y = quantized.linear(&built.graph, node, &constants(&built.graph, node));
        let Some(source) = built.from[k] else {
            finish(node, &mut y, threads);
            let node = node.clone();
            quantized.push(&node, y);
            continue;
        };
        let original = &reference.nodes[source];
        let mut wanted = floats.linear(&reference, original, &constants(&reference, original));
        let correction = (options.bias_correction && is_quantized(node))
            .then(|| mean_errors(&wanted, &y, node, threads));
        finish(original, &mut wanted, threads);
        let node = &mut built.graph.nodes[k];
        let corrected = correction.as_ref().map(|errors| shifted(&y, errors, threads));
        finish(node, &mut y, threads);
        let before = distance(&wanted, &y, threads);
        let mut layer = layer_error(node, before);
        if let (Some(mut better), Some(errors)) = (corrected, correction) {
            finish(node, &mut better, threads);
            let after = distance(&wanted, &better, threads);
            // the mean of what an activation cuts off may be worth less than it costs
            if after.noise() < before.noise() {
                shift_bias(node, &errors);
                (layer.after, layer.corrected, y) = (after, true, better);
            }
        }
        if !node.op.is_pass_through() {
            report.layers.push(layer);
        }
        let node = node.clone();
        quantized.push(&node, y);
        floats.push(original, wanted);
    }
    let outputs = reference.outputs.iter().zip(&built.graph.outputs);
    report.argmax_equal = outputs
        .map(|(&a, &b)| {
            let pairs = floats.value(a).iter().zip(quantized.value(b));
            pairs.filter(|(a, b)| argmax(a) == argmax(b)).count()
        })
        .collect();
    Ok(report)
}

fn constants(graph: &Graph, node: &Node) -> Constants {
    // weights and biases are real here: they need no scale to be read
    Constants::new(graph, node).unwrap_or(Constants::None)
}

/// Whether the node is a layer that is to become integers.
fn is_quantized(node: &Node) -> bool {
    node.op.layer().is_some_and(|(weights, _)| matches!(weights.data, WeightData::F32(_, Some(_))))
}

fn finish(node: &Node, y: &mut Batch, threads: usize) {
    each(y, threads, |y| eval::finish(node, y));
}

/// Mean of quantized less wanted, by output channel.
fn mean_errors(wanted: &Batch, found: &Batch, node: &Node, threads: usize) -> Vec<f32> {
    let channels = node.output.shape.last().unwrap_or(1) as usize;
    let sums = map(wanted.len(), threads, |i| {
        let mut sums = vec![0.0_f64; channels];
        for (wanted, found) in wanted[i].chunks_exact(channels).zip(found[i].chunks_exact(channels))
        {
            for ((sum, &w), &f) in sums.iter_mut().zip(wanted).zip(found) {
                *sum += f64::from(f) - f64::from(w);
            }
        }
        sums
    });
    let n = wanted.iter().map(Vec::len).sum::<usize>() / channels;
    let mut means = vec![0.0_f64; channels];
    for sums in sums {
        for (mean, sum) in means.iter_mut().zip(sums) {
            *mean += sum;
        }
    }
    means.into_iter().map(|sum| (sum / n.max(1) as f64) as f32).collect()
}

/// Values less the mean error of their channel.
fn shifted(y: &Batch, errors: &[f32], threads: usize) -> Batch {
    let mut shifted = y.clone();
    each(&mut shifted, threads, |y| {
        for position in y.chunks_exact_mut(errors.len()) {
            for (y, e) in position.iter_mut().zip(errors) {
                *y -= e;
            }
        }
    });
    shifted
}

fn shift_bias(node: &mut Node, errors: &[f32]) {
    if let Some((_, Bias::F32(bias))) = node.op.layer_mut() {
        for (bias, e) in bias.iter_mut().zip(errors) {
            *bias -= e;
        }
    }
}

fn distance(wanted: &Batch, found: &Batch, threads: usize) -> Distance {
    let parts = map(wanted.len(), threads, |i| {
        let mut distance = Distance::default();
        distance.add(&wanted[i], &found[i]);
        distance
    });
    let mut all = Distance::default();
    for part in parts {
        all.merge(&part);
    }
    all
}

fn layer_error(node: &Node, before: Distance) -> LayerError {
    let grid = node.output.quantization;
    LayerError {
        name: node.name.clone(),
        op: node.op.name(),
        range: grid.map(penjing_quant::QuantParams::range_i8),
        scale: grid.map(|grid| grid.scale),
        weights: weight_error(node),
        before,
        after: before,
        corrected: false,
    }
}

fn weight_error(node: &Node) -> Option<WeightError> {
    let (data, reals, scales) = match (&node.op, node.op.layer()) {
        (_, Some((weights, _))) => (&weights.data, weights.reals()?, weights.scales()?.len()),
        (Op::Add(op) | Op::Mul(op), _) => {
            let operand = op.operand.as_ref()?;
            (&operand.data, eval::reals(operand), 1)
        }
        _ => return None,
    };
    let WeightData::F32(data, Some(_)) = data else { return None };
    let mut distance = Distance::default();
    distance.add(data, &reals);
    let zeros = |values: &[f32]| values.iter().filter(|v| **v == 0.0).count();
    Some(WeightError { distance, scales, zeros_before: zeros(data), zeros: zeros(&reals) })
}
