/* Our SentencePiece against the library (libsentencepiece 0.1.97, linked live): ids and decoded bytes on random and
 * real strings, for models trained here by spm_train and for variants of them with other flags and piece types. */
#include "sentencepiece_models.h"
#include "support/files.h"
#include "support/test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPACE "\xE2\x96\x81"

enum { TEXT_LIMIT = 1024 };

/* ---- strings ---- */

static size_t real_text(struct rng *rng, char *text)
{
    size_t size = (size_t)rng_below(rng, 200), start = (size_t)rng_below(rng, corpus.size - size);
    memcpy(text, corpus.data + start, size);
    return size;
}

static uint32_t random_code(struct rng *rng)
{
    switch (rng_below(rng, 6)) {
    case 0:
        return (uint32_t)rng_below(rng, 0x80); /* control bytes and NUL too */
    case 1:
        return (uint32_t)rng_below(rng, 0x800);
    case 2:
        return 0x4E00 + (uint32_t)rng_below(rng, 40);
    case 3:
        return 0x1F600 + (uint32_t)rng_below(rng, 20);
    case 4: {
        uint32_t code = (uint32_t)rng_below(rng, 0x10000);
        return code >= 0xD800 && code < 0xE000 ? 0x2581 : code;
    }
    default:
        return (uint32_t)rng_below(rng, 0x110000 - 0x10000) + 0x10000;
    }
}

static size_t pieces_text(struct rng *rng, const struct sentencepiece *model, char *text)
{
    size_t size = 0;
    for (uint64_t left = rng_below(rng, 20); left > 0; left--) {
        int64_t length;
        const char *piece =
            sentencepiece_piece(model, (int32_t)rng_below(rng, (uint64_t)sentencepiece_size(model)), &length);
        bool space = length >= 3 && memcmp(piece, SPACE, 3) == 0 && rng_below(rng, 4) > 0;
        if (size + (size_t)length + 1 >= TEXT_LIMIT)
            break;
        if (space)
            text[size++] = ' ';
        memcpy(text + size, piece + (space ? 3 : 0), (size_t)length - (space ? 3 : 0));
        size += (size_t)length - (space ? 3 : 0);
        if (rng_below(rng, 6) == 0)
            size -= size > 0; /* half a piece, perhaps half a character */
    }
    return size;
}

static size_t chosen_text(struct rng *rng, char *text, const char *const *parts, size_t part_count, uint64_t most)
{
    size_t size = 0;
    for (uint64_t left = rng_below(rng, most); left > 0; left--) {
        const char *part = parts[rng_below(rng, part_count)];
        size_t length = *part ? strlen(part) : 1; /* "" stands for a NUL */
        if (size + length >= TEXT_LIMIT)
            break;
        memcpy(text + size, part, length);
        size += length;
    }
    return size;
}

static void damage(struct rng *rng, char *text, size_t *size)
{
    for (uint64_t left = 1 + rng_below(rng, 5); left > 0 && *size > 0; left--) {
        size_t at = (size_t)rng_below(rng, *size);
        switch (rng_below(rng, 3)) {
        case 0:
            text[at] = (char)rng_below(rng, 256);
            break;
        case 1:
            memmove(text + at, text + at + 1, *size - at - 1);
            --*size;
            break;
        default:
            memmove(text + at + 1, text + at, *size - at);
            text[at] = (char)(0x80 + rng_below(rng, 128));
            ++*size;
        }
    }
}

