"""Byte-level BPE models and the ids that Hugging Face's tokenizers gives, in tests/golden/byte_bpe; and comparisons with it.

    pip install tokenizers==0.20.3 gguf==0.19.0 numpy       (written with these; `compare` and `export` ran with 0.23.3 too)
    apt-get install bible-kjv
    python tests/oracles/byte_bpe_golden.py golden
    cmake --build --preset cpu --target test_text_byte_bpe
    python tests/oracles/byte_bpe_golden.py compare build/cpu/tests/test_text_byte_bpe SmolLM2-135M-Instruct.Q4_1.gguf
    python tests/oracles/byte_bpe_golden.py export build/cpu/tests/test_text_byte_bpe SmolLM2-135M-Instruct.Q4_1.gguf

`golden` trains a small model for each pre-tokenizer, one of them without pieces for many bytes and one with holes among its
ids and with words that only ignore_merges finds, and stores 8 bytes of the SHA-256 of each text's ids, and of the places where
its words end.

`compare` builds a tokenizer from the vocabulary and merges of a GGUF file, without added tokens, for each pre-tokenizer,
lets the test program cut and encode the same texts (100,000 random ones and a real one), and ends with an error at any
difference between words or ids.
Random texts hold any code point, assigned or not; what a newer library takes for a letter or number and Unicode 14 does not
know is left out there (with 0.20.3 nothing is).

`export` lets the test program write a checkpoint's tokenizer.json for the GGUF file's model with tags and units, and holds
AutoTokenizer's ids of prompts in which they are spelled out against those of the parts (needs transformers).
"""
import argparse
import gzip
import hashlib
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import unicodedata

import tokenizers
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

here = os.path.dirname(os.path.abspath(__file__))
golden = os.path.join(here, "..", "golden", "byte_bpe")
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
          r"\s+(?!\S)|\s+")
PRE_TOKENIZERS = {
    "gpt-2": lambda: pre_tokenizers.ByteLevel(add_prefix_space=False),
    "smollm": lambda: pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]),
    "llama-bpe": lambda: pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
         pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]),
}
SPACES = [" ", "  ", "   ", "\t", "\n", "\r", "\r\n", "\n\n", " \n", "\n ", "\v", "\f", "\x85", "\xa0", "\u1680", "\u2000",
          "\u2003", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\u200b", "\ufeff", "\x1c", "\x1f", "\u180e"]
APOSTROPHES = ["'s", "'S", "'t", "'T", "'re", "'RE", "'rE", "'ve", "'Ve", "'m", "'M", "'ll", "'LL", "'lL", "'d", "'D", "'",
               "''", "'\u017f", "'\u017fe", "\u2019s", "'x", "'r", "'l", "'v", "'\u212a", "'st", "'\ufb05", "'l\u017f"]
WORDS = ["the", "The", " the", "God", " LORD", "banana", " world", "naïve", "Ærø", "Привет", " мир", "日本語", "한국어", "ไทย",
         "हिन्दी", "العربية", "x86", "a1b2", "e\u0301", "Å", "\u0130", "ß", "ﬁ", "x²", "½", "Ⅷ", "一二三", "๑๒๓", "١٢٣", "१२३",
         "\U0001d7d8\U0001d7d9", "😀", "👩‍👩‍👧", "🇬🇧", "❤️", "...", "!?", "--", "#$%", "_a_", "<|endoftext|>", "[Text]",
         "[Hu12]", "0", "12", "123", "1234", "3.14", "1,000", "\U0001d2c0\U0001d2c1"]


class Texts:
    def __init__(self, seed, left_out=frozenset()):
        self.random = random.Random(seed)
        codes = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000 and code not in left_out]
        by_category = {}
        for code in codes:
            by_category.setdefault(unicodedata.category(chr(code)), []).append(code)
        self.codes = codes
        self.by_category = by_category
        self.categories = sorted(by_category)
        self.words = [word for word in WORDS if left_out.isdisjoint(map(ord, word))]
        self.assigned = [code for code in codes if unicodedata.category(chr(code)) not in ("Cn", "Co")]

    def part(self):
        draw = self.random
        kind = draw.randrange(10)
        if kind == 0:
            return chr(draw.choice(self.codes))
        if kind <= 2:
            return chr(draw.choice(self.assigned))
        if kind <= 4:
            return chr(draw.choice(self.by_category[draw.choice(self.categories)]))
        if kind == 5:
            first = draw.randrange(len(self.assigned))
            return "".join(chr(self.assigned[(first + draw.randrange(40)) % len(self.assigned)])
                           for _ in range(draw.randint(1, 6)))
        if kind == 6:
            return draw.choice(SPACES)
        if kind == 7:
            return draw.choice(APOSTROPHES)
        if kind == 8:
            return draw.choice(self.words)
        return "".join(chr(draw.randrange(0x20, 0x7F)) for _ in range(draw.randint(1, 8)))

    def text(self):
        return "".join(self.part() for _ in range(self.random.choice([1, 2, 3, 5, 8, 12])))


