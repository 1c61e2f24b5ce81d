/* Guards libhdf5 against images that no index vouches for. libhdf5 1.10 trusts what it reads: a crafted file with
 * correct checksums crashes it. This code first walks the whole structure and accepts only what shard_hdf5.c itself
 * writes: a superblock of version 3; object headers of version 2; compact hard links with the names of our columns;
 * one-dimensional datasets of six types, each in one chunk inside the file. Source: HDF5 File Format Specification
 * 3.0. */
#include "data/shard_layout.h"

#include <string.h>

enum {
    MESSAGE_NIL = 0x00,
    MESSAGE_DATASPACE = 0x01,
    MESSAGE_LINK_INFO = 0x02,
    MESSAGE_DATATYPE = 0x03,
    MESSAGE_FILL_VALUE = 0x05,
    MESSAGE_LINK = 0x06,
    MESSAGE_LAYOUT = 0x08,
    MESSAGE_GROUP_INFO = 0x0A,
    MESSAGE_CONTINUATION = 0x10,
    SUPERBLOCK_BYTES = 48,
    CHECKSUM_BYTES = 4,
    CHUNKS_LIMIT = 64, /* of one object header */
};

struct gate {
    const char *name;
    const uint8_t *bytes;
    int64_t size;
};

/* A message's payload. */
struct span {
    const uint8_t *bytes;
    int64_t size;
};

/* What the messages of a dataset's header say. */
struct dataset_facts {
    int dataspaces, types, layouts;
    uint64_t extent, chunk, type_size, element_size, address;
};

enum object { OBJECT_ROOT, OBJECT_GROUP, OBJECT_DATASET };

static enum status walk_object(const struct gate *gate, enum object object, uint64_t address);

static enum status refuse(const struct gate *gate, const char *what)
{
    return status_set(STATUS_CORRUPT, "%s: damaged shard, or HDF5 that this toolkit did not write: %s", gate->name,
                      what);
}

static uint64_t number(const uint8_t *bytes, int width)
{
    uint64_t value = 0;
    for (int i = width; i-- > 0;)
        value = value << 8 | bytes[i];
    return value;
}

static bool inside(const struct gate *gate, uint64_t address, uint64_t bytes)
{
    return address <= (uint64_t)gate->size && bytes <= (uint64_t)gate->size - address;
}

/* ---- messages ---- */

static enum status check_superblock(const struct gate *gate, uint64_t *root)
{
    static const uint8_t start[] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n', 3, 8, 8, 0};
    const uint8_t *bytes = gate->bytes;
    if (gate->size < SUPERBLOCK_BYTES || memcmp(bytes, start, sizeof start) != 0 || number(bytes + 12, 8) != 0 ||
        number(bytes + 20, 8) != UINT64_MAX || number(bytes + 28, 8) != (uint64_t)gate->size)
        return refuse(gate, "the superblock");
    *root = number(bytes + 36, 8);
    return STATUS_OK;
}

