//! Where a maximum is shared or a ReLU sits exactly at zero: the whole gradient to the first, none at zero.
//!
//! Whole numbers keep every sum exact, so ties are real and results can be compared for equality.

use candle_core::{Tensor, Var};
use penjing_train::arch::with_isa;
use penjing_train::ops::{conv_relu_pool, conv2d, max_pool2d, relu};

use crate::finite_differences::{to_f64, var, window};
use crate::instruction_sets;
use crate::reference::{self, Array, Numbers};

/// Gradient of `sum(r * y)`.
fn gradient(y: &Tensor, r: &Array, of: &[&Var]) -> Vec<Vec<f64>> {
    let grads = (y * var(r).as_tensor()).unwrap().sum_all().unwrap().backward().unwrap();
    of.iter().map(|v| to_f64(grads.get(v).unwrap())).collect()
}

#[test]
fn pooling_gives_the_first_of_equal_values_everything() {
    let pool = window([2, 2], [2, 2], [0; 4]);
    let x = Array::new(&[1, 2, 4, 1], vec![1., 5., 7., 7., 5., 5., 7., 7.]);
    let x_var = var(&x);
    let y = max_pool2d(&x_var, &pool).unwrap();
    let r = Array::new(&[1, 1, 2, 1], vec![3.0, -2.0]);
    let found = gradient(&y, &r, &[&x_var]);
    assert_eq!(found[0], [0., 3., -2., 0., 0., 0., 0., 0.]);
}

#[test]
fn tied_values_that_move_together_have_the_sum_of_their_gradients() {
    for pool in [window([2, 2], [2, 2], [0; 4]), window([3, 3], [2, 1], [1; 4])] {
        let x = Numbers(8).integers(&[2, 7, 8, 3], -1, 2);
        let y = reference::max_pool2d(&x, &pool);
        let r = Numbers(9).integers(&y.dims, -4, 4);
        let objective = |y: &Array| -> f64 { y.data.iter().zip(&r.data).map(|(y, r)| y * r).sum() };
        let x_var = var(&x);
        let found = gradient(&max_pool2d(&x_var, &pool).unwrap(), &r, &[&x_var]).remove(0);
        for value in -1..=2 {
            let value = f64::from(value);
            for step in [0.25, -0.25] {
                let mut moved = x.clone();
                for v in moved.data.iter_mut().filter(|v| **v == value) {
                    *v += step;
                }
                let slope =
                    (objective(&reference::max_pool2d(&moved, &pool)) - objective(&y)) / step;
                let tied = x.data.iter().zip(&found).filter(|(x, _)| **x == value);
                assert_eq!(tied.map(|(_, g)| g).sum::<f64>(), slope, "value {value} {pool:?}");
            }
        }
    }
}

#[test]
fn relu_at_zero_has_no_gradient() {
    for isa in instruction_sets() {
        with_isa(isa, || {
            let x = var(&Array::new(&[5], vec![-1.0, -0.0, 0.0, 1e-30, 2.0]));
            let y = relu(&x).unwrap();
            assert_eq!(to_f64(&y), [0.0, 0.0, 0.0, f64::from(1e-30_f32), 2.0]);
            let r = Array::new(&[5], vec![3.0; 5]);
            assert_eq!(gradient(&y, &r, &[&x])[0], [0.0, 0.0, 0.0, 3.0, 3.0]);
        });
    }
}

#[test]
fn the_fused_op_equals_the_separate_ones_at_ties() {
    let plain = [0; 4];
    for (dims, channels, kernel, pool) in [
        ([3, 12, 12, 1], 12, [3, 3], [2, 2]),
        ([2, 9, 9, 1], 16, [3, 3], [3, 2]),
        ([2, 8, 9, 1], 5, [3, 3], [2, 2]),
        ([2, 8, 8, 3], 17, [2, 2], [3, 3]),
        ([1, 9, 8, 5], 8, [3, 3], [2, 3]),
    ] {
        let (conv, pool) = (window(kernel, [1, 1], plain), window(pool, pool, plain));
        let mut numbers = Numbers(31);
        let x = var(&numbers.integers(&dims, 0, 1));
        let w = var(&numbers.integers(&[channels, kernel[0], kernel[1], dims[3]], -1, 1));
        let b = var(&numbers.integers(&[channels], -1, 1));
        for isa in instruction_sets() {
            with_isa(isa, || {
                let fused = conv_relu_pool(&x, &w, &b, &conv, &pool).unwrap();
                let y = relu(&conv2d(&x, &w, &b, &conv).unwrap()).unwrap();
                let separate = max_pool2d(&y, &pool).unwrap();
                assert_eq!(to_f64(&fused), to_f64(&separate));
                let zeros = to_f64(&fused).iter().filter(|v| **v == 0.0).count();
                assert!(zeros > 0 && zeros < fused.elem_count());
                let r = Numbers(32).integers(fused.dims(), -3, 3);
                let of = [&x, &w, &b];
                assert_eq!(gradient(&fused, &r, &of), gradient(&separate, &r, &of), "{dims:?}");
            });
        }
    }
}

