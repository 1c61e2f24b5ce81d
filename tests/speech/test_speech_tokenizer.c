/* The speech tokenizer against plain recomputation from what its folder holds, on real recordings
 * (pocketsphinx-testdata), and its guarantees about counts and independence. */
#include "io/json.h"
#include "io/safetensors.h"
#include "package/speech_folder.h"
#include "speech/embedded/fit.h"
#include "speech/embedded/log_mel.h"
#include "speech/f0/f0.h"

#include "support/speech_clips.h"
#include "support/test_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLIPS = SPEECH_CLIPS, UNITS = 40, CODES = 64, BANDS = 80, FEATURES = 20, VALUES = 7 };

static struct speech_clip clips[CLIPS];
static char folder[700];
static struct speech *speech;

static int set_up(void **state)
{
    (void)state;
    const struct speech_fit_options options = {
        .units = UNITS, .pitch_codes = CODES, .style_codes = 100, .iterations = 10, .seed = 5};
    speech_clips_load(clips);
    speech_clips_fit(clips, 0, CLIPS, &options, 0, "tokenizer", folder);
    assert_ok(speech_folder_open(folder, &speech));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    speech_clips_free(clips);
    speech_free(speech);
    return 0;
}

/* ---- what the folder holds ---- */

struct contents {
    struct safetensors *file;
    json_t *root;
    double silence_level, switch_cost;
};

static void contents_open(struct contents *contents)
{
    char path[800];
    snprintf(path, sizeof path, "%s/tokenizer.safetensors", folder);
    assert_ok(safetensors_open(path, &contents->file));
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    assert_ok(jdoc_read(path, &contents->root));
    assert_ok(jdoc_get_number(path, contents->root, "silence_level", &contents->silence_level));
    assert_ok(jdoc_get_number(path, contents->root, "switch_cost", &contents->switch_cost));
}

static void contents_close(struct contents *contents)
{
    safetensors_close(contents->file);
    json_decref(contents->root);
}

static const float *tensor(const struct contents *contents, const char *name, int64_t elements)
{
    const struct tensor_info *info = safetensors_find(contents->file, name);
    assert_non_null(info);
    assert_int_equal(info->bytes, elements * 4);
    return safetensors_data(contents->file, info);
}

/* ---- plain recomputation, in double ---- */

/* a [units][BANDS] */
static double *plain_averages(const float *samples, int64_t count)
{
    int64_t units = count / 640;
    struct log_mel *mel;
    float *spectra = malloc((size_t)(count / 160) * BANDS * sizeof *spectra);
    double *averages = calloc((size_t)units * BANDS, sizeof *averages);
    assert_ok(log_mel_create(BANDS, &mel));
    assert_ok(log_mel_compute(mel, samples, count, spectra));
    for (int64_t t = 0; t < units * 4; t++)
        for (int b = 0; b < BANDS; b++)
            averages[t / 4 * BANDS + b] += (double)spectra[t * BANDS + b] / 4;
    log_mel_free(mel);
    free(spectra);
    return averages;
}

/* Takes the recording's colour out, in place. */
static void plain_neutral(const struct contents *contents, double *averages, int64_t units)
{
    const float *speech_mean = tensor(contents, "unit.speech_mean", BANDS);
    double *level = calloc((size_t)units, sizeof *level), highest = -INFINITY, offset[BANDS] = {0}, frames = 0;
    for (int64_t i = 0; i < units; i++) {
        for (int b = 0; b < BANDS; b++)
            level[i] += averages[i * BANDS + b] / BANDS;
        highest = fmax(highest, level[i]);
    }
    for (int64_t i = 0; i < units; i++)
        if (level[i] > highest - 6 && level[i] > contents->silence_level) {
            frames++;
            for (int b = 0; b < BANDS; b++)
                offset[b] += averages[i * BANDS + b] - (double)speech_mean[b];
        }
    for (int64_t i = 0; i < units; i++)
        for (int b = 0; b < BANDS; b++)
            averages[i * BANDS + b] -= offset[b] / (frames + 50);
    free(level);
}

