/* Two programs started at random moments on one run, dataset or tokenizer: one wins, the other is refused by a line that
 * names the first, or waits and uses what the first made; one of them may be killed. Whatever happens, nothing is harmed:
 * the end is what one program alone would have made, to the byte. 15 pairs, 200 in the long form. */
#include "support/faults.h"
#include "support/process.h"
#include "support/test_support.h"
#include "support/tiny_prepare.h"
#include "support/tiny_run.h"

#include "core/log.h"
#include "io/atomic_file.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STEPS = 24, REFUSED = 2 };

static char folder[600], reference_run[700], reference_tokenizer[2][700], reference_datasets[3][700];
static double train_seconds, prepare_seconds;

static const char *place(const char *name)
{
    static char paths[16][1000];
    static int next;
    char *path = paths[next++ % 16];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static double share(struct rng *rng)
{
    return (double)rng_u32(rng) / 4294967296.0;
}

static void wait_seconds(double seconds)
{
    usleep((useconds_t)(1e6 * seconds));
}

static char *read_output(const char *path)
{
    static char text[1 << 16];
    run_command(text, sizeof text, "cat '%s'", path);
    return text;
}

static bool says(const char *output, const char *part)
{
    return strstr(read_output(output), part) != NULL;
}

/* ---- starting ---- */

static pid_t start_train(const char *run, const char *output)
{
    const char *keep_all[] = {"train.keep=1000", NULL};
    const struct tiny_start start = {
        .folder = folder, .run = place(run), .output = place(output), .arguments = keep_all};
    return tiny_run_start(&start);
}

/* bin/prepare on the manifests of that version, in a folder where only names differ from the references'. */
struct preparation {
    int version;
    const char *out;          /* OUT/tokenizer and OUT/datasets */
    const char *arguments[4]; /* NULL-terminated */
};

static pid_t start_prepare(const struct preparation *preparation, const char *output)
{
    static char texts[5][2000];
    const char *argv[12] = {texts[0], "--config", texts[1], texts[2], texts[3], texts[4], "prepare.shard_rows=1"};
    snprintf(texts[0], sizeof texts[0], "%s/prepare", TEST_PROGRAM_DIRECTORY);
    snprintf(texts[1], sizeof texts[1], "%s/clips/prepare.yaml", folder);
    snprintf(texts[2], sizeof texts[2], "prepare.manifests=%s/clips/%d/speech.jsonl,%s/clips/%d/text.jsonl", folder,
             preparation->version, folder, preparation->version);
    snprintf(texts[3], sizeof texts[3], "tokenizer.folder=%s/tokenizer", place(preparation->out));
    snprintf(texts[4], sizeof texts[4], "prepare.output=%s/datasets", place(preparation->out));
    for (int i = 0; i < 4 && preparation->arguments[i]; i++)
        argv[7 + i] = preparation->arguments[i];
    return process_start(argv, NULL, place(output));
}

static void remove_all(const char *name)
{
    assert_ok(remove_tree(place(name)));
}

/* The tokenizer that all preparations but those of tokenizers use. */
static void give_tokenizer(const char *out)
{
    char text[1000];
    remove_all(out);
    assert_int_equal(run_command(text, sizeof text, "mkdir -p '%s' && cp -rp '%s' '%s/tokenizer'", place(out),
                                 reference_tokenizer[0], place(out)),
                     0);
}

static const char *unlike(const char *found, const char *expected)
{
    static char text[3000];
    return run_command(text, sizeof text, "diff -r '%s' '%s'", found, expected) == 0 ? NULL : text;
}

/* ---- what must hold ---- */

static void fail_pair(const char *what, const int codes[2], const char *problem)
{
    static char first[1 << 16];
    snprintf(first, sizeof first, "%s", read_output(place("first")));
    fail_msg("%s: exit codes %d and %d: %s\n--- first ---\n%s\n--- second ---\n%s", what, codes[0], codes[1], problem,
             first, read_output(place("second")));
}

/* A refused one says so in one last line that names a holder; at most one is refused, a killed one aside. */
static void check_codes(const char *what, const int codes[2], bool killed, const char *refusal)
{
    static const char *const outputs[2] = {"first", "second"};
    int refused = 0;
    for (int i = 0; i < 2; i++) {
        if (codes[i] == 0 || (killed && i == 0 && codes[i] == 128 + SIGKILL))
            continue;
        refused++;
        if (codes[i] != REFUSED || !fault_is_told(place(outputs[i])) || !says(place(outputs[i]), refusal) ||
            !says(place(outputs[i]), "(process "))
            fail_pair(what, codes, "neither done nor refused by name");
    }
    if (refused > 1)
        fail_pair(what, codes, "both were refused");
}

static void wait_both(const pid_t processes[2], bool kill_first, double moment, int codes[2])
{
    if (kill_first) {
        wait_seconds(moment);
        kill(processes[0], SIGKILL);
    }
    codes[0] = process_wait(processes[0]);
    codes[1] = process_wait(processes[1]);
}

/* ---- pairs ---- */

static int tally_refused, tally_killed, tally_pairs;

static void count_pair(const int codes[2])
{
    tally_pairs++;
    tally_refused += codes[0] == REFUSED || codes[1] == REFUSED;
    tally_killed += codes[0] == 128 + SIGKILL;
}

static void pair_of_trains(struct rng *rng)
{
    bool kill_first = rng_below(rng, 3) == 0;
    pid_t processes[2];
    int codes[2];
    remove_all("run");
    processes[0] = start_train("run", "first");
    wait_seconds((kill_first ? 0.7 : 1.2) * train_seconds * share(rng));
    processes[1] = start_train("run", "second");
    wait_both(processes, kill_first, 0.5 * train_seconds * share(rng), codes);
    check_codes("train", codes, kill_first, "in use by train (process ");
    if (codes[0] != 0 && codes[1] != 0) { /* killed, after the second had been refused: its lock is taken over */
        codes[1] = process_wait(start_train("run", "second"));
        if (codes[1] != 0 || says(place("second"), ".lock") || says(place("second"), "in use"))
            fail_pair("train", codes, "no takeover without a word");
    }
    const char *bad = tiny_run_bad_checkpoint(place("run"), reference_run, STEPS, true, 1);
    bad = bad ? bad : tiny_run_bad_metrics(place("run"), reference_run, STEPS);
    bad = bad ? bad : tiny_run_leftover(place("run"));
    bad = bad ? bad : access(place("run/.train.lock"), F_OK) == 0 ? "the lock's file is left" : NULL;
    if (bad)
        fail_pair("train", codes, bad);
    count_pair(codes);
}

/* The same command twice: both end well, whoever makes which shard; a killed one's shards are made by the other. */
static void pair_of_equal_prepares(struct rng *rng)
{
    const struct preparation preparation = {.version = 1, .out = "out"};
    bool kill_first = rng_below(rng, 3) == 0;
    pid_t processes[2];
    int codes[2];
    give_tokenizer("out");
    processes[0] = start_prepare(&preparation, "first");
    wait_seconds(prepare_seconds * share(rng));
    processes[1] = start_prepare(&preparation, "second");
    wait_both(processes, kill_first, 0.7 * prepare_seconds * share(rng), codes);
    if ((codes[0] != 0 && !(kill_first && codes[0] == 128 + SIGKILL)) || codes[1] != 0)
        fail_pair("prepare", codes, "an equal one was refused");
    /* One that was killed after the other had ended left its lock behind, which the next one takes away. */
    if (codes[0] != 0 && process_wait(start_prepare(&preparation, "third")) != 0)
        fail_pair("prepare after a killed one", codes, read_output(place("third")));
    const char *bad = unlike(place("out/datasets"), reference_datasets[1]);
    if (bad)
        fail_pair("prepare", codes, bad);
    count_pair(codes);
}

/* Different manifests for one dataset: one is refused, or they ran one after the other. */
static void pair_of_different_prepares(struct rng *rng)
{
    int version = 1 + (int)rng_below(rng, 2);
    const struct preparation first = {.version = version, .out = "out"},
                             second = {.version = 3 - version, .out = "out"};
    pid_t processes[2];
    int codes[2];
    give_tokenizer("out");
    processes[0] = start_prepare(&first, "first");
    wait_seconds(prepare_seconds * share(rng));
    processes[1] = start_prepare(&second, "second");
    wait_both(processes, false, 0, codes);
    check_codes("prepare", codes, false, "in use, for something else, by prepare (process ");
    const char *bad = unlike(place("out/datasets"), reference_datasets[1]);
    bad = bad ? unlike(place("out/datasets"), reference_datasets[2]) : NULL;
    if (bad)
        fail_pair("prepare of different manifests", codes, bad);
    count_pair(codes);
}

/* Parts run together, also the same part twice. */
static void pair_of_parts(struct rng *rng)
{
    bool same = rng_below(rng, 2) == 0;
    const struct preparation first = {.version = 1, .out = "out", .arguments = {"--stage", "shards", "--part", "1/2"}};
    struct preparation second = first;
    second.arguments[3] = "2/2";
    pid_t processes[3];
    int codes[2];
    give_tokenizer("out");
    processes[0] = start_prepare(&first, "first");
    wait_seconds(0.5 * prepare_seconds * share(rng));
    processes[1] = start_prepare(&second, "second");
    processes[2] = start_prepare(same ? &second : &first, "third");
    wait_both(processes, false, 0, codes);
    if (codes[0] != 0 || codes[1] != 0 || process_wait(processes[2]) != 0)
        fail_pair("parts", codes, read_output(place("third")));
    const struct preparation index = {.version = 1, .out = "out", .arguments = {"--stage", "index"}};
    processes[0] = start_prepare(&index, "first");
    processes[1] = start_prepare(&index, "second");
    wait_both(processes, false, 0, codes);
    const char *bad = unlike(place("out/datasets"), reference_datasets[1]);
    if (bad || codes[0] != 0 || codes[1] != 0)
        fail_pair("index after parts", codes, bad ? bad : "failed");
    count_pair(codes);
}

/* Two that fit one tokenizer: the loser uses the winner's if it would have made the same, else it is refused. */
static void pair_of_fits(struct rng *rng)
{
    static const char *const seeds[2] = {"tokenizer.seed=1", "tokenizer.seed=2"};
    bool differ = rng_below(rng, 2) == 0, kill_first = rng_below(rng, 4) == 0;
    const struct preparation first = {.version = 1, .out = "out", .arguments = {"--stage", "fit", seeds[0]}};
    const struct preparation second = {.version = 1, .out = "out", .arguments = {"--stage", "fit", seeds[differ]}};
    pid_t processes[2];
    int codes[2];
    remove_all("out");
    processes[0] = start_prepare(&first, "first");
    wait_seconds(0.5 * prepare_seconds * share(rng));
    processes[1] = start_prepare(&second, "second");
    wait_both(processes, kill_first, 0.3 * prepare_seconds * share(rng), codes);
    check_codes("fit", codes, kill_first, differ ? "in use, for something else, by prepare (process " : "(no refusal)");
    if (codes[0] != 0 && codes[1] != 0)
        assert_int_equal(process_wait(start_prepare(&first, "second")), 0);
    assert_ok(directory_verify(place("out/tokenizer"), true));
    const char *bad = unlike(place("out/tokenizer"), reference_tokenizer[0]);
    bad = bad && differ ? unlike(place("out/tokenizer"), reference_tokenizer[1]) : bad;
    if (bad)
        fail_pair("fit", codes, bad);
    count_pair(codes);
}

static void of_two_programs_one_wins(void **state)
{
    (void)state;
    static void (*const kinds[])(struct rng * rng) = {pair_of_trains, pair_of_equal_prepares,
                                                      pair_of_fits,   pair_of_different_prepares,
                                                      pair_of_trains, pair_of_parts};
    struct rng rng = rng_make(test_seed(), RNG_TEST, 92, 0);
    int pairs = test_is_long() ? 200 : 15, kind_count = (int)(sizeof kinds / sizeof *kinds);
    for (int i = 0; i < pairs; i++)
        kinds[i % kind_count](&rng);
    print_message("%d pairs: in %d one was refused, in %d one was killed\n", tally_pairs, tally_refused, tally_killed);
}

/* ---- file systems without locks ---- */

static void without_locks_nothing_is_written(void **state)
{
    (void)state;
    static const char *const answers[] = {"ENOLCK", "EOPNOTSUPP", "ENOSYS", "EINVAL"};
    const char *none[] = {"files.locks=none", NULL};
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        const struct fault fault = {.root = folder, .locks = answers[i]};
        struct tiny_start start = {.folder = folder, .run = place("unlocked/run"), .output = place("first")};
        start.variables = fault_variables(&fault);
        assert_int_equal(tiny_run_train(&start), REFUSED);
        assert_true(fault_is_told(place("first")));
        assert_true(says(place("first"), "files.locks=none"));
        assert_int_not_equal(access(place("unlocked"), F_OK), 0);
        start.arguments = none;
        if (i == 0)
            assert_int_equal(tiny_run_train(&start), 0);
        remove_all("unlocked");
    }
}

