/* The core against published vectors and plain double arithmetic. */
#include "support/test_support.h"

#include "core/dtype.h"
#include "core/fft.h"
#include "core/hash.h"
#include "core/memory_plan.h"
#include "core/thread_pool.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Known answers of philox4x32-10 from the Random123 distribution (kat_vectors). */
static void philox_matches_published_vectors(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], output[4];
    } vectors[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        uint32_t output[4];
        philox4x32(vectors[i].key, vectors[i].counter, output);
        assert_memory_equal(output, vectors[i].output, sizeof output);
    }
}

static void streams_differ_and_repeat(void **state)
{
    (void)state;
    struct rng a = rng_make(1, RNG_TEST, 0, 0), b = rng_make(1, RNG_TEST, 0, 0), c = rng_make(1, RNG_TEST, 0, 1);
    int same = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t x = rng_u64(&a);
        assert_true(x == rng_u64(&b));
        same += x == rng_u64(&c);
    }
    assert_int_equal(same, 0);
    double sum = 0, squares = 0;
    struct rng normal = rng_make(test_seed(), RNG_TEST, 7, 7);
    for (int i = 0; i < 100000; i++) {
        double x = rng_normal(&normal);
        sum += x;
        squares += x * x;
    }
    assert_true(fabs(sum / 1e5) < 0.02);         /* 6 standard errors of the mean */
    assert_true(fabs(squares / 1e5 - 1) < 0.03); /* 6 of the variance */
    int counts[7] = {0};
    for (int i = 0; i < 70000; i++)
        counts[rng_below(&normal, 7)]++;
    for (int i = 0; i < 7; i++)
        assert_in_range(counts[i], 9400, 10600); /* 6 standard deviations of the binomial */
    int64_t order[100];
    bool seen[100] = {false};
    rng_permutation(&normal, order, 100);
    for (int i = 0; i < 100; i++) {
        assert_false(seen[order[i]]);
        seen[order[i]] = true;
    }
}

/* Against drawing one after the other, from every place in a block, and across the carry of the block counter. */
static void skipped_numbers_are_passed_over(void **state)
{
    (void)state;
    for (int begun = 0; begun < 5; begun++)
        for (uint64_t words = 0; words < 23; words++) {
            struct rng drawn = rng_make(3, RNG_TEST, 1, 2), skipped = drawn;
            for (int i = 0; i < begun; i++)
                assert_int_equal(rng_u32(&drawn), rng_u32(&skipped));
            for (uint64_t i = 0; i < words; i++)
                (void)rng_u32(&drawn);
            rng_skip(&skipped, words);
            for (int i = 0; i < 9; i++)
                assert_int_equal(rng_u32(&drawn), rng_u32(&skipped));
        }
    struct rng far = rng_make(3, RNG_TEST, 1, 2);
    uint32_t counter[4] = {2, 1, far.counter[2], far.counter[3]}, block[4];
    philox4x32(far.key, counter, block);
    rng_skip(&far, 4 * ((UINT64_C(1) << 32) + 2) + 3);
    assert_int_equal(rng_u32(&far), block[3]);
}

