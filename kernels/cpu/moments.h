/* Count, mean and squares about the mean of numbers that are met in parts, joined in double (Chan, Golub and LeVeque
 * 1979): no sum of squares is ever subtracted from another, and the order of the joins is the caller's. */
#ifndef SPIRITLM_KERNELS_CPU_MOMENTS_H
#define SPIRITLM_KERNELS_CPU_MOMENTS_H

struct moments {
    double count, mean, squares;
};

static inline void moments_join(struct moments *total, struct moments part)
{
    if (part.count == 0)
        return;
    double count = total->count + part.count, difference = part.mean - total->mean;
    total->squares += part.squares + difference * difference * total->count * part.count / count;
    total->mean += difference * part.count / count;
    total->count = count;
}

#endif
