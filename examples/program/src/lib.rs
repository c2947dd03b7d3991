//! What each board runs: every sample through the model, its class printed, its scores held against the host's, and the
//! instructions of an inference counted. It allocates nothing, panics nowhere and knows no board: how to print and to count is
//! the [`Board`]'s.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod text;

use penjing_runtime::in_place::Arena;
use penjing_runtime::{Input, Model, Output};

use model::{ARENA_BYTES, INPUT_LEN, MODEL, OUTPUT_LEN, Session};
use samples::{Element, NOISE, NOISE_SCORES, SAMPLES, SCORES};
use text::say;

/// As `penjing convert --rust` writes it.
#[allow(missing_docs, unreachable_pub, dead_code)]
mod model {
    include!(env!("PENJING_MODEL"));
}

/// Inputs one after the other, and what the host made of them.
mod samples {
    include!(env!("PENJING_SAMPLES"));
}

/// What the program asks of a board.
pub trait Board {
    /// Shows text as it is.
    fn print(&mut self, text: &[u8]);
    /// A mark on a clock that may wrap.
    fn now(&mut self) -> u32;
    /// Instructions since such a mark.
    fn instructions_since(&mut self, before: u32) -> u32;
    /// The most bytes that the stack has held.
    fn stack_bytes(&self) -> u32;
}

/// All memory that the program uses beside the stack.
pub struct Memory {
    arena: Arena<ARENA_BYTES>,
    input: [Element; INPUT_LEN],
    output: [i8; OUTPUT_LEN],
}

impl Memory {
    /// Zeros.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a static's value must be const")]
    pub const fn new() -> Self {
        Self { arena: Arena::new(), input: [0; INPUT_LEN], output: [0; OUTPUT_LEN] }
    }
}

/// What a list of samples came to.
struct Tally {
    count: u32,
    /// Samples with the host's scores, every one of them.
    equal: u32,
    /// Of all inferences, of the shortest and of the longest.
    total: u32,
    least: u32,
    most: u32,
}

/// Runs everything; whether all scores are the host's.
pub fn run(board: &mut impl Board, memory: &'static mut Memory) -> bool {
    let Memory { arena, input, output } = memory;
    let before = board.now();
    let Ok(model) = Model::from_static(MODEL) else {
        board.print(b"the model was refused\n");
        return false;
    };
    let Ok(mut session) = Session::new(&model, &mut arena.0) else {
        board.print(b"the model does not run in its arena\n");
        return false;
    };
    let opening = board.instructions_since(before);
    let samples = classify(board, &mut session, (input, output), (b"sample ", SAMPLES, SCORES));
    let noise = classify(board, &mut session, (input, output), (b"noise ", NOISE, NOISE_SCORES));
    say(board, b"samples: ", samples.count, b"\n");
    say(board, b"equal: ", samples.equal, b"\n");
    say(board, b"mean instructions: ", samples.total / samples.count.max(1), b"\n");
    say(board, b"least instructions: ", samples.least, b"\n");
    say(board, b"most instructions: ", samples.most, b"\n");
    say(board, b"noise: ", noise.count, b"\n");
    say(board, b"noise equal: ", noise.equal, b"\n");
    say(board, b"noise instructions: ", noise.most, b"\n");
    say(board, b"opening instructions: ", opening, b"\n");
    say(board, b"stack bytes: ", board.stack_bytes(), b"\n");
    reach_a_panic(&samples);
    samples.equal == samples.count && noise.equal == noise.count
}

/// Runs a list of samples and prints the class of each.
#[inline(never)]
fn classify(
    board: &mut impl Board,
    session: &mut Session<'_>,
    (input, output): (&mut [Element; INPUT_LEN], &mut [i8; OUTPUT_LEN]),
    (name, samples, scores): (&[u8], &[u8], &[u8]),
) -> Tally {
    let mut tally = Tally { count: 0, equal: 0, total: 0, least: u32::MAX, most: 0 };
    for (sample, expected) in samples.chunks_exact(INPUT_LEN).zip(scores.chunks_exact(OUTPUT_LEN)) {
        // Into RAM, where a sensor would leave it.
        for (to, from) in input.iter_mut().zip(sample) {
            *to = *from as Element;
        }
        let before = board.now();
        let answer = session.run(Input::from(&input[..]), Output::from(&mut output[..]));
        let instructions = board.instructions_since(before);
        let equal = answer.is_ok() && output.iter().zip(expected).all(|(&a, &b)| a == b as i8);
        say(board, name, tally.count, b"");
        say(board, b": class ", class(output), b"");
        board.print(if equal { b"\n" } else { b", but not with the host's scores\n" });
        tally.count += 1;
        tally.equal += u32::from(equal);
        tally.total += instructions;
        tally.least = tally.least.min(instructions);
        tally.most = tally.most.max(instructions);
    }
    tally
}

/// The first of the highest scores.
fn class(scores: &[i8]) -> u32 {
    let (mut best, mut class) = (i8::MIN, 0);
    for (index, &score) in (0..).zip(scores) {
        if score > best {
            (best, class) = (score, index);
        }
    }
    class
}

/// With the feature `reachable-panic` no linker may make a program of this.
fn reach_a_panic(tally: &Tally) {
    if cfg!(feature = "reachable-panic") {
        assert!(tally.count != 1, "a panic that can be reached");
    }
}
