/* Held-out rows are drawn once, at the start, by lanes of their own: every validation then sees the same tokens. All ranks
 * draw all rows, since a lane gives them one after the other, and each keeps its run of them. */
#include "train/held_out.h"

#include "core/log.h"
#include "data/datasets.h"

#include <stdlib.h>
#include <string.h>

/* Row i of all goes to its place among the rank's own, if it is one of them. */
static enum status draw_share(const struct held_out_options *options, struct lanes *lanes, struct rows *rows)
{
    enum status result = STATUS_OK;
    int64_t length = options->data->sequence_length;
    int64_t first = options->rows * options->rank / options->ranks;
    int64_t end = options->rows * (options->rank + 1) / options->ranks;
    size_t bytes = (size_t)length * sizeof(int32_t);
    int32_t *row = malloc(3 * bytes);
    if (!row)
        return status_set(STATUS_INTERNAL, "no memory for a row");
    TRY(rows_create(options->kernels, options->context, end - first, length, options->micro_batch, rows));
    for (int64_t i = 0; i < end; i++) {
        TRY(lanes_next(lanes, 0, row, row + length, row + 2 * length));
        if (i < first)
            continue;
        memcpy(rows->ids + (i - first) * length, row, bytes);
        memcpy(rows->targets + (i - first) * length, row + length, bytes);
        memcpy(rows->starts + (i - first) * length, row + 2 * length, bytes);
    }
    TRY(rows_derive(rows, &options->components->vocabulary, options->config));
fail:
    free(row);
    return result;
}

static enum status draw_source(const struct held_out_options *options, struct dataset **datasets,
                               enum source_kind source, struct rows *rows)
{
    enum status result = STATUS_OK;
    const struct data_settings *data = options->data;
    const struct interleaver interleaver = data_interleaver(data, options->components);
    struct lanes *lanes = NULL;
    struct lanes_options lanes_options = data_lanes_options(data, 0);
    lanes_options.lanes = 1;
    lanes_options.mask_documents = true;
    for (int s = 0; s < SOURCE_KINDS; s++)
        lanes_options.weights[s] = s == (int)source;
    enum status made = lanes_create(&lanes_options, &interleaver, datasets, data->validation.count, &lanes);
    if (made == STATUS_USAGE) {
        log_debug("no validation on %s: %s", source_kind_name(source), status_text());
        return STATUS_OK;
    }
    TRY(made);
    TRY(draw_share(options, lanes, rows));
fail:
    lanes_destroy(lanes);
    return result;
}

enum status held_out_rows(const struct held_out_options *options, struct rows rows[SOURCE_KINDS])
{
    enum status result = STATUS_OK;
    const struct data_settings *data = options->data;
    struct dataset **datasets = NULL;
    if (data->validation.count == 0)
        return STATUS_OK;
    TRY(datasets_open(&data->validation, options->components, &datasets));
    for (int source = 0; source < SOURCE_KINDS; source++)
        if (data->weights[source] > 0)
            TRY(draw_source(options, datasets, (enum source_kind)source, &rows[source]));
fail:
    datasets_close(datasets, data->validation.count);
    return result;
}
