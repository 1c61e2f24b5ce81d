/* The task stsp, the Speech-Text Sentiment Preservation benchmark (Spirit LM, section 5): a prompt in one modality is continued in
 * the same or the other one, and a classifier of that modality says whether its sentiment is still there. Every direction is run with
 * each number of examples and each seed; seeds of a prompt are one cluster in the standard errors. */
#include "eval/task.h"

#include "core/utf8.h"
#include "eval/stsp_run.h"
#include "io/atomic_file.h"
#include "io/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct evaluation {
    struct stsp_setting setting;
    struct stsp_archive archive;
    struct generation_results results;
    char name[32]; /* "stsp_dev" */
    bool wanted[STSP_DIRECTIONS];
    struct prompt_template patterns[STSP_DIRECTIONS];
    int64_t *shots, shot_count, *seeds, seed_count;
};

/* ---- the paper's numbers of one direction and one number of examples ---- */

struct cell {
    struct stsp_outcome *outcomes; /* [seeds][STSP_SETS] */
    struct confusion confusion;    /* of all sets and seeds */
    struct estimate sets[STSP_SETS], all;
    int64_t failures, retries, truncated, lost;
};

static void cell_free(const struct evaluation *evaluation, struct cell *cell)
{
    for (int64_t i = 0; cell->outcomes && i < evaluation->seed_count * STSP_SETS; i++)
        stsp_outcome_free(&cell->outcomes[i]);
    free(cell->outcomes);
}

/* The estimate of one set, and its share in what is counted over all. */
static enum status sum_set(const struct evaluation *evaluation, struct cell *cell, int set)
{
    int64_t count = stsp_prompt_count(&evaluation->setting, (enum stsp_set)set), seeds = evaluation->seed_count;
    const struct stsp_prompt *prompts = evaluation->archive.prompts[set].items;
    double *right = calloc((size_t)(count * seeds) + 1, sizeof *right);
    double *scratch = calloc((size_t)count + 1, sizeof *scratch);
    if (!right || !scratch) {
        free(right);
        free(scratch);
        return status_set(STATUS_INTERNAL, "no memory for %lld judgements", (long long)count);
    }
    for (int64_t s = 0; s < seeds; s++) {
        const struct stsp_outcome *outcome = &cell->outcomes[s * STSP_SETS + set];
        for (int64_t i = 0; i < count; i++) {
            right[i * seeds + s] = outcome->judged[i] == (int)prompts[i].sentiment;
            confusion_add(&cell->confusion, prompts[i].sentiment, outcome->judged[i]);
        }
        cell->failures += outcome->failures;
        cell->retries += outcome->retries;
        cell->truncated += outcome->truncated;
        cell->lost += outcome->lost;
    }
    cell->sets[set] = stsp_estimate(right, count, seeds, scratch);
    free(right);
    free(scratch);
    return STATUS_OK;
}

static enum status sum_cell(const struct evaluation *evaluation, enum stsp_direction direction, struct cell *cell)
{
    struct estimate parts[STSP_SETS];
    int64_t count = 0;
    for (int s = 0; s < STSP_SETS; s++) {
        if (!stsp_set_of(direction, (enum stsp_set)s))
            continue;
        enum status result = sum_set(evaluation, cell, s);
        if (result != STATUS_OK)
            return result;
        parts[count++] = cell->sets[s];
    }
    cell->all = stsp_mean(parts, count);
    return STATUS_OK;
}

/* ---- rows ---- */

/* What went wrong with the generations of a row; -1: it is not known, or there are none. */
struct faults {
    int64_t failures, lost;
};

static json_t *metrics_of(struct estimate estimate, struct faults faults)
{
    json_t *metrics = json_pack("{s:o, s:o}", "acc,none", jdoc_number(estimate.value), "acc_stderr,none",
                                jdoc_number(estimate.standard_error));
    bool done = metrics &&
                (faults.failures < 0 || json_object_set_new(metrics, "failures", json_integer(faults.failures)) == 0) &&
                (faults.lost < 0 || json_object_set_new(metrics, "lost_shots", json_integer(faults.lost)) == 0);
    if (done)
        return metrics;
    json_decref(metrics);
    return NULL;
}

