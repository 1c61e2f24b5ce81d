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
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool holds(const char *folder, const char *name)
{
    char path[PATH_BYTES];
    return path_format(path, "%s/%s", folder, name) == STATUS_OK && access(path, F_OK) == 0;
}

static void print_tensor(const struct tensor_info *info)
{
    printf("  %-4s [", dtype_name(info->type));
    for (int d = 0; d < info->rank; d++)
        printf("%s%lld", d ? ", " : "", (long long)info->shape[d]);
    utf8_print(stdout, "]  %s\n", info->name);
}

static void print_sum(int64_t tensors, int64_t elements, int64_t bytes)
{
    printf("  %lld tensors, %lld numbers, %.1f MiB\n", (long long)tensors, (long long)elements,
           (double)bytes / (1 << 20));
}

static int64_t elements_of(const struct tensor_info *info)
{
    return info->bytes / (int64_t)dtype_size(info->type);
}

/* Floating-point tensors must be finite: the error names the first number that is not. */
static enum status check_finite(const char *path, const struct tensor_info *info, const void *data)
{
    enum { BLOCK = 4096 };
    if (info->type > DTYPE_F64)
        return STATUS_OK;
    float values[BLOCK];
    for (int64_t begin = 0, total = elements_of(info); begin < total; begin += BLOCK) {
        int64_t count = total - begin < BLOCK ? total - begin : BLOCK;
        tensor_to_float(info, data, begin, count, values);
        for (int64_t i = 0; i < count; i++)
            if (!isfinite(values[i]))
                return status_set(STATUS_CORRUPT, "%s: tensor %s: expected finite numbers, found %g at %lld", path,
                                  info->name, (double)values[i], (long long)begin + (long long)i);
    }
    return STATUS_OK;
}

enum status inspect_safetensors(const char *path, const struct inspect_options *options)
{
    enum status result = STATUS_OK;
    struct safetensors *file = NULL;
    int64_t elements = 0, bytes = 0;
    TRY(safetensors_open(path, &file));
    utf8_print(stdout, "%s: safetensors\n", path);
    for (int64_t i = 0; i < safetensors_count(file); i++) {
        const struct tensor_info *info = safetensors_info(file, i);
        print_tensor(info);
        elements += elements_of(info);
        bytes += info->bytes;
        if (options->verify)
            TRY(check_finite(path, info, safetensors_data(file, info)));
    }
    print_sum(safetensors_count(file), elements, bytes);
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

static enum status print_weights(const char *folder, bool verify)
{
    enum status result = STATUS_OK;
    struct safetensors_folder *weights = NULL;
    int64_t elements = 0, bytes = 0;
    TRY(safetensors_folder_open(folder, &weights));
    for (int64_t i = 0; i < safetensors_folder_count(weights); i++) {
        const struct tensor_info *info = safetensors_folder_info(weights, i);
        const void *data = NULL;
        print_tensor(info);
        elements += elements_of(info);
        bytes += info->bytes;
        if (verify && safetensors_folder_find(weights, info->name, &data))
            TRY(check_finite(folder, info, data));
        safetensors_folder_forget(weights, info);
    }
    print_sum(safetensors_folder_count(weights), elements, bytes);
fail:
    safetensors_folder_close(weights);
    return result;
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
    bool ours = holds(folder, "MANIFEST") || holds(folder, "spiritlm.json");
    char *path = NULL;
    if (ours)
        TRY(checkpoint_resolve(folder, &path));
    utf8_print(stdout, "%s: %s\n", folder, ours ? "checkpoint, MANIFEST verified" : "model folder without MANIFEST");
    if (ours)
        TRY(print_components(folder));
    if (holds(folder, "trainer"))
        TRY(print_state(folder));
    TRY(print_weights(folder, options->verify || ours));
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