#[test]
fn blank_parts_of_an_image_count_as_zeros() {
    let (conv, pool) = (window([3, 3], [1, 1], [0; 4]), window([2, 2], [2, 2], [0; 4]));
    let dims = [3, 13, 14, 1];
    // A figure in the middle of each image and, in the second, nothing at all: whole patches are zero, some of them -0.0.
    let mut image = Numbers(51).integers(&dims, 1, 3);
    for (i, v) in image.data.iter_mut().enumerate() {
        let (n, y, x) = (i / (13 * 14), i / 14 % 13, i % 14);
        if n == 1 || !(4..9).contains(&y) || !(5..9).contains(&x) {
            *v = if n == 2 && y == 12 { -0.0 } else { 0.0 };
        }
    }
    let x = var(&image);
    for channels in [1, 3, 5, 8, 12, 17, 24, 33] {
        let mut numbers = Numbers(52);
        let w = var(&numbers.integers(&[channels, 3, 3, 1], -2, 2));
        let b = var(&numbers.integers(&[channels], -1, 1));
        for isa in instruction_sets() {
            with_isa(isa, || {
                let fused = conv_relu_pool(&x, &w, &b, &conv, &pool).unwrap();
                let y = relu(&conv2d(&x, &w, &b, &conv).unwrap()).unwrap();
                let separate = max_pool2d(&y, &pool).unwrap();
                let what = format!("{channels} channels on {}", isa.name());
                assert_eq!(to_f64(&fused), to_f64(&separate), "{what}");
                let r = Numbers(53).integers(fused.dims(), -3, 3);
                let of = [&x, &w, &b];
                assert_eq!(gradient(&fused, &r, &of), gradient(&separate, &r, &of), "{what}");
            });
        }
    }
}

#[test]
fn a_flat_image_ties_everywhere_and_counts_each_window_once() {
    let (conv, pool) = (window([3, 3], [1, 1], [0; 4]), window([2, 2], [2, 2], [0; 4]));
    for isa in instruction_sets() {
        with_isa(isa, || {
            let x = var(&Array::new(&[1, 6, 6, 1], vec![2.0; 36]));
            let w = var(&Array::new(&[12, 3, 3, 1], vec![1.0; 108]));
            // Channels 0..6 are active at 18 + 1; channels 6..12 sit exactly at zero.
            let bias = (0..12).map(|o| if o < 6 { 1.0 } else { -18.0 }).collect();
            let b = var(&Array::new(&[12], bias));
            let y = conv_relu_pool(&x, &w, &b, &conv, &pool).unwrap();
            let r = Array::new(&[1, 2, 2, 12], vec![1.0; 48]);
            let found = gradient(&y, &r, &[&x, &w, &b]);
            let active = |o: usize| if o < 6 { 1.0 } else { 0.0 };
            // Four windows, each once although four positions tie in each.
            assert_eq!(found[2], (0..12).map(|o| 4.0 * active(o)).collect::<Vec<_>>());
            assert_eq!(found[1], (0..108).map(|i| 8.0 * active(i / 9)).collect::<Vec<_>>());
            // The first position of a window is its top left one: patches start at rows and columns 0 and 2.
            let covered = |i: usize| [1.0, 1.0, 2.0, 1.0, 1.0, 0.0][i];
            let dx: Vec<f64> = (0..36).map(|i| 6.0 * covered(i / 6) * covered(i % 6)).collect();
            assert_eq!(found[0], dx);
        });
    }
}
