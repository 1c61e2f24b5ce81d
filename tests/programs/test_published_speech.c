/* What a researcher does with the release's speech models: tokenize, prepare, train and generate with a configuration that names
 * them, SPIRITLM_CHECKPOINTS_DIR and nothing else; and generate with the release's own language model, which brings no file of ours.
 * The models are those of support/models/published_tree.h; the language model is tiny. */
#include "support/files.h"
#include "support/models/checkpoint_files.h"
#include "support/models/published_tree.h"
#include "support/test_support.h"
#include "support/tiny_corpus.h"

#include "io/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DATA "/usr/share/pocketsphinx/test/data/"
#define CARDS DATA "cards/005.wav"
#define AUSTEN DATA "librivox/sense_and_sensibility_01_austen_64kb-0870.wav"

static char output[1 << 16];
static char tree[700];

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

/* A configuration of the Base kind whose language model trains in a moment. */
static int set_up(void **state)
{
    (void)state;
    struct tiny_corpus corpus;
    char text[4000];
    snprintf(tree, sizeof tree, "%s", test_path("checkpoints"));
    published_tree_write(tree);
    tiny_corpus_make(4, 1, &corpus);
    snprintf(text, sizeof text,
             "extends: '%s/configs/base_7b.yaml'\n"
             "tokenizer: {folder: tokenizer, text_model: '%s'}\n"
             "speech: {layer: %d}\n"
             "prepare: {manifests: [clips.jsonl], output: datasets}\n"
             "data: {train: [datasets/clips], validation: [], lanes: 1, sequence_length: 64, weights.text: 0, "
             "weights.interleaved: 0}\n"
             "model: {initialize_from: '', hidden_size: 16, intermediate_size: 24, layers: 1, heads: 2}\n"
             "train: {run: run, steps: 2, save_every: 2, warmup_steps: 1, dtype: f32, micro_batch: 0, recomputation: "
             "none}\n",
             TEST_SOURCE_DIRECTORY, corpus.text_model, PUBLISHED_LAYER);
    write_text(test_path("run.yaml"), text);
    write_text(test_path("clips.jsonl"), "{\"id\": \"cards\", \"audio\": \"" CARDS "\"}\n"
                                         "{\"id\": \"austen\", \"audio\": \"" AUSTEN "\"}\n");
    setenv("SPIRITLM_CHECKPOINTS_DIR", tree, 1);
    return 0;
}

/* The unit string and the units, as "1 2 3", of a line that tokenize printed. */
static void expect_line(const char *line, const char *clip)
{
    json_t *root;
    char units[4000] = "";
    size_t i, used = 0;
    json_t *value;
    assert_ok(jdoc_parse("tokenize", line, (int64_t)strcspn(line, "\n"), &root));
    assert_string_equal(json_string_value(json_object_get(root, "units")), published_value(clip, "string_base"));
    json_array_foreach(json_object_get(root, "hubert"), i, value) used +=
        (size_t)snprintf(units + used, sizeof units - used, "%s%lld", i ? " " : "", json_integer_value(value));
    assert_string_equal(units, published_value(clip, "hubert"));
    assert_int_equal(json_array_size(json_object_get(root, "pitch")), 0);
    json_decref(root);
}

static void tokenize_needs_the_tree_alone(void **state)
{
    (void)state;
    RUN(0, "cd '%s' && '%s/tokenize' --device cpu --config run.yaml '" CARDS "' '" AUSTEN "' 2>/dev/null",
        test_directory(), TEST_PROGRAM_DIRECTORY);
    expect_line(output, "cards005");
    expect_line(strchr(output, '\n') + 1, "austen0870");
    RUN(2, "cd '%s' && env -u SPIRITLM_CHECKPOINTS_DIR '%s/tokenize' --device cpu --config run.yaml '" CARDS "'",
        test_directory(), TEST_PROGRAM_DIRECTORY);
    assert_printed("set SPIRITLM_CHECKPOINTS_DIR");
    RUN(2,
        "cd '%s' && SPIRITLM_CHECKPOINTS_DIR='%s/speech_tokenizer' '%s/tokenize' --device cpu --config run.yaml '" CARDS
        "'",
        test_directory(), tree, TEST_PROGRAM_DIRECTORY);
    assert_printed("one of its name is at");
}