/* Squared distances [units][UNITS] of the features of neutral spectra to the centroids. */
static double *plain_distances(const struct contents *contents, const double *neutral, int64_t units)
{
    const float *mean = tensor(contents, "unit.mean", BANDS), *deviation = tensor(contents, "unit.deviation", BANDS);
    const float *centroids = tensor(contents, "unit.centroids", UNITS * FEATURES);
    double *distances = calloc((size_t)units * UNITS, sizeof *distances);
    for (int64_t i = 0; i < units; i++)
        for (int q = 0; q < FEATURES; q++) {
            double sum = 0;
            for (int b = 0; b < BANDS; b++)
                sum += (neutral[i * BANDS + b] - (double)mean[b]) / (double)deviation[b] *
                       cos(3.14159265358979323846 * q * (2 * b + 1) / (2 * BANDS));
            sum *= q == 0 ? sqrt(1.0 / BANDS) : sqrt(2.0 / BANDS);
            for (int u = 0; u < UNITS; u++)
                distances[i * UNITS + u] += pow(sum - (double)centroids[u * FEATURES + q], 2);
        }
    return distances;
}

static double path_cost(const double *distances, const uint16_t *path, int64_t units, double switch_cost)
{
    double cost = 0;
    for (int64_t i = 0; i < units; i++)
        cost += distances[i * UNITS + path[i]] + (i > 0 && path[i] != path[i - 1] ? switch_cost : 0);
    return cost;
}

/* The least cost of any path, trying every pair of neighbours. */
static double least_cost(const double *distances, int64_t units, double switch_cost)
{
    double cost[UNITS], next[UNITS];
    for (int u = 0; u < UNITS; u++)
        cost[u] = distances[u];
    for (int64_t i = 1; i < units; i++) {
        for (int u = 0; u < UNITS; u++) {
            next[u] = INFINITY;
            for (int v = 0; v < UNITS; v++)
                next[u] = fmin(next[u], cost[v] + (u != v ? switch_cost : 0));
            next[u] += distances[i * UNITS + u];
        }
        memcpy(cost, next, sizeof cost);
    }
    double least = cost[0];
    for (int u = 1; u < UNITS; u++)
        least = fmin(least, cost[u]);
    return least;
}

static void test_units(void **state)
{
    (void)state;
    struct contents contents;
    contents_open(&contents);
    assert_true(contents.switch_cost > 0);
    double spectra[UNITS][BANDS] = {{0}};
    int64_t frames[UNITS] = {0}, runs[UNITS] = {0}, changes = 0, total = 0;
    for (int c = 0; c < CLIPS; c++) {
        struct units units;
        assert_ok(speech_encode(speech, clips[c].samples, clips[c].count, NULL, STREAMS_ALL, &units));
        int64_t n = units.count[STREAM_HUBERT];
        const uint16_t *path = units.values[STREAM_HUBERT];
        double *neutral = plain_averages(clips[c].samples, clips[c].count);
        plain_neutral(&contents, neutral, n);
        double *distances = plain_distances(&contents, neutral, n);
        double taken = path_cost(distances, path, n, contents.switch_cost);
        double least = least_cost(distances, n, contents.switch_cost);
        if (!(taken <= least * (1 + 1e-5)))
            fail_msg("clip %d: the units cost %.9g, the best path %.9g", c, taken, least);
        for (int64_t i = 0; i < n; i++) {
            assert_true(path[i] < UNITS);
            bool new_run = i == 0 || path[i] != path[i - 1];
            frames[path[i]]++;
            runs[path[i]] += new_run;
            changes += new_run;
            total++;
            for (int b = 0; b < BANDS; b++)
                spectra[path[i]][b] += neutral[i * BANDS + b];
        }
        free(neutral);
        free(distances);
        units_free(&units);
    }
    printf("%lld frames of 40 ms, %.2f units per second after deduplication\n", (long long)total,
           25.0 * (double)changes / (double)total);
    const float *stored = tensor(&contents, "vocoder.spectra", UNITS * BANDS);
    const float *lengths = tensor(&contents, "vocoder.run_lengths", UNITS);
    for (int u = 0; u < UNITS; u++) {
        if (!frames[u])
            continue;
        assert_true(fabs((double)lengths[u] - (double)frames[u] / (double)runs[u]) <= 1e-5 * (double)lengths[u]);
        for (int b = 0; b < BANDS; b++)
            if (!(fabs((double)stored[u * BANDS + b] - spectra[u][b] / (double)frames[u]) <= 1e-4))
                fail_msg("spectrum of unit %d, band %d", u, b);
    }
    contents_close(&contents);
}

