/* The tasks over archives, from small folders in the published layouts to results: accuracies are worked out here from
 * llama_logits and from rules written down anew. */
#include "eval/score_oracle.h"
#include "support/files.h"
#include "support/tiny_world.h"

#include "eval/comparison.h"
#include "eval/rescore.h"
#include "eval/submit.h"
#include "eval/task.h"
#include "generate/prompt.h"
#include "io/atomic_file.h"
#include "io/audio/audio.h"
#include "io/json.h"
#include "io/wav.h"

#include <stdio.h>
#include <string.h>

enum { CONTEXT = 640 };

static struct tiny_world world;
static struct score_settings score;
static struct evaluate_settings evaluate;
static const char *const protocol_word[] = {"protocol"};

static int encodings;

/* Units that depend on the sound: how often a piece of 1 / rate seconds crosses zero. */
static enum status count_crossings(const struct speech_encoder *self, struct speech_utterance *utterance,
                                   uint16_t **values, int64_t *count)
{
    int64_t hop = 16000 * self->rate.denominator / self->rate.numerator;
    encodings++;
    *count = utterance->count / hop;
    *values = calloc((size_t)*count + 1, sizeof **values);
    assert_non_null(*values);
    for (int64_t i = 0; i < *count; i++) {
        const float *x = utterance->samples + i * hop;
        int64_t crossings = 0;
        for (int64_t t = 1; t < hop; t++)
            crossings += (x[t - 1] < 0) != (x[t] < 0);
        (*values)[i] = (uint16_t)(crossings % self->size);
    }
    return STATUS_OK;
}

static struct speech encoders;

static int open_world(void **state)
{
    (void)state;
    tiny_world_open(1, CONTEXT, &world);
    const struct vocabulary *v = &world.components->vocabulary;
    const int32_t sizes[STREAM_COUNT] = {
        [STREAM_HUBERT] = v->hubert_count, [STREAM_PITCH] = v->pitch_count, [STREAM_STYLE] = v->style_count};
    for (int s = 0; s < STREAM_COUNT; s++)
        if (sizes[s] > 0)
            encoders.encoder[s] = (struct speech_encoder){.stream = (enum unit_stream)s,
                                                          .rate = world.components->rates.rate[s],
                                                          .size = sizes[s],
                                                          .encode = count_crossings};
    assert_null(world.components->speech);
    world.components->speech = &encoders;
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    world.components->speech = NULL; /* it is not the world's to free */
    tiny_world_close(&world);
    return 0;
}

static void set_defaults(void)
{
    score = (struct score_settings){.normalize = {(const char **)(uintptr_t)protocol_word, 1}};
    evaluate = (struct evaluate_settings){.gold = ""};
}

static struct task make_task(const char *out, struct task_outcome *outcome)
{
    static FILE *nowhere;
    nowhere = nowhere ? nowhere : fopen("/dev/null", "w");
    return (struct task){.model = world.model,
                         .components = world.components,
                         .model_name = "m",
                         .checkpoint = "c",
                         .out = out,
                         .report = nowhere,
                         .outcome = outcome,
                         .score = &score,
                         .evaluate = &evaluate};
}

static void make_folder_of(const char *path)
{
    char folder[700];
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    assert_ok(make_directories(folder));
}

/* A recording of a few tones that nobody else has. */
static void write_tones(const char *path, uint64_t stream, int64_t count)
{
    struct rng rng = rng_make(7, RNG_TEST, 40, stream);
    float *samples = calloc((size_t)count, sizeof *samples);
    assert_non_null(samples);
    for (int64_t begin = 0; begin < count; begin += 3200) {
        double frequency = 100 + 2000 * rng_uniform(&rng), loud = 0.1 + 0.6 * rng_uniform(&rng);
        for (int64_t i = begin; i < count && i < begin + 3200; i++)
            samples[i] = (float)(loud * sin(6.283185307 * frequency * (double)i / 16000));
    }
    make_folder_of(path);
    assert_ok(wav_write(path, samples, count));
    free(samples);
}

/* ---- the oracle ---- */

/* Sum of log p over what follows the first `skip` pieces and the tag behind them, and how many tokens those are. */
static double oracle_sum(const struct piece *pieces, int64_t count, int64_t skip, int64_t *tokens)
{
    struct prompt before, whole;
    double losses[CONTEXT], sum = 0;
    bool speech = pieces[skip].kind != PIECE_TEXT;
    assert_ok(prompt_create(world.components, pieces, skip, speech ? OUTPUT_SPEECH : OUTPUT_TEXT, &before));
    assert_ok(prompt_create(world.components, pieces, count, OUTPUT_ANY, &whole));
    assert_true(whole.count <= CONTEXT && whole.count > before.count);
    oracle_losses(world.model, whole.ids, whole.count, losses);
    for (int64_t i = before.count; i < whole.count; i++)
        sum -= losses[i];
    *tokens = whole.count - before.count;
    prompt_free(&before);
    prompt_free(&whole);
    return sum;
}

/* 1, 0.5 or 0 by the mean per token, and by the sum. */
struct verdict {
    double token, sum;
};

static double win(double a, double b)
{
    return a > b ? 1 : a == b ? 0.5 : 0;
}

static struct verdict judge(const struct piece *right, const struct piece *wrong, int64_t count, int64_t skip)
{
    int64_t tokens[2];
    double a = oracle_sum(right, count, skip, &tokens[0]), b = oracle_sum(wrong, count, skip, &tokens[1]);
    return (struct verdict){win(a / (double)tokens[0], b / (double)tokens[1]), win(a, b)};
}

