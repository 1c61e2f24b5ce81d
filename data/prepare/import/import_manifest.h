/* The collected rows and notes as files. */
#ifndef SPIRITLM_DATA_PREPARE_IMPORT_MANIFEST_H
#define SPIRITLM_DATA_PREPARE_IMPORT_MANIFEST_H

#include "data/prepare/import/import_rows.h"
#include "data/prepare/import/import_split.h"

/* Texts in lower case, as --lowercase asks for; words keep theirs, which makes no difference where they are looked for. */
enum status import_lower_texts(struct import *import);

/* Rejects rows that a manifest's reader would refuse, such as those that are not UTF-8. */
enum status import_check_rows(struct import *import);

/* Sorts the notes as the manifest is sorted: by id, and those of an item without one by their source. */
void import_sort_notes(struct import *import);

/* Writes the manifest, or one per part, with the rows in their current order, and the list of notes; each atomically. */
enum status import_write(struct import *import, const struct import_split *split);

#endif
