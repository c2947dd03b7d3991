//! Whether schemas/model.fbs can read the files of every released version: schemas/released/ holds their schemas, frozen.
//! `flatc --conform` looks at the same pairs but lets much pass, such as a renamed field; it is `codegen`'s to run.

mod conform;
mod parse;
mod tokens;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

const RELEASED: &str = "schemas/released";

/// What `sha256sum *.fbs` prints in [`RELEASED`]. Who changes a frozen schema must do so twice.
const SUMS: &str = "SHA256SUMS";

/// The paths of all released schemas, below `root`.
///
/// # Errors
/// Where there is none, one is not what [`SUMS`] says, or the folder holds anything else.
pub(crate) fn released(root: &Path) -> Result<Vec<String>> {
    let folder = root.join(RELEASED);
    let list = fs::read_to_string(folder.join(SUMS))
        .with_context(|| format!("cannot read {RELEASED}/{SUMS}"))?;
    let sums = sums(&list).with_context(|| format!("{RELEASED}/{SUMS}"))?;
    ensure!(!sums.is_empty(), "{RELEASED}/{SUMS}: expected a line for each schema, found none");
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {RELEASED}"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        ensure!(
            name == SUMS || sums.contains_key(name.as_str()),
            "{RELEASED}/{name}: expected a line in {SUMS}, found none"
        );
    }
    for (name, expected) in &sums {
        let path = format!("{RELEASED}/{name}");
        let bytes = fs::read(folder.join(name)).with_context(|| format!("cannot read {path}"))?;
        let found: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        ensure!(
            found == *expected,
            "{path} is frozen and must never change: expected SHA-256 {expected}, found {found}"
        );
    }
    Ok(sums.into_keys().map(|name| format!("{RELEASED}/{name}")).collect())
}

/// Names and hashes of the lines `HASH  NAME`.
fn sums(list: &str) -> Result<BTreeMap<&str, &str>> {
    let mut sums = BTreeMap::new();
    for line in list.lines() {
        let hash = |h: &str| h.len() == 64 && h.bytes().all(|b| b.is_ascii_hexdigit());
        match line.split_once("  ") {
            Some((h, name)) if hash(h) && is_version(name) => {
                ensure!(sums.insert(name, h).is_none(), "{name}: expected once, found twice");
            }
            _ => bail!("expected lines `SHA-256  vN.fbs`, found {line:?}"),
        }
    }
    Ok(sums)
}

/// Whether a file is called `vN.fbs`.
fn is_version(name: &str) -> bool {
    let number = name.strip_prefix('v').and_then(|name| name.strip_suffix(".fbs"));
    number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// What keeps the schema `current` from reading files of the schemas `released`, and what its own rules forbid; all are paths
/// below `root`. Nothing: it reads them all.
///
/// # Errors
/// Where a schema cannot be read or holds what the parser does not know.
pub(crate) fn problems(root: &Path, current: &str, released: &[String]) -> Result<Vec<String>> {
    let read = |path: &str| {
        let text = fs::read_to_string(root.join(path)).context("cannot read it")?;
        parse::parse(&text)
    };
    let now = read(current).with_context(|| current.to_owned())?;
    let mut problems: Vec<String> =
        conform::unsound(&now).into_iter().map(|problem| format!("{current}: {problem}")).collect();
    for path in released {
        let then = read(path).with_context(|| path.clone())?;
        let found = conform::problems(&then, &now);
        problems.extend(found.into_iter().map(|problem| format!("{path}: {problem}")));
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_reads_every_released_version() {
        let root = crate::workspace_root();
        let released = released(root).unwrap();
        assert!(released.contains(&"schemas/released/v1.fbs".to_owned()), "{released:?}");
        assert_eq!(problems(root, "schemas/model.fbs", &released).unwrap(), [""; 0]);
    }

    /// What [`released`] says of a folder with these files.
    fn refusal(files: &[(&str, &str)]) -> String {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(RELEASED);
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
        match released(root.path()) {
            Ok(paths) => paths.join(" "),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn released_schemas_are_what_the_list_says() {
        // printf abc | sha256sum
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let list = format!("{hash}  v1.fbs\n");
        let paths = refusal(&[("v1.fbs", "abc"), (SUMS, &list)]);
        assert_eq!(paths, "schemas/released/v1.fbs");

        let error = refusal(&[("v1.fbs", "abd"), (SUMS, &list)]);
        assert!(error.starts_with("schemas/released/v1.fbs is frozen"), "{error}");
        assert!(error.contains(&format!("expected SHA-256 {hash}, found a52d159f")), "{error}");
        let error = refusal(&[(SUMS, &list)]);
        assert!(error.starts_with("cannot read schemas/released/v1.fbs"), "{error}");
        let error = refusal(&[("v1.fbs", "abc"), ("v2.fbs", ""), (SUMS, &list)]);
        assert_eq!(error, "schemas/released/v2.fbs: expected a line in SHA256SUMS, found none");
        let error = refusal(&[("v1.fbs", "abc")]);
        assert!(error.starts_with("cannot read schemas/released/SHA256SUMS"), "{error}");
        let error = refusal(&[(SUMS, "")]);
        assert!(error.ends_with("expected a line for each schema, found none"), "{error}");
    }

    #[test]
    fn the_list_has_one_form() {
        let hash = "0".repeat(64);
        for name in ["v1", "1.fbs", "v.fbs", "vx.fbs", "../v1.fbs", "model.fbs", " v1.fbs"] {
            assert!(sums(&format!("{hash}  {name}\n")).is_err(), "{name}");
        }
        assert!(sums(&format!("{hash} v1.fbs")).is_err());
        assert!(sums(&format!("{}  v1.fbs", &hash[1..])).is_err());
        let error = sums(&format!("{hash}  v1.fbs\n{hash}  v1.fbs\n")).unwrap_err();
        assert_eq!(error.to_string(), "v1.fbs: expected once, found twice");
        assert_eq!(sums(&format!("{hash}  v1.fbs\n{hash}  v12.fbs")).unwrap().len(), 2);
    }

    #[test]
    fn a_problem_names_its_file() {
        let root = tempfile::tempdir().unwrap();
        let text = fs::read_to_string(crate::workspace_root().join(RELEASED).join("v1.fbs"));
        let text = text.unwrap();
        fs::write(root.path().join("old.fbs"), &text).unwrap();
        fs::write(root.path().join("new.fbs"), text.replace("PNJ1", "PNJ2")).unwrap();
        fs::write(root.path().join("bad.fbs"), "\nstruct A {}").unwrap();
        let old = ["old.fbs".to_owned()];
        assert_eq!(
            problems(root.path(), "new.fbs", &old).unwrap(),
            ["old.fbs: file_identifier: expected PNJ1, found PNJ2"]
        );
        for (current, released) in [("bad.fbs", "old.fbs"), ("old.fbs", "bad.fbs")] {
            let error = problems(root.path(), current, &[released.to_owned()]).unwrap_err();
            assert!(format!("{error:#}").starts_with("bad.fbs: line 2: "), "{error:#}");
        }
    }
}
