/* Saving and loading go tensor by tensor in pieces of WEIGHT_PIECE elements, so a rank's host memory does not grow with the
 * model: a state is sharded over the ranks' devices, and its file is as large as the whole. Saving, all ranks bring each
 * piece together and rank 0 appends it to the file; loading, each rank maps the file and takes its own slices. */
#include "train/checkpoint.h"

#include "core/path.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "models/llama/llama_fill.h"
#include "models/staging.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *const state_files[OPTIMIZER_STATES] = {
    "trainer/first_moment.safetensors", "trainer/second_moment.safetensors", "trainer/masters.safetensors"};

static enum status begin_folder(const char *run, int64_t step, struct atomic_directory **directory)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES];
    TRY(path_format(path, "%s/checkpoints", run));
    TRY(make_directories(path));
    TRY(path_format(path, "%s/checkpoints/step_%08lld", run, (long long)step));
    TRY(atomic_directory_begin(path, true, directory));
fail:
    return result;
}

static enum status write_weights(const struct components *components, const struct optimizer *optimizer,
                                 const json_t *state, struct atomic_directory *directory)
{
    enum status result = STATUS_OK;
    char *text = NULL;
    TRY(llama_write_folder(optimizer->model, directory, components->vocabulary.bos, components->vocabulary.eos));
    TRY(components_write(components, directory));
    text = jdoc_text(state, 1);
    if (!text)
        FAIL(STATUS_INTERNAL, "no memory for the trainer's state");
    TRY(atomic_directory_add(directory, "trainer/state.json", text, (int64_t)strlen(text)));
fail:
    free(text);
    return result;
}

/* A file of named tensors, so that the layout may change between versions. */
static enum status begin_state(struct atomic_directory *directory, const char *name,
                               const struct parameter_layout *layout, struct output_file **file,
                               struct safetensors_writer *writer)
{
    enum status result = STATUS_OK;
    int64_t count = 0;
    struct tensor_info *infos = calloc((size_t)layout->count, sizeof *infos);
    if (!infos)
        FAIL(STATUS_INTERNAL, "no memory for the list of tensors");
    for (int64_t i = 0; i < layout->count; i++) {
        const struct parameter_view *view = &layout->views[i];
        if (view->alias)
            continue;
        infos[count] =
            (struct tensor_info){.name = view->name, .type = DTYPE_F32, .rank = view->rank, .bytes = view->count * 4};
        memcpy(infos[count++].shape, view->shape, sizeof view->shape);
    }
    TRY(atomic_directory_create(directory, name, layout->elements * 4, file));
    TRY(safetensors_begin(*file, infos, count, NULL, 0, writer));
fail:
    free(infos);
    return result;
}

/* Through `piece`, which has room for WEIGHT_PIECE elements. All ranks call; `directory` is NULL on those that do not
 * write. All must take part in every piece even after rank 0 failed to write, so a failure is kept and told at the end. */
static enum status save_state(struct atomic_directory *directory, struct optimizer *optimizer, int which, float *piece)
{
    enum status result = STATUS_OK;
    const struct parameter_layout *layout = &optimizer->model->layout;
    struct output_file *file = NULL;
    struct safetensors_writer writer;
    if (directory)
        result = begin_state(directory, state_files[which], layout, &file, &writer);
    for (int64_t i = 0; i < layout->count; i++) {
        const struct parameter_view *view = &layout->views[i];
        for (int64_t done = 0; done < view->count && !view->alias; done += WEIGHT_PIECE) {
            int64_t count = view->count - done < WEIGHT_PIECE ? view->count - done : WEIGHT_PIECE;
            enum status gathered = optimizer_get(optimizer, which, view->offset + done, count, piece);
            result = result == STATUS_OK ? gathered : result;
            if (directory && result == STATUS_OK)
                result = safetensors_append(&writer, piece, count * 4);
        }
    }
    if (directory && result == STATUS_OK)
        result = safetensors_end(&writer);
    if (file && result == STATUS_OK) {
        result = output_close(file);
        file = NULL;
    }
    output_abandon(file);
    return result;
}

