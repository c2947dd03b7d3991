#!/usr/bin/env python3
"""LiteRT on a model with one input, at batch 1 on one thread: microseconds a sample as a JSON line, with the fields of
`penjing bench --json`.

litert_interop.py MODEL.tflite INPUTS.safetensors SAMPLES REPEATS; INPUTS has the tensor `input` in the model's own type.
"""
import json
import struct
import sys
import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter

model, inputs, samples, repeats = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
with open(inputs, "rb") as file:
    (length,) = struct.unpack("<Q", file.read(8))
    tensor = json.loads(file.read(length))["input"]
    start, end = tensor["data_offsets"]
    file.seek(8 + length + start)
    dtype = {"I8": np.int8, "U8": np.uint8, "F32": np.float32}[tensor["dtype"]]
    x = np.frombuffer(file.read(end - start), dtype).reshape(tensor["shape"])

interpreter = Interpreter(model, num_threads=1)
interpreter.allocate_tensors()
(source,) = interpreter.get_input_details()
index, output = source["index"], interpreter.get_output_details()[0]["index"]
assert source["dtype"] == dtype, f"{inputs}: expected {source['dtype']}, found {dtype}"
x = [row.reshape(source["shape"]) for row in x[:samples]]
whole, invoke = [], []
for _ in range(repeats + 1):
    t0 = time.perf_counter()
    for row in x:
        interpreter.set_tensor(index, row)
        interpreter.invoke()
        interpreter.get_tensor(output)
    t1 = time.perf_counter()
    for row in x:
        interpreter.invoke()
    t2 = time.perf_counter()
    whole.append((t1 - t0) / len(x) * 1e6)
    invoke.append((t2 - t1) / len(x) * 1e6)
whole, invoke = whole[1:], invoke[1:]
print(json.dumps({
    "us_per_image_min": min(whole),
    "us_per_image_p10": float(np.percentile(whole, 10)),
    "us_per_image_median": float(np.median(whole)),
    "us_per_image_invoke_min": min(invoke),
}))
