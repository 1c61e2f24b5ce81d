/* The models that the SentencePiece tests compare on: trained by spm_train on texts that Debian ships, kept in the
 * build folder (text-models), and variants of them. Errors fail the test. */
#ifndef SPIRITLM_TESTS_SENTENCEPIECE_MODELS_H
#define SPIRITLM_TESTS_SENTENCEPIECE_MODELS_H

#include "support/sentencepiece_builder.h"
#include "test_sentencepiece_oracle.h"
#include "text/sentencepiece.h"

#include <stdbool.h>
#include <stdint.h>

extern struct bytes corpus; /* the Bible, one verse per line; filled by make_models, for bytes_free */

/* Trains the models that do not exist yet: "small" (2,000 pieces), "large" (32,000, with many scripts), "user" (2,000,
 * with user-defined and control pieces and other names), "plain" (no bytes, extra spaces removed), "suffix". */
void make_models(void);

/* The same file in the library and in ours. */
struct fixture {
    const char *name;
    struct oracle *oracle;
    struct sentencepiece *model;
    bool round_trips; /* identity, dummy prefix, nothing removed, byte fallback, all pieces used */
};
struct fixture open_fixture(const char *name, bool round_trips);
void close_fixture(struct fixture *fixture);

/* What a variant changes in a model. -1 keeps a flag. */
struct variant {
    int add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces, suffix;
    int unused_percent; /* of the normal pieces that become UNUSED */
    const char *unk_surface;
};

/* A copy of the model `from` with other flags and types, named `to`. */
void make_variant(const char *from, const char *to, const struct variant *variant);

size_t put_utf8(char *text, uint32_t code); /* the bytes written */

#endif
