"""Writes tests/emulator/tests/golden/arithmetic.txt: what PTX instructions give, computed without floats.

Integers are Python's; every number of a float type is a Fraction, an infinity, a NaN or a signed zero, and results are
rounded from exact rational numbers. Nothing here shares code or method with the emulator: fields of bits are walked bit by
bit as the pseudo code of NVIDIA's "PTX ISA" 9.0 does. Functions that PTX only approximates are not in this file.

    python3 tests/oracles/ptx_arithmetic.py

A line "> text" is an instruction; the lines after it are vectors, "inputs = outputs" in hexadecimal, in the order of its
operands. Registers are named by what they hold: %p predicates, %h 16 bits, %r 32, %q 64.
"""
import itertools
import math
import os
import random
from fractions import Fraction

from ptx_bits import PRMT_MODES, bfe, bfi, bfind, bit, bmsk, fns, prmt, szext
from ptx_numbers import BF16, F16, F32, F64, FLOATS, Format, add_numbers, divide_numbers, emit, finish, float_pool, integer
from ptx_numbers import mask, multiply_numbers, out, pool, register, sample, signed, square_root, two

# ---------------------------------------------------------------- integers

def divide(a, b):
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def clamp(x, low, high):
    return min(max(x, low), high)


def basic_integers():
    for n in (16, 32, 64):
        for kind in "us":
            of = (lambda x, n=n: signed(x, n)) if kind == "s" else (lambda x: x)
            t = "%s%d" % (kind, n)
            integer("add." + t, [n] * 3, lambda a, b: a + b)
            integer("sub." + t, [n] * 3, lambda a, b: a - b)
            nonzero = [x for x in pool(n) if x]
            small = [x for x in pool(n) if x and signed(x, n) != -1] if kind == "s" else nonzero
            integer("div." + t, [n] * 3, lambda a, b: divide(of(a), of(b)), [pool(n), small])
            integer("rem." + t, [n] * 3, lambda a, b: of(a) - of(b) * divide(of(a), of(b)), [pool(n), small])
            integer("min." + t, [n] * 3, lambda a, b: a if of(a) < of(b) else b)
            integer("max." + t, [n] * 3, lambda a, b: a if of(a) > of(b) else b)
            integer("sad." + t, [n] * 4, lambda a, b, c: c + abs(of(a) - of(b)))
            integer("mul.lo." + t, [n] * 3, lambda a, b: of(a) * of(b))
            integer("mul.hi." + t, [n] * 3, lambda a, b: of(a) * of(b) >> n)
            integer("mad.lo." + t, [n] * 4, lambda a, b, c: of(a) * of(b) + c)
            integer("mad.hi." + t, [n] * 4, lambda a, b, c: (of(a) * of(b) >> n) + c)
            if n < 64:
                integer("mul.wide." + t, [2 * n, n, n], lambda a, b: of(a) * of(b))
                integer("mad.wide." + t, [2 * n, n, n, 2 * n], lambda a, b, c: of(a) * of(b) + c)
            if kind == "s":
                integer("abs." + t, [n] * 2, lambda a: abs(of(a)))
                integer("neg." + t, [n] * 2, lambda a: -of(a))
            integer("shr." + t, [n, n, 32], lambda a, b: of(a) >> min(b, n), [pool(n), shifts(n)])
        b = "b%d" % n
        integer("shr." + b, [n, n, 32], lambda a, b: a >> min(b, n), [pool(n), shifts(n)])
        integer("shl." + b, [n, n, 32], lambda a, b: a << min(b, n), [pool(n), shifts(n)])
        integer("and." + b, [n] * 3, lambda a, b: a & b)
        integer("or." + b, [n] * 3, lambda a, b: a | b)
        integer("xor." + b, [n] * 3, lambda a, b: a ^ b)
        integer("not." + b, [n] * 2, lambda a: ~a)
        integer("cnot." + b, [n] * 2, lambda a: a == 0)
    low, high = -(1 << 31), (1 << 31) - 1
    s = lambda x: signed(x, 32)
    integer("add.sat.s32", [32] * 3, lambda a, b: clamp(s(a) + s(b), low, high))
    integer("sub.sat.s32", [32] * 3, lambda a, b: clamp(s(a) - s(b), low, high))
    integer("min.relu.s32", [32] * 3, lambda a, b: max(min(s(a), s(b)), 0))
    integer("max.relu.s32", [32] * 3, lambda a, b: max(s(a), s(b), 0))
    integer("mad.hi.sat.s32", [32] * 4, lambda a, b, c: clamp((s(a) * s(b) >> 32) + s(c), low, high))
    for kind in "us":
        of = (lambda x: signed(x, 24)) if kind == "s" else (lambda x: x & mask(24))
        integer("mul24.lo.%s32" % kind, [32] * 3, lambda a, b: of(a) * of(b))
        integer("mul24.hi.%s32" % kind, [32] * 3, lambda a, b: of(a) * of(b) >> 16)
        integer("mad24.lo.%s32" % kind, [32] * 4, lambda a, b, c: of(a) * of(b) + c)
        integer("mad24.hi.%s32" % kind, [32] * 4, lambda a, b, c: (of(a) * of(b) >> 16) + c)
    integer("mad24.hi.sat.s32", [32] * 4,
            lambda a, b, c: clamp(s((signed(a, 24) * signed(b, 24) >> 16) & mask(32)) + s(c), low, high))


