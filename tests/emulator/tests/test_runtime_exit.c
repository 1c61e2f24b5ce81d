/* How programs end that use the emulated runtime wrongly. The test runs itself as a child, which makes one mistake, and
 * looks at the child's exit code and at what it wrote to stderr. */
#include "emulator/tests/runtime_kernels.h"
#include "emulator/tests/runtime_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- children ---- */

static void free_twice(void)
{
    void *memory;
    cudaMalloc(&memory, 16);
    cudaFree(memory);
    cudaFree(memory);
}

static void clear_reports(void)
{
    free_twice();
    emulator_clear_reports();
}

static void launch_and_never_ask(void)
{
    launch_bounded(device_floats(1024), 512, NULL);
}

static void launch_and_ask(void)
{
    launch_and_never_ask();
    cudaGetLastError();
}

static void do_nothing_wrong(void)
{
    float *memory = device_floats(64);
    launch_bounded(memory, 64, NULL);
    cudaDeviceSynchronize();
}

static void say_devices(void)
{
    int count;
    cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess) {
        void *memory;
        printf("%s%s\n", cudaGetErrorName(error), cudaMalloc(&memory, 16) == error ? "" : ", but memory is there");
        return;
    }
    printf("%d devices:", count);
    for (int i = 0; i < count; i++) {
        struct cudaDeviceProp properties;
        cudaGetDeviceProperties(&properties, i);
        printf(" %d", properties.pciBusID);
    }
    printf("\n");
}

void **__cudaRegisterFatBinary(void *wrapper);
void __cudaRegisterFunction(void **handle, const char *host_function, char *device_function, const char *name,
                            int thread_limit, void *tid, void *bid, void *block, void *grid, int *warp_size);

/* A fat binary with one kernel, as nvcc lays it out. */
static void launch_ptx(const char *instruction)
{
    static struct {
        uint32_t magic, version;
        const void *data;
        void *unused;
    } wrapper;
    static unsigned char data[4096];
    char text[1024];
    int length = snprintf(text, sizeof text,
                          ".version 9.0\n.target sm_80\n.address_size 64\n.visible .entry broken()\n{\n"
                          "    .reg .b32 %%r<3>;\n    %s\n    ret;\n}\n",
                          instruction);
    uint64_t payload = (uint64_t)(length + 8) / 8 * 8, total = 64 + payload;
    const uint32_t magic = 0xba55ed50, header_bytes = 64, architecture = 80;
    const uint16_t version = 1, file_header = 16, kind = 1;
    memcpy(data, &magic, 4);
    memcpy(data + 4, &version, 2);
    memcpy(data + 6, &file_header, 2);
    memcpy(data + 8, &total, 8);
    memcpy(data + 16, &kind, 2);
    memcpy(data + 20, &header_bytes, 4);
    memcpy(data + 24, &payload, 8);
    memcpy(data + 44, &architecture, 4);
    memcpy(data + 80, text, (size_t)length);
    wrapper.magic = 0x466243b1;
    wrapper.version = 1;
    wrapper.data = data;
    void **handle = __cudaRegisterFatBinary(&wrapper);
    __cudaRegisterFunction(handle, text, NULL, "broken", -1, NULL, NULL, NULL, NULL, NULL);
    cudaLaunchKernel(text, (dim3){1, 1, 1}, (dim3){32, 1, 1}, NULL, 0, NULL);
    cudaDeviceSynchronize();
    printf("ran\n");
}

static void run_known_instruction(void)
{
    launch_ptx("mov.u32 %r1, 7;");
}

static void run_unknown_opcode(void)
{
    launch_ptx("frobnicate.u32 %r1, %r2;");
}

static void run_unknown_modifier(void)
{
    launch_ptx("add.u32.sideways %r1, %r2, 1;");
}

static void run_text_that_is_no_ptx(void)
{
    launch_ptx("mov.u32 %r1, }{;");
}

static void ask_for_memory(void)
{
    int count = -1, driver = -1;
    void *memory = NULL;
    size_t available = 0, total = 0;
    printf("%s", cudaGetErrorName(cudaGetDeviceCount(&count)));
    cudaDriverGetVersion(&driver);
    cudaError_t error = cudaMalloc(&memory, 1000);
    printf(" %d devices, driver %d, %s", count, driver, cudaGetErrorName(error));
    if (cudaMemGetInfo(&available, &total) == cudaSuccess)
        printf(", %zu of %zu free", available, total);
    if (error == cudaErrorMemoryAllocation) /* nor for the kernels' module */
        return;
    launch_bounded(memory, 64, NULL);
    printf(", a launch: %s\n", cudaGetErrorName(cudaGetLastError()));
}

static const struct {
    const char *name;
    void (*run)(void);
} children[] = {{"free_twice", free_twice},
                {"clear_reports", clear_reports},
                {"ask_for_memory", ask_for_memory},
                {"launch_and_never_ask", launch_and_never_ask},
                {"launch_and_ask", launch_and_ask},
                {"do_nothing_wrong", do_nothing_wrong},
                {"say_devices", say_devices},
                {"run_known_instruction", run_known_instruction},
                {"run_unknown_opcode", run_unknown_opcode},
                {"run_unknown_modifier", run_unknown_modifier},
                {"run_text_that_is_no_ptx", run_text_that_is_no_ptx}};

