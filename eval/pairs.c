/* Each side is encoded together with its prompt, as training would have encoded it, and its score begins after the
 * prompt and the tag that leads to the side. All sides of a file are scored in one go, equal sides once: a tie is then
 * a tie to the bit and not a matter of where the two lay in a batch. */
#include "eval/pairs.h"

#include "core/array.h"
#include "core/path.h"
#include "eval/scoring/scorer.h"
#include "io/json.h"
#include "io/text_file.h"
#include "text/white_space.h"

#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CORRECT, INCORRECT, SIDES, MAX_PIECES = 64, FILE_LIMIT = 1 << 30 };

static const char *const side_keys[SIDES] = {"correct", "incorrect"};

struct pair {
    char *id;
    struct scored_sequence sides[SIDES];
    int64_t scored_from[SIDES]; /* the first token of the continuation */
};

struct pair_list {
    struct pair *pairs;
    int64_t count, capacity;
};

/* Audio paths of the pieces, to be freed after use. */
struct piece_list {
    struct piece pieces[MAX_PIECES];
    char *paths[MAX_PIECES];
    int64_t count;
};

static void piece_list_free(struct piece_list *list)
{
    for (int64_t i = 0; i < list->count; i++)
        free(list->paths[i]);
    list->count = 0;
}

static enum status read_piece(const char *where, const char *folder, const json_t *value, struct piece_list *list)
{
    static const char *const keys[] = {"text", "audio", "units"};
    if (list->count == MAX_PIECES)
        return status_set(STATUS_CORRUPT, "%s: prompt and side have more than %d pieces", where, (int)MAX_PIECES);
    for (int kind = PIECE_TEXT; kind <= PIECE_UNITS; kind++) {
        const char *content = json_string_value(json_object_get(value, keys[kind]));
        if (!content || json_object_size(value) != 1)
            continue;
        struct piece *piece = &list->pieces[list->count];
        *piece = (struct piece){(enum piece_kind)kind, content};
        if (kind == PIECE_AUDIO && content[0] != '/') {
            char path[PATH_BYTES], home[PATH_BYTES];
            enum status fits = path_expand_home(content, home);
            if (fits == STATUS_OK)
                fits = path_format(path, "%s%s%s", home[0] == '/' ? "" : folder, home[0] == '/' ? "" : "/", home);
            if (fits != STATUS_OK)
                return status_prefix(fits, "%s", where);
            list->paths[list->count] = strdup(path);
            if (!list->paths[list->count])
                return status_set(STATUS_INTERNAL, "no memory for a path");
            piece->content = list->paths[list->count];
        }
        list->count++;
        return STATUS_OK;
    }
    return status_set(STATUS_CORRUPT, "%s: a piece must be an object with one of \"text\", \"audio\" and \"units\"",
                      where);
}

/* One piece, or a list of them. Appended to the list. */
static enum status read_pieces(const char *where, const char *folder, const json_t *value, struct piece_list *list)
{
    enum status result = STATUS_OK;
    if (!json_is_array(value))
        return read_piece(where, folder, value, list);
    for (size_t i = 0; i < json_array_size(value); i++)
        TRY(read_piece(where, folder, json_array_get(value, i), list));
fail:
    return result;
}

