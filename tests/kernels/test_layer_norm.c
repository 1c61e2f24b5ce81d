/* LayerNorm and GELU, and their gradients, against double computations. */
#include "support/kernel_harness.h"
#include "support/reference_speech.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int thread_counts[] = {1, 2, 3};
static const int64_t shapes[][2] = {
    {1, 1},     {3, 7},    {31, 8},   {70, 113}, {257, 64}, {40, 1000}, {33, 31},  {127, 33},
    {129, 127}, {2, 129},  {5, 768},  {1, 512},  {9, 513},  {65, 256},  {17, 257}, {4, 1024},
    {3, 1025},  {2, 2049}, {1, 4096}, {8, 24},   {33, 40},  {34, 31},   {7, 1},    {32, 2},
    {12, 320},  {6, 640},  {5, 769},  {11, 128}, {129, 32}, {130, 16},  {31, 129}, {100, 3},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };
static const double epsilon = 0.0625; /* large enough to show in every row */

/* ---- GELU ---- */

static const int64_t counts[] = {1,    2,    3,    7,    8,    9,    15,   16,    17,    31,   32,
                                 33,   63,   64,   65,   127,  128,  129,  255,   256,   257,  999,
                                 1000, 2047, 2048, 2049, 4095, 8193, 9999, 16383, 16385, 50000};

/* Phi keeps its relative precision in the left tail: 4 units in the last place, where exp(-x^2/2) has all of its own. */
static void gelu_equals_the_definition(void **state)
{
    (void)state;
    struct rng rng = test_rng(1);
    for (int s = 0; s < 64; s++) {
        int64_t count = counts[s / 2];
        enum dtype type = s % 2 ? DTYPE_BF16 : DTYPE_F32;
        struct tensor x = tensor_normal(&rng, type, count, 3), gradient = tensor_normal(&rng, type, count, 1);
        struct tensor kept[2] = {{.count = 0}};
        double *output = doubles(count), *grad_x = doubles(count);
        for (int64_t i = 0; i < count; i++) {
            output[i] = reference_gelu(x.values[i]);
            grad_x[i] = gradient.values[i] * reference_gelu_slope(x.values[i]);
        }
        for (int i = 0; i < 5; i++) { /* at last in place */
            if (i < 3 && i >= test_repeats(3))
                continue;
            struct tensor y = i >= 3 ? tensor_copy(&x) : tensor_make(type, count);
            struct tensor dx = i >= 3 ? tensor_copy(i == 3 ? &x : &gradient) : tensor_make(type, count);
            const struct device_context *context = test_context(thread_counts[i % 3], 0);
            struct activate forward = {count, tensor_device(i >= 3 ? &y : &x), tensor_device(&y), ACTIVATION_GELU, 0,
                                       type};
            struct gelu_backward backward = {count, tensor_device(i == 3 ? &dx : &x),
                                             tensor_device(i == 4 ? &dx : &gradient), tensor_device(&dx), type};
            assert_ok(test_kernels()->activate(context, &forward));
            assert_ok(test_kernels()->gelu_backward(context, &backward));
            if (i == 0) {
                kept[0] = y;
                kept[1] = dx;
                continue;
            }
            assert_same_bits("output", &kept[0], &y);
            assert_same_bits("grad_x", &kept[1], &dx);
            tensor_free(&y);
            tensor_free(&dx);
        }
        tensor_read(&kept[0]);
        for (int64_t i = 0; type == DTYPE_F32 && i < count; i++)
            if (!(fabs(kept[0].values[i] - output[i]) <= 5e-7 * fabs(output[i]) + 1e-37))
                fail_msg("gelu(%.9g) is %.9g, expected %.9g", x.values[i], kept[0].values[i], output[i]);
        assert_tensor("output", &kept[0], output, 1e-6, 1.01);
        assert_tensor("grad_x", &kept[1], grad_x, 2e-6, 1.01);
        tensor_free(&kept[0]);
        tensor_free(&kept[1]);
        tensor_free(&x);
        tensor_free(&gradient);
        free(output);
        free(grad_x);
    }
}

