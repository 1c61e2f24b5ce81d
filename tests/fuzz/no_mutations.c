/* A stand-in for libFuzzer's mutations in programs that are linked without libFuzzer. */
#include "fuzz/fuzz.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t limit)
{
    (void)data;
    (void)limit;
    return size;
}
