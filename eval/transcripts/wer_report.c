/* Each pair is brought into the text form and compared by words and by characters; the rates of the corpus come from the sums of
 * all pairs (error_rate.h), never from a mean of the pairs' rates, which is reported beside them. */
#include "eval/transcripts/wer_report.h"

#include <stdlib.h>

struct comparison {
    const struct text_normalizer *normalizer;
    const struct transcripts *references, *hypotheses;
    struct error_counts *words, *characters; /* room for every reference */
    struct wer_report *report;
};

/* NULL when out of memory. */
static json_t *counts_json(const struct error_counts *counts)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:f}", "substitutions", (json_int_t)counts->substitutions, "deletions",
                     (json_int_t)counts->deletions, "insertions", (json_int_t)counts->insertions, "hits",
                     (json_int_t)counts->hits, "rate", error_rate_of(counts));
}

static enum status add_sample(struct comparison *comparison, const struct transcript *reference,
                              const struct transcript *hypothesis, const char *const forms[2])
{
    struct wer_report *report = comparison->report;
    bool changed = text_normalizer_form(comparison->normalizer) != TEXT_FORM_NONE;
    json_t *sample = json_pack("{s:s, s:s, s:s, s:o, s:o}", "id", reference->id, "reference", reference->text,
                               "hypothesis", hypothesis->text, "words", counts_json(comparison->words + report->n),
                               "characters", counts_json(comparison->characters + report->n));
    bool failed = !sample || (changed && (json_object_set_new(sample, "reference_form", json_string(forms[0])) ||
                                          json_object_set_new(sample, "hypothesis_form", json_string(forms[1]))));
    if (!failed)
        return json_array_append_new(report->samples, sample)
                   ? status_set(STATUS_INTERNAL, "no memory for the sample of %.100s", reference->id)
                   : STATUS_OK;
    json_decref(sample);
    return status_set(STATUS_INTERNAL, "no memory for the sample of %.100s", reference->id);
}

static enum status compare(struct comparison *comparison, const struct transcript *reference,
                           const struct transcript *hypothesis)
{
    enum status result = STATUS_OK;
    char *forms[2] = {NULL, NULL};
    int64_t n = comparison->report->n;
    TRY(text_normalizer_apply(comparison->normalizer, reference->text, forms));
    TRY(text_normalizer_apply(comparison->normalizer, hypothesis->text, forms + 1));
    TRY(error_rate_words(forms[0], forms[1], comparison->words + n));
    TRY(error_rate_characters(forms[0], forms[1], comparison->characters + n));
    TRY(add_sample(comparison, reference, hypothesis, (const char *const *)forms));
    comparison->report->n++;
fail:
    free(forms[0]);
    free(forms[1]);
    return result == STATUS_OK ? result
                               : status_prefix(result, "%s:%lld, %s:%lld: %.100s", comparison->references->path,
                                               (long long)reference->line, comparison->hypotheses->path,
                                               (long long)hypothesis->line, reference->id);
}

static enum status compare_all(struct comparison *comparison)
{
    const struct transcripts *references = comparison->references, *hypotheses = comparison->hypotheses;
    for (int64_t i = 0; i < references->count; i++) {
        const struct transcript *hypothesis = transcripts_find(hypotheses, references->items[i].id);
        enum status result = hypothesis ? compare(comparison, references->items + i, hypothesis) : STATUS_OK;
        if (result != STATUS_OK)
            return result;
    }
    if (comparison->report->n == 0)
        return status_set(STATUS_CORRUPT, "%s and %s have no id in common", references->path, hypotheses->path);
    return STATUS_OK;
}

enum status wer_evaluate(const char *reference, const char *hypothesis, const struct wer_options *options,
                         struct wer_report *report)
{
    enum status result = STATUS_OK;
    struct text_normalizer *normalizer = NULL;
    struct transcripts references = {0}, hypotheses = {0};
    struct comparison comparison = {.references = &references, .hypotheses = &hypotheses, .report = report};
    *report = (struct wer_report){0};
    TRY(text_normalizer_open(options->form, options->spellings, &normalizer));
    TRY(transcripts_read(reference, options->reference_keys, options->skip, &references));
    TRY(transcripts_read(hypothesis, options->hypothesis_keys, options->skip, &hypotheses));
    TRY(transcripts_match(&references, &hypotheses, options->skip, &report->missing, &report->surplus));
    comparison.normalizer = normalizer;
    comparison.words = calloc((size_t)references.count, sizeof *comparison.words);
    comparison.characters = calloc((size_t)references.count, sizeof *comparison.characters);
    report->samples = json_array();
    if (!comparison.words || !comparison.characters || !report->samples)
        FAIL(STATUS_INTERNAL, "no memory for %lld pairs", (long long)references.count);
    TRY(compare_all(&comparison));
    TRY(error_rate_estimate(comparison.words, report->n, &report->words));
    TRY(error_rate_estimate(comparison.characters, report->n, &report->characters));
    report->n_expected = references.count;
    report->duplicates = references.duplicates + hypotheses.duplicates;
    report->reference_hash = references.hash;
    report->hypothesis_hash = hypotheses.hash;
    report->protocol = text_normalizer_protocol(normalizer);
fail:
    transcripts_free(&references);
    transcripts_free(&hypotheses);
    text_normalizer_free(normalizer);
    free(comparison.words);
    free(comparison.characters);
    return result;
}

void wer_report_free(struct wer_report *report)
{
    json_decref(report->samples);
    report->samples = NULL;
}
