/* Viterbi's algorithm in two passes. The first goes through all frames and keeps the scores of every n-th; the second goes
 * through the stretches between these from the last to the first, computes each again with the moves that led into every state,
 * and follows them back. Scores are the same sums both times, so the path is that of a table of all moves.
 *
 * The states are kept as two rows, blanks and labels, so that the loop over labels has no branch. */
#include "data/align/ctc_path.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Scores of all states at one frame. Labels have an entry before the first, of which nothing comes. */
struct scores {
    double *blanks; /* [L + 1]: before each label, and behind the last */
    double *labels; /* [L + 1]: label j is at j + 1 */
};

struct search {
    const struct ctc_problem *problem;
    int64_t labels; /* L */
    double *memory; /* of all below */
    struct scores now, before;
    double *emissions;   /* [L] of the labels in one frame */
    double *leap;        /* [L]: 0 where the label before may be left without a blank, else -inf */
    double *checkpoints; /* [count][2L + 2], the first of frame 0 */
    int64_t spacing, count;
    uint8_t
        *row; /* [L + 2] moves of one frame: the label's and, from the fourth power of two on, the blank's before it */
    uint8_t *moves; /* [spacing][row_bytes], two labels a byte */
    int64_t row_bytes;
};

/* Of a move: how many states it goes on into a label, and whether into the blank before it. */
enum { LABEL_MOVES = 3, BLANK_FROM_LABEL = 4 };

int64_t ctc_path_least_frames(const int32_t *labels, int64_t label_count)
{
    int64_t frames = label_count;
    for (int64_t j = 1; j < label_count; j++)
        frames += labels[j] == labels[j - 1];
    return frames;
}

static int64_t best_spacing(int64_t frames)
{
    int64_t spacing = (int64_t)ceil(sqrt(32.0 * (double)frames)); /* scores of 128 bits a label, moves of 4 */
    return spacing < frames ? spacing : frames;
}

static enum status open_search(const struct ctc_problem *problem, struct search *search)
{
    int64_t labels = problem->label_count, row = 2 * (labels + 1);
    *search = (struct search){.problem = problem, .labels = labels, .row_bytes = labels / 2 + 1};
    search->spacing = problem->spacing > 0 && problem->spacing < problem->frames ? problem->spacing
                      : problem->spacing > 0                                     ? problem->frames
                                                                                 : best_spacing(problem->frames);
    search->count = (problem->frames + search->spacing - 1) / search->spacing;
    search->memory = malloc((size_t)(row * (search->count + 2) + 2 * labels) * sizeof *search->memory);
    search->row = malloc((size_t)labels + 2);
    search->moves = malloc((size_t)(search->spacing * search->row_bytes));
    if (!search->memory || !search->row || !search->moves)
        return status_set(STATUS_INTERNAL, "no memory to align %" PRId64 " labels with %" PRId64 " frames", labels,
                          problem->frames);
    search->now = (struct scores){search->memory, search->memory + labels + 1};
    search->before = (struct scores){search->memory + row, search->memory + row + labels + 1};
    search->emissions = search->memory + 2 * row;
    search->leap = search->emissions + labels;
    search->checkpoints = search->leap + labels;
    for (int64_t j = 0; j < labels; j++)
        search->leap[j] = j > 0 && problem->labels[j] != problem->labels[j - 1] ? 0 : -INFINITY;
    return STATUS_OK;
}

static void close_search(struct search *search)
{
    free(search->memory);
    free(search->row);
    free(search->moves);
}

static const float *frame_at(const struct search *search, int64_t frame)
{
    return search->problem->emissions + frame * search->problem->columns;
}

static void first_frame(struct search *search)
{
    const float *frame = frame_at(search, 0);
    for (int64_t j = 0; j <= search->labels; j++)
        search->now.blanks[j] = search->now.labels[j] = -INFINITY;
    search->now.blanks[0] = (double)frame[search->problem->blank];
    search->now.labels[1] = (double)frame[search->problem->labels[0]];
}

/* The scores one frame on. */
static void advance(struct search *search, int64_t number)
{
    const float *frame = frame_at(search, number);
    const int64_t labels = search->labels;
    const double blank = (double)frame[search->problem->blank];
    const double *restrict from_blanks = search->now.blanks, *restrict from_labels = search->now.labels;
    const double *restrict leaps = search->leap;
    double *restrict to_blanks = search->before.blanks, *restrict to_labels = search->before.labels;
    double *restrict emissions = search->emissions;
    for (int64_t j = 0; j < labels; j++)
        emissions[j] = (double)frame[search->problem->labels[j]];
    to_labels[0] = -INFINITY;
    for (int64_t j = 0; j < labels; j++) {
        double stay = from_labels[j + 1], step = from_blanks[j], enter = from_labels[j], leap = enter + leaps[j];
        double move = step > leap ? step : leap;
        to_labels[j + 1] = (move > stay ? move : stay) + emissions[j];
        to_blanks[j] = (enter > step ? enter : step) + blank;
    }
    double rest = from_blanks[labels], enter = from_labels[labels];
    to_blanks[labels] = (enter > rest ? enter : rest) + blank;
    const struct scores from = search->now;
    search->now = search->before;
    search->before = from;
}

