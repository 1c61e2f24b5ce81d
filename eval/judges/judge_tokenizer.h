/* From a text to the ids that a RoBERTa judge is given: byte-level BPE between <s> and </s>, from the folder's vocab.json and
 * merges.txt, or its tokenizer.json where one of them is missing. A text is nothing but text: where "</s>" stands in it, these are
 * four characters (transformers' tokenizers would make the special piece of it). No space is put in front. */
#ifndef SPIRITLM_EVAL_JUDGES_JUDGE_TOKENIZER_H
#define SPIRITLM_EVAL_JUDGES_JUDGE_TOKENIZER_H

#include "core/hash.h"
#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

struct judge_tokenizer;

/* Ids are below `vocabulary`. STATUS_USAGE when the files are missing; STATUS_CORRUPT names what cannot be used. */
enum status judge_tokenizer_open(const char *folder, int64_t vocabulary, struct judge_tokenizer **tokenizer);
void judge_tokenizer_close(struct judge_tokenizer *tokenizer); /* NULL is fine */

/* Over all that decides the ids of a text. */
const struct sha256 *judge_tokenizer_fingerprint(const struct judge_tokenizer *tokenizer);

/* At most `limit` ids (at least 2); of a longer text its first pieces, and *truncated. *ids is allocated for the caller. */
enum status judge_tokenizer_encode(const struct judge_tokenizer *tokenizer, const char *text, int64_t limit,
                                   int32_t **ids, int64_t *count, bool *truncated);

#endif