def shifts(n):
    return [0, 1, 5, n - 1, n, n + 1, 31, 32, 33, 63, 64, 255, 256, mask(32)]


def halves(function):
    return lambda a, b: function(a & 0xffff, b & 0xffff) & 0xffff | (function(a >> 16, b >> 16) & 0xffff) << 16


def packed_integers():
    s = lambda x: signed(x, 16)
    integer("add.u16x2", [32] * 3, halves(lambda a, b: a + b))
    integer("add.s16x2", [32] * 3, halves(lambda a, b: a + b))
    integer("min.u16x2", [32] * 3, halves(min))
    integer("max.u16x2", [32] * 3, halves(max))
    integer("min.s16x2", [32] * 3, halves(lambda a, b: min(s(a), s(b))))
    integer("max.s16x2", [32] * 3, halves(lambda a, b: max(s(a), s(b))))
    integer("min.relu.s16x2", [32] * 3, halves(lambda a, b: max(0, min(s(a), s(b)))))
    integer("max.relu.s16x2", [32] * 3, halves(lambda a, b: max(0, s(a), s(b))))
    for kind in "us":
        bytes_of = lambda x: [signed(x >> 8 * i, 8) if kind == "s" else x >> 8 * i & 255 for i in range(4)]
        apart = lambda a, b: [abs(x - y) for x, y in zip(bytes_of(a), bytes_of(b))]
        t = "u32.%s32.%s32" % (kind, kind)
        integer("vabsdiff4.%s" % t, [32] * 4, lambda a, b, c: sum(x << 8 * i for i, x in enumerate(apart(a, b))))
        integer("vabsdiff4.%s.add" % t, [32] * 4, lambda a, b, c: c + sum(apart(a, b)))
    for ka, kb in itertools.product("us", "us"):
        part = lambda x, i, n, k: signed(x >> n * i, n) if k == "s" else x >> n * i & mask(n)
        t = "%s32.%s32" % (ka, kb)
        integer("dp4a." + t, [32] * 4,
                lambda a, b, c: c + sum(part(a, i, 8, ka) * part(b, i, 8, kb) for i in range(4)))
        for mode, first in (("lo", 0), ("hi", 2)):
            integer("dp2a.%s.%s" % (mode, t), [32] * 4,
                    lambda a, b, c: c + sum(part(a, i, 16, ka) * part(b, i + first, 8, kb) for i in range(2)))


def carries():
    """The condition code is a predicate: the last input and the last output."""
    for n in (32, 64):
        for kind in "us":
            t = "%s%d" % (kind, n)
            of = (lambda x: signed(x, n)) if kind == "s" else (lambda x: x)
            high = lambda a, b: (of(a) * of(b) >> n) & mask(n)
            low = lambda a, b: a * b & mask(n)
            forms = [("add.cc", "addc", 2, lambda v, c: v[0] + v[1] + c, lambda x: x > mask(n)),
                     ("sub.cc", "subc", 2, lambda v, c: v[0] - v[1] - c, lambda x: x < 0),
                     ("mad.lo.cc", "madc.lo", 3, lambda v, c: low(v[0], v[1]) + v[2] + c, lambda x: x > mask(n)),
                     ("mad.hi.cc", "madc.hi", 3, lambda v, c: high(v[0], v[1]) + v[2] + c, lambda x: x > mask(n))]
            for begin, middle, count, value, over in forms:
                operands = " " + ", ".join(register(n, i) for i in range(count + 1)) + ";"
                vectors = sample(*[pool(n)] * count, count=10)
                emit("%s.%s%s" % (begin, t, operands),
                     [(v, [value(v, 0) & mask(n), int(over(value(v, 0)))]) for v in vectors])
                vectors = sample(*[pool(n)] * count, [0, 1], count=12)
                emit("%s.cc.%s%s" % (middle, t, operands),
                     [(v, [value(v, v[-1]) & mask(n), int(over(value(v, v[-1])))]) for v in vectors])
                emit("%s.%s%s" % (middle, t, operands), [(v, [value(v, v[-1]) & mask(n)]) for v in vectors[:10]])


