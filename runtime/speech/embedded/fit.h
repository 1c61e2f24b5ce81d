/* Fits the embedded components on a sample of utterances and writes their folder (embedded.h). */
#ifndef SPIRITLM_SPEECH_EMBEDDED_FIT_H
#define SPIRITLM_SPEECH_EMBEDDED_FIT_H

#include "core/status.h"
#include "core/thread_pool.h"
#include "kernels/kernels.h"

#include <stdbool.h>
#include <stdint.h>

struct speech_fit_options {
    int64_t units;       /* k of the unit k-means: 100 in the demo, 500 as in Spirit LM */
    int64_t pitch_codes; /* 64 */
    int64_t style_codes; /* upper bound; the fit takes at most points / 20 */
    int64_t iterations;  /* k-means passes */
    uint64_t seed;
    const struct kernels *kernels; /* where log-mel spectra and distances are computed; NULL: on the host */
};

/* Feeds one utterance of the fitting sample (call in a fixed order: results depend on it). */
struct speech_fit;
enum status speech_fit_begin(const struct speech_fit_options *options, struct speech_fit **fit);
enum status speech_fit_add(struct speech_fit *fit, const float *samples, int64_t count, const char *speaker);

/* The same in two halves, so that the slow one can run on many threads: speech_fit_analyse (thread-safe, any order)
 * measures an utterance; speech_fit_take (fixed order) adds what was measured and owns it from then on, also when it
 * fails. speaker: NULL or "" when unknown. STATUS_CORRUPT: a sample that is not finite. */
struct embedded_analysis;
enum status speech_fit_analyse(const struct speech_fit *fit, const float *samples, int64_t count,
                               struct embedded_analysis **analysis);
enum status speech_fit_take(struct speech_fit *fit, struct embedded_analysis *analysis, const char *speaker);
void speech_fit_discard(struct embedded_analysis *analysis); /* what was not taken; NULL is fine */

/* Fits all three quantisers and writes the folder `path` atomically (replace: over an existing one). */
enum status speech_fit_finish(struct speech_fit *fit, struct thread_pool *pool, const char *path, bool replace);
void speech_fit_free(struct speech_fit *fit);

#endif
