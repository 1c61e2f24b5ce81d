/* Folders, zips and tars: random collections read back from every form, written byte by byte without libarchive
 * (support/archive_builder.h) and by Python (golden/archive), and everything that a stranger's archive may have wrong with it. */
#include "support/archive_builder.h"
#include "support/files.h"
#include "support/test_support.h"
#include "support/usage.h"

#include "core/hash.h"
#include "io/archive/archive.h"
#include "io/archive/members.h"
#include "io/atomic_file.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MEMBERS = 40, FORMS = 7 };
static const int64_t no_limit = INT64_C(1) << 40;

struct file {
    char name[128];
    unsigned char *data;
    int64_t size;
};

struct collection {
    struct file files[MEMBERS];
    int64_t count;
};

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

/* Names that are hard to sort: '/' against other characters, prefixes, composed and decomposed letters, numbers. */
static void make_collection(struct rng *rng, struct collection *collection)
{
    static const char *const folders[] = {"",           "lexical/dev/", "lexical/",
                                          "lexical-2/", "a b/c, d/",    "\xc3\xa9t\xc3\xa9/"};
    static const char *const ends[] = {".wav", "", ".txt", "e\xcc\x81.wav", " \"x\".wav", "'.csv"};
    collection->count = 1 + (int64_t)rng_below(rng, MEMBERS);
    for (int64_t i = 0; i < collection->count; i++) {
        struct file *file = &collection->files[i];
        snprintf(file->name, sizeof file->name, "%s%s%llu%s", folders[rng_below(rng, 6)], rng_below(rng, 2) ? "N" : "",
                 (unsigned long long)(100 * rng_below(rng, 12) + (uint64_t)i), ends[rng_below(rng, 6)]);
        int64_t sizes[] = {0, 1, 511, 512, 513, 65535, 65536, 65537, 70000};
        file->size = sizes[rng_below(rng, sizeof sizes / sizeof *sizes)];
        file->data = malloc((size_t)file->size + 1);
        assert_non_null(file->data);
        uint64_t variety = rng_below(rng, 2) ? 256 : 3; /* noise, and what can be compressed */
        for (int64_t k = 0; k < file->size; k++)
            file->data[k] = (unsigned char)rng_below(rng, variety);
    }
}

static void free_collection(struct collection *collection)
{
    for (int64_t i = 0; i < collection->count; i++)
        free(collection->files[i].data);
}

static const char *write_folder(const struct collection *collection)
{
    const char *root = test_path("folder");
    assert_ok(remove_tree(root));
    for (int64_t i = 0; i < collection->count; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", root, collection->files[i].name);
        *strrchr(path, '/') = '\0';
        assert_ok(make_directories(path));
        path[strlen(path)] = '/';
        write_plainly(path, collection->files[i].data, collection->files[i].size);
    }
    return root;
}

/* Writes form 0 to 6; the members in any order, with folders between them. */
static const char *write_form(const struct collection *collection, int form, struct rng *rng)
{
    static const struct zip_form zips[] = {
        {0}, {.deflated = true}, {.deflated = true, .descriptor = true}, {.zip64 = true}};
    static const char *const paths[FORMS] = {"", "0.zip", "1.zip", "2.zip", "3.zip", "0.tar", "1.tar.gz"};
    struct archive_builder builder = {0};
    if (form == 0)
        return write_folder(collection);
    int64_t order[MEMBERS];
    for (int64_t i = 0; i < collection->count; i++) {
        int64_t at = (int64_t)rng_below(rng, (uint64_t)i + 1);
        order[i] = order[at];
        order[at] = i;
    }
    for (int64_t i = 0; i < collection->count; i++) {
        const struct file *file = &collection->files[order[i]];
        char dotted[160];
        snprintf(dotted, sizeof dotted, "%s%s", rng_below(rng, 3) ? "" : "./", file->name);
        if (form < 5) {
            zip_add(&builder, dotted, (int64_t)strlen(dotted), file->data, file->size, zips[form - 1]);
            zip_add(&builder, "lexical/", 8, NULL, 0, (struct zip_form){0});
        } else {
            tar_add(&builder, dotted, '0', NULL, file->data, file->size);
            tar_add(&builder, "./lexical/", '5', NULL, NULL, 0);
        }
    }
    if (form < 5)
        zip_end(&builder, form == 2 ? "a comment" : "", form == 4);
    else
        tar_end(&builder, 2);
    if (form == 6)
        builder_gzip(&builder);
    builder_write(&builder, test_path("%s", paths[form]));
    return test_path("%s", paths[form]);
}

/* ---- reading back ---- */

struct seen {
    const struct collection *expected;
    const bool *wanted;
    bool shown[MEMBERS];
};

