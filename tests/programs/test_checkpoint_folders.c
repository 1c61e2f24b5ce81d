/* Checkpoint folders that are not what they should be. `inspect` and `generate` open them by the same rules: what one refuses
 * the other refuses with the same exit code, each in one line. Every change is tried twice: as it is, which MANIFEST tells, and
 * with a MANIFEST that agrees with it, as a tool of somebody else may have written it. And a context that the configuration
 * promises costs nothing: programs run in little memory whatever max_position_embeddings says. */
#include "io/atomic_file.h"
#include "support/damage.h"
#include "support/files.h"
#include "support/test_support.h"
#include "support/tiny_corpus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In the checkpoint's folder. `fate`: r must be refused, a must be accepted (both: once MANIFEST agrees), e either. */
static const struct {
    char fate;
    const char *change;
} changes[] = {
    {'a', "true"},
    /* config.json: foreign values */
    {'r', "sed -i 's/\"vocab_size\": 512/\"vocab_size\": 256/' config.json"},
    {'r', "sed -i 's/\"vocab_size\": 512/\"vocab_size\": 1024/' config.json"},
    {'r', "sed -i 's/\"hidden_size\": 16/\"hidden_size\": 32/' config.json"},
    {'r', "sed -i 's/\"hidden_size\": 16/\"hidden_size\": 1048576/' config.json"},
    {'r', "sed -i 's/\"intermediate_size\": 24/\"intermediate_size\": 4194304/' config.json"},
    {'r', "sed -i 's/\"num_hidden_layers\": 1/\"num_hidden_layers\": 2/' config.json"},
    {'r', "sed -i 's/\"num_hidden_layers\": 1/\"num_hidden_layers\": 4096/' config.json"},
    {'r', "sed -i 's/\"num_hidden_layers\": 1/\"num_hidden_layers\": 0/' config.json"},
    {'r', "sed -i 's/\"num_attention_heads\": 2/\"num_attention_heads\": 3/' config.json"},
    {'r', "sed -i 's/\"num_key_value_heads\": 2/\"num_key_value_heads\": 1/' config.json"},
    {'r', "sed -i 's/\"head_dim\": 8/\"head_dim\": 7/' config.json"},
    {'r', "sed -i 's/\"head_dim\": 8/\"head_dim\": 16/' config.json"},
    {'r', "sed -i 's/\"silu\"/\"gelu\"/' config.json"},
    {'r', "sed -i 's/\"rope_scaling\": null/\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.0}/' config.json"},
    {'r', "sed -i 's/\"attention_bias\": false/\"attention_bias\": true/' config.json"},
    {'r', "sed -i 's/\"mlp_bias\": false/\"mlp_bias\": true/' config.json"},
    {'r', "sed -i 's/\"rope_theta\": 100000.0/\"rope_theta\": 0.0/' config.json"},
    {'r', "sed -i 's/\"rope_theta\": 100000.0/\"rope_theta\": \"big\"/' config.json"},
    {'r', "sed -i 's/1e-05/0/' config.json"},
    {'r', "sed -i 's/1e-05/-1e-05/' config.json"},
    {'r', "sed -i 's/\"model_type\": \"llama\"/\"model_type\": \"mistral\"/' config.json"},
    {'e', "sed -i 's/\"tie_word_embeddings\": false/\"tie_word_embeddings\": true/' config.json"},
    {'e', "sed -i 's/\"torch_dtype\": \"float32\"/\"torch_dtype\": \"bfloat16\"/' config.json"},
    {'r', "sed -i 's/\"max_position_embeddings\": 48/\"max_position_embeddings\": 0/' config.json"},
    {'r', "sed -i 's/\"max_position_embeddings\": 48/\"max_position_embeddings\": -5/' config.json"},
    {'r', "sed -i 's/\"max_position_embeddings\": 48/\"max_position_embeddings\": 2147483648/' config.json"},
    {'r', "sed -i 's/\"max_position_embeddings\": 48/\"max_position_embeddings\": 1e30/' config.json"},
    {'a', "sed -i 's/\"max_position_embeddings\": 48/\"max_position_embeddings\": 2147483647/' config.json"},
    {'r', "sed -i '/vocab_size/d; s/\"use_cache\": true,/\"use_cache\": true/' config.json"},
    {'r', "truncate -s 100 config.json"},
    {'r', ": > config.json"},
    {'r', "rm config.json"},
    {'r', "printf '[1]' > config.json"},
    {'r', "head -c 100000 /dev/zero | tr '\\0' '[' > config.json"},
    /* the weights */
    {'r', "printf '\\000\\000\\300\\177' | dd of=model.safetensors bs=1 seek=75000 conv=notrunc status=none"},
    {'r', "printf '\\000\\000\\200\\377' | dd of=model.safetensors bs=1 seek=75100 conv=notrunc status=none"},
    {'r', "truncate -s -4 model.safetensors"},
    {'r', "truncate -s +4 model.safetensors"},
    {'r', "truncate -s 7 model.safetensors"},
    {'r', ": > model.safetensors"},
    {'r', "rm model.safetensors"},
    {'r', "LC_ALL=C sed -i 's/model.norm.weight/model.nxrm.weight/' model.safetensors"},
    {'r', "LC_ALL=C sed -i '0,/\"F32\"/s//\"I32\"/' model.safetensors"},
    {'r', "LC_ALL=C sed -i 's/\\[24,16\\]/[16,24]/' model.safetensors"},
    {'r', "LC_ALL=C sed -i 's/\\[512,16\\]/[256,32]/' model.safetensors"},
    {'a', "cp trainer/first_moment.safetensors model.safetensors"},
    {'r', "rm model.safetensors; mkfifo model.safetensors"},
    {'r', "rm model.safetensors; mkdir model.safetensors"},
    {'r', "rm model.safetensors; ln -s /dev/zero model.safetensors"},
    {'r', "rm model.safetensors; ln -s model.safetensors model.safetensors"},
    /* what is around them */
    {'r', "cp ../../other.model tokenizer.model"},
    {'r', "truncate -s -20 tokenizer.model"},
    {'r', "rm tokenizer.model"},
    {'r', "rm tokenizer.model; mkfifo tokenizer.model"},
    {'r', "rm spiritlm.json"},
    {'r', "printf '{}' > spiritlm.json"},
    {'r', "sed -i 's/\"hubert\": 20/\"hubert\": 21/' spiritlm.json"},
    {'r', "sed -i 's/\"hubert\": 20/\"hubert\": 2000000000/' spiritlm.json"},
    {'r', "sed -i 's/\"expressive\": true/\"expressive\": false/' spiritlm.json"},
    {'r', "sed -i 's/\"format\": 1/\"format\": 99/' spiritlm.json"},
    {'r', "sed -i 's/\"speech_tokenizer\": false/\"speech_tokenizer\": true/' spiritlm.json"},
    {'r', "sed -i 's/\"task_tags\": false/\"task_tags\": true/' spiritlm.json"},
    {'r', "sed -i 's/\"dummy_prefix\": \"span\"/\"dummy_prefix\": \"sometimes\"/' spiritlm.json"},
    {'r', "sed -i '/\"text\":/s/[0-9a-f]\\{8\\}/00000000/' spiritlm.json"},
    {'r', "sed -i '/\"vocabulary\":/s/[0-9a-f]\\{8\\}/00000000/' spiritlm.json"},
    {'e', "rm tokenizer.json"},
    {'e', "printf x >> tokenizer.json"},
    {'e', "rm generation_config.json"},
    {'e', "printf x > surplus"},
    /* the trainer's part and the folder's name */
    {'r', "sed -i 's/\"step\": 2/\"step\": 3/' trainer/state.json"},
    {'r', "printf '{' > trainer/state.json"},
    {'e', "rm -r trainer"},
    {'e', "rm trainer/first_moment.safetensors"},
    {'r', "printf 'spiritlm-manifest 2\\n' > MANIFEST; exit 9"},
    {'r', ": > MANIFEST; exit 9"},
    {'r', "rm MANIFEST; exit 9"},
    {'r', "rm MANIFEST; mkfifo MANIFEST; exit 9"},
    {'a', "mv ../step_00000002 ../moved; ln -s moved ../step_00000002; exit 9"},
    {'r', "mv ../step_00000002 ../moved; exit 9"},
    {'r', "mv ../step_00000002 ../moved; : > ../step_00000002; exit 9"},
};

