/* Model and bigram are compared on the same tokens of the same held-out documents. The model also predicts tags, pitch
 * and style, which do not count; the bigram sees only the counted tokens, as if the others were not there. Shuffled
 * units keep every count and lose the order: a model that still beat the bigram on them would show that the measure is
 * wrong, not that the model has learned. */
#include "eval/learning.h"

#include "core/array.h"
#include "eval/documents.h"
#include "eval/shuffle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The counted tokens of a document: those of one kind, renumbered from 0. */
struct counted_kind {
    enum token_kind kind;
    int32_t base, size;
};

static struct counted_kind counted_hubert(const struct vocabulary *vocabulary)
{
    return (struct counted_kind){TOKEN_HUBERT, vocabulary->hubert_base, vocabulary->hubert_count};
}

/* Text pieces without BOS and EOS. */
static struct counted_kind counted_text(const struct vocabulary *vocabulary)
{
    return (struct counted_kind){TOKEN_TEXT, 0, vocabulary->text_size};
}

static bool counts(const struct vocabulary *vocabulary, struct counted_kind what, int32_t id)
{
    return vocabulary_kind(vocabulary, id) == what.kind && id != vocabulary->bos && id != vocabulary->eos;
}

static int64_t subsequence(const struct vocabulary *vocabulary, struct counted_kind what, const int32_t *ids,
                           int64_t count, int32_t *out)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < count; i++)
        if (counts(vocabulary, what, ids[i]))
            out[kept++] = ids[i] - what.base;
    return kept;
}

int64_t hubert_subsequence(const struct vocabulary *vocabulary, const int32_t *ids, int64_t count, int32_t *units)
{
    return subsequence(vocabulary, counted_hubert(vocabulary), ids, count, units);
}

static enum status bigram_of(const struct vocabulary *vocabulary, struct counted_kind what,
                             const struct document_list *list, struct kneser_ney **out)
{
    enum status result = STATUS_OK;
    struct kneser_ney *bigram = NULL;
    int32_t *symbols = NULL;
    int64_t capacity = 0;
    *out = NULL;
    TRY(kneser_ney_create(what.size, &bigram));
    for (int64_t i = 0; i < list->count; i++) {
        const struct scored_sequence *sequence = &list->sequences[i];
        TRY(array_grow(&symbols, &capacity, sequence->count + 1, "symbols of a document"));
        TRY(kneser_ney_add(bigram, symbols, subsequence(vocabulary, what, sequence->ids, sequence->count, symbols)));
    }
    TRY(kneser_ney_finish(bigram));
    *out = bigram;
    bigram = NULL;
fail:
    kneser_ney_free(bigram);
    free(symbols);
    return result;
}

/* Nats of one document, the bigram's and the model's, over the counted tokens. */
static enum status compare_document(const struct vocabulary *vocabulary, struct counted_kind what,
                                    const struct kneser_ney *bigram, const struct scored_sequence *sequence,
                                    double *model_nats, double *bigram_nats, double *tokens)
{
    int32_t *symbols = malloc((size_t)(sequence->count + 1) * sizeof *symbols);
    if (!symbols)
        return status_set(STATUS_INTERNAL, "no memory for a document's symbols");
    int64_t count = subsequence(vocabulary, what, sequence->ids, sequence->count, symbols);
    *bigram_nats = kneser_ney_nats(bigram, symbols, count);
    *tokens = (double)count;
    *model_nats = 0;
    for (int64_t i = 0; i < sequence->count; i++)
        if (counts(vocabulary, what, sequence->ids[i]))
            *model_nats += (double)sequence->losses[i];
    free(symbols);
    return STATUS_OK;
}

static enum status compare(const struct vocabulary *vocabulary, struct counted_kind what,
                           const struct kneser_ney *bigram, const struct document_list *list, bool real_only,
                           struct comparison *comparison)
{
    enum status result = STATUS_OK;
    double model_sum = 0, bigram_sum = 0, token_sum = 0;
    int64_t kept = 0;
    double *margins = calloc((size_t)list->count + 1, sizeof *margins);
    double *tokens = calloc((size_t)list->count + 1, sizeof *tokens);
    if (!margins || !tokens)
        FAIL(STATUS_INTERNAL, "no memory to compare %lld documents", (long long)list->count);
    for (int64_t i = 0; i < list->count; i++) {
        double model_nats = 0, bigram_nats = 0;
        if (real_only && list->synthetic[i])
            continue;
        TRY(compare_document(vocabulary, what, bigram, &list->sequences[i], &model_nats, &bigram_nats, &tokens[kept]));
        margins[kept] = bigram_nats - model_nats;
        model_sum += model_nats;
        bigram_sum += bigram_nats;
        token_sum += tokens[kept++];
    }
    *comparison = (struct comparison){.model = model_sum / token_sum,
                                      .bigram = bigram_sum / token_sum,
                                      .margin = estimate_ratio(margins, tokens, kept),
                                      .tokens = token_sum};
fail:
    free(margins);
    free(tokens);
    return result;
}

