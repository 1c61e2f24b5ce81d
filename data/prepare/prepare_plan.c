/* Plans what prepare has to make: the manifests, what kind of dataset each becomes, and from what. Everything that
 * decides a dataset's contents goes into one hash, by which the later stages see whether existing results are still
 * current. */
#include "data/prepare/prepare_internal.h"

#include "core/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Part of every made_from: raise it when the same inputs would give other shards. */
enum { PREPARE_VERSION = 4 };

/* "train" of "data/train.jsonl". */
static char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    size_t length = dot && dot > name ? (size_t)(dot - name) : strlen(name);
    return strndup(name, length);
}

static bool row_is_speech(const struct manifest_row *row)
{
    return row->audio || row->units[STREAM_HUBERT];
}

/* A manifest is of one kind: text, audio or ready units. The first row decides; the first that differs is named. */
static enum status decide_kind(struct prepare_dataset *dataset)
{
    const struct manifest *manifest = &dataset->manifest;
    const struct manifest_row *first = manifest->rows;
    while (first->fault) /* not all rows have one */
        first++;
    dataset->kind = row_is_speech(first) ? DATASET_SPEECH : DATASET_TEXT;
    dataset->ready = first->units[STREAM_HUBERT] != NULL;
    for (int64_t i = 0; i < manifest->count; i++) {
        const struct manifest_row *row = manifest->rows + i;
        if (row->fault)
            continue;
        if (row_is_speech(row) != row_is_speech(first))
            return status_set(STATUS_CORRUPT,
                              "%s:%lld: a row %s in a manifest that starts with a row %s: text and speech are separate "
                              "datasets, so give them separate manifests",
                              manifest->path, (long long)row->line,
                              row_is_speech(row) ? "with speech" : "of text alone",
                              row_is_speech(first) ? "with speech" : "of text alone");
        if ((row->units[STREAM_HUBERT] != NULL) != dataset->ready)
            return status_set(
                STATUS_CORRUPT,
                "%s:%lld: a row %s ready units in a manifest that starts with a row %s them: use separate "
                "manifests",
                manifest->path, (long long)row->line, dataset->ready ? "without" : "with",
                dataset->ready ? "with" : "without");
    }
    return STATUS_OK;
}

/* At the beginning, so that a mistake of a whole corpus is seen before hours of work. */
static void warn_of_faults(const struct manifest *manifest)
{
    const struct manifest_row *first = manifest->rows;
    if (manifest->faults == 0)
        return;
    while (!first->fault)
        first++;
    log_warning("%s: %lld of %lld rows cannot be used and will be listed in rejects.jsonl; the first: %s",
                manifest->path, (long long)manifest->faults, (long long)manifest->count, first->fault);
}

static enum status plan_dataset(const struct prepare *prepare, int64_t number)
{
    enum status result = STATUS_OK;
    struct prepare_dataset *dataset = prepare->datasets + number;
    const char *path = prepare->options->prepare->manifests.items[number];
    dataset->name = base_name(path);
    if (!dataset->name)
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    TRY(path_format(dataset->folder, "%s/%s", prepare->options->prepare->output, dataset->name));
    for (int64_t i = 0; i < number; i++)
        if (strcmp(prepare->datasets[i].name, dataset->name) == 0)
            FAIL(STATUS_USAGE, "prepare.manifests: %s and %s would both become the dataset %s",
                 prepare->options->prepare->manifests.items[i], path, dataset->folder);
    if (access(path, F_OK) != 0)
        FAIL(STATUS_USAGE, "%s: there is no such file; prepare.manifests names JSON Lines files, which import writes",
             path);
    TRY(manifest_read(path, &prepare->options->prepare->labels, &dataset->manifest));
    TRY(decide_kind(dataset));
    warn_of_faults(&dataset->manifest);
    dataset->shard_rows = prepare->options->prepare->shard_rows;
    dataset->shards = (dataset->manifest.count + dataset->shard_rows - 1) / dataset->shard_rows;
fail:
    return result;
}

int64_t prepare_shard_count(const struct prepare_dataset *dataset, int64_t number)
{
    int64_t left = dataset->manifest.count - number * dataset->shard_rows;
    return left < dataset->shard_rows ? left : dataset->shard_rows;
}

static enum status check_fit_names(const struct prepare *prepare)
{
    const struct config_list *names = &prepare->options->prepare->fit;
    for (int64_t i = 0; i < names->count; i++) {
        const struct prepare_dataset *found = NULL;
        for (int64_t j = 0; j < prepare->dataset_count; j++)
            if (prepare->datasets[j].name && strcmp(prepare->datasets[j].name, names->items[i]) == 0)
                found = prepare->datasets + j;
        if (!found)
            return status_set(STATUS_USAGE, "prepare.fit: no manifest of prepare.manifests is named %s",
                              names->items[i]);
        if (found->kind == DATASET_TEXT || found->ready)
            return status_set(STATUS_USAGE, "prepare.fit: %s has no audio to fit a tokenizer on", found->manifest.path);
    }
    return STATUS_OK;
}

enum status prepare_plan(struct prepare *prepare)
{
    enum status result = STATUS_OK;
    const struct prepare_settings *settings = prepare->options->prepare;
    if (settings->manifests.count == 0)
        FAIL(STATUS_USAGE, "prepare.manifests: no manifest was given");
    if (settings->maximum_seconds <= settings->minimum_seconds)
        FAIL(STATUS_USAGE, "prepare.maximum_seconds (%g) must be more than prepare.minimum_seconds (%g)",
             settings->maximum_seconds, settings->minimum_seconds);
    prepare->align_threshold =
        settings->align_threshold != 0 ? settings->align_threshold : ALIGNER_DEFAULT_THRESHOLDS[settings->aligner];
    prepare->datasets = calloc((size_t)settings->manifests.count, sizeof *prepare->datasets);
    prepare->locks = calloc((size_t)settings->manifests.count, sizeof *prepare->locks);
    if (!prepare->datasets || !prepare->locks)
        FAIL(STATUS_INTERNAL, "out of memory");
    for (int64_t i = 0; i < settings->manifests.count; i++) {
        prepare->dataset_count = i + 1;
        TRY(plan_dataset(prepare, i));
    }
    TRY(check_fit_names(prepare));
fail:
    return result;
}

