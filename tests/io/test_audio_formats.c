/* Sound files written here byte by byte from the public descriptions of their formats (NIST SPHERE's header, Apple's AIFF,
 * AIFF-C and CAF, Sun's AU, Sony's Wave64, Microsoft's WAVE), by no library. Samples are at 16 kHz, so that nothing is
 * resampled: each number that comes out must be the one that went in, whatever its width, order of bytes or companding; and
 * headers that hold chunks, pads and fields of any length are read as they say. Ogg, Opus and FLAC are compressed and come from
 * their own encoders (libvorbis, libopus, libFLAC through libsndfile) with a granule position or a number of frames of ours. */
#include "support/audio_both.h"
#include "support/files.h"
#include "support/test_support.h"

#include "io/audio/audio.h"

#include <math.h>
#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES = 1003, ROOM = 1 << 16 };

struct writer {
    unsigned char bytes[ROOM];
    int64_t size;
    bool big; /* the most significant byte first */
};

static void put(struct writer *writer, const void *bytes, int64_t size)
{
    assert_true(writer->size + size <= ROOM);
    memcpy(writer->bytes + writer->size, bytes, (size_t)size);
    writer->size += size;
}

static void put_text(struct writer *writer, const char *text)
{
    put(writer, text, (int64_t)strlen(text));
}

static void put_integer(struct writer *writer, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        unsigned char byte = (unsigned char)(value >> (8 * (writer->big ? bytes - 1 - i : i)));
        put(writer, &byte, 1);
    }
}

/* The ten bytes of an extended number, as AIFF has its sample rate. */
static void put_extended(struct writer *writer, uint32_t value)
{
    int exponent = 31 - __builtin_clz(value);
    put_integer(writer, (uint64_t)(16383 + exponent), 2);
    put_integer(writer, (uint64_t)value << (63 - exponent), 8);
}

/* ---- samples ---- */

enum coding { INTEGERS, UNSIGNED, FLOATS, MU_LAW, A_LAW };

struct sample_format {
    enum coding coding;
    int bytes;
};

/* ITU-T G.711 by its own definition, segment and step: the value of a code, as 16 bits. */
static int mu_law_value(int code)
{
    code = ~code & 0xff;
    int value = (((code & 15) << 3) + 132) << (code >> 4 & 7);
    return code & 128 ? 132 - value : value - 132;
}

static int a_law_value(int code)
{
    code ^= 0x55;
    int segment = code >> 4 & 7, value = (code & 15) << 4;
    value = segment == 0 ? value + 8 : (value + 264) << (segment - 1);
    return code & 128 ? value : -value;
}

/* The next sample, put into the file; returns what must be read. */
static double put_sample(struct writer *writer, struct rng *rng, struct sample_format format)
{
    uint64_t bits = rng_below(rng, UINT64_C(1) << (8 * format.bytes < 63 ? 8 * format.bytes : 62));
    int64_t half = INT64_C(1) << (8 * format.bytes - 1);
    if (format.coding == FLOATS) {
        double value =
            (double)bits / (double)(INT64_C(1) << (8 * format.bytes < 63 ? 8 * format.bytes : 62)) * 1.6 - 0.8;
        float single = (float)value;
        uint64_t pattern = 0;
        memcpy(&pattern, format.bytes == 4 ? (void *)&single : (void *)&value, (size_t)format.bytes);
        put_integer(writer, pattern, format.bytes);
        return format.bytes == 4 ? (double)single : value;
    }
    put_integer(writer, bits, format.bytes);
    if (format.coding == MU_LAW || format.coding == A_LAW)
        return (format.coding == MU_LAW ? mu_law_value((int)bits) : a_law_value((int)bits)) / 32768.0;
    if (format.coding == UNSIGNED)
        return (double)((int64_t)bits - half) / (double)half;
    return (double)((int64_t)bits >= half ? (int64_t)bits - 2 * half : (int64_t)bits) / (double)half;
}

/* FRAMES frames of `channels`; expected[] is their mean. */
static void put_frames(struct writer *writer, struct rng *rng, struct sample_format format, int channels,
                       double *expected)
{
    for (int i = 0; i < FRAMES; i++) {
        double sum = 0;
        for (int c = 0; c < channels; c++)
            sum += put_sample(writer, rng, format);
        expected[i] = sum / channels;
    }
}

