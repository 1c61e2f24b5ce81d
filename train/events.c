/* Writes TensorBoard's records by hand: three protobuf fields do not justify a library in C++. Records are appended
 * and flushed step by step, so that a run can be watched; on resume the file is cut to the checkpoint's step. */
#include "train/events.h"

#include "core/array.h"
#include "core/hash.h"
#include "core/path.h"
#include "io/atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { RECORD_FRAME = 16, MESSAGE_LIMIT = 1024 };

struct events {
    char path[PATH_BYTES];
    int descriptor;
    uint8_t *pending; /* records not yet written */
    size_t used;
    int64_t capacity;
};

/* ---- protobuf, as far as these messages go ---- */

struct message {
    uint8_t bytes[MESSAGE_LIMIT];
    size_t size;
};

static void put_varint(struct message *message, uint64_t value)
{
    for (; value >= 128; value >>= 7)
        message->bytes[message->size++] = (uint8_t)(value | 128);
    message->bytes[message->size++] = (uint8_t)value;
}

static void put_fixed(struct message *message, unsigned field, const void *value, size_t size)
{
    put_varint(message, field << 3 | (size == 8 ? 1u : 5u));
    memcpy(message->bytes + message->size, value, size); /* little-endian, as the hosts of this toolkit */
    message->size += size;
}

static void put_bytes(struct message *message, unsigned field, const void *value, size_t size)
{
    put_varint(message, field << 3 | 2u);
    put_varint(message, size);
    memcpy(message->bytes + message->size, value, size);
    message->size += size;
}

static uint32_t masked_crc(const void *data, size_t size)
{
    uint32_t crc = crc32c(0, data, size);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static enum status add_record(struct events *events, const struct message *message)
{
    uint64_t length = message->size;
    uint32_t length_crc = masked_crc(&length, sizeof length), data_crc = masked_crc(message->bytes, message->size);
    enum status result = array_grow(&events->pending, &events->capacity,
                                    (int64_t)(events->used + RECORD_FRAME + message->size), "bytes of events");
    if (result != STATUS_OK)
        return result;
    uint8_t *at = events->pending + events->used;
    memcpy(at, &length, 8);
    memcpy(at + 8, &length_crc, 4);
    memcpy(at + 12, message->bytes, message->size);
    memcpy(at + 12 + message->size, &data_crc, 4);
    events->used += RECORD_FRAME + message->size;
    return STATUS_OK;
}

static void start_event(struct message *message)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    double wall_time = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    message->size = 0;
    put_fixed(message, 1, &wall_time, sizeof wall_time);
}

/* ---- cutting ---- */

/* The step of one of our own events: after the wall time (9 bytes) comes field 2; the version record has none. */
static int64_t step_of(const uint8_t *data, uint64_t size)
{
    uint64_t at = 9, step = 0;
    if (at >= size || data[at++] != (2u << 3))
        return 0;
    for (unsigned shift = 0; at < size && shift < 63; shift += 7) {
        step |= (uint64_t)(data[at] & 127u) << shift;
        if (data[at++] < 128)
            return (int64_t)step;
    }
    return 0;
}

/* The next record's whole size; 0: there is none that is whole and of a step that is wanted. */
static int64_t next_record(FILE *file, uint8_t body[MESSAGE_LIMIT], int64_t last_step)
{
    uint8_t head[12], tail[4];
    uint64_t length;
    uint32_t head_crc, body_crc;
    if (fread(head, sizeof head, 1, file) != 1)
        return 0;
    memcpy(&length, head, 8);
    memcpy(&head_crc, head + 8, 4);
    if (head_crc != masked_crc(head, 8) || length > MESSAGE_LIMIT || fread(body, length, 1, file) != 1 ||
        fread(tail, sizeof tail, 1, file) != 1)
        return 0;
    memcpy(&body_crc, tail, 4);
    if (body_crc != masked_crc(body, length) || step_of(body, length) > last_step)
        return 0;
    return RECORD_FRAME + (int64_t)length;
}

/* A record at a time: the file grows as long as the run does, and holds nothing but our own small ones. */
static enum status cut_records(const char *path, int64_t last_step)
{
    enum status result = STATUS_OK;
    struct stat information;
    uint8_t body[MESSAGE_LIMIT];
    FILE *file = NULL;
    int64_t kept = 0, size;
    TRY(file_open_to_read(path, &file));
    if (!file)
        return STATUS_OK;
    while ((size = next_record(file, body, last_step)) > 0)
        kept += size;
    if (ferror(file) || fstat(fileno(file), &information) != 0)
        FAIL(STATUS_IO, "cannot read %s", path);
    if (kept != information.st_size)
        TRY(file_truncate(path, kept));
fail:
    if (file)
        fclose(file);
    return result;
}

enum status events_open(const char *run, int64_t last_step, struct events **out)
{
    enum status result = STATUS_OK;
    *out = NULL;
    struct events *events = calloc(1, sizeof *events);
    if (!events)
        return status_set(STATUS_INTERNAL, "no memory for events");
    events->descriptor = -1;
    char folder[PATH_BYTES];
    TRY(path_format(folder, "%s/tensorboard", run));
    TRY(make_directories(folder));
    TRY(path_format(events->path, "%s/tensorboard/events.out.tfevents.0000000001.spiritlm", run));
    TRY(cut_records(events->path, last_step));
    events->descriptor = open(events->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (events->descriptor < 0) {
        result = status_set_errno(STATUS_IO, errno, "cannot open %s", events->path);
        goto fail;
    }
    TRY(sync_folder(folder)); /* its name, if it is new */
    struct stat information;
    if (fstat(events->descriptor, &information) == 0 && information.st_size == 0) {
        struct message message;
        start_event(&message);
        put_bytes(&message, 3, "brain.Event:2", 13);
        TRY(add_record(events, &message));
    }
    *out = events;
    return STATUS_OK;
fail:
    events_close(events);
    return result;
}

enum status events_write(struct events *events, int64_t step, const char *tag, double value)
{
    struct message scalar = {.size = 0}, summary = {.size = 0}, event;
    float simple = (float)value;
    size_t length = strlen(tag);
    if (length > 256)
        return status_set(STATUS_INTERNAL, "the metric's name \"%.40s...\" is too long", tag);
    put_bytes(&scalar, 1, tag, length);
    put_fixed(&scalar, 2, &simple, sizeof simple);
    put_bytes(&summary, 1, scalar.bytes, scalar.size);
    start_event(&event);
    put_varint(&event, 2u << 3);
    put_varint(&event, (uint64_t)step);
    put_bytes(&event, 5, summary.bytes, summary.size);
    return add_record(events, &event);
}

enum status events_flush(struct events *events)
{
    size_t used = events->used;
    events->used = 0; /* what could not be written is lost, not tried again in another order */
    return append_whole(events->descriptor, events->path, events->pending, (int64_t)used);
}

enum status events_sync(struct events *events)
{
    enum status result = events_flush(events);
    if (result == STATUS_OK && fsync(events->descriptor) != 0)
        result = status_set_errno(STATUS_IO, errno, "cannot write %s", events->path);
    return result;
}

void events_close(struct events *events)
{
    if (!events)
        return;
    if (events->descriptor >= 0)
        close(events->descriptor);
    free(events->pending);
    free(events);
}
