/* PTX out of fat binaries: some built here byte by byte, one that nvcc writes where there is one, and damaged ones. */
#include "support/test_support.h"

#include "emulator/ptx/fatbin.h"
#include "emulator/ptx/ptx.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What fatbin_find_ptx is given. */
struct wrapper {
    uint32_t magic, version;
    const void *header;
    const void *unused;
};

enum { HEADER_BYTES = 16, ROOM = 4096 };
struct builder {
    unsigned char bytes[ROOM];
    size_t used;
};

static void put(struct builder *builder, size_t offset, uint64_t value, size_t size)
{
    assert_true(offset + size <= ROOM);
    memcpy(builder->bytes + offset, &value, size); /* little-endian, as fat binaries are */
}

static void begin(struct builder *builder)
{
    *builder = (struct builder){.used = HEADER_BYTES};
    put(builder, 0, 0xba55ed50, 4);
    put(builder, 4, 1, 2);
    put(builder, 6, HEADER_BYTES, 2);
}

/* An entry whose payload is `text` and zeros up to a multiple of 8; returns where it begins. */
static size_t add_entry(struct builder *builder, uint16_t kind, uint32_t header_bytes, const char *text)
{
    size_t entry = builder->used, length = strlen(text), payload = (length + 8) / 8 * 8;
    put(builder, entry, kind, 2);
    put(builder, entry + 2, 0x0101, 2);
    put(builder, entry + 4, header_bytes, 4);
    put(builder, entry + 8, payload, 8);
    assert_true(entry + header_bytes + payload <= ROOM);
    memcpy(builder->bytes + entry + header_bytes, text, length);
    builder->used = entry + header_bytes + payload;
    put(builder, 8, builder->used - HEADER_BYTES, 8);
    return entry;
}

/* Looks into a copy of exactly the bytes that were built. */
static int find(const struct builder *builder, struct fatbin_ptx *found, int capacity, char *error, size_t size)
{
    struct wrapper wrapper = {0x466243b1, 1, builder->bytes, NULL};
    void *copy = malloc(builder->used);
    assert_non_null(copy);
    memcpy(copy, builder->bytes, builder->used);
    wrapper.header = copy;
    int count = fatbin_find_ptx(&wrapper, found, capacity, error, size);
    for (int i = 0; i < count && i < capacity; i++)
        found[i].text = (const char *)builder->bytes + (found[i].text - (const char *)copy);
    free(copy);
    return count;
}

#define TEXT_80 ".version 9.0\n.target sm_80\n.address_size 64\n"
#define TEXT_90 "// .target sm_70\n.version 9.0\n.target sm_90a, debug\n"

static void entries_of_ptx_are_found_among_others(void **state)
{
    (void)state;
    struct builder builder;
    struct fatbin_ptx found[3] = {{0}};
    char error[256] = "";
    begin(&builder);
    assert_int_equal(find(&builder, found, 3, error, sizeof error), 0);
    add_entry(&builder, 2, 64, "\177ELF");
    size_t first = add_entry(&builder, 1, 80, TEXT_80);
    add_entry(&builder, 16, 64, "of a kind that is not known");
    size_t second = add_entry(&builder, 1, 64, TEXT_90);
    assert_int_equal(find(&builder, found, 3, error, sizeof error), 2);
    assert_string_equal(error, "");
    assert_ptr_equal(found[0].text, (const char *)builder.bytes + first + 80);
    assert_int_equal(found[0].length, strlen(TEXT_80));
    assert_memory_equal(found[0].text, TEXT_80, strlen(TEXT_80));
    assert_int_equal(found[0].architecture, 80);
    assert_ptr_equal(found[1].text, (const char *)builder.bytes + second + 64);
    assert_int_equal(found[1].length, strlen(TEXT_90));
    assert_int_equal(found[1].architecture, 90);
    struct fatbin_ptx only = {0};
    assert_int_equal(find(&builder, &only, 1, error, sizeof error), 2);
    assert_int_equal(only.architecture, 80);
    assert_int_equal(find(&builder, NULL, 0, error, sizeof error), 2);
}

static void assert_refused(const struct builder *builder, const char *part)
{
    char error[256] = "";
    struct fatbin_ptx found[2];
    assert_int_equal(find(builder, found, 2, error, sizeof error), -1);
    if (!strstr(error, part))
        fail_msg("\"%s\", expected \"%s\"", error, part);
}

