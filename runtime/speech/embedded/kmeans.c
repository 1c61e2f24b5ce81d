/* Threads share the work but no sum: points are assigned independently, and in an update each task owns a few clusters
 * and adds their points in order, so every sum has one order for any number of threads. Centroids are packed so that
 * distances to 32 of them are computed side by side: the compiler's vectors run over clusters, and the order of a
 * single sum stays as it is. */
#include "speech/embedded/kmeans.h"

#include "core/rng.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 32, TILE = 512, CLUSTER_TILE = 8 };

/* Centroids in blocks of LANES clusters, [block][dimension][lane]: distances to a whole block are computed side by
 * side, each still summed over the dimensions in order. Lanes past the last cluster repeat cluster 0 and are
 * ignored. */
static enum status pack_centroids(const float *centroids, int64_t clusters, int64_t dimensions, float **packed)
{
    int64_t blocks = (clusters + LANES - 1) / LANES, size;
    if (__builtin_mul_overflow(blocks * LANES, dimensions * (int64_t)sizeof(float), &size) ||
        !(*packed = malloc((size_t)size)))
        return status_set(STATUS_INTERNAL, "no memory for %lld centroids of %lld dimensions", (long long)clusters,
                          (long long)dimensions);
    for (int64_t b = 0; b < blocks; b++)
        for (int64_t j = 0; j < dimensions; j++)
            for (int64_t lane = 0; lane < LANES; lane++) {
                int64_t cluster = b * LANES + lane < clusters ? b * LANES + lane : 0;
                (*packed)[(b * dimensions + j) * LANES + lane] = centroids[cluster * dimensions + j];
            }
    return STATUS_OK;
}

static void block_distances(const float *point, const float *block, int64_t dimensions, float *distances)
{
    float sum[LANES] = {0};
    for (int64_t j = 0; j < dimensions; j++)
        for (int lane = 0; lane < LANES; lane++) {
            float difference = point[j] - block[j * LANES + lane];
            sum[lane] += difference * difference;
        }
    memcpy(distances, sum, sizeof sum);
}

static int32_t nearest(const float *point, const float *packed, int64_t clusters, int64_t dimensions, float *distance)
{
    int32_t best = 0;
    float least = INFINITY;
    for (int64_t first = 0; first < clusters; first += LANES) {
        float distances[LANES];
        block_distances(point, packed + first * dimensions, dimensions, distances);
        for (int64_t lane = 0; lane < LANES && first + lane < clusters; lane++)
            if (distances[lane] < least) {
                least = distances[lane];
                best = (int32_t)(first + lane);
            }
    }
    *distance = least;
    return best;
}

struct assign_job {
    const float *points, *packed;
    int64_t count, dimensions, clusters;
    int32_t *labels;
    float *distances;
};

static void assign_tile(void *argument, int64_t task, int worker)
{
    (void)worker;
    struct assign_job *job = argument;
    int64_t end = task * TILE + TILE < job->count ? task * TILE + TILE : job->count;
    for (int64_t i = task * TILE; i < end; i++) {
        float distance;
        int32_t label =
            nearest(job->points + i * job->dimensions, job->packed, job->clusters, job->dimensions, &distance);
        if (job->labels)
            job->labels[i] = label;
        if (job->distances)
            job->distances[i] = distance;
    }
}

enum status kmeans_assign(const float *points, int64_t count, int64_t dimensions, const float *centroids,
                          int64_t clusters, struct thread_pool *pool, int32_t *labels, float *distances)
{
    float *packed = NULL;
    enum status result = pack_centroids(centroids, clusters, dimensions, &packed);
    if (result != STATUS_OK)
        return result;
    struct assign_job job = {points, packed, count, dimensions, clusters, labels, distances};
    thread_pool_run(pool, (count + TILE - 1) / TILE, assign_tile, &job);
    free(packed);
    return STATUS_OK;
}

enum status kmeans_distances(const float *points, int64_t count, int64_t dimensions, const float *centroids,
                             int64_t clusters, float *distances)
{
    float *packed = NULL;
    enum status result = pack_centroids(centroids, clusters, dimensions, &packed);
    if (result != STATUS_OK)
        return result;
    for (int64_t i = 0; i < count; i++)
        for (int64_t first = 0; first < clusters; first += LANES) {
            float block[LANES];
            int64_t lanes = clusters - first < LANES ? clusters - first : LANES;
            block_distances(points + i * dimensions, packed + first * dimensions, dimensions, block);
            memcpy(distances + i * clusters + first, block, (size_t)lanes * sizeof *block);
        }
    free(packed);
    return STATUS_OK;
}

