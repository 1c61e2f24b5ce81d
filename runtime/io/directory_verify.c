/* Writes and parses MANIFEST, and checks that a folder is what its MANIFEST says. An unlisted file is refused like a
 * missing one: nothing vouches for it, and a reader might take it for part of the folder. */
#include "io/file_internal.h"

#include "core/array.h"
#include "io/atomic_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_LINE "spiritlm-manifest 1\n"
enum { HEX = 64, MANIFEST_MAX_BYTES = 16 << 20 };

enum status check_entry_name(const char *folder, const char *name)
{
    int slashes = 0;
    bool plain = *name && *name != '.' && strlen(name) < 1024 && strcmp(name, MANIFEST_NAME) != 0;
    for (const char *c = name; plain && *c; c++) {
        if (*c == '/') {
            slashes++;
            plain = slashes == 1 && c[1] && c[1] != '.' && c[1] != '/' && c != name;
        }
        plain = plain && (unsigned char)*c >= 32 && *c != 127;
    }
    return plain ? STATUS_OK : status_set(STATUS_INTERNAL, "%s: \"%s\" cannot be a file of this folder", folder, name);
}

enum status file_list_add(struct file_list *list, const char *folder, const char *name, int64_t size,
                          const struct sha256 *hash)
{
    enum status result = STATUS_OK;
    TRY(check_entry_name(folder, name));
    TRY(array_grow(&list->entries, &list->capacity, list->count + 1, "files of a folder"));
    char *copy = strdup(name);
    if (!copy)
        FAIL(STATUS_INTERNAL, "%s: out of memory", folder);
    list->entries[list->count++] = (struct manifest_entry){copy, size, *hash};
fail:
    return result;
}

void file_list_free(struct file_list *list)
{
    for (int64_t i = 0; i < list->count; i++)
        free(list->entries[i].name);
    free(list->entries);
    *list = (struct file_list){0};
}

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const struct manifest_entry *)a)->name, ((const struct manifest_entry *)b)->name);
}

void file_list_sort(struct file_list *list)
{
    if (list->count > 1)
        qsort(list->entries, (size_t)list->count, sizeof *list->entries, compare_entries);
}

char *manifest_text(const struct file_list *list)
{
    char *text = NULL, hex[HEX + 1];
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return NULL;
    fputs(FIRST_LINE, stream);
    for (int64_t i = 0; i < list->count; i++) {
        sha256_hex(&list->entries[i].hash, hex);
        fprintf(stream, "%s %lld %s\n", hex, (long long)list->entries[i].size, list->entries[i].name);
    }
    if (fflush(stream) == 0) {
        struct sha256 own = sha256_of(text, size);
        sha256_hex(&own, hex);
        fprintf(stream, "%s\n", hex);
    }
    bool failed = ferror(stream) != 0;
    if (fclose(stream) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}

/* One line "HASH SIZE NAME" without its newline, already NUL-terminated. */
static enum status parse_line(char *line, const char *folder, struct file_list *list)
{
    struct sha256 hash;
    char *end;
    if (strlen(line) < HEX + 4 || !sha256_from_hex(line, &hash) || line[HEX] != ' ' || line[HEX + 1] < '0' ||
        line[HEX + 1] > '9')
        return status_set(STATUS_CORRUPT, "%s/%s: unexpected line \"%s\"", folder, MANIFEST_NAME, line);
    errno = 0;
    long long size = strtoll(line + HEX + 1, &end, 10);
    if (errno || *end != ' ' || check_entry_name(folder, end + 1) != STATUS_OK)
        return status_set(STATUS_CORRUPT, "%s/%s: unexpected line \"%s\"", folder, MANIFEST_NAME, line);
    if (list->count && strcmp(list->entries[list->count - 1].name, end + 1) >= 0)
        return status_set(STATUS_CORRUPT, "%s/%s: \"%s\" is out of order", folder, MANIFEST_NAME, end + 1);
    return file_list_add(list, folder, end + 1, size, &hash);
}

static enum status parse_manifest(const char *folder, char *text, int64_t size, struct file_list *list)
{
    const int64_t first = (int64_t)strlen(FIRST_LINE);
    if (size < first + HEX + 1 || memcmp(text, FIRST_LINE, (size_t)first) != 0 || text[size - 1] != '\n' ||
        text[size - HEX - 2] != '\n' || memchr(text, 0, (size_t)size))
        return status_set(STATUS_CORRUPT, "%s/%s: damaged (not a complete manifest)", folder, MANIFEST_NAME);
    struct sha256 stated, found = sha256_of(text, (size_t)(size - HEX - 1));
    if (!sha256_from_hex(text + size - HEX - 1, &stated) || memcmp(&stated, &found, sizeof found) != 0)
        return status_set(STATUS_CORRUPT, "%s/%s: damaged (its own SHA-256 differs)", folder, MANIFEST_NAME);
    text[size - HEX - 1] = 0;
    for (char *line = text + first; *line;) {
        char *end = strchr(line, '\n');
        *end = 0; /* the byte before the last line is a newline, so every line has one */
        enum status result = parse_line(line, folder, list);
        if (result != STATUS_OK)
            return result;
        line = end + 1;
    }
    return STATUS_OK;
}

static bool is_listed(const struct file_list *list, const char *name)
{
    struct manifest_entry key = {.name = (char *)(uintptr_t)name};
    return list->count &&
           bsearch(&key, list->entries, (size_t)list->count, sizeof *list->entries, compare_entries) != NULL;
}

static enum status check_folder(const char *folder, const char *inside, const struct file_list *list, enum status code)
{
    char path[PATH_BYTES], name[PATH_BYTES];
    enum status result = path_format(path, "%s%s%s", folder, *inside ? "/" : "", inside);
    if (result != STATUS_OK)
        return result;
    DIR *entries = opendir(path);
    if (!entries)
        return status_set_errno(STATUS_IO, errno, "%s: cannot list the folder", path);
    for (struct dirent *entry; result == STATUS_OK && (errno = 0, entry = readdir(entries));) {
        if (entry->d_name[0] == '.' || (!*inside && strcmp(entry->d_name, MANIFEST_NAME) == 0))
            continue;
        struct stat info;
        bool is_folder = fstatat(dirfd(entries), entry->d_name, &info, 0) == 0 && S_ISDIR(info.st_mode);
        result = path_format(name, "%s%s%s", inside, *inside ? "/" : "", entry->d_name);
        if (result == STATUS_OK && is_folder && !*inside)
            result = check_folder(folder, name, list, code);
        else if (result == STATUS_OK && (is_folder || !is_listed(list, name)))
            result = status_set(code, "%s: holds %s, which %s does not list", folder, name, MANIFEST_NAME);
    }
    if (result == STATUS_OK && errno != 0) /* not the end of the folder but a failure to read further */
        result = status_set_errno(STATUS_IO, errno, "%s: cannot list the folder", path);
    closedir(entries);
    return result;
}

enum status check_no_extra(const char *folder, const struct file_list *list, enum status code)
{
    return check_folder(folder, "", list, code);
}

enum status hash_file(const char *path, int64_t *size, struct sha256 *hash)
{
    enum { PIECE = 1 << 20 };
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return status_set_errno(STATUS_IO, errno, "%s: cannot open", path);
    char *piece = malloc(PIECE);
    if (!piece) {
        close(descriptor);
        return status_set(STATUS_INTERNAL, "%s: out of memory", path);
    }
    struct sha256_stream *stream = sha256_start();
    enum status result = STATUS_OK;
    *size = 0;
    for (ssize_t got; (got = read(descriptor, piece, PIECE)) != 0;) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            result = status_set_errno(STATUS_IO, errno, "%s: cannot read", path);
            break;
        }
        sha256_add(stream, piece, (size_t)got);
        *size += got;
    }
    *hash = sha256_finish(stream);
    free(piece);
    close(descriptor);
    return result;
}

