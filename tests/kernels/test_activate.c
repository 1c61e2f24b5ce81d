/* Activations, the gated linear unit and repeated rows of tables, against their definitions in double; activations as
 * epilogues of the norms; what has no gradient. */
#include "support/kernel_harness.h"
#include "support/reference_speech.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

enum { ACTIVATIONS = ACTIVATION_SIGMOID + 1 };
static const float SLOPE = 0.1f;
static const int thread_counts[] = {1, 2, 3};
static const int64_t sizes[] = {1,   2,   3,   5,   7,   8,    9,    15,   16,    17,    31,
                                32,  33,  63,  64,  65,  100,  127,  128,  129,   255,   256,
                                257, 511, 512, 513, 999, 1023, 1024, 1025, 16383, 16384, 16385};
enum { SIZES = sizeof sizes / sizeof *sizes };

/* Numbers of all sizes, the ends of the type's range among them. */
static struct tensor arguments(struct rng *rng, enum dtype type, int64_t count)
{
    static const double ends[] = {0,    -0.0, 1e-30, -1e-30, 0.399, -0.399, 0.401, -0.401, 9.5,
                                  -9.5, 20,   -20,   88,     -88,   104,    -104,  1e30,   -1e30};
    struct tensor x = tensor_normal(rng, type, count, 3);
    for (int64_t i = 0; i < count && count > 20 && i < (int64_t)(sizeof ends / sizeof *ends); i++)
        tensor_set(&x, i, ends[i]);
    return x;
}

/* Fails unless each result is within a few units in the last place: relative where it is not tiny. */
static void compare(const char *what, enum activation activation, struct tensor *x, struct tensor *output)
{
    double relative = output->type == DTYPE_BF16 ? 1.01 * BF16_ROUNDING : 5e-7;
    tensor_read(output);
    for (int64_t i = 0; i < x->count; i++) {
        double right = reference_activate(activation, (double)SLOPE, x->values[i]);
        double error = fabs(output->values[i] - right);
        if (!(error <= relative * fabs(right) + 1.3e-38))
            fail_msg("%s %d of %.9g: %.9g, expected %.9g", what, (int)activation, x->values[i], output->values[i],
                     right);
    }
}

static struct tensor activated(struct tensor *x, enum activation activation, int threads, bool in_place)
{
    struct tensor output = in_place ? tensor_copy(x) : tensor_make(x->type, x->count);
    struct activate p = {
        x->count, in_place ? tensor_device(&output) : tensor_device(x), tensor_device(&output), activation, SLOPE,
        x->type};
    assert_ok(test_kernels()->activate(test_context(threads, test_kernels()->activate_scratch_size(&p)), &p));
    return output;
}

static void activations_equal_their_definitions(void **state)
{
    (void)state;
    struct rng rng = test_rng(1);
    for (int s = 0; s < SIZES; s++)
        for (int type = 0; type < 2; type++)
            for (int i = 0; i < (test_kernels_cpu() ? ACTIVATIONS : 2); i++) {
                enum activation activation = (enum activation)((s + i) % ACTIVATIONS);
                struct tensor x = arguments(&rng, type ? DTYPE_BF16 : DTYPE_F32, sizes[s]);
                struct tensor output = activated(&x, activation, 1, false);
                if (activation != ACTIVATION_GELU) /* test_layer_norm.c measures its error */
                    compare("activation", activation, &x, &output);
                for (int j = 0; j < test_repeats(3); j++) {
                    struct tensor over = activated(&x, activation, thread_counts[j], j != 1);
                    assert_same_bits("output", &output, &over);
                    tensor_free(&over);
                }
                tensor_free(&x);
                tensor_free(&output);
            }
}

static void not_a_number_stays_one(void **state)
{
    (void)state;
    for (int a = 0; a < ACTIVATIONS; a++)
        for (int type = 0; type < 2; type++) {
            struct tensor x = tensor_zero(type ? DTYPE_BF16 : DTYPE_F32, 3);
            const double limits[] = {[ACTIVATION_NONE] = INFINITY, [ACTIVATION_GELU] = INFINITY,
                                     [ACTIVATION_RELU] = INFINITY, [ACTIVATION_LEAKY_RELU] = INFINITY,
                                     [ACTIVATION_SILU] = INFINITY, [ACTIVATION_TANH] = 1,
                                     [ACTIVATION_SIGMOID] = 1};
            tensor_set(&x, 0, NAN);
            tensor_set(&x, 1, INFINITY);
            tensor_set(&x, 2, -INFINITY);
            struct tensor output = activated(&x, (enum activation)a, 1, false);
            tensor_read(&output);
            assert_true(isnan(output.values[0]));
            assert_true(output.values[1] == limits[a]);
            if (a == ACTIVATION_TANH)
                assert_true(output.values[2] == -1);
            if (a == ACTIVATION_RELU || a == ACTIVATION_SIGMOID)
                assert_true(output.values[2] == 0);
            tensor_free(&x);
            tensor_free(&output);
        }
}

