//! The commands as a user runs them: from images to a model that runs, and bad input that exits with 2 and leaves nothing
//! behind.
#![cfg(feature = "train")]

mod support;

use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use support::{Workplace, penjing, stderr, stdout};

fn args<'a>(words: &[&'a str], paths: &[(&'a str, &'a Path)]) -> Vec<&'a std::ffi::OsStr> {
    let mut all: Vec<&std::ffi::OsStr> = words.iter().map(|w| (*w).as_ref()).collect();
    for (flag, path) in paths {
        if !flag.is_empty() {
            all.push((*flag).as_ref());
        }
        all.push(path.as_os_str());
    }
    all
}

#[test]
fn from_images_to_a_model_that_runs() {
    let place = Workplace::new(support::SPEC);
    let baseline = place.train("baseline", None, "baseline.safetensors");
    let pruned = place.train("prune", Some(&baseline), "pruned.safetensors");
    let checkpoint = place.train("qat", Some(&pruned), "pruned_qat.safetensors");
    let (model, data) = (place.path("model.pnj"), place.data());

    let done =
        penjing(&args(&["convert"], &[("", &checkpoint), ("-o", &model), ("--data", &data)]));
    assert!(done.status.success(), "{}", stderr(&done));
    assert!(
        stdout(&done).contains("int8") && stdout(&done).contains("argmax agrees"),
        "{}",
        stdout(&done)
    );

    let done = penjing(&args(&["inspect", "--json"], &[("", &model)]));
    let report: serde_json::Value = serde_json::from_str(&stdout(&done)).unwrap();
    assert_eq!(report["file_bytes"], std::fs::metadata(&model).unwrap().len());
    let dense = &report["nodes"][3]["weights"];
    assert_eq!(dense["elements"], 4 * 5 * 5 * 6);
    assert_eq!(dense["nnz"], 120, "80 % of 600 weights are zero");
    assert_eq!(report["macs"], 10 * 10 * 6 * 9 + 600);
    for (path, share) in [(&model, "120 of 600 (20.0 %)"), (&checkpoint, "480 of 600 (80.0 %)")] {
        let table = penjing(&args(&["inspect"], &[("", path)]));
        assert!(table.status.success() && stdout(&table).contains(share), "{}", stdout(&table));
    }

    let line = |path: &Path, more: &[&str]| {
        let words = [&["bench", "--json", "--repeats", "3"], more].concat();
        let done = penjing(&args(&words, &[("", path), ("--data", &data)]));
        assert!(done.status.success(), "{}", stderr(&done));
        serde_json::from_str::<serde_json::Value>(&stdout(&done)).unwrap()
    };
    let of_model = line(&model, &[]);
    for field in [
        "us_per_image_min",
        "us_per_image_p10",
        "us_per_image_median",
        "us_per_image_invoke_min",
        "load_us",
        "seconds_cold",
        "seconds_median",
    ] {
        assert!(of_model[field].as_f64().unwrap() > 0.0, "{field} in {of_model}");
    }
    assert_eq!(of_model["engine"], "penjing");
    assert_eq!(of_model["raw_bytes"], report["file_bytes"]);
    let accuracy = of_model["accuracy"].as_f64().unwrap();
    assert!((0.8..=0.92).contains(&accuracy), "easy classes, a tenth mislabelled: {of_model}");
    for more in [&["--batch", "1"][..], &["--threads", "2"], &["--batch", "200"]] {
        assert_eq!(line(&model, more)["accuracy"], of_model["accuracy"]);
    }
    // 33 images on two threads: shares of unequal length
    let of_checkpoint = line(&checkpoint, &["--threads", "2", "--batch", "33"]);
    assert_eq!(of_checkpoint["engine"], "penjing-train");
    assert_eq!(of_checkpoint["accuracy"], line(&checkpoint, &[])["accuracy"]);

    assert!(of_model.get("layers").is_none(), "layers without --per-layer: {of_model}");
    layers_of_a_model(&model, &data, &report);
    groups_are_a_models_on_one_thread(&model, &checkpoint, &data);

    let done = penjing(&args(&["eval", "--json"], &[("", &model), ("--data", &data)]));
    let eval: serde_json::Value = serde_json::from_str(&stdout(&done)).unwrap();
    assert_eq!(eval["accuracy"], of_model["accuracy"]);
    let total: u64 = eval["confusion"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|r| r.as_array().unwrap())
        .map(|c| c.as_u64().unwrap())
        .sum();
    assert_eq!(total, 200);
    let done = penjing(&args(&["eval"], &[("", &checkpoint), ("--data", &data)]));
    assert!(stdout(&done).contains("recall"), "{}", stdout(&done));
}

