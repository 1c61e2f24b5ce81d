/* The nearest centroid of each point. A block of 64 points meets the centroids 64 at a time: scores |c|^2 - 2 x c, one fused
 * multiplication for each coordinate where the distance itself takes three operations, and of each point the two least
 * scores. Where these lie so close that rounding, of the scores or of the distances, could have exchanged them, the block
 * computes the distances: sums over the coordinates in order, without fused multiplications, so that labels and distances
 * are the cpu's to the bit. The bound of rounding is that of the norms of point and centroids; a NaN or an infinity among
 * their squares makes it one too, and then every point is looked at again. */
#include "kernels/cuda/launch.cuh"

enum {
    THREADS = 256,
    POINTS = 64,   /* of a block */
    CLUSTERS = 64, /* that a block looks at together */
    DEPTH = 16,    /* coordinates in shared memory */
    SIDE = 16,     /* threads across the points, and across the clusters */
    HELD = POINTS / SIDE,
    PADDED = 64 + 4 /* a column of a tile, so that its rows begin at other banks */
};

/* What rounding can do to the difference of two scores or of two distances, as a share of (channels + 4) * (|x|^2 + the
 * largest |c|^2): each of the four sums is off by at most (channels + 2) * 2^-24 of twice that. */
#define SHARE (10.0f / 16777216.0f)

__device__ static float distance_between(const float *x, const float *centroid, int64_t channels)
{
    float sum = 0;
    for (int64_t c = 0; c < channels; c++) {
        float difference = __fsub_rn(x[c], centroid[c]);
        sum = __fadd_rn(sum, __fmul_rn(difference, difference));
    }
    return sum;
}

/* norms[k] = |centroid k|^2, a warp per centroid */
__global__ void __launch_bounds__(THREADS) norm_kernel(struct kmeans_assign p, float *norms /* [K] */)
{
    int64_t k = (int64_t(blockIdx.x) * THREADS + threadIdx.x) / WARP;
    if (k >= p.clusters)
        return;
    float sum = 0;
    for (int64_t c = threadIdx.x % WARP; c < p.channels; c += WARP) {
        float value = p.centroids[k * p.channels + c];
        sum = fmaf(value, value, sum);
    }
    sum = warp_sum(sum);
    if (threadIdx.x % WARP == 0)
        norms[k] = sum;
}

/* The largest of the norms; NaN if one is NaN. */
__global__ void __launch_bounds__(THREADS) largest_kernel(int64_t clusters, const float *norms, float *largest)
{
    float most = 0;
    bool nan = false;
    for (int64_t k = threadIdx.x; k < clusters; k += THREADS) {
        nan = nan || isnan(norms[k]);
        most = fmaxf(most, norms[k]);
    }
    most = block_maximum(most);
    nan = __syncthreads_or(nan);
    if (threadIdx.x == 0)
        *largest = nan ? NAN : most;
}

/* The two least scores of a point so far. */
struct nearest {
    float least, second;
    int32_t label;
};

__device__ static void nearest_take(struct nearest *nearest, float score, int32_t label)
{
    if (score < nearest->least) {
        nearest->second = nearest->least;
        nearest->least = score;
        nearest->label = label;
    } else if (score < nearest->second) {
        nearest->second = score;
    }
}

struct tile {
    float x[DEPTH][PADDED], centroids[DEPTH][PADDED];
};

/* DEPTH coordinates from `c` on of 64 rows from `first` on; 0 past the ends. A warp reads 8 coordinates, a sector, of 4 rows:
 * in the tile they lie in 32 different banks. */
__device__ static void load_tile(float (&to)[DEPTH][PADDED], const float *from, int64_t first, int64_t rows,
                                 int64_t stride, int64_t c, int64_t channels)
{
    int lane = int(threadIdx.x) % WARP, warp = int(threadIdx.x) / WARP;
    int depth = lane % 8 + warp % 2 * 8, place = lane / 8 + warp / 2 * 4;
    int64_t row = first + place;
    const float *source = from + row * stride + c + depth;
    bool inside = c + depth < channels;
#pragma unroll
    for (int i = 0; i < POINTS; i += THREADS / DEPTH)
        to[depth][place + i] = inside && row + i < rows ? source[i * stride] : 0.0f;
}

