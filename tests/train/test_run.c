/* A whole run in its folder: what it leaves there, what it takes up again, and when it refuses; a signal ends it well.
 */
#include "support/test_support.h"
#include "support/training_bench.h"

#include "io/atomic_file.h"
#include "io/json.h"
#include "train/checkpoint.h"
#include "train/run.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct tiny_corpus corpus;

static void bench_open(struct training_bench *bench, const char *run)
{
    training_bench_open(bench, &corpus, run, NULL, 1);
    training_bench_shrink_if_slow(bench);
    bench->data.validation = bench->data.train;
}

static int count_lines(const char *path, int64_t *last_step)
{
    char *text;
    int64_t size;
    int lines = 0;
    assert_ok(file_read(path, 1 << 24, (void **)&text, &size));
    *last_step = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *root;
        int64_t step;
        assert_ok(jdoc_parse("line", line, (int64_t)strlen(line), &root));
        assert_ok(jdoc_get_int("line", root, "step", 1, 1000, &step));
        if (json_object_get(root, "loss")) {
            assert_int_equal(step, *last_step + 1); /* no step twice, none missing */
            *last_step = step;
            lines++;
            assert_true(json_is_number(json_object_get(root, "lr")) &&
                        json_is_number(json_object_get(root, "grad_norm")));
        }
        json_decref(root);
    }
    free(text);
    return lines;
}

static void flip_byte(const char *path)
{
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, 1000, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, 1000, SEEK_SET), 0);
    fputc(byte ^ 1, file);
    fclose(file);
}

static void a_run_leaves_whole_checkpoints_and_falls_back_past_a_damaged_one(void **state)
{
    (void)state;
    char run[600], path[800];
    struct training_bench bench;
    int64_t last;
    snprintf(run, sizeof run, "%s/run", test_directory());
    bench_open(&bench, run);
    bench.train.save_every = 2;
    bench.train.validate_every = 3;
    struct run_options options = {.resume = RESUME_AUTO, .command = "test"};
    assert_ok(run_train(&bench.setup, &options));
    snprintf(path, sizeof path, "%s/metrics.jsonl", run);
    assert_int_equal(count_lines(path, &last), 6);
    /* keep = 2: steps 4 and 6 remain. */
    snprintf(path, sizeof path, "%s/checkpoints/step_00000002", run);
    assert_fails(directory_verify(path, true), STATUS_USAGE, "No such file");
    snprintf(path, sizeof path, "%s/checkpoints/step_00000004", run);
    assert_ok(directory_verify(path, true));
    options.resume = RESUME_NONE;
    assert_fails(run_train(&bench.setup, &options), STATUS_USAGE, "has begun already");

    snprintf(path, sizeof path, "%s/checkpoints/step_00000006/model.safetensors", run);
    flip_byte(path);
    bench.train.steps = 8;
    options.resume = RESUME_AUTO;
    assert_ok(run_train(&bench.setup, &options)); /* from step 4 */
    snprintf(path, sizeof path, "%s/metrics.jsonl", run);
    assert_int_equal(count_lines(path, &last), 8);
    snprintf(path, sizeof path, "%s/checkpoints/step_00000006.damaged-1/config.json", run);
    char *text;
    int64_t size;
    assert_ok(file_read(path, 1 << 20, (void **)&text, &size));
    free(text);
    snprintf(path, sizeof path, "%s/report.html", run);
    assert_ok(file_read(path, 1 << 20, (void **)&text, &size));
    /* The report names each start: when, from which step and commit, by which command. */
    assert_non_null(strstr(text, "Run started 20"));
    assert_non_null(strstr(text, "from step 0</td>"));
    assert_non_null(strstr(text, "resumed at step 4</td>"));
    assert_non_null(strstr(text, " (commit "));
    assert_non_null(strstr(text, "<code>test</code> in <code>/"));
    free(text);
    /* A named start may not leave newer steps behind in the same folder, nor go into another run's. */
    char older[900];
    snprintf(older, sizeof older, "%s/checkpoints/step_00000006", run);
    bench.train.steps = 9;
    options = (struct run_options){.resume = RESUME_PATH, .resume_path = older, .command = "test"};
    assert_fails(run_train(&bench.setup, &options), STATUS_USAGE, "newer than");
    snprintf(path, sizeof path, "%s/branch", test_directory());
    bench.train.run = path;
    assert_ok(run_train(&bench.setup, &options));
    bench.train.run = run;
    snprintf(older, sizeof older, "%s/checkpoints/step_00000009", path);
    options.resume_path = older;
    assert_fails(run_train(&bench.setup, &options), STATUS_USAGE, "checkpoints of its own");
    bench.train.steps = 8;
    char *newest;
    assert_ok(checkpoint_resolve(run, &newest));
    assert_non_null(strstr(newest, "step_00000008"));
    struct components *components;
    assert_ok(components_load_checkpoint(newest, &components)); /* a checkpoint speaks by itself */
    assert_int_equal(components->vocabulary.hubert_count, TINY_HUBERT);
    components_free(components);
    free(newest);
    /* Under another name, or as a link, it is none: the one before is taken. */
    char renamed[900], named[900];
    snprintf(named, sizeof named, "%s/checkpoints/step_00000008", run);
    snprintf(renamed, sizeof renamed, "%s/checkpoints/step_00000020", run);
    assert_int_equal(rename(named, renamed), 0);
    assert_fails(checkpoint_verify(renamed), STATUS_CORRUPT, "its name says step 20, but it holds step 8");
    assert_fails(checkpoint_resolve(renamed, &newest), STATUS_CORRUPT, "its name says step 20");
    assert_ok(checkpoint_resolve(run, &newest));
    assert_non_null(strstr(newest, "step_00000006"));
    free(newest);
    assert_int_equal(rename(renamed, named), 0);
    assert_ok(checkpoint_verify(named));
    assert_int_equal(symlink("step_00000008", renamed), 0);
    assert_fails(checkpoint_verify(renamed), STATUS_CORRUPT, "a link");
    assert_ok(checkpoint_resolve(renamed, &newest)); /* named by the user: it is step 8 */
    free(newest);
    assert_int_equal(unlink(renamed), 0);
    /* With none left whole, starting anew is not the program's to decide. */
    flip_byte(strcat(strcpy(path, run), "/checkpoints/step_00000008/model.safetensors"));
    flip_byte(strcat(strcpy(path, run), "/checkpoints/step_00000006/model.safetensors"));
    options = (struct run_options){.resume = RESUME_AUTO, .command = "test"};
    assert_fails(run_train(&bench.setup, &options), STATUS_CORRUPT, "none of the 2 checkpoints");
    assert_fails(run_train(&bench.setup, &options), STATUS_CORRUPT, "none of the 2 checkpoints");
    snprintf(path, sizeof path, "%s/metrics.jsonl", run);
    assert_int_equal(count_lines(path, &last), 8);
    training_bench_close(&bench);
}

