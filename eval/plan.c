/* Which tasks an `evaluate` runs (plan.h): read from the command line, and checked before any work. Whatever would spoil
 * results at the end of a long run, such as a folder of somebody else's or two files with one name, is refused
 * here; a file that is missing only takes its own task away. */
#include "eval/plan.h"

#include "core/edit_distance.h"
#include "core/log.h"
#include "core/utf8.h"
#include "eval/scoring/results.h"
#include "eval/shuffled_pairs.h"
#include "io/atomic_file.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
    const char *name;
    enum task_argument argument;
    const char *ending;
} kinds[] = {
#define TASK_ROW(upper, name, argument, ending, help) {name, argument, ending},
    TASK_LIST(TASK_ROW)
#undef TASK_ROW
};

static int find_kind(const char *text)
{
    for (int i = 0; i < TASK_KINDS; i++)
        if (!strcmp(kinds[i].name, text))
            return i;
    return -1;
}

/* The task whose name was meant: the beginning of it, or one with a mistake per three letters, in any case. NULL: none
 * is near. */
static const char *nearest_task(const char *text)
{
    const char *nearest = NULL;
    int64_t best = INT64_MAX;
    char lower[32] = "";
    for (size_t i = 0; text[i] && i + 1 < sizeof lower; i++)
        lower[i] = (char)tolower((unsigned char)text[i]);
    for (int i = 0; i < TASK_KINDS; i++) {
        bool beginning = strlen(lower) >= 3 && !strncmp(kinds[i].name, lower, strlen(lower));
        int64_t distance = beginning ? 0 : edit_distance(lower, kinds[i].name);
        if (distance < best && distance <= (int64_t)strlen(kinds[i].name) / 3) {
            best = distance;
            nearest = kinds[i].name;
        }
    }
    return nearest;
}

static enum status refuse_name(const char *text)
{
    const char *nearest = nearest_task(text);
    if (nearest)
        return status_set(STATUS_USAGE, "there is no task \"%s\"; did you mean %s?", text, nearest);
    char list[512];
    size_t length = 0;
    for (int i = 0; i < TASK_KINDS; i++)
        length += (size_t)snprintf(list + length, sizeof list - length, "%s%s", i ? ", " : "", kinds[i].name);
    return status_set(STATUS_USAGE, "expected a task (%s), found \"%s\"", list, text);
}

static bool takes_data(enum task_kind kind)
{
    return kinds[kind].argument == ARGUMENT_NONE;
}

static bool takes_archive(enum task_kind kind)
{
    return kinds[kind].argument >= ARGUMENT_ARCHIVE;
}

static bool learning_before(const struct task_plan *plan, int64_t end)
{
    for (int64_t i = 0; i < end; i++)
        if (plan->tasks[i].kind == TASK_LEARNING)
            return true;
    return false;
}

/* Whether a path is OUT/pairs_shuffled.jsonl, in whatever way it is written; OUT exists by now. */
static bool is_shuffled(const struct task_plan *plan, const char *path)
{
    struct stat folder, out;
    char parent[PATH_BYTES];
    const char *slash = strrchr(path, '/');
    if (strcmp(slash ? slash + 1 : path, SHUFFLED_PAIRS_NAME) != 0 ||
        path_format(parent, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".") != STATUS_OK)
        return false;
    return stat(parent, &folder) == 0 && stat(plan->out, &out) == 0 && folder.st_dev == out.st_dev &&
           folder.st_ino == out.st_ino;
}

/* Both would write the same files. */
static enum status check_name(const struct task_plan *plan, const struct planned_task *added)
{
    for (int64_t i = 0; i < plan->count; i++) {
        const struct planned_task *other = &plan->tasks[i];
        if (strcmp(other->name, added->name) != 0)
            continue;
        if (takes_data(added->kind) || !strcmp(other->file, added->file))
            return status_set(STATUS_USAGE, "%s%s%s is named twice", kinds[added->kind].name,
                              takes_data(added->kind) ? "" : " ", added->file);
        return status_set(STATUS_USAGE,
                          "%s and %s would both be written to results_%s.json: evaluate one of them by itself, with "
                          "another --out",
                          other->file, added->file, added->name);
    }
    return STATUS_OK;
}

static enum status add_task(struct task_plan *plan, enum task_kind kind, const char *file)
{
    enum status result = STATUS_OK;
    struct planned_task *task = &plan->tasks[plan->count];
    *task = (struct planned_task){.kind = kind};
    snprintf(task->name, sizeof task->name, "%s", kinds[kind].name);
    for (char *c = task->name; *c; c++)
        *c = *c == '-' ? '_' : *c; /* as the names of results are written */
    if (file)
        TRY(path_format(task->file, "%s", file));
    if (kinds[kind].argument == ARGUMENT_FILES)
        TRY(results_file_name(kinds[kind].name, file, kinds[kind].ending, task->name, sizeof task->name));
    TRY(check_name(plan, task));
    plan->count++;
fail:
    return result;
}

