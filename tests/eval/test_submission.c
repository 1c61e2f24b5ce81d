/* Submissions to sLM21: what is written is read back to the bit and whole, and what zrc would refuse is refused here first. That
 * zrc accepts and scores one is shown by oracles/slm21_scores.py, for which TEST_SUBMISSION=FOLDER keeps one. */
#include "support/files.h"
#include "support/slm21_golden.h"
#include "support/test_support.h"

#include "core/rng.h"
#include "eval/zero_shot/submission.h"
#include "io/atomic_file.h"
#include "io/yaml_flat.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct submission_meta meta = {.username = "someone",
                                            .system_description = "no: a \"model\" \\ of units # 1",
                                            .train_set = "1.5",
                                            .gpu_budget = "yes",
                                            .author_label = "No\xc3\xabl et al.",
                                            .authors = "No\xc3\xabl A., B\tC",
                                            .publication_year = 2026,
                                            .institution = "- {x}",
                                            .doi = "10.1000/182",
                                            .open_source = true};

struct fixture {
    struct csv tables[2][2];
    struct slm21 golds[2][2];
    double *scores[2][2];
    struct submission_scores files[2][SUBMISSION_SETS];
};

static const char *const tasks[] = {"lexical", "syntactic"}, *const sets[] = {"dev", "test"};

static void make_fixture(struct fixture *fixture)
{
    for (int task = 0; task < 2; task++)
        for (int set = 0; set < 2; set++) {
            struct slm21 *gold = &fixture->golds[task][set];
            slm21_golden_table(slm21_golden("00/%s/%s/gold.csv", tasks[task], sets[set]), &fixture->tables[task][set]);
            assert_ok(slm21_read(&fixture->tables[task][set], (enum slm21_task)task, SLM21_REFUSE, gold));
            fixture->scores[task][set] =
                slm21_golden_scores(gold, slm21_golden("00/scores/%s/%s.txt", tasks[task], sets[set]));
            fixture->files[task][set] = (struct submission_scores){gold, fixture->scores[task][set]};
        }
}

static void free_fixture(struct fixture *fixture)
{
    for (int task = 0; task < 2; task++)
        for (int set = 0; set < 2; set++) {
            free(fixture->scores[task][set]);
            slm21_free(&fixture->golds[task][set]);
            csv_free(&fixture->tables[task][set]);
        }
}

static void check_yaml(const char *path)
{
    static const char *const expected[][2] = {{"benchmark_name", "sLM21"},
                                              {"open_source", "true"},
                                              {"username", "someone"},
                                              {"model_info.system_description", "no: a \"model\" \\ of units # 1"},
                                              {"model_info.train_set", "1.5"},
                                              {"model_info.gpu_budget", "yes"},
                                              {"publication.author_label", "No\xc3\xabl et al."},
                                              {"publication.authors", "No\xc3\xabl A., B\tC"},
                                              {"publication.institution", "- {x}"},
                                              {"publication.DOI", "10.1000/182"},
                                              {"publication.publication_year", "2026"}};
    struct yaml_flat flat;
    assert_ok(yaml_flat_read(path, &flat));
    size_t values = 0;
    for (int64_t i = 0; i < flat.count; i++) {
        if (flat.items[i].count == 0)
            continue; /* a section */
        assert_true(values < sizeof expected / sizeof *expected);
        assert_string_equal(flat.items[i].key, expected[values][0]);
        assert_string_equal(flat.items[i].values[0], expected[values++][1]);
    }
    assert_int_equal(values, sizeof expected / sizeof *expected);
    yaml_flat_free(&flat);
}

