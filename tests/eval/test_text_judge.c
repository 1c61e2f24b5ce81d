/* Judges of texts against transformers (tests/oracles/judges_golden.py): ids, labels and logits, whatever texts are judged together;
 * and folders that cannot be used.
 *
 *   test_eval_text_judge --model FOLDER             compares with FOLDER/expected.json (tests/oracles/judges_check.py)
 *   test_eval_text_judge --ids FOLDER TEXTS IDS     writes the ids of texts, for the same script */
#include "support/test_support.h"

#include "core/thread_pool.h"
#include "eval/judges/judge_tokenizer.h"
#include "eval/judges/text_judge.h"
#include "io/atomic_file.h"
#include "support/judge_folders.h"
#include "support/pooled_context.h"
#include "support/test_kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of float32 against float64 for logits of a size of 1 to 10; at full size sums have 4,096 numbers, 24 layers one after the other. */
#define TOLERANCE 1e-5
#define TOLERANCE_AT_FULL_SIZE 1e-4

/* ---- what transformers says ---- */

enum { TEXTS_LIMIT = 64 };

struct world {
    struct text_judge *judge;
    json_t *expected; /* a list of {text, ids, truncated, logits} */
    const char *texts[TEXTS_LIMIT];
    int64_t count, size;
};

static struct world open_judge(const char *folder)
{
    struct world world = {.expected = expected_of_judge(folder)};
    assert_ok(text_judge_open(folder, test_kernels(), &pooled_context, &world.judge));
    world.count = (int64_t)json_array_size(world.expected);
    world.size = text_judge_size(world.judge);
    assert_in_range(world.count, 1, TEXTS_LIMIT);
    for (int64_t i = 0; i < world.count; i++) {
        world.texts[i] = json_string_value(json_object_get(json_array_get(world.expected, (size_t)i), "text"));
        assert_non_null(world.texts[i]);
    }
    return world;
}

static void close_judge(struct world *world)
{
    text_judge_close(world->judge);
    json_decref(world->expected);
}

/* The greatest difference of a logit. */
static double compare(const struct world *world, int64_t i, const struct judgement *judgement, const double *logits,
                      double tolerance)
{
    const json_t *row = json_array_get(world->expected, (size_t)i), *wanted = json_object_get(row, "logits");
    double most = 0, best = -INFINITY;
    assert_int_equal(json_array_size(wanted), world->size);
    for (int64_t c = 0; c < world->size; c++) {
        double value = json_real_value(json_array_get(wanted, (size_t)c)), error = fabs(logits[c] - value);
        if (!(error <= tolerance))
            fail_msg("text %d, class %d: expected %.9g, found %.9g", (int)i, (int)c, value, logits[c]);
        most = error > most ? error : most;
        best = value > best ? value : best;
    }
    assert_in_range(judgement->label, 0, world->size - 1);
    assert_true(json_real_value(json_array_get(wanted, (size_t)judgement->label)) >= best - 2 * tolerance);
    for (int64_t c = 0; c < world->size; c++) /* the first of the greatest, as they were found */
        assert_true(logits[c] < logits[judgement->label] || c >= judgement->label);
    assert_int_equal(judgement->truncated, json_is_true(json_object_get(row, "truncated")));
    return most;
}

static double compare_all(const char *folder, double tolerance)
{
    struct world world = open_judge(folder);
    struct judgement *judgements = calloc((size_t)world.count, sizeof *judgements);
    double *logits = malloc((size_t)(world.count * world.size) * sizeof *logits), most = 0;
    assert_true(judgements && logits);
    assert_ok(text_judge_run(world.judge, world.texts, world.count, judgements, logits));
    for (int64_t i = 0; i < world.count; i++)
        most = fmax(most, compare(&world, i, &judgements[i], logits + i * world.size, tolerance));
    free(judgements);
    free(logits);
    close_judge(&world);
    return most;
}

static void logits_are_those_of_transformers(void **state)
{
    (void)state;
    print_message("text: within %.2g\n", compare_all(JUDGES "/text", TOLERANCE));
    print_message("text_bin: within %.2g\n", compare_all(JUDGES "/text_bin", TOLERANCE));
}

