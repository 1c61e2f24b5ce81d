/* A story is what its names say, never what its place in a listing says: numbers are compared as numbers, sides are joined by
 * the story's name and the word. */
#include "eval/zero_shot/story_cloze.h"

#include "core/array.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const words[STORY_PARTS] = {"correct", "incorrect", "mutual"};
static const char *const endings[STORY_FORMS] = {".wav", ".txt"};

/* A member's name, taken apart: FOLDER [N_] STORY _WORD .ENDING */
struct member {
    int64_t index, number; /* -1: no number */
    const char *folder, *story;
    int64_t folder_length, story_length;
    int part, form;
};

/* A number of at most 9 digits followed by '_' at the beginning; -1. */
static int64_t leading_number(const char *text, int64_t *length)
{
    int64_t value = 0, digits = 0;
    for (; digits < 10 && text[digits] >= '0' && text[digits] <= '9'; digits++)
        value = 10 * value + (text[digits] - '0');
    *length = digits + 1;
    return digits == 0 || digits > 9 || text[digits] != '_' ? -1 : value;
}

/* False for a name of another form. */
static bool read_name(const char *name, struct member *member)
{
    const char *slash = strrchr(name, '/'), *file = slash ? slash + 1 : name, *dot = strrchr(file, '.'), *word = dot;
    *member = (struct member){.number = -1, .folder = name, .folder_length = file - name, .part = -1, .form = -1};
    for (int f = 0; dot && f < STORY_FORMS; f++)
        if (!strcmp(dot, endings[f]))
            member->form = f;
    while (word && word > file && word[-1] != '_')
        word--;
    if (!word || word <= file + 1)
        return false;
    for (int p = 0; p < STORY_PARTS; p++)
        if ((size_t)(dot - word) == strlen(words[p]) && !strncmp(word, words[p], (size_t)(dot - word)))
            member->part = p;
    member->story = file;
    member->story_length = word - 1 - file;
    return member->part >= 0 && member->form >= 0;
}

/* In the layout of whole stories the number is no part of the story's name, and says which side it is. */
static enum status take_number(const char *where, const char *name, struct member *member)
{
    int64_t length;
    member->number = leading_number(member->story, &length);
    if (member->number < 0 || length >= member->story_length)
        return status_set(STATUS_CORRUPT, "%s: expected NUMBER_STORY_%s%s, found %s", where, words[member->part],
                          endings[member->form], name);
    if (member->number % 2 != (member->part == STORY_INCORRECT))
        return status_set(STATUS_CORRUPT,
                          "%s: %s contradicts itself: correct sides have even numbers, incorrect ones odd numbers",
                          where, name);
    member->story += length;
    member->story_length -= length;
    member->number -= member->number % 2;
    return STATUS_OK;
}

static int compare_text(const char *a, int64_t a_length, const char *b, int64_t b_length)
{
    int order = memcmp(a, b, (size_t)(a_length < b_length ? a_length : b_length));
    return order != 0 ? order : (a_length > b_length) - (a_length < b_length);
}

/* By folder, number, story. */
static int compare_stories(const struct member *x, const struct member *y)
{
    int order = compare_text(x->folder, x->folder_length, y->folder, y->folder_length);
    if (order == 0)
        order = (x->number > y->number) - (x->number < y->number);
    return order != 0 ? order : compare_text(x->story, x->story_length, y->story, y->story_length);
}

