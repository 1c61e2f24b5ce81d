/* A checkpoint that disks, memories or hands have damaged: always noticed, the file named, the one before it taken. */
#include "support/damage.h"
#include "support/speech_clips.h"
#include "support/test_kernels.h"
#include "support/test_support.h"
#include "support/tiny_corpus.h"
#include "support/weights.h"

#include "core/thread_pool.h"
#include "io/atomic_file.h"
#include "package/speech_folder.h"
#include "train/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char run[600], older[700], newer[700], speech_folder[700];

static const char *const names[] = {"MANIFEST",
                                    "config.json",
                                    "generation_config.json",
                                    "model.safetensors",
                                    "spiritlm.json",
                                    "tokenizer.model",
                                    "speech_tokenizer/MANIFEST",
                                    "speech_tokenizer/tokenizer.json",
                                    "speech_tokenizer/tokenizer.safetensors",
                                    "trainer/first_moment.safetensors",
                                    "trainer/second_moment.safetensors",
                                    "trainer/masters.safetensors",
                                    "trainer/state.json",
                                    NULL};

/* ---- two checkpoints of one run ---- */

static void make_components(struct components **components)
{
    struct tiny_corpus corpus;
    struct speech_clip clips[SPEECH_CLIPS];
    const struct speech_fit_options small = {
        .units = 8, .pitch_codes = 8, .style_codes = 1, .iterations = 2, .seed = 5};
    tiny_corpus_make(2, test_seed(), &corpus);
    speech_clips_load(clips);
    speech_clips_fit(clips, 6, 7, &small, 0, "speech", speech_folder);
    speech_clips_free(clips);
    struct components_options options = {
        .text_model = corpus.text_model, .speech_folder = speech_folder, .expressive = true};
    assert_ok(components_load(&options, components));
}

static void save(int64_t step, const struct components *components, struct optimizer *optimizer)
{
    struct llama *model = optimizer->model;
    float *arena = calloc((size_t)model->layout.elements, sizeof *arena);
    json_t *state = json_pack("{s:I, s:f}", "step", (json_int_t)step, "loss", 1.0 / (double)step);
    assert_true(arena && state);
    struct weight_sink sink = weights_into(arena);
    assert_ok(llama_initialize(model, (uint64_t)step, 0.1, &sink));
    for (int which = 0; which < OPTIMIZER_STATES; which++) /* any numbers do, as long as the steps differ */
        assert_ok(optimizer_put(optimizer, which, 0, arena, model->layout.elements));
    assert_ok(model->kernels->synchronize(model->context));
    assert_ok(checkpoint_save(run, step, components, optimizer, state));
    json_decref(state);
    free(arena);
}

static int make_checkpoints(void **state)
{
    (void)state;
    struct components *components;
    struct comm *comm;
    struct device_comm *device_comm;
    struct thread_pool *pool;
    struct device_context context;
    struct llama *model;
    struct optimizer *optimizer;
    const struct optimizer_settings settings = {
        .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .weight_decay = 0.1, .clip = 1};
    snprintf(run, sizeof run, "%s/run", test_directory());
    snprintf(older, sizeof older, "%s/checkpoints/step_00000001", run);
    snprintf(newer, sizeof newer, "%s/checkpoints/step_00000002", run);
    make_components(&components);
    assert_ok(comm_create_single(&comm));
    assert_ok(device_comm_create_single(&device_comm));
    assert_ok(thread_pool_create(1, &pool));
    assert_ok(device_context_create(test_kernels(), pool, 0, &context));
    struct llama_config config = {components->vocabulary.padded_size, 8, 8, 1, 2, 1, 4, 64, 10000, 1e-5, true};
    assert_ok(llama_create(&config, DTYPE_BF16, test_kernels(), &context, &model));
    assert_ok(optimizer_create(model, comm, device_comm, &settings, &optimizer));
    save(1, components, optimizer);
    save(2, components, optimizer);
    optimizer_destroy(optimizer);
    llama_destroy(model);
    device_context_destroy(test_kernels(), &context);
    thread_pool_destroy(pool);
    device_comm_destroy(device_comm);
    comm_destroy(comm);
    components_free(components);
    return 0;
}