static bool check_link_info(struct span message)
{
    /* No creation order, no heap, no tree. */
    static const uint8_t only[18] = {0,    0,    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    return message.size == sizeof only && memcmp(message.bytes, only, sizeof only) == 0;
}

static bool check_group_info(struct span message)
{
    if (message.size < 2 || message.bytes[0] != 0 || message.bytes[1] > 3)
        return false;
    return message.size == 2 + (message.bytes[1] & 1 ? 4 : 0) + (message.bytes[1] & 2 ? 4 : 0);
}

static bool check_dataspace(struct span message, struct dataset_facts *facts)
{
    /* Version 2, one dimension, a maximum that is the extent, simple. */
    static const uint8_t start[] = {2, 1, 1, 1};
    facts->dataspaces++;
    if (message.size != 20 || memcmp(message.bytes, start, sizeof start) != 0)
        return false;
    facts->extent = number(message.bytes + 4, 8);
    return facts->extent > 0 && number(message.bytes + 12, 8) == facts->extent;
}

/* As libhdf5 encodes the six types of stored_type(): class and version, bit field, size, properties. */
static bool check_type(struct span message, struct dataset_facts *facts)
{
    static const struct {
        uint8_t size, bytes[20];
    } known[] = {
        {12, {0x10, 0x00, 0, 0, 1, 0, 0, 0, 0, 0, 8, 0}},
        {12, {0x10, 0x00, 0, 0, 2, 0, 0, 0, 0, 0, 16, 0}},
        {12, {0x10, 0x00, 0, 0, 4, 0, 0, 0, 0, 0, 32, 0}},
        {12, {0x10, 0x08, 0, 0, 4, 0, 0, 0, 0, 0, 32, 0}},
        {12, {0x10, 0x08, 0, 0, 8, 0, 0, 0, 0, 0, 64, 0}},
        {20, {0x11, 0x20, 31, 0, 4, 0, 0, 0, 0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0}},
    };
    facts->types++;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (message.size == known[i].size && memcmp(message.bytes, known[i].bytes, known[i].size) == 0) {
            facts->type_size = known[i].bytes[4];
            return true;
        }
    return false;
}

static bool check_fill_value(struct span message)
{
    /* Version 3 without a value. */
    return message.size == 2 && message.bytes[0] == 3 && (message.bytes[1] & 0xf0) == 0;
}

/* Version 4, chunked, no flags; two dimensions (the extent and the element), then a single chunk and its address. */
static bool check_layout(struct span message, struct dataset_facts *facts)
{
    static const uint8_t start[] = {4, 2, 0, 2};
    facts->layouts++;
    if (message.size < 5 || memcmp(message.bytes, start, sizeof start) != 0)
        return false;
    int width = message.bytes[4];
    if (width < 1 || width > 8 || message.size != 5 + 2 * width + 1 + 8)
        return false;
    const uint8_t *dimensions = message.bytes + 5, *rest = dimensions + (ptrdiff_t)2 * width;
    facts->chunk = number(dimensions, width);
    facts->element_size = number(dimensions + width, width);
    facts->address = number(rest + 1, 8);
    return rest[0] == 1;
}

static enum status check_dataset_facts(const struct gate *gate, const struct dataset_facts *facts)
{
    uint64_t bytes = 0;
    if (facts->dataspaces != 1 || facts->types != 1 || facts->layouts != 1)
        return refuse(gate, "a dataset without exactly one extent, type and layout");
    if (facts->chunk != facts->extent || facts->element_size != facts->type_size)
        return refuse(gate, "a dataset that is not one chunk");
    if (__builtin_mul_overflow(facts->extent, facts->type_size, &bytes) || !inside(gate, facts->address, bytes))
        return refuse(gate, "a dataset that claims more than the file has");
    return STATUS_OK;
}

/* ---- links ---- */

/* Whether the root or a group may contain `name`, and as what. */
static bool known_name(enum object holder, const char *name, enum object *object)
{
    bool known = false;
    for (int column = 0; column < COLUMN_COUNT; column++) {
        const struct shard_column_layout *layout = shard_layout + column;
        if (holder == OBJECT_ROOT && layout->group && strcmp(layout->group, name) == 0) {
            *object = OBJECT_GROUP;
            known = true;
        } else if ((holder == OBJECT_GROUP) == (layout->group != NULL) && strcmp(layout->name, name) == 0) {
            *object = OBJECT_DATASET;
            known = true;
        }
    }
    return known;
}

static enum status follow_link(const struct gate *gate, enum object holder, struct span message)
{
    char name[32];
    enum object object = OBJECT_DATASET;
    /* Version 1; the flags give only the width of the name's length: a hard link in ASCII. */
    if (message.size < 3 || message.bytes[0] != 1 || message.bytes[1] != 0)
        return refuse(gate, "a link that is not hard");
    int64_t length = message.bytes[2];
    if (length < 1 || length >= (int64_t)sizeof name || message.size != 3 + length + 8)
        return refuse(gate, "a link's name");
    memcpy(name, message.bytes + 3, (size_t)length);
    name[length] = 0;
    if (!known_name(holder, name, &object))
        return refuse(gate, "a link with an unknown name");
    return walk_object(gate, object, number(message.bytes + 3 + length, 8));
}

/* ---- object headers ---- */

struct header {
    const struct gate *gate;
    enum object object;
    struct dataset_facts facts;
    struct span chunks[CHUNKS_LIMIT]; /* of messages, without signature and checksum */
    int chunk_count;
};

static enum status add_chunk(struct header *header, struct span message)
{
    const struct gate *gate = header->gate;
    if (message.size != 16 || header->chunk_count == CHUNKS_LIMIT)
        return refuse(gate, "a continuation of an object header");
    uint64_t address = number(message.bytes, 8), length = number(message.bytes + 8, 8);
    if (!inside(gate, address, length) || length < 4 + CHECKSUM_BYTES || memcmp(gate->bytes + address, "OCHK", 4) != 0)
        return refuse(gate, "a continuation of an object header");
    header->chunks[header->chunk_count++] =
        (struct span){gate->bytes + address + 4, (int64_t)length - 4 - CHECKSUM_BYTES};
    return STATUS_OK;
}

static enum status check_message(struct header *header, int type, struct span message)
{
    bool group = header->object != OBJECT_DATASET, good = false;
    if (type == MESSAGE_NIL)
        return STATUS_OK;
    if (type == MESSAGE_CONTINUATION)
        return add_chunk(header, message);
    if (group && type == MESSAGE_LINK)
        return follow_link(header->gate, header->object, message);
    if (group)
        good = (type == MESSAGE_LINK_INFO && check_link_info(message)) ||
               (type == MESSAGE_GROUP_INFO && check_group_info(message));
    else
        good = (type == MESSAGE_DATASPACE && check_dataspace(message, &header->facts)) ||
               (type == MESSAGE_DATATYPE && check_type(message, &header->facts)) ||
               (type == MESSAGE_FILL_VALUE && check_fill_value(message)) ||
               (type == MESSAGE_LAYOUT && check_layout(message, &header->facts));
    return good ? STATUS_OK : refuse(header->gate, "a message of an object header");
}

static enum status check_chunk(struct header *header, struct span chunk)
{
    enum { MESSAGE_HEADER = 4 };
    int64_t position = 0;
    while (chunk.size - position >= MESSAGE_HEADER) {
        const uint8_t *message = chunk.bytes + position;
        int64_t size = (int64_t)number(message + 1, 2);
        position += MESSAGE_HEADER;
        /* The only flag allowed says that the message is constant; a shared one would lie elsewhere. */
        if (size > chunk.size - position || message[3] > 1)
            return refuse(header->gate, "a message of an object header");
        enum status result = check_message(header, message[0], (struct span){message + MESSAGE_HEADER, size});
        if (result != STATUS_OK)
            return result;
        position += size;
    }
    return STATUS_OK;
}

/* Groups lie in the root and datasets in both, so this recurses at most three levels deep. */
static enum status walk_object(const struct gate *gate, enum object object, uint64_t address)
{
    struct header header = {.gate = gate, .object = object};
    /* "OHDR", version 2; the flags give only the width of the size. */
    if (!inside(gate, address, 6 + 8) || memcmp(gate->bytes + address, "OHDR\2", 5) != 0 ||
        gate->bytes[address + 5] > 3)
        return refuse(gate, "an object header");
    int width = 1 << gate->bytes[address + 5];
    uint64_t begin = address + 6 + (uint64_t)width, size = number(gate->bytes + address + 6, width);
    if (size > (uint64_t)gate->size || !inside(gate, begin, size + CHECKSUM_BYTES))
        return refuse(gate, "an object header");
    header.chunks[header.chunk_count++] = (struct span){gate->bytes + begin, (int64_t)size};
    for (int i = 0; i < header.chunk_count; i++) {
        enum status result = check_chunk(&header, header.chunks[i]);
        if (result != STATUS_OK)
            return result;
    }
    return object == OBJECT_DATASET ? check_dataset_facts(gate, &header.facts) : STATUS_OK;
}

enum status shard_image_check(const char *name, const void *image, int64_t size)
{
    struct gate gate = {name, image, size};
    uint64_t root = 0;
    enum status result = check_superblock(&gate, &root);
    return result == STATUS_OK ? walk_object(&gate, OBJECT_ROOT, root) : result;
}
