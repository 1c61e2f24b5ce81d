/* Recognition and intents with a model that says what it is told: a perfect one, and each way to go wrong, with numbers and counters
 * worked out by hand; what is kept in the journal, and for whom. */
#include "support/files.h"
#include "support/generation_world.h"
#include "support/scripted_model.h"
#include "support/test_support.h"

#include "io/atomic_file.h"
#include "io/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct generation_world world;

/* An item whose recording is the unit `number`; the model replies `reply`. */
struct item {
    const char *part, *id, *answer, *reply;
    int number;
    bool endless; /* the last id of the reply goes on */
};

/* What the model sees and says. */
struct conversation {
    const struct item *items;
    int64_t count;
    int64_t fails_at; /* request at which its logits are not finite; 0: never */
    int64_t requests;
};

static struct scripted_reply answer(void *argument, const struct generation_request *request)
{
    struct conversation *conversation = argument;
    const struct vocabulary *vocabulary = &world.components->vocabulary;
    struct scripted_reply reply = {0};
    int64_t at = request->count - 1;
    conversation->requests++;
    if (conversation->requests == conversation->fails_at)
        return (struct scripted_reply){.not_finite = true};
    while (at > 0 && vocabulary_kind(vocabulary, request->ids[at]) != TOKEN_HUBERT)
        at--;
    for (int64_t i = 0; i < conversation->count; i++)
        if (conversation->items[i].number == request->ids[at] - vocabulary->hubert_base &&
            conversation->items[i].reply) {
            reply.ids = scripted_ids(world.components, conversation->items[i].reply, &reply.count);
            reply.endless = conversation->items[i].endless;
            return reply;
        }
    fail_msg("a prompt of no item");
    return reply;
}

static int open_world(void **state)
{
    (void)state;
    generation_world_open(false, &world);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    generation_world_close(&world);
    return 0;
}

static double number_of(const json_t *results, const char *row, const char *key)
{
    const json_t *value = json_object_get(json_object_get(json_object_get(results, "results"), row), key);
    if (!json_is_number(value))
        fail_msg("%s of %s is no number", key, row);
    return json_number_value(value);
}

static void expect_number(const json_t *results, const char *row, const char *key, double expected)
{
    double found = number_of(results, row, key);
    if (!(fabs(found - expected) <= 1e-12 * fmax(1, fabs(expected))))
        fail_msg("%s of %s: expected %.17g, found %.17g", key, row, expected, found);
}

/* ---- recognition ---- */

#define B "<START Transcript>"

/* Ids are SPEAKER-CHAPTER-NNNN; those of dev-clean are the examples. */
static const struct item spoken[] = {
    {"dev-clean", "1-1-0000", "THE FIRST OF THEM", NULL, 1, false},
    {"dev-clean", "2-1-0000", "IT'S THE SECOND", NULL, 2, false},
    {"dev-clean", "3-1-0000", "AND THE THIRD", NULL, 3, false},
    {"test-clean", "11-1-0000", "ONE TWO THREE", B "one two three<END>", 11, false},
    {"test-clean", "11-1-0001", "FOUR FIVE", B "four five", 12, false},                      /* no end flag */
    {"test-clean", "11-1-0002", "SIX SEVEN EIGHT", B "six" B "seven eight<END>", 13, false}, /* a second start: D D */
    {"test-clean", "12-1-0000", "NINE", "", 14, false},                                      /* empty: D */
    {"test-clean", "12-1-0001", "TEN ELEVEN", "[Hu7]" B "ten<END>", 15, false},              /* other modality: D D */
    {"test-clean", "12-1-0002", "TWELVE", B "twelve a", 16, true},                           /* too long: I I ... */
    {"test-clean", "12-1-0003", "THIRTEEN FOURTEEN", "thirteen fifteen<END>", 17, false},    /* no start flag: S */
    {"test-clean", "12-1-0004", "IT'S SO", B "  it's not so \t<END> [Speech]", 18, false},   /* I */
    {"test-other", "21-1-0000", "SO", B "so<END>", 21, false},
    {"test-other", "21-1-0001", "BE IT", B "be it<END>", 22, false},
};
enum { SPOKEN = sizeof spoken / sizeof *spoken, CLEAN = 8 };

