/* Labels and branch tables. A label belongs to the block {} that it stands in, and a branch may come before it; inline
 * assembly relies on both, when each of its copies declares the same label in a block of its own. So references are
 * collected block by block, and resolved at the block's end: what the block itself does not declare is left to the block
 * around it. */
#include "emulator/ptx/parse.h"

bool block_open(struct parser *parser)
{
    if (parser->block_count == BLOCKS_MAXIMUM)
        return parse_fail(parser, "more than %d blocks inside each other", BLOCKS_MAXIMUM);
    if (!symbols_open(&parser->symbols))
        return parse_fail(parser, "no memory for a block");
    parser->blocks[parser->block_count++] = (struct block){0};
    return true;
}

bool label_declare(struct parser *parser, struct symbol *symbol)
{
    return parse_bind(parser, symbol, BINDING_LABEL, parser->kernel->instruction_count);
}

bool label_refer(struct parser *parser, struct symbol *symbol, struct ptx_operand *operand, int32_t table,
                 int32_t entry, int32_t line)
{
    struct block *block = &parser->blocks[parser->block_count - 1];
    struct pending_label *pending = arena_allocate(&parser->symbols.scratch, sizeof *pending);
    if (!pending)
        return parse_fail(parser, "no memory for a branch");
    *pending = (struct pending_label){
        .symbol = symbol,
        .operand = operand,
        .table = table,
        .entry = entry,
        .line = line,
        .next = block->pending,
    };
    block->pending = pending;
    return true;
}

/* `binding` is of the innermost block. */
static bool resolve(struct parser *parser, const struct pending_label *pending, const struct binding *binding)
{
    bool table = binding->kind == BINDING_TABLE;
    if ((!table && binding->kind != BINDING_LABEL) || (table && !pending->operand))
        return parse_fail_at(parser, pending->line, "'%.200s' is not a label", pending->symbol->name);
    if (pending->operand) {
        pending->operand->kind = table ? PTX_OPERAND_TABLE : PTX_OPERAND_LABEL;
        pending->operand->index = binding->index;
    } else {
        parser->kernel->tables[pending->table].targets[pending->entry] = binding->index;
    }
    return true;
}

bool block_close(struct parser *parser)
{
    struct pending_label *next;
    for (struct pending_label *pending = parser->blocks[parser->block_count - 1].pending; pending; pending = next) {
        const struct binding *binding = pending->symbol->binding;
        next = pending->next;
        if (binding && binding->depth == parser->symbols.depth) {
            if (!resolve(parser, pending, binding))
                return false;
        } else if (parser->block_count == 1) {
            return parse_fail_at(parser, pending->line, "'%.200s' is not declared", pending->symbol->name);
        } else {
            struct block *outer = &parser->blocks[parser->block_count - 2];
            pending->next = outer->pending;
            outer->pending = pending;
        }
    }
    symbols_close(&parser->symbols);
    parser->block_count--;
    return true;
}

bool parse_branch_targets(struct parser *parser, struct symbol *symbol)
{
    struct ptx_kernel *kernel = parser->kernel;
    struct ptx_branch_table table = {0};
    parse_advance(parser);
    do {
        int32_t line = parser->token.line;
        struct symbol *label = parse_name(parser, "a label");
        int32_t *targets = label ? parse_grow(parser, table.targets, table.count, sizeof *targets, "targets") : NULL;
        if (!targets || !label_refer(parser, label, NULL, kernel->table_count, table.count, line))
            return false;
        table.targets = targets;
        targets[table.count++] = -1;
    } while (parse_accept_mark(parser, ','));
    if (!parse_mark(parser, ';'))
        return false;
    struct ptx_branch_table *tables = parse_grow(parser, kernel->tables, kernel->table_count, sizeof *tables, "tables");
    if (!tables)
        return false;
    kernel->tables = tables;
    tables[kernel->table_count] = table;
    return parse_bind(parser, symbol, BINDING_TABLE, kernel->table_count++);
}
