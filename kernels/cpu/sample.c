/* One id per row of logits. The candidates that top-k leaves are found by selection rather than by sorting the whole
 * vocabulary; without top-k all are sorted, by digits of their bits, because comparing 32,768 takes several times as long as
 * their exponentials. Either way the order, and so the id that a uniform number picks, is that of a full sort. */
#include "kernels/cpu/cpu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct candidate {
    float logit;
    int32_t id;
};

/* A row's part of the scratch. */
struct room {
    struct candidate *candidates; /* [V] */
    double *weights;              /* [V]; while candidates are sorted, as many of them */
};
_Static_assert(sizeof(struct candidate) == sizeof(double), "candidates fit where the weights will lie");

size_t cpu_sample_scratch_size(const struct sample *p)
{
    if (p->rows <= 0 || p->columns <= 0 || p->temperature == 0)
        return 0;
    return (size_t)(p->rows * p->columns) * (sizeof(double) + sizeof(struct candidate));
}

/* Largest logit first; equal ones by id, so that the order is one and the same everywhere. */
static int compare(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit < y->logit ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

/* Sinks the first of `count` candidates into a heap whose root comes last in the order. */
static void sink(struct candidate *heap, int64_t count, int64_t at)
{
    for (;;) {
        int64_t last = at, left = 2 * at + 1;
        for (int64_t child = left; child < count && child <= left + 1; child++)
            if (compare(&heap[child], &heap[last]) > 0)
                last = child;
        if (last == at)
            return;
        struct candidate moved = heap[at];
        heap[at] = heap[last];
        heap[last] = moved;
        at = last;
    }
}

enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS, PASSES = 3, FEW = 512 };

/* Digit `pass` of a number that grows as the logit falls. */
static uint32_t digit_of(float logit, int pass)
{
    uint32_t bits;
    logit += 0.0f; /* both zeros are one */
    memcpy(&bits, &logit, sizeof bits);
    uint32_t falling = bits >> 31 ? bits : ~bits & 0x7fffffffu;
    return falling >> (pass * DIGIT_BITS) & (DIGITS - 1);
}

/* Sorts candidates that stand in the order of their ids, digit by digit from the lowest; each pass keeps the order of
 * equal ones. The passes go to and fro between the two arrays, and end in `other`. */
static void sort_by_digits(struct candidate *candidates, struct candidate *other, int64_t count)
{
    struct candidate *from = candidates, *to = other;
    for (int pass = 0; pass < PASSES; pass++) {
        int32_t places[DIGITS] = {0};
        for (int64_t i = 0; i < count; i++)
            places[digit_of(from[i].logit, pass)]++;
        for (int32_t digit = 0, next = 0; digit < DIGITS; digit++) {
            int32_t here = places[digit];
            places[digit] = next;
            next += here;
        }
        for (int64_t i = 0; i < count; i++)
            to[places[digit_of(from[i].logit, pass)]++] = from[i];
        struct candidate *swap = from;
        from = to;
        to = swap;
    }
}

/* The first `kept` of the candidates, which stand in the order of their ids, sorted, at the front. */
static void select_first(const struct room *room, int64_t count, int64_t kept)
{
    struct candidate *candidates = room->candidates;
    if (kept == count && count > FEW) {
        struct candidate *other = (struct candidate *)(void *)room->weights;
        sort_by_digits(candidates, other, count);
        memcpy(candidates, other, (size_t)count * sizeof *candidates);
        return;
    }
    if (kept < count) {
        for (int64_t i = kept / 2 - 1; i >= 0; i--)
            sink(candidates, kept, i);
        for (int64_t i = kept; i < count; i++)
            if (compare(&candidates[i], &candidates[0]) < 0) {
                candidates[0] = candidates[i];
                sink(candidates, kept, 0);
            }
    }
    qsort(candidates, (size_t)kept, sizeof *candidates, compare);
}

/* How many of the sorted candidates remain after top-p; fills their weights and *total. */
static int64_t truncate_candidates(const struct sample *p, const struct room *room, int64_t count, double *total)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        double difference = (double)room->candidates[i].logit - (double)room->candidates[0].logit;
        room->weights[i] = exp(difference / p->temperature);
        sum += room->weights[i];
    }
    /* The smallest set whose mass reaches top_p. */
    double kept = 0;
    int64_t remaining = 0;
    while (remaining < count && (remaining == 0 || kept < p->top_p * sum))
        kept += room->weights[remaining++];
    *total = kept;
    return remaining;
}

/* The first of the largest allowed logits; -1 when one is NaN or plus infinity, or none is finite. */
static int32_t best_allowed(const float *logits, const uint8_t *allowed, int64_t columns)
{
    int32_t best = -1;
    for (int64_t id = 0; id < columns; id++) {
        if (!allowed[id])
            continue;
        if (isnan(logits[id]) || logits[id] == INFINITY)
            return -1;
        if (!isinf(logits[id]) && (best < 0 || logits[id] > logits[best]))
            best = (int32_t)id;
    }
    return best;
}

/* Row r's id. `room` NULL: greedy. */
static int32_t pick(const struct sample *p, int64_t r, const struct room *room)
{
    const float *logits = p->logits + r * p->row_stride;
    const uint8_t *allowed = p->masks + p->mask_rows[r] * p->columns;
    int32_t best = best_allowed(logits, allowed, p->columns);
    if (best < 0 || !room)
        return best;
    int64_t count = 0;
    for (int64_t id = 0; id < p->columns; id++)
        if (allowed[id] && !isinf(logits[id]))
            room->candidates[count++] = (struct candidate){logits[id], (int32_t)id};
    int64_t kept = p->top_k > 0 && p->top_k < count ? p->top_k : count;
    select_first(room, count, kept);
    double total = 0;
    kept = truncate_candidates(p, room, kept, &total);
    double point = p->uniforms[r] * total;
    for (int64_t i = 0; i < kept; i++) {
        point -= room->weights[i];
        if (point < 0)
            return room->candidates[i].id;
    }
    return room->candidates[kept - 1].id;
}

struct work {
    const struct device_context *context;
    const struct sample *p;
};

static void row_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct work *work = argument;
    const struct sample *p = work->p;
    if (p->temperature == 0) {
        p->ids[task] = pick(p, task, NULL);
        return;
    }
    double *weights = work->context->scratch;
    struct candidate *candidates = (struct candidate *)(void *)(weights + p->rows * p->columns);
    const struct room room = {candidates + task * p->columns, weights + task * p->columns};
    p->ids[task] = pick(p, task, &room);
}

enum status cpu_sample(const struct device_context *context, const struct sample *p)
{
    struct work work = {context, p};
    if (cpu_indices_fit(context, "sample", "mask", p->mask_rows, p->rows, 0, p->mask_count))
        thread_pool_run(context->pool, p->rows, row_task, &work);
    return STATUS_OK;
}
