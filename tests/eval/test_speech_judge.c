/* Judges of speech against transformers (tests/oracles/judges_golden.py): logits of whole clips, for norms before and behind, the last
 * output and the weighted sum of all layers, wav2vec 2.0 and HuBERT; and folders that cannot be used.
 *
 *   test_eval_speech_judge --model FOLDER EXPECTED      compares with such a file (tests/oracles/judges_check.py) */
#include "support/test_support.h"

#include "core/thread_pool.h"
#include "eval/judges/speech_judge.h"
#include "io/safetensors.h"
#include "support/judge_folders.h"
#include "support/test_kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of float32 against float64 for logits of a size of 1. */
#define TOLERANCE 1e-5
#define TOLERANCE_AT_FULL_SIZE 1e-4

enum { CLIPS = 5, CLASSES = 4, CLIPS_LIMIT = 64 };

static struct thread_pool *pool;
static struct device_context context;
static struct safetensors *waves;
static struct encoder_clip clips[CLIPS]; /* the last one is too short for a frame */

static int open_world(void **state)
{
    (void)state;
    assert_ok(thread_pool_create(0, &pool));
    assert_ok(device_context_create(test_kernels(), pool, 0, &context));
    assert_ok(safetensors_open(JUDGES "/waves.safetensors", &waves));
    for (int clip = 0; clip < CLIPS; clip++) {
        char name[16];
        snprintf(name, sizeof name, "wave.%d", clip);
        const struct tensor_info *info = safetensors_find(waves, name);
        assert_non_null(info);
        clips[clip] = (struct encoder_clip){.samples = safetensors_data(waves, info), .count = info->shape[0]};
    }
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    safetensors_close(waves);
    device_context_destroy(test_kernels(), &context);
    thread_pool_destroy(pool);
    return 0;
}

/* The greatest difference of a logit from tensor logits.N. */
static double compare(const struct safetensors *expected, int64_t clip, const double *logits, int64_t size,
                      const struct judgement *judgement, double tolerance)
{
    char name[24];
    int64_t best = 0;
    double most = 0;
    snprintf(name, sizeof name, "logits.%d", (int)clip);
    const struct tensor_info *info = safetensors_find(expected, name);
    assert_non_null(info);
    assert_int_equal(info->bytes, size * (int64_t)sizeof(float));
    const float *wanted = safetensors_data(expected, info);
    for (int64_t c = 0; c < size; c++) {
        double error = fabs(logits[c] - (double)wanted[c]);
        if (!(error <= tolerance))
            fail_msg("clip %d, class %d: expected %.9g, found %.9g", (int)clip, (int)c, (double)wanted[c], logits[c]);
        most = error > most ? error : most;
        best = logits[c] > logits[best] ? c : best;
    }
    assert_int_equal(judgement->label, best);
    assert_false(judgement->truncated);
    return most;
}

static void logits_are_those_of_transformers(void **state)
{
    (void)state;
    static const char *const models[] = {"speech", "weighted", "hubert"};
    for (int m = 0; m < 3; m++) {
        char folder[1000], path[1100];
        struct speech_judge *judge;
        struct safetensors *expected;
        struct judgement judgements[CLIPS];
        double logits[CLIPS * CLASSES], most = 0;
        snprintf(folder, sizeof folder, JUDGES "/%s", models[m]);
        snprintf(path, sizeof path, "%s/expected.safetensors", folder);
        assert_ok(safetensors_open(path, &expected));
        assert_ok(speech_judge_open(folder, test_kernels(), &context, &judge));
        assert_int_equal(speech_judge_size(judge), CLASSES);
        assert_string_equal(speech_judge_label(judge, 1), "happy");
        assert_string_equal(speech_judge_label(judge, 2), "sad");
        assert_ok(speech_judge_run(judge, clips, CLIPS, judgements, logits));
        for (int clip = 0; clip < CLIPS - 1; clip++)
            most = fmax(most, compare(expected, clip, logits + clip * CLASSES, CLASSES, &judgements[clip], TOLERANCE));
        assert_int_equal(judgements[CLIPS - 1].label, JUDGEMENT_NONE);
        print_message("%s: within %.2g\n", models[m], most);
        speech_judge_close(judge);
        safetensors_close(expected);
    }
}