static void ids_are_those_of_transformers(void **state)
{
    (void)state;
    static const char *const folders[] = {JUDGES "/text", JUDGES "/text_bin"};
    for (int f = 0; f < 2; f++) {
        struct world world = open_judge(folders[f]);
        struct judge_tokenizer *tokenizer;
        int64_t cut = 0;
        assert_ok(judge_tokenizer_open(folders[f], 1000, &tokenizer));
        for (int64_t i = 0; i < world.count; i++) {
            const json_t *wanted = json_object_get(json_array_get(world.expected, (size_t)i), "ids");
            int32_t *ids;
            int64_t count;
            bool truncated;
            assert_ok(judge_tokenizer_encode(tokenizer, world.texts[i], text_judge_limit(world.judge), &ids, &count,
                                             &truncated));
            assert_int_equal(count, json_array_size(wanted));
            for (int64_t t = 0; t < count; t++)
                assert_int_equal(ids[t], json_integer_value(json_array_get(wanted, (size_t)t)));
            assert_true(!truncated || count == text_judge_limit(world.judge));
            cut += truncated;
            free(ids);
        }
        assert_true(cut > 0 && cut < world.count);
        judge_tokenizer_close(tokenizer);
        close_judge(&world);
    }
}

static void labels_are_lower_case(void **state)
{
    (void)state;
    static const char *const named[] = {"neutral", "happy", "sad", "angry", "i\u0307lgi", "σας", "very amused"};
    static const char *const numbered[] = {"label_0", "label_1", "label_2"};
    struct world world = open_judge(JUDGES "/text");
    assert_int_equal(world.size, 7);
    for (int i = 0; i < 7; i++)
        assert_string_equal(text_judge_label(world.judge, i), named[i]);
    close_judge(&world);
    const char *const folders[] = {JUDGES "/text_bin",
                                   changed_judge_member("text_bin", "config.json", "id2label", NULL),
                                   changed_judge_member("text_bin", "config.json", "id2label", "null"),
                                   changed_judge_member("text_bin", "config.json", "num_labels", "3")};
    for (int f = 0; f < 4; f++) {
        world = open_judge(folders[f]);
        assert_int_equal(world.size, 3);
        for (int i = 0; i < 3; i++)
            assert_string_equal(text_judge_label(world.judge, i), numbered[i]);
        close_judge(&world);
    }
}

/* Of pieces of one letter each: as many as fit between <s> and </s>, one fewer, one more. */
static void the_first_text_too_long_is_cut(void **state)
{
    (void)state;
    struct judge_tokenizer *tokenizer;
    assert_ok(judge_tokenizer_open(JUDGES "/text", 1000, &tokenizer));
    for (int64_t limit = 3; limit < 12; limit++)
        for (int64_t letters = limit - 3; letters < limit; letters++) {
            char text[16];
            int32_t *ids;
            int64_t count;
            bool truncated;
            memset(text, 'x', (size_t)letters);
            text[letters] = '\0';
            assert_ok(judge_tokenizer_encode(tokenizer, text, limit, &ids, &count, &truncated));
            assert_int_equal(truncated, letters > limit - 2);
            assert_int_equal(count, letters > limit - 2 ? limit : letters + 2);
            assert_int_equal(ids[count - 1], 2);
            free(ids);
        }
    judge_tokenizer_close(tokenizer);
}

/* Texts in random orders, some of them more than once, in batches of 1 to 33. */
static void company_changes_no_bit(void **state)
{
    (void)state;
    enum { ROUNDS = 12, MOST = 33 };
    struct world world = open_judge(JUDGES "/text");
    struct rng rng = rng_make(test_seed(), RNG_TEST, 210, 0);
    double *alone = malloc((size_t)(world.count * world.size) * sizeof *alone), logits[MOST * 7];
    struct judgement own[TEXTS_LIMIT], judgements[MOST];
    const char *texts[MOST];
    int64_t chosen[MOST];
    assert_non_null(alone);
    for (int64_t i = 0; i < world.count; i++)
        assert_ok(text_judge_run(world.judge, &world.texts[i], 1, &own[i], alone + i * world.size));
    for (int round = 0; round < ROUNDS; round++) {
        int64_t count = round == 0 ? MOST : 1 + (int64_t)rng_below(&rng, MOST);
        for (int64_t i = 0; i < count; i++) {
            chosen[i] = (int64_t)rng_below(&rng, (uint64_t)world.count);
            texts[i] = world.texts[chosen[i]];
        }
        assert_ok(text_judge_run(world.judge, texts, count, judgements, round % 2 ? NULL : logits));
        for (int64_t i = 0; i < count; i++) {
            assert_int_equal(judgements[i].label, own[chosen[i]].label);
            assert_int_equal(judgements[i].truncated, own[chosen[i]].truncated);
            if (round % 2 == 0)
                assert_memory_equal(logits + i * world.size, alone + chosen[i] * world.size,
                                    (size_t)world.size * sizeof *logits);
        }
    }
    assert_ok(text_judge_run(world.judge, NULL, 0, NULL, NULL));
    free(alone);
    close_judge(&world);
}

