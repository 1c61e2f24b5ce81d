/* Reading text that other programs wrote: the one place that deals with byte order marks, so that every reader of text
 * accepts them. Windows' editors and spreadsheets put one at the beginning of UTF-8; PowerShell and Praat write UTF-16. */
#ifndef SPIRITLM_IO_TEXT_FILE_H
#define SPIRITLM_IO_TEXT_FILE_H

#include "core/status.h"

#include <stdint.h>
#include <stdio.h>

/* As file_read, without the byte order mark; UTF-16 that begins with one becomes UTF-8, and a NUL or a broken pair in it
 * is STATUS_CORRUPT. Other bytes are left as they are: whether they are UTF-8 is for the reader to judge. */
enum status text_file_read(const char *path, int64_t limit, char **text, int64_t *size);

/* The same for what can only be read from beginning to end: standard input, a pipe. `where` stands in errors. */
enum status text_stream_read(FILE *stream, const char *where, int64_t limit, char **text, int64_t *size);
/* The same for text that was read otherwise; *text is allocated and may be replaced. `where` stands in errors. */
enum status text_decode(const char *where, char **text, int64_t *size);

/* Bytes of the byte order mark of UTF-8 that a text begins with, 0 or 3: for lines that come one by one. */
int64_t text_mark(const char *text, int64_t size);

#endif