/* "pairs" or "texts" with the files behind it: all arguments to the next task's name. `position` moves to the last of
 * them. */
static enum status add_files(struct task_plan *plan, enum task_kind kind, const char *const *arguments, int64_t count,
                             int64_t *position)
{
    enum status result = STATUS_OK;
    char shuffled[PATH_BYTES];
    int64_t first = *position;
    while (*position + 1 < count && find_kind(arguments[*position + 1]) < 0) {
        const char *file = arguments[++*position];
        if (!strpbrk(file, "./") && access(file, F_OK) != 0 && nearest_task(file))
            TRY(refuse_name(file));
        TRY(add_task(plan, kind, file));
    }
    if (*position > first)
        return STATUS_OK;
    if (kind == TASK_TEXTS)
        FAIL(STATUS_USAGE, "texts needs a text file, in which every line is a document");
    if (!learning_before(plan, plan->count))
        FAIL(
            STATUS_USAGE,
            "pairs needs a JSON Lines file (after learning it may have none: it takes the pairs that learning writes)");
    TRY(path_format(shuffled, "%s/" SHUFFLED_PAIRS_NAME, plan->out));
    TRY(add_task(plan, TASK_PAIRS, shuffled));
fail:
    return result;
}

/* A benchmark's archive behind its task. */
static enum status add_archive(struct task_plan *plan, enum task_kind kind, const char *const *arguments, int64_t count,
                               int64_t *position)
{
    const char *name = kinds[kind].name, *next = *position + 1 < count ? arguments[*position + 1] : NULL;
    if (!next)
        return status_set(
            STATUS_USAGE,
            "%s needs its archive: a folder, a .zip, a .tar or a .tar.gz; `evaluate where %s` says where it "
            "comes from",
            name, name);
    if (find_kind(next) >= 0)
        return status_set(STATUS_USAGE, "%s needs its archive; a folder that is called like a task is written ./%s",
                          name, next);
    return add_task(plan, kind, arguments[++*position]);
}

static enum status add_arguments(struct task_plan *plan, enum task_kind kind, const char *const *arguments,
                                 int64_t count, int64_t *position)
{
    switch (kinds[kind].argument) {
    case ARGUMENT_FILES:
        return add_files(plan, kind, arguments, count, position);
    case ARGUMENT_ARCHIVE:
    case ARGUMENT_SPLITS:
    case ARGUMENT_STORIES:
    case ARGUMENT_CORPUS:
    case ARGUMENT_CORPUS_SPLITS:
        return add_archive(plan, kind, arguments, count, position);
    default:
        return add_task(plan, kind, NULL);
    }
}

enum status plan_make(const char *const *arguments, int64_t count, const char *out, struct task_plan *plan)
{
    enum status result = STATUS_OK;
    *plan = (struct task_plan){0};
    TRY(path_format(plan->out, "%s", out));
    plan->tasks = calloc((size_t)count + 1, sizeof *plan->tasks);
    if (!plan->tasks)
        FAIL(STATUS_INTERNAL, "no memory for the tasks");
    for (int64_t i = 0; i < count; i++) {
        int kind = find_kind(arguments[i]);
        if (kind < 0)
            TRY(refuse_name(arguments[i]));
        TRY(add_arguments(plan, (enum task_kind)kind, arguments, count, &i));
    }
    if (count == 0)
        TRY(refuse_name(""));
fail:
    return result;
}

void plan_free(struct task_plan *plan)
{
    char folder[PATH_BYTES];
    snprintf(folder, sizeof folder, "%s", plan->out);
    for (int64_t i = 0; i < plan->made_folders && rmdir(folder) == 0; i++) {
        char *slash = strrchr(folder, '/');
        if (!slash || slash == folder)
            break;
        *slash = 0;
    }
    free(plan->tasks);
    *plan = (struct task_plan){0};
}

static enum status make_out(struct task_plan *plan)
{
    struct stat info;
    char folder[PATH_BYTES];
    size_t length = strlen(plan->out);
    while (length > 1 && plan->out[length - 1] == '/')
        plan->out[--length] = 0;
    memcpy(folder, plan->out, length + 1);
    while (folder[0] && stat(folder, &info) != 0 && errno == ENOENT) {
        char *slash = strrchr(folder, '/');
        plan->made_folders++;
        *(slash ? slash : folder) = 0;
    }
    return make_directories(plan->out);
}

