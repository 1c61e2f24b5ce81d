"""What ptx_arithmetic.py computes with: formats of floats as exact rational numbers, pools of operands with all the edges,
and the lines of the golden file.
"""
import itertools
import math
import random
from fractions import Fraction

random.seed(20240607)
out = []


def emit(text, vectors):
    """A vector is (inputs, outputs); at most 32 of them, as there are lanes."""
    vectors = list(vectors)
    assert vectors, text
    out.append("> " + text)
    for inputs, outputs in vectors[:32]:
        out.append(" ".join("%x" % x for x in inputs) + " = " + " ".join("%x" % x for x in outputs))


def sample(*pools, count=32):
    """Tuples out of the pools: each value of the longest pool at least once where it fits, the rest by chance."""
    product = list(itertools.product(*pools)) if math.prod(map(len, pools)) <= 4096 else None
    if product is not None and len(product) <= count:
        return product
    return [tuple(random.choice(pool) for pool in pools) for _ in range(count)]


def mask(n):
    return (1 << n) - 1


def signed(x, n):
    x &= mask(n)
    return x - (1 << n) if x >> (n - 1) else x


def pool(n):
    return [0, 1, 2, 7, mask(n), mask(n) - 1, 1 << (n - 1), (1 << (n - 1)) - 1, (1 << (n - 1)) + 1] + \
        [random.getrandbits(n) for _ in range(8)] + [random.getrandbits(n // 2) for _ in range(3)]


def register(n, i):
    return "%%%s%d" % ({1: "p", 8: "h", 16: "h", 32: "r", 64: "q"}[n], i)


def integer(text, widths, function, pools=None, count=11):
    """widths: of the destination and of each source; function: of the sources as raw bits."""
    operands = ", ".join(register(n, i) for i, n in enumerate(widths))
    pools = pools or [pool(n) for n in widths[1:]]
    emit("%s %s;" % (text, operands),
         [(v, [function(*v) & mask(widths[0])]) for v in sample(*pools, count=count)])


class Format:
    def __init__(self, name, width, precision, smallest, not_a_number):
        self.name, self.width, self.precision, self.smallest = name, width, precision, smallest
        self.nan = not_a_number
        self.fraction_bits = precision - 1
        self.infinity = mask(width - 1 - self.fraction_bits) << self.fraction_bits
        self.sign = 1 << width - 1

    def number(self, raw):
        """'nan', or (sign, value) with value a Fraction or infinity."""
        sign, magnitude = raw >> self.width - 1 & 1, raw & mask(self.width - 1)
        if magnitude > self.infinity:
            return "nan"
        if magnitude == self.infinity:
            return sign, math.inf
        exponent, fraction = magnitude >> self.fraction_bits, magnitude & mask(self.fraction_bits)
        if exponent == 0:
            return sign, Fraction(fraction) * two(self.smallest - self.fraction_bits)
        return sign, Fraction(fraction | 1 << self.fraction_bits) * two(exponent - 1 + self.smallest - self.fraction_bits)

    def flush(self, raw):
        return raw & self.sign if raw & self.infinity == 0 else raw

    def round(self, sign, value, mode="rn"):
        """The bits of a magnitude (Fraction or infinity) of that sign."""
        top = self.sign if sign else 0
        if value == math.inf:
            return top | self.infinity
        if value == 0:
            return top
        exponent = floor_log2(value)
        unit = two(max(exponent, self.smallest) - self.fraction_bits)
        count, rest = divmod(value, unit)
        count = int(count)
        if mode == "rn":
            up = rest > unit / 2 or (rest == unit / 2 and count & 1)
        elif mode == "rna":
            up = rest >= unit / 2
        else:
            up = rest > 0 and (mode == "rp" and not sign or mode == "rm" and sign)
        rounded = (count + bool(up)) * unit
        limit = two(self.largest_exponent() + 1)
        if rounded >= limit:
            stays = mode == "rz" or (mode == "rm" and not sign) or (mode == "rp" and sign)
            return top | (self.infinity - 1 if stays else self.infinity)
        exponent = max(floor_log2(rounded), self.smallest) if rounded else self.smallest
        count = int(rounded / two(exponent - self.fraction_bits))
        if count >> self.fraction_bits:
            return top | (exponent - self.smallest + 1) << self.fraction_bits | count & mask(self.fraction_bits)
        return top | count

    def largest_exponent(self):
        return (self.infinity >> self.fraction_bits) - 2 + self.smallest


def two(n):
    return Fraction(2) ** n


def floor_log2(value):
    n = value.numerator.bit_length() - value.denominator.bit_length()
    return n if two(n) <= value else n - 1


F16 = Format("f16", 16, 11, -14, 0x7fff)
BF16 = Format("bf16", 16, 8, -126, 0x7fff)
F32 = Format("f32", 32, 24, -126, 0x7fffffff)
F64 = Format("f64", 64, 53, -1022, 0x7ff8000000000000)


def float_pool(f, extra=()):
    one = (-f.smallest + 0) << f.fraction_bits
    near = [one, one + 1, one - 1, one + (1 << f.fraction_bits - 1), one + (2 << f.fraction_bits)]
    edges = [0, 1, mask(f.fraction_bits), 1 << f.fraction_bits, f.infinity - 1, f.infinity, f.infinity | 1 << f.fraction_bits - 1]
    values = edges + near + list(extra)
    chance = [random.getrandbits(f.width) for _ in range(10)]
    middle = [one + random.randrange(-5 << f.fraction_bits, 5 << f.fraction_bits) for _ in range(14)]
    return values + [x | f.sign for x in values] + chance + middle


FLOATS = {32: float_pool(F32), 64: float_pool(F64)}


def add_numbers(x, y, mode):
    """(sign, magnitude) or 'nan' of the exact sum."""
    if x == "nan" or y == "nan":
        return "nan"
    if x[1] == math.inf or y[1] == math.inf:
        if x[1] == y[1] and x[0] != y[0]:
            return "nan"
        return x if x[1] == math.inf else y
    total = (-x[1] if x[0] else x[1]) + (-y[1] if y[0] else y[1])
    if total == 0:
        return (x[0] if x[0] == y[0] else int(mode == "rm")), Fraction(0)
    return int(total < 0), abs(total)


def multiply_numbers(x, y):
    if x == "nan" or y == "nan":
        return "nan"
    if math.inf in (x[1], y[1]):
        return "nan" if 0 in (x[1], y[1]) else (x[0] ^ y[0], math.inf)
    return x[0] ^ y[0], x[1] * y[1]


def divide_numbers(x, y):
    if x == "nan" or y == "nan" or (x[1] == 0 and y[1] == 0) or (x[1] == math.inf and y[1] == math.inf):
        return "nan"
    sign = x[0] ^ y[0]
    if x[1] == math.inf or y[1] == 0:
        return sign, math.inf
    return sign, Fraction(0) if y[1] == math.inf else x[1] / y[1]


def finish(f, number, mode="rn", ftz=False, sat=False, relu=False):
    bits = f.nan if number == "nan" else f.round(number[0], number[1], mode)
    if ftz:
        bits = f.flush(bits)
    if relu and number != "nan" and bits & f.sign:
        bits = 0
    if sat:
        one = f.round(0, Fraction(1))
        bits = 0 if number == "nan" or bits & f.sign else min(bits, one)
    return bits


def square_root(f, raw, mode):
    x = f.number(raw)
    if x == "nan" or (x[0] and x[1] != 0):
        return f.nan
    if x[1] in (0, math.inf):
        return raw
    # A root with 200 bits and a sticky one after them rounds as the exact root does.
    scale = 200 + 2 * 1100
    scaled = x[1] * two(2 * scale)
    root = math.isqrt(int(scaled))
    exact = Fraction(root) if Fraction(root) ** 2 == scaled else Fraction(2 * root + 1, 2)
    return f.round(0, exact / two(scale), mode)
