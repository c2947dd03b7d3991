//! `Session::run` allocates nothing, on any thread: a counting allocator watches the whole process.

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
    println!("test run_allocates_nothing ... ok");
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
