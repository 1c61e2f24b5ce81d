/* Importers turn what other tools write beside audio into a manifest (docs/prepare.md).
 *   folder       a folder of audio files, each with its text in a .txt file of the same name
 *   librispeech  speaker/chapter/speaker-chapter-nnnn.flac and speaker-chapter.trans.txt
 *   ctm          lines "utterance channel start duration word [confidence]" beside a folder of audio
 *   textgrid     Praat's text formats, long and short, one file per audio file
 *   whisper      JSON with words and times, one file per audio file */
#ifndef SPIRITLM_DATA_PREPARE_IMPORT_H
#define SPIRITLM_DATA_PREPARE_IMPORT_H

#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

enum import_kind { IMPORT_FOLDER, IMPORT_LIBRISPEECH, IMPORT_CTM, IMPORT_TEXTGRID, IMPORT_WHISPER, IMPORT_KINDS };
const char *import_kind_name(enum import_kind kind);

struct import_options {
    enum import_kind kind;
    const char *source;   /* a folder; CTM: the file */
    const char *audio;    /* folder of the audio of CTM, TextGrid and whisper; NULL: beside the source's files */
    const char *tier;     /* TextGrid: the tier of words; NULL: the one named "words", or the only interval tier */
    const char *speaker;  /* of all rows; NULL: none, or what the layout says */
    bool speaker_folders; /* the first folder below the source names the speaker */
    bool lowercase;       /* ASCII letters of the texts */
    const char *output;   /* the manifest; written atomically */
};

struct import_counts {
    int64_t rows, with_text, words;
    int64_t without_audio, without_text; /* transcripts skipped because they have no audio; audio kept without a text */
    int64_t untimed;                     /* rows whose words do not fit their text: written without words */
};

/* STATUS_USAGE: the source is missing or contains nothing of this kind; STATUS_CORRUPT: a file is not in the format;
 * the error names file and line. Rows are sorted by id; audio paths below the manifest's folder are relative to it. */
enum status import_run(const struct import_options *options, struct import_counts *counts);

#endif
