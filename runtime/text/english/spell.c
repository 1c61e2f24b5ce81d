/* A text becomes tokens, and each token its readings. Numbers come before words, since a token with a digit is never
 * looked up as a word; a sum of money and its scale ("$3 million") come before both, since they are read together. */
#include "text/english/spell.h"

#include "core/array.h"
#include "text/english/spell_cut.h"
#include "text/english/spell_fold.h"
#include "text/english/spell_number.h"
#include "text/english/spell_word.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct spoken_room {
    int64_t tokens, readings, words;
};

static enum status append_token(struct spoken_text *spoken, struct spoken_room *room, int32_t begin, int32_t end,
                                const struct readings *readings)
{
    enum status result = STATUS_OK;
    if (readings->count == 0)
        return STATUS_OK;
    TRY(array_grow(&spoken->tokens, &room->tokens, spoken->token_count + 1, "tokens of a text"));
    TRY(array_grow(&spoken->readings, &room->readings, spoken->reading_count + readings->count, "readings of a text"));
    spoken->tokens[spoken->token_count++] = (struct spoken_token){
        .text_begin = begin, .text_end = end, .first_reading = spoken->reading_count, .reading_count = readings->count};
    for (int i = 0; i < readings->count; i++) {
        const struct phrase *phrase = &readings->list[i];
        TRY(array_grow(&spoken->words, &room->words, spoken->word_count + phrase->count, "words of a text"));
        assert(spoken->words != NULL && spoken->readings != NULL);
        memcpy(spoken->words + spoken->word_count, phrase->words, (size_t)phrase->count * sizeof *spoken->words);
        spoken->readings[spoken->reading_count++] =
            (struct spoken_reading){.first = spoken->word_count, .count = phrase->count};
        spoken->word_count += phrase->count;
    }
fail:
    return result;
}

enum status spell_readings(const char *text, struct spoken_text *spoken)
{
    enum status result = STATUS_OK;
    struct folded_text folded;
    struct token_list list = {0};
    struct spoken_room room = {0};
    struct readings *readings = NULL;
    *spoken = (struct spoken_text){0};
    result = fold_text(text, &folded);
    if (result != STATUS_OK)
        return result;
    if ((readings = malloc(sizeof *readings)) == NULL)
        FAIL(STATUS_INTERNAL, "out of memory for the readings of a token");
    TRY(cut_tokens(&folded, &list));
    for (int64_t i = 0; i < list.count; i++) {
        const struct written_token *first = &list.tokens[i], *last = first;
        readings->count = 0;
        if (read_money_and_scale(first, readings))
            last = &list.tokens[++i];
        else if (!read_number_token(first, readings))
            read_word_token(first, readings);
        TRY(append_token(spoken, &room, folded.begin[first->begin], folded.end[last->end - 1], readings));
    }
    goto done;
fail:
    spoken_text_free(spoken);
done:
    free(readings);
    free(list.tokens);
    folded_text_free(&folded);
    return result;
}

void spoken_text_free(struct spoken_text *spoken)
{
    free(spoken->tokens);
    free(spoken->readings);
    free(spoken->words);
    *spoken = (struct spoken_text){0};
}

enum status spell_out(const char *text, struct spoken_word **words, int64_t *count)
{
    struct spoken_text spoken;
    *words = NULL;
    *count = 0;
    enum status result = spell_readings(text, &spoken);
    if (result != STATUS_OK)
        return result;
    int64_t total = 0;
    assert(spoken.token_count == 0 || spoken.readings != NULL);
    for (int64_t i = 0; i < spoken.token_count; i++)
        total += spoken.readings[spoken.tokens[i].first_reading].count;
    if (total > 0 && (*words = malloc((size_t)total * sizeof **words)) == NULL) {
        result = status_set(STATUS_INTERNAL, "out of memory for %lld spoken words", (long long)total);
        goto done;
    }
    for (int64_t i = 0; i < spoken.token_count; i++) {
        const struct spoken_token *token = &spoken.tokens[i];
        const struct spoken_reading *reading = &spoken.readings[token->first_reading];
        for (int64_t k = 0; k < reading->count; k++) {
            assert(*words != NULL && spoken.words != NULL);
            struct spoken_word *word = &(*words)[(*count)++];
            memcpy(word->text, spoken.words[reading->first + k], sizeof word->text);
            word->text_begin = token->text_begin;
            word->text_end = token->text_end;
        }
    }
done:
    spoken_text_free(&spoken);
    return result;
}
