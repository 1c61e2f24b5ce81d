/* The loop around the trainer's steps, and everything of a run that lies in files. What one rank alone knows (a failed write,
 * a signal, a bad file) is agreed on before the next collective, so that no rank waits for one that has left; a rank that
 * fails inside a step wakes the others by aborting the communicator. Metrics are on the disk before a checkpoint is
 * published, so a resume finds a line for every step that it does not take again. */
#include "train/run.h"

#include "core/log.h"
#include "core/path.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "train/best.h"
#include "train/checkpoint.h"
#include "train/metrics.h"
#include "train/peak.h"
#include "train/report.h"
#include "train/run_record.h"
#include "train/signals.h"
#include "train/watchdog.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct run {
    const struct trainer_setup *setup;
    const struct run_options *options;
    struct trainer *trainer;
    struct metrics *metrics; /* rank 0 alone */
    struct file_lock *lock;  /* on the run's folder; rank 0 alone */
    struct watchdog *watchdog;
    struct progress progress;
    double flops_per_token, peak_flops; /* peak 0: unknown */
    double last_logged;                 /* clock */
    int64_t last_logged_step, last_saved;
};

static bool is_writer(const struct run *run)
{
    return comm_rank(run->setup->comm) == 0;
}

static enum status agree(const struct run *run, enum status status)
{
    return comm_agree(run->setup->comm, status);
}

/* ---- metrics ---- */

static enum status out_of_memory(void)
{
    return status_set(STATUS_INTERNAL, "no memory for a line of metrics");
}

/* Not 0: out of memory, as jansson's own functions say it. */
static int add_kinds(json_t *values, const char *prefix, const struct token_losses *losses)
{
    int lost = 0;
    for (int kind = 0; kind < TOKEN_KINDS; kind++) {
        char name[128];
        if (losses->count[kind] == 0)
            continue;
        snprintf(name, sizeof name, "%s/%s", prefix, token_kind_name((enum token_kind)kind));
        lost |= json_object_set_new(values, name, jdoc_number(losses->sum[kind] / losses->count[kind]));
    }
    return lost;
}

static int64_t device_peak_bytes(const struct run *run)
{
    return run->setup->kernels->memory(run->setup->context).peak;
}

static json_t *describe_step(const struct run *run, const struct step_result *step, double speed)
{
    json_t *values = json_object();
    int lost = json_object_set_new(values, "loss", jdoc_number(step->loss));
    lost |= add_kinds(values, "loss", &step->losses);
    lost |= json_object_set_new(values, "lr", json_real(step->learning_rate));
    lost |= json_object_set_new(values, "grad_norm", jdoc_number(step->gradient_norm));
    lost |= json_object_set_new(values, "tokens", json_integer(trainer_tokens_done(run->trainer)));
    lost |= json_object_set_new(values, "tokens_per_second", json_real(speed));
    if (run->peak_flops > 0)
        lost |= json_object_set_new(
            values, "mfu", json_real(speed * run->flops_per_token / (run->peak_flops * comm_size(run->setup->comm))));
    lost |= json_object_set_new(values, "peak_memory", json_integer(device_peak_bytes(run)));
    if (step->skipped)
        lost |= json_object_set_new(values, "skipped", json_string(step->skipped));
    if (lost) {
        json_decref(values);
        return NULL;
    }
    return values;
}

static enum status log_step(struct run *run, const struct step_result *step)
{
    double now = clock_seconds(), seconds = now - run->last_logged;
    int64_t steps = step->step - run->last_logged_step;
    double speed = seconds > 0 ? (double)(steps * step->tokens) / seconds : 0;
    json_t *values = describe_step(run, step, speed);
    enum status result = values ? metrics_write(run->metrics, step->step, values) : out_of_memory();
    json_decref(values);
    char extra[128];
    snprintf(extra, sizeof extra, "loss %.4f, norm %.3f, lr %.2e, %.0f tokens/s", step->loss, step->gradient_norm,
             step->learning_rate, speed);
    progress_update(&run->progress, step->step, extra);
    run->last_logged = now;
    run->last_logged_step = step->step;
    return result;
}

