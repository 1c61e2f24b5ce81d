/* What kernels find wrong in device memory, as sentences. The fault word lies on the device, where kernels write it; the
 * compute queue copies it to pinned memory just before each mark that the host may wait for, so that looking at it after the
 * wait costs nothing. Every mark has a place of its own: what a copy on its way to the host will leave cannot be read yet. */
#include "kernels/cuda/context.h"

#include <stdio.h>

static const char *const operations[] = {
#define OPERATION_NAME(name) [CUDA_##name] = #name,
    KERNEL_OPERATIONS(OPERATION_NAME)
#undef OPERATION_NAME
};

static const char *const findings[] = {
    [CUDA_FAULT_ID] = "id",
    [CUDA_FAULT_TARGET] = "target",
    [CUDA_FAULT_POSITION] = "position",
    [CUDA_FAULT_ROW] = "row",
    [CUDA_FAULT_START] = "start",
    [CUDA_FAULT_LENGTH] = "length",
    [CUDA_FAULT_GROUP] = "group",
    [CUDA_FAULT_ORDER] = "place in the order",
    [CUDA_FAULT_UNSORTED] = "order",
    [CUDA_FAULT_MASK_ROW] = "mask",
    [CUDA_FAULT_SEGMENT] = "segment",
    [CUDA_FAULT_BAND_FIRST] = "band's first bin",
    [CUDA_FAULT_BAND_LENGTH] = "band's length",
    [CUDA_FAULT_BAND_OFFSET] = "band's offset",
    [CUDA_FAULT_END] = "end",
};

/* Whether the operation's lengths are those of keys. */
static bool of_keys(int operation)
{
    return operation == CUDA_attention_forward || operation == CUDA_attention_backward;
}

/* The sentences are the cpu's. */
static void describe(const struct cuda_fault *fault, char *text, size_t size)
{
    int count = (int)(sizeof findings / sizeof *findings);
    bool known = fault->operation >= 0 && fault->operation < CUDA_OPERATIONS && fault->what > 0 && fault->what < count;
    const char *operation = known ? operations[fault->operation] : "a kernel";
    const char *what = known ? findings[fault->what] : "index";
    long long index = fault->index, total = fault->count, value = fault->value, low = fault->low,
              last = fault->high - 1;
    if (fault->what == CUDA_FAULT_START && total > 0)
        snprintf(text, size, "%s: query %lld of row %lld starts at key %lld, the one before it at %lld", operation,
                 index % total, index / total, value, low);
    else if (fault->what == CUDA_FAULT_UNSORTED)
        snprintf(
            text, size,
            "%s: place %lld of %lld in the order has token %lld of id %lld, the one before it token %lld of id %lld",
            operation, index, total, value, (long long)fault->high, (long long)fault->extent, low);
    else if (fault->what == CUDA_FAULT_SEGMENT)
        snprintf(text, size, "%s: segment %lld of %lld has %lld elements from %lld on; %lld..%lld are free", operation,
                 index, total, (long long)fault->extent, value, low, last);
    else if (fault->what == CUDA_FAULT_GROUP)
        snprintf(text, size, "%s: group of row %lld is %lld, outside 0..%lld", operation, index, value, last);
    else
        snprintf(text, size, "%s: %s%s %lld of %lld is %lld, outside %lld..%lld", operation,
                 fault->what == CUDA_FAULT_LENGTH && of_keys(fault->operation) ? "key " : "", what, index, total, value,
                 low, last);
}

enum status cuda_fault_fetch(const struct cuda_libraries *libraries, struct cuda_fault *seen)
{
    return cuda_checked(cudaMemcpyAsync(seen, libraries->fault, sizeof *seen, cudaMemcpyDeviceToHost,
                                        libraries->streams[QUEUE_COMPUTE]),
                        "the copy of the fault word");
}

enum status cuda_fault_status(struct cuda_libraries *libraries, const struct cuda_fault *seen)
{
    if (seen && seen->what != CUDA_FAULT_NONE && !*libraries->fault_text)
        describe(seen, libraries->fault_text, sizeof libraries->fault_text);
    CHECK(!*libraries->fault_text, "%s", libraries->fault_text);
    return STATUS_OK;
}
