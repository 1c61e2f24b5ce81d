/* What the tests of the interpreter share: short kernels in PTX around a common frame, run on a machine, with what they wrote
 * and what was reported. */
#ifndef SPIRITLM_EMULATOR_MACHINE_TRIAL_H
#define SPIRITLM_EMULATOR_MACHINE_TRIAL_H

#include "support/test_support.h"

#include "emulator/machine/machine.h"

/* Every body runs in
 *     .entry k(.param .u64 out, .param .u64 in, .param .u32 n)
 * of test.cu with registers %p0-15 (pred), %s0-15 (b16), %r0-63 (b32), %f0-31 (f32), %d0-7 (f64), %a0-31 (b64), and finds
 *     %r1 the thread in its block, %r2 the thread in the grid, %r3 = n, %a1 = out, %a2 = in,
 *     %a3 = &out[thread in the grid], %a4 = &in[thread in the grid]     (elements of 4 bytes).
 * A body gives its own lines with .loc 1 LINE 0. After it comes st.global.u32 [%a3], %r0 and ret. */
struct trial {
    struct machine_settings settings;
    struct machine *machine;
    uint32_t grid[3], block[3];
    uint64_t dynamic_shared;
    uint32_t n;
    const char *variables;    /* declarations at module scope, or NULL */
    const char *declarations; /* in the kernel, or NULL */
    uint32_t in[4096], out[4096];
    bool ended; /* what machine_run said */
};

struct trial *trial_open(void); /* sm_90, one block of 32 threads, in[i] = i; out starts as 0xCDCDCDCD, undefined */
void trial_close(struct trial *trial);
/* Runs the body on a fresh machine; trial->out has what it left, reports stay in trial->machine. */
void trial_run(struct trial *trial, const char *body);
/* Decodes only: fails unless the error has `part`. */
void trial_refused(struct trial *trial, const char *body, const char *part);

void trial_no_reports(const struct trial *trial);
/* Exactly one report: this check at this line of test.cu, and `part` in its text. */
void trial_reported(const struct trial *trial, enum machine_check check, int line, const char *part);

#endif
