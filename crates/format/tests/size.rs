//! Bytes of the article's network, with synthetic weights of its shapes: what the format promises about files' sizes. The
//! promises about trained weights are in `fixture.rs`.
#![cfg(feature = "write")]

mod common;

use penjing_format::write::{Model, PackingChoice};
use penjing_format::{Layout, ModelView};

/// Returns file size and container size: all but packed weights, biases, scales and zero points.
fn sizes(model: &Model, packing: PackingChoice, name: &str) -> (usize, usize) {
    let bytes = model.to_bytes(packing).unwrap();
    let container = bytes.len() - common::content_bytes(ModelView::open(&bytes).unwrap());
    println!("{name}: {} bytes, container {container}", bytes.len());
    (bytes.len(), container)
}

/// With the names of input and output.
fn named(mut model: Model) -> Model {
    model.inputs[0].name = Some("input".into());
    let last = model.nodes.last_mut().unwrap();
    last.value.get_or_insert_default().name = Some("output".into());
    model
}

#[test]
fn the_articles_files_are_small() {
    let int8 = named(common::article_int8(800));
    let (whole, container) = sizes(&int8, PackingChoice::Auto, "int8 sparse");
    assert!(whole <= 6_600);
    assert!(container <= 360);
    let f32 = named(common::article_f32(800));
    let (whole, container) = sizes(&f32, PackingChoice::Auto, "f32 sparse");
    assert!(whole <= 19_000);
    assert!(container <= 360);
    let dense = named(common::article_int8(0));
    let (whole, container) = sizes(&dense, PackingChoice::Auto, "int8 dense");
    assert!(whole <= 20_900);
    assert!(container <= 360);
    let mut labelled = int8;
    labelled.labels = (0..10).map(|digit| digit.to_string()).collect();
    let (_, container) = sizes(&labelled, PackingChoice::Auto, "int8 sparse, ten labels");
    assert!(container <= 360 + 32);
}

#[test]
fn auto_packs_each_model_the_smallest_way() {
    for zeros in [0, 100, 125, 200, 500, 800, 1000] {
        for model in [common::article_int8(zeros), common::article_f32(zeros)] {
            let of = |packing| model.to_bytes(packing).ok().map(|bytes| bytes.len());
            let auto = of(PackingChoice::Auto).unwrap();
            for packing in PackingChoice::IN_PLACE {
                // Only alignment of what follows may cost a few bytes more.
                let other = of(packing).unwrap_or(usize::MAX);
                assert!(
                    auto <= other.saturating_add(4),
                    "{zeros} zeros: {packing:?} {other} < {auto}"
                );
            }
        }
    }
}

#[test]
fn auto_packs_by_sparsity() {
    for (zeros, expected) in [(950, "gaps"), (500, "bitmap"), (0, "dense")] {
        let bytes = common::article_int8(zeros).to_bytes(PackingChoice::Auto).unwrap();
        let steps: Vec<_> = ModelView::open(&bytes).unwrap().walk().map(Result::unwrap).collect();
        let (weights, bias) = steps[3].op.constants().unwrap();
        assert_eq!(weights.packed.layout().name(), expected, "{zeros} zeros in 1000");
        assert!(matches!(bias.unwrap().packed.layout(), Layout::Dense(_)));
        assert_eq!(weights.packed.nnz(), 20_280 - 20_280 * zeros / 1000);
    }
}
