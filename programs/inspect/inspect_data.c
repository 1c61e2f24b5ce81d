/* Shards, datasets and manifests as text. They are opened by the readers that prepare and train use, so that what
 * inspect accepts, they accept too. */
#include "core/log.h"
#include "core/utf8.h"
#include "data/manifest.h"
#include "data/shard_index.h"
#include "io/audio/audio.h"
#include "programs/inspect/inspect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_fingerprints(const struct shard_fingerprints *fingerprints)
{
    for (int stream = 0; stream < STREAM_COUNT; stream++) {
        const struct rational *rate = &fingerprints->rates.rate[stream];
        char text[65];
        if (rate->numerator == 0)
            continue;
        sha256_hex(&fingerprints->stream[stream], text);
        printf("  %-7s %.6g units/s, tokenizer %.16s\n", unit_stream_name((enum unit_stream)stream),
               (double)rate->numerator / (double)rate->denominator, text);
    }
}

static void print_totals(const struct shard_totals *totals)
{
    printf("  rows    %lld", (long long)totals->rows);
    if (totals->samples > 0)
        printf(" (%lld aligned, %lld words), %.3f hours", (long long)totals->aligned_rows, (long long)totals->words,
               (double)totals->samples / AUDIO_RATE / 3600);
    printf("\n  text    %lld bytes\n", (long long)totals->text_bytes);
    for (int stream = 0; stream < STREAM_COUNT; stream++)
        if (totals->units[stream] > 0)
            printf("  %-7s %lld units, the largest is %lld\n", unit_stream_name((enum unit_stream)stream),
                   (long long)totals->units[stream], (long long)totals->codes[stream] - 1);
}

/* Prints bytes of a file so that no terminal obeys them. */
static void print_text(const char *name, const char *text, int64_t length)
{
    char *printable = NULL;
    if (length > 0 && utf8_printable(text, length, &printable) == STATUS_OK)
        printf("  %-8s %s\n", name, printable);
    free(printable);
}

static void print_words(const char *text, const struct aligned_word *words, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        printf("  word     %9.4f %9.4f", (double)words[i].start / AUDIO_RATE, (double)words[i].end / AUDIO_RATE);
        print_text("", text + words[i].text_begin, words[i].text_end - words[i].text_begin);
    }
}

static void print_units(int stream, const uint16_t *values, int64_t count)
{
    if (count == 0)
        return;
    printf("  %-8s", unit_stream_name((enum unit_stream)stream));
    for (int64_t i = 0; i < count; i++)
        printf(" %u", values[i]);
    putchar('\n');
}

static void print_row(int64_t number, const struct shard_row *row)
{
    char source[65];
    printf("row %lld\n", (long long)number);
    print_text("id", row->id, row->id_length);
    print_text("speaker", row->speaker, row->speaker_length);
    print_text("text", row->text, row->text_length);
    print_text("meta", row->meta, row->meta_length);
    if (row->duration == 0)
        return;
    sha256_hex(&row->source, source);
    printf("  duration %.4f s, alignment score %.4g, samples %.16s\n", (double)row->duration / AUDIO_RATE,
           (double)row->score, source);
    print_words(row->text, row->words, row->word_count);
    for (int stream = 0; stream < STREAM_COUNT; stream++)
        print_units(stream, row->units.values[stream], row->units.count[stream]);
}

enum status inspect_shard(const char *path, const struct inspect_options *options)
{
    enum status result = STATUS_OK;
    struct shard *shard = NULL;
    struct shard_totals totals = {0};
    struct shard_row row;
    TRY(shard_open(path, NULL, &shard));
    if (options->row >= shard_rows(shard))
        FAIL(STATUS_USAGE, "%s: no row %lld: it has %lld rows, counted from 0", path, (long long)options->row,
             (long long)shard_rows(shard));
    shard_count(shard, &totals);
    utf8_print(stdout, "%s: shard, every row's CRC32C agrees\n", path);
    print_totals(&totals);
    print_fingerprints(shard_get_fingerprints(shard));
    if (options->row >= 0) {
        shard_row_get(shard, options->row, &row);
        print_row(options->row, &row);
    }
fail:
    shard_close(shard);
    return result;
}

