/* What the files of a session share: llama_session.c makes it, llama_session_pass.c takes tokens through the layers over
 * the cache, llama_session_step.c is the host's side of a step. Nobody else includes it. */
#ifndef SPIRITLM_MODELS_LLAMA_SESSION_INTERNAL_H
#define SPIRITLM_MODELS_LLAMA_SESSION_INTERNAL_H

#include "models/llama/llama_network.h"

/* Decoding works on at most 16 rows at a time, because products of up to 16 rows give each row the bits it has alone. */
enum { DECODE_GROUP = 16 };

/* What a step tells the device: one number per decoded row in each table, all in one piece of memory that one copy
 * brings there. */
struct session_tables {
    double *uniforms;
    int32_t *rows, *positions, *lengths, *mask_rows, *ids;
};

/* Where the parts of a session lie in its device memory: bytes from its start. */
struct session_places {
    int64_t cache;              /* [layers][rows][capacity][k|v of G heads] */
    int64_t x, middle, norm;    /* [tokens][C] */
    int64_t query, attention;   /* [tokens][HD] */
    int64_t key_value;          /* [tokens][2GD] */
    int64_t gate_up, activated; /* [tokens][2I], [tokens][I] */
    int64_t logits;             /* [DECODE_GROUP][V] f32 */
    int64_t tables;             /* struct session_tables of all rows */
    int64_t prompt;             /* [capacity] ids of a prompt */
    int64_t positions, one_row; /* [capacity] 0, 1, 2...; [tokens] zeros: what a prompt's tokens have for tables */
    int64_t masks;              /* [mask_count][V] */
};

/* What scoring needs beside the rest; places as in session_places. */
struct session_score_places {
    int64_t ids, rows, positions, lengths; /* [block] of the branches' tokens */
    int64_t wanted, targets;               /* [block] tokens of which something is to be known, and what may follow */
    int64_t gathered, norm;                /* [head rows][C] */
    int64_t block_sums, target_logits;     /* [head rows][LOG_SUM_EXP_BLOCKS] f64, [head rows] */
};

/* What a step of drawing depends on beside its tables. */
struct session_step {
    int64_t count, top_k;
    double temperature, top_p;
    const void *scratch; /* the context's: graphs keep its address */
};

/* A kind of step that has been taken, and once it has been taken twice its graph. */
struct session_graph {
    struct session_step step;   /* count 0: none */
    struct device_graph *graph; /* or NULL */
    int64_t last_use;
};
enum { SESSION_GRAPHS = 16 }; /* those used longest ago make room */

struct llama_session {
    struct llama *model; /* borrowed */
    struct llama_network network;
    int64_t rows, capacity, block; /* block: tokens of a prompt at a time */
    int64_t mask_count;            /* 0: nothing is drawn */
    int64_t cache_row;             /* elements from a row of the cache to the next */
    int64_t *lengths;              /* [rows] */
    bool *listed;                  /* [rows] work of a step */
    int64_t prompt_end;            /* which token of the last pass ended a prompt; -1: it was no prompt's */

    struct session_places places;
    void *memory;               /* device */
    struct session_tables told; /* the tables on the device */

    /* Pinned: what is sent and what comes back. */
    void *staging;
    struct session_tables telling; /* the tables in the staging */
    int32_t *prompt, *drawn;       /* [capacity], [rows] */
    struct device_event *sent;     /* when the latest prompt has left the staging */
    bool prompt_in_flight;         /* nobody has waited for that yet */
    bool step_in_flight;           /* a step has not come to its end: its copies may not be over */

    int64_t head_rows; /* rows of the head at a time when scoring; 0: nothing is scored */
    struct session_score_places score;
    int32_t *scoring; /* pinned: as the first six of them, [6][block] */

    bool eager;
    struct session_graph graphs[SESSION_GRAPHS];
    int64_t graph_uses;
};

static inline void *session_at(const struct llama_session *session, int64_t place)
{
    return element_at(session->memory, DTYPE_U8, place);
}

/* Bytes of the tables of `rows` rows. */
static inline int64_t session_tables_bytes(int64_t rows)
{
    return rows * (int64_t)(sizeof(double) + 5 * sizeof(int32_t));
}

/* ---- llama_session_pass.c ---- */

/* The tokens that go through the layers together: the next ones of one row, or one each of several. */
struct session_pass {
    int64_t tokens;
    const int32_t *ids; /* device, [tokens] */
    bool decode;
    int64_t first;         /* decode: their place in the tables */
    int64_t row, position; /* a prompt: its row, and where in the row the tokens begin */
};

enum status session_run_pass(const struct llama_session *session, const struct session_pass *pass);
/* Logits [count][V] of the last pass's tokens from `first` on. count is at most DECODE_GROUP. */
enum status session_make_logits(const struct llama_session *session, int64_t first, int64_t count);
/* From the first `count` logits to the ids of the rows from `first` on in the tables. */
enum status session_sample(const struct llama_session *session, int64_t first, int64_t count,
                           const struct llama_draw *draw);
/* The cache of a layer from `row` on. */
void *session_cache_at(const struct llama_session *session, int64_t layer, int64_t row);

/* ---- llama_session_score.c ---- */

enum status session_plan_scores(struct llama_session *session, struct memory_plan *plan);
enum status session_measure_scores(struct llama_session *session);

/* ---- llama_session_step.c ---- */

/* Before the staging is written: what a step that failed has left in the queue may still use it. */
enum status session_begin_step(struct llama_session *session);
enum status session_wait(struct llama_session *session);
enum status session_check_row(const struct llama_session *session, int64_t row);
enum status session_check_ids(const struct llama_session *session, const int32_t *ids, int64_t count);

/* ---- llama_session_graph.c ---- */

/* Puts a step of drawing into the queue: the tables, which lie in the staging, to the device, the tokens through the layers,
 * their draws, and the drawn ids to the staging. As one graph where such steps repeat. */
enum status session_put_draw(struct llama_session *session, const struct llama_draw *draw);
enum status session_send_tables(const struct llama_session *session);
enum status session_bring_ids(const struct llama_session *session, int64_t count);
void session_free_graphs(struct llama_session *session);

static inline int64_t session_group_rows(int64_t count, int64_t first)
{
    return count - first < DECODE_GROUP ? count - first : DECODE_GROUP;
}

#endif
