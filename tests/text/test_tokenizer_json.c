/* What a checkpoint holds for SentencePiece and for transformers. Expected ids are those on which sentencepiece,
 * LlamaTokenizer and AutoTokenizer agreed (tests/oracles/tokenizer_golden.py), for files with the same hashes as ours. */
#include "support/files.h"
#include "support/sentencepiece_builder.h"
#include "support/test_support.h"

#include "io/atomic_file.h"
#include "io/json.h"
#include "text/tagged_model.h"
#include "text/tokenizer_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The oracle script's vocabularies. */
static const struct {
    const char *name;
    int32_t hubert, pitch, style;
    bool tasks;
} kinds[] = {{"base", 501, 0, 0, false}, {"expressive", 501, 64, 100, true}};
enum { KINDS = 2 };

/* The three files of a checkpoint. */
struct files {
    struct vocabulary vocabulary;
    void *tagged;
    int64_t tagged_size;
    char *json, *config;
};

static void *golden_model(int64_t *size)
{
    const char *chosen = getenv("SPIRITLM_TOKENIZER_MODEL");
    void *data;
    assert_ok(file_read(chosen ? chosen : TEST_GOLDEN_DIRECTORY "/text/text.model", 1 << 26, &data, size));
    return data;
}

static struct vocabulary vocabulary_for(const struct sentencepiece *text, int kind)
{
    struct vocabulary vocabulary;
    assert_ok(vocabulary_create(sentencepiece_size(text), sentencepiece_bos(text), sentencepiece_eos(text),
                                sentencepiece_unk(text), kinds[kind].hubert, kinds[kind].pitch, kinds[kind].style,
                                kinds[kind].tasks, &vocabulary));
    return vocabulary;
}

static struct files make_files(const void *data, int64_t size, int kind)
{
    struct files files;
    struct sentencepiece *text;
    assert_ok(sentencepiece_load_memory("text.model", data, size, &text));
    files.vocabulary = vocabulary_for(text, kind);
    assert_ok(tagged_model_check("text.model", text, &files.vocabulary));
    assert_ok(tagged_model_write("text.model", data, size, &files.vocabulary, &files.tagged, &files.tagged_size));
    assert_null(tokenizer_json_obstacle(text));
    assert_ok(tokenizer_json_write(text, &files.vocabulary, &files.json, &files.config));
    sentencepiece_free(text);
    return files;
}

static void free_files(struct files *files)
{
    free(files->tagged);
    free(files->json);
    free(files->config);
}

/* For the oracle script. */
static void write_for_oracle(const char *folder, const struct files *files, const char *name)
{
    char path[1000];
    mkdir(folder, 0777);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/%s/tokenizer.model", folder, name);
    write_plainly(path, files->tagged, files->tagged_size);
    snprintf(path, sizeof path, "%s/%s/tokenizer.json", folder, name);
    write_plainly(path, files->json, (int64_t)strlen(files->json));
    snprintf(path, sizeof path, "%s/%s/tokenizer_config.json", folder, name);
    write_plainly(path, files->config, (int64_t)strlen(files->config));
}

static void assert_hash(const json_t *hashes, const char *file, const void *data, int64_t size)
{
    char hex[65];
    struct sha256 hash = sha256_of(data, (size_t)size);
    sha256_hex(&hash, hex);
    if (strcmp(hex, json_string_value(json_object_get(hashes, file))) != 0)
        fail_msg("%s is not the file that the oracle has seen: run tests/oracles/tokenizer_golden.py", file);
}

static void assert_ids(const json_t *row, const struct sentencepiece *model)
{
    const char *text = json_string_value(json_object_get(row, "text"));
    const json_t *expected = json_object_get(row, "ids");
    int32_t *ids;
    int64_t count;
    assert_ok(sentencepiece_encode(model, text, (int64_t)strlen(text), true, &ids, &count));
    bool equal = count == (int64_t)json_array_size(expected);
    for (int64_t i = 0; equal && i < count; i++)
        equal = ids[i] == json_integer_value(json_array_get(expected, (size_t)i));
    if (!equal)
        fail_msg("\"%s\" has other ids than in the golden file", text);
    free(ids);
}

