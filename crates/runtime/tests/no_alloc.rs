//! `Session::run` allocates nothing, on any thread, and a session in place nothing at all: a counting allocator watches the whole
//! process.

#[path = "support/counting.rs"]
mod counting;
mod support;

use penjing_format::DataType;
use penjing_format::write::PackingChoice;
use penjing_runtime::{Session, SessionOptions, ThreadPool};
use support::Data;

// No test harness: the counter is the process's, and the harness' own thread allocates.
fn main() {
    let pool = ThreadPool::new(2).unwrap();
    for dtype in [DataType::F32, DataType::U8] {
        let model = support::model(&support::network_spec(dtype), PackingChoice::Auto);
        let info = model.inputs().next().unwrap();
        let len = info.shape.elements().unwrap();
        let lent = || Session::with_pool(&model, SessionOptions::default(), &pool).unwrap();
        let own = [1, 2, 3].map(|threads| support::session(&model, threads));
        for mut session in own.into_iter().chain([lent()]) {
            let threads = session.threads();
            for batch in [1, 2, 7, 33, 200] {
                let images = Data::noise(dtype, batch * len, 3);
                let outputs = model.outputs().next().unwrap();
                let mut output = Data::zeros(outputs.dtype, batch * 10);
                let before = counting::calls();
                session.run(images.input(), output.output()).unwrap();
                let calls = counting::calls() - before;
                assert_eq!(calls, 0, "{dtype}, {threads} threads, batch {batch}");
                assert_ne!(output, Data::zeros(outputs.dtype, batch * 10));
            }
        }
    }
    ops_of_all_kinds();
    in_place();
    println!("test run_allocates_nothing ... ok");
}

/// Sessions in memory that is lent do not even allocate when they are made, nor when they are refused.
fn in_place() {
    let specs = [support::network_spec(DataType::U8), support::light::every_op(DataType::I8)];
    for (spec, packing) in specs
        .iter()
        .flat_map(|spec| [PackingChoice::Auto, PackingChoice::Gaps].map(|packing| (spec, packing)))
    {
        let model = support::model(spec, packing);
        let info = model.inputs().next().unwrap();
        let image = Data::noise(info.dtype, info.len(), 3);
        let mut scores = vec![0_i8; model.outputs().next().unwrap().len()];
        let mut arena = vec![0; penjing_runtime::in_place::arena_bytes(&model).unwrap() + 3];
        let before = counting::calls();
        assert!(Session::in_place(&model, &mut arena[..100]).is_err());
        let mut session = Session::in_place(&model, &mut arena).unwrap();
        session.run(image.input(), &mut scores[..]).unwrap();
        assert!(session.run(image.input(), &mut scores[1..]).is_err());
        assert_eq!(counting::calls() - before, 0, "in place");
        assert!(scores.iter().any(|&score| score != 0));
    }
}

/// Several inputs of a group, results over dead inputs, and every op without weights.
fn ops_of_all_kinds() {
    for dtype in [DataType::F32, DataType::I8] {
        let model = support::model(&support::light::every_op(dtype), PackingChoice::Auto);
        let len = model.inputs().next().unwrap().len();
        let out = model.outputs().next().unwrap();
        let mut session = support::session(&model, 1);
        for batch in [1, 33] {
            let images = Data::noise(dtype, batch * len, 3);
            let mut output = Data::zeros(out.dtype, batch * out.len());
            let before = counting::calls();
            session.run(images.input(), output.output()).unwrap();
            assert_eq!(counting::calls() - before, 0, "{dtype}, batch {batch}");
        }
    }
}
