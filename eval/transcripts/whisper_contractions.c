/* Contractions, titles and colloquial forms of English. The rules are applied one after the other to the whole text, and a later
 * rule sees what an earlier one wrote, so their order is part of the form: "can't" is looked for before "n't", "'s been" before
 * "'s". Apostrophes are U+0027 alone; typographic ones become spaces later, as in the original.
 *
 * A rule's words end where a word ends. Most of them also begin where a word begins; a suffix ("'ll") does not. Titles are
 * followed by one more space, which the last stage merges with the one that was there. */
#include "eval/transcripts/characters.h"
#include "eval/transcripts/text_stages.h"

#include <stddef.h>
#include <string.h>

struct rule {
    const char *words, *written;
    bool suffix;
};

static const struct rule rules[] = {
    {"won't", "will not", false},
    {"can't", "can not", false},
    {"let's", "let us", false},
    {"ain't", "aint", false},
    {"y'all", "you all", false},
    {"wanna", "want to", false},
    {"kinda", "kind of", false},
    {"sorta", "sort of", false},
    {"dunno", "do not know", false},
    {"gotta", "got to", false},
    {"gonna", "going to", false},
    {"i'ma", "i am going to", false},
    {"imma", "i am going to", false},
    {"woulda", "would have", false},
    {"coulda", "could have", false},
    {"shoulda", "should have", false},
    {"cause", "because", false},
    {"ma'am", "madam", false},
    /* titles */
    {"mr", "mister ", false},
    {"mrs", "missus ", false},
    {"st", "saint ", false},
    {"dr", "doctor ", false},
    {"prof", "professor ", false},
    {"capt", "captain ", false},
    {"gov", "governor ", false},
    {"ald", "alderman ", false},
    {"gen", "general ", false},
    {"sen", "senator ", false},
    {"rep", "representative ", false},
    {"pres", "president ", false},
    {"rev", "reverend ", false},
    {"hon", "honorable ", false},
    {"asst", "assistant ", false},
    {"assoc", "associate ", false},
    {"lt", "lieutenant ", false},
    {"col", "colonel ", false},
    {"jr", "junior ", false},
    {"sr", "senior ", false},
    {"esq", "esquire ", false},
    /* perfect tenses, where 's is "has" */
    {"'d been", " had been", true},
    {"'s been", " has been", true},
    {"'d gone", " had gone", true},
    {"'s gone", " has gone", true},
    {"'d done", " had done", true},
    {"'s got", " has got", true},
    /* all others */
    {"n't", " not", true},
    {"'re", " are", true},
    {"'s", " is", true},
    {"'d", " would", true},
    {"'ll", " will", true},
    {"'t", " not", true},
    {"'ve", " have", true},
    {"'m", " am", true},
};

/* Whether the words that stand at byte `at` are whole. */
static bool fits(const struct rule *rule, const struct text_buffer *text, int64_t at)
{
    int64_t end = at + (int64_t)strlen(rule->words);
    return (rule->suffix || is_word_boundary(text->bytes, text->size, at)) &&
           is_word_boundary(text->bytes, text->size, end);
}

static void apply(const struct rule *rule, struct text_work *work)
{
    const struct text_buffer *from = &work->text;
    struct text_buffer *to = &work->next;
    int64_t copied = 0;
    to->size = 0;
    text_buffer_add(to, "", 0);
    for (const char *found = from->bytes; (found = strstr(found, rule->words));) {
        int64_t at = found - from->bytes;
        if (!fits(rule, from, at)) {
            found++;
            continue;
        }
        text_buffer_add(to, from->bytes + copied, at - copied);
        text_buffer_add_text(to, rule->written);
        copied = at + (int64_t)strlen(rule->words);
        found = from->bytes + copied;
    }
    if (copied == 0)
        return; /* the text stays where it is */
    text_buffer_add(to, from->bytes + copied, from->size - copied);
    struct text_buffer written = work->next;
    work->next = work->text;
    work->text = written;
}

void contractions_work(struct text_work *work)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules && work->text.result == STATUS_OK; i++)
        apply(rules + i, work);
}
