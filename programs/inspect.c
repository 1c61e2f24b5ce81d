/* inspect: what a file or folder of this toolkit contains (docs/inspect.md). */
#include "programs/inspect/inspect.h"
#include "core/path.h"
#include "io/weights/torch_archive.h"
#include "programs/common/program.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct program_option options[] = {
    {"--export", "FOLDER", "write the model into a new folder for other programs; needs --layout", false},
    {"--layout", "hf|spiritlm", "of --export: a Hugging Face folder, or the tree of Spirit LM's release", false},
    {"--row", "N", "print row N of a shard, dataset or manifest in full, counted from 0", false},
    {"--get", "KEY.PATH", "print the value at KEY.PATH of a JSON file, for scripts", false},
    {"--hash", NULL,
     "print the SHA-256 of each tensor's numbers, read as f32: to compare weights across kinds of files", false},
    {"--texts", NULL, "print the texts of manifests and nothing else, to train a text model on", false},
    {"--verify", NULL, "read everything: every shard of a dataset, every number and CRC of weights", false},
};

static const struct program program = {
    .name = "inspect",
    .usage = "[--row N] [--verify] [--hash] FILE ... | --export FOLDER --layout hf|spiritlm MODEL | --get KEY.PATH "
             "FILE.json ... | --texts FILE.jsonl ...",
    .summary =
        "Prints what a shard, dataset folder, manifest, tokenizer folder, text model, file of weights, checkpoint,\n"
        "model folder or run contains, and refuses what is damaged.",
    .example = "inspect data/speech/shard_00000.h5 --row 3",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .takes_arguments = true,
};

typedef enum status (*inspector)(const char *path, const struct inspect_options *options);

/* A folder is recognised by what it contains. */
static inspector folder_inspector(const char *folder)
{
    static const struct {
        const char *file;
        inspector inspect;
    } marks[] = {
        {"index.json", inspect_dataset},
        {"tokenizer.safetensors", inspect_tokenizer},
        {"model.safetensors", inspect_model},
        {"model.safetensors.index.json", inspect_model},
        {"spiritlm.json", inspect_model},
        {"pytorch_model.bin", inspect_llama_folder},
        {"pytorch_model.bin.index.json", inspect_llama_folder},
        {"config.json", inspect_model},
        {"params.json", inspect_llama_folder},
        {"checkpoints", inspect_run},
        {"tokenizer.json", inspect_tokenizer}, /* of neural components alone; a model has one beside its weights */
    };
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        char path[PATH_BYTES];
        if (path_format(path, "%s/%s", folder, marks[i].file) == STATUS_OK && access(path, F_OK) == 0)
            return marks[i].inspect;
    }
    return NULL;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* A file is recognised by its first bytes where these decide, otherwise by its name. */
static enum status file_inspector(const char *path, inspector *inspect)
{
    unsigned char head[TORCH_HEAD_BYTES] = {0};
    struct stat information;
    if (stat(path, &information) == 0 && !S_ISREG(information.st_mode))
        return status_set(STATUS_USAGE, "%s: not a file or folder", path); /* a pipe would keep the reader waiting */
    FILE *file = fopen(path, "rb");
    if (!file)
        return status_set_errno(STATUS_IO, errno, "%s", path);
    size_t size = fread(head, 1, sizeof head, file);
    bool failed = ferror(file);
    fclose(file);
    if (failed)
        return status_set(STATUS_IO, "%s: cannot read", path);
    if ((size >= 8 && memcmp(head, "\211HDF\r\n\032\n", 8) == 0) || ends_with(path, ".h5"))
        *inspect = inspect_shard;
    else if (ends_with(path, ".safetensors") || (size >= 9 && head[8] == '{' && head[4] == 0 && head[7] == 0))
        *inspect = inspect_safetensors;
    else if (torch_archive_begins(head, (int64_t)size) || ends_with(path, ".pt") || ends_with(path, ".pth") ||
             ends_with(path, ".bin") || ends_with(path, ".joblib") || ends_with(path, ".pkl"))
        *inspect = inspect_torch;
    else if (ends_with(path, ".jsonl"))
        *inspect = inspect_manifest;
    else if (ends_with(path, ".gguf") || memcmp(head, "GGUF", 4) == 0)
        *inspect = inspect_gguf;
    else if (ends_with(path, ".model") || ends_with(path, "tokenizer.json"))
        *inspect = inspect_text_model;
    else
        return status_set(STATUS_USAGE,
                          "%s: not a file that inspect knows: a shard (.h5), manifest (.jsonl), file of weights "
                          "(.safetensors, .gguf, .bin, .pt, .pth) or text model (.model, tokenizer.json)",
                          path);
    return STATUS_OK;
}

