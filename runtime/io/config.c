/* Every key has a slot. Texts are put into the slots, from the defaults, then the extended files, the file itself and
 * the command line, each replacing what was there; only then are they converted and written into the modules' structs.
 * A slot remembers where its text came from, so that an error names the line that is to blame. */
#include "io/config.h"

#include "core/path.h"
#include "io/config_internal.h"
#include "io/yaml_flat.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_EXTENDS = 8 };

struct config_slot *config_find_slot(const struct config *config, const char *key)
{
    for (int64_t i = 0; i < config->count; i++)
        if (strcmp(config->slots[i].key, key) == 0)
            return &config->slots[i];
    return NULL;
}

static void slot_clear(struct config_slot *slot)
{
    for (int64_t i = 0; i < slot->value_count; i++)
        free(slot->values[i]);
    free(slot->values);
    free(slot->origin);
    slot->values = NULL;
    slot->value_count = 0;
    slot->origin = NULL;
}

static bool is_list(enum config_type type)
{
    return type == CONFIG_STRING_LIST || type == CONFIG_PATH_LIST;
}

/* Takes copies of the values. */
static enum status slot_set(struct config_slot *slot, char *const *values, int64_t count, const char *origin)
{
    for (int64_t i = 0; i < count; i++) {
        enum status result = config_check_value(slot, values[i], origin);
        if (result != STATUS_OK)
            return result;
    }
    slot_clear(slot);
    slot->origin = strdup(origin);
    slot->values = calloc((size_t)count + 1, sizeof *slot->values);
    if (!slot->origin || !slot->values)
        return status_set(STATUS_INTERNAL, "%s: out of memory", origin);
    for (int64_t i = 0; i < count; i++) {
        if (!(slot->values[i] = strdup(values[i])))
            return status_set(STATUS_INTERNAL, "%s: out of memory", origin);
        slot->value_count++;
    }
    return STATUS_OK;
}

/* A value as one text: lists are split at commas. */
static enum status slot_set_text(struct config_slot *slot, const char *text, const char *origin)
{
    enum status result = STATUS_OK;
    int64_t count = 0;
    char *copy = strdup(text), **values = NULL;
    size_t commas = 0;
    for (const char *c = text; *c; c++)
        commas += *c == ',';
    values = calloc(commas + 1, sizeof *values);
    if (!copy || !values)
        FAIL(STATUS_INTERNAL, "%s: out of memory", origin);
    if (is_list(slot->field->type)) {
        for (char *rest = *copy ? copy : NULL; rest;)
            values[count++] = strsep(&rest, ",");
    } else {
        values[count++] = copy;
    }
    result = slot_set(slot, values, count, origin);
fail:
    free(copy);
    free(values);
    return result;
}

static enum status unknown_key(const struct config *config, const char *origin, const char *key)
{
    const char *nearest = config_nearest_key(config, key);
    return nearest ? status_set(STATUS_USAGE, "%s: unknown key %s; did you mean %s?", origin, key, nearest)
                   : status_set(STATUS_USAGE, "%s: unknown key %s", origin, key);
}

/* The first known key that begins with "key.", which makes `key` the name of a group; NULL: none. */
static const char *first_key_below(const struct config *config, const char *key)
{
    size_t length = strlen(key);
    for (int64_t i = 0; i < config->count; i++)
        if (strncmp(config->slots[i].key, key, length) == 0 && config->slots[i].key[length] == '.')
            return config->slots[i].key;
    return NULL;
}

static enum status apply_item(struct config *config, const char *path, const struct yaml_item *item)
{
    char *origin = NULL;
    enum status result = STATUS_OK;
    if (asprintf(&origin, "%s:%lld", path, (long long)item->line) < 0)
        return status_set(STATUS_INTERNAL, "%s: out of memory", path);
    struct config_slot *slot = config_find_slot(config, item->key);
    const char *below = slot ? NULL : first_key_below(config, item->key);
    if (!slot && below && item->kind != YAML_EMPTY)
        FAIL(STATUS_USAGE, "%s: %s is a group of keys such as %s", origin, item->key, below);
    if (!slot && !below)
        TRY(unknown_key(config, origin, item->key));
    if (!slot)
        goto fail; /* an empty group */
    if (item->kind == YAML_EMPTY)
        FAIL(STATUS_USAGE, "%s: %s has no value (write \"\" for an empty text)", origin, item->key);
    if (item->kind == YAML_LIST && !is_list(slot->field->type))
        FAIL(STATUS_USAGE, "%s: %s: expected one value, found a list", origin, item->key);
    TRY(slot_set(slot, item->values, item->count, origin));
fail:
    free(origin);
    return result;
}

/* The file that `extends` names, relative to the file that contains it. */
static enum status sibling(const char *path, const char *name, char joined[PATH_BYTES])
{
    char home[PATH_BYTES];
    enum status result = path_expand_home(name, home);
    if (result != STATUS_OK)
        return result;
    const char *slash = *home == '/' ? NULL : strrchr(path, '/');
    return path_format(joined, "%.*s%s", slash ? (int)(slash - path) + 1 : 0, path, home);
}

/* When the extended file cannot even be read, the error names the line that extends it. */
static bool is_readable_file(const char *path)
{
    struct stat information;
    return stat(path, &information) == 0 && S_ISREG(information.st_mode) && access(path, R_OK) == 0;
}