/* What is not UTF-8 has a judgement too, and what begins like a long text has that of its beginning. */
static void any_bytes_are_judged(void **state)
{
    (void)state;
    enum { LETTERS = 100000 };
    struct world world = open_judge(JUDGES "/text");
    char *longest = malloc(LETTERS + 1);
    assert_non_null(longest);
    memset(longest, 'x', LETTERS);
    longest[LETTERS] = '\0';
    char *shorter = longest + LETTERS - 500;
    const char *const texts[] = {"\xff\xfe\x80", "\xc3", longest, shorter};
    struct judgement judgements[4];
    double logits[4 * 7];
    assert_ok(text_judge_run(world.judge, texts, 4, judgements, logits));
    assert_false(judgements[0].truncated);
    assert_true(judgements[2].truncated && judgements[3].truncated);
    assert_memory_equal(logits + 14, logits + 21, 7 * sizeof *logits);
    free(longest);
    close_judge(&world);
}

static void what_decides_a_judgement_decides_the_fingerprint(void **state)
{
    (void)state;
    const char *const folders[] = {JUDGES "/text",
                                   changed_judge("text", "config.json", "HAPPY", "HEPPY"),
                                   changed_judge("text", "config.json", "1e-05", "2e-05"),
                                   changed_judge("text", "merges.txt", "\nĠh e\n", "\n"),
                                   changed_judge("text", "vocab.json", "<mask>", "<musk>"),
                                   JUDGES "/text_bin"};
    enum { FOLDERS = sizeof folders / sizeof *folders };
    struct sha256 seen[FOLDERS];
    struct text_judge *judge;
    for (size_t f = 0; f < FOLDERS; f++) {
        assert_ok(text_judge_open(folders[f], test_kernels(), &pooled_context, &judge));
        seen[f] = *text_judge_fingerprint(judge);
        text_judge_close(judge);
        for (size_t other = 0; other < f; other++)
            assert_memory_not_equal(&seen[f], &seen[other], sizeof seen[f]);
    }
    const char *same = changed_judge("text", "config.json", "\"use_cache\"", "\"use_cache_not\"");
    assert_ok(text_judge_open(same, test_kernels(), &pooled_context, &judge));
    assert_memory_equal(text_judge_fingerprint(judge), &seen[0], sizeof seen[0]);
    text_judge_close(judge);
}

/* vocab.json with merges.txt, and tokenizer.json: one model. */
static void both_forms_of_a_tokenizer_are_one(void **state)
{
    (void)state;
    struct judge_tokenizer *pair, *json;
    assert_ok(judge_tokenizer_open(JUDGES "/text", 1000, &pair));
    assert_ok(judge_tokenizer_open(JUDGES "/text_bin", 1000, &json));
    assert_memory_equal(judge_tokenizer_fingerprint(pair), judge_tokenizer_fingerprint(json), sizeof(struct sha256));
    judge_tokenizer_close(pair);
    judge_tokenizer_close(json);
}

/* ---- what is refused ---- */

static void refuse(const char *folder, enum status code, const char *part)
{
    struct text_judge *judge;
    assert_fails(text_judge_open(folder, test_kernels(), &pooled_context, &judge), code, part);
    assert_null(judge);
    assert_non_null(strstr(status_text(), folder)); /* the file is named */
}

