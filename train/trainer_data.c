/* Datasets, rows and the held-out rows of a trainer. */
#include "train/trainer_parts.h"

#include "core/log.h"

#include <stdlib.h>

enum status rows_allocate(struct rows *rows, int64_t count, int64_t length)
{
    size_t cells = (size_t)(count * length);
    *rows = (struct rows){.count = count,
                          .ids = calloc(cells, sizeof(int32_t)),
                          .targets = calloc(cells, sizeof(int32_t)),
                          .starts = calloc(cells, sizeof(int32_t)),
                          .losses = calloc(cells, sizeof(float))};
    if (rows->ids && rows->targets && rows->starts && rows->losses)
        return STATUS_OK;
    rows_free(rows);
    return status_set(STATUS_INTERNAL, "no memory for %lld rows of %lld tokens", (long long)count, (long long)length);
}

void rows_free(struct rows *rows)
{
    free(rows->ids);
    free(rows->targets);
    free(rows->starts);
    free(rows->losses);
    *rows = (struct rows){0};
}

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
            FAIL(STATUS_USAGE, "%s has %s units at %lld/%lld a second, %s at %lld/%lld", folder,
                 component_name((enum component)(COMPONENT_HUBERT + s)), (long long)a.numerator,
                 (long long)a.denominator, source, (long long)b.numerator, (long long)b.denominator);
        if (sizes[s] > 0 && dataset_totals(dataset)->codes[s] > sizes[s]) /* 0: a stream that the model does not have */
            FAIL(STATUS_USAGE, "%s has %s units up to %lld, the vocabulary only %d of them", folder,
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

/* The first rows of one lane that draws from this source alone. */
static enum status draw_validation(struct trainer *trainer, struct dataset **datasets, enum source_kind source)
{
    enum status result = STATUS_OK;
    const struct data_settings *data = trainer->setup.data;
    int64_t count = trainer->setup.train->validation_rows, length = data->sequence_length;
    struct lanes *lanes = NULL;
    struct lanes_options options = trainer_lanes_options(data, 0);
    options.lanes = 1;
    options.mask_documents = true;
    for (int s = 0; s < SOURCE_KINDS; s++)
        options.weights[s] = s == (int)source;
    enum status made = lanes_create(&options, &trainer->interleaver, datasets, data->validation.count, &lanes);
    if (made == STATUS_USAGE) {
        log_debug("no validation on %s: %s", source_kind_name(source), status_text());
        return STATUS_OK;
    }
    TRY(made);
    struct rows *rows = &trainer->validation[source];
    TRY(rows_allocate(rows, count, length));
    for (int64_t i = 0; i < count; i++)
        TRY(lanes_next(lanes, 0, rows->ids + i * length, rows->targets + i * length, rows->starts + i * length));
fail:
    lanes_destroy(lanes);
    return result;
}

enum status validation_create(struct trainer *trainer)
{
    enum status result = STATUS_OK;
    const struct data_settings *data = trainer->setup.data;
    struct dataset **datasets = NULL;
    if (data->validation.count == 0)
        return STATUS_OK;
    TRY(datasets_open(&data->validation, trainer->setup.components, &datasets));
    for (int source = 0; source < SOURCE_KINDS; source++)
        if (data->weights[source] > 0)
            TRY(draw_validation(trainer, datasets, (enum source_kind)source));
fail:
    datasets_close(datasets, data->validation.count);
    return result;
}
