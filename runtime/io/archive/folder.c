/* Folders that are still to be read wait in a list instead of on the stack. Links to folders are not followed, so that a circle
 * of links ends, and so that nothing outside of the folder becomes a part of it unseen. */
#include "io/archive/folder.h"

#include "core/array.h"
#include "core/path.h"
#include "io/file_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct walk {
    const char *root;
    char **waiting; /* relative to the root; "" is the root */
    int64_t count, capacity;
    struct listing *listing;
};

static enum status wait_for(struct walk *walk, const char *name)
{
    enum status result = array_grow(&walk->waiting, &walk->capacity, walk->count + 1, "folders");
    if (result != STATUS_OK)
        return result;
    char *copy = strdup(name);
    if (!copy)
        return status_set(STATUS_INTERNAL, "%s: out of memory", walk->root);
    walk->waiting[walk->count++] = copy;
    return STATUS_OK;
}

static enum status take(struct walk *walk, int folder, const char *inside, const char *name)
{
    char relative[PATH_BYTES];
    struct stat about, target;
    enum status result = path_format(relative, "%s%s%s", inside, *inside ? "/" : "", name);
    if (result != STATUS_OK)
        return result;
    if (fstatat(folder, name, &about, AT_SYMLINK_NOFOLLOW) != 0)
        return status_set_errno(STATUS_IO, errno, "%s/%s", walk->root, relative);
    bool link = S_ISLNK(about.st_mode);
    if (link) {
        if (fstatat(folder, name, &target, 0) != 0)
            return listing_count(walk->listing, walk->root, (int64_t)strlen(relative)); /* to nothing */
        about = target;
    }
    if (S_ISREG(about.st_mode)) {
        struct member member = {.size = (int64_t)about.st_size};
        return listing_add(walk->listing, walk->root, relative, (int64_t)strlen(relative), &member);
    }
    result = listing_count(walk->listing, walk->root, (int64_t)strlen(relative));
    if (result == STATUS_OK && S_ISDIR(about.st_mode) && !link && !(strcmp(relative, "__MACOSX") == 0))
        result = wait_for(walk, relative);
    return result;
}

static enum status read_folder(struct walk *walk, const char *inside)
{
    char path[PATH_BYTES];
    enum status result = path_format(path, "%s%s%s", walk->root, *inside ? "/" : "", inside);
    if (result != STATUS_OK)
        return result;
    DIR *folder = opendir(path);
    if (!folder)
        return status_set_errno(*inside ? STATUS_IO : code_of_open(errno), errno, "%s", path);
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (!entry) {
            if (errno != 0)
                result = status_set_errno(STATUS_IO, errno, "%s: cannot be read", path);
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        result = take(walk, dirfd(folder), inside, entry->d_name);
        if (result != STATUS_OK)
            break;
    }
    closedir(folder);
    return result;
}

enum status folder_list(const char *path, struct listing *listing)
{
    struct walk walk = {.root = path, .listing = listing};
    enum status result = wait_for(&walk, "");
    while (result == STATUS_OK && walk.count > 0) {
        char *inside = walk.waiting[--walk.count];
        result = read_folder(&walk, inside);
        free(inside);
    }
    while (walk.count > 0)
        free(walk.waiting[--walk.count]);
    free(walk.waiting);
    return result;
}
