/* Convolutions as vocoders and conformers have them: activations before and after the sums, wide dilations, and a group for each
 * channel (depthwise), against plain loops in double. */
#include "support/conv1d_problem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct conv1d_shape shapes[] = {
    /* batch, frames, channels, outputs, kernel, stride, dilation, groups, left, right */
    {2, 127, 16, 16, 3, 1, 1, 1, 1, 1, CONV1D_DENSE}, /* a vocoder's layers in small */
    {2, 129, 16, 16, 7, 1, 3, 1, 9, 9, CONV1D_DENSE},
    {1, 150, 33, 31, 11, 1, 5, 1, 25, 25, CONV1D_ODD},
    {1, 130, 32, 1, 7, 1, 1, 1, 3, 3, CONV1D_DENSE},
    {3, 31, 24, 40, 7, 1, 1, 1, 3, 3, CONV1D_ALIGNED},
    {1, 40, 300, 9, 3, 1, 3, 1, 3, 3, CONV1D_ODD}, /* channels in parts */
    {2, 33, 8, 8, 5, 2, 1, 2, 2, 2, CONV1D_ODD},
    /* a group for each channel */
    {2, 127, 64, 64, 31, 1, 1, 64, 15, 15, CONV1D_DENSE},
    {3, 33, 65, 65, 31, 1, 1, 65, 15, 15, CONV1D_ODD},
    {1, 129, 129, 129, 3, 1, 1, 129, 1, 1, CONV1D_ODD},
    {2, 31, 7, 7, 5, 3, 1, 7, 2, 2, CONV1D_ODD},
    {1, 200, 2, 2, 300, 1, 1, 2, 150, 149, CONV1D_ODD}, /* three chains of taps; all shared memory of a GPU */
    {3, 61, 12, 12, 4, 2, 3, 12, 5, 4, CONV1D_ALIGNED},
    {1, 70, 128, 128, 1, 1, 1, 128, 0, 0, CONV1D_DENSE},
    {2, 4, 9, 9, 2, 16, 1, 9, 30, 30, CONV1D_ODD},
    {1, 16390, 9, 9, 2, 1, 16383, 9, 0, 0, CONV1D_ODD},   /* the widest kernel that is taken, */
    {1, 5, 3, 3, 16384, 3, 1, 3, 9000, 9000, CONV1D_ODD}, /* and the longest */
    {3, 1, 31, 31, 5, 1, 1, 31, 2, 2, CONV1D_ODD},
    {3, 0, 8, 8, 3, 1, 1, 8, 1, 1, CONV1D_ODD},
    {2, 9, 6, 6, 12, 1, 1, 6, 0, 0, CONV1D_ODD}, /* without an output frame */
    {1, 300, 72, 72, 31, 1, 1, 72, 15, 15, CONV1D_DENSE},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };
static const int thread_counts[] = {1, 2, 3};
static const float SLOPE = 0.125f, INPUT_SLOPE = 0.25f;

/* Kernels of tens of thousands of frames are not for the emulator. */
static bool left_out(int shape)
{
    return test_kernels_slow() && shapes[shape].kernel * shapes[shape].dilation > 10000;
}

struct problem {
    struct conv1d_problem q;
    enum activation activation, input_activation;
};

static struct problem make(struct rng *rng, int shape, int variant, enum dtype type)
{
    static const enum activation before[5] = {ACTIVATION_LEAKY_RELU, ACTIVATION_NONE, ACTIVATION_RELU,
                                              ACTIVATION_LEAKY_RELU, ACTIVATION_NONE};
    struct problem o = {conv1d_problem(rng, shapes[shape], type, variant & 1, false),
                        (enum activation)((shape + 3 * variant) % (ACTIVATION_SIGMOID + 1)),
                        before[(shape + variant) % 5]};
    o.q.bias = variant % 3 != 0;
    o.q.residual = variant & 2;
    return o;
}

static struct conv1d_forward describe(struct problem *o, struct tensor *output, struct tensor *pre_activation)
{
    struct conv1d_forward p = conv1d_describe(&o->q, output, pre_activation);
    p.activation = o->activation;
    p.slope = SLOPE;
    p.input_activation = o->input_activation;
    p.input_slope = INPUT_SLOPE;
    return p;
}

struct result {
    struct tensor output, pre_activation;
};

static void free_result(struct result *r)
{
    tensor_free(&r->output);
    tensor_free(&r->pre_activation);
}

