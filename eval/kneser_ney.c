/* Every occurrence of a pair is kept as one integer until all are known; sorting then brings equal pairs together, so
 * that one pass counts them. A look-up is a binary search. No hash table is needed, and the same sequences in any order
 * give the same model to the bit. */
#include "eval/kneser_ney.h"

#include "core/array.h"

#include <math.h>
#include <stdlib.h>

struct pair {
    int64_t key; /* (context + 1) * size + word */
    int64_t count;
};

struct kneser_ney {
    int64_t size;
    int64_t *keys; /* every occurrence, until finish */
    int64_t key_count, key_capacity;
    struct pair *pairs; /* sorted by key */
    int64_t pair_count;
    double *context_counts, *successors; /* [size + 1], by context + 1 */
    double *continuation;                /* [size]: P1 */
    double discount;
};

enum status kneser_ney_create(int64_t size, struct kneser_ney **out)
{
    *out = NULL;
    if (size < 1 || size > 1 << 24)
        return status_set(STATUS_INTERNAL, "a bigram cannot have %lld symbols", (long long)size);
    struct kneser_ney *model = calloc(1, sizeof *model);
    if (!model)
        return status_set(STATUS_INTERNAL, "no memory for a bigram");
    model->size = size;
    model->context_counts = calloc((size_t)size + 1, sizeof(double));
    model->successors = calloc((size_t)size + 1, sizeof(double));
    model->continuation = calloc((size_t)size, sizeof(double));
    if (!model->context_counts || !model->successors || !model->continuation) {
        kneser_ney_free(model);
        return status_set(STATUS_INTERNAL, "no memory for a bigram over %lld symbols", (long long)size);
    }
    *out = model;
    return STATUS_OK;
}

void kneser_ney_free(struct kneser_ney *model)
{
    if (!model)
        return;
    free(model->keys);
    free(model->pairs);
    free(model->context_counts);
    free(model->successors);
    free(model->continuation);
    free(model);
}

enum status kneser_ney_add(struct kneser_ney *model, const int32_t *sequence, int64_t count)
{
    enum status result = array_grow(&model->keys, &model->key_capacity, model->key_count + count, "pairs of a bigram");
    if (result != STATUS_OK)
        return result;
    for (int64_t i = 0; i < count; i++) {
        int64_t context = i ? sequence[i - 1] : -1;
        if (sequence[i] < 0 || sequence[i] >= model->size)
            return status_set(STATUS_INTERNAL, "symbol %d lies outside a bigram of %lld symbols", (int)sequence[i],
                              (long long)model->size);
        model->keys[model->key_count++] = (context + 1) * model->size + sequence[i];
    }
    return STATUS_OK;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* D = n1 / (n1 + 2 n2); where a count of counts is 0 the estimate is meaningless, and 0.5 is used. */
static double discount_of(double ones, double twos)
{
    return ones > 0 && twos > 0 ? ones / (ones + 2 * twos) : 0.5;
}

/* Sorts the occurrences into pairs with counts, and counts what the formulas need. */
static void count_pairs(struct kneser_ney *model, double *predecessors)
{
    double ones = 0, twos = 0;
    qsort(model->keys, (size_t)model->key_count, sizeof *model->keys, compare);
    for (int64_t i = 0; i < model->key_count;) {
        int64_t key = model->keys[i], count = 0;
        for (; i < model->key_count && model->keys[i] == key; i++)
            count++;
        model->pairs[model->pair_count++] = (struct pair){key, count};
        model->context_counts[key / model->size] += (double)count;
        model->successors[key / model->size] += 1;
        predecessors[key % model->size] += 1;
        ones += count == 1;
        twos += count == 2;
    }
    model->discount = discount_of(ones, twos);
}

enum status kneser_ney_finish(struct kneser_ney *model)
{
    if (model->key_count == 0)
        return status_set(STATUS_USAGE, "there is no training sequence for the bigram");
    double *predecessors = calloc((size_t)model->size, sizeof *predecessors);
    model->pairs = calloc((size_t)model->key_count, sizeof *model->pairs);
    if (!predecessors || !model->pairs) {
        free(predecessors);
        return status_set(STATUS_INTERNAL, "no memory for the bigram's pairs");
    }
    count_pairs(model, predecessors);
    double ones = 0, twos = 0, types = 0, total = (double)model->pair_count;
    for (int64_t w = 0; w < model->size; w++) {
        ones += predecessors[w] == 1;
        twos += predecessors[w] == 2;
        types += predecessors[w] > 0;
    }
    double discount = discount_of(ones, twos), uniform = discount * types / total / (double)model->size;
    for (int64_t w = 0; w < model->size; w++)
        model->continuation[w] = fmax(predecessors[w] - discount, 0) / total + uniform;
    free(predecessors);
    free(model->keys);
    model->keys = NULL;
    return STATUS_OK;
}

static int64_t find_count(const struct kneser_ney *model, int64_t key)
{
    int64_t low = 0, high = model->pair_count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (model->pairs[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low < model->pair_count && model->pairs[low].key == key ? model->pairs[low].count : 0;
}

double kneser_ney_log(const struct kneser_ney *model, int32_t context, int32_t word)
{
    double total = model->context_counts[context + 1], continuation = model->continuation[word];
    if (total == 0)
        return log(continuation);
    double count = (double)find_count(model, (context + 1) * model->size + word);
    double backoff = model->discount * model->successors[context + 1] / total;
    return log(fmax(count - model->discount, 0) / total + backoff * continuation);
}

double kneser_ney_nats(const struct kneser_ney *model, const int32_t *sequence, int64_t count)
{
    double nats = 0;
    for (int64_t i = 0; i < count; i++)
        nats -= kneser_ney_log(model, i ? sequence[i - 1] : -1, sequence[i]);
    return nats;
}
