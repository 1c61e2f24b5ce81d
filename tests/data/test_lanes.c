/* Lanes over real shards: the same rows for any number of ranks and after any save; nothing lost, doubled or
 * reordered; every row once per epoch; the right shares of tokens. */
#include "support/lanes_fixture.h"
#include "support/test_support.h"

#include "data/lanes_order.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the same for any number of ranks ---- */
enum { STEPS = 60 };

static struct packed *reference_run(const struct lanes_options *options)
{
    struct packed *reference = calloc(STEPS * LANES, sizeof *reference);
    assert_non_null(reference);
    struct rank rank;
    rank_open(&rank, options, &lanes_interleaver);
    for (int step = 0; step < STEPS; step++)
        for (int lane = 0; lane < LANES; lane++)
            next_row(rank.lanes, lane, &reference[step * LANES + lane]);
    rank_close(&rank);
    return reference;
}

/* Runs all steps with changing numbers of ranks: at a change every lane's state is saved by the rank that had it and
 * restored by the rank that gets it. */
static void run_in_parts(const struct lanes_options *options, const int *ranks, const int *until, int parts,
                         const struct packed *reference)
{
    char *states[LANES] = {0};
    int step = 0;
    for (int part = 0; part < parts; part++) {
        struct rank rank[6];
        for (int r = 0; r < ranks[part]; r++) {
            rank_open(&rank[r], options, &lanes_interleaver);
            for (int lane = r; lane < LANES && states[lane]; lane += ranks[part])
                assert_ok(restore_text(rank[r].lanes, lane, states[lane]));
        }
        for (; step < until[part]; step++)
            for (int r = 0; r < ranks[part]; r++)
                for (int lane = r; lane < LANES; lane += ranks[part]) {
                    struct packed packed;
                    next_row(rank[r].lanes, lane, &packed);
                    if (memcmp(&packed, &reference[step * LANES + lane], sizeof packed) != 0)
                        fail_msg("step %d, lane %d with %d ranks differs", step, lane, ranks[part]);
                }
        for (int r = 0; r < ranks[part]; r++) {
            for (int lane = r; lane < LANES; lane += ranks[part]) {
                free(states[lane]);
                states[lane] = save_text(rank[r].lanes, lane);
            }
            rank_close(&rank[r]);
        }
    }
    for (int lane = 0; lane < LANES; lane++)
        free(states[lane]);
}

static void same_rows_for_any_ranks(void **state)
{
    (void)state;
    static const int counts[] = {1, 2, 3, 4, 6};
    struct rng rng = rng_make(test_seed(), RNG_TEST, 61, 0);
    for (int masked = 0; masked < 2; masked++) {
        struct lanes_options options = usual;
        options.mask_documents = masked;
        struct packed *reference = reference_run(&options);
        for (int i = 0; i < 5; i++)
            run_in_parts(&options, &counts[i], (const int[]){STEPS}, 1, reference);
        for (int i = 0; i < 6; i++) {
            int ranks[4], until[4], at = 0;
            for (int part = 0; part < 4; part++) {
                ranks[part] = counts[rng_below(&rng, 5)];
                at += (int)rng_below(&rng, 20); /* now and then two saves with nothing in between */
                until[part] = part == 3 ? STEPS : at;
            }
            run_in_parts(&options, ranks, until, 4, reference);
        }
        free(reference);
    }
}

/* ---- what the rows hold ---- */

/* One lane's stream put together again: ids one after the other, and the documents in the order in which they begin. */
struct stream {
    int32_t *ids, *targets;
    int64_t count;
    struct row_place *places;
    int64_t documents;
};

static struct row_place parse_name(const char *name)
{
    long long dataset, row;
    assert_int_equal(sscanf(name, "%lld:%lld", &dataset, &row), 2);
    return (struct row_place){dataset, row};
}

static void stream_read(struct stream *stream, struct lanes *lanes, int64_t lane, int64_t rows, bool masked)
{
    *stream = (struct stream){malloc((size_t)(rows * T) * 4), malloc((size_t)(rows * T) * 4), rows * T, NULL, 0};
    stream->places = malloc((size_t)(rows * T) * sizeof *stream->places);
    assert_non_null(stream->places);
    for (int64_t r = 0; r < rows; r++) {
        struct packed packed;
        const char *const *names;
        next_row(lanes, lane, &packed);
        int64_t count = lanes_last_documents(lanes, lane, &names), begun = 0;
        int32_t start = 0;
        for (int64_t t = 0; t < T; t++) {
            stream->ids[r * T + t] = packed.ids[t];
            stream->targets[r * T + t] = packed.targets[t];
            if (packed.ids[t] == 1) { /* BOS */
                start = (int32_t)t;
                begun++;
            }
            assert_int_equal(packed.starts[t], masked ? start : 0);
        }
        assert_in_range(count - begun, 0, 1); /* one more when the row begins within a document */
        assert_int_equal(count - begun, packed.ids[0] != 1);
        for (int64_t i = count - begun; i < count; i++)
            stream->places[stream->documents++] = parse_name(names[i]);
    }
}

