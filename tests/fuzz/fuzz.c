#include "fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const char *fuzz_file(const uint8_t *data, size_t size)
{
    static char path[64];
    static int descriptor = -1;
    if (descriptor < 0) {
        descriptor = memfd_create("input", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    }
    if (descriptor < 0 || ftruncate(descriptor, 0) != 0 || pwrite(descriptor, data, size, 0) != (ssize_t)size) {
        fprintf(stderr, "cannot make a file in memory for %zu bytes\n", size);
        abort();
    }
    return path;
}

void fuzz_require(bool holds, const char *promise)
{
    if (holds)
        return;
    fprintf(stderr, "BROKEN PROMISE: %s (status text: \"%s\")\n", promise, status_text());
    abort();
}

void fuzz_require_refusal(enum status status, const char *name)
{
    fuzz_require(status == STATUS_CORRUPT || status == STATUS_USAGE, "an input is read or refused");
    fuzz_require(strstr(status_text(), name) && strlen(status_text()) > strlen(name) + 4, "a refusal has a reason");
}

void fuzz_touch(const void *data, int64_t size)
{
    static volatile uint8_t sink;
    const uint8_t *bytes = data;
    for (int64_t i = 0; i < size; i++)
        sink = (uint8_t)(sink + bytes[i]);
}

size_t fuzz_splice(uint8_t *data, size_t size, size_t limit, size_t at, size_t old, const void *bytes, size_t count)
{
    if (size - old + count > limit)
        return size;
    memmove(data + at + count, data + at + old, size - at - old);
    if (count > 0)
        memcpy(data + at, bytes, count);
    return size - old + count;
}

/* ---- JSON ---- */

struct token {
    size_t at, size;
};

/* Finds the first value at or after `from`: a string with its quotes, a number or a word, or a whole list or object. */
static struct token next_value(const uint8_t *data, size_t size, size_t from)
{
    static const char word[] = "-+.0123456789eEtrufalsn";
    size_t at = from;
    while (at < size && data[at] != '"' && data[at] != '[' && data[at] != '{' && !(data[at] && strchr(word, data[at])))
        at++;
    size_t end = at;
    if (at < size && data[at] == '"') {
        for (end = at + 1; end < size && data[end] != '"'; end++)
            end += data[end] == '\\' && end + 1 < size;
        end += end < size;
    } else if (at < size && (data[at] == '[' || data[at] == '{')) {
        int depth = 0;
        do
            depth += (data[end] == '[' || data[end] == '{') - (data[end] == ']' || data[end] == '}');
        while (++end < size && depth > 0);
    } else {
        while (end < size && data[end] && strchr(word, data[end]))
            end++;
    }
    return (struct token){at, end - at};
}

static struct token any_value(const uint8_t *data, size_t size, struct rng *rng)
{
    return next_value(data, size, (size_t)rng_below(rng, size));
}

static size_t put_edge(uint8_t *data, size_t size, size_t limit, struct rng *rng)
{
    static const char *const edges[] = {"0",
                                        "-1",
                                        "1",
                                        "8",
                                        "255",
                                        "65535",
                                        "65536",
                                        "2147483648",
                                        "4294967296",
                                        "4611686018427387904",
                                        "9223372036854775807",
                                        "-9223372036854775808",
                                        "1e300",
                                        "-0.0",
                                        "200000.5",
                                        "null",
                                        "true",
                                        "\"\"",
                                        "[]",
                                        "{}"};
    for (int attempt = 0; attempt < 8; attempt++) {
        struct token token = any_value(data, size, rng);
        if (token.size == 0 || (data[token.at] != '-' && (data[token.at] < '0' || data[token.at] > '9')))
            continue;
        const char *edge = edges[rng_below(rng, sizeof edges / sizeof *edges)];
        return fuzz_splice(data, size, limit, token.at, token.size, edge, strlen(edge));
    }
    return LLVMFuzzerMutate(data, size, limit);
}

/* Puts a copy of one value in the place of another. */
static size_t copy_value(uint8_t *data, size_t size, size_t limit, struct rng *rng)
{
    struct token from = any_value(data, size, rng), to = any_value(data, size, rng);
    uint8_t *copy = malloc(from.size + 1);
    if (!copy)
        return size;
    memcpy(copy, data + from.at, from.size);
    size = fuzz_splice(data, size, limit, to.at, to.size, copy, from.size);
    free(copy);
    return size;
}

/* Removes a value, or doubles it with a comma in between. */
static size_t repeat_value(uint8_t *data, size_t size, size_t limit, struct rng *rng)
{
    struct token token = any_value(data, size, rng);
    uint64_t times = rng_below(rng, 4) ? rng_below(rng, 3) : rng_below(rng, 64);
    size_t room = (token.size + 1) * (size_t)times;
    uint8_t *copies = malloc(room + 1);
    if (!copies)
        return size;
    for (uint64_t i = 0; i < times; i++) {
        memcpy(copies + i * (token.size + 1), data + token.at, token.size);
        copies[i * (token.size + 1) + token.size] = ',';
    }
    size = fuzz_splice(data, size, limit, token.at, token.size, copies, room > 0 ? room - 1 : 0);
    free(copies);
    return size;
}

/* Makes the contents of a string longer, since names and words have limits. */
static size_t stretch_string(uint8_t *data, size_t size, size_t limit, struct rng *rng)
{
    uint8_t letters[600];
    struct token token = any_value(data, size, rng);
    if (token.size < 2 || data[token.at] != '"')
        return LLVMFuzzerMutate(data, size, limit);
    size_t count = (size_t)rng_below(rng, sizeof letters);
    memset(letters, 'a' + (int)rng_below(rng, 26), sizeof letters);
    return fuzz_splice(data, size, limit, token.at + 1, 0, letters, count);
}

size_t fuzz_mutate_json(uint8_t *data, size_t size, size_t limit, struct rng *rng)
{
    if (size == 0)
        return LLVMFuzzerMutate(data, size, limit);
    switch (rng_below(rng, 8)) {
    case 0:
    case 1:
    case 2:
        return put_edge(data, size, limit, rng);
    case 3:
        return copy_value(data, size, limit, rng);
    case 4:
        return repeat_value(data, size, limit, rng);
    case 5:
        return stretch_string(data, size, limit, rng);
    default:
        return LLVMFuzzerMutate(data, size, limit);
    }
}
