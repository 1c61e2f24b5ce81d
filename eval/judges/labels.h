/* What the classes of a judge are called: id2label of config.json. */
#ifndef SPIRITLM_EVAL_JUDGES_LABELS_H
#define SPIRITLM_EVAL_JUDGES_LABELS_H

#include "core/hash.h"
#include "core/status.h"

#include <stdint.h>

struct judge_labels {
    char **names; /* [count], in lower case */
    int64_t count;
};

/* The labels of FOLDER/config.json for a model of `count` classes; "label_0", "label_1", ... where it has no id2label, as transformers
 * calls them. STATUS_CORRUPT names the file when id2label or num_labels are of another number of classes, when a class has no label,
 * or a label belongs to none. Begins as {0} and is freed by judge_labels_free, after a failure too. */
enum status judge_labels_read(const char *folder, int64_t count, struct judge_labels *labels);
void judge_labels_free(struct judge_labels *labels);

void judge_labels_hash(const struct judge_labels *labels, struct sha256_stream *hash);

/* The first of the greatest. STATUS_CORRUPT names the folder when a logit is not finite, which weights can do that are. */
enum status judge_choose(const char *folder, const double *logits, int64_t count, int32_t *label);

#endif
