/* Windows are found first, with their sounds, so that a story is three halves written side by side. The same sounds are written
 * once for each story that has them: an archive in the published layout has no other way, and `evaluate` knows equal samples again. */
#include "data/demo/demo_stories.h"

#include "core/array.h"
#include "data/demo/demo_split.h"
#include "data/manifest.h"
#include "data/shard.h"
#include "io/atomic_file.h"
#include "io/audio/audio.h"
#include "io/wav.h"

#include <archive.h>
#include <archive_entry.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A tar's names have at most 100 bytes. */
enum { WINDOW_WORDS = 16, LEAST_WORDS = 4, NAME_BYTES = 56 };

/* A half of a window. */
struct half {
    char *text;           /* owned */
    char *spoken;         /* owned: spoken_form */
    unsigned char *sound; /* owned: a .wav */
    size_t sound_bytes;
    int64_t samples;
};

struct window {
    int64_t utterance, number; /* the row of the dataset; of the window in it */
    char name[NAME_BYTES];     /* of the utterance, in a file's name */
    char speaker[NAME_BYTES];
    struct half context, ending;
};

struct windows {
    struct window *list;
    int64_t count, capacity;
};

static void half_free(struct half *half)
{
    free(half->text);
    free(half->spoken);
    free(half->sound);
}

static void windows_free(struct windows *windows)
{
    for (int64_t i = 0; i < windows->count; i++) {
        half_free(&windows->list[i].context);
        half_free(&windows->list[i].ending);
    }
    free(windows->list);
}

/* ---- windows ---- */

static enum status make_half(const char *text, int64_t text_begin, int64_t text_end, const float *samples,
                             int64_t begin, int64_t end, struct half *half)
{
    while (text_end > text_begin && isspace((unsigned char)text[text_end - 1]))
        text_end--;
    half->samples = end - begin;
    half->text = strndup(text + text_begin, (size_t)(text_end - text_begin));
    if (!half->text)
        return status_set(STATUS_INTERNAL, "no memory for half of an utterance");
    enum status result = wav_bytes(half->text, samples + begin, half->samples, &half->sound, &half->sound_bytes);
    return result != STATUS_OK ? result : spoken_form(half->text, text_end - text_begin, &half->spoken);
}

/* The middle of the pause in front of a word; before the first, the beginning, and behind the last, the end. */
static int64_t pause_before(const struct shard_row *row, int64_t word, int64_t count)
{
    int64_t at = word == 0                 ? 0
                 : word == row->word_count ? count
                                           : ((int64_t)row->words[word - 1].end + row->words[word].start) / 2;
    return at < count ? at : count;
}

static int64_t text_before(const struct shard_row *row, int64_t word)
{
    return word < row->word_count ? row->words[word].text_begin : row->text_length;
}

/* Letters, digits and hyphens; anything else becomes '_'. */
static void copy_name(const char *text, int64_t length, char name[NAME_BYTES])
{
    int64_t count = length < NAME_BYTES - 1 ? length : NAME_BYTES - 1;
    for (int64_t i = 0; i < count; i++)
        name[i] = (char)(isalnum((unsigned char)text[i]) || text[i] == '-' ? text[i] : '_');
    name[count] = 0;
}

static enum status add_window(const struct shard_row *row, int64_t utterance, int64_t number, int64_t first,
                              int64_t words, const float *samples, int64_t count, struct windows *windows)
{
    enum status result = STATUS_OK;
    const int64_t middle = first + words / 2, last = first + words;
    const int64_t cuts[3] = {pause_before(row, first, count), pause_before(row, middle, count),
                             pause_before(row, last, count)};
    TRY(array_grow(&windows->list, &windows->capacity, windows->count + 1, "windows of utterances"));
    struct window *window = &windows->list[windows->count++];
    *window = (struct window){.utterance = utterance, .number = number};
    copy_name(row->id, row->id_length, window->name);
    copy_name(row->speaker, row->speaker_length, window->speaker);
    TRY(make_half(row->text, text_before(row, first), text_before(row, middle), samples, cuts[0], cuts[1],
                  &window->context));
    TRY(make_half(row->text, text_before(row, middle), text_before(row, last), samples, cuts[1], cuts[2],
                  &window->ending));
fail:
    return result;
}

