/* SHA-256 is libcrypto's, which uses the processor's instructions for it: whole checkpoints are hashed. It can fail
 * only when memory is exhausted, and then the program ends at once, with the exit code that this has everywhere, since every
 * caller would otherwise carry an error path that is hardly ever taken. CRC32C uses the processor's instruction too, eight
 * bytes at a time, or else a table; both give the same sums. */
#include "core/hash.h"

#include "core/status.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sha256_stream {
    EVP_MD_CTX *context;
};

static void check(int good)
{
    if (!good) {
        fputs("error: no memory for SHA-256\n", stderr);
        _exit(STATUS_INTERNAL);
    }
}

struct sha256_stream *sha256_start(void)
{
    struct sha256_stream *stream = malloc(sizeof *stream);
    check(stream != NULL);
    stream->context = EVP_MD_CTX_new();
    check(stream->context && EVP_DigestInit_ex(stream->context, EVP_sha256(), NULL));
    return stream;
}

void sha256_add(struct sha256_stream *stream, const void *data, size_t size)
{
    check(EVP_DigestUpdate(stream->context, data, size));
}

struct sha256 sha256_finish(struct sha256_stream *stream)
{
    struct sha256 hash;
    check(EVP_DigestFinal_ex(stream->context, hash.bytes, NULL));
    EVP_MD_CTX_free(stream->context);
    free(stream);
    return hash;
}

struct sha256 sha256_of(const void *data, size_t size)
{
    struct sha256_stream *stream = sha256_start();
    sha256_add(stream, data, size);
    return sha256_finish(stream);
}

void sha256_hex(const struct sha256 *hash, char text[65])
{
    for (int i = 0; i < 32; i++)
        snprintf(text + 2 * i, 3, "%02x", hash->bytes[i]);
}

bool sha256_from_hex(const char *text, struct sha256 *hash)
{
    for (int i = 0; i < 64; i++) {
        char c = text[i];
        int value = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (value < 0)
            return false;
        uint8_t *byte = &hash->bytes[i / 2];
        *byte = (uint8_t)(i % 2 ? *byte | value : value << 4);
    }
    return true;
}

#if defined(__SSE4_2__)
#include <nmmintrin.h>
uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    uint64_t value = ~crc;
    for (; size >= 8; size -= 8, bytes += 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        value = _mm_crc32_u64(value, word);
    }
    for (; size; size--)
        value = _mm_crc32_u8((uint32_t)value, *bytes++);
    return ~(uint32_t)value;
}
#else
/* The reflected polynomial, one table lookup per byte. */
static uint32_t crc_table[256];

__attribute__((constructor)) static void fill_crc_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++)
            value = (value >> 1) ^ (value & 1 ? 0x82F63B78u : 0);
        crc_table[i] = value;
    }
}

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    crc = ~crc;
    while (size--)
        crc = (crc >> 8) ^ crc_table[(crc ^ *bytes++) & 255u];
    return ~crc;
}
#endif
