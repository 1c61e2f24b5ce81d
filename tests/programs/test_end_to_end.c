/* The whole pipeline in small, as a user runs it: ten recorded clips of Debian's pocketsphinx-testdata are prepared, a
 * model is trained for some steps, generates speech and text, and is evaluated. What it learned does not matter here;
 * that every stage delivers does. */
#include "support/files.h"
#include "support/test_support.h"
#include "support/tiny_corpus.h"

#include "io/audio/audio.h"
#include "io/json.h"
#include "io/text_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DATA "/usr/share/pocketsphinx/test/data/"
#define AUSTEN DATA "librivox/sense_and_sensibility_01_austen_64kb-"

static const struct clip {
    const char *audio, *text;
    bool held_out;
} clips[] = {
    {DATA "cards/001.wav", "ten of clubs", false},
    {DATA "cards/002.wav", "four queen of clubs", false},
    {DATA "cards/003.wav", "seven of clubs", true},
    {DATA "cards/004.wav", "five five", false},
    {DATA "cards/005.wav", "eight of spades four of clubs seven of hearts", false},
    {AUSTEN "0870.wav",
     "and mister john dashwood had then leisure to consider how much there might be prudently in his power to do for "
     "them",
     false},
    {AUSTEN "0880.wav", "he was not an ill disposed young man", false},
    {AUSTEN "0890.wav", "unless to be rather cold hearted and rather selfish is to be ill disposed", true},
    {AUSTEN "0920.wav",
     "had he married a more amiable woman he might have been made still more respectable than he was", false},
    {AUSTEN "0930.wav", "he might even have been made amiable himself", false},
};
enum { CLIPS = sizeof clips / sizeof *clips };

static char folder[600];

static void write_manifests(void)
{
    static char speech[2][8192], text[2][8192];
    for (int i = 0; i < CLIPS; i++) {
        const struct clip *clip = &clips[i];
        char *line = speech[clip->held_out] + strlen(speech[clip->held_out]);
        sprintf(line, "{\"id\": \"clip-%d\", \"audio\": \"%s\", \"text\": \"%s\", \"speaker\": \"%s\"}\n", i,
                clip->audio, clip->text, i < 5 ? "cards" : "austen");
        line = text[clip->held_out] + strlen(text[clip->held_out]);
        sprintf(line, "{\"id\": \"text-%d\", \"text\": \"%s\"}\n", i, clip->text);
    }
    write_text_in(folder, "speech.jsonl", speech[0]);
    write_text_in(folder, "speech_held_out.jsonl", speech[1]);
    write_text_in(folder, "text.jsonl", text[0]);
    write_text_in(folder, "text_held_out.jsonl", text[1]);
}

static void write_configuration(void)
{
    char text[8000];
    snprintf(
        text, sizeof text,
        "tokenizer:\n  folder: %s/tokenizer\n  text_model: %s/tiny/text.model\n  units: 24\n  pitch_codes: 8\n"
        "  iterations: 5\n"
        "prepare:\n  manifests: [%s/speech.jsonl, %s/speech_held_out.jsonl, %s/text.jsonl, %s/text_held_out.jsonl]\n"
        "  output: %s/datasets\n  fit: [speech]\n"
        "data:\n  train: [%s/datasets/speech, %s/datasets/text]\n"
        "  validation: [%s/datasets/speech_held_out, %s/datasets/text_held_out]\n"
        "  lanes: 4\n  sequence_length: 256\n  text_words_minimum: 2\n  text_words_maximum: 4\n"
        "  speech_words_minimum: 2\n  speech_words_maximum: 4\n"
        "model:\n  hidden_size: 32\n  intermediate_size: 64\n  layers: 2\n  heads: 2\n"
        "train:\n  run: %s/run\n  steps: 6\n  validation_rows: 1\n  validate_every: 3\n  save_every: 3\n"
        "  learning_rate: 1e-3\n  warmup_steps: 2\n",
        folder, folder, folder, folder, folder, folder, folder, folder, folder, folder, folder, folder);
    write_text_in(folder, "small.yaml", text);
}

static char output[1 << 16];

