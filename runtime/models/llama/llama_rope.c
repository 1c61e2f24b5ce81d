/* The tables of rotary angles (Su et al. 2021) in device memory. A configuration may promise any number of positions, up to
 * 2^31 - 1, and promises cost nothing: there are tables for the first positions, and longer ones once a workspace or a session
 * is made for rows of that length. The tables before them stay until the model goes, since sessions and recorded graphs keep
 * their addresses; the angles of a position are the same numbers in all of them. */
#include "models/llama/llama_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* What a model has at first: enough for most sequences that are trained or generated, and quickly made. */
enum { FIRST_POSITIONS = 4096 };

struct llama_tables {
    float *cosine, *sine; /* device */
    struct llama_tables *next;
};

static int64_t positions_of(const struct llama_config *config, int64_t length)
{
    int64_t wanted = length > FIRST_POSITIONS ? length : FIRST_POSITIONS;
    return wanted < config->maximum_positions ? wanted : config->maximum_positions;
}

static enum status plan_tables(const struct llama_config *config, int64_t positions, struct memory_plan *plan)
{
    int64_t bytes;
    return !__builtin_mul_overflow(positions, config->head_size / 2 * (int64_t)sizeof(float), &bytes) &&
                   memory_plan_add(plan, bytes, "rotary cosines") >= 0 &&
                   memory_plan_add(plan, bytes, "rotary sines") >= 0
               ? STATUS_OK
               : status_set(STATUS_INTERNAL, "the size of rotary tables overflows");
}

enum status llama_plan_positions(const struct llama_config *config, int64_t length, struct memory_plan *plan)
{
    enum status result = STATUS_OK;
    TRY(plan_tables(config, positions_of(config, 0), plan));
    if (positions_of(config, length) > positions_of(config, 0))
        TRY(plan_tables(config, positions_of(config, length), plan));
fail:
    return result;
}

/* cos and sin of position * theta^(-2i/D), computed in double: [positions][D/2]. */
static void fill_tables(const struct llama_config *config, int64_t positions, float *cosine, float *sine)
{
    int64_t half = config->head_size / 2;
    for (int64_t i = 0; i < half; i++) {
        double frequency = pow(config->rope_theta, -2.0 * (double)i / (double)config->head_size);
        for (int64_t position = 0; position < positions; position++) {
            cosine[position * half + i] = (float)cos((double)position * frequency);
            sine[position * half + i] = (float)sin((double)position * frequency);
        }
    }
}

/* The newest tables become the model's at once, so that llama_free_positions finds them even if a copy fails. */
static enum status make_tables(struct llama *model, int64_t positions)
{
    enum status result = STATUS_OK;
    size_t bytes = (size_t)(positions * (model->config.head_size / 2)) * sizeof(float);
    void *memory;
    float *cosine = malloc(bytes), *sine = malloc(bytes);
    struct llama_tables *tables = calloc(1, sizeof *tables);
    if (!cosine || !sine || !tables) {
        free(tables);
        FAIL(STATUS_INTERNAL, "no memory for rotary tables of %" PRId64 " positions", positions);
    }
    tables->next = model->rope_tables;
    model->rope_tables = tables;
    fill_tables(&model->config, positions, cosine, sine);
    TRY(model->kernels->allocate(model->context, bytes, &memory));
    tables->cosine = memory;
    TRY(model->kernels->allocate(model->context, bytes, &memory));
    tables->sine = memory;
    TRY(model->kernels->copy_to_device(model->context, QUEUE_COMPUTE, tables->cosine, cosine, bytes));
    TRY(model->kernels->copy_to_device(model->context, QUEUE_COMPUTE, tables->sine, sine, bytes));
    TRY(model->kernels->synchronize(model->context));
    model->rope_cosine = tables->cosine;
    model->rope_sine = tables->sine;
    model->rope_positions = positions;
fail:
    if (result != STATUS_OK)
        (void)model->kernels->synchronize(model->context); /* a copy out of the host's tables may not be over */
    free(cosine);
    free(sine);
    return result;
}

enum status llama_need_positions(struct llama *model, int64_t length)
{
    int64_t positions = positions_of(&model->config, length);
    return positions > model->rope_positions ? make_tables(model, positions) : STATUS_OK;
}

void llama_free_positions(struct llama *model)
{
    while (model->rope_tables) {
        struct llama_tables *next = model->rope_tables->next;
        model->kernels->release(model->context, model->rope_tables->cosine);
        model->kernels->release(model->context, model->rope_tables->sine);
        free(model->rope_tables);
        model->rope_tables = next;
    }
}