static void check(const char *name, const struct writer *writer, const double *expected)
{
    float *samples;
    int64_t count;
    char note[AUDIO_NOTE_BYTES];
    write_plainly(test_path("%s", name), writer->bytes, writer->size);
    enum status result = audio_read_both_noted(test_path("%s", name), -1, &samples, &count, note);
    if (result != STATUS_OK)
        fail_msg("%s: %s", name, status_text());
    if (count != FRAMES || note[0])
        fail_msg("%s: %lld samples, \"%s\"", name, (long long)count, note);
    for (int i = 0; i < FRAMES; i++)
        if (!(fabs((double)samples[i] - expected[i]) <= 1e-6))
            fail_msg("%s: sample %d is %.9g, expected %.9g", name, i, (double)samples[i], expected[i]);
    free(samples);
}

static struct writer writer;
static double expected[FRAMES];

static struct rng start(bool big, int which)
{
    writer.size = 0;
    writer.big = big;
    return rng_make(test_seed(), RNG_TEST, (uint64_t)which, 0);
}

/* ---- the formats ---- */

/* 1024 bytes of lines "name -type value", then the samples. */
static void sphere(void **state)
{
    (void)state;
    static const struct {
        const char *coding, *order;
        struct sample_format format;
        int channels;
    } kinds[] = {
        {"pcm", "10", {INTEGERS, 2}, 1}, {"pcm", "01", {INTEGERS, 2}, 1}, {"pcm", "10", {INTEGERS, 2}, 2},
        {"ulaw", "1", {MU_LAW, 1}, 1},   {"ulaw", "1", {MU_LAW, 1}, 2},   {"alaw", "1", {A_LAW, 1}, 1},
    };
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct rng rng = start(strcmp(kinds[k].order, "10") == 0, (int)k);
        char header[1025];
        int size =
            snprintf(header, sizeof header,
                     "NIST_1A\n   1024\ndatabase_id -s5 OURS1\nspeaker_id -s4 ab c\nchannel_count -i %d\n"
                     "sample_count -i %d\nsample_rate -i 16000\nsample_n_bytes -i %d\nsample_byte_format -s%zu %s\n"
                     "sample_sig_bits -i %d\nsample_coding -s%zu %s\nend_head\n",
                     kinds[k].channels, FRAMES, kinds[k].format.bytes, strlen(kinds[k].order), kinds[k].order,
                     8 * kinds[k].format.bytes, strlen(kinds[k].coding), kinds[k].coding);
        memset(header + size, ' ', (size_t)(1024 - size));
        put(&writer, header, 1024);
        put_frames(&writer, &rng, kinds[k].format, kinds[k].channels, expected);
        check("a.sph", &writer, expected);
    }
}

/* Samples in an encoding that is not read (the corpora of the LDC have Shorten's inside) are refused, never read as noise. */
static void compressed_sphere_is_refused(void **state)
{
    (void)state;
    static const char *const codings[] = {"pcm,embedded-shorten-v2.00", "ulaw,embedded-shorten-v2.00",
                                          "pcm,embedded-wavpack-v1.0", "mu-law-of-its-own"};
    for (size_t i = 0; i < sizeof codings / sizeof *codings; i++) {
        struct rng rng = start(true, 50 + (int)i);
        char header[1025];
        float *samples;
        int64_t count;
        int size = snprintf(header, sizeof header,
                            "NIST_1A\n   1024\nchannel_count -i 1\nsample_count -i %d\nsample_rate -i 16000\n"
                            "sample_n_bytes -i 2\nsample_byte_format -s2 10\nsample_sig_bits -i 16\n"
                            "sample_coding -s%zu %s\nend_head\n",
                            FRAMES, strlen(codings[i]), codings[i]);
        memset(header + size, ' ', (size_t)(1024 - size));
        put(&writer, header, 1024);
        put_frames(&writer, &rng, (struct sample_format){INTEGERS, 2}, 1, expected);
        write_plainly(test_path("c.sph"), writer.bytes, writer.size);
        assert_fails(audio_read_both(test_path("c.sph"), -1, &samples, &count), STATUS_CORRUPT, "c.sph");
    }
}