static enum status see(void *context, int64_t index, const void *data, int64_t size)
{
    struct seen *seen = context;
    const struct file *file = &seen->expected->files[index];
    assert_false(seen->shown[index]);
    assert_true(!seen->wanted || seen->wanted[index]);
    assert_int_equal(size, file->size);
    assert_memory_equal(data, file->data, (size_t)size);
    assert_int_equal(((const char *)data)[size], 0);
    seen->shown[index] = true;
    return STATUS_OK;
}

static void check_stream(struct archive *archive, const struct collection *expected, const bool *wanted)
{
    struct seen seen = {.expected = expected, .wanted = wanted};
    assert_ok(archive_stream(archive, wanted, 70000, see, &seen));
    for (int64_t i = 0; i < expected->count; i++)
        assert_true(seen.shown[i] == (!wanted || wanted[i]));
}

/* `expected` is in order of names. */
static void check_archive(struct archive *archive, const struct collection *expected, struct rng *rng)
{
    bool wanted[MEMBERS];
    assert_int_equal(archive_count(archive), expected->count);
    for (int64_t i = 0; i < expected->count; i++) {
        const struct file *file = &expected->files[i];
        assert_string_equal(archive_name(archive, i), file->name);
        assert_int_equal(archive_size(archive, i), file->size);
        assert_int_equal(archive_find(archive, file->name), i);
        wanted[i] = rng_below(rng, 3) == 0;
    }
    assert_int_equal(archive_find(archive, "lexical"), -1);
    assert_int_equal(archive_find(archive, ""), -1);
    assert_int_equal(archive_find(archive, "zzz"), -1);
    for (int i = 0; i < 10; i++) { /* there and back */
        int64_t index = (int64_t)rng_below(rng, (uint64_t)expected->count), size = -1;
        const struct file *file = &expected->files[index];
        void *data = NULL;
        assert_ok(archive_read(archive, index, file->size, &data, &size));
        assert_int_equal(size, file->size);
        assert_memory_equal(data, file->data, (size_t)size);
        assert_int_equal(((char *)data)[size], 0);
        free(data);
        if (file->size > 0)
            assert_fails(archive_read(archive, index, file->size - 1, &data, &size), STATUS_CORRUPT, file->name);
        assert_true(file->size == 0 || (!data && size == 0));
    }
    check_stream(archive, expected, NULL);
    check_stream(archive, expected, wanted);
    memset(wanted, 0, sizeof wanted);
    check_stream(archive, expected, wanted);
}

static void every_form_reads_the_same(void **state)
{
    (void)state;
    int rounds = test_is_long() ? 100 : 3;
    for (int round = 0; round < rounds; round++) {
        struct rng rng = rng_make(test_seed(), RNG_TEST, (uint64_t)round, 0);
        struct collection collection;
        char identities[FORMS][65];
        make_collection(&rng, &collection);
        qsort(collection.files, (size_t)collection.count, sizeof *collection.files, compare_files);
        for (int form = 0; form < FORMS; form++) {
            struct archive *archive = NULL;
            const char *path = write_form(&collection, form, &rng);
            assert_ok(archive_open(path, &archive));
            assert_string_equal(archive_path(archive), path);
            check_archive(archive, &collection, &rng);
            archive_identity(archive, identities[form]);
            archive_close(archive);
        }
        for (int form = 2; form <= 4; form++)
            assert_string_equal(identities[form], identities[1]);
        assert_string_equal(identities[5], identities[0]);
        assert_string_equal(identities[6], identities[0]);
        assert_string_not_equal(identities[1], identities[0]);
        free_collection(&collection);
    }
}

/* SHA-256 by coreutils over the lines that the header promises. */
static void identities_are_as_documented(void **state)
{
    (void)state;
    struct archive_builder builder = {0};
    struct archive *archive = NULL;
    char hex[65], expected[65], text[512];
    zip_add(&builder, "b/2.wav", 7, "The quick brown fox jumps over the lazy dog", 43, (struct zip_form){0});
    zip_add(&builder, "a.wav", 5, "", 0, (struct zip_form){0});
    zip_end(&builder, "", false);
    builder_write(&builder, test_path("i.zip"));
    assert_ok(archive_open(test_path("i.zip"), &archive));
    archive_identity(archive, hex);
    archive_close(archive);
    /* 414fa339 is the published CRC-32 of that sentence. */
    assert_int_equal(
        run_command(text, sizeof text, "printf 'a.wav\\t0\\t00000000\\nb/2.wav\\t43\\t414fa339\\n' | sha256sum"), 0);
    snprintf(expected, sizeof expected, "%.64s", text);
    assert_string_equal(hex, expected);
}

