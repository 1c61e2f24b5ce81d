/* Which table of kernels a test runs on. */
#ifndef SPIRITLM_TESTS_TEST_KERNELS_H
#define SPIRITLM_TESTS_TEST_KERNELS_H

#include "kernels/cpu/cpu.h"

/* The table that SPIRITLM_TEST_BACKEND names: "cpu" (also when it is not set), "closed" (closed_kernels.h), and in programs
 * linked for it "emulated" (CUDA on tests/emulator) or "device" (CUDA on a GPU; a program that finds none ends with 77).
 * Another name ends the program. ctest runs ROOM.SUBJECT on the cpu's and ROOM.SUBJECT@BACKEND on the others. */
const struct kernels *test_kernels(void);

/* Whether that is the closed table: for what only it can count or catch. */
bool test_kernels_closed(void);

/* Whether its operations are the cpu's, behind the closed table or not: for promises that only the cpu makes. */
bool test_kernels_cpu(void);

/* How often a test runs an operation in contexts of other thread counts: `most` times where threads exist; on a GPU twice,
 * which shows whether results repeat; once on the emulator, which does the same each time, unless the long tests are asked
 * for: there SPIRITLM_TEST_ORDERS repeats calls with their blocks in other orders. */
int test_repeats(int most);

/* Whether kernels are executed instruction by instruction, some thousand times slower than on any device, so that a test
 * takes fewer steps and combinations there, though each kind of them, unless the long tests are asked for. */
bool test_kernels_slow(void);

/* `usual`, or on the emulator, which executes a GPU's instructions one by one, `emulated`: how many cases of one kind a test
 * takes. It takes some of every kind everywhere. */
int64_t test_count(int64_t usual, int64_t emulated);

/* CUDA's table when this program was linked for `backend`, else NULL. */
const struct kernels *test_cuda_kernels(const char *backend);

/* What operations have moved, as the emulator counts it, since test_traffic_begin: sectors of 32 bytes of global memory by every
 * instruction, caches left aside; wavefronts of shared memory, over those that the bytes need; products of matrices on tensor
 * cores (mma), a warp's at a time. */
struct test_traffic {
    double bytes, wavefronts;
    int64_t tensor_products;
};
void test_traffic_begin(void);
/* False without the emulator. */
bool test_traffic_end(struct test_traffic *traffic);

/* Device memory whose pages cost nothing until they are touched, for arrays with gaps of gigabytes; undefined bytes. NULL where
 * there is none: everywhere but on the emulator. */
void *test_sparse_memory(size_t bytes);
void test_sparse_release(void *memory);

/* Until the next call only blocks [first, first + count) of a launch run, counted from the last one where `first` is negative;
 * launches without so many run whole. 0: all blocks again. On the emulator; elsewhere nothing. The queues must be empty. */
void test_blocks(int64_t first, int64_t count);

/* Makes device memory what it is before anybody has written it, for the emulator's check of undefined memory; elsewhere nothing. The
 * queues must be empty. */
void test_forget(void *memory, size_t bytes);

/* What the program has asked of the CUDA runtime. */
struct test_calls {
    int64_t launches; /* kernels and library calls outside graphs */
    int64_t graph_launches;
    int64_t synchronizes; /* times that the host waited; for a blocking copy, too */
    int64_t allocations;  /* of device and of pinned memory, and releases of either */
    int64_t copies,
        pageable_copies; /* between host and device that have run; those of them whose host memory is not pinned */
};
/* Since the program's start; a test takes differences, after a synchronize. False where nobody counts: everywhere but on the
 * emulator. */
bool test_cuda_calls(struct test_calls *calls);

/* What the kernels have done, as the emulated device counts it. Wavefronts are those of shared memory; `ideal`: as many as the
 * bytes asked for need. Sectors are 32 bytes of device memory; `bytes`: the different ones that each launch touched. */
struct test_work {
    int64_t instructions, mma, ldmatrix;
    int64_t wavefronts, wavefronts_ideal;
    int64_t sectors, bytes;
};
/* Since the program's start; a test takes differences, after a synchronize. False where nobody counts: everywhere but on the
 * emulator. */
bool test_cuda_work(struct test_work *work);

/* Device memory that is allocated on the emulated device, each allocation rounded up to 256 bytes; 0 elsewhere. */
int64_t test_cuda_device_bytes(void);
/* Whether this program is linked with the emulator. */
bool test_cuda_emulated(void);

/* What multiplies matrices in a context of that table (cpu_set_engine); CUDA's have no choice. */
void test_set_engine(const struct device_context *context, enum cpu_engine engine);

#endif
