/* Units are matched by number, so that [Hu500] is a unit where there are 501 of them and [Hu501] is text. */
#include "text/tokenizer_patterns.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_escaped(FILE *out, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte < 0x80 && ispunct(byte))
            putc('\\', out);
        putc(byte, out);
    }
}

/* Decimal numbers from 0 to `largest` without leading zeros. */
static void put_numbers(FILE *out, int32_t largest)
{
    char digits[16];
    int length = snprintf(digits, sizeof digits, "%" PRId32, largest);
    fprintf(out, "(?:%s", digits);
    if (largest > 0 && length > 1)
        fprintf(out, "|[0-9]");
    for (int shorter = 2; shorter < length; shorter++)
        fprintf(out, "|[1-9][0-9]{%d}", shorter - 1);
    for (int i = 0; i < length; i++) {
        char lowest = i == 0 && length > 1 ? '1' : '0';
        if (digits[i] <= lowest)
            continue;
        fprintf(out, "|%.*s[%c-%c]", i, digits, lowest, digits[i] - 1);
        if (i + 1 < length)
            fprintf(out, "[0-9]{%d}", length - i - 1);
    }
    putc(')', out);
}

static void put_tags(FILE *out, const struct vocabulary *vocabulary)
{
    const struct {
        const char *name;
        int32_t count;
    } streams[] = {{"Hu", vocabulary->hubert_count}, {"Pi", vocabulary->pitch_count}, {"St", vocabulary->style_count}};
    fprintf(out, "\\[(?:Text|Speech");
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
        if (streams[i].count == 0)
            continue;
        fprintf(out, "|%s", streams[i].name);
        put_numbers(out, streams[i].count - 1);
    }
    if (vocabulary->asr_tag >= 0)
        fprintf(out, "|ASR|TTS");
    fprintf(out, ")\\]");
}

static int longest_first(const void *a, const void *b)
{
    const struct piece *x = *(const struct piece *const *)a, *y = *(const struct piece *const *)b;
    return (y->size > x->size) - (y->size < x->size);
}

/* The longest of several that match at one place must come first. A user-defined piece can be longer than a tag that it
 * begins with only if it holds a ']'. */
static void put_user_pieces(FILE *out, const struct sentencepiece *text, const struct vocabulary *vocabulary,
                            const struct piece **sorted)
{
    for (int32_t i = 0; i < text->user_count; i++)
        sorted[i] = &text->pieces[text->user[i]];
    qsort(sorted, (size_t)text->user_count, sizeof *sorted, longest_first);
    const char *between = "";
    for (int before = 1; before >= 0; before--) {
        for (int32_t i = 0; i < text->user_count; i++) {
            if ((strchr(sorted[i]->text, ']') != NULL) != before)
                continue;
            fputs(between, out);
            put_escaped(out, sorted[i]->text, (size_t)sorted[i]->size);
            between = "|";
        }
        if (before && vocabulary->text_tag >= 0) {
            fputs(between, out);
            put_tags(out, vocabulary);
            between = "|";
        }
    }
}

enum status pattern_of_tags(const struct sentencepiece *text, const struct vocabulary *vocabulary, char **pattern)
{
    size_t size;
    *pattern = NULL;
    const struct piece **sorted = calloc((size_t)text->user_count + 1, sizeof *sorted);
    FILE *out = open_memstream(pattern, &size);
    if (out && sorted)
        put_user_pieces(out, text, vocabulary, sorted);
    free(sorted);
    if (out && fclose(out) == 0 && sorted) {
        if (size == 0) {
            free(*pattern);
            *pattern = NULL;
        }
        return STATUS_OK;
    }
    free(*pattern);
    *pattern = NULL;
    return status_set(STATUS_INTERNAL, "no memory for the pattern of the tags");
}

/* Where to cut the piece's text: after its first id's text. 0: the text gives the piece itself. */
static enum status first_cut(const struct sentencepiece *text, int32_t id, int32_t *cut)
{
    enum status result = STATUS_OK;
    struct sentencepiece untrimmed = *text;
    const struct piece *piece = &text->pieces[id];
    int32_t *ids = NULL;
    int64_t count;
    *cut = 0;
    untrimmed.remove_extra_whitespaces = false;
    TRY(sentencepiece_encode(&untrimmed, piece->text, piece->size, false, &ids, &count));
    if (count == 1 && ids[0] == id)
        goto fail; /* as it should be */
    const struct piece *first = &text->pieces[ids[0]];
    *cut = first->type == PIECE_NORMAL ? first->size : (int32_t)utf8_character(piece->text, (size_t)piece->size);
    if (*cut >= piece->size)
        *cut = 0;
fail:
    free(ids);
    return result;
}

static enum status put_unreachable(FILE *out, const struct sentencepiece *text, int64_t *found)
{
    enum status result = STATUS_OK;
    bool bytes_noted = false;
    for (int32_t id = 0; id < text->count; id++) {
        const struct piece *piece = &text->pieces[id];
        int32_t cut = 0;
        if (piece->type == PIECE_NORMAL || piece->type == PIECE_BYTE)
            TRY(first_cut(text, id, &cut));
        bool plain_byte = piece->type == PIECE_BYTE && cut == 1;
        if (cut == 0 || (plain_byte && bytes_noted))
            continue;
        bytes_noted = bytes_noted || plain_byte;
        fprintf(out, "%s", *found > 0 ? "|" : "\\A(?:");
        ++*found;
        put_escaped(out, piece->text, (size_t)cut);
        fprintf(out, "(?=");
        if (plain_byte)
            fprintf(out, "0x[0-9A-F]{2}\\>");
        else
            put_escaped(out, piece->text + cut, (size_t)(piece->size - cut));
        fprintf(out, "\\z)");
    }
    if (*found > 0)
        putc(')', out);
fail:
    return result;
}

enum status pattern_of_unreachable(const struct sentencepiece *text, char **pattern)
{
    size_t size;
    int64_t found = 0;
    *pattern = NULL;
    FILE *out = open_memstream(pattern, &size);
    if (!out)
        return status_set(STATUS_INTERNAL, "no memory for the pattern of pieces that no text reaches");
    enum status result = put_unreachable(out, text, &found);
    if (fclose(out) != 0 && result == STATUS_OK)
        result = status_set(STATUS_INTERNAL, "no memory for the pattern of pieces that no text reaches");
    if (result == STATUS_OK && found > 0)
        return STATUS_OK;
    free(*pattern);
    *pattern = NULL;
    return result;
}