/* ---- pitch ---- */

/* Mean of ln F0 over the voiced frames of a track; false without any. */
static bool plain_voiced_mean(const struct f0_track *track, double *sum, int64_t *frames)
{
    for (int64_t t = 0; t < track->count; t++)
        if (track->voiced[t] && track->interpolated[t] > 0) {
            *sum += log((double)track->interpolated[t]);
            (*frames)++;
        }
    return *frames > 0;
}

/* The mean that tokenizer.json has for the speaker; NAN: none. */
static double stored_mean(const struct contents *contents, const char *speaker)
{
    size_t index;
    const json_t *entry;
    json_array_foreach(json_object_get(contents->root, "speakers"), index,
                       entry) if (strcmp(json_string_value(json_object_get(entry, "name")), speaker) ==
                                  0) return json_real_value(json_object_get(entry, "mean_log_f0"));
    return (double)NAN;
}

/* speaker: NULL or an unknown one for the clip's own mean. */
static void check_pitch(const struct contents *contents, const struct speech_clip *clip, const char *speaker)
{
    const float *codebook = tensor(contents, "pitch.codebook", CODES);
    struct f0_track track;
    struct units units;
    assert_ok(f0_extract(clip->samples, clip->count, &track));
    assert_ok(speech_encode(speech, clip->samples, clip->count, speaker, STREAMS_ALL, &units));
    double mean = 0;
    int64_t frames = 0;
    bool voiced = plain_voiced_mean(&track, &mean, &frames);
    double speaker_mean = speaker ? stored_mean(contents, speaker) : (double)NAN;
    mean = isnan(speaker_mean) ? mean / (double)frames : speaker_mean;
    assert_int_equal(units.count[STREAM_PITCH], clip->count / 1280);
    for (int64_t i = 0; i < units.count[STREAM_PITCH]; i++) {
        double value = 0, least = INFINITY;
        for (int t = 0; voiced && t < 16; t++)
            value += (log((double)track.interpolated[i * 16 + t]) - mean) / 16;
        for (int code = 0; code < CODES; code++)
            least = fmin(least, fabs(value - (double)codebook[code]));
        double taken = fabs(value - (double)codebook[units.values[STREAM_PITCH][i]]);
        if (!(taken <= least + 1e-5))
            fail_msg("pitch %lld: value %.7g, code %d is %.3g away, the nearest %.3g", (long long)i, value,
                     units.values[STREAM_PITCH][i], taken, least);
    }
    units_free(&units);
    f0_track_free(&track);
}

static void test_pitch(void **state)
{
    (void)state;
    struct contents contents;
    contents_open(&contents);
    const float *codebook = tensor(&contents, "pitch.codebook", CODES);
    for (int code = 1; code < CODES; code++)
        assert_true(codebook[code] >= codebook[code - 1]);
    for (int speaker = 0; speaker < 2; speaker++) {
        double sum = 0;
        int64_t frames = 0;
        for (int c = speaker ? 5 : 0; c < (speaker ? 9 : 5); c++) {
            struct f0_track track;
            assert_ok(f0_extract(clips[c].samples, clips[c].count, &track));
            plain_voiced_mean(&track, &sum, &frames);
            f0_track_free(&track);
        }
        const char *const names[] = {"cards", "reader"};
        double mean = stored_mean(&contents, names[speaker]);
        if (!(fabs(mean - sum / (double)frames) <= 1e-9))
            fail_msg("speaker %d: mean %.9g, expected %.9g", speaker, mean, sum / (double)frames);
        assert_true(speech_knows_speaker(speech, names[speaker]));
        check_pitch(&contents, &clips[speaker ? 5 : 1], names[speaker]);
        check_pitch(&contents, &clips[speaker ? 5 : 1], names[1 - speaker]); /* a different mean, different codes */
        check_pitch(&contents, &clips[speaker ? 5 : 1], NULL);
        check_pitch(&contents, &clips[speaker ? 5 : 1], "nobody");
    }
    /* check_pitch tells means apart that differ by more than its tolerance. */
    assert_true(fabs(stored_mean(&contents, "cards") - stored_mean(&contents, "reader")) > 0.01);
    assert_false(speech_knows_speaker(speech, "nobody"));
    assert_false(speech_knows_speaker(speech, ""));
    assert_false(speech_knows_speaker(speech, NULL));
    contents_close(&contents);
}

