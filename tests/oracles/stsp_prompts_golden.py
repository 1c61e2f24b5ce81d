"""Toy archives of STSP, LibriSpeech and Fluent Speech Commands, and the ids of every prompt that is made of them, in
tests/golden/generation_tasks/prompts.json.

    pip install sentencepiece==0.2.1 "protobuf<6"                (written with these, Python 3.11.7)
    python tests/oracles/stsp_prompts_golden.py

Nothing of this tree is used but golden/text/text.model: the strings are put together here from what the benchmarks' descriptions say,
and sentencepiece encodes them, with tags and units as user-defined pieces behind those of the text model. Rows of examples are drawn
by the order of SHA-256 digests: of seed and row (two little-endian 64-bit numbers) for STSP, of seed and id for the corpora.

A recording is a list of [value, samples]: int16 samples that keep a value for so long. Its units are read off the samples: of the value
v at the beginning of each unit's time, hubert is v % 501, pitch v // 7 % 64 and style v // 11 % 100, at 25, 12.5 and 1 per second; units
that are not whole at the end are left out, but for style. Runs of equal hubert and of equal pitch units are one; the streams are merged by time, style
before pitch before hubert.

    clips        member of the archive: its recording
    files        member: its text
    vocabularies base and expressive: cases, each {"task", "direction", "shots", "seed", "limit", "context", "drawn": [ids of
                 examples], "items": [["SET/ID", lost examples, [ids], ids of the item alone at the end]]}
"""
import csv
import fractions
import hashlib
import io
import json
import os
import random
import struct

import sentencepiece
import sentencepiece.sentencepiece_model_pb2 as proto

here = os.path.dirname(os.path.abspath(__file__))
golden = os.path.join(here, "..", "golden")
VOCABULARIES = {"base": (501, 0, 0), "expressive": (501, 64, 100)}
STREAMS = [("Hu", 640, 501, 1), ("Pi", 1280, 64, 7), ("St", 16000, 100, 11)]  # prefix, samples per unit, size, divisor
SENTIMENTS = ["negative", "neutral", "positive"]
EMOTIONS = {"happy": "positive", "amused": "positive", "sad": "negative", "angry": "negative", "default": "neutral", "neutral": "neutral"}
SETS = {"s": [("expresso_read", "expresso/expresso_read"), ("emov", "emov/emov")], "t": [("expresso_asr", "expresso/expresso_asr")]}
LIMITS = {"s2s": 300, "s2t": 50, "t2s": 200, "t2t": 50, "asr": 200, "intent": 30}  # new tokens of the prompt files
draw = random.Random(20)
clips, files = {}, {}


# ---- the tokenizer ----

def tokenizer(counts):
    model = proto.ModelProto()
    with open(os.path.join(golden, "text", "text.model"), "rb") as file:
        model.ParseFromString(file.read())
    names = ["[Text]", "[Speech]"] + [f"[{stream[0]}{i}]" for stream, count in zip(STREAMS, counts) for i in range(count)]
    for name in names:
        model.pieces.add(piece=name, score=0, type=proto.ModelProto.SentencePiece.USER_DEFINED)
    made = sentencepiece.SentencePieceProcessor()
    made.LoadFromSerializedProto(model.SerializeToString())
    return made


# ---- recordings ----

def clip(name, least=1400, most=12000):
    pieces, total, size = [], 0, draw.randrange(least, most)
    while total < size:
        length = min(draw.randrange(200, 2500), size - total)
        pieces.append([draw.randrange(32768), length])
        total += length
    clips[name] = pieces
    return name


