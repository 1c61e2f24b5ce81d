/* The nearest centroids of points: against definitions in double, with ties, and to the bit against the embedded tokenizer's own
 * code, also where a score by products has nothing left to choose by. */
#include "speech/embedded/kmeans.h"
#include "support/kernel_harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int thread_counts[] = {1, 2, 3};
enum { GAP = 5 };

/* Labels and distances in `found`; with integers all distances are exact, so that ties must go to the lowest. */
static void check_nearest(const struct tensor *x, const struct tensor *c, int64_t channels, int64_t clusters,
                          bool integers, struct tensor found[2])
{
    tensor_read(&found[0]);
    tensor_read(&found[1]);
    for (int64_t n = 0; n < found[0].count; n++) {
        double least = INFINITY, chosen = NAN, allowed = integers ? 0 : 1e-5;
        int64_t best = 0, label = (int64_t)found[0].values[n];
        for (int64_t k = 0; k < clusters; k++) {
            double distance = 0;
            for (int64_t d = 0; d < channels; d++)
                distance += pow(x->values[n * (channels + GAP) + d] - c->values[k * channels + d], 2);
            if (distance < least) {
                least = distance;
                best = k;
            }
            chosen = k == label ? distance : chosen;
        }
        if ((integers && label != best) || !(chosen <= least * (1 + allowed)) ||
            !(fabs(found[1].values[n] - chosen) <= allowed * chosen))
            fail_msg("point %lld: cluster %lld at %.9g, expected %lld at %.9g", (long long)n, (long long)label,
                     found[1].values[n], (long long)best, least);
    }
}

/* All distances are there, and the least of each point, the first one, is the one that was chosen, to the bit. */
static void check_every(struct tensor *labels, struct tensor *distances, struct tensor *every, int64_t clusters)
{
    tensor_read(labels);
    tensor_read(distances);
    tensor_read(every);
    for (int64_t n = 0; n < labels->count; n++) {
        const double *row = every->values + n * clusters;
        int64_t best = 0;
        for (int64_t k = 0; k < clusters; k++) {
            if (!(row[k] >= 0))
                fail_msg("distance %lld of point %lld is %.9g", (long long)k, (long long)n, row[k]);
            best = row[k] < row[best] ? k : best;
        }
        if (best != (int64_t)labels->values[n] || row[best] != distances->values[n])
            fail_msg("point %lld: cluster %lld at %.9g, but %lld at %.9g was chosen", (long long)n, (long long)best,
                     row[best], (long long)labels->values[n], distances->values[n]);
    }
}

