/* What a test may ask of the emulated CUDA runtime beside CUDA's own calls: the settings of its devices, what the
 * checkers found, and what the program asked the runtime to do. Plain C without CUDA's headers.
 *
 * The environment chooses the devices before the first call: EMULATOR_DEVICES (1; 0: none), EMULATOR_LIMITS (sm_80, sm_86,
 * sm_90 or sm_75), EMULATOR_MEMORY and EMULATOR_MEMORY_TAKEN (bytes of a device, and those that another process has),
 * EMULATOR_DRIVER (its CUDA version as 12040; 0: no driver), EMULATOR_ORDER (forward, reversed or shuffled), EMULATOR_SEED,
 * EMULATOR_CHECKS (1), EMULATOR_TRUNCATE (0). A value that is not understood ends the program. CUDA_VISIBLE_DEVICES then
 * chooses among those devices, as on a GPU. EMULATOR_COUNTERS=1 prints what each kernel did, and how fast, at the end;
 * with a path, the number of all warp instructions is added to that file as a line.
 *
 * A program that ends with reports that nobody cleared prints them to stderr and exits with code 1. */
#ifndef SPIRITLM_EMULATOR_RUNTIME_H
#define SPIRITLM_EMULATOR_RUNTIME_H

#include <stdint.h>
#include <stdio.h>

#include "emulator/machine/machine.h"

#ifdef __cplusplus
extern "C" {
#endif

struct emulator_counters {
    int64_t synchronizations;      /* times that the host waited: streams, events, devices, blocking copies, frees */
    int64_t allocations, releases; /* of device memory */
    int64_t host_allocations, host_releases; /* of pinned memory, registered ranges included */
    int64_t pinned_copies, pageable_copies;  /* between host and device, by the kind of the host's memory */
    int64_t device_copies, fills;
    int64_t launches;         /* kernels, those of graphs included */
    int64_t library_launches; /* likewise */
    int64_t launch_calls;     /* kernels and library calls that the program itself put into a stream, not a graph */
    int64_t graph_launches;
    int64_t copied_to_device, copied_to_host; /* bytes */
};
/* Since the program's start or the last reset; counted when the work runs; synchronizations, launch_calls
 * and graph_launches when they are asked for. */
struct emulator_counters emulator_counters(void);
void emulator_reset_counters(void);

/* Machine and settings of the calling thread's current device; settings may be changed between launches. */
struct machine *emulator_machine(void);
struct machine_settings *emulator_settings(void);

/* Of all devices. emulator_report_at counts through them one after the other. */
int64_t emulator_report_count(void);
const struct machine_report *emulator_report_at(int64_t i);
/* How many reports are of this kind and contain `part` in their text (NULL: any text). */
int64_t emulator_reports_of(enum machine_check check, const char *part);
void emulator_print_reports(FILE *file);
void emulator_clear_reports(void);

/* Work that is queued and has not run, of all streams. */
int64_t emulator_pending(void);

/* All devices as new: queued work is dropped, memory, streams, events and graphs are gone, errors, reports and counters
 * are cleared. Kernels are loaded again at their next use. For the beginning of a test. */
void emulator_reset(void);

#ifdef __cplusplus
}
#endif

#endif
