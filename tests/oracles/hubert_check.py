"""HuBERT-base at full size, with random weights, against transformers' HubertModel in float64: clips alone and in one batch.

    python3 tests/oracles/hubert_check.py FOLDER build/cpu/tests/test_models_encoder_layouts

Writes FOLDER/model (377 MB; kept if it is there) and FOLDER/expected.safetensors, and runs the program, which compares. The clips
are Debian's pocketsphinx-testdata and noise of odd lengths. Tried with torch 1.13.1, transformers 4.45.2."""
import json
import os
import subprocess
import sys
import wave

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file

CLIPS = "/usr/share/pocketsphinx/test/data/"


def read(name):
    with open(CLIPS + name, "rb") as file:
        if name.endswith(".raw"):
            data = file.read()
        else:
            with wave.open(file) as sound:
                data = sound.readframes(sound.getnframes())
    return torch.from_numpy(np.frombuffer(data, "<i2").astype(np.float32) / 32768)


def main():
    folder, program = sys.argv[1:3]
    model_folder = os.path.join(folder, "model")
    torch.manual_seed(1)
    model = transformers.HubertModel(transformers.HubertConfig()).eval()
    weights = os.path.join(model_folder, "model.safetensors")
    if os.path.exists(weights):
        model.load_state_dict(load_file(weights))
    else:
        os.makedirs(model_folder, exist_ok=True)
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, weights)
        with open(os.path.join(model_folder, "config.json"), "w") as file:
            json.dump(model.config.to_dict(), file)
    waves = [read("goforward.raw"), read("cards/005.wav"), torch.randn(400) * 0.1, torch.randn(16017) * 0.1,
             torch.cat([torch.zeros(4000), torch.randn(4000) * 0.01])]
    model, tensors = model.double(), {}
    for i, samples in enumerate(waves):
        with torch.inference_mode():
            last = model(samples.double()[None]).last_hidden_state[0].float()
        tensors[f"wave.{i}"], tensors[f"last.{i}"] = samples.clone(), last.clone()
    expected = os.path.join(folder, "expected.safetensors")
    save_file(tensors, expected)
    sys.exit(subprocess.call([program, "--model", model_folder, expected]))


if __name__ == "__main__":
    main()
