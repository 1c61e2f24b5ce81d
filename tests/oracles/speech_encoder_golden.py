"""Makes tests/golden/speech_encoder.safetensors: a small stack of a speech encoder's operations, as wav2vec2 and HuBERT have
them, by PyTorch in float64, with all gradients by autograd, for tests/kernels/test_speech_encoder.c.

Made with Python 3.11 and torch 1.13.0 (Debian 12's python3-torch).

    waveform -> layer_norm over the samples -> conv 1->16 k10 s5, GroupNorm(16, 16), GELU -> conv 16->16 k3 s2, GELU
    -> conv 16->24 k2 s2, GELU -> LayerNorm -> linear 24->32 -> x + GELU(conv k128, 16 groups, padding 64, last dropped)
    -> LayerNorm

Each of the two rows is computed alone, without padding. The gradients are those of the sum of `final` times `gradient`.
Arrays are float32 and laid out as PyTorch has them: weights [outputs][inputs / groups][kernel], rows as [frames][channels]
named by row.
"""
import json
import os
import struct

import torch
import torch.nn.functional as F

TARGET = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "speech_encoder.safetensors")
SAMPLES = (1600, 905)
EPSILON = 1e-5


def rounded(tensor):
    return tensor.float().double()


def normal(*shape, scale=1.0):
    return rounded(torch.randn(*shape, dtype=torch.float64) * scale).requires_grad_()


def make_weights():
    return {
        "conv0.weight": normal(16, 1, 10, scale=0.4),
        "conv0.norm.weight": normal(16),
        "conv0.norm.bias": normal(16),
        "conv1.weight": normal(16, 16, 3, scale=0.2),
        "conv2.weight": normal(24, 16, 2, scale=0.25),
        "features.norm.weight": normal(24),
        "features.norm.bias": normal(24),
        "projection.weight": normal(32, 24, 1, scale=0.2),
        "projection.bias": normal(32),
        "positional.weight": normal(32, 2, 128, scale=0.08),
        "positional.bias": normal(32),
        "final.norm.weight": normal(32),
        "final.norm.bias": normal(32),
    }


def forward(wave, w):
    x = F.layer_norm(wave, wave.shape, eps=EPSILON)
    normalised = x.detach().clone().requires_grad_()
    x = F.conv1d(normalised[None, None], w["conv0.weight"], stride=5)
    x = F.gelu(F.group_norm(x, 16, w["conv0.norm.weight"], w["conv0.norm.bias"], EPSILON))
    x = F.gelu(F.conv1d(x, w["conv1.weight"], stride=2))
    features = F.gelu(F.conv1d(x, w["conv2.weight"], stride=2))[0].T
    x = F.layer_norm(features, (24,), w["features.norm.weight"], w["features.norm.bias"], EPSILON)
    x = F.linear(x, w["projection.weight"][:, :, 0], w["projection.bias"])
    p = F.conv1d(x.T[None], w["positional.weight"], w["positional.bias"], padding=64, groups=16)[..., :-1]
    positional = x + F.gelu(p)[0].T
    final = F.layer_norm(positional, (32,), w["final.norm.weight"], w["final.norm.bias"], EPSILON)
    return normalised, features, positional, final


def write(path, tensors, metadata):
    header, data = {"__metadata__": metadata}, b""
    for name, tensor in sorted(tensors.items()):
        raw = tensor.detach().float().contiguous().numpy().astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def main():
    torch.manual_seed(20240208)
    weights, tensors = make_weights(), {}
    loss = 0
    inputs = []
    for row, samples in enumerate(SAMPLES):
        wave = rounded(torch.randn(samples, dtype=torch.float64) * 0.05 + 0.01)
        normalised, features, positional, final = forward(wave, weights)
        gradient = rounded(torch.randn_like(final))
        loss = loss + (final * gradient).sum()
        inputs.append(normalised)
        tensors.update({f"wave.{row}": wave, f"normalised.{row}": normalised, f"features.{row}": features,
                        f"positional.{row}": positional, f"final.{row}": final, f"gradient.{row}": gradient})
    loss.backward()
    for row, normalised in enumerate(inputs):
        tensors[f"grad.normalised.{row}"] = normalised.grad
    for name, weight in weights.items():
        tensors[name] = weight
        tensors["grad." + name] = weight.grad
    write(TARGET, tensors, {"torch": torch.__version__, "script": "tests/oracles/speech_encoder_golden.py"})


if __name__ == "__main__":
    main()
