/* Nats and bits of a text file worked out again line by line; what is no text; a model of text alone against the same model
 * with tags. */
#include "eval/score_oracle.h"
#include "support/files.h"
#include "support/tiny_world.h"

#include "eval/texts.h"

#include <stdio.h>
#include <string.h>

enum { TEXT_TAG = 286, BOS = 1, EOS = 2, LONGEST = 300 };

static struct tiny_world world;

static int open_world(void **state)
{
    (void)state;
    tiny_world_open(3, LONGEST, &world);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    tiny_world_close(&world);
    return 0;
}

static const char *const lines[] = {"the king said unto them", "a", "  go up and see  ",
                                    "caf\xc3\xa9 and bread, twice"};
enum { LINES = sizeof lines / sizeof *lines };

static const char *write_lines(const char *name)
{
    const char *path = test_path("%s", name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "\xEF\xBB\xBF%s\n\n%s\n \t \n%s\r\n%s", lines[0], lines[1], lines[2], lines[3]);
    fclose(file);
    return path;
}

/* One line's nats, pieces and bytes: BOS, [Text], the pieces of the trimmed line; the first piece does not count. */
static double line_nats(const char *line, double *pieces, double *bytes)
{
    char trimmed[200];
    int32_t *ids, all[LONGEST] = {BOS, TEXT_TAG};
    int64_t count;
    double losses[LONGEST], nats = 0;
    size_t begin = strspn(line, " "), size = strlen(line) - begin;
    while (line[begin + size - 1] == ' ')
        size--;
    snprintf(trimmed, sizeof trimmed, "%.*s", (int)size, line + begin);
    assert_ok(text_model_encode(world.components->text, trimmed, (int64_t)size, true, &ids, &count));
    memcpy(all + 2, ids, (size_t)count * sizeof *ids);
    free(ids);
    oracle_losses(world.model, all, count + 2, losses);
    for (int64_t i = 3; i < count + 2; i++)
        nats += losses[i];
    *pieces = (double)count - 1;
    *bytes = (double)size;
    return nats;
}

static void expect_ratio(const struct estimate *found, const double *numerators, const double *denominators)
{
    double above = 0, below = 0, squares = 0;
    for (int i = 0; i < LINES; i++) {
        above += numerators[i];
        below += denominators[i];
    }
    for (int i = 0; i < LINES; i++)
        squares += pow(numerators[i] - above / below * denominators[i], 2);
    assert_int_equal(found->n, LINES);
    assert_true(fabs(found->value - above / below) < 1e-5);
    assert_true(fabs(found->standard_error - sqrt(LINES / (LINES - 1.0) * squares) / below) < 1e-5);
}

static void lines_are_documents_whose_pieces_count_from_the_second_on(void **state)
{
    (void)state;
    struct texts_result found;
    double nats[LINES], bits[LINES], pieces[LINES], bytes[LINES], all_pieces = 0, all_bytes = 0;
    assert_ok(texts_evaluate(world.model, world.components, write_lines("lines.txt"), &found));
    for (int i = 0; i < LINES; i++) {
        nats[i] = line_nats(lines[i], &pieces[i], &bytes[i]);
        bits[i] = nats[i] / log(2);
        all_pieces += pieces[i];
        all_bytes += bytes[i];
    }
    expect_ratio(&found.nats, nats, pieces);
    expect_ratio(&found.bits, bits, bytes);
    assert_true((double)found.pieces == all_pieces && (double)found.bytes == all_bytes);
    assert_int_equal(found.windowed, 0);
}

static void a_line_longer_than_the_context_is_said(void **state)
{
    (void)state;
    struct texts_result found;
    char text[2 * LONGEST + 1];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = 0;
    write_text(test_path("long.txt"), text);
    assert_ok(texts_evaluate(world.model, world.components, test_path("long.txt"), &found));
    assert_int_equal(found.windowed, 1);
    assert_int_equal(found.bytes, 2 * LONGEST);
    assert_true(isnan(found.nats.standard_error));
}

static void what_is_no_text_is_refused(void **state)
{
    (void)state;
    struct texts_result found;
    write_text(test_path("blank.txt"), "\n  \n\t\n");
    assert_fails(texts_evaluate(world.model, world.components, test_path("blank.txt"), &found), STATUS_CORRUPT,
                 "blank.txt: the file has no text");
    write_text(test_path("bytes.txt"), "good\nbad \xff line\n");
    assert_fails(texts_evaluate(world.model, world.components, test_path("bytes.txt"), &found), STATUS_CORRUPT,
                 "bytes.txt:2: the line is not UTF-8");
    assert_fails(texts_evaluate(world.model, world.components, test_path("nowhere.txt"), &found), STATUS_USAGE,
                 "nowhere.txt");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_documents_whose_pieces_count_from_the_second_on),
        cmocka_unit_test(a_line_longer_than_the_context_is_said),
        cmocka_unit_test(what_is_no_text_is_refused),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
