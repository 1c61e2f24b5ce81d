/* What a trained model shows that no single operation does, on a GPU: a small model learns, its losses are the cpu's, it is
 * resumed from memory to the bit, recomputation changes no bit, decoding draws the cpu's tokens, and
 * the graph of a step draws what its operations draw one by one.
 *   check_training [--tiny] [--out FILE]
 * Prints one line per check and appends one JSON object per check to FILE. Exits with 1 when one failed; the others are made
 * all the same. */
#include "gpu_check/small_model.h"

#include "core/rng.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cuda/kernels_cuda.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct plan {
    struct llama_config config;
    int64_t rows, length;
    int64_t steps, compared, resumed; /* in all; beside the cpu; before a resume and after it */
    int64_t prompt, drawn;
    bool learns;
} plan;

static FILE *out;
static int failures;

static void say(const char *check, bool passed, const char *detail)
{
    printf("%-30s %-6s %s\n", check, passed ? "passed" : "FAILED", detail);
    fflush(stdout);
    if (out) {
        fprintf(out, "{\"check\": \"%s\", \"passed\": %s, \"detail\": \"", check, passed ? "true" : "false");
        for (const char *c = detail; *c; c++)
            if (*c == '"' || *c == '\\')
                fprintf(out, "\\%c", *c);
            else
                fputc((unsigned char)*c < ' ' ? ' ' : *c, out);
        fputs("\"}\n", out);
        fflush(out);
    }
    failures += !passed;
}

static struct small_settings settings_of(enum dtype dtype, enum recomputation recomputation)
{
    return (struct small_settings){plan.config, dtype, plan.rows, plan.length, recomputation, 11};
}

/* `count` steps from the start; their losses. */
static enum status losses_of(const struct kernels *kernels, const struct small_settings *settings, int64_t count,
                             double *losses)
{
    enum status result = STATUS_OK;
    struct small_run run;
    double norm;
    TRY(small_run_open(kernels, settings, &run));
    if (kernels == kernels_cpu())
        TRY(cpu_set_engine(&run.context, CPU_ENGINE_BLOCKED));
    for (int64_t i = 0; i < count && result == STATUS_OK; i++) {
        result = small_run_step(&run, &losses[i], &norm);
        if (result == STATUS_OK && !(isfinite(losses[i]) && isfinite(norm)))
            result = status_set(STATUS_INTERNAL, "step %lld: loss %g, norm %g", (long long)i + 1, losses[i], norm);
    }
    small_run_close(&run);
fail:
    return result;
}

/* Losses beside the cpu's, and whether the model learns. */
static void check_losses(enum dtype dtype, double tolerance)
{
    char name[64], detail[200];
    double *losses = calloc((size_t)plan.steps + 1, sizeof *losses),
           *expected = calloc((size_t)plan.compared + 1, sizeof *losses), worst = 0;
    const struct small_settings settings = settings_of(dtype, RECOMPUTATION_NONE);
    snprintf(name, sizeof name, "%s beside the cpu", dtype_name(dtype));
    if (!losses || !expected || losses_of(kernels_cuda(), &settings, plan.steps, losses) != STATUS_OK ||
        losses_of(kernels_cpu(), &settings, plan.compared, expected) != STATUS_OK) {
        say(name, false, status_text());
    } else {
        for (int64_t i = 0; i < plan.compared; i++)
            worst = fmax(worst, fabs(losses[i] - expected[i]) / expected[i]);
        snprintf(detail, sizeof detail, "%lld steps, largest relative difference of a loss %.2g, allowed %.2g",
                 (long long)plan.compared, worst, tolerance);
        say(name, worst <= tolerance, detail);
        snprintf(name, sizeof name, "%s learns", dtype_name(dtype));
        snprintf(detail, sizeof detail, "loss %.3f, after %lld steps %.3f", losses[0], (long long)plan.steps,
                 losses[plan.steps - 1]);
        if (plan.learns)
            say(name, losses[plan.steps - 1] < 0.8 * losses[0], detail);
    }
    free(losses);
    free(expected);
}

/* ---- bits ---- */

/* The state after `count` steps: from the start, or from `from`. */
static enum status state_after(const struct small_settings *settings, const struct small_state *from, int64_t count,
                               struct small_state *state)
{
    enum status result = STATUS_OK;
    struct small_run run;
    double loss, norm;
    TRY(small_run_open(kernels_cuda(), settings, &run));
    if (from)
        result = small_state_load(&run, from);
    for (int64_t i = 0; i < count && result == STATUS_OK; i++)
        result = small_run_step(&run, &loss, &norm);
    if (result == STATUS_OK)
        result = small_state_save(&run, state);
    small_run_close(&run);
fail:
    return result;
}

