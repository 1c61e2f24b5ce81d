/* Opening a model for inference. Where operations read host memory, weights need not be copied: a tensor that its file holds
 * as the model wants it is used where it lies in the mapped file, and only the others (quantised, of another type, in parts,
 * with rotary rows in another order, or not at a multiple of an element's size) get a resident copy.
 *
 * Each number is looked at once, because one that is not finite would make every result NaN. That pass also brings the file
 * into memory, from its beginning to its end, so that nothing waits for a disk later on. */
#include "core/thread_pool.h"
#include "io/mapped_file.h"
#include "models/llama/llama_internal.h"
#include "models/llama/llama_read_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHECK_BLOCK = 1 << 20, /* elements of one task */
    CHECK_TASKS = 32,      /* of one piece */
    GROUP = 128            /* copies start at multiples of this many elements, as groups do in the arena */
};

struct opening {
    struct llama *model;
    struct llama_reader reader;
    /* Of each view, in the layout's order: */
    const struct source_tensor **infos; /* NULL: an alias */
    int64_t *places;                    /* elements from the resident copy's start; -1: in place */
    int64_t resident;                   /* elements */
};

/* ---- numbers that are not finite ---- */

struct check {
    const unsigned char *data;
    enum dtype type;
    int64_t count;
    int64_t bad[CHECK_TASKS]; /* the first element of each block that is not finite; -1: none */
};

/* The highest bit of each element of a word that is not finite: all bits of the exponent are set, and one more in its lowest
 * place carries. */
static uint64_t not_finite(uint64_t word, enum dtype type)
{
    const uint64_t exponents = type == DTYPE_F32 ? 0x7f8000007f800000 : 0x7f807f807f807f80;
    const uint64_t lowest = type == DTYPE_F32 ? 0x0080000000800000 : 0x0080008000800080;
    return ((word & exponents) + lowest) & ~exponents & ~(exponents >> 1);
}

static bool all_finite(const unsigned char *data, int64_t bytes, enum dtype type)
{
    uint64_t found = 0, words[4];
    int64_t at = 0;
    for (; at + (int64_t)sizeof words <= bytes; at += (int64_t)sizeof words) {
        memcpy(words, data + at, sizeof words);
        found |= not_finite(words[0], type) | not_finite(words[1], type);
        found |= not_finite(words[2], type) | not_finite(words[3], type);
    }
    memset(words, 0, sizeof words);
    memcpy(words, data + at, (size_t)(bytes - at));
    for (int i = 0; i < 4; i++)
        found |= not_finite(words[i], type);
    return found == 0;
}

static void check_block(void *argument, int64_t task, int worker)
{
    (void)worker;
    struct check *check = argument;
    int64_t size = (int64_t)dtype_size(check->type), begin = task * CHECK_BLOCK;
    int64_t count = check->count - begin < CHECK_BLOCK ? check->count - begin : CHECK_BLOCK;
    check->bad[task] = -1;
    if (all_finite(check->data + begin * size, count * size, check->type))
        return;
    for (int64_t i = begin; i < begin + count && check->bad[task] < 0; i++)
        if (!all_finite(check->data + i * size, size, check->type))
            check->bad[task] = i;
}

/* A piece of a tensor in place. */
struct piece {
    const struct parameter_view *view;
    const unsigned char *data;
    int64_t first, count; /* elements of the tensor */
};

static enum status check_piece(const struct opening *opening, const struct piece *piece)
{
    const struct llama *model = opening->model;
    struct check check = {.data = piece->data, .type = model->dtype, .count = piece->count};
    int64_t tasks = (check.count + CHECK_BLOCK - 1) / CHECK_BLOCK;
    thread_pool_run(model->context->pool, tasks, check_block, &check);
    for (int64_t t = 0; t < tasks; t++) {
        float value;
        if (check.bad[t] < 0)
            continue;
        dtype_to_float(&value, check.data + check.bad[t] * (int64_t)dtype_size(check.type), check.type, 1);
        return status_set(STATUS_CORRUPT, "%s: %s holds %g at element %" PRId64, opening->reader.path,
                          piece->view->name, (double)value, piece->first + check.bad[t]);
    }
    return STATUS_OK;
}

static int by_address(const void *a, const void *b)
{
    const struct piece *left = a, *right = b;
    return (left->data > right->data) - (left->data < right->data);
}

/* ---- where each tensor lies ---- */

/* Copies that are neighbours in the arena are neighbours again. */
static int64_t place_copy(struct opening *opening, int64_t view)
{
    const struct parameter_view *views = opening->model->layout.views;
    bool follows = view > 0 && opening->places[view - 1] >= 0 &&
                   views[view].offset == views[view - 1].offset + views[view - 1].count;
    int64_t place = follows ? opening->resident : (opening->resident + GROUP - 1) / GROUP * GROUP;
    opening->resident = place + views[view].count;
    return place;
}

static enum status place_view(struct llama_reader *reader, const struct parameter_view *view,
                              const struct source_tensor *info)
{
    struct opening *opening = reader->argument;
    struct llama *model = opening->model;
    int64_t index = view - model->layout.views;
    opening->infos[index] = info;
    if (llama_source_elements(info) != view->count) /* fewer rows of vocabulary, which is refused at the end */
        return STATUS_OK;
    model->binding->tensors[index] = source_tensor_in_place(info, model->dtype);
    opening->places[index] = model->binding->tensors[index] ? -1 : place_copy(opening, index);
    return STATUS_OK;
}

