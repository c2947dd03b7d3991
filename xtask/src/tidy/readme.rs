//! README shows programs that cargo compiles: what stands between its example markers is the example's file, to the letter.

use std::path::Path;

use anyhow::{Context, Result};

use super::Findings;

/// Holds every marked example of README.md against its file.
pub(super) fn check(root: &Path, findings: &mut Findings) -> Result<()> {
    let readme = std::fs::read_to_string(root.join("README.md")).context("README.md")?;
    let examples = examples(&readme);
    if examples.is_empty() {
        findings.errors.push("README.md: no example between markers".to_owned());
    }
    for (path, shown) in examples {
        let file = std::fs::read_to_string(root.join(path)).with_context(|| path.to_owned())?;
        if shown != format!("```rust\n{file}```\n") {
            findings.errors.push(format!("README.md: the example is not what {path} holds"));
        }
    }
    Ok(())
}

/// Path and text of every `<!-- example:begin PATH -->` block.
fn examples(readme: &str) -> Vec<(&str, &str)> {
    let blocks = readme.split("<!-- example:begin ").skip(1);
    blocks
        .filter_map(|block| {
            let (path, rest) = block.split_once(" -->\n")?;
            Some((path, rest.split_once("<!-- example:end -->")?.0))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_with_their_paths() {
        let text = "a\n<!-- example:begin x/y.rs -->\n```rust\nfn\n```\n<!-- example:end -->\nb";
        assert_eq!(examples(text), [("x/y.rs", "```rust\nfn\n```\n")]);
        assert!(examples("<!-- example:begin x -->\nno end").is_empty());
    }
}