/* ---- style ---- */

static void mean_and_deviation(const double *values, int64_t count, double *mean, double *deviation)
{
    *mean = *deviation = 0;
    for (int64_t i = 0; i < count; i++)
        *mean += values[i] / (double)count;
    for (int64_t i = 0; i < count; i++)
        *deviation += pow(values[i] - *mean, 2) / (double)count;
    *deviation = sqrt(*deviation);
}

/* The seven values of second s, units first..end - 1. */
static void plain_style(const float *samples, const double *averages, const struct f0_track *track,
                        const uint16_t *units, int64_t first, int64_t end, double values[VALUES])
{
    double pitch[200], energy[100], spectrum[BANDS] = {0};
    int64_t pitches = 0, voiced = 0, changes = 0, n = end - first;
    for (int64_t t = first * 8; t < end * 8; t++) {
        voiced += track->voiced[t];
        if (track->voiced[t] && track->interpolated[t] > 0)
            pitch[pitches++] = log((double)track->interpolated[t]);
    }
    for (int64_t t = 0; t < 4 * n; t++) {
        energy[t] = 0;
        for (int i = 0; i < 160; i++)
            energy[t] += pow((double)samples[first * 640 + t * 160 + i], 2) / 160;
        energy[t] = log(energy[t] + 1e-8);
    }
    for (int64_t i = first; i < end; i++) {
        changes += i > first && units[i] != units[i - 1];
        for (int b = 0; b < BANDS; b++)
            spectrum[b] += averages[i * BANDS + b] / (double)n;
    }
    double sx = 0, sy = 0, sxx = 0, sxy = 0;
    for (int b = 0; b < BANDS; b++) {
        sx += b;
        sy += spectrum[b];
        sxx += (double)b * b;
        sxy += b * spectrum[b];
    }
    values[0] = values[1] = (double)NAN;
    if (pitches)
        mean_and_deviation(pitch, pitches, &values[0], &values[1]);
    values[2] = (double)voiced / (double)(8 * n);
    mean_and_deviation(energy, 4 * n, &values[3], &values[4]);
    values[5] = BANDS * (BANDS * sxy - sx * sy) / (BANDS * sxx - sx * sx);
    values[6] = 25.0 * (double)changes / (double)n;
}

static void test_style(void **state)
{
    (void)state;
    struct contents contents;
    contents_open(&contents);
    int64_t seconds = 0;
    for (int c = 0; c < CLIPS; c++)
        seconds += (clips[c].count / 640 + 24) / 25;
    int64_t styles = speech->encoder[STREAM_STYLE].size;
    printf("%lld styles for %lld seconds\n", (long long)styles, (long long)seconds);
    assert_int_equal(styles, seconds / 20);
    const float *mean = tensor(&contents, "style.mean", VALUES);
    const float *deviation = tensor(&contents, "style.deviation", VALUES);
    const float *centroids = tensor(&contents, "style.centroids", styles * VALUES);
    double sums[VALUES] = {0}, squares[VALUES] = {0};
    int64_t present[VALUES] = {0};
    for (int c = 0; c < CLIPS; c++) {
        struct units units;
        struct f0_track track;
        assert_ok(speech_encode(speech, clips[c].samples, clips[c].count, NULL, STREAMS_ALL, &units));
        assert_ok(f0_extract(clips[c].samples, clips[c].count, &track));
        double *averages = plain_averages(clips[c].samples, clips[c].count), values[VALUES];
        int64_t n = units.count[STREAM_HUBERT];
        assert_int_equal(units.count[STREAM_STYLE], (n + 24) / 25);
        for (int64_t s = 0; s < units.count[STREAM_STYLE]; s++) {
            plain_style(clips[c].samples, averages, &track, units.values[STREAM_HUBERT], s * 25,
                        s * 25 + 25 < n ? s * 25 + 25 : n, values);
            double least = INFINITY, taken = INFINITY;
            for (int64_t k = 0; k < styles; k++) {
                double distance = 0;
                for (int v = 0; v < VALUES; v++) {
                    double z = isnan(values[v]) ? 0 : (values[v] - (double)mean[v]) / (double)deviation[v];
                    distance += pow(z - (double)centroids[k * VALUES + v], 2);
                }
                least = fmin(least, distance);
                taken = k == units.values[STREAM_STYLE][s] ? distance : taken;
            }
            if (!(taken <= least * (1 + 1e-3) + 1e-4))
                fail_msg("clip %d, second %lld: the style is %.6g away, the nearest %.6g", c, (long long)s, taken,
                         least);
            for (int v = 0; v < VALUES; v++)
                if (!isnan(values[v])) {
                    sums[v] += values[v];
                    squares[v] += values[v] * values[v];
                    present[v]++;
                }
        }
        free(averages);
        f0_track_free(&track);
        units_free(&units);
    }
    for (int v = 0; v < VALUES; v++) {
        double expected = sums[v] / (double)present[v];
        double spread = sqrt(squares[v] / (double)present[v] - expected * expected);
        if (!(fabs((double)mean[v] - expected) <= 1e-4 && fabs((double)deviation[v] - spread) <= 1e-4))
            fail_msg("value %d: mean %.7g and deviation %.7g, expected %.7g and %.7g", v, (double)mean[v],
                     (double)deviation[v], expected, spread);
    }
    contents_close(&contents);
}

