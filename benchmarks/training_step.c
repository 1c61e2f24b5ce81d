/* What share of plain matrix-product speed does a whole training step of a small model reach? Forward, backward, norm
 * and AdamW at the demo's size, against sgemm of 1024^3 on every thread. The useful work is counted by
 * llama_flops_per_token. Usage: benchmark_training_step [f32|bf16] [rows] [tokens a row] [hidden] [heads] [layers] */
#include "benchmarks/measure.h"
#include "models/llama.h"

struct step {
    struct llama *model;
    struct llama_workspace *workspace;
    struct llama_batch batch;
    float *gradients, *masters, *first, *second, *losses;
    double norm;
    int32_t nonfinite, skip;
    float scale, norm_value;
    int64_t number;
};

static void forward_alone(void *argument)
{
    struct step *s = argument;
    must(llama_losses(s->model, s->workspace, &s->batch, s->losses));
}

static void forward_backward(void *argument)
{
    struct step *s = argument;
    must(llama_forward_backward(s->model, s->workspace, &s->batch, 1e-3f, s->gradients, s->losses, NULL));
}

static void update(void *argument)
{
    struct step *s = argument;
    const struct kernels *kernels = s->model->kernels;
    struct device_context *context = s->model->context;
    int64_t count = s->model->layout.elements;
    struct squared_norm norm = {count, s->gradients, &s->norm, &s->nonfinite, false};
    must(device_context_reserve(kernels, context, kernels->squared_norm_scratch_size(&norm)));
    must(kernels->squared_norm(context, &norm));
    struct clip_scale clip = {&s->norm, 1, &s->scale, &s->norm_value};
    must(kernels->clip_scale(context, &clip));
    struct adamw adamw = {.count = count,
                          .master = s->masters,
                          .first_moment = s->first,
                          .second_moment = s->second,
                          .gradient = s->gradients,
                          .weights = s->model->weights,
                          .weights_type = s->model->dtype,
                          .learning_rate = 1e-4f,
                          .beta1 = 0.9f,
                          .beta2 = 0.95f,
                          .epsilon = 1e-8f,
                          .weight_decay = 0.1f,
                          .step = ++s->number,
                          .scale = &s->scale,
                          .skip = &s->skip};
    must(kernels->adamw(context, &adamw));
    must(kernels->fill_zero(context, s->gradients, (size_t)count * sizeof(float)));
}

static void whole_step(void *argument)
{
    forward_backward(argument);
    update(argument);
}

static void report(const char *name, struct measurement m, double tokens, double flops, struct ceiling ceiling)
{
    printf("%-20s %9.1f %9.1f %9.1f %9.0f", name, 1e3 * m.best, 1e3 * m.median, 1e3 * m.work, tokens / m.best);
    if (flops > 0)
        printf(" %9.1f %8.1f %5.0f %% %5.0f %%", 1e-9 * flops / m.best, ceiling.rate,
               100e-9 * flops / m.best / ceiling.rate, 100e-9 * flops / m.work / ceiling.work);
    printf("\n");
}

int main(int count, char **arguments)
{
    enum dtype type = count > 1 && strcmp(arguments[1], "bf16") == 0 ? DTYPE_BF16 : DTYPE_F32;
    int64_t rows = count > 2 ? atoll(arguments[2]) : 8, length = count > 3 ? atoll(arguments[3]) : 512;
    struct llama_config config = {.vocabulary_size = 2304,
                                  .hidden_size = count > 4 ? atoll(arguments[4]) : 256,
                                  .heads = count > 5 ? atoll(arguments[5]) : 8,
                                  .layers = count > 6 ? atoll(arguments[6]) : 8,
                                  .maximum_positions = length,
                                  .rope_theta = 10000,
                                  .rms_norm_epsilon = 1e-5};
    config.kv_heads = config.heads;
    config.head_size = config.heads > 0 ? config.hidden_size / config.heads : 0;
    config.intermediate_size = (config.hidden_size * 8 / 3 + 63) / 64 * 64;
    must(llama_config_check(&config));
    struct thread_pool *pool;
    struct device_context context;
    const struct kernels *kernels = kernels_cpu();
    must(thread_pool_create(0, &pool));
    must(device_context_create(kernels, pool, 0, &context));
    struct step s = {0};
    must(llama_create(&config, type, kernels, &context, &s.model));
    size_t bytes = (size_t)s.model->layout.elements * sizeof(float);
    float **arenas[] = {&s.gradients, &s.masters, &s.first, &s.second};
    for (int i = 0; i < 4; i++)
        must(kernels->allocate(&context, bytes, (void **)arenas[i]));
    s.losses = must_allocate((size_t)(rows * length) * sizeof(float));
    must(llama_initialize(s.model, 1, 0.02, s.masters));
    must(llama_workspace_create(s.model, rows, length, RECOMPUTATION_NONE, true, &s.workspace));
    int32_t *ids = must_allocate((size_t)(rows * length) * sizeof *ids);
    for (int64_t i = 0; i < rows * length; i++)
        ids[i] = (int32_t)((i * 7919 + i / 17) % config.vocabulary_size);
    s.batch = (struct llama_batch){rows, length, ids, ids, NULL};
    struct ceiling ceiling = gemm_ceiling(pool);
    double tokens = (double)(rows * length);
    double flops = tokens * llama_flops_per_token(&config, length);
    printf("%s, %d threads, %.2f M parameters, %lld x %lld tokens, hidden %lld, %lld heads, %lld layers\n",
           dtype_name(type), thread_pool_threads(pool), 1e-6 * (double)llama_parameter_count(&config), (long long)rows,
           (long long)length, (long long)config.hidden_size, (long long)config.heads, (long long)config.layers);
    printf("%-20s %9s %9s %9s %9s %9s %8s %7s %7s\n", "part", "best ms", "median", "work ms", "tokens/s", "GFLOP/s",
           "ceiling", "clock", "work");
    report("forward", measure(forward_alone, &s, 2), tokens, flops / 3, ceiling);
    report("forward + backward", measure(forward_backward, &s, 3), tokens, flops, ceiling);
    report("norm + AdamW", measure(update, &s, 1), tokens, 0, ceiling);
    report("whole step", measure(whole_step, &s, 4), tokens, flops, ceiling);
    llama_workspace_destroy(s.workspace);
    llama_destroy(s.model);
    for (int i = 0; i < 4; i++)
        kernels->release(&context, *arenas[i]);
    free(s.losses);
    free(ids);
    device_context_destroy(kernels, &context);
    thread_pool_destroy(pool);
    return 0;
}
