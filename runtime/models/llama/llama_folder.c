/* Writing the weights of a Hugging Face folder: one safetensors file, or shards with an index. Files may be larger than the
 * host's memory: they are written in a stream, and what is on its way from the device, or from another file, is a piece. */
#include "models/llama/llama_folder.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "models/llama/llama_fill.h"
#include "models/llama/llama_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static enum status write_view(const struct llama *model, const struct parameter_view *view,
                              const struct weight_pieces *pieces, struct safetensors_writer *writer)
{
    enum status result = STATUS_OK;
    int64_t size = (int64_t)dtype_size(model->dtype);
    for (int64_t done = 0; done < view->count && !view->alias; done += WEIGHT_PIECE) {
        int64_t count = view->count - done < WEIGHT_PIECE ? view->count - done : WEIGHT_PIECE;
        TRY(pieces->read(pieces, view, done, count));
        TRY(safetensors_append(writer, pieces->piece, count * size));
    }
fail:
    return result;
}

static enum status write_shard(const struct llama *model, struct atomic_directory *directory,
                               const struct weight_shard *shard, const struct weight_pieces *pieces)
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
        TRY(write_view(model, &model->layout.views[i], pieces, &writer));
    TRY(safetensors_end(&writer));
    result = output_close(file);
    file = NULL;
fail:
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

enum status llama_write_pieces(const struct llama *model, struct atomic_directory *directory, int64_t shard_bytes,
                               const struct weight_pieces *pieces)
{
    enum status result = STATUS_OK;
    struct weight_shard *shards = calloc((size_t)model->layout.count, sizeof *shards);
    if (!shards)
        FAIL(STATUS_INTERNAL, "no memory for a list of shards");
    int64_t count = cut_shards(model, shard_bytes, shards);
    for (int64_t i = 0; i < count; i++)
        TRY(write_shard(model, directory, &shards[i], pieces));
    if (count > 1)
        TRY(write_index(model, directory, shards, count));
fail:
    free(shards);
    return result;
}

static enum status read_device(const struct weight_pieces *pieces, const struct parameter_view *view, int64_t first,
                               int64_t count)
{
    enum status result = STATUS_OK;
    const struct llama *model = pieces->argument;
    TRY(model->kernels->copy_to_host(model->context, QUEUE_COMPUTE, pieces->piece,
                                     element_at(llama_view_address(model, view), model->dtype, first),
                                     (size_t)count * dtype_size(model->dtype)));
    TRY(model->kernels->synchronize(model->context));
fail:
    return result;
}

enum status llama_write_weights(const struct llama *model, struct atomic_directory *directory, int64_t shard_bytes)
{
    struct weight_pieces pieces = {.read = read_device, .argument = model};
    enum status result =
        model->kernels->allocate_host(model->context, WEIGHT_PIECE * dtype_size(model->dtype), &pieces.piece);
    if (result == STATUS_OK)
        result = llama_write_pieces(model, directory, shard_bytes, &pieces);
    if (result != STATUS_OK && pieces.piece) /* the last copy may still be going on */
        (void)model->kernels->synchronize(model->context);
    model->kernels->release_host(model->context, pieces.piece);
    return result;
}

enum status llama_write_folder(const struct llama *model, struct atomic_directory *directory, int32_t bos_id,
                               int32_t eos_id)
{
    enum status result = llama_write_configs(model, directory, bos_id, eos_id);
    return result == STATUS_OK ? llama_write_weights(model, directory, LLAMA_SHARD_BYTES) : result;
}