static enum status build_side(const char *where, const char *folder, const struct components *components,
                              const json_t *line, int side, struct pair *pair)
{
    enum status result = STATUS_OK;
    struct piece_list list = {0};
    struct prompt prompt = {0}, whole = {0};
    const json_t *before = json_object_get(line, "prompt"), *value = json_object_get(line, side_keys[side]);
    if (!value)
        FAIL(STATUS_CORRUPT, "%s: \"%s\" is missing", where, side_keys[side]);
    if (before)
        TRY(read_pieces(where, folder, before, &list));
    int64_t prompt_pieces = list.count;
    TRY(read_pieces(where, folder, value, &list));
    if (list.count == prompt_pieces)
        FAIL(STATUS_CORRUPT, "%s: \"%s\" is empty", where, side_keys[side]);
    /* The continuation begins after the prompt and its own tag: the tag belongs to the question, not to the answer. */
    int64_t first = prompt_pieces;
    while (first + 1 < list.count && piece_is_blank(&list.pieces[first]))
        first++;
    bool speech = list.pieces[first].kind != PIECE_TEXT;
    TRY(prompt_create(components, list.pieces, prompt_pieces, speech ? OUTPUT_SPEECH : OUTPUT_TEXT, &prompt));
    TRY(prompt_create(components, list.pieces, list.count, OUTPUT_ANY, &whole));
    struct scored_sequence *sequence = &pair->sides[side];
    sequence->losses = calloc((size_t)whole.count + 1, sizeof(float));
    if (!sequence->losses)
        FAIL(STATUS_INTERNAL, "no memory for a pair");
    if (whole.count <= prompt.count)
        FAIL(STATUS_CORRUPT, "%s: \"%s\" has no tokens", where, side_keys[side]);
    sequence->ids = whole.ids;
    sequence->count = whole.count;
    whole.ids = NULL;
    pair->scored_from[side] = prompt.count;
fail:
    if (result == STATUS_USAGE) /* the mistake is in the file, not on the command line */
        result = STATUS_CORRUPT;
    if (result != STATUS_OK && !strstr(status_text(), where))
        status_prefix(result, "%s", where);
    piece_list_free(&list);
    prompt_free(&prompt);
    prompt_free(&whole);
    return result;
}

static enum status add_line(const char *where, const char *folder, const struct components *components,
                            const json_t *line, struct pair_list *list)
{
    enum status result = STATUS_OK;
    const char *id = NULL;
    TRY(array_grow(&list->pairs, &list->capacity, list->count + 1, "pairs"));
    struct pair *pair = &list->pairs[list->count++];
    *pair = (struct pair){0};
    TRY(jdoc_get_string(where, line, "id", &id));
    pair->id = strdup(id);
    if (!pair->id)
        FAIL(STATUS_INTERNAL, "no memory for a pair");
    for (int side = 0; side < SIDES; side++)
        TRY(build_side(where, folder, components, line, side, pair));
fail:
    return result;
}

static enum status read_pairs(const char *path, const struct components *components, struct pair_list *list,
                              struct sha256 *hash)
{
    enum status result = STATUS_OK;
    char *text = NULL, *copy = strdup(path);
    json_t *line = NULL;
    int64_t size = 0, number = 0;
    if (!copy)
        FAIL(STATUS_INTERNAL, "no memory for a path");
    const char *folder = dirname(copy);
    TRY(text_file_read(path, FILE_LIMIT, &text, &size));
    *hash = sha256_of(text, (size_t)size);
    for (char *at = text; at < text + size;) {
        char *end = memchr(at, '\n', (size_t)(text + size - at)), where[4200];
        end = end ? end : text + size;
        snprintf(where, sizeof where, "%s:%lld", path, (long long)++number);
        int64_t begin = 0, length = end - at;
        trim_white_space(at, &begin, &length);
        if (begin < length) {
            TRY(jdoc_parse(where, at, end - at, &line));
            TRY(add_line(where, folder, components, line, list));
            json_decref(line);
            line = NULL;
        }
        at = end + 1;
    }
fail:
    json_decref(line);
    free(text);
    free(copy);
    return result;
}

static void pair_list_free(struct pair_list *list)
{
    for (int64_t i = 0; i < list->count; i++) {
        free(list->pairs[i].id);
        for (int side = 0; side < SIDES; side++) {
            free(list->pairs[i].sides[side].ids);
            free(list->pairs[i].sides[side].losses);
        }
    }
    free(list->pairs);
}

/* A side cut into windows would have a score other than the documented one. */
static enum status check_lengths(const char *path, int64_t context, const struct pair_list *list)
{
    for (int64_t i = 0; i < list->count; i++)
        for (int side = 0; side < SIDES; side++)
            if (list->pairs[i].sides[side].count > context)
                return status_set(
                    STATUS_USAGE,
                    "%s: pair \"%s\": \"%s\" has %lld tokens with its prompt, but the model's context is %lld", path,
                    list->pairs[i].id, side_keys[side], (long long)list->pairs[i].sides[side].count,
                    (long long)context);
    return STATUS_OK;
}

static bool sides_equal(const struct pair *pair)
{
    const struct scored_sequence *a = &pair->sides[CORRECT], *b = &pair->sides[INCORRECT];
    return a->count == b->count && !memcmp(a->ids, b->ids, (size_t)a->count * sizeof *a->ids);
}

