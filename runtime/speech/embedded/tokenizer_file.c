/* The tokenizer's folder and its identity. One table lists the tensors, and writing, reading and fingerprints all go
 * through it, so that nothing can be stored without being part of the identity. A fingerprint covers what a component
 * computes (tensors, numbers, the algorithm's version), not the bytes of a file, which may be written in other ways. */
#include "speech/embedded/embedded.h"

#include "core/path.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "speech/embedded/griffin_lim.h"
#include "speech/embedded/tokenizer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the tensors: one table for fingerprints, writing and reading ---- */

enum component { UNIT, PITCH, STYLE, VOCODER, COMPONENTS };
static const char *const component_names[COMPONENTS] = {"hubert", "pitch", "style", "vocoder"};

/* The version of what each component computes from its tensors and numbers: raise it when the algorithm changes. */
static const char *const algorithms[COMPONENTS] = {
    "log-mel 1024/160/80, mean of 4, neutral 6/50, DCT 20, least path: 1",
    "pYAAPT, 80 ms means of ln F0 less speaker's or chunk's voiced mean, nearest: 1",
    "7 statistics of 1 s, nearest: 1",
    "non-negative inverse 60, transition 0.5, Griffin-Lim 1024/256 momentum 0.99, sections 500+10: 1",
};

struct tensor {
    const char *name;
    enum component component;
    int rank;
    int64_t shape[2];
    float **data;
};

enum { TENSORS = 10 };

/* unit means and deviations are arrays inside the struct: `inside` holds pointers to them for the table's sake. */
static void list_tensors(struct embedded_tokenizer *tokenizer, float *inside[5], struct tensor tensors[TENSORS])
{
    struct unit_quantizer *units = &tokenizer->units;
    struct style_quantizer *styles = &tokenizer->styles;
    inside[0] = units->mean;
    inside[1] = units->deviation;
    inside[2] = units->speech_mean;
    inside[3] = styles->mean;
    inside[4] = styles->deviation;
    const struct tensor list[TENSORS] = {
        {"unit.mean", UNIT, 1, {UNIT_BANDS, 1}, &inside[0]},
        {"unit.deviation", UNIT, 1, {UNIT_BANDS, 1}, &inside[1]},
        {"unit.speech_mean", UNIT, 1, {UNIT_BANDS, 1}, &inside[2]},
        {"unit.centroids", UNIT, 2, {units->units, UNIT_FEATURES}, &units->centroids},
        {"pitch.codebook", PITCH, 1, {tokenizer->pitch_codes, 1}, &tokenizer->codebook},
        {"style.mean", STYLE, 1, {STYLE_VALUES, 1}, &inside[3]},
        {"style.deviation", STYLE, 1, {STYLE_VALUES, 1}, &inside[4]},
        {"style.centroids", STYLE, 2, {styles->styles, STYLE_VALUES}, &styles->centroids},
        {"vocoder.spectra", VOCODER, 2, {units->units, UNIT_BANDS}, &units->spectra},
        {"vocoder.run_lengths", VOCODER, 1, {units->units, 1}, &units->run_lengths},
    };
    memcpy(tensors, list, sizeof list);
}

/* ---- fingerprints ---- */

/* Strings are hashed with their terminator and numbers in 8 bytes each, so that no two lists give the same bytes. */
static void add_text(struct sha256_stream *stream, const char *text)
{
    sha256_add(stream, text, strlen(text) + 1);
}

static void add_integer(struct sha256_stream *stream, const char *name, int64_t value)
{
    add_text(stream, name);
    sha256_add(stream, &value, sizeof value);
}

static void add_number(struct sha256_stream *stream, const char *name, double value)
{
    add_text(stream, name);
    sha256_add(stream, &value, sizeof value);
}

