/* Loss, logits and every gradient against Hugging Face's LlamaForCausalLM in float64: tests/oracles/llama_golden.py. */
#include "support/llama_support.h"
#include "support/test_support.h"

#include "io/safetensors.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct golden {
    struct safetensors *file;
    struct llama_config config;
    enum dtype dtype;
    uint64_t seed;
    double std;
    int64_t rows, length, tokens;
    const int32_t *ids, *targets;
    struct llama_fixture fixture;
};

static double number(const struct golden *golden, const char *key)
{
    const char *text = safetensors_metadata(golden->file, key);
    assert_non_null(text);
    return strtod(text, NULL);
}

static const void *tensor(const struct golden *golden, const char *name, enum dtype type, int64_t count)
{
    const struct tensor_info *info = safetensors_find(golden->file, name);
    if (!info || info->type != type || info->bytes != count * (int64_t)dtype_size(type))
        fail_msg("the golden file lacks %s, or it has another shape", name);
    return safetensors_data(golden->file, info);
}

static double *tensor_as_double(const struct golden *golden, const char *name, int64_t count)
{
    const float *values = tensor(golden, name, DTYPE_F32, count);
    double *wide = malloc((size_t)count * sizeof *wide);
    assert_non_null(wide);
    for (int64_t i = 0; i < count; i++)
        wide[i] = (double)values[i];
    return wide;
}

static void golden_open(struct golden *golden, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/llama/%s.safetensors", TEST_GOLDEN_DIRECTORY, name);
    *golden = (struct golden){0};
    assert_ok(safetensors_open(path, &golden->file));
    golden->config = (struct llama_config){
        .vocabulary_size = (int64_t)number(golden, "vocabulary"),
        .hidden_size = (int64_t)number(golden, "hidden"),
        .intermediate_size = (int64_t)number(golden, "intermediate"),
        .layers = (int64_t)number(golden, "layers"),
        .heads = (int64_t)number(golden, "heads"),
        .kv_heads = (int64_t)number(golden, "kv_heads"),
        .head_size = (int64_t)number(golden, "hidden") / (int64_t)number(golden, "heads"),
        .maximum_positions = (int64_t)number(golden, "positions"),
        .rope_theta = number(golden, "theta"),
        .rms_norm_epsilon = number(golden, "epsilon"),
        .tie_embeddings = strcmp(safetensors_metadata(golden->file, "tied"), "True") == 0,
    };
    golden->dtype = strcmp(safetensors_metadata(golden->file, "dtype"), "bf16") == 0 ? DTYPE_BF16 : DTYPE_F32;
    golden->seed = (uint64_t)number(golden, "seed");
    golden->std = number(golden, "std");
    golden->rows = (int64_t)number(golden, "rows");
    golden->length = (int64_t)number(golden, "length");
    golden->tokens = golden->rows * golden->length;
    golden->ids = tensor(golden, "ids", DTYPE_I32, golden->tokens);
    golden->targets = tensor(golden, "targets", DTYPE_I32, golden->tokens);
    llama_fixture_create(&golden->fixture, &golden->config, golden->dtype, 2);
    llama_fixture_weights(&golden->fixture, golden->seed, golden->std);
}

static void golden_close(struct golden *golden)
{
    llama_fixture_destroy(&golden->fixture);
    safetensors_close(golden->file);
}

/* What our model says: guarded host buffers. */
struct answer {
    float *logits, *losses, *gradients;
};

