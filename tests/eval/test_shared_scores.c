/* Scores of sequences that share beginnings, against those of each alone through llama_logits; how many tokens are read for them; and
 * that neither threads nor repetitions change a bit. */
#include "eval/score_oracle.h"
#include "support/llama_support.h"
#include "support/test_kernels.h"
#include "support/tiny_world.h"

#include "eval/scoring/prefix_tree.h"
#include "eval/scoring/token_scores.h"

#include <stdlib.h>
#include <string.h>

enum { CONTEXT = 220, MOST = 400 };

static struct tiny_world world; /* for its vocabulary */

static int open_world(void **state)
{
    (void)state;
    tiny_world_open(1, 16, &world);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    tiny_world_close(&world);
    return 0;
}

static void open_model(int threads, struct llama_fixture *fixture)
{
    struct llama_config config = llama_small_config();
    config.vocabulary_size = world.model->config.vocabulary_size;
    config.maximum_positions = CONTEXT;
    llama_fixture_create(fixture, &config, DTYPE_F32, threads);
    llama_fixture_weights(fixture, 3, 0.1);
}

/* ---- lists ---- */

struct list {
    struct token_sequence sequences[MOST];
    int64_t count;
};

static void add(struct list *list, const int32_t *ids, int64_t count, int64_t first)
{
    struct token_sequence *sequence = &list->sequences[list->count++];
    int32_t *copy = malloc((size_t)count * sizeof *copy);
    assert_true(list->count <= MOST && count > first && count <= CONTEXT + 1);
    memcpy(copy, ids, (size_t)count * sizeof *copy);
    *sequence = (struct token_sequence){.ids = copy, .count = count, .first = first};
    sequence->scores = malloc((size_t)(count - first) * sizeof *sequence->scores);
    for (int64_t i = 0; i < count - first; i++)
        sequence->scores[i] = (struct token_score){.logit = NAN, .log_sum_exp = {NAN, NAN, NAN}};
}

static void free_list(struct list *list)
{
    for (int64_t i = 0; i < list->count; i++) {
        free((void *)(uintptr_t)list->sequences[i].ids);
        free(list->sequences[i].scores);
    }
    free(list);
}

static void draw(struct rng *rng, int32_t *ids, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        ids[i] = (int32_t)rng_below(rng, (uint64_t)world.components->vocabulary.text_size);
}

/* Subjects with examples, questions behind them, and letters behind those, as few-shot MMLU has them. *ideal: examples once, and the
 * questions with their letters. */
static void add_subjects(struct rng *rng, struct list *list, int subjects, int questions, int64_t *ideal)
{
    int32_t ids[CONTEXT + 1];
    *ideal = 0;
    for (int s = 0; s < subjects; s++) {
        int64_t shots = 60 + (int64_t)rng_below(rng, 60);
        draw(rng, ids, shots);
        *ideal += shots;
        for (int q = 0; q < questions; q++) {
            int64_t length = 12 + (int64_t)rng_below(rng, 60);
            draw(rng, ids + shots, length);
            ids[shots] = (int32_t)rng_below(rng, 3); /* questions begin alike now and then */
            *ideal += length + 4;
            for (int32_t letter = 0; letter < 4; letter++) {
                ids[shots + length] = 30 + letter;
                ids[shots + length + 1] = world.components->vocabulary.eos;
                add(list, ids, shots + length + 2, 1);
            }
        }
    }
}

/* What else there is: whole sequences that are beginnings of others, equal ones, last tokens alone that differ, other firsts, sequences
 * as long as the context allows, and some that share nothing. */
static void add_others(struct rng *rng, struct list *list)
{
    int32_t ids[CONTEXT + 1], other[CONTEXT + 1];
    draw(rng, ids, CONTEXT + 1);
    add(list, ids, CONTEXT + 1, 1);
    add(list, ids, CONTEXT + 1, 5);
    for (int64_t count = 40; count < CONTEXT; count += 37)
        add(list, ids, count, 1);
    for (int i = 0; i < 5; i++) {
        memcpy(other, ids, sizeof ids);
        other[100] = i;
        add(list, other, 101, 1); /* the same is read, another target follows */
        add(list, other, 101, 3);
        add(list, other, 100 + 2 * i + 1, 1);
        add(list, other, 60, 60 - 1);
        add(list, ids, CONTEXT + 1, 1);
        draw(rng, other, 50);
        add(list, other, 2 + 9 * i, 1);
        add(list, other, 2 + 9 * i, 1);
        memcpy(other, ids, 150 * sizeof *ids); /* nested */
        draw(rng, other + 150, 70);
        for (int j = 0; j < 3; j++) {
            other[190] = j;
            add(list, other, 191 + 10 * j, 1);
        }
    }
}

