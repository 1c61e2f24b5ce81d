/* RMSNorm with its residual, both ways. */
#include "support/kernel_harness.h"
#include "support/reference_kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rows and channels: around warps and packs, odd ones, several pieces of rows, and rows too long for a GPU's registers. */
static const int64_t shapes[][2] = {{1, 1},    {3, 7},    {31, 8},   {70, 113}, {257, 64}, {40, 1000}, {130, 31},
                                    {1, 33},   {33, 1},   {2, 127},  {5, 129},  {17, 16},  {127, 3},   {129, 2},
                                    {3, 2048}, {2, 4096}, {2, 8200}, {3, 1025}, {16, 255}, {15, 257},  {48, 24}};
enum { SHAPES = sizeof shapes / sizeof *shapes };
static const double epsilon = 0.0625; /* large enough to show in every row */
static const int thread_counts[] = {1, 2, 3, 2};

struct forward {
    struct tensor sum, output, rstd;
};

static struct forward run_forward(int64_t rows, int64_t channels, struct tensor *x, struct tensor *residual,
                                  struct tensor *weight)
{
    struct forward first = {0};
    for (int i = 0; i < test_repeats(4); i++) {
        struct forward next = {tensor_make(x->type, x->count), tensor_make(x->type, x->count),
                               tensor_make(DTYPE_F32, rows)};
        struct rmsnorm_forward p = {.rows = rows,
                                    .channels = channels,
                                    .x = tensor_device(x),
                                    .residual = residual ? tensor_device(residual) : NULL,
                                    .weight = tensor_device(weight),
                                    .sum = residual ? tensor_device(&next.sum) : NULL,
                                    .output = tensor_device(&next.output),
                                    .rstd = tensor_device(&next.rstd),
                                    .epsilon = (float)epsilon,
                                    .type = x->type};
        assert_ok(test_kernels()->rmsnorm_forward(test_context(thread_counts[i], 0), &p));
        if (i == 0) {
            first = next;
            continue;
        }
        assert_same_bits("rmsnorm", &first.output, &next.output);
        assert_same_bits("sum", &first.sum, &next.sum);
        assert_same_bits("rstd", &first.rstd, &next.rstd);
        tensor_free(&next.sum);
        tensor_free(&next.output);
        tensor_free(&next.rstd);
    }
    return first;
}

static void free_forward(struct forward *f)
{
    tensor_free(&f->sum);
    tensor_free(&f->output);
    tensor_free(&f->rstd);
}

/* bf16 rounds the normalised value and then the product: 2 roundings. */
static void forward_equals_the_reference(void **state)
{
    (void)state;
    struct rng rng = test_rng(1);
    for (int s = 0; s < 4 * SHAPES; s++) {
        int64_t rows = shapes[s / 4][0], channels = shapes[s / 4][1], count = rows * channels;
        enum dtype type = s % 2 ? DTYPE_BF16 : DTYPE_F32;
        struct tensor x = tensor_normal(&rng, type, count, 2), residual = tensor_normal(&rng, type, count, 2);
        struct tensor weight = tensor_normal(&rng, type, channels, 1);
        bool with = s % 4 >= 2;
        struct forward f = run_forward(rows, channels, &x, with ? &residual : NULL, &weight);
        double *expected = doubles(count), *rstd = doubles(rows), *sum = doubles(count);
        for (int64_t i = 0; i < count; i++)
            sum[i] = with ? round_to(type, x.values[i] + residual.values[i]) : x.values[i];
        if (with)
            assert_tensor("sum", &f.sum, sum, 0, 0);
        reference_rmsnorm(rows, channels, sum, weight.values, epsilon, expected, rstd);
        assert_tensor("output", &f.output, expected, 1e-5, 2.01);
        for (int64_t n = 0; n < rows; n++)
            rstd[n] = tensor_read(&f.rstd)[n] / rstd[n];
        for (int64_t n = 0; n < rows; n++)
            assert_true(fabs(rstd[n] - 1) <= 1e-6);
        free(expected);
        free(rstd);
        free(sum);
        free_forward(&f);
        tensor_free(&x);
        tensor_free(&residual);
        tensor_free(&weight);
    }
}

