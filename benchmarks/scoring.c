/* How fast are sequences scored, beside the forward pass itself? Lists as the benchmarks of speech and text have them, the tokens that the
 * model reads for them per second, and the same of one batch of whole rows that is the model's own.
 *   benchmark_scoring [15M|110M|1B] [f32|bf16]
 * Random ids; the vocabulary is that of text with 500 units behind it. The forward pass reads about 4096 tokens in whole rows of the list's
 * length, so that its attention is as long, and its head says of each what scores need. Everything that scoring does is in its time: sorting, packing, memory, sums. */
#include "benchmarks/measure.h"
#include "benchmarks/model_sizes.h"
#include "eval/scoring/prefix_tree.h"
#include "eval/scoring/token_scores.h"

enum { TOKENS = 4096, MOST = 4096, UNITS = 500, TEXT = VOCABULARY - UNITS };

static const struct vocabulary vocabulary = {.text_size = TEXT,
                                             .bos = 1,
                                             .eos = 2,
                                             .unk = 0,
                                             .text_tag = -1,
                                             .speech_tag = -1,
                                             .asr_tag = -1,
                                             .tts_tag = -1,
                                             .hubert_base = TEXT,
                                             .hubert_count = UNITS,
                                             .pitch_base = VOCABULARY,
                                             .style_base = VOCABULARY,
                                             .size = VOCABULARY};

/* ---- the model's own pass ---- */

struct pass {
    struct llama *model;
    struct llama_workspace *workspace;
    struct llama_batch batch;
    struct llama_block_sums sums;
};

static void run_pass(void *argument)
{
    struct pass *pass = argument;
    must(llama_sum_blocks(pass->model, pass->workspace, &pass->batch, &pass->sums));
}

static void open_pass(struct llama *model, int64_t length, struct pass *pass)
{
    static const int64_t boundaries[] = {0, 2, 3, TEXT, VOCABULARY};
    static int32_t ids[TOKENS];
    static double sums[TOKENS * 4];
    static float target_logits[TOKENS];
    for (int64_t i = 0; i < TOKENS; i++)
        ids[i] = (int32_t)((i * 7919 + i / 17) % VOCABULARY);
    *pass = (struct pass){.model = model,
                          .batch = {.rows = TOKENS / length, .length = length, .ids = ids, .targets = ids},
                          .sums = {4, boundaries, sums, target_logits}};
    must(llama_workspace_create(model, &(struct llama_workspace_options){.rows = TOKENS / length, .length = length},
                                &pass->workspace));
}

/* ---- lists ---- */

struct list {
    struct llama *model;
    struct token_sequence sequences[MOST];
    int64_t count;
};

static uint32_t state = 1;

static int64_t below(int64_t limit)
{
    state = state * 1664525u + 1013904223u;
    return (int64_t)(state >> 8) % limit;
}

/* A sequence whose first `shared` ids are those of `before` and whose others, up to `count`, are drawn from `size` ids at `base`. */
static const int32_t *add(struct list *list, const int32_t *before, int64_t shared, int64_t count, int64_t base,
                          int64_t size)
{
    int32_t *ids = must_allocate((size_t)count * sizeof *ids);
    for (int64_t i = 0; i < count; i++)
        ids[i] = i < shared ? before[i] : (int32_t)(base + below(size));
    list->sequences[list->count++] = (struct token_sequence){
        .ids = ids, .count = count, .first = 1, .scores = must_allocate((size_t)count * sizeof(struct token_score))};
    return ids;
}

static void make_words(struct list *list) /* sWUGGY: 10 to 20 units, BOS and EOS */
{
    for (int i = 0; i < 500; i++)
        add(list, NULL, 0, 12 + below(11), TEXT, UNITS);
}

static void make_sentences(struct list *list) /* sBLIMP: 60 to 120 units, of which pairs share a few */
{
    for (int i = 0; i < 45; i++) {
        int64_t count = 62 + below(61);
        const int32_t *ids = add(list, NULL, 0, count, TEXT, UNITS);
        add(list, ids, 15, count + below(5), TEXT, UNITS);
    }
}

static void make_stories(struct list *list) /* StoryCloze in speech: about 200 units, recorded apart */
{
    for (int i = 0; i < 40; i++)
        add(list, NULL, 0, 170 + below(60), TEXT, UNITS);
}

