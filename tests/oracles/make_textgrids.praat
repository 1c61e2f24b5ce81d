# Writes the TextGrids of tests/golden/import with Praat 6.3.07 (Debian 12):
#   praat --run tests/oracles/make_textgrids.praat   (paths are relative to this script)
# long.TextGrid, short.TextGrid and binary.TextGrid hold the same tiers; unicode.TextGrid has a label beyond ASCII, which
# Praat writes as UTF-16; single.TextGrid has one interval tier of another name.
grid = Create TextGrid: 0, 2.5, "phones words events", "events"
Insert boundary: 2, 0.25
Insert boundary: 2, 0.625
Insert boundary: 2, 1.0
Insert boundary: 2, 1.7
Insert boundary: 2, 2.2
Set interval text: 2, 1, "sil"
Set interval text: 2, 2, "say"
Set interval text: 2, 3, """quoted"""
Set interval text: 2, 4, ""
Set interval text: 2, 5, "it's"
Insert boundary: 1, 1.0
Set interval text: 1, 1, "several words here"
Insert point: 3, 1.5, "click 3"
Save as text file: "../golden/import/long.TextGrid"
Save as short text file: "../golden/import/short.TextGrid"
Save as binary file: "../golden/import/binary.TextGrid"
Set interval text: 2, 5, "café"
Save as text file: "../golden/import/unicode.TextGrid"
single = Create TextGrid: 0, 1, "Mary bell", "bell"
Insert boundary: 1, 0.5
Set interval text: 1, 1, "hello"
Set interval text: 1, 2, "there"
Save as text file: "../golden/import/single.TextGrid"
