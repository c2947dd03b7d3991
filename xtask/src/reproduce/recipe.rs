//! How the networks are trained: the stages with their flags, every setting chosen on validation data (docs/training.md). It
//! runs nothing.

/// A training stage of the chain.
pub(super) struct Stage {
    /// Name of the checkpoint and model: `NAME.safetensors`, `NAME.pnj`.
    pub(super) name: &'static str,
    /// Index of the stage whose checkpoint it starts from.
    pub(super) parent: Option<usize>,
    /// `penjing train` and its flags, without files and seed. `--quick` differs in the epochs alone.
    pub(super) full: &'static str,
}

/// The four checkpoints, parents first.
pub(super) const STAGES: [Stage; 4] = [
    Stage {
        name: "baseline",
        parent: None,
        full: "train baseline --spec specs/article.toml --epochs 16 --learning-rate 4e-3 --augment-shift 1",
    },
    Stage {
        name: "pruned",
        parent: Some(0),
        full: "train prune --epochs 8 --learning-rate 2e-3 --augment-shift 1 --layer-sparsity conv=0.5",
    },
    Stage {
        name: "qat",
        parent: Some(0),
        full: "train qat --epochs 4 --learning-rate 2e-3 --augment-shift 1",
    },
    Stage {
        name: "pruned_qat",
        parent: Some(1),
        full: "train qat --epochs 4 --learning-rate 2e-3 --augment-shift 1",
    },
];

impl Stage {
    /// The command's words; `quick`: with one epoch.
    pub(super) fn words(&self, quick: bool) -> Vec<&'static str> {
        let mut words: Vec<&str> = self.full.split(' ').collect();
        for i in 1..words.len() {
            if quick && words[i - 1] == "--epochs" {
                words[i] = "1";
            }
        }
        words
    }
}

/// The stages that lead to the one called `name`, itself last; none where there is no such stage.
pub(super) fn chain(name: &str) -> Vec<usize> {
    let mut chain = Vec::new();
    let mut next = STAGES.iter().position(|stage| stage.name == name);
    while let Some(stage) = next {
        chain.insert(0, stage);
        next = STAGES[stage].parent;
    }
    chain
}

/// The recipe as lines of text.
pub(super) fn lines(quick: bool) -> Vec<String> {
    STAGES
        .iter()
        .map(|stage| {
            let from =
                stage.parent.map_or(String::new(), |p| format!(" --from {}", STAGES[p].name));
            let line = stage.words(quick).join(" ");
            format!("{}: penjing {line}{from}", stage.name)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_come_first_and_quick_stages_run_the_same_commands() {
        for (i, stage) in STAGES.iter().enumerate() {
            assert!(stage.parent.is_none_or(|p| p < i));
            let (quick, full) = (stage.words(true), stage.words(false));
            let differ: Vec<usize> = (0..full.len()).filter(|&i| quick[i] != full[i]).collect();
            let [at] = differ[..] else { panic!("{quick:?} and {full:?}") };
            assert_eq!((full[at - 1], quick[at]), ("--epochs", "1"));
        }
        assert!(lines(false)[3].ends_with("--from pruned"));
    }

    #[test]
    fn a_chain_starts_at_the_baseline() {
        let names =
            |name| chain(name).into_iter().map(|stage| STAGES[stage].name).collect::<Vec<_>>();
        assert_eq!(names("pruned_qat"), ["baseline", "pruned", "pruned_qat"]);
        assert_eq!(names("baseline"), ["baseline"]);
        assert!(names("none").is_empty());
    }
}