static void stream_free(struct stream *stream)
{
    free(stream->ids);
    free(stream->targets);
    free(stream->places);
}

/* The document that the lane's `visit`-th draw must have given: made from the test's own row, not from the shard. */
static void expected_document(const struct interleaver *with, struct row_place place, uint64_t seed, int64_t lane,
                              int64_t visit, const int32_t *ids, int64_t left, struct document *document)
{
    const struct shard_row *row = &made[place.dataset][place.row].row;
    int64_t same = 0;
    struct rng rng = rng_make(seed, RNG_INTERLEAVE, (uint64_t)lane, (uint64_t)visit);
    if (place.dataset < SPEECH_A) {
        assert_ok(document_from_text(with, row, document));
        return;
    }
    assert_ok(document_from_speech(with, row, document));
    while (same < left && same < document->count && document->ids[same] == ids[same])
        same++;
    if (left > 0 && (same == document->count || same == left || !row->words))
        return; /* the source was SPEECH */
    document_free(document);
    assert_ok(document_interleaved(with, row, &rng, document));
}

static void check_streams(const struct lanes_options *options)
{
    struct rank rank;
    rank_open(&rank, options, &lanes_interleaver);
    int64_t tokens = 0, documents = 0, words = 0, switched = 0;
    bool masked = options->mask_documents;
    for (int64_t lane = 0; lane < LANES; lane += 5) {
        struct stream stream;
        stream_read(&stream, rank.lanes, lane, 150, masked);
        int64_t at = 0;
        for (int64_t d = 0; d < stream.documents; d++) {
            struct document document;
            expected_document(&lanes_interleaver, stream.places[d], options->seed, lane, d, stream.ids + at,
                              options->weights[SOURCE_SPEECH] > 0 ? stream.count - at : 0, &document);
            for (int64_t i = 0; i < document.count && at < stream.count; i++, at++) {
                assert_int_equal(stream.ids[at], document.ids[i]);
                if (i + 1 < document.count)
                    assert_int_equal(stream.targets[at], document.ids[i + 1]);
                else
                    assert_int_equal(stream.targets[at], masked ? -1 : 1);
            }
            words += document.words;
            switched += document.switched_words;
            document_free(&document);
        }
        assert_int_equal(at, stream.count);
        tokens += stream.count;
        documents += stream.documents;
        stream_free(&stream);
    }
    struct lanes_totals totals = lanes_get_totals(rank.lanes);
    assert_int_equal(totals.tokens[0] + totals.tokens[1] + totals.tokens[2], tokens);
    if (masked) { /* else the last document of a lane may be drawn and not yet begun */
        assert_int_equal(totals.documents[0] + totals.documents[1] + totals.documents[2], documents);
        assert_int_equal(totals.switched_words, switched);
        if (options->weights[SOURCE_SPEECH] == 0) /* otherwise speech alone and one span of speech look alike */
            assert_int_equal(totals.words, words);
    }
    rank_close(&rank);
}

static void rows_are_documents_end_to_end(void **state)
{
    (void)state;
    for (int masked = 0; masked < 2; masked++)
        for (int speech = 0; speech < 2; speech++) {
            struct lanes_options options = usual;
            options.mask_documents = masked;
            options.weights[SOURCE_SPEECH] = speech;
            check_streams(&options);
        }
}

/* ---- epochs ---- */

static bool usable(int source, int64_t dataset, int64_t row)
{
    const struct shard_row *made_row = &made[dataset][row].row;
    if ((dataset < SPEECH_A) != (source == SOURCE_TEXT))
        return false;
    return source == SOURCE_TEXT     ? made_row->text_length > 0
           : source == SOURCE_SPEECH ? made_row->units.count[STREAM_HUBERT] > 0
                                     : made_row->words != NULL;
}