/* FORM with chunks of even length; what is not known is passed over. `compression` NULL: AIFF, else AIFF-C. */
static void put_aiff(const char *compression, struct sample_format format, int channels, struct rng *rng)
{
    put_text(&writer, "FORM");
    put_integer(&writer, 0, 4);
    put_text(&writer, compression ? "AIFC" : "AIFF");
    if (compression) {
        put_text(&writer, "FVER");
        put_integer(&writer, 4, 4);
        put_integer(&writer, 0xA2805140, 4);
    }
    put_text(&writer, "NAME");
    put_integer(&writer, 5, 4);
    put(&writer, "five!\0", 6); /* padded */
    put_text(&writer, "COMM");
    put_integer(&writer, compression ? 24 : 18, 4);
    put_integer(&writer, (uint64_t)channels, 2);
    put_integer(&writer, FRAMES, 4);
    put_integer(&writer, (uint64_t)(8 * (format.coding == MU_LAW || format.coding == A_LAW ? 2 : format.bytes)), 2);
    put_extended(&writer, 16000);
    if (compression) {
        put_text(&writer, compression);
        put(&writer, "\0\0", 2); /* an empty name */
    }
    put_text(&writer, "SSND");
    int64_t bytes = (int64_t)FRAMES * channels * format.bytes;
    put_integer(&writer, (uint64_t)(bytes + 8), 4);
    put_integer(&writer, 0, 8); /* offset, block size */
    bool little = compression && strcmp(compression, "sowt") == 0;
    writer.big = !little;
    put_frames(&writer, rng, format, channels, expected);
    writer.big = true;
    if (bytes % 2)
        put_integer(&writer, 0, 1);
    struct writer size = {.big = true};
    put_integer(&size, (uint64_t)(writer.size - 8), 4);
    memcpy(writer.bytes + 4, size.bytes, 4);
}

static void aiff(void **state)
{
    (void)state;
    static const struct {
        const char *name, *compression;
        struct sample_format format;
        int channels;
    } kinds[] = {
        {"a.aiff", NULL, {INTEGERS, 2}, 1}, {"a.aif", NULL, {INTEGERS, 1}, 1},    {"b.aiff", NULL, {INTEGERS, 3}, 2},
        {"c.aiff", NULL, {INTEGERS, 4}, 1}, {"a.aifc", "NONE", {INTEGERS, 2}, 2}, {"b.aifc", "sowt", {INTEGERS, 2}, 1},
        {"c.aifc", "fl32", {FLOATS, 4}, 1}, {"d.aifc", "fl64", {FLOATS, 8}, 1},   {"e.aifc", "ulaw", {MU_LAW, 1}, 1},
        {"f.aifc", "alaw", {A_LAW, 1}, 2},  {"g.AIFF", "NONE", {INTEGERS, 3}, 1},
    };
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct rng rng = start(true, 100 + (int)k);
        put_aiff(kinds[k].compression, kinds[k].format, kinds[k].channels, &rng);
        check(kinds[k].name, &writer, expected);
    }
}

/* ".snd", where the samples begin, their bytes, their encoding, the rate, the channels, and a comment of any length. */
static void au(void **state)
{
    (void)state;
    static const struct {
        int encoding;
        struct sample_format format;
        int channels, comment;
    } kinds[] = {
        {1, {MU_LAW, 1}, 1, 4},     {2, {INTEGERS, 1}, 1, 0}, {3, {INTEGERS, 2}, 2, 24}, {4, {INTEGERS, 3}, 1, 4},
        {5, {INTEGERS, 4}, 1, 100}, {6, {FLOATS, 4}, 2, 8},   {7, {FLOATS, 8}, 1, 8},    {27, {A_LAW, 1}, 1, 4},
    };
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct rng rng = start(true, 200 + (int)k);
        put_text(&writer, ".snd");
        put_integer(&writer, (uint64_t)(24 + kinds[k].comment), 4);
        put_integer(&writer, (uint64_t)(FRAMES * kinds[k].channels * kinds[k].format.bytes), 4);
        put_integer(&writer, (uint64_t)kinds[k].encoding, 4);
        put_integer(&writer, 16000, 4);
        put_integer(&writer, (uint64_t)kinds[k].channels, 4);
        for (int i = 0; i < kinds[k].comment; i++)
            put_integer(&writer, (uint64_t)('a' + i % 26), 1);
        put_frames(&writer, &rng, kinds[k].format, kinds[k].channels, expected);
        check("a.au", &writer, expected);
    }
}

