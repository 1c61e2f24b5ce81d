"""Makes the golden files of the pitch models, in tests/golden/speech_models:

pitch.safetensors   CLIP.f0, .voiced, .vectors of three clips of Debian's pocketsphinx-testdata, as the published implementation
                    (torch 2.1.2) computed them: f0 with torchfcpe's weights, vectors (every 4th channel of the VQ-VAE encoder's output)
                    with the small checkpoint whose weights come from a formula (tests/support/models/formula_weights.h).
weights_pitch.tsv   more tensors of that formula: a small FCPE and two small VQ-VAEs.
pitch_small.safetensors   what torchfcpe 0.0.4 computes with the one, and this script with the others, written from the definition
                    with torch's convolutions.

expanded.pt         a tensor of one number with strides of 0

usage: pitch_models.py SPEECH.npz WHEEL FOLDER   (torch 1.13.1, numpy 1.24, safetensors 0.4; WHEEL: torchfcpe 0.0.4, unpacked)
"""
import sys

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

import fcpe_reference

LENGTHS = (0, 1, 159, 160, 432, 433, 799, 1199, 1280, 1359, 1360, 5000)
SHIFTED = 365185  # samples: the shortest clip whose resampling is not that of exact integers
TRACK_FRAMES = (1, 11, 12, 25, 97, 301)


