/* Corpora for few-shot tasks: what their archives may look like, what is refused, and which items become examples. */
#include "support/archive_builder.h"
#include "support/files.h"
#include "support/generation_world.h"
#include "support/test_support.h"

#include "core/hash.h"
#include "eval/few_shot/corpus.h"
#include "io/atomic_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum status corpus_reader(struct archive *archive, bool skip, struct corpus *corpus);

/* What is in an archive: name, contents. */
struct file {
    const char *name, *text;
};

enum { FOLDER, TAR, TAR_GZ, ZIP, FORMS };

/* The same files in each form; `name` without an ending for the folder. */
static const char *write_archive(int form, const char *name, const struct file *files)
{
    static const char *const endings[FORMS] = {"", ".tar", ".tar.gz", ".zip"};
    struct archive_builder builder = {0};
    const char *path = test_path("%s%s", name, endings[form]);
    assert_ok(remove_tree(path));
    for (; files->name; files++) {
        int64_t size = (int64_t)strlen(files->text);
        if (form == FOLDER)
            generation_file_write(test_path("%s/%s", name, files->name), files->text);
        else if (form == ZIP)
            zip_add(&builder, files->name, (int64_t)strlen(files->name), files->text, size, (struct zip_form){0});
        else
            tar_add(&builder, files->name, '0', "", files->text, size);
    }
    if (form == FOLDER)
        return path;
    if (form == ZIP)
        zip_end(&builder, "", false);
    else
        tar_end(&builder, 2);
    if (form == TAR_GZ)
        builder_gzip(&builder);
    builder_write(&builder, path);
    builder_free(&builder);
    return path;
}

static enum status read_archive(corpus_reader *reader, const char *path, bool skip, struct corpus *corpus)
{
    struct archive *archive;
    assert_ok(archive_open(path, &archive));
    enum status status = reader(archive, skip, corpus);
    for (int64_t i = 0; status == STATUS_OK && i < corpus->count; i++)
        assert_true(corpus->items[i].member >= 0 && corpus->items[i].member < archive_count(archive));
    archive_close(archive);
    return status;
}

/* "ID PART SPEAKER ANSWER" of an item. */
static void expect_items(const struct corpus *corpus, const char *const *expected, int64_t count, const char *where)
{
    assert_int_equal(corpus->count, count);
    for (int64_t i = 0; i < count; i++) {
        const struct corpus_item *item = &corpus->items[i];
        char text[512];
        snprintf(text, sizeof text, "%s|%s|%s|%s", item->id, item->part, item->speaker, item->answer);
        if (strcmp(text, expected[i]) != 0)
            fail_msg("%s: expected %s, found %s", where, expected[i], text);
        assert_int_equal(corpus_find(corpus, item->id), i);
    }
    assert_int_equal(corpus_find(corpus, "nobody"), -1);
}

/* ---- LibriSpeech ---- */

#define LIBRI(root)                                                                                                    \
    {root "test-other/10/2/10-2-0000.wav", "x"}, {root "test-other/10/2/10-2.trans.txt", "10-2-0000 IT'S\tA\n"},       \
        {root "test-clean/9/7/9-7-0001.flac", "x"},                                                                    \
        {root "test-clean/9/7/9-7.trans.txt", "\r\n9-7-0001 ONE  TWO\r\n \t\n9-7-0000\tCAF\xC3\x89\n9-7-0002"},        \
        {root "test-clean/9/7/9-7-0000.flac", "x"}, {root "test-clean/9/7/9-7-0002.wav", "x"},                         \
    {                                                                                                                  \
        root "README.TXT", "nothing"                                                                                   \
    }

static void librispeech_is_read_in_every_shape(void **state)
{
    (void)state;
    static const char *const expected[] = {"10-2-0000|test-other|10|IT'S\tA", "9-7-0000|test-clean|9|CAF\xC3\x89",
                                           "9-7-0001|test-clean|9|ONE  TWO", "9-7-0002|test-clean|9|"};
    static const struct file shapes[][8] = {{LIBRI("")}, {LIBRI("LibriSpeech/")}, {LIBRI("a b/c/LibriSpeech/")}};
    for (int form = 0; form < FORMS; form++)
        for (size_t shape = 0; shape < 3; shape++) {
            struct corpus corpus;
            const char *path = write_archive(form, "libri", shapes[shape]);
            assert_ok(read_archive(librispeech_read, path, false, &corpus));
            expect_items(&corpus, expected, 4, path);
            assert_int_equal(corpus.missing, 0);
            corpus_free(&corpus);
            assert_int_equal(corpus.count, 0);
        }
}

