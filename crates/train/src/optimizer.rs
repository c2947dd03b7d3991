//! Adam with a state that can be saved and put back bit for bit. Learning-rate schedules and masks are not its business.

use std::sync::Mutex;

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, DType, Device, InplaceOp2, Layout, Result, Tensor, Var, bail};

use crate::arch::elementwise::AdamStep;
use crate::arch::{Isa, current_isa};

/// The constants of Adam.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamConfig {
    /// Decay of the first moment.
    pub beta_1: f64,
    /// Decay of the second moment.
    pub beta_2: f64,
    /// Added to the root of the second moment, after the bias correction went into the learning rate (as Keras).
    pub epsilon: f64,
}

impl Default for AdamConfig {
    /// Keras's values: 0.9, 0.999, 1e-7.
    fn default() -> Self {
        AdamConfig { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 }
    }
}

/// What [`Adam`] remembers between steps, parameters excepted.
#[derive(Clone, Debug)]
pub struct AdamState {
    /// Steps taken.
    pub step: u64,
    /// First moments, one a parameter, in its shape.
    pub first_moments: Vec<Tensor>,
    /// Second moments, likewise.
    pub second_moments: Vec<Tensor>,
}

/// Adam (Kingma and Ba 2014) without weight decay, in Keras's form: with `lr_t = lr * sqrt(1 - beta_2^t) / (1 - beta_1^t)`,
/// `m += (g - m) * (1 - beta_1)`, `v += (g^2 - v) * (1 - beta_2)`, `w -= lr_t * m / (sqrt(v) + epsilon)`.
///
/// The result of a step is the same on every instruction set.
#[derive(Debug)]
pub struct Adam {
    config: AdamConfig,
    step: u64,
    slots: Vec<Slot>,
}

#[derive(Debug)]
struct Slot {
    var: Var,
    m: Vec<f32>,
    v: Vec<f32>,
}

/// One parameter's update as candle wants it. The lock only carries `&mut` through candle's `&self`.
struct Update<'a> {
    isa: Isa,
    moments: Mutex<(&'a mut [f32], &'a mut [f32])>,
    rates: [f32; 2],
    alpha: f32,
    epsilon: f32,
}

impl InplaceOp2 for Update<'_> {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn cpu_fwd(
        &self,
        w: &mut CpuStorage,
        w_layout: &Layout,
        grad: &CpuStorage,
        grad_layout: &Layout,
    ) -> Result<()> {
        let (Some(w_range), Some(grad_range), CpuStorage::F32(w)) =
            (w_layout.contiguous_offsets(), grad_layout.contiguous_offsets(), w)
        else {
            bail!("adam: expected contiguous f32, found layouts {w_layout:?} and {grad_layout:?}");
        };
        let mut moments = self.moments.lock().expect("no panic while locked");
        let (m, v) = &mut *moments;
        self.isa.dispatch(AdamStep {
            w: &mut w[w_range.0..w_range.1],
            grad: &grad.as_slice::<f32>()?[grad_range.0..grad_range.1],
            m,
            v,
            rates: self.rates,
            alpha: self.alpha,
            epsilon: self.epsilon,
        });
        Ok(())
    }
}

impl Adam {
    /// An optimizer of `vars` with moments of zero; the order of `vars` is the order of [`AdamState`].
    ///
    /// # Errors
    /// A parameter that is not f32 on the CPU.
    pub fn new(vars: Vec<Var>, config: AdamConfig) -> Result<Self> {
        keep_freed_memory();
        let mut slots = Vec::with_capacity(vars.len());
        for var in vars {
            if var.dtype() != DType::F32 || !var.device().is_cpu() {
                bail!(
                    "adam: expected f32 on the CPU, found {:?} on {:?}",
                    var.dtype(),
                    var.device()
                );
            }
            let zeros = vec![0.0; var.elem_count()];
            slots.push(Slot { var, m: zeros.clone(), v: zeros });
        }
        Ok(Adam { config, step: 0, slots })
    }

    /// Steps taken so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// One step with learning rate `lr`. A parameter without a gradient in `grads` stays as it is, moments included.
    ///
    /// # Errors
    /// A gradient of another shape than its parameter.
    pub fn step(&mut self, grads: &GradStore, lr: f64) -> Result<()> {
        let isa = current_isa()?;
        self.step += 1;
        let AdamConfig { beta_1, beta_2, epsilon } = self.config;
        let t = self.step as f64;
        let alpha = lr * (1.0 - beta_2.powf(t)).sqrt() / (1.0 - beta_1.powf(t));
        for Slot { var, m, v } in &mut self.slots {
            let Some(grad) = grads.get(var) else { continue };
            if grad.dims() != var.dims() {
                bail!("adam: expected a gradient {:?}, found {:?}", var.dims(), grad.dims());
            }
            let update = Update {
                isa,
                moments: Mutex::new((m, v)),
                rates: [(1.0 - beta_1) as f32, (1.0 - beta_2) as f32],
                alpha: alpha as f32,
                epsilon: epsilon as f32,
            };
            var.inplace_op2(&grad.contiguous()?, &update)?;
        }
        Ok(())
    }

    /// Moments and step count, to be saved beside the parameters.
    ///
    /// # Errors
    /// Only candle's own.
    pub fn state(&self) -> Result<AdamState> {
        let tensors = |pick: fn(&Slot) -> &[f32]| -> Result<Vec<Tensor>> {
            let tensor = |slot| Tensor::from_slice(pick(slot), slot.var.shape(), &Device::Cpu);
            self.slots.iter().map(tensor).collect()
        };
        Ok(AdamState {
            step: self.step,
            first_moments: tensors(|slot| &slot.m)?,
            second_moments: tensors(|slot| &slot.v)?,
        })
    }

    /// Puts back what [`Adam::state`] gave; with the parameters put back too, the next steps repeat bit for bit.
    ///
    /// # Errors
    /// Another number of moments or other shapes than the parameters; the state is then unchanged.
    pub fn load_state(&mut self, state: &AdamState) -> Result<()> {
        let count = self.slots.len();
        let mut loaded = Vec::with_capacity(2 * count);
        for moments in [&state.first_moments, &state.second_moments] {
            if moments.len() != count {
                bail!("adam: expected moments of {count} parameters, found {}", moments.len());
            }
            for (slot, moment) in self.slots.iter().zip(moments) {
                if moment.dims() != slot.var.dims() {
                    bail!("adam: expected {:?}, found {:?}", slot.var.dims(), moment.dims());
                }
                loaded.push(moment.flatten_all()?.to_vec1::<f32>()?);
            }
        }
        let second = loaded.split_off(count);
        for (slot, (m, v)) in self.slots.iter_mut().zip(loaded.into_iter().zip(second)) {
            slot.m = m;
            slot.v = v;
        }
        self.step = state.step;
        Ok(())
    }
}

/// Makes the C library's allocator keep what is freed instead of giving it back and faulting it in again each step: its
/// thresholds follow the largest block ever freed.
fn keep_freed_memory() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(16 << 20)));
}
