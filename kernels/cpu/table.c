#include "kernels/cpu/cpu.h"

#include <cblas.h>
#include <pthread.h>

static enum status copy_to_device(const struct device_context *context, void *device, const void *host, size_t bytes)
{
    return cpu_copy(context, device, host, bytes);
}

static enum status copy_to_host(const struct device_context *context, void *host, const void *device, size_t bytes)
{
    return cpu_copy(context, host, device, bytes);
}

static const struct kernels table = {
    .name = "cpu",
    .open = cpu_open,
    .close = cpu_close,
    .allocate = cpu_allocate,
    .release = cpu_release,
    .copy_to_device = copy_to_device,
    .copy_to_host = copy_to_host,
    .copy = cpu_copy,
    .fill_zero = cpu_fill_zero,
    .synchronize = cpu_synchronize,
    .matmul = cpu_matmul,
    .embedding_forward = cpu_embedding_forward,
    .embedding_backward = cpu_embedding_backward,
    .rmsnorm_forward = cpu_rmsnorm_forward,
    .rmsnorm_backward = cpu_rmsnorm_backward,
    .rope = cpu_rope,
    .attention_forward = cpu_attention_forward,
    .attention_backward = cpu_attention_backward,
    .swiglu_forward = cpu_swiglu_forward,
    .swiglu_backward = cpu_swiglu_backward,
    .cross_entropy = cpu_cross_entropy,
    .convert = cpu_convert,
    .squared_norm = cpu_squared_norm,
    .clip_scale = cpu_clip_scale,
    .adamw = cpu_adamw,
    .matmul_scratch_size = cpu_matmul_scratch_size,
    .rmsnorm_backward_scratch_size = cpu_rmsnorm_backward_scratch_size,
    .attention_forward_scratch_size = cpu_attention_forward_scratch_size,
    .attention_backward_scratch_size = cpu_attention_backward_scratch_size,
    .squared_norm_scratch_size = cpu_squared_norm_scratch_size,
    .describe = cpu_describe,
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void set_one_thread(void)
{
    openblas_set_num_threads(1); /* its own threads change bits, and would compete with ours */
}

const struct kernels *kernels_cpu(void)
{
    pthread_once(&once, set_one_thread);
    return &table;
}