/* Writes everything but the manifest. `directory` is NULL on ranks that do not write. All ranks return the same: what is
 * published has every rank's part. */
static enum status write_files(struct atomic_directory *directory, const struct components *components,
                               struct optimizer *optimizer, const json_t *state)
{
    enum status result = STATUS_OK;
    const struct llama *model = optimizer->model;
    void *piece = NULL;
    if (directory)
        result = write_weights(components, optimizer, state, directory);
    enum status allocated = model->kernels->allocate_host(model->context, WEIGHT_PIECE * sizeof(float), &piece);
    TRY(comm_agree(optimizer->comm, result == STATUS_OK ? allocated : result));
    for (int which = 0; which < OPTIMIZER_STATES; which++)
        if (which < 2 || optimizer->masters)
            TRY(comm_agree(optimizer->comm, save_state(directory, optimizer, which, piece)));
fail:
    model->kernels->release_host(model->context, piece);
    return result;
}

enum status checkpoint_save(const char *run, int64_t step, const struct components *components,
                            struct optimizer *optimizer, const json_t *state)
{
    enum status result = STATUS_OK;
    struct atomic_directory *directory = NULL;
    if (comm_rank(optimizer->comm) == 0)
        result = begin_folder(run, step, &directory);
    TRY(comm_agree(optimizer->comm, result));
    TRY(write_files(directory, components, optimizer, state));
    if (directory)
        result = atomic_directory_commit(directory);
    return comm_agree(optimizer->comm, result);
fail:
    atomic_directory_abandon(directory);
    return result;
}

/* ---- loading ---- */