static enum status cut_utterance(const struct shard_row *row, int64_t utterance, const float *samples, int64_t count,
                                 struct windows *windows)
{
    enum status result = STATUS_OK;
    if (row->word_count <= WINDOW_WORDS)
        return add_window(row, utterance, 0, 0, row->word_count, samples, count, windows);
    for (int64_t w = 0; (w + 1) * WINDOW_WORDS <= row->word_count; w++)
        TRY(add_window(row, utterance, w, w * WINDOW_WORDS, WINDOW_WORDS, samples, count, windows));
fail:
    return result;
}

static const struct manifest_row *find_row(const struct manifest *manifest, const struct shard_row *row)
{
    for (int64_t i = 0; i < manifest->count; i++) {
        const char *id = manifest->rows[i].id;
        if (id && manifest->rows[i].audio && (int64_t)strlen(id) == row->id_length &&
            memcmp(id, row->id, (size_t)row->id_length) == 0)
            return &manifest->rows[i];
    }
    return NULL;
}

static enum status read_windows(const struct manifest *manifest, struct dataset *dataset, struct windows *windows)
{
    enum status result = STATUS_OK;
    float *samples = NULL;
    for (int64_t i = 0; i < dataset_rows(dataset); i++) {
        struct shard_row row;
        int64_t count;
        TRY(dataset_row(dataset, i, &row));
        if (row.word_count < LEAST_WORDS)
            continue;
        const struct manifest_row *source = find_row(manifest, &row);
        if (!source)
            FAIL(STATUS_CORRUPT, "%s: utterance %.*s of %s has no sound in it", manifest->path, (int)row.id_length,
                 row.id, dataset_folder(dataset));
        TRY(audio_read(source->audio, source->channel, &samples, &count));
        TRY(cut_utterance(&row, i, samples, count, windows));
        free(samples);
        samples = NULL;
    }
fail:
    free(samples);
    return result;
}

/* ---- wrong endings ---- */

struct candidate {
    int64_t window, distance; /* of its duration */
};

static int compare_candidates(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    int order = (x->distance > y->distance) - (x->distance < y->distance);
    return order != 0 ? order : (x->window > y->window) - (x->window < y->window);
}

static bool may_be_wrong(const struct window *window, const struct window *other, bool same_speaker)
{
    return other->utterance != window->utterance && (!same_speaker || !strcmp(other->speaker, window->speaker)) &&
           strcmp(other->ending.spoken, window->ending.spoken) != 0;
}

/* The windows whose endings are the wrong ones of window `of`; returns how many. */
static int64_t choose_wrong(const struct windows *windows, int64_t of, const struct demo_stories_options *options,
                            struct candidate *candidates)
{
    int64_t count = 0;
    for (int64_t i = 0; i < windows->count; i++)
        if (may_be_wrong(&windows->list[of], &windows->list[i], options->same_speaker))
            candidates[count++] = (struct candidate){
                i, llabs((long long)(windows->list[i].ending.samples - windows->list[of].ending.samples))};
    qsort(candidates, (size_t)count, sizeof *candidates, compare_candidates);
    return count < options->wrong ? count : options->wrong;
}

/* ---- the archive ---- */

/* Of libarchive's own errors. */
static enum status archive_failed(struct archive *archive, const char *name)
{
    return status_set(STATUS_IO, "%s: %s", name, archive_error_string(archive));
}

/* Without times or owners, so that the bytes depend on the contents alone. */
static enum status add_member(struct archive *archive, const char *story, const char *part, const char *ending,
                              const void *data, size_t size)
{
    enum status result = STATUS_OK;
    char name[2 * NAME_BYTES];
    struct archive_entry *entry = archive_entry_new();
    snprintf(name, sizeof name, "%s_%s.%s", story, part, ending);
    if (!entry)
        return status_set(STATUS_INTERNAL, "no memory for %s", name);
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, (la_int64_t)size);
    if (archive_write_header(archive, entry) != ARCHIVE_OK ||
        archive_write_data(archive, data, size) != (la_ssize_t)size)
        result = archive_failed(archive, name);
    archive_entry_free(entry);
    return result;
}

