"""Word and character errors by jiwer, and text forms by whisper_normalizer, in tests/golden/transcripts.

    pip install jiwer==4.0.0 whisper_normalizer==0.1.15          (written with these, rapidfuzz 3.14.6, Python 3.11.7)
    python tests/oracles/transcripts_golden.py golden
    python tests/oracles/transcripts_golden.py long FOLDER
    SPIRITLM_TRANSCRIPTS=FOLDER SPIRITLM_TEST_LONG=1 ctest --test-dir build/cpu -R 'eval.(error_rate|text_form)'

`golden` writes 1,000 pairs and 1,300 texts. `long` writes 100,000 of each, drawn with another seed, and beside them the
normalizer.json of whisper_normalizer, which is not in this tree; golden texts are made with the few spellings of
tests/golden/transcripts/normalizer.json instead.

    pairs.jsonl   ["REFERENCE", "HYPOTHESIS", [S, D, I, H] of words, [S, D, I, H] of characters]
    corpus.json   jiwer's rates of all pairs together, and of those whose reference has no word
    forms.jsonl   ["TEXT", "whisper-english", "whisper-basic", "librispeech"]; in the golden file 16 hexadecimal digits of each
                  form's SHA-256
    oddities.jsonl  ["TEXT", "whisper-english", "whisper-basic"] of chosen texts, each of which shows one rule

The form `librispeech` is this tree's own; it is written here a second time from its definition (text_form.h), by means of
Python's unicodedata. Texts hold characters of Unicode 14 and older, which is what Python 3.11 knows."""
import argparse
import hashlib
import json
import os
import random
import unicodedata

import jiwer
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer

here = os.path.dirname(os.path.abspath(__file__))
golden = os.path.join(here, "..", "golden", "transcripts")

SPACES = [" "] * 30 + ["  ", "   ", "\t", "\n", " \n", "\r\n", "\x0b", "\x1c", "\x1f", "\x85", "\xa0", "\u2003", "\u2028",
                       "\u3000", " \t", "\xa0 ", "\u200b", "\ufeff"]
SMALL = ("one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
         "nineteen").split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
POWERS = ("hundred thousand million billion trillion quadrillion quintillion sextillion septillion octillion nonillion "
          "decillion").split()
ORDINALS = ("zeroth first second third fourth fifth sixth seventh eighth ninth nineth tenth eleventh twelfth thirteenth "
            "fifteenth eighteenth nineteenth twentieth thirtieth ninetieth hundredth thousandth millionth decillionth").split()
PLURALS = ("ones twos threes fives sixes sevens nines tens nineteens twenties sixties nineties hundreds thousands millions "
           "billions").split()
ZEROS = ["o", "oh", "zero"]
MONEY = "pound pounds euro euros dollar dollars cent cents".split()
SIGNS = "minus negative plus positive".split()
SPECIAL = ["and", "and", "double", "triple", "point", "point", "per cent", "per", "percent", "and a half", "and  a half", "o'clock"]
CONTRACTIONS = ("won't can't let's ain't y'all wanna kinda sorta dunno gotta gonna i'ma imma woulda coulda shoulda cause ma'am "
                "it'd been it's been he'd gone she's gone they'd done he's got isn't they're it's he'd we'll 't I've I'm "
                "don't because ourn't n't 's o'er 'tis rock'n'roll fo'c's'le can'tx xwon't y'allx I'll've it'd 'd been").split()
CONTRACTIONS += ["it's been", "he'd gone", "who's got", "it 's", "do n't", "he 'd done", "we  'll", "I\t'm"]
TITLES = "mr mrs st dr prof capt gov ald gen sen rep pres rev hon asst assoc lt col jr sr esq Mr. Mrs. Dr. St. Jr. Lt.".split()
HESITATIONS = "hmm mm mhm mmm uh um Hmm Uh-huh umm uhm mmmm hm".split()
GROUPS = ["[laughter]", "<START>", "(applause)", "()", "[]", "<>", "[a>", "<b]", "((c) d)", "(", ")", "[", "]", "<", ">", "[x[y]z]",
          "(d\n e)", "a<b>c", "[[", "((", "(()", "<END Transcript>"]
