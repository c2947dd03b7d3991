"""Holds Penjing's import of ONNX against onnxruntime: makes models of every op that is read, runs both, compares.

Use: python check_onnx.py PENJING FOLDER [MODEL.onnx ...]
PENJING is the command, FOLDER takes the files that are made; further models are checked like those that are made here.

Real outputs must agree within 1e-4 of the largest; of int8 networks (QDQ) the share of equal outputs and the largest
difference are printed. onnxruntime computes a QDQ network op by op in f32 between its integers (optimizations are off): it
rounds x / scale where Penjing rounds x * (1 / scale), its means of windows round ties to even where Penjing's round them
away from zero, and sums, joins and pools on another grid go through Penjing's integer multipliers. So outputs near a tie may
be a step off: an op by itself must have 85 % equal and none more than a step off (layers are equal throughout; ties are most
in means of four). A whole network adds such steps up, and one whose grids make ties of most sums has many: further QDQ
models are shown, not judged.
"""

import os
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file, save_file

SAMPLES = 8
rng = np.random.default_rng(20)


def weights(*shape):
    """Reals of which a sum over the inputs of an op has about the size of those inputs."""
    fan_in = max(1, int(np.prod(shape[1:])))
    return (rng.standard_normal(shape) / np.sqrt(fan_in)).astype(np.float32)


class Graph:
    """A graph under construction; ops are called as methods: g.Conv(x, w, pads=[1, 1, 1, 1])."""

    def __init__(self, opset=17):
        self.nodes, self.constants, self.inputs, self.opset = [], [], [], opset

    def input(self, *shape, kind=TensorProto.FLOAT):
        name = f"in{len(self.inputs)}"
        self.inputs.append(helper.make_tensor_value_info(name, kind, ["N", *shape]))
        return name

    def constant(self, value):
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def __getattr__(self, op):
        def append(*inputs, **attributes):
            names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
            name = f"{op}{len(self.nodes)}"
            self.nodes.append(helper.make_node(op, names, [name], name=name, **attributes))
            return name

        return append

    def model(self, *outputs):
        outputs = [helper.make_empty_tensor_value_info(name) for name in outputs]
        graph = helper.make_graph(self.nodes, "check", self.inputs, outputs, self.constants)
        opsets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    # int8
    def qdq(self, x, scale, zero_point, kind=np.int8):
        scale, zero_point = self.constant(np.float32(scale)), self.constant(kind(zero_point))
        return self.DequantizeLinear(self.QuantizeLinear(x, scale, zero_point), scale, zero_point)

    def layer_constants(self, real, bias, input_scale, axis=0):
        """int8 weights with a scale an output channel, and an int32 bias."""
        others = tuple(a for a in range(real.ndim) if a != axis)
        scale = (np.abs(real).max(others) / 127).astype(np.float32)
        shape = [-1 if a == axis else 1 for a in range(real.ndim)]
        codes = np.clip(np.round(real / scale.reshape(shape)), -127, 127).astype(np.int8)
        w = self.DequantizeLinear(codes, scale, np.zeros(len(scale), np.int8), axis=axis)
        unit = np.float32(input_scale) * scale
        codes = np.round(bias / unit).astype(np.int32)
        return w, self.DequantizeLinear(codes, unit, np.zeros(len(unit), np.int32), axis=0)


def ints(*values):
    return np.array(values, np.int64)


def mnist(flatten):
    g = Graph(13)
    x = g.input(1, 28, 28)
    x = g.Relu(g.Conv(x, weights(8, 1, 3, 3), weights(8), pads=[1, 1, 1, 1]))
    x = g.MaxPool(x, kernel_shape=[2, 2], strides=[2, 2])
    x = g.Relu(g.Conv(x, weights(16, 8, 3, 3), auto_pad="SAME_UPPER"))
    x = g.MaxPool(x, kernel_shape=[2, 2], strides=[2, 2])
    x = g.Relu(g.Gemm(flatten(g, x), weights(32, 784), weights(32), transB=1))
    return g.model(g.Softmax(g.Add(g.MatMul(x, weights(32, 10)), weights(10))))


