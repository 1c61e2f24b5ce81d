/* What a user can get wrong with the tasks that generate, one row per case: `evaluate` must answer with one clear line and its exit code,
 * and write no results. Each command runs in a fresh folder with good archives; $E is `evaluate` with a model that hears and
 * --out out, $T the tree's root, $M the folder of the models. */
#include "support/archive_builder.h"
#include "support/files.h"
#include "support/test_support.h"

#include "eval/journal/journal.h"
#include "io/atomic_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The journal of a run that answered everything and wrote no results: it is removed at the end, but a second name keeps it. */
#define LEAVE_JOURNAL                                                                                                  \
    "mkdir out && : > kept && ln kept out/journal_asr.log && $E asr libri >/dev/null 2>&1 && rm out/* && "             \
    "mv kept out/journal_asr.log && "
#define YAML(text)                                                                                                     \
    "printf \"extends: $T/configs/prompts/asr.yaml\\nprompt:\\n  %b\\n\" '" text                                       \
    "' > p.yaml && $E asr libri prompts.asr=p.yaml"
#define ONE "libri/test-clean/9/1/9-1-0000.wav"
#define LINES "libri/test-clean/9/1/9-1.trans.txt"
#define JUDGE(row)                                                                                                     \
    "echo '" row "' >> predictions.jsonl && $E judge predictions.jsonl sentiments/manifest/emov/emov.dev.jsonl"
#define STSP "$E stsp sentiments evaluate.stsp_directions='t>t' judges.text=judges/text "

