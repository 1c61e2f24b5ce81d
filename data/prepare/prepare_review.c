/* Counted from the records and alignments of the shards, so that it is the same whichever runs made them. A tenth of a
 * corpus is more than a few bad files: most often one key or one mistake of the whole is behind it. */
#include "data/prepare/prepare_review.h"

#include "core/array.h"
#include "core/log.h"
#include "core/utf8.h"
#include "io/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double much = 0.1;

static void count_kind(struct kinds *kinds, const char *text)
{
    int length = (int)strcspn(text, ":");
    /* Reasons of the manifest begin with a line number; their kind is what they have in common. */
    const char *name = text;
    if (strncmp(text, "line ", 5) == 0) {
        name = "fault of the manifest's row";
        length = (int)strlen(name);
    }
    length = length < KIND_BYTES ? length : KIND_BYTES - 1;
    int i = 0;
    while (i < kinds->count && (strncmp(kinds->list[i].name, name, (size_t)length) != 0 || kinds->list[i].name[length]))
        i++;
    if (i == REVIEW_KINDS)
        return;
    if (i == kinds->count)
        snprintf(kinds->list[kinds->count++].name, KIND_BYTES, "%.*s", length, name);
    kinds->list[i].count++;
}

static enum status count_lines(const char *where, const char *lines, const char *key, struct kinds *kinds)
{
    enum status result = STATUS_OK;
    for (const char *line = lines; *line && result == STATUS_OK;) {
        json_t *object = NULL;
        const char *text = NULL;
        int64_t length = (int64_t)strcspn(line, "\n");
        result = jdoc_parse(where, line, length, &object);
        if (result == STATUS_OK)
            result = jdoc_get_string(where, object, key, &text);
        if (result == STATUS_OK)
            count_kind(kinds, text);
        json_decref(object);
        line += length + (line[length] == '\n');
    }
    return result;
}

static int ascending(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static enum status add_scores(const struct alignment_store *store, struct review *review)
{
    for (int64_t i = 0; i < store->count; i++) {
        if (store->list[i].reason)
            continue;
        enum status result = array_grow(&review->scores, &review->score_room, review->score_count + 1, "scores");
        if (result != STATUS_OK)
            return result;
        review->scores[review->score_count++] = store->list[i].score;
    }
    return STATUS_OK;
}

enum status review_count(const struct prepare *prepare, const struct prepare_dataset *dataset, struct review *review)
{
    enum status result = STATUS_OK;
    struct shard_record record = {0};
    struct alignment_store store = {0};
    memset(review, 0, sizeof *review);
    review->rows = dataset->manifest.count;
    review->threshold = prepare->align_threshold;
    for (int64_t k = 0; k < dataset->shards; k++) {
        TRY(shard_record_read(dataset->folder, k, &record));
        TRY(count_lines(dataset->folder, record.rejects, "reason", &review->reasons));
        TRY(count_lines(dataset->folder, record.changes, "change", &review->changes));
        review->rejects += record.reject_count;
        shard_record_free(&record);
        TRY(alignment_store_read(dataset->folder, k, &store));
        TRY(add_scores(&store, review));
        alignment_store_free(&store);
    }
    if (review->score_count > 0)
        qsort(review->scores, (size_t)review->score_count, sizeof *review->scores, ascending);
fail:
    shard_record_free(&record);
    alignment_store_free(&store);
    return result;
}

void review_free(struct review *review)
{
    free(review->scores);
    memset(review, 0, sizeof *review);
}

static json_t *describe_kinds(const struct kinds *kinds)
{
    json_t *object = json_object();
    int lost = object == NULL;
    for (int i = 0; i < kinds->count; i++)
        lost |= json_object_set_new(object, kinds->list[i].name, json_integer(kinds->list[i].count));
    if (!lost)
        return object;
    json_decref(object);
    return NULL;
}

static double quantile(const struct review *review, double share)
{
    return review->scores[llround(share * (double)(review->score_count - 1))];
}

static int64_t accepted(const struct review *review)
{
    int64_t count = 0;
    for (int64_t i = 0; i < review->score_count; i++)
        count += review->scores[i] >= review->threshold;
    return count;
}

int review_describe(json_t *root, const struct review *review)
{
    int lost = json_object_set_new(root, "reject_reasons", describe_kinds(&review->reasons));
    lost |= json_object_set_new(root, "changes", describe_kinds(&review->changes));
    if (review->score_count == 0)
        return lost;
    json_t *scores =
        json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "lowest", quantile(review, 0), "5 %", quantile(review, 0.05),
                  "25 %", quantile(review, 0.25), "50 %", quantile(review, 0.5), "75 %", quantile(review, 0.75), "95 %",
                  quantile(review, 0.95), "highest", quantile(review, 1));
    lost |=
        json_object_set_new(root, "alignment",
                            json_pack("{s:I, s:I, s:f, s:o}", "scored", (json_int_t)review->score_count, "accepted",
                                      (json_int_t)accepted(review), "threshold", review->threshold, "scores", scores));
    return lost;
}

