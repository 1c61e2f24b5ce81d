/* The lines of a lock's file (io/lock.h): who holds it. What a killed process wrote stays there until the next holder
 * replaces it, and a file's text may be anything, so a line counts only when it can be parsed and its process, where it
 * was on this host, still exists. Those who share a lock have one purpose, so there the first line states it, whether or
 * not its process has ended. */
#include "io/lock_internal.h"

#include "core/utf8.h"
#include "io/file_internal.h"
#include "io/json.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { COMMAND_BYTES = 1024, FILE_BYTES = 1 << 16 };

/* The command line of this process, its arguments separated by spaces, cut where it is long. */
static void read_command(char command[COMMAND_BYTES])
{
    ssize_t size = 0;
    int descriptor = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    if (descriptor >= 0) {
        size = read(descriptor, command, COMMAND_BYTES - 1);
        close(descriptor);
    }
    while (size > 0 && command[size - 1] == 0)
        size--;
    for (ssize_t i = 0; i < size; i++)
        if (command[i] == 0)
            command[i] = ' ';
    command[size > 0 ? size : 0] = 0;
}

char *lock_holder_line(const char *purpose)
{
    char command[COMMAND_BYTES], host[65], started[32], *clean = NULL, *text = NULL;
    time_t now = time(NULL);
    struct tm parts;
    strftime(started, sizeof started, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &parts));
    host_name(host);
    read_command(command);
    if (utf8_printable(command, (int64_t)strlen(command), &clean) != STATUS_OK)
        return NULL;
    int length = (int)strcspn(clean, " ");
    const char *program = clean;
    for (const char *c = clean; c < clean + length; c++)
        if (*c == '/')
            program = c + 1;
    length -= (int)(program - clean);
    json_t *line =
        json_pack("{s:s, s:I, s:s%, s:s, s:s, s:s}", "host", host, "pid", (json_int_t)getpid(), "program", program,
                  (size_t)length, "command", clean, "started", started, "purpose", purpose ? purpose : "");
    if (line)
        text = jdoc_text(line, 0);
    json_decref(line);
    free(clean);
    return text;
}

struct holder {
    const char *host, *program, *command, *started, *purpose;
    int64_t pid;
};

static bool parse_holder(const json_t *line, struct holder *holder)
{
    return jdoc_get_string("lock", line, "host", &holder->host) == STATUS_OK &&
           jdoc_get_int("lock", line, "pid", 1, INT32_MAX, &holder->pid) == STATUS_OK &&
           jdoc_get_string("lock", line, "program", &holder->program) == STATUS_OK &&
           jdoc_get_string("lock", line, "command", &holder->command) == STATUS_OK &&
           jdoc_get_string("lock", line, "started", &holder->started) == STATUS_OK &&
           jdoc_get_string("lock", line, "purpose", &holder->purpose) == STATUS_OK;
}

static bool may_be_alive(const struct holder *holder)
{
    char host[65];
    host_name(host);
    return strcmp(host, holder->host) != 0 || kill((pid_t)holder->pid, 0) == 0 || errno != ESRCH;
}

/* UNKNOWN when the line cannot be parsed; otherwise whether the purpose fits, with the name in `text`. */
static enum lock_holder judge_line(const char *line, int64_t length, const char *purpose, bool *alive,
                                   char text[LOCK_HOLDER_TEXT])
{
    enum lock_holder result = LOCK_HOLDER_UNKNOWN;
    struct holder holder;
    json_t *root = NULL;
    char *command = NULL;
    if (jdoc_parse("lock", line, length, &root) == STATUS_OK && parse_holder(root, &holder) &&
        utf8_printable(holder.command, (int64_t)strlen(holder.command), &command) == STATUS_OK) {
        snprintf(text, LOCK_HOLDER_TEXT, "%.60s (process %lld on %.64s, since %.24s): %.200s%s", holder.program,
                 (long long)holder.pid, holder.host, holder.started, command, strlen(command) > 200 ? "..." : "");
        *alive = may_be_alive(&holder);
        result = !purpose || strcmp(purpose, holder.purpose) == 0 ? LOCK_HOLDER_FITS : LOCK_HOLDER_DIFFERS;
    }
    free(command);
    json_decref(root);
    return result;
}

enum lock_holder lock_holder_read(int descriptor, const char *purpose, bool shared, char text[LOCK_HOLDER_TEXT])
{
    enum lock_holder result = LOCK_HOLDER_UNKNOWN;
    bool alive = false;
    char *lines = malloc(FILE_BYTES);
    ssize_t size = lines ? pread(descriptor, lines, FILE_BYTES, 0) : 0;
    snprintf(text, LOCK_HOLDER_TEXT, "a program that has not written its name into the lock's file");
    for (const char *at = lines; !alive && size > 0 && at < lines + size;) {
        char name[LOCK_HOLDER_TEXT];
        const char *end = memchr(at, '\n', (size_t)(lines + size - at));
        if (!end)
            break; /* not written completely */
        enum lock_holder verdict = judge_line(at, end - at, purpose, &alive, name);
        at = end + 1;
        if (verdict == LOCK_HOLDER_UNKNOWN || (!alive && (!shared || result != LOCK_HOLDER_UNKNOWN)))
            continue;
        memcpy(text, name, sizeof name);
        result = shared && result != LOCK_HOLDER_UNKNOWN ? result : verdict;
    }
    free(lines);
    return result;
}