static void answer_make(struct golden *golden, struct answer *answer)
{
    struct llama *model = golden->fixture.model;
    struct llama_batch batch = {
        .rows = golden->rows, .length = golden->length, .ids = golden->ids, .targets = golden->targets};
    struct llama_workspace *workspace;
    size_t elements = (size_t)model->layout.elements;
    answer->logits = guarded_allocate((size_t)(golden->tokens * golden->config.vocabulary_size) * sizeof(float));
    answer->losses = guarded_allocate((size_t)golden->tokens * sizeof(float));
    int64_t counted = 0;
    for (int64_t i = 0; i < golden->tokens; i++)
        counted += golden->targets[i] >= 0;
    const struct llama_workspace_options options = {.rows = golden->rows, .length = golden->length, .backward = true};
    const struct llama_step step = {.loss_scale = (float)(1.0 / (double)counted),
                                    .gradients = llama_fixture_arena(&golden->fixture)};
    assert_ok(llama_workspace_create(model, &options, &workspace));
    assert_ok(llama_logits(model, workspace, &batch, answer->logits));
    assert_ok(llama_losses(model, workspace, &batch, answer->losses));
    assert_ok(llama_forward_backward(model, workspace, &batch, &step));
    answer->gradients = llama_fixture_copy(&golden->fixture, step.gradients, elements * sizeof(float));
    llama_fixture_release(&golden->fixture, step.gradients);
    llama_workspace_destroy(workspace);
}

static void answer_free(struct answer *answer)
{
    guarded_free(answer->logits);
    guarded_free(answer->losses);
    guarded_free(answer->gradients);
}

static double norm_of(const double *x, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += x[i] * x[i];
    return sqrt(sum);
}

/* The norm of the whole gradient: what an exactly zero tensor is measured by. */
static double whole_norm(const struct golden *golden)
{
    const struct parameter_layout *layout = &golden->fixture.model->layout;
    double sum = 0;
    for (int64_t i = 0; i < layout->count; i++)
        if (!layout->views[i].alias) {
            double *values = tensor_as_double(golden, layout->views[i].name, layout->views[i].count);
            double norm = norm_of(values, layout->views[i].count);
            sum += norm * norm;
            free(values);
        }
    return sqrt(sum);
}

/* Relative difference of one gradient. With one position the softmax is 1 whatever q and k are: their gradients are
 * exactly zero, and ours may be the rounding of the whole. */
static double gradient_error(const struct golden *golden, const struct answer *answer,
                             const struct parameter_view *view, double whole)
{
    double *expected = tensor_as_double(golden, view->name, view->count);
    double error = relative_difference(answer->gradients + view->offset, expected, view->count);
    if (norm_of(expected, view->count) <= 1e-12 * whole) {
        double sum = 0;
        for (int64_t i = 0; i < view->count; i++)
            sum += (double)answer->gradients[view->offset + i] * (double)answer->gradients[view->offset + i];
        error = sqrt(sum) / whole;
    }
    free(expected);
    return error;
}

static void padding_is_zero(const struct golden *golden, const struct answer *answer)
{
    const struct parameter_layout *layout = &golden->fixture.model->layout;
    int64_t end = 0;
    for (int64_t i = 0; i < layout->count; i++)
        if (!layout->views[i].alias) {
            for (; end < layout->views[i].offset; end++)
                assert_true(answer->gradients[end] == 0);
            end = layout->views[i].offset + layout->views[i].count;
        }
    for (; end < layout->elements; end++)
        assert_true(answer->gradients[end] == 0);
}

/* The largest relative difference of a gradient; fails above the tolerance. */
static double check_gradients(const char *name, const struct golden *golden, const struct answer *answer,
                              double tolerance, const char **worst_name)
{
    const struct parameter_layout *layout = &golden->fixture.model->layout;
    double worst = 0, whole = whole_norm(golden);
    *worst_name = "none";
    for (int64_t i = 0; i < layout->count; i++) {
        const struct parameter_view *view = &layout->views[i];
        if (view->alias)
            continue;
        double error = gradient_error(golden, answer, view, whole);
        if (!(error <= tolerance))
            fail_msg("%s: gradient of %s: relative difference %.3g > %.3g", name, view->name, error, tolerance);
        if (error > worst) {
            worst = error;
            *worst_name = view->name;
        }
    }
    return worst;
}