void review_print(FILE *file, const struct review *review)
{
    for (int i = 0; i < review->reasons.count; i++)
        utf8_print(file, "  rejected, %s: %lld\n", review->reasons.list[i].name,
                   (long long)review->reasons.list[i].count);
    for (int i = 0; i < review->changes.count; i++)
        utf8_print(file, "  changed, %s: %lld\n", review->changes.list[i].name,
                   (long long)review->changes.list[i].count);
    if (review->score_count > 0)
        fprintf(file, "  alignment scores: %.2f lowest, %.2f median, %.2f highest; %lld of %lld reach %.2f\n",
                quantile(review, 0), quantile(review, 0.5), quantile(review, 1), (long long)accepted(review),
                (long long)review->score_count, review->threshold);
}

/* What decides a kind of rejection. */
static const char *advice(const char *kind)
{
    static const struct {
        const char *kind, *text;
    } list[] = {
        {"alignment score too low",
         "prepare.align_threshold decides; prepare.keep_unaligned=true keeps such rows as speech"},
        {"not aligned", "prepare.keep_unaligned=true keeps such rows as speech without words"},
        {"kept without words", "prepare.align_threshold decides"},
        {"audio too short", "prepare.minimum_seconds decides"},
        {"audio too long", "prepare.maximum_seconds decides"},
        {"no sound", "is it the right channel? A manifest's row can name its \"channel\""},
        {"words outside the audio",
         "do the transcripts belong to these recordings, and do times count from \"begin\"?"},
        {"unit out of range", "prepare.ready.label names another tokenizer"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (strcmp(list[i].kind, kind) == 0)
            return list[i].text;
    return NULL;
}

static bool is_much(const struct review *review, int64_t count)
{
    return (double)count > much * (double)review->rows;
}

static void warn_of_kinds(const struct prepare_dataset *dataset, const struct review *review, const struct kinds *kinds,
                          const char *what, const char *listed)
{
    for (int i = 0; i < kinds->count; i++) {
        const char *name = kinds->list[i].name, *hint = advice(name);
        char scores[200] = "";
        if (!is_much(review, kinds->list[i].count))
            continue;
        if (review->score_count > 0 && (strstr(name, "alignment score") || strstr(name, "kept without words")))
            snprintf(scores, sizeof scores,
                     "; the threshold is %.2f, the rows have %.2f (lowest), %.2f, %.2f (median), %.2f, %.2f (highest)",
                     review->threshold, quantile(review, 0), quantile(review, 0.25), quantile(review, 0.5),
                     quantile(review, 0.75), quantile(review, 1));
        log_warning("%s: %lld of %lld rows (%.0f %%) %s: %s%s%s%s; listed in %s/%s", dataset->manifest.path,
                    (long long)kinds->list[i].count, (long long)review->rows,
                    100 * (double)kinds->list[i].count / (double)review->rows, what, name, scores, hint ? "; " : "",
                    hint ? hint : "", dataset->folder, listed);
    }
}

void review_warn(const struct prepare_dataset *dataset, const struct review *review)
{
    bool one_kind = false;
    for (int i = 0; i < review->reasons.count; i++)
        one_kind = one_kind || is_much(review, review->reasons.list[i].count);
    warn_of_kinds(dataset, review, &review->reasons, "rejected", "rejects.jsonl");
    warn_of_kinds(dataset, review, &review->changes, "changed", "changes.jsonl");
    if (is_much(review, review->rejects) && !one_kind)
        log_warning("%s: %lld of %lld rows (%.0f %%) rejected for several reasons; listed in %s/rejects.jsonl",
                    dataset->manifest.path, (long long)review->rejects, (long long)review->rows,
                    100 * (double)review->rejects / (double)review->rows, dataset->folder);
}
