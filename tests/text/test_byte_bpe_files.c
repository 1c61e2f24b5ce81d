/* vocab.json with merges.txt: the model of tokenizer.json in its older form. The golden model of GPT-2's pre-tokenizer, written so, gives
 * the ids of Hugging Face's tokenizers and the fingerprint of its tokenizer.json, however its lines end; what is wrong is refused with
 * its file and line, and no change of the files does more than that. SPIRITLM_TEST_LONG=1: 50,000 changes instead of 500. */
#include "support/files.h"
#include "support/test_support.h"
#include "support/usage.h"

#include "io/atomic_file.h"
#include "io/json.h"
#include "text/byte_bpe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN TEST_GOLDEN_DIRECTORY "/byte_bpe/"

enum { DIGEST = 8 /* bytes of the SHA-256 of a text's ids */, ROOM = 1 << 16 };

static const char *const control[] = {"<|endoftext|>", "<|pad|>", NULL};

static void *read_whole(const char *path, int64_t *size)
{
    void *data;
    assert_ok(file_read(path, INT64_C(1) << 30, &data, size));
    return data;
}

static struct byte_bpe_text whole(const char *text)
{
    return (struct byte_bpe_text){text, (int64_t)strlen(text)};
}

static enum status load(const char *vocabulary, const char *merges, struct byte_bpe **model)
{
    const struct byte_bpe_files files = {.vocabulary_name = "vocab.json",
                                         .merges_name = "merges.txt",
                                         .vocabulary = whole(vocabulary),
                                         .merges = whole(merges),
                                         .control = control};
    return byte_bpe_load_files(&files, model);
}

/* The two files of golden gpt-2.json, lines of merges.txt joined by `end`; the caller frees both. */
static void write_pair(const char *end, char **vocabulary, char **merges)
{
    json_t *root, *pair;
    size_t index, used = 0;
    assert_ok(jdoc_read(GOLDEN "gpt-2.json", &root));
    const json_t *model = json_object_get(root, "model");
    *vocabulary = json_dumps(json_object_get(model, "vocab"), JSON_COMPACT);
    *merges = malloc(ROOM);
    assert_true(*vocabulary && *merges);
    used += (size_t)snprintf(*merges, ROOM, "#version: 0.2%s", end);
    json_array_foreach(json_object_get(model, "merges"), index, pair)
    {
        used += (size_t)snprintf(*merges + used, ROOM - used, "%s %s%s", json_string_value(json_array_get(pair, 0)),
                                 json_string_value(json_array_get(pair, 1)), end);
        assert_true(used < ROOM);
    }
    assert_true(index > 200);
    json_decref(root);
}

static void ids_are_those_of_the_library(void **state)
{
    (void)state;
    char *vocabulary, *merges;
    struct byte_bpe *model;
    int64_t size, digests_size, at = 0, rows = 0;
    char *texts = read_whole(GOLDEN "texts.bin", &size), *digests = read_whole(GOLDEN "gpt-2.ids", &digests_size);
    write_pair("\n", &vocabulary, &merges);
    assert_ok(load(vocabulary, merges, &model));
    assert_string_equal(byte_bpe_pre_tokenizer(model), "gpt-2");
    for (; at < size; rows++) {
        uint32_t length;
        int32_t *ids;
        int64_t count, dropped;
        memcpy(&length, texts + at, sizeof length);
        assert_ok(byte_bpe_encode(model, texts + at + sizeof length, length, &ids, &count, &dropped));
        assert_int_equal(dropped, 0);
        struct sha256 hash = sha256_of(ids, (size_t)count * sizeof *ids);
        assert_true((rows + 1) * DIGEST <= digests_size);
        if (memcmp(hash.bytes, digests + rows * DIGEST, DIGEST) != 0)
            fail_msg("text %d has other ids than the library gives", (int)rows);
        free(ids);
        at += (int64_t)(sizeof length + length);
    }
    assert_true(rows > 3000 && rows * DIGEST == digests_size);
    byte_bpe_free(model);
    free(texts);
    free(digests);
    free(vocabulary);
    free(merges);
}

