/* Lines are verified one by one when the journal is opened, and kept in memory as a JSON object by id: an evaluation has some
 * ten thousand items of a few hundred bytes. */
#include "eval/journal/journal.h"

#include "core/hash.h"
#include "core/log.h"
#include "core/path.h"
#include "io/atomic_file.h"
#include "io/json.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHECK_BYTES = 9, FILE_LIMIT = 2000 << 20 }; /* eight digits and a space */

struct journal {
    char path[PATH_BYTES];
    struct file_lock *lock;
    int descriptor;
    json_t *items; /* by id */
    pthread_mutex_t mutex;
};

/* ---- lines ---- */

/* Whether a line, without its '\n', is as long as it says and undamaged. */
static bool line_is_whole(const char *line, int64_t length)
{
    char digits[CHECK_BYTES + 1];
    if (length <= CHECK_BYTES)
        return false;
    snprintf(digits, sizeof digits, "%08x ", (unsigned)crc32c(0, line + CHECK_BYTES, (size_t)(length - CHECK_BYTES)));
    return memcmp(line, digits, CHECK_BYTES) == 0;
}

/* Appends a line and waits until it is on the disk; takes `json` over. */
static enum status append_line(const struct journal *journal, json_t *json)
{
    enum status result = STATUS_OK;
    char *text = json ? jdoc_text(json, 0) : NULL, *line = NULL; /* ends with '\n' */
    if (!text || asprintf(&line, "%08x %s", (unsigned)crc32c(0, text, strlen(text) - 1), text) < 0) {
        line = NULL;
        FAIL(STATUS_INTERNAL, "no memory for a line of %s", journal->path);
    }
    TRY(append_whole(journal->descriptor, journal->path, line, (int64_t)strlen(line)));
    if (fdatasync(journal->descriptor) != 0)
        FAIL(STATUS_IO, "%s: cannot be written to the disk: %s", journal->path, strerror(errno));
fail:
    json_decref(json);
    free(text);
    free(line);
    return result;
}

/* ---- reading ---- */

