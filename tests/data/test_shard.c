/* Shards: what is written is read back, equal rows give equal bytes, and no damage passes. */
#include "support/test_support.h"

#include "data/shard.h"
#include "data/shard_layout.h"
#include "io/atomic_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libhdf5 1.10.8 leaks about 400 bytes of its own with every file that it refuses to open. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5_serial\n";
}

enum { MAX_TEXT = 60, MAX_WORDS = 9, MAX_UNITS = 80 };

/* A row with its own memory, so that the writer's copy can be told from the original. */
struct random_row {
    struct shard_row row;
    char id[24], speaker[16], meta[32], text[MAX_TEXT];
    struct aligned_word words[MAX_WORDS];
    uint16_t units[STREAM_COUNT][MAX_UNITS];
};

static void random_words(struct random_row *out, struct rng *rng)
{
    int64_t limit = out->row.text_length / 4;
    out->row.word_count = (int64_t)rng_below(rng, (uint64_t)(limit < MAX_WORDS ? limit : MAX_WORDS) + 1);
    int32_t time = 0, step = out->row.duration / (MAX_WORDS + 1);
    for (int64_t i = 0; i < out->row.word_count; i++) {
        int32_t start = time + (int32_t)rng_below(rng, (uint64_t)step / 2 + 1);
        out->words[i] = (struct aligned_word){start, start + step / 2, (int32_t)(4 * i), (int32_t)(4 * i + 3)};
        time = out->words[i].end;
    }
    out->row.words = out->row.word_count ? out->words : NULL;
}

/* Any part except the id may be empty. */
static void random_row(struct random_row *out, struct rng *rng, int64_t number, bool speech)
{
    memset(out, 0, sizeof *out);
    struct shard_row *row = &out->row;
    row->id = out->id;
    row->id_length = snprintf(out->id, sizeof out->id, "row/%lld-%u", (long long)number, rng_u32(rng) % 1000);
    row->text = out->text;
    row->text_length = (int64_t)rng_below(rng, MAX_TEXT);
    for (int64_t i = 0; i < row->text_length; i++)
        out->text[i] = (char)rng_below(rng, 256);
    row->meta = out->meta;
    row->meta_length = rng_below(rng, 2) ? snprintf(out->meta, sizeof out->meta, "{\"n\": %u}", rng_u32(rng)) : 0;
    row->score = NAN;
    if (!speech)
        return;
    row->speaker = out->speaker;
    row->speaker_length = (int64_t)rng_below(rng, sizeof out->speaker);
    memset(out->speaker, 's', sizeof out->speaker);
    row->duration = (int32_t)rng_below(rng, 1 << 20) + 1;
    row->score = rng_below(rng, 2) ? NAN : (float)rng_normal(rng);
    for (int stream = 0; stream < STREAM_COUNT; stream++) {
        row->units.count[stream] = rng_below(rng, 4) ? (int64_t)rng_below(rng, MAX_UNITS) : 0;
        row->units.values[stream] = row->units.count[stream] ? out->units[stream] : NULL;
        for (int64_t i = 0; i < row->units.count[stream]; i++)
            out->units[stream][i] = (uint16_t)rng_u32(rng);
    }
    for (size_t i = 0; i < sizeof row->source.bytes; i++)
        row->source.bytes[i] = (uint8_t)rng_u32(rng);
    random_words(out, rng);
}

static void assert_same_bytes(const char *what, int64_t row, const void *a, int64_t a_size, const void *b,
                              int64_t b_size)
{
    if (a_size != b_size || (a_size > 0 && memcmp(a, b, (size_t)a_size) != 0))
        fail_msg("%s of row %lld differs (%lld bytes, %lld expected)", what, (long long)row, (long long)a_size,
                 (long long)b_size);
}

