/* Device memory between ranks that are threads of one process. Each rank has a helper thread with a context of its own,
 * which carries out what the rank starts, in order, and reads the other ranks' buffers by their addresses.
 *
 * Only the putting into queues is done by hosts; when work runs is a matter of events, as it would be among processes with
 * a network library. An operation goes like this on every rank:
 *   start    the rank's thread records `ready` in its compute queue and hands the operation to its helper;
 *   opening  the helpers meet, and each lets its queue wait for every rank's `ready`;
 *   work     each puts its share into its queue: sums of its own slice, or copies into its own buffer; then `worked`;
 *   closing  the helpers meet, and each lets its queue wait for every rank's `worked`, since others read its buffer;
 *            then `done`, which device_comm_wait lets the compute queue wait for;
 *   closing  the helpers meet once more: until then they look at each other's events.
 * Sums are taken in pieces through scratch memory, because a running sum in the buffer itself would overwrite the addend
 * that its rank has yet to contribute. A few numbers (a norm, a flag) go through the host instead, which adds doubles and
 * compares integers without needing operations for them: there the helper waits for its queue, nobody else does. */
#include "comm/comm_internal.h"
#include "comm/device_comm_internal.h"
#include "comm/in_process.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 18, SLOTS = 64 }; /* elements of scratch; operations that may be started ahead of the helper */

struct slot {
    struct device_operation operation;
    struct device_event *ready, *done;
};

/* What the other ranks may look at during an operation. */
struct shown {
    char *data;
    struct device_event *ready, *worked;
    const void *few; /* host: this rank's addends of a few numbers */
};

struct in_process {
    struct device_comm comm;
    struct in_process_group *group;
    const struct kernels *kernels;
    const struct device_context *compute; /* the rank's own; borrowed */
    struct device_context context;        /* the helper's */
    struct slot slots[SLOTS];             /* operation t lies in slots[t % SLOTS] */
    struct shown shown;
    float *scratch;              /* device: PIECE elements */
    void *few, *few_result;      /* pinned: DEVICE_COMM_FEW doubles each */
    struct device_event *worked; /* the helper's queue has done its share */
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int64_t handed, completed; /* operations; completed: the helper has put all of it into its queue, or it failed */
    bool closing;
    enum status failure; /* the first, and its text */
    char text[512];
};

/* ---- the helper's side ---- */

static const struct shown *shown_by(const struct in_process *self, int rank)
{
    return self->group->device.calls[rank].shown;
}

static enum status sum_slice(struct in_process *self, int64_t count)
{
    enum status result = STATUS_OK;
    const struct kernels *kernels = self->kernels;
    const struct device_context *context = &self->context;
    int64_t begin = self->comm.rank * count;
    for (int64_t at = begin; at < begin + count; at += PIECE) {
        int64_t elements = begin + count - at < PIECE ? begin + count - at : PIECE;
        size_t offset = (size_t)at * sizeof(float), bytes = (size_t)elements * sizeof(float);
        TRY(kernels->copy(context, self->scratch, shown_by(self, 0)->data + offset, bytes));
        for (int r = 1; r < self->comm.size; r++) {
            struct convert addend = {.count = elements,
                                     .source = shown_by(self, r)->data + offset,
                                     .destination = self->scratch,
                                     .source_type = DTYPE_F32,
                                     .destination_type = DTYPE_F32,
                                     .add = true};
            TRY(kernels->convert(context, &addend));
        }
        TRY(kernels->copy(context, shown_by(self, self->comm.rank)->data + offset, self->scratch, bytes));
    }
fail:
    return result;
}

static enum status gather_slices(struct in_process *self, size_t slice_bytes)
{
    enum status result = STATUS_OK;
    char *own = shown_by(self, self->comm.rank)->data;
    for (int r = 0; r < self->comm.size && slice_bytes > 0; r++)
        if (r != self->comm.rank)
            TRY(self->kernels->copy(&self->context, own + (size_t)r * slice_bytes,
                                    shown_by(self, r)->data + (size_t)r * slice_bytes, slice_bytes));
fail:
    return result;
}

/* The event waited for here was recorded after the last copy from few_result, too: both are the host's now. */
static enum status fetch_few(struct in_process *self, const struct device_operation *operation)
{
    enum status result = STATUS_OK;
    TRY(self->kernels->copy_to_host(&self->context, QUEUE_COMPUTE, self->few, operation->data,
                                    (size_t)operation->count * dtype_size(operation->type)));
    TRY(self->kernels->event_record(&self->context, QUEUE_COMPUTE, self->worked));
    TRY(self->kernels->event_wait(&self->context, self->worked));
fail:
    return result;
}

