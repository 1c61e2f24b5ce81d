/* Speech as parallel streams of units, each at its own rate, and the merged, deduplicated sequence that the language
 * model sees: the "unit string" [St71][Pi39][Hu99][Hu49].... */
#ifndef SPIRITLM_SPEECH_UNITS_H
#define SPIRITLM_SPEECH_UNITS_H

#include "core/status.h"
#include "speech/streams.h"
#include "text/vocabulary.h"

#include <stdint.h>

/* The style of a piece that has none. Spirit LM's own code draws one of several; a fixed one gives the same sound every
 * time. */
enum { DEFAULT_STYLE = 0 };

/* Not deduplicated; index i of a stream covers [i, i+1) / rate seconds. Owned by whoever filled it: units_free. */
struct units {
    uint16_t *values[STREAM_COUNT]; /* NULL when count is 0 */
    int64_t count[STREAM_COUNT];
};
void units_free(struct units *units);

/* One token of the merged sequence. */
struct merged_unit {
    enum unit_stream stream;
    uint16_t value;
    int64_t index; /* of the first unit of its run, in its stream: its time is index / rate */
    int64_t run;   /* units in its run (1 for style) */
};

/* Merges the part of the streams in [begin, end) samples at 16 kHz (end < 0: to the end): runs of equal hubert and
 * equal pitch collapse, style never; stable sort on time with ties St, Pi, Hu. A unit is in the cut that its start lies
 * in. With `begin` > 0 the pitch and style units in force at `begin` (the latest that start at or before it) come
 * first, as if they started there, so that a cut never loses them. A cut at or past the end of all streams is empty.
 * streams_mask (bits 1 << unit_stream) selects streams. *merged is allocated for the caller. */
enum status units_merge(const struct units *units, const struct unit_rates *rates, int64_t begin, int64_t end,
                        unsigned streams_mask, struct merged_unit **merged, int64_t *count);

/* Ids of merged units. STATUS_CORRUPT when a value lies outside the vocabulary's block. */
enum status merged_to_ids(const struct vocabulary *vocabulary, const struct merged_unit *merged, int64_t count,
                          int32_t *ids);

/* "[St71][Pi39][Hu99]": NUL-terminated, allocated for the caller. */
enum status merged_to_string(const struct merged_unit *merged, int64_t count, char **text);

/* Parses a unit string; anything other than [HuN], [PiN], [StN] with N below the given counts is refused with its byte
 * position (STATUS_CORRUPT). index and run of the results are 0 and 1. */
enum status merged_from_string(const char *text, const struct vocabulary *vocabulary, struct merged_unit **merged,
                               int64_t *count);

/* Back from a merged sequence to one (hubert, pitch, style) triple per hubert unit: every Hu takes the latest Pi and St
 * seen; Hu before the first take the first that follows, or the carried state. -1 in a slot means none (Base). `state`
 * (may be NULL) carries the pitch and style in force across pieces: -1, -1 to start. When there are Pi but no St at all
 * and none carried, `default_style` is used and carried on. Every Hu is kept. */
struct unit_state {
    int32_t pitch, style;
};
struct spoken_unit {
    int32_t hubert, pitch, style;
};
enum status units_unmerge(const struct merged_unit *merged, int64_t count, int32_t default_style,
                          struct unit_state *state, struct spoken_unit **spoken, int64_t *spoken_count);

#endif
