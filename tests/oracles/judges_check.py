"""Judges at full size, with random weights, against transformers; and the ids of 100,000 random texts against its tokenizers.

    venv/bin/python tests/oracles/judges_check.py FOLDER build/cpu/tests [roberta-large] [roberta-base] [wav2vec2] [ctc] [ids]

Writes models below FOLDER (1.4 GB for roberta-large; kept if they are there) and what transformers computes with them, in float64, and
runs the test programs, which compare. RoBERTa has a vocabulary of its published size, of which the pieces that real texts have are
trained on the Bible of Debian's package bible-kjv and on the random texts' characters. Clips are Debian's pocketsphinx-testdata and
noise. Tried with torch 1.13.1, transformers 4.45.2, tokenizers 0.20.3."""
import json
import os
import struct
import subprocess
import sys

import torch
import transformers
from byte_bpe_golden import Texts, bible, newer_than_unicode_14, put_texts
from hubert_check import read
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

VOCABULARY = 50265
SIZES = {"roberta-large": dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096),
         "roberta-base": {}}


def make(model, folder):
    os.makedirs(folder, exist_ok=True)
    weights = os.path.join(folder, "model.safetensors")
    if os.path.exists(weights):
        model.load_state_dict(load_file(weights))
    else:
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, weights)
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(dict(model.config.to_dict(), architectures=[type(model).__name__]), file)
    return model.eval().double()


def roberta_tokenizer(folder):
    """vocab.json and merges.txt as RoBERTa's, with as many pieces."""
    os.makedirs(folder, exist_ok=True)
    if not os.path.exists(os.path.join(folder, "merges.txt")):
        made = Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        generator = Texts(7)
        texts = bible().split("\n") + [generator.text() for _ in range(40000)]
        trainer = trainers.BpeTrainer(vocab_size=30000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                      show_progress=False)
        made.train_from_iterator(texts, trainer)
        model = json.loads(made.to_str())["model"]
        pieces = ["<s>", "<pad>", "</s>", "<unk>"] + sorted(model["vocab"], key=model["vocab"].get)
        pieces += [f"madeupword{i:05}" for i in range(VOCABULARY - 1 - len(pieces))] + ["<mask>"]
        with open(os.path.join(folder, "vocab.json"), "w", encoding="utf-8") as file:
            json.dump({piece: i for i, piece in enumerate(pieces)}, file)
        with open(os.path.join(folder, "merges.txt"), "w", encoding="utf-8") as file:
            file.write("#version: 0.2\n")
            file.writelines((pair if isinstance(pair, str) else " ".join(pair)) + "\n" for pair in model["merges"])
    return transformers.RobertaTokenizerFast.from_pretrained(folder)


def check_text(folder, programs, size):
    folder = os.path.join(folder, size)
    tokenizer = roberta_tokenizer(folder)
    config = transformers.RobertaConfig(vocab_size=VOCABULARY, max_position_embeddings=514, type_vocab_size=1,
                                        layer_norm_eps=1e-5, num_labels=7, **SIZES[size])
    torch.manual_seed(1)
    model = transformers.RobertaForSequenceClassification(config)
    for name, parameter in model.named_parameters():  # 0.02 as in training's first step would give logits near 0
        if "classifier" in name and parameter.dim() > 1:
            parameter.data = torch.randn_like(parameter) * 2 / parameter.shape[1] ** 0.5
        elif "embeddings" in name and parameter.dim() > 1:
            parameter.data = parameter.data * 20
    model = make(model, folder)
    generator, verses = Texts(3), bible("matt1:1-matt28:20").split("\n")
    texts = ["", "I am so happy today!"] + [generator.text() for _ in range(4)] + verses[:2] + [
        " ".join(verses[:10]), " ".join(verses[:60])]
    cases = []
    for text in texts:
        text = text.replace("\0", "")
        ids = tokenizer(text, truncation=True, max_length=512)["input_ids"]
        with torch.inference_mode():
            logits = model(torch.tensor([ids])).logits[0]
        cases.append({"text": text, "ids": ids, "truncated": len(ids) < len(tokenizer(text)["input_ids"]),
                      "logits": logits.tolist()})
    with open(os.path.join(folder, "expected.json"), "w", encoding="utf-8") as file:
        json.dump(cases, file)
    print(f"{size}: texts of {[len(case['ids']) for case in cases]} pieces, the first logits {cases[0]['logits']}")
    return subprocess.call([os.path.join(programs, "test_eval_text_judge"), "--model", folder])


