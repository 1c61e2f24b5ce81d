"""Accuracies of STSP in tests/golden/generation_tasks/stsp_scores.json: of predictions that are complete, and of a whole evaluation whose
every generation and judgement is planned here.

    python tests/oracles/stsp_scores_golden.py                          (needs nothing but Python; written with 3.11.7)

    judge   {"reference", "predictions": texts of the two files, "n", "acc", "stderr", "confusion": [3][3] by the prompt's and the
            predicted sentiment: negative, neutral, positive}
    means   {"right": [items][seeds], "value", "stderr"}, seeds of an item being one cluster
    task    of the archive in prompts.json, without examples, with the seeds 0, 1, 2: "replies": what the model says to an item, one
            text after the other over all seeds and tries, and "rows": the numbers of the results

A text's label is itself if it is one of TEXT, else TEXT[bytes % 4]. A recording's is SPEECH[k % 7], where k is 1000 times its first sample,
rounded; the last of these means that the judge heard nothing. Standard errors are s / sqrt(n) with n - 1 in s."""
import json
import math
import os
import random

here = os.path.dirname(os.path.abspath(__file__))
folder = os.path.join(here, "..", "golden", "generation_tasks")
NAMES = ["negative", "neutral", "positive"]
OF = {"happy": 2, "amused": 2, "sad": 0, "angry": 0, "default": 1, "neutral": 1, "negative": 0, "positive": 2}
TEXT = ["negative", "Neutral", "positive", "HAPPY"]
SPEECH = ["happy", "sad", "angry", "default", "amused", "neutral", None]
SEEDS = 3
draw = random.Random(6)


def mean(values):
    return sum(values) / len(values) if values else None


def error(values):
    if len(values) < 2:
        return None
    m = mean(values)
    return math.sqrt(sum((v - m) ** 2 for v in values) / (len(values) - 1) / len(values))


# ---- predictions ----

def judge_case(number):
    pool = [-2 ** 63, -2 ** 63 + 1, 2 ** 63 - 1, 2 ** 63 - 2, 2 ** 53, 2 ** 53 + 1, 2 ** 53 - 1, -2 ** 53, -2 ** 53 - 1, 0, -1, 7, "007", "a b/c",
            "\u00e9", "e\u0301", "", " ", "9223372036854775808", "1e3", "-0", "\"q\""]
    count = [1, 2, 3, len(pool)][number] if number < 4 else draw.randrange(4, 120)
    ids = pool[:count] if number == 3 else draw.sample(pool, min(count, 10))
    while len(ids) < count:
        identity = draw.randrange(-2 ** 63, 2 ** 63)
        ids += [i for i in (identity, identity + 1) if i < 2 ** 63 and i not in ids]
    draw.shuffle(ids)
    references, predictions, right = [], [], []
    confusion = [[0] * 3 for _ in range(3)]
    for identity in ids:
        label = draw.choice(list(OF))
        row = {"id": identity, "wav_path": "a.wav"}
        if label in ("negative", "positive"):
            row["sentiment"] = label
        else:
            row["emotion"] = label
            if draw.random() < 0.5:
                row["sentiment"] = NAMES[OF[label]]
        references.append(row)
        predicted = draw.choice(list(OF)) if draw.random() < 0.5 else label
        predictions.append({"id": str(identity) if draw.random() < 0.3 else identity, "generation": "x",
                            "pred": draw.choice([predicted, predicted.upper(), predicted.title()])})
        confusion[OF[label]][OF[predicted]] += 1
        right.append(float(OF[label] == OF[predicted]))
    draw.shuffle(predictions)
    text = ["".join(json.dumps(row, ensure_ascii=draw.random() < 0.5) + draw.choice(["\n", "\r\n", "\n\n"]) for row in rows)
            for rows in (references, predictions)]
    return {"reference": text[0], "predictions": text[1].rstrip("\n"), "n": len(ids), "acc": mean(right), "stderr": error(right),
            "confusion": confusion}


def means_case():
    items, seeds = draw.randrange(1, 40), draw.randrange(1, 5)
    right = [[draw.randrange(2) for _ in range(seeds)] for _ in range(items)]
    clusters = [mean(row) for row in right]
    return {"right": right, "value": mean(clusters), "stderr": error(clusters)}


# ---- a whole evaluation ----

def text_label(text):
    return OF[(text if text in TEXT else TEXT[len(text.encode()) % 4]).lower()]


def speech_label(thousandths):
    label = SPEECH[thousandths % 7]
    return 3 if label is None else OF[label]


def generation(direction, true):
    """What is said at each try, and the judged sentiment, which is the prompt's more often than not; 3: none."""
    if direction[2] == "t":
        text = draw.choice([TEXT[true]] * 5 + TEXT + ["so be it", "", "no"])
        return [text], text_label(text)
    said = []
    while True:
        unit = draw.choice([[1, 5, 0][true], draw.randrange(14)])
        said.append(draw.choice([f"[Hu{unit}]", f"[Hu{unit}][Hu3]", ""]))
        if said[-1]:
            return said, speech_label(unit)
        if len(said) == 3:
            return said, 3


