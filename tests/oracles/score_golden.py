"""Log-likelihoods of SALMon's and StoryCloze's recordings and texts by transformers, and decisions by the rules of the benchmarks, which
are written down here anew.

    python -m venv VENV && VENV/bin/pip install torch==2.2.2 transformers==4.45.2 'numpy<2' 'safetensors<0.5'
    TEST_SCORES=FOLDER build/cpu/tests/test_eval_score_golden
    VENV/bin/python tests/oracles/score_golden.py golden FOLDER       (writes tests/golden/scores/scores.json)
    TEST_SCORES=FOLDER TEST_SCORE_ITEMS=500 build/cpu/tests/test_eval_score_golden
    VENV/bin/python tests/oracles/score_golden.py check FOLDER

FOLDER holds what the test program made: archives (salmon/, pieces/, whole/), one random Llama (model/), ids.jsonl with the ids of every recording
and text, and in out_*/ what our tasks made of them. The ids are looked up by the names of the files; which files are a pair, which
side is right and who wins is found out here, from the names alone. `check` holds our samples to 1e-4 of transformers in float64 and our
accuracies to those worked out here.
"""
import json
import math
import pathlib
import re
import sys

import torch
from transformers import LlamaForCausalLM

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden" / "scores"
mode, folder = sys.argv[1], pathlib.Path(sys.argv[2])
model = LlamaForCausalLM.from_pretrained(folder / "model", torch_dtype=torch.float64, attn_implementation="eager").eval()
sequences = {}
for line in (folder / "ids.jsonl").read_text().splitlines():
    which, direction, of, ids, first, context = json.loads(line)
    assert (which, direction, of) not in sequences
    sequences[which, direction, of] = ids, first, context
eos = json.loads((folder / "model" / "config.json").read_text())["eos_token_id"]