def units(samples, counts):
    """The unit string of some samples."""
    tokens = []
    for order, (prefix, hop, size, divisor) in enumerate(STREAMS):
        whole = -(-len(samples) // hop) if prefix == "St" else len(samples) // hop
        last = None
        for i in range(whole if counts[order] else 0):
            unit = samples[i * hop] // divisor % size
            if prefix == "St" or unit != last:
                tokens.append((fractions.Fraction(i * hop, 16000), -order, f"[{prefix}{unit}]"))
            last = unit
    assert any(token[2].startswith("[Hu") for token in tokens)
    return "".join(token[2] for token in sorted(tokens, key=lambda token: token[:2]))


def recording(name, counts, part="whole"):
    samples = [value for value, length in clips[name] for _ in range(length)]
    half = len(samples) // 2
    return units({"whole": samples, "first": samples[:half], "second": samples[half:]}[part], counts)


# ---- texts ----

def sentence(upper=False, words=None):
    pool = ("the a bin model shard writes reads every token of speech and its prompt units are kept in order naïve café it's "
            "don't training which seed").split()
    text = " ".join(draw.choice(pool) for _ in range(words or draw.randrange(2, 12)))
    return text.upper() if upper else text + draw.choice(["", ".", "?", "!", " {answer}", ' "so"', ", {prompt}", "  twice", " "])


def lines(rows, end="\n"):
    return "".join(json.dumps(row, ensure_ascii=draw.random() < 0.5) + end for row in rows)


# ---- STSP ----

def stsp_rows(file, folder, count, identity):
    rows = []
    for i in range(count):
        emotion = draw.choice(list(EMOTIONS))
        row = {"emotion": emotion, "id": identity(i), "split": "dev", "speaker": "s1"}
        if draw.random() < 0.5:
            row["sentiment"] = EMOTIONS[emotion]
        if folder:
            row["wav_path"] = f"{folder}/{file.split('/')[1]}_{i}.wav"
            clip("top/data/" + row["wav_path"])
        if not folder or draw.random() < 0.3:
            row["asr"] = sentence()
        rows.append(row)
    files[f"top/manifest/{file}.dev.jsonl"] = lines(rows, draw.choice(["\n", "\r\n", "\n\n"]))
    return rows


def stsp_examples(direction):
    rows = []
    for i in range(17):
        row = {}
        for key, modality in (("prompt", direction[0]), ("generation", direction[2])):
            row[key] = sentence() if modality == "t" else f"expresso/conversational/{direction}_{i}_{key}.wav"
            if modality == "s":
                clip("top/data/" + row[key], 1400, 5000)
        sentiment = SENTIMENTS[(i * 5 + 1) % 3]
        if i % 2:
            row["sentiment"] = sentiment
        else:
            row["emotion"] = draw.choice([emotion for emotion in EMOTIONS if EMOTIONS[emotion] == sentiment])
        rows.append((row, sentiment))
    files[f"top/manifest/few_shot/{direction}.jsonl"] = lines(row for row, _ in rows)
    return rows


def stsp_drawn(rows, shots, seed):
    chosen = []
    for sentiment in SENTIMENTS:
        own = [i for i, row in enumerate(rows) if row[1] == sentiment]
        own.sort(key=lambda i: hashlib.sha256(struct.pack("<QQ", seed, i)).digest())
        chosen += own[:-(-shots // 3)]
    return chosen


def tagged(modality, content, counts, part="whole"):
    return "[Text]" + content if modality == "t" else "[Speech]" + recording("top/data/" + content, counts, part)


def stsp_prompt(direction, shots, item, counts):
    source, target = direction[0], direction[2]
    tag = {"t": "[Text]", "s": "[Speech]"}[target]
    own = tagged(source, item["asr" if source == "t" else "wav_path"], counts)
    if not shots:  # the item alone, and the output's tag where it is another one
        return own + (tag if source != target else ""), own
    text = "\n".join(tagged(source, row["prompt"], counts, "first") + tagged(target, row["generation"], counts, "second")
                     for row, _ in shots)
    return text + "\n" + own + tag, own


# ---- corpora ----

def shots_drawn(items, count, seed, key):
    order = sorted(items, key=lambda item: hashlib.sha256(struct.pack("<Q", seed) + item["id"].encode()).digest())
    chosen = []
    while len(chosen) < count:
        rest = [item for item in order if item not in chosen]
        chosen.append(max(rest, key=lambda item: key(item, chosen)))  # the first of equal ones
    return chosen


def new(name, item, chosen):
    return all(item[name] != other[name] for other in chosen)


def librispeech():
    items, chapters = [], {}
    for part, speakers, each in (("dev-clean", 13, 2), ("test-clean", 2, 2), ("test-other", 2, 1)):
        for s in range(speakers):
            speaker = f"{draw.randrange(100, 999)}{len(chapters)}"
            chapter = f"LibriSpeech/{part}/{speaker}/7"
            for i in range(each):
                name = f"{speaker}-7-{i:04d}"
                text = sentence(True, draw.choice([1, 2, 5, 8, 12, 13, 20]) if part == "dev-clean" else None)
                chapters.setdefault(f"{chapter}/{speaker}-7.trans.txt", []).append(f"{name} {text}")
                items.append({"id": name, "part": part, "speaker": speaker, "answer": text, "clip": clip(f"{chapter}/{name}.wav")})
    for name, rows in chapters.items():
        files[name] = "".join(row + draw.choice(["\n", "\r\n", "\n\n"]) for row in rows)
    return items


def commands():
    intents = [("activate", "lights", "bedroom"), ("bring", "juice", "none"), ("change language", "Chinese", "none"),
               ("increase", "volume", "none"), ("deactivate", "music", "none"), ("change language", "none", "none")]
    items = []
    for part, count in (("train", 36), ("valid", 4), ("test", 3)):
        table = io.StringIO()
        writer = csv.writer(table)
        writer.writerow(["", "path", "speakerId", "transcription", "action", "object", "location"])
        for i in range(count):
            intent = draw.choice(intents)
            path, speaker = f"wavs/speakers/{part}{i}.wav", f"p{draw.randrange(33)}"
            writer.writerow([i, path, speaker, sentence() + ', "quoted"', *intent])
            items.append({"id": path, "part": part, "speaker": speaker, "answer": " ".join(s for s in intent if s != "none"),
                          "clip": clip("fluent_speech_commands_dataset/" + path, 1400, 4000)})
        files[f"fluent_speech_commands_dataset/data/{part}_data.csv"] = table.getvalue()
    return items


def asr_prompt(shots, item, counts):
    own = "[Speech]" + recording(item["clip"], counts)
    return "".join(f"[Speech]{recording(shot['clip'], counts)}[Text]<START Transcript>{shot['answer'].lower()}<END>"
                   for shot in shots) + own + "[Text]", own


def intent_prompt(shots, item, counts):
    own = "[Speech]" + recording(item["clip"], counts)
    return "".join(f"[Speech]{recording(shot['clip'], counts)}[Text]A:{shot['answer']}\n" for shot in shots) + own + "[Text]A:", own


# ---- cases ----

def encode(text):
    return [processor.bos_id()] + processor.encode(text)


def fitting(make, shots, item, limit, context, counts):
    for kept in range(len(shots), -1, -1):
        ids = encode(make(shots[:kept], item, counts)[0])
        if len(ids) + limit <= context:
            return len(shots) - kept, ids
    return None, ids


def tail(make, item, counts):
    """The ids of an item without the tag of the output and without the dummy prefix: they stand at the end of all of its prompts."""
    ids = encode(make([], item, counts)[1])[1:]
    return ids[1:] if ids[0] == processor.piece_to_id("\u2581") else ids


def case(task, make, shots, items, names, drawn, counts, extra, lost=None):
    """`lost`: the context is that in which some item loses so many examples."""
    limit, context = LIMITS[task], 1 << 20
    if lost is not None:
        context = max(len(encode(make(shots[:len(shots) - lost], item, counts)[0])) for item in items) + limit
    rows = []
    for name, item in zip(names, items):
        missing, ids = fitting(make, shots, item, limit, context, counts)
        rows.append([name, missing, ids, tail(make, item, counts)])
    return {"task": task, "shots": len(shots), "limit": limit, "context": context, "drawn": drawn, "items": rows, **extra}


def stsp_cases(manifests, examples, counts):
    cases = []
    for direction in ("s2s", "s2t", "t2s", "t2t"):
        sets = [(name, row) for name, _ in SETS[direction[0]] for row in manifests[name]]
        names, items = [f"{name}/{row['id']}" for name, row in sets], [row for _, row in sets]
        for wanted, seed, lost in ((0, 0, None), (3, 0, None), (6, 1, None), (9, 2 ** 63 - 1, None), (4, 5, None),
                                   (6, 1, 1), (6, 1, 4), (6, 1, 6)):
            rows = stsp_drawn(examples[direction], wanted, seed)
            made = case(direction, lambda shots, item, counts: stsp_prompt(direction, shots, item, counts),
                        [examples[direction][row] for row in rows], items, names, rows, counts,
                        {"direction": direction, "asked": wanted, "seed": seed}, lost)
            cases.append(made)
    return cases


def corpus_cases(task, make, items, key, counts, wanted):
    cases, shots = [], [item for item in items if not item["part"].startswith("test")]
    tested = sorted((item for item in items if item["part"].startswith("test")), key=lambda item: item["id"])
    for count, seed, lost in wanted:
        drawn = shots_drawn(shots, count, seed, key)
        cases.append(case(task, make, drawn, tested, [item["id"] for item in tested], [item["id"] for item in drawn], counts,
                          {"asked": count, "seed": seed}, lost))
    return cases


def right_length(item):
    return 3 <= len(item["answer"].split()) <= 12


manifests = {"expresso_read": stsp_rows("expresso/expresso_read", "expresso/read", 3, lambda i: 2 ** 53 + i),
             "emov": stsp_rows("emov/emov", "emov", 2, lambda i: [-2 ** 63, "a b/c"][i]),
             "expresso_asr": stsp_rows("expresso/expresso_asr", None, 4, lambda i: 2 ** 63 - 1 - i)}
examples = {direction: stsp_examples(direction) for direction in ("s2s", "s2t", "t2s", "t2t")}
speech, intents = librispeech(), commands()
vocabularies = {}
for name, counts in VOCABULARIES.items():
    processor = tokenizer(counts)
    vocabularies[name] = stsp_cases(manifests, examples, counts)
    vocabularies[name] += corpus_cases("asr", asr_prompt, speech, lambda item, chosen: (new("speaker", item, chosen), right_length(item)), counts,
                                       [(0, 0, None), (3, 0, None), (10, 7, None), (10, 7, 1), (10, 7, 6), (10, 7, 10)])
    vocabularies[name] += corpus_cases("intent", intent_prompt, intents,
                                       lambda item, chosen: (new("speaker", item, chosen), new("answer", item, chosen)), counts,
                                       [(0, 0, None), (3, 1, None), (30, 2, None), (30, 2, 29)])
for made in vocabularies["base"]:
    print(made["task"], made["asked"], made["context"], [row[1] for row in made["items"]], max(len(row[2]) for row in made["items"]))
folder = os.path.join(golden, "generation_tasks")
os.makedirs(folder, exist_ok=True)
with open(os.path.join(folder, "prompts.json"), "w", encoding="utf-8") as file:
    file.write('{"clips": ' + json.dumps(clips, separators=(",", ":")) + ',\n"files": ' + json.dumps(files) + ',\n"vocabularies": {')
    file.write(",\n".join(json.dumps(name) + ": [\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "]"
                          for name, cases in vocabularies.items()) + "}}\n")
