/* A context of test_kernels() with a pool of all processors, for tests that compute nothing else with one. */
#ifndef SPIRITLM_TESTS_POOLED_CONTEXT_H
#define SPIRITLM_TESTS_POOLED_CONTEXT_H

#include "kernels/kernels.h"

extern struct device_context pooled_context;

/* For cmocka_run_group_tests. */
int pooled_context_open(void **state);
int pooled_context_close(void **state);

#endif
