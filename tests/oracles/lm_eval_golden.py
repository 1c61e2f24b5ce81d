"""What lm-evaluation-harness asks a model, and what it makes of the answers: it is run, nothing of it is copied.

    python -m venv VENV && VENV/bin/pip install lm_eval==0.4.13 sentencepiece==0.2.1
    VENV/bin/python tests/oracles/lm_eval_golden.py           (writes tests/golden/lm_eval/golden.tar.gz; Python 3.11.2)

Its data sets lie on the hub; toy ones in their layout take their places: datasets.load_dataset, which the harness calls, is replaced,
and everything behind it (the tasks' own YAML files and templates, samplers, metrics, groups) runs as it is. The model is a
table: it notes what it is asked and answers with random numbers that hang on the question alone, multiples of 1/4 so that
some are equal.

What the archive holds, all of it read by tests/eval/test_lm_eval.c:

mmlu/data/{dev,test}/SUBJECT_{dev,test}.csv   57 subjects, five examples, two to four questions: quotes, line breaks (LF and CRLF), commas,
                                              braces, white space of Unicode at the ends of questions and choices
blimp/data/UID.jsonl                          67 files of two to five pairs
storycloze/all_test.csv                       as its authors send it
prompts/mmlu_{lm_eval,original}.jsonl         [subject, question, shots, prompt]; "original" is the rule of the benchmark's own
                                              program, written down here: two spaces before the subject, nothing stripped
prompts/{blimp,storycloze}.jsonl              [task, row, [[context, continuation, their ids] of each choice]]
scores/TASK.jsonl                             [task, row, answer, [log-likelihood of each choice], [without the context], [texts]]
results/TASK.json                             the harness's results and groups
pairs.jsonl                                   [context, continuation, ids of the context, ids of the continuation]

The ids are what the harness makes of context and continuation over tests/golden/text_llama/tokenizer.model.
"""
import csv
import gzip
import hashlib
import io
import json
import os
import pathlib
import random
import tarfile

os.environ.update(HF_DATASETS_OFFLINE="1", HF_HUB_OFFLINE="1", LMEVAL_LOG_LEVEL="ERROR", TQDM_DISABLE="1")

import datasets  # noqa: E402
import lm_eval  # noqa: E402
import sentencepiece  # noqa: E402
from lm_eval.api.model import LM, TemplateLM  # noqa: E402
from lm_eval.api.task import ConfigurableTask  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
WORDS = ["stone", "river", "12", "na\u00efve", "don't", 'the "x"', "a, b", "\u4e2d\u6587", "{{x}}", "{% if %}", "two\nlines", "cr\r\nlf", "tab\tbed",
         "\U0001f600", "caf\u00e9", "A.", "Answer:", "100 %", "\\n", "<b>", "e\u0301"]
SPACES = ["", "", "", " ", "  ", "\n", "\t", "\u00a0", "\u2003", "\u3000", "\x1f", "\x85", " \r\n "]
files = {}
chance = random.Random(20240607)


def text(least, most, spaces=True):
    words = " ".join(chance.choice(WORDS) for _ in range(chance.randint(least, most)))
    return (chance.choice(SPACES) + words + chance.choice(SPACES)) if spaces else words


def table(rows, header=None):
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator=chance.choice(["\n", "\r\n"]))
    if header:
        writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


