/* A text model, whichever kind it is: SentencePiece (text/sentencepiece.h), as LLaMA-2 and Spirit LM have it, or byte-level
 * BPE (text/byte_bpe.h), as SmolLM2 and Llama 3. Everyone but the readers of the two kinds goes through this interface.
 * Read-only after loading: threads may share it. */
#ifndef SPIRITLM_TEXT_TEXT_MODEL_H
#define SPIRITLM_TEXT_TEXT_MODEL_H

#include "core/hash.h"
#include "core/status.h"
#include "io/atomic_file.h"
#include "text/vocabulary.h"

#include <stdbool.h>
#include <stdint.h>

struct text_model;

/* `path` is a SentencePiece .model file; a tokenizer.json of Hugging Face's tokenizers (BOS and EOS come from the
 * tokenizer_config.json beside it); a GGUF file, for the model in it; or a folder, for its tokenizer.model or else its
 * tokenizer.json, in Meta's layout (params.json) for the tokenizer.model one folder up. Which it is, is seen from the content. *model is for text_model_free; NULL after a failure. */
enum status text_model_load(const char *path, struct text_model **model);
void text_model_free(struct text_model *model);

bool text_model_is_byte_level(const struct text_model *model);
int32_t text_model_size(const struct text_model *model); /* ids of text */
int32_t text_model_bos(const struct text_model *model);  /* as the file says; -1: none. The same below */
int32_t text_model_eos(const struct text_model *model);
int32_t text_model_unk(const struct text_model *model);

/* Whether whoever made the model puts BOS before a text (LLaMA-2 does, SmolLM2 does not). */
bool text_model_adds_bos(const struct text_model *model);

/* A piece that stands for no text: BOS, EOS, <|im_start|>... It is never found in a document, and only EOS is drawn. */
bool text_model_is_control(const struct text_model *model, int32_t id);

/* The bytes that a piece stands for, as the kind spells it: for a user's eyes. "" for ids outside. */
const char *text_model_piece(const struct text_model *model, int32_t id, int64_t *length);

/* The ids of `size` bytes of text, without BOS or EOS. `dummy_prefix` false leaves out the space that a SentencePiece model
 * may put before a text; byte-level models have none. *ids is allocated for the caller. Bytes for which a byte-level model
 * has no piece are dropped: the first time there is a warning, and text_model_dropped counts them. */
enum status text_model_encode(const struct text_model *model, const char *text, int64_t size, bool dummy_prefix,
                              int32_t **ids, int64_t *count);
int64_t text_model_dropped(const struct text_model *model); /* bytes, since it was loaded */

/* The dummy prefix alone, as it stands before a tag; *count is 0 where the model has none before a text. */
enum status text_model_encode_prefix(const struct text_model *model, int32_t **ids, int64_t *count);

/* The ids of a string in which tags and units are spelled out, those that transformers gives for a checkpoint with this
 * vocabulary, which must be the same at every call. What the first call makes for it, which takes milliseconds, is kept; no
 * two threads may call at once. */
enum status text_model_encode_tagged(const struct text_model *model, const struct vocabulary *vocabulary,
                                     const char *text, int32_t **ids, int64_t *count);

/* The bytes of ids, control pieces dropped. NUL-terminated, allocated for the caller. `strip_prefix` removes the space that
 * a dummy prefix had put there. */
enum status text_model_decode(const struct text_model *model, const int32_t *ids, int64_t count, bool strip_prefix,
                              char **text, int64_t *size);

/* SHA-256 of what decides ids and text, not of the file. */
struct sha256 text_model_fingerprint(const struct text_model *model);

/* ---- checkpoints ---- */

/* STATUS_USAGE when a piece of the model is spelled like a tag or unit of the vocabulary. */
enum status text_model_check_tags(const struct text_model *model, const struct vocabulary *vocabulary);

/* STATUS_CORRUPT when the file that the model was read from ends with tags and units other than the vocabulary's. */
enum status text_model_match_tags(const struct text_model *model, const struct vocabulary *vocabulary);

/* The vocabulary that the tags and units at the end of the model's file spell, as checkpoints and the release of Spirit LM have
 * them: the dummy prefix is that of a document. Where there are none, *found is false. STATUS_CORRUPT when they are others, or in
 * another order, than a vocabulary has. */
enum status text_model_read_vocabulary(const struct text_model *model, bool *found, struct vocabulary *vocabulary);

/* Why transformers' AutoTokenizer cannot be given this model (text/tokenizer_json.h); NULL when it can. */
const char *text_model_obstacle(const struct text_model *model);

/* Puts the model with the vocabulary's tags and units into a checkpoint: tokenizer.model where the kind has one, and
 * tokenizer.json with tokenizer_config.json unless there is an obstacle. text_model_load reads the folder back. */
enum status text_model_write(const struct text_model *model, const struct vocabulary *vocabulary,
                             struct atomic_directory *directory);

#endif
