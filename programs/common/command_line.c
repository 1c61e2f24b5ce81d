/* A command line written down so that it can be run again. A word of which the shell would make something else is quoted:
 * in '...', where nothing but a quote has a meaning, or in $'...' when it has bytes that no text may have. */
#include "core/utf8.h"
#include "programs/common/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_text(const char *word)
{
    uint32_t code;
    for (size_t size; *word; word += size) {
        size = utf8_decode(word, SIZE_MAX, &code);
        if (size == 0 || utf8_is_unsafe(code))
            return false;
    }
    return true;
}

/* Three digits, since more hexadecimal ones than are meant might follow. */
static void print_escaped(FILE *stream, const char *word)
{
    uint32_t code;
    fputs("$'", stream);
    for (size_t size; *word; word += size ? size : 1) {
        size = utf8_decode(word, SIZE_MAX, &code);
        if (size > 0 && !utf8_is_unsafe(code)) {
            if (*word == '\'' || *word == '\\')
                fputc('\\', stream);
            fwrite(word, 1, size, stream);
        } else {
            for (size_t i = 0; i < (size ? size : 1); i++)
                fprintf(stream, "\\%03o", (unsigned)(unsigned char)word[i]);
        }
    }
    fputs("'", stream);
}

static void print_quoted(FILE *stream, const char *word)
{
    fputs("'", stream);
    for (; *word; word++)
        fputs(*word == '\'' ? "'\\''" : (char[]){*word, 0}, stream);
    fputs("'", stream);
}

char *program_command_line(int argc, char **argv)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return NULL;
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        if (i > 0)
            fputc(' ', stream);
        if (!is_text(word))
            print_escaped(stream, word);
        else if (!*word || word[strcspn(word, " \t\n'\"\\$`*?[]{}()<>|&;#~!")])
            print_quoted(stream, word);
        else
            fputs(word, stream);
    }
    bool failed = ferror(stream) != 0;
    if (fclose(stream) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}
