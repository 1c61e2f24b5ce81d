/* Workspaces, and the three operations on them. What goes to a device and what comes back lie one behind the other in one
 * room, which the host has pinned and the device has too, so that a place is the same offset in both. */
#include "speech/embedded/device.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 256 };

/* The tables of log-mel spectra in device memory. */
struct mel_tables {
    double *window, *weights;
    int32_t *first, *length, *offset;
    int64_t weight_count;
};

struct workspace {
    struct workspace *next;
    struct device_context context;
    struct mel_tables tables;
    char *device, *host; /* one room, in both memories */
    size_t bytes;
};

struct embedded_device {
    const struct kernels *kernels;
    const struct log_mel *mel;
    pthread_mutex_t lock;
    struct workspace *idle;
};

enum status embedded_device_create(const struct kernels *kernels, const struct log_mel *mel,
                                   struct embedded_device **out)
{
    *out = NULL;
    struct embedded_device *device = calloc(1, sizeof *device);
    if (!device)
        return status_set(STATUS_INTERNAL, "no memory for a device");
    *device = (struct embedded_device){.kernels = kernels, .mel = mel};
    if (pthread_mutex_init(&device->lock, NULL) != 0) {
        free(device);
        return status_set(STATUS_INTERNAL, "cannot make a lock");
    }
    *out = device;
    return STATUS_OK;
}

static void workspace_free(const struct kernels *kernels, struct workspace *workspace)
{
    if (workspace->context.libraries) {
        void *const memory[] = {workspace->device,       workspace->tables.window, workspace->tables.weights,
                                workspace->tables.first, workspace->tables.length, workspace->tables.offset};
        for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
            kernels->release(&workspace->context, memory[i]);
        kernels->release_host(&workspace->context, workspace->host);
        device_context_destroy(kernels, &workspace->context);
    }
    free(workspace);
}

void embedded_device_free(struct embedded_device *device)
{
    if (!device)
        return;
    while (device->idle) {
        struct workspace *workspace = device->idle;
        device->idle = workspace->next;
        workspace_free(device->kernels, workspace);
    }
    pthread_mutex_destroy(&device->lock);
    free(device);
}

/* The room has at least so many bytes afterwards; what was in it is lost. */
static enum status reserve(const struct kernels *kernels, struct workspace *workspace, size_t bytes)
{
    enum status result = STATUS_OK;
    if (bytes <= workspace->bytes)
        return STATUS_OK;
    kernels->release(&workspace->context, workspace->device);
    kernels->release_host(&workspace->context, workspace->host);
    workspace->device = workspace->host = NULL;
    workspace->bytes = 0;
    bytes += bytes / 4; /* utterances differ in length */
    TRY(kernels->allocate(&workspace->context, bytes, (void **)&workspace->device));
    TRY(kernels->allocate_host(&workspace->context, bytes, (void **)&workspace->host));
    workspace->bytes = bytes;
fail:
    return result;
}

/* Device memory that holds `bytes` of `data`. */
static enum status upload(const struct kernels *kernels, struct workspace *workspace, const void *data, size_t bytes,
                          void **memory)
{
    enum status result = STATUS_OK;
    TRY(kernels->allocate(&workspace->context, bytes, memory));
    TRY(reserve(kernels, workspace, bytes));
    memcpy(workspace->host, data, bytes);
    TRY(kernels->copy_to_device(&workspace->context, QUEUE_COMPUTE, *memory, workspace->host, bytes));
    TRY(kernels->synchronize(&workspace->context)); /* the room is used again */
fail:
    return result;
}

