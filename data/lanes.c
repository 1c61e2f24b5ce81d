/* A lane copies the document it is in into its row, and draws the next document when that one is used up. The random
 * numbers of a draw are a function of the seed, the lane and the number of documents drawn so far, and do not come from
 * a generator with a state: so a lane's whole state is a few numbers, and any rank can go on with it. The source of a
 * document is the one that is furthest behind, not one drawn by weight, so that the shares of tokens are never off by
 * more than a document. */
#include "data/lanes.h"

#include "core/array.h"
#include "data/lanes_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *source_kind_name(enum source_kind kind)
{
    static const char *const names[SOURCE_KINDS] = {"text", "speech", "interleaved"};
    return kind >= 0 && kind < SOURCE_KINDS ? names[kind] : "unknown";
}

enum status lanes_options_check(const struct lanes_options *options)
{
    double sum = 0;
    if (options->lanes < 1 || options->lanes > 1 << 24 || options->sequence_length < 1 ||
        options->sequence_length > 1 << 24)
        return status_set(STATUS_USAGE, "lanes: %lld sequences of %lld tokens; expected 1 to %d of each",
                          (long long)options->lanes, (long long)options->sequence_length, 1 << 24);
    for (int s = 0; s < SOURCE_KINDS; s++) {
        if (!(options->weights[s] >= 0) || !isfinite(options->weights[s]))
            return status_set(STATUS_USAGE, "data.weights.%s is %g; expected a finite number that is not negative",
                              source_kind_name((enum source_kind)s), options->weights[s]);
        sum += options->weights[s];
    }
    return sum > 0 ? STATUS_OK : status_set(STATUS_USAGE, "data.weights: the weights of all sources are 0");
}

/* Documents that the dataset has for a source, as its index counts them; 0: none. */
static int64_t documents_for(const struct dataset *dataset, int source)
{
    const struct shard_totals *totals = dataset_totals(dataset);
    if ((dataset_kind(dataset) == DATASET_TEXT) != (source == SOURCE_TEXT))
        return 0;
    if (source == SOURCE_TEXT)
        return totals->text_bytes;
    return source == SOURCE_SPEECH ? totals->units[STREAM_HUBERT] : totals->aligned_rows;
}

/* The rates by which spans are cut must be those at which the units were made. */
static enum status check_rates(const struct interleaver *interleaver, const struct dataset *dataset)
{
    const struct unit_rates *theirs = &dataset_fingerprints(dataset)->rates;
    for (int s = 0; s < STREAM_COUNT; s++) {
        struct rational a = theirs->rate[s], b = interleaver->rates.rate[s];
        bool used = (interleaver->options.streams_mask & 1u << s) && dataset_totals(dataset)->units[s] > 0;
        if (used && (__int128)a.numerator * b.denominator != (__int128)b.numerator * a.denominator)
            return status_set(STATUS_USAGE,
                              "%s: its units of stream %d come at %lld/%lld per second, expected %lld/%lld",
                              dataset_folder(dataset), s, (long long)a.numerator, (long long)a.denominator,
                              (long long)b.numerator, (long long)b.denominator);
    }
    return STATUS_OK;
}

static enum status collect_sources(struct lanes *lanes)
{
    enum status result = STATUS_OK;
    for (int s = 0; s < SOURCE_KINDS; s++) {
        if (!(lanes->options.weights[s] > 0))
            continue;
        for (int64_t d = 0; d < lanes->dataset_count; d++) {
            if (documents_for(lanes->datasets[d], s) == 0)
                continue;
            if (s != SOURCE_TEXT)
                TRY(check_rates(&lanes->interleaver, lanes->datasets[d]));
            TRY(row_list_add(&lanes->lists[s], d, lanes->datasets[d]));
        }
        if (lanes->lists[s].rows == 0)
            FAIL(STATUS_USAGE,
                 "data.weights.%s is %g, but no dataset of data.train has a document for it: set it to 0%s",
                 source_kind_name((enum source_kind)s), lanes->options.weights[s],
                 lanes->dataset_count == 0 ? ", or name datasets: data.train is empty" : " or add such a dataset");
    }
fail:
    return result;
}