/* `level`: of the recordings; another one is another recording, of the same size. */
static const char *write_librispeech(const char *name, int64_t level)
{
    char text[2048], chapter[32] = "";
    size_t used = 0;
    for (int i = 0; i <= SPOKEN; i++) {
        char own[32] = "";
        if (i < SPOKEN)
            snprintf(own, sizeof own, "%s/%.*s", spoken[i].part, (int)strcspn(spoken[i].id, "-"), spoken[i].id);
        if (i > 0 && strcmp(own, chapter) != 0) {
            const char *speaker = strchr(chapter, '/') + 1;
            generation_file_write(test_path("%s/%s/1/%s-1.trans.txt", name, chapter, speaker), text);
            used = 0;
        }
        if (i == SPOKEN)
            break;
        const int64_t value = spoken[i].number + level * WORLD_HUBERT, length = 3000;
        generation_clip_write(test_path("%s/%s/1/%s.wav", name, own, spoken[i].id), &value, &length, 1);
        used += (size_t)snprintf(text + used, sizeof text - used, "%s %s\n", spoken[i].id, spoken[i].answer);
        strcpy(chapter, own);
    }
    return test_path("%s", name);
}

/* The least number of single edits; `words`: of words, else of characters, all of one byte here. */
static int64_t edits(const char *a, const char *b, bool words)
{
    const char *units[2][512];
    size_t sizes[2][512];
    int64_t counts[2] = {0}, row[513];
    for (int t = 0; t < 2; t++)
        for (const char *at = t ? b : a; *at; at += words ? strspn(at, " ") : 0) {
            size_t size = words ? strcspn(at, " ") : 1;
            units[t][counts[t]] = at;
            sizes[t][counts[t]++] = size;
            at += size;
        }
    for (int64_t k = 0; k <= counts[1]; k++)
        row[k] = k;
    for (int64_t i = 1; i <= counts[0]; i++) {
        int64_t corner = row[0]++;
        for (int64_t k = 1; k <= counts[1]; k++) {
            bool same =
                sizes[0][i - 1] == sizes[1][k - 1] && !memcmp(units[0][i - 1], units[1][k - 1], sizes[0][i - 1]);
            int64_t best = corner + !same;
            corner = row[k];
            best = row[k] + 1 < best ? row[k] + 1 : best;
            row[k] = row[k - 1] + 1 < best ? row[k - 1] + 1 : best;
        }
    }
    return row[counts[1]];
}

static int64_t units_in(const char *text, bool words)
{
    return edits(text, "", words);
}

static void lower(const char *text, char *to)
{
    for (; *text; text++)
        *to++ = *text >= 'A' && *text <= 'Z' ? (char)(*text + 32) : *text;
    *to = 0;
}

/* Rates and the ratio estimator's error over what was answered to the items of a part. */
static void expect_rates(const json_t *results, const char *row, const struct item *items, int count,
                         const char *const *answers)
{
    static const char *const keys[2][2] = {{"cer,none", "cer_stderr,none"}, {"wer,none", "wer_stderr,none"}};
    for (int words = 0; words < 2; words++) {
        double errors[16], sizes[16], total = 0, size = 0, squares = 0;
        for (int i = 0; i < count; i++) {
            char reference[64];
            lower(items[i].answer, reference);
            errors[i] = (double)edits(reference, answers[i], words);
            sizes[i] = (double)units_in(reference, words);
            total += errors[i];
            size += sizes[i];
        }
        for (int i = 0; i < count; i++)
            squares += pow(errors[i] - total / size * sizes[i], 2);
        expect_number(results, row, keys[words][0], total / size);
        expect_number(results, row, keys[words][1], sqrt((double)count / (count - 1) * squares) / size);
    }
}

static void set_shots(int64_t shots)
{
    static char word[24];
    static const char *words[] = {word};
    snprintf(word, sizeof word, "%lld", (long long)shots);
    world.evaluate.shots = shots;
    world.evaluate.shot_list = (struct config_list){words, 1};
}

static void expect_counters(const json_t *results, const char *row, const int64_t counters[8])
{
    static const char *const keys[] = {"no_end",   "second_begin", "other_modality", "too_long",
                                       "no_begin", "empty",        "lost_shots",     "items_that_lost_shots"};
    for (int k = 0; k < 8; k++)
        expect_number(results, row, keys[k], (double)counters[k]);
}