static enum status upload_tables(const struct kernels *kernels, const struct log_mel *mel, struct workspace *workspace)
{
    enum status result = STATUS_OK;
    struct mel_tables *tables = &workspace->tables;
    int bands = log_mel_bands(mel);
    size_t integers = (size_t)bands * sizeof(int32_t);
    int32_t *host = calloc((size_t)bands * 3, sizeof *host), *first = host, *length = NULL, *offset = NULL;
    double *weights = calloc((size_t)bands * LOG_MEL_BINS, sizeof *weights);
    if (!host || !weights)
        FAIL(STATUS_INTERNAL, "no memory for the tables of %d mel bands", bands);
    length = host + bands;
    offset = length + bands;
    for (int b = 0; b < bands; b++) {
        struct log_mel_band band = log_mel_band(mel, b);
        first[b] = band.first;
        length[b] = band.length;
        offset[b] = (int32_t)tables->weight_count;
        memcpy(weights + tables->weight_count, band.weights, (size_t)band.length * sizeof *weights);
        tables->weight_count += band.length;
    }
    TRY(upload(kernels, workspace, log_mel_window(mel), LOG_MEL_WINDOW * sizeof(double), (void **)&tables->window));
    TRY(upload(kernels, workspace, weights, (size_t)bands * LOG_MEL_BINS * sizeof *weights, (void **)&tables->weights));
    TRY(upload(kernels, workspace, first, integers, (void **)&tables->first));
    TRY(upload(kernels, workspace, length, integers, (void **)&tables->length));
    TRY(upload(kernels, workspace, offset, integers, (void **)&tables->offset));
fail:
    free(host);
    free(weights);
    return result;
}

/* An idle workspace, or a new one. Contexts are opened one at a time. */
static enum status borrow(struct embedded_device *device, struct workspace **out)
{
    enum status result = STATUS_OK;
    struct workspace *workspace = NULL;
    *out = NULL;
    pthread_mutex_lock(&device->lock);
    if (device->idle) {
        *out = device->idle;
        device->idle = device->idle->next;
        goto fail;
    }
    if (!(workspace = calloc(1, sizeof *workspace)))
        FAIL(STATUS_INTERNAL, "no memory for a device's workspace");
    TRY(device_context_create(device->kernels, NULL, 0, &workspace->context));
    TRY(upload_tables(device->kernels, device->mel, workspace));
    *out = workspace;
    workspace = NULL;
fail:
    pthread_mutex_unlock(&device->lock);
    if (workspace)
        workspace_free(device->kernels, workspace);
    return result;
}

static void give_back(struct embedded_device *device, struct workspace *workspace)
{
    if (!workspace)
        return;
    pthread_mutex_lock(&device->lock);
    workspace->next = device->idle;
    device->idle = workspace;
    pthread_mutex_unlock(&device->lock);
}

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* The first `bytes` of the room, to the device; and `bytes` from `place` on, back, with everything before them done. */
static enum status send(const struct kernels *kernels, const struct workspace *workspace, size_t bytes)
{
    return kernels->copy_to_device(&workspace->context, QUEUE_COMPUTE, workspace->device, workspace->host, bytes);
}
static enum status fetch(const struct kernels *kernels, const struct workspace *workspace, size_t place, size_t bytes)
{
    enum status result = kernels->copy_to_host(&workspace->context, QUEUE_COMPUTE, workspace->host + place,
                                               workspace->device + place, bytes);
    return result == STATUS_OK ? kernels->synchronize(&workspace->context) : result;
}

enum status embedded_device_log_mel(struct embedded_device *device, const float *samples, int64_t count, float *output)
{
    enum status result = STATUS_OK;
    const struct kernels *kernels = device->kernels;
    struct workspace *w = NULL;
    int64_t frames = log_mel_frames(count), bands = log_mel_bands(device->mel);
    size_t given = (size_t)count * sizeof *samples, place = aligned(given);
    size_t made = (size_t)(frames * bands) * sizeof *output;
    if (frames == 0)
        return STATUS_OK;
    TRY(borrow(device, &w));
    TRY(reserve(kernels, w, place + made));
    const struct log_mel_spectrum p = {.batch = 1,
                                       .samples = count,
                                       .frames = frames,
                                       .bands = bands,
                                       .window_size = LOG_MEL_WINDOW,
                                       .hop = LOG_MEL_HOP,
                                       .padding = (LOG_MEL_WINDOW - LOG_MEL_HOP) / 2,
                                       .x = (const float *)(const void *)w->device,
                                       .x_stride = count,
                                       .window = w->tables.window,
                                       .weights = w->tables.weights,
                                       .weight_count = w->tables.weight_count,
                                       .band_first = w->tables.first,
                                       .band_length = w->tables.length,
                                       .band_offset = w->tables.offset,
                                       .output = (float *)(void *)(w->device + place),
                                       .offset = LOG_MEL_OFFSET,
                                       .floor = LOG_MEL_FLOOR,
                                       .magnitude = true,
                                       .mirrored = true};
    TRY(device_context_reserve(kernels, &w->context, kernels->log_mel_spectrum_scratch_size(&p)));
    memcpy(w->host, samples, given);
    TRY(send(kernels, w, given));
    TRY(kernels->log_mel_spectrum(&w->context, &p));
    TRY(fetch(kernels, w, place, made));
    memcpy(output, w->host + place, made);
fail:
    give_back(device, w);
    return result;
}

