/* The transpose of a convolution, against a plain loop in double over its definition: strides and kernels of vocoders, kernels
 * shorter than the stride, odd sizes around the tiles', rows of their own lengths, gaps that hold NaN. */
#include "support/conv1d_problem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* `left` is the padding; `right`, dilation and groups mean nothing here. */
#define SHAPE(batch, frames, channels, outputs, kernel, stride, padding, packing)                                      \
    {                                                                                                                  \
        batch, frames, channels, outputs, kernel, stride, 1, 1, padding, 0, packing                                    \
    }
static const struct conv1d_shape shapes[] = {
    SHAPE(1, 1, 1, 1, 1, 1, 0, CONV1D_ODD),
    SHAPE(2, 31, 33, 17, 11, 5, 3, CONV1D_ODD), /* HiFi-GAN's layers in small */
    SHAPE(3, 33, 32, 16, 8, 4, 2, CONV1D_ODD),
    SHAPE(1, 129, 16, 8, 4, 2, 1, CONV1D_ODD),
    SHAPE(2, 127, 9, 31, 16, 8, 4, CONV1D_ODD),
    SHAPE(1, 121, 31, 129, 4, 2, 1, CONV1D_ODD), /* one step more than a task's */
    SHAPE(1, 300, 5, 3, 8, 4, 2, CONV1D_ODD),
    SHAPE(2, 17, 300, 20, 4, 2, 1, CONV1D_ODD), /* channels deeper than a product */
    SHAPE(2, 10, 6, 7, 2, 3, 0, CONV1D_ODD),    /* phases without a tap */
    SHAPE(2, 10, 6, 7, 1, 5, 0, CONV1D_ODD),
    SHAPE(3, 9, 3, 130, 3, 1, 1, CONV1D_ODD), /* stride 1: a convolution with the taps turned */
    SHAPE(1, 40, 4, 5, 7, 3, 6, CONV1D_ODD),  /* padding of more than a stride */
    SHAPE(2, 3, 4, 5, 4, 2, 4, CONV1D_ODD),   /* paddings that take nearly everything, */
    SHAPE(2, 3, 4, 5, 4, 2, 5, CONV1D_ODD),   /* and everything */
    SHAPE(3, 0, 4, 4, 4, 2, 1, CONV1D_ODD),
    SHAPE(2, 5, 1, 1, 33, 2, 16, CONV1D_ODD), /* more taps than frames */
    SHAPE(1, 2, 3, 2, 600, 7, 1, CONV1D_ODD),
    SHAPE(1, 2, 7, 2, 16384, 2048, 0, CONV1D_ODD), /* the longest that is taken */
    SHAPE(1, 3, 2, 3, 5, 1000, 0, CONV1D_ODD),
    SHAPE(3, 31, 1, 33, 6, 3, 2, CONV1D_ODD),
    SHAPE(2, 65, 127, 1, 10, 5, 3, CONV1D_ODD),
    SHAPE(1, 33, 129, 127, 4, 2, 1, CONV1D_ODD),
    SHAPE(2, 64, 20, 24, 9, 4, 3, CONV1D_ODD),
    SHAPE(1, 150, 12, 10, 5, 2, 2, CONV1D_ODD),
    SHAPE(3, 1, 31, 33, 8, 4, 2, CONV1D_ODD), /* rows of one frame */
    /* frames on boundaries of 16 bytes, as a model has them */
    SHAPE(2, 61, 32, 16, 11, 5, 3, CONV1D_DENSE),
    SHAPE(1, 130, 64, 32, 8, 4, 2, CONV1D_DENSE),
    SHAPE(2, 33, 72, 136, 4, 2, 1, CONV1D_DENSE),
    SHAPE(3, 129, 16, 8, 4, 2, 1, CONV1D_ALIGNED),
    SHAPE(1, 40, 40, 24, 7, 3, 2, CONV1D_ALIGNED),
    SHAPE(2, 70, 8, 64, 16, 8, 4, CONV1D_DENSE),
    SHAPE(1, 31, 128, 128, 4, 2, 1, CONV1D_DENSE),
};
enum { SHAPES = sizeof shapes / sizeof *shapes };
static const int thread_counts[] = {1, 2, 3};

/* Shapes of thousands of blocks with next to nothing to do are not for the emulator. */
static bool left_out(int shape)
{
    return test_kernels_slow() && shapes[shape].kernel * shapes[shape].stride > 4000;
}

struct problem {
    struct conv1d_problem q;
    enum activation activation, input_activation;
};

static struct problem make(struct rng *rng, int shape, int variant, enum dtype type, bool integers)
{
    struct problem o = {conv1d_problem(rng, shapes[shape], type, variant & 1, integers), ACTIVATION_NONE,
                        ACTIVATION_NONE};
    o.q.bias = integers || variant % 3 != 0;
    if (!integers) {
        o.input_activation = variant & 2 ? ACTIVATION_LEAKY_RELU : variant % 5 == 0 ? ACTIVATION_RELU : ACTIVATION_NONE;
        o.activation = variant & 4 ? (enum activation)(shape % (ACTIVATION_SIGMOID + 1)) : ACTIVATION_NONE;
    }
    struct conv1d_transposed p = {.stride = o.q.s.stride, .kernel = o.q.s.kernel, .padding = o.q.s.left};
    o.q.output_frames = conv1d_transposed_frames(&p, o.q.s.frames);
    return o;
}

