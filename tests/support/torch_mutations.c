/* Mutations of PyTorch's files by their structure: of the operations of a pickle, of the pieces of a zip file. */
#include "support/torch_builder.h"

#include <stdlib.h>
#include <string.h>

enum { OPERATIONS = 4096 };

/* ---- without structure ---- */

static size_t splice(uint8_t *data, size_t size, size_t limit, size_t at, size_t old, const void *bytes, size_t count)
{
    if (size - old + count > limit)
        return size;
    memmove(data + at + count, data + at + old, size - at - old);
    if (count > 0)
        memcpy(data + at, bytes, count);
    return size - old + count;
}

size_t mutate_plainly(uint8_t *data, size_t size, size_t limit, struct rng *rng)
{
    static const uint8_t telling[] = {0, 1, 2, 4, 8, 0x7f, 0x80, 0xfe, 0xff, '(', '.', 'R', 't', 'P'};
    for (uint64_t left = 1 + rng_below(rng, 4); left > 0 && size > 1; left--) {
        size_t at = (size_t)rng_below(rng, size), length = (size_t)rng_below(rng, 16) + 1;
        length = length < size - at ? length : size - at;
        uint8_t copy[16];
        memcpy(copy, data + rng_below(rng, size - length + 1), length);
        switch (rng_below(rng, 6)) {
        case 0:
            data[at] = (uint8_t)(data[at] ^ (1u << rng_below(rng, 8)));
            break;
        case 1:
            data[at] = telling[rng_below(rng, sizeof telling)];
            break;
        case 2:
            size = splice(data, size, limit, at, length, NULL, 0);
            break;
        case 3:
            size = splice(data, size, limit, at, 0, copy, length);
            break;
        case 4:
            memcpy(data + at, copy, length);
            break;
        default:
            memset(data + at, telling[rng_below(rng, sizeof telling)], length);
        }
    }
    return size;
}

/* ---- pickles ---- */

static size_t line_end(const uint8_t *data, size_t size, size_t at)
{
    const uint8_t *end = at < size ? memchr(data + at, '\n', size - at) : NULL;
    return end ? (size_t)(end - data) + 1 : size;
}

/* The end of the operation at `at`. */
static size_t operation_end(const uint8_t *data, size_t size, size_t at)
{
    int fixed = 0, counted = 0;
    switch (data[at++]) {
    case 'K':
    case 'q':
    case 'h':
    case 0x80:
        fixed = 1;
        break;
    case 'M':
        fixed = 2;
        break;
    case 'J':
    case 'r':
    case 'j':
        fixed = 4;
        break;
    case 'G':
    case 0x95:
        fixed = 8;
        break;
    case 'X':
    case 'T':
    case 'B':
    case 0x8b:
        counted = 4;
        break;
    case 'U':
    case 'C':
    case 0x8a:
    case 0x8c:
        counted = 1;
        break;
    case 0x8d:
    case 0x8e:
    case 0x96:
        counted = 8;
        break;
    case 'c':
        return line_end(data, size, line_end(data, size, at));
    case 'I':
    case 'L':
    case 'F':
    case 'S':
    case 'V':
    case 'g':
    case 'p':
        return line_end(data, size, at);
    }
    uint64_t count = 0;
    for (int i = 0; i < counted && at + (size_t)i < size; i++)
        count |= (uint64_t)data[at + (size_t)i] << (8 * i);
    size_t left = size - at, wanted = (size_t)fixed + (size_t)counted;
    return count > left || wanted > left - count ? size : at + wanted + count;
}

static size_t put_text_like(const char *text, uint8_t *out)
{
    size_t length = strlen(text);
    out[0] = 'X';
    out[1] = (uint8_t)length;
    memset(out + 2, 0, 3);
    memcpy(out + 5, text, length);
    return 5 + length;
}

static bool is_number(uint8_t operation)
{
    return operation == 'K' || operation == 'M' || operation == 'J' || operation == 0x8a;
}

static size_t put_integer(uint64_t number, uint8_t *out)
{
    out[0] = 0x8a;
    out[1] = 8;
    for (int i = 0; i < 8; i++)
        out[2 + i] = (uint8_t)(number >> (8 * i));
    return 10;
}

/* An integer at which something might overflow or begin to lie outside. */
static size_t invent_integer(struct rng *rng, uint8_t *out)
{
    uint64_t power = rng_below(rng, 3) ? (uint64_t)1 << rng_below(rng, 64) : rng_below(rng, 8);
    return put_integer(power + rng_below(rng, 3) - 1, out);
}

