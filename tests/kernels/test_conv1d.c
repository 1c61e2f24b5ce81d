/* Convolution over frames and its gradients, against plain loops in double: strides, dilations, groups and paddings, odd
 * sizes around the tiles', rows shorter than the kernel, rows of their own lengths, gaps that hold NaN. */
#include "support/conv1d_problem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct conv1d_shape shapes[] = {
    /* batch, frames, channels, outputs, kernel, stride, dilation, groups, left, right */
    {1, 1, 1, 1, 1, 1, 1, 1, 0, 0, CONV1D_ODD},
    {3, 31, 1, 33, 10, 5, 1, 1, 0, 0, CONV1D_ODD}, /* wav2vec2's layers in small */
    {1, 1299, 1, 129, 10, 5, 1, 1, 0, 0, CONV1D_ODD},
    {3, 127, 31, 33, 3, 2, 1, 1, 0, 0, CONV1D_ODD},
    {2, 129, 33, 127, 2, 2, 1, 1, 0, 0, CONV1D_ODD},
    {1, 261, 127, 130, 3, 2, 1, 1, 0, 0, CONV1D_ODD},
    {3, 33, 32, 32, 128, 1, 1, 16, 64, 63, CONV1D_ODD}, /* the positional one, longer than a row */
    {1, 150, 24, 20, 128, 1, 1, 2, 64, 63, CONV1D_ODD},
    {2, 9, 6, 4, 12, 1, 1, 2, 3, 3, CONV1D_ODD}, /* a row shorter than the kernel, by its padding not */
    {2, 9, 6, 4, 12, 1, 1, 2, 0, 0, CONV1D_ODD}, /* and one without an output frame */
    {3, 40, 5, 7, 3, 1, 2, 1, 2, 2, CONV1D_ODD},
    {2, 61, 4, 6, 5, 3, 4, 2, 7, 1, CONV1D_ODD},
    {2, 50, 8, 8, 4, 5, 3, 8, 1, 0, CONV1D_ODD}, /* depthwise, a stride that skips frames */
    {1, 35, 9, 15, 31, 1, 1, 3, 15, 15, CONV1D_ODD},
    {3, 0, 4, 4, 3, 1, 1, 1, 1, 1, CONV1D_ODD},
    {2, 17, 300, 20, 3, 1, 1, 1, 1, 1, CONV1D_ODD}, /* channels in parts */
    {1, 300, 20, 300, 1, 1, 1, 1, 0, 0, CONV1D_ODD},
    {1, 16390, 9, 2, 2, 1, 16383, 1, 0, 0, CONV1D_ODD}, /* the widest kernel that is taken */
    {1, 1900, 1, 3, 1500, 7, 1, 1, 9, 0, CONV1D_ODD},
    {3, 129, 1, 1, 3, 1, 1, 1, 1, 1, CONV1D_ODD},
    {3, 33, 127, 31, 1, 1, 1, 1, 0, 0, CONV1D_ODD},
    {2, 31, 129, 5, 2, 1, 1, 1, 1, 0, CONV1D_ODD},
    {1, 127, 33, 129, 1, 2, 1, 1, 0, 0, CONV1D_ODD},
    {3, 1, 31, 33, 5, 1, 1, 1, 2, 2, CONV1D_ODD}, /* rows of one frame */
    {2, 257, 3, 9, 7, 4, 1, 3, 3, 0, CONV1D_ODD},
    {1, 130, 66, 65, 2, 3, 1, 1, 0, 1, CONV1D_ODD},
    {3, 65, 10, 10, 9, 1, 3, 5, 12, 12, CONV1D_ODD},
    {2, 20, 7, 11, 4, 6, 2, 1, 5, 5, CONV1D_ODD}, /* a stride wider than its taps: frames without any */
    {1, 64, 12, 128, 5, 2, 1, 4, 2, 2, CONV1D_ODD},
    {3, 128, 2, 64, 8, 4, 1, 1, 0, 0, CONV1D_ODD},
    {1, 33, 33, 33, 33, 1, 1, 1, 16, 16, CONV1D_ODD},
    {2, 31, 31, 127, 2, 1, 5, 1, 0, 5, CONV1D_ODD},
    {3, 77, 18, 6, 3, 9, 3, 2, 4, 2, CONV1D_ODD},  /* stride a multiple of the dilation */
    {1, 4, 5, 3, 2, 16, 1, 1, 30, 30, CONV1D_ODD}, /* more remainders than frames */
    /* frames on boundaries of 16 bytes, as the model has them */
    {3, 127, 32, 72, 3, 2, 1, 1, 0, 0, CONV1D_DENSE},
    {2, 129, 72, 32, 2, 2, 1, 1, 0, 0, CONV1D_ALIGNED},
    {3, 31, 96, 96, 16, 1, 1, 2, 8, 7, CONV1D_DENSE}, /* windows */
    {1, 140, 32, 128, 31, 1, 2, 2, 33, 31, CONV1D_ALIGNED},
    {1, 33, 64, 64, 128, 1, 1, 1, 64, 63, CONV1D_DENSE},
    {2, 130, 16, 8, 5, 3, 4, 2, 7, 1, CONV1D_ALIGNED},
    {1, 129, 8, 136, 9, 1, 1, 1, 4, 4, CONV1D_DENSE},
    {2, 1, 16, 16, 3, 1, 1, 1, 1, 1, CONV1D_DENSE},
    {1, 300, 40, 24, 1, 1, 1, 1, 0, 0, CONV1D_DENSE},
    {3, 31, 88, 128, 3, 2, 1, 1, 0, 0, CONV1D_DENSE}, /* wide: on the cpu a product of matrices */
    {2, 14, 264, 136, 1, 1, 1, 1, 0, 0, CONV1D_DENSE},
    /* frames enough for several pieces of the weight's gradient on CUDA, which end inside rows */
    {3, 350, 8, 16, 3, 1, 1, 1, 1, 1, CONV1D_DENSE},
    {1, 1100, 3, 5, 2, 1, 1, 1, 0, 0, CONV1D_ODD},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };
