/* Regular expressions (Oniguruma's syntax, as the tokenizers library reads them) that cut a text where SentencePiece
 * would. */
#ifndef SPIRITLM_TEXT_TOKENIZER_PATTERNS_H
#define SPIRITLM_TEXT_TOKENIZER_PATTERNS_H

#include "text/sentencepiece_internal.h"
#include "text/vocabulary.h"

/* What is never joined with its neighbours: tags, units and the text model's own user-defined pieces. NULL when there is nothing
 * of the kind. Allocated. */
enum status pattern_of_tags(const struct sentencepiece *text, const struct vocabulary *vocabulary, char **pattern);

/* A stretch of text that is a piece is looked up whole, before any merging. For pieces that merging does not make (bytes
 * written out, say "<0x0A>", and a few that no order of merges reaches) this is wrong; the pattern matches the beginning of
 * a stretch that is such a piece, up to where it must be cut. NULL when there are none. Allocated. */
enum status pattern_of_unreachable(const struct sentencepiece *text, char **pattern);

#endif
