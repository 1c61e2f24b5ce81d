"""tests/golden/text/text.gguf: the SentencePiece model tests/golden/text/text.model as llama.cpp's converter puts one into GGUF; and
tests/golden/text_llama/: one random Llama of one layer with that text model, as model.gguf (f16) and in Meta's layout (7b/, the
tokenizer one folder up).

    text_gguf_golden.py

Run with Python 3.11, torch 1.13.1, numpy 1.24, gguf 0.19.0, sentencepiece 0.2.3. The keys are those that convert_hf_to_gguf.py writes for a Llama with a
tokenizer.model: tokens, scores, types, and the ids of the special pieces; add_space_prefix only where a tokenizer_config.json
says so, which LLaMA-2's does not. text.gguf has no tensors.
"""
import json
import pathlib
import shutil

import gguf
import numpy as np
import sentencepiece
import torch

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden" / "text"

PIECES, WIDTH, HEADS = 1000, 16, 2
INNER = 48  # 2/3 of 4 x 16, rounded up to a multiple of 8
NAMES = {"tok_embeddings": "token_embd", "output": "output", "norm": "output_norm", "attention_norm": "attn_norm",
         "ffn_norm": "ffn_norm", "wq": "attn_q", "wk": "attn_k", "wv": "attn_v", "wo": "attn_output", "w1": "ffn_gate",
         "w2": "ffn_down", "w3": "ffn_up"}


def kind(model, piece):
    for holds, name in ((model.IsUnknown, "UNKNOWN"), (model.IsControl, "CONTROL"), (model.IsUnused, "UNUSED"),
                        (model.IsByte, "BYTE")):
        if holds(piece):
            return gguf.TokenType[name]
    return gguf.TokenType.NORMAL


def add_text_model(writer):
    model = sentencepiece.SentencePieceProcessor(str(GOLDEN / "text.model"))
    ids = range(model.vocab_size())
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([model.IdToPiece(i).encode() for i in ids])
    writer.add_token_scores([model.GetScore(i) for i in ids])
    writer.add_token_types([kind(model, i) for i in ids])
    writer.add_bos_token_id(model.bos_id())
    writer.add_eos_token_id(model.eos_id())
    writer.add_unk_token_id(model.unk_id())
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)


def write(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def random_llama():
    """Meta's names, shapes and order of rotary rows; numbers that f16 holds."""
    torch.manual_seed(12)
    shapes = {"tok_embeddings.weight": (PIECES, WIDTH), "output.weight": (PIECES, WIDTH), "norm.weight": (WIDTH,),
              "layers.0.attention_norm.weight": (WIDTH,), "layers.0.ffn_norm.weight": (WIDTH,)}
    shapes |= {f"layers.0.attention.{name}.weight": (WIDTH, WIDTH) for name in ("wq", "wk", "wv", "wo")}
    shapes |= {f"layers.0.feed_forward.{name}.weight": (INNER, WIDTH) for name in ("w1", "w3")}
    shapes["layers.0.feed_forward.w2.weight"] = (WIDTH, INNER)
    return {name: (torch.randn(shape) * 0.2 if len(shape) == 2 else torch.ones(shape)).half() for name, shape in shapes.items()}


def write_llama(folder):
    weights = random_llama()
    (folder / "7b").mkdir(parents=True, exist_ok=True)
    torch.save(weights, folder / "7b" / "consolidated.00.pth")
    (folder / "7b" / "params.json").write_text(json.dumps(dict(
        dim=WIDTH, multiple_of=8, n_heads=HEADS, n_layers=1, norm_eps=1e-5, vocab_size=-1)))
    shutil.copy(GOLDEN / "text.model", folder / "tokenizer.model")
    writer = gguf.GGUFWriter(folder / "model.gguf", "llama")
    writer.add_block_count(1)
    writer.add_context_length(4096)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(PIECES)
    add_text_model(writer)
    for name, weight in weights.items():  # llama.cpp has Meta's order of rows
        parts = name.removesuffix(".weight").split(".")
        name = f"blk.0.{NAMES[parts[-1]]}.weight" if parts[0] == "layers" else NAMES[parts[0]] + ".weight"
        values = weight.numpy()
        writer.add_tensor(name, values if values.ndim == 2 else values.astype(np.float32))
    write(writer)


def main():
    writer = gguf.GGUFWriter(GOLDEN / "text.gguf", "llama")
    add_text_model(writer)
    write(writer)
    write_llama(GOLDEN.parent / "text_llama")


main()
