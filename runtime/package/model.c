/* Opening a model's folder: find it, verify it, load its parts, and check that they belong together. */
#include "package/model.h"

#include "package/checkpoints.h"

#include <stdlib.h>
#include <string.h>

/* The type in which a checkpoint's weights are stored stands in trainer/state.json; a folder without one is read as
 * f32. */
static enum dtype stored_type(const char *path)
{
    json_t *state = NULL;
    enum dtype type = DTYPE_F32;
    if (checkpoint_read_state(path, &state) == STATUS_OK) {
        const char *name = json_string_value(json_object_get(state, "dtype"));
        if (name && !strcmp(name, dtype_name(DTYPE_BF16)))
            type = DTYPE_BF16;
    }
    json_decref(state);
    return type;
}

enum status model_open(const char *name, const struct kernels *kernels, struct device_context *context,
                       struct components **components, struct llama **model, char **checkpoint)
{
    enum status result = STATUS_OK;
    char *path = NULL;
    struct llama_config config;
    int64_t rows = 0;
    *components = NULL;
    *model = NULL;
    TRY(checkpoint_resolve(name, &path));
    TRY(components_load_checkpoint(path, components));
    TRY(llama_read_config(path, &config));
    TRY(llama_create(&config, stored_type(path), kernels, context, model));
    TRY(llama_read_weights(*model, path, NULL, &rows));
    if (rows != config.vocabulary_size || rows < (*components)->vocabulary.size)
        FAIL(STATUS_CORRUPT, "%s has %lld vocabulary rows for %d ids", path, (long long)rows,
             (int)(*components)->vocabulary.size);
    if (checkpoint) {
        *checkpoint = path;
        path = NULL;
    }
fail:
    if (result != STATUS_OK) {
        llama_destroy(*model);
        components_free(*components);
        *model = NULL;
        *components = NULL;
    }
    free(path);
    return result;
}
