/* A task that scores goes on where it was interrupted: killed again and again, and with one, two or three ranks, it leaves the bytes of an
 * undisturbed run. Another model, other sentences or another protocol are refused. */
#include "support/files.h"
#include "support/test_kernels.h"
#include "support/test_support.h"
#include "support/tiny_world.h"

#include "eval/task.h"
#include "io/atomic_file.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CONTEXT = 64, PAIRS = 1400, RANKS = 3 };

static struct tiny_world world;
static struct device_context contexts[RANKS];
static struct llama *models[RANKS]; /* with the same weights; the first is the world's */
static struct score_settings score;
static struct evaluate_settings evaluate;
static FILE *nowhere;

static void write_sentences(const char *path, uint64_t stream)
{
    struct rng rng = rng_make(5, RNG_TEST, 90, stream);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < PAIRS; i++) {
        char texts[2][40];
        for (int side = 0; side < 2; side++) {
            int64_t length = 15 + (int64_t)rng_below(&rng, 15);
            for (int64_t c = 0; c < length; c++)
                texts[side][c] = (char)(c % 5 == 4 ? ' ' : 'a' + (char)rng_below(&rng, 26));
            texts[side][length] = 0;
            strcat(texts[side], "x"); /* no space at the end */
        }
        fprintf(file, "{\"sentence_good\": \"%s\", \"sentence_bad\": \"%s\"}\n", texts[0], texts[1]);
    }
    assert_int_equal(fclose(file), 0);
}

static int open_world(void **state)
{
    (void)state;
    const struct llama_config config = {512, 32, 48, 2, 4, 2, 8, CONTEXT, 10000, 1e-5, false}; /* the world's */
    tiny_world_open(1, CONTEXT, &world);
    models[0] = world.model;
    for (int r = 1; r < RANKS; r++) {
        assert_ok(device_context_create(test_kernels(), NULL, 0, &contexts[r]));
        assert_ok(llama_create(&config, DTYPE_F32, test_kernels(), &contexts[r], &models[r]));
        assert_ok(llama_initialize(models[r], 5, 0.3, NULL));
    }
    nowhere = fopen("/dev/null", "w");
    assert_ok(make_directories(test_path("sentences/data")));
    assert_ok(make_directories(test_path("others/data")));
    assert_ok(make_directories(test_path("model")));
    write_sentences(test_path("sentences/data/one.jsonl"), 0);
    write_sentences(test_path("others/data/one.jsonl"), 1);
    write_text(test_path("model/weights"), "1");
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    for (int r = 1; r < RANKS; r++) {
        llama_destroy(models[r]);
        device_context_destroy(test_kernels(), &contexts[r]);
    }
    fclose(nowhere);
    tiny_world_close(&world);
    return 0;
}

static enum status run(const char *out, const char *archive, int64_t ranks)
{
    static const char *const word[] = {"protocol"};
    struct task_outcome outcome = {0};
    score.normalize = (struct config_list){(const char **)(uintptr_t)word, 1};
    evaluate = (struct evaluate_settings){.gold = ""};
    const struct task task = {.model = world.model,
                              .components = world.components,
                              .model_name = "m",
                              .checkpoint = test_path("model"),
                              .out = out,
                              .report = nowhere,
                              .outcome = &outcome,
                              .score = &score,
                              .models = models,
                              .ranks = ranks,
                              .evaluate = &evaluate};
    return task_blimp(&task, archive);
}

static void assert_same_file(const char *a, const char *b)
{
    void *left, *right;
    int64_t left_size, right_size;
    assert_ok(file_read(a, 1 << 28, &left, &left_size));
    assert_ok(file_read(b, 1 << 28, &right, &right_size));
    if (left_size != right_size || memcmp(left, right, (size_t)left_size) != 0)
        fail_msg("%s and %s differ", a, b);
    free(left);
    free(right);
}

static void assert_same_results(const char *out)
{
    char path[2][900];
    static const char *const files[] = {"results_blimp.json", "samples_blimp.jsonl"};
    for (int f = 0; f < 2; f++) {
        snprintf(path[0], sizeof path[0], "%s/%s", test_path("whole"), files[f]);
        snprintf(path[1], sizeof path[1], "%s/%s", out, files[f]);
        assert_same_file(path[0], path[1]);
    }
    snprintf(path[0], sizeof path[0], "%s/journal_blimp.log", out);
    assert_int_not_equal(access(path[0], F_OK), 0);
}