static void prepare_needs_locks_as_well(void **state)
{
    (void)state;
    const struct fault fault = {.root = folder, .locks = "ENOLCK"};
    assert_int_equal(tiny_prepare_run(place("clips"), 1, place("out2"), place("first"), fault_variables(&fault)),
                     REFUSED);
    assert_true(fault_is_told(place("first")));
    assert_true(says(place("first"), "files.locks=none"));
    assert_int_not_equal(access(place("out2"), F_OK), 0);
    /* A dataset that is there and current is only looked at. */
    assert_int_equal(tiny_prepare_run(place("clips"), 1, place("out2"), place("first"), NULL), 0);
    assert_int_equal(tiny_prepare_run(place("clips"), 1, place("out2"), place("first"), fault_variables(&fault)), 0);
}

static void a_finished_dataset_is_left_untouched(void **state)
{
    (void)state;
    char text[1000];
    const char *out = place("finished");
    assert_int_equal(tiny_prepare_run(place("clips"), 1, out, place("first"), NULL), 0);
    assert_int_equal(
        run_command(text, sizeof text, "find '%s' | xargs ls -ld --time-style=full-iso > '%s'", out, place("before")),
        0);
    assert_int_equal(tiny_prepare_run(place("clips"), 1, out, place("first"), NULL), 0);
    assert_int_equal(run_command(text, sizeof text, "find '%s' | xargs ls -ld --time-style=full-iso | diff - '%s'", out,
                                 place("before")),
                     0); /* no time of any file or folder has changed */
}

