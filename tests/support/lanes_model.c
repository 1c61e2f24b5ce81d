#include "support/lanes_model.h"

#include "support/test_support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SHARDS_TOGETHER = 4 };

struct model_lane {
    int64_t visits, tokens[SOURCE_KINDS];
    double served[SOURCE_KINDS];
    int64_t epoch[SOURCE_KINDS], place[SOURCE_KINDS]; /* the next row of the epoch's list */
    struct document document;
    int64_t at;
    bool has_document;
    struct model_draw *draws;
    int64_t draw_count, draw_capacity;
};

/* All rows of a source in the order of one epoch. */
struct epoch_list {
    struct model_place *places; /* NULL: not made yet */
};

struct lanes_model {
    struct lanes_options options;
    const struct interleaver *interleaver;
    const struct made_dataset *const *datasets;
    int64_t dataset_count;
    int64_t rows[SOURCE_KINDS];
    struct epoch_list *epochs[SOURCE_KINDS];
    int64_t epoch_count[SOURCE_KINDS];
    struct model_lane *lanes;
};

/* ---- what there is ---- */

static bool row_is_usable(const struct made_dataset *dataset, int source, int64_t row)
{
    const struct shard_row *r = &dataset->rows[row].row;
    if ((dataset->kind == DATASET_TEXT) != (source == SOURCE_TEXT))
        return false;
    return source == SOURCE_TEXT     ? r->text_length > 0
           : source == SOURCE_SPEECH ? r->units.count[STREAM_HUBERT] > 0
                                     : r->words != NULL;
}

/* A dataset belongs to a source when at least one of its rows is usable for it. */
static bool dataset_is_usable(const struct made_dataset *dataset, int source)
{
    for (int64_t r = 0; r < dataset->count; r++)
        if (row_is_usable(dataset, source, r))
            return true;
    return false;
}

struct lanes_model *lanes_model_create(const struct lanes_options *options, const struct interleaver *interleaver,
                                       const struct made_dataset *const *datasets, int64_t dataset_count)
{
    struct lanes_model *model = calloc(1, sizeof *model);
    assert_non_null(model);
    model->options = *options;
    model->interleaver = interleaver;
    model->datasets = datasets;
    model->dataset_count = dataset_count;
    model->lanes = calloc((size_t)options->lanes, sizeof *model->lanes);
    assert_non_null(model->lanes);
    for (int s = 0; s < SOURCE_KINDS; s++)
        for (int64_t d = 0; d < dataset_count; d++)
            if (dataset_is_usable(datasets[d], s))
                model->rows[s] += datasets[d]->count;
    for (int64_t l = 0; l < options->lanes; l++)
        for (int s = 0; s < SOURCE_KINDS; s++)
            model->lanes[l].place[s] = lanes_model_part(model->rows[s], l, options->lanes);
    return model;
}

void lanes_model_free(struct lanes_model *model)
{
    for (int64_t l = 0; l < model->options.lanes; l++) {
        document_free(&model->lanes[l].document);
        free(model->lanes[l].draws);
    }
    for (int s = 0; s < SOURCE_KINDS; s++) {
        for (int64_t e = 0; e < model->epoch_count[s]; e++)
            free(model->epochs[s][e].places);
        free(model->epochs[s]);
    }
    free(model->lanes);
    free(model);
}

int64_t lanes_model_rows(const struct lanes_model *model, int source)
{
    return model->rows[source];
}

bool lanes_model_usable(const struct lanes_model *model, int source, struct model_place place)
{
    return row_is_usable(model->datasets[place.dataset], source, place.row);
}

static int64_t shards_of(const struct made_dataset *dataset)
{
    return (dataset->count + dataset->rows_per_shard - 1) / dataset->rows_per_shard;
}

static int64_t rows_of_shard(const struct made_dataset *dataset, int64_t shard)
{
    int64_t left = dataset->count - shard * dataset->rows_per_shard;
    return left < dataset->rows_per_shard ? left : dataset->rows_per_shard;
}

int64_t lanes_model_shard(const struct lanes_model *model, int source, struct model_place place, int64_t *rows)
{
    int64_t shard = place.row / model->datasets[place.dataset]->rows_per_shard;
    *rows = rows_of_shard(model->datasets[place.dataset], shard);
    for (int64_t d = 0; d < place.dataset; d++)
        if (dataset_is_usable(model->datasets[d], source))
            shard += shards_of(model->datasets[d]);
    return shard;
}

