/* Error rates as a table and a results file with lm-evaluation-harness's keys. */
#include "eval/task_wer.h"

#include "core/path.h"
#include "core/utf8.h"
#include "eval/transcripts/wer_report.h"
#include "io/atomic_file.h"
#include "io/json.h"

#include <stdlib.h>
#include <string.h>

static void print_rate(FILE *report, const char *name, const struct error_rate *rate)
{
    const struct error_counts *total = &rate->total;
    char error[ESTIMATE_ERROR_BYTES];
    utf8_print(report, "%-12s %8.4f %8s %9lld %9lld %9lld %10lld\n", name, rate->corpus.value,
               estimate_error_text(rate->corpus, error), (long long)total->substitutions, (long long)total->deletions,
               (long long)total->insertions, (long long)(total->hits + total->substitutions + total->deletions));
}

static void print(const struct wer_report *found, FILE *report)
{
    utf8_print(report, "%-12s %8s %8s %9s %9s %9s %10s\n", found->protocol, "rate", "stderr", "replaced", "deleted",
               "inserted", "reference");
    print_rate(report, "words", &found->words);
    print_rate(report, "characters", &found->characters);
    utf8_print(report, "%lld of %lld references; %lld missing, %lld surplus, %lld doubled\n", (long long)found->n,
               (long long)found->n_expected, (long long)found->missing, (long long)found->surplus,
               (long long)found->duplicates);
}

/* {"wer,none", "wer_stderr,none", "mean": ...}; NULL: no memory. */
static json_t *rates_json(const struct wer_report *found)
{
    return json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I}", "alias", "wer", "wer,none",
        jdoc_number(found->words.corpus.value), "wer_stderr,none", jdoc_number(found->words.corpus.standard_error),
        "cer,none", jdoc_number(found->characters.corpus.value), "cer_stderr,none",
        jdoc_number(found->characters.corpus.standard_error), "wer,mean", jdoc_number(found->words.mean.value),
        "cer,mean", jdoc_number(found->characters.mean.value), "sample_len", (json_int_t)found->n, "expected",
        (json_int_t)found->n_expected, "missing", (json_int_t)found->missing, "surplus", (json_int_t)found->surplus,
        "duplicates", (json_int_t)found->duplicates);
}

static json_t *results_json(const char *reference, const char *hypothesis, const struct wer_report *found)
{
    return json_pack("{s:{s:o}, s:{s:{s:b, s:b}}, s:{s:{s:I, s:I}}, s:s, s:{s:s, s:o, s:s, s:o}}", "results", "wer",
                     rates_json(found), "higher_is_better", "wer", "wer", 0, "cer", 0, "n-samples", "wer", "original",
                     (json_int_t)found->n_expected, "effective", (json_int_t)found->n, "protocol", found->protocol,
                     "inputs", "reference", reference, "reference_sha256", jdoc_hash(&found->reference_hash),
                     "hypothesis", hypothesis, "hypothesis_sha256", jdoc_hash(&found->hypothesis_hash));
}

static enum status write_samples(const char *out, const json_t *samples)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES], *text = jdoc_lines(samples);
    if (!text)
        FAIL(STATUS_INTERNAL, "no memory for the samples");
    TRY(path_format(path, "%s/samples_wer.jsonl", out));
    TRY(atomic_write(path, text, (int64_t)strlen(text)));
fail:
    free(text);
    return result;
}

enum status task_wer(const char *reference, const char *hypothesis, const struct evaluate_settings *settings,
                     const char *out, FILE *report)
{
    enum status result = STATUS_OK;
    struct wer_report found = {0};
    const struct wer_options options = {.form = (enum text_form)settings->text_form,
                                        .spellings = *settings->spellings ? settings->spellings : NULL,
                                        .skip = settings->incomplete == INCOMPLETE_SKIP};
    char path[PATH_BYTES], *text = NULL;
    json_t *root = NULL;
    TRY(wer_evaluate(reference, hypothesis, &options, &found));
    print(&found, report);
    root = results_json(reference, hypothesis, &found);
    text = root ? jdoc_text(root, 2) : NULL;
    if (!text)
        FAIL(STATUS_INTERNAL, "no memory for the results, or a path is not UTF-8");
    TRY(make_directories(out));
    TRY(write_samples(out, found.samples));
    TRY(path_format(path, "%s/results_wer.json", out));
    TRY(atomic_write(path, text, (int64_t)strlen(text)));
fail:
    wer_report_free(&found);
    json_decref(root);
    free(text);
    return result;
}
