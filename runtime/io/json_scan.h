/* JSON read from front to back, value by value, without a tree: for files with hundreds of thousands of values, whose tree
 * would take many times the file's memory. A position can be kept (the struct is a plain value without its buffer) and
 * read again later, since the members of an object come in any order.
 *
 *     TRY(scan_object(&scan, "the vocabulary"));
 *     for (;;) {
 *         TRY(scan_member(&scan, &key, &found));
 *         if (!found)
 *             break;
 *         TRY(scan_integer(&scan, "an id", 0, limit, &id));
 *     }
 *
 * Everything that RFC 8259 does not allow is refused, and so are texts that are not UTF-8, NUL in a text, halves of
 * surrogate pairs, and more than SCAN_DEPTH containers within each other. An object with a key twice is not noticed
 * here. Errors are STATUS_CORRUPT and name the text and the byte. */
#ifndef SPIRITLM_IO_JSON_SCAN_H
#define SPIRITLM_IO_JSON_SCAN_H

#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

enum { SCAN_DEPTH = 60 };

struct scan {
    const char *name; /* of the text, for errors */
    const char *text;
    int64_t size, at;
    int depth;
    uint64_t begun; /* bit d: the container at depth d has had a value, so that a comma must follow */
    struct scan_buffer *buffer;
};

/* A text of the file; not NUL-terminated. One that has escapes is decoded into the buffer, where the next such text takes
 * its place; others lie in the file. */
struct scan_text {
    const char *bytes;
    int64_t size;
};

struct scan_buffer {
    char *bytes;
    int64_t room;
};

enum scan_kind { SCAN_OBJECT, SCAN_LIST, SCAN_TEXT, SCAN_NUMBER, SCAN_TRUE, SCAN_FALSE, SCAN_NULL, SCAN_BROKEN };

/* `buffer` starts as {0}; the caller frees buffer->bytes. A byte order mark is skipped. */
struct scan scan_start(const char *name, const char *text, int64_t size, struct scan_buffer *buffer);

enum scan_kind scan_kind(struct scan *scan); /* of the value that comes next */

/* Enters an object or a list; `what` is for the error where there is none. Then each member's key, or each element: *found
 * is false at the end, which has then been left. Whoever called must take the value (scan_skip takes any). */
enum status scan_object(struct scan *scan, const char *what);
enum status scan_member(struct scan *scan, struct scan_text *key, bool *found);
enum status scan_list(struct scan *scan, const char *what);
enum status scan_element(struct scan *scan, bool *found);

enum status scan_string(struct scan *scan, const char *what, struct scan_text *text);
enum status scan_integer(struct scan *scan, const char *what, int64_t minimum, int64_t maximum, int64_t *value);
enum status scan_bool(struct scan *scan, const char *what, bool *value);
enum status scan_skip(struct scan *scan);
enum status scan_end(struct scan *scan); /* only white space is left */

bool scan_text_is(struct scan_text text, const char *expected);

/* How many bytes of a text an error shows: at most 40, whole characters. */
int scan_shown(struct scan_text text);

#endif
