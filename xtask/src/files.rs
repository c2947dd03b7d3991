//! Files that the commands write: whole or not at all, and the parts of documents between two markers. What is written is
//! the commands' own.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A folder that the user named from where they are, or one of the workspace's.
pub(crate) fn absolute(named: Option<&Path>, root: &Path, default: &str) -> Result<PathBuf> {
    match named {
        Some(path) => std::path::absolute(path).with_context(|| path.display().to_string()),
        None => Ok(root.join(default)),
    }
}

/// Removes what an earlier run left, so that a run that fails leaves no results that look like its own.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| path.display().to_string())
        }
        _ => Ok(()),
    }
}

/// Writes beside the place and renames.
pub(crate) fn write(path: &Path, contents: impl AsRef<[u8]>) -> Result<()> {
    let temporary = path.with_extension("tmp");
    std::fs::write(&temporary, contents)
        .and_then(|()| std::fs::rename(&temporary, path))
        .with_context(|| path.display().to_string())
}

/// Replaces what stands between the markers `<!-- NAME:begin -->` and `<!-- NAME:end -->` of a document.
pub(crate) fn replace_between(path: &Path, name: &str, text: &str) -> Result<()> {
    let document = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let spliced = splice(&document, name, text).with_context(|| path.display().to_string())?;
    write(path, spliced)
}

/// `document` with what stands between its markers replaced.
fn splice(document: &str, name: &str, text: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- {name}:begin -->\n"), format!("<!-- {name}:end -->"));
    let start =
        document.find(&begin).with_context(|| format!("no line {}", begin.trim()))? + begin.len();
    let stop =
        document[start..].find(&end).with_context(|| format!("no {end} after the first marker"))?
            + start;
    Ok(format!("{}\n{}\n{}", &document[..start], text.trim(), &document[stop..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splice_replaces_only_what_is_between_the_markers() {
        let document = "a\n<!-- tables:begin -->\nold\n<!-- tables:end -->\nb\n";
        let once = splice(document, "tables", "new").unwrap();
        assert_eq!(once, "a\n<!-- tables:begin -->\n\nnew\n<!-- tables:end -->\nb\n");
        assert_eq!(splice(&once, "tables", "new").unwrap(), once);
        assert!(splice(document, "table", "x").is_err());
        assert!(splice("<!-- t:end --> <!-- t:begin -->\n", "t", "x").is_err());
    }

    #[test]
    fn a_document_without_markers_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d.md");
        std::fs::write(&path, "text\n").unwrap();
        let error = replace_between(&path, "t", "x").unwrap_err();
        assert!(format!("{error:#}").ends_with("d.md: no line <!-- t:begin -->"), "{error:#}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "text\n");
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(!path.exists());
    }
}
