/* The CTC head over transformers' own last outputs (tests/golden/speech_models/small/first is a Wav2Vec2ForCTC), the windows of a long
 * clip, and what is refused. */
#include "support/test_support.h"

#include "core/path.h"
#include "core/rng.h"
#include "core/thread_pool.h"
#include "models/encoder/ctc_model.h"
#include "support/files.h"
#include "support/pooled_context.h"
#include "support/test_kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SMALL TEST_GOLDEN_DIRECTORY "/speech_models/small"
#define MODEL SMALL "/first/hf"

enum { WIDTH = 24, CHARACTERS = 7, BLANK = 2, COLUMNS = CHARACTERS + 2 };

static const int32_t all[COLUMNS] = {0, 1, 2, 3, 4, 5, 6, CTC_ANY, CTC_GREATEST};
static const struct ctc_columns every_column = {.ids = all, .count = COLUMNS, .blank = BLANK};

static void open_model(struct ctc_model **model, struct ctc_workspace **workspace)
{
    assert_ok(ctc_model_open(MODEL, test_kernels(), &pooled_context, model));
    assert_int_equal(ctc_model_size(*model), CHARACTERS);
    assert_ok(ctc_workspace_create(*model, &pooled_context, workspace));
}

/* One frame's log-softmax by definition; CTC_ANY is the sum of all probabilities but the blank's. */
static void define(const float *frame, const float *weight, const float *bias, double *emissions)
{
    double logits[CHARACTERS], total = 0, others = 0;
    for (int c = 0; c < CHARACTERS; c++) {
        logits[c] = (double)bias[c];
        for (int i = 0; i < WIDTH; i++)
            logits[c] += (double)weight[c * WIDTH + i] * (double)frame[i];
        total += exp(logits[c]);
        others += c == BLANK ? 0 : exp(logits[c]);
    }
    for (int c = 0; c < CHARACTERS; c++)
        emissions[c] = logits[c] - log(total);
    emissions[CHARACTERS] = log(others / total);
    emissions[CHARACTERS + 1] = emissions[0];
    for (int c = 1; c < CHARACTERS; c++)
        emissions[CHARACTERS + 1] = fmax(emissions[CHARACTERS + 1], emissions[c]);
}

static void emissions_are_those_of_transformers(void **state)
{
    (void)state;
    struct ctc_model *model;
    struct ctc_workspace *workspace;
    struct safetensors *expected;
    struct named_tensors *tensors;
    float weight[CHARACTERS * WIDTH], bias[CHARACTERS];
    open_model(&model, &workspace);
    assert_ok(safetensors_open(SMALL "/expected.safetensors", &expected));
    assert_ok(named_tensors_open(MODEL, &tensors));
    assert_ok(named_tensors_read(tensors, "lm_head.weight", 2, (int64_t[]){CHARACTERS, WIDTH}, weight));
    assert_ok(named_tensors_read(tensors, "lm_head.bias", 1, (int64_t[]){CHARACTERS}, bias));
    for (int clip = 0; clip < 3; clip++) {
        char name[24];
        snprintf(name, sizeof name, "wave.%d", clip);
        const struct tensor_info *wave = safetensors_find(expected, name);
        snprintf(name, sizeof name, "first.%d.last", clip);
        const struct tensor_info *last = safetensors_find(expected, name);
        assert_true(wave && last);
        int64_t frames = last->shape[0];
        const float *hidden = safetensors_data(expected, last);
        float *emissions = malloc((size_t)(frames * COLUMNS) * sizeof *emissions);
        double *wanted = malloc((size_t)(frames * COLUMNS) * sizeof *wanted);
        assert_true(emissions && wanted);
        for (int64_t t = 0; t < frames; t++)
            define(hidden + t * WIDTH, weight, bias, wanted + t * COLUMNS);
        const struct encoder_clip input = {.samples = safetensors_data(expected, wave), .count = wave->shape[0]};
        assert_int_equal(encoder_config_frames(ctc_model_config(model), input.count), frames);
        assert_ok(ctc_model_run(workspace, &input, &every_column, emissions));
        assert_close("emissions", emissions, wanted, frames * COLUMNS, 2e-5);
        free(emissions);
        free(wanted);
    }
    named_tensors_close(tensors);
    safetensors_close(expected);
    ctc_workspace_destroy(workspace);
    ctc_model_close(model);
}

/* Columns in another order, once or twice, have the same bits. */
static void columns_are_chosen(void **state)
{
    (void)state;
    static const int32_t some[] = {CTC_ANY, 5, CTC_GREATEST, 2, 5};
    static const int places[] = {CHARACTERS, 5, CHARACTERS + 1, 2, 5};
    enum { SAMPLES = 1600, FRAMES = 79, SOME = 5 };
    struct ctc_model *model;
    struct ctc_workspace *workspace;
    float samples[SAMPLES], whole[FRAMES * COLUMNS], part[FRAMES * SOME];
    struct rng rng = rng_make(test_seed(), RNG_TEST, 133, 0);
    open_model(&model, &workspace);
    for (int i = 0; i < SAMPLES; i++)
        samples[i] = (float)rng_normal(&rng) * 0.1f;
    const struct encoder_clip clip = {.samples = samples, .count = SAMPLES};
    const struct ctc_columns wanted = {.ids = some, .count = SOME, .blank = BLANK};
    assert_true(encoder_config_frames(ctc_model_config(model), SAMPLES) <= FRAMES);
    assert_ok(ctc_model_run(workspace, &clip, &every_column, whole));
    assert_ok(ctc_model_run(workspace, &clip, &wanted, part));
    for (int64_t t = 0; t < encoder_config_frames(ctc_model_config(model), SAMPLES); t++)
        for (int c = 0; c < SOME; c++)
            assert_true(part[t * SOME + c] == whole[t * COLUMNS + places[c]]);
    const struct ctc_columns beyond = {.ids = (const int32_t[]){CHARACTERS}, .count = 1, .blank = BLANK};
    assert_fails(ctc_model_run(workspace, &clip, &beyond, part), STATUS_INTERNAL, "beyond the 7");
    ctc_workspace_destroy(workspace);
    ctc_model_close(model);
}

