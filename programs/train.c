/* train: continued pretraining on text, speech and both (docs/train.md). */
#include "core/log.h"
#include "programs/common/program.h"
#include "programs/common/settings.h"
#include "programs/model/components_settings.h"
#include "programs/model/machine.h"
#include "train/memory.h"
#include "train/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct program_option options[] = {
    {"--dry-run", NULL, "print the memory plan per rank and stop; needs no data and no weights", false},
    {"--gpus", "N", "ranks of the plan of --dry-run (default 1)", false},
    {"--resume", "auto|none|PATH",
     "continue the run's newest checkpoint that verifies (default), refuse to, or start from that checkpoint", false},
    {"--show-samples", "N", "print N documents as the model would see them and stop", false},
    MACHINE_OPTION,
};

static const struct program program = {
    .name = "train",
    .usage = "--config FILE [--dry-run [--gpus N]] [--resume auto|none|PATH] [--show-samples N] [--device D] "
             "[key=value ...]",
    .summary =
        "Trains a speech-text language model on prepared datasets. SIGTERM, SIGINT or SIGUSR1: saves at the next "
        "step and exits with 75; the same command continues.",
    .example = "train --config configs/demo.yaml train.steps=200",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .takes_config = true,
};

static char *command;

/* The size of the text model, where it is there, else what the configuration says. */
static enum status text_size(const struct settings *settings, int32_t *size)
{
    enum status result = STATUS_OK;
    struct text_model *text;
    *size = (int32_t)settings->model.text_size;
    if (access(settings->tokenizer.text_model, F_OK) != 0) {
        printf("note: no text model there; planned with model.text_size\n");
        return STATUS_OK;
    }
    TRY(text_model_load(settings->tokenizer.text_model, &text));
    *size = text_model_size(text);
    text_model_free(text);
fail:
    return result;
}

/* Sizes come from the tokenizers where they exist, else from the configuration alone. */
static enum status vocabulary_rows(const struct settings *settings, int32_t *rows)
{
    enum status result = STATUS_OK;
    struct components *components = NULL;
    struct vocabulary vocabulary;
    bool expressive = settings->data.expressive;
    bool task_tags = settings->data.mode == INTERLEAVE_ASR_TTS || settings->data.mode == INTERLEAVE_SPANS_ASR_TTS;
    /* Tokenizers that are there must be sound; missing ones are what a plan may do without. */
    if (access(settings->tokenizer.text_model, F_OK) == 0 &&
        (*settings->prepare.ready.label || access(settings->tokenizer.folder, F_OK) == 0)) {
        TRY(components_from_settings(settings, &components));
        *rows = components->vocabulary.padded_size;
        components_free(components);
        return STATUS_OK;
    }
    int32_t text;
    TRY(text_size(settings, &text));
    printf("note: no speech tokenizer there; planned with tokenizer.units, pitch_codes and style_codes\n");
    TRY(vocabulary_create(text, 1, 2, 0, (int32_t)settings->tokenizer.units,
                          expressive ? (int32_t)settings->tokenizer.pitch_codes : 0,
                          expressive ? (int32_t)settings->tokenizer.style_codes : 0, task_tags, &vocabulary));
    *rows = vocabulary.padded_size;
fail:
    return result;
}

/* How much device memory a plan may take (0: any), and the words before that number. */
static enum status device_limit(const struct program_arguments *arguments, const struct settings *settings,
                                int64_t *bytes, const char **name)
{
    enum status result = training_memory_parse(settings->train.device_memory, bytes);
    *name = "train.device_memory is";
    if (result == STATUS_OK && *bytes == 0) {
        *bytes = program_device_bytes(arguments);
        *name = "the GPU has";
    }
    return result;
}

