/* Tokenizers, weights and checkpoints as text. They are opened and verified as in generate and train, so that what
 * inspect accepts, they accept too. */
#include "core/path.h"
#include "core/utf8.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "package/checkpoints.h"
#include "package/model.h"
#include "package/speech_folder.h"
#include "programs/inspect/inspect.h"
#include "text/text_model.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool holds(const char *folder, const char *name)
{
    char path[PATH_BYTES];
    return path_format(path, "%s/%s", folder, name) == STATUS_OK && access(path, F_OK) == 0;
}

enum status inspect_safetensors(const char *path, const struct inspect_options *options)
{
    enum status result = STATUS_OK;
    struct safetensors *file = NULL;
    int64_t elements = 0, bytes = 0;
    TRY(safetensors_open_in_place(path, &file));
    utf8_print(stdout, "%s: safetensors\n", path);
    for (int64_t i = 0; i < safetensors_count(file); i++) {
        const struct tensor_info *info = safetensors_info(file, i);
        struct stored_tensor tensor = {.name = info->name,
                                       .type = info->type,
                                       .rank = info->rank,
                                       .data = safetensors_data(file, info),
                                       .bytes = info->bytes};
        memcpy(tensor.shape, info->shape, sizeof tensor.shape);
        stored_tensor_pack(&tensor);
        TRY(inspect_stored_tensor(path, &tensor, options));
        elements += stored_tensor_elements(&tensor);
        bytes += info->bytes;
    }
    inspect_print_sum(safetensors_count(file), elements, bytes);
    if (options->verify)
        printf("  verified: every number is finite\n");
fail:
    safetensors_close(file);
    return result;
}

enum status inspect_text_model(const char *path, const struct inspect_options *options)
{
    (void)options;
    struct text_model *model = NULL;
    enum status result = text_model_load(path, &model);
    if (result != STATUS_OK)
        return result;
    char text[65];
    struct sha256 fingerprint = text_model_fingerprint(model);
    sha256_hex(&fingerprint, text);
    utf8_print(stdout, "%s: %s model of %d pieces (unk %d, bos %d, eos %d), fingerprint %.16s\n", path,
               text_model_is_byte_level(model) ? "byte-level BPE" : "SentencePiece", text_model_size(model),
               text_model_unk(model), text_model_bos(model), text_model_eos(model), text);
    text_model_free(model);
    return STATUS_OK;
}

static void print_hash(const char *name, const struct sha256 *hash)
{
    char text[65];
    sha256_hex(hash, text);
    printf("  %-10s %s\n", name, text);
}

enum status inspect_tokenizer(const char *folder, const struct inspect_options *options)
{
    (void)options;
    struct speech *speech = NULL;
    enum status result = speech_folder_open(folder, &speech);
    if (result != STATUS_OK)
        return result;
    utf8_print(stdout, "%s: speech tokenizer, MANIFEST verified\n", folder);
    for (int s = 0; s < STREAM_COUNT; s++) {
        const struct speech_encoder *encoder = &speech->encoder[s];
        if (!encoder->encode)
            continue;
        printf("  %-10s %d codes, %.6g per second\n", unit_stream_name(encoder->stream), (int)encoder->size,
               (double)encoder->rate.numerator / (double)encoder->rate.denominator);
        print_hash("", &encoder->fingerprint);
    }
    if (speech->vocoder.synthesise)
        print_hash("vocoder", &speech->vocoder.fingerprint);
    speech_free(speech);
    return STATUS_OK;
}

static enum status print_components(const char *folder)
{
    struct components *components = NULL;
    enum status result = model_check(folder, &components);
    if (result != STATUS_OK)
        return result;
    const struct vocabulary *vocabulary = &components->vocabulary;
    printf("  vocabulary %d ids in %d rows: %d text, %d hubert, %d pitch, %d style\n", vocabulary->size,
           vocabulary->padded_size, vocabulary->text_size, vocabulary->hubert_count, vocabulary->pitch_count,
           vocabulary->style_count);
    for (int i = 0; i < COMPONENT_COUNT; i++)
        print_hash(component_name((enum component)i), components->fingerprints + i);
    components_free(components);
    return STATUS_OK;
}

static enum status print_state(const char *folder)
{
    json_t *state = NULL;
    int64_t step = 0;
    enum status result = checkpoint_read_state(folder, &state);
    if (result == STATUS_OK && jdoc_get_int(folder, state, "step", 0, INT64_MAX, &step) == STATUS_OK)
        printf("  trained    %lld steps\n", (long long)step);
    json_decref(state);
    return result;
}

/* Refuses what generate would refuse. A checkpoint of ours is verified in full; a plain Hugging Face folder has no MANIFEST to verify. */
enum status inspect_model(const char *folder, const struct inspect_options *options)
{
    enum status result = STATUS_OK;
    bool ours = holds(folder, "spiritlm.json") || holds(folder, "trainer"), listed = holds(folder, "MANIFEST");
    struct llama_config config;
    struct inspect_options shown = *options;
    char *path = NULL;
    if (ours)
        TRY(checkpoint_resolve(folder, &path));
    else if (listed) /* a model of text alone that was exported */
        TRY(directory_verify(folder, true));
    utf8_print(stdout, "%s: %s\n", folder,
               ours     ? "checkpoint, MANIFEST verified"
               : listed ? "model folder, MANIFEST verified"
                        : "model folder without MANIFEST");
    if (ours)
        TRY(print_components(folder));
    if (holds(folder, "trainer"))
        TRY(print_state(folder));
    if (holds(folder, "config.json") &&
        llama_read_config(folder, &config) == STATUS_OK) /* others' are listed without */
        inspect_print_config(&config);
    shown.verify = options->verify || ours;
    TRY(inspect_llama_tensors(folder, &shown));
fail:
    free(path);
    return result;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_checkpoint(const struct dirent *entry)
{
    return checkpoint_step(entry->d_name) >= 0;
}

/* Prints every checkpoint with the result of its verification; the first damaged one decides the exit code. */
enum status inspect_run(const char *folder, const struct inspect_options *options)
{
    enum status result = STATUS_OK, found = STATUS_OK;
    struct dirent **entries = NULL;
    char checkpoints[PATH_BYTES], path[PATH_BYTES], first[1024] = "";
    int count = -1;
    TRY(path_format(checkpoints, "%s/checkpoints", folder));
    count = scandir(checkpoints, &entries, is_checkpoint, by_name);
    if (count < 0)
        TRY(status_set_errno(STATUS_IO, errno, "%s: cannot list the folder", checkpoints));
    utf8_print(stdout, "%s: run with %d checkpoints\n", folder, count);
    for (int i = 0; i < count; i++) {
        TRY(path_format(path, "%s/%s", checkpoints, entries[i]->d_name));
        enum status status = checkpoint_verify(path);
        printf("  %s  %s\n", entries[i]->d_name, status == STATUS_OK ? "verified" : status_text());
        if (status != STATUS_OK && found == STATUS_OK) {
            found = status;
            snprintf(first, sizeof first, "%s", status_text());
        }
    }
    if (found != STATUS_OK)
        FAIL(found, "%s", first);
    if (count > 0)
        TRY(inspect_model(path, options));
fail:
    for (int i = 0; entries && i < count; i++)
        free(entries[i]);
    free(entries);
    return result;
}
