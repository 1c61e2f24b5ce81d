#!/usr/bin/env python3
"""roberta-large and wav2vec2-base of transformers with heads for classes, beside benchmark_judges: random weights, f32, the same
lengths and threads.

    peer_judges.py FOLDER [PIECES [SECONDS [TEXTS]]]

Writes the models to FOLDER/roberta-large and FOLDER/wav2vec2 unless they are there (tests/oracles/judges_check.py makes the same
ones). Tried with torch 1.13.1 and transformers 4.45.2."""
import json
import os
import statistics
import sys
import time

import torch
import transformers
from safetensors.torch import load_file, save_file


def make(model, folder):
    weights = os.path.join(folder, "model.safetensors")
    if os.path.exists(weights):
        model.load_state_dict(load_file(weights))
    else:
        os.makedirs(folder, exist_ok=True)
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, weights)
        with open(os.path.join(folder, "config.json"), "w") as file:
            json.dump(model.config.to_dict(), file)
    return model.eval()


def measure(what, run, count, unit):
    times, work = [], []
    with torch.inference_mode():
        for i in range(6):
            start, before = time.perf_counter(), time.process_time()
            run()
            if i:
                times.append(time.perf_counter() - start)
                work.append(time.process_time() - before)
    median = statistics.median(times)
    print(f"{what:22} median {1e3 * median:.0f} ms, best {1e3 * min(times):.0f}, work {1e3 * min(work):.0f}, "
          f"{count / median:.1f} {unit}")


def main():
    folder = sys.argv[1]
    pieces = int(sys.argv[2]) if len(sys.argv) > 2 else 128
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 5
    texts = int(sys.argv[4]) if len(sys.argv) > 4 else 8
    torch.set_num_threads(int(os.environ.get("SPIRITLM_THREADS", os.cpu_count())))
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, {torch.get_num_threads()} threads")
    model = make(transformers.RobertaForSequenceClassification(transformers.RobertaConfig(
        vocab_size=50265, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5, num_labels=7,
        hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096)),
        os.path.join(folder, "roberta-large"))
    ids = torch.randint(4, 50000, (texts, pieces))

    def one_at_a_time():
        for row in ids:
            model(row[None])

    measure("texts, one at a time", one_at_a_time, texts * pieces, "pieces/s")
    measure("texts, in one call", lambda: model(ids), texts * pieces, "pieces/s")
    model = make(transformers.Wav2Vec2ForSequenceClassification(transformers.Wav2Vec2Config(num_labels=8)),
                 os.path.join(folder, "wav2vec2"))
    wave = torch.randn(1, int(seconds * 16000)) * 0.05
    measure("clip", lambda: model(wave), seconds, "x real time")


main()
