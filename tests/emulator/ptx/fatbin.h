/* The PTX inside a fat binary, as nvcc --no-compress lays it into a host object: wrapper {u32 0x466243b1, u32 1, pointer},
 * header {u32 0xba55ed50, u16 1, u16 16, u64 total}, then entries {u16 kind (1 PTX, 2 ELF), u16, u32 header size,
 * u64 payload, u32 compressed size (0: raw) ...}. */
#ifndef SPIRITLM_EMULATOR_FATBIN_H
#define SPIRITLM_EMULATOR_FATBIN_H

#include <stddef.h>
#include <stdint.h>

struct fatbin_ptx {
    const char *text; /* inside the fat binary; without the zeros that end it */
    size_t length;
    int32_t architecture; /* 80 for .target sm_80 */
};

/* Fills at most `capacity` of the entries that hold PTX and returns how many there are; -1 with `error` filled when the
 * wrapper is damaged, or a PTX entry is compressed. */
int fatbin_find_ptx(const void *wrapper, struct fatbin_ptx *found, int capacity, char *error, size_t size);

#endif
