/* What was generated, as an object for samples.json. */
#ifndef SPIRITLM_GENERATE_DESCRIBE_H
#define SPIRITLM_GENERATE_DESCRIBE_H

#include "generate/generator.h"

#include <jansson.h>

/* {"kind": "text", "text": "..."} or {"kind": "speech", "units": "..."}. Text that is not UTF-8 has U+FFFD for each
 * malformed byte, and all its bytes in hexadecimal under "bytes". The caller decrefs. */
enum status output_piece_describe(const struct output_piece *piece, json_t **object);

#endif
