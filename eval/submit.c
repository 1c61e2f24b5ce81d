/* Items name their recordings, so a table of one row per recording can be made of them, which is all that a submission needs to know. */
#include "eval/submit.h"

#include "core/path.h"
#include "core/utf8.h"
#include "eval/samples.h"
#include "eval/zero_shot/submission.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One file of a submission. */
struct part {
    struct samples samples;
    struct slm21 gold; /* files alone */
    double *scores;
    bool present;
};

static const char *const sets[SUBMISSION_SETS] = {"dev", "test"};
static const char *const tasks[2] = {"swuggy", "sblimp"};

static void part_free(struct part *part)
{
    samples_free(&part->samples);
    slm21_free(&part->gold);
    free(part->scores);
}

/* The names and scores of the two recordings of an item. */
static enum status read_item(const char *path, const struct choice_item *item, const struct score_protocol *protocol,
                             const char **files, double *scores)
{
    const json_t *recordings = json_object_get(item->document, "recordings");
    for (int side = 0; side < 2; side++) {
        files[side] = json_string_value(json_array_get(recordings, (size_t)side));
        if (!files[side] || item->count != 2)
            return status_set(STATUS_CORRUPT, "%s: item %s does not name its two recordings; run the task again", path,
                              item->id);
        enum status result = choice_value(&item->choices[side], protocol, &scores[side]);
        if (result != STATUS_OK)
            return status_prefix(result, "%s: %s", path, item->id);
    }
    return STATUS_OK;
}

static enum status read_part(const char *path, const struct score_settings *score, bool named, enum slm21_task task,
                             struct part *part)
{
    enum status result = STATUS_OK;
    struct samples *samples = &part->samples;
    struct score_protocols protocols;
    TRY(samples_read(path, samples));
    TRY(score_protocols_over(score, named ? NULL : &samples->protocol, samples->protocol.scope, &protocols));
    TRY(protocol_check_rescore(&samples->protocol, samples->pmi, &protocols.items[0]));
    part->gold = (struct slm21){.task = task, .where = samples->task, .file_count = 2 * samples->set.count};
    part->gold.files = calloc((size_t)part->gold.file_count + 1, sizeof(char *));
    part->scores = calloc((size_t)part->gold.file_count + 1, sizeof *part->scores);
    if (!part->gold.files || !part->scores)
        FAIL(STATUS_INTERNAL, "no memory for %lld scores", (long long)part->gold.file_count);
    for (int64_t i = 0; i < samples->set.count; i++)
        TRY(read_item(path, &samples->set.items[i], &protocols.items[0], part->gold.files + 2 * i,
                      part->scores + 2 * i));
    part->present = true;
fail:
    return result;
}

static struct submission_meta make_meta(const struct submission_settings *settings)
{
    return (struct submission_meta){.username = settings->username,
                                    .submission_id = settings->submission_id,
                                    .model_id = settings->model_id,
                                    .system_description = settings->system_description,
                                    .train_set = settings->train_set,
                                    .gpu_budget = settings->gpu_budget,
                                    .author_label = settings->author_label,
                                    .authors = settings->authors,
                                    .paper_title = settings->paper_title,
                                    .paper_url = settings->paper_url,
                                    .publication_year = (int)settings->publication_year,
                                    .institution = settings->institution,
                                    .team = settings->team,
                                    .bib_reference = settings->bib_reference,
                                    .doi = settings->doi,
                                    .open_source = settings->open_source,
                                    .code_url = settings->code_url};
}

static enum status write_parts(const char *out, const struct submission_settings *settings,
                               struct part parts[2][SUBMISSION_SETS], FILE *report)
{
    enum status result = STATUS_OK;
    char folder[PATH_BYTES];
    struct submission_scores files[2][SUBMISSION_SETS] = {{{0}}};
    const struct submission_meta meta = make_meta(settings);
    for (int t = 0; t < 2; t++)
        for (int s = 0; s < SUBMISSION_SETS; s++)
            if (parts[t][s].present)
                files[t][s] = (struct submission_scores){&parts[t][s].gold, parts[t][s].scores};
    TRY(path_format(folder, "%s/submission", out));
    TRY(submission_write(folder, &meta, files, true));
    utf8_print(report, "wrote %s; `zrc submit` takes it\n", folder);
fail:
    return result;
}

enum status submit_slm21(const char *out, const struct score_settings *score, bool named,
                         const struct submission_settings *settings, FILE *report)
{
    enum status result = STATUS_OK;
    struct part parts[2][SUBMISSION_SETS] = {{{.present = false}}};
    int found = 0;
    for (int t = 0; t < 2 && result == STATUS_OK; t++)
        for (int s = 0; s < SUBMISSION_SETS && result == STATUS_OK; s++) {
            char path[PATH_BYTES];
            result = path_format(path, "%s/samples_%s_%s.jsonl", out, tasks[t], sets[s]);
            if (result != STATUS_OK || access(path, F_OK) != 0)
                continue;
            result = read_part(path, score, named, t == 0 ? SLM21_LEXICAL : SLM21_SYNTACTIC, &parts[t][s]);
            found++;
        }
    if (result == STATUS_OK && found == 0)
        result = status_set(STATUS_USAGE,
                            "%s: there are no samples of swuggy or sblimp (samples_swuggy_dev.jsonl ...) in it", out);
    if (result == STATUS_OK)
        result = write_parts(out, settings, parts, report);
    for (int t = 0; t < 2; t++)
        for (int s = 0; s < SUBMISSION_SETS; s++)
            part_free(&parts[t][s]);
    return result;
}
