/* The data report: what a dataset contains, as text and as report.json. It is counted from the published dataset and
 * not while shards are made, so that it describes what training will read, whichever runs made which shards. */
#include "data/prepare/prepare_review.h"

#include "core/log.h"
#include "core/utf8.h"
#include "io/audio/audio.h"
#include "io/json.h"
#include "text/sentencepiece.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct report {
    struct shard_totals totals;
    struct review review;
    int64_t tokens[STREAM_COUNT]; /* after runs are collapsed */
    int64_t text_tokens;          /* -1: no text model */
    int64_t aligned_text_tokens;
    int64_t documents, spans, words, switched_words; /* of the aligned rows, each interleaved once */
};

static enum status count_units(const struct shard_row *row, const struct unit_rates *rates, struct report *report)
{
    struct merged_unit *merged = NULL;
    int64_t count = 0;
    enum status result = units_merge(&row->units, rates, 0, -1, 7, &merged, &count);
    for (int64_t i = 0; result == STATUS_OK && i < count; i++)
        report->tokens[merged[i].stream]++;
    free(merged);
    return result;
}

static enum status count_text(const struct sentencepiece *text, const struct shard_row *row, struct report *report)
{
    int32_t *ids = NULL;
    int64_t count = 0;
    enum status result = sentencepiece_encode(text, row->text, row->text_length, true, &ids, &count);
    if (result == STATUS_OK) {
        report->text_tokens += count;
        report->aligned_text_tokens += row->word_count > 0 ? count : 0;
    }
    free(ids);
    return result;
}

/* Interleaves each aligned row once, as training would, to see how much of the data switches modality. */
static enum status count_interleaved(const struct interleaver *interleaver, const struct shard_row *row, int64_t number,
                                     struct report *report)
{
    struct document document = {0};
    struct rng rng = rng_make(0, RNG_INTERLEAVE, (uint64_t)number, 0);
    enum status result = document_interleaved(interleaver, row, &rng, &document);
    if (result == STATUS_OK) {
        report->documents++;
        report->spans += document.spans;
        report->words += document.words;
        report->switched_words += document.switched_words;
    }
    document_free(&document);
    return result;
}

static enum status count_rows(const struct prepare_dataset *dataset, const struct interleaver *interleaver,
                              const struct sentencepiece *text, struct report *report)
{
    enum status result = STATUS_OK;
    struct dataset *opened = NULL;
    TRY(dataset_open(dataset->folder, &opened));
    report->totals = *dataset_totals(opened);
    for (int64_t i = 0; i < dataset_rows(opened); i++) {
        struct shard_row row;
        TRY(dataset_row(opened, i, &row));
        if (dataset->kind == DATASET_SPEECH)
            TRY(count_units(&row, &dataset->fingerprints.rates, report));
        if (text && row.text_length > 0)
            TRY(count_text(text, &row, report));
        if (interleaver && row.word_count > 0)
            TRY(count_interleaved(interleaver, &row, i, report));
    }
fail:
    dataset_close(opened);
    return result;
}

static double ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

/* The parts of report.json. Like jansson's own functions, these return non-zero when out of memory. */
static int describe_streams(json_t *root, const struct report *report, double seconds)
{
    int lost = 0;
    json_t *streams = json_object();
    for (int i = 0; i < STREAM_COUNT; i++)
        if (report->totals.units[i] > 0)
            lost |= json_object_set_new(streams, unit_stream_name((enum unit_stream)i),
                                        json_pack("{s:I, s:I, s:f}", "units", (json_int_t)report->totals.units[i],
                                                  "tokens", (json_int_t)report->tokens[i], "tokens_per_second",
                                                  ratio((double)report->tokens[i], seconds)));
    lost |= json_object_set_new(root, "streams", streams);
    return lost;
}

