/* Between the importers. */
#ifndef SPIRITLM_DATA_PREPARE_IMPORT_INTERNAL_H
#define SPIRITLM_DATA_PREPARE_IMPORT_INTERNAL_H

#include "core/path.h"
#include "data/prepare/import.h"

static const int64_t IMPORT_FILE_LIMIT = (int64_t)256 << 20;

struct import_word {
    char *text;
    double start, end; /* seconds */
};

struct import_row {
    char *id, *audio, *text, *speaker; /* text and speaker may be NULL */
    int channel;                       /* -1: none */
    struct import_word *words;
    int64_t word_count, word_capacity;
};

struct import {
    const struct import_options *options;
    char root[PATH_BYTES]; /* the source, or the folder it lies in when it is a file: ids are relative to it */
    struct import_row *rows;
    int64_t count, capacity;
    struct import_counts counts;
};

/* A new row at the end, owned by the list; NULL when out of memory. The next call may move it. */
struct import_row *import_add(struct import *import);

/* A word at the end of the row, times made to follow those before it. Words without a letter or digit are passed
 * over: they have no place in a text. */
enum status import_add_word(struct import_row *row, const char *text, double start, double end);

/* The words joined by spaces become the text. */
enum status import_text_from_words(struct import_row *row);

/* Bytes as one line: white space collapsed, none at the ends. NULL when out of memory; "" when nothing is left. */
char *import_clean_text(const char *bytes, int64_t size);

/* FOLDER/STEM with the first known audio extension that exists, into path; false when there is none. */
bool import_find_audio(const char *folder, const char *stem, char path[PATH_BYTES]);
bool import_is_audio(const char *path);

/* `path` without the folder in front and without its extension: an id. The caller frees. */
char *import_identify(const char *folder, const char *path);

/* The folder of a file. */
enum status import_parent(const char *path, char folder[PATH_BYTES]);

/* Calls visit for every file below the folder whose name ends in `suffix` ("": all), in the order of names, hidden ones
 * left out. A file as `folder` is visited itself. */
typedef enum status (*import_visit)(struct import *import, const char *path);
enum status import_walk(struct import *import, const char *folder, const char *suffix, import_visit visit);

enum status import_folder(struct import *import);
enum status import_librispeech(struct import *import);
enum status import_ctm(struct import *import);
enum status import_textgrid(struct import *import);
enum status import_whisper(struct import *import);

#endif
