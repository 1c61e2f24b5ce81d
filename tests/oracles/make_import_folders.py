"""Writes tests/golden/import/kaldi/ and three TextGrids with the formats' own tools from PyPI: lhotse 1.33.0 (torch, which
it imports, is not used for this), praatio 6.2.2 and textgrid 1.6.1, Python 3.11:
    python tests/oracles/make_import_folders.py tests/golden/import
The Kaldi folder has a path with a space, segments, and a stereo file, for which lhotse writes commands."""
import sys

import lhotse
import textgrid
from lhotse import RecordingSet, SupervisionSegment, SupervisionSet
from lhotse.audio import AudioSource, Recording
from lhotse.kaldi import export_to_kaldi
from praatio import textgrid as praat

assert lhotse.__version__ == "1.33.0"
folder = sys.argv[1]

recordings = RecordingSet.from_recordings([
    Recording("rec1", [AudioSource("file", [0], "audio/rec 1.wav")], 16000, 160000, 10.0),
    Recording("rec2", [AudioSource("file", [0, 1], "audio/rec2.flac")], 16000, 160000, 10.0),
])
supervisions = SupervisionSet.from_segments([
    SupervisionSegment("u1", "rec1", 0.5, 1.25, text="hello there", speaker="ann"),
    SupervisionSegment("u2", "rec2", 2.0, 1.0, channel=1, text="good day", speaker="bob"),
    SupervisionSegment("u3", "rec1", 3.0, 2.0, text="and \"more\"", speaker="ann"),
])
export_to_kaldi(recordings, supervisions, folder + "/kaldi")

grid = praat.Textgrid()
grid.addTier(praat.IntervalTier("Alice - phones", [(0.25, 0.5, "HH")], 0, 3))
grid.addTier(praat.IntervalTier("Alice - words", [(0.25, 0.5, "he"), (2.0, 2.5, "\"so\"")], 0, 3))
grid.addTier(praat.IntervalTier("Bob - words", [(0.75, 1.0, "said"), (1.0, 1.5, "[noise]")], 0, 3))
grid.addTier(praat.PointTier("clicks", [(1.25, "words")], 0, 3))
for kind in ("long", "short"):
    grid.save(f"{folder}/praatio_{kind}.TextGrid", format=f"{kind}_textgrid", includeBlankSpaces=True)

grid = textgrid.TextGrid(maxTime=3)
for name, intervals in (("words", [(0.25, 0.5, "caf\u00e9"), (0.5, 1.25, "\"there\"")]), ("phones", [(0.25, 0.5, "K")])):
    tier = textgrid.IntervalTier(name, 0, 3)
    for interval in intervals:
        tier.add(*interval)
    grid.append(tier)
grid.write(folder + "/textgrid.TextGrid")
