/* SentencePiece BPE models (.model files): our own reader, encoder and decoder. The whole file is validated at load;
 * normaliser "identity" (with or without the dummy prefix and whitespace escaping) is supported, any other is refused
 * by name. Read-only after loading: threads may share it. */
#ifndef SPIRITLM_TEXT_SENTENCEPIECE_H
#define SPIRITLM_TEXT_SENTENCEPIECE_H

#include "core/hash.h"
#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

struct sentencepiece;

/* A checkpoint's tokenizer.model ends with the tags and units as user-defined pieces (text/tagged_model.h). The first two
 * read the text pieces alone: nothing written in a document is ever taken for a tag, and size and fingerprint are those of
 * the text. sentencepiece_load_tagged reads all pieces, to encode prompts in which tags are spelled out. */
enum status sentencepiece_load(const char *path, struct sentencepiece **model);
enum status sentencepiece_load_memory(const char *name, const void *data, int64_t size, struct sentencepiece **model);
enum status sentencepiece_load_tagged(const char *name, const void *data, int64_t size, struct sentencepiece **model);
void sentencepiece_free(struct sentencepiece *model);

int32_t sentencepiece_size(const struct sentencepiece *model);      /* pieces */
int32_t sentencepiece_tag_count(const struct sentencepiece *model); /* tags and units left out at the end of the file */
int32_t sentencepiece_unk(const struct sentencepiece *model);       /* -1 where the model has none; the same below */
int32_t sentencepiece_bos(const struct sentencepiece *model);
int32_t sentencepiece_eos(const struct sentencepiece *model);
/* "" for ids outside; those of the tags left out follow those of the text. */
const char *sentencepiece_piece(const struct sentencepiece *model, int32_t id, int64_t *length);
bool sentencepiece_is_control(const struct sentencepiece *model, int32_t id);     /* also the unknown piece */
int32_t sentencepiece_find(const struct sentencepiece *model, const char *piece); /* -1: none */

/* The ids of `size` bytes of text (malformed UTF-8 is treated as in the library). No BOS or EOS. `dummy_prefix` false
 * leaves out the space that the model would put before the text. *ids is allocated for the caller. O(n log n). */
enum status sentencepiece_encode(const struct sentencepiece *model, const char *text, int64_t size, bool dummy_prefix,
                                 int32_t **ids, int64_t *count);

/* The dummy prefix alone, as it stands before a tag; *count is 0 where the model has none before a text. */
enum status sentencepiece_encode_prefix(const struct sentencepiece *model, int32_t **ids, int64_t *count);

/* The bytes of ids (byte pieces joined, control pieces dropped as in the library). NUL-terminated, allocated for the
 * caller. `strip_prefix` removes the leading space that the dummy prefix had put there. */
enum status sentencepiece_decode(const struct sentencepiece *model, const int32_t *ids, int64_t count,
                                 bool strip_prefix, char **text, int64_t *size);

/* SHA-256 over pieces, scores, types and flags: equal for equal behaviour, whatever else the file contains. */
struct sha256 sentencepiece_fingerprint(const struct sentencepiece *model);

#endif
