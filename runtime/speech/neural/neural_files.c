/* Where the files of pretrained models are. The release's tree is unpacked by hand, often one folder too deep or too high, so that
 * a file that is not where it should be is looked for in the neighbourhood, and the error says where it is. */
#include "speech/neural/neural_internal.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a search looks at, at most: a folder of data may lie beside that of the models. */
enum { DEPTH = 5, ENTRIES = 20000 };

struct search {
    const char *name; /* the whole relative name first, then its last part alone */
    int64_t entries;  /* looked at */
    char *found;      /* [PATH_BYTES]; "": not yet */
};

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static bool is_folder(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* Folders one after the other, no links. */
static void search_folder(struct search *search, const char *folder, int depth)
{
    char path[PATH_BYTES];
    if (path_format(path, "%s/%s", folder, search->name) == STATUS_OK && exists(path)) {
        memcpy(search->found, path, sizeof path);
        return;
    }
    DIR *directory = depth > 0 ? opendir(folder) : NULL;
    for (struct dirent *entry; directory && !search->found[0] && (entry = readdir(directory));) {
        if (entry->d_name[0] == '.' || search->entries++ >= ENTRIES)
            continue;
        if (path_format(path, "%s/%s", folder, entry->d_name) == STATUS_OK && is_folder(path))
            search_folder(search, path, depth - 1);
    }
    if (directory)
        closedir(directory);
}

static void search_for(const char *root, const char *name, char found[PATH_BYTES])
{
    const char *last = strrchr(name, '/');
    const char *const names[] = {name, last && last[1] ? last + 1 : name};
    char above[PATH_BYTES];
    found[0] = 0;
    for (int i = 0; i < 2 && !found[0]; i++) {
        struct search search = {.name = names[i], .found = found};
        search_folder(&search, root, DEPTH);
        if (!found[0] && path_format(above, "%s/..", root) == STATUS_OK)
            search_folder(&search, above, 1);
    }
}

enum status neural_file_find(const struct neural_base *base, const char *key, const char *name, char path[PATH_BYTES])
{
    char found[PATH_BYTES], hint[PATH_BYTES + 200] = "";
    enum status result = STATUS_OK;
    if (name[0] == '/')
        return path_format(path, "%s", name);
    if (!base->root[0])
        FAIL(STATUS_USAGE,
             "%s: %s: the folder of the pretrained models is not known: set SPIRITLM_CHECKPOINTS_DIR or "
             "speech.checkpoints to it (docs/real_weights.md)",
             key, name);
    TRY(path_format(path, "%s/%s", base->root, name));
    if (exists(path))
        return STATUS_OK;
    search_for(base->root, name, found);
    if (found[0])
        snprintf(hint, sizeof hint, "; one of its name is at %s", found);
    else if (strcmp(key, "speech.f0") == 0) /* not in the release's tree */
        snprintf(hint, sizeof hint, "; scripts/fetch-fcpe fetches FCPE's weights, speech.f0= takes pYAAPT instead");
    FAIL(STATUS_USAGE,
         "%s: %s: no such file or folder (relative names start from SPIRITLM_CHECKPOINTS_DIR or speech.checkpoints)%s",
         key, path, hint);
fail:
    return result;
}