/* ---- the gated linear unit ---- */

static void gates_equal_the_definition(void **state)
{
    (void)state;
    struct rng rng = test_rng(2);
    for (int s = 0; s < SIZES; s++)
        for (int type = 0; type < 2; type++) {
            int64_t channels = sizes[s] > 1025 ? sizes[s] / 16 : sizes[s], rows = s % 2 ? 33 : 2;
            struct tensor x = tensor_normal(&rng, type ? DTYPE_BF16 : DTYPE_F32, rows * 2 * channels, 2), first = {0};
            double *expected = doubles(rows * channels);
            for (int64_t n = 0; n < rows; n++)
                for (int64_t c = 0; c < channels; c++)
                    expected[n * channels + c] =
                        x.values[2 * n * channels + c] / (1 + exp(-x.values[(2 * n + 1) * channels + c]));
            for (int i = 0; i < test_repeats(3); i++) {
                struct tensor output = tensor_make(x.type, rows * channels);
                struct glu p = {rows, channels, tensor_device(&x), tensor_device(&output), x.type};
                assert_ok(
                    test_kernels()->glu(test_context(thread_counts[i], test_kernels()->glu_scratch_size(&p)), &p));
                if (i == 0) {
                    first = output;
                    assert_tensor("output", &output, expected, 4e-6, 1.01);
                    continue;
                }
                assert_same_bits("output", &first, &output);
                tensor_free(&output);
            }
            tensor_free(&first);
            tensor_free(&x);
            free(expected);
        }
}

/* ---- rows of tables ---- */

struct lookup {
    int64_t tokens, channels, rows, frames, repeat, gap;
    enum dtype type;
    struct tensor ids, ends, table, output;
};

/* Tokens with 0 to 6 frames each, or as many as `repeat` says and frames that end before or after the last token's. */
static struct lookup make_lookup(struct rng *rng, int64_t tokens, int64_t channels, int64_t repeat, enum dtype type)
{
    struct lookup q = {
        .tokens = tokens, .channels = channels, .rows = 11, .repeat = repeat, .gap = channels % 5, .type = type};
    q.ids = tensor_zero(DTYPE_I32, tokens);
    q.ends = tensor_zero(DTYPE_I32, tokens);
    for (int64_t n = 0; n < tokens; n++) {
        tensor_set(&q.ids, n, (double)(rng_below(rng, 11)));
        q.frames += (int64_t)(rng_below(rng, 7));
        if (n == tokens - 1 && q.frames == 0)
            q.frames = 1;
        tensor_set(&q.ends, n, (double)q.frames);
    }
    if (repeat)
        q.frames = tokens * repeat + (tokens % 3 - 1) * 2 > 0 ? tokens * repeat + (tokens % 3 - 1) * 2 : 1;
    q.table = tensor_normal(rng, type, q.rows * channels, 1);
    q.output = tensor_zero(type, q.frames * (channels + q.gap));
    for (int64_t i = 0; i < q.output.count; i++)
        tensor_set(&q.output, i, 7);
    return q;
}

static struct gather_repeat describe_lookup(struct lookup *q)
{
    return (struct gather_repeat){.tokens = q->tokens,
                                  .channels = q->channels,
                                  .rows = q->rows,
                                  .frames = q->frames,
                                  .ids = tensor_device(&q->ids),
                                  .ends = q->repeat ? NULL : tensor_device(&q->ends),
                                  .repeat = q->repeat,
                                  .table = tensor_device(&q->table),
                                  .output = tensor_device(&q->output),
                                  .output_row_stride = q->channels + q->gap,
                                  .type = q->type};
}

static void free_lookup(struct lookup *q)
{
    struct tensor *all[] = {&q->ids, &q->ends, &q->table, &q->output};
    for (int i = 0; i < 4; i++)
        tensor_free(all[i]);
}