static void decode_speaks_with_the_chosen_voice(void **state)
{
    (void)state;
    const char *programs = TEST_PROGRAM_DIRECTORY, *units = "[Hu304][Hu327][Hu269][Hu304][Hu130]";
#define DECODE "cd '%s' && '%s/tokenize' --device cpu --config run.yaml --decode "
    RUN(0, DECODE "--output usual.wav '%s'", test_directory(), programs, units);
    RUN(0, DECODE "--output same.wav --speaker 2 --style style8 '%s'", test_directory(), programs, units);
    RUN(0, DECODE "--output other.wav --speaker ex01 '%s'", test_directory(), programs, units);
    RUN(0, "cd '%s' && cmp usual.wav same.wav && ! cmp -s usual.wav other.wav", test_directory());
    RUN(2, DECODE "--output wrong.wav --speaker nobody '%s'", test_directory(), programs, units);
    assert_printed("ex01");
    RUN(2, "test -e '%s/wrong.wav' && exit 1 || exit 2", test_directory());
#undef DECODE
}

static void prepare_train_and_generate_follow_the_configuration(void **state)
{
    (void)state;
    const char *programs = TEST_PROGRAM_DIRECTORY;
    RUN(0, "cd '%s' && '%s/prepare' --device cpu --config run.yaml prepare.align=false", test_directory(), programs);
    RUN(0, "cd '%s' && '%s/inspect' datasets/clips", test_directory(), programs);
    assert_printed("24.99 units/s");
    RUN(0, "cd '%s' && env -u SPIRITLM_CHECKPOINTS_DIR '%s/train' --device cpu --config run.yaml", test_directory(),
        programs);
    RUN(0,
        "cd '%s' && '%s/generate' --device cpu --model run --units '[Hu1][Hu2]' --output speech --min-new-tokens 5 "
        "--max-new-tokens 9 --speaker ex01 --out samples",
        test_directory(), programs);
    RUN(0, "cd '%s' && test -s samples/sample_0_0.wav", test_directory());
    RUN(2,
        "cd '%s' && SPIRITLM_CHECKPOINTS_DIR=/nowhere '%s/generate' --device cpu --model run --units '[Hu1][Hu2]' "
        "--output speech --min-new-tokens 5",
        test_directory(), programs);
    assert_printed("/nowhere/speech_tokenizer/hifigan_spiritlm_base: no such file");
    RUN(0,
        "cd '%s' && SPIRITLM_CHECKPOINTS_DIR=/nowhere '%s/generate' --device cpu --model run --text no --output text",
        test_directory(), programs);
    RUN(2,
        "cd '%s' && '%s/prepare' --device cpu --config run.yaml prepare.align=false speech.layer=1 "
        "prepare.output=other",
        test_directory(), programs);
    assert_printed("its hubert component is another");
}

/* Neural units beside embedded pitch and no style: what is embedded is fitted once, whatever becomes of the rest. */
static void prepare_puts_kinds_together(void **state)
{
    (void)state;
    const char *programs = TEST_PROGRAM_DIRECTORY;
#define MIXED                                                                                                          \
    "cd '%s' && '%s/prepare' --device cpu --config run.yaml prepare.align=false speech.pitch= "                        \
    "tokenizer.units=12 tokenizer.pitch_codes=5 "                                                                      \
    "tokenizer.folder=mixed prepare.output=mixed_datasets "
    RUN(0, MIXED, test_directory(), programs);
    RUN(0, "cd '%s' && test -s mixed.embedded/MANIFEST && '%s/inspect' mixed", test_directory(), programs);
    assert_printed("hubert     501 codes, 24.99 per second");
    assert_printed("pitch      5 codes, 12.5 per second");
    assert_null(strstr(output, "style "));
    RUN(0, "cd '%s' && '%s/inspect' mixed_datasets/clips", test_directory(), programs);
    assert_printed("pitch");
    RUN(0, "rm -r '%s/mixed'", test_directory());
    RUN(0, MIXED "speech.vocoder=none prepare.output=other_datasets", test_directory(), programs);
    assert_null(strstr(output, "fitting")); /* again */
    RUN(2, MIXED, test_directory(), programs);
    assert_printed("its vocoder component is another");
    RUN(2, MIXED "speech.vocoder=none tokenizer.pitch_codes=6", test_directory(), programs);
    assert_printed("but the configuration says 12, 6 and at most");
#undef MIXED
}

