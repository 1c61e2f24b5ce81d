/* Paths put together from their parts. */
#ifndef SPIRITLM_CORE_PATH_H
#define SPIRITLM_CORE_PATH_H

#include "core/status.h"

/* Room for a path and its final NUL: Linux's PATH_MAX, so what does not fit here could not be opened either. */
enum { PATH_BYTES = 4096 };

/* Writes the path that the printf format and its arguments make, of which none may point into `path`. STATUS_USAGE, with
 * the beginning of the path in the text and "" in `path`, when it does not fit: it is never cut, because a shorter path
 * might be the name of another file. */
enum status path_format(char path[static PATH_BYTES], const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same path with the home folder in place of a ~ at its beginning ("~", "~/audio"), which a shell replaces only where it
 * sees it: not in a file, nor behind `=`. STATUS_USAGE for "~name/...", since that would be somebody else's folder, and
 * where HOME is not set. A file whose name begins with ~ is written as it is, or as "./~/..." when it is a folder "~". */
enum status path_expand_home(const char *given, char path[static PATH_BYTES]);

#endif
