#include "train/run.h"

#include "core/log.h"
#include "io/json.h"
#include "train/checkpoint.h"
#include "train/metrics.h"
#include "train/peak.h"
#include "train/report.h"
#include "train/run_record.h"
#include "train/signals.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct run {
    const struct trainer_setup *setup;
    const struct run_options *options;
    struct trainer *trainer;
    struct metrics *metrics; /* rank 0 alone */
    struct progress progress;
    double flops_per_token, peak_flops; /* peak 0: unknown */
    double last_logged;                 /* clock */
    int64_t last_logged_step, last_saved;
};

static bool is_writer(const struct run *run)
{
    return comm_rank(run->setup->comm) == 0;
}

/* Any rank's status as every rank's: the largest code, so that all leave together. */
static enum status agree(const struct run *run, enum status status)
{
    int32_t worst = (int32_t)status;
    enum status told = comm_all_reduce(run->setup->comm, &worst, 1, DTYPE_I32, COMM_MAX);
    if (told != STATUS_OK)
        return told;
    return status == STATUS_OK && worst ? status_set((enum status)worst, "another rank failed") : status;
}

/* ---- metrics ---- */

static void add_kinds(json_t *values, const char *prefix, const struct token_losses *losses)
{
    for (int kind = 0; kind < TOKEN_KINDS; kind++) {
        char name[64];
        if (losses->count[kind] == 0)
            continue;
        snprintf(name, sizeof name, "%s/%s", prefix, token_kind_name((enum token_kind)kind));
        json_object_set_new(values, name, json_real(losses->sum[kind] / losses->count[kind]));
    }
}

/* jansson refuses NaN and infinity: a skipped step's loss becomes null. */
static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static enum status log_step(struct run *run, const struct step_result *step)
{
    double now = clock_seconds(), seconds = now - run->last_logged;
    int64_t steps = step->step - run->last_logged_step;
    double speed = seconds > 0 ? (double)(steps * step->tokens) / seconds : 0;
    json_t *values = json_object();
    json_object_set_new(values, "loss", number(step->loss));
    add_kinds(values, "loss", &step->losses);
    json_object_set_new(values, "lr", json_real(step->learning_rate));
    json_object_set_new(values, "grad_norm", number(step->gradient_norm));
    json_object_set_new(values, "tokens", json_integer(trainer_tokens_done(run->trainer)));
    json_object_set_new(values, "tokens_per_second", json_real(speed));
    if (run->peak_flops > 0)
        json_object_set_new(values, "mfu", json_real(speed * run->flops_per_token / run->peak_flops));
    json_object_set_new(values, "peak_memory", json_integer(peak_memory_bytes()));
    if (step->skipped)
        json_object_set_new(values, "skipped", json_string(step->skipped));
    enum status result = metrics_write(run->metrics, step->step, values);
    json_decref(values);
    char extra[128];
    snprintf(extra, sizeof extra, "loss %.4f, norm %.3f, lr %.2e, %.0f tokens/s", step->loss, step->gradient_norm,
             step->learning_rate, speed);
    progress_update(&run->progress, step->step, extra);
    run->last_logged = now;
    run->last_logged_step = step->step;
    return result;
}

static void log_skip(const struct run *run, const struct step_result *step)
{
    char documents[2048];
    trainer_last_documents(run->trainer, documents, sizeof documents);
    log_warning("step %lld skipped: %s (loss %g, gradient norm %g); rank %d's documents: %s", (long long)step->step,
                step->skipped, step->loss, step->gradient_norm, comm_rank(run->setup->comm), documents);
}

static enum status validate(struct run *run)
{
    enum status result = STATUS_OK;
    json_t *values = json_object();
    struct token_losses all = {0};
    for (int source = 0; source < SOURCE_KINDS; source++) {
        struct token_losses losses;
        char prefix[64];
        TRY(trainer_validate(run->trainer, (enum source_kind)source, &losses));
        snprintf(prefix, sizeof prefix, "validation/%s", source_kind_name((enum source_kind)source));
        add_kinds(values, prefix, &losses);
        for (int kind = 0; kind < TOKEN_KINDS; kind++) {
            all.sum[kind] += losses.sum[kind];
            all.count[kind] += losses.count[kind];
        }
    }
    double mean = token_losses_mean(&all);
    if (isfinite(mean) && is_writer(run)) {
        json_object_set_new(values, "validation/loss", json_real(mean));
        TRY(metrics_write(run->metrics, trainer_steps_done(run->trainer), values));
        log_info("step %lld: validation loss %.4f", (long long)trainer_steps_done(run->trainer), mean);
    }
fail:
    json_decref(values);
    return agree(run, result);
}

/* ---- saving ---- */

static enum status draw_report(const struct run *run)
{
    char facts[1024];
    const struct llama *model = trainer_model(run->trainer);
    snprintf(facts, sizeof facts,
             "<p>%lld parameters, %s, %lld lanes of %lld tokens, step %lld of %lld, %lld tokens seen.</p>",
             (long long)llama_parameter_count(&model->config), dtype_name(model->dtype),
             (long long)run->setup->data->lanes, (long long)run->setup->data->sequence_length,
             (long long)trainer_steps_done(run->trainer), (long long)run->setup->train->steps,
             (long long)trainer_tokens_done(run->trainer));
    return report_write(run->setup->train->run, run->setup->train->run, facts);
}