/* The same integer and one more or less. */
static size_t nudge_integer(const uint8_t *operation, size_t size, struct rng *rng, uint8_t *out)
{
    size_t begin = operation[0] == 0x8a ? 2 : 1;
    uint64_t number = 0;
    for (size_t i = begin; i < size && i < begin + 8; i++)
        number |= (uint64_t)operation[i] << (8 * (i - begin));
    return put_integer(rng_below(rng, 2) ? number + 1 : number - 1, out);
}

/* An operation that can mean something where another one was. */
static size_t invent(struct rng *rng, uint8_t out[64])
{
    static const char *const classes[] = {"ctorch._utils\n_rebuild_tensor_v2\n",
                                          "ctorch._utils\n_rebuild_tensor_v3\n",
                                          "ctorch._utils\n_rebuild_parameter\n",
                                          "ctorch\nFloatStorage\n",
                                          "ctorch\nDoubleStorage\n",
                                          "ctorch\nUntypedStorage\n",
                                          "ctorch\nComplexFloatStorage\n",
                                          "ctorch\nfloat64\n",
                                          "ccollections\nOrderedDict\n",
                                          "cargparse\nNamespace\n",
                                          "ctorch\nSize\n",
                                          "ctorch\ndevice\n",
                                          "cnumpy.core.multiarray\nscalar\n",
                                          "cnumpy.core.multiarray\n_reconstruct\n",
                                          "cnumpy\ndtype\n",
                                          "c_codecs\nencode\n",
                                          "ccopyreg\n_reconstructor\n",
                                          "cos\nsystem\n",
                                          "ctorch._tensor\n_rebuild_from_type_v2\n"};
    static const char *const texts[] = {"storage", "0", "1", "cpu", "latin1", "f8",
                                        "i2",      "<", ">", "",    "a.b",    "module"};
    static const char singles[] = "N()]}t012aeusdlbRQ.\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x93\x94";
    switch (rng_below(rng, 6)) {
    case 0: {
        const char *class = classes[rng_below(rng, sizeof classes / sizeof *classes)];
        memcpy(out, class, strlen(class));
        return strlen(class);
    }
    case 1:
        return put_text_like(texts[rng_below(rng, sizeof texts / sizeof *texts)], out);
    case 2:
        out[0] = 'h';
        out[1] = (uint8_t)rng_below(rng, rng_below(rng, 2) ? 16 : 256);
        return 2;
    case 3:
        return invent_integer(rng, out);
    default:
        out[0] = (uint8_t)singles[rng_below(rng, sizeof singles - 1)];
        return 1;
    }
}

/* The places of a pickle's operations, and after them its end; and the numbers of those that push integers. */
struct operations {
    size_t starts[OPERATIONS + 1];
    int numbers[OPERATIONS];
    int count, number_count;
};

static void find_operations(const uint8_t *data, size_t size, struct operations *operations)
{
    size_t at = 0;
    operations->count = operations->number_count = 0;
    while (at < size && operations->count < OPERATIONS) {
        if (is_number(data[at]))
            operations->numbers[operations->number_count++] = operations->count;
        operations->starts[operations->count++] = at;
        at = operation_end(data, size, at);
    }
    operations->starts[operations->count] = at;
}

/* Changes an integer: to another one of the pickle, by one, or to an edge. */
static size_t mutate_number(uint8_t *data, size_t size, size_t limit, struct rng *rng,
                            const struct operations *operations)
{
    const size_t *starts = operations->starts;
    int one = operations->numbers[rng_below(rng, (uint64_t)operations->number_count)];
    int other = operations->numbers[rng_below(rng, (uint64_t)operations->number_count)];
    size_t at = starts[one], length = starts[one + 1] - at, count = starts[other + 1] - starts[other];
    uint8_t bytes[512];
    uint64_t way = rng_below(rng, 3);
    if (way == 0 && count <= sizeof bytes)
        memcpy(bytes, data + starts[other], count);
    else
        count = way == 1 ? nudge_integer(data + at, length, rng, bytes) : invent_integer(rng, bytes);
    return splice(data, size, limit, at, length, bytes, count);
}

/* Removes an operation, changes its operand, or puts another or a new one in its place or before it. */
static size_t mutate_operation(uint8_t *data, size_t size, size_t limit, struct rng *rng,
                               const struct operations *operations)
{
    const size_t *starts = operations->starts;
    size_t one = (size_t)rng_below(rng, (uint64_t)operations->count);
    size_t other = (size_t)rng_below(rng, (uint64_t)operations->count);
    size_t at = starts[one], length = starts[one + 1] - at, count = starts[other + 1] - starts[other];
    uint8_t bytes[512];
    switch (rng_below(rng, 6)) {
    case 0:
        return splice(data, size, limit, at, length, NULL, 0);
    case 1:
        if (length > 1)
            data[at + 1 + rng_below(rng, length - 1)] ^= (uint8_t)(1u << rng_below(rng, 8));
        return size;
    case 2:
    case 3:
        if (count > sizeof bytes)
            return size;
        memcpy(bytes, data + starts[other], count);
        break;
    default:
        count = invent(rng, bytes);
    }
    return splice(data, size, limit, at, rng_below(rng, 2) ? length : 0, bytes, count);
}