static void a_perfect_model_makes_no_errors(void **state)
{
    (void)state;
    static struct item perfect[SPOKEN];
    static char replies[SPOKEN][128];
    const char *out = test_path("perfect"), *archive = write_librispeech("libri", 0);
    for (int i = 0; i < SPOKEN; i++) {
        char text[64];
        lower(spoken[i].answer, text);
        snprintf(replies[i], sizeof replies[i], B "%s<END>", text);
        perfect[i] = spoken[i];
        perfect[i].reply = replies[i];
        perfect[i].endless = false;
    }
    for (int ranks = 1; ranks <= WORLD_RANKS; ranks++) {
        struct conversation conversation = {perfect, SPOKEN, 0, 0};
        generation_world_reset(&world);
        set_shots(3);
        world.evaluate.ranks = ranks;
        struct task task = generation_world_task(&world, out);
        scripted_model_set(answer, &conversation);
        assert_ok(task_asr(&task, archive));
        assert_int_equal(conversation.requests, SPOKEN - 3);
        json_t *results = generation_results_read(out, "asr");
        for (int part = 0; part < 2; part++) {
            const char *row = part ? "asr_test-other" : "asr_test-clean";
            static const char *const keys[] = {"wer,none", "wer_stderr,none", "cer,none", "cer_stderr,none",
                                               "wer,mean"};
            for (int k = 0; k < 5; k++)
                expect_number(results, row, keys[k], 0);
            expect_counters(results, row, (int64_t[8]){0});
            expect_number(results, row, "sample_len", part ? 2 : CLEAN);
        }
        json_decref(results);
        assert_int_equal(access(test_path("perfect/journal_asr.log"), F_OK), -1);
    }
}

static const char *const clean_answers[CLEAN] = {"one two three",    "four five",  "six", "", "", NULL,
                                                 "thirteen fifteen", "it's not so"};

/* What the model repeats is one piece and one word. */
static const char *endless_answer(void)
{
    static char text[1024];
    int64_t count, piece;
    free(scripted_ids(world.components, B "twelve a", &count));
    free(scripted_ids(world.components, " a", &piece));
    assert_int_equal(piece, 1);
    size_t used = (size_t)snprintf(text, sizeof text, "twelve");
    for (int64_t i = count - 1; i < 200; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, " a");
    return text;
}

static void each_fault_of_recognition_is_counted(void **state)
{
    (void)state;
    struct conversation conversation = {spoken, SPOKEN, 0, 0};
    const char *out = test_path("faults"), *archive = write_librispeech("libri", 0), *answers[CLEAN];
    generation_world_reset(&world);
    set_shots(3);
    struct task task = generation_world_task(&world, out);
    scripted_model_set(answer, &conversation);
    assert_ok(task_asr(&task, archive));
    memcpy(answers, clean_answers, sizeof answers);
    answers[5] = endless_answer();
    json_t *results = generation_results_read(out, "asr"), *samples = generation_samples_read(out, "asr");
    expect_rates(results, "asr_test-clean", &spoken[3], CLEAN, answers);
    expect_counters(results, "asr_test-clean", (int64_t[8]){2, 1, 1, 1, 3, 2, 0, 0});
    expect_number(results, "asr_test-other", "wer,none", 0);
    expect_counters(results, "asr_test-other", (int64_t[8]){0});
    static const char *const endings[CLEAN] = {"ended",          "no_end",   "second_begin", "no_end",
                                               "other_modality", "too_long", "ended",        "ended"};
    static const int errors[CLEAN][3] = {{0, 0, 0}, {0, 0, 0},  {0, 2, 0}, {0, 1, 0},
                                         {0, 2, 0}, {0, 0, -1}, {1, 0, 0}, {0, 0, 1}};
    for (size_t i = 0; i < CLEAN; i++) {
        static const char *const kinds[] = {"substitutions", "deletions", "insertions"};
        const json_t *sample = json_array_get(samples, i);
        assert_string_equal(json_string_value(json_object_get(sample, "doc_id")), spoken[3 + i].id);
        assert_string_equal(json_string_value(json_array_get(json_object_get(sample, "filtered_resps"), 0)),
                            answers[i]);
        assert_string_equal(json_string_value(json_object_get(sample, "ending")), endings[i]);
        assert_string_equal(json_string_value(json_object_get(sample, "target")), spoken[3 + i].answer);
        for (int k = 0; k < 3; k++)
            if (errors[i][k] >= 0)
                assert_int_equal(json_integer_value(json_object_get(json_object_get(sample, "words"), kinds[k])),
                                 errors[i][k]);
    }
    assert_int_equal(json_integer_value(json_object_get(json_array_get(samples, 5), "tokens")), 200);
    json_decref(results);
    json_decref(samples);
}