enum status lanes_create(const struct lanes_options *options, const struct interleaver *interleaver,
                         struct dataset *const *datasets, int64_t dataset_count, struct lanes **out)
{
    enum status result = STATUS_OK;
    struct lanes *lanes = NULL;
    *out = NULL;
    TRY(lanes_options_check(options));
    TRY(interleaver_check(interleaver));
    lanes = calloc(1, sizeof *lanes);
    if (!lanes)
        FAIL(STATUS_INTERNAL, "lanes: out of memory");
    lanes->options = *options;
    lanes->interleaver = *interleaver;
    lanes->dataset_count = dataset_count;
    lanes->datasets = calloc((size_t)dataset_count + 1, sizeof(struct dataset *));
    lanes->lanes = calloc((size_t)options->lanes, sizeof *lanes->lanes);
    if (!lanes->datasets || !lanes->lanes)
        FAIL(STATUS_INTERNAL, "lanes: out of memory");
    struct sha256_stream *stream = sha256_start();
    for (int64_t d = 0; d < dataset_count; d++) {
        lanes->datasets[d] = datasets[d];
        struct sha256 hash = dataset_hash(datasets[d]);
        sha256_add(stream, hash.bytes, sizeof hash.bytes);
    }
    struct sha256 all = sha256_finish(stream);
    sha256_hex(&all, lanes->contents);
    TRY(collect_sources(lanes));
    for (int64_t l = 0; l < options->lanes; l++)
        for (int s = 0; s < SOURCE_KINDS; s++)
            order_begin(&lanes->lanes[l].orders[s], &lanes->lists[s], options->seed, s, l, options->lanes);
    *out = lanes;
    return STATUS_OK;
fail:
    lanes_destroy(lanes);
    return result;
}

void lanes_destroy(struct lanes *lanes)
{
    if (!lanes)
        return;
    for (int64_t l = 0; lanes->lanes && l < lanes->options.lanes; l++) {
        struct lane *lane = &lanes->lanes[l];
        for (int s = 0; s < SOURCE_KINDS; s++)
            order_free(&lane->orders[s]);
        free(lane->pending);
        free(lane->names);
        free(lane->name_texts);
    }
    for (int s = 0; s < SOURCE_KINDS; s++)
        row_list_free(&lanes->lists[s]);
    free(lanes->lanes);
    free(lanes->datasets);
    free(lanes);
}

static enum status check_lane(const struct lanes *lanes, int64_t lane)
{
    if (lane < 0 || lane >= lanes->options.lanes)
        return status_set(STATUS_INTERNAL, "there is no lane %lld of %lld", (long long)lane,
                          (long long)lanes->options.lanes);
    return STATUS_OK;
}

/* Each lane that this process runs reads each source through its own window of shards. */
static enum status use_lane(struct lanes *lanes, struct lane *lane)
{
    enum status result = STATUS_OK;
    if (lane->used)
        return STATUS_OK;
    lane->used = true;
    lanes->used++;
    for (int64_t d = 0; d < lanes->dataset_count; d++) {
        int64_t windows = 0;
        for (int s = 0; s < SOURCE_KINDS; s++)
            windows += lanes->options.weights[s] > 0 && documents_for(lanes->datasets[d], s) > 0;
        TRY(dataset_reserve(lanes->datasets[d], windows * lanes->used * ORDER_WINDOW));
    }
fail:
    return result;
}

/* The source that is furthest behind its share of tokens; among several that are equally far, one at random. */
static enum source_kind choose_source(const struct lanes *lanes, int64_t number)
{
    const struct lane *lane = &lanes->lanes[number];
    int tied[SOURCE_KINDS], count = 0;
    double least = INFINITY;
    for (int s = 0; s < SOURCE_KINDS; s++) {
        if (!(lanes->options.weights[s] > 0))
            continue;
        double served = (double)lane->served[s] / lanes->options.weights[s];
        if (served < least) {
            least = served;
            count = 0;
        }
        if (served == least)
            tied[count++] = s;
    }
    struct rng rng = rng_make(lanes->options.seed, RNG_SOURCE, (uint64_t)number, (uint64_t)lane->visits);
    return (enum source_kind)tied[rng_below(&rng, (uint64_t)count)];
}

/* The row as a document of the source; count 0 where it gives none. */
static enum status make_document(const struct lanes *lanes, int64_t number, enum source_kind source,
                                 const struct shard_row *row, struct document *document)
{
    const struct interleaver *interleaver = &lanes->interleaver;
    *document = (struct document){0};
    if (source == SOURCE_TEXT)
        return document_from_text(interleaver, row, document);
    if (row->units.count[STREAM_HUBERT] < 1)
        return STATUS_OK;
    if (source == SOURCE_SPEECH)
        return document_from_speech(interleaver, row, document);
    if (!row->words || row->word_count < 1)
        return STATUS_OK;
    struct rng rng =
        rng_make(lanes->options.seed, RNG_INTERLEAVE, (uint64_t)number, (uint64_t)lanes->lanes[number].visits);
    return document_interleaved(interleaver, row, &rng, document);
}

