//! What quantization cost, layer by layer. How it is shown is the command's.

use crate::compare::Distance;

/// Errors of a quantized network against the f32 one, over the calibration samples.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Samples.
    pub samples: usize,
    /// Layers in order; ops that move or select elements are none.
    pub layers: Vec<LayerError>,
    /// By output of the network: samples whose largest element is the same one in both.
    pub argmax_equal: Vec<usize>,
}

/// One layer.
#[derive(Clone, Debug)]
pub struct LayerError {
    /// Its name.
    pub name: String,
    /// The op's name.
    pub op: &'static str,
    /// The reals that its output's grid spans; `None` of a layer that stays in f32.
    pub range: Option<(f32, f32)>,
    /// One step of that grid.
    pub scale: Option<f32>,
    /// Of its weights, or of its constant operand; `None` where there are none or they stay in f32.
    pub weights: Option<WeightError>,
    /// Of its output, with biases as they were; its inputs are the quantized network's.
    pub before: Distance,
    /// Of its output as it is: with corrected biases where that is less.
    pub after: Distance,
    /// Whether its biases were corrected.
    pub corrected: bool,
}

/// Error of weights.
#[derive(Clone, Copy, Debug)]
pub struct WeightError {
    /// Real weights against integers of their scales.
    pub distance: Distance,
    /// How many scales there are.
    pub scales: usize,
    /// Weights that are zero before.
    pub zeros_before: usize,
    /// Weights that are zero after.
    pub zeros: usize,
}
