/* Prompts in JSON lines (docs/generate.md): what a line holds, and what is wrong with it. */
#ifndef SPIRITLM_GENERATE_PROMPT_FILE_H
#define SPIRITLM_GENERATE_PROMPT_FILE_H

#include "generate/generator.h"
#include "generate/prompt.h"

#include <jansson.h>

/* What a prompt may say for itself, beginning with what the command line says for all. */
struct prompt_settings {
    enum output_modality output;
    int64_t samples, min_new_tokens, max_new_tokens;
    uint64_t seed;
};

struct prompt_line {
    int64_t line; /* from 1; 0: it comes from the command line */
    char *id;     /* its own, or "line-N" */
    struct piece *pieces;
    int64_t piece_count;
    struct prompt_settings settings;
    char *error; /* why it cannot be used; NULL: it can */

    json_t *object; /* holds the strings of the pieces */
    char **paths;   /* [piece_count]: those that begin in the file's folder; else NULL */
};

struct prompt_file {
    struct prompt_line *lines;
    int64_t count, capacity;
};

/* Reads `path`, or standard input for "-". Sound files are looked for in the file's folder, or in the working directory for
 * standard input. A line that cannot be used is there with its error. STATUS_CORRUPT for what concerns the whole file: an
 * id that two lines have, no line at all, and none that can be used. */
enum status prompt_file_read(const char *path, const struct prompt_settings *defaults, struct prompt_file *file);
void prompt_file_free(struct prompt_file *file);

/* Notes the error text as the line's error. */
enum status prompt_line_fail(struct prompt_line *line);

/* text, speech, any. */
bool output_modality_parse(const char *name, enum output_modality *output);
const char *output_modality_name(enum output_modality output);

#endif
