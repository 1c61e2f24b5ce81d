/* What turns sound into units and back, as the rest of the toolkit sees it: an encoder for each stream and a vocoder,
 * each identified by its fingerprint and hiding how it works. The embedded components (speech/embedded/) need no
 * weights; neural ones can replace them one by one.
 *
 * A component is a plain struct of what must be known about it, what it computes, and a state of its own. A set (struct
 * speech) holds them by value: a component is replaced by assignment. */
#ifndef SPIRITLM_SPEECH_COMPONENT_H
#define SPIRITLM_SPEECH_COMPONENT_H

#include "core/hash.h"
#include "core/status.h"
#include "core/thread_pool.h"
#include "kernels/kernels.h"
#include "speech/streams.h"
#include "speech/units.h"

#include <stdbool.h>
#include <stdint.h>

/* ---- one utterance while it is encoded ---- */

/* What the encoders of one family share about an utterance, so that it is computed once however many of them a set has.
 * A family's own struct begins with this. */
struct speech_analysis {
    const void *owner; /* an address that only this family has */
    void (*destroy)(struct speech_analysis *analysis);
    struct speech_analysis *next;
};

/* The streams are encoded one after the other in the order of enum unit_stream. An encoder depends on samples and
 * speaker alone, never on what another stream's encoder gave: so that any of them can be replaced, and the fingerprint
 * of each determines its units. What it needs of its own family's earlier work (style: the embedded units) it finds in
 * the family's analysis, or computes there. */
struct speech_utterance {
    const float *samples; /* 16 kHz mono, finite */
    int64_t count;
    const char *speaker; /* NULL or "": unknown */
    struct speech_analysis *analyses;
};

/* The analysis that `owner` has kept; NULL when there is none yet. */
struct speech_analysis *speech_utterance_find(const struct speech_utterance *utterance, const void *owner);

/* Keeps an analysis, which the utterance destroys when all of its streams are encoded. */
void speech_utterance_keep(struct speech_utterance *utterance, struct speech_analysis *analysis);

/* ---- components ---- */

/* Turns samples into the units of one stream. All zero: absent. */
struct speech_encoder {
    enum unit_stream stream;
    struct rational rate;      /* units per second */
    int32_t size;              /* units are 0 .. size - 1; at most 65536 */
    struct sha256 fingerprint; /* over all that its units depend on except samples and speaker */
    void *state;

    /* *values [*count], not deduplicated, is allocated for the caller, who frees it after a failure too; NULL when
     * *count is 0. How long audio is cut into chunks, and how short is too short for a unit, is up to the encoder.
     * Thread-safe: one encoder serves many utterances at once. */
    enum status (*encode)(const struct speech_encoder *self, struct speech_utterance *utterance, uint16_t **values,
                          int64_t *count);

    /* Whether it knows something about the speaker (a mean pitch) that its units depend on. NULL: it knows nobody. */
    bool (*knows_speaker)(const struct speech_encoder *self, const char *speaker);

    void (*destroy)(void *state); /* NULL: nothing to free */
};

/* Turns units into samples. All zero: absent. */
struct speech_vocoder {
    struct sha256 fingerprint;
    struct sha256 units; /* fingerprint of the unit encoder whose units it speaks; zero: not known, so not checked */
    void *state;

    /* Chooses the voice of all that is synthesised from now on, by names or numbers from 0 on; NULL leaves it as it is.
     * STATUS_USAGE lists what there is. NULL: there is one voice. */
    enum status (*choose_voice)(const struct speech_vocoder *self, const char *speaker, const char *style);

    /* Unit i of `spoken` lasts durations[i] >= 1 units of the unit encoder's rate; durations NULL: the vocoder chooses
     * them. *samples, 16 kHz mono, is allocated for the caller; NULL when *count is 0 and after a failure.
     * STATUS_USAGE: a unit that it does not have, an impossible duration. The same bits for any number of threads; pool
     * may be NULL. Thread-safe. */
    enum status (*synthesise)(const struct speech_vocoder *self, const struct spoken_unit *spoken,
                              const int32_t *durations, int64_t spoken_count, struct thread_pool *pool, float **samples,
                              int64_t *count);

