#include "support/weights.h"

#include "support/test_support.h"

#include <stdlib.h>
#include <string.h>

static enum status keep(void *argument, int64_t offset, const float *values, int64_t count)
{
    memcpy((float *)argument + offset, values, (size_t)count * sizeof *values);
    return STATUS_OK;
}

struct weight_sink weights_into(float *arena)
{
    return (struct weight_sink){keep, arena};
}

void *device_copy(const struct llama *model, const void *memory, size_t bytes)
{
    void *copy = malloc(bytes ? bytes : 1);
    assert_non_null(copy);
    assert_ok(model->kernels->copy_to_host(model->context, QUEUE_COMPUTE, copy, memory, bytes));
    assert_ok(model->kernels->synchronize(model->context));
    return copy;
}

void *weights_of(const struct llama *model)
{
    size_t size = dtype_size(model->dtype);
    if (!model->binding)
        return device_copy(model, model->weights, (size_t)model->layout.elements * size);
    char *arena = calloc((size_t)model->layout.elements, size);
    assert_non_null(arena);
    for (int64_t i = 0; i < model->layout.count; i++) {
        const struct parameter_view *view = &model->layout.views[i];
        void *tensor = device_copy(model, llama_view_address(model, view), (size_t)view->count * size);
        memcpy(arena + (size_t)view->offset * size, tensor, (size_t)view->count * size);
        free(tensor);
    }
    return arena;
}

void weights_overwrite(struct llama *model, int64_t offset, const float *values, int64_t count)
{
    assert_int_equal(model->dtype, DTYPE_F32);
    assert_ok(model->kernels->copy_to_device(model->context, QUEUE_COMPUTE, (float *)model->weights + offset, values,
                                             (size_t)count * sizeof *values));
    assert_ok(model->kernels->synchronize(model->context));
}