def computed_shape(g, x):
    batch = g.Unsqueeze(g.Gather(g.Shape(x), np.int64(0)), ints(0))
    return g.Reshape(x, g.Concat(batch, ints(-1), axis=0))


def convolutions():
    g = Graph()
    x = g.input(4, 13, 11)
    x = g.Conv(x, weights(8, 1, 3, 3), weights(8), group=4, pads=[1, 0, 2, 1], strides=[2, 1], dilations=[2, 1])
    x = g.Clip(x, np.float32(0), np.float32(6))
    x = g.Conv(x, weights(6, 8, 3, 2), auto_pad="SAME_LOWER", strides=[2, 2])
    return g.model(g.Clip(x, np.float32(-1), np.float32(1)))


def normalizations():
    g = Graph()
    norm = lambda x, n: g.BatchNormalization(x, weights(n), weights(n), weights(n), np.abs(weights(n)) + 0.5)
    x = norm(g.Conv(g.input(3, 8, 8), weights(5, 3, 3, 3)), 5)
    x = norm(g.Flatten(norm(g.Relu(x), 5)), 180)
    return g.model(norm(g.Gemm(x, weights(180, 7)), 7))


def one_dimension():
    g = Graph()
    x = g.Relu(g.Conv(g.input(5, 40), weights(6, 5, 3), weights(6), pads=[1, 1], strides=[2]))
    x = g.Conv(g.MaxPool(x, kernel_shape=[2], strides=[2]), weights(6, 1, 3), group=6)
    mean = g.Squeeze(g.GlobalAveragePool(x), ints(2))
    return g.model(mean, g.Gemm(g.Flatten(x), weights(3, 48), transB=1), x)


def sequence():
    g = Graph()
    x = g.Transpose(g.Conv(g.input(6, 7), weights(4, 6, 1)), perm=[0, 2, 1])
    x = g.Relu(g.Add(g.MatMul(x, weights(4, 5)), weights(5)))
    return g.model(g.Transpose(x, perm=[0, 2, 1]))


def squeeze_excite():
    g = Graph()
    x = g.Conv(g.input(3, 10, 10), weights(8, 3, 3, 3))
    s = g.Relu(g.Conv(g.GlobalAveragePool(x), weights(4, 8, 1, 1)))
    x = g.Mul(x, g.Sigmoid(g.Conv(s, weights(8, 4, 1, 1))))
    s = g.Tanh(g.Gemm(g.ReduceMean(x, axes=[2, 3], keepdims=0), weights(8, 8)))
    return g.model(g.Mul(x, g.Reshape(s, ints(-1, 8, 1, 1))))


