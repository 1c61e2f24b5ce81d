/* Byte-level BPE against Hugging Face's tokenizers: ids of several thousand texts for a model of each pre-tokenizer
 * (tests/oracles/byte_bpe_golden.py). With SPIRITLM_BYTE_BPE_MODEL set, this program does that script's work instead. */
#include "support/byte_bpe_models.h"
#include "support/files.h"
#include "support/test_support.h"

#include "io/atomic_file.h"
#include "text/byte_alphabet.h"
#include "text/byte_bpe.h"
#include "text/word_cutter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define GOLDEN TEST_GOLDEN_DIRECTORY "/byte_bpe/"

enum { DIGEST = 8 }; /* bytes of the SHA-256 of a text's ids */

static const char *const models[] = {"gpt-2.json", "smollm.json", "smollm.gguf", "llama-bpe.json"};
static const char *const ids_of[] = {"gpt-2.ids", "smollm.ids", "smollm.ids", "llama-bpe.ids"};
enum { MODELS = 4 };

/* ---- what a file holds ---- */

static void *read_whole(const char *path, int64_t *size)
{
    void *data;
    assert_ok(file_read(path, INT64_C(1) << 30, &data, size));
    return data;
}

/* The next text of a list of lengths and bytes; false at its end. */
static bool next_text(const char *data, int64_t size, int64_t *at, const char **text, int64_t *length)
{
    uint32_t bytes;
    if (*at == size)
        return false;
    memcpy(&bytes, data + *at, sizeof bytes);
    *text = data + *at + sizeof bytes;
    *length = bytes;
    *at += (int64_t)(sizeof bytes + bytes);
    assert_true(*at <= size);
    return true;
}

/* Decoding gives the text back, but for the bytes that have no piece. */
static void assert_comes_back(const struct byte_bpe *model, const char *text, int64_t size, const int32_t *ids,
                              int64_t count, int64_t dropped)
{
    char *decoded;
    int64_t decoded_size, at = 0, missing = 0;
    assert_ok(byte_bpe_decode(model, ids, count, &decoded, &decoded_size));
    for (int64_t i = 0; i < size; i++) {
        if (byte_bpe_find(model, text + i, 1) < 0)
            missing++;
        else if (at >= decoded_size || decoded[at++] != text[i])
            fail_msg("\"%.*s\" is decoded as \"%s\"", (int)size, text, decoded);
    }
    assert_int_equal(at, decoded_size);
    assert_int_equal(decoded[at], 0);
    assert_int_equal(missing, dropped);
    free(decoded);
}

/* ---- the oracle's script ---- */

static void write_ids(const struct byte_bpe *model, const char *texts_path, const char *ids_path)
{
    int64_t size, at = 0, length;
    const char *text;
    char *texts = read_whole(texts_path, &size);
    FILE *out = fopen(ids_path, "wb");
    assert_non_null(out);
    while (next_text(texts, size, &at, &text, &length)) {
        int32_t *ids;
        int64_t count, dropped;
        assert_ok(byte_bpe_encode(model, text, length, &ids, &count, &dropped));
        assert_comes_back(model, text, length, ids, count, dropped);
        uint32_t count_32 = (uint32_t)count;
        fwrite(&count_32, sizeof count_32, 1, out);
        fwrite(ids, sizeof *ids, (size_t)count, out);
        free(ids);
    }
    assert_int_equal(fclose(out), 0);
    free(texts);
}

static void write_words(const struct byte_bpe *model, const char *texts_path, const char *words_path)
{
    enum word_pattern pattern;
    int64_t size, at = 0, length, begin, end;
    const char *text, *name = byte_bpe_pre_tokenizer(model);
    char *texts = read_whole(texts_path, &size);
    FILE *out = fopen(words_path, "wb");
    assert_non_null(out);
    assert_true(word_pattern_find(name, (int64_t)strlen(name), &pattern));
    while (next_text(texts, size, &at, &text, &length)) {
        struct word_cutter cutter = word_cutter_start(pattern, text, length);
        for (int32_t end_32; word_cutter_next(&cutter, &begin, &end);) {
            end_32 = (int32_t)end;
            fwrite(&end_32, sizeof end_32, 1, out);
        }
    }
    assert_int_equal(fclose(out), 0);
    free(texts);
}

