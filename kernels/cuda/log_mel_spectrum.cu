/* Log-mel spectra: window, transform, bands and logarithm of a frame in one block, which takes some frames one after the
 * other and keeps the tables that they share: its samples of the window in registers, the roots of unity in shared memory.
 *
 * All of it in double, as on the cpu: rounded once at the end, a spectrum is the cpu's but for a last place now and then, and
 * so the units that come from it are the cpu's. A frame of 1,024 samples takes some 60,000 operations in double: a GPU that
 * does no more than 500 GFLOP/s in double still computes 80,000 seconds of audio in one.
 *
 * The N real samples are taken as N / 2 complex ones, transformed in place-changing (Stockham) steps of radix 4, and at last
 * one of radix 2 where N / 2 is no power of 4, between two buffers; the spectrum of the real ones follows from theirs
 * (Sorensen, Jones, Heideman and Burrus 1987). */
#include "kernels/cuda/launch.cuh"

enum { THREADS = 128, FRAMES = 8 /* of a block */, MOST_WINDOW = 2048, HELD = MOST_WINDOW / THREADS };

/* In shared memory. */
struct tables {
    double2 *root;   /* [N / 2]: exp(-2 pi i k / N) */
    double2 *values; /* [2][N / 2]; the magnitudes of the bins take the place of one half */
};

__device__ static void exchange(double2 *&a, double2 *&b)
{
    double2 *other = a;
    a = b;
    b = other;
}
__device__ static double2 add(double2 a, double2 b)
{
    return make_double2(a.x + b.x, a.y + b.y);
}
__device__ static double2 subtract(double2 a, double2 b)
{
    return make_double2(a.x - b.x, a.y - b.y);
}
__device__ static double2 multiply(double2 a, double2 b)
{
    return make_double2(fma(a.x, b.x, -a.y * b.y), fma(a.x, b.y, a.y * b.x));
}

/* exp(-2 pi i k / N), k below N: the second half is the first with its sign changed. */
__device__ static double2 root_of(struct tables tables, int k, int half)
{
    double2 root = tables.root[k & (half - 1)];
    return k < half ? root : make_double2(-root.x, -root.y);
}

/* One step over M values: transforms of R that lie M / R apart become neighbours `stride` apart. `factor` = N / (M at this
 * step's length), what an exponent counts in roots of N. */
__device__ static void step4(struct tables tables, const double2 *from, double2 *to, int count, int stride, int half)
{
    int quarter = count / 4;
    for (int i = int(threadIdx.x); i < quarter; i += THREADS) {
        int q = i & (stride - 1),
            p = i - q; /* p: a multiple of stride, so that p * 2 / N turns are those of the step */
        double2 a = from[i], b = from[i + quarter], c = from[i + 2 * quarter], d = from[i + 3 * quarter];
        double2 sum = add(a, c), difference = subtract(a, c), other = add(b, d), turned = subtract(b, d);
        turned = make_double2(turned.y, -turned.x); /* times -i */
        double2 *out = to + q + 4 * p;
        out[0] = add(sum, other);
        out[stride] = multiply(add(difference, turned), root_of(tables, 2 * p, half));
        out[2 * stride] = multiply(subtract(sum, other), root_of(tables, 4 * p, half));
        out[3 * stride] = multiply(subtract(difference, turned), root_of(tables, 6 * p, half));
    }
    __syncthreads();
}

/* The last step where the count is no power of 4: its roots are all 1. */
__device__ static void step2(const double2 *from, double2 *to, int count)
{
    int half = count / 2;
    for (int i = int(threadIdx.x); i < half; i += THREADS) {
        double2 a = from[i], b = from[i + half];
        to[i] = add(a, b);
        to[i + half] = subtract(a, b);
    }
    __syncthreads();
}

/* The transform of the `half` values in `from`, by way of `to`. The two change places: the result is in `from`. */
__device__ static void transform(struct tables tables, double2 *&from, double2 *&to, int half)
{
    int stride = 1;
    for (; stride * 4 <= half; stride *= 4) {
        step4(tables, from, to, half, stride, half);
        exchange(from, to);
    }
    if (stride < half) {
        step2(from, to, half);
        exchange(from, to);
    }
}

/* re^2 + im^2 + offset of bin k, or its root: from the transform Z of the complex values, X[k] = E + exp(-2 pi i k / N) O,
 * E = (Z[k] + conj Z[-k]) / 2, O = (Z[k] - conj Z[-k]) / 2i. */
__device__ static double bin_value(const struct log_mel_spectrum &p, struct tables tables, const double2 *z, int k,
                                   int half)
{
    double2 a = z[k & (half - 1)], b = z[(half - k) & (half - 1)];
    double2 even = make_double2(0.5 * (a.x + b.x), 0.5 * (a.y - b.y));
    double2 odd = make_double2(0.5 * (a.y + b.y), -0.5 * (a.x - b.x));
    double2 x = add(even, multiply(root_of(tables, k, half), odd));
    double power = fma(x.x, x.x, fma(x.y, x.y, p.offset));
    return p.magnitude ? sqrt(power) : power;
}

