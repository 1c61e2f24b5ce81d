/* The resolved configuration as YAML, and the list of all keys for --help. A number is written as the text that was
 * given and not formatted from its value, so that reading it back gives the same bits. */
#include "io/config_internal.h"

#include "core/utf8.h"

#include <stdlib.h>
#include <string.h>

/* A double-quoted YAML scalar. What YAML takes for a line break or refuses as unprintable is escaped. */
static void write_quoted(FILE *file, const char *text, bool path)
{
    fputc('"', file);
    for (size_t length; *text; text += length) {
        uint32_t code = 0;
        length = utf8_decode(text, SIZE_MAX, &code);
        if (length == 0) /* cannot happen: config_load refuses such texts */
            break;
        if (path && text[0] == '$' && text[1] == '{')
            fputs("$$", file); /* config_load would take it for an environment variable */
        else if (code == '"' || code == '\\')
            fprintf(file, "\\%c", (int)code);
        else if (code < 32 || (code >= 127 && code < 160))
            fprintf(file, "\\x%02X", (unsigned)code);
        else if (code == 0x2028 || code == 0x2029 || code == 0xFEFF || code == 0xFFFE || code == 0xFFFF)
            fprintf(file, "\\u%04X", (unsigned)code);
        else
            fwrite(text, 1, length, file);
    }
    fputc('"', file);
}

static void write_value(FILE *file, const struct config_slot *slot)
{
    enum config_type type = slot->field->type;
    bool path = type == CONFIG_PATH || type == CONFIG_PATH_LIST;
    switch (type) {
    case CONFIG_INT:
    case CONFIG_NUMBER:
    case CONFIG_BOOL:
    case CONFIG_CHOICE:
        fputs(slot->values[0], file);
        break;
    case CONFIG_STRING:
    case CONFIG_PATH:
        write_quoted(file, slot->filled[0], path);
        break;
    case CONFIG_STRING_LIST:
    case CONFIG_PATH_LIST:
        fputc('[', file);
        for (int64_t i = 0; i < slot->filled_count; i++) {
            if (i)
                fputs(", ", file);
            write_quoted(file, slot->filled[i], path);
        }
        fputc(']', file);
        break;
    }
}

enum status config_write(const struct config *config, FILE *file)
{
    const struct config_section *section = NULL;
    for (int64_t i = 0; i < config->count; i++) {
        const struct config_slot *slot = &config->slots[i];
        if (!slot->origin)
            continue;
        if (slot->section != section)
            fprintf(file, "%s:\n", slot->section->name);
        section = slot->section;
        fprintf(file, "  %s: ", slot->field->key);
        write_value(file, slot);
        fputc('\n', file);
    }
    if (fflush(file) != 0 || ferror(file))
        return status_set(STATUS_IO, "config: cannot write the resolved configuration");
    return STATUS_OK;
}

static void print_type(const struct config_field *field, FILE *file)
{
    static const char *const names[] = {"whole number", "number", "true|false", "text", "path", "", "texts", "paths"};
    if (field->type == CONFIG_CHOICE) {
        for (int i = 0; field->choices[i]; i++)
            fprintf(file, "%s%s", i ? "|" : "", field->choices[i]);
        return;
    }
    fputs(names[field->type], file);
    if ((field->type == CONFIG_INT || field->type == CONFIG_NUMBER) && field->minimum < field->maximum)
        fprintf(file, ", %.10g to %.10g", field->minimum, field->maximum);
}

void config_print_keys(const struct config_section *sections, int64_t section_count, FILE *file)
{
    for (int64_t s = 0; s < section_count; s++) {
        for (int64_t f = 0; f < sections[s].count; f++) {
            const struct config_field *field = &sections[s].fields[f];
            fprintf(file, "  %s.%s", sections[s].name, field->key);
            if (!field->fallback)
                fputs(" (required)", file);
            else if (*field->fallback)
                fprintf(file, " = %s", field->fallback);
            fprintf(file, "\n      %s [", field->help);
            print_type(field, file);
            fputs("]\n", file);
        }
    }
}
