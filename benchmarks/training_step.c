/* A whole training step as `train` takes it, AdamW and clipping included: which share of its time are the products of
 * its weights, how fast are those beside plain sgemm, what takes the rest, and does memory grow as the plan says?
 *   benchmark_training_step [15M|110M|1B] [f32|bf16] [none|light|block] [auto|own|openblas|onednn]
 * 4 x 1024 tokens, vocabulary 32768, tied head, no accumulation. Each product of the step is timed once more alone,
 * through the same operation on the same memory: "fraction" is the sum of those times over the time of the step. */
#include "benchmarks/measure.h"
#include "benchmarks/model_sizes.h"
#include "benchmarks/profile.h"
#include "kernels/cpu/cpu.h"
#include "models/llama/llama.h"
#include "train/optimizer.h"

enum { ROWS = 4, LENGTH = 1024, TOKENS = ROWS * LENGTH };

struct step {
    struct thread_pool *pool;
    struct device_context context;
    struct comm *comm;
    struct device_comm *device_comm;
    struct kernels kernels; /* the cpu's table, profiled */
    struct llama *model;
    struct llama_workspace *workspace;
    struct optimizer *optimizer;
    struct llama_batch batch;
    int64_t number;
};

static void take_step(void *argument)
{
    struct step *s = argument;
    const struct llama_bucket_hook hook = optimizer_hook(s->optimizer);
    const struct llama_step step = {
        .loss_scale = 1.0f / TOKENS, .gradients = s->optimizer->gradients, .overwrite = true, .hook = &hook};
    must(optimizer_finish_update(s->optimizer));
    must(llama_forward_backward(s->model, s->workspace, &s->batch, &step));
    must(optimizer_measure(s->optimizer));
    must(s->kernels.synchronize(&s->context));
    must(optimizer_update(s->optimizer, 1e-4, ++s->number));
}

static int find(const char *const *names, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    fprintf(stderr, "error: %s is none of", name);
    for (int i = 0; i < count; i++)
        fprintf(stderr, " %s", names[i]);
    fprintf(stderr, "\n");
    exit(2);
}

static struct llama_workspace_options workspace_options(enum recomputation recomputation)
{
    return (struct llama_workspace_options){
        .rows = ROWS, .length = LENGTH, .recomputation = recomputation, .backward = true};
}

/* Bytes that the plan of `train --dry-run` gives the same step. */
static double planned_bytes(const struct llama_config *config, enum dtype type, enum recomputation recomputation)
{
    struct parameter_layout layout;
    struct memory_plan gradients = {.name = "gradients"}, states = {.name = "optimizer"},
                       activations = {.name = "activations"};
    must(parameter_layout_create(config, &layout));
    must(optimizer_plan(&layout, type, 1, &gradients, &states));
    const struct llama_workspace_options workspace = workspace_options(recomputation);
    must(llama_plan_workspace(kernels_cpu(), config, type, &workspace, &activations));
    double bytes = (double)layout.elements * (double)dtype_size(type) +
                   (double)(gradients.total + states.total + activations.total);
    memory_plan_free(&gradients);
    memory_plan_free(&states);
    memory_plan_free(&activations);
    parameter_layout_free(&layout);
    return bytes;
}

static void open_step(struct step *s, const struct llama_config *config, enum dtype type,
                      enum recomputation recomputation)
{
    const struct optimizer_settings settings = {
        .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .weight_decay = 0.1, .clip = 1.0};
    s->kernels = profile_wrap(kernels_cpu());
    must(llama_create(config, type, &s->kernels, &s->context, &s->model));
    must(optimizer_create(s->model, s->comm, s->device_comm, &settings, &s->optimizer));
    struct weight_sink masters = optimizer_master_sink(s->optimizer);
    must(llama_initialize(s->model, 1, 0.02, &masters));
    const struct llama_workspace_options workspace = workspace_options(recomputation);
    must(llama_workspace_create(s->model, &workspace, &s->workspace));
    int32_t *ids = must_allocate(TOKENS * sizeof *ids);
    for (int64_t i = 0; i < TOKENS; i++)
        ids[i] = (int32_t)((i * 7919 + i / 17) % VOCABULARY);
    s->batch = (struct llama_batch){.rows = ROWS, .length = LENGTH, .ids = ids, .targets = ids};
}

/* The process's largest resident size so far, in bytes. */
static int64_t resident_peak_bytes(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    long long kilobytes = 0;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmHWM: %lld kB", &kilobytes) == 1)
            break;
    if (file)
        fclose(file);
    return kilobytes * 1024;
}

static void report_memory(double planned, double grown)
{
    printf("memory: planned %.0f MiB, resident memory grew by %.0f MiB (%+.1f %%)\n", planned / 1048576,
           grown / 1048576, 100 * (grown - planned) / planned);
}

int main(int count, char **arguments)
{
    static const char *const types[] = {"f32", "bf16"}, *const recomputations[] = {"none", "light", "block"},
                             *const engines[] = {"auto", "own", "openblas", "onednn"};
    const char *size = count > 1 ? arguments[1] : "15M";
    enum dtype type = count > 2 && find(types, 2, arguments[2]) == 1 ? DTYPE_BF16 : DTYPE_F32;
    enum recomputation recomputation = count > 3 ? (enum recomputation)find(recomputations, 3, arguments[3]) : 0;
    int engine = count > 4 ? find(engines, 4, arguments[4]) : 0;
    struct llama_config config = model_of_size(size, LENGTH);
    static struct step s;
    must(thread_pool_create(0, &s.pool));
    must(device_context_create(kernels_cpu(), s.pool, 0, &s.context));
    must(comm_create_single(&s.comm));
    must(device_comm_create_single(&s.device_comm));
    if (engine)
        must(cpu_set_engine(&s.context, (enum cpu_engine)(engine - 1)));
    int64_t before = resident_peak_bytes();
    open_step(&s, &config, type, recomputation);
    double flops = TOKENS * llama_flops_per_token(&config, LENGTH);
    printf("%s: %.1f M parameters, %s, recomputation %s, %d x %d tokens, %d threads\n%s\n", size,
           1e-6 * (double)llama_parameter_count(&config), dtype_name(type), recomputations[recomputation], ROWS, LENGTH,
           thread_pool_threads(s.pool), kernels_cpu()->describe(&s.context));
    take_step(&s);
    report_memory(planned_bytes(&config, type, recomputation), (double)(resident_peak_bytes() - before));
    struct measurement step = measure(take_step, &s, 20);
    struct ceiling ceiling = gemm_ceiling(s.pool);
    double products = profile_step(take_step, &s, &s.context, s.pool);
    printf("step: median %.3f s, best %.3f, %.0f tokens/s; %.1f GFLOP/s, sgemm of 1024^3 %.1f (%.0f %%)\n", step.median,
           step.best, TOKENS / step.median, 1e-9 * flops / step.median, ceiling.rate,
           100e-9 * flops / step.median / ceiling.rate);
    printf("fraction: products of the weights alone %.3f s of the step's %.3f s = %.2f\n", products, step.median,
           products / step.median);
    exit(0); /* what was allocated goes with the process */
}
