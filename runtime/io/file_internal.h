/* Shared by the readers of files and the makers and verifiers of folders; not for other rooms. */
#ifndef SPIRITLM_IO_FILE_INTERNAL_H
#define SPIRITLM_IO_FILE_INTERNAL_H

#include "core/hash.h"
#include "core/path.h"
#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

#define MANIFEST_NAME "MANIFEST"

/* The code for a file that does not open: STATUS_USAGE when nothing has or can have that name, which is the mistake of
 * whoever named it; otherwise STATUS_IO. */
enum status code_of_open(int error);

/* Writes all bytes, in as many pieces as the system needs; `path` is for the error text. */
enum status write_all(int descriptor, const char *path, const void *data, int64_t size);

/* Whether a path names something open already, a pipe or a device: it is written to, never replaced. */
bool is_stream(const char *path);
enum status write_stream(const char *path, const void *data, int64_t size);

/* The folder that holds `path` ("." when it names none), allocated. NULL: out of memory. */
char *parent_folder(const char *path);

/* This host's name, without a slash. */
void host_name(char name[65]);

/* PATH.tmp-PID-HOST: the name of everything that is still being written. */
enum status temporary_path(const char *path, char temporary[PATH_BYTES]);

/* Appended to that for an old folder that is moved aside for an instant where two names cannot be exchanged. */
#define OLD_SUFFIX "+old"

/* As remove_leftovers, for one name; NULL: for all. */
enum status remove_leftovers_of(const char *folder, const char *name);

/* One line of MANIFEST. */
struct manifest_entry {
    char *name;
    int64_t size;
    struct sha256 hash;
};

struct file_list {
    struct manifest_entry *entries;
    int64_t count, capacity;
};

/* Takes ownership of nothing: the name is copied. Refuses the names that check_entry_name refuses. */
enum status file_list_add(struct file_list *list, const char *folder, const char *name, int64_t size,
                          const struct sha256 *hash);
void file_list_free(struct file_list *list);
void file_list_sort(struct file_list *list);

/* STATUS_INTERNAL unless the name is one or two plain parts ("a", "a/b"), none hidden, without control characters. */
enum status check_entry_name(const char *folder, const char *name);

/* The text of MANIFEST, allocated; the list must be sorted. NULL: out of memory. */
char *manifest_text(const struct file_list *list);

/* Refuses files (hidden ones aside) of the folder that are not in the list, with the status `code`. */
enum status check_no_extra(const char *folder, const struct file_list *list, enum status code);

/* Size and SHA-256 of a file, read in pieces. */
enum status hash_file(const char *path, int64_t *size, struct sha256 *hash);

#endif
