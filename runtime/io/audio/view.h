/* A part of an open file, or of one that lies in memory, with up to eight of its bytes read as others: how sound libraries are
 * shown a file whose header cannot be believed. */
#ifndef SPIRITLM_IO_AUDIO_VIEW_H
#define SPIRITLM_IO_AUDIO_VIEW_H

#include <stdint.h>

struct view {
    int descriptor;
    const unsigned char *bytes; /* of the whole file in memory; NULL: they are read from the descriptor */
    int64_t begin, end;         /* of the part, in the file */
    int64_t position;           /* from its beginning */
    int64_t patch_at;           /* in the file; patch_size 0: nothing is patched */
    unsigned char patch[8];
    int64_t patch_size;
    int *fault; /* takes the errno of a read that fails; NULL: nobody asks */
};

int64_t view_size(const struct view *view);
/* Both return the number of bytes, less at the end, or -1; the first leaves the position alone. */
int64_t view_read_at(const struct view *view, int64_t offset, void *data, int64_t size);
int64_t view_read(struct view *view, void *data, int64_t size);
/* As lseek. */
int64_t view_seek(struct view *view, int64_t offset, int whence);

#endif
