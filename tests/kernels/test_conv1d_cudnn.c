/* conv1d_forward where cuDNN computes it (kernels.conv1d: cudnn), against the same plain loops in double as our own kernels, and
 * which calls go to it, by the launches that the emulator counts. A table without cuDNN runs its own here; a GPU whose
 * machine has no cuDNN skips the tests. */
#include "kernels/cuda/sizes/conv1d_engine.h"
#include "support/conv1d_problem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct conv1d_shape shapes[] = {
    /* batch, frames, channels, outputs, kernel, stride, dilation, groups, left, right */
    {1, 1, 1, 1, 1, 1, 1, 1, 0, 0, CONV1D_ODD},
    {3, 31, 1, 33, 10, 5, 1, 1, 0, 0, CONV1D_ODD},
    {3, 127, 31, 33, 3, 2, 1, 1, 0, 0, CONV1D_ODD},
    {2, 129, 33, 31, 2, 2, 1, 1, 0, 0, CONV1D_DENSE},
    {3, 33, 32, 32, 128, 1, 1, 16, 64, 63, CONV1D_DENSE}, /* the positional one */
    {2, 9, 6, 4, 12, 1, 1, 2, 3, 3, CONV1D_ODD},
    {2, 9, 6, 4, 12, 1, 1, 2, 0, 0, CONV1D_ODD}, /* a row without an output frame */
    {3, 40, 5, 7, 3, 1, 2, 1, 2, 2, CONV1D_DENSE},
    {2, 61, 4, 6, 5, 3, 4, 2, 7, 1, CONV1D_ALIGNED},
    {2, 50, 8, 8, 4, 5, 3, 8, 1, 0, CONV1D_DENSE}, /* depthwise, a stride that skips frames */
    {3, 0, 4, 4, 3, 1, 1, 1, 1, 1, CONV1D_ODD},
    {2, 150, 20, 24, 2, 1, 1, 1, 0, 0, CONV1D_DENSE}, /* with lengths and nothing to add */
    {1, 4, 5, 3, 2, 16, 1, 1, 30, 30, CONV1D_DENSE},  /* a padding longer than the kernel */
    {2, 127, 64, 129, 3, 2, 1, 1, 1, 1, CONV1D_DENSE},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* ---- a context with the engine ---- */

static struct device_context context;

static int open_engine(void **state)
{
    (void)state;
    context = (struct device_context){0};
    cuda_conv1d_choose(CUDA_CONV1D_CUDNN);
    test_settle();
    enum status result = device_context_create(test_kernels(), NULL, 0, &context);
    if (result == STATUS_USAGE && strstr(status_text(), "cuDNN")) {
        print_message("without cuDNN: %s\n", status_text());
        return 0;
    }
    return result == STATUS_OK ? 0 : -1;
}

static int close_engine(void **state)
{
    (void)state;
    if (context.libraries)
        device_context_destroy(test_kernels(), &context);
    cuda_conv1d_choose(CUDA_CONV1D_OWN);
    return 0;
}

static bool uses_cudnn(void)
{
    return !test_kernels_cpu();
}

static void run(const struct conv1d_forward *p)
{
    const struct kernels *kernels = test_kernels();
    assert_ok(device_context_reserve(kernels, &context, kernels->conv1d_forward_scratch_size(p)));
    test_settle();
    assert_ok(kernels->conv1d_forward(&context, p));
    assert_ok(kernels->synchronize(&context));
}

static void needs_engine(void)
{
    if (!context.libraries)
        skip();
}

/* ---- results ---- */

/* The largest of what cuDNN rounds to bf16 before we add the bias. */
static double largest_sum(const struct conv1d_problem *q, const double *y, int64_t count)
{
    double largest = 0, bias = 0;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(y[i]));
    for (int64_t o = 0; q->bias && o < q->s.outputs; o++)
        bias = fmax(bias, fabs(q->bias_values.values[o]));
    return largest + bias;
}