static int64_t token_of(const struct lookup *q, int64_t frame)
{
    int64_t n = 0;
    if (q->repeat)
        return frame / q->repeat < q->tokens ? frame / q->repeat : q->tokens - 1;
    while (q->ends.values[n] <= (double)frame)
        n++;
    return n;
}

static void rows_are_repeated(void **state)
{
    (void)state;
    struct rng rng = test_rng(3);
    for (int s = 0; s < SIZES; s++)
        for (int i = 0; i < 4; i++) {
            int64_t channels = sizes[s] > 1025 ? 20 : sizes[s], tokens = sizes[s] > 1025 ? sizes[s] / 4 : 1 + s * 3;
            struct lookup q =
                make_lookup(&rng, tokens, channels, i % 2 ? 1 + s % 4 : 0, i / 2 ? DTYPE_BF16 : DTYPE_F32);
            const struct gather_repeat p = describe_lookup(&q);
            assert_ok(test_kernels()->gather_repeat(
                test_context(thread_counts[s % 3], test_kernels()->gather_repeat_scratch_size(&p)), &p));
            tensor_read(&q.output);
            for (int64_t t = 0; t < q.frames; t++)
                for (int64_t c = 0; c < channels + q.gap; c++) {
                    int64_t id = (int64_t)q.ids.values[token_of(&q, t)];
                    double right = c < channels ? q.table.values[id * channels + c] : 7;
                    if (!(q.output.values[t * (channels + q.gap) + c] == right))
                        fail_msg("frame %lld of %lld, column %lld: %.9g, expected %.9g", (long long)t,
                                 (long long)q.frames, (long long)c, q.output.values[t * (channels + q.gap) + c], right);
                }
            free_lookup(&q);
        }
}

static void wrong_indices_are_faults(void **state)
{
    (void)state;
    struct rng rng = test_rng(4);
    static const struct {
        int64_t n;
        double value;
        const char *text;
    } cases[] = {{3, -1, "gather_repeat: id 3 of 8 is -1, outside 0..10"},
                 {3, 11, "gather_repeat: id 3 of 8 is 11, outside 0..10"},
                 {3, 1 << 30, "gather_repeat: id 3 of 8 is 1073741824, outside 0..10"}}; /* where no array is */
    for (int i = 0; i < 3; i++) {
        struct lookup q = make_lookup(&rng, 8, 5, 2, DTYPE_F32);
        tensor_set(&q.ids, cases[i].n, cases[i].value);
        const struct gather_repeat good = describe_lookup(&q);
        assert_faults(gather_repeat, good, (void)p, cases[i].text);
        free_lookup(&q);
    }
    static const double ends[3][4] = {{2, 5, 4, 9}, {2, 5, 6, 8}, {2, 5, 10, 9}};
    static const char *const texts[3] = {"gather_repeat: end 2 of 4 is 4, outside 5..9",
                                         "gather_repeat: end 3 of 4 is 8, outside 9..9",
                                         "gather_repeat: end 2 of 4 is 10, outside 5..9"};
    for (int i = 0; i < 3; i++) {
        struct lookup q = make_lookup(&rng, 4, 5, 0, DTYPE_F32);
        q.frames = 9;
        tensor_free(&q.output);
        q.output = tensor_zero(DTYPE_F32, 9 * (5 + q.gap));
        for (int n = 0; n < 4; n++)
            tensor_set(&q.ends, n, ends[i][n]);
        const struct gather_repeat good = describe_lookup(&q);
        assert_faults(gather_repeat, good, (void)p, texts[i]);
        free_lookup(&q);
    }
}

/* ---- behind norms ---- */

