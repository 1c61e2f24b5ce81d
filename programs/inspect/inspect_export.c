/* --export: what package/export.h writes, and a line that says where it is. */
#include "core/utf8.h"
#include "package/export.h"
#include "programs/inspect/inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum status inspect_export(const char *model, const char *layout, const char *folder)
{
    struct exported exported;
    enum status result;
    if (strcmp(layout, "hf") == 0)
        result = model_export(model, EXPORT_HUGGING_FACE, folder, &exported);
    else if (strcmp(layout, "spiritlm") == 0)
        result = model_export(model, EXPORT_SPIRITLM, folder, &exported);
    else
        return status_set(STATUS_USAGE, "--layout %s: expected hf or spiritlm", layout);
    if (result != STATUS_OK)
        return result;
    utf8_print(stdout, "%s: %lld parameters in %s, written from %s\n", exported.folder,
               (long long)exported.weights.elements, dtype_name(exported.weights.dtype), model);
    free(exported.folder);
    return STATUS_OK;
}
