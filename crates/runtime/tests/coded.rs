//! Models whose weights are entropy-coded: they run as those that are not, and take no more memory to open than is granted.

mod support;

use penjing_format::DataType;
use penjing_format::write::PackingChoice;
use penjing_runtime::{Error, Model, OpenOptions};
use support::Data;

#[test]
fn coded_models_give_the_same_scores() {
    for dtype in [DataType::U8, DataType::I8, DataType::F32] {
        let spec = support::network_spec(dtype);
        let run = |packing| {
            let model = support::model(&spec, packing);
            let info = model.inputs().next().unwrap();
            let images = Data::zeros(info.dtype, 3 * info.len());
            support::run(&mut support::session(&model, 1), &model, &images, 3).unwrap()
        };
        assert_eq!(run(PackingChoice::Coded), run(PackingChoice::Dense), "{dtype}");
    }
}

#[test]
fn opening_takes_no_more_memory_than_is_granted() {
    let bytes = support::network_spec(DataType::U8).to_bytes(PackingChoice::Coded).unwrap();
    let open = |max_bytes| {
        let mut options = OpenOptions::default();
        options.max_bytes = max_bytes;
        Model::from_bytes_with(bytes.clone(), &options)
    };
    let error = open(100).unwrap_err();
    let Error::TooLarge { needed, limit: 100 } = error else { panic!("{error:?}") };
    assert!(matches!(open(needed - 1), Err(Error::TooLarge { .. })));
    assert!(open(needed).is_ok());
    // What is not coded takes none.
    let plain = support::network_spec(DataType::U8).to_bytes(PackingChoice::Auto).unwrap();
    let mut options = OpenOptions::default();
    options.max_bytes = 0;
    assert!(Model::from_bytes_with(plain, &options).is_ok());
}
