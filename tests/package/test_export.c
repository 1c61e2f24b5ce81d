/* bin/inspect --export: what is written of a small trained model is the same model again, in each layout; nothing is written over,
 * and what a layout cannot hold is refused.
 *
 *     test_package_export --make DIRECTORY          trains the models and exports them there (tests/oracles/export_check.py)
 *     test_package_export --ids FOLDER PROMPTS      the ids of each line of PROMPTS, a line each */
#include "support/files.h"
#include "support/llama_support.h"
#include "support/test_support.h"
#include "support/tiny_run.h"

#include "core/path.h"
#include "models/llama/llama_source.h"
#include "package/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char output[20000];

static const struct {
    const char *name, *settings;
    bool byte_level, release;
} kinds[] = {
    {"expressive", "tokenizer.text_model='" TEST_GOLDEN_DIRECTORY "/text/text.model' tokenizer.dummy_prefix=document",
     false, true},
    {"base",
     "tokenizer.text_model='" TEST_GOLDEN_DIRECTORY "/text/text.model' tokenizer.dummy_prefix=document "
     "data.expressive=false train.dtype=bf16",
     false, true},
    {"bytes", "tokenizer.text_model='" TEST_GOLDEN_DIRECTORY "/byte_bpe/smollm.json' text.bos=0 text.eos=0", true,
     false},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static const char *work; /* where everything is */

static int inspect(const char *options, const char *model)
{
    return run_command(output, sizeof output, "'%s/inspect' %s '%s'", TEST_PROGRAM_DIRECTORY, options, model);
}

/* A few steps of training: WORK/NAME is the run. */
static void train(int kind)
{
    int code = run_command(
        output, sizeof output,
        "cd '%s' && '%s/train' --device cpu --config run.yaml train.run='%s/%s' train.steps=3 train.save_every=3 "
        "model.hidden_size=32 model.intermediate_size=48 model.layers=2 model.kv_heads=1 "
        "model.initializer_deviation=0.3 %s",
        work, TEST_PROGRAM_DIRECTORY, work, kinds[kind].name, kinds[kind].settings);
    if (code != 0)
        fail_msg("training %s ends with %d: %s", kinds[kind].name, code, output);
}

static const char *exported(int kind, const char *layout)
{
    static char path[PATH_BYTES];
    if (strcmp(layout, "hf") == 0)
        assert_ok(path_format(path, "%s/%s.hf", work, kinds[kind].name));
    else
        assert_ok(path_format(path, "%s/tree/spiritlm_model/spirit-lm-%s-7b", work, kinds[kind].name));
    return path;
}

static int export_kind(int kind, const char *layout)
{
    char options[3 * PATH_BYTES], run[PATH_BYTES];
    const char *end = strcmp(layout, "hf") == 0 ? kinds[kind].name : "tree";
    snprintf(options, sizeof options, "--layout %s --export '%s/%s%s'", layout, work, end,
             strcmp(layout, "hf") == 0 ? ".hf" : "");
    snprintf(run, sizeof run, "%s/%s", work, kinds[kind].name);
    return inspect(options, run);
}

/* All tensors of `checkpoint`, of the same type and the same bits. */
static void assert_same_weights(const char *checkpoint, const char *folder)
{
    struct llama_source *a, *b;
    assert_ok(llama_source_open(checkpoint, &a));
    assert_ok(llama_source_open(folder, &b));
    assert_int_equal(llama_source_count(a), llama_source_count(b));
    assert_true(llama_source_count(a) > 0);
    for (int64_t i = 0; i < llama_source_count(a); i++) {
        const struct source_tensor *left = llama_source_tensor(a, i), *right = llama_source_find(b, left->name);
        assert_non_null(right);
        assert_int_equal(left->type, right->type);
        assert_int_equal(left->rank, right->rank);
        assert_memory_equal(left->shape, right->shape, sizeof left->shape);
        const void *numbers = source_tensor_in_place(left, left->type),
                   *copied = source_tensor_in_place(right, right->type);
        assert_true(numbers && copied);
        assert_memory_equal(numbers, copied, (size_t)left->parts[0]->bytes);
    }
    llama_source_close(a);
    llama_source_close(b);
}

static const char *const config_files[] = {"config.json", "generation_config.json", "tokenizer.json",
                                           "tokenizer_config.json", "spiritlm.json"};

/* An export of a checkpoint is that checkpoint without its training: the same files, and generate takes it. */
static void assert_same_model(int kind, const char *layout)
{
    char checkpoint[PATH_BYTES], a[PATH_BYTES], b[PATH_BYTES];
    const char *folder = exported(kind, layout);
    assert_ok(path_format(checkpoint, "%s/%s/checkpoints/step_00000003", work, kinds[kind].name));
    assert_same_weights(checkpoint, folder);
    for (size_t i = 0; i < sizeof config_files / sizeof *config_files; i++) {
        assert_ok(path_format(a, "%s/%s", checkpoint, config_files[i]));
        assert_ok(path_format(b, "%s/%s", folder, config_files[i]));
        if (!same_file(a, b))
            fail_msg("%s and %s differ", a, b);
    }
    assert_ok(path_format(b, "%s/tokenizer.model", folder));
    assert_int_equal(access(b, F_OK) == 0, !kinds[kind].byte_level);
    assert_ok(path_format(b, "%s/trainer", folder));
    assert_int_not_equal(access(b, F_OK), 0);
    struct components *components;
    assert_ok(model_check(folder, &components));
    components_free(components);
    int code =
        run_command(output, sizeof output,
                    "'%s/generate' --device cpu --model '%s' --text a --output text --max-new-tokens 4 --temperature 0",
                    TEST_PROGRAM_DIRECTORY, folder);
    if (code != 0)
        fail_msg("generate from %s ends with %d: %s", folder, code, output);
}

static void an_export_is_the_checkpoint_s_model(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        if (export_kind(kind, "hf") != 0)
            fail_msg("%s", output);
        assert_same_model(kind, "hf");
        int code = export_kind(kind, "spiritlm");
        if (code != (kinds[kind].release ? 0 : STATUS_USAGE))
            fail_msg("export of %s ends with %d: %s", kinds[kind].name, code, output);
        if (kinds[kind].release)
            assert_same_model(kind, "spiritlm");
        else
            assert_non_null(strstr(output, "byte-level"));
    }
}

