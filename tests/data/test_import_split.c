/* A split keeps speakers and documents whole, gives each part about its share, and puts a row where its key and the seed
 * say, whatever else is in the corpus and in whichever order. */
#include "support/files.h"
#include "support/import_files.h"
#include "support/test_support.h"

#include "data/manifest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SPEAKERS = 400, ROWS_EACH = 5, PARTS = 3 };
static const char *const names[PARTS] = {"train", "valid", "test"};
static const double shares[PARTS] = {0.8, 0.15, 0.05};

/* Rows of speakers [first, last), in the order of a shuffle. */
static void put_corpus(struct rng *rng, int first, int last)
{
    int count = (last - first) * ROWS_EACH, used = 0;
    int *order = malloc((size_t)count * sizeof *order);
    char *text = malloc((size_t)count * 100);
    assert_non_null(order);
    assert_non_null(text);
    for (int i = 0; i < count; i++)
        order[i] = i;
    for (int i = count - 1; i > 0; i--) {
        int j = (int)rng_below(rng, (uint64_t)i + 1), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
    for (int i = 0; i < count; i++)
        used += sprintf(text + used, "{\"id\": \"r%d-%d\", \"speaker\": \"s%d\", \"text\": \"t\"}\n",
                        first + order[i] / ROWS_EACH, order[i] % ROWS_EACH, first + order[i] / ROWS_EACH);
    put_file("split/a.jsonl", text);
    free(order);
    free(text);
}

/* parts[speaker]: where all rows of the speaker are; fails when they are not in one part. */
static void read_parts(int *parts, int64_t rows[PARTS])
{
    for (int i = 0; i < SPEAKERS; i++)
        parts[i] = -1;
    for (int part = 0; part < PARTS; part++) {
        struct manifest manifest;
        assert_ok(manifest_read(test_path("split.%s.jsonl", names[part]), NULL, &manifest));
        rows[part] = manifest.count;
        for (int64_t i = 0; i < manifest.count; i++) {
            int speaker = atoi(manifest.rows[i].speaker + 1);
            assert_true(parts[speaker] < 0 || parts[speaker] == part);
            parts[speaker] = part;
        }
        manifest_free(&manifest);
    }
}

static const struct import_options by_speaker = {
    .kind = IMPORT_JSONL, .split = "train=0.8,valid=0.15,test=0.05", .split_by = IMPORT_BY_SPEAKER, .split_seed = 7};

static void a_split_depends_on_keys_alone(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 75, 0);
    int first[SPEAKERS], again[SPEAKERS];
    int64_t rows[PARTS];
    put_corpus(&rng, 0, SPEAKERS);
    import_ok(by_speaker, "split");
    assert_int_not_equal(access(test_path("split.jsonl"), F_OK), 0);
    read_parts(first, rows);
    for (int part = 0; part < PARTS; part++) { /* five standard deviations of the number of speakers */
        double speakers = (double)rows[part] / ROWS_EACH, expected = SPEAKERS * shares[part];
        assert_true(fabs(speakers - expected) <= 5 * sqrt(expected * (1 - shares[part])));
    }
    put_corpus(&rng, 0, SPEAKERS);
    import_ok(by_speaker, "split");
    read_parts(again, rows);
    assert_memory_equal(first, again, sizeof first);
    put_corpus(&rng, SPEAKERS / 2, SPEAKERS); /* fewer speakers: those that are left stay where they were */
    import_ok(by_speaker, "split");
    read_parts(again, rows);
    for (int i = 0; i < SPEAKERS; i++)
        assert_int_equal(again[i], i < SPEAKERS / 2 ? -1 : first[i]);
    struct import_options other = by_speaker;
    other.split_seed = 8;
    put_corpus(&rng, 0, SPEAKERS);
    import_ok(other, "split");
    read_parts(again, rows);
    assert_memory_not_equal(first, again, sizeof first);
}