static void points_go_to_the_nearest(void **state)
{
    (void)state;
    struct rng rng = test_rng(4);
    const int64_t cases[][3] = {
        {1, 1, 1},   {31, 7, 33},   {257, 20, 100}, {33, 129, 31}, {127, 1, 64}, {129, 33, 1}, {66, 768, 140},
        {0, 3, 4},   {300, 2, 40},  {5, 31, 127},   {2, 3, 2},     {3, 1, 2},    {4, 16, 64},  {5, 17, 65},
        {6, 15, 63}, {7, 32, 7},    {8, 31, 9},     {63, 16, 16},  {64, 20, 64}, {65, 21, 65}, {66, 8, 129},
        {95, 5, 31}, {1, 257, 3},   {2, 512, 2},    {3, 64, 128},  {16, 16, 1},  {17, 2, 300}, {90, 12, 40},
        {128, 4, 8}, {32, 40, 100}, {34, 127, 5},
    };
    for (int s = 0; s < 62; s++) {
        int64_t rows = cases[s / 2][0], channels = cases[s / 2][1], clusters = cases[s / 2][2];
        bool integers = s % 2; /* with ties, and distances that are exact */
        struct tensor x = integers ? tensor_integers(&rng, DTYPE_F32, rows * (channels + GAP), 1)
                                   : tensor_normal(&rng, DTYPE_F32, rows * (channels + GAP), 1);
        struct tensor c = integers ? tensor_integers(&rng, DTYPE_F32, clusters * channels, 1)
                                   : tensor_normal(&rng, DTYPE_F32, clusters * channels, 1);
        tensor_fill_gaps(&x, channels, channels + GAP, NAN);
        struct tensor kept[2] = {{.count = 0}};
        for (int i = 0; i < 3; i++) { /* at 1 with the distances to every centroid */
            if (i == 2 && test_repeats(3) < 3)
                continue;
            struct tensor labels = tensor_make(DTYPE_I32, rows), distances = tensor_make(DTYPE_F32, rows);
            struct tensor every = tensor_make(DTYPE_F32, rows * clusters);
            struct kmeans_assign p = {.rows = rows,
                                      .channels = channels,
                                      .clusters = clusters,
                                      .x = tensor_device(&x),
                                      .centroids = tensor_device(&c),
                                      .x_row_stride = channels + GAP,
                                      .labels = tensor_device(&labels),
                                      .distances = tensor_device(&distances),
                                      .every = i == 1 ? tensor_device(&every) : NULL};
            size_t scratch = test_kernels()->kmeans_assign_scratch_size(&p);
            assert_ok(test_kernels()->kmeans_assign(test_context(thread_counts[i], scratch), &p));
            if (i == 1)
                check_every(&labels, &distances, &every, clusters);
            tensor_free(&every);
            if (i == 0) {
                kept[0] = labels;
                kept[1] = distances;
                continue;
            }
            assert_same_bits("labels", &kept[0], &labels);
            assert_same_bits("distances", &kept[1], &distances);
            tensor_free(&labels);
            tensor_free(&distances);
        }
        check_nearest(&x, &c, channels, clusters, integers, kept);
        tensor_free(&kept[0]);
        tensor_free(&kept[1]);
        tensor_free(&x);
        tensor_free(&c);
    }
}

/* The embedded tokenizer's own assignment, to the bit, NaN and infinity included. */
static void assignments_have_the_tokenizers_bits(void **state)
{
    (void)state;
    struct rng rng = test_rng(5);
    for (int s = 0; s < 6; s++) {
        int64_t rows = 200, channels = s == 0 ? 20 : s == 1 ? 1 : 33, clusters = 100;
        struct tensor x = tensor_normal(&rng, DTYPE_F32, rows * channels, 1);
        struct tensor c = tensor_normal(&rng, DTYPE_F32, clusters * channels, 1);
        for (int64_t i = 0; s == 3 && i < x.count; i++) /* far from 0: |c|^2 - 2 x c has nothing left to choose by */
            tensor_set(&x, i, 300 + 0.01 * x.values[i]);
        for (int64_t i = 0; s == 3 && i < c.count; i++)
            tensor_set(&c, i, 300 + 0.01 * c.values[i % (c.count / 2)]); /* each one twice */
        for (int64_t i = 0; s >= 4 && i < x.count;
             i++) /* the points alone far from 0, or the centroids alone: then the */
            tensor_set(&x, i, (s == 4 ? 10000 : 0) + 0.01 * x.values[i]); /* sums of one are too coarse for the other */
        for (int64_t i = 0; s >= 4 && i < c.count; i++)
            tensor_set(&c, i, (s == 5 ? 10000 : 0) + 0.01 * c.values[i]);
        tensor_set(&x, 17 * channels, NAN);
        tensor_set(&x, 18 * channels, INFINITY);
        struct tensor labels = tensor_make(DTYPE_I32, rows), distances = tensor_make(DTYPE_F32, rows);
        struct kmeans_assign p = {.rows = rows,
                                  .channels = channels,
                                  .clusters = clusters,
                                  .x = tensor_device(&x),
                                  .centroids = tensor_device(&c),
                                  .x_row_stride = channels,
                                  .labels = tensor_device(&labels),
                                  .distances = tensor_device(&distances)};
        size_t scratch = test_kernels()->kmeans_assign_scratch_size(&p);
        assert_ok(test_kernels()->kmeans_assign(test_context(3, scratch), &p));
        int32_t *their_labels = malloc((size_t)rows * sizeof *their_labels);
        float *their_distances = malloc((size_t)rows * sizeof *their_distances);
        assert_ok(kmeans_assign(tensor_host(&x), rows, channels, tensor_host(&c), clusters, NULL, their_labels,
                                their_distances));
        assert_memory_equal(tensor_host(&labels), their_labels, (size_t)rows * sizeof(int32_t));
        assert_memory_equal(tensor_host(&distances), their_distances, (size_t)rows * sizeof(float));
        free(their_labels);
        free(their_distances);
        struct tensor *all[] = {&x, &c, &labels, &distances};
        for (int i = 0; i < 4; i++)
            tensor_free(all[i]);
    }
}