static enum status add_half(struct archive *archive, const char *story, const char *part, const struct half *half)
{
    enum status result = add_member(archive, story, part, "txt", half->text, strlen(half->text));
    return result != STATUS_OK ? result : add_member(archive, story, part, "wav", half->sound, half->sound_bytes);
}

static enum status add_story(struct archive *archive, const char *story, const struct window *window,
                             const struct half *wrong, bool swapped)
{
    enum status result = STATUS_OK;
    TRY(add_half(archive, story, "mutual", &window->context));
    TRY(add_half(archive, story, "correct", swapped ? wrong : &window->ending));
    TRY(add_half(archive, story, "incorrect", swapped ? &window->ending : wrong));
fail:
    return result;
}

static enum status add_stories(struct archive *archive, const struct windows *windows,
                               const struct demo_stories_options *options, struct demo_stories_totals *totals)
{
    enum status result = STATUS_OK;
    int64_t latest = -1;
    struct candidate *candidates = calloc((size_t)windows->count + 1, sizeof *candidates);
    if (!candidates)
        FAIL(STATUS_INTERNAL, "no memory for %lld windows", (long long)windows->count);
    for (int64_t i = 0; i < windows->count; i++) {
        const struct window *window = &windows->list[i];
        int64_t count = choose_wrong(windows, i, options, candidates);
        totals->windows += count > 0;
        totals->utterances += count > 0 && window->utterance != latest;
        latest = count > 0 ? window->utterance : latest;
        for (int64_t c = 0; c < count; c++, totals->stories++) {
            char story[NAME_BYTES + 64];
            snprintf(story, sizeof story, "%04lld-%s.%lld-%lld", (long long)window->utterance, window->name,
                     (long long)window->number, (long long)c);
            TRY(add_story(archive, story, window, &windows->list[candidates[c].window].ending, options->swapped));
        }
    }
    if (totals->stories == 0)
        FAIL(STATUS_CORRUPT, "%s: no two aligned utterances%s have %d words or more", options->dataset,
             options->same_speaker ? " of a speaker" : "", (int)LEAST_WORDS);
fail:
    free(candidates);
    return result;
}

static la_ssize_t append_to_stream(struct archive *archive, void *stream, const void *data, size_t size)
{
    (void)archive;
    return fwrite(data, 1, size, stream) == size ? (la_ssize_t)size : -1;
}

static enum status write_archive(const char *path, const struct windows *windows,
                                 const struct demo_stories_options *options, struct demo_stories_totals *totals)
{
    enum status result = STATUS_OK;
    char *bytes = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&bytes, &size);
    struct archive *archive = archive_write_new();
    if (!stream || !archive)
        FAIL(STATUS_INTERNAL, "no memory for %s", path);
    if (archive_write_set_format_ustar(archive) != ARCHIVE_OK ||
        archive_write_open(archive, stream, NULL, append_to_stream, NULL) != ARCHIVE_OK)
        FAIL(STATUS_IO, "%s: %s", path, archive_error_string(archive));
    TRY(add_stories(archive, windows, options, totals));
    if (archive_write_close(archive) != ARCHIVE_OK || fflush(stream) != 0)
        TRY(archive_failed(archive, path));
    TRY(atomic_write(path, bytes, (int64_t)size));
fail:
    archive_write_free(archive);
    if (stream)
        fclose(stream);
    free(bytes);
    return result;
}

enum status demo_stories_make(const char *path, const struct demo_stories_options *options,
                              struct demo_stories_totals *totals)
{
    enum status result = STATUS_OK;
    struct manifest manifest = {0};
    struct dataset *dataset = NULL;
    struct windows windows = {0};
    *totals = (struct demo_stories_totals){0};
    if (options->wrong < 1 || options->wrong > DEMO_STORIES_MOST_WRONG)
        FAIL(STATUS_USAGE, "1 to %d wrong endings, found %lld", (int)DEMO_STORIES_MOST_WRONG,
             (long long)options->wrong);
    TRY(manifest_read(options->manifest, NULL, &manifest));
    TRY(dataset_open(options->dataset, &dataset));
    TRY(read_windows(&manifest, dataset, &windows));
    TRY(write_archive(path, &windows, options, totals));
fail:
    windows_free(&windows);
    dataset_close(dataset);
    manifest_free(&manifest);
    return result;
}
