"""Makes tests/golden/ctc_paths.txt: 500 random emissions and the paths that torchaudio's forced_align finds through them, for
tests/data/test_ctc_path.c.

Made with Python 3.11, torch 2.1.2, torchaudio 2.1.2.

A line has the case's number, frames, columns, the blank's column, the kind, the labels and the path, the last two with one digit per
label. The emissions are not stored: case n's are those of the tensor "ctc/n" of tests/support/models/formula_weights.h, v in [-1, 1),
as 4 v - 4 (kind f) or, so that many paths tie, floor(3 v) - 3 (kind c).

forced_align takes no move at all where two tie above a third, which is not the best path then. Of kind c, cases are left out where
that happens in any state; how many is printed.
"""
import os

import numpy as np
import torch
import torchaudio.functional as F

TARGET = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "ctc_paths.txt")
FINE, COARSE = 350, 150
MASK = (1 << 64) - 1


def formula(name, count):
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    i = np.arange(1, count + 1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        z = np.uint64(h) + i * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return ((z >> np.uint64(40)).astype(np.float64) * 2.0**-23 - 1).astype(np.float32)


def emissions_of(number, frames, columns, kind):
    v = formula(f"ctc/{number}", frames * columns).reshape(frames, columns)
    if kind == "f":
        return v * np.float32(4) + np.float32(-4)
    return np.floor(v * np.float32(3)) - np.float32(3)


def drops_the_best(emissions, labels, blank):
    """Whether two moves into a state ever tie above the third."""
    states = [blank if s % 2 == 0 else labels[s // 2] for s in range(2 * len(labels) + 1)]
    scores = [-np.inf] * len(states)
    scores[0], scores[1] = emissions[0, blank], emissions[0, labels[0]]
    for row in emissions[1:]:
        after = []
        for s, label in enumerate(states):
            x0, x1 = scores[s], scores[s - 1] if s > 0 else -np.inf
            x2 = scores[s - 2] if s % 2 and s > 1 and states[s] != states[s - 2] else -np.inf
            if x1 == x2 > x0:
                return True
            after.append(max(x0, x1, x2) + row[label])
        scores = after
    return False


def main():
    random = np.random.RandomState(13)
    lines, number, dropped, kept = [], 0, 0, {"f": 0, "c": 0}
    while kept["f"] + kept["c"] < FINE + COARSE:
        number += 1
        kind = "f" if kept["f"] < FINE else "c"
        frames = int(random.randint(1, 14 if kind == "c" else 300 if number % 10 == 0 else 60))
        columns = int(random.randint(2, 10))
        blank = number % columns
        others = [c for c in range(columns) if c != blank]
        labels = [others[random.randint(len(others))] for _ in range(random.randint(1, max(2, frames // 2 + 1)))]
        while len(labels) + sum(a == b for a, b in zip(labels, labels[1:])) > frames:
            labels.pop()
        emissions = emissions_of(number, frames, columns, kind)
        if kind == "c" and drops_the_best(emissions.astype(np.float64), labels, blank):
            dropped += 1
            continue
        path, _ = F.forced_align(torch.from_numpy(emissions).double()[None], torch.tensor([labels]), blank=blank)
        lines.append(f"{number} {frames} {columns} {blank} {kind} {''.join(map(str, labels))} "
                     f"{''.join(str(int(label)) for label in path[0])}\n")
        kept[kind] += 1
    with open(TARGET, "w") as file:
        file.writelines(lines)
    print(f"{kept['f']} fine, {kept['c']} coarse, {dropped} coarse left out")


if __name__ == "__main__":
    main()
