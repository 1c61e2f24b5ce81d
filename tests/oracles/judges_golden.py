"""Makes tests/golden/judges: small judges with random weights and what transformers computes with them, in float64, for
tests/eval/test_text_judge.c, test_speech_judge.c and test_recognizer.c.

    venv/bin/python tests/oracles/judges_golden.py

Made with Python 3.11, torch 1.13.1, transformers 4.45.2, tokenizers 0.20.3, safetensors 0.4.

text      RobertaForSequenceClassification with names of emotions; vocab.json and merges.txt, model.safetensors
text_bin  another epsilon, two token types, another id of padding, labels by number; tokenizer.json alone, pytorch_model.bin
speech    Wav2Vec2ForSequenceClassification: norms after, normalised input
weighted  the same: norms first, the weighted sum of all layers, input as it is; pytorch_model.bin
hubert    HubertForSequenceClassification: norms after, the weighted sum of all layers
ctc       Wav2Vec2ForCTC with a Wav2Vec2CTCTokenizer
"""
import json
import os
import shutil
import tempfile

import torch
import transformers
from safetensors.torch import save_file
from speech_encoder_layouts import SMALL, randomise, save_preprocessor
from tokenizers import pre_tokenizers

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.path.join(HERE, "..", "golden", "judges")
TINY_TEXT = dict(hidden_size=15, num_hidden_layers=2, num_attention_heads=3, intermediate_size=22)
TINY = dict(SMALL, conv_dim=[8, 10, 12], hidden_size=16, intermediate_size=20)
MERGES = 120
SAMPLES = (1600, 905, 333, 30, 29)  # the last one is too short for a frame
EMOTIONS = ["Neutral", "HAPPY", "Sad", "Angry", "\u0130lgi", "ΣΑΣ", "very amused"]
TEXTS = ["", " ", "I am so happy today!", "God said, Let there be light: and there was light.", "  two  spaces\n\nand lines\t",
         "naïve Ærø Привет мир 日本語 👩‍👩‍👧 e\u0301", "it's THEY'LL we've 'tis", "12 345 3.14 ½ Ⅷ", "a", "\u200b\ufeff", "!?...",
         "the LORD " * 3, "and the earth was without form, and void; " * 3, "x" * 200, "\U0001d7d8\U0010ffff\ue000",
         "Σίσυφος ΣΑΣ", "\r\n\r\n", "<|endoftext|> [Text][Hu12]", "a\u00a0b\u3000c", "banana " * 40]


def folder(name):
    path = os.path.join(TARGET, name)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def write_json(path, value, indent=None):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, indent=indent, sort_keys=indent is not None)
        file.write("\n")


def save_config(config, architecture, path):
    values = dict(config.to_diff_dict(), model_type=config.model_type, architectures=[architecture])
    values.pop("transformers_version", None)
    write_json(os.path.join(path, "config.json"), values, 1)


def save_weights(model, path, safetensors):
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    if safetensors:
        save_file(state, os.path.join(path, "model.safetensors"))
    else:
        torch.save(state, os.path.join(path, "pytorch_model.bin"))


# ---- texts ----

def roberta_files(path):
    """vocab.json and merges.txt in the manner of RoBERTa, of the pieces of tests/golden/byte_bpe/gpt-2.json."""
    with open(os.path.join(HERE, "..", "golden", "byte_bpe", "gpt-2.json"), encoding="utf-8") as file:
        model = json.load(file)["model"]
    merges = model["merges"][:MERGES]
    pieces = pre_tokenizers.ByteLevel.alphabet()
    pieces = sorted(pieces) + ["".join(pair) for pair in merges]
    pieces = ["<s>", "<pad>", "</s>", "<unk>"] + pieces + ["<mask>"]
    write_json(os.path.join(path, "vocab.json"), {piece: i for i, piece in enumerate(pieces)})
    with open(os.path.join(path, "merges.txt"), "w", encoding="utf-8") as file:
        file.write("#version: 0.2\n" + "".join(" ".join(pair) + "\n" for pair in merges))
    return len(pieces)


def text_cases(model, tokenizer, texts, limit):
    cases = []
    for text in texts:
        whole = tokenizer(text)["input_ids"]
        ids = tokenizer(text, truncation=True, max_length=limit)["input_ids"]
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0]
        cases.append({"text": text, "ids": ids, "truncated": len(ids) < len(whole), "logits": logits.tolist()})
    return cases


def text_judge(name, config, labels, safetensors, legacy):
    path = folder(name)
    with tempfile.TemporaryDirectory() as scratch:
        config.vocab_size = roberta_files(path if legacy else scratch)
        tokenizer = transformers.RobertaTokenizerFast.from_pretrained(path if legacy else scratch)
        if not legacy:
            tokenizer.save_pretrained(scratch)
            for file in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
                shutil.copy(os.path.join(scratch, file), path)
    if labels:
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: i for i, label in enumerate(labels)}
    model = transformers.RobertaForSequenceClassification(config)
    randomise_text(model)
    limit = config.max_position_embeddings - config.pad_token_id - 1
    middle = torch.tensor([case["logits"] for case in text_cases(model.eval(), tokenizer, TEXTS, limit)]).mean(0)
    model.classifier.out_proj.bias.data -= middle  # so that texts differ in their labels
    save_config(config, "RobertaForSequenceClassification", path)
    save_weights(model, path, safetensors)
    cases = text_cases(model.double().eval(), tokenizer, TEXTS, limit)
    write_json(os.path.join(path, "expected.json"), cases)
    pad = config.pad_token_id  # which no text has, and which has no position of its own
    rows = [[0, pad, 20, 21, 2], [0, 20, pad, pad, 21, 22, 2], [pad, 0, 20, 2]]
    with torch.no_grad():
        write_json(os.path.join(path, "padding.json"),
                   [{"ids": ids, "logits": model(torch.tensor([ids]),
                                                 attention_mask=torch.ones(1, len(ids))).logits[0].tolist()} for ids in rows])


