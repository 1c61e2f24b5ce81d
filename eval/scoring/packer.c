/* One row instead of several: a row's end that no sequence fits would be lost, and with one row that happens once per batch. starts[]
 * keeps the sequences from seeing each other. A sequence's last token is only a target and takes no place. For every position the
 * packer remembers where what is said of its target belongs; padding has no target and sees itself alone. */
#include "eval/scoring/packer.h"

#include <stdlib.h>
#include <string.h>

enum {
    POSITIONS = 4096, /* of a batch, unless a single sequence is longer */
    ROUND = 64        /* a batch that is not full ends at a multiple of this */
};

struct packer {
    struct llama *model;
    struct llama_workspace *workspace;
    packer_run *run;
    void *context;
    int64_t length, used;            /* positions, and those that are taken */
    int32_t *ids, *targets, *starts; /* pinned [length] each; the first owns all */
    void **destinations;             /* [length] */
};

static int64_t round_up(int64_t count)
{
    return (count + ROUND - 1) / ROUND * ROUND;
}

static void clear(struct packer *packer)
{
    size_t length = (size_t)packer->length;
    memset(packer->ids, 0, length * sizeof *packer->ids);
    memset(packer->targets, 0xff, length * sizeof *packer->targets);
    memset(packer->destinations, 0, length * sizeof *packer->destinations);
    for (size_t i = 0; i < length; i++)
        packer->starts[i] = (int32_t)i;
    packer->used = 0;
}

enum status packer_create(struct llama *model, const struct packer_options *options, struct packer **out)
{
    enum status result = STATUS_OK;
    struct packer *packer = calloc(1, sizeof *packer);
    void *pinned = NULL;
    *out = NULL;
    if (!packer)
        return status_set(STATUS_INTERNAL, "no memory to score sequences");
    int64_t most = options->longest > POSITIONS ? options->longest : POSITIONS;
    packer->model = model;
    packer->run = options->run;
    packer->context = options->context;
    packer->length = round_up(options->tokens < most ? options->tokens : most);
    TRY(model->kernels->allocate_host(model->context, (size_t)packer->length * 3 * sizeof(int32_t), &pinned));
    packer->ids = pinned;
    packer->targets = packer->ids + packer->length;
    packer->starts = packer->targets + packer->length;
    packer->destinations = calloc((size_t)packer->length, sizeof *packer->destinations);
    if (!packer->destinations)
        FAIL(STATUS_INTERNAL, "no memory to score %lld tokens at a time", (long long)packer->length);
    clear(packer);
    TRY(llama_workspace_create(model, &(struct llama_workspace_options){.rows = 1, .length = packer->length},
                               &packer->workspace));
    *out = packer;
    packer = NULL;
fail:
    packer_destroy(packer);
    return result;
}

void packer_destroy(struct packer *packer)
{
    if (!packer)
        return;
    llama_workspace_destroy(packer->workspace);
    packer->model->kernels->release_host(packer->model->context, packer->ids);
    free(packer->destinations);
    free(packer);
}

enum status packer_flush(struct packer *packer)
{
    if (packer->used == 0)
        return STATUS_OK;
    const struct llama_batch batch = {.rows = 1,
                                      .length = round_up(packer->used),
                                      .ids = packer->ids,
                                      .targets = packer->targets,
                                      .starts = packer->starts};
    enum status result = packer->run(packer->context, packer->workspace, &batch, packer->destinations);
    if (result == STATUS_OK)
        clear(packer);
    return result;
}

bool packer_fits(const struct packer *packer, int64_t reads)
{
    return packer->used + reads <= packer->length;
}

enum status packer_add(struct packer *packer, const int32_t *ids, int64_t reads, int64_t first, void *destination,
                       size_t stride)
{
    if (!packer_fits(packer, reads)) {
        enum status result = packer_flush(packer);
        if (result != STATUS_OK)
            return result;
    }
    int64_t start = packer->used;
    for (int64_t i = 0; i < reads; i++) {
        packer->ids[start + i] = ids[i];
        packer->starts[start + i] = (int32_t)start;
        if (i + 1 >= first) {
            packer->targets[start + i] = ids[i + 1];
            packer->destinations[start + i] = (char *)destination + (size_t)(i + 1 - first) * stride;
        }
    }
    packer->used += reads;
    return STATUS_OK;
}
