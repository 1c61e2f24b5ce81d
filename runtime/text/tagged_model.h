/* The tokenizer.model of a checkpoint: the text model's file with the vocabulary's tags and units behind its pieces, as
 * user-defined ones, so that SentencePiece and every program that reads such files gives them their ids. */
#ifndef SPIRITLM_TEXT_TAGGED_MODEL_H
#define SPIRITLM_TEXT_TAGGED_MODEL_H

#include "text/sentencepiece.h"
#include "text/vocabulary.h"

/* STATUS_USAGE when a text piece is spelled like a tag or unit of the vocabulary: the file could not hold both. */
enum status tagged_model_check(const char *name, const struct sentencepiece *text, const struct vocabulary *vocabulary);

/* STATUS_CORRUPT when the file that `text` was read from ends with tags and units other than the vocabulary's. A file
 * without any (those written before tags were stored) passes. */
enum status tagged_model_match(const char *name, const struct sentencepiece *text, const struct vocabulary *vocabulary);

/* The file with the vocabulary's tags and units, instead of those that it may have. It is one that sentencepiece_load
 * accepts, with vocabulary->text_size text pieces. *tagged is allocated for the caller. */
enum status tagged_model_write(const char *name, const void *file, int64_t size, const struct vocabulary *vocabulary,
                               void **tagged, int64_t *tagged_size);

#endif