# ---------------------------------------------------------------- bits

def bits():
    for n in (32, 64):
        lengths = [0, 1, 4, 8, 31, 32, 33, 63, 64, 65, 255, 256, 259]
        for kind in "us":
            integer("bfe.%s%d" % (kind, n), [n, n, 32, 32], lambda a, b, c: bfe(a, b, c, n, kind == "s"),
                    [pool(n), lengths, lengths], 32)
            for shift in (False, True):
                integer("bfind%s.%s%d" % (".shiftamt" if shift else "", kind, n), [32, n],
                        lambda a: bfind(a, n, kind == "s", shift))
        integer("bfi.b%d" % n, [n, n, n, 32, 32], lambda a, b, c, d: bfi(a, b, c, d, n),
                [pool(n), pool(n), lengths, lengths], 32)
        integer("popc.b%d" % n, [32, n], lambda a: bin(a).count("1"))
        integer("clz.b%d" % n, [32, n], lambda a: n - a.bit_length())
        integer("brev.b%d" % n, [n, n], lambda a: int(format(a, "0%db" % n)[::-1], 2))
    places = [0, 1, 2, 15, 31, 32, 33, 63, mask(32)]
    for mode in ("clamp", "wrap"):
        integer("bmsk.%s.b32" % mode, [32] * 3, lambda a, b: bmsk(a, b, mode == "clamp"), [places, places], 32)
        for kind in "us":
            integer("szext.%s.%s32" % (mode, kind), [32] * 3,
                    lambda a, b: szext(a, b, mode == "clamp", kind == "s"), [pool(32), places], 32)
        amount = lambda c: min(c, 32) if mode == "clamp" else c & 31
        integer("shf.l.%s.b32" % mode, [32] * 4, lambda a, b, c: (b << 32 | a) << amount(c) >> 32,
                [pool(32), pool(32), shifts(32)])
        integer("shf.r.%s.b32" % mode, [32] * 4, lambda a, b, c: (b << 32 | a) >> amount(c),
                [pool(32), pool(32), shifts(32)])
    integer("prmt.b32", [32] * 4, prmt, [pool(32)[9:], pool(32)[9:], [0x3210, 0x7654, 0x0123, 0xba98, 0xfedc, 0x5410] +
                                       pool(32)], 32)
    for mode, table in PRMT_MODES.items():
        integer("prmt.b32." + mode, [32] * 4, lambda a, b, c: prmt(a, b, int(table[c & 3], 16)),
                [pool(32)[9:], pool(32)[9:], [0, 1, 2, 3, 6]], 20)
    integer("fns.b32", [32] * 4, fns, [[0xaaaaaaaa, 0, mask(32), 0x80000001, 0x12345678], [0, 1, 2, 3, 31],
                                       [0, 1, 2, 5, 32, mask(32), mask(32) - 1, mask(32) - 4]], 32)
    for table in (0x00, 0x01, 0x1a, 0x40, 0x80, 0x96, 0xb8, 0xca, 0xe8, 0xfe, 0xff):
        value = lambda a, b, c: sum(bit(table, bit(a, i) << 2 | bit(b, i) << 1 | bit(c, i)) << i for i in range(32))
        emit("lop3.b32 %%r0, %%r1, %%r2, %%r3, %d;" % table, [(v, [value(*v)]) for v in sample(*[pool(32)] * 3, count=8)])
    for operator in ("or", "and"):
        vectors = sample([0, 1, 0xff00], [0, 3, 0xf000], [0, 2], [0, 1], count=32)
        value = lambda v: v[0] & v[1] & ~v[2]
        combine = (lambda x, q: x | q) if operator == "or" else (lambda x, q: x & q)
        emit("lop3.%s.b32 %%r0|%%p1, %%r2, %%r3, %%r4, 0x40, %%p5;" % operator,
             [(v, [value(v), combine(int(value(v) != 0), v[3])]) for v in vectors])
    pairs = list(itertools.product([0, 1], [0, 1]))
    for name, function in (("and", lambda a, b: a & b), ("or", lambda a, b: a | b), ("xor", lambda a, b: a ^ b)):
        emit(name + ".pred %p0, %p1, %p2;", [(v, [function(*v)]) for v in pairs])
    emit("not.pred %p0, %p1;", [((v,), [1 - v]) for v in (0, 1)])


