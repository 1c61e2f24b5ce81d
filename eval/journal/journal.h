/* Finished items of a long evaluation, so that one that was interrupted goes on where it stopped.
 *
 * The file is text and only ever appended to. Every line is the CRC32C of what follows it, in eight hexadecimal digits, a
 * space, and a JSON object on one line: first {"journal": 1, "identity": {...}}, then {"id": "...", "item": ...} for each
 * finished item. A line is on the disk before journal_add returns. What a killed process left half-written at the end is
 * cut off; damage before a whole line is refused, since it is not what a crash leaves.
 *
 * The identity is everything that decides what the items are: model, tokenizers, archive, prompts, protocol, seeds. A journal
 * with another one is refused and never continued; one without any item is begun anew. */
#ifndef SPIRITLM_EVAL_JOURNAL_H
#define SPIRITLM_EVAL_JOURNAL_H

#include "io/lock.h"

#include <jansson.h>
#include <stdint.h>

struct journal;

/* Opens or begins the journal at `path`, whose folder must be there; it stays locked until it is closed. `identity` is an
 * object, borrowed. STATUS_USAGE, with the first member that differs and both values, for a journal of another identity, and
 * while another process has it; STATUS_CORRUPT names file and line of damage. *journal is NULL after a failure. */
enum status journal_open(const char *path, const json_t *identity, enum lock_policy locks, struct journal **journal);

/* What was added under an id, borrowed until the journal is closed; NULL: nothing. Threads may call this and journal_add at
 * the same time. */
json_t *journal_find(struct journal *journal, const char *id);

/* Keeps an item; takes `item` over, whatever happens, and may be given NULL for "no memory". Each id may be added once. */
enum status journal_add(struct journal *journal, const char *id, json_t *item);

int64_t journal_count(const struct journal *journal);

/* Closes it; with `finished`, when all results are written, also removes the file. NULL is fine. */
void journal_close(struct journal *journal, bool finished);

#endif
