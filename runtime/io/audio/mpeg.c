/* libmpg123 is told where the frames are; what is announced is held against their number. */
#include "io/audio/mpeg.h"

#include "io/audio/mpeg_frames.h"

#include <mpg123.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct mpeg {
    const char *path;
    struct view *view;
    mpg123_handle *handle;
    struct mpeg_frames frames;
    int64_t read; /* samples of a channel */
    int channels;
};

/* Frames that a decoder may leave out at both ends: those that need the bits of one that is not there, and padding. */
enum { FRAMES_SPARED = 6 };

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void initialise(void)
{
    mpg123_init();
}

static ssize_t read_view(void *view, void *data, size_t size)
{
    return (ssize_t)view_read(view, data, (int64_t)size);
}

static off_t seek_view(void *view, off_t offset, int whence)
{
    return (off_t)view_seek(view, offset, whence);
}

/* Sets the view on what is to be decoded: with the length header, which also says what to cut at both ends, if its
 * number is right. */
static enum status compare_frames(struct mpeg *mpeg, char note[AUDIO_NOTE_BYTES])
{
    const struct mpeg_frames *frames = &mpeg->frames;
    long long announced = frames->announced, found = frames->count;
    int64_t begin = frames->begin;
    if (frames->rate == 0)
        return status_set(STATUS_CORRUPT, "%s: not a sound file: no frame of MPEG audio in it", mpeg->path);
    if (!frames->free_format && found == 0)
        return status_set(STATUS_CORRUPT, "%s: no samples", mpeg->path);
    if (announced > 0 && found + 1 < announced) /* some encoders count the header's frame */
        return status_set(STATUS_CORRUPT, "%s: truncated: expected %lld MPEG frames, found %lld", mpeg->path, announced,
                          found);
    if (announced > 0 && found <= announced && frames->info >= 0)
        begin = frames->info;
    else if (announced > 0)
        snprintf(note, AUDIO_NOTE_BYTES, "its header announces %lld MPEG frames, the file has %lld: all were read",
                 announced, found);
    if (frames->cut)
        snprintf(note, AUDIO_NOTE_BYTES, "its last MPEG frame is cut off; %lld frames were read", found);
    if (frames->skipped > 0)
        snprintf(note, AUDIO_NOTE_BYTES, "%lld bytes between its MPEG frames were skipped", (long long)frames->skipped);
    int64_t origin = mpeg->view->begin;
    mpeg->view->begin = origin + begin;
    mpeg->view->end = origin + frames->end;
    return STATUS_OK;
}

static enum status start(struct mpeg *mpeg, int *rate, int *channels)
{
    long found_rate = 0;
    int encoding = 0, error = MPG123_OK;
    pthread_once(&once, initialise);
    mpeg->handle = mpg123_new(NULL, &error);
    if (!mpeg->handle)
        return status_set(STATUS_INTERNAL, "%s: libmpg123 does not start: %s", mpeg->path,
                          mpg123_plain_strerror(error));
    mpg123_param(mpeg->handle, MPG123_ADD_FLAGS, MPG123_QUIET | MPG123_FORCE_FLOAT, 0);
    mpg123_param(mpeg->handle, MPG123_RESYNC_LIMIT, -1, 0);
    if (mpg123_replace_reader_handle(mpeg->handle, read_view, seek_view, NULL) != MPG123_OK ||
        mpg123_open_handle(mpeg->handle, mpeg->view) != MPG123_OK ||
        mpg123_getformat(mpeg->handle, &found_rate, channels, &encoding) != MPG123_OK)
        return status_set(STATUS_CORRUPT, "%s: damaged MPEG audio: %s", mpeg->path, mpg123_strerror(mpeg->handle));
    *rate = (int)found_rate;
    mpeg->channels = *channels;
    return STATUS_OK;
}

enum status mpeg_open(const char *path, struct view *view, struct mpeg **mpeg, int *rate, int *channels,
                      char note[AUDIO_NOTE_BYTES])
{
    *mpeg = NULL;
    struct mpeg *made = calloc(1, sizeof *made);
    if (!made)
        return status_set(STATUS_INTERNAL, "%s: out of memory", path);
    *made = (struct mpeg){.path = path, .view = view};
    mpeg_frames_find(view, &made->frames);
    enum status result = compare_frames(made, note);
    if (result == STATUS_OK)
        result = start(made, rate, channels);
    if (result == STATUS_OK)
        *mpeg = made;
    else
        mpeg_close(made);
    return result;
}

static enum status check_end(const struct mpeg *mpeg)
{
    const struct mpeg_frames *frames = &mpeg->frames;
    int64_t found = mpeg->read / frames->samples;
    if (frames->free_format || found + FRAMES_SPARED >= frames->count)
        return STATUS_OK;
    return status_set(STATUS_CORRUPT, "%s: damaged: only %lld of its %lld MPEG frames can be decoded", mpeg->path,
                      (long long)found, (long long)frames->count);
}

enum status mpeg_read(struct mpeg *mpeg, float *frames, int64_t room, int64_t *count)
{
    *count = 0;
    while (*count == 0) {
        size_t done = 0, size = (size_t)room * (size_t)mpeg->channels * sizeof *frames;
        int code = mpg123_read(mpeg->handle, (void *)frames, size, &done);
        *count = (int64_t)(done / sizeof *frames) / mpeg->channels;
        mpeg->read += *count;
        if (code == MPG123_NEW_FORMAT) {
            long rate;
            int channels, encoding;
            mpg123_getformat(mpeg->handle, &rate, &channels, &encoding);
            if (channels != mpeg->channels || rate != mpeg->frames.rate)
                return status_set(STATUS_CORRUPT, "%s: changes to %d channels at %ld Hz after %lld samples", mpeg->path,
                                  channels, rate, (long long)mpeg->read);
        } else if (code == MPG123_DONE) {
            return *count > 0 ? STATUS_OK : check_end(mpeg);
        } else if (code != MPG123_OK) {
            return status_set(STATUS_CORRUPT, "%s: damaged after %lld samples: %s", mpeg->path, (long long)mpeg->read,
                              mpg123_strerror(mpeg->handle));
        }
    }
    return STATUS_OK;
}

void mpeg_close(struct mpeg *mpeg)
{
    if (!mpeg)
        return;
    if (mpeg->handle)
        mpg123_delete(mpeg->handle);
    free(mpeg);
}
