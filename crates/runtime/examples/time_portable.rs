//! Microseconds an image of the article's network, f32 and int8, with made-up weights, as `time_portable [THREADS]`. Not the
//! bench that tables come from (`penjing bench`): no data, no accuracy, no peers.

use penjing_format::write::{
    Constant, Conv2d, FullyConnected, MaxPool2d, Model as Spec, Node, Op, PackingChoice, Reshape,
    Value,
};
use penjing_format::{Activation, DataType, Padding, QuantParams, ReshapeTarget};
use penjing_runtime::{Input, Model, Output, Session, SessionOptions};
use std::error::Error;
use std::time::Instant;

const IMAGE: usize = 28 * 28;
const IMAGES: usize = 313 * 32;

/// A small generator: enough for weights that are not all alike.
fn noise(len: usize) -> impl Iterator<Item = i8> {
    let mut state = 0x2545_f491_u32;
    (0..len).map(move |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 24) as i32 - 128).max(-127) as i8
    })
}

fn weights(shape: &[u32], integers: bool) -> Constant {
    let elements: u32 = shape.iter().product();
    let shape = penjing_format::Shape::new(shape).unwrap_or_default();
    let noise = noise(elements as usize);
    if integers {
        Constant::i8(shape, vec![0.01], noise.collect())
    } else {
        Constant::f32(shape, noise.map(|w| f32::from(w) * 0.01).collect())
    }
}

fn network(integers: bool) -> Spec {
    let quantized = |scale, zero_point| {
        let quantization = Some(QuantParams { scale, zero_point });
        let value = Value { dtype: Some(DataType::I8), quantization, ..Value::default() };
        integers.then_some(value)
    };
    let bias = |len: usize| {
        Some(match integers {
            true => Constant::bias(vec![100; len]),
            false => Constant::bias_f32(vec![0.01; len]),
        })
    };
    let conv = Op::Conv2d(Conv2d {
        weights: weights(&[12, 3, 3, 1], integers),
        bias: bias(12),
        stride: [1, 1],
        dilation: [1, 1],
        padding: Padding::default(),
        activation: Activation::Relu,
    });
    let pool = MaxPool2d { window: [2, 2], stride: [2, 2], padding: Padding::default() };
    let dense = Op::FullyConnected(FullyConnected {
        weights: weights(&[10, 2028], integers),
        bias: bias(10),
        activation: Activation::None,
    });
    let input = Value {
        shape: Some([1, 28, 28, 1].into()),
        dtype: Some(if integers { DataType::U8 } else { DataType::F32 }),
        quantization: integers.then_some(QuantParams::PIXEL),
        ..Value::default()
    };
    Spec {
        inputs: vec![input],
        nodes: vec![
            Node::new(conv, quantized(0.05, -128)),
            Node::new(Op::MaxPool2d(pool), None),
            Node::new(Op::Reshape(Reshape { target: ReshapeTarget::FLATTEN }), None),
            Node::new(dense, quantized(0.5, 3)),
        ],
        ..Spec::default()
    }
}

/// The fastest of several passes over the images, in microseconds an image.
fn time(session: &mut Session, images: Input<'_>, batch: usize) -> Result<f64, Box<dyn Error>> {
    let mut best = f64::INFINITY;
    for _ in 0..7 {
        let start = Instant::now();
        match images {
            Input::U8(images) => {
                let mut scores = vec![0_i8; batch * 10];
                for images in images.chunks_exact(batch * IMAGE) {
                    session.run(images, Output::I8(&mut scores))?;
                }
            }
            Input::F32(images) => {
                let mut scores = vec![0.0; batch * 10];
                for images in images.chunks_exact(batch * IMAGE) {
                    session.run(images, Output::F32(&mut scores))?;
                }
            }
            Input::I8(_) => return Err("the network takes u8 or f32".into()),
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best * 1e6 / IMAGES as f64)
}

fn main() -> Result<(), Box<dyn Error>> {
    let threads = std::env::args().nth(1).map_or(Ok(1), |threads| threads.parse())?;
    let codes: Vec<u8> = noise(IMAGES * IMAGE).map(|x| x as u8).collect();
    let reals: Vec<f32> = codes.iter().map(|&q| f32::from(q) / 255.0).collect();
    for (name, integers) in [("f32", false), ("int8", true)] {
        let model = Model::from_bytes(network(integers).to_bytes(PackingChoice::Auto)?)?;
        let options = SessionOptions { threads, ..SessionOptions::default() };
        let mut session = Session::new(&model, options)?;
        let images = if integers { Input::U8(&codes) } else { Input::F32(&reals) };
        for batch in [1, 32] {
            let us = time(&mut session, images, batch)?;
            println!("{name} {} batch {batch} threads {threads}: {us:.2} us", session.isa());
            let mut profile = session.profile();
            let (mut q, mut x) = (vec![0_i8; batch * 10], vec![0_f32; batch * 10]);
            for _ in 0..20 {
                for i in 0..IMAGES / batch {
                    let r = i * batch * IMAGE..(i + 1) * batch * IMAGE;
                    let out = if integers { Output::I8(&mut q) } else { Output::F32(&mut x) };
                    let input = if integers { Input::U8(&codes[r]) } else { Input::F32(&reals[r]) };
                    session.run_profiled(&[input], &mut [out], &mut profile)?;
                }
            }
            for g in profile.groups() {
                println!("   {} {:.3} us", g.name, g.seconds / g.images as f64 * 1e6);
            }
        }
    }
    Ok(())
}
