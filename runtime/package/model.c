/* Opening a model's folder: find it, verify it, load its parts, and check that they belong together. */
#include "package/model.h"

#include "package/checkpoints.h"

#include <stdlib.h>

static enum status check_rows(const char *path, int64_t rows, const struct llama_config *config,
                              const struct components *components)
{
    if (rows == config->vocabulary_size && rows >= components->vocabulary.size)
        return STATUS_OK;
    return status_set(STATUS_CORRUPT, "%s has %lld vocabulary rows for %d ids", path, (long long)rows,
                      (int)components->vocabulary.size);
}

enum status model_check(const char *folder, struct components **components)
{
    enum status result = STATUS_OK;
    struct llama_config config;
    int64_t rows = 0;
    *components = NULL;
    TRY(components_load_checkpoint(folder, components));
    TRY(llama_read_config(folder, &config));
    TRY(llama_config_check(&config));
    TRY(llama_check_folder(folder, &config, &rows));
    TRY(check_rows(folder, rows, &config, *components));
    return STATUS_OK;
fail:
    components_free(*components);
    *components = NULL;
    return result;
}

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
    TRY(model_check(path, components)); /* before anything is allocated by sizes that do not fit the weights */
    TRY(llama_read_config(path, &config));
    TRY(llama_read_dtype(path, &dtype));
    TRY(llama_create(&config, dtype, kernels, context, model));
    TRY(llama_read_weights(*model, path, NULL, &rows));
    TRY(check_rows(path, rows, &config, *components));
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