def moves():
    for n, types in ((16, "b16 u16 s16"), (32, "b32 u32 s32 f32"), (64, "b64 u64 s64 f64")):
        for t in types.split():
            integer("mov." + t, [n, n], lambda a: a, count=4)
            integer("selp." + t, [n, n, n, 1], lambda a, b, c: a if c else b, [pool(n), pool(n), [0, 1]], 8)
            integer("slct.%s.s32" % t, [n, n, n, 32], lambda a, b, c: b if c >> 31 else a, [pool(n), pool(n), pool(32)], 8)
            for ftz in ("", ".ftz"):
                def choose(a, b, c):
                    if ftz and not c & 0x7f800000:
                        c &= 0x80000000
                    return a if c <= 0x7f800000 or c == 0x80000000 else b
                integer("slct%s.%s.f32" % (ftz, t), [n, n, n, 32], choose, [pool(n), pool(n), FLOATS[32]], 12)
    emit("mov.pred %p0, %p1;", [((v,), [v]) for v in (0, 1)])
    emit("selp.b32 %r0, %r1, %r2, !%p3;", [((5, 6, v), [6 if v else 5]) for v in (0, 1)])
    for n, parts in ((16, 2), (32, 2), (64, 2), (64, 4), (32, 4)):
        part = n // parts
        names = lambda first: "{" + ", ".join(register(part, first + i) for i in range(parts)) + "}"
        vectors = sample(*[pool(part)] * parts, count=10)
        joined = lambda v: sum(x << part * i for i, x in enumerate(v))
        emit("mov.b%d %s, %s;" % (n, register(n, 0), names(1)), [(v, [joined(v)]) for v in vectors])
        emit("mov.b%d %s, %s;" % (n, names(0), register(n, parts)), [((joined(v),), v) for v in vectors])


# ---------------------------------------------------------------- floats

def float_operation(name, f, arity, number, modifiers, count=16):
    """number: of the operands as numbers and the rounding mode."""
    parts = modifiers.split(".") if modifiers else []
    mode = next((m for m in parts if m in ("rn", "rz", "rm", "rp")), "rn")
    flags = {flag: flag in parts for flag in ("ftz", "sat", "relu")}
    text = ".".join([name] + parts + [f.name])
    operands = ", ".join(register(f.width, i) for i in range(arity + 1))
    vectors = []
    for raw in sample(*[close_operands(f)] * arity, count=count):
        raw = list(raw)
        seen = [f.flush(x) for x in raw] if flags["ftz"] else raw
        vectors.append((raw, [finish(f, number(*[f.number(x) for x in seen], mode), mode, **flags)]))
    emit("%s %s;" % (text, operands), vectors)
    return vectors


def close_operands(f):
    return FLOATS.get(f.width) if f in (F32, F64) else HALVES[f.name]


HALVES = {"f16": float_pool(F16), "bf16": float_pool(BF16)}


def packed_operation(name, f, arity, number, modifiers):
    vectors = []
    length = len(out)
    low = float_operation(name, f, arity, number, modifiers, 12)
    high = list(reversed(low))
    text = out[length].replace("." + f.name, "." + f.name + "x2").replace("%h", "%r")
    del out[length:]
    for a, b in zip(low, high):
        vectors.append(([x | y << 16 for x, y in zip(a[0], b[0])], [a[1][0] | b[1][0] << 16]))
    emit(text[2:], vectors)


SUM = lambda x, y, m: add_numbers(x, y, m)
DIFFERENCE = lambda x, y, m: add_numbers(x, y if y == "nan" else (1 - y[0], y[1]), m)
PRODUCT = lambda x, y, m: multiply_numbers(x, y)
FUSED = lambda x, y, z, m: add_numbers(multiply_numbers(x, y), z, m)
QUOTIENT = lambda x, y, m: divide_numbers(x, y)
RECIPROCAL = lambda x, m: divide_numbers((0, Fraction(1)), x)


