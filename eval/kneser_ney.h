/* An interpolated Kneser-Ney bigram (Kneser and Ney 1995; Chen and Goodman 1999, section 2.7), the baseline of
 * `evaluate learning`: how well one can predict by merely counting pairs.
 *   P(w | v)  = max(c(v w) - D, 0) / c(v) + D N(v .) / c(v) * P1(w)
 *   P1(w)     = max(N(. w) - D1, 0) / N(. .) + D1 T / N(. .) * 1 / V
 * c are counts, N(v .) the number of distinct successors of v, N(. w) that of distinct predecessors of w, N(. .) that
 * of distinct pairs, T that of words with a predecessor, D = n1 / (n1 + 2 n2) of the pair counts, D1 the same of N(.
 * w). A context that was never seen gives P1. */
#ifndef SPIRITLM_EVAL_KNESER_NEY_H
#define SPIRITLM_EVAL_KNESER_NEY_H

#include "core/status.h"

#include <stdint.h>

struct kneser_ney;

/* Symbols are 0..size-1; sequences start in a special context that occurs nowhere else. */
enum status kneser_ney_create(int64_t size, struct kneser_ney **model);
void kneser_ney_free(struct kneser_ney *model);
enum status kneser_ney_add(struct kneser_ney *model, const int32_t *sequence, int64_t count);
enum status kneser_ney_finish(struct kneser_ney *model); /* after the last sequence; needs at least one pair */

/* Natural log of P(word | context); context -1: the start of a sequence. After kneser_ney_finish. */
double kneser_ney_log(const struct kneser_ney *model, int32_t context, int32_t word);

/* Minus the sum of the logs over a sequence, in nats. */
double kneser_ney_nats(const struct kneser_ney *model, const int32_t *sequence, int64_t count);

#endif
