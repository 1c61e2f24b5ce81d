/* Items are known as DIRECTION/SHOTS/SEED/SET/ID; their answers are in the journal under "generate/" and that, what a judge said of
 * them under "judge/", that, and the first digits of the hash of what it judged. */
#include "eval/stsp_run.h"

#include "core/hash.h"
#include "core/log.h"
#include "eval/few_shot/answer.h"
#include "eval/few_shot/draw.h"
#include "eval/generations.h"
#include "generate/generator.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "io/text_file.h"
#include "io/wav.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IDS_LIMIT = 16 << 20 }; /* bytes of a file of rows */

/* A run of one set. */
struct run {
    const struct stsp_setting *setting;
    const struct stsp_case *now;
    const struct prompt_template *pattern;
    enum stsp_set set;
    int64_t count;
    char **ids; /* [count] "s2t/3/0/emov/17" behind "generate/" */
    struct whole_prompt *prompts;
    struct generation_item *items;
    struct answer_reader *reader;
};

void stsp_outcome_free(struct stsp_outcome *outcome)
{
    free(outcome->judged);
    *outcome = (struct stsp_outcome){0};
}

int64_t stsp_prompt_count(const struct stsp_setting *setting, enum stsp_set set)
{
    int64_t count = setting->archive->prompts[set].count, limit = setting->task->evaluate->limit;
    return limit > 0 && limit < count ? limit : count;
}

/* ---- examples ---- */

static struct sha256 order_of(uint64_t seed, int64_t row)
{
    const uint64_t numbers[2] = {seed, (uint64_t)row};
    return sha256_of(numbers, sizeof numbers);
}

enum status stsp_draw(const struct stsp_examples *examples, int64_t shots, uint64_t seed, int64_t **rows,
                      int64_t *count)
{
    enum status result = STATUS_OK;
    int64_t each = (shots + SENTIMENTS - 1) / SENTIMENTS;
    struct drawn *drawn = calloc((size_t)examples->count + 1, sizeof *drawn);
    *count = 0;
    *rows = calloc((size_t)(each * SENTIMENTS) + 1, sizeof **rows);
    if (!drawn || !*rows)
        FAIL(STATUS_INTERNAL, "no memory to draw examples");
    for (int s = 0; s < SENTIMENTS; s++) {
        int64_t found = 0;
        for (int64_t i = 0; i < examples->count; i++)
            if (examples->items[i].sentiment == (enum sentiment)s)
                drawn[found++] = (struct drawn){order_of(seed, i), i};
        if (found < each)
            FAIL(STATUS_CORRUPT, "expected %lld examples that are %s, found %lld", (long long)each,
                 sentiment_name((enum sentiment)s), (long long)found);
        draw_sort(drawn, found);
        for (int64_t i = 0; i < each; i++)
            (*rows)[(*count)++] = drawn[i].index;
    }
fail:
    free(drawn);
    if (result != STATUS_OK) {
        free(*rows);
        *rows = NULL;
    }
    return result;
}

/* A prompt or a half of an example as it stands in a prompt: units, or the text in the template's letters. The caller frees it. */
static enum status words_of(const struct stsp_setting *setting, const struct stsp_case *now, const char *text,
                            bool speech, enum stsp_part part, char **words)
{
    const struct stsp_archive *archive = setting->archive;
    if (!speech)
        return text_in_letters(&setting->patterns[now->direction], text, words);
    *words = strdup(archive->spelled[part][stsp_archive_member(archive, text)]);
    return *words ? STATUS_OK : status_set(STATUS_INTERNAL, "no memory for the units of %s", text);
}

static bool is_direction(const char *word, size_t length)
{
    for (int d = 0; d < STSP_DIRECTIONS; d++)
        if (strlen(stsp_direction_name((enum stsp_direction)d)) == length &&
            strncmp(stsp_direction_name((enum stsp_direction)d), word, length) == 0)
            return true;
    return false;
}

