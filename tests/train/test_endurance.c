/* A run of many steps, saves and resumes in one process: what it holds of memory, descriptors and threads does not
 * grow. SPIRITLM_TEST_LONG makes it 20,000 steps, 1,000 saves and 200 resumes; else a tenth. */
#include "support/test_kernels.h"
#include "support/test_support.h"
#include "support/training_bench.h"

#include "train/run.h"

#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { STEPS_A_RUN = 100, SAVE_EVERY = 20, LONG_RUNS = 200, SHORT_RUNS = 20 };
enum {
    KILOBYTES = 128,       /* that a leak must exceed; what threads and libraries keep varies by 20 */
    KILOBYTES_A_START = 4, /* run.json keeps every start and is read whole at the next: 2.5 parsed, and as text */
};

static struct tiny_corpus corpus;

struct holdings {
    long kilobytes;
    int descriptors, threads;
};

static int entries_in(const char *folder)
{
    int count = 0;
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count - 2;
}

/* Its own pages, resident or swapped out. Those of files (programs, libraries) come and go as the machine likes, and
 * how much the allocator keeps of what is free is a matter of the threads' timing. */
static long own_kilobytes(void)
{
    malloc_trim(0);
    char line[200];
    long value, sum = 0;
    FILE *file =
        fopen("/proc/self/smaps_rollup", "r"); /* counted page by page; status only estimates on some kernels */
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "Anonymous: %ld kB", &value) == 1 || sscanf(line, "Swap: %ld kB", &value) == 1)
            sum += value;
    fclose(file);
    assert_true(sum > 0);
    return sum;
}

static struct holdings holdings_now(void)
{
    return (struct holdings){.descriptors = entries_in("/proc/self/fd"), .threads = entries_in("/proc/self/task")};
}

/* A thread that draws rows comes and goes, has a shard's file open for a while, and the kernel lists it for a moment more when
 * it has been joined: the least of half a second. */
static struct holdings without_passing_threads(struct holdings now)
{
    for (int look = 0; look < 500; look++) {
        usleep(1000);
        struct holdings next = holdings_now();
        now.threads = next.threads < now.threads ? next.threads : now.threads;
        now.descriptors = next.descriptors < now.descriptors ? next.descriptors : now.descriptors;
    }
    return now;
}

/* A passing thread has low priority, and on a busy machine it may take seconds to go; a leak never goes. */
static void assert_no_more(struct holdings now, struct holdings first)
{
    for (int i = 0; i < 60000 && (now.threads > first.threads || now.descriptors > first.descriptors); i++) {
        usleep(1000);
        now = holdings_now();
    }
    assert_true(now.descriptors <= first.descriptors);
    assert_true(now.threads <= first.threads);
}

/* ---- within a run: the same at every step ---- */

static struct {
    struct holdings first;
    int64_t samples;
} within;

static enum status watched_clip_scale(const struct device_context *context, const struct clip_scale *p)
{
    struct holdings now = holdings_now();
    if (within.samples++ == 0)
        within.first = without_passing_threads(now);
    assert_no_more(now, within.first);
    return test_kernels()->clip_scale(context, p);
}

/* One start of the program: everything is opened, a checkpoint is taken up, and all is closed again. */
static void one_run(const char *folder, int64_t steps)
{
    struct training_bench bench;
    struct run_options options = {.resume = RESUME_AUTO, .command = "test"};
    training_bench_open(&bench, &corpus, folder, NULL, 2);
    bench.data.lanes = 2;
    bench.data.sequence_length = 16;
    bench.data.validation = bench.data.train;
    bench.model.hidden_size = 16;
    bench.model.intermediate_size = 16;
    bench.model.layers = 1;
    bench.train.steps = steps;
    bench.train.save_every = SAVE_EVERY;
    bench.train.validate_every = STEPS_A_RUN;
    bench.train.spike_deviations = 1e6;
    bench.kernels.clip_scale = watched_clip_scale;
    assert_ok(run_train(&bench.setup, &options));
    training_bench_close(&bench);
}

/* The least of some runs: a leak lifts it, and what the threads' timing adds to single runs does not. */
static long least_kilobytes(const struct holdings *holdings, int first, int last)
{
    long least = holdings[first].kilobytes;
    for (int i = first + 1; i < last; i++)
        least = holdings[i].kilobytes < least ? holdings[i].kilobytes : least;
    return least;
}

static void nothing_grows(void **state)
{
    (void)state;
    static struct holdings after[LONG_RUNS];
    char folder[600];
    int runs = test_is_long() ? LONG_RUNS : SHORT_RUNS;
    snprintf(folder, sizeof folder, "%s/run", test_directory());
    for (int i = 0; i < runs; i++) {
        one_run(folder, (int64_t)(i + 1) * STEPS_A_RUN);
        after[i] = i == 0 ? without_passing_threads(holdings_now()) : holdings_now();
        after[i].kilobytes = own_kilobytes();
        assert_no_more(after[i], after[0]);
        if (i % (runs / 10) == 0 || i == runs - 1)
            print_message("%d steps, %d saves, %d resumes: %ld kB, %d descriptors, %d threads\n", (i + 1) * STEPS_A_RUN,
                          (i + 1) * STEPS_A_RUN / SAVE_EVERY, i, after[i].kilobytes, after[i].descriptors,
                          after[i].threads);
    }
    /* The first quarter fills caches and the allocator's pools. */
    long early = least_kilobytes(after, runs / 4, runs / 2), late = least_kilobytes(after, 3 * runs / 4, runs);
    assert_int_equal(within.samples, runs * STEPS_A_RUN);
    print_message("at each of %lld steps: %d descriptors, %d threads\n", (long long)within.samples,
                  within.first.descriptors, within.first.threads);
    print_message("its own pages: at least %ld kB in the second quarter, %ld kB in the last\n", early, late);
#ifndef __SANITIZE_ADDRESS__ /* which keeps what is freed for a while */
    if (!(late - early <= KILOBYTES + KILOBYTES_A_START * runs / 2))
        fail_msg("%ld kB more are held in the last quarter than in the second", late - early);
#endif
}

static int make_corpus(void **state)
{
    (void)state;
    mallopt(M_ARENA_MAX, 1); /* which heap a thread gets is a matter of timing, and each keeps half a megabyte */
    tiny_corpus_make(20, test_seed(), &corpus);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_grows),
    };
    return cmocka_run_group_tests(tests, make_corpus, NULL);
}
