/* CTM (NIST's time-marked conversation files): "utterance channel start duration word [confidence [type ...]]", times
 * in seconds, ";;" before comments. Labels that are not words are dropped, and of alternatives all but the first. */
#include "core/array.h"
#include "data/prepare/import/import_files.h"
#include "data/prepare/import/import_formats.h"
#include "data/prepare/import/import_lines.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIELDS = 7 };

struct ctm_word {
    char *utterance, *channel, *text, *source, *fault; /* fault: why the line cannot be used; NULL: it can */
    double start, duration;
    bool noise, alternative;
    int64_t line;
};

struct ctm {
    struct ctm_word *words;
    int64_t count, capacity;
    int alternative; /* 0: outside, 1: inside the first, 2: inside a further one */
    bool from_zero;  /* the file has a channel "0": channels are counted from 0 */
};

static bool parse_seconds(const char *text, double *seconds)
{
    char *end;
    errno = 0;
    *seconds = strtod(text, &end);
    return end != text && *end == 0 && errno == 0 && isfinite(*seconds) && *seconds >= 0;
}

/* <ALT_BEGIN>, <ALT> and <ALT_END> stand on lines of their own, without times. */
static bool take_alternative(struct ctm *ctm, const char *label)
{
    if (strncmp(label, "<ALT", 4) != 0)
        return false;
    if (strcmp(label, "<ALT_BEGIN>") == 0)
        ctm->alternative = 1;
    else if (strcmp(label, "<ALT_END>") == 0)
        ctm->alternative = 0;
    else
        ctm->alternative = 2;
    return true;
}

static const char *check(const struct ctm_word *word, int count, char **fields, struct ctm_word *times)
{
    if (count < 5 || !parse_seconds(fields[2], &times->start) || !parse_seconds(fields[3], &times->duration))
        return "expected a line \"utterance channel start duration word\"";
    if (strchr(word->utterance, '/') && strstr(word->utterance, ".."))
        return "its name leads out of the folder";
    return NULL;
}