/* ---- tests ---- */

static char written[8192];

static int run_child(const char *environment, const char *name)
{
    char command[4600], path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    assert_true(length > 0);
    path[length] = 0;
    snprintf(command, sizeof command, "%s '%s' %s 2>&1", environment, path, name);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t bytes = fread(written, 1, sizeof written - 1, pipe);
    written[bytes] = 0;
    int status = pclose(pipe);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void expect(const char *environment, const char *name, int code, const char *text)
{
    int found = run_child(environment, name);
    if (found != code || (text && !strstr(written, text)))
        fail_msg("%s: exit code %d, expected %d with \"%s\"; it wrote: %s", name, found, code, text ? text : "",
                 written);
}

static void reports_fail_the_program(void **state)
{
    (void)state;
    expect("", "do_nothing_wrong", 0, NULL);
    assert_string_equal(written, "");
    expect("", "free_twice", 1, "where no allocation of device memory begins");
    expect("", "clear_reports", 0, NULL);
    expect("", "launch_and_never_ask", 1, "the program never asked for the error");
    expect("", "launch_and_ask", 0, NULL);
}

static void the_environment_chooses_the_devices(void **state)
{
    (void)state;
    expect("EMULATOR_LIMITS=sm_90 EMULATOR_ORDER=shuffled EMULATOR_SEED=5", "do_nothing_wrong", 0, NULL);
    expect("EMULATOR_LIMITS=sm_86 EMULATOR_ORDER=reversed EMULATOR_TRUNCATE=1 EMULATOR_CHECKS=0", "do_nothing_wrong", 0,
           NULL);
    expect("EMULATOR_LIMITS=sm_12", "do_nothing_wrong", 1, "EMULATOR_LIMITS=sm_12 is not known");
    expect("EMULATOR_DEVICES=x", "do_nothing_wrong", 1, "EMULATOR_DEVICES=x: expected a number from 0 to 16");
    expect("EMULATOR_DEVICES=3", "say_devices", 0, "3 devices: 1 2 3\n");
    expect("EMULATOR_DEVICES=3 CUDA_VISIBLE_DEVICES=2,0", "say_devices", 0, "2 devices: 3 1\n");
    expect("EMULATOR_DEVICES=3 CUDA_VISIBLE_DEVICES=1,7,0", "say_devices", 0, "1 devices: 2\n");
    expect("EMULATOR_DEVICES=3 CUDA_VISIBLE_DEVICES=1,1,0", "say_devices", 0, "1 devices: 2\n");
    expect("EMULATOR_DEVICES=3 CUDA_VISIBLE_DEVICES=MIG-1234", "say_devices", 0, "1 devices: 1\n");
    expect("EMULATOR_DEVICES=3 CUDA_VISIBLE_DEVICES=", "say_devices", 0, "cudaErrorNoDevice\n");
    expect("EMULATOR_DEVICES=3 CUDA_VISIBLE_DEVICES=-1", "say_devices", 0, "cudaErrorNoDevice\n");
    expect("EMULATOR_DEVICES=0", "say_devices", 0, "cudaErrorNoDevice\n");
}

static void the_environment_makes_machines_that_lack_something(void **state)
{
    (void)state;
    expect("EMULATOR_DRIVER=0", "ask_for_memory", 0,
           "cudaErrorInsufficientDriver 0 devices, driver 0, cudaErrorInsufficientDriver, a launch: "
           "cudaErrorInsufficientDriver");
    expect("EMULATOR_DRIVER=10020", "ask_for_memory", 0, "cudaErrorInsufficientDriver 0 devices, driver 10020");
    expect("EMULATOR_DEVICES=0", "ask_for_memory", 0, "cudaErrorNoDevice 0 devices");
    expect("EMULATOR_LIMITS=sm_75", "ask_for_memory", 0, "a launch: cudaErrorNoKernelImageForDevice");
    expect("EMULATOR_MEMORY=1001024", "ask_for_memory", 0, "cudaSuccess, 1000000 of 1001024 free");
    expect("EMULATOR_MEMORY=1023", "ask_for_memory", 0, "cudaErrorMemoryAllocation, 1023 of 1023 free");
    expect("EMULATOR_MEMORY=5000 EMULATOR_MEMORY_TAKEN=4000", "ask_for_memory", 0,
           "cudaErrorMemoryAllocation, 1000 of 5000 free");
}

static void what_cannot_be_executed_ends_the_program(void **state)
{
    (void)state;
    expect("", "run_known_instruction", 0, "ran");
    expect("", "run_unknown_opcode", 1, "frobnicate");
    expect("", "run_unknown_modifier", 1, "sideways");
    expect("", "run_text_that_is_no_ptx", 1, "cannot be parsed: line 7");
}

int main(int count, char **arguments)
{
    for (size_t i = 0; count > 1 && i < sizeof children / sizeof *children; i++)
        if (!strcmp(arguments[1], children[i].name)) {
            children[i].run();
            return 0;
        }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_fail_the_program),
        cmocka_unit_test(the_environment_chooses_the_devices),
        cmocka_unit_test(the_environment_makes_machines_that_lack_something),
        cmocka_unit_test(what_cannot_be_executed_ends_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