static struct faults faults_of(const struct stsp_outcome *outcome)
{
    return (struct faults){outcome->failures, outcome->lost};
}

static struct faults faults_sum(struct faults a, struct faults b)
{
    return (struct faults){a.failures + b.failures, a.lost + b.lost};
}

/* A count of a row, or "-" where it has none. */
static const char *count_text(const json_t *metrics, const char *key, char text[24])
{
    const json_t *value = json_object_get(metrics, key);
    snprintf(text, 24, "%lld", json_integer_value(value));
    return value ? text : "-";
}

static enum status add_expected_row(struct evaluation *evaluation, const char *alias, bool part, int64_t shots,
                                    struct estimate estimate, int64_t missing, json_t *metrics)
{
    char name[96], error[ESTIMATE_ERROR_BYTES], failures[24], lost[24];
    snprintf(name, sizeof name, "%s_%s", evaluation->name, alias);
    for (char *c = name; *c; c++)
        *c = *c == ' ' ? '_' : *c;
    utf8_print(evaluation->setting.task->report, "%s%-*s %8.4f %8s %7lld %8s %7s\n", part ? "  " : "", part ? 34 : 36,
               alias, estimate.value, estimate_error_text(estimate, error), (long long)estimate.n,
               count_text(metrics, "failures", failures), count_text(metrics, "lost_shots", lost));
    return generation_results_row(&evaluation->results, &(struct generation_row){.name = name,
                                                                                 .alias = alias,
                                                                                 .part = part,
                                                                                 .shots = shots,
                                                                                 .expected = estimate.n + missing,
                                                                                 .effective = estimate.n,
                                                                                 .higher_is_better = true,
                                                                                 .metrics = metrics});
}

static enum status add_row(struct evaluation *evaluation, const char *alias, bool part, int64_t shots,
                           struct estimate estimate, json_t *metrics)
{
    return add_expected_row(evaluation, alias, part, shots, estimate, 0, metrics);
}

/* Accuracies of one seed over all prompts of the direction's sets. */
static enum status add_seeds(struct evaluation *evaluation, const struct stsp_case *now, const struct cell *cell,
                             const char *head)
{
    enum status result = STATUS_OK;
    char alias[80];
    for (int64_t s = 0; s < evaluation->seed_count; s++) {
        struct estimate parts[STSP_SETS];
        struct faults faults = {0};
        int64_t count = 0;
        for (int set = 0; set < STSP_SETS; set++) {
            const struct stsp_outcome *outcome = &cell->outcomes[s * STSP_SETS + set];
            double right = 0;
            if (!stsp_set_of(now->direction, (enum stsp_set)set))
                continue;
            for (int64_t i = 0; i < outcome->count; i++)
                right += outcome->judged[i] == (int)evaluation->archive.prompts[set].items[i].sentiment;
            double value = outcome->count > 0 ? right / (double)outcome->count : NAN;
            double error = outcome->count > 1 ? sqrt(value * (1 - value) / (double)(outcome->count - 1)) : NAN;
            parts[count++] = (struct estimate){value, error, outcome->count};
            faults = faults_sum(faults, faults_of(outcome));
        }
        const struct estimate mean = stsp_mean(parts, count);
        snprintf(alias, sizeof alias, "%s seed %lld", head, (long long)evaluation->seeds[s]);
        TRY(add_row(evaluation, alias, true, now->shots, mean, metrics_of(mean, faults)));
    }
fail:
    return result;
}

/* How many of the prompts of a sentiment keep it, whichever set they are of; the seeds of a prompt are one observation. */
static struct estimate of_sentiment(const struct evaluation *evaluation, const struct stsp_case *now,
                                    const struct cell *cell, enum sentiment sentiment, double *means, int64_t *failures)
{
    int64_t count = 0;
    for (int set = 0; set < STSP_SETS; set++) {
        const struct stsp_prompt *prompts = evaluation->archive.prompts[set].items;
        if (!stsp_set_of(now->direction, (enum stsp_set)set))
            continue;
        for (int64_t i = 0; i < cell->outcomes[set].count; i++) {
            if (prompts[i].sentiment != sentiment)
                continue;
            means[count] = 0;
            for (int64_t s = 0; s < evaluation->seed_count; s++) {
                int judged = cell->outcomes[s * STSP_SETS + set].judged[i];
                means[count] += judged == (int)sentiment;
                *failures += judged == STSP_NONE;
            }
            means[count++] /= (double)evaluation->seed_count;
        }
    }
    return estimate_mean(means, count);
}

