/* Inside the parser: its state and what its files call of each other. Each parse_ function reads what it is named after
 * from the current token on, and leaves the token after it as the current one. False means that the parse has failed and
 * its error is set; everything that was built belongs to the tree's arena, so that nobody has to free on the way out. */
#ifndef SPIRITLM_EMULATOR_PARSE_H
#define SPIRITLM_EMULATOR_PARSE_H

#include "emulator/ptx/arena.h"
#include "emulator/ptx/lexer.h"
#include "emulator/ptx/ptx.h"
#include "emulator/ptx/symbols.h"

/* What ptx_parse really allocates: the module comes first. */
struct ptx_tree {
    struct ptx_module module;
    struct arena arena;
};

/* A name in a branch or branch table whose label may still come: known when its block ends, else it is looked for in
 * the block around that. */
struct pending_label {
    struct symbol *symbol;
    struct ptx_operand *operand; /* NULL: an entry of a table */
    int32_t table, entry;
    int32_t line;
    struct pending_label *next;
};

struct block {
    struct pending_label *pending;
};

enum { BLOCKS_MAXIMUM = 256 }; /* of {} inside each other */

struct parser {
    struct lexer lexer;
    struct token token;
    struct ptx_tree *tree;
    struct symbols symbols;
    char *error;
    size_t error_size;
    bool failed;

    struct ptx_kernel *kernel; /* the one that is read, or NULL */
    struct block blocks[BLOCKS_MAXIMUM];
    int32_t block_count;
    int32_t file, line;           /* of the last .loc */
    enum ptx_type literal_type;   /* F32 or F64 when that is the instruction's last modifier, B64 and B32 likewise */
    struct ptx_operand *operands; /* a stack that operand lists grow on before they are copied */
    int32_t operand_count, operand_room;
};

/* ---- parse.c: tokens ---- */

/* Sets the error, unless one is set, and ends the text. Always false. */
bool parse_fail(struct parser *parser, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool parse_fail_at(struct parser *parser, int32_t line, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* "expected WHAT, found TOKEN". */
bool parse_expected(struct parser *parser, const char *what);
void parse_advance(struct parser *parser);
bool parser_is_at(const struct parser *parser, enum token_kind kind, const char *text);
bool token_is_mark(const struct parser *parser, char mark);
bool parse_accept_mark(struct parser *parser, char mark); /* reads it if it is there; never fails */
bool parse_mark(struct parser *parser, char mark);
bool parse_integer(struct parser *parser, const char *what, int64_t least, int64_t most, int64_t *value);
bool parse_string(struct parser *parser, const char **text);        /* a copy in the tree */
struct symbol *parse_name(struct parser *parser, const char *what); /* NULL: failed */
/* Modifiers and specials: one copy of each. NULL: failed. */
char *parse_intern(struct parser *parser, const char *text, size_t length);
void *parse_allocate(struct parser *parser, size_t bytes);
/* arena_grow in the tree with a limit on the count. NULL: failed. */
void *parse_grow(struct parser *parser, void *array, int32_t count, size_t element_size, const char *what);
bool parse_bind(struct parser *parser, struct symbol *symbol, enum binding_kind kind, int32_t index);
bool parse_pragma(struct parser *parser);

/* ---- parse_declaration.c ---- */

/* From the name of the state space on. In a kernel's body `.param` and module spaces fail. */
bool parse_variable(struct parser *parser, bool is_extern);
bool parse_parameters(struct parser *parser); /* from ( to ) */
bool parse_registers(struct parser *parser);  /* from .reg to ; */
/* .u32; NO_TYPE: the token is no type, nothing is read. */
enum ptx_type parse_type(struct parser *parser);
enum ptx_type type_of_name(const char *name, size_t length);

/* ---- parse_constant.c ---- */

struct constant {
    bool floating, is_unsigned;
    int32_t width; /* of a floating one, as in struct token */
    uint64_t bits;
};
/* A literal, or an expression of integers: ( ) - + ~ * / % << >> & ^ |. */
bool parse_constant(struct parser *parser, struct constant *constant);
bool starts_constant(const struct parser *parser);
/* The bits of a floating literal as a `type`; fails where PTX has no such mix. */
bool convert_literal(struct parser *parser, const struct constant *constant, enum ptx_type type, uint64_t *bits);

/* ---- parse_operand.c ---- */

/* Up to the semicolon, which is left. */
bool parse_operands(struct parser *parser, struct ptx_instruction *instruction);

/* ---- parse_kernel.c ---- */

bool parse_kernel(struct parser *parser);   /* from .entry to } */
bool parse_location(struct parser *parser); /* .loc */

/* ---- parse_label.c ---- */

bool label_declare(struct parser *parser, struct symbol *symbol);
/* Notes a reference to be resolved when its block ends. */
bool label_refer(struct parser *parser, struct symbol *symbol, struct ptx_operand *operand, int32_t table,
                 int32_t entry, int32_t line);
bool parse_branch_targets(struct parser *parser, struct symbol *symbol); /* from .branchtargets to ; */
bool block_open(struct parser *parser);
bool block_close(struct parser *parser);

#endif
