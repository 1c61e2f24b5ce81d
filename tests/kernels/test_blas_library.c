/* OpenBLAS as it is loaded: no threads of its own, right when many threads multiply at once, and an error instead of a
 * process that spins where memory is short. Needs OpenBLAS for POSIX threads; skipped without it. */
#include "kernels/cpu/blas_library.h"

#include "support/test_support.h"

#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIDE = 48, SECONDS = 20 };

static int threads_of_this_process(void)
{
    DIR *folder = opendir("/proc/self/task");
    int count = 0;
    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count - 2; /* . and .. */
}

static void loading_starts_no_thread_and_leaves_the_environment(void **state)
{
    (void)state;
    char *before = getenv("OPENBLAS_NUM_THREADS");
    setenv("OPENBLAS_NUM_THREADS", "7", 1); /* what a user may have */
    int threads = threads_of_this_process();
    if (!blas_library()) {
        assert_true(strlen(blas_library_absence()) > 0);
        print_message("no OpenBLAS: %s\n", blas_library_absence());
        skip();
    }
    assert_int_equal(threads_of_this_process(), threads);
    assert_string_equal(getenv("OPENBLAS_NUM_THREADS"), "7");
    assert_null(before);
    unsetenv("OPENBLAS_NUM_THREADS");
}

struct stress {
    const float *a, *b;
    const double *expected; /* sums in double */
    pthread_barrier_t barrier;
    int rounds, wrong;
};

/* All threads begin each round together, which is when a library without locks gives one buffer to two of them. */
static void *multiply(void *argument)
{
    struct stress *stress = argument;
    float c[SIDE * SIDE];
    for (int round = 0; round < stress->rounds; round++) {
        int bad = 0;
        pthread_barrier_wait(&stress->barrier);
        blas_library()->sgemm(BLAS_ROW_MAJOR, BLAS_NOT_TRANSPOSED, BLAS_TRANSPOSED, SIDE, SIDE, SIDE, 1, stress->a,
                              SIDE, stress->b, SIDE, 0, c, SIDE);
        for (int i = 0; i < SIDE * SIDE; i++)
            bad |= !(fabs((double)c[i] - stress->expected[i]) <= 1e-4);
        __atomic_add_fetch(&stress->wrong, bad, __ATOMIC_RELAXED);
    }
    return NULL;
}

static int wrong_products(struct stress *stress, int threads)
{
    pthread_t *all = calloc((size_t)threads, sizeof *all);
    assert_non_null(all);
    assert_int_equal(pthread_barrier_init(&stress->barrier, NULL, (unsigned)threads), 0);
    for (int i = 0; i < threads; i++)
        assert_int_equal(pthread_create(&all[i], NULL, multiply, stress), 0);
    for (int i = 0; i < threads; i++)
        pthread_join(all[i], NULL);
    pthread_barrier_destroy(&stress->barrier);
    free(all);
    return stress->wrong;
}

static void products_of_many_threads_at_once_are_right(void **state)
{
    (void)state;
    if (!blas_library())
        skip();
    static float a[SIDE * SIDE], b[SIDE * SIDE];
    static double expected[SIDE * SIDE];
    struct rng rng = rng_make(test_seed(), RNG_TEST, 1, 0);
    for (int i = 0; i < SIDE * SIDE; i++) {
        a[i] = (float)rng_normal(&rng);
        b[i] = (float)rng_normal(&rng);
    }
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++)
            for (int k = 0; k < SIDE; k++)
                expected[i * SIDE + j] += (double)a[i * SIDE + k] * (double)b[j * SIDE + k];
    static const int threads[] = {2, 8, 40, 100};
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
        struct stress stress = {.a = a, .b = b, .expected = expected, .rounds = test_is_long() ? 20000 : 1000};
        assert_ok(blas_library_reserve(threads[i]));
        assert_int_equal(wrong_products(&stress, threads[i]), 0);
        assert_ok(blas_library_reserve(-threads[i]));
    }
}

/* What a child with a limit of `megabytes` of address space does: 0 all products made, 3 refused in words, 4 no thread, 5 no
 * library; a signal when it spins. */
static int life_under_limit(long megabytes, int threads)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit limit = {(rlim_t)megabytes << 20, (rlim_t)megabytes << 20};
        alarm(SECONDS);
        setrlimit(RLIMIT_AS, &limit);
        static float ones[SIDE * SIDE];
        static double sums[SIDE * SIDE];
        struct stress stress = {.a = ones, .b = ones, .expected = sums, .rounds = 3};
        if (!blas_library())
            _exit(5);
        if (blas_library_reserve(threads) != STATUS_OK)
            _exit(strstr(status_text(), "ulimit -v") ? 3 : 9);
        pthread_t all[8];
        pthread_barrier_init(&stress.barrier, NULL, (unsigned)threads);
        for (int i = 0; i < threads; i++)
            if (pthread_create(&all[i], NULL, multiply, &stress) != 0)
                _exit(4);
        for (int i = 0; i < threads; i++)
            pthread_join(all[i], NULL);
        exit(stress.wrong); /* with the library's own end */
    }
    int status = 0;
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    if (!WIFEXITED(status))
        fail_msg("%ld MiB, %d threads: ended by signal %d", megabytes, threads, WTERMSIG(status));
    return WEXITSTATUS(status);
}

/* Before this process loads the library: each child does it under its own limit. */
static void short_memory_is_refused_and_never_spins(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* its shadow needs terabytes of address space */
#endif
    int seen[10] = {0};
    struct rng rng = rng_make(test_seed(), RNG_TEST, 0, 0);
    for (int i = 0; i < (test_is_long() ? 600 : 60); i++) {
        long megabytes = 20 + (long)(rng_uniform(&rng) * 1900);
        int threads = 1 + (int)(rng_uniform(&rng) * 8), code = life_under_limit(megabytes, threads);
        if (code != 0 && code != 3 && code != 4 && code != 5)
            fail_msg("%ld MiB, %d threads: %d", megabytes, threads, code);
        seen[code]++;
    }
    print_message("done %d, refused %d, no thread %d, not loaded %d\n", seen[0], seen[3], seen[4], seen[5]);
    if (life_under_limit(100000, 2) == 5)
        skip();
    assert_true(seen[0] > 0 && seen[3] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_memory_is_refused_and_never_spins),
        cmocka_unit_test(loading_starts_no_thread_and_leaves_the_environment),
        cmocka_unit_test(products_of_many_threads_at_once_are_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
