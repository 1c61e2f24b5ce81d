/* A scanner needs to know only how deep it is and whether a comma is due: what is expected next is decided by the caller,
 * who reads a known structure. Skipping a value is a loop over the same calls, not a recursion. */
#include "io/json_scan.h"

#include "core/array.h"
#include "core/utf8.h"
#include "io/text_file.h"

#include <inttypes.h>
#include <string.h>

enum { SHOWN = 40 }; /* bytes of a text in an error */

struct scan scan_start(const char *name, const char *text, int64_t size, struct scan_buffer *buffer)
{
    return (struct scan){.name = name, .text = text, .size = size, .at = text_mark(text, size), .buffer = buffer};
}

static enum status broken(const struct scan *scan, const char *expected)
{
    if (scan->at >= scan->size)
        return status_set(STATUS_CORRUPT, "%s: byte %" PRId64 ": expected %s, found the end", scan->name, scan->at,
                          expected);
    unsigned char byte = (unsigned char)scan->text[scan->at];
    if (byte > ' ' && byte < 0x7f)
        return status_set(STATUS_CORRUPT, "%s: byte %" PRId64 ": expected %s, found '%c'", scan->name, scan->at,
                          expected, byte);
    return status_set(STATUS_CORRUPT, "%s: byte %" PRId64 ": expected %s, found byte 0x%02x", scan->name, scan->at,
                      expected, byte);
}