static const int thread_counts[] = {1, 2, 3};

/* Eight combinations of what a convolution may have. */
static struct conv1d_problem make(struct rng *rng, int shape, int variant, enum dtype type)
{
    struct conv1d_problem q = conv1d_problem(rng, shapes[shape], type, variant & 1, false);
    q.bias = (variant + shape) % 3 != 0;
    q.gelu = variant & 2;
    q.residual = variant & 4;
    return q;
}

/* How many of `all` combinations a shape is tried in: an emulated device has time for two, which differ from shape to
 * shape. */
static int test_variants(int all)
{
    return test_kernels_cpu() ? all : 2;
}

struct forward {
    struct tensor output, pre_activation;
};

static void free_forward(struct forward *f)
{
    tensor_free(&f->output);
    tensor_free(&f->pre_activation);
}

/* With 1, 2 and 3 threads where there are threads, and once with the output in the residual's place. */
static struct forward run_forward(struct conv1d_problem *q)
{
    struct forward first = {.output = {0}};
    for (int i = 0; i < 4; i++) {
        if (test_repeats(3) < 3 && i > 0 && (i < 3 || (test_repeats(3) < 2 && !q->residual)))
            continue;
        struct forward next = {conv1d_output_like(q), conv1d_output_like(q)};
        struct conv1d_forward p = conv1d_describe(q, &next.output, &next.pre_activation);
        const struct device_context *context =
            test_context(thread_counts[i % 3], test_kernels()->conv1d_forward_scratch_size(&p));
        struct tensor over = {0};
        if (i == 3 && q->residual) {
            over = tensor_copy(&q->residual_values);
            p.residual = p.output = tensor_device(&over);
        }
        assert_ok(test_kernels()->conv1d_forward(context, &p));
        if (i == 0) {
            first = next;
            continue;
        }
        if (!over.memory) {
            assert_same_bits("output", &first.output, &next.output);
            assert_same_bits("pre_activation", &first.pre_activation, &next.pre_activation);
        } else {
            double *dense = conv1d_dense(q, &first.output, true), *other = conv1d_dense(q, &over, true);
            for (int64_t k = 0; k < q->s.batch * q->output_frames * q->s.outputs; k++)
                assert_true(dense[k] == other[k]);
            free(dense);
            free(other);
        }
        tensor_free(&over);
        free_forward(&next);
    }
    return first;
}

