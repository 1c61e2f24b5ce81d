/* How a generation task asks: what a worked example and the item itself look like, where the answer lies, and how it is
 * decoded. A file of the section `prompt` (configs/prompts/), so that a user can change any of it; its hash is in the results.
 *
 * A shot and an item are strings as a user would type them, with tags spelled out: "[Speech]{prompt}[Text]{answer}". {prompt} and
 * {answer} stand for a text or for units, "[Hu12][Hu5]". The ids of a whole prompt are those that transformers gives for the
 * checkpoint's tokenizer and that string. */
#ifndef SPIRITLM_EVAL_FEW_SHOT_TEMPLATE_H
#define SPIRITLM_EVAL_FEW_SHOT_TEMPLATE_H

#include "core/hash.h"
#include "core/path.h"
#include "generate/sampler.h"
#include "io/config.h"

enum template_letters { LETTERS_KEEP, LETTERS_LOWER };

struct prompt_template {
    const char *shot, *item; /* strings of the config, as all below */
    const char *alone;       /* the item where there are no examples; "": as `item` */
    const char *separator;   /* between two shots */
    const char *last;        /* behind the last shot */
    const char *begin;       /* the answer follows this; "": it begins at once */
    const char *end;         /* and ends before it; "": with the generation */
    struct config_list stop; /* the generation ends when one of these has been written, or a unit "[Hu3]" or tag */
    int output;              /* enum output_modality */
    int letters;             /* enum template_letters: of texts that are put into prompts */
    int64_t limit;           /* new tokens */
    int64_t tries;           /* until the answer can be decoded */
    double temperature, top_p;
    int64_t top_k;
    struct sha256 hash; /* of all values */
    struct config *config;
};

/* STATUS_USAGE names file and line of what is wrong: {answer} in an item, a lone brace, no {prompt}. `template` is for
 * template_free, also after a failure. */
enum status template_read(const char *path, struct prompt_template *prompt);
void template_free(struct prompt_template *prompt);

/* The file of a task: `given`, or if that is "" NAME.yaml of the folder configs/prompts that came with the program. */
enum status template_find(const char *given, const char *name, char path[static PATH_BYTES]);

/* A shot or an item with its parts in it, which are taken as they are; the caller frees it. `answer` is not used in items. */
enum status template_fill(const char *pattern, const char *prompt, const char *answer, char **text);

#endif
