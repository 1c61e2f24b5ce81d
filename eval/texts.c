/* Documents are made by the code that training uses. What is counted is the pieces of the text from the second one on: neither
 * tag nor EOS, which a model of text alone does not have, nor the first piece, which it may see nothing before, so that it can be
 * compared with what it becomes. */
#include "eval/texts.h"

#include "core/array.h"
#include "core/utf8.h"
#include "eval/documents.h"
#include "io/text_file.h"
#include "text/white_space.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FILE_LIMIT ((int64_t)1 << 30)

struct text_list {
    struct scored_sequence *sequences;
    double *bytes;
    int64_t count, capacity, byte_capacity;
};

static enum status add_line(const struct interleaver *interleaver, const char *line, int64_t length,
                            struct text_list *list)
{
    enum status result = STATUS_OK;
    struct document document = {0};
    int64_t begin = 0, end = length;
    trim_white_space(line, &begin, &end);
    if (begin == end)
        return STATUS_OK;
    const struct shard_row row = {.text = line, .text_length = length};
    TRY(array_grow(&list->sequences, &list->capacity, list->count + 1, "documents"));
    TRY(array_grow(&list->bytes, &list->byte_capacity, list->count + 1, "documents"));
    TRY(document_from_text(interleaver, &row, &document));
    if (document.count == 0)
        goto fail;
    float *losses = calloc((size_t)document.count, sizeof *losses);
    if (!losses)
        FAIL(STATUS_INTERNAL, "no memory for the losses of a document");
    list->sequences[list->count] = (struct scored_sequence){document.ids, document.count, losses};
    list->bytes[list->count++] = (double)(end - begin);
    document.ids = NULL;
fail:
    document_free(&document);
    return result;
}

static bool is_utf8(const char *at, const char *end)
{
    for (size_t size; at < end; at += size)
        if (!(size = utf8_character(at, (size_t)(end - at))))
            return false;
    return true;
}

static enum status read_lines(const char *path, const struct components *components, struct text_list *list,
                              struct sha256 *hash)
{
    enum status result = STATUS_OK;
    const struct interleaver interleaver = documents_interleaver(components);
    char *text = NULL;
    int64_t size = 0, number = 0;
    TRY(text_file_read(path, FILE_LIMIT, &text, &size));
    *hash = sha256_of(text, (size_t)size);
    for (char *at = text; at < text + size;) {
        char *end = memchr(at, '\n', (size_t)(text + size - at));
        end = end ? end : text + size;
        number++;
        if (!is_utf8(at, end))
            FAIL(STATUS_CORRUPT, "%s:%lld: the line is not UTF-8", path, (long long)number);
        TRY(add_line(&interleaver, at, end - at, list));
        at = end + 1;
    }
    if (list->count == 0)
        FAIL(STATUS_CORRUPT, "%s: the file has no text", path);
fail:
    free(text);
    return result;
}

/* Sums over the pieces of the text. */
static double document_nats(const struct vocabulary *vocabulary, const struct scored_sequence *sequence, double *pieces)
{
    double nats = 0;
    bool first = true;
    *pieces = 0;
    for (int64_t i = 0; i < sequence->count; i++) {
        int32_t id = sequence->ids[i];
        if (vocabulary_kind(vocabulary, id) != TOKEN_TEXT || id == vocabulary->eos || id == vocabulary->bos)
            continue;
        nats += first ? 0 : (double)sequence->losses[i];
        *pieces += first ? 0 : 1;
        first = false;
    }
    return nats;
}

enum status texts_evaluate(struct llama *model, const struct components *components, const char *path,
                           struct texts_result *out)
{
    enum status result = STATUS_OK;
    struct text_list list = {0};
    double *values = NULL;
    *out = (struct texts_result){0};
    TRY(read_lines(path, components, &list, &out->file_hash));
    values = calloc(3 * (size_t)list.count, sizeof *values);
    if (!values)
        FAIL(STATUS_INTERNAL, "no memory for the scores of documents");
    TRY(scorer_run(model, list.sequences, list.count));
    double *nats = values, *bits = nats + list.count, *pieces = bits + list.count;
    for (int64_t i = 0; i < list.count; i++) {
        nats[i] = document_nats(&components->vocabulary, &list.sequences[i], &pieces[i]);
        bits[i] = nats[i] / log(2);
        out->pieces += (int64_t)pieces[i];
        out->bytes += (int64_t)list.bytes[i];
        out->windowed += list.sequences[i].count > model->config.maximum_positions;
    }
    out->nats = estimate_ratio(nats, pieces, list.count);
    out->bits = estimate_ratio(bits, list.bytes, list.count);
fail:
    for (int64_t i = 0; i < list.count; i++) {
        free(list.sequences[i].ids);
        free(list.sequences[i].losses);
    }
    free(list.sequences);
    free(list.bytes);
    free(values);
    return result;
}