/* ---- against each alone ---- */

static enum vocabulary_part part_of(int64_t id)
{
    const struct vocabulary *v = &world.components->vocabulary;
    if (id < v->text_size && id != v->eos)
        return PART_TEXT;
    return id >= v->hubert_base && id < v->hubert_base + v->hubert_count + v->pitch_count + v->style_count ? PART_SPEECH
                                                                                                           : PART_OTHER;
}

static void check_alone(struct llama_fixture *fixture, const struct token_sequence *sequence)
{
    int64_t size = fixture->model->config.vocabulary_size;
    float *logits = oracle_logits(fixture->model, sequence->ids, sequence->count - 1);
    for (int64_t t = sequence->first; t < sequence->count; t++) {
        const float *row = logits + (t - 1) * size;
        const struct token_score *score = &sequence->scores[t - sequence->first];
        double sums[VOCABULARY_PARTS] = {0};
        for (int64_t c = 0; c < size; c++)
            sums[part_of(c)] += exp((double)row[c]);
        /* f32 products in another order, and a softmax over other blocks of keys */
        if (!(fabs((double)score->logit - (double)row[sequence->ids[t]]) <= 5e-5))
            fail_msg("token %lld of %lld: expected the logit %g, found %g", (long long)t, (long long)sequence->count,
                     (double)row[sequence->ids[t]], (double)score->logit);
        for (int part = 0; part < VOCABULARY_PARTS; part++)
            if (!(fabs(score->log_sum_exp[part] - log(sums[part])) <= 5e-5))
                fail_msg("token %lld of %lld, part %d: expected %g, found %g", (long long)t, (long long)sequence->count,
                         part, log(sums[part]), score->log_sum_exp[part]);
    }
    free(logits);
}

static struct list *make_list(uint64_t stream, int subjects, int questions)
{
    struct rng rng = rng_make(test_seed(), RNG_TEST, 61, stream);
    struct list *list = calloc(1, sizeof *list);
    int64_t ideal;
    assert_non_null(list);
    add_subjects(&rng, list, subjects, questions, &ideal);
    add_others(&rng, list);
    for (int64_t i = list->count - 1; i > 0; i--) { /* in any order */
        int64_t j = (int64_t)rng_below(&rng, (uint64_t)i + 1);
        const struct token_sequence swapped = list->sequences[i];
        list->sequences[i] = list->sequences[j];
        list->sequences[j] = swapped;
    }
    return list;
}

static void score(struct llama_fixture *fixture, struct list *list)
{
    assert_ok(token_scores_run(fixture->model, &world.components->vocabulary, list->sequences, list->count));
}

static void shared_scores_are_those_of_each_alone(void **state)
{
    (void)state;
    struct llama_fixture fixture;
    open_model(2, &fixture);
    for (uint64_t round = 0; round < (uint64_t)test_count(5, 1); round++) {
        struct list *list = make_list(round, 3, 5);
        score(&fixture, list);
        for (int64_t i = 0; i < list->count; i++)
            check_alone(&fixture, &list->sequences[i]);
        free_list(list);
    }
    llama_fixture_destroy(&fixture);
}

/* ---- the tree ---- */

static int compare(const void *a, const void *b)
{
    return prefix_compare(*(struct token_sequence *const *)a, *(struct token_sequence *const *)b);
}

/* Sorted, each once. */
static const struct token_sequence **sort(const struct list *list, int64_t *count)
{
    const struct token_sequence **sorted = calloc(MOST, sizeof *sorted);
    *count = 0;
    for (int64_t i = 0; i < list->count; i++)
        sorted[i] = &list->sequences[i];
    qsort(sorted, (size_t)list->count, sizeof *sorted, compare);
    for (int64_t i = 0; i < list->count; i++)
        if (i == 0 || prefix_compare(sorted[*count - 1], sorted[i]) != 0)
            sorted[(*count)++] = sorted[i];
    return sorted;
}

