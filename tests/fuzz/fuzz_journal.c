/* Journals of finished items: a second reader, which goes over the file line by line, must come to the same items or find the same
 * fault. What is left of a torn file is its whole lines, and what is added then is there when it is opened again. */
#include "fuzz/fuzz.h"

#include "core/hash.h"
#include "eval/journal/journal.h"
#include "io/atomic_file.h"
#include "io/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHECK = 9 }; /* eight digits and a space */

static json_t *identity(void)
{
    json_t *made = json_pack("{s:s, s:[i, i]}", "model", "a", "seeds", 0, 1);
    fuzz_require(made != NULL, "there is memory");
    return made;
}

/* ---- the second reader ---- */

struct plain {
    json_t *items;
    int64_t lines; /* whole ones */
    size_t whole;  /* bytes of them */
    bool faulty;
};

static bool is_whole(const char *line, size_t size)
{
    char digits[16];
    if (size <= CHECK)
        return false;
    snprintf(digits, sizeof digits, "%08x ", (unsigned)crc32c(0, line + CHECK, size - CHECK));
    return memcmp(line, digits, CHECK) == 0;
}

static bool takes(struct plain *plain, const char *line, size_t size)
{
    json_t *root = NULL, *expected = identity();
    bool good = jdoc_parse("plain", line + CHECK, (int64_t)(size - CHECK), &root) == STATUS_OK && json_is_object(root);
    if (good && plain->lines == 0) {
        const json_t *version = json_object_get(root, "journal");
        good = json_is_integer(version) && json_integer_value(version) == 1 &&
               json_equal(json_object_get(root, "identity"), expected);
    } else if (good) {
        const char *id = json_string_value(json_object_get(root, "id"));
        json_t *item = json_object_get(root, "item");
        good = id && item && !json_object_get(plain->items, id) && json_object_set(plain->items, id, item) == 0;
    }
    json_decref(root);
    json_decref(expected);
    return good;
}

/* Whether any line but the first is whole. Without one there is no item, and the journal is begun anew. */
static bool has_items(const char *text, size_t size)
{
    const char *line = memchr(text, '\n', size);
    while (line) {
        const char *begin = line + 1;
        line = memchr(begin, '\n', size - (size_t)(begin - text));
        if (line && is_whole(begin, (size_t)(line - begin)))
            return true;
    }
    return false;
}

/* A whole line behind one that is not means damage. */
static void read_plainly(const char *text, size_t size, struct plain *plain)
{
    bool torn = false;
    *plain = (struct plain){.items = json_object()};
    fuzz_require(plain->items != NULL, "there is memory");
    if (!has_items(text, size))
        return;
    for (size_t at = 0; at < size && !plain->faulty;) {
        const char *end = memchr(text + at, '\n', size - at);
        if (!end)
            return;
        size_t length = (size_t)(end - text) - at;
        bool whole = is_whole(text + at, length);
        plain->faulty = whole && (torn || !takes(plain, text + at, length));
        torn = torn || !whole;
        at += length + 1;
        if (!torn && !plain->faulty) {
            plain->lines++;
            plain->whole = at;
        }
    }
}

/* ---- what must hold ---- */

static void check_file(const char *path, const char *text, const struct plain *plain)
{
    void *bytes;
    int64_t size;
    fuzz_require(file_read(path, 1 << 24, &bytes, &size) == STATUS_OK, "the file can be read");
    if (plain->lines > 0)
        fuzz_require(size == (int64_t)plain->whole, "what is not whole is cut off");
    else
        fuzz_require(memchr(bytes, '\n', (size_t)size) == (char *)bytes + size - 1, "there is a first line");
    fuzz_require(plain->whole == 0 || memcmp(bytes, text, plain->whole) == 0, "whole lines stay as they were");
    free(bytes);
}