static struct verdict judge_files(const char *right, const char *wrong)
{
    const struct piece a[] = {{PIECE_AUDIO, right}}, b[] = {{PIECE_AUDIO, wrong}};
    return judge(a, b, 1, 0);
}

/* ---- results ---- */

static json_t *read_results(const char *out, const char *name)
{
    json_error_t error;
    char path[700];
    snprintf(path, sizeof path, "%s/results_%s.json", out, name);
    json_t *json = json_load_file(path, 0, &error);
    assert_non_null(json);
    return json;
}

static void expect_number(const json_t *results, const char *row, const char *key, double expected)
{
    const json_t *value = json_object_get(json_object_get(json_object_get(results, "results"), row), key);
    if (!json_is_number(value) || !(fabs(json_number_value(value) - expected) <= 1e-12))
        fail_msg("%s of %s: expected %g, found %g", key, row, expected, json_number_value(value));
}

static void expect_row(const json_t *results, const char *row, struct verdict mean, int64_t n, int64_t expected,
                       int64_t failures)
{
    expect_number(results, row, "acc,token", mean.token);
    expect_number(results, row, "acc,sum", mean.sum);
    expect_number(results, row, "sample_len", (double)n);
    expect_number(results, row, "expected", (double)expected);
    expect_number(results, row, "failures", (double)failures);
}

static void add(struct verdict *total, struct verdict verdict, double weight)
{
    total->token += weight * verdict.token;
    total->sum += weight * verdict.sum;
}

/* ---- sLM21 ---- */

static const char *make_slm21(void)
{
    const char *root = test_path("slm21");
    remove(test_path("slm21/lexical/dev/other.wav"));
    make_folder_of(test_path("slm21/lexical/dev/gold.csv"));
    /* id 10 in two voices, id 9 in one; the rows and columns in no order; rows of one item far apart */
    write_text_in(root, "lexical/dev/gold.csv",
                  "id,filename,correct,word,phones,length,voice,frequency\r\n"
                  "10,a1,1,\"a,b\",AE,2,x,50\r\n9,c1,0,cd,K,2,x,\r\n10,a2,0,ae,AE,2,x,\r\n10,b2,0,ae,AE,2,y,\r\n"
                  "9,c2,1,c,K,2,x,0\r\n10,b1,1,\"a,b\",AE,2,y,50\r\n");
    static const char *const names[] = {"a1", "a2", "b1", "b2", "c1", "c2"};
    for (int i = 0; i < 6; i++)
        write_tones(test_path("slm21/lexical/dev/%s.wav", names[i]), (uint64_t)i, 8000 + 1600 * (i % 3));
    return root;
}

static const char *word_path(const char *name)
{
    return test_path("slm21/lexical/dev/%s.wav", name);
}

static void words_are_averaged_over_voices(void **state)
{
    (void)state;
    struct task_outcome outcome = {0};
    const char *root = make_slm21(), *out = test_path("out1");
    set_defaults();
    struct task task = make_task(out, &outcome);
    assert_ok(task_slm21(&task, SLM21_LEXICAL, false, root));
    struct verdict all = {0}, ten = {0};
    add(&ten, judge_files(word_path("a1"), word_path("a2")), 0.5);
    add(&ten, judge_files(word_path("b1"), word_path("b2")), 0.5);
    struct verdict nine = judge_files(word_path("c2"), word_path("c1"));
    add(&all, ten, 0.5);
    add(&all, nine, 0.5);
    json_t *results = read_results(out, "swuggy_dev");
    expect_row(results, "swuggy_dev", all, 2, 2, 0);
    expect_row(results, "swuggy_dev_in_vocabulary", ten, 1, 1, 0);
    expect_row(results, "swuggy_dev_oov", nine, 1, 1, 0);
    expect_row(results, "swuggy_dev_21-100", ten, 1, 1, 0);
    assert_true(outcome.holds);
    json_decref(results);
}

static void written_words_are_pairs_per_id(void **state)
{
    (void)state;
    struct task_outcome outcome = {0};
    const char *root = make_slm21(), *out = test_path("out2");
    const struct piece ten[2][1] = {{{PIECE_TEXT, "a,b"}}, {{PIECE_TEXT, "ae"}}},
                       nine[2][1] = {{{PIECE_TEXT, "c"}}, {{PIECE_TEXT, "cd"}}};
    set_defaults();
    struct task task = make_task(out, &outcome);
    assert_ok(task_slm21(&task, SLM21_LEXICAL, true, root));
    struct verdict all = {0};
    add(&all, judge(ten[0], ten[1], 1, 0), 0.5);
    add(&all, judge(nine[0], nine[1], 1, 0), 0.5);
    json_t *results = read_results(out, "wuggy_text_dev");
    expect_row(results, "wuggy_text_dev", all, 2, 2, 0);
    json_decref(results);
}

