/* Rows lie in one block of pinned memory: a copy from it runs beside the host's own work, and one allocation serves all. */
#include "train/rows.h"

_Static_assert((int)TOKEN_KINDS <= (int)LLAMA_LOSS_GROUPS, "each kind of token has a sum of its own");

enum status rows_create(const struct kernels *kernels, const struct device_context *context, int64_t count,
                        int64_t length, int64_t micro_batch, struct rows *rows)
{
    size_t cells = (size_t)(count * length);
    void *memory;
    *rows = (struct rows){0};
    enum status result = kernels->allocate_host(context, cells * (5 * sizeof(int32_t) + sizeof(uint8_t)), &memory);
    if (result != STATUS_OK)
        return status_prefix(result, "%lld rows of %lld tokens", (long long)count, (long long)length);
    int32_t *ids = memory;
    *rows = (struct rows){.count = count,
                          .length = length,
                          .micro_batch = micro_batch,
                          .ids = ids,
                          .targets = ids + cells,
                          .starts = ids + 2 * cells,
                          .positions = ids + 3 * cells,
                          .order = ids + 4 * cells,
                          .groups = (uint8_t *)(ids + 5 * cells),
                          .kernels = kernels,
                          .context = context};
    return STATUS_OK;
}

void rows_destroy(struct rows *rows)
{
    if (rows->ids)
        rows->kernels->release_host(rows->context, rows->ids);
    *rows = (struct rows){0};
}

struct llama_batch rows_batch(const struct rows *rows, int64_t first)
{
    int64_t left = rows->count - first, at = first * rows->length;
    return (struct llama_batch){.rows = left < rows->micro_batch ? left : rows->micro_batch,
                                .length = rows->length,
                                .ids = rows->ids + at,
                                .targets = rows->targets + at,
                                .starts = rows->starts + at,
                                .groups = rows->groups + at,
                                .positions = rows->positions + at,
                                .order = rows->order + at};
}

enum status rows_derive(struct rows *rows, const struct vocabulary *vocabulary, const struct llama_config *config)
{
    enum status result = STATUS_OK;
    for (int kind = 0; kind < TOKEN_KINDS; kind++)
        rows->counts[kind] = 0;
    for (int64_t i = 0; i < rows->count * rows->length; i++) {
        bool counted = rows->targets[i] >= 0;
        enum token_kind kind = counted ? vocabulary_kind(vocabulary, rows->targets[i]) : TOKEN_TEXT;
        rows->groups[i] = (uint8_t)kind;
        rows->counts[kind] += counted;
    }
    for (int64_t first = 0; first < rows->count; first += rows->micro_batch) {
        struct llama_batch batch = rows_batch(rows, first);
        TRY(llama_batch_derive(config, &batch, rows->positions + first * rows->length,
                               rows->order + first * rows->length));
    }
fail:
    return result;
}