static struct sha256_stream *begin_component(struct embedded_tokenizer *tokenizer, enum component component)
{
    struct sha256_stream *stream = sha256_start();
    add_text(stream, component_names[component]);
    add_text(stream, algorithms[component]);
    if (component != VOCODER) {
        add_integer(stream, "rate.numerator", tokenizer->rates.rate[component].numerator);
        add_integer(stream, "rate.denominator", tokenizer->rates.rate[component].denominator);
    }
    float *inside[5];
    struct tensor tensors[TENSORS];
    list_tensors(tokenizer, inside, tensors);
    for (int t = 0; t < TENSORS; t++) {
        if (tensors[t].component != component)
            continue;
        add_text(stream, tensors[t].name);
        add_text(stream, dtype_name(DTYPE_F32));
        int64_t cells = 1;
        for (int d = 0; d < tensors[t].rank; d++) {
            add_integer(stream, "dimension", tensors[t].shape[d]);
            cells *= tensors[t].shape[d];
        }
        sha256_add(stream, *tensors[t].data, (size_t)cells * sizeof(float));
    }
    return stream;
}

void embedded_tokenizer_seal(struct embedded_tokenizer *tokenizer)
{
    struct sha256_stream *stream = begin_component(tokenizer, UNIT);
    add_number(stream, "silence_level", tokenizer->units.silence_level);
    add_number(stream, "switch_cost", tokenizer->units.switch_cost);
    struct sha256 unit = sha256_finish(stream);
    tokenizer->fingerprints[STREAM_HUBERT] = unit;

    stream = begin_component(tokenizer, PITCH);
    for (int64_t s = 0; s < tokenizer->speaker_count; s++)
        add_number(stream, tokenizer->speakers[s].name, tokenizer->speakers[s].mean);
    tokenizer->fingerprints[STREAM_PITCH] = sha256_finish(stream);

    /* Styles count unit changes, and the vocoder speaks units. */
    stream = begin_component(tokenizer, STYLE);
    sha256_add(stream, unit.bytes, sizeof unit.bytes);
    tokenizer->fingerprints[STREAM_STYLE] = sha256_finish(stream);

    stream = begin_component(tokenizer, VOCODER);
    sha256_add(stream, unit.bytes, sizeof unit.bytes);
    add_integer(stream, "iterations", tokenizer->vocoder_iterations);
    add_integer(stream, "seed", (int64_t)tokenizer->vocoder_seed);
    tokenizer->vocoder_fingerprint = sha256_finish(stream);
}

static const struct sha256 *fingerprint_of(const struct embedded_tokenizer *tokenizer, enum component component)
{
    return component == VOCODER ? &tokenizer->vocoder_fingerprint : &tokenizer->fingerprints[component];
}

/* ---- writing ---- */

static json_t *describe_speakers(const struct embedded_tokenizer *tokenizer)
{
    json_t *speakers = json_array();
    for (int64_t s = 0; speakers && s < tokenizer->speaker_count; s++) {
        const struct speaker *speaker = &tokenizer->speakers[s];
        json_t *mean = isnan(speaker->mean) ? json_null() : json_real(speaker->mean);
        json_t *entry = json_pack("{s:s, s:o}", "name", speaker->name, "mean_log_f0", mean);
        if (!entry || json_array_append_new(speakers, entry) != 0) {
            json_decref(speakers);
            return NULL;
        }
    }
    return speakers;
}

static json_t *describe_fingerprints(const struct embedded_tokenizer *tokenizer)
{
    json_t *fingerprints = json_object();
    for (int c = 0; fingerprints && c < COMPONENTS; c++)
        if (json_object_set_new(fingerprints, component_names[c],
                                jdoc_hash(fingerprint_of(tokenizer, (enum component)c))) != 0) {
            json_decref(fingerprints);
            return NULL;
        }
    return fingerprints;
}

static json_t *describe_rates(const struct unit_rates *rates)
{
    json_t *object = json_object();
    for (int stream = 0; object && stream < STREAM_COUNT; stream++)
        if (json_object_set_new(object, component_names[stream],
                                json_pack("[I, I]", (json_int_t)rates->rate[stream].numerator,
                                          (json_int_t)rates->rate[stream].denominator)) != 0) {
            json_decref(object);
            return NULL;
        }
    return object;
}

