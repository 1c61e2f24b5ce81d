/* Mapping a file. Devices and folders are refused before they are mapped, since each fails in its own odd way. */
#include "io/mapped_file.h"

#include "io/file_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum status mapped_file_open(const char *path, int64_t least, const char *kind, struct mapped_file *file)
{
    enum status result = STATUS_OK;
    struct stat info;
    *file = (struct mapped_file){.path = strdup(path)};
    if (!file->path)
        return status_set(STATUS_INTERNAL, "%s: out of memory", path);
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return status_set_errno(code_of_open(errno), errno, "%s: cannot open", path);
    if (fstat(descriptor, &info) != 0) {
        result = status_set_errno(STATUS_IO, errno, "%s: cannot read its size", path);
        goto fail;
    }
    if (!S_ISREG(info.st_mode))
        FAIL(STATUS_USAGE, "%s: expected a file, found a %s", path, S_ISDIR(info.st_mode) ? "folder" : "device");
    if (info.st_size < least)
        FAIL(STATUS_CORRUPT, "%s: %lld bytes are too few for a %s", path, (long long)info.st_size, kind);
    void *bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (bytes == MAP_FAILED) {
        result = status_set_errno(STATUS_IO, errno, "%s: cannot map into memory", path);
        goto fail;
    }
    file->bytes = bytes;
    file->size = info.st_size;
    (void)madvise(bytes, (size_t)file->size, MADV_SEQUENTIAL); /* a hint: tensors are read from their beginning on */
fail:
    close(descriptor);
    return result;
}

void mapped_file_close(struct mapped_file *file)
{
    if (file->bytes)
        munmap((void *)file->bytes, (size_t)file->size);
    free(file->path);
    *file = (struct mapped_file){0};
}

/* The pages are clean and of a file, so nothing is lost. */
void mapped_bytes_forget(const void *begin, int64_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = ((uintptr_t)begin + page - 1) / page * page,
              end = ((uintptr_t)begin + (uintptr_t)bytes) / page * page;
    if (first < end)
        (void)madvise((void *)first, end - first, MADV_DONTNEED);
}

/* All pages that the bytes touch. */
static void advise(const void *begin, int64_t bytes, int advice)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = (uintptr_t)begin / page * page;
    (void)madvise((void *)first, (uintptr_t)begin + (uintptr_t)bytes - first, advice);
}

/* Fewer pages to bring and to find again. The mapping is read in sequence, as it was opened. (MADV_WILLNEED would bring
 * small pages, and takes more of the processor.) */
void mapped_bytes_expect(const void *begin, int64_t bytes)
{
    advise(begin, bytes, MADV_HUGEPAGE);
}

void mapped_bytes_keep(const void *begin, int64_t bytes)
{
    advise(begin, bytes, MADV_NORMAL);
}
