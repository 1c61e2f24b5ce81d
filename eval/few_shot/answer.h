/* What a model has written: when it is to stop, where the answer lies in it, and how it went wrong. */
#ifndef SPIRITLM_EVAL_FEW_SHOT_ANSWER_H
#define SPIRITLM_EVAL_FEW_SHOT_ANSWER_H

#include "eval/few_shot/template.h"
#include "package/components.h"

/* How a generation came to its end. */
enum answer_ending {
    ANSWER_ENDED,          /* by the end of the template, or by EOS where the template has no end */
    ANSWER_NO_END,         /* by EOS or another stop, before that end */
    ANSWER_SECOND_BEGIN,   /* it began to answer again */
    ANSWER_OTHER_MODALITY, /* a tag, or a unit where a text was wanted */
    ANSWER_TOO_LONG,       /* by the limit */
    ANSWER_ENDINGS
};
const char *answer_ending_name(enum answer_ending ending); /* "ended", "no_end"... as in samples and results */

struct answer {
    char *text; /* owned: without white space at its ends; bytes that are not UTF-8 are replaced by U+FFFD */
    enum answer_ending ending;
    bool no_begin; /* the template has a beginning of the answer, and it is not there: the answer is all text */
    bool empty;
};

/* A text is searched for stops in what the ids say; tags and units ("[Text]", "[Hu3][Hu7]") are compared as ids. */
struct answer_reader;
enum status answer_reader_create(const struct components *components, const struct prompt_template *pattern,
                                 struct answer_reader **reader);
void answer_reader_free(struct answer_reader *reader); /* NULL is fine */

/* Whether a generation ends with its last id. Depends on the ids alone; threads may share a reader. */
bool answer_stops(const struct answer_reader *reader, const int32_t *ids, int64_t count);

/* Reads the answer of a text task out of all new ids, of which those behind a stop do not matter; `limited`: the generation ended
 * because it was too long. The caller frees answer->text. */
enum status answer_read(const struct answer_reader *reader, const int32_t *ids, int64_t count, bool limited,
                        struct answer *answer);

#endif
