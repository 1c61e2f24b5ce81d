/* One description in JSON serves everything: it is made from the options, or read from a folder; components are opened from it; and
 * with what they turned out to be it is written. */
#include "package/speech_composed.h"

#include "core/path.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "speech/embedded/embedded.h"
#include "speech/neural/neural.h"

#include <stdlib.h>
#include <string.h>

enum { VOCODER = STREAM_COUNT, PLACES };

static const char *place_name(int place)
{
    return place == VOCODER ? "vocoder" : unit_stream_name((enum unit_stream)place);
}

/* What the option of a place says: "" embedded, "none", or a name. */
static const char *place_option(const struct speech_options *options, int place)
{
    const char *const values[PLACES] = {options->hubert, options->pitch, options->style, options->vocoder};
    const char *value = values[place] ? values[place] : "";
    return place == VOCODER && !*value && *place_option(options, STREAM_HUBERT) ? "none" : value;
}

static bool is_none(const char *value)
{
    return strcmp(value, "none") == 0;
}

bool speech_options_embed(const struct speech_options *options, enum unit_stream stream)
{
    return !*place_option(options, stream);
}

bool speech_options_all_embedded(const struct speech_options *options)
{
    for (int place = 0; place < PLACES; place++)
        if (*place_option(options, place))
            return false;
    return true;
}

bool speech_options_need_fit(const struct speech_options *options)
{
    for (int place = 0; place < PLACES; place++)
        if (!*place_option(options, place))
            return true;
    return false;
}

/* ---- from options to a description ---- */

static json_t *describe_neural(const struct speech_options *options, int place)
{
    switch (place) {
    case STREAM_HUBERT:
        return json_pack("{s:s, s:s, s:I, s:b}", "encoder", options->hubert, "quantizer",
                         options->quantizer ? options->quantizer : "", "layer", (json_int_t)options->layer, "pad",
                         options->pad);
    case STREAM_PITCH:
        return json_pack("{s:s, s:s}", "quantizer", options->pitch, "f0", options->f0 ? options->f0 : "");
    case STREAM_STYLE:
        return json_pack("{s:s}", "classifier", options->style);
    default:
        return json_pack("{s:s}", "vocoder", options->vocoder);
    }
}

static json_t *describe_place(const struct speech_options *options, int place)
{
    const char *value = place_option(options, place);
    if (is_none(value))
        return json_null();
    return *value ? describe_neural(options, place) : json_string("embedded");
}

static enum status check_options(const struct speech_options *options)
{
    const char *hubert = place_option(options, STREAM_HUBERT), *vocoder = options->vocoder;
    if (*hubert && !is_none(hubert) && (!options->quantizer || !*options->quantizer))
        return status_set(STATUS_USAGE,
                          "speech.hubert is set, so speech.quantizer must name the quantizer of its frames");
    if (vocoder && *vocoder && !is_none(vocoder) && is_none(hubert))
        return status_set(STATUS_USAGE, "speech.hubert is none, so there are no units that speech.vocoder could speak");
    return STATUS_OK;
}

static enum status describe(const struct speech_options *options, json_t **out)
{
    json_t *root = json_pack("{s:s, s:i, s:s}", "format", SPEECH_FORMAT, "version", (int)SPEECH_FORMAT_VERSION, "kind",
                             COMPOSED_KIND);
    bool lost = !root;
    for (int place = 0; place < PLACES; place++)
        lost |= json_object_set_new(root, place_name(place), describe_place(options, place)) != 0;
    if (options->checkpoints && *options->checkpoints)
        lost |= json_object_set_new(root, "checkpoints", json_string(options->checkpoints)) != 0;
    if (lost) {
        json_decref(root);
        return status_set(STATUS_INTERNAL, "no memory to describe a speech tokenizer");
    }
    *out = root;
    return STATUS_OK;
}