static void check_forward(struct conv1d_problem *q, double absolute)
{
    int64_t count = q->s.batch * q->output_frames * q->s.outputs;
    double *x = conv1d_dense(q, &q->x, false), *y = doubles(count), *output = doubles(count);
    double *residual = conv1d_dense(q, &q->residual_values, true);
    struct reference_conv1d reference = conv1d_reference(q, x, q->weight.values);
    reference_conv1d(&reference, y);
    for (int64_t b = 0, i = 0; b < q->s.batch; b++)
        for (int64_t k = 0; k < q->output_frames * q->s.outputs; k++, i++)
            output[i] = (q->gelu ? reference_gelu(y[i]) : y[i]) + (q->residual ? residual[i] : 0);
    struct forward f = run_forward(q);
    conv1d_compare("pre_activation", q, &f.pre_activation, true, y, absolute, 1.01);
    conv1d_compare("output", q, &f.output, true, output, absolute, 1.01);
    free_forward(&f);
    free(x);
    free(y);
    free(output);
    free(residual);
}

static void forward_equals_the_reference(void **state)
{
    (void)state;
    struct rng rng = test_rng(1);
    for (int s = 0; s < SHAPES; s++)
        for (int variant = s % 8, i = 0; i < test_variants(8); i++, variant = (variant + 3) % 8) {
            enum dtype type = (variant + s) % 2 ? DTYPE_BF16 : DTYPE_F32;
            struct conv1d_problem q = make(&rng, s, variant, type);
            /* each of a chain's additions rounds numbers of a few units */
            double depth = (double)(q.s.kernel * q.s.channels / q.s.groups);
            check_forward(&q, 1e-6 + 2e-7 * sqrt(depth));
            conv1d_problem_free(&q);
        }
}

/* Sums of small integers are exact in any order, so nothing may differ. */
static void integers_are_exact(void **state)
{
    (void)state;
    struct rng rng = test_rng(2);
    for (int s = 0; s < SHAPES; s++) {
        struct conv1d_problem q = conv1d_problem(&rng, shapes[s], DTYPE_F32, s % 2, true);
        q.bias = q.residual = true;
        check_forward(&q, 0);
        conv1d_problem_free(&q);
    }
}

/* A padded row has the bits of the same row alone. */
static void padding_changes_no_bit(void **state)
{
    (void)state;
    struct rng rng = test_rng(3);
    for (int s = 0; s < SHAPES; s++) {
        struct conv1d_problem q = make(&rng, s, 3, s % 2 ? DTYPE_BF16 : DTYPE_F32);
        struct forward all = run_forward(&q);
        for (int64_t b = 0; b < q.s.batch; b++) {
            struct tensor alone = conv1d_output_like(&q);
            struct conv1d_forward p = conv1d_describe(&q, &alone, NULL);
            int64_t skip = b * p.x_batch_stride, to = b * p.output_batch_stride;
            p.x = (const char *)p.x + (size_t)skip * dtype_size(q.type);
            p.output = (char *)p.output + (size_t)to * dtype_size(q.type);
            p.batch = 1;
            p.frames = q.lengths[b];
            p.output_frames = conv1d_frames(&p, p.frames);
            p.lengths = NULL;
            assert_ok(
                test_kernels()->conv1d_forward(test_context(2, test_kernels()->conv1d_forward_scratch_size(&p)), &p));
            tensor_read(&alone);
            tensor_read(&all.output);
            for (int64_t t = 0; t < p.output_frames; t++)
                for (int64_t o = 0; o < q.s.outputs; o++) {
                    int64_t i = to + t * p.output_row_stride + o;
                    assert_true(alone.values[i] == all.output.values[i]);
                }
            tensor_free(&alone);
        }
        free_forward(&all);
        conv1d_problem_free(&q);
    }
}

/* ---- gradients ---- */

struct backward {
    struct tensor x, weight, bias;
};

