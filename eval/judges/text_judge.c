/* The network is runtime/models/roberta; here texts become ids, and logits labels. Texts are taken some at a time, so that memory
 * does not grow with their number. */
#include "eval/judges/text_judge.h"

#include "eval/judges/judge_tokenizer.h"
#include "eval/judges/labels.h"
#include "models/roberta/roberta.h"

#include <stdlib.h>
#include <string.h>

enum { TEXTS_AT_A_TIME = 64 };

struct text_judge {
    char *folder;
    struct roberta *roberta;
    struct roberta_workspace *workspace;
    struct judge_tokenizer *tokenizer;
    struct judge_labels labels;
    double *logits; /* [TEXTS_AT_A_TIME][size] */
    struct sha256 fingerprint;
};

static struct sha256 fingerprint_of(const struct text_judge *judge)
{
    struct sha256_stream *hash = sha256_start();
    sha256_add(hash, "text judge 1", 12);
    sha256_add(hash, roberta_fingerprint(judge->roberta), sizeof(struct sha256));
    sha256_add(hash, judge_tokenizer_fingerprint(judge->tokenizer), sizeof(struct sha256));
    judge_labels_hash(&judge->labels, hash);
    return sha256_finish(hash);
}

enum status text_judge_open(const char *folder, const struct kernels *kernels, struct device_context *context,
                            struct text_judge **out)
{
    enum status result = STATUS_OK;
    struct text_judge *judge = calloc(1, sizeof *judge);
    *out = NULL;
    if (!judge || !(judge->folder = strdup(folder)))
        FAIL(STATUS_INTERNAL, "no memory for a judge");
    TRY(roberta_open(folder, kernels, context, &judge->roberta));
    TRY(judge_labels_read(folder, roberta_classes(judge->roberta), &judge->labels));
    TRY(judge_tokenizer_open(folder, roberta_config(judge->roberta)->vocabulary, &judge->tokenizer));
    TRY(roberta_workspace_create(judge->roberta, context, &judge->workspace));
    judge->logits = malloc((size_t)(TEXTS_AT_A_TIME * judge->labels.count) * sizeof *judge->logits);
    if (!judge->logits)
        FAIL(STATUS_INTERNAL, "no memory for a judge");
    judge->fingerprint = fingerprint_of(judge);
    *out = judge;
    judge = NULL;
fail:
    text_judge_close(judge);
    return result;
}

void text_judge_close(struct text_judge *judge)
{
    if (!judge)
        return;
    roberta_workspace_destroy(judge->workspace);
    roberta_close(judge->roberta);
    judge_tokenizer_close(judge->tokenizer);
    judge_labels_free(&judge->labels);
    free(judge->logits);
    free(judge->folder);
    free(judge);
}

int64_t text_judge_size(const struct text_judge *judge)
{
    return judge->labels.count;
}

const char *text_judge_label(const struct text_judge *judge, int64_t index)
{
    return judge->labels.names[index];
}

int64_t text_judge_limit(const struct text_judge *judge)
{
    return roberta_limit(judge->roberta);
}

const struct sha256 *text_judge_fingerprint(const struct text_judge *judge)
{
    return &judge->fingerprint;
}

static enum status run_some(struct text_judge *judge, const char *const *texts, int64_t count,
                            struct judgement *judgements, double *logits)
{
    enum status result = STATUS_OK;
    int32_t *ids[TEXTS_AT_A_TIME] = {NULL};
    struct roberta_text pieces[TEXTS_AT_A_TIME] = {{NULL, 0}};
    for (int64_t i = 0; i < count; i++) {
        TRY(judge_tokenizer_encode(judge->tokenizer, texts[i], roberta_limit(judge->roberta), &ids[i], &pieces[i].count,
                                   &judgements[i].truncated));
        pieces[i].ids = ids[i];
    }
    TRY(roberta_run(judge->workspace, pieces, count, logits));
    for (int64_t i = 0; i < count; i++)
        TRY(judge_choose(judge->folder, logits + i * judge->labels.count, judge->labels.count, &judgements[i].label));
fail:
    for (int64_t i = 0; i < count; i++)
        free(ids[i]);
    return result;
}

enum status text_judge_run(struct text_judge *judge, const char *const *texts, int64_t count,
                           struct judgement *judgements, double *logits)
{
    enum status result = STATUS_OK;
    for (int64_t first = 0, taken; first < count; first += taken) {
        taken = count - first < TEXTS_AT_A_TIME ? count - first : TEXTS_AT_A_TIME;
        TRY(run_some(judge, texts + first, taken, judgements + first,
                     logits ? logits + first * judge->labels.count : judge->logits));
    }
fail:
    return result;
}
