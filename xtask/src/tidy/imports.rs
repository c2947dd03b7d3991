//! Who may import whom: docs/architecture.md's table, held against what cargo resolves. Development
//! dependencies do not count, for they reach no user.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};

use super::{Findings, output};

/// Crates of other people, by name; `*` at the end stands for any ending.
enum Outsiders {
    /// No others at any depth.
    Only(&'static [&'static str]),
    /// No others as direct dependencies; what those import is theirs.
    OnlyDirect(&'static [&'static str]),
    /// None of these at any depth.
    Never(&'static [&'static str]),
}

/// What one crate's dependency tree may hold.
struct Rule {
    package: &'static str,
    /// Features and targets, as arguments of `cargo tree`.
    args: &'static [&'static str],
    /// The crates of ours that may appear at any depth, without `penjing-`.
    ours: &'static [&'static str],
    outsiders: Outsiders,
    /// The rule in words.
    says: &'static str,
}

/// The table. A crate without a rule is an error, so that a new one is thought about.
const RULES: &[Rule] = &[
    Rule {
        package: "penjing-quant",
        args: &["--target", "all", "--all-features"],
        ours: &[],
        outsiders: Outsiders::Only(&[]),
        says: "quant imports nothing",
    },
    Rule {
        package: "penjing-format",
        args: &["--target", "all", "--no-default-features"],
        ours: &["quant"],
        outsiders: Outsiders::Only(&[]),
        says: "format's reader imports quant alone",
    },
    Rule {
        package: "penjing-format",
        args: &["--features", "write"],
        ours: &["quant"],
        outsiders: Outsiders::OnlyDirect(&["flatbuffers", "thiserror"]),
        says: "format's writer imports quant, flatbuffers and thiserror alone",
    },
    Rule {
        package: "penjing-runtime",
        args: &["--target", "all"],
        ours: &["quant", "format"],
        outsiders: Outsiders::Only(&["memmap2", "libc"]),
        says: "runtime's whole tree is quant, format and memmap2 (with libc)",
    },
    Rule {
        package: "penjing-runtime",
        args: &["--target", "all", "--no-default-features"],
        ours: &["quant", "format"],
        outsiders: Outsiders::Only(&[]),
        says: "runtime without std is quant and format alone",
    },
    Rule {
        package: "penjing-runtime",
        args: &["--target", "all", "--no-default-features", "--features", "signed"],
        ours: &["quant", "format"],
        outsiders: Outsiders::Only(&["ed25519-compact"]),
        says: "runtime with signed adds ed25519-compact alone",
    },
    Rule {
        package: "penjing-capi",
        args: &["--target", "all"],
        ours: &["quant", "format", "runtime"],
        outsiders: Outsiders::Only(&["memmap2", "libc"]),
        says: "capi is the runtime and its format for C, and nothing else",
    },
    Rule {
        package: "penjing-capi",
        args: &["--target", "all", "--no-default-features"],
        ours: &["quant", "format", "runtime"],
        outsiders: Outsiders::Only(&[]),
        says: "capi without std is runtime, format and quant alone",
    },
    Rule {
        package: "penjing-dataset",
        args: &[],
        ours: &[],
        outsiders: Outsiders::Never(&["anyhow", "candle*", "clap"]),
        says: "dataset imports none of ours, nor candle, clap or anyhow",
    },
    Rule {
        package: "penjing-checkpoint",
        args: &[],
        ours: &["quant"],
        outsiders: Outsiders::Never(&["anyhow", "candle*", "clap", "flatbuffers"]),
        says: "checkpoint imports quant of ours, and never candle, clap, flatbuffers or anyhow",
    },
    Rule {
        package: "penjing-train",
        args: &[],
        ours: &["dataset", "checkpoint", "quant"],
        outsiders: Outsiders::Never(&["clap", "flatbuffers"]),
        says: "train imports dataset, checkpoint and quant of ours, and never the file format",
    },
    Rule {
        package: "penjing-convert",
        args: &[],
        ours: &["dataset", "checkpoint", "format", "quant", "runtime"],
        outsiders: Outsiders::Never(&["anyhow", "candle*", "clap"]),
        says: "convert never imports train, candle, clap or anyhow",
    },
    Rule {
        package: "penjing",
        args: &[],
        ours: &["quant", "format", "runtime", "dataset", "checkpoint", "train", "convert"],
        outsiders: Outsiders::Never(&[]),
        says: "the command imports every crate, but not xtask",
    },
    Rule {
        package: "penjing",
        args: &["--no-default-features"],
        ours: &["quant", "format", "runtime", "dataset", "checkpoint", "convert"],
        outsiders: Outsiders::Never(&["candle*"]),
        says: "the command without its feature `train` is free of train and candle",
    },
    Rule {
        package: "xtask",
        args: &[],
        ours: &[],
        outsiders: Outsiders::Never(&["candle*"]),
        says: "xtask starts the binary and links none of ours",
    },
];