/* The newest that is whole, with the warnings that this printed. */
static void assert_newest(const char *expected, bool repair, char warnings[4096])
{
    char *found, text[500];
    int ends[2], kept = dup(STDERR_FILENO);
    assert_true(kept >= 0 && pipe(ends) == 0 && dup2(ends[1], STDERR_FILENO) >= 0);
    enum status status = checkpoint_newest(run, repair, &found);
    snprintf(text, sizeof text, "%s", status_text());
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
    close(ends[1]); /* a few lines: a pipe holds them */
    ssize_t size = read(ends[0], warnings, 4095);
    close(ends[0]);
    warnings[size > 0 ? size : 0] = 0;
    if (status != STATUS_OK)
        fail_msg("status %d: %s", (int)status, text);
    assert_string_equal(found, expected);
    free(found);
}

/* ---- the tests ---- */

/* With `repair` the damaged folder goes aside under another name; here it comes back. */
static void repair_and_undo(void)
{
    char aside[800], warnings[4096];
    struct stat information;
    snprintf(aside, sizeof aside, "%s.damaged-1", newer);
    assert_newest(older, true, warnings);
    assert_int_equal(stat(aside, &information), 0);
    assert_int_not_equal(stat(newer, &information), 0);
    assert_int_equal(rename(aside, newer), 0);
}

static void every_damage_is_named_and_the_one_before_is_taken(void **state)
{
    (void)state;
    const int64_t trials = test_is_long() ? 200000 : 5000;
    char warnings[4096];
    struct damaged_folder folder;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 60, 0);
    damaged_folder_open(&folder, newer, older, names);
    assert_newest(newer, false, warnings);
    assert_string_equal(warnings, "");
    for (int64_t trial = 0; trial < trials; trial++) {
        char *found = NULL;
        damaged_folder_damage(&folder, &rng, true);
        enum status status = directory_verify(newer, true);
        if (status != STATUS_CORRUPT)
            fail_msg("trial %lld, %s: status %d", (long long)trial, folder.what, (int)status);
        if (!damaged_folder_named(&folder, status_text()))
            fail_msg("trial %lld, %s: not named in \"%s\"", (long long)trial, folder.what, status_text());
        if (trial % 2) {
            assert_newest(older, false, warnings);
            if (!damaged_folder_named(&folder, warnings))
                fail_msg("trial %lld, %s: no warning names it: %s", (long long)trial, folder.what, warnings);
        } else if (strcmp(folder.culprits[0], "config.json") != 0) { /* without it the name is a run's */
            assert_int_equal(checkpoint_resolve(newer, &found), STATUS_CORRUPT);
            assert_null(found);
        }
        if (trial % 64 == 0)
            repair_and_undo();
        damaged_folder_repair(&folder);
    }
    assert_newest(newer, false, warnings);
    assert_string_equal(warnings, "");
    damaged_folder_close(&folder);
    print_message("%lld of %lld damaged checkpoints refused by name\n", (long long)trials, (long long)trials);
}

static void a_damaged_tokenizer_is_never_used(void **state)
{
    (void)state;
    static const char *const files[] = {"MANIFEST", "tokenizer.json", "tokenizer.safetensors", NULL};
    const int64_t trials = test_is_long() ? 200000 : 5000;
    struct damaged_folder folder;
    struct speech *speech;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 61, 0);
    damaged_folder_open(&folder, speech_folder, NULL, files);
    for (int64_t trial = 0; trial < trials; trial++) {
        damaged_folder_damage(&folder, &rng, true);
        enum status status = speech_folder_open(speech_folder, &speech);
        if (status != STATUS_CORRUPT || speech || !damaged_folder_named(&folder, status_text()))
            fail_msg("trial %lld, %s: status %d, \"%s\"", (long long)trial, folder.what, (int)status, status_text());
        damaged_folder_repair(&folder);
    }
    assert_ok(speech_folder_open(speech_folder, &speech));
    speech_free(speech);
    damaged_folder_close(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_damage_is_named_and_the_one_before_is_taken),
        cmocka_unit_test(a_damaged_tokenizer_is_never_used),
    };
    return cmocka_run_group_tests(tests, make_checkpoints, NULL);
}