static void write_checkpoints(const struct byte_bpe *model, const char *folder)
{
    for (int kind = 0; kind < 2; kind++) {
        struct vocabulary vocabulary;
        char path[1000], *tokenizer, *config;
        assert_ok(
            vocabulary_create(byte_bpe_size(model), 0, 0, -1, 501, kind ? 64 : 0, kind ? 100 : 0, kind, &vocabulary));
        assert_ok(byte_bpe_check_tags("the model", model, &vocabulary));
        assert_ok(byte_bpe_write_json(model, &vocabulary, &tokenizer, &config));
        snprintf(path, sizeof path, "%s/%s", folder, kind ? "expressive" : "base");
        mkdir(path, 0777);
        write_text_in(path, "tokenizer.json", tokenizer);
        write_text_in(path, "tokenizer_config.json", config);
        free(tokenizer);
        free(config);
    }
}

static void work_for_the_oracle(void **state)
{
    (void)state;
    const char *texts = getenv("SPIRITLM_BYTE_BPE_TEXTS"), *folder = getenv("SPIRITLM_BYTE_BPE_EXPORT");
    struct byte_bpe *model = open_byte_bpe(getenv("SPIRITLM_BYTE_BPE_MODEL"));
    if (texts) {
        write_ids(model, texts, getenv("SPIRITLM_BYTE_BPE_IDS"));
        write_words(model, texts, getenv("SPIRITLM_BYTE_BPE_WORDS"));
    }
    if (folder)
        write_checkpoints(model, folder);
    byte_bpe_free(model);
}

/* ---- golden ids ---- */

static void ids_are_those_of_the_library(void **state)
{
    (void)state;
    for (int m = 0; m < MODELS; m++) {
        char path[1000];
        const char *text;
        int64_t size, digests_size, at = 0, length, rows = 0, dropped_bytes = 0;
        char *texts = read_whole(GOLDEN "texts.bin", &size);
        snprintf(path, sizeof path, GOLDEN "%s", ids_of[m]);
        char *digests = read_whole(path, &digests_size);
        snprintf(path, sizeof path, GOLDEN "%s", models[m]);
        struct byte_bpe *model = open_byte_bpe(path);
        for (; next_text(texts, size, &at, &text, &length); rows++) {
            int32_t *ids;
            int64_t count, dropped;
            assert_ok(byte_bpe_encode(model, text, length, &ids, &count, &dropped));
            struct sha256 hash = sha256_of(ids, (size_t)count * sizeof *ids);
            assert_true((rows + 1) * DIGEST <= digests_size);
            if (memcmp(hash.bytes, digests + rows * DIGEST, DIGEST) != 0)
                fail_msg("%s: text %d, \"%.*s\", has other ids than the library gives", models[m], (int)rows,
                         (int)length, text);
            assert_comes_back(model, text, length, ids, count, dropped);
            dropped_bytes += dropped;
            free(ids);
        }
        assert_true(rows > 3000 && rows * DIGEST == digests_size);
        assert_int_equal(dropped_bytes > 0, byte_bpe_missing_bytes(model) > 0);
        assert_int_equal(byte_bpe_missing_bytes(model) > 0, m == 1 || m == 2);
        byte_bpe_free(model);
        free(digests);
        free(texts);
    }
}

/* Few merges of a small model reach across the places where words are cut, so these are compared by themselves. */
static void words_are_those_of_the_library(void **state)
{
    (void)state;
    for (int pattern = 0; pattern < WORD_PATTERNS; pattern++) {
        char path[1000];
        const char *text, *name = word_pattern_name((enum word_pattern)pattern);
        int64_t size, digests_size, at = 0, length, rows = 0;
        char *texts = read_whole(GOLDEN "texts.bin", &size);
        snprintf(path, sizeof path, GOLDEN "%s.words", name);
        char *digests = read_whole(path, &digests_size);
        for (; next_text(texts, size, &at, &text, &length); rows++) {
            struct sha256_stream *stream = sha256_start();
            char *exact = guarded_allocate((size_t)length + 1);
            memcpy(exact, text, (size_t)length);
            struct word_cutter cutter = word_cutter_start((enum word_pattern)pattern, exact, length);
            int64_t last = 0;
            for (int64_t begin, end; word_cutter_next(&cutter, &begin, &end); last = end) {
                int32_t end_32 = (int32_t)end;
                assert_true(begin == last && end > begin);
                sha256_add(stream, &end_32, sizeof end_32);
            }
            assert_int_equal(last, length);
            struct sha256 hash = sha256_finish(stream);
            assert_true((rows + 1) * DIGEST <= digests_size);
            if (memcmp(hash.bytes, digests + rows * DIGEST, DIGEST) != 0)
                fail_msg("%s: text %d, \"%.*s\", is cut otherwise than by the library", name, (int)rows, (int)length,
                         text);
            guarded_free(exact);
        }
        assert_int_equal(rows * DIGEST, digests_size);
        free(digests);
        free(texts);
    }
}

