/* k-means against a plain reference in double, planted clusters, and its guarantees about threads and empty
 * clusters. */
#include "speech/embedded/kmeans.h"

#include "support/test_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static float *random_points(struct rng *rng, int64_t count, int64_t dimensions)
{
    float *points = guarded_allocate((size_t)(count * dimensions) * sizeof *points);
    for (int64_t i = 0; i < count * dimensions; i++)
        points[i] = (float)rng_normal(rng);
    return points;
}

static double squared_distance(const float *a, const float *b, int64_t dimensions)
{
    double sum = 0;
    for (int64_t j = 0; j < dimensions; j++) {
        double difference = (double)a[j] - (double)b[j];
        sum += difference * difference;
    }
    return sum;
}

/* One step of Lloyd's algorithm in double, written as the textbook has it. */
static void test_lloyd_step(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 1, 0);
    const int64_t shapes[][3] = {{1, 1, 1}, {31, 1, 7}, {513, 3, 33}, {1023, 80, 100}, {700, 13, 32}, {2049, 7, 5}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        int64_t n = shapes[s][0], d = shapes[s][1], k = shapes[s][2];
        float *points = random_points(&rng, n, d), *centroids = random_points(&rng, k, d);
        float *distances = guarded_allocate((size_t)n * sizeof *distances);
        float *matrix = guarded_allocate((size_t)(n * k) * sizeof *matrix);
        int32_t *labels = guarded_allocate((size_t)n * sizeof *labels);
        int64_t *members = guarded_allocate((size_t)k * sizeof *members);
        double *sums = calloc((size_t)(k * d), sizeof *sums);
        int64_t *expected_members = calloc((size_t)k, sizeof *expected_members);
        assert_ok(kmeans_assign(points, n, d, centroids, k, NULL, labels, distances));
        assert_ok(kmeans_distances(points, n, d, centroids, k, matrix));
        for (int64_t i = 0; i < n; i++) {
            double least = INFINITY;
            for (int64_t c = 0; c < k; c++) {
                double distance = squared_distance(points + i * d, centroids + c * d, d);
                least = fmin(least, distance);
                if (!(fabs((double)matrix[i * k + c] - distance) <= 1e-5 * distance))
                    fail_msg("distance of point %lld to centroid %lld", (long long)i, (long long)c);
            }
            assert_true(labels[i] >= 0 && labels[i] < k);
            double taken = squared_distance(points + i * d, centroids + labels[i] * d, d);
            if (!(taken <= least * (1 + 1e-5)))
                fail_msg("point %lld went to a centroid %.9g away, the nearest is %.9g away", (long long)i, taken,
                         least);
            assert_true(distances[i] == matrix[i * k + labels[i]]);
            expected_members[labels[i]]++;
            for (int64_t j = 0; j < d; j++)
                sums[labels[i] * d + j] += (double)points[i * d + j];
        }
        float *before = malloc((size_t)(k * d) * sizeof *before);
        memcpy(before, centroids, (size_t)(k * d) * sizeof *before);
        assert_ok(kmeans_update(points, n, d, labels, k, NULL, centroids, members));
        for (int64_t c = 0; c < k; c++) {
            assert_int_equal(members[c], expected_members[c]);
            for (int64_t j = 0; j < d; j++) {
                double mean = members[c] ? sums[c * d + j] / (double)members[c] : (double)before[c * d + j];
                if (!(fabs((double)centroids[c * d + j] - mean) <= 1e-6 * fmax(1, fabs(mean))))
                    fail_msg("centroid %lld, dimension %lld", (long long)c, (long long)j);
            }
        }
        free(before);
        free(sums);
        free(expected_members);
        guarded_free(points);
        guarded_free(centroids);
        guarded_free(distances);
        guarded_free(matrix);
        guarded_free(labels);
        guarded_free(members);
    }
}