static const struct bad_case {
    const char *command;
    int code;
    const char *text; /* must be in the error line */
} cases[] = {
    /* ---- archives ---- */
    {"$E asr nowhere", 2, "nowhere"},
    {"$E asr", 2, "asr needs its archive"},
    {"mkdir empty && $E asr empty", 65, "empty: there is no recording with an answer"},
    {"head -c 3000 libri.zip > cut.zip && $E asr cut.zip", 65, "cut.zip"},
    {"head -c 20000 libri.tar > cut.tar && $E asr cut.tar", 65, "cut.tar"},
    {"head -c 3000 libri.tar.gz > cut.tar.gz && $E asr cut.tar.gz", 65, "cut.tar.gz"},
    {": > zero.zip && $E asr zero.zip", 65, "zero.zip"},
    {"printf 'no archive' > a.zip && $E asr a.zip", 65, "a.zip"},
    {"$E asr up.zip", 65, "up.zip"},
    {"$E asr up.tar", 65, "up.tar"},
    {"$E asr absolute.tar", 65, "absolute.tar"},
    {"$E asr crc.zip", 65, "crc.zip: "},
    {"$E asr twice.zip", 65, "twice.zip"},
    {"$E asr control.zip", 65, "control.zip"},
    {"$E asr bomb.zip", 65, "expected at most 67108864 bytes, found 73400320"},
    /* ---- transcripts ---- */
    {"rm " ONE " && $E asr libri", 65, "9-1.trans.txt:1: the recording of 9-1-0000 is missing"},
    {"sed -i 2d " LINES " && $E asr libri", 65, "9-1-0001.wav has no transcript"},
    {"rm " LINES " && $E asr libri", 65, "9-1-0000.wav has no transcript"},
    {"cat " LINES " " LINES " > x && mv x " LINES " && $E asr libri", 65, "9-1-0000 is there twice"},
    {"printf '9-1-0000 A\\377\\n' > " LINES " && $E asr libri", 65, "9-1.trans.txt:1: the line is not UTF-8"},
    {"printf '9-1-0000 A\\000\\n' > " LINES " && $E asr libri", 65, "9-1.trans.txt: expected text, found a NUL"},
    /* ---- recordings ---- */
    {": > " ONE " && $E asr libri", 65, "9-1-0000.wav"},
    {"head -c 44 " ONE " > x && mv x " ONE " && $E asr libri", 65, "9-1-0000.wav"},
    {"head -c 20 " ONE " > x && mv x " ONE " && $E asr libri", 65, "9-1-0000.wav"},
    {"cp short.wav " ONE " && $E asr libri", 65, "9-1-0000.wav"},
    {"cp nan.wav " ONE " && $E asr libri", 65, "9-1-0000.wav"},
    {"cp norate.wav " ONE " && $E asr libri", 65, "9-1-0000.wav"},
    {"echo hello > " ONE " && $E asr libri", 65, "9-1-0000.wav"},
    {"cp short.wav libri/dev-clean/1/1/1-1-0000.wav && $E asr libri", 65, "1-1-0000.wav"},
    /* ---- parts, examples, numbers ---- */
    {"$E asr libri evaluate.parts=test-clean,test-other", 2, "evaluate.parts: libri has no part \"test-other\""},
    {"mv libri/test-clean libri/clean && $E asr libri", 65, "libri: there is no part to be tested"},
    {"$E asr libri evaluate.shots=9", 65, "expected 9 examples, found 3"},
    {"$E asr libri evaluate.shots=-1", 2, "evaluate.shots"},
    {"$E asr libri evaluate.shots=three", 2, "evaluate.shots: expected numbers from 0 to 1000, found \"three\""},
    {"$E asr libri evaluate.shots=1001", 2, "evaluate.shots"},
    {"$E asr libri evaluate.shots=1,x", 2, "evaluate.shots"},
    {"$E asr libri evaluate.shots=1.5", 2, "evaluate.shots"},
    {"$E asr libri evaluate.seeds=x", 2, "evaluate.seeds"},
    {"$E asr libri evaluate.seeds=-1", 2, "evaluate.seeds"},
    {"$E asr libri evaluate.seeds=99999999999999999999", 2, "evaluate.seeds"},
    {"$E asr libri evaluate.seeds=0,1,0", 2, "evaluate.seeds: 0 is there twice"},
    {"$E asr libri evaluate.shots=3,3", 2, "evaluate.shots: 3 is there twice"},
    {"$E asr libri evaluate.ranks=0", 2, "evaluate.ranks"},
    {"$E asr libri evaluate.ranks=65", 2, "evaluate.ranks"},
    {"$E asr libri evaluate.batch=-1", 2, "evaluate.batch"},
    {"$E asr libri evaluate.limit=-1", 2, "evaluate.limit"},
    {"$E asr libri evaluate.incomplete=maybe", 2, "evaluate.incomplete"},
    {"$E asr libri evaluate.shots_from=nowhere", 2, "nowhere"},
    {"echo x > f && $E asr libri evaluate.shots_from=f", 65, "f: "},
    {"$E asr libri evaluate.shots_from=sentiments", 65, "sentiments"},
    {"$E asr libri evaluate.shot_ids=nowhere", 2, "nowhere"},
    {"echo 1-1-0009 > ids && $E asr libri evaluate.shot_ids=ids", 65, "ids:1: 1-1-0009 is not in the archive"},
    {"printf '1-1-0000\\n9-1-0000\\n' > ids && $E asr libri evaluate.shot_ids=ids", 2, "ids:2: 9-1-0000 is tested"},
    {"echo 1-1-0000 > ids && $E asr libri evaluate.shot_ids=ids", 65, "ids: expected 3 ids of examples, found 1"},
    {"printf '1-1-0000\\n1-1-0000\\n' > ids && $E asr libri evaluate.shot_ids=ids", 65,
     "ids:2: 1-1-0000 is there twice"},
    {"printf '\\377\\n' > ids && $E asr libri evaluate.shot_ids=ids", 65, "ids"},
    {"$E asr libri evaluate.text_form=upper", 2, "evaluate.text_form"},
    {"$E asr libri evaluate.text_form=whisper-english evaluate.spellings=nowhere", 2, "nowhere"},
    /* ---- templates ---- */
    {"$E asr libri prompts.asr=nowhere.yaml", 2, "nowhere.yaml"},
    {YAML("stops: x"), 2, "p.yaml:3"},
    {"printf 'prompt:\\n  shot: \"{prompt}{answer}\"\\n' > p.yaml && $E asr libri prompts.asr=p.yaml", 2,
     "prompt.item"},
    {YAML("item: \"{prompt}{answer}\""), 2, "p.yaml:3: prompt.item: expected {prompt} once and {answer} not at all"},
    {YAML("alone: \"{answer}\""), 2, "p.yaml:3: prompt.alone"},
    {YAML("item: \"{prompt}{\""), 2, "p.yaml:3: prompt.item: expected {prompt}, found \"{\""},
    {YAML("shot: \"{prompt}{prompt}{answer}\""), 2, "p.yaml:3: prompt.shot"},
    {YAML("shot: \"{prompt}\""), 2, "p.yaml:3: prompt.shot"},
    {YAML("item: \"[Speech]\""), 2, "p.yaml:3: prompt.item"},
    {YAML("limit: 0"), 2, "p.yaml:3"},
    {YAML("limit: 600"), 2, "more than the model's context of 512"},
    {YAML("tries: 0"), 2, "p.yaml:3"},
    {YAML("output: sound"), 2, "p.yaml:3"},
    {YAML("letters: upper"), 2, "p.yaml:3"},
    {YAML("temperature: -1"), 2, "p.yaml:3"},
    {YAML("temperature: nan"), 2, "p.yaml:3"},
    {YAML("top_p: 0"), 2, "p.yaml"},
    {YAML("top_p: 2"), 2, "p.yaml:3"},
    {YAML("limit: 5\\n  limit: 6"), 2, "p.yaml:4"},
    {"printf 'prompt: [1\\n' > p.yaml && $E asr libri prompts.asr=p.yaml", 2, "p.yaml"},
    {"printf 'extends: p.yaml\\n' > p.yaml && $E asr libri prompts.asr=p.yaml", 2, "p.yaml"},
    {"printf 'other: {x: 1}\\n' > p.yaml && $E asr libri prompts.asr=p.yaml", 2, "p.yaml:1"},
    /* ---- journals ---- */
    {LEAVE_JOURNAL "$E asr libri evaluate.shots=2", 2, "with inputs {"},
    {LEAVE_JOURNAL YAML("limit: 90"), 2, "and this one has {"},
    {LEAVE_JOURNAL "echo >> " LINES " && $E asr libri", 2, "with archive \""},
    {LEAVE_JOURNAL "MODEL=$M/other && $E asr libri", 2, "with fingerprints {"},
    {LEAVE_JOURNAL "sed -i '2s/ids/idx/' out/journal_asr.log && $E asr libri", 65,
     "out/journal_asr.log:2: the line is damaged"},
    {LEAVE_JOURNAL "sed -i '1s/asr/ask/' out/journal_asr.log && $E asr libri", 65,
     "out/journal_asr.log:1: the line is damaged"},
    {LEAVE_JOURNAL "tail -n 1 out/journal_asr.log > l && cat l >> out/journal_asr.log && $E asr libri", 65,
     "out/journal_asr.log:4: the item "},
    {"mkdir -p out/journal_asr.log && $E asr libri", 2, "out/journal_asr.log"},
    {"echo x > out && $E asr libri", 2, "out: expected a folder, found a file"},
    {"mkdir -p out/results_asr.json; $E asr libri; c=$?; rmdir out/results_asr.json; (exit $c)", 2,
     "expected a file, found a folder"},
    /* ---- intents ---- */
    {"rm fsc/data/test_data.csv && $E intent fsc", 65, "data/test_data.csv is missing"},
    {"sed -i 's/,location//' fsc/data/test_data.csv && $E intent fsc", 65, "test_data.csv"},
    {"sed -i 's/speakerId/speaker/' fsc/data/test_data.csv && $E intent fsc", 65, "speakerId"},
    {"sed -i '2s/,none$//' fsc/data/test_data.csv && $E intent fsc", 65, "test_data.csv:2"},
    {"(printf 'so%.0s' $(seq 3000); echo ' IT') > " LINES " && $E asr libri", 65,
     "9-1.trans.txt:1: expected an id and a text"},
    {"sed -i '2s/none/no,ne/' fsc/data/test_data.csv && $E intent fsc", 65, "test_data.csv:2"},
    {"sed -i '2s/c.wav/x.wav/' fsc/data/test_data.csv && $E intent fsc", 65,
     "test_data.csv:2: the recording w/x.wav is missing"},
    {"sed -i '2s/juice/\"juice/' fsc/data/test_data.csv && $E intent fsc", 65, "test_data.csv:2"},
    {"sed -i '2s/bring,juice/none,none/' fsc/data/test_data.csv && $E intent fsc", 65,
     "test_data.csv:2: the row asks for nothing"},
    {"sed -i 2d fsc/data/test_data.csv && $E intent fsc", 65, "there is no part to be tested"},
    {": > fsc/data/test_data.csv && $E intent fsc", 65, "test_data.csv"},
    {"printf '\\377' >> fsc/data/test_data.csv && $E intent fsc", 65, "test_data.csv"},
    {"(head -n 1 fsc/data/test_data.csv; printf '0,\"'; head -c 10000000 /dev/zero | tr '\\0' a; printf "
     "'\",p,t,bring,juice,none\\n') > x && "
     "mv x fsc/data/test_data.csv && $E intent fsc",
     65, "test_data.csv"},
    {"(head -c 3000000 /dev/zero | tr '\\0' ,; echo) > fsc/data/test_data.csv && $E intent fsc", 65, "test_data.csv:1"},
    {"mkdir -p fsc/x/data && cp fsc/data/test_data.csv fsc/x/data && $E intent fsc", 65,
     "test_data.csv is there twice"},
    /* ---- STSP ---- */
    {"$E stsp sentiments evaluate.shots=0", 2, "judges.speech names no folder"},
    {"$E stsp sentiments evaluate.stsp_directions='t>t'", 2, "judges.text names no folder"},
    {"$E stsp sentiments evaluate.stsp_directions='t>x' judges.text=judges/text", 2, "found \"t>x\""},
    {"$E stsp sentiments evaluate.stsp_directions='t>t' judges.text=nowhere", 2, "nowhere"},
    {"mkdir none && $E stsp sentiments evaluate.stsp_directions='t>t' judges.text=none", 2, "none"},
    {"$E stsp sentiments evaluate.stsp_directions='t>t' judges.text=judges/speech", 65, "judges/speech"},
    {"$E stsp sentiments evaluate.stsp_directions='t>t' judges.text=judges/joy", 65,
     "judges/joy: expected a judge of negative"},
    {STSP "evaluate.split=some", 2, "evaluate.split"},
    {STSP "evaluate.split=test", 65, "manifest/expresso/expresso_asr.test.jsonl is missing"},
    {STSP "evaluate.shots=x", 2, "evaluate.shots"},
    {STSP "evaluate.seeds=0,1,two", 2, "evaluate.seeds"},
    {"sed -i '2s/.$//' sentiments/manifest/expresso/expresso_asr.dev.jsonl && " STSP, 65, "expresso_asr.dev.jsonl:2"},
    {"sed -i '2s/neutral/joyful/' sentiments/manifest/expresso/expresso_asr.dev.jsonl && " STSP, 65,
     "expresso_asr.dev.jsonl:2: sentiment: expected one of negative"},
    {"sed -i '2s/\"id\": 2/\"id\": 1/' sentiments/manifest/expresso/expresso_asr.dev.jsonl && " STSP, 65,
     "expresso_asr.dev.jsonl:2: the id 1 is in line 1"},
    {"sed -i '2s/\"id\": 2/\"id\": 9223372036854775808/' sentiments/manifest/expresso/expresso_asr.dev.jsonl && " STSP,
     65, "expresso_asr.dev.jsonl:2"},
    {"sed -i '2s/asr/asx/' sentiments/manifest/expresso/expresso_asr.dev.jsonl && " STSP, 65,
     "expresso_asr.dev.jsonl:2: expected wav_path or asr"},
    {": > sentiments/manifest/expresso/expresso_asr.dev.jsonl && " STSP, 65, "expresso_asr.dev.jsonl: there is no row"},
    {"rm sentiments/manifest/few_shot/t2t.jsonl && " STSP "evaluate.shots=3", 65, "few_shot/t2t.jsonl is missing"},
    {STSP "evaluate.shots=6", 65, "few_shot/t2t.jsonl: expected 2 examples that are negative, found 1"},
    {"echo 't2t 5' > rows && " STSP "evaluate.shots=3 evaluate.shot_ids=rows", 65, "rows:1: expected a row"},
    {"rm sentiments/data/emov/a.wav && $E stsp sentiments evaluate.shots=0 evaluate.stsp_directions='s>t' "
     "judges.text=judges/text",
     65, "emov.dev.jsonl:1: the recording data/emov/a.wav is missing"},
    {": > sentiments/data/emov/a.wav && $E stsp sentiments evaluate.shots=0 evaluate.stsp_directions='s>t' "
     "judges.text=judges/text",
     65, "a.wav"},
    {"cp short.wav sentiments/data/emov/a.wav && $E stsp sentiments evaluate.shots=0 evaluate.stsp_directions='s>t' "
     "judges.text=judges/text",
     65, "a.wav"},
    /* ---- predictions of others ---- */
    {"sed -i 1d predictions.jsonl && $E judge predictions.jsonl sentiments/manifest/emov/emov.dev.jsonl", 65,
     "there is no prediction for the id -9223372036854775808"},
    {JUDGE("{\"id\": 7, \"pred\": \"sad\"}"), 65, "the id 7 is not in"},
    {JUDGE("{\"id\": \"b\", \"pred\": \"sad\"}"), 65, "the id b is there twice"},
    {JUDGE("{\"id\": 7, \"pred\": \"joy\"}"), 65, "predictions.jsonl:3: pred: expected one of"},
    {JUDGE("{\"id\": 7, \"pred\": NaN}"), 65, "predictions.jsonl:3"},
    {JUDGE("{\"id\": 18446744073709551615, \"pred\": \"sad\"}"), 65, "predictions.jsonl:3"},
    {JUDGE("{\"id\": 7.5, \"pred\": \"sad\"}"), 65, "predictions.jsonl:3: id"},
    {JUDGE("[]"), 65, "predictions.jsonl:3: expected an object"},
    {": > predictions.jsonl && $E judge predictions.jsonl sentiments/manifest/emov/emov.dev.jsonl", 65,
     "predictions.jsonl: there is no row"},
    {"$E judge nowhere sentiments/manifest/emov/emov.dev.jsonl", 2, "nowhere"},
    {"$E judge predictions.jsonl nowhere", 2, "nowhere"},
    {"$E judge predictions.jsonl", 2, "judge"},
    /* ---- scores, models ---- */
    {"mkdir -p s/data && printf '{\"sentence_good\": \"a\", \"sentence_bad\": \"b\"}\\n' > s/data/x.jsonl && "
     "$E blimp s >/dev/null 2>&1 && sed -i '2s/-[0-9][0-9.]*/NaN/' out/samples_blimp.jsonl && mv out ../old && $E "
     "rescore ../old; c=$?; "
     "rm -r ../old; (exit $c)",
     65, "samples_blimp.jsonl:2"},
    {"MODEL=" TEST_GOLDEN_DIRECTORY "/text_llama/model.gguf && $E asr libri", 2, "this model has no speech tokenizer"},
    {"MODEL=nowhere && $E asr libri", 2, "nowhere"},
};
enum { CASES = sizeof cases / sizeof *cases };

