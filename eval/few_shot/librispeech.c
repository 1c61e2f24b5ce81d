/* LibriSpeech (Panayotov et al. 2015): the transcripts of a chapter are in one file, the recordings beside it. */
#include "eval/few_shot/corpus_internal.h"

#include "core/path.h"
#include "core/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRANSCRIPTS_LIMIT = 64 << 20 };

static bool ends_with(const char *text, const char *ending)
{
    size_t length = strlen(text), size = strlen(ending);
    return length > size && !strcmp(text + length - size, ending);
}

/* The name of the folder `up` levels above a member into `name`; the archive's own where there is none. */
static void folder_above(const char *path, const char *member, int up, char name[256])
{
    const char *end = strrchr(member, '/');
    for (int i = 0; end && i < up; i++) {
        const char *begin = end;
        while (begin > member && begin[-1] != '/')
            begin--;
        if (i + 1 == up) {
            snprintf(name, 256, "%.*s", (int)(end - begin), begin);
            return;
        }
        end = begin > member ? begin - 1 : NULL;
    }
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    const char *begin = path + length;
    while (begin > path && begin[-1] != '/')
        begin--;
    snprintf(name, 256, "%.*s", (int)(path + length - begin), begin);
    char *ending = strpbrk(name, "."); /* "test-clean.tar.gz" */
    if (ending && ending > name)
        *ending = 0;
}

/* One line, "ID TEXT"; `folder` ends with '/'. */
static enum status add_line(struct archive *archive, const char *where, const char *folder, char *line, bool skip,
                            bool *seen, struct corpus *corpus)
{
    static const char *const endings[] = {"flac", "wav"};
    char member[PATH_BYTES], part[256], speaker[256];
    char *text = line + strcspn(line, " \t");
    int64_t index = -1;
    for (const char *at = line; *at;) {
        size_t length = utf8_character(at, SIZE_MAX);
        if (length == 0)
            return status_set(STATUS_CORRUPT, "%s: the line is not UTF-8", where);
        at += length;
    }
    if (*text)
        *text++ = 0;
    text += strspn(text, " \t");
    for (size_t e = 0; index < 0 && e < 2; e++) {
        if (path_format(member, "%s%s.%s", folder, line, endings[e]) != STATUS_OK)
            return status_set(STATUS_CORRUPT, "%s: expected an id and a text, found a word of %zu bytes", where,
                              strlen(line));
        index = archive_find(archive, member);
    }
    if (index < 0) {
        corpus->missing++;
        return skip ? STATUS_OK : status_set(STATUS_CORRUPT, "%s: the recording of %s is missing", where, line);
    }
    seen[index] = true;
    folder_above(archive_path(archive), member, 3, part);
    folder_above(archive_path(archive), member, 2, speaker);
    return corpus_add(corpus, line, part, speaker, text, index);
}

/* The pass over the chapters' transcripts: of a .tar.gz there is one, where reading member by member would inflate it for each. */
struct pass {
    struct archive *archive;
    bool skip;
    bool *seen; /* recordings that have a transcript */
    struct corpus *corpus;
};

static enum status add_chapter(void *context, int64_t index, const void *data, int64_t size)
{
    enum status result = STATUS_OK;
    const struct pass *pass = context;
    const char *name = archive_name(pass->archive, index), *slash = strrchr(name, '/');
    char folder[PATH_BYTES], where[PATH_BYTES + 32], *text = NULL;
    int64_t number = 0;
    TRY(path_format(folder, "%.*s", slash ? (int)(slash + 1 - name) : 0, name));
    if (memchr(data, 0, (size_t)size))
        FAIL(STATUS_CORRUPT, "%s: %s: expected text, found a NUL", archive_path(pass->archive), name);
    text = strndup(data, (size_t)size);
    if (!text)
        FAIL(STATUS_INTERNAL, "no memory for %s", name);
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
        number++;
        line[strcspn(line, "\r")] = 0;
        if (!line[strspn(line, " \t")])
            continue;
        snprintf(where, sizeof where, "%s: %s:%lld", archive_path(pass->archive), name, (long long)number);
        TRY(add_line(pass->archive, where, folder, line, pass->skip, pass->seen, pass->corpus));
    }
fail:
    free(text);
    return result;
}

/* Recordings that no transcript names. */
static enum status count_untold(const struct pass *pass)
{
    for (int64_t i = 0; i < archive_count(pass->archive); i++) {
        const char *name = archive_name(pass->archive, i);
        if (pass->seen[i] || (!ends_with(name, ".flac") && !ends_with(name, ".wav")))
            continue;
        pass->corpus->missing++;
        if (!pass->skip)
            return status_set(STATUS_CORRUPT, "%s: %s has no transcript", archive_path(pass->archive), name);
    }
    return STATUS_OK;
}

enum status librispeech_read(struct archive *archive, bool skip, struct corpus *corpus)
{
    enum status result = STATUS_OK;
    int64_t count = archive_count(archive);
    struct pass pass = {archive, skip, calloc((size_t)count + 1, sizeof(bool)), corpus};
    bool *wanted = calloc((size_t)count + 1, sizeof *wanted);
    *corpus = (struct corpus){0};
    if (!pass.seen || !wanted)
        FAIL(STATUS_INTERNAL, "no memory for %lld members of %s", (long long)count, archive_path(archive));
    for (int64_t i = 0; i < count; i++)
        wanted[i] = ends_with(archive_name(archive, i), ".trans.txt");
    TRY(archive_stream(archive, wanted, TRANSCRIPTS_LIMIT, add_chapter, &pass));
    TRY(count_untold(&pass));
    TRY(corpus_sort(archive_path(archive), corpus));
fail:
    free(pass.seen);
    free(wanted);
    return result;
}
