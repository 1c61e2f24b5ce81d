/* `evaluate` on benchmarks' archives and its commands without a model, as a user types them: with a model of text as its owner
 * distributes it. */
#include "support/files.h"
#include "support/test_support.h"
#include "support/tiny_run.h"

#include "io/atomic_file.h"
#include "io/wav.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODEL TEST_GOLDEN_DIRECTORY "/text_llama/model.gguf"

static char output[1 << 16];

static void assert_printed(const char *text)
{
    if (!strstr(output, text))
        fail_msg("expected \"%s\" in:\n%s", text, output);
}

#define RUN(code, ...)                                                                                                 \
    do {                                                                                                               \
        int found = run_command(output, sizeof output, __VA_ARGS__);                                                   \
        if (found != (code))                                                                                           \
            fail_msg("expected exit code %d, found %d: %s", (int)(code), found, output);                               \
    } while (0)

#define EVALUATE "cd '%s' && '%s/evaluate' --device cpu --config '%s/configs/base.yaml' --model '" MODEL "' "
#define IN_TEST test_directory(), TEST_PROGRAM_DIRECTORY, TEST_SOURCE_DIRECTORY

static int make_blimp(void **state)
{
    (void)state;
    assert_ok(make_directories(test_path("sentences/data")));
    write_text(test_path("sentences/data/agreement.jsonl"),
               "{\"sentence_good\": \"He is here.\", \"sentence_bad\": \"He are here.\"}\n"
               "{\"sentence_good\": \"We go.\", \"sentence_bad\": \"We goes.\"}\n");
    return 0;
}

static void a_benchmark_is_run_and_rescored(void **state)
{
    (void)state;
    RUN(0, EVALUATE "--out out blimp sentences 2>&1", IN_TEST);
    assert_printed("blimp");
    assert_printed("agreement");
    RUN(0, "cd '%s' && grep -q '\"acc,token\"' out/results_blimp.json && wc -l < out/samples_blimp.jsonl",
        test_directory());
    assert_printed("3"); /* what was scored, and two pairs */
    RUN(0, EVALUATE "rescore out score.normalize=char,byte 2>&1", IN_TEST);
    assert_printed("char");
    RUN(0, "cd '%s' && grep -q '\"acc,byte\"' out/rescored_blimp.json", test_directory());
    RUN(2, EVALUATE "rescore out score.bos=no 2>&1", IN_TEST);
    assert_printed("score.bos=no needs a pass of its own");
    RUN(2, EVALUATE "rescore out score.protocol=salmon 2>&1", IN_TEST);
    assert_printed("score.bos=no needs a pass of its own");
}

static void all_is_what_the_configuration_names(void **state)
{
    (void)state;
    RUN(0, EVALUATE "all archives.blimp=sentences evaluate.limit=1 --out out_all 2>&1", IN_TEST);
    RUN(0, "cd '%s' && test -f out_all/results_blimp.json && wc -l < out_all/samples_blimp.jsonl", test_directory());
    assert_printed("2");
    RUN(2, EVALUATE "--out out all 2>&1", IN_TEST);
    assert_printed("the configuration names no archive");
    RUN(2,
        "cd '%s' && SPIRITLM_BENCHMARKS_DIR=nowhere '%s/evaluate' --config '%s/configs/evaluation.yaml' all --out none "
        "2>&1",
        IN_TEST);
    assert_printed("nowhere/sLM21.dataset.zip: cannot open");
    RUN(1, "cd '%s' && test -e none", test_directory());
}

static void speech_needs_a_model_that_hears(void **state)
{
    (void)state;
    assert_ok(make_directories(test_path("recordings/part")));
    const float silence[8000] = {0};
    for (int side = 0; side < 2; side++)
        assert_ok(wav_write(test_path("recordings/part/sample_1_%d.wav", side), silence, 8000));
    RUN(2, EVALUATE "salmon recordings --out out_salmon 2>&1", IN_TEST);
    assert_printed("this model has no speech tokenizer");
    RUN(1, "cd '%s' && test -e out_salmon", test_directory());
}

static void damaged_archives_write_no_results(void **state)
{
    (void)state;
    write_text(test_path("broken.zip"), "PK\003\004 and no more");
    RUN(65, EVALUATE "blimp broken.zip --out out_broken 2>&1", IN_TEST);
    assert_printed("broken.zip");
    RUN(1, "cd '%s' && test -e out_broken", test_directory());
    RUN(2, EVALUATE "--out out blimp 2>&1", IN_TEST);
    assert_printed("blimp needs its archive");
    RUN(2, EVALUATE "--out out blimp salmon 2>&1", IN_TEST);
    assert_printed("./salmon");
    RUN(2, EVALUATE "--out out blimp nothing.zip 2>&1", IN_TEST);
    assert_printed("nothing.zip: cannot open");
    RUN(2, EVALUATE "--out out blimp sentences score.tie=coin 2>&1", IN_TEST);
    assert_printed("score.tie");
    RUN(2, EVALUATE "--out out blimp sentences score.normalize=mean 2>&1", IN_TEST);
    assert_printed("expected sum, token, char, byte, pmi or pmi-token");
}

static void commands_need_no_model(void **state)
{
    (void)state;
    RUN(0, EVALUATE "where all 2>&1", IN_TEST);
    assert_printed("salmon_benchmark");
    write_text(test_path("r.txt"), "a one two\n");
    write_text(test_path("h.txt"), "a one too\n");
    RUN(0, EVALUATE "--out out wer r.txt h.txt 2>&1", IN_TEST);
    assert_printed("0.5000");
    RUN(2, EVALUATE "--out out wer r.txt 2>&1", IN_TEST);
    write_text(test_path("h.txt"), "b one too\n");
    RUN(65, EVALUATE "wer r.txt h.txt --out out_wer 2>&1", IN_TEST);
    RUN(1, "cd '%s' && test -e out_wer/results_wer.json", test_directory());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_benchmark_is_run_and_rescored), cmocka_unit_test(all_is_what_the_configuration_names),
        cmocka_unit_test(speech_needs_a_model_that_hears), cmocka_unit_test(damaged_archives_write_no_results),
        cmocka_unit_test(commands_need_no_model),
    };
    return cmocka_run_group_tests(tests, make_blimp, NULL);
}
