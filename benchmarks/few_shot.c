/* What do the shots of few-shot prompts cost when all items share them, and what do eight rows gain?
 *   benchmark_few_shot [15M|110M|135M|1B] [f32|bf16] [shot tokens] [item tokens] [items]
 * Unless told otherwise SmolLM2's 135 M parameters (random weights) in f32, 1,700 tokens of shots, about what thirty short
 * clips with their labels take, 48 items of 35 to 105 tokens (half to one and a half of what was asked for) that are answered in 8 each, eight rows. In turn, ROUNDS times:
 *   together  generate_batch() with shared ids
 *   apart     what it cannot do without: the shots once, and each item behind shots that lie in the cache, by calls of the session
 *   alone     generate_batch() without shared ids, for a few of the items
 * The goal is 1.05 of `apart`, by the clock and in processor seconds, which a busy machine changes less. What a cache costs to open and
 * the shots to copy into each row is in `together` and stands beside it. Then tokens of generate_batch() per second, prompts included: eight short prompts of 128
 * new tokens, in one row and in eight. The goal is three times as many. */
#include "benchmarks/measure.h"
#include "benchmarks/model_sizes.h"
#include "core/rng.h"
#include "generate/batch.h"

enum { ROUNDS = 5, ROWS = 8, ANSWER = 8, FEW = 2, LONG_PROMPT = 32, LONG = 128, MOST_ITEMS = 64, MOST_TOKENS = 8192 };

struct setting {
    struct llama *model;
    struct components components;
    int64_t shots, item, items;
    int32_t prompts[MOST_ITEMS][MOST_TOKENS]; /* all begin with the shots */
    struct generation_request requests[MOST_ITEMS];
};

static enum status take(void *argument, int64_t request, struct generated *generated)
{
    const struct generation_request *requests = argument;
    if (generated[0].count != requests[request].max_new_tokens) {
        fprintf(stderr, "error: %lld tokens were generated\n", (long long)generated[0].count);
        exit(1);
    }
    generated_free(generated, 1);
    return STATUS_OK;
}

/* By the clock, and processor seconds of all threads. */
struct seconds {
    double clock, work;
};

static struct seconds seconds_both(void)
{
    return (struct seconds){seconds_now(), seconds_on(CLOCK_PROCESS_CPUTIME_ID)};
}

static struct seconds seconds_since(struct seconds start)
{
    struct seconds now = seconds_both();
    return (struct seconds){now.clock - start.clock, now.work - start.work};
}

static struct seconds run_batch(struct setting *setting, const struct generation_request *requests, int64_t count,
                                int64_t rows, int64_t shared)
{
    const struct generation_batch batch = {.sampling = {.temperature = 0, .top_k = 0, .top_p = 1},
                                           .rows = rows,
                                           .shared = shared > 0 ? setting->prompts[0] : NULL,
                                           .shared_count = shared,
                                           .done = take,
                                           .argument = (void *)(intptr_t)requests};
    struct seconds start = seconds_both();
    must(generate_batch(setting->model, &setting->components, requests, count, &batch));
    return seconds_since(start);
}

enum part { OPENING, SHOTS, ITEMS, PARTS };

/* The items' prefills and draws, eight rows at a time, behind shots that lie in the rows. */
static void run_items(const struct setting *setting, struct llama_session *session)
{
    int64_t rows[ROWS];
    int32_t ids[ROWS];
    for (int64_t item = 0; item < setting->items; item += ROWS) {
        int64_t count = setting->items - item < ROWS ? setting->items - item : ROWS;
        for (int64_t i = 0; i < count; i++) {
            rows[i] = i;
            llama_session_truncate(session, i, setting->shots);
            const struct generation_request *request = &setting->requests[item + i];
            must(llama_session_prefill(session, i, request->ids + setting->shots, request->count - setting->shots,
                                       NULL));
            must(llama_session_draw_first(
                session, &(struct llama_draw){.count = 1, .rows = &rows[i], .top_p = 1, .ids = &ids[i]}));
        }
        for (int step = 1; step < ANSWER; step++)
            must(llama_session_draw(session,
                                    &(struct llama_draw){.count = count, .rows = rows, .top_p = 1, .ids = ids}));
    }
}

static void run_apart(struct setting *setting, struct seconds parts[PARTS])
{
    struct llama_session *session;
    int64_t vocabulary = setting->model->config.vocabulary_size;
    uint8_t *mask = must_allocate((size_t)vocabulary);
    memset(mask, 1, (size_t)vocabulary);
    const struct llama_session_options options = {
        .rows = ROWS, .capacity = setting->shots + 2 * setting->item + ANSWER, .masks = mask, .mask_count = 1};
    struct seconds start = seconds_both(), copies;
    must(llama_session_create(setting->model, &options, &session));
    parts[OPENING] = seconds_since(start);
    start = seconds_both();
    must(llama_session_prefill(session, 0, setting->prompts[0], setting->shots, NULL));
    must(setting->model->kernels->synchronize(setting->model->context));
    parts[SHOTS] = seconds_since(start);
    start = seconds_both();
    for (int64_t row = 1; row < ROWS; row++)
        must(llama_session_copy_row(session, row, 0));
    must(setting->model->kernels->synchronize(setting->model->context));
    copies = seconds_since(start);
    parts[OPENING].clock += copies.clock;
    parts[OPENING].work += copies.work;
    start = seconds_both();
    run_items(setting, session);
    parts[ITEMS] = seconds_since(start);
    llama_session_destroy(session);
    free(mask);
}

/* Sorts. */
static double median(double values[ROUNDS])
{
    qsort(values, ROUNDS, sizeof *values, compare_doubles);
    return values[ROUNDS / 2];
}

