/* The collected rows as a manifest. */
#ifndef SPIRITLM_DATA_PREPARE_IMPORT_MANIFEST_H
#define SPIRITLM_DATA_PREPARE_IMPORT_MANIFEST_H

#include "data/prepare/import/import_rows.h"

/* Writes options->output atomically, with the rows in their current order, and counts what it wrote. */
enum status import_write_manifest(struct import *import);

#endif
