/* What all makers of communicators share: the arguments are checked here, once, so that every maker refuses the same calls
 * with the same text, and the arithmetic of sums and maxima lies in one place, so that all have the same bits. */
#include "comm/comm_internal.h"

int comm_rank(const struct comm *comm)
{
    return comm->rank;
}

int comm_size(const struct comm *comm)
{
    return comm->size;
}

/* Bytes of `slices` times `count` elements; refuses what no buffer can hold. */
static enum status check_count(const struct comm *comm, const char *what, int64_t slices, int64_t count,
                               enum dtype type)
{
    int64_t bytes;
    if (count < 0 || __builtin_mul_overflow(count, slices, &bytes) ||
        __builtin_mul_overflow(bytes, (int64_t)dtype_size(type), &bytes))
        return status_set(STATUS_INTERNAL, "rank %d: %s of %lld elements", comm->rank, what, (long long)count);
    return STATUS_OK;
}

static enum status refuse_type(const struct comm *comm, const char *what, enum dtype type)
{
    return status_set(STATUS_INTERNAL, "rank %d: %s of %s is not supported", comm->rank, what, dtype_name(type));
}

enum status comm_all_reduce(struct comm *comm, void *data, int64_t count, enum dtype type,
                            enum comm_reduction reduction)
{
    if (type != DTYPE_F32 && type != DTYPE_F64 && type != DTYPE_I32 && type != DTYPE_I64)
        return refuse_type(comm, "all_reduce", type);
    enum status result = check_count(comm, "all_reduce", 1, count, type);
    return result == STATUS_OK ? comm->methods->all_reduce(comm, data, count, type, reduction) : result;
}

enum status comm_all_gather(struct comm *comm, void *data, int64_t count, enum dtype type)
{
    enum status result = check_count(comm, "all_gather", comm->size, count, type);
    return result == STATUS_OK ? comm->methods->all_gather(comm, data, count * (int64_t)dtype_size(type)) : result;
}

enum status comm_broadcast(struct comm *comm, void *data, int64_t bytes, int root)
{
    if (root < 0 || root >= comm->size)
        return status_set(STATUS_INTERNAL, "rank %d: broadcast from rank %d of %d", comm->rank, root, comm->size);
    enum status result = check_count(comm, "broadcast", 1, bytes, DTYPE_U8);
    return result == STATUS_OK ? comm->methods->broadcast(comm, data, bytes, root) : result;
}

enum status comm_barrier(struct comm *comm)
{
    return comm->methods->barrier(comm);
}

void comm_abort(struct comm *comm, const char *reason)
{
    comm->methods->abort(comm, reason);
}

void comm_destroy(struct comm *comm)
{
    if (comm)
        comm->methods->destroy(comm);
}

/* The integers are added without sign, where running over is defined. */
#define COMBINE(name, element, sum)                                                                                    \
    static void name(element *into, const element *from, int64_t count, enum comm_reduction reduction)                 \
    {                                                                                                                  \
        if (reduction == COMM_SUM)                                                                                     \
            for (int64_t i = 0; i < count; i++)                                                                        \
                into[i] = (element)((sum)into[i] + (sum)from[i]);                                                      \
        else                                                                                                           \
            for (int64_t i = 0; i < count; i++)                                                                        \
                into[i] = from[i] > into[i] || from[i] != from[i] ? from[i] : into[i];                                 \
    }

COMBINE(combine_f32, float, float)
COMBINE(combine_f64, double, double)
COMBINE(combine_i32, int32_t, uint32_t)
COMBINE(combine_i64, int64_t, uint64_t)

void comm_combine(void *into, const void *from, int64_t count, enum dtype type, enum comm_reduction reduction)
{
    if (type == DTYPE_F32)
        combine_f32(into, from, count, reduction);
    else if (type == DTYPE_F64)
        combine_f64(into, from, count, reduction);
    else if (type == DTYPE_I32)
        combine_i32(into, from, count, reduction);
    else
        combine_i64(into, from, count, reduction);
}

enum status comm_agree(struct comm *comm, enum status status)
{
    int32_t worst = (int32_t)status;
    enum status told = comm_all_reduce(comm, &worst, 1, DTYPE_I32, COMM_MAX);
    if (told != STATUS_OK)
        return told;
    return status == STATUS_OK && worst ? status_set((enum status)worst, "another rank failed") : status;
}