/* What Python's zipfile and tarfile wrote (oracles/archives_golden.py): the same four members in each, in either locale. */
static void read_files_of_python(void)
{
    static const char *const names[] = {"stored.zip", "deflated.zip", "streamed.zip", "zip64.zip",    "commented.zip",
                                        "ustar.tar",  "gnu.tar",      "pax.tar",      "joined.tar.gz"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[1024], folder[201];
        struct archive *archive = NULL;
        void *data = NULL;
        int64_t size = 0;
        memset(folder, 'd', 120);
        folder[120] = '\0';
        snprintf(path, sizeof path, "%s/archive/%s", TEST_GOLDEN_DIRECTORY, names[i]);
        assert_ok(archive_open(path, &archive));
        char expected[4][256] = {"", "e\xcc\x81.txt", "lexical/dev/gold.csv", "\xc3\xa9.txt"};
        bool is_long = strcmp(names[i], "ustar.tar") != 0;
        snprintf(expected[0], sizeof expected[0], is_long ? "%s/long.txt" : "%.90s/long.txt", folder);
        assert_int_equal(archive_count(archive), 4);
        for (int k = 0; k < 4; k++) {
            char text[64];
            assert_string_equal(archive_name(archive, k), expected[k]);
            assert_ok(archive_read(archive, k, 100000, &data, &size));
            snprintf(text, sizeof text, "contents %d\n", k);
            for (int64_t at = 0; at < size; at += (int64_t)strlen(text))
                assert_memory_equal((char *)data + at, text, strlen(text));
            assert_int_equal(size, (int64_t)strlen(text) * (k == 2 ? 300 : 1));
            free(data);
        }
        archive_close(archive);
    }
}

static void files_of_python_are_read(void **state)
{
    (void)state;
    read_files_of_python();
    assert_non_null(setlocale(LC_ALL, "C.UTF-8")); /* in which libarchive would compose letters and accents */
    read_files_of_python();
    setlocale(LC_ALL, "C");
}

/* ---- names ---- */

static enum status open_with_name(const char *name, int64_t length, bool zip)
{
    struct archive_builder builder = {0};
    struct archive *archive = NULL;
    const char *path = test_path(zip ? "name.zip" : "name.tar");
    if (zip) {
        zip_add(&builder, name, length, "x", 1, (struct zip_form){0});
        zip_end(&builder, "", false);
    } else {
        tar_add(&builder, name, '0', NULL, "x", 1);
        tar_end(&builder, 2);
    }
    builder_write(&builder, path);
    enum status result = archive_open(path, &archive);
    assert_true((result == STATUS_OK) == (archive != NULL));
    archive_close(archive);
    return result;
}

static void hostile_names_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int length;
        const char *part;
    } cases[] = {
        {"../x", 4, "member \"../x\": its name leads out of the archive"},
        {"a/../x", 6, "member \"a/../x\": its name leads out"},
        {"a/..", 4, "leads out"},
        {"..", 2, "leads out"},
        {"./..//x", 7, "leads out"},
        {"/etc/x", 6, "member \"/etc/x\": its name is absolute"},
        {"//x", 3, "is absolute"},
        {"a\nb", 3, "control character U+000A"},
        {"a\x1b[2Jb", 6, "control character U+001B"},
        {"a\x7f", 2, "control character U+007F"},
        {"a\xc2\x85", 3, "control character U+0085"},
        {"a\xe2\x80\xae", 4, "control character U+202E"},
        {"a\xff", 2, "is not UTF-8"},
        {"a\xc0\xaf", 3, "is not UTF-8"},
        {"a\xed\xa0\x80", 4, "is not UTF-8"},
        {"a\0b", 3, "control character U+0000"}, /* in a tar the name ends there */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int zip = 0; zip < 2; zip++) {
            if (!zip && strlen(cases[i].name) != (size_t)cases[i].length)
                continue;
            enum status result = open_with_name(cases[i].name, cases[i].length, zip);
            if (result != STATUS_CORRUPT || !strstr(status_text(), cases[i].part) ||
                !strstr(status_text(), zip ? "name.zip: member" : "name.tar: member"))
                fail_msg("case %zu, zip %d: %d, \"%s\"", i, zip, result, status_text());
        }
    static const char *const harmless[] = {"...", "a..b", "..a/b", "a/...", "a\\b", "C:x", "~x", "-x", "a\xc2\xa0"};
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        for (int zip = 0; zip < 2; zip++)
            assert_ok(open_with_name(harmless[i], (int64_t)strlen(harmless[i]), zip));
}

static void a_hostile_name_in_a_folder_is_refused(void **state)
{
    (void)state;
    struct archive *archive = NULL;
    assert_ok(make_directories(test_path("hostile")));
    write_text(test_path("hostile/a\x1b"), "x");
    assert_fails(archive_open(test_path("hostile"), &archive), STATUS_CORRUPT, "control character U+001B");
    assert_null(archive);
}

