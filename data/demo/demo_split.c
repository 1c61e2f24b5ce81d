/* Every sentence is hashed as it is spoken, together with the seed. After sorting, equal sentences lie side by side in
 * the order of the texts they come from, so comparing the first with the last of each group shows whether several texts
 * share it. One sort is enough for a corpus of any size, and no text has to be kept. */
#include "data/demo/demo_split.h"

#include "core/array.h"
#include "core/hash.h"
#include "text/english/spell.h"

#include <stdlib.h>
#include <string.h>

struct sentence {
    uint64_t hash, text_hash; /* of the sentence, and of the whole document that contains it */
    int64_t document;
};

struct demo_split {
    uint64_t seed;
    struct sentence *sentences;
    int64_t sentence_count, sentence_room;
    struct split_document {
        double share; /* in [0, 1) */
        bool shares_a_sentence;
    } * documents;
    int64_t document_count, document_room;
};

enum status demo_split_create(uint64_t seed, struct demo_split **split)
{
    *split = calloc(1, sizeof **split);
    if (*split == NULL)
        return status_set(STATUS_INTERNAL, "out of memory for the split of a corpus");
    (*split)->seed = seed;
    return STATUS_OK;
}

void demo_split_destroy(struct demo_split *split)
{
    if (split == NULL)
        return;
    free(split->sentences);
    free(split->documents);
    free(split);
}

enum status spoken_form(const char *text, int64_t length, char **form)
{
    struct spoken_word *words = NULL;
    int64_t count = 0;
    *form = NULL;
    char *copy = strndup(text, (size_t)length);
    enum status result = copy == NULL ? status_set(STATUS_INTERNAL, "out of memory for the spoken form of a text")
                                      : spell_out(copy, &words, &count);
    free(copy);
    if (result != STATUS_OK)
        return result;
    *form = malloc((size_t)count * sizeof words->text + 1);
    if (*form == NULL) {
        free(words);
        return status_set(STATUS_INTERNAL, "out of memory for the spoken form of a text");
    }
    size_t used = 0;
    for (int64_t i = 0; i < count; i++) {
        size_t size = strlen(words[i].text);
        if (i > 0)
            (*form)[used++] = ' ';
        memcpy(*form + used, words[i].text, size);
        used += size;
    }
    (*form)[used] = '\0';
    free(words);
    return STATUS_OK;
}

static enum status hash_form(const char *text, int64_t length, uint64_t seed, uint64_t *value)
{
    char *form = NULL;
    enum status result = spoken_form(text, length, &form);
    if (result != STATUS_OK)
        return result;
    struct sha256_stream *stream = sha256_start();
    sha256_add(stream, &seed, sizeof seed);
    sha256_add(stream, form, strlen(form));
    struct sha256 hash = sha256_finish(stream);
    memcpy(value, hash.bytes, sizeof *value);
    free(form);
    return STATUS_OK;
}

/* Length of the first sentence: up to a full stop, question mark or exclamation mark before white space or the end,
 * including quotes and brackets after it. */
static int64_t sentence_length(const char *text)
{
    for (int64_t i = 0; text[i] != '\0'; i++) {
        if (strchr(".?!", text[i]) == NULL)
            continue;
        int64_t end = i + 1;
        while (text[end] != '\0' && strchr(".?!\"')]", text[end]) != NULL)
            end++;
        if (text[end] == '\0' || text[end] == ' ' || text[end] == '\n')
            return end;
        i = end - 1;
    }
    return (int64_t)strlen(text);
}

enum status demo_split_add(struct demo_split *split, const char *text)
{
    enum status result = STATUS_OK;
    uint64_t text_hash = 0;
    TRY(hash_form(text, (int64_t)strlen(text), split->seed, &text_hash));
    TRY(array_grow(&split->documents, &split->document_room, split->document_count + 1, "documents of a corpus"));
    int64_t document = split->document_count++;
    split->documents[document] = (struct split_document){.share = (double)(text_hash >> 11) * 0x1p-53};
    for (const char *at = text; *at != '\0';) {
        int64_t length = sentence_length(at);
        uint64_t hash = 0;
        TRY(hash_form(at, length, split->seed, &hash));
        TRY(array_grow(&split->sentences, &split->sentence_room, split->sentence_count + 1, "sentences of a corpus"));
        split->sentences[split->sentence_count++] = (struct sentence){hash, text_hash, document};
        at += length;
        at += strspn(at, " \n");
    }
fail:
    return result;
}

static int compare_sentences(const void *a, const void *b)
{
    const struct sentence *left = a, *right = b;
    if (left->hash != right->hash)
        return left->hash < right->hash ? -1 : 1;
    if (left->text_hash != right->text_hash)
        return left->text_hash < right->text_hash ? -1 : 1;
    return left->document < right->document ? -1 : left->document > right->document;
}

void demo_split_finish(struct demo_split *split)
{
    if (split->sentence_count == 0)
        return;
    qsort(split->sentences, (size_t)split->sentence_count, sizeof *split->sentences, compare_sentences);
    for (int64_t begin = 0; begin < split->sentence_count;) {
        int64_t end = begin;
        while (end < split->sentence_count && split->sentences[end].hash == split->sentences[begin].hash)
            end++;
        /* In the order of text hashes: the first and the last differ when any two do. */
        bool shared = split->sentences[begin].text_hash != split->sentences[end - 1].text_hash;
        for (int64_t i = begin; i < end && shared; i++)
            split->documents[split->sentences[i].document].shares_a_sentence = true;
        begin = end;
    }
}

bool demo_split_held_out(const struct demo_split *split, int64_t document, double share)
{
    const struct split_document *found = &split->documents[document];
    return !found->shares_a_sentence && found->share < share;
}