/* The greatest logit is the greatest emission, and the first of equal ones. */
static void greedy_characters_have_the_greatest_emission(void **state)
{
    (void)state;
    enum { SAMPLES = 1600, FRAMES = 79 };
    struct ctc_model *model;
    struct ctc_workspace *workspace;
    float samples[SAMPLES], whole[FRAMES * COLUMNS];
    int32_t best[FRAMES];
    struct rng rng = rng_make(test_seed(), RNG_TEST, 135, 0);
    open_model(&model, &workspace);
    for (int i = 0; i < SAMPLES; i++)
        samples[i] = (float)rng_normal(&rng) * 0.1f;
    const struct encoder_clip clip = {.samples = samples, .count = SAMPLES};
    int64_t frames = encoder_config_frames(ctc_model_config(model), SAMPLES);
    assert_in_range(frames, 50, FRAMES);
    assert_ok(ctc_model_run(workspace, &clip, &every_column, whole));
    assert_ok(ctc_model_greedy(workspace, &clip, best));
    for (int64_t t = 0; t < frames; t++) {
        assert_in_range(best[t], 0, CHARACTERS - 1);
        assert_true(whole[t * COLUMNS + best[t]] == whole[t * COLUMNS + CHARACTERS + 1]);
    }
    ctc_workspace_destroy(workspace);
    ctc_model_close(model);
}

/* Each frame of a long clip is that of the window that the header names, computed as a clip of its own. Which one that is the host
 * decides, whatever computes, and the least that has two windows takes a minute on the emulator. */
static void windows_are_joined_as_stated(void **state)
{
    (void)state;
    if (test_kernels_slow())
        skip();
    enum { W = CTC_WINDOW_FRAMES, C = CTC_CONTEXT_FRAMES, STEP = W - 2 * C };
    static const int64_t lengths[] = {W, W + 1, STEP + W, STEP + W + 1};
    struct ctc_model *model;
    struct ctc_workspace *workspace;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 134, 0);
    open_model(&model, &workspace);
    const struct encoder_config *config = ctc_model_config(model);
    int64_t hop = encoder_config_hop(config), most = encoder_config_samples(config, STEP + W + 1) + hop;
    float *samples = malloc((size_t)most * sizeof *samples);
    float *joined = malloc((STEP + W + 1) * COLUMNS * sizeof *joined), *alone = malloc(W * COLUMNS * sizeof *alone);
    assert_true(samples && joined && alone);
    for (int64_t i = 0; i < most; i++)
        samples[i] = (float)rng_normal(&rng) * (i % 7000 < 3000 ? 0.02f : 0.1f);
    for (int l = 0; l < 4; l++) {
        int64_t frames = lengths[l], count = encoder_config_samples(config, frames) + hop - 1;
        const struct encoder_clip clip = {.samples = samples, .count = count};
        assert_int_equal(encoder_config_frames(config, count), frames);
        assert_ok(ctc_model_run(workspace, &clip, &every_column, joined));
        for (int64_t first = 0, next = 0; next < frames; first += STEP) {
            bool last = first + W >= frames;
            const struct encoder_clip window = {.samples = samples + first * hop,
                                                .count =
                                                    last ? count - first * hop : encoder_config_samples(config, W)};
            assert_ok(ctc_model_run(workspace, &window, &every_column, alone));
            for (int64_t end = last ? frames : first + W - C; next < end; next++)
                for (int c = 0; c < COLUMNS; c++) {
                    float a = joined[next * COLUMNS + c], b = alone[(next - first) * COLUMNS + c];
                    if (!(fabsf(a - b) <= 1e-5f))
                        fail_msg("%lld frames: frame %lld is %g, in its window %g", (long long)frames, (long long)next,
                                 (double)a, (double)b);
                }
        }
    }
    free(samples);
    free(joined);
    free(alone);
    ctc_workspace_destroy(workspace);
    ctc_model_close(model);
}

static void models_without_a_head_are_refused(void **state)
{
    (void)state;
    struct ctc_model *model;
    assert_fails(ctc_model_open(SMALL "/plain/hf", test_kernels(), &pooled_context, &model), STATUS_CORRUPT,
                 "lm_head.weight");
    assert_null(model);
    assert_fails(ctc_model_open(SMALL "/nowhere", test_kernels(), &pooled_context, &model), STATUS_USAGE, "nowhere");
    assert_null(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(emissions_are_those_of_transformers),
        cmocka_unit_test(columns_are_chosen),
        cmocka_unit_test(greedy_characters_have_the_greatest_emission),
        cmocka_unit_test(windows_are_joined_as_stated),
        cmocka_unit_test(models_without_a_head_are_refused),
    };
    return cmocka_run_group_tests(tests, pooled_context_open, pooled_context_close);
}
