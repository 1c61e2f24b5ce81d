/* The tasks storycloze and topic-storycloze: of two endings of a story the right one should be likelier. Within a modality whole stories
 * are compared (S, T), unless the protocol asks what the context makes of the endings (PMI, or the continuation alone); across modalities
 * the endings after the context in the other one (S>T, T>S). Each direction is a run of the model with results of its own, because its
 * protocol and its items are. */
#include "eval/task.h"

#include "core/log.h"
#include "eval/benchmark_run.h"
#include "eval/story_clips.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum direction { DIRECTION_S, DIRECTION_T, DIRECTION_ST, DIRECTION_TS, DIRECTIONS };

static const struct {
    const char *word, *suffix;
    bool across;
    int ending; /* the form of what is compared */
} directions[DIRECTIONS] = {[DIRECTION_S] = {"s", "s", false, STORY_AUDIO},
                            [DIRECTION_T] = {"t", "t", false, STORY_TEXT},
                            [DIRECTION_ST] = {"s>t", "st", true, STORY_TEXT},
                            [DIRECTION_TS] = {"t>s", "ts", true, STORY_AUDIO}};

/* The stories of an archive, which all directions share. */
struct stories {
    struct benchmark_run run; /* for its archive; its choices are not used */
    struct story_list list;
    int64_t count; /* that are judged */
    bool chosen[DIRECTIONS];
    bool apart;   /* within a modality too, endings are compared after their context */
    char **texts; /* [stories][STORY_PARTS]; NULL: none, or not wanted */
    struct story_clip *clips;
};

static void stories_free(struct stories *stories)
{
    for (int64_t i = 0; stories->texts && i < stories->count * STORY_PARTS; i++)
        free(stories->texts[i]);
    free(stories->texts);
    story_clips_free(stories->clips, stories->count);
    story_list_free(&stories->list);
    benchmark_run_free(&stories->run);
}

static enum status choose_directions(const struct config_list *words, struct stories *stories)
{
    for (int64_t i = 0; i < words->count; i++) {
        int d = 0;
        while (d < DIRECTIONS && strcmp(directions[d].word, words->items[i]) != 0)
            d++;
        if (d == DIRECTIONS)
            return status_set(STATUS_USAGE, "evaluate.directions: expected s, t, s>t or t>s, found \"%s\"",
                              words->items[i]);
        stories->chosen[d] = true;
    }
    return STATUS_OK;
}

/* Whole recordings are cut by their texts, so what is told apart in speech needs both forms in either layout. */
static unsigned needs(const struct stories *stories)
{
    bool across = stories->chosen[DIRECTION_ST] || stories->chosen[DIRECTION_TS];
    bool speech = stories->chosen[DIRECTION_S];
    bool text = stories->chosen[DIRECTION_T] || (speech && stories->apart);
    return (speech || across ? (unsigned)STORY_NEEDS_AUDIO : 0U) | (text || across ? (unsigned)STORY_NEEDS_TEXT : 0U);
}

static enum status read_texts(struct stories *stories)
{
    enum status result = STATUS_OK;
    stories->texts = calloc((size_t)stories->count * STORY_PARTS + 1, sizeof(char *));
    if (!stories->texts)
        FAIL(STATUS_INTERNAL, "no memory for the texts of %lld stories", (long long)stories->count);
    for (int64_t s = 0; needs(stories) & STORY_NEEDS_TEXT && s < stories->count; s++)
        for (int part = 0; part < STORY_PARTS; part++) {
            int64_t member = stories->list.stories[s].members[part][STORY_TEXT];
            if (member >= 0)
                TRY(benchmark_run_text(&stories->run, member, &stories->texts[s * STORY_PARTS + part]));
        }
fail:
    return result;
}

static enum status read_stories(const struct task *task, const char *path, struct stories *stories)
{
    enum status result = STATUS_OK;
    struct benchmark_run *run = &stories->run;
    TRY(choose_directions(&task->evaluate->directions, stories));
    TRY(benchmark_run_open(task, path, SCOPE_WHOLE, run));
    stories->apart = run->protocols.pmi || run->protocols.items[0].scope == SCOPE_CONTINUATION;
    TRY(story_list_read(path, run->names, run->count, needs(stories), benchmark_run_skips(run), &stories->list));
    stories->count = benchmark_run_limit(run, stories->list.count);
    TRY(read_texts(stories));
    const bool across = stories->chosen[DIRECTION_ST] || stories->chosen[DIRECTION_TS],
               speech = stories->chosen[DIRECTION_S];
    const struct story_wants wants = {.whole = speech && !stories->apart,
                                      .parts = across || (speech && stories->apart)};
    if (wants.whole || wants.parts)
        TRY(story_clips_make(task->components, task->units, run->archive, &stories->list, stories->count,
                             stories->texts, wants, &stories->clips));
fail:
    return result;
}

/* ---- sides ---- */

