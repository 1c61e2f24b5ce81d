/* Parts of the manifest's reader. */
#ifndef SPIRITLM_DATA_MANIFEST_INTERNAL_H
#define SPIRITLM_DATA_MANIFEST_INTERNAL_H

#include "data/manifest.h"
#include "io/config.h"

#include <jansson.h>

/* manifest_words.c: fills row->words from the list of [word, start, end]; the row's text is there. */
enum status manifest_fill_words(const char *where, const json_t *list, struct manifest_row *row);

/* manifest_keys.c: refuses keys that look like another name of one of ours. */
enum status manifest_check_keys(const char *where, json_t *object, const struct config_list *labels);
bool manifest_is_own_key(const char *key);

#endif
