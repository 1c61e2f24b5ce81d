/* Matrix products of one context: cuBLASLt's handle and workspace, and the algorithm that each shape got. */
#ifndef SPIRITLM_KERNELS_CUDA_PRODUCTS_H
#define SPIRITLM_KERNELS_CUDA_PRODUCTS_H

#include "kernels/cuda/context.h"
#include "kernels/cuda/sizes/pieces.h"

enum status cuda_products_open(struct cuda_products **products);
void cuda_products_close(struct cuda_products *products); /* NULL is fine; the queues must be empty */
void cuda_products_version(const struct cuda_products *products, char *text, size_t size); /* "13.0.2" */

/* C = alpha op(A) op(B) + beta C by cuBLASLt, k > 0. With `addend` (never together with beta 1), that is added instead of C;
 * with `bias`, which then is aligned to 16 bytes, it is added to every row. */
enum status cuda_products_run(const struct device_context *context, const struct matmul *p);

/* Products of at most MATMUL_FEW_ROWS rows, A not transposed, with all that a matmul can add; row-stable. matmul_few.cu */
enum status cuda_matmul_few(const struct device_context *context, const struct matmul *p);

/* C = product + beta C + addend + bias, where `product` is [batch][m][n] in f32, or NULL: none. matmul_finish.cu */
enum status cuda_matmul_finish(const struct device_context *context, const struct matmul *p, const float *product);

#endif