/* Points more than 2^31 elements apart get what they get side by side; with `twice` every centroid is there twice, so that the
 * distances themselves decide. */
static void check_strides(bool twice)
{
    enum { CHANNELS = 257, CLUSTERS = 6 };
    const int64_t wide = (INT64_C(1) << 31) + 64;
    const struct device_context *context = test_context(1, 0);
    struct rng rng = test_rng(8);
    struct tensor x = tensor_normal(&rng, DTYPE_F32, 2 * CHANNELS, 1);
    struct tensor c = tensor_normal(&rng, DTYPE_F32, CLUSTERS * CHANNELS, 1);
    struct tensor labels[2] = {tensor_make(DTYPE_I32, 2), tensor_make(DTYPE_I32, 2)};
    struct tensor distances[2] = {tensor_make(DTYPE_F32, 2), tensor_make(DTYPE_F32, 2)};
    for (int64_t i = 0; twice && i < c.count; i++)
        tensor_set(&c, i, c.values[i % (c.count / 2)]);
    float *memory = test_sparse_memory((size_t)(wide + CHANNELS) * sizeof *memory);
    const float *rows = tensor_host(&x);
    for (int b = 0; memory && b < 2; b++)
        assert_ok(test_kernels()->copy_to_device(context, QUEUE_COMPUTE, memory + b * wide, rows + b * CHANNELS,
                                                 CHANNELS * sizeof *rows));
    assert_ok(test_kernels()->synchronize(context));
    for (int i = 0; memory && i < 2; i++) {
        struct kmeans_assign p = {.rows = 2,
                                  .channels = CHANNELS,
                                  .clusters = CLUSTERS,
                                  .x = i ? memory : tensor_device(&x),
                                  .centroids = tensor_device(&c),
                                  .x_row_stride = i ? wide : CHANNELS,
                                  .labels = tensor_device(&labels[i]),
                                  .distances = tensor_device(&distances[i])};
        context = test_context(1, test_kernels()->kmeans_assign_scratch_size(&p));
        assert_ok(test_kernels()->kmeans_assign(context, &p));
    }
    if (memory) {
        assert_same_bits("labels", &labels[0], &labels[1]);
        assert_same_bits("distances", &distances[0], &distances[1]);
        test_sparse_release(memory);
    }
    struct tensor *all[] = {&x, &c, &labels[0], &labels[1], &distances[0], &distances[1]};
    for (int i = 0; i < 6; i++)
        tensor_free(all[i]);
}

static void strides_are_64_bits_wide(void **state)
{
    (void)state;
    check_strides(false);
    check_strides(true);
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    const struct device_context *context = test_context(1, 0);
    struct tensor x = tensor_zero(DTYPE_F32, 8), labels = tensor_make(DTYPE_I32, 4);
    const struct kmeans_assign points = {.rows = 4,
                                         .channels = 2,
                                         .clusters = 3,
                                         .x = tensor_device(&x),
                                         .centroids = tensor_device(&x),
                                         .x_row_stride = 2,
                                         .labels = tensor_device(&labels)};
    assert_refused(kmeans_assign, points, p.rows = -1, "-1 points");
    assert_refused(kmeans_assign, points, p.clusters = 0, "0 clusters");
    assert_refused(kmeans_assign, points, p.x_row_stride = 1, "stride");
    assert_refused(kmeans_assign, points, p.labels = NULL, "null");
    struct device_context small = *context;
    small.scratch_bytes = 8;
    assert_fails(test_kernels()->kmeans_assign(&small, &points), STATUS_INTERNAL, "scratch");
    tensor_free(&labels);
    tensor_free(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(points_go_to_the_nearest),
        cmocka_unit_test(assignments_have_the_tokenizers_bits),
        cmocka_unit_test(strides_are_64_bits_wide),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
