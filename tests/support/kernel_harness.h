/* What the tests of the operations share: contexts of 1, 2 and 3 threads, arrays of f32 or bf16 with their exact
 * values in double, comparisons, finite differences. */
#ifndef SPIRITLM_TESTS_KERNEL_HARNESS_H
#define SPIRITLM_TESTS_KERNEL_HARNESS_H

#include "kernels/kernels.h"
#include "support/test_support.h"

/* A context with `threads` threads (1..3) and scratch of at least `scratch_bytes`; lives until the program ends. */
const struct device_context *test_context(int threads, size_t scratch_bytes);

/* The random stream of one test, named by a number. */
struct rng test_rng(uint64_t test);

/* An array between guard bands. */
struct tensor {
    void *data;
    enum dtype type;
    int64_t count;
    double *values; /* what data holds, as tensor_read or the maker left it */
};

struct tensor tensor_make(enum dtype type, int64_t count); /* every byte 0xCD */
struct tensor tensor_zero(enum dtype type, int64_t count);
struct tensor tensor_normal(struct rng *rng, enum dtype type, int64_t count, double deviation);
struct tensor tensor_integers(struct rng *rng, enum dtype type, int64_t count, int64_t bound); /* -bound..bound */
struct tensor tensor_copy(const struct tensor *source);
void tensor_set(struct tensor *tensor, int64_t index, double value); /* rounds to the type */
const double *tensor_read(struct tensor *tensor);
void tensor_free(struct tensor *tensor);

/* Rows of `columns` used elements `stride` apart: writes `value` between them (NaN there shows who reads a gap). */
void tensor_fill_gaps(struct tensor *tensor, int64_t columns, int64_t stride, double value);
/* Fails unless every gap still holds `value`. */
void tensor_check_gaps(const char *what, struct tensor *tensor, int64_t columns, int64_t stride, double value);

/* `value` as `type` holds it. */
double round_to(enum dtype type, double value);

/* Unit roundoff of bf16: half a unit in the last of 8 places. */
#define BF16_ROUNDING (1.0 / 256)

/* Fails unless every |actual - expected| <= absolute, plus (in bf16) `roundings` * 2^-8 * |expected|. */
void assert_tensor(const char *what, struct tensor *actual, const double *expected, double absolute, double roundings);

/* Fails unless the two hold the same bits. */
void assert_same_bits(const char *what, const struct tensor *a, const struct tensor *b);

/* Checks `gradient` (of the scalar that `loss` computes from x) at up to 64 random places against central differences
 * of step 1e-5. The loss must be a double computation. */
void check_gradient(const char *what, double (*loss)(void *), void *argument, double *x, const double *gradient,
                    int64_t count, struct rng *rng);

/* Fails unless the operation refuses `good` after `change`, which sets a member of `p`, with a text that has `part`;
 * needs `context`. */
#define assert_refused(operation, good, change, part)                                                                  \
    do {                                                                                                               \
        struct operation p = good;                                                                                     \
        change;                                                                                                        \
        assert_fails(kernels_cpu()->operation(context, &p), STATUS_INTERNAL, part);                                    \
    } while (0)

/* Zeros; the caller frees. */
double *doubles(int64_t count);

double dot_product(const double *a, const double *b, int64_t count);

#endif