/* Rows that a file names for a direction ("s2t 17" per line): of each sentiment the first of them. */
static enum status read_rows(const char *path, const struct stsp_examples *examples, const struct stsp_case *now,
                             int64_t **rows, int64_t *count)
{
    enum status result = STATUS_OK;
    const char *name = stsp_direction_name(now->direction);
    int64_t each = (now->shots + SENTIMENTS - 1) / SENTIMENTS, found[SENTIMENTS] = {0}, size, number = 0;
    char *text = NULL;
    *count = each * SENTIMENTS;
    *rows = calloc((size_t)*count + 1, sizeof **rows);
    if (!*rows)
        FAIL(STATUS_INTERNAL, "no memory for examples");
    TRY(text_file_read(path, IDS_LIMIT, &text, &size));
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
        char *end;
        number++;
        line[strcspn(line, "\r")] = 0;
        size_t length = strcspn(line, " ");
        if (*line && !is_direction(line, length))
            FAIL(STATUS_CORRUPT, "%s:%lld: expected s2s, s2t, t2s or t2t and a row, found \"%.60s\"", path,
                 (long long)number, line);
        if (length != strlen(name) || strncmp(line, name, length) != 0)
            continue;
        bool digits = line[length] && isdigit((unsigned char)line[length + 1]);
        long long row = digits ? strtoll(line + length, &end, 10) : -1;
        if (row < 0 || *end || row >= examples->count)
            FAIL(STATUS_CORRUPT, "%s:%lld: expected a row of few_shot/%s.jsonl, 0 to %lld, found \"%.60s\"", path,
                 (long long)number, name, (long long)examples->count - 1, line);
        enum sentiment sentiment = examples->items[row].sentiment;
        int64_t *own = *rows + (int64_t)sentiment * each;
        for (int64_t i = 0; i < found[sentiment]; i++)
            if (own[i] == row)
                FAIL(STATUS_CORRUPT, "%s:%lld: %s is there twice", path, (long long)number, line);
        if (found[sentiment] < each)
            own[found[sentiment]++] = row;
    }
    for (int s = 0; s < SENTIMENTS; s++)
        if (found[s] < each)
            FAIL(STATUS_CORRUPT, "%s: expected %lld rows of few_shot/%s.jsonl that are %s, found %lld", path,
                 (long long)each, name, sentiment_name((enum sentiment)s), (long long)found[s]);
fail:
    free(text);
    if (result != STATUS_OK) {
        free(*rows);
        *rows = NULL;
    }
    return result;
}

/* results["examples"]["s2t/3/0"] = rows. */
static enum status note_rows(const struct stsp_setting *setting, const struct stsp_case *now, const int64_t *rows,
                             int64_t count)
{
    enum status result = STATUS_OK;
    json_t *all = json_object_get(setting->results->root, "examples"), *list = json_array();
    char key[64];
    if (!all) {
        all = json_object();
        TRY(generation_results_set(setting->results, "examples", all));
    }
    for (int64_t i = 0; i < count; i++)
        json_array_append_new(list, json_integer(rows[i]));
    snprintf(key, sizeof key, "%s/%lld/%llu", stsp_direction_name(now->direction), (long long)now->shots,
             (unsigned long long)now->seed);
    if (json_object_set(all, key, list) != 0)
        FAIL(STATUS_INTERNAL, "no memory for the results");
fail:
    json_decref(list);
    return result;
}

static enum status make_shots(const struct stsp_setting *setting, const struct stsp_case *now, struct shots *shots)
{
    enum status result = STATUS_OK;
    const struct stsp_archive *archive = setting->archive;
    const struct stsp_examples *examples = &archive->examples[now->direction];
    int64_t *rows = NULL, count = 0;
    char id[32], *halves[2] = {NULL};
    if (now->shots == 0)
        return STATUS_OK;
    const char *given = setting->task->evaluate->shot_ids;
    result = *given ? read_rows(given, examples, now, &rows, &count)
                    : stsp_draw(examples, now->shots, now->seed, &rows, &count);
    if (result != STATUS_OK && *given)
        return result;
    if (result != STATUS_OK)
        return status_prefix(result, "%s: few_shot/%s.jsonl", archive_path(archive->archive),
                             stsp_direction_name(now->direction));
    TRY(note_rows(setting, now, rows, count));
    for (int64_t i = 0; i < count; i++) {
        const struct stsp_example *example = &examples->items[rows[i]];
        bool from_speech = stsp_from_speech(now->direction), to_speech = stsp_to_speech(now->direction);
        free(halves[0]);
        free(halves[1]);
        halves[0] = halves[1] = NULL;
        snprintf(id, sizeof id, "%lld", (long long)rows[i]);
        TRY(words_of(setting, now, example->prompt, from_speech, STSP_FIRST_HALF, &halves[0]));
        TRY(words_of(setting, now, example->generation, to_speech, STSP_SECOND_HALF, &halves[1]));
        TRY(shots_add(shots, id, halves[0], halves[1]));
    }
fail:
    free(rows);
    free(halves[0]);
    free(halves[1]);
    return result;
}