/// Checks every rule, and that every workspace member has one. Returns the number of trees read.
pub(super) fn check(root: &Path, findings: &mut Findings) -> Result<usize> {
    let members = members(root)?;
    for member in members.iter().filter(|name| !RULES.iter().any(|rule| rule.package == **name)) {
        findings.errors.push(format!(
            "{member} has no rule: say in RULES of xtask/src/tidy/imports.rs what it may import"
        ));
    }
    for rule in RULES {
        let mut args = vec![
            "tree",
            "--locked",
            "-e",
            "normal,no-proc-macro",
            "--prefix",
            "depth",
            "-p",
            rule.package,
        ];
        args.extend(rule.args);
        let tree = parse_tree(&cargo(root, &args)?)?;
        findings.errors.extend(broken(rule, &tree, &members));
    }
    Ok(RULES.len())
}

/// What the cargo that runs this prints.
fn cargo(root: &Path, args: &[&str]) -> Result<String> {
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    output(root, &program, args)
}

/// The names of the workspace's own packages.
fn members(root: &Path) -> Result<BTreeSet<String>> {
    let args = ["metadata", "--locked", "--no-deps", "--format-version", "1"];
    let metadata: serde_json::Value =
        serde_json::from_str(&cargo(root, &args)?).context("cargo metadata printed no JSON")?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let names = packages.iter().filter_map(|package| package["name"].as_str());
    Ok(names.map(str::to_owned).collect())
}

/// One line of `cargo tree --prefix depth`.
#[derive(Debug, PartialEq)]
struct Node {
    depth: usize,
    name: String,
}

/// Reads lines such as `2bitflags v2.13.2 (*)`; the root has depth 0.
fn parse_tree(text: &str) -> Result<Vec<Node>> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            let wrong = || format!("cargo tree printed {line:?}, expected a depth and a name");
            let digits = line.bytes().take_while(u8::is_ascii_digit).count();
            let (depth, rest) = line.split_at(digits);
            let depth = depth.parse().with_context(wrong)?;
            let name = rest.split_whitespace().next().with_context(wrong)?;
            Ok(Node { depth, name: name.to_owned() })
        })
        .collect()
}

/// One message for each crate of `tree` that the rule does not let in, with the way in.
fn broken(rule: &Rule, tree: &[Node], members: &BTreeSet<String>) -> Vec<String> {
    let mut path: Vec<&str> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut messages = Vec::new();
    // What an offender brings along is no news.
    let mut below_offender = usize::MAX;
    for node in tree {
        path.truncate(node.depth);
        path.push(&node.name);
        if node.depth > below_offender {
            continue;
        }
        below_offender = usize::MAX;
        if node.depth == 0 || permits(rule, node, members) {
            continue;
        }
        below_offender = node.depth;
        if !seen.insert(&node.name) {
            continue;
        }
        let command = [&[rule.package], rule.args].concat().join(" ");
        messages.push(format!(
            "{} must not import {}: {} (found by `cargo tree -e normal -p {command}`: {})",
            rule.package,
            node.name,
            rule.says,
            path.join(" > "),
        ));
    }
    messages
}

