/* Opening a vocoder: which files belong to it, and the names of its speakers and styles. */
#include "models/hifigan/hifigan_internal.h"

#include "core/path.h"
#include "io/text_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { LIST_BYTES = 1 << 24 };

/* ---- lists ---- */

static enum status split_lines(struct hifigan_names *names, int64_t size)
{
    int64_t lines = 0;
    for (int64_t i = 0; i < size; i++)
        lines += names->text[i] == '\n';
    if (!(names->names = calloc((size_t)lines + 1, sizeof *names->names)))
        return status_set(STATUS_INTERNAL, "%s: out of memory", names->path);
    char *line = names->text;
    for (char *at = names->text; at <= names->text + size; at++) {
        if (at < names->text + size && *at != '\n')
            continue;
        char *end = at > line && at[-1] == '\r' ? at - 1 : at;
        bool last = at == names->text + size;
        *end = *at = '\0';
        if (!last || end > line)
            names->names[names->count++] = line;
        line = at + 1;
    }
    while (names->count > 0 && names->names[names->count - 1][0] == '\0') /* empty lines at the end */
        names->count--;
    return STATUS_OK;
}

/* A list may be absent. */
static enum status read_names(const char *folder, const char *file, int64_t rows, struct hifigan_names *names)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES], *text = NULL;
    struct stat info;
    int64_t size;
    TRY(path_format(path, "%s/%s", folder, file));
    if (rows == 0 || stat(path, &info) != 0)
        return STATUS_OK;
    if (!(names->path = strdup(path)))
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    TRY(text_file_read(path, LIST_BYTES, &text, &size));
    if (!(names->text = malloc((size_t)size + 1)))
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    memcpy(names->text, text, (size_t)size);
    TRY(split_lines(names, size));
    if (names->count > rows)
        FAIL(STATUS_CORRUPT, "%s: %lld names, but the vocoder has %lld rows for them", path, (long long)names->count,
             (long long)rows);
fail:
    free(text);
    return result;
}

static const struct hifigan_names *names_of(const struct hifigan *hifigan, enum hifigan_table table)
{
    return &hifigan->names[table == HIFIGAN_STYLE];
}

const char *hifigan_name(const struct hifigan *hifigan, enum hifigan_table table, int64_t row)
{
    const struct hifigan_names *names = names_of(hifigan, table);
    return row >= 0 && row < names->count ? names->names[row] : NULL;
}

/* "a, b, c", cut where `room` ends. */
static const char *join(const struct hifigan_names *names, char *text, size_t room)
{
    size_t length = 0;
    text[0] = '\0';
    for (int64_t i = 0; i < names->count; i++) {
        size_t more = strlen(names->names[i]) + 2;
        if (length + more + 4 >= room) {
            snprintf(text + length, room - length, ", ...");
            break;
        }
        length += (size_t)snprintf(text + length, room - length, "%s%s", i ? ", " : "", names->names[i]);
    }
    return text;
}

enum status hifigan_find(const struct hifigan *hifigan, enum hifigan_table table, const char *name, int32_t *row)
{
    const struct hifigan_names *names = names_of(hifigan, table);
    const char *kind = table == HIFIGAN_STYLE ? "style" : "speaker";
    int64_t rows = hifigan->config.rows[table];
    char list[600], *end;
    if (rows == 0)
        return status_set(STATUS_USAGE, "the vocoder has no %ss; \"%.100s\" was asked for", kind, name);
    for (int64_t i = 0; i < names->count; i++)
        if (strcmp(names->names[i], name) == 0) {
            *row = (int32_t)i;
            return STATUS_OK;
        }
    long long number = strtoll(name, &end, 10);
    if (name[0] >= '0' && name[0] <= '9' && *end == '\0' && number < rows) {
        *row = (int32_t)number;
        return STATUS_OK;
    }
    if (names->count > 0)
        return status_set(STATUS_USAGE, "the vocoder has no %s \"%.100s\"; it has 0 to %lld, and %.150s names %s", kind,
                          name, (long long)rows - 1, names->path, join(names, list, sizeof list));
    return status_set(STATUS_USAGE, "the vocoder has no %s \"%.100s\"; it has 0 to %lld, without names", kind, name,
                      (long long)rows - 1);
}

