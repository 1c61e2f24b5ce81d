/* Which model it is that is evaluated. */
#ifndef SPIRITLM_EVAL_MODEL_IDENTITY_H
#define SPIRITLM_EVAL_MODEL_IDENTITY_H

#include "core/hash.h"
#include "core/status.h"

/* Of a checkpoint the SHA-256 of its MANIFEST, which has those of all files. Of others' folders and files, which may be of 13 GB,
 * that of the files' names, sizes, and a MiB each of their beginning, middle and end: another model differs there. */
enum status model_identity(const char *path, struct sha256 *identity);

#endif