static void lines_end_as_they_like(void **state)
{
    (void)state;
    struct byte_bpe *model;
    struct sha256 wanted;
    int64_t size;
    void *json = read_whole(GOLDEN "gpt-2.json", &size);
    assert_ok(byte_bpe_load_json("gpt-2.json", json, size, &model));
    wanted = byte_bpe_fingerprint(model);
    byte_bpe_free(model);
    free(json);
    for (int form = 0; form < 6; form++) {
        char *vocabulary, *merges, changed[ROOM + 16];
        write_pair(form == 1 ? "\r\n" : "\n", &vocabulary, &merges);
        const char *first = strchr(merges, '\n') + 1;
        int length = (int)strlen(merges);
        snprintf(changed, sizeof changed, "%s%.*s%s", form == 2 ? "\xEF\xBB\xBF" : "",
                 form == 3 ? length - 1 : length, /* no line end at the last line */
                 form == 4 ? first : merges,      /* no version */
                 form == 5 ? "\n\r\n\n" : "");
        assert_ok(load(vocabulary, changed, &model));
        struct sha256 found = byte_bpe_fingerprint(model);
        assert_memory_equal(&found, &wanted, sizeof wanted);
        byte_bpe_free(model);
        free(vocabulary);
        free(merges);
    }
}

/* A text never becomes what is named as control, though merges would make it. */
static void control_pieces_stand_for_no_text(void **state)
{
    (void)state;
    static const char *const names[] = {"ab", NULL};
    struct byte_bpe *model;
    const struct byte_bpe_files files = {.vocabulary_name = "vocab.json",
                                         .merges_name = "merges.txt",
                                         .vocabulary = whole("{\"a\": 0, \"b\": 1, \"ab\": 2}"),
                                         .merges = whole(""),
                                         .control = names};
    assert_ok(byte_bpe_load_files(&files, &model));
    assert_int_equal(byte_bpe_type(model, 2), BYTE_BPE_CONTROL);
    assert_int_equal(byte_bpe_find(model, "ab", 2), 2);
    byte_bpe_free(model);
    struct byte_bpe_files merged = files;
    merged.merges = whole("a b\n");
    assert_fails(byte_bpe_load_files(&merged, &model), STATUS_CORRUPT, "merges.txt:1: ");
    merged.control = NULL;
    assert_ok(byte_bpe_load_files(&merged, &model));
    assert_int_equal(byte_bpe_type(model, 2), BYTE_BPE_NORMAL);
    byte_bpe_free(model);
}

static void what_is_wrong_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *vocabulary, *merges, *text;
    } cases[] = {
        {"", "", "vocab.json: "},
        {"[]", "", "vocab.json: byte 0: expected an object of pieces and their ids"},
        {"{}", "", "vocab.json: 0 pieces"},
        {"{\"a\": 0} x", "", "vocab.json: byte 9"},
        {"{\"a\": \"0\"}", "", "vocab.json: byte 6: expected the id of a piece"},
        {"{\"a\": 0.5}", "", "the id of a piece is 0.5, expected 0 to 2097151"},
        {"{\"a\": -1}", "", "the id of a piece is -1, expected 0 to 2097151"},
        {"{\"a\": 2097152}", "", "the id of a piece is 2097152, expected 0 to 2097151"},
        {"{\"a\": 99999999999999999999999}", "", "expected 0 to 2097151"},
        {"{\"a\": 0, \"b\": 0}", "", "vocab.json: two pieces have the id 0"},
        {"{\"a\": 0, \"a\": 1}", "", "vocab.json: pieces 0 and 1 are both \"a\""},
        {"{\"a\": 0, \"\": 1}", "", "vocab.json: piece 1 has 0 bytes"},
        {"{\"a\": 0, \"\xff\": 1}", "", "vocab.json: "},
        {"{\"ab\": 0}", "", "vocab.json: no piece is a single byte"},
        {"{\"a\": 0}", "a a\n", "merges.txt:1: merge 0 needs \"aa\", which is not a piece"},
        {"{\"a\": 0, \"aa\": 1}", "#version: 0.2\na a\na b\n", "merges.txt:3: merge 1 needs \"b\""},
        {"{\"a\": 0, \"aa\": 1}", "a a\na a\n", "merges.txt:2: merges 0 and 1 both join \"a\" and \"a\""},
        {"{\"a\": 0, \"aa\": 1}", "a a a\n", "merges.txt:1: merge 0 should be two pieces"},
        {"{\"a\": 0, \"aa\": 1}", "aa\n", "merges.txt:1: merge 0 should be two pieces"},
        {"{\"a\": 0, \"aa\": 1}", " a\n", "merges.txt:1: merge 0 should be two pieces"},
        {"{\"a\": 0, \"aa\": 1}", "\na a\n", "merges.txt:1: merge 0 should be two pieces"},
        {"{\"a\": 0, \"aa\": 1}", "a\ta\n", "merges.txt:1: merge 0 should be two pieces"},
        {"{\"a\": 0, \"aa\": 1}", "a a\n#version: 0.2\n", "merges.txt:2: merge 1 needs \"#version:\""},
        {"{\"a\": 0, \"aa\": 1}", "a a \n", "merges.txt:1: merge 0 should be two pieces"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct byte_bpe *model;
        assert_fails(load(cases[i].vocabulary, cases[i].merges, &model), STATUS_CORRUPT, cases[i].text);
        assert_null(model);
    }
}