/* What this thread has to do with coordinate d: HELD points and HELD clusters. */
__device__ static void held_values(float (&x)[HELD], float (&centroid)[HELD], const struct tile &tile, int d)
{
    static_assert(HELD == 4, "held values are one word of 16 bytes");
    float4 a = *reinterpret_cast<const float4 *>(&tile.x[d][int(threadIdx.x) / SIDE * HELD]);
    float4 b = *reinterpret_cast<const float4 *>(&tile.centroids[d][int(threadIdx.x) % SIDE * HELD]);
    x[0] = a.x, x[1] = a.y, x[2] = a.z, x[3] = a.w;
    centroid[0] = b.x, centroid[1] = b.y, centroid[2] = b.z, centroid[3] = b.w;
}

/* Products of this thread's HELD x HELD points and clusters; also the squares of the points. */
__device__ static void add_products(float (&product)[HELD][HELD], float (&square)[HELD], const struct tile &tile)
{
#pragma unroll
    for (int d = 0; d < DEPTH; d++) {
        float x[HELD], centroid[HELD];
        held_values(x, centroid, tile, d);
#pragma unroll
        for (int i = 0; i < HELD; i++) {
            square[i] = fmaf(x[i], x[i], square[i]);
#pragma unroll
            for (int j = 0; j < HELD; j++)
                product[i][j] = fmaf(x[i], centroid[j], product[i][j]);
        }
    }
}

/* The scores of the block's points and the clusters from `first` on. */
__device__ static void take_clusters(struct nearest (&nearest)[HELD], float (&square)[HELD],
                                     const struct kmeans_assign &p, struct tile &tile, int64_t first,
                                     const float *norms)
{
    float product[HELD][HELD] = {};
#pragma unroll
    for (int i = 0; i < HELD; i++)
        square[i] = 0;
    for (int64_t c = 0; c < p.channels; c += DEPTH) {
        __syncthreads(); /* the tile before has been used */
        load_tile(tile.x, p.x, int64_t(blockIdx.x) * POINTS, p.rows, p.x_row_stride, c, p.channels);
        load_tile(tile.centroids, p.centroids, first, p.clusters, p.channels, c, p.channels);
        __syncthreads();
        add_products(product, square, tile);
    }
#pragma unroll
    for (int j = 0; j < HELD; j++) {
        int64_t k = first + int(threadIdx.x) % SIDE * HELD + j;
        if (k >= p.clusters)
            break;
        float norm = norms[k];
#pragma unroll
        for (int i = 0; i < HELD; i++)
            nearest_take(&nearest[i], fmaf(-2.0f, product[i][j], norm), int32_t(k));
    }
}

/* What the SIDE threads of a point have found, in all of them. */
__device__ static void nearest_join(struct nearest *nearest)
{
    for (int distance = SIDE / 2; distance > 0; distance /= 2) {
        float least = __shfl_xor_sync(FULL_WARP, nearest->least, distance);
        float second = __shfl_xor_sync(FULL_WARP, nearest->second, distance);
        int32_t label = __shfl_xor_sync(FULL_WARP, nearest->label, distance);
        nearest_take(nearest, least, label);
        nearest->second = second < nearest->second ? second : nearest->second;
    }
}

/* The choice by the distances themselves, by a warp. */
__device__ static void choose_exactly(const struct kmeans_assign &p, int64_t n, int32_t *label, float *distance)
{
    float least = INFINITY;
    int32_t best = INT32_MAX;
    for (int64_t k = threadIdx.x % WARP; k < p.clusters; k += WARP) {
        float sum = distance_between(p.x + n * p.x_row_stride, p.centroids + k * p.channels, p.channels);
        if (sum < least) {
            least = sum;
            best = int32_t(k);
        }
    }
    for (int lanes = WARP / 2; lanes > 0; lanes /= 2) {
        float other = __shfl_xor_sync(FULL_WARP, least, lanes);
        int32_t its = __shfl_xor_sync(FULL_WARP, best, lanes);
        if (other < least || (other == least && its < best)) {
            least = other;
            best = its;
        }
    }
    *label = best == INT32_MAX ? 0 : best;
    *distance = least;
}

