/* One table of all sections, which points into one struct. A program that uses only some of them loads them all the
 * same, so that a misspelled key is found by the first program that reads the file; it just does not insist on the
 * required keys of sections that it does not use. */
#include "programs/common/settings.h"

#include <string.h>

static const char *const conv1d_choices[] = {"own", "cudnn", NULL};

static const struct config_field kernels_fields[] = {
    {"conv1d", CONFIG_CHOICE, offsetof(struct kernels_settings, conv1d), "own", 0, 0, conv1d_choices,
     "whose convolutions a GPU runs: the program's own, or cuDNN's"},
};
enum { KERNELS_FIELDS = sizeof kernels_fields / sizeof *kernels_fields };

static const char *const lock_choices[] = {"required", "none", NULL}; /* as enum lock_policy */

static const struct config_field files_fields[] = {
    {"locks", CONFIG_CHOICE, offsetof(struct files_settings, locks), "required", 0, 0, lock_choices,
     "none: write without locks, where the file system has none and you see to it that only one program writes at a "
     "time"},
};
enum { FILES_FIELDS = sizeof files_fields / sizeof *files_fields };

static void list_sections(struct settings *settings, unsigned required,
                          struct config_section sections[SETTINGS_SECTIONS])
{
    const struct config_section all[SETTINGS_SECTIONS] = {
        {"tokenizer", tokenizer_fields, tokenizer_field_count, &settings->tokenizer, required & SETTINGS_TOKENIZER},
        {"speech", speech_fields, speech_field_count, &settings->speech, false},
        {"text", text_fields, text_field_count, &settings->tokenizer, false},
        {"prepare", prepare_fields, prepare_field_count, &settings->prepare, required & SETTINGS_PREPARE},
        {"manifest", manifest_fields, manifest_field_count, &settings->prepare, false},
        {"data", data_fields, data_field_count, &settings->data, required & SETTINGS_DATA},
        {"model", model_fields, model_field_count, &settings->model, required & SETTINGS_MODEL},
        {"train", train_fields, train_field_count, &settings->train, required & SETTINGS_TRAIN},
        {"score", score_fields, score_field_count, &settings->score, false},
        {"evaluate", evaluate_fields, evaluate_field_count, &settings->evaluate, false},
        {"archives", archive_fields, archive_field_count, &settings->archives, false},
        {"submission", submission_fields, submission_field_count, &settings->submission, false},
        {"prompts", prompt_fields, prompt_field_count, &settings->prompts, false},
        {"judges", judge_fields, judge_field_count, &settings->judges, false},
        {"kernels", kernels_fields, KERNELS_FIELDS, &settings->kernels, false},
        {"files", files_fields, FILES_FIELDS, &settings->files, false},
    };
    memcpy(sections, all, sizeof all);
}

enum status settings_load(const struct program_arguments *arguments, unsigned required, struct settings *settings)
{
    memset(settings, 0, sizeof *settings);
    list_sections(settings, required, settings->sections);
    enum status result = config_load(arguments->config, arguments->overrides, arguments->override_count,
                                     settings->sections, SETTINGS_SECTIONS, &settings->config);
    if (result == STATUS_USAGE && !arguments->config)
        status_prefix(result, "without --config FILE");
    /* A model that is continued brings its tokenizer. */
    if (result == STATUS_OK && !*settings->tokenizer.text_model)
        settings->tokenizer.text_model = settings->model.initialize_from;
    return result;
}

void settings_free(struct settings *settings)
{
    config_free(settings->config);
    memset(settings, 0, sizeof *settings);
}

void settings_print_keys(FILE *file)
{
    struct settings settings;
    struct config_section sections[SETTINGS_SECTIONS];
    list_sections(&settings, 0, sections);
    config_print_keys(sections, SETTINGS_SECTIONS, file);
}
