/* How near to the memory's speed are tokens generated? A step reads every weight but the input table once, and the keys
 * and values of each row's context.
 *   benchmark_generate [15M|110M|1B] [f32|bf16] [rows]
 * One row unless told otherwise, 128 tokens of context, random weights. With several rows, how many times the tokens of one row
 * they give: steps of both in turn, so that a machine that others use slows both. The ceiling is a pass over the same arena by all
 * threads that only reads, which the host can do because the device is the cpu. */
#include "benchmarks/measure.h"
#include "benchmarks/model_sizes.h"
#include "benchmarks/read_pass.h"
#include "models/llama/llama.h"

enum { CONTEXT = 128, MOST_ROWS = 64 };

struct decoding {
    struct llama_session *session;
    int64_t count, rows[MOST_ROWS];
    int32_t ids[MOST_ROWS];
    double uniforms[MOST_ROWS], temperature;
    float *logits;
};

static void rewind_rows(struct decoding *decoding)
{
    for (int64_t i = 0; i < decoding->count; i++)
        llama_session_truncate(decoding->session, i, CONTEXT);
}

/* The token after CONTEXT tokens, again and again: drawn as `generate` draws it, or its logits brought to the host. */
static void draw(void *argument)
{
    struct decoding *decoding = argument;
    rewind_rows(decoding);
    must(llama_session_draw(decoding->session, &(struct llama_draw){.count = decoding->count,
                                                                    .rows = decoding->rows,
                                                                    .uniforms = decoding->uniforms,
                                                                    .temperature = decoding->temperature,
                                                                    .top_k = 50,
                                                                    .top_p = 0.95,
                                                                    .ids = decoding->ids}));
}

static void decode(void *argument)
{
    struct decoding *decoding = argument;
    rewind_rows(decoding);
    must(llama_session_decode(decoding->session, decoding->rows, decoding->ids, decoding->count, decoding->logits));
}

static void open_session(struct llama *model, struct decoding *decoding)
{
    decoding->temperature = 0.9;
    static int32_t prompt[CONTEXT];
    uint8_t *mask = must_allocate((size_t)model->config.vocabulary_size);
    memset(mask, 1, (size_t)model->config.vocabulary_size);
    decoding->logits = must_allocate((size_t)(decoding->count * model->config.vocabulary_size) * sizeof(float));
    must(llama_session_create(model,
                              &(struct llama_session_options){
                                  .rows = decoding->count, .capacity = 2 * CONTEXT, .masks = mask, .mask_count = 1},
                              &decoding->session));
    for (int64_t i = 0; i < decoding->count; i++) {
        decoding->rows[i] = i;
        decoding->ids[i] = 17;
        decoding->uniforms[i] = ((double)i + 0.5) / (double)decoding->count;
        must(llama_session_prefill(decoding->session, i, prompt, CONTEXT, NULL));
    }
    free(mask);
}

/* Small values of both signs, norms included: what they are does not matter to the time. */
static void fill_weights(struct llama *model)
{
    enum { STEP = 1 << 16 };
    static float values[STEP];
    static unsigned char converted[STEP * sizeof(float)];
    int64_t size = (int64_t)dtype_size(model->dtype);
    uint32_t state = 1;
    for (int64_t done = 0; done < model->layout.elements; done += STEP) {
        int64_t count = model->layout.elements - done < STEP ? model->layout.elements - done : STEP;
        for (int64_t i = 0; i < count; i++) {
            state = state * 1664525u + 1013904223u;
            values[i] = ((float)(state >> 8) / 16777216.0f - 0.5f) * 0.05f;
        }
        dtype_from_float(converted, model->dtype, values, count);
        must(model->kernels->copy_to_device(model->context, QUEUE_COMPUTE, (char *)model->weights + done * size,
                                            converted, (size_t)(count * size)));
        must(model->kernels->synchronize(model->context));
    }
}

/* A step that reads `bytes` beside the pass over `weights` bytes. */
static void report(const char *name, const struct measurement *step, double bytes, int64_t rows,
                   const struct measurement *pass, double weights)
{
    printf("%-10s %9.2f %9.2f %9.1f  %.1f tokens/s, %.2f of the read pass (best to best %.2f)\n", name,
           1e3 * step->median, 1e3 * step->best, 1e-9 * bytes / step->median, (double)rows / step->median,
           bytes / step->median / (weights / pass->median), bytes / step->best / (weights / pass->best));
}

enum { PAIRS = 400 };

