/* Finds what a corpus consists of: its audio, its transcripts, and the ids that follow from their paths. */
#ifndef SPIRITLM_DATA_PREPARE_IMPORT_FILES_H
#define SPIRITLM_DATA_PREPARE_IMPORT_FILES_H

#include "core/path.h"
#include "data/prepare/import/import_rows.h"

/* Transcripts are read whole; a larger one is refused. */
static const int64_t IMPORT_FILE_LIMIT = (int64_t)256 << 20;

/* Puts FOLDER/STEM with the first known audio extension for which a file exists into path; false when there is none. */
bool import_find_audio(const char *folder, const char *stem, char path[PATH_BYTES]);
bool import_is_audio(const char *path);

/* `path` without the folder in front and without its extension: an id. The caller frees. */
char *import_identify(const char *folder, const char *path);

/* The folder of a file. */
enum status import_parent(const char *path, char folder[PATH_BYTES]);

/* Calls visit for every file below the folder whose name ends in `suffix` ("": all), in the order of names, hidden ones
 * left out. When `folder` is a file, that file is visited. */
typedef enum status (*import_visit)(struct import *import, const char *path);
enum status import_walk(struct import *import, const char *folder, const char *suffix, import_visit visit);

#endif