static void assert_same_row(int64_t number, const struct shard_row *read, const struct shard_row *row)
{
    assert_same_bytes("id", number, read->id, read->id_length, row->id, row->id_length);
    assert_same_bytes("speaker", number, read->speaker, read->speaker_length, row->speaker, row->speaker_length);
    assert_same_bytes("meta", number, read->meta, read->meta_length, row->meta, row->meta_length);
    assert_same_bytes("text", number, read->text, read->text_length, row->text, row->text_length);
    assert_same_bytes("words", number, read->words, read->word_count * 16, row->words, row->word_count * 16);
    for (int stream = 0; stream < STREAM_COUNT; stream++)
        assert_same_bytes("units", number, read->units.values[stream], read->units.count[stream] * 2,
                          row->units.values[stream], row->units.count[stream] * 2);
    assert_int_equal(read->duration, row->duration);
    assert_true(isnan(row->score) ? isnan(read->score) : read->score == row->score);
    assert_memory_equal(read->source.bytes, row->source.bytes, 32);
}

static const struct shard_fingerprints fingerprints = {
    .stream = {{{1, 2, 3}}, {{4, 5}}, {{6}}},
    .rates = {{{25, 1}, {25, 2}, {1, 1}}},
};

static char *shard_file(const char *name)
{
    static char path[600];
    snprintf(path, sizeof path, "%s/%s", test_directory(), name);
    return path;
}

static struct sha256 write_rows(const struct random_row *rows, int64_t count, const char *path, int64_t *bytes)
{
    struct shard_writer *writer = NULL;
    struct sha256 hash;
    assert_ok(shard_writer_create(&writer));
    for (int64_t i = 0; i < count; i++)
        assert_ok(shard_writer_add(writer, &rows[i].row));
    assert_int_equal(shard_writer_rows(writer), count);
    assert_ok(shard_writer_write(writer, path, &fingerprints, bytes, &hash));
    shard_writer_free(writer);
    return hash;
}

static struct random_row *random_rows(int64_t count, uint64_t name, bool speech)
{
    struct random_row *rows = calloc((size_t)count + 1, sizeof *rows);
    assert_non_null(rows);
    struct rng rng = rng_make(test_seed(), RNG_TEST, 31, name);
    for (int64_t i = 0; i < count; i++)
        random_row(rows + i, &rng, i, speech);
    return rows;
}

static void rows_come_back(void **state)
{
    (void)state;
    static const int64_t counts[] = {0, 1, 2, 17, 511, 512};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (int speech = 0; speech < 2; speech++) {
            struct random_row *rows = random_rows(counts[i], 10 * i + (uint64_t)speech, speech);
            struct shard *shard = NULL;
            int64_t bytes;
            const char *path = shard_file("round.h5");
            struct sha256 hash = write_rows(rows, counts[i], path, &bytes);
            assert_ok(shard_open(path, &hash, &shard));
            assert_int_equal(shard_rows(shard), counts[i]);
            for (int64_t j = 0; j < counts[i]; j++) {
                struct shard_row read;
                shard_row_get(shard, j, &read);
                assert_same_row(j, &read, &rows[j].row);
            }
            if (speech && counts[i] > 0)
                assert_memory_equal(shard_get_fingerprints(shard), &fingerprints, sizeof fingerprints);
            shard_close(shard);
            free(rows);
        }
}

static void equal_rows_give_equal_bytes(void **state)
{
    (void)state;
    struct random_row *rows = random_rows(40, 99, true);
    int64_t bytes[2], size;
    struct sha256 first = write_rows(rows, 40, shard_file("a.h5"), bytes);
    void *data[2];
    assert_ok(file_read(shard_file("a.h5"), SHARD_MAX_BYTES, data, &size));
    assert_int_equal(size, bytes[0]);
    struct sha256 second = write_rows(rows, 40, shard_file("other-name.h5"), bytes + 1);
    assert_ok(file_read(shard_file("other-name.h5"), SHARD_MAX_BYTES, data + 1, &size));
    assert_int_equal(bytes[0], bytes[1]);
    assert_memory_equal(data[0], data[1], (size_t)size);
    assert_memory_equal(first.bytes, second.bytes, 32);
    rows[39].units[STREAM_HUBERT][0] ^= 1;
    rows[39].row.units = (struct units){{rows[39].units[0], NULL, NULL}, {1, 0, 0}};
    struct sha256 third = write_rows(rows, 40, shard_file("a.h5"), bytes);
    assert_memory_not_equal(first.bytes, third.bytes, 32);
    free(data[0]);
    free(data[1]);
    free(rows);
}