class Table(LM):
    """Answers that hang on the question alone."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def loglikelihood(self, requests):
        answers = []
        for request in requests:
            context, continuation = request.args
            number = int.from_bytes(hashlib.sha256((context + "\0" + continuation).encode()).digest()[:4], "little")
            answer = -0.25 * (1 + number % (9 * len(continuation)))
            self.asked.append((request.task_name, request.doc_id, request.idx, context, continuation, answer))
            answers.append((answer, False))
        return answers

    def loglikelihood_rolling(self, requests):
        raise NotImplementedError

    def generate_until(self, requests):
        raise NotImplementedError


# ---- the toy sets ----

manager = TaskManager()
subjects = {}


def make_mmlu():
    names = sorted(path.stem[len("mmlu_"):] for path in
                   (pathlib.Path(lm_eval.__file__).parent / "tasks/mmlu/default").glob("mmlu_*.yaml"))
    assert len(names) == 57
    for name in names:
        splits = {}
        for split, count in (("dev", 5), ("test", chance.choice([2, 2, 3, 4]))):
            rows = [[text(1, 6)] + [text(1, 2) for _ in range(4)] + [chance.choice("ABCD")] for _ in range(count)]
            files[f"mmlu/data/{split}/{name}_{split}.csv"] = table(rows)
            splits[split] = rows
        subjects[name] = splits


def make_blimp():
    sets = {}
    for path in sorted((pathlib.Path(lm_eval.__file__).parent / "tasks/blimp").glob("*.yaml")):
        if path.stem.startswith("_"):
            continue
        rows = [{"sentence_good": text(1, 5), "sentence_bad": text(1, 5)} for _ in range(chance.randint(2, 5))]
        if chance.random() < 0.2:
            rows[0]["sentence_bad"] = rows[0]["sentence_good"]
        sets[path.stem] = rows
        files[f"blimp/data/{path.stem}.jsonl"] = lines(rows)
    assert len(sets) == 67
    return sets


def make_stories():
    header = ["InputStoryid", "InputSentence1", "InputSentence2", "InputSentence3", "InputSentence4", "RandomFifthSentenceQuiz1",
              "RandomFifthSentenceQuiz2", "AnswerRightEnding"]
    rows = [[f"story-{i}"] + [text(1, 4) for _ in range(6)] + [chance.choice("12")] for i in range(40)]
    rows[7][6] = rows[7][5]
    files["storycloze/all_test.csv"] = table(rows, header)
    return rows


make_mmlu()
blimp, stories = make_blimp(), make_stories()


def load_dataset(path, name=None, **_):
    if path == "cais/mmlu":
        return datasets.DatasetDict({split: datasets.Dataset.from_list(
            [{"question": row[0], "subject": name, "choices": row[1:5], "answer": "ABCD".index(row[5])} for row in rows])
            for split, rows in subjects[name].items()})
    if path == "nyu-mll/blimp":
        return datasets.DatasetDict({"train": datasets.Dataset.from_list(blimp[name])})
    if path == "LSDSem/story_cloze":
        rows = datasets.Dataset.from_list([dict(zip(
            ["story_id", "input_sentence_1", "input_sentence_2", "input_sentence_3", "input_sentence_4", "sentence_quiz1",
             "sentence_quiz2", "answer_right_ending"], row[:7] + [int(row[7])])) for row in stories])
        return datasets.DatasetDict({"validation": rows, "test": rows})
    raise KeyError(path)


datasets.load_dataset = load_dataset


# ---- what the harness does with them ----

METRICS = ["acc", "acc_norm", "acc_bytes", "acc_mutual_info"]


def run(tasks, shots, metrics=None, model=None, log_samples=False):
    model = model or Table()
    original = ConfigurableTask.__init__

    def with_metrics(self, *arguments, config=None, **more):
        if metrics:
            config = {**config, "metric_list": [{"metric": m, "aggregation": "mean", "higher_is_better": True} for m in metrics]}
        original(self, *arguments, config=config, **more)

    ConfigurableTask.__init__ = with_metrics
    try:
        results = lm_eval.simple_evaluate(model=model, tasks=tasks, num_fewshot=shots, bootstrap_iters=1000,
                                          task_manager=manager, log_samples=log_samples)
    finally:
        ConfigurableTask.__init__ = original
    return getattr(model, "asked", None), {key: results[key] for key in ("results", "groups", "group_subtasks", "samples") if key in results}


def by_row(asked):
    rows = {}
    for task, row, index, context, continuation, answer in asked:
        rows.setdefault((task, row), {})[index] = (context, continuation, answer)
    return rows


def write_scores(name, rows, choices, answers, texts):
    files[f"scores/{name}.jsonl"] = lines(
        [task, row, answers(task, row), [found[i][2] for i in range(choices)],
         [found[choices + i][2] for i in range(choices)] if len(found) > choices else [], texts(task, row)]
        for (task, row), found in sorted(rows.items()))


def golden_mmlu():
    prompts = []
    for shots in range(6):
        asked, results = run(["mmlu"], shots)
        for (task, row), found in sorted(by_row(asked).items()):
            assert [found[i][1] for i in range(4)] == [" A", " B", " C", " D"] and len({found[i][0] for i in range(4)}) == 1
            prompts.append([task[len("mmlu_"):], row, shots, found[0][0]])
    files["prompts/mmlu_lm_eval.jsonl"] = lines(prompts)
    files["results/mmlu.json"] = json.dumps(results, default=str)  # of five shots
    write_scores("mmlu", by_row(asked), 4, lambda task, row: "ABCD".index(subjects[task[5:]]["test"][row][5]),
                 lambda task, row: list("ABCD"))


def golden_original():
    """The benchmark's own program: format_subject, format_example and gen_prompt of hendrycks/test, from their description."""
    def example(row, answer):
        return row[0] + "".join(f"\n{letter}. {choice}" for letter, choice in zip("ABCD", row[1:5])) + "\nAnswer:" + \
            (f" {row[5]}\n\n" if answer else "")

    rows = []
    for name, splits in sorted(subjects.items()):
        head = "The following are multiple choice questions (with answers) about " + \
            "".join(" " + word for word in name.split("_")) + ".\n\n"
        for row, question in enumerate(splits["test"]):
            for shots in range(6):
                rows.append([name, row, shots, head + "".join(example(r, True) for r in splits["dev"][:shots]) + example(question, False)])
    files["prompts/mmlu_original.jsonl"] = lines(rows)