static void missing_recordings_are_refused_or_counted(void **state)
{
    (void)state;
    struct task_outcome outcome = {0};
    const char *root = make_slm21(), *out = test_path("out3");
    set_defaults();
    struct task task = make_task(out, &outcome);
    assert_int_equal(remove(word_path("c1")), 0);
    assert_fails(task_slm21(&task, SLM21_LEXICAL, false, root), STATUS_CORRUPT, "lexical/dev/c1 of ");
    assert_non_null(strstr(status_text(), "gold.csv:3 is missing"));
    write_tones(word_path("other"), 9, 8000);
    assert_fails(task_slm21(&task, SLM21_LEXICAL, false, root), STATUS_CORRUPT, "other.wav is not in ");
    evaluate.incomplete = INCOMPLETE_SKIP;
    assert_ok(task_slm21(&task, SLM21_LEXICAL, false, root));
    json_t *results = read_results(out, "swuggy_dev");
    expect_number(results, "swuggy_dev", "sample_len", 1);
    expect_number(results, "swuggy_dev", "expected", 2);
    expect_number(results, "swuggy_dev", "failures", 1);
    json_decref(results);
    evaluate.split = SPLIT_TEST;
    assert_fails(task_slm21(&task, SLM21_LEXICAL, false, root), STATUS_CORRUPT, "no folder lexical/test/");
    assert_int_equal(remove(word_path("other")), 0);
}

/* ---- SALMon ---- */

static const char *salmon_path(const char *part, int number, int side)
{
    return test_path("salmon_benchmark/%s/sample_%d_%d.wav", part, number, side);
}

static void parts_are_averaged(void **state)
{
    (void)state;
    static const struct {
        const char *part;
        int number;
    } pairs[] = {{"bg", 9}, {"bg", 10}, {"bg", 12}, {"speaker", 0}};
    struct task_outcome outcome = {0};
    struct verdict parts[2] = {{0}}, mean = {0};
    const char *out = test_path("out4");
    set_defaults();
    struct task task = make_task(out, &outcome);
    for (int i = 0; i < 4; i++)
        for (int side = 0; side < 2; side++) /* pair 12 has equal sides */
            write_tones(salmon_path(pairs[i].part, pairs[i].number, side),
                        (uint64_t)(100 + 2 * i + (i == 2 ? 0 : side)), 9600);
    assert_ok(task_salmon(&task, test_path("salmon_benchmark")));
    for (int i = 0; i < 4; i++)
        add(&parts[i == 3],
            judge_files(salmon_path(pairs[i].part, pairs[i].number, 0), salmon_path(pairs[i].part, pairs[i].number, 1)),
            i == 3 ? 1 : 1.0 / 3);
    add(&mean, parts[0], 0.5);
    add(&mean, parts[1], 0.5);
    json_t *results = read_results(out, "salmon");
    expect_row(results, "salmon", mean, 4, 4, 0);
    expect_row(results, "salmon_bg", parts[0], 3, 3, 0);
    expect_row(results, "salmon_speaker", parts[1], 1, 1, 0);
    expect_number(results, "salmon_bg", "ties,token", 1);
    json_decref(results);
    static const char *bg[] = {"bg"}, *other[] = {"b"};
    evaluate.parts = (struct config_list){bg, 1};
    assert_ok(task_salmon(&task, test_path("salmon_benchmark")));
    results = read_results(out, "salmon");
    expect_row(results, "salmon", parts[0], 3, 3, 0);
    assert_null(json_object_get(json_object_get(results, "results"), "salmon_speaker"));
    json_decref(results);
    evaluate.parts = (struct config_list){other, 1};
    assert_fails(task_salmon(&task, test_path("salmon_benchmark")), STATUS_USAGE, "evaluate.parts");
}

/* ---- StoryCloze ---- */

/* The sum over a choice's hypothesis, EOS and tags apart, of the first item in a file of samples. */
static double sampled_sum(const json_t *item, size_t choice)
{
    static const char *const kinds[] = {"text", "hubert", "pitch", "style"};
    const json_t *scores = json_object_get(json_array_get(json_object_get(item, "choices"), choice), "hypothesis");
    double sum = 0;
    for (int k = 0; k < 4; k++)
        sum += json_number_value(json_array_get(json_object_get(scores, kinds[k]), 1));
    return sum;
}

/* Who wins is a coin's toss for one item; the log-likelihoods themselves are not. */
static void expect_sums(const char *samples, const struct piece *right, const struct piece *wrong, int64_t count,
                        int64_t skip)
{
    void *bytes;
    int64_t size, tokens[2];
    assert_ok(file_read(samples, 1 << 20, &bytes, &size));
    json_t *item = json_loads(strchr(bytes, '\n') + 1, JSON_DISABLE_EOF_CHECK, NULL);
    assert_non_null(item);
    const double expected[2] = {oracle_sum(right, count, skip, &tokens[0]), oracle_sum(wrong, count, skip, &tokens[1])};
    for (size_t c = 0; c < 2; c++)
        if (!(fabs(sampled_sum(item, c) - expected[c]) <= 2e-5 * (double)(1 + tokens[c])))
            fail_msg("%s: choice %zu: expected %g, found %g", samples, c, expected[c], sampled_sum(item, c));
    json_decref(item);
    free(bytes);
}

static const char *story_path(const char *part, const char *ending)
{
    return test_path("cloze/s_%s.%s", part, ending);
}

/* A recording of one after the other. */
static const char *join_recordings(const char *first, const char *second, const char *path)
{
    float *samples[2], *both;
    int64_t counts[2];
    assert_ok(audio_read(first, -1, &samples[0], &counts[0]));
    assert_ok(audio_read(second, -1, &samples[1], &counts[1]));
    both = malloc((size_t)(counts[0] + counts[1]) * sizeof *both);
    assert_non_null(both);
    memcpy(both, samples[0], (size_t)counts[0] * sizeof *both);
    memcpy(both + counts[0], samples[1], (size_t)counts[1] * sizeof *both);
    assert_ok(wav_write(path, both, counts[0] + counts[1]));
    free(samples[0]);
    free(samples[1]);
    free(both);
    return path;
}

