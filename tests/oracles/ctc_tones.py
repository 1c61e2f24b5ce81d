"""Makes tests/golden/ctc_model: a Wav2Vec2ForCTC that nobody trained, for tests/data/test_align_ctc.c. It names tones: 'a' to 'm' and
the word delimiter are frequencies 450 Hz apart, silence is the blank. So the right path through any sound that a test makes is
known to the frame.

The first convolution has filters under a Hann window of 10 ms at each frequency, in four phases; the second adds up what the GELU
leaves of them over 20 ms; one more channel is constant and remains when all others are silent. The transformer's layer adds nothing,
and its layer norms make of every frame the channel that is loudest.

Made with Python 3.11, numpy 1.24, safetensors 0.4; transformers 4.45.2 and torch 1.13.1 named a test text as it was played.
"""
import json
import os

import numpy as np
from safetensors.numpy import save_file

TARGET = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "ctc_model")
NAMES = ["|"] + list("abcdefghijklm")
CHANNELS, KERNEL, RATE = 16, 160, 16000
CONSTANT = len(NAMES)  # the channel


def frequency(name):
    return 500 + 450 * NAMES.index(name)


def tensors():
    filters = 4 * len(NAMES) + 1
    window = np.hanning(KERNEL + 1)[:KERNEL]
    t = (np.arange(KERNEL) - KERNEL / 2) / RATE
    first, first_bias = np.zeros((filters, 1, KERNEL)), np.zeros(filters)
    second = np.zeros((CHANNELS, filters, 64))
    for i, name in enumerate(NAMES):
        for phase in range(4):
            first[4 * i + phase, 0] = window * np.cos(2 * np.pi * frequency(name) * t + np.pi / 2 * phase) / 40
            second[i, 4 * i + phase] = 1 / 64
    first_bias[-1] = 0.3
    second[CONSTANT, -1] = 1 / 64
    head = np.zeros((len(NAMES) + 1, CHANNELS))
    head[0, CONSTANT] = 3
    for i in range(len(NAMES)):
        head[1 + i, i] = 3
    made = {"wav2vec2.feature_extractor.conv_layers.0.conv.weight": first,
            "wav2vec2.feature_extractor.conv_layers.0.conv.bias": first_bias,
            "wav2vec2.feature_extractor.conv_layers.1.conv.weight": second,
            "wav2vec2.feature_extractor.conv_layers.1.conv.bias": np.zeros(CHANNELS),
            "wav2vec2.feature_projection.projection.weight": np.eye(CHANNELS),
            "wav2vec2.feature_projection.projection.bias": np.zeros(CHANNELS),
            "wav2vec2.encoder.pos_conv_embed.conv.weight_g": np.ones((1, 1, 4)),
            "wav2vec2.encoder.pos_conv_embed.conv.weight_v":
                np.ones((CHANNELS, CHANNELS, 4)),
            "wav2vec2.encoder.pos_conv_embed.conv.bias": np.zeros(CHANNELS),
            "lm_head.weight": head, "lm_head.bias": np.zeros(len(NAMES) + 1)}
    made["wav2vec2.encoder.pos_conv_embed.conv.weight_g"] *= 1e-9
    for norm, width in (("feature_extractor.conv_layers.0.layer_norm", filters),
                        ("feature_extractor.conv_layers.1.layer_norm", CHANNELS),
                        ("feature_projection.layer_norm", CHANNELS), ("encoder.layer_norm", CHANNELS),
                        ("encoder.layers.0.layer_norm", CHANNELS), ("encoder.layers.0.final_layer_norm", CHANNELS)):
        made[f"wav2vec2.{norm}.weight"] = np.ones(width)
        made[f"wav2vec2.{norm}.bias"] = np.zeros(width)
    for linear, shape in (("attention.q_proj", (CHANNELS, CHANNELS)), ("attention.k_proj", (CHANNELS, CHANNELS)),
                          ("attention.v_proj", (CHANNELS, CHANNELS)), ("attention.out_proj", (CHANNELS, CHANNELS)),
                          ("feed_forward.intermediate_dense", (CHANNELS, CHANNELS)),
                          ("feed_forward.output_dense", (CHANNELS, CHANNELS))):
        made[f"wav2vec2.encoder.layers.0.{linear}.weight"] = np.zeros(shape)
        made[f"wav2vec2.encoder.layers.0.{linear}.bias"] = np.zeros(shape[0])
    return {name: np.ascontiguousarray(values, np.float32) for name, values in made.items()}, filters


def main():
    os.makedirs(TARGET, exist_ok=True)
    made, filters = tensors()
    config = dict(model_type="wav2vec2", vocab_size=len(NAMES) + 1, hidden_size=CHANNELS, num_hidden_layers=1,
                  num_attention_heads=4, intermediate_size=CHANNELS, conv_dim=[filters, CHANNELS],
                  conv_kernel=[KERNEL, 64], conv_stride=[5, 64], num_feat_extract_layers=2, feat_extract_norm="layer",
                  conv_bias=True, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=1, pad_token_id=0)
    vocabulary = {"<pad>": 0, **{name: 1 + i for i, name in enumerate(NAMES)}}
    for name, contents in (("config.json", config), ("vocab.json", vocabulary),
                           ("tokenizer_config.json", {"pad_token": "<pad>", "word_delimiter_token": "|"}),
                           ("preprocessor_config.json", {"do_normalize": True, "sampling_rate": RATE})):
        with open(os.path.join(TARGET, name), "w") as file:
            json.dump(contents, file, indent=1, sort_keys=True)
            file.write("\n")
    path = os.path.join(TARGET, "model.safetensors")
    save_file(made, path, metadata={"format": "pt"})
    os.chmod(path, 0o644)


if __name__ == "__main__":
    main()