static void a_submission_is_read_back(void **state)
{
    (void)state;
    struct fixture fixture;
    char path[1024];
    const char *kept = getenv("TEST_SUBMISSION"), *folder = kept ? kept : test_path("submission");
    make_fixture(&fixture);
    assert_ok(submission_write(folder, &meta, fixture.files, kept != NULL));
    assert_ok(directory_verify(folder, true));
    for (int task = 0; task < 2; task++)
        for (int set = 0; set < 2; set++) {
            const struct slm21 *gold = &fixture.golds[task][set];
            double *read = calloc((size_t)gold->file_count, sizeof *read);
            assert_non_null(read);
            snprintf(path, sizeof path, "%s/%s/%s.txt", folder, tasks[task], sets[set]);
            assert_ok(submission_read(path, gold, read));
            assert_memory_equal(read, fixture.scores[task][set], (size_t)gold->file_count * sizeof *read);
            free(read);
        }
    snprintf(path, sizeof path, "%s/meta.yaml", folder);
    check_yaml(path);
    if (!kept) {
        assert_fails(submission_write(folder, &meta, fixture.files, false), STATUS_USAGE, "submission");
        fixture.files[1][0].gold = fixture.files[1][1].gold = NULL;
        assert_ok(submission_write(folder, &meta, fixture.files, true));
        assert_ok(directory_verify(folder, true)); /* nothing of the old one is left */
        snprintf(path, sizeof path, "%s/syntactic/dev.txt", folder);
        assert_fails(submission_read(path, &fixture.golds[1][0], fixture.scores[1][0]), STATUS_USAGE,
                     "syntactic/dev.txt");
    }
    free_fixture(&fixture);
}

/* Neighbouring numbers stay apart and equal ones equal, of either precision; whole numbers do not look like integers. */
static void digits_are_enough(void **state)
{
    (void)state;
    struct fixture fixture;
    make_fixture(&fixture);
    const struct slm21 *gold = &fixture.golds[0][0];
    double *scores = fixture.scores[0][0], *read = calloc((size_t)gold->file_count, sizeof *read);
    struct submission_scores files[2][SUBMISSION_SETS] = {{fixture.files[0][0]}};
    struct rng rng = rng_make(test_seed(), RNG_TEST, 0, 0);
    assert_non_null(read);
    for (int round = 0; round < 20; round++) {
        bool single = round % 2 == 0;
        for (int64_t i = 0; i < gold->file_count; i++) {
            double before = i > 0 ? scores[i - 1] : -30 * rng_uniform(&rng);
            float next = nextafterf((float)before, -INFINITY);
            scores[i] = i % 3 == 2 ? before : single ? (double)next : nextafter(before, -INFINITY);
        }
        if (single)
            scores[0] = (double)(float)scores[0];
        if (round == 18)
            for (int64_t i = 0; i < gold->file_count; i++)
                scores[i] = (double)-i;
        assert_ok(submission_write(test_path("digits"), &meta, files, true));
        assert_ok(submission_read(test_path("digits/lexical/dev.txt"), gold, read));
        for (int64_t i = 0; i < gold->file_count; i++) {
            if (single ? (float)read[i] != (float)scores[i] : read[i] != scores[i])
                fail_msg("round %d, row %lld: %.17g, expected %.17g", round, (long long)i, read[i], scores[i]);
            assert_true(i == 0 || (read[i] < read[i - 1]) == (scores[i] < scores[i - 1]));
            assert_true(i == 0 || (read[i] == read[i - 1]) == (scores[i] == scores[i - 1]));
        }
        void *text = NULL;
        int64_t size = 0, with_point = 0;
        assert_ok(file_read(test_path("digits/lexical/dev.txt"), 1 << 20, &text, &size));
        for (const char *at = text; (at = strpbrk(at, ".e\n")); at++)
            with_point += *at == '\n' && at[-1] != ' ';
        assert_int_equal(with_point, gold->file_count);
        assert_true(round != 18 || strstr(text, " -1.0\n"));
        free(text);
    }
    free(read);
    free_fixture(&fixture);
}

