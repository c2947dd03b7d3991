//! Fake quantization: values bit for bit those of `penjing_quant`, gradients straight through inside the range.

use candle_core::{Tensor, Var};
use penjing_quant::{
    ActivationRange, QuantParams, dequantize_weight, quantize_weight, weight_scale,
};
use penjing_train::arch::with_isa;
use penjing_train::ops::{
    conv_relu_pool, fake_quantize_activation, fake_quantize_weights, linear, min_max,
};

use crate::finite_differences::{to_f64, var, window};
use crate::instruction_sets;
use crate::reference::{Array, Numbers};

fn bits(t: &Tensor) -> Vec<u32> {
    t.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().map(|v| v.to_bits()).collect()
}

fn values(v: &Var) -> Vec<f32> {
    v.flatten_all().unwrap().to_vec1().unwrap()
}

/// The gradient of `sum(r * y)` for random `r`, and that `r`.
fn straight(y: &Tensor, x: &Var) -> (Vec<f64>, Vec<f64>) {
    let r = Numbers(4).reals(y.dims(), 1.0);
    let grads = (y * var(&r).as_tensor()).unwrap().sum_all().unwrap().backward().unwrap();
    (to_f64(grads.get(x).unwrap()), r.data)
}

#[test]
fn activations_equal_quantize_then_dequantize() {
    let ranges = [(0.0, 3.2), (-1.1, 2.7), (-4.0, 0.0), (-0.01, 0.3)];
    for isa in instruction_sets() {
        with_isa(isa, || {
            for (min, max) in ranges {
                let params = ActivationRange { min, max }.params_i8();
                let x = var(&Numbers(2).reals(&[5, 7, 29], f64::from(max - min)));
                let y = fake_quantize_activation(&x, params).unwrap();
                let expected = values(&x)
                    .into_iter()
                    .map(|x| params.dequantize(i32::from(params.quantize_i8(x))).to_bits());
                // Through an integer, -0.0 becomes 0.0; both are the same number.
                let same = |b: u32| if b == 0x8000_0000 { 0 } else { b };
                let found: Vec<u32> = bits(&y).into_iter().map(same).collect();
                assert_eq!(found, expected.map(same).collect::<Vec<_>>());

                let low = params.scale * (-128 - params.zero_point) as f32;
                let high = params.scale * (127 - params.zero_point) as f32;
                let (gradient, r) = straight(&y, &x);
                let mut cut = 0;
                for ((x, g), r) in values(&x).into_iter().zip(gradient).zip(r) {
                    let inside = x >= low && x <= high;
                    cut += usize::from(!inside);
                    assert_eq!(g, if inside { r } else { 0.0 }, "{x} in {low}..={high}");
                }
                assert!(cut > 100 && cut < 5 * 7 * 29 - 100, "{cut}");
            }
        });
    }
}

#[test]
fn the_ends_of_the_range_pass_their_gradient() {
    let params = QuantParams { scale: 0.5, zero_point: 28 };
    let x = var(&Array::new(&[4], vec![-78.5, -78.0, 49.5, 50.0]));
    let y = fake_quantize_activation(&x, params).unwrap();
    assert_eq!(to_f64(&y), [-78.0, -78.0, 49.5, 49.5]);
    let (gradient, r) = straight(&y, &x);
    assert_eq!(gradient, [0.0, r[1], r[2], 0.0]);
}

