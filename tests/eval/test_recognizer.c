/* Recognition by a CTC model against transformers (tests/oracles/judges_golden.py): the texts of its tokenizer for the model's likeliest
 * letters; what the folder's configuration changes in them; and folders that cannot be used.
 *
 *   test_eval_recognizer --model FOLDER WAVES      compares with FOLDER/expected.json (tests/oracles/judges_check.py) */
#include "support/test_support.h"

#include "core/thread_pool.h"
#include "eval/judges/recognizer.h"
#include "io/safetensors.h"
#include "support/judge_folders.h"
#include "support/test_kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct thread_pool *pool;
static struct device_context context;
static struct safetensors *waves;

static int open_world(void **state)
{
    (void)state;
    assert_ok(thread_pool_create(0, &pool));
    assert_ok(device_context_create(test_kernels(), pool, 0, &context));
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    device_context_destroy(test_kernels(), &context);
    thread_pool_destroy(pool);
    return 0;
}

static const float *wave(int clip, int64_t *count)
{
    char name[16];
    snprintf(name, sizeof name, "wave.%d", clip);
    const struct tensor_info *info = safetensors_find(waves, name);
    assert_non_null(info);
    *count = info->shape[0];
    return safetensors_data(waves, info);
}

/* The texts that a folder gives; `edit` makes of what transformers said what is expected. */
static int64_t same_texts(const char *folder, const char *golden, const char *waves_path,
                          void (*edit)(const char *from, char *to))
{
    struct recognizer *recognizer;
    json_t *expected = expected_of_judge(golden);
    int64_t letters = 0;
    assert_ok(safetensors_open(waves_path, &waves));
    assert_ok(recognizer_open(folder, test_kernels(), &context, &recognizer));
    assert_true(json_array_size(expected) > 0);
    for (int i = 0; i < (int)json_array_size(expected); i++) {
        char wanted[4096], *text;
        int64_t count;
        const float *samples = wave(i, &count);
        assert_true(strlen(json_string_value(json_array_get(expected, (size_t)i))) < sizeof wanted);
        edit(json_string_value(json_array_get(expected, (size_t)i)), wanted);
        assert_ok(recognizer_run(recognizer, samples, count, &text));
        assert_string_equal(text, wanted);
        letters += (int64_t)strlen(text);
        free(text);
    }
    recognizer_close(recognizer);
    safetensors_close(waves);
    json_decref(expected);
    return letters;
}

static void as_it_is(const char *from, char *to)
{
    strcpy(to, from);
}

static void in_small_letters(const char *from, char *to)
{
    do
        *to++ = (char)(*from >= 'A' && *from <= 'Z' ? *from + 'a' - 'A' : *from);
    while (*from++);
}

/* "|" has become a letter like others. */
static void with_bars(const char *from, char *to)
{
    do
        *to++ = *from == ' ' ? '|' : *from;
    while (*from++);
}

/* "<unk>" has no entry any more. */
static void without_unknown(const char *from, char *to)
{
    while (*from)
        if (strncmp(from, "<unk>", 5) == 0)
            from += 5;
        else
            *to++ = *from++;
    *to = '\0';
}

#define CTC JUDGES "/ctc"
#define WAVES JUDGES "/waves.safetensors"

static void texts_are_those_of_transformers(void **state)
{
    (void)state;
    assert_true(same_texts(CTC, CTC, WAVES, as_it_is) > 100);
}

static void the_folder_decides_what_is_written(void **state)
{
    (void)state;
    same_texts(changed_judge("ctc", "tokenizer_config.json", "\"do_lower_case\": false", "\"do_lower_case\": true"),
               CTC, WAVES, in_small_letters);
    same_texts(changed_judge("ctc", "tokenizer_config.json", "\"word_delimiter_token\": \"|\"",
                             "\"word_delimiter_token\": \"/\""),
               CTC, WAVES, with_bars);
    same_texts(changed_judge_member("ctc", "vocab.json", "<unk>", NULL), CTC, WAVES, without_unknown);
}