def row(value, stderr, n, **more):
    return {"acc,none": value, "acc_stderr,none": stderr, "sample_len": n, **more}


def confusion_of(pairs):
    table = {name: {other: 0 for other in NAMES + ["failed"]} for name in NAMES}
    for true, judged in pairs:
        table[NAMES[true]][(NAMES + ["failed"])[judged]] += 1
    return table


def binomial(values):
    p, n = mean(values), len(values)
    return math.sqrt(p * (1 - p) / (n - 1)) if n > 1 else None


def combined(parts):
    """The mean of independent numbers."""
    errors = [part[1] for part in parts]
    return mean([part[0] for part in parts]), None if None in errors else math.sqrt(sum(e * e for e in errors)) / len(parts)


def rows_of(direction, sets, judged):
    """`judged`: {set: [items][seeds]}; with the numbers of the direction as a whole."""
    head = f"stsp_dev_{direction}_0"
    right = {name: [[float(j == true) for j in judged[name][i]] for i, (_, true) in enumerate(items)] for name, items in sets.items()}
    rows, parts = {}, []
    for name in sets:
        clusters = [mean(values) for values in right[name]]
        parts.append((mean(clusters), error(clusters)))
        rows[f"{head}_{name}"] = row(*parts[-1], len(clusters), failures=sum(j == 3 for values in judged[name] for j in values),
                                     lost_shots=0)
    whole = combined(parts)
    pairs = [(true, j) for name, items in sets.items() for i, (_, true) in enumerate(items) for j in judged[name][i]]
    n = sum(len(items) for items in sets.values())
    rows[head] = row(*whole, n, confusion=confusion_of(pairs), failures=sum(j == 3 for _, j in pairs), lost_shots=0)
    for seed in range(SEEDS):
        own = [[values[seed] for values in right[name]] for name in sets]
        failures = sum(values[seed] == 3 for name in sets for values in judged[name])
        rows[f"{head}_seed_{seed}"] = row(*combined([(mean(values), binomial(values)) for values in own]), n, failures=failures,
                                          lost_shots=0)
    for number, name in enumerate(NAMES):
        own = [mean(right[s][i]) for s, items in sets.items() for i, (_, true) in enumerate(items) if true == number]
        rows[f"{head}_{name}"] = row(mean(own), error(own), len(own), failures=sum(true == number and j == 3 for true, j in pairs))
    return rows, whole, n


def task():
    with open(os.path.join(folder, "prompts.json"), encoding="utf-8") as file:
        archive = json.load(file)
    files = {"expresso_read": "expresso/expresso_read", "emov": "emov/emov", "expresso_asr": "expresso/expresso_asr"}
    manifests = {name: [json.loads(line) for line in archive["files"][f"top/manifest/{path}.dev.jsonl"].split("\n") if line.strip()]
                 for name, path in files.items()}
    rows, replies, directions, total = {}, {}, [], 0
    for direction in ("s2s", "s2t", "t2s", "t2t"):
        names = ["expresso_read", "emov"] if direction[0] == "s" else ["expresso_asr"]
        sets = {name: [(item["id"], OF[item["emotion"]]) for item in manifests[name]] for name in names}
        judged, retries, replies[direction] = {}, 0, {}
        for name, items in sets.items():
            judged[name] = []
            for identity, true in items:
                outcomes = [generation(direction, true) for _ in range(SEEDS)]
                replies[direction][f"{name}/{identity}"] = [text for said, _ in outcomes for text in said]
                judged[name].append([label for _, label in outcomes])
                retries += sum(len(said) - 1 for said, _ in outcomes)
        made, whole, n = rows_of(direction, sets, judged)
        made[f"stsp_dev_{direction}_0"]["retries"] = retries
        rows.update(made)
        directions.append(whole)
        total += n
    failures = sum(rows[f"stsp_dev_{direction}_0"]["failures"] for direction in replies)
    rows["stsp_dev_mean_of_directions_0"] = row(*combined(directions), total, failures=failures, lost_shots=0)
    for name, items in manifests.items():
        pairs = []
        for item in items:
            label = (text_label(item["asr"]) if name == "expresso_asr" else
                     speech_label(round(archive["clips"]["top/data/" + item["wav_path"]][0][0] / 32768 * 1000)))
            pairs.append((OF[item["emotion"]], label))
        right = [float(true == label) for true, label in pairs]
        rows[f"stsp_dev_topline_{name}"] = row(mean(right), binomial(right), len(right), confusion=confusion_of(pairs),
                                                failures=sum(label == 3 for _, label in pairs))
    return {"replies": replies, "rows": rows}


made = {"judge": [judge_case(i) for i in range(24)], "means": [means_case() for _ in range(40)], "task": task()}
with open(os.path.join(folder, "stsp_scores.json"), "w", encoding="utf-8") as file:
    json.dump(made, file, indent=1)
    file.write("\n")
