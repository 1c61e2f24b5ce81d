/* Two passes over the list: the first only compares names and shapes, so that a file with too few tensors, or a configuration with
 * sizes that no file has, is refused before the memory that it asks for is taken. */
#include "models/parameters.h"

#include "core/array.h"
#include "models/operations.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64, STRIP = 16 };
static const int64_t ELEMENTS_LIMIT = INT64_C(1) << 31;

/* Names of a length and a direction behind the name of the layer. */
static const char *const norm_names[][2] = {{"parametrizations.weight.original0", "parametrizations.weight.original1"},
                                            {"weight_g", "weight_v"}};
enum { NORM_NAMES = 2 };

enum status parameters_add(struct parameters *parameters, enum parameter_order order, int rank, const int64_t *shape,
                           int64_t *offset, const char *format, ...)
{
    enum status result =
        array_grow(&parameters->list, &parameters->capacity, parameters->count + 1, "a model's tensors");
    if (result != STATUS_OK)
        return result;
    struct parameter *parameter = &parameters->list[parameters->count];
    *parameter = (struct parameter){.order = order, .rank = rank, .count = 1};
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(parameter->name, sizeof parameter->name, format, arguments);
    va_end(arguments);
    if (length < 0 || length >= (int)sizeof parameter->name)
        return status_set(STATUS_INTERNAL, "the name of a tensor is too long: %s", parameter->name);
    for (int i = 0; i < rank; i++) {
        parameter->shape[i] = shape[i];
        if (shape[i] < 1 || __builtin_mul_overflow(parameter->count, shape[i], &parameter->count))
            return status_set(STATUS_CORRUPT, "tensor %s: impossible sizes", parameter->name);
    }
    int64_t begin = (parameters->elements + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (parameter->count > ELEMENTS_LIMIT - begin)
        return status_set(STATUS_CORRUPT, "tensor %s: a model of more than %" PRId64 " numbers", parameter->name,
                          ELEMENTS_LIMIT);
    parameter->offset = *offset = begin;
    parameters->elements = begin + parameter->count;
    parameters->count++;
    return STATUS_OK;
}

void parameters_free(struct parameters *parameters)
{
    free(parameters->list);
    *parameters = (struct parameters){0};
}

/* ---- reading ---- */

/* The names of length and direction when the file has them instead of the weight; false: it has neither of them. */
static bool find_norm(const struct named_tensors *tensors, const struct parameter *parameter,
                      char length[static PARAMETER_NAME_BYTES + 64], char direction[static PARAMETER_NAME_BYTES + 64])
{
    size_t size = strlen(parameter->name), suffix = strlen("weight");
    if (size < suffix || strcmp(parameter->name + size - suffix, "weight") != 0 ||
        named_tensors_find(tensors, parameter->name))
        return false;
    for (int i = 0; i < NORM_NAMES; i++) {
        snprintf(length, PARAMETER_NAME_BYTES + 64, "%.*s%s", (int)(size - suffix), parameter->name, norm_names[i][0]);
        snprintf(direction, PARAMETER_NAME_BYTES + 64, "%.*s%s", (int)(size - suffix), parameter->name,
                 norm_names[i][1]);
        if (named_tensors_find(tensors, length) || named_tensors_find(tensors, direction))
            return true;
    }
    return false;
}

enum status parameter_check(const struct named_tensors *tensors, const char *name, int rank, const int64_t *shape)
{
    const struct stored_tensor *stored;
    enum status result = named_tensors_expect(tensors, name, rank, shape, &stored);
    if (result == STATUS_OK && stored->block == BLOCK_NONE &&
        stored->bytes / (int64_t)dtype_size(stored->type) < stored_tensor_elements(stored))
        return status_set(STATUS_CORRUPT, "%s: tensor %s: several of its elements are one number of the file",
                          named_tensors_path(tensors), name);
    return result;
}

static enum status check_tensor(const struct named_tensors *tensors, const struct parameter *parameter)
{
    char length[PARAMETER_NAME_BYTES + 64], direction[PARAMETER_NAME_BYTES + 64];
    const int64_t lengths[] = {parameter->shape[0], 1, 1};
    if (!find_norm(tensors, parameter, length, direction))
        return parameter_check(tensors, parameter->name, parameter->rank, parameter->shape);
    enum status result = parameter_check(tensors, length, parameter->rank, lengths);
    return result == STATUS_OK ? parameter_check(tensors, direction, parameter->rank, parameter->shape) : result;
}

/* w[n] = g[n] v[n] / |v[n]| */
static enum status read_normalised(const struct named_tensors *tensors, const struct parameter *parameter,
                                   const char *length, const char *direction, float *values)
{
    enum status result = STATUS_OK;
    int64_t rows = parameter->shape[0], columns = parameter->count / rows;
    float *lengths = malloc((size_t)rows * sizeof *lengths);
    if (!lengths)
        return status_set(STATUS_INTERNAL, "no memory for tensor %s", length);
    TRY(named_tensors_read(tensors, length, parameter->rank, (int64_t[]){rows, 1, 1}, lengths));
    TRY(named_tensors_read(tensors, direction, parameter->rank, parameter->shape, values));
    for (int64_t n = 0; n < rows; n++) {
        float *row = values + n * columns;
        double squares = 0;
        for (int64_t i = 0; i < columns; i++)
            squares += (double)row[i] * (double)row[i];
        if (!(squares > 0))
            FAIL(STATUS_CORRUPT, "%s: tensor %s: row %" PRId64 " is zero and has no direction",
                 named_tensors_path(tensors), direction, n);
        double scale = (double)lengths[n] / sqrt(squares);
        for (int64_t i = 0; i < columns; i++)
            row[i] = (float)((double)row[i] * scale);
    }
fail:
    free(lengths);
    return result;
}

/* From the order of the file, in `stored`, to that of the arena. */
static void arrange(const struct parameter *parameter, const float *stored, float *values)
{
    int64_t first = parameter->shape[0], second = parameter->rank > 1 ? parameter->shape[1] : 1,
            taps = parameter->rank > 2 ? parameter->shape[2] : 1;
    if (parameter->order == PARAMETER_CONVOLUTION) {
        for (int64_t a = 0; a < first; a++)
            for (int64_t b = 0; b < second; b++)
                for (int64_t k = 0; k < taps; k++)
                    values[(a * taps + k) * second + b] = stored[(a * second + b) * taps + k];
        return;
    }
    for (int64_t strip = 0; strip < first; strip += STRIP) /* so that a line of the cache is written whole */
        for (int64_t b = 0; b < second; b++)
            for (int64_t k = 0; k < taps; k++)
                for (int64_t a = strip; a < first && a < strip + STRIP; a++)
                    values[(k * second + b) * first + a] = stored[(a * second + b) * taps + k];
}

static enum status read_tensor(const struct named_tensors *tensors, const struct parameter *parameter, float *room,
                               float *values)
{
    char length[PARAMETER_NAME_BYTES + 64], direction[PARAMETER_NAME_BYTES + 64];
    float *stored = parameter->order == PARAMETER_AS_STORED ? values : room;
    enum status result = find_norm(tensors, parameter, length, direction)
                             ? read_normalised(tensors, parameter, length, direction, stored)
                             : named_tensors_read(tensors, parameter->name, parameter->rank, parameter->shape, stored);
    if (result == STATUS_OK && stored != values)
        arrange(parameter, stored, values);
    return result;
}

/* All names and shapes, and the numbers of the largest tensor. */
static enum status check_tensors(const struct parameters *parameters, const struct named_tensors *tensors,
                                 int64_t *largest)
{
    enum status result = STATUS_OK;
    *largest = 1;
    for (int64_t i = 0; i < parameters->count; i++) {
        TRY(check_tensor(tensors, &parameters->list[i]));
        *largest = parameters->list[i].count > *largest ? parameters->list[i].count : *largest;
    }
fail:
    return result;
}

enum status parameters_read(const struct parameters *parameters, const struct named_tensors *tensors, float **out)
{
    enum status result = STATUS_OK;
    float *values = NULL, *room = NULL;
    int64_t largest;
    *out = NULL;
    TRY(check_tensors(parameters, tensors, &largest));
    values = calloc((size_t)parameters->elements + 1, sizeof *values);
    room = malloc((size_t)largest * sizeof *room);
    if (!values || !room)
        FAIL(STATUS_INTERNAL, "%s: no memory for its weights", named_tensors_path(tensors));
    for (int64_t i = 0; i < parameters->count; i++)
        TRY(read_tensor(tensors, &parameters->list[i], room, values + parameters->list[i].offset));
    *out = values;
    values = NULL;
fail:
    free(values);
    free(room);
    return result;
}

enum status parameters_send(const struct parameters *parameters, const float *values, const struct kernels *kernels,
                            struct device_context *context, float **memory)
{
    enum status result = STATUS_OK;
    void *device = NULL;
    size_t bytes = (size_t)parameters->elements * sizeof *values;
    *memory = NULL;
    TRY(kernels->allocate(context, bytes, &device));
    TRY(kernels->copy_to_device(context, QUEUE_COMPUTE, device, values, bytes));
    TRY(kernels->synchronize(context));
    *memory = device;
    return STATUS_OK;
fail:
    kernels->release(context, device);
    return result;
}

enum status parameters_load(const struct parameters *parameters, const struct named_tensors *tensors,
                            const struct kernels *kernels, struct device_context *context, struct sha256_stream *hash,
                            float **memory)
{
    enum status result = STATUS_OK;
    void *device = NULL;
    float *room = NULL, *values = NULL;
    int64_t largest;
    *memory = NULL;
    TRY(check_tensors(parameters, tensors, &largest));
    room = malloc((size_t)largest * sizeof *room);
    values = malloc((size_t)largest * sizeof *values);
    if (!room || !values)
        FAIL(STATUS_INTERNAL, "%s: no memory for its largest tensor", named_tensors_path(tensors));
    TRY(kernels->allocate(context, (size_t)parameters->elements * sizeof *values, &device));
    for (int64_t i = 0; i < parameters->count; i++) {
        const struct parameter *parameter = &parameters->list[i];
        size_t bytes = (size_t)parameter->count * sizeof *values;
        TRY(read_tensor(tensors, parameter, room, values));
        sha256_add(hash, values, bytes);
        TRY(kernels->copy_to_device(context, QUEUE_COMPUTE, element_at(device, DTYPE_F32, parameter->offset), values,
                                    bytes));
        TRY(kernels->synchronize(context));
    }
    *memory = device;
    device = NULL;
fail:
    kernels->release(context, device);
    free(room);
    free(values);
    return result;
}