/* Equal shapes do not make an equal network. */
static enum status check_model(const char *path, const struct llama_config *model)
{
    enum status result = STATUS_OK;
    struct llama_config found;
    TRY(llama_read_config(path, &found));
    const struct {
        const char *name;
        double found, wanted;
    } fields[] = {
        {"hidden_size", (double)found.hidden_size, (double)model->hidden_size},
        {"intermediate_size", (double)found.intermediate_size, (double)model->intermediate_size},
        {"layers", (double)found.layers, (double)model->layers},
        {"heads", (double)found.heads, (double)model->heads},
        {"kv_heads", (double)found.kv_heads, (double)model->kv_heads},
        {"head_size", (double)found.head_size, (double)model->head_size},
        {"rope_theta", found.rope_theta, model->rope_theta},
        {"rms_norm_epsilon", found.rms_norm_epsilon, model->rms_norm_epsilon},
        {"tie_embeddings", found.tie_embeddings, model->tie_embeddings},
        {"vocabulary_size", (double)found.vocabulary_size, (double)model->vocabulary_size},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (fields[i].found != fields[i].wanted)
            FAIL(STATUS_USAGE, "%s has %s %.9g, the configuration %.9g", path, fields[i].name, fields[i].found,
                 fields[i].wanted);
fail:
    return result;
}

/* One file of a state on its way to where its values belong. */
struct state_reader {
    const char *path;
    struct safetensors *file;
    struct optimizer *optimizer;
    int which;
    bool into_weights; /* masters that an f32 model takes up as its weights */
    struct staging staging;
};

static enum status check_tensors(const struct state_reader *reader)
{
    const struct parameter_layout *layout = &reader->optimizer->model->layout;
    for (int64_t i = 0; i < layout->count; i++) {
        const struct parameter_view *view = &layout->views[i];
        if (view->alias)
            continue;
        const struct tensor_info *info = safetensors_find(reader->file, view->name);
        if (!info)
            return status_set(STATUS_CORRUPT, "%s: tensor %s is missing", reader->path, view->name);
        if (info->type != DTYPE_F32 || info->bytes != view->count * 4)
            return status_set(STATUS_CORRUPT, "%s: tensor %s has %lld bytes, expected %lld of f32", reader->path,
                              view->name, (long long)info->bytes, (long long)view->count * 4);
    }
    return STATUS_OK;
}

static enum status put_values(const struct state_reader *reader, int64_t offset, const float *values, int64_t count)
{
    const struct llama *model = reader->optimizer->model;
    if (!reader->into_weights)
        return optimizer_put(reader->optimizer, reader->which, offset, values, count);
    return model->kernels->copy_to_device(model->context, QUEUE_COMPUTE, (float *)model->weights + offset, values,
                                          (size_t)count * sizeof *values);
}

/* Only what this rank keeps is read. */
static enum status read_tensor(struct state_reader *reader, const struct parameter_view *view)
{
    enum status result = STATUS_OK;
    const struct tensor_info *info = safetensors_find(reader->file, view->name);
    int64_t from = view->offset, to = view->offset + view->count;
    if (!reader->into_weights && !optimizer_own_part(reader->optimizer, view->offset, view->count, &from, &to))
        return STATUS_OK;
    for (int64_t at = from; at < to; at += WEIGHT_PIECE) {
        int64_t count = to - at < WEIGHT_PIECE ? to - at : WEIGHT_PIECE;
        void *piece;
        TRY(staging_next(&reader->staging, &piece));
        tensor_to_float(info, safetensors_data(reader->file, info), at - view->offset, count, piece);
        TRY(put_values(reader, at, piece, count));
        TRY(staging_sent(&reader->staging));
    }
    safetensors_forget(reader->file, info);
fail:
    return result;
}

/* All tensors are there and of the right size before the first of them is taken up. */
static enum status load_state(const char *path, struct optimizer *optimizer, int which)
{
    enum status result = STATUS_OK;
    const struct llama *model = optimizer->model;
    struct state_reader reader = {
        .path = path, .optimizer = optimizer, .which = which, .into_weights = which == 2 && !optimizer->masters};
    TRY(safetensors_open_in_place(path, &reader.file));
    TRY(check_tensors(&reader));
    TRY(staging_open(model->kernels, model->context, WEIGHT_PIECE * sizeof(float), &reader.staging));
    for (int64_t i = 0; i < model->layout.count; i++)
        if (!model->layout.views[i].alias)
            TRY(read_tensor(&reader, &model->layout.views[i]));
fail:
    safetensors_close(reader.file);
    return staging_close(&reader.staging, result);
}

enum status checkpoint_load(const char *path, struct optimizer *optimizer)
{
    enum status result = STATUS_OK;
    struct llama *model = optimizer->model;
    struct weight_sink masters = optimizer_master_sink(optimizer);
    struct stat information;
    int64_t rows_read = 0;
    char files[OPTIMIZER_STATES][PATH_BYTES];
    for (int which = 0; which < OPTIMIZER_STATES; which++)
        TRY(path_format(files[which], "%s/%s", path, state_files[which]));
    bool stored = stat(files[2], &information) == 0; /* else the weights are f32, and their own masters */
    TRY(check_model(path, &model->config));
    TRY(llama_read_weights(model, path, stored ? NULL : &masters, &rows_read));
    if (rows_read != model->config.vocabulary_size)
        FAIL(STATUS_USAGE, "%s has %lld vocabulary rows, the configuration %lld", path, (long long)rows_read,
             (long long)model->config.vocabulary_size);
    for (int which = 0; which < OPTIMIZER_STATES; which++)
        if (which < 2 || stored)
            TRY(load_state(files[which], optimizer, which));
fail:
    return result;
}

int64_t checkpoint_host_bytes(enum dtype dtype)
{
    int64_t saving = WEIGHT_PIECE * (int64_t)sizeof(float), loading = llama_fill_bytes(dtype);
    return loading > saving ? loading : saving;
}
