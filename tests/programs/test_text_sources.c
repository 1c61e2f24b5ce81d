/* Programs on models of text as their owners distribute them: one path is enough, whichever layout lies there, and the text model
 * comes with the weights. tests/golden/text_llama holds one Llama as GGUF and in Meta's layout (tests/oracles/text_gguf_golden.py),
 * so that what is computed from either must be the same. */
#include "support/files.h"
#include "support/test_support.h"
#include "support/tiny_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODELS TEST_GOLDEN_DIRECTORY "/text_llama/"

static char output[1 << 16];

static const char *const models[] = {MODELS "model.gguf", MODELS "7b"};
enum { COUNT = sizeof models / sizeof *models };

static void assert_printed(const char *text)
{
    if (!strstr(output, text))
        fail_msg("expected \"%s\" in:\n%s", text, output);
}

#define RUN(code, ...)                                                                                                 \
    do {                                                                                                               \
        int found = run_command(output, sizeof output, __VA_ARGS__);                                                   \
        if (found != (code))                                                                                           \
            fail_msg("expected exit code %d, found %d: %s", (int)(code), found, output);                               \
    } while (0)

/* 1,000 pieces, two tags, 501 + 64 + 100 codes: 1,667 ids in 1,792 rows of 16, twice; a layer of 4 x 16^2 + 3 x 16 x 48 + 2 x 16;
 * the final norm. */
static void the_published_recipe_is_planned_from_one_path(void **state)
{
    (void)state;
    const int rows = 1792, parameters = 2 * rows * 16 + 4 * 16 * 16 + 3 * 16 * 48 + 2 * 16 + 16;
    char expected[100];
    snprintf(expected, sizeof expected, "model: %d parameters, 1 layers of 16, %d vocabulary rows", parameters, rows);
    for (int i = 0; i < COUNT; i++) {
        RUN(0, "'%s/train' --device cpu --config '%s/configs/expressive.yaml' --dry-run 'model.initialize_from=%s'",
            TEST_PROGRAM_DIRECTORY, TEST_SOURCE_DIRECTORY, models[i]);
        assert_printed(expected);
        assert_null(strstr(output, "note: no text model"));
        assert_printed("note: no speech tokenizer there");
    }
}

static void training_from_every_layout_is_the_same_training(void **state)
{
    (void)state;
    for (int i = 0; i < COUNT; i++) {
        RUN(0,
            "cd '%s' && '%s/train' --device cpu --config run.yaml tokenizer.text_model= 'model.initialize_from=%s' "
            "data.expressive=true train.run=run%d train.steps=3 train.save_every=3",
            test_directory(), TEST_PROGRAM_DIRECTORY, models[i], i);
    }
    static const char *const files[] = {"model.safetensors", "config.json", "tokenizer.json", "spiritlm.json"};
    for (size_t f = 0; f < sizeof files / sizeof *files; f++)
        RUN(0, "cd '%s' && cmp run0/checkpoints/step_00000003/%s run1/checkpoints/step_00000003/%s", test_directory(),
            files[f], files[f]);
}

static void exports_of_every_layout_are_the_same_model(void **state)
{
    (void)state;
    for (int i = 0; i < COUNT; i++) {
        const char *folder = test_path("export%d", i);
        RUN(0, "'%s/inspect' --export '%s' --layout hf '%s'", TEST_PROGRAM_DIRECTORY, folder, models[i]);
        RUN(0, "'%s/inspect' '%s' | grep -q 'model folder, MANIFEST verified'", TEST_PROGRAM_DIRECTORY, folder);
        RUN(0,
            "'%s/generate' --device cpu --model '%s' --text 'And the' --output text --temperature 0 --json > '%s.out'",
            TEST_PROGRAM_DIRECTORY, folder, folder);
        RUN(0,
            "'%s/generate' --device cpu --model '%s' --text 'And the' --output text --temperature 0 --json > '%s.own'",
            TEST_PROGRAM_DIRECTORY, models[i], folder);
        RUN(0, "cmp '%s.out' '%s.own' && test -s '%s.out'", folder, folder, folder);
    }
    RUN(0,
        "cd '%s' && cmp export0/model.safetensors export1/model.safetensors && cmp export0/tokenizer.json "
        "export1/tokenizer.json && cmp export0.out export1.out",
        test_directory());
}

/* The small model of "t", "h", "e", "th", "the" and spaces: "the the" is two tokens of it. */
static void prepare_counts_with_byte_level_models(void **state)
{
    (void)state;
    const char *folder = test_path("prepare");
    RUN(0, "mkdir '%s'", folder);
    write_text_in(
        folder, "small.json",
        "{\"version\": \"1.0\", \"added_tokens\": [], \"normalizer\": null, \"pre_tokenizer\": {\"type\": "
        "\"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": true}, "
        "\"post_processor\": null, \"decoder\": {\"type\": \"ByteLevel\"}, \"model\": {\"type\": \"BPE\", \"vocab\": "
        "{\"t\": 0, \"h\": 1, \"e\": 2, \"th\": 3, \"the\": 4, \"\xc4\xa0\": 5, \"\xc4\xa0the\": 6}, \"merges\": "
        "[\"t h\", \"th e\", \"\xc4\xa0 the\"]}}");
    write_text_in(folder, "text.jsonl", "{\"id\": \"a\", \"text\": \"the the\"}\n");
    RUN(0,
        "cd '%s' && '%s/prepare' --device cpu prepare.manifests=text.jsonl prepare.output=out "
        "tokenizer.folder=none "
        "tokenizer.text_model=small.json",
        folder, TEST_PROGRAM_DIRECTORY);
    RUN(0, "'%s/inspect' --get text_tokens '%s/out/text/report.json'", TEST_PROGRAM_DIRECTORY, folder);
    assert_string_equal(output, "2\n");
}

static void what_brings_no_tokenizer_is_named(void **state)
{
    (void)state;
    const char *folder = test_path("no_tokenizer");
    RUN(0, "cp -r " MODELS "7b '%s'", folder);
    RUN(STATUS_USAGE,
        "cd '%s' && '%s/train' --device cpu --config run.yaml tokenizer.text_model= 'model.initialize_from=%s'",
        test_directory(), TEST_PROGRAM_DIRECTORY, folder);
    assert_printed("tokenizer.model is neither there nor one folder up");
    RUN(STATUS_USAGE, "cd '%s' && '%s/train' --device cpu --config run.yaml tokenizer.text_model=", test_directory(),
        TEST_PROGRAM_DIRECTORY);
    assert_printed("tokenizer.text_model is not set");
}

static int prepare(void **state)
{
    (void)state;
    tiny_run_make(test_directory());
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_recipe_is_planned_from_one_path),
        cmocka_unit_test(training_from_every_layout_is_the_same_training),
        cmocka_unit_test(exports_of_every_layout_are_the_same_model),
        cmocka_unit_test(prepare_counts_with_byte_level_models),
        cmocka_unit_test(what_brings_no_tokenizer_is_named),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