static enum status shuffle_all(const struct vocabulary *vocabulary, enum token_kind kind, uint64_t seed,
                               struct document_list *list)
{
    enum status result = STATUS_OK;
    for (int64_t d = 0; d < list->count; d++)
        TRY(shuffle_kind(vocabulary, kind, seed, d, &list->sequences[d]));
fail:
    return result;
}

static enum status evaluate_kind(struct llama *model, const struct learning_data *data, enum dataset_kind kind,
                                 struct comparison *all, struct comparison *real, struct comparison *shuffled,
                                 int64_t *windowed)
{
    enum status result = STATUS_OK;
    const struct vocabulary *vocabulary = &data->components->vocabulary;
    struct counted_kind what = kind == DATASET_SPEECH ? counted_hubert(vocabulary) : counted_text(vocabulary);
    struct document_list train = {0}, held_out = {0};
    struct kneser_ney *bigram = NULL;
    TRY(documents_read(&data->interleaver, data->train, data->train_count, kind, &train));
    TRY(documents_read(&data->interleaver, data->held_out, data->held_out_count, kind, &held_out));
    if (train.count == 0 || held_out.count == 0)
        goto fail; /* there is nothing to compare: n stays 0 */
    TRY(bigram_of(vocabulary, what, &train, &bigram));
    for (int64_t i = 0; i < held_out.count; i++)
        *windowed += held_out.sequences[i].count > model->config.maximum_positions;
    TRY(scorer_run(model, held_out.sequences, held_out.count));
    TRY(compare(vocabulary, what, bigram, &held_out, false, all));
    if (real)
        TRY(compare(vocabulary, what, bigram, &held_out, true, real));
    if (shuffled) {
        TRY(shuffle_all(vocabulary, what.kind, data->seed, &held_out));
        TRY(scorer_run(model, held_out.sequences, held_out.count));
        TRY(compare(vocabulary, what, bigram, &held_out, false, shuffled));
    }
fail:
    kneser_ney_free(bigram);
    documents_free(&train);
    documents_free(&held_out);
    return result;
}

enum status learning_evaluate(struct llama *model, const struct learning_data *data, struct learning_result *out)
{
    enum status result = STATUS_OK;
    *out = (struct learning_result){0};
    TRY(evaluate_kind(model, data, DATASET_SPEECH, &out->speech, &out->real_speech, &out->shuffled, &out->windowed));
    TRY(evaluate_kind(model, data, DATASET_TEXT, &out->text, NULL, NULL, &out->windowed));
    if (out->speech.margin.n == 0 && out->text.margin.n == 0)
        FAIL(STATUS_USAGE, "nothing to compare: data.train and data.validation have no modality in common");
fail:
    return result;
}

bool comparison_holds(const struct comparison *comparison, double nats)
{
    const struct estimate *margin = &comparison->margin;
    return margin->value >= nats && margin->value >= 2 * margin->standard_error; /* false for a NaN */
}

enum status learning_judge(const struct learning_result *learning)
{
    if (learning->speech.margin.n == 0)
        return status_set(STATUS_UNMET,
                          "speech: expected in both data.train and data.validation, but at least one has none");
    if (!comparison_holds(&learning->speech, 0.05))
        return status_set(STATUS_UNMET, "speech: the model is not 0.05 nat and 2 standard errors below the bigram");
    if (comparison_holds(&learning->shuffled, 0.05))
        return status_set(STATUS_UNMET, "shuffled units pass the check too: it does not measure order");
    if (learning->text.margin.n > 0 && !comparison_holds(&learning->text, 0))
        return status_set(STATUS_UNMET, "text: the model is not 2 standard errors below the bigram of the same pieces");
    return STATUS_OK;
}

enum status unit_bigram_create(const struct learning_data *data, struct kneser_ney **bigram)
{
    enum status result = STATUS_OK;
    const struct vocabulary *vocabulary = &data->components->vocabulary;
    struct document_list train = {0};
    *bigram = NULL;
    TRY(documents_read(&data->interleaver, data->train, data->train_count, DATASET_SPEECH, &train));
    TRY(bigram_of(vocabulary, counted_hubert(vocabulary), &train, bigram));
fail:
    documents_free(&train);
    return result;
}

enum status unit_bigram_held_out(const struct learning_data *data, const struct kneser_ney *bigram, double *nats,
                                 int64_t *units)
{
    enum status result = STATUS_OK;
    const struct vocabulary *vocabulary = &data->components->vocabulary;
    struct document_list list = {0};
    double sum = 0, tokens = 0;
    TRY(documents_read(&data->interleaver, data->held_out, data->held_out_count, DATASET_SPEECH, &list));
    for (int64_t i = 0; i < list.count; i++) {
        double unused = 0, bigram_nats = 0, count = 0;
        TRY(compare_document(vocabulary, counted_hubert(vocabulary), bigram, &list.sequences[i], &unused, &bigram_nats,
                             &count));
        sum += bigram_nats;
        tokens += count;
    }
    *nats = sum / tokens;
    *units = (int64_t)tokens;
fail:
    documents_free(&list);
    return result;
}
