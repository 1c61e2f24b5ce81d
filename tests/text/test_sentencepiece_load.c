/* Models made by hand: what small ones do, worked out on paper; what is refused, with its error text; and damaged
 * files, which load or are refused but never do harm. */
#include "support/sentencepiece_builder.h"
#include "support/test_support.h"

#include "text/sentencepiece.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPACE "\xE2\x96\x81"

static enum status load(const struct bytes *file, struct sentencepiece **model)
{
    return sentencepiece_load_memory("test.model", file->data, (int64_t)file->size, model);
}

/* The ids of a text as "3 4 5". */
static void check_ids(const struct sentencepiece *model, const char *text, const char *expected)
{
    int32_t *ids;
    int64_t count;
    char found[512] = "";
    size_t used = 0;
    assert_ok(sentencepiece_encode(model, text, (int64_t)strlen(text), true, &ids, &count));
    for (int64_t i = 0; i < count; i++)
        used += (size_t)snprintf(found + used, sizeof found - used, "%s%d", i ? " " : "", (int)ids[i]);
    assert_string_equal(found, expected);
    free(ids);
}

static void check_text(const struct sentencepiece *model, const int32_t *ids, int64_t count, bool strip,
                       const char *expected)
{
    char *text;
    int64_t size;
    assert_ok(sentencepiece_decode(model, ids, count, strip, &text, &size));
    assert_string_equal(text, expected);
    assert_int_equal(size, strlen(expected));
    free(text);
}

/* Pieces 3.. in order of score: "ab" 3, "bc" 4, "abc" 5, "▁a" 6, then a-z 7-32, "▁" 33. */
static const char *const abc[] = {"ab", "bc", "abc", SPACE "a", NULL};

static void merges_follow_the_scores(void **state)
{
    (void)state;
    struct bytes file = build_small_model(abc, 0);
    struct sentencepiece *model;
    assert_ok(load(&file, &model));
    assert_int_equal(sentencepiece_size(model), 34);
    assert_int_equal(sentencepiece_find(model, "abc"), 5);
    assert_int_equal(sentencepiece_find(model, "zz"), -1);
    check_ids(model, "", "");
    check_ids(model, "abc", "33 5"); /* "ab" first, then "abc"; "▁a" came too late */
    check_ids(model, "bc", "33 4");
    check_ids(model, "abcbc", "33 5 4"); /* ab+c before bc is used up */
    check_ids(model, "aab", "6 3");
    check_ids(model, "xa a", "33 30 7 6");
    check_ids(model, "abab", "33 3 3");
    check_ids(model, "bbc", "33 8 4");
    /* Unknown characters in a row are one unk, whatever their bytes. */
    check_ids(model, "1", "33 0");
    check_ids(model,
              "1\xC3\xA9"
              "2a3",
              "33 0 7 0");
    check_ids(model, "<s>", "33 0 25 0");
    check_text(model, (int32_t[]){33, 5, 33, 4}, 4, true, "abc bc");
    check_text(model, (int32_t[]){33, 5, 33, 4}, 4, false, " abc bc");
    check_text(model, (int32_t[]){1, 33, 5, 2}, 4, true, "abc");
    check_text(model, (int32_t[]){33, 33, 5}, 3, true, " abc");
    check_text(model, (int32_t[]){33, 0, 7}, 3, true, " \xE2\x81\x87 a");
    check_text(model, NULL, 0, true, "");
    char *text;
    int64_t size;
    assert_fails(sentencepiece_decode(model, (int32_t[]){5, 34}, 2, true, &text, &size), STATUS_USAGE,
                 "id 34 at position 1");
    assert_fails(sentencepiece_decode(model, (int32_t[]){-1}, 1, true, &text, &size), STATUS_USAGE,
                 "id -1 at position 0");
    assert_null(text);
    sentencepiece_free(model);
    bytes_free(&file);
}

