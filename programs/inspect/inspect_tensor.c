/* One tensor of weights on a line. Its hash is over the numbers as f32, so that it does not depend on the kind of file. */
#include "core/hash.h"
#include "core/utf8.h"
#include "programs/inspect/inspect.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 4096 };

/* Reads all numbers, as f32: they must be finite, and the hash is that of their little-endian bytes. */
static enum status read_numbers(const char *path, const struct source_tensor *tensor, struct sha256 *hash)
{
    float values[BLOCK];
    struct sha256_stream *stream = sha256_start();
    enum status result = STATUS_OK;
    for (int64_t first = 0, count = source_tensor_elements(tensor); first < count; first += BLOCK) {
        int64_t taken = count - first < BLOCK ? count - first : BLOCK;
        source_tensor_read(tensor, first, taken, values);
        for (int64_t i = 0; i < taken; i++)
            if (!isfinite(values[i]))
                FAIL(STATUS_CORRUPT, "%s: tensor %s: expected finite numbers, found %g at %" PRId64, path, tensor->name,
                     (double)values[i], first + i);
        sha256_add(stream, values, (size_t)taken * sizeof *values);
    }
    *hash = sha256_finish(stream);
    source_tensor_forget(tensor);
    return STATUS_OK;
fail:
    (void)sha256_finish(stream);
    return result;
}

enum status inspect_source_tensor(const char *path, const struct source_tensor *tensor,
                                  const struct inspect_options *options)
{
    struct sha256 hash;
    char digits[65] = "", *name = NULL;
    const struct stored_tensor *part = tensor->parts[0];
    /* A view may repeat its numbers endlessly: such a one is not read. */
    bool repeats =
        part->block == BLOCK_NONE && stored_tensor_elements(part) > part->bytes / (int64_t)dtype_size(part->type);
    bool number = tensor->type <= DTYPE_F64 && !repeats;
    if (number && (options->verify || options->hash)) {
        enum status result = read_numbers(path, tensor, &hash);
        if (result != STATUS_OK)
            return result;
        sha256_hex(&hash, digits);
    }
    enum status printable = utf8_printable(tensor->name, (int64_t)strlen(tensor->name), &name);
    if (printable != STATUS_OK)
        return printable;
    printf("  %s%s%-4s [", options->hash ? digits : "", options->hash && number ? " " : "", stored_type_name(part));
    for (int d = 0; d < tensor->rank; d++)
        printf("%s%" PRId64, d ? ", " : "", tensor->shape[d]);
    printf("]  %s\n", name);
    free(name);
    return STATUS_OK;
}

enum status inspect_stored_tensor(const char *path, const struct stored_tensor *tensor,
                                  const struct inspect_options *options)
{
    struct source_tensor whole = {.name = tensor->name,
                                  .type = tensor->type,
                                  .block = tensor->block,
                                  .rank = tensor->rank,
                                  .parts = &tensor,
                                  .part_count = 1};
    memcpy(whole.shape, tensor->shape, sizeof whole.shape);
    return inspect_source_tensor(path, &whole, options);
}

void inspect_print_sum(int64_t tensors, int64_t elements, int64_t bytes)
{
    printf("  %" PRId64 " tensors, %" PRId64 " numbers, %.1f MiB\n", tensors, elements, (double)bytes / (1 << 20));
}
