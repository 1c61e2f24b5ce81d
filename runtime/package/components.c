/* Fingerprints are computed from the parts themselves; those that a file claims are only compared with them (for units
 * that were made elsewhere, the claim is all there is). The bytes of the parts' files are kept as they were loaded, so
 * that every checkpoint of a run holds what the run began with, even if the files have changed since. */
#include "package/components.h"

#include "core/path.h"
#include "io/json.h"
#include "package/released_speech.h"
#include "package/speech_folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT_VERSION = 1 };

const char *component_name(enum component component)
{
    static const char *const names[COMPONENT_COUNT] = {"text", "hubert", "pitch", "style", "vocabulary", "vocoder"};
    return names[component];
}

static bool is_zero(const struct sha256 *hash)
{
    static const struct sha256 zero;
    return memcmp(hash, &zero, sizeof zero) == 0;
}

enum status components_match(enum component component, const struct sha256 *a, const char *a_source,
                             const struct sha256 *b, const char *b_source)
{
    if (is_zero(a) || is_zero(b) || memcmp(a, b, sizeof *a) == 0)
        return STATUS_OK;
    char a_text[65], b_text[65];
    sha256_hex(a, a_text);
    sha256_hex(b, b_text);
    return status_set(
        STATUS_USAGE,
        "the %s tokenizers differ: %.16s in %s, %.16s in %s; prepare the data again or use the tokenizer that made it",
        component_name(component), a_text, a_source, b_text, b_source);
}

/* Units that are made elsewhere: the options say what they are. */
static void take_ready_units(struct components *components, const struct components_options *options,
                             int32_t codes[STREAM_COUNT])
{
    memcpy(codes, options->codes, sizeof options->codes);
    components->rates = options->rates;
    for (int s = 0; s < STREAM_COUNT; s++)
        if (s == STREAM_HUBERT || options->expressive)
            components->fingerprints[COMPONENT_HUBERT + s] = options->units[s];
}

/* components->speech is open. */
static enum status take_speech(struct components *components, const struct components_options *options,
                               int32_t codes[STREAM_COUNT])
{
    const struct speech *speech = components->speech;
    components->rates = speech_rates(speech);
    for (int s = 0; s < STREAM_COUNT; s++) {
        const struct speech_encoder *encoder = &speech->encoder[s];
        codes[s] = encoder->size;
        if (s != STREAM_HUBERT && !options->expressive)
            continue;
        if (!encoder->encode)
            return status_set(STATUS_USAGE, "%s has no encoder of %s units, which the model needs",
                              components->speech_folder ? components->speech_folder : "the speech tokenizer",
                              unit_stream_name((enum unit_stream)s));
        components->fingerprints[COMPONENT_HUBERT + s] = encoder->fingerprint;
    }
    components->fingerprints[COMPONENT_VOCODER] = speech->vocoder.fingerprint;
    return speech_check(speech);
}

static enum status load_speech(struct components *components, const struct components_options *options,
                               int32_t codes[STREAM_COUNT])
{
    enum status result = STATUS_OK;
    bool folder = options->speech_folder && *options->speech_folder;
    if (folder && !(components->speech_folder = strdup(options->speech_folder)))
        FAIL(STATUS_INTERNAL, "no memory for a path");
    if (folder && !components->speech)
        TRY(speech_folder_open(options->speech_folder, &components->speech));
    if (components->speech)
        return take_speech(components, options, codes);
    take_ready_units(components, options, codes);
fail:
    return result;
}

static enum status make_vocabulary(const struct components_options *options, struct components *components,
                                   const int32_t codes[STREAM_COUNT])
{
    enum status result = STATUS_OK;
    const struct text_model *text = components->text;
    int32_t bos = options->bos.given ? options->bos.id : text_model_bos(text);
    int32_t eos = options->eos.given ? options->eos.id : text_model_eos(text);
    TRY(vocabulary_create(text_model_size(text), bos, eos, text_model_unk(text), codes[STREAM_HUBERT],
                          options->expressive ? codes[STREAM_PITCH] : 0, options->expressive ? codes[STREAM_STYLE] : 0,
                          options->task_tags, &components->vocabulary));
    components->vocabulary.dummy_prefix = options->dummy_prefix;
    components->vocabulary.span_space = options->span_space;
    TRY(text_model_check_tags(text, &components->vocabulary));
fail:
    return result;
}