static void change(char *text, size_t *size, struct rng *rng)
{
    static const char *const parts[] = {"\"",      ",", ":",  "{",    "}",    "\\u0000", "-1",
                                        "2097151", " ", "\n", "\r\n", "\xff", "a b\n"};
    const char *part = parts[rng_below(rng, sizeof parts / sizeof *parts)];
    size_t at = (size_t)rng_below(rng, *size), length = 1 + (size_t)rng_below(rng, 20), put = strlen(part);
    length = at + length > *size ? *size - at : length;
    if (rng_below(rng, 3) == 0) {
        text[at] = (char)(1 + rng_below(rng, 255));
    } else if (rng_below(rng, 2) == 0 && length < *size) {
        memmove(text + at, text + at + length, *size - at - length);
        *size -= length;
    } else {
        memmove(text + at + put, text + at, *size - at);
        memcpy(text + at, part, put);
        *size += put;
    }
    text[*size] = '\0';
}

static char *copy_with_room(const char *text, size_t *size)
{
    *size = strlen(text);
    char *copy = malloc(*size + 256);
    assert_non_null(copy);
    memcpy(copy, text, *size + 1);
    return copy;
}

static void no_change_crashes_hangs_or_takes_memory(void **state)
{
    (void)state;
    const int64_t rounds = test_is_long() ? 50000 : 500;
    int64_t accepted = 0, before = peak_kilobytes();
    double longest = 0;
    char *vocabulary, *merges;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 212, 0);
    write_pair("\n", &vocabulary, &merges);
    for (int64_t n = 0; n < rounds; n++) {
        size_t sizes[2];
        char *texts[] = {copy_with_room(vocabulary, &sizes[0]), copy_with_room(merges, &sizes[1])};
        for (uint64_t left = 1 + rng_below(&rng, 3); left > 0; left--) {
            int which = (int)rng_below(&rng, 2);
            change(texts[which], &sizes[which], &rng);
        }
        struct byte_bpe *model;
        double start = processor_seconds();
        enum status status = load(texts[0], texts[1], &model);
        if (status == STATUS_OK) {
            static const char text[] = "the caf\xc3\xa9's  1234 <|endoftext|>\n\n na\xc3\xafve \xff";
            int32_t *ids;
            int64_t count, dropped, size;
            char *decoded;
            assert_ok(byte_bpe_encode(model, text, (int64_t)strlen(text), &ids, &count, &dropped));
            assert_ok(byte_bpe_decode(model, ids, count, &decoded, &size));
            assert_int_equal(size + dropped, strlen(text));
            free(decoded);
            free(ids);
            byte_bpe_free(model);
        } else {
            assert_int_equal(status, STATUS_CORRUPT);
            assert_null(model);
            assert_true(strstr(status_text(), "vocab.json") == status_text() ||
                        strstr(status_text(), "merges.txt") == status_text());
        }
        accepted += status == STATUS_OK;
        double seconds = processor_seconds() - start;
        longest = seconds > longest ? seconds : longest;
        free(texts[0]);
        free(texts[1]);
    }
    print_message("%lld of %lld changed pairs are accepted; the slowest took %.4f s\n", (long long)accepted,
                  (long long)rounds, longest);
    assert_true(longest < 1);
    assert_true(peak_kilobytes() - before < 64 * 1024);
    assert_true(accepted > 0 && accepted < rounds);
    free(vocabulary);
    free(merges);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_those_of_the_library), cmocka_unit_test(lines_end_as_they_like),
        cmocka_unit_test(control_pieces_stand_for_no_text), cmocka_unit_test(what_is_wrong_is_refused_with_its_place),
        cmocka_unit_test(no_change_crashes_hangs_or_takes_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
