/* Sound files: every format is written here by libsndfile or spandsp from an analytic sine and must come back as that
 * sine, at 16 kHz, in time. */
#include "support/audio_both.h"
#include "support/files.h"
#include "support/test_support.h"

#include "io/atomic_file.h"
#include "io/audio/audio.h"

#include <glob.h>
#include <math.h>
#include <sndfile.h>
#include <spandsp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* libsndfile 1.2.0 does not free a Vorbis decoder whose headers turned out to be damaged. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:vorbis_info_init\n";
}

static double sine(double frequency, double seconds)
{
    return 0.5 * sin(2 * M_PI * frequency * seconds + 0.3);
}

/* Channel c holds the sine times (c + 1) / channels, so that a wrong channel or weight shows. */
static void write_sine(const char *path, int format, int rate, int channels, int64_t frames, double frequency)
{
    SF_INFO info = {.samplerate = rate, .channels = channels, .format = format};
    SNDFILE *file = sf_open(path, SFM_WRITE, &info);
    if (!file)
        fail_msg("%s: %s", path, sf_strerror(NULL));
    float *data = malloc((size_t)(frames * channels) * sizeof *data);
    for (int64_t i = 0; i < frames; i++)
        for (int c = 0; c < channels; c++)
            data[i * channels + c] = (float)(sine(frequency, (double)i / rate) * (c + 1) / channels);
    assert_int_equal(sf_writef_float(file, data, frames), frames);
    sf_close(file);
    free(data);
}

/* 10 log10 of sine power over error power, without `margin` samples at both ends. */
static double signal_to_noise(const float *samples, int64_t count, double gain, double frequency, int64_t margin)
{
    double signal = 0, noise = 0;
    for (int64_t i = margin; i < count - margin; i++) {
        double expected = gain * sine(frequency, (double)i / AUDIO_RATE);
        signal += expected * expected;
        noise += (samples[i] - expected) * (samples[i] - expected);
    }
    return noise > 0 ? 10 * log10(signal / noise) : 300;
}

