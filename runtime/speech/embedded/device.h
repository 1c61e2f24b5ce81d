/* Log-mel spectra and distances to centroids through a table of kernels: what of the embedded encoders and their fit is worth
 * a GPU. Without a device all of it is computed on the host by the same definitions (log_mel.h, kmeans.h).
 *
 * For any number of threads at a time: each call borrows a workspace, a context with device memory and pinned memory that
 * grow as they are needed and stay, so that threads with different utterances keep the device busy together. A call is one
 * copy to the device, one operation, one copy back and one wait. */
#ifndef SPIRITLM_SPEECH_EMBEDDED_DEVICE_H
#define SPIRITLM_SPEECH_EMBEDDED_DEVICE_H

#include "kernels/kernels.h"
#include "speech/embedded/log_mel.h"

struct embedded_device;

/* `kernels` and `mel` are borrowed. Contexts are opened by the calls, on the device that is selected then. */
enum status embedded_device_create(const struct kernels *kernels, const struct log_mel *mel,
                                   struct embedded_device **device);
void embedded_device_free(struct embedded_device *device); /* NULL is fine; no call may be under way */

/* output [log_mel_frames(count)][log_mel_bands(mel)], as log_mel_compute. A GPU's sums have another order: a number may be
 * off by one unit in its last place. */
enum status embedded_device_log_mel(struct embedded_device *device, const float *samples, int64_t count, float *output);

/* points [count][dimensions], centroids [clusters][dimensions]. */
struct distance_problem {
    const float *points, *centroids;
    int64_t count, dimensions, clusters;
};

/* labels and distances [count], either may be NULL: the bits of kmeans_assign. */
enum status embedded_device_assign(struct embedded_device *device, const struct distance_problem *problem,
                                   int32_t *labels, float *distances);
/* distances [count][clusters]: the bits of kmeans_distances. */
enum status embedded_device_distances(struct embedded_device *device, const struct distance_problem *problem,
                                      float *distances);

#endif
