/* Words with times in JSON, in the shapes in which several tools write them. */
#ifndef SPIRITLM_DATA_PREPARE_IMPORT_WORDS_JSON_H
#define SPIRITLM_DATA_PREPARE_IMPORT_WORDS_JSON_H

#include "data/prepare/import/import_rows.h"

#include <jansson.h>

/* {"word": " Hello", "start": 0.1, "end": 0.4}, or with "text" or "timestamp": [0.1, 0.4]; [" Hello", 0.1, 0.4] or
 * ["Hello", [0.1, 0.4], "SPEAKER"]. A word whose times are missing, null or no numbers is one without times. */
enum status import_add_json_word(struct import_row *row, const json_t *item);
enum status import_add_json_words(struct import_row *row, const json_t *list);

/* Sets the row's text from texts of a list ({"text"}), joined. */
enum status import_set_joined_text(struct import_row *row, const json_t *list);

#endif