static struct result run(struct problem *o)
{
    struct result first = {.output = {0}};
    for (int i = 0; i < test_repeats(3); i++) {
        struct result next = {conv1d_output_like(&o->q), conv1d_output_like(&o->q)};
        struct conv1d_forward p = describe(o, &next.output, &next.pre_activation);
        assert_ok(test_kernels()->conv1d_forward(
            test_context(thread_counts[i], test_kernels()->conv1d_forward_scratch_size(&p)), &p));
        if (i == 0) {
            first = next;
            continue;
        }
        assert_same_bits("output", &first.output, &next.output);
        assert_same_bits("pre_activation", &first.pre_activation, &next.pre_activation);
        free_result(&next);
    }
    return first;
}

static void it_equals_the_reference(void **state)
{
    (void)state;
    struct rng rng = test_rng(1);
    for (int s = 0; s < SHAPES; s++)
        for (int variant = s % 8, i = 0; !left_out(s) && i < (test_kernels_cpu() ? 8 : 2);
             i++, variant = (variant + 3) % 8) {
            struct problem o = make(&rng, s, variant, (variant + s) % 2 ? DTYPE_BF16 : DTYPE_F32);
            int64_t count = o.q.s.batch * o.q.output_frames * o.q.s.outputs,
                    inputs = o.q.s.batch * o.q.s.frames * o.q.s.channels;
            double *x = conv1d_dense(&o.q, &o.q.x, false), *y = doubles(count), *output = doubles(count);
            double *residual = conv1d_dense(&o.q, &o.q.residual_values, true);
            for (int64_t j = 0; j < inputs; j++)
                x[j] = reference_activate(o.input_activation, (double)INPUT_SLOPE, x[j]);
            struct reference_conv1d reference = conv1d_reference(&o.q, x, o.q.weight.values);
            reference_conv1d(&reference, y);
            for (int64_t b = 0, j = 0; b < o.q.s.batch; b++)
                for (int64_t t = 0; t < o.q.output_frames; t++)
                    for (int64_t k = 0; k < o.q.s.outputs; k++, j++)
                        if (t < reference_conv1d_frames(&reference, o.q.lengths[b]))
                            output[j] = reference_activate(o.activation, (double)SLOPE, y[j]) +
                                        (o.q.residual ? residual[j] : 0);
            struct result r = run(&o);
            double depth = (double)(o.q.s.kernel * o.q.s.channels / o.q.s.groups);
            double absolute = 1e-6 + 2e-7 * sqrt(depth);
            if (o.q.type == DTYPE_BF16 && o.input_activation != ACTIVATION_NONE && !test_kernels_cpu())
                absolute += 4 * BF16_ROUNDING / 2; /* x' is rounded; sums have a deviation of 1 */
            conv1d_compare("pre_activation", &o.q, &r.pre_activation, true, y, absolute, 1.01);
            conv1d_compare("output", &o.q, &r.output, true, output, 2 * absolute, 1.01);
            free_result(&r);
            double *all[] = {x, y, output, residual};
            for (int j = 0; j < 4; j++)
                free(all[j]);
            conv1d_problem_free(&o.q);
        }
}

/* Sums of small integers are exact in any order, and a slope of a power of two keeps them so. */
static void integers_are_exact(void **state)
{
    (void)state;
    struct rng rng = test_rng(2);
    for (int s = 0; s < SHAPES; s++) {
        if (left_out(s))
            continue;
        struct problem o = {conv1d_problem(&rng, shapes[s], DTYPE_F32, s % 2, true), ACTIVATION_RELU,
                            ACTIVATION_LEAKY_RELU};
        int64_t count = o.q.s.batch * o.q.output_frames * o.q.s.outputs,
                inputs = o.q.s.batch * o.q.s.frames * o.q.s.channels;
        double *x = conv1d_dense(&o.q, &o.q.x, false), *y = doubles(count);
        for (int64_t j = 0; j < inputs; j++)
            x[j] = reference_activate(o.input_activation, (double)INPUT_SLOPE, x[j]);
        struct reference_conv1d reference = conv1d_reference(&o.q, x, o.q.weight.values);
        reference_conv1d(&reference, y);
        struct result r = run(&o);
        conv1d_compare("pre_activation", &o.q, &r.pre_activation, true, y, 0, 0);
        for (int64_t j = 0; j < count; j++)
            y[j] = y[j] > 0 ? y[j] : 0;
        conv1d_compare("output", &o.q, &r.output, true, y, 0, 0);
        free_result(&r);
        free(x);
        free(y);
        conv1d_problem_free(&o.q);
    }
}

