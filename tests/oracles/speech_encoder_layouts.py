"""Makes tests/golden/speech_models/small: small random encoders, three of them in several layouts of files, and what transformers'
HubertModel and Wav2Vec2Model compute with them, in float64, for tests/models/test_encoder_layouts.c.

Made with Python 3.11, torch 1.13.1, transformers 4.45.2, safetensors 0.4.

post    HuBERT: group norm, norms after; as pytorch_model.bin (weight_g), model.safetensors (parametrizations), the release's and
        fairseq's files of PyTorch (cfg; args in the stream format)
first   wav2vec 2.0 with a head: layer norms, biases, norms first, normalised input; as pytorch_model.bin and fairseq's file
plain   HuBERT: group norm with biases, an odd positional kernel, no norm before the projection, another epsilon
style   wav2vec 2.0 with a head for sequence classification, and the logits of each 50 frames as Spirit LM's style classifier
        finds them: tests/models/test_style_classifier.c
"""
import argparse
import json
import os
import sys
import types

import numpy as np
import torch
import transformers
from safetensors.torch import save_file

TARGET = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "speech_models", "small")
SAMPLES = (1600, 905, 333)
SMALL = dict(conv_dim=[12, 16, 16], conv_kernel=[10, 3, 2], conv_stride=[5, 2, 2], num_feat_extract_layers=3,
             hidden_size=24, num_hidden_layers=2, num_attention_heads=4, intermediate_size=40,
             num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4)
EXPRESSION = "[(12,10,5)] + [(16, 3, 2)]*1 +[(16,2,2),] * 1"
FAIRSEQ = [(".conv_layers.0.layer_norm.", ".conv_layers.0.2."), (".conv.weight", ".0.weight"), (".conv.bias", ".0.bias"),
           ("feature_projection.layer_norm", "layer_norm"), ("feature_projection.projection", "post_extract_proj"),
           ("encoder.pos_conv_embed.conv", "encoder.pos_conv.0"), (".attention.", ".self_attn."),
           (".feed_forward.intermediate_dense", ".fc1"), (".feed_forward.output_dense", ".fc2")]


def randomise(model):
    for name, parameter in model.named_parameters():
        scale = 1.0 if parameter.dim() > 1 else 0.3
        values = torch.randn_like(parameter) * scale / max(1.0, parameter[0].numel()) ** 0.5
        if "layer_norm" in name and name.endswith("weight"):
            values = values + 1
        if name.endswith("weight_g"):
            values = values.abs() + 1
        parameter.data = values.float()


def fairseq_names(state, layer_norm):
    renamed = {}
    for name, tensor in state.items():
        if name.startswith("feature_extractor") and layer_norm:
            name = name.replace(".layer_norm.", ".2.1.")
        if name.startswith("encoder.layers.") and ".layer_norm." in name and "final" not in name:
            name = name.replace(".layer_norm.", ".self_attn_layer_norm.")
        if name.startswith("encoder.pos_conv_embed"):
            name = name.replace("pos_conv_embed.conv", "pos_conv.0")
        for old, new in FAIRSEQ:
            name = name.replace(old, new)
        renamed[name] = tensor
    return renamed


def fairseq_config(config, expression):
    return {"_name": "hubert", "extractor_mode": "layer_norm" if config.feat_extract_norm == "layer" else "default",
            "encoder_layers": config.num_hidden_layers, "encoder_embed_dim": config.hidden_size,
            "encoder_ffn_embed_dim": config.intermediate_size, "encoder_attention_heads": config.num_attention_heads,
            "activation_fn": "gelu", "layer_type": "transformer", "layer_norm_first": config.do_stable_layer_norm,
            "conv_feature_layers": expression, "conv_bias": config.conv_bias,
            "conv_pos": config.num_conv_pos_embeddings, "conv_pos_groups": config.num_conv_pos_embedding_groups,
            "dropout_input": 0.1, "mask_prob": 0.8, "some_future_key": None}


class Dictionary:  # pickled by its name alone, as fairseq.data.dictionary.Dictionary is
    def __init__(self):
        self.symbols = ["<s>", "<pad>"]


def unknown_object():
    """An instance of a class that no reader has."""
    names = ["fairseq", "fairseq.data", "fairseq.data.dictionary"]
    for name in names:
        sys.modules[name] = types.ModuleType(name)
    Dictionary.__module__ = names[-1]
    sys.modules[names[-1]].Dictionary = Dictionary
    return Dictionary()


def folder(name):
    path = os.path.join(TARGET, name)
    os.makedirs(path, exist_ok=True)
    return path


def save_config(config, path):
    values = {key: value for key, value in config.to_diff_dict().items()}
    values["model_type"] = config.model_type
    with open(os.path.join(path, "config.json"), "w") as file:
        json.dump(values, file, indent=1, sort_keys=True)
        file.write("\n")


def save_preprocessor(path, normalize):
    with open(os.path.join(path, "preprocessor_config.json"), "w") as file:
        json.dump({"do_normalize": normalize, "feature_extractor_type": "Wav2Vec2FeatureExtractor",
                   "sampling_rate": 16000}, file)
        file.write("\n")


def parametrized(state):
    return {name.replace("weight_g", "parametrizations.weight.original0").replace(
        "weight_v", "parametrizations.weight.original1"): tensor.contiguous() for name, tensor in state.items()}


