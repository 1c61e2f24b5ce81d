/* Opening a model's folder: find it, verify it, load its parts, and check that they belong together. */
#include "package/model.h"

#include "package/checkpoints.h"

#include <stdlib.h>

enum status model_open(const char *name, const struct kernels *kernels, struct device_context *context,
                       struct components **components, struct llama **model, char **checkpoint)
{
    enum status result = STATUS_OK;
    char *path = NULL;
    struct llama_config config;
    enum dtype dtype;
    int64_t rows = 0;
    *components = NULL;
    *model = NULL;
    TRY(checkpoint_resolve(name, &path));
    TRY(components_load_checkpoint(path, components));
    TRY(llama_read_config(path, &config));
    TRY(llama_read_dtype(path, &dtype));
    TRY(llama_create(&config, dtype, kernels, context, model));
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
