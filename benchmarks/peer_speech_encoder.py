#!/usr/bin/env python3
"""HuBERT-base of transformers on noise, beside benchmark_speech_encoder: the same random weights, clips and threads.

    peer_speech_encoder.py FOLDER [SECONDS [CLIPS]]

Writes the model into FOLDER unless it is there, and measures its forward pass in f32. Tried with torch 1.13.1 and transformers
4.45.2."""
import json
import os
import statistics
import sys
import time

import torch
import transformers
from safetensors.torch import load_file, save_file


def main():
    folder = sys.argv[1]
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 10
    clips = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    torch.set_num_threads(int(os.environ.get("SPIRITLM_THREADS", os.cpu_count())))
    torch.manual_seed(1)
    model = transformers.HubertModel(transformers.HubertConfig()).eval()
    if os.path.exists(os.path.join(folder, "model.safetensors")):
        model.load_state_dict(load_file(os.path.join(folder, "model.safetensors")))
    else:
        os.makedirs(folder, exist_ok=True)
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, os.path.join(folder, "model.safetensors"))
        with open(os.path.join(folder, "config.json"), "w") as file:
            json.dump(model.config.to_dict(), file)
    wave = torch.randn(clips, int(seconds * 16000)) * 0.05
    for what, forward in (("convolutions", model.feature_extractor), ("encoder", model)):
        times, work = [], []
        with torch.inference_mode():
            for i in range(6):
                start, before = time.perf_counter(), time.process_time()
                forward(wave)
                if i:
                    times.append(time.perf_counter() - start)
                    work.append(time.process_time() - before)
        median = statistics.median(times)
        print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {clips} x {seconds:g} s, {what}: median "
              f"{1e3 * median:.0f} ms, best {1e3 * min(times):.0f}, work {1e3 * min(work):.0f}, {clips * seconds / median:.1f} x real time")


main()
