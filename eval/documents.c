/* Rows become documents by the code that training uses, so that a model is judged on documents of the very form that it
 * was trained on. Whether a row is synthetic is kept beside it, since speech from a synthesiser is easier to predict
 * than recordings, and results on recordings are reported separately. */
#include "eval/documents.h"

#include "io/json.h"

#include <stdlib.h>
#include <string.h>

struct interleaver documents_interleaver(const struct components *components)
{
    unsigned streams = components->vocabulary.pitch_count > 0 ? STREAMS_ALL : STREAMS_BASE;
    return (struct interleaver){.text = components->text,
                                .vocabulary = &components->vocabulary,
                                .rates = components->rates,
                                .options = {.mode = INTERLEAVE_NONE, .streams_mask = streams}};
}

bool document_is_synthetic(const struct shard_row *row)
{
    json_t *meta = NULL;
    bool synthetic = false;
    if (row->meta_length == 0 || jdoc_parse("meta", row->meta, row->meta_length, &meta) != STATUS_OK)
        return false;
    synthetic = json_is_true(json_object_get(meta, "synthetic"));
    json_decref(meta);
    return synthetic;
}

static enum status add_row(const struct interleaver *interleaver, const struct shard_row *row, enum dataset_kind kind,
                           struct document_list *list)
{
    enum status result = STATUS_OK;
    struct document document = {0};
    if (kind == DATASET_SPEECH ? row->units.count[STREAM_HUBERT] == 0 : row->text_length == 0)
        return STATUS_OK;
    if (kind == DATASET_SPEECH)
        TRY(document_from_speech(interleaver, row, &document));
    else
        TRY(document_from_text(interleaver, row, &document));
    if (document.count == 0)
        goto fail; /* only white space */
    float *losses = calloc((size_t)document.count + 1, sizeof *losses);
    if (!losses)
        FAIL(STATUS_INTERNAL, "no memory for the losses of a document");
    list->sequences[list->count] = (struct scored_sequence){document.ids, document.count, losses};
    list->synthetic[list->count++] = document_is_synthetic(row);
    document.ids = NULL;
fail:
    document_free(&document);
    return result;
}

enum status documents_read(const struct interleaver *interleaver, struct dataset *const *datasets,
                           int64_t dataset_count, enum dataset_kind kind, struct document_list *list)
{
    enum status result = STATUS_OK;
    int64_t rows = 0;
    *list = (struct document_list){0};
    for (int64_t d = 0; d < dataset_count; d++)
        rows += dataset_kind(datasets[d]) == kind ? dataset_rows(datasets[d]) : 0;
    list->sequences = calloc((size_t)rows + 1, sizeof *list->sequences);
    list->synthetic = calloc((size_t)rows + 1, sizeof *list->synthetic);
    if (!list->sequences || !list->synthetic)
        FAIL(STATUS_INTERNAL, "no memory for %lld documents", (long long)rows);
    for (int64_t d = 0; d < dataset_count; d++)
        for (int64_t i = 0; dataset_kind(datasets[d]) == kind && i < dataset_rows(datasets[d]); i++) {
            struct shard_row row;
            TRY(dataset_row(datasets[d], i, &row));
            TRY(add_row(interleaver, &row, kind, list));
        }
    return STATUS_OK;
fail:
    documents_free(list);
    return result;
}

void documents_free(struct document_list *list)
{
    for (int64_t i = 0; list->sequences && i < list->count; i++) {
        free(list->sequences[i].ids);
        free(list->sequences[i].losses);
    }
    free(list->sequences);
    free(list->synthetic);
    *list = (struct document_list){0};
}