static const unsigned char GUID_TAIL[12] = {0xF3, 0xAC, 0xD3, 0x11, 0x8C, 0xD1, 0x00, 0xC0, 0x4F, 0x8E, 0xDB, 0x8A};

/* A chunk of Wave64: a name of 16 bytes that begins with four letters, and its length with this head. */
static void put_w64_chunk(const char *letters, int64_t size)
{
    put_text(&writer, letters);
    put(&writer, GUID_TAIL, 12);
    put_integer(&writer, (uint64_t)(size + 24), 8);
}

static void put_wave_format(struct sample_format format, int channels)
{
    int tag = format.coding == FLOATS ? 3 : format.coding == MU_LAW ? 7 : format.coding == A_LAW ? 6 : 1;
    put_integer(&writer, (uint64_t)tag, 2);
    put_integer(&writer, (uint64_t)channels, 2);
    put_integer(&writer, 16000, 4);
    put_integer(&writer, (uint64_t)(16000 * channels * format.bytes), 4);
    put_integer(&writer, (uint64_t)(channels * format.bytes), 2);
    put_integer(&writer, (uint64_t)(8 * format.bytes), 2);
}

static const struct wave_kind {
    struct sample_format format;
    int channels;
} wave_kinds[] = {
    {{INTEGERS, 2}, 1}, {{UNSIGNED, 1}, 1}, {{INTEGERS, 3}, 2}, {{INTEGERS, 4}, 1},
    {{FLOATS, 4}, 2},   {{FLOATS, 8}, 1},   {{MU_LAW, 1}, 1},   {{A_LAW, 1}, 1},
};

static void wave64(void **state)
{
    (void)state;
    static const unsigned char riff[16] = {'r',  'i',  'f',  'f',  0x2E, 0x91, 0xCF, 0x11,
                                           0xA5, 0xD6, 0x28, 0xDB, 0x04, 0xC1, 0x00, 0x00};
    for (size_t k = 0; k < sizeof wave_kinds / sizeof *wave_kinds; k++) {
        struct rng rng = start(false, 300 + (int)k);
        int64_t bytes = (int64_t)FRAMES * wave_kinds[k].channels * wave_kinds[k].format.bytes;
        put(&writer, riff, 16);
        put_integer(&writer, (uint64_t)(40 + 40 + 24 + bytes), 8);
        put_text(&writer, "wave");
        put(&writer, GUID_TAIL, 12);
        put_w64_chunk("fmt ", 16);
        put_wave_format(wave_kinds[k].format, wave_kinds[k].channels);
        put_w64_chunk("data", bytes);
        put_frames(&writer, &rng, wave_kinds[k].format, wave_kinds[k].channels, expected);
        check("a.w64", &writer, expected);
    }
}

static void wave(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof wave_kinds / sizeof *wave_kinds; k++) {
        struct rng rng = start(false, 400 + (int)k);
        int64_t bytes = (int64_t)FRAMES * wave_kinds[k].channels * wave_kinds[k].format.bytes;
        put_text(&writer, "RIFF");
        put_integer(&writer, (uint64_t)(4 + 24 + 14 + 8 + bytes + bytes % 2), 4);
        put_text(&writer, "WAVEfmt ");
        put_integer(&writer, 16, 4);
        put_wave_format(wave_kinds[k].format, wave_kinds[k].channels);
        put(&writer, "odd \5\0\0\0five!\0", 14); /* a chunk that nobody knows, padded */
        put_text(&writer, "data");
        put_integer(&writer, (uint64_t)bytes, 4);
        put_frames(&writer, &rng, wave_kinds[k].format, wave_kinds[k].channels, expected);
        if (bytes % 2)
            put_integer(&writer, 0, 1);
        check("a.wav", &writer, expected);
    }
}

