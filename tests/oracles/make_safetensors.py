"""Makes tests/golden/io/: files written by the safetensors library, and mutants with its verdict on each.

Made with Python 3.11, safetensors 0.8.0 (pip install safetensors==0.8.0):
    python tests/oracles/make_safetensors.py tests/golden/io
No input files. The same command gives the same bytes.
"""
import json
import random
import struct
import sys
from pathlib import Path

import safetensors

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
sizes = {"float32": 4, "bfloat16": 2, "float16": 2, "float64": 8, "int32": 4, "int64": 8, "uint8": 1, "uint16": 2}


def tensors(shapes):
    """Byte i of a tensor is (i * 37 + length of its name) mod 251."""
    made, kept = {}, []
    for name, (dtype, shape) in shapes.items():
        count = sizes[dtype]
        for dimension in shape:
            count *= dimension
        data = bytes((i * 37 + len(name)) % 251 for i in range(count))
        import ctypes

        buffer = ctypes.create_string_buffer(data, max(1, count))
        kept.append(buffer)
        made[name] = safetensors.TensorSpec(
            dtype=dtype, shape=list(shape), data_ptr=ctypes.addressof(buffer), data_len=count
        )
    return made, kept


every = {
    "doubles": ("float64", [3]),
    "whole": ("int64", [2, 2]),
    "model.layers.0.weight": ("float32", [3, 5]),
    "scalar": ("float32", []),
    "short whole": ("int32", [7]),
    "nothing": ("float32", [0, 4]),
    "caf\u00e9 \"quoted\" \\ \U0001f600": ("bfloat16", [1, 2, 1, 3]),
    "half": ("float16", [9]),
    "units": ("uint16", [5]),
    "bytes": ("uint8", [11]),
}
made, kept = tensors(every)
(folder / "every_type.safetensors").write_bytes(safetensors.serialize(made, {"format": "pt"}))
made, kept = tensors({})
(folder / "no_tensors.safetensors").write_bytes(safetensors.serialize(made, None))

# Mutants of a small file: the header's text, its length or the file's length is changed at one or two places.
small = {"a": ("float32", [2]), "b": ("bfloat16", [3, 1]), "c": ("uint8", [2])}
made, kept = tensors(small)
whole = bytes(safetensors.serialize(made, {"k": "v"}))
length = struct.unpack("<Q", whole[:8])[0]
chooser = random.Random(20240208)
pieces = ["0", "1", "2", "-1", "8", "16", "18446744073709551615", "9223372036854775807", "1e1", "1.0", "null", "[]",
          "{}", '"F32"', '"BF16"', '"Q7"', '"a"', ",", ":", "[", "]", "{", "}", " ", "\n", '"', "\\u0061", "\u00e9"]
mutants = []
while len(mutants) < 600:
    header = whole[8:8 + length].decode().rstrip(" ")
    body = whole[8 + length:]
    for _ in range(chooser.choice([1, 1, 2])):
        kind = chooser.randrange(5)
        at = chooser.randrange(len(header))
        if kind == 0:
            header = header[:at] + chooser.choice(pieces) + header[at:]
        elif kind == 1:
            header = header[:at] + header[at + chooser.randrange(1, 4):]
        elif kind == 2:
            header = header[:at] + chooser.choice(pieces) + header[at + 1:]
        elif kind == 3:
            digits = [i for i, c in enumerate(header) if c.isdigit()]
            at = chooser.choice(digits)
            header = header[:at] + str(chooser.randrange(10)) + header[at + 1:]
        else:
            body = body[:chooser.randrange(len(body) + 1)] if chooser.randrange(2) else body + b"x"
    text = header.encode()
    text += b" " * (-len(text) % 8)
    stated = len(text) + (chooser.choice([-1, 1, 8, 1 << 40, (1 << 64) - 8 - len(text)])
                          if chooser.randrange(12) == 0 else 0)
    data = struct.pack("<Q", stated % (1 << 64)) + text + body
    if chooser.randrange(25) == 0:
        data = data[:chooser.randrange(len(data))]
    try:
        safetensors.deserialize(data)
        accepted = 1
    except safetensors.SafetensorError:
        accepted = 0
    mutants.append((accepted, data))
# One file: for each mutant u8 accepted, u32 length (little-endian), bytes.
(folder / "mutants.bin").write_bytes(b"".join(struct.pack("<BI", a, len(d)) + d for a, d in mutants))
print(sum(a for a, _ in mutants), "of", len(mutants), "mutants are accepted by safetensors", safetensors.__version__)
