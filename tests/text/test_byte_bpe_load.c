/* Files that are not a byte-level model, or lie: each is refused with its reason, whatever is changed in a good one leads
 * to a model or to a refusal, and no file takes more memory than itself and 64 MiB. */
#include "support/byte_bpe_models.h"
#include "support/files.h"
#include "support/test_support.h"
#include "support/usage.h"

#include "io/atomic_file.h"
#include "text/byte_bpe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN TEST_GOLDEN_DIRECTORY "/byte_bpe/"

/* ---- models ---- */

static void refuse_model(const struct small_model *small, const char *reason)
{
    struct byte_bpe *model;
    assert_fails(byte_bpe_create("small", &small->pieces, &model), STATUS_CORRUPT, reason);
    assert_true(strncmp(status_text(), "small: ", 7) == 0);
    assert_null(model);
}

static void models_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    static const char *const merges[] = {"a b", "ab c", NULL};
    struct small_model small = small_byte_bpe("llama-4", merges);
    refuse_model(&small, "the pre-tokenizer \"llama-4\" is not known; known are gpt-2, smollm, llama-bpe");
    small.pieces.pre_tokenizer = NULL;
    refuse_model(&small, "the pre-tokenizer \"\" is not known");
    static const struct {
        const char *text;
        enum byte_bpe_type type;
        const char *reason;
    } pieces[] = {{"ab", BYTE_BPE_NORMAL, "pieces 256 and 258 are both \"ab\""},
                  {"ab", BYTE_BPE_CONTROL, "pieces 256 and 258 are both \"ab\""},
                  {"\xc4\xa0", BYTE_BPE_USER_DEFINED, "pieces 32 and 258 are both"},
                  {"", BYTE_BPE_NORMAL, "piece 258 has 0 bytes"},
                  {"\xc4", BYTE_BPE_NORMAL, "piece 258 is not a text in UTF-8"},
                  {"x", BYTE_BPE_BYTE, "of type 6 (byte)"},
                  {"x", 0, "of type 0"},
                  {"x", 200, "of type 200"}};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        small = small_byte_bpe("gpt-2", merges);
        add_piece(&small, pieces[i].text, pieces[i].type);
        refuse_model(&small, pieces[i].reason);
    }
    small = small_byte_bpe("gpt-2", merges);
    small.pieces.count = 0;
    refuse_model(&small, "0 pieces, expected 1 to 2097152");
    small.pieces.count = INT64_MAX;
    refuse_model(&small, "9223372036854775807 pieces");
    small = small_byte_bpe("gpt-2", merges);
    small.pieces.merge_count = -1;
    refuse_model(&small, "-1 merges");
    small = small_byte_bpe("gpt-2", merges);
    small.pieces.eos = 258;
    refuse_model(&small, "the id of EOS is 258, expected -1 or one below 258");
    small = small_byte_bpe("gpt-2", merges);
    memset(small.types, BYTE_BPE_CONTROL, 256);
    refuse_model(&small, "no piece is a single byte");
}

static void merges_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    static const char *const merges[] = {"a b", "ab c", "b c", NULL};
    static const struct {
        int rank;
        const char *left, *right, *reason;
    } cases[] = {{0, "abx", "b", "merge 0 needs \"abx\", which is not a piece"},
                 {1, "a", "abx", "merge 1 needs \"abx\""},
                 {2, "x", "y", "merge 2 needs \"xy\", which is not a piece"},
                 {2, "a", "b", "merges 0 and 2 both join \"a\" and \"b\""},
                 {1, "", "a", "merge 1 needs \"\""},
                 {1, "ab", "ab", "merge 1 needs \"abab\""}, /* a piece out of itself */
                 {2, "<", "s>", "merge 2 needs \"s>\""},
                 {2, "<s>", "a", "merge 2 needs \"<s>\", but piece 259 is a control or added piece"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct small_model small = small_byte_bpe("gpt-2", merges);
        add_piece(&small, "<s>", BYTE_BPE_CONTROL);
        small.lefts[cases[i].rank] = (struct byte_bpe_text){cases[i].left, (int64_t)strlen(cases[i].left)};
        small.rights[cases[i].rank] = (struct byte_bpe_text){cases[i].right, (int64_t)strlen(cases[i].right)};
        refuse_model(&small, cases[i].reason);
    }
    struct small_model small = small_byte_bpe("gpt-2", (const char *const[]){"< s", NULL});
    small.types[small.pieces.count - 1] = BYTE_BPE_CONTROL;
    refuse_model(&small, "merge 0 needs \"<s\", but piece 256 is a control or added piece, which no text contains");
}

