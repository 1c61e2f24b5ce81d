/* Arrays in what joblib.dump writes. Its pickle does not hold an array but a description of it, an object that the pickle gives its
 * state as usual; behind that operation the array's bytes stand in the file, and then the operations go on. Newer versions
 * align the bytes: the length of a padding comes first, one byte, then the padding, all 0xff. */
#include "io/weights/torch_objects.h"

#define REFUSE(...) status_set(STATUS_CORRUPT, __VA_ARGS__)

static enum status skip_padding(const struct torch_value *wrapper, const unsigned char *bytes, int64_t size,
                                int64_t *taken)
{
    const struct torch_value *alignment = torch_value_get(wrapper, "numpy_array_alignment_bytes");
    if (!alignment || alignment->kind == TORCH_NONE)
        return STATUS_OK;
    if (size < 1 || bytes[0] > size - 1)
        return REFUSE("the padding before an array goes past the end");
    for (int64_t i = 1; i <= bytes[0]; i++)
        if (bytes[i] != 0xff)
            return REFUSE("the padding before an array is not 0xff");
    *taken = 1 + bytes[0];
    return STATUS_OK;
}

/* Bytes of an array of a type that no tensor here can have. */
static enum status opaque_bytes(const struct torch_value *shape, int64_t width, int64_t *bytes)
{
    if (shape->kind != TORCH_TUPLE)
        return REFUSE("the shape of an array is not a tuple");
    *bytes = width;
    for (int64_t i = 0; i < shape->items->count; i++) {
        const struct torch_value *dimension = &shape->items->values[i];
        if (dimension->kind != TORCH_INTEGER || dimension->integer < 0)
            return REFUSE("dimension %lld of an array is not an integer from 0 on", (long long)i);
        if (__builtin_mul_overflow(*bytes, dimension->integer, bytes))
            return REFUSE("the size of an array overflows");
    }
    return STATUS_OK;
}

enum status joblib_read_array(struct torch_objects *objects, const struct torch_value *wrapper,
                              const unsigned char *bytes, int64_t size, int64_t *taken, struct torch_value *array)
{
    const struct torch_value *shape = torch_value_get(wrapper, "shape"), *order = torch_value_get(wrapper, "order");
    const struct torch_value *type = torch_value_get(wrapper, "dtype");
    struct torch_tensor *tensor;
    int64_t length = 0;
    if (!shape || !order || !type || type->kind != PICKLE_DTYPE)
        return REFUSE("an array of joblib without shape, order and dtype");
    if (!torch_value_is(order, "C") && !torch_value_is(order, "F"))
        return REFUSE("an array of joblib in neither of the orders C and F");
    if (type->dtype->width == 0)
        return REFUSE("an array of joblib whose elements are objects or of no fixed size");
    enum status result = skip_padding(wrapper, bytes, size, taken);
    if (result == STATUS_OK)
        result = opaque_bytes(shape, type->dtype->width, &length);
    if (result != STATUS_OK)
        return result;
    if (length > size - *taken)
        return REFUSE("an array of joblib of %lld bytes, of which %lld are there", (long long)length,
                      (long long)(size - *taken));
    const unsigned char *begin = bytes + *taken;
    *taken += length;
    if (!type->dtype->supported || type->dtype->big_endian) {
        *array = (struct torch_value){.kind = TORCH_OPAQUE, .class_name = "numpy.ndarray"};
        return STATUS_OK;
    }
    result = torch_objects_tensor(objects, type->dtype->type, shape, NULL, 0, length / type->dtype->width, &tensor);
    if (result != STATUS_OK)
        return result;
    tensor->tensor.data = begin;
    if (torch_value_is(order, "F"))
        numpy_set_fortran_strides(&tensor->tensor);
    *array = (struct torch_value){.kind = TORCH_TENSOR, .tensor = &tensor->tensor};
    return STATUS_OK;
}