static enum status check_file(const struct task_plan *plan, const char *kind, const char *name, const char *ending)
{
    char path[PATH_BYTES];
    enum status result = path_format(path, "%s/%s%s.%s", plan->out, kind, name, ending);
    return result == STATUS_OK ? atomic_write_check(path) : result;
}

/* What the names of a task's results end with, one for each of its results. */
static const char *const *result_suffixes(enum task_kind kind)
{
    static const char *const one[] = {"", NULL}, *const splits[] = {"_dev", "_test", NULL},
                             *const stories[] = {"_s", "_t", "_st", "_ts", NULL};
    enum task_argument argument = kinds[kind].argument;
    return argument == ARGUMENT_SPLITS || argument == ARGUMENT_CORPUS_SPLITS ? splits
           : argument == ARGUMENT_STORIES                                    ? stories
                                                                             : one;
}

/* The files of one name. */
static enum status check_files(const struct task_plan *plan, enum task_kind kind, const char *name)
{
    enum status result = STATUS_OK;
    TRY(check_file(plan, "results_", name, "json"));
    if (kind == TASK_PAIRS || takes_archive(kind))
        TRY(check_file(plan, "samples_", name, "jsonl"));
    if (kind == TASK_LEARNING)
        TRY(check_file(plan, "", "pairs_shuffled", "jsonl"));
fail:
    return result;
}

enum status plan_check_writable(struct task_plan *plan)
{
    enum status result = STATUS_OK;
    TRY(make_out(plan));
    for (int64_t i = 0; i < plan->count; i++) {
        const struct planned_task *task = &plan->tasks[i];
        const char *const *suffixes = result_suffixes(task->kind);
        for (int s = 0; suffixes[s]; s++) {
            char name[sizeof task->name + 8];
            snprintf(name, sizeof name, "%s%s", task->name, suffixes[s]);
            TRY(check_files(plan, task->kind, name));
        }
    }
fail:
    if (result != STATUS_OK) {
        char why[1024];
        snprintf(why, sizeof why, "%s", status_text());
        status_set(result, "%s; --out names another folder for the results", why);
    }
    return result;
}

/* Takes the present status for how the task ended. */
static void end_task(const struct task_plan *plan, struct planned_task *task, enum status code)
{
    task->ended = true;
    task->code = code;
    if (code == STATUS_OK)
        return;
    snprintf(task->text, sizeof task->text, "%s", status_text());
    if (plan->count > 1)
        log_error("%s: %s", task->name, task->text);
}

static enum status check_readable(const char *path, bool folder)
{
    struct stat info;
    if (stat(path, &info) != 0 || access(path, R_OK) != 0)
        return status_set_errno(errno == EACCES ? STATUS_IO : STATUS_USAGE, errno, "%s: cannot open", path);
    if (S_ISDIR(info.st_mode) && !folder)
        return status_set(STATUS_USAGE, "%s: expected a file, found a folder", path);
    return STATUS_OK;
}

void plan_check_files(struct task_plan *plan)
{
    for (int64_t i = 0; i < plan->count; i++) {
        struct planned_task *task = &plan->tasks[i];
        if (takes_data(task->kind))
            continue;
        task->of_learning = task->kind == TASK_PAIRS && learning_before(plan, i) && is_shuffled(plan, task->file);
        bool folder = takes_archive(task->kind);
        enum status code = task->of_learning ? STATUS_OK : check_readable(task->file, folder);
        if (code != STATUS_OK)
            end_task(plan, task, code);
    }
}

void plan_fail_data(struct task_plan *plan, enum status code)
{
    for (int64_t i = 0; i < plan->count; i++)
        if (takes_data(plan->tasks[i].kind) && !plan->tasks[i].ended)
            end_task(plan, &plan->tasks[i], code);
}

bool plan_needs_data(const struct task_plan *plan)
{
    for (int64_t i = 0; i < plan->count; i++)
        if (takes_data(plan->tasks[i].kind) && !plan->tasks[i].ended)
            return true;
    return false;
}

bool plan_needs_archives(const struct task_plan *plan)
{
    for (int64_t i = 0; i < plan->count; i++)
        if (takes_archive(plan->tasks[i].kind) && !plan->tasks[i].ended)
            return true;
    return false;
}

bool plan_generates(const struct task_plan *plan)
{
    for (int64_t i = 0; i < plan->count; i++)
        if (kinds[plan->tasks[i].kind].argument >= ARGUMENT_CORPUS && !plan->tasks[i].ended)
            return true;
    return false;
}

bool plan_pending(const struct task_plan *plan)
{
    for (int64_t i = 0; i < plan->count; i++)
        if (!plan->tasks[i].ended)
            return true;
    return false;
}