NUMERALS = ["0", "1", "1s", "2", "5", "7", "10", "12", "20", "21", "50", "100", "101", "007", "1960", "1960s", "274th", "1st", "2nd",
            "3rd", "11 th", "5 s", "1,000", "1,2,3", "10,000,000", "12,34", "1.5", "2.0", "2.50", "0.5", ".5", "5.", "1.2.3",
            "192.168.0.1", "3.14", "$1", "$20", "$2.50", "$0.50", "$0.05", "£5", "€7", "¢7", "¢50", "5¢", "50%", "5 %", "%", "%%",
            "$", "$$", "$ 5", "£.5", "20$", "1$2", "$1 and ¢7", "$2 ¢7", "£3 and ¢99", "$4 ¢123", "a1", "1a", "b2b", "4x4", "x264",
            "1/2", "2-3", "-5", "+5", "10:30", "½", "²", "x²", "１２", "١٢", "١.٥", "१२३", "३.५", "Ⅷ", "1st.", "0 1", "$0 12", "$0x12",
            "1000000000000000000000000000000001", "0.0", "00", "1e5", "1_000"]
WORDS = ("the a of to in is was he she they said colour centre favourite organise theatre grey gray travelling mum aluminium "
         "i and half an point nine teen one's once someone tone seconds hour per capita cause because half sand anda").split()
UNICODE = ["naïve", "Ærø", "œuvre", "Œ", "straße", "STRAẞE", "łódź", "Đorđe", "ðæt", "Þórr", "þing", "smørrebrød", "e\u0301cole",
           "q\u0323\u0307x", "q\u0307\u0323x", "ﬁne", "ﬆop", "Ａｂｃ", "℃", "™", "Å", "K", "İstanbul", "ΟΔΟΣ", "Ὀδυσσεύς", "Москва",
           "日本語", "한국어", "हिन्दी", "ไทย", "العربية", "עברית", "😀", "👩‍👩‍👧", "❤️", "…", "’", "it’s", "‘quoted’", "“so”", "—", "–", "·",
           "＄5", "％", "．5", "￡3", "ꟹ", "ᴭ", "ŉ", "\u0345", "a\u20dd", "ⅻ", "Ǆ", "ſ", "\u00ad", "\u0e33", "ﷺ", "१", "a\u0301\u0327b"]
PUNCTUATION = [".", ",", "!", "?", ";", ":", "...", "..", "'", "\"", "-", "--", "_", "/", "&", "@", "#", "*", "+", "=", "~", "^", "`"]
# Unassigned code points of Unicode 14 are left out: utf8proc may know them.
ANY = [chr(c) for c in range(1, 0x110000)
       if not 0xD800 <= c < 0xE000 and unicodedata.category(chr(c)) not in ("Cn", "Co")]


def number_phrase(r):
    pools = [SMALL, SMALL, TENS, TENS, POWERS[:3], POWERS, ZEROS, ORDINALS, PLURALS, MONEY, SIGNS, SPECIAL, NUMERALS]
    if r.random() < 0.5:  # as numbers are said
        parts = []
        if r.random() < 0.2:
            parts.append(r.choice(SIGNS))
        for power in r.sample(POWERS[1:5], r.randrange(0, 3)):
            parts += [r.choice(SMALL), "hundred"] * (r.random() < 0.4) + [r.choice(TENS), r.choice(SMALL[:9])] + [power]
        parts += [r.choice(TENS)] * (r.random() < 0.6) + [r.choice(SMALL)]
        parts += r.choice([[], [], ["point", r.choice(SMALL), r.choice(SMALL)], ["and a half"], [r.choice(ORDINALS)]])
        parts += r.choice([[], [], [r.choice(MONEY)], [r.choice(MONEY), "and", r.choice(SMALL), "cents"], ["per cent"]])
        return " ".join(parts)
    return " ".join(r.choice(r.choice(pools)) for _ in range(r.randrange(1, 6)))


def piece(r):
    kind = r.random()
    if kind < 0.35:
        return number_phrase(r)
    if kind < 0.60:
        return r.choice(WORDS)
    if kind < 0.93:
        return r.choice(r.choice([CONTRACTIONS, TITLES, HESITATIONS, GROUPS, NUMERALS, NUMERALS, UNICODE, PUNCTUATION, SPELLINGS]))
    return "".join(r.choice(ANY) for _ in range(r.randrange(1, 4)))


def change_case(r, text):
    return r.choice([text, text, text, text.upper(), text.capitalize(), text.title()])


def sentence(r, longest):
    text = r.choice(SPACES) * (r.random() < 0.1)
    for _ in range(r.randrange(1, longest)):
        text += change_case(r, piece(r))
        if r.random() < 0.15:
            text += r.choice(PUNCTUATION)
        if r.random() < 0.92:
            text += r.choice(SPACES)
    return text


