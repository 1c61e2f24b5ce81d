/* An index comes with the model, from whoever distributes it, so the names in it are checked before a file is opened by them. */
#include "io/weight_map.h"

#include "io/json.h"

#include <string.h>

enum status weight_map_read(const char *path, json_t **index, json_t **map)
{
    enum status result = STATUS_OK;
    const char *tensor;
    json_t *file;
    *index = *map = NULL;
    TRY(jdoc_read(path, index));
    *map = json_object_get(*index, "weight_map");
    if (!json_is_object(*map))
        FAIL(STATUS_CORRUPT, "%s: \"weight_map\" is missing or not an object", path);
    json_object_foreach(*map, tensor, file)
    {
        const char *name = json_string_value(file);
        if (!name || !*name || *name == '.' || strchr(name, '/'))
            FAIL(STATUS_CORRUPT, "%s: tensor %.200s: expected the name of a file of this folder", path, tensor);
    }
    return STATUS_OK;
fail:
    json_decref(*index);
    *index = *map = NULL;
    return result;
}
