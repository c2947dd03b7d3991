#!/usr/bin/env python3
"""LiteRT from a model file to the first result: microseconds, the least of several in one process, as a JSON line.

litert_start.py MODEL.tflite IMAGES REPEATS; MODEL has a fixed batch, IMAGES is an IDX file, gzipped or not. Throughput is
what litert_bench.py of the shared folder measures.
"""
import gzip
import json
import sys
import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter

model, images, repeats = sys.argv[1], sys.argv[2], int(sys.argv[3])
with (gzip.open if images.endswith(".gz") else open)(images, "rb") as file:
    height, width = np.frombuffer(file.read(16), ">u4")[2:]
    first = Interpreter(model).get_input_details()[0]
    batch = int(first["shape"][0])
    pixels = np.frombuffer(file.read(batch * int(height) * int(width)), np.uint8)
pixels = pixels.reshape(first["shape"])
if first["dtype"] == np.int8:
    x = (pixels.astype(np.int16) - 128).astype(np.int8)
else:
    x = (pixels / 255.0).astype(np.float32)

times = []
for _ in range(repeats):
    start = time.perf_counter()
    interpreter = Interpreter(model, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    scores = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    times.append((time.perf_counter() - start) * 1e6)
    assert scores.shape[0] == batch
print(json.dumps({"load_us": min(times)}))
