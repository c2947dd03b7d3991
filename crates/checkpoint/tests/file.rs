//! Checkpoint files: round trips, equal bytes, and one broken file for each error.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use penjing_checkpoint::{
    Architecture, Checkpoint, CheckpointError, Dense, Flatten, Granularity, Layer, LayerSparsity,
    Layout, MANIFEST_VERSION, Manifest, Quantization, Sparsity, Stage, Tensor, write_atomically,
};
use safetensors::tensor::{Dtype, TensorView};

/// Flatten and one dense layer of two units over a 1x2x1 image.
fn small(stage: Stage) -> Checkpoint {
    let dense = Dense { name: "dense".into(), units: 2, activation: Default::default() };
    let flatten = Flatten { name: "flatten".into() };
    let architecture = Architecture {
        name: "small".into(),
        input: [1, 2, 1],
        layers: vec![Layer::Flatten(flatten), Layer::Dense(dense)],
    };
    let weight = Tensor { shape: vec![2, 2], data: vec![0.5, 0.0, 0.1, -3.0e-7] };
    let mut tensors = BTreeMap::from([
        ("dense.weight".to_owned(), weight),
        ("dense.bias".to_owned(), Tensor { shape: vec![2], data: vec![1.0, 2.0] }),
    ]);
    let mut quantization = None;
    if stage == Stage::Qat {
        tensors.insert("dense.range".into(), Tensor { shape: vec![2], data: vec![-1.5, 2.0] });
        let weights = BTreeMap::from([("dense".to_owned(), Granularity::PerTensor)]);
        quantization = Some(Quantization { bits: 8, weights });
    }
    let layer = LayerSparsity { target: 0.25, zeros: 1, elements: 4 };
    let layers = BTreeMap::from([("dense".to_owned(), layer)]);
    let manifest = Manifest {
        version: MANIFEST_VERSION,
        stage,
        architecture,
        layout: Layout::default(),
        seed: 7,
        parent: Some("00ff".into()),
        sparsity: (stage != Stage::Baseline).then_some(Sparsity { layers }),
        quantization,
        recipe: serde_json::json!({"epochs": 3, "learning_rate": 0.001}),
    };
    Checkpoint { manifest, tensors }
}

fn load(checkpoint: &Checkpoint) -> Result<Checkpoint, CheckpointError> {
    Checkpoint::from_bytes(&checkpoint.to_bytes().unwrap(), Path::new("x.safetensors"))
}

/// The small checkpoint with its JSON manifest altered as text.
fn with_manifest(
    stage: Stage,
    alter: impl Fn(&str) -> String,
) -> Result<Checkpoint, CheckpointError> {
    let c = small(stage);
    let json = alter(&serde_json::to_string(&c.manifest).unwrap());
    let data: Vec<_> = c
        .tensors
        .iter()
        .map(|(n, t)| (n, t, t.data.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()))
        .collect();
    let views =
        data.iter().map(|(n, t, b)| (n, TensorView::new(Dtype::F32, t.shape.clone(), b).unwrap()));
    let metadata = HashMap::from([("penjing".to_owned(), json)]);
    let bytes = safetensors::serialize(views, Some(metadata)).unwrap();
    Checkpoint::from_bytes(&bytes, Path::new("x.safetensors"))
}

#[test]
fn every_stage_survives_a_round_trip_with_equal_bytes() {
    let dir = tempfile::tempdir().unwrap();
    for stage in [Stage::Baseline, Stage::Pruned, Stage::Qat] {
        let path = dir.path().join(stage.name());
        let c = small(stage);
        c.save(&path).unwrap();
        let (again, hash) = Checkpoint::load_with_hash(&path).unwrap();
        assert_eq!(again, c);
        assert_eq!(hash.len(), 64);
        let first = std::fs::read(&path).unwrap();
        for _ in 0..8 {
            assert_eq!(again.to_bytes().unwrap(), first, "the bytes vary");
        }
    }
    let left: Vec<PathBuf> =
        std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(left.len(), 3, "a temporary file is left: {left:?}");
}

