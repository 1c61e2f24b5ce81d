/* The weights of a Llama that lies in files, of any layout (llama_source.h). Files may be larger than the host's memory: they
 * are mapped, and what is on its way from file to device is a piece. */
#include "core/log.h"
#include "core/thread_pool.h"
#include "models/llama/llama_fill.h"
#include "models/llama/llama_internal.h"
#include "models/llama/llama_read_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void describe_shape(int rank, const int64_t *shape, char *text, size_t size)
{
    size_t used = 0;
    text[0] = 0;
    for (int i = 0; i < rank && used < size; i++) {
        int length = snprintf(text + used, size - used, "%s%" PRId64, i ? " x " : "", shape[i]);
        used += length > 0 ? (size_t)length : 0;
    }
}

static bool is_vocabulary(const struct parameter_view *view)
{
    return view->layer < 0 && view->rank == 2;
}

/* The rows of a vocabulary matrix may be fewer than the model's, the same in embedding and head. */
static enum status check_shape(struct llama_reader *reader, const struct parameter_view *view,
                               const struct source_tensor *info)
{
    bool fits = info->rank == view->rank;
    for (int i = 0; fits && i < view->rank; i++)
        fits = info->shape[i] == view->shape[i] ||
               (i == 0 && is_vocabulary(view) && info->shape[0] > 0 && info->shape[0] < view->shape[0]);
    if (!fits) {
        char found[160], expected[48];
        describe_shape(info->rank, info->shape, found, sizeof found);
        describe_shape(view->rank, view->shape, expected, sizeof expected);
        return status_set(STATUS_CORRUPT, "%s: %s has the shape %s, expected %s", reader->path, view->name, found,
                          expected);
    }
    if (info->type != DTYPE_F32 && info->type != DTYPE_BF16 && info->type != DTYPE_F16)
        return status_set(STATUS_CORRUPT, "%s: %s holds %s, expected f32, bf16 or f16", reader->path, view->name,
                          dtype_name(info->type));
    if (is_vocabulary(view)) {
        if (reader->rows >= 0 && reader->rows != info->shape[0])
            return status_set(STATUS_CORRUPT, "%s: %s has %" PRId64 " rows, but the embedding has %" PRId64,
                              reader->path, view->name, info->shape[0], reader->rows);
        reader->rows = info->shape[0];
    }
    return STATUS_OK;
}

/* One piece of a tensor. */
struct conversion {
    const struct source_tensor *info;
    int64_t first, count;
    float *values;
    int64_t bad[WEIGHT_PIECE / FILL_BLOCK]; /* the first element of each block that is not finite; -1: none */
};

static void convert_block(void *argument, int64_t task, int worker)
{
    (void)worker;
    struct conversion *piece = argument;
    int64_t begin = task * FILL_BLOCK, end = begin + FILL_BLOCK < piece->count ? begin + FILL_BLOCK : piece->count;
    source_tensor_read(piece->info, piece->first + begin, end - begin, piece->values + begin);
    piece->bad[task] = -1;
    for (int64_t i = end - 1; i >= begin; i--)
        if (!isfinite(piece->values[i]))
            piece->bad[task] = i;
}

int64_t llama_source_elements(const struct source_tensor *info)
{
    return info->rank == 2 ? info->shape[0] * info->shape[1] : info->shape[0]; /* what check_shape lets through */
}

enum status llama_read_tensor(struct llama_fill *fill, const char *path, const struct parameter_view *view,
                              const struct source_tensor *info, int64_t offset)
{
    enum status result = STATUS_OK;
    struct conversion piece = {.info = info};
    int64_t count = llama_source_elements(info);
    for (; piece.first < count; piece.first += piece.count) {
        TRY(llama_fill_next(fill));
        piece.values = fill->values;
        piece.count = count - piece.first < WEIGHT_PIECE ? count - piece.first : WEIGHT_PIECE;
        int64_t blocks = (piece.count + FILL_BLOCK - 1) / FILL_BLOCK;
        thread_pool_run(fill->model->context->pool, blocks, convert_block, &piece);
        for (int64_t b = 0; b < blocks; b++)
            if (piece.bad[b] >= 0)
                FAIL(STATUS_CORRUPT, "%s: %s holds %g at element %" PRId64, path, view->name,
                     (double)piece.values[piece.bad[b]], piece.first + piece.bad[b]);
        TRY(llama_fill_send(fill, offset + piece.first, piece.count));
    }
    source_tensor_forget(info);
fail:
    return result;
}

