/* Words with times as speech recognisers write them in JSON, one file per audio file:
 *   whisper, whisperX   {"text", "segments": [{"text", "words": [{"word": " Hello", "start", "end"}]}]}; a word without
 *                       times (whisperX gives none to numbers) appears only in the text
 *   aligned_text        {"text", "aligned_text": [[" word", start, end]]}
 *   alignments          {"alignments": [["word", [start, end], "SPEAKER"]]} */
#include "data/prepare/import/import_files.h"
#include "data/prepare/import/import_formats.h"
#include "io/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct words {
    const char *path;
    struct import_row *row;
    double last; /* start of the previous word, for files whose words go back in time because of rounding */
};

static enum status refuse(const char *path, const char *what)
{
    return status_set(STATUS_CORRUPT, "%s: %s", path, what);
}

static enum status take_word(struct words *words, const json_t *text, const json_t *start, const json_t *end)
{
    if (!json_is_string(text))
        return refuse(words->path, "a word has no text");
    if (!start && !end)
        return STATUS_OK;
    if (!json_is_number(start) || !json_is_number(end))
        return refuse(words->path, "a word's \"start\" or \"end\" is not a number");
    double from = json_number_value(start), to = json_number_value(end);
    if (!(isfinite(from) && isfinite(to) && from >= 0))
        return refuse(words->path, "a word's time is negative or not finite");
    from = from < words->last ? words->last : from;
    words->last = from;
    return import_add_word(words->row, json_string_value(text), from, to);
}

static enum status take_segment(struct words *words, const json_t *segment)
{
    const json_t *list = json_object_get(segment, "words");
    if (!json_is_array(list))
        return refuse(words->path, "a segment has no \"words\": make whisper write word timestamps");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *word = json_array_get(list, i), *text = json_object_get(word, "word");
        enum status result = take_word(words, text ? text : json_object_get(word, "text"),
                                       json_object_get(word, "start"), json_object_get(word, "end"));
        if (result != STATUS_OK)
            return result;
    }
    return STATUS_OK;
}

/* [word, start, end] or [word, [start, end], ...] */
static enum status take_triple(struct words *words, const json_t *item)
{
    const json_t *second = json_array_get(item, 1);
    if (json_is_array(second))
        return take_word(words, json_array_get(item, 0), json_array_get(second, 0), json_array_get(second, 1));
    if (json_array_size(item) < 3)
        return refuse(words->path, "an aligned word must be [word, start, end]");
    return take_word(words, json_array_get(item, 0), second, json_array_get(item, 2));
}

static enum status take_words(struct words *words, const json_t *root)
{
    const json_t *segments = json_object_get(root, "segments"), *list = json_object_get(root, "aligned_text");
    enum status result = STATUS_OK;
    if (!list)
        list = json_object_get(root, "alignments");
    if (!json_is_array(segments) && !json_is_array(list))
        FAIL(STATUS_CORRUPT, "%s: none of \"segments\", \"aligned_text\" and \"alignments\" is a list", words->path);
    for (size_t i = 0; list && i < json_array_size(list); i++)
        TRY(take_triple(words, json_array_get(list, i)));
    for (size_t i = 0; !list && i < json_array_size(segments); i++)
        TRY(take_segment(words, json_array_get(segments, i)));
fail:
    return result;
}

/* The text of the file if it has one, otherwise that of its segments, otherwise the words. */
static enum status take_text(const char *path, const json_t *root, struct import_row *row)
{
    const json_t *text = json_object_get(root, "text"), *segments = json_object_get(root, "segments");
    char *joined = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&joined, &size);
    if (!stream)
        return status_set(STATUS_INTERNAL, "%s: out of memory", path);
    if (json_is_string(text))
        fputs(json_string_value(text), stream);
    for (size_t i = 0; !json_is_string(text) && i < json_array_size(segments); i++) {
        const char *part = json_string_value(json_object_get(json_array_get(segments, i), "text"));
        fprintf(stream, "%s ", part ? part : "");
    }
    bool good = fclose(stream) == 0;
    if (good)
        row->text = import_clean_text(joined, (int64_t)size);
    free(joined);
    if (!row->text)
        return status_set(STATUS_INTERNAL, "%s: out of memory", path);
    if (row->text[0])
        return STATUS_OK;
    free(row->text);
    row->text = NULL;
    return import_text_from_words(row);
}

static enum status visit_json(struct import *import, const char *path)
{
    enum status result = STATUS_OK;
    char audio[PATH_BYTES], *stem = NULL;
    json_t *root = NULL;
    stem = import_identify(import->root, path);
    if (!stem)
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    TRY(jdoc_read(path, &root));
    if (!json_is_object(root))
        TRY(refuse(path, "not a JSON object"));
    if (!import_find_audio(import->options->audio ? import->options->audio : import->root, stem, audio)) {
        import->counts.without_audio++;
        goto fail;
    }
    struct import_row *row = import_add(import);
    if (!row || !(row->id = strdup(stem)) || !(row->audio = strdup(audio)))
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    struct words words = {.path = path, .row = row};
    TRY(take_words(&words, root));
    TRY(take_text(path, root, row));
fail:
    json_decref(root);
    free(stem);
    return result;
}

enum status import_whisper(struct import *import)
{
    return import_walk(import, import->options->source, ".json", visit_json);
}