static void free_backward(struct backward *g)
{
    tensor_free(&g->x);
    tensor_free(&g->weight);
    tensor_free(&g->bias);
}

static struct backward run_backward(struct conv1d_problem *q, struct tensor *pre_activation, struct tensor *weight,
                                    struct tensor *bias, bool overwrite)
{
    struct backward first = {.x = {0}};
    for (int i = 0; i < test_repeats(3); i++) {
        struct backward next = {conv1d_x_like(q), tensor_copy(weight), tensor_copy(bias)};
        struct conv1d_backward p = {.forward = conv1d_describe(q, NULL, q->gelu ? pre_activation : NULL),
                                    .grad_output = tensor_device(&q->gradient),
                                    .grad_x = tensor_device(&next.x),
                                    .grad_weight = tensor_device(&next.weight),
                                    .grad_bias = tensor_device(&next.bias),
                                    .overwrite = overwrite};
        const struct device_context *context =
            test_context(thread_counts[i], test_kernels()->conv1d_backward_scratch_size(&p));
        assert_ok(test_kernels()->conv1d_backward(context, &p));
        if (i == 0) {
            first = next;
            continue;
        }
        assert_same_bits("grad_x", &first.x, &next.x);
        assert_same_bits("grad_weight", &first.weight, &next.weight);
        assert_same_bits("grad_bias", &first.bias, &next.bias);
        free_backward(&next);
    }
    return first;
}

/* `overwrite`: parameters' gradients are written over NaN; otherwise they are added to what is there. */
static void check_backward(struct conv1d_problem *q, struct rng *rng, bool overwrite)
{
    struct tensor weight = tensor_normal(rng, DTYPE_F32, q->weight.count, 1);
    struct tensor bias = tensor_normal(rng, DTYPE_F32, q->s.outputs, 1);
    double *grad_weight = doubles(weight.count), *grad_bias = doubles(bias.count);
    for (int64_t i = 0; i < weight.count; i++)
        grad_weight[i] = overwrite ? 0 : weight.values[i];
    for (int64_t i = 0; i < bias.count; i++)
        grad_bias[i] = overwrite ? 0 : bias.values[i];
    for (int64_t i = 0; overwrite && i < weight.count; i++)
        tensor_set(&weight, i, NAN);
    for (int64_t i = 0; overwrite && i < bias.count; i++)
        tensor_set(&bias, i, NAN);
    struct forward f = run_forward(q);
    double *x = conv1d_dense(q, &q->x, false), *gradient = conv1d_dense(q, &q->gradient, true);
    double *pre = conv1d_dense(q, &f.pre_activation, true), *grad_x = doubles(q->s.batch * q->s.frames * q->s.channels);
    for (int64_t i = 0; q->gelu && i < q->s.batch * q->output_frames * q->s.outputs; i++)
        gradient[i] *= reference_gelu_slope(pre[i]);
    struct reference_conv1d reference = conv1d_reference(q, x, q->weight.values);
    reference_conv1d_backward(&reference, gradient, grad_x, grad_weight, grad_bias);
    struct backward g = run_backward(q, &f.pre_activation, &weight, &bias, overwrite);
    double depth = (double)(q->s.kernel * q->s.outputs / q->s.groups);
    double size = fmax(1, sqrt((double)q->s.outputs / (double)q->s.channels)); /* of grad_x */
    /* CUDA rounds the gradient before the activation to bf16, by 2^-8 of it at most, half of that on average; a
     * sum of many, each of a few units, may lie several deviations off */
    double rounding = q->type == DTYPE_BF16 && q->gelu && !test_kernels_cpu() ? BF16_ROUNDING / 2 : 0;
    conv1d_compare("grad_x", q, &g.x, false, grad_x, 1e-6 + (4e-7 * sqrt(depth) + 8 * rounding) * size, 1.01);
    double sums = 1 + sqrt((double)(q->s.batch * q->output_frames));
    assert_tensor("grad_weight", &g.weight, grad_weight, (4e-6 + 8 * rounding) * sums, 0);
    assert_tensor("grad_bias", &g.bias, grad_bias, (4e-6 + 8 * rounding) * sums, 0);
    free_backward(&g);
    free_forward(&f);
    tensor_free(&weight);
    tensor_free(&bias);
    double *all[] = {grad_weight, grad_bias, x, gradient, pre, grad_x};
    for (int i = 0; i < 6; i++)
        free(all[i]);
}

