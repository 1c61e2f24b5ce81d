/* Sequences are sorted by their ids, which brings equal ones together, and those that begin alike. Of equal ones the first is computed;
 * what is shared goes along the tree of beginnings, and sequences that share nothing are packed. */
#include "eval/scoring/token_scores.h"

#include "core/log.h"
#include "eval/scoring/branch_scores.h"
#include "eval/scoring/packer.h"

#include <stdlib.h>
#include <string.h>

/* ---- packed ---- */

/* What a batch needs beside the packer. */
struct scorer {
    struct llama *model;
    const struct vocabulary_ranges *ranges;
    struct score_buffer buffer;
};

static enum status run(void *context, struct llama_workspace *workspace, const struct llama_batch *batch,
                       void *const *destinations)
{
    enum status result = STATUS_OK;
    struct scorer *scorer = context;
    TRY(score_buffer_reserve(scorer->model, scorer->ranges, batch->length, &scorer->buffer));
    const struct llama_block_sums sums = score_buffer_sums(scorer->ranges, &scorer->buffer);
    TRY(llama_sum_blocks(scorer->model, workspace, batch, &sums));
    for (int64_t i = 0; i < batch->length; i++)
        if (destinations[i])
            TRY(score_buffer_read(scorer->ranges, &scorer->buffer, i, destinations[i]));
fail:
    return result;
}

/* Long ones first: they leave gaps that short ones fill. */
static int by_length(const void *a, const void *b)
{
    const struct token_sequence *x = *(struct token_sequence *const *)a, *y = *(struct token_sequence *const *)b;
    return x->count != y->count ? (x->count < y->count) - (x->count > y->count) : prefix_compare(x, y);
}

static enum status add_sequence(struct packer *packer, const struct token_sequence *sequence)
{
    return packer_add(packer, sequence->ids, sequence->count - 1, sequence->first, sequence->scores,
                      sizeof *sequence->scores);
}

/* Where the next one does not fit any more, short ones from the other end fill the batch. */
static enum status fill_batches(struct packer *packer, struct token_sequence *const *list, int64_t count,
                                struct progress *progress, int64_t done)
{
    enum status result = STATUS_OK;
    for (int64_t first = 0, last = count; first < last;) {
        bool short_one = !packer_fits(packer, list[first]->count - 1) && packer_fits(packer, list[last - 1]->count - 1);
        TRY(add_sequence(packer, list[short_one ? --last : first++]));
        progress_update(progress, done + first + count - last, "");
    }
    TRY(packer_flush(packer));
fail:
    return result;
}

/* Sorts the list. */
static enum status pack(struct llama *model, const struct vocabulary_ranges *ranges, struct token_sequence **list,
                        int64_t count, struct progress *progress, int64_t done)
{
    enum status result = STATUS_OK;
    struct scorer scorer = {.model = model, .ranges = ranges};
    struct packer *packer = NULL;
    struct packer_options options = {.run = run, .context = &scorer};
    if (count == 0)
        return STATUS_OK;
    qsort(list, (size_t)count, sizeof(struct token_sequence *), by_length);
    options.longest = list[0]->count - 1;
    for (int64_t i = 0; i < count; i++)
        options.tokens += list[i]->count - 1;
    TRY(packer_create(model, &options, &packer));
    TRY(fill_batches(packer, list, count, progress, done));
fail:
    packer_destroy(packer);
    score_buffer_free(model, &scorer.buffer);
    return result;
}

/* ---- equal sequences ---- */

static int by_content_and_place(const void *a, const void *b)
{
    const struct token_sequence *x = *(struct token_sequence *const *)a, *y = *(struct token_sequence *const *)b;
    int order = prefix_compare(x, y);
    return order != 0 ? order : (x > y) - (x < y);
}

static bool equal(struct token_sequence *const *sorted, int64_t i)
{
    return i > 0 && prefix_compare(sorted[i - 1], sorted[i]) == 0;
}

static bool has_scores(const struct token_sequence *sequence)
{
    return sequence->count > sequence->first;
}

