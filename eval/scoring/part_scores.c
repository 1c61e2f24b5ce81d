/* Of a part's different sequences, what is shared goes along the tree of beginnings, and sequences that share nothing are packed. */
#include "eval/scoring/part_scores.h"

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
                                const struct part_meter *meter)
{
    enum status result = STATUS_OK;
    for (int64_t first = 0, last = count; first < last;) {
        bool short_one = !packer_fits(packer, list[first]->count - 1) && packer_fits(packer, list[last - 1]->count - 1);
        TRY(add_sequence(packer, list[short_one ? --last : first++]));
        meter->done(meter->context, 1);
    }
    TRY(packer_flush(packer));
fail:
    return result;
}

/* Sorts the list. */
static enum status pack(struct llama *model, const struct vocabulary_ranges *ranges, struct token_sequence **list,
                        int64_t count, const struct part_meter *meter)
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
    TRY(fill_batches(packer, list, count, meter));
fail:
    packer_destroy(packer);
    score_buffer_free(model, &scorer.buffer);
    return result;
}

/* ---- a part ---- */

enum status part_scores_run(struct llama *model, const struct vocabulary_ranges *ranges, struct token_sequence **list,
                            int64_t count, const struct part_meter *meter)
{
    enum status result = STATUS_OK;
    struct prefix_tree tree = {0};
    int64_t alone = 0;
    TRY(prefix_tree_make((const struct token_sequence *const *)list, count, &tree));
    TRY(branch_scores_run(model, ranges, &tree, meter->done, meter->context));
    for (int64_t child = tree.nodes[0].first_child; child; child = tree.nodes[child].next)
        if (!tree.nodes[child].first_child)
            list[alone++] = list[tree.nodes[child].first]; /* children are in the list's order */
    TRY(pack(model, ranges, list, alone, meter));
fail:
    prefix_tree_free(&tree);
    return result;
}