/* A converged fit is a fixed point of the plain algorithm, and no worse than its start. */
static void test_converges(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 2, 0);
    enum { N = 1500, D = 5, K = 20 };
    float *points = random_points(&rng, N, D), *centroids = guarded_allocate(K * D * sizeof *centroids);
    struct kmeans_options options = {.clusters = K, .passes = 500, .seed = 3};
    struct kmeans_report report;
    assert_ok(kmeans_fit(points, N, D, &options, NULL, centroids, &report));
    assert_true(report.passes < 500);
    double sums[K][D] = {{0}}, inertia = 0;
    int64_t members[K] = {0};
    for (int64_t i = 0; i < N; i++) {
        int best = 0;
        for (int c = 1; c < K; c++)
            if (squared_distance(points + i * D, centroids + c * D, D) <
                squared_distance(points + i * D, centroids + best * D, D))
                best = c;
        inertia += squared_distance(points + i * D, centroids + best * D, D);
        members[best]++;
        for (int j = 0; j < D; j++)
            sums[best][j] += (double)points[i * D + j];
    }
    for (int c = 0; c < K; c++)
        for (int j = 0; j < D; j++)
            if (!(fabs(sums[c][j] / (double)members[c] - (double)centroids[c * D + j]) <= 1e-5))
                fail_msg("centroid %d is not the mean of its points", c);
    assert_true(fabs(report.inertia - inertia / N) <= 1e-5 * report.inertia);
    options.passes = 0;
    struct kmeans_report start;
    assert_ok(kmeans_fit(points, N, D, &options, NULL, centroids, &start));
    assert_true(start.passes == 0 && report.inertia < start.inertia);
    guarded_free(points);
    guarded_free(centroids);
}

static void test_threads(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 3, 0);
    enum { N = 4001, D = 17, K = 37 };
    float *points = random_points(&rng, N, D);
    for (int64_t batch = 0; batch <= 700; batch += 700) {
        float *first = guarded_allocate(K * D * sizeof *first), *other = guarded_allocate(K * D * sizeof *other);
        struct kmeans_options options = {.clusters = K, .passes = 6, .batch = batch, .seed = 11, .purpose = 2};
        struct kmeans_report report, again;
        assert_ok(kmeans_fit(points, N, D, &options, NULL, first, &report));
        for (int threads = 1; threads <= 3; threads++) {
            struct thread_pool *pool;
            assert_ok(thread_pool_create(threads, &pool));
            assert_ok(kmeans_fit(points, N, D, &options, pool, other, &again));
            assert_memory_equal(first, other, K * D * sizeof *first);
            assert_true(report.inertia == again.inertia && report.passes == again.passes);
            thread_pool_destroy(pool);
        }
        options.seed = 12;
        assert_ok(kmeans_fit(points, N, D, &options, NULL, other, NULL));
        assert_true(memcmp(first, other, K * D * sizeof *first) != 0);
        options.seed = 11;
        options.purpose = 3;
        assert_ok(kmeans_fit(points, N, D, &options, NULL, other, NULL));
        assert_true(memcmp(first, other, K * D * sizeof *first) != 0);
        guarded_free(first);
        guarded_free(other);
    }
    guarded_free(points);
}

/* Clusters far apart are found, each once, by Lloyd and by mini-batches. */
static void test_planted(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 4, 0);
    enum { N = 3000, D = 9, K = 24 };
    float *points = random_points(&rng, N, D), *centroids = guarded_allocate(K * D * sizeof *centroids);
    double means[K][D] = {{0}};
    int64_t members[K] = {0};
    for (int64_t i = 0; i < N; i++) {
        int c = (int)(i % K);
        members[c]++;
        for (int j = 0; j < D; j++) {
            points[i * D + j] += (float)(40 * ((c >> (j % 5)) & 1) + (j == 7 ? 3 * c : 0));
            means[c][j] += (double)points[i * D + j];
        }
    }
    for (int64_t batch = 0; batch <= 400; batch += 400) {
        struct kmeans_options options = {.clusters = K, .passes = 30, .batch = batch, .seed = 5};
        assert_ok(kmeans_fit(points, N, D, &options, NULL, centroids, NULL));
        for (int c = 0; c < K; c++) {
            double least = INFINITY;
            for (int m = 0; m < K; m++) {
                double distance = 0;
                for (int j = 0; j < D; j++) {
                    double difference = (double)centroids[m * D + j] - means[c][j] / (double)members[c];
                    distance += difference * difference;
                }
                least = fmin(least, distance);
            }
            if (!(least <= (batch ? 0.5 : 1e-6)))
                fail_msg("batch %lld: planted cluster %d was not found (%.3g away)", (long long)batch, c, least);
        }
    }
    guarded_free(points);
    guarded_free(centroids);
}

/* From a start where all centroids are equal, the lowest index takes every point and the others are empty: they go to
 * the points farthest from it, in order. Run on, every cluster ends in use. */
