"""Makes tests/golden/speech_models/vocoder.safetensors and the vocoders' configurations: what the published reference implementation
(torch 2.1.2) computed from the codes of three clips with the small checkpoints whose weights come from a formula
(tests/support/models/formula_weights.h). This script only selects and rewrites its values.

usage: speech_vocoder_values.py SPEECH.npz CONFIGS FOLDER   (numpy 1.24, safetensors 0.4)

CLIP.base_string, .expr_string, .expr_units, .base_string_spk0: every 7th sample, of all phases of a frame since 7 and 640 have no
common divisor. dur_log.base, .expr: logarithms of durations of goforward.
"""
import os
import shutil
import sys

import numpy as np
from safetensors.numpy import save_file

STEP = 7


def main():
    values, tensors = np.load(sys.argv[1]), {}
    for name in values.files:
        if ".wav." in name:
            tensors[name.replace(".wav.", ".")] = np.ascontiguousarray(values[name].astype(np.float32)[::STEP])
        elif ".dur_log." in name:
            tensors[name] = values[name].astype(np.float32)
    save_file(tensors, sys.argv[3] + "/vocoder.safetensors", {"step": str(STEP)})
    for folder in ("hifigan_spiritlm_base", "hifigan_spiritlm_expressive_w2v2"):
        os.makedirs(os.path.join(sys.argv[3], folder), exist_ok=True)
        for file in os.listdir(os.path.join(sys.argv[2], folder)):
            shutil.copyfile(os.path.join(sys.argv[2], folder, file), os.path.join(sys.argv[3], folder, file))


main()
