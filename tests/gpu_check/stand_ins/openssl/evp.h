/* The part of libcrypto's EVP interface that core/hash.c uses, for a machine without libcrypto: SHA-256 alone (sha256.c). */
#ifndef SPIRITLM_GPU_CHECK_EVP_H
#define SPIRITLM_GPU_CHECK_EVP_H

#include <stddef.h>

typedef struct evp_md_ctx EVP_MD_CTX;
typedef struct evp_md EVP_MD;

EVP_MD_CTX *EVP_MD_CTX_new(void);
void EVP_MD_CTX_free(EVP_MD_CTX *context);
const EVP_MD *EVP_sha256(void);
int EVP_DigestInit_ex(EVP_MD_CTX *context, const EVP_MD *type, void *engine);
int EVP_DigestUpdate(EVP_MD_CTX *context, const void *data, size_t size);
int EVP_DigestFinal_ex(EVP_MD_CTX *context, unsigned char *hash, unsigned int *size);

#endif