/* The text of a part, in whichever layout; the caller frees it. */
static char *part_text(const struct stories *stories, int64_t story, int part, bool whole)
{
    char *const *texts = stories->texts + story * STORY_PARTS;
    char *text = NULL;
    if (stories->list.pieces) {
        if (asprintf(&text, "%s%s%s", whole ? texts[STORY_CONTEXT] : "", whole ? " " : "", texts[part]) < 0)
            return NULL;
        return text;
    }
    if (whole)
        return strdup(texts[part]);
    int64_t length = story_shared_context(texts[STORY_CORRECT], texts[STORY_INCORRECT]);
    if (part == STORY_CONTEXT)
        return strndup(texts[STORY_CORRECT], (size_t)length);
    return strdup(texts[part] + length);
}

/* What the samples say of a story; with clusters also its name up to the last '.'. NULL: no memory. */
static json_t *describe_story(const struct stories *stories, const char *id)
{
    const char *slash = strrchr(id, '/'), *dot = strrchr(slash ? slash : id, '.');
    json_t *document = json_pack("{s:s}", "story", id);
    if (stories->run.task->evaluate->clusters == CLUSTERS_NAMES &&
        json_object_set_new(document, "cluster", json_stringn(id, dot ? (size_t)(dot - id) : strlen(id))) != 0) {
        json_decref(document);
        return NULL;
    }
    return document;
}

static enum status add_story(struct benchmark_run *run, const struct stories *stories, int64_t story, enum direction d)
{
    enum status result = STATUS_OK;
    const struct story_clip *clip = stories->clips ? &stories->clips[story] : NULL;
    const bool across = directions[d].across, apart = across || stories->apart;
    char *texts[STORY_PARTS] = {NULL};
    struct side sides[STORY_PARTS];
    for (int part = 0; part < (apart ? STORY_PARTS : STORY_CONTEXT); part++) {
        bool text = (across && part == STORY_CONTEXT) != (directions[d].ending == STORY_TEXT);
        if (text)
            texts[part] = part_text(stories, story, part, !apart);
        if (text && !texts[part])
            FAIL(STATUS_INTERNAL, "no memory for the texts of a story");
        sides[part] =
            text ? (struct side){.text = texts[part]} : speech_side(apart ? &clip->parts[part] : &clip->whole[part]);
    }
    const char *id = stories->list.stories[story].id;
    TRY(benchmark_run_add(run, id, describe_story(stories, id), apart ? &sides[STORY_CONTEXT] : NULL,
                          &sides[STORY_CORRECT], &sides[STORY_INCORRECT]));
fail:
    for (int part = 0; part < STORY_PARTS; part++)
        free(texts[part]);
    return result;
}

/* ---- a direction ---- */

/* Why a story cannot be judged in a direction; NULL: it can. */
static const char *failure_of(const struct stories *stories, int64_t story, enum direction d)
{
    if (!directions[d].across && !stories->apart)
        return NULL;
    if (d != DIRECTION_T)
        return stories->clips[story].failure;
    char *const *texts = stories->texts + story * STORY_PARTS;
    bool shared = stories->list.pieces || story_shared_context(texts[STORY_CORRECT], texts[STORY_INCORRECT]) > 0;
    return shared ? NULL : "the two texts share no sentence";
}

static enum status run_direction(const struct stories *stories, const char *path, const char *benchmark,
                                 enum direction d)
{
    enum status result = STATUS_OK;
    struct benchmark_run run = {0};
    int64_t failures = stories->list.lone;
    const bool clustered = stories->run.task->evaluate->clusters == CLUSTERS_NAMES;
    char name[64];
    snprintf(name, sizeof name, "%s_%s", benchmark, directions[d].suffix);
    TRY(benchmark_run_open(stories->run.task, path, directions[d].across ? SCOPE_CONTINUATION : SCOPE_WHOLE, &run));
    for (int64_t s = 0; s < stories->count; s++) {
        const char *failure = failure_of(stories, s, d);
        if (!failure) {
            TRY(add_story(&run, stories, s, d));
            continue;
        }
        log_info("%s: %s: left out: %s", path, stories->list.stories[s].id, failure);
        failures++;
    }
    TRY(benchmark_run_finish(&run, &(struct benchmark_outcome){.name = name,
                                                               .rule = clustered ? REPORT_CLUSTERS : REPORT_MEAN,
                                                               .expected = stories->count + stories->list.lone,
                                                               .failures = failures}));
fail:
    benchmark_run_free(&run);
    return result;
}

enum status task_story_cloze(const struct task *task, bool topic, const char *path)
{
    enum status result = STATUS_OK;
    struct stories stories = {0};
    TRY(read_stories(task, path, &stories));
    for (int d = 0; d < DIRECTIONS; d++)
        if (stories.chosen[d])
            TRY(run_direction(&stories, path, topic ? "topic_storycloze" : "storycloze", (enum direction)d));
fail:
    stories_free(&stories);
    return result;
}
