"""Prompts and their ids in tests/golden/text: those on which sentencepiece, LlamaTokenizer and AutoTokenizer agree.

    pip install transformers==4.45.2 sentencepiece "protobuf<6"    (one environment; in another: "transformers>=5")
    python tests/oracles/tokenizer_golden.py train
    cmake --build --preset cpu --target test_text_tokenizer_json
    (cd build/cpu && SPIRITLM_TOKENIZER_OUTPUT=/tmp/tokenizers tests/test_text_tokenizer_json)
    python tests/oracles/tokenizer_golden.py check /tmp/tokenizers --write     with 4.45.2
    python tests/oracles/tokenizer_golden.py check /tmp/tokenizers             with 5

`train` makes golden/text/text.model from the documents of this tree. The C test writes what a checkpoint holds, for two
vocabularies, from that model or from the one that SPIRITLM_TOKENIZER_MODEL names. `check` encodes the prompts with all
programs, ends with an error where two differ, and with --write stores ids and the SHA-256 of the files that gave them.
Left out: BOS, EOS and UNK spelled out in a text, which transformers takes for the token and sentencepiece does not.
--count N and --seed N try other prompts (without --write).
"""
import argparse
import glob
import hashlib
import json
import os
import random
import sys

import sentencepiece

here = os.path.dirname(os.path.abspath(__file__))
golden = os.path.join(here, "..", "golden", "text")
VOCABULARIES = {"base": (501, 0, 0, False), "expressive": (501, 64, 100, True)}
FILES = ["tokenizer.model", "tokenizer.json", "tokenizer_config.json"]


def documents():
    paths = sorted(glob.glob(os.path.join(here, "..", "..", "docs", "*.md")))
    return "\n".join(open(path, encoding="utf-8").read() for path in paths)


def train():
    os.makedirs(golden, exist_ok=True)
    lines = [line for line in documents().split("\n") if line.strip()]
    lines += ["naïve café, Ærøskøbing; Zürich", "Привет, мир", "日本語の文字", "     indented", "        deep", "-" * 20] * 5
    with open(os.path.join(golden, "text.model"), "wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=file, vocab_size=1000, model_type="bpe", byte_fallback=True,
            remove_extra_whitespaces=False, normalization_rule_name="identity", num_threads=1,
            self_test_sample_size=0)


class Prompts:
    """Texts with and without tags, near misses of tags, odd white space, many scripts, runs of one letter."""

    def __init__(self, seed, counts, pieces):
        self.random = random.Random(seed)
        self.hu, self.pi, self.st, self.tasks = counts
        self.words = documents().split()
        self.pieces = pieces

    def unit(self):
        stream, count = self.random.choice(
            [entry for entry in (("Hu", self.hu), ("Hu", self.hu), ("Pi", self.pi), ("St", self.st)) if entry[1]])
        return f"[{stream}{self.random.randrange(count)}]"

    def near_miss(self):
        return self.random.choice([
            f"[Hu{self.hu}]", "[Hu007]", "[Hu]", "[hu5]", "[Text", "Text]", "[ Speech]", "[Pi64]", "[Pi3]", "[St100]",
            "[Hu12", "[[Text]]", "[Text][", "]", "[Hu-1]", "[Hu1000]", "[Hu12 ]", "[ASR]", "[TTS]", "[Hu٣]", "[pad]"])

    def word(self):
        letter = self.random.choice("aeo -=.▁\n1é日")
        return self.random.choice([
            self.random.choice(self.words), self.random.choice(self.words), self.random.choice(self.words),
            self.random.choice(self.pieces), self.random.choice(self.pieces).replace("▁", " "), self.near_miss(),
            letter * self.random.randrange(1, 30), "".join(chr(self.random.choice(
                [0x41, 0xE0, 0x3B1, 0x430, 0x5D0, 0x627, 0x905, 0x3042, 0x4E00, 0xAC00, 0x1F600, 0x10400, 0x301, 0x200D]
            ) + self.random.randrange(20)) for _ in range(self.random.randrange(1, 8))),
            self.random.choice(["\n", "\t", "\r\n", "\u00a0", "\u2028", "\ufeff", "\u3000", "\x01", "\x7f", "\u2581"]),
            f"<0x{self.random.randrange(256):02X}>", "<", "0x0A>"])

    def text(self):
        space = self.random.choice([" ", " ", " ", "", "  "])
        words = space.join(self.word() for _ in range(self.random.choice([1, 1, 2, 5, 12])))
        return self.random.choice(["", "", " ", "   "]) + words + self.random.choice(["", "", " ", "\n"])

    def prompt(self):
        parts = []
        for _ in range(self.random.choice([1, 2, 3, 4, 8])):
            kind = self.random.randrange(6)
            if kind == 0:
                parts.append("[Text]" + self.text())
            elif kind == 1:
                parts.append("[Speech]" + "".join(self.unit() for _ in range(self.random.randrange(1, 12))))
            elif kind == 2:
                parts.append(self.text())
            elif kind == 3:
                parts.append(self.random.choice(["[Text]", "[Speech]", self.unit()]))
            elif kind == 4:
                parts.append("[Text]" + self.random.choice(self.pieces))
            else:
                parts.append("[Speech]" + self.unit() + "[Text]" + self.text())
        return "".join(parts)