/* FIPS 180-2 ("abc"), and RFC 3720 B.4 for CRC32C. */
static void hashes_match_published_vectors(void **state)
{
    (void)state;
    char text[65];
    struct sha256 hash = sha256_of("abc", 3);
    sha256_hex(&hash, text);
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    struct sha256_stream *stream = sha256_start();
    sha256_add(stream, "a", 1);
    sha256_add(stream, "bc", 2);
    struct sha256 parts = sha256_finish(stream);
    assert_memory_equal(&parts, &hash, sizeof hash);
    assert_true(sha256_from_hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad, and more", &parts));
    assert_memory_equal(&parts, &hash, sizeof hash);
    static const char wrong[] = "AFG/:`g -+x"; /* and the NUL of an early end */
    for (size_t i = 0; i < 64 * sizeof wrong; i++) {
        char damaged[65];
        memcpy(damaged, text, sizeof damaged);
        damaged[i % 64] = wrong[i / 64];
        assert_false(sha256_from_hex(damaged, &parts));
    }
    unsigned char bytes[32] = {0};
    assert_int_equal(crc32c(0, bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, 32);
    assert_int_equal(crc32c(0, bytes, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++)
        bytes[i] = (unsigned char)i;
    assert_int_equal(crc32c(0, bytes, 32), 0x46dd794e);
    assert_int_equal(crc32c(crc32c(0, bytes, 13), bytes + 13, 19), 0x46dd794e);
}

static void bf16_rounds_to_nearest_even(void **state)
{
    (void)state;
    static const struct {
        uint32_t bits;
        bf16 expected;
    } cases[] = {{0x3f800000, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f818000, 0x3f82}, {0x3f808001, 0x3f81},
                 {0x7f7fffff, 0x7f80}, {0xff800000, 0xff80}, {0x80000000, 0x8000}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float value;
        memcpy(&value, &cases[i].bits, 4);
        assert_int_equal(bf16_from_float(value), cases[i].expected);
    }
    assert_true(isnan(bf16_to_float(bf16_from_float(NAN))));
    for (uint32_t i = 0; i < 65536; i++) {
        float value = bf16_to_float((bf16)i);
        if (!isnan(value))
            assert_int_equal(bf16_from_float(value), i);
    }
    assert_true(f16_to_float(0x3c00) == 1.0f && f16_to_float(0x0001) == 0x1p-24f && f16_to_float(0xfbff) == -65504.0f);
}

static void fft_equals_the_plain_sum(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 1, 0);
    for (int64_t n = 2; n <= 256; n *= 2) {
        struct fft *fft;
        assert_ok(fft_create(n, &fft));
        double *x = malloc((size_t)n * sizeof *x), *back = malloc((size_t)n * sizeof *back);
        double complex *y = malloc((size_t)n * sizeof *y), *work = malloc((size_t)n * sizeof *work);
        for (int64_t i = 0; i < n; i++)
            x[i] = rng_normal(&rng);
        fft_real(fft, x, y, work);
        for (int64_t k = 0; k <= n / 2; k++) {
            double complex sum = 0;
            for (int64_t i = 0; i < n; i++)
                sum += x[i] * cexp(-2 * I * M_PI * (double)(i * k % n) / (double)n);
            assert_true(cabs(sum - y[k]) <= 1e-12 * (double)n);
        }
        fft_real_inverse(fft, y, back, work);
        for (int64_t i = 0; i < n; i++)
            assert_true(fabs(back[i] - x[i]) <= 1e-13 * (double)n);
        free(x);
        free(back);
        free(y);
        free(work);
        fft_destroy(fft);
    }
    struct fft *fft;
    assert_fails(fft_create(12, &fft), STATUS_INTERNAL, "power of two");
}

struct tally {
    int runs[1000];
    int workers_seen[8];
};

static void count_task(void *argument, int64_t task, int worker)
{
    struct tally *tally = argument;
    tally->runs[task]++;
    tally->workers_seen[worker] = 1;
}

static void pool_runs_every_task_once(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 5; threads += 2) {
        struct thread_pool *pool;
        assert_ok(thread_pool_create(threads, &pool));
        assert_int_equal(thread_pool_threads(pool), threads);
        struct tally tally = {0};
        for (int round = 0; round < 200; round++)
            thread_pool_run(pool, round % 2 ? 1000 : round, count_task, &tally);
        for (int i = 0; i < 1000; i++)
            assert_int_equal(tally.runs[i], 100 + (i < 198 ? (199 - i) / 2 : 0));
        thread_pool_destroy(pool);
    }
}

static void plan_aligns_and_refuses_overflow(void **state)
{
    (void)state;
    struct memory_plan plan = {.name = "test"};
    assert_int_equal(memory_plan_add(&plan, 1, "a"), 0);
    assert_int_equal(memory_plan_add(&plan, 257, "b%d", 1), 256);
    assert_int_equal(plan.total, 768);
    assert_string_equal(plan.entries[1].name, "b1");
    assert_int_equal(memory_plan_add(&plan, INT64_MAX - 300, "c"), -1);
    memory_plan_free(&plan);
}

static void status_keeps_one_line(void **state)
{
    (void)state;
    assert_int_equal(status_set(STATUS_CORRUPT, "a\nb %d", 3), STATUS_CORRUPT);
    assert_string_equal(status_text(), "a b 3");
    assert_int_equal(status_prefix(STATUS_CORRUPT, "file"), STATUS_CORRUPT);
    assert_string_equal(status_text(), "file: a b 3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_matches_published_vectors),
        cmocka_unit_test(streams_differ_and_repeat),
        cmocka_unit_test(skipped_numbers_are_passed_over),
        cmocka_unit_test(hashes_match_published_vectors),
        cmocka_unit_test(bf16_rounds_to_nearest_even),
        cmocka_unit_test(fft_equals_the_plain_sum),
        cmocka_unit_test(pool_runs_every_task_once),
        cmocka_unit_test(plan_aligns_and_refuses_overflow),
        cmocka_unit_test(status_keeps_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
