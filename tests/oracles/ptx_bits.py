"""Fields of bits and bytes, walked bit by bit as the pseudo code of NVIDIA's "PTX ISA" 9.0 does."""
from ptx_numbers import mask, signed


def bit(x, i):
    return x >> i & 1


def bfe(a, b, c, n, is_signed):
    position, length, msb = b & 255, c & 255, n - 1
    fill = 0 if not is_signed or length == 0 else bit(a, min(position + length - 1, msb))
    return sum((bit(a, position + i) if i < length and position + i <= msb else fill) << i for i in range(n))


def bfi(a, b, c, d, n):
    f, position, length = b, c & 255, d & 255
    for i in range(length):
        if position + i < n:
            f = f & ~(1 << position + i) | bit(a, i) << position + i
    return f


def bmsk(a, b, clamps):
    if clamps and a >= 32:
        return 0
    width = 32 if clamps and b >= 32 else b & 31
    return sum(1 << i for i in range(32) if (a & 31) <= i < (a & 31) + width)


def szext(a, b, clamps, is_signed):
    if clamps and b >= 32:
        return a
    n = b & 31
    low = a & mask(n)
    return low | (mask(32) & ~mask(n) if is_signed and n and bit(a, n - 1) else 0)


def bfind(a, n, is_signed, shift):
    if is_signed and bit(a, n - 1):
        a = ~a & mask(n)
    d = a.bit_length() - 1
    return mask(32) if d < 0 else n - 1 - d if shift else d


def prmt(a, b, c):
    data = [(a | b << 32) >> 8 * i & 255 for i in range(8)]
    result = 0
    for i in range(4):
        nibble = c >> 4 * i & 15
        byte = data[nibble & 7]
        result |= ((255 if byte & 128 else 0) if nibble & 8 else byte) << 8 * i
    return result


# PTX ISA's table: source bytes for d's bytes 3, 2, 1, 0.
PRMT_MODES = {
    "f4e": ["3210", "4321", "5432", "6543"], "b4e": ["5670", "6701", "7012", "0123"],
    "rc8": ["0000", "1111", "2222", "3333"], "ecl": ["3210", "3211", "3222", "3333"],
    "ecr": ["0000", "1110", "2210", "3210"], "rc16": ["1010", "3232", "1010", "3232"]}


def fns(m, base, offset):
    offset = signed(offset, 32)
    if offset == 0:
        return base if bit(m, base) else mask(32)
    found = [i for i in (range(base, 32) if offset > 0 else range(base, -1, -1)) if bit(m, i)]
    return found[abs(offset) - 1] if abs(offset) <= len(found) else mask(32)
