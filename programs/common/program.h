/* What the main functions share: options, --help, errors and exit codes. A program describes itself in a struct
 * program and hands its work to program_main:
 *   int main(int argc, char **argv) { return program_main(&program, argc, argv, run); } */
#ifndef SPIRITLM_PROGRAMS_PROGRAM_H
#define SPIRITLM_PROGRAMS_PROGRAM_H

#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

struct program_option {
    const char *name; /* "--stage" */
    const char
        *value; /* the placeholder of the value in --help ("fit|shards|index|all"); NULL: a flag without one. FILE,
                        * FOLDER, DIR, PATH and RUN_OR_CHECKPOINT are paths: ~/ at their beginning is replaced */
    const char *help; /* one line */
    bool repeatable;  /* otherwise a second one is an error */
};

struct program {
    const char *name;
    const char *usage;     /* what follows the name: "--config FILE [--stage S] [key=value ...]" */
    const char *summary;   /* what it does, a sentence or two */
    const char *example;   /* a command line that works */
    const char *arguments; /* what its arguments may be, as an option's value ("pairs|learning|FILE"); or NULL */
    const struct program_option *options; /* its own; --config, --help and --version are added here */
    int64_t option_count;
    bool takes_config;    /* --config FILE and key=value */
    bool takes_arguments; /* arguments that are neither options nor key=value */
};

/* One option or plain argument as given; everything stays in the order of the command line. */
struct program_argument {
    const char *option; /* "--text"; NULL for a plain argument */
    const char *value;  /* NULL for a flag */
};

enum program_answer { ANSWER_NONE, ANSWER_HELP, ANSWER_VERSION, ANSWER_MAN_PAGE, ANSWER_COMPLETION };

struct program_arguments {
    struct program_argument *items;
    int64_t count;
    const char *config;     /* NULL: none given */
    const char **overrides; /* "key=value" */
    char **paths;           /* those that were replaced */
    int64_t path_count;
    int64_t override_count;
    enum program_answer answer; /* what was asked of the program itself, instead of its work */
};

/* STATUS_USAGE for an unknown option (the nearest is named), a missing value, an option given twice. Values may follow
 * as the next argument or after "=". "--" ends the options. ~/ is replaced by the home folder in paths and
 * plain arguments; all other strings point into argv. */
enum status program_parse(const struct program *program, int argc, char **argv, struct program_arguments *arguments);
void program_arguments_free(struct program_arguments *arguments);

/* The value of an option; `fallback` when it was not given. A flag has the value "". */
const char *program_value(const struct program_arguments *arguments, const char *option, const char *fallback);
bool program_flag(const struct program_arguments *arguments, const char *option);
/* An integer option in minimum..maximum, which must be all of its text; otherwise STATUS_USAGE. */
enum status program_integer(const struct program_arguments *arguments, const char *option, int64_t minimum,
                            int64_t maximum, int64_t fallback, int64_t *value);

/* The command line as bash reads it: arguments that it would take apart are in quotes, and bytes that are not UTF-8 or that a
 * terminal might obey are written as $'\033'. Allocated; NULL when out of memory. */
char *program_command_line(int argc, char **argv);

/* Parses, answers --help and --version, calls `run`, prints "error: TEXT" when it fails and returns the exit code. Results that do
 * not reach standard output are an error too (STATUS_IO). */
int program_main(const struct program *program, int argc, char **argv,
                 enum status (*run)(const struct program_arguments *arguments));

#endif