/* ---- intents ---- */

static const struct item commanded[] = {
    {"train", "w/1.wav", "activate lights bedroom", NULL, 31, false},
    {"train", "w/2.wav", "change language Chinese", NULL, 32, false},
    {"test", "w/a.wav", "bring juice", "bring juice\n", 41, false},
    {"test", "w/b.wav", "change language Chinese", " change language Chinese \nso", 42, false},
    {"test", "w/c.wav", "bring juice", "bring juice", 43, false},                           /* right, but no end */
    {"test", "w/d.wav", "change language Chinese", "change language chinese\n", 44, false}, /* wrong: letters */
    {"test", "w/e.wav", "bring juice", "bring juice now\n", 45, false},                     /* wrong */
    {"test", "w/f.wav", "bring juice", "bring juice[Text]\n", 46, false},                   /* right, other modality */
    {"test", "w/g.wav", "bring juice", "\n", 47, false},                                    /* wrong: empty */
    {"test", "w/h.wav", "bring juice", "bring juice a", 48, true},                          /* wrong: too long */
    {"test", "w/i.wav", "bring juice", "[Hu9]bring juice\n", 49, false}, /* wrong: other modality, empty */
};
enum { COMMANDED = sizeof commanded / sizeof *commanded };

static const char *write_commands(const struct item *items, int count)
{
    char texts[2][2048], *at[2] = {texts[0], texts[1]};
    for (int p = 0; p < 2; p++)
        at[p] = stpcpy(at[p], ",path,speakerId,transcription,action,object,location\n");
    for (int i = 0; i < count; i++) {
        char slots[64], *space;
        const int64_t value = items[i].number, length = 2000;
        int p = !strcmp(items[i].part, "test");
        snprintf(slots, sizeof slots, "%s", items[i].answer);
        /* the action may be of two words; objects and locations here are of one */
        space = strrchr(slots, ' ');
        *space = 0;
        at[p] += sprintf(at[p], "%d,%s,p%d,\"said, somehow\",%s,%s,none\n", i, items[i].id, i, slots, space + 1);
        generation_clip_write(test_path("fsc/%s", items[i].id), &value, &length, 1);
    }
    generation_file_write(test_path("fsc/data/train_data.csv"), texts[0]);
    generation_file_write(test_path("fsc/data/test_data.csv"), texts[1]);
    return test_path("fsc");
}

static void each_fault_of_intents_is_counted(void **state)
{
    (void)state;
    struct conversation conversation = {commanded, COMMANDED, 0, 0};
    const char *out = test_path("intents"), *archive = write_commands(commanded, COMMANDED);
    generation_world_reset(&world);
    set_shots(2);
    struct task task = generation_world_task(&world, out);
    scripted_model_set(answer, &conversation);
    assert_ok(task_intent(&task, archive));
    json_t *results = generation_results_read(out, "intent"), *samples = generation_samples_read(out, "intent");
    const double p = 4.0 / 9; /* a, b, c, f */
    expect_number(results, "intent_test", "exact_match,none", p);
    expect_number(results, "intent_test", "exact_match_stderr,none", sqrt(p * (1 - p) / 8));
    expect_counters(results, "intent_test", (int64_t[8]){1, 0, 2, 1, 0, 2, 0, 0});
    static const int right[] = {1, 1, 1, 0, 0, 1, 0, 0, 0};
    for (size_t i = 0; i < 9; i++)
        assert_int_equal(json_integer_value(json_object_get(json_array_get(samples, i), "exact_match")), right[i]);
    json_decref(results);
    json_decref(samples);
}