def golden_others():
    for name, task, answers, texts in (
            ("blimp", "blimp", lambda t, r: 0, lambda t, r: list(blimp[t[len("blimp_"):]][r].values())),
            ("storycloze", "storycloze_2016", lambda t, r: int(stories[r][7]) - 1, lambda t, r: stories[r][5:7])):
        asked, results = run([task], 0, METRICS)
        rows = by_row(asked)
        files[f"prompts/{name}.jsonl"] = lines([t, row, encode([found[i][:2] for i in range(2)])] for (t, row), found in sorted(rows.items()))
        files[f"results/{name}.json"] = json.dumps(results, default=str)
        write_scores(name, rows, 2, answers, texts)


class Encoder(TemplateLM):
    """The harness's cutting of context and continuation, over SentencePiece as transformers' LlamaTokenizer adds BOS to it."""

    backend = "causal"

    def __init__(self):
        super().__init__()
        self.model = sentencepiece.SentencePieceProcessor(str(GOLDEN / "text_llama/tokenizer.model"))
        self.noted = []

    eot_token_id = property(lambda self: self.model.eos_id())
    prefix_token_id = property(lambda self: self.model.bos_id())
    loglikelihood_rolling = generate_until = None

    def tok_encode(self, string, add_special_tokens=True, **_):
        return ([self.model.bos_id()] if add_special_tokens else []) + self.model.encode(string)

    def _loglikelihood_tokens(self, requests, **_):
        self.noted += [[*texts, context, continuation] for texts, context, continuation in requests]
        return [(0.0, False)] * len(requests)


Encoder.__abstractmethods__ = frozenset()


def encode(pairs):
    encoder = Encoder()
    encoder.loglikelihood([type("Request", (), {"args": pair})() for pair in pairs], disable_tqdm=True)
    return encoder.noted


def golden_pairs():
    files["pairs.jsonl"] = lines(encode([("" if i % 5 == 0 else text(1, 5), " " + text(1, 3)) for i in range(200)]))


def main():
    golden_mmlu()
    golden_original()
    golden_others()
    golden_pairs()
    with open(GOLDEN / "lm_eval/golden.tar.gz", "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed, \
            tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in sorted(files.items()):
            content = content.encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    print(f"{len(files)} files, {(GOLDEN / 'lm_eval/golden.tar.gz').stat().st_size} bytes")


if __name__ == "__main__":
    main()