/* Sample `index` of a row continued at both ends. */
__device__ static double extended_sample(const struct log_mel_spectrum &p, const float *samples, int64_t count,
                                         int64_t index)
{
    if (index < 0 || index >= count) {
        if (!p.mirrored || count <= p.padding)
            return 0;
        index = index < 0 ? -index : 2 * (count - 1) - index;
    }
    return double(samples[index]);
}

/* The bands of the frame whose windowed samples are in `values`, to output [M]. */
__device__ static void finish_frame(const struct log_mel_spectrum &p, struct tables tables, int half, float *output)
{
    double2 *values = tables.values, *room = values + half;
    transform(tables, values, room, half);
    double *bins = reinterpret_cast<double *>(room); /* [N / 2 + 1] */
    for (int k = int(threadIdx.x); k <= half; k += THREADS)
        bins[k] = bin_value(p, tables, values, k, half);
    __syncthreads();
    for (int64_t m = threadIdx.x; m < p.bands; m += THREADS) {
        const double *weights = p.weights + p.band_offset[m], *bin = bins + p.band_first[m];
        double sum = 0;
        for (int i = 0; i < p.band_length[m]; i++)
            sum = fma(weights[i], bin[i], sum);
        output[m] = float(log(fmax(sum, p.floor)));
    }
    __syncthreads(); /* before the next frame's samples */
}

/* Whether row b's length, and the bands, lie where they may. */
__device__ static bool indices_fit(const struct log_mel_spectrum &p, int64_t b, struct cuda_fault *fault)
{
    const int operation = CUDA_log_mel_spectrum;
    int64_t bins = p.window_size / 2 + 1;
    bool fit =
        !p.lengths || index_fits(fault, operation, CUDA_FAULT_LENGTH, b, p.batch, p.lengths[b], 0, p.samples + 1);
    for (int64_t m = threadIdx.x; m < p.bands; m += THREADS) {
        int64_t first = p.band_first[m], offset = p.band_offset[m];
        bool placed = index_fits(fault, operation, CUDA_FAULT_BAND_FIRST, m, p.bands, first, 0, bins) &&
                      index_fits(fault, operation, CUDA_FAULT_BAND_OFFSET, m, p.bands, offset, 0, p.weight_count + 1);
        fit = fit && placed &&
              index_fits(fault, operation, CUDA_FAULT_BAND_LENGTH, m, p.bands, p.band_length[m], 0,
                         min(bins - first, p.weight_count - offset) + 1);
    }
    return fit;
}

__global__ void __launch_bounds__(THREADS)
    log_mel_spectrum_kernel(struct log_mel_spectrum p, int64_t blocks /* of a row */, struct cuda_fault *fault)
{
    extern __shared__ double2 shared[]; /* [3][N / 2] */
    int half = int(p.window_size / 2);
    struct tables tables = {shared, shared + half};
    int64_t b = int64_t(blockIdx.x) / blocks, first = int64_t(blockIdx.x) % blocks * FRAMES;
    if (__syncthreads_or(!indices_fit(p, b, fault)))
        return;
    double window[HELD];
#pragma unroll
    for (int k = 0; k < HELD; k++) {
        int i = int(threadIdx.x) + k * THREADS;
        window[k] = i < p.window_size ? p.window[i] : 0;
    }
    for (int k = int(threadIdx.x); k < half; k += THREADS)
        sincospi(-double(k) / double(half), &tables.root[k].y,
                 &tables.root[k].x); /* the barrier behind the frame's samples serves them, too */
    const float *samples = p.x + b * p.x_stride;
    int64_t count = p.lengths ? p.lengths[b] : p.samples, room = count + 2 * p.padding - p.window_size;
    int64_t valid = count > 0 && room >= 0 ? room / p.hop + 1 : 0; /* log_mel_frames_of */
    for (int64_t t = first; t < min(first + FRAMES, p.frames); t++) {
        float *output = p.output + (b * p.frames + t) * p.bands;
        if (t >= valid) {
            for (int64_t m = threadIdx.x; m < p.bands; m += THREADS)
                output[m] = 0;
            continue;
        }
        double *frame = reinterpret_cast<double *>(tables.values);
#pragma unroll
        for (int k = 0; k < HELD; k++) {
            int i = int(threadIdx.x) + k * THREADS;
            if (i < p.window_size)
                frame[i] = window[k] * extended_sample(p, samples, count, t * p.hop - p.padding + i);
        }
        __syncthreads();
        finish_frame(p, tables, half, output);
    }
}

extern "C" enum status cuda_log_mel_spectrum(const struct device_context *context, const struct log_mel_spectrum *p)
{
    int64_t blocks = divide_up(p->frames, FRAMES);
    size_t shared = 3 * size_t(p->window_size / 2) * sizeof(double2);
    return launch_shared(context, "log_mel_spectrum", log_mel_spectrum_kernel, p->batch * blocks, 1, THREADS, shared,
                         *p, blocks, cuda_fault_word(context));
}