/* ---- the order of an epoch ---- */

int64_t lanes_model_part(int64_t rows, int64_t part, int64_t lanes)
{
    return rows * part / lanes;
}

/* The shards in a random order; within each group of four consecutive ones, the rows in a random order. */
static struct model_place *make_epoch(const struct lanes_model *model, int source, int64_t epoch)
{
    enum { MOST = 512 };
    struct model_place shards[MOST], *places = calloc((size_t)model->rows[source] + 1, sizeof *places);
    int64_t count = 0, order[MOST], done = 0;
    uint64_t name = (uint64_t)epoch << 8 | (uint64_t)source;
    assert_non_null(places);
    for (int64_t d = 0; d < model->dataset_count; d++)
        for (int64_t s = 0; dataset_is_usable(model->datasets[d], source) && s < shards_of(model->datasets[d]); s++) {
            assert_true(count < MOST);
            shards[count++] = (struct model_place){d, s};
        }
    struct rng rng = rng_make(model->options.seed, RNG_DOCUMENT_ORDER, name, 0);
    rng_permutation(&rng, order, count);
    for (int64_t window = 0; window * SHARDS_TOGETHER < count; window++) {
        struct model_place rows[MOST];
        int64_t row_count = 0, shuffled[MOST];
        for (int64_t i = window * SHARDS_TOGETHER; i < count && i < (window + 1) * SHARDS_TOGETHER; i++) {
            struct model_place shard = shards[order[i]];
            const struct made_dataset *dataset = model->datasets[shard.dataset];
            for (int64_t r = 0; r < rows_of_shard(dataset, shard.row); r++) {
                assert_true(row_count < MOST);
                rows[row_count++] = (struct model_place){shard.dataset, shard.row * dataset->rows_per_shard + r};
            }
        }
        rng = rng_make(model->options.seed, RNG_DOCUMENT_ORDER, name, (uint64_t)window + 1);
        rng_permutation(&rng, shuffled, row_count);
        for (int64_t i = 0; i < row_count; i++)
            places[done + shuffled[i]] = rows[i];
        done += row_count;
    }
    assert_int_equal(done, model->rows[source]);
    return places;
}

static const struct model_place *epoch_of(struct lanes_model *model, int source, int64_t epoch)
{
    if (epoch >= model->epoch_count[source]) {
        int64_t count = 2 * epoch + 8;
        struct epoch_list *lists = realloc(model->epochs[source], (size_t)count * sizeof *lists);
        assert_non_null(lists);
        memset(lists + model->epoch_count[source], 0, (size_t)(count - model->epoch_count[source]) * sizeof *lists);
        model->epochs[source] = lists;
        model->epoch_count[source] = count;
    }
    struct epoch_list *list = &model->epochs[source][epoch];
    if (!list->places)
        list->places = make_epoch(model, source, epoch);
    return list->places;
}

/* A lane takes one part of each epoch, and the part after it in the next epoch. */
static int64_t own_end(const struct lanes_model *model, int64_t lane, int source)
{
    int64_t lanes = model->options.lanes, part = (lane + model->lanes[lane].epoch[source]) % lanes;
    return lanes_model_part(model->rows[source], part + 1, lanes);
}

static void skip_finished_epochs(struct lanes_model *model, int64_t lane, int source)
{
    struct model_lane *l = &model->lanes[lane];
    while (l->place[source] == own_end(model, lane, source)) {
        l->epoch[source]++;
        l->place[source] = lanes_model_part(model->rows[source], (lane + l->epoch[source]) % model->options.lanes,
                                            model->options.lanes);
    }
}

int64_t lanes_model_epochs_done(struct lanes_model *model, int64_t lane, int source)
{
    if (model->rows[source] == 0)
        return 0;
    skip_finished_epochs(model, lane, source);
    return model->lanes[lane].epoch[source];
}

/* ---- drawing ---- */