/* ---- prompts ---- */

static void run_free(struct run *run)
{
    for (int64_t i = 0; i < run->count; i++) {
        if (run->ids)
            free(run->ids[i]);
        if (run->prompts)
            free(run->prompts[i].ids);
    }
    free(run->ids);
    free(run->prompts);
    generation_items_free(run->items, run->count);
    answer_reader_free(run->reader);
}

static enum status make_prompt(struct run *run, const struct shots *shots, int64_t index)
{
    enum status result = STATUS_OK;
    const struct stsp_setting *setting = run->setting;
    const struct stsp_archive *archive = setting->archive;
    const struct stsp_prompt *prompt = &archive->prompts[run->set].items[index];
    bool speech = stsp_from_speech(run->now->direction);
    char *item = NULL;
    if (asprintf(&run->ids[index], "generate/%s/%lld/%llu/%s/%s", stsp_direction_name(run->now->direction),
                 (long long)run->now->shots, (unsigned long long)run->now->seed, stsp_set_name(run->set),
                 prompt->id) < 0) {
        run->ids[index] = NULL;
        FAIL(STATUS_INTERNAL, "no memory for a prompt");
    }
    TRY(words_of(setting, run->now, speech ? prompt->recording : prompt->text, speech, STSP_WHOLE, &item));
    result = whole_prompt_make(setting->task->components, run->pattern, shots, item,
                               setting->task->model->config.maximum_positions, &run->prompts[index]);
    if (result != STATUS_OK) {
        status_prefix(result, "%s: %s of %s", archive_path(archive->archive), prompt->id, stsp_set_name(run->set));
        goto fail;
    }
    run->items[index] = (struct generation_item){.id = run->ids[index],
                                                 .ids = run->prompts[index].ids,
                                                 .count = run->prompts[index].count,
                                                 .group = run->prompts[index].lost,
                                                 .seed = run->now->seed};
fail:
    free(item);
    return result;
}

static enum status make_prompts(struct run *run, const struct shots *shots)
{
    enum status result = STATUS_OK;
    run->count = stsp_prompt_count(run->setting, run->set);
    run->ids = calloc((size_t)run->count + 1, sizeof *run->ids);
    run->prompts = calloc((size_t)run->count + 1, sizeof *run->prompts);
    run->items = calloc((size_t)run->count + 1, sizeof *run->items);
    if (!run->ids || !run->prompts || !run->items)
        FAIL(STATUS_INTERNAL, "no memory for %lld prompts", (long long)run->count);
    for (int64_t i = 0; i < run->count; i++)
        TRY(make_prompt(run, shots, i));
    TRY(answer_reader_create(run->setting->task->components, run->pattern, &run->reader));
fail:
    return result;
}

/* ---- generations ---- */

/* What the release can decode: speech with a unit, of an Expressive model also with a pitch. A text may be empty. */
static bool can_be_decoded(const void *argument, const int32_t *ids, int64_t count)
{
    const struct run *run = argument;
    const struct vocabulary *vocabulary = &run->setting->task->components->vocabulary;
    bool hubert = false, pitch = vocabulary->pitch_count == 0;
    if (!stsp_to_speech(run->now->direction))
        return true;
    for (int64_t i = 0; i < count; i++) {
        enum token_kind kind = vocabulary_kind(vocabulary, ids[i]);
        hubert = hubert || kind == TOKEN_HUBERT;
        pitch = pitch || kind == TOKEN_PITCH;
    }
    return hubert && pitch;
}

static bool stops(const void *argument, const int32_t *ids, int64_t count)
{
    return answer_stops(((const struct run *)argument)->reader, ids, count);
}

static enum status generate(struct run *run)
{
    const struct prompt_template *pattern = run->pattern;
    const struct generation_plan plan = {.task = run->setting->task,
                                         .journal = run->setting->journal,
                                         .output = (enum output_modality)pattern->output,
                                         .sampling = {pattern->temperature, pattern->top_k, pattern->top_p},
                                         .limit = pattern->limit,
                                         .tries = pattern->tries,
                                         .stops = stops,
                                         .accepts = can_be_decoded,
                                         .argument = run};
    return generations_run(&plan, run->items, run->count);
}

/* ---- judgements ---- */

/* What a generation says: the text, or the unit string with the sound. */
struct said {
    char *text;
    float *samples;
    int64_t count;
};

