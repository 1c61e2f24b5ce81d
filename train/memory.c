/* The plan is the sum of what the parts of a training plan for themselves, each by the function that also lays out what it
 * allocates, so a plan and an allocation cannot differ. Entries that are allocations of their own and entries that share an
 * arena are rounded alike, to 256 bytes, which is what a device rounds to.
 *
 * A search for settings that fit goes from cheap to dear: smaller passes cost almost nothing, since their gradients are
 * added up; recomputation costs time; another type changes the run, and more devices cost devices. */
#include "train/memory.h"

#include "train/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[TRAINING_CATEGORIES] = {"parameters",  "gradients", "optimizer",
                                                       "activations", "scratch",   "CUDA context and libraries"};
static const char *const recomputations[] = {"none", "light", "block"};

/* ---- the plan ---- */

/* One scratch serves all operations, so it is as large as the largest of them needs it. */
static enum status plan_scratch(const struct training_shape *shape, const struct parameter_layout *layout,
                                struct memory_plan *plan)
{
    enum status result = STATUS_OK;
    size_t passes = 0, update = optimizer_scratch(shape->kernels, layout, shape->ranks);
    TRY(llama_plan_scratch(shape->kernels, &shape->config, shape->dtype, &shape->workspace, &passes));
    if (memory_plan_add(plan, (int64_t)(passes > update ? passes : update), "operations") < 0)
        FAIL(STATUS_INTERNAL, "the scratch's size overflows");
fail:
    return result;
}

static enum status plan_libraries(const struct kernels *kernels, struct memory_plan *plan)
{
    bool good = kernels->context_bytes == 0 || memory_plan_add(plan, kernels->context_bytes, "the context's own") >= 0;
    good =
        good && (kernels->driver_bytes == 0 || memory_plan_add(plan, kernels->driver_bytes, "driver, estimated") >= 0);
    return good ? STATUS_OK : status_set(STATUS_INTERNAL, "no memory for a memory plan");
}

enum status training_memory_plan(const struct training_shape *shape, struct training_memory *memory)
{
    enum status result = STATUS_OK;
    struct parameter_layout layout = {0};
    struct memory_plan *plans = memory->plans;
    *memory = (struct training_memory){0};
    for (int i = 0; i < TRAINING_CATEGORIES; i++)
        plans[i].name = names[i];
    TRY(parameter_layout_create(&shape->config, &layout));
    TRY(llama_plan(&shape->config, shape->dtype, shape->workspace.length, &plans[TRAINING_PARAMETERS]));
    TRY(optimizer_plan(&layout, shape->dtype, shape->ranks, &plans[TRAINING_GRADIENTS], &plans[TRAINING_OPTIMIZER]));
    TRY(llama_plan_workspace(shape->kernels, &shape->config, shape->dtype, &shape->workspace,
                             &plans[TRAINING_ACTIVATIONS]));
    if (memory_plan_add(&plans[TRAINING_ACTIVATIONS], LLAMA_LOSS_GROUPS * sizeof(double), "sums of losses") < 0)
        FAIL(STATUS_INTERNAL, "no memory for a memory plan");
    TRY(plan_scratch(shape, &layout, &plans[TRAINING_SCRATCH]));
    TRY(plan_libraries(shape->kernels, &plans[TRAINING_LIBRARIES]));
    for (int i = 0; i < TRAINING_CATEGORIES; i++)
        if (__builtin_add_overflow(memory->total, plans[i].total, &memory->total))
            FAIL(STATUS_INTERNAL, "the sum of the memory plan overflows");
fail:
    parameter_layout_free(&layout);
    return result;
}

void training_memory_free(struct training_memory *memory)
{
    for (int i = 0; i < TRAINING_CATEGORIES; i++)
        memory_plan_free(&memory->plans[i]);
    memory->total = 0;
}

static double gibibytes(int64_t bytes)
{
    return (double)bytes / 1073741824.0;
}

void training_memory_text(const struct training_memory *memory, char *text, size_t size)
{
    size_t used = 0;
    *text = 0;
    for (int i = 0; i < TRAINING_CATEGORIES; i++) {
        if (memory->plans[i].total == 0 || used >= size)
            continue;
        int written = snprintf(text + used, size - used, "%s%s %.3g GiB", used ? ", " : "", names[i],
                               gibibytes(memory->plans[i].total));
        used += written > 0 ? (size_t)written : 0;
    }
}

/* ---- what fits ---- */

static enum status planned_total(const struct training_shape *shape, int64_t *total)
{
    struct training_memory memory;
    enum status result = training_memory_plan(shape, &memory);
    *total = memory.total;
    training_memory_free(&memory);
    return result;
}

/* The most rows of a pass, up to the shape's, with which the plan fits: *shape then has them. 0: none. */
static enum status largest_pass(struct training_shape *shape, int64_t bytes, int64_t *rows)
{
    enum status result = STATUS_OK;
    int64_t fits = 0, too_many = shape->workspace.rows + 1, total;
    while (too_many - fits > 1) {
        shape->workspace.rows = fits == 0 && too_many > 2 ? (too_many + 1) / 2 : (fits + too_many) / 2;
        TRY(planned_total(shape, &total));
        if (total <= bytes)
            fits = shape->workspace.rows;
        else
            too_many = shape->workspace.rows;
    }
    shape->workspace.rows = fits;
    *rows = fits;
fail:
    return result;
}