static bool is_white_space(char byte)
{
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

static char next_byte(struct scan *scan)
{
    while (scan->at < scan->size && is_white_space(scan->text[scan->at]))
        scan->at++;
    return scan->at < scan->size ? scan->text[scan->at] : '\0';
}

enum scan_kind scan_kind(struct scan *scan)
{
    char byte = next_byte(scan);
    switch (byte) {
    case '{':
        return SCAN_OBJECT;
    case '[':
        return SCAN_LIST;
    case '"':
        return SCAN_TEXT;
    case 't':
        return SCAN_TRUE;
    case 'f':
        return SCAN_FALSE;
    case 'n':
        return SCAN_NULL;
    default:
        return byte == '-' || (byte >= '0' && byte <= '9') ? SCAN_NUMBER : SCAN_BROKEN;
    }
}

/* ---- containers ---- */

static enum status enter(struct scan *scan, char bracket, const char *what)
{
    if (next_byte(scan) != bracket)
        return broken(scan, what);
    if (scan->depth == SCAN_DEPTH)
        return status_set(STATUS_CORRUPT,
                          "%s: byte %" PRId64 ": more than %d objects and lists within each other, which no file of "
                          "this kind has",
                          scan->name, scan->at, (int)SCAN_DEPTH);
    scan->at++;
    scan->depth++;
    scan->begun &= ~(UINT64_C(1) << scan->depth);
    return STATUS_OK;
}

/* Leaves the container at its closing bracket, or takes the comma that is due. */
static enum status advance(struct scan *scan, char bracket, const char *expected, bool *found)
{
    uint64_t mine = UINT64_C(1) << scan->depth;
    char byte = next_byte(scan);
    *found = byte != bracket;
    if (!*found) {
        scan->at++;
        scan->depth--;
        return STATUS_OK;
    }
    if (scan->begun & mine) {
        if (byte != ',')
            return broken(scan, expected);
        scan->at++;
    }
    scan->begun |= mine;
    return STATUS_OK;
}

enum status scan_object(struct scan *scan, const char *what)
{
    return enter(scan, '{', what);
}

enum status scan_list(struct scan *scan, const char *what)
{
    return enter(scan, '[', what);
}

enum status scan_member(struct scan *scan, struct scan_text *key, bool *found)
{
    enum status result = advance(scan, '}', "',' or '}'", found);
    if (result != STATUS_OK || !*found)
        return result;
    TRY(scan_string(scan, "a key", key));
    if (next_byte(scan) != ':')
        return broken(scan, "':'");
    scan->at++;
fail:
    return result;
}

enum status scan_element(struct scan *scan, bool *found)
{
    return advance(scan, ']', "',' or ']'", found);
}

/* ---- texts ---- */

static int hexadecimal(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

/* The four digits of \uNNNN. */
static enum status take_unit(struct scan *scan, uint32_t *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++, scan->at++) {
        int digit = scan->at < scan->size ? hexadecimal(scan->text[scan->at]) : -1;
        if (digit < 0)
            return broken(scan, "four hexadecimal digits after \\u");
        *unit = *unit * 16 + (uint32_t)digit;
    }
    return STATUS_OK;
}

static int64_t put_character(char *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const uint8_t leads[] = {0, 0xC0, 0xE0, 0xF0};
    out[0] = (char)(leads[more] | code >> (6 * more));
    for (int i = 1; i <= more; i++)
        out[i] = (char)(0x80 | (code >> (6 * (more - i)) & 0x3F));
    return more + 1;
}

static enum status take_escape(struct scan *scan, char *out, int64_t *size)
{
    static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    enum status result = STATUS_OK;
    int64_t begin = scan->at++;
    char letter = scan->at < scan->size ? scan->text[scan->at] : '\0';
    const char *name = letter ? strchr(names, letter) : NULL;
    if (name) {
        scan->at++;
        out[(*size)++] = meanings[name - names];
        return STATUS_OK;
    }
    if (letter != 'u')
        return broken(scan, "an escape of JSON after '\\'");
    scan->at++;
    uint32_t code, low = 0;
    TRY(take_unit(scan, &code));
    if (code >= 0xD800 && code < 0xDC00 && scan->size - scan->at >= 2 && memcmp(scan->text + scan->at, "\\u", 2) == 0) {
        scan->at += 2;
        TRY(take_unit(scan, &low));
    }
    if (low >= 0xDC00 && low < 0xE000)
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    else if (low != 0 || code == 0 || (code >= 0xD800 && code < 0xE000))
        FAIL(STATUS_CORRUPT, "%s: byte %" PRId64 ": %s in a text", scan->name, begin,
             code == 0 ? "NUL" : "half of a surrogate pair");
    *size += put_character(out + *size, code);
fail:
    return result;
}

/* The end of the text that begins at scan->at (behind its quote); whether it has escapes. */
static enum status check_string(const struct scan *scan, int64_t *end, bool *escaped)
{
    struct scan at = *scan;
    *escaped = false;
    for (;;) {
        unsigned char byte = at.at < at.size ? (unsigned char)at.text[at.at] : 0;
        if (byte == '"')
            break;
        if (byte < ' ')
            return broken(&at, "a text that ends with '\"'");
        size_t length = byte < 0x80 ? 1 : utf8_character(at.text + at.at, (size_t)(at.size - at.at));
        if (length == 0)
            return broken(&at, "UTF-8");
        if (byte == '\\') {
            *escaped = true;
            at.at++;
            if (at.at == at.size || (unsigned char)at.text[at.at] >= 0x80)
                return broken(&at, "an escape of JSON after '\\'");
        }
        at.at += (int64_t)length;
    }
    *end = at.at;
    return STATUS_OK;
}

enum status scan_string(struct scan *scan, const char *what, struct scan_text *text)
{
    enum status result = STATUS_OK;
    int64_t end, size = 0;
    bool escaped;
    *text = (struct scan_text){"", 0};
    if (next_byte(scan) != '"')
        return broken(scan, what);
    scan->at++;
    TRY(check_string(scan, &end, &escaped));
    if (!escaped) {
        *text = (struct scan_text){scan->text + scan->at, end - scan->at};
        scan->at = end + 1;
        return STATUS_OK;
    }
    TRY(array_grow(&scan->buffer->bytes, &scan->buffer->room, end - scan->at, "bytes of a text")); /* never longer */
    while (scan->at < end) {
        if (scan->text[scan->at] == '\\')
            TRY(take_escape(scan, scan->buffer->bytes, &size));
        else
            scan->buffer->bytes[size++] = scan->text[scan->at++];
    }
    scan->at = end + 1;
    *text = (struct scan_text){scan->buffer->bytes, size};
fail:
    return result;
}

bool scan_text_is(struct scan_text text, const char *expected)
{
    return text.size == (int64_t)strlen(expected) && memcmp(text.bytes, expected, (size_t)text.size) == 0;
}

int scan_shown(struct scan_text text)
{
    int64_t size = text.size < SHOWN ? text.size : SHOWN;
    while (size > 0 && size < text.size && ((unsigned char)text.bytes[size] & 0xC0) == 0x80)
        size--;
    return (int)size;
}

/* ---- other values ---- */

static bool take_digits(struct scan *scan)
{
    int64_t begin = scan->at;
    while (scan->at < scan->size && scan->text[scan->at] >= '0' && scan->text[scan->at] <= '9')
        scan->at++;
    return scan->at > begin;
}

static bool take(struct scan *scan, char byte)
{
    if (scan->at >= scan->size || scan->text[scan->at] != byte)
        return false;
    scan->at++;
    return true;
}

/* A number; *whole is false where it has a fraction or an exponent. */
static enum status take_number(struct scan *scan, bool *whole)
{
    take(scan, '-');
    if (!take(scan, '0') && !take_digits(scan))
        return broken(scan, "a digit");
    *whole = true;
    if (take(scan, '.')) {
        *whole = false;
        if (!take_digits(scan))
            return broken(scan, "a digit after '.'");
    }
    if (take(scan, 'e') || take(scan, 'E')) {
        *whole = false;
        if (!take(scan, '+'))
            take(scan, '-');
        if (!take_digits(scan))
            return broken(scan, "a digit of an exponent");
    }
    return STATUS_OK;
}

enum status scan_integer(struct scan *scan, const char *what, int64_t minimum, int64_t maximum, int64_t *value)
{
    enum status result = STATUS_OK;
    bool whole;
    if (scan_kind(scan) != SCAN_NUMBER)
        return broken(scan, what);
    int64_t begin = scan->at, number = 0;
    TRY(take_number(scan, &whole));
    bool negative = scan->text[begin] == '-', fits = whole;
    for (int64_t i = begin + negative; fits && i < scan->at; i++) {
        int digit = scan->text[i] - '0';
        fits = !__builtin_mul_overflow(number, 10, &number) &&
               !__builtin_add_overflow(number, negative ? -digit : digit, &number);
    }
    if (!fits || number < minimum || number > maximum)
        FAIL(STATUS_CORRUPT, "%s: byte %" PRId64 ": %s is %.*s, expected %" PRId64 " to %" PRId64, scan->name, begin,
             what, scan_shown((struct scan_text){scan->text + begin, scan->at - begin}), scan->text + begin, minimum,
             maximum);
    *value = number;
fail:
    return result;
}

static enum status take_word(struct scan *scan, const char *word)
{
    int64_t length = (int64_t)strlen(word);
    if (scan->size - scan->at < length || memcmp(scan->text + scan->at, word, (size_t)length) != 0)
        return broken(scan, "a value of JSON");
    scan->at += length;
    return STATUS_OK;
}

enum status scan_bool(struct scan *scan, const char *what, bool *value)
{
    enum scan_kind kind = scan_kind(scan);
    if (kind != SCAN_TRUE && kind != SCAN_FALSE)
        return broken(scan, what);
    *value = kind == SCAN_TRUE;
    return take_word(scan, *value ? "true" : "false");
}

/* Takes a value, or enters it where it is a container. */
static enum status take_value(struct scan *scan, uint64_t *objects)
{
    struct scan_text text;
    bool whole;
    enum status result;
    enum scan_kind kind = scan_kind(scan);
    switch (kind) {
    case SCAN_OBJECT:
    case SCAN_LIST:
        result = enter(scan, kind == SCAN_OBJECT ? '{' : '[', "a value of JSON");
        if (result != STATUS_OK)
            return result;
        *objects &= ~(UINT64_C(1) << scan->depth);
        *objects |= (uint64_t)(kind == SCAN_OBJECT) << scan->depth;
        return STATUS_OK;
    case SCAN_TEXT:
        return scan_string(scan, "a text", &text);
    case SCAN_NUMBER:
        return take_number(scan, &whole);
    case SCAN_TRUE:
        return take_word(scan, "true");
    case SCAN_FALSE:
        return take_word(scan, "false");
    case SCAN_NULL:
        return take_word(scan, "null");
    case SCAN_BROKEN:
        break;
    }
    return broken(scan, "a value of JSON");
}

enum status scan_skip(struct scan *scan)
{
    int outside = scan->depth;
    uint64_t objects = 0; /* bit d: the container at depth d is an object */
    struct scan_text key;
    bool found;
    enum status result;
    TRY(take_value(scan, &objects));
    while (scan->depth > outside) {
        if (objects >> scan->depth & 1)
            TRY(scan_member(scan, &key, &found));
        else
            TRY(scan_element(scan, &found));
        if (found)
            TRY(take_value(scan, &objects));
    }
fail:
    return result;
}

enum status scan_end(struct scan *scan)
{
    next_byte(scan);
    return scan->at == scan->size ? STATUS_OK : broken(scan, "the end of the text");
}