static enum status visit_line(struct import *import, void *context, const char *source, char *line)
{
    enum status result = STATUS_OK;
    struct ctm *ctm = context;
    char *fields[FIELDS], *state = NULL;
    int count = 0;
    (void)import;
    for (char *field = strtok_r(line, " \t\r", &state); field && count < FIELDS;
         field = strtok_r(NULL, " \t\r", &state))
        fields[count++] = field;
    if (count == 0 || strncmp(fields[0], ";;", 2) == 0 || (count >= 5 && take_alternative(ctm, fields[4])))
        return STATUS_OK;
    TRY(array_grow(&ctm->words, &ctm->capacity, ctm->count + 1, "words"));
    struct ctm_word *word = ctm->words + ctm->count;
    *word = (struct ctm_word){.utterance = fields[0], .line = ctm->count, .alternative = ctm->alternative == 2};
    const char *fault = check(word, count, fields, word);
    word->utterance = NULL;
    ctm->count++;
    TRY(import_set(&word->utterance, fields[0]));
    TRY(import_set(&word->channel, count > 1 ? fields[1] : ""));
    TRY(import_set(&word->text, count > 4 ? fields[4] : ""));
    TRY(import_set(&word->source, source));
    TRY(import_set(&word->fault, fault));
    ctm->from_zero |= strcmp(word->channel, "0") == 0;
    word->noise =
        import_is_noise(word->text) || (count > 6 && (!strcmp(fields[6], "non-lex") || !strcmp(fields[6], "misc")));
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

/* The number, from 0, of a channel named "1", "2", ... or "A", "B", ...; some tools (lhotse) count from "0". -1: all
 * channels, since "1" is also what tools write that know of no channels; -2: not clear. */
static int channel_number(const struct ctm *ctm, const char *channel, bool several)
{
    char first = channel[0];
    if (first == 0 || channel[1] != 0)
        return several ? -2 : -1;
    if (first >= 'A' && first <= 'Z')
        return first - 'A';
    if (first >= 'a' && first <= 'z')
        return first - 'a';
    if (first < '0' || first > '9' || (first == '0' && !ctm->from_zero))
        return several ? -2 : -1;
    if (!several && first == (ctm->from_zero ? '0' : '1'))
        return -1;
    return first - (ctm->from_zero ? '0' : '1');
}

static enum status take_words(struct import *import, const struct ctm_word *words, int64_t count,
                              struct import_row *row)
{
    enum status result = STATUS_OK;
    for (int64_t i = 0; i < count; i++) {
        const struct ctm_word *word = words + i;
        if (!word->alternative && import_is_silence(word->text))
            continue;
        if (word->alternative || word->noise)
            TRY(import_note(import, word->alternative ? IMPORT_ALTERNATIVE : IMPORT_NOISE, row->id, row->source,
                            "\"%.100s\"", word->text));
        else
            TRY(import_add_word(row, word->text, word->start, word->start + word->duration));
    }
    TRY(import_text_from_words(row));
    if (!row->text)
        TRY(import_refuse(import, IMPORT_NO_TEXT, "none of its labels is a word"));
fail:
    return result;
}

/* words[0..count) belong to one utterance and channel. Where it has several, each is one speaker and becomes part of the
 * id. */
static enum status add_utterance(struct import *import, const struct ctm *ctm, const struct ctm_word *words,
                                 int64_t count, bool several)
{
    enum status result = STATUS_OK;
    char audio[PATH_BYTES], id[PATH_BYTES];
    const char *folder = import->options->audio ? import->options->audio : import->root;
    struct import_mark mark = import_begin(import);
    struct import_row *row;
    TRY(path_format(id, "%s%s%s", words->utterance, several ? "-" : "", several ? words->channel : ""));
    for (int64_t i = 0; i < count; i++)
        if (words[i].fault)
            FAIL(STATUS_CORRUPT, "%s: %s", words[i].source, words[i].fault);
    if (!import_find_audio(import, folder, words->utterance, audio))
        TRY(import_refuse(import, IMPORT_NO_AUDIO, "%s/%s", folder, words->utterance));
    TRY(import_add(import, id, audio, words->source, &row));
    row->channel = channel_number(ctm, words->channel, several);
    if (row->channel == -2) {
        row->channel = -1;
        TRY(import_note(import, IMPORT_CHANNEL, id, row->source, "\"%.50s\"", words->channel));
    }
    TRY(import_set(&row->document, words->utterance));
    TRY(take_words(import, words, count, row));
fail:
    return import_settle(import, mark, words->utterance, words->source, result);
}

/* words[0..count) belong to one utterance. */
static enum status add_channels(struct import *import, const struct ctm *ctm, const struct ctm_word *words,
                                int64_t count)
{
    enum status result = STATUS_OK;
    bool several = false;
    for (int64_t i = 0; i < count; i++) /* a line that is cut short has none */
        several |= !words[i].fault && strcmp(words[i].channel, words[count - 1].channel) != 0;
    for (int64_t from = 0, to; result == STATUS_OK && from < count; from = to) {
        for (to = from; to < count && strcmp(words[to].channel, words[from].channel) == 0;)
            to++;
        result = add_utterance(import, ctm, words + from, to - from, several);
    }
    return result;
}

enum status import_ctm(struct import *import)
{
    enum status result = STATUS_OK;
    struct ctm ctm = {0};
    TRY(import_each_line(import, import->options->source, visit_line, &ctm));
    if (ctm.count > 0)
        qsort(ctm.words, (size_t)ctm.count, sizeof *ctm.words, by_utterance);
    for (int64_t begin = 0, end; begin < ctm.count; begin = end) {
        for (end = begin; end < ctm.count && strcmp(ctm.words[end].utterance, ctm.words[begin].utterance) == 0;)
            end++;
        TRY(add_channels(import, &ctm, ctm.words + begin, end - begin));
    }
fail:
    for (int64_t i = 0; i < ctm.count; i++) {
        free(ctm.words[i].utterance);
        free(ctm.words[i].channel);
        free(ctm.words[i].text);
        free(ctm.words[i].source);
        free(ctm.words[i].fault);
    }
    free(ctm.words);
    return result;
}
