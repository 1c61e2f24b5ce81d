#include "support/archive_builder.h"

#include "support/files.h"
#include "support/test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static void append(unsigned char **bytes, int64_t *size, int64_t *capacity, const void *more, int64_t count)
{
    if (*size + count > *capacity) {
        *capacity = 2 * (*size + count) + 4096;
        *bytes = realloc(*bytes, (size_t)*capacity);
        assert_non_null(*bytes);
    }
    if (count > 0)
        memcpy(*bytes + *size, more, (size_t)count);
    *size += count;
}

void builder_put(struct archive_builder *builder, const void *bytes, int64_t size)
{
    append(&builder->bytes, &builder->size, &builder->capacity, bytes, size);
}

static void put_directory(struct archive_builder *builder, const void *bytes, int64_t size)
{
    append(&builder->directory, &builder->directory_size, &builder->directory_capacity, bytes, size);
}

void builder_free(struct archive_builder *builder)
{
    free(builder->bytes);
    free(builder->directory);
    *builder = (struct archive_builder){0};
}

void builder_write(struct archive_builder *builder, const char *path)
{
    write_plainly(path, builder->bytes, builder->size);
    builder_free(builder);
}

/* ---- zip ---- */

static int64_t little(unsigned char *bytes, uint64_t value, int count)
{
    for (int i = 0; i < count; i++)
        bytes[i] = (unsigned char)(value >> (8 * i));
    return count;
}

enum { IN_ZIP64 = -1 };

static int64_t deflate_whole(const void *data, int64_t size, int window, unsigned char **packed)
{
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, 1, Z_DEFLATED, window, 9, Z_DEFAULT_STRATEGY), Z_OK);
    uLong room = deflateBound(&stream, (uLong)size);
    *packed = malloc(room + 1);
    assert_non_null(*packed);
    stream.next_in = (Bytef *)(uintptr_t)data;
    stream.avail_in = (uInt)size;
    stream.next_out = *packed;
    stream.avail_out = (uInt)room;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    int64_t made = (int64_t)stream.total_out;
    deflateEnd(&stream);
    return made;
}

/* Both sizes (and, in the directory, the position) as ZIP64 has them. */
static int64_t put_extra(unsigned char *extra, int64_t whole, int64_t packed, int64_t position)
{
    int64_t used = little(extra, 1, 2);
    used += little(extra + used, position >= 0 ? 24 : 16, 2);
    used += little(extra + used, (uint64_t)whole, 8);
    used += little(extra + used, (uint64_t)packed, 8);
    if (position >= 0)
        used += little(extra + used, (uint64_t)position, 8);
    return used;
}

struct zip_member {
    int64_t whole, packed, position;
    uint32_t crc;
    uint16_t flags, method;
};

static void put_local(struct archive_builder *builder, const char *name, int64_t length,
                      const struct zip_member *member, struct zip_form form)
{
    unsigned char header[30], extra[32];
    bool later = form.descriptor;
    int64_t extra_length = form.zip64 ? put_extra(extra, later ? 0 : member->whole, later ? 0 : member->packed, -1) : 0;
    uint64_t whole = form.zip64 ? (uint32_t)IN_ZIP64 : later ? 0 : (uint64_t)member->whole;
    uint64_t packed = form.zip64 ? (uint32_t)IN_ZIP64 : later ? 0 : (uint64_t)member->packed;
    memcpy(header, "PK\3\4", 4);
    little(header + 4, form.zip64 ? 45 : 20, 2);
    little(header + 6, member->flags, 2);
    little(header + 8, form.local_method ? form.local_method : member->method, 2);
    little(header + 10, 0x58210000, 4);
    little(header + 14, later ? 0 : member->crc, 4);
    little(header + 18, packed, 4);
    little(header + 22, whole, 4);
    little(header + 26, (uint64_t)length, 2);
    little(header + 28, (uint64_t)extra_length, 2);
    builder_put(builder, header, sizeof header);
    builder_put(builder, name, length);
    builder_put(builder, extra, extra_length);
}

static void put_central(struct archive_builder *builder, const char *name, int64_t length,
                        const struct zip_member *member, struct zip_form form)
{
    unsigned char header[46] = {0}, extra[32];
    int64_t extra_length = form.zip64 ? put_extra(extra, member->whole, member->packed, member->position) : 0;
    memcpy(header, "PK\1\2", 4);
    little(header + 4, form.unix_mode ? 3 << 8 | 45 : 45, 2);
    little(header + 6, 45, 2);
    little(header + 8, member->flags, 2);
    little(header + 10, form.method ? form.method : member->method, 2);
    little(header + 12, 0x58210000, 4);
    little(header + 16, member->crc + form.directory_crc, 4);
    little(header + 20, form.zip64 ? (uint32_t)IN_ZIP64 : (uint64_t)member->packed, 4);
    little(header + 24, form.zip64 ? (uint32_t)IN_ZIP64 : (uint64_t)member->whole, 4);
    little(header + 28, (uint64_t)length, 2);
    little(header + 30, (uint64_t)extra_length, 2);
    little(header + 38, (uint64_t)form.unix_mode << 16, 4);
    little(header + 42, form.zip64 ? (uint32_t)IN_ZIP64 : (uint64_t)member->position, 4);
    put_directory(builder, header, sizeof header);
    put_directory(builder, name, length);
    put_directory(builder, extra, extra_length);
    builder->count++;
}