static enum status refuse(const struct journal *journal, const char *name, const json_t *there, const json_t *wanted)
{
    char *a = there ? json_dumps(there, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    char *b = wanted ? json_dumps(wanted, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    enum status result =
        status_set(STATUS_USAGE,
                   "%s: an interrupted evaluation with %s %.300s, and this one has %.300s: finish that "
                   "one first, remove the file, or name another --out",
                   journal->path, name, a ? a : "absent", b ? b : "absent");
    free(a);
    free(b);
    return result;
}

static enum status check_identity(const struct journal *journal, const json_t *there, const json_t *wanted)
{
    const char *name;
    const json_t *value;
    json_object_foreach((json_t *)(uintptr_t)wanted, name, value)
    {
        const json_t *other = json_object_get(there, name);
        if (!json_equal(other, value))
            return refuse(journal, name, other, value);
    }
    json_object_foreach((json_t *)(uintptr_t)there, name, value)
    {
        if (!json_object_get(wanted, name))
            return refuse(journal, name, value, NULL);
    }
    return STATUS_OK;
}

static enum status take_line(struct journal *journal, int64_t number, const char *line, int64_t length,
                             const json_t *identity)
{
    enum status result = STATUS_OK;
    char where[PATH_BYTES + 32];
    const char *id;
    json_t *root = NULL;
    snprintf(where, sizeof where, "%s:%lld", journal->path, (long long)number);
    TRY(jdoc_parse(where, line + CHECK_BYTES, length - CHECK_BYTES, &root));
    if (number == 1) {
        if (json_integer_value(json_object_get(root, "journal")) != 1)
            FAIL(STATUS_CORRUPT, "%s: expected a journal of version 1", where);
        TRY(check_identity(journal, json_object_get(root, "identity"), identity));
    } else {
        TRY(jdoc_get_string(where, root, "id", &id));
        if (json_object_get(journal->items, id))
            FAIL(STATUS_CORRUPT, "%s: the item %s is there a second time", where, id);
        if (!json_object_get(root, "item"))
            FAIL(STATUS_CORRUPT, "%s: the item %s is missing", where, id);
        if (json_object_set(journal->items, id, json_object_get(root, "item")) != 0)
            FAIL(STATUS_INTERNAL, "no memory for the items of %s", journal->path);
    }
fail:
    json_decref(root);
    return result;
}

/* Whether any line behind `at` is whole: then what is before it is damage and not the end that a crash leaves. */
static bool goes_on(const char *at, const char *end)
{
    for (const char *next; at < end && (next = memchr(at, '\n', (size_t)(end - at))); at = next + 1)
        if (line_is_whole(at, next - at))
            return true;
    return false;
}

static bool has_items(const char *text, int64_t size)
{
    const char *first = size > 0 ? memchr(text, '\n', (size_t)size) : NULL;
    return first && goes_on(first + 1, text + size);
}

/* *whole: bytes of undamaged lines. */
static enum status read_lines(struct journal *journal, const char *text, int64_t size, const json_t *identity,
                              int64_t *whole)
{
    const char *end = text + size, *next;
    int64_t number = 0;
    for (const char *at = text; at < end; at = next + 1) {
        next = memchr(at, '\n', (size_t)(end - at));
        if (!next || !line_is_whole(at, next - at)) {
            if (next && goes_on(next + 1, end))
                return status_set(STATUS_CORRUPT, "%s:%lld: the line is damaged; remove the file to begin anew",
                                  journal->path, (long long)number + 1);
            break;
        }
        enum status result = take_line(journal, ++number, at, next - at, identity);
        if (result != STATUS_OK)
            return result;
        *whole = next + 1 - text;
    }
    return STATUS_OK;
}

/* Reads what is there, cuts off what is not whole, and writes the first line if there is none. */
static enum status begin(struct journal *journal, const json_t *identity)
{
    enum status result = STATUS_OK;
    void *data = NULL;
    int64_t size = 0, whole = 0;
    if (access(journal->path, F_OK) == 0)
        TRY(file_read(journal->path, FILE_LIMIT, &data, &size));
    if (has_items(data, size)) /* a journal without any is nobody's loss, whosever it was */
        TRY(read_lines(journal, data, size, identity, &whole));
    if (whole < size)
        TRY(file_truncate(journal->path, whole));
    journal->descriptor = open(journal->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (journal->descriptor < 0)
        FAIL(STATUS_IO, "%s: cannot be written: %s", journal->path, strerror(errno));
    if (whole == 0)
        TRY(append_line(journal, json_pack("{s:i, s:O}", "journal", 1, "identity", identity)));
    if (journal_count(journal) > 0)
        log_info("%s: going on after %lld finished items", journal->path, (long long)journal_count(journal));
fail:
    free(data);
    return result;
}

/* ".journal_asr.log.lock" in the journal's folder. */
static enum status lock(struct journal *journal, enum lock_policy locks)
{
    enum status result = STATUS_OK;
    char folder[PATH_BYTES], file[PATH_BYTES];
    const char *slash = strrchr(journal->path, '/');
    TRY(path_format(folder, "%.*s", slash ? (int)(slash - journal->path) : 1, slash ? journal->path : "."));
    TRY(path_format(file, ".%s.lock", slash ? slash + 1 : journal->path));
    TRY(lock_acquire(&(struct lock_request){.folder = folder,
                                            .file = file,
                                            .what = journal->path,
                                            .advice = "name another --out",
                                            .policy = locks,
                                            .patience = LOCK_REFUSE},
                     &journal->lock));
fail:
    return result;
}

enum status journal_open(const char *path, const json_t *identity, enum lock_policy locks, struct journal **out)
{
    enum status result = STATUS_OK;
    struct journal *journal = calloc(1, sizeof *journal);
    *out = NULL;
    if (!journal)
        return status_set(STATUS_INTERNAL, "no memory for %s", path);
    journal->descriptor = -1;
    journal->items = json_object();
    if (!journal->items || pthread_mutex_init(&journal->mutex, NULL) != 0) {
        json_decref(journal->items);
        free(journal);
        return status_set(STATUS_INTERNAL, "no memory for %s", path);
    }
    TRY(path_format(journal->path, "%s", path));
    TRY(lock(journal, locks));
    TRY(begin(journal, identity));
    *out = journal;
    return STATUS_OK;
fail:
    journal_close(journal, false);
    return result;
}

/* ---- use ---- */

json_t *journal_find(struct journal *journal, const char *id)
{
    pthread_mutex_lock(&journal->mutex);
    json_t *item = json_object_get(journal->items, id);
    pthread_mutex_unlock(&journal->mutex);
    return item;
}

enum status journal_add(struct journal *journal, const char *id, json_t *item)
{
    enum status result = STATUS_OK;
    pthread_mutex_lock(&journal->mutex);
    if (!item)
        FAIL(STATUS_INTERNAL, "no memory for the item %s of %s", id, journal->path);
    if (json_object_get(journal->items, id))
        FAIL(STATUS_INTERNAL, "%s: the item %s is there already", journal->path, id);
    TRY(append_line(journal, json_pack("{s:s, s:O}", "id", id, "item", item)));
    if (json_object_set(journal->items, id, item) != 0)
        FAIL(STATUS_INTERNAL, "no memory for the items of %s", journal->path);
fail:
    pthread_mutex_unlock(&journal->mutex);
    json_decref(item);
    return result;
}

int64_t journal_count(const struct journal *journal)
{
    return (int64_t)json_object_size(journal->items);
}

void journal_close(struct journal *journal, bool finished)
{
    if (!journal)
        return;
    if (journal->descriptor >= 0)
        close(journal->descriptor);
    if (finished)
        unlink(journal->path);
    lock_release(journal->lock);
    json_decref(journal->items);
    pthread_mutex_destroy(&journal->mutex);
    free(journal);
}
