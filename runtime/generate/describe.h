/* What was generated, for readers: a line for a terminal and an object for samples.json. */
#ifndef SPIRITLM_GENERATE_DESCRIBE_H
#define SPIRITLM_GENERATE_DESCRIBE_H

#include "generate/generator.h"

#include <jansson.h>

/* {"kind": "text", "text": "..."} or {"kind": "speech", "units": "..."}. Text that is not UTF-8 has U+FFFD for each
 * byte that is none, and all its bytes in hexadecimal under "bytes". For the caller to decref. */
enum status output_piece_describe(const struct output_piece *piece, json_t **object);

#endif
