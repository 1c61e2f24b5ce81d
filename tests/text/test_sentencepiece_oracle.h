/* The sentencepiece library (C++) behind plain C functions. */
#ifndef SPIRITLM_TESTS_SENTENCEPIECE_ORACLE_H
#define SPIRITLM_TESTS_SENTENCEPIECE_ORACLE_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct oracle;

struct oracle *oracle_load(const char *path, char *error, size_t error_size); /* NULL: refused, `error` says why */
void oracle_free(struct oracle *oracle);

int oracle_size(const struct oracle *oracle);
int oracle_unk(const struct oracle *oracle);
int oracle_bos(const struct oracle *oracle);
int oracle_eos(const struct oracle *oracle);
const char *oracle_piece(const struct oracle *oracle, int id, size_t *size);
bool oracle_is_control(const struct oracle *oracle, int id);
bool oracle_is_byte(const struct oracle *oracle, int id);

/* Results stay valid until the next call on the same oracle. false: the library refused. */
bool oracle_encode(struct oracle *oracle, const char *text, size_t size, const int **ids, size_t *count);
bool oracle_decode(struct oracle *oracle, const int *ids, size_t count, const char **text, size_t *size);

#ifdef __cplusplus
}
#endif
#endif
