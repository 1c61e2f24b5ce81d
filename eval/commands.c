/* Commands read files that others wrote, print a table and write their results; none of them needs a model. */
#include "eval/commands.h"

#include "eval/comparison.h"
#include "eval/judge_predictions.h"
#include "eval/rescore.h"
#include "eval/submit.h"
#include "eval/task_wer.h"
#include "eval/where.h"

#include <string.h>

enum command {
#define COMMAND_ENUMERATOR(upper, lower, arguments, help) COMMAND_##upper,
    COMMAND_LIST(COMMAND_ENUMERATOR)
#undef COMMAND_ENUMERATOR
        COMMANDS
};

static const struct {
    const char *name;
    int64_t arguments;
    const char *help;
} commands[] = {
#define COMMAND_ROW(upper, lower, arguments, help) {#lower, arguments, help},
    COMMAND_LIST(COMMAND_ROW)
#undef COMMAND_ROW
};

static enum status run(enum command command, const char *const *arguments, int64_t count,
                       const struct command_input *input)
{
    if (command == COMMAND_RESCORE)
        return rescore(arguments[0], input->score, input->protocol_named, input->report);
    if (command == COMMAND_REPORT)
        return comparison_write(arguments, count, input->report);
    if (command == COMMAND_SUBMISSION && strcmp(arguments[0], "sLM21") != 0)
        return status_set(STATUS_USAGE, "submission: expected sLM21, found \"%s\"", arguments[0]);
    if (command == COMMAND_SUBMISSION)
        return submit_slm21(arguments[1], input->score, input->protocol_named, input->submission, input->report);
    if (command == COMMAND_WHERE)
        return where_print(arguments[0], input->report);
    if (command == COMMAND_JUDGE)
        return judge_predictions(arguments[0], arguments[1], input->out, input->report);
    return task_wer(arguments[0], arguments[1], input->evaluate, input->out, input->report);
}

bool command_run(const char *const *arguments, int64_t count, const struct command_input *input, enum status *code)
{
    for (int c = 0; count > 0 && c < COMMANDS; c++) {
        if (strcmp(arguments[0], commands[c].name) != 0)
            continue;
        int64_t wanted = commands[c].arguments;
        *code = count - 1 == wanted || (wanted < 0 && count > 1)
                    ? run((enum command)c, arguments + 1, count - 1, input)
                    : status_set(STATUS_USAGE, "expected %s", commands[c].help);
        return true;
    }
    return false;
}
