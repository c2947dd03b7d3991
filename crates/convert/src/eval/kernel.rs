//! Constants of convolutions and dense layers as reals, laid out so that the inner loop runs over a block of output
//! channels whose sums stay in registers. Geometry is `windows`'.

use crate::ir::{Bias, WeightData, Weights};
use penjing_format::ChannelAxis;

/// Output channels whose sums are kept at once.
const BLOCK: usize = 16;

/// A layer's weights and bias.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// Of a first channel axis: `[out_channels / BLOCK][elements of a channel][BLOCK]`, filled up with zeros. Of a last
    /// one: as in the graph.
    pub(super) weights: Vec<f32>,
    /// One an output channel.
    pub(super) bias: Vec<f32>,
}

impl Kernel {
    /// `None` where the bias is of integers and the input, whose scale is `s_in`, has no grid.
    pub(super) fn new(weights: &Weights, bias: &Bias, s_in: Option<f32>) -> Option<Self> {
        let bias = match bias {
            Bias::F32(bias) => bias.clone(),
            Bias::I32(codes) => {
                let scales = match &weights.data {
                    WeightData::I8(_, scales) => scales.clone(),
                    WeightData::F32(..) => weights.scales()?,
                };
                let scale = |c| s_in.map(|s| s * scales[if scales.len() == 1 { 0 } else { c }]);
                let real = |(c, &q): (usize, &i32)| Some(q as f32 * scale(c)?);
                codes.iter().enumerate().map(real).collect::<Option<_>>()?
            }
        };
        let reals = weights.dequantized().or_else(|| weights.reals())?;
        let weights = match weights.axis {
            ChannelAxis::First => blocked(&reals, weights.out_channels()),
            ChannelAxis::Last => reals,
        };
        Some(Self { weights, bias })
    }

    /// Adds `weights[channel][from..from + x.len()] * x` to the sums of each run's channels and appends the sums to `y`:
    /// the products of one window whose taps lie in `runs` (where in a channel's weights, elements).
    pub(super) fn products(&self, runs: &[(usize, &[f32])], y: &mut Vec<f32>) {
        let channels = self.bias.len();
        let row = self.weights.len() / channels.div_ceil(BLOCK);
        for (bias, weights) in self.bias.chunks(BLOCK).zip(self.weights.chunks_exact(row)) {
            let mut sums = [0.0_f32; BLOCK];
            sums[..bias.len()].copy_from_slice(bias);
            let weights = weights.as_chunks::<BLOCK>().0;
            for &(from, x) in runs {
                for (&x, weights) in x.iter().zip(&weights[from..from + x.len()]) {
                    for (sum, &w) in sums.iter_mut().zip(weights) {
                        *sum += x * w;
                    }
                }
            }
            y.extend_from_slice(&sums[..bias.len()]);
        }
    }

    pub(super) fn dense(&self, x: &[f32]) -> Vec<f32> {
        let mut y = Vec::with_capacity(self.bias.len());
        self.products(&[(0, x)], &mut y);
        y
    }
}

fn blocked(reals: &[f32], channels: usize) -> Vec<f32> {
    let k = reals.len() / channels;
    let mut blocks = vec![0.0; channels.div_ceil(BLOCK) * BLOCK * k];
    for (channel, row) in reals.chunks_exact(k).enumerate() {
        for (i, &w) in row.iter().enumerate() {
            blocks[(channel / BLOCK * k + i) * BLOCK + channel % BLOCK] = w;
        }
    }
    blocks
}