/* tokenizer.json; NULL when out of memory or when a speaker's name is not UTF-8. */
static json_t *describe(const struct embedded_tokenizer *tokenizer)
{
    const struct fit_record *record = &tokenizer->record;
    return json_pack(
        "{s:s, s:i, s:s, s:i, s:{s:i, s:i, s:i}, s:I, s:I, s:I, s:f, s:f, s:{s:i, s:i, s:I}, s:{s:I, s:I, s:I, s:I}, "
        "s:o, s:o, s:o}",
        "format", SPEECH_FORMAT, "version", SPEECH_FORMAT_VERSION, "kind", EMBEDDED_KIND, "sample_rate", 16000, "mel",
        "bands", UNIT_BANDS, "hop", LOG_MEL_HOP, "window", LOG_MEL_WINDOW, "units", (json_int_t)tokenizer->units.units,
        "pitch_codes", (json_int_t)tokenizer->pitch_codes, "style_codes", (json_int_t)tokenizer->styles.styles,
        "silence_level", tokenizer->units.silence_level, "switch_cost", tokenizer->units.switch_cost, "vocoder",
        "iterations", tokenizer->vocoder_iterations, "hop", GRIFFIN_LIM_HOP, "seed",
        (json_int_t)tokenizer->vocoder_seed, "fit", "seed", (json_int_t)record->seed, "passes",
        (json_int_t)record->passes, "utterances", (json_int_t)record->utterances, "samples",
        (json_int_t)record->samples, "rates", describe_rates(&tokenizer->rates), "fingerprints",
        describe_fingerprints(tokenizer), "speakers", describe_speakers(tokenizer));
}

static enum status write_tensors(const struct embedded_tokenizer *tokenizer, struct atomic_directory *directory)
{
    struct tensor_info infos[TENSORS];
    const void *data[TENSORS];
    float *inside[5];
    struct tensor tensors[TENSORS];
    struct output_file *file = NULL;
    struct embedded_tokenizer copy = *tokenizer; /* the table needs a tokenizer that it could fill */
    list_tensors(&copy, inside, tensors);
    for (int t = 0; t < TENSORS; t++) {
        infos[t] = (struct tensor_info){.name = tensors[t].name, .type = DTYPE_F32, .rank = tensors[t].rank};
        memcpy(infos[t].shape, tensors[t].shape, sizeof tensors[t].shape);
        infos[t].bytes = tensor_bytes(DTYPE_F32, tensors[t].rank, tensors[t].shape);
        data[t] = *tensors[t].data;
    }
    enum status result = atomic_directory_create(directory, "tokenizer.safetensors", 0, &file);
    if (result != STATUS_OK)
        return result;
    result = safetensors_write(file, infos, data, TENSORS, NULL, 0);
    if (result == STATUS_OK)
        return output_close(file);
    output_abandon(file);
    return result;
}

enum status embedded_tokenizer_save(const struct embedded_tokenizer *tokenizer, const char *path, bool replace)
{
    enum status result = STATUS_OK;
    struct atomic_directory *directory = NULL;
    char *text = NULL;
    json_t *root = describe(tokenizer);
    if (!root)
        FAIL(STATUS_USAGE, "%s: a speaker's name is not UTF-8, or there is no memory for tokenizer.json", path);
    if (!(text = jdoc_text(root, 2)))
        FAIL(STATUS_INTERNAL, "%s: no memory for tokenizer.json", path);
    TRY(atomic_directory_begin(path, replace, &directory));
    TRY(write_tensors(tokenizer, directory));
    TRY(atomic_directory_add(directory, "tokenizer.json", text, (int64_t)strlen(text)));
    result = atomic_directory_commit(directory);
    directory = NULL;
fail:
    if (directory)
        atomic_directory_abandon(directory);
    free(text);
    json_decref(root);
    return result;
}

/* ---- reading ---- */

