/* The arithmetic of the emulated cudnnConvolutionForward. Each element of y is one chain of f32 additions over the filter's
 * places and their channels from 0, then alpha times the sum, then beta times what was there, then one rounding to bf16
 * where y is bf16. Filters lie with their outputs innermost while this runs, so that neighbouring outputs fill vector
 * registers without changing any chain. */
#include "emulator/libraries/cudnn_internal.h"

#include <stdlib.h>
#include <string.h>

static float load(const unsigned char *memory, cudnnDataType_t type, uint64_t index)
{
    uint32_t bits = 0;
    float value;
    if (type == CUDNN_DATA_FLOAT) {
        memcpy(&value, memory + index * 4, sizeof value);
        return value;
    }
    memcpy((unsigned char *)&bits + 2, memory + index * 2, 2);
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void store(unsigned char *memory, cudnnDataType_t type, uint64_t index, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (type == CUDNN_DATA_FLOAT) {
        memcpy(memory + index * 4, &bits, 4);
        return;
    }
    uint16_t half = (bits & 0x7FFFFFFF) > 0x7F800000 ? 0x7FFF : (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
    memcpy(memory + index * 2, &half, 2);
}

static void *host_bytes(size_t bytes)
{
    void *memory = malloc(bytes ? bytes : 1);
    if (!memory)
        runtime_fatal("no host memory for a convolution");
    return memory;
}

/* The filters [K][H][W][C] as floats [groups][H W C][K / groups]. */
static float *turn_filters(const struct cudnn_work *work, const unsigned char *memory)
{
    const uint64_t outputs = (uint64_t)(work->w.size[0] / work->convolution.groups);
    const uint64_t places = (uint64_t)work->w.size[1] * (uint64_t)work->w.size[2] * (uint64_t)work->w.size[3];
    float *turned = host_bytes((uint64_t)work->w.size[0] * places * sizeof *turned);
    for (uint64_t k = 0; k < (uint64_t)work->w.size[0]; k++)
        for (uint64_t place = 0; place < places; place++)
            turned[(k / outputs * places + place) * outputs + k % outputs] =
                load(memory, work->w.type, k * places + place);
    return turned;
}

/* sums[k] += value * filters[k] */
static void add_products(float *restrict sums, float value, const float *restrict filters, uint64_t count)
{
    for (uint64_t k = 0; k < count; k++)
        sums[k] += value * filters[k];
}

/* The sums of one pixel of one group. `image`: of x. */
static void sum_pixel(const struct cudnn_work *work, const unsigned char *image, const float *filters, int group, int i,
                      int j, float *sums)
{
    const struct cudnn_convolution *c = &work->convolution;
    const int channels = work->w.size[1], outputs = work->w.size[0] / c->groups;
    memset(sums, 0, (size_t)outputs * sizeof *sums);
    for (int r = 0; r < work->w.size[2]; r++)
        for (int s = 0; s < work->w.size[3]; s++) {
            const int64_t line = (int64_t)i * c->step[0] + (int64_t)r * c->dilation[0] - c->padding[0];
            const int64_t pixel = (int64_t)j * c->step[1] + (int64_t)s * c->dilation[1] - c->padding[1];
            if (line < 0 || line >= work->x.size[2] || pixel < 0 || pixel >= work->x.size[3])
                continue;
            const int64_t first = line * work->x.stride[2] + pixel * work->x.stride[3] + (int64_t)group * channels;
            const float *place = filters + ((int64_t)r * work->w.size[3] + s) * channels * outputs;
            for (int e = 0; e < channels; e++)
                add_products(sums, load(image, work->x.type, (uint64_t)(first + e)), place + (int64_t)e * outputs,
                             (uint64_t)outputs);
        }
}

static void compute_pixel(const struct cudnn_work *work, const unsigned char *image, unsigned char *to,
                          const float *filters, int i, int j, float *sums)
{
    const int groups = work->convolution.groups, outputs = work->w.size[0] / groups;
    const int64_t filter_count = (int64_t)work->w.size[1] * work->w.size[2] * work->w.size[3] * outputs;
    for (int group = 0; group < groups; group++) {
        sum_pixel(work, image, filters + group * filter_count, group, i, j, sums);
        for (int k = 0; k < outputs; k++) {
            const int64_t index =
                (int64_t)i * work->y.stride[2] + (int64_t)j * work->y.stride[3] + (int64_t)group * outputs + k;
            float value = work->alpha * sums[k];
            if (work->beta != 0.0f)
                value += work->beta * load(to, work->y.type, (uint64_t)index);
            store(to, work->y.type, (uint64_t)index, value);
        }
    }
}

void cudnn_compute(struct device *device, const struct cudnn_work *work)
{
    const uint64_t bytes = work->x.type == CUDNN_DATA_FLOAT ? 4 : 2;
    const unsigned char *x = machine_host_pointer(device->machine, work->x_array.address);
    unsigned char *y = machine_host_pointer(device->machine, work->y_array.address);
    float *filters = turn_filters(work, machine_host_pointer(device->machine, work->w_array.address));
    float *sums = host_bytes((size_t)work->w.size[0] * sizeof *sums);
    const uint64_t image = (uint64_t)work->y.size[2] * (uint64_t)work->y.stride[2] * bytes;
    for (uint64_t n = 0; n < (uint64_t)work->y.size[0]; n++) {
        const uint64_t to = n * (uint64_t)work->y.stride[0] * bytes;
        for (int i = 0; i < work->y.size[2]; i++)
            for (int j = 0; j < work->y.size[3]; j++)
                compute_pixel(work, x + n * (uint64_t)work->x.stride[0] * bytes, y + to, filters, i, j, sums);
        machine_mark_defined(device->machine, work->y_array.address + to, image, true);
    }
    free(filters);
    free(sums);
}