/* The folder that a run of before has made is left as it is; so is an empty one, and a file. */
static void nothing_is_written_over(void **state)
{
    (void)state;
    char path[PATH_BYTES], options[3 * PATH_BYTES], run[PATH_BYTES];
    assert_int_equal(export_kind(0, "hf"), STATUS_USAGE);
    assert_non_null(strstr(output, "is there already"));
    assert_int_equal(export_kind(0, "spiritlm"), STATUS_USAGE);
    assert_non_null(strstr(output, "spirit-lm-expressive-7b is there already"));
    assert_ok(path_format(run, "%s/base", work));
    assert_ok(path_format(path, "%s/empty", work));
    mkdir(path, 0777);
    snprintf(options, sizeof options, "--export '%s' --layout hf", path);
    assert_int_equal(inspect(options, run), STATUS_USAGE);
    rmdir(path);
    write_text(path, "kept");
    assert_int_equal(inspect(options, run), STATUS_USAGE);
    assert_int_equal(run_command(output, sizeof output, "cat '%s'", path), 0);
    assert_string_equal(output, "kept");
}

static void assert_refused(const char *options, const char *model, const char *part)
{
    assert_int_equal(inspect(options, model), STATUS_USAGE);
    if (!strstr(output, part))
        fail_msg("expected \"%s\" in: %s", part, output);
}