static void a_perfect_model_names_every_intent(void **state)
{
    (void)state;
    static struct item perfect[COMMANDED];
    static char replies[COMMANDED][64];
    const char *out = test_path("all_intents"), *archive = write_commands(commanded, COMMANDED);
    for (int i = 0; i < COMMANDED; i++) {
        snprintf(replies[i], sizeof replies[i], "%s\n", commanded[i].answer);
        perfect[i] = commanded[i];
        perfect[i].reply = replies[i];
        perfect[i].endless = false;
    }
    struct conversation conversation = {perfect, COMMANDED, 0, 0};
    generation_world_reset(&world);
    set_shots(0);
    struct task task = generation_world_task(&world, out);
    scripted_model_set(answer, &conversation);
    assert_ok(task_intent(&task, archive));
    json_t *results = generation_results_read(out, "intent");
    expect_number(results, "intent_test", "exact_match,none", 1);
    expect_number(results, "intent_test", "exact_match_stderr,none", 0);
    expect_counters(results, "intent_test", (int64_t[8]){0});
    json_decref(results);
}

/* ---- examples from elsewhere ---- */

static enum status run_asr(const char *out, const char *archive, int64_t fails_at, struct conversation *conversation)
{
    *conversation = (struct conversation){spoken, SPOKEN, fails_at, 0};
    scripted_model_set(answer, conversation);
    struct task task = generation_world_task(&world, out);
    return task_asr(&task, archive);
}

static void examples_may_be_given(void **state)
{
    (void)state;
    struct conversation conversation;
    const char *archive = write_librispeech("libri", 0), *ids = test_path("ids.txt"), *out = test_path("given");
    generation_world_reset(&world);
    set_shots(2);
    world.evaluate.shot_ids = ids;
    write_text(ids, "\r\n3-1-0000\r\n\n1-1-0000\n2-1-0000\n");
    assert_ok(run_asr(out, archive, 0, &conversation));
    json_t *results = generation_results_read(out, "asr");
    const json_t *shots = json_object_get(json_object_get(results, "inputs"), "shots");
    assert_int_equal(json_array_size(shots), 2);
    assert_string_equal(json_string_value(json_array_get(shots, 0)), "3-1-0000");
    assert_string_equal(json_string_value(json_array_get(shots, 1)), "1-1-0000");
    json_decref(results);
    write_text(ids, "3-1-0000\n11-1-0000\n");
    assert_fails(run_asr(out, archive, 0, &conversation), STATUS_USAGE, "ids.txt:2: 11-1-0000 is tested");
    write_text(ids, "3-1-0000\nnobody\n");
    assert_fails(run_asr(out, archive, 0, &conversation), STATUS_CORRUPT, "ids.txt:2: nobody is not in the archive");
    write_text(ids, "3-1-0000\n");
    assert_fails(run_asr(out, archive, 0, &conversation), STATUS_CORRUPT, "expected 2 ids of examples, found 1");
    write_text(ids, "3-1-0000\n3-1-0000\n");
    assert_fails(run_asr(out, archive, 0, &conversation), STATUS_CORRUPT, "ids.txt:2: 3-1-0000 is there twice");
    world.evaluate.shots_from = write_librispeech("other", 1);
    write_text(ids, "3-1-0000\n11-1-0000\n"); /* of the other archive, where nothing is tested */
    assert_ok(run_asr(out, archive, 0, &conversation));
    set_shots(4);
    world.evaluate.shots_from = "";
    world.evaluate.shot_ids = "";
    assert_fails(run_asr(out, archive, 0, &conversation), STATUS_CORRUPT, "evaluate.shots_from");
}

static void what_is_missing_is_refused_or_counted(void **state)
{
    (void)state;
    struct conversation conversation;
    const char *archive = write_librispeech("holes", 0), *out = test_path("holes_out");
    generation_world_reset(&world);
    set_shots(2);
    assert_int_equal(remove(test_path("holes/test-clean/11/1/11-1-0001.wav")), 0);
    assert_fails(run_asr(out, archive, 0, &conversation), STATUS_CORRUPT, "the recording of 11-1-0001 is missing");
    assert_int_equal(access(test_path("holes_out/results_asr.json"), F_OK), -1);
    world.evaluate.incomplete = INCOMPLETE_SKIP;
    assert_ok(run_asr(out, archive, 0, &conversation));
    json_t *results = generation_results_read(out, "asr");
    expect_number(results, "asr_test-clean", "sample_len", CLEAN - 1);
    assert_int_equal(json_integer_value(json_object_get(results, "missing")), 1);
    json_decref(results);
}