static char output[1 << 16];

/* ---- the folder ---- */

static void put(unsigned char **at, uint32_t value, int bytes)
{
    for (int b = 0; b < bytes; b++)
        *(*at)++ = (unsigned char)(value >> (8 * b));
}

/* Noise of one channel; `format` 1 is whole numbers, 3 floating point. */
static void write_sound(const char *path, int format, int bits, uint32_t rate, int64_t count, uint64_t seed)
{
    struct rng rng = rng_make(seed, RNG_TEST, 60, 0);
    uint32_t bytes = (uint32_t)bits / 8, size = (uint32_t)count * bytes;
    unsigned char *data = malloc(size + 44), *at = data;
    char folder[1024];
    assert_non_null(data);
    memcpy(at, "RIFF", 4);
    at += 4;
    put(&at, size + 36, 4);
    memcpy(at, "WAVEfmt ", 8);
    at += 8;
    put(&at, 16, 4);
    put(&at, (uint32_t)format, 2);
    put(&at, 1, 2);
    put(&at, rate, 4);
    put(&at, rate * bytes, 4);
    put(&at, bytes, 2);
    put(&at, (uint32_t)bits, 2);
    memcpy(at, "data", 4);
    at += 4;
    put(&at, size, 4);
    for (int64_t i = 0; i < count; i++)
        put(&at, format == 3 ? 0x7FC00000 : (uint32_t)rng_below(&rng, bits == 8 ? 200 : 20000), (int)bytes);
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    assert_ok(make_directories(folder));
    write_plainly(path, data, at - data);
    free(data);
}