/* Whether two tensors of one shape hold the same numbers. */
static bool same_values(const struct source_tensor *a, const struct source_tensor *b)
{
    enum { PIECE = 4096 };
    float left[PIECE], right[PIECE];
    int64_t count = llama_source_elements(a);
    for (int64_t first = 0; first < count; first += PIECE) {
        int64_t taken = count - first < PIECE ? count - first : PIECE;
        source_tensor_read(a, first, taken, left);
        source_tensor_read(b, first, taken, right);
        if (memcmp(left, right, (size_t)taken * sizeof *left) != 0)
            return false;
    }
    source_tensor_forget(a);
    source_tensor_forget(b);
    return true;
}

static enum status read_view(struct llama_reader *reader, const struct parameter_view *view)
{
    enum status result = STATUS_OK;
    const struct source_tensor *info = llama_source_find(reader->source, view->name);
    const struct source_tensor *embedding = llama_source_find(reader->source, reader->layout->views[0].name);
    if (!info && view->alias)
        return STATUS_OK;
    if (!info && strcmp(view->name, "lm_head.weight") == 0) { /* tied in the file, and not to be here */
        struct llama_config file;
        if (llama_read_config(reader->path, &file) == STATUS_OK && file.tie_embeddings)
            info = embedding;
    }
    if (!info)
        FAIL(STATUS_CORRUPT, "%s: the tensor %s is missing", reader->path, view->name);
    TRY(check_shape(reader, view, info));
    if (!view->alias)
        return reader->take ? reader->take(reader, view, info) : STATUS_OK;
    /* A tied head that is stored all the same must be what it is tied to. */
    if (!same_values(info, embedding))
        FAIL(STATUS_CORRUPT, "%s: tie_word_embeddings is true, but %s differs from %s", reader->path, view->name,
             embedding->name);
fail:
    return result;
}

/* Some files carry the rotary frequencies as tensors; they follow from the configuration. */
static bool is_rotary_table(const char *name)
{
    static const char suffix[] = ".rotary_emb.inv_freq";
    size_t length = strlen(name), tail = sizeof suffix - 1;
    return strcmp(name, "rope.freqs") == 0 || (length > tail && strcmp(name + length - tail, suffix) == 0);
}

/* Whether the stored frequencies are theta^(-2i/D), as far as bf16 can tell. */
static bool is_of_theta(const struct source_tensor *table, const struct llama_config *config)
{
    if (table->rank != 1 || table->shape[0] != config->head_size / 2)
        return false;
    for (int64_t i = 0; i < table->shape[0]; i++) {
        float stored;
        double expected = pow(config->rope_theta, -2.0 * (double)i / (double)config->head_size);
        source_tensor_read(table, i, 1, &stored);
        if (!(fabs((double)stored - expected) <= 0.01 * expected))
            return false;
    }
    return true;
}

static void check_rotary_table(const struct llama_reader *reader, const struct source_tensor *table)
{
    struct llama_config file;
    if (llama_read_config(reader->path, &file) == STATUS_OK && !is_of_theta(table, &file))
        log_warning("%s: %s is ignored, and contradicts the rope_theta %g of its configuration", reader->path,
                    table->name, file.rope_theta);
}

