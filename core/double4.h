/* Four doubles in one register (or two, where the processor has shorter ones): for the few hot loops that compilers do
 * not vectorise by themselves. A vector extension of gcc and clang, not an instruction set: elementwise + - * and
 * products with a plain double. Do not pass these by value between functions. */
#ifndef SPIRITLM_CORE_DOUBLE4_H
#define SPIRITLM_CORE_DOUBLE4_H

typedef double double4 __attribute__((vector_size(32)));

/* The same in memory at any address: *(const double4_at *)pointer reads four neighbours. */
typedef double double4_at __attribute__((vector_size(32), aligned(8), may_alias));

#endif