static void damage_is_refused(void **state)
{
    (void)state;
    struct builder builder, damaged;
    begin(&builder);
    add_entry(&builder, 2, 64, "\177ELF");
    size_t entry = add_entry(&builder, 1, 80, TEXT_80);
    static const struct {
        bool of_entry;
        size_t offset, size;
        uint64_t value;
        const char *part;
    } cases[] = {
        {false, 0, 4, 0xba55ed51, "the fat binary's header is damaged"},
        {false, 4, 2, 2, "the fat binary's header is damaged"},
        {false, 6, 2, 24, "the fat binary's header is damaged"},
        {false, 8, 8, 64 + 8 + 10, "ends inside the header of an entry"},
        {false, 8, 8, 64 + 8 + 80, "an entry of the fat binary is larger than what is left of it"},
        {true, 4, 4, 0, "an entry of the fat binary is larger than what is left of it"},
        {true, 4, 4, 0xffffffff, "an entry of the fat binary is larger than what is left of it"},
        {true, 8, 8, UINT64_MAX - 79, "an entry of the fat binary is larger than what is left of it"},
        {true, 16, 4, 40, "compressed: build with nvcc --no-compress"},
        {true, 8, 8, 0, "a PTX entry of the fat binary has no line such as .target sm_80"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        damaged = builder;
        if (cases[i].of_entry && !cases[i].value && cases[i].offset == 8) /* an empty text ends the fat binary */
            put(&damaged, 8, entry + 80 - HEADER_BYTES, 8);
        put(&damaged, (cases[i].of_entry ? entry : 0) + cases[i].offset, cases[i].value, cases[i].size);
        assert_refused(&damaged, cases[i].part);
    }
    begin(&damaged);
    add_entry(&damaged, 1, 80, ".version 9.0\n.target compute_80\n");
    assert_refused(&damaged, "no line such as .target sm_80");
    char error[256];
    struct wrapper wrapper = {0x466243b2, 1, builder.bytes, NULL};
    assert_int_equal(fatbin_find_ptx(&wrapper, NULL, 0, error, sizeof error), -1);
    assert_non_null(strstr(error, "wrapper is damaged"));
    wrapper = (struct wrapper){0x466243b1, 1, NULL, NULL};
    assert_int_equal(fatbin_find_ptx(&wrapper, NULL, 0, error, sizeof error), -1);
    assert_int_equal(fatbin_find_ptx(&wrapper, NULL, 0, NULL, 0), -1);
}

/* ---- what nvcc writes ---- */

/* The section of an object file, which the caller frees. */
static unsigned char *read_section(const char *path, const char *name)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    size_t bytes = (size_t)ftell(file);
    unsigned char *object = malloc(bytes), *section = NULL;
    assert_non_null(object);
    rewind(file);
    assert_int_equal(fread(object, 1, bytes, file), bytes);
    fclose(file);
    Elf64_Ehdr header;
    memcpy(&header, object, sizeof header);
    Elf64_Shdr *headers = malloc(header.e_shnum * sizeof *headers);
    assert_non_null(headers);
    memcpy(headers, object + header.e_shoff, header.e_shnum * sizeof *headers);
    const char *names = (const char *)object + headers[header.e_shstrndx].sh_offset;
    for (int i = 0; i < header.e_shnum && !section; i++) {
        if (strcmp(names + headers[i].sh_name, name) != 0)
            continue;
        section = malloc(headers[i].sh_size);
        assert_non_null(section);
        memcpy(section, object + headers[i].sh_offset, headers[i].sh_size);
    }
    free(headers);
    free(object);
    assert_non_null(section);
    return section;
}

/* nvcc from the path, or from where its installer puts it; skips the test without one. */
static const char *find_nvcc(void)
{
    char text[256];
    if (!run_command(text, sizeof text, "command -v nvcc"))
        return "nvcc";
    if (!run_command(text, sizeof text, "test -x /usr/local/cuda/bin/nvcc"))
        return "/usr/local/cuda/bin/nvcc";
    skip();
    return NULL;
}

static unsigned char *compile(const char *nvcc, const char *options)
{
    char text[4096], path[4096];
    snprintf(path, sizeof path, "%s/control.o", test_directory());
    if (run_command(text, sizeof text, "%s -c %s -o %s %s/tests/emulator/tests/ptx/control.cu", nvcc, options, path,
                    TEST_SOURCE_DIRECTORY))
        fail_msg("nvcc %s: %s", options, text);
    return read_section(path, ".nv_fatbin");
}

static void what_nvcc_writes_is_found_and_parsed(void **state)
{
    (void)state;
    const char *nvcc = find_nvcc();
    struct fatbin_ptx found[4];
    char error[256] = "";
    unsigned char *section = compile(nvcc, "--no-compress -gencode arch=compute_80,code=[sm_80,compute_80] "
                                           "-gencode arch=compute_90,code=compute_90");
    struct wrapper wrapper = {0x466243b1, 1, section, NULL};
    int count = fatbin_find_ptx(&wrapper, found, 4, error, sizeof error);
    if (count != 2)
        fail_msg("%d entries: %s", count, error);
    assert_int_equal(found[0].architecture + found[1].architecture, 170);
    for (int i = 0; i < count; i++) {
        char target[16];
        struct ptx_module *module = ptx_parse(found[i].text, found[i].length, error, sizeof error);
        if (!module)
            fail_msg("%s", error);
        snprintf(target, sizeof target, "sm_%d", found[i].architecture);
        assert_string_equal(module->target, target);
        assert_int_equal(module->kernel_count, 2);
        ptx_free(module);
    }
    free(section);
}

static void what_nvcc_compresses_is_refused(void **state)
{
    (void)state;
    char error[256] = "";
    unsigned char *section = compile(find_nvcc(), "-arch=compute_80");
    struct wrapper wrapper = {0x466243b1, 1, section, NULL};
    assert_int_equal(fatbin_find_ptx(&wrapper, NULL, 0, error, sizeof error), -1);
    assert_non_null(strstr(error, "compressed"));
    free(section);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_of_ptx_are_found_among_others),
        cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(what_nvcc_writes_is_found_and_parsed),
        cmocka_unit_test(what_nvcc_compresses_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
