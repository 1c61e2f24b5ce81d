/* Sound is read in blocks, each mixed to one channel and resampled at once, so that memory holds the result and not the
 * file. The decoders believe the lengths that headers announce; these are compared with the file first (containers.h,
 * mpeg.h), so that a truncated or crafted file is refused, rather than silently shortened or allowed to allocate
 * gigabytes, and the samples are counted. */
#include "io/audio/audio.h"

#include "core/array.h"
#include "core/log.h"
#include "io/atomic_file.h"
#include "io/audio/containers.h"
#include "io/audio/mpeg.h"
#include "io/file_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sndfile.h>
#include <soxr.h>
#include <spandsp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BLOCK_FRAMES = 4096,
    LOWEST_RATE = 1000,
    HIGHEST_RATE = 1000000,
    G722_BITS_PER_SECOND = 64000,
    G722_RATE = 16000,
};

static const float LOUDEST = 1e10f;
static const int64_t longest = 12 * 3600 * (int64_t)AUDIO_RATE;

/* Samples beyond full scale are cut off there. More than the first share of them, or more than the second that reach
 * further than any level does, are not sound of another level but of another scale. */
static const double most_clipped = 0.1, most_far = 0.001;
static const float FAR = 100;

/* A file that gives interleaved frames. libsndfile does not read G.722 and estimates the length of MP3, so there are three
 * kinds. */
struct source {
    const char *path;
    int descriptor;
    struct view view;
    int fault; /* errno of a read that failed, which decoders take for the end */
    SNDFILE *sound;
    g722_decode_state_t *g722;
    struct mpeg *mpeg;
    int rate, channels;
    struct container_length length; /* according to the header */
    int64_t frames_read;
    int64_t clipped, far; /* values beyond full scale */
    float largest;
    char *note; /* AUDIO_NOTE_BYTES */
};

/* Samples that grow as they are read. */
struct growing {
    float *samples;
    int64_t count, room;
};

static bool has_suffix(const char *path, const char *suffix)
{
    size_t length = strlen(path), end = strlen(suffix);
    return length > end && strcasecmp(path + length - end, suffix) == 0;
}

static void source_close(struct source *source)
{
    if (source->sound)
        sf_close(source->sound);
    mpeg_close(source->mpeg);
    if (source->g722)
        g722_decode_free(source->g722);
    if (source->descriptor >= 0)
        close(source->descriptor);
}

static sf_count_t sound_size(void *view)
{
    return view_size(view);
}

static sf_count_t sound_seek(sf_count_t offset, int whence, void *view)
{
    return view_seek(view, offset, whence);
}

static sf_count_t sound_read(void *data, sf_count_t size, void *view)
{
    int64_t done = view_read(view, data, size);
    return done > 0 ? done : 0;
}

static sf_count_t sound_write(const void *data, sf_count_t size, void *view)
{
    (void)data, (void)size, (void)view;
    return 0;
}

static sf_count_t sound_tell(void *view)
{
    return ((struct view *)view)->position;
}

static enum status check_container(struct source *source, enum container container)
{
    const char *path = source->path;
    switch (container) {
    case CONTAINER_WAV:
        return wav_check(path, &source->view, source->note);
    case CONTAINER_AIFF:
        return aiff_check(path, &source->view, source->note);
    case CONTAINER_AU:
        return au_check(path, &source->view, source->note);
    case CONTAINER_SPHERE:
        sphere_check(&source->view, &source->length);
        return STATUS_OK;
    case CONTAINER_FLAC:
        return flac_check(path, &source->view, &source->length);
    case CONTAINER_OGG:
        return ogg_check(path, &source->view, &source->length, source->note);
    default:
        return STATUS_OK;
    }
}

static enum status open_with_libsndfile(struct source *source, enum container container)
{
    static SF_VIRTUAL_IO functions = {sound_size, sound_seek, sound_read, sound_write, sound_tell};
    SF_INFO info = {0};
    enum status status = check_container(source, container);
    if (status != STATUS_OK)
        return status;
    source->sound = sf_open_virtual(&functions, SFM_READ, &info, &source->view);
    if (!source->sound)
        return status_set(STATUS_CORRUPT, "%s: not a sound file that libsndfile reads: %s", source->path,
                          sf_strerror(NULL));
    source->rate = info.samplerate;
    source->channels = info.channels;
    if (container != CONTAINER_FLAC && container != CONTAINER_SPHERE && !source->length.cut &&
        info.frames < SF_COUNT_MAX)
        source->length.frames = info.frames;
    return STATUS_OK;
}

