/* Sequences of any length are packed into rows of one length, and starts[] keeps them from seeing each other, so that
 * little of a batch is padding. For every position the packer remembers where its loss belongs; padding and the last
 * token of a window have none. */
#include "eval/scoring/scorer.h"

#include "core/log.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { POSITIONS = 4096 }; /* of a batch, unless a single row is longer */

/* One batch being filled; where each token's loss belongs. */
struct packer {
    struct llama *model;
    struct llama_workspace *workspace;
    int64_t rows, length, used; /* positions filled of rows * length, rows being filled one after the other */
    void *pinned;               /* what the device reads and writes: ids, targets, starts, losses */
    int32_t *ids, *targets, *starts;
    float *losses, **destinations;
};

static enum status flush(struct packer *packer)
{
    enum status result = STATUS_OK;
    int64_t cells = packer->rows * packer->length;
    if (packer->used == 0)
        return STATUS_OK;
    struct llama_batch batch = {.rows = packer->rows,
                                .length = packer->length,
                                .ids = packer->ids,
                                .targets = packer->targets,
                                .starts = packer->starts};
    TRY(llama_losses(packer->model, packer->workspace, &batch, packer->losses));
    for (int64_t i = 0; i < cells; i++)
        if (packer->destinations[i]) {
            if (!isfinite(packer->losses[i]))
                FAIL(STATUS_CORRUPT, "the model's losses are not finite: its weights are damaged or diverged");
            *packer->destinations[i] = packer->losses[i];
        }
    memset(packer->ids, 0, (size_t)cells * sizeof(int32_t));
    memset(packer->targets, 0xff, (size_t)cells * sizeof(int32_t));
    memset(packer->destinations, 0, (size_t)cells * sizeof(float *));
    for (int64_t i = 0; i < cells; i++)
        packer->starts[i] = (int32_t)(i % packer->length);
    packer->used = 0;
fail:
    return result;
}

/* Adds one window; it must fit a row. */
static enum status add_window(struct packer *packer, const int32_t *ids, int64_t count, float *losses)
{
    enum status result = STATUS_OK;
    int64_t column = packer->used % packer->length;
    if (column + count > packer->length)
        packer->used += packer->length - column;
    if (packer->used + count > packer->rows * packer->length)
        TRY(flush(packer));
    int64_t start = packer->used % packer->length;
    for (int64_t i = 0; i < count; i++) {
        int64_t at = packer->used + i;
        packer->ids[at] = ids[i];
        packer->starts[at] = (int32_t)start;
        if (i + 1 < count) {
            packer->targets[at] = ids[i + 1];
            packer->destinations[at] = losses + i + 1;
        }
    }
    packer->used += count;
fail:
    return result;
}

/* The first id of a later window has no context but is still a token: it is scored by the window's own start, which
 * overlaps the window before by one. */
static enum status add_sequence(struct packer *packer, const struct scored_sequence *sequence)
{
    enum status result = STATUS_OK;
    for (int64_t begin = 0; begin == 0 || begin + 1 < sequence->count; begin += packer->length - 1) {
        int64_t left = sequence->count - begin;
        TRY(add_window(packer, sequence->ids + begin, left < packer->length ? left : packer->length,
                       sequence->losses + begin));
    }
fail:
    return result;
}

static enum status packer_create(struct llama *model, int64_t rows, int64_t length, struct packer *packer)
{
    enum status result = STATUS_OK;
    size_t cells = (size_t)(rows * length);
    *packer = (struct packer){.model = model, .rows = rows, .length = length};
    TRY(model->kernels->allocate_host(model->context, cells * (3 * sizeof(int32_t) + sizeof(float)), &packer->pinned));
    packer->ids = packer->pinned;
    packer->targets = packer->ids + cells;
    packer->starts = packer->targets + cells;
    packer->losses = (float *)(void *)(packer->starts + cells);
    packer->destinations = calloc(cells, sizeof(float *));
    if (!packer->destinations)
        FAIL(STATUS_INTERNAL, "no memory to score sequences of %lld tokens", (long long)length);
    memset(packer->targets, 0xff, cells * sizeof(int32_t));
    for (size_t i = 0; i < cells; i++)
        packer->starts[i] = (int32_t)((int64_t)i % length);
    TRY(llama_workspace_create(model, &(struct llama_workspace_options){.rows = rows, .length = length},
                               &packer->workspace));
fail:
    return result;
}

static void packer_destroy(struct packer *packer)
{
    llama_workspace_destroy(packer->workspace);
    if (packer->model)
        packer->model->kernels->release_host(packer->model->context, packer->pinned);
    free(packer->destinations);
}

enum status scorer_run(struct llama *model, struct scored_sequence *sequences, int64_t count)
{
    enum status result = STATUS_OK;
    int64_t context = model->config.maximum_positions, longest = 0;
    struct packer packer = {0};
    struct progress progress;
    for (int64_t i = 0; i < count; i++) {
        longest = sequences[i].count > longest ? sequences[i].count : longest;
        if (sequences[i].count > 0)
            sequences[i].losses[0] = 0;
    }
    if (longest < 2)
        return STATUS_OK; /* nothing has anything before it */
    if (context < 2)
        return status_set(STATUS_USAGE, "a context of %lld token: nothing can be scored", (long long)context);
    int64_t length = longest < context ? longest : context;
    int64_t rows = length < POSITIONS ? POSITIONS / length : 1;
    TRY(packer_create(model, rows < count ? rows : count, length, &packer));
    progress_start(&progress, "scoring", "sequences", count);
    for (int64_t i = 0; i < count; i++) {
        if (sequences[i].count > 1)
            TRY(add_sequence(&packer, &sequences[i]));
        progress_update(&progress, i + 1, "");
    }
    TRY(flush(&packer));
    progress_finish(&progress, count, "");
fail:
    packer_destroy(&packer);
    return result;
}
