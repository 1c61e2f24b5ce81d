/* The operations of pickles that push one value which they carry themselves: numbers, texts, bytes. Texts stay in the mapped
 * file where they are written as they are; those of protocol 0 have escapes and are copied. */
#include "io/weights/pickle_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS = 64 };

static enum status push_plain(struct pickle *pickle, int opcode)
{
    struct torch_value value = {.kind = TORCH_NONE};
    if (opcode != 'N')
        value = (struct torch_value){.kind = TORCH_BOOL, .boolean = opcode == 0x88};
    return pickle_push(pickle, value);
}

static struct torch_value integer(int64_t number)
{
    return (struct torch_value){.kind = TORCH_INTEGER, .integer = number};
}

/* BININT, BININT1, BININT2 */
static enum status push_binary_integer(struct pickle *pickle, int opcode)
{
    uint64_t number;
    enum status result = pickle_number(pickle, opcode == 'J' ? 4 : opcode == 'M' ? 2 : 1, &number);
    if (result != STATUS_OK)
        return result;
    return pickle_push(pickle, integer(opcode == 'J' ? (int32_t)(uint32_t)number : (int64_t)number));
}

/* LONG1, LONG4: two's complement of any length. */
static enum status push_long(struct pickle *pickle, int opcode)
{
    uint64_t length, number = 0;
    const unsigned char *bytes;
    enum status result = pickle_number(pickle, opcode == 0x8a ? 1 : 4, &length);
    if (result == STATUS_OK)
        result = pickle_bytes(pickle, length, &bytes);
    if (result != STATUS_OK)
        return result;
    if (length > 8)
        return pickle_push(pickle, (struct torch_value){.kind = TORCH_OPAQUE, .class_name = "int"});
    for (uint64_t i = 0; i < length; i++)
        number |= (uint64_t)bytes[i] << (8 * i);
    if (length > 0 && length < 8 && bytes[length - 1] & 0x80)
        number |= UINT64_MAX << (8 * length);
    return pickle_push(pickle, integer((int64_t)number));
}

/* INT, LONG, FLOAT: digits on a line. "00" and "01" are INT's False and True. */
static enum status push_digits(struct pickle *pickle, int opcode)
{
    const char *line;
    int64_t length;
    char digits[DIGITS + 1], *end;
    enum status result = pickle_line(pickle, DIGITS, &line, &length);
    if (result != STATUS_OK)
        return result;
    memcpy(digits, line, (size_t)length);
    digits[length] = 0;
    if (opcode == 'I' && (strcmp(digits, "00") == 0 || strcmp(digits, "01") == 0))
        return pickle_push(pickle, (struct torch_value){.kind = TORCH_BOOL, .boolean = digits[1] == '1'});
    struct torch_value value = {.kind = TORCH_REAL};
    errno = 0;
    if (opcode == 'F') {
        value.real = strtod(digits, &end);
    } else {
        value = integer(strtoll(digits, &end, 10));
        end += opcode == 'L' && *end == 'L';
        if (errno == ERANGE)
            value = (struct torch_value){.kind = TORCH_OPAQUE, .class_name = "int"};
    }
    if (length == 0 || end != digits + length)
        return PICKLE_REFUSE("expected a number, found \"%s\"", digits);
    return pickle_push(pickle, value);
}

static enum status push_binary_real(struct pickle *pickle, int opcode)
{
    const unsigned char *bytes;
    enum status result = pickle_bytes(pickle, 8, &bytes);
    uint64_t bits = 0;
    struct torch_value value = {.kind = TORCH_REAL};
    (void)opcode;
    if (result != STATUS_OK)
        return result;
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | bytes[i];
    memcpy(&value.real, &bits, sizeof bits);
    return pickle_push(pickle, value);
}