enum status components_load(const struct components_options *options, struct components **out)
{
    enum status result = STATUS_OK;
    *out = NULL;
    struct components *components = calloc(1, sizeof *components);
    if (!components) {
        speech_free(options->speech);
        return status_set(STATUS_INTERNAL, "no memory for the tokenizers");
    }
    components->speech = options->speech;
    int32_t codes[STREAM_COUNT];
    TRY(text_model_load(options->text_model, &components->text));
    TRY(load_speech(components, options, codes));
    TRY(make_vocabulary(options, components, codes));
    components->fingerprints[COMPONENT_TEXT] = text_model_fingerprint(components->text);
    components->fingerprints[COMPONENT_VOCABULARY] = vocabulary_fingerprint(&components->vocabulary);
    *out = components;
    return STATUS_OK;
fail:
    components_free(components);
    return result;
}

static enum status make_text_vocabulary(struct components *components)
{
    const struct text_model *text = components->text;
    for (int s = 0; s < STREAM_COUNT; s++)
        components->rates.rate[s] = (struct rational){1, 1};
    return vocabulary_create_text(text_model_size(text), text_model_adds_bos(text) ? text_model_bos(text) : -1,
                                  text_model_eos(text), text_model_unk(text), &components->vocabulary);
}

enum status components_load_distributed(const char *path, struct components **out)
{
    enum status result = STATUS_OK;
    struct components *components = calloc(1, sizeof *components);
    bool released = false;
    *out = NULL;
    if (!components)
        return status_set(STATUS_INTERNAL, "no memory for a text model");
    TRY(text_model_load(path, &components->text));
    const struct text_model *text = components->text;
    TRY(text_model_read_vocabulary(text, &released, &components->vocabulary));
    if (released) {
        TRY(released_speech_open(path, &components->vocabulary, &components->speech));
        components->rates = speech_rates(components->speech);
    } else {
        TRY(make_text_vocabulary(components));
    }
    components->fingerprints[COMPONENT_TEXT] = text_model_fingerprint(text);
    components->fingerprints[COMPONENT_VOCABULARY] = vocabulary_fingerprint(&components->vocabulary);
    *out = components;
    return STATUS_OK;
fail:
    components_free(components);
    return result;
}

void components_free(struct components *components)
{
    if (!components)
        return;
    text_model_free(components->text);
    speech_free(components->speech);
    free(components->speech_folder);
    free(components);
}

/* ---- spiritlm.json ---- */

json_t *components_fingerprints_json(const struct components *components)
{
    json_t *fingerprints = json_object();
    for (int c = 0; fingerprints && c < COMPONENT_COUNT; c++) {
        const struct sha256 *hash = &components->fingerprints[c];
        if (json_object_set_new(fingerprints, component_name((enum component)c),
                                is_zero(hash) ? json_null() : jdoc_hash(hash)) != 0) {
            json_decref(fingerprints);
            return NULL;
        }
    }
    return fingerprints;
}

/* The release's speech tokenizer has no files that could be kept. */
static bool stores_speech(const struct components *components)
{
    return components->speech && components->speech->file_count > 0;
}

static enum status describe(const struct components *components, char **text)
{
    const struct vocabulary *vocabulary = &components->vocabulary;
    json_t *rates = json_object(), *sizes = json_object();
    int lost = 0;
    const int32_t codes[STREAM_COUNT] = {vocabulary->hubert_count, vocabulary->pitch_count, vocabulary->style_count};
    for (int s = 0; s < STREAM_COUNT; s++) {
        const struct rational *rate = &components->rates.rate[s];
        lost |= json_object_set_new(rates, unit_stream_name((enum unit_stream)s),
                                    json_pack("[I, I]", (json_int_t)rate->numerator, (json_int_t)rate->denominator));
        lost |= json_object_set_new(sizes, unit_stream_name((enum unit_stream)s), json_integer(codes[s]));
    }
    json_t *root =
        json_pack("{s:i, s:b, s:b, s:s, s:b, s:i, s:i, s:o, s:o, s:o, s:b}", "format", (int)FORMAT_VERSION,
                  "expressive", vocabulary->pitch_count > 0, "task_tags", vocabulary->asr_tag >= 0, "dummy_prefix",
                  dummy_prefix_name(vocabulary->dummy_prefix), "span_space", vocabulary->span_space, "bos",
                  (int)vocabulary->bos, "eos", (int)vocabulary->eos, "codes", sizes, "rates", rates, "fingerprints",
                  components_fingerprints_json(components), "speech_tokenizer", stores_speech(components));
    *text = root && !lost ? jdoc_text(root, 2) : NULL;
    json_decref(root);
    return *text ? STATUS_OK : status_set(STATUS_INTERNAL, "no memory for spiritlm.json");
}