/* Fetches the lane's next document. Rows that give none for the source are skipped. */
static enum status draw(struct lanes *lanes, int64_t number)
{
    enum status result = STATUS_OK;
    struct lane *lane = &lanes->lanes[number];
    enum source_kind source = choose_source(lanes, number);
    /* Even if only a single row is usable, a lane meets it within this many rows. */
    int64_t patience = 1000 * (lanes->lists[source].rows + lanes->options.lanes);
    for (; patience > 0; patience--) {
        struct row_place place;
        struct shard_row row;
        struct document document;
        TRY(order_next(&lane->orders[source], &place));
        TRY(dataset_row(lanes->datasets[place.dataset], place.row, &row));
        result = make_document(lanes, number, source, &row, &document);
        if (result != STATUS_OK) {
            status_prefix(result, "%s: row %lld (%.*s)", dataset_folder(lanes->datasets[place.dataset]),
                          (long long)place.row, (int)(row.id_length < 200 ? row.id_length : 200), row.id);
            goto fail;
        }
        if (document.count == 0) {
            document_free(&document);
            continue;
        }
        free(lane->pending);
        lane->pending = document.ids; /* ours now */
        lane->pending_count = document.count;
        lane->pending_at = 0;
        lane->source = source;
        lane->place = place;
        lane->visits++;
        lane->documents[source]++;
        lane->words += document.words;
        lane->switched_words += document.switched_words;
        return STATUS_OK;
    }
    FAIL(STATUS_USAGE, "lanes: no row gives a document of %s", source_kind_name(source));
fail:
    return result;
}

/* Notes that the row takes tokens from the lane's current document. */
static enum status add_name(struct lane *lane)
{
    enum status result = STATUS_OK;
    int64_t texts = lane->name_capacity, names = lane->name_capacity;
    TRY(array_grow(&lane->name_texts, &texts, lane->name_count + 1, "names of documents"));
    TRY(array_grow(&lane->names, &names, lane->name_count + 1, "names of documents"));
    lane->name_capacity = names;
    snprintf(lane->name_texts[lane->name_count++].text, sizeof lane->name_texts->text, "%lld:%lld",
             (long long)lane->place.dataset, (long long)lane->place.row);
fail:
    return result;
}

enum status lanes_next(struct lanes *lanes, int64_t number, int32_t *ids, int32_t *targets, int32_t *starts)
{
    enum status result = STATUS_OK;
    const int64_t length = lanes->options.sequence_length;
    TRY(check_lane(lanes, number));
    struct lane *lane = &lanes->lanes[number];
    TRY(use_lane(lanes, lane));
    lane->name_count = 0;
    for (int64_t at = 0; at < length;) {
        if (lane->pending_at == lane->pending_count)
            TRY(draw(lanes, number));
        TRY(add_name(lane));
        int64_t left = lane->pending_count - lane->pending_at, count = left < length - at ? left : length - at;
        const int32_t *from = lane->pending + lane->pending_at;
        memcpy(ids + at, from, (size_t)count * sizeof *ids);
        memcpy(targets + at, from + 1, (size_t)(count - 1) * sizeof *targets);
        for (int64_t i = at; i < at + count; i++)
            starts[i] = lanes->options.mask_documents ? (int32_t)at : 0;
        lane->tokens[lane->source] += count;
        lane->served[lane->source] += count;
        lane->pending_at += count;
        at += count;
        if (lane->pending_at < lane->pending_count) {
            targets[at - 1] = lane->pending[lane->pending_at];
        } else if (lanes->options.mask_documents) {
            targets[at - 1] = -1;
        } else { /* what follows the end is the next document's first token */
            TRY(draw(lanes, number));
            targets[at - 1] = lane->pending[0];
        }
    }
    for (int64_t i = 0; i < lane->name_count; i++)
        lane->names[i] = lane->name_texts[i].text;
fail:
    return result;
}

int64_t lanes_last_documents(const struct lanes *lanes, int64_t lane, const char *const **names)
{
    *names = lanes->lanes[lane].names;
    return lanes->lanes[lane].name_count;
}

struct lanes_totals lanes_get_totals(const struct lanes *lanes)
{
    struct lanes_totals totals = {0};
    for (int64_t l = 0; l < lanes->options.lanes; l++) {
        const struct lane *lane = &lanes->lanes[l];
        for (int s = 0; s < SOURCE_KINDS; s++) {
            totals.tokens[s] += lane->tokens[s];
            totals.documents[s] += lane->documents[s];
        }
        totals.words += lane->words;
        totals.switched_words += lane->switched_words;
    }
    return totals;
}
