//! What `convert`, `inspect`, `keygen`, `sign` and `verify` do to and tell of a model file: packings of the whole and of a layer,
//! where its bytes go, and whose it is.

mod support;

use std::path::Path;
use support::{SPEC, Workplace, penjing, stderr, stdout};

/// Runs a command that must succeed; returns what it prints.
fn ok(args: &[&str]) -> String {
    let done = penjing(args);
    assert!(done.status.success(), "{args:?}: {}", stderr(&done));
    stdout(&done)
}

/// Runs a command that must refuse its input; returns why.
fn refused(args: &[&str]) -> String {
    let done = penjing(args);
    assert_eq!(done.status.code(), Some(2), "{args:?}: {}", stdout(&done));
    stderr(&done)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn inspect(model: &Path) -> serde_json::Value {
    serde_json::from_str(&ok(&["inspect", "--json", text(model)])).unwrap()
}

/// Every byte of the file is in one row, and padding is little.
fn rows_sum_to_the_file(report: &serde_json::Value, path: &Path) {
    let size = std::fs::metadata(path).unwrap().len();
    let rows = report["sections"].as_array().unwrap();
    let sum: u64 = rows.iter().map(|row| row["bytes"].as_u64().unwrap()).sum();
    assert_eq!((sum, report["file_bytes"].as_u64()), (size, Some(size)), "{report}");
    assert!(rows.iter().all(|row| row["name"] != "other"));
    let padding = rows.iter().find(|row| row["name"] == "padding");
    let padding = padding.map_or(0, |row| row["bytes"].as_u64().unwrap());
    assert!(100 * padding <= 3 * size, "{padding} of {size} bytes are padding");
    let constants = report["constant_bytes"].as_u64().unwrap();
    assert_eq!(constants + report["container_bytes"].as_u64().unwrap(), size);
}

#[test]
fn files_are_packed_as_asked_and_tell_where_their_bytes_go() {
    let place = Workplace::new(SPEC);
    let dense = place.train("baseline", None, "a.safetensors");
    let pruned = place.train("prune", Some(&dense), "b.safetensors");
    let checkpoint = place.train("qat", Some(&pruned), "c.safetensors");
    let (model, data) = (place.path("model.pnj"), place.data());
    let convert = |more: &[&str]| {
        let words = ["convert", text(&checkpoint), "-o", text(&model), "--data", text(&data)];
        ok(&[&words[..], more].concat());
        inspect(&model)
    };
    let mut sizes = Vec::new();
    for packing in
        ["auto", "smallest", "dense", "bitmap", "groups", "gaps", "blocks", "columns", "coded"]
    {
        let report = convert(&["--packing", packing]);
        rows_sum_to_the_file(&report, &model);
        let found = &report["nodes"][3]["weights"]["packing"];
        assert!(["auto", "smallest"].contains(&packing) || found == packing, "{found}");
        assert_eq!(report["nnz"], inspect(&model)["nnz"]);
        sizes.push((packing, report["file_bytes"].as_u64().unwrap()));
    }
    let of = |name| sizes.iter().find(|(packing, _)| *packing == name).unwrap().1;
    assert!(sizes.iter().all(|&(packing, size)| packing == "smallest" || of("smallest") <= size));
    assert!(
        of("auto") <= of("dense").min(of("bitmap")).min(of("gaps")) && of("auto") < of("dense")
    );

    let report = convert(&["--layer-packing", "dense=gaps", "--layer-packing", "conv=bitmap"]);
    let packing = |node: usize| report["nodes"][node]["weights"]["packing"].clone();
    assert_eq!((packing(0), packing(3)), ("bitmap".into(), "gaps".into()));
    let table = ok(&["inspect", text(&model)]);
    for word in ["padding", "node 3 weights", "header and content hash", "100.0 %", "content hash"]
    {
        assert!(table.contains(word), "{table}");
    }

    let out = place.path("none.pnj");
    let words = ["convert", text(&checkpoint), "-o", text(&out), "--no-check", "--layer-packing"];
    for (asked, says) in [
        ("dense", "expected LAYER=PACKING"),
        ("dense=zip", "found zip"),
        ("pool=gaps", "of conv, dense, found no such layer"),
    ] {
        let why = refused(&[&words[..], &[asked]].concat());
        assert!(why.contains(says), "{asked}: {why}");
        assert!(!out.exists());
    }
    // Without a zero in any group of a kernel that was never pruned.
    let words = ["convert", text(&dense), "-o", text(&out), "--no-check", "--packing", "n-of-m"];
    let why = refused(&words);
    assert!(why.contains("cannot be packed as n-of-m") && !out.exists(), "{why}");
}

#[test]
fn keys_sign_and_verify_models() {
    let place = Workplace::new(SPEC);
    let checkpoint = place.train("baseline", None, "a.safetensors");
    let (model, key, public) =
        (place.path("model.pnj"), place.path("maker.pem"), place.path("maker.pub.pem"));
    ok(&["convert", text(&checkpoint), "-o", text(&model), "--no-check"]);
    let unsigned = std::fs::read(&model).unwrap();
    ok(&["keygen", "-o", text(&key)]);
    let again = refused(&["keygen", "-o", text(&key)]);
    assert!(again.contains("never overwritten"), "{again}");
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(&key).unwrap().permissions(),
        );
        assert_eq!(mode & 0o077, 0, "a secret key is its owner's alone");
    }
    let verify = ["verify", text(&model), "--pubkey", text(&public)];
    assert!(refused(&verify).contains("model.pnj: signature: expected one at the file's end"));

    let sign = ["sign", text(&model), "--key", text(&key)];
    assert!(ok(&sign).contains("version 1"));
    assert_eq!(std::fs::read(&model).unwrap().len(), unsigned.len() + 76);
    assert!(ok(&[&sign[..], &["--model-version", "5"]].concat()).contains("version 5"));
    assert!(ok(&verify).contains("version 5"));
    let signed = std::fs::read(&model).unwrap();
    assert_eq!(signed[..unsigned.len()], unsigned, "a signature is appended");
    let report = inspect(&model);
    assert_eq!(report["signed_version"], 5);
    rows_sum_to_the_file(&report, &model);

    let why = refused(&[&verify[..], &["--at-least", "6"]].concat());
    assert!(why.contains("expected model version 6 or later, found 5"), "{why}");
    let why = refused(&[&sign[..], &["--model-version", "5"]].concat());
    assert!(why.contains("expected more than the file's 5, found 5"), "{why}");
    let mut altered = signed.clone();
    altered[unsigned.len() / 2] ^= 1;
    std::fs::write(&model, &altered).unwrap();
    assert!(refused(&verify).contains("the file was altered or signed by someone else"));
    assert!(refused(&sign).contains("content hash"), "what is damaged is not signed");
    // Whoever else has put the largest version there does not lock the maker out.
    let mut foreign = signed.clone();
    let version = unsigned.len()..unsigned.len() + 8;
    foreign[version].copy_from_slice(&u64::MAX.to_le_bytes());
    std::fs::write(&model, &foreign).unwrap();
    assert!(ok(&sign).contains("version 1"));
    std::fs::write(&model, &signed).unwrap();
    assert!(
        refused(&["sign", text(&model), "--key", text(&public)]).contains("secret ed25519 key")
    );
    let why = refused(&["verify", text(&model), "--pubkey", text(&key)]);
    assert!(why.contains("public ed25519 key"), "{why}");
    assert_eq!(std::fs::read(&model).unwrap(), signed, "no refusal touches the file");
}