/* Lines of the journal behind its identity; -1: there is none. */
static int64_t journal_lines(const char *out)
{
    char path[900];
    void *data;
    int64_t size, lines = -1;
    snprintf(path, sizeof path, "%s/journal_blimp.log", out);
    if (access(path, F_OK) != 0)
        return -1;
    assert_ok(file_read(path, 1 << 28, &data, &size));
    for (int64_t i = 0; i < size; i++)
        lines += ((char *)data)[i] == '\n';
    free(data);
    return lines;
}

/* ---- stopped at a point ---- */

static int64_t calls_left;
static enum status failing(const struct device_context *context, const struct log_sum_exp *p)
{
    if (--calls_left < 0)
        return status_set(STATUS_IO, "stopped by the test");
    return test_kernels()->log_sum_exp(context, p);
}

static enum status run_for(const char *out, const char *archive, int64_t calls)
{
    const struct kernels *own = world.model->kernels;
    struct kernels kernels = *own;
    kernels.log_sum_exp = failing;
    calls_left = calls;
    world.model->kernels = &kernels;
    enum status result = run(out, archive, 1);
    world.model->kernels = own;
    return result;
}

static void a_task_goes_on_where_it_stopped(void **state)
{
    (void)state;
    const char *out = test_path("stopped");
    assert_ok(run_for(test_path("whole"), test_path("sentences"), INT32_MAX)); /* undisturbed */
    const int64_t calls = INT32_MAX - calls_left;
    assert_fails(run_for(out, test_path("sentences"), calls * 3 / 4), STATUS_IO, "stopped by the test");
    int64_t kept = journal_lines(out);
    assert_true(kept >= 1);
    assert_ok(run_for(out, test_path("sentences"), calls * 2 / 3)); /* fewer than all */
    assert_same_results(out);
}

static void what_is_not_its_own_is_refused(void **state)
{
    (void)state;
    const char *out = test_path("other");
    assert_ok(run_for(test_path("counted"), test_path("sentences"), INT32_MAX));
    const int64_t calls = INT32_MAX - calls_left;
    assert_fails(run_for(out, test_path("sentences"), calls * 3 / 4), STATUS_IO, "stopped by the test");
    assert_true(journal_lines(out) >= 1); /* without any it would be begun anew */
    assert_fails(run(out, test_path("others"), 1), STATUS_USAGE, "archive");
    score.eos = 2;
    assert_fails(run(out, test_path("sentences"), 1), STATUS_USAGE, "protocol");
    score.eos = 0;
    write_text(test_path("model/weights"), "2");
    assert_fails(run(out, test_path("sentences"), 1), STATUS_USAGE, "model");
    write_text(test_path("model/weights"), "1");
    assert_ok(run(out, test_path("sentences"), 1));
    assert_same_results(out);
}

static void ranks_change_no_byte(void **state)
{
    (void)state;
    for (int64_t ranks = 2; ranks <= RANKS; ranks++) {
        const char *out = test_path("ranks%d", (int)ranks);
        assert_ok(run(out, test_path("sentences"), ranks));
        assert_same_results(out);
    }
}

/* ---- killed ---- */

/* Whether the run came to its end within so many milliseconds. */
static bool run_and_kill(const char *out, int64_t ranks, int64_t milliseconds)
{
    int code = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(run(out, test_path("sentences"), ranks) == STATUS_OK ? 0 : 1);
    for (int64_t waited = 0; waited < milliseconds; waited++) {
        if (waitpid(child, &code, WNOHANG) == child) {
            assert_true(WIFEXITED(code) && WEXITSTATUS(code) == 0);
            return true;
        }
        usleep(1000);
    }
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &code, 0), child);
    return false;
}

static void killed_again_and_again_it_leaves_the_same_bytes(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 91, 0);
    int64_t kills = 0, resumed = 0;
    for (int round = 0; round < (test_is_long() ? 60 : 5); round++) {
        const char *out = test_path("killed%d", round % 8);
        int64_t wait = 10 + (int64_t)rng_below(&rng, 100);
        while (!run_and_kill(out, 1 + (int64_t)rng_below(&rng, RANKS), wait)) {
            kills++;
            resumed += journal_lines(out) > 0;
            wait += wait / 4 + (int64_t)rng_below(&rng, 30); /* a slice must be finished at last */
        }
        assert_same_results(out);
        char path[900];
        snprintf(path, sizeof path, "%s/results_blimp.json", out);
        assert_int_equal(remove(path), 0);
    }
    print_message("%lld kills, %lld of them with finished slices\n", (long long)kills, (long long)resumed);
    assert_true(kills > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_goes_on_where_it_stopped),
        cmocka_unit_test(what_is_not_its_own_is_refused),
        cmocka_unit_test(ranks_change_no_byte),
        cmocka_unit_test(killed_again_and_again_it_leaves_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
