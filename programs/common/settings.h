/* The one place that knows all sections of the configuration. Every program loads all of them, so that one file serves
 * all programs and a key that no program knows is an error in each. */
#ifndef SPIRITLM_PROGRAMS_SETTINGS_H
#define SPIRITLM_PROGRAMS_SETTINGS_H

#include "data/settings.h"
#include "eval/settings.h"
#include "io/config.h"
#include "programs/common/program.h"
#include "train/settings.h"

extern const struct config_field tokenizer_fields[], text_fields[], prepare_fields[], manifest_fields[], data_fields[],
    model_fields[], train_fields[], speech_fields[], score_fields[], evaluate_fields[], archive_fields[],
    submission_fields[], prompt_fields[], judge_fields[];
extern const int64_t tokenizer_field_count, text_field_count, prepare_field_count, manifest_field_count,
    data_field_count, model_field_count, train_field_count, speech_field_count, score_field_count, evaluate_field_count,
    archive_field_count, submission_field_count, prompt_field_count, judge_field_count;

enum { SETTINGS_SECTIONS = 16 };

/* Section `kernels`: who computes what, on GPUs. */
enum conv1d_choice { CONV1D_CHOICE_OWN, CONV1D_CHOICE_CUDNN };
struct kernels_settings {
    int conv1d; /* enum conv1d_choice */
};

/* Section `files`: how folders are written. */
struct files_settings {
    int locks; /* enum lock_policy (io/lock.h) */
};

struct settings {
    struct tokenizer_settings tokenizer;
    struct speech_options speech;
    struct prepare_settings prepare;
    struct data_settings data;
    struct model_settings model;
    struct train_settings train;
    struct score_settings score;
    struct evaluate_settings evaluate;
    struct archive_settings archives;
    struct submission_settings submission;
    struct prompt_paths prompts;
    struct judge_settings judges;
    struct kernels_settings kernels;
    struct files_settings files;
    struct config_section sections[SETTINGS_SECTIONS]; /* config points into it */
    struct config *config;                             /* owns the strings and lists of the sections */
};

/* The sections whose required keys a program insists on: a mask of these. */
enum settings_section {
    SETTINGS_TOKENIZER = 1 << 0,
    SETTINGS_PREPARE = 1 << 1,
    SETTINGS_DATA = 1 << 2,
    SETTINGS_MODEL = 1 << 3,
    SETTINGS_TRAIN = 1 << 4,
};

enum status settings_load(const struct program_arguments *arguments, unsigned required, struct settings *settings);
void settings_free(struct settings *settings);
void settings_print_keys(FILE *file); /* for --help */

#endif
