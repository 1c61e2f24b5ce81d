/* GroupNorm over frames with rows of their own lengths, its gradients, and the convolution that has one behind it. */
#include "support/conv1d_problem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int thread_counts[] = {1, 2, 3};
static const double epsilon = 0.0625; /* large enough to show in every row */

struct shape {
    int64_t batch, frames, channels, groups;
};
static const struct shape shapes[] = {
    {1, 1, 2, 1},      {3, 7, 6, 3},    {3, 31, 33, 33}, {2, 33, 8, 2},    {1, 127, 31, 31}, {3, 129, 16, 4},
    {2, 65, 520, 520}, {3, 200, 9, 1},  {1, 64, 7, 7},   {2, 513, 24, 24}, {4, 2, 1, 1},     {3, 0, 4, 2},
    {1, 1, 1, 1},      {3, 2, 127, 1},  {2, 3, 129, 3},  {3, 31, 128, 2},  {3, 33, 120, 8},  {1, 63, 40, 5},
    {3, 65, 32, 32},   {1, 128, 17, 1}, {3, 127, 5, 5},  {2, 129, 33, 11}, {1, 255, 8, 1},   {3, 257, 3, 3},
    {1, 300, 12, 6},   {4, 16, 64, 16}, {3, 15, 65, 5},  {2, 17, 136, 17}, {1, 9, 257, 1},   {3, 8, 256, 256},
    {2, 385, 4, 1},    {3, 5, 31, 31},  {1, 640, 2, 2},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

struct problem {
    struct shape s;
    enum dtype type;
    bool ragged, gelu;
    int64_t lengths[8];
    struct tensor x, weight, bias, gradient, length_values;
};

/* Values about a mean; NaN behind the rows' lengths. */
static struct problem make(struct rng *rng, int shape, int variant)
{
    struct shape s = shapes[shape];
    enum dtype type = (variant + shape) % 2 ? DTYPE_BF16 : DTYPE_F32;
    int64_t count = s.batch * s.frames * s.channels;
    struct problem q = {s, type, variant & 1, variant & 2, .x = tensor_normal(rng, type, count, 2)};
    const int64_t lengths[4] = {s.frames, (s.frames + 1) / 2, 0, s.frames > 0};
    q.gradient = tensor_normal(rng, type, count, 1);
    q.weight = tensor_normal(rng, type, s.channels, 1);
    q.bias = tensor_normal(rng, type, s.channels, 1);
    q.length_values = tensor_zero(DTYPE_I32, s.batch);
    for (int64_t b = 0; b < s.batch; b++) {
        q.lengths[b] = q.ragged ? lengths[b] : s.frames;
        tensor_set(&q.length_values, b, (double)q.lengths[b]);
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t t = i / s.channels;
        bool behind = t % s.frames >= q.lengths[t / s.frames];
        tensor_set(&q.x, i, behind ? NAN : q.x.values[i] + 5);
        tensor_set(&q.gradient, i, behind ? NAN : q.gradient.values[i]);
    }
    return q;
}

static void free_problem(struct problem *q)
{
    struct tensor *all[] = {&q->x, &q->weight, &q->bias, &q->gradient, &q->length_values};
    for (int i = 0; i < 5; i++)
        tensor_free(all[i]);
}

static struct reference_norm reference_of(const struct problem *q)
{
    return (struct reference_norm){q->s.batch,       q->s.frames,    q->s.channels, q->s.groups, q->x.values,
                                   q->weight.values, q->bias.values, q->lengths,    epsilon,     q->gelu};
}

struct forward {
    struct tensor output, mean, rstd;
};

static void free_forward(struct forward *f)
{
    tensor_free(&f->output);
    tensor_free(&f->mean);
    tensor_free(&f->rstd);
}

static struct group_norm_forward describe(struct problem *q, struct forward *f)
{
    return (struct group_norm_forward){.batch = q->s.batch,
                                       .frames = q->s.frames,
                                       .channels = q->s.channels,
                                       .groups = q->s.groups,
                                       .x = tensor_device(&q->x),
                                       .weight = tensor_device(&q->weight),
                                       .bias = tensor_device(&q->bias),
                                       .lengths = q->ragged ? tensor_device(&q->length_values) : NULL,
                                       .output = tensor_device(&f->output),
                                       .mean = tensor_device(&f->mean),
                                       .rstd = tensor_device(&f->rstd),
                                       .epsilon = (float)epsilon,
                                       .activation = q->gelu ? ACTIVATION_GELU : ACTIVATION_NONE,
                                       .type = q->type};
}

/* 1 to 3 threads, then in x's place. */
static struct forward run_forward(struct problem *q)
{
    struct forward first = {.output = {0}};
    int64_t groups = q->s.batch * q->s.groups;
    for (int i = 0; i < 4; i++) {
        if (i < 3 && i >= test_repeats(3))
            continue;
        struct forward next = {i == 3 ? tensor_copy(&q->x) : tensor_make(q->type, q->x.count),
                               tensor_zero(DTYPE_F32, groups), tensor_zero(DTYPE_F32, groups)};
        struct group_norm_forward p = describe(q, &next);
        if (i == 3)
            p.x = p.output;
        size_t scratch = test_kernels()->group_norm_forward_scratch_size(&p);
        assert_ok(test_kernels()->group_norm_forward(test_context(thread_counts[i % 3], scratch), &p));
        if (i == 0) {
            first = next;
            continue;
        }
        assert_same_bits("output", &first.output, &next.output);
        assert_same_bits("mean", &first.mean, &next.mean);
        assert_same_bits("rstd", &first.rstd, &next.rstd);
        free_forward(&next);
    }
    return first;
}

static void check_ratio(const char *what, struct tensor *actual, const double *expected)
{
    tensor_read(actual);
    for (int64_t i = 0; i < actual->count; i++)
        if (!(fabs(actual->values[i] - expected[i]) <= 2e-6 * fabs(expected[i]) + 1e-30))
            fail_msg("%s[%lld] is %.9g, expected %.9g", what, (long long)i, actual->values[i], expected[i]);
}

static void forward_equals_the_reference(void **state)
{
    (void)state;
    struct rng rng = test_rng(1);
    for (int s = 0; s < SHAPES; s++)
        for (int variant = s % 2; variant < 4 - s % 2; variant++) { /* of every shape both types */
            struct problem q = make(&rng, s, variant);
            struct forward f = run_forward(&q);
            int64_t groups = q.s.batch * q.s.groups;
            double *expected = doubles(q.x.count), *mean = doubles(groups), *rstd = doubles(groups);
            struct reference_norm reference = reference_of(&q);
            reference_norm(&reference, expected, mean, rstd);
            assert_tensor("mean", &f.mean, mean, 1e-5, 0);
            bool noise = false; /* one number alone: variance 0 but for rounding */
            for (int64_t b = 0; b < q.s.batch; b++)
                noise = noise || q.lengths[b] * (q.s.channels / q.s.groups) == 1;
            check_ratio("rstd", &f.rstd, rstd);
            assert_tensor("output", &f.output, expected, noise ? 1e-4 : 1e-5, 1.01);
            free_forward(&f);
            free_problem(&q);
            free(expected);
            free(mean);
            free(rstd);
        }
}

/* A mean a thousand times the deviation, over many frames: a sum of squares would have nothing left. */
static void statistics_survive_an_offset(void **state)
{
    (void)state;
    struct rng rng = test_rng(2);
    int64_t frames = 20000;
    struct tensor x = tensor_normal(&rng, DTYPE_F32, frames * 2, 1), one = tensor_zero(DTYPE_F32, 2);
    struct forward f = {tensor_make(DTYPE_F32, frames * 2), tensor_zero(DTYPE_F32, 2), tensor_zero(DTYPE_F32, 2)};
    for (int64_t i = 0; i < frames * 2; i++)
        tensor_set(&x, i, x.values[i] + 1000);
    tensor_set(&one, 0, 1);
    tensor_set(&one, 1, 1);
    struct group_norm_forward p = {.batch = 1,
                                   .frames = frames,
                                   .channels = 2,
                                   .groups = 2,
                                   .x = tensor_device(&x),
                                   .weight = tensor_device(&one),
                                   .bias = tensor_device(&one),
                                   .output = tensor_device(&f.output),
                                   .mean = tensor_device(&f.mean),
                                   .rstd = tensor_device(&f.rstd),
                                   .epsilon = (float)epsilon};
    size_t scratch = test_kernels()->group_norm_forward_scratch_size(&p);
    assert_ok(test_kernels()->group_norm_forward(test_context(2, scratch), &p));
    double *expected = doubles(x.count), mean[2], rstd[2];
    struct reference_norm reference = {1, frames, 2, 2, x.values, one.values, one.values, &frames, epsilon, false};
    reference_norm(&reference, expected, mean, rstd);
    assert_tensor("rstd", &f.rstd, rstd, 1e-5, 0);
    assert_tensor("output", &f.output, expected, 2e-4, 0); /* x - mean is exact, the mean to half of its last place */
    free(expected);
    free_forward(&f);
    tensor_free(&x);
    tensor_free(&one);
}

/* ---- gradients ---- */

struct backward {
    struct tensor x, weight, bias;
};

static struct backward run_backward(struct problem *q, struct forward *f, struct tensor *weight, struct tensor *bias,
                                    bool overwrite)
{
    struct backward first = {.x = {0}};
    for (int i = 0; i < 4; i++) {
        if (i < 3 && i >= test_repeats(3))
            continue;
        struct backward next = {i == 3 ? tensor_copy(&q->gradient) : tensor_make(q->type, q->x.count),
                                tensor_copy(weight), tensor_copy(bias)};
        struct group_norm_backward p = {.batch = q->s.batch,
                                        .frames = q->s.frames,
                                        .channels = q->s.channels,
                                        .groups = q->s.groups,
                                        .x = tensor_device(&q->x),
                                        .weight = tensor_device(&q->weight),
                                        .bias = tensor_device(&q->bias),
                                        .grad_output = tensor_device(i == 3 ? &next.x : &q->gradient),
                                        .lengths = q->ragged ? tensor_device(&q->length_values) : NULL,
                                        .mean = tensor_device(&f->mean),
                                        .rstd = tensor_device(&f->rstd),
                                        .grad_x = tensor_device(&next.x),
                                        .grad_weight = tensor_device(&next.weight),
                                        .grad_bias = tensor_device(&next.bias),
                                        .overwrite = overwrite,
                                        .activation = q->gelu ? ACTIVATION_GELU : ACTIVATION_NONE,
                                        .type = q->type};
        size_t scratch = test_kernels()->group_norm_backward_scratch_size(&p);
        assert_ok(test_kernels()->group_norm_backward(test_context(thread_counts[i % 3], scratch), &p));
        if (i == 0) {
            first = next;
            continue;
        }
        assert_same_bits("grad_x", &first.x, &next.x);
        assert_same_bits("grad_weight", &first.weight, &next.weight);
        assert_same_bits("grad_bias", &first.bias, &next.bias);
        tensor_free(&next.x);
        tensor_free(&next.weight);
        tensor_free(&next.bias);
    }
    return first;
}

static void check_backward(struct problem *q, struct rng *rng, bool overwrite)
{
    int64_t channels = q->s.channels;
    struct tensor weight = tensor_normal(rng, DTYPE_F32, channels, 1),
                  bias = tensor_normal(rng, DTYPE_F32, channels, 1);
    double *grad_weight = doubles(channels), *grad_bias = doubles(channels), *grad_x = doubles(q->x.count);
    for (int64_t c = 0; c < channels; c++) {
        grad_weight[c] = overwrite ? 0 : weight.values[c];
        grad_bias[c] = overwrite ? 0 : bias.values[c];
        if (overwrite) {
            tensor_set(&weight, c, NAN);
            tensor_set(&bias, c, NAN);
        }
    }
    struct forward f = run_forward(q);
    struct reference_norm reference = reference_of(q);
    reference_norm_backward(&reference, q->gradient.values, grad_x, grad_weight, grad_bias);
    struct backward g = run_backward(q, &f, &weight, &bias, overwrite);
    double worst = 1; /* rstd, which multiplies what rounding there is: large where a group has few numbers */
    for (int64_t i = 0; i < f.rstd.count; i++)
        worst = fmax(worst, tensor_read(&f.rstd)[i]);
    double sums = 1e-5 * worst * (1 + sqrt((double)(q->s.batch * q->s.frames)));
    assert_tensor("grad_x", &g.x, grad_x, 1e-5 * worst * worst, 1.01);
    assert_tensor("grad_weight", &g.weight, grad_weight, sums, 0);
    assert_tensor("grad_bias", &g.bias, grad_bias, sums, 0);
    struct tensor *all[] = {&g.x, &g.weight, &g.bias, &weight, &bias};
    for (int i = 0; i < 5; i++)
        tensor_free(all[i]);
    free_forward(&f);
    free(grad_weight);
    free(grad_bias);
    free(grad_x);
}

static void backward_equals_the_reference(void **state)
{
    (void)state;
    struct rng rng = test_rng(3);
    for (int s = 0; s < SHAPES; s++)
        for (int variant = s % 2; variant < 4 - s % 2; variant++) { /* of every shape both types */
            struct problem q = make(&rng, s, variant);
            check_backward(&q, &rng, (variant + s) % 3 == 0);
            free_problem(&q);
        }
}

/* Statistics come before the output: x is read twice and the output written once; of the gradients x and grad_output twice. */
static void frames_are_moved_once(void **state)
{
    (void)state;
    enum { BATCH = 1, FRAMES = 4096, CHANNELS = 128, COUNT = BATCH * FRAMES * CHANNELS };
    struct rng rng = test_rng(8);
    for (int type = 0; type < 2; type++) {
        enum dtype dtype = type ? DTYPE_BF16 : DTYPE_F32;
        double array = (double)COUNT * (double)dtype_size(dtype);
        struct tensor x = tensor_normal(&rng, dtype, COUNT, 1), y = tensor_make(dtype, COUNT);
        struct tensor w = tensor_normal(&rng, dtype, CHANNELS, 1), statistics = tensor_make(DTYPE_F32, 512);
        struct tensor grad = tensor_make(DTYPE_F32, 2 * CHANNELS);
        float *mean = tensor_device(&statistics), *grad_weight = tensor_device(&grad);
        struct group_norm_forward p = {.batch = BATCH,
                                       .frames = FRAMES,
                                       .channels = CHANNELS,
                                       .groups = CHANNELS,
                                       .x = tensor_device(&x),
                                       .weight = tensor_device(&w),
                                       .bias = tensor_device(&w),
                                       .output = tensor_device(&y),
                                       .mean = mean,
                                       .rstd = mean + 256,
                                       .epsilon = 1e-5f,
                                       .type = dtype};
        struct group_norm_backward q = {.batch = BATCH,
                                        .frames = FRAMES,
                                        .channels = CHANNELS,
                                        .groups = CHANNELS,
                                        .x = p.x,
                                        .weight = p.weight,
                                        .bias = p.bias,
                                        .grad_output = p.output,
                                        .mean = mean,
                                        .rstd = mean + 256,
                                        .grad_x = p.output,
                                        .grad_weight = grad_weight,
                                        .grad_bias = grad_weight + CHANNELS,
                                        .overwrite = true,
                                        .type = dtype};
        const struct device_context *context = test_context(1, test_kernels()->group_norm_backward_scratch_size(&q));
        test_traffic_begin();
        assert_ok(test_kernels()->group_norm_forward(context, &p));
        assert_traffic("group_norm_forward", 3 * array, 1.05);
        test_traffic_begin();
        assert_ok(test_kernels()->group_norm_backward(context, &q));
        assert_traffic("group_norm_backward", 5 * array, 1.15);
        struct tensor *all[] = {&x, &y, &w, &statistics, &grad};
        for (int i = 0; i < 5; i++)
            tensor_free(all[i]);
    }
}

struct loss {
    struct reference_norm p;
    double *output, *statistics;
    const double *gradient;
};

static double loss(void *argument)
{
    struct loss *l = argument;
    int64_t groups = l->p.batch * l->p.groups, count = l->p.batch * l->p.frames * l->p.channels;
    reference_norm(&l->p, l->output, l->statistics, l->statistics + groups);
    return dot_product(l->output, l->gradient, count);
}

static void the_reference_has_the_right_gradient(void **state)
{
    (void)state;
    struct rng rng = test_rng(4);
    for (int gelu = 0; gelu < 2; gelu++) {
        int64_t lengths[2] = {7, 4};
        struct tensor x = tensor_normal(&rng, DTYPE_F64, 2 * 7 * 6, 1),
                      gradient = tensor_normal(&rng, DTYPE_F64, 84, 1);
        struct tensor weight = tensor_normal(&rng, DTYPE_F64, 6, 1), bias = tensor_normal(&rng, DTYPE_F64, 6, 1);
        double output[84], statistics[12], grad_x[84], grad_weight[6] = {0}, grad_bias[6] = {0};
        struct loss l = {{2, 7, 6, 3, x.values, weight.values, bias.values, lengths, epsilon, gelu},
                         output,
                         statistics,
                         gradient.values};
        reference_norm_backward(&l.p, gradient.values, grad_x, grad_weight, grad_bias);
        check_gradient("x", loss, &l, x.values, grad_x, 84, &rng);
        check_gradient("weight", loss, &l, weight.values, grad_weight, 6, &rng);
        check_gradient("bias", loss, &l, bias.values, grad_bias, 6, &rng);
        tensor_free(&x);
        tensor_free(&gradient);
        tensor_free(&weight);
        tensor_free(&bias);
    }
}

/* ---- the convolution with a group norm behind it ---- */

static const struct {
    struct conv1d_shape s;
    int64_t groups;
} fused[] = {
    {{1, 10, 1, 1, 10, 5, 1, 1, 0, 0, CONV1D_ODD}, 1},
    {{3, 1300, 1, 33, 10, 5, 1, 1, 0, 0, CONV1D_ODD}, 33},
    {{2, 700, 1, 129, 10, 5, 1, 1, 0, 0, CONV1D_ODD}, 129},
    {{3, 140, 6, 24, 3, 1, 2, 3, 2, 2, CONV1D_ODD}, 4},
    {{3, 31, 5, 127, 3, 2, 1, 1, 1, 1, CONV1D_ODD}, 1},
    {{2, 4, 2, 6, 5, 1, 1, 1, 0, 0, CONV1D_ODD}, 3}, /* no output frame */
    {{1, 1, 1, 2, 1, 1, 1, 1, 0, 0, CONV1D_ODD}, 1},
    {{3, 33, 1, 31, 4, 2, 1, 1, 0, 0, CONV1D_ODD}, 31},
    {{2, 129, 2, 8, 3, 1, 1, 1, 1, 1, CONV1D_ODD}, 8},
    {{1, 257, 3, 12, 2, 2, 1, 1, 0, 0, CONV1D_ODD}, 6},
    {{3, 127, 4, 4, 5, 1, 1, 4, 2, 2, CONV1D_ODD}, 4},
    {{1, 31, 31, 33, 1, 1, 1, 1, 0, 0, CONV1D_ODD}, 11},
    {{2, 65, 7, 127, 3, 3, 1, 1, 2, 0, CONV1D_ODD}, 127},
    {{3, 9, 2, 10, 9, 1, 1, 2, 4, 4, CONV1D_ODD}, 5},
    {{1, 520, 1, 16, 10, 4, 1, 1, 3, 3, CONV1D_ODD}, 16},
    {{2, 128, 1, 3, 1, 1, 1, 1, 0, 0, CONV1D_ODD}, 3},
    {{3, 130, 1, 2, 2, 1, 1, 1, 0, 0, CONV1D_ODD}, 2},
    {{1, 64, 16, 32, 3, 1, 1, 2, 1, 1, CONV1D_DENSE}, 32},
    {{2, 100, 8, 24, 2, 2, 1, 1, 0, 0, CONV1D_ALIGNED}, 24},
    {{3, 260, 1, 40, 10, 5, 1, 1, 0, 0, CONV1D_DENSE}, 40},
    {{1, 33, 33, 9, 3, 1, 5, 3, 5, 5, CONV1D_ODD}, 9},
    {{2, 21, 3, 6, 2, 7, 1, 3, 0, 1, CONV1D_ODD}, 2},
    {{3, 2, 5, 5, 3, 1, 1, 1, 2, 2, CONV1D_ODD}, 5},
    {{1, 1030, 1, 4, 3, 2, 1, 1, 0, 0, CONV1D_ODD}, 2},
    {{4, 17, 1, 129, 10, 5, 1, 1, 9, 0, CONV1D_ODD}, 3},
    {{1, 129, 20, 10, 4, 4, 2, 10, 3, 3, CONV1D_ODD}, 10},
    {{2, 300, 2, 2, 1, 1, 1, 2, 0, 0, CONV1D_ODD}, 1},
    {{1, 45, 6, 65, 6, 1, 1, 1, 3, 2, CONV1D_ODD}, 13},
    {{3, 63, 1, 64, 16, 8, 1, 1, 8, 8, CONV1D_DENSE}, 64},
    {{2, 37, 9, 15, 2, 1, 9, 3, 0, 9, CONV1D_ODD}, 15},
    {{1, 400, 1, 130, 10, 5, 1, 1, 0, 0, CONV1D_ALIGNED}, 130},
};
enum { FUSED = sizeof fused / sizeof *fused };

static struct conv1d_group_norm describe_fused(struct conv1d_problem *q, int64_t groups, struct tensor *weight,
                                               struct tensor *bias, struct forward *f)
{
    return (struct conv1d_group_norm){.conv = conv1d_describe(q, &f->output, NULL),
                                      .norm_groups = groups,
                                      .norm_weight = tensor_device(weight),
                                      .norm_bias = tensor_device(bias),
                                      .mean = tensor_device(&f->mean),
                                      .rstd = tensor_device(&f->rstd),
                                      .epsilon = (float)epsilon};
}

static struct forward run_fused(struct conv1d_problem *q, int64_t groups, struct tensor *weight, struct tensor *bias)
{
    struct forward first = {.output = {0}};
    for (int i = 0; i < test_repeats(3); i++) {
        struct forward next = {conv1d_output_like(q), tensor_zero(DTYPE_F32, q->s.batch * groups),
                               tensor_zero(DTYPE_F32, q->s.batch * groups)};
        struct conv1d_group_norm p = describe_fused(q, groups, weight, bias, &next);
        size_t scratch = test_kernels()->conv1d_group_norm_scratch_size(&p);
        assert_ok(test_kernels()->conv1d_group_norm(test_context(thread_counts[i], scratch), &p));
        if (i == 0) {
            first = next;
            continue;
        }
        assert_same_bits("output", &first.output, &next.output);
        assert_same_bits("mean", &first.mean, &next.mean);
        assert_same_bits("rstd", &first.rstd, &next.rstd);
        free_forward(&next);
    }
    return first;
}

static void the_fused_convolution_equals_the_reference(void **state)
{
    (void)state;
    struct rng rng = test_rng(5);
    for (int s = 0; s < FUSED; s++)
        for (int i = 0, variant = s % 4; i < (test_kernels_cpu() ? 4 : 2); i++, variant = (variant + 1) % 4) {
            enum dtype type = (variant + s) % 2 ? DTYPE_BF16 : DTYPE_F32;
            struct conv1d_problem q = conv1d_problem(&rng, fused[s].s, type, variant & 1, false);
            q.gelu = variant & 2;
            q.bias = variant != 1;
            int64_t groups = fused[s].groups, count = q.s.batch * q.output_frames * q.s.outputs, frames[8];
            struct tensor weight = tensor_normal(&rng, type, q.s.outputs, 1);
            struct tensor bias = tensor_normal(&rng, type, q.s.outputs, 1);
            double *x = conv1d_dense(&q, &q.x, false), *y = doubles(count), *output = doubles(count);
            double *mean = doubles(q.s.batch * groups), *rstd = doubles(q.s.batch * groups), worst = 1;
            struct reference_conv1d conv = conv1d_reference(&q, x, q.weight.values);
            reference_conv1d(&conv, y);
            for (int64_t b = 0; b < q.s.batch; b++)
                frames[b] = reference_conv1d_frames(&conv, q.lengths[b]);
            struct reference_norm norm = {q.s.batch,     q.output_frames, q.s.outputs, groups,  y,
                                          weight.values, bias.values,     frames,      epsilon, q.gelu};
            reference_norm(&norm, output, mean, rstd);
            struct forward f = run_fused(&q, groups, &weight, &bias);
            for (int64_t k = 0; k < q.s.batch * groups; k++)
                worst = fmax(worst, rstd[k]);
            assert_tensor("mean", &f.mean, mean, 2e-6, 0);
            conv1d_compare("output", &q, &f.output, true, output, 1e-5 * worst, 1.01);
            double *all[] = {x, y, output, mean, rstd};
            for (int k = 0; k < 5; k++)
                free(all[k]);
            free_forward(&f);
            tensor_free(&weight);
            tensor_free(&bias);
            conv1d_problem_free(&q);
        }
}

/* ---- what is refused ---- */

static void wrong_lengths_are_faults(void **state)
{
    (void)state;
    struct rng rng = test_rng(6);
    struct problem q = make(&rng, 1, 1);
    struct forward f = {tensor_zero(q.type, q.x.count), tensor_zero(DTYPE_F32, 9), tensor_zero(DTYPE_F32, 9)};
    tensor_set(&q.length_values, 2, 8);
    const struct group_norm_forward forward = describe(&q, &f);
    assert_faults(group_norm_forward, forward, (void)p, "group_norm_forward: length 2 of 3 is 8, outside 0..7");
    free_forward(&f);
    free_problem(&q);
    struct conv1d_problem c = conv1d_problem(&rng, fused[4].s, DTYPE_F32, true, false);
    struct tensor weight = tensor_zero(DTYPE_F32, 127);
    struct forward g = {conv1d_output_like(&c), tensor_zero(DTYPE_F32, 3), tensor_zero(DTYPE_F32, 3)};
    tensor_set(&c.length_values, 0, -5);
    const struct conv1d_group_norm both = describe_fused(&c, 1, &weight, &weight, &g);
    assert_faults(conv1d_group_norm, both, (void)p, "conv1d_group_norm: length 0 of 3 is -5, outside 0..31");
    free_forward(&g);
    tensor_free(&weight);
    conv1d_problem_free(&c);
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    struct rng rng = test_rng(7);
    const struct device_context *context = test_context(1, 0);
    struct problem q = make(&rng, 3, 0);
    struct forward f = {tensor_zero(q.type, q.x.count), tensor_zero(DTYPE_F32, 4), tensor_zero(DTYPE_F32, 4)};
    const struct group_norm_forward good = describe(&q, &f);
    assert_refused(group_norm_forward, good, p.batch = -1, "-1 rows");
    assert_refused(group_norm_forward, good, p.groups = 3, "3 groups of 8");
    assert_refused(group_norm_forward, good, p.weight = NULL, "null");
    assert_refused(group_norm_forward, good, p.rstd = NULL, "mean and rstd");
    assert_refused(group_norm_forward, good, p.epsilon = -1, "epsilon");
    assert_refused(group_norm_forward, good, p.type = DTYPE_I32, "type");
    assert_refused(group_norm_forward, good, p.activation = (enum activation)9, "activation 9");
    const struct group_norm_backward back = {.batch = 1, .frames = 2, .channels = 4, .groups = 2};
    assert_refused(group_norm_backward, back, (void)p, "group_norm_backward: a null array");
    assert_refused(group_norm_backward, back, p.groups = 0, "0 groups");
    struct device_context small = *context;
    small.scratch_bytes = 8;
    assert_fails(test_kernels()->group_norm_forward(&small, &good), STATUS_INTERNAL, "scratch");
    struct conv1d_problem c = conv1d_problem(&rng, fused[4].s, DTYPE_F32, true, false);
    struct tensor weight = tensor_zero(DTYPE_F32, 127);
    struct forward g = {conv1d_output_like(&c), tensor_zero(DTYPE_F32, 3), tensor_zero(DTYPE_F32, 3)};
    const struct conv1d_group_norm both = describe_fused(&c, 1, &weight, &weight, &g);
    assert_refused(conv1d_group_norm, both, p.norm_groups = 2, "2 groups of 127");
    assert_refused(conv1d_group_norm, both, p.norm_bias = NULL, "null");
    assert_refused(conv1d_group_norm, both, p.mean = NULL, "mean and rstd");
    assert_refused(conv1d_group_norm, both, p.conv.residual = p.conv.output, "a residual or a pre_activation");
    assert_refused(conv1d_group_norm, both, p.conv.kernel = 0, "kernel 0");
    free_forward(&g);
    tensor_free(&weight);
    conv1d_problem_free(&c);
    free_forward(&f);
    free_problem(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_has_the_right_gradient),
        cmocka_unit_test(forward_equals_the_reference),
        cmocka_unit_test(statistics_survive_an_offset),
        cmocka_unit_test(backward_equals_the_reference),
        cmocka_unit_test(frames_are_moved_once),
        cmocka_unit_test(the_fused_convolution_equals_the_reference),
        cmocka_unit_test(wrong_lengths_are_faults),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
