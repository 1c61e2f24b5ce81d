/* What `inspect` prints, one function per kind of file (docs/inspect.md). A file that is damaged or of another kind is
 * refused with the status and text of the module that reads it. */
#ifndef SPIRITLM_PROGRAMS_INSPECT_H
#define SPIRITLM_PROGRAMS_INSPECT_H

#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

struct inspect_options {
    int64_t row; /* -1: none; the row that is printed whole */
    bool verify; /* read and hash everything */
    bool texts;  /* of a manifest: its texts and nothing else */
};

enum status inspect_shard(const char *path, const struct inspect_options *options);
enum status inspect_dataset(const char *folder, const struct inspect_options *options);
enum status inspect_manifest(const char *path, const struct inspect_options *options);
enum status inspect_safetensors(const char *path, const struct inspect_options *options);
enum status inspect_text_model(const char *path, const struct inspect_options *options);
enum status inspect_tokenizer(const char *folder, const struct inspect_options *options);
enum status inspect_model(const char *folder, const struct inspect_options *options); /* checkpoint or HF folder */
enum status inspect_run(const char *folder, const struct inspect_options *options);

/* Prints the value of a JSON file at "KEY.PATH" ("a.b"; "a.0" in a list) on one line: a string as its text, anything
 * else as JSON; "" is the whole document. STATUS_USAGE when there is no such value; the error names what there is. */
enum status inspect_value(const char *file, const char *path);

#endif
