//! The order of the operators: each after those whose results it reads. TFLite writes them so; a file that does not is
//! sorted, one that cannot be is refused.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::error::malformed;
use super::file::File;
use crate::frontend::ImportError;

/// Operator numbers, in the file's order as far as it holds.
pub(super) fn sorted(file: &File<'_>) -> Result<Vec<usize>, ImportError> {
    let operators = &file.operators;
    let writers = writers(file)?;
    let mut waits = vec![0_usize; operators.len()];
    let mut readers = vec![Vec::new(); operators.len()];
    for operator in operators {
        for writer in operator.inputs.iter().flatten().filter_map(|&tensor| writers[tensor]) {
            waits[operator.index] += 1;
            readers[writer].push(operator.index);
        }
    }
    let free = (0..operators.len()).filter(|&index| waits[index] == 0).map(Reverse);
    let mut ready: BinaryHeap<_> = free.collect();
    let mut order = Vec::with_capacity(operators.len());
    while let Some(Reverse(index)) = ready.pop() {
        order.push(index);
        for &reader in &readers[index] {
            waits[reader] -= 1;
            if waits[reader] == 0 {
                ready.push(Reverse(reader));
            }
        }
    }
    match waits.iter().position(|&count| count > 0) {
        None => Ok(order),
        Some(index) => {
            let found = format!("a cycle at operator {index} ({})", operators[index].name);
            Err(malformed("operators", "an order in which each reads earlier results", found))
        }
    }
}

/// Which operator writes each tensor.
fn writers(file: &File<'_>) -> Result<Vec<Option<usize>>, ImportError> {
    let mut writers = vec![None; file.n_tensors()];
    for operator in &file.operators {
        for &tensor in &operator.outputs {
            if let Some(other) = writers[tensor].replace(operator.index) {
                let place = format!("tensor {tensor} ({})", file.name(tensor));
                let found = format!("operators {other} and {}", operator.index);
                return Err(malformed(place, "one operator that writes it", found));
            }
        }
    }
    for tensor in file.graph.inputs().iter().flatten() {
        let number = file.number(tensor, || "inputs of the network".into())?;
        if let Some(writer) = writers[number] {
            let place = format!("input of the network, tensor {number} ({})", file.name(number));
            return Err(malformed(
                place,
                "a tensor that no operator writes",
                format!("operator {writer}"),
            ));
        }
    }
    Ok(writers)
}
