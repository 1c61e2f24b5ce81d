/* SHA-256 (libcrypto's, for identities and files) and CRC32C (for rows). */
#ifndef SPIRITLM_CORE_HASH_H
#define SPIRITLM_CORE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sha256 {
    uint8_t bytes[32];
};

struct sha256_stream; /* opaque; without memory the program ends with STATUS_INTERNAL and says so */

struct sha256_stream *sha256_start(void);
void sha256_add(struct sha256_stream *stream, const void *data, size_t size);
struct sha256 sha256_finish(struct sha256_stream *stream); /* frees the stream */

struct sha256 sha256_of(const void *data, size_t size);
void sha256_hex(const struct sha256 *hash, char text[65]);

/* Reads the 64 lower-case hexadecimal digits that sha256_hex writes and nothing after them. False when the text does
 * not begin with them (it may end early); `hash` is then undefined. */
bool sha256_from_hex(const char *text, struct sha256 *hash);

/* CRC32C (Castagnoli) of data, continuing from `crc` (0 to start). */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);

#endif
