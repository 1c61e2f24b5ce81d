/* The preference for one's own beginning, worked out again utterance by utterance; and that it is found where it is: with a
 * model replaced by one that cannot know it, and utterances that are all alike. */
#include "eval/score_oracle.h"
#include "support/tiny_world.h"

#include "eval/crossing.h"
#include "eval/documents.h"

#include <string.h>

enum { HELD_OUT = 7, LONGEST = 400, BOS = 1, EOS = 2, TEXT_TAG = 286, SPEECH_TAG = 287 };

static struct tiny_world world;
static struct dataset *held_out[2];
static struct learning_data data;

static int open_world(void **state)
{
    (void)state;
    struct tiny_corpus other;
    char folder[600];
    snprintf(folder, sizeof folder, "%s/held_out", test_directory());
    tiny_world_open(3, LONGEST, &world);
    if (tiny_corpus_write(folder, HELD_OUT, 5, &other) != STATUS_OK ||
        dataset_open(other.text, &held_out[0]) != STATUS_OK || dataset_open(other.speech, &held_out[1]) != STATUS_OK)
        return -1;
    data = (struct learning_data){.components = world.components,
                                  .interleaver = documents_interleaver(world.components),
                                  .held_out = held_out,
                                  .held_out_count = 2,
                                  .seed = 9};
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    dataset_close(held_out[0]);
    dataset_close(held_out[1]);
    tiny_world_close(&world);
    return 0;
}

/* ---- the same by hand ---- */

static int64_t append_text(const struct shard_row *row, int64_t begin, int64_t end, int32_t *ids)
{
    int32_t *made;
    int64_t count;
    while (begin < end && row->text[begin] == ' ')
        begin++;
    while (end > begin && row->text[end - 1] == ' ')
        end--;
    assert_ok(text_model_encode(world.components->text, row->text + begin, end - begin, true, &made, &count));
    memcpy(ids, made, (size_t)count * sizeof *ids);
    free(made);
    return count;
}

static int64_t append_speech(const struct shard_row *row, int64_t begin, int64_t end, int32_t *ids)
{
    struct merged_unit *merged;
    int64_t count;
    assert_ok(units_merge(&row->units, &world.components->rates, begin, end, STREAMS_ALL, &merged, &count));
    assert_ok(merged_to_ids(&world.components->vocabulary, merged, count, ids));
    free(merged);
    return count;
}

/* The first half of one row, the second half of another. Returns the number of tokens; *from: where the second half begins. */
static int64_t build(const struct shard_row *prompt, const struct shard_row *own, bool speech_first, int32_t *ids,
                     int64_t *from)
{
    const struct aligned_word *first = &prompt->words[prompt->word_count / 2],
                              *second = &own->words[own->word_count / 2];
    int64_t count = 0;
    ids[count++] = BOS;
    ids[count++] = speech_first ? SPEECH_TAG : TEXT_TAG;
    count += speech_first ? append_speech(prompt, 0, first->start, ids + count)
                          : append_text(prompt, 0, first->text_begin, ids + count);
    ids[count++] = speech_first ? TEXT_TAG : SPEECH_TAG;
    *from = count;
    count += speech_first ? append_text(own, second->text_begin, own->text_length, ids + count)
                          : append_speech(own, second->start, -1, ids + count);
    ids[count++] = EOS;
    return count;
}

static double nats_of(const struct shard_row *prompt, const struct shard_row *own, bool speech_first, double *tokens)
{
    int32_t ids[LONGEST];
    double losses[LONGEST], nats = 0;
    int64_t from, count = build(prompt, own, speech_first, ids, &from);
    assert_true(count <= LONGEST);
    oracle_losses(world.model, ids, count, losses);
    for (int64_t i = from; i < count; i++)
        nats += losses[i];
    *tokens = (double)(count - from);
    return nats;
}

/* Which row's beginning each row is given: the next in the circle that the seed makes. */
static void expect(const struct crossing_score *score, bool speech_first)
{
    int64_t order[HELD_OUT];
    double wins = 0, saved = 0, tokens = 0;
    struct rng rng = rng_make(data.seed, RNG_EVALUATE, 1, 0);
    rng_permutation(&rng, order, HELD_OUT);
    for (int i = 0; i < HELD_OUT; i++) {
        struct shard_row own, other;
        double count;
        assert_ok(dataset_row(held_out[1], order[i], &own));
        assert_ok(dataset_row(held_out[1], order[(i + 1) % HELD_OUT], &other));
        assert_true(own.word_count >= 4);
        double difference = nats_of(&other, &own, speech_first, &count) - nats_of(&own, &own, speech_first, &count);
        wins += difference > 0;
        saved += difference;
        tokens += count;
    }
    assert_int_equal(score->accuracy.n, HELD_OUT);
    assert_true(fabs(score->accuracy.value - wins / HELD_OUT) < 1e-12);
    assert_true(fabs(score->margin.value - saved / tokens) < 1e-5);
}

static void own_beginnings_are_compared_with_the_next_in_a_circle(void **state)
{
    (void)state;
    struct crossing_result found;
    assert_ok(crossing_evaluate(world.model, &data, &found));
    expect(&found.all[0], true);
    expect(&found.all[1], false);
    assert_int_equal(found.left_out, 0);
}

static void fewer_than_two_utterances_are_refused(void **state)
{
    (void)state;
    struct crossing_result found;
    struct learning_data texts = data;
    texts.held_out_count = 1; /* the text dataset alone */
    assert_fails(crossing_evaluate(world.model, &texts, &found), STATUS_CORRUPT, "has 0 aligned utterances");
}

static void what_does_not_fit_the_context_is_counted(void **state)
{
    (void)state;
    struct crossing_result found;
    int64_t positions = world.model->config.maximum_positions;
    world.model->config.maximum_positions = 12;
    assert_ok(crossing_evaluate(world.model, &data, &found));
    world.model->config.maximum_positions = positions;
    assert_true(found.left_out > 0);
    assert_true(found.all[0].accuracy.n + found.all[1].accuracy.n + found.left_out == 2 * HELD_OUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_beginnings_are_compared_with_the_next_in_a_circle),
        cmocka_unit_test(fewer_than_two_utterances_are_refused),
        cmocka_unit_test(what_does_not_fit_the_context_is_counted),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
