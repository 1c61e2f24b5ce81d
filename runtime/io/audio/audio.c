/* Sound is read in blocks, each mixed to one channel and resampled at once, so that memory holds the result and not the
 * file. The decoders believe the lengths that headers announce; these are compared with the file's size first, so that
 * a truncated or crafted file is refused, rather than silently shortened or allowed to allocate gigabytes. */
#include "io/audio/audio.h"

#include "core/array.h"
#include "io/atomic_file.h"
#include "io/file_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sndfile.h>
#include <soxr.h>
#include <spandsp.h>
#include <stdbool.h>
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
    CHUNKS_LIMIT = 4096, /* in a file's header */
};

static const float LOUDEST = 1e10f;
static const int64_t longest = 12 * 3600 * (int64_t)AUDIO_RATE;

/* A file that gives interleaved frames. libsndfile does not read G.722, so there are two kinds. */
struct source {
    const char *path;
    int descriptor; /* -1 when libsndfile owns it */
    SNDFILE *sound; /* NULL for G.722 */
    g722_decode_state_t *g722;
    int rate, channels;
    int64_t frames_said; /* according to the header */
    int64_t frames_read;
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

static uint32_t little_endian_32(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* libsndfile silently shortens a truncated WAV, so the declared size of its data is compared with the file here.
 * Programs that stream into a pipe cannot go back to correct the size; they write 0 or a size from 0x7ffff000 up, which
 * means "to the end". */
static enum status check_wav_length(const char *path, int descriptor, int64_t file_size)
{
    unsigned char bytes[12];
    if (pread(descriptor, bytes, 12, 0) != 12 || memcmp(bytes, "RIFF", 4) != 0 || memcmp(bytes + 8, "WAVE", 4) != 0)
        return STATUS_OK;
    int64_t offset = 12;
    for (int chunk = 0; pread(descriptor, bytes, 8, offset) == 8; chunk++) {
        int64_t size = little_endian_32(bytes + 4), left = file_size - offset - 8;
        if (memcmp(bytes, "data", 4) == 0) {
            if (size > left && size < 0x7ffff000)
                return status_set(STATUS_CORRUPT, "%s: truncated: expected %lld bytes of samples, found %lld", path,
                                  (long long)size, (long long)left);
            return STATUS_OK;
        }
        if (chunk == CHUNKS_LIMIT) /* a gigabyte of zeros is read as empty chunks for a minute */
            return status_set(STATUS_CORRUPT, "%s: damaged: more than %d chunks before the samples", path,
                              (int)CHUNKS_LIMIT);
        offset += 8 + size + (size & 1);
    }
    return STATUS_OK;
}

/* libFLAC allocates the memory that a block of metadata announces before it checks whether the file has that much. */
static enum status check_flac_blocks(const char *path, int descriptor, int64_t file_size)
{
    unsigned char bytes[4];
    if (pread(descriptor, bytes, 4, 0) != 4 || memcmp(bytes, "fLaC", 4) != 0)
        return STATUS_OK;
    int64_t offset = 4;
    for (int block = 0; pread(descriptor, bytes, 4, offset) == 4; block++) {
        int64_t size = (int64_t)bytes[1] << 16 | bytes[2] << 8 | bytes[3], left = file_size - offset - 4;
        if (size > left)
            return status_set(STATUS_CORRUPT, "%s: truncated: expected a block of %lld bytes, found %lld", path,
                              (long long)size, (long long)left);
        if (bytes[0] & 0x80) /* the last */
            return STATUS_OK;
        if (block == CHUNKS_LIMIT)
            return status_set(STATUS_CORRUPT, "%s: damaged: more than %d blocks before the samples", path,
                              (int)CHUNKS_LIMIT);
        offset += 4 + size;
    }
    return STATUS_OK;
}

static void source_close(struct source *source)
{
    if (source->sound)
        sf_close(source->sound);
    if (source->g722)
        g722_decode_free(source->g722);
    if (source->descriptor >= 0)
        close(source->descriptor);
}

static enum status open_sound(struct source *source, int64_t file_size)
{
    const char *path = source->path;
    enum status status = check_wav_length(path, source->descriptor, file_size);
    if (status == STATUS_OK)
        status = check_flac_blocks(path, source->descriptor, file_size);
    if (status != STATUS_OK)
        return status;
    SF_INFO info = {0};
    source->sound = sf_open_fd(source->descriptor, SFM_READ, &info, SF_TRUE);
    if (!source->sound) {
        source->descriptor = -1; /* libsndfile has closed it */
        return status_set(STATUS_CORRUPT, "%s: not a sound file that libsndfile reads: %s", path, sf_strerror(NULL));
    }
    source->descriptor = -1;
    source->rate = info.samplerate;
    source->channels = info.channels;
    source->frames_said = info.frames;
    if (info.samplerate < LOWEST_RATE || info.samplerate > HIGHEST_RATE)
        return status_set(STATUS_CORRUPT, "%s: expected a sample rate of %d to %d Hz, found %d", path, (int)LOWEST_RATE,
                          (int)HIGHEST_RATE, info.samplerate);
    if (info.channels < 1)
        return status_set(STATUS_CORRUPT, "%s: expected at least one channel, found %d", path, info.channels);
    return STATUS_OK;
}

static enum status source_open(const char *path, struct source *source)
{
    *source = (struct source){.path = path, .descriptor = -1};
    source->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hang the program */
    if (source->descriptor < 0)
        return status_set_errno(code_of_open(errno), errno, "%s", path);
    struct stat about;
    if (fstat(source->descriptor, &about) != 0)
        return status_set_errno(STATUS_IO, errno, "%s", path);
    if (!S_ISREG(about.st_mode))
        return status_set(STATUS_CORRUPT, "%s: expected a sound file, found %s", path,
                          S_ISDIR(about.st_mode) ? "a folder" : "a pipe or device");
    if (about.st_size == 0)
        return status_set(STATUS_CORRUPT, "%s: empty file, no samples", path);
    if (!has_suffix(path, ".g722"))
        return open_sound(source, about.st_size);
    source->rate = G722_RATE;
    source->channels = 1;
    source->frames_said = 2 * (int64_t)about.st_size;
    source->g722 = g722_decode_init(NULL, G722_BITS_PER_SECOND, 0);
    return source->g722 ? STATUS_OK : status_set(STATUS_INTERNAL, "%s: no memory for the G.722 decoder", path);
}

/* Up to BLOCK_FRAMES frames into `frames`; *count 0 at the end. */
static enum status source_read(struct source *source, float *frames, int64_t *count)
{
    if (source->sound) {
        *count = sf_readf_float(source->sound, frames, BLOCK_FRAMES);
        if (*count < BLOCK_FRAMES && sf_error(source->sound) != SF_ERR_NO_ERROR)
            return status_set(STATUS_CORRUPT, "%s: damaged after %lld frames: %s", source->path,
                              (long long)source->frames_read + *count, sf_strerror(source->sound));
        source->frames_read += *count;
        return STATUS_OK;
    }
    unsigned char bytes[BLOCK_FRAMES / 2];
    int16_t decoded[BLOCK_FRAMES];
    ssize_t length = read(source->descriptor, bytes, sizeof bytes);
    if (length < 0)
        return status_set_errno(STATUS_IO, errno, "%s", source->path);
    int produced = length > 0 ? g722_decode(source->g722, decoded, bytes, (int)length) : 0;
    for (int i = 0; i < produced; i++)
        frames[i] = (float)decoded[i] / 32768.0f;
    *count = produced;
    source->frames_read += produced;
    return STATUS_OK;
}

/* Floats may be anything: a value far above full scale (even of 32-bit integers stored as floats) is damage, and would
 * overflow to infinities and NaN in the resampler. */
static enum status check_samples(const struct source *source, const float *frames, int64_t count)
{
    int64_t values = count * source->channels, bad = 0;
    for (int64_t i = 0; i < values; i++)
        bad += !(fabsf(frames[i]) <= LOUDEST); /* NaN fails too */
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
    if (source->frames_read == 0)
        FAIL(STATUS_CORRUPT, "%s: no samples", source->path);
    if (source->sound && source->frames_said < SF_COUNT_MAX && source->frames_read < source->frames_said)
        FAIL(STATUS_CORRUPT, "%s: truncated: expected %lld frames, found %lld", source->path,
             (long long)source->frames_said, (long long)source->frames_read);
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

enum status audio_read(const char *path, int channel, float **samples, int64_t *count)
{
    enum status result = STATUS_OK;
    struct source source;
    struct growing out = {0};
    soxr_t resampler = NULL;
    *samples = NULL;
    *count = 0;
    TRY(source_open(path, &source));
    assert(source.channels > 0);
    if (channel >= source.channels)
        FAIL(STATUS_USAGE, "%s: no channel %d; the file has %d, counted from 0", path, channel, source.channels);
    if (source.rate != AUDIO_RATE) {
        soxr_error_t error = NULL;
        soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
        resampler = soxr_create(source.rate, AUDIO_RATE, 1, &error, NULL, &quality, NULL);
        if (error || !resampler)
            FAIL(STATUS_INTERNAL, "%s: cannot resample from %d Hz: %s", path, source.rate, soxr_strerror(error));
    }
    TRY(read_all(&source, channel, resampler, &out));
    TRY(settle(&source, &out));
    *samples = out.samples;
    *count = out.count;
    out.samples = NULL;
fail:
    if (resampler)
        soxr_delete(resampler);
    source_close(&source);
    free(out.samples);
    return result;
}
