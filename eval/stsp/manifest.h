/* The manifests of STSP, JSON lines: prompts with their sentiment, examples, and predictions. */
#ifndef SPIRITLM_EVAL_STSP_MANIFEST_H
#define SPIRITLM_EVAL_STSP_MANIFEST_H

#include "core/status.h"
#include "eval/stsp/sentiment.h"

#include <stdint.h>

enum { STSP_FILE_LIMIT = 1 << 30 }; /* bytes of a manifest */

/* {"id", "sentiment" or "emotion", "wav_path" and/or "asr", ...}. An id is a text or a signed 64-bit integer, and compared as a
 * text: as doubles, ids beyond 2^53 would meet. */
struct stsp_prompt {
    char *id;        /* owned, as all */
    char *recording; /* "wav_path"; NULL: none */
    char *text;      /* "asr"; NULL: none */
    enum sentiment sentiment;
    int64_t line;
};
struct stsp_prompts {
    struct stsp_prompt *items; /* in the order of the file */
    int64_t count, capacity;
};

/* {"prompt", "generation", "sentiment"}: texts or recordings. */
struct stsp_example {
    char *prompt, *generation;
    enum sentiment sentiment;
    int64_t line;
};
struct stsp_examples {
    struct stsp_example *items;
    int64_t count, capacity;
};

/* {"id", "pred"}; other members are ignored. */
struct stsp_prediction {
    char *id;
    enum sentiment sentiment;
};
struct stsp_predictions {
    struct stsp_prediction *items; /* sorted by id */
    int64_t count, capacity;
};

/* All take the text of a file, `where` for errors, and refuse with STATUS_CORRUPT, file and line: what is no object, an id that is
 * there twice or no 64-bit integer, a label that is neither a sentiment nor an emotion, a sentiment and an emotion that
 * contradict each other, a file without a row. What they fill is for their free, also after a failure. */
enum status stsp_prompts_parse(const char *where, const char *text, int64_t size, struct stsp_prompts *prompts);
enum status stsp_examples_parse(const char *where, const char *text, int64_t size, struct stsp_examples *examples);
enum status stsp_predictions_parse(const char *where, const char *text, int64_t size,
                                   struct stsp_predictions *predictions);
void stsp_prompt_free(struct stsp_prompt *prompt); /* one that is taken out of its array */
void stsp_prompts_free(struct stsp_prompts *prompts);
void stsp_examples_free(struct stsp_examples *examples);
void stsp_predictions_free(struct stsp_predictions *predictions);

/* NULL: none. */
const struct stsp_prediction *stsp_predictions_find(const struct stsp_predictions *predictions, const char *id);

#endif
