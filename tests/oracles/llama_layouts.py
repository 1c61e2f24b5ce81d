"""Writes one random Llama in every layout that we read, and what transformers computes with it.

    llama_layouts.py golden              tests/golden/layouts/, for tests/models/test_llama_layouts.c
    llama_layouts.py large DIRECTORY     two layers of LLaMA-2 70B's kind at the width of the 7B (3.4 GB on disk), for
                                         `test_models_llama_layouts --large DIRECTORY`

Made with Python 3.11, torch 1.13.0 (Debian), transformers 4.45.2, gguf 0.19.0, safetensors 0.8.0, numpy 1.24.2.

Layouts: hf/ (safetensors), hf_sharded/, bin/ (pytorch_model.bin), bin_sharded/, old/ (pytorch_model.bin in the stream format of
torch before 1.6), meta1/ and meta2/ (consolidated.NN.pth, cut into one and two shards), f32.gguf. Meta's and llama.cpp's order
of rotary rows is made here by their own converters' formula, turned around: Hugging Face's permutation of a head's rows is
view(heads, D/2, 2, C).transpose(1, 2). expected.safetensors has token ids and the float32 logits, and for bf16 the float64
logits of the rounded weights beside the error of transformers' own bf16 model.
"""
import json
import os
import pathlib
import shutil
import sys

import gguf
import numpy as np
import torch
import transformers
from safetensors.numpy import save_file

ROOT = pathlib.Path(__file__).resolve().parent.parent
SMALL = dict(vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64, rope_theta=10000.0, rms_norm_eps=1e-5)
LARGE = dict(vocab_size=32000, hidden_size=4096, intermediate_size=11008, num_hidden_layers=2, num_attention_heads=32,
             num_key_value_heads=4, max_position_embeddings=4096, rope_theta=10000.0, rms_norm_eps=1e-5)
META = {"self_attn.q_proj": "attention.wq", "self_attn.k_proj": "attention.wk", "self_attn.v_proj": "attention.wv",
        "self_attn.o_proj": "attention.wo", "mlp.gate_proj": "feed_forward.w1", "mlp.down_proj": "feed_forward.w2",
        "mlp.up_proj": "feed_forward.w3", "input_layernorm": "attention_norm", "post_attention_layernorm": "ffn_norm",
        "model.embed_tokens": "tok_embeddings", "model.norm": "norm", "lm_head": "output"}