static int64_t elements_of_state(const struct small_state *state, enum dtype dtype)
{
    return (int64_t)(state->weight_bytes / dtype_size(dtype));
}

static void check_resume(enum dtype dtype)
{
    char name[64];
    struct small_state half = {0}, whole = {0}, resumed = {0};
    const struct small_settings settings = settings_of(dtype, RECOMPUTATION_NONE);
    snprintf(name, sizeof name, "%s resumed from memory", dtype_name(dtype));
    if (state_after(&settings, NULL, plan.resumed, &half) != STATUS_OK ||
        state_after(&settings, NULL, 2 * plan.resumed, &whole) != STATUS_OK ||
        state_after(&settings, &half, plan.resumed, &resumed) != STATUS_OK)
        say(name, false, status_text());
    else if (small_state_same(&half, &whole, elements_of_state(&half, dtype)))
        say(name, false, "steps change nothing");
    else
        say(name, small_state_same(&whole, &resumed, elements_of_state(&whole, dtype)),
            "weights, masters and moments equal to the bit");
    small_state_free(&half);
    small_state_free(&whole);
    small_state_free(&resumed);
}

static void check_recomputation(enum dtype dtype)
{
    static const char *const names[] = {"none", "light", "block"};
    char name[64];
    struct small_state none = {0};
    struct small_settings settings = settings_of(dtype, RECOMPUTATION_NONE);
    enum status result = state_after(&settings, NULL, plan.resumed, &none);
    for (int kind = RECOMPUTATION_LIGHT; kind <= RECOMPUTATION_BLOCK; kind++) {
        struct small_state other = {0};
        snprintf(name, sizeof name, "%s recomputation %s", dtype_name(dtype), names[kind]);
        settings.recomputation = (enum recomputation)kind;
        if (result == STATUS_OK)
            result = state_after(&settings, NULL, plan.resumed, &other);
        if (result != STATUS_OK)
            say(name, false, status_text());
        else
            say(name, small_state_same(&none, &other, elements_of_state(&none, dtype)), "equal to none to the bit");
        small_state_free(&other);
    }
    small_state_free(&none);
}

/* ---- decoding ---- */

struct drawing {
    const struct kernels *kernels;
    enum dtype dtype;
    bool eager;
    double temperature;
};

static double seconds_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* plan.drawn tokens of two rows, the second a copy of the first and with the same uniform numbers, after one prompt; and the
 * seconds of a step. */
static enum status draw_rows(const struct drawing *d, struct small_run *run, struct llama_session *session,
                             int32_t *drawn, double *seconds)
{
    enum status result = STATUS_OK;
    const int64_t rows[2] = {0, 1};
    double uniforms[2];
    struct rng rng = rng_make(3, RNG_TEST, 0, 0);
    struct llama_draw draw = {
        .count = 2, .rows = rows, .uniforms = uniforms, .temperature = d->temperature, .top_p = 1, .ids = drawn};
    TRY(llama_session_prefill(session, 0, run->ids, plan.prompt, NULL));
    TRY(llama_session_copy_row(session, 1, 0));
    uniforms[0] = uniforms[1] = rng_uniform(&rng);
    TRY(llama_session_draw_first(session, &draw));
    double began = seconds_now();
    for (int64_t i = 1; i < plan.drawn; i++) {
        memcpy(drawn + 2 * i, drawn + 2 * i - 2, 2 * sizeof *drawn);
        draw.ids = drawn + 2 * i;
        uniforms[0] = uniforms[1] = rng_uniform(&rng);
        TRY(llama_session_draw(session, &draw));
    }
    *seconds = (seconds_now() - began) / (double)(plan.drawn - 1);
fail:
    return result;
}

static enum status draw_tokens(const struct drawing *d, int32_t *drawn, double *seconds)
{
    enum status result = STATUS_OK;
    const struct small_settings settings = settings_of(d->dtype, RECOMPUTATION_NONE);
    struct small_run run = {0};
    struct llama_session *session = NULL;
    double loss, norm;
    uint8_t *mask = malloc((size_t)plan.config.vocabulary_size);
    if (!mask)
        FAIL(STATUS_INTERNAL, "no memory for a mask");
    memset(mask, 1, (size_t)plan.config.vocabulary_size);
    TRY(small_run_open(d->kernels, &settings, &run));
    for (int64_t i = 0; i < plan.resumed; i++)
        TRY(small_run_step(&run, &loss, &norm));
    TRY(optimizer_finish_update(run.optimizer));
    const struct llama_session_options options = {
        .rows = 2, .capacity = plan.prompt + plan.drawn, .masks = mask, .mask_count = 1, .eager = d->eager};
    TRY(llama_session_create(run.model, &options, &session));
    TRY(draw_rows(d, &run, session, drawn, seconds));
fail:
    if (session)
        llama_session_destroy(session);
    small_run_close(&run);
    free(mask);
    return result;
}

