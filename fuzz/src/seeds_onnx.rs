//! ONNX seeds of the target `import`: protobuf written by hand, of the few fields that they have.

/// Name and content.
pub(crate) fn models() -> Vec<(&'static str, Vec<u8>)> {
    vec![("conv", conv()), ("qdq", qdq()), ("moves", moves())]
}

/// A message that grows.
#[derive(Clone, Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(mut self, mut n: u64) -> Self {
        while n > 127 {
            self.0.push(n as u8 | 128);
            n >>= 7;
        }
        self.0.push(n as u8);
        self
    }

    fn int(self, field: u64, n: i64) -> Self {
        self.varint(field << 3).varint(n as u64)
    }

    fn bytes(self, field: u64, bytes: &[u8]) -> Self {
        let mut own = self.varint((field << 3) | 2).varint(bytes.len() as u64);
        own.0.extend(bytes);
        own
    }

    fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    fn ints(self, field: u64, ints: &[i64]) -> Self {
        ints.iter().fold(self, |own, &n| own.int(field, n))
    }

    fn message(self, field: u64, message: &Message) -> Self {
        self.bytes(field, &message.0)
    }
}

fn node(op: &str, inputs: &[&str], output: &str) -> Message {
    let own = inputs.iter().fold(Message::default(), |own, input| own.text(1, input));
    own.text(2, output).text(3, output).text(4, op)
}

fn with_ints(node: Message, name: &str, ints: &[i64]) -> Message {
    node.message(5, &Message::default().text(1, name).ints(8, ints).int(20, 7))
}

fn with_int(node: Message, name: &str, n: i64) -> Message {
    node.message(5, &Message::default().text(1, name).int(3, n).int(20, 2))
}

fn tensor(name: &str, dtype: i64, dims: &[i64], data: &[u8]) -> Message {
    Message::default().ints(1, dims).int(2, dtype).text(8, name).bytes(9, data)
}

fn reals(name: &str, dims: &[i64], reals: &[f32]) -> Message {
    let data: Vec<u8> = reals.iter().flat_map(|real| real.to_le_bytes()).collect();
    tensor(name, 1, dims, &data)
}

fn int64s(name: &str, ints: &[i64]) -> Message {
    let data: Vec<u8> = ints.iter().flat_map(|int| int.to_le_bytes()).collect();
    tensor(name, 7, &[ints.len() as i64], &data)
}

/// A value that the network takes or yields; of an open batch.
fn port(name: &str, dims: &[i64]) -> Message {
    let batch = Message::default().text(2, "batch");
    let dims = dims.iter().map(|&dim| Message::default().int(1, dim));
    let shape = std::iter::once(batch).chain(dims);
    let shape = shape.fold(Message::default(), |own, dim| own.message(1, &dim));
    let tensor = Message::default().int(1, 1).message(2, &shape);
    Message::default().text(1, name).message(2, &Message::default().message(1, &tensor))
}

fn model(nodes: &[Message], constants: &[Message], input: &Message, output: &Message) -> Vec<u8> {
    let graph = nodes.iter().fold(Message::default(), |own, node| own.message(1, node));
    let graph = constants.iter().fold(graph.text(2, "seed"), |own, c| own.message(5, c));
    let graph = graph.message(11, input).message(12, output);
    let opset = Message::default().text(1, "").int(2, 17);
    Message::default().int(1, 8).message(7, &graph).message(8, &opset).0
}

/// A convolution, pools, a dense layer.
fn conv() -> Vec<u8> {
    let conv = with_ints(node("Conv", &["x", "w", "b"], "c"), "pads", &[1, 1, 1, 1]);
    let pool = with_ints(node("MaxPool", &["r"], "p"), "kernel_shape", &[2, 2]);
    let pool = with_ints(pool, "strides", &[2, 2]);
    let gemm = with_int(node("Gemm", &["f", "v"], "g"), "transB", 1);
    let nodes = [
        conv,
        node("Relu", &["c"], "r"),
        pool,
        node("Flatten", &["p"], "f"),
        gemm,
        with_int(node("Softmax", &["g"], "y"), "axis", -1),
    ];
    let weights: Vec<f32> = (0..18).map(|k| k as f32 / 8.0 - 1.0).collect();
    let dense: Vec<f32> = (0..24).map(|k| 1.0 - k as f32 / 16.0).collect();
    let constants = [
        reals("w", &[2, 1, 3, 3], &weights),
        reals("b", &[2], &[0.5, -0.5]),
        reals("v", &[3, 8], &dense),
    ];
    model(&nodes, &constants, &port("x", &[1, 4, 4]), &port("y", &[3]))
}

/// A convolution of integers between DequantizeLinear and QuantizeLinear.
fn qdq() -> Vec<u8> {
    let quantize = |x: &str, y: &str| node("QuantizeLinear", &[x, "s", "z"], y);
    let dequantize = |x: &str, y: &str| node("DequantizeLinear", &[x, "s", "z"], y);
    let weights = with_int(node("DequantizeLinear", &["w", "ws", "wz"], "wd"), "axis", 0);
    let bias = with_int(node("DequantizeLinear", &["b", "bs", "bz"], "bd"), "axis", 0);
    let nodes = [
        quantize("x", "xq"),
        dequantize("xq", "xd"),
        weights,
        bias,
        node("Conv", &["xd", "wd", "bd"], "c"),
        quantize("c", "cq"),
        dequantize("cq", "cd"),
        node("GlobalAveragePool", &["cd"], "m"),
        quantize("m", "mq"),
        dequantize("mq", "y"),
    ];
    let constants = [
        reals("s", &[], &[0.5]),
        tensor("z", 3, &[], &[3]),
        tensor("w", 3, &[2, 1, 1, 1], &[100, 0x90]),
        reals("ws", &[2], &[0.25, 0.125]),
        tensor("wz", 3, &[2], &[0, 0]),
        tensor("b", 6, &[2], &[7, 0, 0, 0, 9, 0, 0, 0]),
        reals("bs", &[2], &[0.125, 0.0625]),
        tensor("bz", 6, &[2], &[0; 8]),
    ];
    model(&nodes, &constants, &port("x", &[1, 3, 3]), &port("y", &[2, 1, 1]))
}

/// Turned, padded, clipped, joined, reshaped by a shape that is computed.
fn moves() -> Vec<u8> {
    let turn = with_ints(node("Transpose", &["x"], "t"), "perm", &[0, 3, 1, 2]);
    let join = with_int(node("Concat", &["k", "a"], "j"), "axis", 1);
    let pick = with_int(node("Gather", &["h", "zero"], "n"), "axis", 0);
    let target = with_int(node("Concat", &["n", "rest"], "target"), "axis", 0);
    let nodes = [
        turn,
        node("Pad", &["t", "pads"], "p"),
        node("Clip", &["p", "low", "high"], "k"),
        node("Add", &["k", "one"], "m"),
        node("Sigmoid", &["m"], "a"),
        join,
        node("Shape", &["j"], "h"),
        pick,
        target,
        with_ints(node("Transpose", &["j"], "back"), "perm", &[0, 2, 3, 1]),
        node("Reshape", &["back", "target"], "y"),
    ];
    let constants = [
        int64s("pads", &[0, 0, 1, 0, 0, 0, 0, 1]),
        reals("low", &[], &[0.0]),
        reals("high", &[], &[6.0]),
        reals("one", &[], &[1.0]),
        int64s("zero", &[0]),
        int64s("rest", &[-1]),
    ];
    model(&nodes, &constants, &port("x", &[2, 2, 1]), &port("y", &[18]))
}
