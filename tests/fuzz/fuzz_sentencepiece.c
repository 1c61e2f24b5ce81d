/* SentencePiece models: protocol buffers in protocol buffers. The mutator changes one field at a random depth and
 * corrects the lengths around it. A model that is accepted must encode and decode. */
#include "fuzz/fuzz.h"

#include "text/sentencepiece.h"

#include <stdlib.h>
#include <string.h>

static void use(const struct sentencepiece *model, const char *text, int64_t size)
{
    int32_t *ids = NULL;
    int64_t count = 0, decoded_size = 0;
    char *decoded = NULL;
    fuzz_require(sentencepiece_encode(model, text, size, true, &ids, &count) == STATUS_OK, "any text is encoded");
    for (int64_t i = 0; i < count; i++)
        fuzz_require(ids[i] >= 0 && ids[i] < sentencepiece_size(model), "ids are pieces");
    fuzz_require(sentencepiece_decode(model, ids, count, true, &decoded, &decoded_size) == STATUS_OK,
                 "what was encoded is decoded");
    fuzz_touch(decoded, decoded_size + 1);
    free(decoded);
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sentencepiece *model = NULL;
    enum status status = sentencepiece_load_memory("fuzz.model", data, (int64_t)size, &model);
    if (status != STATUS_OK) {
        fuzz_require(model == NULL, "a refused model is not given out");
        fuzz_require_refusal(status, "fuzz.model");
        return 0;
    }
    int32_t pieces = sentencepiece_size(model);
    fuzz_require(pieces > 0 && sentencepiece_unk(model) >= 0 && sentencepiece_unk(model) < pieces, "there is an unk");
    fuzz_require(sentencepiece_bos(model) < pieces && sentencepiece_eos(model) < pieces, "bos and eos are pieces");
    for (int32_t id = 0; id < pieces; id++) {
        int64_t length;
        const char *piece = sentencepiece_piece(model, id, &length);
        fuzz_require(length > 0 && strlen(piece) == (size_t)length, "a piece is a text");
        fuzz_require(sentencepiece_find(model, piece) == id, "a piece is found");
        if (id < 64)
            use(model, piece, length);
    }
    use(model, "the \xc3\xa9t\xc3\xa9, \xff\xe2\x96\x81 a  banana", 24);
    use(model, (const char *)data, size < 512 ? (int64_t)size : 512);
    struct sha256 fingerprint = sentencepiece_fingerprint(model);
    fuzz_touch(fingerprint.bytes, sizeof fingerprint.bytes);
    sentencepiece_free(model);
    return 0;
}

/* ---- the mutator ---- */

enum { FIELDS = 512, DEPTH = 2, WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct field {
    size_t at, size;              /* with its key */
    size_t payload, payload_size; /* of bytes */
    unsigned wire;
};

static bool take_varint(const uint8_t *data, size_t size, size_t *at, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && *at < size; shift += 7) {
        uint8_t byte = data[(*at)++];
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

/* As many fields from the beginning as can be parsed. */
static int list_fields(const uint8_t *data, size_t size, struct field fields[FIELDS])
{
    int count = 0;
    for (size_t at = 0; at < size && count < FIELDS;) {
        struct field *field = fields + count;
        uint64_t key, value;
        *field = (struct field){.at = at};
        if (!take_varint(data, size, &at, &key))
            break;
        field->wire = key & 7;
        if (field->wire == WIRE_BYTES) {
            if (!take_varint(data, size, &at, &value) || value > size - at)
                break;
            field->payload = at;
            field->payload_size = (size_t)value;
            at += (size_t)value;
        } else if (field->wire == WIRE_VARINT) {
            if (!take_varint(data, size, &at, &value))
                break;
        } else {
            size_t width = field->wire == WIRE_FIXED64 ? 8 : 4;
            if ((field->wire != WIRE_FIXED64 && field->wire != WIRE_FIXED32) || width > size - at)
                break;
            at += width;
        }
        field->size = at - field->at;
        count++;
    }
    return count;
}

static size_t put_key_and_length(const uint8_t *key, size_t key_size, size_t length, uint8_t out[24])
{
    size_t size = 0;
    uint64_t ignored;
    if (!take_varint(key, key_size, &size, &ignored) || size > 10)
        return 0;
    memcpy(out, key, size);
    do
        out[size++] = (uint8_t)((length & 0x7f) | (length > 0x7f ? 0x80 : 0));
    while ((length >>= 7) > 0);
    return size;
}

static size_t mutate_message(uint8_t *data, size_t size, size_t limit, struct rng *rng, int depth);

/* Mutates the contents of a field and corrects its length. */
static size_t mutate_payload(uint8_t *data, size_t size, size_t limit, const struct field *field, struct rng *rng,
                             int depth)
{
    size_t room = field->payload_size + 64;
    uint8_t *payload = malloc(room + 32), *whole;
    if (!payload)
        return size;
    memcpy(payload, data + field->payload, field->payload_size);
    size_t length = mutate_message(payload, field->payload_size, room, rng, depth + 1);
    uint8_t start[24];
    size_t start_size = put_key_and_length(data + field->at, field->size, length, start);
    whole = malloc(start_size + length + 1);
    if (whole && start_size > 0) {
        memcpy(whole, start, start_size);
        memcpy(whole + start_size, payload, length);
        size = fuzz_splice(data, size, limit, field->at, field->size, whole, start_size + length);
    }
    free(whole);
    free(payload);
    return size;
}

static size_t mutate_message(uint8_t *data, size_t size, size_t limit, struct rng *rng, int depth)
{
    static struct field lists[DEPTH + 1][FIELDS];
    struct field *fields = lists[depth];
    int count = depth <= DEPTH ? list_fields(data, size, fields) : 0;
    if (count == 0 || rng_below(rng, 4) == 0)
        return LLVMFuzzerMutate(data, size, limit);
    const struct field *field = fields + rng_below(rng, (uint64_t)count);
    if (field->wire == WIRE_BYTES && depth < DEPTH && rng_below(rng, 3))
        return mutate_payload(data, size, limit, field, rng, depth);
    const struct field *other = fields + rng_below(rng, (uint64_t)count);
    if (rng_below(rng, 3) == 0) /* removed */
        return fuzz_splice(data, size, limit, field->at, field->size, NULL, 0);
    uint8_t *copy = malloc(other->size);
    if (!copy)
        return size;
    memcpy(copy, data + other->at, other->size);
    size = fuzz_splice(data, size, limit, field->at, rng_below(rng, 2) ? field->size : 0, copy, other->size);
    free(copy);
    return size;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t limit, unsigned seed)
{
    struct rng rng = rng_make(seed, RNG_TEST, 2, 0);
    return mutate_message(data, size, limit, &rng, 0);
}