struct sha256 speech_options_hash(const struct speech_options *options)
{
    struct sha256_stream *stream = sha256_start();
    json_t *description = NULL;
    char *text = describe(options, &description) == STATUS_OK ? jdoc_text(description, 0) : NULL;
    if (text)
        sha256_add(stream, text, strlen(text));
    free(text);
    json_decref(description);
    return sha256_finish(stream);
}

/* ---- from a description to components ---- */

/* What is opened. */
struct composition {
    const char *where;  /* the file that is described, or "the configuration" */
    const json_t *root; /* the description */
    struct neural_base *base;
    bool promised; /* sizes and fingerprints are in the description */
    struct speech *speech;
};

static enum status read_promise(const char *where, const json_t *object, bool vocoder, struct neural_promise *promise)
{
    enum status result = STATUS_OK;
    int64_t size = 1;
    promise->rate = (struct rational){0, 1}; /* a vocoder has none */
    TRY(jdoc_get_hash(where, object, "fingerprint", &promise->fingerprint));
    if (vocoder)
        return STATUS_OK;
    TRY(jdoc_get_int(where, object, "size", 1, UINT16_MAX + 1, &size));
    promise->size = (int32_t)size;
    const json_t *rate = json_object_get(object, "rate");
    promise->rate =
        (struct rational){json_integer_value(json_array_get(rate, 0)), json_integer_value(json_array_get(rate, 1))};
    if (json_array_size(rate) != 2 || promise->rate.numerator < 1 || promise->rate.numerator > 1 << 20 ||
        promise->rate.denominator < 1 || promise->rate.denominator > 1 << 20)
        FAIL(STATUS_CORRUPT, "%s: \"rate\": expected two positive integers", where);
fail:
    return result;
}

static enum status open_units(const struct composition *composition, const char *where, const json_t *object,
                              const struct neural_promise *promise)
{
    enum status result = STATUS_OK;
    struct neural_units units = {0};
    TRY(jdoc_get_string(where, object, "encoder", &units.encoder));
    TRY(jdoc_get_string(where, object, "quantizer", &units.quantizer));
    TRY(jdoc_get_int(where, object, "layer", 1, 1 << 10, &units.layer));
    TRY(jdoc_get_bool(where, object, "pad", &units.pad));
    TRY(neural_units_open(&units, composition->base, promise, &composition->speech->encoder[STREAM_HUBERT]));
fail:
    return result;
}

static enum status open_pitch(const struct composition *composition, const char *where, const json_t *object,
                              const struct neural_promise *promise)
{
    enum status result = STATUS_OK;
    struct neural_pitch pitch = {0};
    TRY(jdoc_get_string(where, object, "quantizer", &pitch.quantizer));
    TRY(jdoc_get_string(where, object, "f0", &pitch.f0));
    TRY(neural_pitch_open(&pitch, composition->base, promise, &composition->speech->encoder[STREAM_PITCH]));
fail:
    return result;
}

static enum status open_style(const struct composition *composition, const char *where, const json_t *object,
                              const struct neural_promise *promise)
{
    enum status result = STATUS_OK;
    struct neural_style style = {0};
    TRY(jdoc_get_string(where, object, "classifier", &style.classifier));
    TRY(neural_style_open(&style, composition->base, promise, &composition->speech->encoder[STREAM_STYLE]));
fail:
    return result;
}

/* A vocoder without a row for some unit would fail on the day that the unit comes. */
static enum status check_vocoder_units(const struct speech *speech)
{
    int64_t units = 0;
    enum status result = neural_vocoder_units(&speech->vocoder, &units);
    if (result == STATUS_OK && units < speech->encoder[STREAM_HUBERT].size)
        return status_set(STATUS_USAGE, "speech.vocoder speaks %lld units, but there are %d", (long long)units,
                          (int)speech->encoder[STREAM_HUBERT].size);
    return result;
}