/* ---- random numbers ---- */

/* The seed with which each item was asked. */
struct seeds {
    uint64_t of[64]; /* by the item's unit */
    int64_t count;
};

static struct scripted_reply note_seed(void *argument, const struct generation_request *request)
{
    struct seeds *seeds = argument;
    const struct vocabulary *vocabulary = &world.components->vocabulary;
    int64_t at = request->count - 1;
    while (at > 0 && vocabulary_kind(vocabulary, request->ids[at]) != TOKEN_HUBERT)
        at--;
    seeds->of[request->ids[at] - vocabulary->hubert_base] = request->seed;
    seeds->count++;
    return (struct scripted_reply){0};
}

static struct seeds seeds_of_run(const char *archive, const char **seed, int64_t ranks)
{
    struct seeds seeds = {0};
    generation_world_reset(&world);
    set_shots(0);
    world.evaluate.seeds = (struct config_list){seed, 1};
    world.evaluate.ranks = ranks;
    struct task task = generation_world_task(&world, test_path("seeds"));
    scripted_model_set(note_seed, &seeds);
    assert_ok(task_asr(&task, archive));
    return seeds;
}

static void random_numbers_depend_on_seed_and_id_alone(void **state)
{
    (void)state;
    static const char *one[] = {"1"}, *two[] = {"2"};
    const char *archive = write_librispeech("libri", 0);
    const struct seeds first = seeds_of_run(archive, one, 1), other = seeds_of_run(archive, two, 1);
    for (int ranks = 1; ranks <= WORLD_RANKS; ranks++) {
        const struct seeds again = seeds_of_run(archive, one, ranks);
        assert_memory_equal(&again, &first, sizeof first);
    }
    for (int i = 3; i < SPOKEN; i++)
        for (int k = 3; k < SPOKEN; k++) {
            assert_true(i == k || first.of[spoken[i].number] != first.of[spoken[k].number]);
            assert_true(first.of[spoken[i].number] != other.of[spoken[k].number]);
        }
}

/* ---- the journal ---- */

static void assert_same_output(const char *a, const char *b, const char *name)
{
    char paths[2][1024];
    snprintf(paths[0], sizeof paths[0], "%s/%s", a, name);
    snprintf(paths[1], sizeof paths[1], "%s/%s", b, name);
    assert_true(same_file(paths[0], paths[1]));
}

/* Finished items: all lines but the first. */
static int64_t journal_items(const char *path)
{
    void *data;
    int64_t size, lines = 0;
    assert_ok(file_read(path, 1 << 20, &data, &size));
    for (int64_t i = 0; i < size; i++)
        lines += ((char *)data)[i] == '\n';
    free(data);
    return lines - 1;
}

/* Several ranks go on for a while after one has failed. */
static void an_interrupted_run_goes_on(void **state)
{
    (void)state;
    struct conversation conversation;
    const char *archive = write_librispeech("libri", 0), *whole = test_path("whole"), *out = test_path("torn");
    generation_world_reset(&world);
    set_shots(3);
    assert_ok(run_asr(whole, archive, 0, &conversation));
    int64_t answered = 0, interruptions = 0;
    for (; answered < SPOKEN - 3; interruptions++) {
        world.evaluate.ranks = 1 + interruptions % WORLD_RANKS;
        if (run_asr(out, archive, 2, &conversation) == STATUS_OK)
            fail_msg("a run whose second answer has failed did not");
        assert_non_null(strstr(status_text(), "logits are not finite"));
        assert_int_equal(access(test_path("torn/results_asr.json"), F_OK), -1);
        answered = journal_items(test_path("torn/journal_asr.log"));
        if (answered >= SPOKEN - 3 - 2)
            break;
    }
    assert_true(interruptions > 0);
    world.evaluate.ranks = 1;
    assert_ok(run_asr(out, archive, 0, &conversation));
    assert_int_equal(conversation.requests, SPOKEN - 3 - answered);
    assert_same_output(whole, out, "results_asr.json");
    assert_same_output(whole, out, "samples_asr.jsonl");
    assert_int_equal(access(test_path("torn/journal_asr.log"), F_OK), -1);
}