static void backward_equals_the_reference(void **state)
{
    (void)state;
    struct rng rng = test_rng(4);
    for (int s = 0; s < SHAPES; s++)
        for (int variant = s % 4, i = 0; i < test_variants(4); i++, variant = (variant + 2) % 4) {
            struct conv1d_problem q = make(&rng, s, variant, (variant / 2 + s) % 2 ? DTYPE_BF16 : DTYPE_F32);
            check_backward(&q, &rng, variant % 2);
            conv1d_problem_free(&q);
        }
}

/* Each gradient may be left out, and nothing that only the others need is looked at. */
static void gradients_that_are_not_wanted(void **state)
{
    (void)state;
    struct rng rng = test_rng(5);
    struct conv1d_problem q = conv1d_problem(&rng, shapes[3], DTYPE_F32, true, false);
    struct tensor x = conv1d_x_like(&q), weight = tensor_zero(DTYPE_F32, q.weight.count);
    struct tensor bias = tensor_zero(DTYPE_F32, q.s.outputs);
    struct backward all = run_backward(&q, NULL, &weight, &bias, false);
    for (int i = 0; i < 3; i++) {
        struct conv1d_backward p = {.forward = conv1d_describe(&q, NULL, NULL),
                                    .grad_output = tensor_device(&q.gradient),
                                    .grad_x = i == 0 ? tensor_device(&x) : NULL,
                                    .grad_weight = i == 1 ? tensor_device(&weight) : NULL,
                                    .grad_bias = i == 2 ? tensor_device(&bias) : NULL};
        if (i != 0)
            p.forward.weight = NULL;
        if (i != 1)
            p.forward.x = NULL;
        assert_ok(
            test_kernels()->conv1d_backward(test_context(2, test_kernels()->conv1d_backward_scratch_size(&p)), &p));
    }
    assert_same_bits("grad_x", &all.x, &x);
    assert_same_bits("grad_weight", &all.weight, &weight);
    assert_same_bits("grad_bias", &all.bias, &bias);
    free_backward(&all);
    tensor_free(&x);
    tensor_free(&weight);
    tensor_free(&bias);
    conv1d_problem_free(&q);
}

struct loss {
    struct reference_conv1d p;
    const double *gradient;
    double *y;
    int64_t count;
};

static double loss(void *argument)
{
    struct loss *l = argument;
    double total = 0;
    reference_conv1d(&l->p, l->y);
    for (int64_t i = 0; i < l->count; i++)
        total += reference_gelu(l->y[i]) * l->gradient[i];
    return total;
}

static void the_reference_has_the_right_gradient(void **state)
{
    (void)state;
    struct rng rng = test_rng(6);
    const struct conv1d_shape small[] = {{3, 12, 4, 6, 3, 2, 2, 2, 2, 1, CONV1D_ODD},
                                         {2, 20, 3, 5, 4, 3, 1, 1, 0, 2, CONV1D_ODD}};
    for (int s = 0; s < 2; s++) {
        struct conv1d_problem q = conv1d_problem(&rng, small[s], DTYPE_F32, true, false);
        q.bias = true;
        int64_t count = q.s.batch * q.output_frames * q.s.outputs, inputs = q.s.batch * q.s.frames * q.s.channels;
        double *x = conv1d_dense(&q, &q.x, false), *gradient = conv1d_dense(&q, &q.gradient, true), *y = doubles(count);
        double *grad_y = doubles(count), *grad_x = doubles(inputs), *grad_weight = doubles(q.weight.count);
        double *grad_bias = doubles(q.s.outputs);
        struct loss l = {conv1d_reference(&q, x, q.weight.values), gradient, y, count};
        reference_conv1d(&l.p, y);
        for (int64_t i = 0; i < count; i++)
            grad_y[i] = gradient[i] * reference_gelu_slope(y[i]);
        reference_conv1d_backward(&l.p, grad_y, grad_x, grad_weight, grad_bias);
        check_gradient("x", loss, &l, x, grad_x, inputs, &rng);
        check_gradient("weight", loss, &l, q.weight.values, grad_weight, q.weight.count, &rng);
        check_gradient("bias", loss, &l, q.bias_values.values, grad_bias, q.s.outputs, &rng);
        double *all[] = {x, gradient, y, grad_y, grad_x, grad_weight, grad_bias};
        for (int i = 0; i < 7; i++)
            free(all[i]);
        conv1d_problem_free(&q);
    }
}

