/* Runs the stages in their order. Each looks at what is there and makes only what is missing or no longer current, so
 * that an interrupted run is continued by starting it again. Only the shards stage is divided into parts: all parts
 * must share one tokenizer, and the index vouches for the shards of all of them. */
#include "data/prepare/prepare_internal.h"

#include "core/log.h"
#include "io/atomic_file.h"
#include "text/text_model.h"

#include <string.h>
#include <unistd.h>

static enum status check_options(const struct prepare_options *options)
{
    if (options->parts < 1 || options->part < 1 || options->part > options->parts)
        return status_set(STATUS_USAGE, "--part %lld/%lld: the part must be between 1 and the number of parts",
                          (long long)options->part, (long long)options->parts);
    if (options->parts > 1 && options->stages != PREPARE_SHARDS)
        return status_set(STATUS_USAGE, "--part belongs to --stage shards: fit and index run once, for all parts");
    return STATUS_OK;
}

/* Only the report at the very end reads the text model. What is wrong with it should not be found after hours of other work. */
static enum status check_text_model(const char *path)
{
    struct text_model *text = NULL;
    if (!path[0])
        return STATUS_OK;
    if (access(path, F_OK) != 0)
        return status_set(
            STATUS_USAGE,
            "%s: there is no such file; tokenizer.text_model names a SentencePiece model, and docs/text.md "
            "says how to train one, or another text model",
            path);
    enum status result = text_model_load(path, &text);
    text_model_free(text);
    return result;
}

typedef enum status (*dataset_stage)(struct prepare *prepare, const struct prepare_dataset *dataset);

static enum status run_stage(struct prepare *prepare, const char *name, dataset_stage stage)
{
    double start = clock_seconds();
    for (int64_t i = 0; i < prepare->dataset_count; i++) {
        enum status result = stage(prepare, prepare->datasets + i);
        if (result != STATUS_OK)
            return result;
    }
    log_info("%s: %.1f s", name, clock_seconds() - start);
    return STATUS_OK;
}

enum status prepare_run(const struct prepare_options *options)
{
    enum status result = STATUS_OK;
    struct prepare prepare = {.options = options};
    TRY(check_options(options));
    TRY(check_text_model(options->tokenizer->text_model));
    if (options->interleave)
        TRY(interleave_options_check(options->interleave));
    TRY(thread_pool_create((int)options->prepare->threads, &prepare.pool));
    TRY(prepare_plan(&prepare));
    TRY(prepare_tokenizer(&prepare));
    if ((options->stages & (PREPARE_SHARDS | PREPARE_INDEX)) == 0)
        goto fail;
    TRY(prepare_identify(&prepare));
    if (options->stages & PREPARE_SHARDS)
        TRY(run_stage(&prepare, "shards", prepare_shards));
    if (options->stages & PREPARE_INDEX) {
        TRY(run_stage(&prepare, "index", prepare_index));
        TRY(run_stage(&prepare, "report", prepare_report));
    }
    prepare_unlock_datasets(&prepare);
    prepare_remove_abandoned_locks(&prepare);
fail:
    prepare_unlock_datasets(&prepare);
    aligner_model_close(prepare.aligner);
    speech_free(prepare.speech);
    prepare_plan_free(&prepare);
    thread_pool_destroy(prepare.pool);
    return result;
}
