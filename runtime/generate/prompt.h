/* Prompts: pieces of text and speech in the order given, as the ids that training showed the model. BOS, the tag of the
 * first piece, a tag at every change of modality, and the output's tag when it differs from the last piece's. */
#ifndef SPIRITLM_GENERATE_PROMPT_H
#define SPIRITLM_GENERATE_PROMPT_H

#include "generate/sampler.h"
#include "package/components.h"

enum piece_kind {
    PIECE_TEXT,  /* content is the text */
    PIECE_AUDIO, /* content is the path of a sound file */
    PIECE_UNITS, /* content is a unit string, "[St3][Pi9][Hu12]..." */
    PIECE_STRING /* content is a whole prompt with its tags and units spelled out: "[Text]the cat[Speech][Hu12]" */
};

struct piece {
    enum piece_kind kind;
    const char *content; /* borrowed */
};

struct prompt {
    int32_t *ids;
    int64_t count, capacity;
    bool in_speech;          /* the modality in force at the end */
    struct unit_state state; /* the pitch and style in force, which generated speech continues */
};

/* Text of white space alone gives no tokens, as in training. */
bool piece_is_blank(const struct piece *piece);

/* A piece of PIECE_STRING must be the only one. Its ids after BOS are, with dummy_prefix "document", those that SentencePiece
 * and transformers give for the string and the checkpoint's tokenizer; with "span", each stretch of text has a dummy prefix.
 * No white space is left out.
 *
 * Blank pieces are skipped together with their tags. No pieces at all: BOS and the output's tag; with OUTPUT_ANY, BOS
 * alone. STATUS_USAGE for audio without a speech tokenizer, audio too short for a unit, units that the vocabulary does
 * not have. */
enum status prompt_create(const struct components *components, const struct piece *pieces, int64_t count,
                          enum output_modality output, struct prompt *prompt);

/* The parts that prompt_create puts together, for scoring. An empty prompt is {.state = {-1, -1}}. */

/* BOS, if the text model has one and it is wanted, and what precedes the first tag of a document. */
enum status prompt_append_beginning(const struct components *components, bool bos, struct prompt *prompt);
/* The tag of a modality; a model of text alone has none. */
enum status prompt_append_tag(const struct components *components, bool speech, struct prompt *prompt);
/* The ids of one piece, without BOS and tags. */
enum status prompt_append_piece(const struct components *components, const struct piece *piece, struct prompt *prompt);
/* The same for audio that is in memory: mono samples at 16 kHz; errors name it `name`. */
enum status prompt_append_samples(const struct components *components, const char *name, const float *samples,
                                  int64_t count, struct prompt *prompt);

void prompt_free(struct prompt *prompt);

#endif