static enum status inspect_path(const char *path, const struct inspect_options *inspect_options)
{
    struct stat information;
    inspector inspect = NULL;
    if (stat(path, &information) != 0)
        return status_set_errno(errno == ENOENT || errno == ENOTDIR ? STATUS_USAGE : STATUS_IO, errno, "%s", path);
    if (S_ISDIR(information.st_mode)) {
        inspect = folder_inspector(path);
        if (!inspect)
            return status_set(
                STATUS_USAGE,
                "%s: not a folder that inspect knows: a dataset (index.json), speech tokenizer "
                "(tokenizer.json), checkpoint or model (model.safetensors, pytorch_model.bin, params.json) "
                "or run (checkpoints/)",
                path);
    } else {
        enum status result = file_inspector(path, &inspect);
        if (result != STATUS_OK || !inspect)
            return result;
    }
    if (inspect_options->row >= 0 && inspect != inspect_shard && inspect != inspect_dataset &&
        inspect != inspect_manifest)
        return status_set(STATUS_USAGE, "%s: --row is only for shards, datasets and manifests", path);
    if (inspect_options->texts && inspect != inspect_manifest)
        return status_set(STATUS_USAGE, "%s: --texts is only for manifests (.jsonl)", path);
    return inspect(path, inspect_options);
}

/* Nothing but one model goes with --export. */
static enum status export_model(const struct program_arguments *arguments)
{
    const char *folder = program_value(arguments, "--export", NULL),
               *layout = program_value(arguments, "--layout", NULL);
    const char *model = NULL;
    if (!folder || !layout)
        return status_set(STATUS_USAGE, "--export FOLDER and --layout hf|spiritlm go together");
    for (int64_t i = 0; i < arguments->count; i++) {
        const struct program_argument *item = &arguments->items[i];
        if (item->option && strcmp(item->option, "--export") != 0 && strcmp(item->option, "--layout") != 0)
            return status_set(STATUS_USAGE, "--export cannot be combined with %s", item->option);
        if (!item->option && model)
            return status_set(STATUS_USAGE, "--export writes one model, but %s and %s are given", model, item->value);
        model = item->option ? model : item->value;
    }
    if (!model)
        return status_set(STATUS_USAGE, "--export: no model is given");
    return inspect_export(model, layout, folder);
}

static enum status run(const struct program_arguments *arguments)
{
    enum status result = STATUS_OK;
    struct inspect_options inspect_options = {.verify = program_flag(arguments, "--verify"),
                                              .hash = program_flag(arguments, "--hash"),
                                              .texts = program_flag(arguments, "--texts")};
    int64_t paths = 0;
    const char *key = program_value(arguments, "--get", NULL);
    if (program_flag(arguments, "--export") || program_flag(arguments, "--layout"))
        return export_model(arguments);
    if (key && (inspect_options.verify || program_flag(arguments, "--row")))
        FAIL(STATUS_USAGE, "--get cannot be combined with --row or --verify: it prints one value of a JSON file");
    if (inspect_options.texts && (key || inspect_options.verify || program_flag(arguments, "--row")))
        FAIL(STATUS_USAGE, "--texts cannot be combined with --get, --row or --verify: it prints texts alone");
    TRY(program_integer(arguments, "--row", 0, INT64_MAX, -1, &inspect_options.row));
    for (int64_t i = 0; i < arguments->count; i++)
        if (!arguments->items[i].option) {
            const char *path = arguments->items[i].value;
            TRY(key ? inspect_value(path, key) : inspect_path(path, &inspect_options));
            paths++;
        }
    if (paths == 0)
        FAIL(STATUS_USAGE, "no file is given (inspect --help)");
fail:
    return result;
}

int main(int argc, char **argv)
{
    return program_main(&program, argc, argv, run);
}
