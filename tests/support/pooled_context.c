#include "support/pooled_context.h"

#include "support/test_kernels.h"
#include "support/test_support.h"

#include "core/thread_pool.h"

struct device_context pooled_context;
static struct thread_pool *pool;

int pooled_context_open(void **state)
{
    (void)state;
    assert_ok(thread_pool_create(0, &pool));
    assert_ok(device_context_create(test_kernels(), pool, 0, &pooled_context));
    return 0;
}

int pooled_context_close(void **state)
{
    (void)state;
    device_context_destroy(test_kernels(), &pooled_context);
    thread_pool_destroy(pool);
    return 0;
}
