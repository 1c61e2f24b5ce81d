/* Utterances are arranged in a random circle; the other first half is that of the next one. So each first half and each second
 * half occurs as often in own as in foreign pairings, and the differences are one observation per utterance. */
#include "eval/crossing.h"

#include "eval/documents.h"

#include <stdlib.h>
#include <string.h>

enum { OWN, FOREIGN, PAIRINGS, LEAST_WORDS = 4 };

struct item {
    int64_t dataset, row;
    bool synthetic;
};

/* A continuation after both prompts. */
struct trial {
    struct scored_sequence sequences[PAIRINGS];
    int64_t from; /* the continuation is the last tokens, the same number in both */
    bool synthetic;
};

struct trials {
    struct trial *trials;
    int64_t count, left_out;
};

static enum status list_items(const struct learning_data *data, struct item **items, int64_t *count)
{
    enum status result = STATUS_OK;
    int64_t rows = 0;
    for (int64_t d = 0; d < data->held_out_count; d++)
        rows += dataset_rows(data->held_out[d]);
    *count = 0;
    *items = calloc((size_t)rows + 1, sizeof **items);
    if (!*items)
        return status_set(STATUS_INTERNAL, "no memory for a list of utterances");
    for (int64_t d = 0; d < data->held_out_count; d++)
        for (int64_t i = 0; dataset_kind(data->held_out[d]) == DATASET_SPEECH && i < dataset_rows(data->held_out[d]);
             i++) {
            struct shard_row row;
            TRY(dataset_row(data->held_out[d], i, &row));
            if (row.word_count >= LEAST_WORDS && row.units.count[STREAM_HUBERT] > 0)
                (*items)[(*count)++] = (struct item){d, i, document_is_synthetic(&row)};
        }
fail:
    return result;
}

/* A row's bytes belong to a shard that the next call may close, so that the document is made at once. */
static enum status make_sequence(const struct learning_data *data, const struct item *prompt,
                                 const struct item *continuation, bool speech_first, struct scored_sequence *sequence,
                                 int64_t *after_tag)
{
    enum status result = STATUS_OK;
    struct shard_row rows[2];
    struct document document = {0};
    int64_t tag = 0;
    TRY(dataset_row(data->held_out[prompt->dataset], prompt->row, &rows[0]));
    TRY(dataset_row(data->held_out[continuation->dataset], continuation->row, &rows[1]));
    const struct crossing crossing = {.prompt = &rows[0],
                                      .continuation = &rows[1],
                                      .prompt_cut = rows[0].word_count / 2,
                                      .continuation_cut = rows[1].word_count / 2,
                                      .speech_first = speech_first};
    TRY(document_crossing(&data->interleaver, &crossing, &document, &tag));
    *after_tag = document.count - tag - 1;
    sequence->ids = document.ids;
    sequence->count = document.count;
    if (document.count > 0 && !(sequence->losses = calloc((size_t)document.count, sizeof *sequence->losses)))
        FAIL(STATUS_INTERNAL, "no memory for the losses of a document");
fail:
    return result;
}

static void trial_free(struct trial *trial)
{
    for (int p = 0; p < PAIRINGS; p++) {
        free(trial->sequences[p].ids);
        free(trial->sequences[p].losses);
    }
    *trial = (struct trial){0};
}

/* Leaves out what has nothing to say in one of its halves, or does not fit the context with either prompt. */
static enum status add_trial(const struct learning_data *data, const struct item *own, const struct item *foreign,
                             bool speech_first, int64_t context, struct trials *trials)
{
    enum status result = STATUS_OK;
    struct trial *trial = &trials->trials[trials->count];
    int64_t tokens[PAIRINGS];
    trial->synthetic = own->synthetic;
    for (int p = 0; p < PAIRINGS; p++)
        TRY(make_sequence(data, p == OWN ? own : foreign, own, speech_first, &trial->sequences[p], &tokens[p]));
    bool said = trial->sequences[OWN].count > 0 && trial->sequences[FOREIGN].count > 0;
    bool fits = trial->sequences[OWN].count <= context && trial->sequences[FOREIGN].count <= context;
    trial->from = tokens[OWN];
    if (said && fits && tokens[OWN] == tokens[FOREIGN]) {
        trials->count++;
        return STATUS_OK;
    }
    trials->left_out += said && !fits;
    trial_free(trial);
fail:
    return result;
}

