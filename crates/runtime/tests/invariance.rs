//! What results may not depend on: the batch, the number of threads, where the bytes live.

mod support;

use penjing_format::DataType;
use penjing_format::write::PackingChoice;
use penjing_runtime::{Isa, Model, RunError, Session, SessionOptions, ThreadPool};
use proptest::prelude::*;
use std::sync::Barrier;
use support::Data;

/// Every way to run 33 images gives the same bits as one image at a time.
fn same_for_any_batch_and_threads(model: &Model, seed: u64) {
    const IMAGES: usize = 33;
    let info = model.inputs().next().unwrap();
    let len = info.shape.elements().unwrap();
    let images = Data::noise(info.dtype, IMAGES * len, seed);
    let mut codes = None;
    for &isa in support::instruction_sets() {
        let want = batches(model, isa, &images, len, 1, 1);
        for threads in [1, 2, 3] {
            for batch in [1, 2, 7, IMAGES] {
                let found = batches(model, isa, &images, len, batch, threads);
                assert_eq!(found, want, "{isa} {threads} {batch}");
            }
        }
        // Integers do not depend on the instruction set either.
        if model.outputs().next().unwrap().dtype != DataType::F32 {
            assert_eq!(*codes.get_or_insert(want.clone()), want, "{isa}");
        }
    }
}

/// The results of images run `batch` at a time, as bits.
fn batches(
    model: &Model,
    isa: Isa,
    images: &Data,
    len: usize,
    batch: usize,
    threads: usize,
) -> Vec<u32> {
    let mut session = support::session_on(model, isa, threads);
    assert_eq!(session.threads(), threads);
    let parts: Vec<Data> = match images {
        Data::U8(x) => x.chunks(batch * len).map(|part| Data::U8(part.to_vec())).collect(),
        Data::I8(x) => x.chunks(batch * len).map(|part| Data::I8(part.to_vec())).collect(),
        Data::F32(x) => x.chunks(batch * len).map(|part| Data::F32(part.to_vec())).collect(),
    };
    let mut bits = Vec::new();
    for part in parts {
        let n = part.input().len() / len;
        match support::run(&mut session, model, &part, n).unwrap() {
            Data::U8(x) => bits.extend(x.into_iter().map(u32::from)),
            Data::I8(x) => bits.extend(x.into_iter().map(|q| q as u32)),
            Data::F32(x) => bits.extend(x.into_iter().map(f32::to_bits)),
        }
    }
    bits
}