/* LibriSpeech's chapters are documents. */
static void documents_stay_whole(void **state)
{
    (void)state;
    int64_t rows = 0;
    for (int chapter = 0; chapter < 30; chapter++) {
        char path[100], text[400] = "";
        for (int i = 0; i < 4; i++) {
            snprintf(path, sizeof path, "libri/1/%d/1-%d-%04d.flac", chapter, chapter, i);
            put_audio(path);
            snprintf(text + strlen(text), 60, "1-%d-%04d SOME WORDS\n", chapter, i);
        }
        snprintf(path, sizeof path, "libri/1/%d/1-%d.trans.txt", chapter, chapter);
        put_file(path, text);
    }
    import_ok(
        (struct import_options){.kind = IMPORT_LIBRISPEECH, .split = "a=0.5,b=0.5", .split_by = IMPORT_BY_DOCUMENT},
        "libri");
    for (int part = 0; part < 2; part++) {
        struct manifest manifest;
        assert_ok(manifest_read(test_path("libri.%c.jsonl", 'a' + part), NULL, &manifest));
        assert_true(manifest.count > 0 && manifest.count % 4 == 0);
        for (int64_t i = 0; i < manifest.count; i++) {
            const char *last = strrchr(manifest.rows[i].id, '-'), *other = manifest.rows[i / 4 * 4].id;
            assert_true(strncmp(manifest.rows[i].id, other, (size_t)(last - manifest.rows[i].id) + 1) == 0);
        }
        rows += manifest.count;
        manifest_free(&manifest);
    }
    assert_int_equal(rows, 120);
}

/* One file of paragraphs is one document, which no split by documents can divide. By rows each paragraph goes its own way, but
 * those of the same text go together, so that nothing that is held out was seen in training. */
static void rows_of_one_text_stay_together(void **state)
{
    (void)state;
    enum { TEXTS = 300, COPIES = 3 };
    int part_of[TEXTS];
    int64_t rows = 0, first = 0;
    char *text = calloc(TEXTS * COPIES, 40);
    assert_non_null(text);
    for (int copy = 0, used = 0; copy < COPIES; copy++)
        for (int i = 0; i < TEXTS; i++)
            used += sprintf(text + used, "This is paragraph %d.\n\n", copy % 2 ? TEXTS - 1 - i : i);
    put_file("rows/book.txt", text);
    free(text);
    struct import_options options = {
        .kind = IMPORT_TEXT, .per = IMPORT_PER_PARAGRAPH, .split = "a=0.7,b=0.3", .split_by = IMPORT_BY_DOCUMENT};
    import_fails(options, "rows", STATUS_USAGE, "--split-by row");
    options.split_by = IMPORT_BY_ROW;
    options.per = IMPORT_PER_FILE;
    import_fails(options, "rows", STATUS_USAGE, "(1 rows in all); try another --seed or a larger share, or --per line");
    options.per = IMPORT_PER_PARAGRAPH;
    import_ok(options, "rows");
    for (int i = 0; i < TEXTS; i++)
        part_of[i] = -1;
    for (int part = 0; part < 2; part++) {
        struct manifest manifest;
        assert_ok(manifest_read(test_path("rows.%c.jsonl", 'a' + part), NULL, &manifest));
        for (int64_t i = 0; i < manifest.count; i++) {
            const char *number = strpbrk(manifest.rows[i].text, "0123456789");
            assert_non_null(number);
            int *place = &part_of[atoi(number)];
            assert_true(*place < 0 || *place == part);
            *place = part;
        }
        rows += manifest.count;
        first = part == 0 ? manifest.count : first;
        manifest_free(&manifest);
    }
    assert_int_equal(rows, TEXTS * COPIES);
    double texts = (double)first / COPIES, expected = TEXTS * 0.7; /* five standard deviations of the number of texts */
    assert_true(fabs(texts - expected) <= 5 * sqrt(expected * 0.3));
}

static void splits_that_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",          "train",        "train=",    "=1",           "train=1,",
                                      "train=0.5", "a=0.5,b=0.6",  "a=1,b=0",   "a=0.5,a=0.5",  "a/b=1",
                                      "a=nan",     "a=1.5,b=-0.5", "rejects=1", "a=0.5 ,b=0.5", "a=0.5,,b=0.5"};
    put_file("refused/a.jsonl", "{\"text\": \"one\"}\n{\"text\": \"two\"}\n");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct import_options options = {.kind = IMPORT_JSONL, .split = bad[i], .split_by = IMPORT_BY_DOCUMENT};
        import_fails(options, "refused", STATUS_USAGE, "--split");
    }
    struct import_options options = {.kind = IMPORT_JSONL, .split = "a=0.5,b=0.5"};
    import_fails(options, "refused", STATUS_USAGE, "no speaker to split by");
    options.speaker = "one";
    import_fails(options, "refused", STATUS_USAGE, "no speaker falls into the part");
    assert_int_not_equal(access(test_path("refused.a.jsonl"), F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_split_depends_on_keys_alone),
        cmocka_unit_test(documents_stay_whole),
        cmocka_unit_test(rows_of_one_text_stay_together),
        cmocka_unit_test(splits_that_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
