/* A hundred losses, bit for bit: tests/golden/train/losses.txt holds them as hexadecimal numbers.
 *
 *     test_train_golden --write DIRECTORY     writes losses.txt, and beside it what tests/oracles/train_golden.py needs
 *                                             to train the same model in PyTorch and judge them: the first weights, the
 *                                             batches and the settings
 *
 * Bits are promised for one set of kernels. Here it is our own tiles in f32 on x86-64-v3, which every processor with
 * AVX2 and FMA runs and which no library decides; elsewhere the test is skipped and says so. What is left to libm (log
 * and exp of losses, the rotary table, the schedule, the normal numbers of the first weights) is computed in double and
 * rounded to f32. */
#include "support/test_kernels.h"
#include "support/test_support.h"
#include "support/training_bench.h"

#include "io/atomic_file.h"
#include "io/json.h"
#include "io/safetensors.h"

#include <gnu/libc-version.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 100, LANES = 8, LENGTH = 64, BATCH = LANES * LENGTH, SKIPPED = 77 };

static const char pinned_kernels[] = "x86-64-v3 kernels, f32: own tiles, bf16: own tiles";
static const char golden_path[] = TEST_GOLDEN_DIRECTORY "/train/losses.txt";
static struct tiny_corpus corpus;
static bool skipped;

/* Uneven micro-batches, grouped heads, warm-up and cosine; the limit of the norm acts in some steps, not in all. */
static void bench_open(struct training_bench *bench, int threads)
{
    training_bench_open(bench, &corpus, "unused", NULL, threads);
    test_set_engine(&bench->context, CPU_ENGINE_BLOCKED);
    bench->train.steps = STEPS;
    bench->train.schedule = (struct schedule_settings){SCHEDULE_COSINE, 3e-3, 3e-4, 10};
    bench->train.micro_batch = 3;
    assert_int_equal(bench->data.lanes, LANES);
    assert_int_equal(bench->data.sequence_length, LENGTH);
}

static bool is_pinned(const struct training_bench *bench)
{
    const char *found = bench->kernels.describe(&bench->context);
    if (strcmp(found, pinned_kernels) == 0)
        return true;
    print_message("\n*** SKIPPED: the golden losses are those of \"%s\".\n*** This build has \"%s\".\n\n",
                  pinned_kernels, found);
    return false;
}

static void train(struct training_bench *bench, double losses[STEPS])
{
    struct trainer *trainer;
    int clipped = 0;
    assert_ok(trainer_create(&bench->setup, false, &trainer));
    for (int i = 0; i < STEPS; i++) {
        struct step_result step;
        assert_ok(trainer_step(trainer, &step));
        assert_null(step.skipped);
        losses[i] = step.loss;
        clipped += step.gradient_norm > bench->train.clip;
    }
    trainer_destroy(trainer);
    assert_in_range(clipped, STEPS / 10, STEPS * 9 / 10);
}

static void read_golden(double losses[STEPS])
{
    char line[200];
    int count = 0;
    FILE *file = fopen(golden_path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        char *end;
        if (*line == '#')
            continue;
        assert_true(count < STEPS);
        losses[count++] = strtod(line, &end);
        assert_true(*end == '\n' && isfinite(losses[count - 1]));
    }
    fclose(file);
    assert_int_equal(count, STEPS);
}

static void a_hundred_losses_have_their_bits(void **state)
{
    (void)state;
    double expected[STEPS], found[STEPS];
    read_golden(expected);
    for (int threads = 1; threads <= 2; threads++) {
        struct training_bench bench;
        bench_open(&bench, threads);
        if (!is_pinned(&bench)) {
            training_bench_close(&bench);
            skipped = true;
            skip();
        }
        train(&bench, found);
        training_bench_close(&bench);
        for (int i = 0; i < STEPS; i++)
            if (memcmp(&found[i], &expected[i], sizeof(double)) != 0)
                fail_msg("loss of step %d on %d threads is %a (%.9g), not %a (%.9g); compiler %s, libc %s", i + 1,
                         threads, found[i], found[i], expected[i], expected[i], __VERSION__, gnu_get_libc_version());
    }
}

/* ---- for the oracle ---- */