static const struct {
    const char *name;
    int format, rate, channels;
    double decibels; /* what the format's own precision allows */
} formats[] = {
    {"a.wav", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 16000, 1, 140},
    {"b.wav", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 44100, 1, 120},
    {"c.wav", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 48000, 2, 120},
    {"d.wav", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 8000, 1, 120},
    {"e.wav", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 22050, 5, 120},
    {"f.wav", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 96000, 3, 120},
    {"g.wav", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 11025, 1, 120},
    {"h.wav", SF_FORMAT_WAV | SF_FORMAT_DOUBLE, 15999, 1, 120},
    {"i.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 24000, 2, 80},
    {"j.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_24, 32000, 1, 115},
    {"k.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_U8, 16000, 1, 35},
    {"l.wav", SF_FORMAT_WAV | SF_FORMAT_ULAW, 8000, 1, 30},
    {"m.wav", SF_FORMAT_WAVEX | SF_FORMAT_PCM_16, 44100, 2, 80},
    {"n.w64", SF_FORMAT_W64 | SF_FORMAT_PCM_16, 16000, 2, 80},
    {"o.aiff", SF_FORMAT_AIFF | SF_FORMAT_PCM_16, 48000, 1, 80},
    {"p.au", SF_FORMAT_AU | SF_FORMAT_PCM_16, 16000, 1, 80},
    {"q.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 44100, 2, 80},
    {"r.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_24, 16000, 1, 115},
    {"s.ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS, 44100, 2, 25},
    {"t.ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS, 16000, 1, 25},
    {"u.opus", SF_FORMAT_OGG | SF_FORMAT_OPUS, 48000, 2, 15},
    {"v.opus", SF_FORMAT_OGG | SF_FORMAT_OPUS, 16000, 1, 15},
    {"w.mp3", SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III, 44100, 2, 25},
    {"x.mp3", SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III, 16000, 1, 20},
};

static void every_format_gives_the_sine_back(void **state)
{
    (void)state;
    const double frequency = 441.7;
    for (size_t f = 0; f < sizeof formats / sizeof *formats; f++) {
        int rate = formats[f].rate, channels = formats[f].channels;
        int64_t frames = rate + 317;
        const char *path = test_path("%s", formats[f].name);
        write_sine(path, formats[f].format, rate, channels, frames, frequency);
        for (int channel = -1; channel < channels; channel++) {
            float *samples;
            int64_t count;
            assert_ok(audio_read_both(path, channel, &samples, &count));
            int64_t expected = llround((double)frames * AUDIO_RATE / rate);
            if (count != expected)
                fail_msg("%s: %lld samples, expected %lld", formats[f].name, (long long)count, (long long)expected);
            double gain = (channel < 0 ? (channels + 1) / 2.0 : channel + 1) / channels;
            double decibels = signal_to_noise(samples, count, gain, frequency, 1000);
            if (channel < 1)
                printf("%-8s %6d Hz %d channels, channel %2d: %.1f dB\n", formats[f].name, rate, channels, channel,
                       decibels);
            if (!(decibels >= formats[f].decibels - 20 * log10(channel < 0 ? 1 : channels)))
                fail_msg("%s channel %d: %.1f dB", formats[f].name, channel, decibels);
            free(samples);
        }
        unlink(path);
    }
}

/* What lies above 8 kHz may not fold back; what lies below 7 kHz keeps its level. */
static void resampling_does_not_alias(void **state)
{
    (void)state;
    const double frequencies[] = {100, 3000, 7000, 9000, 12000, 20000};
    for (size_t f = 0; f < 6; f++) {
        const char *path = test_path("alias.wav");
        write_sine(path, SF_FORMAT_WAV | SF_FORMAT_FLOAT, 48000, 1, 48000, frequencies[f]);
        float *samples;
        int64_t count;
        assert_ok(audio_read_both(path, -1, &samples, &count));
        double power = 0;
        for (int64_t i = 1000; i < count - 1000; i++)
            power += (double)samples[i] * samples[i];
        double level = 10 * log10(power / (double)(count - 2000) / 0.125 + 1e-30);
        printf("a sine of %.0f Hz at 48 kHz comes out at %.1f dB\n", frequencies[f], level);
        if (frequencies[f] < 8000)
            assert_true(fabs(level) < 0.01);
        else
            assert_true(level < -100);
        free(samples);
    }
}

static void every_length_has_its_count(void **state)
{
    (void)state;
    const int64_t lengths[] = {1, 2, 3, 7, 100, 4095, 4096, 4097, 8192, 44101};
    const int rates[] = {8000, 16000, 44100, 48000};
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
        for (size_t r = 0; r < 4; r++) {
            const char *path = test_path("length.wav");
            write_sine(path, SF_FORMAT_WAV | SF_FORMAT_PCM_16, rates[r], 1, lengths[l], 300);
            float *samples;
            int64_t count;
            assert_ok(audio_read_both(path, -1, &samples, &count));
            int64_t expected = llround((double)lengths[l] * AUDIO_RATE / rates[r]);
            assert_int_equal(count, expected > 0 ? expected : 1);
            for (int64_t i = 0; i < count; i++)
                assert_true(fabsf(samples[i]) <= 1);
            free(samples);
        }
}

static void g722_holds_two_samples_a_byte(void **state)
{
    (void)state;
    /* A clip of Debian's: 8512 bytes at 8000 bytes per second, with speech in it. */
    const char *clip = "/usr/share/asterisk/sounds/en_US_f_Allison/activated.g722";
    if (access(clip, R_OK) != 0)
        clip = "/usr/share/asterisk/sounds/en/activated.g722";
    float *samples;
    int64_t count;
    assert_ok(audio_read_both(clip, -1, &samples, &count));
    assert_int_equal(count, 17024);
    double loudest = 0, mean = 0;
    for (int64_t i = 0; i < count; i++) {
        loudest = fmax(loudest, fabs(samples[i]));
        mean += samples[i];
    }
    assert_true(loudest > 0.1 && loudest <= 1 && fabs(mean / (double)count) < 0.01);
    free(samples);

    /* A sine through spandsp's encoder: the codec delays by 22 samples (two 24-tap mirror filters, less one pair). */
    enum { LENGTH = 20001 };
    int16_t *pcm = malloc((LENGTH + 1) * sizeof *pcm);
    uint8_t *coded = malloc(LENGTH);
    for (int i = 0; i <= LENGTH; i++)
        pcm[i] = (int16_t)lrint(32768 * sine(1000, (double)i / AUDIO_RATE));
    g722_encode_state_t *encoder = g722_encode_init(NULL, 64000, 0);
    int bytes = g722_encode(encoder, coded, pcm, LENGTH + 1);
    g722_encode_free(encoder);
    write_plainly(test_path("sine.G722"), coded, bytes);
    assert_ok(audio_read_both(test_path("sine.G722"), -1, &samples, &count));
    assert_int_equal(count, LENGTH + 1);
    double decibels = signal_to_noise(samples + 22, count - 22, 1, 1000, 1000);
    printf("G.722 sine: %.1f dB\n", decibels);
    assert_true(decibels > 30);
    free(samples);
    free(pcm);
    free(coded);
    assert_fails(audio_read_both(test_path("sine.G722"), 1, &samples, &count), STATUS_USAGE, "no channel 1");
}

static void sixteen_bits_survive_the_round_trip(void **state)
{
    (void)state;
    float *written = malloc(65536 * sizeof *written);
    for (int i = 0; i < 65536; i++)
        written[i] = (float)(i - 32768) / 32768.0f;
    assert_ok(wav_write(test_path("all.wav"), written, 65536));
    float *samples;
    int64_t count;
    assert_ok(audio_read_both(test_path("all.wav"), -1, &samples, &count));
    assert_int_equal(count, 65536);
    assert_memory_equal(samples, written, 65536 * sizeof *written);
    free(samples);
    SF_INFO info = {0};
    SNDFILE *file = sf_open(test_path("all.wav"), SFM_READ, &info);
    assert_non_null(file);
    assert_int_equal(info.format, SF_FORMAT_WAV | SF_FORMAT_PCM_16);
    assert_int_equal(info.samplerate, AUDIO_RATE);
    assert_int_equal(info.channels, 1);
    sf_close(file);
    written[0] = 3;
    written[1] = -3;
    assert_ok(wav_write(test_path("all.wav"), written, 2));
    assert_ok(audio_read_both(test_path("all.wav"), -1, &samples, &count));
    assert_true(count == 2 && samples[0] == 32767 / 32768.0f && samples[1] == -1);
    free(samples);
    written[1] = NAN;
    assert_fails(wav_write(test_path("nan.wav"), written, 2), STATUS_INTERNAL, "sample 1");
    assert_int_equal(access(test_path("nan.wav"), F_OK), -1);
    assert_true(wav_write(test_path("no/such/folder.wav"), written, 1) != STATUS_OK);
    free(written);
}

static void check_refused(const char *name, int channel, enum status code, const char *part)
{
    float *samples = (float *)1;
    int64_t count = -1;
    const char *path = test_path("%s", name);
    assert_fails(audio_read_both(path, channel, &samples, &count), code, part);
    assert_non_null(strstr(status_text(), name));
    assert_null(samples);
    assert_int_equal(count, 0);
}

static void bad_files_are_named(void **state)
{
    (void)state;
    check_refused("missing.wav", -1, STATUS_USAGE, "No such file");
    check_refused("missing.g722", -1, STATUS_USAGE, "No such file");
    write_plainly(test_path("empty.wav"), "", 0);
    check_refused("empty.wav", -1, STATUS_CORRUPT, "empty");
    write_plainly(test_path("empty.g722"), "", 0);
    check_refused("empty.g722", -1, STATUS_CORRUPT, "empty");
    write_plainly(test_path("text.wav"), "This is no sound at all.\n", 25);
    check_refused("text.wav", -1, STATUS_CORRUPT, "not a sound file");
    assert_int_equal(mkdir(test_path("folder.wav"), 0777), 0);
    check_refused("folder.wav", -1, STATUS_CORRUPT, "a folder");
    assert_int_equal(mkfifo(test_path("pipe.wav"), 0666), 0);
    check_refused("pipe.wav", -1, STATUS_CORRUPT, "a pipe");
    write_sine(test_path("none.wav"), SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 1, 0, 300);
    check_refused("none.wav", -1, STATUS_CORRUPT, "no samples");
    write_sine(test_path("two.wav"), SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 2, 100, 300);
    check_refused("two.wav", 2, STATUS_USAGE, "no channel 2");
    if (geteuid() != 0) {
        assert_int_equal(chmod(test_path("two.wav"), 0), 0);
        check_refused("two.wav", -1, STATUS_IO, "denied");
    }
}

static void bad_samples_are_named(void **state)
{
    (void)state;
    const float values[] = {NAN, INFINITY, -INFINITY, 3e38f, -1.1e10f}; /* the last two: infinities once resampled */
    for (int i = 0; i < 5; i++) {
        float data[12000] = {0};
        data[9001] = values[i];
        SF_INFO info = {.samplerate = 48000, .channels = 2, .format = SF_FORMAT_WAV | SF_FORMAT_FLOAT};
        SNDFILE *file = sf_open(test_path("nan.wav"), SFM_WRITE, &info);
        assert_int_equal(sf_writef_float(file, data, 6000), 6000);
        sf_close(file);
        check_refused("nan.wav", -1, STATUS_CORRUPT, "sample 4500 of channel 1");
    }
    unlink(test_path("nan.wav"));
    /* A few samples beyond full scale are clipped; more of them, or some far beyond, are no sound of that scale. */
    float loud[10000] = {2.5f, -7, 0.5f};
    static const struct {
        int beyond;
        float value;
        const char *refused;
    } scales[] = {{1000, 2, NULL},   {1001, 2, "10 %"},     {5000, -1.001f, "50 %"},
                  {10, 32767, NULL}, {11, -32768, "32768"}, {9999, 8388607, "floats"},
                  {0, 0, NULL}};
    for (size_t k = 0; k < sizeof scales / sizeof *scales; k++) {
        for (int i = 0; i < 10000; i++)
            loud[i] = i < scales[k].beyond ? scales[k].value : 1;
        SF_INFO info = {.samplerate = 16000, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_FLOAT};
        SNDFILE *file = sf_open(test_path("loud.wav"), SFM_WRITE, &info);
        assert_int_equal(sf_writef_float(file, loud, 10000), 10000);
        sf_close(file);
        if (scales[k].refused) {
            check_refused("loud.wav", -1, STATUS_CORRUPT, scales[k].refused);
            continue;
        }
        float *samples;
        int64_t count;
        char note[AUDIO_NOTE_BYTES];
        assert_ok(audio_read_both_noted(test_path("loud.wav"), -1, &samples, &count, note));
        assert_int_equal(count, 10000);
        for (int i = 0; i < 10000; i++)
            assert_true(samples[i] == (loud[i] > 1 ? 1 : loud[i] < -1 ? -1 : loud[i]));
        assert_true((strstr(note, "clipped") != NULL) == (scales[k].beyond > 0));
        free(samples);
    }
}

/* A header that leads into zeros, as a lost sector leaves them: refused at once rather than read as one empty chunk
 * after another. */
static void endless_headers_are_refused(void **state)
{
    (void)state;
    static const unsigned char wav[] = "RIFF\xff\xff\xff\x7fWAVEjunk\0\0\0", flac[] = "fLaC\0";
    write_plainly(test_path("zeros.wav"), wav, sizeof wav - 1);
    write_plainly(test_path("zeros.flac"), flac, sizeof flac - 1);
    static const char *const names[] = {"zeros.wav", "zeros.flac"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(truncate(test_path("%s", names[i]), 1 << 30), 0); /* takes no room on the disk */
        clock_t begin = clock();
        check_refused(names[i], -1, STATUS_CORRUPT, "more than 4096");
        assert_true(clock() - begin < CLOCKS_PER_SEC);
        unlink(test_path("%s", names[i]));
    }
    /* A block that announces more than the file has. */
    static const unsigned char greedy[] = "fLaC\x04\xff\xff\xff ";
    write_plainly(test_path("greedy.flac"), greedy, sizeof greedy - 1);
    check_refused("greedy.flac", -1, STATUS_CORRUPT, "expected a block of 16777215 bytes, found 1");
}

static void cut_files_are_refused(void **state)
{
    (void)state;
    write_sine(test_path("whole.wav"), SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 1, 8000, 300);
    unsigned char *bytes;
    int64_t size;
    assert_ok(file_read(test_path("whole.wav"), 1 << 20, (void **)&bytes, &size));
    for (int64_t cut = 1; cut < size - 128; cut += cut < 64 ? 1 : 997) {
        write_plainly(test_path("cut.wav"), bytes, cut);
        check_refused("cut.wav", -1, STATUS_CORRUPT, "");
    }
    write_plainly(test_path("cut.wav"), bytes, size - 129);
    check_refused("cut.wav", -1, STATUS_CORRUPT, "truncated");
    /* A program that wrote into a pipe could not know the length: the samples are then the rest of the file. */
    size_t at = 12;
    while (memcmp(bytes + at, "data", 4) != 0)
        at += 8 + bytes[at + 4];
    memset(bytes + at + 4, 0xff, 4);
    memset(bytes + 4, 0xff, 4);
    write_plainly(test_path("stream.wav"), bytes, size);
    float *samples;
    int64_t count;
    assert_ok(audio_read_both(test_path("stream.wav"), -1, &samples, &count));
    assert_int_equal(count, 8000);
    free(samples);
    free(bytes);
    write_sine(test_path("whole.flac"), SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 44100, 1, 44100, 300);
    assert_ok(file_read(test_path("whole.flac"), 1 << 20, (void **)&bytes, &size));
    for (int64_t cut = 1; cut < size; cut += size / 23) {
        write_plainly(test_path("cut.flac"), bytes, cut);
        check_refused("cut.flac", -1, STATUS_CORRUPT, "");
    }
    free(bytes);
}

/* Random damage must end in a status, never in a crash (run this under the sanitizers). */
static void random_damage_is_survived(void **state)
{
    (void)state;
    static const char *const names[] = {"d.wav", "d.flac", "d.ogg", "d.mp3", "d.aiff"};
    const int kinds[] = {SF_FORMAT_WAV | SF_FORMAT_PCM_16, SF_FORMAT_FLAC | SF_FORMAT_PCM_16,
                         SF_FORMAT_OGG | SF_FORMAT_VORBIS, SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III,
                         SF_FORMAT_AIFF | SF_FORMAT_PCM_16};
    struct rng rng = rng_make(test_seed(), RNG_TEST, 11, 0);
    int refused = 0, runs = 0;
    for (int n = 0; n < 5; n++) {
        write_sine(test_path("%s", names[n]), kinds[n], 16000, 2, 3000, 300);
        unsigned char *bytes;
        int64_t size;
        assert_ok(file_read(test_path("%s", names[n]), 1 << 20, (void **)&bytes, &size));
        for (int round = 0; round < 60; round++, runs++) {
            int64_t where = (int64_t)rng_below(&rng, round % 2 ? 64 : (uint64_t)size);
            if (where >= size)
                where = size - 1;
            unsigned char kept = bytes[where];
            bytes[where] = (unsigned char)rng_u64(&rng);
            write_plainly(test_path("%s", names[n]), bytes, size);
            bytes[where] = kept;
            float *samples;
            int64_t count;
            enum status status = audio_read_both(test_path("%s", names[n]), -1, &samples, &count);
            assert_true(status == STATUS_OK || status == STATUS_CORRUPT);
            assert_true((samples != NULL) == (status == STATUS_OK));
            refused += status != STATUS_OK;
            free(samples);
        }
        free(bytes);
    }
    printf("%d of %d damaged files refused, the others gave samples\n", refused, runs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_gives_the_sine_back),
        cmocka_unit_test(resampling_does_not_alias),
        cmocka_unit_test(every_length_has_its_count),
        cmocka_unit_test(g722_holds_two_samples_a_byte),
        cmocka_unit_test(sixteen_bits_survive_the_round_trip),
        cmocka_unit_test(bad_files_are_named),
        cmocka_unit_test(bad_samples_are_named),
        cmocka_unit_test(cut_files_are_refused),
        cmocka_unit_test(endless_headers_are_refused),
        cmocka_unit_test(random_damage_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