static enum status read_numbers(const char *where, const json_t *root, struct embedded_tokenizer *tokenizer)
{
    enum status result = STATUS_OK;
    int64_t iterations, seed;
    TRY(jdoc_get_int(where, root, "units", 2, 65535, &tokenizer->units.units));
    TRY(jdoc_get_int(where, root, "pitch_codes", 1, 65535, &tokenizer->pitch_codes));
    TRY(jdoc_get_int(where, root, "style_codes", 1, 65535, &tokenizer->styles.styles));
    TRY(jdoc_get_number(where, root, "silence_level", &tokenizer->units.silence_level));
    TRY(jdoc_get_number(where, root, "switch_cost", &tokenizer->units.switch_cost));
    if (!(tokenizer->units.switch_cost >= 0))
        FAIL(STATUS_CORRUPT, "%s: switch_cost is %g, expected at least 0", where, tokenizer->units.switch_cost);
    const json_t *vocoder = json_object_get(root, "vocoder");
    TRY(jdoc_get_int(where, vocoder, "iterations", 0, 10000, &iterations));
    TRY(jdoc_get_int(where, vocoder, "seed", INT64_MIN, INT64_MAX, &seed));
    tokenizer->vocoder_iterations = (int)iterations;
    tokenizer->vocoder_seed = (uint64_t)seed;
fail:
    return result;
}

static enum status read_rates(const char *where, const json_t *root, const struct unit_rates *expected)
{
    for (int stream = 0; stream < STREAM_COUNT; stream++) {
        const json_t *rate = json_object_get(json_object_get(root, "rates"), component_names[stream]);
        const struct rational *wanted = &expected->rate[stream];
        if (json_integer_value(json_array_get(rate, 0)) != wanted->numerator ||
            json_integer_value(json_array_get(rate, 1)) != wanted->denominator)
            return status_set(STATUS_CORRUPT, "%s: the rate of %s should be %lld / %lld", where,
                              component_names[stream], (long long)wanted->numerator, (long long)wanted->denominator);
    }
    return STATUS_OK;
}

static enum status read_speakers(const char *where, const json_t *root, struct embedded_tokenizer *tokenizer)
{
    const json_t *list = json_object_get(root, "speakers");
    if (!json_is_array(list))
        return status_set(STATUS_CORRUPT, "%s: \"speakers\" should be a list", where);
    size_t count = json_array_size(list);
    if (!(tokenizer->speakers = calloc(count + 1, sizeof *tokenizer->speakers)))
        return status_set(STATUS_INTERNAL, "%s: no memory for %zu speakers", where, count);
    for (size_t s = 0; s < count; s++) {
        const json_t *entry = json_array_get(list, s);
        struct speaker *speaker = &tokenizer->speakers[s];
        const char *name;
        enum status result = jdoc_get_string(where, entry, "name", &name);
        if (result != STATUS_OK)
            return result;
        speaker->mean = (double)NAN;
        if (jdoc_has(entry, "mean_log_f0") &&
            (result = jdoc_get_number(where, entry, "mean_log_f0", &speaker->mean)) != STATUS_OK)
            return result;
        if (s > 0 && strcmp(speaker[-1].name, name) >= 0)
            return status_set(STATUS_CORRUPT, "%s: speaker \"%s\" is out of order", where, name);
        if (!(speaker->name = strdup(name)))
            return status_set(STATUS_INTERNAL, "%s: no memory for a speaker's name", where);
        tokenizer->speaker_count = (int64_t)s + 1;
    }
    return STATUS_OK;
}

static enum status read_tensor(const char *where, const struct safetensors *file, const struct tensor *tensor)
{
    const struct tensor_info *info = safetensors_find(file, tensor->name);
    if (!info)
        return status_set(STATUS_CORRUPT, "%s: tensor %s is missing", where, tensor->name);
    bool same = info->type == DTYPE_F32 && info->rank == tensor->rank;
    for (int d = 0; same && d < tensor->rank; d++)
        same = info->shape[d] == tensor->shape[d];
    if (!same && tensor->rank == 1)
        return status_set(STATUS_CORRUPT, "%s: tensor %s should be f32 [%lld]", where, tensor->name,
                          (long long)tensor->shape[0]);
    if (!same)
        return status_set(STATUS_CORRUPT, "%s: tensor %s should be f32 [%lld, %lld]", where, tensor->name,
                          (long long)tensor->shape[0], (long long)tensor->shape[1]);
    if (!*tensor->data && !(*tensor->data = malloc((size_t)info->bytes)))
        return status_set(STATUS_INTERNAL, "%s: no memory for tensor %s", where, tensor->name);
    memcpy(*tensor->data, safetensors_data(file, info), (size_t)info->bytes);
    for (int64_t i = 0; i < info->bytes / (int64_t)sizeof(float); i++)
        if (!isfinite((*tensor->data)[i]))
            return status_set(STATUS_CORRUPT, "%s: tensor %s holds a value that is not finite", where, tensor->name);
    return STATUS_OK;
}

