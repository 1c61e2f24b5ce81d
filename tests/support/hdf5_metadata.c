#include "support/hdf5_metadata.h"

#include <string.h>

/* Jenkins' lookup3, the checksum of HDF5's metadata (File Format Specification 3.0, appendix): 12 bytes at a time. */
static uint32_t rotate(uint32_t value, int bits)
{
    return value << bits | value >> (32 - bits);
}

static uint32_t metadata_checksum(const uint8_t *bytes, int64_t size)
{
    uint32_t v[3];
    v[0] = v[1] = v[2] = 0xdeadbeef + (uint32_t)size;
    if (size == 0)
        return v[2];
    for (; size > 12; size -= 12, bytes += 12) {
        static const int mix[] = {4, 6, 8, 16, 19, 4};
        for (int i = 0; i < 12; i++)
            v[i / 4] += (uint32_t)bytes[i] << 8 * (i % 4);
        for (int i = 0; i < 6; i++) {
            uint32_t *a = v + i % 3, *b = v + (i + 1) % 3, *c = v + (i + 2) % 3;
            *a = (*a - *c) ^ rotate(*c, mix[i]);
            *c += *b;
        }
    }
    for (int i = 0; i < size; i++)
        v[i / 4] += (uint32_t)bytes[i] << 8 * (i % 4);
    static const int final[] = {14, 11, 25, 16, 4, 14, 24};
    for (int i = 0; i < 7; i++) {
        uint32_t *to = v + (i + 2) % 3, *from = v + (i + 1) % 3;
        *to = (*to ^ *from) - rotate(*from, final[i]);
    }
    return v[2];
}

int metadata_find_blocks(const uint8_t *data, size_t size, struct metadata_block blocks[METADATA_BLOCKS])
{
    int count = 0;
    if (size < 48)
        return 0;
    blocks[count++] = (struct metadata_block){0, 44};
    for (size_t i = 48; i + 16 < size && count < METADATA_BLOCKS; i++) {
        if (memcmp(data + i, "OHDR\2", 5) != 0)
            continue;
        size_t width = (size_t)1 << (data[i + 5] & 3);
        uint64_t messages = 0;
        memcpy(&messages, data + i + 6, width);
        if (messages < size && i + 6 + width + messages + 4 <= size)
            blocks[count++] = (struct metadata_block){i, 6 + width + (size_t)messages};
    }
    return count;
}

bool metadata_is_sealed(const uint8_t *data, const struct metadata_block *block)
{
    uint32_t checksum = metadata_checksum(data + block->begin, (int64_t)block->size);
    return memcmp(data + block->begin + block->size, &checksum, sizeof checksum) == 0;
}

void metadata_seal(uint8_t *data, const struct metadata_block *block)
{
    uint32_t checksum = metadata_checksum(data + block->begin, (int64_t)block->size);
    memcpy(data + block->begin + block->size, &checksum, sizeof checksum);
}
