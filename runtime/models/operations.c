/* Products and norms of a model as calls of the kernels' table. Weights are stored as [out][in], as checkpoints have them,
 * so a forward product multiplies by the transpose of what is stored and reads both operands along their rows. */
#include "models/operations.h"

enum status compute_measure(const struct compute *compute, size_t scratch)
{
    if (*compute->measure < scratch)
        *compute->measure = scratch;
    return STATUS_OK;
}

enum status linear_forward(const struct compute *compute, const struct linear *linear)
{
    const struct matmul product = {.m = linear->rows,
                                   .n = linear->out,
                                   .k = linear->in,
                                   .batch = 1,
                                   .a = linear->x,
                                   .b = linear->weight,
                                   .c = linear->output,
                                   .addend = linear->addend,
                                   .bias = linear->bias,
                                   .a_type = compute->dtype,
                                   .b_type = compute->dtype,
                                   .c_type = linear->output_type,
                                   .a_row_stride = linear->in,
                                   .b_row_stride = linear->in,
                                   .c_row_stride = linear->output_stride ? linear->output_stride : linear->out,
                                   .b_transposed = true,
                                   .alpha = 1};
    return compute_run(compute, matmul, &product);
}

enum status linear_backward(const struct compute *compute, const struct linear_gradient *linear)
{
    enum status result = STATUS_OK;
    const struct matmul weight = {.m = linear->out,
                                  .n = linear->in,
                                  .k = linear->rows,
                                  .batch = 1,
                                  .a = linear->grad_output,
                                  .b = linear->x,
                                  .c = linear->grad_weight,
                                  .a_type = compute->dtype,
                                  .b_type = compute->dtype,
                                  .c_type = DTYPE_F32,
                                  .a_row_stride = linear->out,
                                  .b_row_stride = linear->in,
                                  .c_row_stride = linear->in,
                                  .a_transposed = true,
                                  .alpha = 1,
                                  .beta = linear->overwrite ? 0 : 1};
    const struct matmul input = {.m = linear->rows,
                                 .n = linear->in,
                                 .k = linear->out,
                                 .batch = 1,
                                 .a = linear->grad_output,
                                 .b = linear->weight,
                                 .c = linear->grad_x,
                                 .a_type = compute->dtype,
                                 .b_type = compute->dtype,
                                 .c_type = compute->dtype,
                                 .a_row_stride = linear->out,
                                 .b_row_stride = linear->in,
                                 .c_row_stride = linear->in,
                                 .alpha = 1};
    TRY(compute_run(compute, matmul, &weight));
    TRY(compute_run(compute, matmul, &input));
fail:
    return result;
}

enum status norm_forward(const struct compute *compute, int64_t rows, int64_t channels, const void *x,
                         const void *weight, float epsilon, void *output, float *rstd)
{
    const struct rmsnorm_forward norm = {.rows = rows,
                                         .channels = channels,
                                         .x = x,
                                         .weight = weight,
                                         .output = output,
                                         .rstd = rstd,
                                         .epsilon = epsilon,
                                         .type = compute->dtype};
    return compute_run(compute, rmsnorm_forward, &norm);
}
