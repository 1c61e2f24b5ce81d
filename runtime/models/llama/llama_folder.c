/* The weights of a Hugging Face folder: one safetensors file, or shards with an index. Files may be larger than the host's
 * memory: they are mapped to be read, written in a stream, and what is on its way between file and device is a piece. */
#include "models/llama/llama_folder.h"
#include "core/thread_pool.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "models/llama/llama_fill.h"
#include "models/llama/llama_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

struct reader {
    struct llama *model;
    const char *path;
    struct safetensors_folder *folder;
    struct llama_fill fill;
    int64_t rows; /* of embedding and head; -1 until the first is seen */
    bool shapes_only;
};

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
static enum status check_shape(struct reader *reader, const struct parameter_view *view, const struct tensor_info *info)
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
    const struct tensor_info *info;
    const void *data;
    int64_t first, count;
    float *values;
    int64_t bad[WEIGHT_PIECE / FILL_BLOCK]; /* the first element of each block that is not finite; -1: none */
};

static void convert_block(void *argument, int64_t task, int worker)
{
    (void)worker;
    struct conversion *piece = argument;
    int64_t begin = task * FILL_BLOCK, end = begin + FILL_BLOCK < piece->count ? begin + FILL_BLOCK : piece->count;
    tensor_to_float(piece->info, piece->data, piece->first + begin, end - begin, piece->values + begin);
    piece->bad[task] = -1;
    for (int64_t i = end - 1; i >= begin; i--)
        if (!isfinite(piece->values[i]))
            piece->bad[task] = i;
}

static enum status read_values(struct reader *reader, const struct parameter_view *view, const struct tensor_info *info,
                               const void *data)
{
    enum status result = STATUS_OK;
    struct conversion piece = {.info = info, .data = data};
    int64_t count = info->bytes / (int64_t)dtype_size(info->type);
    for (; piece.first < count; piece.first += piece.count) {
        TRY(llama_fill_next(&reader->fill));
        piece.values = reader->fill.values;
        piece.count = count - piece.first < WEIGHT_PIECE ? count - piece.first : WEIGHT_PIECE;
        int64_t blocks = (piece.count + FILL_BLOCK - 1) / FILL_BLOCK;
        thread_pool_run(reader->model->context->pool, blocks, convert_block, &piece);
        for (int64_t b = 0; b < blocks; b++)
            if (piece.bad[b] >= 0)
                FAIL(STATUS_CORRUPT, "%s: %s holds %g at element %" PRId64, reader->path, view->name,
                     (double)piece.values[piece.bad[b]], piece.first + piece.bad[b]);
        TRY(llama_fill_send(&reader->fill, view->offset + piece.first, piece.count));
    }
    safetensors_folder_forget(reader->folder, info);
fail:
    return result;
}

static enum status read_view(struct reader *reader, const struct parameter_view *view)
{
    enum status result = STATUS_OK;
    const void *data, *embedding;
    const struct tensor_info *info = safetensors_folder_find(reader->folder, view->name, &data);
    if (!info && view->alias)
        return STATUS_OK;
    if (!info)
        FAIL(STATUS_CORRUPT, "%s: the tensor %s is missing", reader->path, view->name);
    TRY(check_shape(reader, view, info));
    if (!view->alias)
        return reader->shapes_only ? STATUS_OK : read_values(reader, view, info, data);
    /* A tied head that is stored all the same must be what it is tied to. */
    const struct tensor_info *tied =
        safetensors_folder_find(reader->folder, reader->model->layout.views[0].name, &embedding);
    if (tied->type != info->type || tied->bytes != info->bytes || memcmp(embedding, data, (size_t)info->bytes) != 0)
        FAIL(STATUS_CORRUPT, "%s: tie_word_embeddings is true, but %s differs from %s", reader->path, view->name,
             tied->name);
    safetensors_folder_forget(reader->folder, tied);
    safetensors_folder_forget(reader->folder, info);
fail:
    return result;
}

/* Old folders carry the rotary frequencies as tensors; they follow from the configuration. */
static bool is_rotary_table(const char *name)
{
    static const char suffix[] = ".self_attn.rotary_emb.inv_freq";
    size_t length = strlen(name), tail = sizeof suffix - 1;
    return length > tail && strcmp(name + length - tail, suffix) == 0;
}