static void write_file(const char *name, const char *text)
{
    char folder[1024];
    const char *path = test_path("good/%s", name);
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    assert_ok(make_directories(folder));
    write_text(path, text);
}

static void clip(const char *name, uint64_t seed)
{
    write_sound(test_path("good/%s", name), 1, 16, 16000, 8000, seed);
}

static void write_archives(void)
{
    for (int i = 1; i <= 3; i++) {
        char name[64], text[64];
        snprintf(name, sizeof name, "libri/dev-clean/%d/1/%d-1-0000.wav", i, i);
        clip(name, (uint64_t)i);
        snprintf(name, sizeof name, "libri/dev-clean/%d/1/%d-1.trans.txt", i, i);
        snprintf(text, sizeof text, "%d-1-0000 SO IT IS\n", i);
        write_file(name, text);
    }
    clip("libri/test-clean/9/1/9-1-0000.wav", 9);
    clip("libri/test-clean/9/1/9-1-0001.wav", 10);
    write_file(LINES, "9-1-0000 THE FIRST\n9-1-0001 THE SECOND\n");
#define HEAD ",path,speakerId,transcription,action,object,location\n"
    write_file("fsc/data/train_data.csv",
               HEAD "0,w/a.wav,p1,\"so, please\",bring,juice,none\n1,w/b.wav,p2,t,increase,volume,none\n");
    write_file("fsc/data/test_data.csv", HEAD "0,w/c.wav,p3,t,bring,juice,none\n");
    for (int i = 0; i < 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "fsc/w/%c.wav", 'a' + i);
        clip(name, 20 + (uint64_t)i);
    }
}

