/* Whole prompts of generation tasks: worked examples and an item as ids. */
#ifndef SPIRITLM_EVAL_FEW_SHOT_PROMPTS_H
#define SPIRITLM_EVAL_FEW_SHOT_PROMPTS_H

#include "eval/few_shot/template.h"
#include "package/components.h"

/* Both halves are as they stand in the prompt: a text, or units spelled out. */
struct shot {
    char *id, *prompt, *answer; /* owned */
};
struct shots {
    struct shot *items; /* owned */
    int64_t count, capacity;
};

/* Copies all three. */
enum status shots_add(struct shots *shots, const char *id, const char *prompt, const char *answer);
void shots_free(struct shots *shots);

/* "[Hu12][Hu5]" of the ids of tags and units; the caller frees it. STATUS_INTERNAL for an id of text. */
enum status units_spelled(const struct vocabulary *vocabulary, const int32_t *ids, int64_t count, char **text);
/* The text of an item in the letters of the template; ASCII and all else that has a lower case. The caller frees it. */
enum status text_in_letters(const struct prompt_template *prompt, const char *text, char **out);

struct whole_prompt {
    int32_t *ids; /* owned */
    int64_t count;
    int64_t lost; /* examples that did not fit */
};

/* The examples in their order and the item, whose `prompt` is as in a shot. Where that and template->limit new tokens are more than
 * `context` tokens, the last examples are left out, so that what all items have in common stays at the beginning.
 * STATUS_USAGE when the item does not even fit alone. */
enum status whole_prompt_make(const struct components *components, const struct prompt_template *pattern,
                              const struct shots *shots, const char *item, int64_t context,
                              struct whole_prompt *prompt);

#endif