/* Texts and bytes behind their length. Python 2 did not tell the two apart: its strings are texts here. */
static enum status push_text(struct pickle *pickle, int opcode)
{
    static const struct {
        int opcode, width;
        enum torch_kind kind;
    } forms[] = {
        {'T', 4, TORCH_STRING},  {'U', 1, TORCH_STRING},  {'X', 4, TORCH_STRING},
        {0x8c, 1, TORCH_STRING}, {0x8d, 8, TORCH_STRING}, {'B', 4, TORCH_BYTES},
        {'C', 1, TORCH_BYTES},   {0x8e, 8, TORCH_BYTES},  {0x96, 8, TORCH_BYTES},
    };
    size_t form = 0;
    while (forms[form].opcode != opcode)
        form++;
    uint64_t length;
    const unsigned char *bytes;
    enum status result = pickle_number(pickle, forms[form].width, &length);
    if (result == STATUS_OK)
        result = pickle_bytes(pickle, length, &bytes);
    if (result != STATUS_OK)
        return result;
    return pickle_push(
        pickle, (struct torch_value){.kind = forms[form].kind, .text = (const char *)bytes, .size = (int64_t)length});
}

static int hexadecimal(char digit)
{
    return digit >= '0' && digit <= '9'   ? digit - '0'
           : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
           : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10
                                          : -1;
}

static int64_t put_utf8(char *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    out[0] = (char)((0xff00 >> (more + 1) & 0xff) | code >> (6 * more));
    for (int i = 1; i <= more; i++)
        out[i] = (char)(0x80 | (code >> (6 * (more - i)) & 0x3f));
    return more + 1;
}

/* The escape behind a backslash; its length, or 0. A text knows only \u and \U, since its other characters are as they are. */
static int64_t read_escape(const char *text, int64_t left, bool unicode, uint32_t *code)
{
    static const char plain[] = "\\'\"ntr", meaning[] = "\\'\"\n\t\r";
    if (left < 1)
        return 0;
    const char *found = !unicode && *text ? strchr(plain, *text) : NULL;
    if (found) {
        *code = (unsigned char)meaning[found - plain];
        return 1;
    }
    int digits = unicode ? *text == 'u' ? 4 : *text == 'U' ? 8 : 0 : *text == 'x' ? 2 : 0;
    if (digits == 0 || left < 1 + digits)
        return 0;
    *code = 0;
    for (int i = 1; i <= digits; i++) {
        int digit = hexadecimal(text[i]);
        if (digit < 0)
            return 0;
        *code = *code << 4 | (uint32_t)digit;
    }
    return *code <= 0x10ffff ? 1 + digits : 0;
}

/* STRING and UNICODE of protocol 0: a line with escapes. STRING is in quotes. */
static enum status push_escaped(struct pickle *pickle, int opcode)
{
    const char *line;
    int64_t length, size = 0;
    void *memory;
    bool unicode = opcode == 'V';
    enum status result = pickle_line(pickle, INT64_MAX, &line, &length);
    if (result != STATUS_OK)
        return result;
    if (!unicode) {
        if (length < 2 || (line[0] != '\'' && line[0] != '"') || line[length - 1] != line[0])
            return PICKLE_REFUSE("expected a text in quotes");
        line++;
        length -= 2;
    }
    result = pickle_take(pickle->memory, 2 * length, &memory); /* Latin-1 in UTF-8 */
    if (result != STATUS_OK)
        return result;
    char *text = memory;
    for (int64_t at = 0; at < length;) {
        uint32_t code = (unsigned char)line[at++];
        bool escaped = code == '\\';
        int64_t taken = escaped ? read_escape(line + at, length - at, unicode, &code) : 0;
        if (escaped && taken == 0 && !unicode)
            return PICKLE_REFUSE("a text with an unknown escape");
        at += taken;
        if (unicode)
            size += put_utf8(text + size, code);
        else
            text[size++] = (char)code;
    }
    return pickle_push(pickle, (struct torch_value){.kind = TORCH_STRING, .text = text, .size = size});
}

pickle_operation pickle_constant(int opcode)
{
    static const pickle_operation operations[256] = {
        ['N'] = push_plain,          [0x88] = push_plain,         [0x89] = push_plain,  ['J'] = push_binary_integer,
        ['K'] = push_binary_integer, ['M'] = push_binary_integer, [0x8a] = push_long,   [0x8b] = push_long,
        ['I'] = push_digits,         ['L'] = push_digits,         ['F'] = push_digits,  ['G'] = push_binary_real,
        ['T'] = push_text,           ['U'] = push_text,           ['X'] = push_text,    [0x8c] = push_text,
        [0x8d] = push_text,          ['B'] = push_text,           ['C'] = push_text,    [0x8e] = push_text,
        [0x96] = push_text,          ['S'] = push_escaped,        ['V'] = push_escaped,
    };
    return operations[opcode];
}
