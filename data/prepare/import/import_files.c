/* Files are visited in the order of their names, not in the order in which the folder lists them, so that the same
 * corpus gives the same manifest on every file system. */
#include "data/prepare/import/import_files.h"

#include "core/array.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static const char *const extensions[] = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".g722", ".aiff",
                                         ".aif", ".aifc", ".caf", ".w64",  ".sph", ".au"};
enum { EXTENSIONS = sizeof extensions / sizeof *extensions, FOLDER_DEPTH = 64 };

bool import_ends_with(const char *path, const char *ending)
{
    size_t length = strlen(path), tail = strlen(ending);
    return length > tail && strcasecmp(path + length - tail, ending) == 0;
}

bool import_is_audio(const char *path)
{
    for (int i = 0; i < EXTENSIONS; i++)
        if (import_ends_with(path, extensions[i]))
            return true;
    return false;
}

static bool remember(struct import *import, const char *path)
{
    char *copy = strdup(path);
    if (!copy || array_grow(&import->found, &import->found_capacity, import->found_count + 1, "paths") != STATUS_OK) {
        free(copy);
        return true; /* it will be reported as unused */
    }
    import->found[import->found_count++] = copy;
    return true;
}

static bool is_file(const char *path)
{
    struct stat information;
    return stat(path, &information) == 0 && S_ISREG(information.st_mode);
}

bool import_find_audio(struct import *import, const char *folder, const char *stem, char path[PATH_BYTES])
{
    const char *before = stem[0] == '/' ? "" : folder, *slash = stem[0] == '/' ? "" : "/";
    if (import_is_audio(stem) && path_format(path, "%s%s%s", before, slash, stem) == STATUS_OK && is_file(path))
        return remember(import, path);
    for (int i = 0; i < EXTENSIONS; i++)
        for (int upper = 0; upper < 2; upper++) { /* ".wav", ".WAV" */
            if (path_format(path, "%s%s%s%s", before, slash, stem, extensions[i]) != STATUS_OK)
                continue; /* too long: no file has such a name */
            for (char *c = path + strlen(path) - strlen(extensions[i]); upper && *c; c++)
                *c = (char)toupper((unsigned char)*c);
            if (is_file(path))
                return remember(import, path);
        }
    return false;
}

bool import_find_transcribed(struct import *import, const char *folder, char *stem, char path[PATH_BYTES])
{
    static const char *const additions[] = {".words", ".word", ".aligned", ".alignment", ".whisper", ".whisperx"};
    for (size_t i = 0; !import_find_audio(import, folder, stem, path); i = 0) {
        while (i < sizeof additions / sizeof *additions && !import_ends_with(stem, additions[i]))
            i++;
        if (i == sizeof additions / sizeof *additions)
            return false;
        stem[strlen(stem) - strlen(additions[i])] = 0;
    }
    if (import_is_audio(stem))
        *strrchr(stem, '.') = 0;
    return true;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum status visit_unused(struct import *import, const char *path)
{
    if (!import_is_audio(path) ||
        (import->found_count > 0 && bsearch(&path, import->found, (size_t)import->found_count, sizeof path, by_text)))
        return STATUS_OK;
    return import_note(import, IMPORT_NO_TRANSCRIPT, NULL, import_relative(import, path), NULL);
}

enum status import_note_unused(struct import *import, const char *folder)
{
    if (import->found_count > 0)
        qsort(import->found, (size_t)import->found_count, sizeof *import->found, by_text);
    return import_walk(import, folder, "", visit_unused);
}

enum status import_parent(const char *path, char folder[PATH_BYTES])
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return path_format(folder, ".");
    return path_format(folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

char *import_identify(const char *folder, const char *path)
{
    size_t length = strlen(folder);
    while (length > 0 && folder[length - 1] == '/')
        length--;
    const char *name = path;
    if (strncmp(path, folder, length) == 0 && path[length] == '/')
        name = path + length + 1;
    name += strspn(name, "/");
    const char *slash = strrchr(name, '/'), *dot = strrchr(name, '.');
    if (!dot || dot == name || (slash && dot < slash + 2))
        return strdup(name);
    return strndup(name, (size_t)(dot - name));
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* What cannot be looked at inside the folder is noted, unless the fault is the machine's. */
static enum status left_out(struct import *import, const char *path, int depth, enum status result)
{
    if (depth == 0 || !status_concerns_one_file(result))
        return result;
    const char *reason = strrchr(status_text(), ':');
    return import_note(import, IMPORT_UNREADABLE, NULL, import_relative(import, path), "%s",
                       reason ? reason + 2 : status_text());
}

/* A folder that is being walked, and the one that it was reached from. */
struct walked {
    const struct walked *above;
    dev_t device;
    ino_t inode;
    int depth;
};

static bool is_inside_itself(const struct walked *walked)
{
    for (const struct walked *above = walked->above; above; above = above->above)
        if (above->device == walked->device && above->inode == walked->inode)
            return true;
    return false;
}

static enum status walk(struct import *import, const char *path, const char *suffix, import_visit visit,
                        const struct walked *above)
{
    enum status result = STATUS_OK;
    struct stat information;
    struct dirent **entries = NULL;
    int count = 0, depth = above ? above->depth + 1 : 0;
    bool wanted = depth == 0 || !suffix[0] || import_ends_with(path, suffix);
    if (stat(path, &information) != 0 && depth > 0 && !wanted)
        return STATUS_OK;
    if (stat(path, &information) != 0) /* such as a link to what is no longer there */
        return left_out(import, path, depth,
                        status_set_errno(errno == ENOENT ? STATUS_USAGE : STATUS_IO, errno, "%s", path));
    if (!S_ISDIR(information.st_mode))
        return wanted ? visit(import, path) : STATUS_OK;
    const struct walked own = {above, information.st_dev, information.st_ino, depth};
    if (is_inside_itself(&own))
        return left_out(import, path, depth,
                        status_set(STATUS_CORRUPT, "%s: a link to a folder that it lies in", path));
    if (depth == FOLDER_DEPTH)
        return left_out(import, path, depth,
                        status_set(STATUS_CORRUPT, "%s: folders are nested more than %d deep", path, FOLDER_DEPTH));
    count = scandir(path, &entries, visible, by_name);
    if (count < 0)
        return left_out(import, path, depth, status_set_errno(STATUS_IO, errno, "%s: cannot be listed", path));
    for (int i = 0; i < count; i++) {
        char inner[PATH_BYTES];
        TRY(path_format(inner, "%s/%s", path, entries[i]->d_name));
        TRY(walk(import, inner, suffix, visit, &own));
    }
fail:
    for (int i = 0; entries && i < count; i++)
        free(entries[i]);
    free(entries);
    return result;
}

enum status import_walk(struct import *import, const char *folder, const char *suffix, import_visit visit)
{
    return walk(import, folder, suffix, visit, NULL);
}