/* Core Audio's: everything of the head with the most significant byte first, the samples as a flag says. */
static void caf(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        int flags; /* 1: floats, 2: the least significant byte first */
        struct sample_format format;
        int channels;
    } kinds[] = {
        {"lpcm", 0, {INTEGERS, 2}, 1}, {"lpcm", 2, {INTEGERS, 2}, 2}, {"lpcm", 2, {INTEGERS, 3}, 1},
        {"lpcm", 0, {INTEGERS, 4}, 1}, {"lpcm", 3, {FLOATS, 4}, 1},   {"lpcm", 1, {FLOATS, 8}, 2},
        {"ulaw", 0, {MU_LAW, 1}, 1},   {"alaw", 0, {A_LAW, 1}, 1},
    };
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct rng rng = start(true, 500 + (int)k);
        double rate = 16000;
        uint64_t pattern;
        memcpy(&pattern, &rate, 8);
        put_text(&writer, "caff");
        put_integer(&writer, 1, 2);
        put_integer(&writer, 0, 2);
        put_text(&writer, "desc");
        put_integer(&writer, 32, 8);
        put_integer(&writer, pattern, 8);
        put_text(&writer, kinds[k].id);
        put_integer(&writer, (uint64_t)kinds[k].flags, 4);
        put_integer(&writer, (uint64_t)(kinds[k].channels * kinds[k].format.bytes), 4);
        put_integer(&writer, 1, 4);
        put_integer(&writer, (uint64_t)kinds[k].channels, 4);
        put_integer(&writer, (uint64_t)(8 * kinds[k].format.bytes), 4);
        put_text(&writer, "free");
        put_integer(&writer, 7, 8);
        put(&writer, "\0\0\0\0\0\0\0", 7);
        put_text(&writer, "data");
        put_integer(&writer, (uint64_t)(4 + FRAMES * kinds[k].channels * kinds[k].format.bytes), 8);
        put_integer(&writer, 0, 4); /* how often it was edited */
        writer.big = !(kinds[k].flags & 2);
        put_frames(&writer, &rng, kinds[k].format, kinds[k].channels, expected);
        check("a.caf", &writer, expected);
    }
}

/* Lossless, and lossy ones against the sine that was encoded. */
static void compressed(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int format, bits;
        double error; /* root of the mean square, of a sine of 0.5 */
    } kinds[] = {
        {"a.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 16, 2e-5},
        {"b.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_24, 24, 2e-7},
        {"a.ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS, 0, 0.02},
        {"a.opus", SF_FORMAT_OGG | SF_FORMAT_OPUS, 0, 0.05},
    };
    enum { SECOND = 16000 };
    static float sine[SECOND];
    for (int i = 0; i < SECOND; i++)
        sine[i] = (float)(0.5 * sin(2 * 3.14159265358979 * 440 * i / SECOND));
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        SF_INFO info = {.samplerate = 16000, .channels = 1, .format = kinds[k].format};
        SNDFILE *file = sf_open(test_path("%s", kinds[k].name), SFM_WRITE, &info);
        assert_non_null(file);
        assert_int_equal(sf_write_float(file, sine, SECOND), SECOND);
        sf_close(file);
        float *samples;
        int64_t count;
        double square = 0;
        assert_ok(audio_read_both(test_path("%s", kinds[k].name), -1, &samples, &count));
        assert_int_equal(count, SECOND);
        for (int i = 0; i < SECOND; i++)
            square += pow((double)samples[i] - (double)sine[i], 2);
        if (!(sqrt(square / SECOND) <= kinds[k].error))
            fail_msg("%s: the error is %g", kinds[k].name, sqrt(square / SECOND));
        free(samples);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sphere), cmocka_unit_test(compressed_sphere_is_refused),
        cmocka_unit_test(aiff),   cmocka_unit_test(au),
        cmocka_unit_test(wave64), cmocka_unit_test(wave),
        cmocka_unit_test(caf),    cmocka_unit_test(compressed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
