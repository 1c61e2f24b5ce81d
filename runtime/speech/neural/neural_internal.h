/* What the neural components have in common: files that are read at the first use, and memory for passes that one caller at a
 * time has. Internal to speech/neural. */
#ifndef SPIRITLM_SPEECH_NEURAL_INTERNAL_H
#define SPIRITLM_SPEECH_NEURAL_INTERNAL_H

#include "core/path.h"
#include "speech/neural/neural.h"

#include <pthread.h>

enum {
    NEURAL_RATE = 16000,
    NEURAL_CHUNK_SECONDS = 100,
    NEURAL_CHUNK = NEURAL_CHUNK_SECONDS * NEURAL_RATE,
    NEURAL_MINIMUM = 1280, /* samples; a chunk below it gives nothing */
};

struct neural_base {
    char *root;
    const struct kernels *kernels; /* NULL: nobody has said where to compute */
    struct thread_pool *pool;
    pthread_mutex_t lock; /* of `shares`, and contexts are opened and closed one at a time */
    int64_t shares;
};

struct neural_base *neural_base_share(struct neural_base *base);

/* Where the file or folder `name` is; `key` names what it is in the error. */
enum status neural_file_find(const struct neural_base *base, const char *key, const char *name, char path[PATH_BYTES]);

/* A context and a component's memory for passes, for one caller at a time. */
struct neural_seat {
    struct device_context context;
    struct thread_pool *pool;
    void *workspace; /* NULL until it is made */
    struct neural_seat *next;
};

struct neural_part;

/* What differs between components. */
struct neural_kind {
    /* Reads the files onto part->context; size, rate and fingerprint of what was found. */
    enum status (*open)(struct neural_part *part, struct neural_promise *found);
    enum status (*workspace_create)(struct neural_part *part, struct device_context *context, void **workspace);
    void (*workspace_destroy)(void *workspace);
    void (*close)(struct neural_part *part);   /* what `open` has opened, in part or whole */
    void (*destroy)(struct neural_part *part); /* the component's own memory, the part itself included */
};

/* A component's state begins with this. */
struct neural_part {
    const struct neural_kind *kind;
    struct neural_base *base;
    pthread_mutex_t lock; /* of everything below */
    bool promised, open, context_open;
    struct neural_promise promise;
    struct device_context context; /* of the weights */
    struct neural_seat *idle;
};

/* Takes a share of the base. Whatever becomes of it is for neural_part_destroy. */
enum status neural_part_start(struct neural_part *part, const struct neural_kind *kind, struct neural_base *base,
                              const struct neural_promise *promise);
void neural_part_destroy(void *part);

/* The encoder over a part that has been started: what is promised of it, and the part as its state, to be destroyed with it. */
struct speech_encoder neural_part_encoder(struct neural_part *part, enum unit_stream stream,
                                          enum status (*encode)(const struct speech_encoder *,
                                                                struct speech_utterance *, uint16_t **, int64_t *));

/* Reads the files unless they have been read. Without a promise part->promise is what was found; files that break a promise
 * are refused. */
enum status neural_part_open(struct neural_part *part);

/* Opens the part if need be and takes a seat on `pool`, which neural_part_give takes back. */
enum status neural_part_take(struct neural_part *part, struct thread_pool *pool, struct neural_seat **seat);
void neural_part_give(struct neural_part *part, struct neural_seat *seat);

/* Units per second of a stream that gives so many in a whole chunk. */
struct rational neural_chunk_rate(int64_t units);

/* How an encoder encodes a chunk: count(samples) units of it into `units`. */
struct neural_chunks {
    int64_t (*count)(const struct neural_part *part, int64_t samples);
    enum status (*encode)(struct neural_part *part, struct neural_seat *seat, const float *samples, int64_t count,
                          int32_t *units);
};
/* All of an utterance, as `encode` of struct speech_encoder gives it. */
enum status neural_encode_chunks(struct neural_part *part, const struct neural_chunks *chunks,
                                 const struct speech_utterance *utterance, uint16_t **values, int64_t *count);

/* A fingerprint of a version's name and of the parts that follow it, NULL the last. */
struct sha256 neural_fingerprint(const char *version, const struct sha256 *const *parts);

#endif