static enum status open_sound(struct source *source)
{
    enum container container = container_find(source->path, &source->view);
    if (container == CONTAINER_FLAC || container == CONTAINER_MPEG)
        container_leave_out_tags(&source->view);
    enum status status = container == CONTAINER_MPEG ? mpeg_open(source->path, &source->view, &source->mpeg,
                                                                 &source->rate, &source->channels, source->note)
                                                     : open_with_libsndfile(source, container);
    if (status != STATUS_OK)
        return status;
    if (source->rate < LOWEST_RATE || source->rate > HIGHEST_RATE)
        return status_set(STATUS_CORRUPT, "%s: expected a sample rate of %d to %d Hz, found %d", source->path,
                          (int)LOWEST_RATE, (int)HIGHEST_RATE, source->rate);
    if (source->channels < 1)
        return status_set(STATUS_CORRUPT, "%s: expected at least one channel, found %d", source->path,
                          source->channels);
    return STATUS_OK;
}

/* The view is on the whole file. */
static enum status source_start(struct source *source)
{
    if (view_size(&source->view) == 0)
        return status_set(STATUS_CORRUPT, "%s: empty file, no samples", source->path);
    source->view.fault = &source->fault;
    if (!has_suffix(source->path, ".g722"))
        return open_sound(source);
    source->rate = G722_RATE;
    source->channels = 1;
    source->g722 = g722_decode_init(NULL, G722_BITS_PER_SECOND, 0);
    return source->g722 ? STATUS_OK : status_set(STATUS_INTERNAL, "%s: no memory for the G.722 decoder", source->path);
}

static enum status source_open(struct source *source)
{
    const char *path = source->path;
    source->descriptor =
        open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a FIFO must not hang the program */
    if (source->descriptor < 0)
        return status_set_errno(code_of_open(errno), errno, "%s", path);
    struct stat about;
    if (fstat(source->descriptor, &about) != 0)
        return status_set_errno(STATUS_IO, errno, "%s", path);
    if (!S_ISREG(about.st_mode))
        return status_set(STATUS_CORRUPT, "%s: expected a sound file, found %s", path,
                          S_ISDIR(about.st_mode) ? "a folder" : "a pipe or device");
    source->view = (struct view){.descriptor = source->descriptor, .end = about.st_size};
    return source_start(source);
}

/* Up to BLOCK_FRAMES frames into `frames`; *count 0 at the end. */
static enum status source_read(struct source *source, float *frames, int64_t *count)
{
    if (source->sound) {
        *count = sf_readf_float(source->sound, frames, BLOCK_FRAMES);
        if (*count < BLOCK_FRAMES && sf_error(source->sound) != SF_ERR_NO_ERROR && !source->length.cut)
            return status_set(STATUS_CORRUPT, "%s: damaged after %lld frames: %s", source->path,
                              (long long)source->frames_read + *count, sf_strerror(source->sound));
        source->frames_read += *count;
        return STATUS_OK;
    }
    if (source->mpeg) {
        enum status status = mpeg_read(source->mpeg, frames, BLOCK_FRAMES, count);
        source->frames_read += *count;
        return status;
    }
    unsigned char bytes[BLOCK_FRAMES / 2];
    int16_t decoded[BLOCK_FRAMES];
    int64_t length = view_read(&source->view, bytes, sizeof bytes);
    if (length < 0)
        return status_set_errno(STATUS_IO, source->fault, "%s", source->path);
    int produced = length > 0 ? g722_decode(source->g722, decoded, bytes, (int)length) : 0;
    for (int i = 0; i < produced; i++)
        frames[i] = (float)decoded[i] / 32768.0f;
    *count = produced;
    source->frames_read += produced;
    return STATUS_OK;
}

/* Floats may be anything: a value far above full scale (even of 32-bit integers stored as floats) is damage, and would
 * overflow to infinities and NaN in the resampler. */
static enum status check_samples(struct source *source, const float *frames, int64_t count)
{
    int64_t values = count * source->channels, bad = 0;
    for (int64_t i = 0; i < values; i++) {
        float size = fabsf(frames[i]);
        bad += !(size <= LOUDEST); /* NaN fails too */
        source->clipped += size > 1;
        source->far += size > FAR;
        source->largest = size > source->largest ? size : source->largest;
    }
    if (bad == 0)
        return STATUS_OK;
    int64_t first = 0;
    while (fabsf(frames[first]) <= LOUDEST)
        first++;
    long long frame = (long long)source->frames_read - count + first / source->channels;
    int channel = (int)(first % source->channels);
    if (!isfinite(frames[first]))
        return status_set(STATUS_CORRUPT, "%s: sample %lld of channel %d is not a finite number", source->path, frame,
                          channel);
    return status_set(STATUS_CORRUPT, "%s: sample %lld of channel %d is %g; expected about -1 to 1", source->path,
                      frame, channel, (double)frames[first]);
}

