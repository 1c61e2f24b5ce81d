/* Files and folders that appear whole or not at all.
 *
 * A folder: everything is written into NAME.tmp-PID-HOST, each file is fsync'd, MANIFEST (size and SHA-256 of each
 * file, its own hash last) is written, the folder is fsync'd, renamed to NAME, and the parent is fsync'd. Whoever opens
 * a folder verifies it against MANIFEST first. A failed fsync fails the whole write and is not retried.
 *
 * MANIFEST is text, sorted by name (bytes), one space between the fields:
 *   spiritlm-manifest 1
 *   SHA-256-in-hex SIZE NAME          one line per file, in subfolders as "trainer/state.json"
 *   SHA-256-in-hex                    of all bytes before this line */
#ifndef SPIRITLM_IO_ATOMIC_FILE_H
#define SPIRITLM_IO_ATOMIC_FILE_H

#include "core/hash.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Reads a whole file into memory that the caller frees; one byte past the end is 0. A file larger than `limit` bytes
 * is refused. Missing file: STATUS_USAGE; other failures STATUS_IO. */
enum status file_read(const char *path, int64_t limit, void **data, int64_t *size);

/* The same for a text that a shell may hand over as a pipe (`--config <(...)`): whatever can be read to its end. */
enum status file_read_stream(const char *path, int64_t limit, void **data, int64_t *size);

/* Opens a file that is too long for memory, to be read from beginning to end. *file is NULL when there is none.
 * Anything other than a regular file is refused (STATUS_USAGE). */
enum status file_open_to_read(const char *path, FILE **file);

/* Durably truncates a file that is only ever appended to, to its first `size` bytes. */
enum status file_truncate(const char *path, int64_t size);

/* Writes path.tmp-PID-HOST, fsyncs, renames over `path`, fsyncs the folder. Nothing is left behind on failure.
 * What is no file but a pipe, a device or an open file (/dev/stdout) is written to instead. */
enum status atomic_write(const char *path, const void *data, int64_t size);

/* Whether it does so with this path. Nothing may be written beside such an output, and where a summary goes it must not come
 * between the rows: output_summary is standard output, or standard error when the output is such a stream, unless it is
 * standard error itself. */
bool output_is_stream(const char *path);
FILE *output_summary(const char *path);

/* Finds out whether atomic_write could write `path` now, and leaves what is there: a temporary file is made there and
 * removed. For long work whose results come last. */
enum status atomic_write_check(const char *path);

/* Appends to an open file (O_APPEND), all or nothing: on a full disk it gets its former length back. */
enum status append_whole(int descriptor, const char *path, const void *data, int64_t size);

/* Makes the names in a folder durable: fsync. */
enum status sync_folder(const char *path);

/* Makes the folder and its parents; fine when it exists. */
enum status make_directories(const char *path);

/* Removes a file or a folder with all in it; a missing one is fine. */
enum status remove_tree(const char *path);

/* Removes a folder so that it is never seen half-removed under its name: it becomes NAME.tmp-PID-HOST first, durably. A
 * missing one is fine. */
enum status atomic_remove(const char *path);

/* A file being written through its own buffer; hashed and counted as it grows. */
struct output_file;

struct atomic_directory; /* a folder being made */

/* Removes what killed processes of this host left half-written in the folder (NAME.tmp-PID-HOST), and gives what they
 * had moved aside its name back. Call it before this process writes there. */
enum status remove_leftovers(const char *folder);

/* `path` is the final name; its parents are made. It must not exist unless `replace`, in which case the two are
 * exchanged in one step and the old one is removed afterwards. Old NAME.tmp-* of dead processes are removed. The handle
 * belongs to one thread. */
enum status atomic_directory_begin(const char *path, bool replace, struct atomic_directory **directory);

/* Opens a new file in it; `name` may hold one level of subfolder ("trainer/state.json"). `expected_size` > 0 asks the
 * file system for that much space first. Close with output_close before commit. */
enum status atomic_directory_create(struct atomic_directory *directory, const char *name, int64_t expected_size,
                                    struct output_file **file);
enum status output_write(struct output_file *file, const void *data, int64_t size);
enum status output_close(struct output_file *file); /* fsync and close; frees `file` whatever happens */
void output_abandon(struct output_file *file); /* close it unfinished: the folder cannot be committed; NULL is fine */

/* Adds a whole small file in one call. */
enum status atomic_directory_add(struct atomic_directory *directory, const char *name, const void *data, int64_t size);

/* Adds a file that the caller wrote into atomic_directory_path(): it is fsync'd and hashed here. */
enum status atomic_directory_adopt(struct atomic_directory *directory, const char *name);
const char *atomic_directory_path(const struct atomic_directory *directory); /* of the temporary folder */

/* Publishes the folder and frees the handle. On failure the temporary folder is gone; only when the parent cannot be
 * fsync'd after the renaming do both remain, the new one under the name, since it is unknown which of them would
 * survive a power failure. */
enum status atomic_directory_commit(struct atomic_directory *directory);
void atomic_directory_abandon(struct atomic_directory *directory); /* removes the temporary folder; NULL is fine */

/* Checks MANIFEST of the folder: its own hash, and of every file it lists the size and, when `hashes`, the SHA-256.
 * STATUS_CORRUPT names the first file that differs, is missing, or is there without being listed (hidden files aside:
 * network file systems and desktops leave those). A folder without MANIFEST: STATUS_CORRUPT; no folder: STATUS_USAGE.
 */
enum status directory_verify(const char *path, bool hashes);

#endif
