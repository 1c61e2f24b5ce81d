/* Sound files whose headers announce something else than what is there: everything that is there is read, or the file is
 * refused, or a note says what is missing. The files are written by libsndfile (its MP3 by LAME, whose own count of frames is
 * the expected one) and then changed byte by byte. */
#include "support/audio_both.h"
#include "support/files.h"
#include "support/test_support.h"

#include "io/atomic_file.h"
#include "io/audio/audio.h"

#include <math.h>
#include <sndfile.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bytes {
    unsigned char *data;
    int64_t size;
};

static struct bytes write_sound(const char *name, int format, int rate, int channels, int64_t frames)
{
    SF_INFO info = {.samplerate = rate, .channels = channels, .format = format};
    SNDFILE *file = sf_open(test_path("%s", name), SFM_WRITE, &info);
    assert_non_null(file);
    float *samples = malloc((size_t)(frames * channels) * sizeof *samples);
    for (int64_t i = 0; i < frames * channels; i++)
        samples[i] = (float)(0.4 * sin(0.05 * (double)i) + 0.1 * sin(1.9 * (double)i));
    assert_int_equal(sf_writef_float(file, samples, frames), frames);
    sf_close(file);
    free(samples);
    struct bytes bytes;
    assert_ok(file_read(test_path("%s", name), 1 << 24, (void **)&bytes.data, &bytes.size));
    return bytes;
}

static struct bytes join(struct bytes a, const void *data, int64_t size)
{
    struct bytes both = {malloc((size_t)(a.size + size)), a.size + size};
    memcpy(both.data, a.data, (size_t)a.size);
    memcpy(both.data + a.size, data, (size_t)size);
    return both;
}

/* note: a part of the expected note, NULL for none. */
static void check_read(const char *name, struct bytes bytes, int64_t expected, const char *note)
{
    float *samples;
    int64_t count;
    char found[AUDIO_NOTE_BYTES];
    write_plainly(test_path("%s", name), bytes.data, bytes.size);
    assert_ok(audio_read_both_noted(test_path("%s", name), -1, &samples, &count, found));
    if (count != expected)
        fail_msg("%s: %lld samples, expected %lld", name, (long long)count, (long long)expected);
    if (note ? !strstr(found, note) : found[0] != '\0')
        fail_msg("%s: the note is \"%s\", expected \"%s\"", name, found, note ? note : "");
    free(samples);
}

static void check_refused(const char *name, struct bytes bytes, const char *part)
{
    float *samples;
    int64_t count;
    char note[AUDIO_NOTE_BYTES];
    write_plainly(test_path("%s", name), bytes.data, bytes.size);
    assert_fails(audio_read_both_noted(test_path("%s", name), -1, &samples, &count, note), STATUS_CORRUPT, part);
    assert_null(samples);
}