static char folder[600];

static int in_world(char *text, size_t size, const char *command)
{
    return run_command(text, size,
                       "D='%s' B='%s' C='%s/changed/step_00000002' SPIRITLM_THREADS=1; "
                       "export D B C SPIRITLM_THREADS; %s",
                       folder, TEST_PROGRAM_DIRECTORY, folder, command);
}

static void must_run(const char *command)
{
    char text[8000];
    int code = in_world(text, sizeof text, command);
    if (code != 0)
        fail_msg("%s: exit %d: %s", command, code, text);
}

static int make_world(void **state)
{
    (void)state;
    struct tiny_corpus corpus;
    char text[8000];
    snprintf(folder, sizeof folder, "%s/world", test_directory());
    snprintf(text, sizeof text, "%s/corpus", folder);
    assert_ok(tiny_corpus_write(text, 20, 1, &corpus));
    copy_golden("text/text.model", test_path("world/other.model"));
    snprintf(text, sizeof text,
             "tokenizer:\n  text_model: %s/corpus/text.model\n  units: 20\n  pitch_codes: 8\n  style_codes: 4\n"
             "prepare:\n  ready.label: tiny\n"
             "data:\n  train: [%s/corpus/speech, %s/corpus/text]\n  validation: [%s/corpus/speech, %s/corpus/text]\n"
             "  lanes: 2\n  sequence_length: 48\n  speech_words_minimum: 1\n  speech_words_maximum: 3\n"
             "model:\n  hidden_size: 16\n  intermediate_size: 24\n  layers: 1\n  heads: 2\n"
             "train:\n  run: %s/run\n  steps: 2\n  validation_rows: 1\n  threads: 1\n",
             folder, folder, folder, folder, folder, folder);
    write_text_in(folder, "run.yaml", text);
    write_text_in(
        folder, "sign",
        "cd \"$1\" && { echo 'spiritlm-manifest 1'; find -L . -type f ! -name MANIFEST ! -name '.*' -printf '%P\\n' | "
        "LC_ALL=C sort "
        "| "
        "while read -r file; do echo \"$(sha256sum < \"$file\" | cut -c1-64) $(stat -L -c %s \"$file\") $file\"; "
        "done; } > .list && sha256sum < .list | cut -c1-64 >> .list && mv -f .list MANIFEST\n");
    must_run("$B/train --config $D/run.yaml --device cpu");
    return 0;
}