struct update_job {
    const float *points;
    int64_t count, dimensions, clusters;
    const int32_t *labels;
    float *centroids;
    int64_t *members;
    double *sums;      /* [clusters][dimensions] */
    int64_t *total;    /* mini-batches: points each cluster has had in this fit; NULL: Lloyd */
    const int64_t *of; /* mini-batches: the batch's points by number; NULL: all points in order */
    struct embedded_device *device;
};

/* All sums of CLUSTER_TILE clusters: a task reads every label but adds only its own points, in their order. */
static void update_tile(void *argument, int64_t task, int worker)
{
    (void)worker;
    struct update_job *job = argument;
    int64_t d = job->dimensions, first = task * CLUSTER_TILE;
    int64_t end = first + CLUSTER_TILE < job->clusters ? first + CLUSTER_TILE : job->clusters;
    memset(job->members + first, 0, (size_t)(end - first) * sizeof *job->members);
    memset(job->sums + first * d, 0, (size_t)((end - first) * d) * sizeof *job->sums);
    for (int64_t i = 0; i < job->count; i++) {
        int64_t cluster = job->labels[i];
        if (cluster < first || cluster >= end)
            continue;
        const float *point = job->points + (job->of ? job->of[i] : i) * d;
        for (int64_t j = 0; j < d; j++)
            job->sums[cluster * d + j] += (double)point[j];
        job->members[cluster]++;
    }
    for (int64_t c = first; c < end; c++) {
        if (!job->members[c])
            continue;
        /* A mini-batch moves the centroid to the mean of all points it was ever given (Sculley's rate 1 / total). */
        double before = job->total ? (double)job->total[c] : 0, now = before + (double)job->members[c];
        for (int64_t j = 0; j < d; j++) {
            double old = before > 0 ? (double)job->centroids[c * d + j] * before : 0;
            job->centroids[c * d + j] = (float)((old + job->sums[c * d + j]) / now);
        }
        if (job->total)
            job->total[c] += job->members[c];
    }
}

static enum status allocate_sums(int64_t clusters, int64_t dimensions, double **sums)
{
    int64_t cells;
    if (__builtin_mul_overflow(clusters, dimensions, &cells) || !(*sums = calloc((size_t)cells, sizeof **sums)))
        return status_set(STATUS_INTERNAL, "no memory for the sums of %lld clusters", (long long)clusters);
    return STATUS_OK;
}

enum status kmeans_update(const float *points, int64_t count, int64_t dimensions, const int32_t *labels,
                          int64_t clusters, struct thread_pool *pool, float *centroids, int64_t *members)
{
    struct update_job job = {.points = points,
                             .count = count,
                             .dimensions = dimensions,
                             .clusters = clusters,
                             .labels = labels,
                             .centroids = centroids,
                             .members = members};
    enum status result = allocate_sums(clusters, dimensions, &job.sums);
    if (result != STATUS_OK)
        return result;
    thread_pool_run(pool, (clusters + CLUSTER_TILE - 1) / CLUSTER_TILE, update_tile, &job);
    free(job.sums);
    return STATUS_OK;
}

struct seed_job {
    const float *points, *centroid;
    int64_t count, dimensions;
    float *nearest;    /* squared distance to the nearest centroid so far */
    double *tile_sums; /* of `nearest` over each tile */
};

static void seed_tile(void *argument, int64_t task, int worker)
{
    (void)worker;
    struct seed_job *job = argument;
    int64_t end = task * TILE + TILE < job->count ? task * TILE + TILE : job->count;
    double total = 0;
    for (int64_t i = task * TILE; i < end; i++) {
        const float *point = job->points + i * job->dimensions;
        float sum = 0;
        for (int64_t j = 0; j < job->dimensions; j++) {
            float difference = point[j] - job->centroid[j];
            sum += difference * difference;
        }
        if (sum < job->nearest[i])
            job->nearest[i] = sum;
        total += (double)job->nearest[i];
    }
    job->tile_sums[task] = total;
}

