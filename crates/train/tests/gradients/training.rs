//! Adam against a restatement in f64, and whole training steps that repeat bit for bit.

use candle_core::{Device, Tensor, Var};
use penjing_train::arch::{Isa, with_isa};
use penjing_train::ops::{conv_relu_pool, cross_entropy, linear};
use penjing_train::optimizer::{Adam, AdamConfig, AdamState};

use crate::finite_differences::{to_f64, var, window};
use crate::instruction_sets;
use crate::reference::{Array, Numbers};

/// `sum(w^2 * c) / 2`, whose gradient is `w * c`.
fn quadratic(w: &Var, c: &Tensor) -> candle_core::backprop::GradStore {
    let loss = ((w.as_tensor() * w.as_tensor()).unwrap() * c).unwrap();
    (loss.sum_all().unwrap() * 0.5).unwrap().backward().unwrap()
}

#[test]
fn adam_follows_its_definition() {
    let (start, c) = (Numbers(1).reals(&[37], 1.0), Numbers(2).reals(&[37], 3.0));
    for isa in instruction_sets() {
        with_isa(isa, || {
            let w = var(&start);
            let c_tensor = var(&c).as_detached_tensor();
            let mut adam = Adam::new(vec![w.clone()], AdamConfig::default()).unwrap();
            let mut expected = start.data.clone();
            let (mut m, mut v) = (vec![0.0; 37], vec![0.0; 37]);
            for t in 1..=60 {
                let lr = 0.01 / f64::from(t);
                adam.step(&quadratic(&w, &c_tensor), lr).unwrap();
                for i in 0..37 {
                    let g = expected[i] * c.data[i];
                    m[i] = 0.9 * m[i] + 0.1 * g;
                    v[i] = 0.999 * v[i] + 0.001 * g * g;
                    let rate = lr * (1.0 - 0.999_f64.powi(t)).sqrt() / (1.0 - 0.9_f64.powi(t));
                    expected[i] -= rate * m[i] / (v[i].sqrt() + 1e-7);
                }
                for (found, expected) in to_f64(&w).into_iter().zip(&expected) {
                    assert!((found - expected).abs() < 2e-6, "step {t}: {found} and {expected}");
                }
            }
            assert_eq!(adam.steps(), 60);
        });
    }
}

#[test]
fn a_parameter_without_a_gradient_stays() {
    let (w, idle) = (var(&Numbers(1).reals(&[3], 1.0)), var(&Numbers(2).reals(&[4], 1.0)));
    let before = to_f64(&idle);
    let mut adam = Adam::new(vec![idle.clone(), w.clone()], AdamConfig::default()).unwrap();
    let ones = Tensor::ones(3, candle_core::DType::F32, &Device::Cpu).unwrap();
    adam.step(&quadratic(&w, &ones), 0.1).unwrap();
    assert_eq!(to_f64(&idle), before);
    assert_eq!(to_f64(&adam.state().unwrap().first_moments[0]), [0.0; 4]);
}

#[test]
fn a_state_of_other_shapes_is_refused() {
    let adam_of = |n| Adam::new(vec![var(&Numbers(1).reals(&[n], 1.0))], AdamConfig::default());
    let state = adam_of(3).unwrap().state().unwrap();
    let mut other = adam_of(4).unwrap();
    assert!(other.load_state(&state).is_err());
    let none = AdamState { step: 1, first_moments: vec![], second_moments: vec![] };
    assert!(other.load_state(&none).is_err());
    assert_eq!(other.steps(), 0);
}

/// A small network in training; batches depend on the step alone.
struct Run {
    vars: Vec<Var>,
    adam: Adam,
}

impl Run {
    fn new() -> Self {
        let mut numbers = Numbers(77);
        let shapes: [&[usize]; 4] = [&[12, 3, 3, 1], &[12], &[10, 192], &[10]];
        let vars: Vec<Var> = shapes.iter().map(|s| var(&numbers.reals(s, 0.2))).collect();
        Run { adam: Adam::new(vars.clone(), AdamConfig::default()).unwrap(), vars }
    }

    fn steps(&mut self, steps: std::ops::Range<u64>) {
        let (conv, pool) = (window([3, 3], [1, 1], [0; 4]), window([2, 2], [2, 2], [0; 4]));
        for step in steps {
            let mut numbers = Numbers(1000 + step);
            let x = var(&numbers.reals(&[8, 10, 10, 1], 1.0)).as_detached_tensor();
            let labels: Vec<u32> =
                numbers.integers(&[8], 0, 9).data.iter().map(|&l| l as u32).collect();
            let labels = Tensor::new(labels, &Device::Cpu).unwrap();
            let h = conv_relu_pool(&x, &self.vars[0], &self.vars[1], &conv, &pool).unwrap();
            let logits = linear(&h, &self.vars[2], &self.vars[3]).unwrap();
            let grads = cross_entropy(&logits, &labels).unwrap().backward().unwrap();
            self.adam.step(&grads, 1e-3).unwrap();
        }
    }

    fn bits(&self) -> Vec<u32> {
        let state = self.adam.state().unwrap();
        let tensors = self.vars.iter().map(|v| v.as_tensor().clone());
        let all = tensors.chain(state.first_moments).chain(state.second_moments);
        all.flat_map(|t| t.flatten_all().unwrap().to_vec1::<f32>().unwrap())
            .map(f32::to_bits)
            .collect()
    }
}

#[test]
fn a_hundred_and_a_hundred_steps_are_two_hundred() {
    for isa in instruction_sets() {
        with_isa(isa, || {
            let mut whole = Run::new();
            whole.steps(0..200);
            let mut again = Run::new();
            again.steps(0..200);
            assert!(whole.bits() == again.bits(), "two runs differ on {}", isa.name());

            let mut first = Run::new();
            first.steps(0..100);
            assert!(first.bits() != whole.bits());
            let state = first.adam.state().unwrap();
            let mut second = Run::new();
            for (to, from) in second.vars.iter().zip(&first.vars) {
                to.set(&from.as_detached_tensor().copy().unwrap()).unwrap();
            }
            second.adam.load_state(&state).unwrap();
            second.steps(100..200);
            assert!(whole.bits() == second.bits(), "resuming differs on {}", isa.name());
        });
    }
}

#[test]
fn adam_is_the_same_on_every_instruction_set() {
    let after = |isa: Isa| {
        with_isa(isa, || {
            let w = var(&Numbers(1).reals(&[101], 1.0));
            let c = var(&Array::new(&[101], vec![1.5; 101])).as_detached_tensor();
            let mut adam = Adam::new(vec![w.clone()], AdamConfig::default()).unwrap();
            for _ in 0..50 {
                adam.step(&quadratic(&w, &c), 0.01).unwrap();
            }
            to_f64(&w)
        })
    };
    let portable = after(Isa::by_name("portable").expect("always there"));
    for isa in instruction_sets() {
        assert_eq!(after(isa), portable, "{}", isa.name());
    }
}