static void what_zrc_would_refuse_is_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    make_fixture(&fixture);
    const char *folder = test_path("refused");
    struct submission_meta bad = meta;
    bad.authors = "";
    assert_fails(submission_write(folder, &bad, fixture.files, false), STATUS_USAGE, "needs publication.authors");
    bad = meta;
    bad.username = NULL;
    assert_fails(submission_write(folder, &bad, fixture.files, false), STATUS_USAGE, "needs username");
    bad = meta;
    bad.train_set = "<required(str): the dateset used to train the system>";
    assert_fails(submission_write(folder, &bad, fixture.files, false), STATUS_USAGE,
                 "model_info.train_set is \"<required(str): the dateset used to train the system>\", which has not "
                 "been filled in");
    bad = meta;
    bad.code_url = "a\xff";
    assert_fails(submission_write(folder, &bad, fixture.files, false), STATUS_USAGE, "code_url is not UTF-8");
    bad = meta;
    bad.publication_year = 0;
    assert_fails(submission_write(folder, &bad, fixture.files, false), STATUS_USAGE, "publication.publication_year");
    struct submission_scores none[2][SUBMISSION_SETS] = {{{0}}};
    assert_fails(submission_write(folder, &meta, none, false), STATUS_USAGE, "without any scores");
    double before = fixture.scores[1][1][3];
    fixture.scores[1][1][3] = NAN;
    assert_fails(submission_write(folder, &meta, fixture.files, false), STATUS_CORRUPT, fixture.golds[1][1].files[3]);
    fixture.scores[1][1][3] = before;
    fixture.golds[0][1].files[2] = "a b";
    assert_fails(submission_write(folder, &meta, fixture.files, false), STATUS_CORRUPT,
                 "the recording \"a b\" has a space");
    assert_fails(directory_verify(folder, false), STATUS_USAGE, "refused"); /* none of them has left a folder */
    free_fixture(&fixture);
}

static void faulty_lines_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"a 1\nb\n", "s.txt:2: expected \"NAME SCORE\", found \"b\""},
        {"a 1\nb  2\n", "s.txt:2: expected \"NAME SCORE\""},
        {"a 1\nb 2 3\n", "s.txt:2: expected \"NAME SCORE\""},
        {"a 1\nb\t2\n", "s.txt:2: expected \"NAME SCORE\""},
        {"a 1\n\nb 2\n", "s.txt:2: expected \"NAME SCORE\", found \"\""},
        {"a 1\nb nan\n", "s.txt:2: the score of \"b\" is \"nan\"; expected a finite number"},
        {"a 1\nb -inf\n", "s.txt:2: the score of \"b\" is \"-inf\""},
        {"a 1\nb 1e999\n", "s.txt:2: the score of \"b\" is \"1e999\""},
        {"a 1\nb 0x10\n", "s.txt:2: the score of \"b\" is \"0x10\""},
        {"a 1\nb 1-\n", "s.txt:2: the score of \"b\" is \"1-\""},
        {"a 1\nc 2\nb 2\n", "s.txt:2: gold.csv has no recording \"c\""},
        {"a 1\nb 2\na 1\n", "s.txt:3: there was already a score of \"a\""},
        {"b 1\n", "s.txt: no score of the recording \"a\" (1 of 2 are missing)"},
        {"", "s.txt: no score of the recording \"a\" (2 of 2 are missing)"},
    };
    struct csv table;
    struct slm21 gold;
    double scores[2];
    slm21_golden_table("filename,id,voice,type,subtype,transcription,correct\na,1,A,t,s,x,1\nb,1,A,t,s,y,0\n", &table);
    assert_ok(slm21_read(&table, SLM21_SYNTACTIC, SLM21_REFUSE, &gold));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_text(test_path("s.txt"), cases[i].text);
        assert_fails(submission_read(test_path("s.txt"), &gold, scores), STATUS_CORRUPT, cases[i].part);
    }
    write_plainly(test_path("s.txt"), "a 1\nb 2\0\n", 9);
    assert_fails(submission_read(test_path("s.txt"), &gold, scores), STATUS_CORRUPT, "s.txt:2: a NUL");
    write_text(test_path("s.txt"), "b -2.5e1\r\na +1");
    assert_ok(submission_read(test_path("s.txt"), &gold, scores));
    assert_true(scores[0] == 1 && scores[1] == -25);
    slm21_free(&gold);
    csv_free(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_submission_is_read_back),
        cmocka_unit_test(digits_are_enough),
        cmocka_unit_test(what_zrc_would_refuse_is_refused),
        cmocka_unit_test(faulty_lines_are_named),
    };
    return cmocka_run_group_tests(tests, slm21_golden_open, slm21_golden_close);
}