def digest(folder):
    return {name: hashlib.sha256(open(os.path.join(folder, name), "rb").read()).hexdigest() for name in FILES}


def encoders(folder):
    import transformers

    processor = sentencepiece.SentencePieceProcessor(model_file=os.path.join(folder, "tokenizer.model"))
    auto = transformers.AutoTokenizer.from_pretrained(folder)
    print(transformers.__version__, type(auto).__name__, len(auto), "tokens")
    assert not [token for token in auto.get_added_vocab() if token.startswith("[")]
    made = {"sentencepiece": lambda text: [processor.bos_id()] + processor.encode(text), "AutoTokenizer": auto.encode}
    if int(transformers.__version__.split(".")[0]) < 5:  # in 5 the class of this name does not read tokenizer.model alone
        slow = transformers.LlamaTokenizer.from_pretrained(folder, use_fast=False)
        assert not [token for token in slow.get_added_vocab() if token.startswith("[")]
        made["LlamaTokenizer"] = slow.encode
        made["AutoTokenizer, use_fast=False"] = transformers.AutoTokenizer.from_pretrained(folder, use_fast=False).encode
    return processor, auto, made


def check(arguments):
    rows, hashes, failed = [], {}, 0
    for name, counts in VOCABULARIES.items():
        folder = os.path.join(arguments.folder, name)
        processor, auto, made = encoders(folder)
        size = processor.get_piece_size()
        hashes[name] = digest(folder)
        pieces = [processor.id_to_piece(i) for i in range(size) if not processor.is_control(i)
                  and not processor.is_unknown(i)]
        for token in range(size):
            assert auto.convert_ids_to_tokens(token) == processor.id_to_piece(token), token
        prompts = Prompts(arguments.seed + len(rows), counts, pieces)
        taken = 0
        while taken < arguments.count // len(VOCABULARIES):
            text = prompts.prompt()
            if any(special in text for special in ("<s>", "</s>", "<unk>")):
                continue
            taken += 1
            results = {encoder: encode(text) for encoder, encode in made.items()}
            expected = results["sentencepiece"]
            for encoder, ids in results.items():
                if ids != expected:
                    failed += 1
                    if failed <= 10:
                        print(name, encoder, repr(text), "\n ", processor.id_to_piece(ids), "\n ",
                              processor.id_to_piece(expected))
            if auto.decode(expected, skip_special_tokens=True, clean_up_tokenization_spaces=False) != \
                    processor.decode(expected):
                failed += 1
                print(name, "decode", repr(text)) if failed <= 10 else None
            rows.append({"vocabulary": name, "text": text, "ids": expected[1:]})
    print(len(rows), "prompts,", failed, "differences")
    path = os.path.join(golden, "prompts.json")
    if arguments.write and not failed:
        with open(path, "w", encoding="utf-8") as file:
            file.write('{"files": ' + json.dumps(hashes) + ',\n"prompts": [\n')
            file.write(",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]}\n")
    sys.exit(1 if failed else 0)


parser = argparse.ArgumentParser()
parser.add_argument("command", choices=["train", "check"])
parser.add_argument("folder", nargs="?")
parser.add_argument("--write", action="store_true")
parser.add_argument("--count", type=int, default=1000)
parser.add_argument("--seed", type=int, default=1)
options = parser.parse_args()
train() if options.command == "train" else check(options)