/* The mean of a frame's channels, or one of them. */
static void mix_down(int channels, int channel, const float *frames, int64_t count, float *mono)
{
    if (channel >= 0 || channels == 1) {
        for (int64_t i = 0; i < count; i++)
            mono[i] = frames[i * channels + (channel >= 0 ? channel : 0)];
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        double sum = 0;
        for (int c = 0; c < channels; c++)
            sum += frames[i * channels + c];
        mono[i] = (float)(sum / channels);
    }
}

static enum status make_room(const char *path, struct growing *out, int64_t extra)
{
    if (out->count + extra > longest + BLOCK_FRAMES)
        return status_set(STATUS_CORRUPT, "%s: longer than 12 hours", path);
    return array_grow(&out->samples, &out->room, out->count + extra, "samples");
}

/* Feeds `count` samples (NULL: the end) through the resampler, or copies them when there is none. */
static enum status append(const char *path, soxr_t resampler, const float *mono, int64_t count, struct growing *out)
{
    if (!resampler) {
        enum status status = make_room(path, out, count);
        assert(status != STATUS_OK || count == 0 || out->samples);
        if (status == STATUS_OK && count > 0)
            memcpy(out->samples + out->count, mono, (size_t)count * sizeof *mono);
        out->count += status == STATUS_OK ? count : 0;
        return status;
    }
    for (;;) {
        enum status status = make_room(path, out, BLOCK_FRAMES);
        if (status != STATUS_OK)
            return status;
        size_t used = 0, made = 0;
        soxr_error_t error = soxr_process(resampler, mono, mono ? (size_t)count : 0, &used, out->samples + out->count,
                                          BLOCK_FRAMES, &made);
        if (error)
            return status_set(STATUS_INTERNAL, "%s: resampling failed: %s", path, error);
        out->count += (int64_t)made;
        if (mono) {
            mono += used;
            count -= (int64_t)used;
        }
        if (made < BLOCK_FRAMES && count == 0)
            return STATUS_OK;
    }
}

/* An encoder that loses bits overshoots full scale a little; that is cut off as every player does, and not worth a note. */
static bool is_lossy(const struct source *source)
{
    SF_INFO info = {0};
    if (!source->sound || sf_command(source->sound, SFC_GET_CURRENT_SF_INFO, &info, sizeof info) != 0)
        return true;
    int coding = info.format & SF_FORMAT_SUBMASK;
    return coding != SF_FORMAT_FLOAT && coding != SF_FORMAT_DOUBLE;
}

/* After the last sample: how many there were, and how many of them beyond full scale. */
static enum status check_totals(struct source *source)
{
    const char *path = source->path;
    int64_t said = source->length.frames, found = source->frames_read;
    if (found == 0)
        return status_set(STATUS_CORRUPT, "%s: no samples", path);
    if (said >= 0 && found < said)
        return status_set(STATUS_CORRUPT, "%s: truncated: expected %lld frames, found %lld", path, (long long)said,
                          (long long)found);
    if (said >= 0 && found > said)
        snprintf(source->note, AUDIO_NOTE_BYTES, "its header announces %lld frames, the file has %lld: all were read",
                 (long long)said, (long long)found);
    double share = (double)source->clipped / (double)found / source->channels;
    double far = (double)source->far / (double)found / source->channels;
    if (share > most_clipped || far > most_far)
        return status_set(
            STATUS_CORRUPT,
            "%s: %.3g %% of its samples are beyond -1 to 1, the largest is %g: integers stored as floats? "
            "Divide them (16-bit ones by 32768) and write the file again",
            path, 100 * share, (double)source->largest);
    if (source->clipped > 0 && !is_lossy(source))
        snprintf(source->note, AUDIO_NOTE_BYTES,
                 "%.3g %% of its samples are beyond -1 to 1 (the largest is %g) and were clipped", 100 * share,
                 (double)source->largest);
    return STATUS_OK;
}

