/* The values of a configuration before and after they are filled into the modules' structs. Internal to io/config*.c.
 */
#ifndef SPIRITLM_IO_CONFIG_INTERNAL_H
#define SPIRITLM_IO_CONFIG_INTERNAL_H

#include "io/config.h"

/* One key. */
struct config_slot {
    const struct config_section *section;
    const struct config_field *field;
    char *key;     /* "train.steps" */
    char **values; /* texts as written; one unless the field is a list */
    int64_t value_count;
    char *origin;  /* "FILE:LINE", "default", "command line"; NULL: never set */
    char **filled; /* texts after ${NAME}, which the target points to */
    int64_t filled_count;
};

struct config {
    struct config_slot *slots; /* in the order of the sections */
    int64_t count;
};

struct config_slot *config_find_slot(const struct config *config, const char *key); /* NULL: none */

/* Whether one text is a value of the field's type and range. ${NAME} is left for config_fill, so that a value that is
 * overridden later needs no environment variable. */
enum status config_check_value(const struct config_slot *slot, const char *text, const char *origin);

/* Writes the slot's value into the section's struct. */
enum status config_fill(struct config_slot *slot);

/* The known key that is the fewest edits away; NULL when there is none at all. */
const char *config_nearest_key(const struct config *config, const char *key);

#endif