/* k-means in PyTorch's layout; models.quantizer reads scikit-learn's. */
static void write_clusters(const char *path)
{
    enum { CENTRES = 9, WIDTH = 24 };
    static float values[CENTRES * WIDTH];
    static char name[] = "cluster_centers";
    float *data = values;
    struct tensor_info info = {
        .name = name, .type = DTYPE_F32, .rank = 2, .shape = {CENTRES, WIDTH}, .bytes = sizeof values};
    const struct checkpoint checkpoint = {.tensors = &info, .values = &data, .count = 1};
    formula_fill("twist", name, CENTRES * WIDTH, 1, 0, values);
    checkpoint_write_torch(&checkpoint, path, NULL, NULL);
}

/* configs/twist.yaml on files as textlesslib has them: fairseq's layout, a vocoder beside its configuration. */
static void the_models_of_twist_are_read_by_their_names(void **state)
{
    (void)state;
    const char *programs = TEST_PROGRAM_DIRECTORY, *folder = test_path("twist");
    RUN(0,
        "mkdir '%s' && cd '%s' && cp '%s/speech_models/small/first/fairseq_cfg.pt' "
        "mhubert_base_25hz_cp_mls_cv_sp_fisher.pt && "
        "cp '%s/speech_tokenizer/hifigan_spiritlm_base/generator.pt' hifigan_lj_mhubert_base_25hz.pt && "
        "cp '%s/speech_tokenizer/hifigan_spiritlm_base/config.json' hifigan_lj_mhubert_base_25hz_config.json",
        folder, folder, TEST_GOLDEN_DIRECTORY, tree, tree);
    write_clusters(test_path("twist/mhubert_base_25hz_cp_mls_cv_sp_fisher_L11_km500.bin"));
    RUN(0,
        "cd '%s' && SPIRITLM_CHECKPOINTS_DIR=twist '%s/tokenize' --device cpu --config '%s/configs/twist.yaml' "
        "speech.layer=1 '" CARDS "' > twist.json && test -s twist.json",
        test_directory(), programs, TEST_SOURCE_DIRECTORY);
    RUN(0,
        "cd '%s' && SPIRITLM_CHECKPOINTS_DIR=twist '%s/tokenize' --device cpu --config '%s/configs/twist.yaml' "
        "speech.layer=1 --decode --output twist.wav '[Hu3][Hu1]'",
        test_directory(), programs, TEST_SOURCE_DIRECTORY);
}

/* What is exported for the release's code, without what only we read, is as the release is. */
static void the_release_itself_speaks(void **state)
{
    (void)state;
    const char *programs = TEST_PROGRAM_DIRECTORY;
    char model[900];
    snprintf(model, sizeof model, "%s/spiritlm_model/spirit-lm-base-7b", tree);
    RUN(0, "cd '%s' && '%s/inspect' --export '%s' --layout spiritlm run", test_directory(), programs, tree);
    RUN(0, "cd '%s' && rm -r spiritlm.json MANIFEST tokenizer.json speech_tokenizer", model);
    RUN(0,
        "cd '%s' && env -u SPIRITLM_CHECKPOINTS_DIR '%s/generate' --device cpu --model '%s' --units '[Hu1][Hu2]' "
        "--output speech --min-new-tokens 5 --max-new-tokens 9 --speaker ex01 --out released",
        test_directory(), programs, model);
    RUN(0, "cd '%s' && cmp samples/sample_0_0.wav released/sample_0_0.wav", test_directory());
    RUN(2, "cd '%s' && '%s/generate' --device cpu --model '%s' --speech '" CARDS "' --output text", test_directory(),
        programs, model);
    assert_printed("layer 11"); /* the tree's HuBERT has two, the release's more */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tokenize_needs_the_tree_alone),
                                       cmocka_unit_test(decode_speaks_with_the_chosen_voice),
                                       cmocka_unit_test(prepare_train_and_generate_follow_the_configuration),
                                       cmocka_unit_test(prepare_puts_kinds_together),
                                       cmocka_unit_test(the_models_of_twist_are_read_by_their_names),
                                       cmocka_unit_test(the_release_itself_speaks)};
    return cmocka_run_group_tests(tests, set_up, NULL);
}
