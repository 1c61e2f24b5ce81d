/* RoBERTa (Liu et al. 2019) with a head for the classes of a text: Hugging Face's RobertaForSequenceClassification, in a folder with
 * config.json and weights. Embeddings of pieces, positions and one token type, a layer norm, a transformer that looks both ways with
 * its norms behind attention and feed-forward and the exact GELU; of the last output of the first piece, dense, tanh and out_proj
 * make one logit per class. For inference, in f32; the head on the host, in double.
 *
 * What a text gives depends on its ids alone, to the bit, whatever texts are computed with it: texts share products only where the
 * table of kernels multiplies with tiles of its own; else each is a pass of its own. */
#ifndef SPIRITLM_MODELS_ROBERTA_H
#define SPIRITLM_MODELS_ROBERTA_H

#include "core/hash.h"
#include "kernels/kernels.h"

struct roberta_config {
    int64_t vocabulary, types;
    int64_t positions; /* rows of their table, of which those up to `pad` are no text's */
    int64_t hidden, intermediate, layers, heads;
    int64_t pad; /* the id of padding; positions begin behind it */
    double epsilon;
};

struct roberta;

/* Kernels are borrowed, and `context` too, which allocates the weights and is used until the model is closed. STATUS_CORRUPT names
 * the file and a setting that is not supported, or a tensor that is missing or of another shape or not finite. */
enum status roberta_open(const char *folder, const struct kernels *kernels, struct device_context *context,
                         struct roberta **roberta);
void roberta_close(struct roberta *roberta); /* NULL is fine */

const struct roberta_config *roberta_config(const struct roberta *roberta);
int64_t roberta_classes(const struct roberta *roberta);
int64_t roberta_limit(const struct roberta *roberta); /* pieces of a text, at least 3 */
/* Over configuration and weights, as numbers: the same whatever the format of the file. */
const struct sha256 *roberta_fingerprint(const struct roberta *roberta);

/* Memory for one thread's passes, on a context of its own or the model's; it grows with the longest text. */
struct roberta_workspace;
enum status roberta_workspace_create(const struct roberta *roberta, struct device_context *context,
                                     struct roberta_workspace **workspace);
void roberta_workspace_destroy(struct roberta_workspace *workspace); /* NULL is fine */

struct roberta_text {
    const int32_t *ids; /* with all that belongs around a text, such as <s> and </s> */
    int64_t count;      /* 1 to roberta_limit */
};

/* logits [count][classes], host memory. */
enum status roberta_run(struct roberta_workspace *workspace, const struct roberta_text *texts, int64_t count,
                        double *logits);

#endif