/* ---- the list itself ---- */

static void no_shape_is_there_twice(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++)
        for (int j = 0; j < i; j++)
            assert_true(memcmp(&shapes[i], &shapes[j], sizeof shapes[i]) != 0);
    assert_true(SHAPES >= 30);
}

/* ---- how CUDA does it ---- */

/* The work of one call, of conv1d_backward or of conv1d_forward. */
static struct test_work work_of(struct conv1d_problem *q, bool backward)
{
    const struct kernels *kernels = test_kernels();
    struct tensor output = conv1d_output_like(q), x = conv1d_x_like(q);
    struct tensor weight = tensor_zero(DTYPE_F32, q->weight.count), bias = tensor_zero(DTYPE_F32, q->s.outputs);
    const struct conv1d_forward p = conv1d_describe(q, &output, NULL);
    const struct conv1d_backward g = {.forward = p,
                                      .grad_output = tensor_device(&q->gradient),
                                      .grad_x = tensor_device(&x),
                                      .grad_weight = tensor_device(&weight),
                                      .grad_bias = tensor_device(&bias),
                                      .overwrite = true};
    const struct device_context *context = test_context(1, kernels->conv1d_backward_scratch_size(&g));
    struct test_work work;
    struct test_traffic traffic;
    test_traffic_begin(); /* counts from zero, and each call once */
    assert_ok(backward ? kernels->conv1d_backward(context, &g) : kernels->conv1d_forward(context, &p));
    test_traffic_end(&traffic);
    test_cuda_work(&work);
    tensor_free(&output);
    tensor_free(&x);
    tensor_free(&weight);
    tensor_free(&bias);
    return work;
}

struct expected_work {
    const char *name;
    struct conv1d_shape s;
    int64_t forward, backward; /* mma */
};

/* Tensor cores get the products of every convolution in bf16: 64 x 32 sums are 16 mma for each sixteenth of the depth.
 * Aligned rows reach them without a detour through registers, which takes more instructions, and shared memory is
 * used without conflicts. */
static void aligned_rows_use_tensor_cores(void **state)
{
    (void)state;
    static const struct expected_work cases[] = {
        /* 128 frames, 128 outputs: 8 of those sums, depth 192. Backward: 64 channels and 129 frames of either remainder,
         * two tiles of which the second has one warp's rows, 2 + 1 rows of sums times 2, over 2 and 1 taps of 128 outputs;
         * 192 places and 128 outputs, 3 times 4, over 128 frames */
        {"strided", {1, 257, 64, 128, 3, 2, 1, 1, 0, 0, CONV1D_DENSE}, 16 * 8 * 12, 16 * (6 * 16 + 4 * 8 + 12 * 8)},
        /* 128 frames and 48 columns, 2 times 1 1/2, over 32 taps of 48; 1536 places and 48 outputs, 24 times 2, over 128
         * frames */
        {"positional", {1, 128, 48, 48, 32, 1, 1, 1, 16, 15, CONV1D_DENSE}, 16 * 3 * 96, 16 * (3 * 96 + 48 * 8)},
    };
    struct test_work work;
    struct rng rng = test_rng(9);
    for (int i = 0; i < 2 && test_cuda_work(&work); i++)
        for (int backward = 0; backward < 2; backward++) {
            struct conv1d_shape odd = cases[i].s;
            odd.packing = CONV1D_ODD;
            struct conv1d_problem q = conv1d_problem(&rng, cases[i].s, DTYPE_BF16, false, false);
            struct conv1d_problem other = conv1d_problem(&rng, odd, DTYPE_BF16, false, false);
            work = work_of(&q, backward);
            struct test_work plain = work_of(&other, backward);
            print_message("%s, %s: %lld mma, %.2f for each ldmatrix, %.2f instructions for each mma (odd rows: %.2f), "
                          "wavefronts %.3f of the ideal, sectors %.3f of the bytes touched\n",
                          cases[i].name, backward ? "backward" : "forward", (long long)work.mma,
                          (double)work.mma / (double)work.ldmatrix, (double)work.instructions / (double)work.mma,
                          (double)plain.instructions / (double)plain.mma,
                          (double)work.wavefronts / (double)work.wavefronts_ideal,
                          (double)work.sectors * 32 / (double)work.bytes);
            if (work.mma != (backward ? cases[i].backward : cases[i].forward))
                fail_msg("%s: %lld mma, expected %lld", cases[i].name, (long long)work.mma,
                         (long long)(backward ? cases[i].backward : cases[i].forward));
            assert_true(work.instructions < plain.instructions);
            assert_true((double)work.wavefronts <= 1.05 * (double)work.wavefronts_ideal);
            conv1d_problem_free(&q);
            conv1d_problem_free(&other);
        }
}