static enum status open_vocoder(const struct composition *composition, const char *where, const json_t *object,
                                const struct neural_promise *promise)
{
    enum status result = STATUS_OK;
    struct neural_vocoder vocoder = {0};
    TRY(jdoc_get_string(where, object, "vocoder", &vocoder.vocoder));
    TRY(neural_vocoder_open(&vocoder, composition->base, promise, &composition->speech->vocoder));
    if (!promise)
        TRY(check_vocoder_units(composition->speech));
fail:
    return result;
}

static enum status open_neural(const struct composition *composition, int place, const json_t *object)
{
    typedef enum status opener(const struct composition *, const char *, const json_t *, const struct neural_promise *);
    static opener *const openers[PLACES] = {open_units, open_pitch, open_style, open_vocoder};
    enum status result = STATUS_OK;
    struct neural_promise promise = {.size = 0};
    char where[PATH_BYTES];
    TRY(path_format(where, "%s: %s", composition->where, place_name(place)));
    if (composition->promised)
        TRY(read_promise(where, object, place == VOCODER, &promise));
    TRY(openers[place](composition, where, object, composition->promised ? &promise : NULL));
fail:
    return result;
}

/* The embedded components are there already. */
static enum status open_place(const struct composition *composition, int place)
{
    const json_t *value = json_object_get(composition->root, place_name(place));
    if (json_is_string(value) && strcmp(json_string_value(value), "embedded") == 0)
        return STATUS_OK;
    if (place == VOCODER)
        speech_vocoder_remove(&composition->speech->vocoder);
    else
        speech_encoder_remove(&composition->speech->encoder[place]);
    if (json_is_object(value))
        return open_neural(composition, place, value);
    if (!json_is_null(value))
        return status_set(STATUS_CORRUPT, "%s: \"%s\": expected \"embedded\", null or an object", composition->where,
                          place_name(place));
    return STATUS_OK;
}

static bool has_embedded(const json_t *root)
{
    for (int place = 0; place < PLACES; place++)
        if (json_is_string(json_object_get(root, place_name(place))))
            return true;
    return false;
}

static enum status compute_on(struct speech *speech, const struct speech_compute *compute)
{
    neural_base_compute_on(speech->shared, compute);
    return embedded_compute_on(speech, compute);
}

static void destroy_shared(void *base)
{
    neural_base_release(base);
}

/* Fills an empty set. The set owns the base from the beginning, so that whatever fails is freed with it. */
static enum status open_places(const char *where, const json_t *root, const char *embedded_folder,
                               struct neural_base *base, bool promised, struct speech *speech)
{
    enum status result = STATUS_OK;
    const struct composition composition = {where, root, base, promised, speech};
    if (has_embedded(root))
        TRY(embedded_open(embedded_folder, json_object_get(root, "embedded"), speech));
    speech_forget_files(speech); /* the embedded tokenizer's: the set has its own */
    speech->compute_on = compute_on;
    for (int place = 0; place < PLACES; place++)
        TRY(open_place(&composition, place));
fail:
    return result;
}

static enum status own_base(struct speech *speech, const char *root)
{
    struct neural_base *base;
    enum status result = neural_base_create(root, &base);
    speech->shared = base;
    speech->destroy_shared = destroy_shared;
    return result;
}

enum status composed_open(const char *folder, const json_t *description, struct speech *speech)
{
    enum status result = STATUS_OK;
    const char *environment = getenv("SPIRITLM_CHECKPOINTS_DIR");
    const char *recorded = json_string_value(json_object_get(description, "checkpoints"));
    char where[PATH_BYTES];
    TRY(path_format(where, "%s/tokenizer.json", folder));
    TRY(own_base(speech, environment && *environment ? environment : recorded));
    TRY(open_places(where, description, folder, speech->shared, true, speech));
    TRY(speech_add_file(speech, folder, "tokenizer.json"));
    if (has_embedded(description))
        TRY(speech_add_file(speech, folder, "tokenizer.safetensors"));
    TRY(speech_add_file(speech, folder, "MANIFEST"));
fail:
    return result;
}