/* ---- tokenizer.json ---- */

#define BYTE_LEVEL "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true}"
#define PLAIN "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]"

static void refuse_json(const char *text, const char *reason)
{
    struct byte_bpe *model;
    assert_fails(byte_bpe_load_json("t.json", text, (int64_t)strlen(text), &model), STATUS_CORRUPT, reason);
    assert_true(strncmp(status_text(), "t.json: ", 8) == 0);
    assert_null(model);
}

static struct byte_bpe *accept_json(const char *text)
{
    struct byte_bpe *model;
    assert_ok(byte_bpe_load_json("t.json", text, (int64_t)strlen(text), &model));
    return model;
}

static void files_with_other_parts_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *members, *model, *reason;
    } cases[] = {
        {"", "\"type\":\"Unigram\"," PLAIN, "expected a model of type BPE, found type \"Unigram\""},
        {"", "\"dropout\":0.1," PLAIN, "the model's dropout is 0.1, expected 0 to 0"},
        {"", "\"continuing_subword_prefix\":\"##\"," PLAIN, "continuing_subword_prefix is \"##\""},
        {"", "\"end_of_word_suffix\":\"</w>\"," PLAIN, "end_of_word_suffix is \"</w>\""},
        {"", "\"byte_fallback\":true," PLAIN, "254 bytes have no piece, and the model's unk_token or byte_fallback"},
        {"", "\"unk_token\":\"a\"," PLAIN, "254 bytes have no piece"},
        {"", "\"speed\":1," PLAIN, "\"model\" has \"speed\", which is not known"},
        {"", PLAIN ",\"merges\":[]", "\"model\" has \"merges\" twice"},
        {"", "\"vocab\":{\"a\":0}", "the model has no \"merges\""},
        {"", "\"merges\":[]", "the model has no \"vocab\""},
        {"\"normalizer\":{\"type\":\"NFC\"},", PLAIN, "a normalizer of type \"NFC\" changes the text"},
        {"\"decoder\":{\"type\":\"WordPiece\"},", PLAIN, "expected a decoder of type ByteLevel, found \"WordPiece\""},
        {"\"colour\":{},", PLAIN, "the file has \"colour\", which is not known"},
        {"\"added_tokens\":[{\"id\":7}],", PLAIN, "an added token without \"content\""},
        {"\"added_tokens\":[{\"content\":\"x\"}],", PLAIN, "an added token without \"id\""},
        {"\"added_tokens\":[{\"id\":7,\"content\":\"x\",\"new\":1}],", PLAIN, "an added token has \"new\""},
        {"\"added_tokens\":[{\"id\":7,\"content\":\"x\"},{\"id\":7,\"content\":\"y\"}],", PLAIN, "have the id 7"},
        {"\"added_tokens\":[{\"id\":7,\"content\":\"x\"},{\"id\":8,\"content\":\"x\"}],", PLAIN,
         "pieces 7 and 8 are both \"x\""},
        {"\"added_tokens\":[{\"id\":9,\"content\":\"ab\"}],", PLAIN, "pieces 9 and 2 are both \"ab\""},
        {"\"added_tokens\":[{\"id\":1,\"content\":\"x\"}],", PLAIN, "two pieces have the id 1"},
        {"\"added_tokens\":[{\"id\":2097152,\"content\":\"x\"}],", PLAIN, "expected 0 to 2097151"},
        {"", "\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]", "two pieces have the id 0"},
        {"", "\"vocab\":{\"a\":0,\"a\":1},\"merges\":[]", "pieces 0 and 1 are both \"a\""},
        {"", "\"vocab\":{\"a\":-1},\"merges\":[]", "the id of a piece is -1"},
        {"", "\"vocab\":{\"a\":3000000000},\"merges\":[]", "the id of a piece is 3000000000"},
        {"", "\"vocab\":{},\"merges\":[]", "0 pieces"},
        {"", "\"vocab\":{\"a\":0},\"merges\":[\"a\"]", "merge 0 should be two pieces with a space"},
        {"", "\"vocab\":{\"a\":0},\"merges\":[\"a  a\"]", "merge 0 should be two pieces with a space"},
        {"", "\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]", "merge 0 should be two pieces"},
        {"", "\"vocab\":{\"a\":0},\"merges\":[[\"a\",\"a\",\"a\"]]", "merge 0 should be two pieces"},
        {"", "\"vocab\":{\"a\":0},\"merges\":[\"a a\"]", "merge 0 needs \"aa\", which is not a piece"},
        {"", "\"vocab\":[\"a\"],\"merges\":[]", "expected an object as the model's \"vocab\", found '['"},
    };
    char text[2000];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, "{%s\"pre_tokenizer\":" BYTE_LEVEL ",\"model\":{%s}}", cases[i].members,
                 cases[i].model);
        refuse_json(text, cases[i].reason);
    }
    refuse_json("{\"model\":{" PLAIN "}}", "no pre_tokenizer");
    refuse_json("{\"pre_tokenizer\":" BYTE_LEVEL "}", "\"model\" is missing");
    refuse_json("{\"pre_tokenizer\":" BYTE_LEVEL ",\"model\":{" PLAIN "}} {}", "expected the end of the text");
    refuse_json("", "expected an object, found the end");
}