struct backward {
    struct tensor grad_sum, grad_weight;
};

static struct backward run_backward(int64_t rows, int64_t channels, struct tensor *x, struct tensor *weight,
                                    struct tensor *gradient, struct tensor *residual, struct tensor *rstd,
                                    struct tensor *grad_weight, bool overwrite)
{
    struct backward first = {0};
    for (int i = 0; i < 5; i++) {
        if (i < 3 && i >= test_repeats(3))
            continue;
        struct backward next = {tensor_copy(gradient), tensor_copy(grad_weight)};
        struct tensor other = tensor_copy(residual ? residual : gradient);
        bool in_place = i >= 3; /* over grad_output, then over grad_residual */
        struct rmsnorm_backward p = {.rows = rows,
                                     .channels = channels,
                                     .sum = tensor_device(x),
                                     .weight = tensor_device(weight),
                                     .grad_output = tensor_device(in_place && i == 3 ? &next.grad_sum : gradient),
                                     .grad_residual = residual ? tensor_device(&other) : NULL,
                                     .rstd = tensor_device(rstd),
                                     .grad_sum = tensor_device(i == 4 && residual ? &other : &next.grad_sum),
                                     .grad_weight = tensor_device(&next.grad_weight),
                                     .overwrite = overwrite,
                                     .type = x->type};
        size_t scratch = test_kernels()->rmsnorm_backward_scratch_size(&p);
        assert_ok(test_kernels()->rmsnorm_backward(test_context(thread_counts[i % 4], scratch), &p));
        if (i == 4 && residual) {
            tensor_free(&next.grad_sum);
            next.grad_sum = other;
        } else {
            tensor_free(&other);
        }
        if (i == 0) {
            first = next;
            continue;
        }
        assert_same_bits("grad_sum", &first.grad_sum, &next.grad_sum);
        assert_same_bits("grad_weight", &first.grad_weight, &next.grad_weight);
        tensor_free(&next.grad_sum);
        tensor_free(&next.grad_weight);
    }
    return first;
}

/* `overwrite`: the weight's gradient is written over NaN; otherwise it is added to what is there. */
static void check_backward(bool overwrite)
{
    struct rng rng = test_rng(2);
    for (int s = 0; s < 4 * SHAPES; s++) {
        int64_t rows = shapes[s / 4][0], channels = shapes[s / 4][1], count = rows * channels;
        enum dtype type = s % 2 ? DTYPE_BF16 : DTYPE_F32;
        bool with = s % 4 >= 2;
        struct tensor x = tensor_normal(&rng, type, count, 2), weight = tensor_normal(&rng, type, channels, 1);
        struct tensor gradient = tensor_normal(&rng, type, count, 1), residual = tensor_normal(&rng, type, count, 1);
        struct tensor before = tensor_normal(&rng, DTYPE_F32, channels, 1);
        for (int64_t c = 0; overwrite && c < channels; c++)
            tensor_set(&before, c, NAN);
        struct forward f = run_forward(rows, channels, &x, NULL, &weight);
        struct backward b =
            run_backward(rows, channels, &x, &weight, &gradient, with ? &residual : NULL, &f.rstd, &before, overwrite);
        double *grad_x = doubles(count), *grad_weight = doubles(channels);
        for (int64_t c = 0; c < channels; c++)
            grad_weight[c] = overwrite ? 0 : before.values[c];
        reference_rmsnorm_backward(rows, channels, x.values, weight.values, epsilon, gradient.values, grad_x,
                                   grad_weight);
        for (int64_t i = 0; with && i < count; i++)
            grad_x[i] += residual.values[i];
        assert_tensor("grad_sum", &b.grad_sum, grad_x, 1e-5, 1.01);
        /* in bf16 each row's normalised value was rounded: rows / sqrt(rows) roundings of size 1, the largest of many columns */
        double rounding = type == DTYPE_BF16 ? 6 * BF16_ROUNDING * sqrt((double)rows) + 0.01 : 0;
        assert_tensor("grad_weight", &b.grad_weight, grad_weight, 2e-6 * (double)rows + 1e-5 + rounding, 0);
        free(grad_x);
        free(grad_weight);
        free_forward(&f);
        tensor_free(&b.grad_sum);
        tensor_free(&b.grad_weight);
        tensor_free(&x);
        tensor_free(&weight);
        tensor_free(&gradient);
        tensor_free(&residual);
        tensor_free(&before);
    }
}