static size_t random_text(struct rng *rng, const struct sentencepiece *model, char *text)
{
    static const char *const spaces[] = {" ",   " ",    " ",    "  ",           "\t",           "\n",
                                         "\r",  SPACE,  "",     "\xC2\xA0",     "\xE3\x80\x80", "a",
                                         "the", "\x01", "\x7F", "\xEF\xBB\xBF", "\xEF\xBF\xBD"};
    static const char *const marks[] = {"[Text]",
                                        "[Speech]",
                                        "[Hu0]",
                                        "[Hu1]",
                                        "[Hu10]",
                                        "[Hu100]",
                                        "[Hu",
                                        "]",
                                        "[",
                                        "0",
                                        "the",
                                        "there",
                                        "th",
                                        "e",
                                        " the",
                                        "Lord",
                                        " Lord",
                                        "LO",
                                        "LORD",
                                        "R",
                                        "a b",
                                        "a" SPACE "b",
                                        "<s>",
                                        "</s>",
                                        "<unk>",
                                        "<what>",
                                        "<begin>",
                                        "[CTRL]",
                                        "<pad>",
                                        "<0x41>",
                                        "\xF0\x9F\x98\x80",
                                        "\xF0\x9F",
                                        "\xE4\xB8\x80\xE4\xB8\x81",
                                        " "};
    static const char *const letters[] = {"a", "b", "n", "e", "t", "h", " "};
    size_t size = 0, part_count = 1 + (size_t)rng_below(rng, 3);
    switch (rng_below(rng, 10)) {
    case 0:
    case 1:
        return real_text(rng, text);
    case 2:
        for (uint64_t left = rng_below(rng, 40); left > 0; left--)
            size += put_utf8(text + size, random_code(rng));
        return size;
    case 3:
        for (uint64_t left = rng_below(rng, 60); left > 0; left--)
            text[size++] = (char)rng_below(rng, 256);
        return size;
    case 4:
        return chosen_text(rng, text, spaces, sizeof spaces / sizeof *spaces, 30);
    case 5:
        return chosen_text(rng, text, marks, sizeof marks / sizeof *marks, 16);
    case 6:
        return chosen_text(rng, text, letters + rng_below(rng, 7 - part_count + 1), part_count, 120);
    case 7:
        size = real_text(rng, text);
        break;
    case 8:
        for (uint64_t left = rng_below(rng, 40); left > 0; left--)
            size += put_utf8(text + size, random_code(rng));
        break;
    default:
        return pieces_text(rng, model, text);
    }
    damage(rng, text, &size);
    return size;
}

/* ---- comparing ---- */

static void print_text(const char *name, const char *text, size_t size)
{
    print_error("%s, text of %zu bytes:", name, size);
    for (size_t i = 0; i < size && i < 300; i++)
        print_error(" %02x", (unsigned char)text[i]);
    print_error("\n");
}

static void check_decoding(struct fixture *fixture, const int32_t *ids, int64_t count)
{
    const char *expected;
    size_t expected_size;
    char *decoded;
    int64_t size;
    assert_true(oracle_decode(fixture->oracle, ids, (size_t)count, &expected, &expected_size));
    assert_ok(sentencepiece_decode(fixture->model, ids, count, true, &decoded, &size));
    if ((size_t)size != expected_size || memcmp(decoded, expected, expected_size) != 0) {
        print_text("the library", expected, expected_size);
        print_text("ours", decoded, (size_t)size);
        print_error("%s, ids:", fixture->name);
        for (int64_t i = 0; i < count && i < 300; i++)
            print_error(" %d", (int)ids[i]);
        fail_msg("%s decodes differently", fixture->name);
    }
    assert_int_equal(decoded[size], 0);
    free(decoded);
}

static bool well_formed(const char *text, size_t size)
{
    static char copy[4 * TEXT_LIMIT];
    for (size_t at = 0, left; at < size; at += left) {
        uint32_t lead = (unsigned char)text[at], code;
        left = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
        code = left == 1 ? lead : lead & (0x7Fu >> left);
        for (size_t i = 1; i < left && at + i < size; i++)
            code = code << 6 | ((unsigned char)text[at + i] & 0x3Fu);
        if (at + left > size || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000) || put_utf8(copy, code) != left ||
            memcmp(copy, text + at, left) != 0 || code == 0 || code == 0x2581)
            return false;
    }
    return true;
}