/* With the pitch and style in force at the prompt's end. */
static struct unit_state state_of(const struct vocabulary *vocabulary, const struct whole_prompt *prompt)
{
    struct unit_state state = {-1, -1};
    for (int64_t i = 0; i < prompt->count; i++) {
        enum token_kind kind = vocabulary_kind(vocabulary, prompt->ids[i]);
        if (kind == TOKEN_PITCH)
            state.pitch = prompt->ids[i] - vocabulary->pitch_base;
        else if (kind == TOKEN_STYLE)
            state.style = prompt->ids[i] - vocabulary->style_base;
    }
    return state;
}

static enum status speak(const struct run *run, int64_t index, struct said *said)
{
    enum status result = STATUS_OK;
    const struct task *task = run->setting->task;
    const struct generation_item *item = &run->items[index];
    const struct prompt prompt = {.in_speech = true,
                                  .state = state_of(&task->components->vocabulary, &run->prompts[index])};
    struct output_piece *pieces = NULL;
    int64_t count = 0;
    TRY(output_split(task->components, &prompt, item->generated, item->generated_count, task->model->context->pool,
                     &pieces, &count));
    if (count == 1 && pieces[0].speech && pieces[0].samples) { /* nothing but units was allowed */
        said->samples = pieces[0].samples;
        said->count = pieces[0].sample_count;
        said->text = pieces[0].text;
        pieces[0].samples = NULL;
        pieces[0].text = NULL;
    } else {
        FAIL(STATUS_USAGE, "%s: this model has no vocoder, so nobody can judge its speech", item->id);
    }
fail:
    output_pieces_free(pieces, count);
    return result;
}

/* WAVES/s2t/3/0/emov/17.wav; in the name of the file, what is no letter, digit, '-' or '.' becomes '_', and then the manifest's line
 * follows, so that no two ids have one file. */
static enum status keep_wave(const struct run *run, int64_t index, const struct said *said)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES], folder[PATH_BYTES], name[256];
    const struct stsp_case *now = run->now;
    const char *root = run->setting->task->evaluate->waves;
    if (!*root)
        return STATUS_OK;
    const struct stsp_prompt *prompt = &run->setting->archive->prompts[run->set].items[index];
    bool changed = (size_t)snprintf(name, sizeof name, "%.200s", prompt->id) != strlen(prompt->id);
    for (char *at = name; *at; at++)
        if (!isalnum((unsigned char)*at) && *at != '-' && (*at != '.' || at == name)) {
            *at = '_';
            changed = true;
        }
    if (changed)
        snprintf(name + strlen(name), sizeof name - strlen(name), "_line%lld", (long long)prompt->line);
    TRY(path_format(folder, "%s/%s/%lld/%llu/%s", root, stsp_direction_name(now->direction), (long long)now->shots,
                    (unsigned long long)now->seed, stsp_set_name(run->set)));
    TRY(make_directories(folder));
    TRY(path_format(path, "%s/%s.wav", folder, name));
    TRY(wav_write(path, said->samples, said->count));
fail:
    return result;
}

/* *label is borrowed from the judge. */
static enum status ask(const struct run *run, const struct said *said, const char **label, bool *truncated)
{
    const struct stsp_setting *setting = run->setting;
    struct judgement judgement = {JUDGEMENT_NONE, false};
    bool speech = stsp_to_speech(run->now->direction);
    const struct encoder_clip clip = {said->samples, said->count};
    const char *text = said->text;
    enum status result = speech ? speech_judge_run(setting->speech_judge, &clip, 1, &judgement, NULL)
                                : text_judge_run(setting->text_judge, &text, 1, &judgement, NULL);
    *label = "";
    if (result == STATUS_OK && judgement.label >= 0)
        *label = speech ? speech_judge_label(setting->speech_judge, judgement.label)
                        : text_judge_label(setting->text_judge, judgement.label);
    *truncated = judgement.truncated;
    return result;
}