static enum status copy_tensors(struct opening *opening, struct llama_fill *fill)
{
    enum status result = STATUS_OK;
    struct llama *model = opening->model;
    struct llama_binding *binding = model->binding;
    for (int64_t i = 0; i < model->layout.count; i++) {
        if (!opening->infos[i] || binding->tensors[i])
            continue;
        TRY(llama_read_tensor(fill, opening->reader.path, &model->layout.views[i], opening->infos[i],
                              opening->places[i]));
        binding->tensors[i] = element_at(binding->resident, model->dtype, opening->places[i]);
        binding->resident_bytes += model->layout.views[i].count * (int64_t)dtype_size(model->dtype);
    }
fail:
    return result;
}

static enum status make_copies(struct opening *opening)
{
    enum status result = STATUS_OK;
    struct llama *model = opening->model;
    struct llama_binding *binding = model->binding;
    struct llama_fill fill;
    if (opening->resident == 0)
        return STATUS_OK;
    TRY(model->kernels->allocate(model->context, (size_t)opening->resident * dtype_size(model->dtype),
                                 &binding->resident));
    TRY(llama_fill_open_at(model, binding->resident, &fill));
    result = copy_tensors(opening, &fill);
    result = llama_fill_close(&fill, result);
fail:
    return result;
}

/* A head that is the embedding counts once. */
static bool is_in_place(const struct llama_binding *binding, int64_t view)
{
    return binding->tensors[view] && (view == 0 || binding->tensors[view] != binding->tensors[0]);
}

/* Counts the pieces of all tensors in place, and lists them where `pieces` is given. */
static int64_t list_pieces(const struct llama *model, struct piece *pieces)
{
    const int64_t most = (int64_t)CHECK_BLOCK * CHECK_TASKS, size = (int64_t)dtype_size(model->dtype);
    int64_t number = 0;
    for (int64_t i = 0; i < model->layout.count; i++) {
        const struct parameter_view *view = &model->layout.views[i];
        const unsigned char *data = model->binding->tensors[i];
        for (int64_t first = 0; is_in_place(model->binding, i) && first < view->count; first += most, number++)
            if (pieces)
                pieces[number] = (struct piece){view, data + first * size, first,
                                                view->count - first < most ? view->count - first : most};
    }
    return number;
}

/* In the order in which the file has them. */
static enum status keep_tensors(struct opening *opening)
{
    enum status result = STATUS_OK;
    struct llama *model = opening->model;
    int64_t size = (int64_t)dtype_size(model->dtype), count = list_pieces(model, NULL);
    struct piece *pieces = calloc((size_t)count + 1, sizeof *pieces);
    if (!pieces)
        FAIL(STATUS_INTERNAL, "no memory for a list of %" PRId64 " pieces", count);
    list_pieces(model, pieces);
    qsort(pieces, (size_t)count, sizeof *pieces, by_address);
    for (int64_t i = 0; i < count; i++) {
        mapped_bytes_expect(pieces[i].data, pieces[i].count * size);
        TRY(check_piece(opening, &pieces[i]));
        mapped_bytes_keep(pieces[i].data, pieces[i].count * size);
        model->binding->mapped_bytes += pieces[i].count * size;
    }
fail:
    free(pieces);
    return result;
}

static enum status bind(struct opening *opening)
{
    enum status result = STATUS_OK;
    struct llama *model = opening->model;
    struct llama_binding *binding = model->binding;
    int64_t last = model->layout.count - 1;
    TRY(llama_reader_run(&opening->reader));
    TRY(llama_check_all_rows(&opening->reader));
    TRY(keep_tensors(opening));
    TRY(make_copies(opening));
    if (model->layout.views[last].alias)
        binding->tensors[last] = binding->tensors[0];
fail:
    binding->source = opening->reader.source; /* which the model closes */
    return result;
}

static enum status open_bound(const char *path, struct llama *model)
{
    enum status result = STATUS_OK;
    struct opening opening = {.model = model};
    size_t views = (size_t)model->layout.count;
    opening.reader = (struct llama_reader){
        .config = &model->config, .layout = &model->layout, .path = path, .take = place_view, .argument = &opening};
    opening.infos = calloc(views, sizeof *opening.infos);
    opening.places = calloc(views, sizeof *opening.places);
    model->binding = calloc(1, sizeof *model->binding);
    const void **tensors = calloc(views, sizeof *tensors);
    if (!opening.infos || !opening.places || !model->binding || !tensors) {
        free(tensors);
        FAIL(STATUS_INTERNAL, "no memory for the places of %zu tensors", views);
    }
    model->binding->tensors = tensors;
    memset(opening.places, -1, views * sizeof *opening.places);
    TRY(bind(&opening));
fail:
    free(opening.infos);
    free(opening.places);
    return result;
}

enum status llama_open(const char *path, const struct llama_config *config, enum dtype dtype,
                       const struct kernels *kernels, struct device_context *context, struct llama **out)
{
    enum status result = STATUS_OK;
    struct llama *model = NULL;
    *out = NULL;
    if (!kernels->reads_host_memory) {
        TRY(llama_create(config, dtype, kernels, context, &model));
        TRY(llama_read_weights(model, path, NULL, NULL));
    } else {
        TRY(llama_create_bare(config, dtype, kernels, context, &model));
        TRY(llama_need_positions(model, 0));
        TRY(open_bound(path, model));
    }
    *out = model;
    return STATUS_OK;
fail:
    llama_destroy(model);
    return result;
}
