/* The readers of the formats (import.h says what each is). Each fills the collector with the rows of options->source. */
#ifndef SPIRITLM_DATA_PREPARE_IMPORT_FORMATS_H
#define SPIRITLM_DATA_PREPARE_IMPORT_FORMATS_H

#include "data/prepare/import/import_rows.h"

enum status import_folder(struct import *import);
enum status import_librispeech(struct import *import);
enum status import_ctm(struct import *import);
enum status import_textgrid(struct import *import);
enum status import_whisper(struct import *import);

#endif
