//! Rules for each Rust file by itself: its head, where `unsafe` may be written, what must be
//! finished, its length. Meaning is the compiler's and clippy's business.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::mask::{code_only, is_word};
use super::{Findings, output};

/// Where `unsafe` may be written and why; a folder ends in `/` and means all below it. Generated
/// files in a folder named `generated` may as well.
const UNSAFE_ALLOWED: &[(&str, &str)] = &[
    ("crates/runtime/src/arch/", "intrinsics"),
    ("crates/train/src/arch/", "intrinsics"),
    ("crates/runtime/src/storage.rs", "the memory map"),
    ("crates/runtime/tests/support/", "the counting allocator is a global one"),
    ("crates/capi/", "the C interface"),
    ("examples/cortex-m/src/device/", "start-up of a device"),
    ("examples/riscv/src/device/", "start-up of a device"),
];

/// A file with more lines is worth a look.
const MAX_LINES: usize = 450;

/// How many lines of code may stand between a SAFETY comment and its block, for a statement that
/// runs over several.
const SAFETY_REACH: usize = 3;

/// Code that says that something is missing.
const UNFINISHED: &[&str] = &["todo!(", "unimplemented!(", "#[ignore"];

/// Checks every Rust file that git tracks or would track. Returns their number.
pub(super) fn check(root: &Path, findings: &mut Findings) -> Result<usize> {
    // With -z, a path with odd characters is not quoted.
    let list = output(root, "git", &["ls-files", "-z", "-co", "--exclude-standard", "--", "*.rs"])?;
    // A file that was deleted but is still in the index is listed too.
    let paths: BTreeSet<&str> = list.split('\0').filter(|path| root.join(path).is_file()).collect();
    // For each crate that has a root file: whether its src holds any unsafe code, and the root.
    let mut has_unsafe: BTreeMap<&str, bool> = BTreeMap::new();
    let mut roots = Vec::new();
    for &path in &paths {
        let source =
            fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"))?;
        let code = code_only(&source);
        check_file(path, &source, &code, findings);
        let Some((krate, inner)) = path.split_once("/src/") else { continue };
        *has_unsafe.entry(krate).or_default() |= !unsafe_lines(&code).is_empty();
        if inner == "lib.rs" || inner == "main.rs" {
            roots.push((krate, path, code.contains("#![forbid(unsafe_code)]")));
        }
    }
    for (krate, path, forbids) in roots {
        if !has_unsafe[krate] && !forbids {
            findings.errors.push(format!(
                "{path}: {krate} has no unsafe code, so its root must say #![forbid(unsafe_code)]"
            ));
        }
    }
    Ok(paths.len())
}

fn check_file(path: &str, source: &str, code: &str, findings: &mut Findings) {
    let generated = is_generated(source);
    if !generated && !source.trim_start().starts_with("//!") {
        findings.errors.push(format!("{path}: must open with `//!`: what it is and is not"));
    }
    let lines = source.lines().count();
    if !generated && lines > MAX_LINES {
        findings.warnings.push(format!("{path}: {lines} lines, more than {MAX_LINES}"));
    }
    for (number, line) in code.lines().enumerate() {
        for mark in UNFINISHED.iter().filter(|mark| line.contains(**mark)) {
            findings.errors.push(format!("{path}:{}: `{mark}` is unfinished", number + 1));
        }
    }
    let allowed = (generated && path.contains("/generated/")) || unsafe_allowed(path);
    for (line, undocumented) in unsafe_lines(code) {
        if !allowed {
            findings.errors.push(format!(
                "{path}:{line}: `unsafe` outside of the places in UNSAFE_ALLOWED of \
                 xtask/src/tidy/sources.rs"
            ));
        } else if undocumented && !generated && !has_safety_comment(source, code, line) {
            findings.errors.push(format!("{path}:{line}: no `// SAFETY:` above this unsafe code"));
        }
    }
}

/// A file made by a program says in its first lines that it must not be edited.
fn is_generated(source: &str) -> bool {
    let head = source.lines().take(6).filter(|line| line.starts_with("//"));
    head.map(str::to_ascii_lowercase).any(|line| {
        let line = line.replace('-', " ");
        line.contains("do not edit")
            || line.contains("do not modify")
            || line.contains("@generated")
    })
}

fn unsafe_allowed(path: &str) -> bool {
    UNSAFE_ALLOWED
        .iter()
        .any(|(place, _)| path == *place || (place.ends_with('/') && path.starts_with(place)))
}

/// The lines, from 1, on which `unsafe` is written as code, and whether it must be documented
/// there: a block or an impl claims something, while a function's or trait's own documentation
/// tells its caller.
fn unsafe_lines(code: &str) -> Vec<(usize, bool)> {
    let bytes = code.as_bytes();
    let found = code.match_indices("unsafe").filter(|&(at, word)| {
        let before = at.checked_sub(1).is_some_and(|before| is_word(bytes[before]));
        let after = bytes.get(at + word.len()).is_some_and(|&byte| is_word(byte));
        !before && !after
    });
    found
        .map(|(at, word)| {
            let line = 1 + code[..at].matches('\n').count();
            let next = code[at + word.len()..].trim_start();
            let is_impl = next.starts_with("impl")
                && !next[4..].starts_with(|ch: char| ch.is_alphanumeric() || ch == '_');
            (line, next.starts_with('{') || is_impl)
        })
        .collect()
}

