/* The checksummed pieces of an HDF5 file's metadata, so that tests can change what a checksum covers. */
#ifndef SPIRITLM_TESTS_HDF5_METADATA_H
#define SPIRITLM_TESTS_HDF5_METADATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { METADATA_BLOCKS = 100 };

/* data[begin, begin + size); the checksum (4 bytes) follows. */
struct metadata_block {
    size_t begin, size;
};

/* Finds the superblock and the object headers of version 2 that lie wholly in the file; returns how many. */
int metadata_find_blocks(const uint8_t *data, size_t size, struct metadata_block blocks[METADATA_BLOCKS]);

bool metadata_is_sealed(const uint8_t *data, const struct metadata_block *block); /* whether its checksum is right */
void metadata_seal(uint8_t *data, const struct metadata_block *block);            /* makes its checksum right */

#endif
