/* The rules for word times, the same for all formats. */
#ifndef SPIRITLM_DATA_PREPARE_IMPORT_TIMES_H
#define SPIRITLM_DATA_PREPARE_IMPORT_TIMES_H

#include "data/prepare/import/import_rows.h"

/* Leaves the row the words that have good times and occur in its text in this order, as a manifest's reader expects them.
 * Of times that go back the fewest are dropped; when these are more than a third, all are. What is changed is noted. */
enum status import_settle_words(struct import *import, struct import_row *row);

#endif
