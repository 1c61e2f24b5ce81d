/* From an encoder's frames to units. Two kinds are published: Spirit LM's linear quantizer, a small network with a class more than
 * there are units, CTC's blank; and k-means, whose unit is the nearest of the centres. */
#ifndef SPIRITLM_MODELS_ENCODER_QUANTIZER_H
#define SPIRITLM_MODELS_ENCODER_QUANTIZER_H

#include "models/encoder/encoder.h"

struct quantizer;

/* Reads a file of either kind: a dict with "model_cfg" (vocab_size, dim, upstream_dim) and "model_weight", or one that holds
 * "cluster_centers" or scikit-learn's "cluster_centers_". Frames have `width` numbers. Kernels and context are borrowed; the
 * context is used until the quantizer is closed. STATUS_CORRUPT names what is missing or does not fit. */
enum status quantizer_open(const char *path, int64_t width, const struct kernels *kernels,
                           struct device_context *context, struct quantizer **quantizer);
void quantizer_close(struct quantizer *quantizer); /* NULL is fine */

/* Units are below this. A linear quantizer's last one is the blank, which appears only where a clip has nothing else. */
int64_t quantizer_size(const struct quantizer *quantizer);
const struct sha256 *quantizer_fingerprint(const struct quantizer *quantizer);

/* units[i][frames of clip i], in host memory, of the frames that a pass has left. */
enum status quantizer_run(const struct quantizer *quantizer, struct device_context *context,
                          const struct encoder_output *output, int32_t *const *units);

/* Each blank becomes the unit to its left; the first one's left neighbour is the last. A clip of blanks alone stays as it is.
 * (Spirit LM's release does so, as often as it takes.) */
void quantizer_fill_blanks(int32_t *units, int64_t count, int32_t blank);

#endif
