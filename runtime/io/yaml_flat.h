/* The part of YAML that a configuration may hold, flattened: one item per leaf, "a.b.c" for nested mappings. For
 * io/config.c, and for the models whose owners distribute a configuration of this form. */
#ifndef SPIRITLM_IO_YAML_FLAT_H
#define SPIRITLM_IO_YAML_FLAT_H

#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

enum { YAML_MAX_BYTES = 1 << 20, YAML_MAX_DEPTH = 16, YAML_MAX_KEYS = 4096 };

enum yaml_kind { YAML_VALUE, YAML_LIST, YAML_EMPTY }; /* EMPTY: "key:" or "key: {}" */

struct yaml_item {
    char *key;
    enum yaml_kind kind;
    char **values; /* one for YAML_VALUE */
    int64_t count, capacity;
    int64_t line; /* of the key, from 1 */
};

struct yaml_flat {
    struct yaml_item *items; /* in the file's order */
    int64_t count, capacity;
};

/* Refuses, with file and line: tags, anchors, aliases, duplicate keys, several documents, lists of anything but
 * scalars, more than YAML_MAX_DEPTH levels or YAML_MAX_KEYS keys, files over YAML_MAX_BYTES. An empty file gives no
 * items. */
enum status yaml_flat_read(const char *path, struct yaml_flat *flat);

/* The same for a file that another program wrote. There "null" is YAML_EMPTY, as nothing is, and a list may hold lists: each
 * of them is an item of its own, "key.0", "key.1"..., behind "key", which is then a list without values. */
enum status yaml_flat_read_foreign(const char *path, struct yaml_flat *flat);
void yaml_flat_free(struct yaml_flat *flat);

#endif
