//! Bytes of the article's network, with synthetic weights of its shapes: what the format promises about files' sizes.
#![cfg(feature = "write")]

mod common;

use penjing_format::write::{Model, PackingChoice};
use penjing_format::{ModelView, Packed};

fn constants(model: ModelView<'_>) -> usize {
    model
        .walk()
        .filter_map(|step| step.unwrap().op.constants())
        .flat_map(|(weights, bias)| [Some(weights), bias])
        .flatten()
        .map(|constant| constant.packed.stored_bytes() + 4 * constant.scales.len())
        .sum()
}

/// Returns file size and container size (all but packed elements and scales).
fn sizes(model: &Model, packing: PackingChoice, name: &str) -> (usize, usize) {
    let bytes = model.to_bytes(packing).unwrap();
    let container = bytes.len() - constants(ModelView::open(&bytes).unwrap());
    println!("{name}: {} bytes, container {container}", bytes.len());
    (bytes.len(), container)
}

#[test]
fn the_articles_files_are_small() {
    let (whole, container) = sizes(&common::article_int8(800), PackingChoice::Auto, "int8 sparse");
    assert!(whole <= 6_850);
    assert!(container < 560);
    let (whole, container) = sizes(&common::article_f32(800), PackingChoice::Auto, "f32 sparse");
    assert!(whole <= 19_800);
    assert!(container < 560);
    let (whole, container) = sizes(&common::article_int8(0), PackingChoice::Auto, "int8 dense");
    assert!(whole <= 21_600);
    assert!(container < 560);
    let mut labelled = common::article_int8(800);
    labelled.labels = (0..10).map(|digit| digit.to_string()).collect();
    let (whole, container) = sizes(&labelled, PackingChoice::Auto, "int8 sparse, ten labels");
    assert!(whole <= 7_600);
    assert!(container < 560 + 128);
}

/// Bytes of every constant with what its packing adds to a file: padding, and a second vector's offset and length.
fn costs(model: &Model, packing: PackingChoice) -> Vec<usize> {
    let bytes = model.to_bytes(packing).unwrap();
    let whole = |part: usize| part.next_multiple_of(4);
    let steps: Vec<_> = ModelView::open(&bytes).unwrap().walk().map(Result::unwrap).collect();
    let constants = steps.iter().filter_map(|step| step.op.constants());
    let constants = constants.flat_map(|(weights, bias)| [Some(weights), bias]).flatten();
    constants
        .map(|constant| match constant.packed {
            Packed::Dense(view) => whole(view.data().len()),
            Packed::Bitmap(view) => whole(view.mask().len()) + whole(view.values().len()) + 8,
            Packed::Gaps(view) => {
                let bits = if view.bits() == 3 { 0 } else { 4 };
                whole(view.codes().len()) + whole(view.values().len()) + 8 + bits
            }
        })
        .collect()
}

#[test]
fn auto_packs_each_constant_the_smaller_way() {
    for zeros in [0, 100, 125, 200, 500, 800, 1000] {
        for model in [common::article_int8(zeros), common::article_f32(zeros)] {
            let of = |packing| costs(&model, packing);
            let [dense, bitmap, gaps] =
                [PackingChoice::Dense, PackingChoice::Bitmap, PackingChoice::Gaps].map(of);
            let smaller: Vec<usize> =
                dense.iter().zip(bitmap).zip(gaps).map(|((&d, b), g)| d.min(b).min(g)).collect();
            assert_eq!(smaller.len(), 4);
            assert_eq!(of(PackingChoice::Auto), smaller, "{zeros} zeros in 1000");
        }
    }
}

#[test]
fn auto_packs_by_sparsity() {
    for (zeros, expected) in [(800, "gaps"), (500, "bitmap"), (0, "dense")] {
        let bytes = common::article_int8(zeros).to_bytes(PackingChoice::Auto).unwrap();
        let steps: Vec<_> = ModelView::open(&bytes).unwrap().walk().map(Result::unwrap).collect();
        let (weights, bias) = steps[3].op.constants().unwrap();
        let found = match weights.packed {
            Packed::Dense(_) => "dense",
            Packed::Bitmap(_) => "bitmap",
            Packed::Gaps(_) => "gaps",
        };
        assert_eq!(found, expected, "{zeros} zeros in 1000");
        assert!(matches!(bias.unwrap().packed, Packed::Dense(_)));
        assert_eq!(weights.packed.nnz(), 20_280 - 20_280 * zeros / 1000);
    }
}