/* Whether `learning`, which was to write the pairs of a later task, has written them. An older file of that name is not
 * what was asked for. */
static bool learning_wrote(const struct task_plan *plan)
{
    for (int64_t i = 0; i < plan->count; i++)
        if (plan->tasks[i].kind == TASK_LEARNING)
            return plan->tasks[i].code == STATUS_OK || plan->tasks[i].code == STATUS_UNMET;
    return false;
}

static enum status run_task(const struct task_plan *plan, const struct planned_task *task, const struct task *with,
                            const struct learning_data *data, const json_t *inputs)
{
    switch (task->kind) {
    case TASK_LEARNING:
        return task_learning(with, data, inputs);
    case TASK_GENERATION:
        return task_generation(with, data, inputs);
    case TASK_CROSSING:
        return task_crossing(with, data, inputs);
    case TASK_TEXTS:
        return task_texts(with, task->file);
    case TASK_PAIRS:
        if (task->of_learning && !learning_wrote(plan))
            return status_set(STATUS_USAGE, "learning failed and did not write %s", task->file);
        return task_pairs(with, task->file);
    case TASK_SWUGGY:
        return task_slm21(with, SLM21_LEXICAL, false, task->file);
    case TASK_SBLIMP:
        return task_slm21(with, SLM21_SYNTACTIC, false, task->file);
    case TASK_WUGGY_TEXT:
        return task_slm21(with, SLM21_LEXICAL, true, task->file);
    case TASK_BLIMP_TEXT:
        return task_slm21(with, SLM21_SYNTACTIC, true, task->file);
    case TASK_STORYCLOZE:
        return task_story_cloze(with, false, task->file);
    case TASK_TOPIC_STORYCLOZE:
        return task_story_cloze(with, true, task->file);
    case TASK_STORYCLOZE_TEXT:
        return task_story_text(with, task->file);
    case TASK_SALMON:
        return task_salmon(with, task->file);
    case TASK_MMLU:
        return task_mmlu(with, task->file);
    case TASK_BLIMP:
        return task_blimp(with, task->file);
    case TASK_ASR:
        return task_asr(with, task->file);
    case TASK_INTENT:
        return task_intent(with, task->file);
    case TASK_STSP:
        return task_stsp(with, task->file);
    default:
        return status_set(STATUS_INTERNAL, "unknown task %d", (int)task->kind);
    }
}

void plan_run(struct task_plan *plan, const struct task *common, const struct learning_data *data, const json_t *inputs)
{
    for (int64_t i = 0; i < plan->count; i++) {
        struct planned_task *task = &plan->tasks[i];
        struct task with = *common;
        enum status code;
        if (task->ended)
            continue;
        with.outcome = &task->found;
        if (plan->count > 1)
            log_info("evaluating %s", task->name);
        code = run_task(plan, task, &with, data, inputs);
        fflush(common->report); /* hours may pass before the next line */
        end_task(plan, task, code);
    }
}

static void print_row(FILE *report, const struct planned_task *task)
{
    char check[40];
    bool measured = task->code == STATUS_OK || task->code == STATUS_UNMET;
    snprintf(check, sizeof check, "%s", task->found.holds ? "holds" : "does not hold");
    if (!measured)
        snprintf(check, sizeof check, "failed (%d)", (int)task->code);
    utf8_print(report, "%-28s %-14s %s\n", task->name, check, measured ? task->found.headline : task->text);
}

enum status plan_finish(const struct task_plan *plan, FILE *report)
{
    int64_t failed = 0, unmet = 0;
    enum status code = STATUS_OK;
    if (plan->count == 1)
        return plan->tasks[0].code == STATUS_OK ? STATUS_OK
                                                : status_set(plan->tasks[0].code, "%s", plan->tasks[0].text);
    fprintf(report, "\n%-28s %-14s %s\n", "task", "check", "result");
    for (int64_t i = 0; i < plan->count; i++) {
        const struct planned_task *task = &plan->tasks[i];
        print_row(report, task);
        bool fails = task->code != STATUS_OK && task->code != STATUS_UNMET;
        failed += fails;
        unmet += task->code == STATUS_UNMET;
        if (fails && (code == STATUS_OK || code == STATUS_UNMET))
            code = task->code;
        else if (code == STATUS_OK)
            code = task->code;
    }
    utf8_print(report, "results: %s\n", plan->out);
    if (code == STATUS_OK)
        return STATUS_OK;
    if (failed == 0)
        return status_set(code, "of %lld tasks, the check of %lld does not hold", (long long)plan->count,
                          (long long)unmet);
    return status_set(code, "%lld of %lld tasks failed; the results of the others are in %s", (long long)failed,
                      (long long)plan->count, plan->out);
}