static void a_clip_without_a_frame_is_silent(void **state)
{
    (void)state;
    struct recognizer *recognizer;
    int64_t count;
    char *text;
    assert_ok(safetensors_open(WAVES, &waves));
    assert_ok(recognizer_open(CTC, test_kernels(), &context, &recognizer));
    const float *samples = wave(4, &count);
    assert_ok(recognizer_run(recognizer, samples, count, &text));
    assert_string_equal(text, "");
    free(text);
    assert_ok(recognizer_run(recognizer, samples, 0, &text));
    assert_string_equal(text, "");
    free(text);
    recognizer_close(recognizer);
    safetensors_close(waves);
}

static void what_decides_a_text_decides_the_fingerprint(void **state)
{
    (void)state;
    const char *const folders[] = {
        CTC, changed_judge("ctc", "vocab.json", "\"<unk>\"", "\"<UNK>\""),
        changed_judge("ctc", "tokenizer_config.json", "\"do_lower_case\": false", "\"do_lower_case\": true"),
        changed_judge("ctc", "preprocessor_config.json", "true", "false")};
    enum { FOLDERS = sizeof folders / sizeof *folders };
    struct sha256 seen[FOLDERS];
    for (size_t f = 0; f < FOLDERS; f++) {
        struct recognizer *recognizer;
        assert_ok(recognizer_open(folders[f], test_kernels(), &context, &recognizer));
        seen[f] = *recognizer_fingerprint(recognizer);
        recognizer_close(recognizer);
        for (size_t other = 0; other < f; other++)
            assert_memory_not_equal(&seen[f], &seen[other], sizeof seen[f]);
    }
}

static void refuse(const char *folder, enum status code, const char *part)
{
    struct recognizer *recognizer;
    assert_fails(recognizer_open(folder, test_kernels(), &context, &recognizer), code, part);
    assert_null(recognizer);
    assert_non_null(strstr(status_text(), folder));
}

static void wrong_folders_are_refused(void **state)
{
    (void)state;
    refuse(changed_judge("ctc", "vocab.json", NULL, NULL), STATUS_USAGE, "vocab.json");
    refuse(changed_judge("ctc", "vocab.json", NULL, "[]"), STATUS_CORRUPT, "vocab.json: not a JSON object");
    refuse(changed_judge_member("ctc", "vocab.json", "Q", "13"), STATUS_CORRUPT,
           "vocab.json has ids up to 13, but the model has 13 characters");
    refuse(changed_judge_member("ctc", "vocab.json", "<pad>", NULL), STATUS_CORRUPT, "the pad token \"<pad>\"");
    refuse(changed_judge("ctc", "preprocessor_config.json", "16000", "8000"), STATUS_CORRUPT, "sampling_rate is 8000");
    refuse(changed_judge("ctc", "model.safetensors", "lm_head.weight", "lm_head.wieght"), STATUS_CORRUPT,
           "lm_head.weight");
    refuse(changed_judge("ctc", "tokenizer_config.json", NULL, "{\"pad_token\": 1}"), STATUS_CORRUPT,
           "tokenizer_config.json");
    struct recognizer *recognizer;
    assert_fails(recognizer_open(JUDGES "/nowhere", test_kernels(), &context, &recognizer), STATUS_USAGE, "nowhere");
    assert_null(recognizer);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_those_of_transformers), cmocka_unit_test(the_folder_decides_what_is_written),
        cmocka_unit_test(a_clip_without_a_frame_is_silent),
        cmocka_unit_test(what_decides_a_text_decides_the_fingerprint), cmocka_unit_test(wrong_folders_are_refused)};
    if (argc == 4 && strcmp(argv[1], "--model") == 0) {
        open_world(NULL);
        printf("%s: %d letters are those of transformers\n", argv[2],
               (int)same_texts(argv[2], argv[2], argv[3], as_it_is));
        close_world(NULL);
        return 0;
    }
    return cmocka_run_group_tests(tests, open_world, close_world);
}
