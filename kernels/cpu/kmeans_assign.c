/* The nearest centroid of each point. Centroids are packed so that distances to 32 of them are computed side by side:
 * vectors run over clusters, and each distance is summed over the dimensions in order, without fused multiplications, so
 * that it has the bits of a plain loop. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vector.h"

enum { CLUSTERS = 32, POINTS = 512, VECTORS = CLUSTERS / LANES };

struct work {
    const struct kmeans_assign *p;
    float *packed; /* [blocks][C][CLUSTERS]; places past the last cluster repeat cluster 0 and are ignored */
};

size_t cpu_kmeans_assign_scratch_size(const struct kmeans_assign *p)
{
    if (p->rows <= 0 || p->channels <= 0 || p->clusters <= 0)
        return 0;
    return (size_t)(divide_up(p->clusters, CLUSTERS) * CLUSTERS * p->channels) * sizeof(float);
}

static void pack_task(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct work *work = argument;
    const struct kmeans_assign *p = work->p;
    float *to = work->packed + block * CLUSTERS * p->channels;
    for (int64_t c = 0; c < p->channels; c++)
        for (int64_t lane = 0; lane < CLUSTERS; lane++) {
            int64_t cluster = block * CLUSTERS + lane;
            to[c * CLUSTERS + lane] = p->centroids[(cluster < p->clusters ? cluster : 0) * p->channels + c];
        }
}

static void block_distances(const float *point, const float *block, int64_t channels, float *distances)
{
    vector sum[VECTORS];
    for (int v = 0; v < VECTORS; v++)
        sum[v] = vector_fill(0);
    for (int64_t c = 0; c < channels; c++)
        for (int v = 0; v < VECTORS; v++) {
            vector difference = point[c] - vector_read(block + c * CLUSTERS + v * LANES);
            sum[v] += difference * difference;
        }
    for (int v = 0; v < VECTORS; v++)
        vector_write(distances + v * LANES, sum[v]);
}

static void assign_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct work *work = argument;
    const struct kmeans_assign *p = work->p;
    int64_t end = minimum(p->rows, (task + 1) * POINTS);
    for (int64_t n = task * POINTS; n < end; n++) {
        float least = INFINITY, distances[CLUSTERS];
        int32_t best = 0;
        for (int64_t first = 0; first < p->clusters; first += CLUSTERS) {
            int64_t lanes = minimum(CLUSTERS, p->clusters - first);
            block_distances(p->x + n * p->x_row_stride, work->packed + first * p->channels, p->channels, distances);
            if (p->every)
                memcpy(p->every + n * p->clusters + first, distances, (size_t)lanes * sizeof *distances);
            for (int64_t lane = 0; lane < lanes; lane++)
                if (distances[lane] < least) {
                    least = distances[lane];
                    best = (int32_t)(first + lane);
                }
        }
        if (p->labels)
            p->labels[n] = best;
        if (p->distances)
            p->distances[n] = least;
    }
}

enum status cpu_kmeans_assign(const struct device_context *context, const struct kmeans_assign *p)
{
    struct work work = {p, context->scratch};
    if (p->rows == 0)
        return STATUS_OK;
    thread_pool_run(context->pool, divide_up(p->clusters, CLUSTERS), pack_task, &work);
    thread_pool_run(context->pool, divide_up(p->rows, POINTS), assign_task, &work);
    return STATUS_OK;
}
