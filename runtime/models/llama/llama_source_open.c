/* Opening a Llama's weights, whichever layout they have. Safetensors need no more than a list; the other layouts have readers of
 * their own. */
#include "models/llama/llama_source_internal.h"

#include <stdlib.h>
#include <string.h>

static enum status open_safetensors(struct llama_source *source)
{
    enum status result = STATUS_OK;
    TRY(safetensors_folder_open(source->path, &source->folder));
    int64_t count = safetensors_folder_count(source->folder);
    TRY(llama_source_reserve(source, count, count));
    for (int64_t i = 0; i < count; i++) {
        const struct tensor_info *info = safetensors_folder_info(source->folder, i);
        struct stored_tensor *stored = &source->stored[i];
        *stored =
            (struct stored_tensor){.name = info->name, .type = info->type, .rank = info->rank, .bytes = info->bytes};
        safetensors_folder_find(source->folder, info->name, &stored->data);
        memcpy(stored->shape, info->shape, sizeof stored->shape);
        stored_tensor_pack(stored);
        llama_source_add(source, info->name, stored, 0);
    }
fail:
    return result;
}

enum status llama_source_open(const char *path, struct llama_source **out)
{
    enum status result = STATUS_OK;
    struct llama_source *source = calloc(1, sizeof *source);
    *out = NULL;
    if (!source || !(source->path = strdup(path)))
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    TRY(llama_layout_of(path, &source->layout));
    static enum status (*const open[])(struct llama_source *) = {[LLAMA_SAFETENSORS] = open_safetensors,
                                                                 [LLAMA_TORCH] = llama_source_open_torch,
                                                                 [LLAMA_META] = llama_source_open_meta,
                                                                 [LLAMA_GGUF] = llama_source_open_gguf};
    TRY(open[source->layout](source));
    llama_source_sort(source);
    *out = source;
    return STATUS_OK;
fail:
    llama_source_close(source);
    return result;
}
