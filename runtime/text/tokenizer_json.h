/* tokenizer.json and tokenizer_config.json: the text model with tags and units for transformers' AutoTokenizer, which does
 * not read tokenizer.model. The ids are those that SentencePiece gives for the tokenizer.model of the same checkpoint,
 * with BOS in front. */
#ifndef SPIRITLM_TEXT_TOKENIZER_JSON_H
#define SPIRITLM_TEXT_TOKENIZER_JSON_H

#include "text/sentencepiece.h"
#include "text/vocabulary.h"

/* Why tokenizer.json cannot express this model; NULL when it can. */
const char *tokenizer_json_obstacle(const struct sentencepiece *text);

/* Both texts are allocated for the caller. The model must have no obstacle. */
enum status tokenizer_json_write(const struct sentencepiece *text, const struct vocabulary *vocabulary,
                                 char **tokenizer, char **config);

#endif
