/* The embedded components, all from one folder that prepare fits (fit.h) and none of which needs pretrained weights:
 *   tokenizer.json        versions, rates, sizes, fingerprints of each component, silence threshold...
 *   tokenizer.safetensors unit centroids (cepstra [K][20], spectra [K][80]), pitch codebook, style centroids and
 *                         normalisation
 *   MANIFEST              as io/atomic_file.h
 * units   k-means over log-mel frames at 25/s (GSLM's baseline; unit_quantizer.h): floor(samples / 640) of them
 * pitch   80 ms means of interpolated log-F0 minus the speaker's (else the chunk's) voiced mean, in 64 codes at 12.5/s
 *         (pitch.h): floor(samples / 1280)
 * style k-means over 1 s prosody statistics at 1/s (style.h): one per started second of hubert units, ceil(hubert / 25)
 * vocoder Griffin-Lim from the units' mel centroids (it ignores pitch and style), 640 samples per unit; a unit
 *         without a duration has its mean run length in the fitting sample; no more than 12 hours
 * Audio under 1280 samples gives nothing. Chunks of 100 s are independent; a remainder of under 1280 samples belongs to
 * the chunk before it. */
#ifndef SPIRITLM_SPEECH_EMBEDDED_EMBEDDED_H
#define SPIRITLM_SPEECH_EMBEDDED_EMBEDDED_H

#include "speech/component.h"

#include <jansson.h>

#define EMBEDDED_KIND "embedded" /* "kind" of tokenizer.json */

/* Fills an empty set with all four components and the folder's files. The caller has verified the folder against its
 * MANIFEST and read `description`, its tokenizer.json, whose contents are checked here (STATUS_CORRUPT). After a
 * failure the set is to be freed as it is. */
enum status embedded_open(const char *folder, const json_t *description, struct speech *speech);

/* The compute_on of such a set. In a set of several kinds it does what the encoders that are still embedded need, which share one
 * tokenizer. */
enum status embedded_compute_on(struct speech *speech, const struct speech_compute *compute);

#endif