enum status components_write(const struct components *components, struct atomic_directory *directory)
{
    enum status result = STATUS_OK;
    char *text = NULL;
    TRY(text_model_write(components->text, &components->vocabulary, directory));
    for (int64_t f = 0; components->speech && f < components->speech->file_count; f++) {
        const struct speech_file *file = &components->speech->files[f];
        char name[PATH_BYTES];
        TRY(path_format(name, "speech_tokenizer/%s", file->name));
        TRY(atomic_directory_add(directory, name, file->data, file->size));
    }
    TRY(describe(components, &text));
    TRY(atomic_directory_add(directory, "spiritlm.json", text, (int64_t)strlen(text)));
fail:
    free(text);
    return result;
}

/* Checkpoints of before the key was there are of the kind "span". */
static enum status read_dummy_prefix(const char *where, const json_t *root, enum dummy_prefix *prefix)
{
    enum status result = STATUS_OK;
    const char *name;
    *prefix = DUMMY_PREFIX_SPAN;
    if (!json_object_get(root, "dummy_prefix"))
        return STATUS_OK;
    TRY(jdoc_get_string(where, root, "dummy_prefix", &name));
    if (strcmp(name, dummy_prefix_name(DUMMY_PREFIX_DOCUMENT)) == 0)
        *prefix = DUMMY_PREFIX_DOCUMENT;
    else if (strcmp(name, dummy_prefix_name(DUMMY_PREFIX_SPAN)) != 0)
        FAIL(STATUS_CORRUPT, "%s: \"dummy_prefix\" is \"%s\", expected \"span\" or \"document\"", where, name);
fail:
    return result;
}

/* Checkpoints of before these keys were there have what their text model names. */
static enum status read_special(const char *where, const json_t *root, const char *key, struct special_id *special)
{
    int64_t id = -1;
    special->given = json_object_get(root, key);
    enum status result = special->given ? jdoc_get_int(where, root, key, -1, INT32_MAX, &id) : STATUS_OK;
    special->id = (int32_t)id;
    return result;
}

static enum status read_options(const char *where, const json_t *root, struct components_options *options, bool *speech)
{
    enum status result = STATUS_OK;
    int64_t version = 0;
    TRY(jdoc_get_int(where, root, "format", FORMAT_VERSION, FORMAT_VERSION, &version));
    TRY(jdoc_get_bool(where, root, "expressive", &options->expressive));
    TRY(jdoc_get_bool(where, root, "task_tags", &options->task_tags));
    TRY(jdoc_get_bool(where, root, "speech_tokenizer", speech));
    TRY(read_dummy_prefix(where, root, &options->dummy_prefix));
    if (json_object_get(root, "span_space"))
        TRY(jdoc_get_bool(where, root, "span_space", &options->span_space));
    TRY(read_special(where, root, "bos", &options->bos));
    TRY(read_special(where, root, "eos", &options->eos));
    for (int s = 0; s < STREAM_COUNT; s++) {
        const json_t *rate = json_object_get(json_object_get(root, "rates"), unit_stream_name((enum unit_stream)s));
        const json_t *upper = json_array_get(rate, 0), *lower = json_array_get(rate, 1);
        int64_t codes = 0;
        TRY(jdoc_get_int(where, json_object_get(root, "codes"), unit_stream_name((enum unit_stream)s), 0, 65536,
                         &codes));
        options->codes[s] = (int32_t)codes;
        if (!json_is_integer(upper) || !json_is_integer(lower) || json_integer_value(upper) < 0 ||
            json_integer_value(upper) > 1 << 20 || json_integer_value(lower) < 1 || json_integer_value(lower) > 1 << 20)
            FAIL(STATUS_CORRUPT, "%s: the rate of \"%s\" should be two positive integers", where,
                 unit_stream_name((enum unit_stream)s));
        options->rates.rate[s] = (struct rational){json_integer_value(upper), json_integer_value(lower)};
    }
fail:
    return result;
}

