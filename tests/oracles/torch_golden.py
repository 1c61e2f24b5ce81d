"""Makes tests/golden/torch/: files of torch.save in both of its formats, and their tensors as PyTorch has them.

    apt-get install python3-torch python3-numpy && python3 tests/oracles/torch_golden.py

Ran with Debian 12's Python 3.11.2, python3-torch 1.13.1+dfsg-4 and numpy 1.24.2. zip.pt and zip4.pt (pickle protocol 4) are zip files, stream.pt and
stream4.pt are in the format before PyTorch 1.6; all hold the same value. tensors.safetensors has its tensors and numpy arrays,
dense, by their dotted names. alone.pt is a tensor and nothing else.
With a folder as argument, writes large.pt into it instead, an archive of 4.5 GiB with one tensor beyond the first 4 GiB:
`bin/inspect --verify FOLDER/large.pt` must name three tensors and find nothing wrong.
"""
import argparse
import collections
import json
import pathlib
import struct
import sys

import numpy as np
import torch

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "golden" / "torch"
TYPES = {
    torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}


def make_value():
    torch.manual_seed(1)
    base = torch.randn(4, 6)
    shared = torch.randn(24)
    body = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))
    return {
        "model": body.state_dict(),
        "views": {
            "base": base,
            "transposed": base.t(),
            "strided": base[1::2, ::3],
            "row": base[2],
            "expanded": base[:, 1:2].expand(4, 5),
            "permuted": shared.reshape(2, 3, 4).permute(2, 0, 1),
            "tail": shared[20:],
            "scalar": torch.tensor(3.25),
            "empty": torch.zeros(0, 3),
        },
        "types": {
            str(dtype)[6:]: (torch.randn(5) * 50).abs().to(dtype) if dtype != torch.bool else torch.tensor([True, False, True])
            for dtype in TYPES
        },
        "special": torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0, 1e-45]),
        "list": [torch.arange(3), (torch.arange(4), {"deep": torch.arange(5)}), "text"],
        "parameter": torch.nn.Parameter(torch.randn(2, 2)),
        "args": argparse.Namespace(
            lr=[0.25], arch="hubert", nothing=None, flag=True, off=False, nested=argparse.Namespace(layers="[(512, 10, 5)]"),
        ),
        "numpy": {
            "array": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
            "fortran": np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
            "integer": np.int64(-7),
            "real": np.float64(0.1),
            "half": np.float16(0.5),
            "truth": np.bool_(True),
            "objects": np.array([None, 1], dtype=object),
            "texts": np.array(["a", "bc"]),
            "big_endian": np.arange(3, dtype=">i4"),
        },
        "misc": {
            "size": torch.Size([2, 3]),
            "device": torch.device("cuda", 1),
            "dtype": torch.bfloat16,
            "bytes": bytes(range(256)),
            "no_bytes": b"",
            "huge": 1 << 80,
            "negative": -5,
            "least": -(1 << 63),
            "real": 1e-300,
            "unicode": "na\u00efve \u4e16\u754c",
            "ordered": collections.OrderedDict([("b", 1), ("a", 2)]),
            "tuple": (1, (2.5,), ()),
            "complex": 1 + 2j,
            "path": pathlib.PurePosixPath("a"),
            "class": pathlib.PurePosixPath,
            "complex_tensor": torch.zeros(2, dtype=torch.complex64),
        },
        3: torch.full((2,), 7, dtype=torch.int32),
    }


def flatten(value, name, found):
    if isinstance(value, torch.Tensor):
        if value.dtype in TYPES:
            found[name] = value.detach()
    elif isinstance(value, np.ndarray):
        if value.dtype.kind in "fib" and value.dtype.byteorder != ">":
            found[name] = torch.from_numpy(np.ascontiguousarray(value))
    elif isinstance(value, argparse.Namespace):
        flatten(vars(value), name, found)
    elif isinstance(value, dict):
        for key, item in value.items():
            flatten(item, f"{name}.{key}" if name else str(key), found)
    elif isinstance(value, (list, tuple)):
        for key, item in enumerate(value):
            flatten(item, f"{name}.{key}", found)
    return found


def raw(tensor):
    tensor = tensor.contiguous()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().tobytes()
    return tensor.numpy().tobytes()


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, tensor in tensors.items():
        bytes_ = raw(tensor)
        header[name] = {
            "dtype": TYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(bytes_)],
        }
        data += bytes_
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def write_large(folder):
    half = torch.zeros((1 << 30) + (1 << 27), dtype=torch.float16)  # 2.25 GiB
    half[-1] = 1
    torch.save({"a": half, "b": half.clone(), "last": torch.arange(5.0)}, folder / "large.pt")


def main():
    if len(sys.argv) > 1:
        write_large(pathlib.Path(sys.argv[1]))
        return
    FOLDER.mkdir(exist_ok=True)
    value = make_value()
    torch.save(value, FOLDER / "zip.pt")
    torch.save(value, FOLDER / "zip4.pt", pickle_protocol=4)
    torch.save(value, FOLDER / "stream.pt", _use_new_zipfile_serialization=False)
    torch.save(value, FOLDER / "stream4.pt", _use_new_zipfile_serialization=False, pickle_protocol=4)
    torch.save(torch.arange(6, dtype=torch.float64).reshape(3, 2), FOLDER / "alone.pt")
    write_safetensors(FOLDER / "tensors.safetensors", flatten(value, "", {}))


if __name__ == "__main__":
    main()