enum { FAR_FRAMES = 20, FAR_CHANNELS = 8, FAR_TAPS = 3 };

/* Rows of the batch 5 GB apart: offsets beyond 2^31 elements. */
static void rows_far_apart(void **state)
{
    (void)state;
    const int64_t apart = INT64_C(2500000000), row = FAR_FRAMES * FAR_CHANNELS, row_bytes = row * 2;
    char *x = test_sparse_memory((size_t)(apart + row) * 2), *output = test_sparse_memory((size_t)(apart + row) * 2);
    if (!x || !output)
        return;
    const struct kernels *kernels = test_kernels();
    const struct device_context *context = test_context(1, 0);
    struct rng rng = test_rng(10);
    struct tensor near = tensor_integers(&rng, DTYPE_BF16, 2 * row, 3), dense = tensor_zero(DTYPE_BF16, 2 * row);
    struct tensor weight = tensor_integers(&rng, DTYPE_BF16, FAR_CHANNELS * FAR_TAPS * FAR_CHANNELS, 3);
    struct tensor back = tensor_zero(DTYPE_BF16, 2 * row);
    struct conv1d_forward p = {.batch = 2,
                               .frames = FAR_FRAMES,
                               .channels = FAR_CHANNELS,
                               .output_frames = FAR_FRAMES,
                               .output_channels = FAR_CHANNELS,
                               .kernel = FAR_TAPS,
                               .stride = 1,
                               .dilation = 1,
                               .groups = 1,
                               .padding_left = 1,
                               .padding_right = 1,
                               .x = tensor_device(&near),
                               .weight = tensor_device(&weight),
                               .output = tensor_device(&dense),
                               .x_row_stride = FAR_CHANNELS,
                               .x_batch_stride = row,
                               .output_row_stride = FAR_CHANNELS,
                               .output_batch_stride = row,
                               .type = DTYPE_BF16};
    assert_ok(kernels->conv1d_forward(context, &p));
    for (int64_t b = 0; b < 2; b++)
        assert_ok(kernels->copy(context, x + b * apart * 2, (const char *)p.x + b * row_bytes, (size_t)row_bytes));
    p.x = x;
    p.output = output;
    p.x_batch_stride = p.output_batch_stride = apart;
    assert_ok(kernels->conv1d_forward(context, &p));
    for (int64_t b = 0; b < 2; b++)
        assert_ok(kernels->copy(context, (char *)tensor_device(&back) + b * row_bytes, output + b * apart * 2,
                                (size_t)row_bytes));
    assert_same_bits("rows far apart", &dense, &back);
    test_sparse_release(x);
    test_sparse_release(output);
    tensor_free(&near);
    tensor_free(&dense);
    tensor_free(&weight);
    tensor_free(&back);
}

/* ---- what is refused ---- */