static enum status refuse_surplus(const struct reader *reader)
{
    for (int64_t i = 0; i < safetensors_folder_count(reader->folder); i++) {
        const struct tensor_info *info = safetensors_folder_info(reader->folder, i);
        if (!parameter_layout_find(&reader->model->layout, info->name) && !is_rotary_table(info->name))
            return status_set(STATUS_CORRUPT, "%s: the tensor %s does not belong to a Llama of %" PRId64 " layers",
                              reader->path, info->name, reader->model->config.layers);
    }
    return STATUS_OK;
}

enum status llama_read_weights(struct llama *model, const char *path, const struct weight_sink *sink,
                               int64_t *rows_read)
{
    enum status result = STATUS_OK;
    struct reader reader = {.model = model, .path = path, .rows = -1};
    TRY(safetensors_folder_open(path, &reader.folder));
    TRY(refuse_surplus(&reader));
    TRY(llama_fill_open(model, sink, &reader.fill));
    for (int64_t i = 0; i < model->layout.count; i++)
        TRY(read_view(&reader, &model->layout.views[i]));
    if (rows_read)
        *rows_read = reader.rows;
    else if (reader.rows != model->config.vocabulary_size)
        FAIL(STATUS_CORRUPT, "%s: %" PRId64 " rows of vocabulary, expected %" PRId64, path, reader.rows,
             model->config.vocabulary_size);
fail:
    safetensors_folder_close(reader.folder);
    return llama_fill_close(&reader.fill, result);
}

enum status llama_check_folder(const char *path, const struct llama_config *config, int64_t *rows)
{
    enum status result = STATUS_OK;
    struct llama model = {.config = *config};
    struct reader reader = {.model = &model, .path = path, .rows = -1, .shapes_only = true};
    TRY(parameter_layout_create(config, &model.layout));
    TRY(safetensors_folder_open(path, &reader.folder));
    TRY(refuse_surplus(&reader));
    for (int64_t i = 0; i < model.layout.count; i++)
        TRY(read_view(&reader, &model.layout.views[i]));
    *rows = reader.rows;
fail:
    safetensors_folder_close(reader.folder);
    parameter_layout_free(&model.layout);
    return result;
}

enum status llama_read_dtype(const char *path, enum dtype *dtype)
{
    struct safetensors_folder *folder;
    enum status result = safetensors_folder_open(path, &folder);
    if (result != STATUS_OK)
        return result;
    *dtype = DTYPE_BF16;
    for (int64_t i = 0; i < safetensors_folder_count(folder); i++) {
        const struct tensor_info *info = safetensors_folder_info(folder, i);
        if (info->type != DTYPE_BF16 && !is_rotary_table(info->name))
            *dtype = DTYPE_F32;
    }
    safetensors_folder_close(folder);
    return STATUS_OK;
}

/* ---- writing ---- */

/* Views first..end-1 (aliases left out) go into one file. */
struct weight_shard {
    int64_t first, end, tensors, bytes;
    char name[80];
};

static int64_t view_bytes(const struct llama *model, const struct parameter_view *view)
{
    return view->alias ? 0 : view->count * (int64_t)dtype_size(model->dtype);
}

/* Cuts the views in order; returns the number of shards. `shards` has room for one a view. */
static int64_t cut_shards(const struct llama *model, int64_t shard_bytes, struct weight_shard *shards)
{
    const struct parameter_layout *layout = &model->layout;
    int64_t count = 0;
    for (int64_t i = 0; i < layout->count; i++) {
        int64_t bytes = view_bytes(model, &layout->views[i]);
        if (count == 0 || (bytes > 0 && shards[count - 1].bytes + bytes > shard_bytes))
            shards[count++] = (struct weight_shard){.first = i};
        struct weight_shard *shard = &shards[count - 1];
        shard->end = i + 1;
        shard->bytes += bytes;
        shard->tensors += bytes > 0;
    }
    for (int64_t i = 0; i < count; i++)
        if (count == 1)
            strcpy(shards[i].name, "model.safetensors");
        else
            snprintf(shards[i].name, sizeof shards[i].name, "model-%05" PRId64 "-of-%05" PRId64 ".safetensors", i + 1,
                     count);
    return count;
}

static int64_t list_tensors(const struct llama *model, const struct weight_shard *shard, struct tensor_info *infos)
{
    int64_t count = 0;
    for (int64_t i = shard->first; i < shard->end; i++) {
        const struct parameter_view *view = &model->layout.views[i];
        if (view->alias)
            continue;
        infos[count] = (struct tensor_info){
            .name = view->name, .type = model->dtype, .rank = view->rank, .bytes = view_bytes(model, view)};
        memcpy(infos[count++].shape, view->shape, sizeof view->shape);
    }
    return count;
}