static void norms_have_activations(void **state)
{
    (void)state;
    struct rng rng = test_rng(5);
    enum { ROWS = 33, CHANNELS = 36 };
    for (int a = 0; a < ACTIVATIONS; a++)
        for (int kind = 0; kind < 4; kind++) {
            enum dtype type = kind / 2 ? DTYPE_BF16 : DTYPE_F32;
            struct tensor x = tensor_normal(&rng, type, ROWS * CHANNELS, 2);
            struct tensor weight = tensor_normal(&rng, type, CHANNELS, 1),
                          bias = tensor_normal(&rng, type, CHANNELS, 1);
            struct tensor output = tensor_make(type, x.count);
            double *expected = doubles(x.count), mean[ROWS * 4], rstd[ROWS * 4];
            int64_t lengths[ROWS];
            bool layer = kind % 2;
            for (int i = 0; i < ROWS; i++)
                lengths[i] = layer ? 1 : ROWS;
            const struct reference_norm norm = {layer ? ROWS : 1, layer ? 1 : ROWS, CHANNELS, layer ? 1 : 4, x.values,
                                                weight.values,    bias.values,      lengths,  1e-5,          false};
            reference_norm(&norm, expected, mean, rstd);
            for (int64_t i = 0; i < x.count; i++)
                expected[i] = reference_activate((enum activation)a, (double)SLOPE, expected[i]);
            const struct layer_norm_forward rows = {.rows = ROWS,
                                                    .channels = CHANNELS,
                                                    .x = tensor_device(&x),
                                                    .weight = tensor_device(&weight),
                                                    .bias = tensor_device(&bias),
                                                    .output = tensor_device(&output),
                                                    .epsilon = 1e-5f,
                                                    .activation = (enum activation)a,
                                                    .slope = SLOPE,
                                                    .type = type};
            const struct group_norm_forward groups = {.batch = 1,
                                                      .frames = ROWS,
                                                      .channels = CHANNELS,
                                                      .groups = 4,
                                                      .x = rows.x,
                                                      .weight = rows.weight,
                                                      .bias = rows.bias,
                                                      .output = rows.output,
                                                      .epsilon = 1e-5f,
                                                      .activation = rows.activation,
                                                      .slope = SLOPE,
                                                      .type = type};
            const struct kernels *kernels = test_kernels();
            assert_ok(layer ? kernels->layer_norm_forward(
                                  test_context(1, kernels->layer_norm_forward_scratch_size(&rows)), &rows)
                            : kernels->group_norm_forward(
                                  test_context(1, kernels->group_norm_forward_scratch_size(&groups)), &groups));
            assert_tensor(layer ? "layer_norm_forward" : "group_norm_forward", &output, expected, 4e-6, 1.01);
            free(expected);
            struct tensor *all[] = {&x, &weight, &bias, &output};
            for (int i = 0; i < 4; i++)
                tensor_free(all[i]);
        }
}

/* ---- what they move ---- */

static double bytes_of(const struct tensor *tensor)
{
    return (double)tensor->count * (double)dtype_size(tensor->type);
}

static void everything_is_moved_once(void **state)
{
    (void)state;
    struct rng rng = test_rng(7);
    for (int type = DTYPE_F32; type <= DTYPE_BF16; type++) {
        const int64_t rows = 64, channels = 2048;
        struct tensor x = tensor_zero((enum dtype)type, 2 * rows * channels), y = tensor_zero(x.type, rows * channels);
        const struct activate tanh = {x.count, tensor_device(&x), tensor_device(&x), ACTIVATION_TANH, SLOPE, x.type};
        const struct glu gate = {rows, channels, tensor_device(&x), tensor_device(&y), x.type};
        test_traffic_begin();
        assert_ok(test_kernels()->activate(test_context(1, 0), &tanh));
        assert_traffic("activate", 2 * bytes_of(&x), 1.05);
        test_traffic_begin();
        assert_ok(test_kernels()->glu(test_context(1, 0), &gate));
        assert_traffic("glu", 3 * bytes_of(&y), 1.05);
        tensor_free(&x);
        tensor_free(&y);
        struct lookup q = make_lookup(&rng, 256, 640, 0, (enum dtype)type);
        const struct gather_repeat p = describe_lookup(&q);
        test_traffic_begin();
        assert_ok(test_kernels()->gather_repeat(test_context(1, 0), &p));
        assert_traffic("gather_repeat", 2 * bytes_of(&q.output), 1.05);
        free_lookup(&q);
    }
}

