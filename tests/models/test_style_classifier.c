/* A small style classifier against transformers' Wav2Vec2ForSequenceClassification (tests/oracles/speech_encoder_layouts.py): the
 * logits of every 50 frames, the last of which may be fewer; the same bits in batches as alone; and files that do not fit. The
 * published size is in test_encoder_values.c. */
#include "support/test_support.h"

#include "core/path.h"
#include "core/thread_pool.h"
#include "models/encoder/style_classifier.h"
#include "support/files.h"
#include "support/test_kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SMALL TEST_GOLDEN_DIRECTORY "/speech_models/small"
#define MODEL SMALL "/style"

enum { CLIPS = 3, CLASSES = 9, MOST = 4 /* styles of a clip */ };
static const int64_t counts[CLIPS] = {2, 1, 1}; /* of 79, 44 and 16 frames */

static struct thread_pool *pool;
static struct device_context context;
static struct safetensors *waves, *expected;
static struct encoder_clip clips[CLIPS];

static int open_world(void **state)
{
    (void)state;
    assert_ok(thread_pool_create(0, &pool));
    assert_ok(device_context_create(test_kernels(), pool, 0, &context));
    assert_ok(safetensors_open(SMALL "/expected.safetensors", &waves));
    assert_ok(safetensors_open(MODEL "/expected.safetensors", &expected));
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
    safetensors_close(expected);
    safetensors_close(waves);
    device_context_destroy(test_kernels(), &context);
    thread_pool_destroy(pool);
    return 0;
}

static void open_model(struct style_classifier **classifier, struct encoder_workspace **workspace)
{
    assert_ok(style_classifier_open(MODEL, test_kernels(), &context, classifier));
    assert_int_equal(style_classifier_size(*classifier), CLASSES);
    assert_ok(encoder_workspace_create(style_classifier_encoder(*classifier), &context, workspace));
}

/* Of one clip after the other. */
static void same_logits(int clip, const double *logits, const int32_t *styles)
{
    char name[16];
    snprintf(name, sizeof name, "logits.%d", clip);
    const struct tensor_info *info = safetensors_find(expected, name);
    assert_non_null(info);
    assert_int_equal(info->bytes, counts[clip] * CLASSES * (int64_t)sizeof(float));
    const float *wanted = safetensors_data(expected, info);
    for (int64_t style = 0; style < counts[clip]; style++) {
        int best = 0;
        for (int i = 0; i < CLASSES; i++) {
            double error = fabs(logits[style * CLASSES + i] - (double)wanted[style * CLASSES + i]);
            if (!(error <= 1e-5))
                fail_msg("%s: style %ld, class %d: expected %.9g, found %.9g", name, (long)style, i,
                         (double)wanted[style * CLASSES + i], logits[style * CLASSES + i]);
            best = wanted[style * CLASSES + i] > wanted[style * CLASSES + best] ? i : best;
        }
        assert_int_equal(styles[style], best);
    }
}

static void logits_are_those_of_transformers(void **state)
{
    (void)state;
    struct style_classifier *classifier;
    struct encoder_workspace *workspace;
    int32_t styles[CLIPS][MOST], alone[MOST], *rows[CLIPS], *const one = alone;
    double logits[CLIPS * MOST * CLASSES], own[MOST * CLASSES];
    const double *place = logits;
    open_model(&classifier, &workspace);
    memset(styles, 0xff, sizeof styles);
    for (int clip = 0; clip < CLIPS; clip++) {
        rows[clip] = styles[clip];
        assert_int_equal(style_classifier_count(classifier, clips[clip].count), counts[clip]);
    }
    assert_ok(style_classifier_run(classifier, workspace, clips, CLIPS, rows, logits));
    for (int clip = 0; clip < CLIPS; clip++) {
        same_logits(clip, place, styles[clip]);
        assert_ok(style_classifier_run(classifier, workspace, &clips[clip], 1, &one, own));
        assert_memory_equal(own, place, (size_t)(counts[clip] * CLASSES) * sizeof *own);
        assert_memory_equal(alone, styles[clip], (size_t)counts[clip] * sizeof *alone);
        assert_int_equal(styles[clip][counts[clip]], -1); /* and no more than that */
        place += counts[clip] * CLASSES;
    }
    assert_ok(style_classifier_run(classifier, workspace, clips, 1, rows, NULL));
    assert_ok(style_classifier_run(classifier, workspace, NULL, 0, NULL, NULL));
    encoder_workspace_destroy(workspace);
    style_classifier_close(classifier);
}

/* A folder with one text of its config.json or its weights in place of another of the same length. */
static const char *changed_folder(const char *file, const char *old, const char *new)
{
    static const char *const files[] = {"config.json", "model.safetensors"};
    static int count;
    const char *folder = test_path("changed%d", count++);
    char from[PATH_BYTES], path[PATH_BYTES];
    assert_int_equal(mkdir(folder, 0777), 0);
    for (int i = 0; i < 2; i++) {
        assert_ok(path_format(from, "speech_models/small/style/%s", files[i]));
        assert_ok(path_format(path, "%s/%s", folder, files[i]));
        copy_golden(from, path);
        if (strcmp(files[i], file) != 0)
            continue;
        FILE *stream = fopen(path, "r+b");
        char *bytes = calloc(1, 1 << 18), *at;
        assert_true(stream && bytes);
        size_t size = fread(bytes, 1, 1 << 18, stream);
        at = memmem(bytes, size, old, strlen(old));
        if (!at)
            fail_msg("no %s in %s", old, file);
        assert_int_equal(strlen(old), strlen(new));
        assert_int_equal(fseek(stream, at - bytes, SEEK_SET), 0);
        assert_int_equal(fwrite(new, 1, strlen(new), stream), strlen(new));
        assert_int_equal(fclose(stream), 0);
        free(bytes);
    }
    return folder;
}

static void files_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *file, *old, *new, *text;
    } cases[] = {
        {"config.json", "\"use_weighted_layer_sum\": false", "\"use_weighted_layer_sum\": true ",
         "use_weighted_layer_sum is not supported"},
        {"model.safetensors", "projector.weight", "projector.wieght", "projector.weight is missing"},
        {"model.safetensors", "classifier.bias", "classifier.bais", "classifier.bias is missing"},
    };
    struct style_classifier *classifier;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *folder = changed_folder(cases[i].file, cases[i].old, cases[i].new);
        assert_fails(style_classifier_open(folder, test_kernels(), &context, &classifier), STATUS_CORRUPT,
                     cases[i].text);
        assert_null(classifier);
    }
    assert_fails(style_classifier_open(SMALL "/first/hf", test_kernels(), &context, &classifier), STATUS_CORRUPT,
                 "projector.weight is missing");
    assert_fails(style_classifier_open(SMALL "/nowhere", test_kernels(), &context, &classifier), STATUS_USAGE,
                 "nowhere");
    assert_null(classifier);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(logits_are_those_of_transformers),
                                       cmocka_unit_test(files_that_do_not_fit_are_refused)};
    return cmocka_run_group_tests(tests, open_world, close_world);
}