static void files_and_prompts_equal_the_oracle(void **state)
{
    (void)state;
    const char *output = getenv("SPIRITLM_TOKENIZER_OUTPUT");
    int64_t size;
    size_t index;
    json_t *golden = NULL, *row;
    void *data = golden_model(&size);
    if (!output)
        assert_ok(jdoc_read(TEST_GOLDEN_DIRECTORY "/text/prompts.json", &golden));
    for (int kind = 0; kind < KINDS; kind++) {
        int seen = 0;
        struct sentencepiece *tagged;
        struct files files = make_files(data, size, kind);
        if (output)
            write_for_oracle(output, &files, kinds[kind].name);
        assert_ok(sentencepiece_load_tagged("tagged", files.tagged, files.tagged_size, &tagged));
        assert_int_equal(sentencepiece_size(tagged), files.vocabulary.size);
        json_array_foreach(json_object_get(golden, "prompts"), index, row)
        {
            if (strcmp(json_string_value(json_object_get(row, "vocabulary")), kinds[kind].name) != 0)
                continue;
            assert_ids(row, tagged);
            seen++;
        }
        if (golden) {
            const json_t *hashes = json_object_get(json_object_get(golden, "files"), kinds[kind].name);
            assert_hash(hashes, "tokenizer.model", files.tagged, files.tagged_size);
            assert_hash(hashes, "tokenizer.json", files.json, (int64_t)strlen(files.json));
            assert_hash(hashes, "tokenizer_config.json", files.config, (int64_t)strlen(files.config));
            assert_int_equal(seen, 500);
        }
        sentencepiece_free(tagged);
        free_files(&files);
    }
    json_decref(golden);
    free(data);
}

static void assert_text_ids(const struct sentencepiece *a, const struct sentencepiece *b, const char *text)
{
    int32_t *ids[2];
    int64_t counts[2];
    assert_ok(sentencepiece_encode(a, text, (int64_t)strlen(text), true, &ids[0], &counts[0]));
    assert_ok(sentencepiece_encode(b, text, (int64_t)strlen(text), true, &ids[1], &counts[1]));
    assert_int_equal(counts[0], counts[1]);
    assert_memory_equal(ids[0], ids[1], (size_t)counts[0] * sizeof *ids[0]);
    for (int64_t i = 0; i < counts[0]; i++)
        assert_true(ids[0][i] < sentencepiece_size(b));
    free(ids[0]);
    free(ids[1]);
}

/* A document that speaks of tags stays text, and the text model is the one that it was before tags were added to it. */
static void tags_are_no_part_of_the_text_model(void **state)
{
    (void)state;
    int64_t size;
    void *data = golden_model(&size);
    struct sentencepiece *text, *stripped;
    assert_ok(sentencepiece_load_memory("text.model", data, size, &text));
    struct sha256 before = sentencepiece_fingerprint(text);
    for (int kind = 0; kind < KINDS; kind++) {
        struct files files = make_files(data, size, kind);
        assert_ok(sentencepiece_load_memory("tagged.model", files.tagged, files.tagged_size, &stripped));
        struct sha256 after = sentencepiece_fingerprint(stripped);
        assert_memory_equal(&before, &after, sizeof before);
        assert_int_equal(sentencepiece_size(stripped), sentencepiece_size(text));
        assert_int_equal(sentencepiece_tag_count(stripped), files.vocabulary.size - files.vocabulary.text_size);
        assert_int_equal(sentencepiece_find(stripped, "[Text]"), -1);
        assert_text_ids(text, stripped, "The tags are [Text], [Speech] and [Hu12].");
        assert_text_ids(text, stripped, "[Speech][Hu3][Pi4][St5][ASR]");
        sentencepiece_free(stripped);
        free_files(&files);
    }
    sentencepiece_free(text);
    free(data);
}

/* From a released Base folder, say, to a vocabulary with pitch and style: the same file as from the text alone. */
static void tags_are_replaced(void **state)
{
    (void)state;
    int64_t size, again_size;
    void *data = golden_model(&size), *again;
    for (int from = 0; from < KINDS; from++) {
        struct files source = make_files(data, size, from);
        for (int to = 0; to < KINDS; to++) {
            struct files wanted = make_files(data, size, to);
            struct sentencepiece *text;
            assert_ok(tagged_model_write("source", source.tagged, source.tagged_size, &wanted.vocabulary, &again,
                                         &again_size));
            assert_int_equal(again_size, wanted.tagged_size);
            assert_memory_equal(again, wanted.tagged, (size_t)again_size);
            free(again);
            assert_ok(sentencepiece_load_memory("source.model", source.tagged, source.tagged_size, &text));
            if (from == to)
                assert_ok(tagged_model_match("source.model", text, &wanted.vocabulary));
            else
                assert_fails(tagged_model_match("source.model", text, &wanted.vocabulary), STATUS_CORRUPT,
                             "tags and units at the end");
            sentencepiece_free(text);
            free_files(&wanted);
        }
        free_files(&source);
    }
    free(data);
}

