/* Finds what a corpus consists of: its audio, its transcripts, and the ids that follow from their paths. */
#ifndef SPIRITLM_DATA_PREPARE_IMPORT_FILES_H
#define SPIRITLM_DATA_PREPARE_IMPORT_FILES_H

#include "core/path.h"
#include "data/prepare/import/import_rows.h"

/* Transcripts are read whole; a larger one is refused. */
static const int64_t IMPORT_FILE_LIMIT = (int64_t)256 << 20;

/* Puts FOLDER/STEM with the first known audio extension for which a file exists into path, or FOLDER/STEM itself when it
 * has such an extension; false when there is none. An absolute stem is not searched in the folder. */
bool import_find_audio(struct import *import, const char *folder, const char *stem, char path[PATH_BYTES]);
bool import_is_audio(const char *path);
bool import_ends_with(const char *path, const char *ending); /* in lower or upper case */

/* The audio of a transcript, whose name may be made of the audio's in several ways: a.json, a.wav.json, a.words.json,
 * a.wav.words.json. `stem` is cut to what is the audio's name without extension. */
bool import_find_transcribed(struct import *import, const char *folder, char *stem, char path[PATH_BYTES]);

/* Notes audio files below the folder that no reader has found. */
enum status import_note_unused(struct import *import, const char *folder);

/* `path` without the folder in front and without its extension: an id. The caller frees. */
char *import_identify(const char *folder, const char *path);

/* The folder of a file. */
enum status import_parent(const char *path, char folder[PATH_BYTES]);

/* Calls visit for every file below the folder whose name ends in `suffix` in any case ("": all), in the order of names, hidden ones
 * left out. When `folder` is a file, that file is visited. */
typedef enum status (*import_visit)(struct import *import, const char *path);
enum status import_walk(struct import *import, const char *folder, const char *suffix, import_visit visit);

#endif