static enum status add_sentiments(struct evaluation *evaluation, const struct stsp_case *now, const struct cell *cell,
                                  const char *head)
{
    enum status result = STATUS_OK;
    char alias[80];
    double *means = calloc((size_t)confusion_total(&cell->confusion) + 1, sizeof *means);
    if (!means)
        FAIL(STATUS_INTERNAL, "no memory for the results");
    for (int s = 0; s < SENTIMENTS; s++) {
        struct faults faults = {0, -1};
        const struct estimate recall = of_sentiment(evaluation, now, cell, (enum sentiment)s, means, &faults.failures);
        snprintf(alias, sizeof alias, "%s %s", head, sentiment_name((enum sentiment)s));
        TRY(add_row(evaluation, alias, true, now->shots, recall, metrics_of(recall, faults)));
    }
fail:
    free(means);
    return result;
}

static enum status add_cell(struct evaluation *evaluation, const struct stsp_case *now, const struct cell *cell)
{
    enum status result = STATUS_OK;
    char head[64], alias[80];
    int64_t missing = 0;
    snprintf(head, sizeof head, "%s %lld", stsp_direction_name(now->direction), (long long)now->shots);
    json_t *metrics = metrics_of(cell->all, (struct faults){cell->failures, cell->lost});
    bool done = metrics && json_object_set_new(metrics, "confusion", confusion_json(&cell->confusion)) == 0 &&
                json_object_set_new(metrics, "retries", json_integer(cell->retries)) == 0 &&
                json_object_set_new(metrics, "truncated", json_integer(cell->truncated)) == 0;
    if (!done) {
        json_decref(metrics);
        FAIL(STATUS_INTERNAL, "no memory for the results");
    }
    for (int s = 0; s < STSP_SETS; s++)
        missing += stsp_set_of(now->direction, (enum stsp_set)s) ? evaluation->archive.missing[s] : 0;
    TRY(add_expected_row(evaluation, head, false, now->shots, cell->all, missing, metrics));
    for (int s = 0; s < STSP_SETS; s++)
        if (stsp_set_of(now->direction, (enum stsp_set)s)) {
            struct faults faults = {0};
            for (int64_t k = 0; k < evaluation->seed_count; k++)
                faults = faults_sum(faults, faults_of(&cell->outcomes[k * STSP_SETS + s]));
            snprintf(alias, sizeof alias, "%s %s", head, stsp_set_name((enum stsp_set)s));
            TRY(add_expected_row(evaluation, alias, true, now->shots, cell->sets[s], evaluation->archive.missing[s],
                                 metrics_of(cell->sets[s], faults)));
        }
    TRY(add_seeds(evaluation, now, cell, head));
    TRY(add_sentiments(evaluation, now, cell, head));
fail:
    return result;
}

