/* Jansson with our errors: file, line and reason in one text, and members fetched with their type checked.
 * The prefix is jdoc_, for "JSON document": every name that begins with json_ belongs to Jansson. */
#ifndef SPIRITLM_IO_JSON_H
#define SPIRITLM_IO_JSON_H

#include "core/hash.h"
#include "core/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Parses a file of at most 256 MiB. The caller decrefs. Errors name file, line and column. */
enum status jdoc_read(const char *path, json_t **root);

/* Parses one text; `where` ("rows.jsonl:17") appears in the error. */
enum status jdoc_parse(const char *where, const char *text, int64_t length, json_t **root);

/* The same for one of many lines. *contents: when it fails, whether it is JSON all the same and only what it holds cannot
 * be used (bytes that are not UTF-8, NUL, a key twice, NaN, a number out of range). */
enum status jdoc_parse_line(const char *where, const char *text, int64_t length, json_t **root, bool *contents);

/* Members of an object. `where` precedes the key in errors. A missing key is an error, and so is the wrong type.
 * Strings are borrowed from the object. */
enum status jdoc_get_string(const char *where, const json_t *object, const char *key, const char **value);
enum status jdoc_get_int(const char *where, const json_t *object, const char *key, int64_t minimum, int64_t maximum,
                         int64_t *value);
enum status jdoc_get_number(const char *where, const json_t *object, const char *key, double *value);
enum status jdoc_get_bool(const char *where, const json_t *object, const char *key, bool *value);
enum status jdoc_get_hash(const char *where, const json_t *object, const char *key, struct sha256 *hash);
bool jdoc_has(const json_t *object, const char *key); /* present and not null */

/* A number; null when it is NaN or infinite, which JSON cannot express. NULL when out of memory. */
json_t *jdoc_number(double value);

/* The 64 hexadecimal digits of a hash, as jdoc_get_hash reads them. NULL when out of memory. */
json_t *jdoc_hash(const struct sha256 *hash);

/* Text with sorted keys and a final newline; indent 0 gives one line. The caller frees. NULL when out of memory. */
char *jdoc_text(const json_t *root, int indent);

/* The elements of an array as JSON lines. The caller frees; NULL when out of memory. */
char *jdoc_lines(const json_t *array);

#endif