static void backward_equals_the_reference(void **state)
{
    (void)state;
    check_backward(false);
    check_backward(true);
}

/* Without rows there is nothing to add, and zeros are what is written. */
static void backward_without_rows(void **state)
{
    (void)state;
    for (int overwrite = 0; overwrite < 2; overwrite++) {
        struct tensor grad_weight = tensor_zero(DTYPE_F32, 300);
        for (int64_t c = 0; c < 300; c++)
            tensor_set(&grad_weight, c, NAN);
        struct rmsnorm_backward p = {
            .channels = 300, .grad_weight = tensor_device(&grad_weight), .overwrite = overwrite};
        assert_ok(test_kernels()->rmsnorm_backward(test_context(2, 0), &p));
        tensor_read(&grad_weight);
        for (int64_t c = 0; c < 300; c++)
            assert_true(overwrite ? grad_weight.values[c] == 0 : isnan(grad_weight.values[c]));
        tensor_free(&grad_weight);
    }
}

struct loss {
    int64_t rows, channels;
    double *x, *weight, *output;
    const double *gradient;
};

static double loss(void *argument)
{
    struct loss *l = argument;
    reference_rmsnorm(l->rows, l->channels, l->x, l->weight, epsilon, l->output, NULL);
    return dot_product(l->output, l->gradient, l->rows * l->channels);
}

static void the_reference_has_the_right_gradient(void **state)
{
    (void)state;
    struct rng rng = test_rng(3);
    struct tensor x = tensor_normal(&rng, DTYPE_F32, 60, 1), weight = tensor_normal(&rng, DTYPE_F32, 12, 1);
    struct tensor gradient = tensor_normal(&rng, DTYPE_F32, 60, 1);
    double output[60], grad_x[60], grad_weight[12] = {0};
    reference_rmsnorm_backward(5, 12, x.values, weight.values, epsilon, gradient.values, grad_x, grad_weight);
    struct loss l = {5, 12, x.values, weight.values, output, gradient.values};
    check_gradient("x", loss, &l, x.values, grad_x, 60, &rng);
    check_gradient("weight", loss, &l, weight.values, grad_weight, 12, &rng);
    tensor_free(&x);
    tensor_free(&weight);
    tensor_free(&gradient);
}

static void rows_do_not_depend_on_each_other(void **state)
{
    (void)state;
    struct rng rng = test_rng(4);
    for (int type = DTYPE_F32; type <= DTYPE_BF16; type++) {
        struct tensor x = tensor_normal(&rng, (enum dtype)type, 40 * 1000, 1);
        struct tensor weight = tensor_normal(&rng, (enum dtype)type, 1000, 1);
        tensor_set(&x, 7 * 1000 + 999, NAN);
        tensor_set(&x, 9 * 1000 + 1, INFINITY);
        struct forward all = run_forward(40, 1000, &x, NULL, &weight);
        size_t row_bytes = 1000 * dtype_size((enum dtype)type);
        for (int64_t n = 0; n < 40; n++) {
            struct tensor one =
                tensor_from((enum dtype)type, 1000, (const char *)tensor_host(&x) + (size_t)n * row_bytes);
            struct forward alone = run_forward(1, 1000, &one, NULL, &weight);
            assert_memory_equal(tensor_host(&alone.output),
                                (const char *)tensor_host(&all.output) + (size_t)n * row_bytes, row_bytes);
            bool finite = true;
            for (int64_t c = 0; c < 1000; c++)
                finite = finite && isfinite(tensor_read(&alone.output)[c]);
            assert_true(finite == (n != 7 && n != 9));
            free_forward(&alone);
            tensor_free(&one);
        }
        free_forward(&all);
        tensor_free(&x);
        tensor_free(&weight);
    }
}