/* The judges on the prompts themselves. */
static enum status add_topline(struct evaluation *evaluation)
{
    enum status result = STATUS_OK;
    const struct stsp_archive *archive = &evaluation->archive;
    for (int s = 0; s < STSP_SETS; s++) {
        struct confusion confusion = {0};
        struct faults faults = {0, -1};
        char alias[80];
        int64_t count = stsp_prompt_count(&evaluation->setting, (enum stsp_set)s);
        bool speech = stsp_set_of(STSP_S2S, (enum stsp_set)s);
        if (archive->prompts[s].count == 0 ||
            (speech ? !evaluation->setting.speech_judge : !evaluation->setting.text_judge))
            continue;
        for (int64_t i = 0; i < count; i++) {
            const struct stsp_prompt *prompt = &archive->prompts[s].items[i];
            struct judgement judgement;
            const char *text = prompt->text;
            int judged = STSP_NONE;
            if (speech) {
                judged = archive->sentiments[stsp_archive_member(archive, prompt->recording)];
            } else {
                TRY(text_judge_run(evaluation->setting.text_judge, &text, 1, &judgement, NULL));
                TRY(stsp_judged(evaluation->setting.task->judges->text,
                                text_judge_label(evaluation->setting.text_judge, judgement.label), &judged));
            }
            confusion_add(&confusion, prompt->sentiment, judged);
            faults.failures += judged == STSP_NONE;
        }
        double value = confusion_accuracy(&confusion);
        const struct estimate mean = {value, count > 1 ? sqrt(value * (1 - value) / (double)(count - 1)) : NAN, count};
        json_t *metrics = metrics_of(mean, faults);
        if (!metrics || json_object_set_new(metrics, "confusion", confusion_json(&confusion)) != 0)
            FAIL(STATUS_INTERNAL, "no memory for the results");
        snprintf(alias, sizeof alias, "topline %s", stsp_set_name((enum stsp_set)s));
        TRY(add_row(evaluation, alias, false, 0, mean, metrics));
    }
fail:
    return result;
}

/* ---- the runs ---- */

static enum status run_case(struct evaluation *evaluation, enum stsp_direction direction, int64_t shots,
                            struct estimate *mean, struct faults *faults)
{
    enum status result = STATUS_OK;
    struct cell cell = {0};
    struct stsp_case now = {.direction = direction, .shots = shots};
    cell.outcomes = calloc((size_t)evaluation->seed_count * STSP_SETS, sizeof *cell.outcomes);
    if (!cell.outcomes)
        FAIL(STATUS_INTERNAL, "no memory for the results");
    for (int64_t s = 0; s < evaluation->seed_count; s++) {
        now.seed = (uint64_t)evaluation->seeds[s];
        TRY(stsp_run(&evaluation->setting, &now, &cell.outcomes[s * STSP_SETS]));
    }
    TRY(sum_cell(evaluation, direction, &cell));
    TRY(add_cell(evaluation, &now, &cell));
    *mean = cell.all;
    *faults = (struct faults){cell.failures, cell.lost};
fail:
    cell_free(evaluation, &cell);
    return result;
}

static enum status run_cases(struct evaluation *evaluation)
{
    enum status result = STATUS_OK;
    struct task_outcome *outcome = evaluation->setting.task->outcome;
    for (int64_t k = 0; k < evaluation->shot_count; k++) {
        struct estimate means[STSP_DIRECTIONS];
        struct faults faults = {0}, own = {0};
        int64_t count = 0;
        char alias[64];
        for (int d = 0; d < STSP_DIRECTIONS; d++)
            if (evaluation->wanted[d]) {
                TRY(run_case(evaluation, (enum stsp_direction)d, evaluation->shots[k], &means[count], &own));
                faults = faults_sum(faults, own);
                count++;
            }
        const struct estimate mean = stsp_mean(means, count);
        snprintf(alias, sizeof alias, "mean of directions %lld", (long long)evaluation->shots[k]);
        if (count > 1)
            TRY(add_row(evaluation, alias, false, evaluation->shots[k], mean, metrics_of(mean, faults)));
        if (k == 0)
            snprintf(outcome->headline, sizeof outcome->headline, "accuracy %.4f over %lld directions", mean.value,
                     (long long)count);
    }
fail:
    return result;
}

/* ---- setting up ---- */

static enum status choose_directions(const struct config_list *words, bool wanted[STSP_DIRECTIONS])
{
    static const char *const names[STSP_DIRECTIONS] = {"s>s", "s>t", "t>s", "t>t"};
    for (int d = 0; d < STSP_DIRECTIONS; d++)
        wanted[d] = words->count == 0;
    for (int64_t i = 0; i < words->count; i++) {
        int d = 0;
        while (d < STSP_DIRECTIONS && strcmp(names[d], words->items[i]) != 0)
            d++;
        if (d == STSP_DIRECTIONS)
            return status_set(STATUS_USAGE, "evaluate.stsp_directions: expected s>s, s>t, t>s or t>t, found \"%s\"",
                              words->items[i]);
        wanted[d] = true;
    }
    return STATUS_OK;
}

