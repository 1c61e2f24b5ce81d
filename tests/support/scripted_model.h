/* A model that answers what a test tells it to. Programs that are linked with -Wl,--wrap=generate_batch have it in the place of the
 * real one: everything around it, prompts, stops, tries, journal, ranks and results, is the product's. */
#ifndef SPIRITLM_TESTS_SCRIPTED_MODEL_H
#define SPIRITLM_TESTS_SCRIPTED_MODEL_H

#include "generate/batch.h"

struct scripted_reply {
    int32_t *ids; /* what it would write; freed by the scripted model */
    int64_t count;
    bool endless;    /* no EOS behind them: the last id is repeated until something stops it */
    bool not_finite; /* instead of a reply */
};

/* Sees each request as generate_batch() does; called by one thread at a time. */
typedef struct scripted_reply scripted_model(void *argument, const struct generation_request *request);

/* Until the next call. Requests without a model fail the test. */
void scripted_model_set(scripted_model *model, void *argument);

/* The requests since then. */
int64_t scripted_model_requests(void);

/* The ids of a string with tags and units spelled out, without a dummy prefix; the caller frees. */
int32_t *scripted_ids(const struct components *components, const char *text, int64_t *count);

#endif