/* With the shape's recomputation, or the next that saves more. */
static enum status smallest_change(struct training_shape *shape, int64_t bytes, bool *found)
{
    enum status result = STATUS_OK;
    struct training_shape candidate;
    int64_t rows = 0;
    *found = false;
    for (int kind = (int)shape->workspace.recomputation; kind <= RECOMPUTATION_BLOCK && rows == 0; kind++) {
        candidate = *shape;
        candidate.workspace.recomputation = (enum recomputation)kind;
        TRY(largest_pass(&candidate, bytes, &rows));
    }
    if (rows > 0) {
        *shape = candidate;
        *found = true;
    }
fail:
    return result;
}

/* Twice as many ranks, and so on to one for each lane. */
static enum status search(struct training_shape *shape, int64_t bytes, bool *found)
{
    enum status result = STATUS_OK;
    const struct training_shape given = *shape;
    TRY(smallest_change(shape, bytes, found));
    if (!*found && given.dtype == DTYPE_F32) {
        shape->dtype = DTYPE_BF16;
        TRY(smallest_change(shape, bytes, found));
    }
    for (int64_t ranks = 2 * (int64_t)given.ranks; !*found && ranks <= given.lanes; ranks *= 2) {
        int64_t own_lanes = (given.lanes + ranks - 1) / ranks;
        *shape = given;
        shape->ranks = (int)ranks;
        if (shape->workspace.rows > own_lanes)
            shape->workspace.rows = own_lanes;
        TRY(smallest_change(shape, bytes, found));
    }
fail:
    return result;
}

static void describe_change(const struct training_shape *given, const struct training_shape *found, char *text,
                            size_t size)
{
    size_t used = 0;
    *text = 0;
#define SAY(...)                                                                                                       \
    do {                                                                                                               \
        int written = snprintf(text + used, size - used, __VA_ARGS__);                                                 \
        used += written > 0 && (size_t)written < size - used ? (size_t)written : 0;                                    \
    } while (0)
    if (found->workspace.rows != given->workspace.rows)
        SAY("train.micro_batch=%lld", (long long)found->workspace.rows);
    if (found->workspace.recomputation != given->workspace.recomputation)
        SAY("%strain.recomputation=%s", used ? " " : "", recomputations[found->workspace.recomputation]);
    if (found->dtype != given->dtype)
        SAY("%strain.dtype=%s", used ? " " : "", dtype_name(found->dtype));
    if (found->ranks != given->ranks)
        SAY("%s%d GPUs", used ? " on " : "", found->ranks);
#undef SAY
}

enum status training_memory_check(const struct training_shape *shape, int64_t bytes, const char *limit)
{
    enum status result = STATUS_OK;
    struct training_shape found = *shape;
    int64_t total, smaller;
    bool fits;
    char change[160];
    TRY(planned_total(shape, &total));
    if (bytes == 0 || total <= bytes)
        return STATUS_OK;
    TRY(search(&found, bytes, &fits));
    if (!fits)
        FAIL(STATUS_USAGE,
             "a rank needs %.1f GiB of device memory, and %s %.1f GiB: no micro-batch, recomputation or number of GPUs "
             "up "
             "to data.lanes fits",
             gibibytes(total), limit, gibibytes(bytes));
    TRY(planned_total(&found, &smaller));
    describe_change(shape, &found, change, sizeof change);
    FAIL(STATUS_USAGE, "a rank needs %.1f GiB of device memory, and %s %.1f GiB; with %s it fits (%.1f GiB)",
         gibibytes(total), limit, gibibytes(bytes), change, gibibytes(smaller));
fail:
    return result;
}

enum status training_memory_parse(const char *text, int64_t *bytes)
{
    static const struct {
        const char *name;
        double bytes;
    } units[] = {{"", 1},      {"B", 1},        {"kB", 1e3},        {"MB", 1e6},           {"GB", 1e9},
                 {"TB", 1e12}, {"KiB", 1024.0}, {"MiB", 1048576.0}, {"GiB", 1073741824.0}, {"TiB", 1099511627776.0}};
    char *end = NULL;
    *bytes = 0;
    if (!text || !*text)
        return STATUS_OK;
    double number = *text >= '0' && *text <= '9' ? strtod(text, &end) : -1;
    for (size_t i = 0; number > 0 && i < sizeof units / sizeof *units; i++)
        if (strcmp(end + strspn(end, " "), units[i].name) == 0 && number * units[i].bytes < 1e18) {
            *bytes = (int64_t)floor(number * units[i].bytes);
            return STATUS_OK;
        }
    return status_set(STATUS_USAGE,
                      "train.device_memory is \"%s\", expected a number of bytes with a unit: 80 GB, 74.5 GiB", text);
}
