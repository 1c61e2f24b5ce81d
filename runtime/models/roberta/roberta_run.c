/* A pass over some texts, whose pieces follow each other without padding: N rows go through products and norms together, and each
 * text has an attention of its own. The pass is gone through twice: first to find the largest scratch of its operations, without
 * computing anything, then to compute. */
#include "models/roberta/roberta_internal.h"

#include "core/memory_plan.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Products of fewer rows have other bits than those of more (kernels/operations.h), so there are never fewer: rows of the id 0 at
 * position 0 follow, which nothing looks at. Together texts have at most PASS_ROWS rows, or one text has more. */
enum { LEAST_ROWS = 17, PASS_ROWS = 512 };

struct roberta_workspace {
    const struct roberta *roberta;
    struct device_context *context;
    int64_t room;               /* rows that the buffers have room for */
    void *memory;               /* device: all buffers */
    int32_t *ids, *positions;   /* [N] */
    float *x, *y, *normal;      /* [N][C] */
    float *query, *key, *value; /* [N][C] */
    float *attended, *wide;     /* [N][C], [N][I] */
    int32_t *host_ids;          /* pinned: ids [N], then positions [N] */
    float *host_first;          /* pinned: the first piece's last output of each text, [N][C] */
    double *vectors;            /* the head's, on the host: [C] twice */
    bool shares;                /* texts may share products */
};

/* Texts [first, first + count) of those to be run; N rows in all. */
struct pass {
    struct compute compute;
    const struct roberta *roberta;
    struct roberta_workspace *workspace;
    const struct roberta_text *texts;
    int64_t count, rows;
};

/* ---- the workspace ---- */

enum status roberta_workspace_create(const struct roberta *roberta, struct device_context *context,
                                     struct roberta_workspace **out)
{
    struct roberta_workspace *workspace = calloc(1, sizeof *workspace);
    const struct kernels *kernels = roberta->kernels;
    *out = NULL;
    if (!workspace || !(workspace->vectors = malloc(2 * (size_t)roberta->config.hidden * sizeof(double)))) {
        free(workspace);
        return status_set(STATUS_INTERNAL, "no memory for RoBERTa's workspace");
    }
    workspace->roberta = roberta;
    workspace->context = context;
    /* A table whose columns are stable in products of so many rows multiplies with its own tiles: then rows are, too. */
    workspace->shares = kernels->stable_columns && kernels->stable_columns(context, DTYPE_F32, LEAST_ROWS);
    *out = workspace;
    return STATUS_OK;
}

static void release_buffers(struct roberta_workspace *workspace)
{
    const struct kernels *kernels = workspace->roberta->kernels;
    if (workspace->memory) /* host memory is in use until its copies are over */
        (void)kernels->synchronize(workspace->context);
    kernels->release(workspace->context, workspace->memory);
    kernels->release_host(workspace->context, workspace->host_ids);
    kernels->release_host(workspace->context, workspace->host_first);
    workspace->memory = NULL;
    workspace->host_ids = NULL;
    workspace->host_first = NULL;
    workspace->room = 0;
}

void roberta_workspace_destroy(struct roberta_workspace *workspace)
{
    if (!workspace)
        return;
    release_buffers(workspace);
    free(workspace->vectors);
    free(workspace);
}

enum { BUFFERS = 10 };

