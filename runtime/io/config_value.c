/* Turns texts into values: types, ranges, ${NAME}, and the nearest known key to an unknown one. Numbers are parsed by
 * our own rules, since strtod would also take "nan", "0x1p3" and leading space. */
#include "io/config_internal.h"

#include "core/edit_distance.h"
#include "core/path.h"
#include "core/utf8.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool parse_int(const char *text, int64_t *value)
{
    const char *digits = text + (*text == '-' || *text == '+');
    if (!*digits || strspn(digits, "0123456789") != strlen(digits))
        return false;
    errno = 0;
    *value = strtoll(text, NULL, 10);
    return errno == 0;
}

static bool parse_number(const char *text, double *value)
{
    char *end;
    if (!*text || strspn(text, "0123456789+-.eE") != strlen(text))
        return false;
    *value = strtod(text, &end);
    return !*end && isfinite(*value);
}

static int find_choice(const struct config_field *field, const char *text)
{
    for (int i = 0; field->choices[i]; i++)
        if (strcmp(field->choices[i], text) == 0)
            return i;
    return -1;
}

static enum status check_range(const struct config_slot *slot, double value, const char *text, const char *origin)
{
    const struct config_field *field = slot->field;
    if (!(field->minimum < field->maximum) || (value >= field->minimum && value <= field->maximum))
        return STATUS_OK;
    return status_set(STATUS_USAGE, "%s: %s is %s, expected %.10g to %.10g", origin, slot->key, text, field->minimum,
                      field->maximum);
}

static enum status check_choice(const struct config_slot *slot, const char *text, const char *origin)
{
    char names[512];
    size_t used = 0;
    if (find_choice(slot->field, text) >= 0)
        return STATUS_OK;
    *names = 0;
    for (int i = 0; slot->field->choices[i] && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", slot->field->choices[i]);
    return status_set(STATUS_USAGE, "%s: %s is \"%s\", expected one of %s", origin, slot->key, text, names);
}

enum status config_check_value(const struct config_slot *slot, const char *text, const char *origin)
{
    int64_t whole;
    double number;
    switch (slot->field->type) {
    case CONFIG_INT:
        if (!parse_int(text, &whole))
            return status_set(STATUS_USAGE, "%s: %s is \"%s\", expected a whole number", origin, slot->key, text);
        return check_range(slot, (double)whole, text, origin);
    case CONFIG_NUMBER:
        if (!parse_number(text, &number))
            return status_set(STATUS_USAGE, "%s: %s is \"%s\", expected a finite number", origin, slot->key, text);
        return check_range(slot, number, text, origin);
    case CONFIG_BOOL:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
            return status_set(STATUS_USAGE, "%s: %s is \"%s\", expected true or false", origin, slot->key, text);
        return STATUS_OK;
    case CONFIG_CHOICE:
        return check_choice(slot, text, origin);
    case CONFIG_STRING:
    case CONFIG_PATH:
    case CONFIG_STRING_LIST:
    case CONFIG_PATH_LIST:
        break;
    }
    return STATUS_OK;
}

/* Length of "${NAME}" at `text`, 0 when there is none. */
static size_t variable_length(const char *text)
{
    if (text[0] != '$' || text[1] != '{' || !(isalpha((unsigned char)text[2]) || text[2] == '_'))
        return 0;
    size_t i = 2;
    while (isalnum((unsigned char)text[i]) || text[i] == '_')
        i++;
    return text[i] == '}' ? i + 1 : 0;
}

/* ~/ at the beginning of a path that was written so, not of one that an environment variable begins. */
static enum status expand_home(const struct config_slot *slot, const char *text, char **out)
{
    char path[PATH_BYTES];
    if (text[0] != '~') {
        *out = strdup(text);
        return *out ? STATUS_OK : status_set(STATUS_INTERNAL, "config: out of memory");
    }
    enum status result = path_expand_home(text, path);
    if (result != STATUS_OK)
        return status_prefix(result, "%s: %s", slot->origin, slot->key);
    *out = strdup(path);
    return *out ? STATUS_OK : status_set(STATUS_INTERNAL, "config: out of memory");
}

/* Replaces ${NAME}; "$${" stands for "${" itself. */
static enum status expand_variables(const struct config_slot *slot, const char *text, char **out)
{
    char *expanded = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&expanded, &size);
    if (!stream)
        return status_set(STATUS_INTERNAL, "config: out of memory");
    for (size_t length; *text; text += length) {
        length = variable_length(text);
        if (length) {
            char name[256];
            snprintf(name, sizeof name, "%.*s", (int)(length - 3 < 255 ? length - 3 : 255), text + 2);
            const char *value = getenv(name);
            if (!value) {
                fclose(stream);
                free(expanded);
                return status_set(STATUS_USAGE, "%s: %s: the environment variable %s is not set", slot->origin,
                                  slot->key, name);
            }
            fputs(value, stream);
        } else if (strncmp(text, "$${", 3) == 0) {
            fputs("${", stream);
            length = 3;
        } else {
            fputc(*text, stream);
            length = 1;
        }
    }
    bool failed = ferror(stream) != 0;
    if (fclose(stream) != 0 || failed) {
        free(expanded);
        return status_set(STATUS_INTERNAL, "config: out of memory");
    }
    *out = expanded;
    return STATUS_OK;
}

