//! Gradients of the ops, in random places, against central differences of `reference`.

use candle_core::{Device, Result, Tensor, Var};
use penjing_train::arch::with_isa;
use penjing_train::ops::{Window, conv_relu_pool, conv2d, cross_entropy, linear, max_pool2d, relu};

use crate::instruction_sets;
use crate::reference::{self, Array, Numbers};

/// Half the distance between the two points of a difference; far above f64's rounding, far below the distance of random
/// values from a kink.
const STEP: f64 = 1e-6;

pub(crate) fn window(kernel: [usize; 2], stride: [usize; 2], padding: [usize; 4]) -> Window {
    Window { kernel, stride, padding }
}

pub(crate) fn var(a: &Array) -> Var {
    let data: Vec<f32> = a.data.iter().map(|&v| v as f32).collect();
    Var::from_vec(data, a.dims.as_slice(), &Device::Cpu).unwrap()
}

pub(crate) fn to_f64(t: &Tensor) -> Vec<f64> {
    let values = t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    values.into_iter().map(f64::from).collect()
}

/// Largest allowed distance, relative to the largest magnitude of the tensor: a hundred f32 roundings or so.
fn assert_close(what: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-3_f64, |a, e| a.max(e.abs()));
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= 1e-5 * largest, "{what}: element {i}: found {f}, expected {e}");
    }
}

/// Holds `op`'s values and the gradients of `sum(r * op(inputs))`, `r` random, to `naive`, for every input.
pub(crate) fn check(
    name: &str,
    inputs: &[Array],
    op: impl Fn(&[Tensor]) -> Result<Tensor>,
    naive: impl Fn(&[Array]) -> Array,
) {
    let expected = naive(inputs);
    let r = Numbers(99).reals(&expected.dims, 1.0);
    let objective = |inputs: &[Array]| -> f64 {
        naive(inputs).data.iter().zip(&r.data).map(|(y, r)| y * r).sum()
    };
    let mut differences = Vec::new();
    let mut moved = inputs.to_vec();
    for (i, input) in inputs.iter().enumerate() {
        let mut gradient = Vec::new();
        for j in 0..input.data.len() {
            moved[i].data[j] = input.data[j] + STEP;
            let above = objective(&moved);
            moved[i].data[j] = input.data[j] - STEP;
            let below = objective(&moved);
            moved[i].data[j] = input.data[j];
            gradient.push((above - below) / (2.0 * STEP));
        }
        differences.push(gradient);
    }
    for isa in instruction_sets() {
        with_isa(isa, || {
            let vars: Vec<Var> = inputs.iter().map(var).collect();
            let tensors: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
            let what = format!("{name} on {}", isa.name());
            let y = op(&tensors).unwrap();
            assert_eq!(y.dims(), expected.dims, "{what}");
            assert_close(&format!("{what}: value"), &to_f64(&y), &expected.data);
            let grads = (y * var(&r).as_tensor()).unwrap().sum_all().unwrap().backward().unwrap();
            for (i, (v, expected)) in vars.iter().zip(&differences).enumerate() {
                let found = to_f64(grads.get(v).expect("every input is a variable"));
                assert_close(&format!("{what}: gradient of input {i}"), &found, expected);
            }
        });
    }
}

/// `[n, h, w, in, out]`, the convolution, and the pooling after it.
type Case = ([usize; 5], Window, Window);

fn cases() -> Vec<Case> {
    let plain = [0; 4];
    let pool = |h, w| window([h, w], [h, w], plain);
    let mut cases = vec![
        ([3, 10, 9, 1, 12], window([3, 3], [1, 1], plain), pool(2, 2)),
        ([2, 9, 11, 1, 12], window([3, 3], [1, 1], plain), pool(3, 3)),
        ([2, 8, 8, 1, 16], window([3, 3], [1, 1], [1; 4]), pool(2, 2)),
        ([1, 12, 12, 1, 12], window([3, 3], [2, 1], plain), pool(2, 5)),
        ([2, 7, 6, 3, 8], window([3, 3], [1, 1], [1, 1, 1, 1]), pool(2, 2)),
        ([1, 9, 8, 5, 5], window([5, 5], [1, 1], [2, 1, 0, 2]), pool(2, 1)),
        ([1, 9, 9, 2, 17], window([2, 3], [2, 3], [1, 0, 0, 1]), pool(1, 2)),
        ([2, 4, 5, 8, 3], window([1, 1], [1, 1], plain), pool(2, 2)),
        ([1, 6, 5, 12, 8], window([3, 2], [1, 1], plain), pool(2, 2)),
        ([1, 5, 6, 17, 1], window([2, 2], [1, 2], plain), pool(1, 1)),
        ([1, 7, 7, 3, 12], window([7, 7], [1, 1], plain), pool(1, 1)),
        ([1, 18, 17, 1, 2], window([2, 2], [1, 1], plain), pool(17, 16)),
    ];
    for out in [1, 3, 5, 8, 12, 17, 33] {
        cases.push(([2, 6, 6, 1, out], window([3, 3], [1, 1], plain), pool(2, 2)));
        cases.push(([1, 5, 5, out, 3], window([2, 2], [1, 1], plain), pool(2, 2)));
    }
    cases
}