/* A point drawn with probability proportional to nearest[]: first its tile, then its place in it. */
static int64_t draw_point(const struct seed_job *job, struct rng *rng)
{
    int64_t tiles = (job->count + TILE - 1) / TILE;
    double total = 0, below = 0;
    for (int64_t t = 0; t < tiles; t++)
        total += job->tile_sums[t];
    if (!(total > 0)) /* every point already is a centroid */
        return (int64_t)rng_below(rng, (uint64_t)job->count);
    double target = rng_uniform(rng) * total;
    int64_t tile = 0;
    while (tile < tiles - 1 && below + job->tile_sums[tile] <= target)
        below += job->tile_sums[tile++];
    int64_t end = tile * TILE + TILE < job->count ? tile * TILE + TILE : job->count, last = tile * TILE;
    for (int64_t i = tile * TILE; i < end; i++) {
        if (!(job->nearest[i] > 0))
            continue;
        last = i;
        below += (double)job->nearest[i];
        if (below > target)
            break;
    }
    return last;
}

static enum status plus_plus(const float *points, int64_t count, int64_t dimensions, int64_t clusters, struct rng *rng,
                             struct thread_pool *pool, float *centroids)
{
    enum status result = STATUS_OK;
    int64_t tiles = (count + TILE - 1) / TILE;
    struct seed_job job = {.points = points, .count = count, .dimensions = dimensions};
    job.nearest = malloc((size_t)count * sizeof *job.nearest);
    job.tile_sums = malloc((size_t)tiles * sizeof *job.tile_sums);
    if (!job.nearest || !job.tile_sums)
        FAIL(STATUS_INTERNAL, "no memory to seed %lld clusters", (long long)clusters);
    for (int64_t i = 0; i < count; i++)
        job.nearest[i] = INFINITY;
    int64_t chosen = (int64_t)rng_below(rng, (uint64_t)count);
    for (int64_t c = 0;;) {
        memcpy(centroids + c * dimensions, points + chosen * dimensions, (size_t)dimensions * sizeof *centroids);
        if (++c == clusters)
            break;
        job.centroid = centroids + (c - 1) * dimensions;
        thread_pool_run(pool, tiles, seed_tile, &job);
        chosen = draw_point(&job, rng);
    }
fail:
    free(job.nearest);
    free(job.tile_sums);
    return result;
}

/* Moves each cluster without members onto the point farthest from its centroid; that point then counts as at distance
 * 0. */
static int64_t reseed_empty(const struct update_job *job, const int64_t *members, float *distances)
{
    int64_t moved = 0;
    for (int64_t c = 0; c < job->clusters; c++) {
        if (members[c])
            continue;
        int64_t farthest = 0;
        for (int64_t i = 1; i < job->count; i++)
            if (distances[i] > distances[farthest])
                farthest = i;
        if (!(distances[farthest] > 0))
            break;
        distances[farthest] = 0;
        int64_t point = job->of ? job->of[farthest] : farthest;
        memcpy(job->centroids + c * job->dimensions, job->points + point * job->dimensions,
               (size_t)job->dimensions * sizeof *job->centroids);
        if (job->total)
            job->total[c] = 0;
        moved++;
    }
    return moved;
}

/* Work space of one fit. */
struct space {
    int32_t *labels, *previous;
    float *distances, *gathered;
    int64_t *members, *total, *of;
    double *sums;
};

static void space_free(struct space *space)
{
    free(space->labels);
    free(space->previous);
    free(space->distances);
    free(space->gathered);
    free(space->members);
    free(space->total);
    free(space->of);
    free(space->sums);
}

static enum status space_allocate(struct space *space, int64_t points, int64_t dimensions, int64_t clusters, bool batch)
{
    space->labels = malloc((size_t)points * sizeof *space->labels);
    space->previous = malloc((size_t)points * sizeof *space->previous);
    space->distances = calloc((size_t)points, sizeof *space->distances);
    space->members = calloc((size_t)clusters, sizeof *space->members);
    if (batch) {
        space->gathered = malloc((size_t)(points * dimensions) * sizeof *space->gathered);
        space->total = calloc((size_t)clusters, sizeof *space->total);
        space->of = calloc((size_t)points, sizeof *space->of);
    }
    if (!space->labels || !space->previous || !space->distances || !space->members ||
        (batch && (!space->gathered || !space->total || !space->of)))
        return status_set(STATUS_INTERNAL, "no memory for k-means over %lld points", (long long)points);
    return allocate_sums(clusters, dimensions, &space->sums);
}

/* Labels and distances of the job's points, or of those in `points`, wherever they are computed. */
static enum status assign(const struct update_job *job, const float *points, int64_t count, struct thread_pool *pool,
                          int32_t *labels, float *distances)
{
    struct distance_problem problem = {points, job->centroids, count, job->dimensions, job->clusters};
    return job->device
               ? embedded_device_assign(job->device, &problem, labels, distances)
               : kmeans_assign(points, count, job->dimensions, job->centroids, job->clusters, pool, labels, distances);
}