__global__ void __launch_bounds__(THREADS)
    kmeans_assign_kernel(struct kmeans_assign p, const float *norms /* [K] */, const float *largest)
{
    __shared__ struct tile tile;
    __shared__ int32_t labels[POINTS]; /* -1: too close to say */
    struct nearest nearest[HELD];
    float square[HELD];
    int point = int(threadIdx.x) / SIDE * HELD;
#pragma unroll
    for (int i = 0; i < HELD; i++)
        nearest[i] = {INFINITY, INFINITY, 0};
    for (int64_t first = 0; first < p.clusters; first += CLUSTERS)
        take_clusters(nearest, square, p, tile, first, norms);
#pragma unroll
    for (int i = 0; i < HELD; i++) {
        nearest_join(&nearest[i]);
        float unsure = SHARE * float(p.channels + 4) * (square[i] + *largest);
        if (threadIdx.x % SIDE == 0)
            labels[point + i] = nearest[i].second - nearest[i].least > unsure ? nearest[i].label : -1;
    }
    __syncthreads();
    for (int i = int(threadIdx.x) / WARP; i < POINTS; i += THREADS / WARP) {
        int64_t n = int64_t(blockIdx.x) * POINTS + i;
        int32_t label = labels[i];
        float distance = INFINITY;
        if (n >= p.rows)
            break;
        if (label < 0)
            choose_exactly(p, n, &label, &distance);
        else if (p.distances && threadIdx.x % WARP == 0)
            distance =
                distance_between(p.x + n * p.x_row_stride, p.centroids + int64_t(label) * p.channels, p.channels);
        if (threadIdx.x % WARP != 0)
            continue;
        if (p.labels)
            p.labels[n] = label;
        if (p.distances)
            p.distances[n] = distance;
    }
}

/* Every distance: the sums of this thread's HELD x HELD points and clusters side by side. Coordinates past the last one are 0
 * in both tiles and add nothing. */
__global__ void __launch_bounds__(THREADS) kmeans_distances_kernel(struct kmeans_assign p)
{
    __shared__ struct tile tile;
    float sum[HELD][HELD] = {};
    int64_t points = int64_t(blockIdx.x) * POINTS, clusters = int64_t(blockIdx.y) * CLUSTERS;
    int point = int(threadIdx.x) / SIDE * HELD, cluster = int(threadIdx.x) % SIDE * HELD;
    for (int64_t c = 0; c < p.channels; c += DEPTH) {
        __syncthreads(); /* the tile before has been used */
        load_tile(tile.x, p.x, points, p.rows, p.x_row_stride, c, p.channels);
        load_tile(tile.centroids, p.centroids, clusters, p.clusters, p.channels, c, p.channels);
        __syncthreads();
#pragma unroll 1
        for (int d = 0; d < DEPTH; d++) {
            float x[HELD], centroid[HELD];
            held_values(x, centroid, tile, d);
#pragma unroll
            for (int i = 0; i < HELD; i++)
#pragma unroll
                for (int j = 0; j < HELD; j++) {
                    float difference = __fsub_rn(x[i], centroid[j]);
                    sum[i][j] = __fadd_rn(sum[i][j], __fmul_rn(difference, difference));
                }
        }
    }
#pragma unroll
    for (int i = 0; i < HELD; i++)
#pragma unroll
        for (int j = 0; j < HELD; j++)
            if (points + point + i < p.rows && clusters + cluster + j < p.clusters)
                p.every[(points + point + i) * p.clusters + clusters + cluster + j] = sum[i][j];
}

extern "C" enum status cuda_kmeans_assign(const struct device_context *context, const struct kmeans_assign *p)
{
    static const char *const name = "kmeans_assign";
    float *largest = static_cast<float *>(context->scratch), *norms = largest + 1;
    enum status result = STATUS_OK;
    if (p->rows == 0)
        return STATUS_OK;
    if (p->every)
        result = launch(context, name, kmeans_distances_kernel, divide_up(p->rows, POINTS),
                        divide_up(p->clusters, CLUSTERS), THREADS, *p);
    if (result != STATUS_OK || (!p->labels && !p->distances))
        return result;
    result = launch(context, name, norm_kernel, divide_up(p->clusters * WARP, THREADS), 1, THREADS, *p, norms);
    if (result == STATUS_OK)
        result = launch(context, name, largest_kernel, 1, 1, THREADS, p->clusters, norms, largest);
    if (result == STATUS_OK)
        result =
            launch(context, name, kmeans_assign_kernel, divide_up(p->rows, POINTS), 1, THREADS, *p, norms, largest);
    return result;
}