/* Equal sides are scored once, so that they tie to the bit wherever they would have been in the batch. */
static enum status score(struct llama *model, struct pair_list *list)
{
    enum status result = STATUS_OK;
    int64_t count = 0;
    struct scored_sequence *sequences = calloc((size_t)(SIDES * list->count), sizeof *sequences);
    if (!sequences)
        return status_set(STATUS_INTERNAL, "no memory to score pairs");
    for (int64_t i = 0; i < list->count; i++) {
        sequences[count++] = list->pairs[i].sides[CORRECT]; /* the buffers are shared */
        if (!sides_equal(&list->pairs[i]))
            sequences[count++] = list->pairs[i].sides[INCORRECT];
    }
    TRY(scorer_run(model, sequences, count));
    for (int64_t i = 0; i < list->count; i++) {
        struct scored_sequence *sides = list->pairs[i].sides;
        if (sides_equal(&list->pairs[i]))
            memcpy(sides[INCORRECT].losses, sides[CORRECT].losses, (size_t)sides[CORRECT].count * sizeof(float));
    }
fail:
    free(sequences);
    return result;
}

struct side_score {
    double sum, mean;
    int64_t tokens;
};

static struct side_score score_side(const struct pair *pair, int side)
{
    struct side_score score = {.tokens = pair->sides[side].count - pair->scored_from[side]};
    for (int64_t i = pair->scored_from[side]; i < pair->sides[side].count; i++)
        score.sum -= (double)pair->sides[side].losses[i];
    score.mean = score.sum / (double)score.tokens;
    return score;
}

static double win(double correct, double incorrect, int64_t *ties)
{
    if (correct == incorrect)
        (*ties)++;
    return correct > incorrect ? 1 : correct == incorrect ? 0.5 : 0;
}

/* NULL when out of memory. */
static json_t *describe(const struct pair *pair, const struct side_score scores[SIDES])
{
    json_t *object = json_pack("{s:s}", "id", pair->id);
    for (int side = 0; object && side < SIDES; side++) {
        json_t *value = json_pack("{s:I, s:f, s:f}", "tokens", (json_int_t)scores[side].tokens, "sum", scores[side].sum,
                                  "mean", scores[side].mean);
        if (json_object_set_new(object, side_keys[side], value) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

enum status pairs_evaluate(struct llama *model, const struct components *components, const char *path,
                           struct pairs_result *out, json_t *samples)
{
    enum status result = STATUS_OK;
    struct pair_list list = {0};
    double *wins = NULL;
    *out = (struct pairs_result){0};
    TRY(read_pairs(path, components, &list, &out->file_hash));
    if (list.count < 1)
        FAIL(STATUS_CORRUPT, "%s: the file has no pairs", path);
    wins = calloc((size_t)list.count, 2 * sizeof *wins); /* by sum, then by mean */
    if (!wins)
        FAIL(STATUS_INTERNAL, "no memory for %lld pairs", (long long)list.count);
    TRY(check_lengths(path, model->config.maximum_positions, &list));
    TRY(score(model, &list));
    for (int64_t i = 0; i < list.count; i++) {
        struct side_score scores[SIDES] = {score_side(&list.pairs[i], CORRECT), score_side(&list.pairs[i], INCORRECT)};
        wins[i] = win(scores[CORRECT].sum, scores[INCORRECT].sum, &out->ties_sum);
        wins[list.count + i] = win(scores[CORRECT].mean, scores[INCORRECT].mean, &out->ties_mean);
        if (samples && json_array_append_new(samples, describe(&list.pairs[i], scores)) != 0)
            FAIL(STATUS_INTERNAL, "no memory for the samples");
    }
    out->sum = estimate_mean(wins, list.count);
    out->mean = estimate_mean(wins + list.count, list.count);
fail:
    free(wins);
    pair_list_free(&list);
    return result;
}

/* False for a NaN. */
static bool beats_chance(const struct estimate *accuracy)
{
    return accuracy->value >= 0.5 + 2 * accuracy->standard_error;
}

enum status pairs_judge(const struct pairs_result *pairs)
{
    if (beats_chance(&pairs->mean) && beats_chance(&pairs->sum))
        return STATUS_OK;
    return status_set(STATUS_UNMET, "the accuracy is not above 0.5 by 2 standard errors");
}