static enum status save(struct run *run)
{
    enum status result = STATUS_OK;
    const char *folder = run->setup->train->run;
    int64_t step = trainer_steps_done(run->trainer);
    if (step == run->last_saved)
        return STATUS_OK;
    /* Metrics first: a published checkpoint must not know steps that the metrics lack. */
    if (is_writer(run))
        result = metrics_sync(run->metrics);
    TRY(agree(run, result));
    TRY(trainer_save(run->trainer, folder));
    run->last_saved = step;
    if (is_writer(run)) {
        log_info("saved %s/checkpoints/step_%08lld", folder, (long long)step);
        result = checkpoint_prune(folder, run->setup->train->keep);
        if (result == STATUS_OK)
            result = draw_report(run);
    }
    result = agree(run, result);
fail:
    return result;
}

/* ---- the loop ---- */

static bool is_due(int64_t step, int64_t every)
{
    return every > 0 && step % every == 0;
}

static enum status agree_to_stop(const struct run *run, bool *stop)
{
    int32_t wanted = signals_stop_wanted();
    enum status result = comm_all_reduce(run->setup->comm, &wanted, 1, DTYPE_I32, COMM_MAX);
    *stop = wanted != 0;
    return result;
}

static enum status one_step(struct run *run, bool *stop)
{
    enum status result = STATUS_OK;
    const struct train_settings *settings = run->setup->train;
    struct step_result step;
    enum status stepped = trainer_step(run->trainer, &step);
    if (step.skipped)
        log_skip(run, &step);
    if (stepped != STATUS_OK)
        return stepped;
    if (is_writer(run) && (is_due(step.step, settings->log_every) || step.skipped || step.step == settings->steps))
        result = log_step(run, &step);
    TRY(agree(run, result));
    if (is_due(step.step, settings->validate_every) || step.step == settings->steps)
        TRY(validate(run));
    if (is_due(step.step, settings->save_every))
        TRY(save(run));
    TRY(agree_to_stop(run, stop));
fail:
    return result;
}

static enum status loop(struct run *run)
{
    enum status result = STATUS_OK;
    bool stop = false;
    int64_t steps = run->setup->train->steps;
    progress_start(&run->progress, "training", "steps", steps);
    run->last_logged = clock_seconds();
    run->last_logged_step = trainer_steps_done(run->trainer);
    while (trainer_steps_done(run->trainer) < steps && !stop)
        TRY(one_step(run, &stop));
    TRY(save(run));
    if (is_writer(run))
        progress_finish(&run->progress, trainer_steps_done(run->trainer), "");
    if (stop && trainer_steps_done(run->trainer) < steps)
        return status_set(STATUS_REQUEUE, "stopped by a signal at step %lld, saved: start the same command again",
                          (long long)trainer_steps_done(run->trainer));
fail:
    return result;
}

/* ---- beginning ---- */

static enum status choose_checkpoint(const struct run *run, char **path)
{
    const struct run_options *options = run->options;
    const char *folder = run->setup->train->run;
    enum status result = STATUS_OK;
    *path = NULL;
    if (options->resume == RESUME_PATH)
        return checkpoint_resolve(options->resume_path, path);
    TRY(checkpoint_newest(folder, is_writer(run), path));
    if (options->resume == RESUME_NONE && *path) {
        free(*path);
        *path = NULL;
        FAIL(STATUS_USAGE, "%s already has checkpoints: continue with --resume auto, or name another train.run",
             folder);
    }
fail:
    return result;
}

/* A start from a named checkpoint must not leave newer ones of another history in the same folder. */
static enum status check_newer(const struct run *run)
{
    enum status result = STATUS_OK;
    char *newest = NULL;
    json_t *state = NULL;
    int64_t step = 0;
    if (run->options->resume != RESUME_PATH)
        return STATUS_OK;
    TRY(checkpoint_newest(run->setup->train->run, false, &newest));
    if (newest) {
        TRY(checkpoint_read_state(newest, &state));
        TRY(json_get_int(newest, state, "step", 0, INT64_MAX, &step));
        if (step > trainer_steps_done(run->trainer))
            FAIL(STATUS_USAGE, "%s has step %lld, newer than %s: name another train.run for the new branch",
                 run->setup->train->run, (long long)step, run->options->resume_path);
    }
fail:
    free(newest);
    json_decref(state);
    return result;
}

static enum status begin(struct run *run)
{
    enum status result = STATUS_OK;
    char *path = NULL;
    const struct trainer_setup *setup = run->setup;
    /* Rank 0 looks first, because it may rename damaged folders. */
    if (is_writer(run))
        result = choose_checkpoint(run, &path);
    TRY(agree(run, result));
    if (!is_writer(run))
        TRY(choose_checkpoint(run, &path));
    TRY(agree(run, trainer_create(setup, path != NULL, &run->trainer)));
    run->last_saved = -1;
    if (path) {
        TRY(agree(run, trainer_load(run->trainer, path)));
        if (is_writer(run))
            log_info("continuing from %s", path);
        if (run->options->resume != RESUME_PATH)
            run->last_saved = trainer_steps_done(run->trainer);
    }
    TRY(agree(run, check_newer(run)));
    if (is_writer(run)) {
        result = run_record_write(setup, run->options, trainer_steps_done(run->trainer));
        if (result == STATUS_OK)
            result = metrics_open(setup->train->run, trainer_steps_done(run->trainer), &run->metrics);
        run->peak_flops =
            result == STATUS_OK ? peak_flops(setup->kernels, setup->context, (enum dtype)setup->train->dtype) : 0;
    }
    run->flops_per_token = llama_flops_per_token(&trainer_model(run->trainer)->config, setup->data->sequence_length);
    result = agree(run, result);
fail:
    free(path);
    return result;
}

enum status run_train(const struct trainer_setup *setup, const struct run_options *options)
{
    enum status result = STATUS_OK;
    struct run run = {.setup = setup, .options = options};
    signals_install();
    TRY(begin(&run));
    TRY(loop(&run));
fail:
    metrics_close(run.metrics);
    trainer_destroy(run.trainer);
    return result;
}
