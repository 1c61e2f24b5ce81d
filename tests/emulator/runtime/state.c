/* The state of the emulated runtime that is nobody else's: its lock, the devices that the environment asks for, errors
 * of each thread, reports, and what happens at the end of the program.
 *
 * The lock is one recursive mutex, because work runs inside calls and a host function may be among it. The handler for
 * the end of the program is registered by a constructor, so that it runs after all other handlers; it ends the program
 * with code 1 when there are reports that nobody cleared: no test passes over one by forgetting to ask. */
#include "emulator/runtime/runtime.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct device devices[DEVICES_MAXIMUM];
int32_t device_count;
int32_t device_places[DEVICES_MAXIMUM];
struct emulator_counters runtime_counters;
int runtime_driver;

static pthread_mutex_t lock;
static bool opened;
static pid_t owner;
static struct machine_settings initial_settings;
static _Thread_local int32_t current_device;
static _Thread_local cudaError_t last_error;
static _Thread_local bool in_host_function;
static cudaError_t unseen_error;
static char unseen_kernel[128];

_Noreturn void runtime_fatal(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fflush(NULL);
    fputs("emulator: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    _exit(1);
}

/* ---- environment ---- */

static int64_t environment_number(const char *name, int64_t otherwise, int64_t least, int64_t most)
{
    const char *text = getenv(name);
    if (!text || !*text)
        return otherwise;
    char *end;
    long long value = strtoll(text, &end, 10);
    if (*end || value < least || value > most)
        runtime_fatal("%s=%s: expected a number from %lld to %lld", name, text, (long long)least, (long long)most);
    return value;
}

static int environment_choice(const char *name, const char *const *choices)
{
    const char *text = getenv(name);
    if (!text || !*text)
        return 0;
    for (int i = 0; choices[i]; i++)
        if (!strcmp(text, choices[i]))
            return i;
    runtime_fatal("%s=%s is not known", name, text);
}

/* CUDA_VISIBLE_DEVICES chooses among the machine's devices, as the driver reads it: numbers in the order in which the
 * program shall see them, up to the first that does not exist or was named before. A slice of a device (MIG-...) hides
 * all others, since a process sees one; names of whole devices (GPU-...) are not known here and end the list. */
static void choose_visible(int32_t present)
{
    const char *text = getenv("CUDA_VISIBLE_DEVICES");
    device_count = 0;
    if (!text) {
        for (; device_count < present; device_count++)
            device_places[device_count] = device_count;
        return;
    }
    if (!strncmp(text, "MIG-", 4)) {
        device_count = present > 0;
        return;
    }
    while (device_count < present) {
        char *end;
        long place = strtol(text, &end, 10);
        bool known = end != text && (!*end || *end == ',') && place >= 0 && place < present;
        for (int32_t i = 0; i < device_count; i++)
            known = known && device_places[i] != place;
        if (!known)
            return;
        device_places[device_count++] = (int32_t)place;
        text = *end ? end + 1 : end;
    }
}

static void read_environment(void)
{
    static const char *const limits[] = {"sm_80", "sm_86", "sm_90", "sm_75", NULL};
    static const char *const orders[] = {"forward", "reversed", "shuffled", NULL};
    static const struct machine_limits *const known[] = {&machine_sm_80, &machine_sm_86, &machine_sm_90,
                                                         &machine_sm_75};
    machine_default_settings(&initial_settings);
    initial_settings.limits = *known[environment_choice("EMULATOR_LIMITS", limits)];
    initial_settings.order = (enum machine_order)environment_choice("EMULATOR_ORDER", orders);
    initial_settings.seed = (uint64_t)environment_number("EMULATOR_SEED", (int64_t)initial_settings.seed, 0, INT64_MAX);
    initial_settings.checks = environment_number("EMULATOR_CHECKS", initial_settings.checks, 0, 1) != 0;
    initial_settings.truncate = environment_number("EMULATOR_TRUNCATE", initial_settings.truncate, 0, 1) != 0;
    initial_settings.limits.total_memory =
        environment_number("EMULATOR_MEMORY", initial_settings.limits.total_memory, 1, INT64_C(1) << 46);
    initial_settings.memory_taken = environment_number("EMULATOR_MEMORY_TAKEN", 0, 0, INT64_C(1) << 46);
    runtime_driver = (int)environment_number("EMULATOR_DRIVER", CUDART_VERSION, 0, 1000000);
    choose_visible((int32_t)environment_number("EMULATOR_DEVICES", 1, 0, DEVICES_MAXIMUM));
}

/* ---- the end of the program ---- */

static void end_of_program(void)
{
    if (!opened || owner != getpid()) /* reports belong to the process that used CUDA, not to its forks */
        return;
    totals_print();
    if (unseen_error && device_count > 0)
        runtime_report(&devices[0], CHECK_HOST, unseen_kernel, 0,
                       "the launch failed (%s) and the program never asked for the error",
                       cudaGetErrorName(unseen_error));
    if (!emulator_report_count())
        return;
    fflush(NULL);
    fprintf(stderr, "emulator: the program ends with %lld reports\n", (long long)emulator_report_count());
    emulator_print_reports(stderr);
    fflush(NULL);
    _exit(1);
}

__attribute__((constructor(101))) static void prepare(void)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
    atexit(end_of_program);
}

/* ---- calls ---- */