/// `bench --per-layer` of SPEC, quantized: its table and its JSON, beside what `inspect` tells of the file.
fn layers_of_a_model(model: &Path, data: &Path, report: &serde_json::Value) {
    let bench = |words: &[&str]| {
        let done = penjing(&args(words, &[("", model), ("--data", data)]));
        assert!(done.status.success(), "{}", stderr(&done));
        stdout(&done)
    };
    let words = ["bench", "--per-layer", "--repeats", "3", "--batch", "33"];
    let line = bench(&[&words[..], &["--json"]].concat());
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let layers = line["layers"].as_array().unwrap();
    let of = |field: &str| layers.iter().map(|l| l[field].clone()).collect::<Vec<_>>();
    assert_eq!(of("name"), ["conv2d+max_pool2d", "fully_connected"], "{line}");
    assert_eq!(of("macs"), [10 * 10 * 6 * 9, 600], "as {}", report["macs"]);
    assert_eq!(of("nodes"), [serde_json::json!([0, 1]), serde_json::json!([3, 3])]);
    let nodes = report["nodes"].as_array().unwrap();
    let mut us = 0.0;
    for layer in layers {
        let last = layer["nodes"][1].as_u64().unwrap() as usize;
        assert_eq!(layer["shape"], nodes[last]["output"]["shape"], "{layer}");
        let time = layer["us_per_image"].as_f64().unwrap();
        assert!(time > 0.0, "{layer}");
        us += time;
        let (macs, rate) = (layer["macs"].as_f64().unwrap(), layer["gmac_per_s"].as_f64().unwrap());
        assert!((rate * time * 1e3 - macs).abs() < 1e-6 * macs, "{layer}");
    }
    // no bound on speed: another unit than an image's microseconds would be off by more
    let whole = line["us_per_image_min"].as_f64().unwrap();
    assert!((whole / 20.0..whole * 20.0).contains(&us), "{us} in groups, {whole} in all: {line}");
    let shares: Vec<f64> = layers.iter().map(|l| l["share"].as_f64().unwrap()).collect();
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{shares:?}");
    for (layer, share) in layers.iter().zip(shares) {
        assert!((layer["us_per_image"].as_f64().unwrap() / us - share).abs() < 1e-9, "{layer}");
    }

    let text = bench(&words);
    let rows: Vec<&str> = text.lines().skip_while(|l| !l.contains("GMAC/s")).skip(2).collect();
    let (total, rows) = rows.split_last().unwrap();
    assert_eq!(rows.len(), layers.len(), "{text}");
    for (row, layer) in rows.iter().zip(layers) {
        assert!(row.contains(layer["name"].as_str().unwrap()), "{text}");
    }
    assert!(total.contains("total") && total.contains("6000"), "{text}");
    assert!(total.trim_end().ends_with("100.0 %"), "{text}");
}

/// What `bench --per-layer` turns away before it times anything.
fn groups_are_a_models_on_one_thread(model: &Path, checkpoint: &Path, data: &Path) {
    for (threads, path, expected) in [
        ("0", model, ["--threads 1", "found 0"]),
        ("2", model, ["--threads 1", "found 2"]),
        ("1", checkpoint, ["pruned_qat.safetensors", "checkpoint"]),
    ] {
        let words = ["bench", "--per-layer", "--threads", threads];
        let done = penjing(&args(&words, &[("", path), ("--data", data)]));
        let message = stderr(&done);
        assert_eq!(done.status.code(), Some(2), "{message}");
        for word in ["--per-layer"].iter().chain(&expected) {
            assert!(message.contains(word), "{message:?} should speak of {word:?}");
        }
        assert!(stdout(&done).is_empty(), "{}", stdout(&done));
    }
}

