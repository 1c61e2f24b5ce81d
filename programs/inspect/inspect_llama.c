/* The weights of a Llama as text, whatever layout they have. All are read through one interface, so that the same weights have the
 * same names, order and hashes in every layout. */
#include "core/utf8.h"
#include "programs/inspect/inspect.h"

#include <inttypes.h>
#include <stdio.h>

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

enum status inspect_llama_folder(const char *folder, const struct inspect_options *options)
{
    bool meta = llama_folder_has(folder, "params.json") && !llama_folder_has(folder, "config.json");
    utf8_print(stdout, "%s: %s\n", folder,
               meta ? "Llama in Meta's layout" : "Llama in Hugging Face's layout, weights of PyTorch");
    return inspect_llama(folder, options);
}
