/* Fat binaries have no published description; the layout in fatbin.h is what nvcc 11.8 to 13.0 write, read off their
 * output. Sizes are those of the fat binary itself, so that all that can be checked is that they agree with each other:
 * the text of an entry lies inside the entry, and the entries fill the fat binary. */
#include "emulator/ptx/fatbin.h"

#include "emulator/ptx/lexer.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
    WRAPPER_MAGIC = 0x466243b1,
    HEADER_BYTES = 16,
    ENTRY_BYTES_LEAST = 20, /* to the end of the compressed size */
    KIND_PTX = 1
};
#define HEADER_MAGIC 0xba55ed50u

struct wrapper {
    uint32_t magic, version;
    const unsigned char *header;
};

struct entry {
    uint16_t kind;
    uint32_t header_bytes, compressed_bytes;
    uint64_t payload_bytes;
};

static int fail(char *error, size_t size, const char *text)
{
    if (size)
        snprintf(error, size, "%s", text);
    return -1;
}

static struct entry read_entry(const unsigned char *at)
{
    struct entry entry;
    memcpy(&entry.kind, at, sizeof entry.kind);
    memcpy(&entry.header_bytes, at + 4, sizeof entry.header_bytes);
    memcpy(&entry.payload_bytes, at + 8, sizeof entry.payload_bytes);
    memcpy(&entry.compressed_bytes, at + 16, sizeof entry.compressed_bytes);
    return entry;
}

/* 80 of `.target sm_80`; 0 when the text has none. */
static int32_t find_architecture(const char *text, size_t length)
{
    struct lexer lexer;
    struct token token;
    bool target = false;
    lexer_start(&lexer, text, length);
    for (lexer_next(&lexer, &token); token.kind != TOKEN_END && token.kind != TOKEN_DAMAGED;
         lexer_next(&lexer, &token)) {
        if (target) {
            int32_t architecture = 0;
            if (token.length > 9 || token.length < 4 || memcmp(token.text, "sm_", 3) != 0)
                return 0;
            for (size_t i = 3; i < token.length && token.text[i] >= '0' && token.text[i] <= '9'; i++)
                architecture = architecture * 10 + token.text[i] - '0';
            return architecture;
        }
        target = token.kind == TOKEN_DOTTED && token.length == 6 && !memcmp(token.text, "target", 6);
    }
    return 0;
}

/* The header behind a wrapper, and the bytes of its entries; NULL: damaged. */
static const unsigned char *open_wrapper(const void *wrapper, uint64_t *bytes, char *error, size_t size)
{
    struct wrapper opened;
    uint32_t magic;
    uint16_t version, header_bytes;
    memcpy(&opened, wrapper, sizeof opened);
    if (opened.magic != WRAPPER_MAGIC || !opened.header) {
        fail(error, size, "the fat binary's wrapper is damaged: expected the number 0x466243b1 and an address");
        return NULL;
    }
    memcpy(&magic, opened.header, sizeof magic);
    memcpy(&version, opened.header + 4, sizeof version);
    memcpy(&header_bytes, opened.header + 6, sizeof header_bytes);
    memcpy(bytes, opened.header + 8, sizeof *bytes);
    if (magic != HEADER_MAGIC || version != 1 || header_bytes != HEADER_BYTES) {
        fail(error, size, "the fat binary's header is damaged: expected the number 0xba55ed50, version 1, 16 bytes");
        return NULL;
    }
    return opened.header + HEADER_BYTES;
}

int fatbin_find_ptx(const void *wrapper, struct fatbin_ptx *found, int capacity, char *error, size_t size)
{
    uint64_t bytes = 0;
    int count = 0;
    const unsigned char *at = open_wrapper(wrapper, &bytes, error, size);
    if (!at)
        return -1;
    while (bytes) {
        if (bytes < ENTRY_BYTES_LEAST)
            return fail(error, size, "the fat binary ends inside the header of an entry");
        struct entry entry = read_entry(at);
        if (entry.header_bytes < ENTRY_BYTES_LEAST || entry.header_bytes > bytes ||
            entry.payload_bytes > bytes - entry.header_bytes)
            return fail(error, size, "an entry of the fat binary is larger than what is left of it");
        if (entry.kind == KIND_PTX) {
            if (entry.compressed_bytes)
                return fail(error, size, "the PTX of the fat binary is compressed: build with nvcc --no-compress");
            const char *text = (const char *)at + entry.header_bytes;
            size_t length = entry.payload_bytes;
            while (length && !text[length - 1])
                length--;
            int32_t architecture = find_architecture(text, length);
            if (!architecture)
                return fail(error, size, "a PTX entry of the fat binary has no line such as .target sm_80");
            if (count < capacity)
                found[count] = (struct fatbin_ptx){.text = text, .length = length, .architecture = architecture};
            count++;
        }
        at += entry.header_bytes + entry.payload_bytes;
        bytes -= entry.header_bytes + entry.payload_bytes;
    }
    return count;
}
