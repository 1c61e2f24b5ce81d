/* A loop whose passes do not depend on each other. clang finds that out by itself, or warns where it is told and cannot use
 * it. */
#ifndef SPIRITLM_EMULATOR_INDEPENDENT_H
#define SPIRITLM_EMULATOR_INDEPENDENT_H

#ifdef __clang__
#define INDEPENDENT_PASSES
#else
#define INDEPENDENT_PASSES _Pragma("GCC ivdep")
#endif

#endif
