/* Tensor files: u64 length, JSON header, data. The mutator keeps the length right most of the time, and the data as
 * long as the header says, so that mutations reach what lies behind those two checks. */
#include "fuzz/fuzz.h"

#include "io/safetensors.h"

#include <stdlib.h>
#include <string.h>

enum { LENGTH = 8 };

/* Whether the number of bytes is what the shape requires, computed independently. */
static bool fits(const struct tensor_info *info)
{
    int64_t bytes = (int64_t)dtype_size(info->type);
    for (int i = 0; i < info->rank; i++)
        if (info->shape[i] < 0 || __builtin_mul_overflow(bytes, info->shape[i], &bytes))
            return false;
    return bytes == info->bytes;
}

static uint64_t announced_length(const uint8_t *data)
{
    uint64_t length = 0;
    for (int i = 0; i < LENGTH; i++)
        length |= (uint64_t)data[i] << (8 * i);
    return length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = fuzz_file(data, size);
    struct safetensors *file = NULL;
    enum status status = safetensors_open(path, &file);
    /* The JSON library is not compiled with the sanitizer, so this must check that it is not let past the end. */
    if (size >= LENGTH + 2 && announced_length(data) > size - LENGTH)
        fuzz_require(status == STATUS_CORRUPT && strstr(status_text(), "a header of"),
                     "a header longer than the file is not parsed");
    if (status != STATUS_OK) {
        fuzz_require(file == NULL, "a refused file is not given out");
        fuzz_require_refusal(status, path);
        return 0;
    }
    int64_t total = 0;
    for (int64_t i = 0; i < safetensors_count(file); i++) {
        const struct tensor_info *info = safetensors_info(file, i);
        const void *bytes = safetensors_data(file, info);
        fuzz_require(safetensors_find(file, info->name) == info, "a tensor is found by its name");
        fuzz_require(info->rank >= 0 && info->rank <= TENSOR_MAX_RANK, "the rank is in range");
        fuzz_require(fits(info), "bytes follow from the shape");
        fuzz_require((uintptr_t)bytes % dtype_size(info->type) == 0 || info->bytes == 0, "data are aligned");
        fuzz_touch(bytes, info->bytes);
        total += info->bytes;
    }
    fuzz_require(total <= (int64_t)size - LENGTH, "no more data than the file has");
    const char *format = safetensors_metadata(file, "format");
    fuzz_touch(format, format ? (int64_t)strlen(format) : 0);
    safetensors_close(file);
    return 0;
}

/* The largest second number of a "data_offsets". */
static uint64_t announced_end(const uint8_t *header, size_t size)
{
    static const char key[] = "\"data_offsets\"";
    uint64_t most = 0;
    for (size_t i = 0; i + sizeof key - 1 < size; i++) {
        if (memcmp(header + i, key, sizeof key - 1) != 0)
            continue;
        while (i < size && header[i] != ',')
            i++;
        uint64_t end = 0;
        for (i++; i < size && header[i] >= '0' && header[i] <= '9' && end < UINT32_MAX; i++)
            end = 10 * end + (uint64_t)(header[i] - '0');
        most = end > most ? end : most;
    }
    return most;
}

/* A length that is wrong by a little or by a lot. */
static void lie_about_length(uint8_t *data, size_t size, struct rng *rng)
{
    const uint64_t lies[] = {size - LENGTH + 1 + rng_below(rng, 64), size - LENGTH - rng_below(rng, size - LENGTH),
                             (uint64_t)1 << rng_below(rng, 64), UINT64_MAX - rng_below(rng, 64)};
    uint64_t length = lies[rng_below(rng, sizeof lies / sizeof *lies)];
    for (int i = 0; i < LENGTH; i++)
        data[i] = (uint8_t)(length >> (8 * i));
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t limit, unsigned seed)
{
    struct rng rng = rng_make(seed, RNG_TEST, 1, 0);
    if (size < LENGTH + 2 || limit < LENGTH + 2 || rng_below(&rng, 8) == 0)
        return LLVMFuzzerMutate(data, size, limit);
    if (rng_below(&rng, 32) == 0) {
        lie_about_length(data, size, &rng);
        return size;
    }
    if (rng_below(&rng, 32) == 0) /* a truncated file */
        return LENGTH + 1 + rng_below(&rng, size - LENGTH);
    uint64_t announced = announced_length(data);
    size_t old = announced <= size - LENGTH ? (size_t)announced : size - LENGTH, rest = size - LENGTH - old;
    uint8_t *header = malloc(limit);
    if (!header)
        return size;
    memcpy(header, data + LENGTH, old);
    size_t length = fuzz_mutate_json(header, old, limit - LENGTH > rest ? limit - LENGTH - rest : old, &rng);
    uint64_t end = announced_end(header, length);
    bool fit = rng_below(&rng, 4) != 0 && end <= limit - LENGTH - length;
    if (fit || LENGTH + length + rest <= limit) {
        memmove(data + LENGTH + length, data + LENGTH + old, rest < limit - LENGTH - length ? rest : 0);
        memcpy(data + LENGTH, header, length);
        if (fit && end > rest)
            memset(data + LENGTH + length + rest, 0x55, (size_t)end - rest);
        rest = fit ? (size_t)end : rest;
        for (int i = 0; i < LENGTH; i++)
            data[i] = (uint8_t)((uint64_t)length >> (8 * i));
        size = LENGTH + length + rest;
    }
    free(header);
    return size;
}