static enum status check_utf8(const struct config_slot *slot, const char *text)
{
    for (size_t length; *text; text += length) {
        length = utf8_character(text, SIZE_MAX);
        if (length == 0)
            return status_set(STATUS_USAGE, "%s: %s is not valid UTF-8", slot->origin, slot->key);
    }
    return STATUS_OK;
}

static enum status fill_texts(struct config_slot *slot)
{
    enum config_type type = slot->field->type;
    bool paths = type == CONFIG_PATH || type == CONFIG_PATH_LIST;
    slot->filled = calloc((size_t)slot->value_count + 1, sizeof *slot->filled);
    if (!slot->filled)
        return status_set(STATUS_INTERNAL, "config: out of memory");
    for (int64_t i = 0; i < slot->value_count; i++) {
        if (paths) {
            char *home = NULL;
            enum status result = expand_home(slot, slot->values[i], &home);
            if (result == STATUS_OK)
                result = expand_variables(slot, home, &slot->filled[i]);
            free(home);
            if (result != STATUS_OK)
                return result;
        } else if (!(slot->filled[i] = strdup(slot->values[i]))) {
            return status_set(STATUS_INTERNAL, "config: out of memory");
        }
        slot->filled_count++;
        enum status result = check_utf8(slot, slot->filled[i]);
        if (result != STATUS_OK)
            return result;
    }
    return STATUS_OK;
}

enum status config_fill(struct config_slot *slot)
{
    char *member = (char *)slot->section->target + slot->field->offset;
    enum config_type type = slot->field->type;
    if (type == CONFIG_INT) {
        int64_t value = 0;
        parse_int(slot->values[0], &value);
        memcpy(member, &value, sizeof value);
    } else if (type == CONFIG_NUMBER) {
        double value = 0;
        parse_number(slot->values[0], &value);
        memcpy(member, &value, sizeof value);
    } else if (type == CONFIG_BOOL) {
        bool value = strcmp(slot->values[0], "true") == 0;
        memcpy(member, &value, sizeof value);
    } else if (type == CONFIG_CHOICE) {
        int value = find_choice(slot->field, slot->values[0]);
        memcpy(member, &value, sizeof value);
    } else {
        enum status result = fill_texts(slot);
        if (result != STATUS_OK)
            return result;
        const char *text = slot->filled[0];
        struct config_list list = {(const char **)(uintptr_t)slot->filled, slot->filled_count};
        if (type == CONFIG_STRING || type == CONFIG_PATH)
            memcpy(member, &text, sizeof text);
        else
            memcpy(member, &list, sizeof list);
    }
    return STATUS_OK;
}

static const char *last_part(const char *key)
{
    const char *dot = strrchr(key, '.');
    return dot ? dot + 1 : key;
}

/* "lr" abbreviates "learning_rate": the first letters of its words. */
static bool abbreviates(const char *word, const char *known)
{
    for (; *known; word++) {
        if (*word != *known)
            return false;
        known += strcspn(known, "_");
        known += *known == '_';
    }
    return *word == 0;
}

/* "seq_len" shortens "sequence_length": as many words, each the beginning of its counterpart, of at least two letters. */
static bool shortens(const char *part, const char *whole)
{
    for (;;) {
        size_t length = strcspn(part, "_"), size = strcspn(whole, "_");
        if (length < 2 || length > size || strncmp(part, whole, length) != 0)
            return false;
        part += length;
        whole += size;
        if (*part == 0 || *whole == 0)
            return *part == *whole;
        part++;
        whole++;
    }
}

/* Every word of `part`, divided by "_", is one of `whole`: "warmup" of "warmup_steps". */
static bool words_occur(const char *part, const char *whole)
{
    for (size_t length; *part; part += length + (part[length] == '_')) {
        bool found = false;
        length = strcspn(part, "_");
        for (const char *word = whole; *word && !found;) {
            size_t size = strcspn(word, "_");
            found = size == length && strncmp(word, part, length) == 0;
            word += size + (word[size] == '_');
        }
        if (!found)
            return false;
    }
    return true;
}

/* Misspelled letters; but the right word in the wrong section or without one, its abbreviation, and words too many or too
 * few are nearer than most misspellings. */
static int64_t key_distance(const char *key, const char *known)
{
    const char *last = last_part(key), *known_last = last_part(known);
    ptrdiff_t section = last - key, known_section = known_last - known;
    bool other = section > 0 && (section != known_section || strncmp(key, known, (size_t)section) != 0);
    int64_t distance = edit_distance(key, known), meant = distance;
    if (strcmp(last, known_last) == 0)
        meant = 1;
    else if (abbreviates(last, known_last) || shortens(last, known_last))
        meant = 1 + other;
    else if (*last && (words_occur(last, known_last) || words_occur(known_last, last)))
        meant = 2 + other;
    return meant < distance ? meant : distance;
}

const char *config_nearest_key(const struct config *config, const char *key)
{
    const char *nearest = NULL;
    int64_t least = INT64_MAX;
    for (int64_t i = 0; i < config->count; i++) {
        int64_t distance = key_distance(key, config->slots[i].key);
        if (distance < least) {
            least = distance;
            nearest = config->slots[i].key;
        }
    }
    return nearest;
}