def floats():
    modes = ["rn", "rz", "rm", "rp"]
    for name, arity, number in (("add", 2, SUM), ("sub", 2, DIFFERENCE), ("mul", 2, PRODUCT), ("fma", 3, FUSED)):
        plain = [] if name == "fma" else ["", "ftz", "sat", "ftz.sat"]
        for modifiers in plain + [m + x for m in modes for x in ("", ".ftz", ".sat", ".ftz.sat")]:
            float_operation(name, F32, arity, number, modifiers)
        for modifiers in ([""] if name != "fma" else []) + modes:
            float_operation(name, F64, arity, number, modifiers, 12)
    for modifiers in modes + [m + ".ftz" for m in modes]:
        float_operation("mad", F32, 3, FUSED, modifiers, 8)
        float_operation("div", F32, 2, QUOTIENT, modifiers)
        float_operation("rcp", F32, 1, RECIPROCAL, modifiers, 20)
        ftz = modifiers.endswith("ftz")
        emit("sqrt.%s.f32 %%r0, %%r1;" % modifiers,
             [((x,), [square_root(F32, F32.flush(x) if ftz else x, modifiers[:2])]) for x in random.sample(FLOATS[32], 16)])
    for m in modes:
        float_operation("mad", F64, 3, FUSED, m, 8)
        float_operation("div", F64, 2, QUOTIENT, m, 16)
        float_operation("rcp", F64, 1, RECIPROCAL, m, 16)
        emit("sqrt.%s.f64 %%q0, %%q1;" % m, [((x,), [square_root(F64, x, m)]) for x in random.sample(FLOATS[64], 14)])
    for f in (F16, BF16):
        extra = ["", "ftz", "sat", "rn.ftz.sat"] if f is F16 else ["", "rn"]
        for name, number in (("add", SUM), ("sub", DIFFERENCE), ("mul", PRODUCT)):
            for modifiers in extra:
                float_operation(name, f, 2, number, modifiers, 14)
                packed_operation(name, f, 2, number, modifiers)
        for modifiers in ["rn", "rn.relu"] + (["rn.ftz", "rn.sat", "rn.ftz.relu"] if f is F16 else []):
            float_operation("fma", f, 3, FUSED, modifiers)
            packed_operation("fma", f, 3, FUSED, modifiers)


def extreme(f, greatest, a, b, parts):
    """PTX ISA's pseudo code of min and max."""
    if "ftz" in parts:
        a, b = f.flush(a), f.flush(b)
    sign = (a ^ b) & f.sign
    if "xorsign" in parts:
        a, b = a & ~f.sign, b & ~f.sign
    x, y = f.number(a), f.number(b)
    if x == "nan" and y == "nan" or "NaN" in parts and "nan" in (x, y):
        return f.nan
    if "nan" in (x, y):
        result = b if x == "nan" else a
    else:
        key = lambda n: (-n[1] if n[0] else n[1], -n[0])
        result = a if (key(x) > key(y) if greatest else key(x) < key(y)) else b
    return result | sign if "xorsign" in parts else result


def signs_and_extremes():
    for f in (F32, F64, F16, BF16):
        n, pool_of = f.width, close_operands(f)
        variants = [""] if f is F64 else ["", "NaN", "xorsign.abs", "NaN.xorsign.abs"]
        if f in (F32, F16):
            variants += ["ftz", "ftz.NaN", "ftz.NaN.xorsign.abs"]
        for name, modifiers in itertools.product(("min", "max"), variants):
            text = ".".join(x for x in (name, modifiers, f.name) if x)
            value = lambda a, b: extreme(f, name == "max", a, b, modifiers.split("."))
            integer(text, [n] * 3, value, [pool_of, pool_of], 16)
            if n == 16:
                integer(text + "x2", [32] * 3, halves(value), [pack(pool_of)] * 2, 10)
        for ftz in [""] + ([".ftz"] if f in (F32, F16) else []):
            see = f.flush if ftz else (lambda x: x)
            for name, value in (("neg", lambda a: see(a) ^ f.sign), ("abs", lambda a: see(a) & ~f.sign)):
                integer("%s%s.%s" % (name, ftz, f.name), [n] * 2, value, [pool_of], 16)
                if n == 16:
                    integer("%s%s.%sx2" % (name, ftz, f.name), [32] * 2,
                            lambda a: value(a & 0xffff) | value(a >> 16) << 16, [pack(pool_of)], 12)
        if n >= 32:
            integer("copysign." + f.name, [n] * 3, lambda a, b: a & f.sign | b & ~f.sign, [pool_of, pool_of], 12)
            tests = {"finite": lambda m: m < f.infinity, "infinite": lambda m: m == f.infinity,
                     "number": lambda m: m <= f.infinity, "notanumber": lambda m: m > f.infinity,
                     "normal": lambda m: 1 << f.fraction_bits <= m < f.infinity,
                     "subnormal": lambda m: 0 < m < 1 << f.fraction_bits}
            for name, holds in tests.items():
                emit("testp.%s.%s %%p0, %s;" % (name, f.name, register(n, 1)),
                     [((x,), [int(holds(x & ~f.sign))]) for x in pool_of[:28]])