/* One lane has every epoch to itself: its documents come in groups, each a permutation of all usable rows. */
static void one_lane_s_epochs_are_permutations(void **state)
{
    (void)state;
    for (int source = 0; source < SOURCE_KINDS; source++) {
        struct lanes_options options = {1, T, {0, 0, 0}, true, 5};
        options.weights[source] = 0.3;
        struct rank rank;
        rank_open(&rank, &options, &lanes_interleaver);
        int64_t total = 0;
        for (int64_t d = 0; d < DATASETS; d++)
            for (int64_t r = 0; r < dataset_rows_made[d]; r++)
                total += usable(source, d, r);
        assert_true(total > 30);
        struct stream stream;
        stream_read(&stream, rank.lanes, 0, 600, true);
        assert_true(stream.documents > 2 * total); /* at least two epochs */
        int64_t moved = 0;
        for (int64_t epoch = 0; (epoch + 1) * total <= stream.documents; epoch++) {
            bool seen[DATASETS][64] = {{false}};
            for (int64_t i = epoch * total; i < (epoch + 1) * total; i++) {
                struct row_place place = stream.places[i];
                assert_true(usable(source, place.dataset, place.row));
                assert_false(seen[place.dataset][place.row]);
                seen[place.dataset][place.row] = true;
                moved += epoch > 0 && (place.dataset != stream.places[i - total].dataset ||
                                       place.row != stream.places[i - total].row);
            }
        }
        assert_true(moved > total / 2); /* another order in every epoch */
        stream_free(&stream);
        rank_close(&rank);
    }
}

/* All lanes of an epoch together visit every row once, whether there are more rows than lanes or fewer. */
static void lanes_share_every_epoch(void **state)
{
    (void)state;
    static const int64_t lane_counts[] = {1, 2, 5, 12, 95, 96, 300};
    struct rank rank;
    rank_open(&rank, &usual, &lanes_interleaver);
    struct row_list list = {0};
    assert_ok(row_list_add(&list, SPEECH_A, rank.datasets[SPEECH_A]));
    assert_ok(row_list_add(&list, SPEECH_B, rank.datasets[SPEECH_B]));
    assert_int_equal(list.rows, 95);
    for (size_t c = 0; c < sizeof lane_counts / sizeof *lane_counts; c++) {
        enum { EPOCHS = 5 };
        int64_t lanes = lane_counts[c], visits[EPOCHS][DATASETS][64] = {{{0}}};
        for (int64_t lane = 0; lane < lanes; lane++) {
            struct order order;
            struct row_place place;
            order_begin(&order, &list, 99, SOURCE_SPEECH, lane, lanes);
            for (assert_ok(order_next(&order, &place)); order.epoch < EPOCHS; assert_ok(order_next(&order, &place)))
                visits[order.epoch][place.dataset][place.row]++;
            assert_fails(order_seek(&order, 0, 96), STATUS_CORRUPT, "position 96 of epoch 0");
            assert_fails(order_seek(&order, 0, -1), STATUS_CORRUPT, "position -1 of epoch 0");
            order_free(&order);
        }
        for (int epoch = 0; epoch < EPOCHS; epoch++)
            for (int64_t d = SPEECH_A; d < DATASETS; d++)
                for (int64_t r = 0; r < dataset_rows_made[d]; r++)
                    assert_int_equal(visits[epoch][d][r], 1);
    }
    row_list_free(&list);
    rank_close(&rank);
}

/* At any time a lane reads within a window of four shards. */
static void order_stays_in_its_window(void **state)
{
    (void)state;
    struct rank rank;
    rank_open(&rank, &usual, &lanes_interleaver);
    struct row_list list = {0};
    assert_ok(row_list_add(&list, TEXT_A, rank.datasets[TEXT_A]));
    assert_ok(row_list_add(&list, SPEECH_A, rank.datasets[SPEECH_A]));
    struct order order;
    order_begin(&order, &list, 1, SOURCE_TEXT, 0, 1);
    int64_t done = 0, adjacent = 0, last = -1;
    int64_t shards_left[32] = {0}; /* rows left of a shard */
    for (int64_t s = 0; s < list.shard_count; s++)
        shards_left[s] = list.shards[s].rows;
    for (; done < list.rows; done++) {
        struct row_place place;
        assert_ok(order_next(&order, &place));
        assert_int_equal(order.epoch, 0);
        int64_t shard = 0, open = 0;
        while (list.shards[shard].dataset != place.dataset ||
               place.row >= list.shards[shard].first_row + list.shards[shard].rows)
            shard++;
        shards_left[shard]--;
        for (int64_t s = 0; s < list.shard_count; s++)
            open += shards_left[s] > 0 && shards_left[s] < list.shards[s].rows;
        assert_true(open <= ORDER_WINDOW);
        adjacent += place.row == last + 1;
        last = place.row;
    }
    assert_true(adjacent < list.rows / 4); /* rows are shuffled, too */
    order_free(&order);
    row_list_free(&list);
    rank_close(&rank);
}

