/* Files of PyTorch, zip files and streams. The mutator takes a zip file apart and puts it together again with right lengths
 * and CRCs, and changes pickles operation by operation (support/torch_mutations.c), since plain mutations stop at a CRC. */
#include "fuzz/fuzz.h"
#include "support/torch_builder.h"

#include "io/weights/torch_archive.h"

#include <string.h>

/* Whether the elements lie within `bytes` of the first, computed independently. */
static bool fits(const struct stored_tensor *tensor)
{
    __int128 elements = 1, last = 0;
    for (int i = 0; i < tensor->rank; i++) {
        if (tensor->shape[i] < 0 || tensor->stride[i] < 0)
            return false;
        elements *= tensor->shape[i];
        if (elements > INT64_MAX)
            return false;
        last += (__int128)(tensor->shape[i] - 1) * tensor->stride[i];
    }
    __int128 size = (__int128)dtype_size(tensor->type);
    return tensor->bytes == (int64_t)(elements > 0 ? (last + 1) * size : 0);
}

/* Whether a tensor of a zip file lies in one record other than the pickle; records are found here by another parser, which
 * does not know ZIP64: what it cannot read holds. */
static bool lies_in_a_record(const struct stored_tensor *tensor, const uint8_t *data, size_t size)
{
    struct zip_piece pieces[ZIP_PIECES];
    int count = zip_take_apart((uint8_t *)(uintptr_t)data, size, pieces);
    if (count == 0 || count == ZIP_PIECES || tensor->bytes == 0 || tensor->copied)
        return true;
    size_t begin = (size_t)((const char *)tensor->data - (const char *)fuzz_mapped);
    for (int i = 0; i < count; i++) {
        size_t start = (size_t)(pieces[i].data - data);
        if (begin >= start && begin + (size_t)tensor->bytes <= start + pieces[i].size)
            return !strstr(pieces[i].name, "data.pkl");
    }
    return false;
}

/* Touches all texts below a value, as far as `steps` go. */
static void walk(const struct torch_value *value, int depth, int *steps)
{
    fuzz_require(depth <= TORCH_DEPTH_LIMIT, "values are not nested deeper than promised");
    fuzz_require(value->kind > TORCH_ABSENT && value->kind <= TORCH_OPAQUE, "values are plain");
    if (--*steps < 0)
        return;
    if (value->kind == TORCH_STRING || value->kind == TORCH_BYTES)
        fuzz_touch(value->text, value->size);
    else if (value->kind == TORCH_OPAQUE)
        fuzz_touch(value->class_name, (int64_t)strlen(value->class_name) + 1);
    else if (value->kind == TORCH_TENSOR)
        fuzz_require(fits(value->tensor), "bytes follow from shape and strides");
    else if (value->kind == TORCH_LIST || value->kind == TORCH_TUPLE || value->kind == TORCH_DICT) {
        fuzz_require(value->items->count >= 0 && value->items->count <= value->items->capacity, "counts are in range");
        for (int64_t i = 0; i < value->items->count; i++)
            walk(&value->items->values[i], depth + 1, steps);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = fuzz_file(data, size);
    struct torch_archive *archive = NULL;
    int steps = 10000;
    enum status status = torch_archive_open(path, &archive);
    if (status != STATUS_OK) {
        fuzz_require(archive == NULL, "a refused file is not given out");
        fuzz_require_refusal(status, path);
        return 0;
    }
    for (int64_t i = 0; i < torch_archive_count(archive); i++) {
        const struct stored_tensor *tensor = torch_archive_tensor(archive, i);
        fuzz_require(torch_archive_find(archive, tensor->name) == tensor, "a tensor is found by its name");
        fuzz_require(i == 0 || strcmp(tensor[-1].name, tensor->name) < 0, "names are unique and in order");
        fuzz_require(tensor->rank >= 0 && tensor->rank <= TENSOR_MAX_RANK, "the rank is in range");
        fuzz_require(tensor->block == BLOCK_NONE && tensor->type < DTYPE_COUNT, "the type is known");
        fuzz_require(fits(tensor), "bytes follow from shape and strides");
        if (i < 100) {
            fuzz_touch(tensor->data, tensor->bytes);
            fuzz_require(lies_in_a_record(tensor, data, size), "a tensor lies in one record");
        }
    }
    walk(torch_archive_root(archive), 0, &steps);
    for (int64_t i = 0; i < torch_archive_class_count(archive); i++)
        fuzz_require(strcmp(torch_archive_class(archive, i), "os.system") != 0, "a file for attacks is refused");
    fuzz_require(torch_archive_verify(archive) == STATUS_OK, "records below 1 MiB were verified");
    torch_archive_close(archive);
    return 0;
}

static size_t mutate(uint8_t *data, size_t size, size_t limit, struct rng *rng)
{
    (void)rng;
    return LLVMFuzzerMutate(data, size, limit);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t limit, unsigned seed)
{
    struct rng rng = rng_make(seed, RNG_TEST, 4, 0);
    return torch_mutate(data, size, limit, &rng, mutate);
}
