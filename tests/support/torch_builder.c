/* Zip files and pickles, byte by byte (PKWARE's APPNOTE 6.3.10; CPython's pickletools.py). */
#include "support/torch_builder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOCAL = 30, CENTRAL = 46, END = 22, END64 = 56, LOCATOR = 20, ALIGNMENT = 64 };

static void put(struct bytes *bytes, uint64_t value, int width)
{
    uint8_t little[8];
    for (int i = 0; i < 8; i++)
        little[i] = (uint8_t)(value >> (8 * i));
    bytes_add(bytes, little, (size_t)width);
}

static uint64_t get(const uint8_t *bytes, int width)
{
    uint64_t value = 0;
    for (int i = 0; i < width; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

uint32_t plain_crc32(const uint8_t *data, size_t size)
{
    static uint32_t table[256];
    for (uint32_t i = 0; i < 256 && table[255] == 0; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = table[i] & 1 ? table[i] >> 1 ^ 0xedb88320 : table[i] >> 1;
    }
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < size; i++)
        crc = crc >> 8 ^ table[(crc ^ data[i]) & 0xff];
    return crc ^ 0xffffffff;
}

/* ---- building ---- */

static uint64_t size_of(const struct zip_piece *piece)
{
    return piece->size + piece->hole;
}

static uint32_t crc_of(const struct zip_piece *piece)
{
    return (piece->hole ? 0 : plain_crc32(piece->data, piece->size)) ^ piece->crc_change;
}

static bool has_descriptor(const struct zip_piece *piece)
{
    return piece->form != ZIP_PLAIN;
}

static uint16_t flags_of(const struct zip_piece *piece)
{
    return (uint16_t)((has_descriptor(piece) ? 0x808 : 0x800) ^ piece->flags);
}

static void put_extra64(struct bytes *file, uint64_t size, bool with_header, uint64_t header)
{
    put(file, 1, 2);
    put(file, with_header ? 24 : 16, 2);
    put(file, size, 8);
    put(file, size, 8);
    if (with_header)
        put(file, header, 8);
}

static void put_local(struct bytes *file, const struct zip_piece *piece, uint32_t crc)
{
    const char *name = piece->local_name[0] ? piece->local_name : piece->name;
    bool blank = has_descriptor(piece), extra64 = piece->zip64 && !blank;
    size_t start = file->size + LOCAL + strlen(name) + (extra64 ? 20u : 0u);
    static const uint8_t padding[ALIGNMENT];
    size_t filler = (ALIGNMENT - (start + 4) % ALIGNMENT) % ALIGNMENT;
    uint64_t size = blank ? 0 : piece->zip64 ? 0xffffffff : size_of(piece);
    put(file, 0x04034b50, 4);
    put(file, 0, 2);
    put(file, (uint64_t)flags_of(piece) ^ piece->local_flags, 2);
    put(file, piece->method, 2);
    put(file, 0, 4);
    put(file, blank ? 0 : crc, 4);
    put(file, size, 4);
    put(file, size, 4);
    put(file, strlen(name), 2);
    put(file, (extra64 ? 20u : 0u) + 4 + filler, 2);
    bytes_add(file, name, strlen(name));
    if (extra64)
        put_extra64(file, size_of(piece), false, 0);
    bytes_add(file, "FB", 2);
    put(file, filler, 2);
    bytes_add(file, padding, filler);
}

static void put_descriptor(struct bytes *file, const struct zip_piece *piece, uint32_t crc)
{
    int width = piece->form == ZIP_DESCRIPTOR64 || piece->form == ZIP_DESCRIPTOR64_BARE ? 8 : 4;
    if (!has_descriptor(piece) || (piece->size == 0 && piece->form == ZIP_DESCRIPTOR))
        return;
    if (piece->form == ZIP_DESCRIPTOR || piece->form == ZIP_DESCRIPTOR64)
        put(file, 0x08074b50, 4);
    put(file, crc, 4);
    put(file, size_of(piece), width);
    put(file, size_of(piece), width);
}

static void put_central(struct bytes *file, const struct zip_piece *piece, uint32_t crc, uint64_t header)
{
    uint64_t size = size_of(piece) + piece->size_change;
    header += piece->header_change;
    put(file, 0x02014b50, 4);
    put(file, 0, 4);
    put(file, flags_of(piece), 2);
    put(file, piece->method, 2);
    put(file, 0, 4);
    put(file, crc, 4);
    put(file, piece->zip64 ? 0xffffffff : size, 4);
    put(file, piece->zip64 ? 0xffffffff : size, 4);
    put(file, strlen(piece->name), 2);
    put(file, piece->zip64 ? 28 : 0, 2);
    put(file, 0, 2);
    put(file, 0, 8);
    put(file, piece->zip64 ? 0xffffffff : header, 4);
    bytes_add(file, piece->name, strlen(piece->name));
    if (piece->zip64)
        put_extra64(file, size, true, header);
}

void zip_build(struct bytes *file, const struct zip_piece *pieces, int count, bool end64)
{
    uint64_t headers[ZIP_PIECES], holes = 0;
    uint32_t crcs[ZIP_PIECES];
    for (int i = 0; i < count; i++) {
        crcs[i] = crc_of(&pieces[i]);
        headers[i] = file->size + holes;
        put_local(file, &pieces[i], crcs[i]);
        bytes_add(file, pieces[i].data, pieces[i].size);
        holes += pieces[i].hole;
        put_descriptor(file, &pieces[i], crcs[i]);
    }
    uint64_t begin = file->size + holes;
    for (int i = 0; i < count; i++)
        put_central(file, &pieces[i], crcs[i], headers[i]);
    uint64_t end = file->size + holes;
    if (end64) {
        put(file, 0x06064b50, 4);
        put(file, END64 - 12, 8);
        put(file, 0, 4);
        put(file, 0, 8);
        put(file, (uint64_t)count, 8);
        put(file, (uint64_t)count, 8);
        put(file, end - begin, 8);
        put(file, begin, 8);
        put(file, 0x07064b50, 4);
        put(file, 0, 4);
        put(file, end, 8);
        put(file, 1, 4);
    }
    put(file, 0x06054b50, 4);
    put(file, 0, 4);
    put(file, (uint64_t)count, 2);
    put(file, (uint64_t)count, 2);
    put(file, end - begin, 4);
    put(file, begin > UINT32_MAX ? UINT32_MAX : begin, 4);
    put(file, 0, 2);
}

int zip_take_apart(uint8_t *file, size_t size, struct zip_piece pieces[ZIP_PIECES])
{
    int count = 0;
    if (size < END || get(file + size - END, 4) != 0x06054b50)
        return 0;
    const uint8_t *end = file + size - END;
    size_t at = get(end + 16, 4), limit = at + get(end + 12, 4);
    while (limit <= size && at + CENTRAL <= limit && count < ZIP_PIECES && get(file + at, 4) == 0x02014b50) {
        struct zip_piece *piece = &pieces[count];
        size_t name = get(file + at + 28, 2), extra = get(file + at + 30, 2), header = get(file + at + 42, 4);
        size_t length = get(file + at + 24, 4);
        if (at + CENTRAL + name + extra > limit || name >= ZIP_NAME || header + LOCAL > size)
            return 0;
        size_t begin = header + LOCAL + get(file + header + 26, 2) + get(file + header + 28, 2);
        if (begin > size || length > size - begin)
            return 0;
        *piece = (struct zip_piece){.data = file + begin, .size = length};
        memcpy(piece->name, file + at + CENTRAL, name);
        piece->form = get(file + at + 8, 2) & 8 ? ZIP_DESCRIPTOR : ZIP_PLAIN;
        at += CENTRAL + name + extra;
        count++;
    }
    return count;
}

void torch_build(struct bytes *file, const void *pickle, size_t pickle_size, const struct zip_piece *storages,
                 int count)
{
    struct zip_piece pieces[ZIP_PIECES] = {
        {.name = "archive/data.pkl", .data = (uint8_t *)(uintptr_t)pickle, .size = pickle_size}};
    for (int i = 0; i < count; i++) {
        pieces[i + 1] = storages[i];
        snprintf(pieces[i + 1].name, ZIP_NAME, "archive/data/%d", i);
    }
    pieces[count + 1] = (struct zip_piece){.name = "archive/version", .data = (uint8_t *)(uintptr_t) "3\n", .size = 2};
    zip_build(file, pieces, count + 2, true);
}

/* ---- pickles ---- */

void pickle_raw(struct bytes *pickle, const char *operations)
{
    bytes_add(pickle, operations, strlen(operations));
}

void pickle_text(struct bytes *pickle, const char *text)
{
    bytes_add(pickle, "X", 1);
    put(pickle, strlen(text), 4);
    bytes_add(pickle, text, strlen(text));
}

void pickle_integer(struct bytes *pickle, int64_t number)
{
    bytes_add(pickle, "\x8a\x08", 2);
    put(pickle, (uint64_t)number, 8);
}

void pickle_class(struct bytes *pickle, const char *module, const char *name)
{
    pickle_raw(pickle, "c");
    pickle_raw(pickle, module);
    pickle_raw(pickle, "\n");
    pickle_raw(pickle, name);
    pickle_raw(pickle, "\n");
}

void pickle_storage(struct bytes *pickle, const char *class, const char *key, int64_t elements)
{
    pickle_raw(pickle, "(");
    pickle_text(pickle, "storage");
    pickle_class(pickle, "torch", class);
    pickle_text(pickle, key);
    pickle_text(pickle, "cpu");
    pickle_integer(pickle, elements);
    pickle_raw(pickle, "tQ");
}
