/* Reading the elements of a stored tensor: dense ones are converted in one go, those with strides index by index, and blocks
 * (block_types.c) are unpacked one at a time, the first and the last perhaps in part. */
#include "io/weights/stored_tensor.h"

#include "io/mapped_file.h"
#include "io/weights/block_types.h"

#include <string.h>

const char *stored_type_name(const struct stored_tensor *tensor)
{
    static const char *const blocks[BLOCK_TYPES] = {"", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q4_k"};
    return tensor->block == BLOCK_NONE ? dtype_name(tensor->type) : blocks[tensor->block];
}

int64_t stored_tensor_elements(const struct stored_tensor *tensor)
{
    int64_t count = 1;
    for (int i = 0; i < tensor->rank; i++)
        count *= tensor->shape[i];
    return count;
}

void stored_tensor_pack(struct stored_tensor *tensor)
{
    int64_t stride = 1;
    for (int i = tensor->rank - 1; i >= 0; i--) {
        tensor->stride[i] = stride;
        stride *= tensor->shape[i];
    }
}

bool stored_tensor_is_dense(const struct stored_tensor *tensor)
{
    int64_t expected = 1;
    for (int i = tensor->rank - 1; i >= 0; i--) {
        if (tensor->shape[i] != 1 && tensor->stride[i] != expected)
            return false;
        expected *= tensor->shape[i];
    }
    return true;
}

static void read_blocks(const struct stored_tensor *tensor, int64_t first, int64_t count, float *values)
{
    int64_t elements = block_elements(tensor->block), bytes = block_bytes(tensor->block);
    while (count > 0) {
        float unpacked[BLOCK_ELEMENTS_LIMIT];
        int64_t block = first / elements, begin = first % elements;
        int64_t taken = elements - begin < count ? elements - begin : count;
        bool whole = taken == elements;
        block_unpack(tensor->block, (const unsigned char *)tensor->data + block * bytes, whole ? values : unpacked);
        if (!whole)
            memcpy(values, unpacked + begin, (size_t)taken * sizeof *values);
        values += taken;
        first += taken;
        count -= taken;
    }
}

/* Through a type without strides: safetensors' conversion, which takes data at any address. */
static void read_dense(const struct stored_tensor *tensor, const void *data, int64_t first, int64_t count,
                       float *values)
{
    const struct tensor_info info = {.type = tensor->type};
    tensor_to_float(&info, data, first, count, values);
}

static void read_strided(const struct stored_tensor *tensor, int64_t first, int64_t count, float *values)
{
    int64_t index[TENSOR_MAX_RANK] = {0}, rest = first, offset = 0;
    for (int i = tensor->rank - 1; i >= 0; i--) {
        index[i] = rest % tensor->shape[i];
        rest /= tensor->shape[i];
        offset += index[i] * tensor->stride[i];
    }
    for (int64_t n = 0; n < count; n++) {
        read_dense(tensor, tensor->data, offset, 1, &values[n]);
        for (int i = tensor->rank - 1; i >= 0; i--) { /* to the next index */
            offset += tensor->stride[i];
            if (++index[i] < tensor->shape[i])
                break;
            offset -= tensor->shape[i] * tensor->stride[i];
            index[i] = 0;
        }
    }
}

void stored_tensor_read(const struct stored_tensor *tensor, int64_t first, int64_t count, float *values)
{
    if (count <= 0)
        return;
    if (tensor->block != BLOCK_NONE)
        read_blocks(tensor, first, count, values);
    else if (stored_tensor_is_dense(tensor))
        read_dense(tensor, tensor->data, first, count, values);
    else
        read_strided(tensor, first, count, values);
}

void stored_tensor_forget(const struct stored_tensor *tensor)
{
    if (!tensor->copied)
        mapped_bytes_forget(tensor->data, tensor->bytes);
}
