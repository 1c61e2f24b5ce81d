/* tokenizer.json: the scanner of JSON, the steps around a model, pieces and merges. A model that is accepted must encode and
 * decode, and find its pieces; written for a checkpoint and read back, it must be the same model. */
#include "fuzz/fuzz.h"

#include "text/byte_bpe.h"

#include <stdlib.h>
#include <string.h>

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
    fuzz_touch(decoded, decoded_size + 1);
    free(decoded);
    free(ids);
}

static void write_and_read(const struct byte_bpe *model)
{
    struct vocabulary vocabulary;
    struct byte_bpe *again = NULL;
    char *tokenizer = NULL, *config = NULL;
    fuzz_require(vocabulary_create(byte_bpe_size(model), -1, -1, -1, 12, 3, 2, true, &vocabulary) == STATUS_OK,
                 "there is a vocabulary");
    if (byte_bpe_check_tags("fuzz.json", model, &vocabulary) != STATUS_OK)
        return;
    fuzz_require(byte_bpe_write_json(model, &vocabulary, &tokenizer, &config) == STATUS_OK, "a model is written");
    fuzz_require(byte_bpe_load_json("again.json", tokenizer, (int64_t)strlen(tokenizer), &again) == STATUS_OK,
                 "what was written is read");
    fuzz_require(byte_bpe_load_config("again.json", config, (int64_t)strlen(config), again) == STATUS_OK,
                 "what was written beside it is read");
    struct sha256 a = byte_bpe_fingerprint(model), b = byte_bpe_fingerprint(again);
    fuzz_require(memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0, "it is the same model");
    byte_bpe_free(again);
    free(tokenizer);
    free(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct byte_bpe *model = NULL;
    enum status status = byte_bpe_load_json("fuzz.json", data, (int64_t)size, &model);
    if (status != STATUS_OK) {
        fuzz_require(model == NULL, "a refused model is not given out");
        fuzz_require_refusal(status, "fuzz.json");
        return 0;
    }
    for (int32_t id = 0; id < byte_bpe_size(model) && id < 300; id++) {
        int64_t length;
        const char *piece = byte_bpe_piece(model, id, &length);
        fuzz_touch(piece, length);
        if (byte_bpe_type(model, id) == BYTE_BPE_UNUSED)
            continue;
        fuzz_require(length > 0, "a piece has bytes");
        int32_t found = byte_bpe_find(model, piece, length);
        fuzz_require(found == id || byte_bpe_type(model, id) != BYTE_BPE_NORMAL ||
                         byte_bpe_type(model, found) == BYTE_BPE_NORMAL,
                     "a piece is found");
        use(model, piece, length);
    }
    use(model, "the \xc3\xa9t\xc3\xa9's 12 \xff\xc5\xbf\n\n  banana [Text]", 32);
    use(model, (const char *)data, size < 512 ? (int64_t)size : 512);
    if (byte_bpe_size(model) < 5000)
        write_and_read(model);
    byte_bpe_load_config("fuzz.json", data, (int64_t)size, model);
    byte_bpe_free(model);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t limit, unsigned seed)
{
    struct rng rng = rng_make(seed, RNG_TEST, 6, 0);
    return fuzz_mutate_json(data, size, limit, &rng);
}