static enum status apply_file(struct config *config, const char *path, int depth)
{
    struct yaml_flat flat = {0};
    enum status result = STATUS_OK;
    TRY(yaml_flat_read(path, &flat));
    for (int64_t i = 0; i < flat.count; i++) {
        const struct yaml_item *item = &flat.items[i];
        if (strcmp(item->key, "extends") != 0)
            continue;
        if (item->kind != YAML_VALUE || !*item->values[0])
            FAIL(STATUS_USAGE, "%s:%lld: extends: expected the name of one file", path, (long long)item->line);
        if (depth == MAX_EXTENDS)
            FAIL(STATUS_USAGE, "%s:%lld: extends: more than %d files deep (does a file extend itself?)", path,
                 (long long)item->line, MAX_EXTENDS);
        char base[PATH_BYTES];
        result = sibling(path, item->values[0], base);
        if (result == STATUS_OK)
            result = apply_file(config, base, depth + 1);
        if (result != STATUS_OK && !is_readable_file(base))
            status_prefix(result, "%s:%lld: extends", path, (long long)item->line);
        TRY(result);
    }
    for (int64_t i = 0; i < flat.count; i++)
        if (strcmp(flat.items[i].key, "extends") != 0)
            TRY(apply_item(config, path, &flat.items[i]));
fail:
    yaml_flat_free(&flat);
    return result;
}

static enum status apply_override(struct config *config, const char *text)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return status_set(STATUS_USAGE, "command line: \"%s\": expected key=value", text);
    char *key = strndup(text, (size_t)(equals - text));
    if (!key)
        return status_set(STATUS_INTERNAL, "command line: out of memory");
    enum status result = STATUS_OK;
    struct config_slot *slot = config_find_slot(config, key);
    const char *below = slot ? NULL : first_key_below(config, key);
    if (below)
        FAIL(STATUS_USAGE, "command line: %s is a group of keys such as %s", key, below);
    if (!slot)
        TRY(unknown_key(config, "command line", key));
    TRY(slot_set_text(slot, equals + 1, "command line"));
fail:
    free(key);
    return result;
}

static enum status make_slots(struct config *config, const struct config_section *sections, int64_t section_count)
{
    int64_t count = 0;
    for (int64_t s = 0; s < section_count; s++)
        count += sections[s].count;
    config->slots = calloc((size_t)count + 1, sizeof *config->slots);
    if (!config->slots)
        return status_set(STATUS_INTERNAL, "config: out of memory");
    for (int64_t s = 0; s < section_count; s++) {
        for (int64_t f = 0; f < sections[s].count; f++) {
            struct config_slot *slot = &config->slots[config->count++];
            slot->section = &sections[s];
            slot->field = &sections[s].fields[f];
            if (asprintf(&slot->key, "%s.%s", sections[s].name, slot->field->key) < 0) {
                slot->key = NULL;
                return status_set(STATUS_INTERNAL, "config: out of memory");
            }
            for (int64_t i = 0; i + 1 < config->count; i++)
                if (strcmp(config->slots[i].key, slot->key) == 0)
                    return status_set(STATUS_INTERNAL, "config: key %s is declared twice", slot->key);
        }
    }
    return STATUS_OK;
}

static bool slot_has_value(const struct config_slot *slot)
{
    return slot->origin && slot->value_count > 0 && slot->values[0][0] != 0;
}

enum status config_load(const char *path, const char *const *overrides, int64_t override_count,
                        const struct config_section *sections, int64_t section_count, struct config **out)
{
    enum status result = STATUS_OK;
    struct config *config = calloc(1, sizeof *config);
    *out = NULL;
    if (!config)
        return status_set(STATUS_INTERNAL, "config: out of memory");
    TRY(make_slots(config, sections, section_count));
    for (int64_t i = 0; i < config->count; i++)
        if (config->slots[i].field->fallback)
            TRY(slot_set_text(&config->slots[i], config->slots[i].field->fallback, "default"));
    if (path)
        TRY(apply_file(config, path, 0));
    for (int64_t i = 0; i < override_count; i++)
        TRY(apply_override(config, overrides[i]));
    for (int64_t i = 0; i < config->count; i++) {
        struct config_slot *slot = &config->slots[i];
        if (slot->section->required && !slot->field->fallback && !slot_has_value(slot))
            FAIL(STATUS_USAGE, "%s: %s is missing (%s)", path ? path : "command line", slot->key, slot->field->help);
        if (slot->origin)
            TRY(config_fill(slot));
    }
    *out = config;
    return STATUS_OK;
fail:
    config_free(config);
    return result;
}

const char *config_origin(const struct config *config, const char *full_key)
{
    const struct config_slot *slot = config_find_slot(config, full_key);
    return slot && slot->origin ? slot->origin : "default";
}

void config_free(struct config *config)
{
    if (!config)
        return;
    for (int64_t i = 0; i < config->count; i++) {
        struct config_slot *slot = &config->slots[i];
        slot_clear(slot);
        for (int64_t j = 0; j < slot->filled_count; j++)
            free(slot->filled[j]);
        free(slot->filled);
        free(slot->key);
    }
    free(config->slots);
    free(config);
}