static void all_directions_of_stories_in_pieces(void **state)
{
    (void)state;
    static const char *directions[] = {"s", "t", "s>t", "t>s"};
    struct task_outcome outcome = {0};
    const char *out = test_path("out5"), *root = test_path("cloze");
    set_defaults();
    evaluate.directions = (struct config_list){directions, 4};
    struct task task = make_task(out, &outcome);
    write_tones(story_path("mutual", "wav"), 200, 8000);
    write_tones(story_path("correct", "wav"), 201, 6400);
    write_tones(story_path("incorrect", "wav"), 202, 9600);
    write_text(story_path("mutual", "txt"), "one. two.\n");
    write_text(story_path("correct", "txt"), " three.");
    write_text(story_path("incorrect", "txt"), "fo fo.\n");
    assert_ok(task_story_cloze(&task, true, root));
    const char *context = story_path("mutual", "wav");
    const struct piece right_st[] = {{PIECE_AUDIO, context}, {PIECE_TEXT, "three."}},
                       wrong_st[] = {{PIECE_AUDIO, context}, {PIECE_TEXT, "fo fo."}},
                       right_ts[] = {{PIECE_TEXT, "one. two."}, {PIECE_AUDIO, story_path("correct", "wav")}},
                       wrong_ts[] = {{PIECE_TEXT, "one. two."}, {PIECE_AUDIO, story_path("incorrect", "wav")}},
                       right_t[] = {{PIECE_TEXT, "one. two. three."}}, wrong_t[] = {{PIECE_TEXT, "one. two. fo fo."}};
    json_t *results = read_results(out, "topic_storycloze_st");
    expect_row(results, "topic_storycloze_st", judge(right_st, wrong_st, 2, 1), 1, 1, 0);
    assert_string_equal(json_string_value(json_object_get(json_object_get(results, "protocol"), "scope")),
                        "continuation");
    json_decref(results);
    results = read_results(out, "topic_storycloze_ts");
    expect_row(results, "topic_storycloze_ts", judge(right_ts, wrong_ts, 2, 1), 1, 1, 0);
    json_decref(results);
    results = read_results(out, "topic_storycloze_t");
    expect_row(results, "topic_storycloze_t", judge(right_t, wrong_t, 1, 0), 1, 1, 0);
    json_decref(results);
    results = read_results(out, "topic_storycloze_s");
    const char *right_s = join_recordings(context, story_path("correct", "wav"), test_path("right.wav"));
    const char *wrong_s = join_recordings(context, story_path("incorrect", "wav"), test_path("wrong.wav"));
    expect_row(results, "topic_storycloze_s", judge_files(right_s, wrong_s), 1, 1, 0);
    json_decref(results);
    const struct piece right_speech[] = {{PIECE_AUDIO, right_s}}, wrong_speech[] = {{PIECE_AUDIO, wrong_s}};
    expect_sums(test_path("out5/samples_topic_storycloze_s.jsonl"), right_speech, wrong_speech, 1, 0);
    expect_sums(test_path("out5/samples_topic_storycloze_t.jsonl"), right_t, wrong_t, 1, 0);
    expect_sums(test_path("out5/samples_topic_storycloze_st.jsonl"), right_st, wrong_st, 2, 1);
    expect_sums(test_path("out5/samples_topic_storycloze_ts.jsonl"), right_ts, wrong_ts, 2, 1);
    static const char *wrong[] = {"st"};
    evaluate.directions = (struct config_list){wrong, 1};
    assert_fails(task_story_cloze(&task, true, root), STATUS_USAGE, "expected s, t, s>t or t>s, found \"st\"");
}

/* With PMI also S and T have a context: endings after it, in the same modality, and alone. */
static void pmi_compares_endings_after_their_context(void **state)
{
    (void)state;
    static const char *directions[] = {"s", "t"}, *pmi[] = {"pmi-token", "pmi"};
    struct task_outcome outcome = {0};
    const char *out = test_path("out15"), *root = test_path("cloze15");
    set_defaults();
    evaluate.directions = (struct config_list){directions, 2};
    score.normalize = (struct config_list){pmi, 2};
    struct task task = make_task(out, &outcome);
    static const char *const parts[] = {"mutual", "correct", "incorrect"}, *const texts[] = {"one. two.", "three.",
                                                                                             "fo fo."};
    char sounds[3][256];
    for (int part = 0; part < 3; part++) {
        snprintf(sounds[part], sizeof sounds[part], "%s", test_path("cloze15/s_%s.wav", parts[part]));
        write_tones(sounds[part], 300 + (uint64_t)part, 6400 + 1600 * part);
        write_text(test_path("cloze15/s_%s.txt", parts[part]), texts[part]);
    }
    assert_ok(task_story_cloze(&task, false, root));
    const struct piece right_s[] = {{PIECE_AUDIO, sounds[0]}, {PIECE_AUDIO, sounds[1]}},
                       wrong_s[] = {{PIECE_AUDIO, sounds[0]}, {PIECE_AUDIO, sounds[2]}};
    expect_sums(test_path("out15/samples_storycloze_s.jsonl"), right_s, wrong_s, 2, 1);
    int64_t tokens[2];
    double per_token[2];
    for (int side = 0; side < 2; side++) {
        const struct piece *pieces = side == 0 ? right_s : wrong_s;
        double after = oracle_sum(pieces, 2, 1, &tokens[0]), alone = oracle_sum(pieces + 1, 1, 0, &tokens[1]);
        assert_int_equal(tokens[0], tokens[1]);
        per_token[side] = (after - alone) / (double)tokens[0];
    }
    json_t *results = read_results(out, "storycloze_s");
    expect_number(results, "storycloze_s", "acc,pmi-token", per_token[0] > per_token[1]);
    json_decref(results);
    results = read_results(out, "storycloze_t");
    assert_string_equal(json_string_value(json_object_get(json_object_get(results, "protocol"), "normalize")),
                        "pmi-token");
    assert_non_null(json_object_get(json_object_get(json_object_get(results, "results"), "storycloze_t"), "acc,pmi"));
    json_decref(results);
}