void runtime_enter_always(void)
{
    pthread_mutex_lock(&lock);
    if (opened && owner != getpid())
        runtime_fatal("CUDA is used in a process that was forked after its first use of CUDA; fork before it");
    if (opened)
        return;
    opened = true;
    owner = getpid();
    read_environment();
    for (int32_t i = 0; i < device_count; i++) {
        devices[i].number = i;
        devices[i].machine = machine_create(&initial_settings);
        if (!devices[i].machine)
            runtime_fatal("no memory for device %d", (int)i);
        device_open(&devices[i]);
    }
    if (device_count == 0)
        devices[0].lost = cudaErrorNoDevice; /* which every call then returns */
}

/* A program needs a driver of its runtime's major version or newer. */
cudaError_t runtime_unusable(void)
{
    if (runtime_driver / 1000 < CUDART_VERSION / 1000)
        return cudaErrorInsufficientDriver;
    return device_count == 0 ? cudaErrorNoDevice : cudaSuccess;
}

cudaError_t runtime_enter(void)
{
    runtime_enter_always();
    if (runtime_unusable() != cudaSuccess)
        return runtime_unusable();
    return in_host_function ? cudaErrorNotPermitted : devices[current_device].lost;
}

cudaError_t runtime_leave(cudaError_t error)
{
    /* cudaErrorNotReady is an answer, no error. */
    if (error != cudaSuccess && error != cudaErrorNotReady)
        last_error = error;
    pthread_mutex_unlock(&lock);
    return error;
}

cudaError_t runtime_last_error(bool clear)
{
    unseen_error = cudaSuccess;
    cudaError_t error = devices[current_device].lost ? devices[current_device].lost : last_error;
    if (clear)
        last_error = cudaSuccess;
    return error;
}

void runtime_note_unseen(cudaError_t error, const char *kernel)
{
    if (unseen_error)
        return;
    unseen_error = error;
    snprintf(unseen_kernel, sizeof unseen_kernel, "%s", kernel);
}

void runtime_call_host(cudaHostFn_t function, void *data)
{
    in_host_function = true;
    function(data);
    in_host_function = false;
}

struct device *device_current(void)
{
    return &devices[current_device];
}

int32_t device_current_number(void)
{
    return current_device;
}

void device_make_current(int32_t number)
{
    current_device = number;
}

/* ---- reports ---- */

void runtime_report(struct device *device, enum machine_check check, const char *call, uint64_t address,
                    const char *format, ...)
{
    struct machine_report report = {.check = check, .address = address, .times = 1};
    report.access.thread = report.other.thread = -2; /* the text says what happened */
    snprintf(report.kernel, sizeof report.kernel, "%s", call);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(report.text, sizeof report.text, format, arguments);
    va_end(arguments);
    machine_add_report(device->machine, &report);
}

int64_t emulator_report_count(void)
{
    runtime_enter_always();
    int64_t count = 0;
    for (int32_t i = 0; i < device_count; i++)
        count += machine_report_count(devices[i].machine);
    pthread_mutex_unlock(&lock);
    return count;
}

const struct machine_report *emulator_report_at(int64_t i)
{
    const struct machine_report *report = NULL;
    runtime_enter_always();
    for (int32_t d = 0; d < device_count && !report; d++) {
        int64_t count = machine_report_count(devices[d].machine);
        if (i < count)
            report = machine_report_at(devices[d].machine, i);
        i -= count;
    }
    pthread_mutex_unlock(&lock);
    return report;
}

int64_t emulator_reports_of(enum machine_check check, const char *part)
{
    int64_t found = 0;
    for (int64_t i = 0; i < emulator_report_count(); i++) {
        const struct machine_report *report = emulator_report_at(i);
        found += report->check == check && (!part || strstr(report->text, part));
    }
    return found;
}

void emulator_print_reports(FILE *file)
{
    char text[2048];
    for (int64_t i = 0; i < emulator_report_count(); i++) {
        machine_format_report(emulator_report_at(i), text, sizeof text);
        fputs(text, file);
        if (!*text || text[strlen(text) - 1] != '\n')
            fputc('\n', file);
    }
}

void emulator_clear_reports(void)
{
    runtime_enter_always();
    for (int32_t i = 0; i < device_count; i++)
        machine_clear_reports(devices[i].machine);
    pthread_mutex_unlock(&lock);
}

/* ---- tests ---- */

struct emulator_counters emulator_counters(void)
{
    return runtime_counters;
}

void emulator_reset_counters(void)
{
    memset(&runtime_counters, 0, sizeof runtime_counters);
}

struct machine *emulator_machine(void)
{
    runtime_enter_always();
    pthread_mutex_unlock(&lock);
    return devices[current_device].machine;
}

struct machine_settings *emulator_settings(void)
{
    return machine_settings(emulator_machine());
}

void emulator_reset(void)
{
    runtime_enter_always();
    for (int32_t i = 0; i < device_count; i++) {
        struct device *device = &devices[i];
        device_close(device);
        machine_destroy(device->machine);
        device->machine = machine_create(&initial_settings);
        if (!device->machine)
            runtime_fatal("no memory for device %d", (int)i);
        device_open(device);
    }
    allocations_remove_of(NULL);
    emulator_reset_counters();
    last_error = unseen_error = cudaSuccess;
    current_device = 0;
    pthread_mutex_unlock(&lock);
}