static enum status verify_entry(const char *folder, const struct manifest_entry *entry, bool hashes)
{
    char path[PATH_BYTES];
    enum status result = path_format(path, "%s/%s", folder, entry->name);
    struct stat info;
    if (result != STATUS_OK)
        return result;
    if (stat(path, &info) != 0) {
        bool missing = errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
        result = missing ? status_set(STATUS_CORRUPT, "%s: missing, though %s lists it", path, MANIFEST_NAME)
                         : status_set_errno(STATUS_IO, errno, "%s: cannot read its size", path);
    } else if (!S_ISREG(info.st_mode)) {
        result = status_set(STATUS_CORRUPT, "%s: not a file, though %s lists one", path, MANIFEST_NAME);
    } else if (info.st_size != entry->size) {
        result = status_set(STATUS_CORRUPT, "%s: expected %lld bytes as %s says, found %lld", path,
                            (long long)entry->size, MANIFEST_NAME, (long long)info.st_size);
    } else if (hashes) {
        struct sha256 hash;
        int64_t size;
        result = hash_file(path, &size, &hash);
        if (result == STATUS_OK && (size != entry->size || memcmp(&hash, &entry->hash, sizeof hash) != 0)) {
            char expected[HEX + 1], found[HEX + 1];
            sha256_hex(&entry->hash, expected);
            sha256_hex(&hash, found);
            result = status_set(STATUS_CORRUPT, "%s: damaged: expected SHA-256 %.16s... as %s says, found %.16s...",
                                path, expected, MANIFEST_NAME, found);
        }
    }
    return result;
}

enum status directory_verify(const char *path, bool hashes)
{
    enum status result = STATUS_OK;
    struct file_list list = {0};
    void *text = NULL;
    int64_t size;
    struct stat info;
    char manifest[PATH_BYTES];
    TRY(path_format(manifest, "%s/%s", path, MANIFEST_NAME));
    if (stat(path, &info) != 0) {
        bool missing = errno == ENOENT || errno == ENOTDIR;
        result = status_set_errno(missing ? STATUS_USAGE : STATUS_IO, errno, "%s: cannot open", path);
        goto fail;
    }
    if (!S_ISDIR(info.st_mode))
        FAIL(STATUS_USAGE, "%s: expected a folder, found a file", path);
    if (stat(manifest, &info) != 0 && errno == ENOENT)
        FAIL(STATUS_CORRUPT, "%s: not a complete folder of this toolkit: it has no %s", path, MANIFEST_NAME);
    TRY(file_read(manifest, MANIFEST_MAX_BYTES, &text, &size));
    TRY(parse_manifest(path, text, size, &list));
    TRY(check_no_extra(path, &list, STATUS_CORRUPT));
    for (int64_t i = 0; i < list.count; i++)
        TRY(verify_entry(path, &list.entries[i], hashes));
fail:
    file_list_free(&list);
    free(text);
    return result;
}