static void check_case(const char *name, double tolerance)
{
    struct golden golden;
    struct answer answer;
    golden_open(&golden, name);
    answer_make(&golden, &answer);
    int64_t count = golden.tokens * golden.config.vocabulary_size;
    double *logits = tensor_as_double(&golden, "logits", count), worst_logit = 0, worst_loss = 0;
    const double *losses = tensor(&golden, "losses", DTYPE_F64, golden.tokens);
    assert_close("logits", answer.logits, logits, count, 1e-4);
    assert_close("losses", answer.losses, losses, golden.tokens, 1e-5);
    for (int64_t i = 0; i < count; i++)
        worst_logit = fmax(worst_logit, fabs((double)answer.logits[i] - logits[i]));
    for (int64_t i = 0; i < golden.tokens; i++) {
        worst_loss = fmax(worst_loss, fabs((double)answer.losses[i] - losses[i]));
        if (golden.targets[i] < 0)
            assert_true(answer.losses[i] == 0);
    }
    const char *worst_name;
    double worst = check_gradients(name, &golden, &answer, tolerance, &worst_name);
    padding_is_zero(&golden, &answer);
    printf("%s: logits %.2e (<= 1e-4), losses %.2e (<= 1e-5), worst gradient %.2e (<= %.0e): %s\n", name, worst_logit,
           worst_loss, worst, tolerance, worst_name);
    free(logits);
    answer_free(&answer);
    golden_close(&golden);
}

static void f32_at_std_002(void **state)
{
    (void)state;
    check_case("t1_std02", 3e-6);
    check_case("t31_std02", 3e-6);
    check_case("t257_std02", 3e-6);
}

static void f32_at_std_01(void **state)
{
    (void)state;
    check_case("t1_std10", 2e-5);
    check_case("t31_std10", 2e-5);
    check_case("t257_std10", 2e-5);
}

static void f32_with_a_tied_head(void **state)
{
    (void)state;
    check_case("tied_std02", 3e-6);
    check_case("tied_std10", 2e-5);
}

/* Our bf16 may be at most twice as far from float64 as PyTorch's bf16 on the same weights, tensor by tensor. */
static void check_bf16_case(const char *name)
{
    struct golden golden;
    struct answer answer;
    golden_open(&golden, name);
    answer_make(&golden, &answer);
    const struct parameter_layout *layout = &golden.fixture.model->layout;
    const double *torch = tensor(&golden, "torch_gradient_errors", DTYPE_F64, layout->count);
    int64_t count = golden.tokens * golden.config.vocabulary_size;
    double *logits = tensor_as_double(&golden, "logits", count);
    double logits_error = relative_difference(answer.logits, logits, count);
    double torch_logits = *(const double *)tensor(&golden, "torch_logits_error", DTYPE_F64, 1);
    double losses_error =
        relative_difference(answer.losses, tensor(&golden, "losses", DTYPE_F64, golden.tokens), golden.tokens);
    double torch_losses = *(const double *)tensor(&golden, "torch_losses_error", DTYPE_F64, 1);
    double worst_ratio = 0, worst = 0, whole = whole_norm(&golden);
    for (int64_t i = 0; i < layout->count; i++) {
        double error = gradient_error(&golden, &answer, &layout->views[i], whole);
        if (!(error <= 2 * torch[i]))
            fail_msg("%s: gradient of %s: error %.3g, PyTorch's bf16 %.3g", name, layout->views[i].name, error,
                     torch[i]);
        worst_ratio = fmax(worst_ratio, error / torch[i]);
        worst = fmax(worst, error);
    }
    printf("%s: error over PyTorch's bf16 error: logits %.2f (%.2e), losses %.2f (%.2e), worst gradient %.2f; "
           "largest gradient error %.2e\n",
           name, logits_error / torch_logits, logits_error, losses_error / torch_losses, losses_error, worst_ratio,
           worst);
    assert_true(logits_error <= 2 * torch_logits);
    assert_true(losses_error <= 2 * torch_losses);
    free(logits);
    answer_free(&answer);
    golden_close(&golden);
}

static void bf16_no_worse_than_twice_pytorch(void **state)
{
    (void)state;
    check_bf16_case("bf16_t257_std02");
    check_bf16_case("bf16_t31_std10");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f32_at_std_002),
        cmocka_unit_test(f32_at_std_01),
        cmocka_unit_test(f32_with_a_tied_head),
        cmocka_unit_test(bf16_no_worse_than_twice_pytorch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
