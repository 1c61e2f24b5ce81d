/* The demo's stories: what lies in the archive, against the rules written down anew, and what the benchmark says of models whose
 * knowledge is known. Utterances are words of one letter, each spoken as a tone. All letters of an utterance are of one topic. A model with
 * planted weights expects the topics that it has heard, in either modality: it must win in all directions and lose when right and wrong
 * endings change places; models with random weights must do neither. */
#include "support/files.h"
#include "support/test_kernels.h"
#include "support/test_support.h"
#include "support/tiny_world.h"

#include "core/rng.h"
#include "data/demo/demo_stories.h"
#include "data/shard_index.h"
#include "eval/task.h"
#include "generate/prompt.h"
#include "io/atomic_file.h"
#include "io/audio/audio.h"
#include "io/json.h"
#include "io/wav.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { UTTERANCES = 48, MOST_WORDS = 40, WORD_SAMPLES = 3840, TOPICS = 6, LETTERS = 18, WRONG = 3, HOP = 640 };

static struct rng rng;
static struct tiny_world world;
static char words[UTTERANCES][MOST_WORDS];
static int64_t counts[UTTERANCES];
static char manifest[600], dataset[600];

/* ---- the corpus ---- */

/* Crossings of zero in pieces of 1 / rate seconds: a tone's number where a piece is HOP samples. */
static enum status count_crossings(const struct speech_encoder *self, struct speech_utterance *utterance,
                                   uint16_t **values, int64_t *count)
{
    int64_t hop = 16000 * self->rate.denominator / self->rate.numerator;
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

/* Letter l of the utterance's topic: `number` + 1 half periods in HOP samples, so `number` crossings. */
static void sing(int64_t number, float *samples)
{
    for (int64_t i = 0; i < WORD_SAMPLES; i++)
        samples[i] = (float)(0.5 * sin(3.14159265358979 * (double)(number + 1) * ((double)(i % HOP) + 0.5) / HOP));
}

static void write_sound(int64_t u)
{
    float *samples = malloc((size_t)(counts[u] * WORD_SAMPLES) * sizeof *samples);
    assert_non_null(samples);
    for (int64_t w = 0; w < counts[u]; w++)
        sing(words[u][w] - 'a', samples + w * WORD_SAMPLES);
    assert_ok(wav_write(test_path("sounds/%d.wav", (int)u), samples, counts[u] * WORD_SAMPLES));
    free(samples);
}

static const char *speaker_of(int64_t u)
{
    return u % 3 == 0 ? "ann" : "bob";
}

/* "a b c" of words [first, end). */
static int64_t spell(int64_t u, int64_t first, int64_t end, char text[2 * MOST_WORDS])
{
    int64_t size = 0;
    for (int64_t w = first; w < end; w++) {
        if (w > first)
            text[size++] = ' ';
        text[size++] = words[u][w];
    }
    text[size] = 0;
    return size;
}

static void write_dataset(void)
{
    struct shard_writer *writer;
    struct shard *shard;
    struct shard_entry entry = {.rows = UTTERANCES};
    struct shard_index index = {.kind = DATASET_SPEECH, .shards = &entry, .shard_count = 1};
    char path[4096];
    static uint16_t units[MOST_WORDS * WORD_SAMPLES / HOP];
    index.fingerprints.rates = (struct unit_rates){{{25, 1}, {25, 2}, {1, 1}}};
    assert_ok(make_directories(dataset));
    assert_ok(shard_writer_create(&writer));
    for (int64_t u = 0; u < UTTERANCES; u++) {
        char id[32], text[2 * MOST_WORDS];
        struct aligned_word times[MOST_WORDS];
        const char *speaker = speaker_of(u);
        int64_t samples = counts[u] * WORD_SAMPLES;
        for (int64_t w = 0; w < counts[u]; w++)
            times[w] = (struct aligned_word){(int32_t)(w * WORD_SAMPLES + 100), (int32_t)((w + 1) * WORD_SAMPLES - 100),
                                             (int32_t)(2 * w), (int32_t)(2 * w + 1)};
        struct shard_row row = {.id = id,
                                .id_length = snprintf(id, sizeof id, "u/%d.x", (int)u),
                                .text = text,
                                .text_length = spell(u, 0, counts[u], text),
                                .speaker = speaker,
                                .speaker_length = (int64_t)strlen(speaker),
                                .words = times,
                                .word_count = counts[u],
                                .duration = (int32_t)samples,
                                .score = NAN};
        row.units =
            (struct units){{units, units, units}, {samples / HOP, samples / (2 * HOP), (samples + 15999) / 16000}};
        assert_ok(shard_writer_add(writer, &row));
    }
    assert_ok(shard_path(dataset, 0, path));
    assert_ok(shard_writer_write(writer, path, &index.fingerprints, &entry.bytes, &entry.hash));
    shard_writer_free(writer);
    assert_ok(shard_open(path, &entry.hash, &shard));
    shard_count(shard, &index.totals);
    shard_close(shard);
    assert_ok(shard_index_write(dataset, &index));
}

static void write_corpus(void)
{
    static char lines[UTTERANCES * 160];
    char *line = lines;
    assert_ok(make_directories(test_path("sounds")));
    for (int64_t u = 0; u < UTTERANCES; u++) {
        /* one has too few words, some have several windows */
        counts[u] = u == 7       ? 3
                    : u % 5 == 0 ? 17 + (int64_t)rng_below(&rng, MOST_WORDS - 16)
                                 : 4 + (int64_t)rng_below(&rng, 13);
        int64_t topic = (int64_t)rng_below(&rng, TOPICS);
        for (int64_t w = 0; w < counts[u]; w++)
            words[u][w] = (char)('a' + topic + TOPICS * (int64_t)rng_below(&rng, LETTERS / TOPICS));
        write_sound(u);
        line += sprintf(line, "{\"id\": \"u/%d.x\", \"audio\": \"sounds/%d.wav\", \"text\": \"-\"}\n", (int)u, (int)u);
    }
    snprintf(manifest, sizeof manifest, "%s", test_path("corpus.jsonl"));
    snprintf(dataset, sizeof dataset, "%s", test_path("held_out"));
    write_text(manifest, lines);
    write_dataset();
}

static int open_world(void **state)
{
    (void)state;
    rng = rng_make(test_seed(), RNG_TEST, 61, 0);
    tiny_world_open(1, 64, &world);
    const struct vocabulary *v = &world.components->vocabulary;
    const int32_t sizes[STREAM_COUNT] = {
        [STREAM_HUBERT] = v->hubert_count, [STREAM_PITCH] = v->pitch_count, [STREAM_STYLE] = v->style_count};
    for (int s = 0; s < STREAM_COUNT; s++)
        encoders.encoder[s] = (struct speech_encoder){.stream = (enum unit_stream)s,
                                                      .rate = world.components->rates.rate[s],
                                                      .size = sizes[s],
                                                      .encode = count_crossings};
    world.components->speech = &encoders;
    write_corpus();
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    world.components->speech = NULL; /* it is not the world's to free */
    tiny_world_close(&world);
    return 0;
}

static const char *make_stories(const char *name, bool same_speaker, bool swapped, struct demo_stories_totals *totals)
{
    const struct demo_stories_options options = {
        .manifest = manifest, .dataset = dataset, .wrong = WRONG, .same_speaker = same_speaker, .swapped = swapped};
    const char *path = test_path("%s.tar", name);
    assert_ok(demo_stories_make(path, &options, totals));
    return path;
}

/* ---- what lies in the archive ---- */

struct window {
    int64_t utterance, number, first, words;
};

/* By the rules of demo_stories.h. */
static int64_t list_windows(struct window *windows)
{
    int64_t count = 0;
    for (int64_t u = 0; u < UTTERANCES; u++) {
        if (counts[u] >= 4 && counts[u] <= 16)
            windows[count++] = (struct window){u, 0, 0, counts[u]};
        for (int64_t w = 0; counts[u] > 16 && 16 * w + 16 <= counts[u]; w++)
            windows[count++] = (struct window){u, w, 16 * w, 16};
    }
    return count;
}

static int64_t ending_words(const struct window *window)
{
    return window->words - window->words / 2;
}

static void spell_ending(const struct window *window, char text[2 * MOST_WORDS])
{
    spell(window->utterance, window->first + window->words / 2, window->first + window->words, text);
}

/* The wrong ending that comes `rank`-th: the nearest in length that has not come, the first of the equally near. -1: there is none. */
static int64_t find_wrong(const struct window *windows, int64_t count, int64_t of, bool same_speaker, bool *taken)
{
    int64_t best = -1, least = INT64_MAX;
    char own[2 * MOST_WORDS], other[2 * MOST_WORDS];
    spell_ending(&windows[of], own);
    for (int64_t i = 0; i < count; i++) {
        spell_ending(&windows[i], other);
        int64_t distance = llabs((long long)(ending_words(&windows[i]) - ending_words(&windows[of])));
        bool speaker = !strcmp(speaker_of(windows[i].utterance), speaker_of(windows[of].utterance));
        if (taken[i] || windows[i].utterance == windows[of].utterance || !strcmp(own, other) ||
            (same_speaker && !speaker) || distance >= least)
            continue;
        best = i;
        least = distance;
    }
    if (best >= 0)
        taken[best] = true;
    return best;
}

static void expect_half(const char *path, int64_t u, int64_t first, int64_t end)
{
    char name[900], text[2 * MOST_WORDS];
    void *found;
    float *samples, expected[WORD_SAMPLES];
    int64_t size, length = spell(u, first, end, text), begin = first * WORD_SAMPLES;
    snprintf(name, sizeof name, "%s.txt", path);
    assert_ok(file_read(name, 1000, &found, &size));
    assert_int_equal(size, length);
    assert_memory_equal(found, text, (size_t)length);
    free(found);
    snprintf(name, sizeof name, "%s.wav", path);
    assert_ok(audio_read(name, -1, &samples, &size));
    assert_int_equal(size, end * WORD_SAMPLES - begin); /* cut in the middle of the pause between words */
    for (int64_t i = 0; i < size; i++) {
        if (i % WORD_SAMPLES == 0)
            sing(words[u][first + i / WORD_SAMPLES] - 'a', expected);
        if (!(fabsf(samples[i] - expected[i % WORD_SAMPLES]) <= 1.0f / 32768))
            fail_msg("%s: sample %lld: expected %g, found %g", name, (long long)i, (double)expected[i % WORD_SAMPLES],
                     (double)samples[i]);
    }
    free(samples);
}

static void check_archive(const char *name, bool same_speaker, bool swapped)
{
    struct window windows[UTTERANCES * 3];
    struct demo_stories_totals totals;
    int64_t count = list_windows(windows), stories = 0, utterances = 0;
    char output[4096], folder[700];
    const char *path = make_stories(name, same_speaker, swapped, &totals);
    snprintf(folder, sizeof folder, "%s", test_path("%s", name));
    assert_int_equal(run_command(output, sizeof output, "mkdir '%s' && tar xf '%s' -C '%s'", folder, path, folder), 0);
    for (int64_t i = 0; i < count; i++) {
        bool taken[UTTERANCES * 3] = {false};
        const struct window *window = &windows[i];
        const int64_t middle = window->first + window->words / 2, end = window->first + window->words;
        utterances += window->number == 0;
        for (int64_t c = 0; c < WRONG; c++, stories++) {
            int64_t wrong = find_wrong(windows, count, i, same_speaker, taken);
            const struct window *other = &windows[wrong];
            char story[800], half[900];
            assert_true(wrong >= 0);
            snprintf(story, sizeof story, "%s/%04d-u_%d_x.%d-%d", folder, (int)window->utterance,
                     (int)window->utterance, (int)window->number, (int)c);
            snprintf(half, sizeof half, "%s_mutual", story);
            expect_half(half, window->utterance, window->first, middle);
            snprintf(half, sizeof half, "%s_%s", story, swapped ? "incorrect" : "correct");
            expect_half(half, window->utterance, middle, end);
            snprintf(half, sizeof half, "%s_%s", story, swapped ? "correct" : "incorrect");
            expect_half(half, other->utterance, other->first + other->words / 2, other->first + other->words);
        }
    }
    assert_true(totals.stories == stories && totals.windows == count && totals.utterances == utterances);
    assert_int_equal(run_command(output, sizeof output, "test $(ls '%s' | wc -l) = %d", folder, (int)(6 * stories)), 0);
}

static void archives_have_what_the_rules_say(void **state)
{
    (void)state;
    char output[4096];
    struct demo_stories_totals totals;
    check_archive("plain", false, false);
    check_archive("same", true, false);
    check_archive("swapped", false, true);
    const char *again = make_stories("again", false, false, &totals);
    assert_int_equal(run_command(output, sizeof output, "cmp '%s' '%s'", again, test_path("plain.tar")), 0);
}

static void what_makes_no_stories_is_refused(void **state)
{
    (void)state;
    struct demo_stories_totals totals;
    struct demo_stories_options options = {.manifest = manifest, .dataset = dataset, .wrong = 0};
    const char *path = test_path("refused.tar");
    assert_fails(demo_stories_make(path, &options, &totals), STATUS_USAGE, "1 to 64 wrong endings, found 0");
    options.wrong = 1;
    options.manifest = test_path("other.jsonl");
    write_text(options.manifest, "{\"id\": \"u/0.x\", \"text\": \"-\"}\n");
    assert_fails(demo_stories_make(path, &options, &totals), STATUS_CORRUPT, "u/0.x of ");
    options.manifest = manifest;
    options.dataset = world.corpus.text;
    assert_fails(demo_stories_make(path, &options, &totals), STATUS_CORRUPT, "no two aligned utterances have 4 words");
    options.dataset = test_path("nowhere");
    assert_fails(demo_stories_make(path, &options, &totals), STATUS_USAGE, "nowhere");
    assert_int_not_equal(access(path, F_OK), 0); /* nothing was written */
}

/* ---- models ---- */

enum { WIDTH = 512 };

static void set_weights(struct llama *model, const char *name, const float *values)
{
    const struct parameter_view *view = parameter_layout_find(&model->layout, name);
    assert_non_null(view);
    assert_ok(model->kernels->copy_to_device(model->context, QUEUE_COMPUTE, (float *)model->weights + view->offset,
                                             values, (size_t)view->count * sizeof *values));
    assert_ok(model->kernels->synchronize(model->context));
}

/* The topic of an id, of text or speech; -1: none. */
static int64_t topic_of(int32_t id)
{
    const struct vocabulary *v = &world.components->vocabulary;
    for (int64_t l = 0; l < LETTERS; l++) {
        char name[2] = {(char)('a' + l), 0};
        struct prompt prompt = {.state = {-1, -1}};
        assert_ok(prompt_append_piece(world.components, &(struct piece){PIECE_TEXT, name}, &prompt));
        int32_t letter = prompt.ids[prompt.count - 1];
        prompt_free(&prompt);
        if (id == letter || id == v->hubert_base + l)
            return l % TOPICS;
    }
    return -1;
}

/* Attention is even over all that came, and what came is carried as it is: a vector of how often each id did. The head adds for each id
 * of a topic to all ids of that topic. */
static struct llama *plant_model(void)
{
    const struct llama_config config = {WIDTH, WIDTH, 16, 1, 8, 8, WIDTH / 8, 640, 10000, 1e-5, false};
    struct llama *model;
    float *zeros = calloc(WIDTH * WIDTH, sizeof *zeros), *identity = calloc(WIDTH * WIDTH, sizeof *identity),
          *head = calloc(WIDTH * WIDTH, sizeof *head);
    int64_t topics[WIDTH];
    assert_true(zeros && identity && head);
    for (int32_t i = 0; i < WIDTH; i++) {
        identity[i * WIDTH + i] = 1;
        topics[i] = topic_of(i);
    }
    for (int64_t next = 0; next < WIDTH; next++)
        for (int64_t before = 0; before < WIDTH; before++)
            head[next * WIDTH + before] = topics[next] >= 0 && topics[next] == topics[before] ? 0.3f : 0;
    assert_ok(llama_create(&config, DTYPE_F32, test_kernels(), &world.context, &model));
    assert_ok(llama_initialize(model, 1, 0.02, NULL)); /* norms are ones */
    set_weights(model, "model.embed_tokens.weight", identity);
    set_weights(model, "model.layers.0.self_attn.q_proj.weight", zeros);
    set_weights(model, "model.layers.0.self_attn.k_proj.weight", zeros);
    set_weights(model, "model.layers.0.self_attn.v_proj.weight", identity);
    set_weights(model, "model.layers.0.self_attn.o_proj.weight", identity);
    set_weights(model, "model.layers.0.mlp.down_proj.weight", zeros);
    set_weights(model, "lm_head.weight", head);
    free(zeros);
    free(identity);
    free(head);
    return model;
}

static const char *const directions[] = {"s", "t", "s>t", "t>s"}, *const suffixes[] = {"s", "t", "st", "ts"};

/* Accuracies in each direction, and how many standard errors they are from chance. */
static void judge(struct llama *model, const char *archive, const char *name, double accuracies[4],
                  double deviations[4])
{
    static const char *const pmi[] = {"pmi-token"};
    const struct score_settings score = {.normalize = {(const char **)(uintptr_t)pmi, 1}};
    const struct evaluate_settings evaluate = {
        .gold = "", .clusters = CLUSTERS_NAMES, .directions = {(const char **)(uintptr_t)directions, 4}};
    struct task_outcome outcome;
    FILE *report = fopen("/dev/null", "w");
    const struct task task = {.model = model,
                              .components = world.components,
                              .model_name = name,
                              .checkpoint = TEST_SOURCE_DIRECTORY "/LICENSE",
                              .out = test_path("%s", name),
                              .report = report,
                              .outcome = &outcome,
                              .score = &score,
                              .evaluate = &evaluate};
    assert_ok(task_story_cloze(&task, false, archive));
    fclose(report);
    for (int d = 0; d < 4; d++) {
        char row[32];
        json_t *root;
        snprintf(row, sizeof row, "storycloze_%s", suffixes[d]);
        assert_ok(jdoc_read(test_path("%s/results_%s.json", name, row), &root));
        const json_t *result = json_object_get(json_object_get(root, "results"), row);
        double accuracy = json_number_value(json_object_get(result, "acc,pmi-token"));
        double error = json_number_value(json_object_get(result, "acc_stderr,pmi-token"));
        assert_int_equal(json_integer_value(json_object_get(result, "clusters")), UTTERANCES - 1);
        assert_true(error > 0);
        accuracies[d] = accuracy;
        deviations[d] = (accuracy - 0.5) / error;
        if (strcmp(name, "untrained") != 0)
            print_message("%s, %s: %.3f +- %.3f\n", name, directions[d], accuracy, error);
        json_decref(root);
    }
}

static void knowledge_is_measured(void **state)
{
    (void)state;
    struct demo_stories_totals totals;
    struct llama *model = plant_model();
    double accuracies[4], knows[4], swapped[4];
    judge(model, make_stories("stories", false, false, &totals), "planted", accuracies, knows);
    judge(model, make_stories("changed", false, true, &totals), "planted_swapped", accuracies, swapped);
    llama_destroy(model);
    for (int d = 0; d < 4; d++) {
        assert_true(knows[d] > 2);
        assert_true(swapped[d] < -2);
    }
}

/* A model with random weights likes or dislikes repetitions, whatever the utterance: so one of them may be far from chance, but many of them
 * are at it, within five standard errors of their mean. */
static void ignorance_is_chance(void **state)
{
    (void)state;
    enum { MODELS = 12 };
    const struct llama_config config = {512, 32, 48, 2, 4, 2, 8, 640, 10000, 1e-5, false};
    struct demo_stories_totals totals;
    const char *archive = make_stories("ignored", false, false, &totals);
    double accuracies[4], deviations[4], all[4][MODELS];
    for (int m = 0; m < MODELS; m++) {
        struct llama *model;
        assert_ok(llama_create(&config, DTYPE_F32, test_kernels(), &world.context, &model));
        assert_ok(llama_initialize(model, test_seed() + (uint64_t)m, 0.1, NULL));
        judge(model, archive, "untrained", accuracies, deviations);
        for (int d = 0; d < 4; d++)
            all[d][m] = accuracies[d];
        llama_destroy(model);
    }
    for (int d = 0; d < 4; d++) {
        struct estimate mean = estimate_mean(all[d], MODELS);
        print_message("untrained models, %s: %.3f +- %.3f\n", directions[d], mean.value, mean.standard_error);
        assert_true(fabs(mean.value - 0.5) < 5 * mean.standard_error && mean.standard_error < 0.05);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(archives_have_what_the_rules_say),
        cmocka_unit_test(what_makes_no_stories_is_refused),
        cmocka_unit_test(knowledge_is_measured),
        cmocka_unit_test(ignorance_is_chance),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
