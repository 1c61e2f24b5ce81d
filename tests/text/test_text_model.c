/* Text models through their one interface, in every form in which they are found: which file is taken, that it is the same model in
 * each, ids of strings with tags, bytes without a piece, control pieces, and what is refused. tests/golden/text/text.gguf was made
 * from text.model by PyPI's gguf (tests/oracles/text_gguf_golden.py). */
#include "support/files.h"
#include "support/test_support.h"

#include "generate/sampler.h"
#include "io/json.h"
#include "text/text_model.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECES TEST_GOLDEN_DIRECTORY "/text/text.model"
#define BYTES TEST_GOLDEN_DIRECTORY "/byte_bpe/smollm.json"

static struct text_model *load(const char *path)
{
    struct text_model *model;
    assert_ok(text_model_load(path, &model));
    return model;
}

static void assert_same_model(const struct text_model *a, const struct text_model *b)
{
    static const char text[] = "And the king said, 1 2 34:  \xc3\xa9\xe6\x9d\xb1\n\xf0\x9f\x91\x8d";
    struct sha256 left = text_model_fingerprint(a), right = text_model_fingerprint(b);
    int32_t *ids[2];
    int64_t counts[2];
    assert_memory_equal(&left, &right, sizeof left);
    assert_int_equal(text_model_size(a), text_model_size(b));
    assert_int_equal(text_model_is_byte_level(a), text_model_is_byte_level(b));
    assert_ok(text_model_encode(a, text, sizeof text - 1, true, &ids[0], &counts[0]));
    assert_ok(text_model_encode(b, text, sizeof text - 1, true, &ids[1], &counts[1]));
    assert_int_equal(counts[0], counts[1]);
    assert_true(counts[0] > 10);
    assert_memory_equal(ids[0], ids[1], (size_t)counts[0] * sizeof **ids);
    free(ids[0]);
    free(ids[1]);
}

/* ---- the same model in every form ---- */

static void gguf_holds_the_sentencepiece_model_it_was_made_from(void **state)
{
    (void)state;
    struct text_model *file = load(PIECES), *gguf = load(TEST_GOLDEN_DIRECTORY "/text/text.gguf");
    assert_false(text_model_is_byte_level(gguf));
    assert_same_model(file, gguf);
    assert_int_equal(text_model_bos(gguf), 1);
    assert_int_equal(text_model_eos(gguf), 2);
    assert_int_equal(text_model_unk(gguf), 0);
    assert_true(text_model_adds_bos(gguf));
    for (int32_t id = 0; id < text_model_size(file); id++) {
        int64_t sizes[2];
        const char *a = text_model_piece(file, id, &sizes[0]), *b = text_model_piece(gguf, id, &sizes[1]);
        assert_int_equal(sizes[0], sizes[1]);
        assert_memory_equal(a, b, (size_t)sizes[0]);
        assert_int_equal(text_model_is_control(file, id), text_model_is_control(gguf, id));
    }
    text_model_free(file);
    text_model_free(gguf);
}

static void byte_level_models_come_from_json_and_gguf(void **state)
{
    (void)state;
    struct text_model *json = load(BYTES), *gguf = load(TEST_GOLDEN_DIRECTORY "/byte_bpe/smollm.gguf");
    assert_true(text_model_is_byte_level(json));
    assert_same_model(json, gguf);
    assert_int_equal(text_model_unk(json), -1);
    assert_int_equal(text_model_bos(json), -1); /* without the file beside it */
    text_model_free(json);
    text_model_free(gguf);
}