/* The moves that advance() has just made, into row[]. */
static void find_moves(struct search *search)
{
    const int64_t labels = search->labels;
    const double *restrict blanks = search->before.blanks, *restrict own = search->before.labels;
    const double *restrict leaps = search->leap;
    uint8_t *restrict row = search->row;
    for (int64_t j = 0; j < labels; j++) {
        double stay = own[j + 1], step = blanks[j], enter = own[j], leap = enter + leaps[j];
        int leaves = leap > step, moves = (leaves ? leap : step) > stay; /* 0 or 1; a leap is two states, a step one */
        row[j] = (uint8_t)((moves << leaves) | ((enter > step) * BLANK_FROM_LABEL));
    }
    row[labels] = own[labels] > blanks[labels] ? BLANK_FROM_LABEL : 0;
    row[labels + 1] = 0;
}

static void keep_checkpoint(struct search *search, int64_t number)
{
    size_t row = (size_t)search->labels + 1;
    double *place = search->checkpoints + number * 2 * (int64_t)row;
    memcpy(place, search->now.blanks, row * sizeof *place);
    memcpy(place + row, search->now.labels, row * sizeof *place);
}

static void return_to_checkpoint(struct search *search, int64_t number)
{
    size_t row = (size_t)search->labels + 1;
    const double *place = search->checkpoints + number * 2 * (int64_t)row;
    memcpy(search->now.blanks, place, row * sizeof *place);
    memcpy(search->now.labels, place + row, row * sizeof *place);
}

static void keep_moves(struct search *search, int64_t place)
{
    uint8_t *packed = search->moves + place * search->row_bytes;
    for (int64_t i = 0; i < search->row_bytes; i++)
        packed[i] = (uint8_t)(search->row[2 * i] | search->row[2 * i + 1] << 4);
}

/* The state before `state`, by the moves into the frame at `place`. */
static int64_t step_back(const struct search *search, int64_t place, int64_t state)
{
    int64_t label = state / 2;
    int moves = search->moves[place * search->row_bytes + label / 2] >> (label % 2 ? 4 : 0);
    return state % 2 ? state - (moves & LABEL_MOVES) : state - (moves & BLANK_FROM_LABEL ? 1 : 0);
}

/* The states of one stretch of frames, of which the last is in states[] already; and that of the frame before it. */
static void trace_stretch(struct search *search, int64_t number, int32_t *states)
{
    int64_t first = number * search->spacing, end = first + search->spacing; /* of the next stretch */
    end = end < search->problem->frames ? end : search->problem->frames - 1;
    return_to_checkpoint(search, number);
    for (int64_t frame = first + 1; frame <= end; frame++) {
        advance(search, frame);
        find_moves(search);
        keep_moves(search, frame - first - 1);
    }
    for (int64_t frame = end; frame > first; frame--)
        states[frame - 1] = (int32_t)step_back(search, frame - first - 1, states[frame]);
}

enum status ctc_path_find(const struct ctc_problem *problem, int32_t *states, double *score, bool *found)
{
    struct search search = {0};
    *score = -INFINITY;
    *found = false;
    if (problem->label_count < 1 || problem->label_count > INT32_MAX / 2 - 1)
        return status_set(STATUS_INTERNAL, "a path through %" PRId64 " labels", problem->label_count);
    if (problem->frames < ctc_path_least_frames(problem->labels, problem->label_count))
        return STATUS_OK;
    enum status result = open_search(problem, &search);
    if (result != STATUS_OK)
        goto end;
    first_frame(&search);
    keep_checkpoint(&search, 0);
    for (int64_t frame = 1; frame < problem->frames; frame++) {
        advance(&search, frame);
        if (frame % search.spacing == 0)
            keep_checkpoint(&search, frame / search.spacing);
    }
    double silent = search.now.blanks[search.labels], spoken = search.now.labels[search.labels];
    *score = silent > spoken ? silent : spoken;
    *found = *score > -INFINITY;
    states[problem->frames - 1] = (int32_t)(2 * search.labels - (silent > spoken ? 0 : 1));
    for (int64_t number = search.count - 1; number >= 0 && *found; number--)
        trace_stretch(&search, number, states);
end:
    close_search(&search);
    return result;
}