/// Whether a comment with `SAFETY:` stands on the line or above it, [`SAFETY_REACH`] lines of code
/// away at most; the comment itself may be as long as it needs.
fn has_safety_comment(source: &str, code: &str, line: usize) -> bool {
    let lines: Vec<(&str, &str)> = source.lines().zip(code.lines()).collect();
    let mut code_lines = 0;
    for (text, code) in lines[..line].iter().rev() {
        // The comment's text is what masking took away; a string's is too, but no string says so.
        if text.contains("SAFETY:") && !code.contains("SAFETY:") {
            return true;
        }
        if !code.trim().is_empty() {
            code_lines += 1;
        } else if text.trim().is_empty() {
            return false;
        }
        if code_lines > SAFETY_REACH {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(path: &str, source: &str) -> Vec<String> {
        let mut findings = Findings::default();
        check_file(path, source, &code_only(source), &mut findings);
        findings.errors
    }

    #[test]
    fn a_file_needs_a_head() {
        assert_eq!(errors("a.rs", "//! What it is.\nfn f() {}\n"), [""; 0]);
        for source in ["fn f() {}\n", "// What it is.\n", "", "/// What.\nfn f() {}\n"] {
            let errors = errors("a.rs", source);
            assert!(errors.len() == 1 && errors[0].contains("//!"), "{source:?}: {errors:?}");
        }
        assert_eq!(errors("a.rs", "// Made by flatc. Do not edit.\nfn f() {}\n"), [""; 0]);
    }

    #[test]
    fn unsafe_code_is_told_from_the_word() {
        let words =
            "//! unsafe {\nlet unsafe_code = \"unsafe {\"; // unsafe fn\n#![deny(unsafe_code)]";
        assert_eq!(unsafe_lines(&code_only(words)), []);
        let code = "unsafe fn a() {}\nunsafe impl A for B {}\nlet c =\n  unsafe\n{ d };\n\
                    unsafe extern \"C\" {}\n#[unsafe(no_mangle)]";
        assert_eq!(
            unsafe_lines(&code_only(code)),
            [(1, false), (2, true), (4, true), (6, false), (7, false)]
        );
    }

    #[test]
    fn unsafe_code_has_its_places() {
        let source = "//! Head.\n// SAFETY: it is.\nunsafe { f() }\n";
        assert_eq!(errors("crates/runtime/src/arch/avx2.rs", source), [""; 0]);
        assert_eq!(errors("crates/runtime/src/storage.rs", source), [""; 0]);
        for path in [
            "crates/runtime/src/plan.rs",
            "crates/quant/src/arch/a.rs",
            "crates/runtime/src/arch.rs",
        ] {
            let errors = errors(path, source);
            assert!(errors.len() == 1 && errors[0].starts_with(&format!("{path}:3: ")));
        }
        // A generated file must lie in a folder that says so, and a file there must be generated.
        let generated = "// Do not edit.\nunsafe { f() }\n";
        assert_eq!(errors("crates/format/src/write/generated/model.rs", generated), [""; 0]);
        assert_eq!(errors("crates/format/src/write/model.rs", generated).len(), 1);
        assert_eq!(errors("crates/format/src/write/generated/model.rs", source).len(), 1);
    }

    #[test]
    fn an_unsafe_block_needs_a_safety_comment() {
        let check = |body: &str| {
            let source = format!("//! Head.\n\n{body}");
            errors("crates/runtime/src/arch/a.rs", &source).len()
        };
        assert_eq!(check("// SAFETY: long\n// and\n// longer\n// and longer.\nunsafe { f() }"), 0);
        assert_eq!(check("// SAFETY: a statement.\nlet a =\n    g(\n        unsafe { f() });"), 0);
        assert_eq!(check("// SAFETY: too far.\na();\nb();\nc();\nunsafe { f() }"), 1);
        assert_eq!(check("// SAFETY: another one's.\n\nunsafe { f() }"), 1);
        assert_eq!(check("// No word of it.\nunsafe { f() }"), 1);
        assert_eq!(check("unsafe impl Send for A {}"), 1);
        assert_eq!(check("/// # Safety\n/// The caller.\nunsafe fn f() {}"), 0);
    }

    #[test]
    fn unfinished_code_is_found_but_not_in_text() {
        let source = "//! todo!() is bad.\nfn f() { g(\"todo!()\"); // #[ignore]\n    todo!()\n}\n\
                      #[ignore = \"slow\"]\nfn h() { unimplemented!() }\n";
        let errors = errors("a.rs", source);
        assert_eq!(errors.len(), 3, "{errors:?}");
        for (error, line) in errors.iter().zip(["a.rs:3:", "a.rs:5:", "a.rs:6:"]) {
            assert!(error.starts_with(line), "{error}");
        }
    }

    #[test]
    fn a_long_file_is_a_warning_unless_generated() {
        let warnings = |head: &str| {
            let source = format!("{head}\n{}", "\n".repeat(MAX_LINES));
            let mut findings = Findings::default();
            check_file("a.rs", &source, &code_only(&source), &mut findings);
            findings.warnings.len()
        };
        assert_eq!(warnings("//! Head."), 1);
        assert_eq!(warnings("// @generated"), 0);
    }
}
