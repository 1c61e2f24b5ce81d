"""How much of the demo's held-out recordings' texts occurs in its training texts (docs/demo.md).

    demo_phrases.py out/demo/corpus

The split keeps sentences apart, not phrases: this counts what it leaves. Words are compared in lower case without punctuation."""
import json
import re
import sys


def rows(folder, name):
    with open(f"{folder}/{name}.jsonl", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def words(row):
    return re.findall(r"[a-z0-9']+", row["text"].lower())


def runs(tokens, length):
    return {tuple(tokens[i : i + length]) for i in range(len(tokens) - length + 1)}


def main(folder):
    held_out = [words(row) for row in rows(folder, "speech_validation") if not row["synthetic"]]
    speech = [words(row) for row in rows(folder, "speech_train")]
    recorded = [words(row) for row in rows(folder, "speech_train") if not row["synthetic"]]
    everything = speech + [words(row) for row in rows(folder, "text_train")]
    print(f"{len(held_out)} held-out recordings")
    for name, texts in (("recordings", recorded), ("all training texts", everything)):
        whole = sum(any(tuple(text) in runs(other, len(text)) for other in texts) for text in held_out)
        print(f"{name}: the whole text occurs inside another for {whole}")
        for length in (4, 6, 8):
            known = set().union(*(runs(text, length) for text in texts))
            long_enough = [text for text in held_out if len(text) >= length]
            shared = sum(bool(runs(text, length) & known) for text in long_enough)
            print(f"{name}: a run of {length} words occurs for {shared} (of {len(long_enough)} that are as long)")


main(sys.argv[1])