static enum status allocate(struct roberta_workspace *workspace, int64_t rows)
{
    enum status result = STATUS_OK;
    const struct kernels *kernels = workspace->roberta->kernels;
    const struct roberta_config *config = &workspace->roberta->config;
    struct memory_plan plan = {.name = "RoBERTa"};
    struct roberta_workspace *w = workspace;
    void *ids = NULL, *first = NULL;
    const struct {
        void *pointer;
        int64_t elements;
    } wanted[BUFFERS] = {{&w->ids, rows},
                         {&w->positions, rows},
                         {&w->x, rows * config->hidden},
                         {&w->y, rows * config->hidden},
                         {&w->normal, rows * config->hidden},
                         {&w->query, rows * config->hidden},
                         {&w->key, rows * config->hidden},
                         {&w->value, rows * config->hidden},
                         {&w->attended, rows * config->hidden},
                         {&w->wide, rows * config->intermediate}};
    int64_t offsets[BUFFERS];
    for (int i = 0; i < BUFFERS; i++)
        if ((offsets[i] = memory_plan_add(&plan, wanted[i].elements * (int64_t)sizeof(float), "buffer %d", i)) < 0)
            FAIL(STATUS_INTERNAL, "no memory for the plan of RoBERTa's workspace");
    TRY(kernels->allocate(w->context, (size_t)plan.total, &w->memory));
    for (int i = 0; i < BUFFERS; i++) {
        void *address = element_at(w->memory, DTYPE_U8, offsets[i]);
        memcpy(wanted[i].pointer, &address, sizeof address);
    }
    TRY(kernels->allocate_host(w->context, 2 * (size_t)rows * sizeof(int32_t), &ids));
    w->host_ids = ids;
    TRY(kernels->allocate_host(w->context, (size_t)(rows * config->hidden) * sizeof(float), &first));
    w->host_first = first;
    w->room = rows;
fail:
    memory_plan_free(&plan);
    return result;
}

static enum status make_room(struct roberta_workspace *workspace, int64_t rows)
{
    if (rows <= workspace->room)
        return STATUS_OK;
    release_buffers(workspace);
    enum status result = allocate(workspace, rows);
    if (result != STATUS_OK)
        release_buffers(workspace);
    return result;
}

/* ---- operations ---- */

static const float *at(const struct pass *pass, int64_t offset)
{
    return element_at(pass->roberta->weights, DTYPE_F32, offset);
}

/* output = x W + bias (+ addend) */
static enum status linear(const struct pass *pass, const struct roberta_pair *pair, int64_t in, int64_t out,
                          const float *x, const float *addend, float *output)
{
    const struct matmul product = {.m = pass->rows,
                                   .n = out,
                                   .k = in,
                                   .batch = 1,
                                   .a = x,
                                   .b = at(pass, pair->weight),
                                   .c = output,
                                   .addend = addend,
                                   .bias = at(pass, pair->bias),
                                   .a_row_stride = in,
                                   .b_row_stride = out,
                                   .c_row_stride = out,
                                   .alpha = 1};
    return compute_run(&pass->compute, matmul, &product);
}

/* output = LayerNorm(x + residual), which may be NULL */
static enum status norm(const struct pass *pass, const struct roberta_pair *pair, const float *x, const float *residual,
                        float *output)
{
    const struct layer_norm_forward parameters = {.rows = pass->rows,
                                                  .channels = pass->roberta->config.hidden,
                                                  .x = x,
                                                  .residual = residual,
                                                  .weight = at(pass, pair->weight),
                                                  .bias = at(pass, pair->bias),
                                                  .output = output,
                                                  .epsilon = (float)pass->roberta->config.epsilon};
    return compute_run(&pass->compute, layer_norm_forward, &parameters);
}

static enum status look_up(const struct pass *pass, int64_t table, int64_t rows, const int32_t *ids, float *output)
{
    const struct embedding_forward embedding = {.tokens = pass->rows,
                                                .channels = pass->roberta->config.hidden,
                                                .rows = rows,
                                                .ids = ids,
                                                .table = at(pass, table),
                                                .output = output};
    return compute_run(&pass->compute, embedding_forward, &embedding);
}

