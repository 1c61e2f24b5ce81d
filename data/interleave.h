/* From one row of a shard to a document of token ids: one modality, or text and speech interleaved at word boundaries
 * (Spirit LM, section 3.1), and the forms of the paper's ablations. */
#ifndef SPIRITLM_DATA_INTERLEAVE_H
#define SPIRITLM_DATA_INTERLEAVE_H

#include "core/rng.h"
#include "data/shard.h"
#include "text/text_model.h"
#include "text/vocabulary.h"

#include <stdbool.h>
#include <stdint.h>

enum interleave_mode {
    INTERLEAVE_SPANS,         /* alternating spans of text and speech, cut differently at every visit */
    INTERLEAVE_NONE,          /* text and speech as separate documents; a coin toss per visit decides which */
    INTERLEAVE_WORDS,         /* [Text]the[Speech]..[Text]cat[Speech]..: every word in both */
    INTERLEAVE_ASR_TTS,       /* [Speech] units [ASR] sentence, or [Text] sentence [TTS] units: by coin toss */
    INTERLEAVE_SPANS_ASR_TTS, /* spans or ASR+TTS, by coin toss */
};

struct interleave_options {
    enum interleave_mode mode;
    int64_t text_words_minimum, text_words_maximum;     /* 10-30 in the paper */
    int64_t speech_words_minimum, speech_words_maximum; /* 5-15 */
    unsigned streams_mask;                              /* Base: hubert alone; Expressive: all three */
};

struct document {
    int32_t *ids; /* BOS, tag, ...; EOS at the end, also after speech; allocated for the caller */
    int64_t count;
    int64_t spans;                 /* changes of modality + 1 */
    int64_t words, switched_words; /* aligned words, and those of documents with at least one change of modality */
};
void document_free(struct document *document);

struct interleaver {
    const struct text_model *text;
    const struct vocabulary *vocabulary;
    struct unit_rates rates;
    struct interleave_options options;
};

/* STATUS_USAGE when the options are impossible: the first checks them alone, the second also with the vocabulary. */
enum status interleave_options_check(const struct interleave_options *options);
enum status interleaver_check(const struct interleaver *interleaver);

/* The row's text, or all its speech, under its tag. Empty (count 0) when the text is only white space or there is no
 * hubert unit. */
enum status document_from_text(const struct interleaver *interleaver, const struct shard_row *row,
                               struct document *document);
enum status document_from_speech(const struct interleaver *interleaver, const struct shard_row *row,
                                 struct document *document);
/* The row must be aligned. `rng` alone decides the cut: same rng, same document. A span of speech has the units that
 * start in [start of its first word, start of the next span's first word), a span of text the bytes between the
 * beginnings of the same words; the first span also has what comes before its first word, the last what follows. */
enum status document_interleaved(const struct interleaver *interleaver, const struct shard_row *row, struct rng *rng,
                                 struct document *document);

/* A document that changes modality once: the words of one row before its cut in one modality, and the words of a row, the same
 * or another, from its cut on in the other. Cuts lie between the words of a row. *tag is the index of the second tag. The
 * document is empty when either part has nothing to say. */
struct crossing {
    const struct shard_row *prompt, *continuation;
    int64_t prompt_cut, continuation_cut;
    bool speech_first;
};
enum status document_crossing(const struct interleaver *interleaver, const struct crossing *crossing,
                              struct document *document, int64_t *tag);

#endif
