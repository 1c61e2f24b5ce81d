/* The two passes over a row of logits that a softmax needs: the largest, and the sum of exponentials below it. */
#ifndef SPIRITLM_KERNELS_CPU_EXPONENTIALS_H
#define SPIRITLM_KERNELS_CPU_EXPONENTIALS_H

#include "kernels/cpu/vector.h"

/* Minus infinity without columns. A NaN may be passed over: row_sum finds it. */
INLINE float row_maximum(const void *logits, int64_t columns, enum dtype type)
{
    vector a = vector_fill(-INFINITY), b = a;
    int64_t i = 0;
    for (; i + 2 * LANES <= columns; i += 2 * LANES) {
        a = vector_max(vector_load(logits, i, LANES, type), a);
        b = vector_max(vector_load(logits, i + LANES, LANES, type), b);
    }
    a = vector_max(a, b);
    float result = a[0];
    for (int j = 1; j < LANES; j++)
        result = a[j] > result ? a[j] : result;
    for (; i < columns; i++) {
        float x = vector_load(logits, i, 1, type)[0];
        result = x > result ? x : result;
    }
    return result;
}

/* Sum of exp(logit - maximum): lanes within 1,024 columns, double above them, so that a wide row loses no digits. */
INLINE double row_sum(void *logits, float largest, int64_t columns, bool keep, enum dtype type)
{
    double total = 0;
    for (int64_t start = 0; start < columns; start += 1024) {
        int64_t end = minimum(columns, start + 1024), i = start;
        vector sum[2] = {{0}};
        for (; i + 2 * LANES <= end; i += 2 * LANES)
            for (int j = 0; j < 2; j++) {
                vector e = vector_exp(vector_load(logits, i + j * LANES, LANES, type) - largest);
                sum[j] += e;
                if (keep)
                    vector_store(logits, i + j * LANES, LANES, type, e);
            }
        total += (double)vector_sum(sum[0] + sum[1]);
        for (; i < end; i += LANES) {
            int64_t count = minimum(LANES, end - i);
            vector e = vector_exp(vector_load(logits, i, count, type) - largest);
            for (int64_t j = 0; j < count; j++)
                total += (double)e[j];
            if (keep)
                vector_store(logits, i, count, type, e);
        }
    }
    return total;
}

#endif
