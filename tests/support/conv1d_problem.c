/* Convolutions for the tests, with and without gaps. */
#include "support/conv1d_problem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int64_t conv1d_gap(const struct conv1d_problem *q)
{
    static const int64_t gaps[] = {[CONV1D_ODD] = 3, [CONV1D_ALIGNED] = 8, [CONV1D_DENSE] = 0};
    return gaps[q->s.packing];
}

static int64_t columns_of(const struct conv1d_problem *q, bool output)
{
    return output ? q->s.outputs : q->s.channels;
}

static int64_t frames_of(const struct conv1d_problem *q, bool output)
{
    return output ? q->output_frames : q->s.frames;
}

static int64_t batch_stride(const struct conv1d_problem *q, bool output)
{
    return frames_of(q, output) * (columns_of(q, output) + conv1d_gap(q)) + conv1d_gap(q);
}

/* Row, frame and channel of an element, false in a gap. */
static bool place_of(const struct conv1d_problem *q, int64_t index, bool output, int64_t *b, int64_t *t, int64_t *c)
{
    int64_t stride = columns_of(q, output) + conv1d_gap(q), rest = index % batch_stride(q, output);
    *b = index / batch_stride(q, output);
    *t = rest / stride;
    *c = rest % stride;
    return *t < frames_of(q, output) && *c < columns_of(q, output);
}

static int64_t row_frames(const struct conv1d_problem *q, int64_t b, bool output)
{
    struct reference_conv1d p = conv1d_reference(q, NULL, NULL);
    return output ? reference_conv1d_frames(&p, q->lengths[b]) : q->lengths[b];
}

/* NaN in gaps and behind the rows. */
static struct tensor spread(const struct conv1d_problem *q, struct rng *rng, bool output, bool integers)
{
    int64_t count = q->s.batch * batch_stride(q, output), b, t, c;
    struct tensor tensor = integers ? tensor_integers(rng, q->type, count, 3) : tensor_normal(rng, q->type, count, 1);
    for (int64_t i = 0; i < count; i++)
        if (!place_of(q, i, output, &b, &t, &c) || t >= row_frames(q, b, output))
            tensor_set(&tensor, i, NAN);
    return tensor;
}

struct conv1d_problem conv1d_problem(struct rng *rng, struct conv1d_shape s, enum dtype type, bool ragged,
                                     bool integers)
{
    struct conv1d_problem q = {.s = s, .type = type, .ragged = ragged};
    const int64_t shares[8] = {s.frames, (s.frames + 1) / 2, 0, s.frames > 0, s.frames, s.frames / 3, 1, 0};
    for (int64_t b = 0; b < s.batch; b++)
        q.lengths[b] = ragged ? shares[b] : s.frames;
    struct reference_conv1d p = conv1d_reference(&q, NULL, NULL);
    q.output_frames = reference_conv1d_frames(&p, s.frames);
    int64_t depth = s.kernel * (s.channels / s.groups);
    q.x = spread(&q, rng, false, integers);
    q.residual_values = spread(&q, rng, true, integers);
    q.gradient = spread(&q, rng, true, integers);
    q.weight = integers ? tensor_integers(rng, type, s.outputs * depth, 3)
                        : tensor_normal(rng, type, s.outputs * depth, 1 / sqrt((double)depth));
    q.bias_values = integers ? tensor_integers(rng, type, s.outputs, 3) : tensor_normal(rng, type, s.outputs, 1);
    q.length_values = tensor_zero(DTYPE_I32, s.batch);
    for (int64_t b = 0; b < s.batch; b++)
        tensor_set(&q.length_values, b, (double)q.lengths[b]);
    return q;
}

void conv1d_problem_free(struct conv1d_problem *q)
{
    struct tensor *all[] = {&q->x, &q->weight, &q->bias_values, &q->residual_values, &q->gradient, &q->length_values};
    for (int i = 0; i < 6; i++)
        tensor_free(all[i]);
}

static struct tensor sevens(const struct conv1d_problem *q, bool output)
{
    struct tensor tensor = tensor_zero(q->type, q->s.batch * batch_stride(q, output));
    for (int64_t i = 0; i < tensor.count; i++)
        tensor_set(&tensor, i, 7);
    return tensor;
}

