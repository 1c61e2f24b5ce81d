/* What can be measured in an utterance before anything is fitted: each quantity is computed when it is first needed and
 * kept, so that encoders which share it do not compute it twice, and one that is never needed costs nothing. */
#ifndef SPIRITLM_SPEECH_EMBEDDED_ANALYSIS_H
#define SPIRITLM_SPEECH_EMBEDDED_ANALYSIS_H

#include "speech/component.h"
#include "speech/embedded/device.h"
#include "speech/embedded/log_mel.h"
#include "speech/embedded/pitch.h"
#include "speech/embedded/style.h"
#include "speech/embedded/unit_quantizer.h"

enum {
    EMBEDDED_CHUNK = 1600000, /* samples: 100 s, whole units of every stream */
    EMBEDDED_SHORTEST = 1280  /* fewer give no units; such a remainder belongs to the chunk before it */
};

/* One chunk of an utterance. The arrays are NULL until they are needed. */
struct embedded_chunk {
    const float *samples; /* [count], the caller's */
    int64_t count, units, pitches, styles;
    float *averages;         /* [units][UNIT_BANDS] */
    uint16_t *hubert;        /* [units]: the embedded units; filled by the encoders */
    float *pitch;            /* [pitches] ln F0, or NAN */
    struct pitch_sum voiced; /* comes with pitch */
    float *style;            /* [styles][STYLE_VALUES]; the unit changes are missing until style_count_changes */
    struct f0_track track;   /* empty until pitch is there */
};

struct embedded_analysis {
    struct speech_analysis base;
    struct embedded_chunk *chunks;
    int64_t count, samples;
};

/* Cuts the utterance into chunks, of which nothing is computed yet. The samples are borrowed: as long as the analysis
 * lives, or until embedded_analysis_complete. */
enum status embedded_analysis_create(const float *samples, int64_t count, struct embedded_analysis **analysis);
void embedded_analysis_free(struct embedded_analysis *analysis); /* NULL is fine */

/* device: where spectra are computed; NULL: on the host, with `mel`. */
enum status embedded_chunk_averages(struct embedded_chunk *chunk, const struct log_mel *mel,
                                    struct embedded_device *device);
enum status embedded_chunk_pitch(struct embedded_chunk *chunk); /* and voiced and track */
enum status embedded_chunk_style(struct embedded_chunk *chunk, const struct log_mel *mel,
                                 struct embedded_device *device);

/* Computes averages, pitch and style of all chunks, then drops samples and F0 tracks, so that a fit can keep the rest
 * for many hours. */
enum status embedded_analysis_complete(struct embedded_analysis *analysis, const struct log_mel *mel,
                                       struct embedded_device *device);

#endif
