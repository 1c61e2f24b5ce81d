/* What a host can tell of an operation's arguments before any backend sees them: sizes, strides, types, null and aliased
 * arrays. One check per operation, shared by all backends, so that each refuses the same calls with the same text. */
#ifndef SPIRITLM_KERNELS_CHECK_H
#define SPIRITLM_KERNELS_CHECK_H

#include "core/status.h"
#include "kernels/operations.h"

/* Leaves the function with STATUS_INTERNAL and a text, which begins with the operation's name. */
#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return status_set(STATUS_INTERNAL, __VA_ARGS__);                                                           \
    } while (0)

enum { MAXIMUM_HEAD_SIZE = 512 };

static inline bool is_compute_type(enum dtype type)
{
    return type == DTYPE_F32 || type == DTYPE_BF16;
}

#define KERNEL_CHECK(name) enum status check_##name(const struct name *p);
KERNEL_OPERATIONS(KERNEL_CHECK)
#undef KERNEL_CHECK

#endif
