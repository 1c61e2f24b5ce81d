/* Prompts with their tags and units spelled out. */
#ifndef SPIRITLM_GENERATE_PROMPT_STRING_H
#define SPIRITLM_GENERATE_PROMPT_STRING_H

#include "package/components.h"

/* The ids of "[Text]the cat[Speech][Hu12]", without BOS; allocated for the caller. */
enum status prompt_string_encode(const struct components *components, const char *text, int32_t **ids, int64_t *count);

#endif