def fnv(text):
    h = 0xCBF29CE484222325
    for b in text.encode():
        h = ((h ^ b) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h


def formula(tag, name, shape, scale, offset=0.0):
    count = int(np.prod(shape))
    with np.errstate(over="ignore"):
        z = np.uint64(fnv(tag + "/" + name)) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    v = (z >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)
    return (v * np.float32(scale) + np.float32(offset)).reshape(shape)


class Weights:
    """Tensors of one tag, with a line in the table for each."""

    def __init__(self, tag, lines):
        self.tag, self.lines, self.tensors = tag, lines, {}

    def add(self, name, shape, scale, offset=0.0):
        scale, offset = float(np.float32(scale)), float(np.float32(offset))
        self.lines.append("\t".join((self.tag, name, "x".join(map(str, shape)), repr(scale), repr(offset))))
        self.tensors[name] = torch.from_numpy(formula(self.tag, name, shape, scale, offset))
        return self.tensors[name]

    def convolution(self, name, shape, fan=None):
        self.add(name + ".weight", shape, 1.5 / np.sqrt(fan or shape[1] * shape[2]))
        self.add(name + ".bias", (shape[0] if fan is None else shape[1],), 0.1)


# ---- FCPE ----

FCPE = {"mel": {"sr": 16000, "num_mels": 40, "n_fft": 1024, "win_size": 1024, "hop_size": 160, "fmin": 0, "fmax": 8000},
        "model": {"type": "CFNaiveMelPE", "out_dims": 90, "hidden_dims": 32, "n_layers": 2, "n_heads": 8, "f0_min": 32.7,
                  "f0_max": 1975.5, "use_fa_norm": True, "conv_only": True, "conv_dropout": 0.0, "atten_dropout": 0.0}}


def fcpe_values(wheel, lines, values):
    torchfcpe = fcpe_reference.load(wheel)
    infer, tools = sys.modules["torchfcpe.models_infer"], sys.modules["torchfcpe.tools"]
    weights = Weights("fcpe_small", lines)
    plain = infer.spawn_model(tools.DotDict(FCPE)).state_dict()
    for name, tensor in plain.items():
        shape, fan = tuple(tensor.shape), int(np.prod(tensor.shape[1:]))
        norm = ".norm." in name or name.startswith("norm.") or "input_stack.1" in name or ".net.0." in name
        if name == "gaussian_blurred_cent_mask":
            continue
        if name == "cent_table":
            weights.add(name, shape, 2000, 5000)
        elif name == "output_proj.weight_g":
            weights.add(name, shape, 0.5, 1.5)
        elif name == "output_proj.bias":
            weights.add(name, shape, 1.0, -7.5)
        elif norm:
            weights.add(name, shape, 0.3, 1.0 if name.endswith("weight") else 0.0)
        elif name.endswith("bias"):
            weights.add(name, shape, 0.1)
        else:
            weights.add(name, shape, 1.5 / np.sqrt(fan))
    state = dict(weights.tensors, gaussian_blurred_cent_mask=plain["gaussian_blurred_cent_mask"])
    model = infer.InferCFNaiveMelPE(tools.DotDict(FCPE), state)
    samples = torch.from_numpy(formula("fcpe_small", "samples", (max(LENGTHS),), 0.3))
    for n in LENGTHS:
        clip = samples[:max(n, 1)] if n else torch.zeros(1)
        with torch.no_grad():
            latent = model.model(model.wav2mel(clip[None, :, None], 16000))
            cents = model.model.latent2cents_local_decoder(latent, mask=False)
            values[f"fcpe.{n}.frequency"] = model.model.cent_to_f0(cents)[0, :, 0].numpy()
            values[f"fcpe.{n}.confidence"] = latent.max(-1)[0][0].numpy()
            voiced = (latent.max(-1)[0] > 0.05) & (model.model.cent_to_f0(cents)[..., 0] >= 50)
            length = n // 80 + 1
            f0, uv = torch.zeros(length), torch.ones(length)
            if voiced.any():
                f0, uv = model.infer(clip[None, :, None], 16000, threshold=0.05, f0_min=50, f0_max=1100, interp_uv=True,
                                     output_interp_target_length=length, retur_uv=True)
            values[f"fcpe.{n}.f0"], values[f"fcpe.{n}.unvoiced"] = f0.reshape(-1).numpy(), uv.reshape(-1).numpy()
        print(n, "voiced", int(voiced.sum()), "of", latent.shape[1], "least distance to the threshold",
              float((latent.max(-1)[0] - 0.05).abs().min()))
    frames = torch.arange(SHIFTED // 160 + 1, dtype=torch.float32)[None, None]
    values["places"] = F.interpolate(frames, size=SHIFTED // 80 + 1, mode="nearest")[0, 0].numpy().astype(np.int32)
    exact = np.arange(SHIFTED // 80 + 1) * frames.shape[-1] // (SHIFTED // 80 + 1)
    print("places that differ from exact integers:", int((values["places"] != exact).sum()))


# ---- VQ-VAE ----

VQVAES = {
    "vqvae_list": dict(codes=11, width=8, listed=True,
                       encoder=dict(width=6, depth=3, hidden=3, growth=3, cycle=2, scale=3**-0.5, reverse=False,
                                    strides=[3, 2, 2], out=16),
                       decoder=dict(width=5, depth=2, hidden=5, growth=3, cycle=None, scale=1, reverse=True,
                                    strides=[2, 2, 3], out=8)),
    "vqvae_odd": dict(codes=7, width=4, listed=False,
                      encoder=dict(width=4, depth=1, hidden=4, growth=1, cycle=None, scale=1, reverse=False, strides=[3, 3],
                                   out=4),
                      decoder=dict(width=4, depth=3, hidden=8, growth=2, cycle=None, scale=1, reverse=False, strides=[3, 3],
                                   out=4)),
    "vqvae": dict(codes=64, width=128, listed=False,
                  encoder=dict(width=32, depth=4, hidden=32, growth=3, cycle=None, scale=1, reverse=False, strides=[2] * 4,
                               out=128),
                  decoder=dict(width=32, depth=4, hidden=32, growth=3, cycle=None, scale=1, reverse=True, strides=[2] * 4,
                               out=128))}


def window(model, stride):
    odd = model["listed"] and stride % 2 == 1
    return 2 * stride + odd, stride // 2 + odd


def blocks(weights, coder, prefix, x):
    for place in range(coder["depth"]):
        power = coder["depth"] - 1 - place if coder["reverse"] else place
        dilation = coder["growth"] ** (power % coder["cycle"] if coder["cycle"] else power)
        name = f"{prefix}.model.{place}.model"
        h = F.conv1d(F.relu(x), weights[name + ".1.weight"], weights[name + ".1.bias"], padding=dilation, dilation=dilation)
        h = F.conv1d(F.relu(h), weights[name + ".3.weight"], weights[name + ".3.bias"])
        x = x + coder["scale"] * h
    return x


def encode(model, weights, x):
    coder, prefix = model["encoder"], "encoder.level_blocks.0.model"
    for i, stride in enumerate(coder["strides"]):
        x = F.conv1d(x, weights[f"{prefix}.{i}.0.weight"], weights[f"{prefix}.{i}.0.bias"], stride=stride,
                     padding=window(model, stride)[1])
        x = blocks(weights, coder, f"{prefix}.{i}.1", x)
    last = f"{prefix}.{len(coder['strides'])}"
    x = F.conv1d(x, weights[last + ".weight"], weights[last + ".bias"], padding=1)
    return x[:, :model["width"]] + x[:, model["width"]:] if coder["out"] == 2 * model["width"] else x


def decode(model, weights, x):
    coder, prefix = model["decoder"], "decoder.level_blocks.0.model"
    x = F.conv1d(x, weights[prefix + ".0.weight"], weights[prefix + ".0.bias"], padding=1)
    for i, stride in enumerate(coder["strides"]):
        x = blocks(weights, coder, f"{prefix}.{i + 1}.0", x)
        x = F.conv_transpose1d(x, weights[f"{prefix}.{i + 1}.1.weight"], weights[f"{prefix}.{i + 1}.1.bias"], stride=stride,
                               padding=window(model, stride)[1])
    return F.conv1d(x, weights["decoder.out.weight"], weights["decoder.out.bias"], padding=1)


def make_weights(tag, model, lines):
    weights = Weights(tag, lines)
    for part, prefix in (("encoder", "encoder.level_blocks.0.model"), ("decoder", "decoder.level_blocks.0.model")):
        coder = model[part]
        width, count, shift = coder["width"], len(coder["strides"]), part == "decoder"
        if shift:
            weights.convolution(prefix + ".0", (width, coder["out"], 3))
        for i, stride in enumerate(coder["strides"]):
            kernel = window(model, stride)[0]
            for d in range(coder["depth"]):
                name = f"{prefix}.{i + shift}.{1 - shift}.model.{d}.model"
                weights.convolution(name + ".1", (coder["hidden"], width, 3))
                weights.convolution(name + ".3", (width, coder["hidden"], 1))
            if shift:
                out = coder["out"] if i == count - 1 else width
                weights.convolution(f"{prefix}.{i + 1}.1", (width, out, kernel), fan=width * 2)
            else:
                weights.convolution(f"{prefix}.{i}.0", (width, 2 if i == 0 else width, kernel))
        if shift:
            weights.convolution("decoder.out", (2, coder["out"], 3))
        else:
            weights.convolution(f"{prefix}.{count}", (coder["out"], width, 3))
    weights.add("vq.level_blocks.0.k", (model["codes"], model["width"]), 1.0)
    return weights.tensors


def published_weights(path):
    tensors = {}
    for line in open(path):
        tag, name, shape, scale, offset = line.rstrip("\n").split("\t")
        if tag == "vqvae":
            shape = tuple(map(int, shape.split("x")))
            tensors[name] = torch.from_numpy(formula(tag, name, shape, float(scale), float(offset)))
    return tensors


def vqvae_values(folder, lines, values):
    for tag, model in VQVAES.items():
        published = tag == "vqvae"
        weights = published_weights(folder + "/weights_small.tsv") if published else make_weights(tag, model, lines)
        codebook = weights["vq.level_blocks.0.k"]
        for frames in () if published else TRACK_FRAMES:
            f0 = formula(tag, "f0", (frames,), 80, 160)
            voiced = formula(tag, "voiced", (frames,), 1) > 0
            shifted = np.where(f0 != 0, f0 - (f0[voiced].astype(np.float64).mean() if voiced.any() else 0), 0)
            x = torch.from_numpy(np.stack((shifted.astype(np.float32), voiced.astype(np.float32))))[None]
            sizes, length = [], frames
            for stride in model["encoder"]["strides"]:
                kernel, padding = window(model, stride)
                length = (length + 2 * padding - kernel) // stride + 1 if length + 2 * padding >= kernel and length > 0 else 0
                sizes.append(length)
            if length == 0:
                continue
            with torch.no_grad():
                vectors = encode(model, weights, x)[0].T
                distances = ((vectors[:, None] - codebook[None]) ** 2).sum(-1)
            codes = distances.argmin(-1)
            two = distances.sort(-1)[0]
            print(tag, frames, "frames", len(codes), "codes, the least gap", float((two[:, 1] - two[:, 0]).min()))
            values[f"{tag}.{frames}.vectors"] = vectors.numpy()
            values[f"{tag}.{frames}.codes"] = codes.numpy().astype(np.int32)
        count = 5
        codes = (formula(tag, "codes", (count,), 1) * 0.5 + 0.5) * model["codes"]
        codes = torch.from_numpy(np.minimum(codes, model["codes"] - 1).astype(np.int64))
        with torch.no_grad():
            values[f"{tag}.decoder.codes"] = codes.numpy().astype(np.int32)
            values[f"{tag}.decoder.channels"] = decode(model, weights, codebook[codes].T[None])[0].T.contiguous().numpy()


def main():
    speech, wheel, folder = sys.argv[1:]
    published, lines, values = np.load(speech), [], {}
    save_file({f"{clip}.{new}": published[f"{clip}.{old}"] for clip in ("goforward", "cards005", "austen0870")
               for old, new in (("f0", "f0"), ("vuv", "voiced"), ("vq_z", "vectors"))}, folder + "/pitch.safetensors")
    fcpe_values(wheel, lines, values)
    vqvae_values(folder, lines, values)
    save_file({name: np.ascontiguousarray(value) for name, value in values.items()}, folder + "/pitch_small.safetensors")
    torch.save({"model": {"encoder.level_blocks.0.model.0.0.weight": torch.ones(1).expand(6, 2, 7)}}, folder + "/expanded.pt")
    with open(folder + "/weights_pitch.tsv", "w") as file:
        file.write("\n".join(lines) + "\n")


main()
