/* Datasets, rows and the held-out rows of a trainer. */
#include "train/trainer_parts.h"

#include "core/log.h"
#include "data/datasets.h"

#include <stdlib.h>

enum status rows_allocate(struct rows *rows, int64_t count, int64_t length)
{
    size_t cells = (size_t)(count * length);
    *rows = (struct rows){.count = count,
                          .ids = calloc(cells, sizeof(int32_t)),
                          .targets = calloc(cells, sizeof(int32_t)),
                          .starts = calloc(cells, sizeof(int32_t)),
                          .groups = calloc(cells, sizeof(uint8_t))};
    if (rows->ids && rows->targets && rows->starts && rows->groups)
        return STATUS_OK;
    rows_free(rows);
    return status_set(STATUS_INTERNAL, "no memory for %lld rows of %lld tokens", (long long)count, (long long)length);
}

void rows_free(struct rows *rows)
{
    free(rows->ids);
    free(rows->targets);
    free(rows->starts);
    free(rows->groups);
    *rows = (struct rows){0};
}

/* The first rows of one lane that draws from this source alone. */
static enum status draw_validation(struct trainer *trainer, struct dataset **datasets, enum source_kind source)
{
    enum status result = STATUS_OK;
    const struct data_settings *data = trainer->setup.data;
    int64_t count = trainer->setup.train->validation_rows, length = data->sequence_length;
    struct lanes *lanes = NULL;
    struct lanes_options options = data_lanes_options(data, 0);
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