/* Returns whether the text is one that must come back unchanged. */
static bool check_text(struct fixture *fixture, const char *text, size_t size)
{
    const int *expected;
    size_t expected_count;
    int32_t *ids;
    int64_t count;
    assert_true(oracle_encode(fixture->oracle, text, size, &expected, &expected_count));
    /* Ours gets its own copy at the very end of a block, so that a read past it is seen under the sanitizer. */
    char *copy = malloc(size + 1);
    memcpy(copy + 1, text, size);
    assert_ok(sentencepiece_encode(fixture->model, copy + 1, (int64_t)size, true, &ids, &count));
    bool equal = (size_t)count == expected_count;
    for (int64_t i = 0; equal && i < count; i++)
        equal = ids[i] == expected[i];
    if (!equal) {
        print_text(fixture->name, text, size);
        for (size_t i = 0; i < expected_count || i < (size_t)count; i++)
            print_error("%d %d\n", i < expected_count ? expected[i] : -1, i < (size_t)count ? (int)ids[i] : -1);
        fail_msg("%s encodes differently", fixture->name);
    }
    check_decoding(fixture, ids, count);
    bool comes_back = fixture->round_trips && well_formed(text, size);
    if (comes_back) {
        char *decoded;
        int64_t decoded_size;
        assert_ok(sentencepiece_decode(fixture->model, ids, count, true, &decoded, &decoded_size));
        assert_int_equal(decoded_size, size);
        assert_memory_equal(decoded, text, size);
        free(decoded);
    }
    free(ids);
    free(copy);
    return comes_back;
}

static void check_pieces(struct fixture *fixture)
{
    assert_int_equal(sentencepiece_size(fixture->model), oracle_size(fixture->oracle));
    assert_int_equal(sentencepiece_unk(fixture->model), oracle_unk(fixture->oracle));
    assert_int_equal(sentencepiece_bos(fixture->model), oracle_bos(fixture->oracle));
    assert_int_equal(sentencepiece_eos(fixture->model), oracle_eos(fixture->oracle));
    for (int32_t id = 0; id < sentencepiece_size(fixture->model); id++) {
        int64_t length;
        size_t expected_length;
        const char *piece = sentencepiece_piece(fixture->model, id, &length);
        const char *expected = oracle_piece(fixture->oracle, id, &expected_length);
        assert_int_equal(length, expected_length);
        assert_memory_equal(piece, expected, expected_length);
        assert_int_equal(sentencepiece_find(fixture->model, piece), id);
    }
}

static void check_random_ids(struct fixture *fixture, struct rng *rng, int rounds)
{
    int32_t ids[64], bytes[256], byte_count = 0;
    for (int32_t id = 0; id < sentencepiece_size(fixture->model); id++)
        if (oracle_is_byte(fixture->oracle, id))
            bytes[byte_count++] = id;
    for (int round = 0; round < rounds; round++) {
        int64_t count = (int64_t)rng_below(rng, 24);
        for (int64_t i = 0; i < count; i++) {
            uint64_t kind = rng_below(rng, 4);
            ids[i] = kind == 0 && byte_count   ? bytes[rng_below(rng, (uint64_t)byte_count)]
                     : kind == 1 && byte_count ? bytes[0x80 + rng_below(rng, 0x80)]
                     : kind == 2               ? (int32_t)rng_below(rng, 4)
                                               : (int32_t)rng_below(rng, (uint64_t)sentencepiece_size(fixture->model));
        }
        check_decoding(fixture, ids, count);
    }
}

static void check_fixture(const char *name, int texts, bool round_trips)
{
    struct fixture fixture = open_fixture(name, round_trips);
    check_pieces(&fixture);
    struct rng rng = rng_make(test_seed(), RNG_TEST, 32, (uint64_t)texts);
    static char text[2 * TEXT_LIMIT];
    int came_back = 0;
    for (int i = 0; i < texts; i++) {
        size_t size = random_text(&rng, fixture.model, text);
        came_back += check_text(&fixture, text, size);
    }
    if (round_trips)
        assert_true(came_back > texts / 4);
    check_random_ids(&fixture, &rng, texts / 4);
    close_fixture(&fixture);
}

/* ---- tests ---- */

static void trained_models_equal_the_library(void **state)
{
    (void)state;
    check_fixture("small", 36000, true);
    check_fixture("large", 30000, true);
    check_fixture("user", 36000, true);
}

