/* import: makes a manifest for prepare from what other tools leave beside audio (docs/prepare.md). */
#include "data/prepare/import/import.h"

#include "programs/common/program.h"

#include <stdio.h>
#include <string.h>

static const struct program_option options[] = {
    {"--output", "FILE.jsonl", "the manifest to write", false},
    {"--audio", "FOLDER", "folder of the audio of CTM, TextGrid or whisper files (default: beside them)", false},
    {"--tier", "NAME", "TextGrid: the tier of words (default: \"words\", or the only interval tier)", false},
    {"--speaker", "NAME", "the speaker of all rows", false},
    {"--speaker-folders", NULL, "folder: the first folder below SOURCE names the speaker", false},
    {"--lowercase", NULL, "convert texts to lower case (ASCII)", false},
};

static const struct program program = {
    .name = "import",
    .usage = "KIND SOURCE --output FILE.jsonl",
    .summary = "Makes a manifest of a corpus. KIND is one of\n"
               "  folder       SOURCE is a folder of audio files, their texts in .txt files of the same name\n"
               "  librispeech  SOURCE is a folder in LibriSpeech's layout\n"
               "  ctm          SOURCE is a .ctm file\n"
               "  textgrid     SOURCE is a folder of .TextGrid files, or one\n"
               "  whisper      SOURCE is a folder of .json files with word times, or one",
    .example = "import librispeech LibriSpeech/dev-clean --lowercase --output dev-clean.jsonl",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .takes_arguments = true,
};

static enum status parse_kind(const char *text, enum import_kind *kind)
{
    for (int i = 0; i < IMPORT_KINDS; i++)
        if (strcmp(text, import_kind_name((enum import_kind)i)) == 0) {
            *kind = (enum import_kind)i;
            return STATUS_OK;
        }
    return status_set(STATUS_USAGE, "KIND: expected folder, librispeech, ctm, textgrid or whisper, found \"%s\"", text);
}

/* An option that would have no effect is refused as a misunderstanding. */
static enum status check_options(const struct import_options *import)
{
    bool apart = import->kind != IMPORT_FOLDER && import->kind != IMPORT_LIBRISPEECH;
    if (import->tier && import->kind != IMPORT_TEXTGRID)
        return status_set(STATUS_USAGE, "--tier is only for the kind textgrid");
    if (import->audio && !apart)
        return status_set(STATUS_USAGE, "--audio is only for ctm, textgrid and whisper: the audio of %s lies in SOURCE",
                          import_kind_name(import->kind));
    if (import->speaker_folders && import->kind != IMPORT_FOLDER)
        return status_set(STATUS_USAGE, "--speaker-folders is only for the kind folder");
    if (import->speaker_folders && import->speaker)
        return status_set(STATUS_USAGE, "--speaker and --speaker-folders cannot be given together");
    return STATUS_OK;
}

static enum status run(const struct program_arguments *arguments)
{
    enum status result = STATUS_OK;
    const char *plain[2] = {NULL, NULL};
    int count = 0;
    struct import_counts counts = {0};
    for (int64_t i = 0; i < arguments->count; i++) {
        if (arguments->items[i].option)
            continue;
        if (count == 2)
            FAIL(STATUS_USAGE, "unexpected argument \"%s\" (import --help)", arguments->items[i].value);
        plain[count++] = arguments->items[i].value;
    }
    struct import_options import = {
        .source = plain[1],
        .audio = program_value(arguments, "--audio", NULL),
        .tier = program_value(arguments, "--tier", NULL),
        .speaker = program_value(arguments, "--speaker", NULL),
        .speaker_folders = program_flag(arguments, "--speaker-folders"),
        .lowercase = program_flag(arguments, "--lowercase"),
        .output = program_value(arguments, "--output", NULL),
    };
    if (count < 2 || !import.output)
        FAIL(STATUS_USAGE, "expected KIND, SOURCE and --output (import --help)");
    TRY(parse_kind(plain[0], &import.kind));
    TRY(check_options(&import));
    TRY(import_run(&import, &counts));
    printf("%s: %lld rows, %lld with text, %lld words with times", import.output, (long long)counts.rows,
           (long long)counts.with_text, (long long)counts.words);
    if (counts.without_text)
        printf("; %lld have no text", (long long)counts.without_text);
    if (counts.untimed)
        printf("; %lld without times, because their words do not fit their text", (long long)counts.untimed);
    if (counts.without_audio)
        printf("; %lld skipped because their audio is missing", (long long)counts.without_audio);
    printf("\n");
fail:
    return result;
}

int main(int argc, char **argv)
{
    return program_main(&program, argc, argv, run);
}
