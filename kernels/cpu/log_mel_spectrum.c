/* Log-mel spectra, everything in double and rounded once at the end, so that a result differs from another
 * implementation's by one rounding and not by an accumulation of many. A task is a few frames of one row; of a band only
 * the bins under its triangle are visited. */
#include "core/fft.h"
#include "kernels/cpu/context.h"

#include <math.h>
#include <string.h>

enum { FRAMES = 16, MOST_WINDOW = 2048, MOST_BINS = MOST_WINDOW / 2 + 1 };

struct work {
    const struct device_context *context;
    const struct log_mel_spectrum *p;
    const struct fft *fft;
    int64_t blocks; /* of a row */
};

/* What a task works on, in the worker's scratch. */
struct tables {
    double complex spectrum[MOST_BINS], work[MOST_WINDOW];
    double frame[MOST_WINDOW], magnitude[MOST_BINS];
};
_Static_assert(sizeof(struct tables) <= WORKER_SCRATCH_FLOATS * sizeof(float), "the tables fit");

/* Sample `index` of a row continued at both ends. */
static double extended_sample(const struct log_mel_spectrum *p, const float *samples, int64_t count, int64_t index)
{
    if (index >= 0 && index < count)
        return (double)samples[index];
    if (!p->mirrored || count <= p->padding)
        return 0;
    return (double)samples[index < 0 ? -index : 2 * (count - 1) - index];
}

static void compute_frame(const struct work *work, struct tables *tables, const float *samples, int64_t count,
                          int64_t t, float *output)
{
    const struct log_mel_spectrum *p = work->p;
    int64_t start = t * p->hop - p->padding, bins = p->window_size / 2 + 1;
    for (int64_t i = 0; i < p->window_size; i++)
        tables->frame[i] = p->window[i] * extended_sample(p, samples, count, start + i);
    fft_real(work->fft, tables->frame, tables->spectrum, tables->work);
    for (int64_t k = 0; k < bins; k++) {
        double re = creal(tables->spectrum[k]), im = cimag(tables->spectrum[k]);
        double power = re * re + im * im + p->offset;
        tables->magnitude[k] = p->magnitude ? sqrt(power) : power;
    }
    for (int64_t m = 0; m < p->bands; m++) {
        const double *weights = p->weights + p->band_offset[m], *bin = tables->magnitude + p->band_first[m];
        double sum = 0;
        for (int64_t i = 0; i < p->band_length[m]; i++)
            sum += weights[i] * bin[i];
        output[m] = (float)log(fmax(sum, p->floor));
    }
}

static void frames_task(void *argument, int64_t task, int worker)
{
    const struct work *work = argument;
    const struct log_mel_spectrum *p = work->p;
    struct tables *tables = (struct tables *)(void *)cpu_worker_scratch(work->context, worker);
    int64_t b = task / work->blocks, first = task % work->blocks * FRAMES;
    int64_t count = p->lengths ? p->lengths[b] : p->samples, end = minimum(p->frames, first + FRAMES);
    int64_t valid = log_mel_frames_of(p, count);
    for (int64_t t = first; t < end; t++) {
        float *output = p->output + (b * p->frames + t) * p->bands;
        if (t < valid)
            compute_frame(work, tables, p->x + b * p->x_stride, count, t, output);
        else
            memset(output, 0, (size_t)p->bands * sizeof(float));
    }
}

/* Lengths of rows, and bands that lie inside the spectrum and the weights. */
static bool indices_fit(const struct device_context *context, const struct log_mel_spectrum *p)
{
    const char *name = "log_mel_spectrum";
    int64_t bins = p->window_size / 2 + 1;
    if ((p->lengths && !cpu_indices_fit(context, name, "length", p->lengths, p->batch, 0, p->samples + 1)) ||
        !cpu_indices_fit(context, name, "band's first bin", p->band_first, p->bands, 0, bins) ||
        !cpu_indices_fit(context, name, "band's offset", p->band_offset, p->bands, 0, p->weight_count + 1))
        return false;
    for (int64_t m = 0; m < p->bands; m++) {
        int64_t most = minimum(bins - p->band_first[m], p->weight_count - p->band_offset[m]);
        if (p->band_length[m] < 0 || p->band_length[m] > most)
            return cpu_fault(context, "%s: band's length %lld of %lld is %d, outside 0..%lld", name, (long long)m,
                             (long long)p->bands, (int)p->band_length[m], (long long)most);
    }
    return true;
}

enum status cpu_log_mel_spectrum(const struct device_context *context, const struct log_mel_spectrum *p)
{
    struct work work = {.context = context, .p = p, .blocks = divide_up(p->frames, FRAMES)};
    if (p->batch == 0 || p->frames == 0 || !indices_fit(context, p))
        return STATUS_OK;
    enum status result = cpu_fft(context, p->window_size, &work.fft);
    if (result == STATUS_OK)
        thread_pool_run(context->pool, p->batch * work.blocks, frames_task, &work);
    return result;
}