static const float SLOPE = 0.125f, INPUT_SLOPE = 0.25f;

static struct conv1d_transposed describe(struct problem *o, struct tensor *output)
{
    const struct conv1d_forward p = conv1d_describe(&o->q, output, NULL);
    return (struct conv1d_transposed){.batch = p.batch,
                                      .frames = p.frames,
                                      .channels = p.channels,
                                      .output_frames = p.output_frames,
                                      .output_channels = p.output_channels,
                                      .kernel = p.kernel,
                                      .stride = p.stride,
                                      .padding = p.padding_left,
                                      .x = p.x,
                                      .weight = p.weight,
                                      .bias = p.bias,
                                      .output = p.output,
                                      .x_row_stride = p.x_row_stride,
                                      .x_batch_stride = p.x_batch_stride,
                                      .output_row_stride = p.output_row_stride,
                                      .output_batch_stride = p.output_batch_stride,
                                      .lengths = p.lengths,
                                      .activation = o->activation,
                                      .slope = SLOPE,
                                      .input_activation = o->input_activation,
                                      .input_slope = INPUT_SLOPE,
                                      .type = p.type};
}

/* Each product of the definition is added where it belongs. `scale`: the largest sum of sizes that was met. */
static double *reference(struct problem *o, double *scale)
{
    const struct conv1d_problem *q = &o->q;
    const struct conv1d_shape *s = &q->s;
    double *x = conv1d_dense(q, &o->q.x, false), *y = doubles(s->batch * q->output_frames * s->outputs);
    double *sizes = doubles(s->batch * q->output_frames * s->outputs);
    *scale = 1;
    for (int64_t b = 0; b < s->batch; b++) {
        int64_t length = q->lengths[b], frames = length > 0 ? (length - 1) * s->stride + s->kernel - 2 * s->left : 0;
        for (int64_t t = 0; t < length; t++)
            for (int64_t k = 0; k < s->kernel; k++) {
                int64_t u = t * s->stride + k - s->left;
                for (int64_t i = 0; u >= 0 && u < frames && i < s->outputs; i++)
                    for (int64_t c = 0; c < s->channels; c++) {
                        double v = reference_activate(o->input_activation, (double)INPUT_SLOPE,
                                                      x[(b * s->frames + t) * s->channels + c]) *
                                   q->weight.values[(k * s->outputs + i) * s->channels + c];
                        y[(b * q->output_frames + u) * s->outputs + i] += v;
                        sizes[(b * q->output_frames + u) * s->outputs + i] += fabs(v);
                    }
            }
        for (int64_t u = 0; u < frames; u++)
            for (int64_t i = 0; i < s->outputs; i++) {
                int64_t at = (b * q->output_frames + u) * s->outputs + i;
                *scale = fmax(*scale, sizes[at]);
                y[at] =
                    reference_activate(o->activation, (double)SLOPE, y[at] + (q->bias ? q->bias_values.values[i] : 0));
            }
    }
    free(x);
    free(sizes);
    return y;
}

static struct tensor run(struct problem *o)
{
    struct tensor first = {0};
    for (int i = 0; i < test_repeats(3); i++) {
        struct tensor next = conv1d_output_like(&o->q);
        struct conv1d_transposed p = describe(o, &next);
        assert_ok(test_kernels()->conv1d_transposed(
            test_context(thread_counts[i], test_kernels()->conv1d_transposed_scratch_size(&p)), &p));
        if (i == 0) {
            first = next;
            continue;
        }
        assert_same_bits("output", &first, &next);
        tensor_free(&next);
    }
    return first;
}

static void check(struct problem *o, double share)
{
    double scale, *expected = reference(o, &scale);
    struct tensor output = run(o);
    /* bf16: x' may be rounded, and the result is */
    double rounding = o->q.type == DTYPE_BF16 && o->input_activation != ACTIVATION_NONE ? BF16_ROUNDING / 4 : 0;
    conv1d_compare("output", &o->q, &output, true, expected, (share + rounding) * scale, 1.01);
    tensor_free(&output);
    free(expected);
}

static void it_equals_the_definition(void **state)
{
    (void)state;
    struct rng rng = test_rng(1);
    for (int s = 0; s < SHAPES; s++)
        for (int variant = s % 8, i = 0; !left_out(s) && i < (test_kernels_cpu() ? 8 : 2);
             i++, variant = (variant + 3) % 8) {
            struct problem o = make(&rng, s, variant, (variant + s) % 2 ? DTYPE_BF16 : DTYPE_F32, false);
            check(&o, 1e-6);
            conv1d_problem_free(&o.q);
        }
}