static int describe_speech(json_t *root, const struct report *report)
{
    const struct shard_totals *totals = &report->totals;
    double seconds = (double)totals->samples / AUDIO_RATE, aligned = (double)totals->aligned_samples / AUDIO_RATE;
    int lost = describe_streams(root, report, seconds);
    lost |= json_object_set_new(root, "hours", json_real(seconds / 3600));
    lost |= json_object_set_new(root, "aligned_hours", json_real(aligned / 3600));
    lost |= json_object_set_new(root, "aligned_rows", json_integer(totals->aligned_rows));
    lost |= json_object_set_new(root, "aligned_words", json_integer(totals->words));
    if (report->text_tokens >= 0)
        lost |= json_object_set_new(root, "text_tokens_per_second",
                                    json_real(ratio((double)report->aligned_text_tokens, aligned)));
    if (report->documents > 0)
        lost |= json_object_set_new(root, "interleaved",
                                    json_pack("{s:I, s:I, s:f, s:f}", "words", (json_int_t)report->words,
                                              "switched_words", (json_int_t)report->switched_words, "switched_share",
                                              ratio((double)report->switched_words, (double)report->words),
                                              "spans_per_document",
                                              ratio((double)report->spans, (double)report->documents)));
    return lost;
}

static json_t *report_json(const struct prepare_dataset *dataset, const struct report *report)
{
    json_t *root = json_pack("{s:s, s:I, s:I, s:I}", "kind", dataset_kind_name(dataset->kind), "rows",
                             (json_int_t)report->totals.rows, "rejects", (json_int_t)report->review.rejects,
                             "text_bytes", (json_int_t)report->totals.text_bytes);
    int lost = review_describe(root, &report->review);
    if (report->text_tokens >= 0)
        lost |= json_object_set_new(root, "text_tokens", json_integer(report->text_tokens));
    if (dataset->kind == DATASET_SPEECH)
        lost |= describe_speech(root, report);
    if (lost) {
        json_decref(root);
        return NULL;
    }
    return root;
}

static void print_report(const struct prepare_dataset *dataset, const struct report *report, FILE *file)
{
    const struct shard_totals *totals = &report->totals;
    double seconds = (double)totals->samples / AUDIO_RATE, aligned = (double)totals->aligned_samples / AUDIO_RATE;
    utf8_print(file, "%s: %s, %lld rows, %lld rejected\n", dataset->folder, dataset_kind_name(dataset->kind),
               (long long)totals->rows, (long long)report->review.rejects);
    review_print(file, &report->review);
    if (totals->text_bytes > 0) {
        fprintf(file, "  text: %lld bytes", (long long)totals->text_bytes);
        if (report->text_tokens >= 0)
            fprintf(file, ", %lld tokens", (long long)report->text_tokens);
        if (report->aligned_text_tokens > 0)
            fprintf(file, " (%.2f per second of aligned speech)", ratio((double)report->aligned_text_tokens, aligned));
        fprintf(file, "\n");
    }
    if (dataset->kind == DATASET_TEXT)
        return;
    fprintf(file, "  speech: %.3f hours, %.3f aligned: %lld rows with %lld words\n", seconds / 3600, aligned / 3600,
            (long long)totals->aligned_rows, (long long)totals->words);
    for (int i = 0; i < STREAM_COUNT; i++)
        if (totals->units[i] > 0)
            fprintf(file, "  %s: %lld units, %lld tokens (%.2f per second)\n", unit_stream_name((enum unit_stream)i),
                    (long long)totals->units[i], (long long)report->tokens[i],
                    ratio((double)report->tokens[i], seconds));
    if (report->documents > 0)
        fprintf(
            file,
            "  interleaved: %lld of %lld words (%.1f %%) in documents that switch modality, %.2f spans per document\n",
            (long long)report->switched_words, (long long)report->words,
            100 * ratio((double)report->switched_words, (double)report->words),
            ratio((double)report->spans, (double)report->documents));
}

/* Rows that are shorter than a span of each modality together stay whole, and a model that is trained on them learns nothing
 * of how text and speech correspond. The lengths in the paper are made for audiobooks. */
