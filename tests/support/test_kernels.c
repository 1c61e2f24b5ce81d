/* The choice of the table that a test runs on: by the environment, so that one test program serves all backends. */
#include "support/test_kernels.h"

#include "support/closed_kernels.h"
#include "support/shape_tally.h"
#include "support/test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the environment names. */
static const struct kernels *chosen(void)
{
    const char *name = getenv("SPIRITLM_TEST_BACKEND");
    if (!name || strcmp(name, "cpu") == 0)
        return kernels_cpu();
    if (strcmp(name, "closed") == 0)
        return kernels_closed();
    const struct kernels *cuda = test_cuda_kernels(name);
    if (cuda)
        return cuda;
    fprintf(stderr, "SPIRITLM_TEST_BACKEND is \"%s\"; expected cpu or closed, or with CUDA emulated or device\n", name);
    exit(2);
}

const struct kernels *test_kernels(void)
{
    return shape_tally(chosen());
}

bool test_kernels_closed(void)
{
    return chosen() == kernels_closed();
}

bool test_kernels_cpu(void)
{
    return chosen() == kernels_cpu() || test_kernels_closed();
}

int test_repeats(int most)
{
    const int least = test_kernels_slow() ? 1 : 2;
    return test_kernels_cpu() || most < least ? most : least;
}

int64_t test_count(int64_t usual, int64_t emulated)
{
    return test_cuda_emulated() && !test_kernels_cpu() ? emulated : usual;
}

void test_set_engine(const struct device_context *context, enum cpu_engine engine)
{
    if (!test_kernels_cpu())
        return;
    struct device_context cpu = test_kernels_closed() ? closed_inner_context(context) : *context;
    assert_ok(cpu_set_engine(&cpu, engine));
}
