/* Reads go through pread, so that the position is the view's own. */
#include "io/audio/view.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int64_t view_size(const struct view *view)
{
    return view->end - view->begin;
}

int64_t view_read_at(const struct view *view, int64_t offset, void *data, int64_t size)
{
    int64_t at = view->begin + offset, left = view->end - at, done = 0;
    unsigned char *bytes = data;
    if (offset < 0 || left <= 0)
        return 0;
    if (size > left)
        size = left;
    if (view->bytes) {
        memcpy(bytes, view->bytes + at, (size_t)size);
        done = size;
    }
    while (done < size) {
        ssize_t part = pread(view->descriptor, bytes + done, (size_t)(size - done), at + done);
        if (part < 0 && errno == EINTR)
            continue;
        if (part < 0) {
            if (view->fault)
                *view->fault = errno;
            return -1;
        }
        if (part == 0)
            break;
        done += part;
    }
    for (int64_t i = 0; i < view->patch_size; i++) {
        int64_t place = view->patch_at + i - at;
        if (place >= 0 && place < done)
            bytes[place] = view->patch[i];
    }
    return done;
}

int64_t view_read(struct view *view, void *data, int64_t size)
{
    int64_t done = view_read_at(view, view->position, data, size);
    view->position += done > 0 ? done : 0;
    return done;
}

int64_t view_seek(struct view *view, int64_t offset, int whence)
{
    int64_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? view->position : view_size(view);
    if (from + offset < 0)
        return -1;
    view->position = from + offset;
    return view->position;
}
