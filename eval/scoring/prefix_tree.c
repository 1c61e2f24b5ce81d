/* Sorted by their ids, sequences that share a beginning are neighbours, and the shortest of what neighbours share in an interval is what
 * all of it shares. From the root down, an interval becomes a node when enough is saved: at least a quarter of what its sequences still
 * have to read, and a beginning that is long enough, since passes over a cache are smaller than those of packed rows. What is not worth a
 * node is left, and its parts are looked at with a higher demand. The list alone decides, so that scores do not depend on
 * anything else. */
#include "eval/scoring/prefix_tree.h"

#include "core/array.h"

#include <stdlib.h>
#include <string.h>

enum {
    SHARED_AT_ROOT = 32, /* tokens at least: what begins a sequence could be packed instead */
    SHARED_BELOW = 8,    /* behind a beginning that is in the cache anyway */
    WORTH = 4            /* 1 / the share of tokens that must be saved */
};

static int64_t reads(const struct token_sequence *sequence)
{
    return sequence->count - 1;
}

int prefix_compare(const struct token_sequence *a, const struct token_sequence *b)
{
    int64_t both = a->count < b->count ? a->count : b->count;
    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    for (int64_t i = 0; i < both; i++)
        if (a->ids[i] != b->ids[i])
            return a->ids[i] < b->ids[i] ? -1 : 1;
    return (a->count > b->count) - (a->count < b->count);
}

/* Tokens that both read at their beginning; none when their scores do not begin at the same one. */
static int64_t shared_reads(const struct token_sequence *a, const struct token_sequence *b)
{
    int64_t most = reads(a) < reads(b) ? reads(a) : reads(b), shared = 0;
    if (a->first != b->first)
        return 0;
    while (shared < most && a->ids[shared] == b->ids[shared])
        shared++;
    return shared;
}

/* While it is built. */
struct builder {
    struct prefix_tree *tree;
    int64_t *shared;     /* [count] with the sequence before */
    int64_t *last_child; /* [capacity of nodes] */
    int64_t last_capacity;
};

static enum status add_node(struct builder *builder, int64_t parent, struct prefix_node node, int64_t *index)
{
    enum status result = STATUS_OK;
    struct prefix_tree *tree = builder->tree;
    TRY(array_grow(&tree->nodes, &tree->capacity, tree->count + 1, "beginnings"));
    TRY(array_grow(&builder->last_child, &builder->last_capacity, tree->count + 1, "beginnings"));
    *index = tree->count++;
    tree->nodes[*index] = node;
    builder->last_child[*index] = 0;
    if (*index > 0) {
        int64_t before = builder->last_child[parent];
        *(before ? &tree->nodes[before].next : &tree->nodes[parent].first_child) = *index;
        builder->last_child[parent] = *index;
    }
fail:
    return result;
}

static enum status add_leaf(struct builder *builder, int64_t parent, int64_t sequence)
{
    int64_t unused;
    return add_node(builder, parent,
                    (struct prefix_node){.first = sequence,
                                         .count = 1,
                                         .begin = builder->tree->nodes[parent].end,
                                         .end = reads(builder->tree->list[sequence])},
                    &unused);
}

/* Whether [first, end), which share `depth` tokens, are worth a node behind `begin`. */
static bool is_worth(const struct builder *builder, int64_t first, int64_t end, int64_t begin, int64_t depth)
{
    int64_t total = 0, saved = (depth - begin) * (end - first - 1);
    for (int64_t i = first; i < end; i++)
        total += reads(builder->tree->list[i]) - begin;
    return saved >= total / WORTH;
}

static int64_t least_shared(const struct builder *builder, int64_t first, int64_t end)
{
    int64_t least = builder->shared[first + 1];
    for (int64_t i = first + 2; i < end; i++)
        least = builder->shared[i] < least ? builder->shared[i] : least;
    return least;
}

/* What lies below `parent` of the sequences [first, end), with nodes that end at `least` or later. The two functions call each other at
 * most once per SHARED_BELOW tokens of the longest sequence. */
static enum status build(struct builder *builder, int64_t first, int64_t end, int64_t parent, int64_t least, int level);

/* The same of sequences that share that many. */
static enum status build_interval(struct builder *builder, int64_t first, int64_t end, int64_t parent, int level)
{
    enum status result = STATUS_OK;
    if (end - first == 1 || level == PREFIX_LEVELS) {
        for (int64_t i = first; i < end; i++)
            TRY(add_leaf(builder, parent, i));
        return STATUS_OK;
    }
    int64_t begin = builder->tree->nodes[parent].end, depth = least_shared(builder, first, end), node;
    if (!is_worth(builder, first, end, begin, depth))
        return build(builder, first, end, parent, depth + SHARED_BELOW, level);
    TRY(add_node(builder, parent,
                 (struct prefix_node){.first = first, .count = end - first, .begin = begin, .end = depth}, &node));
    TRY(build(builder, first, end, node, depth + SHARED_BELOW, level + 1));
fail:
    return result;
}

static enum status build(struct builder *builder, int64_t first, int64_t end, int64_t parent, int64_t least, int level)
{
    enum status result = STATUS_OK;
    for (int64_t i = first, next; i < end; i = next) {
        for (next = i + 1; next < end && builder->shared[next] >= least;)
            next++;
        TRY(build_interval(builder, i, next, parent, level));
    }
fail:
    return result;
}

enum status prefix_tree_make(const struct token_sequence *const *list, int64_t count, struct prefix_tree *tree)
{
    enum status result = STATUS_OK;
    struct builder builder = {.tree = tree, .shared = calloc((size_t)count + 1, sizeof *builder.shared)};
    int64_t root;
    *tree = (struct prefix_tree){.list = list};
    if (!builder.shared)
        FAIL(STATUS_INTERNAL, "no memory for what %lld sequences share", (long long)count);
    for (int64_t i = 1; i < count; i++)
        builder.shared[i] = shared_reads(list[i - 1], list[i]);
    TRY(add_node(&builder, 0, (struct prefix_node){.count = count}, &root));
    TRY(build(&builder, 0, count, root, SHARED_AT_ROOT, 0));
fail:
    free(builder.shared);
    free(builder.last_child);
    return result;
}

void prefix_tree_free(struct prefix_tree *tree)
{
    free(tree->nodes);
    *tree = (struct prefix_tree){0};
}

int64_t prefix_tree_reads(const struct prefix_tree *tree, int64_t node)
{
    int64_t total = tree->nodes[node].end - tree->nodes[node].begin;
    for (int64_t child = tree->nodes[node].first_child; child; child = tree->nodes[child].next)
        total += prefix_tree_reads(tree, child);
    return total;
}