def librispeech(text):
    out, inside = "", False
    for c in unicodedata.normalize("NFKC", text):
        category = unicodedata.category(c)
        if c in "'\u2019\u02bc":
            out, inside = out + "'", True
        elif category[0] == "L" or (inside and category[0] == "M"):
            upper = "SS" if c in "ß\u1e9e" else c.upper() if len(c.upper()) == 1 else c
            out, inside = out + upper, True
        else:
            out, inside = out + " ", False
    return " ".join(word for word in out.split(" ") if word)


def clean(text):
    """Without letters whose capital is several: there Python has no single one to compare with."""
    return "".join(c for c in text
                   if all(len(d.upper()) == 1 or d == "ß" for d in unicodedata.normalize("NFKC", c)))


def write_forms(path, count, seed, longest, digests):
    r = random.Random(seed)
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for _ in range(count):
            text = clean(sentence(r, longest))
            forms = [english(text), basic(text), librispeech(text)]
            if digests:
                forms = [hashlib.sha256(form.encode()).hexdigest()[:16] for form in forms]
            file.write(json.dumps([text] + forms, ensure_ascii=False, separators=(",", ":")) + "\n")


def other_version(r, words):
    changed = []
    for word in words:
        kind = r.random()
        if kind < 0.08:
            continue
        if kind < 0.16:
            changed.append(r.choice(PAIR_WORDS))
        elif kind < 0.2:
            changed += [word, r.choice(PAIR_WORDS)]
        elif kind < 0.24 and len(word) > 1:
            at = r.randrange(len(word))
            changed.append(word[:at] + r.choice("aeiou") + word[at + r.randrange(2):])
        else:
            changed.append(word)
    if r.random() < 0.1:
        r.shuffle(changed)
    return changed


PAIR_WORDS = ["a", "b", "the", "of", "he", "ab", "ba", "aba", "bab", "house", "horse", "naïve", "é", "e\u0301", "日本", "😀", "x\ty",
              "x\xa0y", "the"]


def joined(r, words, longest):
    text = r.choice(SPACES) * (r.random() < 0.1)
    for word in words[:longest]:
        text += word + r.choice(SPACES)
    return text if r.random() < 0.1 else text.strip()


def counts(output):
    return [output.substitutions, output.deletions, output.insertions, output.hits]


def write_pairs(folder, count, seed, longest):
    r = random.Random(seed)
    pairs = []
    with open(os.path.join(folder, "pairs.jsonl"), "w", encoding="utf-8", newline="\n") as file:
        for _ in range(count):
            words = [r.choice(PAIR_WORDS) for _ in range(r.choice([0, 1, 2]) if r.random() < 0.1 else r.randrange(1, longest))]
            other = other_version(r, words) if r.random() < 0.8 else [r.choice(PAIR_WORDS) for _ in range(r.randrange(longest))]
            pair = [joined(r, words, longest), joined(r, other, longest + 4)]
            pairs.append(pair)
            record = pair + [counts(jiwer.process_words(*pair)), counts(jiwer.process_characters(*pair))]
            file.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")
    empty = [pair for pair in pairs if pair[0].strip() == ""]
    corpus = {}
    for name, part in (("all", pairs), ("empty", empty)):
        references, hypotheses = [list(side) for side in zip(*part)]
        corpus[name] = {"pairs": len(part), "wer": jiwer.wer(references, hypotheses), "cer": jiwer.cer(references, hypotheses)}
    with open(os.path.join(folder, "corpus.json"), "w") as file:
        json.dump(corpus, file, indent=1)
        file.write("\n")