fn conv_inputs(dims: [usize; 5], conv: &Window) -> Vec<Array> {
    let [n, h, w, channels, out] = dims;
    let mut numbers = Numbers(5 + (n * h + w * channels + out) as u64);
    vec![
        numbers.reals(&[n, h, w, channels], 1.0),
        numbers.reals(&[out, conv.kernel[0], conv.kernel[1], channels], 0.5),
        numbers.reals(&[out], 0.3),
    ]
}

#[test]
fn conv2d_in_many_shapes() {
    for (dims, conv, _) in cases() {
        check(
            &format!("conv2d {dims:?} {conv:?}"),
            &conv_inputs(dims, &conv),
            |t| conv2d(&t[0], &t[1], &t[2], &conv),
            |a| reference::conv2d(&a[0], &a[1], &a[2], &conv),
        );
    }
}

#[test]
fn conv_relu_pool_in_many_shapes() {
    for (dims, conv, pool) in cases() {
        check(
            &format!("conv_relu_pool {dims:?} {conv:?} {pool:?}"),
            &conv_inputs(dims, &conv),
            |t| conv_relu_pool(&t[0], &t[1], &t[2], &conv, &pool),
            |a| {
                let y = reference::conv2d(&a[0], &a[1], &a[2], &conv);
                reference::max_pool2d(&reference::relu(&y), &pool)
            },
        );
    }
}

#[test]
fn max_pool2d_with_overlap_and_padding() {
    for (dims, pool) in [
        ([2, 6, 7, 3], window([2, 2], [2, 2], [0; 4])),
        ([1, 7, 7, 2], window([3, 3], [2, 2], [1, 1, 1, 1])),
        ([2, 5, 6, 1], window([3, 2], [1, 1], [2, 0, 1, 0])),
        ([1, 5, 5, 5], window([1, 4], [3, 1], [0, 0, 0, 3])),
    ] {
        // All below zero, so that padding that counted as 0 would win.
        let mut x = Numbers(3).reals(&dims, 1.0);
        x.data.iter_mut().for_each(|v| *v -= 2.0);
        check(
            &format!("max_pool2d {dims:?} {pool:?}"),
            &[x],
            |t| max_pool2d(&t[0], &pool),
            |a| reference::max_pool2d(&a[0], &pool),
        );
    }
}

#[test]
fn relu_and_linear_and_cross_entropy() {
    let mut numbers = Numbers(11);
    check("relu", &[numbers.reals(&[3, 7, 5], 1.0)], |t| relu(&t[0]), |a| reference::relu(&a[0]));
    for (n, k, out) in [(1, 1, 1), (2, 7, 3), (3, 8, 5), (5, 33, 10), (4, 50, 12), (7, 19, 17)] {
        let inputs = [
            numbers.reals(&[n, k], 1.0),
            numbers.reals(&[out, k], 1.0),
            numbers.reals(&[out], 1.0),
        ];
        check(
            &format!("linear {n} {k} {out}"),
            &inputs,
            |t| linear(&t[0], &t[1], &t[2]),
            |a| reference::linear(&a[0], &a[1], &a[2]),
        );
    }
    let labels = [2, 0, 4, 4];
    let labels_tensor = Tensor::new(&labels, &Device::Cpu).unwrap();
    for scale in [1.0, 40.0] {
        check(
            "cross_entropy",
            &[numbers.reals(&[4, 5], scale)],
            |t| cross_entropy(&t[0], &labels_tensor),
            |a| reference::cross_entropy(&a[0], &labels),
        );
    }
}