static void what_cannot_be_exported_is_refused(void **state)
{
    (void)state;
    char path[PATH_BYTES], options[3 * PATH_BYTES];
    assert_ok(path_format(path, "%s/base", work));
    snprintf(options, sizeof options, "--export '%s/new' --layout onnx", work);
    assert_refused(options, path, "expected hf or spiritlm");
    snprintf(options, sizeof options, "--export '%s/new'", work);
    assert_refused(options, path, "--layout");
    snprintf(options, sizeof options, "--export '%s/new' --layout hf --verify", work);
    assert_refused(options, path, "--verify");
    snprintf(options, sizeof options, "--export '%s/new' --layout hf '%s/expressive'", work, work);
    assert_refused(options, path, "one model");
    snprintf(options, sizeof options, "--export '%s/new' --layout hf", work);
    assert_refused(options, test_path("nowhere"), "nowhere");
    assert_ok(path_format(path, "%s/new", work));
    assert_int_not_equal(access(path, F_OK), 0);
}

/* A model of text alone in WORK/NAME: an export without what makes it one of ours, and with the plain text model. */
static const char *make_text_model(int kind, const char *name)
{
    const char *folder = test_path("%s", name);
    assert_int_equal(run_command(output, sizeof output,
                                 "cp -r '%s' '%s' && cd '%s' && rm MANIFEST spiritlm.json tokenizer*json && cp '%s' .",
                                 exported(kind, "hf"), folder, folder,
                                 kinds[kind].byte_level ? TEST_GOLDEN_DIRECTORY "/byte_bpe/smollm.json"
                                                        : TEST_GOLDEN_DIRECTORY "/text/text.model"),
                     0);
    assert_int_equal(run_command(output, sizeof output,
                                 kinds[kind].byte_level ? "mv '%s/smollm.json' '%s/tokenizer.json'"
                                                        : "mv '%s/text.model' '%s/tokenizer.model'",
                                 folder, folder),
                     0);
    if (kinds[kind].byte_level)
        write_text_in(folder, "tokenizer_config.json",
                      "{\"bos_token\": \"<|pad|>\", \"eos_token\": {\"content\": \"<|endoftext|>\"}}");
    return folder;
}

static void models_of_text_alone_are_exported(void **state)
{
    (void)state;
    for (int kind = 1; kind < KINDS; kind++) {
        const char *folder = make_text_model(kind, kinds[kind].byte_level ? "text_bytes" : "text_pieces");
        const char *copy = test_path("copy_of_%s", kinds[kind].name);
        char options[3 * PATH_BYTES];
        struct components *before, *after;
        char *path;
        snprintf(options, sizeof options, "--layout spiritlm --export '%s.tree'", folder);
        assert_refused(options, folder, "text alone");
        snprintf(options, sizeof options, "--layout hf --export '%s'", copy);
        if (inspect(options, folder) != 0)
            fail_msg("%s", output);
        assert_same_weights(folder, copy);
        assert_ok(model_find(folder, &before, &path));
        free(path);
        assert_ok(model_find(copy, &after, &path));
        free(path);
        assert_memory_equal(before->fingerprints, after->fingerprints, sizeof before->fingerprints);
        assert_int_equal(text_model_bos(before->text), text_model_bos(after->text));
        assert_int_equal(text_model_eos(before->text), text_model_eos(after->text));
        components_free(before);
        components_free(after);
    }
}

/* A MANIFEST knows that a spiritlm.json was there. Where neither is, the folder is as the release of Spirit LM has its models: tags and
 * units are what the text model's file ends with. */
static void a_lost_description_is_noticed(void **state)
{
    (void)state;
    char options[3 * PATH_BYTES];
    const char *folder = test_path("lost");
    snprintf(options, sizeof options, "--layout hf --export '%s/new'", test_directory());
    assert_int_equal(run_command(output, sizeof output, "cp -r '%s' '%s' && rm '%s/spiritlm.json'", exported(1, "hf"),
                                 folder, folder),
                     0);
    assert_int_equal(inspect(options, folder), STATUS_CORRUPT);
    assert_non_null(strstr(output, "spiritlm.json"));
    assert_int_equal(run_command(output, sizeof output, "rm '%s/MANIFEST'", folder), 0);
    assert_int_equal(inspect(options, folder), STATUS_OK);
    struct components *before, *after;
    assert_ok(components_load_checkpoint(exported(1, "hf"), &before));
    assert_ok(components_load_checkpoint(test_path("new"), &after));
    assert_memory_equal(&before->fingerprints[COMPONENT_TEXT], &after->fingerprints[COMPONENT_TEXT],
                        sizeof(struct sha256));
    assert_int_equal(after->vocabulary.hubert_count, before->vocabulary.hubert_count);
    assert_int_equal(after->vocabulary.pitch_count, before->vocabulary.pitch_count);
    assert_int_equal(after->vocabulary.size, before->vocabulary.size);
    components_free(before);
    components_free(after);
}