/* All documents of the skipped batch, over as many lines as they need. */
static void log_skip(const struct run *run, const struct step_result *step)
{
    enum { LINE = 3000 };
    int rank = comm_rank(run->setup->comm);
    char *documents = trainer_last_documents(run->trainer);
    log_warning("step %lld skipped: %s (loss %g, gradient norm %g)", (long long)step->step, step->skipped, step->loss,
                step->gradient_norm);
    for (const char *at = documents ? documents : ""; *at;) {
        int length = (int)strnlen(at, LINE);
        while (length == LINE && at[length - 1] != ' ')
            length--;
        log_warning("step %lld, rank %d, documents: %.*s", (long long)step->step, rank, length, at);
        at += length;
    }
    free(documents);
}

static enum status validate(struct run *run)
{
    enum status result = STATUS_OK;
    watchdog_alive(run->watchdog, trainer_steps_done(run->trainer), "validation");
    json_t *values = json_object();
    int lost = 0;
    struct token_losses all = {0};
    for (int source = 0; source < SOURCE_KINDS; source++) {
        struct token_losses losses;
        char prefix[64];
        TRY(trainer_validate(run->trainer, (enum source_kind)source, &losses));
        snprintf(prefix, sizeof prefix, "validation/%s", source_kind_name((enum source_kind)source));
        lost |= add_kinds(values, prefix, &losses);
        for (int kind = 0; kind < TOKEN_KINDS; kind++) {
            all.sum[kind] += losses.sum[kind];
            all.count[kind] += losses.count[kind];
        }
    }
    double mean = token_losses_mean(&all), tokens = 0;
    for (int kind = 0; kind < TOKEN_KINDS; kind++)
        tokens += all.count[kind];
    if (tokens > 0 && is_writer(run)) {
        if (!isfinite(mean))
            log_warning("step %lld: the validation loss is not finite", (long long)trainer_steps_done(run->trainer));
        lost |= json_object_set_new(values, "validation/loss", jdoc_number(mean));
        if (lost) {
            result = out_of_memory();
            goto fail;
        }
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
    snprintf(
        facts, sizeof facts, "%lld parameters, %s, %lld lanes of %lld tokens, step %lld of %lld, %lld tokens seen.",
        (long long)llama_parameter_count(&model->config), dtype_name(model->dtype), (long long)run->setup->data->lanes,
        (long long)run->setup->data->sequence_length, (long long)trainer_steps_done(run->trainer),
        (long long)run->setup->train->steps, (long long)trainer_tokens_done(run->trainer));
    return report_write(run->setup->train->run, run->setup->train->run, facts);
}

static enum status prune(const struct run *run, int64_t step)
{
    const struct train_settings *settings = run->setup->train;
    int64_t best = -1;
    double loss;
    enum status result = settings->keep_best ? best_checkpoint(settings->run, &best, &loss) : STATUS_OK;
    return result == STATUS_OK ? checkpoint_prune(settings->run, step, settings->keep, best) : result;
}

static enum status save(struct run *run)
{
    enum status result = STATUS_OK;
    const char *folder = run->setup->train->run;
    int64_t step = trainer_steps_done(run->trainer);
    if (step == run->last_saved)
        return STATUS_OK;
    watchdog_alive(run->watchdog, step, "saving");
    /* Metrics first: a published checkpoint must not know steps that the metrics lack. */
    if (is_writer(run))
        result = lock_confirm(run->lock);
    if (is_writer(run) && result == STATUS_OK)
        result = metrics_sync(run->metrics);
    TRY(agree(run, result));
    TRY(agree(run, trainer_save(run->trainer, folder)));
    run->last_saved = step;
    if (is_writer(run)) {
        log_info("saved %s/checkpoints/step_%08lld", folder, (long long)step);
        if (trainer_is_healthy(run->trainer))
            result = prune(run, step);
        if (draw_report(run) != STATUS_OK) /* a page that cannot be drawn is no reason to stop */
            log_warning("no report: %s", status_text());
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
    watchdog_alive(run->watchdog, trainer_steps_done(run->trainer), "a step");
    enum status stepped = trainer_step(run->trainer, &step);
    if (step.skipped)
        log_skip(run, &step);
    TRY(stepped); /* a rank that fails alone wakes the others by comm_abort in run_train */
    if (is_writer(run) && (is_due(step.step, settings->log_every) || step.skipped || step.step == settings->steps))
        result = log_step(run, &step);
    TRY(agree(run, result));
    bool validating = is_due(step.step, settings->validate_every) || step.step == settings->steps;
    bool saving = is_due(step.step, settings->save_every) && trainer_is_healthy(run->trainer);
    double before = clock_seconds();
    if (validating)
        TRY(validate(run));
    if (saving)
        TRY(save(run));
    run->last_logged += clock_seconds() - before; /* speed is that of the steps */
    TRY(agree_to_stop(run, stop));
fail:
    return result;
}

/* Where everything is now, and what can be done with it. The name of a run means its newest checkpoint, so a better one is
 * named in full. */
static void say_what_is_next(const struct run *run)
{
    const char *folder = run->setup->train->run;
    const bool keeps_best = run->setup->train->keep_best;
    int64_t best;
    double loss;
    log_info("report: %s/report.html", folder);
    if (keeps_best && best_checkpoint(folder, &best, &loss) == STATUS_OK && best >= 0) {
        log_info("best validation loss: %.4f, %s/checkpoints/step_%08lld", loss, folder, (long long)best);
        if (best < trainer_steps_done(run->trainer)) {
            log_info(
                "next: bin/generate --model %s/checkpoints/step_%08lld --text \"...\" --output any --out %s/samples",
                folder, (long long)best, folder);
            return;
        }
    }
    log_info("next: bin/generate --model %s --text \"...\" --output any --out %s/samples", folder, folder);
}

static enum status loop(struct run *run)
{
    enum status result = STATUS_OK;
    bool stop = false;
    int64_t steps = run->setup->train->steps;
    if (trainer_steps_done(run->trainer) >= steps && is_writer(run))
        log_info("%s has its %lld steps already: raise train.steps to go on", run->setup->train->run, (long long)steps);
    progress_start(&run->progress, "training", "steps", steps);
    run->progress.first = trainer_steps_done(run->trainer);
    run->last_logged = clock_seconds();
    run->last_logged_step = trainer_steps_done(run->trainer);
    while (trainer_steps_done(run->trainer) < steps && !stop)
        TRY(one_step(run, &stop));
    TRY(save(run));
    if (is_writer(run))
        progress_finish(&run->progress, trainer_steps_done(run->trainer), "");
    if (is_writer(run) && trainer_steps_done(run->trainer) >= steps)
        say_what_is_next(run);
    if (stop && trainer_steps_done(run->trainer) < steps)
        return status_set(STATUS_REQUEUE, "stopped by a signal at step %lld, saved: start the same command again",
                          (long long)trainer_steps_done(run->trainer));
fail:
    return result;
}

/* ---- beginning ---- */

/* A run that has begun: --resume none must not touch it. */
static bool has_begun(const char *folder)
{
    static const char *const marks[] = {"run.json", "metrics.jsonl", "checkpoints"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        char path[PATH_BYTES];
        struct stat information;
        if (path_format(path, "%s/%s", folder, marks[i]) == STATUS_OK && stat(path, &information) == 0)
            return true;
    }
    return false;
}

/* Does the checkpoint `path` lie in this run's folder? */
static bool lies_in(const char *path, const char *folder)
{
    char inner[PATH_MAX], outer[PATH_MAX];
    if (!realpath(path, inner) || !realpath(folder, outer))
        return false;
    size_t length = strlen(outer);
    return !strncmp(inner, outer, length) && inner[length] == '/';
}

/* A start from a named checkpoint must not mix histories: the run's own folder may hold nothing newer, and a folder of
 * another run nothing at all. */
static enum status check_branch(const struct run *run, const char *path)
{
    enum status result = STATUS_OK;
    const char *folder = run->setup->train->run;
    char *newest = NULL;
    json_t *newest_state = NULL, *state = NULL;
    int64_t newest_step = 0, step = 0;
    TRY(checkpoint_newest(folder, true, &newest));
    if (!newest)
        goto fail;
    if (!lies_in(path, folder))
        FAIL(STATUS_USAGE, "%s has checkpoints of its own: name another train.run to start from %s", folder, path);
    TRY(checkpoint_read_state(newest, &newest_state));
    TRY(jdoc_get_int(newest, newest_state, "step", 0, INT64_MAX, &newest_step));
    TRY(checkpoint_read_state(path, &state));
    TRY(jdoc_get_int(path, state, "step", 0, INT64_MAX, &step));
    if (newest_step > step)
        FAIL(STATUS_USAGE, "%s has step %lld, newer than %s: name another train.run for the new branch", folder,
             (long long)newest_step, path);
fail:
    free(newest);
    json_decref(newest_state);
    json_decref(state);
    return result;
}

/* What killed processes left half-written anywhere in the run's folder. */
static enum status remove_all_leftovers(const char *folder)
{
    static const char *const places[] = {"", "/tensorboard", "/checkpoints"};
    enum status result = STATUS_OK;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char path[PATH_BYTES];
        struct stat information;
        TRY(path_format(path, "%s%s", folder, places[i]));
        if (stat(path, &information) == 0)
            TRY(remove_leftovers(path));
    }
fail:
    return result;
}

/* Rank 0 owns the run's folder from before it looks at it until nothing more is written there. */
static enum status lock_run(struct run *run)
{
    const struct lock_request request = {.folder = run->setup->train->run,
                                         .file = ".train.lock",
                                         .what = run->setup->train->run,
                                         .advice = "name another train.run",
                                         .policy = run->options->locks,
                                         .patience = LOCK_REFUSE};
    return lock_acquire(&request, &run->lock);
}

/* Rank 0's choice: "" starts anew. */
static enum status choose_checkpoint(const struct run *run, char path[PATH_BYTES])
{
    enum status result = STATUS_OK;
    const struct run_options *options = run->options;
    const char *folder = run->setup->train->run;
    char *found = NULL;
    path[0] = 0;
    if (options->resume == RESUME_NONE && has_begun(folder))
        FAIL(STATUS_USAGE, "%s has begun already: continue with --resume auto, or name another train.run", folder);
    TRY(remove_all_leftovers(folder));
    if (options->resume == RESUME_PATH) {
        TRY(checkpoint_resolve(options->resume_path, &found));
        TRY(check_branch(run, found));
    } else {
        TRY(checkpoint_newest(folder, true, &found));
    }
    if (found)
        TRY(path_format(path, "%s", found));
fail:
    free(found);
    return result;
}

static enum status open_record(struct run *run)
{
    enum status result = STATUS_OK;
    const struct trainer_setup *setup = run->setup;
    int64_t step = trainer_steps_done(run->trainer);
    TRY(run_record_write(setup, run->options, step));
    TRY(metrics_open(setup->train->run, step, &run->metrics));
    run->peak_flops = peak_flops(setup->kernels, setup->context->pool, (enum dtype)setup->train->dtype);
fail:
    return result;
}

static enum status begin(struct run *run)
{
    enum status result = STATUS_OK;
    const struct trainer_setup *setup = run->setup;
    char path[PATH_BYTES] = "";
    if (is_writer(run))
        result = lock_run(run);
    if (is_writer(run) && result == STATUS_OK)
        result = choose_checkpoint(run, path);
    TRY(agree(run, result));
    TRY(comm_broadcast(setup->comm, path, sizeof path, 0));
    TRY(agree(run, trainer_create(setup, *path != 0, &run->trainer)));
    run->last_saved = -1;
    if (*path) {
        TRY(agree(run, trainer_load(run->trainer, path)));
        if (is_writer(run))
            log_info("continuing from %s", path);
        if (run->options->resume != RESUME_PATH)
            run->last_saved = trainer_steps_done(run->trainer);
    }
    if (is_writer(run))
        result = open_record(run);
    run->flops_per_token = llama_flops_per_token(&trainer_model(run->trainer)->config, setup->data->sequence_length);
    result = agree(run, result);
fail:
    return result;
}

/* A checkpoint is judged by the validation of its own step. */
static enum status check_keep_best(const struct train_settings *settings)
{
    if (!settings->keep_best || settings->save_every == 0 ||
        (settings->validate_every > 0 && settings->save_every % settings->validate_every == 0))
        return STATUS_OK;
    return status_set(
        STATUS_USAGE,
        "train.keep_best: every checkpoint must be validated: train.save_every (%lld) must be a multiple of "
        "train.validate_every (%lld)",
        (long long)settings->save_every, (long long)settings->validate_every);
}

enum status run_train(const struct trainer_setup *setup, const struct run_options *options)
{
    enum status result = STATUS_OK;
    struct run run = {.setup = setup, .options = options};
    signals_install();
    TRY(check_keep_best(setup->train));
    TRY(watchdog_create(setup->train->watchdog_seconds, comm_rank(setup->comm), &run.watchdog));
    TRY(begin(&run));
    TRY(loop(&run));
fail:
    if (result != STATUS_OK && result != STATUS_REQUEUE && comm_size(setup->comm) > 1)
        comm_abort(setup->comm, "another rank failed");
    watchdog_destroy(run.watchdog);
    metrics_close(run.metrics);
    lock_release(run.lock);
    trainer_destroy(run.trainer);
    return result;
}
