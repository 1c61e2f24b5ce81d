/* Small .model files made in memory, byte by byte as sentencepiece_model.proto defines them: for tests that need a
 * model without training one, or a model that is wrong in a chosen way. */
#ifndef SPIRITLM_TESTS_SENTENCEPIECE_BUILDER_H
#define SPIRITLM_TESTS_SENTENCEPIECE_BUILDER_H

#include <stddef.h>
#include <stdint.h>

struct bytes {
    uint8_t *data;
    size_t size, room;
};
void bytes_free(struct bytes *bytes);
void bytes_add(struct bytes *bytes, const void *data, size_t size);

/* Wire format: a varint field, a float field, a length-delimited field. */
void put_varint(struct bytes *bytes, uint64_t value);
void put_number(struct bytes *bytes, unsigned field, uint64_t value);
void put_float(struct bytes *bytes, unsigned field, float value);
void put_bytes(struct bytes *bytes, unsigned field, const void *data, size_t size);

/* One piece. type 0 leaves the field out (normal); otherwise the file's number. */
void put_piece(struct bytes *model, const char *text, size_t size, float score, unsigned type);

/* trainer_spec with model_type and byte_fallback, and normalizer_spec "identity" without removing extra spaces. */
void put_specifications(struct bytes *model, unsigned model_type, int byte_fallback);

/* A model of <unk> <s> </s>, the 256 bytes where wanted, then each text of `pieces` (NULL-terminated; earlier =
 * better), then the letters a to z and U+2581 unless already in the list; with specifications. */
struct bytes build_small_model(const char *const *pieces, int byte_fallback);

#endif
