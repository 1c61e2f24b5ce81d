/* import: makes a manifest for prepare from what other tools leave beside audio (docs/prepare.md). */
#include "data/prepare/import/import.h"

#include "core/utf8.h"
#include "io/atomic_file.h"
#include "programs/common/program.h"

#include <stdio.h>
#include <string.h>

static const struct program_option options[] = {
    {"--output", "FILE.jsonl",
     "the manifest to write (-: standard output); FILE.rejects.jsonl lists what was left out or changed", false},
    {"--audio", "FOLDER", "folder of the audio where it is not where the kind expects it", false},
    {"--tier", "NAME", "textgrid: the tier of words (default: \"words\", or the only interval tier)", false},
    {"--speaker", "NAME", "the speaker of all rows that have none", false},
    {"--speaker-folders", NULL, "folder: the first folder below SOURCE names the speaker", false},
    {"--per", "file|paragraph|line", "text: what becomes a row (default: file)", false},
    {"--text-key", "NAME", "jsonl: the key of the text (default: text)", false},
    {"--lowercase", NULL, "convert texts to lower case, of any script", false},
    {"--split", "NAME=SHARE,...", "write FILE.NAME.jsonl for each part, such as train=0.9,valid=0.05,test=0.05", false},
    {"--split-by", "speaker|document|row", "what a part gets whole; row: rows of the same text", false},
    {"--seed", "N", "of the split (default: 0)", false},
};

#define KIND_HELP(upper, lower, options, help) "\n  " help
#define KIND_WORD(upper, lower, options, help) #lower "|"

static const struct program program = {
    .name = "import",
    .usage = "KIND SOURCE --output FILE.jsonl",
    .summary = "Makes a manifest of a corpus. KIND says what SOURCE is:" IMPORT_KIND_LIST(KIND_HELP),
    .example = "import librispeech LibriSpeech/dev-clean --lowercase --output dev-clean.jsonl",
    .arguments = IMPORT_KIND_LIST(KIND_WORD) "FOLDER",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .takes_arguments = true,
};

/* The number of the text in the list; -1: it is not there. */
static int index_in(const char *text, const char *const *list, int count)
{
    for (int i = 0; text && i < count; i++)
        if (strcmp(text, list[i]) == 0)
            return i;
    return -1;
}

/* An option that would have no effect is refused as a misunderstanding. */
static enum status check_options(const struct import_options *import, const struct program_arguments *arguments)
{
    static const struct {
        const char *name;
        int option;
    } special[] = {{"--audio", IMPORT_AUDIO},
                   {"--tier", IMPORT_TIER},
                   {"--speaker-folders", IMPORT_SPEAKER_FOLDERS},
                   {"--per", IMPORT_PER},
                   {"--text-key", IMPORT_TEXT_KEY}};
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) {
        bool given = program_value(arguments, special[i].name, NULL) != NULL;
        if (given && !(import_kind_options(import->kind) & special[i].option))
            return status_set(STATUS_USAGE, "%s has no meaning for the kind %s", special[i].name,
                              import_kind_name(import->kind));
    }
    if (import->speaker_folders && import->speaker)
        return status_set(STATUS_USAGE, "--speaker and --speaker-folders cannot be given together");
    return STATUS_OK;
}

static enum status read_split(const struct program_arguments *arguments, struct import_options *import)
{
    static const char *const keys[] = {"speaker", "document", "row"};
    const char *by = program_value(arguments, "--split-by", NULL), *seed = program_value(arguments, "--seed", NULL);
    import->split = program_value(arguments, "--split", NULL);
    if (!import->split && (by || seed))
        return status_set(STATUS_USAGE, "--split-by and --seed need --split");
    if (import->split && output_is_stream(import->output))
        return status_set(STATUS_USAGE, "--split writes several files: --output cannot be a pipe, a device or -");
    if (import->split && !by)
        return status_set(STATUS_USAGE, "--split needs --split-by speaker or --split-by document, so that rows of one "
                                        "speaker or one document are in one part, or --split-by row");
    int key = index_in(by, keys, 3);
    if (by && key < 0)
        return status_set(STATUS_USAGE, "--split-by: expected speaker, document or row, found \"%s\"", by);
    import->split_by = by ? (enum import_split_by)key : IMPORT_BY_SPEAKER;
    return program_integer(arguments, "--seed", 0, INT64_MAX, 0, &import->split_seed);
}

static enum status read_options(const struct program_arguments *arguments, struct import_options *import)
{
    static const char *const units[] = {"file", "paragraph", "line"};
    const char *plain[2] = {NULL, NULL}, *per = program_value(arguments, "--per", NULL);
    int count = 0;
    for (int64_t i = 0; i < arguments->count; i++) {
        if (arguments->items[i].option)
            continue;
        if (count == 2)
            return status_set(STATUS_USAGE, "unexpected argument \"%s\" (import --help)", arguments->items[i].value);
        plain[count++] = arguments->items[i].value;
    }
    *import = (struct import_options){
        .source = plain[1],
        .audio = program_value(arguments, "--audio", NULL),
        .tier = program_value(arguments, "--tier", NULL),
        .speaker = program_value(arguments, "--speaker", NULL),
        .text_key = program_value(arguments, "--text-key", NULL),
        .speaker_folders = program_flag(arguments, "--speaker-folders"),
        .lowercase = program_flag(arguments, "--lowercase"),
        .output = program_value(arguments, "--output", NULL),
    };
    if (import->output && strcmp(import->output, "-") == 0)
        import->output = "/dev/stdout";
    if (count < 2 || !import->output)
        return status_set(STATUS_USAGE, "expected KIND, SOURCE and --output (import --help)");
    int unit = index_in(per, units, 3);
    if (per && unit < 0)
        return status_set(STATUS_USAGE, "--per: expected file, paragraph or line, found \"%s\"", per);
    import->per = per ? (enum import_per)unit : IMPORT_PER_FILE;
    return import_kind_parse(plain[0], &import->kind);
}

static enum status run(const struct program_arguments *arguments)
{
    enum status result = STATUS_OK;
    struct import_options import;
    struct import_counts counts = {0};
    TRY(read_options(arguments, &import));
    TRY(check_options(&import, arguments));
    TRY(read_split(arguments, &import));
    TRY(import_run(&import, &counts));
    FILE *summary = output_summary(import.output);
    utf8_print(summary, "%s: %lld rows, %lld with text, %lld words with times, %lld rejected\n", import.output,
               (long long)counts.rows, (long long)counts.with_text, (long long)counts.words,
               (long long)counts.rejected);
    for (int i = 0; i < IMPORT_REASONS; i++)
        if (counts.reasons[i] > 0)
            utf8_print(summary, "  %lld %s: %s\n", (long long)counts.reasons[i],
                       import_reason_rejects((enum import_reason)i) ? "rejected" : "changed",
                       import_reason_text((enum import_reason)i));
fail:
    return result;
}

int main(int argc, char **argv)
{
    return program_main(&program, argc, argv, run);
}
