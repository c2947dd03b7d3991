"""Reads a Penjing checkpoint with Python's own safetensors and looks at what a user of it would: names, shapes, zeros.

Use: python check_safetensors.py pruned_qat.safetensors
"""

import json
import sys

from safetensors import safe_open

with safe_open(sys.argv[1], framework="numpy") as file:
    manifest = json.loads(file.metadata()["penjing"])
    tensors = {name: file.get_tensor(name) for name in file.keys()}

assert manifest["stage"] == "qat", manifest["stage"]
assert tensors["conv.weight"].shape == (12, 3, 3, 1), tensors["conv.weight"].shape
dense = tensors["dense.weight"]
assert dense.shape == (10, 2028), dense.shape
zeros = int((dense == 0).sum())
assert zeros == manifest["sparsity"]["layers"]["dense"]["zeros"] == 16224, zeros
print(f"{sys.argv[1]}: {len(tensors)} tensors, {zeros} zeros in dense.weight, read by Python's safetensors")