static void names_are_made_plain(void **state)
{
    (void)state;
    static const char *const given[] = {"./a", "b//c", "././d/./e", "f/g"}, *const plain[] = {"a", "b/c", "d/e", "f/g"};
    static const char *const ignored[] = {"__MACOSX/a",        "__MACOSX/lexical/._a", ".DS_Store",
                                          "lexical/.DS_Store", "lexical/._a",          "./__MACOSX/b"};
    struct archive *archive = NULL;
    struct archive_builder builders[2] = {{0}, {0}};
    for (int i = 0; i < 4; i++) {
        zip_add(&builders[0], given[i], (int64_t)strlen(given[i]), "x", 1, (struct zip_form){0});
        tar_add(&builders[1], given[i], '0', NULL, "x", 1);
    }
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) {
        zip_add(&builders[0], ignored[i], (int64_t)strlen(ignored[i]), "x", 1, (struct zip_form){0});
        tar_add(&builders[1], ignored[i], '0', NULL, "x", 1);
    }
    zip_end(&builders[0], "", false);
    tar_end(&builders[1], 2);
    for (int form = 0; form < 2; form++) {
        builder_write(&builders[form], test_path("plain"));
        assert_ok(archive_open(test_path("plain"), &archive));
        assert_int_equal(archive_count(archive), 4);
        for (int i = 0; i < 4; i++)
            assert_string_equal(archive_name(archive, i), plain[i]);
        archive_close(archive);
    }
}

static void two_members_of_one_name_are_refused(void **state)
{
    (void)state;
    struct archive *archive = NULL;
    struct archive_builder builders[2] = {{0}, {0}};
    static const char *const names[] = {"a/b.wav", "c", "a/./b.wav"};
    for (int i = 0; i < 3; i++) {
        zip_add(&builders[0], names[i], (int64_t)strlen(names[i]), "x", 1, (struct zip_form){0});
        tar_add(&builders[1], names[i], '0', NULL, "x", 1);
    }
    zip_end(&builders[0], "", false);
    tar_end(&builders[1], 2);
    for (int form = 0; form < 2; form++) {
        builder_write(&builders[form], test_path("double"));
        assert_fails(archive_open(test_path("double"), &archive), STATUS_CORRUPT,
                     "double: two members have the name \"a/b.wav\"");
    }
}

static void links_and_folders(void **state)
{
    (void)state;
    struct archive *archive = NULL;
    struct archive_builder builder = {0};
    tar_add(&builder, "a.wav", '0', NULL, "x", 1);
    tar_add(&builder, "b.wav", '2', "a.wav", NULL, 0);
    tar_add(&builder, "c.wav", '2', "/etc/passwd", NULL, 0);
    tar_add(&builder, "d", '5', NULL, NULL, 0);
    tar_add(&builder, "e", '6', NULL, NULL, 0);
    tar_end(&builder, 2);
    builder_write(&builder, test_path("links.tar"));
    assert_ok(archive_open(test_path("links.tar"), &archive));
    assert_int_equal(archive_count(archive), 1);
    archive_close(archive);
    tar_add(&builder, "a.wav", '0', NULL, "x", 1);
    tar_add(&builder, "b.wav", '1', "a.wav", NULL, 0);
    tar_end(&builder, 2);
    builder_write(&builder, test_path("hard.tar"));
    assert_fails(archive_open(test_path("hard.tar"), &archive), STATUS_CORRUPT, "member \"b.wav\" is a hard link");
    zip_add(&builder, "a.wav", 5, "x", 1, (struct zip_form){.unix_mode = S_IFREG | 0644});
    zip_add(&builder, "b.wav", 5, "a.wav", 5, (struct zip_form){.unix_mode = S_IFLNK | 0777});
    zip_add(&builder, "d", 1, "", 0, (struct zip_form){.unix_mode = S_IFDIR | 0755});
    zip_end(&builder, "", false);
    builder_write(&builder, test_path("links.zip"));
    assert_ok(archive_open(test_path("links.zip"), &archive));
    assert_int_equal(archive_count(archive), 1);
    archive_close(archive);

    assert_ok(make_directories(test_path("elsewhere/inside")));
    assert_ok(make_directories(test_path("links/sub")));
    write_text(test_path("elsewhere/inside/secret"), "s");
    write_text(test_path("elsewhere/file"), "12345");
    write_text(test_path("links/sub/own"), "o");
    assert_int_equal(symlink("../../elsewhere/file", test_path("links/sub/linked")), 0);
    assert_int_equal(symlink("../elsewhere", test_path("links/folder")), 0);
    assert_int_equal(symlink("..", test_path("links/sub/circle")), 0);
    assert_int_equal(symlink("nowhere", test_path("links/dangling")), 0);
    assert_int_equal(mkfifo(test_path("links/pipe"), 0600), 0);
    assert_ok(archive_open(test_path("links"), &archive));
    assert_int_equal(archive_count(archive), 2);
    assert_string_equal(archive_name(archive, 0), "sub/linked");
    assert_int_equal(archive_size(archive, 0), 5);
    assert_string_equal(archive_name(archive, 1), "sub/own");
    archive_close(archive);
}

