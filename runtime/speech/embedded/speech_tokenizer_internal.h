/* What the files speech_tokenizer*.c share. */
#ifndef SPIRITLM_SPEECH_EMBEDDED_SPEECH_TOKENIZER_INTERNAL_H
#define SPIRITLM_SPEECH_EMBEDDED_SPEECH_TOKENIZER_INTERNAL_H

#include "speech/embedded/log_mel.h"
#include "speech/embedded/pitch.h"
#include "speech/embedded/speech_tokenizer.h"
#include "speech/embedded/style.h"
#include "speech/embedded/unit_quantizer.h"

struct speaker {
    char *name;
    struct pitch_sum pitch; /* over all its voiced frames in the fitting sample */
    double mean;            /* pitch.sum / pitch.frames, NAN without voiced frames: what the folder stores */
};

/* NULL when unknown; name may be NULL. */
struct speaker *speech_tokenizer_speaker(const struct speech_tokenizer *tokenizer, const char *name);

/* How and on what the fit was made: told, not used. */
struct fit_record {
    uint64_t seed;
    int64_t passes, utterances, samples;
};

struct speech_tokenizer {
    struct unit_rates rates;
    struct unit_quantizer units;
    float *codebook; /* [pitch_codes] ascending */
    int64_t pitch_codes;
    struct style_quantizer styles;
    struct speaker *speakers; /* in order of names */
    int64_t speaker_count;
    struct fit_record record;
    int vocoder_iterations;
    uint64_t vocoder_seed;
    struct sha256 fingerprints[STREAM_COUNT], vocoder_fingerprint;
    struct log_mel *mel;
    float *log_magnitudes; /* [units][LOG_MEL_BINS]: the units' spectra as the vocoder wants them */
};

/* The default of the embedded vocoder. */
enum { VOCODER_ITERATIONS = 32 };

/* ---- analysis: what does not depend on anything fitted (speech_tokenizer_analysis.c) ---- */

enum {
    SPEECH_CHUNK = 1600000, /* samples: 100 s, whole units of every stream */
    SPEECH_SHORTEST = 1280  /* fewer give nothing; such a rest belongs to the chunk before it */
};

/* One chunk of an utterance. */
struct speech_chunk {
    int64_t units, pitches, styles;
    float *averages; /* [units][UNIT_BANDS] */
    float *pitch;    /* [pitches] ln F0, or NAN */
    float *style;    /* [styles][STYLE_VALUES]; the unit changes are still missing */
    struct pitch_sum voiced;
};

struct speech_features {
    struct speech_chunk *chunks;
    int64_t count, samples;
};

/* STATUS_CORRUPT: a sample is not finite. */
enum status speech_features_make(const struct log_mel *mel, const float *samples, int64_t count,
                                 struct speech_features **features);

/* ---- the folder (speech_tokenizer_file.c) ---- */

enum status speech_tokenizer_allocate(struct speech_tokenizer **tokenizer); /* empty, with rates and mel tables */

/* Computes all fingerprints from the contents. */
void speech_tokenizer_seal(struct speech_tokenizer *tokenizer);

enum status speech_tokenizer_save(const struct speech_tokenizer *tokenizer, const char *path, bool replace);

#endif