/* A folder is its tokenizer.model, else its tokenizer.json with the special ids of tokenizer_config.json. */
static void folders_are_the_file_in_them(void **state)
{
    (void)state;
    const char *folder = test_path("both");
    struct text_model *pieces = load(PIECES), *bytes = load(BYTES), *model;
    mkdir(folder, 0777);
    assert_fails(text_model_load(folder, &model), STATUS_USAGE, "neither tokenizer.model nor tokenizer.json");
    copy_golden("byte_bpe/smollm.json", test_path("both/tokenizer.json"));
    model = load(folder);
    assert_same_model(model, bytes);
    assert_int_equal(text_model_eos(model), -1);
    text_model_free(model);
    write_text_in(folder, "tokenizer_config.json",
                  "{\"eos_token\": \"<|endoftext|>\", \"bos_token\": {\"content\": \"<|pad|>\"}}");
    model = load(folder);
    assert_same_model(model, bytes);
    assert_int_equal(text_model_eos(model), 0);
    assert_int_equal(text_model_bos(model), 1);
    text_model_free(model);
    copy_golden("text/text.model", test_path("both/tokenizer.model"));
    model = load(folder);
    assert_same_model(model, pieces);
    text_model_free(model);
    text_model_free(pieces);
    text_model_free(bytes);
}

/* ---- refusals ---- */

static void assert_refused(const char *path, enum status status, const char *part)
{
    struct text_model *model = (struct text_model *)1;
    assert_fails(text_model_load(path, &model), status, part);
    assert_null(model);
    if (!strstr(status_text(), path))
        fail_msg("expected the file's name, %s, in: %s", path, status_text());
}

/* The first `size` bytes of a golden file. */
static const char *cut_file(const char *golden, const char *name, double share)
{
    void *data;
    int64_t size;
    const char *path = test_path("%s", name);
    assert_ok(file_read(golden, 1 << 26, &data, &size));
    write_plainly(path, data, (int64_t)(share * (double)size));
    free(data);
    return path;
}

static void what_is_no_text_model_is_refused(void **state)
{
    (void)state;
    assert_refused(test_path("missing.model"), STATUS_USAGE, "missing.model");
    write_plainly(test_path("empty"), "", 0);
    assert_refused(test_path("empty"), STATUS_CORRUPT, "empty");
    write_text(test_path("garbage"), "this is no text model at all, whatever its name says");
    assert_refused(test_path("garbage"), STATUS_CORRUPT, "garbage");
    write_text(test_path("other.json"), "{\"a\": 1}");
    assert_refused(test_path("other.json"), STATUS_CORRUPT, "other.json");
    for (double share = 0.1; share < 1; share += 0.2) {
        assert_refused(cut_file(PIECES, "cut.model", share), STATUS_CORRUPT, "cut.model");
        assert_refused(cut_file(BYTES, "cut.json", share), STATUS_CORRUPT, "cut.json");
        assert_refused(cut_file(TEST_GOLDEN_DIRECTORY "/text/text.gguf", "cut.gguf", share), STATUS_CORRUPT,
                       "cut.gguf");
    }
}

/* The tokenizer.json that transformers makes of a tokenizer.model: its ids would be another tokenizer's. */
static void tokenizer_json_of_sentencepiece_is_refused(void **state)
{
    (void)state;
    write_text(
        test_path("sentencepiece.json"),
        "{\"version\": \"1.0\", \"added_tokens\": [], \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": "
        "[{\"type\": \"Prepend\", \"prepend\": \"\xe2\x96\x81\"}, {\"type\": \"Replace\", \"pattern\": {\"String\": "
        "\" \"}, \"content\": \"\xe2\x96\x81\"}]}, \"pre_tokenizer\": null, \"model\": {\"type\": \"BPE\", "
        "\"byte_fallback\": true, \"vocab\": {\"<unk>\": 0, \"a\": 1}, \"merges\": []}}");
    assert_refused(test_path("sentencepiece.json"), STATUS_CORRUPT, "sentencepiece.json");
}

/* ---- strings with tags ---- */