static void wrong_configurations_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value, *text;
    } cases[] = {
        {"model_type", "\"bert\"", "model_type is \"bert\""},
        {"hidden_act", "\"gelu_new\"", "hidden_act is \"gelu_new\""},
        {"position_embedding_type", "\"relative_key\"", "relative_key"},
        {"problem_type", "\"regression\"", "problem_type is \"regression\""},
        {"is_decoder", "true", "is_decoder is not supported"},
        {"quantization_config", "{}", "quantization_config"},
        {"hidden_size", "16", "16"},
        {"hidden_size", "\"15\"", "hidden_size"},
        {"num_attention_heads", "4", "cannot be cut into 4 heads"},
        {"num_hidden_layers", "3", "roberta.encoder.layer.2.attention.self.query.weight is missing"},
        {"intermediate_size", "21", "intermediate.dense.weight: expected shape [21, 15], found [22, 15]"},
        {"max_position_embeddings", "43", "position_embeddings.weight: expected shape [43, 15]"},
        {"max_position_embeddings", "4", "leaves no text behind pad_token_id 1"},
        {"vocab_size", "380", "word_embeddings.weight: expected shape [380, 15]"},
        {"vocab_size", "2097152", "word_embeddings"},
        {"type_vocab_size", "2", "token_type_embeddings"},
        {"pad_token_id", "1000", "pad_token_id 1000 is not below vocab_size"},
        {"layer_norm_eps", "-1", "layer_norm_eps"},
        {"num_labels", "6", "num_labels is 6, but the weights have 7 classes"},
        {"id2label", "[\"a\"]", "id2label is not an object"},
        {"id2label", "{\"0\": \"a\", \"1\": \"b\", \"2\": \"c\", \"3\": \"d\", \"4\": \"e\", \"6\": \"g\"}",
         "id2label has no label for class 5"},
        {"id2label",
         "{\"0\": \"a\", \"1\": \"b\", \"2\": \"c\", \"3\": \"d\", \"4\": \"e\", \"5\": \"f\", \"6\": \"g\", "
         "\"7\": \"h\"}",
         "id2label has 8 entries, but the weights have 7 classes"},
        {"id2label", "{\"0\": \"a\", \"1\": \"b\", \"2\": \"c\", \"3\": \"d\", \"4\": \"e\", \"5\": \"f\", \"6\": 6}",
         "the label of class 6 is not a text"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuse(changed_judge_member("text", "config.json", cases[i].key, cases[i].value), STATUS_CORRUPT,
               cases[i].text);
    refuse(changed_judge("text", "config.json", NULL, "[]"), STATUS_CORRUPT, "not a JSON object");
    refuse(changed_judge("text", "config.json", "{", "{{"), STATUS_CORRUPT, "config.json");
}

static void wrong_weights_are_refused(void **state)
{
    (void)state;
    refuse(changed_judge("text", "model.safetensors", NULL, NULL), STATUS_USAGE, "model.safetensors");
    refuse(changed_judge("text", "model.safetensors", "classifier.out_proj.weight", "classifier.out_porj.weight"),
           STATUS_CORRUPT, "classifier.out_proj.weight is missing");
    refuse(changed_judge("text", "model.safetensors", "layer.1.output.LayerNorm.bias", "layer.1.output.LayerNorm.bais"),
           STATUS_CORRUPT, "layer.1.output.LayerNorm.bias is missing");
    refuse(changed_judge("text", "model.safetensors", NULL, "short"), STATUS_CORRUPT, "model.safetensors");
}

/* The last number of the file, which is one of some tensor. */
static void a_weight_that_is_no_number_is_refused(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0, 0, 0xc0, 0x7f};
    const char *folder = changed_judge_member("text", "config.json", "use_cache", "true");
    char path[4200];
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, -4, SEEK_END), 0);
    assert_int_equal(fwrite(bytes, 1, sizeof bytes, file), sizeof bytes);
    assert_int_equal(fclose(file), 0);
    refuse(folder, STATUS_CORRUPT, "is not finite");
}