/* bytes_to_unicode of GPT-2's encoder.py: three ranges stand for themselves, the others follow from U+0100. */
static void the_alphabet_is_gpt_2_s(void **state)
{
    (void)state;
    int next = 0x100;
    for (int byte = 0; byte < 256; byte++) {
        bool itself = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
        int code = itself ? byte : next++;
        char bytes[1] = {(char)byte}, text[2], expected[3] = {(char)code}, back[2];
        if (code >= 0x80) {
            expected[0] = (char)(0xC0 | code >> 6);
            expected[1] = (char)(0x80 | (code & 0x3F));
        }
        int64_t length = alphabet_write(bytes, 1, text);
        assert_int_equal(length, code >= 0x80 ? 2 : 1);
        assert_memory_equal(text, expected, (size_t)length);
        assert_int_equal(alphabet_read(text, length, back), 1);
        assert_int_equal((unsigned char)back[0], byte);
    }
    assert_int_equal(next, 0x144);
    static const char *const others[] = {" ",        "\x7f",         "\xc2\xa0", "\xc2\xad",
                                         "\xc5\x84", "\xe2\x82\xac", "\x80",     "\xc4"};
    char back[8];
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(alphabet_read(others[i], (int64_t)strlen(others[i]), back), -1);
}

static void gguf_and_json_are_one_model(void **state)
{
    (void)state;
    struct byte_bpe *gguf = open_byte_bpe(GOLDEN "smollm.gguf"), *json = open_byte_bpe(GOLDEN "smollm.json");
    struct sha256 a = byte_bpe_fingerprint(gguf), b = byte_bpe_fingerprint(json);
    assert_memory_equal(a.bytes, b.bytes, sizeof a.bytes);
    assert_int_equal(byte_bpe_size(gguf), 560);
    assert_int_equal(byte_bpe_bos(gguf), 0);
    assert_int_equal(byte_bpe_eos(gguf), 1);
    assert_int_equal(byte_bpe_unk(gguf), -1);
    assert_int_equal(byte_bpe_bos(json), -1);
    assert_true(byte_bpe_is_control(json, 0) && byte_bpe_is_control(gguf, 1) && !byte_bpe_is_control(gguf, 2));
    assert_string_equal(byte_bpe_note(gguf), "");
    assert_string_equal(byte_bpe_pre_tokenizer(gguf), "smollm");
    byte_bpe_free(gguf);
    byte_bpe_free(json);
}

/* ---- pieces ---- */

static void pieces_are_found_by_their_bytes(void **state)
{
    (void)state;
    for (int m = 0; m < MODELS; m++) {
        char path[1000];
        snprintf(path, sizeof path, GOLDEN "%s", models[m]);
        struct byte_bpe *model = open_byte_bpe(path);
        for (int32_t id = 0; id < byte_bpe_size(model); id++) {
            int64_t length;
            const char *piece = byte_bpe_piece(model, id, &length);
            if (length > 0)
                assert_int_equal(byte_bpe_find(model, piece, length), id);
            else
                assert_int_equal(byte_bpe_type(model, id), BYTE_BPE_UNUSED);
        }
        assert_int_equal(byte_bpe_find(model, "no such piece", 13), -1);
        byte_bpe_free(model);
    }
}

