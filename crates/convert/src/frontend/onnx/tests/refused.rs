//! What is refused, and that the message says where and what.

use super::super::proto::{OperatorSetIdProto, SparseTensorProto, TensorProto, ValueInfoProto};
use super::model::{Float, Int, Ints, Model, Tensor, Text, reals};

/// The message of a model whose last step is one node on an input of these dimensions.
fn node(
    dims: &[i64],
    op: &str,
    constants: &[&[i64]],
    attributes: &[(&str, super::model::Attribute<'_>)],
) -> String {
    let mut m = Model::new();
    let x = m.input(dims);
    let constants: Vec<String> = constants.iter().map(|dims| m.noise(dims)).collect();
    let inputs: Vec<&str> = std::iter::once(&x).chain(&constants).map(String::as_str).collect();
    let y = m.node(op, &inputs, attributes);
    message(m.output(&y))
}

fn message(m: &Model) -> String {
    m.read().expect_err("a model to be refused").to_string()
}

/// Fails unless the message has all of the parts.
fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}

const IMAGE: [i64; 4] = [1, 4, 6, 6];

#[test]
fn an_op_that_is_not_there() {
    says(&node(&[1, 2], "Erf", &[], &[]), &["node 0 (Erf0)", "found Erf", "Add, AveragePool"]);
}

#[test]
fn another_domain() {
    let mut m = Model::new();
    let x = m.input(&[1, 2]);
    let y = m.node("Relu", &[&x], &[]);
    m.graph().node[0].domain = "com.microsoft".into();
    says(&message(m.output(&y)), &["node 0", "Relu of domain com.microsoft"]);
}

#[test]
fn old_opsets_and_none() {
    let mut m = Model::new();
    m.proto.opset_import[0].version = 12;
    says(&message(&m), &["opset_import", "13 to", "found 12"]);
    m.proto.opset_import[0].version = 1000;
    says(&message(&m), &["found 1000"]);
    m.proto.opset_import = vec![OperatorSetIdProto { domain: "ai.onnx.ml".into(), version: 3 }];
    says(&message(&m), &["one opset of ai.onnx", "found none"]);
}

#[test]
fn no_graph() {
    let mut m = Model::new();
    m.proto.graph = None;
    says(&message(&m), &["expected a graph"]);
}

#[test]
fn no_outputs() {
    let mut m = Model::new();
    m.input(&[1, 2]);
    says(&message(&m), &["inputs and outputs"]);
}

#[test]
fn groups_other_than_one_and_each() {
    let found = node(&IMAGE, "Conv", &[&[4, 2, 3, 3]], &[("group", Int(2))]);
    says(&found, &["node 0 (Conv Conv0), group", "expected 1, or 4", "found 2"]);
}

#[test]
fn kernels_of_other_channels() {
    says(&node(&IMAGE, "Conv", &[&[4, 3, 3, 3]], &[]), &["weights", "kernels of 4 channels"]);
}

#[test]
fn windows_larger_than_the_image() {
    says(&node(&IMAGE, "Conv", &[&[1, 4, 7, 3]], &[]), &["kernel_shape", "within 6", "found 7"]);
}

#[test]
fn unknown_auto_pad() {
    let found = node(&IMAGE, "Conv", &[&[1, 4, 3, 3]], &[("auto_pad", Text("SAME"))]);
    says(&found, &["auto_pad", "SAME_UPPER", "found SAME"]);
}

#[test]
fn negative_pads() {
    let found = node(&IMAGE, "Conv", &[&[1, 4, 3, 3]], &[("pads", Ints(&[-1, 0, 0, 0]))]);
    says(&found, &["pads", "0 to 65535", "-1"]);
}

#[test]
fn strides_of_zero() {
    let found = node(&IMAGE, "Conv", &[&[1, 4, 3, 3]], &[("strides", Ints(&[0, 1]))]);
    says(&found, &["strides", "1 to 65535"]);
}

#[test]
fn an_attribute_of_another_type() {
    let found = node(&IMAGE, "Conv", &[&[1, 4, 3, 3]], &[("group", Float(1.0))]);
    says(&found, &["group", "an integer", "type 1"]);
}

#[test]
fn kernels_that_are_values() {
    let mut m = Model::new();
    let x = m.input(&[1, 2]);
    let y = m.node("MatMul", &[&x, &x], &[]);
    says(&message(m.output(&y)), &["weights", "a constant", "depends on the inputs"]);
}

#[test]
fn other_ceilings() {
    let attributes =
        [("kernel_shape", Ints(&[3, 3])), ("strides", Ints(&[2, 2])), ("ceil_mode", Int(1))];
    says(&node(&IMAGE, "MaxPool", &[], &attributes), &["ceil_mode", "found 1"]);
}

#[test]
fn pools_without_a_window_or_with_dilation() {
    says(&node(&IMAGE, "MaxPool", &[], &[]), &["kernel_shape", "found none"]);
    let attributes = [("kernel_shape", Ints(&[2, 2])), ("dilations", Ints(&[2, 2]))];
    says(&node(&IMAGE, "MaxPool", &[], &attributes), &["dilations"]);
}

#[test]
fn gemm_of_a_transposed_value() {
    says(&node(&[1, 2], "Gemm", &[&[2, 2]], &[("transA", Int(1))]), &["transA", "expected 0"]);
}

#[test]
fn gemm_with_a_scaled_bias() {
    let found = node(&[1, 2], "Gemm", &[&[2, 2], &[2]], &[("beta", Float(0.5))]);
    says(&found, &["beta", "expected 1", "found 0.5"]);
}

#[test]
fn matrices_of_other_features() {
    says(&node(&[1, 2], "MatMul", &[&[3, 2]], &[]), &["weights", "2 input features", "[3, 2]"]);
}

#[test]
fn means_over_channels() {
    says(&node(&IMAGE, "ReduceMean", &[], &[("axes", Ints(&[1]))]), &["axes", "height and width"]);
    says(&node(&IMAGE, "ReduceMean", &[], &[]), &["axes", "height and width"]);
}

#[test]
fn softmax_over_an_inner_axis() {
    says(&node(&IMAGE, "Softmax", &[], &[("axis", Int(3))]), &["axis", "found 3"]);
}

#[test]
fn other_clips() {
    says(&node(&[1, 2], "Clip", &[&[1], &[1]], &[]), &["min, max", "0 and 6"]);
}

#[test]
fn padding_with_other_values_or_modes() {
    let mut m = Model::new();
    let x = m.input(&[1, 2]);
    let (pads, value) = (m.integers(&[0, 1, 0, 1]), m.reals(&[], &[1.0]));
    let y = m.node("Pad", &[&x, &pads, &value], &[]);
    says(&message(m.output(&y)), &["constant_value", "expected 0"]);
    let found = node(&[1, 2], "Pad", &[], &[("mode", Text("reflect"))]);
    says(&found, &["mode", "expected constant", "found reflect"]);
}

#[test]
fn a_flattened_image_as_an_output() {
    let found = node(&IMAGE, "Flatten", &[], &[]);
    says(&found, &["graph output \"Flatten0\"", "channels last", "[1, 6, 6, 4] in memory"]);
}

#[test]
fn a_reshape_of_the_batch_or_of_other_elements() {
    let reshape = |target: &[i64]| {
        let mut m = Model::new();
        let x = m.input(&[1, 6]);
        let shape = m.integers(target);
        let y = m.node("Reshape", &[&x, &shape], &[]);
        message(m.output(&y))
    };
    says(&reshape(&[2, 3]), &["shape", "the batch first", "[2, 3]"]);
    for target in [&[1, 7][..], &[-1, -1], &[1, -2], &[0, 0, 0], &[1, 4, -1]] {
        says(&reshape(target), &["shape", "elements of [1, 6]"]);
    }
}

#[test]
fn transpositions_of_the_batch() {
    says(&node(&[1, 2], "Transpose", &[], &[]), &["perm", "batch first", "[1, 0]"]);
    says(&node(&[1, 2], "Transpose", &[], &[("perm", Ints(&[0, 0]))]), &["perm", "a permutation"]);
}

#[test]
fn constants_that_enlarge_the_value() {
    says(&node(&[1, 1], "Add", &[&[1, 3]], &[]), &["constant", "broadcasts to [1, 1]"]);
    says(&node(&[1, 3], "Add", &[&[2, 3]], &[]), &["constant", "broadcasts to [1, 3]"]);
}

#[test]
fn divisions_by_zero() {
    let mut m = Model::new();
    let x = m.input(&[1, 2]);
    let zero = m.reals(&[], &[0.0]);
    let y = m.node("Div", &[&x, &zero], &[]);
    says(&message(m.output(&y)), &["constant", "finite"]);
}

#[test]
fn constants_less_values() {
    let mut m = Model::new();
    let x = m.input(&[1, 2]);
    let one = m.reals(&[], &[1.0]);
    let y = m.node("Sub", &[&one, &x], &[]);
    says(&message(m.output(&y)), &["input 1", "a constant"]);
}

#[test]
fn batches_and_open_dimensions() {
    says(&node(&[8, 2], "Relu", &[], &[]), &["tensor 0 (x), shape", "a batch of 1", "found 8"]);
    says(&node(&[1, 0], "Relu", &[], &[]), &["fixed dimensions", "axis 1: N"]);
    says(&node(&[1, 1, 1, 1, 1], "Relu", &[], &[]), &["2 to 4 dimensions", "found 5"]);
}

#[test]
fn inputs_of_other_types() {
    let mut m = Model::new();
    let x = m.input_of("x", 11, &[1, 2]);
    let y = m.node("Relu", &[&x], &[]);
    says(&message(m.output(&y)), &["elem_type", "float32", "found float64"]);
}

fn initializer(change: impl Fn(&mut TensorProto)) -> String {
    let mut m = Model::new();
    let x = m.input(&[1, 2]);
    let mut proto = reals(&[2], &[1.0, 2.0]);
    proto.name = "c".into();
    change(&mut proto);
    m.graph().initializer.push(proto);
    let y = m.node("Add", &[&x, "c"], &[]);
    message(m.output(&y))
}

#[test]
fn external_data() {
    says(&initializer(|t| t.data_location = 1), &["tensor 0 (c), data_location", "external data"]);
}

#[test]
fn data_of_another_length_than_dims() {
    says(&initializer(|t| t.dims = vec![3]), &["float_data", "3 elements", "found 2"]);
    says(&initializer(|t| t.raw_data = vec![0; 7]), &["raw_data", "2 elements of 4", "7 bytes"]);
    says(&initializer(|t| t.dims = vec![-2]), &["dims", "found -2"]);
    says(&initializer(|t| t.dims = vec![1; 9]), &["dims", "at most 8"]);
}

#[test]
fn tensors_of_other_types() {
    says(&initializer(|t| t.data_type = 10), &["data_type", "float32", "found float16"]);
}

#[test]
fn numbers_that_are_none() {
    says(&initializer(|t| t.float_data = vec![f32::NAN, 0.0]), &["elements", "finite"]);
    says(&initializer(|t| t.float_data = vec![f32::INFINITY, 0.0]), &["elements", "finite"]);
    let one = |t: &mut TensorProto| (t.dims, t.float_data) = (vec![1], vec![f32::INFINITY]);
    says(&initializer(one), &["constant", "finite numbers", "inf"]);
}

#[test]
fn sparse_initializers() {
    let mut m = Model::new();
    m.graph().sparse_initializer.push(SparseTensorProto { dims: vec![2] });
    says(&message(&m), &["sparse initializers"]);
}

#[test]
fn cycles() {
    let mut m = Model::new();
    m.input(&[1, 2]);
    let a = m.node("Add", &["x", "Relu1"], &[]);
    let b = m.node("Relu", &[&a], &[]);
    says(&message(m.output(&b)), &["without cycles", "a cycle"]);
}

#[test]
fn names_that_nothing_has_or_two_have() {
    says(&message(Model::new().output("y")), &["inputs and outputs"]);
    let mut m = Model::new();
    m.input(&[1, 2]);
    let y = m.node("Relu", &["z"], &[]);
    says(&message(m.output(&y)), &["node 0, input", "\"z\""]);
    let mut m = Model::new();
    let x = m.input(&[1, 2]);
    m.node("Relu", &[&x], &[]);
    m.graph().node[0].output[0] = "x".into();
    says(&message(m.output("x")), &["node 0", "an output of its own"]);
    let mut m = Model::new();
    m.input(&[1, 2]);
    m.input(&[1, 2]);
    m.output("x");
    says(&message(&m), &["graph input 1 (x)"]);
}

#[test]
fn inputs_without_a_type() {
    let mut m = Model::new();
    m.graph().input.push(ValueInfoProto { name: "x".into(), r#type: None });
    says(&message(m.output("x")), &["tensor 0 (x), shape", "no tensor type"]);
}

#[test]
fn constant_nodes_of_other_kinds() {
    let constant = |name: &str, value| {
        let mut m = Model::new();
        let x = m.input(&[1, 2]);
        let c = m.node("Constant", &[], &[(name, value)]);
        let y = m.node("Add", &[&x, &c], &[]);
        message(m.output(&y))
    };
    says(&constant("value_string", Text("x")), &["Constant Constant0", "found value_string"]);
    says(&constant("value", Tensor(reals(&[2], &[]))), &["float_data", "2 elements"]);
}

#[test]
fn dropout_in_training() {
    let mut m = Model::new();
    let x = m.input(&[1, 2]);
    let (ratio, training) = (m.reals(&[], &[0.5]), m.codes(9, &[], &[1]));
    let y = m.node("Dropout", &[&x, &ratio, &training], &[]);
    says(&message(m.output(&y)), &["training_mode", "expected false"]);
}

#[test]
fn maxima_with_their_indices() {
    let mut m = Model::new();
    let x = m.input(&IMAGE);
    let y = m.node("MaxPool", &[&x], &[("kernel_shape", Ints(&[2, 2]))]);
    m.graph().node[0].output.push("indices".into());
    says(&message(m.output(&y)), &["outputs", "indices"]);
}

#[test]
fn sums_of_values_in_two_orders() {
    let mut m = Model::new();
    let x = m.input(&[1, 3, 2, 2]);
    let shape = m.integers(&[1, 3, 2, 2]);
    let z = m.input_of("z", super::model::FLOAT, &[1, 12]);
    let z = m.node("Reshape", &[&z, &shape], &[]);
    let y = m.node("Add", &[&x, &z], &[]);
    says(&message(m.output(&y)), &["inputs", "the same order in memory", "[1, 2, 2, 3]"]);
}

#[test]
fn normalization_without_channels() {
    let mut m = Model::new();
    let x = m.input(&[1, 1]);
    let axes = m.integers(&[1]);
    let x = m.node("Squeeze", &[&x, &axes], &[]);
    let none = m.reals(&[0], &[]);
    let y = m.node("BatchNormalization", &[&x, &none, &none, &none, &none], &[]);
    says(&message(m.output(&y)), &["input", "[N, C, ..]", "[1]"]);
}
