/* Exporting a model. Files of weights are copied by models/llama/llama_copy.c without a device; everything else is small. What the
 * release's own code would open and read wrongly is refused: it gives the whole prompt to the SentencePiece model, so that a text
 * has one dummy prefix, and knows tags and units as pieces of that model. */
#include "package/export.h"

#include "core/log.h"
#include "core/path.h"
#include "io/json.h"
#include "package/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool has_speech(const struct vocabulary *vocabulary)
{
    return vocabulary->text_tag >= 0;
}

/* ---- what the release expects ---- */

/* Sizes of the released vocabulary: [Hu0]..[Hu500], and of Expressive 64 pitches and 100 styles. */
static void warn_of_sizes(const char *name, const struct vocabulary *vocabulary)
{
    enum { HUBERT = 501, PITCHES = 64, STYLES = 100 };
    bool expressive = vocabulary->pitch_count > 0;
    if (vocabulary->hubert_count != HUBERT ||
        (expressive && (vocabulary->pitch_count != PITCHES || vocabulary->style_count != STYLES)))
        log_warning("%s: %d units, %d pitches and %d styles; the speech tokenizers of Spirit LM's release are for %d, "
                    "%d and %d",
                    name, (int)vocabulary->hubert_count, (int)vocabulary->pitch_count, (int)vocabulary->style_count,
                    HUBERT, expressive ? PITCHES : 0, expressive ? STYLES : 0);
}

static enum status check_release(const char *name, const struct components *components)
{
    const struct vocabulary *vocabulary = &components->vocabulary;
    if (!has_speech(vocabulary))
        return status_set(STATUS_USAGE, "%s: a model of text alone has no place in the layout spiritlm; use hf", name);
    if (text_model_is_byte_level(components->text))
        return status_set(
            STATUS_USAGE,
            "%s: its text model is byte-level BPE, but the layout spiritlm needs a SentencePiece tokenizer.model, "
            "which is all that the release's code reads; use hf",
            name);
    if (vocabulary->dummy_prefix != DUMMY_PREFIX_DOCUMENT)
        return status_set(
            STATUS_USAGE,
            "%s was trained with tokenizer.dummy_prefix=span, for which the release's code, reading the layout "
            "spiritlm, would give a text other ids than it was trained on; use hf",
            name);
    warn_of_sizes(name, vocabulary);
    return STATUS_OK;
}

static json_t *special_token(const struct text_model *text, int32_t id)
{
    int64_t length = 0;
    const char *piece = text_model_piece(text, id, &length);
    return json_pack("{s:o, s:b, s:b, s:b, s:b}", "content", json_stringn(piece, (size_t)length), "lstrip", 0,
                     "normalized", 0, "rstrip", 0, "single_word", 0);
}

/* BOS, EOS and UNK by name; those that the model lacks are left out. */
static enum status write_special_tokens(const struct components *components, struct atomic_directory *directory)
{
    enum status result = STATUS_OK;
    const char *const keys[] = {"bos_token", "eos_token", "unk_token"};
    const int32_t ids[] = {components->vocabulary.bos, components->vocabulary.eos, components->vocabulary.unk};
    char *text = NULL;
    json_t *root = json_object();
    int lost = root ? 0 : -1;
    for (int i = 0; i < 3; i++)
        if (ids[i] >= 0)
            lost |= json_object_set_new(root, keys[i], special_token(components->text, ids[i]));
    text = lost ? NULL : jdoc_text(root, 2);
    if (!text)
        FAIL(STATUS_INTERNAL, "no memory for special_tokens_map.json");
    TRY(atomic_directory_add(directory, "special_tokens_map.json", text, (int64_t)strlen(text)));
fail:
    free(text);
    json_decref(root);
    return result;
}

/* ---- the folder ---- */

static enum status name_folder(const char *folder, enum export_layout layout, const struct vocabulary *vocabulary,
                               char **path)
{
    enum status result = STATUS_OK;
    char text[PATH_BYTES];
    struct stat information;
    if (layout == EXPORT_SPIRITLM)
        TRY(path_format(text, "%s/spiritlm_model/spirit-lm-%s-7b", folder,
                        vocabulary->pitch_count > 0 ? "expressive" : "base"));
    else
        TRY(path_format(text, "%s", folder));
    if (lstat(text, &information) == 0)
        FAIL(STATUS_USAGE, "%s is there already; export into a new folder", text);
    if (errno != ENOENT)
        FAIL(STATUS_IO, "%s: %s", text, strerror(errno));
    if (!(*path = strdup(text)))
        FAIL(STATUS_INTERNAL, "no memory for a path");
fail:
    return result;
}

/* Of a model of text alone there is nothing but the text model, whose own BOS and EOS are kept. */
static enum status write_text(const char *name, const struct components *components, struct atomic_directory *directory)
{
    enum status result = STATUS_OK;
    struct vocabulary vocabulary = components->vocabulary;
    vocabulary.bos = text_model_bos(components->text);
    /* A folder with tags and units, but without the spiritlm.json that says what they are, would lose them. */
    TRY(text_model_match_tags(components->text, &vocabulary));
    if (text_model_is_byte_level(components->text) && text_model_adds_bos(components->text))
        log_warning("%s: its tokenizer puts BOS before a text; the tokenizer.json that is written does not", name);
    TRY(text_model_write(components->text, &vocabulary, directory));
fail:
    return result;
}

static enum status write_folder(const char *name, const char *path, const struct components *components,
                                enum export_layout layout, struct atomic_directory *directory,
                                struct llama_copy *copied)
{
    enum status result = STATUS_OK;
    bool speech = has_speech(&components->vocabulary);
    int32_t bos = speech ? components->vocabulary.bos : text_model_bos(components->text);
    const char *obstacle = text_model_obstacle(components->text);
    if (obstacle)
        log_warning("%s: no tokenizer.json is written, because of the text model: %s", name, obstacle);
    if (speech && !text_model_is_byte_level(components->text) &&
        components->vocabulary.dummy_prefix == DUMMY_PREFIX_SPAN)
        log_warning(
            "%s was trained with tokenizer.dummy_prefix=span: transformers puts one space before a whole prompt, "
            "not one before each text in it, and gives other ids than it was trained on",
            name);
    TRY(speech ? components_write(components, directory) : write_text(name, components, directory));
    if (layout == EXPORT_SPIRITLM)
        TRY(write_special_tokens(components, directory));
    TRY(llama_copy_folder(path, directory, bos, components->vocabulary.eos, copied));
fail:
    return result;
}

enum status model_export(const char *name, enum export_layout layout, const char *folder, struct exported *exported)
{
    enum status result = STATUS_OK;
    struct components *components = NULL;
    struct atomic_directory *directory = NULL;
    char *path = NULL;
    *exported = (struct exported){0};
    TRY(model_find(name, &components, &path));
    if (layout == EXPORT_SPIRITLM)
        TRY(check_release(name, components));
    TRY(name_folder(folder, layout, &components->vocabulary, &exported->folder));
    TRY(atomic_directory_begin(exported->folder, false, &directory));
    TRY(write_folder(name, path, components, layout, directory, &exported->weights));
    result = atomic_directory_commit(directory);
    directory = NULL;
fail:
    atomic_directory_abandon(directory);
    components_free(components);
    free(path);
    if (result != STATUS_OK) {
        free(exported->folder);
        exported->folder = NULL;
    }
    return result;
}
