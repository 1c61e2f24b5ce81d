/* Random structured programs (assignments, nested ifs, loops with breaks, uniform and divergent) as PTX, against a plain
 * walk over the same program for each thread. Short-lived registers by the hundred make the decoder share slots, and
 * lanes that part and join make them live across branches and loops. */
#include "emulator/tests/machine_trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VARIABLES = 12, STATEMENTS = 400, DEPTH = 4, TEXT = 1 << 17 };

enum kind { ASSIGN, BRANCH, LOOP, BREAK };

/* variable[target] = variable[a] op ((variable[b] op2 constant) * 3): the bracket lives in a register of its own. */
struct statement {
    enum kind kind;
    int target, a, b, operation;
    uint32_t constant;      /* BRANCH: mask of the condition; LOOP: most turns; BREAK: mask */
    int first, count;       /* BRANCH, LOOP: the body's statements */
    int other, other_count; /* BRANCH: the else part */
};

struct program {
    struct statement statements[STATEMENTS];
    int count;
    int top, top_count;
    char text[TEXT];
    size_t length;
    int temporaries, labels;
    struct rng rng;
};

static int below(struct program *program, int count)
{
    return (int)rng_below(&program->rng, (uint64_t)count);
}

/* Bodies are filled breadth first, so that each is one range of statements. */
static void make_body(struct program *program, int *first, int *count, int depth, bool in_loop)
{
    int wanted = 2 + below(program, 4);
    *first = program->count;
    *count = 0;
    while (*count < wanted && program->count < STATEMENTS) {
        struct statement *statement = &program->statements[program->count++];
        int choice = below(program, 10);
        *statement = (struct statement){.target = below(program, VARIABLES),
                                        .a = below(program, VARIABLES),
                                        .b = below(program, VARIABLES),
                                        .operation = below(program, 5),
                                        .constant = (uint32_t)below(program, 1000)};
        (*count)++;
        if (depth > 0 && choice < 3) {
            statement->kind = BRANCH;
            statement->constant = 1u << below(program, 6);
        } else if (depth > 0 && choice < 5) {
            statement->kind = LOOP;
            statement->constant = 1 + (uint32_t)below(program, 5);
        } else if (in_loop && choice == 5) {
            statement->kind = BREAK;
            statement->constant = 5u << below(program, 6);
        }
    }
    for (int i = *first; i < *first + *count; i++) {
        struct statement *statement = &program->statements[i];
        if (statement->kind == BRANCH) {
            make_body(program, &statement->first, &statement->count, depth - 1, in_loop);
            if (below(program, 2))
                make_body(program, &statement->other, &statement->other_count, depth - 1, in_loop);
        } else if (statement->kind == LOOP) {
            make_body(program, &statement->first, &statement->count, depth - 1, true);
        }
    }
}

/* ---- as PTX ---- */

static void __attribute__((format(printf, 2, 3))) emit(struct program *program, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(program->text + program->length, TEXT - program->length, format, arguments);
    va_end(arguments);
    program->length += (size_t)written;
    assert_true(program->length < TEXT);
}

static const char *const operations[] = {"add.u32", "sub.u32", "xor.b32", "mul.lo.u32", "and.b32"};

static void emit_body(struct program *program, int first, int count, int end_of_loop);

static void emit_statement(struct program *program, const struct statement *statement, int end_of_loop)
{
    int t = program->temporaries, label = program->labels;
    switch (statement->kind) {
    case ASSIGN:
        program->temporaries += 2;
        emit(program, "xor.b32 %%t%d, %%v%d, %u; mul.lo.u32 %%t%d, %%t%d, 3; %s %%v%d, %%v%d, %%t%d;\n", t,
             statement->b, statement->constant, t + 1, t, operations[statement->operation], statement->target,
             statement->a, t + 1);
        break;
    case BRANCH:
        program->temporaries++, program->labels += 2;
        emit(program, "and.b32 %%t%d, %%v%d, %u; setp.eq.u32 %%q%d, %%t%d, 0; @%%q%d bra L%d;\n", t, statement->a,
             statement->constant, label, t, label, label);
        emit_body(program, statement->first, statement->count, end_of_loop);
        emit(program, "bra L%d;\nL%d:\n", label + 1, label);
        emit_body(program, statement->other, statement->other_count, end_of_loop);
        emit(program, "L%d:\n", label + 1);
        break;
    case LOOP: /* (variable a mod constant) + 1 turns */
        program->temporaries += 2, program->labels += 2;
        emit(program, "rem.u32 %%t%d, %%v%d, %u; mov.u32 %%t%d, 0;\nL%d:\n", t, statement->a, statement->constant,
             t + 1, label);
        emit_body(program, statement->first, statement->count, label + 1);
        emit(program, "add.u32 %%t%d, %%t%d, 1; setp.le.u32 %%q%d, %%t%d, %%t%d; @%%q%d bra L%d;\nL%d:\n", t + 1, t + 1,
             label, t + 1, t, label, label, label + 1);
        break;
    case BREAK:
        program->temporaries++, program->labels++;
        emit(program, "and.b32 %%t%d, %%v%d, %u; setp.eq.u32 %%q%d, %%t%d, %u; @%%q%d bra L%d;\n", t, statement->a,
             statement->constant, label, t, statement->constant, label, end_of_loop);
        break;
    }
}