static enum status read_all(struct source *source, int channel, soxr_t resampler, struct growing *out)
{
    enum status result = STATUS_OK;
    float *frames = malloc((size_t)BLOCK_FRAMES * (size_t)source->channels * sizeof *frames);
    float *mono = malloc(BLOCK_FRAMES * sizeof *mono);
    if (!frames || !mono)
        FAIL(STATUS_INTERNAL, "%s: no memory for %d channels", source->path, source->channels);
    for (;;) {
        int64_t count = 0;
        TRY(source_read(source, frames, &count));
        if (count == 0)
            break;
        TRY(check_samples(source, frames, count));
        mix_down(source->channels, channel, frames, count, mono);
        TRY(append(source->path, resampler, mono, count, out));
    }
    TRY(check_totals(source));
    if (resampler)
        TRY(append(source->path, resampler, NULL, 0, out));
fail:
    free(frames);
    free(mono);
    return result;
}

static float clipped(float sample)
{
    return sample > 1 ? 1 : sample < -1 ? -1 : sample;
}

/* Exactly round(frames * AUDIO_RATE / rate) samples (at least one), inside [-1, 1]: a resampler overshoots at full
 * scale, and a float file may hold anything. */
static enum status settle(const struct source *source, struct growing *out)
{
    double exact = (double)source->frames_read * AUDIO_RATE / source->rate;
    int64_t count = exact < 1 ? 1 : (int64_t)llround(exact);
    if (count > longest)
        return status_set(STATUS_CORRUPT, "%s: longer than 12 hours", source->path);
    if (out->count < count) {
        enum status status = make_room(source->path, out, count - out->count);
        if (status != STATUS_OK)
            return status;
        assert(out->samples);
        memset(out->samples + out->count, 0, (size_t)(count - out->count) * sizeof *out->samples);
    }
    out->count = count;
    assert(out->samples); /* at least one sample */
    for (int64_t i = 0; i < count; i++)
        out->samples[i] = clipped(out->samples[i]);
    float *fitted = realloc(out->samples, (size_t)count * sizeof *fitted);
    if (fitted)
        out->samples = fitted;
    return STATUS_OK;
}

/* Reads what source_open or source_start opened with the status `result`, and closes it. */
static enum status read_source(struct source *source, enum status result, int channel, float **samples, int64_t *count)
{
    const char *path = source->path;
    struct growing out = {0};
    soxr_t resampler = NULL;
    TRY(result);
    assert(source->channels > 0);
    if (channel >= source->channels)
        FAIL(STATUS_USAGE, "%s: no channel %d; the file has %d, counted from 0", path, channel, source->channels);
    if (source->rate != AUDIO_RATE) {
        soxr_error_t error = NULL;
        soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
        resampler = soxr_create(source->rate, AUDIO_RATE, 1, &error, NULL, &quality, NULL);
        if (error || !resampler)
            FAIL(STATUS_INTERNAL, "%s: cannot resample from %d Hz: %s", path, source->rate, soxr_strerror(error));
    }
    TRY(read_all(source, channel, resampler, &out));
    TRY(settle(source, &out));
    *samples = out.samples;
    *count = out.count;
    out.samples = NULL;
fail:
    if (source->fault) {
        result = status_set_errno(STATUS_IO, source->fault, "%s: cannot be read", path);
        free(*samples);
        *samples = NULL;
        *count = 0;
    }
    if (resampler)
        soxr_delete(resampler);
    source_close(source);
    free(out.samples);
    return result;
}

enum status audio_read_noted(const char *path, int channel, float **samples, int64_t *count,
                             char note[AUDIO_NOTE_BYTES])
{
    struct source source = {.path = path, .descriptor = -1, .length = {.frames = -1}, .note = note};
    *samples = NULL;
    *count = 0;
    note[0] = '\0';
    return read_source(&source, source_open(&source), channel, samples, count);
}

enum status audio_read_memory_noted(struct audio_memory file, int channel, float **samples, int64_t *count,
                                    char note[AUDIO_NOTE_BYTES])
{
    struct source source = {.path = file.name, .descriptor = -1, .length = {.frames = -1}, .note = note};
    *samples = NULL;
    *count = 0;
    note[0] = '\0';
    source.view = (struct view){.descriptor = -1, .bytes = file.data, .end = file.size};
    return read_source(&source, source_start(&source), channel, samples, count);
}

static enum status warn(enum status result, const char *name, const char *note)
{
    if (result == STATUS_OK && note[0])
        log_warning("%s: %s", name, note);
    return result;
}

enum status audio_read(const char *path, int channel, float **samples, int64_t *count)
{
    char note[AUDIO_NOTE_BYTES];
    return warn(audio_read_noted(path, channel, samples, count, note), path, note);
}

enum status audio_read_memory(struct audio_memory file, int channel, float **samples, int64_t *count)
{
    char note[AUDIO_NOTE_BYTES];
    return warn(audio_read_memory_noted(file, channel, samples, count, note), file.name, note);
}