static int differences;

static void start_anew(void)
{
    must_run("rm -rf $D/changed && mkdir $D/changed && cp -r $D/run/checkpoints/step_00000002 $D/changed/");
}

/* One line of error at the end, or none. */
static bool is_one_line(const char *text, int code)
{
    const char *error = strstr(text, "error: ");
    if (code == 0)
        return !error;
    return error && !strstr(error + 1, "error: ") && strchr(error, '\n') && strchr(error, '\n')[1] == 0;
}

static const char inspect_it[] = "timeout -s KILL 60 $B/inspect $C",
                  generate_it[] = "timeout -s KILL 60 $B/generate --model $C --text a --output text --max-new-tokens 1 "
                                  "--seed 1 --device cpu";

/* Returns the common exit code; numbers that are finite but too large to compute with are the one thing that only
 * generate can find. */
static int both(const char *what)
{
    static char inspected[1 << 16], generated[1 << 16];
    int a = in_world(inspected, sizeof inspected, inspect_it), b = in_world(generated, sizeof generated, generate_it);
    if (a == 0 && b == STATUS_CORRUPT && strstr(generated, "logit"))
        return 0;
    if (a != b || !is_one_line(inspected, a) || !is_one_line(generated, b))
        print_error("%s\ninspect: exit %d: %s\ngenerate: exit %d: %s", what, a, inspected, b, generated), differences++;
    return a;
}