static void emit_body(struct program *program, int first, int count, int end_of_loop)
{
    for (int i = first; i < first + count; i++)
        emit_statement(program, &program->statements[i], end_of_loop);
}

/* ---- as C ---- */

static uint32_t operate(int operation, uint32_t a, uint32_t b)
{
    switch (operation) {
    case 0:
        return a + b;
    case 1:
        return a - b;
    case 2:
        return a ^ b;
    case 3:
        return a * b;
    default:
        return a & b;
    }
}

/* Whether a break ended the body. */
static bool walk(const struct program *program, int first, int count, uint32_t *variables)
{
    for (int i = first; i < first + count; i++) {
        const struct statement *statement = &program->statements[i];
        uint32_t a = variables[statement->a], masked = a & statement->constant;
        if (statement->kind == ASSIGN) {
            variables[statement->target] =
                operate(statement->operation, a, (variables[statement->b] ^ statement->constant) * 3);
        } else if (statement->kind == BRANCH) {
            if (masked != 0 ? walk(program, statement->first, statement->count, variables)
                            : walk(program, statement->other, statement->other_count, variables))
                return true;
        } else if (statement->kind == LOOP) {
            uint32_t turns = a % statement->constant + 1;
            for (uint32_t turn = 0; turn < turns; turn++) {
                if (walk(program, statement->first, statement->count, variables))
                    break;
            }
        } else if (masked == statement->constant) {
            return true;
        }
    }
    return false;
}

static void check_program(struct program *program, struct trial *trial, uint64_t number)
{
    char declarations[256];
    program->count = program->temporaries = program->labels = 0;
    program->length = 0;
    program->rng = rng_make(test_seed(), RNG_TEST, 1, number);
    make_body(program, &program->top, &program->top_count, DEPTH, false);
    for (int i = 0; i < VARIABLES; i++)
        emit(program, "mad.lo.u32 %%v%d, %%r1, %d, %d;\n", i, 2 * i + 1, 77 * i + (int)(number % 1000));
    emit_body(program, program->top, program->top_count, -1);
    emit(program, "mov.u32 %%r0, 0;\n");
    for (int i = 0; i < VARIABLES; i++)
        emit(program, "mad.lo.u32 %%r0, %%r0, 31, %%v%d;\n", i);
    emit(program,
         "activemask.b32 %%r9; setp.ne.u32 %%p1, %%r9, -1; @%%p1 mov.u32 %%r0, 0;\n"); /* all are together again */
    snprintf(declarations, sizeof declarations, ".reg .b32 %%t<%d>; .reg .b32 %%v<%d>; .reg .pred %%q<%d>;",
             program->temporaries + 1, VARIABLES, program->labels + 1);
    trial->declarations = declarations;
    trial_run(trial, program->text);
    trial_no_reports(trial);
    for (uint32_t lane = 0; lane < 32; lane++) {
        uint32_t variables[VARIABLES], expected = 0;
        for (uint32_t i = 0; i < VARIABLES; i++)
            variables[i] = lane * (2 * i + 1) + 77 * i + (uint32_t)(number % 1000);
        walk(program, program->top, program->top_count, variables);
        for (int i = 0; i < VARIABLES; i++)
            expected = expected * 31 + variables[i];
        if (trial->out[lane] != expected)
            fail_msg("program %llu: lane %u has 0x%x, expected 0x%x", (unsigned long long)number, lane,
                     trial->out[lane], expected);
    }
}

static void programs_run_as_threads_would(void **state)
{
    (void)state;
    struct program *program = calloc(1, sizeof *program);
    struct trial *trial = trial_open();
    assert_non_null(program);
    uint64_t programs = test_is_long() ? 3000 : 100;
    int statements = 0;
    for (uint64_t number = 0; number < programs; number++) {
        trial->settings.checks = number % 2 == 0;
        check_program(program, trial, number);
        statements += program->count;
    }
    assert_true(statements > (int)programs * 20);
    trial_close(trial);
    free(program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_run_as_threads_would),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
