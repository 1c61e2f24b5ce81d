/* Files that are read line by line: tables, JSON lines and Kaldi's pairs of a key and a value. */
#ifndef SPIRITLM_DATA_PREPARE_IMPORT_LINES_H
#define SPIRITLM_DATA_PREPARE_IMPORT_LINES_H

#include "data/prepare/import/import_rows.h"

#include <jansson.h>

/* A line without its end, which the callee may change. `source` is "FILE:NUMBER". What it fails with because of the
 * line's contents rejects the line (import_settle); `id` in the list is then NULL. */
typedef enum status (*import_line)(struct import *import, void *context, const char *source, char *line);

/* Calls `visit` for each line that is not empty. A byte order mark is skipped, and UTF-16 that begins with one is read. */
enum status import_each_line(struct import *import, const char *path, import_line visit, void *context);
enum status import_all_lines(struct import *import, const char *path, import_line visit,
                             void *context); /* empty ones too */

/* The fields of a line between `separator`s, cut in place; returns their number, at most `limit`: the last field keeps
 * the rest. */
int import_cut(char *line, char separator, char **fields, int limit);

/* "key value": both cut in place, the value without white space at its ends, maybe "". False: no key. */
bool import_cut_pair(char *line, char **key, char **value);

/* JSON that Python wrote: NaN and Infinity, which are not JSON, are read as -1. */
enum status import_json(const char *where, const char *text, json_t **root);
enum status import_json_file(const char *path, json_t **root);

/* A file of pairs, sorted by key for import_pairs_find. Of equal keys the first is kept. A line without a value has "". */
struct import_pair {
    char *key, *value;
    int64_t number; /* of its line */
};
struct import_pairs {
    struct import_pair *items;
    int64_t count, capacity;
};
enum status import_pairs_read(struct import *import, const char *path, struct import_pairs *pairs);
const char *import_pairs_find(const struct import_pairs *pairs, const char *key); /* NULL: not there */
void import_pairs_free(struct import_pairs *pairs);

#endif