def put_texts(path, texts):
    with open(path, "wb") as file:
        for text in texts:
            data = text.encode("utf-8")
            file.write(struct.pack("<I", len(data)) + data)


def without_added_tokens(vocabulary, merges, pre_tokenizer, **options):
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, **options))
    made.pre_tokenizer = PRE_TOKENIZERS[pre_tokenizer]()
    return made


def word_ends(tokenizer, text):
    """The byte at which each word ends: words are spelled with one character per byte."""
    ends, at = [], 0
    for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text):
        at += len(word)
        ends.append(at)
    return ends


def encode(tokenizer, texts):
    return [encoding.ids for encoding in tokenizer.encode_batch(texts, add_special_tokens=False)]


# ---- golden files ----

def bible(passages="gen1:1-rev22:21"):
    return subprocess.run(["bible", passages], capture_output=True, check=True).stdout.decode("ascii", "replace")


def train(name, alphabet):
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = PRE_TOKENIZERS[name]()
    trainer = trainers.BpeTrainer(vocab_size=560, initial_alphabet=alphabet, special_tokens=["<|endoftext|>", "<|pad|>"],
                                  show_progress=False)
    made.train_from_iterator([bible("gen1:1-gen50:26"), "".join(WORDS + SPACES) * 3, " ".join(WORDS * 3)], trainer)
    return json.loads(made.to_str())


def make_models():
    full = pre_tokenizers.ByteLevel.alphabet()
    made = {"gpt-2": train("gpt-2", full), "smollm": train("smollm", []), "llama-bpe": train("llama-bpe", full)}
    # Words that no merge makes, and ids without a piece in between, as in Llama 3's vocabulary behind its pieces.
    llama = made["llama-bpe"]
    vocabulary = llama["model"]["vocab"]
    llama["model"]["ignore_merges"] = True
    for index, word in enumerate(["Ġbanana", "banana", "ĠLORD", "123", "Ñģ"]):
        vocabulary.setdefault(word, 600 + index)
    llama["added_tokens"].append({"id": 700, "content": "<|begin_of_text|>", "single_word": False, "lstrip": False,
                                  "rstrip": False, "normalized": False, "special": True})
    # Pairs, as newer versions of the library write merges.
    made["gpt-2"]["model"]["merges"] = [pair.split(" ") if isinstance(pair, str) else pair
                                        for pair in made["gpt-2"]["model"]["merges"]]
    for name in ("smollm", "llama-bpe"):
        made[name]["model"]["merges"] = [pair if isinstance(pair, str) else " ".join(pair)
                                         for pair in made[name]["model"]["merges"]]
    return made


