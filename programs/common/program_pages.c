/* Manual page and completion of a program (program_pages.h). Both are text formats in which some characters are commands:
 * roff takes a backslash, and a dot or apostrophe at the beginning of a line; the shell whatever is not quoted. */
#include "programs/common/program_pages.h"

#include "programs/common/settings.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* A hyphen that is written as \- can be searched for and copied. */
static void print_roff(const char *text, FILE *file)
{
    bool line_begins = true;
    for (; *text; text++) {
        if (line_begins && (*text == '.' || *text == '\''))
            fputs("\\&", file);
        if (*text == '\\')
            fputs("\\e", file);
        else if (*text == '-')
            fputs("\\-", file);
        else
            fputc(*text, file);
        line_begins = *text == '\n';
    }
}

/* The configuration's keys as they stand in --help, or NULL. */
static char *list_keys(const struct program *program)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = program->takes_config ? open_memstream(&text, &size) : NULL;
    if (!stream)
        return NULL;
    settings_print_keys(stream);
    fclose(stream);
    return text;
}

void program_man_page(const struct program *program, const struct program_option *const *options, int64_t count,
                      FILE *file)
{
    fprintf(file, ".TH SPIRITLM\\-");
    for (const char *c = program->name; *c; c++)
        fputc(*c == '_' ? '_' : toupper((unsigned char)*c), file);
    fprintf(file, " 1 \"\" spiritlm.c\n.SH NAME\nspiritlm\\-%s \\- ", program->name);
    size_t first = strcspn(program->summary, ".\n"); /* a sentence, on one line */
    char line[300];
    snprintf(line, sizeof line, "%.*s", (int)first, program->summary);
    print_roff(line, file);
    fprintf(file, "\n.SH SYNOPSIS\n.B spiritlm\\-%s\n", program->name);
    print_roff(program->usage, file);
    fprintf(file, "\n.SH DESCRIPTION\n.nf\n");
    print_roff(program->summary, file);
    fprintf(file, "\n.fi\n.SH OPTIONS\n");
    for (int64_t i = 0; i < count; i++) {
        fprintf(file, ".TP\n.B ");
        print_roff(options[i]->name, file);
        if (options[i]->value) {
            fputc(' ', file);
            print_roff(options[i]->value, file);
        }
        fputc('\n', file);
        print_roff(options[i]->help, file);
        fputc('\n', file);
    }
    fprintf(file, ".SH EXAMPLE\n.nf\nspiritlm\\-");
    print_roff(program->example, file);
    fprintf(file, "\n.fi\n");
    char *keys = list_keys(program);
    if (keys) {
        fprintf(file, ".SH CONFIGURATION\nkey=value overrides these keys of the file.\n.nf\n");
        print_roff(keys, file);
        fprintf(file, ".fi\n");
    }
    free(keys);
}

/* The words of a placeholder that are meant as they are: "auto|none|PATH" has auto and none. */
static void print_choices(const char *placeholder, FILE *file)
{
    for (size_t length; *placeholder; placeholder += length + (placeholder[length] == '|')) {
        length = strcspn(placeholder, "|");
        if (strspn(placeholder, "abcdefghijklmnopqrstuvwxyz0123456789_") == length)
            fprintf(file, "%.*s ", (int)length, placeholder);
    }
}

/* In the list of keys a key stands behind two spaces, what is said of it behind more. */
static void print_keys(const struct program *program, FILE *file)
{
    char *keys = list_keys(program), *rest = keys;
    for (char *line; rest && (line = strsep(&rest, "\n"));)
        if (strncmp(line, "  ", 2) == 0 && line[2] != ' ')
            fprintf(file, " %.*s=", (int)strcspn(line + 2, " "), line + 2);
    free(keys);
}

void program_completion(const struct program *program, const struct program_option *const *options, int64_t count,
                        FILE *file)
{
    fprintf(file,
            "# bash completion of spiritlm-%s\n_spiritlm_%s() {\n  local word=${COMP_WORDS[COMP_CWORD]} "
            "before=${COMP_WORDS[COMP_CWORD-1]}\n  compopt -o default\n  case $before in\n",
            program->name, program->name);
    for (int64_t i = 0; i < count; i++)
        if (options[i]->value) {
            fprintf(file, "    %s) mapfile -t COMPREPLY < <(compgen -W '", options[i]->name);
            print_choices(options[i]->value, file);
            fprintf(file, "' -- \"$word\"); return ;;\n");
        }
    fprintf(file, "  esac\n  case $word in\n    -*) mapfile -t COMPREPLY < <(compgen -W '");
    for (int64_t i = 0; i < count; i++)
        fprintf(file, "%s%s", i ? " " : "", options[i]->name);
    fprintf(file, "' -- \"$word\") ;;\n");
    if (program->takes_config || program->arguments) { /* behind a key follows its value, without a space */
        fprintf(file, "    ?*) mapfile -t COMPREPLY < <(compgen -W '");
        print_choices(program->arguments ? program->arguments : "", file);
        print_keys(program, file);
        fprintf(file, "' -- \"$word\"); [[ ${COMPREPLY[0]} != *= ]] || compopt -o nospace ;;\n");
    }
    fprintf(file, "  esac\n}\ncomplete -F _spiritlm_%s spiritlm-%s\n", program->name, program->name);
}
