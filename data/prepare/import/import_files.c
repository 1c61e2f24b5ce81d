/* Files are visited in the order of their names, not in the order in which the folder lists them, so that the same
 * corpus gives the same manifest on every file system. */
#include "data/prepare/import/import_files.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static const char *const extensions[] = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".g722"};
enum { EXTENSIONS = sizeof extensions / sizeof *extensions, FOLDER_DEPTH = 64 };

bool import_is_audio(const char *path)
{
    size_t length = strlen(path);
    for (int i = 0; i < EXTENSIONS; i++) {
        size_t tail = strlen(extensions[i]);
        if (length > tail && strcasecmp(path + length - tail, extensions[i]) == 0)
            return true;
    }
    return false;
}

bool import_find_audio(const char *folder, const char *stem, char path[PATH_BYTES])
{
    struct stat information;
    for (int i = 0; i < EXTENSIONS; i++)
        for (int upper = 0; upper < 2; upper++) { /* ".wav", ".WAV" */
            if (path_format(path, "%s/%s%s", folder, stem, extensions[i]) != STATUS_OK)
                continue; /* too long: no file has such a name */
            for (char *c = path + strlen(path) - strlen(extensions[i]); upper && *c; c++)
                *c = (char)toupper((unsigned char)*c);
            if (stat(path, &information) == 0 && S_ISREG(information.st_mode))
                return true;
        }
    return false;
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

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static enum status walk(struct import *import, const char *path, const char *suffix, import_visit visit, int depth)
{
    enum status result = STATUS_OK;
    struct stat information;
    struct dirent **entries = NULL;
    int count = 0;
    if (stat(path, &information) != 0)
        FAIL(errno == ENOENT ? STATUS_USAGE : STATUS_IO, "%s: %s", path, strerror(errno));
    if (!S_ISDIR(information.st_mode))
        return depth > 0 && !ends_with(path, suffix) ? STATUS_OK : visit(import, path);
    if (depth == FOLDER_DEPTH)
        FAIL(STATUS_USAGE, "%s: folders are nested more than %d deep: do links form a circle?", path, FOLDER_DEPTH);
    count = scandir(path, &entries, visible, by_name);
    if (count < 0)
        FAIL(STATUS_IO, "%s: cannot be listed: %s", path, strerror(errno));
    for (int i = 0; i < count; i++) {
        char inner[PATH_BYTES];
        TRY(path_format(inner, "%s/%s", path, entries[i]->d_name));
        TRY(walk(import, inner, suffix, visit, depth + 1));
    }
fail:
    for (int i = 0; entries && i < count; i++)
        free(entries[i]);
    free(entries);
    return result;
}

enum status import_walk(struct import *import, const char *folder, const char *suffix, import_visit visit)
{
    return walk(import, folder, suffix, visit, 0);
}