static void bytes_stand_for_the_unknown(void **state)
{
    (void)state;
    struct bytes file = build_small_model(abc, 1); /* <0x00> is 3, so 0xNN is 3 + NN; "▁" is 33 + 256 */
    struct sentencepiece *model;
    assert_ok(load(&file, &model));
    check_ids(model, "\n", "289 13");
    check_ids(model, "\xC3\xA9", "289 198 172");
    check_ids(model, "\xFF", "289 242 194 192"); /* U+FFFD: EF BF BD */
    check_text(model, (int32_t[]){289, 198, 172, 263}, 4, true,
               "\xC3\xA9"
               "a");
    check_text(model, (int32_t[]){198, 263, 172}, 3, true,
               "\xEF\xBF\xBD"
               "a\xEF\xBF\xBD");
    int32_t *ids;
    int64_t count;
    assert_ok(sentencepiece_encode(model, "a\0b", 3, true, &ids, &count));
    assert_int_equal(count, 3);
    assert_int_equal(ids[1], 3);
    free(ids);
    assert_fails(sentencepiece_encode(model, "", INT64_MAX, true, &ids, &count), STATUS_USAGE, "bytes");
    assert_fails(sentencepiece_encode(model, "", -1, true, &ids, &count), STATUS_USAGE, "found -1");
    sentencepiece_free(model);
    bytes_free(&file);
}

/* ---- what is refused ---- */

static void expect_refusal(struct bytes *file, const char *part)
{
    struct sentencepiece *model;
    assert_fails(load(file, &model), STATUS_CORRUPT, part);
    assert_null(model);
    assert_non_null(strstr(status_text(), "test.model"));
    bytes_free(file);
}

static struct bytes good(int byte_fallback)
{
    return build_small_model(abc, byte_fallback);
}

static struct bytes good_and(const char *bytes, size_t size)
{
    struct bytes file = good(0);
    bytes_add(&file, bytes, size);
    return file;
}

/* A good model with one more message in `field`, of the given content. */
static struct bytes good_with(unsigned field, struct bytes content)
{
    struct bytes file = good(0);
    put_bytes(&file, field, content.data, content.size);
    bytes_free(&content);
    return file;
}

static struct bytes number_in(unsigned field, uint64_t value)
{
    struct bytes content = {0};
    put_number(&content, field, value);
    return content;
}

static struct bytes text_in(unsigned field, const char *text)
{
    struct bytes content = {0};
    put_bytes(&content, field, text, strlen(text));
    return content;
}

static struct bytes good_and_piece(const char *text, size_t size, float score, unsigned type)
{
    struct bytes file = good(0);
    put_piece(&file, text, size, score, type);
    return file;
}

