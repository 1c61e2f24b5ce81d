#!/usr/bin/env python3
"""A unit HiFi-GAN of the published size in PyTorch, beside benchmark_vocoder: the same random weights, codes and threads.

    peer_vocoder.py FOLDER [SECONDS]

Writes the vocoder into FOLDER unless it is there, measures its forward pass in f32 after remove_weight_norm, as published code runs
it, and leaves the samples in FOLDER/samples.f32, with which benchmark_vocoder compares its own. Tried with torch 1.13.1."""
import json
import os
import statistics
import sys
import time

import torch
from torch.nn.utils import remove_weight_norm

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "oracles"))
from speech_vocoder_small import Generator, randomise  # noqa: E402

CONFIG = dict(resblock="1", upsample_rates=[5, 4, 4, 4, 2], upsample_kernel_sizes=[11, 8, 8, 8, 4], upsample_initial_channel=512,
              resblock_kernel_sizes=[3, 7, 11], resblock_dilation_sizes=[[1, 3, 5]] * 3, num_embeddings=501, embedding_dim=128,
              model_in_dim=384, code_hop_size=640, sampling_rate=16000, multispkr="from_input_file", num_speakers=4,
              multistyle="from_input_file", num_styles=26,
              dur_predictor_params=dict(encoder_embed_dim=128, var_pred_hidden_dim=128, var_pred_kernel_size=3))


def measure(forward, repetitions=4):
    times, work = [], []
    with torch.inference_mode():
        for i in range(repetitions + 1):
            start, before = time.perf_counter(), time.process_time()
            result = forward()
            if i:
                times.append(time.perf_counter() - start)
                work.append(time.process_time() - before)
    return result, times, work


def main():
    folder = sys.argv[1]
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 10
    torch.set_num_threads(int(os.environ.get("SPIRITLM_THREADS", os.cpu_count())))
    torch.manual_seed(1)
    model = Generator(CONFIG).eval()
    path = os.path.join(folder, "generator.pt")
    if os.path.exists(path):
        model.load_state_dict(torch.load(path)["generator"])
    else:
        randomise(model)
        os.makedirs(folder, exist_ok=True)
        torch.save({"generator": model.state_dict()}, path)
        with open(os.path.join(folder, "config.json"), "w") as file:
            json.dump(CONFIG, file)
    for module in [model.conv_pre, model.conv_post, *model.ups,
                   *(conv for block in model.resblocks for conv in [*block.convs1, *block.convs2])]:
        remove_weight_norm(module)
    frames = int(seconds * 25)
    units = torch.tensor([i * 37 % 501 for i in range(frames)])
    parameters = sum(p.numel() for p in model.parameters())
    samples, times, work = measure(lambda: model({"dict": units, "spkr": 2, "style": 8}))
    samples.numpy().tofile(os.path.join(folder, "samples.f32"))
    median = statistics.median(times)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {1e-6 * parameters:.2f} M parameters, {seconds:g} s: median "
          f"{1e3 * median:.0f} ms, best {1e3 * min(times):.0f}, work {1e3 * min(work):.0f}, {seconds / median:.1f} x real time")
    _, times, work = measure(lambda: model.dur_predictor(model.dict(units)))
    print(f"durations of {frames} units: median {1e3 * statistics.median(times):.1f} ms, work {1e3 * min(work):.1f}")


main()