static void compare_few_shot(struct setting *setting)
{
    double together[ROUNDS], apart[PARTS][ROUNDS], ratios[ROUNDS], work[ROUNDS], alone[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        struct seconds parts[PARTS],
            whole = run_batch(setting, setting->requests, setting->items, ROWS, setting->shots);
        run_apart(setting, parts);
        together[round] = whole.clock;
        for (int part = 0; part < PARTS; part++)
            apart[part][round] = parts[part].clock;
        alone[round] = run_batch(setting, setting->requests, FEW, FEW, 0).clock / FEW;
        ratios[round] = whole.clock / (parts[SHOTS].clock + parts[ITEMS].clock);
        work[round] = whole.work / (parts[SHOTS].work + parts[ITEMS].work);
    }
    double ratio = median(ratios), work_ratio = median(work), each = median(together) / (double)setting->items;
    printf("shots once %.2f s, %lld items %.2f s, the cache and its copies %.2f s\n", median(apart[SHOTS]),
           (long long)setting->items, median(apart[ITEMS]), median(apart[OPENING]));
    printf(
        "together %.2f s: %.3f of shots and items (%.3f to %.3f), by processor seconds %.3f (%.3f to %.3f); medians of "
        "%d\n",
        median(together), ratio, ratios[0], ratios[ROUNDS - 1], work_ratio, work[0], work[ROUNDS - 1], (int)ROUNDS);
    printf("an item of all together %.2f s, one that computes the shots itself %.2f s\n", each, median(alone));
}

static void compare_rows(struct setting *setting)
{
    struct generation_request requests[ROWS];
    double one[ROUNDS], many[ROUNDS], ratios[ROUNDS], work[ROUNDS];
    for (int i = 0; i < ROWS; i++) {
        requests[i] = setting->requests[0];
        requests[i].ids += i;
        requests[i].count = LONG_PROMPT;
        requests[i].min_new_tokens = requests[i].max_new_tokens = LONG;
    }
    for (int round = 0; round < ROUNDS; round++) {
        struct seconds single = run_batch(setting, requests, ROWS, 1, 0);
        struct seconds batch = run_batch(setting, requests, ROWS, ROWS, 0);
        one[round] = single.clock;
        many[round] = batch.clock;
        ratios[round] = single.clock / batch.clock;
        work[round] = single.work / batch.work;
    }
    const double tokens = ROWS * LONG, ratio = median(ratios), work_ratio = median(work);
    printf("one row %.1f tokens/s, %d rows %.1f: %.2f times as many (%.2f to %.2f), by processor seconds %.2f (%.2f to "
           "%.2f); medians of %d\n",
           tokens / median(one), (int)ROWS, tokens / median(many), ratio, ratios[0], ratios[ROUNDS - 1], work_ratio,
           work[0], work[ROUNDS - 1], (int)ROUNDS);
}

static void make_prompts(struct setting *setting)
{
    struct rng rng = rng_make(1, RNG_TEST, 0, 0);
    for (int64_t i = 0; i < setting->items; i++) {
        const int64_t tokens =
            setting->shots + setting->item - setting->item / 2 + (int64_t)rng_below(&rng, (uint64_t)setting->item);
        for (int64_t k = 0; k < tokens; k++)
            setting->prompts[i][k] = i > 0 && k < setting->shots
                                         ? setting->prompts[0][k]
                                         : (int32_t)rng_below(&rng, (uint64_t)setting->components.vocabulary.text_size);
        setting->requests[i] = (struct generation_request){.ids = setting->prompts[i],
                                                           .count = tokens,
                                                           .output = OUTPUT_ANY,
                                                           .samples = 1,
                                                           .min_new_tokens = ANSWER,
                                                           .max_new_tokens = ANSWER};
    }
}

int main(int count, char **arguments)
{
    static struct setting setting;
    const char *size = count > 1 ? arguments[1] : "135M";
    enum dtype type = count > 2 && strcmp(arguments[2], "bf16") == 0 ? DTYPE_BF16 : DTYPE_F32;
    setting.shots = count > 3 ? atoi(arguments[3]) : 1700;
    setting.item = count > 4 ? atoi(arguments[4]) : 70;
    setting.items = count > 5 ? atoi(arguments[5]) : 48;
    if (setting.shots < LONG_PROMPT + ROWS || setting.item < 1 || setting.items < FEW || setting.items > MOST_ITEMS ||
        setting.shots + 2 * setting.item + ANSWER > MOST_TOKENS) {
        fprintf(stderr, "error: %d to %d items and up to %d tokens\n", (int)FEW, (int)MOST_ITEMS, (int)MOST_TOKENS);
        return 2;
    }
    struct llama_config config = model_of_size(size, MOST_TOKENS);
    struct thread_pool *pool;
    struct device_context context;
    must(thread_pool_create(0, &pool));
    must(device_context_create(kernels_cpu(), pool, 0, &context));
    must(llama_create(&config, type, kernels_cpu(), &context, &setting.model));
    must(llama_initialize(setting.model, 1, 0.02, NULL));
    must(vocabulary_create((int32_t)config.vocabulary_size - 1024, 1, 2, 0, 500, 0, 0, false,
                           &setting.components.vocabulary));
    make_prompts(&setting);
    printf("%s, %s, %.0f M parameters, %d threads, %s; %lld tokens of shots, about %lld per item\n", size,
           dtype_name(type), 1e-6 * (double)llama_parameter_count(&config), thread_pool_threads(pool),
           kernels_cpu()->describe(&context), (long long)setting.shots, (long long)setting.item);
    compare_few_shot(&setting);
    compare_rows(&setting);
    exit(0); /* what was allocated goes with the process */
}
