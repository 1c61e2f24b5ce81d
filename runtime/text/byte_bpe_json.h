/* What byte_bpe_json.c and byte_bpe_pipeline.c share: the steps of tokenizer.json around the model. */
#ifndef SPIRITLM_TEXT_BYTE_BPE_JSON_H
#define SPIRITLM_TEXT_BYTE_BPE_JSON_H

#include "io/json_scan.h"
#include "text/word_cutter.h"

struct byte_bpe_pipeline {
    const char *name; /* of the file */
    bool cuts_words;  /* there was a pre-tokenizer: its pattern */
    enum word_pattern pattern;
    const char *note; /* as byte_bpe_note; NULL: none */
};

/* Reads the value of one of the file's members: version, truncation, padding, normalizer, pre_tokenizer, post_processor,
 * decoder. What would change ids and is not supported is refused by name. */
enum status byte_bpe_read_step(struct byte_bpe_pipeline *pipeline, struct scan *scan, const char *member);

/* The index of a key in a list that ends with NULL. One that is not in it, or comes again, is refused. */
enum status byte_bpe_take_key(const char *name, const char *where, const char *const *known, struct scan_text key,
                              uint32_t *seen, int *which);

#endif
