/* The window and the bands of FCPE's spectrum, made once in double and sent to the device in one piece. */
#include "core/mel_bank.h"
#include "models/fcpe/fcpe_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RATE = 16000 };
static const double PI = 3.14159265358979323846;

/* Everything in host memory, as it will lie on the device: doubles first. */
static void fill(const struct fcpe_config *config, double *window, double *weights, int32_t *bands,
                 int64_t *weight_count)
{
    const struct mel_bank bank = {.bands = config->bands,
                                  .bins = config->window / 2 + 1,
                                  .hertz_per_bin = (double)RATE / (double)config->window,
                                  .lowest = config->lowest,
                                  .highest = config->highest};
    int32_t *first = bands, *length = bands + config->bands, *offset = bands + 2 * config->bands;
    int64_t used = 0;
    for (int64_t i = 0; i < config->window; i++) /* Hann's, periodic */
        window[i] = 0.5 - 0.5 * cos(2.0 * PI * (double)i / (double)config->window);
    for (int64_t b = 0; b < config->bands; b++) {
        double *row = weights + used;
        mel_bank_fill(&bank, b, row, &first[b], &length[b]);
        memmove(row, row + first[b], (size_t)length[b] * sizeof *row);
        offset[b] = (int32_t)used;
        used += length[b];
    }
    *weight_count = used;
}

enum status fcpe_mel_create(const struct fcpe_config *config, const struct kernels *kernels,
                            struct device_context *context, struct fcpe_mel *mel)
{
    enum status result = STATUS_OK;
    /* A bin lies under at most two bands, but each is first filled whole. */
    int64_t bins = config->window / 2 + 1, doubles = config->window + 2 * bins + bins;
    size_t bytes = (size_t)doubles * sizeof(double) + (size_t)(3 * config->bands) * sizeof(int32_t);
    void *device = NULL;
    double *host = calloc(1, bytes);
    if (!host)
        return status_set(STATUS_INTERNAL, "no memory for a filter bank");
    fill(config, host, host + config->window, (int32_t *)(void *)(host + doubles), &mel->weight_count);
    TRY(kernels->allocate(context, bytes, &device));
    mel->memory = device;
    mel->window = device;
    mel->weights = mel->window + config->window;
    mel->first = (const int32_t *)(const void *)(mel->window + doubles);
    mel->length = mel->first + config->bands;
    mel->offset = mel->length + config->bands;
    TRY(kernels->copy_to_device(context, QUEUE_COMPUTE, device, host, bytes));
    TRY(kernels->synchronize(context));
fail:
    free(host);
    return result;
}
