"""Makes tests/golden/gguf/: small GGUF files, and what PyPI's `gguf` reads in them.

    python3 -m venv venv && venv/bin/pip install gguf==0.19.0 numpy && venv/bin/python tests/oracles/gguf_golden.py

types.gguf has a tensor of every element type that we read, with numbers of all sizes, signs and a row of zeros; Q4_K, which
gguf cannot write, has random bytes with scales of ordinary size. types.f32 has the numbers of all tensors, in order of
their names, as gguf dequantises them. version2.gguf is the same file under the number of the version before, whose layout
is the same. values.gguf has a value of every type by key, and no tensor.
With a file as argument, prints the SHA-256 of each tensor's numbers as `inspect --verify FILE` does, to compare a real model.
"""
import hashlib
import pathlib
import sys

import gguf
import numpy as np
from gguf.quants import dequantize

TYPES = ["F32", "F16", "BF16", "F64", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K"]
FOLDER = pathlib.Path(__file__).resolve().parent.parent / "golden" / "gguf"


def numbers_of(tensor):
    kind = tensor.tensor_type
    if kind == gguf.GGMLQuantizationType.F64:
        return tensor.data.astype(np.float32)
    return dequantize(tensor.data, kind)


def print_hashes(path):
    for tensor in sorted(gguf.GGUFReader(path).tensors, key=lambda tensor: tensor.name):
        digest = hashlib.sha256(np.ascontiguousarray(numbers_of(tensor), dtype="<f4").tobytes()).hexdigest()
        print(digest, tensor.name)


def random_q4_k(rng, rows, columns):
    blocks = rng.integers(0, 256, (rows, columns // 256, 144), dtype=np.uint8)
    scales = rng.normal(0, 0.01, (rows, columns // 256, 2)).astype(np.float16)
    blocks[:, :, :4] = scales.view(np.uint8).reshape(rows, columns // 256, 4)
    return blocks.reshape(rows, -1)


def write_types(rng):
    writer = gguf.GGUFWriter(FOLDER / "types.gguf", "llama")
    for name in TYPES:
        kind = gguf.GGMLQuantizationType[name]
        values = rng.normal(0, 1, (3, 512)).astype(np.float32) * np.exp2(rng.integers(-12, 12, (3, 16))).repeat(32, 1).astype(np.float32)
        values[1, 32:96] = 0
        if name == "F64":
            writer.add_tensor("t." + name, values.astype(np.float64))
        elif name == "Q4_K":
            writer.add_tensor("t." + name, random_q4_k(rng, 3, 512), raw_dtype=kind)
        else:
            writer.add_tensor("t." + name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    tensors = sorted(gguf.GGUFReader(FOLDER / "types.gguf").tensors, key=lambda tensor: tensor.name)
    with open(FOLDER / "types.f32", "wb") as file:
        for tensor in tensors:
            print(tensor.name, tensor.shape, tensor.tensor_type.name)
            file.write(np.ascontiguousarray(numbers_of(tensor), dtype="<f4").tobytes())
    data = bytearray((FOLDER / "types.gguf").read_bytes())
    assert data[4:8] == b"\x03\0\0\0"
    data[4] = 2
    (FOLDER / "version2.gguf").write_bytes(data)


def write_values():
    writer = gguf.GGUFWriter(FOLDER / "values.gguf", "llama")
    writer.add_uint8("u8", 200)
    writer.add_int8("i8", -100)
    writer.add_uint16("u16", 60000)
    writer.add_int16("i16", -30000)
    writer.add_uint32("u32", 4000000000)
    writer.add_int32("i32", -2000000000)
    writer.add_uint64("u64", 2**63 + 5)
    writer.add_int64("i64", -(2**62))
    writer.add_float32("f32", -0.15625)
    writer.add_float64("f64", 1e300)
    writer.add_bool("yes", True)
    writer.add_bool("no", False)
    writer.add_string("text", "naïve \u4e16")
    writer.add_array("strings", ["", "a", "\u00e9t\u00e9", "long " * 20])
    writer.add_array("integers", [3, -1, 7])
    writer.add_array("reals", [0.5, -2.0])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


if len(sys.argv) > 1:
    print_hashes(sys.argv[1])
else:
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_types(np.random.default_rng(1))
    write_values()
