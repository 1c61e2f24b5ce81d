/* EMULATOR_COUNTERS=1: at the end of the program, what each kernel did over all of its launches, on all devices and
 * through all resets, and how fast it was executed. Counters are those of machine.h and the same in every run; the
 * time is the thread's own, so that a busy machine changes it little. With a path instead of 1 a line with the number of
 * all warp instructions is added to that file, and nothing is printed: several programs may share it. */
#include "emulator/runtime/runtime.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct total {
    const char *kernel; /* lives as long as the program's image */
    struct machine_counters counters;
    uint64_t threads, shared; /* of a block, the most: threads, and bytes of shared memory of both kinds */
    double seconds;
};

static struct total *totals;
static int32_t total_count;
static const char *wanted; /* EMULATOR_COUNTERS, when it asks for something */

static double thread_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static struct total *total_of(const char *kernel)
{
    for (int32_t i = 0; i < total_count; i++)
        if (!strcmp(totals[i].kernel, kernel))
            return &totals[i];
    totals = realloc(totals, (size_t)(total_count + 1) * sizeof *totals);
    if (!totals)
        runtime_fatal("no memory for the counters of a kernel");
    totals[total_count] = (struct total){.kernel = kernel};
    return &totals[total_count++];
}

static void add(struct machine_counters *sum, const struct machine_counters *after,
                const struct machine_counters *before)
{
    sum->launches += after->launches - before->launches;
    sum->warp_instructions += after->warp_instructions - before->warp_instructions;
    sum->global_sectors_read += after->global_sectors_read - before->global_sectors_read;
    sum->global_sectors_written += after->global_sectors_written - before->global_sectors_written;
    sum->global_bytes_read += after->global_bytes_read - before->global_bytes_read;
    sum->global_bytes_written += after->global_bytes_written - before->global_bytes_written;
    sum->shared_wavefronts += after->shared_wavefronts - before->shared_wavefronts;
    sum->shared_wavefronts_ideal += after->shared_wavefronts_ideal - before->shared_wavefronts_ideal;
    sum->mma += after->mma - before->mma;
    sum->ldmatrix += after->ldmatrix - before->ldmatrix;
    sum->ex2 += after->ex2 - before->ex2;
    sum->atomics += after->atomics - before->atomics;
    sum->barriers += after->barriers - before->barriers;
}

bool totals_run(struct machine *machine, const struct machine_launch *launch, const char *kernel)
{
    static bool asked;
    if (!asked) {
        const char *text = getenv("EMULATOR_COUNTERS");
        wanted = text && *text && strcmp(text, "0") != 0 ? text : NULL;
        asked = true;
    }
    if (!wanted)
        return machine_run(machine, launch);
    struct machine_counters before = machine_counters(machine);
    double start = thread_seconds();
    bool good = machine_run(machine, launch);
    struct total *total = total_of(kernel);
    total->seconds += thread_seconds() - start;
    const uint64_t threads = (uint64_t)launch->block[0] * launch->block[1] * launch->block[2];
    const uint64_t shared = launch->dynamic_shared + (uint64_t)machine_attributes(launch->kernel).static_shared;
    total->threads = threads > total->threads ? threads : total->threads;
    total->shared = shared > total->shared ? shared : total->shared;
    struct machine_counters after = machine_counters(machine);
    add(&total->counters, &after, &before);
    return good;
}

static void print(const struct total *total, FILE *file)
{
    const struct machine_counters *c = &total->counters;
    const int64_t values[] = {c->launches,
                              c->warp_instructions,
                              c->global_sectors_read,
                              c->global_sectors_written,
                              c->global_bytes_read,
                              c->global_bytes_written,
                              c->shared_wavefronts,
                              c->shared_wavefronts_ideal,
                              c->mma,
                              c->ldmatrix,
                              c->ex2,
                              c->atomics,
                              c->barriers,
                              (int64_t)total->threads,
                              (int64_t)total->shared};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        fprintf(file, " %lld", (long long)values[i]);
    fprintf(file, "  %.3f s, %.1f M/s  %s\n", total->seconds,
            1e-6 * (double)c->warp_instructions / (total->seconds > 0 ? total->seconds : 1), total->kernel);
}

static void print_all(const struct total *sum, FILE *file)
{
    fprintf(
        file,
        "launches, warp instructions, sectors read and written, bytes read and written, shared wavefronts and "
        "their ideal, mma, ldmatrix, ex2, atomics, barriers, the most threads and bytes of shared memory of a block\n");
    for (int32_t i = 0; i < total_count; i++)
        print(&totals[i], file);
    print(sum, file);
}

void totals_print(void)
{
    struct total sum = {.kernel = "all kernels"};
    const struct machine_counters none = {0};
    if (total_count == 0)
        return;
    for (int32_t i = 0; i < total_count; i++) {
        add(&sum.counters, &totals[i].counters, &none);
        sum.seconds += totals[i].seconds;
    }
    if (strcmp(wanted, "1") == 0) {
        print_all(&sum, stderr);
        return;
    }
    FILE *file = fopen(wanted, "a");
    if (!file)
        runtime_fatal("EMULATOR_COUNTERS=%s cannot be written", wanted);
    fprintf(file, "%lld\n", (long long)sum.counters.warp_instructions);
    fclose(file);
}