/* Two changes of every byte: the hash finds each before libhdf5 sees the image. */
static void every_flip_is_found_by_the_index(void **state)
{
    (void)state;
    struct random_row *rows = random_rows(3, 7, true);
    int64_t bytes;
    struct sha256 hash = write_rows(rows, 3, shard_file("flip.h5"), &bytes);
    unsigned char *data;
    assert_ok(file_read(shard_file("flip.h5"), SHARD_MAX_BYTES, (void **)&data, &bytes));
    struct shard *shard = NULL;
    for (int64_t i = 0; i < bytes; i++) {
        static const unsigned char changes[] = {1, 0xff};
        for (size_t j = 0; j < sizeof changes; j++) {
            data[i] ^= changes[j];
            assert_fails(shard_open_memory("flip.h5", data, bytes, &hash, &shard), STATUS_CORRUPT, "SHA-256");
            assert_null(shard);
            data[i] ^= changes[j];
        }
    }
    for (int64_t length = 0; length < bytes; length += 61)
        assert_fails(shard_open_memory("cut.h5", data, length, &hash, &shard), STATUS_CORRUPT, "SHA-256");
    assert_ok(shard_open_memory("whole.h5", data, bytes, &hash, &shard));
    shard_close(shard);
    free(data);
    free(rows);
}

/* Without the index a changed image is refused, or its rows are those that were written (when a byte of padding was
 * changed). Copies of exact size let the sanitizer see a read past the end. */
static bool survives(const unsigned char *data, int64_t size, const struct random_row *rows, int64_t count)
{
    unsigned char *exact = malloc((size_t)size + (size == 0));
    assert_non_null(exact);
    memcpy(exact, data, (size_t)size);
    struct shard *shard = NULL;
    enum status status = shard_open_memory("mutated.h5", exact, size, NULL, &shard);
    free(exact);
    if (status != STATUS_OK) {
        assert_int_equal(status, STATUS_CORRUPT);
        assert_non_null(strstr(status_text(), "mutated.h5"));
        return false;
    }
    assert_int_equal(shard_rows(shard), count);
    for (int64_t i = 0; i < count; i++) {
        struct shard_row read;
        shard_row_get(shard, i, &read);
        assert_same_row(i, &read, &rows[i].row);
    }
    shard_close(shard);
    return true;
}

static void mutate(unsigned char *data, int64_t size, struct rng *rng)
{
    static const uint64_t edges[] = {0, 1, 0x7f, 0xff, 0x7fffffff, 0xffffffff, INT64_MAX, UINT64_MAX};
    int64_t place = (int64_t)rng_below(rng, (uint64_t)size);
    switch (rng_below(rng, 4)) {
    case 0:
        data[place] ^= (unsigned char)(1 << rng_below(rng, 8));
        break;
    case 1:
        data[place] = (unsigned char)rng_u32(rng);
        break;
    case 2:
        if (place + 8 <= size)
            memcpy(data + place, edges + rng_below(rng, 8), 8);
        break;
    default: {
        int64_t from = (int64_t)rng_below(rng, (uint64_t)size), length = (int64_t)rng_below(rng, 64);
        if (from + length <= size && place + length <= size)
            memmove(data + place, data + from, (size_t)length);
    }
    }
}

static void mutated_images_are_refused_without_the_index(void **state)
{
    (void)state;
    enum { ROWS = 3, TRIALS = 3000 };
    struct random_row *rows = random_rows(ROWS, 8, true);
    int64_t bytes, accepted = 0;
    write_rows(rows, ROWS, shard_file("mutate.h5"), &bytes);
    unsigned char *data, *copy;
    assert_ok(file_read(shard_file("mutate.h5"), SHARD_MAX_BYTES, (void **)&data, &bytes));
    copy = malloc((size_t)bytes);
    assert_non_null(copy);
    struct rng rng = rng_make(test_seed(), RNG_TEST, 32, 0);
    for (int i = 0; i < TRIALS; i++) {
        memcpy(copy, data, (size_t)bytes);
        for (uint64_t changes = 1 + rng_below(&rng, 3); changes > 0; changes--)
            mutate(copy, bytes, &rng);
        int64_t size = rng_below(&rng, 8) ? bytes : (int64_t)rng_below(&rng, (uint64_t)bytes + 1);
        accepted += survives(copy, size, rows, ROWS);
    }
    printf("%lld of %d mutated images of %lld bytes read as the original rows, the others were refused\n",
           (long long)accepted, TRIALS, (long long)bytes);
    assert_true(survives(data, bytes, rows, ROWS));
    free(copy);
    free(data);
    free(rows);
}