static void write_stsp(void)
{
    write_file("sentiments/manifest/emov/emov.dev.jsonl",
               "{\"id\": -9223372036854775808, \"emotion\": \"sad\", \"wav_path\": \"emov/a.wav\"}\n"
               "{\"id\": \"b\", \"emotion\": \"happy\", \"wav_path\": \"emov/b.wav\"}\n");
    write_file("sentiments/manifest/expresso/expresso_read.dev.jsonl",
               "{\"id\": 1, \"emotion\": \"sad\", \"wav_path\": \"expresso/read/a.wav\"}\n");
    write_file("sentiments/manifest/expresso/expresso_asr.dev.jsonl",
               "{\"id\": 1, \"emotion\": \"sad\", \"asr\": \"so it is\"}\n"
               "{\"id\": 2, \"sentiment\": \"neutral\", \"asr\": \"the second\"}\n");
    write_file("sentiments/manifest/few_shot/t2t.jsonl",
               "{\"prompt\": \"a\", \"generation\": \"b\", \"sentiment\": \"negative\"}\n"
               "{\"prompt\": \"c\", \"generation\": \"d\", \"sentiment\": \"neutral\"}\n"
               "{\"prompt\": \"e\", \"generation\": \"f\", \"sentiment\": \"positive\"}\n");
    clip("sentiments/data/emov/a.wav", 30);
    clip("sentiments/data/emov/b.wav", 31);
    clip("sentiments/data/expresso/read/a.wav", 32);
    write_file("predictions.jsonl",
               "{\"id\": -9223372036854775808, \"pred\": \"sad\"}\n{\"id\": \"b\", \"pred\": \"neutral\"}\n");
}

