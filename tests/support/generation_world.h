/* What the generation tasks need, without weights: a speech tokenizer that reads its units off the samples, the golden text model, and a
 * model of which only the context counts (support/scripted_model.h answers in its place). */
#ifndef SPIRITLM_TESTS_GENERATION_WORLD_H
#define SPIRITLM_TESTS_GENERATION_WORLD_H

#include "eval/task.h"

enum { WORLD_HUBERT = 501, WORLD_PITCH = 64, WORLD_STYLE = 100, WORLD_RANKS = 3 };

struct generation_world {
    struct components *components;
    struct device_context context;
    struct llama model; /* config.maximum_positions is for the test to set */
    struct llama *models[WORLD_RANKS];
    struct score_settings score;
    struct evaluate_settings evaluate;
    struct prompt_paths prompts;
    struct judge_settings judges;
    struct task_outcome outcome;
    FILE *nowhere;
};

/* Without task tags; the dummy prefix is that of a document. */
void generation_world_open(bool expressive, struct generation_world *world);
void generation_world_close(struct generation_world *world);

/* Settings as a program without a configuration has them, and a task that borrows the world; results go to `out`. */
void generation_world_reset(struct generation_world *world);
struct task generation_world_task(struct generation_world *world, const char *out);

/* A 16-bit wav of 16 kHz: values[i] for lengths[i] samples. Of the value v at the beginning of a unit's time (640 samples for hubert,
 * 1280 for pitch, 16000 for style), hubert is v % 501, pitch v / 7 % 64, style v / 11 % 100. Makes the folder, too. */
void generation_clip_write(const char *path, const int64_t *values, const int64_t *lengths, int64_t count);

/* Makes the folders above a file, and the file. */
void generation_file_write(const char *path, const char *text);

/* results_NAME.json below `out`; the caller decrefs. */
json_t *generation_results_read(const char *out, const char *name);
/* The lines of samples_NAME.jsonl as an array; the caller decrefs. */
json_t *generation_samples_read(const char *out, const char *name);

#endif
