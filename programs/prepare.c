/* prepare: turns audio, transcripts and texts into verified HDF5 shards (docs/prepare.md). */
#include "data/prepare/prepare.h"

#include "programs/common/settings.h"
#include "programs/device/device.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct program_option options[] = {
    {"--stage", "fit|shards|index|all", "what to do (default all)", false},
    {"--part", "I/N", "with --stage shards: make every Nth shard, counted from the Ith", false},
    DEVICE_OPTION,
};

static const struct program program = {
    .name = "prepare",
    .usage = "--config FILE [--stage fit|shards|index|all] [--part I/N] [--device D] [key=value ...]",
    .summary =
        "Turns each manifest NAME.jsonl of prepare.manifests into the dataset folder NAME below prepare.output:\n"
        "fits the speech tokenizer once, writes units, words and texts into shards, verifies and indexes them.\n"
        "Existing files that are up to date are verified and kept.",
    .example = "prepare --config configs/demo.yaml prepare.threads=2",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .takes_config = true,
};

static enum status parse_stage(const char *text, unsigned *stages)
{
    static const struct {
        const char *name;
        unsigned stages;
    } names[] = {{"fit", PREPARE_FIT}, {"shards", PREPARE_SHARDS}, {"index", PREPARE_INDEX}, {"all", PREPARE_ALL}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i].name, text) == 0) {
            *stages = names[i].stages;
            return STATUS_OK;
        }
    return status_set(STATUS_USAGE, "--stage: expected fit, shards, index or all, found \"%s\"", text);
}

static enum status parse_part(const char *text, struct prepare_options *prepare)
{
    char *end = NULL;
    prepare->part = strtoll(text, &end, 10);
    if (end != text && *end == '/') {
        const char *second = end + 1;
        prepare->parts = strtoll(second, &end, 10);
        if (end != second && *end == 0 && prepare->part >= 1 && prepare->part <= prepare->parts &&
            prepare->parts <= 1000000)
            return STATUS_OK;
    }
    return status_set(STATUS_USAGE, "--part: expected I/N with 1 <= I <= N, such as 2/3, found \"%s\"", text);
}

/* Every finished file is whole, so there is nothing to clean up; but who stops it should know how to go on. */
static void interrupted(int number)
{
    static const char text[] = "\ninterrupted: what is finished is kept; run prepare again to continue\n";
    ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
    (void)written;
    signal(number, SIG_DFL);
    raise(number);
}

static enum status run_on(const struct program_arguments *arguments, const struct kernels *kernels)
{
    enum status result = STATUS_OK;
    struct settings settings;
    struct prepare_options prepare = {
        .tokenizer = &settings.tokenizer, .speech = &settings.speech, .prepare = &settings.prepare, .report = stdout};
    TRY(settings_load(arguments, SETTINGS_TOKENIZER | SETTINGS_PREPARE, &settings));
    TRY(parse_stage(program_value(arguments, "--stage", "all"), &prepare.stages));
    TRY(parse_part(program_value(arguments, "--part", "1/1"), &prepare));
    TRY(program_device_engines(kernels, &settings.kernels));
    const struct interleave_options interleave = data_interleave_options(&settings.data);
    prepare.interleave = &interleave;
    prepare.kernels = kernels;
    prepare.networks = kernels ? kernels : kernels_cpu();
    prepare.locks = (enum lock_policy)settings.files.locks;
    TRY(prepare_run(&prepare));
fail:
    settings_free(&settings);
    return result;
}

static enum status run(const struct program_arguments *arguments)
{
    const struct kernels *kernels;
    signal(SIGINT, interrupted);
    signal(SIGTERM, interrupted);
    enum status result = program_device_kernels(arguments, &kernels);
    return result == STATUS_OK ? run_on(arguments, kernels) : result;
}

int main(int argc, char **argv)
{
    return program_main(&program, argc, argv, run);
}