static void other_flags_equal_the_library(void **state)
{
    (void)state;
    check_fixture("plain", 4000, false);
    check_fixture("suffix", 4000, false);
    static const struct {
        const char *from;
        struct variant variant;
    } variants[] = {
        {"small", {0, -1, -1, -1, 0, NULL}},    {"small", {-1, 1, -1, -1, 0, NULL}},
        {"user", {0, 1, -1, -1, 0, ""}},        {"small", {-1, -1, 0, -1, 0, NULL}},
        {"user", {-1, 1, 0, -1, 0, "?" SPACE}}, {"user", {-1, 0, -1, 1, 0, NULL}},
        {"small", {-1, -1, -1, -1, 30, NULL}},  {"large", {-1, -1, -1, -1, 60, NULL}},
        {"user", {0, 0, -1, -1, 90, NULL}},     {"plain", {-1, -1, -1, -1, 20, "\xE2\x81\x87"}},
        {"plain", {0, 0, 0, 1, 50, SPACE "x"}},
    };
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        make_variant(variants[i].from, "variant", &variants[i].variant);
        check_fixture("variant", 3000, false);
    }
}

/* Pieces of several spaces, as LLaMA's model has them. */
static void runs_of_spaces_equal_the_library(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "th",  SPACE SPACE, SPACE "th", SPACE SPACE SPACE SPACE, "he", SPACE SPACE "a", SPACE "b", SPACE SPACE SPACE,
        "the", NULL};
    struct bytes file = build_small_model(pieces, 1);
    write_plainly("text-models/spaces.model", file.data, (int64_t)file.size);
    bytes_free(&file);
    check_fixture("spaces", 4000, true);
}

/* Passing false for dummy_prefix and strip_prefix is the same as a model whose file turns them off. */
static void prefixes_can_be_left_out(void **state)
{
    (void)state;
    make_variant("small", "variant", &(struct variant){0, -1, -1, -1, 0, NULL});
    struct fixture with = open_fixture("small", false), without = open_fixture("variant", false);
    struct rng rng = rng_make(test_seed(), RNG_TEST, 33, 0);
    static char text[2 * TEXT_LIMIT];
    for (int i = 0; i < 3000; i++) {
        size_t size = random_text(&rng, with.model, text);
        const int *expected;
        size_t expected_count, expected_size;
        int32_t *ids;
        int64_t count, decoded_size;
        const char *expected_text;
        char *decoded;
        assert_true(oracle_encode(without.oracle, text, size, &expected, &expected_count));
        assert_ok(sentencepiece_encode(with.model, text, (int64_t)size, false, &ids, &count));
        assert_int_equal(count, expected_count);
        if (count > 0)
            assert_memory_equal(ids, expected, expected_count * sizeof *ids);
        assert_true(oracle_decode(without.oracle, ids, (size_t)count, &expected_text, &expected_size));
        assert_ok(sentencepiece_decode(with.model, ids, count, false, &decoded, &decoded_size));
        assert_int_equal(decoded_size, expected_size);
        assert_memory_equal(decoded, expected_text, expected_size);
        free(decoded);
        free(ids);
    }
    close_fixture(&with);
    close_fixture(&without);
}

/* One letter a million times: pieces double, so a search for the best pair that looked at all of them again each time
 * would take hours. Two letters without spaces and a run of spaces do the same to words. The ids must be the library's,
 * too. */
static void a_million_letters_encode(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    char *text = malloc(N);
    static const char *const names[] = {"large", "user"};
    for (int i = 0; i < 2; i++) {
        struct fixture fixture = open_fixture(names[i], true);
        struct rng rng = rng_make(test_seed(), RNG_TEST, 34, 0);
        for (int kind = 0; kind < 3; kind++) {
            for (int at = 0; at < N; at++)
                text[at] = kind == 0 ? 'e' : kind == 1 ? ' ' : (char)('e' + rng_below(&rng, 2));
            const int *expected;
            size_t expected_count;
            int32_t *ids;
            int64_t count;
            assert_true(oracle_encode(fixture.oracle, text, N, &expected, &expected_count));
            assert_ok(sentencepiece_encode(fixture.model, text, N, true, &ids, &count));
            assert_int_equal(count, expected_count);
            assert_memory_equal(ids, expected, expected_count * sizeof *ids);
            free(ids);
        }
        close_fixture(&fixture);
    }
    free(text);
}