static void wrong_lengths_are_faults(void **state)
{
    (void)state;
    struct rng rng = test_rng(7);
    const double lengths[] = {-1, 32};
    for (int i = 0; i < 2; i++) {
        struct conv1d_problem q = conv1d_problem(&rng, shapes[1], DTYPE_F32, true, false);
        struct tensor output = conv1d_output_like(&q), x = conv1d_x_like(&q);
        tensor_set(&q.length_values, 1, lengths[i]);
        const struct conv1d_forward forward = conv1d_describe(&q, &output, NULL);
        const struct conv1d_backward backward = {
            .forward = forward, .grad_output = tensor_device(&q.gradient), .grad_x = tensor_device(&x)};
        assert_faults(conv1d_forward, forward, (void)p,
                      i ? "conv1d_forward: length 1 of 3 is 32, outside 0..31"
                        : "conv1d_forward: length 1 of 3 is -1, outside 0..31");
        assert_faults(conv1d_backward, backward, (void)p, "conv1d_backward: length 1 of 3");
        tensor_free(&output);
        tensor_free(&x);
        conv1d_problem_free(&q);
    }
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    struct rng rng = test_rng(8);
    const struct device_context *context = test_context(1, 0);
    struct conv1d_problem q = conv1d_problem(&rng, shapes[11], DTYPE_F32, false, false);
    struct tensor output = conv1d_output_like(&q), x = conv1d_x_like(&q);
    const struct conv1d_forward good = conv1d_describe(&q, &output, NULL);
    assert_refused(conv1d_forward, good, p.batch = -1, "-1 rows");
    assert_refused(conv1d_forward, good, p.channels = 0, "0 channels");
    assert_refused(conv1d_forward, good, p.groups = 3, "3 groups of 4 channels and 6 outputs");
    assert_refused(conv1d_forward, good, p.groups = 0, "0 groups");
    assert_refused(conv1d_forward, good, p.kernel = 0, "kernel 0");
    assert_refused(conv1d_forward, good, p.stride = 0, "stride 0");
    assert_refused(conv1d_forward, good, p.dilation = -2, "dilation -2");
    assert_refused(conv1d_forward, good, p.padding_left = -1, "paddings -1 and 1");
    assert_refused(conv1d_forward, good, p.dilation = 5000, "too large");
    assert_refused(conv1d_forward, good, p.output_frames++, "frames give");
    assert_refused(conv1d_forward, good, p.x_row_stride = 3, "stride");
    assert_refused(conv1d_forward, good, p.output_row_stride = 5, "stride");
    assert_refused(conv1d_forward, good, p.activation = (enum activation)7, "activation 7");
    assert_refused(conv1d_forward, good, p.type = DTYPE_F16, "type");
    assert_refused(conv1d_forward, good, p.x = NULL, "null");
    assert_refused(conv1d_forward, good, p.weight = NULL, "null");
    assert_refused(conv1d_forward, good, p.output = NULL, "null");
    const struct conv1d_backward back = {
        .forward = good, .grad_output = tensor_device(&q.gradient), .grad_x = tensor_device(&x)};
    assert_refused(conv1d_backward, back, p.grad_output = NULL, "null");
    assert_refused(conv1d_backward, back, p.forward.weight = NULL, "null");
    assert_refused(conv1d_backward, back, p.forward.activation = ACTIVATION_GELU, "null");
    assert_refused(conv1d_backward, back, p.forward.kernel = 0, "conv1d_backward: kernel 0");
    tensor_free(&output);
    tensor_free(&x);
    conv1d_problem_free(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_shape_is_there_twice),
        cmocka_unit_test(the_reference_has_the_right_gradient),
        cmocka_unit_test(forward_equals_the_reference),
        cmocka_unit_test(integers_are_exact),
        cmocka_unit_test(padding_changes_no_bit),
        cmocka_unit_test(backward_equals_the_reference),
        cmocka_unit_test(gradients_that_are_not_wanted),
        cmocka_unit_test(aligned_rows_use_tensor_cores),
        cmocka_unit_test(rows_far_apart),
        cmocka_unit_test(wrong_lengths_are_faults),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