static void whole_stories_are_compared_whole(void **state)
{
    (void)state;
    static const char *directions[] = {"s", "t"};
    struct task_outcome outcome = {0};
    struct verdict speech = {0}, text = {0};
    const char *out = test_path("out6"), *root = test_path("whole");
    set_defaults();
    evaluate.directions = (struct config_list){directions, 2};
    struct task task = make_task(out, &outcome);
    static const char *const texts[3][2] = {{"a b. c d.", "a b. ce."}, {"f. ghi", "f. g"}, {"x. yy", "x. yyz"}};
    for (int i = 0; i < 3; i++) {
        const char *right = test_path("whole/%d_w%d_correct.wav", 6 + 2 * i, i);
        const char *wrong = test_path("whole/%d_w%d_incorrect.wav", 7 + 2 * i, i);
        const struct piece a[] = {{PIECE_TEXT, texts[i][0]}}, b[] = {{PIECE_TEXT, texts[i][1]}};
        write_tones(right, (uint64_t)(300 + i), 8000 + 800 * i);
        write_tones(wrong, (uint64_t)(310 + i), 9000);
        write_text(test_path("whole/%d_w%d_correct.txt", 6 + 2 * i, i), texts[i][0]);
        write_text(test_path("whole/%d_w%d_incorrect.txt", 7 + 2 * i, i), texts[i][1]);
        add(&speech, judge_files(right, wrong), 1.0 / 3);
        add(&text, judge(a, b, 1, 0), 1.0 / 3);
    }
    assert_ok(task_story_cloze(&task, false, root));
    json_t *results = read_results(out, "storycloze_s");
    expect_row(results, "storycloze_s", speech, 3, 3, 0);
    json_decref(results);
    results = read_results(out, "storycloze_t");
    expect_row(results, "storycloze_t", text, 3, 3, 0);
    json_decref(results);
}

/* ---- text ---- */

static const char mmlu_heading[] = "The following are multiple choice questions (with answers) about ";

/* What the model gets for a question: 1 when the letter of the answer is the likeliest. */
static double judge_letters(const char *prompt, int answer)
{
    double best = -INFINITY, right = 0;
    for (int c = 0; c < 4; c++) {
        char text[600];
        int64_t tokens;
        snprintf(text, sizeof text, "%s %c", prompt, 'A' + c);
        const struct piece whole[] = {{PIECE_TEXT, text}}, before[] = {{PIECE_TEXT, prompt}};
        double sum = oracle_sum(whole, 1, 0, &tokens) - oracle_sum(before, 1, 0, &tokens);
        right = c == answer ? sum : right;
        best = sum > best ? sum : best;
    }
    return right == best;
}

static void questions_are_answered_by_letters(void **state)
{
    (void)state;
    struct task_outcome outcome = {0};
    const char *out = test_path("out20"), *root = test_path("mmlu");
    static const char *const subjects[] = {"anatomy", "virology"};
    static const char *const heads[] = {"anatomy", "virology"};
    char prompt[500];
    double won[2][2], mean[2], error[2];
    set_defaults();
    evaluate.split = SPLIT_TEST;
    evaluate.shots = 1;
    struct task task = make_task(out, &outcome);
    make_folder_of(test_path("mmlu/data/dev/x"));
    make_folder_of(test_path("mmlu/data/test/x"));
    for (int s = 0; s < 2; s++) {
        write_text(test_path("mmlu/data/dev/%s_dev.csv", subjects[s]), "e?,m,n,o,p,C\n");
        write_text(test_path("mmlu/data/test/%s_test.csv", subjects[s]),
                   s ? "k,1,2,3,4,B\nl,f,g,h,i,D\n" : "q,1,2,3,4,A\nr,f,g,h,i,C\n");
        for (int q = 0; q < 2; q++) {
            snprintf(prompt, sizeof prompt,
                     "%s%s.\n\ne?\nA. m\nB. n\nC. o\nD. p\nAnswer: C\n\n%c\nA. %s\nAnswer:", mmlu_heading, heads[s],
                     s ? "kl"[q] : "qr"[q], q ? "f\nB. g\nC. h\nD. i" : "1\nB. 2\nC. 3\nD. 4");
            won[s][q] = judge_letters(prompt, s ? (q ? 3 : 1) : (q ? 2 : 0));
        }
        mean[s] = (won[s][0] + won[s][1]) / 2;
        error[s] = fabs(won[s][0] - won[s][1]) / 2; /* s / sqrt(2), s = |a - b| / sqrt(2) */
    }
    assert_ok(task_mmlu(&task, root));
    json_t *results = read_results(out, "mmlu_test");
    expect_number(results, "mmlu_test", "acc,sum", (mean[0] + mean[1]) / 2);
    expect_number(results, "mmlu_test_anatomy", "acc,sum", mean[0]);
    expect_number(results, "mmlu_test_other", "acc,sum", mean[1]);
    expect_number(results, "mmlu_test_mean_of_subjects", "acc,sum", (mean[0] + mean[1]) / 2);
    expect_number(results, "mmlu_test_stem", "acc_stderr,sum", error[0]);
    /* (n - 1) n se^2 = 2 se^2 each; N = 4, K = 2 */
    expect_number(results, "mmlu_test", "acc_stderr,sum",
                  sqrt((2 * error[0] * error[0] + 2 * error[1] * error[1]) / 2 / 4));
    assert_true(json_integer_value(json_object_get(json_object_get(results, "n-shot"), "mmlu_test")) == 1);
    json_decref(results);
    evaluate.shots = 2;
    assert_fails(task_mmlu(&task, root), STATUS_CORRUPT, "expected 2 examples, found 1");
    write_text(test_path("mmlu/data/test/astrology_test.csv"), "q,1,2,3,4,A\n");
    evaluate.shots = 1;
    assert_fails(task_mmlu(&task, root), STATUS_CORRUPT, "astrology is none of MMLU's 57 subjects");
}

