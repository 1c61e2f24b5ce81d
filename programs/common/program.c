/* Arguments are parsed by a table of each program's options rather than by getopt: the order of options matters (the
 * pieces of a prompt), key=value may stand between them, --help is made from the same table, and an unknown option is
 * answered with the nearest one. Standard output is flushed and checked here, since losing results on a full disk is a
 * failure. */
#include "programs/common/program.h"

#include "commit.h" /* made by cmake/commit.cmake */
#include "core/edit_distance.h"
#include "core/log.h"
#include "core/path.h"
#include "programs/common/program_pages.h"
#include "programs/common/settings.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct program_option config_option = {"--config", "FILE", "configuration in YAML", false};
static const struct program_option help_option = {"--help", NULL, "print this text", true};
static const struct program_option version_option = {"--version", NULL, "print the version and the commit", true};
/* For cmake --install; not shown. */
static const struct program_option man_option = {"--man-page", NULL, "", true};
static const struct program_option completion_option = {"--bash-completion", NULL, "", true};

enum { MOST_OPTIONS = 32 };

/* The options that --help shows, in its order. */
static int64_t list_options(const struct program *program, const struct program_option *options[MOST_OPTIONS])
{
    int64_t count = 0;
    while (count < program->option_count && count < MOST_OPTIONS - 3) {
        options[count] = program->options + count;
        count++;
    }
    if (program->takes_config)
        options[count++] = &config_option;
    options[count++] = &help_option;
    options[count++] = &version_option;
    return count;
}

static const struct program_option *find_option(const struct program *program, const char *name, size_t length)
{
    const struct program_option *options[MOST_OPTIONS + 2];
    int64_t count = list_options(program, options);
    options[count++] = &man_option;
    options[count++] = &completion_option;
    for (int64_t i = 0; i < count; i++)
        if (strlen(options[i]->name) == length && strncmp(options[i]->name, name, length) == 0)
            return options[i];
    return NULL;
}

static enum status unknown_option(const struct program *program, const char *given)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(given, "="), given);
    const char *nearest = program->takes_config ? "--config" : "--help";
    int64_t best = edit_distance(name, nearest);
    for (int64_t i = 0; i < program->option_count; i++) {
        int64_t distance = edit_distance(name, program->options[i].name);
        if (distance < best) {
            best = distance;
            nearest = program->options[i].name;
        }
    }
    return status_set(STATUS_USAGE, "unknown option %s; did you mean %s? (%s --help lists all)", name, nearest,
                      program->name);
}

/* "key.sub=value": the key is made of letters, digits, _ and dots. */
static bool is_override(const char *text)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.");
    return length > 0 && text[length] == '=';
}

/* Whether a placeholder ("FILE.jsonl", "auto|none|PATH") stands for a path. */
static bool is_path(const char *placeholder)
{
    static const char *const paths[] = {"FILE", "FOLDER", "DIR", "PATH", "RUN_OR_CHECKPOINT"};
    for (const char *at = placeholder; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
        for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
            size_t length = strlen(paths[i]);
            if (strncmp(at, paths[i], length) == 0 && (!at[length] || strchr(".|", at[length])))
                return true;
        }
    return false;
}

static enum status expand_path(struct program_arguments *arguments, const char *given, const char **value)
{
    char path[PATH_BYTES];
    *value = given;
    if (given[0] != '~')
        return STATUS_OK;
    enum status result = path_expand_home(given, path);
    if (result != STATUS_OK)
        return result;
    char *copy = strdup(path);
    if (!copy)
        return status_set(STATUS_INTERNAL, "out of memory");
    arguments->paths[arguments->path_count++] = copy;
    *value = copy;
    return STATUS_OK;
}

static enum status add_option(const struct program *program, int argc, char **argv, int *position,
                              struct program_arguments *arguments)
{
    const char *given = argv[*position], *value = NULL;
    size_t length = strcspn(given, "=");
    const struct program_option *option = find_option(program, given, length);
    if (!option)
        return unknown_option(program, given);
    if (given[length] == '=' && !option->value)
        return status_set(STATUS_USAGE, "option %s takes no value", option->name);
    if (given[length] == '=') {
        value = given + length + 1;
    } else if (option->value) {
        if (*position + 1 >= argc)
            return status_set(STATUS_USAGE, "option %s needs a value: %s", option->name, option->value);
        value = argv[++*position];
    }
    if (value && is_path(option->value)) {
        enum status result = expand_path(arguments, value, &value);
        if (result != STATUS_OK)
            return status_prefix(result, "%s", option->name);
    }
    if (!option->repeatable &&
        (option == &config_option ? arguments->config != NULL : program_flag(arguments, option->name)))
        return status_set(STATUS_USAGE, "option %s is given twice", option->name);
    if (option == &help_option)
        arguments->answer = ANSWER_HELP;
    else if (option == &version_option)
        arguments->answer = ANSWER_VERSION;
    else if (option == &man_option)
        arguments->answer = ANSWER_MAN_PAGE;
    else if (option == &completion_option)
        arguments->answer = ANSWER_COMPLETION;
    else if (option == &config_option)
        arguments->config = value;
    else
        arguments->items[arguments->count++] = (struct program_argument){option->name, value};
    return STATUS_OK;
}