    void (*destroy)(void *state); /* NULL: nothing to free */
};

/* ---- a set of them ---- */

/* Where components compute, each on contexts of its own; all of it is borrowed. */
struct speech_compute {
    const struct kernels *device;   /* a GPU's, for what is also computed without kernels; NULL: it is */
    const struct kernels *networks; /* a GPU's or the host's, for networks; NULL: none, which must then not be used */
    /* Threads that encoding shares out its work to. NULL where several utterances are encoded at once, each by its caller's
     * thread. */
    struct thread_pool *pool;
};

/* A file that a checkpoint must hold so that it can encode and synthesise speech by itself. */
struct speech_file {
    char *name; /* below the tokenizer's folder */
    void *data;
    int64_t size;
};

/* Read-only once it is complete: threads may share it. */
struct speech {
    const char *kind; /* static; what tokenizer.json calls it: "embedded", "components" */
    struct speech_encoder encoder[STREAM_COUNT];
    struct speech_vocoder vocoder;
    /* NULL: this kind has no use for it. */
    enum status (*compute_on)(struct speech *self, const struct speech_compute *compute);
    void *shared; /* the kind's own, beside its components */
    void (*destroy_shared)(void *shared);
    struct speech_file *files; /* as read when the set was opened: a checkpoint holds the ones that were used */
    int64_t file_count;
};

/* Every tokenizer folder has a tokenizer.json with "format", "version" and "kind"; its other keys, and the files beside
 * it, belong to the kind. */
#define SPEECH_FORMAT "spiritlm-speech-tokenizer"
enum { SPEECH_FORMAT_VERSION = 1 };

/* Says where a set that is not in use yet computes, on the device that is selected. */
enum status speech_compute_on(struct speech *speech, const struct speech_compute *compute);

/* As the vocoder's choose_voice; with two NULLs nothing is chosen. STATUS_USAGE when there is no vocoder, or one voice alone. */
enum status speech_choose_voice(const struct speech *speech, const char *speaker, const char *style);

/* Destroys the components and frees the files and the set itself; NULL is fine. */
void speech_free(struct speech *speech);

/* Destroys one component, whose place is empty afterwards. */
void speech_encoder_remove(struct speech_encoder *encoder);
void speech_vocoder_remove(struct speech_vocoder *vocoder);

/* Reads FOLDER/NAME into speech->files. */
enum status speech_add_file(struct speech *speech, const char *folder, const char *name);
void speech_forget_files(struct speech *speech); /* frees all of them */

/* Whether the components fit together: each encoder in the place of its stream, with a positive rate and size, and the
 * vocoder made for the units of this unit encoder. STATUS_USAGE names both fingerprints when it was made for those of
 * another. */
enum status speech_check(const struct speech *speech);

struct unit_rates speech_rates(const struct speech *speech); /* 0/1 for a stream that is absent */

/* Whether an encoder knows the speaker; NULL and "" are nobody. */
bool speech_knows_speaker(const struct speech *speech, const char *speaker);

/* STATUS_CORRUPT: a sample that is not finite. */
enum status speech_check_samples(const float *samples, int64_t count);

/* Units of the streams in `streams` (bits 1 << unit_stream) that the set has, for units_free; the others are empty. The
 * result depends on samples and speaker alone: a stream's units are the same whatever other streams are requested.
 * STATUS_CORRUPT: a sample that is not finite. STATUS_USAGE: hubert units are requested, but there is no encoder for
 * them. */
enum status speech_encode(const struct speech *speech, const float *samples, int64_t count, const char *speaker,
                          unsigned streams, struct units *units);

/* As the vocoder's synthesise; STATUS_USAGE when there is no vocoder. */
enum status speech_synthesise(const struct speech *speech, const struct spoken_unit *spoken, const int32_t *durations,
                              int64_t spoken_count, struct thread_pool *pool, float **samples, int64_t *count);

#endif