static void check_items(struct journal *journal, const struct plain *plain)
{
    const char *id;
    const json_t *item;
    fuzz_require(journal_count(journal) == (int64_t)json_object_size(plain->items), "the items are counted");
    json_object_foreach(plain->items, id, item)
    {
        fuzz_require(json_equal(journal_find(journal, id), item), "an item is what the second reader found");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct plain plain;
    struct journal *journal;
    json_t *wanted = identity();
    const char *path = fuzz_file(data, size);
    read_plainly((const char *)data, size, &plain);
    enum status status = journal_open(path, wanted, LOCKS_NONE, &journal);
    fuzz_require((status == STATUS_OK) == !plain.faulty, "a journal is read if the second reader finds no fault in it");
    if (status != STATUS_OK) {
        fuzz_require_refusal(status, path);
        fuzz_require(journal == NULL, "there is no journal after a refusal");
    } else {
        check_file(path, (const char *)data, &plain);
        check_items(journal, &plain);
        if (!json_object_get(plain.items, "new")) {
            fuzz_require(journal_add(journal, "new", json_integer(7)) == STATUS_OK, "an item can be added");
            fuzz_require(json_object_set_new(plain.items, "new", json_integer(7)) == 0, "there is memory");
        }
        journal_close(journal, false);
        fuzz_require(journal_open(path, wanted, LOCKS_NONE, &journal) == STATUS_OK, "it can be opened again");
        check_items(journal, &plain);
        journal_close(journal, false);
    }
    json_decref(plain.items);
    json_decref(wanted);
    return 0;
}

/* ---- mutations ---- */

/* Gives a line, if it is long enough to have one, the check that it should have. */
static void repair(uint8_t *line, size_t size)
{
    char digits[16];
    if (size <= CHECK)
        return;
    snprintf(digits, sizeof digits, "%08x ", (unsigned)crc32c(0, line + CHECK, size - CHECK));
    memcpy(line, digits, CHECK);
}

static size_t line_end(const uint8_t *data, size_t size, size_t at)
{
    const uint8_t *end = memchr(data + at, '\n', size - at);
    return end ? (size_t)(end - data) : size;
}

/* Changes the JSON of the line at `at`. */
static size_t mutate_line(uint8_t *data, size_t size, size_t limit, size_t at, struct rng *rng)
{
    size_t end = line_end(data, size, at), from = at + CHECK;
    if (end <= from)
        return LLVMFuzzerMutate(data, size, limit);
    size_t old = end - from, room = limit - (size - old);
    uint8_t *copy = malloc(room + 1);
    fuzz_require(copy != NULL, "there is memory");
    memcpy(copy, data + from, old);
    size_t changed = fuzz_mutate_json(copy, old, room, rng);
    size = fuzz_splice(data, size, limit, from, old, copy, changed);
    free(copy);
    return size;
}

/* Changes a line, doubles or removes it, or cuts the file; most lines get a right check afterwards, as otherwise nothing behind it
 * would ever be reached. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t limit, unsigned seed)
{
    struct rng rng = rng_make(seed, RNG_TEST, 12, 0);
    if (size == 0 || rng_below(&rng, 8) == 0)
        return LLVMFuzzerMutate(data, size, limit);
    size_t at = (size_t)rng_below(&rng, size);
    while (at > 0 && data[at - 1] != '\n')
        at--;
    size_t end = line_end(data, size, at), length = end - at + (end < size);
    switch (rng_below(&rng, 5)) {
    case 0: {
        uint8_t *copy = malloc(length);
        fuzz_require(copy != NULL, "there is memory");
        memcpy(copy, data + at, length);
        size = fuzz_splice(data, size, limit, at, 0, copy, length);
        free(copy);
        break;
    }
    case 1:
        size = fuzz_splice(data, size, limit, at, length, "", 0);
        break;
    case 2:
        return 1 + (size_t)rng_below(&rng, size);
    default:
        size = mutate_line(data, size, limit, at, &rng);
    }
    for (size_t line = 0; line < size;) {
        end = line_end(data, size, line);
        if (rng_below(&rng, 16) > 0)
            repair(data + line, end - line);
        line = end + 1;
    }
    return size;
}
