/* A convolution of one group over frames that lie dense, without padding, is a matrix product whose left rows overlap: row t begins
 * `stride` frames after row t - 1, and the taps of all channels follow each other. Our own product computes it where the frames
 * lie, with panels of weights that serve many rows; bias and activation come afterwards. For wide layers this is faster than
 * windows of conv1d.c, which bring all weights to every 120 frames. */
#include "kernels/cpu/conv1d.h"

#include "kernels/cpu/matmul.h"

enum { LEAST_DEPTH = 256, LEAST_OUTPUTS = 128, FINISHED_ROWS = 16 };

/* By the shape of a row alone, neither the number of frames nor whether rows have lengths: each number is summed in the order of one
 * of the two ways. */
bool conv1d_is_product(const struct conv1d_forward *p)
{
    return p->type == DTYPE_F32 && p->groups == 1 && p->dilation == 1 && p->padding_left == 0 &&
           p->padding_right <= 0 && !p->residual && p->x_row_stride == p->channels &&
           p->input_activation == ACTIVATION_NONE && p->kernel * p->channels >= LEAST_DEPTH &&
           p->output_channels >= LEAST_OUTPUTS && p->output_channels % 8 == 0;
}

/* Frames of the output that row b has. */
static int64_t valid_frames(const struct conv1d_forward *p, int64_t b)
{
    return minimum(p->output_frames, conv1d_frames(p, conv1d_length(p, b)));
}

static void finish_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct conv1d_forward *p = argument;
    int64_t blocks = divide_up(p->output_frames, FINISHED_ROWS), b = task / blocks;
    int64_t first = task % blocks * FINISHED_ROWS, end = minimum(p->output_frames, first + FINISHED_ROWS);
    int64_t valid = valid_frames(p, b);
    for (int64_t t = first; t < end; t++) {
        int64_t index = b * p->output_batch_stride + t * p->output_row_stride;
        if (t < valid)
            conv1d_finish_row(p, index, 0, (const float *)p->output + index, p->output_channels);
        else
            conv1d_zero_row(p, index, p->output_channels);
    }
}

/* The sums of row b's frames, which end where the last whole window ends: nothing behind its length is read. */
static void multiply_row(const struct device_context *context, const struct conv1d_forward *p, int64_t b)
{
    const struct matmul product = {.m = valid_frames(p, b),
                                   .n = p->output_channels,
                                   .k = p->kernel * p->channels,
                                   .batch = 1,
                                   .a = (const float *)p->x + b * p->x_batch_stride,
                                   .b = p->weight,
                                   .c = (float *)p->output + b * p->output_batch_stride,
                                   .a_row_stride = p->stride * p->channels,
                                   .b_row_stride = p->kernel * p->channels,
                                   .c_row_stride = p->output_row_stride,
                                   .b_transposed = true,
                                   .alpha = 1};
    struct matmul_work work = {.context = context, .p = &product, .parts = 1};
    if (product.m > 0)
        matmul_blocked_run(&work);
}

enum status conv1d_product(const struct device_context *context, const struct conv1d_forward *p)
{
    for (int64_t b = 0; b < p->batch; b++)
        multiply_row(context, p, b);
    if (p->lengths || p->bias || p->activation != ACTIVATION_NONE || p->pre_activation)
        thread_pool_run(context->pool, p->batch * divide_up(p->output_frames, FINISHED_ROWS), finish_task,
                        (void *)(uintptr_t)p);
    return STATUS_OK;
}