static void sentences_are_averaged_over_files(void **state)
{
    (void)state;
    struct task_outcome outcome = {0};
    const char *out = test_path("out21");
    const struct piece a[] = {{PIECE_TEXT, "he is"}}, b[] = {{PIECE_TEXT, "he are"}}, c[] = {{PIECE_TEXT, "we go"}},
                       d[] = {{PIECE_TEXT, "go we do"}}, e[] = {{PIECE_TEXT, "a b"}}, f[] = {{PIECE_TEXT, "b a c"}};
    set_defaults();
    struct task task = make_task(out, &outcome);
    make_folder_of(test_path("blimp/data/x"));
    write_text(test_path("blimp/data/one.jsonl"), "{\"sentence_good\": \"he is\", \"sentence_bad\": \"he are\"}\n"
                                                  "{\"sentence_good\": \"we go\", \"sentence_bad\": \"go we do\"}\n");
    write_text(test_path("blimp/data/two.jsonl"), "{\"sentence_good\": \"a b\", \"sentence_bad\": \"b a c\"}");
    struct verdict all = {0};
    add(&all, judge(a, b, 1, 0), 0.25);
    add(&all, judge(c, d, 1, 0), 0.25);
    add(&all, judge(e, f, 1, 0), 0.5);
    assert_ok(task_blimp(&task, test_path("blimp")));
    json_t *results = read_results(out, "blimp");
    expect_row(results, "blimp", all, 3, 3, 0);
    json_decref(results);
    write_text(test_path("blimp/data/two.jsonl"), "{\"sentence_good\": \"a b\"}\n");
    assert_fails(task_blimp(&task, test_path("blimp")), STATUS_CORRUPT, "two.jsonl:1");
}

static void written_stories_have_two_endings(void **state)
{
    (void)state;
    struct task_outcome outcome = {0};
    const char *out = test_path("out22"), *root = test_path("cloze_text"),
               *table = test_path("cloze_text/all_test.csv");
    static const char head[] = "InputStoryid,InputSentence1,InputSentence2,InputSentence3,InputSentence4,"
                               "RandomFifthSentenceQuiz1,RandomFifthSentenceQuiz2,AnswerRightEnding\n";
    char text[1000];
    const struct piece first[2][2] = {{{PIECE_TEXT, "A. B. C. D."}, {PIECE_TEXT, "A. B. C. D. go on."}},
                                      {{PIECE_TEXT, "A. B. C. D."}, {PIECE_TEXT, "A. B. C. D. stop it now."}}};
    int64_t tokens[2];
    set_defaults();
    score.protocol = 4; /* lm-eval: the sum over the ending */
    struct task task = make_task(out, &outcome);
    make_folder_of(table);
    snprintf(text, sizeof text, "%sx1,A.,B.,C.,D.,go on.,stop it now.,2\n", head);
    write_text(table, text);
    assert_ok(task_story_text(&task, root));
    double sums[2];
    for (int i = 0; i < 2; i++) {
        struct prompt whole, before;
        double losses[CONTEXT];
        /* no tag in this protocol: BOS, the text */
        assert_ok(prompt_create(world.components, &first[i][1], 1, OUTPUT_TEXT, &whole));
        assert_ok(prompt_create(world.components, &first[i][0], 1, OUTPUT_TEXT, &before));
        memmove(whole.ids + 1, whole.ids + 2, (size_t)(whole.count - 2) * sizeof *whole.ids);
        oracle_losses(world.model, whole.ids, whole.count - 1, losses);
        sums[i] = 0;
        for (int64_t t = before.count - 1; t < whole.count - 1; t++)
            sums[i] -= losses[t];
        tokens[i] = whole.count - before.count;
        prompt_free(&whole);
        prompt_free(&before);
    }
    assert_true(tokens[0] > 0 && tokens[1] > 0);
    json_t *results = read_results(out, "storycloze_text");
    expect_number(results, "storycloze_text", "acc,sum", sums[1] > sums[0]);
    json_decref(results);
    snprintf(text, sizeof text, "%sx1,A.,B.,C.,D.,go on.,stop it now.,3\n", head);
    write_text(table, text);
    assert_fails(task_story_text(&task, root), STATUS_CORRUPT, "all_test.csv:2: expected the right ending 1 or 2");
    write_text(test_path("cloze_text/other.tsv"), "a\tb\n");
    assert_fails(task_story_text(&task, root), STATUS_CORRUPT, "expected one table, found all_test.csv and other.tsv");
}

