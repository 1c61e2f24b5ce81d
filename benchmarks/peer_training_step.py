#!/usr/bin/env python3
"""The training step of benchmark_training_step in PyTorch: transformers' LLaMA, the same shapes, threads and optimiser.

    peer_training_step.py [15M|110M] [f32|bf16] [eager|compile] [steps]

bf16 is autocast over f32 weights, as PyTorch users train on a CPU. Attention is scaled_dot_product_attention, the head is
tied, the loss is the model's own over shifted labels, AdamW is torch's (fused where it has one), gradients are clipped to
norm 1. Prints the median, best and worst seconds per step. Tried with torch 2.15.0 and transformers 5.24.0."""
import os
import statistics
import sys
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

ROWS, LENGTH, VOCABULARY = 4, 1024, 32768


def make_model(large):
    config = LlamaConfig(vocab_size=VOCABULARY, hidden_size=768 if large else 256,
                         intermediate_size=2048 if large else 704, num_hidden_layers=12 if large else 8,
                         num_attention_heads=12 if large else 4, num_key_value_heads=12 if large else 4,
                         max_position_embeddings=LENGTH, tie_word_embeddings=True, use_cache=False,
                         attn_implementation="sdpa")
    torch.manual_seed(1)
    return LlamaForCausalLM(config)


def main():
    size, dtype, mode = (sys.argv[1:4] + ["110M", "f32", "eager"][len(sys.argv) - 1:])[:3]
    steps = int(sys.argv[4]) if len(sys.argv) > 4 else 5
    torch.set_num_threads(int(os.environ.get("SPIRITLM_THREADS", os.cpu_count())))
    model = make_model(size == "110M")
    parameters = list(model.parameters())
    try:
        optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.1, fused=True)
    except (RuntimeError, ValueError):
        optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.1)
    run = torch.compile(model) if mode == "compile" else model
    ids = torch.randint(0, VOCABULARY, (ROWS, LENGTH))
    seconds = []
    for step in range(steps + 1):  # the first one warms up (and compiles)
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bf16"):
            loss = run(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds.append(time.perf_counter() - start)
    seconds = sorted(seconds[1:])
    count = sum(p.numel() for p in parameters)
    print(f"torch {torch.__version__}, {size} ({count / 1e6:.1f} M), {dtype}, {mode}, {torch.get_num_threads()} threads: "
          f"median {statistics.median(seconds):.3f} s, best {seconds[0]:.3f}, worst {seconds[-1]:.3f}, "
          f"{ROWS * LENGTH / statistics.median(seconds):.0f} tokens/s, loss {loss.item():.3f}")


main()