/* Columns as a correct libhdf5 would return them from a file with false contents: each is refused. */
static void lying_columns_are_refused(void **state)
{
    (void)state;
    static const struct {
        enum shard_column column;
        int64_t element;
        int64_t value; /* the value put there */
        const char *part;
    } lies[] = {
        {COLUMN_FORMAT, 0, 2, "format 2"},
        {COLUMN_ID_OFFSET, 0, 1, "id/offset does not span"},
        {COLUMN_TEXT_OFFSET, 1, INT64_MAX, "text/offset decreases"},
        {COLUMN_TEXT_OFFSET, 1, -5, "text/offset decreases"},
        {COLUMN_WORD_OFFSET, 3, 1000, "word/offset does not span"},
        {COLUMN_HUBERT_OFFSET, 2, -1, "hubert/offset decreases"},
        {COLUMN_RATE, 1, 0, "rate is out of range"},
        {COLUMN_RATE, 0, INT64_MAX, "rate is out of range"},
        {COLUMN_DURATION, 1, 12345, "CRC32C of row 1"},
        {COLUMN_CRC, 0, 77, "CRC32C of row 0"},
        {COLUMN_CRC, 3, 77, "header's CRC32C"},
        {COLUMN_FINGERPRINT, 5, 77, "header's CRC32C"},
    };
    struct random_row *rows = random_rows(3, 9, true);
    for (int i = 0; i < 3; i++) {
        rows[i].row.text_length = 20;
        rows[i].row.units = (struct units){{rows[i].units[0], NULL, NULL}, {7, 0, 0}};
    }
    int64_t bytes, size;
    write_rows(rows, 3, shard_file("lies.h5"), &bytes);
    void *data, *image;
    assert_ok(file_read(shard_file("lies.h5"), SHARD_MAX_BYTES, &data, &bytes));
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct shard_columns columns;
        struct shard *shard = NULL;
        assert_ok(shard_image_parse("lies.h5", data, bytes, &columns));
        size_t width = shard_element_size[shard_layout[lies[i].column].element];
        assert_true(lies[i].element < columns.count[lies[i].column]);
        memcpy((char *)columns.data[lies[i].column] + (size_t)lies[i].element * width, &lies[i].value, width);
        assert_ok(shard_image_make("lies.h5", &columns, &image, &size));
        assert_fails(shard_open_memory("lies.h5", image, size, NULL, &shard), STATUS_CORRUPT, lies[i].part);
        free(image);
        /* A column that is missing altogether. */
        free(columns.data[lies[i].column]);
        columns.data[lies[i].column] = NULL;
        columns.count[lies[i].column] = 0;
        assert_ok(shard_image_make("lies.h5", &columns, &image, &size));
        assert_int_equal(shard_open_memory("lies.h5", image, size, NULL, &shard), STATUS_CORRUPT);
        free(image);
        shard_columns_free(&columns);
    }
    free(data);
    free(rows);
}

static void broken_rows_are_not_written(void **state)
{
    (void)state;
    struct shard_writer *writer = NULL;
    struct random_row good;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 33, 0);
    random_row(&good, &rng, 0, true);
    struct aligned_word words[2] = {{0, 100, 0, 3}, {100, 200, 4, 7}};
    good.row.text_length = 7;
    good.row.duration = 200;
    good.row.words = words;
    good.row.word_count = 2;
    assert_ok(shard_writer_create(&writer));
    assert_ok(shard_writer_add(writer, &good.row));
    static const struct aligned_word bad[] = {{99, 200, 4, 7},  {100, 201, 4, 7}, {150, 140, 4, 7},
                                              {100, 200, 2, 7}, {100, 200, 4, 8}, {100, 200, 4, 4}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        words[1] = bad[i];
        assert_fails(shard_writer_add(writer, &good.row), STATUS_INTERNAL, "word");
    }
    good.row.word_count = 0;
    good.row.id_length = 0;
    assert_fails(shard_writer_add(writer, &good.row), STATUS_INTERNAL, "no id");
    assert_int_equal(shard_writer_rows(writer), 1);
    shard_writer_free(writer);
}

