/* What a fit produces and the embedded components share; for speech/embedded/ only. */
#ifndef SPIRITLM_SPEECH_EMBEDDED_TOKENIZER_H
#define SPIRITLM_SPEECH_EMBEDDED_TOKENIZER_H

#include "speech/component.h"
#include "speech/embedded/analysis.h"
#include "speech/embedded/device.h"
#include "speech/embedded/log_mel.h"
#include "speech/embedded/pitch.h"
#include "speech/embedded/style.h"
#include "speech/embedded/unit_quantizer.h"

#include <jansson.h>

struct speaker {
    char *name;
    struct pitch_sum pitch; /* over all its voiced frames in the fitting sample */
    double mean;            /* pitch.sum / pitch.frames, NAN without voiced frames: what the folder stores */
};

/* How and on what the fit was made: for the human reader of tokenizer.json; nothing is computed from it. */
struct fit_record {
    uint64_t seed;
    int64_t passes, utterances, samples;
};

struct embedded_tokenizer {
    int owners; /* the components that hold it, and its maker */
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
    struct embedded_device *device; /* where log-mel spectra and distances are computed; NULL: on the host */
    float *log_magnitudes;          /* [units][LOG_MEL_BINS]: the units' spectra as the vocoder needs them */
};

/* The default of the embedded vocoder. */
enum { VOCODER_ITERATIONS = 32 };

enum status embedded_tokenizer_create(struct embedded_tokenizer **tokenizer); /* empty, with rates and mel tables */

/* Adds an owner; the last one to release the tokenizer frees it. Sets are made and freed on one thread. */
struct embedded_tokenizer *embedded_tokenizer_share(struct embedded_tokenizer *tokenizer);
void embedded_tokenizer_release(struct embedded_tokenizer *tokenizer); /* NULL is fine */

/* NULL when unknown; name may be NULL. */
struct speaker *embedded_speaker(const struct embedded_tokenizer *tokenizer, const char *name);

/* Mean voiced ln F0 of the speaker as seen when fitting; NAN for an unknown one. */
double embedded_speaker_mean(const struct embedded_tokenizer *tokenizer, const char *name);

/* ---- the folder (tokenizer_file.c) ---- */

/* Computes all fingerprints from the contents. */
void embedded_tokenizer_seal(struct embedded_tokenizer *tokenizer);

enum status embedded_tokenizer_save(const struct embedded_tokenizer *tokenizer, const char *path, bool replace);

/* From a verified folder whose tokenizer.json is `description`. */
enum status embedded_tokenizer_read(const char *folder, const json_t *description,
                                    struct embedded_tokenizer **tokenizer);

/* ---- the vocoder (vocoder.c) ---- */

/* As synthesise of speech/component.h. */
enum status embedded_vocode(const struct embedded_tokenizer *tokenizer, const struct spoken_unit *spoken,
                            const int32_t *durations, int64_t spoken_count, struct thread_pool *pool, float **samples,
                            int64_t *count);

#endif
