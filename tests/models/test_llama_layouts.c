/* One random Llama in every layout that is read (tests/oracles/llama_layouts.py): the weights are the same bits through each,
 * and the logits those of transformers.
 *
 *     test_models_llama_layouts --large DIRECTORY          the same with what `llama_layouts.py large DIRECTORY` wrote
 *     test_models_llama_layouts --model MODEL EXPECTED     the logits of one model (tests/oracles/smollm2_check.py) */
#include "support/llama_support.h"
#include "support/test_support.h"

#include "core/path.h"
#include "io/safetensors.h"
#include "models/llama/llama_source.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    enum llama_layout layout;
} layouts[] = {
    {"hf", LLAMA_SAFETENSORS}, {"hf_sharded", LLAMA_SAFETENSORS},
    {"bin", LLAMA_TORCH},      {"bin_sharded", LLAMA_TORCH},
    {"old", LLAMA_TORCH},      {"meta1", LLAMA_META},
    {"meta2", LLAMA_META},     {"%s.gguf", LLAMA_GGUF},
};
enum { LAYOUTS = sizeof layouts / sizeof *layouts };

static const char *directory = TEST_GOLDEN_DIRECTORY "/layouts", *expected_file, *model_file;

static void layout_path(char path[PATH_BYTES], const char *type, int layout)
{
    char name[64];
    snprintf(name, sizeof name, strchr(layouts[layout].name, '%') ? "%s.gguf" : "%s",
             strchr(layouts[layout].name, '%') ? type : layouts[layout].name);
    assert_ok(path_format(path, "%s/%s/%s", directory, type, name));
}

static struct safetensors *open_expected(void)
{
    struct safetensors *file;
    char path[PATH_BYTES];
    assert_ok(path_format(path, "%s/expected.safetensors", directory));
    assert_ok(safetensors_open(expected_file ? expected_file : path, &file));
    return file;
}

static void same_config(const struct llama_config *a, const struct llama_config *b)
{
    assert_int_equal(a->vocabulary_size, b->vocabulary_size);
    assert_int_equal(a->hidden_size, b->hidden_size);
    assert_int_equal(a->intermediate_size, b->intermediate_size);
    assert_int_equal(a->layers, b->layers);
    assert_int_equal(a->heads, b->heads);
    assert_int_equal(a->kv_heads, b->kv_heads);
    assert_int_equal(a->head_size, b->head_size);
    assert_true(a->rope_theta == b->rope_theta && a->rms_norm_epsilon == b->rms_norm_epsilon);
    assert_int_equal(a->tie_embeddings, b->tie_embeddings);
}

/* ||logits - expected|| / ||expected|| of the model at `path`; its weights, if `weights` is given, must be those there, and
 * become them when *weights is NULL. */
static double logits_error(const char *path, enum dtype dtype, const char *expected_name, double *largest,
                           void **weights)
{
    struct safetensors *file = open_expected();
    const struct tensor_info *info = safetensors_find(file, "ids"), *expected = safetensors_find(file, expected_name);
    assert_non_null(expected);
    const int32_t *ids = safetensors_data(file, info);
    const float *correct = safetensors_data(file, expected);
    struct llama_config config;
    struct llama_fixture fixture;
    struct llama_workspace *workspace;
    int64_t rows = 0, tokens = info->shape[0];
    assert_ok(llama_read_config(path, &config));
    llama_fixture_create(&fixture, &config, dtype, 2);
    assert_ok(llama_read_weights(fixture.model, path, NULL, &rows));
    assert_int_equal(rows, config.vocabulary_size);
    void *copy = llama_fixture_copy_weights(&fixture);
    size_t bytes = (size_t)fixture.model->layout.elements * dtype_size(dtype);
    if (*weights) {
        assert_memory_equal(copy, *weights, bytes);
        guarded_free(copy);
    } else {
        *weights = copy;
    }
    float *logits = guarded_allocate((size_t)expected->bytes);
    const struct llama_workspace_options options = {.rows = 1, .length = tokens};
    assert_ok(llama_workspace_create(fixture.model, &options, &workspace));
    assert_ok(
        llama_logits(fixture.model, workspace, &(struct llama_batch){.rows = 1, .length = tokens, .ids = ids}, logits));
    double difference = 0, norm = 0;
    *largest = 0;
    for (int64_t i = 0; i < tokens * config.vocabulary_size; i++) {
        double error = (double)logits[i] - (double)correct[i];
        difference += error * error;
        norm += (double)correct[i] * (double)correct[i];
        *largest = fabs(error) > *largest || isnan(error) ? fabs(error) : *largest;
    }
    llama_workspace_destroy(workspace);
    llama_fixture_destroy(&fixture);
    guarded_free(logits);
    safetensors_close(file);
    return sqrt(difference / norm);
}

static void every_layout_gives_the_same_bits_and_transformers_logits(void **state)
{
    (void)state;
    void *weights = NULL;
    struct llama_config first = {0};
    for (int i = 0; i < LAYOUTS; i++) {
        char path[PATH_BYTES];
        double largest;
        struct llama_config config;
        struct llama_source *source;
        layout_path(path, "f32", i);
        assert_ok(llama_source_open(path, &source));
        assert_int_equal(llama_source_layout(source), layouts[i].layout);
        llama_source_close(source);
        assert_ok(llama_read_config(path, &config));
        if (i == 0)
            first = config;
        same_config(&config, &first);
        double error = logits_error(path, DTYPE_F32, "logits", &largest, &weights);
        print_message("%s: largest difference of a logit %.2e, relative %.2e\n", path, largest, error);
        assert_true(largest <= 1e-4);
    }
    guarded_free(weights);
}

/* With bf16 files: no more than twice the error that transformers' own bf16 model has. */
static void bf16_layouts_are_as_exact_as_transformers(void **state)
{
    (void)state;
    struct safetensors *file = open_expected();
    const struct tensor_info *info = safetensors_find(file, "bf16_error");
    void *weights = NULL;
    assert_non_null(info);
    float allowed = 2 * *(const float *)safetensors_data(file, info);
    safetensors_close(file);
    for (int i = 0; i < LAYOUTS; i++) {
        char path[PATH_BYTES];
        double largest;
        enum dtype dtype;
        layout_path(path, "bf16", i);
        assert_ok(llama_read_dtype(path, &dtype));
        double error = logits_error(path, DTYPE_BF16, "bf16_logits", &largest, &weights);
        print_message("%s (%s): relative error %.2e, allowed %.2e\n", path, dtype_name(dtype), error, (double)allowed);
        assert_true(error <= (double)allowed);
    }
    guarded_free(weights);
}

/* The script that asks judges. */
static void one_model_is_measured(void **state)
{
    (void)state;
    void *weights = NULL;
    double largest, error = logits_error(model_file, DTYPE_F32, "logits", &largest, &weights);
    print_message("%s: largest difference of a logit %.2e, relative %.2e\n", model_file, largest, error);
    guarded_free(weights);
}

int main(int count, char **arguments)
{
    const struct CMUnitTest one[] = {cmocka_unit_test(one_model_is_measured)};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layout_gives_the_same_bits_and_transformers_logits),
        cmocka_unit_test(bf16_layouts_are_as_exact_as_transformers),
    };
    if (count == 4 && strcmp(arguments[1], "--model") == 0) {
        model_file = arguments[2];
        expected_file = arguments[3];
        return cmocka_run_group_tests(one, NULL, NULL);
    }
    if (count < 3 || strcmp(arguments[1], "--large") != 0) /* the small files have no bf16 */
        return _cmocka_run_group_tests("layouts", tests, 1, NULL, NULL);
    directory = arguments[2];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