/* Runs a command in which $B is the programs' folder and $D the test's; fails on another exit code. */
static const char *expect(int code, const char *command)
{
    int found = run_command(output, sizeof output, "D='%s' B='%s'; %s", folder, TEST_PROGRAM_DIRECTORY, command);
    if (found != code)
        fail_msg("%s: exit %d, expected %d: %s", command, found, code, output);
    return output;
}

static void expect_sound(const char *name)
{
    char path[800];
    float *samples;
    int64_t count;
    double energy = 0;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_ok(audio_read(path, -1, &samples, &count));
    assert_true(count >= 640);
    for (int64_t i = 0; i < count; i++)
        energy += (double)samples[i] * (double)samples[i];
    assert_true(energy > 1e-6 * (double)count); /* not silence */
    free(samples);
}

static void prepare(void)
{
    write_manifests();
    write_configuration();
    expect(0, "$B/prepare --device cpu --config $D/small.yaml");
    expect(0, "cd $D && find datasets tokenizer -type f ! -name '*.part*' | sort | xargs sha256sum > first.txt");
    expect(0, "$B/prepare --device cpu --config $D/small.yaml"); /* verifies and changes nothing */
    expect(0, "cd $D && sha256sum --quiet -c first.txt");
    /* Clips of a few words cannot switch in the middle of spans of thirty: this is worth a warning, with the keys. */
    expect(0, "spans() { $B/prepare --device cpu --config $D/small.yaml --stage index data.text_words_minimum=$1 "
              "data.text_words_maximum=$1 data.speech_words_minimum=$1 data.speech_words_maximum=$1 2>&1; }; "
              "spans 30 | grep -q 'speech: only 0 % of the words are .*data.text_words_minimum' && "
              "! spans 1 | grep -q 'of the words are'");
}

static void tokenize(void)
{
    const char *line =
        strstr(expect(0, "$B/tokenize --device cpu --config $D/small.yaml " DATA "cards/001.wav 2>/dev/null"), "{");
    json_t *root;
    assert_non_null(line);
    assert_ok(jdoc_parse("tokenize", line, (int64_t)strcspn(line, "\n"), &root));
    json_decref(root);
    assert_non_null(strstr(line, "[Hu"));
    expect(0, "$B/tokenize --device cpu --config $D/small.yaml " DATA
              "cards/001.wav | $B/tokenize --config $D/small.yaml --decode --output $D/again.wav -");
    expect_sound("again.wav");
}

static void train(void)
{
    assert_non_null(strstr(expect(0, "$B/train --device cpu --config $D/small.yaml --show-samples 6"), "[Speech]"));
    assert_non_null(
        strstr(expect(0, "$B/train --device cpu --config $D/small.yaml --dry-run --gpus 2"), "activations"));
    expect(0, "$B/train --device cpu --config $D/small.yaml train.steps=3");
    const char *said = expect(0, "$B/train --device cpu --config $D/small.yaml 2>&1"); /* continues from step 3 */
    assert_non_null(strstr(said, "/run/report.html"));
    assert_non_null(strstr(said, "next: bin/generate --model "));
    expect(0, "test $(grep -c '\"loss\"' $D/run/metrics.jsonl) -eq 6");
    expect(0, "grep -q polyline $D/run/report.html");
    /* What was run, so that it can be run again: the version that --version gives, and both commands. */
    expect(0, "version=$($B/train --version | sed 's/train \\(.*\\) (spiritlm.c, \\(commit .*\\))/\\1 (\\2)/') && "
              "test $(grep -c -F \"$version\" $D/run/report.html) -eq 2 && "
              "grep -q -F \"$B/train --device cpu --config $D/small.yaml train.steps=3<\" $D/run/report.html && "
              "grep -q 'resumed at step 3<' $D/run/report.html");
}