static enum status verify_dataset(struct dataset *dataset)
{
    for (int64_t k = 0; k < dataset_shards(dataset); k++) {
        struct shard_row row;
        if (dataset_shard_begin(dataset, k) == dataset_shard_begin(dataset, k + 1))
            continue;
        enum status result = dataset_row(dataset, dataset_shard_begin(dataset, k), &row);
        if (result != STATUS_OK)
            return result;
    }
    printf("  verified: SHA-256 of every shard, CRC32C of every row\n");
    return STATUS_OK;
}

enum status inspect_dataset(const char *folder, const struct inspect_options *options)
{
    enum status result = STATUS_OK;
    struct dataset *dataset = NULL;
    struct shard_row row;
    char hash[65];
    TRY(dataset_open(folder, &dataset));
    struct sha256 contents = dataset_hash(dataset);
    sha256_hex(&contents, hash);
    utf8_print(stdout, "%s: %s dataset of %lld shards, contents %.16s\n", folder,
               dataset_kind_name(dataset_kind(dataset)), (long long)dataset_shards(dataset), hash);
    print_totals(dataset_totals(dataset));
    print_fingerprints(dataset_fingerprints(dataset));
    if (options->verify)
        TRY(verify_dataset(dataset));
    if (options->row >= dataset_rows(dataset))
        FAIL(STATUS_USAGE, "%s: no row %lld: it has %lld rows, counted from 0", folder, (long long)options->row,
             (long long)dataset_rows(dataset));
    if (options->row >= 0) {
        TRY(dataset_row(dataset, options->row, &row));
        print_row(options->row, &row);
    }
fail:
    dataset_close(dataset);
    return result;
}

/* As they are, for a file or a pipe; a terminal gets them escaped. */
static void print_texts(const struct manifest *manifest)
{
    const bool terminal = isatty(STDOUT_FILENO) == 1;
    for (int64_t i = 0; i < manifest->count; i++) {
        const char *text = manifest->rows[i].text;
        if (text && terminal)
            utf8_print(stdout, "%s\n", text);
        else if (text)
            printf("%s\n", text);
    }
}

enum status inspect_manifest(const char *path, const struct inspect_options *options)
{
    enum status result = STATUS_OK;
    struct manifest manifest = {0};
    int64_t audio = 0, text = 0, ready = 0, words = 0;
    TRY(manifest_read(path, &manifest_any_labels, &manifest));
    if (options->texts) {
        print_texts(&manifest);
        goto fail;
    }
    for (int64_t i = 0; i < manifest.count; i++) {
        const struct manifest_row *row = manifest.rows + i;
        audio += row->audio != NULL;
        text += row->text != NULL;
        ready += row->units[STREAM_HUBERT] != NULL;
        words += row->words != NULL;
    }
    utf8_print(stdout,
               "%s: manifest of %lld rows: %lld with audio, %lld with text, %lld with ready units, %lld with words\n",
               path, (long long)manifest.count, (long long)audio, (long long)text, (long long)ready, (long long)words);
    if (manifest.faults > 0)
        printf("  %lld rows cannot be used: --row shows why\n", (long long)manifest.faults);
    if (manifest.foreign_key)
        log_warning("%s", manifest.foreign_key);
    if (options->row >= manifest.count)
        FAIL(STATUS_USAGE, "%s: no row %lld: it has %lld rows, counted from 0", path, (long long)options->row,
             (long long)manifest.count);
    if (options->row >= 0) {
        const struct manifest_row *row = manifest.rows + options->row;
        printf("row %lld, line %lld\n", (long long)options->row, (long long)row->line);
        const char *const names[] = {"id", "speaker", "audio", "text", "meta", "fault"};
        const char *const values[] = {row->id, row->speaker, row->audio, row->text, row->meta, row->fault};
        for (int i = 0; i < 6; i++)
            print_text(names[i], values[i], values[i] ? (int64_t)strlen(values[i]) : 0);
        print_words(row->text, row->words, row->word_count);
        for (int stream = 0; stream < STREAM_COUNT; stream++)
            print_units(stream, row->units[stream], row->unit_count[stream]);
    }
fail:
    manifest_free(&manifest);
    return result;
}
