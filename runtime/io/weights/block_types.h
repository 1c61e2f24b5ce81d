/* Blocks of quantised numbers, one at a time: shared by the readers of stored tensors. */
#ifndef SPIRITLM_IO_WEIGHTS_BLOCK_TYPES_H
#define SPIRITLM_IO_WEIGHTS_BLOCK_TYPES_H

#include "io/weights/stored_tensor.h"

enum { BLOCK_ELEMENTS_LIMIT = 256 };

/* The block_elements(block) numbers of the block that begins at `data`, at any address. */
void block_unpack(enum block_type block, const unsigned char *data, float *values);

#endif