struct tensor conv1d_output_like(const struct conv1d_problem *q)
{
    return sevens(q, true);
}

struct tensor conv1d_x_like(const struct conv1d_problem *q)
{
    return sevens(q, false);
}

void conv1d_check_gaps(const char *what, const struct conv1d_problem *q, struct tensor *tensor, bool output)
{
    int64_t b, t, c;
    tensor_read(tensor);
    for (int64_t i = 0; i < tensor->count; i++)
        if (!place_of(q, i, output, &b, &t, &c) && !(tensor->values[i] == 7))
            fail_msg("%s: the gap at %lld was overwritten with %g", what, (long long)i, tensor->values[i]);
}

double *conv1d_dense(const struct conv1d_problem *q, struct tensor *tensor, bool output)
{
    int64_t frames = frames_of(q, output), columns = columns_of(q, output), b, t, c;
    double *dense = doubles(q->s.batch * frames * columns);
    tensor_read(tensor);
    for (int64_t i = 0; i < tensor->count; i++)
        if (place_of(q, i, output, &b, &t, &c) && !isnan(tensor->values[i]))
            dense[(b * frames + t) * columns + c] = tensor->values[i];
    return dense;
}

void conv1d_compare(const char *what, const struct conv1d_problem *q, struct tensor *tensor, bool output,
                    const double *expected, double absolute, double roundings)
{
    int64_t frames = frames_of(q, output), columns = columns_of(q, output), b, t, c;
    double relative = q->type == DTYPE_BF16 ? roundings * BF16_ROUNDING : 0;
    conv1d_check_gaps(what, q, tensor, output);
    for (int64_t i = 0; i < tensor->count; i++) {
        if (!place_of(q, i, output, &b, &t, &c))
            continue;
        double right = expected[(b * frames + t) * columns + c], error = fabs(tensor->values[i] - right);
        if (!(error <= absolute + relative * fabs(right)))
            fail_msg("%s[%lld][%lld][%lld]: %.9g, expected %.9g (rows of %lld frames, %lld channels, kernel %lld)",
                     what, (long long)b, (long long)t, (long long)c, tensor->values[i], right, (long long)q->s.frames,
                     (long long)q->s.channels, (long long)q->s.kernel);
    }
}

struct conv1d_forward conv1d_describe(struct conv1d_problem *q, struct tensor *output, struct tensor *pre_activation)
{
    return (struct conv1d_forward){
        .batch = q->s.batch,
        .frames = q->s.frames,
        .channels = q->s.channels,
        .output_frames = q->output_frames,
        .output_channels = q->s.outputs,
        .kernel = q->s.kernel,
        .stride = q->s.stride,
        .dilation = q->s.dilation,
        .groups = q->s.groups,
        .padding_left = q->s.left,
        .padding_right = q->s.right,
        .x = tensor_device(&q->x),
        .weight = tensor_device(&q->weight),
        .bias = q->bias ? tensor_device(&q->bias_values) : NULL,
        .residual = q->residual ? tensor_device(&q->residual_values) : NULL,
        .output = output ? tensor_device(output) : NULL,
        .pre_activation = pre_activation ? tensor_device(pre_activation) : NULL,
        .x_row_stride = q->s.channels + conv1d_gap(q),
        .x_batch_stride = batch_stride(q, false),
        .output_row_stride = q->s.outputs + conv1d_gap(q),
        .output_batch_stride = batch_stride(q, true),
        .lengths = q->ragged ? tensor_device(&q->length_values) : NULL,
        .activation = q->gelu ? ACTIVATION_GELU : ACTIVATION_NONE,
        .type = q->type,
    };
}

struct reference_conv1d conv1d_reference(const struct conv1d_problem *q, const double *x, const double *weight)
{
    return (struct reference_conv1d){.batch = q->s.batch,
                                     .frames = q->s.frames,
                                     .channels = q->s.channels,
                                     .outputs = q->s.outputs,
                                     .kernel = q->s.kernel,
                                     .stride = q->s.stride,
                                     .dilation = q->s.dilation,
                                     .groups = q->s.groups,
                                     .left = q->s.left,
                                     .right = q->s.right,
                                     .x = x,
                                     .weight = weight,
                                     .bias = q->bias ? q->bias_values.values : NULL,
                                     .lengths = q->lengths};
}