void lanes_model_set_weights(struct lanes_model *model, const double weights[SOURCE_KINDS])
{
    if (memcmp(model->options.weights, weights, sizeof model->options.weights) == 0)
        return;
    memcpy(model->options.weights, weights, sizeof model->options.weights);
    for (int64_t l = 0; l < model->options.lanes; l++)
        memset(model->lanes[l].served, 0, sizeof model->lanes[l].served);
}

/* The source furthest behind its share; among equals, a random one. */
static int choose(const struct lanes_model *model, int64_t lane)
{
    const struct model_lane *l = &model->lanes[lane];
    double least = INFINITY, share[SOURCE_KINDS];
    int equal[SOURCE_KINDS], count = 0;
    for (int s = 0; s < SOURCE_KINDS; s++) {
        share[s] = model->options.weights[s] > 0 ? l->served[s] / model->options.weights[s] : INFINITY;
        least = fmin(least, share[s]);
    }
    for (int s = 0; s < SOURCE_KINDS; s++)
        if (share[s] == least)
            equal[count++] = s;
    struct rng rng = rng_make(model->options.seed, RNG_SOURCE, (uint64_t)lane, (uint64_t)l->visits);
    return equal[rng_below(&rng, (uint64_t)count)];
}

static void make_document(const struct lanes_model *model, int64_t lane, int source, struct model_place place,
                          struct document *document)
{
    const struct shard_row *row = &model->datasets[place.dataset]->rows[place.row].row;
    struct rng rng = rng_make(model->options.seed, RNG_INTERLEAVE, (uint64_t)lane, (uint64_t)model->lanes[lane].visits);
    if (source == SOURCE_TEXT)
        assert_ok(document_from_text(model->interleaver, row, document));
    else if (source == SOURCE_SPEECH)
        assert_ok(document_from_speech(model->interleaver, row, document));
    else
        assert_ok(document_interleaved(model->interleaver, row, &rng, document));
}

static void draw(struct lanes_model *model, int64_t lane)
{
    struct model_lane *l = &model->lanes[lane];
    int source = choose(model, lane);
    struct model_place place;
    int64_t epoch;
    do {
        skip_finished_epochs(model, lane, source);
        epoch = l->epoch[source];
        place = epoch_of(model, source, epoch)[l->place[source]++];
    } while (!lanes_model_usable(model, source, place));
    document_free(&l->document);
    make_document(model, lane, source, place, &l->document);
    assert_true(l->document.count > 0);
    l->at = 0;
    l->has_document = true;
    l->visits++;
    if (l->draw_count == l->draw_capacity) {
        l->draw_capacity = 2 * l->draw_capacity + 16;
        l->draws = realloc(l->draws, (size_t)l->draw_capacity * sizeof *l->draws);
        assert_non_null(l->draws);
    }
    l->draws[l->draw_count++] = (struct model_draw){source, epoch, place};
}

void lanes_model_next(struct lanes_model *model, int64_t lane, struct model_row *row)
{
    struct model_lane *l = &model->lanes[lane];
    bool masked = model->options.mask_documents;
    int64_t begin = 0;
    row->place_count = 0;
    for (int64_t t = 0; t < model->options.sequence_length; t++) {
        if (!l->has_document)
            draw(model, lane);
        if (t == 0 || l->at == 0) {
            begin = t;
            row->places[row->place_count++] = l->draws[l->draw_count - 1].place;
        }
        int source = l->draws[l->draw_count - 1].source;
        row->ids[t] = l->document.ids[l->at++];
        row->starts[t] = masked ? (int32_t)begin : 0;
        l->tokens[source]++;
        l->served[source]++;
        if (l->at < l->document.count) {
            row->targets[t] = l->document.ids[l->at];
        } else if (masked) {
            row->targets[t] = -1;
            l->has_document = false;
        } else {
            draw(model, lane);
            row->targets[t] = l->document.ids[0];
        }
    }
}

const struct model_draw *lanes_model_draws(const struct lanes_model *model, int64_t lane, int64_t *count)
{
    *count = model->lanes[lane].draw_count;
    return model->lanes[lane].draws;
}

int64_t lanes_model_tokens(const struct lanes_model *model, int source)
{
    int64_t sum = 0;
    for (int64_t l = 0; l < model->options.lanes; l++)
        sum += model->lanes[l].tokens[source];
    return sum;
}