/* Archives that cannot be made with the usual programs. */
static void write_foul_archives(void)
{
    static const struct {
        const char *file, *name;
        bool zip;
    } names[] = {{"up.zip", "a/../../b.wav", true},
                 {"up.tar", "../b.wav", false},
                 {"absolute.tar", "/b.wav", false},
                 {"control.zip", "a\nb.wav", true}};
    struct archive_builder builder = {0};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].zip)
            zip_add(&builder, names[i].name, (int64_t)strlen(names[i].name), "x", 1, (struct zip_form){0});
        else
            tar_add(&builder, names[i].name, '0', "", "x", 1);
        if (names[i].zip)
            zip_end(&builder, "", false);
        else
            tar_end(&builder, 2);
        builder_write(&builder, test_path("good/%s", names[i].file));
    }
    for (int i = 0; i < 2; i++)
        zip_add(&builder, "a.wav", 5, "x", 1, (struct zip_form){0});
    zip_end(&builder, "", false);
    builder_write(&builder, test_path("good/twice.zip"));
    zip_add(&builder, "s/1/1/1-1.trans.txt", 19, "1-1-0 A", 7, (struct zip_form){.wrong_crc = 1});
    zip_add(&builder, "s/1/1/1-1-0.wav", 15, "x", 1, (struct zip_form){0});
    zip_end(&builder, "", false);
    builder_write(&builder, test_path("good/crc.zip"));
    const int64_t bomb = 70 << 20; /* of a few kilobytes: more than the transcripts of a chapter may have */
    char *blanks = malloc((size_t)bomb);
    assert_non_null(blanks);
    memset(blanks, ' ', (size_t)bomb);
    zip_add(&builder, "s/1/1/1-1.trans.txt", 19, blanks, bomb, (struct zip_form){.deflated = true});
    zip_end(&builder, "", false);
    builder_write(&builder, test_path("good/bomb.zip"));
    free(blanks);
    builder_free(&builder);
}