/* Both ways draw the same tokens, and rows that are alike stay alike. */
static void check_drawing(const char *name, const struct drawing *one, const struct drawing *other)
{
    size_t bytes = 2 * (size_t)plan.drawn * sizeof(int32_t);
    int32_t *drawn = calloc(1, bytes), *expected = calloc(1, bytes);
    double seconds[2];
    if (!drawn || !expected || draw_tokens(one, drawn, &seconds[0]) != STATUS_OK ||
        draw_tokens(other, expected, &seconds[1]) != STATUS_OK) {
        say(name, false, status_text());
    } else {
        char detail[200];
        int64_t same = 0, alike = 0;
        for (int64_t i = 0; i < plan.drawn; i++) {
            same += drawn[2 * i] == expected[2 * i] && drawn[2 * i] >= 0;
            alike += drawn[2 * i] == drawn[2 * i + 1];
        }
        snprintf(detail, sizeof detail, "%lld of %lld tokens, %lld alike in two rows; %.3f and %.3f ms per step",
                 (long long)same, (long long)plan.drawn, (long long)alike, 1e3 * seconds[0], 1e3 * seconds[1]);
        say(name, same == plan.drawn && alike == plan.drawn, detail);
    }
    free(drawn);
    free(expected);
}

static void check_decoding(void)
{
    struct drawing graph = {kernels_cuda(), DTYPE_F32, false, 0}, eager = {kernels_cuda(), DTYPE_F32, true, 0},
                   cpu = {kernels_cpu(), DTYPE_F32, true, 0};
    check_drawing("f32 greedy beside the cpu", &graph, &cpu);
    check_drawing("f32 greedy, graph and eager", &graph, &eager);
    graph.dtype = eager.dtype = DTYPE_BF16;
    graph.temperature = eager.temperature = 1;
    check_drawing("bf16 drawn, graph and eager", &graph, &eager);
}

/* ---- the program ---- */

static void choose(bool tiny)
{
    plan.config = (struct llama_config){.vocabulary_size = tiny ? 64 : 512,
                                        .hidden_size = tiny ? 64 : 256,
                                        .intermediate_size = tiny ? 96 : 704,
                                        .layers = tiny ? 1 : 4,
                                        .heads = tiny ? 2 : 8,
                                        .kv_heads = tiny ? 1 : 4,
                                        .head_size = 32,
                                        .maximum_positions = tiny ? 32 : 256,
                                        .rope_theta = 10000,
                                        .rms_norm_epsilon = 1e-5,
                                        .tie_embeddings = false};
    plan.rows = tiny ? 1 : 4;
    plan.length = tiny ? 24 : 256;
    plan.steps = tiny ? 5 : 50;
    plan.compared = tiny ? 5 : 20;
    plan.resumed = tiny ? 2 : 10;
    plan.prompt = tiny ? 5 : 40;
    plan.drawn = tiny ? 6 : 100; /* the third step of a kind is the first that a graph makes */
    plan.learns = !tiny;
}

int main(int count, char **arguments)
{
    bool tiny = false;
    int devices;
    for (int i = 1; i < count; i++)
        if (strcmp(arguments[i], "--tiny") == 0) {
            tiny = true;
        } else if (strcmp(arguments[i], "--out") == 0 && i + 1 < count) {
            out = fopen(arguments[++i], "ae");
        } else {
            fprintf(stderr, "usage: check_training [--tiny] [--out FILE]\n");
            return 2;
        }
    if (kernels_cuda_devices(&devices) != STATUS_OK) {
        fprintf(stderr, "error: %s\n", status_text());
        return 2;
    }
    choose(tiny);
    check_losses(DTYPE_F32, 1e-3);
    check_losses(DTYPE_BF16, 2e-2);
    check_resume(DTYPE_F32);
    check_resume(DTYPE_BF16);
    check_recomputation(DTYPE_BF16);
    check_decoding();
    printf("%d checks failed\n", failures);
    return failures > 0;
}