static void other_pre_tokenizers_are_refused_by_name(void **state)
{
    (void)state;
#define SEQUENCE(steps) "{\"type\":\"Sequence\",\"pretokenizers\":[" steps "]}"
#define SPLIT(expression, behavior, invert)                                                                            \
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" expression "\"},\"behavior\":\"" behavior "\",\"invert\":" invert  \
    "}"
#define NO_REGEX "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}"
#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\\\p{L}+| ?\\\\p{N}+| ?[^\\\\s\\\\p{L}\\\\p{N}]+|\\\\s+(?!\\\\S)|\\\\s+"
    static const struct {
        const char *steps, *reason;
    } cases[] = {
        {"{\"type\":\"Whitespace\"}", "a pre-tokenizer of type \"Whitespace\""},
        {"{\"type\":\"ByteLevel\",\"add_prefix_space\":true}", "puts a space before each text"},
        {"{\"type\":\"ByteLevel\"}", "puts a space before each text"}, /* the library's default */
        {NO_REGEX, "none of those that are known"},
        {"{\"use_regex\":true}", "a pre-tokenizer without \"type\""},
        {"{\"type\":\"Digits\",\"individual_digits\":true}", "none of those that are known"},
        {"{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"colour\":1}", "has \"colour\""},
        {"{\"type\":\"Sequence\"}", "a Sequence without \"pretokenizers\""},
        {SEQUENCE(""), "none of those that are known"},
        {SEQUENCE("{\"type\":\"Digits\",\"individual_digits\":false}," BYTE_LEVEL), "none of those that are known"},
        {SEQUENCE(BYTE_LEVEL "," BYTE_LEVEL), "none of those that are known"},
        {SEQUENCE(SEQUENCE(BYTE_LEVEL)), "none of those that are known"},
        {SEQUENCE(SPLIT("\\\\p{L}+", "Isolated", "false") "," NO_REGEX),
         "splits by \"\\p{L}+...\", which is not known"},
        {SEQUENCE(SPLIT(GPT2, "Removed", "false") "," NO_REGEX), "none of those that are known"},
        {SEQUENCE(SPLIT(GPT2, "Isolated", "true") "," NO_REGEX), "none of those that are known"},
        {SEQUENCE(SPLIT(GPT2, "Isolated", "false") "," BYTE_LEVEL), "none of those that are known"},
        {SEQUENCE(NO_REGEX "," SPLIT(GPT2, "Isolated", "false")), "none of those that are known"},
        {"{\"type\":\"Split\",\"pattern\":{\"String\":\" \"}}", "the pattern of a Split has \"String\""},
    };
    static const char *const good[] = {BYTE_LEVEL, SEQUENCE(BYTE_LEVEL),
                                       SEQUENCE(SPLIT(GPT2, "Isolated", "false") "," NO_REGEX)};
    char text[4000];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, "{\"pre_tokenizer\":%s,\"model\":{" PLAIN "}}", cases[i].steps);
        refuse_json(text, cases[i].reason);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(text, sizeof text, "{\"model\":{" PLAIN "},\"pre_tokenizer\":%s}", good[i]);
        struct byte_bpe *model = accept_json(text);
        assert_string_equal(byte_bpe_pre_tokenizer(model), "gpt-2");
        byte_bpe_free(model);
    }
}

