/* The streams that speech is written in, and the rate of each: what manifests, shards, vocabularies and tokenizers
 * agree on before any of them knows about units. */
#ifndef SPIRITLM_SPEECH_STREAMS_H
#define SPIRITLM_SPEECH_STREAMS_H

#include <stdint.h>

enum unit_stream { STREAM_HUBERT, STREAM_PITCH, STREAM_STYLE, STREAM_COUNT };
enum { STREAMS_BASE = 1 << STREAM_HUBERT, STREAMS_ALL = (1 << STREAM_COUNT) - 1 }; /* masks of the two kinds of model */
const char *unit_stream_name(enum unit_stream stream);   /* "hubert", "pitch", "style": the keys of every file */
const char *unit_stream_prefix(enum unit_stream stream); /* "Hu", "Pi", "St" */

struct rational {
    int64_t numerator, denominator;
};

/* Units per second of each stream: exact, so that merge, cut and time code agree. A stream that is absent has 0/1. */
struct unit_rates {
    struct rational rate[STREAM_COUNT];
};

#endif
