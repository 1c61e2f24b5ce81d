/* Where recordings of whole stories are cut, against the synthesiser's own word times: stories of two verses, rendered in one go, cut behind
 * the first. SPIRITLM_TEST_LONG=1: 200 stories instead of 12. */
#include "support/test_support.h"

#include "data/align/align.h"
#include "data/demo/demo_sources.h"
#include "data/demo/synthesize.h"
#include "eval/story_clips.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLOSE = 640 }; /* samples: 40 ms */

/* Letters and plain punctuation, 5 to 15 words, with a full stop at its end alone. */
static bool is_sentence(const char *text)
{
    int words = 1;
    size_t length = strlen(text);
    if (length < 2 || text[length - 1] != '.' || strcspn(text, ".?!") != length - 1)
        return false;
    for (const char *c = text; *c; c++) {
        if (strchr(" ,.;:'", *c) == NULL && !((*c | 32) >= 'a' && (*c | 32) <= 'z'))
            return false;
        words += *c == ' ';
    }
    return words >= 5 && words <= 15;
}

static const char *draw_sentence(const struct demo_book *book, struct rng *rng)
{
    const char *text;
    do
        text = book->verses[rng_below(rng, (uint64_t)book->count)].text;
    while (!is_sentence(text));
    return text;
}

static void cuts_are_where_the_context_ends(void **state)
{
    (void)state;
    const int stories = test_is_long() ? 200 : 12;
    int found = 0, close = 0;
    struct demo_book book;
    struct aligner *aligner;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 41, 0);
    assert_ok(demo_book_read(&book));
    assert_ok(aligner_create(NULL, &aligner));
    for (int s = 0; s < stories; s++) {
        const char *context = draw_sentence(&book, &rng), *reason;
        char correct[1200], incorrect[1200];
        struct synthesis synthesis;
        int64_t cut, truth = -1;
        snprintf(correct, sizeof correct, "%s %s", context, draw_sentence(&book, &rng));
        snprintf(incorrect, sizeof incorrect, "%s %s", context, draw_sentence(&book, &rng));
        int64_t length = story_shared_context(correct, incorrect);
        assert_int_equal(length, strlen(context));
        assert_ok(synthesize(correct, (enum synthetic_voice)(s % SYNTHETIC_VOICES), EMOTION_NEUTRAL, &synthesis));
        for (int64_t i = 0; i < synthesis.word_count; i++)
            if (synthesis.words[i].text_end <= length)
                truth = synthesis.words[i].end;
        assert_ok(story_find_cut(aligner, synthesis.samples, synthesis.count, correct, length, &cut, &reason));
        found += reason == NULL;
        close += !reason && llabs(cut - truth) <= CLOSE;
        if (!reason && llabs(cut - truth) > CLOSE)
            print_message("%lld ms off: %s\n", (long long)(cut - truth) / 16, correct);
        synthesis_free(&synthesis);
    }
    print_message("%d stories: %d cut, %d of these within 40 ms\n", stories, found, close);
    assert_true(found >= stories - stories / 50 - 1); /* a verse in fifty may have a name that nobody can pronounce */
    assert_true(close >= 0.95 * found - 1e-9 || (!test_is_long() && close >= found - 1));
    aligner_destroy(aligner);
    demo_book_free(&book);
}

static void what_cannot_be_cut_says_why(void **state)
{
    (void)state;
    struct aligner *aligner;
    float silence[16000] = {0};
    int64_t cut;
    const char *reason;
    assert_ok(aligner_create(NULL, &aligner));
    assert_ok(story_find_cut(aligner, silence, 16000, "One. Two.", 0, &cut, &reason));
    assert_true(cut == -1 && reason && strstr(reason, "share no sentence"));
    assert_ok(story_find_cut(aligner, silence, 16000, "One. Two.", 4, &cut, &reason));
    assert_true(reason != NULL);
    aligner_destroy(aligner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_are_where_the_context_ends),
        cmocka_unit_test(what_cannot_be_cut_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