/* ---- files ---- */

static void the_same_run_writes_the_same_bytes(void **state)
{
    (void)state;
    struct task_outcome outcome = {0};
    const char *root = make_slm21(), *outs[2] = {test_path("out7"), test_path("out8")};
    set_defaults();
    for (int i = 0; i < 2; i++) {
        struct task task = make_task(outs[i], &outcome);
        assert_ok(task_slm21(&task, SLM21_LEXICAL, false, root));
    }
    static const char *const names[] = {"results_swuggy_dev.json", "samples_swuggy_dev.jsonl",
                                        "score_lexical_dev_by_pair.csv"};
    for (int f = 0; f < 3; f++)
        assert_true(same_file(test_path("out7/%s", names[f]), test_path("out8/%s", names[f])));
}

/* What was encoded once is not encoded again, and gives the same results. */
static void known_recordings_are_not_encoded_again(void **state)
{
    (void)state;
    struct task_outcome outcome = {0};
    const char *root = make_slm21(), *outs[2] = {test_path("out30"), test_path("out31")};
    static const enum component parts[] = {COMPONENT_HUBERT, COMPONENT_PITCH, COMPONENT_STYLE, COMPONENT_VOCABULARY};
    for (int i = 0; i < 4; i++)
        memset(&world.components->fingerprints[parts[i]], 1 + i, sizeof(struct sha256));
    set_defaults();
    for (int i = 0; i < 2; i++) {
        struct task task = make_task(outs[i], &outcome);
        assert_ok(make_directories(outs[0]));
        assert_ok(unit_cache_open(outs[0], world.components, LOCKS_REQUIRED, &task.units));
        assert_non_null(task.units);
        encodings = 0;
        assert_ok(task_slm21(&task, SLM21_LEXICAL, false, root));
        assert_true(i ? encodings == 0 : encodings >= 6);
        assert_ok(unit_cache_close(task.units));
    }
    assert_true(same_file(test_path("out30/results_swuggy_dev.json"), test_path("out31/results_swuggy_dev.json")));
}

/* ---- rescore ---- */

/* Options that need no pass of their own, as indices of their words plus one. */
static void choose_options(int i)
{
    static const char *normalizations[][2] = {{"sum", "token"}, {"byte", "char"}, {"token", "byte"}};
    score.normalize = (struct config_list){normalizations[i % 3], i % 2 + 1};
    score.scope = 1 + i / 3 % 2;
    score.count = 1 + i / 2 % 2;
    score.mask = 1 + i % 2;
    score.tag = 2 + i / 4 % 2;
    score.tie = 1 + i % 3;
    score.eos = 1 + i / 6 % 2;
}

/* What is read off samples has the bits of what a run with the same options gives. */
static void rescoring_equals_a_new_run(void **state)
{
    (void)state;
    struct task_outcome outcome = {0};
    static FILE *nowhere;
    const char *root = make_slm21(), *out = test_path("out9"), *again = test_path("out10");
    static const char *const names[] = {"swuggy_dev", "wuggy_text_dev"};
    nowhere = nowhere ? nowhere : fopen("/dev/null", "w");
    for (int text = 0; text < 2; text++) {
        set_defaults();
        out = test_path("out9_%d", text);
        again = test_path("out10_%d", text);
        struct task task = make_task(out, &outcome), other = make_task(again, &outcome);
        assert_ok(task_slm21(&task, SLM21_LEXICAL, text, root));
        for (int i = 0; i < 12; i++) {
            set_defaults();
            choose_options(i);
            if (!text && i % 3 > 0)
                continue; /* speech has no characters */
            assert_ok(rescore(out, &score, false, nowhere));
            assert_ok(task_slm21(&other, SLM21_LEXICAL, text, root));
            char path[700];
            snprintf(path, sizeof path, "%s/rescored_%s.json", out, names[text]);
            json_t *rescored = json_load_file(path, 0, NULL), *fresh = read_results(again, names[text]);
            assert_non_null(rescored);
            assert_true(json_equal(json_object_get(rescored, "results"), json_object_get(fresh, "results")));
            assert_true(json_equal(json_object_get(rescored, "protocol"), json_object_get(fresh, "protocol")));
            json_decref(rescored);
            json_decref(fresh);
        }
        set_defaults();
        score.bos = 1;
        assert_fails(rescore(out, &score, false, nowhere), STATUS_USAGE, "score.bos=no needs a pass of its own");
        set_defaults();
        score.normalize = (struct config_list){(const char *[]){"pmi"}, 1};
        assert_fails(rescore(out, &score, false, nowhere), STATUS_USAGE, "score.normalize=pmi needs a pass");
    }
    assert_fails(rescore(root, &score, false, nowhere), STATUS_USAGE, "no samples of a benchmark");
    assert_fails(rescore(test_path("none"), &score, false, nowhere), STATUS_USAGE, "cannot be read as a folder");
}

