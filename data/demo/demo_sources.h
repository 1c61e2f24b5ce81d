/* What the demo's corpus is made of, as Debian's packages install it: recorded prompts with their texts, the test
 * recordings of pocketsphinx, and the King James Bible. All functions return STATUS_USAGE with the package's name when
 * something is not installed, and STATUS_CORRUPT when its contents are not as expected. */
#ifndef SPIRITLM_DATA_DEMO_SOURCES_H
#define SPIRITLM_DATA_DEMO_SOURCES_H

#include "core/status.h"

#include <stdint.h>

struct demo_clip {
    char *id;   /* "asterisk/digits/1", "pocketsphinx/cards/001" */
    char *path; /* of the installed file */
    char *text;
    const char *speaker, *source; /* static */
};

struct demo_clips {
    struct demo_clip *list;
    int64_t count, room;
};

/* Adds the usable prompts of asterisk-core-sounds-en-g722, in the order of the list of texts of
 * asterisk-core-sounds-en. Usable: not below silence/, the text does not begin with a bracket (it then describes
 * tones), the file exists. Remarks in brackets are removed from the texts of the usable ones, and white space is
 * reduced to single spaces. */
enum status demo_prompts_read(struct demo_clips *clips);
/* The same from given places: `texts` is a file of lines "name: text", plain or gzipped; `sounds` is a folder of .g722
 * files. */
enum status demo_prompts_read_from(const char *texts, const char *sounds, struct demo_clips *clips);

/* Adds the ten read sentences of pocketsphinx-testdata. */
enum status demo_recordings_read(struct demo_clips *clips);

void demo_clips_free(struct demo_clips *clips); /* a zeroed one is fine */

struct demo_verse {
    const char *reference; /* "Ge1:1"; both point into the book's memory */
    const char *text;
};

struct demo_book {
    char *memory;
    struct demo_verse *verses;
    int64_t count;
};

/* The 31,102 verses of bible-kjv-text, from /usr/lib/bible.data: a header (magic "EC02", big-endian window size, number
 * of windows, their offsets), then the windows of 64 KiB of text, each compressed with LZW as by compress(1), without
 * its three header bytes; every window starts with an empty table, and codes grow from 9 to 16 bits. */
enum status demo_book_read(struct demo_book *book);
enum status demo_book_read_from(const char *path, struct demo_book *book);
void demo_book_free(struct demo_book *book);

/* Decodes one such window; `text` has room for `room` bytes. STATUS_CORRUPT when the codes are not valid LZW. */
enum status lzw_decode(const unsigned char *codes, int64_t size, char *text, int64_t room, int64_t *length);

#endif