/* Seconds of one step: by the clock, and of the processor. */
static void time_step(struct decoding *decoding, double *wall, double *work)
{
    double before = seconds_now(), before_work = seconds_on(CLOCK_PROCESS_CPUTIME_ID);
    draw(decoding);
    *work = seconds_on(CLOCK_PROCESS_CPUTIME_ID) - before_work;
    *wall = seconds_now() - before;
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare_doubles);
    return values[count / 2];
}

/* Steps of one row and of many in turn. */
static void compare_with_one_row(struct decoding *one, struct decoding *many, const char *name, double budget)
{
    static double wall[2][PAIRS], work[2][PAIRS], ratios[2][PAIRS];
    int pairs = 0;
    for (double start = seconds_now(); pairs < PAIRS && (pairs < 5 || seconds_now() - start < budget); pairs++) {
        time_step(one, &wall[0][pairs], &work[0][pairs]);
        time_step(many, &wall[1][pairs], &work[1][pairs]);
        ratios[0][pairs] = (double)many->count * wall[0][pairs] / wall[1][pairs];
        ratios[1][pairs] = (double)many->count * work[0][pairs] / work[1][pairs];
    }
    double rows = (double)many->count;
    printf("%-10s one row %.1f tokens/s, %d rows %.1f: %.2f times as many; processor ms per token %.2f and %.2f: %.2f "
           "times "
           "(medians of %d pairs)\n",
           name, 1 / median(wall[0], pairs), (int)many->count, rows / median(wall[1], pairs), median(ratios[0], pairs),
           1e3 * median(work[0], pairs), 1e3 * median(work[1], pairs) / rows, median(ratios[1], pairs), pairs);
}

static void compare_batches(struct llama *model, struct decoding *many, double budget)
{
    struct decoding one = {.count = 1};
    open_session(model, &one);
    compare_with_one_row(&one, many, "sampled", budget);
    one.temperature = many->temperature = 0;
    compare_with_one_row(&one, many, "greedy", budget);
}

int main(int count, char **arguments)
{
    const char *size = count > 1 ? arguments[1] : "110M";
    enum dtype type = count > 2 && strcmp(arguments[2], "bf16") == 0 ? DTYPE_BF16 : DTYPE_F32;
    struct llama_config config = model_of_size(size, 2 * CONTEXT);
    struct thread_pool *pool;
    struct device_context context;
    struct decoding decoding = {.count = count > 3 ? atoi(arguments[3]) : 1};
    struct llama *model;
    if (decoding.count < 1 || decoding.count > MOST_ROWS) {
        fprintf(stderr, "error: rows are 1 to %d\n", (int)MOST_ROWS);
        return 2;
    }
    must(thread_pool_create(0, &pool));
    must(device_context_create(kernels_cpu(), pool, 0, &context));
    must(llama_create(&config, type, kernels_cpu(), &context, &model));
    fill_weights(model);
    open_session(model, &decoding);
    /* A tied table is the head's: it is read. */
    double weights = (double)model->layout.elements * (double)dtype_size(type),
           cache = (double)decoding.count * 2.0 *
                   (double)(config.layers * config.kv_heads * config.head_size * CONTEXT) * (double)dtype_size(type),
           bytes = weights + cache;
    struct read_pass reading = {.pool = pool, .memory = model->weights, .bytes = (int64_t)weights};
    double budget = strcmp(size, "1B") == 0 ? 20 : 6;
    struct measurement first = measure(read_pass_run, &reading, budget / 2), drawn = measure(draw, &decoding, budget),
                       logits = measure(decode, &decoding, budget),
                       second = measure(read_pass_run, &reading, budget / 2);
    struct measurement pass = first.median < second.median ? first : second;
    printf("%s, %s, %.0f M parameters, %d rows, %d threads, %s\n", size, dtype_name(type),
           1e-6 * (double)llama_parameter_count(&config), (int)decoding.count, thread_pool_threads(pool),
           kernels_cpu()->describe(&context));
    printf("%-10s %9s %9s %9s\n", "", "median ms", "best ms", "GB/s");
    printf("%-10s %9.2f %9.2f %9.1f\n", "read pass", 1e3 * pass.median, 1e3 * pass.best, 1e-9 * weights / pass.median);
    report("drawn", &drawn, bytes, decoding.count, &pass, weights);
    report("logits", &logits, bytes, decoding.count, &pass, weights);
    if (decoding.count > 1)
        compare_batches(model, &decoding, 2 * budget);
    exit(0); /* what was allocated goes with the process */
}