static void inspect_refuses_what_generate_refuses(void **state)
{
    (void)state;
    char text[8000], what[1000];
    int wrong = 0;
    differences = 0;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        start_anew();
        snprintf(text, sizeof text, "cd $C && (%s)", changes[i].change);
        int final = in_world(what, sizeof what, text);
        snprintf(what, sizeof what, "%s", changes[i].change);
        int code = both(what);
        bool signs = final != 9;
        if (signs) {
            must_run("sh $D/sign $C");
            snprintf(what, sizeof what, "%s, and MANIFEST agrees", changes[i].change);
            code = both(what);
        }
        if ((changes[i].fate == 'r' && code == 0) || (changes[i].fate == 'a' && code != 0))
            print_error("%s: exit %d\n", what, code), wrong++;
    }
    assert_int_equal(wrong + differences, 0);
}

/* Bytes of any one file changed at random, with a MANIFEST that agrees. */
static void random_damage_is_judged_alike(void **state)
{
    (void)state;
    static const char *const names[] = {"config.json",     "model.safetensors", "spiritlm.json",
                                        "tokenizer.model", "tokenizer.json",    "trainer/state.json"};
    struct rng rng = rng_make(test_seed(), RNG_TEST, 0, 0);
    char path[900], what[DAMAGE_TEXT + 100];
    differences = 0;
    int accepted = 0, count = test_is_long() ? 2000 : 25;
    for (int i = 0; i < count; i++) {
        char done[DAMAGE_TEXT];
        const char *name = names[rng_below(&rng, 6)];
        int64_t size = 0, damaged_size = 0;
        start_anew();
        snprintf(path, sizeof path, "%s/changed/step_00000002/%s", folder, name);
        void *bytes;
        assert_ok(file_read(path, 1 << 24, &bytes, &size));
        uint8_t *damaged = damage_bytes(&rng, bytes, size, &damaged_size, done);
        write_plainly(path, damaged, damaged_size);
        free(bytes);
        free(damaged);
        must_run("sh $D/sign $C");
        snprintf(what, sizeof what, "%s: %s", name, done);
        accepted += both(what) == 0;
    }
    assert_int_equal(differences, 0);
    print_message("%d of %d accepted by both\n", accepted, count);
}

/* In 400 MB of address space, where tables of a billion positions would need tens of gigabytes. */
static void a_promised_context_costs_nothing(void **state)
{
    (void)state;
    static const char *const promises[] = {"1000000000", "2147483647", "16777217", "131072"};
    static const char limited[] = "ulimit -v 400000; timeout -s KILL 60 ";
    static const char *const commands[] = {
        "$B/inspect $C",
        "$B/generate --model $C --text a --output text --max-new-tokens 20 --seed 1 --device cpu > $D/changed/text",
        "$B/evaluate --config $D/run.yaml learning --model $C --device cpu",
        "$B/train --config $D/run.yaml --device cpu train.run=$D/changed/new model.initialize_from=$C",
        "$B/train --config $D/run.yaml --device cpu train.run=$D/changed/new model.initialize_from=$C train.steps=3",
        "$B/train --config $D/run.yaml --dry-run --device cpu train.run=$D/changed/dry model.initialize_from=$C",
        "grep -q \"\\\"max_position_embeddings\\\": $P,\" $D/changed/new/checkpoints/step_00000003/config.json",
    };
    char text[1000];
    must_run(
        "$B/generate --model $D/run --text a --output text --max-new-tokens 20 --seed 1 --device cpu > $D/expected");
    for (size_t i = 0; i < sizeof promises / sizeof *promises; i++) {
        start_anew();
        snprintf(text, sizeof text, "sed -i 's/embeddings\": 48/embeddings\": %s/' $C/config.json && sh $D/sign $C",
                 promises[i]);
        must_run(text);
        for (size_t c = 0; c < sizeof commands / sizeof *commands; c++) {
#ifdef __SANITIZE_ADDRESS__
            snprintf(text, sizeof text, "P=%s; %s", promises[i], commands[c]);
            (void)limited;
#else
            snprintf(text, sizeof text, "P=%s; %s%s", promises[i], limited, commands[c]);
#endif
            must_run(text);
        }
        must_run("cmp $D/expected $D/changed/text");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inspect_refuses_what_generate_refuses),
        cmocka_unit_test(random_damage_is_judged_alike),
        cmocka_unit_test(a_promised_context_costs_nothing),
    };
    return cmocka_run_group_tests(tests, make_world, NULL);
}
