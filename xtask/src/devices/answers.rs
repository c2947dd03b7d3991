//! What the program of the examples prints, read: a line a sample, as `sample 3: class 0`, then `name: number` a line. It runs nothing.

use anyhow::{Context, Result};

/// What a board found out.
#[derive(Debug, PartialEq)]
pub(super) struct Answers {
    /// Samples, and those of them that have the host's scores.
    pub(super) samples: u64,
    pub(super) equal: u64,
    /// Instructions of an inference, over the samples.
    pub(super) mean: u64,
    pub(super) least: u64,
    pub(super) most: u64,
    /// The same of noise.
    pub(super) noise: u64,
    pub(super) noise_equal: u64,
    pub(super) noise_instructions: u64,
    /// Instructions of checking and planning the model, once.
    pub(super) opening: u64,
    /// Most bytes that the stack held.
    pub(super) stack: u64,
}

impl Answers {
    /// Reads all that was printed.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let number = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            let number = line.and_then(|number| number.trim().parse().ok());
            number.with_context(|| format!("expected a line `{name}: NUMBER`, found\n{text}"))
        };
        Ok(Self {
            samples: number("samples")?,
            equal: number("equal")?,
            mean: number("mean instructions")?,
            least: number("least instructions")?,
            most: number("most instructions")?,
            noise: number("noise")?,
            noise_equal: number("noise equal")?,
            noise_instructions: number("noise instructions")?,
            opening: number("opening instructions")?,
            stack: number("stack bytes")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "sample 0: class 7\nsample 1: class 2\nsamples: 2\nequal: 1\n\
        mean instructions: 10\nleast instructions: 9\nmost instructions: 11\nnoise: 1\n\
        noise equal: 1\nnoise instructions: 12\nopening instructions: 99\nstack bytes: 208\n";

    #[test]
    fn every_line_is_read() {
        let answers = Answers::parse(TEXT).unwrap();
        assert_eq!((answers.samples, answers.equal, answers.noise), (2, 1, 1));
        assert_eq!((answers.mean, answers.least, answers.most), (10, 9, 11));
        assert_eq!((answers.noise_equal, answers.noise_instructions), (1, 12));
        assert_eq!((answers.opening, answers.stack), (99, 208));
    }

    #[test]
    fn a_line_that_is_missing_is_named() {
        let error = Answers::parse(&TEXT.replace("stack", "heap")).unwrap_err().to_string();
        assert!(error.starts_with("expected a line `stack bytes: NUMBER`"), "{error}");
        assert!(Answers::parse("a fault of the core\n").is_err());
    }
}