def pack(pool_of):
    return [random.choice(pool_of) | random.choice(pool_of) << 16 for _ in range(40)]


# ---------------------------------------------------------------- comparisons

ORDERED = {"eq": "e", "ne": "lg", "lt": "l", "le": "le", "gt": "g", "ge": "ge"}
UNSIGNED = {"lo": "l", "ls": "le", "hi": "g", "hs": "ge"}
FLOATING = dict(ORDERED, equ="eu", neu="lgu", ltu="lu", leu="leu", gtu="gu", geu="geu", num="leg", nan="u")


def relation(a, b):
    return "l" if a < b else "g" if a > b else "e"


def float_relation(f, a, b):
    x, y = f.number(a), f.number(b)
    if "nan" in (x, y):
        return "u"
    value = lambda n: -n[1] if n[0] else n[1]
    return relation(value(x), value(y))


BOOLEAN = {"and": lambda x, y: x & y, "or": lambda x, y: x | y, "xor": lambda x, y: x ^ y}


def compare(t, n, names, relate, values, ftz=""):
    equal = [(x, x) for x in random.sample(values, 3)] + [(values[0], values[0])]
    a, b = register(n, 2), register(n, 3)
    for name, holds in names.items():
        pairs = sample(values, values, count=5) + equal
        hit = lambda v: int(relate(v[0], v[1]) in holds)
        emit("setp.%s%s.%s %%p0|%%p1, %s, %s;" % (name, ftz, t, a, b), [(v, [hit(v), 1 - hit(v)]) for v in pairs])
        emit("setp.%s%s.%s %%p0, %s, %s;" % (name, ftz, t, a, b), [(v, [hit(v)]) for v in pairs[-4:]])
        d, yes = random.choice([("u32", mask(32)), ("s32", mask(32)), ("f32", 0x3f800000)])
        emit("set.%s%s.%s.%s %%r0, %s, %s;" % (name, ftz, d, t, a, b), [(v, [yes * hit(v)]) for v in pairs[-4:]])
    name, holds = list(names.items())[len(t) % len(names)]
    for boolean, function in BOOLEAN.items():
        vectors = [v + (c,) for v in pairs[-6:] for c in (0, 1)]
        text = "setp.%s.%s%s.%s %%p0|%%p1, %s, %s, " % (name, boolean, ftz, t, a, b)
        emit(text + "%p4;", [(v, [function(hit(v), v[2]), function(1 - hit(v), v[2])]) for v in vectors])
        emit(text + "!%p4;", [(v, [function(hit(v), 1 - v[2]), function(1 - hit(v), 1 - v[2])]) for v in vectors[:4]])
        emit("set.%s.%s%s.s32.%s %%r0, %s, %s, %%p4;" % (name, boolean, ftz, t, a, b),
             [(v, [mask(32) * function(hit(v), v[2])]) for v in vectors[:6]])


def comparisons():
    for n in (16, 32, 64):
        compare("u%d" % n, n, dict(ORDERED, **UNSIGNED), relation, pool(n))
        compare("s%d" % n, n, ORDERED, lambda a, b: relation(signed(a, n), signed(b, n)), pool(n))
        compare("b%d" % n, n, {"eq": "e", "ne": "lg"}, relation, pool(n))
    compare("f32", 32, FLOATING, lambda a, b: float_relation(F32, a, b), FLOATS[32])
    compare("f64", 64, FLOATING, lambda a, b: float_relation(F64, a, b), FLOATS[64])
    compare("f32", 32, FLOATING, lambda a, b: float_relation(F32, F32.flush(a), F32.flush(b)), FLOATS[32], ".ftz")
    for f in (F16, BF16):
        values = close_operands(f)
        pairs = sample(values, values, count=6) + [(x, x) for x in values[:2]]
        packed = sample(pack(values), pack(values), count=6)
        for name, holds in FLOATING.items():
            hit = lambda a, b: int(float_relation(f, a & 0xffff, b & 0xffff) in holds)
            emit("setp.%s.%s %%p0, %%h1, %%h2;" % (name, f.name), [(v, [hit(*v)]) for v in pairs])
            both = lambda v: [hit(*v), hit(v[0] >> 16, v[1] >> 16)]
            emit("setp.%s.%sx2 %%p0|%%p1, %%r2, %%r3;" % (name, f.name), [(v, both(v)) for v in packed])
            one = f.round(0, Fraction(1))
            emit("set.%s.%s.%s %%h0, %%h1, %%h2;" % (name, f.name, f.name), [(v, [one * hit(*v)]) for v in pairs[-4:]])
            emit("set.%s.%sx2.%sx2 %%r0, %%r1, %%r2;" % (name, f.name, f.name),
                 [(v, [one * both(v)[0] | one * both(v)[1] << 16]) for v in packed[:4]])
            emit("set.%s.u32.%sx2 %%r0, %%r1, %%r2;" % (name, f.name),
                 [(v, [0xffff * both(v)[0] | 0xffff0000 * both(v)[1]]) for v in packed[:4]])