/* ---- what one program alone makes ---- */

static int make_references(void **state)
{
    (void)state;
    const char *keep_all[] = {"train.keep=1000", NULL};
    char text[1000];
    snprintf(folder, sizeof folder, "%s/ownership", test_directory());
    tiny_run_make(folder);
    tiny_prepare_make(place("clips"));
    snprintf(reference_run, sizeof reference_run, "%s", place("reference"));
    const struct tiny_start start = {
        .folder = folder, .run = reference_run, .output = place("first"), .arguments = keep_all};
    double began = clock_seconds();
    int failed = tiny_run_train(&start);
    train_seconds = clock_seconds() - began;
    for (int seed = 1; seed <= 2; seed++) {
        const struct preparation fit = {
            .version = 1, .out = "made", .arguments = {"--stage", "fit", seed == 1 ? NULL : "tokenizer.seed=2"}};
        remove_all("made");
        failed |= process_wait(start_prepare(&fit, "first"));
        snprintf(reference_tokenizer[seed - 1], sizeof reference_tokenizer[0], "%s/tokenizer_%d", folder, seed);
        failed |=
            run_command(text, sizeof text, "mv '%s/tokenizer' '%s'", place("made"), reference_tokenizer[seed - 1]);
    }
    for (int version = 1; version <= 2; version++) {
        const struct preparation preparation = {.version = version, .out = "made"};
        give_tokenizer("made");
        began = clock_seconds();
        failed |= process_wait(start_prepare(&preparation, "first"));
        prepare_seconds = clock_seconds() - began;
        snprintf(reference_datasets[version], sizeof reference_datasets[0], "%s/datasets_%d", folder, version);
        failed |= run_command(text, sizeof text, "mv '%s/datasets' '%s'", place("made"), reference_datasets[version]);
    }
    print_message("train takes %.2f s, prepare %.2f s\n", train_seconds, prepare_seconds);
    return failed ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_two_programs_one_wins),
        cmocka_unit_test(without_locks_nothing_is_written),
        cmocka_unit_test(prepare_needs_locks_as_well),
        cmocka_unit_test(a_finished_dataset_is_left_untouched),
    };
    return cmocka_run_group_tests(tests, make_references, NULL);
}
