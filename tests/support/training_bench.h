/* What one rank of a training test holds: settings that a test may change before it makes a trainer, a device, and
 * copies of a trainer's state that are compared bit for bit. */
#ifndef SPIRITLM_TESTS_TRAINING_BENCH_H
#define SPIRITLM_TESTS_TRAINING_BENCH_H

#include "support/tiny_corpus.h"

#include "data/lanes.h"
#include "train/trainer.h"

struct training_bench {
    struct data_settings data;
    struct model_settings model;
    struct train_settings train;
    struct components *components;
    struct kernels kernels; /* test_kernels()': a test may put operations of its own in it */
    struct device_context context;
    struct thread_pool *pool;
    struct comm *comm;
    struct device_comm *device_comm;
    bool owns_comm;
    struct trainer_setup setup;
    const char *folders[2];
};

/* A model of two layers of 32 on eight lanes of 64 tokens of the corpus: all that a test changes it changes before
 * trainer_create. `comm` is borrowed; NULL makes a rank alone. `run` may be any name where nothing is saved. */
void training_bench_open(struct training_bench *bench, const struct tiny_corpus *corpus, const char *run,
                         struct comm *comm, int threads);
/* The same on another table. */
void training_bench_open_on(const struct kernels *kernels, struct training_bench *bench,
                            const struct tiny_corpus *corpus, const char *run, struct comm *comm, int threads);
void training_bench_close(struct training_bench *bench);

/* The newest checkpoint of the bench's run, in a trainer that knows nothing else. */
struct trainer *training_bench_resume(const struct training_bench *bench);

/* Where kernels are slow (test_kernels_slow): three lanes of 32 tokens and one layer, which still have all parts, and a peak
 * that need not be measured. Elsewhere nothing changes. */
void training_bench_shrink_if_slow(struct training_bench *bench);

/* configs/demo.yaml's model and batch: four layers of 128, eight lanes of 256. */
void training_bench_use_demo_sizes(struct training_bench *bench);

/* The lanes that a trainer of this bench would read, and that none has touched. */
struct untouched_lanes {
    struct dataset *datasets[2];
    struct lanes *lanes;
};
void untouched_lanes_open(const struct training_bench *bench, struct untouched_lanes *untouched);
void untouched_lanes_close(struct untouched_lanes *untouched);

/* Appends the documents of the lane's last row to `text`, as trainer_last_documents writes them. */
void untouched_lanes_documents(const struct untouched_lanes *untouched, int64_t lane, char *text);

/* Weights, masters and moments of one rank, copied. */
struct training_state {
    void *weights, *masters, *first_moment, *second_moment; /* masters NULL in f32 */
    size_t weight_bytes, slice_bytes;
};
struct training_state training_state_copy(struct trainer *trainer);
void training_state_free(struct training_state *state);

/* One weight of an f32 model; returns what was there. */
float training_weight_replace(struct trainer *trainer, int64_t element, float value);

/* Fails the test with the first byte that differs, or where the sizes do. */
void training_state_assert_equal(const char *what, const struct training_state *actual,
                                 const struct training_state *expected);

#endif