/* What is there and does not belong to the model is refused. Of the rotary tables, one per layer, the first is checked. */
static enum status check_surplus(const struct llama_reader *reader)
{
    bool checked = !reader->take;
    for (int64_t i = 0; i < llama_source_count(reader->source); i++) {
        const struct source_tensor *info = llama_source_tensor(reader->source, i);
        if (parameter_layout_find(reader->layout, info->name))
            continue;
        if (!is_rotary_table(info->name))
            return status_set(STATUS_CORRUPT, "%s: the tensor %s does not belong to a Llama of %" PRId64 " layers",
                              reader->path, info->name, reader->config->layers);
        if (!checked)
            check_rotary_table(reader, info);
        checked = true;
    }
    return STATUS_OK;
}

enum status llama_reader_run(struct llama_reader *reader)
{
    enum status result = STATUS_OK;
    reader->rows = -1;
    TRY(llama_source_open(reader->path, &reader->source));
    TRY(check_surplus(reader));
    for (int64_t i = 0; i < reader->layout->count; i++)
        TRY(read_view(reader, &reader->layout->views[i]));
fail:
    return result;
}

static enum status read_values(struct llama_reader *reader, const struct parameter_view *view,
                               const struct source_tensor *info)
{
    return llama_read_tensor(reader->argument, reader->path, view, info, view->offset);
}

enum status llama_check_all_rows(const struct llama_reader *reader)
{
    if (reader->rows == reader->config->vocabulary_size)
        return STATUS_OK;
    return status_set(STATUS_CORRUPT, "%s: %" PRId64 " rows of vocabulary, expected %" PRId64, reader->path,
                      reader->rows, reader->config->vocabulary_size);
}

enum status llama_read_weights(struct llama *model, const char *path, const struct weight_sink *sink,
                               int64_t *rows_read)
{
    enum status result = STATUS_OK;
    struct llama_fill fill;
    struct llama_reader reader = {
        .config = &model->config, .layout = &model->layout, .path = path, .take = read_values, .argument = &fill};
    TRY(llama_fill_open(model, sink, &fill));
    TRY(llama_reader_run(&reader));
    if (rows_read)
        *rows_read = reader.rows;
    else
        TRY(llama_check_all_rows(&reader));
fail:
    llama_source_close(reader.source);
    return llama_fill_close(&fill, result);
}

enum status llama_check_folder(const char *path, const struct llama_config *config, int64_t *rows)
{
    enum status result = STATUS_OK;
    struct parameter_layout layout;
    struct llama_reader reader = {.config = config, .layout = &layout, .path = path};
    TRY(parameter_layout_create(config, &layout));
    TRY(llama_reader_run(&reader));
    *rows = reader.rows;
fail:
    llama_source_close(reader.source);
    parameter_layout_free(&layout);
    return result;
}

/* A vector of f32 whose numbers are all bf16's: GGUF files keep norms so, beside matrices of bf16. */
static bool is_widened_vector(const struct source_tensor *info)
{
    enum { PIECE = 1024 };
    float values[PIECE];
    uint32_t words[PIECE];
    const int64_t count = source_tensor_elements(info);
    if (info->type != DTYPE_F32 || info->block != BLOCK_NONE || info->rank != 1)
        return false;
    for (int64_t first = 0; first < count; first += PIECE) {
        const int64_t piece = count - first < PIECE ? count - first : PIECE;
        source_tensor_read(info, first, piece, values);
        memcpy(words, values, sizeof words[0] * (size_t)piece);
        for (int64_t i = 0; i < piece; i++)
            if (words[i] & 0xffff)
                return false;
    }
    return true;
}

enum status llama_read_dtype(const char *path, enum dtype *dtype)
{
    struct llama_source *source;
    enum status result = llama_source_open(path, &source);
    if (result != STATUS_OK)
        return result;
    bool any = false, all = true;
    for (int64_t i = 0; i < llama_source_count(source); i++) {
        const struct source_tensor *info = llama_source_tensor(source, i);
        any |= info->type == DTYPE_BF16;
        all = all && (info->type == DTYPE_BF16 || is_rotary_table(info->name) || is_widened_vector(info));
    }
    *dtype = any && all ? DTYPE_BF16 : DTYPE_F32;
    llama_source_close(source);
    return STATUS_OK;
}
