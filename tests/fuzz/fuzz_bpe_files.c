/* vocab.json and merges.txt: an input is the one, a NUL, and the other. A pair that is accepted has a piece per member and a merge per
 * line, encodes and decodes, and is the same model however its lines end. */
#include "fuzz/fuzz.h"

#include "io/json_scan.h"
#include "text/byte_bpe.h"

#include <stdlib.h>
#include <string.h>

static const char *const control[] = {"<s>", "</s>", NULL};

/* Memory of exactly so many bytes, so that the sanitizer notices what is read beyond. */
static struct byte_bpe_text exact(const void *data, size_t size)
{
    char *copy = malloc(size ? size : 1);
    fuzz_require(copy != NULL, "there is memory");
    if (size)
        memcpy(copy, data, size);
    return (struct byte_bpe_text){copy, (int64_t)size};
}

static void drop(struct byte_bpe_text text)
{
    free((char *)(uintptr_t)text.bytes);
}

static enum status load(struct byte_bpe_text vocabulary, struct byte_bpe_text merges, struct byte_bpe **model)
{
    const struct byte_bpe_files files = {.vocabulary_name = "vocab.json",
                                         .merges_name = "merges.txt",
                                         .vocabulary = vocabulary,
                                         .merges = merges,
                                         .control = control};
    return byte_bpe_load_files(&files, model);
}

/* Members of an object that was accepted. */
static int64_t count_members(struct byte_bpe_text text)
{
    struct scan_buffer buffer = {0};
    struct scan scan = scan_start("again", text.bytes, text.size, &buffer);
    struct scan_text key;
    int64_t count = 0;
    bool found = true;
    fuzz_require(scan_object(&scan, "an object") == STATUS_OK, "what was accepted is an object");
    while (scan_member(&scan, &key, &found) == STATUS_OK && found && scan_skip(&scan) == STATUS_OK)
        count++;
    free(buffer.bytes);
    return count;
}

static void use(const struct byte_bpe *model, const char *text, int64_t size)
{
    int32_t *ids = NULL;
    int64_t count = 0, dropped = 0, decoded_size = 0;
    char *decoded = NULL;
    fuzz_require(byte_bpe_encode(model, text, size, &ids, &count, &dropped) == STATUS_OK, "any text is encoded");
    for (int64_t i = 0; i < count; i++) {
        fuzz_require(ids[i] >= 0 && ids[i] < byte_bpe_size(model), "ids are pieces");
        fuzz_require(byte_bpe_type(model, ids[i]) == BYTE_BPE_NORMAL, "only normal pieces are found in a text");
    }
    fuzz_require(byte_bpe_decode(model, ids, count, &decoded, &decoded_size) == STATUS_OK,
                 "what was encoded is decoded");
    fuzz_require(decoded_size + dropped == size, "no byte is lost but those without a piece");
    if (dropped == 0 && size > 0)
        fuzz_require(memcmp(decoded, text, (size_t)size) == 0, "a text comes back");
    free(decoded);
    free(ids);
}

static void check_pieces(const struct byte_bpe *model, struct byte_bpe_text vocabulary)
{
    int64_t used = 0, length;
    for (int32_t id = 0; id < byte_bpe_size(model); id++)
        used += byte_bpe_type(model, id) != BYTE_BPE_UNUSED;
    fuzz_require(used == count_members(vocabulary), "every member is a piece");
    for (int i = 0; control[i]; i++) {
        int32_t id = byte_bpe_find(model, control[i], (int64_t)strlen(control[i]));
        fuzz_require(id < 0 || byte_bpe_type(model, id) == BYTE_BPE_CONTROL, "what is named stands for no text");
    }
    for (int32_t id = 0; id < byte_bpe_size(model) && id < 300; id++) {
        const char *piece = byte_bpe_piece(model, id, &length);
        fuzz_touch(piece, length);
        if (byte_bpe_type(model, id) == BYTE_BPE_NORMAL)
            use(model, piece, length);
    }
}

