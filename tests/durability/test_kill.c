/* bin/train is killed (SIGKILL) at random moments and started again until it finishes, over and over: whatever the
 * moment, nothing that was acknowledged is lost, and every step is the undisturbed run's to the bit. 200 kills, 5,000
 * in the long form; at least a quarter of them while a checkpoint is being written. */
#include "support/process.h"
#include "support/test_support.h"
#include "support/tiny_run.h"

#include "core/log.h"
#include "io/atomic_file.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STEPS = 24 };

static char folder[600], reference[700];
/* Times of the undisturbed run: until its first save, of a step with its save, of the save alone. */
static double begin_seconds, step_seconds, save_seconds;

/* ---- whether a process is saving ---- */

/* The step whose step_N.tmp-PID-HOST is in the run; 0: none. A save first makes that folder and renames it to step_N at
 * its end, so after a kill it shows that the process was saving. If the step has already been published, the folder is
 * being removed, which is not a save. */
static int64_t step_being_saved(const char *run, pid_t process)
{
    char path[900], mark[64];
    int64_t newest = tiny_run_newest(run), step = 0;
    snprintf(path, sizeof path, "%s/checkpoints", run);
    snprintf(mark, sizeof mark, ".tmp-%ld-", (long)process);
    DIR *entries = opendir(path);
    for (struct dirent *entry; entries && (entry = readdir(entries));)
        if (strncmp(entry->d_name, "step_", 5) == 0 && strstr(entry->d_name, mark) &&
            strtoll(entry->d_name + 5, NULL, 10) > newest)
            step = strtoll(entry->d_name + 5, NULL, 10);
    if (entries)
        closedir(entries);
    return step;
}

/* ---- one life of the process ---- */

struct moment {
    int saves;    /* > 0: wait until the process has been seen in that many saves, then go on waiting ... */
    double delay; /* ... this many seconds */
};

static struct moment draw_moment(struct rng *rng)
{
    struct moment moment = {0};
    double share = (double)rng_u32(rng) / 4294967296.0;
    if (rng_below(rng, 3) > 0) {
        moment.saves = 1 + (int)rng_below(rng, 3);
        moment.delay = share * save_seconds;
    } else {
        moment.delay = share * (1.5 * begin_seconds + 3 * step_seconds);
    }
    return moment;
}

static bool has_ended(pid_t process)
{
    siginfo_t information = {0};
    return waitid(P_PID, (id_t)process, &information, WEXITED | WNOHANG | WNOWAIT) == 0 && information.si_pid != 0;
}

static void wait_for(const struct moment *moment, const char *run, pid_t process)
{
    int64_t last = 0;
    for (int seen = 0; seen < moment->saves && !has_ended(process);) {
        int64_t step = step_being_saved(run, process);
        if (step > last) {
            last = step;
            seen++;
        } else {
            usleep(200);
        }
    }
    if (moment->delay > 0)
        usleep((useconds_t)(1e6 * moment->delay));
}

struct tally {
    int64_t kills, while_saving, runs, steps;
};

/* Starts the run, kills it, and checks what is there. True when it finished before the kill. */
static bool live_and_die(const struct tiny_start *start, struct rng *rng, bool keeps_all, int64_t *acknowledged,
                         struct tally *tally)
{
    struct moment moment = draw_moment(rng);
    pid_t process = tiny_run_start(start);
    wait_for(&moment, start->run, process);
    kill(process, SIGKILL);
    int code = process_wait(process);
    if (code != 0 && code != 128 + SIGKILL) {
        char text[2000];
        run_command(text, sizeof text, "cat '%s'", start->output);
        fail_msg("kill %lld: exit code %d: %s", (long long)tally->kills, code, text);
    }
    if (code != 0) {
        tally->kills++;
        tally->while_saving += step_being_saved(start->run, process) > 0;
    }
    int64_t said = tiny_run_acknowledged(start->output);
    *acknowledged = said > *acknowledged ? said : *acknowledged;
    const char *bad = tiny_run_bad_checkpoint(start->run, reference, *acknowledged, keeps_all, 1);
    if (bad)
        fail_msg("kill %lld of %s: %s", (long long)tally->kills, start->run, bad);
    return code == 0;
}

/* Kills a run again and again until it finishes. */
static void one_run(struct rng *rng, int64_t kills, struct tally *tally)
{
    char run[700], output[700];
    bool keeps_all = tally->runs % 2 == 0, ended = false;
    const char *keep_all[] = {"train.keep=1000", NULL};
    int64_t acknowledged = 0;
    snprintf(run, sizeof run, "%s/run_%lld", folder, (long long)tally->runs);
    snprintf(output, sizeof output, "%s/output", folder);
    struct tiny_start start = {.folder = folder, .run = run, .output = output};
    start.arguments = keeps_all ? keep_all : NULL;
    while (!ended && tally->kills < kills)
        ended = live_and_die(&start, rng, keeps_all, &acknowledged, tally);
    if (!ended)
        assert_int_equal(tiny_run_train(&start), 0);
    const char *bad = tiny_run_bad_checkpoint(run, reference, STEPS, keeps_all, 1);
    bad = bad ? bad : tiny_run_bad_metrics(run, reference, STEPS);
    bad = bad ? bad : tiny_run_leftover(run);
    if (bad)
        fail_msg("%s finished, but %s", run, bad);
    assert_ok(remove_tree(run));
    tally->runs++;
    tally->steps += STEPS;
}

static void nothing_acknowledged_is_lost(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 77, 0);
    int64_t kills = test_is_long() ? 5000 : 200;
    struct tally tally = {0};
    while (tally.kills < kills)
        one_run(&rng, kills, &tally);
    print_message("%lld kills, %lld of them while saving, over %lld runs of %d steps\n", (long long)tally.kills,
                  (long long)tally.while_saving, (long long)tally.runs, STEPS);
    assert_true(tally.while_saving * 4 >= tally.kills);
}

/* The undisturbed run, watched for how long things take here. */
static int make_reference(void **state)
{
    (void)state;
    const char *keep_all[] = {"train.keep=1000", NULL};
    char output[700];
    snprintf(folder, sizeof folder, "%s/kill", test_directory());
    snprintf(reference, sizeof reference, "%s/reference", folder);
    snprintf(output, sizeof output, "%s/reference.output", folder);
    tiny_run_make(folder);
    struct tiny_start start = {.folder = folder, .run = reference, .output = output, .arguments = keep_all};
    double began = clock_seconds(), first = 0, saving = 0, looked = began;
    pid_t process = tiny_run_start(&start);
    while (!has_ended(process)) {
        usleep(200);
        double now = clock_seconds();
        saving += step_being_saved(reference, process) > 0 ? now - looked : 0;
        looked = now;
        if (first == 0 && tiny_run_newest(reference) > 0)
            first = clock_seconds();
    }
    begin_seconds = first - began;
    step_seconds = (clock_seconds() - first) / (STEPS - 1);
    save_seconds = saving / STEPS;
    print_message("until the first save %.3f s, a step with its save %.4f s, the save %.4f s\n", begin_seconds,
                  step_seconds, save_seconds);
    return process_wait(process) == 0 && tiny_run_newest(reference) == STEPS ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_acknowledged_is_lost)};
    return cmocka_run_group_tests(tests, make_reference, NULL);
}
