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
    println!("test run_allocates_nothing ... ok");
}