/* In any order, with any clip before it, and without logits. */
static void company_changes_no_bit(void **state)
{
    (void)state;
    struct speech_judge *judge;
    struct judgement own[CLIPS], judgements[CLIPS];
    double alone[CLIPS * CLASSES], logits[CLIPS * CLASSES];
    struct rng rng = rng_make(test_seed(), RNG_TEST, 211, 0);
    assert_ok(speech_judge_open(JUDGES "/weighted", test_kernels(), &context, &judge));
    for (int clip = CLIPS - 1; clip >= 0; clip--) /* the workspace grows each time */
        assert_ok(speech_judge_run(judge, &clips[clip], 1, &own[clip], alone + clip * CLASSES));
    for (int64_t round = 0; round < test_count(8, 1); round++) {
        struct encoder_clip chosen[CLIPS];
        int64_t of[CLIPS], count = 1 + (int64_t)rng_below(&rng, CLIPS);
        for (int64_t i = 0; i < count; i++) {
            of[i] = (int64_t)rng_below(&rng, CLIPS);
            chosen[i] = clips[of[i]];
        }
        assert_ok(speech_judge_run(judge, chosen, count, judgements, round % 2 ? NULL : logits));
        for (int64_t i = 0; i < count; i++) {
            assert_int_equal(judgements[i].label, own[of[i]].label);
            if (round % 2 == 0)
                assert_memory_equal(logits + i * CLASSES, alone + of[i] * CLASSES, CLASSES * sizeof *logits);
        }
    }
    assert_ok(speech_judge_run(judge, NULL, 0, NULL, NULL));
    speech_judge_close(judge);
}

static void the_first_of_equal_logits_is_the_label(void **state)
{
    (void)state;
    struct speech_judge *judge;
    struct judgement judgement;
    double logits[CLASSES];
    /* classifier.bias and classifier.weight of zeros: the greatest of equal numbers */
    const char *folder = changed_judge("speech", "config.json", "SAD", "bad");
    char path[1100];
    struct safetensors *file;
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    assert_ok(safetensors_open(path, &file));
    static const char *const names[] = {"classifier.weight", "classifier.bias"};
    FILE *out = fopen(path, "r+b");
    assert_non_null(out);
    const char *start = NULL;
    for (int64_t i = 0; i < safetensors_count(file); i++) { /* the data begin behind the header */
        const char *data = safetensors_data(file, safetensors_info(file, i));
        start = !start || data < start ? data : start;
    }
    uint64_t header;
    assert_int_equal(fread(&header, sizeof header, 1, out), 1);
    for (int i = 0; i < 2; i++) {
        const struct tensor_info *info = safetensors_find(file, names[i]);
        const char *data = safetensors_data(file, info);
        assert_int_equal(fseek(out, (long)(8 + header) + (long)(data - start), SEEK_SET), 0);
        for (int64_t b = 0; b < info->bytes; b++)
            assert_int_equal(fputc(0, out), 0);
    }
    assert_int_equal(fclose(out), 0);
    safetensors_close(file);
    assert_ok(speech_judge_open(folder, test_kernels(), &context, &judge));
    assert_ok(speech_judge_run(judge, clips, 1, &judgement, logits));
    for (int c = 0; c < CLASSES; c++)
        assert_true(logits[c] == 0);
    assert_int_equal(judgement.label, 0);
    speech_judge_close(judge);
}

static void what_decides_a_judgement_decides_the_fingerprint(void **state)
{
    (void)state;
    const char *const folders[] = {JUDGES "/speech", JUDGES "/weighted",
                                   changed_judge("speech", "config.json", "SAD", "SOD"),
                                   changed_judge("speech", "preprocessor_config.json", "true", "false"),
                                   changed_judge_member("weighted", "config.json", "use_weighted_layer_sum", "false")};
    enum { FOLDERS = sizeof folders / sizeof *folders };
    struct sha256 seen[FOLDERS];
    for (size_t f = 0; f < FOLDERS; f++) {
        struct speech_judge *judge;
        assert_ok(speech_judge_open(folders[f], test_kernels(), &context, &judge));
        seen[f] = *speech_judge_fingerprint(judge);
        speech_judge_close(judge);
        for (size_t other = 0; other < f; other++)
            assert_memory_not_equal(&seen[f], &seen[other], sizeof seen[f]);
    }
}