static enum status combine_few(struct in_process *self, const struct device_operation *operation)
{
    size_t bytes = (size_t)operation->count * dtype_size(operation->type);
    memcpy(self->few_result, shown_by(self, 0)->few, bytes);
    for (int r = 1; r < self->comm.size; r++)
        comm_combine(self->few_result, shown_by(self, r)->few, operation->count, operation->type, operation->reduction);
    return self->kernels->copy_to_device(&self->context, QUEUE_COMPUTE, operation->data, self->few_result, bytes);
}

/* Between the opening and the first closing. */
static enum status work(struct in_process *self, const struct device_operation *operation)
{
    enum status result = STATUS_OK;
    for (int r = 0; r < self->comm.size; r++)
        TRY(self->kernels->queue_wait(&self->context, QUEUE_COMPUTE, shown_by(self, r)->ready));
    if (operation->kind == DEVICE_REDUCE_SCATTER)
        TRY(sum_slice(self, operation->count));
    else if (operation->kind == DEVICE_ALL_GATHER)
        TRY(gather_slices(self, (size_t)operation->count * dtype_size(operation->type)));
    else
        TRY(fetch_few(self, operation));
    TRY(self->kernels->event_record(&self->context, QUEUE_COMPUTE, self->worked));
fail:
    return result;
}

/* Between the two closings. */
static enum status finish(struct in_process *self, struct slot *slot)
{
    enum status result = STATUS_OK;
    for (int r = 0; r < self->comm.size; r++)
        TRY(self->kernels->queue_wait(&self->context, QUEUE_COMPUTE, shown_by(self, r)->worked));
    if (slot->operation.kind == DEVICE_ALL_REDUCE)
        TRY(combine_few(self, &slot->operation));
    TRY(self->kernels->event_record(&self->context, QUEUE_COMPUTE, slot->done));
fail:
    return result;
}

static enum status carry_out(struct in_process *self, struct slot *slot, int64_t ticket)
{
    enum status result = STATUS_OK;
    const struct device_operation *operation = &slot->operation;
    self->shown =
        (struct shown){.data = operation->data, .ready = slot->ready, .worked = self->worked, .few = self->few};
    struct meeting_call call = {&self->shown, (int)operation->kind, operation->count, (int)operation->type,
                                (int)operation->reduction};
    TRY(meeting_open(self->group, &self->group->device, self->comm.rank, call));
    device_comm_tell(&self->comm, ticket, DEVICE_COMM_BEGUN);
    result = work(self, operation);
    meeting_pass(self->group, &self->group->device);
    if (result == STATUS_OK)
        result = finish(self, slot);
    device_comm_tell(&self->comm, ticket, DEVICE_COMM_ENDED);
    meeting_pass(self->group, &self->group->device);
    if (result != STATUS_OK) /* what this rank alone knows must not leave the others waiting for it */
        in_process_group_abort(self->group, status_text());
fail:
    return result;
}