/* ---- counts, independence ---- */

static void test_counts(void **state)
{
    (void)state;
    const int64_t counts[] = {0, 1, 639, 1279, 1280, 1919, 1920, 2559, 2560, 15999, 16000, 16001, 16639, 16640, 33333};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        int64_t n = counts[i];
        struct units units;
        assert_ok(speech_encode(speech, clips[5].samples, n, NULL, STREAMS_ALL, &units));
        int64_t hubert = n < 1280 ? 0 : n / 640;
        assert_int_equal(units.count[STREAM_HUBERT], hubert);
        assert_int_equal(units.count[STREAM_PITCH], n < 1280 ? 0 : n / 1280);
        assert_int_equal(units.count[STREAM_STYLE], (hubert + 24) / 25);
        units_free(&units);
    }
    const struct unit_rates rates = speech_rates(speech);
    assert_true(rates.rate[STREAM_HUBERT].numerator == 25 && rates.rate[STREAM_HUBERT].denominator == 1);
    assert_true(rates.rate[STREAM_PITCH].numerator == 25 && rates.rate[STREAM_PITCH].denominator == 2);
    assert_true(rates.rate[STREAM_STYLE].numerator == 1 && rates.rate[STREAM_STYLE].denominator == 1);
    assert_int_equal(speech->encoder[STREAM_HUBERT].size, UNITS);
    assert_int_equal(speech->encoder[STREAM_PITCH].size, CODES);
}

/* The encoders share what they measure, in whatever order they need it: none is affected by which others run. */
static void test_streams(void **state)
{
    (void)state;
    struct units all;
    assert_ok(speech_encode(speech, clips[6].samples, clips[6].count, "reader", STREAMS_ALL, &all));
    for (unsigned streams = 0; streams <= STREAMS_ALL; streams++) {
        struct units some;
        assert_ok(speech_encode(speech, clips[6].samples, clips[6].count, "reader", streams, &some));
        for (int stream = 0; stream < STREAM_COUNT; stream++) {
            int64_t count = streams & 1u << stream ? all.count[stream] : 0;
            assert_int_equal(some.count[stream], count);
            assert_true(count > 0 || !some.values[stream]);
            if (count > 0)
                assert_memory_equal(some.values[stream], all.values[stream], (size_t)count * sizeof(uint16_t));
        }
        units_free(&some);
    }
    units_free(&all);
}