/* Of one text, whose rows begin at `first`. */
static enum status attend(const struct pass *pass, int64_t first, int64_t length)
{
    const struct roberta_config *config = &pass->roberta->config;
    const struct roberta_workspace *w = pass->workspace;
    int64_t hidden = config->hidden, head = hidden / config->heads, begin = first * hidden;
    const struct attention_forward attention = {.batch = 1,
                                                .query_length = length,
                                                .key_length = length,
                                                .heads = config->heads,
                                                .kv_heads = config->heads,
                                                .head_size = head,
                                                .query = w->query + begin,
                                                .key = w->key + begin,
                                                .value = w->value + begin,
                                                .query_row_stride = hidden,
                                                .key_row_stride = hidden,
                                                .value_row_stride = hidden,
                                                .output_row_stride = hidden,
                                                .query_batch_stride = length * hidden,
                                                .key_batch_stride = length * hidden,
                                                .value_batch_stride = length * hidden,
                                                .output_batch_stride = length * hidden,
                                                .output = w->attended + begin,
                                                .bidirectional = true,
                                                .scale = 1 / sqrtf((float)head)};
    return compute_run(&pass->compute, attention_forward, &attention);
}

static enum status run_layer(const struct pass *pass, const struct roberta_layer *layer)
{
    enum status result = STATUS_OK;
    const struct roberta_workspace *w = pass->workspace;
    int64_t hidden = pass->roberta->config.hidden, wide = pass->roberta->config.intermediate, first = 0;
    const struct activate gelu = {
        .count = pass->rows * wide, .x = w->wide, .output = w->wide, .activation = ACTIVATION_GELU};
    TRY(linear(pass, &layer->query, hidden, hidden, w->x, NULL, w->query));
    TRY(linear(pass, &layer->key, hidden, hidden, w->x, NULL, w->key));
    TRY(linear(pass, &layer->value, hidden, hidden, w->x, NULL, w->value));
    for (int64_t i = 0; i < pass->count; first += pass->texts[i++].count)
        TRY(attend(pass, first, pass->texts[i].count));
    TRY(linear(pass, &layer->output, hidden, hidden, w->attended, w->x, w->y));
    TRY(norm(pass, &layer->attention_norm, w->y, NULL, w->normal));
    TRY(linear(pass, &layer->expand, hidden, wide, w->normal, NULL, w->wide));
    TRY(compute_run(&pass->compute, activate, &gelu));
    TRY(linear(pass, &layer->contract, wide, hidden, w->wide, w->normal, w->y));
    TRY(norm(pass, &layer->final_norm, w->y, NULL, w->x));
fail:
    return result;
}

static enum status run_network(const struct pass *pass)
{
    enum status result = STATUS_OK;
    const struct roberta *roberta = pass->roberta;
    const struct roberta_workspace *w = pass->workspace;
    TRY(look_up(pass, roberta->words, roberta->config.vocabulary, w->ids, w->x));
    TRY(look_up(pass, roberta->positions, roberta->config.positions, w->positions, w->y));
    TRY(norm(pass, &roberta->norm, w->x, w->y, w->x));
    for (int64_t i = 0; i < roberta->config.layers; i++)
        TRY(run_layer(pass, &roberta->layers[i]));
fail:
    return result;
}

/* ---- in and out ---- */

/* A piece's position is the count of pieces before it that are no padding, behind the id of padding; padding itself stands there. */
static enum status send_ids(const struct pass *pass)
{
    enum status result = STATUS_OK;
    struct roberta_workspace *w = pass->workspace;
    const struct kernels *kernels = pass->roberta->kernels;
    int32_t pad = (int32_t)pass->roberta->config.pad, *ids = w->host_ids, *positions = ids + pass->rows;
    size_t bytes = (size_t)pass->rows * sizeof *ids;
    int64_t row = 0;
    memset(ids, 0, 2 * bytes);
    for (int64_t i = 0; i < pass->count; i++)
        for (int64_t t = 0, seen = pad; t < pass->texts[i].count; t++, row++) {
            ids[row] = pass->texts[i].ids[t];
            positions[row] = ids[row] == pad ? pad : (int32_t)++seen;
        }
    TRY(kernels->copy_to_device(w->context, QUEUE_COMPUTE, w->ids, ids, bytes));
    TRY(kernels->copy_to_device(w->context, QUEUE_COMPUTE, w->positions, positions, bytes));
fail:
    return result;
}

