/* What decides which token follows the logits: the ids that an output may consist of, and the settings of the draw. The
 * draw itself is the operation `sample` (kernels/operations.h), so that logits need not leave the device. */
#ifndef SPIRITLM_GENERATE_SAMPLER_H
#define SPIRITLM_GENERATE_SAMPLER_H

#include "core/status.h"
#include "text/text_model.h"

#include <stdint.h>

enum output_modality { OUTPUT_TEXT, OUTPUT_SPEECH, OUTPUT_ANY };

struct sampling {
    double temperature; /* 0: greedy, the first of the largest logits */
    int64_t top_k;      /* 0: all */
    double top_p;       /* 1: all */
};

/* STATUS_USAGE when a value is impossible. */
enum status sampling_check(const struct sampling *sampling);

/* allowed[id] = 1 or 0 for every id of the vocabulary, padding included. TEXT: text pieces and EOS. SPEECH: units and EOS.
 * ANY: both and the tags. BOS, UNK, the other control pieces of the text model and padding rows never (the release leaves
 * them possible; ours bans what no document continues with). `text` NULL: control pieces are not known. */
void output_mask(const struct text_model *text, const struct vocabulary *vocabulary, enum output_modality modality,
                 uint8_t *allowed);

#endif
