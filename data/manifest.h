/* The manifest: what a corpus consists of, JSON lines, one utterance or text document each (docs/formats.md).
 *   {"id": "a/1", "audio": "a/1.wav", "text": "hello there", "speaker": "rm", "channel": 0,
 *    "words": [["hello", 0.10, 0.42], ["there", 0.45, 0.80]],      start and end in seconds, optional
 *    "hubert": [5, 5, 7], "pitch": [..], "style": [..],             ready units, optional, not deduplicated
 *    "begin": 0.0, "end": 12.5,                                     a segment of the file, optional
 *    "source": "asterisk", "synthetic": false}                      free labels, kept in the shard's meta
 * A line that `tokenize` prints is a row; its unit string "units" is ignored. A row has text, audio, ready units, or
 * several of these. Audio paths are relative to the manifest's folder. Word times count from the beginning of the
 * row's audio, that is from `begin`. */
#ifndef SPIRITLM_DATA_MANIFEST_H
#define SPIRITLM_DATA_MANIFEST_H

#include "core/hash.h"
#include "core/status.h"
#include "data/aligned_word.h"
#include "speech/streams.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    MANIFEST_TEXT_LIMIT = 4 << 20, /* bytes of one row's text */
    MANIFEST_ID_LIMIT = 1024,      /* bytes of an id or a speaker's name */
    MANIFEST_SECONDS_LIMIT = 12 * 3600,
};

struct manifest_row {
    char *id, *audio, *text, *speaker; /* audio: absolute or relative to the working directory; NULL: absent */
    char *meta;                        /* one JSON object of all other keys, sorted; NULL: none */
    char *
        fault; /* why the row cannot be used, with its line; then only `line` and, where it has one, `id` are set. NULL: none */
    int64_t line;               /* in the file, from 1 */
    int channel;                /* -1: mean of all */
    double begin, end;          /* seconds; end < 0: to the end */
    struct aligned_word *words; /* NULL: not given; they do not overlap: a start before the last end is moved there */
    int64_t word_count, moved_words; /* moved: their start was before the last end */
    uint16_t *units[STREAM_COUNT];   /* NULL: not given */
    int64_t unit_count[STREAM_COUNT];
};

struct manifest {
    char *path;
    struct manifest_row *rows;
    int64_t count, faults; /* rows, and those that have a fault */
    char *foreign_key;     /* with manifest_any_labels: the refusal that it prevented first; NULL: none */
    struct sha256 hash;    /* of the text as it was read, without a byte order mark */
};

/* What is wrong with one row is that row's fault: a value of the wrong type, words out of order or not in the text (case
 * and punctuation aside; words without a letter are skipped). What is wrong with the file is refused (STATUS_CORRUPT, by
 * file and line): a line that is not a JSON object, a duplicate id, a key that is another tool's name or a misspelling
 * of ours and is not among `labels` (NULL: none), and a file in which every row has a fault. A missing file is
 * STATUS_USAGE. Empty lines are skipped. */
struct config_list;
extern const struct config_list manifest_any_labels; /* for looking into a manifest: all keys are taken */
enum status manifest_read(const char *path, const struct config_list *labels, struct manifest *manifest);
void manifest_free(struct manifest *manifest);

#endif