/* ---- damage ---- */

static void encrypted_members_are_refused(void **state)
{
    (void)state;
    struct archive *archive = NULL;
    struct archive_builder builder = {0};
    zip_add(&builder, "secret.wav", 10, "x", 1, (struct zip_form){.flags = 1});
    zip_end(&builder, "", false);
    builder_write(&builder, test_path("e.zip"));
    assert_fails(archive_open(test_path("e.zip"), &archive), STATUS_CORRUPT,
                 "e.zip: member \"secret.wav\" is encrypted");
}

/* 14 is LZMA, whose decoder takes as much memory as a member asks for. */
static void other_methods_are_refused(void **state)
{
    (void)state;
    struct archive *archive = NULL;
    struct archive_builder builder = {0};
    void *data = NULL;
    int64_t size = 0;
    zip_add(&builder, "a.wav", 5, "x", 1, (struct zip_form){.method = 14, .local_method = 14});
    zip_end(&builder, "", false);
    builder_write(&builder, test_path("m.zip"));
    assert_fails(archive_open(test_path("m.zip"), &archive), STATUS_CORRUPT,
                 "m.zip: member \"a.wav\" is compressed by method 14");
    zip_add(&builder, "a.wav", 5, "x", 1, (struct zip_form){.local_method = 14});
    zip_end(&builder, "", false);
    builder_write(&builder, test_path("n.zip"));
    assert_ok(archive_open(test_path("n.zip"), &archive));
    assert_fails(archive_read(archive, 0, 10, &data, &size), STATUS_CORRUPT,
                 "n.zip: member \"a.wav\": damaged: its header has another method");
    archive_close(archive);
}

static void build_small(struct archive_builder *builder, int form)
{
    char data[900];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * i % 251);
    for (int i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%d.wav", i);
        if (form < 2)
            zip_add(builder, name, 6, data, 300 * i, (struct zip_form){.deflated = form == 1});
        else
            tar_add(builder, name, '0', NULL, data, 300 * i);
    }
    if (form < 2)
        zip_end(builder, "", false);
    else
        tar_end(builder, 2);
    if (form == 3)
        builder_gzip(builder);
}

/* Cut off at every byte. Of a plain tar the second block of the end mark may be missing. */
static void truncated_archives_are_refused(void **state)
{
    (void)state;
    for (int form = 0; form < 4; form++) {
        struct archive_builder builder = {0};
        build_small(&builder, form);
        int64_t needed = form == 2 ? builder.size - 512 : builder.size;
        for (int64_t size = 0; size <= builder.size; size++) {
            struct archive *archive = NULL;
            write_plainly(test_path("cut"), builder.bytes, size);
            enum status result = archive_open(test_path("cut"), &archive);
            if (result != (size < needed ? STATUS_CORRUPT : STATUS_OK) || (archive != NULL) != (result == STATUS_OK) ||
                (result != STATUS_OK && !strstr(status_text(), "/cut: ")))
                fail_msg("form %d, %lld of %lld bytes: %d, \"%s\"", form, (long long)size, (long long)builder.size,
                         result, status_text());
            archive_close(archive);
        }
        builder_free(&builder);
    }
}

/* Reads everything. With `checked` what is read must be what was put in; with `whole` all of it must be there. */
static enum status read_small(bool checked, bool whole)
{
    struct archive *archive = NULL;
    enum status result = archive_open(test_path("flip"), &archive);
    for (int64_t i = 0; result == STATUS_OK && i < archive_count(archive); i++) {
        void *data = NULL;
        int64_t size = 0;
        result = archive_read(archive, i, 1 << 20, &data, &size);
        for (int64_t k = 0; checked && result == STATUS_OK && k < size; k++)
            assert_int_equal(((char *)data)[k], (char)(k * k % 251));
        free(data);
    }
    assert_true(result != STATUS_OK || !whole || archive_count(archive) == 3);
    if (result == STATUS_OK && checked && archive_count(archive) == 3)
        for (int64_t i = 0; i < 3; i++)
            assert_int_equal(archive_size(archive, i), 300 * i);
    archive_close(archive);
    return result;
}

/* Every bit of every byte turned. What is accepted all the same (a date, a version) has the right contents wherever the form has
 * checksums. */
