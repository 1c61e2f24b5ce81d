/* The weights of a Llama as text, whatever layout they have. All are read through one interface, so that the same weights have the
 * same names, order and hashes in every layout. */
#include "core/path.h"
#include "core/utf8.h"
#include "io/weights/torch_archive.h"
#include "programs/inspect/inspect.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void inspect_print_config(const struct llama_config *config)
{
    printf("  %" PRId64 " layers of width %" PRId64 ", feed-forward %" PRId64 "; %" PRId64 " heads of %" PRId64
           ", %" PRId64 " for keys and values\n",
           config->layers, config->hidden_size, config->intermediate_size, config->heads, config->head_size,
           config->kv_heads);
    printf("  vocabulary of %" PRId64 " rows, %s head; %" PRId64 " positions, rope_theta %g, rms_norm_eps %g\n",
           config->vocabulary_size, config->tie_embeddings ? "tied" : "its own", config->maximum_positions,
           config->rope_theta, config->rms_norm_epsilon);
}

enum status inspect_llama_tensors(const char *path, const struct inspect_options *options)
{
    enum status result = STATUS_OK;
    struct llama_source *source = NULL;
    int64_t elements = 0, bytes = 0;
    TRY(llama_source_open(path, &source));
    for (int64_t i = 0; i < llama_source_count(source); i++) {
        const struct source_tensor *tensor = llama_source_tensor(source, i);
        TRY(inspect_source_tensor(path, tensor, options));
        elements += source_tensor_elements(tensor);
        for (int64_t part = 0; part < tensor->part_count; part++)
            bytes += tensor->parts[part]->bytes;
    }
    inspect_print_sum(llama_source_count(source), elements, bytes);
    if (options->verify)
        printf("  verified: every number is finite\n");
fail:
    llama_source_close(source);
    return result;
}

enum status inspect_llama(const char *path, const struct inspect_options *options)
{
    enum status result = STATUS_OK;
    struct llama_config config;
    int64_t rows;
    TRY(llama_read_config(path, &config));
    TRY(llama_check_folder(path, &config, &rows));
    inspect_print_config(&config);
    TRY(inspect_llama_tensors(path, options));
fail:
    return result;
}

static bool begins_with(const char *name, const char *start)
{
    return strncmp(name, start, strlen(start)) == 0;
}

static int is_weights(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 4 &&
           ((begins_with(entry->d_name, "pytorch_model") && !strcmp(entry->d_name + length - 4, ".bin")) ||
            (begins_with(entry->d_name, "consolidated.") && !strcmp(entry->d_name + length - 4, ".pth")));
}

/* *zips counts the files that have CRCs: streams of before PyTorch 1.6 have none. */
static enum status verify_file(const char *folder, const char *name, int *zips)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES];
    struct torch_archive *archive = NULL;
    TRY(path_format(path, "%s/%s", folder, name));
    TRY(torch_archive_open(path, &archive));
    TRY(torch_archive_verify(archive));
    *zips += torch_archive_form(archive) == TORCH_FORM_ZIP;
fail:
    torch_archive_close(archive);
    return result;
}

/* The CRCs of all records: opening a file checks only those of small ones. */
static enum status verify_archives(const char *folder)
{
    enum status result = STATUS_OK;
    struct dirent **entries = NULL;
    int zips = 0, count = scandir(folder, &entries, is_weights, alphasort);
    if (count < 0)
        FAIL(STATUS_IO, "%s: cannot list the folder: %s", folder, strerror(errno));
    for (int i = 0; i < count; i++)
        TRY(verify_file(folder, entries[i]->d_name, &zips));
    if (zips > 0)
        printf("  verified: %d file%s, every record has its CRC\n", zips, zips > 1 ? "s" : "");
fail:
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    return result;
}

enum status inspect_llama_folder(const char *folder, const struct inspect_options *options)
{
    bool meta = llama_folder_has(folder, "params.json") && !llama_folder_has(folder, "config.json");
    utf8_print(stdout, "%s: %s\n", folder,
               meta ? "Llama in Meta's layout" : "Llama in Hugging Face's layout, weights of PyTorch");
    enum status result = inspect_llama(folder, options);
    return result == STATUS_OK && options->verify ? verify_archives(folder) : result;
}