/* Puts points and centroids into the room and the outputs that are wanted behind them: `labels`, `distances` or both, one array
 * after the other, or `every` distance. They are in the host's room from *place on when it returns. */
static enum status measure(const struct kernels *kernels, struct workspace *w, const struct distance_problem *problem,
                           bool labels, bool distances, bool every, size_t *place)
{
    enum status result = STATUS_OK;
    size_t points = (size_t)(problem->count * problem->dimensions) * sizeof(float);
    size_t centroids = (size_t)(problem->clusters * problem->dimensions) * sizeof(float), second = aligned(points);
    size_t row = every ? (size_t)problem->clusters * sizeof(float) : (size_t)(labels + distances) * sizeof(float);
    size_t made = (size_t)problem->count * row;
    *place = second + aligned(centroids);
    TRY(reserve(kernels, w, *place + made));
    float *outputs = (float *)(void *)(w->device + *place);
    const struct kmeans_assign p = {.rows = problem->count,
                                    .channels = problem->dimensions,
                                    .clusters = problem->clusters,
                                    .x = (const float *)(const void *)w->device,
                                    .centroids = (const float *)(const void *)(w->device + second),
                                    .x_row_stride = problem->dimensions,
                                    .labels = labels ? (int32_t *)(void *)outputs : NULL,
                                    .distances = distances ? outputs + (labels ? problem->count : 0) : NULL,
                                    .every = every ? outputs : NULL};
    TRY(device_context_reserve(kernels, &w->context, kernels->kmeans_assign_scratch_size(&p)));
    memcpy(w->host, problem->points, points);
    memcpy(w->host + second, problem->centroids, centroids);
    TRY(send(kernels, w, second + centroids));
    TRY(kernels->kmeans_assign(&w->context, &p));
    TRY(fetch(kernels, w, *place, made));
fail:
    return result;
}

enum status embedded_device_assign(struct embedded_device *device, const struct distance_problem *problem,
                                   int32_t *labels, float *distances)
{
    enum status result = STATUS_OK;
    struct workspace *w = NULL;
    size_t place, bytes = (size_t)problem->count * sizeof(float);
    if (problem->count == 0 || (!labels && !distances))
        return STATUS_OK;
    TRY(borrow(device, &w));
    TRY(measure(device->kernels, w, problem, labels, distances, false, &place));
    if (labels)
        memcpy(labels, w->host + place, bytes);
    if (distances)
        memcpy(distances, w->host + place + (labels ? bytes : 0), bytes);
fail:
    give_back(device, w);
    return result;
}

enum status embedded_device_distances(struct embedded_device *device, const struct distance_problem *problem,
                                      float *distances)
{
    enum status result = STATUS_OK;
    struct workspace *w = NULL;
    size_t place;
    if (problem->count == 0)
        return STATUS_OK;
    TRY(borrow(device, &w));
    TRY(measure(device->kernels, w, problem, false, false, true, &place));
    memcpy(distances, w->host + place, (size_t)(problem->count * problem->clusters) * sizeof *distances);
fail:
    give_back(device, w);
    return result;
}