static void damaged_samples_are_refused(void **state)
{
    (void)state;
    struct task_outcome outcome = {0};
    const char *root = make_slm21(), *out = test_path("out11"), *samples = test_path("out11/samples_swuggy_dev.jsonl");
    char *text;
    void *bytes;
    int64_t size;
    set_defaults();
    struct task task = make_task(out, &outcome);
    assert_ok(task_slm21(&task, SLM21_LEXICAL, false, root));
    assert_ok(file_read(samples, 1 << 20, &bytes, &size));
    text = bytes;
    write_plainly(samples, text, size - 5);
    assert_fails(rescore(out, &score, false, stderr), STATUS_CORRUPT,
                 "samples_swuggy_dev.jsonl:4: the line is cut off");
    const char *last = memrchr(text, '\n', (size_t)size - 1);
    write_plainly(samples, text, last + 1 - text);
    assert_fails(rescore(out, &score, false, stderr), STATUS_CORRUPT, "expected 3 items, found 2");
    *strchr(strchr(text, '\n') + 1, '{') = '[';
    write_plainly(samples, text, size);
    assert_fails(rescore(out, &score, false, stderr), STATUS_CORRUPT, "samples_swuggy_dev.jsonl:2");
    free(bytes);
}

/* ---- submissions ---- */

static void submissions_have_a_score_per_recording(void **state)
{
    (void)state;
    struct task_outcome outcome = {0};
    const char *root = make_slm21(), *out = test_path("out12");
    struct submission_settings settings = {.username = "u",
                                           .system_description = "s",
                                           .train_set = "t",
                                           .author_label = "A et al.",
                                           .authors = "A",
                                           .institution = "i",
                                           .publication_year = 2026};
    static FILE *nowhere;
    nowhere = nowhere ? nowhere : fopen("/dev/null", "w");
    set_defaults();
    struct task task = make_task(out, &outcome);
    assert_fails(submit_slm21(out, &score, false, &settings, nowhere), STATUS_USAGE, "no samples of swuggy or sblimp");
    assert_ok(task_slm21(&task, SLM21_LEXICAL, false, root));
    score.normalize = (struct config_list){(const char *[]){"sum"}, 1};
    assert_ok(submit_slm21(out, &score, false, &settings, nowhere));
    FILE *file = fopen(test_path("out12/submission/lexical/dev.txt"), "r");
    char name[32];
    double value;
    int lines = 0;
    assert_non_null(file);
    while (fscanf(file, "%31s %lf", name, &value) == 2) {
        const struct piece pieces[] = {{PIECE_AUDIO, word_path(name)}};
        int64_t tokens;
        assert_true(fabs(value - oracle_sum(pieces, 1, 0, &tokens)) < 2e-5 * (double)(1 + tokens));
        lines++;
    }
    fclose(file);
    assert_int_equal(lines, 6);
    settings.authors = "<authors>";
    assert_fails(submit_slm21(out, &score, false, &settings, nowhere), STATUS_USAGE, "publication.authors");
}

static void reports_stand_beside_published_numbers(void **state)
{
    (void)state;
    struct task_outcome outcome = {0};
    char text[8192] = "", expected[64];
    const char *root = make_slm21(), *folders[2] = {test_path("out13"), test_path("out14")};
    FILE *stream = fmemopen(text, sizeof text - 1, "w");
    set_defaults();
    for (int i = 0; i < 2; i++) {
        struct task task = make_task(folders[i], &outcome);
        assert_ok(i ? task_slm21(&task, SLM21_LEXICAL, true, root) : task_slm21(&task, SLM21_LEXICAL, false, root));
    }
    assert_ok(comparison_write(folders, 2, stream));
    fclose(stream);
    json_t *results = read_results(folders[0], "swuggy_dev");
    const json_t *row = json_object_get(json_object_get(results, "results"), "swuggy_dev");
    snprintf(expected, sizeof expected, "| swuggy_dev | accuracy | token | %.2f |",
             100 * json_number_value(json_object_get(row, "acc,token")));
    json_decref(results);
    assert_non_null(strstr(text, expected));
    assert_non_null(strstr(text, "| 69.0 | 65.0 |"));
    assert_non_null(strstr(text, "| wuggy_text_dev | accuracy | sum |"));
    assert_null(strstr(text, "swuggy_dev_oov"));
    FILE *page = fopen(test_path("out13/report.html"), "r");
    assert_non_null(page);
    fclose(page);
    const char *none = test_path("slm21");
    assert_fails(comparison_write(&none, 1, stderr), STATUS_USAGE, "no results of a benchmark");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_averaged_over_voices),
        cmocka_unit_test(written_words_are_pairs_per_id),
        cmocka_unit_test(missing_recordings_are_refused_or_counted),
        cmocka_unit_test(parts_are_averaged),
        cmocka_unit_test(all_directions_of_stories_in_pieces),
        cmocka_unit_test(pmi_compares_endings_after_their_context),
        cmocka_unit_test(whole_stories_are_compared_whole),
        cmocka_unit_test(questions_are_answered_by_letters),
        cmocka_unit_test(sentences_are_averaged_over_files),
        cmocka_unit_test(written_stories_have_two_endings),
        cmocka_unit_test(the_same_run_writes_the_same_bytes),
        cmocka_unit_test(known_recordings_are_not_encoded_again),
        cmocka_unit_test(rescoring_equals_a_new_run),
        cmocka_unit_test(damaged_samples_are_refused),
        cmocka_unit_test(submissions_have_a_score_per_recording),
        cmocka_unit_test(reports_stand_beside_published_numbers),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