/* The files of good/libri, in the order of find. */
static void pack_librispeech(void)
{
    struct archive_builder zip = {0}, tar = {0}, gz = {0};
    assert_int_equal(run_command(output, sizeof output, "cd '%s/good' && find libri -type f | sort", test_directory()),
                     0);
    for (char *name = strtok(output, "\n"); name; name = strtok(NULL, "\n")) {
        void *data;
        int64_t size;
        assert_ok(file_read(test_path("good/%s", name), 1 << 20, &data, &size));
        zip_add(&zip, name, (int64_t)strlen(name), data, size, (struct zip_form){.deflated = true});
        tar_add(&tar, name, '0', "", data, size);
        tar_add(&gz, name, '0', "", data, size);
        free(data);
    }
    zip_end(&zip, "", false);
    tar_end(&tar, 2);
    tar_end(&gz, 2);
    builder_gzip(&gz);
    builder_write(&zip, test_path("good/libri.zip"));
    builder_write(&tar, test_path("good/libri.tar"));
    builder_write(&gz, test_path("good/libri.tar.gz"));
    builder_free(&zip);
    builder_free(&tar);
    builder_free(&gz);
}

/* A speech tokenizer fitted to noise, and two untrained models that hear. */
static void make_models(void)
{
    static const char config[] =
        "tokenizer: {text_model: " TEST_GOLDEN_DIRECTORY
        "/text/text.model, folder: tokenizer, units: 24, pitch_codes: 4, "
        "iterations: 3}\n"
        "prepare: {fit: [speech], threads: 1, manifests: [speech.jsonl, text.jsonl], output: datasets}\n"
        "data: {train: [datasets/text], validation: [], expressive: false, lanes: 2, sequence_length: 512}\n"
        "data.weights: {speech: 0, interleaved: 0}\n"
        "model: {hidden_size: 16, intermediate_size: 24, layers: 1, heads: 2}\n"
        "train: {steps: 1, warmup_steps: 1, threads: 1}\n"
        "evaluate: {shots: 3}\n";
    assert_ok(make_directories(test_path("models")));
    write_text(test_path("models/run.yaml"), config);
    write_text(test_path("models/speech.jsonl"),
               "{\"id\": \"a\", \"audio\": \"a.wav\"}\n{\"id\": \"b\", \"audio\": \"b.wav\"}\n");
    write_text(test_path("models/text.jsonl"),
               "{\"id\": \"a\", \"text\": \"so it is\"}\n{\"id\": \"b\", \"text\": \"the second\"}\n");
    write_sound(test_path("models/a.wav"), 1, 16, 16000, 16000, 40);
    write_sound(test_path("models/b.wav"), 1, 16, 16000, 16000, 41);
    int code = run_command(output, sizeof output,
                           "cd '%s/models' && B='%s' && $B/prepare --device cpu --config run.yaml 2>&1 && "
                           "$B/train --device cpu --config run.yaml train.run=run 2>&1 && "
                           "$B/train --device cpu --config run.yaml train.run=other train.seed=2 2>&1",
                           test_directory(), TEST_PROGRAM_DIRECTORY);
    if (code != 0)
        fail_msg("the models cannot be made: %s", output);
}

static int make_folder(void **state)
{
    (void)state;
    write_archives();
    write_stsp();
    write_foul_archives();
    pack_librispeech();
    write_sound(test_path("good/short.wav"), 1, 16, 16000, 100, 1);
    write_sound(test_path("good/nan.wav"), 3, 32, 16000, 8000, 1);
    write_sound(test_path("good/norate.wav"), 1, 16, 0, 8000, 1);
    make_models();
    assert_int_equal(
        run_command(output, sizeof output,
                    "cd '%s/good' && mkdir judges && cp -r '" TEST_GOLDEN_DIRECTORY
                    "'/judges/text '" TEST_GOLDEN_DIRECTORY "'/judges/speech judges && cp -r judges/text judges/joy && "
                    "sed -i 's/\304\260lgi/default/; s/\316\243\316\221\316\243/negative/; s/very amused/amused/' "
                    "judges/text/config.json && "
                    "sed -i '/id2label/,/}/s/: \"/: \"joy/; /label2id/,/}/s/\"\\(.*\\)\":/\"joy\\1\":/; "
                    "s/joylabel2id/label2id/' "
                    "judges/joy/config.json",
                    test_directory()),
        0);
    return 0;
}

/* ---- the cases ---- */

/* The exit code of a command in a fresh copy of those parts of good/ that it names; what nobody changes is linked. */
static int run_case(const char *command)
{
    static const char *const parts[] = {"libri", "fsc", "sentiments", "predictions.jsonl"};
    char copied[128] = "";
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++)
        if (strstr(command, parts[p]))
            strcat(strcat(copied, " ../good/"), parts[p]);
    return run_command(output, sizeof output,
                       "cd '%s' && rm -rf work && mkdir work && cd work && ln -s ../good/*.* ../good/judges . && rm -f "
                       "predictions.jsonl && "
                       "if [ '%s' ]; then cp -r %s . ; fi && M='%s/models' && T='%s' && "
                       "E=run && run() { '%s/evaluate' --device cpu --config $M/run.yaml --model ${MODEL:-$M/run} "
                       "--out ${OUT:-out} \"$@\"; } && { %s ; } 2>&1",
                       test_directory(), copied, copied, test_directory(), TEST_SOURCE_DIRECTORY,
                       TEST_PROGRAM_DIRECTORY, command);
}