def check_ids(folder, programs):
    folder = os.path.join(folder, "ids")
    tokenizer = roberta_tokenizer(folder)
    generator = Texts(11, newer_than_unicode_14() | {0})
    texts = [text for text in (generator.text() for _ in range(100000))
             if not any(token in text for token in tokenizer.all_special_tokens)]
    put_texts(os.path.join(folder, "texts"), texts)
    subprocess.run([os.path.join(programs, "test_eval_text_judge"), "--ids", folder, os.path.join(folder, "texts"),
                    os.path.join(folder, "found")], check=True)
    data, at, wrong, count = open(os.path.join(folder, "found"), "rb").read(), 0, 0, 0
    for first in range(0, len(texts), 1000):
        for text, expected in zip(texts[first:], tokenizer(texts[first:first + 1000])["input_ids"]):
            length, = struct.unpack_from("<I", data, at)
            found = list(struct.unpack_from(f"<{length}i", data, at + 4))
            at += 4 + 4 * length
            count += length
            if found != expected:
                wrong += 1
                if wrong <= 5:
                    print(f"{text!r}\n  expected {expected}\n  found    {found}")
    print(f"ids: {len(texts)} texts, {count} ids, {wrong} texts differ")
    return 1 if wrong or at != len(data) else 0


def clips():
    torch.manual_seed(2)
    return [read("goforward.raw"), read("cards/005.wav"), torch.randn(400) * 0.1, torch.randn(16017) * 0.1,
            torch.cat([torch.zeros(4000), torch.randn(4000) * 0.01])]


def normalised(wave):
    wave = wave.double()
    return ((wave - wave.mean()) / torch.sqrt(wave.var(unbiased=False) + 1e-7))[None]


def check_speech(folder, programs):
    result = 0
    for name, weighted in (("wav2vec2", False), ("wav2vec2-weighted", True)):
        path = os.path.join(folder, name)
        torch.manual_seed(1)
        model = transformers.Wav2Vec2ForSequenceClassification(
            transformers.Wav2Vec2Config(num_labels=8, use_weighted_layer_sum=weighted))
        for layer in (model.projector, model.classifier):
            layer.weight.data = torch.randn_like(layer.weight) / layer.weight.shape[1] ** 0.5
        if weighted:
            model.layer_weights.data = torch.randn_like(model.layer_weights)
        model, tensors = make(model, path), {}
        for i, wave in enumerate(clips()):
            with torch.inference_mode():
                tensors[f"logits.{i}"] = model(normalised(wave)).logits[0].float().clone()
            tensors[f"wave.{i}"] = wave.clone()
        expected = os.path.join(path, "expected.safetensors")
        save_file(tensors, expected)
        result |= subprocess.call([os.path.join(programs, "test_eval_speech_judge"), "--model", path, expected])
    return result


def check_ctc(folder, programs):
    path = os.path.join(folder, "ctc")
    torch.manual_seed(1)
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|"] + list("ETAONIHSRDLUMWCFGYPBVK'XJQZ")
    model = transformers.Wav2Vec2ForCTC(transformers.Wav2Vec2Config(vocab_size=len(letters), pad_token_id=0)).eval()
    waves = clips()
    with torch.inference_mode():  # so that frames differ in the letters that they choose
        hidden = model.wav2vec2(normalised(waves[0]).float()).last_hidden_state[0]
    model.lm_head.weight.data = torch.randn_like(model.lm_head.weight)
    model.lm_head.bias.data = -(model.lm_head.weight.data @ hidden.mean(0).clone())
    model = make(model, path)
    with open(os.path.join(path, "vocab.json"), "w", encoding="utf-8") as file:
        json.dump({letter: i for i, letter in enumerate(letters)}, file)
    tokenizer = transformers.Wav2Vec2CTCTokenizer(os.path.join(path, "vocab.json"), clean_up_tokenization_spaces=False)
    tokenizer.save_pretrained(path)
    texts, margins = [], []
    for wave in waves:
        with torch.inference_mode():
            logits = model(normalised(wave)).logits[0]
        best = logits.topk(2).values
        margins.append(float((best[:, 0] - best[:, 1]).min()))
        texts.append(tokenizer.decode(logits.argmax(-1)))
    with open(os.path.join(path, "expected.json"), "w", encoding="utf-8") as file:
        json.dump(texts, file)
    save_file({f"wave.{i}": wave.clone() for i, wave in enumerate(waves)}, os.path.join(path, "waves.safetensors"))
    print(f"ctc: {texts[0][:60]!r}..., the closest decision by {min(margins):.2g}")
    return subprocess.call([os.path.join(programs, "test_eval_recognizer"), "--model", path,
                            os.path.join(path, "waves.safetensors")])


def main():
    folder, programs = sys.argv[1:3]
    wanted = sys.argv[3:] or ["ids", "ctc", "wav2vec2", "roberta-base", "roberta-large"]
    result = 0
    for what in wanted:
        if what in SIZES:
            result |= check_text(folder, programs, what)
        else:
            result |= {"ids": check_ids, "ctc": check_ctc, "wav2vec2": check_speech}[what](folder, programs)
    sys.exit(result)


main()