static void control_and_added_pieces_are_never_found_in_a_text(void **state)
{
    (void)state;
    static const char text[] = "<s> <|x|> <s><|x|>";
    struct small_model small = small_byte_bpe("llama-bpe", (const char *const[]){"< s", "| x", NULL});
    add_piece(&small, "<s>", BYTE_BPE_CONTROL);
    add_piece(&small, "<|x|>", BYTE_BPE_USER_DEFINED);
    add_piece(&small, "<unk>", BYTE_BPE_UNKNOWN); /* the same as control */
    add_piece(&small, "s", BYTE_BPE_UNUSED);      /* the id is there, the piece is not */
    small.pieces.ignore_merges = true;
    struct byte_bpe *model;
    int32_t *ids;
    int64_t count, dropped;
    assert_ok(byte_bpe_create("small", &small.pieces, &model));
    assert_ok(byte_bpe_encode(model, text, (int64_t)strlen(text), &ids, &count, &dropped));
    for (int64_t i = 0; i < count; i++)
        assert_int_equal(byte_bpe_type(model, ids[i]), BYTE_BPE_NORMAL);
    free(ids);
    /* Decoded, a control piece is nothing, an added one its text. */
    assert_int_equal(byte_bpe_type(model, byte_bpe_find(model, "<unk>", 5)), BYTE_BPE_CONTROL);
    const int32_t all[] = {byte_bpe_find(model, "<s>", 3), byte_bpe_find(model, "<|x|>", 5),
                           byte_bpe_find(model, "<unk>", 5), byte_bpe_find(model, "a", 1), byte_bpe_size(model) - 1};
    char *decoded;
    int64_t size;
    assert_ok(byte_bpe_decode(model, all, 5, &decoded, &size));
    assert_string_equal(decoded, "<|x|>a");
    free(decoded);
    assert_fails(byte_bpe_decode(model, (const int32_t[]){0, byte_bpe_size(model)}, 2, &decoded, &size), STATUS_USAGE,
                 "at position 1 is not a text piece");
    byte_bpe_free(model);
}

static void malformed_bytes_come_back(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 11, 0);
    for (int pattern = 0; pattern < WORD_PATTERNS; pattern++) {
        struct small_model small =
            small_byte_bpe(word_pattern_name((enum word_pattern)pattern), (const char *const[]){"a b", "Ã ©", NULL});
        struct byte_bpe *model;
        assert_ok(byte_bpe_create("small", &small.pieces, &model));
        for (int n = 0; n < 2000; n++) {
            char text[40];
            int32_t *ids;
            int64_t size = (int64_t)rng_below(&rng, sizeof text), count, dropped;
            for (int64_t i = 0; i < size; i++)
                text[i] = (char)(rng_below(&rng, 3) ? rng_below(&rng, 256)
                                                    : (uint64_t) " ab'\n1\xc3\xa9"[rng_below(&rng, 8)]);
            char *exact = guarded_allocate((size_t)size + 1);
            memcpy(exact, text, (size_t)size);
            assert_ok(byte_bpe_encode(model, exact, size, &ids, &count, &dropped));
            assert_int_equal(dropped, 0);
            assert_comes_back(model, text, size, ids, count, dropped);
            guarded_free(exact);
            free(ids);
        }
        byte_bpe_free(model);
    }
}

/* ---- merging ---- */

/* Joins the best pair again and again, by looking at all of them each time: what the queue must be equal to. */
static int64_t join_slowly(const struct small_model *small, const struct byte_bpe *model, const char *word,
                           int64_t size, int32_t *ids)
{
    char pieces[64][64];
    int64_t count = size;
    for (int64_t i = 0; i < size; i++)
        snprintf(pieces[i], sizeof pieces[i], "%c", word[i]);
    for (;;) {
        int64_t best = -1, rank = small->pieces.merge_count;
        for (int64_t i = 0; i + 1 < count; i++)
            for (int64_t r = 0; r < rank; r++)
                if (strcmp(pieces[i], small->lefts[r].bytes) == 0 &&
                    strcmp(pieces[i + 1], small->rights[r].bytes) == 0) {
                    best = i;
                    rank = r;
                }
        if (best < 0)
            break;
        char joined[sizeof *pieces];
        int length = snprintf(joined, sizeof joined, "%s%s", pieces[best], pieces[best + 1]);
        assert_true(length < (int)sizeof joined);
        memcpy(pieces[best], joined, sizeof joined);
        memmove(pieces[best + 1], pieces[best + 2], (size_t)(count - best - 2) * sizeof *pieces);
        count--;
    }
    for (int64_t i = 0; i < count; i++)
        ids[i] = byte_bpe_find(model, pieces[i], (int64_t)strlen(pieces[i]));
    return count;
}

