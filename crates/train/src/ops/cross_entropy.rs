//! Softmax and cross-entropy against class indices, as one op. Only the mean over the batch: no weights, no smoothing.

use std::sync::Mutex;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::{shaped_like, values, with_values};

const NAME: &str = "cross_entropy";

struct CrossEntropy {
    labels: Vec<u32>,
    classes: usize,
    /// Softmax of the logits, kept for the backward pass.
    probabilities: Mutex<Vec<f32>>,
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let logits = values(NAME, storage, layout)?;
        let mut probabilities = vec![0.0; logits.len()];
        let mut loss = 0.0;
        let rows = logits.chunks_exact(self.classes);
        for ((row, out), &label) in
            rows.zip(probabilities.chunks_exact_mut(self.classes)).zip(&self.labels)
        {
            // Shifted by the maximum, no exponential overflows.
            let top = row.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
            let mut sum = 0.0;
            for (out, &logit) in out.iter_mut().zip(row) {
                *out = (logit - top).exp();
                sum += *out;
            }
            out.iter_mut().for_each(|p| *p /= sum);
            loss += f64::from(sum.ln()) - f64::from(row[label as usize] - top);
        }
        *self.probabilities.lock().expect("no panic while locked") = probabilities;
        let mean = (loss / self.labels.len() as f64) as f32;
        Ok((CpuStorage::F32(vec![mean]), Shape::from(())))
    }

    fn bwd(&self, arg: &Tensor, _: &Tensor, grad_res: &Tensor) -> Result<Option<Tensor>> {
        let scale = with_values(NAME, grad_res, |g| Ok(g[0]))? / self.labels.len() as f32;
        let mut grad = self.probabilities.lock().expect("no panic while locked").clone();
        for (row, &label) in grad.chunks_exact_mut(self.classes).zip(&self.labels) {
            row[label as usize] -= 1.0;
            row.iter_mut().for_each(|g| *g *= scale);
        }
        shaped_like(grad, arg).map(Some)
    }
}

/// Mean over the batch of `-ln softmax(logits)[label]`: `logits` `[n, classes]`, `labels` u32 `[n]`, to a scalar.
///
/// # Errors
/// Shapes that do not agree, an empty batch, a label that is no class.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let (n, classes) = logits.dims2()?;
    let labels = labels.to_vec1::<u32>()?;
    if n == 0 || labels.len() != n {
        bail!(
            "{NAME}: expected at least one label, one a row of logits {n}, found {}",
            labels.len()
        );
    }
    if let Some(label) = labels.iter().find(|&&label| label as usize >= classes) {
        bail!("{NAME}: expected labels below {classes}, found {label}");
    }
    logits.contiguous()?.apply_op1(CrossEntropy {
        labels,
        classes,
        probabilities: Mutex::default(),
    })
}
