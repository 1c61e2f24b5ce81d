/* Names of members. They come from strangers: no name may lead out of the archive's root, and none may hold what a terminal
 * obeys. All names lie one behind the other in one piece of memory, since an archive can have millions of them. */
#include "io/archive/members.h"

#include "core/array.h"
#include "core/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { MEMBERS_LIMIT = 4000000, NAME_LIMIT = 1 << 20, SHOWN = 200 };
static const int64_t names_limit = INT64_C(1) << 30;

static int shown(int64_t length)
{
    return length < SHOWN ? (int)length : SHOWN;
}

static enum status check_characters(const char *archive, const char *name, int64_t length)
{
    for (int64_t i = 0; i < length;) {
        uint32_t code = 0;
        size_t bytes = utf8_decode(name + i, (size_t)(length - i), &code);
        if (bytes == 0)
            return status_set(STATUS_CORRUPT, "%s: member \"%.*s\": its name is not UTF-8", archive, shown(length),
                              name);
        if (code == 0 || utf8_is_unsafe(code))
            return status_set(STATUS_CORRUPT, "%s: member \"%.*s\": its name has the control character U+%04X", archive,
                              shown(length), name, (unsigned)code);
        i += (int64_t)bytes;
    }
    return STATUS_OK;
}

/* Whether the last part of a name is one of those that macOS adds. */
static bool is_of_macos(const char *plain)
{
    const char *slash = strrchr(plain, '/'), *last = slash ? slash + 1 : plain;
    return !strncmp(plain, "__MACOSX/", 9) || !strcmp(last, ".DS_Store") || !strncmp(last, "._", 2);
}

enum status member_name(const char *archive, const char *name, int64_t length, char *plain, bool *kept)
{
    enum status result = check_characters(archive, name, length);
    int64_t used = 0;
    if (result != STATUS_OK)
        return result;
    if (length > 0 && name[0] == '/')
        return status_set(STATUS_CORRUPT, "%s: member \"%.*s\": its name is absolute", archive, shown(length), name);
    for (int64_t begin = 0, end; begin < length; begin = end + 1) {
        const char *slash = memchr(name + begin, '/', (size_t)(length - begin));
        end = slash ? slash - name : length;
        int64_t part = end - begin;
        if (part == 2 && name[begin] == '.' && name[begin + 1] == '.')
            return status_set(STATUS_CORRUPT, "%s: member \"%.*s\": its name leads out of the archive by \"..\"",
                              archive, shown(length), name);
        if (part == 0 || (part == 1 && name[begin] == '.'))
            continue;
        if (used > 0)
            plain[used++] = '/';
        memcpy(plain + used, name + begin, (size_t)part);
        used += part;
    }
    plain[used] = '\0';
    *kept = used > 0 && !is_of_macos(plain);
    return STATUS_OK;
}

enum status listing_count(struct listing *listing, const char *archive, int64_t name_length)
{
    listing->seen++;
    listing->seen_bytes += name_length + 1;
    if (listing->seen > MEMBERS_LIMIT)
        return status_set(STATUS_CORRUPT, "%s: expected at most %d members, found more", archive, (int)MEMBERS_LIMIT);
    if (name_length > NAME_LIMIT || listing->seen_bytes > names_limit)
        return status_set(STATUS_CORRUPT, "%s: the names of its members have more than %lld bytes", archive,
                          (long long)(name_length > NAME_LIMIT ? NAME_LIMIT : names_limit));
    return STATUS_OK;
}

enum status listing_add(struct listing *listing, const char *archive, const char *name, int64_t length,
                        const struct member *member)
{
    enum status result = STATUS_OK;
    bool kept = false;
    TRY(listing_count(listing, archive, length));
    TRY(array_grow(&listing->names, &listing->names_capacity, listing->names_size + length + 1, "bytes of names"));
    TRY(array_grow(&listing->members, &listing->capacity, listing->count + 1, "members of an archive"));
    char *plain = listing->names + listing->names_size;
    TRY(member_name(archive, name, length, plain, &kept));
    if (!kept)
        return STATUS_OK;
    listing->members[listing->count] = *member;
    listing->members[listing->count++].name_at = listing->names_size;
    listing->names_size += (int64_t)strlen(plain) + 1;
fail:
    return result;
}

static int compare_members(const void *a, const void *b, void *names)
{
    const struct member *left = a, *right = b;
    return strcmp((const char *)names + left->name_at, (const char *)names + right->name_at);
}

enum status listing_finish(struct listing *listing, const char *archive)
{
    if (listing->count > 0)
        qsort_r(listing->members, (size_t)listing->count, sizeof *listing->members, compare_members, listing->names);
    for (int64_t i = 1; i < listing->count; i++)
        if (strcmp(listing_name(listing, i - 1), listing_name(listing, i)) == 0)
            return status_set(STATUS_CORRUPT, "%s: two members have the name \"%.200s\"", archive,
                              listing_name(listing, i));
    return STATUS_OK;
}

const char *listing_name(const struct listing *listing, int64_t index)
{
    return listing->names + listing->members[index].name_at;
}

int64_t listing_find(const struct listing *listing, const char *name)
{
    int64_t low = 0, high = listing->count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        int order = strcmp(listing_name(listing, middle), name);
        if (order == 0)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

void listing_free(struct listing *listing)
{
    free(listing->members);
    free(listing->names);
    *listing = (struct listing){0};
}
