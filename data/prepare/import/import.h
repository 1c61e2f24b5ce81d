/* Importers turn what other tools write beside audio into a manifest (docs/prepare.md). The table of kinds is here; each
 * reader is in a file of its own. What a reader leaves out or changes is listed beside the manifest. */
#ifndef SPIRITLM_DATA_PREPARE_IMPORT_H
#define SPIRITLM_DATA_PREPARE_IMPORT_H

#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

/* Options that only some kinds have a use for; and whether all audio of the folder is expected to be imported. */
enum {
    IMPORT_AUDIO = 1,
    IMPORT_TIER = 2,
    IMPORT_SPEAKER_FOLDERS = 4,
    IMPORT_PER = 8,
    IMPORT_TEXT_KEY = 16,
    IMPORT_ALL_AUDIO = 32,
};

/* KIND(NAME, name, options, help): the reader is import_NAME. */
#define IMPORT_KIND_LIST(KIND)                                                                                         \
    KIND(FOLDER, folder, IMPORT_SPEAKER_FOLDERS,                                                                       \
         "folder       a folder of audio files, their texts in .txt files of the same name")                           \
    KIND(LIBRISPEECH, librispeech, IMPORT_ALL_AUDIO, "librispeech  a folder in LibriSpeech's layout")                  \
    KIND(LJSPEECH, ljspeech, IMPORT_ALL_AUDIO, "ljspeech     a folder with metadata.csv and wavs/")                    \
    KIND(COMMONVOICE, commonvoice, IMPORT_AUDIO, "commonvoice  a .tsv file of Common Voice beside clips/")             \
    KIND(KALDI, kaldi, IMPORT_AUDIO, "kaldi        a Kaldi data folder: wav.scp, text, utt2spk, segments")             \
    KIND(NEMO, nemo, IMPORT_AUDIO, "nemo         a NeMo manifest, JSON lines with audio_filepath")                     \
    KIND(MOSHI, moshi, 0, "moshi        JSON lines with path; word times in a .json file beside each")                 \
    KIND(FAIRSEQ, fairseq, IMPORT_AUDIO, "fairseq      a .tsv file, its .km (units) or .wrd beside it; or name|units") \
    KIND(SLAMKIT, slamkit, 0, "slamkit      features.jsonl or tokens.jsonl: ready units")                              \
    KIND(CTM, ctm, IMPORT_AUDIO, "ctm          a .ctm file")                                                           \
    KIND(TEXTGRID, textgrid, IMPORT_AUDIO | IMPORT_TIER | IMPORT_ALL_AUDIO,                                            \
         "textgrid     a folder of .TextGrid files, or one")                                                           \
    KIND(WHISPER, whisper, IMPORT_AUDIO | IMPORT_ALL_AUDIO,                                                            \
         "whisper      a folder of .json files with word times, or one")                                               \
    KIND(TEXT, text, IMPORT_PER, "text         a folder of .txt files, or one: texts without audio")                   \
    KIND(JSONL, jsonl, IMPORT_TEXT_KEY, "jsonl        a folder of .jsonl files, or one: texts without audio")

enum import_kind {
#define KIND_NAME(upper, lower, options, help) IMPORT_##upper,
    IMPORT_KIND_LIST(KIND_NAME)
#undef KIND_NAME
        IMPORT_KINDS
};
const char *import_kind_name(enum import_kind kind);
int import_kind_options(enum import_kind kind); /* of the enum above, or-ed */
enum status import_kind_parse(const char *name, enum import_kind *kind);

