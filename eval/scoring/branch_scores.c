/* Depth first: a node's tokens go into the cache once, into the row of its level, and from there into work rows, on which whatever begins
 * so is computed: questions with the letters behind them, or hypotheses. Tokens are gathered, from as many branches as there are,
 * until a pass is full; a branch may be cut between two passes, as what came before it lies in its row.
 *
 * A pass has 2048 tokens, and there are at most 16 work rows: with more rows the attention of letters, one token each, takes
 * fewer calls. The cache of all of them is to be no larger than a quarter of the model. */
#include "eval/scoring/branch_scores.h"

#include "core/array.h"

#include <stdlib.h>
#include <string.h>

enum { PASS_TOKENS = 2048, WORK_ROWS = 16, LEAST_CACHE = 256 << 20, CACHE_SHARE = 4 };

struct runner {
    struct llama *model;
    const struct vocabulary_ranges *ranges;
    const struct prefix_tree *tree;
    void (*done)(void *context, int64_t sequences);
    void *context;
    struct llama_session *session; /* rows [0, PREFIX_LEVELS) are those of levels, the work rows follow */
    int64_t work_rows, block;
    struct score_buffer buffer;
    /* the pass that is being filled */
    int64_t tokens;
    struct llama_branch *branches;
    struct llama_wanted *wanted;
    struct token_score **destinations; /* of what is wanted */
    int64_t branch_count, branch_capacity, wanted_count, wanted_capacity, destination_capacity;
};

/* ---- a pass ---- */

static enum status flush(struct runner *runner)
{
    enum status result = STATUS_OK;
    TRY(score_buffer_reserve(runner->model, runner->ranges, runner->wanted_count, &runner->buffer));
    const struct llama_block_sums sums = score_buffer_sums(runner->ranges, &runner->buffer);
    TRY(llama_session_score(runner->session, runner->branches, runner->branch_count, runner->wanted,
                            runner->wanted_count, &sums));
    for (int64_t w = 0; w < runner->wanted_count; w++)
        TRY(score_buffer_read(runner->ranges, &runner->buffer, w, runner->destinations[w]));
    runner->tokens = runner->branch_count = runner->wanted_count = 0;
fail:
    return result;
}

/* The score of a sequence's token t, which follows the pass's last one, where it is wanted. */
static enum status want(struct runner *runner, const struct token_sequence *sequence, int64_t t)
{
    enum status result = STATUS_OK;
    int64_t count = runner->wanted_count;
    if (t < sequence->first)
        return STATUS_OK;
    TRY(array_grow(&runner->wanted, &runner->wanted_capacity, count + 1, "scores"));
    TRY(array_grow(&runner->destinations, &runner->destination_capacity, count + 1, "scores"));
    runner->wanted[count] = (struct llama_wanted){runner->tokens - 1, sequence->ids[t]};
    runner->destinations[count] = &sequence->scores[t - sequence->first];
    runner->wanted_count++;
fail:
    return result;
}

/* Some of a node's tokens, from `at` on: as many as fit the pass. */
static enum status add_piece(struct runner *runner, const struct prefix_node *node, int64_t row, int64_t at,
                             int64_t *count)
{
    enum status result = STATUS_OK;
    const struct token_sequence *sequence = runner->tree->list[node->first];
    int64_t room = runner->block - runner->tokens;
    *count = node->end - at < room ? node->end - at : room;
    TRY(array_grow(&runner->branches, &runner->branch_capacity, runner->branch_count + 1, "branches"));
    runner->branches[runner->branch_count++] = (struct llama_branch){row, at, sequence->ids + at, *count};
    for (int64_t t = at + 1; t <= at + *count; t++) {
        runner->tokens++;
        if (t < node->end || !node->first_child)
            TRY(want(runner, sequence, t));
    }
fail:
    return result;
}

/* A node's own tokens behind what its row holds, and what may follow them. */
static enum status add_node(struct runner *runner, const struct prefix_node *node, int64_t row)
{
    enum status result = STATUS_OK;
    const struct prefix_node *nodes = runner->tree->nodes;
    for (int64_t at = node->begin, count; at < node->end; at += count) {
        if (runner->tokens == runner->block)
            TRY(flush(runner));
        TRY(add_piece(runner, node, row, at, &count));
    }
    for (int64_t child = node->first_child; child; child = nodes[child].next)
        TRY(want(runner, runner->tree->list[nodes[child].first], node->end));
fail:
    return result;
}

/* ---- the tree ---- */

/* Whether nothing below the node has children: it is computed on one work row. */
static bool is_unit(const struct prefix_tree *tree, const struct prefix_node *node)
{
    for (int64_t child = node->first_child; child; child = tree->nodes[child].next)
        if (tree->nodes[child].first_child)
            return false;
    return true;
}

/* The next unit among a node's children from *child on, which is moved behind it; NULL: there is none. Sequences alone below the
 * root are not computed here. */
static const struct prefix_node *next_unit(const struct prefix_tree *tree, const struct prefix_node *parent,
                                           int64_t *child)
{
    while (*child) {
        const struct prefix_node *node = &tree->nodes[*child];
        *child = node->next;
        if (is_unit(tree, node) && (parent != tree->nodes || node->first_child))
            return node;
    }
    return NULL;
}

