//! Takes nodes out of imported graphs that a file need not have: padding that the convolution behind it can do, activations
//! that the op before them can do, reshapes that change nothing. No value that is left changes by a bit.

use penjing_format::{Activation, DataType};

use crate::ir::{Graph, Node, Op, ValueId};

/// Simplifies all that can be.
pub(crate) fn simplify(graph: &mut Graph) {
    fold_pads(graph);
    fuse_activations(graph);
    drop_reshapes(graph);
}

/// For each value, how many nodes read it; an output of the graph counts as read once more.
fn readers(graph: &Graph) -> Vec<usize> {
    let mut readers = vec![0; graph.inputs.len() + graph.nodes.len()];
    let read = graph.nodes.iter().flat_map(|node| &node.inputs).chain(&graph.outputs);
    read.for_each(|&id| readers[id] += 1);
    readers
}

/// Zeros around the input of a convolution that alone reads them become its own padding.
fn fold_pads(graph: &mut Graph) {
    let (readers, first) = (readers(graph), graph.inputs.len());
    let mut gone = vec![false; graph.nodes.len()];
    for k in 0..graph.nodes.len() {
        let id = graph.nodes[k].inputs[0];
        let Some(pad) = id.checked_sub(first).filter(|_| readers[id] == 1) else { continue };
        let Op::Pad(pads) = &graph.nodes[pad].op else { continue };
        let [[top, bottom], [left, right], [0, 0]] = pads[..] else { continue };
        let (Op::Conv2d(op) | Op::DepthwiseConv2d(op)) = &mut graph.nodes[k].op else { continue };
        let mut padding = op.padding;
        let sums = [
            (&mut padding.top, top),
            (&mut padding.bottom, bottom),
            (&mut padding.left, left),
            (&mut padding.right, right),
        ];
        let fits = sums.into_iter().all(|(own, more)| {
            *own = own.saturating_add(more);
            *own <= u32::from(u16::MAX)
        });
        if fits {
            op.padding = padding;
            gone[pad] = true;
        }
    }
    remove(graph, &gone);
}

/// An activation of reals joins the op that alone makes its input. Of integers it does not: what an op's result is clamped to
/// is rounded in another way than what an activation by itself clamps to.
fn fuse_activations(graph: &mut Graph) {
    let (readers, first) = (readers(graph), graph.inputs.len());
    let mut gone = vec![false; graph.nodes.len()];
    for k in 0..graph.nodes.len() {
        let Node { op: Op::Relu(activation), inputs, output, .. } = &graph.nodes[k] else {
            continue;
        };
        let (activation, id, name) = (*activation, inputs[0], output.name.clone());
        let private = readers[id] == 1 && output.dtype == DataType::F32;
        let Some(before) = id.checked_sub(first).filter(|&k| private && !gone[k]) else {
            continue;
        };
        let before = &mut graph.nodes[before];
        if let Some(own) = before.op.activation_mut().filter(|own| **own == Activation::None) {
            *own = activation;
            before.output.name = name.or(before.output.name.take());
            gone[k] = true;
        }
    }
    remove(graph, &gone);
}

/// Reshapes to the shape that is there already, and reshapes that only reshapes read.
fn drop_reshapes(graph: &mut Graph) {
    let first = graph.inputs.len();
    // A reshape may as well read what the reshape before it read.
    for k in 0..graph.nodes.len() {
        while matches!(graph.nodes[k].op, Op::Reshape)
            && let Some(before) = graph.nodes[k].inputs[0].checked_sub(first)
            && matches!(graph.nodes[before].op, Op::Reshape)
        {
            graph.nodes[k].inputs[0] = graph.nodes[before].inputs[0];
        }
    }
    let readers = readers(graph);
    let idle = |(k, node): (usize, &Node)| {
        let same = graph.value(node.inputs[0]).shape == node.output.shape;
        let named = graph.outputs.contains(&(first + k));
        matches!(node.op, Op::Reshape) && ((same && !named) || readers[first + k] == 0)
    };
    let gone: Vec<bool> = graph.nodes.iter().enumerate().map(idle).collect();
    remove(graph, &gone);
}

