/* A small model in training on any table of kernels, with synthetic batches: documents of a rule that can be learned, packed
 * so that they begin and end anywhere. The same settings give the same batches and first weights on every table. */
#ifndef SPIRITLM_GPU_CHECK_SMALL_MODEL_H
#define SPIRITLM_GPU_CHECK_SMALL_MODEL_H

#include "core/thread_pool.h"
#include "train/optimizer.h"

struct small_settings {
    struct llama_config config;
    enum dtype dtype;
    int64_t rows, length;
    enum recomputation recomputation;
    uint64_t seed;
};

struct small_run {
    struct small_settings settings;
    const struct kernels *kernels;
    struct thread_pool *pool;
    struct device_context context;
    struct comm *comm;
    struct device_comm *device_comm;
    struct llama *model;
    struct llama_workspace *workspace;
    struct optimizer *optimizer;
    double *group_sums; /* device */
    int32_t *ids, *targets, *starts;
    uint8_t *groups;
    int64_t step; /* updates so far */
};

/* What a run is resumed from: all in host memory. */
struct small_state {
    int64_t step;
    size_t weight_bytes;
    void *weights;
    float *states[OPTIMIZER_STATES]; /* [layout.elements] each */
};

/* A model with its first weights, ready for its first step. */
enum status small_run_open(const struct kernels *kernels, const struct small_settings *settings, struct small_run *run);
void small_run_close(struct small_run *run); /* a zeroed one is fine */

/* One step: the mean loss per token, and the gradients' norm before clipping. */
enum status small_run_step(struct small_run *run, double *loss, double *norm);

enum status small_state_save(struct small_run *run, struct small_state *state);
enum status small_state_load(struct small_run *run, const struct small_state *state);
/* Whether both hold the same bits. */
bool small_state_same(const struct small_state *a, const struct small_state *b, int64_t elements);
void small_state_free(struct small_state *state);

#endif