/* ---- from options to components, or to a folder ---- */

static enum status add_embedded(json_t *root, const char *folder)
{
    enum status result = STATUS_OK;
    json_t *embedded = NULL;
    char path[PATH_BYTES];
    if (!folder)
        FAIL(STATUS_USAGE,
             "a component of this speech tokenizer is embedded and has to be fitted: run prepare --stage fit");
    TRY(path_format(path, "%s/tokenizer.json", folder));
    TRY(directory_verify(folder, true));
    TRY(jdoc_read(path, &embedded));
    if (json_object_set(root, "embedded", embedded) != 0)
        FAIL(STATUS_INTERNAL, "no memory to describe a speech tokenizer");
fail:
    json_decref(embedded);
    return result;
}

static enum status compose(const struct speech_options *options, const char *embedded_folder,
                           const struct speech_compute *compute, json_t **description, struct speech **out)
{
    enum status result = STATUS_OK;
    json_t *root = NULL;
    struct speech *speech = NULL;
    *out = NULL;
    *description = NULL;
    TRY(check_options(options));
    TRY(describe(options, &root));
    if (has_embedded(root))
        TRY(add_embedded(root, embedded_folder));
    if (!(speech = calloc(1, sizeof *speech)))
        FAIL(STATUS_INTERNAL, "no memory for a speech tokenizer");
    speech->kind = COMPOSED_KIND;
    TRY(own_base(speech, options->checkpoints));
    neural_base_compute_on(speech->shared, compute);
    TRY(open_places("the configuration", root, embedded_folder, speech->shared, false, speech));
    TRY(speech_compute_on(speech, compute));
    TRY(speech_check(speech));
    *out = speech;
    *description = root;
    return STATUS_OK;
fail:
    json_decref(root);
    speech_free(speech);
    return result;
}

enum status speech_compose(const struct speech_options *options, const char *embedded_folder,
                           const struct speech_compute *compute, struct speech **speech)
{
    json_t *description;
    enum status result = compose(options, embedded_folder, compute, &description, speech);
    json_decref(description);
    return result;
}

/* What the neural components are, as far as it is known. */
static enum status add_promises(json_t *root, const struct neural_promise promises[PLACES])
{
    bool lost = false;
    for (int place = 0; place < PLACES; place++) {
        json_t *object = json_object_get(root, place_name(place));
        const struct neural_promise *promise = &promises[place];
        if (!json_is_object(object))
            continue;
        lost |= json_object_set_new(object, "fingerprint", jdoc_hash(&promise->fingerprint)) != 0;
        if (place == VOCODER)
            continue;
        lost |= json_object_set_new(object, "size", json_integer(promise->size)) != 0;
        lost |= json_object_set_new(object, "rate",
                                    json_pack("[I, I]", (json_int_t)promise->rate.numerator,
                                              (json_int_t)promise->rate.denominator)) != 0;
    }
    return lost ? status_set(STATUS_INTERNAL, "no memory to describe a speech tokenizer") : STATUS_OK;
}

static enum status add_found(json_t *root, const struct speech *speech)
{
    struct neural_promise promises[PLACES] = {[VOCODER] = {.fingerprint = speech->vocoder.fingerprint}};
    for (int stream = 0; stream < STREAM_COUNT; stream++) {
        const struct speech_encoder *encoder = &speech->encoder[stream];
        promises[stream] = (struct neural_promise){encoder->fingerprint, encoder->size, encoder->rate};
    }
    return add_promises(root, promises);
}

