/* For targets whose parser maps its file: files are not mapped but read into memory of their exact size (CMakeLists.txt wraps
 * mmap), since the sanitizer does not see past the end of a map, whose last page is filled up with zeros. */
#include "fuzz/fuzz.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *__wrap_mmap(void *at, size_t size, int protection, int flags, int descriptor, off_t offset);
int __wrap_munmap(void *memory, size_t size);

const void *fuzz_mapped;

void *__wrap_mmap(void *at, size_t size, int protection, int flags, int descriptor, off_t offset)
{
    (void)at;
    (void)protection;
    (void)flags;
    void *memory = malloc(size);
    fuzz_mapped = memory;
    return memory && pread(descriptor, memory, size, offset) == (ssize_t)size ? memory : MAP_FAILED;
}

int __wrap_munmap(void *memory, size_t size)
{
    (void)size;
    free(memory);
    return 0;
}
