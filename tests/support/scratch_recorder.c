/* The operations are wrapped by the list that the kernels' table is made from, so that none is forgotten. */
#include "support/scratch_recorder.h"

#include "support/test_kernels.h"
#include "support/test_support.h"

static size_t largest;

static void note(const char *operation, size_t bytes, const struct device_context *context)
{
    if (bytes > context->scratch_bytes)
        fail_msg("%s needs %zu bytes of scratch, the context has %zu", operation, bytes, context->scratch_bytes);
    largest = bytes > largest ? bytes : largest;
}

#define RECORDED_OPERATION(name)                                                                                       \
    static enum status recorded_##name(const struct device_context *context, const struct name *p)                     \
    {                                                                                                                  \
        note(#name, test_kernels()->name##_scratch_size(p), context);                                                  \
        return test_kernels()->name(context, p);                                                                       \
    }
KERNEL_OPERATIONS(RECORDED_OPERATION)
#undef RECORDED_OPERATION

const struct kernels *scratch_recorder(void)
{
    static struct kernels table;
    table = *test_kernels();
#define RECORD(name) table.name = recorded_##name;
    KERNEL_OPERATIONS(RECORD)
#undef RECORD
    return &table;
}

void scratch_recorder_reset(void)
{
    largest = 0;
}

size_t scratch_recorder_largest(void)
{
    return largest;
}
