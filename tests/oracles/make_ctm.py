"""Writes tests/golden/import/lhotse.ctm with lhotse 1.33.0 (PyPI; Python 3.11):
    python tests/oracles/make_ctm.py tests/golden/import/lhotse.ctm
One recording of one channel, one of two channels (lhotse counts them from 0), a silence."""
import sys

import lhotse
from lhotse.supervision import AlignmentItem, SupervisionSegment, SupervisionSet

assert lhotse.__version__ == "1.33.0"


def segment(name, recording, channel, start, words):
    items = [AlignmentItem(symbol, begin, duration) for symbol, begin, duration in words]
    return SupervisionSegment(name, recording, start, 2.0, channel=channel, alignment={"word": items})


SupervisionSet.from_segments([
    segment("b1", "two", 1, 0.0, [("yes", 0.5, 0.25), ("indeed", 0.75, 0.5)]),
    segment("a1", "one", 0, 0.0, [("hello", 0.1, 0.32), ("<eps>", 0.42, 0.08), ("there", 0.5, 0.3)]),
    segment("b0", "two", 0, 0.0, [("well", 0.0, 0.4)]),
]).write_alignment_to_ctm(sys.argv[1])