/* `source` one element further on in memory, off the boundaries of words; the caller frees it, and reads it from element 1 on. */
static struct tensor shifted(struct tensor *source)
{
    struct tensor copy = tensor_make(source->type, source->count + 1);
    tensor_set(&copy, 0, 7);
    for (int64_t i = 0; i < source->count; i++)
        tensor_set(&copy, i + 1, source->values[i]);
    return copy;
}

static void *second(struct tensor *tensor)
{
    return (char *)tensor_device(tensor) + dtype_size(tensor->type);
}

/* Rows that begin on no boundary have the bits of the same rows on one. */
static void alignment_shows_in_no_bit(void **state)
{
    (void)state;
    struct rng rng = test_rng(7);
    for (int s = 0; s < 6; s++) {
        const int64_t rows = 5, channels = (const int64_t[]){64, 113, 1000}[s / 2], count = rows * channels;
        const enum dtype type = s % 2 ? DTYPE_BF16 : DTYPE_F32;
        struct tensor x = tensor_normal(&rng, type, count, 2), weight = tensor_normal(&rng, type, channels, 1);
        struct tensor zero = tensor_zero(DTYPE_F32, channels), gradient = tensor_normal(&rng, type, count, 1);
        struct forward f = run_forward(rows, channels, &x, NULL, &weight);
        struct backward b = run_backward(rows, channels, &x, &weight, &gradient, NULL, &f.rstd, &zero, true);
        struct tensor moved[] = {shifted(&x), shifted(&weight), shifted(&gradient)};
        struct tensor y = tensor_make(type, count + 1), grad_sum = tensor_make(type, count + 1);
        struct tensor rstd = tensor_make(DTYPE_F32, rows), grad_weight = tensor_make(DTYPE_F32, channels + 1);
        struct rmsnorm_forward forward = {.rows = rows,
                                          .channels = channels,
                                          .x = second(&moved[0]),
                                          .weight = second(&moved[1]),
                                          .output = second(&y),
                                          .rstd = tensor_device(&rstd),
                                          .epsilon = (float)epsilon,
                                          .type = type};
        struct rmsnorm_backward backward = {.rows = rows,
                                            .channels = channels,
                                            .sum = second(&moved[0]),
                                            .weight = second(&moved[1]),
                                            .grad_output = second(&moved[2]),
                                            .rstd = tensor_device(&f.rstd),
                                            .grad_sum = second(&grad_sum),
                                            .grad_weight = second(&grad_weight),
                                            .overwrite = true,
                                            .type = type};
        assert_ok(test_kernels()->rmsnorm_forward(test_context(1, 0), &forward));
        assert_ok(test_kernels()->rmsnorm_backward(
            test_context(1, test_kernels()->rmsnorm_backward_scratch_size(&backward)), &backward));
        const size_t size = dtype_size(type);
        assert_same_bits("rstd", &f.rstd, &rstd);
        assert_memory_equal((const char *)tensor_host(&y) + size, tensor_host(&f.output), (size_t)count * size);
        assert_memory_equal((const char *)tensor_host(&grad_sum) + size, tensor_host(&b.grad_sum),
                            (size_t)count * size);
        assert_memory_equal((const char *)tensor_host(&grad_weight) + sizeof(float), tensor_host(&b.grad_weight),
                            (size_t)channels * sizeof(float));
        struct tensor *all[] = {&x,    &weight,   &zero,     &gradient, &b.grad_sum, &b.grad_weight, &y,
                                &rstd, &grad_sum, &moved[0], &moved[1], &moved[2],   &grad_weight};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            tensor_free(all[i]);
        free_forward(&f);
    }
}

/* Every row is read and written once (counted by the emulator). The weight is read once per block, and its gradient has partial
 * sums: hence what backward may take. */
