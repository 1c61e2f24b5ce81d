#include "support/faults.h"

#include "support/test_support.h"

#include "io/atomic_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const *fault_variables(const struct fault *fault)
{
    enum { VARIABLES = 10, SIZE = 1200 };
    static char texts[VARIABLES][SIZE];
    static const char *list[VARIABLES + 1];
    const char *preload = getenv("LD_PRELOAD");
    char call[32];
    int count = 0;
    snprintf(call, sizeof call, "%ld", fault->call);
    const struct {
        const char *name, *value;
    } variables[] = {
        {"FAULT_ROOT", fault->root},
        {"FAULT_TRACE", fault->trace},
        {"FAULT_KIND", fault->kind},
        {"FAULT_SWALLOW", fault->swallow},
        {"FAULT_EXCHANGE", fault->exchange},
        {"FAULT_LOCKS", fault->locks},
        {"FAULT_SWALLOW_AT", fault->swallow_at},
        {"FAULT_CALL", call},
        {"LD_PRELOAD", TEST_FAULT_SHIM},
        {"ASAN_OPTIONS", "verify_asan_link_order=0"},
    };
    assert_null(preload);
    for (int i = 0; i < VARIABLES; i++)
        if (variables[i].value) {
            snprintf(texts[count], SIZE, "%s=%s", variables[i].name, variables[i].value);
            list[count] = texts[count];
            count++;
        }
    list[count] = NULL;
    return list;
}

bool fault_is_told(const char *output)
{
    char *text;
    int64_t size;
    assert_ok(file_read(output, 1 << 24, (void **)&text, &size));
    char *error = strncmp(text, "error: ", 7) == 0 ? text : strstr(text, "\nerror: ");
    char *end = error ? strchr(error + 1, '\n') : NULL;
    bool told = end && end[1] == 0;
    free(text);
    return told;
}

/* ---- the trace ---- */

struct event {
    char what[16], path[1100], path2[1100];
    long number;
};

static bool read_event(FILE *file, struct event *event)
{
    char line[2400];
    if (!fgets(line, sizeof line, file))
        return false;
    char *fields[4] = {line};
    for (int i = 1; i < 4; i++) {
        fields[i] = strchr(fields[i - 1], '\t');
        if (!fields[i])
            return false;
        *fields[i]++ = 0;
    }
    fields[3][strcspn(fields[3], "\n")] = 0;
    event->number = strtol(fields[0], NULL, 10);
    snprintf(event->what, sizeof event->what, "%s", fields[1]);
    snprintf(event->path, sizeof event->path, "%s", fields[2]);
    snprintf(event->path2, sizeof event->path2, "%s", fields[3]);
    return true;
}

long fault_trace_calls(const char *trace)
{
    static struct event event;
    long last = 0;
    FILE *file = fopen(trace, "r");
    assert_non_null(file);
    while (read_event(file, &event))
        last = event.number > last ? event.number : last;
    fclose(file);
    return last;
}

long fault_trace_find(const char *trace, const char *what, const char *part)
{
    static struct event event;
    long found = 0;
    FILE *file = fopen(trace, "r");
    assert_non_null(file);
    while (found == 0 && read_event(file, &event))
        if (strcmp(event.what, what) == 0 && strstr(event.path, part))
            found = event.number;
    fclose(file);
    return found;
}

/* A file or folder, as far as the trace shows it. */
struct entry {
    char path[1100];
    bool folder, dirty; /* dirty: written to, or a name in it appeared or changed, since its last fsync */
    bool withdrawn;     /* once had a final name: it must not be removed before losing that name is durable */
    long begun, synced; /* places in the trace */
};

enum { MOST_ENTRIES = 512 };
static struct entry entries[MOST_ENTRIES];
static int entry_count;
static char breach[3000];

static struct entry *find_entry(const char *path, bool folder)
{
    for (int i = 0; i < entry_count; i++)
        if (strcmp(entries[i].path, path) == 0)
            return &entries[i];
    assert_true(entry_count < MOST_ENTRIES);
    struct entry *entry = &entries[entry_count++];
    *entry = (struct entry){.folder = folder};
    snprintf(entry->path, sizeof entry->path, "%s", path);
    return entry;
}

static struct entry *folder_of(const char *path)
{
    char folder[1100];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    assert_non_null(slash);
    *slash = 0;
    return find_entry(folder, true);
}

static bool lies_in(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && (length == 0 || path[length] == '/' || path[length] == 0);
}

static bool is_temporary(const char *path)
{
    return strstr(path, ".tmp-") != NULL;
}

static void report(const struct event *event, const char *format, const char *detail)
{
    if (!*breach) {
        int used = snprintf(breach, sizeof breach, "call %ld (%s %s %s): ", event->number, event->what, event->path,
                            event->path2);
        snprintf(breach + used, sizeof breach - (size_t)used, format, detail);
    }
}

static void require_durable(const struct event *event, const char *below, const char *format)
{
    for (int i = 0; i < entry_count; i++)
        if (entries[i].dirty && lies_in(entries[i].path, below))
            report(event, format, entries[i].path);
}