# ---------------------------------------------------------------- conversions

FORMATS = {"f16": F16, "bf16": BF16, "f32": F32, "f64": F64}
INTEGERS = ["u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64"]


def limits(t):
    n = int(t[1:])
    return (-(1 << n - 1), (1 << n - 1) - 1) if t[0] == "s" else (0, mask(n))


def to_integer(value, mode):
    """A signed Fraction to an integer by rni, rzi, rmi or rpi."""
    down = math.floor(value)
    if mode == "rmi":
        return down
    if mode == "rpi":
        return math.ceil(value)
    if mode == "rzi":
        return down if value >= 0 else math.ceil(value)
    return round(value)  # Python rounds halves of a Fraction to even


def float_to_integer(f, raw, t, mode):
    x = f.number(raw)
    if x == "nan":
        return 1 << int(t[1:]) - 1 if f is F64 or t in ("s64", "u64") else 0
    low, high = limits(t)
    if x[1] == math.inf:
        return low if x[0] else high
    return clamp(to_integer(-x[1] if x[0] else x[1], mode), low, high)


def around_limits(f, t):
    """Numbers of a format near the ends of an integer type, and halves."""
    values = [Fraction(k, 2) for k in (0, 1, 2, 3, 5, 7, 9, 255, 511, 513, 65535)]
    for limit in limits(t):
        values += [limit + Fraction(d, 2) for d in (-3, -2, -1, 0, 1, 2, 3)] + [2 * limit + 5]
    found = [f.round(int(v < 0), abs(v), m) for v in values for m in ("rz", "rp")]
    return sorted(set(found + [x | f.sign for x in found[:20:2]] + close_operands(f)[:26]))


def spread(values, count):
    return values if len(values) <= count else random.sample(values, count)


def conversions():
    for to, source in itertools.product(INTEGERS, INTEGERS):
        n, m = int(to[1:]), int(source[1:])
        of = (lambda x: signed(x, m)) if source[0] == "s" else (lambda x: x)
        integer("cvt.%s.%s" % (to, source), [n, m], of, [pool(m)], 4)
        integer("cvt.sat.%s.%s" % (to, source), [n, m], lambda x: clamp(of(x), *limits(to)), [pool(m)], 5)
    for to, (name, f) in itertools.product(INTEGERS, FORMATS.items()):
        for mode in ("rni", "rzi", "rmi", "rpi"):
            values = spread(around_limits(f, to), 12 if mode == "rzi" else 6)
            integer("cvt.%s.%s.%s" % (mode, to, name), [int(to[1:]), f.width],
                    lambda x: float_to_integer(f, x, to, mode), [values], 24)
    integer("cvt.rni.ftz.s32.f32", [32, 32], lambda x: float_to_integer(F32, F32.flush(x), "s32", "rni"), [FLOATS[32]], 12)
    integer("cvt.rpi.ftz.s32.f32", [32, 32], lambda x: float_to_integer(F32, F32.flush(x), "s32", "rpi"), [FLOATS[32]], 24)
    for source, (name, f) in itertools.product(INTEGERS, FORMATS.items()):
        n = int(source[1:])
        of = (lambda x: signed(x, n)) if source[0] == "s" else (lambda x: x)
        for mode in ("rn", "rz", "rm", "rp"):
            values = pool(n) + [x & mask(n) for x in ((1 << 24) + 1, (1 << 24) + 3, (1 << 53) + 1, (1 << 25) + 1,
                                                      (1 << 63) + (1 << 39) + 1, 257, 259, 2049, 2051)]
            integer("cvt.%s.%s.%s" % (mode, name, source), [f.width, n],
                    lambda x: f.round(int(of(x) < 0), Fraction(abs(of(x))), mode), [spread(values, 5)], 5)
    float_conversions()