static void put_little(unsigned char *at, uint64_t value, int size)
{
    for (int i = 0; i < size; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

/* ---- WAV and its kin ---- */

static int64_t find_chunk(struct bytes bytes, const char *name)
{
    for (int64_t at = 12; at + 8 <= bytes.size; at++)
        if (memcmp(bytes.data + at, name, 4) == 0)
            return at;
    fail_msg("no chunk %s", name);
    return -1;
}

static void wav_of_unknown_length(void **state)
{
    (void)state;
    struct bytes bytes = write_sound("a.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 1, 20001);
    int64_t data = find_chunk(bytes, "data");
    static const uint32_t unknown[] = {0, 0x7ffff000, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        put_little(bytes.data + data + 4, unknown[i], 4);
        put_little(bytes.data + 4, unknown[i], 4);
        check_read("a.wav", bytes, 20001, NULL);
    }
    /* A header that counts itself, as it writes the size of the file or of the form. */
    static const int too_long[] = {1, 2, 8, 36, 44, 68, 128};
    for (size_t i = 0; i < sizeof too_long / sizeof *too_long; i++) {
        put_little(bytes.data + data + 4, (uint64_t)(40002 + too_long[i]), 4);
        check_read("a.wav", bytes, 20001, "40002");
    }
    put_little(bytes.data + data + 4, 40002 + 129, 4);
    check_refused("a.wav", bytes, "truncated");
    /* The size of the whole is wrong, that of the samples right. */
    put_little(bytes.data + data + 4, 40002, 4);
    put_little(bytes.data + 4, 0, 4);
    check_read("a.wav", bytes, 20001, NULL);
    /* Tags and chunks behind the samples are no samples. */
    unsigned char tag[128] = "TAG";
    struct bytes tagged = join(bytes, tag, sizeof tag);
    check_read("a.wav", tagged, 20001, NULL);
    free(tagged.data);
    unsigned char list[24] = "LIST\x10\0\0\0INFOISFT\x04\0\0\0abcd";
    tagged = join(bytes, list, sizeof list);
    check_read("a.wav", tagged, 20001, NULL);
    free(tagged.data);
    /* Really empty, with a chunk behind. */
    struct bytes none = {bytes.data, data + 8};
    put_little(bytes.data + data + 4, 0, 4);
    check_refused("a.wav", none, "no samples");
    tagged = join(none, list, sizeof list);
    check_refused("a.wav", tagged, "no samples");
    free(tagged.data);
    free(bytes.data);
}

static void other_chunked_formats(void **state)
{
    (void)state;
    struct bytes bytes = write_sound("a.aiff", SF_FORMAT_AIFF | SF_FORMAT_PCM_16, 16000, 1, 9000);
    check_read("a.aiff", bytes, 9000, NULL);
    struct bytes cut = {bytes.data, bytes.size / 2};
    check_refused("a.aiff", cut, "truncated");
    free(bytes.data);
    bytes = write_sound("b.wav", SF_FORMAT_RF64 | SF_FORMAT_PCM_16, 16000, 2, 9000);
    check_read("b.wav", bytes, 9000, NULL);
    cut = (struct bytes){bytes.data, bytes.size / 2};
    check_refused("b.wav", cut, "truncated");
    int64_t sizes = find_chunk(bytes, "ds64") + 16;
    for (int unknown = 0; unknown < 2; unknown++) { /* never closed */
        memset(bytes.data + sizes, unknown ? 0xff : 0, 8);
        check_read("b.wav", bytes, 9000, NULL);
    }
    free(bytes.data);
    bytes = write_sound("c.wav", SF_FORMAT_WAV | SF_FORMAT_IMA_ADPCM, 16000, 1, 9000);
    cut = (struct bytes){bytes.data, bytes.size / 2};
    check_refused("c.wav", cut, "truncated");
    free(bytes.data);
    bytes = write_sound("d.au", SF_FORMAT_AU | SF_FORMAT_PCM_16, 16000, 1, 9000);
    cut = (struct bytes){bytes.data, bytes.size / 2};
    check_refused("d.au", cut, "truncated");
    memset(bytes.data + 8, 0xff, 4);
    check_read("d.au", bytes, 9000, NULL);
    free(bytes.data);
    bytes = write_sound("e.sph", SF_FORMAT_NIST | SF_FORMAT_PCM_16, 16000, 1, 19000);
    check_read("e.sph", bytes, 19000, NULL);
    cut = (struct bytes){bytes.data, bytes.size / 2};
    check_refused("e.sph", cut, "truncated: expected 19000 frames");
    char *count = strstr((char *)bytes.data, "-i 19000") + 3;
    memcpy(count, "18000", 5);
    check_read("e.sph", bytes, 19000, "announces 18000 frames");
    memcpy(count, "    0", 5);
    check_read("e.sph", bytes, 19000, NULL);
    free(bytes.data);
}

/* ---- FLAC ---- */

static void flac_of_any_announced_length(void **state)
{
    (void)state;
    struct bytes bytes = write_sound("a.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 16000, 1, 20000);
    unsigned char *length = bytes.data + 8 + 13, tag[128] = "TAG";
    unsigned char ape[64] = "APETAGEX\xd0\x07\0\0 \0\0\0\0\0\0\0\0\0\0\xa0";
    memcpy(ape + 32, ape, 32);
    ape[32 + 12] = 32; /* the footer counts itself; bit 31 of its flags: there is a header too */
    ape[32 + 23] = 0x80;
    for (int announced = 0; announced < 3; announced++) {
        int frames = announced == 0 ? 20000 : announced == 1 ? 0 : 100;
        const char *note = announced == 2 ? "20000" : NULL;
        length[0] &= 0xf0;
        length[1] = 0;
        length[2] = (unsigned char)(frames >> 16);
        length[3] = (unsigned char)(frames >> 8);
        length[4] = (unsigned char)frames;
        check_read("a.flac", bytes, 20000, note);
        struct bytes tagged = join(bytes, tag, sizeof tag), more = join(tagged, ape, sizeof ape);
        check_read("a.flac", tagged, 20000, note);
        check_read("a.flac", more, 20000, note);
        free(tagged.data);
        free(more.data);
        struct bytes cut = {bytes.data, bytes.size * 2 / 3};
        check_refused("a.flac", cut, "");
    }
    length[3] = 0xff;
    check_refused("a.flac", bytes, "truncated");
    free(bytes.data);
}

/* ---- Ogg ---- */

static uint32_t ogg_checksum(const unsigned char *bytes, int64_t size)
{
    uint32_t value = 0;
    for (int64_t i = 0; i < size; i++) {
        value ^= (uint32_t)bytes[i] << 24;
        for (int bit = 0; bit < 8; bit++)
            value = value & 0x80000000 ? value << 1 ^ 0x04c11db7 : value << 1;
    }
    return value;
}

static int64_t pages(struct bytes bytes, int64_t offsets[100])
{
    int64_t count = 0, at = 0;
    while (at + 27 <= bytes.size && count < 99) {
        assert_memory_equal(bytes.data + at, "OggS", 4);
        offsets[count++] = at;
        int64_t size = 27 + bytes.data[at + 26];
        for (int i = 0; i < bytes.data[at + 26]; i++)
            size += bytes.data[at + 27 + i];
        at += size;
    }
    offsets[count] = at;
    assert_int_equal(at, bytes.size);
    return count;
}

static void seal(struct bytes bytes, int64_t begin, int64_t end)
{
    memset(bytes.data + begin + 22, 0, 4);
    put_little(bytes.data + begin + 22, ogg_checksum(bytes.data + begin, end - begin), 4);
}

static void check_ogg(const char *name, int coding, int64_t clock)
{
    int64_t offsets[100];
    struct bytes bytes = write_sound(name, SF_FORMAT_OGG | coding, 16000, 1, 200000);
    int64_t count = pages(bytes, offsets), last = offsets[count - 1];
    assert_true(count >= 6);
    unsigned char tag[128] = "TAG", *kept = malloc((size_t)bytes.size);
    memcpy(kept, bytes.data, (size_t)bytes.size);
    struct bytes tagged = join(bytes, tag, sizeof tag), twice = join(bytes, bytes.data, bytes.size);
    check_read(name, tagged, 200000, NULL);
    check_refused(name, twice, "several Ogg streams");
    free(tagged.data);
    free(twice.data);
    /* Cut inside the last pages, and between two: what the whole pages hold. */
    for (int64_t page = 4; page < count; page++)
        for (int part = 0; part < 3; part++) {
            int64_t before = 0;
            memcpy(&before, kept + offsets[page - 1] + 6, 8);
            struct bytes cut = {kept, offsets[page] + (part == 0   ? 0
                                                       : part == 1 ? 20
                                                                   : (offsets[page + 1] - offsets[page]) / 2)};
            float *samples;
            int64_t found;
            char note[AUDIO_NOTE_BYTES];
            write_plainly(test_path("%s", name), cut.data, cut.size);
            assert_ok(audio_read_both_noted(test_path("%s", name), -1, &samples, &found, note));
            assert_non_null(strstr(note, "its end is missing"));
            if (llabs(found - before * 16000 / clock) > 1000) /* a decoder holds back its last packet */
                fail_msg("%s cut in page %lld: %lld samples", name, (long long)page, (long long)found);
            free(samples);
        }
    /* Never closed: no page says that it is the last; some decoders hold back the last packet. */
    bytes.data[last + 5] &= (unsigned char)~4;
    seal(bytes, last, bytes.size);
    float *samples;
    int64_t found;
    char note[AUDIO_NOTE_BYTES];
    write_plainly(test_path("%s", name), bytes.data, bytes.size);
    assert_ok(audio_read_both_noted(test_path("%s", name), -1, &samples, &found, note));
    assert_non_null(strstr(note, "never closed"));
    assert_true(llabs(found - 200000) <= 1000);
    free(samples);
    /* Its last page says a length of 0, or one before that of an earlier page. */
    for (int value = 0; value < 200; value += 77) {
        put_little(bytes.data + last + 6, (uint64_t)value, 8);
        bytes.data[last + 5] |= 4;
        seal(bytes, last, bytes.size);
        check_refused(name, bytes, "damaged");
    }
    put_little(bytes.data + last + 6, UINT64_MAX, 8); /* no packet ends in it: the end is missing */
    seal(bytes, last, bytes.size);
    write_plainly(test_path("%s", name), bytes.data, bytes.size);
    assert_ok(audio_read_both_noted(test_path("%s", name), -1, &samples, &found, note));
    assert_non_null(strstr(note, "its end is missing"));
    free(samples);
    /* A flipped bit, and a page that is not there: libogg would leave them out without a word. */
    memcpy(bytes.data, kept, (size_t)bytes.size);
    bytes.data[offsets[4] + 100] ^= 1;
    check_refused(name, bytes, "checksum");
    memcpy(bytes.data, kept, (size_t)bytes.size);
    memmove(bytes.data + offsets[4], bytes.data + offsets[5], (size_t)(bytes.size - offsets[5]));
    check_refused(name, (struct bytes){bytes.data, bytes.size - (offsets[5] - offsets[4])}, "missing");
    free(kept);
    free(bytes.data);
}

static void ogg_streams(void **state)
{
    (void)state;
    check_ogg("a.ogg", SF_FORMAT_VORBIS, 16000);
    check_ogg("a.opus", SF_FORMAT_OPUS, 48000);
}

/* ---- MP3 ---- */

/* The length header that LAME writes into the first frame: where it is, and the frame's size. */
static int64_t find_info(struct bytes bytes, int64_t *frames)
{
    for (int64_t at = 0; at < 200; at++)
        if (memcmp(bytes.data + at, "Xing", 4) == 0 || memcmp(bytes.data + at, "Info", 4) == 0) {
            *frames = (int64_t)bytes.data[at + 8] << 24 | bytes.data[at + 9] << 16 | bytes.data[at + 10] << 8 |
                      bytes.data[at + 11];
            return at;
        }
    fail_msg("no length header");
    return -1;
}

/* The next frame has the same first two bytes. */
static int64_t second_frame(struct bytes bytes)
{
    for (int64_t at = 24; at < bytes.size; at++)
        if (bytes.data[at] == bytes.data[0] && bytes.data[at + 1] == bytes.data[1] &&
            (bytes.data[at + 2] & 0x0c) == (bytes.data[2] & 0x0c) && (bytes.data[at + 2] >> 4) != 15)
            return at;
    return -1;
}

static struct bytes write_mp3(int rate, int channels, int mode, int64_t length)
{
    SF_INFO info = {.samplerate = rate, .channels = channels, .format = SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III};
    SNDFILE *file = sf_open(test_path("a.mp3"), SFM_WRITE, &info);
    assert_non_null(file);
    sf_command(file, SFC_SET_BITRATE_MODE, &mode, sizeof mode);
    float *samples = malloc((size_t)(length * channels) * sizeof *samples);
    for (int64_t i = 0; i < length * channels; i++) /* loud, then soft: a variable rate varies */
        samples[i] = (float)((i < length * channels / 2 ? 0.4 : 0.01) *
                             sin(0.05 * (double)i + 3e-5 * (double)i * (double)(i % 99)));
    assert_int_equal(sf_writef_float(file, samples, length), length);
    sf_close(file);
    free(samples);
    struct bytes bytes;
    assert_ok(file_read(test_path("a.mp3"), 1 << 24, (void **)&bytes.data, &bytes.size));
    return bytes;
}

/* A constant rate, for which libsndfile lets LAME write no length header: 24 kbit/s at 16 kHz are frames of 108 bytes. */
static void mp3_of_constant_rate(void **state)
{
    (void)state;
    struct bytes bytes = write_mp3(16000, 1, SF_BITRATE_MODE_CONSTANT, 80123);
    assert_int_equal(bytes.data[2] >> 4, 3);
    assert_int_equal(bytes.size % 108, 0);
    check_read("a.mp3", bytes, bytes.size / 108 * 576, NULL);
    for (int64_t cut = bytes.size - 1; cut > bytes.size - 300; cut -= 13) {
        struct bytes part = {bytes.data, cut};
        check_read("a.mp3", part, cut / 108 * 576, cut % 108 >= 4 ? "cut off" : NULL);
    }
    memset(bytes.data + 50 * 108, 0, 108);
    check_read("a.mp3", bytes, (bytes.size / 108 - 1) * 576, "108 bytes");
    free(bytes.data);
}

static void mp3_case(int rate, int channels, int mode)
{
    const int64_t length = 5 * rate + 123;
    struct bytes bytes = write_mp3(rate, channels, mode, length);
    int64_t frames = 0, at = find_info(bytes, &frames), spf = rate > 24000 ? 1152 : 576;
    double to_16k = 16000.0 / rate;
    check_read("a.mp3", bytes, llround((double)length * to_16k), NULL); /* what LAME added is cut again */
    struct bytes bare = {bytes.data + second_frame(bytes), bytes.size - second_frame(bytes)};
    int64_t all = llround((double)(frames * spf) * to_16k);
    check_read("a.mp3", bare, all, NULL);
    /* A cover picture with what looks like frames, before and without the length header; tags behind. */
    enum { PICTURE = 70000 };
    unsigned char *tag = calloc(1, PICTURE);
    memcpy(tag, "ID3\x03\0\0\0\4\x22\x66", 10); /* 0x4 << 14 | 0x22 << 7 | 0x66 = 69990 */
    for (int i = 10; i < PICTURE; i++)
        tag[i] = (unsigned char)(i % 417 == 0 ? 0xff : i % 417 == 1 ? 0xfb : i % 417 == 2 ? 0x90 : i * 7);
    struct bytes front = {tag, PICTURE}, covered = join(front, bare.data, bare.size);
    check_read("a.mp3", covered, all, NULL);
    unsigned char behind[128 + 96] = "APETAGEX\xd0\x07\0\0\x40";
    behind[23] = 0xa0; /* a header of 32 bytes, 32 of content, the footer */
    for (int i = 32; i < 64; i++)
        behind[i] = i % 4 == 0 ? 0xff : 0xfb;
    memcpy(behind + 64, behind, 32);
    behind[64 + 23] = 0x80;
    memcpy(behind + 96, "TAG", 3);
    struct bytes tagged = join(covered, behind, sizeof behind);
    check_read("a.mp3", tagged, all, NULL);
    struct bytes with_header = join(front, bytes.data, bytes.size),
                 tagged_too = join(with_header, behind, sizeof behind);
    check_read("a.mp3", tagged_too, llround((double)length * to_16k), NULL);
    /* Cut: with a length header it is known, without one only inside a frame. */
    struct bytes cut = {bytes.data, bytes.size / 2};
    check_refused("a.mp3", cut, "truncated");
    cut = (struct bytes){bare.data, bare.size - 10};
    check_read("a.mp3", cut, llround((double)((frames - 1) * spf) * to_16k), "cut off");
    /* Two files joined: the first one's header speaks of the first alone. */
    struct bytes twice = join(bytes, bytes.data, bytes.size);
    check_read("a.mp3", twice, llround((double)((2 * frames + 1) * spf) * to_16k), "all were read");
    /* A header that was never filled in. */
    unsigned char number[4];
    memcpy(number, bytes.data + at + 8, 4);
    for (int unknown = 0; unknown < 2; unknown++) {
        memset(bytes.data + at + 8, unknown ? 0xff : 0, 4);
        check_read("a.mp3", bytes, all, NULL);
    }
    memcpy(bytes.data + at + 8, number, 4);
    /* A header with a number that is too small. */
    bytes.data[at + 11] = 10;
    bytes.data[at + 10] = 0;
    check_read("a.mp3", bytes, all, "all were read");
    free(covered.data);
    free(tagged.data);
    free(with_header.data);
    free(tagged_too.data);
    free(twice.data);
    free(bytes.data);
    free(tag);
}

static void mp3_is_counted(void **state)
{
    (void)state;
    static const int modes[] = {SF_BITRATE_MODE_AVERAGE, SF_BITRATE_MODE_VARIABLE};
    for (int m = 0; m < 2; m++) {
        mp3_case(16000, 1, modes[m]);
        mp3_case(44100, 2, modes[m]);
        mp3_case(22050, 2, modes[m]);
        mp3_case(11025, 1, modes[m]);
        mp3_case(48000, 1, modes[m]);
    }
    struct bytes nonsense = {(unsigned char *)calloc(1, 50000), 50000};
    memcpy(nonsense.data, "ID3\x03\0\0\0\0\x10\0", 10);
    check_refused("a.mp3", nonsense, "no frame");
    nonsense.data[0] = 0;
    check_refused("a.mp3", nonsense, "no frame");
    free(nonsense.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wav_of_unknown_length),        cmocka_unit_test(other_chunked_formats),
        cmocka_unit_test(flac_of_any_announced_length), cmocka_unit_test(ogg_streams),
        cmocka_unit_test(mp3_of_constant_rate),         cmocka_unit_test(mp3_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
