/* RIFF/WAVE by hand: one PCM channel of 16 bits needs only a header of 44 bytes, and a program that only writes sound
 * then links no sound library. */
#include "io/wav.h"

#include "io/atomic_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WAV_HEADER = 44 };

static const int64_t longest = (int64_t)12 * 3600 * AUDIO_RATE;

static float clipped(float sample)
{
    return sample > 1 ? 1 : sample < -1 ? -1 : sample;
}

static unsigned char *put_little_endian(unsigned char *to, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        *to++ = (unsigned char)(value >> 8 * i);
    return to;
}

static unsigned char *put_tag(unsigned char *to, const char *tag)
{
    memcpy(to, tag, 4);
    return to + 4;
}

/* RIFF/WAVE, one PCM channel of 16 bits. */
static unsigned char *put_wav_header(unsigned char *to, uint32_t data_bytes)
{
    to = put_little_endian(put_tag(to, "RIFF"), WAV_HEADER - 8 + data_bytes, 4);
    to = put_little_endian(put_tag(put_tag(to, "WAVE"), "fmt "), 16, 4);
    to = put_little_endian(to, 1, 2); /* PCM */
    to = put_little_endian(to, 1, 2); /* channels */
    to = put_little_endian(to, AUDIO_RATE, 4);
    to = put_little_endian(to, AUDIO_RATE * 2, 4); /* bytes per second */
    to = put_little_endian(to, 2, 2);              /* bytes per frame */
    to = put_little_endian(to, 16, 2);             /* bits per sample */
    return put_little_endian(put_tag(to, "data"), data_bytes, 4);
}

enum status wav_bytes(const char *name, const float *samples, int64_t count, unsigned char **out, size_t *size)
{
    if (count < 0 || count > longest)
        return status_set(STATUS_INTERNAL, "%s: expected at most 12 hours of samples, found %lld samples", name,
                          (long long)count);
    unsigned char *bytes = malloc(WAV_HEADER + 2 * (size_t)count);
    if (!bytes)
        return status_set(STATUS_INTERNAL, "%s: no memory for %lld samples", name, (long long)count);
    unsigned char *to = put_wav_header(bytes, (uint32_t)(2 * count));
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(samples[i])) {
            free(bytes);
            return status_set(STATUS_INTERNAL, "%s: sample %lld to write is not a finite number", name, (long long)i);
        }
        /* 32768 is what readers divide by, so that 16-bit sound survives reading and writing unchanged. */
        long value = lrintf(clipped(samples[i]) * 32768.0f);
        to = put_little_endian(to, (uint32_t)(value > 32767 ? 32767 : value), 2);
    }
    *out = bytes;
    *size = WAV_HEADER + 2 * (size_t)count;
    return STATUS_OK;
}

enum status wav_write(const char *path, const float *samples, int64_t count)
{
    unsigned char *bytes;
    size_t size;
    enum status status = wav_bytes(path, samples, count, &bytes, &size);
    if (status != STATUS_OK)
        return status;
    status = atomic_write(path, bytes, (int64_t)size);
    free(bytes);
    return status;
}
