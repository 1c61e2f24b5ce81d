/* Some 1,700 words, sorted, so that a word of a transcript is found in eleven comparisons. */
#include "eval/transcripts/spellings.h"

#include "core/path.h"
#include "eval/transcripts/characters.h"
#include "io/json.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct spelling {
    const char *british, *american; /* borrowed from the document */
    size_t size;                    /* of the British one */
};

struct spellings {
    json_t *document;
    struct spelling *words;
    size_t count;
};

static int by_british(const void *a, const void *b)
{
    const struct spelling *x = a, *y = b;
    int order = memcmp(x->british, y->british, x->size < y->size ? x->size : y->size);
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

static enum status find_file(const char *path, char file[PATH_BYTES])
{
    struct stat about;
    bool folder = stat(path, &about) == 0 && S_ISDIR(about.st_mode);
    return path_format(file, folder ? "%s/normalizer.json" : "%s", path);
}

enum status spellings_read(const char *path, struct spellings **spellings)
{
    enum status result = STATUS_OK;
    char file[PATH_BYTES];
    const char *british;
    json_t *american;
    struct spellings *read = calloc(1, sizeof *read);
    if (!read)
        FAIL(STATUS_INTERNAL, "no memory for spellings");
    TRY(find_file(path, file));
    TRY(jdoc_read(file, &read->document));
    if (!json_is_object(read->document))
        FAIL(STATUS_CORRUPT, "%s: expected an object of spellings", file);
    read->words = calloc(json_object_size(read->document) + 1, sizeof *read->words);
    if (!read->words)
        FAIL(STATUS_INTERNAL, "no memory for %zu spellings", json_object_size(read->document));
    json_object_foreach(read->document, british, american)
    {
        if (!json_is_string(american))
            FAIL(STATUS_CORRUPT, "%s: the spelling of \"%.100s\" is not a text", file, british);
        read->words[read->count++] =
            (struct spelling){.british = british, .american = json_string_value(american), .size = strlen(british)};
    }
    if (read->count == 0)
        FAIL(STATUS_CORRUPT, "%s: there are no spellings in it", file);
    qsort(read->words, read->count, sizeof *read->words, by_british);
    *spellings = read;
    read = NULL;
fail:
    spellings_free(read);
    return result;
}

void spellings_free(struct spellings *spellings)
{
    if (!spellings)
        return;
    json_decref(spellings->document);
    free(spellings->words);
    free(spellings);
}

void spellings_apply(const struct spellings *spellings, const struct text_buffer *from, struct text_buffer *to)
{
    for (int64_t at = 0, length, begin; (begin = at = skip_white_space(from->bytes, from->size, at)) < from->size;) {
        while (at < from->size && !is_white_space(character_at(from->bytes, from->size, at, &length)))
            at += length;
        struct spelling word = {.british = from->bytes + begin, .size = (size_t)(at - begin)};
        const struct spelling *found =
            spellings ? bsearch(&word, spellings->words, spellings->count, sizeof word, by_british) : NULL;
        if (to->size > 0)
            text_buffer_add(to, " ", 1);
        if (found)
            text_buffer_add_text(to, found->american);
        else
            text_buffer_add(to, word.british, at - begin);
    }
}
