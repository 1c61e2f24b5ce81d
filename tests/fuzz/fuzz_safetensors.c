/* Tensor files: u64 length, JSON header, data. The mutator keeps the length right most of the time, and the data as
 * long as the header says, so that mutations reach what lies behind those two checks. Files are not mapped but read
 * into memory of their exact size (CMakeLists.txt wraps mmap): the sanitizer does not see past the end of a map, whose
 * last page is filled up with zeros. */
#include "fuzz/fuzz.h"

#include "io/safetensors.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LENGTH = 8 };

void *__wrap_mmap(void *at, size_t size, int protection, int flags, int descriptor, off_t offset);
int __wrap_munmap(void *memory, size_t size);

void *__wrap_mmap(void *at, size_t size, int protection, int flags, int descriptor, off_t offset)
{
    (void)at;
    (void)protection;
    (void)flags;
    void *memory = malloc(size);
    return memory && pread(descriptor, memory, size, offset) == (ssize_t)size ? memory : MAP_FAILED;
}

int __wrap_munmap(void *memory, size_t size)
{
    (void)size;
    free(memory);
    return 0;
}

/* Whether the bytes are what the shape says, counted anew. */
static bool fits(const struct tensor_info *info)
{
    int64_t bytes = (int64_t)dtype_size(info->type);
    for (int i = 0; i < info->rank; i++)
        if (info->shape[i] < 0 || __builtin_mul_overflow(bytes, info->shape[i], &bytes))
            return false;
    return bytes == info->bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = fuzz_file(data, size);
    struct safetensors *file = NULL;
    enum status status = safetensors_open(path, &file);
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

static size_t header_size(const uint8_t *data, size_t size)
{
    uint64_t length = 0;
    for (int i = 0; i < LENGTH; i++)
        length |= (uint64_t)data[i] << (8 * i);
    return length <= size - LENGTH ? (size_t)length : size - LENGTH;
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

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t limit, unsigned seed)
{
    struct rng rng = rng_make(seed, RNG_TEST, 1, 0);
    if (size < LENGTH + 2 || limit < LENGTH + 2 || rng_below(&rng, 8) == 0)
        return LLVMFuzzerMutate(data, size, limit);
    size_t old = header_size(data, size), rest = size - LENGTH - old;
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
