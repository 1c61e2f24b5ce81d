/* Reads what Debian's packages install: lists of texts, and the recordings that they belong to. A text without its
 * recording is skipped; a missing package is an error that names it, since the demo would otherwise fail later with a
 * less helpful error. */
#include "data/demo/demo_sources.h"

#include "core/array.h"
#include "core/path.h"
#include "io/atomic_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define INSTALL "scripts/install-dependencies installs it"
#define PROMPT_TEXTS "/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
#define PROMPT_SOUNDS "/usr/share/asterisk/sounds/en_US_f_Allison"
#define RECORDINGS "/usr/share/pocketsphinx/test/data"

enum { TEXTS_LIMIT = 4 << 20 };

void demo_clips_free(struct demo_clips *clips)
{
    for (int64_t i = 0; i < clips->count; i++) {
        free(clips->list[i].id);
        free(clips->list[i].path);
        free(clips->list[i].text);
    }
    free(clips->list);
    *clips = (struct demo_clips){0};
}

/* Copies the strings. */
static enum status add_clip(struct demo_clips *clips, const char *id, const char *path, const char *text,
                            const char *speaker, const char *source)
{
    enum status result = array_grow(&clips->list, &clips->room, clips->count + 1, "clips");
    if (result != STATUS_OK)
        return result;
    struct demo_clip *clip = &clips->list[clips->count];
    *clip = (struct demo_clip){strdup(id), strdup(path), strdup(text), speaker, source};
    clips->count++;
    if (clip->id == NULL || clip->path == NULL || clip->text == NULL)
        return status_set(STATUS_INTERNAL, "out of memory for the clip %s", id);
    return STATUS_OK;
}

/* Reads a text file, plain or gzip, of at most TEXTS_LIMIT bytes; the caller frees. */
static enum status read_text(const char *path, const char *package, char **text)
{
    enum status result = STATUS_OK;
    *text = NULL;
    if (access(path, R_OK) != 0)
        return status_set(STATUS_USAGE, "%s: missing: the demo needs Debian's package %s (" INSTALL ")", path, package);
    gzFile file = gzopen(path, "rb");
    if (file == NULL)
        return status_set_errno(STATUS_IO, errno, "%s", path);
    *text = malloc(TEXTS_LIMIT + 1);
    if (*text == NULL)
        FAIL(STATUS_INTERNAL, "out of memory for %s", path);
    int length = gzread(file, *text, TEXTS_LIMIT);
    if (length < 0 || !gzeof(file))
        FAIL(STATUS_CORRUPT, "%s: damaged, or longer than %d bytes", path, TEXTS_LIMIT);
    (*text)[length] = '\0';
fail:
    gzclose(file);
    if (result != STATUS_OK) {
        free(*text);
        *text = NULL;
    }
    return result;
}

/* Removes remarks in round and square brackets and reduces white space, in place. */
static void clean_text(char *text)
{
    char *out = text;
    int depth = 0;
    for (const char *in = text; *in != '\0'; in++) {
        if (*in == '(' || *in == '[')
            depth++;
        if (depth == 0 && !((*in == ' ' || *in == '\t' || *in == '\r') && (out == text || out[-1] == ' ')))
            *out++ = *in == '\t' || *in == '\r' ? ' ' : *in;
        if ((*in == ')' || *in == ']') && depth > 0)
            depth--;
    }
    while (out > text && out[-1] == ' ')
        out--;
    *out = '\0';
}

enum status demo_prompts_read_from(const char *texts, const char *sounds, struct demo_clips *clips)
{
    enum status result = STATUS_OK;
    char *memory = NULL, *rest = NULL;
    int64_t before = clips->count;
    TRY(read_text(texts, "asterisk-core-sounds-en with its documentation", &memory));
    if (access(sounds, R_OK) != 0)
        FAIL(STATUS_USAGE, "%s: missing: the demo needs Debian's package asterisk-core-sounds-en-g722 (" INSTALL ")",
             sounds);
    for (char *line = strtok_r(memory, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        char id[PATH_BYTES], path[PATH_BYTES];
        char *colon = strchr(line, ':');
        if (line[0] == ';' || colon == NULL)
            continue;
        *colon = '\0';
        char *text = colon + 1 + strspn(colon + 1, " \t");
        if (strncmp(line, "silence/", 8) == 0 || strchr("[<(", *text) != NULL) /* strchr finds the final 0 as well */
            continue;
        clean_text(text);
        if (text[0] == '\0' || path_format(path, "%s/%s.g722", sounds, line) != STATUS_OK || access(path, R_OK) != 0)
            continue;
        TRY(path_format(id, "asterisk/%s", line));
        TRY(add_clip(clips, id, path, text, "allison", "asterisk"));
    }
    if (clips->count == before)
        FAIL(STATUS_CORRUPT, "%s: none of its texts has a sound in %s", texts, sounds);
fail:
    free(memory);
    return result;
}

enum status demo_prompts_read(struct demo_clips *clips)
{
    return demo_prompts_read_from(PROMPT_TEXTS, PROMPT_SOUNDS, clips);
}

/* Lines "<s> the words </s> (name)". */
static enum status read_transcription(const char *folder, const char *file, const char *speaker,
                                      struct demo_clips *clips)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES], id[PATH_BYTES], sound[PATH_BYTES], *memory = NULL, *rest = NULL;
    TRY(path_format(path, RECORDINGS "/%s/%s", folder, file));
    TRY(read_text(path, "pocketsphinx-testdata", &memory));
    for (char *line = strtok_r(memory, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        char *begin = strstr(line, "<s>"), *end = strstr(line, "</s>");
        char *name = end == NULL ? NULL : strchr(end, '('), *name_end = name == NULL ? NULL : strchr(name, ')');
        if (begin == NULL || end < begin || name_end == NULL)
            FAIL(STATUS_CORRUPT, "%s: expected <s> words </s> (name), found \"%.60s\"", path, line);
        *end = *name_end = '\0';
        clean_text(begin + 3);
        TRY(path_format(id, "pocketsphinx/%s/%s", folder, name + 1));
        TRY(path_format(sound, RECORDINGS "/%s/%s.wav", folder, name + 1));
        TRY(add_clip(clips, id, sound, begin + 3, speaker, "pocketsphinx"));
    }
fail:
    free(memory);
    return result;
}

enum status demo_recordings_read(struct demo_clips *clips)
{
    enum status result = STATUS_OK;
    TRY(read_transcription("cards", "cards.transcription", "pocketsphinx-cards", clips));
    TRY(read_transcription("librivox", "transcription", "pocketsphinx-librivox", clips));
fail:
    return result;
}