static void wrong_models_are_refused_by_name(void **state)
{
    (void)state;
    struct bytes file;
    expect_refusal((file = good_with(2, number_in(3, 1)), &file), "type unigram");
    expect_refusal((file = good_with(2, number_in(3, 3)), &file), "type word");
    expect_refusal((file = good_with(2, number_in(3, 4)), &file), "type char");
    expect_refusal((file = good_with(2, number_in(3, 99)), &file), "type 99");
    expect_refusal((file = good_with(2, number_in(3, UINT64_MAX)), &file), "type 18446744073709551615");
    expect_refusal((file = good_with(3, text_in(1, "nmt_nfkc")), &file), "normalises its text with \"nmt_nfkc\"");
    expect_refusal((file = good_with(3, text_in(1, "nfkc_cf")), &file), "\"nfkc_cf\"");
    expect_refusal((file = good_with(3, text_in(1, "Identity")), &file), "\"Identity\"");
    expect_refusal((file = good_with(3, text_in(2, "map")), &file), "character map of 3 bytes");
    expect_refusal((file = good_with(5, text_in(2, "map")), &file), "denormalizer");
    expect_refusal((file = good_and_piece("ab", 2, 0, 0), &file), "pieces 3 and 34 are both \"ab\"");
    expect_refusal((file = good_and_piece("<s>", 3, 0, 4), &file), "pieces 1 and 34 are both \"<s>\"");
    expect_refusal((file = good_and_piece("", 0, 0, 0), &file), "piece 34 has 0 bytes");
    expect_refusal((file = good_and_piece("q\0r", 3, 0, 0), &file), "piece 34 holds a NUL");
    expect_refusal((file = good_and_piece("qr", 2, NAN, 0), &file), "score of piece 34");
    expect_refusal((file = good_and_piece("qr", 2, INFINITY, 0), &file), "score of piece 34");
    expect_refusal((file = good_and_piece("qr", 2, 0, 7), &file), "piece 34 has type 7");
    expect_refusal((file = good_and_piece("qr", 2, 0, 2), &file), "both unknown");
    expect_refusal((file = good_and_piece("<0x41>", 6, 0, 6), &file), "byte_fallback is off");
    file = good(1);
    put_piece(&file, "<0xG1>", 6, 0, 6);
    expect_refusal(&file, "\"<0xG1>\", expected <0x00>");
    file = good(1);
    put_piece(&file, "<0xaf>", 6, 0, 6);
    expect_refusal(&file, "\"<0xaf>\", expected <0x00>");
    file = good(0);
    char *long_piece = calloc(9000, 1);
    memset(long_piece, 'x', 9000);
    put_piece(&file, long_piece, 9000, 0, 0);
    free(long_piece);
    expect_refusal(&file, "has 9000 bytes");
    file = (struct bytes){0};
    put_piece(&file, "a", 1, 0, 0);
    put_specifications(&file, 2, 0);
    expect_refusal(&file, "no unknown piece");
    file = (struct bytes){0};
    put_piece(&file, "<unk>", 5, 0, 2);
    put_specifications(&file, 2, 1);
    expect_refusal(&file, "no piece <0x00>");
    file = (struct bytes){0};
    put_specifications(&file, 2, 0);
    expect_refusal(&file, "0 pieces");
    file = (struct bytes){0};
    put_piece(&file, "<unk>", 5, 0, 2);
    expect_refusal(&file, "type unigram"); /* the default of a file that names none */
}

