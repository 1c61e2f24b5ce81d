"""Writes tests/golden/text/lowercase.txt: what Python's str.lower() makes of every code point, and of a capital sigma
beside every code point (the only letter whose lower case depends on its neighbours).
    python3 tests/oracles/lowercase.py tests/golden/text/lowercase.txt
Made with Python 3.12.1, whose tables are Unicode 15.0.0 (the first line of the file says so). A newer Unicode has more
characters; those that this one does not know are listed, so that a test can leave them out.

    unicode VERSION
    unassigned FIRST LAST     a range without characters, as all below in hexadecimal
    lower CODE CODE ...       each that differs from its lower case
    cased FIRST LAST          behind which a sigma is a final one, and before which it is not
    ignorable FIRST LAST      over which a sigma looks to the next
    text BYTES BYTES          a text and its lower case, UTF-8"""
import random
import sys
import unicodedata

SIGMA, FINAL = "\u03a3", "\u03c2"


def kind(character):
    if (character + SIGMA).lower()[-1] == FINAL:
        return "cased"
    if ("a" + character + SIGMA).lower()[-1] == FINAL:
        return "ignorable"
    return None


def ranges(codes):
    first = last = None
    for code in codes:
        if last is not None and code == last + 1:
            last = code
            continue
        if first is not None:
            yield first, last
        first = last = code
    if first is not None:
        yield first, last


codes = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
lines = ["unicode " + unicodedata.unidata_version]
for first, last in ranges(code for code in codes if unicodedata.category(chr(code)) == "Cn"):
    lines.append("unassigned %X %X" % (first, last))
for code in codes:
    lower = chr(code).lower() if chr(code) != SIGMA else "\u03c3"
    if lower != chr(code):
        lines.append("lower %X %s" % (code, " ".join("%X" % ord(c) for c in lower)))
kinds = {code: kind(chr(code)) for code in codes}
for name in ("cased", "ignorable"):
    for first, last in ranges(code for code in codes if kinds[code] == name):
        lines.append("%s %X %X" % (name, first, last))

generator = random.Random(1)
alphabet = SIGMA * 12 + "aZ\u0130\u1e9e\u03a9\u212a\u01c5\u00df\u0391\u0416\U00010400\u2160\u24b6\u02b0\u0345.:'\u2019 \t-7\u00ad\u0301\u4e2d"
for _ in range(400):
    text = "".join(generator.choice(alphabet) for _ in range(generator.randrange(1, 12)))
    lines.append("text %s %s" % (text.encode().hex(), text.lower().encode().hex()))
with open(sys.argv[1], "w") as file:
    file.write("\n".join(lines) + "\n")
