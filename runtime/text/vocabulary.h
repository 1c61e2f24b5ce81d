/* The id map of the language model: text pieces first, then tags and speech tokens in a fixed order that no
 * configuration's key order can change: [Text], [Speech], [Hu0..], [Pi0..], [St0..], then [ASR], [TTS] where wanted,
 * then padding rows up to a multiple of 256. */
#ifndef SPIRITLM_TEXT_VOCABULARY_H
#define SPIRITLM_TEXT_VOCABULARY_H

#include "core/hash.h"
#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

enum token_kind {
    TOKEN_TEXT, /* a piece of text, BOS, EOS, UNK */
    TOKEN_TAG,  /* [Text], [Speech], [ASR], [TTS] */
    TOKEN_HUBERT,
    TOKEN_PITCH,
    TOKEN_STYLE,
    TOKEN_PADDING, /* never in data, never sampled */
    TOKEN_KINDS
};
const char *token_kind_name(enum token_kind kind); /* "text", "tag", "hubert", "pitch", "style", "padding" */

/* Where the text model's dummy prefix, a space before the text, is written. */
enum dummy_prefix {
    DUMMY_PREFIX_SPAN,    /* before each span of text: "[Text]the" begins with the piece of " the" */
    DUMMY_PREFIX_DOCUMENT /* once, before the first tag, and not after tags: what SentencePiece makes of "[Text]the" */
};
const char *dummy_prefix_name(enum dummy_prefix prefix); /* "span", "document" */

struct vocabulary {
    int32_t text_size; /* V: ids 0..V-1 */
    int32_t bos, eos, unk;
    int32_t text_tag, speech_tag; /* V, V+1; -1 in a vocabulary of text alone */
    int32_t hubert_base, hubert_count;
    int32_t pitch_base, pitch_count; /* count 0: a Base-type vocabulary */
    int32_t style_base, style_count;
    int32_t asr_tag, tts_tag; /* -1: none */
    int32_t size;             /* ids in use */
    int32_t padded_size;      /* rows of the embedding: a multiple of 256 */
    enum dummy_prefix dummy_prefix;
    /* A span of text that continues a document keeps the space before its first word: "[Speech]..[Text] sat", so that its
     * pieces are those that a model of text alone knows from the middle of a sentence. */
    bool span_space;
};

/* With dummy_prefix "span" and no span_space. STATUS_USAGE when counts are impossible. */
enum status vocabulary_create(int32_t text_size, int32_t bos, int32_t eos, int32_t unk, int32_t hubert_count,
                              int32_t pitch_count, int32_t style_count, bool task_tags, struct vocabulary *vocabulary);
/* The vocabulary of a model of text alone, before it learns speech: no tags and no units. */
enum status vocabulary_create_text(int32_t text_size, int32_t bos, int32_t eos, int32_t unk,
                                   struct vocabulary *vocabulary);
enum token_kind vocabulary_kind(const struct vocabulary *vocabulary, int32_t id); /* ids outside: TOKEN_PADDING */
struct sha256 vocabulary_fingerprint(const struct vocabulary *vocabulary);

/* "[Hu12]", "[Text]": the name of a non-text id into text (16 bytes). "" for text and padding. */
void vocabulary_token_name(const struct vocabulary *vocabulary, int32_t id, char text[16]);

/* The id of the tag or unit whose name the text begins with, and the bytes of the name; -1: none. */
int32_t vocabulary_find_token(const struct vocabulary *vocabulary, const char *text, int64_t *length);

#endif