enum status speech_compose_unread(const struct speech_options *options, const struct speech_belief *belief,
                                  struct speech **out)
{
    enum status result = STATUS_OK;
    struct neural_promise promises[PLACES] = {{.size = 0}};
    json_t *root = NULL;
    struct speech *speech = NULL;
    *out = NULL;
    for (int stream = 0; stream < STREAM_COUNT; stream++) {
        promises[stream].size = belief->sizes[stream];
        promises[stream].rate = belief->rates.rate[stream];
    }
    TRY(check_options(options));
    TRY(describe(options, &root));
    TRY(add_promises(root, promises));
    if (!(speech = calloc(1, sizeof *speech)))
        FAIL(STATUS_INTERNAL, "no memory for a speech tokenizer");
    speech->kind = COMPOSED_KIND;
    TRY(own_base(speech, options->checkpoints));
    TRY(open_places("the release", root, NULL, speech->shared, true, speech));
    *out = speech;
    speech = NULL;
fail:
    json_decref(root);
    speech_free(speech);
    return result;
}

static enum status write_folder(const json_t *description, const char *embedded_folder, const char *folder)
{
    enum { LIMIT = 256 << 20 };
    enum status result = STATUS_OK;
    struct atomic_directory *directory = NULL;
    char path[PATH_BYTES], *text = jdoc_text(description, 2);
    void *tensors = NULL;
    int64_t size = 0;
    if (!text)
        FAIL(STATUS_INTERNAL, "%s: no memory to describe a speech tokenizer", folder);
    if (has_embedded(description)) {
        TRY(path_format(path, "%s/tokenizer.safetensors", embedded_folder));
        TRY(file_read(path, LIMIT, &tensors, &size));
    }
    TRY(atomic_directory_begin(folder, false, &directory));
    TRY(atomic_directory_add(directory, "tokenizer.json", text, (int64_t)strlen(text)));
    if (tensors)
        TRY(atomic_directory_add(directory, "tokenizer.safetensors", tensors, size));
    result = atomic_directory_commit(directory);
    directory = NULL;
fail:
    atomic_directory_abandon(directory);
    free(tensors);
    free(text);
    return result;
}

enum status speech_compose_folder(const struct speech_options *options, const char *embedded_folder,
                                  const struct speech_compute *compute, const char *folder)
{
    enum status result = STATUS_OK;
    json_t *description = NULL;
    struct speech *speech = NULL;
    TRY(compose(options, embedded_folder, compute, &description, &speech));
    TRY(add_found(description, speech));
    TRY(write_folder(description, embedded_folder, folder));
fail:
    speech_free(speech);
    json_decref(description);
    return result;
}

/* ---- whether a folder is what the options name ---- */

/* Every member that the options give has the same value in the folder, which also has what the files turned out to be. */
static bool same_place(json_t *wanted, const json_t *found)
{
    const char *key;
    json_t *value;
    if (!json_is_object(wanted))
        return json_equal(wanted, found);
    json_object_foreach(wanted, key, value) if (!json_equal(value, json_object_get(found, key))) return false;
    return json_is_object(found);
}

enum status speech_options_match(const struct speech_options *options, const char *folder)
{
    enum status result = STATUS_OK;
    json_t *wanted = NULL, *found = NULL;
    char path[PATH_BYTES];
    TRY(path_format(path, "%s/tokenizer.json", folder));
    TRY(jdoc_read(path, &found));
    TRY(describe(options, &wanted));
    const char *kind = json_string_value(json_object_get(found, "kind"));
    const bool embedded = kind && strcmp(kind, EMBEDDED_KIND) == 0;
    json_t *whole = json_string("embedded");
    for (int place = 0; place < PLACES && result == STATUS_OK; place++)
        if (!same_place(json_object_get(wanted, place_name(place)),
                        embedded ? whole : json_object_get(found, place_name(place))))
            result = status_set(STATUS_USAGE,
                                "%s: its %s component is another than speech.%s of the configuration names: change the "
                                "configuration, name another tokenizer.folder, or remove this one to make a new one",
                                folder, place_name(place), place_name(place));
    json_decref(whole);
fail:
    json_decref(wanted);
    json_decref(found);
    return result;
}