static enum status dry_run(const struct program_arguments *arguments, const struct settings *settings)
{
    enum status result = STATUS_OK;
    int64_t ranks = 1;
    struct run_plan plan = {.data = &settings->data, .model = &settings->model, .train = &settings->train};
    TRY(program_machine_plan_kernels(arguments, &plan.kernels));
    TRY(program_device_engines(plan.kernels, &settings->kernels));
    TRY(program_integer(arguments, "--gpus", 1, 1 << 20, 1, &ranks));
    plan.ranks = (int)ranks;
    TRY(device_limit(arguments, settings, &plan.device_bytes, &plan.device_name));
    TRY(vocabulary_rows(settings, &plan.vocabulary_rows));
    TRY(run_print_plan(&plan, stdout));
fail:
    return result;
}

/* The default warm-up is made for long runs. */
static void warn_of_warmup(const struct train_settings *train)
{
    const struct schedule_settings *schedule = &train->schedule;
    if (schedule->warmup_steps > train->steps)
        log_warning("train.warmup_steps (%lld) is more than train.steps (%lld): the learning rate only rises, and "
                    "ends at %.3g %% of train.learning_rate; set train.warmup_steps to a part of the run",
                    (long long)schedule->warmup_steps, (long long)train->steps,
                    100 * (double)train->steps / (double)schedule->warmup_steps);
}

static struct run_options read_resume(const struct program_arguments *arguments, const struct settings *settings)
{
    const char *resume = program_value(arguments, "--resume", "auto");
    struct run_options run = {
        .command = command, .config = settings->config, .locks = (enum lock_policy)settings->files.locks};
    run.resume = !strcmp(resume, "auto") ? RESUME_AUTO : !strcmp(resume, "none") ? RESUME_NONE : RESUME_PATH;
    run.resume_path = resume;
    return run;
}

static enum status run(const struct program_arguments *arguments)
{
    enum status result = STATUS_OK;
    struct settings settings;
    struct machine machine = {0};
    struct components *components = NULL;
    struct comm *comm = NULL;
    struct device_comm *device_comm = NULL;
    int64_t samples = 0;
    TRY(settings_load(arguments, SETTINGS_DATA | SETTINGS_MODEL | SETTINGS_TRAIN, &settings));
    warn_of_warmup(&settings.train);
    if (!program_flag(arguments, "--dry-run") && program_value(arguments, "--gpus", NULL))
        FAIL(STATUS_USAGE, "--gpus is for --dry-run: training runs on one machine's processors so far");
    if (program_flag(arguments, "--dry-run") && program_value(arguments, "--show-samples", NULL))
        FAIL(STATUS_USAGE, "--dry-run and --show-samples: one at a time");
    if (program_flag(arguments, "--dry-run")) {
        result = dry_run(arguments, &settings);
        goto fail;
    }
    TRY(program_integer(arguments, "--show-samples", 1, 1000000, 0, &samples));
    TRY(program_machine_create(arguments, settings.train.threads, &settings.kernels, &machine));
    TRY(components_from_settings(&settings, &components));
    const char *obstacle = text_model_obstacle(components->text);
    if (obstacle)
        log_info(
            "note: %s cannot be written as tokenizer.json for transformers: %s; checkpoints hold tokenizer.model alone",
            settings.tokenizer.text_model, obstacle);
    TRY(comm_create_single(&comm));
    TRY(device_comm_create_single(&device_comm));
    struct trainer_setup setup = {.data = &settings.data,
                                  .model = &settings.model,
                                  .train = &settings.train,
                                  .components = components,
                                  .comm = comm,
                                  .device_comm = device_comm,
                                  .kernels = machine.kernels,
                                  .context = &machine.context};
    struct run_options run_options = read_resume(arguments, &settings);
    if (samples > 0)
        TRY(run_show_samples(&setup, samples, stdout));
    else
        TRY(run_train(&setup, &run_options));
fail:
    device_comm_destroy(device_comm);
    comm_destroy(comm);
    components_free(components);
    program_machine_destroy(&machine);
    settings_free(&settings);
    return result;
}

int main(int argc, char **argv)
{
    command = program_command_line(argc, argv);
    int code = program_main(&program, argc, argv, run);
    free(command);
    return code;
}
