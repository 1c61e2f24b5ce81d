/* Ogg, page by page. libogg skips what is damaged without a word, libsndfile knows the length from the last page alone, and
 * reads only the first of several streams. */
#include "io/audio/containers.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { PAGE_HEADER = 27, PAGE_BYTES = PAGE_HEADER + 255 + 255 * 255, FLAG_FIRST = 2, FLAG_LAST = 4 };

static pthread_once_t table_once = PTHREAD_ONCE_INIT;
static uint32_t table[256];

/* The polynomial 0x04c11db7, most significant bit first. */
static void make_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i << 24;
        for (int bit = 0; bit < 8; bit++)
            value = value & 0x80000000 ? value << 1 ^ 0x04c11db7 : value << 1;
        table[i] = value;
    }
}

static uint64_t little_endian(const unsigned char *bytes, int size)
{
    uint64_t value = 0;
    for (int i = size - 1; i >= 0; i--)
        value = value << 8 | bytes[i];
    return value;
}

/* The page's bytes; 0 when there is no whole page at the offset. */
static int64_t read_page(const struct view *view, int64_t offset, unsigned char *page)
{
    int64_t found = view_read_at(view, offset, page, PAGE_BYTES);
    if (found < PAGE_HEADER || memcmp(page, "OggS", 4) != 0 || found < PAGE_HEADER + page[26])
        return 0;
    int64_t size = PAGE_HEADER + page[26];
    for (int i = 0; i < page[26]; i++)
        size += page[PAGE_HEADER + i];
    return size <= found ? size : 0;
}

static bool page_is_whole(unsigned char *page, int64_t size)
{
    uint64_t expected = little_endian(page + 22, 4);
    uint32_t value = 0;
    memset(page + 22, 0, 4);
    for (int64_t i = 0; i < size; i++)
        value = value << 8 ^ table[value >> 24 ^ page[i]];
    return value == expected;
}

struct pages {
    int64_t offset;        /* where the next one begins */
    int64_t usable;        /* the end of the last one that says where it ends in time */
    uint64_t serial, next; /* of the stream of sound; the next page's number */
    int64_t time;          /* of the last one that says it */
    bool found, started, ended;
};

static bool holds_sound(const unsigned char *page, int64_t size)
{
    const unsigned char *packet = page + PAGE_HEADER + page[26];
    int64_t left = size - PAGE_HEADER - page[26];
    return left >= 8 && (memcmp(packet, "\x01vorbis", 7) == 0 || memcmp(packet, "OpusHead", 8) == 0 ||
                         memcmp(packet,
                                "\x7f"
                                "FLAC",
                                5) == 0 ||
                         memcmp(packet, "Speex   ", 8) == 0);
}

static enum status take_page(const char *path, const unsigned char *page, int64_t size, struct pages *pages)
{
    uint64_t serial = little_endian(page + 14, 4), number = little_endian(page + 18, 4);
    int64_t time = (int64_t)little_endian(page + 6, 8);
    bool first = page[5] & FLAG_FIRST;
    if (first && pages->started)
        return status_set(
            STATUS_CORRUPT,
            "%s: several Ogg streams one after the other; only the first would be read: join them into one", path);
    pages->started = pages->started || !first;
    if (first && !pages->found && holds_sound(page, size)) {
        pages->found = true;
        pages->serial = serial;
        pages->next = number;
    }
    pages->offset += size;
    if (!pages->found || serial != pages->serial)
        return STATUS_OK;
    if (number != pages->next)
        return status_set(STATUS_CORRUPT, "%s: damaged: Ogg page %llu is missing, %llu follows", path,
                          (unsigned long long)pages->next, (unsigned long long)number);
    pages->next = (number + 1) & UINT32_MAX;
    pages->ended = page[5] & FLAG_LAST;
    if (time == -1)
        return STATUS_OK; /* no packet ends in it */
    if (time < pages->time)
        return status_set(STATUS_CORRUPT, "%s: damaged: Ogg page %llu ends at sample %lld, one before it at %lld", path,
                          (unsigned long long)number, (long long)time, (long long)pages->time);
    pages->time = time;
    pages->usable = pages->offset;
    return STATUS_OK;
}

enum status ogg_check(const char *path, struct view *view, struct container_length *length, char note[AUDIO_NOTE_BYTES])
{
    unsigned char page[PAGE_BYTES];
    struct pages pages = {0};
    pthread_once(&table_once, make_table);
    for (int64_t size; (size = read_page(view, pages.offset, page)) > 0;) {
        if (!page_is_whole(page, size))
            return status_set(STATUS_CORRUPT, "%s: damaged: the Ogg page at byte %lld does not match its checksum",
                              path, (long long)(view->begin + pages.offset));
        enum status result = take_page(path, page, size, &pages);
        if (result != STATUS_OK)
            return result;
    }
    if (!pages.found)
        return STATUS_OK; /* nothing that we know: libsndfile says so */
    unsigned char next[4] = {0};
    int64_t left = view_size(view) - pages.offset;
    view_read_at(view, pages.offset, next, 4);
    bool another = memcmp(next, "OggS", 4) == 0;
    if (pages.ended && pages.usable == pages.offset && !another && pages.time > 0) {
        view->end = view->begin + pages.offset; /* without tags behind it */
        return STATUS_OK;
    }
    if (pages.time <= 0)
        return status_set(STATUS_CORRUPT, "%s: %s", path,
                          left > 0 ? "truncated: no samples before the end of the file"
                                   : "no samples, or damaged: its last Ogg page ends at sample 0");
    if (!another && left > 0 && view_size(view) - pages.offset >= PAGE_HEADER)
        return status_set(STATUS_CORRUPT, "%s: damaged: no Ogg page at byte %lld", path,
                          (long long)(view->begin + pages.offset));
    length->cut = true;
    view->end = view->begin + pages.usable;
    snprintf(note, AUDIO_NOTE_BYTES, "its end is missing (cut off, or the stream was never closed); the rest was read");
    return STATUS_OK;
}
