/* Words with times as speech recognisers write them in JSON, one file per audio file:
 *   whisper, whisperX   {"text", "segments": [{"text", "words": [{"word": " Hello", "start", "end"}]}]}
 *   OpenAI's API        {"text", "words": [{"word", "start", "end"}], "segments": [{"text"}]}
 *   whisperX            {"word_segments": [{"word", "start", "end"}], "segments"}
 *   aligned_text        {"text", "aligned_text": [[" word", start, end]]}
 *   alignments          {"alignments": [["word", [start, end], "SPEAKER"]]}
 *   transformers        {"text", "chunks": [{"text", "timestamp": [start, end]}]}, of words or of phrases
 *   whisper.cpp         {"transcription": [{"text", "offsets": {"from", "to"}}]}, of words (-ml 1) or of phrases
 * A word without times (whisperX gives none to numbers) appears only in the text, and so does a segment without words. */
#include "data/prepare/import/import_files.h"
#include "data/prepare/import/import_formats.h"
#include "data/prepare/import/import_lines.h"
#include "data/prepare/import/import_words_json.h"

#include <stdlib.h>
#include <string.h>

static const json_t *list_of(const json_t *root, const char *key)
{
    const json_t *list = json_object_get(root, key);
    return json_array_size(list) > 0 ? list : NULL;
}

static bool segments_have_words(const json_t *segments)
{
    for (size_t i = 0; i < json_array_size(segments); i++)
        if (list_of(json_array_get(segments, i), "words"))
            return true;
    return false;
}

/* Whether the items' texts are words: then their times are those of words. */
static bool are_words(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *text = json_object_get(json_array_get(list, i), "text");
        char *clean = text && json_is_string(text)
                          ? import_clean_text(json_string_value(text), (int64_t)json_string_length(text))
                          : NULL;
        bool word = clean && !strchr(clean, ' ');
        free(clean);
        if (!word)
            return false;
    }
    return true;
}

static enum status take_words(const json_t *root, struct import_row *row)
{
    static const char *const lists[] = {"words", "word_segments", "aligned_text", "alignments"};
    static const char *const either[] = {"chunks", "transcription"};
    enum status result = STATUS_OK;
    const json_t *segments = list_of(root, "segments");
    bool inside = segments_have_words(segments);
    for (size_t i = 0; inside && i < json_array_size(segments); i++)
        TRY(import_add_json_words(row, json_object_get(json_array_get(segments, i), "words")));
    for (size_t i = 0; !inside && row->word_count == 0 && i < sizeof lists / sizeof *lists; i++)
        TRY(import_add_json_words(row, list_of(root, lists[i])));
    for (size_t i = 0; !inside && row->word_count == 0 && i < sizeof either / sizeof *either; i++)
        if (are_words(list_of(root, either[i])))
            TRY(import_add_json_words(row, list_of(root, either[i])));
fail:
    return result;
}

/* The text of the file if it has one, otherwise that of its segments, otherwise the words. */
static enum status take_text(const json_t *root, struct import_row *row)
{
    static const char *const lists[] = {"segments", "chunks", "transcription"};
    enum status result = STATUS_OK;
    TRY(import_set_text(&row->text, json_string_value(json_object_get(root, "text"))));
    for (size_t i = 0; !row->text && i < sizeof lists / sizeof *lists; i++)
        TRY(import_set_joined_text(row, list_of(root, lists[i])));
    if (!row->text)
        TRY(import_text_from_words(row));
fail:
    return result;
}

static enum status check_shape(struct import *import, const char *path, const json_t *root)
{
    static const char *const keys[] = {"text",         "segments",   "words",  "word_segments",
                                       "aligned_text", "alignments", "chunks", "transcription"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (json_object_get(root, keys[i]))
            return STATUS_OK;
    return import_refuse(import, IMPORT_UNREADABLE,
                         "%s: has none of \"text\", \"segments\", \"words\", \"word_segments\", \"aligned_text\", "
                         "\"alignments\", \"chunks\" and \"transcription\"",
                         path);
}

static enum status read_json(struct import *import, const char *path, struct import_row *row)
{
    enum status result = STATUS_OK;
    json_t *root = NULL;
    TRY(import_json_file(path, &root));
    TRY(check_shape(import, path, root));
    if ((result = take_words(root, row)) != STATUS_OK)
        result = status_prefix(result, "%s", path);
    if (result == STATUS_OK)
        result = take_text(root, row);
    if (result == STATUS_OK && !row->text)
        result = import_refuse(import, IMPORT_NO_TEXT, "%s", path);
    if (result == STATUS_OK && row->word_count == 0)
        result = import_note(import, IMPORT_NO_TIMES, row->id, row->source, "no list of words with times");
fail:
    json_decref(root);
    return result;
}

static enum status visit_json(struct import *import, const char *path)
{
    enum status result = STATUS_OK;
    char audio[PATH_BYTES], *stem = import_identify(import->root, path);
    struct import_mark mark = import_begin(import);
    struct import_row *row;
    if (!stem)
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    if (!import_find_transcribed(import, import->options->audio ? import->options->audio : import->root, stem, audio))
        TRY(import_refuse(import, IMPORT_NO_AUDIO, "%s", stem));
    TRY(import_add(import, stem, audio, import_relative(import, path), &row));
    TRY(read_json(import, path, row));
fail:
    result = import_settle(import, mark, stem, import_relative(import, path), result);
    free(stem);
    return result;
}

enum status import_whisper(struct import *import)
{
    return import_walk(import, import->options->source, ".json", visit_json);
}
