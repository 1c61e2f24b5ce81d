/* Shapes and strides of PyTorch's tensors, checked against the storage below them, and the place of their data. */
#include "io/weights/torch_objects.h"

#define REFUSE(...) status_set(STATUS_CORRUPT, __VA_ARGS__)

static bool is_integer(const struct torch_value *value, int64_t least)
{
    return value->kind == TORCH_INTEGER && value->integer >= least;
}

/* The elements of the shape, whose dimensions must be integers from 0 on; overflow is refused even where another dimension
 * is 0. */
static enum status read_shape(struct stored_tensor *tensor, const struct torch_value *shape, int64_t *elements)
{
    int64_t bytes = (int64_t)dtype_size(tensor->type);
    bool empty = false;
    if (shape->kind != TORCH_TUPLE && shape->kind != TORCH_LIST)
        return REFUSE("a tensor's shape is not a tuple");
    if (shape->items->count > TENSOR_MAX_RANK)
        return REFUSE("a tensor of %lld dimensions; at most %d are supported", (long long)shape->items->count,
                      TENSOR_MAX_RANK);
    tensor->rank = (int)shape->items->count;
    for (int i = 0; i < tensor->rank; i++) {
        if (!is_integer(&shape->items->values[i], 0))
            return REFUSE("dimension %d of a tensor is not an integer from 0 on", i);
        tensor->shape[i] = shape->items->values[i].integer;
        empty |= tensor->shape[i] == 0;
        if (tensor->shape[i] > 0 && __builtin_mul_overflow(bytes, tensor->shape[i], &bytes))
            return REFUSE("a tensor's size overflows at its dimension %d, %lld", i, (long long)tensor->shape[i]);
    }
    *elements = empty ? 0 : bytes / (int64_t)dtype_size(tensor->type);
    return STATUS_OK;
}

static enum status read_strides(struct stored_tensor *tensor, const struct torch_value *stride)
{
    int64_t dense = 1;
    if (stride && ((stride->kind != TORCH_TUPLE && stride->kind != TORCH_LIST) || stride->items->count != tensor->rank))
        return REFUSE("a tensor of %d dimensions without as many strides", tensor->rank);
    for (int i = tensor->rank - 1; i >= 0; i--) {
        if (stride && !is_integer(&stride->items->values[i], 0))
            return REFUSE("stride %d of a tensor is not an integer from 0 on", i);
        tensor->stride[i] = stride ? stride->items->values[i].integer : dense;
        dense *= tensor->shape[i] > 0 ? tensor->shape[i] : 1; /* read_shape has found no overflow */
    }
    return STATUS_OK;
}

enum status torch_objects_tensor(struct torch_objects *objects, enum dtype type, const struct torch_value *shape,
                                 const struct torch_value *stride, int64_t first, int64_t count,
                                 struct torch_tensor **out)
{
    void *memory;
    int64_t elements = 0, last = 0;
    enum status result = pickle_take(objects->memory, sizeof(struct torch_tensor), &memory);
    if (result != STATUS_OK)
        return result;
    struct torch_tensor *tensor = memory;
    tensor->tensor.name = "";
    tensor->tensor.type = type;
    tensor->first = first;
    result = read_shape(&tensor->tensor, shape, &elements);
    if (result == STATUS_OK)
        result = read_strides(&tensor->tensor, stride);
    if (result != STATUS_OK)
        return result;
    for (int i = 0; elements > 0 && i < tensor->tensor.rank; i++) {
        int64_t step;
        if (__builtin_mul_overflow(tensor->tensor.shape[i] - 1, tensor->tensor.stride[i], &step) ||
            __builtin_add_overflow(last, step, &last))
            return REFUSE("a tensor's strides overflow at its dimension %d", i);
    }
    if (first < 0 || first > count || (elements > 0 && last >= count - first))
        return REFUSE("a tensor's elements %lld to %lld lie outside of the %lld of its storage", (long long)first,
                      (long long)last, (long long)count);
    tensor->tensor.bytes = elements > 0 ? (last + 1) * (int64_t)dtype_size(type) : 0;
    tensor->next = objects->tensors;
    objects->tensors = tensor;
    *out = tensor;
    return STATUS_OK;
}

void torch_objects_place(struct torch_objects *objects)
{
    for (struct torch_tensor *tensor = objects->tensors; tensor; tensor = tensor->next) {
        const struct torch_storage *storage = tensor->storage;
        if (!storage)
            continue;
        int64_t size = (int64_t)dtype_size(tensor->tensor.type);
        tensor->tensor.data =
            storage->bytes + storage->first * (int64_t)dtype_size(storage->type) + tensor->first * size;
    }
}
