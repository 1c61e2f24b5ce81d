/* A folder as an archive; for the files of io/archive alone. */
#ifndef SPIRITLM_IO_ARCHIVE_FOLDER_H
#define SPIRITLM_IO_ARCHIVE_FOLDER_H

#include "io/archive/members.h"

/* Adds all regular files below the folder, and those that links name. */
enum status folder_list(const char *path, struct listing *listing);

#endif
