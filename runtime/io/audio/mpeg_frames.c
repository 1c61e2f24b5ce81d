/* Counts frames from header to header. The length header that many encoders put into the first frame (Xing, Info, VBRI)
 * is only compared with this count: many files have none, and joined or cut ones have a wrong one. */
#include "io/audio/mpeg_frames.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER = 4, FIRST_BYTES = 256, WINDOW = 65536 };

struct header {
    int version; /* 3: MPEG-1, 2: MPEG-2, 0: MPEG-2.5 */
    int layer, rate, channels, samples;
    int64_t bytes; /* 0: free format */
};

static uint32_t big_endian_32(const unsigned char *bytes)
{
    return (uint32_t)bytes[3] | (uint32_t)bytes[2] << 8 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[0] << 24;
}

/* Bits per second / 1000 by index, for MPEG-1's layers 1, 2, 3, and for MPEG-2's layer 1 and the others. */
static const short bit_rates[5][15] = {
    {0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448},
    {0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},
    {0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},
    {0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},
    {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
};

static bool parse_header(const unsigned char *bytes, struct header *header)
{
    static const int rates[3] = {44100, 48000, 32000};
    int version = bytes[1] >> 3 & 3, layer = 4 - (bytes[1] >> 1 & 3), rate = bytes[2] >> 2 & 3, bits = bytes[2] >> 4;
    if (bytes[0] != 0xff || (bytes[1] & 0xe0) != 0xe0 || version == 1 || layer == 4 || rate == 3 || bits == 15)
        return false;
    int row = version == 3 ? layer - 1 : layer == 1 ? 3 : 4, padding = bytes[2] >> 1 & 1;
    *header = (struct header){.version = version,
                              .layer = layer,
                              .rate = rates[rate] >> (version == 3   ? 0
                                                      : version == 2 ? 1
                                                                     : 2),
                              .channels = bytes[3] >> 6 == 3 ? 1 : 2,
                              .samples = layer == 1                   ? 384
                                         : layer == 3 && version != 3 ? 576
                                                                      : 1152};
    int64_t bits_per_second = bit_rates[row][bits] * 1000;
    if (layer == 1)
        header->bytes = (12 * bits_per_second / header->rate + padding) * 4;
    else
        header->bytes = header->samples / 8 * bits_per_second / header->rate + padding;
    if (bits == 0)
        header->bytes = 0;
    return true;
}

static bool same_stream(const struct header *a, const struct header *b)
{
    return a->version == b->version && a->layer == b->layer && a->rate == b->rate;
}

/* Bytes of the file, read in windows. */
struct window {
    const struct view *view;
    int64_t begin, size;
    unsigned char bytes[WINDOW];
};

/* `size` bytes at an offset, NULL where there are fewer. */
static const unsigned char *bytes_at(struct window *window, int64_t offset, int64_t size)
{
    if (offset < window->begin || offset + size > window->begin + window->size) {
        window->begin = offset;
        window->size = view_read_at(window->view, offset, window->bytes, WINDOW);
        if (window->size < size)
            return NULL;
    }
    return window->bytes + (offset - window->begin);
}

/* Whether a frame begins here: a header, and behind its frame another of the same stream or the end. */
static bool frame_at(struct window *window, int64_t offset, int64_t end, const struct header *stream,
                     struct header *header)
{
    struct header next;
    const unsigned char *bytes = bytes_at(window, offset, HEADER);
    if (!bytes || !parse_header(bytes, header) || (stream && !same_stream(stream, header)))
        return false;
    if (header->bytes == 0 || offset + header->bytes + HEADER > end)
        return true;
    bytes = bytes_at(window, offset + header->bytes, HEADER);
    return bytes && parse_header(bytes, &next) && same_stream(header, &next);
}

/* Whether the frame holds a length header instead of sound, and what that says. */
static bool read_info(struct window *window, int64_t offset, const struct header *header, int64_t *announced)
{
    int64_t at = HEADER + (header->version == 3 ? (header->channels == 1 ? 17 : 32) : header->channels == 1 ? 9 : 17);
    const unsigned char *bytes = bytes_at(window, offset, header->bytes > FIRST_BYTES ? FIRST_BYTES : header->bytes);
    *announced = -1;
    if (!bytes || header->layer != 3 || header->bytes < at + 12)
        return false;
    if (memcmp(bytes + at, "Xing", 4) == 0 || memcmp(bytes + at, "Info", 4) == 0) {
        if (bytes[at + 7] & 1)
            *announced = big_endian_32(bytes + at + 8);
        if (*announced == UINT32_MAX) /* never filled in */
            *announced = -1;
        return true;
    }
    if (header->bytes < HEADER + 32 + 18 || memcmp(bytes + HEADER + 32, "VBRI", 4) != 0)
        return false;
    *announced = big_endian_32(bytes + HEADER + 32 + 14);
    return true;
}

static void count_frames(struct window *window, const struct header *stream, struct mpeg_frames *frames)
{
    struct header header;
    int64_t offset = frames->begin, end = frames->end;
    while (offset + HEADER <= end) {
        const unsigned char *bytes = bytes_at(window, offset, HEADER);
        if (bytes && parse_header(bytes, &header) && same_stream(stream, &header) && header.bytes > 0) {
            frames->cut = offset + header.bytes > end;
            if (frames->cut)
                break;
            frames->count++;
            offset += header.bytes;
            continue;
        }
        int64_t from = offset;
        while (offset + HEADER <= end && !frame_at(window, offset, end, stream, &header))
            offset++;
        if (offset + HEADER <= end)
            frames->skipped += offset - from;
        else
            frames->end = from; /* nothing behind it is a frame */
    }
}

void mpeg_frames_find(const struct view *view, struct mpeg_frames *frames)
{
    *frames = (struct mpeg_frames){.info = -1, .announced = -1, .end = view_size(view)};
    struct window *window = calloc(1, sizeof *window);
    struct header header = {0};
    if (!window)
        return;
    window->view = view;
    int64_t offset = 0;
    while (offset + HEADER <= frames->end && !frame_at(window, offset, frames->end, NULL, &header))
        offset++;
    frames->begin = offset;
    if (offset + HEADER <= frames->end) {
        frames->rate = header.rate;
        frames->channels = header.channels;
        frames->samples = header.samples;
        frames->free_format = header.bytes == 0;
        if (header.bytes > 0 && read_info(window, offset, &header, &frames->announced)) {
            frames->info = offset;
            frames->begin = offset + header.bytes;
        }
        if (header.bytes > 0)
            count_frames(window, &header, frames);
    }
    free(window);
}
