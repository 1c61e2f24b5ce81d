/* Files are found by the end of their names, since the archive may lie in folders of any name. */
#include "eval/stsp_archive.h"

#include "core/log.h"
#include "core/path.h"
#include "eval/few_shot/prompts.h"
#include "eval/recordings.h"
#include "eval/stsp/score.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    bool from_speech, to_speech;
} directions[STSP_DIRECTIONS] = {
    {"s2s", true, true}, {"s2t", true, false}, {"t2s", false, true}, {"t2t", false, false}};

static const struct {
    const char *name, *file; /* below manifest/, before ".SPLIT.jsonl" */
    bool speech;
} sets[STSP_SETS] = {{"expresso_read", "expresso/expresso_read", true},
                     {"emov", "emov/emov", true},
                     {"expresso_asr", "expresso/expresso_asr", false}};

const char *stsp_direction_name(enum stsp_direction direction)
{
    return directions[direction].name;
}

bool stsp_from_speech(enum stsp_direction direction)
{
    return directions[direction].from_speech;
}

bool stsp_to_speech(enum stsp_direction direction)
{
    return directions[direction].to_speech;
}

const char *stsp_set_name(enum stsp_set set)
{
    return sets[set].name;
}

bool stsp_set_of(enum stsp_direction direction, enum stsp_set set)
{
    return sets[set].speech == directions[direction].from_speech;
}

enum status stsp_judged(const char *folder, const char *label, int *sentiment)
{
    enum sentiment found;
    if (!sentiment_find(label, &found))
        return status_set(STATUS_CORRUPT, "%s: expected a judge of %s, but it has the label \"%.60s\"", folder,
                          sentiment_labels(), label);
    *sentiment = (int)found;
    return STATUS_OK;
}

/* ---- members ---- */

/* The member that ends with "/manifest/NAME" or is that; *root: bytes before it. */
static int64_t find_manifest(const struct archive *archive, const char *name, int64_t *root)
{
    char ending[PATH_BYTES];
    if (path_format(ending, "manifest/%s", name) != STATUS_OK)
        return -1;
    int64_t length = (int64_t)strlen(ending);
    for (int64_t i = 0; i < archive_count(archive); i++) {
        const char *member = archive_name(archive, i);
        *root = (int64_t)strlen(member) - length;
        if (*root >= 0 && !strcmp(member + *root, ending) && (*root == 0 || member[*root - 1] == '/'))
            return i;
    }
    return -1;
}

int64_t stsp_archive_member(const struct stsp_archive *archive, const char *path)
{
    char name[PATH_BYTES];
    return path_format(name, "%sdata/%s", archive->root, path) == STATUS_OK ? archive_find(archive->archive, name) : -1;
}

/* Reads a manifest whole; its place for errors into `where`. */
static enum status read_manifest(struct stsp_archive *archive, const char *name, char where[PATH_BYTES], void **data,
                                 int64_t *size)
{
    enum status result = STATUS_OK;
    int64_t root, member = find_manifest(archive->archive, name, &root);
    char bare[128]; /* some of the release's files have no ending */
    *data = NULL;
    snprintf(bare, sizeof bare, "%.*s", (int)(strlen(name) - strlen(".jsonl")), name);
    if (member < 0)
        member = find_manifest(archive->archive, bare, &root);
    if (member < 0)
        FAIL(STATUS_CORRUPT, "%s: manifest/%s is missing", archive_path(archive->archive), name);
    TRY(path_format(archive->root, "%.*s", (int)root, archive_name(archive->archive, member)));
    TRY(path_format(where, "%s: %s", archive_path(archive->archive), archive_name(archive->archive, member)));
    TRY(archive_read(archive->archive, member, STSP_FILE_LIMIT, data, size));
    const struct sha256 both[2] = {archive->manifests, sha256_of(*data, (size_t)*size)};
    archive->manifests = sha256_of(both, sizeof both);
fail:
    return result;
}

/* Wants a part of a recording. */
static enum status want(struct stsp_archive *archive, const char *where, int64_t line, const char *path,
                        enum stsp_part part, bool prompted)
{
    int64_t member = stsp_archive_member(archive, path);
    if (member < 0)
        return status_set(STATUS_CORRUPT, "%s:%lld: the recording data/%.300s is missing", where, (long long)line,
                          path);
    archive->wanted[part][member] = true;
    archive->prompted[member] = archive->prompted[member] || prompted;
    return STATUS_OK;
}

