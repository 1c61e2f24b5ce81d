/* What `inspect` prints, one function per kind of file (docs/inspect.md). A file that is damaged or of another kind is
 * refused with the status and text of the module that reads it. */
#ifndef SPIRITLM_PROGRAMS_INSPECT_H
#define SPIRITLM_PROGRAMS_INSPECT_H

#include "core/status.h"
#include "models/llama/llama_source.h"

#include <stdbool.h>
#include <stdint.h>

struct inspect_options {
    int64_t row; /* -1: none; the row that is printed whole */
    bool verify; /* read and hash everything */
    bool hash;   /* print the SHA-256 of each tensor's numbers as f32 */
    bool texts;  /* of a manifest: its texts and nothing else */
};

enum status inspect_shard(const char *path, const struct inspect_options *options);
enum status inspect_dataset(const char *folder, const struct inspect_options *options);
enum status inspect_manifest(const char *path, const struct inspect_options *options);
enum status inspect_safetensors(const char *path, const struct inspect_options *options);
enum status inspect_torch(const char *path, const struct inspect_options *options);
enum status inspect_gguf(const char *path, const struct inspect_options *options);
enum status inspect_text_model(const char *path, const struct inspect_options *options);
enum status inspect_tokenizer(const char *folder, const struct inspect_options *options);
enum status inspect_model(const char *folder, const struct inspect_options *options); /* checkpoint or HF folder */
enum status inspect_run(const char *folder, const struct inspect_options *options);

/* Writes the model into a new folder (package/export.h); layout is "hf" or "spiritlm". */
enum status inspect_export(const char *model, const char *layout, const char *folder);

/* One line for a tensor of a file of weights; with options->verify it must be finite, with options->hash its hash is first. */
enum status inspect_source_tensor(const char *path, const struct source_tensor *tensor,
                                  const struct inspect_options *options);
enum status inspect_stored_tensor(const char *path, const struct stored_tensor *tensor,
                                  const struct inspect_options *options);

void inspect_print_sum(int64_t tensors, int64_t elements, int64_t bytes); /* "  N tensors, N numbers, N MiB" */

/* A Llama of any layout (models/llama/llama_source.h): its configuration, and its tensors under Hugging Face's names. */
enum status inspect_llama(const char *path, const struct inspect_options *options);
void inspect_print_config(const struct llama_config *config);
enum status inspect_llama_tensors(const char *path,
                                  const struct inspect_options *options); /* without a configuration */
enum status inspect_llama_folder(const char *folder, const struct inspect_options *options);

/* Prints the value of a JSON file at "KEY.PATH" ("a.b"; "a.0" in a list) on one line: a string as its text, anything
 * else as JSON; "" is the whole document. STATUS_USAGE when there is no such value; the error names what there is. */
enum status inspect_value(const char *file, const char *path);

#endif