/* logits = W_out tanh(W_dense first + ..) + .. */
static void classify(const struct pass *pass, const float *first, double *logits)
{
    int64_t hidden = pass->roberta->config.hidden;
    double *x = pass->workspace->vectors, *inner = x + hidden;
    for (int64_t i = 0; i < hidden; i++)
        x[i] = (double)first[i];
    host_linear_run(&pass->roberta->dense, x, inner);
    for (int64_t i = 0; i < hidden; i++)
        inner[i] = tanh(inner[i]);
    host_linear_run(&pass->roberta->out, inner, logits);
}

static enum status reserve_scratch(const struct pass *pass)
{
    size_t scratch = 0;
    struct pass planned = *pass;
    planned.compute.measure = &scratch;
    enum status result = run_network(&planned);
    return result == STATUS_OK ? device_context_reserve(pass->roberta->kernels, pass->workspace->context, scratch)
                               : result;
}

static enum status run_pass(const struct pass *pass, double *logits)
{
    enum status result = STATUS_OK;
    struct roberta_workspace *w = pass->workspace;
    const struct kernels *kernels = pass->roberta->kernels;
    int64_t hidden = pass->roberta->config.hidden, row = 0;
    TRY(make_room(w, pass->rows));
    TRY(reserve_scratch(pass));
    TRY(send_ids(pass));
    TRY(run_network(pass));
    for (int64_t i = 0; i < pass->count; row += pass->texts[i++].count)
        TRY(kernels->copy_to_host(w->context, QUEUE_COMPUTE, w->host_first + i * hidden, w->x + row * hidden,
                                  (size_t)hidden * sizeof(float)));
    TRY(kernels->synchronize(w->context));
    for (int64_t i = 0; i < pass->count; i++)
        classify(pass, w->host_first + i * hidden, logits + i * roberta_classes(pass->roberta));
fail:
    return result;
}

static enum status check_texts(const struct roberta *roberta, const struct roberta_text *texts, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (texts[i].count < 1 || texts[i].count > roberta_limit(roberta))
            return status_set(STATUS_INTERNAL,
                              "RoBERTa: text %" PRId64 " has %" PRId64 " pieces, expected 1 to %" PRId64, i,
                              texts[i].count, roberta_limit(roberta));
        for (int64_t t = 0; t < texts[i].count; t++)
            if (texts[i].ids[t] < 0 || texts[i].ids[t] >= roberta->config.vocabulary)
                return status_set(STATUS_INTERNAL, "RoBERTa: text %" PRId64 ": id %" PRId32 " of %" PRId64, i,
                                  texts[i].ids[t], roberta->config.vocabulary);
    }
    return STATUS_OK;
}

enum status roberta_run(struct roberta_workspace *workspace, const struct roberta_text *texts, int64_t count,
                        double *logits)
{
    enum status result = STATUS_OK;
    const struct roberta *roberta = workspace->roberta;
    TRY(check_texts(roberta, texts, count));
    for (int64_t first = 0; first < count;) {
        struct pass pass = {.compute = {.kernels = roberta->kernels, .context = workspace->context, .dtype = DTYPE_F32},
                            .roberta = roberta,
                            .workspace = workspace,
                            .texts = texts + first,
                            .count = 1,
                            .rows = texts[first].count};
        while (workspace->shares && first + pass.count < count &&
               pass.rows + texts[first + pass.count].count <= PASS_ROWS)
            pass.rows += texts[first + pass.count++].count;
        pass.rows = pass.rows < LEAST_ROWS ? LEAST_ROWS : pass.rows;
        TRY(run_pass(&pass, logits + first * roberta_classes(roberta)));
        first += pass.count;
    }
fail:
    return result;
}