META_AXIS = {"wq": 0, "wk": 0, "wv": 0, "wo": 1, "w1": 0, "w2": 1, "w3": 0, "tok_embeddings": 1, "output": 0}
GGUF = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.down_proj": "ffn_down",
        "mlp.up_proj": "ffn_up", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
        "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def interleave(weight, heads):
    """Hugging Face's rows of q or k in the order of Meta and llama.cpp."""
    rows, columns = weight.shape
    return weight.view(heads, 2, rows // heads // 2, columns).transpose(1, 2).reshape(rows, columns).contiguous()


def renamed(state, config, table, layer_prefix):
    result = {}
    for name, weight in state.items():
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(name.split(".")[-2])
        weight = interleave(weight, heads) if heads else weight
        parts = name.removesuffix(".weight").split(".")
        if parts[1:2] == ["layers"]:
            result[f"{layer_prefix}.{parts[2]}." + table[".".join(parts[3:])] + ".weight"] = weight
        else:
            result[table[".".join(parts)] + ".weight"] = weight
    return result


def write_meta(folder, state, config, shards):
    folder.mkdir(parents=True)
    meta = renamed(state, config, META, "layers")
    for shard in range(shards):
        part = {}
        for name, weight in meta.items():
            axis = META_AXIS.get(name.split(".")[-2])
            part[name] = weight if axis is None else torch.chunk(weight, shards, axis)[shard].clone()
        size = config.hidden_size // config.num_attention_heads
        part["rope.freqs"] = 1.0 / config.rope_theta ** (torch.arange(0, size, 2).float() / size)
        torch.save(part, folder / f"consolidated.{shard:02d}.pth")
    # Meta gives the width of the feed-forward layers by a rule: here 2/3 of 4 dim, rounded up, is what the model has.
    multiple = {16: 24, 4096: 256}[config.hidden_size]
    inner = int(2 * 4 * config.hidden_size / 3)
    scale = 1 if (inner + multiple - 1) // multiple * multiple == config.intermediate_size else None
    params = dict(dim=config.hidden_size, multiple_of=multiple, n_heads=config.num_attention_heads,
                  n_kv_heads=config.num_key_value_heads, n_layers=config.num_hidden_layers, norm_eps=config.rms_norm_eps,
                  vocab_size=-1)
    if scale is None:
        params["ffn_dim_multiplier"] = config.intermediate_size / inner + 1e-9
    (folder / "params.json").write_text(json.dumps(params))


def write_gguf(path, state, config, kind):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_vocab_size(config.vocab_size)
    for name, weight in renamed(state, config, GGUF, "blk").items():
        values = weight.float().numpy()
        kept = kind if values.ndim == 2 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(name, gguf.quants.quantize(values, kept), raw_dtype=kept)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_layouts(folder, model, shard):
    config, state = model.config, {name: weight.detach() for name, weight in model.state_dict().items()}
    model.save_pretrained(folder / "hf")
    model.save_pretrained(folder / "hf_sharded", max_shard_size=shard)
    model.save_pretrained(folder / "bin", safe_serialization=False)
    model.save_pretrained(folder / "bin_sharded", safe_serialization=False, max_shard_size=shard)
    (folder / "old").mkdir()
    shutil.copy(folder / "hf" / "config.json", folder / "old")
    torch.save(state, folder / "old" / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    write_meta(folder / "meta1", state, config, 1)
    write_meta(folder / "meta2", state, config, 2)
    if state["lm_head.weight"].dtype == torch.float32:
        write_gguf(folder / "f32.gguf", state, config, gguf.GGMLQuantizationType.F32)
    else:
        write_gguf(folder / "bf16.gguf", state, config, gguf.GGMLQuantizationType.BF16)
    for extra in folder.glob("*/generation_config.json"):
        extra.unlink()


def logits_of(model, ids):
    with torch.no_grad():
        return model(torch.from_numpy(ids)[None].long(), use_cache=False).logits[0].double().numpy()


def relative(a, b):
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def main(folder, sizes, tokens, shard, both):
    torch.manual_seed(7)
    config = transformers.LlamaConfig(**sizes, attn_implementation="eager")
    model = transformers.LlamaForCausalLM(config).eval()
    for name, parameter in model.named_parameters():
        parameter.data.normal_(1 if parameter.dim() == 1 else 0, 0.1 if sizes is SMALL else 0.02)
    ids = np.random.default_rng(3).integers(0, config.vocab_size, tokens).astype(np.int32)
    write_layouts(folder / "f32", model, shard)
    expected = dict(ids=ids, logits=logits_of(model, ids).astype(np.float32))
    if both:
        half = transformers.LlamaForCausalLM.from_pretrained(folder / "f32" / "hf", torch_dtype=torch.bfloat16).eval()
        write_layouts(folder / "bf16", half, shard)
        rounded = logits_of(half, ids)
        exact = logits_of(half.double(), ids)
        expected.update(bf16_logits=exact.astype(np.float32), bf16_error=np.array([relative(rounded, exact)], np.float32))
        print("bf16 error of transformers:", relative(rounded, exact))
    save_file(expected, folder / "expected.safetensors",
              metadata=dict(torch=torch.__version__, transformers=transformers.__version__, script="tests/oracles/llama_layouts.py"))


if __name__ == "__main__":
    if sys.argv[1] == "golden":
        target = ROOT / "golden" / "layouts"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        main(target, SMALL, 20, "12KB", False)
    else:
        main(pathlib.Path(sys.argv[2]), LARGE, 24, "600MB", True)
