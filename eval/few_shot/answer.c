/* The answer is read from the text that the ids give and not from the ids themselves: a model may write "<END>" in other pieces
 * than the prompt's. */
#include "eval/few_shot/answer.h"

#include "core/array.h"
#include "core/utf8.h"
#include "text/white_space.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[] = {"ended", "no_end", "second_begin", "other_modality", "too_long"};

const char *answer_ending_name(enum answer_ending ending)
{
    return ending < ANSWER_ENDINGS ? names[ending] : "";
}

/* Either ids or a text. */
struct stop {
    int32_t *ids;
    int64_t count;
    const char *text;
};

struct answer_reader {
    const struct components *components;
    const struct prompt_template *pattern;
    struct stop *stops;
    int64_t stop_count;
};

/* ---- stops ---- */

/* "[Hu3][Hu7]" as ids; anything else is a text. */
static enum status make_stop(const struct vocabulary *vocabulary, const char *text, struct stop *stop)
{
    int64_t capacity = 0, length;
    *stop = (struct stop){.text = text};
    for (const char *at = text; *at; at += length) {
        int32_t id = vocabulary_find_token(vocabulary, at, &length);
        if (id < 0) {
            free(stop->ids);
            *stop = (struct stop){.text = text};
            return STATUS_OK;
        }
        enum status result = array_grow(&stop->ids, &capacity, stop->count + 1, "ids of a stop");
        if (result != STATUS_OK)
            return result;
        stop->ids[stop->count++] = id;
    }
    return STATUS_OK;
}

enum status answer_reader_create(const struct components *components, const struct prompt_template *pattern,
                                 struct answer_reader **out)
{
    enum status result = STATUS_OK;
    struct answer_reader *reader = calloc(1, sizeof *reader);
    *out = NULL;
    if (!reader || !(reader->stops = calloc((size_t)pattern->stop.count + 1, sizeof *reader->stops))) {
        free(reader);
        return status_set(STATUS_INTERNAL, "no memory for the stops of a prompt");
    }
    reader->components = components;
    reader->pattern = pattern;
    for (int64_t i = 0; i < pattern->stop.count; i++) {
        if (!*pattern->stop.items[i])
            continue;
        reader->stop_count++;
        TRY(make_stop(&components->vocabulary, pattern->stop.items[i], &reader->stops[reader->stop_count - 1]));
    }
    *out = reader;
    return STATUS_OK;
fail:
    answer_reader_free(reader);
    return result;
}

void answer_reader_free(struct answer_reader *reader)
{
    for (int64_t i = 0; reader && i < reader->stop_count; i++)
        free(reader->stops[i].ids);
    if (reader)
        free(reader->stops);
    free(reader);
}

/* ---- text ---- */

static bool is_text(const struct answer_reader *reader, int32_t id)
{
    return vocabulary_kind(&reader->components->vocabulary, id) == TOKEN_TEXT;
}

/* The text up to the first tag or unit, well-formed and without NUL; *texts: how many ids that are. */
static enum status decode(const struct answer_reader *reader, const int32_t *ids, int64_t count, char **text,
                          int64_t *texts)
{
    char *bytes = NULL;
    int64_t size, repaired;
    bool malformed;
    *text = NULL;
    for (*texts = 0; *texts < count && is_text(reader, ids[*texts]);)
        ++*texts;
    enum status result = text_model_decode(reader->components->text, ids, *texts, true, &bytes, &size);
    for (int64_t i = 0; result == STATUS_OK && i < size; i++)
        bytes[i] = bytes[i] ? bytes[i] : (char)0xFF; /* no character */
    if (result == STATUS_OK)
        result = utf8_repair(bytes, size, false, text, &repaired, &malformed);
    free(bytes);
    return result;
}

/* Where the answer is in a text: behind the beginning, up to an end or a second beginning (NULL: none). */
struct place {
    const char *from, *end, *again;
    bool begun;
};