#[test]
fn wrong_tensors_are_named() {
    let mut c = small(Stage::Baseline);
    c.tensors.remove("dense.bias");
    assert!(
        matches!(load(&c), Err(CheckpointError::MissingTensor { name, .. }) if name == "dense.bias")
    );

    let mut c = small(Stage::Baseline);
    c.tensors.insert("other".into(), Tensor { shape: vec![1], data: vec![0.0] });
    assert!(
        matches!(load(&c), Err(CheckpointError::UnknownTensor { name, .. }) if name == "other")
    );

    let mut c = small(Stage::Baseline);
    c.tensors.get_mut("dense.weight").unwrap().shape = vec![4, 1];
    let message = load(&c).unwrap_err().to_string();
    assert!(message.contains("[2, 2]") && message.contains("[4, 1]"), "{message}");

    let mut c = small(Stage::Baseline);
    c.tensors.get_mut("dense.weight").unwrap().data[2] = f32::NAN;
    assert!(matches!(load(&c), Err(CheckpointError::NotFinite { index: 2, .. })));

    let mut c = small(Stage::Qat);
    c.tensors.get_mut("dense.range").unwrap().data = vec![2.0, -2.0];
    assert!(matches!(load(&c), Err(CheckpointError::Range { .. })));
}

#[test]
fn wrong_manifests_are_named() {
    let version = with_manifest(Stage::Baseline, |j| {
        j.replace("\"version\":1", "\"version\":9").replace("\"seed\"", "\"seeds_of_the_future\"")
    });
    assert!(matches!(version, Err(CheckpointError::Version { expected: 1, found: 9, .. })));
    let layout = with_manifest(Stage::Baseline, |j| j.replace("OHWI", "OIHW"));
    assert!(matches!(layout, Err(CheckpointError::Layout { .. })));
    let field = with_manifest(Stage::Baseline, |j| j.replace("\"units\"", "\"unit\""));
    assert!(matches!(field, Err(CheckpointError::Manifest { .. })));
    let shape = with_manifest(Stage::Baseline, |j| j.replace("\"units\":2", "\"units\":0"));
    assert!(matches!(shape, Err(CheckpointError::Architecture { .. })));
    for (stage, from, to) in [
        (Stage::Baseline, "\"stage\":\"baseline\"", "\"stage\":\"pruned\""),
        (Stage::Qat, "\"bits\":8", "\"bits\":4"),
        (Stage::Pruned, "\"zeros\":1", "\"zeros\":2"),
        (Stage::Pruned, "\"elements\":4", "\"elements\":5"),
        (Stage::Pruned, "{\"dense\":", "{\"nowhere\":"),
        (Stage::Qat, "{\"dense\":\"per", "{\"nowhere\":\"per"),
    ] {
        let e = with_manifest(stage, |j| {
            assert!(j.contains(from), "{from} is not in {j}");
            j.replace(from, to)
        });
        assert!(matches!(e, Err(CheckpointError::Stage { .. })), "{from} -> {to}: {e:?}");
    }
}

#[test]
fn files_that_are_no_checkpoints_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("broken.safetensors");
    assert!(matches!(Checkpoint::load(&path), Err(CheckpointError::Io { .. })));
    let whole = small(Stage::Qat).to_bytes().unwrap();
    for cut in 0..whole.len() {
        let e = Checkpoint::from_bytes(&whole[..cut], &path).unwrap_err();
        assert!(matches!(e, CheckpointError::Safetensors { .. }), "cut at {cut}: {e}");
    }
    let bytes = [0_u8; 4];
    let view = TensorView::new(Dtype::F32, vec![1], &bytes).unwrap();
    let plain = safetensors::serialize([("x", view)], None).unwrap();
    let e = Checkpoint::from_bytes(&plain, &path).unwrap_err();
    assert!(matches!(e, CheckpointError::NoManifest { .. }));
    assert!(e.to_string().contains("broken.safetensors"), "{e}");
}

#[test]
fn a_failed_write_leaves_the_old_file_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("taken");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("inside"), b"x").unwrap();
    assert!(write_atomically(&folder, b"new").is_err(), "a folder cannot be replaced by a file");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    let file = dir.path().join("file");
    write_atomically(&file, b"old").unwrap();
    write_atomically(&file, b"new").unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), b"new");
}

#[test]
fn granularity_gives_one_scale_or_one_a_channel() {
    let w = [1.27, -0.5, 0.0, 0.0, -2.54, 1.0];
    assert_eq!(Granularity::PerTensor.scales(&w, 3), [0.02]);
    assert_eq!(Granularity::PerChannel.scales(&w, 3), [0.01, 0.02, 0.02]);
}