/* The signal comes before the first step: one step, a checkpoint, and the caller is told to start again. */
static void a_signal_saves_and_asks_to_be_started_again(void **state)
{
    (void)state;
    char run[600];
    snprintf(run, sizeof run, "%s/signal", test_directory());
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct training_bench bench;
        bench_open(&bench, run);
        bench.train.steps = 1000000;
        struct run_options options = {.resume = RESUME_AUTO, .command = "test"};
        alarm(600);
        _exit((int)run_train(&bench.setup, &options));
    }
    char metrics[800];
    snprintf(metrics, sizeof metrics, "%s/metrics.jsonl", run);
    for (int i = 0; i < 3000; i++) { /* until the first step is logged */
        struct stat information;
        if (stat(metrics, &information) == 0 && information.st_size > 0)
            break;
        usleep(10000);
    }
    assert_int_equal(kill(child, SIGTERM), 0);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), STATUS_REQUEUE);
    char *newest;
    assert_ok(checkpoint_newest(run, false, &newest));
    assert_non_null(newest);
    json_t *saved;
    int64_t step, last;
    assert_ok(checkpoint_read_state(newest, &saved));
    assert_ok(jdoc_get_int("state", saved, "step", 1, 1000000, &step));
    count_lines(metrics, &last);
    assert_int_equal(last, step);
    json_decref(saved);
    free(newest);
}

static int make_corpus(void **state)
{
    (void)state;
    tiny_corpus_make(40, test_seed(), &corpus);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_leaves_whole_checkpoints_and_falls_back_past_a_damaged_one),
        cmocka_unit_test(a_signal_saves_and_asks_to_be_started_again),
    };
    return cmocka_run_group_tests(tests, make_corpus, NULL);
}