static void warn_of_few_switches(const struct prepare *prepare, const struct prepare_dataset *dataset,
                                 const struct report *report)
{
    const double share = ratio((double)report->switched_words, (double)report->words);
    if (report->words == 0 || share >= 0.5 || prepare->options->interleave->mode != INTERLEAVE_SPANS)
        return;
    log_warning(
        "%s: only %.0f %% of the words are in documents that switch between text and speech, because most rows are "
        "shorter than a span of each; for short recordings lower data.text_words_minimum and _maximum, and "
        "data.speech_words_minimum and _maximum (here %lld to %lld and %lld to %lld words)",
        dataset->folder, 100 * share, (long long)prepare->options->interleave->text_words_minimum,
        (long long)prepare->options->interleave->text_words_maximum,
        (long long)prepare->options->interleave->speech_words_minimum,
        (long long)prepare->options->interleave->speech_words_maximum);
}

/* The vocabulary that a model trained on this dataset would have. *used is set when the dataset can be interleaved. */
static enum status make_interleaver(const struct prepare *prepare, const struct prepare_dataset *dataset,
                                    const struct sentencepiece *text, struct vocabulary *vocabulary,
                                    struct interleaver *interleaver, bool *used)
{
    enum status result = STATUS_OK;
    struct dataset *opened = NULL;
    int32_t codes[STREAM_COUNT];
    *used = text && prepare->options->interleave && dataset->kind == DATASET_SPEECH;
    if (!*used)
        return STATUS_OK;
    TRY(dataset_open(dataset->folder, &opened));
    for (int stream = 0; stream < STREAM_COUNT; stream++)
        codes[stream] = prepare_dataset_needs_tokenizer(prepare, dataset)
                            ? prepare->speech->encoder[stream].size
                            : (int32_t)dataset_totals(opened)->codes[stream];
    TRY(vocabulary_create(sentencepiece_size(text), sentencepiece_bos(text), sentencepiece_eos(text),
                          sentencepiece_unk(text), codes[STREAM_HUBERT], codes[STREAM_PITCH], codes[STREAM_STYLE], true,
                          vocabulary));
    *interleaver = (struct interleaver){text, vocabulary, dataset->fingerprints.rates, *prepare->options->interleave};
    TRY(interleaver_check(interleaver));
fail:
    dataset_close(opened);
    return result;
}

enum status prepare_report(struct prepare *prepare, const struct prepare_dataset *dataset)
{
    enum status result = STATUS_OK;
    struct report report = {.text_tokens = -1};
    struct sentencepiece *text = NULL;
    struct vocabulary vocabulary;
    struct interleaver interleaver;
    bool interleaved = false;
    json_t *root = NULL;
    char path[PATH_BYTES], *json = NULL;
    bool written = false;
    const char *model = prepare->options->tokenizer->text_model;
    if (model[0]) {
        TRY(sentencepiece_load(model, &text));
        report.text_tokens = 0;
    }
    TRY(review_count(prepare, dataset, &report.review));
    TRY(make_interleaver(prepare, dataset, text, &vocabulary, &interleaver, &interleaved));
    TRY(count_rows(dataset, interleaved ? &interleaver : NULL, text, &report));
    root = report_json(dataset, &report);
    if (!root || !(json = jdoc_text(root, 1)))
        FAIL(STATUS_INTERNAL, "out of memory");
    TRY(path_format(path, "%s/report.json", dataset->folder));
    TRY(write_if_different(path, json, (int64_t)strlen(json), &written));
    if (prepare->options->report)
        print_report(dataset, &report, prepare->options->report);
    review_warn(dataset, &report.review);
    if (interleaved)
        warn_of_few_switches(prepare, dataset, &report);
fail:
    review_free(&report.review);
    free(json);
    json_decref(root);
    sentencepiece_free(text);
    return result;
}