/* ---- manifests ---- */

/* Leaves out the prompts whose recordings are missing. */
static void skip_missing(struct stsp_archive *archive, enum stsp_set set)
{
    struct stsp_prompts *prompts = &archive->prompts[set];
    int64_t kept = 0;
    for (int64_t i = 0; i < prompts->count; i++) {
        const char *path = prompts->items[i].recording;
        if (path && stsp_archive_member(archive, path) < 0) {
            log_warning("%s: the recording data/%.300s is missing", archive_path(archive->archive), path);
            archive->missing[set]++;
            stsp_prompt_free(&prompts->items[i]);
        } else {
            prompts->items[kept++] = prompts->items[i];
        }
    }
    prompts->count = kept;
}

static enum status read_prompts(struct stsp_archive *archive, enum stsp_set set, const char *split)
{
    enum status result = STATUS_OK;
    char name[128], where[PATH_BYTES];
    struct stsp_prompts *prompts = &archive->prompts[set];
    void *data = NULL;
    int64_t size, limit = archive->task->evaluate->limit;
    snprintf(name, sizeof name, "%s.%s.jsonl", sets[set].file, split);
    TRY(read_manifest(archive, name, where, &data, &size));
    TRY(stsp_prompts_parse(where, data, size, prompts));
    if (sets[set].speech && archive->task->evaluate->incomplete == INCOMPLETE_SKIP)
        skip_missing(archive, set);
    if (prompts->count == 0)
        FAIL(STATUS_CORRUPT, "%s: none of its recordings is there", where);
    for (int64_t i = 0; i < prompts->count && (limit == 0 || i < limit); i++) {
        const struct stsp_prompt *prompt = &prompts->items[i];
        if (sets[set].speech ? !prompt->recording : !prompt->text)
            FAIL(STATUS_CORRUPT, "%s:%lld: %s is missing", where, (long long)prompt->line,
                 sets[set].speech ? "wav_path" : "asr");
        if (sets[set].speech)
            TRY(want(archive, where, prompt->line, prompt->recording, STSP_WHOLE, true));
    }
fail:
    free(data);
    return result;
}

static enum status read_examples(struct stsp_archive *archive, enum stsp_direction direction)
{
    enum status result = STATUS_OK;
    char name[64], where[PATH_BYTES];
    struct stsp_examples *examples = &archive->examples[direction];
    void *data = NULL;
    int64_t size;
    snprintf(name, sizeof name, "few_shot/%s.jsonl", directions[direction].name);
    TRY(read_manifest(archive, name, where, &data, &size));
    TRY(stsp_examples_parse(where, data, size, examples));
    for (int64_t i = 0; i < examples->count; i++) {
        if (directions[direction].from_speech)
            TRY(want(archive, where, examples->items[i].line, examples->items[i].prompt, STSP_FIRST_HALF, false));
        if (directions[direction].to_speech)
            TRY(want(archive, where, examples->items[i].line, examples->items[i].generation, STSP_SECOND_HALF, false));
    }
fail:
    free(data);
    return result;
}

static enum status allocate(struct stsp_archive *archive)
{
    size_t count = (size_t)archive_count(archive->archive) + 1;
    bool done = (archive->prompted = calloc(count, sizeof(bool))) && (archive->sentiments = malloc(count));
    for (int p = 0; p < STSP_PARTS; p++) {
        archive->wanted[p] = calloc(count, sizeof(bool));
        archive->spelled[p] = calloc(count, sizeof(char *));
        done = done && archive->wanted[p] && archive->spelled[p];
    }
    if (!done)
        return status_set(STATUS_INTERNAL, "no memory for %zu members of an archive", count);
    memset(archive->sentiments, STSP_NONE, count);
    return STATUS_OK;
}

enum status stsp_archive_open(const struct task *task, const char *path, const char *split,
                              const bool wanted[STSP_DIRECTIONS], bool examples, struct stsp_archive *archive)
{
    enum status result = STATUS_OK;
    *archive = (struct stsp_archive){.task = task};
    TRY(archive_open(path, &archive->archive));
    TRY(allocate(archive));
    for (int s = 0; s < STSP_SETS; s++)
        for (int d = 0; d < STSP_DIRECTIONS; d++)
            if (wanted[d] && stsp_set_of((enum stsp_direction)d, (enum stsp_set)s) && !archive->prompts[s].items)
                TRY(read_prompts(archive, (enum stsp_set)s, split));
    for (int d = 0; d < STSP_DIRECTIONS; d++)
        if (wanted[d] && examples)
            TRY(read_examples(archive, (enum stsp_direction)d));
fail:
    return result;
}

