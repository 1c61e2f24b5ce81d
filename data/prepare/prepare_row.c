/* One row of a manifest becomes a row of a shard, or is rejected with a reason. The result depends on nothing but the
 * row, the tokenizer and the settings, so rows may be made in any order and on any thread. */
#include "data/prepare/prepare_internal.h"

#include "io/audio/audio.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void row_worker_free(struct row_worker *worker)
{
    aligner_destroy(worker->aligner);
    audio_cache_free(&worker->audio);
    memset(worker, 0, sizeof *worker);
}

void made_row_free(struct made_row *made)
{
    units_free(&made->units);
    free(made->words);
    stored_alignment_free(&made->alignment);
    memset(made, 0, sizeof *made);
}

/* Because of rounding, given words may end slightly after the audio: up to 0.1 s is cut off; more means that the
 * transcript belongs to a different recording. */
static enum status take_given_words(const struct manifest_row *row, struct made_row *made)
{
    int32_t duration = made->row.duration;
    if (row->words[row->word_count - 1].end > duration + AUDIO_RATE / 10) {
        snprintf(made->reason, REASON_LENGTH, "words outside the audio: the last ends at %.3f s of %.3f s",
                 (double)row->words[row->word_count - 1].end / AUDIO_RATE, (double)duration / AUDIO_RATE);
        return STATUS_OK;
    }
    made->words = malloc((size_t)row->word_count * sizeof *made->words);
    if (!made->words)
        return status_set(STATUS_INTERNAL, "%s: out of memory", row->id);
    memcpy(made->words, row->words, (size_t)row->word_count * sizeof *made->words);
    int64_t cut = 0;
    for (int64_t i = 0; i < row->word_count; i++) {
        cut += made->words[i].end > duration;
        made->words[i].start = made->words[i].start < duration ? made->words[i].start : duration;
        made->words[i].end = made->words[i].end < duration ? made->words[i].end : duration;
    }
    if (cut > 0)
        made_row_change(made, "words cut at the audio's end: %lld", (long long)cut);
    if (row->moved_words > 0)
        made_row_change(made, "words moved to the end of the word before: %lld", (long long)row->moved_words);
    made->row.words = made->words;
    made->row.word_count = row->word_count;
    return STATUS_OK;
}

/* From an earlier run where it knows this audio and this text, else from the aligner. */
static enum status find_alignment(const struct prepare *prepare, const struct manifest_row *row, const float *samples,
                                  int64_t count, struct row_worker *worker, struct made_row *made)
{
    enum status result = STATUS_OK;
    struct alignment alignment = {0};
    const char *reason = NULL;
    struct stored_alignment *stored = &made->alignment;
    struct sha256 key = alignment_key(&made->row.source, row->text, aligner_model_fingerprint(prepare->aligner));
    const struct stored_alignment *known = worker->known ? alignment_store_find(worker->known, &key) : NULL;
    made->aligned_here = true;
    if (known)
        return stored_alignment_copy(known, stored);
    if (!worker->aligner)
        TRY(aligner_create(prepare->aligner, &worker->aligner));
    TRY(aligner_align(worker->aligner, samples, count, row->text, &alignment, &reason));
    *stored = (struct stored_alignment){.key = key,
                                        .reason = reason ? strdup(reason) : NULL,
                                        .score = reason ? NAN : alignment.score,
                                        .words = alignment.words,
                                        .word_count = alignment.word_count};
    alignment.words = NULL;
    if (reason && !stored->reason)
        FAIL(STATUS_INTERNAL, "%s: out of memory", row->id);
fail:
    alignment_free(&alignment);
    return result;
}

static enum status align_words(const struct prepare *prepare, const struct manifest_row *row, const float *samples,
                               int64_t count, struct row_worker *worker, struct made_row *made)
{
    char problem[REASON_LENGTH] = "";
    const struct stored_alignment *stored = &made->alignment;
    enum status result = find_alignment(prepare, row, samples, count, worker, made);
    if (result != STATUS_OK)
        return result;
    bool silent = stored->reason && strcmp(stored->reason, ALIGNER_NO_SOUND) == 0;
    if (silent)
        snprintf(made->reason, REASON_LENGTH, "%s", stored->reason);
    else if (stored->reason)
        snprintf(problem, sizeof problem, "not aligned: %s", stored->reason);
    else if (!(stored->score >= prepare->align_threshold))
        snprintf(problem, sizeof problem, "alignment score too low: %.3f, expected at least %.3f", stored->score,
                 prepare->align_threshold);
    made->row.score = (float)stored->score;
    if (problem[0] && prepare->options->prepare->keep_unaligned)
        made_row_change(made, "kept without words: %s", problem);
    else if (problem[0])
        snprintf(made->reason, REASON_LENGTH, "%s", problem);
    if (silent || problem[0])
        return STATUS_OK;
    made->row.words = stored->words;
    made->row.word_count = stored->word_count;
    return STATUS_OK;
}