/* An interrupted run is never continued with another model, archive, prompt, or set of examples; the text names both. */
static void another_run_is_not_continued(void **state)
{
    (void)state;
    struct conversation conversation;
    const char *archive = write_librispeech("libri", 0), *out = test_path("begun"), *ids = test_path("order.txt");
    const char *yaml = test_path("asr_other.yaml");
    static const char *seven[] = {"7"}, *clean[] = {"test-clean"};
    generation_world_reset(&world);
    set_shots(3);
    assert_fails(run_asr(out, archive, 4, &conversation), STATUS_CORRUPT, "not finite");

    write_text(test_path("weights"), "of another model, as it were.");
    assert_fails(run_asr(out, archive, 0, &conversation), STATUS_USAGE, "fingerprints {");
    assert_non_null(strstr(status_text(), "and this one has {"));
    write_text(test_path("weights"), "of a model that is not there");

    write_text(yaml, "extends: " TEST_SOURCE_DIRECTORY "/configs/prompts/asr.yaml\nprompt: {limit: 201}\n");
    world.prompts.asr = yaml;
    assert_fails(run_asr(out, archive, 0, &conversation), STATUS_USAGE, "with inputs {");
    assert_non_null(strstr(status_text(), "and this one has {"));
    world.prompts.asr = "";

    set_shots(2);
    assert_fails(run_asr(out, archive, 0, &conversation), STATUS_USAGE, "with inputs {");
    set_shots(3);
    world.evaluate.limit = 5;
    assert_fails(run_asr(out, archive, 0, &conversation), STATUS_USAGE, "with inputs {");
    world.evaluate.limit = 0;
    world.evaluate.shot_ids = ids;
    write_text(ids, "3-1-0000\n2-1-0000\n1-1-0000\n");
    enum status first = run_asr(out, archive, 0, &conversation);
    write_text(ids, "1-1-0000\n2-1-0000\n3-1-0000\n");
    assert_true(first == STATUS_USAGE ||
                run_asr(out, archive, 0, &conversation) == STATUS_USAGE); /* one of them is not the draw */
    world.evaluate.shot_ids = "";
    world.evaluate.seeds = (struct config_list){seven, 1}; /* the same examples in another order, if not by chance */
    world.evaluate.parts = (struct config_list){clean, 1};
    assert_int_not_equal(run_asr(out, archive, 0, &conversation), STATUS_OK);
    world.evaluate.seeds = world.evaluate.parts = (struct config_list){0};

    const int64_t value = 5, length = 3100;
    generation_clip_write(test_path("libri/dev-clean/1/1/1-1-0000.wav"), &value, &length, 1);
    assert_fails(run_asr(out, archive, 0, &conversation), STATUS_USAGE, "with archive \"");
    assert_non_null(strstr(status_text(), "\", and this one has \""));
    write_librispeech("libri", 0);
    assert_ok(run_asr(out, archive, 0, &conversation));
    assert_int_equal(conversation.requests, SPOKEN - 3 - 3);
}

/* Sizes and names of an archive's files say nothing of what is in them: here an example sounds otherwise, so every prompt is another. */
static void other_recordings_of_the_same_size_are_answered_anew(void **state)
{
    (void)state;
    struct conversation conversation;
    const char *archive = write_librispeech("libri", 0), *out = test_path("same_size");
    const int64_t value = 300, length = 3000;
    generation_world_reset(&world);
    set_shots(3);
    assert_fails(run_asr(out, archive, 4, &conversation), STATUS_CORRUPT, "not finite");
    generation_clip_write(test_path("libri/dev-clean/1/1/1-1-0000.wav"), &value, &length, 1);
    assert_ok(run_asr(out, archive, 0, &conversation));
    assert_int_equal(conversation.requests, SPOKEN - 3);
    write_librispeech("libri", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_perfect_model_makes_no_errors),
        cmocka_unit_test(each_fault_of_recognition_is_counted),
        cmocka_unit_test(each_fault_of_intents_is_counted),
        cmocka_unit_test(a_perfect_model_names_every_intent),
        cmocka_unit_test(examples_may_be_given),
        cmocka_unit_test(what_is_missing_is_refused_or_counted),
        cmocka_unit_test(random_numbers_depend_on_seed_and_id_alone),
        cmocka_unit_test(an_interrupted_run_goes_on),
        cmocka_unit_test(another_run_is_not_continued),
        cmocka_unit_test(other_recordings_of_the_same_size_are_answered_anew),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