def write_gguf(path, file):
    import gguf
    import numpy
    model = file["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].get)
    special = {token["content"] for token in file["added_tokens"]}
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(pieces)
    writer.add_token_types([3 if piece in special else 1 for piece in pieces])
    writer.add_token_merges(model["merges"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_add_bos_token(False)
    writer.add_tensor("none", numpy.zeros(1, numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_golden(arguments):
    os.makedirs(golden, exist_ok=True)
    texts = ["", " ", "\n"] + WORDS + SPACES + APOSTROPHES
    texts += [a + b for a in ("a", " a", "1", "!", " ", "") for b in SPACES + APOSTROPHES]
    texts += [a + b + c for a in SPACES[:14] for b in SPACES[:14] for c in ("a", "!")]
    texts += [a + "!" + b + c for a in ("", "a", " ", "  ", "\n") for b in SPACES[:14] for c in ("", "a", "!")]
    generator = Texts(1)
    texts += [generator.text() for _ in range(2500)]
    put_texts(os.path.join(golden, "texts.bin"), texts)
    for name, file in make_models().items():
        with open(os.path.join(golden, name + ".json"), "w", encoding="utf-8") as out:
            json.dump(file, out, ensure_ascii=False, indent=0)
        model = file["model"]
        merges = [tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in model["merges"]]
        tokenizer = without_added_tokens(model["vocab"], merges, name, ignore_merges=model.get("ignore_merges", False))
        with open(os.path.join(golden, name + ".ids"), "wb") as out:
            for ids in encode(tokenizer, texts):
                out.write(hashlib.sha256(struct.pack(f"<{len(ids)}i", *ids)).digest()[:8])
        with open(os.path.join(golden, name + ".words"), "wb") as out:
            for text in texts:
                ends = word_ends(tokenizer, text)
                out.write(hashlib.sha256(struct.pack(f"<{len(ends)}i", *ends)).digest()[:8])
        if name == "smollm":
            write_gguf(os.path.join(golden, name + ".gguf"), file)
    print(f"tokenizers {tokenizers.__version__}: {len(texts)} texts, "
          f"{sum(os.path.getsize(os.path.join(golden, name)) for name in os.listdir(golden))} bytes")


# ---- comparisons ----

def read_gguf(path):
    import gguf
    fields = gguf.GGUFReader(path).fields
    texts = {key: [bytes(fields["tokenizer.ggml." + key].parts[index]).decode("utf-8")
                   for index in fields["tokenizer.ggml." + key].data] for key in ("tokens", "merges")}
    return ({piece: index for index, piece in enumerate(texts["tokens"])},
            [tuple(line.split(" ")) for line in texts["merges"]])


def program_ids(program, model, texts, folder):
    environment = dict(os.environ, SPIRITLM_BYTE_BPE_MODEL=model, SPIRITLM_BYTE_BPE_TEXTS=folder + "/texts",
                       SPIRITLM_BYTE_BPE_IDS=folder + "/ids", SPIRITLM_BYTE_BPE_WORDS=folder + "/words")
    put_texts(folder + "/texts", texts)
    subprocess.run([program], env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    data, at, ids = open(folder + "/ids", "rb").read(), 0, []
    while at < len(data):
        count, = struct.unpack_from("<I", data, at)
        ids.append(list(struct.unpack_from(f"<{count}i", data, at + 4)))
        at += 4 + 4 * count
    return ids


def newer_than_unicode_14():
    """What this library takes for letters and numbers and Unicode 14 (Python's unicodedata) has not assigned; for its step
    "Digits", Unicode 15's numbers are known too."""
    if unicodedata.unidata_version != "14.0.0":
        sys.exit(f"expected a Python with Unicode 14.0.0, found {unicodedata.unidata_version}")
    letters = pre_tokenizers.Split(Regex(r"[\p{L}\p{N}]"), "removed")
    digits = pre_tokenizers.Digits(individual_digits=True)
    of_15 = {*range(0x11F50, 0x11F5A), *range(0x1D2C0, 0x1D2D4), *range(0x1E4F0, 0x1E4FA)}
    newer = set()
    for code in range(0x110000):
        if 0xD800 <= code < 0xE000 or unicodedata.category(chr(code)) != "Cn":
            continue
        if not letters.pre_tokenize_str(chr(code)) or (
                code not in of_15 and len(digits.pre_tokenize_str(f"a{chr(code)}a")) == 3):
            newer.add(code)
    return newer


def real_texts(path):
    if not path:
        return bible().split("\n")
    opened = gzip.open if path.endswith(".gz") else open
    return opened(path, "rb").read().decode("utf-8", "replace").split("\n")


def compare_words(name, tokenizer, texts, path):
    found = memoryview(open(path, "rb").read()).cast("i")
    at, wrong, words = 0, 0, 0
    for text in texts:
        expected = word_ends(tokenizer, text)
        words += len(expected)
        size, ends = len(text.encode("utf-8")), []
        while size and (not ends or ends[-1] < size):
            ends.append(found[at])
            at += 1
        if ends != expected:
            wrong += 1
            if wrong <= 5:
                print(f"  {text[:200]!r}\n    expected words up to {expected[:40]}\n    found    {ends[:40]}")
    print(f"{name:10} {words} words, {wrong} texts are cut otherwise")
    return wrong + (at != len(found))


def compare(arguments):
    vocabulary, merges = read_gguf(arguments.gguf)
    newer = newer_than_unicode_14()
    generator = Texts(arguments.seed, newer)
    texts = [generator.text() for _ in range(arguments.count)]
    real = real_texts(arguments.text)
    texts += real + ["\n".join(real)]
    print(f"tokenizers {tokenizers.__version__}, {len(newer)} code points left out: {arguments.count} random texts, "
          f"{len(real)} lines of a real one, and all of it ({len(texts[-1])} characters) as one")
    differences = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in PRE_TOKENIZERS:
            for ignore_merges in (False, True):
                tokenizer = without_added_tokens(vocabulary, merges, name, ignore_merges=ignore_merges)
                tokenizer.save(folder + "/tokenizer.json")
                expected = encode(tokenizer, texts)
                runs = [folder + "/tokenizer.json"]
                if name == "smollm" and not ignore_merges:
                    runs.append(arguments.gguf)
                for model in runs:
                    found = program_ids(arguments.program, model, texts, folder)
                    wrong = [index for index in range(len(texts)) if found[index] != expected[index]]
                    print(f"{name:10} ignore_merges {ignore_merges!s:5} {os.path.basename(model):40} "
                          f"{sum(map(len, expected))} ids, {len(wrong)} texts differ")
                    for index in wrong[:5]:
                        print(f"  {texts[index][:200]!r}\n    expected {expected[index][:40]}\n    found    {found[index][:40]}")
                    differences += len(wrong)
                if not ignore_merges:
                    differences += compare_words(name, tokenizer, texts, folder + "/words")
    sys.exit(1 if differences else 0)


def export(arguments):
    from transformers import AutoTokenizer
    import transformers
    vocabulary, merges = read_gguf(arguments.gguf)
    parts = without_added_tokens(vocabulary, merges, "smollm")
    generator = Texts(arguments.seed, newer_than_unicode_14())
    draw, failed, compared = random.Random(arguments.seed), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ, SPIRITLM_BYTE_BPE_MODEL=arguments.gguf, SPIRITLM_BYTE_BPE_EXPORT=folder)
        subprocess.run([arguments.program], env=environment, check=True)
        for kind, counts in {"base": (501, 0, 0, False), "expressive": (501, 64, 100, True)}.items():
            tags = ["[Text]", "[Speech]"] + [f"[{stream}{unit}]" for stream, count in zip(("Hu", "Pi", "St"), counts)
                                             for unit in range(count)] + (["[ASR]", "[TTS]"] if counts[3] else [])
            ids_of = {tag: len(vocabulary) + index for index, tag in enumerate(tags)}
            tokenizer = AutoTokenizer.from_pretrained(os.path.join(folder, kind))
            for _ in range(arguments.count):
                pieces = [draw.choice(tags) if draw.randrange(2) else generator.text() for _ in range(draw.randint(1, 9))]
                joined = [pieces[0]]  # neighbouring texts are one text
                for piece in pieces[1:]:
                    if piece in ids_of or joined[-1] in ids_of:
                        joined.append(piece)
                    else:
                        joined[-1] += piece
                if any(name in text and text not in ids_of for text in joined for name in ("<|", "[Text]", "[Hu12]")):
                    continue  # transformers finds control pieces and tags in a text, which is not meant here
                compared += 1
                expected = [i for piece in joined for i in
                            ([ids_of[piece]] if piece in ids_of else parts.encode(piece, add_special_tokens=False).ids)]
                found = tokenizer("".join(joined))["input_ids"]
                if found != expected:
                    failed += 1
                    print(f"{kind}: {joined!r}\n  expected {expected}\n  found    {found}")
            print(f"{kind}: transformers {transformers.__version__}, {len(tokenizer)} pieces, bos {tokenizer.bos_token}, "
                  f"eos {tokenizer.eos_token}; so far {failed} of {compared} prompts differ")
    sys.exit(1 if failed else 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=["golden", "compare", "export"])
    parser.add_argument("program", nargs="?")
    parser.add_argument("gguf", nargs="?")
    parser.add_argument("--count", type=int, default=100000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--text", help="a real text (.gz or plain); default: the Bible of Debian's package bible-kjv")
    arguments = parser.parse_args()
    {"golden": write_golden, "compare": compare, "export": export}[arguments.action](arguments)


if __name__ == "__main__":
    main()
