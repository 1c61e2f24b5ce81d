/* The release maps only the emotions happy, angry, sad and default of predictions; neutral and amused are in its map of the
 * references. One map serves both here: no label means two things. */
#include "eval/stsp/sentiment.h"

#include <strings.h>

static const char *const names[SENTIMENTS] = {"negative", "neutral", "positive"};

static const struct {
    const char *label;
    enum sentiment sentiment;
} labels[] = {
    {"negative", SENTIMENT_NEGATIVE}, {"neutral", SENTIMENT_NEUTRAL}, {"positive", SENTIMENT_POSITIVE},
    {"happy", SENTIMENT_POSITIVE},    {"amused", SENTIMENT_POSITIVE}, {"sad", SENTIMENT_NEGATIVE},
    {"angry", SENTIMENT_NEGATIVE},    {"default", SENTIMENT_NEUTRAL},
};

const char *sentiment_name(enum sentiment sentiment)
{
    return names[sentiment];
}

bool sentiment_find(const char *label, enum sentiment *sentiment)
{
    for (unsigned i = 0; i < sizeof labels / sizeof *labels; i++)
        if (strcasecmp(label, labels[i].label) == 0) {
            *sentiment = labels[i].sentiment;
            return true;
        }
    return false;
}

const char *sentiment_labels(void)
{
    return "negative, neutral, positive, happy, amused, sad, angry, default";
}