/* The loss of the first step in the metrics of run `name`. */
static double first_loss(const char *name)
{
    char path[800], line[2000];
    snprintf(path, sizeof path, "%s/%s/metrics.jsonl", folder, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    const char *found = fgets(line, sizeof line, file) ? strstr(line, "\"loss\"") : NULL;
    fclose(file);
    assert_non_null(found);
    return strtod(strchr(found, ':') + 1, NULL);
}

/* The head a few rows at a time: the plan needs less memory, and the loss is the same but for its rounding. */
static void train_with_small_heads(void)
{
    const char *plan = "$B/train --device cpu --config $D/small.yaml --dry-run train.run=$D/heads train.head_rows=%d | "
                       "grep activations";
    char few[1000], many[1000], command[400];
    snprintf(command, sizeof command, plan, 16);
    snprintf(few, sizeof few, "%.900s", expect(0, command));
    snprintf(command, sizeof command, plan, 512);
    snprintf(many, sizeof many, "%.900s", expect(0, command));
    const double small = strtod(few + strcspn(few, "0123456789"), NULL);
    const double large = strtod(many + strcspn(many, "0123456789"), NULL);
    if (!(small > 0 && small < large))
        fail_msg("activations of heads of 16 and 512 rows: %s and %s", few, many);
    expect(0, "$B/train --device cpu --config $D/small.yaml train.run=$D/heads train.head_rows=16 train.steps=1");
    const double expected = first_loss("run"), found = first_loss("heads");
    if (!(fabs(found - expected) <= 1e-5 * expected))
        fail_msg("loss of the first step: %.9g with heads of 16 rows, %.9g without", found, expected);
}

/* Three good steps, then three at a learning rate that ruins the model: the end names the checkpoint of the good ones. */
static void the_best_checkpoint_is_what_comes_next(void)
{
    expect(
        0,
        "best() { $B/train --device cpu --config $D/small.yaml train.run=$D/best train.keep_best=true \"$@\" 2>&1; }; "
        "best train.steps=3 | grep -q \"next: bin/generate --model $D/best --text\" && "
        "best train.learning_rate=9 > $D/best.txt && "
        "grep -q \"best validation loss: .*/best/checkpoints/step_00000003\" $D/best.txt && "
        "grep -q \"next: bin/generate --model $D/best/checkpoints/step_00000003 --text\" $D/best.txt");
}

/* A prompt in pieces of 5 tokens leaves the same greedy tokens. */
static void generate_by_small_prompts(void)
{
    expect(0, "generate() { $B/generate --device cpu --model $D/run --text 'ten of hearts and the nine of clubs' "
              "--output any "
              "--temperature 0 --max-new-tokens 40 --out $D/$1 $2 $3; }; generate whole && "
              "generate pieces --prefill-tokens 5 && cmp $D/whole/samples.json $D/pieces/samples.json");
}

static void generate(void)
{
    expect(0, "$B/generate --device cpu --model $D/run --text 'ten of' --output speech --max-new-tokens 60 --out "
              "$D/speech_out");
    expect_sound("speech_out/sample_0_0.wav");
    expect(0, "$B/generate --device cpu --model $D/run --speech " DATA
              "cards/003.wav --output text --max-new-tokens 30 --out $D/text_out");
    expect(0, "$B/generate --device cpu --model $D/run --text ten --speech " DATA
              "cards/003.wav --output any --samples 2 --max-new-tokens 50 --out $D/any_out");
    json_t *root;
    char path[800];
    snprintf(path, sizeof path, "%s/any_out/samples.json", folder);
    assert_ok(jdoc_read(path, &root));
    const json_t *checkpoint = json_object_get(root, "checkpoint"),
                 *only = json_array_get(json_object_get(root, "results"), 0);
    assert_int_equal(json_integer_value(json_object_get(checkpoint, "step")), 6);
    assert_int_equal(json_string_length(json_object_get(checkpoint, "fingerprint")), 64);
    assert_string_equal(json_string_value(json_object_get(only, "id")), "prompt");
    assert_int_equal(json_array_size(json_object_get(only, "prompt")), 2);
    assert_int_equal(json_array_size(json_object_get(only, "samples")), 2);
    json_decref(root);
    /* A folder that cannot be made is noticed before the decoding. */
    expect(0,
           "touch $D/file; $B/generate --device cpu --model $D/run --text a --output text --out $D/file > $D/log 2>&1; "
           "test $? -eq 2 && ! grep -q generating $D/log");
}

/* Prompts of a file: those that cannot be used have their reason, the others what they have alone, whatever the batch. */
static void generate_many(void)
{
    write_text_in(folder, "prompts.jsonl",
                  "{\"id\": \"a\", \"text\": \"ten of\", \"output\": \"speech\"}\n"
                  "{\"id\": \"lost\", \"speech\": \"lost.wav\"}\n"
                  "{\"id\": \"b\", \"text\": \"of clubs\", \"samples\": 3, \"seed\": 5}\n"
                  "{\"id\": \"c\", \"pieces\": [{\"text\": \"the\"}, {\"speech\": \"[Hu1][Hu2]\"}]}\n"
                  "{\"id\": \"bad\", \"units\": \"[Hu123456]\"}\n");
    expect(0, "many() { $B/generate --device cpu --model $D/run --max-new-tokens 30 --json \"$@\" 2>$D/log; }; "
              "many --prompts $D/prompts.jsonl --out $D/many_out >$D/8.json; test $? -eq 65 && "
              "grep -q '2 of 5 prompts failed' $D/log && grep -q 'jsonl:2: .*lost.wav' $D/log && "
              "test $(wc -l <$D/8.json) -eq 5 && "
              "test \"$(grep -o '\"id\": *\"[a-z]*\"' $D/8.json | tr -d ' \\n')\" = "
              "'\"id\":\"a\"\"id\":\"lost\"\"id\":\"b\"\"id\":\"c\"\"id\":\"bad\"'");
    expect_sound("many_out/prompt_1_sample_0_0.wav");
    expect(0, "for n in 1 2 3; do $B/generate --device cpu --model $D/run --max-new-tokens 30 --json --batch $n "
              "--out $D/out_$n --prompts - <$D/prompts.jsonl >$D/$n.json 2>$D/log; test $? -eq 65 || exit 9; "
              "sed 's/\"error\": \"[^,]*, //' $D/$n.json >$D/without; "
              "sed 's/\"error\": \"[^,]*, //' $D/8.json | cmp - $D/without || exit 8; done");
    /* A whole prompt with its tags spelled out gives the same, on the command line or as a line of a file. */
    expect(0, "string() { $B/generate --device cpu --model $D/run --max-new-tokens 20 --json \"$@\" | "
              "sed 's/.*\"prompt\":/\"prompt\":/'; }; string --prompt '[Text]ten of[Speech][Hu3][Pi1]' --seed 9 "
              ">$D/string && "
              "echo '{\"string\": \"[Text]ten of[Speech][Hu3][Pi1]\", \"seed\": 9}' | string --prompts - | cmp - "
              "$D/string && "
              "grep -q '\"kind\": \"string\"' $D/string && grep -q '\"prompt_tokens\": [1-9]' $D/string");
    /* Text from standard input is a piece as it stands. */
    expect(0, "said() { $B/generate --device cpu --model $D/run --max-new-tokens 20 --min-new-tokens 20 --json "
              "--text \"$1\" --units '[Hu1]'; }; said 'ten of' >$D/said; printf 'ten of\\n' | said - | "
              "sed 's/ten of\\\\n/ten of/' | cmp - $D/said && grep -q '\"tokens\": 20' $D/said");
    expect(2, "$B/generate --device cpu --model $D/run --text - </dev/null");
    expect(65, "printf 'caf\\351' | $B/generate --device cpu --model $D/run --text -");
    expect(2, "$B/generate --device cpu --model $D/run --prompts $D/prompts.jsonl --text a");
    expect(2, "$B/generate --device cpu --model $D/run --text a --min-new-tokens 9 --max-new-tokens 8");
    expect(65,
           "sed -n '2p;5p' $D/prompts.jsonl >$D/bad.jsonl; "
           "$B/generate --device cpu --model $D/run --json --prompts $D/bad.jsonl --out $D/none >$D/empty; code=$?; "
           "test ! -s $D/empty && test ! -e $D/none && exit $code");
}

/* The samples with which scripts/demo ends: all have the length, the text and the sound that was asked for, and the summary
 * shows them; from a generate that ends after one token they are refused. */
static void the_demos_samples_say_something(void)
{
    char path[800], *summary = NULL;
    int64_t size = 0;
    int texts = 0, sounds = 0, samples = 0;
    expect(0,
           "'" TEST_SOURCE_DIRECTORY "/scripts/demo-samples' $B $D/run " DATA "cards/003.wav 'seven of clubs' $D/show");
    snprintf(path, sizeof path, "%s/show/summary.txt", folder);
    assert_ok(text_file_read(path, 1 << 20, &summary, &size));
    assert_non_null(strstr(summary, "cards/003.wav says: seven of clubs\n"));
    assert_non_null(strstr(summary, "prompt: (text) And the king said unto the people,\n"));
    for (char *line = strtok(summary, "\n"); line; line = strtok(NULL, "\n")) {
        samples += strncmp(line, "--- sample ", 11) == 0;
        texts += strncmp(line, "text: ", 6) == 0 && strlen(line) > 12;
        if (strncmp(line, "speech: ", 8) != 0 || line[8] == '[') /* pitch or style alone have no sound */
            continue;
        char *comma = strrchr(line, ',');
        float *sound;
        int64_t count;
        assert_non_null(comma);
        *comma = 0;
        assert_ok(audio_read(line + 8, -1, &sound, &count));
        assert_true(fabs(strtod(comma + 1, NULL) - (double)count / AUDIO_RATE) < 0.006);
        sounds += count >= AUDIO_RATE;
        free(sound);
    }
    free(summary);
    assert_int_equal(samples, 12);
    assert_true(texts >= 3 && sounds >= 6);
    expect(0, "mkdir $D/hasty && ln -s $B/inspect $B/generate $D/hasty && mv $D/hasty/generate $D/hasty/patient");
    write_text_in(folder, "hasty/generate",
                  "#!/bin/sh\n"
                  "sed -i 's/\"min_new_tokens\": 100/\"min_new_tokens\": 1, \"max_new_tokens\": 1/' \"$6\"\n"
                  "exec \"${0%/*}/patient\" \"$@\"\n");
    expect(0, "chmod +x $D/hasty/generate");
    const char *error = expect(1, "'" TEST_SOURCE_DIRECTORY "/scripts/demo-samples' $D/hasty $D/run " DATA
                                  "cards/003.wav 'seven of clubs' $D/short");
    assert_non_null(strstr(error, "s of sound, expected at least 1"));
}

static void evaluate(void)
{
    assert_non_null(strstr(expect(0, "$B/evaluate --device cpu --config $D/small.yaml learning"), "speech units"));
    assert_non_null(strstr(expect(0, "$B/evaluate --device cpu --config $D/small.yaml generation"), "held out"));
    assert_non_null(strstr(
        expect(0, "$B/evaluate --device cpu --config $D/small.yaml pairs $D/run/evaluation/pairs_shuffled.jsonl"),
        "mean per token"));
    expect(0, "ls $D/run/evaluation/results_learning.json $D/run/evaluation/samples_pairs_pairs_shuffled.jsonl");
    /* The results name the model's folder, the protocol and the pairs by hash. */
    expect(0, "cd $D/run/evaluation && f=results_pairs_pairs_shuffled.json && grep -q '\"protocol\"' $f && "
              "grep -q checkpoints/step_00000006 $f && "
              "grep -q $(sha256sum pairs_shuffled.jsonl | cut -d ' ' -f 1) $f");
    /* Pitch and style are the model's, not the configuration's. */
    expect(
        0,
        "$B/evaluate --device cpu --config $D/small.yaml learning data.expressive=false --out $D/again && grep -q Pi "
        "$D/again/pairs_shuffled.jsonl && cmp $D/run/evaluation/pairs_shuffled.jsonl $D/again/pairs_shuffled.jsonl");
    /* All in one command, for which the model is loaded once: the same results. */
    const char *said = expect(0, "$B/evaluate --device cpu --config $D/small.yaml learning generation pairs --out "
                                 "$D/together 2>&1");
    assert_non_null(strstr(said, "pairs_pairs_shuffled"));
    expect(0,
           "cd $D/together && test $(ls | wc -l) -eq 5 && for f in *; do sed s,$D/together/,$D/run/evaluation/, $f | "
           "cmp - $D/run/evaluation/$f || exit 1; done");
    /* One that fails takes nothing from the others, and is known before the model is loaded. */
    expect(2,
           "$B/evaluate --device cpu --config $D/small.yaml pairs $D/none.jsonl $D/run/evaluation/pairs_shuffled.jsonl "
           "--out $D/others >$D/said 2>&1; code=$?; test -s $D/others/results_pairs_pairs_shuffled.json && "
           "grep -q '^error: pairs_none: .*none.jsonl' $D/said && grep -q 'error: 1 of 2 tasks failed' $D/said && "
           "exit $code");
    /* Another file of pairs leaves the first one's results alone. */
    expect(
        0,
        "cd $D/run/evaluation && sha256sum results_*.json > $D/results.txt && cp pairs_shuffled.jsonl $D/other.jsonl");
    expect(0, "$B/evaluate --device cpu --config $D/small.yaml pairs $D/other.jsonl && "
              "cd $D/run/evaluation && sha256sum --quiet -c $D/results.txt && ls results_pairs_other.json");
}

static void inspect(void)
{
    expect(0, "for f in $D/datasets/speech $D/datasets/speech/shard_00000.h5 $D/tokenizer $D/speech.jsonl "
              "$D/run/checkpoints/step_00000006 $D/run/checkpoints/step_00000006/model.safetensors; do "
              "$B/inspect $f > /dev/null || exit 1; done");
}

static void the_whole_way(void **state)
{
    (void)state;
    prepare();
    tokenize();
    train();
    train_with_small_heads();
    the_best_checkpoint_is_what_comes_next();
    generate();
    generate_many();
    generate_by_small_prompts();
    the_demos_samples_say_something();
    evaluate();
    inspect();
}

/* Its configuration is a pipe into which nobody writes, so that it waits; once it catches SIGTERM (15: the fourth digit), it is
 * sent one. */
static void an_interrupted_prepare_says_how_to_go_on(void **state)
{
    (void)state;
    expect(
        0,
        "mkfifo $D/slow.yaml; exec 3<>$D/slow.yaml; $B/prepare --device cpu --config $D/slow.yaml 2> $D/said & p=$!; "
        "until grep -q prepare /proc/$p/comm && grep -q 'SigCgt:.*[4-7c-f]...$' /proc/$p/status; do sleep 0.01; done; "
        "kill -TERM $p; wait $p; test $? = 143 && grep -q 'run prepare again' $D/said");
}

/* A folder whose name would clear the screen: what import and prepare print of it is escaped. */
static void names_do_not_command_the_terminal(void **state)
{
    (void)state;
    expect(0, "n=$D/$(printf 'x\\033[2Jy'); mkdir \"$n\"; echo Hello there. > \"$n/a.txt\"; "
              "$B/import text \"$n/a.txt\" --output \"$n/a.jsonl\" > $D/printed 2>&1 && "
              "$B/prepare --device cpu --config $D/small.yaml \"prepare.manifests=$n/a.jsonl\" "
              "\"prepare.output=$n/out\" prepare.fit= "
              "> $D/reported 2>&1 && grep -qi 'x1b' $D/printed && grep -qi 'x1b' $D/reported && "
              "! grep -q \"$(printf '\\033')\" $D/printed $D/reported");
}

/* Units from another tokenizer are refused by component, with both values and both places. */
static void other_tokenizers_units_are_refused(void **state)
{
    (void)state;
    expect(0, "sed \"s|$D/tokenizer|$D/tokenizer2|; s|seed: 1|seed: 2|; s|$D/datasets|$D/datasets2|\" $D/small.yaml "
              "> $D/other.yaml");
    expect(0, "$B/prepare --device cpu --config $D/other.yaml --stage fit tokenizer.units=23");
    const char *error =
        expect(2, "$B/train --device cpu --config $D/other.yaml data.train=$D/datasets/speech,$D/datasets/text "
                  "train.run=$D/none");
    assert_non_null(strstr(error, "hubert"));
    assert_non_null(strstr(error, "datasets/speech"));
    assert_non_null(strstr(error, "tokenizer2"));
    expect(1, "test -e $D/none");
}

static int open_world(void **state)
{
    (void)state;
    struct tiny_corpus corpus;
    char path[700];
    snprintf(folder, sizeof folder, "%s/walk", test_directory());
    snprintf(path, sizeof path, "%s/tiny", folder);
    return tiny_corpus_write(path, 1, 1, &corpus) == STATUS_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_way),
        cmocka_unit_test(other_tokenizers_units_are_refused),
        cmocka_unit_test(an_interrupted_prepare_says_how_to_go_on),
        cmocka_unit_test(names_do_not_command_the_terminal),
    };
    return cmocka_run_group_tests(tests, open_world, NULL);
}
