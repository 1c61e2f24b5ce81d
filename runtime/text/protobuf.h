/* Reading protocol buffers' wire format (protobuf.dev, "Encoding"): one message is a run of fields, each with a number,
 * a wire type and a value. Nothing is copied or allocated; every length is bounded by its message before it is used.
 * Groups (wire types 3 and 4, deprecated) are refused. */
#ifndef SPIRITLM_TEXT_PROTOBUF_H
#define SPIRITLM_TEXT_PROTOBUF_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum protobuf_wire { PROTOBUF_VARINT = 0, PROTOBUF_FIXED64 = 1, PROTOBUF_BYTES = 2, PROTOBUF_FIXED32 = 5 };

/* A message in memory, and how far it has been read. */
struct protobuf {
    const uint8_t *data;
    size_t size, at;
    size_t base;      /* where the message lies in the file, for error texts */
    const char *name; /* of the file, for error texts */
};

struct protobuf_field {
    uint32_t number;
    enum protobuf_wire wire;
    uint64_t value;       /* VARINT, FIXED32 (low half) and FIXED64 */
    const uint8_t *bytes; /* BYTES: points into the message */
    size_t size;
    size_t offset; /* of the field in the file */
};

/* The next field, or *found = false at the end. STATUS_CORRUPT names the file and the byte. */
enum status protobuf_next(struct protobuf *message, struct protobuf_field *field, bool *found);

/* STATUS_CORRUPT unless the field has this wire type. `what` names the field. */
enum status protobuf_expect(const struct protobuf *message, const struct protobuf_field *field, enum protobuf_wire wire,
                            const char *what);

/* The message inside a BYTES field. */
struct protobuf protobuf_inside(const struct protobuf *message, const struct protobuf_field *field);

#endif
