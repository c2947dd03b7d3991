//! Sizes of real weights: two trained networks (`data/README.md`) in every packing, held to what the format promises. Synthetic
//! weights are in `size.rs`.
#![cfg(feature = "write")]

mod common;

use common::content_bytes;
use common::raise::raise;
use penjing_format::write::{Model, PackingChoice};
use penjing_format::{ModelView, expand};

const SPARSE: &[u8] = include_bytes!("data/sparse_int8.pnj");
const DENSE: &[u8] = include_bytes!("data/dense_int8.pnj");

fn model(file: &[u8]) -> Model {
    let mut model = raise(ModelView::open(file).unwrap());
    // A chain's edges and its output are left out.
    model.nodes.iter_mut().for_each(|node| node.inputs.clear());
    model.outputs.clear();
    model
}

/// The file, which holds the same model.
fn packed(model: &Model, packing: PackingChoice) -> Vec<u8> {
    let file = model.to_bytes(packing).unwrap();
    let decoded = expand(&file, 1 << 20).unwrap();
    assert_eq!(self::model(&decoded), *model, "{packing:?}");
    file
}

#[test]
fn the_fixture_is_what_the_writer_makes_of_it() {
    for file in [SPARSE, DENSE] {
        assert_eq!(packed(&model(file), PackingChoice::Dense), file);
    }
}

#[test]
fn a_sparse_network_is_small_where_it_lies() {
    let model = model(SPARSE);
    let (input, output) = (&model.inputs[0], model.nodes[3].value.as_ref().unwrap());
    assert_eq!([&input.name, &output.name].map(|n| n.as_deref()), [Some("input"), Some("output")]);
    let mut sizes = Vec::new();
    for packing in PackingChoice::IN_PLACE {
        // Some groups of its weights have no zero.
        if packing != PackingChoice::NOfM {
            sizes.push((packing, packed(&model, packing).len()));
        }
    }
    println!("{sizes:?}");
    let file = packed(&model, PackingChoice::Auto);
    assert!(sizes.iter().all(|&(_, size)| file.len() <= size), "{sizes:?}");
    assert!(file.len() <= 6_850, "whole file: {}", file.len());
    let container = file.len() - content_bytes(ModelView::open(&file).unwrap());
    assert!(container <= 360, "container: {container}");
    // What it takes today; more would be a loss.
    assert!(file.len() <= 6_576 && container <= 347, "{} and {container}", file.len());
}

#[test]
fn coded_files_are_smaller() {
    let sparse = packed(&model(SPARSE), PackingChoice::Smallest).len();
    assert!(sparse <= 5_300, "sparse: {sparse}");
    let dense = packed(&model(DENSE), PackingChoice::Smallest).len();
    assert!(dense <= 16_500, "dense: {dense}");
    assert!(sparse <= 4_900 && dense <= 15_180, "what they take today: {sparse} and {dense}");
}

/// `expand` is asked for memory before it takes any.
#[test]
fn decoding_keeps_to_its_limit() {
    let file = packed(&model(SPARSE), PackingChoice::Coded);
    let needed = match expand(&file, 0).unwrap_err() {
        penjing_format::ExpandError::TooLarge { needed, limit: 0 } => needed,
        other => panic!("{other:?}"),
    };
    assert!(needed > 20_388 && needed < 60_000, "{needed}");
    assert!(expand(&file, needed - 1).is_err());
    let decoded = expand(&file, needed).unwrap();
    // While the largest constant is decoded it stands beside the file.
    assert!(decoded.capacity() as u64 + 20_280 <= needed, "{}", decoded.capacity());
    let error = ModelView::open(&file).unwrap_err();
    assert!(error.to_string().contains("entropy-coded"), "{error}");
    assert!(ModelView::open_coded(&file).is_ok());
}