/* over: the output takes the residual's place. */
static void check(struct conv1d_problem *q, double absolute, bool over)
{
    const int64_t count = q->s.batch * q->output_frames * q->s.outputs;
    double *x = conv1d_dense(q, &q->x, false), *y = calloc((size_t)count + 1, sizeof *y);
    double *expected = calloc((size_t)count + 1, sizeof *expected);
    double *residual = conv1d_dense(q, &q->residual_values, true);
    assert_true(y && expected);
    struct reference_conv1d reference = conv1d_reference(q, x, q->weight.values);
    reference_conv1d(&reference, y);
    for (int64_t i = 0; i < count; i++)
        expected[i] = (q->gelu ? reference_gelu(y[i]) : y[i]) + (q->residual ? residual[i] : 0);
    struct tensor output = over ? tensor_copy(&q->residual_values) : conv1d_output_like(q);
    struct tensor pre_activation = conv1d_output_like(q);
    const bool bare = !q->bias && !q->gelu && !q->residual; /* then nothing but lengths calls for a kernel of ours */
    struct conv1d_forward p = conv1d_describe(q, &output, bare ? NULL : &pre_activation);
    if (over)
        p.residual = p.output;
    run(&p);
    if (q->type == DTYPE_BF16 && uses_cudnn()) /* GELU's slope is 1.13 at most */
        absolute += 1.13 * BF16_ROUNDING * largest_sum(q, y, count);
    if (!bare)
        conv1d_compare("pre_activation", q, &pre_activation, true, y, absolute, 1.01);
    if (!over)
        conv1d_compare("output", q, &output, true, expected, absolute, 1.01);
    double *dense = conv1d_dense(q, &output, true);
    for (int64_t i = 0; over && i < count; i++)
        assert_true(fabs(dense[i] - expected[i]) <=
                    absolute + (q->type == DTYPE_BF16 ? 1.01 * BF16_ROUNDING * fabs(expected[i]) : 0));
    tensor_free(&output);
    tensor_free(&pre_activation);
    double *all[] = {x, y, expected, residual, dense};
    for (int i = 0; i < 5; i++)
        free(all[i]);
}

static void forward_equals_the_reference(void **state)
{
    (void)state;
    needs_engine();
    struct rng rng = test_rng(1);
    for (int s = 0; s < SHAPES; s++)
        for (int variant = s % 8, i = 0; i < 3; i++, variant = (variant + 3) % 8) {
            struct conv1d_problem q =
                conv1d_problem(&rng, shapes[s], (variant + s) % 2 ? DTYPE_BF16 : DTYPE_F32, variant & 1, false);
            q.bias = (variant + s) % 3 != 0;
            q.gelu = variant & 2;
            q.residual = variant & 4;
            double depth = (double)(q.s.kernel * q.s.channels / q.s.groups);
            check(&q, 1e-6 + 2e-7 * sqrt(depth), q.residual && i == 0);
            conv1d_problem_free(&q);
        }
}

static void integers_are_exact(void **state)
{
    (void)state;
    needs_engine();
    struct rng rng = test_rng(2);
    for (int s = 0; s < SHAPES; s++) {
        struct conv1d_problem q = conv1d_problem(&rng, shapes[s], DTYPE_F32, s % 2, true);
        q.bias = q.residual = true;
        check(&q, 0, false);
        conv1d_problem_free(&q);
    }
}

/* ---- who computes ---- */

static int64_t launches(const struct conv1d_forward *p)
{
    struct test_calls before, after;
    if (!test_cuda_calls(&before))
        return -1;
    run(p);
    assert_true(test_cuda_calls(&before));
    assert_ok(test_kernels()->conv1d_forward(&context, p));
    assert_ok(test_kernels()->synchronize(&context));
    assert_true(test_cuda_calls(&after));
    return after.launches - before.launches;
}

/* cuDNN's call alone where operands are dense and nothing follows; copies and a last kernel where they are needed; our one kernel
 * for a weight that lies between boundaries. */