/* Sums of small integers are exact in any order, so nothing may differ. */
static void integers_are_exact(void **state)
{
    (void)state;
    struct rng rng = test_rng(2);
    for (int s = 0; s < SHAPES; s++) {
        if (left_out(s))
            continue;
        struct problem o = make(&rng, s, s, DTYPE_F32, true);
        check(&o, 0);
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
        struct problem o = make(&rng, s, 7, s % 2 ? DTYPE_BF16 : DTYPE_F32, false);
        struct tensor all = run(&o);
        tensor_read(&all);
        for (int64_t b = 0; b < o.q.s.batch; b++) {
            struct tensor alone = conv1d_output_like(&o.q);
            struct conv1d_transposed p = describe(&o, &alone);
            int64_t skip = b * p.x_batch_stride, to = b * p.output_batch_stride;
            p.x = (const char *)p.x + (size_t)skip * dtype_size(p.type);
            p.output = (char *)p.output + (size_t)to * dtype_size(p.type);
            p.batch = 1;
            p.frames = o.q.lengths[b];
            p.output_frames = conv1d_transposed_frames(&p, p.frames);
            p.lengths = NULL;
            assert_ok(test_kernels()->conv1d_transposed(
                test_context(2, test_kernels()->conv1d_transposed_scratch_size(&p)), &p));
            tensor_read(&alone);
            for (int64_t t = 0; t < p.output_frames; t++)
                for (int64_t i = 0; i < o.q.s.outputs; i++) {
                    int64_t at = to + t * p.output_row_stride + i;
                    assert_true(alone.values[at] == all.values[at]);
                }
            tensor_free(&alone);
        }
        tensor_free(&all);
        conv1d_problem_free(&o.q);
    }
}

static void no_shape_is_there_twice(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++)
        for (int j = 0; j < i; j++)
            assert_true(memcmp(&shapes[i], &shapes[j], sizeof shapes[i]) != 0);
    assert_true(SHAPES >= 30);
}

static void wrong_lengths_are_faults(void **state)
{
    (void)state;
    struct rng rng = test_rng(4);
    const double lengths[] = {-1, 34};
    for (int i = 0; i < 2; i++) {
        struct problem o = make(&rng, 2, 1, DTYPE_F32, false);
        struct tensor output = conv1d_output_like(&o.q);
        tensor_set(&o.q.length_values, 1, lengths[i]);
        const struct conv1d_transposed good = describe(&o, &output);
        assert_faults(conv1d_transposed, good, (void)p,
                      i ? "conv1d_transposed: length 1 of 3 is 34, outside 0..33"
                        : "conv1d_transposed: length 1 of 3 is -1, outside 0..33");
        tensor_free(&output);
        conv1d_problem_free(&o.q);
    }
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    struct rng rng = test_rng(5);
    const struct device_context *context = test_context(1, 0);
    struct problem o = make(&rng, 2, 0, DTYPE_F32, false);
    struct tensor output = conv1d_output_like(&o.q);
    const struct conv1d_transposed good = describe(&o, &output);
    assert_refused(conv1d_transposed, good, p.batch = -1, "-1 rows");
    assert_refused(conv1d_transposed, good, p.channels = 0, "0 channels");
    assert_refused(conv1d_transposed, good, p.output_channels = 0, "channels to 0");
    assert_refused(conv1d_transposed, good, p.kernel = 0, "kernel 0");
    assert_refused(conv1d_transposed, good, p.kernel = 16385, "kernel 16385");
    assert_refused(conv1d_transposed, good, p.stride = 0, "stride 0");
    assert_refused(conv1d_transposed, good, p.padding = -1, "padding -1");
    assert_refused(conv1d_transposed, good, p.output_frames++, "frames give");
    assert_refused(conv1d_transposed, good, p.x_row_stride = 3, "stride");
    assert_refused(conv1d_transposed, good, p.output_row_stride = 3, "stride");
    assert_refused(conv1d_transposed, good, p.activation = (enum activation)7, "activation 7");
    assert_refused(conv1d_transposed, good, p.input_activation = (enum activation) - 1, "activation -1");
    assert_refused(conv1d_transposed, good, (p.input_activation = ACTIVATION_LEAKY_RELU, p.input_slope = NAN),
                   "slope of");
    assert_refused(conv1d_transposed, good, p.type = DTYPE_F16, "type");
    assert_refused(conv1d_transposed, good, p.x = NULL, "null");
    assert_refused(conv1d_transposed, good, p.weight = NULL, "null");
    assert_refused(conv1d_transposed, good, p.output = NULL, "null");
    tensor_free(&output);
    conv1d_problem_free(&o.q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_shape_is_there_twice),  cmocka_unit_test(it_equals_the_definition),
        cmocka_unit_test(integers_are_exact),       cmocka_unit_test(padding_changes_no_bit),
        cmocka_unit_test(wrong_lengths_are_faults), cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