#[test]
fn run_reads_and_writes_tensors_of_any_batch() {
    let place = Workplace::new(support::SPEC);
    let checkpoint = place.train("baseline", None, "baseline.safetensors");
    let model = place.path("model.pnj");
    let done = penjing(&args(&["convert", "--no-check"], &[("", &checkpoint), ("-o", &model)]));
    assert!(done.status.success(), "{}", stderr(&done));
    let split = place.test_split();
    let (input, output) = (place.path("in.safetensors"), place.path("out.safetensors"));
    let mut seen: Vec<Vec<u8>> = Vec::new();
    for (shape, n) in [(vec![7, 12, 12, 1], 7), (vec![12, 12, 1], 1)] {
        let view = TensorView::new(Dtype::U8, shape, &split.images()[..n * 144]).unwrap();
        std::fs::write(&input, safetensors::serialize([("input", view)], None).unwrap()).unwrap();
        let done =
            penjing(&args(&["run"], &[("", &model), ("--input", &input), ("--output", &output)]));
        assert!(done.status.success(), "{}", stderr(&done));
        let bytes = std::fs::read(&output).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let scores = file.tensor("output").unwrap();
        assert_eq!((scores.dtype(), scores.shape()), (Dtype::F32, &[n, 4][..]));
        seen.push(scores.data().to_vec());
    }
    assert_eq!(seen[0][..16], seen[1][..], "the first image's scores depend on the batch");

    let cases: [(Dtype, Vec<usize>, &str, &str); 3] = [
        (Dtype::F32, vec![1, 6, 6, 1], "input", "U8"),
        (Dtype::U8, vec![2, 12, 6, 1], "input", "[12, 12, 1]"),
        (Dtype::U8, vec![1, 12, 12, 1], "inputs", "\"input\""),
    ];
    for (dtype, shape, name, word) in cases {
        std::fs::remove_file(&output).ok();
        let view = TensorView::new(dtype, shape, &split.images()[..144]).unwrap();
        std::fs::write(&input, safetensors::serialize([(name, view)], None).unwrap()).unwrap();
        let done =
            penjing(&args(&["run"], &[("", &model), ("--input", &input), ("--output", &output)]));
        assert_eq!(done.status.code(), Some(2), "{}", stderr(&done));
        let message = stderr(&done);
        assert!(message.contains("in.safetensors") && message.contains(word), "{message}");
        assert!(!output.exists());
    }
}

#[test]
fn bad_input_exits_with_2_names_the_file_and_leaves_nothing() {
    let place = Workplace::new(support::SPEC);
    let checkpoint = place.train("baseline", None, "baseline.safetensors");
    let (data, out) = (place.data(), place.path("out.pnj"));
    let missing = place.path("missing.safetensors");
    let text = place.path("spec.toml");
    let labels = place.path("labels.txt");
    std::fs::write(&labels, "one\ntwo\n").unwrap();
    let cut = place.path("cut.pnj");
    let done = penjing(&args(&["convert", "--no-check"], &[("", &checkpoint), ("-o", &cut)]));
    assert!(done.status.success(), "{}", stderr(&done));
    let whole = std::fs::read(&cut).unwrap();
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let nowhere = place.path("nowhere");

    type Case<'a> = (&'a [&'a str], Vec<(&'a str, &'a Path)>, &'a [&'a str]);
    let cases: Vec<Case<'_>> = vec![
        (&["convert", "--no-check"], vec![("", &missing), ("-o", &out)], &["missing.safetensors"]),
        (
            &["convert", "--no-check"],
            vec![("", &text), ("-o", &out)],
            &["spec.toml", "safetensors"],
        ),
        (
            &["convert", "--dtype", "int8", "--no-check"],
            vec![("", &checkpoint), ("-o", &out)],
            &["baseline.safetensors", "conv", "int8"],
        ),
        (
            &["convert", "--no-check"],
            vec![("", &checkpoint), ("-o", &out), ("--labels", &labels)],
            &["expected 4", "found 2"],
        ),
        (
            &["convert"],
            vec![("", &checkpoint), ("-o", &out), ("--data", &nowhere)],
            &["nowhere", "--no-check"],
        ),
        (&["inspect"], vec![("", &text)], &["spec.toml", "PNJ1"]),
        (&["inspect"], vec![("", &cut)], &["cut.pnj"]),
        (&["eval"], vec![("", &cut), ("--data", &data)], &["cut.pnj"]),
        (&["bench"], vec![("", &missing), ("--data", &data)], &["missing.safetensors"]),
        (&["bench", "--batch", "0"], vec![("", &checkpoint), ("--data", &data)], &["--batch"]),
        (&["bench", "--repeats", "0"], vec![("", &checkpoint), ("--data", &data)], &["--repeats"]),
    ];
    for (words, paths, expected) in cases {
        let done = penjing(&args(words, &paths));
        let message = stderr(&done);
        assert_eq!(done.status.code(), Some(2), "{words:?}: {message}");
        for word in expected {
            assert!(message.contains(word), "{words:?}: {message:?} should speak of {word:?}");
        }
        assert!(!out.exists(), "{words:?} left a file");
    }
}

#[test]
fn every_command_has_an_example_in_its_help() {
    for command in [
        "train baseline",
        "train prune",
        "train qat",
        "convert",
        "quantize",
        "inspect",
        "run",
        "bench",
        "eval",
        "compare",
    ] {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = stdout(&penjing(&words));
        assert!(help.contains("Example"), "penjing {command} --help:\n{help}");
    }
}