/* ---- what is refused ---- */

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    struct rng rng = test_rng(6);
    const struct device_context *context = test_context(1, 0);
    struct tensor x = tensor_zero(DTYPE_F32, 8), y = tensor_zero(DTYPE_F32, 8);
    const struct activate good = {8, tensor_device(&x), tensor_device(&y), ACTIVATION_LEAKY_RELU, SLOPE, DTYPE_F32};
    assert_refused(activate, good, p.count = -1, "-1 elements");
    assert_refused(activate, good, p.x = NULL, "null");
    assert_refused(activate, good, p.output = NULL, "null");
    assert_refused(activate, good, p.activation = (enum activation)7, "activation 7");
    assert_refused(activate, good, p.slope = (float)NAN, "slope of nan");
    assert_refused(activate, good, p.type = DTYPE_F16, "type");
    const struct glu gate = {2, 2, tensor_device(&x), tensor_device(&y), DTYPE_F32};
    assert_refused(glu, gate, p.rows = -2, "-2 rows");
    assert_refused(glu, gate, p.channels = 0, "rows of 0");
    assert_refused(glu, gate, p.x = NULL, "null");
    assert_refused(glu, gate, p.output = NULL, "null");
    assert_refused(glu, gate, p.type = DTYPE_I32, "type");
    struct lookup q = make_lookup(&rng, 8, 5, 2, DTYPE_F32);
    const struct gather_repeat rows = describe_lookup(&q);
    assert_refused(gather_repeat, rows, p.tokens = 0, "frames of no token");
    assert_refused(gather_repeat, rows, p.tokens = -1, "-1 tokens");
    assert_refused(gather_repeat, rows, p.rows = 0, "0 rows");
    assert_refused(gather_repeat, rows, p.channels = 0, "0 channels");
    assert_refused(gather_repeat, rows, p.repeat = 0, "repeat 0");
    assert_refused(gather_repeat, rows, p.output_row_stride = 4, "row stride of 4 for 5");
    assert_refused(gather_repeat, rows, p.ids = NULL, "null");
    assert_refused(gather_repeat, rows, p.table = NULL, "null");
    assert_refused(gather_repeat, rows, p.output = NULL, "null");
    assert_refused(gather_repeat, rows, p.type = DTYPE_U8, "type");
    free_lookup(&q);
    tensor_free(&x);
    tensor_free(&y);
}

/* The gradients know GELU alone. */
static void other_activations_have_no_gradient(void **state)
{
    (void)state;
    const struct device_context *context = test_context(1, 0);
    struct tensor x = tensor_zero(DTYPE_F32, 64);
    float *any = tensor_device(&x);
    const struct layer_norm_backward layer = {.rows = 2,
                                              .channels = 4,
                                              .sum = any,
                                              .weight = any,
                                              .bias = any,
                                              .grad_output = any,
                                              .mean = any,
                                              .rstd = any,
                                              .grad_sum = any,
                                              .grad_weight = any,
                                              .grad_bias = any,
                                              .type = DTYPE_F32};
    const struct group_norm_backward group = {.batch = 1,
                                              .frames = 2,
                                              .channels = 4,
                                              .groups = 2,
                                              .x = any,
                                              .weight = any,
                                              .bias = any,
                                              .grad_output = any,
                                              .mean = any,
                                              .rstd = any,
                                              .grad_x = any,
                                              .grad_weight = any,
                                              .grad_bias = any,
                                              .type = DTYPE_F32};
    const struct conv1d_backward conv = {.forward = {.batch = 1,
                                                     .frames = 2,
                                                     .channels = 2,
                                                     .output_frames = 2,
                                                     .output_channels = 2,
                                                     .kernel = 1,
                                                     .stride = 1,
                                                     .dilation = 1,
                                                     .groups = 1,
                                                     .x = any,
                                                     .weight = any,
                                                     .pre_activation = any,
                                                     .x_row_stride = 2,
                                                     .x_batch_stride = 4,
                                                     .output_row_stride = 2,
                                                     .output_batch_stride = 4,
                                                     .type = DTYPE_F32},
                                         .grad_output = any,
                                         .grad_x = any};
    for (int a = ACTIVATION_RELU; a < ACTIVATIONS; a++) {
        assert_refused(layer_norm_backward, layer, p.activation = (enum activation)a,
                       "only none and GELU have a gradient");
        assert_refused(group_norm_backward, group, p.activation = (enum activation)a,
                       "only none and GELU have a gradient");
        assert_refused(conv1d_backward, conv, p.forward.activation = (enum activation)a,
                       "only none and GELU have a gradient");
        assert_refused(conv1d_backward, conv, p.forward.input_activation = (enum activation)a,
                       "conv1d_backward: input activation");
    }
    tensor_free(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations_equal_their_definitions),
        cmocka_unit_test(not_a_number_stays_one),
        cmocka_unit_test(gates_equal_the_definition),
        cmocka_unit_test(rows_are_repeated),
        cmocka_unit_test(wrong_indices_are_faults),
        cmocka_unit_test(norms_have_activations),
        cmocka_unit_test(everything_is_moved_once),
        cmocka_unit_test(wrong_arguments_are_refused),
        cmocka_unit_test(other_activations_have_no_gradient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