/* As many units as there are work rows: first what is their own, then one child of each after the other. */
static enum status run_units(struct runner *runner, const struct prefix_node *const *units, int64_t count)
{
    enum status result = STATUS_OK;
    const struct prefix_node *nodes = runner->tree->nodes;
    int64_t children[WORK_ROWS], left = count;
    for (int64_t u = 0; u < count; u++) {
        TRY(add_node(runner, units[u], PREFIX_LEVELS + u));
        children[u] = units[u]->first_child;
    }
    while (left > 0) {
        left = 0;
        for (int64_t u = 0; u < count; u++)
            if (children[u]) {
                TRY(add_node(runner, &nodes[children[u]], PREFIX_LEVELS + u));
                children[u] = nodes[children[u]].next;
                left++;
            }
    }
    for (int64_t u = 0; u < count; u++)
        runner->done(runner->context, units[u]->count);
fail:
    return result;
}

/* All units below a node whose path is in the row of its level; the root has none, and its units begin at the beginning. */
static enum status run_all_units(struct runner *runner, const struct prefix_node *parent, int level)
{
    enum status result = STATUS_OK;
    const struct prefix_node *units[WORK_ROWS];
    int64_t child = parent->first_child, copied = 0;
    for (;;) {
        int64_t count = 0;
        while (count < runner->work_rows && (units[count] = next_unit(runner->tree, parent, &child)))
            count++;
        if (count == 0)
            break;
        for (; parent->end > 0 && copied < count; copied++)
            TRY(llama_session_copy_row(runner->session, PREFIX_LEVELS + copied, level));
        TRY(run_units(runner, units, count));
    }
    TRY(flush(runner));
fail:
    return result;
}

static enum status run_children(struct runner *runner, const struct prefix_node *parent, int level);

static enum status run_node(struct runner *runner, const struct prefix_node *node, int level)
{
    enum status result = STATUS_OK;
    if (level > 0)
        TRY(llama_session_copy_row(runner->session, level, level - 1));
    TRY(add_node(runner, node, level));
    TRY(flush(runner));
    TRY(run_children(runner, node, level));
fail:
    return result;
}

/* `level` of the parent; -1 of the root. Recursion ends at PREFIX_LEVELS. */
static enum status run_children(struct runner *runner, const struct prefix_node *parent, int level)
{
    enum status result = STATUS_OK;
    const struct prefix_node *nodes = runner->tree->nodes;
    TRY(run_all_units(runner, parent, level));
    for (int64_t child = parent->first_child; child; child = nodes[child].next)
        if (!is_unit(runner->tree, &nodes[child]))
            TRY(run_node(runner, &nodes[child], level + 1));
fail:
    return result;
}

/* What a node said of its own tokens is said of them in all its sequences. */
static void share_scores(const struct prefix_tree *tree)
{
    for (int64_t n = 1; n < tree->count; n++) {
        const struct prefix_node *node = &tree->nodes[n];
        const struct token_sequence *source = tree->list[node->first];
        int64_t first = node->begin > source->first ? node->begin : source->first;
        for (int64_t i = node->first + 1; i < node->first + node->count && first < node->end; i++)
            memcpy(tree->list[i]->scores + (first - source->first), source->scores + (first - source->first),
                   (size_t)(node->end - first) * sizeof *source->scores);
    }
}

/* ---- the session ---- */

static enum status open_session(struct runner *runner)
{
    const struct prefix_tree *tree = runner->tree;
    const struct llama_config *config = &runner->model->config;
    int64_t longest = 0, tokens = 0, size = (int64_t)dtype_size(runner->model->dtype);
    for (int64_t n = tree->nodes[0].first_child; n; n = tree->nodes[n].next)
        for (int64_t i = 0; tree->nodes[n].first_child && i < tree->nodes[n].count; i++) {
            int64_t reads = tree->list[tree->nodes[n].first + i]->count - 1;
            longest = reads > longest ? reads : longest;
            tokens += reads;
        }
    int64_t row = longest * 2 * config->kv_heads * config->head_size * config->layers * size;
    int64_t most = llama_parameter_count(config) * size / CACHE_SHARE;
    int64_t rows = (most > LEAST_CACHE ? most : LEAST_CACHE) / (row > 0 ? row : 1);
    runner->work_rows = rows < 1 ? 1 : rows > WORK_ROWS ? WORK_ROWS : rows;
    runner->block = tokens < PASS_TOKENS ? tokens : PASS_TOKENS;
    return llama_session_create(runner->model,
                                &(struct llama_session_options){.rows = PREFIX_LEVELS + runner->work_rows,
                                                                .capacity = longest,
                                                                .prefill_tokens = runner->block,
                                                                .scores = true},
                                &runner->session);
}

enum status branch_scores_run(struct llama *model, const struct vocabulary_ranges *ranges,
                              const struct prefix_tree *tree, void (*done)(void *context, int64_t sequences),
                              void *context)
{
    enum status result = STATUS_OK;
    struct runner runner = {.model = model, .ranges = ranges, .tree = tree, .done = done, .context = context};
    int64_t child = tree->nodes[0].first_child;
    while (child && !tree->nodes[child].first_child)
        child = tree->nodes[child].next;
    if (!child)
        return STATUS_OK; /* nobody shares anything */
    TRY(open_session(&runner));
    TRY(run_children(&runner, tree->nodes, -1));
    share_scores(tree);
fail:
    llama_session_destroy(runner.session);
    score_buffer_free(model, &runner.buffer);
    free(runner.branches);
    free(runner.wanted);
    free(runner.destinations);
    return result;
}
