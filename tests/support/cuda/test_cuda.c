/* CUDA's table for the tests: on the emulated device ("emulated"), or on a GPU ("device"), whichever the program was linked
 * for. The emulator's reports end a test program with an error, printed by its runtime. */
#include "kernels/cuda/kernels_cuda.h"
#include "support/test_kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct kernels *test_cuda_kernels(const char *backend)
{
    if (strcmp(backend, SPIRITLM_CUDA_BACKEND) != 0)
        return NULL;
    int count;
    if (kernels_cuda_devices(&count) != STATUS_OK) {
        printf("skipped: %s\n", status_text());
        exit(77);
    }
    return kernels_cuda();
}