static enum status lloyd(struct update_job *job, struct space *space, int64_t passes, struct thread_pool *pool,
                         struct kmeans_report *report)
{
    enum status result = STATUS_OK;
    job->labels = space->labels;
    for (int64_t pass = 0; pass < passes; pass++) {
        TRY(assign(job, job->points, job->count, pool, space->labels, space->distances));
        bool same = pass > 0 && !memcmp(space->labels, space->previous, (size_t)job->count * sizeof *space->labels);
        if (same)
            break;
        memcpy(space->previous, space->labels, (size_t)job->count * sizeof *space->labels);
        thread_pool_run(pool, (job->clusters + CLUSTER_TILE - 1) / CLUSTER_TILE, update_tile, job);
        report->reseeded += reseed_empty(job, job->members, space->distances);
        report->passes = pass + 1;
    }
fail:
    return result;
}

/* A pass is as many batches as it takes to draw `points` points; clusters that had none in a whole pass are reseeded
 * from its last batch. */
static enum status mini_batches(struct update_job *job, struct space *space, int64_t points, int64_t passes,
                                struct rng *rng, struct thread_pool *pool, struct kmeans_report *report)
{
    enum status result = STATUS_OK;
    int64_t d = job->dimensions, batches = (points + job->count - 1) / job->count;
    int64_t *seen = calloc((size_t)job->clusters, sizeof *seen);
    if (!seen)
        return status_set(STATUS_INTERNAL, "no memory for k-means of %lld clusters", (long long)job->clusters);
    job->labels = space->labels;
    job->total = space->total;
    job->of = space->of;
    for (int64_t pass = 0; pass < passes; pass++) {
        memset(seen, 0, (size_t)job->clusters * sizeof *seen);
        for (int64_t b = 0; b < batches; b++) {
            for (int64_t i = 0; i < job->count; i++) {
                space->of[i] = (int64_t)rng_below(rng, (uint64_t)points);
                memcpy(space->gathered + i * d, job->points + space->of[i] * d, (size_t)d * sizeof(float));
            }
            TRY(assign(job, space->gathered, job->count, pool, space->labels, space->distances));
            thread_pool_run(pool, (job->clusters + CLUSTER_TILE - 1) / CLUSTER_TILE, update_tile, job);
            for (int64_t c = 0; c < job->clusters; c++)
                seen[c] += job->members[c];
        }
        report->reseeded += reseed_empty(job, seen, space->distances);
        report->passes = pass + 1;
    }
fail:
    free(seen);
    return result;
}

enum status kmeans_fit(const float *points, int64_t count, int64_t dimensions, const struct kmeans_options *options,
                       struct thread_pool *pool, float *centroids, struct kmeans_report *report)
{
    enum status result = STATUS_OK;
    struct kmeans_report ignored;
    struct space space = {0};
    float *distances = NULL;
    int64_t k = options->clusters;
    report = report ? report : &ignored;
    *report = (struct kmeans_report){0};
    if (dimensions < 1 || k < 1 || k > INT32_MAX)
        return status_set(
            STATUS_INTERNAL,
            "k-means: expected at least 1 cluster and 1 dimension, found %lld clusters and %lld dimensions",
            (long long)k, (long long)dimensions);
    if (count < k)
        return status_set(STATUS_USAGE, "k-means of %lld clusters needs at least as many points, found %lld",
                          (long long)k, (long long)count);
    struct rng rng = rng_make(options->seed, RNG_KMEANS, options->purpose, 0);
    bool batch = options->batch > 0 && options->batch < count;
    struct update_job job = {.points = points,
                             .count = batch ? options->batch : count,
                             .dimensions = dimensions,
                             .clusters = k,
                             .centroids = centroids,
                             .device = options->device};
    TRY(space_allocate(&space, job.count, dimensions, k, batch));
    job.members = space.members;
    job.sums = space.sums;
    if (!options->given_start)
        TRY(plus_plus(points, count, dimensions, k, &rng, pool, centroids));
    if (batch)
        TRY(mini_batches(&job, &space, count, options->passes, &rng, pool, report));
    else
        TRY(lloyd(&job, &space, options->passes, pool, report));
    if (!(distances = calloc((size_t)count, sizeof *distances)))
        FAIL(STATUS_INTERNAL, "no memory for %lld distances", (long long)count);
    TRY(assign(&job, points, count, pool, NULL, distances));
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)distances[i];
    report->inertia = sum / (double)count;
fail:
    space_free(&space);
    free(distances);
    return result;
}
