"""Toy archives of sLM21 in the layout of sLM21.dataset.zip, each with a file of scores.

    python tests/oracles/slm21_archives.py FOLDER [--wavs]          (needs nothing but Python; written with 3.11.7)

Makes FOLDER/00 to FOLDER/29 from fixed seeds. Each has {lexical,syntactic}/{dev,test}/gold.csv and, under scores/, a file of
"NAME SCORE" lines for each of them. With --wavs there are short sounds beside gold.csv as well (0.05 s of noise; equal ones
where scores are equal), and the archive once more as FOLDER/NN.zip, without its scores.

What they vary: 1 to 4 voices, unequal per id; frequencies at the edges of the bands, as whole numbers or as "5.0"; non-words with and without spelling; 3 of 10 pairs tied; commas and quotes in texts; CRLF, LF and a last line without
end; a byte order mark; lone rows; ids that are numbers, numbers with a letter, and repeated across types. The columns are in the
order that the challenge's scorer needs (it reads some by their place), and the correct sentences in the order of the incorrect
ones (it pairs them by their place); the words' rows are shuffled.
"""
import argparse
import csv
import io
import pathlib
import random
import struct
import wave
import zipfile

EDGES = [0, 1, 4, 5, 6, 19, 20, 21, 99, 100, 101, 5000]
TYPES = ["anaphor_agreement", "argument_structure", "binding", "filler_gap", "quantifiers, negated"]
WORDS = ["brick", "blick", "don't", "na\u00efve", "caf\u00e9, noir", 'the "x"', "stone", "rain", "seven", "long way"]


class Archive:
    def __init__(self, number):
        self.number = number
        self.random = random.Random(1000 + number)
        self.used = set()
        self.tables, self.scores = {}, {}

    def name(self):
        while True:
            name = "".join(self.random.choice("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789") for _ in range(4))
            if name not in self.used:
                self.used.add(name)
                return name

    def score(self):
        value = -self.random.uniform(5, 60)
        return repr(round(value, 1 if self.number % 3 else 6))

    def pair_scores(self):
        correct = self.score()
        return correct, correct if self.random.random() < 0.3 else self.score()

    def phones(self):
        return " ".join(self.random.choice(["B", "L", "IH1", "K", "AE0", "S", "T"]) for _ in range(self.random.randint(2, 5)))

    def voices(self, most):
        return sorted(self.random.sample(["A", "B", "C", "D"], self.random.randint(1, most)))

    def ids(self, count):
        ids = self.random.sample(range(1, 200), count)
        return [f"w{i}" if self.number % 5 == 4 else i for i in ids]

    def lexical(self, part):
        spelled = self.number % 4 != 1
        decimal = ".0" if self.number % 5 == 2 else ""
        most = 1 + self.number % 4
        rows, scores = [], []
        for i in self.ids(self.random.randint(14, 34)):
            word = self.random.choice(WORDS) + self.random.choice("abcdefgh")
            phones = [self.phones(), self.phones()]
            frequency = self.random.choice(EDGES)
            length = self.random.randint(3, 6)
            for voice in self.voices(most):
                for correct, score in zip((1, 0), self.pair_scores()):
                    if self.number % 7 == 6 and self.random.random() < 0.03:
                        continue # a lone row: its counterpart is missing
                    name = self.name()
                    text = word if correct else "x" + word if spelled else ""
                    rows.append([name, i, voice, f"{frequency}{decimal}" if correct else "", text, phones[correct], length, correct])
                    scores.append((name, score))
        self.random.shuffle(rows)
        self.random.shuffle(scores)
        header = ["filename", "id", "voice", "frequency", "word", "phones", "length", "correct"]
        self.tables["lexical", part], self.scores["lexical", part] = [header] + rows, scores

    def syntactic(self, part):
        most = 1 + (self.number + 1) % 4
        pairs, scores = [], []
        for kind in self.random.sample(TYPES, self.random.randint(2, 4)):
            for i in range(1, self.random.randint(5, 9)):
                subtype = f"{kind.split('_')[0]}_{self.random.randint(1, 2)}"
                sentence = " ".join(self.random.choice(WORDS) for _ in range(3))
                for voice in self.voices(most):
                    names = self.name(), self.name()
                    pairs.append([[names[side], i, voice, kind, subtype, sentence + (" did" if side else " done"), side]
                                  for side in (0, 1)])
                    scores += zip((names[1], names[0]), self.pair_scores())
        self.random.shuffle(pairs)
        rows, waiting = [], []
        for pair in pairs: # the k-th correct row and the k-th incorrect one stay a pair, but need not be neighbours
            rows.append(pair[0])
            waiting.append(pair[1])
            while waiting and self.random.random() < 0.6:
                rows.append(waiting.pop(0))
        self.random.shuffle(scores)
        header = ["filename", "id", "voice", "type", "subtype", "transcription", "correct"]
        self.tables["syntactic", part], self.scores["syntactic", part] = [header] + rows + waiting, scores

    def table_bytes(self, key):
        out = io.StringIO()
        csv.writer(out, lineterminator="\r\n" if self.number % 2 else "\n").writerows(self.tables[key])
        text = out.getvalue()
        if self.number % 6 == 5:
            text = text.rstrip("\r\n")
        return (b"\xef\xbb\xbf" if self.number % 3 == 0 else b"") + text.encode()

    def write(self, folder, wavs):
        for task, part in self.tables:
            place = folder / task / part
            place.mkdir(parents=True, exist_ok=True)
            (place / "gold.csv").write_bytes(self.table_bytes((task, part)))
            lines = folder / "scores" / task
            lines.mkdir(parents=True, exist_ok=True)
            (lines / f"{part}.txt").write_text("".join(f"{name} {score}\n" for name, score in self.scores[task, part]))
            for name, score in self.scores[task, part] if wavs else []:
                noise = random.Random(score)
                with wave.open(str(place / f"{name}.wav"), "wb") as sound:
                    sound.setparams((1, 2, 16000, 0, "NONE", ""))
                    sound.writeframes(struct.pack("<800h", *(noise.randint(-8000, 8000) for _ in range(800))))
        if wavs:
            with zipfile.ZipFile(folder.parent / f"{folder.name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
                for path in sorted(folder.rglob("*")):
                    if path.is_file() and "scores" not in path.parts:
                        archive.write(path, path.relative_to(folder))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--wavs", action="store_true")
    options = parser.parse_args()
    for number in range(30):
        archive = Archive(number)
        for part in ("dev", "test"):
            archive.lexical(part)
            archive.syntactic(part)
        archive.write(options.folder / f"{number:02}", options.wavs)


main()
