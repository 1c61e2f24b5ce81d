/* What GPUs can multiply at most, by the names that drivers give them: the denominator of a training's MFU. NVIDIA's data sheets
 * state tensor cores mostly with sparsity, which is twice what dense products reach; these are the dense numbers. A GPU that is
 * not here is measured instead (train/peak.c). */
#include "kernels/cuda/sizes/cuda_sizes.h"

#include <string.h>

/* Longer names first where one begins another. */
static const struct {
    const char *name; /* what follows "NVIDIA " */
    double bf16, f32; /* TFLOP/s */
} peaks[] = {
    {"A100", 312, 19.5},
    {"A800", 312, 19.5},
    {"A30", 165, 10.3},
    {"A40", 149.7, 37.4},
    {"A10", 125, 31.2},
    {"H100 PCIe", 756, 51.2},
    {"H100 NVL", 835, 60},
    {"H100", 989.4, 66.9},
    {"H800", 989.4, 66.9},
    {"H200 NVL", 835, 60},
    {"H200", 989.4, 66.9},
    {"GH200", 989.4, 66.9},
    {"B200", 2250, 75},
    {"L40S", 362, 91.6},
    {"L40", 181, 90.5},
    {"L4", 121, 30.3},
    {"RTX A6000", 154.8, 38.7},
    {"RTX 6000 Ada Generation", 364.2, 91.1},
    {"GeForce RTX 3090", 71, 35.6},
    {"GeForce RTX 4090", 165.2, 82.6},
};

static bool ends_a_word(char c)
{
    return c == 0 || c == ' ' || c == '-';
}

double cuda_published_peak(const char *device_name, enum dtype type)
{
    static const char maker[] = "NVIDIA ";
    if (strncmp(device_name, maker, sizeof maker - 1) != 0 || strstr(device_name, " MIG "))
        return 0;
    const char *name = device_name + sizeof maker - 1;
    for (size_t i = 0; i < sizeof peaks / sizeof *peaks; i++) {
        size_t length = strlen(peaks[i].name);
        if (strncmp(name, peaks[i].name, length) == 0 && ends_a_word(name[length]))
            return (type == DTYPE_BF16 ? peaks[i].bf16 : peaks[i].f32) * 1e12;
    }
    return 0;
}
