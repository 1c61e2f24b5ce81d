/* vocab.json is gone through twice: for its greatest id, before memory is taken for the pieces, and for the pieces. A line of
 * merges.txt may end as Windows ends it; behind the last one there may be empty lines. */
#include "io/json_scan.h"
#include "text/byte_bpe_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t file_size_limit = INT64_C(1) << 28;
enum { NAME_ROOM = 512 };

/* ---- vocab.json ---- */

struct reading {
    const struct byte_bpe_files *files;
    struct scan_buffer buffer;
    int64_t last_id;
    struct byte_bpe *model; /* NULL in the first pass */
};

static uint8_t type_of(const struct byte_bpe_files *files, struct scan_text piece)
{
    for (const char *const *name = files->control; name && *name; name++)
        if (scan_text_is(piece, *name))
            return BYTE_BPE_CONTROL;
    return BYTE_BPE_NORMAL;
}

static enum status read_vocabulary(struct reading *reading)
{
    enum status result = STATUS_OK;
    const struct byte_bpe_files *files = reading->files;
    const char *name = files->vocabulary_name;
    struct scan scan = scan_start(name, files->vocabulary.bytes, files->vocabulary.size, &reading->buffer);
    struct scan_text piece;
    int64_t id;
    bool found;
    TRY(scan_object(&scan, "an object of pieces and their ids"));
    for (;;) {
        TRY(scan_member(&scan, &piece, &found));
        if (!found)
            break;
        TRY(scan_integer(&scan, "the id of a piece", 0, BYTE_BPE_COUNT_LIMIT - 1, &id));
        reading->last_id = id > reading->last_id ? id : reading->last_id;
        if (!reading->model)
            continue;
        if (reading->model->pieces[id].type != BYTE_BPE_UNUSED)
            FAIL(STATUS_CORRUPT, "%s: two pieces have the id %" PRId64, name, id);
        TRY(byte_bpe_put_piece(name, reading->model, id, (struct byte_bpe_text){piece.bytes, piece.size},
                               type_of(files, piece)));
    }
    TRY(scan_end(&scan));
fail:
    return result;
}

/* ---- merges.txt ---- */

struct lines {
    struct byte_bpe_text text;
    int64_t at, number; /* of the line that was taken last, from 1 */
};

static bool next_line(struct lines *lines, struct byte_bpe_text *line)
{
    if (lines->at >= lines->text.size)
        return false;
    const char *begin = lines->text.bytes + lines->at;
    int64_t left = lines->text.size - lines->at;
    const char *end = memchr(begin, '\n', (size_t)left);
    line->bytes = begin;
    line->size = end ? end - begin : left;
    lines->at += line->size + 1;
    lines->number++;
    if (line->size > 0 && begin[line->size - 1] == '\r')
        line->size--;
    return true;
}

static struct lines lines_of(const struct byte_bpe_files *files)
{
    static const char version[] = "#version", mark[] = "\xEF\xBB\xBF";
    struct byte_bpe_text line;
    struct lines lines = {.text = files->merges}, next;
    if (lines.text.size >= 3 && memcmp(lines.text.bytes, mark, 3) == 0)
        lines.at = 3;
    next = lines;
    if (next_line(&next, &line) && line.size >= (int64_t)sizeof version - 1 &&
        memcmp(line.bytes, version, sizeof version - 1) == 0)
        lines = next;
    return lines;
}

/* Lines but the empty ones at the end. */
static int64_t count_merges(const struct byte_bpe_files *files)
{
    struct lines lines = lines_of(files);
    struct byte_bpe_text line;
    int64_t count = 0, all = 0;
    while (next_line(&lines, &line)) {
        all++;
        count = line.size > 0 ? all : count;
    }
    return count;
}

static enum status read_merges(const struct byte_bpe_files *files, struct byte_bpe *model)
{
    enum status result = STATUS_OK;
    struct lines lines = lines_of(files);
    struct byte_bpe_text line;
    char name[NAME_ROOM];
    int64_t count = count_merges(files);
    if (count > BYTE_BPE_COUNT_LIMIT)
        FAIL(STATUS_CORRUPT, "%s: %" PRId64 " merges, expected at most %d", files->merges_name, count,
             (int)BYTE_BPE_COUNT_LIMIT);
    TRY(byte_bpe_finish_pieces(files->vocabulary_name, model, count));
    for (int64_t i = 0; i < count && next_line(&lines, &line); i++) {
        snprintf(name, sizeof name, "%s:%" PRId64, files->merges_name, lines.number);
        TRY(byte_bpe_put_merge_line(name, model, line));
    }
fail:
    return result;
}

enum status byte_bpe_load_files(const struct byte_bpe_files *files, struct byte_bpe **model)
{
    enum status result = STATUS_OK;
    struct reading reading = {.files = files, .last_id = -1};
    *model = NULL;
    if (files->vocabulary.size > file_size_limit || files->merges.size > file_size_limit)
        FAIL(STATUS_CORRUPT, "%s: more than %" PRId64 " bytes",
             files->vocabulary.size > file_size_limit ? files->vocabulary_name : files->merges_name, file_size_limit);
    TRY(read_vocabulary(&reading));
    TRY(byte_bpe_start(files->vocabulary_name, reading.last_id + 1, &reading.model));
    reading.model->pattern = WORDS_GPT2;
    TRY(read_vocabulary(&reading));
    TRY(read_merges(files, reading.model));
    *model = reading.model;
    reading.model = NULL;
fail:
    free(reading.buffer.bytes);
    byte_bpe_free(reading.model);
    return result;
}
