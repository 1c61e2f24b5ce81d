"""Writes speech models in the layout and the full size of Spirit LM's release, with weights from a formula, so that its files can be
tried without having them: HuBERT and the style classifier of 12 layers, the linear quantizer, the VQ-VAE of pitch, and both vocoders of
512 channels. Torch writes them as the release's own files were written.

    python3 tests/oracles/published_tree.py FOLDER [layers [channels]]

Ran with torch 1.13.1 and numpy 1.24. What the small models of tests/golden/speech_models (2 layers, 64 channels) compute is known
from the published implementation; these have the same scales, and each layer more those of the layers before it.
"""
import json
import os
import shutil
import sys
from collections import OrderedDict

import numpy as np
import torch

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "speech_models")


def fill(tag, name, shape, scale, offset):
    """The formula of tests/support/models/formula_weights.h."""
    word = np.uint64
    state = 0xCBF29CE484222325
    for byte in f"{tag}/{name}".encode():
        state = ((state ^ byte) * 0x100000001B3) % 2**64
    with np.errstate(over="ignore"):
        z = word(state) + np.arange(1, int(np.prod(shape)) + 1, dtype=word) * word(0x9E3779B97F4A7C15)
        z = (z ^ (z >> word(30))) * word(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> word(27))) * word(0x94D049BB133111EB)
        z ^= z >> word(31)
    value = (z >> word(40)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)
    return torch.from_numpy((value * np.float32(scale) + np.float32(offset)).reshape(shape))


def tensors(tag):
    with open(os.path.join(GOLDEN, "weights_small.tsv")) as file:
        for line in file:
            fields = line.rstrip("\n").split("\t")
            if fields[0] == tag:
                yield fields[1], [int(n) for n in fields[2].split("x")], float(fields[3]), float(fields[4])


def plain(tag):
    return OrderedDict((name, fill(tag, name, shape, scale, offset)) for name, shape, scale, offset in tensors(tag))


def deepened(tag, layers):
    state = plain(tag)
    for name, shape, scale, offset in tensors(tag):
        if ".layers.1." in name:
            for layer in range(2, layers):
                deeper = name.replace(".layers.1.", f".layers.{layer}.")
                state[deeper] = fill(tag, deeper, shape, scale, offset)
    return state


def widened(tag, factor):
    """A vocoder of `factor` times 64 channels: weight norm makes the scale of a layer that of its g, whatever its width."""
    state = OrderedDict()
    for name, shape, scale, offset in tensors(tag):
        if name.startswith(("conv_pre", "ups", "resblocks", "conv_post")):
            keep_input = name.startswith("conv_pre")
            keep_output = name.startswith("conv_post")
            shape = [n if (axis == 0 and keep_output) or (axis == 1 and keep_input) or n == 1 or axis == 2 else n * factor
                     for axis, n in enumerate(shape)]
        state[name] = fill(tag, name, shape, scale, offset)
    return state


def read_json(name):
    with open(os.path.join(GOLDEN, name)) as file:
        return json.load(file)


def save(folder, name, value):
    path = os.path.join(folder, "speech_tokenizer", name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if isinstance(value, str):
        shutil.copy(os.path.join(GOLDEN, value), path)
    elif name.endswith(".json"):
        with open(path, "w") as file:
            json.dump(value, file, indent=1)
    else:
        torch.save(value, path)


def main():
    folder = sys.argv[1]
    layers = int(sys.argv[2]) if len(sys.argv) > 2 else 12
    channels = int(sys.argv[3]) if len(sys.argv) > 3 else 512
    model = read_json("mhubert_base_25hz.json")
    model["model_cfg"]["encoder_layers"] = layers
    save(folder, "hubert_25hz/mhubert_base_25hz.pt",
         {**model, "dictionaries_symbols": [[str(i) for i in range(500)]], "model_weight": deepened("hubert", layers)})
    save(folder, "hubert_25hz/L11_quantizer_500.pt",
         {"model_cfg": read_json("L11_quantizer_500.json"), "model_weight": plain("quantizer")})
    save(folder, "vqvae_f0_quantizer/config.yaml", "vqvae_f0_quantizer/config.yaml")
    save(folder, "vqvae_f0_quantizer/model.pt", {"model": plain("vqvae")})
    style = read_json("style_encoder_w2v2/config.json")
    style["num_hidden_layers"] = layers
    save(folder, "style_encoder_w2v2/config.json", style)
    save(folder, "style_encoder_w2v2/pytorch_model.bin", deepened("style", layers))
    for name, tag, lists in (("hifigan_spiritlm_base", "hifigan_base", ("speakers.txt", "styles.txt")),
                             ("hifigan_spiritlm_expressive_w2v2", "hifigan_expr", ("speakers.txt",))):
        config = read_json(f"{name}/config.json")
        config["upsample_initial_channel"] = channels
        save(folder, f"{name}/config.json", config)
        save(folder, f"{name}/generator.pt", {"generator": widened(tag, channels // 64)})
        for file in lists:
            save(folder, f"{name}/{file}", f"{name}/{file}")


main()