/* ---- shares ---- */

static void weights_count_tokens(void **state)
{
    (void)state;
    static const double weights[][SOURCE_KINDS] = {{1, 1, 1}, {0.2, 0.3, 0.5}, {3, 0, 1}, {0, 0, 2}, {1, 10, 1}};
    for (size_t w = 0; w < sizeof weights / sizeof *weights; w++) {
        struct lanes_options options = usual;
        memcpy(options.weights, weights[w], sizeof options.weights);
        struct rank rank;
        rank_open(&rank, &options, &lanes_interleaver);
        struct packed packed;
        for (int step = 0; step < 600; step++)
            for (int lane = 0; lane < 4; lane++)
                next_row(rank.lanes, lane, &packed);
        struct lanes_totals totals = lanes_get_totals(rank.lanes);
        double sum = weights[w][0] + weights[w][1] + weights[w][2];
        for (int s = 0; s < SOURCE_KINDS; s++) {
            double share = (double)totals.tokens[s] / (600.0 * 4 * T), wanted = weights[w][s] / sum;
            /* and at most one document of a lane, of up to 250 tokens, ahead or behind */
            if (!(fabs(share - wanted) <= 0.02 * wanted + 250.0 / (600 * T)))
                fail_msg("%s: share %.4f, weight %.4f", source_kind_name((enum source_kind)s), share, wanted);
        }
        rank_close(&rank);
    }
}

/* When the weights allow only one modality, tokens of the other never occur. */
static void one_modality_by_weights(void **state)
{
    (void)state;
    for (int source = SOURCE_TEXT; source <= SOURCE_SPEECH; source++) {
        struct lanes_options options = usual;
        memset(options.weights, 0, sizeof options.weights);
        options.weights[source] = 1;
        struct rank rank;
        rank_open(&rank, &options, &lanes_interleaver);
        for (int step = 0; step < 50; step++) {
            struct packed packed;
            next_row(rank.lanes, step % LANES, &packed);
            for (int t = 0; t < T; t++) {
                assert_int_not_equal(packed.ids[t],
                                     source == SOURCE_TEXT ? lanes_vocabulary.speech_tag : lanes_vocabulary.text_tag);
                if (packed.ids[t] > 2) /* BOS and EOS belong to both */
                    assert_true((packed.ids[t] < lanes_vocabulary.text_size ||
                                 packed.ids[t] == lanes_vocabulary.text_tag) == (source == SOURCE_TEXT));
            }
        }
        rank_close(&rank);
    }
}

/* A row is cut differently at each visit, and different lanes have different documents. */
static void visits_differ(void **state)
{
    (void)state;
    struct lanes_options options = {1, T, {0, 0, 1}, true, 3};
    struct rank rank;
    rank_open(&rank, &options, &lanes_interleaver);
    struct stream stream;
    stream_read(&stream, rank.lanes, 0, 400, true);
    int64_t again = 0, same = 0, at = 0, begins[2000];
    for (int64_t i = 0; i < stream.count; i++)
        if (stream.ids[i] == 1)
            begins[at++] = i;
    for (int64_t i = 0; i + 1 < at; i++)
        for (int64_t j = i + 1; j + 1 < at; j++)
            if (stream.places[i].dataset == stream.places[j].dataset && stream.places[i].row == stream.places[j].row &&
                made[stream.places[i].dataset][stream.places[i].row].row.word_count > 6) {
                int64_t length = begins[i + 1] - begins[i];
                again++;
                same += length == begins[j + 1] - begins[j] &&
                        memcmp(stream.ids + begins[i], stream.ids + begins[j], (size_t)length * 4) == 0;
            }
    assert_true(again > 50 && same < again / 5);
    stream_free(&stream);
    rank_close(&rank);
    struct packed a, b;
    rank_open(&rank, &usual, &lanes_interleaver);
    next_row(rank.lanes, 0, &a);
    next_row(rank.lanes, 1, &b);
    assert_memory_not_equal(&a, &b, sizeof a);
    rank_close(&rank);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_rows_for_any_ranks),
        cmocka_unit_test(rows_are_documents_end_to_end),
        cmocka_unit_test(one_lane_s_epochs_are_permutations),
        cmocka_unit_test(lanes_share_every_epoch),
        cmocka_unit_test(order_stays_in_its_window),
        cmocka_unit_test(weights_count_tokens),
        cmocka_unit_test(one_modality_by_weights),
        cmocka_unit_test(visits_differ),
    };
    return cmocka_run_group_tests(tests, lanes_fixture_prepare, lanes_fixture_finish);
}
