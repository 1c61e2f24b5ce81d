/* Units mean something only together with the tokenizer that made them, so a dataset is checked against the model's
 * components before a row of it is read. */
#include "data/datasets.h"

#include <stdlib.h>
#include <unistd.h>

static enum status check_units(const char *folder, const struct dataset *dataset, const struct components *components)
{
    enum status result = STATUS_OK;
    if (dataset_kind(dataset) != DATASET_SPEECH)
        return STATUS_OK;
    const struct shard_fingerprints *found = dataset_fingerprints(dataset);
    const char *source = components->speech_folder ? components->speech_folder : "the configuration";
    const struct vocabulary *vocabulary = &components->vocabulary;
    const int32_t sizes[STREAM_COUNT] = {vocabulary->hubert_count, vocabulary->pitch_count, vocabulary->style_count};
    for (int s = 0; s < STREAM_COUNT; s++) {
        TRY(components_match((enum component)(COMPONENT_HUBERT + s), &found->stream[s], folder,
                             &components->fingerprints[COMPONENT_HUBERT + s], source));
        struct rational a = found->rates.rate[s], b = components->rates.rate[s];
        if (a.numerator && b.numerator && a.numerator * b.denominator != b.numerator * a.denominator)
            FAIL(STATUS_USAGE, "%s has %s units at %lld/%lld per second, but %s has them at %lld/%lld", folder,
                 component_name((enum component)(COMPONENT_HUBERT + s)), (long long)a.numerator,
                 (long long)a.denominator, source, (long long)b.numerator, (long long)b.denominator);
        if (sizes[s] > 0 && dataset_totals(dataset)->codes[s] > sizes[s]) /* 0: a stream that the model does not have */
            FAIL(STATUS_USAGE, "%s has %s units up to %lld, but the vocabulary has only %d of them", folder,
                 component_name((enum component)(COMPONENT_HUBERT + s)),
                 (long long)dataset_totals(dataset)->codes[s] - 1, (int)sizes[s]);
    }
fail:
    return result;
}

enum status datasets_open(const struct config_list *folders, const struct components *components, struct dataset ***out)
{
    enum status result = STATUS_OK;
    struct dataset **datasets = calloc((size_t)folders->count + 1, sizeof(struct dataset *));
    *out = NULL;
    if (!datasets)
        return status_set(STATUS_INTERNAL, "no memory for the datasets");
    for (int64_t i = 0; i < folders->count; i++) {
        if (access(folders->items[i], F_OK) != 0)
            FAIL(STATUS_USAGE,
                 "%s: there is no such folder; data.train and data.validation name datasets, which prepare makes: run "
                 "it first",
                 folders->items[i]);
        TRY(dataset_open(folders->items[i], &datasets[i]));
        TRY(check_units(folders->items[i], datasets[i], components));
    }
    *out = datasets;
    return STATUS_OK;
fail:
    datasets_close(datasets, folders->count);
    return result;
}

void datasets_close(struct dataset **datasets, int64_t count)
{
    for (int64_t i = 0; datasets && i < count; i++)
        dataset_close(datasets[i]);
    free(datasets);
}