/// Takes nodes out; who read the value of one reads the (first) value that it read.
fn remove(graph: &mut Graph, gone: &[bool]) {
    let mut new_ids: Vec<ValueId> = (0..graph.inputs.len()).collect();
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    for (mut node, &gone) in std::mem::take(&mut graph.nodes).into_iter().zip(gone) {
        for id in &mut node.inputs {
            *id = new_ids[*id];
        }
        if gone {
            new_ids.push(node.inputs[0]);
        } else {
            new_ids.push(graph.inputs.len() + nodes.len());
            nodes.push(node);
        }
    }
    graph.nodes = nodes;
    for id in &mut graph.outputs {
        *id = new_ids[*id];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Bias, Binary, Conv, Value, WeightData, Weights};
    use penjing_format::{ChannelAxis, Padding, Shape};

    fn value(dims: &[u32]) -> Value {
        let shape = Shape::new(dims).unwrap();
        Value { name: None, shape, dtype: DataType::F32, quantization: None }
    }

    fn node(op: Op, inputs: &[ValueId], dims: &[u32]) -> Node {
        Node { name: String::new(), op, inputs: inputs.to_vec(), output: value(dims) }
    }

    fn conv(padding: Padding) -> Op {
        let weights = Weights {
            shape: vec![1, 3, 3, 1],
            axis: ChannelAxis::First,
            data: WeightData::F32(vec![1.0; 9], None),
        };
        let (bias, activation) = (Bias::F32(vec![0.0]), Activation::None);
        Op::Conv2d(Conv { weights, bias, stride: [1, 1], dilation: [1, 1], padding, activation })
    }

    fn graph(nodes: Vec<Node>) -> Graph {
        let outputs = vec![nodes.len()];
        let inputs = vec![value(&[1, 4, 4, 1])];
        Graph { name: String::new(), inputs, nodes, outputs, pixels: false }
    }

    fn ops(graph: &Graph) -> Vec<&'static str> {
        graph.nodes.iter().map(|node| node.op.name()).collect()
    }

    #[test]
    fn a_pad_becomes_its_convolutions_padding() {
        let pad = |c| Op::Pad(vec![[1, 2], [3, 0], c]);
        let own = Padding { top: 1, ..Padding::default() };
        let mut folded = graph(vec![
            node(pad([0, 0]), &[0], &[1, 7, 7, 1]),
            node(conv(own), &[1], &[1, 6, 5, 1]),
        ]);
        simplify(&mut folded);
        let [Node { op: Op::Conv2d(op), inputs, .. }] = &folded.nodes[..] else { panic!() };
        assert_eq!(op.padding, Padding { top: 2, bottom: 2, left: 3, right: 0 });
        assert_eq!((&inputs[..], &folded.outputs[..]), (&[0][..], &[1][..]));

        // of channels, and read by another too
        let mut channels = graph(vec![
            node(pad([0, 1]), &[0], &[1, 7, 7, 2]),
            node(conv(own), &[1], &[1, 6, 5, 1]),
        ]);
        let mut shared = graph(vec![
            node(pad([0, 0]), &[0], &[1, 7, 7, 1]),
            node(conv(own), &[1], &[1, 6, 5, 1]),
        ]);
        shared.outputs = vec![2, 1];
        for kept in [&mut channels, &mut shared] {
            simplify(kept);
            assert_eq!(ops(kept), ["pad", "conv2d"]);
        }
    }

    #[test]
    fn an_activation_joins_the_op_before_it_if_it_is_of_reals_and_alone() {
        let relu = || Op::Relu(Activation::Relu6);
        let nodes = || {
            let add = Op::Add(Binary { operand: None, activation: Activation::None });
            vec![
                node(add, &[0, 0], &[1, 4, 4, 1]),
                node(relu(), &[1], &[1, 4, 4, 1]),
                node(relu(), &[2], &[1, 4, 4, 1]),
            ]
        };
        let mut fused = graph(nodes());
        simplify(&mut fused);
        // the second finds an op that has one
        assert_eq!(ops(&fused), ["add", "relu"]);
        assert_eq!(fused.nodes[0].op.activation_mut(), Some(&mut Activation::Relu6));
        assert_eq!((&fused.nodes[1].inputs[..], &fused.outputs[..]), (&[1][..], &[2][..]));
        let mut read = graph(nodes());
        read.outputs.push(1);
        simplify(&mut read);
        assert_eq!(ops(&read), ["add", "relu", "relu"]);
        let mut integers = graph(nodes());
        integers.nodes.iter_mut().for_each(|node| node.output.dtype = DataType::I8);
        simplify(&mut integers);
        assert_eq!(ops(&integers), ["add", "relu", "relu"]);
    }

    #[test]
    fn of_reshapes_the_last_is_left_where_it_changes_a_shape() {
        let mut chain = graph(vec![
            node(Op::Reshape, &[0], &[1, 4, 4, 1]),
            node(Op::Reshape, &[1], &[1, 2, 8]),
            node(Op::Reshape, &[2], &[1, 16]),
            node(Op::Softmax, &[3], &[1, 16]),
        ]);
        simplify(&mut chain);
        assert_eq!(ops(&chain), ["reshape", "softmax"]);
        assert_eq!((&chain.nodes[0].inputs[..], &chain.outputs[..]), (&[0][..], &[2][..]));
        // an output stays, so that it has its name and its shape
        let mut output = graph(vec![node(Op::Reshape, &[0], &[1, 4, 4, 1])]);
        simplify(&mut output);
        assert_eq!(ops(&output), ["reshape"]);
    }
}