static void broken_wire_format_is_refused_by_position(void **state)
{
    (void)state;
    struct bytes file = good(0);
    char where[64];
    snprintf(where, sizeof where, "byte %zu", file.size);
    bytes_free(&file);
    expect_refusal((file = good_and("\x0a", 1), &file), "runs past the end");
    expect_refusal((file = good_and("\x0a\x05"
                                    "abc",
                                    5),
                    &file),
                   "claims 5 bytes, its message has 3 left");
    expect_refusal((file = good_and("\x0a\x05"
                                    "abc",
                                    5),
                    &file),
                   where);
    expect_refusal((file = good_and("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11), &file), "claims");
    expect_refusal((file = good_and("\x80", 1), &file), "runs past the end");
    expect_refusal((file = good_and("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11), &file), "more than 64 bits");
    expect_refusal((file = good_and("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12), &file),
                   "more than 64 bits");
    expect_refusal((file = good_and("\x00\x01", 2), &file), "field number 0");
    expect_refusal((file = good_and("\x80\x80\x80\x80\x10\x01", 6), &file), "field number 536870912");
    expect_refusal((file = good_and("\x0b\x0c", 2), &file), "wire type 3");
    expect_refusal((file = good_and("\x0f", 1), &file), "wire type 7");
    expect_refusal((file = good_and("\x08\x01", 2), &file), "wire type 0, expected 2"); /* a piece as a number */
    expect_refusal((file = good_and("\x15\x01\x02\x03\x04", 5), &file), "wire type 5, expected 2");
    expect_refusal((file = good_and("\x9d\x06\x01\x02", 4), &file), "a value of 4 bytes, found 2 left");
    expect_refusal((file = good_and("\x99\x06\x01\x02", 4), &file), "a value of 8 bytes, found 2 left");
    expect_refusal((file = good_and("\x0a\x02\x0a\x01", 4), &file), "claims 1 bytes, its message has 0 left");
    expect_refusal((file = good_with(1, number_in(1, 5)), &file), "the bytes of a piece has wire type 0");
    expect_refusal((file = good_with(1, text_in(2, "score")), &file), "the score of a piece has wire type 2");
    expect_refusal((file = good_with(1, text_in(3, "x")), &file), "the type of a piece has wire type 2");
    expect_refusal((file = good_with(2, text_in(3, "x")), &file), "model_type has wire type 2");
    expect_refusal((file = good_with(2, text_in(35, "x")), &file), "byte_fallback has wire type 2");
    expect_refusal((file = good_with(3, text_in(3, "x")), &file), "add_dummy_prefix has wire type 2");
    expect_refusal((file = good_with(3, number_in(1, 1)), &file), "name has wire type 0");

    struct sentencepiece *model;
    static const char *const other_files[] = {"",
                                              "version https://git-lfs.github.com/spec/v1\n",
                                              "{\"vocab\": {}}",
                                              "<!DOCTYPE html>",
                                              "\x89PNG\r\n\x1a\n",
                                              "PK\x03\x04"};
    for (size_t i = 0; i < sizeof other_files / sizeof *other_files; i++)
        assert_fails(sentencepiece_load_memory("test.model", other_files[i], (int64_t)strlen(other_files[i]), &model),
                     STATUS_CORRUPT, "test.model: ");
    assert_fails(sentencepiece_load("no/such.model", &model), STATUS_USAGE, "no/such.model");
    assert_null(model);
    assert_true(sentencepiece_load(test_directory(), &model) != STATUS_OK); /* a folder */
    assert_null(model);
}

/* Unknown fields of every wire type are skipped, in the file and in each message, and change no identity. */
static void unknown_fields_are_skipped(void **state)
{
    (void)state;
    struct bytes file = good(0), more = {0}, extra = {0};
    put_number(&extra, 200, 7);
    put_float(&extra, 201, 1.5f);
    put_bytes(&extra, 202, "anything", 8);
    bytes_add(&extra, "\xd9\x0c\x01\x02\x03\x04\x05\x06\x07\x08", 10); /* field 203, eight bytes */
    bytes_add(&more, extra.data, extra.size);
    put_bytes(&more, 2, extra.data, extra.size);
    put_bytes(&more, 3, extra.data, extra.size);
    put_bytes(&more, 5, extra.data, extra.size);
    put_bytes(&more, 4, "\xff\xff", 2); /* self_test_data is not parsed */
    bytes_add(&more, file.data, file.size);
    struct sentencepiece *plain, *with_more;
    assert_ok(load(&file, &plain));
    assert_ok(load(&more, &with_more));
    struct sha256 a = sentencepiece_fingerprint(plain), b = sentencepiece_fingerprint(with_more);
    assert_memory_equal(&a, &b, sizeof a);
    check_ids(with_more, "abc", "33 5");
    sentencepiece_free(plain);
    sentencepiece_free(with_more);
    bytes_free(&file);
    bytes_free(&more);
    bytes_free(&extra);
}

static struct sha256 fingerprint_of(struct bytes file)
{
    struct sentencepiece *model;
    assert_ok(load(&file, &model));
    struct sha256 hash = sentencepiece_fingerprint(model);
    sentencepiece_free(model);
    bytes_free(&file);
    return hash;
}

static void fingerprints_tell_behaviour_apart(void **state)
{
    (void)state;
    struct sha256 hashes[16];
    int count = 0;
    hashes[count++] = fingerprint_of(good(0));
    hashes[count++] = fingerprint_of(good(1));
    hashes[count++] = fingerprint_of(good_with(3, number_in(3, 0)));
    hashes[count++] = fingerprint_of(good_with(3, number_in(4, 1)));
    hashes[count++] = fingerprint_of(good_with(3, number_in(5, 0)));
    hashes[count++] = fingerprint_of(good_with(2, number_in(24, 1)));
    hashes[count++] = fingerprint_of(good_with(2, text_in(44, "?")));
    hashes[count++] = fingerprint_of(good_with(2, text_in(46, "</s>"))); /* BOS is another id */
    hashes[count++] = fingerprint_of(good_with(2, text_in(47, "<s>")));
    hashes[count++] = fingerprint_of(good_and_piece("qr", 2, -1, 0));
    hashes[count++] = fingerprint_of(good_and_piece("qr", 2, -2, 0));
    hashes[count++] = fingerprint_of(good_and_piece("qr", 2, -1, 4));
    hashes[count++] = fingerprint_of(good_and_piece("qs", 2, -1, 0));
    for (int i = 0; i < count; i++)
        for (int j = 0; j < i; j++)
            assert_memory_not_equal(&hashes[i], &hashes[j], sizeof *hashes);
    /* Equal behaviour, different bytes: a type that is named or left out, -0, and flags that repeat the current
     * value. */
    struct sha256 same[] = {
        fingerprint_of(good_with(3, number_in(3, 1))), fingerprint_of(good_with(2, number_in(24, 0))),
        fingerprint_of(good_with(2, text_in(44, " \xE2\x81\x87 "))), fingerprint_of(good_with(2, text_in(46, "<s>"))),
        fingerprint_of(good_with(2, text_in(2, "some/prefix")))};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        assert_memory_equal(&same[i], &hashes[0], sizeof *hashes);
    struct sha256 zero = fingerprint_of(good_and_piece("qr", 2, 0.0f, 0)),
                  minus = fingerprint_of(good_and_piece("qr", 2, -0.0f, 1));
    assert_memory_equal(&zero, &minus, sizeof zero);
}

/* ---- damaged files ---- */

/* Loads a damaged file from memory that ends with it, and uses it when it loads. */
static bool survive(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, data, size);
    struct sentencepiece *model;
    enum status status = sentencepiece_load_memory("test.model", copy, (int64_t)size, &model);
    free(copy);
    if (status != STATUS_OK) {
        assert_int_equal(status, STATUS_CORRUPT);
        if (strncmp(status_text(), "test.model: ", 12) != 0)
            fail_msg("the refusal does not name the file: %s", status_text());
        assert_null(model);
        return false;
    }
    static const char text[] = "abc ab <s> [Hu12][Hu1 aaaa\xC3\xA9\xFF\n  abcab";
    int32_t *ids;
    int64_t count, length;
    char *decoded;
    assert_ok(sentencepiece_encode(model, text, sizeof text, true, &ids, &count));
    for (int64_t i = 0; i < count; i++)
        assert_in_range(ids[i], 0, sentencepiece_size(model) - 1);
    assert_ok(sentencepiece_decode(model, ids, count, true, &decoded, &length));
    free(decoded);
    free(ids);
    int32_t *all = malloc((size_t)sentencepiece_size(model) * sizeof *all);
    assert_non_null(all);
    for (int32_t i = 0; i < sentencepiece_size(model); i++)
        all[i] = sentencepiece_size(model) - 1 - i;
    assert_ok(sentencepiece_decode(model, all, sentencepiece_size(model), true, &decoded, &length));
    free(decoded);
    free(all);
    struct sha256 hash = sentencepiece_fingerprint(model);
    (void)hash;
    sentencepiece_free(model);
    return true;
}

/* Every kind of piece and flag in one small file. */
static struct bytes varied_model(void)
{
    struct bytes file = good(1), trainer = {0};
    put_piece(&file, "[Hu1]", 5, 0, 4);
    put_piece(&file, "[Hu12]", 6, 0, 4);
    put_piece(&file, "[Hu", 3, 0, 4);
    put_piece(&file, "abca", 4, 0.5f, 5);
    put_piece(&file, "abcab", 5, 1.5f, 5);
    put_piece(&file, "<ctl>", 5, 0, 3);
    put_bytes(&trainer, 44, " ? ", 3);
    put_bytes(&trainer, 46, "<s>", 3);
    put_bytes(&trainer, 47, "</s>", 4);
    put_number(&trainer, 24, 0);
    put_bytes(&file, 2, trainer.data, trainer.size);
    bytes_free(&trainer);
    return file;
}

static void truncated_files_are_refused_or_whole(void **state)
{
    (void)state;
    struct bytes file = varied_model(), small = good(0);
    assert_true(survive(file.data, file.size));
    int loaded = 0;
    for (size_t size = 0; size < file.size; size++)
        loaded += survive(file.data, size);
    for (size_t size = 0; size < small.size; size++)
        loaded += survive(small.data, size);
    /* A cut between two fields is a whole file to protocol buffers: it loads once both specifications' needs are met.
     */
    printf("%d of %zu truncations load\n", loaded, file.size + small.size);
    assert_true(loaded < 20);
    bytes_free(&file);
    bytes_free(&small);
}

static void mutate(struct rng *rng, struct bytes *file)
{
    for (uint64_t left = 1 + rng_below(rng, 4); left > 0 && file->size > 1; left--) {
        size_t at = (size_t)rng_below(rng, file->size), length = (size_t)rng_below(rng, 12) + 1;
        /* Half of the damage falls on the end, where the specifications are. */
        if (rng_below(rng, 2) && file->size > 100)
            at = file->size - 1 - (size_t)rng_below(rng, 100);
        if (length > file->size - at)
            length = file->size - at;
        static const uint8_t telling[] = {0x00, 0x01, 0x02, 0x05, 0x06, 0x07, 0x08, 0x0a, 0x12, 0x18, 0x7f, 0x80, 0xff};
        switch (rng_below(rng, 7)) {
        case 0:
            file->data[at] = (uint8_t)(file->data[at] ^ (1u << rng_below(rng, 8)));
            break;
        case 1:
            file->data[at] = (uint8_t)rng_below(rng, 256);
            break;
        case 2:
            file->data[at] = telling[rng_below(rng, sizeof telling)];
            break;
        case 3: /* cut a piece out */
            memmove(file->data + at, file->data + at + length, file->size - at - length);
            file->size -= length;
            break;
        case 4:                                  /* duplicate a piece */
            bytes_add(file, file->data, length); /* makes room; then moved into place */
            memmove(file->data + at + length, file->data + at, file->size - length - at);
            break;
        case 5: /* copy one place over another */
            memmove(file->data + at, file->data + rng_below(rng, file->size - length + 1), length);
            break;
        default: /* a long run of one value */
            memset(file->data + at, telling[rng_below(rng, sizeof telling)], length);
        }
    }
}

static void mutated_files_never_harm(void **state)
{
    (void)state;
    struct bytes files[] = {varied_model(), good(0)};
    struct rng rng = rng_make(test_seed(), RNG_TEST, 40, 0);
    const char *rounds_text = getenv("TEST_MUTATIONS"); /* set it by hand for more: TEST_MUTATIONS=10000000 */
    long rounds = rounds_text ? atol(rounds_text) : 20000, loaded = 0;
    for (long round = 0; round < rounds; round++) {
        struct bytes file = {0};
        bytes_add(&file, files[round % 2].data, files[round % 2].size);
        mutate(&rng, &file);
        loaded += survive(file.data, file.size);
        bytes_free(&file);
    }
    printf("%ld of %ld mutations load\n", loaded, rounds);
    assert_true(loaded > rounds / 100 && loaded < rounds);
    bytes_free(&files[0]);
    bytes_free(&files[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_follow_the_scores),
        cmocka_unit_test(bytes_stand_for_the_unknown),
        cmocka_unit_test(wrong_models_are_refused_by_name),
        cmocka_unit_test(broken_wire_format_is_refused_by_position),
        cmocka_unit_test(unknown_fields_are_skipped),
        cmocka_unit_test(fingerprints_tell_behaviour_apart),
        cmocka_unit_test(truncated_files_are_refused_or_whole),
        cmocka_unit_test(mutated_files_never_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