def expected(model, waves, normalize_epsilon, tensors, prefix):
    model = model.double().eval()
    for row, wave in enumerate(waves):
        x = wave.double()
        if normalize_epsilon is not None:
            x = (x - x.mean()) / torch.sqrt(x.var(unbiased=False) + normalize_epsilon)
        with torch.no_grad():
            features = model.feature_extractor(x[None])[0].T
            outputs = model(x[None], output_hidden_states=True)
        tensors[f"{prefix}.{row}.features"] = features.float().contiguous()
        for layer, hidden in enumerate(outputs.hidden_states):
            last = layer + 1 == len(outputs.hidden_states)
            stable = model.config.do_stable_layer_norm
            tensors[f"{prefix}.{row}." + ("last" if last and stable else str(layer))] = hidden[0].float().contiguous()
        if not model.config.do_stable_layer_norm:
            tensors[f"{prefix}.{row}.last"] = outputs.last_hidden_state[0].float().contiguous().clone()


def style(waves):
    """A folder without preprocessor_config.json, as the release has it: samples are normalised."""
    torch.manual_seed(20240209)
    config = transformers.Wav2Vec2Config(**SMALL, num_labels=9, classifier_proj_size=12)
    model = transformers.Wav2Vec2ForSequenceClassification(config)
    randomise(model)
    path = folder("style")
    save_config(config, path)
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, os.path.join(path, "model.safetensors"))
    model, tensors = model.double().eval(), {}
    for row, wave in enumerate(waves):
        x = wave.double()
        x = (x - x.mean()) / torch.sqrt(x.var(unbiased=False) + 1e-7)
        with torch.no_grad():
            hidden = model.projector(model.wav2vec2(x[None]).last_hidden_state[0])
            logits = [model.classifier(hidden[first:first + 50].mean(0)) for first in range(0, len(hidden), 50)]
        tensors[f"logits.{row}"] = torch.stack(logits).float().contiguous()
    save_file(tensors, os.path.join(path, "expected.safetensors"))


def main():
    torch.manual_seed(20240208)
    waves = [torch.randn(samples) * 0.05 + 0.01 for samples in SAMPLES]
    tensors = {f"wave.{row}": wave for row, wave in enumerate(waves)}
    unknown = unknown_object()

    config = transformers.HubertConfig(**SMALL)
    model = transformers.HubertModel(config)
    randomise(model)
    state = {name: tensor for name, tensor in model.state_dict().items()}
    path = folder("post/hf_bin")
    save_config(config, path)
    torch.save(state, os.path.join(path, "pytorch_model.bin"))
    path = folder("post/hf_safetensors")
    save_config(config, path)
    save_file(parametrized(state), os.path.join(path, "model.safetensors"))
    path = folder("post")
    fairseq, cfg = fairseq_names(state, False), fairseq_config(config, EXPRESSION)
    task = {"_name": "hubert_pretraining", "sample_rate": 16000, "normalize": False}
    torch.save({"model_cfg": cfg, "task_cfg": task, "model_weight": fairseq, "dictionaries_symbols": [["a", "b"]]},
               os.path.join(path, "release.pt"))
    torch.save({"args": None, "cfg": {"model": argparse.Namespace(**cfg), "task": task, "common": {"seed": 1}},
                "model": fairseq, "task_state": {"dictionaries": [unknown]}, "optimizer_history": []},
               os.path.join(path, "fairseq_cfg.pt"))
    torch.save({"args": argparse.Namespace(**cfg, **{k: v for k, v in task.items() if k != "_name"}), "model": fairseq},
               os.path.join(path, "fairseq_args.pt"), _use_new_zipfile_serialization=False)
    expected(model, waves, None, tensors, "post")

    config = transformers.Wav2Vec2Config(**SMALL, feat_extract_norm="layer", conv_bias=True, do_stable_layer_norm=True,
                                         vocab_size=7)
    model = transformers.Wav2Vec2ForCTC(config)
    randomise(model)
    path = folder("first/hf")
    save_config(config, path)
    save_preprocessor(path, True)
    torch.save(model.state_dict(), os.path.join(path, "pytorch_model.bin"))
    path = folder("first")
    task = {"_name": "audio_pretraining", "sample_rate": 16000, "normalize": True}
    torch.save({"args": None, "cfg": {"model": fairseq_config(config, EXPRESSION), "task": task},
                "model": fairseq_names(model.wav2vec2.state_dict(), True)}, os.path.join(path, "fairseq_cfg.pt"))
    expected(model.wav2vec2, waves, 1e-7, tensors, "first")
    tensors["first.fairseq.0.last"] = None
    with torch.no_grad():
        x = waves[0].double()
        x = (x - x.mean()) / torch.sqrt(x.var(unbiased=False) + 1e-5)
        tensors["first.fairseq.0.last"] = model.wav2vec2(x[None]).last_hidden_state[0].float().contiguous()

    plain = dict(SMALL, num_conv_pos_embeddings=15)
    config = transformers.HubertConfig(**plain, conv_bias=True, feat_proj_layer_norm=False, layer_norm_eps=1e-3)
    model = transformers.HubertModel(config)
    randomise(model)
    path = folder("plain/hf")
    save_config(config, path)
    save_preprocessor(path, False)
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, os.path.join(path, "model.safetensors"))
    expected(model, waves, None, tensors, "plain")

    save_file(tensors, os.path.join(TARGET, "expected.safetensors"))
    style(waves)


if __name__ == "__main__":
    main()