/* {"label", "truncated", "said"} of an item that did not fail, borrowed from the journal. */
static enum status judge_item(const struct run *run, int64_t index, const json_t **record)
{
    enum status result = STATUS_OK;
    const struct generation_item *item = &run->items[index];
    struct journal *journal = run->setting->journal;
    struct said said = {0};
    struct answer answer = {0};
    const char *label;
    bool truncated = false;
    const struct sha256 hash = sha256_of(item->generated, (size_t)item->generated_count * sizeof *item->generated);
    char *id = NULL, hex[65];
    sha256_hex(&hash, hex);
    if (asprintf(&id, "judge/%s#%.16s", run->ids[index] + sizeof "generate", hex) < 0) {
        id = NULL;
        FAIL(STATUS_INTERNAL, "no memory for a judgement");
    }
    *record = journal_find(journal, id);
    if (*record)
        goto fail;
    if (stsp_to_speech(run->now->direction)) {
        TRY(speak(run, index, &said));
        TRY(keep_wave(run, index, &said));
    } else {
        TRY(answer_read(run->reader, item->generated, item->generated_count, false, &answer));
        said.text = answer.text;
    }
    TRY(ask(run, &said, &label, &truncated));
    TRY(journal_add(journal, id,
                    json_pack("{s:s, s:b, s:s}", "label", label, "truncated", truncated, "said", said.text)));
    *record = journal_find(journal, id);
fail:
    free(id);
    free(said.text);
    free(said.samples);
    return result;
}

static enum status add_sample(const struct run *run, int64_t index, const json_t *record, int judged)
{
    const struct stsp_prompt *prompt = &run->setting->archive->prompts[run->set].items[index];
    const char *label = record ? json_string_value(json_object_get(record, "label")) : "";
    const char *said = record ? json_string_value(json_object_get(record, "said")) : "";
    json_t *sample = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:s, s:[s], s:s, s:s, s:I, s:I, s:I}", "doc_id", prompt->id, "direction",
        stsp_direction_name(run->now->direction), "set", stsp_set_name(run->set), "shots", (json_int_t)run->now->shots,
        "seed", (json_int_t)run->now->seed, "target", sentiment_name(prompt->sentiment), "resps", said, "label", label,
        "pred", judged == STSP_NONE ? "" : sentiment_name((enum sentiment)judged), "tries",
        (json_int_t)run->items[index].tries, "tokens", (json_int_t)run->items[index].generated_count, "lost_shots",
        (json_int_t)run->prompts[index].lost);
    return generation_results_sample(run->setting->results, sample);
}

static enum status judge(const struct run *run, struct stsp_outcome *outcome)
{
    enum status result = STATUS_OK;
    const struct task *task = run->setting->task;
    const char *folder = stsp_to_speech(run->now->direction) ? task->judges->speech : task->judges->text;
    struct progress progress;
    outcome->count = run->count;
    outcome->judged = calloc((size_t)run->count + 1, sizeof *outcome->judged);
    if (!outcome->judged)
        FAIL(STATUS_INTERNAL, "no memory for %lld judgements", (long long)run->count);
    progress_start(&progress, "judging", "items", run->count);
    for (int64_t i = 0; i < run->count; i++) {
        const json_t *record = NULL;
        int judged = STSP_NONE;
        if (!run->items[i].failed)
            TRY(judge_item(run, i, &record));
        const char *label = record ? json_string_value(json_object_get(record, "label")) : NULL;
        if (label && *label)
            TRY(stsp_judged(folder, label, &judged));
        outcome->judged[i] = judged;
        outcome->failures += judged == STSP_NONE;
        outcome->retries += run->items[i].tries - 1;
        outcome->truncated += record && json_is_true(json_object_get(record, "truncated"));
        outcome->lost += run->prompts[i].lost;
        TRY(add_sample(run, i, record, judged));
        progress_update(&progress, i + 1, "");
    }
    progress_finish(&progress, run->count, "");
fail:
    return result;
}

enum status stsp_run(const struct stsp_setting *setting, const struct stsp_case *now,
                     struct stsp_outcome outcomes[STSP_SETS])
{
    enum status result = STATUS_OK;
    struct shots shots = {0};
    TRY(make_shots(setting, now, &shots));
    for (int s = 0; s < STSP_SETS; s++) {
        if (!stsp_set_of(now->direction, (enum stsp_set)s))
            continue;
        struct run run = {
            .setting = setting, .now = now, .pattern = &setting->patterns[now->direction], .set = (enum stsp_set)s};
        log_info("stsp: %s, %lld examples, seed %llu, %s", stsp_direction_name(now->direction), (long long)now->shots,
                 (unsigned long long)now->seed, stsp_set_name(run.set));
        result = make_prompts(&run, &shots);
        if (result == STATUS_OK)
            result = generate(&run);
        if (result == STATUS_OK)
            result = judge(&run, &outcomes[s]);
        run_free(&run);
        TRY(result);
    }
fail:
    shots_free(&shots);
    return result;
}
