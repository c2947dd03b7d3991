//! CPU time of a training epoch of the article's network on synthetic images, without and with fake quantization, and of
//! each op alone. Not a benchmark of accuracy, data loading or the training loop.
//!
//! `cargo run --release -p penjing-train --example step_speed [STEPS]`; `PENJING_ISA` picks the instruction set.

use std::time::{Duration, Instant};

use candle_core::{Device, Result, Tensor, Var};
use penjing_quant::{ActivationRange, weight_scale};
use penjing_train::arch::current_isa;
use penjing_train::ops::{
    Window, conv_relu_pool, cross_entropy, fake_quantize_activation, fake_quantize_weights, linear,
    min_max,
};
use penjing_train::optimizer::{Adam, AdamConfig};

const BATCH: usize = 32;
const STEPS: usize = 1688;
const CONV: Window = Window { kernel: [3, 3], stride: [1, 1], padding: [0; 4] };
const POOL: Window = Window { kernel: [2, 2], stride: [2, 2], padding: [0; 4] };

/// A small linear congruential generator, so that every run sees the same images.
struct Noise(u64);

impl Noise {
    /// Uniform in `[-1, 1)`.
    fn next(&mut self) -> f32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn values(&mut self, n: usize, scale: f32) -> Vec<f32> {
        (0..n).map(|_| self.next() * scale).collect()
    }
}

struct Network {
    vars: [Var; 4],
    parts: [(&'static str, Duration); 6],
}

impl Network {
    fn new() -> Result<Self> {
        let mut noise = Noise(7);
        let mut var = |shape: &[usize], scale| {
            Var::from_vec(noise.values(shape.iter().product(), scale), shape, &Device::Cpu)
        };
        let vars = [
            var(&[12, 3, 3, 1], 0.2)?,
            var(&[12], 0.01)?,
            var(&[10, 2028], 0.05)?,
            var(&[10], 0.01)?,
        ];
        let parts = ["weights", "conv", "quantize", "dense", "loss", "backward"];
        Ok(Network { vars, parts: parts.map(|name| (name, Duration::ZERO)) })
    }

    fn loss(&mut self, x: &Tensor, labels: &Tensor, quantized: bool) -> Result<Tensor> {
        let [w1, b1, w2, b2] = &self.vars;
        let mut clock = Instant::now();
        let mut lap = |part: usize| {
            self.parts[part].1 += clock.elapsed();
            clock = Instant::now();
        };
        let (w1, w2) = if quantized {
            (fake_weights(w1, 12)?, fake_weights(w2, 1)?)
        } else {
            (w1.as_tensor().clone(), w2.as_tensor().clone())
        };
        lap(0);
        let mut h = conv_relu_pool(x, &w1, b1, &CONV, &POOL)?;
        lap(1);
        if quantized {
            h = fake_activation(&h)?;
        }
        lap(2);
        let mut logits = linear(&h, &w2, b2)?;
        lap(3);
        if quantized {
            logits = fake_activation(&logits)?;
        }
        lap(2);
        let loss = cross_entropy(&logits, labels)?;
        lap(4);
        Ok(loss)
    }
}

fn fake_activation(x: &Tensor) -> Result<Tensor> {
    let (min, max) = min_max(x)?;
    fake_quantize_activation(x, ActivationRange { min, max }.params_i8())
}

fn fake_weights(w: &Var, scales: usize) -> Result<Tensor> {
    let rows = w.elem_count() / scales;
    let w = w.as_tensor();
    let scales: Vec<f32> = w
        .reshape((scales, rows))?
        .to_vec2::<f32>()?
        .iter()
        .map(|row| weight_scale(row.iter().fold(0.0, |a, w| w.abs().max(a))))
        .collect();
    fake_quantize_weights(w, &scales)
}

fn epoch(steps: usize, quantized: bool) -> Result<()> {
    let mut noise = Noise(1);
    let mut batches = Vec::new();
    for _ in 0..8 {
        // As on handwritten digits, a good half of the pixels is background.
        let pixels = noise.values(BATCH * 784, 1.0).iter().map(|p| p.max(0.0)).collect();
        let labels = (0..BATCH as u32).map(|i| i % 10).collect();
        batches.push((
            Tensor::from_vec::<_, f32>(pixels, (BATCH, 28, 28, 1), &Device::Cpu)?,
            Tensor::from_vec::<_, u32>(labels, BATCH, &Device::Cpu)?,
        ));
    }
    let mut network = Network::new()?;
    let mut adam = Adam::new(network.vars.to_vec(), AdamConfig::default())?;
    let mut update = Duration::ZERO;
    let mut last = 0.0;
    let (start, ticks) = (Instant::now(), cpu_seconds());
    for step in 0..steps {
        let (x, labels) = &batches[step % batches.len()];
        let loss = network.loss(x, labels, quantized)?;
        let clock = Instant::now();
        let grads = loss.backward()?;
        network.parts[5].1 += clock.elapsed();
        let clock = Instant::now();
        adam.step(&grads, 1e-3)?;
        update += clock.elapsed();
        last = loss.to_scalar::<f32>()?;
    }
    let per_epoch = STEPS as f64 / steps as f64;
    let wall = start.elapsed().as_secs_f64() * per_epoch;
    let cpu = cpu_seconds().zip(ticks).map_or(f64::NAN, |(now, then)| (now - then) * per_epoch);
    let kind = if quantized { "QAT" } else { "float" };
    println!("{kind:5} CPU {cpu:.2} s, wall {wall:.2} s an epoch; last loss {last:.4}");
    for (name, time) in network.parts.into_iter().chain([("adam", update)]) {
        println!("      {name:9} {:7.1} us a step", time.as_secs_f64() * 1e6 / steps as f64);
    }
    Ok(())
}

/// User and system time of this process so far, where the system tells it (Linux, in its usual ticks of 1/100 s).
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |i: usize| fields.get(i)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}

fn main() -> Result<()> {
    let steps = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(STEPS);
    println!("{} steps of {BATCH} images, {}", steps, current_isa()?.name());
    epoch(steps, false)?;
    epoch(steps, true)
}
