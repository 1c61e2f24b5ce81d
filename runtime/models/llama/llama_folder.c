/* The weights of a Hugging Face folder: one safetensors file, or shards with an index. */
#include "models/llama/llama_folder.h"
#include "io/json.h"
#include "io/safetensors.h"
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
    float *masters; /* NULL: not wanted */
    float *values;  /* [STEP] */
    void *raw;      /* [STEP] of up to 4 bytes: a file may place a tensor at any address */
    int64_t rows;   /* of embedding and head; -1 until the first is seen */
};

enum { STEP = 1 << 20 };

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

static enum status read_values(struct reader *reader, const struct parameter_view *view, const struct tensor_info *info,
                               const unsigned char *data)
{
    size_t size = dtype_size(info->type);
    int64_t count = info->bytes / (int64_t)size;
    for (int64_t done = 0; done < count; done += STEP) {
        int64_t step = count - done < STEP ? count - done : STEP;
        float *values = reader->masters ? reader->masters + view->offset + done : reader->values;
        memcpy(reader->raw, data + (size_t)done * size, (size_t)step * size);
        dtype_to_float(values, reader->raw, info->type, step);
        for (int64_t i = 0; i < step; i++)
            if (!isfinite(values[i]))
                return status_set(STATUS_CORRUPT, "%s: %s holds %g at element %" PRId64, reader->path, view->name,
                                  (double)values[i], done + i);
        enum status result = llama_store_weights(reader->model, view->offset + done, values, step);
        if (result == STATUS_OK) /* the buffer is used again */
            result = reader->model->kernels->synchronize(reader->model->context);
        if (result != STATUS_OK)
            return result;
    }
    return STATUS_OK;
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
        return read_values(reader, view, info, data);
    /* A tied head that is stored all the same must be what it is tied to. */
    const struct tensor_info *tied =
        safetensors_folder_find(reader->folder, reader->model->layout.views[0].name, &embedding);
    if (tied->type != info->type || tied->bytes != info->bytes || memcmp(embedding, data, (size_t)info->bytes) != 0)
        FAIL(STATUS_CORRUPT, "%s: tie_word_embeddings is true, but %s differs from %s", reader->path, view->name,
             tied->name);
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

enum status llama_read_weights(struct llama *model, const char *path, float *masters, int64_t *rows_read)
{
    enum status result = STATUS_OK;
    struct reader reader = {.model = model, .path = path, .masters = masters, .rows = -1};
    reader.values = malloc(STEP * sizeof *reader.values);
    reader.raw = malloc(STEP * sizeof(float));
    if (!reader.values || !reader.raw)
        FAIL(STATUS_INTERNAL, "no memory to read weights");
    TRY(safetensors_folder_open(path, &reader.folder));
    TRY(refuse_surplus(&reader));
    for (int64_t i = 0; i < model->layout.count; i++)
        TRY(read_view(&reader, &model->layout.views[i]));
    if (rows_read)
        *rows_read = reader.rows;
    else if (reader.rows != model->config.vocabulary_size)
        FAIL(STATUS_CORRUPT, "%s: %" PRId64 " rows of vocabulary, expected %" PRId64, path, reader.rows,
             model->config.vocabulary_size);
fail:
    safetensors_folder_close(reader.folder);
    free(reader.values);
    free(reader.raw);
    return result;
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

static enum status write_shard(const struct llama *model, struct atomic_directory *directory,
                               const struct weight_shard *shard)
{
    static const char *const metadata[] = {"format", "pt"};
    enum status result = STATUS_OK;
    struct output_file *file = NULL;
    struct tensor_info *infos = calloc((size_t)shard->tensors, sizeof *infos);
    const void **data = calloc((size_t)shard->tensors, sizeof *data);
    unsigned char *bytes = malloc((size_t)shard->bytes), *end = bytes;
    if (!infos || !data || !bytes)
        FAIL(STATUS_INTERNAL, "no memory for the %" PRId64 " MiB of %s", shard->bytes >> 20, shard->name);
    int64_t count = 0;
    for (int64_t i = shard->first; i < shard->end; i++) {
        const struct parameter_view *view = &model->layout.views[i];
        if (view->alias)
            continue;
        struct tensor_info *info = &infos[count];
        *info = (struct tensor_info){
            .name = view->name, .type = model->dtype, .rank = view->rank, .bytes = view_bytes(model, view)};
        memcpy(info->shape, view->shape, sizeof view->shape);
        data[count++] = end;
        TRY(model->kernels->copy_to_host(model->context, QUEUE_COMPUTE, end,
                                         llama_at(model->weights, model->dtype, view->offset), (size_t)info->bytes));
        end += info->bytes;
    }
    TRY(model->kernels->synchronize(model->context));
    TRY(atomic_directory_create(directory, shard->name, shard->bytes, &file));
    TRY(safetensors_write(file, infos, data, count, metadata, 1));
    result = output_close(file);
    file = NULL;
fail:
    if (result != STATUS_OK)
        (void)model->kernels->synchronize(model->context); /* copies to `bytes` may not be over */
    output_abandon(file);
    free(infos);
    free(data);
    free(bytes);
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
    struct weight_shard *shards = calloc((size_t)model->layout.count, sizeof *shards);
    if (!shards)
        return status_set(STATUS_INTERNAL, "no memory for a list of shards");
    int64_t count = cut_shards(model, shard_bytes, shards);
    for (int64_t i = 0; i < count; i++)
        TRY(write_shard(model, directory, &shards[i]));
    if (count > 1)
        TRY(write_index(model, directory, shards, count));
fail:
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