static void refuse(const char *folder, enum status code, const char *part)
{
    struct speech_judge *judge;
    assert_fails(speech_judge_open(folder, test_kernels(), &context, &judge), code, part);
    assert_null(judge);
    assert_non_null(strstr(status_text(), folder));
}

static void wrong_folders_are_refused(void **state)
{
    (void)state;
    refuse(changed_judge("speech", "preprocessor_config.json", "16000", "24000"), STATUS_CORRUPT,
           "sampling_rate is 24000");
    refuse(changed_judge("speech", "model.safetensors", "projector.weight", "projector.wieght"), STATUS_CORRUPT,
           "projector.weight is missing");
    refuse(changed_judge("speech", "model.safetensors", "classifier.bias", "classifier.bais"), STATUS_CORRUPT,
           "classifier.bias is missing");
    refuse(changed_judge("hubert", "model.safetensors", "layer_weights", "layer_wieghts"), STATUS_CORRUPT,
           "layer_weights is missing");
    refuse(changed_judge("hubert", "model.safetensors", NULL, NULL), STATUS_USAGE, "model.safetensors");
    refuse(changed_judge_member("speech", "config.json", "use_weighted_layer_sum", "true"), STATUS_CORRUPT,
           "layer_weights");
    refuse(changed_judge_member("speech", "config.json", "use_weighted_layer_sum", "1"), STATUS_CORRUPT,
           "use_weighted_layer_sum");
    refuse(changed_judge_member("speech", "config.json", "num_labels", "5"), STATUS_CORRUPT,
           "num_labels is 5, but the weights have 4 classes");
    refuse(changed_judge_member("speech", "config.json", "id2label", "{\"0\": \"a\"}"), STATUS_CORRUPT,
           "no label for class 1");
    refuse(changed_judge_member("speech", "config.json", "model_type", "\"whisper\""), STATUS_CORRUPT, "whisper");
    struct speech_judge *judge;
    assert_fails(speech_judge_open(JUDGES "/nowhere", test_kernels(), &context, &judge), STATUS_USAGE, "nowhere");
    assert_null(judge);
}

/* ---- the oracle's script ---- */

static int check_model(const char *folder, const char *path)
{
    struct speech_judge *judge;
    struct safetensors *expected;
    double most = 0;
    open_world(NULL);
    assert_ok(safetensors_open(path, &expected));
    assert_ok(speech_judge_open(folder, test_kernels(), &context, &judge));
    int64_t size = speech_judge_size(judge), count = 0;
    double *logits = malloc((size_t)size * sizeof *logits);
    assert_non_null(logits);
    for (; count < CLIPS_LIMIT; count++) {
        char name[16];
        struct judgement judgement;
        snprintf(name, sizeof name, "wave.%d", (int)count);
        const struct tensor_info *info = safetensors_find(expected, name);
        if (!info)
            break;
        const struct encoder_clip clip = {.samples = safetensors_data(expected, info), .count = info->shape[0]};
        assert_ok(speech_judge_run(judge, &clip, 1, &judgement, logits));
        most = fmax(most, compare(expected, count, logits, size, &judgement, TOLERANCE_AT_FULL_SIZE));
    }
    assert_true(count > 0);
    printf("%s: %d clips, logits within %.3g of transformers\n", folder, (int)count, most);
    free(logits);
    speech_judge_close(judge);
    safetensors_close(expected);
    close_world(NULL);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(logits_are_those_of_transformers),
                                       cmocka_unit_test(company_changes_no_bit),
                                       cmocka_unit_test(the_first_of_equal_logits_is_the_label),
                                       cmocka_unit_test(what_decides_a_judgement_decides_the_fingerprint),
                                       cmocka_unit_test(wrong_folders_are_refused)};
    if (argc == 4 && strcmp(argv[1], "--model") == 0)
        return check_model(argv[2], argv[3]);
    return cmocka_run_group_tests(tests, open_world, close_world);
}