static enum status read_tensors(const char *where, struct embedded_tokenizer *tokenizer)
{
    enum status result = STATUS_OK;
    struct safetensors *file = NULL;
    float *inside[5];
    struct tensor tensors[TENSORS];
    TRY(safetensors_open(where, &file));
    list_tensors(tokenizer, inside, tensors);
    for (int t = 0; t < TENSORS; t++)
        TRY(read_tensor(where, file, &tensors[t]));
    for (int b = 0; b < UNIT_BANDS; b++)
        if (!(tokenizer->units.deviation[b] > 0))
            FAIL(STATUS_CORRUPT, "%s: unit.deviation of band %d is not positive", where, b);
    for (int v = 0; v < STYLE_VALUES; v++)
        if (!(tokenizer->styles.deviation[v] > 0))
            FAIL(STATUS_CORRUPT, "%s: style.deviation of value %d is not positive", where, v);
    for (int64_t c = 1; c < tokenizer->pitch_codes; c++)
        if (tokenizer->codebook[c] < tokenizer->codebook[c - 1])
            FAIL(STATUS_CORRUPT, "%s: pitch.codebook is not in ascending order at %lld", where, (long long)c);
fail:
    safetensors_close(file);
    return result;
}

/* The contents must have the fingerprints that the folder claims for them: this program's algorithms made them. */
static enum status check_fingerprints(const char *where, const json_t *root, const struct embedded_tokenizer *tokenizer)
{
    for (int c = 0; c < COMPONENTS; c++) {
        const char *claimed;
        char found[65];
        enum status result =
            jdoc_get_string(where, json_object_get(root, "fingerprints"), component_names[c], &claimed);
        if (result != STATUS_OK)
            return result;
        sha256_hex(fingerprint_of(tokenizer, (enum component)c), found);
        if (strcmp(claimed, found) != 0)
            return status_set(STATUS_CORRUPT, "%s: the fingerprint of %s is given as %s, but its contents have %s",
                              where, component_names[c], claimed, found);
    }
    return STATUS_OK;
}

static enum status prepare_vocoder(struct embedded_tokenizer *tokenizer)
{
    int64_t units = tokenizer->units.units;
    tokenizer->log_magnitudes = malloc((size_t)units * LOG_MEL_BINS * sizeof *tokenizer->log_magnitudes);
    if (!tokenizer->log_magnitudes)
        return status_set(STATUS_INTERNAL, "no memory for the spectra of %lld units", (long long)units);
    for (int64_t u = 0; u < units; u++) {
        float *magnitudes = tokenizer->log_magnitudes + u * LOG_MEL_BINS;
        mel_to_magnitudes(tokenizer->mel, tokenizer->units.spectra + u * UNIT_BANDS, magnitudes);
        for (int k = 0; k < LOG_MEL_BINS; k++)
            magnitudes[k] = logf(fmaxf(magnitudes[k], 1e-8f));
    }
    return STATUS_OK;
}

enum status embedded_tokenizer_read(const char *folder, const json_t *description, struct embedded_tokenizer **out)
{
    enum status result = STATUS_OK;
    struct embedded_tokenizer *tokenizer = NULL;
    char where[PATH_BYTES], tensors[PATH_BYTES];
    *out = NULL;
    TRY(path_format(where, "%s/tokenizer.json", folder));
    TRY(path_format(tensors, "%s/tokenizer.safetensors", folder));
    TRY(embedded_tokenizer_create(&tokenizer));
    TRY(read_numbers(where, description, tokenizer));
    TRY(read_rates(where, description, &tokenizer->rates));
    TRY(read_speakers(where, description, tokenizer));
    TRY(read_tensors(tensors, tokenizer));
    embedded_tokenizer_seal(tokenizer);
    TRY(check_fingerprints(where, description, tokenizer));
    TRY(prepare_vocoder(tokenizer));
    *out = tokenizer;
    tokenizer = NULL;
fail:
    embedded_tokenizer_release(tokenizer);
    return result;
}