ODDITIES = [
    "", " ", ".", "hello", "<START> hello <END>", "a [b> c", "a <b] c", "a [b c", "() (x) (()", "a (b\nc) d", "[[x] y]",
    "hmm, uh um mmm mhm mm hm umm", "uh-huh", "it 's he \t'll", "won't can't let's ain't y'all ma'am", "can'ts won'tx",
    "wanna kinda sorta dunno gotta gonna i'ma imma woulda coulda shoulda cause", "because cause",
    "mr mrs st dr prof capt gov ald gen sen rep pres rev hon asst assoc lt col jr sr esq", "Mr. Smith, Jr.", "St. John's St",
    "he'd been it's been he'd gone she's gone they'd done who's got", "it's done he'd do he's", "don't they're we'll 't I've I'm",
    "it’s don’t", "o'clock", "five o'clock", "rock'n'roll", "1,2,3", "1,000,000", "1 , 2", "a,b", "3.14", "end.", "a.b", "...", "..", ".5", "5.",
    "v1.2.3", "naïve Ærø œuvre Straße łódź Đorđe ðæt Þórr", "ﬁne ﬆop Ａｂｃ ™ ℃", "ᴭ ꟹ ᶞ ᶿ", "e\u0301 q\u0307\u0323", "½ x² ⅻ", "₹5 ¥5 ₩5", "＄5 ５％",
    "one and a half", "and a half", "two and a half million", "twenty and a half", "cat and a half", "half and a half and a half",
    "one hundred and a half", "first and a half",
    "one", "ones", "one one", "one oh one", "nineteen eighty four", "two thousand and five", "two hundred and fifty six",
    "twenty one", "twenty eleven", "one twenty", "one twenty three", "five hundred twenty", "ten twenty", "hundred and one",
    "one hundred thousand million", "two thousand three hundred million", "thousand million", "decillion decillion",
    "nine decillion nine hundred ninety nine", "1.5 million", "1.55 hundred", "1.555 hundred", "0 million", "zero million", "0 five",
    "0 oh", "007", "2.0", "2.50", "1.2.3", "point five", "point hundred", "two point", "two point oh five", "point and", "one point two point three",
    "192 point 168", "first second third fourth fifth sixth eighth ninth nineth tenth twelfth", "twenty first", "twenty tenth",
    "one hundred and first", "one first", "two hundredth", "five thousandths", "1.5 hundredth", "1.555 hundredth", "twenties nineteen twenties",
    "sixes", "zeroth twenty zeroth", "twentieth thirtieth", "one twentieth", "hundred twentieth", "5 twentieth", "1.5 twentieth", "double oh seven", "triple five", "double twenty", "double",
    "double o", "double 5", "triple zero one", "double eleven", "one double two", "minus five", "minus", "minus the", "minus and", "minus point foo",
    "plus minus five", "positive five negative", "five minus three", "five dollars", "dollars", "five dollars and seven cents",
    "five dollars seven cents", "five dollars and twelve cents", "five pounds and five cents", "one dollar", "one dollar and one cent",
    "zero dollars", "$0.50", "$0.05", "$0.5", "$0.505", "0 dollars 12", "$0 12", "$20 million", "$1.5 million", "five euros five", "$five",
    "minus five dollars", "minus $5", "five percent", "five per cent", "five per", "per cent", "percent", "five per hour", "5%", "5 %", "% %% a%", "a %",
    "1", "1s", "1st", "11", "1 1", "1.5", "$1", "1%", "x1", "x 1", "21st century", "1960s", "5 th", "5  s", "5 street", "5 stx", "a1b2", "b52s",
    "$ 5", "$a", "a$", "$", "$.", ". a", ".. a", "€5 £5 ¢5", "¢ 5", "¢¢5", "1$", "$1 and ¢7", "$1 ¢7", "$1  ¢7", "$1 and ¢123", "$10 and ¢10 and ¢5",
    "١٢", "١.٥", "١.٥ million", "१२ hundred", "١,٢", "３", "a١", "$١", "colour centre Favourite colours", "colour-centre", "the_cat", "_um_",
    "um\u0301", "ΟΔΟΣ Σ", "İ", "K Å", "a\x1cb\x85c", "a\xa0\xa0b", "  lead and trail  ", "tab\tand\nline", "\ufeffbom", "soft\u00adhyphen",
    "zero\u200bwidth", "日本語 テスト", "हिन्दी", "한국어", "ไทย คำ", "😀 ok", "e.g. this", "U.S.A.", "3.", "3.a", "5.5.", "$5.", "$5. a",
]


def write_oddities(path):
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for text in ODDITIES:
            file.write(json.dumps([text, english(text), basic(text)], ensure_ascii=False, separators=(",", ":")) + "\n")


parser = argparse.ArgumentParser()
parser.add_argument("what", choices=["golden", "long"])
parser.add_argument("folder", nargs="?")
parser.add_argument("--seed", type=int, default=3, help="of the large set")
options = parser.parse_args()
english, basic = EnglishTextNormalizer(), BasicTextNormalizer()
if options.what == "golden":
    with open(os.path.join(golden, "normalizer.json")) as file:
        english.standardize_spellings.mapping = json.load(file)
    SPELLINGS = sorted(english.standardize_spellings.mapping)
    write_pairs(golden, 1000, 1, 11)
    write_forms(os.path.join(golden, "forms.jsonl"), 1300, 2, 7, True)
    write_oddities(os.path.join(golden, "oddities.jsonl"))
else:
    SPELLINGS = sorted(english.standardize_spellings.mapping)
    os.makedirs(options.folder, exist_ok=True)
    with open(os.path.join(options.folder, "normalizer.json"), "w") as file:
        json.dump(english.standardize_spellings.mapping, file)
    write_pairs(options.folder, 100000, options.seed, 40)
    write_forms(os.path.join(options.folder, "forms.jsonl"), 100000, options.seed + 1, 12, False)
