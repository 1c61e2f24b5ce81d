/* Small Llama models for tests: a model with its device, and weights that tests/oracles/llama_golden.py draws too. */
#ifndef SPIRITLM_TESTS_LLAMA_SUPPORT_H
#define SPIRITLM_TESTS_LLAMA_SUPPORT_H

#include "core/thread_pool.h"
#include "models/llama/llama.h"
#include "support/test_kernels.h"

struct llama_fixture {
    struct thread_pool *pool;
    struct device_context context;
    struct llama *model;
};

/* A model on test_kernels() with `threads` threads; weights zero. Fails the test on an error. */
void llama_fixture_create(struct llama_fixture *fixture, const struct llama_config *config, enum dtype dtype,
                          int threads);
void llama_fixture_destroy(struct llama_fixture *fixture);

/* Four layers of grouped heads, sizes that are multiples of nothing much. */
struct llama_config llama_small_config(void);

/* Matrices of deviation `std`, norms 1 + 0.1 * a number of deviation 1; tensor i of the layout from stream
 * rng(seed, RNG_TEST, i, 0). Exact in double, rounded once to the model's type. */
void llama_fixture_weights(struct llama_fixture *fixture, uint64_t seed, double std);

/* Zeroed device memory, and f32 of the parameters' layout; llama_fixture_release frees them. */
void *llama_fixture_allocate(struct llama_fixture *fixture, size_t bytes);
float *llama_fixture_arena(struct llama_fixture *fixture);
void llama_fixture_release(struct llama_fixture *fixture, void *memory);

/* Copies that are over when they return. */
void llama_fixture_write(struct llama_fixture *fixture, void *device, const void *host, size_t bytes);
void llama_fixture_read(struct llama_fixture *fixture, void *host, const void *device, size_t bytes);
/* A guarded host copy (guarded_free) of device memory, or of the model's weights. */
void *llama_fixture_copy(struct llama_fixture *fixture, const void *device, size_t bytes);
void *llama_fixture_copy_weights(struct llama_fixture *fixture);

/* ids, and targets of which about one in eight is -1, from rng(seed, RNG_TEST, a, 7). */
void llama_random_tokens(uint64_t seed, uint64_t a, int64_t count, int64_t vocabulary, int32_t *ids, int32_t *targets);

#endif
