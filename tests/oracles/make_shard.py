"""Writes tests/golden/shard/h5py.h5: a shard according to docs/formats.md, made with another front end of HDF5.
    python tests/oracles/make_shard.py tests/golden/shard/h5py.h5
Python 3.11.2, numpy 1.26.4, h5py 3.16.0 with HDF5 2.0.0, bounded to the format of 1.10. The CRC32C is computed bit by
bit from its polynomial."""
import struct
import sys

import h5py
import numpy as np


def crc32c(data, crc=0):
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def fields_crc(fields):
    crc = 0
    for field in fields:
        crc = crc32c(struct.pack("<q", len(field)) + field, crc)
    return crc


NAN = struct.pack("<I", 0x7FC00000)
ROWS = [
    dict(id=b"a/1", speaker=b"rm", meta=b'{"n": 1}', text="caf\u00e9 noir".encode(), words=[(160, 4000, 0, 5), (4000, 9000, 6, 10)],
         hubert=[5, 5, 65535, 7], pitch=[1, 2], style=[9], duration=9601, score=struct.pack("<f", -3.25),
         source=bytes(range(32))),
    dict(id=b"b", speaker=b"", meta=b"", text=b"", words=[], hubert=[3], pitch=[], style=[], duration=640, score=NAN,
         source=bytes(32)),
    dict(id=b"c", speaker=b"awb", meta=b"", text=b"x", words=[(0, 0, 0, 1)], hubert=[1, 0], pitch=[4], style=[0, 1],
         duration=1280, score=NAN, source=bytes([255] * 32)),
]
FINGERPRINTS = bytes([17] * 32) + bytes([34] * 32) + bytes([51] * 32)
RATES = [25, 1, 25, 2, 1, 1]


def u16(values):
    return np.array(values, dtype="<u2").tobytes()


def row_crc(row):
    words = b"".join(struct.pack("<4i", *word) for word in row["words"])
    return fields_crc([row["id"], row["speaker"], row["meta"], row["text"], words, u16(row["hubert"]), u16(row["pitch"]),
                       u16(row["style"]), struct.pack("<i", row["duration"]), row["score"], row["source"]])


with h5py.File(sys.argv[1], "w", libver=("v110", "v110")) as file:
    def put(name, values, dtype):
        values = np.asarray(values, dtype=dtype)
        if len(values):
            file.create_dataset(name, data=values, chunks=(len(values),), track_times=False)

    def put_bytes(name, parts):
        put(name + "/data", np.frombuffer(b"".join(parts), dtype="u1"), "u1")
        put(name + "/offset", np.cumsum([0] + [len(part) for part in parts]), "<i8")

    for name in ("id", "speaker", "meta", "text"):
        put_bytes(name, [row[name] for row in ROWS])
    for name in ("hubert", "pitch", "style"):
        put(name + "/data", sum((row[name] for row in ROWS), []), "<u2")
        put(name + "/offset", np.cumsum([0] + [len(row[name]) for row in ROWS]), "<i8")
    for column, name in enumerate(("start", "end", "text_begin", "text_end")):
        put("word/" + name, [word[column] for row in ROWS for word in row["words"]], "<i4")
    put("word/offset", np.cumsum([0] + [len(row["words"]) for row in ROWS]), "<i8")
    put("duration", [row["duration"] for row in ROWS], "<i4")
    put("score", np.frombuffer(b"".join(row["score"] for row in ROWS), dtype="<f4"), "<f4")
    put("source", np.frombuffer(b"".join(row["source"] for row in ROWS), dtype="u1"), "u1")
    put("format", [1], "<u4")
    put("fingerprint", np.frombuffer(FINGERPRINTS, dtype="u1"), "u1")
    put("rate", RATES, "<i8")
    header = fields_crc([struct.pack("<I", 1), FINGERPRINTS, struct.pack("<6q", *RATES), struct.pack("<q", len(ROWS))])
    put("crc", [row_crc(row) for row in ROWS] + [header], "<u4")