static void only_what_is_needed_is_launched(void **state)
{
    (void)state;
    needs_engine();
    if (!uses_cudnn() || !test_cuda_emulated())
        skip();
    assert_non_null(strstr(test_kernels()->describe(&context), "conv1d: cuDNN"));
    struct rng rng = test_rng(3);
    const struct conv1d_shape shape = {2, 40, 16, 8, 3, 1, 1, 1, 1, 1, CONV1D_DENSE};
    struct conv1d_problem q = conv1d_problem(&rng, shape, DTYPE_F32, false, false);
    struct tensor output = conv1d_output_like(&q);
    struct conv1d_forward p = conv1d_describe(&q, &output, NULL);
    assert_int_equal(launches(&p), 1);
    struct conv1d_forward alone = p; /* a row, dense wherever it lies */
    alone.batch = 1;
    assert_int_equal(launches(&alone), 1);
    alone.x = (const float *)p.x + 1;
    assert_int_equal(launches(&alone), 2);
    alone.x = p.x;
    alone.output = (float *)p.output + 1;
    assert_int_equal(launches(&alone), 2);
    struct tensor before = conv1d_output_like(&q);
    alone = p;
    alone.pre_activation = tensor_device(&before);
    assert_int_equal(launches(&alone), 2);
    tensor_free(&before);
    p.bias = tensor_device(&q.bias_values);
    assert_int_equal(launches(&p), 2);
    p.padding_right = 0;
    p.output_frames--;
    p.output_batch_stride = p.output_frames * p.output_channels;
    assert_int_equal(launches(&p), 3);
    p.weight = (const float *)p.weight + 1;
    p.output_channels = 7;
    p.output_row_stride = 8;
    assert_int_equal(launches(&p), 1);
    tensor_free(&output);
    conv1d_problem_free(&q);
}

/* The scratch is that of the shape, and asked for. */
static void scratch_is_checked(void **state)
{
    (void)state;
    needs_engine();
    if (!uses_cudnn())
        skip();
    struct rng rng = test_rng(4);
    struct conv1d_problem q = conv1d_problem(&rng, shapes[3], DTYPE_F32, false, false);
    struct tensor output = conv1d_output_like(&q);
    const struct conv1d_forward p = conv1d_describe(&q, &output, NULL);
    const size_t bytes = test_kernels()->conv1d_forward_scratch_size(&p);
    assert_true(bytes > 0);
    struct device_context narrow;
    test_open(&narrow, bytes - 1);
    assert_int_equal(test_kernels()->conv1d_forward(&narrow, &p), STATUS_INTERNAL);
    assert_non_null(strstr(status_text(), "bytes of scratch"));
    test_close(&narrow);
    tensor_free(&output);
    conv1d_problem_free(&q);
}

/* An algorithm that wants more workspace than there is leaves the call to one that wants less, and both to our own kernel. */
static void workspace_is_never_exceeded(void **state)
{
    (void)state;
    needs_engine();
    if (!uses_cudnn() || !test_cuda_emulated())
        skip();
    static const char *const wanted[] = {"33554432", "33554433", "33554433,33554433", "999999999999,33554432"};
    struct rng rng = test_rng(5);
    for (int i = 0; i < 4; i++)
        for (int s = 2; s < 5; s++) {
            struct conv1d_problem q = conv1d_problem(&rng, shapes[s], DTYPE_F32, s % 2, true);
            q.bias = q.residual = true;
            assert_int_equal(setenv("EMULATOR_CUDNN_WORKSPACE", wanted[i], 1), 0);
            check(&q, 0, false);
            assert_int_equal(unsetenv("EMULATOR_CUDNN_WORKSPACE"), 0);
            conv1d_problem_free(&q);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(forward_equals_the_reference, open_engine, close_engine),
        cmocka_unit_test_setup_teardown(integers_are_exact, open_engine, close_engine),
        cmocka_unit_test_setup_teardown(only_what_is_needed_is_launched, open_engine, close_engine),
        cmocka_unit_test_setup_teardown(scratch_is_checked, open_engine, close_engine),
        cmocka_unit_test_setup_teardown(workspace_is_never_exceeded, open_engine, close_engine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