def randomise_text(model):
    for name, parameter in model.named_parameters():
        values = torch.randn_like(parameter)
        if parameter.dim() > 1 and "embeddings" not in name:
            values = values * 1.5 / parameter.shape[1] ** 0.5
        elif parameter.dim() == 1:
            values = values * 0.2 + (1 if name.endswith("LayerNorm.weight") else 0)
        parameter.data = values


# ---- speech ----

def normalised(wave, wanted):
    wave = wave.double()
    return (wave - wave.mean()) / torch.sqrt(wave.var(unbiased=False) + 1e-7) if wanted else wave


def speech_judge(name, model, waves, normalize, safetensors):
    path = folder(name)
    randomise(model)
    if model.config.use_weighted_layer_sum:
        model.layer_weights.data = torch.randn_like(model.layer_weights)
    with torch.no_grad():  # so that clips differ in their labels
        model.classifier.bias.data -= torch.stack([model.eval()(normalised(wave, normalize).float()[None]).logits[0]
                                                   for wave in waves[:-1]]).mean(0)
    save_config(model.config, type(model).__name__, path)
    save_preprocessor(path, normalize)
    save_weights(model, path, safetensors)
    model, tensors = model.double().eval(), {}
    for i, wave in enumerate(waves[:-1]):
        with torch.no_grad():
            tensors[f"logits.{i}"] = model(normalised(wave, normalize)[None]).logits[0].float().contiguous()
    save_file(tensors, os.path.join(path, "expected.safetensors"))


def recognizer(waves):
    path = folder("ctc")
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|"] + list("ETAOIN'S")
    write_json(os.path.join(path, "vocab.json"), {letter: i for i, letter in enumerate(letters)})
    tokenizer = transformers.Wav2Vec2CTCTokenizer(os.path.join(path, "vocab.json"), clean_up_tokenization_spaces=False)
    tokenizer.save_pretrained(path)
    config = transformers.Wav2Vec2Config(**TINY, vocab_size=len(letters), pad_token_id=0)
    for seed in range(1000):  # the first that writes something of everything
        torch.manual_seed(seed)
        model = transformers.Wav2Vec2ForCTC(config)
        randomise(model)
        with torch.no_grad():  # so that frames differ in the letters that they choose
            hidden = model.eval().wav2vec2(normalised(waves[0], True).float()[None]).last_hidden_state[0]
            model.lm_head.weight.data *= 4
            model.lm_head.bias.data = -(model.lm_head.weight @ hidden.mean(0))
        texts = texts_of(model, tokenizer, waves[:-1])
        if len(set(texts[0]) & set("ETAOIN'S")) >= 6 and "<unk>" in texts[0] and texts[0].count(" ") > 4:
            break
    save_config(config, "Wav2Vec2ForCTC", path)
    save_preprocessor(path, True)
    save_weights(model, path, True)
    write_json(os.path.join(path, "expected.json"), texts_of(model.double(), tokenizer, waves[:-1]))


def texts_of(model, tokenizer, waves):
    with torch.no_grad():
        return [tokenizer.decode(model.eval()(normalised(wave, True).to(model.dtype)[None]).logits[0].argmax(-1))
                for wave in waves]


def main():
    torch.manual_seed(20240301)
    text_judge("text", transformers.RobertaConfig(**TINY_TEXT, max_position_embeddings=42, type_vocab_size=1,
                                                  layer_norm_eps=1e-5), EMOTIONS, True, True)
    text_judge("text_bin", transformers.RobertaConfig(**dict(TINY_TEXT, hidden_size=12, num_attention_heads=2),
                                                      max_position_embeddings=35, num_labels=3, pad_token_id=3,
                                                      layer_norm_eps=1e-3), None, False, False)
    waves = [torch.randn(samples) * 0.05 + 0.01 for samples in SAMPLES]
    labels = dict(id2label={0: "angry", 1: "Happy", 2: "SAD", 3: "neutral"}, classifier_proj_size=12)
    speech_judge("speech", transformers.Wav2Vec2ForSequenceClassification(
        transformers.Wav2Vec2Config(**TINY, **labels)), waves, True, True)
    speech_judge("weighted", transformers.Wav2Vec2ForSequenceClassification(transformers.Wav2Vec2Config(
        **TINY, **labels, feat_extract_norm="layer", conv_bias=True, do_stable_layer_norm=True,
        use_weighted_layer_sum=True)), waves, False, False)
    speech_judge("hubert", transformers.HubertForSequenceClassification(transformers.HubertConfig(
        **TINY, **labels, use_weighted_layer_sum=True)), waves, True, True)
    recognizer(waves)
    save_file({f"wave.{i}": wave for i, wave in enumerate(waves)}, os.path.join(TARGET, "waves.safetensors"))


if __name__ == "__main__":
    main()