/* The line that begins with "error: ", and how many there are. */
static const char *error_line(int *count)
{
    static char line[4096];
    *count = 0;
    *line = 0;
    for (const char *at = output; *at;) {
        size_t length = strcspn(at, "\n");
        /* progress is rewritten in place */
        const char *from = at;
        for (const char *c = at; c < at + length; c++)
            from = *c == '\r' ? c + 1 : from;
        if (strncmp(from, "error: ", 7) == 0) {
            snprintf(line, sizeof line, "%.*s", (int)(at + length - from), from);
            ++*count;
        }
        at += length + (at[length] == '\n');
    }
    return line;
}

static void every_mistake_has_its_line(void **state)
{
    (void)state;
    int failed = 0;
    for (size_t c = 0; c < CASES; c++) {
        int code = run_case(cases[c].command), lines;
        const char *line = error_line(&lines);
        bool good = code == cases[c].code && lines == 1 && strstr(line, cases[c].text) != NULL;
        char found[256];
        run_command(found, sizeof found, "cd '%s/work' && find . -name 'results_*' -o -name 'samples_*'",
                    test_directory());
        if (!good || *found) {
            print_message("%s\n  expected exit code %d and \"%s\", found %d%s: %s\n", cases[c].command, cases[c].code,
                          cases[c].text, code, found, output);
            failed++;
        }
    }
    if (failed > 0)
        fail_msg("%d of %d cases", failed, (int)CASES);
    assert_true(CASES >= 80);
}

/* While another process is at it. */
static void a_journal_in_use_is_refused(void **state)
{
    (void)state;
    struct journal *journal;
    json_t *identity = json_pack("{s:s}", "task", "asr");
    assert_ok(make_directories(test_path("used")));
    assert_ok(journal_open(test_path("used/journal_asr.log"), identity, LOCKS_REQUIRED, &journal));
    char command[1200];
    int lines;
    snprintf(command, sizeof command, "OUT='%s' && $E asr libri", test_path("used"));
    assert_int_equal(run_case(command), 2);
    assert_non_null(strstr(error_line(&lines), "used/journal_asr.log: in use by "));
    assert_int_equal(lines, 1);
    journal_close(journal, true);
    json_decref(identity);
}

/* What looks odd and is not wrong: other sample formats and rates, archives of each kind, the same answers from all of them. */
static void what_can_be_read_is_read(void **state)
{
    (void)state;
    static const char *const commands[] = {
        "cp eight.wav " ONE " && $E asr libri",
        "cp fast.wav " ONE " && $E asr libri",
        "$E asr libri.zip && mv out first && $E asr libri.tar && cmp first/samples_asr.jsonl out/samples_asr.jsonl",
        "$E asr libri.tar.gz && mv out first && $E asr libri && cmp first/samples_asr.jsonl out/samples_asr.jsonl",
        "sed -i 's/$/\\r/' " LINES " && $E asr libri",
        "rm " ONE " && $E asr libri evaluate.incomplete=skip && grep -q '\"missing\": 1' out/results_asr.json",
        "$E intent fsc evaluate.shots=2",
        STSP "evaluate.shots=0,3 && test -s out/results_stsp_dev.json",
        "$E judge predictions.jsonl sentiments/manifest/emov/emov.dev.jsonl && grep -q '\"acc,none\": 0.5' "
        "out/results_judge.json",
        LEAVE_JOURNAL "$E asr libri && test -s out/results_asr.json && ! test -e out/journal_asr.log",
    };
    write_sound(test_path("good/eight.wav"), 1, 8, 16000, 8000, 50);
    write_sound(test_path("good/fast.wav"), 1, 24, 44100, 40000, 51);
    for (size_t c = 0; c < sizeof commands / sizeof *commands; c++) {
        int code = run_case(commands[c]);
        if (code != 0)
            fail_msg("%s: exit code %d: %s", commands[c], code, output);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mistake_has_its_line),
        cmocka_unit_test(a_journal_in_use_is_refused),
        cmocka_unit_test(what_can_be_read_is_read),
    };
    return cmocka_run_group_tests(tests, make_folder, NULL);
}