static void wrong_tokenizers_are_refused(void **state)
{
    (void)state;
    refuse(changed_judge("text", "vocab.json", NULL, NULL), STATUS_USAGE, "vocab.json is missing");
    refuse(changed_judge("text", "merges.txt", NULL, NULL), STATUS_USAGE, "merges.txt is missing");
    refuse(changed_judge("text_bin", "tokenizer.json", NULL, NULL), STATUS_USAGE,
           "vocab.json and merges.txt are missing");
    refuse(changed_judge("text", "vocab.json", NULL, "{\"a\": 0"), STATUS_CORRUPT, "vocab.json");
    refuse(changed_judge("text", "vocab.json", NULL, "{\"a\": -1}"), STATUS_CORRUPT, "expected 0 to 2097151");
    refuse(changed_judge("text", "vocab.json", NULL, "{\"a\": 0, \"b\": 0}"), STATUS_CORRUPT,
           "two pieces have the id 0");
    refuse(changed_judge("text", "vocab.json", "\"<s>\"", "\"<S>\""), STATUS_CORRUPT, "no piece \"<s>\"");
    refuse(changed_judge("text", "vocab.json", "\"!\"", "\"!!!\""), STATUS_CORRUPT, "1 bytes have no piece");
    refuse(changed_judge_member("text", "vocab.json", "more", "381"), STATUS_CORRUPT,
           "ids up to 381, but the model has 381 embeddings");
    refuse(changed_judge("text", "merges.txt", "\nĠh e\n", "\nĠh e e\n"), STATUS_CORRUPT, "merges.txt:36: ");
    refuse(changed_judge("text", "merges.txt", "\nĠh e\n", "\nq q\n"), STATUS_CORRUPT, "\"qq\", which is not a piece");
    refuse(changed_judge("text", "merges.txt", "\nĠh e\n", "\n\n"), STATUS_CORRUPT,
           "two pieces with a space in between");
    refuse(changed_judge("text", "tokenizer_config.json", NULL, "{\"add_prefix_space\": true}"), STATUS_CORRUPT,
           "add_prefix_space is not supported");
    refuse(changed_judge("text", "tokenizer_config.json", NULL, "{\"sep_token\": {\"content\": \"<sep>\"}}"),
           STATUS_CORRUPT, "no piece \"<sep>\", which is the sep_token");
    refuse(changed_judge("text", "tokenizer_config.json", NULL, "{\"sep_token\": {}}"), STATUS_CORRUPT,
           "sep_token has no \"content\"");
    refuse(changed_judge("text", "special_tokens_map.json", NULL, "[]"), STATUS_CORRUPT, "special_tokens_map.json");
    refuse(changed_judge("text_bin", "tokenizer.json", "\"ByteLevel\"", "\"Whitespace\""), STATUS_CORRUPT,
           "tokenizer.json");
    struct text_judge *judge;
    assert_fails(text_judge_open(JUDGES "/nowhere", test_kernels(), &pooled_context, &judge), STATUS_USAGE, "nowhere");
    assert_null(judge);
}

/* ---- the oracle's script ---- */

static int check_model(const char *folder)
{
    pooled_context_open(NULL);
    printf("%s: logits within %.3g of transformers\n", folder, compare_all(folder, TOLERANCE_AT_FULL_SIZE));
    pooled_context_close(NULL);
    return 0;
}

/* Texts: a length in four bytes, then the text; ids: a count, then the ids. */
static int write_ids(const char *folder, const char *texts_path, const char *ids_path)
{
    struct judge_tokenizer *tokenizer;
    void *data;
    int64_t size, count;
    FILE *out = fopen(ids_path, "wb");
    assert_ok(judge_tokenizer_open(folder, INT32_MAX, &tokenizer));
    assert_ok(file_read(texts_path, INT64_C(1) << 30, &data, &size));
    assert_non_null(out);
    for (int64_t at = 0; at < size;) {
        uint32_t length, count_32;
        int32_t *ids;
        bool truncated;
        memcpy(&length, (const char *)data + at, sizeof length);
        char *text = strndup((const char *)data + at + sizeof length, length);
        assert_ok(judge_tokenizer_encode(tokenizer, text, INT32_MAX, &ids, &count, &truncated));
        count_32 = (uint32_t)count;
        fwrite(&count_32, sizeof count_32, 1, out);
        fwrite(ids, sizeof *ids, (size_t)count, out);
        free(ids);
        free(text);
        at += (int64_t)(sizeof length + length);
    }
    assert_int_equal(fclose(out), 0);
    free(data);
    judge_tokenizer_close(tokenizer);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(logits_are_those_of_transformers),
                                       cmocka_unit_test(ids_are_those_of_transformers),
                                       cmocka_unit_test(labels_are_lower_case),
                                       cmocka_unit_test(the_first_text_too_long_is_cut),
                                       cmocka_unit_test(company_changes_no_bit),
                                       cmocka_unit_test(any_bytes_are_judged),
                                       cmocka_unit_test(what_decides_a_judgement_decides_the_fingerprint),
                                       cmocka_unit_test(both_forms_of_a_tokenizer_are_one),
                                       cmocka_unit_test(wrong_configurations_are_refused),
                                       cmocka_unit_test(wrong_weights_are_refused),
                                       cmocka_unit_test(a_weight_that_is_no_number_is_refused),
                                       cmocka_unit_test(wrong_tokenizers_are_refused)};
    if (argc == 3 && strcmp(argv[1], "--model") == 0)
        return check_model(argv[2]);
    if (argc == 5 && strcmp(argv[1], "--ids") == 0)
        return write_ids(argv[2], argv[3], argv[4]);
    return cmocka_run_group_tests(tests, pooled_context_open, pooled_context_close);
}
