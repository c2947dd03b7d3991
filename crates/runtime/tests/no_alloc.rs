//! `Session::run` allocates nothing, on any thread: a counting allocator watches the whole process.

#[path = "support/counting.rs"]
mod counting;
mod support;

use penjing_format::DataType;
use penjing_format::write::PackingChoice;
use support::Data;

// No test harness: the counter is the process's, and the harness' own thread allocates.
fn main() {
    for dtype in [DataType::F32, DataType::U8] {
        let model = support::model(&support::network_spec(dtype), PackingChoice::Auto);
        let info = model.inputs().next().unwrap();
        let len = info.shape.elements().unwrap();
        for threads in [1, 2, 3] {
            let mut session = support::session(&model, threads);
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