static void *help(void *argument)
{
    struct in_process *self = argument;
    pthread_mutex_lock(&self->lock);
    for (;;) {
        while (self->completed == self->handed && !self->closing)
            pthread_cond_wait(&self->changed, &self->lock);
        if (self->completed == self->handed)
            break;
        int64_t ticket = self->completed + 1;
        bool failed = self->failure != STATUS_OK; /* what comes after a failure is not tried */
        pthread_mutex_unlock(&self->lock);
        enum status result = failed ? STATUS_OK : carry_out(self, &self->slots[ticket % SLOTS], ticket);
        pthread_mutex_lock(&self->lock);
        if (result != STATUS_OK) {
            self->failure = result;
            strncpy(self->text, status_text(), sizeof self->text - 1);
        }
        self->completed = ticket;
        pthread_cond_broadcast(&self->changed);
    }
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

/* ---- the rank's side ---- */

/* With the lock held: waits until the helper is done with operation `ticket`. */
static enum status await(struct in_process *self, int64_t ticket)
{
    while (self->completed < ticket)
        pthread_cond_wait(&self->changed, &self->lock);
    return self->failure == STATUS_OK ? STATUS_OK : status_set(self->failure, "%s", self->text);
}

static enum status start(struct device_comm *comm, const struct device_operation *operation, int64_t ticket)
{
    struct in_process *self = (struct in_process *)comm;
    struct slot *slot = &self->slots[ticket % SLOTS];
    pthread_mutex_lock(&self->lock);
    enum status result = await(self, ticket > SLOTS ? ticket - SLOTS : 0); /* the slot is free */
    pthread_mutex_unlock(&self->lock);
    if (result != STATUS_OK)
        return result;
    slot->operation = *operation;
    result = self->kernels->event_record(self->compute, QUEUE_COMPUTE, slot->ready);
    if (result != STATUS_OK)
        return result;
    device_comm_tell(comm, ticket, DEVICE_COMM_STARTED);
    pthread_mutex_lock(&self->lock);
    self->handed = ticket;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
    return STATUS_OK;
}

/* The slot of an old operation may have been taken by a newer one: then the last that the helper has completed is as good,
 * since its queue runs in order. */
static enum status wait(struct device_comm *comm, int64_t ticket)
{
    struct in_process *self = (struct in_process *)comm;
    pthread_mutex_lock(&self->lock);
    enum status result = await(self, ticket);
    if (result == STATUS_OK) {
        int64_t done = ticket > self->handed - SLOTS ? ticket : self->completed;
        result = self->kernels->queue_wait(self->compute, QUEUE_COMPUTE, self->slots[done % SLOTS].done);
    }
    pthread_mutex_unlock(&self->lock);
    return result;
}

static void release(struct in_process *self)
{
    const struct kernels *kernels = self->kernels;
    const struct device_context *context = &self->context;
    if (context->libraries) {
        for (int i = 0; i < SLOTS; i++) {
            kernels->event_destroy(context, self->slots[i].ready);
            kernels->event_destroy(context, self->slots[i].done);
        }
        kernels->event_destroy(context, self->worked);
        kernels->release_host(context, self->few);
        kernels->release_host(context, self->few_result);
        kernels->release(context, self->scratch);
        device_context_destroy(kernels, &self->context);
    }
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

static void destroy(struct device_comm *comm)
{
    struct in_process *self = (struct in_process *)comm;
    if (self->running) {
        pthread_mutex_lock(&self->lock);
        self->closing = true;
        pthread_cond_broadcast(&self->changed);
        pthread_mutex_unlock(&self->lock);
        pthread_join(self->thread, NULL);
        (void)self->kernels->synchronize(&self->context); /* events and scratch are in use until its queue is empty */
    }
    release(self);
}

static const struct device_comm_methods methods = {start, wait, destroy};

static enum status make_memory(struct in_process *self)
{
    enum status result = STATUS_OK;
    const struct kernels *kernels = self->kernels;
    void *scratch;
    struct convert piece = {
        .count = PIECE, .source_type = DTYPE_F32, .destination_type = DTYPE_F32, .add = true}; /* as sum_slice's */
    TRY(device_context_create(kernels, NULL, kernels->convert_scratch_size(&piece), &self->context));
    TRY(kernels->allocate(&self->context, PIECE * sizeof(float), &scratch));
    self->scratch = scratch;
    TRY(kernels->allocate_host(&self->context, DEVICE_COMM_FEW * sizeof(double), &self->few));
    TRY(kernels->allocate_host(&self->context, DEVICE_COMM_FEW * sizeof(double), &self->few_result));
    TRY(kernels->event_create(&self->context, &self->worked));
    for (int i = 0; i < SLOTS; i++) {
        TRY(kernels->event_create(&self->context, &self->slots[i].ready));
        TRY(kernels->event_create(&self->context, &self->slots[i].done));
    }
fail:
    return result;
}

enum status device_comm_create_in_process(struct comm *host, const struct kernels *kernels,
                                          const struct device_context *context, struct device_comm **out)
{
    enum status result = STATUS_OK;
    *out = NULL;
    struct in_process_group *group = in_process_group_of(host);
    if (!group)
        return status_set(STATUS_INTERNAL, "rank %d: its host communicator is not one of threads", comm_rank(host));
    struct in_process *self = calloc(1, sizeof *self);
    if (!self)
        return status_set(STATUS_INTERNAL, "comm: out of memory");
    self->comm = (struct device_comm){.methods = &methods, .rank = comm_rank(host), .size = comm_size(host)};
    self->group = group;
    self->kernels = kernels;
    self->compute = context;
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->changed, NULL);
    TRY(make_memory(self));
    int error = pthread_create(&self->thread, NULL, help, self);
    if (error) {
        result = status_set_errno(STATUS_INTERNAL, error, "comm: no thread can be made");
        goto fail;
    }
    self->running = true;
    *out = &self->comm;
    return STATUS_OK;
fail:
    release(self);
    return result;
}