void stsp_archive_close(struct stsp_archive *archive)
{
    int64_t count = archive->archive ? archive_count(archive->archive) : 0;
    for (int p = 0; p < STSP_PARTS; p++) {
        for (int64_t i = 0; archive->spelled[p] && i < count; i++)
            free(archive->spelled[p][i]);
        free(archive->spelled[p]);
        free(archive->wanted[p]);
    }
    for (int s = 0; s < STSP_SETS; s++)
        stsp_prompts_free(&archive->prompts[s]);
    for (int d = 0; d < STSP_DIRECTIONS; d++)
        stsp_examples_free(&archive->examples[d]);
    free(archive->prompted);
    free(archive->sentiments);
    archive_close(archive->archive);
    *archive = (struct stsp_archive){0};
}

/* ---- recordings ---- */

struct encoding {
    struct stsp_archive *archive;
    struct speech_judge *judge;
    struct journal *journal;
};

static enum status spell(const struct stsp_archive *archive, const char *name, const float *samples, int64_t count,
                         char **text)
{
    const struct components *components = archive->task->components;
    struct unit_ids units = {0};
    enum status result = unit_ids_encode(components, archive->task->units, name, samples, count, &units);
    if (result == STATUS_OK)
        result = units_spelled(&components->vocabulary, units.ids, units.count, text);
    free(units.ids);
    return result;
}

/* Asks the judge about a prompt, or the journal what it has said. */
static enum status judge_prompt(const struct encoding *encoding, int64_t index, const float *samples, int64_t count)
{
    enum status result = STATUS_OK;
    struct stsp_archive *archive = encoding->archive;
    const char *folder = archive->task->judges->speech, *label = "";
    const struct sha256 hash = sha256_of(samples, (size_t)count * sizeof *samples);
    char id[PATH_BYTES], hex[65];
    struct judgement judgement = {JUDGEMENT_NONE, false};
    int sentiment = STSP_NONE;
    sha256_hex(&hash, hex);
    TRY(path_format(id, "prompt/%s#%.16s", archive_name(archive->archive, index), hex));
    const json_t *known = journal_find(encoding->journal, id);
    if (known) {
        label = json_is_string(known) ? json_string_value(known) : "";
    } else {
        const struct encoder_clip clip = {samples, count};
        TRY(speech_judge_run(encoding->judge, &clip, 1, &judgement, NULL));
        label = judgement.label < 0 ? "" : speech_judge_label(encoding->judge, judgement.label);
        TRY(journal_add(encoding->journal, id, json_string(label)));
    }
    if (*label)
        TRY(stsp_judged(folder, label, &sentiment));
    archive->sentiments[index] = (int8_t)sentiment;
fail:
    return result;
}

static enum status encode(void *context, int64_t index, const char *name, const float *samples, int64_t count)
{
    enum status result = STATUS_OK;
    const struct encoding *encoding = context;
    struct stsp_archive *archive = encoding->archive;
    const int64_t half = count / 2;
    const struct {
        int64_t first, count;
    } parts[STSP_PARTS] = {{0, count}, {0, half}, {half, count - half}};
    for (int p = 0; p < STSP_PARTS; p++)
        if (archive->wanted[p][index])
            TRY(spell(archive, name, samples + parts[p].first, parts[p].count, &archive->spelled[p][index]));
    if (archive->prompted[index] && encoding->judge)
        TRY(judge_prompt(encoding, index, samples, count));
fail:
    return result;
}

enum status stsp_archive_encode(struct stsp_archive *archive, struct speech_judge *judge, struct journal *journal)
{
    struct encoding encoding = {archive, judge, journal};
    int64_t count = archive_count(archive->archive), wanted = 0;
    bool *any = calloc((size_t)count + 1, sizeof *any);
    if (!any)
        return status_set(STATUS_INTERNAL, "no memory for %lld recordings", (long long)count);
    for (int64_t i = 0; i < count; i++) {
        for (int p = 0; p < STSP_PARTS; p++)
            any[i] = any[i] || archive->wanted[p][i];
        wanted += any[i];
    }
    enum status result = wanted == 0 ? STATUS_OK : recordings_stream(archive->archive, any, encode, &encoding);
    free(any);
    return result;
}
