/* WAV, AIFF, AU, SPHERE and FLAC: how long the header says that the sound is. libsndfile believes it: it silently leaves out what lies
 * behind the announced end, shortens what is missing, and reads a stream that was never closed as empty. */
#include "io/audio/containers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNKS_LIMIT = 4096, /* in a file's header */
    /* Writers that count their own header among the samples exceed the file by up to this; more is missing sound. */
    FEW_BYTES = 128,
    TAGS_LIMIT = 16,
};

static uint32_t little_endian_32(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static uint32_t big_endian_32(const unsigned char *bytes)
{
    return (uint32_t)bytes[3] | (uint32_t)bytes[2] << 8 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[0] << 24;
}

static bool ends_in_mp3(const char *path)
{
    size_t length = strlen(path);
    return length > 4 && strcasecmp(path + length - 4, ".mp3") == 0;
}

enum container container_find(const char *path, struct view *view)
{
    unsigned char bytes[12] = {0};
    for (int tag = 0; tag < TAGS_LIMIT;
         tag++) { /* ID3v2: seven bits a byte, without these ten bytes and the footer's */
        if (view_read_at(view, 0, bytes, 10) != 10 || memcmp(bytes, "ID3", 3) != 0 || bytes[3] == 0xff)
            break;
        int64_t size =
            (int64_t)(bytes[6] & 0x7f) << 21 | (bytes[7] & 0x7f) << 14 | (bytes[8] & 0x7f) << 7 | (bytes[9] & 0x7f);
        size += bytes[5] & 0x10 ? 20 : 10;
        if (size >= view_size(view))
            break;
        view->begin += size;
    }
    memset(bytes, 0, sizeof bytes);
    view_read_at(view, 0, bytes, sizeof bytes);
    if ((memcmp(bytes, "RIFF", 4) == 0 || memcmp(bytes, "RF64", 4) == 0) && memcmp(bytes + 8, "WAVE", 4) == 0)
        return CONTAINER_WAV;
    if (memcmp(bytes, "FORM", 4) == 0 && memcmp(bytes + 8, "AIF", 3) == 0)
        return CONTAINER_AIFF;
    if (memcmp(bytes, "fLaC", 4) == 0)
        return CONTAINER_FLAC;
    if (memcmp(bytes, "OggS", 4) == 0)
        return CONTAINER_OGG;
    if (memcmp(bytes, ".snd", 4) == 0)
        return CONTAINER_AU;
    if (memcmp(bytes, "NIST_1A", 7) == 0)
        return CONTAINER_SPHERE;
    bool mpeg = bytes[0] == 0xff && (bytes[1] & 0xe0) == 0xe0 && (bytes[1] & 0x18) != 0x08 && (bytes[1] & 0x06) != 0;
    return mpeg || view->begin > 0 || ends_in_mp3(path) ? CONTAINER_MPEG : CONTAINER_OTHER;
}

void container_leave_out_tags(struct view *view)
{
    unsigned char bytes[32];
    int64_t end = view_size(view);
    for (int tag = 0; tag < TAGS_LIMIT; tag++) {
        int64_t before = end;
        if (end >= 128 && view_read_at(view, end - 128, bytes, 3) == 3 && memcmp(bytes, "TAG", 3) == 0)
            end -= 128;
        if (end >= 32 && view_read_at(view, end - 32, bytes, 32) == 32 && memcmp(bytes, "APETAGEX", 8) == 0) {
            int64_t size = (int64_t)bytes[12] | bytes[13] << 8 | bytes[14] << 16 | (int64_t)bytes[15] << 24;
            size += bytes[23] & 0x80 ? 32 : 0; /* it has a header too */
            end -= size >= 32 && size <= end ? size : 0;
        }
        if (end >= 15 && view_read_at(view, end - 15, bytes, 15) == 15 && memcmp(bytes + 6, "LYRICS200", 9) == 0) {
            bytes[6] = '\0';
            int64_t size = strtoll((char *)bytes, NULL, 10) + 15;
            end -= size > 15 && size <= end ? size : 0;
        }
        if (end == before)
            break;
    }
    view->end = view->begin + end;
}

static enum status refuse_truncated(const char *path, int64_t expected, int64_t found)
{
    return status_set(STATUS_CORRUPT, "%s: truncated: expected %lld bytes of samples, found %lld", path,
                      (long long)expected, (long long)found);
}

/* Whether what follows an empty chunk of samples is chunks up to the end rather than samples. */
static bool chunks_to_the_end(const struct view *view, int64_t offset)
{
    unsigned char bytes[8];
    for (int chunk = 0; chunk < CHUNKS_LIMIT && view_read_at(view, offset, bytes, 8) == 8; chunk++) {
        for (int i = 0; i < 4; i++)
            if (bytes[i] < ' ' || bytes[i] > '~')
                return false;
        int64_t size = little_endian_32(bytes + 4);
        offset += 8 + size + (size & 1);
    }
    return offset == view_size(view);
}

static enum status note_few_bytes(const char *path, int64_t expected, int64_t found, char note[AUDIO_NOTE_BYTES])
{
    if (expected - found > FEW_BYTES || found <= 0)
        return refuse_truncated(path, expected, found > 0 ? found : 0);
    snprintf(note, AUDIO_NOTE_BYTES, "its header announces %lld bytes of samples, the file has %lld",
             (long long)expected, (long long)found);
    return STATUS_OK;
}

/* Where a WAV says how many bytes of samples it has. */
struct wav_size {
    int64_t value;
    int64_t place; /* of the number in the view */
    int width;     /* its bytes: 4, or 8 in RF64 */
};

/* Programs that stream into a pipe cannot go back to correct the size, nor can one that was killed: 0 or a size from
 * 0x7ffff000 up (in RF64, a negative one) means "to the end". */
static enum status check_wav_data(const char *path, struct view *view, int64_t data, struct wav_size size,
                                  char note[AUDIO_NOTE_BYTES])
{
    int64_t left = view_size(view) - data;
    bool unknown = size.value < 0 || (size.width == 4 && size.value >= 0x7ffff000 && size.value > left) ||
                   (size.value == 0 && left > 0 && !chunks_to_the_end(view, data));
    enum status result = STATUS_OK;
    if (!unknown && size.value <= left)
        return STATUS_OK;
    if (!unknown)
        result = note_few_bytes(path, size.value, left, note);
    if (result != STATUS_OK || (size.width == 4 && left > UINT32_MAX))
        return result; /* the latter: libsndfile takes what is there */
    view->patch_at = view->begin + size.place;
    view->patch_size = size.width;
    for (int i = 0; i < size.width; i++)
        view->patch[i] = (unsigned char)(left >> 8 * i);
    return STATUS_OK;
}

enum status wav_check(const char *path, struct view *view, char note[AUDIO_NOTE_BYTES])
{
    unsigned char bytes[24];
    struct wav_size size_64 = {0, -1, 8};
    int64_t offset = 12;
    view_read_at(view, 0, bytes, 4);
    bool is_64 = memcmp(bytes, "RF64", 4) == 0;
    for (int chunk = 0; view_read_at(view, offset, bytes, 8) == 8; chunk++) {
        int64_t size = little_endian_32(bytes + 4);
        if (memcmp(bytes, "data", 4) == 0) {
            struct wav_size here = {size, offset + 4, 4};
            return check_wav_data(path, view, offset + 8, size_64.place >= 0 ? size_64 : here, note);
        }
        if (is_64 && memcmp(bytes, "ds64", 4) == 0 && view_read_at(view, offset, bytes, 24) == 24) {
            size_64.value = (int64_t)(little_endian_32(bytes + 16) | (uint64_t)little_endian_32(bytes + 20) << 32);
            size_64.place = offset + 16;
        }
        if (chunk == CHUNKS_LIMIT) /* a gigabyte of zeros is read as empty chunks for a minute */
            return status_set(STATUS_CORRUPT, "%s: damaged: more than %d chunks before the samples", path,
                              (int)CHUNKS_LIMIT);
        offset += 8 + size + (size & 1);
    }
    return STATUS_OK;
}

enum status au_check(const char *path, const struct view *view, char note[AUDIO_NOTE_BYTES])
{
    unsigned char bytes[12] = {0};
    view_read_at(view, 0, bytes, sizeof bytes);
    uint32_t size = big_endian_32(bytes + 8);
    int64_t left = view_size(view) - big_endian_32(bytes + 4);
    return size == UINT32_MAX || size <= left ? STATUS_OK : note_few_bytes(path, size, left, note);
}

/* Lines of text; libsndfile does not look at their sample_count. */
void sphere_check(const struct view *view, struct container_length *length)
{
    char header[1025] = "";
    int64_t found = view_read_at(view, 0, header, sizeof header - 1);
    header[found > 0 ? found : 0] = '\0';
    const char *line = strstr(header, "\nsample_count -i ");
    int64_t frames = line ? strtoll(line + strlen("\nsample_count -i "), NULL, 10) : 0;
    length->frames = frames > 0 ? frames : -1;
}

enum status aiff_check(const char *path, const struct view *view, char note[AUDIO_NOTE_BYTES])
{
    unsigned char bytes[8];
    int64_t offset = 12;
    for (int chunk = 0; view_read_at(view, offset, bytes, 8) == 8; chunk++) {
        int64_t size = big_endian_32(bytes + 4), left = view_size(view) - offset - 8;
        bool samples = memcmp(bytes, "SSND", 4) == 0;
        if (samples && size > left && size < 0x7f000000) { /* sox writes this into a pipe */
            enum status result = note_few_bytes(path, size, left, note);
            if (result != STATUS_OK)
                return result;
        }
        if (chunk == CHUNKS_LIMIT)
            return status_set(STATUS_CORRUPT, "%s: damaged: more than %d chunks", path, (int)CHUNKS_LIMIT);
        offset += 8 + size + (size & 1);
    }
    return STATUS_OK;
}

/* libFLAC allocates the memory that a block of metadata announces before it checks whether the file has that much. The
 * number of samples is hidden from libsndfile, so that it reads to the end, and is compared with what was found. */
enum status flac_check(const char *path, struct view *view, struct container_length *length)
{
    unsigned char bytes[8];
    int64_t offset = 4;
    for (int block = 0; view_read_at(view, offset, bytes, 4) == 4; block++) {
        int64_t size = (int64_t)bytes[1] << 16 | bytes[2] << 8 | bytes[3], left = view_size(view) - offset - 4;
        bool last = bytes[0] & 0x80;
        if (size > left)
            return status_set(STATUS_CORRUPT, "%s: truncated: expected a block of %lld bytes, found %lld", path,
                              (long long)size, (long long)left);
        if ((bytes[0] & 0x7f) == 0 && size >= 18 && view_read_at(view, offset + 4 + 13, bytes, 5) == 5) {
            int64_t frames = (int64_t)(bytes[0] & 0x0f) << 32 | big_endian_32(bytes + 1);
            length->frames = frames > 0 ? frames : -1;
            view->patch_at = view->begin + offset + 4 + 13;
            view->patch_size = 5;
            memset(view->patch, 0, sizeof view->patch);
            view->patch[0] = bytes[0] & 0xf0;
        }
        if (last)
            return STATUS_OK;
        if (block == CHUNKS_LIMIT)
            return status_set(STATUS_CORRUPT, "%s: damaged: more than %d blocks before the samples", path,
                              (int)CHUNKS_LIMIT);
        offset += 4 + size;
    }
    return STATUS_OK;
}