def score(key):
    """[sum and number of the context's tokens, of the hypothesis's, EOS included]; the same without EOS for decisions."""
    ids, first, context = sequences[key]
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0]
    steps = torch.log_softmax(logits[:-1], -1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
    scores = {t: float(steps[t - 1]) for t in range(first, len(ids))}
    before = [scores[t] for t in scores if t < context]
    after = [scores[t] for t in scores if t >= context]
    assert ids[-1] == eos
    return [math.fsum(before), len(before), math.fsum(after), len(after)], (scores, ids, context)


# The [Text] and [Speech] tags are given: they have scores, but do not count. Their ids are those behind the text's, before the units'.
def counted(detail, scope, tags):
    scores, ids, context = detail
    return [s for t, s in scores.items() if ids[t] not in tags and t < len(ids) - 1 and (scope == "whole" or t >= context)]


def decide(right, wrong, scope, tags):
    """1, 0.5 or 0 by the mean per token and by the sum; equal ids are equal."""
    a, b = counted(right, scope, tags), counted(wrong, scope, tags)
    if right[1] == wrong[1]:
        return {"acc,token": 0.5, "acc,sum": 0.5}
    return {"acc,token": float(math.fsum(a) / len(a) > math.fsum(b) / len(b)), "acc,sum": float(math.fsum(a) > math.fsum(b))}


def find_tags():
    """The ids of both tags: they are the second token of what begins with BOS and a tag."""
    return {ids[1] for (which, _, _), (ids, _, _) in sequences.items() if which != "salmon"}


def mean(verdicts):
    return {key: sum(v[key] for v in verdicts) / len(verdicts) for key in ("acc,token", "acc,sum")}


def error(verdicts, key):
    m = sum(v[key] for v in verdicts) / len(verdicts)
    return math.sqrt(sum((v[key] - m) ** 2 for v in verdicts) / (len(verdicts) - 1) / len(verdicts))


def with_errors(verdicts):
    return {**mean(verdicts), **{key.replace("acc", "acc_stderr"): error(verdicts, key) for key in ("acc,token", "acc,sum")}}


def pairs_of_salmon():
    """part -> [(number, natural, disturbed)], numbers as numbers."""
    parts = {}
    for path in sorted((folder / "salmon").glob("*/*.wav")):
        number, side = re.fullmatch(r"sample_(\d+)_([01])\.wav", path.name).groups()
        parts.setdefault(path.parent.name, {}).setdefault(int(number), {})[int(side)] = f"{path.parent.name}/{path.name}"
    for pairs in parts.values():
        assert all(set(sides) == {0, 1} for sides in pairs.values())
        numbers = sorted(pairs)
        assert 9 in numbers and 10 in numbers and numbers != list(range(numbers[0], numbers[0] + len(numbers)))
    return {part: [(n, pairs[n][0], pairs[n][1]) for n in sorted(pairs)] for part, pairs in parts.items()}


def stories(which):
    pattern = r"(\w+)_correct\.wav" if which == "pieces" else r"\d+_(\w+)_correct\.wav"
    return [re.fullmatch(pattern, path.name).group(1) for path in (folder / which).glob("*_correct.wav")]


def run():
    tags, tasks = find_tags(), {}
    items, rows, means = {}, {}, []
    for part, pairs in sorted(pairs_of_salmon().items()):
        verdicts = []
        for number, natural, disturbed in pairs:
            (a, right), (b, wrong) = score(("salmon", "s", natural)), score(("salmon", "s", disturbed))
            items[f"{part}/{number}"] = [a, b]
            verdicts.append(decide(right, wrong, "whole", set()))
        rows[f"salmon_{part}"] = with_errors(verdicts)
        means.append(rows[f"salmon_{part}"])
    rows["salmon"] = mean(means)
    for key in ("acc_stderr,token", "acc_stderr,sum"):
        rows["salmon"][key] = math.sqrt(sum(m[key] ** 2 for m in means)) / len(means)
    tasks["out_salmon/salmon"] = {"rows": rows, "items": items}
    for which, directions in (("pieces", ("s", "t", "st", "ts")), ("whole", ("s", "t"))):
        known = {(d, of.split(" ")[0]): of.split(" ")[0] for (w, d, of) in sequences if w == which}
        for direction in directions:
            items, verdicts = {}, []
            for story in stories(which):
                (identity,) = [i for (d, i) in known if d == direction and (i == story or i.endswith("/" + story))]
                (a, right), (b, wrong) = (score((which, direction, f"{identity} {word}")) for word in ("correct", "incorrect"))
                items[identity] = [a, b]
                verdicts.append(decide(right, wrong, "whole" if len(direction) == 1 else "continuation", tags))
            name = f"storycloze_{direction}"
            tasks[f"out_{which}/{name}"] = {"rows": {name: with_errors(verdicts)}, "items": items}
    return tasks


def check(tasks):
    largest, ties, decisions = 0, 0, 0
    for name, task in tasks.items():
        out, file = name.split("/")
        lines = (folder / out / f"samples_{file}.jsonl").read_text().splitlines()[1:]
        assert len(lines) == len(task["items"]), name
        for line in map(json.loads, lines):
            for ours, theirs in zip(line["choices"], task["items"][line["doc_id"]], strict=True):
                for i, segment in enumerate(("context", "hypothesis")):
                    kinds = ours[segment].values()
                    assert sum(k[0] for k in kinds) == theirs[2 * i + 1], (name, line["doc_id"])
                    difference = abs(math.fsum(k[1] for k in kinds) - theirs[2 * i])
                    assert difference <= 1e-4, (name, line["doc_id"], segment, difference)
                    largest = max(largest, difference)
        results = json.loads((folder / out / f"results_{file}.json").read_text())["results"]
        for row, numbers in task["rows"].items():
            for key, value in numbers.items():
                assert abs(results[row][key] - value) <= 1e-12, (name, row, key, results[row][key], value)
                decisions += 1
        print(f"{name}: {len(lines)} items, {task['rows']}")
    print(f"largest difference of a log-likelihood {largest:.2e}; {decisions} numbers equal")


tasks = run()
check(tasks)
if mode == "golden":
    GOLDEN.mkdir(parents=True, exist_ok=True)
    (GOLDEN / "scores.json").write_text(json.dumps(tasks, separators=(",", ":")) + "\n")
