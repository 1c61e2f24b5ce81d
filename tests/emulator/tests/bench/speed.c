/* emulator_speed [SECONDS [KERNEL]]: warp instructions per second of CPU time, with and without checkers, for the kernels of
 * speed.cu. Each is repeated until it has run for SECONDS (default 1), three times over, and the best of the three is
 * printed, since other programs on the machine only make it slower. Fails when a checker reports anything, because
 * reporting is not what is timed. */
#include "emulator/machine/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BUFFER_BYTES = 1 << 22, REPEATS = 3, BUFFERS = 4 };

struct speed_kernel {
    const char *name, *what;
    uint32_t grid[2], threads;
    int32_t sizes[2]; /* the parameters after the pointers */
    int32_t buffers;
};
static const struct speed_kernel kernels[] = {
    {"multiply_add", "fma, f32", {4, 1}, 256, {512, 0}, 2},
    {"product_f32", "product, f32, shared tiles", {2, 2}, 256, {128, 128}, 3},
    {"attention", "attention, bf16, mma", {2, 1}, 128, {512, 0}, 4},
    {"rms_norm", "RMSNorm, bf16", {32, 1}, 256, {512, 0}, 3},
};

static void fail(const char *text)
{
    fprintf(stderr, "emulator_speed: %s\n", text);
    exit(1);
}

static char *read_text(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0)
        fail(path);
    long end = ftell(file);
    char *text = end > 0 ? malloc((size_t)end) : NULL;
    rewind(file);
    if (text == NULL || fread(text, 1, (size_t)end, file) != (size_t)end)
        fail(path);
    fclose(file);
    *length = (size_t)end;
    return text;
}

static struct machine *open_machine(void)
{
    size_t length;
    char error[512], *text = read_text(SPEED_PTX, &length);
    struct machine_settings settings;
    struct ptx_module *module = ptx_parse(text, length, error, sizeof error);
    free(text);
    if (module == NULL)
        fail(error);
    machine_default_settings(&settings);
    struct machine *machine = machine_create(&settings);
    if (machine == NULL || !machine_load(machine, module, error, sizeof error))
        fail(machine == NULL ? "no memory is left" : error);
    return machine;
}

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Millions per second, of one run of `seconds`. */
static double measure(struct machine *machine, const struct machine_launch *launch, double seconds)
{
    machine_reset_counters(machine);
    double start = cpu_seconds(), spent;
    do {
        if (!machine_run(machine, launch))
            fail("a launch failed");
        spent = cpu_seconds() - start;
    } while (spent < seconds);
    return 1e-6 * (double)machine_counters(machine).warp_instructions / spent;
}

static double best(struct machine *machine, const struct machine_launch *launch, double seconds, bool checks)
{
    double most = 0;
    machine_settings(machine)->checks = checks;
    for (int i = 0; i < REPEATS; i++) {
        double found = measure(machine, launch, seconds);
        most = found > most ? found : most;
    }
    return most;
}

static void run(struct machine *machine, const struct speed_kernel *kernel, const uint64_t buffers[BUFFERS],
                double seconds)
{
    unsigned char parameters[128] = {0};
    struct machine_launch launch = {.kernel = machine_find_kernel(machine, kernel->name),
                                    .grid = {kernel->grid[0], kernel->grid[1], 1},
                                    .block = {kernel->threads, 1, 1},
                                    .parameters = parameters};
    if (launch.kernel == NULL)
        fail(kernel->name);
    size_t pointers = (size_t)kernel->buffers * sizeof(uint64_t);
    memcpy(parameters, buffers + BUFFERS - kernel->buffers, pointers);
    memcpy(parameters + pointers, kernel->sizes, sizeof kernel->sizes);
    double without = best(machine, &launch, seconds, false), with = best(machine, &launch, seconds, true);
    printf("%-28s %8.1f %8.1f %8.2f\n", kernel->what, without, with, without / with);
    fflush(stdout);
}

int main(int argument_count, char **arguments)
{
    char *end = NULL;
    double seconds = argument_count > 1 ? strtod(arguments[1], &end) : 1;
    if (argument_count > 3 || (end != NULL && (*end != 0 || end == arguments[1])) || !(seconds >= 0))
        fail("expected at most a number of seconds and the name of a kernel");
    struct machine *machine = open_machine();
    uint64_t buffers[BUFFERS];
    for (int i = 0; i < BUFFERS; i++) {
        buffers[i] = machine_allocate(machine, BUFFER_BYTES);
        if (buffers[i] == 0)
            fail("no memory is left");
        machine_fill(machine, buffers[i], 0x3c, BUFFER_BYTES); /* about 0.01, in f32 and in bf16 */
    }
    printf("%-28s %8s %8s %8s\n", "million warp instructions/s", "without", "with", "ratio");
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        if (argument_count < 3 || strcmp(arguments[2], kernels[i].name) == 0)
            run(machine, &kernels[i], buffers, seconds);
    bool clean = machine_report_count(machine) == 0;
    for (int64_t i = 0; i < machine_report_count(machine); i++) {
        char text[1024];
        machine_format_report(machine_report_at(machine, i), text, sizeof text);
        fputs(text, stderr);
    }
    machine_destroy(machine);
    return clean ? 0 : 1;
}
