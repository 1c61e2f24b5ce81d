/* Configuration: YAML (mappings of mappings, scalars, lists of scalars) against a table of keys that the modules
 * declare. `extends: other.yaml` (relative to the file) is read first; `key.sub=value` overrides come last. An unknown
 * key or a value of the wrong type or out of range is an error of one line that names file, line, key and, for an
 * unknown key, the nearest known one. Nothing of YAML beyond that is accepted: no tags, no anchors, no duplicate keys;
 * nesting <= 16, file <= 1 MiB. */
#ifndef SPIRITLM_IO_CONFIG_H
#define SPIRITLM_IO_CONFIG_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum config_type {
    CONFIG_INT,         /* int64_t; plain digits only, not 1_000, 64k or 4M */
    CONFIG_NUMBER,      /* double, finite */
    CONFIG_BOOL,        /* bool; true or false */
    CONFIG_STRING,      /* const char *, owned by the struct config */
    CONFIG_PATH,        /* as CONFIG_STRING; ${NAME} is replaced by the environment's value, ~/ at the beginning by the
                         * home folder */
    CONFIG_CHOICE,      /* int: index into `choices` */
    CONFIG_STRING_LIST, /* struct config_list; a lone scalar is a list of one; in defaults and overrides: a,b */
    CONFIG_PATH_LIST,
};

struct config_list {
    const char **items; /* owned by the struct config */
    int64_t count;
};

struct config_field {
    const char *key; /* within the section; may hold dots: "weights.text" */
    enum config_type type;
    size_t offset;              /* of the member in the section's struct */
    const char *fallback;       /* text as in YAML; NULL: the key is required when the section is used */
    double minimum, maximum;    /* for INT and NUMBER, when minimum < maximum */
    const char *const *choices; /* for CHOICE, NULL-terminated */
    const char *help;           /* one line */
};

struct config_section {
    const char *name; /* "train": keys are train.KEY */
    const struct config_field *fields;
    int64_t count;
    void *target;  /* the struct that is filled */
    bool required; /* report missing required keys */
};

struct config;

/* `sections` and what they point to must live as long as the config.
 * Loads `path` (NULL: defaults and overrides alone), applies overrides ("key=value"), fills all targets. Sections not
 * in the list make their keys unknown, so every program passes all sections (programs/common/settings.h). */
enum status config_load(const char *path, const char *const *overrides, int64_t override_count,
                        const struct config_section *sections, int64_t section_count, struct config **config);

/* Writes the resolved configuration as YAML that config_load reads back to the same values. */
enum status config_write(const struct config *config, FILE *file);

/* Prints every key with its default and help, for --help. */
void config_print_keys(const struct config_section *sections, int64_t section_count, FILE *file);

/* "FILE:LINE" of where a key got its value ("default" or "command line" otherwise): for errors that only the module can
 * find. Valid while config lives. */
const char *config_origin(const struct config *config, const char *full_key);

void config_free(struct config *config);

#endif
