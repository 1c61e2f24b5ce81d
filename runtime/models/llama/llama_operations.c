#include "models/llama/llama_internal.h"

static enum status multiply(struct llama *model, const struct matmul *matmul)
{
    enum status result =
        device_context_reserve(model->kernels, model->context, model->kernels->matmul_scratch_size(matmul));
    return result == STATUS_OK ? model->kernels->matmul(model->context, matmul) : result;
}

enum status llama_linear(struct llama *model, const struct llama_linear *linear)
{
    return multiply(model, &(struct matmul){.m = linear->rows,
                                            .n = linear->out,
                                            .k = linear->in,
                                            .batch = 1,
                                            .a = linear->x,
                                            .b = linear->weight,
                                            .c = linear->output,
                                            .addend = linear->addend,
                                            .a_type = model->dtype,
                                            .b_type = model->dtype,
                                            .c_type = linear->output_type,
                                            .a_row_stride = linear->in,
                                            .b_row_stride = linear->in,
                                            .c_row_stride = linear->out,
                                            .b_transposed = true,
                                            .alpha = 1});
}

enum status llama_linear_backward(struct llama *model, const struct llama_linear_backward *linear)
{
    enum status result = STATUS_OK;
    struct matmul weight = {.m = linear->out,
                            .n = linear->in,
                            .k = linear->rows,
                            .batch = 1,
                            .a = linear->grad_output,
                            .b = linear->x,
                            .c = linear->grad_weight,
                            .a_type = model->dtype,
                            .b_type = model->dtype,
                            .c_type = DTYPE_F32,
                            .a_row_stride = linear->out,
                            .b_row_stride = linear->in,
                            .c_row_stride = linear->in,
                            .a_transposed = true,
                            .alpha = 1,
                            .beta = linear->overwrite ? 0 : 1};
    struct matmul input = {.m = linear->rows,
                           .n = linear->in,
                           .k = linear->out,
                           .batch = 1,
                           .a = linear->grad_output,
                           .b = linear->weight,
                           .c = linear->grad_x,
                           .a_type = model->dtype,
                           .b_type = model->dtype,
                           .c_type = model->dtype,
                           .a_row_stride = linear->out,
                           .b_row_stride = linear->in,
                           .c_row_stride = linear->in,
                           .alpha = 1};
    TRY(multiply(model, &weight));
    TRY(multiply(model, &input));
fail:
    return result;
}

enum status llama_norm(struct llama *model, int64_t rows, const void *x, int64_t weight_offset, void *output,
                       float *rstd)
{
    struct rmsnorm_forward norm = {.rows = rows,
                                   .channels = model->config.hidden_size,
                                   .x = x,
                                   .weight = llama_at(model->weights, model->dtype, weight_offset),
                                   .output = output,
                                   .rstd = rstd,
                                   .epsilon = (float)model->config.rms_norm_epsilon,
                                   .type = model->dtype};
    return model->kernels->rmsnorm_forward(model->context, &norm);
}

enum status llama_rope(struct llama *model, int64_t rows, int64_t heads, void *x, int64_t row_stride,
                       const int32_t *positions, int direction)
{
    struct rope rope = {.tokens = rows,
                        .heads = heads,
                        .head_size = model->config.head_size,
                        .x = x,
                        .row_stride = row_stride,
                        .positions = positions,
                        .cosine = model->rope_cosine,
                        .sine = model->rope_sine,
                        .table_positions = model->config.maximum_positions,
                        .direction = direction,
                        .type = model->dtype};
    return model->kernels->rope(model->context, &rope);
}

enum status llama_swiglu(struct llama *model, int64_t rows, const void *gate_up, void *output)
{
    struct swiglu_forward swiglu = {.rows = rows,
                                    .channels = model->config.intermediate_size,
                                    .gate_up = gate_up,
                                    .output = output,
                                    .type = model->dtype};
    return model->kernels->swiglu_forward(model->context, &swiglu);
}

enum status llama_attention(struct llama *model, const struct attention_forward *attention)
{
    enum status result = device_context_reserve(model->kernels, model->context,
                                                model->kernels->attention_forward_scratch_size(attention));
    return result == STATUS_OK ? model->kernels->attention_forward(model->context, attention) : result;
}