static void rows_are_moved_once(void **state)
{
    (void)state;
    for (int s = 0; s < 4; s++) {
        const enum dtype type = s % 2 ? DTYPE_BF16 : DTYPE_F32;
        const int64_t rows = 4096, channels = type == DTYPE_F32 ? 256 : 512, count = rows * channels;
        const bool with = s >= 2;
        struct tensor arrays[4], weight = tensor_zero(type, channels), grad_weight = tensor_zero(DTYPE_F32, channels);
        struct tensor rstd = tensor_zero(DTYPE_F32, rows);
        void *device[4];
        for (int i = 0; i < 4; i++) {
            arrays[i] = tensor_zero(type, count);
            device[i] = tensor_device(&arrays[i]);
        }
        struct rmsnorm_forward forward = {rows,
                                          channels,
                                          device[0],
                                          with ? device[1] : NULL,
                                          tensor_device(&weight),
                                          with ? device[2] : NULL,
                                          device[3],
                                          tensor_device(&rstd),
                                          1e-5f,
                                          type};
        struct rmsnorm_backward backward = {rows,
                                            channels,
                                            device[0],
                                            tensor_device(&weight),
                                            device[1],
                                            with ? device[2] : NULL,
                                            tensor_device(&rstd),
                                            device[3],
                                            tensor_device(&grad_weight),
                                            true,
                                            type};
        const struct device_context *context =
            test_context(1, test_kernels()->rmsnorm_backward_scratch_size(&backward));
        const double array = (double)count * (double)dtype_size(type);
        test_traffic_begin();
        assert_ok(test_kernels()->rmsnorm_forward(context, &forward));
        assert_traffic("rmsnorm_forward", (with ? 4 : 2) * array, 1.05);
        test_traffic_begin();
        assert_ok(test_kernels()->rmsnorm_backward(context, &backward));
        assert_traffic("rmsnorm_backward", (with ? 4 : 3) * array, 1.15);
        for (int i = 0; i < 4; i++)
            tensor_free(&arrays[i]);
        tensor_free(&weight);
        tensor_free(&grad_weight);
        tensor_free(&rstd);
    }
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    const struct device_context *context = test_context(1, 0);
    struct tensor x = tensor_zero(DTYPE_F32, 8), w = tensor_zero(DTYPE_F32, 4), y = tensor_zero(DTYPE_F32, 8);
    const struct rmsnorm_forward forward = {
        .rows = 2, .channels = 4, .x = tensor_device(&x), .weight = tensor_device(&w), .output = tensor_device(&y)};
    assert_refused(rmsnorm_forward, forward, p.rows = -1, "-1 rows");
    assert_refused(rmsnorm_forward, forward, p.channels = 0, "rows of 0");
    assert_refused(rmsnorm_forward, forward, p.weight = NULL, "null");
    assert_refused(rmsnorm_forward, forward, p.sum = p.output, "residual and sum");
    assert_refused(rmsnorm_forward, forward, p.residual = p.x, "residual and sum");
    assert_refused(rmsnorm_forward, forward, p.type = DTYPE_F16, "type");
    assert_refused(rmsnorm_forward, forward, p.epsilon = NAN, "epsilon");
    const struct rmsnorm_backward backward = {.rows = 2,
                                              .channels = 4,
                                              .sum = tensor_device(&x),
                                              .weight = tensor_device(&w),
                                              .grad_output = tensor_device(&x),
                                              .rstd = tensor_device(&w),
                                              .grad_sum = tensor_device(&y),
                                              .grad_weight = tensor_device(&w)};
    assert_refused(rmsnorm_backward, backward, p.rstd = NULL, "null");
    assert_refused(rmsnorm_backward, backward, p.channels = -4, "rows of -4");
    struct device_context small = *context;
    small.scratch_bytes = 4;
    assert_fails(test_kernels()->rmsnorm_backward(&small, &backward), STATUS_INTERNAL, "scratch");
    assert_refused(rmsnorm_backward, backward, p.type = DTYPE_U8, "type");
    assert_refused(rmsnorm_backward, backward, p.rows = 0; p.overwrite = true; p.grad_weight = NULL, "to overwrite");
    tensor_free(&x);
    tensor_free(&w);
    tensor_free(&y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_equals_the_reference),
        cmocka_unit_test(the_reference_has_the_right_gradient),
        cmocka_unit_test(backward_equals_the_reference),
        cmocka_unit_test(backward_without_rows),
        cmocka_unit_test(rows_do_not_depend_on_each_other),
        cmocka_unit_test(alignment_shows_in_no_bit),
        cmocka_unit_test(rows_are_moved_once),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
