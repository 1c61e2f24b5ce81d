/* The readers of the formats. Each fills the collector with the rows of options->source. */
#ifndef SPIRITLM_DATA_PREPARE_IMPORT_FORMATS_H
#define SPIRITLM_DATA_PREPARE_IMPORT_FORMATS_H

#include "data/prepare/import/import_rows.h"

#define IMPORT_READER(upper, lower, options, help) enum status import_##lower(struct import *import);
IMPORT_KIND_LIST(IMPORT_READER)
#undef IMPORT_READER

#endif
