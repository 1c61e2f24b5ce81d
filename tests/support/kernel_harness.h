/* What the tests of the operations share: contexts of 1, 2 and 3 threads on the table that is tested, arrays in device
 * memory with their exact values in double on the host, comparisons, finite differences. */
#ifndef SPIRITLM_TESTS_KERNEL_HARNESS_H
#define SPIRITLM_TESTS_KERNEL_HARNESS_H

#include "support/test_kernels.h"
#include "support/test_support.h"

/* A context with `threads` threads (1..3) and scratch of at least `scratch_bytes`; lives until the program ends. */
const struct device_context *test_context(int threads, size_t scratch_bytes);

/* Waits for all of those contexts. */
void test_settle(void);

/* A context of a test's own, with one thread and `scratch_bytes` of scratch: for faults, which never go away. */
void test_open(struct device_context *context, size_t scratch_bytes);
void test_close(struct device_context *context);

/* The random stream of one test, named by a number. */
struct rng test_rng(uint64_t test);

/* An array in device memory between guard bands, whose bytes are NaN or -1 to whoever reads them. What the host sets
 * reaches the device when the test asks for the device's address. */
struct tensor {
    enum dtype type; /* F32, BF16, F64, I32 or U8 */
    int64_t count;
    double *values; /* what the array holds, as tensor_read or the maker left it */
    char *memory;   /* device, the bands included */
    char *image;    /* host: what memory holds or, when it is newer, shall hold */
    bool banded;    /* the bands are in place */
    bool newer;
};

struct tensor tensor_make(enum dtype type, int64_t count); /* every byte 0xCD */
struct tensor tensor_zero(enum dtype type, int64_t count);
struct tensor tensor_from(enum dtype type, int64_t count, const void *elements);
struct tensor tensor_normal(struct rng *rng, enum dtype type, int64_t count, double deviation);
struct tensor tensor_integers(struct rng *rng, enum dtype type, int64_t count, int64_t bound); /* -bound..bound */
struct tensor tensor_copy(struct tensor *source);
void tensor_set(struct tensor *tensor, int64_t index, double value); /* rounds to the type */
void tensor_free(struct tensor *tensor);                             /* fails when a band was touched */

/* The device's address of the elements, after what the host has set has reached it. */
void *tensor_device(struct tensor *tensor);
/* Waits for the contexts and brings what the device has: as doubles, and as it is. */
const double *tensor_read(struct tensor *tensor);
const void *tensor_host(struct tensor *tensor);

/* Rotary tables of `positions` for heads of `size`, base 10,000, as f32. */
void rope_tables(int64_t positions, int64_t size, struct tensor *cosine, struct tensor *sine);

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
void assert_same_bits(const char *what, struct tensor *a, struct tensor *b);

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
        assert_fails(test_kernels()->operation(context, &p), STATUS_INTERNAL, part);                                   \
    } while (0)

/* Fails unless `good` after `change` is taken, and then a context of its own reports a fault with `part`, also when it
 * is asked again. */
#define assert_faults(operation, good, change, part)                                                                   \
    do {                                                                                                               \
        struct operation p = good;                                                                                     \
        change;                                                                                                        \
        struct device_context own;                                                                                     \
        test_open(&own, test_kernels()->operation##_scratch_size(&p));                                                 \
        assert_ok(test_kernels()->operation(&own, &p));                                                                \
        assert_fails(test_kernels()->synchronize(&own), STATUS_INTERNAL, part);                                        \
        assert_fails(test_kernels()->synchronize(&own), STATUS_INTERNAL, part);                                        \
        test_close(&own);                                                                                              \
    } while (0)

/* Fails unless what ran since test_traffic_begin moved at most `most` times `floor` bytes of global memory, and needed at most
 * 1.05 times the wavefronts of shared memory that its bytes need. Prints both. On the emulator only, which counts. */
void assert_traffic(const char *what, double floor, double most);

/* Zeros; the caller frees. */
double *doubles(int64_t count);

double dot_product(const double *a, const double *b, int64_t count);

#endif
