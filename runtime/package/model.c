/* Opening a model's folder: find it, verify it, load its parts, and check that they belong together. */
#include "package/model.h"

#include "core/log.h"
#include "core/path.h"
#include "models/llama/llama_source.h"
#include "package/checkpoints.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static enum status check_rows(const char *path, int64_t rows, const struct llama_config *config,
                              const struct components *components)
{
    if (rows == config->vocabulary_size && rows >= components->vocabulary.size)
        return STATUS_OK;
    return status_set(STATUS_CORRUPT, "%s has %lld vocabulary rows for %d ids", path, (long long)rows,
                      (int)components->vocabulary.size);
}

/* Whether the weights fit their configuration, and the vocabulary fits the weights; numbers are not read. */
static enum status check_weights(const char *path, const struct components *components)
{
    enum status result = STATUS_OK;
    struct llama_config config;
    int64_t rows = 0;
    TRY(llama_read_config(path, &config));
    TRY(llama_config_check(&config));
    TRY(llama_check_folder(path, &config, &rows));
    TRY(check_rows(path, rows, &config, components));
fail:
    return result;
}

enum status model_check(const char *folder, struct components **components)
{
    enum status result = STATUS_OK;
    *components = NULL;
    TRY(components_load_checkpoint(folder, components));
    TRY(check_weights(folder, *components));
    return STATUS_OK;
fail:
    components_free(*components);
    *components = NULL;
    return result;
}

/* Any other file is no model. */
static bool begins_with_gguf(const char *path)
{
    char start[4] = "";
    FILE *file = fopen(path, "rb");
    bool found =
        file && fread(start, 1, sizeof start, file) == sizeof start && memcmp(start, "GGUF", sizeof start) == 0;
    if (file)
        fclose(file);
    return found;
}

/* Whether this is a model as its owner distributes it, of text alone or Spirit LM as released, and not a checkpoint or run. */
static bool is_distributed(const char *name)
{
    struct stat info;
    if (stat(name, &info) != 0)
        return false;
    if (!S_ISDIR(info.st_mode))
        return S_ISREG(info.st_mode) && begins_with_gguf(name);
    return (llama_folder_has(name, "config.json") || llama_folder_has(name, "params.json")) &&
           !llama_folder_has(name, "spiritlm.json") && !llama_folder_has(name, "trainer");
}

enum status model_find(const char *name, struct components **components, char **path)
{
    enum status result = STATUS_OK;
    *components = NULL;
    *path = NULL;
    if (is_distributed(name)) {
        if (llama_folder_has(name, "MANIFEST")) /* which also knows whether spiritlm.json is lost */
            TRY(directory_verify(name, true));
        if (!(*path = strdup(name)))
            FAIL(STATUS_INTERNAL, "no memory for a path");
        TRY(components_load_distributed(name, components));
    } else {
        TRY(checkpoint_resolve(name, path));
        TRY(components_load_checkpoint(*path, components));
    }
    TRY(check_weights(*path, *components)); /* before anything is allocated by sizes that do not fit them */
    return STATUS_OK;
fail:
    free(*path);
    *path = NULL;
    components_free(*components);
    *components = NULL;
    return result;
}

/* The plan of the weights' memory. Nobody asks of a small model where it lies. */
static enum status show_plan(const struct llama *model)
{
    enum { MEBIBYTE = 1 << 20, SMALL = 16 };
    enum status result = STATUS_OK;
    struct memory_plan plan = {.name = "weights"};
    TRY(llama_plan_weights(model, &plan));
    for (int64_t i = 0; i < plan.count && plan.total >= (int64_t)SMALL * MEBIBYTE; i++)
        log_info("memory: %s: %.1f MiB", plan.entries[i].name, (double)plan.entries[i].bytes / MEBIBYTE);
fail:
    memory_plan_free(&plan);
    return result;
}

enum status model_open(const char *name, const struct kernels *kernels, struct device_context *context,
                       struct components **components, struct llama **model, char **checkpoint)
{
    enum status result = STATUS_OK;
    char *path = NULL;
    struct llama_config config;
    enum dtype dtype;
    *model = NULL;
    TRY(model_find(name, components, &path));
    TRY(llama_read_config(path, &config));
    TRY(llama_read_dtype(path, &dtype));
    TRY(llama_open(path, &config, dtype, kernels, context, model));
    TRY(show_plan(*model));
    if ((*components)->speech)
        TRY(speech_compute_on((*components)->speech,
                              &(struct speech_compute){.networks = kernels, .pool = context->pool}));
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
