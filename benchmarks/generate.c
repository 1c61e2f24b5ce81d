/* How near to the memory's speed are tokens generated, one at a time? A token reads every weight but the input table
 * once, and the keys and values of its context.
 *   benchmark_generate [15M|110M|1B] [f32|bf16]
 * Batch 1, 128 tokens of context, random weights. The ceiling is a pass over the same arena by all threads that only
 * reads. */
#include "benchmarks/measure.h"
#include "benchmarks/model_sizes.h"
#include "models/llama/llama.h"

enum { CONTEXT = 128, PIECE = 1 << 20 };

struct reading {
    struct thread_pool *pool;
    const char *arena;
    int64_t bytes;
    uint64_t *sums; /* [pieces]: so that the reading is not left out */
};

static void read_piece(void *argument, int64_t task, int worker)
{
    (void)worker;
    typedef uint64_t wide __attribute__((vector_size(32)));
    const struct reading *reading = argument;
    const char *from = reading->arena + task * PIECE;
    int64_t bytes = reading->bytes - task * PIECE < PIECE ? reading->bytes - task * PIECE : PIECE;
    wide sum[4] = {{0}};
    for (int64_t i = 0; i + 128 <= bytes; i += 128)
        for (int v = 0; v < 4; v++) {
            wide word;
            memcpy(&word, from + i + 32 * v, sizeof word);
            sum[v] ^= word;
        }
    wide all = (sum[0] ^ sum[1]) ^ (sum[2] ^ sum[3]);
    reading->sums[task] = all[0] ^ all[1] ^ all[2] ^ all[3];
}

static void read_arena(void *argument)
{
    struct reading *reading = argument;
    thread_pool_run(reading->pool, (reading->bytes + PIECE - 1) / PIECE, read_piece, reading);
}

struct decoding {
    struct llama_session *session;
    float *logits;
};

/* The token after CONTEXT tokens, again and again. */
static void decode(void *argument)
{
    struct decoding *decoding = argument;
    int64_t row = 0;
    int32_t id = 17;
    llama_session_truncate(decoding->session, 0, CONTEXT);
    must(llama_session_decode(decoding->session, &row, &id, 1, decoding->logits));
}

/* Small values of both signs, norms included: what they are does not matter to the time. */
static void fill_weights(struct llama *model)
{
    uint32_t state = 1;
    for (int64_t i = 0; i < model->layout.elements; i++) {
        state = state * 1664525u + 1013904223u;
        float value = ((float)(state >> 8) / 16777216.0f - 0.5f) * 0.05f;
        if (model->dtype == DTYPE_F32)
            ((float *)model->weights)[i] = value;
        else
            ((bf16 *)model->weights)[i] = bf16_from_float(value);
    }
}

int main(int count, char **arguments)
{
    const char *size = count > 1 ? arguments[1] : "110M";
    enum dtype type = count > 2 && strcmp(arguments[2], "bf16") == 0 ? DTYPE_BF16 : DTYPE_F32;
    struct llama_config config = model_of_size(size, 2 * CONTEXT);
    struct thread_pool *pool;
    struct device_context context;
    struct decoding decoding = {0};
    struct llama *model;
    static int32_t prompt[CONTEXT];
    must(thread_pool_create(0, &pool));
    must(device_context_create(kernels_cpu(), pool, 0, &context));
    must(llama_create(&config, type, kernels_cpu(), &context, &model));
    fill_weights(model);
    must(llama_session_create(model, 1, 2 * CONTEXT, &decoding.session));
    decoding.logits = must_allocate((size_t)config.vocabulary_size * sizeof(float));
    must(llama_session_prefill(decoding.session, 0, prompt, CONTEXT, decoding.logits));
    /* A tied table is the head's: it is read. */
    double weights = (double)model->layout.elements * (double)dtype_size(type),
           cache =
               2.0 * (double)(config.layers * config.kv_heads * config.head_size * CONTEXT) * (double)dtype_size(type),
           bytes = weights + cache;
    struct reading reading = {pool, model->weights, (int64_t)weights, NULL};
    reading.sums = must_allocate((size_t)(reading.bytes / PIECE + 1) * sizeof *reading.sums);
    double budget = strcmp(size, "1B") == 0 ? 20 : 6;
    struct measurement first = measure(read_arena, &reading, budget / 2), token = measure(decode, &decoding, budget),
                       second = measure(read_arena, &reading, budget / 2);
    struct measurement pass = first.median < second.median ? first : second;
    double rate = 1e-9 * bytes / token.median, ceiling = 1e-9 * weights / pass.median;
    printf("%s, %s, %.0f M parameters, %d threads, %s\n", size, dtype_name(type),
           1e-6 * (double)llama_parameter_count(&config), thread_pool_threads(pool), kernels_cpu()->describe(&context));
    printf("%-10s %9s %9s %9s\n", "", "median ms", "best ms", "GB/s");
    printf("%-10s %9.2f %9.2f %9.1f\n", "read pass", 1e3 * pass.median, 1e3 * pass.best, ceiling);
    printf("%-10s %9.2f %9.2f %9.1f  %.1f tokens/s, %.2f of the read pass (best to best %.2f)\n", "a token",
           1e3 * token.median, 1e3 * token.best, rate, 1 / token.median, rate / ceiling,
           bytes / token.best / (weights / pass.best));
    exit(0); /* what was allocated goes with the process */
}
