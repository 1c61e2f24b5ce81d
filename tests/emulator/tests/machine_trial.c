/* The frame around the short kernels of the interpreter's tests. */
#include "emulator/tests/machine_trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct trial *trial_open(void)
{
    struct trial *trial = calloc(1, sizeof *trial);
    assert_non_null(trial);
    machine_default_settings(&trial->settings);
    trial->settings.limits = machine_sm_90;
    for (int i = 0; i < 3; i++)
        trial->grid[i] = trial->block[i] = 1;
    trial->block[0] = 32;
    for (uint32_t i = 0; i < 4096; i++)
        trial->in[i] = i;
    return trial;
}

void trial_close(struct trial *trial)
{
    machine_destroy(trial->machine);
    free(trial);
}

static struct ptx_module *parse_body(const struct trial *trial, const char *body)
{
    static const char frame[] = ".version 8.0\n.target sm_90\n.address_size 64\n.file 1 \"/somewhere/test.cu\"\n%s\n"
                                ".visible .entry k(.param .u64 out, .param .u64 in, .param .u32 n)\n{\n"
                                ".reg .pred %%p<16>;\n.reg .b16 %%s<16>;\n.reg .b32 %%r<64>;\n.reg .f32 %%f<32>;\n"
                                ".reg .f64 %%d<8>;\n.reg .b64 %%a<32>;\n%s\n"
                                "ld.param.u64 %%a1, [out];\nld.param.u64 %%a2, [in];\nld.param.u32 %%r3, [n];\n"
                                "mov.u32 %%r1, %%tid.x;\nmov.u32 %%r62, %%ctaid.x;\nmov.u32 %%r63, %%ntid.x;\n"
                                "mad.lo.s32 %%r2, %%r62, %%r63, %%r1;\nmul.wide.u32 %%a31, %%r2, 4;\n"
                                "add.s64 %%a3, %%a1, %%a31;\nadd.s64 %%a4, %%a2, %%a31;\n%s\n"
                                "st.global.u32 [%%a3], %%r0;\nret;\n}\n";
    const char *variables = trial->variables ? trial->variables : "";
    const char *declarations = trial->declarations ? trial->declarations : "";
    size_t size = sizeof frame + strlen(body) + strlen(variables) + strlen(declarations);
    char *text = malloc(size), error[256];
    assert_non_null(text);
    snprintf(text, size, frame, variables, declarations, body);
    struct ptx_module *module = ptx_parse(text, strlen(text), error, sizeof error);
    free(text);
    if (module == NULL)
        fail_msg("%s", error);
    return module;
}

void trial_run(struct trial *trial, const char *body)
{
    char error[512];
    machine_destroy(trial->machine);
    trial->machine = machine_create(&trial->settings);
    assert_non_null(trial->machine);
    if (!machine_load(trial->machine, parse_body(trial, body), error, sizeof error))
        fail_msg("%s", error);
    struct {
        uint64_t out, in;
        uint32_t n;
    } parameters = {.n = trial->n};
    parameters.out = machine_allocate(trial->machine, sizeof trial->out);
    parameters.in = machine_allocate(trial->machine, sizeof trial->in);
    machine_write(trial->machine, parameters.in, trial->in, sizeof trial->in);
    struct machine_launch launch = {.kernel = machine_find_kernel(trial->machine, "k"),
                                    .dynamic_shared = trial->dynamic_shared,
                                    .parameters = &parameters};
    memcpy(launch.grid, trial->grid, sizeof launch.grid);
    memcpy(launch.block, trial->block, sizeof launch.block);
    assert_non_null(launch.kernel);
    trial->ended = machine_run(trial->machine, &launch);
    machine_read(trial->machine, parameters.out, trial->out, sizeof trial->out, false);
}

void trial_refused(struct trial *trial, const char *body, const char *part)
{
    char error[512] = "";
    machine_destroy(trial->machine);
    trial->machine = machine_create(&trial->settings);
    assert_non_null(trial->machine);
    assert_false(machine_load(trial->machine, parse_body(trial, body), error, sizeof error));
    if (strstr(error, part) == NULL || strstr(error, "kernel k, PTX line ") == NULL)
        fail_msg("expected \"%s\", found \"%s\"", part, error);
}

static void print_reports(const struct trial *trial)
{
    char text[1024];
    for (int64_t i = 0; i < machine_report_count(trial->machine); i++) {
        machine_format_report(machine_report_at(trial->machine, i), text, sizeof text);
        print_error("%s", text);
    }
}

void trial_no_reports(const struct trial *trial)
{
    if (machine_report_count(trial->machine) > 0) {
        print_reports(trial);
        fail_msg("no report is expected");
    }
    assert_true(trial->ended);
}

void trial_reported(const struct trial *trial, enum machine_check check, int line, const char *part)
{
    const struct machine_report *report = machine_report_at(trial->machine, 0);
    bool good = machine_report_count(trial->machine) == 1 && report->check == check && report->access.line == line &&
                strcmp(report->access.file, line > 0 ? "test.cu" : "") == 0 && strcmp(report->kernel, "k") == 0 &&
                strstr(report->text, part) != NULL;
    if (!good) {
        print_reports(trial);
        fail_msg("expected one report: %s at line %d with \"%s\"", machine_check_name(check), line, part);
    }
}
