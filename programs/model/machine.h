/* What every computing program starts with: the thread pool, the kernels of the device that was asked for, and a context on
 * them. */
#ifndef SPIRITLM_PROGRAMS_MACHINE_H
#define SPIRITLM_PROGRAMS_MACHINE_H

#include "core/thread_pool.h"
#include "kernels/kernels.h"
#include "programs/device/device.h"

/* The option --device of every program that has a machine. */
#define MACHINE_OPTION DEVICE_OPTION

struct machine {
    struct thread_pool *pool;
    const struct kernels *kernels;
    struct device_context context;
};

/* The kernels of --device, and the GPU selected; STATUS_USAGE, naming the devices that exist, for any other. Without the
 * option a program with CUDA takes the first GPU, or notes why it has none and takes the cpu. */
enum status program_machine_kernels(const struct program_arguments *arguments, const struct kernels **kernels);

/* The same for plans, which need no device: of `cuda` the sizes alone where there is no GPU. */
enum status program_machine_plan_kernels(const struct program_arguments *arguments, const struct kernels **kernels);

/* On the device of --device, with the engines of `settings` (NULL: those of a configuration that names none). threads 0:
 * SPIRITLM_THREADS, else all processors. */
enum status program_machine_create(const struct program_arguments *arguments, int64_t threads,
                                   const struct kernels_settings *settings, struct machine *machine);
void program_machine_destroy(struct machine *machine); /* a zeroed one is fine */

#endif