/* Through `piece`, pinned memory for WEIGHT_PIECE elements. */
static enum status write_view(const struct llama *model, const struct parameter_view *view, void *piece,
                              struct safetensors_writer *writer)
{
    enum status result = STATUS_OK;
    const struct kernels *kernels = model->kernels;
    int64_t size = (int64_t)dtype_size(model->dtype);
    for (int64_t done = 0; done < view->count && !view->alias; done += WEIGHT_PIECE) {
        int64_t count = view->count - done < WEIGHT_PIECE ? view->count - done : WEIGHT_PIECE;
        TRY(kernels->copy_to_host(model->context, QUEUE_COMPUTE, piece,
                                  element_at(model->weights, model->dtype, view->offset + done),
                                  (size_t)(count * size)));
        TRY(kernels->synchronize(model->context));
        TRY(safetensors_append(writer, piece, count * size));
    }
fail:
    return result;
}

static enum status write_shard(const struct llama *model, struct atomic_directory *directory,
                               const struct weight_shard *shard, void *piece)
{
    static const char *const metadata[] = {"format", "pt"};
    enum status result = STATUS_OK;
    struct output_file *file = NULL;
    struct safetensors_writer writer;
    struct tensor_info *infos = calloc((size_t)shard->tensors, sizeof *infos);
    if (!infos)
        FAIL(STATUS_INTERNAL, "no memory for a list of tensors");
    TRY(atomic_directory_create(directory, shard->name, shard->bytes, &file));
    TRY(safetensors_begin(file, infos, list_tensors(model, shard, infos), metadata, 1, &writer));
    for (int64_t i = shard->first; i < shard->end; i++)
        TRY(write_view(model, &model->layout.views[i], piece, &writer));
    TRY(safetensors_end(&writer));
    result = output_close(file);
    file = NULL;
fail:
    if (result != STATUS_OK)
        (void)model->kernels->synchronize(model->context); /* copies to `bytes` may not be over */
    output_abandon(file);
    free(infos);
    return result;
}

static enum status write_index(const struct llama *model, struct atomic_directory *directory,
                               const struct weight_shard *shards, int64_t count)
{
    enum status result = STATUS_OK;
    int64_t total = 0;
    char *text = NULL;
    json_t *map = json_object(), *root = NULL;
    bool complete = map != NULL;
    for (int64_t i = 0; i < count; i++) {
        total += shards[i].bytes;
        for (int64_t j = shards[i].first; j < shards[i].end; j++)
            if (!model->layout.views[j].alias)
                complete =
                    complete && json_object_set_new(map, model->layout.views[j].name, json_string(shards[i].name)) == 0;
    }
    if (complete)
        root = json_pack("{s:{s:I},s:O}", "metadata", "total_size", (json_int_t)total, "weight_map", map);
    text = root ? jdoc_text(root, 2) : NULL;
    if (!text)
        FAIL(STATUS_INTERNAL, "no memory for model.safetensors.index.json");
    TRY(atomic_directory_add(directory, "model.safetensors.index.json", text, (int64_t)strlen(text)));
fail:
    free(text);
    json_decref(root);
    json_decref(map);
    return result;
}

enum status llama_write_weights(const struct llama *model, struct atomic_directory *directory, int64_t shard_bytes)
{
    enum status result = STATUS_OK;
    void *piece = NULL;
    struct weight_shard *shards = calloc((size_t)model->layout.count, sizeof *shards);
    if (!shards)
        FAIL(STATUS_INTERNAL, "no memory for a list of shards");
    TRY(model->kernels->allocate_host(model->context, WEIGHT_PIECE * dtype_size(model->dtype), &piece));
    int64_t count = cut_shards(model, shard_bytes, shards);
    for (int64_t i = 0; i < count; i++)
        TRY(write_shard(model, directory, &shards[i], piece));
    if (count > 1)
        TRY(write_index(model, directory, shards, count));
fail:
    if (result != STATUS_OK && piece) /* the last copy may still be going on */
        (void)model->kernels->synchronize(model->context);
    model->kernels->release_host(model->context, piece);
    free(shards);
    return result;
}

enum status llama_write_folder(const struct llama *model, struct atomic_directory *directory, int32_t bos_id,
                               int32_t eos_id)
{
    const int64_t shard_bytes = (int64_t)4 << 30;
    enum status result = llama_write_configs(model, directory, bos_id, eos_id);
    return result == STATUS_OK ? llama_write_weights(model, directory, shard_bytes) : result;
}
