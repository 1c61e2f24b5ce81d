#!/usr/bin/env python3
"""Tokens of many sequences a second beside those of one, bin/generate beside llama.cpp, on the same weights in GGUF as F32.

    peer_llama_cpp_rows.py MODEL.gguf BUILD WORK [THREADS [ROWS]]

ROWS (8) prompts are continued greedily by NEW tokens each, one after the other and all together; both programs in turn, ROUNDS times;
medians count. Seconds are the difference between a run of FEW + NEW tokens and one of FEW, by the clock and of the processor, which
a busy machine changes less; so loading and prompts are left out.

Tried with xllamacpp 2026.10.11549 (llama.cpp's own server in a wheel), gguf 0.19.0, numpy 2.4.
"""
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

import gguf

from peer_llama_cpp import rewrite

STARTS = ["The old man sat down by the fire and told the children", "In the morning the ship left the harbour and",
          "She opened the letter slowly, because", "The king said unto the people that", "Every spring the river",
          "A mathematician once asked her students", "When the train stopped in the middle of the night,", "To make bread you need"]
FEW, NEW, ROUNDS = 4, 64, 3


def timed(command, **options):
    """Seconds by the clock and of the processor."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    run = subprocess.run(command, capture_output=True, text=True, **options)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert run.returncode == 0, run.stdout + run.stderr
    work = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - started, work


def llama_cpp(path, threads, rows, together, tokens):
    script = f"""
import threading, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = {str(path)!r}
params.n_ctx = {256 * (rows if together else 1)}
params.n_parallel = {rows if together else 1}
params.warmup = True
params.cpuparams.n_threads = {threads}
params.cpuparams_batch.n_threads = {threads}
server = xllamacpp.Server(params)
found = []
def ask(prompt):
    result = server.handle_completions(dict(prompt=prompt, max_tokens={tokens}, temperature=0, ignore_eos=True, timings_per_token=True))
    found.append(result["timings"]["predicted_n"])
askers = [threading.Thread(target=ask, args=(prompt,)) for prompt in {STARTS[:rows]!r}]
for asker in askers:
    asker.start()
    if not {together}:
        asker.join()
for asker in askers:
    asker.join()
assert found == [{tokens}] * {rows}, found
"""
    return timed([sys.executable, "-c", script])


def ours(build, prompts, path, threads, rows, together, tokens):
    return timed([build / "bin" / "generate", "--device", "cpu", "--model", path, "--prompts", prompts, "--batch", str(rows if together else 1),
                  "--output", "text", "--temperature", "0", "--min-new-tokens", str(tokens), "--max-new-tokens", str(tokens), "--json"],
                 env=os.environ | {"SPIRITLM_THREADS": str(threads)})


def tokens_a_second(run, rows, together):
    few, many = run(together, FEW), run(together, FEW + NEW)
    return [rows * NEW / (b - a) for a, b in zip(few, many)]


def main():
    source, build, work = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    threads = int(sys.argv[4]) if len(sys.argv) > 4 else os.cpu_count()
    rows = int(sys.argv[5]) if len(sys.argv) > 5 else len(STARTS)
    work.mkdir(parents=True, exist_ok=True)
    path, prompts = work / "F32.gguf", work / "prompts.jsonl"
    if not path.exists():
        rewrite(source, path, gguf.GGMLQuantizationType.F32)
    prompts.write_text("".join(json.dumps({"text": start}) + "\n" for start in STARTS[:rows]))
    programs = {"llama.cpp": lambda together, tokens: llama_cpp(path, threads, rows, together, tokens),
                "ours": lambda together, tokens: ours(build, prompts, path, threads, rows, together, tokens)}
    found = {(name, together): [] for name in programs for together in (False, True)}
    for _ in range(ROUNDS):
        for name, together in found:
            found[name, together].append(tokens_a_second(programs[name], rows, together))
    print(f"{'':10} {'clock: 1 row':>12} {rows:>4} rows {'times':>6} {'processor: 1 row':>17} {rows:>4} rows {'times':>6}   {threads} threads")
    for name in programs:
        one, many = ([statistics.median(column) for column in zip(*found[name, together])] for together in (False, True))
        print(f"{name:10} {one[0]:12.1f} {many[0]:9.1f} {many[0] / one[0]:6.2f} {one[1]:17.1f} {many[1]:9.1f} {many[1] / one[1]:6.2f}", flush=True)


main()
