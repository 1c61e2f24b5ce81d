/* What all operations of the pickle machine use: the bytes that are still to be read, and the stack. */
#include "io/weights/pickle_internal.h"

#include <string.h>

enum status pickle_bytes(struct pickle *pickle, uint64_t count, const unsigned char **bytes)
{
    if (count > (uint64_t)(pickle->size - pickle->at))
        return PICKLE_REFUSE("expected %llu more bytes, found %lld", (unsigned long long)count,
                             (long long)(pickle->size - pickle->at));
    *bytes = pickle->bytes + pickle->at;
    pickle->at += (int64_t)count;
    return STATUS_OK;
}

enum status pickle_line(struct pickle *pickle, int64_t limit, const char **text, int64_t *length)
{
    const char *begin = (const char *)pickle->bytes + pickle->at;
    int64_t left = pickle->size - pickle->at, most = left <= limit ? left : limit + 1;
    const char *end = most > 0 ? memchr(begin, '\n', (size_t)most) : NULL;
    if (!end)
        return PICKLE_REFUSE("a line without an end");
    *text = begin;
    *length = end - begin;
    pickle->at += *length + 1;
    return STATUS_OK;
}

enum status pickle_number(struct pickle *pickle, int count, uint64_t *number)
{
    const unsigned char *bytes;
    enum status result = pickle_bytes(pickle, (uint64_t)count, &bytes);
    *number = 0;
    for (int i = 0; result == STATUS_OK && i < count; i++)
        *number |= (uint64_t)bytes[i] << (8 * i);
    return result;
}

static enum status grow_stack(struct pickle *pickle)
{
    void *stack;
    int64_t capacity = pickle->stack_capacity > 0 ? 2 * pickle->stack_capacity : 64;
    if (capacity > PICKLE_STACK_LIMIT)
        return PICKLE_REFUSE("more than %d values on the stack", PICKLE_STACK_LIMIT);
    enum status result = pickle_take(pickle->memory, capacity * (int64_t)sizeof *pickle->stack, &stack);
    if (result != STATUS_OK)
        return result;
    if (pickle->depth > 0)
        memcpy(stack, pickle->stack, (size_t)pickle->depth * sizeof *pickle->stack);
    pickle->stack = stack;
    pickle->stack_capacity = capacity;
    return STATUS_OK;
}

enum status pickle_stack_start(struct pickle *pickle)
{
    return grow_stack(pickle);
}

enum status pickle_push(struct pickle *pickle, struct torch_value value)
{
    enum status result = pickle->depth < pickle->stack_capacity ? STATUS_OK : grow_stack(pickle);
    if (result == STATUS_OK)
        pickle->stack[pickle->depth++] = value;
    return result;
}

int64_t pickle_reachable(const struct pickle *pickle)
{
    return pickle->depth - (pickle->mark_count > 0 ? pickle->marks[pickle->mark_count - 1] : 0);
}

struct torch_value *pickle_top(struct pickle *pickle)
{
    if (pickle_reachable(pickle) > 0)
        return &pickle->stack[pickle->depth - 1];
    (void)PICKLE_REFUSE("expected a value on the stack, found none");
    return NULL;
}

enum status pickle_pop(struct pickle *pickle, struct torch_value *value)
{
    const struct torch_value *top = pickle_top(pickle);
    if (!top)
        return STATUS_CORRUPT;
    *value = *top;
    pickle->depth--;
    return STATUS_OK;
}
