/* Lengths are compared with what is left of their message before anything moves, and no value is trusted to fit: a
 * model file may come from anywhere. Errors name the byte in the file, which is all that one can look for in a binary
 * format. */
#include "text/protobuf.h"

static const uint64_t field_number_limit = UINT64_C(1) << 29;

static enum status read_varint(struct protobuf *message, uint64_t *value)
{
    uint64_t result = 0;
    size_t start = message->at;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (message->at == message->size)
            return status_set(STATUS_CORRUPT, "%s: byte %zu: a number runs past the end of its message", message->name,
                              message->base + start);
        uint8_t byte = message->data[message->at++];
        /* The tenth byte has room for only one bit. */
        if (shift == 63 && byte > 1)
            break;
        result |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *value = result;
            return STATUS_OK;
        }
    }
    return status_set(STATUS_CORRUPT, "%s: byte %zu: a number of more than 64 bits", message->name,
                      message->base + start);
}

static enum status read_fixed(struct protobuf *message, size_t bytes, uint64_t *value)
{
    if (message->size - message->at < bytes)
        return status_set(STATUS_CORRUPT, "%s: byte %zu: expected a value of %zu bytes, found %zu left in its message",
                          message->name, message->base + message->at, bytes, message->size - message->at);
    *value = 0;
    for (size_t i = 0; i < bytes; i++)
        *value |= (uint64_t)message->data[message->at++] << (8 * i);
    return STATUS_OK;
}

enum status protobuf_next(struct protobuf *message, struct protobuf_field *field, bool *found)
{
    enum status result = STATUS_OK;
    uint64_t key, length;
    *found = false;
    *field = (struct protobuf_field){.offset = message->base + message->at};
    if (message->at == message->size)
        return STATUS_OK;
    TRY(read_varint(message, &key));
    if (key >> 3 == 0 || key >> 3 >= field_number_limit)
        FAIL(STATUS_CORRUPT, "%s: byte %zu: field number %llu, expected 1 to 2^29 - 1", message->name, field->offset,
             (unsigned long long)(key >> 3));
    field->number = (uint32_t)(key >> 3);
    field->wire = (enum protobuf_wire)(key & 7);
    switch (field->wire) {
    case PROTOBUF_VARINT:
        TRY(read_varint(message, &field->value));
        break;
    case PROTOBUF_FIXED64:
        TRY(read_fixed(message, 8, &field->value));
        break;
    case PROTOBUF_FIXED32:
        TRY(read_fixed(message, 4, &field->value));
        break;
    case PROTOBUF_BYTES:
        TRY(read_varint(message, &length));
        if (length > message->size - message->at)
            FAIL(STATUS_CORRUPT, "%s: byte %zu: field %u claims %llu bytes, its message has %zu left", message->name,
                 field->offset, field->number, (unsigned long long)length, message->size - message->at);
        field->bytes = message->data + message->at;
        field->size = (size_t)length;
        message->at += field->size;
        break;
    default:
        FAIL(STATUS_CORRUPT, "%s: byte %zu: field %u has wire type %d, expected 0, 1, 2 or 5", message->name,
             field->offset, field->number, (int)field->wire);
    }
    *found = true;
fail:
    return result;
}

enum status protobuf_expect(const struct protobuf *message, const struct protobuf_field *field, enum protobuf_wire wire,
                            const char *what)
{
    if (field->wire != wire)
        return status_set(STATUS_CORRUPT, "%s: byte %zu: %s has wire type %d, expected %d", message->name,
                          field->offset, what, (int)field->wire, (int)wire);
    return STATUS_OK;
}

struct protobuf protobuf_inside(const struct protobuf *message, const struct protobuf_field *field)
{
    size_t base = message->base + (size_t)(field->bytes - message->data);
    return (struct protobuf){.data = field->bytes, .size = field->size, .base = base, .name = message->name};
}
