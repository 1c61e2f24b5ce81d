/* Keys that are not ours are labels, so a manifest of another tool, or one with a misspelled key, would be read as
 * something that it is not: audio that is called "audio_filepath" would become a corpus of texts. Such keys are refused
 * by the name that they should have, before any work. */
#include "data/manifest_internal.h"

#include <string.h>

static const char *const own_keys[] = {"id",    "text",   "audio", "channel", "begin", "end",
                                       "words", "hubert", "pitch", "style",   "units", "speaker"};

/* What NeMo, Kaldi, Common Voice, LibriSpeech's lists, fairseq, Hugging Face's datasets, whisper's tools and others call
 * what we call otherwise. */
static const struct {
    const char *own, *others[24];
} foreign[] = {
    {"id",
     {"utt", "utt_id", "uttid", "utterance_id", "utt2spk", "uid", "segment_id", "sample_id", "clip_id", "audio_id",
      "recording_id"}},
    {"audio",
     {"audio_filepath",
      "audio_file_path",
      "audio_path",
      "audio_file",
      "audio_filename",
      "audio_name",
      "audio_url",
      "path",
      "wav",
      "wav_path",
      "wav_file",
      "wav_filename",
      "wavpath",
      "file",
      "filename",
      "file_name",
      "filepath",
      "file_path",
      "sound",
      "flac",
      "mp3"}},
    {"text",
     {"transcript", "transcription", "transcripts", "transcriptions", "sentence", "sentences", "utterance", "txt",
      "normalized_text", "normalised_text", "normalized_transcript", "raw_text", "raw_transcription", "orthographic",
      "ref_text", "target_text", "tgt_text"}},
    {"begin", {"start", "offset", "start_time", "begin_time", "starttime", "start_sec", "begin_sec", "start_seconds"}},
    {"end", {"stop", "end_time", "endtime", "stop_time", "end_sec", "end_seconds"}},
    {"speaker",
     {"speaker_id", "speakerid", "speaker_name", "spk", "spk_id", "spkid", "spkr", "client_id", "reader_id", "talker"}},
    {"words",
     {"alignment", "alignments", "aligned_text", "word_alignment", "word_alignments", "word_timestamps",
      "word_segments", "word_times", "timestamps"}},
    {"hubert", {"unit", "hubert_units", "hubert_codes", "speech_units", "codes", "audio_repr", "km"}},
    {"pitch", {"f0", "pitch_units", "pitch_codes"}},
    {"style", {"style_units", "style_codes"}},
};

/* Lower case, with one kind of separator. */
static void plain_key(const char *key, char plain[64])
{
    size_t length = 0;
    for (; *key && length < 63; key++)
        plain[length++] = *key >= 'A' && *key <= 'Z' ? (char)(*key + 32) : strchr("- .", *key) ? '_' : *key;
    plain[length] = 0;
}

/* One letter more, less, different, or two neighbours exchanged. */
static bool one_edit(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    if (!*a && !*b)
        return false;
    bool more = *a && strcmp(a + 1, b) == 0, less = *b && strcmp(a, b + 1) == 0;
    bool other = *a && *b && strcmp(a + 1, b + 1) == 0;
    bool exchanged = *a && *b && a[0] == b[1] && a[1] == b[0] && strcmp(a + 2, b + 2) == 0;
    return more || less || other || exchanged;
}

/* The key that `key` should have been; NULL: it is a label. Nearly every short word is one edit from another, so a key as
 * short as "id" or "end" is only missed where the row lacks it. */
static const char *own_name(const json_t *object, const char *key)
{
    char plain[64];
    plain_key(key, plain);
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        for (int j = 0; j < 24 && foreign[i].others[j]; j++)
            if (strcmp(plain, foreign[i].others[j]) == 0)
                return foreign[i].own;
    for (size_t i = 0; i < sizeof own_keys / sizeof *own_keys; i++) {
        const char *own = own_keys[i];
        if (strcmp(key, own) == 0)
            return NULL;
        if (strcmp(plain, own) == 0 || (one_edit(plain, own) && (strlen(own) > 3 || !json_object_get(object, own))))
            return own;
    }
    return NULL;
}

static bool is_label(const char *key, const struct config_list *labels)
{
    for (int64_t i = 0; labels && i < labels->count; i++)
        if (strcmp(labels->items[i], key) == 0)
            return true;
    return false;
}

bool manifest_is_own_key(const char *key)
{
    for (size_t i = 0; i < sizeof own_keys / sizeof *own_keys; i++)
        if (strcmp(own_keys[i], key) == 0)
            return true;
    return false;
}

enum status manifest_check_keys(const char *where, json_t *object, const struct config_list *labels)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        if (is_label(key, labels))
            continue;
        const char *own = own_name(object, key);
        if (own)
            return status_set(
                STATUS_CORRUPT,
                "%s: unknown key \"%.64s\"; did you mean \"%s\"? (If it is a label to be kept, list it in "
                "manifest.labels.)",
                where, key, own);
        if (strcmp(key, "duration") == 0)
            return status_set(STATUS_CORRUPT,
                              "%s: unknown key \"duration\"; the audio itself says how long it is, and \"begin\" and "
                              "\"end\" choose a part of it (if it is a label to be kept, list it in manifest.labels)",
                              where);
    }
    return STATUS_OK;
}
