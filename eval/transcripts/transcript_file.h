/* Files of transcripts: a text for each of a set of utterances, joined by the utterances' ids and never by order.
 *
 *   NAME.jsonl              one object per line, {"id": "...", "text": "..."}; other members are ignored. An id may be an integer
 *   NAME.txt, .trans.txt    one utterance per line, ID and TEXT with spaces or tabs between them, as LibriSpeech has it; the text
 *                           may be empty
 *
 * Blank lines are skipped. Byte order marks, UTF-16 and CRLF are accepted (io/text_file.h). */
#ifndef SPIRITLM_EVAL_TRANSCRIPTS_TRANSCRIPT_FILE_H
#define SPIRITLM_EVAL_TRANSCRIPTS_TRANSCRIPT_FILE_H

#include "core/hash.h"
#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

enum { TRANSCRIPT_LINE_LIMIT = 10 << 20 }; /* bytes; a longer line is refused, and so is a file of more than 1 GiB */

struct transcript {
    char *id, *text; /* UTF-8 without NUL */
    int64_t line;    /* of the file, from 1 on */
};

struct transcripts {
    char *path;
    struct transcript *items; /* in the order of the file */
    int64_t count, room;
    int64_t *by_id; /* numbers of items in the order of their ids */
    int64_t duplicates;
    struct sha256 hash; /* of the file's bytes */
};

/* The members of a .jsonl file that hold id and text; NULL: "id" and "text". */
struct transcript_keys {
    const char *id, *text;
};

/* An id that occurs twice is STATUS_CORRUPT, with both lines; with `skip` the first is taken and the others are counted. So
 * are lines that are not what they should be, texts that are not UTF-8, and a file without any transcript, whatever `skip`
 * says. Errors name file, line and, where it is known, id. The caller frees with transcripts_free, also after a failure. */
enum status transcripts_read(const char *path, struct transcript_keys keys, bool skip, struct transcripts *transcripts);
void transcripts_free(struct transcripts *transcripts);

/* NULL: there is none. */
const struct transcript *transcripts_find(const struct transcripts *transcripts, const char *id);

/* Whether both files have the same ids. A reference without a hypothesis or a hypothesis without a reference is STATUS_CORRUPT,
 * with its id, both files and how many there are; with `skip` they are counted only. */
enum status transcripts_match(const struct transcripts *references, const struct transcripts *hypotheses, bool skip,
                              int64_t *missing, int64_t *surplus);

#endif
