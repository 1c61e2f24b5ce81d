/* A folder of weights that no training of ours wrote, so without trainer/: its model runs in the type of its own weights,
 * in generate and evaluate alike. */
#include "support/files.h"
#include "support/test_kernels.h"
#include "support/test_support.h"
#include "support/tiny_corpus.h"
#include "support/weights.h"

#include "io/safetensors.h"
#include "models/llama/llama_folder.h"
#include "package/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct components *components;
static struct device_context context;

static struct llama_config small_config(void)
{
    return (struct llama_config){components->vocabulary.padded_size, 16, 24, 1, 2, 1, 8, 64, 10000, 1e-5, false};
}

/* model.safetensors in `type`: every number is `bits`, so that an f16 file can be written too. */
static void write_weights(struct atomic_directory *directory, const struct llama *model, enum dtype type, uint16_t bits)
{
    enum { MOST = 32 };
    struct tensor_info infos[MOST];
    const void *data[MOST];
    struct output_file *file;
    uint16_t *numbers = malloc((size_t)model->layout.elements * sizeof *numbers);
    assert_true(numbers && model->layout.count <= MOST && dtype_size(type) == sizeof *numbers);
    for (int64_t i = 0; i < model->layout.elements; i++)
        numbers[i] = bits;
    for (int64_t i = 0; i < model->layout.count; i++) {
        const struct parameter_view *view = &model->layout.views[i];
        infos[i] = (struct tensor_info){
            view->name, type, view->rank, {view->shape[0], view->shape[1]}, view->count * (int64_t)sizeof *numbers};
        data[i] = numbers;
    }
    assert_ok(atomic_directory_create(directory, "model.safetensors", 0, &file));
    assert_ok(safetensors_write(file, infos, data, model->layout.count, NULL, 0));
    assert_ok(output_close(file));
    free(numbers);
}

/* A published folder: configuration and components as llama_write_folder and training write them, weights of `type`. */
static void write_folder(const char *folder, enum dtype type)
{
    struct atomic_directory *directory;
    struct llama *model;
    const struct llama_config config = small_config();
    assert_ok(llama_create(&config, type == DTYPE_F16 ? DTYPE_F32 : type, test_kernels(), &context, &model));
    assert_ok(llama_initialize(model, 4, 0.1, NULL));
    assert_ok(atomic_directory_begin(folder, false, &directory));
    if (type == DTYPE_F16) {
        assert_ok(llama_write_configs(model, directory, 1, 2));
        write_weights(directory, model, type, 0x3a00); /* 0.75 */
    } else {
        assert_ok(llama_write_folder(model, directory, 1, 2));
    }
    assert_ok(components_write(components, directory));
    assert_ok(atomic_directory_commit(directory));
    llama_destroy(model);
}

static void a_folder_keeps_its_type(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum dtype stored, run;
    } cases[] = {{"f32", DTYPE_F32, DTYPE_F32}, {"bf16", DTYPE_BF16, DTYPE_BF16}, {"f16", DTYPE_F16, DTYPE_F32}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *folder = test_path("%s", cases[i].name);
        struct components *opened;
        struct llama *model;
        char output[2000], *checkpoint;
        write_folder(folder, cases[i].stored);
        assert_ok(model_open(folder, test_kernels(), &context, &opened, &model, &checkpoint));
        assert_int_equal(model->dtype, cases[i].run);
        assert_string_equal(checkpoint, folder);
        const struct parameter_view *norm = parameter_layout_find(&model->layout, "model.norm.weight");
        void *weights = weights_of(model);
        float values[16];
        dtype_to_float(values, (char *)weights + (size_t)norm->offset * dtype_size(model->dtype), model->dtype, 16);
        for (int j = 0; j < 16; j++)
            assert_true(values[j] == (cases[i].stored == DTYPE_F16 ? 0.75f : 1.0f));
        free(weights);
        free(checkpoint);
        llama_destroy(model);
        components_free(opened);
        int code = run_command(output, sizeof output,
                               "'%s/generate' --model '%s' --text a --output text --max-new-tokens 4 --temperature 0",
                               TEST_PROGRAM_DIRECTORY, folder);
        if (code != 0)
            fail_msg("generate from %s ends with %d: %s", folder, code, output);
    }
}

/* ---- memory ---- */