/* Each sequence's tokens are those of its path, and nobody else is on it. Returns the sequences below the node. */
static int64_t check_node(const struct prefix_tree *tree, int64_t n, int level)
{
    const struct prefix_node *node = &tree->nodes[n];
    int64_t below = 0, children = 0;
    for (int64_t i = node->first; i < node->first + node->count; i++) {
        assert_true(node->end <= tree->list[i]->count - 1);
        assert_memory_equal(tree->list[i]->ids, tree->list[node->first]->ids, (size_t)node->end * sizeof(int32_t));
        assert_true(n == 0 || tree->list[i]->first == tree->list[node->first]->first);
    }
    for (int64_t child = node->first_child; child; child = tree->nodes[child].next, children++) {
        assert_int_equal(tree->nodes[child].begin, node->end);
        assert_int_equal(tree->nodes[child].first, node->first + below);
        below += check_node(tree, child, level + 1);
    }
    assert_true(level <= PREFIX_LEVELS + 1 && (children != 1 || n == 0));
    if (children == 0) {
        assert_true(node->count == 1 && node->end == tree->list[node->first]->count - 1);
        return 1;
    }
    assert_true(n == 0 || node->end > node->begin);
    assert_int_equal(below, node->count);
    return below;
}

static void paths_are_the_sequences(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < 20; round++) {
        struct list *list = make_list(100 + round, 3, 4);
        struct prefix_tree tree;
        int64_t count;
        const struct token_sequence **sorted = sort(list, &count);
        assert_true(count < list->count);
        assert_ok(prefix_tree_make(sorted, count, &tree));
        assert_int_equal(check_node(&tree, 0, 0), count);
        prefix_tree_free(&tree);
        free(sorted);
        free_list(list);
    }
}

static void examples_are_read_once(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 62, 0);
    struct list *list = calloc(1, sizeof *list);
    struct prefix_tree tree;
    int64_t ideal, count, all = 0;
    add_subjects(&rng, list, 4, 25, &ideal);
    const struct token_sequence **sorted = sort(list, &count);
    for (int64_t i = 0; i < count; i++)
        all += sorted[i]->count - 1;
    assert_ok(prefix_tree_make(sorted, count, &tree));
    int64_t read = prefix_tree_reads(&tree, 0);
    printf("%lld tokens are read of %lld; examples once and questions are %lld\n", (long long)read, (long long)all,
           (long long)ideal);
    assert_true((double)read <= 1.05 * (double)ideal && all > 5 * ideal);
    prefix_tree_free(&tree);
    free(sorted);
    free_list(list);
}

static void what_is_hardly_shared_is_packed(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 63, 0);
    struct list *list = calloc(1, sizeof *list);
    struct prefix_tree tree;
    int32_t ids[CONTEXT];
    int64_t count;
    draw(&rng, ids, 30);
    for (int i = 0; i < 50; i++) {
        draw(&rng, ids + 20, 100); /* 20 of 120 */
        add(list, ids, 120, 1);
    }
    const struct token_sequence **sorted = sort(list, &count);
    assert_ok(prefix_tree_make(sorted, count, &tree));
    assert_int_equal(tree.count, 51); /* the root and its children */
    prefix_tree_free(&tree);
    free(sorted);
    free_list(list);
}

/* ---- bits ---- */

static void assert_same_scores(const struct token_sequence *a, const struct token_sequence *b)
{
    assert_int_equal(a->count, b->count);
    for (int64_t i = 0; i < a->count - a->first; i++) {
        assert_memory_equal(&a->scores[i].logit, &b->scores[i].logit, sizeof a->scores[i].logit);
        assert_memory_equal(a->scores[i].log_sum_exp, b->scores[i].log_sum_exp, sizeof a->scores[i].log_sum_exp);
    }
}

static void assert_same_bits(const struct list *a, const struct list *b)
{
    assert_int_equal(a->count, b->count);
    for (int64_t i = 0; i < a->count; i++)
        assert_same_scores(&a->sequences[i], &b->sequences[i]);
}

static void threads_and_repetitions_change_no_bit(void **state)
{
    (void)state;
    struct list *lists[3];
    for (int i = 0; i < 3; i++) {
        struct llama_fixture fixture;
        open_model(1 + i % 2, &fixture);
        lists[i] = make_list(7, 2, 3);
        score(&fixture, lists[i]);
        llama_fixture_destroy(&fixture);
    }
    assert_same_bits(lists[0], lists[1]);
    assert_same_bits(lists[0], lists[2]);
    for (int64_t i = 0; i < lists[0]->count; i++)
        for (int64_t j = 0; j < i; j++) {
            const struct token_sequence *a = &lists[0]->sequences[i], *b = &lists[0]->sequences[j];
            if (prefix_compare(a, b) == 0)
                assert_same_scores(a, b);
        }
    for (int i = 0; i < 3; i++)
        free_list(lists[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shared_scores_are_those_of_each_alone),
        cmocka_unit_test(paths_are_the_sequences),
        cmocka_unit_test(examples_are_read_once),
        cmocka_unit_test(what_is_hardly_shared_is_packed),
        cmocka_unit_test(threads_and_repetitions_change_no_bit),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
