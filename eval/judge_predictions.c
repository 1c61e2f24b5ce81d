/* The release's own script drops rows without a prediction, so that n shrinks; here they are refused. */
#include "eval/judge_predictions.h"

#include "core/path.h"
#include "core/utf8.h"
#include "eval/stsp/manifest.h"
#include "eval/stsp/score.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "io/text_file.h"

#include <stdlib.h>
#include <string.h>

struct judged {
    struct stsp_prompts prompts;
    struct stsp_predictions predictions;
    struct sha256 hashes[2]; /* of the files, predictions first */
    struct confusion confusion;
    struct estimate accuracy;
};

static enum status read_files(const char *predictions, const char *reference, struct judged *judged)
{
    enum status result = STATUS_OK;
    const char *const paths[2] = {predictions, reference};
    char *texts[2] = {NULL, NULL};
    int64_t sizes[2];
    for (int i = 0; i < 2; i++) {
        TRY(text_file_read(paths[i], STSP_FILE_LIMIT, &texts[i], &sizes[i]));
        judged->hashes[i] = sha256_of(texts[i], (size_t)sizes[i]);
    }
    TRY(stsp_prompts_parse(reference, texts[1], sizes[1], &judged->prompts));
    TRY(stsp_predictions_parse(predictions, texts[0], sizes[0], &judged->predictions));
fail:
    free(texts[0]);
    free(texts[1]);
    return result;
}

/* A prediction whose id no prompt has; NULL: none. */
static const char *surplus(const struct judged *judged)
{
    char *seen = calloc((size_t)judged->predictions.count + 1, 1);
    const char *id = NULL;
    for (int64_t i = 0; seen && i < judged->prompts.count; i++) {
        const struct stsp_prediction *found = stsp_predictions_find(&judged->predictions, judged->prompts.items[i].id);
        if (found)
            seen[found - judged->predictions.items] = 1;
    }
    for (int64_t i = 0; seen && i < judged->predictions.count; i++)
        if (!seen[i])
            id = judged->predictions.items[i].id;
    free(seen);
    return id;
}

static enum status compare(const char *predictions, const char *reference, struct judged *judged)
{
    enum status result = STATUS_OK;
    double *right = calloc((size_t)judged->prompts.count + 1, sizeof *right);
    const char *other = surplus(judged);
    if (!right)
        FAIL(STATUS_INTERNAL, "no memory for %lld predictions", (long long)judged->prompts.count);
    if (other)
        FAIL(STATUS_CORRUPT, "%s: the id %s is not in %s", predictions, other, reference);
    for (int64_t i = 0; i < judged->prompts.count; i++) {
        const struct stsp_prompt *prompt = &judged->prompts.items[i];
        const struct stsp_prediction *found = stsp_predictions_find(&judged->predictions, prompt->id);
        if (!found)
            FAIL(STATUS_CORRUPT, "%s: there is no prediction for the id %s (%s:%lld)", predictions, prompt->id,
                 reference, (long long)prompt->line);
        confusion_add(&judged->confusion, prompt->sentiment, (int)found->sentiment);
        right[i] = found->sentiment == prompt->sentiment;
    }
    judged->accuracy = estimate_mean(right, judged->prompts.count);
fail:
    free(right);
    return result;
}

static void print(const struct judged *judged, FILE *report)
{
    char error[ESTIMATE_ERROR_BYTES];
    utf8_print(report, "accuracy %.4f, standard error %s, n = %lld\n", judged->accuracy.value,
               estimate_error_text(judged->accuracy, error), (long long)judged->accuracy.n);
    utf8_print(report, "%-10s %9s %9s %9s\n", "is \\ judged", sentiment_name(SENTIMENT_NEGATIVE),
               sentiment_name(SENTIMENT_NEUTRAL), sentiment_name(SENTIMENT_POSITIVE));
    for (int r = 0; r < SENTIMENTS; r++) {
        const int64_t *row = judged->confusion.counts[r];
        utf8_print(report, "%-10s  %9lld %9lld %9lld\n", sentiment_name((enum sentiment)r), (long long)row[0],
                   (long long)row[1], (long long)row[2]);
    }
}

static json_t *results_json(const char *predictions, const char *reference, const struct judged *judged)
{
    json_t *metrics = json_pack(
        "{s:s, s:o, s:o, s:I, s:I, s:o}", "alias", "judge", "acc,none", jdoc_number(judged->accuracy.value),
        "acc_stderr,none", jdoc_number(judged->accuracy.standard_error), "sample_len", (json_int_t)judged->accuracy.n,
        "expected", (json_int_t)judged->prompts.count, "confusion", confusion_json(&judged->confusion));
    return json_pack("{s:{s:o}, s:{s:{s:s}}, s:{s:{s:b}}, s:{s:s, s:o, s:s, s:o}}", "results", "judge", metrics,
                     "configs", "judge", "task", "judge", "higher_is_better", "judge", "acc", 1, "inputs",
                     "predictions", predictions, "predictions_sha256", jdoc_hash(&judged->hashes[0]), "reference",
                     reference, "reference_sha256", jdoc_hash(&judged->hashes[1]));
}

enum status judge_predictions(const char *predictions, const char *reference, const char *out, FILE *report)
{
    enum status result = STATUS_OK;
    struct judged judged = {0};
    char path[PATH_BYTES], *text = NULL;
    json_t *root = NULL;
    TRY(read_files(predictions, reference, &judged));
    TRY(compare(predictions, reference, &judged));
    print(&judged, report);
    root = results_json(predictions, reference, &judged);
    text = root ? jdoc_text(root, 2) : NULL;
    if (!text)
        FAIL(STATUS_INTERNAL, "no memory for the results, or a path is not UTF-8");
    TRY(make_directories(out));
    TRY(path_format(path, "%s/results_judge.json", out));
    TRY(atomic_write(path, text, (int64_t)strlen(text)));
fail:
    stsp_prompts_free(&judged.prompts);
    stsp_predictions_free(&judged.predictions);
    json_decref(root);
    free(text);
    return result;
}