/* With CR before each line end, and empty lines behind the last one. */
static void check_lines(const struct byte_bpe *model, struct byte_bpe_text vocabulary, struct byte_bpe_text merges)
{
    char *changed = malloc(2 * (size_t)merges.size + 8);
    struct byte_bpe *again = NULL;
    size_t size = 0;
    fuzz_require(changed != NULL, "there is memory");
    for (int64_t i = 0; i < merges.size; i++) {
        if (merges.bytes[i] == '\n' && (i == 0 || merges.bytes[i - 1] != '\r'))
            changed[size++] = '\r';
        changed[size++] = merges.bytes[i];
    }
    memcpy(changed + size, "\n\r\n\n", 4);
    struct byte_bpe_text other = exact(changed, size + 4);
    fuzz_require(load(vocabulary, other, &again) == STATUS_OK, "line ends make no difference");
    struct sha256 a = byte_bpe_fingerprint(model), b = byte_bpe_fingerprint(again);
    fuzz_require(memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0, "it is the same model");
    byte_bpe_free(again);
    drop(other);
    free(changed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *middle = size ? memchr(data, '\0', size) : NULL;
    size_t first = middle ? (size_t)(middle - data) : size;
    struct byte_bpe_text vocabulary = exact(data, first);
    struct byte_bpe_text merges = exact(middle ? middle + 1 : data, middle ? size - first - 1 : 0);
    struct byte_bpe *model = NULL;
    enum status status = load(vocabulary, merges, &model);
    if (status != STATUS_OK) {
        fuzz_require(model == NULL, "a refused model is not given out");
        fuzz_require_refusal(status, strncmp(status_text(), "merges", 6) == 0 ? "merges.txt" : "vocab.json");
    } else {
        check_pieces(model, vocabulary);
        use(model, "the \xc3\xa9t\xc3\xa9's 12 \xff\xc5\xbf\n\n  banana <s>", 29);
        check_lines(model, vocabulary, merges);
    }
    byte_bpe_free(model);
    drop(vocabulary);
    drop(merges);
    return 0;
}

/* A line of the second half taken out, doubled or put elsewhere. */
static size_t mutate_lines(uint8_t *data, size_t size, size_t limit, size_t begin, struct rng *rng)
{
    size_t at = begin + (size_t)rng_below(rng, size - begin + 1), end = at, to, length;
    uint8_t line[64];
    while (at > begin && data[at - 1] != '\n')
        at--;
    while (end < size && data[end] != '\n')
        end++;
    end += end < size;
    length = end - at < sizeof line ? end - at : sizeof line;
    memcpy(line, data + at, length);
    switch (rng_below(rng, 4)) {
    case 0:
        return fuzz_splice(data, size, limit, at, length, NULL, 0);
    case 1:
        return fuzz_splice(data, size, limit, at, 0, line, length);
    case 2:
        return fuzz_splice(data, size, limit, end, 0, "\n", 1);
    default:
        to = begin + (size_t)rng_below(rng, size - begin + 1);
        return fuzz_splice(data, size, limit, to, 0, line, length);
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t limit, unsigned seed)
{
    struct rng rng = rng_make(seed, RNG_TEST, 12, 0);
    const uint8_t *middle = size ? memchr(data, '\0', size) : NULL;
    if (!middle || rng_below(&rng, 4) == 0)
        return LLVMFuzzerMutate(data, size, limit);
    size_t first = (size_t)(middle - data), rest = size - first;
    if (rng_below(&rng, 2) == 0)
        return mutate_lines(data, size, limit, first + 1, &rng);
    uint8_t *behind = malloc(rest);
    fuzz_require(behind != NULL, "there is memory");
    memcpy(behind, middle, rest);
    first = fuzz_mutate_json(data, first, limit - rest, &rng);
    memcpy(data + first, behind, rest);
    free(behind);
    return first + rest;
}