/* tests/oracles/make_shard.py wrote this file according to docs/formats.md, with h5py and its own CRC32C. */
static void shards_of_another_implementation_are_read(void **state)
{
    (void)state;
    struct shard *shard = NULL;
    struct shard_row row;
    char path[700];
    snprintf(path, sizeof path, "%s/shard/h5py.h5", TEST_GOLDEN_DIRECTORY);
    /* Its structure is not exactly ours, so only an index can vouch for it. */
    assert_fails(shard_open(path, NULL, &shard), STATUS_CORRUPT, "HDF5 that this toolkit did not write");
    void *data;
    int64_t size;
    assert_ok(file_read(path, SHARD_MAX_BYTES, &data, &size));
    struct sha256 hash = sha256_of(data, (size_t)size);
    free(data);
    assert_ok(shard_open(path, &hash, &shard));
    assert_int_equal(shard_rows(shard), 3);
    shard_row_get(shard, 0, &row);
    static const struct aligned_word words[] = {{160, 4000, 0, 5}, {4000, 9000, 6, 10}};
    static const uint16_t hubert[] = {5, 5, 65535, 7};
    assert_same_bytes("id", 0, row.id, row.id_length, "a/1", 3);
    assert_same_bytes("speaker", 0, row.speaker, row.speaker_length, "rm", 2);
    assert_same_bytes("text", 0, row.text, row.text_length, "caf\xc3\xa9 noir", 10);
    assert_same_bytes("meta", 0, row.meta, row.meta_length, "{\"n\": 1}", 8);
    assert_same_bytes("words", 0, row.words, row.word_count * 16, words, sizeof words);
    assert_same_bytes("hubert", 0, row.units.values[0], row.units.count[0] * 2, hubert, sizeof hubert);
    assert_int_equal(row.units.count[STREAM_PITCH], 2);
    assert_int_equal(row.units.count[STREAM_STYLE], 1);
    assert_int_equal(row.duration, 9601);
    assert_true(row.score == -3.25f);
    assert_int_equal(row.source.bytes[31], 31);
    shard_row_get(shard, 1, &row);
    assert_int_equal(row.text_length + row.word_count + row.speaker_length + row.meta_length, 0);
    assert_true(isnan(row.score));
    shard_row_get(shard, 2, &row);
    assert_int_equal(row.units.values[STREAM_STYLE][1], 1);
    assert_int_equal(shard_get_fingerprints(shard)->rates.rate[STREAM_PITCH].denominator, 2);
    assert_int_equal(shard_get_fingerprints(shard)->stream[STREAM_STYLE].bytes[0], 51);
    shard_close(shard);
}

static void other_files_are_refused(void **state)
{
    (void)state;
    struct shard *shard = NULL;
    assert_fails(shard_open("/nonexistent/shard.h5", NULL, &shard), STATUS_USAGE, "/nonexistent/shard.h5");
    assert_ok(atomic_write(shard_file("text.h5"), "hello", 5));
    assert_fails(shard_open(shard_file("text.h5"), NULL, &shard), STATUS_CORRUPT, "no HDF5 signature");
    assert_ok(atomic_write(shard_file("text.h5"), "", 0));
    assert_fails(shard_open(shard_file("text.h5"), NULL, &shard), STATUS_CORRUPT, "no HDF5 signature");
    assert_ok(atomic_write(shard_file("text.h5"), "\211HDF\r\n\032\n", 8));
    assert_fails(shard_open(shard_file("text.h5"), NULL, &shard), STATUS_CORRUPT, "superblock");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_back),
        cmocka_unit_test(equal_rows_give_equal_bytes),
        cmocka_unit_test(every_flip_is_found_by_the_index),
        cmocka_unit_test(mutated_images_are_refused_without_the_index),
        cmocka_unit_test(lying_columns_are_refused),
        cmocka_unit_test(broken_rows_are_not_written),
        cmocka_unit_test(shards_of_another_implementation_are_read),
        cmocka_unit_test(other_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