static void what_makes_no_difference_is_skipped(void **state)
{
    (void)state;
    struct byte_bpe *plain = accept_json("{\"pre_tokenizer\":" BYTE_LEVEL ",\"model\":{" PLAIN "}}");
    struct byte_bpe *more = accept_json(
        "{\"version\":\"1.0\",\"truncation\":{\"max_length\":512},\"padding\":{\"strategy\":[1,{\"x\":null}]},"
        "\"normalizer\":null,\"decoder\":{\"type\":\"ByteLevel\",\"use_regex\":false},\"added_tokens\":[],"
        "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[]},"
        "\"model\":{\"merges\":[[\"a\",\"b\"]],\"fuse_unk\":true,\"dropout\":0.0,\"end_of_word_suffix\":\"\","
        "\"unk_token\":null,\"vocab\":{\"\\u0061b\":2,\"b\":1,\"a\":0},\"type\":\"BPE\"},\"pre_tokenizer\":" BYTE_LEVEL
        "}\n");
    struct sha256 a = byte_bpe_fingerprint(plain), b = byte_bpe_fingerprint(more);
    assert_memory_equal(a.bytes, b.bytes, sizeof a.bytes);
    assert_string_equal(byte_bpe_note(plain), "");
    assert_non_null(strstr(byte_bpe_note(more), "post-processor"));
    byte_bpe_free(plain);
    byte_bpe_free(more);
}

static void ids_may_have_holes(void **state)
{
    (void)state;
    struct byte_bpe *model = accept_json("{\"pre_tokenizer\":" BYTE_LEVEL
                                         ",\"added_tokens\":[{\"id\":9,\"content\":\"x y\",\"special\":true}],"
                                         "\"model\":{\"vocab\":{\"a\":5,\"b\":0},\"merges\":[]}}");
    const int32_t ids[] = {9, 5, 3, 0};
    char *text;
    int64_t size;
    assert_int_equal(byte_bpe_size(model), 10);
    assert_int_equal(byte_bpe_type(model, 3), BYTE_BPE_UNUSED);
    assert_true(byte_bpe_is_control(model, 3) && byte_bpe_is_control(model, 9) && !byte_bpe_is_control(model, 5));
    assert_int_equal(byte_bpe_type(model, 9), BYTE_BPE_CONTROL);
    assert_int_equal(byte_bpe_find(model, "x y", 3), 9);
    assert_int_equal(byte_bpe_missing_bytes(model), 254);
    assert_ok(byte_bpe_decode(model, ids, 4, &text, &size));
    assert_string_equal(text, "ab");
    free(text);
    byte_bpe_free(model);
}

