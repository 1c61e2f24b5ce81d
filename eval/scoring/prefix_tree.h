/* Which beginnings are worth computing once: the tree of what sequences of tokens share. */
#ifndef SPIRITLM_EVAL_SCORING_PREFIX_TREE_H
#define SPIRITLM_EVAL_SCORING_PREFIX_TREE_H

#include "eval/scoring/token_scores.h"

/* A stretch of tokens that is read once for the sequences [first, first + count) of the list. */
struct prefix_node {
    int64_t first, count;
    int64_t begin,
        end; /* of the tokens that they read; begin is its parent's end. begin == end: a sequence without own ones */
    int64_t first_child; /* 0: none (node 0 is nobody's child) */
    int64_t next;        /* its parent's next child; 0: none */
};

/* nodes[0] is the root, which reads nothing and has all sequences. A node with children has at least two; one without is one
 * sequence. */
struct prefix_tree {
    struct prefix_node *nodes;
    int64_t count, capacity;
    const struct token_sequence *const *list; /* borrowed */
};

enum { PREFIX_LEVELS = 3 }; /* nodes with children below each other, without the root */

/* Of a list without equal ones, which prefix_compare has sorted. prefix_tree_free whatever happens. */
enum status prefix_tree_make(const struct token_sequence *const *list, int64_t count, struct prefix_tree *tree);
void prefix_tree_free(struct prefix_tree *tree);

/* The order in which sequences that begin alike are neighbours; 0 for equal ones. */
int prefix_compare(const struct token_sequence *a, const struct token_sequence *b);

/* Tokens that the model reads for the nodes below `node`, itself included. */
int64_t prefix_tree_reads(const struct prefix_tree *tree, int64_t node);

#endif
