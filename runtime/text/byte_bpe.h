/* Byte-level BPE models, as GPT-2, Llama 3 and SmolLM2 have them: a text is cut into words by a pattern (the
 * pre-tokenizer), the bytes of a word are its first pieces, and neighbours are joined in the order of a list of merges. Our
 * own reader, encoder and decoder; ids are those that Hugging Face's tokenizers library gives for the same model without
 * added tokens. Read-only after loading: threads may share it. */
#ifndef SPIRITLM_TEXT_BYTE_BPE_H
#define SPIRITLM_TEXT_BYTE_BPE_H

#include "core/hash.h"
#include "core/status.h"
#include "io/weights/gguf.h"
#include "text/vocabulary.h"

#include <stdbool.h>
#include <stdint.h>

struct byte_bpe;

/* What a piece is. Only normal pieces are ever found in a text. */
enum byte_bpe_type {
    BYTE_BPE_NORMAL = 1,
    BYTE_BPE_UNKNOWN = 2, /* the same as control: byte-level models meet nothing unknown */
    BYTE_BPE_CONTROL = 3, /* stands for no text */
    BYTE_BPE_USER_DEFINED = 4,
    BYTE_BPE_UNUSED = 5, /* an id without a piece: what its text is makes no difference */
    BYTE_BPE_BYTE = 6    /* of models with byte fallback, which are not byte-level: refused */
};

struct byte_bpe_text { /* UTF-8, not NUL-terminated */
    const char *bytes;
    int64_t size;
};

/* What a model is made of; copied by byte_bpe_create. Normal pieces and merges are spelled as in files: each byte as a
 * character of GPT-2's alphabet (text/byte_alphabet.h). A piece with another character, and control and user-defined
 * pieces, stand for themselves. */
struct byte_bpe_pieces {
    int64_t count;
    const struct byte_bpe_text *pieces;
    const uint8_t *types; /* enum byte_bpe_type; NULL: all are normal */
    int64_t merge_count;
    const struct byte_bpe_text *lefts, *rights; /* in order of rank, best first */
    const char *pre_tokenizer;                  /* "gpt-2", "smollm", "llama-bpe" (text/word_cutter.h) */
    bool ignore_merges; /* a word that is a piece is that piece, whatever the merges make of it */
    int32_t bos, eos;   /* -1: none */
};

/* STATUS_CORRUPT, with `name` and what is wrong, for: a piece that is empty, longer than 8,000 bytes, spelled like another
 * one, or not UTF-8; no piece of one byte; a merge of pieces that are absent or not normal, or whose result is, or that is
 * listed twice; more than 2^21 pieces or merges; an unknown pre-tokenizer. */
enum status byte_bpe_create(const char *name, const struct byte_bpe_pieces *pieces, struct byte_bpe **model);

/* A tokenizer.json of Hugging Face's tokenizers. What would change ids and is not supported is refused by name. Ids that
 * the vocabulary leaves out become unused pieces. BOS and EOS are not in such a file: byte_bpe_load_config.
 *
 * A checkpoint's file ends with tags and units (byte_bpe_write_json); they are left out, so that size and fingerprint are
 * those of the text model, and nothing written in a document is taken for a tag. */
enum status byte_bpe_load_json(const char *name, const void *data, int64_t size, struct byte_bpe **model);

/* The two files that models like GPT-2's and RoBERTa's came with before tokenizer.json: vocab.json, an object of pieces and ids, and
 * merges.txt, a merge a line, "left right", under a first line "#version: ..." that may be absent. Words are cut as by GPT-2. Of the
 * pieces, those named in `control` (ends with NULL) stand for no text: such files do not say which these are. Ids that the vocabulary
 * leaves out become unused pieces. STATUS_CORRUPT names the file, and of merges.txt the line. */
struct byte_bpe_files {
    const char *vocabulary_name, *merges_name; /* for errors */
    struct byte_bpe_text vocabulary, merges;   /* what the files hold */
    const char *const *control;
};
enum status byte_bpe_load_files(const struct byte_bpe_files *files, struct byte_bpe **model);

/* Takes BOS and EOS from the tokenizer_config.json beside a tokenizer.json ("bos_token", "eos_token"). */
enum status byte_bpe_load_config(const char *name, const void *data, int64_t size, struct byte_bpe *model);

/* The model that a GGUF file holds under tokenizer.ggml (.model "gpt2", .tokens, .token_type, .merges, .pre, ...). */
enum status byte_bpe_load_gguf(const struct gguf *file, struct byte_bpe **model);

void byte_bpe_free(struct byte_bpe *model);

int32_t byte_bpe_size(const struct byte_bpe *model);      /* ids, unused ones too */
int32_t byte_bpe_tag_count(const struct byte_bpe *model); /* tags and units left out at the end of the file */
int32_t byte_bpe_bos(const struct byte_bpe *model);       /* -1: none; the same below */
int32_t byte_bpe_eos(const struct byte_bpe *model);
int32_t byte_bpe_unk(const struct byte_bpe *model);                 /* -1 */
bool byte_bpe_is_control(const struct byte_bpe *model, int32_t id); /* stands for no text: unused ids do not either */
enum byte_bpe_type byte_bpe_type(const struct byte_bpe *model, int32_t id); /* BYTE_BPE_UNUSED for ids outside */
int32_t byte_bpe_missing_bytes(const struct byte_bpe *model); /* of the 256, those without a piece: they are dropped */
const char *byte_bpe_pre_tokenizer(const struct byte_bpe *model);

/* What the file asks for that is not done here (a BOS before each text), for a warning; "" when there is nothing. */
const char *byte_bpe_note(const struct byte_bpe *model);

/* The bytes that a piece stands for; "" for ids outside and unused ones; those of tags left out follow those of the text.
 * A control piece's name. */
const char *byte_bpe_piece(const struct byte_bpe *model, int32_t id, int64_t *length);
int32_t byte_bpe_find(const struct byte_bpe *model, const char *bytes, int64_t size); /* -1: none */

/* The ids of `size` bytes of text. No BOS or EOS. Malformed UTF-8 is encoded byte by byte, so that decoding gives it back;
 * to the pre-tokenizer such a byte is a symbol. *dropped is how many bytes have no piece. *ids is allocated for the caller.
 * O(n log n). */
enum status byte_bpe_encode(const struct byte_bpe *model, const char *text, int64_t size, int32_t **ids, int64_t *count,
                            int64_t *dropped);

/* The bytes of ids, joined; control and unused pieces give nothing. NUL-terminated, allocated for the caller. */
enum status byte_bpe_decode(const struct byte_bpe *model, const int32_t *ids, int64_t count, char **text,
                            int64_t *size);

/* SHA-256 over pieces, types, merges, the pre-tokenizer and ignore_merges: equal for equal ids, whatever file they come
 * from. Not over BOS and EOS, which a configuration may set. */
struct sha256 byte_bpe_fingerprint(const struct byte_bpe *model);

/* STATUS_USAGE when a piece is spelled like a tag or unit of the vocabulary. */
enum status byte_bpe_check_tags(const char *name, const struct byte_bpe *model, const struct vocabulary *vocabulary);

/* tokenizer.json and tokenizer_config.json of a checkpoint: the model with the vocabulary's tags and units as added
 * tokens, for transformers' AutoTokenizer: a string in which tags are spelled out gets the ids of its parts. BOS and EOS
 * are the vocabulary's; none is put before a text. The tags must pass byte_bpe_check_tags. Both texts are allocated for
 * the caller. */
enum status byte_bpe_write_json(const struct byte_bpe *model, const struct vocabulary *vocabulary, char **tokenizer,
                                char **config);

#endif
