/* A vocoder: unit HiFi-GAN (Polyak et al. 2021, after Kong, Kim and Bae 2020), which turns units, and where it was made for them
 * codes of pitch and style, into a waveform. Every unit lasts a number of frames, which a small network predicts from the units
 * themselves; each frame is the embeddings of its codes, its speaker and its style side by side; transposed convolutions with
 * residual blocks behind them make a few hundred samples of it. For inference, in f32.
 *
 * A sample depends on a few frames on either side of its own, and is the same sum wherever the computation begins: so speech of
 * any length is made in chunks, each with what its neighbours would have computed at its edges, and the samples are those of one
 * single pass, to the bit on the cpu. Memory depends on the chunk and not on the speech. */
#ifndef SPIRITLM_MODELS_HIFIGAN_H
#define SPIRITLM_MODELS_HIFIGAN_H

#include "core/hash.h"
#include "kernels/kernels.h"
#include "models/hifigan/hifigan_config.h"

struct hifigan;

/* Opens a folder as Spirit LM's release has them (generator.pt, config.json, speakers.txt, styles.txt) or a file of weights, as
 * textlesslib has them: then X_config.json or config.json lies beside X.pt, and there may be lists. Kernels are borrowed, and
 * `context` too, which allocates the weights and is used until the vocoder is closed. STATUS_USAGE: a file is not there;
 * STATUS_CORRUPT names a tensor that is missing, unknown or of another shape, or a setting that is not supported. */
enum status hifigan_open(const char *path, const struct kernels *kernels, struct device_context *context,
                         struct hifigan **hifigan);
void hifigan_close(struct hifigan *hifigan); /* NULL is fine */

const struct hifigan_config *hifigan_config(const struct hifigan *hifigan);
/* Over configuration and weights, as numbers: the same whatever the layout of the file. */
const struct sha256 *hifigan_fingerprint(const struct hifigan *hifigan);

/* The row of a speaker or style: by its name in speakers.txt or styles.txt, or by its number from 0 on. STATUS_USAGE lists what
 * there is. `table`: HIFIGAN_SPEAKER or HIFIGAN_STYLE. */
enum status hifigan_find(const struct hifigan *hifigan, enum hifigan_table table, const char *name, int32_t *row);
/* The name of a row; NULL where the lists give none. */
const char *hifigan_name(const struct hifigan *hifigan, enum hifigan_table table, int64_t row);

/* ---- a workspace ---- */

/* Memory for synthesis in chunks of `chunk_frames` (0: the vocoder's choice). One thread at a time; several workspaces may share
 * a vocoder. */
struct hifigan_workspace;
enum status hifigan_workspace_create(const struct hifigan *hifigan, struct device_context *context,
                                     int64_t chunk_frames, struct hifigan_workspace **workspace);
void hifigan_workspace_destroy(struct hifigan_workspace *workspace); /* NULL is fine */

/* ---- from codes to frames ---- */

/* Codes in host memory; those below 0 are dropped. Pitch and style codes: as many as units, or at rates of their own, when each
 * unit is one frame (resynthesis of units that were not merged). None where the vocoder was not made for them. */
struct hifigan_codes {
    const int32_t *units, *pitch, *style;
    int64_t unit_count, pitch_count, style_count;
    const int32_t *durations;   /* [unit_count] frames, at least 1; NULL: as predicted */
    int32_t speaker, style_row; /* rows, where the vocoder has speakers and styles */
};

/* What the vocoder speaks, frame by frame. */
struct hifigan_frames {
    int64_t count;
    int32_t *ids[HIFIGAN_STYLE_CODE + 1]; /* [count] each, NULL where the vocoder has no such embedding */
    int32_t speaker, style_row;
};

/* Finds the durations and repeats the codes. STATUS_USAGE when codes do not fit the vocoder or each other. */
enum status hifigan_arrange(struct hifigan_workspace *workspace, const struct hifigan_codes *codes,
                            struct hifigan_frames *frames);
void hifigan_frames_free(struct hifigan_frames *frames);

/* The frames of each unit, max(1, exp(x) - 1 rounded, halves to even), and x itself unless `logarithms` is NULL. A vocoder
 * without a predictor gives each unit one frame, whose x is ln 2. */
enum status hifigan_durations(struct hifigan_workspace *workspace, const int32_t *units, int64_t count,
                              int32_t *durations, float *logarithms);

/* ---- from frames to samples ---- */

/* Samples of frames [first, first + count), frame_samples each, in host memory: any range, in any order. */
enum status hifigan_speak(struct hifigan_workspace *workspace, const struct hifigan_frames *frames, int64_t first,
                          int64_t count, float *samples);

#endif