static void flipped_bits(void **state)
{
    (void)state;
    for (int form = 0; form < 4; form++) {
        struct archive_builder builder = {0};
        build_small(&builder, form);
        int64_t accepted = 0, bits = builder.size * 8, step = test_is_long() ? 1 : 11;
        for (int64_t bit = 0; bit < bits; bit += step) {
            builder.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
            write_plainly(test_path("flip"), builder.bytes, builder.size);
            enum status result = read_small(form != 2, form == 3);
            if (result != STATUS_OK && (result != STATUS_CORRUPT || !strstr(status_text(), "/flip: ")))
                fail_msg("form %d, bit %lld: %d, \"%s\"", form, (long long)bit, result, status_text());
            accepted += result == STATUS_OK;
            builder.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        }
        print_message("form %d: %lld of %lld flipped bits were harmless\n", form, (long long)accepted,
                      (long long)(bits / step));
        builder_free(&builder);
    }
}

/* A damaged member does not keep the others from being read, and no other is touched. */
static void other_members_are_not_touched(void **state)
{
    (void)state;
    for (int form = 0; form < 3; form++) {
        struct archive_builder builder = {0};
        struct archive *archive = NULL;
        void *data = NULL;
        int64_t size = 0;
        build_small(&builder, form);
        const unsigned char *second = memmem(builder.bytes, (size_t)builder.size, "f1.wav", 6);
        assert_non_null(second);
        memset(builder.bytes + (second - builder.bytes), 0xff, form == 2 ? 512 + 300 : 6 + 100);
        write_plainly(test_path("part"), builder.bytes, builder.size);
        if (form == 2) { /* the listing of a tar needs all headers: damage it later */
            assert_fails(archive_open(test_path("part"), &archive), STATUS_CORRUPT, "part: truncated or damaged");
            builder_free(&builder);
            continue;
        }
        assert_ok(archive_open(test_path("part"), &archive));
        assert_ok(archive_read(archive, 2, 1000, &data, &size));
        assert_int_equal(size, 600);
        free(data);
        assert_fails(archive_read(archive, 1, 1000, &data, &size), STATUS_CORRUPT, "part: member \"f1.wav\": ");
        archive_close(archive);
        builder_free(&builder);
    }
}

static void a_false_crc_and_a_false_name(void **state)
{
    (void)state;
    struct archive_builder builder = {0};
    struct archive *archive = NULL;
    void *data = NULL;
    int64_t size = 0;
    zip_add(&builder, "a.wav", 5, "abc", 3, (struct zip_form){.wrong_crc = 1});
    zip_add(&builder, "b.wav", 5, "abc", 3, (struct zip_form){.local_name = "c.wav"});
    zip_add(&builder, "d.wav", 5, "abc", 3, (struct zip_form){.claimed_size = 4});
    zip_add(&builder, "e.wav", 5, "abc", 3, (struct zip_form){.directory_crc = 1});
    zip_end(&builder, "", false);
    builder_write(&builder, test_path("false.zip"));
    assert_ok(archive_open(test_path("false.zip"), &archive));
    assert_fails(archive_read(archive, 0, 10, &data, &size), STATUS_CORRUPT, "false.zip: member \"a.wav\": ");
    assert_fails(archive_read(archive, 1, 10, &data, &size), STATUS_CORRUPT,
                 "false.zip: member \"b.wav\": damaged: \"c.wav\" is found in its place");
    assert_fails(archive_read(archive, 2, 10, &data, &size), STATUS_CORRUPT, "false.zip: member \"d.wav\": ");
    assert_fails(archive_read(archive, 3, 10, &data, &size), STATUS_CORRUPT,
                 "false.zip: member \"e.wav\": damaged: expected CRC-32 352441c3, found 352441c2"); /* that of "abc" */
    archive_close(archive);
}

/* ---- size ---- */

/* 96 MB of zeros in 400 kB, and headers that claim less or more: nothing is inflated beyond the limit. */
static void bombs_stop_at_the_limit(void **state)
{
    (void)state;
    enum { BOMB = 96 << 20 };
    static const int64_t claims[] = {0, 1000, INT64_C(1) << 62};
    char *zeros = calloc(1, BOMB);
    assert_non_null(zeros);
    for (int i = 0; i < 3; i++) {
        struct archive_builder builder = {0};
        zip_add(&builder, "bomb", 4, zeros, BOMB,
                (struct zip_form){.deflated = true, .zip64 = true, .claimed_size = claims[i]});
        zip_end(&builder, "", true);
        builder_write(&builder, test_path("bomb%d.zip", i));
    }
    free(zeros);
    for (int i = 0; i < 3; i++) {
        struct archive *archive = NULL;
        void *data = NULL;
        int64_t size = 0, before = peak_kilobytes();
        double begin = processor_seconds();
        assert_ok(archive_open(test_path("bomb%d.zip", i), &archive));
        assert_int_equal(archive_size(archive, 0), claims[i] ? claims[i] : BOMB);
        assert_fails(archive_read(archive, 0, 1 << 20, &data, &size), STATUS_CORRUPT, "member \"bomb\": expected");
        if (i == 2) /* claims more than there is: nothing is allocated for a claim */
            assert_fails(archive_read(archive, 0, INT64_C(1) << 62, &data, &size), STATUS_CORRUPT, "member \"bomb\": ");
        else if (!(processor_seconds() - begin <= 0.05))
            fail_msg("%g seconds", processor_seconds() - begin);
        assert_true(peak_kilobytes() - before < 64 << 10 || i == 2);
        archive_close(archive);
    }
}