static enum status read_patterns(struct evaluation *evaluation)
{
    const struct prompt_paths *paths = evaluation->setting.task->prompts;
    const char *const given[STSP_DIRECTIONS] = {paths->stsp_s2s, paths->stsp_s2t, paths->stsp_t2s, paths->stsp_t2t};
    for (int d = 0; d < STSP_DIRECTIONS; d++) {
        char name[32], path[PATH_BYTES];
        snprintf(name, sizeof name, "stsp_%s", stsp_direction_name((enum stsp_direction)d));
        enum status result = evaluation->wanted[d] ? template_find(given[d], name, path) : STATUS_OK;
        if (result == STATUS_OK && evaluation->wanted[d])
            result = template_read(path, &evaluation->patterns[d]);
        if (result != STATUS_OK)
            return result;
    }
    return STATUS_OK;
}

static enum status open_judges(struct evaluation *evaluation)
{
    enum status result = STATUS_OK;
    const struct task *task = evaluation->setting.task;
    bool speech = evaluation->wanted[STSP_S2S] || evaluation->wanted[STSP_T2S];
    bool text = evaluation->wanted[STSP_S2T] || evaluation->wanted[STSP_T2T];
    if (speech && !*task->judges->speech)
        FAIL(STATUS_USAGE, "stsp: judges.speech names no folder of a classifier, which s>s and t>s need");
    if (text && !*task->judges->text)
        FAIL(STATUS_USAGE, "stsp: judges.text names no folder of a classifier, which s>t and t>t need");
    if (*task->judges->speech)
        TRY(speech_judge_open(task->judges->speech, task->model->kernels, task->model->context,
                              &evaluation->setting.speech_judge));
    if (*task->judges->text)
        TRY(text_judge_open(task->judges->text, task->model->kernels, task->model->context,
                            &evaluation->setting.text_judge));
fail:
    return result;
}

static json_t *numbers_json(const int64_t *numbers, int64_t count)
{
    json_t *list = json_array();
    for (int64_t i = 0; list && i < count; i++)
        json_array_append_new(list, json_integer(numbers[i]));
    return list;
}

/* What the generations and judgements depend on besides the model and the archive. */
static json_t *inputs_json(const struct evaluation *evaluation)
{
    const struct stsp_setting *setting = &evaluation->setting;
    json_t *prompts = json_object(), *judges = json_object();
    for (int d = 0; d < STSP_DIRECTIONS; d++)
        if (evaluation->wanted[d])
            json_object_set_new(prompts, stsp_direction_name((enum stsp_direction)d),
                                jdoc_hash(&evaluation->patterns[d].hash));
    if (setting->text_judge)
        json_object_set_new(judges, "text", jdoc_hash(text_judge_fingerprint(setting->text_judge)));
    if (setting->speech_judge)
        json_object_set_new(judges, "speech", jdoc_hash(speech_judge_fingerprint(setting->speech_judge)));
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:I}", "manifests", jdoc_hash(&evaluation->archive.manifests), "prompts", prompts,
        "judges", judges, "shots", numbers_json(evaluation->shots, evaluation->shot_count), "seeds",
        numbers_json(evaluation->seeds, evaluation->seed_count), "limit", (json_int_t)setting->task->evaluate->limit);
}