static void make_endings(struct list *list) /* the same with one recording of the context: 160 units and two endings */
{
    for (int i = 0; i < 30; i++) {
        int64_t context = 140 + below(40);
        const int32_t *ids = add(list, NULL, 0, context + 40 + below(20), TEXT, UNITS);
        add(list, ids, context, context + 40 + below(20), TEXT, UNITS);
    }
}

static void make_questions(struct list *list) /* MMLU: five examples, 100 questions, four letters */
{
    int32_t ids[1024];
    int64_t shots = 500;
    for (int64_t i = 0; i < 1024; i++)
        ids[i] = (int32_t)below(TEXT);
    for (int q = 0; q < 100; q++) {
        int64_t length = 70 + below(80);
        for (int64_t i = 0; i < length; i++)
            ids[shots + i] = (int32_t)below(TEXT);
        for (int32_t letter = 0; letter < 4; letter++) {
            ids[shots + length] = 300 + letter;
            ids[shots + length + 1] = 2;
            add(list, ids, shots + length + 2, shots + length + 2, 0, 1);
        }
    }
}

static int compare(const void *a, const void *b)
{
    return prefix_compare(*(struct token_sequence *const *)a, *(struct token_sequence *const *)b);
}

/* Tokens that are read for the list; all of it into *all. */
static int64_t count_reads(const struct list *list, int64_t *all)
{
    static const struct token_sequence *sorted[MOST];
    struct prefix_tree tree;
    *all = 0;
    for (int64_t i = 0; i < list->count; i++) {
        sorted[i] = &list->sequences[i];
        *all += list->sequences[i].count - 1;
    }
    qsort(sorted, (size_t)list->count, sizeof *sorted, compare);
    must(prefix_tree_make(sorted, list->count, &tree));
    int64_t reads = prefix_tree_reads(&tree, 0);
    prefix_tree_free(&tree);
    return reads;
}

static void run_list(void *argument)
{
    struct list *list = argument;
    must(token_scores_run(list->model, &vocabulary, list->sequences, list->count));
}

/* ---- the table ---- */

static void report(struct llama *model, const char *name, int64_t length, void (*make)(struct list *))
{
    static struct list list;
    struct pass pass;
    int64_t all, tokens = TOKENS / length * length;
    list = (struct list){.model = model};
    make(&list);
    open_pass(model, length, &pass);
    int64_t reads = count_reads(&list, &all);
    struct measurement own = measure(run_pass, &pass, 4), scoring = measure(run_list, &list, 6),
                       again = measure(run_pass, &pass, 4);
    own.work = again.work < own.work ? again.work : own.work;
    own.best = again.best < own.best ? again.best : own.best;
    double rate = (double)reads / scoring.work, ceiling = (double)tokens / own.work;
    printf("| %-22s | %7lld | %7lld | %8.0f | %8.0f | %5.1f %% | %5.1f %% |\n", name, (long long)all, (long long)reads,
           ceiling, rate, 100 * rate / ceiling, 100 * ((double)reads / scoring.best) / ((double)tokens / own.best));
    fflush(stdout);
    llama_workspace_destroy(pass.workspace);
}

int main(int count, char **arguments)
{
    const char *size = count > 1 ? arguments[1] : "15M";
    enum dtype type = count > 2 && !strcmp(arguments[2], "bf16") ? DTYPE_BF16 : DTYPE_F32;
    struct llama_config config = model_of_size(size, 1024);
    static struct device_context context;
    struct thread_pool *pool;
    struct llama *model;
    must(thread_pool_create(0, &pool));
    must(device_context_create(kernels_cpu(), pool, 0, &context));
    must(llama_create(&config, type, kernels_cpu(), &context, &model));
    must(llama_initialize(model, 1, 0.02, NULL));
    printf("%s, %s, %d threads; tokens per processor second, and by the clock\n", size, dtype_name(type),
           thread_pool_threads(pool));
    printf("| %-22s | %7s | %7s | %8s | %8s | %7s | %7s |\n|---|---|---|---|---|---|---|\n", "list", "tokens", "read",
           "forward", "scoring", "work", "clock");
    report(model, "words (sWUGGY)", 16, make_words);
    report(model, "sentences (sBLIMP)", 92, make_sentences);
    report(model, "stories (StoryCloze S)", 200, make_stories);
    report(model, "endings of one context", 200, make_endings);
    report(model, "questions (MMLU)", 1024, make_questions);
    exit(0); /* what was allocated goes with the process */
}