/* No folder may contain a name that a power failure would undo. */
static void require_names(const struct event *event, const char *format)
{
    for (int i = 0; i < entry_count; i++)
        if (entries[i].folder && entries[i].dirty && !is_temporary(entries[i].path))
            report(event, format, entries[i].path);
}

static void move_entries(const char *from, const char *to)
{
    for (int i = 0; i < entry_count; i++)
        if (lies_in(entries[i].path, from)) {
            char rest[1100];
            snprintf(rest, sizeof rest, "%s", entries[i].path + strlen(from));
            snprintf(entries[i].path, sizeof entries[i].path, "%s%s", to, rest);
        }
}

static void forget_entries(const char *below)
{
    for (int i = 0; i < entry_count; i++)
        if (lies_in(entries[i].path, below))
            entries[i] = (struct entry){0};
}

static void check_publication(const struct event *event)
{
    char name[1200];
    const struct entry *manifest = NULL;
    snprintf(name, sizeof name, "%s/MANIFEST", event->path);
    require_durable(event, event->path, "%s was not fsync'd before it got its final name");
    for (int i = 0; i < entry_count; i++)
        if (strcmp(entries[i].path, name) == 0)
            manifest = &entries[i];
    if (!manifest && find_entry(event->path, false)->folder)
        report(event, "%s was not written", name);
    for (int i = 0; i < entry_count && manifest; i++)
        if (!entries[i].folder && lies_in(entries[i].path, event->path) && &entries[i] != manifest &&
            !(entries[i].synced < manifest->begun))
            report(event, "MANIFEST was begun before %s was durable", entries[i].path);
}

/* A name given, taken, or both. */
static void follow_rename(const struct event *event)
{
    bool exchange = strcmp(event->what, "exchange") == 0;
    bool publishes = is_temporary(event->path) && !is_temporary(event->path2) && !strstr(event->path, "+old");
    bool withdraws = exchange || (!is_temporary(event->path) && is_temporary(event->path2));
    if (publishes)
        check_publication(event);
    if (withdraws && !exchange && !strstr(event->path2, "+old")) /* "+old" can get its name back */
        require_names(event, "an old folder is withdrawn while %s is not fsync'd");
    if (exchange)
        move_entries(event->path2, "/elsewhere");
    else
        forget_entries(event->path2);
    move_entries(event->path, event->path2);
    if (exchange)
        move_entries("/elsewhere", event->path);
    folder_of(event->path)->dirty = folder_of(event->path2)->dirty = true;
    if (withdraws)
        find_entry(exchange ? event->path : event->path2, true)->withdrawn = true;
}

static void check_removal(const struct event *event)
{
    const char *step = strstr(event->path, "/step_");
    if (step && !is_temporary(step) && strchr(step + 1, '/'))
        report(event, "%s is removed in pieces under its final name", event->path);
    for (int i = 0; i < entry_count; i++)
        if (entries[i].withdrawn && lies_in(event->path, entries[i].path)) {
            require_names(event, "an old folder is removed while %s is not fsync'd");
            if (strcmp(entries[i].path, event->path) == 0) /* removed: the name may be used again */
                entries[i].withdrawn = false;
        }
    for (int i = 0; i < entry_count; i++)
        if (strcmp(entries[i].path, event->path) == 0)
            entries[i].dirty = false;
}

/* ".train.lock": it matters to processes that run, not after a power failure. */
static bool is_lock(const char *path)
{
    const char *slash = strrchr(path, '/'), *end = strrchr(path, '.');
    return slash && slash[1] == '.' && strcmp(end, ".lock") == 0;
}

static void follow(const struct event *event, long place)
{
    const char *what = event->what;
    if (is_lock(event->path))
        return;
    if (strcmp(what, "create") == 0 || strcmp(what, "mkdir") == 0) {
        struct entry *entry = find_entry(event->path, *what == 'm');
        entry->dirty = *what == 'c';
        entry->begun = place;
        folder_of(event->path)->dirty = true;
    } else if (strcmp(what, "write") == 0) {
        find_entry(event->path, false)->dirty = true;
        find_entry(event->path, false)->synced = place;
    } else if (strcmp(what, "fsync") == 0) {
        find_entry(event->path, false)->dirty = false;
        find_entry(event->path, false)->synced = place;
    } else if (strcmp(what, "rename") == 0 || strcmp(what, "exchange") == 0) {
        follow_rename(event);
    } else if (strcmp(what, "unlink") == 0) {
        check_removal(event);
    } else if (strcmp(what, "said") == 0) {
        require_durable(event, "", "%s was not fsync'd");
    }
}

const char *fault_trace_breach(const char *trace, bool ended)
{
    static struct event event;
    entry_count = 0;
    *breach = 0;
    FILE *file = fopen(trace, "r");
    assert_non_null(file);
    for (long place = 1; read_event(file, &event); place++)
        follow(&event, place);
    fclose(file);
    event = (struct event){.what = "end"};
    if (ended)
        require_durable(&event, "", "%s was not fsync'd");
    return *breach ? breach : NULL;
}