/* Why something is not in the manifest, or not as it was in the source. REASON(NAME, rejected, text, advice) */
#define IMPORT_REASON_LIST(REASON)                                                                                     \
    REASON(NO_AUDIO, true, "there is no audio file for it", "--audio names the folder of the audio")                   \
    REASON(NO_TRANSCRIPT, true, "audio without a transcript", "the kind folder imports speech without text")           \
    REASON(NO_TEXT, true, "it has no text", "see docs/prepare.md for what this kind expects")                          \
    REASON(UNREADABLE, true, "it is not in the format", "see docs/prepare.md for what this kind expects")              \
    REASON(NO_TIER, true, "it has no tier of words", "--tier names the tier")                                          \
    REASON(SAME_ID, true, "another utterance has the same id", "rename one of the two")                                \
    REASON(COMMAND, true, "its audio is made by a command", "write the audio to files first")                          \
    REASON(TOO_LONG, true, "its text is longer than 4 MiB", "--per paragraph cuts the texts")                          \
    REASON(NOT_UTF8, true, "it is not UTF-8", "convert it with iconv")                                                 \
    REASON(SPEECH_ALONE, false, "audio without a text: kept as speech alone",                                          \
           "see docs/prepare.md for what this kind expects")                                                           \
    REASON(OTHER_FILE, true, "a sound file of a kind that cannot be read", "convert audio to FLAC first")              \
    REASON(NO_TIMES, false, "no word has times: the text is kept", "prepare finds them itself")                        \
    REASON(UNTIMED_ROW, false, "its words do not fit its text: kept without times", "prepare finds them itself")       \
    REASON(TIMES_BACK, false, "times that go back: the word is kept without times", "prepare can find them itself")    \
    REASON(BAD_TIMES, false, "more than a third of the times go back: all are dropped", "prepare finds them itself")   \
    REASON(UNTIMED_WORD, false, "a word without a valid time: kept in the text", "prepare can find them itself")       \
    REASON(OVERLAP, false, "words that overlap: the start was moved to the previous end", "check the aligner")         \
    REASON(NOISE, false, "a label that is not a word: dropped", "rename labels that are words")                        \
    REASON(ALTERNATIVE, false, "alternatives: only the first was kept", "remove the others from the file")             \
    REASON(MERGED, false, "several speakers' words were merged by time", "--tier names one tier")                      \
    REASON(OTHER_SPEAKER, false, "words of another speaker's channel: dropped", "import the other channel on its own") \
    REASON(CHANNEL, false, "a channel whose number is not clear: the mean of all is used",                             \
           "name channels 1, 2 or A, B")                                                                               \
    REASON(RUNS, false, "units without durations: each is stored once", "import features.jsonl instead")

enum import_reason {
#define REASON_NAME(upper, rejected, text, advice) IMPORT_##upper,
    IMPORT_REASON_LIST(REASON_NAME)
#undef REASON_NAME
        IMPORT_REASONS
};
const char *import_reason_text(enum import_reason reason);
const char *import_reason_advice(enum import_reason reason);
bool import_reason_rejects(enum import_reason reason); /* false: the row is there, changed */

enum import_per { IMPORT_PER_FILE, IMPORT_PER_PARAGRAPH, IMPORT_PER_LINE };
enum import_split_by { IMPORT_BY_SPEAKER, IMPORT_BY_DOCUMENT, IMPORT_BY_ROW };

struct import_options {
    enum import_kind kind;
    const char *source;   /* a folder or file, as the kind says */
    const char *audio;    /* folder of the audio where it is not beside the source's files; NULL: it is */
    const char *tier;     /* TextGrid: the tier of words; NULL: those named "words", or the only interval tier */
    const char *speaker;  /* of all rows; NULL: none, or what the layout says */
    const char *text_key; /* JSON lines of texts; NULL: "text" */
    bool speaker_folders; /* the first folder below the source names the speaker */
    bool lowercase;       /* texts in lower case (text/lower_case.h) */
    enum import_per per;  /* text: what becomes a row */
    const char *split;    /* "train=0.9,test=0.1": one manifest per part; NULL: one manifest */
    enum import_split_by split_by;
    int64_t split_seed;
    const char *output; /* the manifest; written atomically */
};

struct import_counts {
    int64_t rows, with_text, words;
    int64_t rejected;                /* utterances that are not in the manifest */
    int64_t reasons[IMPORT_REASONS]; /* how often */
};

/* Writes OUTPUT, or with a split one OUTPUT.PART per part, and beside it what was left out or changed (OUTPUT.rejects),
 * both sorted by id, paths below the manifest's folder relative to it. One bad utterance is rejected and the others
 * are imported. STATUS_USAGE: the source is missing or contains nothing of this kind; STATUS_CORRUPT: all of it was
 * rejected, or the source as a whole is not of the kind. Nothing is written then. */
enum status import_run(const struct import_options *options, struct import_counts *counts);

#endif