#[test]
fn a_whole_network() {
    let mut numbers = Numbers(21);
    let (conv1, pool1) = (window([3, 3], [1, 1], [0; 4]), window([2, 2], [2, 2], [0; 4]));
    let (conv2, pool2) = (window([3, 3], [2, 1], [1; 4]), window([2, 2], [1, 1], [0; 4]));
    let inputs = [
        numbers.reals(&[3, 12, 10, 1], 1.0),
        numbers.reals(&[6, 3, 3, 1], 0.6),
        numbers.reals(&[6], 0.3),
        numbers.reals(&[5, 3, 3, 6], 0.4),
        numbers.reals(&[5], 0.3),
        numbers.reals(&[4, 30], 0.5),
        numbers.reals(&[4], 0.3),
    ];
    let labels = [3, 0, 1];
    let labels_tensor = Tensor::new(&labels, &Device::Cpu).unwrap();
    check(
        "network",
        &inputs,
        |t| {
            let h = conv_relu_pool(&t[0], &t[1], &t[2], &conv1, &pool1)?;
            let h = relu(&conv2d(&h, &t[3], &t[4], &conv2)?)?;
            let h = max_pool2d(&h, &pool2)?;
            cross_entropy(&linear(&h, &t[5], &t[6])?, &labels_tensor)
        },
        |a| {
            let h = reference::relu(&reference::conv2d(&a[0], &a[1], &a[2], &conv1));
            let h = reference::max_pool2d(&h, &pool1);
            let h = reference::relu(&reference::conv2d(&h, &a[3], &a[4], &conv2));
            let h = reference::max_pool2d(&h, &pool2);
            reference::cross_entropy(&reference::linear(&h, &a[5], &a[6]), &labels)
        },
    );
}

#[test]
fn an_image_outside_the_graph_gets_no_gradient_and_changes_no_other() {
    for (dims, conv, pool) in cases() {
        let inputs: Vec<Var> = conv_inputs(dims, &conv).iter().map(var).collect();
        let [x, w, b] = [&inputs[0], &inputs[1], &inputs[2]];
        for fused in [true, false] {
            let run = |x: &Tensor| {
                let y = if fused {
                    conv_relu_pool(x, w, b, &conv, &pool).unwrap()
                } else {
                    conv2d(x, w, b, &conv).unwrap()
                };
                y.sqr().unwrap().sum_all().unwrap().backward().unwrap()
            };
            let detached = x.as_detached_tensor();
            let (with, without) = (run(x), run(&detached));
            assert!(with.get(x).is_some() && without.get(&detached).is_none());
            for v in [w, b] {
                assert_eq!(to_f64(with.get(v).unwrap()), to_f64(without.get(v).unwrap()));
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let zeros =
        |dims: &[usize]| Tensor::zeros(dims, candle_core::DType::F32, &Device::Cpu).unwrap();
    let conv = window([3, 3], [1, 1], [0; 4]);
    let pool = window([2, 2], [2, 2], [0; 4]);
    let (x, w, b) = (zeros(&[1, 6, 6, 2]), zeros(&[4, 3, 3, 2]), zeros(&[4]));
    let refused = |result: Result<Tensor>, part: &str| {
        let text = result.expect_err(part).to_string();
        assert!(text.contains(part), "{text}");
    };
    refused(conv2d(&x, &zeros(&[4, 3, 3, 1]), &b, &conv), "conv2d: expected w [out, 3, 3, 2]");
    refused(conv2d(&x, &w, &zeros(&[5]), &conv), "b [5]");
    refused(conv2d(&zeros(&[1, 2, 6, 2]), &w, &b, &conv), "does not fit an image of 2 x 6");
    refused(
        conv_relu_pool(&x, &w, &b, &conv, &window([2, 2], [1, 1], [0; 4])),
        "conv_relu_pool: expected pooling with stride = kernel",
    );
    refused(conv_relu_pool(&zeros(&[1, 3, 3, 2]), &w, &b, &conv, &pool), "image of 1 x 1");
    refused(
        max_pool2d(&x, &window([2, 2], [2, 2], [2, 0, 0, 0])),
        "padding smaller than the kernel",
    );
    refused(linear(&x, &zeros(&[3, 71]), &zeros(&[3])), "linear: expected x [n, 71]");
    let label = |l: u32| Tensor::new(&[l], &Device::Cpu).unwrap();
    refused(cross_entropy(&zeros(&[1, 3]), &label(3)), "labels below 3, found 3");
    refused(cross_entropy(&zeros(&[2, 3]), &label(0)), "found 1");
}