static void test_empty_clusters(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 5, 0);
    enum { N = 300, D = 2, K = 6 };
    float *points = random_points(&rng, N, D), centroids[K * D];
    for (int c = 0; c < K; c++)
        memcpy(centroids + c * D, points, D * sizeof *points);
    struct kmeans_options options = {.clusters = K, .passes = 1, .given_start = true};
    struct kmeans_report report;
    assert_ok(kmeans_fit(points, N, D, &options, NULL, centroids, &report));
    assert_int_equal(report.reseeded, K - 1);
    double mean[D] = {0};
    bool taken[N] = {false};
    for (int i = 0; i < N * D; i++)
        mean[i % D] += (double)points[i] / N;
    for (int j = 0; j < D; j++)
        assert_true(fabs((double)centroids[j] - mean[j]) < 1e-6);
    for (int c = 1; c < K; c++) {
        int farthest = -1;
        for (int i = 0; i < N; i++)
            if (!taken[i] && (farthest < 0 || squared_distance(points + i * D, points, D) >
                                                  squared_distance(points + farthest * D, points, D)))
                farthest = i;
        taken[farthest] = true;
        assert_memory_equal(centroids + c * D, points + farthest * D, D * sizeof *points);
    }
    for (int64_t batch = 0; batch <= 50; batch += 50) {
        for (int c = 0; c < K; c++)
            memcpy(centroids + c * D, points, D * sizeof *points);
        options.passes = 50;
        options.batch = batch;
        assert_ok(kmeans_fit(points, N, D, &options, NULL, centroids, &report));
        int32_t labels[N];
        int used[K] = {0};
        assert_ok(kmeans_assign(points, N, D, centroids, K, NULL, labels, NULL));
        for (int i = 0; i < N; i++)
            used[labels[i]] = 1;
        for (int c = 0; c < K; c++)
            assert_true(used[c]);
        assert_true(report.reseeded >= (batch ? 1 : K - 1));
    }
    guarded_free(points);
}

/* Points with fewer values than there are clusters: each value is found, the other centroids repeat one. */
static void test_repeated_points(void **state)
{
    (void)state;
    enum { N = 60, K = 12 };
    float points[N], centroids[K];
    for (int i = 0; i < N; i++)
        points[i] = (float)(i % 5);
    struct kmeans_options options = {.clusters = K, .passes = 10, .seed = 9};
    struct kmeans_report report;
    assert_ok(kmeans_fit(points, N, 1, &options, NULL, centroids, &report));
    int found[5] = {0};
    for (int c = 0; c < K; c++) {
        assert_true(centroids[c] >= 0 && centroids[c] <= 4 && centroids[c] == floorf(centroids[c]));
        found[(int)centroids[c]] = 1;
    }
    for (int v = 0; v < 5; v++)
        assert_true(found[v]);
    assert_true(report.inertia == 0);
}

/* Mini-batches meet empty clusters all the time: 200 clusters, batches of 40. */
static void test_small_batches(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 6, 0);
    enum { N = 1000, D = 3, K = 200 };
    float *points = random_points(&rng, N, D), *centroids = guarded_allocate(K * D * sizeof *centroids);
    struct kmeans_options options = {.clusters = K, .passes = 20, .batch = 40, .seed = 1};
    struct kmeans_report batches, lloyd;
    assert_ok(kmeans_fit(points, N, D, &options, NULL, centroids, &batches));
    options.batch = 0;
    assert_ok(kmeans_fit(points, N, D, &options, NULL, centroids, &lloyd));
    printf("inertia: mini-batches %.4f, Lloyd %.4f\n", batches.inertia, lloyd.inertia);
    assert_true(isfinite(batches.inertia) && batches.inertia <= 1.25 * lloyd.inertia);
    guarded_free(points);
    guarded_free(centroids);
}

static void test_refusals(void **state)
{
    (void)state;
    float points[4] = {0, 1, 2, 3}, centroids[8];
    struct kmeans_options options = {.clusters = 5, .passes = 1};
    assert_fails(kmeans_fit(points, 4, 1, &options, NULL, centroids, NULL), STATUS_USAGE,
                 "5 clusters needs at least as many points, found 4");
    options.clusters = 0;
    assert_fails(kmeans_fit(points, 4, 1, &options, NULL, centroids, NULL), STATUS_INTERNAL, "0 clusters");
    options.clusters = 4;
    assert_ok(kmeans_fit(points, 4, 1, &options, NULL, centroids, NULL));
    for (int v = 0; v < 4; v++)
        assert_true(centroids[0] == (float)v || centroids[1] == (float)v || centroids[2] == (float)v ||
                    centroids[3] == (float)v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lloyd_step),     cmocka_unit_test(test_converges),
                                       cmocka_unit_test(test_threads),        cmocka_unit_test(test_planted),
                                       cmocka_unit_test(test_empty_clusters), cmocka_unit_test(test_repeated_points),
                                       cmocka_unit_test(test_small_batches),  cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