static enum status make_trials(const struct learning_data *data, bool speech_first, int64_t context,
                               struct trials *trials)
{
    enum status result = STATUS_OK;
    struct item *items = NULL;
    int64_t count = 0, *order = NULL;
    TRY(list_items(data, &items, &count));
    if (count < 2)
        FAIL(STATUS_CORRUPT, "data.validation has %lld aligned utterances of at least %d words, expected two or more",
             (long long)count, (int)LEAST_WORDS);
    order = calloc((size_t)count, sizeof *order);
    trials->trials = calloc((size_t)count, sizeof *trials->trials);
    if (!order || !trials->trials)
        FAIL(STATUS_INTERNAL, "no memory for %lld utterances", (long long)count);
    struct rng rng = rng_make(data->seed, RNG_EVALUATE, 1, 0);
    rng_permutation(&rng, order, count);
    for (int64_t i = 0; i < count; i++)
        TRY(add_trial(data, &items[order[i]], &items[order[(i + 1) % count]], speech_first, context, trials));
fail:
    free(items);
    free(order);
    return result;
}

static enum status score_trials(struct llama *model, const struct trials *trials)
{
    struct scored_sequence *sequences = calloc((size_t)(PAIRINGS * trials->count) + 1, sizeof *sequences);
    if (!sequences)
        return status_set(STATUS_INTERNAL, "no memory to score utterances");
    for (int64_t i = 0; i < trials->count; i++)
        for (int p = 0; p < PAIRINGS; p++)
            sequences[PAIRINGS * i + p] = trials->trials[i].sequences[p]; /* the buffers are shared */
    enum status result = scorer_run(model, sequences, PAIRINGS * trials->count);
    free(sequences);
    return result;
}

/* Nats of the tokens after the second tag, EOS included. */
static double nats(const struct trial *trial, int pairing)
{
    const struct scored_sequence *sequence = &trial->sequences[pairing];
    double sum = 0;
    for (int64_t i = sequence->count - trial->from; i < sequence->count; i++)
        sum += (double)sequence->losses[i];
    return sum;
}

static enum status summarise(const struct trials *trials, bool real_only, struct crossing_score *score)
{
    enum status result = STATUS_OK;
    double *values = calloc(3 * (size_t)trials->count + 1, sizeof *values);
    int64_t count = 0;
    if (!values)
        return status_set(STATUS_INTERNAL, "no memory for the scores of utterances");
    double *wins = values, *saved = wins + trials->count, *tokens = saved + trials->count;
    for (int64_t i = 0; i < trials->count; i++) {
        const struct trial *trial = &trials->trials[i];
        if (real_only && trial->synthetic)
            continue;
        double difference = nats(trial, FOREIGN) - nats(trial, OWN);
        wins[count] = difference > 0 ? 1 : difference == 0 ? 0.5 : 0;
        saved[count] = difference;
        tokens[count++] = (double)trial->from;
    }
    score->accuracy = estimate_mean(wins, count);
    score->margin = estimate_ratio(saved, tokens, count);
    free(values);
    return result;
}

enum status crossing_evaluate(struct llama *model, const struct learning_data *data, struct crossing_result *out)
{
    enum status result = STATUS_OK;
    *out = (struct crossing_result){0};
    for (int direction = 0; direction < 2; direction++) {
        struct trials trials = {0};
        result = make_trials(data, direction == 0, model->config.maximum_positions, &trials);
        if (result == STATUS_OK)
            result = score_trials(model, &trials);
        if (result == STATUS_OK)
            result = summarise(&trials, false, &out->all[direction]);
        if (result == STATUS_OK)
            result = summarise(&trials, true, &out->real[direction]);
        out->left_out += trials.left_out;
        for (int64_t i = 0; i < trials.count; i++)
            trial_free(&trials.trials[i]);
        free(trials.trials);
        if (result != STATUS_OK)
            break;
    }
    return result;
}
