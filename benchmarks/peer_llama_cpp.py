#!/usr/bin/env python3
"""Tokens of one sequence a second, bin/generate beside llama.cpp, on the same weights in GGUF as F32 and as BF16.

    peer_llama_cpp.py MODEL.gguf BUILD WORK [THREADS]

MODEL's tensors are dequantised and written anew in WORK, once in each type (norms stay F32). Both programs continue one prompt
greedily by NEW tokens, in turn, ROUNDS times; medians count. llama.cpp's seconds are those that it reports for the tokens
that it predicts. Ours are the difference between a whole run of FEW + NEW tokens and one of FEW, so that loading and the prompt
are left out. GB/s are the bytes of the weights that a token reads times the tokens a second.

Tried with xllamacpp 2026.10.11549 (llama.cpp's own server in a wheel), gguf 0.19.0, numpy 1.24.
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import gguf
import numpy as np
from gguf.quants import dequantize, quantize

PROMPT = "The old man sat down by the fire and told the children"
FEW, NEW, ROUNDS = 8, 128, 5


def rewrite(source, path, type):
    """The file anew with matrices of `type`; returns the bytes that a token reads (the tied table once, as the head)."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(path, "llama")
    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key not in ("general.architecture", "general.file_type"):
            sub_type = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(key, field.contents(), field.types[0], sub_type=sub_type)
    read = 0
    for tensor in reader.tensors:
        values = np.array(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        kind = type if values.ndim == 2 else gguf.GGMLQuantizationType.F32
        data = quantize(values, kind)
        writer.add_tensor(tensor.name, data, raw_dtype=kind)
        read += data.nbytes
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return read


def llama_cpp(path, threads):
    """Tokens a second, measured by a process of its own, so that nothing of it runs while ours does."""
    script = f"""
import json, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = {str(path)!r}
params.n_ctx = 512
params.warmup = True
params.cpuparams.n_threads = {threads}
params.cpuparams_batch.n_threads = {threads}
server = xllamacpp.Server(params)
result = server.handle_completions(dict(prompt={PROMPT!r}, max_tokens={NEW}, temperature=0, ignore_eos=True, timings_per_token=True))
print("TIMINGS " + json.dumps(result["timings"]))
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    line = next((line for line in run.stdout.splitlines() if line.startswith("TIMINGS ")), None)
    assert line, run.stdout + run.stderr
    timings = json.loads(line.removeprefix("TIMINGS "))
    assert timings["predicted_n"] == NEW, timings
    return timings["predicted_per_second"]


def ours(build, path, type, threads):
    seconds = []
    for tokens in (FEW, FEW + NEW):
        started = time.monotonic()
        run = subprocess.run([build / "bin" / "generate", "--device", "cpu", "--model", path, "--text", PROMPT, "--output", "text",
                              "--temperature", "0", "--min-new-tokens", str(tokens), "--max-new-tokens", str(tokens), "--json"],
                             capture_output=True, text=True, env=os.environ | {"SPIRITLM_THREADS": str(threads)})
        seconds.append(time.monotonic() - started)
        assert run.returncode == 0, run.stderr
    return NEW / (seconds[1] - seconds[0])


def main():
    source, build, work = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    threads = int(sys.argv[4]) if len(sys.argv) > 4 else os.cpu_count()
    work.mkdir(parents=True, exist_ok=True)
    print(f"{'weights':8} {'llama.cpp':>10} {'ours':>10} tokens/s {'':4} {'GB/s':>6} {'GB/s':>6} {'times':>6}   {threads} threads")
    for type in (gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.BF16):
        path = work / f"{type.name}.gguf"
        read = rewrite(source, path, type)
        pairs = [(llama_cpp(path, threads), ours(build, path, type, threads)) for _ in range(ROUNDS)]
        theirs, own = (statistics.median(column) for column in zip(*pairs))
        print(f"{type.name:8} {theirs:10.1f} {own:10.1f} {'':13} {theirs * read / 1e9:6.1f} {own * read / 1e9:6.1f} {own / theirs:6.2f}",
              flush=True)


if __name__ == "__main__":
    main()
