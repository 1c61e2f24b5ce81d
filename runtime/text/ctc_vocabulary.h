/* The characters of a CTC model, from the folder of a Wav2Vec2CTCTokenizer of Hugging Face (vocab.json and, where they are there,
 * tokenizer_config.json and special_tokens_map.json), and texts as rows of these characters.
 *
 * The blank is the entry "<blank>" where there is one, as in MMS's aligner, and else the pad token ("<pad>" unless the folder says
 * another). The word delimiter ("|" unless it says another) stands between two words that white space separates; a vocabulary
 * without it has nothing there. Vocabularies of several languages in one file are refused. */
#ifndef SPIRITLM_TEXT_CTC_VOCABULARY_H
#define SPIRITLM_TEXT_CTC_VOCABULARY_H

#include "core/hash.h"
#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

struct ctc_vocabulary;

/* STATUS_USAGE without vocab.json, STATUS_CORRUPT for one that cannot be used. */
enum status ctc_vocabulary_open(const char *folder, struct ctc_vocabulary **vocabulary);
void ctc_vocabulary_close(struct ctc_vocabulary *vocabulary); /* NULL is fine */

int32_t ctc_vocabulary_size(const struct ctc_vocabulary *vocabulary); /* the greatest id and one */
int32_t ctc_vocabulary_blank(const struct ctc_vocabulary *vocabulary);
int32_t ctc_vocabulary_delimiter(const struct ctc_vocabulary *vocabulary);             /* -1: none */
const char *ctc_vocabulary_token(const struct ctc_vocabulary *vocabulary, int32_t id); /* NULL: none */
/* Whether what is recognised is to be written in small letters (do_lower_case). */
bool ctc_vocabulary_lowers(const struct ctc_vocabulary *vocabulary);
/* Over all that decides what texts become. */
const struct sha256 *ctc_vocabulary_fingerprint(const struct ctc_vocabulary *vocabulary);

/* Stands for a run of letters or digits of one word that the model does not have. */
enum { CTC_WILDCARD = -1 };

/* A word is a run without white space that has a letter or digit; of scripts written without spaces, a character. Its bytes
 * include the punctuation that touches it. */
struct ctc_word {
    int32_t text_begin, text_end;
    int64_t first, count; /* of the labels, at least one */
};

struct ctc_text {
    int32_t *labels; /* ids or CTC_WILDCARD; delimiters belong to no word */
    int64_t label_count, label_room;
    struct ctc_word *words;
    int64_t word_count, word_room;
};

/* Every letter in Unicode's composed form becomes the first of these that the model has: itself (its capital where the folder has
 * do_lower_case, whose models know capitals alone), its small letter, its capital, the letters that it is made of without their
 * marks, the wildcard. Marks that the model does not have are dropped. One punctuation mark between two letters is kept where the
 * model has it, such as an apostrophe of either shape; all others are dropped, symbols too. A byte that is not UTF-8 is a letter
 * that no model has. STATUS_USAGE when the text is longer than INT32_MAX bytes. */
enum status ctc_vocabulary_read(const struct ctc_vocabulary *vocabulary, const char *text, struct ctc_text *out);
void ctc_text_free(struct ctc_text *text);

#endif
