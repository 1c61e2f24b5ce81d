"""Makes tests/golden/speech_models/encoder.safetensors and clips.json: what the published reference implementation (torch 2.1.2)
computed on three clips of Debian's pocketsphinx-testdata with the small checkpoints whose weights come from a formula
(tests/support/models/formula_weights.h). This script only selects and rewrites its values.

usage: speech_encoder_values.py SPEECH.npz SPEECH.json FOLDER   (numpy 1.24, safetensors 0.4)

CLIP.conv, .projected, .input, .layer1, .layer2, .style_hidden [frames][channels]; of which every F-th frame and C-th
channel is kept, "F C" in the file's metadata. CLIP.unit_gap, .style_logits.
"""
import json
import sys

import numpy as np
from safetensors.numpy import save_file

NAMES = {"hubert.conv": "conv", "hubert.proj": "projected", "hubert.in": "input", "hubert.1": "layer1",
         "hubert.2": "layer2", "style_hidden": "style_hidden"}
THINNED = {"hubert.conv": 4, "hubert.1": 4, "hubert.2": 2, "style_hidden": 8}  # of the clip that was kept whole

SPARSE = {"style_hidden": "16 16"}  # what the values of the other clips are


def main():
    values, facts = np.load(sys.argv[1]), json.load(open(sys.argv[2]))
    tensors, metadata = {}, {}
    for clip in facts["clips"]:
        for name, short in NAMES.items():
            array = values[f"{clip}.{name}"]
            whole = array.shape[1] >= 512
            step = THINNED.get(name, 1) if whole else 1
            tensors[f"{clip}.{short}"] = np.ascontiguousarray(array[::step])
            metadata[f"{clip}.{short}"] = f"{step} 1" if whole else SPARSE.get(name, "8 16")
        tensors[f"{clip}.unit_gap"] = values[f"{clip}.unit_logit_gap"]
        tensors[f"{clip}.style_logits"] = values[f"{clip}.style_logits"]
    save_file(tensors, sys.argv[3] + "/encoder.safetensors", metadata)
    kept = ("path", "sha256", "samples", "hubert", "pitch", "style", "string_base", "string_expressive", "frames", "blanks")
    clips = {clip: {key: entry[key] for key in kept} for clip, entry in facts["clips"].items()}
    with open(sys.argv[3] + "/clips.json", "w") as file:
        json.dump(clips, file, indent=1)
        file.write("\n")


main()