/* 60 MB of weights: in bf16, or in f16, which cannot be read in place. */
static int64_t write_large(const char *folder, enum dtype type)
{
    struct atomic_directory *directory;
    struct llama *model;
    struct llama_config config = small_config();
    config.hidden_size = 1024;
    config.heads = 8;
    config.kv_heads = 4;
    config.head_size = 128;
    config.intermediate_size = 4096;
    config.layers = 2;
    assert_ok(llama_create(&config, type == DTYPE_F16 ? DTYPE_F32 : type, test_kernels(), &context, &model));
    assert_ok(llama_initialize(model, 4, 0.02, NULL));
    assert_ok(atomic_directory_begin(folder, false, &directory));
    if (type == DTYPE_F16) {
        assert_ok(llama_write_configs(model, directory, 1, 2));
        write_weights(directory, model, type, 0x2400);
    } else {
        assert_ok(llama_write_folder(model, directory, 1, 2));
    }
    assert_ok(components_write(components, directory));
    assert_ok(atomic_directory_commit(directory));
    llama_destroy(model);
    return llama_parameter_count(&config) * (int64_t)dtype_size(type);
}

/* A line of /proc/self/status, in bytes. */
static int64_t memory_line(const char *name)
{
    char line[256];
    long long kilobytes = -1;
    FILE *file = fopen("/proc/self/status", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0)
            kilobytes = atoll(line + strlen(name));
    fclose(file);
    assert_true(kilobytes >= 0);
    return kilobytes * 1024;
}

/* A process may have anonymous memory for a third of the weights beside what generating from a small model takes: enough for
 * weights in place, and too little for a copy. */
static int generate_limited(char *output, size_t size, const char *folder, int64_t bytes)
{
    return run_command(output, size,
                       "ulimit -d %lld; SPIRITLM_THREADS=1 '%s/generate' --model '%s' --text a --output text "
                       "--max-new-tokens 4 --temperature 0",
                       (long long)bytes / 1024, TEST_PROGRAM_DIRECTORY, folder);
}

static int64_t least_limit(const char *folder)
{
    static const int64_t step = 1 << 20, most = 512;
    char output[4000];
    for (int64_t n = 1; n < most; n++)
        if (generate_limited(output, sizeof output, folder, n * step) == 0)
            return n * step;
    fail_msg("generate from a small model needs more than %lld MiB: %s", (long long)most, output);
    return 0;
}

static void weights_in_place_cost_no_memory(void **state)
{
    (void)state;
    struct components *opened;
    struct llama *model;
    char output[4000], *checkpoint;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* a sanitizer's own memory is anonymous too */
#endif
    write_folder(test_path("little"), DTYPE_BF16);
    int64_t weights = write_large(test_path("large"), DTYPE_BF16);
    assert_int_equal(write_large(test_path("large_f16"), DTYPE_F16), weights);
    int64_t before = memory_line("RssAnon:");
    assert_ok(model_open(test_path("large"), test_kernels(), &context, &opened, &model, &checkpoint));
    int64_t now = memory_line("RssAnon:");
    print_message("%lld bytes of weights, %lld bytes of anonymous memory more\n", (long long)weights,
                  (long long)(now - before));
    assert_true(now - before < weights / 8);
    llama_destroy(model);
    components_free(opened);
    free(checkpoint);
    int64_t limit = least_limit(test_path("little")) + weights / 3;
    int code = generate_limited(output, sizeof output, test_path("large"), limit);
    if (code != 0)
        fail_msg("generate ends with %d: %s", code, output);
    assert_non_null(strstr(output, "weights, mapped from the file"));
    code = generate_limited(output, sizeof output, test_path("large_f16"), limit);
    assert_int_equal(code, STATUS_INTERNAL); /* a copy does not fit, so the limit is one */
}

static int prepare(void **state)
{
    (void)state;
    struct tiny_corpus corpus;
    tiny_corpus_make(2, test_seed(), &corpus);
    assert_ok(tiny_corpus_components(&corpus, &components));
    assert_ok(device_context_create(test_kernels(), NULL, 0, &context));
    return 0;
}

static int clean(void **state)
{
    (void)state;
    device_context_destroy(test_kernels(), &context);
    components_free(components);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_keeps_its_type),
        cmocka_unit_test(weights_in_place_cost_no_memory),
    };
    return cmocka_run_group_tests(tests, prepare, clean);
}