static void special_pieces_come_from_the_configuration(void **state)
{
    (void)state;
    struct byte_bpe *model = accept_json("{\"pre_tokenizer\":" BYTE_LEVEL ",\"model\":{" PLAIN "}}");
    static const char good[] = "{\"bos_token\":{\"content\":\"ab\",\"special\":true},\"chat_template\":\"{{ x }}\","
                               "\"eos_token\":\"b\"}";
    static const char none[] = "{\"bos_token\":null}";
    assert_ok(byte_bpe_load_config("c.json", good, (int64_t)strlen(good), model));
    assert_int_equal(byte_bpe_bos(model), 2);
    assert_int_equal(byte_bpe_eos(model), 1);
    static const struct {
        const char *text, *reason;
    } cases[] = {{"{\"bos_token\":\"zz\"}", "c.json: the token \"zz\" is not a piece of the model"},
                 {"{\"bos_token\":{\"id\":1}}", "c.json: a token without \"content\""},
                 {"{\"eos_token\":7}", "expected a token's text, found '7'"},
                 {"[]", "c.json: byte 0: expected an object"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(byte_bpe_load_config("c.json", cases[i].text, (int64_t)strlen(cases[i].text), model),
                     STATUS_CORRUPT, cases[i].reason);
    assert_int_equal(byte_bpe_bos(model), 2); /* a refused file changes nothing */
    assert_ok(byte_bpe_load_config("c.json", none, (int64_t)strlen(none), model));
    assert_int_equal(byte_bpe_bos(model), -1);
    byte_bpe_free(model);
}

/* ---- GGUF ---- */

/* The golden file with one text, or the byte behind one, replaced. */
static void refuse_gguf(const char *old, const char *replacement, const char *reason)
{
    void *data;
    int64_t size;
    struct gguf *file;
    struct byte_bpe *model;
    assert_ok(file_read(GOLDEN "smollm.gguf", 1 << 20, &data, &size));
    char *found = memmem(data, (size_t)size, old, strlen(old));
    assert_non_null(found);
    memcpy(found, replacement, strlen(replacement));
    write_plainly(test_path("changed.gguf"), data, size);
    assert_ok(gguf_open(test_path("changed.gguf"), &file));
    assert_fails(byte_bpe_load_gguf(file, &model), STATUS_CORRUPT, reason);
    assert_non_null(strstr(status_text(), "changed.gguf: "));
    assert_null(model);
    gguf_close(file);
    free(data);
}

/* Which is not in the file, but a part of the pre-tokenizer's name. */
static void llama_3_s_name_ignores_merges(void **state)
{
    (void)state;
    for (int llama = 0; llama < 2; llama++) {
        void *data;
        int64_t size;
        char *tokenizer, *config;
        struct gguf *file;
        struct byte_bpe *model;
        struct vocabulary vocabulary;
        assert_ok(file_read(GOLDEN "smollm.gguf", 1 << 20, &data, &size));
        char *found = memmem(data, (size_t)size, "smollm", 6);
        assert_non_null(found);
        memcpy(found, llama ? "llama3" : "smollm", 6);
        write_plainly(test_path("named.gguf"), data, size);
        assert_ok(gguf_open(test_path("named.gguf"), &file));
        assert_ok(byte_bpe_load_gguf(file, &model));
        assert_string_equal(byte_bpe_pre_tokenizer(model), llama ? "llama-bpe" : "smollm");
        assert_ok(vocabulary_create(byte_bpe_size(model), -1, -1, -1, 0, 0, 0, false, &vocabulary));
        assert_ok(byte_bpe_write_json(model, &vocabulary, &tokenizer, &config));
        assert_non_null(strstr(tokenizer, llama ? "\"ignore_merges\":true" : "\"ignore_merges\":false"));
        free(tokenizer);
        free(config);
        byte_bpe_free(model);
        gguf_close(file);
        free(data);
    }
}

static void gguf_files_of_other_models_are_refused_by_name(void **state)
{
    (void)state;
    refuse_gguf("gpt2", "bert", "tokenizer.ggml.model: expected gpt2, a byte-level model, found \"bert\"");
    refuse_gguf("smollm", "qwen-2", "the pre-tokenizer \"qwen-2\" (tokenizer.ggml.pre) is not known; known are gpt-2");
    refuse_gguf("tokenizer.ggml.pre", "tokenizer.ggml.prE", "tokenizer.ggml.pre");
    refuse_gguf("tokenizer.ggml.model", "tokenizer.ggml.modeL", "tokenizer.ggml.model");
    refuse_gguf("tokenizer.ggml.tokens", "tokenizer.ggml.tokenS", "tokenizer.ggml.tokens");
    refuse_gguf("tokenizer.ggml.merges", "tokenizer.ggml.mergeS", "tokenizer.ggml.merges");
}

/* ---- memory, time ---- */

#ifdef __SANITIZE_ADDRESS__
enum { LONGEST = 10 }; /* seconds, for 10 MB of the worst */
#else
enum { LONGEST = 1 };
#endif

/* The file is `before`, then `part` again and again up to `size` bytes, then `after`. */
static void try_large(const char *before, const char *part, const char *after, const char *reason)
{
    const int64_t size = 10 << 20;
    int64_t at = (int64_t)strlen(before), length = (int64_t)strlen(part);
    char *text = malloc((size_t)(size + length) + strlen(after));
    struct byte_bpe *model;
    assert_non_null(text);
    memcpy(text, before, (size_t)at);
    for (; at < size; at += length)
        memcpy(text + at, part, (size_t)length);
    memcpy(text + at, after, strlen(after));
    at += (int64_t)strlen(after);
    int64_t held = peak_kilobytes() * 1024; /* the file is part of it */
    double start = processor_seconds();
    assert_fails(byte_bpe_load_json("large", text, at, &model), STATUS_CORRUPT, reason);
    if (processor_seconds() - start > LONGEST)
        fail_msg("\"%s%s\" takes %.2f s", before, part, processor_seconds() - start);
    if (peak_kilobytes() * 1024 - held > (64 << 20))
        fail_msg("\"%s\" takes %lld bytes", before, (long long)(peak_kilobytes() * 1024 - held));
    free(text);
}

static void large_files_take_no_more_than_their_size(void **state)
{
    (void)state;
#define HEAD "{\"pre_tokenizer\":" BYTE_LEVEL ",\"model\":{\"vocab\":"
    try_large(HEAD "{\"", "a", "\":0},\"merges\":[]}}", "expected 1 to 8000");
    try_large(HEAD "{\"a\":0},\"merges\":[\"", "a", " a\"]}}", "which is not a piece");
    try_large(HEAD "{\"a\":0},\"merges\":[[\"", "\\u0061", "\",\"a\"]]}}", "expected at most 8000");
    try_large(HEAD "{\"a\":0},\"merges\":[[", "[", "]]}}", "more than 60 objects and lists");
    try_large(HEAD "{\"a\":0},\"merges\":[\"a a\"", ",\"a a\"", "]}}", "which is not a piece");
    try_large(HEAD "{\"a\":0,\"aa\":1},\"merges\":[\"a a\"", ",\"a a\"", "]}}", "merges 0 and 1 both join");
    try_large(HEAD "{\"a\":0},\"merges\":[0", ",0", "]}}", "merges, expected at most 2097152");
    try_large(HEAD "{\"a\":0", ",\"a\":1", "},\"merges\":[]}}", "pieces 0 and 1 are both \"a\"");
    try_large("{\"version\":[{}", ",{}", "],\"model\":0}", "expected an object as \"model\"");
    try_large("{\"added_tokens\":[{}", ",{}", "]," BYTE_LEVEL, "expected a key");
}

/* One change of a file: a byte, a number, a part taken out, doubled or moved. */
static int64_t change(char *data, int64_t size, int64_t room, struct rng *rng)
{
    static const char *const parts[] = {"\"",      ",",     ":",     "[",   "]",       "{",          "}",
                                        "\\u0000", "\\",    "-1",    "0",   "2097151", "4294967296", "null",
                                        "true",    "\"a\"", "\" \"", "1e9", "\xff",    "\"a b\","};
    int64_t at = (int64_t)rng_below(rng, (uint64_t)size), length = 1 + (int64_t)rng_below(rng, 30);
    int64_t to = (int64_t)rng_below(rng, (uint64_t)size);
    if (at + length > size)
        length = size - at;
    const char *part = parts[rng_below(rng, sizeof parts / sizeof *parts)];
    int64_t part_length = (int64_t)strlen(part);
    char copy[32];
    memcpy(copy, data + at, (size_t)length);
    switch (rng_below(rng, 4)) {
    case 0:
        data[at] = (char)rng_u64(rng);
        return size;
    case 1:
        memmove(data + at, data + at + length, (size_t)(size - at - length));
        return size - length > 0 ? size - length : 1;
    case 2: /* a part put in */
        if (size + part_length > room)
            return size;
        memmove(data + at + part_length, data + at, (size_t)(size - at));
        memcpy(data + at, part, (size_t)part_length);
        return size + part_length;
    default: /* a part copied to another place */
        if (size + length > room)
            return size;
        memmove(data + to + length, data + to, (size_t)(size - to));
        memcpy(data + to, copy, (size_t)length);
        return size + length;
    }
}

static void use(const struct byte_bpe *model)
{
    static const char text[] = "the caf\xc3\xa9's  1234 [Text]\n\n naïve \xff <|endoftext|>";
    int32_t *ids;
    int64_t count, dropped, size;
    char *decoded;
    assert_ok(byte_bpe_encode(model, text, (int64_t)strlen(text), &ids, &count, &dropped));
    assert_ok(byte_bpe_decode(model, ids, count, &decoded, &size));
    assert_int_equal(size + dropped, strlen(text));
    free(decoded);
    free(ids);
}

static void no_change_crashes_hangs_or_takes_memory(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt-2.json", "smollm.json", "llama-bpe.json", "smollm.gguf"};
    const int64_t rounds = test_is_long() ? 50000 : 500, slack = 4096;
    int64_t accepted = 0, before = peak_kilobytes() * 1024;
    double longest = 0;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 22, 0);
    for (int64_t n = 0; n < 4 * rounds; n++) {
        char path[1000];
        void *data;
        int64_t size;
        struct byte_bpe *model = NULL;
        struct gguf *file = NULL;
        enum status status;
        bool gguf = n % 4 == 3;
        snprintf(path, sizeof path, GOLDEN "%s", names[n % 4]);
        assert_ok(file_read(path, 1 << 20, &data, &size));
        char *changed = malloc((size_t)(size + slack));
        assert_non_null(changed);
        memcpy(changed, data, (size_t)size);
        int64_t room = size + slack;
        for (uint64_t i = 0; i <= rng_below(&rng, 3); i++) {
            if (gguf)
                changed[rng_below(&rng, (uint64_t)size)] ^= (char)(1 << rng_below(&rng, 8));
            else
                size = change(changed, size, room, &rng);
        }
        double start = processor_seconds();
        if (gguf) {
            write_plainly(test_path("changed.gguf"), changed, size);
            status = gguf_open(test_path("changed.gguf"), &file);
            if (status == STATUS_OK)
                status = byte_bpe_load_gguf(file, &model);
        } else {
            status = byte_bpe_load_json("changed", changed, size, &model);
        }
        assert_true(status == STATUS_OK || status == STATUS_CORRUPT);
        assert_int_equal(status == STATUS_OK, model != NULL);
        if (model)
            use(model);
        accepted += model != NULL;
        byte_bpe_free(model);
        gguf_close(file);
        longest = processor_seconds() - start > longest ? processor_seconds() - start : longest;
        free(changed);
        free(data);
    }
    print_message("%lld of %lld changed files are accepted; the slowest took %.4f s\n", (long long)accepted,
                  (long long)(4 * rounds), longest);
    assert_true(longest < 1);
    assert_true(peak_kilobytes() * 1024 - before < (64 << 20));
    assert_true(accepted > 0 && accepted < 4 * rounds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_that_make_no_sense_are_refused),
        cmocka_unit_test(merges_that_make_no_sense_are_refused),
        cmocka_unit_test(files_with_other_parts_are_refused_by_name),
        cmocka_unit_test(other_pre_tokenizers_are_refused_by_name),
        cmocka_unit_test(what_makes_no_difference_is_skipped),
        cmocka_unit_test(ids_may_have_holes),
        cmocka_unit_test(special_pieces_come_from_the_configuration),
        cmocka_unit_test(llama_3_s_name_ignores_merges),
        cmocka_unit_test(gguf_files_of_other_models_are_refused_by_name),
        cmocka_unit_test(large_files_take_no_more_than_their_size),
        cmocka_unit_test(no_change_crashes_hangs_or_takes_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
