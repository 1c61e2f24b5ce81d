/* A Kaldi data folder: wav.scp names the audio of each recording, segments cuts recordings into utterances (without it
 * each recording is one), text and utt2spk say what is said and by whom, reco2file_and_channel which channel it is. */
#include "data/prepare/import/import_files.h"
#include "data/prepare/import/import_formats.h"
#include "data/prepare/import/import_lines.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct folder {
    struct import_pairs audio, text, speakers, segments, channels;
    bool has_text, has_segments;
};

static enum status read_pairs(struct import *import, const char *name, bool required, struct import_pairs *pairs,
                              bool *there)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES];
    TRY(path_format(path, "%s/%s", import->options->source, name));
    bool found = access(path, F_OK) == 0;
    if (there)
        *there = found;
    if (!found && !required)
        return STATUS_OK;
    TRY(import_pairs_read(import, path, pairs));
fail:
    return result;
}

static enum status read_folder(struct import *import, struct folder *folder)
{
    enum status result = STATUS_OK;
    TRY(read_pairs(import, "wav.scp", true, &folder->audio, NULL));
    TRY(read_pairs(import, "text", false, &folder->text, &folder->has_text));
    TRY(read_pairs(import, "utt2spk", false, &folder->speakers, NULL));
    TRY(read_pairs(import, "segments", false, &folder->segments, &folder->has_segments));
    TRY(read_pairs(import, "reco2file_and_channel", false, &folder->channels, NULL));
fail:
    return result;
}

/* Paths of wav.scp are relative to where the recipe was run: the folder of --audio, the data folder, one of those that it
 * lies in (data/train of a recipe), or the working folder. */
static enum status find_recording(struct import *import, const char *recording, const char *entry, char *path)
{
    enum status result = STATUS_OK;
    size_t length = strlen(entry);
    char folder[PATH_BYTES];
    if (length > 0 && entry[length - 1] == '|')
        return import_refuse(import, IMPORT_COMMAND, "wav.scp: %s: \"%.300s\"", recording, entry);
    if (import_find_audio(import, import->options->audio ? import->options->audio : import->root, entry, path))
        return STATUS_OK;
    TRY(path_format(folder, "%s", import->root));
    for (int up = 0; up < 3 && !import->options->audio; up++) {
        char parent[PATH_BYTES];
        TRY(path_format(parent, "%s/..", folder));
        if (import_find_audio(import, parent, entry, path))
            return STATUS_OK;
        TRY(path_format(folder, "%s", parent));
    }
    if (!import->options->audio && import_find_audio(import, ".", entry, path))
        return STATUS_OK;
    TRY(import_refuse(import, IMPORT_NO_AUDIO, "wav.scp: %s: %s", recording, entry));
fail:
    return result;
}

/* "file A" */
static int channel_of(const struct folder *folder, const char *recording)
{
    const char *value = import_pairs_find(&folder->channels, recording);
    const char *space = value ? strrchr(value, ' ') : NULL;
    const char *tab = value ? strrchr(value, '\t') : NULL;
    const char *channel = space > tab ? space : tab;
    if (!channel || !channel[1] || channel[2])
        return -1;
    if (channel[1] >= 'A' && channel[1] <= 'Z')
        return channel[1] - 'A';
    return channel[1] >= '1' && channel[1] <= '9' ? channel[1] - '1' : -1;
}

static enum status add_utterance(struct import *import, const struct folder *folder, const char *id,
                                 const char *recording, double begin, double end)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES], source[PATH_BYTES];
    struct import_row *row;
    const char *entry = import_pairs_find(&folder->audio, recording), *text = import_pairs_find(&folder->text, id);
    if (!entry)
        TRY(import_refuse(import, IMPORT_NO_AUDIO, "wav.scp does not name the recording \"%.200s\"", recording));
    TRY(find_recording(import, recording, entry, path));
    TRY(path_format(source, "%s", folder->has_segments ? "segments" : "wav.scp"));
    TRY(import_add(import, id, path, source, &row));
    TRY(import_set_text(&row->text, text));
    TRY(import_set(&row->speaker, import_pairs_find(&folder->speakers, id)));
    TRY(import_set(&row->document, recording));
    row->channel = channel_of(folder, recording);
    row->begin = begin;
    row->end = end;
    if (!row->text && folder->has_text) /* a folder without any text is meant to be speech alone */
        TRY(import_note(import, IMPORT_SPEECH_ALONE, id, source, NULL));
fail:
    return result;
}

/* "recording begin end"; an end of -1 is the recording's. */
static enum status add_segment(struct import *import, const struct folder *folder, const char *id, const char *value)
{
    char recording[PATH_BYTES], more;
    double begin = 0, end = 0;
    int count = sscanf(value, "%4095s %lf %lf %c", recording, &begin, &end, &more);
    if (count != 3 || !(begin >= 0) || !(end > begin || end == -1) || !isfinite(end))
        return status_set(STATUS_CORRUPT, "segments: %s: expected \"utterance recording begin end\", found \"%.200s\"",
                          id, value);
    return add_utterance(import, folder, id, recording, begin, end == -1 ? -1 : end);
}

enum status import_kaldi(struct import *import)
{
    enum status result = STATUS_OK;
    struct folder folder = {0};
    TRY(read_folder(import, &folder));
    const struct import_pairs *list = folder.has_segments ? &folder.segments : &folder.audio;
    for (int64_t i = 0; i < list->count; i++) {
        const struct import_pair *pair = list->items + i;
        struct import_mark mark = import_begin(import);
        result = folder.has_segments ? add_segment(import, &folder, pair->key, pair->value)
                                     : add_utterance(import, &folder, pair->key, pair->key, 0, -1);
        TRY(import_settle(import, mark, pair->key, folder.has_segments ? "segments" : "wav.scp", result));
    }
    for (int64_t i = 0; i < folder.text.count; i++)
        if (!import_pairs_find(list, folder.text.items[i].key))
            TRY(import_note(import, IMPORT_NO_AUDIO, folder.text.items[i].key, "text", NULL));
fail:
    import_pairs_free(&folder.audio);
    import_pairs_free(&folder.text);
    import_pairs_free(&folder.speakers);
    import_pairs_free(&folder.segments);
    import_pairs_free(&folder.channels);
    return result;
}