/* Changes an operation or a few of the pickle at the beginning of `data`; what follows it moves. */
static size_t mutate_pickle(uint8_t *data, size_t size, size_t limit, struct rng *rng, mutate_bytes *plain)
{
    static struct operations operations;
    for (uint64_t left = rng_below(rng, 3) ? 1 : 1 + rng_below(rng, 4); left > 0; left--) {
        find_operations(data, size, &operations);
        if (operations.count == 0)
            return plain(data, size, limit, rng);
        size = operations.number_count > 0 && rng_below(rng, 3) == 0
                   ? mutate_number(data, size, limit, rng, &operations)
                   : mutate_operation(data, size, limit, rng, &operations);
    }
    return size;
}

/* ---- zip files ---- */

static void mutate_piece(struct zip_piece *piece, struct rng *rng)
{
    switch (rng_below(rng, 9)) {
    case 0:
        piece->form = (enum zip_form)rng_below(rng, ZIP_FORMS);
        break;
    case 1:
        piece->zip64 = true;
        break;
    case 2:
        piece->size = (size_t)rng_below(rng, piece->size + 1);
        break;
    case 3:
        piece->method = 8;
        break;
    case 4:
        piece->flags = (uint16_t)(1u << rng_below(rng, 16));
        break;
    case 5:
        piece->local_flags = (uint16_t)(1u << rng_below(rng, 16));
        break;
    case 6:
        piece->size_change = (uint32_t)rng_u32(rng) >> rng_below(rng, 32);
        break;
    case 7:
        piece->header_change = (uint32_t)rng_u32(rng) >> rng_below(rng, 32);
        break;
    default:
        piece->crc_change = 1;
    }
}

static int mutate_pieces(struct zip_piece *pieces, int count, struct rng *rng)
{
    int one = (int)rng_below(rng, (uint64_t)count), other = (int)rng_below(rng, (uint64_t)count);
    switch (rng_below(rng, 6)) {
    case 0: /* removed */
        pieces[one] = pieces[count - 1];
        return count - 1;
    case 1: /* doubled, perhaps under another name */
        if (count < ZIP_PIECES) {
            pieces[count] = pieces[one];
            memcpy(pieces[count].name, pieces[other].name, ZIP_NAME);
            return count + 1;
        }
        return count;
    case 2:
        memcpy(pieces[one].local_name, pieces[other].name, ZIP_NAME);
        return count;
    default:
        mutate_piece(&pieces[one], rng);
        return count;
    }
}

static size_t mutate_zip(uint8_t *data, size_t size, size_t limit, struct rng *rng, mutate_bytes *plain)
{
    struct zip_piece pieces[ZIP_PIECES];
    struct bytes file = {0};
    int count = zip_take_apart(data, size, pieces);
    if (count == 0 || rng_below(rng, 8) == 0)
        return plain(data, size, limit, rng);
    struct zip_piece *piece = &pieces[rng_below(rng, 3) ? 0 : rng_below(rng, (uint64_t)count)];
    size_t room = piece->size + 1024;
    uint8_t *copy = calloc(1, room);
    if (!copy)
        return size;
    memcpy(copy, piece->data, piece->size);
    bool pickle = piece->size > 0 && copy[0] == 0x80;
    if (rng_below(rng, 4) == 0)
        count = mutate_pieces(pieces, count, rng);
    else {
        piece->data = copy;
        piece->size = pickle && rng_below(rng, 8) ? mutate_pickle(copy, piece->size, room, rng, plain)
                                                  : plain(copy, piece->size, room, rng);
    }
    zip_build(&file, pieces, count, rng_below(rng, 2));
    if (file.size > 0 && file.size <= limit) {
        memcpy(data, file.data, file.size);
        size = file.size;
    }
    bytes_free(&file);
    free(copy);
    if (rng_below(rng, 8) == 0 && size > 120) /* in the directory, which stands at the end */
        data[size - 1 - rng_below(rng, 120)] ^= (uint8_t)(1u << rng_below(rng, 8));
    return size;
}

size_t torch_mutate(uint8_t *data, size_t size, size_t limit, struct rng *rng, mutate_bytes *plain)
{
    if (size >= 4 && data[0] == 'P' && data[1] == 'K')
        return mutate_zip(data, size, limit, rng, plain);
    if (size > 15 && data[0] == 0x80 && rng_below(rng, 4)) /* behind the magic number */
        return 15 + mutate_pickle(data + 15, size - 15, limit - 15, rng, plain);
    return plain(data, size, limit, rng);
}