/* An archive that is one subset is called as its file is. */
static void a_single_subset_has_the_archives_name(void **state)
{
    (void)state;
    static const struct file files[] = {{"84/1/84-1-0000.flac", "x"}, {"84/1/84-1.trans.txt", "84-1-0000 GO"}, {0}};
    static const char *const names[] = {"dev-clean", "in/test-clean"};
    for (int form = 0; form < FORMS; form++)
        for (int n = 0; n < 2; n++) {
            struct corpus corpus;
            char line[64];
            const char *const expected[] = {line};
            assert_ok(make_directories(test_path("in")));
            const char *path = write_archive(form, names[n], files);
            snprintf(line, sizeof line, "84-1-0000|%s|84|GO", n == 0 ? "dev-clean" : "test-clean");
            assert_ok(read_archive(librispeech_read, path, false, &corpus));
            expect_items(&corpus, expected, 1, path);
            corpus_free(&corpus);
        }
    struct corpus corpus;
    const char *path = test_path("in/test-clean///");
    write_archive(FOLDER, "in/test-clean", files);
    assert_ok(read_archive(librispeech_read, path, false, &corpus));
    assert_string_equal(corpus.items[0].part, "test-clean");
    corpus_free(&corpus);
}

/* What is refused, and with skip left out and counted. */
static void librispeech_faults_are_named(void **state)
{
    (void)state;
    static const struct {
        struct file files[5];
        const char *error;  /* refused without skip; NULL: not */
        const char *always; /* refused with skip too; NULL: not */
        int64_t count, missing;
    } cases[] = {
        {{{"s/1/2/1-2-0.flac", ""}, {"s/1/2/1-2.trans.txt", "1-2-0 A\n1-2-1 B\n"}},
         "s/1/2/1-2.trans.txt:2: the recording of 1-2-1 is missing",
         NULL,
         1,
         1},
        {{{"s/1/2/1-2-0.flac", ""}, {"s/1/2/1-2-3.flac", ""}, {"s/1/2/1-2.trans.txt", "1-2-0 A\n"}},
         "s/1/2/1-2-3.flac has no transcript",
         NULL,
         1,
         1},
        {{{"s/1/2/1-2-0.flac", ""},
          {"s/1/3/1-2-0.wav", ""},
          {"s/1/2/1-2.trans.txt", "1-2-0 A\n"},
          {"s/1/3/1-2.trans.txt", "1-2-0 A\n"}},
         "1-2-0 is there twice",
         "1-2-0 is there twice",
         0,
         0},
        {{{"s/1/2/1-2-0.flac", ""}, {"s/1/2/1-2.trans.txt", "1-2-0 A\n1-2-0 A\n"}},
         "1-2-0 is there twice",
         "1-2-0 is there twice",
         0,
         0},
        {{{"s/1/2/1-2-0.flac", ""}, {"s/1/2/1-2.trans.txt", "\n1-2-0 A\xFF\n"}},
         "s/1/2/1-2.trans.txt:2: the line is not UTF-8",
         "s/1/2/1-2.trans.txt:2: the line is not UTF-8",
         0,
         0},
        {{{"s/1/2/1-2-0.flac", ""}, {"s/1/2/1-2.trans.txt", ""}},
         "1-2-0.flac has no transcript",
         "there is no recording with an answer",
         0,
         0},
        {{{"s/1/2/1-2.trans.txt", "1-2-0 A"}},
         "the recording of 1-2-0 is missing",
         "there is no recording with an answer",
         0,
         0},
        {{{"s/1/2/1-2.trans.txt", "../3/1-2-0 A"}, {"s/1/3/1-2-0.flac", ""}},
         "the recording of ../3/1-2-0 is missing",
         "there is no recording",
         0,
         0},
        {{{"readme.txt", "A"}}, "there is no recording with an answer", "there is no recording with an answer", 0, 0},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        for (int form = 0; form < FORMS; form += TAR_GZ) {
            struct corpus corpus;
            const char *path = write_archive(form, "faulty", cases[c].files);
            assert_fails(read_archive(librispeech_read, path, false, &corpus), STATUS_CORRUPT, cases[c].error);
            assert_non_null(strstr(status_text(), path));
            corpus_free(&corpus);
            if (cases[c].always) {
                assert_fails(read_archive(librispeech_read, path, true, &corpus), STATUS_CORRUPT, cases[c].always);
            } else {
                assert_ok(read_archive(librispeech_read, path, true, &corpus));
                assert_int_equal(corpus.count, cases[c].count);
                assert_int_equal(corpus.missing, cases[c].missing);
            }
            corpus_free(&corpus);
        }
}

static void a_nul_in_transcripts_is_refused(void **state)
{
    (void)state;
    struct corpus corpus;
    const char *path = test_path("nul");
    generation_file_write(test_path("nul/s/1/2/1-2-0.flac"), "");
    write_plainly(test_path("nul/s/1/2/1-2.trans.txt"), "1-2-0 A\0B", 9);
    assert_fails(read_archive(librispeech_read, path, true, &corpus), STATUS_CORRUPT,
                 "1-2.trans.txt: expected text, found a NUL");
    corpus_free(&corpus);
}

/* ---- Fluent Speech Commands ---- */

#define HEAD ",path,speakerId,transcription,action,object,location\n"

static void commands_are_read_by_the_names_of_columns(void **state)
{
    (void)state;
    static const char *const expected[] = {"w/a, b.wav|train|p 1|change language Chinese",
                                           "w/c.wav|test|p2|bring juice", "w/d.wav|test|p2|activate",
                                           "w/e.wav|valid|\"q\"|lights bedroom"};
#define TABLES(root)                                                                                                   \
    {root "data/train_data.csv",                                                                                       \
     HEAD "0,\"w/a, b.wav\",p 1,\"Say, \"\"x\"\"\nplease\",change language,Chinese,none\n"},                           \
        {root "data/test_data.csv",                                                                                    \
         "\xEF\xBB\xBFlocation,object,path,action,speakerId,x\r\nnone,juice,w/c.wav,bring,p2,\r\n"                     \
         "none,none,w/d.wav,activate,p2,\r\n"},                                                                        \
        {root "data/valid_data.csv", HEAD "0,w/e.wav,\"\"\"q\"\"\",t,none,lights,bedroom"}, {root "w/a, b.wav", ""},   \
        {root "w/c.wav", ""}, {root "w/d.wav", ""}, {root "w/e.wav", ""},                                              \
    {                                                                                                                  \
        root "w/unused.wav", ""                                                                                        \
    }
    static const struct file shapes[][10] = {
        {TABLES("")}, {TABLES("fluent_speech_commands_dataset/")}, {TABLES("x/y z/")}};
    for (int form = 0; form < FORMS; form++)
        for (size_t shape = 0; shape < 3; shape++) {
            struct corpus corpus;
            const char *path = write_archive(form, "fsc", shapes[shape]);
            assert_ok(read_archive(fluent_commands_read, path, false, &corpus));
            expect_items(&corpus, expected, 4, path);
            corpus_free(&corpus);
        }
}

static void faults_of_commands_are_named(void **state)
{
    (void)state;
    static char slot[300], huge[500];
    memset(slot, 'x', sizeof slot - 1);
    snprintf(huge, sizeof huge, HEAD "0,w/a.wav,p,t,%s,none,none\n", slot);
    const struct {
        struct file files[4];
        const char *error;
        bool skippable;
    } cases[] = {
        {{{"data/train_data.csv", HEAD "0,w/a.wav,p,t,go,none,none\n"}, {"w/a.wav", ""}},
         "data/test_data.csv is missing",
         false},
        {{{"data/test_data.csv", ",path,speakerId,transcription,action,object\n0,w/a.wav,p,t,go,none\n"},
          {"w/a.wav", ""}},
         "location",
         false},
        {{{"data/test_data.csv", ",path,transcription,action,object,location\n0,w/a.wav,t,go,none,none\n"},
          {"w/a.wav", ""}},
         "speakerId",
         false},
        {{{"data/test_data.csv", HEAD "0,w/a.wav,p,t,go,none,none\n1,w/b.wav,p,t,go,none,none\n"}, {"w/a.wav", ""}},
         "test_data.csv:3: the recording w/b.wav is missing",
         true},
        {{{"data/test_data.csv", HEAD "0,w/a.wav,p,\"two\nlines\",go,none,none\n1,w/a.wav,p,t,none,,none\n"},
          {"w/a.wav", ""}},
         "test_data.csv:4: the row asks for nothing",
         false},
        {{{"data/test_data.csv", HEAD "0,w/a.wav,p,t,go,none,none\n0,w/a.wav,p,t,go,none,none\n"}, {"w/a.wav", ""}},
         "w/a.wav is there twice",
         false},
        {{{"data/test_data.csv", HEAD "0,w/a.wav,p,t,go,none\n"}, {"w/a.wav", ""}}, "test_data.csv:2", false},
        {{{"data/test_data.csv", HEAD "0,\"w/a.wav,p,t,go,none,none\n"}, {"w/a.wav", ""}}, "test_data.csv:2", false},
        {{{"data/test_data.csv", ""}, {"w/a.wav", ""}}, "test_data.csv", false},
        {{{"data/test_data.csv", HEAD}, {"w/a.wav", ""}}, "there is no recording with an answer", false},
        {{{"data/test_data.csv", HEAD "0,w/a\xFF.wav,p,t,go,none,none\n"}, {"w/a.wav", ""}}, "test_data.csv", false},
        {{{"data/test_data.csv", HEAD "0,w/a.wav,p,t,go,none,none\n"}, {"b/data/test_data.csv", HEAD}, {"w/a.wav", ""}},
         "is there twice",
         false},
        {{{"data/test_data.csv", huge}, {"w/a.wav", ""}}, "test_data.csv:2: an intent of more than 255 bytes", false},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct corpus corpus;
        const char *path = write_archive(FOLDER, "bad", cases[c].files);
        assert_fails(read_archive(fluent_commands_read, path, false, &corpus), STATUS_CORRUPT, cases[c].error);
        corpus_free(&corpus);
        if (cases[c].skippable) {
            assert_ok(read_archive(fluent_commands_read, path, true, &corpus));
            assert_int_equal(corpus.missing, 1);
        } else {
            assert_fails(read_archive(fluent_commands_read, path, true, &corpus), STATUS_CORRUPT, cases[c].error);
        }
        corpus_free(&corpus);
    }
}

/* ---- which items are examples ---- */

enum { SPEAKERS = 6, ANSWERS = 5, ITEMS = 40 };

/* Answers of 1 to 5 words; some of a part that is tested. */
static void make_corpus(struct rng *rng, struct corpus_item *items, char texts[][4][32], struct corpus *corpus)
{
    static const char *const answers[ANSWERS] = {"a", "a b", "a  b c", " a b c d", "a b c d e"};
    *corpus = (struct corpus){items, 1 + (int64_t)rng_below(rng, ITEMS), ITEMS, 0};
    for (int64_t i = 0; i < corpus->count; i++) {
        snprintf(texts[i][0], 32, "id%04lld", (long long)i);
        snprintf(texts[i][1], 32, "%s", rng_below(rng, 4) ? "dev-clean" : rng_below(rng, 2) ? "test-clean" : "tested");
        snprintf(texts[i][2], 32, "s%llu", (unsigned long long)rng_below(rng, SPEAKERS));
        snprintf(texts[i][3], 32, "%s", answers[rng_below(rng, ANSWERS)]);
        items[i] = (struct corpus_item){texts[i][0], texts[i][1], texts[i][2], texts[i][3], i};
    }
}

static struct sha256 order_of(uint64_t seed, const char *id)
{
    char bytes[64];
    memcpy(bytes, &seed, 8);
    return sha256_of(memcpy(bytes, &seed, 8), 8 + (size_t)(stpcpy(bytes + 8, id) - (bytes + 8)));
}

static int words_of(const char *text)
{
    int words = 0;
    for (const char *at = text; *(at += strspn(at, " ")); at += strcspn(at, " "))
        words++;
    return words;
}

/* How good an item is after what is chosen: a new speaker counts most, then a new answer, then the length. */
static int merit_of(const struct corpus *corpus, const struct shot_rule *rule, int64_t index, const int64_t *chosen,
                    int64_t count)
{
    bool speaker = true, answer = true;
    int words = words_of(corpus->items[index].answer);
    for (int64_t i = 0; i < count; i++) {
        speaker = speaker && strcmp(corpus->items[chosen[i]].speaker, corpus->items[index].speaker) != 0;
        answer = answer && strcmp(corpus->items[chosen[i]].answer, corpus->items[index].answer) != 0;
    }
    return 4 * speaker + 2 * (answer || !rule->distinct_answers) +
           (rule->most_words == 0 || (words >= rule->least_words && words <= rule->most_words));
}

/* One after the other: the best of what is left, the first by the order of the draw. */
static int64_t draw_plainly(const struct corpus *corpus, const struct shot_rule *rule, int64_t *chosen)
{
    int64_t count = 0;
    bool taken[ITEMS] = {false};
    while (count < rule->count) {
        int64_t best = -1;
        for (int64_t i = 0; i < corpus->count; i++) {
            if (taken[i] || (rule->tested && !strncmp(corpus->items[i].part, "test", 4)))
                continue;
            int difference =
                best < 0 ? 1 : merit_of(corpus, rule, i, chosen, count) - merit_of(corpus, rule, best, chosen, count);
            const struct sha256 a = order_of(rule->seed, corpus->items[i].id),
                                b = order_of(rule->seed, corpus->items[best < 0 ? i : best].id);
            if (difference > 0 || (difference == 0 && memcmp(&a, &b, sizeof a) < 0))
                best = i;
        }
        if (best < 0)
            return count;
        taken[best] = true;
        chosen[count++] = best;
    }
    return count;
}

static void shuffle(struct rng *rng, struct corpus *corpus)
{
    for (int64_t i = corpus->count - 1; i > 0; i--) {
        int64_t k = (int64_t)rng_below(rng, (uint64_t)i + 1);
        struct corpus_item item = corpus->items[i];
        corpus->items[i] = corpus->items[k];
        corpus->items[k] = item;
    }
}

static void examples_are_as_different_as_can_be(void **state)
{
    (void)state;
    static struct corpus_item items[ITEMS];
    static char texts[ITEMS][4][32];
    const struct config_list no_names = {NULL, 0};
    struct rng rng = rng_make(test_seed(), RNG_TEST, 32, 0);
    int64_t short_of = 0;
    for (int round = 0; round < 2000; round++) {
        struct corpus corpus;
        int64_t chosen[ITEMS] = {0}, again[ITEMS] = {0}, expected[ITEMS] = {0};
        make_corpus(&rng, items, texts, &corpus);
        const struct shot_rule rule = {.count = (int64_t)rng_below(&rng, 20),
                                       .seed = rng_u64(&rng),
                                       .distinct_answers = rng_below(&rng, 2),
                                       .least_words = 2,
                                       .most_words = 4 * (int64_t)rng_below(&rng, 2),
                                       .tested = rng_below(&rng, 3) ? &no_names : NULL};
        int64_t there = draw_plainly(&corpus, &rule, expected);
        if (there < rule.count) {
            char text[96];
            snprintf(text, sizeof text, "expected %lld examples, found %lld", (long long)rule.count, (long long)there);
            assert_fails(shots_draw(&corpus, &rule, chosen), STATUS_CORRUPT, text);
            short_of++;
            continue;
        }
        const char *ids[ITEMS];
        assert_ok(shots_draw(&corpus, &rule, chosen));
        for (int64_t i = 0; i < rule.count; i++) {
            if (chosen[i] != expected[i])
                fail_msg("round %d: example %lld of %lld: expected %s, found %s", round, (long long)i,
                         (long long)rule.count, items[expected[i]].id, items[chosen[i]].id);
            assert_true(!rule.tested || strncmp(items[chosen[i]].part, "test", 4) != 0);
            ids[i] = items[chosen[i]].id;
        }
        shuffle(&rng, &corpus);
        assert_ok(shots_draw(&corpus, &rule, again));
        for (int64_t i = 0; i < rule.count; i++)
            assert_string_equal(items[again[i]].id, ids[i]);
    }
    assert_true(short_of > 20 && short_of < 1000);
}

static void tested_parts_are_named_or_begin_with_test(void **state)
{
    (void)state;
    const char *names[] = {"dev-clean", "x"};
    const struct config_list none = {NULL, 0}, two = {names, 2};
    assert_true(corpus_is_tested(&none, "test") && corpus_is_tested(&none, "test-other"));
    assert_false(corpus_is_tested(&none, "dev-clean") || corpus_is_tested(&none, "tes") ||
                 corpus_is_tested(&none, "latest"));
    assert_true(corpus_is_tested(&two, "dev-clean") && corpus_is_tested(&two, "x"));
    assert_false(corpus_is_tested(&two, "test-clean") || corpus_is_tested(&two, "dev"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(librispeech_is_read_in_every_shape),
        cmocka_unit_test(a_single_subset_has_the_archives_name),
        cmocka_unit_test(librispeech_faults_are_named),
        cmocka_unit_test(a_nul_in_transcripts_is_refused),
        cmocka_unit_test(commands_are_read_by_the_names_of_columns),
        cmocka_unit_test(faults_of_commands_are_named),
        cmocka_unit_test(examples_are_as_different_as_can_be),
        cmocka_unit_test(tested_parts_are_named_or_begin_with_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