static void the_queue_joins_like_a_search_for_the_best_pair(void **state)
{
    (void)state;
    static const char *const merges[] = {"a b", "b a",   "a a",  "ab ab", "c a",  "b b",     "aa a", "ba ba", "ca b",
                                         "b c", "aa aa", "ab a", "a ba",  "bb a", "abab ab", "c ab", NULL};
    struct rng rng = rng_make(test_seed(), RNG_TEST, 12, 0);
    struct small_model small = small_byte_bpe("gpt-2", merges);
    struct byte_bpe *model;
    assert_ok(byte_bpe_create("small", &small.pieces, &model));
    for (int n = 0; n < 20000; n++) {
        char word[61];
        int32_t *ids, expected[64];
        int64_t size = 1 + (int64_t)rng_below(&rng, 60), count, dropped;
        for (int64_t i = 0; i < size; i++)
            word[i] = (char)('a' + rng_below(&rng, 3));
        word[size] = '\0';
        assert_ok(byte_bpe_encode(model, word, size, &ids, &count, &dropped));
        int64_t expected_count = join_slowly(&small, model, word, size, expected);
        if (count != expected_count || memcmp(ids, expected, (size_t)count * sizeof *ids) != 0)
            fail_msg("\"%s\" is joined otherwise", word);
        free(ids);
    }
    byte_bpe_free(model);
}

static void a_million_letters_take_a_fraction_of_a_second(void **state)
{
    (void)state;
    enum { LETTERS = 1 << 20 };
    static const char *const merges[] = {"a a", "aa aa", "aaaa aaaa", NULL};
    struct small_model small = small_byte_bpe("gpt-2", merges);
    struct byte_bpe *model;
    int32_t *ids;
    int64_t count, dropped;
    char *text = malloc(LETTERS + 3);
    assert_non_null(text);
    memset(text, 'a', LETTERS + 3);
    assert_ok(byte_bpe_create("small", &small.pieces, &model));
    clock_t begin = clock();
    assert_ok(byte_bpe_encode(model, text, LETTERS + 3, &ids, &count, &dropped));
    double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
    print_message("%d letters: %.3f s\n", LETTERS, seconds);
    assert_true(seconds < 5); /* with a search through all pairs for each it would be hours */
    assert_int_equal(count, LETTERS / 8 + 2);
    for (int64_t i = 0; i < LETTERS / 8; i++)
        assert_int_equal(ids[i], byte_bpe_find(model, "aaaaaaaa", 8));
    assert_int_equal(ids[count - 2], byte_bpe_find(model, "aa", 2));
    assert_int_equal(ids[count - 1], byte_bpe_find(model, "a", 1));
    free(ids);
    free(text);
    byte_bpe_free(model);
}

/* ---- a checkpoint's files ---- */

static void a_checkpoint_s_file_is_the_model_again(void **state)
{
    (void)state;
    for (int m = 0; m < MODELS * 2; m++) {
        char path[1000], *tokenizer, *config, tag[16];
        int64_t length;
        struct vocabulary vocabulary;
        struct byte_bpe *again;
        snprintf(path, sizeof path, GOLDEN "%s", models[m / 2]);
        struct byte_bpe *model = open_byte_bpe(path);
        bool expressive = m % 2;
        assert_ok(vocabulary_create(byte_bpe_size(model), 0, 1, -1, 501, expressive ? 64 : 0, expressive ? 100 : 0,
                                    expressive, &vocabulary));
        assert_ok(byte_bpe_check_tags(models[m / 2], model, &vocabulary));
        assert_ok(byte_bpe_write_json(model, &vocabulary, &tokenizer, &config));
        assert_ok(byte_bpe_load_json("again", tokenizer, (int64_t)strlen(tokenizer), &again));
        assert_ok(byte_bpe_load_config("config", config, (int64_t)strlen(config), again));
        struct sha256 a = byte_bpe_fingerprint(model), b = byte_bpe_fingerprint(again);
        assert_memory_equal(a.bytes, b.bytes, sizeof a.bytes);
        assert_int_equal(byte_bpe_size(again), byte_bpe_size(model));
        assert_int_equal(byte_bpe_tag_count(model), 0);
        assert_int_equal(byte_bpe_tag_count(again), vocabulary.size - vocabulary.text_size);
        assert_int_equal(byte_bpe_bos(again), 0);
        assert_int_equal(byte_bpe_eos(again), 1);
        for (int32_t id = vocabulary.text_size; id < vocabulary.size; id++) {
            vocabulary_token_name(&vocabulary, id, tag);
            const char *piece = byte_bpe_piece(again, id, &length);
            assert_int_equal(length, strlen(tag));
            assert_memory_equal(piece, tag, (size_t)length);
        }
        assert_int_equal(byte_bpe_find(again, "[Text]", 6), -1);
        free(tokenizer);
        free(config);
        byte_bpe_free(again);
        byte_bpe_free(model);
    }
}

