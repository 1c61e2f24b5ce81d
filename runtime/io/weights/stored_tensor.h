/* A tensor as a file of weights holds it, whatever the file's format: the reader of each format (io/safetensors.h,
 * io/weights/gguf.h, io/weights/torch_archive.h) fills these, and whoever wants numbers reads them here. Nothing is copied but
 * small arrays that a file holds in another form: `data` points into the mapped file, at any address. */
#ifndef SPIRITLM_IO_WEIGHTS_STORED_TENSOR_H
#define SPIRITLM_IO_WEIGHTS_STORED_TENSOR_H

#include "io/safetensors.h"

#include <stdbool.h>
#include <stdint.h>

/* Numbers that share their scales in blocks along a row (ggml's block_q4_0 and so on). */
enum block_type {
    BLOCK_NONE,
    BLOCK_Q4_0, /* 32 numbers: f16 scale d, 4 bits each: d * (q - 8) */
    BLOCK_Q4_1, /* 32 numbers: f16 d and minimum m, 4 bits: d * q + m */
    BLOCK_Q5_0, /* 32 numbers: f16 d, 5 bits: d * (q - 16) */
    BLOCK_Q5_1, /* 32 numbers: f16 d and m, 5 bits: d * q + m */
    BLOCK_Q8_0, /* 32 numbers: f16 d, 8 bits with a sign: d * q */
    BLOCK_Q4_K, /* 256 numbers: f16 d and m for 8 groups, each with 6 bits of scale and of minimum; 4 bits */
    BLOCK_TYPES
};
int64_t block_elements(enum block_type block); /* numbers per block; 1 for BLOCK_NONE */
int64_t block_bytes(enum block_type block);    /* 0 for BLOCK_NONE: the dtype says */

struct stored_tensor {
    const char *name; /* owned by the file */
    enum block_type block;
    enum dtype type; /* of one element; F32 for blocks, which are read as such */
    int rank;
    int64_t shape[TENSOR_MAX_RANK];  /* outermost first, as PyTorch has it */
    int64_t stride[TENSOR_MAX_RANK]; /* elements from one to the next; all elements lie inside the data */
    const void *data;                /* of element [0, 0...] */
    int64_t bytes;                   /* from `data` to the end of the last element or block */
    bool copied;                     /* `data` does not lie in the mapped file, but in the reader's memory */
};

const char *stored_type_name(const struct stored_tensor *tensor); /* "f16", "q4_1" */
int64_t stored_tensor_elements(const struct stored_tensor *tensor);

/* Strides of elements that lie one after the other in the order of their indices. */
void stored_tensor_pack(struct stored_tensor *tensor);

/* Whether the elements lie one after the other in the order of their indices. Always true for blocks. */
bool stored_tensor_is_dense(const struct stored_tensor *tensor);

/* Elements [first, first + count) in the order of their indices, as f32. Any first and count inside the tensor, also in
 * the middle of a block. The type is F32, BF16, F16 or F64, or a block type. Bits are those of PyPI's `gguf`: products and
 * sums in f32, each rounded. */
void stored_tensor_read(const struct stored_tensor *tensor, int64_t first, int64_t count, float *values);

/* The tensor has been read: its pages are this process's memory no longer. */
void stored_tensor_forget(const struct stored_tensor *tensor);

#endif