/* A number that is not finite in one tensor: nothing is left behind. */
static void damaged_weights_leave_no_folder(void **state)
{
    (void)state;
    const char *folder = make_text_model(2, "damaged");
    const char *weights = test_path("damaged/model.safetensors");
    char options[3 * PATH_BYTES];
    FILE *file = fopen(weights, "r+b");
    const uint32_t infinity = 0x7f800000;
    assert_non_null(file);
    assert_int_equal(fseek(file, -4, SEEK_END), 0);
    assert_int_equal(fwrite(&infinity, 4, 1, file), 1);
    assert_int_equal(fclose(file), 0);
    snprintf(options, sizeof options, "--export '%s/infinite' --layout hf", test_directory());
    assert_int_equal(inspect(options, folder), STATUS_CORRUPT);
    assert_non_null(strstr(output, "holds inf at element"));
    assert_int_not_equal(run_command(output, sizeof output, "ls -d '%s'/infinite*", test_directory()), 0);
}

static void make_runs(void)
{
    tiny_run_make(work);
    for (int kind = 0; kind < KINDS; kind++)
        train(kind);
}

static int prepare(void **state)
{
    (void)state;
    work = test_directory();
    make_runs();
    return 0;
}

/* ---- for the oracle script ---- */

static const char *ids_folder, *ids_prompts;

static void make_for_the_oracle(void **state)
{
    (void)state;
    make_runs();
    for (int kind = 0; kind < KINDS; kind++) {
        assert_int_equal(export_kind(kind, "hf"), 0);
        if (kinds[kind].release)
            assert_int_equal(export_kind(kind, "spiritlm"), 0);
    }
}

static void print_ids(void **state)
{
    (void)state;
    struct components *components;
    char *path, *line = NULL;
    size_t room = 0;
    ssize_t size;
    FILE *prompts = fopen(ids_prompts, "r");
    assert_non_null(prompts);
    assert_ok(model_find(ids_folder, &components, &path));
    while ((size = getline(&line, &room, prompts)) > 0) {
        int32_t *ids;
        int64_t count;
        line[size - 1] = 0;
        assert_ok(text_model_encode_tagged(components->text, &components->vocabulary, line, &ids, &count));
        for (int64_t i = 0; i < count; i++)
            printf("%d ", (int)ids[i]);
        puts("");
        free(ids);
    }
    fclose(prompts);
    free(line);
    free(path);
    components_free(components);
}

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_export_is_the_checkpoint_s_model), cmocka_unit_test(nothing_is_written_over),
        cmocka_unit_test(what_cannot_be_exported_is_refused),  cmocka_unit_test(models_of_text_alone_are_exported),
        cmocka_unit_test(a_lost_description_is_noticed),       cmocka_unit_test(damaged_weights_leave_no_folder),
    };
    const struct CMUnitTest make[] = {cmocka_unit_test(make_for_the_oracle)}, ids[] = {cmocka_unit_test(print_ids)};
    if (count == 3 && strcmp(arguments[1], "--make") == 0) {
        work = arguments[2];
        return cmocka_run_group_tests(make, NULL, NULL);
    }
    if (count == 4 && strcmp(arguments[1], "--ids") == 0) {
        ids_folder = arguments[2];
        ids_prompts = arguments[3];
        return cmocka_run_group_tests(ids, NULL, NULL);
    }
    return cmocka_run_group_tests(tests, prepare, NULL);
}
