/* What was asked for and what was generated, as objects for samples.json and --json (docs/generate.md). */
#ifndef SPIRITLM_GENERATE_DESCRIBE_H
#define SPIRITLM_GENERATE_DESCRIBE_H

#include "generate/prompt_file.h"

#include <jansson.h>

/* The caller decrefs what these functions make. */

/* {"kind": "text", "text": "..."} or {"kind": "speech", "units": "...", "seconds": 1.5}; seconds only with samples. Text that
 * is not UTF-8 has U+FFFD for each malformed byte, and all its bytes in hexadecimal under "bytes". */
enum status output_piece_describe(const struct output_piece *piece, json_t **object);

/* {"sample": 0, "tokens": 12, "ended": true, "text": "...", "units": "...", "seconds": 1.5, "pieces": [...]}: text, units and
 * seconds of all pieces in their order; each only where there is any. `pieces`, their descriptions, are taken over. */
enum status generated_describe(int64_t sample, const struct generated *generated, json_t *pieces, json_t **object);

/* {"id", "prompt": [pieces], "prompt_tokens", "output", "sampling": {"seed", "temperature", "top_k", "top_p",
 * "min_new_tokens", "max_new_tokens"}, "samples": []}, and "line" where the prompt comes from a file. */
enum status prompt_describe(const struct prompt_line *line, int64_t tokens, const struct sampling *sampling,
                            json_t **object);

/* {"id", "line", "error"} */
enum status prompt_error_describe(const struct prompt_line *line, json_t **object);

/* {"path", "step", "fingerprint", "components": {...}}: the checkpoint's folder, the step in its name or null, the SHA-256 of
 * its MANIFEST, which has those of all its files, or null where it has none, and the fingerprints of its components. */
enum status checkpoint_describe(const char *folder, const struct components *components, json_t **object);

#endif