#[test]
fn the_articles_network() {
    for dtype in [DataType::F32, DataType::U8, DataType::I8] {
        let model = support::model(&support::network_spec(dtype), PackingChoice::Auto);
        same_for_any_batch_and_threads(&model, 11);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn any_dense_layer(dtype in 0..3_usize, features in 1..300_u32, out in 1..40_u32, seed: u64) {
        let spec = support::dense_spec(support::TYPES[dtype], features, out, seed);
        same_for_any_batch_and_threads(&support::model(&spec, PackingChoice::Auto), seed);
    }

    #[test]
    fn any_convolution(case in support::conv_case()) {
        if let Some(spec) = case.spec() {
            same_for_any_batch_and_threads(&support::model(&spec, PackingChoice::Auto), case.seed);
        }
    }
}

#[test]
fn sessions_that_share_a_pool_do_not_disturb_each_other() {
    const IMAGES: usize = 150;
    let pool = ThreadPool::new(2).unwrap();
    let started = Barrier::new(3);
    std::thread::scope(|scope| {
        for (dtype, seed) in [(DataType::U8, 1), (DataType::F32, 2), (DataType::I8, 3)] {
            let (pool, started) = (pool.clone(), &started);
            scope.spawn(move || {
                let model = support::model(&support::network_spec(dtype), PackingChoice::Auto);
                let images = Data::noise(dtype, IMAGES * 12 * 14, seed);
                let want = support::run(&mut support::session(&model, 1), &model, &images, IMAGES);
                let options = SessionOptions::default();
                let mut session = Session::with_pool(&model, options, &pool).unwrap();
                assert_eq!(session.threads(), 3);
                // The sessions alone keep the threads.
                drop(pool);
                started.wait();
                for _ in 0..20 {
                    assert_eq!(support::run(&mut session, &model, &images, IMAGES), want);
                }
            });
        }
        drop(pool);
    });
}

#[test]
fn a_pool_without_threads_leaves_the_caller() {
    let pool = ThreadPool::new(0).unwrap();
    let model = support::model(&support::network_spec(DataType::U8), PackingChoice::Auto);
    let session = Session::with_pool(&model, SessionOptions::default(), &pool).unwrap();
    assert_eq!((pool.threads(), session.threads()), (0, 1));
}

#[test]
fn a_network_conforms_as_a_chain() {
    // Codes are exact through the chain; of reals, the error of the last op alone is bounded by the oracle, hence the slack.
    for (dtype, slack) in [(DataType::U8, 0.0), (DataType::F32, 3.0)] {
        let model = support::model(&support::network_spec(dtype), PackingChoice::Auto);
        let images = Data::noise(dtype, 9 * 12 * 14, 5);
        for &isa in support::instruction_sets() {
            let mut session = support::session_on(&model, isa, 2);
            let results = support::run(&mut session, &model, &images, 9).unwrap();
            support::check(isa, &model, &images, &results, 9, slack);
        }
    }
}

#[test]
fn mapped_owned_and_static_bytes_are_one_model() {
    let bytes = support::network_spec(DataType::U8).to_bytes(PackingChoice::Auto).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pnj");
    std::fs::write(&path, &bytes).unwrap();
    let mapped = Model::open(&path).unwrap();
    let fixed = Model::from_static(Box::leak(bytes.clone().into_boxed_slice())).unwrap();
    let owned = Model::from_bytes(bytes).unwrap();
    let images = Data::noise(DataType::U8, 5 * 12 * 14, 8);
    let results = [&mapped, &fixed, &owned].map(|model| {
        assert_eq!(model.inputs().next(), owned.inputs().next());
        assert_eq!(model.outputs().next(), owned.outputs().next());
        support::run(&mut support::session(model, 1), model, &images, 5).unwrap()
    });
    assert_eq!(results[0], results[2]);
    assert_eq!(results[1], results[2]);
}

#[test]
fn a_session_outlives_its_model() {
    let model = support::model(&support::network_spec(DataType::U8), PackingChoice::Auto);
    let images = Data::noise(DataType::U8, 12 * 14, 8);
    let want = support::run(&mut support::session(&model, 1), &model, &images, 1).unwrap();
    let mut session = support::session(&model, 2);
    drop(model);
    let mut found = Data::zeros(DataType::I8, 10);
    session.run(images.input(), found.output()).unwrap();
    assert_eq!(found, want);
}

/// A profile changes no result, counts every image of every group, and is its own session's.
#[test]
fn profiles_watch_and_do_not_disturb() {
    let model = support::model(&support::network_spec(DataType::U8), PackingChoice::Auto);
    let images = Data::noise(DataType::U8, 40 * 12 * 14, 8);
    let mut session = support::session(&model, 1);
    let want = support::run(&mut session, &model, &images, 40).unwrap();
    let mut profile = session.profile();
    for runs in 1..3 {
        let mut found = Data::zeros(DataType::I8, 40 * 10);
        session.run_profiled(&[images.input()], &mut [found.output()], &mut profile).unwrap();
        assert_eq!(found, want);
        let groups: Vec<_> = profile.groups().iter().map(|g| (g.name, g.nodes.clone())).collect();
        assert_eq!(groups, [("conv2d+max_pool2d", 0..2), ("fully_connected", 3..4)]);
        assert!(profile.groups().iter().all(|g| g.images == runs * 40 && g.seconds > 0.0));
    }
    let other = support::dense_spec(DataType::U8, 12 * 14, 10, 3);
    let other = support::session(&support::model(&other, PackingChoice::Auto), 1);
    let mut found = Data::zeros(DataType::I8, 40 * 10);
    let refused =
        session.run_profiled(&[images.input()], &mut [found.output()], &mut other.profile());
    assert_eq!(refused, Err(RunError::Profile { expected: 2, found: 1 }));
    assert_eq!(found, Data::zeros(DataType::I8, 40 * 10));
}