def pools():
    g = Graph()
    x = g.input(3, 12, 12)
    window = dict(kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = g.Concat(g.AveragePool(x, **window), g.AveragePool(x, count_include_pad=1, **window), g.MaxPool(x, **window), axis=1)
    x = g.Pad(x, ints(0, 0, 1, 0, 0, 2, 0, 3))
    return g.model(x, g.Flatten(g.AveragePool(x, kernel_shape=[7, 9])))


def constants():
    g = Graph()
    x = g.Add(weights(3, 1, 1), g.Mul(g.input(3, 4, 5), weights(1, 3, 1, 1)))
    x = g.Div(g.Sub(x, np.float32(0.5)), np.array([2], np.float32))
    x = g.Mul(g.Add(x, weights(5)), weights(4, 1))
    x = g.Softmax(g.Relu(g.Add(g.Flatten(g.Add(x, weights(3, 4, 5))), weights(60))))
    return g.model(g.Gemm(x, weights(60, 4), weights(1, 4), alpha=0.5))


def opset_18():
    g = Graph(18)
    x = g.Flatten(g.ReduceMean(g.input(3, 6, 6), ints(-2, -1)))
    return g.model(g.Pad(x, ints(1, 1), "", ints(1)))


def nhwc():
    g = Graph()
    x = g.Transpose(g.Sub(g.input(9, 8, 3), np.float32(0.5)), perm=[0, 3, 1, 2])
    x = g.Relu(g.Add(g.Conv(x, weights(4, 3, 3, 3), pads=[1, 1, 1, 1]), weights(1, 4, 1, 1)))
    x = g.Transpose(g.MaxPool(x, kernel_shape=[2, 2], strides=[2, 2]), perm=[0, 2, 3, 1])
    mean = g.ReduceMean(x, axes=[1, 2], keepdims=0)
    return g.model(g.MatMul(g.Reshape(x, ints(-1, 64)), weights(64, 5)), mean)


def integers(kind, shift, input_kind=None):
    """Each op by itself on one value, so that no op sees what another rounded."""
    g = Graph()
    q = lambda x, scale, zero: g.qdq(x, scale, zero + shift, kind)
    if input_kind is None:
        scale, x = 1 / 32, q(g.input(3, 12, 12), 1 / 32, 3)
    else:
        of_onnx = TensorProto.UINT8 if input_kind is np.uint8 else TensorProto.INT8
        zero_point = input_kind(100 if input_kind is np.uint8 else -28)
        scale, x = 1 / 64, g.DequantizeLinear(g.input(3, 12, 12, kind=of_onnx), np.float32(1 / 64), zero_point)
    layer = lambda *shape, s: g.layer_constants(weights(*shape), weights(shape[0]), s)
    x = q(g.Relu(g.Conv(x, *layer(8, 3, 3, 3, s=scale), pads=[1, 1, 1, 1])), 0.02, -128)
    depthwise = q(g.Conv(x, *layer(8, 1, 3, 3, s=0.02), pads=[1, 1, 1, 1], group=8), 0.013, 7)
    codes = np.array([3, -5, 7, 9, 11, -128, 127, 1], np.int8).reshape(1, 8, 1, 1)
    of_constant = g.DequantizeLinear(codes, np.float32(0.01), np.int8(1))
    w, _ = g.layer_constants(weights(8, 10), np.zeros(10), 0.005, axis=1)
    mean = q(g.GlobalAveragePool(x), 0.011, -100)
    row = q(g.MatMul(g.Flatten(mean), w), 0.01, 0)
    padded = g.Pad(g.MaxPool(x, kernel_shape=[3, 3]), ints(0, 0, 1, 0, 0, 0, 0, 1))
    outputs = [
        x,
        depthwise,
        q(g.Add(x, depthwise), 0.024, -20),
        q(g.Relu(g.Mul(x, depthwise)), 0.02, -128),
        q(g.Mul(x, of_constant), 0.01, 4),
        q(g.Add(x, of_constant), 0.021, 4),
        q(padded, 0.02, -128),
        q(g.AveragePool(x, kernel_shape=[2, 2]), 0.02, -128),
        q(g.AveragePool(x, kernel_shape=[2, 2]), 0.018, -120),
        q(g.Concat(x, depthwise, axis=1), 0.02, 2),
        mean,
        q(g.Gemm(g.Flatten(x), *layer(10, 1152, s=0.02), transB=1), 0.02, 0),
        row,
        q(g.Softmax(row), 1 / 256, -128),
        q(g.Tanh(row), 1 / 128, 0),
        q(g.Sigmoid(row), 1 / 256, -128),
    ]
    return g.model(*outputs)


def models():
    """Each with whether its images are NHWC in the file itself."""
    yield "mnist_flatten", mnist(lambda g, x: g.Flatten(x)), False
    yield "mnist_reshape", mnist(lambda g, x: g.Reshape(x, ints(0, -1))), False
    yield "mnist_computed_shape", mnist(computed_shape), False
    for make in convolutions, normalizations, one_dimension, sequence, squeeze_excite, pools, constants, opset_18:
        yield make.__name__, make(), False
    yield "nhwc", nhwc(), True
    yield "int8", integers(np.int8, 0), False
    yield "uint8", integers(np.uint8, 128), False
    yield "int8_of_uint8", integers(np.int8, 0, np.uint8), False
    yield "int8_of_int8", integers(np.int8, 0, np.int8), False


def runtime(model):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def noise(value):
    shape = [size if isinstance(size, int) else 1 for size in value.shape]
    if "int8" in value.type:
        kind = np.uint8 if "uint8" in value.type else np.int8
        return rng.integers(np.iinfo(kind).min, np.iinfo(kind).max + 1, shape).astype(kind)
    return rng.standard_normal(shape).astype(np.float32)


def channels_last(values, is_nhwc):
    return values if is_nhwc or values.ndim < 3 else np.ascontiguousarray(np.moveaxis(values, 1, -1))


def compare(penjing, folder, name, model, is_nhwc, is_whole=False):
    """Converts, runs both on noise, prints a line for each output. Whether all is well, None where that is not judged."""
    path = lambda end: os.path.join(folder, f"{name}.{end}")
    onnx.save(model, path("onnx"))
    session = runtime(model)
    names = [value.name for value in session.get_inputs()]
    feeds = [{value.name: noise(value) for value in session.get_inputs()} for _ in range(SAMPLES)]
    wanted = [np.concatenate(parts) for parts in zip(*(session.run(None, feed) for feed in feeds))]
    stacked = {n: channels_last(np.concatenate([feed[n] for feed in feeds]), is_nhwc) for n in names}
    save_file(stacked if len(names) > 1 else {"input": stacked[names[0]]}, path("in.safetensors"))
    subprocess.run([penjing, "convert", path("onnx"), "-o", path("pnj")], check=True, capture_output=True)
    files = ["--input", path("in.safetensors"), "--output", path("out.safetensors")]
    subprocess.run([penjing, "run", path("pnj"), *files], check=True)
    found = load_file(path("out.safetensors"))
    outputs = [value.name for value in session.get_outputs()]
    quantized = any(node.op_type == "QuantizeLinear" for node in model.graph.node)
    good = None if is_whole and quantized else True
    for output, want in zip(outputs, wanted):
        got = found["output" if len(outputs) == 1 else output]
        want = channels_last(want, is_nhwc)
        if want.dtype == np.uint8:
            want = want.astype(np.int32) - 128
        difference = np.abs(got.reshape(want.shape).astype(np.float64) - want)
        largest = np.abs(want.astype(np.float64)).max()
        if quantized:
            steps = np.unique(np.abs(want))
            step = np.diff(steps).min() if len(steps) > 1 else 1.0
            equal = float((difference <= step / 100).mean())
            ok = equal >= 0.85 and difference.max() <= 1.01 * step
            words = f"{equal:.4%} equal, largest difference {difference.max() / step:.0f} steps"
        else:
            relative = difference.max() / largest
            ok, words = relative <= 1e-4, f"within {relative:.1e} of the largest"
        good = good if good is None else good and bool(ok)
        print(f"{'show' if good is None else 'ok  ' if ok else 'FAIL'} {name:24} {output:22} {want.size:6} values, {words}")
    return good


def main():
    penjing, folder, *more = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    print(f"onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}, {SAMPLES} samples each")
    every = list(models()) + [(os.path.splitext(os.path.basename(p))[0], onnx.load(p), False, True) for p in more]
    results = [compare(penjing, folder, *model) for model in every]
    judged = [result for result in results if result is not None]
    print(f"{sum(judged)} of {len(judged)} models agree; {len(results) - len(judged)} shown, not judged")
    sys.exit(0 if all(judged) else 1)


main()