/* Every text of one or two bytes, and every code point by itself. */
static void all_short_texts_equal_the_library(void **state)
{
    (void)state;
    struct fixture fixture = open_fixture("user", false);
    char text[8];
    for (int a = 0; a < 256; a++) {
        text[0] = (char)a;
        check_text(&fixture, text, 1);
        for (int b = 0; b < 256; b += a < 0x80 ? 37 : 5) {
            text[1] = (char)b;
            check_text(&fixture, text, 2);
        }
    }
    check_text(&fixture, text, 0);
    for (uint32_t code = 0x80; code < 0x110000; code += code < 0x3000 ? 7 : 97)
        if (code < 0xD800 || code >= 0xE000)
            check_text(&fixture, text, put_utf8(text, code));
    close_fixture(&fixture);
}

/* Random pieces of a few letters with equal scores among them, some unused or user-defined: every way in which merges
 * can compete, which trained models seldom show. */
static void write_random_model(struct rng *rng, const char *path)
{
    static const char *const letters[] = {"a", "b", SPACE, "\xC3\xA9"};
    struct bytes model = {0};
    char seen[64][32];
    int count = 0;
    bool byte_fallback = rng_below(rng, 2);
    put_piece(&model, "<unk>", 5, 0, 2);
    for (int byte = 0; byte_fallback && byte < 256; byte++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", (unsigned)byte);
        put_piece(&model, text, 6, 0, 6);
    }
    for (int tries = 0; tries < 40; tries++) {
        char text[32] = "";
        bool known = false;
        for (uint64_t length = 1 + rng_below(rng, 4); length > 0; length--)
            strcat(text, letters[rng_below(rng, rng_below(rng, 2) ? 4 : 2)]);
        for (int i = 0; i < count; i++)
            known |= strcmp(seen[i], text) == 0;
        if (known)
            continue;
        strcpy(seen[count++], text);
        static const unsigned types[] = {0, 0, 0, 1, 5, 5, 4};
        unsigned type = types[rng_below(rng, strlen(text) > 1 ? 6 + rng_below(rng, 2) : 6)];
        put_piece(&model, text, strlen(text), -(float)rng_below(rng, 6), type);
    }
    put_specifications(&model, 2, byte_fallback);
    write_plainly(path, model.data, (int64_t)model.size);
    bytes_free(&model);
}

static void random_models_equal_the_library(void **state)
{
    (void)state;
    static const char *const letters[] = {"a", "b", " ", "\xC3\xA9", "c"};
    struct rng rng = rng_make(test_seed(), RNG_TEST, 35, 0);
    static char text[2 * TEXT_LIMIT];
    for (int round = 0; round < 400; round++) {
        write_random_model(&rng, "text-models/random.model");
        struct fixture fixture = open_fixture("random", false);
        check_pieces(&fixture);
        for (int i = 0; i < 60; i++)
            check_text(&fixture, text, chosen_text(&rng, text, letters, 2 + (size_t)rng_below(&rng, 4), 40));
        check_random_ids(&fixture, &rng, 20);
        close_fixture(&fixture);
    }
}

static int make_all(void **state)
{
    (void)state;
    make_models();
    return 0;
}

static int free_all(void **state)
{
    (void)state;
    bytes_free(&corpus);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trained_models_equal_the_library), cmocka_unit_test(other_flags_equal_the_library),
        cmocka_unit_test(random_models_equal_the_library),  cmocka_unit_test(runs_of_spaces_equal_the_library),
        cmocka_unit_test(prefixes_can_be_left_out),         cmocka_unit_test(all_short_texts_equal_the_library),
        cmocka_unit_test(a_million_letters_encode),
    };
    return cmocka_run_group_tests(tests, make_all, free_all);
}