static void put_descriptor(struct archive_builder *builder, const struct zip_member *member, bool zip64)
{
    unsigned char bytes[24];
    int width = zip64 ? 8 : 4;
    memcpy(bytes, "PK\7\10", 4);
    little(bytes + 4, member->crc, 4);
    little(bytes + 8, (uint64_t)member->packed, width);
    little(bytes + 8 + width, (uint64_t)member->whole, width);
    builder_put(builder, bytes, 8 + 2 * width);
}

void zip_add(struct archive_builder *builder, const char *name, int64_t name_length, const void *data, int64_t size,
             struct zip_form form)
{
    unsigned char *packed = NULL;
    int64_t packed_size = form.deflated ? deflate_whole(data, size, -15, &packed) : size;
    struct zip_member member = {.whole = form.claimed_size ? form.claimed_size : size,
                                .packed = packed_size,
                                .position = builder->size,
                                .crc = (uint32_t)crc32_z(0, data, (size_t)size) + form.wrong_crc,
                                .flags = (uint16_t)(form.flags | (form.descriptor ? 8 : 0)),
                                .method = form.deflated ? 8 : 0};
    const char *local = form.local_name ? form.local_name : name;
    put_local(builder, local, form.local_name ? (int64_t)strlen(local) : name_length, &member, form);
    builder_put(builder, packed ? packed : data, packed_size);
    if (form.descriptor)
        put_descriptor(builder, &member, form.zip64);
    put_central(builder, name, name_length, &member, form);
    free(packed);
}

void zip_end(struct archive_builder *builder, const char *comment, bool zip64)
{
    unsigned char end[22] = {'P', 'K', 5, 6}, end64[56] = {'P', 'K', 6, 6}, locator[20] = {'P', 'K', 6, 7};
    int64_t begin = builder->size;
    builder_put(builder, builder->directory, builder->directory_size);
    if (zip64) {
        little(end64 + 4, 44, 8);
        little(end64 + 12, 45, 2);
        little(end64 + 14, 45, 2);
        little(end64 + 24, (uint64_t)builder->count, 8);
        little(end64 + 32, (uint64_t)builder->count, 8);
        little(end64 + 40, (uint64_t)builder->directory_size, 8);
        little(end64 + 48, (uint64_t)begin, 8);
        little(locator + 8, (uint64_t)builder->size, 8);
        little(locator + 16, 1, 4);
        builder_put(builder, end64, sizeof end64);
        builder_put(builder, locator, sizeof locator);
    }
    little(end + 8, zip64 ? 0xffff : (uint64_t)builder->count, 2);
    little(end + 10, zip64 ? 0xffff : (uint64_t)builder->count, 2);
    little(end + 12, zip64 ? (uint32_t)IN_ZIP64 : (uint64_t)builder->directory_size, 4);
    little(end + 16, zip64 ? (uint32_t)IN_ZIP64 : (uint64_t)begin, 4);
    little(end + 20, strlen(comment), 2);
    builder_put(builder, end, sizeof end);
    builder_put(builder, comment, (int64_t)strlen(comment));
}

/* ---- tar ---- */

static void put_zeros(struct archive_builder *builder, int64_t count)
{
    static const unsigned char zeros[512];
    for (; count > 0; count -= 512)
        builder_put(builder, zeros, count < 512 ? count : 512);
}

void tar_add(struct archive_builder *builder, const char *name, char type, const char *link, const void *data,
             int64_t size)
{
    unsigned char header[512] = {0};
    assert_true(strlen(name) <= 100);
    memcpy(header, name, strlen(name));
    memcpy(header + 100, "0000644", 7);
    memcpy(header + 108, "0000000", 7);
    memcpy(header + 116, "0000000", 7);
    snprintf((char *)header + 124, 12, "%011llo", (unsigned long long)size);
    memcpy(header + 136, "14000000000", 11);
    header[156] = (unsigned char)type;
    if (link)
        memcpy(header + 157, link, strlen(link));
    memcpy(header + 257, "ustar\00000", 8);
    unsigned sum = 8 * ' ';
    for (int i = 0; i < 512; i++)
        sum += header[i];
    snprintf((char *)header + 148, 8, "%06o", sum);
    header[155] = ' ';
    builder_put(builder, header, sizeof header);
    builder_put(builder, data, size);
    put_zeros(builder, (512 - size % 512) % 512);
}

void tar_end(struct archive_builder *builder, int blocks)
{
    put_zeros(builder, 512 * (int64_t)blocks);
}

void builder_gzip(struct archive_builder *builder)
{
    unsigned char *packed = NULL;
    int64_t size = deflate_whole(builder->bytes, builder->size, 15 + 16, &packed);
    builder->size = 0;
    builder_put(builder, packed, size);
    free(packed);
}
