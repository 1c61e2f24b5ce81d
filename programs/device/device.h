/* The option --device: which GPU, or the cpu. */
#ifndef SPIRITLM_PROGRAMS_DEVICE_H
#define SPIRITLM_PROGRAMS_DEVICE_H

#include "kernels/kernels.h"
#include "programs/common/program.h"
#include "programs/common/settings.h"

/* The option of every program that computes. */
#define DEVICE_OPTION                                                                                                  \
    {                                                                                                                  \
        "--device", "cpu|cuda|cuda:N", "what computes (default: the first GPU that this program can use, else cpu)",   \
            false                                                                                                      \
    }

/* The kernels of the GPU that --device means, which is selected; NULL: the cpu. STATUS_USAGE, naming the devices that exist,
 * for any other. Without the option a program with CUDA takes the first GPU, or notes why it has none and takes the cpu. */
enum status program_device_kernels(const struct program_arguments *arguments, const struct kernels **kernels);

/* What the section `kernels` chooses, for contexts of `kernels` (NULL: the cpu's) opened from now on and for plans. STATUS_USAGE
 * for an engine that those kernels do not have. */
enum status program_device_engines(const struct kernels *kernels, const struct kernels_settings *settings);

/* Bytes of memory of the GPU that --device means; 0: the cpu, or no GPU is there. */
int64_t program_device_bytes(const struct program_arguments *arguments);

/* Whether the option is given and names a GPU, be it there or not. */
bool program_device_is_gpu(const struct program_arguments *arguments);

#endif