void prepare_plan_free(struct prepare *prepare)
{
    for (int64_t i = 0; i < prepare->dataset_count; i++) {
        free(prepare->datasets[i].name);
        manifest_free(&prepare->datasets[i].manifest);
    }
    free(prepare->datasets);
    prepare->datasets = NULL;
    prepare->dataset_count = 0;
}

bool prepare_dataset_needs_tokenizer(const struct prepare *prepare, const struct prepare_dataset *dataset)
{
    return dataset->kind == DATASET_SPEECH && (!dataset->ready || prepare->options->prepare->ready.label[0] == 0);
}

bool prepare_needs_tokenizer(const struct prepare *prepare)
{
    for (int64_t i = 0; i < prepare->dataset_count; i++)
        if (prepare_dataset_needs_tokenizer(prepare, prepare->datasets + i))
            return true;
    return false;
}

static enum status find_fingerprints(const struct prepare *prepare, struct prepare_dataset *dataset)
{
    memset(&dataset->fingerprints, 0, sizeof dataset->fingerprints);
    for (int stream = 0; stream < STREAM_COUNT; stream++)
        dataset->fingerprints.rates.rate[stream] = (struct rational){0, 1};
    if (dataset->kind == DATASET_TEXT)
        return STATUS_OK;
    if (!prepare_dataset_needs_tokenizer(prepare, dataset))
        return ready_fingerprints(prepare->options->prepare, &dataset->fingerprints);
    dataset->fingerprints.rates = speech_rates(prepare->speech);
    for (int stream = 0; stream < STREAM_COUNT; stream++)
        dataset->fingerprints.stream[stream] = prepare->speech->encoder[stream].fingerprint;
    return STATUS_OK;
}

/* Whether a row has audio and text without times of its words. */
static bool needs_aligner(const struct prepare *prepare, const struct prepare_dataset *dataset)
{
    if (!prepare->options->prepare->align || dataset->kind != DATASET_SPEECH || dataset->ready)
        return false;
    for (int64_t i = 0; i < dataset->manifest.count; i++) {
        const struct manifest_row *row = dataset->manifest.rows + i;
        if (!row->fault && row->text && !row->words)
            return true;
    }
    return false;
}

/* Once, for the first dataset that needs it. What a CTC model is decides the shards, so the stages after them read it too. */
static enum status open_aligner(struct prepare *prepare, const struct prepare_dataset *dataset)
{
    const struct prepare_settings *settings = prepare->options->prepare;
    const struct aligner_options options = {.kind = (enum aligner_kind)settings->aligner,
                                            .folder = settings->aligner_folder,
                                            .kernels = prepare->options->networks};
    bool read = prepare->options->stages & PREPARE_SHARDS || options.kind != ALIGNER_POCKETSPHINX;
    if (prepare->aligner || !read || !needs_aligner(prepare, dataset))
        return STATUS_OK;
    return aligner_model_open(&options, &prepare->aligner);
}

/* A canonical text of everything that the shards depend on. */
static enum status find_made_from(const struct prepare *prepare, struct prepare_dataset *dataset)
{
    const struct prepare_settings *settings = prepare->options->prepare;
    const struct shard_fingerprints *fingerprints = &dataset->fingerprints;
    char manifest[65], *text = NULL;
    sha256_hex(&dataset->manifest.hash, manifest);
    int length = asprintf(&text, "prepare %d\n%s\n%s\n%lld\n", PREPARE_VERSION, dataset_kind_name(dataset->kind),
                          manifest, (long long)dataset->shard_rows);
    if (length < 0)
        return status_set(STATUS_INTERNAL, "out of memory");
    struct sha256_stream *stream = sha256_start();
    sha256_add(stream, text, (size_t)length);
    free(text);
    for (int i = 0; dataset->kind == DATASET_SPEECH && i < STREAM_COUNT; i++) {
        sha256_add(stream, fingerprints->stream[i].bytes, sizeof fingerprints->stream[i].bytes);
        sha256_add(stream, fingerprints->rates.rate + i, sizeof fingerprints->rates.rate[i]);
    }
    if (dataset->kind == DATASET_SPEECH && !dataset->ready) {
        char numbers[200];
        length =
            snprintf(numbers, sizeof numbers, "%.17g %.17g %d %d %.17g\n", settings->minimum_seconds,
                     settings->maximum_seconds, settings->align, settings->keep_unaligned, prepare->align_threshold);
        sha256_add(stream, numbers, (size_t)length);
        if (settings->aligner != ALIGNER_POCKETSPHINX && needs_aligner(prepare, dataset))
            sha256_add(stream, aligner_model_fingerprint(prepare->aligner), sizeof(struct sha256));
    }
    dataset->made_from = sha256_finish(stream);
    return STATUS_OK;
}

enum status prepare_identify(struct prepare *prepare)
{
    enum status result = STATUS_OK;
    for (int64_t i = 0; i < prepare->dataset_count; i++) {
        TRY(open_aligner(prepare, prepare->datasets + i));
        TRY(find_fingerprints(prepare, prepare->datasets + i));
        TRY(find_made_from(prepare, prepare->datasets + i));
    }
fail:
    return result;
}