static enum status open_journal(struct evaluation *evaluation, const char *path)
{
    enum status result = STATUS_OK;
    const struct task *task = evaluation->setting.task;
    char identity[65], journal[PATH_BYTES];
    archive_identity(evaluation->archive.archive, identity);
    TRY(generation_results_create(task, &evaluation->results));
    TRY(generation_results_set(&evaluation->results, "archive",
                               json_pack("{s:s, s:s}", "path", path, "identity", identity)));
    TRY(generation_results_set(&evaluation->results, "inputs", inputs_json(evaluation)));
    json_t *wanted = json_pack("{s:s, s:O, s:s, s:O}", "task", evaluation->name, "fingerprints",
                               json_object_get(evaluation->results.root, "fingerprints"), "archive", identity, "inputs",
                               json_object_get(evaluation->results.root, "inputs"));
    result = make_directories(task->out);
    if (result == STATUS_OK)
        result = path_format(journal, "%s/journal_%s.log", task->out, evaluation->name);
    if (result == STATUS_OK)
        result = wanted ? journal_open(journal, wanted, task->locks, &evaluation->setting.journal)
                        : status_set(STATUS_INTERNAL, "no memory for the journal");
    json_decref(wanted);
fail:
    return result;
}

static enum status make_setting(struct evaluation *evaluation, const char *path, const char *split)
{
    enum status result = STATUS_OK;
    const struct task *task = evaluation->setting.task;
    static const int64_t three[] = {0, 1, 2};
    bool examples = false;
    TRY(choose_directions(&task->evaluate->stsp_directions, evaluation->wanted));
    TRY(evaluate_numbers("evaluate.shots", &task->evaluate->shot_list, 0, 1000, &evaluation->shots,
                         &evaluation->shot_count));
    TRY(evaluate_numbers("evaluate.seeds", &task->evaluate->seeds, 0, INT64_MAX, &evaluation->seeds,
                         &evaluation->seed_count));
    if (task->evaluate->seeds.count == 0) {
        free(evaluation->seeds);
        evaluation->seeds = malloc(sizeof three);
        if (!evaluation->seeds)
            FAIL(STATUS_INTERNAL, "no memory for three seeds");
        memcpy(evaluation->seeds, three, sizeof three);
        evaluation->seed_count = 3;
    }
    for (int64_t i = 0; i < evaluation->shot_count; i++)
        examples = examples || evaluation->shots[i] > 0;
    TRY(read_patterns(evaluation));
    TRY(stsp_archive_open(task, path, split, evaluation->wanted, examples, &evaluation->archive));
    TRY(open_judges(evaluation));
    evaluation->setting.archive = &evaluation->archive;
    evaluation->setting.patterns = evaluation->patterns;
    evaluation->setting.results = &evaluation->results;
    TRY(open_journal(evaluation, path));
fail:
    return result;
}

static void evaluation_free(struct evaluation *evaluation)
{
    journal_close(evaluation->setting.journal, false);
    stsp_archive_close(&evaluation->archive);
    generation_results_free(&evaluation->results);
    for (int d = 0; d < STSP_DIRECTIONS; d++)
        template_free(&evaluation->patterns[d]);
    text_judge_close(evaluation->setting.text_judge);
    speech_judge_close(evaluation->setting.speech_judge);
    free(evaluation->shots);
    free(evaluation->seeds);
}

static enum status run_split(const struct task *task, const char *path, const char *split)
{
    enum status result = STATUS_OK;
    struct evaluation evaluation = {.setting = {.task = task}};
    snprintf(evaluation.name, sizeof evaluation.name, "stsp_%s", split);
    TRY(make_setting(&evaluation, path, split));
    TRY(stsp_archive_encode(&evaluation.archive, evaluation.setting.speech_judge, evaluation.setting.journal));
    utf8_print(task->report, "%-36s %8s %8s %7s %8s %7s\n", evaluation.name, "accuracy", "stderr", "n", "failures",
               "lost");
    TRY(add_topline(&evaluation));
    TRY(run_cases(&evaluation));
    TRY(generation_results_write(task, evaluation.name, &evaluation.results));
    journal_close(evaluation.setting.journal, true);
    evaluation.setting.journal = NULL;
    task->outcome->holds = true;
fail:
    evaluation_free(&evaluation);
    return result;
}

enum status task_stsp(const struct task *task, const char *path)
{
    static const char *const splits[] = {"dev", "test"}; /* as enum split_choice */
    enum status result = STATUS_OK;
    for (int s = 0; s < 2; s++)
        if (task->evaluate->split == SPLIT_ALL || task->evaluate->split == s)
            TRY(run_split(task, path, splits[s]));
fail:
    return result;
}
