/* A model's files written anew as a Hugging Face folder, whatever layout they have. What lies mapped is copied a piece at a
 * time, in the type that the model runs in, so that the copy is the same bits to whoever reads it; no device is needed. */
#include "io/atomic_file.h"
#include "models/llama/llama_folder.h"
#include "models/llama/llama_internal.h"
#include "models/llama/llama_source.h"
#include "models/llama/weight_sink.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

struct copy {
    const char *path;
    struct llama model; /* configuration, type and layout alone */
    struct llama_source *source;
    float *values; /* [WEIGHT_PIECE] */
};

static enum status read_source(const struct weight_pieces *pieces, const struct parameter_view *view, int64_t first,
                               int64_t count)
{
    const struct copy *copy = pieces->argument;
    const struct source_tensor *tensor = llama_source_find(copy->source, view->name);
    if (!tensor)
        return status_set(STATUS_CORRUPT, "%s: the tensor %s is missing", copy->path, view->name);
    source_tensor_read(tensor, first, count, copy->values);
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(copy->values[i]))
            return status_set(STATUS_CORRUPT, "%s: %s holds %g at element %" PRId64, copy->path, view->name,
                              (double)copy->values[i], first + i);
    dtype_from_float(pieces->piece, copy->model.dtype, copy->values, count);
    if (first + count == view->count)
        source_tensor_forget(tensor);
    return STATUS_OK;
}

/* As many rows as the file has, which the configuration must say too. */
static enum status check_files(struct copy *copy)
{
    enum status result = STATUS_OK;
    int64_t rows = 0;
    TRY(llama_read_config(copy->path, &copy->model.config));
    TRY(llama_read_dtype(copy->path, &copy->model.dtype));
    TRY(llama_check_folder(copy->path, &copy->model.config, &rows));
    if (rows != copy->model.config.vocabulary_size)
        FAIL(STATUS_CORRUPT, "%s: %" PRId64 " rows of vocabulary, expected %" PRId64, copy->path, rows,
             copy->model.config.vocabulary_size);
    TRY(parameter_layout_create(&copy->model.config, &copy->model.layout));
    TRY(llama_source_open(copy->path, &copy->source));
fail:
    return result;
}

enum status llama_copy_folder(const char *path, struct atomic_directory *directory, int32_t bos_id, int32_t eos_id,
                              struct llama_copy *copied)
{
    enum status result = STATUS_OK;
    struct copy copy = {.path = path};
    struct weight_pieces pieces = {.read = read_source, .argument = &copy};
    TRY(check_files(&copy));
    copy.values = malloc(WEIGHT_PIECE * sizeof *copy.values);
    pieces.piece = malloc(WEIGHT_PIECE * dtype_size(copy.model.dtype));
    if (!copy.values || !pieces.piece)
        FAIL(STATUS_INTERNAL, "%s: no memory for a piece of its weights", path);
    TRY(llama_write_configs(&copy.model, directory, bos_id, eos_id));
    TRY(llama_write_pieces(&copy.model, directory, LLAMA_SHARD_BYTES, &pieces));
    if (copied)
        *copied = (struct llama_copy){copy.model.dtype, llama_parameter_count(&copy.model.config)};
fail:
    llama_source_close(copy.source);
    parameter_layout_free(&copy.model.layout);
    free(copy.values);
    free(pieces.piece);
    return result;
}