fn permits(rule: &Rule, node: &Node, members: &BTreeSet<String>) -> bool {
    if members.contains(&node.name) {
        let short = node.name.strip_prefix("penjing-");
        return short.is_some_and(|short| rule.ours.contains(&short));
    }
    match rule.outsiders {
        Outsiders::Only(names) => matches_any(names, &node.name),
        Outsiders::OnlyDirect(names) => node.depth > 1 || matches_any(names, &node.name),
        Outsiders::Never(names) => !matches_any(names, &node.name),
    }
}

fn matches_any(patterns: &[&str], name: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == *pattern,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "\
0penjing-train v0.1.0 (/somewhere/crates/train)
1candle-core v0.11.1
2memmap2 v0.9.12
3libc v0.2.191
2thiserror v2.0.21
3thiserror-impl v2.0.21 (proc-macro)
1penjing-checkpoint v0.1.0 (/somewhere/crates/checkpoint)
2penjing-format v0.1.0 (/somewhere/crates/format)
2memmap2 v0.9.12 (*)
";

    fn rule(ours: &'static [&'static str], outsiders: Outsiders) -> Rule {
        Rule { package: "penjing-train", args: &["--all-features"], ours, outsiders, says: "RULE" }
    }

    fn broken_names(rule: &Rule) -> Vec<String> {
        let members = ["penjing-train", "penjing-checkpoint", "penjing-format", "xtask"];
        let tree = parse_tree(TREE).unwrap();
        broken(rule, &tree, &members.map(str::to_owned).into())
    }

    #[test]
    fn a_tree_is_read_with_its_depths() {
        let tree = parse_tree(TREE).unwrap();
        assert_eq!(tree.len(), 9);
        assert_eq!(tree[5], Node { depth: 3, name: "thiserror-impl".to_owned() });
        assert!(parse_tree("penjing-train v0.1.0").is_err());
        assert!(parse_tree("12").is_err());
    }

    #[test]
    fn a_crate_of_ours_needs_permission_at_any_depth() {
        let messages = broken_names(&rule(&["checkpoint"], Outsiders::Never(&[])));
        assert_eq!(messages.len(), 1, "{messages:?}");
        for part in [
            "penjing-train must not import penjing-format: RULE",
            "`cargo tree -e normal -p penjing-train --all-features`",
            "penjing-train > penjing-checkpoint > penjing-format)",
        ] {
            assert!(messages[0].contains(part), "{part:?} is not in {messages:?}");
        }
        let all = rule(&["checkpoint", "format"], Outsiders::Never(&["serde"]));
        assert_eq!(broken_names(&all), [""; 0]);
    }

    #[test]
    fn outsiders_are_held_to_the_list() {
        let ours = &["checkpoint", "format"];
        let never = broken_names(&rule(ours, Outsiders::Never(&["candle*", "lib"])));
        assert_eq!(never.len(), 1, "{never:?}");
        assert!(never[0].contains("must not import candle-core"));
        // Said once although it appears twice, and not followed by the libc below it.
        let only = broken_names(&rule(ours, Outsiders::Only(&["candle*", "thiserror*"])));
        assert_eq!(only.len(), 1, "{only:?}");
        assert!(only[0].contains("must not import memmap2"));
        let direct = rule(ours, Outsiders::OnlyDirect(&["candle-core"]));
        assert_eq!(broken_names(&direct), [""; 0]);
        let direct = broken_names(&rule(ours, Outsiders::OnlyDirect(&["memmap2"])));
        assert!(direct.len() == 1 && direct[0].contains("candle-core"), "{direct:?}");
    }
}