/* Pointers to the sequences that have scores, equal ones beside each other, then as they come; *count is how many. NULL: no memory. */
static struct token_sequence **sort_sequences(struct token_sequence *sequences, int64_t *count)
{
    struct token_sequence **sorted = calloc((size_t)*count + 1, sizeof(struct token_sequence *));
    int64_t kept = 0;
    for (int64_t i = 0; sorted && i < *count; i++)
        if (has_scores(&sequences[i]))
            sorted[kept++] = &sequences[i];
    if (sorted)
        qsort(sorted, (size_t)kept, sizeof(struct token_sequence *), by_content_and_place);
    *count = kept;
    return sorted;
}

/* ---- all of them ---- */

struct counter {
    struct progress progress;
    int64_t done;
};

static void count_done(void *context, int64_t sequences)
{
    struct counter *counter = context;
    progress_update(&counter->progress, counter->done += sequences, "");
}

/* `list`, sorted and without equal ones, is left in another order. */
static enum status score_different(struct llama *model, const struct vocabulary_ranges *ranges,
                                   struct token_sequence **list, int64_t count)
{
    enum status result = STATUS_OK;
    struct prefix_tree tree = {0};
    struct counter counter = {0};
    int64_t alone = 0;
    TRY(prefix_tree_make((const struct token_sequence *const *)list, count, &tree));
    progress_start(&counter.progress, "scoring", "sequences", count);
    TRY(branch_scores_run(model, ranges, &tree, count_done, &counter));
    for (int64_t child = tree.nodes[0].first_child; child; child = tree.nodes[child].next)
        if (!tree.nodes[child].first_child)
            list[alone++] = list[tree.nodes[child].first]; /* children are in the list's order */
    TRY(pack(model, ranges, list, alone, &counter.progress, counter.done));
    progress_finish(&counter.progress, count, "");
fail:
    prefix_tree_free(&tree);
    return result;
}

/* Computes the first of each kind, and copies its scores to the others. */
static enum status score_sorted(struct llama *model, const struct vocabulary_ranges *ranges,
                                struct token_sequence **sorted, int64_t count)
{
    enum status result = STATUS_OK;
    int64_t different = 0;
    struct token_sequence **list = calloc((size_t)count + 1, sizeof(struct token_sequence *));
    if (!list)
        FAIL(STATUS_INTERNAL, "no memory to score %lld sequences", (long long)count);
    for (int64_t i = 0; i < count; i++)
        if (!equal(sorted, i))
            list[different++] = sorted[i];
    TRY(score_different(model, ranges, list, different));
    for (int64_t i = 1; i < count; i++)
        if (equal(sorted, i))
            memcpy(sorted[i]->scores, sorted[i - 1]->scores,
                   (size_t)(sorted[i]->count - sorted[i]->first) * sizeof *sorted[i]->scores);
fail:
    free(list);
    return result;
}

enum status token_scores_run(struct llama *model, const struct vocabulary *vocabulary, struct token_sequence *sequences,
                             int64_t count)
{
    enum status result = STATUS_OK;
    int64_t context = model->config.maximum_positions;
    struct vocabulary_ranges ranges;
    struct token_sequence **sorted = NULL;
    for (int64_t i = 0; i < count; i++) {
        if (sequences[i].first < 1)
            return status_set(STATUS_INTERNAL, "the score of token 0 is wanted, which has nothing before it");
        if (has_scores(&sequences[i]) && sequences[i].count - 1 > context)
            return status_set(STATUS_USAGE, "the model reads %lld tokens of a sequence, but its context is %lld",
                              (long long)(sequences[i].count - 1), (long long)context);
    }
    TRY(vocabulary_ranges_find(vocabulary, model->config.vocabulary_size, &ranges));
    sorted = sort_sequences(sequences, &count);
    if (!sorted)
        FAIL(STATUS_INTERNAL, "no memory to score the sequences");
    if (count > 0)
        TRY(score_sorted(model, &ranges, sorted, count));
fail:
    free(sorted);
    return result;
}