static void write_batches(struct training_bench *bench, const char *folder)
{
    static int32_t arrays[3][STEPS][BATCH];
    static const char *const names[] = {"ids", "targets", "starts"};
    struct untouched_lanes untouched;
    struct atomic_directory *directory;
    struct output_file *file;
    struct tensor_info infos[3];
    const void *data[3];
    untouched_lanes_open(bench, &untouched);
    for (int step = 0; step < STEPS; step++)
        for (int lane = 0; lane < LANES; lane++)
            assert_ok(lanes_next(untouched.lanes, lane, arrays[0][step] + lane * LENGTH,
                                 arrays[1][step] + lane * LENGTH, arrays[2][step] + lane * LENGTH));
    untouched_lanes_close(&untouched);
    for (int i = 0; i < 3; i++) {
        infos[i] = (struct tensor_info){names[i], DTYPE_I32, 3, {STEPS, LANES, LENGTH}, (int64_t)sizeof arrays[i]};
        data[i] = arrays[i];
    }
    assert_ok(atomic_directory_begin(folder, false, &directory));
    assert_ok(atomic_directory_create(directory, "batches.safetensors", 0, &file));
    assert_ok(safetensors_write(file, infos, data, 3, NULL, 0));
    assert_ok(output_close(file));
    assert_ok(atomic_directory_commit(directory));
}

static void write_model(struct training_bench *bench, const char *folder)
{
    struct trainer *trainer;
    struct atomic_directory *directory;
    assert_ok(trainer_create(&bench->setup, false, &trainer));
    assert_ok(atomic_directory_begin(folder, false, &directory));
    assert_ok(llama_write_folder(trainer_model(trainer), directory, 1, 2));
    assert_ok(atomic_directory_commit(directory));
    trainer_destroy(trainer);
}

static void write_settings(const struct training_bench *bench, const char *path)
{
    const struct train_settings *train = &bench->train;
    json_t *root =
        json_pack("{s:I, s:f, s:f, s:I, s:f, s:f, s:f, s:f, s:f}", "steps", (json_int_t)train->steps, "learning_rate",
                  train->schedule.learning_rate, "minimum", train->schedule.minimum, "warmup_steps",
                  (json_int_t)train->schedule.warmup_steps, "beta1", train->beta1, "beta2", train->beta2, "epsilon",
                  train->epsilon, "weight_decay", train->weight_decay, "clip", train->clip);
    char *text = jdoc_text(root, 2);
    assert_ok(atomic_write(path, text, (int64_t)strlen(text)));
    free(text);
    json_decref(root);
}

static int write_all(const char *folder)
{
    char path[1000];
    double losses[STEPS];
    struct training_bench bench;
    bench_open(&bench, 1);
    if (!is_pinned(&bench))
        return SKIPPED;
    assert_ok(make_directories(folder));
    snprintf(path, sizeof path, "%s/batches", folder);
    write_batches(&bench, path);
    snprintf(path, sizeof path, "%s/model", folder);
    write_model(&bench, path);
    snprintf(path, sizeof path, "%s/settings.json", folder);
    write_settings(&bench, path);
    train(&bench, losses);
    snprintf(path, sizeof path, "%s/losses.txt", folder);
    FILE *file = fopen(path, "w");
    if (!file)
        return 1;
    fprintf(file, "# Losses of steps 1 to %d: test_train_golden --write, judged by tests/oracles/train_golden.py.\n",
            (int)STEPS);
    fprintf(file, "# %s; compiler %s, libc %s\n", pinned_kernels, __VERSION__, gnu_get_libc_version());
    for (int i = 0; i < STEPS; i++)
        fprintf(file, "%a\n", losses[i]);
    training_bench_close(&bench);
    return fclose(file) == 0 ? 0 : 1;
}

/* Not from TEST_SEED: the golden losses are of one corpus. */
static int make_corpus(void **state)
{
    (void)state;
    tiny_corpus_make(40, 20240208, &corpus);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hundred_losses_have_their_bits),
    };
    if (argc == 3 && strcmp(argv[1], "--write") == 0)
        return make_corpus(NULL) != 0 ? 1 : write_all(argv[2]);
    int failed = cmocka_run_group_tests(tests, make_corpus, NULL);
    return failed == 0 && skipped ? SKIPPED : failed;
}