static void too_many_members_are_refused(void **state)
{
    (void)state;
    struct listing listing = {0};
    struct member member = {.size = 1};
    for (int64_t i = 0; i < 4000000; i++)
        if (listing_count(&listing, "x.zip", 20) != STATUS_OK)
            fail_msg("%lld: %s", (long long)i, status_text());
    assert_fails(listing_add(&listing, "x.zip", "a", 1, &member), STATUS_CORRUPT,
                 "x.zip: expected at most 4000000 members");
    listing_free(&listing);
    for (int64_t i = 0; i < (INT64_C(1) << 30) / 1024; i++)
        assert_ok(listing_count(&listing, "x.zip", 1023));
    assert_fails(listing_count(&listing, "x.zip", 0), STATUS_CORRUPT,
                 "names of its members have more than 1073741824 bytes");
}

static void a_large_member_takes_its_own_size(void **state)
{
    (void)state;
    enum { LARGE = 32 << 20 };
    char *bytes = calloc(1, LARGE);
    assert_non_null(bytes);
    struct archive_builder builder = {0};
    zip_add(&builder, "large", 5, bytes, LARGE, (struct zip_form){.deflated = true});
    zip_end(&builder, "", false);
    builder_write(&builder, test_path("large.zip"));
    free(bytes);
    struct archive *archive = NULL;
    void *data = NULL;
    int64_t size = 0;
    assert_ok(archive_open(test_path("large.zip"), &archive));
    assert_ok(archive_read(archive, 0, no_limit, &data, &size));
    assert_int_equal(size, LARGE);
    free(data);
    archive_close(archive);
}

/* ---- the file changes, or is no archive ---- */

static enum status stop(void *context, int64_t index, const void *data, int64_t size)
{
    (void)index, (void)data, (void)size;
    ++*(int *)context;
    return status_set(STATUS_UNMET, "enough");
}

static void a_visitor_ends_the_pass(void **state)
{
    (void)state;
    for (int form = 0; form < 4; form++) {
        struct archive_builder builder = {0};
        struct archive *archive = NULL;
        int calls = 0;
        build_small(&builder, form);
        builder_write(&builder, test_path("small%d", form));
        assert_ok(archive_open(test_path("small%d", form), &archive));
        assert_fails(archive_stream(archive, NULL, 1000, stop, &calls), STATUS_UNMET, "enough");
        assert_int_equal(calls, 1);
        assert_fails(archive_stream(archive, NULL, 599, stop, &calls), STATUS_UNMET, "enough");
        archive_close(archive);
    }
}

static void changed_files_are_refused(void **state)
{
    (void)state;
    struct archive *archive = NULL;
    void *data = NULL;
    int64_t size = 0;
    for (int form = 0; form < 4; form++) {
        struct archive_builder builder = {0};
        int calls = 0;
        build_small(&builder, form);
        write_plainly(test_path("c"), builder.bytes, builder.size);
        assert_ok(archive_open(test_path("c"), &archive));
        builder_put(&builder, "x", 1);
        write_plainly(test_path("c"), builder.bytes, builder.size);
        assert_fails(archive_read(archive, 1, 1000, &data, &size), STATUS_CORRUPT, "c: the file was changed");
        assert_fails(archive_stream(archive, NULL, 1000, stop, &calls), STATUS_CORRUPT, "c: the file was changed");
        assert_int_equal(calls, 0);
        archive_close(archive);
        builder_free(&builder);
    }
    assert_ok(make_directories(test_path("changing")));
    write_text(test_path("changing/a"), "aaa");
    write_text(test_path("changing/b"), "bbb");
    assert_ok(archive_open(test_path("changing"), &archive));
    write_text(test_path("changing/a"), "aaaa");
    assert_int_equal(unlink(test_path("changing/b")), 0);
    assert_fails(archive_read(archive, 0, 1000, &data, &size), STATUS_CORRUPT,
                 "changing/a: expected a file of 3 bytes");
    assert_fails(archive_read(archive, 1, 1000, &data, &size), STATUS_CORRUPT, "changing/b: No such file");
    archive_close(archive);
}