static void gelu_at_the_ends(void **state)
{
    (void)state;
    const float inputs[8] = {0, -0.0f, 1000, -1000, NAN, 1e30f, -1e30f, -13};
    struct tensor x = tensor_from(DTYPE_F32, 8, inputs), y = tensor_make(DTYPE_F32, 8), dx = tensor_make(DTYPE_F32, 8);
    const float ones[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    struct tensor gradient = tensor_from(DTYPE_F32, 8, ones);
    struct activate forward = {8, tensor_device(&x), tensor_device(&y), ACTIVATION_GELU, 0, DTYPE_F32};
    struct gelu_backward backward = {8, tensor_device(&x), tensor_device(&gradient), tensor_device(&dx), DTYPE_F32};
    assert_ok(test_kernels()->activate(test_context(1, 0), &forward));
    assert_ok(test_kernels()->gelu_backward(test_context(1, 0), &backward));
    const double *v = tensor_read(&y), *d = tensor_read(&dx);
    assert_true(v[0] == 0 && v[1] == 0 && v[2] == 1000 && v[3] == 0 && isnan(v[4]) && v[6] == 0);
    assert_true(fabs(v[5] / 1e30 - 1) < 1e-6 && v[7] < 0 && v[7] > -1e-36);
    assert_true(fabs(d[0] - 0.5) < 1e-7 && d[2] == 1 && d[3] == 0 && isnan(d[4]) && d[5] == 1 && d[6] == 0);
    tensor_free(&x);
    tensor_free(&y);
    tensor_free(&dx);
    tensor_free(&gradient);
}

static double gelu_loss(void *x)
{
    return reference_gelu(*(double *)x);
}

static void gelu_slope_is_the_derivative(void **state)
{
    (void)state;
    struct rng rng = test_rng(2);
    for (int i = 0; i < 50; i++) {
        double x = rng_normal(&rng) * 2, slope = reference_gelu_slope(x);
        check_gradient("gelu", gelu_loss, &x, &x, &slope, 1, &rng);
    }
}

/* ---- LayerNorm ---- */

struct problem {
    int64_t rows, channels;
    enum dtype type;
    bool with_residual, gelu;
    struct tensor x, residual, weight, bias, gradient, grad_residual;
    int64_t *ones;
};

/* Values about a mean that is large beside their deviation. */
static struct problem make(struct rng *rng, int shape, int variant)
{
    int64_t rows = shapes[shape][0], channels = shapes[shape][1], count = rows * channels;
    enum dtype type = variant % 2 ? DTYPE_BF16 : DTYPE_F32;
    struct problem q = {rows, channels, type, variant & 2, variant & 4, .x = tensor_normal(rng, type, count, 2)};
    for (int64_t i = 0; i < count; i++)
        tensor_set(&q.x, i, q.x.values[i] + 30);
    q.residual = tensor_normal(rng, type, count, 2);
    q.weight = tensor_normal(rng, type, channels, 1);
    q.bias = tensor_normal(rng, type, channels, 1);
    q.gradient = tensor_normal(rng, type, count, 1);
    q.grad_residual = tensor_normal(rng, type, count, 1);
    q.ones = malloc((size_t)rows * sizeof *q.ones);
    for (int64_t n = 0; n < rows; n++)
        q.ones[n] = 1;
    return q;
}

static void free_problem(struct problem *q)
{
    struct tensor *all[] = {&q->x, &q->residual, &q->weight, &q->bias, &q->gradient, &q->grad_residual};
    for (int i = 0; i < 6; i++)
        tensor_free(all[i]);
    free(q->ones);
}

/* What is normalised, as the type holds it. The caller frees. */
static double *sum_of(const struct problem *q)
{
    double *sum = doubles(q->rows * q->channels);
    for (int64_t i = 0; i < q->rows * q->channels; i++)
        sum[i] = q->with_residual ? round_to(q->type, q->x.values[i] + q->residual.values[i]) : q->x.values[i];
    return sum;
}

static struct reference_norm reference_of(const struct problem *q, const double *sum)
{
    return (struct reference_norm){q->rows,        1,       q->channels, 1,      sum, q->weight.values,
                                   q->bias.values, q->ones, epsilon,     q->gelu};
}

struct forward {
    struct tensor sum, output, mean, rstd;
};

static void free_forward(struct forward *f)
{
    tensor_free(&f->sum);
    tensor_free(&f->output);
    tensor_free(&f->mean);
    tensor_free(&f->rstd);
}

/* Five ways: 1 to 3 threads, without a sum, over x. */
static struct forward run_forward(struct problem *q)
{
    struct forward first = {.sum = {0}};
    for (int i = 0; i < 5; i++) {
        if (i < 3 && i >= test_repeats(3))
            continue;
        struct forward next = {tensor_make(q->type, q->x.count), tensor_make(q->type, q->x.count),
                               tensor_make(DTYPE_F32, q->rows), tensor_make(DTYPE_F32, q->rows)};
        struct layer_norm_forward p = {.rows = q->rows,
                                       .channels = q->channels,
                                       .x = tensor_device(&q->x),
                                       .residual = q->with_residual ? tensor_device(&q->residual) : NULL,
                                       .weight = tensor_device(&q->weight),
                                       .bias = tensor_device(&q->bias),
                                       .sum = i == 3 ? NULL : tensor_device(&next.sum),
                                       .output = tensor_device(&next.output),
                                       .mean = tensor_device(&next.mean),
                                       .rstd = tensor_device(&next.rstd),
                                       .epsilon = (float)epsilon,
                                       .activation = q->gelu ? ACTIVATION_GELU : ACTIVATION_NONE,
                                       .type = q->type};
        if (i == 4) { /* without a sum, in x's place */
            tensor_free(&next.output);
            next.output = tensor_copy(&q->x);
            p.sum = NULL;
            p.x = p.output = tensor_device(&next.output);
        }
        assert_ok(test_kernels()->layer_norm_forward(test_context(thread_counts[i % 3], 0), &p));
        if (i == 0) {
            first = next;
            continue;
        }
        assert_same_bits("output", &first.output, &next.output);
        if (p.sum)
            assert_same_bits("sum", &first.sum, &next.sum);
        assert_same_bits("mean", &first.mean, &next.mean);
        assert_same_bits("rstd", &first.rstd, &next.rstd);
        free_forward(&next);
    }
    return first;
}

static void forward_equals_the_reference(void **state)
{
    (void)state;
    struct rng rng = test_rng(3);
    for (int s = 0; s < SHAPES; s++)
        for (int variant = s % 4; variant < 8; variant += 3) {
            struct problem q = make(&rng, s, variant);
            struct forward f = run_forward(&q);
            double *sum = sum_of(&q), *expected = doubles(q.x.count), *mean = doubles(q.rows), *rstd = doubles(q.rows);
            struct reference_norm reference = reference_of(&q, sum);
            reference_norm(&reference, expected, mean, rstd);
            assert_tensor("sum", &f.sum, sum, 0, 0);
            assert_tensor("mean", &f.mean, mean, 1e-5, 0);
            double worst =
                1; /* the mean is rounded to f32, and rstd multiplies that: large where a row has few channels */
            for (int64_t n = 0; n < q.rows; n++) {
                /* a single channel has variance 0: rstd is 316, and what is left of x - mean its rounding */
                double ratio = tensor_read(&f.rstd)[n] / rstd[n];
                worst = q.channels > 1 ? fmax(worst, rstd[n]) : 1;
                if (!(fabs(ratio - 1) <= 2e-6 * worst))
                    fail_msg("rstd of row %lld is %g times the expected one", (long long)n, ratio);
            }
            assert_tensor("output", &f.output, expected, 2e-5 * worst, 1.01);
            free_forward(&f);
            free_problem(&q);
            free(sum);
            free(expected);
            free(mean);
            free(rstd);
        }
}

struct backward {
    struct tensor sum, weight, bias;
};

/* 1 to 3 threads, then over grad_output and over grad_residual. */
static struct backward run_backward(struct problem *q, struct forward *f, struct tensor *weight, struct tensor *bias,
                                    bool overwrite)
{
    struct backward first = {.sum = {0}};
    for (int i = 0; i < 5; i++) {
        if (i < 3 && i >= test_repeats(3))
            continue;
        struct backward next = {tensor_copy(i == 4 ? &q->grad_residual : &q->gradient), tensor_copy(weight),
                                tensor_copy(bias)};
        struct layer_norm_backward p = {
            .rows = q->rows,
            .channels = q->channels,
            .sum = tensor_device(&f->sum),
            .weight = tensor_device(&q->weight),
            .bias = tensor_device(&q->bias),
            .grad_output = tensor_device(i == 3 ? &next.sum : &q->gradient),
            .grad_residual = q->with_residual ? tensor_device(i == 4 ? &next.sum : &q->grad_residual) : NULL,
            .mean = tensor_device(&f->mean),
            .rstd = tensor_device(&f->rstd),
            .grad_sum = tensor_device(&next.sum),
            .grad_weight = tensor_device(&next.weight),
            .grad_bias = tensor_device(&next.bias),
            .overwrite = overwrite,
            .activation = q->gelu ? ACTIVATION_GELU : ACTIVATION_NONE,
            .type = q->type};
        size_t scratch = test_kernels()->layer_norm_backward_scratch_size(&p);
        assert_ok(test_kernels()->layer_norm_backward(test_context(thread_counts[i % 3], scratch), &p));
        if (i == 0) {
            first = next;
            continue;
        }
        assert_same_bits("grad_sum", &first.sum, &next.sum);
        assert_same_bits("grad_weight", &first.weight, &next.weight);
        assert_same_bits("grad_bias", &first.bias, &next.bias);
        tensor_free(&next.sum);
        tensor_free(&next.weight);
        tensor_free(&next.bias);
    }
    return first;
}

static void check_backward(struct problem *q, struct rng *rng, bool overwrite)
{
    struct tensor weight = tensor_normal(rng, DTYPE_F32, q->channels, 1);
    struct tensor bias = tensor_normal(rng, DTYPE_F32, q->channels, 1);
    double *grad_weight = doubles(q->channels), *grad_bias = doubles(q->channels), *grad_sum = doubles(q->x.count);
    for (int64_t c = 0; c < q->channels; c++) {
        grad_weight[c] = overwrite ? 0 : weight.values[c];
        grad_bias[c] = overwrite ? 0 : bias.values[c];
        if (overwrite) {
            tensor_set(&weight, c, NAN);
            tensor_set(&bias, c, NAN);
        }
    }
    struct forward f = run_forward(q);
    double *sum = sum_of(q);
    struct reference_norm reference = reference_of(q, sum);
    reference_norm_backward(&reference, q->gradient.values, grad_sum, grad_weight, grad_bias);
    for (int64_t i = 0; q->with_residual && i < q->x.count; i++)
        grad_sum[i] += q->grad_residual.values[i];
    struct backward g = run_backward(q, &f, &weight, &bias, overwrite);
    /* with few channels the deviation may be small beside the mean, and rstd large: mean and rstd are f32 */
    double worst = 1;
    for (int64_t n = 0; n < q->rows; n++)
        worst = fmax(worst, tensor_read(&f.rstd)[n]);
    assert_tensor("grad_sum", &g.sum, grad_sum, 3e-5 * worst * worst, 1.01);
    double sums = 3e-5 * worst * (1 + sqrt((double)q->rows));
    assert_tensor("grad_weight", &g.weight, grad_weight, sums, 0);
    assert_tensor("grad_bias", &g.bias, grad_bias, sums, 0);
    tensor_free(&g.sum);
    tensor_free(&g.weight);
    tensor_free(&g.bias);
    tensor_free(&weight);
    tensor_free(&bias);
    free_forward(&f);
    free(grad_weight);
    free(grad_bias);
    free(grad_sum);
    free(sum);
}

static void backward_equals_the_reference(void **state)
{
    (void)state;
    struct rng rng = test_rng(4);
    for (int s = 0; s < SHAPES; s++)
        for (int variant = s % 4; variant < 8 && shapes[s][1] > 1;
             variant += 3) { /* one channel: nothing but rounding */
            struct problem q = make(&rng, s, variant);
            check_backward(&q, &rng, (variant + s) % 2);
            free_problem(&q);
        }
}

/* Without rows there is nothing to add, and zeros are what is written. */
static void backward_without_rows(void **state)
{
    (void)state;
    for (int overwrite = 0; overwrite < 2; overwrite++) {
        struct tensor grad = tensor_zero(DTYPE_F32, 600);
        for (int64_t c = 0; c < 600; c++)
            tensor_set(&grad, c, NAN);
        float *device = tensor_device(&grad);
        struct layer_norm_backward p = {
            .channels = 300, .grad_weight = device, .grad_bias = device + 300, .overwrite = overwrite};
        assert_ok(test_kernels()->layer_norm_backward(test_context(2, 0), &p));
        tensor_read(&grad);
        for (int64_t c = 0; c < 600; c++)
            assert_true(overwrite ? grad.values[c] == 0 : isnan(grad.values[c]));
        tensor_free(&grad);
    }
}

/* A NaN stays in its row, and rows have the bits that they have alone. */
static void rows_do_not_depend_on_each_other(void **state)
{
    (void)state;
    struct rng rng = test_rng(5);
    for (int type = 0; type < 2; type++) {
        struct problem q = make(&rng, 5, type);
        tensor_set(&q.x, 7 * 1000 + 999, NAN);
        struct forward all = run_forward(&q);
        for (int64_t n = 0; n < 40; n += 7) {
            struct tensor one = tensor_make(q.type, 1000);
            size_t row = (size_t)n * 1000 * dtype_size(q.type);
            struct layer_norm_forward p = {.rows = 1,
                                           .channels = 1000,
                                           .x = (const char *)tensor_device(&q.x) + row,
                                           .weight = tensor_device(&q.weight),
                                           .bias = tensor_device(&q.bias),
                                           .output = tensor_device(&one),
                                           .epsilon = (float)epsilon,
                                           .type = q.type};
            assert_ok(test_kernels()->layer_norm_forward(test_context(1, 0), &p));
            assert_memory_equal(tensor_host(&one), (const char *)tensor_host(&all.output) + row,
                                1000 * dtype_size(q.type));
            assert_true(isnan(tensor_read(&one)[3]) == (n == 7));
            tensor_free(&one);
        }
        free_forward(&all);
        free_problem(&q);
    }
}

/* Each array once: x, the residual, the sum and the output; of the gradients sum, grad_output, grad_residual and the result,
 * and for the parameters what the blocks leave to be added. */
static void rows_are_moved_once(void **state)
{
    (void)state;
    enum { ROWS = 8192, CHANNELS = 256 };
    struct rng rng = test_rng(6);
    for (int type = 0; type < 2; type++) {
        enum dtype dtype = type ? DTYPE_BF16 : DTYPE_F32;
        double array = (double)(ROWS * CHANNELS) * (double)dtype_size(dtype);
        struct tensor x = tensor_normal(&rng, dtype, ROWS * CHANNELS, 1);
        struct tensor y = tensor_make(dtype, ROWS * CHANNELS), z = tensor_make(dtype, ROWS * CHANNELS);
        struct tensor w = tensor_normal(&rng, dtype, CHANNELS, 1), statistics = tensor_make(DTYPE_F32, 2 * ROWS);
        struct tensor grad = tensor_make(DTYPE_F32, 2 * CHANNELS);
        float *mean = tensor_device(&statistics), *grad_weight = tensor_device(&grad);
        struct layer_norm_forward p = {.rows = ROWS,
                                       .channels = CHANNELS,
                                       .x = tensor_device(&x),
                                       .residual = type ? tensor_device(&x) : NULL,
                                       .weight = tensor_device(&w),
                                       .bias = tensor_device(&w),
                                       .sum = type ? tensor_device(&y) : NULL,
                                       .output = tensor_device(&z),
                                       .mean = mean,
                                       .rstd = mean + ROWS,
                                       .epsilon = 1e-5f,
                                       .type = dtype};
        struct layer_norm_backward q = {.rows = ROWS,
                                        .channels = CHANNELS,
                                        .sum = type ? p.sum : p.x,
                                        .weight = p.weight,
                                        .bias = p.bias,
                                        .grad_output = p.output,
                                        .grad_residual = type ? p.x : NULL,
                                        .mean = p.mean,
                                        .rstd = p.rstd,
                                        .grad_sum = tensor_device(type ? &z : &y),
                                        .grad_weight = grad_weight,
                                        .grad_bias = grad_weight + CHANNELS,
                                        .overwrite = true,
                                        .type = dtype};
        const struct device_context *context = test_context(1, test_kernels()->layer_norm_backward_scratch_size(&q));
        test_traffic_begin();
        assert_ok(test_kernels()->layer_norm_forward(context, &p));
        assert_traffic("layer_norm_forward", (type ? 4 : 2) * array + 8.0 * ROWS, 1.05);
        test_traffic_begin();
        assert_ok(test_kernels()->layer_norm_backward(context, &q));
        assert_traffic("layer_norm_backward", (type ? 4 : 3) * array + 8.0 * ROWS, 1.15);
        struct tensor *all[] = {&x, &y, &z, &w, &statistics, &grad};
        for (int i = 0; i < 6; i++)
            tensor_free(all[i]);
    }
}

static void elements_are_moved_once(void **state)
{
    (void)state;
    enum { COUNT = 1 << 17 };
    struct rng rng = test_rng(7);
    for (int type = 0; type < 2; type++) {
        enum dtype dtype = type ? DTYPE_BF16 : DTYPE_F32;
        double array = (double)COUNT * (double)dtype_size(dtype);
        struct tensor x = tensor_normal(&rng, dtype, COUNT, 1), y = tensor_make(dtype, COUNT);
        struct activate p = {COUNT, tensor_device(&x), tensor_device(&y), ACTIVATION_GELU, 0, dtype};
        struct gelu_backward q = {COUNT, p.x, p.output, p.output, dtype};
        test_traffic_begin();
        assert_ok(test_kernels()->activate(test_context(1, 0), &p));
        assert_traffic("activate", 2 * array, 1.05);
        test_traffic_begin();
        assert_ok(test_kernels()->gelu_backward(test_context(1, 0), &q));
        assert_traffic("gelu_backward", 3 * array, 1.05);
        tensor_free(&x);
        tensor_free(&y);
    }
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    const struct device_context *context = test_context(1, 0);
    struct tensor x = tensor_zero(DTYPE_F32, 8), w = tensor_zero(DTYPE_F32, 4), y = tensor_zero(DTYPE_F32, 8);
    const struct layer_norm_forward forward = {.rows = 2,
                                               .channels = 4,
                                               .x = tensor_device(&x),
                                               .weight = tensor_device(&w),
                                               .bias = tensor_device(&w),
                                               .output = tensor_device(&y)};
    assert_refused(layer_norm_forward, forward, p.rows = -1, "-1 rows");
    assert_refused(layer_norm_forward, forward, p.channels = 0, "rows of 0");
    assert_refused(layer_norm_forward, forward, p.channels = 4097, "4097 channels, at most 4096");
    assert_refused(layer_norm_forward, forward, p.bias = NULL, "null");
    assert_refused(layer_norm_forward, forward, p.mean = tensor_device(&w), "mean and rstd");
    assert_refused(layer_norm_forward, forward, p.activation = (enum activation)7, "activation 7");
    assert_refused(layer_norm_forward, forward, p.type = DTYPE_F16, "type");
    assert_refused(layer_norm_forward, forward, p.epsilon = NAN, "epsilon");
    const struct layer_norm_backward backward = {.rows = 2,
                                                 .channels = 4,
                                                 .sum = tensor_device(&x),
                                                 .weight = tensor_device(&w),
                                                 .bias = tensor_device(&w),
                                                 .grad_output = tensor_device(&x),
                                                 .mean = tensor_device(&w),
                                                 .rstd = tensor_device(&w),
                                                 .grad_sum = tensor_device(&y),
                                                 .grad_weight = tensor_device(&w),
                                                 .grad_bias = tensor_device(&w)};
    assert_refused(layer_norm_backward, backward, p.mean = NULL, "null");
    assert_refused(layer_norm_backward, backward, p.grad_bias = NULL, "null");
    assert_refused(layer_norm_backward, backward, p.type = DTYPE_U8, "type");
    struct device_context small = *context;
    small.scratch_bytes = 4;
    assert_fails(test_kernels()->layer_norm_backward(&small, &backward), STATUS_INTERNAL, "scratch");
    const struct gelu_backward slope = {8, tensor_device(&x), tensor_device(&x), tensor_device(&y), DTYPE_F32};
    assert_refused(gelu_backward, slope, p.grad_output = NULL, "null");
    assert_refused(gelu_backward, slope, p.type = DTYPE_F64, "type");
    tensor_free(&x);
    tensor_free(&w);
    tensor_free(&y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gelu_slope_is_the_derivative),
        cmocka_unit_test(gelu_equals_the_definition),
        cmocka_unit_test(gelu_at_the_ends),
        cmocka_unit_test(forward_equals_the_reference),
        cmocka_unit_test(backward_equals_the_reference),
        cmocka_unit_test(backward_without_rows),
        cmocka_unit_test(rows_do_not_depend_on_each_other),
        cmocka_unit_test(rows_are_moved_once),
        cmocka_unit_test(elements_are_moved_once),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