/* Ids on which sentencepiece, LlamaTokenizer and AutoTokenizer agreed (tests/oracles/tokenizer_golden.py). */
static void tagged_strings_have_the_ids_of_transformers(void **state)
{
    (void)state;
    struct text_model *model = load(PIECES);
    struct vocabulary vocabulary;
    json_t *golden, *row;
    size_t index;
    int seen = 0;
    assert_ok(jdoc_read(TEST_GOLDEN_DIRECTORY "/text/prompts.json", &golden));
    assert_ok(vocabulary_create(text_model_size(model), 1, 2, 0, 501, 0, 0, false, &vocabulary));
    vocabulary.dummy_prefix = DUMMY_PREFIX_DOCUMENT;
    json_array_foreach(json_object_get(golden, "prompts"), index, row)
    {
        int32_t *ids;
        int64_t count;
        if (strcmp(json_string_value(json_object_get(row, "vocabulary")), "base") != 0)
            continue;
        const json_t *expected = json_object_get(row, "ids");
        const char *text = json_string_value(json_object_get(row, "text"));
        assert_ok(text_model_encode_tagged(model, &vocabulary, text, &ids, &count));
        if (count != (int64_t)json_array_size(expected))
            fail_msg("%s: expected %zu ids, found %lld", text, json_array_size(expected), (long long)count);
        for (int64_t i = 0; i < count; i++)
            assert_int_equal(ids[i], json_integer_value(json_array_get(expected, (size_t)i)));
        free(ids);
        seen++;
    }
    assert_int_equal(seen, 500);
    json_decref(golden);
    text_model_free(model);
}

/* A model small enough to see its ids, which are those that Hugging Face's tokenizers 0.20.3 gives: t 0, h 1, e 2, th 3, the 4, " " 5, " the" 6, <end> 7. */
static const char *small_model(void)
{
    const char *path = test_path("small.json");
    write_text(
        path,
        "{\"version\": \"1.0\", \"added_tokens\": [{\"id\": 7, \"content\": \"<end>\", \"special\": true, "
        "\"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false}], \"normalizer\": null, "
        "\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, "
        "\"use_regex\": true}, \"post_processor\": null, \"decoder\": {\"type\": \"ByteLevel\"}, \"model\": {\"type\": "
        "\"BPE\", \"vocab\": {\"t\": 0, \"h\": 1, \"e\": 2, \"th\": 3, \"the\": 4, \"\xc4\xa0\": 5, \"\xc4\xa0the\": "
        "6, "
        "\"<end>\": 7}, \"merges\": [\"t h\", \"th e\", \"\xc4\xa0 the\"]}}");
    return path;
}

static void assert_tagged(const struct text_model *model, const struct vocabulary *vocabulary, const char *text,
                          const int32_t *expected, int64_t expected_count)
{
    int32_t *ids;
    int64_t count;
    assert_ok(text_model_encode_tagged(model, vocabulary, text, &ids, &count));
    assert_int_equal(count, expected_count);
    assert_memory_equal(ids, expected, (size_t)count * sizeof *ids);
    free(ids);
}

static void tags_stand_between_the_words_of_byte_level_models(void **state)
{
    (void)state;
    struct text_model *model = load(small_model());
    struct vocabulary vocabulary;
    assert_ok(vocabulary_create(text_model_size(model), -1, 7, -1, 20, 0, 0, false, &vocabulary));
    /* [Text] 8, [Speech] 9, [Hu0] 10. [Hu20] is no unit, and of its bytes none has a piece. */
    const int32_t both[] = {8, 4, 6, 9, 12, 29, 8, 5, 3}, none[] = {9, 1};
    assert_tagged(model, &vocabulary, "[Text]the the[Speech][Hu2][Hu19][Text] th", both, 9);
    assert_int_equal(text_model_dropped(model), 0);
    assert_tagged(model, &vocabulary, "[Speech][Hu20]h", none, 2);
    assert_int_equal(text_model_dropped(model), 6);
    assert_tagged(model, &vocabulary, "", NULL, 0);
    text_model_free(model);
}

/* ---- bytes without a piece, and control pieces ---- */

