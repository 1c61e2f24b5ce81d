#include "train/checkpoint.h"

#include "io/json.h"
#include "io/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *const state_files[OPTIMIZER_STATES] = {
    "trainer/first_moment.safetensors", "trainer/second_moment.safetensors", "trainer/masters.safetensors"};

/* One arena as a file of named tensors, so that the layout may change between versions. */
static enum status write_arena(struct atomic_directory *directory, const char *name,
                               const struct parameter_layout *layout, const float *arena)
{
    enum status result = STATUS_OK;
    struct output_file *file = NULL;
    struct tensor_info *infos = calloc((size_t)layout->count, sizeof *infos);
    const void **data = calloc((size_t)layout->count, sizeof *data);
    int64_t count = 0;
    if (!infos || !data)
        FAIL(STATUS_INTERNAL, "no memory for the list of tensors");
    for (int64_t i = 0; i < layout->count; i++) {
        const struct parameter_view *view = &layout->views[i];
        if (view->alias)
            continue;
        struct tensor_info *info = &infos[count];
        *info =
            (struct tensor_info){.name = view->name, .type = DTYPE_F32, .rank = view->rank, .bytes = view->count * 4};
        memcpy(info->shape, view->shape, sizeof view->shape);
        data[count++] = arena + view->offset;
    }
    TRY(atomic_directory_create(directory, name, layout->elements * 4, &file));
    TRY(safetensors_write(file, infos, data, count, NULL, 0));
    struct output_file *closing = file;
    file = NULL;
    TRY(output_close(closing));
fail:
    output_abandon(file);
    free(infos);
    free(data);
    return result;
}

static enum status read_arena(const char *path, const struct parameter_layout *layout, float *arena)
{
    enum status result = STATUS_OK;
    struct safetensors *file = NULL;
    TRY(safetensors_open(path, &file));
    for (int64_t i = 0; i < layout->count; i++) {
        const struct parameter_view *view = &layout->views[i];
        if (view->alias)
            continue;
        const struct tensor_info *info = safetensors_find(file, view->name);
        if (!info)
            FAIL(STATUS_CORRUPT, "%s: tensor %s is missing", path, view->name);
        if (info->type != DTYPE_F32 || info->bytes != view->count * 4)
            FAIL(STATUS_CORRUPT, "%s: tensor %s has %lld bytes, expected %lld of f32", path, view->name,
                 (long long)info->bytes, (long long)view->count * 4);
        memcpy(arena + view->offset, safetensors_data(file, info), (size_t)info->bytes);
    }
fail:
    safetensors_close(file);
    return result;
}

static enum status begin_folder(const char *run, int64_t step, struct atomic_directory **directory)
{
    enum status result = STATUS_OK;
    char path[4096];
    snprintf(path, sizeof path, "%s/checkpoints", run);
    TRY(make_directories(path));
    snprintf(path, sizeof path, "%s/checkpoints/step_%08lld", run, (long long)step);
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

int64_t checkpoint_host_bytes(const struct parameter_layout *layout)
{
    return layout->elements * (int64_t)sizeof(float);
}

/* Every rank must take part in each gather even after rank 0 failed to write, so its failure is kept and told at the
 * end. */
enum status checkpoint_save(const char *run, int64_t step, const struct components *components,
                            struct optimizer *optimizer, const json_t *state)
{
    const struct parameter_layout *layout = &optimizer->model->layout;
    struct atomic_directory *directory = NULL;
    bool writer = comm_rank(optimizer->comm) == 0;
    float *arena = writer ? malloc((size_t)checkpoint_host_bytes(layout)) : NULL;
    enum status result = STATUS_OK;
    if (writer && !arena)
        result = status_set(STATUS_INTERNAL, "no memory to gather the optimizer's state");
    if (writer && result == STATUS_OK)
        result = begin_folder(run, step, &directory);
    if (writer && result == STATUS_OK)
        result = write_weights(components, optimizer, state, directory);
    for (int which = 0; which < OPTIMIZER_STATES; which++) {
        if (which == 2 && !optimizer->masters)
            continue;
        enum status gathered = optimizer_gather(optimizer, which, arena);
        if (result == STATUS_OK)
            result = gathered;
        if (writer && result == STATUS_OK)
            result = write_arena(directory, state_files[which], layout, arena);
    }
    free(arena);
    /* Published only when every rank gave its part. */
    result = comm_agree(optimizer->comm, result);
    if (writer && result == STATUS_OK)
        result = atomic_directory_commit(directory);
    else if (writer)
        atomic_directory_abandon(directory);
    return comm_agree(optimizer->comm, result);
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

enum status checkpoint_load(const char *path, struct optimizer *optimizer)
{
    enum status result = STATUS_OK;
    struct llama *model = optimizer->model;
    int64_t rows_read = 0;
    float *arena = calloc((size_t)model->layout.elements, sizeof(float));
    if (!arena)
        FAIL(STATUS_INTERNAL, "no memory to load the optimizer's state");
    TRY(check_model(path, &model->config));
    TRY(llama_read_weights(model, path, arena, &rows_read));
    if (rows_read != model->config.vocabulary_size)
        FAIL(STATUS_USAGE, "%s has %lld vocabulary rows, the configuration %lld", path, (long long)rows_read,
             (long long)model->config.vocabulary_size);
    for (int which = 0; which < OPTIMIZER_STATES; which++) {
        char file[4096];
        struct stat information;
        snprintf(file, sizeof file, "%s/%s", path, state_files[which]);
        if (which == 2 && !optimizer->masters) {
            if (stat(file, &information) != 0)
                continue;
            TRY(read_arena(file, &model->layout, arena)); /* a bf16 run goes on in f32 from its masters */
            TRY(model->kernels->copy_to_device(model->context, QUEUE_COMPUTE, model->weights, arena,
                                               (size_t)model->layout.elements * sizeof(float)));
            TRY(model->kernels->synchronize(model->context));
            continue;
        }
        if (which < 2 || stat(file, &information) == 0) /* an f32 checkpoint's weights are its masters */
            TRY(read_arena(file, &model->layout, arena));
        else
            TRY(llama_read_weights(model, path, arena, &rows_read));
        TRY(optimizer_scatter(optimizer, which, arena));
    }
fail:
    free(arena);
    return result;
}