/* ---- files ---- */

struct files {
    char folder[PATH_BYTES], weights[PATH_BYTES], config[PATH_BYTES];
};

static bool exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

/* X_config.json beside X.pt, else config.json in the same folder. */
static enum status find_config(struct files *files)
{
    enum status result = STATUS_OK;
    char other[PATH_BYTES];
    const char *slash = strrchr(files->weights, '/'), *dot = strrchr(files->weights, '.');
    int stem = (int)(dot && (!slash || dot > slash) ? dot - files->weights : (long)strlen(files->weights));
    TRY(path_format(files->config, "%.*s_config.json", stem, files->weights));
    TRY(path_format(other, "%s/config.json", files->folder));
    if (exists(files->config))
        return STATUS_OK;
    if (!exists(other))
        FAIL(STATUS_USAGE, "%s: there is neither %s nor %s, which would describe it", files->weights, files->config,
             other);
    memcpy(files->config, other, sizeof other);
fail:
    return result;
}

static enum status find_files(const char *path, struct files *files)
{
    enum status result = STATUS_OK;
    struct stat info;
    if (stat(path, &info) != 0)
        FAIL(STATUS_USAGE, "%s: no such file or folder; expected a vocoder", path);
    if (S_ISDIR(info.st_mode)) {
        TRY(path_format(files->folder, "%s", path));
        TRY(path_format(files->weights, "%s/generator.pt", path));
        TRY(path_format(files->config, "%s/config.json", path));
        if (!exists(files->weights))
            FAIL(STATUS_USAGE, "%s: not in this folder of a vocoder; weights of another name can be given as a file",
                 files->weights);
        if (!exists(files->config))
            FAIL(STATUS_USAGE, "%s: not in this folder of a vocoder", files->config);
        return STATUS_OK;
    }
    const char *slash = strrchr(path, '/');
    TRY(path_format(files->folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : "."));
    TRY(path_format(files->weights, "%s", path));
    TRY(find_config(files));
fail:
    return result;
}

/* ---- the vocoder ---- */

enum status hifigan_open(const char *path, const struct kernels *kernels, struct device_context *context,
                         struct hifigan **out)
{
    enum status result = STATUS_OK;
    struct files *files = calloc(1, sizeof *files);
    struct hifigan *hifigan = calloc(1, sizeof *hifigan);
    *out = NULL;
    if (!files || !hifigan)
        FAIL(STATUS_INTERNAL, "no memory for a vocoder");
    *hifigan = (struct hifigan){.kernels = kernels, .context = context};
    TRY(find_files(path, files));
    TRY(hifigan_config_read(files->config, &hifigan->config));
    TRY(hifigan_layout_create(&hifigan->config, &hifigan->layout));
    TRY(read_names(files->folder, "speakers.txt", hifigan->config.rows[HIFIGAN_SPEAKER], &hifigan->names[0]));
    TRY(read_names(files->folder, "styles.txt", hifigan->config.rows[HIFIGAN_STYLE], &hifigan->names[1]));
    TRY(hifigan_load(hifigan, files->weights));
    *out = hifigan;
    free(files);
    return STATUS_OK;
fail:
    free(files);
    hifigan_close(hifigan);
    return result;
}

void hifigan_close(struct hifigan *hifigan)
{
    if (!hifigan)
        return;
    if (hifigan->kernels)
        hifigan->kernels->release(hifigan->context, hifigan->weights);
    hifigan_layout_free(&hifigan->layout);
    for (int i = 0; i < 2; i++) {
        free(hifigan->names[i].text);
        free(hifigan->names[i].names);
        free(hifigan->names[i].path);
    }
    free(hifigan);
}

const struct hifigan_config *hifigan_config(const struct hifigan *hifigan)
{
    return &hifigan->config;
}

const struct sha256 *hifigan_fingerprint(const struct hifigan *hifigan)
{
    return &hifigan->fingerprint;
}
