/* How well a model, of speech and text or of text alone, knows written text: nats per piece, and bits per byte, which can be
 * compared across text models. The same file scored before and after training says how much text was kept. */
#ifndef SPIRITLM_EVAL_TEXTS_H
#define SPIRITLM_EVAL_TEXTS_H

#include "core/hash.h"
#include "core/statistics.h"
#include "models/llama/llama.h"
#include "package/components.h"

struct texts_result {
    struct estimate nats; /* per piece; the first piece of a document, tags and EOS not counted; ratio over documents */
    struct estimate bits; /* per byte of UTF-8 */
    int64_t pieces, bytes;
    int64_t windowed; /* documents longer than the model's context */
    struct sha256 file_hash;
};

/* Every line of the file that is not white space alone is a document, made as training makes documents of text. STATUS_CORRUPT
 * when there is none, or when it is not UTF-8. */
enum status texts_evaluate(struct llama *model, const struct components *components, const char *path,
                           struct texts_result *result);

#endif