/* What is written to standard error while `work` runs. */
static void capture(void (*work)(struct text_model *), struct text_model *model, char *text, size_t size)
{
    const char *path = test_path("standard_error");
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600), saved = dup(2);
    assert_true(file >= 0 && saved >= 0);
    fflush(stderr);
    dup2(file, 2);
    work(model);
    dup2(saved, 2);
    close(saved);
    ssize_t count = pread(file, text, size - 1, 0);
    text[count > 0 ? count : 0] = 0;
    close(file);
}

static void encode_what_is_dropped(struct text_model *model)
{
    for (int i = 0; i < 3; i++) {
        int32_t *ids;
        int64_t count;
        assert_ok(text_model_encode(model,
                                    "th\xc3\xa9"
                                    "e",
                                    5, true, &ids, &count));
        assert_int_equal(count, 1);
        assert_int_equal(ids[0], 4); /* what is left is joined */
        free(ids);
    }
}

static void dropped_bytes_are_counted_and_warned_about_once(void **state)
{
    (void)state;
    char text[4096];
    struct text_model *model = load(small_model());
    capture(encode_what_is_dropped, model, text, sizeof text);
    assert_int_equal(text_model_dropped(model), 6);
    const char *warning = strstr(text, "no piece for 252 of the 256 bytes");
    assert_non_null(warning);
    assert_null(strstr(warning + 1, "no piece"));
    text_model_free(model);
}

/* Of the control pieces only EOS can be drawn, in any modality; none is found in a text that spells it out. */
static void control_pieces_are_never_drawn(void **state)
{
    (void)state;
    const struct {
        const char *path;
        int32_t bos, eos, unk, control;
    } cases[] = {{PIECES, 1, 2, 0, 1}, {BYTES, -1, 0, -1, 1}};
    for (int i = 0; i < 2; i++) {
        struct text_model *model = load(cases[i].path);
        struct vocabulary vocabulary;
        assert_ok(vocabulary_create(text_model_size(model), cases[i].bos, cases[i].eos, cases[i].unk, 20, 0, 0, false,
                                    &vocabulary));
        uint8_t *allowed = guarded_allocate((size_t)vocabulary.padded_size);
        assert_true(text_model_is_control(model, cases[i].control));
        for (int modality = OUTPUT_TEXT; modality <= OUTPUT_ANY; modality++) {
            output_mask(model, &vocabulary, (enum output_modality)modality, allowed);
            for (int32_t id = 0; id < vocabulary.text_size; id++)
                if (text_model_is_control(model, id))
                    assert_int_equal(allowed[id], id == cases[i].eos);
            assert_int_equal(allowed[500], modality != OUTPUT_SPEECH);
            assert_int_equal(allowed[vocabulary.hubert_base], modality != OUTPUT_TEXT);
        }
        int64_t length, count;
        int32_t *ids;
        const char *spelled = text_model_piece(model, cases[i].control, &length);
        assert_ok(text_model_encode(model, spelled, length, false, &ids, &count));
        assert_true(count > 1);
        for (int64_t k = 0; k < count; k++)
            assert_false(text_model_is_control(model, ids[k]));
        free(ids);
        guarded_free(allowed);
        text_model_free(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gguf_holds_the_sentencepiece_model_it_was_made_from),
        cmocka_unit_test(byte_level_models_come_from_json_and_gguf),
        cmocka_unit_test(folders_are_the_file_in_them),
        cmocka_unit_test(what_is_no_text_model_is_refused),
        cmocka_unit_test(tokenizer_json_of_sentencepiece_is_refused),
        cmocka_unit_test(tagged_strings_have_the_ids_of_transformers),
        cmocka_unit_test(tags_stand_between_the_words_of_byte_level_models),
        cmocka_unit_test(dropped_bytes_are_counted_and_warned_about_once),
        cmocka_unit_test(control_pieces_are_never_drawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