/* A padded row has the bits of the same row alone. */
static void padding_changes_no_bit(void **state)
{
    (void)state;
    struct rng rng = test_rng(3);
    for (int s = 0; s < SHAPES; s++) {
        if (left_out(s))
            continue;
        struct problem o = make(&rng, s, 1, s % 2 ? DTYPE_BF16 : DTYPE_F32);
        struct result all = run(&o);
        tensor_read(&all.output);
        for (int64_t b = 0; b < o.q.s.batch; b++) {
            struct tensor alone = conv1d_output_like(&o.q);
            struct conv1d_forward p = describe(&o, &alone, NULL);
            int64_t skip = b * p.x_batch_stride, to = b * p.output_batch_stride;
            p.x = (const char *)p.x + (size_t)skip * dtype_size(p.type);
            p.output = (char *)p.output + (size_t)to * dtype_size(p.type);
            p.batch = 1;
            p.frames = o.q.lengths[b];
            p.output_frames = conv1d_frames(&p, p.frames);
            p.lengths = NULL;
            assert_ok(
                test_kernels()->conv1d_forward(test_context(2, test_kernels()->conv1d_forward_scratch_size(&p)), &p));
            tensor_read(&alone);
            for (int64_t t = 0; t < p.output_frames; t++)
                for (int64_t k = 0; k < o.q.s.outputs; k++)
                    assert_true(alone.values[to + t * p.output_row_stride + k] ==
                                all.output.values[to + t * p.output_row_stride + k]);
            tensor_free(&alone);
        }
        free_result(&all);
        conv1d_problem_free(&o.q);
    }
}

/* A depthwise convolution reads x hardly more than once, though each of its numbers has 31 taps. */
static void depthwise_frames_are_moved_once(void **state)
{
    (void)state;
    static const struct conv1d_shape shape = {1, 1024, 64, 64, 31, 1, 1, 64, 15, 15, CONV1D_DENSE};
    struct rng rng = test_rng(5);
    for (int type = DTYPE_F32; type <= DTYPE_BF16; type++) {
        struct problem o = {conv1d_problem(&rng, shape, (enum dtype)type, false, false), ACTIVATION_SILU,
                            ACTIVATION_NONE};
        struct tensor output = conv1d_output_like(&o.q);
        o.q.bias = true;
        const struct conv1d_forward p = describe(&o, &output, NULL);
        test_traffic_begin();
        assert_ok(test_kernels()->conv1d_forward(test_context(1, test_kernels()->conv1d_forward_scratch_size(&p)), &p));
        assert_traffic("conv1d_forward, depthwise",
                       (double)(o.q.x.count + output.count + o.q.weight.count) * (double)dtype_size(o.q.type), 1.05);
        tensor_free(&output);
        conv1d_problem_free(&o.q);
    }
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    struct rng rng = test_rng(4);
    const struct device_context *context = test_context(1, 0);
    struct problem o = make(&rng, 9, 0, DTYPE_F32);
    struct tensor output = conv1d_output_like(&o.q);
    const struct conv1d_forward good = describe(&o, &output, NULL);
    assert_refused(conv1d_forward, good, p.input_activation = (enum activation)7, "input activation 7");
    assert_refused(conv1d_forward, good, p.input_activation = ACTIVATION_GELU, "expected none, RELU or LEAKY_RELU");
    assert_refused(conv1d_forward, good, (p.activation = ACTIVATION_LEAKY_RELU, p.slope = INFINITY), "slope of inf");
    assert_refused(conv1d_forward, good, (p.input_activation = ACTIVATION_LEAKY_RELU, p.input_slope = NAN),
                   "slope of nan");
    tensor_free(&output);
    conv1d_problem_free(&o.q);
    struct problem ragged = make(&rng, 8, 1, DTYPE_F32);
    output = conv1d_output_like(&ragged.q);
    tensor_set(&ragged.q.length_values, 1, 34);
    const struct conv1d_forward bad = describe(&ragged, &output, NULL);
    assert_faults(conv1d_forward, bad, (void)p, "conv1d_forward: length 1 of 3 is 34, outside 0..33");
    tensor_free(&output);
    conv1d_problem_free(&ragged.q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_equals_the_reference),     cmocka_unit_test(integers_are_exact),
        cmocka_unit_test(padding_changes_no_bit),      cmocka_unit_test(depthwise_frames_are_moved_once),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
