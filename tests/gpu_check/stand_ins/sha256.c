/* SHA-256 as FIPS 180-4 writes it, for the names of tensors whose hashes choose the random stream that a tensor's first
 * values come from: a few bytes at a time, so it need not be fast. tests/gpu_check/self_test compares it with published
 * hashes. */
#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct evp_md_ctx {
    uint32_t state[8];
    uint64_t bytes;
    unsigned char block[64];
};
struct evp_md {
    int unused;
};

static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t turn(uint32_t value, int by)
{
    return value >> by | value << (32 - by);
}

static void add_block(EVP_MD_CTX *context)
{
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; i++) {
        const unsigned char *b = context->block + 4 * i;
        w[i] = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    }
    for (int i = 16; i < 64; i++)
        w[i] = w[i - 16] + w[i - 7] + (turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3) +
               (turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10);
    memcpy(s, context->state, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t first = s[7] + (turn(s[4], 6) ^ turn(s[4], 11) ^ turn(s[4], 25)) + ((s[4] & s[5]) ^ (~s[4] & s[6])) +
                         constants[i] + w[i];
        uint32_t second =
            (turn(s[0], 2) ^ turn(s[0], 13) ^ turn(s[0], 22)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += first;
        s[0] = first + second;
    }
    for (int i = 0; i < 8; i++)
        context->state[i] += s[i];
}

EVP_MD_CTX *EVP_MD_CTX_new(void)
{
    return calloc(1, sizeof(EVP_MD_CTX));
}

void EVP_MD_CTX_free(EVP_MD_CTX *context)
{
    free(context);
}

const EVP_MD *EVP_sha256(void)
{
    static const struct evp_md sha256;
    return &sha256;
}

int EVP_DigestInit_ex(EVP_MD_CTX *context, const EVP_MD *type, void *engine)
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(context->state, start, sizeof start);
    context->bytes = 0;
    return type && !engine;
}

int EVP_DigestUpdate(EVP_MD_CTX *context, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++) {
        context->block[context->bytes++ % 64] = bytes[i];
        if (context->bytes % 64 == 0)
            add_block(context);
    }
    return 1;
}

int EVP_DigestFinal_ex(EVP_MD_CTX *context, unsigned char *hash, unsigned int *size)
{
    const uint64_t bits = 8 * context->bytes;
    const unsigned char end = 0x80, zero = 0;
    unsigned char length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)(bits >> (56 - 8 * i));
    EVP_DigestUpdate(context, &end, 1);
    while (context->bytes % 64 != 56)
        EVP_DigestUpdate(context, &zero, 1);
    EVP_DigestUpdate(context, length, 8);
    for (int i = 0; i < 32; i++)
        hash[i] = (unsigned char)(context->state[i / 4] >> (24 - 8 * (i % 4)));
    if (size)
        *size = 32;
    return 1;
}
