/* The stand-ins against what their libraries give: SHA-256 of the messages whose hashes FIPS 180-4's examples publish, a
 * product against sums in double, and a failed assertion, which has to fail its test. Prints one line per part; exits with 1
 * when one is wrong. */
#include <cblas.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/hash.h"
#include "core/rng.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool hashes_are_right(void)
{
    static const struct {
        const char *text, *hash;
    } known[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    char text[65];
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct sha256 hash = sha256_of(known[i].text, strlen(known[i].text));
        sha256_hex(&hash, text);
        if (strcmp(text, known[i].hash) != 0)
            return false;
    }
    return true;
}

enum { M = 5, N = 7, K = 11, GAP = 3 };

static bool product_is_right(enum CBLAS_TRANSPOSE a_form, enum CBLAS_TRANSPOSE b_form, float beta)
{
    float a[(K + GAP) * (K + GAP)], b[(K + GAP) * (K + GAP)], c[M * (N + GAP)], before[M * (N + GAP)];
    struct rng rng = rng_make(7, RNG_TEST, 0, 0);
    for (size_t i = 0; i < sizeof a / sizeof *a; i++) {
        a[i] = (float)rng_normal(&rng);
        b[i] = (float)rng_normal(&rng);
    }
    for (size_t i = 0; i < sizeof c / sizeof *c; i++)
        before[i] = c[i] = (float)rng_normal(&rng);
    int a_stride = (a_form == CblasTrans ? M : K) + GAP, b_stride = (b_form == CblasTrans ? K : N) + GAP;
    cblas_sgemm(CblasRowMajor, a_form, b_form, M, N, K, 0.5f, a, a_stride, b, b_stride, beta, c, N + GAP);
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N + GAP; j++) {
            double expected =
                j < N ? (double)beta * (double)before[i * (N + GAP) + j] : (double)before[i * (N + GAP) + j];
            for (int l = 0; j < N && l < K; l++)
                expected += 0.5 * (double)(a_form == CblasTrans ? a[l * a_stride + i] : a[i * a_stride + l]) *
                            (double)(b_form == CblasTrans ? b[j * b_stride + l] : b[l * b_stride + j]);
            if (!(fabs((double)c[i * (N + GAP) + j] - expected) <= 1e-5))
                return false;
        }
    return true;
}

static bool products_are_right(void)
{
    for (int form = 0; form < 8; form++)
        if (!product_is_right(form & 1 ? CblasTrans : CblasNoTrans, form & 2 ? CblasTrans : CblasNoTrans,
                              form & 4 ? 1.0f : 0.0f))
            return false;
    return true;
}

static void fails(void **state)
{
    (void)state;
    assert_int_equal(1, 2);
}

static void passes(void **state)
{
    (void)state;
    assert_int_equal(2, 2);
}

static void is_skipped(void **state)
{
    (void)state;
    skip();
}

static bool failures_are_counted(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fails), cmocka_unit_test(passes), cmocka_unit_test(is_skipped),
                                       cmocka_unit_test(fails)};
    return cmocka_run_group_tests(tests, NULL, NULL) == 2;
}

int main(void)
{
    static const struct {
        const char *name;
        bool (*check)(void);
    } parts[] = {{"SHA-256", hashes_are_right},
                 {"the plain product", products_are_right},
                 {"the test macros (two failures are expected above)", failures_are_counted}};
    int wrong = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        bool right = parts[i].check();
        printf("%s: %s\n", parts[i].name, right ? "right" : "wrong");
        wrong += !right;
    }
    return wrong > 0;
}