static int compare_members(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    int order = compare_stories(x, y);
    return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

static bool is_ours(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (!strcmp(dot, ".wav") || !strcmp(dot, ".txt"));
}

static enum status list_members(const char *where, const char *const *names, int64_t count, struct member *members,
                                int64_t *member_count, bool *pieces)
{
    enum status result = STATUS_OK;
    *member_count = 0;
    *pieces = false;
    for (int64_t i = 0; i < count; i++) {
        struct member *member = &members[*member_count];
        const char *slash = strrchr(names[i], '/');
        if (!is_ours(names[i]) || !strncasecmp(slash ? slash + 1 : names[i], "readme", 6))
            continue;
        if (!read_name(names[i], member))
            FAIL(STATUS_CORRUPT,
                 "%s: expected STORY_correct, STORY_incorrect or STORY_mutual with .wav or .txt, found %s", where,
                 names[i]);
        member->index = i;
        *pieces = *pieces || member->part == STORY_CONTEXT;
        (*member_count)++;
    }
    for (int64_t i = 0; !*pieces && i < *member_count; i++)
        TRY(take_number(where, names[members[i].index], &members[i]));
fail:
    return result;
}

static enum status new_story(struct story_list *list, const struct member *member, struct story **out)
{
    enum status result = array_grow(&list->stories, &list->capacity, list->count + 1, "stories");
    if (result != STATUS_OK)
        return result;
    struct story *story = &list->stories[list->count];
    *story = (struct story){.number = member->number};
    memset(story->members, 0xff, sizeof story->members); /* -1 */
    if (asprintf(&story->id, "%.*s%.*s", (int)member->folder_length, member->folder, (int)member->story_length,
                 member->story) < 0) {
        story->id = NULL;
        return status_set(STATUS_INTERNAL, "no memory for a story");
    }
    list->count++;
    *out = story;
    return STATUS_OK;
}

/* What the story lacks, in words; NULL: nothing. */
static const char *lacks(const struct story *story, unsigned needs, bool pieces)
{
    static const char *const texts[STORY_PARTS][STORY_FORMS] = {{"correct recording", "correct text"},
                                                                {"incorrect recording", "incorrect text"},
                                                                {"recording of its context", "text of its context"}};
    for (int part = 0; part < (pieces ? STORY_PARTS : STORY_CONTEXT); part++)
        for (int form = 0; form < STORY_FORMS; form++)
            if ((needs & (1U << form)) && story->members[part][form] < 0)
                return texts[part][form];
    return NULL;
}

static enum status join_members(const char *where, const char *const *names, const struct member *members,
                                int64_t count, unsigned needs, bool skip, struct story_list *list)
{
    enum status result = STATUS_OK;
    for (int64_t i = 0, end; i < count; i = end) {
        struct story *story;
        TRY(new_story(list, &members[i], &story));
        for (end = i; end < count && compare_stories(&members[i], &members[end]) == 0; end++) {
            int64_t *place = &story->members[members[end].part][members[end].form];
            if (*place >= 0)
                FAIL(STATUS_CORRUPT, "%s: %s and %s are the same part of a story", where, names[*place],
                     names[members[end].index]);
            *place = members[end].index;
        }
        const char *missing = lacks(story, needs, list->pieces);
        if (missing && !skip)
            FAIL(STATUS_CORRUPT, "%s: the story %s has no %s; evaluate.incomplete=skip leaves it out", where, story->id,
                 missing);
        if (missing) {
            free(story->id);
            list->count--;
            list->lone++;
        }
    }
fail:
    return result;
}

enum status story_list_read(const char *where, const char *const *names, int64_t count, unsigned needs, bool skip,
                            struct story_list *list)
{
    enum status result = STATUS_OK;
    int64_t member_count;
    struct member *members = calloc((size_t)count + 1, sizeof *members);
    *list = (struct story_list){0};
    if (!members)
        FAIL(STATUS_INTERNAL, "no memory for %lld members", (long long)count);
    TRY(list_members(where, names, count, members, &member_count, &list->pieces));
    qsort(members, (size_t)member_count, sizeof *members, compare_members);
    TRY(join_members(where, names, members, member_count, needs, skip, list));
    if (list->count == 0)
        FAIL(STATUS_CORRUPT, "%s: there is no whole story in it", where);
fail:
    free(members);
    if (result != STATUS_OK)
        story_list_free(list);
    return result;
}

void story_list_free(struct story_list *list)
{
    for (int64_t i = 0; i < list->count; i++)
        free(list->stories[i].id);
    free(list->stories);
    *list = (struct story_list){0};
}

/* ---- the context of whole texts ---- */

/* Whether the full stop belongs to a title, behind which the sentence goes on. */
static bool ends_title(const char *text, int64_t at)
{
    static const char *const titles[] = {"Mr", "Mrs", "Ms", "Dr", "St", "Prof"};
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++) {
        int64_t begin = at - (int64_t)strlen(titles[i]);
        if (begin >= 0 && (begin == 0 || text[begin - 1] == ' ') &&
            !strncmp(text + begin, titles[i], strlen(titles[i])))
            return true;
    }
    return false;
}

static bool ends_sentence(const char *text, int64_t at)
{
    char next = text[at + 1];
    bool mark = text[at] == '.' || text[at] == '!' || text[at] == '?';
    bool quoted = (text[at] == '"' || text[at] == '\'') && at > 0 &&
                  (text[at - 1] == '.' || text[at - 1] == '!' || text[at - 1] == '?');
    if (text[at] == '.' && ends_title(text, at))
        return false;
    return (mark || quoted) && (next == ' ' || next == '\t' || next == '\n' || next == '\r');
}

int64_t story_shared_context(const char *correct, const char *incorrect)
{
    int64_t length = 0;
    for (int64_t i = 0; correct[i] && correct[i] == incorrect[i]; i++)
        /* what follows must be shared too, or the sentence goes on differently */
        if (ends_sentence(correct, i) && correct[i + 1] == incorrect[i + 1])
            length = i + 1;
    return length;
}
