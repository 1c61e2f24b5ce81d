/* Audio to units and back, with everything that was fitted in one folder:
 *   tokenizer.json        versions, rates, sizes, fingerprints of each component, silence threshold...
 *   tokenizer.safetensors unit centroids (cepstra [K][20], spectra [K][80]), pitch codebook, style centroids and
 *                         normalisation
 *   MANIFEST              as io/atomic_file.h
 * The embedded default (needs no weights): units = k-means over log-mel frames at 25/s (GSLM's baseline), pitch = 80 ms
 * means of interpolated log-F0 minus the speaker's (else the utterance's) voiced mean in 64 codes at 12.5/s, style =
 * k-means over 1 s prosody statistics at 1/s, vocoder = Griffin-Lim from the units' mel centroids (it hears neither
 * pitch nor style). */
#ifndef SPIRITLM_SPEECH_EMBEDDED_SPEECH_TOKENIZER_H
#define SPIRITLM_SPEECH_EMBEDDED_SPEECH_TOKENIZER_H

#include "core/hash.h"
#include "core/thread_pool.h"
#include "speech/units.h"

#include <stdbool.h>
#include <stdint.h>

struct speech_tokenizer; /* read-only after loading: threads may share it */

enum { SPEECH_MELS = 80 }; /* log-mel: 100 frames a second, 80 Slaney bands, 1024-point FFT */

struct speech_tokenizer_options {
    int64_t units;       /* k of the unit k-means: 100 in the demo, 500 as in Spirit LM */
    int64_t pitch_codes; /* 64 */
    int64_t style_codes; /* upper bound; the fit takes at most points / 20 */
    int64_t iterations;  /* k-means passes */
    uint64_t seed;
};

/* ---- fitting ---- */

/* Feeds one utterance of the fitting sample (call in a fixed order: results depend on it). */
struct speech_fit;
enum status speech_fit_begin(const struct speech_tokenizer_options *options, struct speech_fit **fit);
enum status speech_fit_add(struct speech_fit *fit, const float *samples, int64_t count, const char *speaker);

/* The same in two halves, so that the slow one can run on many threads: speech_fit_analyse (thread-safe, any order)
 * measures an utterance; speech_fit_take (fixed order) adds what was measured and owns it from then on, also when it
 * fails. speaker: NULL or "" when unknown. STATUS_CORRUPT: a sample that is not finite. */
struct speech_features;
enum status speech_fit_analyse(const struct speech_fit *fit, const float *samples, int64_t count,
                               struct speech_features **features);
enum status speech_fit_take(struct speech_fit *fit, struct speech_features *features, const char *speaker);
void speech_features_free(struct speech_features *features); /* NULL is fine */

/* Fits all three quantisers and writes the folder `path` atomically (replace: over an existing one). */
enum status speech_fit_finish(struct speech_fit *fit, struct thread_pool *pool, const char *path, bool replace);
void speech_fit_free(struct speech_fit *fit);

/* ---- use ---- */

enum status speech_tokenizer_load(const char *path, struct speech_tokenizer **tokenizer); /* verifies MANIFEST */
void speech_tokenizer_free(struct speech_tokenizer *tokenizer);

const struct unit_rates *speech_tokenizer_rates(const struct speech_tokenizer *tokenizer);
int32_t speech_tokenizer_size(const struct speech_tokenizer *tokenizer, enum unit_stream stream); /* codes */
struct sha256 speech_tokenizer_fingerprint(const struct speech_tokenizer *tokenizer, enum unit_stream stream);

/* Mean voiced log-F0 per speaker as seen when fitting; NAN for an unknown speaker. */
double speech_tokenizer_speaker_mean(const struct speech_tokenizer *tokenizer, const char *speaker);

/* Units of 16 kHz mono samples. hubert: floor(count / 640) units; pitch: floor(count / 1280); style: one a started
 * second of hubert units, ceil(hubert / 25). Audio under 1280 samples gives nothing (all counts 0). Chunks of 100 s are
 * independent; a rest of under 1280 samples belongs to the chunk before it. The result depends on the samples and
 * speaker_mean alone: mean voiced log-F0, NAN to use each chunk's own. STATUS_CORRUPT: a sample that is not finite. */
enum status speech_tokenizer_encode(const struct speech_tokenizer *tokenizer, const float *samples, int64_t count,
                                    double speaker_mean, struct units *units);

/* Griffin-Lim: unit i of `spoken` lasts durations[i] >= 1 units of 40 ms (durations NULL: the mean run length of that
 * unit in the fitting sample). *samples is allocated for the caller; 640 samples a unit. STATUS_USAGE: a unit that the
 * tokenizer does not have, a duration below 1, more than 12 hours. The same bits for any number of threads. */
enum status speech_tokenizer_vocode(const struct speech_tokenizer *tokenizer, const struct spoken_unit *spoken,
                                    const int32_t *durations, int64_t spoken_count, struct thread_pool *pool,
                                    float **samples, int64_t *count);
struct sha256 speech_tokenizer_vocoder_fingerprint(const struct speech_tokenizer *tokenizer);

#endif
