/* CTM (NIST's time-marked conversation files): "utterance channel start duration word [confidence [type ...]]", times
 * in seconds, ";;" before comments. Silences and noises are written in <> or [] and are skipped. */
#include "core/array.h"
#include "data/prepare/import/import_files.h"
#include "data/prepare/import/import_formats.h"
#include "io/text_file.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIELDS = 5 };

struct ctm_word {
    char *utterance, *channel, *text; /* inside the line's memory */
    double start, duration;
    int64_t line;
};

struct ctm {
    char *data;
    struct ctm_word *words;
    int64_t count, capacity;
};

static bool parse_seconds(const char *text, double *seconds)
{
    char *end;
    errno = 0;
    *seconds = strtod(text, &end);
    return end != text && *end == 0 && errno == 0 && isfinite(*seconds) && *seconds >= 0;
}

static enum status parse_line(struct ctm *ctm, const char *path, int64_t number, char *line)
{
    char *fields[FIELDS], *state = NULL;
    int count = 0;
    for (char *field = strtok_r(line, " \t\r", &state); field && count < FIELDS;
         field = strtok_r(NULL, " \t\r", &state))
        fields[count++] = field;
    if (count == 0 || strncmp(fields[0], ";;", 2) == 0)
        return STATUS_OK;
    struct ctm_word word = {.line = number};
    if (count < FIELDS || !parse_seconds(fields[2], &word.start) || !parse_seconds(fields[3], &word.duration))
        return status_set(STATUS_CORRUPT, "%s:%lld: expected a line \"utterance channel start duration word\"", path,
                          (long long)number);
    if (strncmp(fields[4], "<ALT", 4) == 0)
        return status_set(STATUS_CORRUPT, "%s:%lld: alternatives (<ALT...>) are not supported", path,
                          (long long)number);
    if (fields[4][0] == '<' || fields[4][0] == '[')
        return STATUS_OK;
    if (strchr(fields[0], '/') && strstr(fields[0], ".."))
        return status_set(STATUS_CORRUPT, "%s:%lld: \"%s\" leads out of the folder", path, (long long)number,
                          fields[0]);
    word.utterance = fields[0];
    word.channel = fields[1];
    word.text = fields[4];
    enum status result = array_grow(&ctm->words, &ctm->capacity, ctm->count + 1, "words");
    if (result == STATUS_OK)
        ctm->words[ctm->count++] = word;
    return result;
}

static enum status read_ctm(const char *path, struct ctm *ctm)
{
    enum status result = STATUS_OK;
    int64_t size = 0, number = 0;
    TRY(text_file_read(path, IMPORT_FILE_LIMIT, &ctm->data, &size));
    for (char *line = ctm->data, *end = line + size; line < end;) {
        char *newline = line + strcspn(line, "\n");
        *newline = 0;
        TRY(parse_line(ctm, path, ++number, line));
        line = newline + 1;
    }
fail:
    return result;
}

static int by_utterance(const void *a, const void *b)
{
    const struct ctm_word *x = a, *y = b;
    int order = strcmp(x->utterance, y->utterance);
    if (order == 0)
        order = strcmp(x->channel, y->channel);
    if (order == 0)
        order = x->start < y->start ? -1 : x->start > y->start;
    return order ? order : (x->line < y->line ? -1 : 1);
}

/* The number, from 0, of a channel named "1", "2", ... or "A", "B", ...; some tools (lhotse) count from "0", so
 * `first`, the utterance's first channel, is taken into account. */
static int channel_number(const char *channel, const char *first)
{
    char base = channel[0] >= 'A' ? 'A' : first[0] == '0' ? '0' : '1';
    bool known = strlen(channel) == 1 &&
                 ((channel[0] >= base && channel[0] <= '9') || (base == 'A' && channel[0] >= 'A' && channel[0] <= 'Z'));
    return known ? channel[0] - base : -1;
}

/* words[0..count) belong to one utterance and channel. `first` is the utterance's first channel where it has several:
 * then each channel is one speaker, and becomes part of the id. */
static enum status add_utterance(struct import *import, const struct ctm_word *words, int64_t count, const char *first)
{
    enum status result = STATUS_OK;
    char audio[PATH_BYTES];
    if (!import_find_audio(import->options->audio ? import->options->audio : import->root, words->utterance, audio)) {
        import->counts.without_audio++;
        return STATUS_OK;
    }
    struct import_row *row = import_add(import);
    if (!row)
        FAIL(STATUS_INTERNAL, "out of memory");
    row->audio = strdup(audio);
    if (first && asprintf(&row->id, "%s-%s", words->utterance, words->channel) < 0)
        row->id = NULL;
    if (!first)
        row->id = strdup(words->utterance);
    if (!row->id || !row->audio)
        FAIL(STATUS_INTERNAL, "out of memory");
    if (first)
        row->channel = channel_number(words->channel, first);
    for (int64_t i = 0; i < count; i++)
        TRY(import_add_word(row, words[i].text, words[i].start, words[i].start + words[i].duration));
    TRY(import_text_from_words(row));
fail:
    return result;
}

enum status import_ctm(struct import *import)
{
    enum status result = STATUS_OK;
    struct ctm ctm = {0};
    TRY(read_ctm(import->options->source, &ctm));
    if (ctm.count > 0)
        qsort(ctm.words, (size_t)ctm.count, sizeof *ctm.words, by_utterance);
    for (int64_t begin = 0, end; begin < ctm.count; begin = end) {
        const struct ctm_word *words = ctm.words;
        for (end = begin; end < ctm.count && strcmp(words[end].utterance, words[begin].utterance) == 0;)
            end++;
        bool several = strcmp(words[begin].channel, words[end - 1].channel) != 0;
        for (int64_t from = begin, to; from < end; from = to) {
            for (to = from; to < end && strcmp(words[to].channel, words[from].channel) == 0;)
                to++;
            TRY(add_utterance(import, words + from, to - from, several ? words[begin].channel : NULL));
        }
    }
fail:
    free(ctm.words);
    free(ctm.data);
    return result;
}