enum status program_parse(const struct program *program, int argc, char **argv, struct program_arguments *arguments)
{
    enum status result = STATUS_OK;
    bool options_ended = false;
    memset(arguments, 0, sizeof *arguments);
    arguments->items = calloc((size_t)argc + 1, sizeof *arguments->items);
    arguments->overrides = calloc((size_t)argc + 1, sizeof *arguments->overrides);
    arguments->paths = calloc((size_t)argc + 1, sizeof *arguments->paths);
    if (!arguments->items || !arguments->overrides || !arguments->paths)
        FAIL(STATUS_INTERNAL, "out of memory");
    for (int i = 1; i < argc; i++) {
        if (!options_ended && strcmp(argv[i], "--") == 0)
            options_ended = true;
        else if (!options_ended && strcmp(argv[i], "-h") == 0)
            arguments->answer = ANSWER_HELP;
        else if (!options_ended && argv[i][0] == '-' && argv[i][1] != 0)
            TRY(add_option(program, argc, argv, &i, arguments));
        else if (!options_ended && program->takes_config && is_override(argv[i]))
            arguments->overrides[arguments->override_count++] = argv[i];
        else if (program->takes_arguments)
            TRY(expand_path(arguments, argv[i], &arguments->items[arguments->count++].value));
        else
            FAIL(STATUS_USAGE, "unexpected argument \"%s\"%s (%s --help)", argv[i],
                 program->takes_config ? ": neither an option nor key=value" : "", program->name);
    }
fail:
    if (result != STATUS_OK)
        program_arguments_free(arguments);
    return result;
}

void program_arguments_free(struct program_arguments *arguments)
{
    for (int64_t i = 0; i < arguments->path_count; i++)
        free(arguments->paths[i]);
    free(arguments->paths);
    free(arguments->items);
    free(arguments->overrides);
    memset(arguments, 0, sizeof *arguments);
}

const char *program_value(const struct program_arguments *arguments, const char *option, const char *fallback)
{
    for (int64_t i = arguments->count; i-- > 0;)
        if (arguments->items[i].option && strcmp(arguments->items[i].option, option) == 0)
            return arguments->items[i].value ? arguments->items[i].value : "";
    return fallback;
}

bool program_flag(const struct program_arguments *arguments, const char *option)
{
    return program_value(arguments, option, NULL) != NULL;
}

enum status program_integer(const struct program_arguments *arguments, const char *option, int64_t minimum,
                            int64_t maximum, int64_t fallback, int64_t *value)
{
    const char *text = program_value(arguments, option, NULL);
    *value = fallback;
    if (!text)
        return STATUS_OK;
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno || end == text || *end || number < minimum || number > maximum)
        return status_set(STATUS_USAGE, "%s: expected an integer between %lld and %lld, found \"%s\"", option,
                          (long long)minimum, (long long)maximum, text);
    *value = number;
    return STATUS_OK;
}

static void print_option(const struct program_option *option)
{
    char name[200];
    snprintf(name, sizeof name, "%s%s%s", option->name, option->value ? " " : "", option->value ? option->value : "");
    printf("  %-30s %s\n", name, option->help);
}

static void print_help(const struct program *program)
{
    printf("usage: %s %s\n\n%s\n\noptions:\n", program->name, program->usage, program->summary);
    const struct program_option *options[MOST_OPTIONS];
    int64_t count = list_options(program, options);
    for (int64_t i = 0; i < count; i++)
        print_option(options[i]);
    printf("\nexample:\n  %s\n", program->example);
    if (program->takes_config) {
        printf("\nkeys of the configuration file, which key=value overrides:\n");
        settings_print_keys(stdout);
    }
}

/* What is asked of the program itself. */
static void answer(const struct program *program, enum program_answer question)
{
    const struct program_option *options[MOST_OPTIONS];
    int64_t count = list_options(program, options);
    if (question == ANSWER_HELP)
        print_help(program);
    else if (question == ANSWER_VERSION)
        printf("%s %s (spiritlm.c, commit %s)\n", program->name, SPIRITLM_VERSION, SPIRITLM_COMMIT);
    else if (question == ANSWER_MAN_PAGE)
        program_man_page(program, options, count, stdout);
    else
        program_completion(program, options, count, stdout);
}

int program_main(const struct program *program, int argc, char **argv,
                 enum status (*run)(const struct program_arguments *arguments))
{
    struct program_arguments arguments;
    signal(SIGXFSZ, SIG_IGN); /* so that a write beyond `ulimit -f` fails and is reported and cleaned up */
    enum status result = program_parse(program, argc, argv, &arguments);
    if (result == STATUS_OK && arguments.answer != ANSWER_NONE)
        answer(program, arguments.answer);
    else if (result == STATUS_OK)
        result = run(&arguments);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        int error = errno;
        if (result == STATUS_OK)
            result = status_set_errno(STATUS_IO, error, "cannot write to standard output");
    }
    if (result == STATUS_REQUEUE) /* what was asked for, with everything saved */
        log_notice("%s", status_text());
    else if (result != STATUS_OK)
        log_error("%s", status_text());
    program_arguments_free(&arguments);
    return (int)result;
}