#[test]
fn weights_equal_quantize_then_dequantize() {
    let w = var(&Numbers(6).reals(&[12, 3, 3, 2], 0.7));
    let largest = |w: &[f32]| w.iter().fold(0.0_f32, |a, w| a.max(w.abs()));
    let per_channel: Vec<f32> = values(&w).chunks(18).map(|c| weight_scale(largest(c))).collect();
    let per_tensor = vec![weight_scale(largest(&values(&w)))];
    let narrow: Vec<f32> = per_channel.iter().map(|s| s * 0.5).collect();
    for isa in instruction_sets() {
        with_isa(isa, || {
            for scales in [&per_channel, &per_tensor, &narrow] {
                let y = fake_quantize_weights(&w, scales).unwrap();
                let scale = |i: usize| scales[if scales.len() == 1 { 0 } else { i / 18 }];
                let expected: Vec<u32> = values(&w)
                    .into_iter()
                    .enumerate()
                    .map(|(i, w)| dequantize_weight(quantize_weight(w, scale(i)), scale(i)))
                    .map(f32::to_bits)
                    .collect();
                assert_eq!(bits(&y), expected);
                let (gradient, r) = straight(&y, &w);
                for (i, w) in values(&w).into_iter().enumerate() {
                    // Scales made from the largest weight leave nothing outside, that weight included.
                    let inside = scales != &narrow || w.abs() <= 127.0 * scale(i);
                    assert_eq!(gradient[i], if inside { r[i] } else { 0.0 }, "{w}");
                }
            }
        });
    }
}

#[test]
fn bad_parameters_are_refused() {
    let w = var(&Numbers(6).reals(&[4, 3], 0.7));
    for scales in [&[1.0_f32, 1.0][..], &[0.0], &[f32::NAN], &[]] {
        assert!(fake_quantize_weights(&w, scales).is_err(), "{scales:?}");
    }
    for params in [
        QuantParams { scale: 0.0, zero_point: 0 },
        QuantParams { scale: 1.0, zero_point: 128 },
        QuantParams { scale: f32::INFINITY, zero_point: 0 },
    ] {
        assert!(fake_quantize_activation(&w, params).is_err(), "{params:?}");
    }
}

#[test]
fn a_quantized_network_has_the_gradients_of_its_quantized_weights() {
    let mut numbers = Numbers(41);
    let (conv, pool) = (window([3, 3], [1, 1], [0; 4]), window([2, 2], [2, 2], [0; 4]));
    let x = var(&numbers.reals(&[3, 10, 10, 1], 1.0)).as_detached_tensor();
    let [w1, b1] = [var(&numbers.reals(&[12, 3, 3, 1], 0.5)), var(&numbers.reals(&[12], 0.2))];
    let [w2, b2] = [var(&numbers.reals(&[4, 192], 0.5)), var(&numbers.reals(&[4], 0.2))];
    let params = ActivationRange { min: 0.0, max: 9.0 }.params_i8();
    let scales = [vec![0.5 / 127.0; 12], vec![0.5 / 127.0]];
    let run = |w1: &Tensor, w2: &Tensor| {
        let h = conv_relu_pool(&x, w1, &b1, &conv, &pool).unwrap();
        let y = linear(&fake_quantize_activation(&h, params).unwrap(), w2, &b2).unwrap();
        y.sqr().unwrap().sum_all().unwrap().backward().unwrap()
    };
    let quantized = [
        fake_quantize_weights(&w1, &scales[0]).unwrap(),
        fake_quantize_weights(&w2, &scales[1]).unwrap(),
    ];
    let through = run(&quantized[0], &quantized[1]);
    let at = quantized.map(|q| Var::from_tensor(&q.detach()).unwrap());
    let direct = run(&at[0], &at[1]);
    for (v, q) in [(&w1, &at[0]), (&w2, &at[1]), (&b1, &b1), (&b2, &b2)] {
        assert_eq!(to_f64(through.get(v).unwrap()), to_f64(direct.get(q).unwrap()));
    }
    assert_ne!(to_f64(&w1), to_f64(&at[0]));
}

#[test]
fn min_max_sees_every_element() {
    for isa in instruction_sets() {
        with_isa(isa, || {
            for n in [1, 5, 16, 17, 40] {
                for place in 0..n {
                    let mut data = vec![0.5; n];
                    data[place] = -2.0;
                    data[(place + 1) % n] = 3.0;
                    let (min, max) = min_max(&var(&Array::new(&[n], data))).unwrap();
                    assert_eq!((min, max), (if n == 1 { 3.0 } else { -2.0 }, 3.0));
                }
            }
        });
    }
}