static void what_is_no_archive_is_refused(void **state)
{
    (void)state;
    struct archive *archive = (void *)1;
    assert_fails(archive_open(test_path("missing.zip"), &archive), STATUS_USAGE, "missing.zip: No such file");
    assert_null(archive);
    write_text(test_path("empty.zip"), "");
    assert_fails(archive_open(test_path("empty.zip"), &archive), STATUS_CORRUPT,
                 "empty.zip: empty file; expected a folder");
    write_text(test_path("text.zip"), "not an archive, but some text that is longer than nothing\n");
    assert_fails(archive_open(test_path("text.zip"), &archive), STATUS_CORRUPT, "text.zip: expected a folder, a .zip");
    struct archive_builder builder = {0};
    builder_put(&builder, "some text, gzipped", 18);
    builder_gzip(&builder);
    builder_write(&builder, test_path("text.gz"));
    assert_fails(archive_open(test_path("text.gz"), &archive), STATUS_CORRUPT, "text.gz: expected a folder, a .zip");
    assert_int_equal(mkfifo(test_path("pipe"), 0600), 0);
    assert_fails(archive_open(test_path("pipe"), &archive), STATUS_USAGE, "pipe: expected a folder");
    /* Empty ones are archives. */
    zip_end(&builder, "", false);
    builder_write(&builder, test_path("none.zip"));
    tar_end(&builder, 20);
    builder_write(&builder, test_path("none.tar"));
    assert_ok(make_directories(test_path("none")));
    static const char *const none[] = {"none.zip", "none.tar", "none"};
    for (int i = 0; i < 3; i++) {
        assert_ok(archive_open(test_path("%s", none[i]), &archive));
        assert_int_equal(archive_count(archive), 0);
        assert_int_equal(archive_find(archive, "a"), -1);
        assert_ok(archive_stream(archive, NULL, 10, stop, NULL));
        archive_close(archive);
    }
}

/* A thousand of 5,000 members in random order, from a zip and from a tar: a member's place is known. */
static void random_access_is_quick(void **state)
{
    (void)state;
    enum { MANY = 5000, READS = 1000 };
    struct rng rng = rng_make(test_seed(), RNG_TEST, 77, 0);
    for (int form = 0; form < 2; form++) {
        struct archive_builder builder = {0};
        struct archive *archive = NULL;
        for (int i = 0; i < MANY; i++) {
            char name[32];
            int length = snprintf(name, sizeof name, "lexical/dev/%06d.wav", (i * 7919) % MANY);
            if (form == 0)
                zip_add(&builder, name, length, name, length, (struct zip_form){.deflated = true});
            else
                tar_add(&builder, name, '0', NULL, name, length);
        }
        if (form == 0)
            zip_end(&builder, "", false);
        else
            tar_end(&builder, 2);
        builder_write(&builder, test_path("many"));
        assert_ok(archive_open(test_path("many"), &archive));
        double begin = processor_seconds();
        for (int i = 0; i < READS; i++) {
            void *data = NULL;
            int64_t index = (int64_t)rng_below(&rng, MANY), size = 0;
            assert_ok(archive_read(archive, index, 100, &data, &size));
            assert_string_equal(data, archive_name(archive, index));
            free(data);
        }
        double seconds = processor_seconds() - begin;
        print_message("form %d: %.1f microseconds per member\n", form, seconds / READS * 1e6);
        assert_true(seconds <= 5); /* going through all headers each time takes minutes */
        archive_close(archive);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bombs_stop_at_the_limit), /* first: it measures the peak of memory */
        cmocka_unit_test(every_form_reads_the_same),
        cmocka_unit_test(identities_are_as_documented),
        cmocka_unit_test(files_of_python_are_read),
        cmocka_unit_test(hostile_names_are_refused),
        cmocka_unit_test(a_hostile_name_in_a_folder_is_refused),
        cmocka_unit_test(names_are_made_plain),
        cmocka_unit_test(two_members_of_one_name_are_refused),
        cmocka_unit_test(links_and_folders),
        cmocka_unit_test(encrypted_members_are_refused),
        cmocka_unit_test(other_methods_are_refused),
        cmocka_unit_test(truncated_archives_are_refused),
        cmocka_unit_test(flipped_bits),
        cmocka_unit_test(other_members_are_not_touched),
        cmocka_unit_test(a_false_crc_and_a_false_name),
        cmocka_unit_test(too_many_members_are_refused),
        cmocka_unit_test(a_large_member_takes_its_own_size),
        cmocka_unit_test(a_visitor_ends_the_pass),
        cmocka_unit_test(changed_files_are_refused),
        cmocka_unit_test(what_is_no_archive_is_refused),
        cmocka_unit_test(random_access_is_quick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