static void what_decides_ids_decides_the_fingerprint(void **state)
{
    (void)state;
    static const char *const merges[] = {"a b", "b c", "ab c", NULL};
    enum { CHANGES = 10 };
    struct sha256 seen[CHANGES];
    for (int change = 0; change < CHANGES; change++) {
        struct small_model small = small_byte_bpe(change == 1 ? "smollm" : "gpt-2", merges);
        small.pieces.ignore_merges = change == 2;
        if (change == 3)
            small.pieces.merge_count--;
        if (change == 4) /* a piece that no merge names */
            small.types['z'] = BYTE_BPE_CONTROL;
        if (change == 5)
            add_piece(&small, "more", BYTE_BPE_NORMAL);
        if (change == 6)
            add_piece(&small, "more", BYTE_BPE_USER_DEFINED);
        if (change == 7) {
            struct byte_bpe_text swapped = small.texts[0];
            small.texts[0] = small.texts[1];
            small.texts[1] = swapped;
        }
        if (change == 8) /* the same bytes, found in a text or not */
            add_piece(&small, "\xe6\x97\xa5", BYTE_BPE_NORMAL);
        if (change == 9)
            add_piece(&small, "\xc3\xa6\xc4\xb9\xc2\xa5", BYTE_BPE_NORMAL);
        struct byte_bpe *model;
        assert_ok(byte_bpe_create("small", &small.pieces, &model));
        if (change == 8 || change == 9)
            assert_int_equal(byte_bpe_find(model, "\xe6\x97\xa5", 3), byte_bpe_size(model) - 1);
        seen[change] = byte_bpe_fingerprint(model);
        for (int other = 0; other < change; other++)
            assert_memory_not_equal(seen[change].bytes, seen[other].bytes, sizeof seen->bytes);
        byte_bpe_free(model);
    }
    struct small_model small = small_byte_bpe("gpt-2", merges); /* BOS and EOS do not */
    struct byte_bpe *model;
    small.pieces.bos = small.pieces.eos = 7;
    assert_ok(byte_bpe_create("small", &small.pieces, &model));
    struct sha256 same = byte_bpe_fingerprint(model);
    assert_memory_equal(seen[0].bytes, same.bytes, sizeof same.bytes);
    byte_bpe_free(model);
}

static void a_piece_spelled_like_a_unit_is_refused(void **state)
{
    (void)state;
    struct small_model small = small_byte_bpe("gpt-2", (const char *const[]){"a b", NULL});
    struct vocabulary vocabulary;
    struct byte_bpe *model;
    add_piece(&small, "[Hu7]", BYTE_BPE_NORMAL);
    assert_ok(byte_bpe_create("small", &small.pieces, &model));
    assert_ok(vocabulary_create(byte_bpe_size(model), -1, -1, -1, 501, 0, 0, false, &vocabulary));
    assert_fails(byte_bpe_check_tags("small", model, &vocabulary), STATUS_USAGE, "\"[Hu7]\"");
    byte_bpe_free(model);
}

int main(void)
{
    const struct CMUnitTest oracle[] = {cmocka_unit_test(work_for_the_oracle)};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_those_of_the_library),
        cmocka_unit_test(words_are_those_of_the_library),
        cmocka_unit_test(the_alphabet_is_gpt_2_s),
        cmocka_unit_test(gguf_and_json_are_one_model),
        cmocka_unit_test(pieces_are_found_by_their_bytes),
        cmocka_unit_test(control_and_added_pieces_are_never_found_in_a_text),
        cmocka_unit_test(malformed_bytes_come_back),
        cmocka_unit_test(the_queue_joins_like_a_search_for_the_best_pair),
        cmocka_unit_test(a_million_letters_take_a_fraction_of_a_second),
        cmocka_unit_test(a_checkpoint_s_file_is_the_model_again),
        cmocka_unit_test(what_decides_ids_decides_the_fingerprint),
        cmocka_unit_test(a_piece_spelled_like_a_unit_is_refused),
    };
    if (getenv("SPIRITLM_BYTE_BPE_MODEL"))
        return cmocka_run_group_tests(oracle, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