/* Only a whole list of tags and units in the order of the id map, at the very end, is one. */
static void other_endings_are_text(void **state)
{
    (void)state;
    static const struct {
        const char *pieces[8];
        int tags;
    } cases[] = {
        {{"[Text]", "[Speech]"}, 2},
        {{"[Text]", "[Speech]", "[Hu0]", "[Hu1]"}, 4},
        {{"[Text]", "[Speech]", "[Hu0]", "[Pi0]", "[St0]", "[ASR]", "[TTS]"}, 7},
        {{"[Text]"}, 0},
        {{"[Speech]", "[Text]"}, 0},
        {{"[Text]", "[Speech]", "[Hu1]"}, 0},
        {{"[Text]", "[Speech]", "[Hu0]", "[ASR]"}, 0},
        {{"[Text]", "[Speech]", "[Hu0]", "more"}, 0},
        {{"[Text]", "[Speech]", "[Pi0]", "[Hu0]"}, 0},
        {{"[Text]", "[Speech]", "[Hu00]"}, 0}, /* refused for its [Text] */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes model = build_small_model((const char *const[]){"th", "the", NULL}, 1);
        struct sentencepiece *text, *all;
        int count = 0;
        while (count < 8 && cases[i].pieces[count]) {
            put_piece(&model, cases[i].pieces[count], strlen(cases[i].pieces[count]), 0, 4);
            count++;
        }
        assert_ok(sentencepiece_load_memory("text", model.data, (int64_t)model.size, &text));
        assert_ok(sentencepiece_load_tagged("all", model.data, (int64_t)model.size, &all));
        assert_int_equal(sentencepiece_tag_count(text), cases[i].tags);
        assert_int_equal(sentencepiece_size(text) + cases[i].tags, sentencepiece_size(all));
        struct vocabulary vocabulary = vocabulary_for(text, 1);
        if (cases[i].tags)
            assert_ok(tagged_model_check("text", text, &vocabulary));
        else
            assert_fails(tagged_model_check("text", text, &vocabulary), STATUS_USAGE, "is how a tag or unit");
        sentencepiece_free(text);
        sentencepiece_free(all);
        bytes_free(&model);
    }
}

/* Units of a vocabulary that differ from those in the file in kind, not in number. */
static void a_swapped_list_is_refused(void **state)
{
    (void)state;
    struct bytes model = build_small_model((const char *const[]){NULL}, 1);
    struct sentencepiece *text;
    struct vocabulary vocabulary, other;
    void *tagged;
    int64_t size;
    assert_ok(sentencepiece_load_memory("text", model.data, (int64_t)model.size, &text));
    int32_t pieces = sentencepiece_size(text);
    assert_ok(vocabulary_create(pieces, 1, 2, 0, 5, 3, 2, false, &vocabulary));
    assert_ok(vocabulary_create(pieces, 1, 2, 0, 5, 2, 3, false, &other));
    assert_ok(tagged_model_match("text", text, &vocabulary)); /* as in checkpoints of earlier versions */
    assert_ok(tagged_model_write("text", model.data, (int64_t)model.size, &vocabulary, &tagged, &size));
    sentencepiece_free(text);
    assert_ok(sentencepiece_load_memory("tagged", tagged, size, &text));
    assert_ok(tagged_model_match("tagged", text, &vocabulary));
    assert_fails(tagged_model_match("tagged", text, &other), STATUS_CORRUPT, "is [Pi2], in the vocabulary it is [St0]");
    sentencepiece_free(text);
    free(tagged);
    bytes_free(&model);
}

static void models_beyond_tokenizer_json_are_named(void **state)
{
    (void)state;
    struct sentencepiece *text;
    struct bytes model = build_small_model((const char *const[]){"th", "t\xC3\xA9", NULL}, 1);
    assert_ok(sentencepiece_load_memory("text", model.data, (int64_t)model.size, &text));
    assert_string_equal(tokenizer_json_obstacle(text), "a piece holds a character that is not a piece by itself");
    sentencepiece_free(text);
    bytes_free(&model);
    model = build_small_model((const char *const[]){"th", NULL}, 1);
    assert_ok(sentencepiece_load_memory("text", model.data, (int64_t)model.size, &text));
    assert_null(tokenizer_json_obstacle(text));
    sentencepiece_free(text);
    put_piece(&model, "the", 3, -50, 5);
    assert_ok(sentencepiece_load_memory("text", model.data, (int64_t)model.size, &text));
    assert_string_equal(tokenizer_json_obstacle(text), "it has pieces of type UNUSED");
    sentencepiece_free(text);
    bytes_free(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_and_prompts_equal_the_oracle),
        cmocka_unit_test(tags_are_no_part_of_the_text_model),
        cmocka_unit_test(tags_are_replaced),
        cmocka_unit_test(other_endings_are_text),
        cmocka_unit_test(a_swapped_list_is_refused),
        cmocka_unit_test(models_beyond_tokenizer_json_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