/* Chunks of 100 s do not see each other, and a remainder too short for one belongs to the chunk before it. */
static void test_chunks(void **state)
{
    (void)state;
    enum { CHUNK = 1600000, REST = 20000 };
    float *samples = calloc(CHUNK + REST, sizeof *samples);
    memcpy(samples + 3000, clips[0].samples, (size_t)clips[0].count * sizeof *samples);
    memcpy(samples + CHUNK, clips[5].samples, REST * sizeof *samples);
    struct units whole, first, rest, merged;
    assert_ok(speech_encode(speech, samples, CHUNK + REST, NULL, STREAMS_ALL, &whole));
    assert_ok(speech_encode(speech, samples, CHUNK, NULL, STREAMS_ALL, &first));
    assert_ok(speech_encode(speech, samples + CHUNK, REST, NULL, STREAMS_ALL, &rest));
    assert_ok(speech_encode(speech, samples, CHUNK + 1279, NULL, STREAMS_ALL, &merged));
    for (int stream = 0; stream < STREAM_COUNT; stream++) {
        size_t size = sizeof(uint16_t);
        assert_int_equal(whole.count[stream], first.count[stream] + rest.count[stream]);
        assert_memory_equal(whole.values[stream], first.values[stream], (size_t)first.count[stream] * size);
        assert_memory_equal(whole.values[stream] + first.count[stream], rest.values[stream],
                            (size_t)rest.count[stream] * size);
    }
    assert_int_equal(merged.count[STREAM_HUBERT], 2501);
    assert_int_equal(merged.count[STREAM_PITCH], 1250);
    assert_int_equal(merged.count[STREAM_STYLE], 101);
    units_free(&whole);
    units_free(&first);
    units_free(&rest);
    units_free(&merged);
    free(samples);
}

struct encode_job {
    struct units units[3 * CLIPS];
    enum status results[3 * CLIPS];
};

static void encode_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    struct encode_job *job = argument;
    const struct speech_clip *clip = &clips[task % CLIPS];
    job->results[task] = speech_encode(speech, clip->samples, clip->count < 40000 ? clip->count : 40000, NULL,
                                       STREAMS_ALL, &job->units[task]);
}

/* The units of an utterance do not depend on what is encoded before or beside it. */
static void test_independence(void **state)
{
    (void)state;
    static struct encode_job job;
    struct thread_pool *pool;
    assert_ok(thread_pool_create(3, &pool));
    thread_pool_run(pool, 3 * CLIPS, encode_task, &job);
    thread_pool_destroy(pool);
    for (int i = 0; i < 3 * CLIPS; i++) {
        assert_int_equal(job.results[i], STATUS_OK);
        for (int stream = 0; stream < STREAM_COUNT; stream++) {
            assert_int_equal(job.units[i].count[stream], job.units[i % CLIPS].count[stream]);
            assert_memory_equal(job.units[i].values[stream], job.units[i % CLIPS].values[stream],
                                (size_t)job.units[i].count[stream] * sizeof(uint16_t));
        }
    }
    for (int i = 0; i < 3 * CLIPS; i++)
        units_free(&job.units[i]);
}

static void test_silence(void **state)
{
    (void)state;
    enum { COUNT = 48000 };
    float *samples = calloc(COUNT, sizeof *samples);
    struct units units;
    assert_ok(speech_encode(speech, samples, COUNT, NULL, STREAMS_ALL, &units));
    for (int64_t i = 1; i < units.count[STREAM_HUBERT]; i++)
        assert_int_equal(units.values[STREAM_HUBERT][i], units.values[STREAM_HUBERT][0]);
    struct contents contents;
    contents_open(&contents);
    const float *codebook = tensor(&contents, "pitch.codebook", CODES);
    int zero = 0;
    for (int code = 1; code < CODES; code++)
        if (fabsf(codebook[code]) < fabsf(codebook[zero]))
            zero = code;
    for (int64_t i = 0; i < units.count[STREAM_PITCH]; i++)
        assert_int_equal(units.values[STREAM_PITCH][i], zero);
    contents_close(&contents);
    units_free(&units);
    samples[777] = NAN;
    assert_fails(speech_encode(speech, samples, COUNT, NULL, STREAMS_ALL, &units), STATUS_CORRUPT,
                 "sample 777 of 48000 is not a finite number");
    assert_true(units.count[STREAM_HUBERT] == 0 && !units.values[STREAM_HUBERT]);
    free(samples);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_units),        cmocka_unit_test(test_pitch),
                                       cmocka_unit_test(test_style),        cmocka_unit_test(test_counts),
                                       cmocka_unit_test(test_streams),      cmocka_unit_test(test_chunks),
                                       cmocka_unit_test(test_independence), cmocka_unit_test(test_silence)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
