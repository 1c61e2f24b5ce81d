/* What a program says of itself beside --help, from the same table of options: its manual page and bash's completion.
 * `cmake --install` writes both (--man-page, --bash-completion). Installed programs are called spiritlm-NAME. */
#ifndef SPIRITLM_PROGRAMS_PROGRAM_PAGES_H
#define SPIRITLM_PROGRAMS_PROGRAM_PAGES_H

#include "programs/common/program.h"

#include <stdio.h>

/* In roff's man macros, section 1. `options` are all, those that every program has included. */
void program_man_page(const struct program *program, const struct program_option *const *options, int64_t count,
                      FILE *file);

/* Options, the words that an option's placeholder lists ("text|speech|any"), folders and files, and configuration keys. */
void program_completion(const struct program *program, const struct program_option *const *options, int64_t count,
                        FILE *file);

#endif
