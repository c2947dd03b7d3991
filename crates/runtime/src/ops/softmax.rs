//! Softmax over the last axis, of reals and of codes, in place once the elements are where the result goes.

use super::mismatch;
use crate::arch::lanes::Set;
use crate::arch::{Isa, Kernel};
use crate::tensor::{Input, Output};
use alloc::boxed::Box;
use penjing_quant::{QuantParams, Softmax as Rule, exp};

/// A planned softmax.
pub(crate) struct Softmax {
    /// Elements of a row.
    len: usize,
    /// Of codes.
    rule: Option<Box<Rule>>,
}

impl Softmax {
    /// Over rows of `len`; grids of integers.
    pub(crate) fn new(len: usize, grids: Option<[QuantParams; 2]>) -> Self {
        let rule = grids.map(|[input, output]| Box::new(Rule::new(input.scale, output)));
        Self { len, rule }
    }

    /// Runs on whole rows; without an input they lie in `output`.
    pub(crate) fn run(&self, isa: Isa, input: Option<Input<'_>>, mut output: Output<'_>) {
        if let Some(input) = input {
            output.copy_at(0, input);
        }
        isa.dispatch(Run { op: self, rows: output });
    }
}

struct Run<'a> {
    op: &'a Softmax,
    rows: Output<'a>,
}

impl Kernel for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Set>(self, _: S) {
        let len = self.op.len;
        match (self.rows, &self.op.rule) {
            (Output::F32(rows), None) => rows.chunks_exact_mut(len).for_each(reals),
            (Output::I8(rows), Some(rule)) => {
                rows.chunks_exact_mut(len).for_each(|row| codes(row, rule));
            }
            (rows, _) => mismatch("softmax", rows.dtype(), rows.dtype()),
        }
    }
}

/// Sums in f64, in order: whatever a set's vectors are, the result is the same.
#[inline(always)]
fn reals(row: &mut [f32]) {
    let largest = row.iter().fold(f32::NEG_INFINITY, |best, &x| if x > best { x } else { best });
    for x in row.iter_mut() {
        *x = exp(*x - largest);
    }
    let sum = row.iter().fold(0.0, |sum, &e| sum + f64::from(e));
    let factor = 1.0 / sum;
    for x in row {
        *x = (f64::from(*x) * factor) as f32;
    }
}

#[inline(always)]
fn codes(row: &mut [i8], rule: &Rule) {
    let largest = row.iter().fold(i8::MIN, |best, &q| best.max(q));
    // How far below the largest, as an index: the difference of two i8 is a u8.
    let exponential = |q: i8| rule.exponentials[usize::from(largest.wrapping_sub(q) as u8)];
    let sum = row.iter().fold(0.0, |sum, &q| sum + exponential(q));
    let factor = rule.factor(sum);
    for q in row {
        *q = rule.code(exponential(*q), factor);
    }
}
