/* What the emulator counted of one call, where it is the emulator that runs it: bytes moved, wavefronts of shared memory and
 * how many the bytes would need, products on tensor cores and loads of their operands. A GPU's own counters would need its
 * profiler. */
#include "gpu_check/benchmark.h"

#ifdef SPIRITLM_EMULATED

#include "emulator/runtime/emulator.h"

void benchmark_counters_reset(void)
{
    machine_reset_counters(emulator_machine());
}

void benchmark_counters_write(FILE *out)
{
    const struct machine_counters c = machine_counters(emulator_machine());
    fprintf(out,
            ", \"moved\": %lld, \"touched\": %lld, \"wavefronts\": %lld, \"wavefronts_ideal\": %lld, \"mma\": %lld, "
            "\"ldmatrix\": %lld, \"instructions\": %lld",
            (long long)(32 * (c.global_sectors_read + c.global_sectors_written)),
            (long long)(c.global_bytes_read + c.global_bytes_written), (long long)c.shared_wavefronts,
            (long long)c.shared_wavefronts_ideal, (long long)c.mma, (long long)c.ldmatrix,
            (long long)c.warp_instructions);
}

#else

void benchmark_counters_reset(void)
{
}

void benchmark_counters_write(FILE *out)
{
    (void)out;
}

#endif