def float_conversions():
    for (to, g), (source, f) in itertools.product(FORMATS.items(), FORMATS.items()):
        operands = lambda: close_operands(f) + halfway(f, g)
        if g is f:
            integer_valued(f, operands())
            continue
        loses = g.precision < f.precision or (g, f) == (F16, BF16)
        for mode in ("rn", "rz", "rm", "rp") if loses else [""]:
            for flags in [""] + ([".sat"] if g is not BF16 else []) + ([".ftz"] if F32 in (f, g) else []):
                def value(raw):
                    number = f.number(F32.flush(raw) if ".ftz" in flags and f is F32 else raw)
                    return finish(g, number, mode or "rn", ".ftz" in flags and g is F32, ".sat" in flags)
                text = "cvt%s%s.%s.%s" % ("." + mode if mode else "", flags, to, source)
                integer(text, [g.width, f.width], value, [spread(operands(), 24)], 16 if not flags else 6)
    for name, g in (("f16", F16), ("bf16", BF16)):
        operands = FLOATS[32] + halfway(F32, g)
        for mode, flags in itertools.product(("rn", "rz"), ("", ".relu", ".satfinite", ".relu.satfinite")):
            def one(raw):
                x = F32.number(raw)
                bits = finish(g, x, mode, relu="relu" in flags)
                return bits - 1 if "satfinite" in flags and bits & ~g.sign == g.infinity else bits
            text = "cvt.%s%s.%s" % (mode, flags, name)
            if flags:
                integer(text + ".f32", [16, 32], one, [spread(operands, 12)], 12)
            integer(text + "x2.f32", [32] * 3, lambda a, b: one(a) << 16 | one(b), [operands, operands], 14)
    tf32 = Format("tf32", 19, 11, -126, 0)
    def to_tf32(raw):
        x = F32.number(raw)
        return F32.nan if x == "nan" else tf32.round(x[0], x[1], "rna") << 13
    integer("cvt.rna.tf32.f32", [32, 32], to_tf32, [spread(FLOATS[32] + halfway(F32, tf32), 32)], 32)
    s = lambda x, t: clamp(signed(x, 32), *limits(t)) & mask(int(t[1:]))
    for t in ("u16", "s16"):
        integer("cvt.pack.sat.%s.s32" % t, [32] * 3, lambda a, b: s(a, t) << 16 | s(b, t), count=16)
    for t in ("u8", "s8"):
        integer("cvt.pack.sat.%s.s32.b32" % t, [32] * 4, lambda a, b, c: s(b, t) | s(a, t) << 8 | c << 16, count=16)


def halfway(f, g):
    """Numbers of f halfway between two of g, and next to that; and at the ends of g."""
    found = []
    for raw in close_operands(g)[:40] if g.name != "tf32" else [x & mask(19) for x in FLOATS[32]]:
        x = g.number(raw)
        if x == "nan" or x[1] == math.inf:
            continue
        above = g.number((raw & ~g.sign) + 1)
        if above == "nan":
            continue
        end = two(g.largest_exponent() + 1) if above[1] == math.inf else above[1]
        middle = f.round(x[0], (x[1] + end) / 2, "rz")
        found += [middle, middle + 1, middle - 1 if middle & ~f.sign else middle]
    return [x for x in found if 0 <= x <= mask(f.width)]


def integer_valued(f, operands):
    """cvt.rni.f32.f32 and the like: to a whole number in the same format."""
    def whole(raw, mode, ftz, sat):
        x = f.number(f.flush(raw) if ftz else raw)
        if x != "nan" and x[1] != math.inf and mode:
            value = to_integer(-x[1] if x[0] else x[1], mode)
            x = (x[0], Fraction(abs(value)))
        return finish(f, x, "rn", ftz, sat)
    halves_of = [f.round(s, Fraction(k, 4)) for k in range(14) for s in (0, 1)]
    for mode in ("", "rni", "rzi", "rmi", "rpi"):
        for flags in [""] + ([".sat"] if f is not BF16 else []) + ([".ftz"] if f is F32 else []):
            text = "cvt%s%s.%s.%s" % ("." + mode if mode else "", flags, f.name, f.name)
            integer(text, [f.width] * 2, lambda x: whole(x, mode, ".ftz" in flags, ".sat" in flags),
                    [spread(operands, 7) + spread(halves_of, 9)], 16)


basic_integers()
packed_integers()
carries()
bits()
moves()
floats()
signs_and_extremes()
comparisons()
conversions()

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "emulator", "tests", "golden", "arithmetic.txt")
text = "\n".join(out) + "\n"
with open(path, "w") as file:
    file.write(text)
print(sum(line[0] == ">" for line in out), "instructions,", sum(line[0] != ">" for line in out), "vectors,", len(text), "bytes")