static void check_length(const struct prepare_settings *settings, double seconds, struct made_row *made)
{
    if (seconds < settings->minimum_seconds)
        snprintf(made->reason, REASON_LENGTH, "audio too short: %.3f s", seconds);
    else if (seconds > settings->maximum_seconds)
        snprintf(made->reason, REASON_LENGTH, "audio too long: %.3f s", seconds);
}

static enum status make_from_audio(const struct prepare *prepare, const struct manifest_row *row,
                                   struct row_worker *worker, struct made_row *made)
{
    enum status result = STATUS_OK;
    const float *samples = NULL;
    int64_t count = 0;
    TRY(prepare_audio(&worker->audio, row, &samples, &count, made));
    if (!made->reason[0])
        check_length(prepare->options->prepare, (double)count / AUDIO_RATE, made);
    if (made->reason[0])
        return STATUS_OK;
    made->row.duration = (int32_t)count;
    made->row.source = sha256_of(samples, (size_t)count * sizeof *samples);
    if (row->words)
        TRY(take_given_words(row, made));
    else if (row->text && prepare->options->prepare->align)
        TRY(align_words(prepare, row, samples, count, worker, made));
    if (made->reason[0])
        return STATUS_OK;
    TRY(speech_encode(prepare->speech, samples, count, row->speaker, STREAMS_ALL, &made->units));
    if (made->units.count[STREAM_HUBERT] == 0)
        snprintf(made->reason, REASON_LENGTH, "audio too short: %.3f s", (double)count / AUDIO_RATE);
    made->row.units = made->units;
fail:
    return result;
}

/* Ready units without a label of their own are taken to be the tokenizer's. */
static bool is_of_tokenizer(const struct speech *speech, const struct manifest_row *row, char *reason)
{
    for (int stream = 0; stream < STREAM_COUNT; stream++) {
        int32_t size = speech->encoder[stream].size;
        for (int64_t i = 0; i < row->unit_count[stream]; i++)
            if (row->units[stream][i] >= size) {
                snprintf(reason, REASON_LENGTH, "unit out of range: %s %d, the tokenizer has %d",
                         unit_stream_name((enum unit_stream)stream), (int)row->units[stream][i], (int)size);
                return false;
            }
    }
    return true;
}

/* The duration of a row of ready units is the time that its hubert units span. */
static enum status make_from_units(const struct prepare *prepare, const struct prepare_dataset *dataset,
                                   const struct manifest_row *row, struct made_row *made)
{
    const struct rational *rate = &dataset->fingerprints.rates.rate[STREAM_HUBERT];
    double samples =
        (double)row->unit_count[STREAM_HUBERT] * (double)rate->denominator / (double)rate->numerator * AUDIO_RATE;
    if (samples > (double)MANIFEST_SECONDS_LIMIT * AUDIO_RATE) {
        snprintf(made->reason, REASON_LENGTH, "audio too long: %.3f s", samples / AUDIO_RATE);
        return STATUS_OK;
    }
    if (prepare_dataset_needs_tokenizer(prepare, dataset) && !is_of_tokenizer(prepare->speech, row, made->reason))
        return STATUS_OK;
    made->row.duration = (int32_t)ceil(samples);
    for (int stream = 0; stream < STREAM_COUNT; stream++) {
        made->row.units.values[stream] = row->units[stream];
        made->row.units.count[stream] = row->unit_count[stream];
    }
    return row->words ? take_given_words(row, made) : STATUS_OK;
}

static int64_t text_length(const char *text)
{
    return text ? (int64_t)strlen(text) : 0;
}

enum status prepare_row(const struct prepare *prepare, const struct prepare_dataset *dataset,
                        const struct manifest_row *row, struct row_worker *worker, struct made_row *made)
{
    memset(made, 0, sizeof *made);
    made->row = (struct shard_row){
        .id = row->id,
        .speaker = row->speaker,
        .meta = row->meta,
        .text = row->text,
        .id_length = text_length(row->id),
        .speaker_length = text_length(row->speaker),
        .meta_length = text_length(row->meta),
        .text_length = text_length(row->text),
        .score = NAN,
    };
    if (row->fault)
        snprintf(made->reason, REASON_LENGTH, "%s", row->fault);
    if (row->fault || dataset->kind == DATASET_TEXT)
        return STATUS_OK;
    return dataset->ready ? make_from_units(prepare, dataset, row, made) : make_from_audio(prepare, row, worker, made);
}
