/* The task asr: few-shot recognition of LibriSpeech. Error rates are corpus-level (eval/transcripts/error_rate.h), in the text form
 * that evaluate.text_form names; the reference is in the letters of the prompts. */
#include "eval/task.h"

#include "core/utf8.h"
#include "eval/few_shot_run.h"
#include "eval/transcripts/error_rate.h"
#include "eval/transcripts/text_form.h"
#include "io/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The errors of every item. */
struct errors {
    struct error_counts *words, *characters; /* [count] */
};

static enum status compare(const struct few_shot_run *run, const struct text_normalizer *normalizer, int64_t index,
                           struct errors *errors)
{
    enum status result = STATUS_OK;
    char *reference = NULL, *forms[2] = {NULL};
    TRY(text_in_letters(&run->pattern, run->corpus.items[run->tested[index]].answer, &reference));
    TRY(text_normalizer_apply(normalizer, reference, &forms[0]));
    TRY(text_normalizer_apply(normalizer, run->answers[index].text, &forms[1]));
    TRY(error_rate_words(forms[0], forms[1], &errors->words[index]));
    TRY(error_rate_characters(forms[0], forms[1], &errors->characters[index]));
fail:
    free(reference);
    free(forms[0]);
    free(forms[1]);
    return result;
}

static json_t *counts_json(const struct error_counts *counts)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "substitutions", (json_int_t)counts->substitutions, "deletions",
                     (json_int_t)counts->deletions, "insertions", (json_int_t)counts->insertions, "hits",
                     (json_int_t)counts->hits);
}

static enum status add_sample(struct few_shot_run *run, int64_t index, const struct errors *errors)
{
    json_t *sample = few_shot_sample(run, index);
    bool done = sample && json_object_set_new(sample, "words", counts_json(&errors->words[index])) == 0 &&
                json_object_set_new(sample, "characters", counts_json(&errors->characters[index])) == 0;
    if (!done) {
        json_decref(sample);
        sample = NULL;
    }
    return generation_results_sample(&run->results, sample);
}

static void print_part(FILE *report, const char *alias, const struct error_rate *words,
                       const struct error_rate *characters, const json_t *metrics, int64_t count)
{
    char error[ESTIMATE_ERROR_BYTES];
    utf8_print(report, "%-16s %8.4f %8s %8.4f %7lld %7lld %7lld %7lld %7lld %7lld %7lld\n", alias, words->corpus.value,
               estimate_error_text(words->corpus, error), characters->corpus.value, (long long)count,
               json_integer_value(json_object_get(metrics, "no_end")),
               json_integer_value(json_object_get(metrics, "second_begin")),
               json_integer_value(json_object_get(metrics, "other_modality")),
               json_integer_value(json_object_get(metrics, "too_long")),
               json_integer_value(json_object_get(metrics, "empty")),
               json_integer_value(json_object_get(metrics, "lost_shots")));
}

static enum status add_part(struct few_shot_run *run, const char *part, const struct errors *errors)
{
    enum status result = STATUS_OK;
    struct errors own = {calloc((size_t)run->count + 1, sizeof *own.words),
                         calloc((size_t)run->count + 1, sizeof *own.characters)};
    struct error_rate words, characters;
    char name[96];
    json_t *metrics = NULL;
    int64_t count = 0;
    if (!own.words || !own.characters)
        FAIL(STATUS_INTERNAL, "no memory for the results");
    for (int64_t i = 0; i < run->count; i++)
        if (!strcmp(run->corpus.items[run->tested[i]].part, part)) {
            own.words[count] = errors->words[i];
            own.characters[count++] = errors->characters[i];
        }
    TRY(error_rate_estimate(own.words, count, &words));
    TRY(error_rate_estimate(own.characters, count, &characters));
    metrics = json_pack("{s:o, s:o, s:o, s:o, s:o}", "wer,none", jdoc_number(words.corpus.value), "wer_stderr,none",
                        jdoc_number(words.corpus.standard_error), "cer,none", jdoc_number(characters.corpus.value),
                        "cer_stderr,none", jdoc_number(characters.corpus.standard_error), "wer,mean",
                        jdoc_number(words.mean.value));
    if (!metrics)
        FAIL(STATUS_INTERNAL, "no memory for the results");
    TRY(few_shot_count_faults(run, part, metrics));
    print_part(run->task->report, part, &words, &characters, metrics, count);
    if (count > 0 && *run->task->outcome->headline == 0)
        snprintf(run->task->outcome->headline, sizeof run->task->outcome->headline, "%.60s: WER %.4f, n = %lld", part,
                 words.corpus.value, (long long)count);
    snprintf(name, sizeof name, "asr_%.80s", part);
    TRY(generation_results_row(&run->results, &(struct generation_row){.name = name,
                                                                       .alias = part,
                                                                       .shots = run->shots.count,
                                                                       .expected = count,
                                                                       .effective = count,
                                                                       .metrics = json_incref(metrics)}));
fail:
    json_decref(metrics);
    free(own.words);
    free(own.characters);
    return result;
}

static enum status judge(struct few_shot_run *run, const struct text_normalizer *normalizer)
{
    enum status result = STATUS_OK;
    struct errors errors = {calloc((size_t)run->count + 1, sizeof *errors.words),
                            calloc((size_t)run->count + 1, sizeof *errors.characters)};
    const char **parts = NULL;
    int64_t part_count;
    if (!errors.words || !errors.characters)
        FAIL(STATUS_INTERNAL, "no memory for the results");
    for (int64_t i = 0; i < run->count; i++) {
        TRY(compare(run, normalizer, i, &errors));
        TRY(add_sample(run, i, &errors));
    }
    TRY(few_shot_parts(run, &parts, &part_count));
    utf8_print(run->task->report, "%-16s %8s %8s %8s %7s %7s %7s %7s %7s %7s %7s\n", "asr", "WER", "stderr", "CER", "n",
               "no end", "2nd", "other", "long", "empty", "lost");
    for (int64_t p = 0; p < part_count; p++)
        TRY(add_part(run, parts[p], &errors));
fail:
    free(errors.words);
    free(errors.characters);
    free(parts);
    return result;
}

enum status task_asr(const struct task *task, const char *path)
{
    enum status result = STATUS_OK;
    struct few_shot_run run = {0};
    struct text_normalizer *normalizer = NULL;
    const struct few_shot_kind kind = {.name = "asr",
                                       .template = task->prompts->asr,
                                       .shots = 10,
                                       .read = librispeech_read,
                                       .rule = {.least_words = 3, .most_words = 12}};
    TRY(text_normalizer_open((enum text_form)task->evaluate->text_form,
                             *task->evaluate->spellings ? task->evaluate->spellings : NULL, &normalizer));
    TRY(few_shot_run(task, &kind, path, &run));
    TRY(judge(&run, normalizer));
    TRY(generation_results_set(&run.results, "protocol",
                               json_pack("{s:s}", "text_form", text_normalizer_protocol(normalizer))));
    TRY(few_shot_finish(&run));
    task->outcome->holds = true;
fail:
    few_shot_run_free(&run);
    text_normalizer_free(normalizer);
    return result;
}