/* null means that the component is absent, which is all zeros. */
static enum status parse_fingerprint(const char *where, const json_t *root, enum component component,
                                     struct sha256 *hash)
{
    const json_t *fingerprints = json_object_get(root, "fingerprints");
    *hash = (struct sha256){{0}};
    if (json_is_null(json_object_get(fingerprints, component_name(component))))
        return STATUS_OK;
    return jdoc_get_hash(where, fingerprints, component_name(component), hash);
}

static enum status read_ready_units(const char *where, const json_t *root, struct components_options *options)
{
    enum status result = STATUS_OK;
    for (int s = 0; s < STREAM_COUNT; s++)
        TRY(parse_fingerprint(where, root, (enum component)(COMPONENT_HUBERT + s), &options->units[s]));
fail:
    return result;
}

enum status components_match_checkpoint(const struct components *components, const char *folder)
{
    enum status result = STATUS_OK;
    char where[PATH_BYTES];
    json_t *root = NULL;
    enum dummy_prefix prefix;
    TRY(path_format(where, "%s/spiritlm.json", folder));
    TRY(jdoc_read(where, &root));
    TRY(read_dummy_prefix(where, root, &prefix));
    if (prefix != components->vocabulary.dummy_prefix)
        FAIL(STATUS_USAGE, "%s has the dummy prefix per %s, the configuration per %s; set tokenizer.dummy_prefix=%s",
             where, dummy_prefix_name(prefix), dummy_prefix_name(components->vocabulary.dummy_prefix),
             dummy_prefix_name(prefix));
    for (int c = 0; c < COMPONENT_COUNT; c++) {
        struct sha256 hash;
        TRY(parse_fingerprint(where, root, (enum component)c, &hash));
        TRY(components_match((enum component)c, &hash, where, &components->fingerprints[c], "the configuration"));
    }
fail:
    json_decref(root);
    return result;
}

static enum status check_fingerprints(const char *where, const json_t *root, const struct components *components)
{
    const json_t *fingerprints = json_object_get(root, "fingerprints");
    for (int c = 0; c < COMPONENT_COUNT; c++) {
        const json_t *value = json_object_get(fingerprints, component_name((enum component)c));
        char hex[65];
        sha256_hex(&components->fingerprints[c], hex);
        if (json_is_null(value) && is_zero(&components->fingerprints[c]))
            continue;
        if (!json_is_string(value) || strcmp(json_string_value(value), hex) != 0)
            return status_set(STATUS_CORRUPT, "%s: the %s found beside it has fingerprint %.16s, expected %.16s", where,
                              component_name((enum component)c), hex,
                              json_is_string(value) ? json_string_value(value) : "none");
    }
    return STATUS_OK;
}

enum status components_load_checkpoint(const char *folder, struct components **out)
{
    enum status result = STATUS_OK;
    char where[PATH_BYTES], speech_folder[PATH_BYTES];
    json_t *root = NULL;
    struct components *components = NULL;
    struct components_options options = {.text_model = folder};
    bool speech = false;
    *out = NULL;
    TRY(path_format(where, "%s/spiritlm.json", folder));
    TRY(path_format(speech_folder, "%s/speech_tokenizer", folder));
    TRY(jdoc_read(where, &root));
    TRY(read_options(where, root, &options, &speech));
    TRY(read_ready_units(where, root, &options));
    options.speech_folder = speech ? speech_folder : NULL;
    TRY(components_load(&options, &components));
    TRY(check_fingerprints(where, root, components));
    TRY(text_model_match_tags(components->text, &components->vocabulary));
    *out = components;
    components = NULL;
fail:
    components_free(components);
    json_decref(root);
    return result;
}