static struct place find_place(const struct prompt_template *pattern, const char *text)
{
    const char *begin = *pattern->begin ? strstr(text, pattern->begin) : NULL;
    struct place place = {.from = begin ? begin + strlen(pattern->begin) : text, .begun = begin != NULL};
    place.end = *pattern->end ? strstr(place.from, pattern->end) : NULL;
    place.again = begin ? strstr(place.from, pattern->begin) : NULL;
    return place;
}

bool answer_stops(const struct answer_reader *reader, const int32_t *ids, int64_t count)
{
    char *text = NULL;
    int64_t texts;
    bool stops = false, of_text = false;
    for (int64_t s = 0; s < reader->stop_count; s++) {
        const struct stop *stop = &reader->stops[s];
        of_text = of_text || !stop->ids;
        if (stop->ids && count >= stop->count &&
            memcmp(ids + count - stop->count, stop->ids, (size_t)stop->count * sizeof *ids) == 0)
            return true;
    }
    of_text = of_text || *reader->pattern->end || *reader->pattern->begin;
    if (reader->pattern->output == OUTPUT_SPEECH || !of_text)
        return false;
    if (!is_text(reader, ids[count - 1]))
        return true; /* a tag, or a unit without one: no more text belongs to the answer */
    if (decode(reader, ids, count, &text, &texts) != STATUS_OK)
        return false; /* no memory: whoever reads the answer will see */
    const struct place place = find_place(reader->pattern, text);
    stops = place.end || place.again;
    for (int64_t s = 0; s < reader->stop_count; s++)
        stops = stops || (!reader->stops[s].ids && strstr(place.from, reader->stops[s].text));
    free(text);
    return stops;
}

/* ---- the answer ---- */

static enum answer_ending ending_of(const struct answer_reader *reader, const struct place *place, bool other,
                                    bool limited)
{
    if (place->end && !(place->again && place->again < place->end))
        return ANSWER_ENDED;
    if (place->again)
        return ANSWER_SECOND_BEGIN;
    if (other)
        return ANSWER_OTHER_MODALITY;
    if (limited)
        return ANSWER_TOO_LONG;
    return *reader->pattern->end ? ANSWER_NO_END : ANSWER_ENDED;
}

/* Where a stop of the template that is a text begins; the answer ends there too. */
static const char *first_stop(const struct answer_reader *reader, const char *from, const char *end)
{
    for (int64_t s = 0; s < reader->stop_count; s++) {
        const char *at = reader->stops[s].ids ? NULL : strstr(from, reader->stops[s].text);
        if (at && at < end)
            end = at;
    }
    return end;
}

/* The ids up to the first stop: what a model writes behind it is not read, whether or not somebody has stopped it. */
static int64_t count_to_stop(const struct answer_reader *reader, const int32_t *ids, int64_t count)
{
    int64_t stop = 1;
    while (stop < count && !answer_stops(reader, ids, stop))
        stop++;
    return stop < count ? stop : count;
}

enum status answer_read(const struct answer_reader *reader, const int32_t *ids, int64_t count, bool limited,
                        struct answer *answer)
{
    enum status result = STATUS_OK;
    char *text = NULL;
    int64_t texts, begin = 0, end, read = count_to_stop(reader, ids, count);
    *answer = (struct answer){0};
    TRY(decode(reader, ids, read, &text, &texts));
    const struct place place = find_place(reader->pattern, text);
    const char *last = place.from + strlen(place.from);
    if (place.end && place.end < last)
        last = place.end;
    if (place.again && place.again < last)
        last = place.again;
    end = first_stop(reader, place.from, last) - place.from;
    trim_white_space(place.from, &begin, &end);
    answer->text = strndup(place.from + begin, (size_t)(end - begin));
    if (!answer->text)
        FAIL(STATUS_INTERNAL, "no memory for an answer");
    answer->ending = ending_of(reader, &place, texts < read, limited && read == count);
    answer->no_begin = *reader->pattern->begin && !place.begun;
    answer->empty = begin == end;
fail:
    free(text);
    return result;
}
