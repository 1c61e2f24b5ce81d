/* sWUGGY and sBLIMP from gold tables and scores to result tables: every byte equal to what zerospeech-benchmarks 0.9.4 wrote for
 * 30 archives (golden/slm21, oracles/slm21_archives.py and slm21_scores.py), in whatever order rows and columns come; and what is
 * refused or left out. */
#include "support/files.h"
#include "support/slm21_golden.h"
#include "support/test_support.h"

#include "eval/zero_shot/slm21.h"
#include "io/atomic_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARCHIVES = 30 };

static const char *const tasks[] = {"lexical", "syntactic"}, *const sets[] = {"dev", "test"};

static void compare_table(int number, int task, int set, const char *by)
{
    char name[128];
    void *found = NULL;
    int64_t size = 0;
    snprintf(name, sizeof name, "score_%s_%s_by_%s.csv", tasks[task], sets[set], by);
    const char *expected = slm21_golden("%02d/results/%s", number, name);
    assert_ok(file_read(test_path("%s", name), 1 << 20, &found, &size));
    if (strcmp(found, expected) != 0)
        fail_msg("archive %02d, %s:\n%s\nexpected:\n%s", number, name, (char *)found, expected);
    free(found);
}

static void compare_tables(int number, int task, int set)
{
    compare_table(number, task, set, "pair");
    if (task == SLM21_LEXICAL) {
        compare_table(number, task, set, "frequency");
        compare_table(number, task, set, "length");
    } else {
        compare_table(number, task, set, "type");
    }
}

static bool has_lone_rows(int number, int task)
{
    return number % 7 == 6 && task == SLM21_LEXICAL;
}

/* Reads `table`, scores it and compares all result tables with the scorer's. */
static void check_table(int number, int task, int set, const struct csv *table, struct slm21_result *result)
{
    struct slm21 gold;
    enum slm21_incomplete incomplete = has_lone_rows(number, task) ? SLM21_SKIP : SLM21_REFUSE;
    assert_ok(slm21_read(table, (enum slm21_task)task, incomplete, &gold));
    double *scores = slm21_golden_scores(&gold, slm21_golden("%02d/scores/%s/%s.txt", number, tasks[task], sets[set]));
    assert_ok(slm21_evaluate(&gold, scores, NULL, 0.5, result));
    assert_ok(slm21_write(&gold, result, test_directory(), sets[set]));
    compare_tables(number, task, set);
    free(scores);
    slm21_free(&gold);
}

static void every_cell_equals_the_scorers(void **state)
{
    (void)state;
    int64_t ties = 0, pairs = 0, lone = 0;
    for (int number = 0; number < ARCHIVES; number++)
        for (int task = 0; task < 2; task++)
            for (int set = 0; set < 2; set++) {
                struct csv table;
                struct slm21_result result;
                slm21_golden_table(slm21_golden("%02d/%s/%s/gold.csv", number, tasks[task], sets[set]), &table);
                check_table(number, task, set, &table, &result);
                ties += result.ties;
                pairs += result.pairs;
                slm21_result_free(&result);
                struct slm21 gold;
                if (has_lone_rows(number, task)) {
                    assert_ok(slm21_read(&table, (enum slm21_task)task, SLM21_SKIP, &gold));
                    lone += gold.lone_rows;
                    assert_int_equal(gold.doubled_rows, 0);
                    assert_int_equal(gold.lone_rows + 2 * gold.pair_count, table.row_count);
                    slm21_free(&gold);
                }
                csv_free(&table);
            }
    print_message("%lld pairs, %lld ties, %lld lone rows\n", (long long)pairs, (long long)ties, (long long)lone);
    assert_true(pairs > 3000 && ties > pairs / 4 && ties < pairs / 3 && lone > 0);
}

/* ---- other orders ---- */

static void put_field(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++)
        fputs(*text == '"' ? "\"\"" : (char[]){*text, 0}, out);
    fputc('"', out);
}

static void shuffle(struct rng *rng, int64_t *order, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t at = (int64_t)rng_below(rng, (uint64_t)i + 1);
        order[i] = order[at];
        order[at] = i;
    }
}

/* The same table in another order of rows and columns, with a column that nobody needs. */
static void permute(struct rng *rng, const struct csv *table, struct csv *other)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    int64_t columns[16], *rows = calloc((size_t)table->row_count + 1, sizeof *rows);
    assert_true(out && rows && table->column_count < 16);
    shuffle(rng, columns, table->column_count);
    shuffle(rng, rows, table->row_count);
    for (int64_t i = -1; i < table->row_count; i++) {
        for (int64_t k = 0; k < table->column_count; k++) {
            put_field(out, i < 0 ? table->columns[columns[k]] : csv_field(table, rows[i], columns[k]));
            fputc(',', out);
        }
        fputs(i < 0 ? "another\n" : "1\n", out);
    }
    fclose(out);
    free(rows);
    assert_ok(csv_parse("gold.csv", text, (int64_t)size, (struct csv_format){',', true}, other));
}

static void order_changes_nothing(void **state)
{
    (void)state;
    int rounds = test_is_long() ? 100 : 3;
    for (int round = 0; round < rounds; round++)
        for (int number = 0; number < ARCHIVES; number++)
            for (int task = 0; task < 2; task++) {
                struct rng rng = rng_make(test_seed(), RNG_TEST, (uint64_t)round, (uint64_t)(number * 2 + task));
                struct csv table, other;
                struct slm21_result first, second;
                slm21_golden_table(slm21_golden("%02d/%s/dev/gold.csv", number, tasks[task]), &table);
                permute(&rng, &table, &other);
                check_table(number, task, 0, &table, &first);
                check_table(number, task, 0, &other, &second);
                assert_memory_equal(&first.all, &second.all, sizeof first.all);
                assert_memory_equal(&first.in_vocabulary, &second.in_vocabulary, sizeof first.all);
                assert_memory_equal(&first.mean_of_types, &second.mean_of_types, sizeof first.all);
                assert_true(first.ties == second.ties && first.items == second.items && first.pairs == second.pairs);
                slm21_result_free(&first);
                slm21_result_free(&second);
                csv_free(&table);
                csv_free(&other);
            }
}

/* ---- small tables, computed by hand ---- */

static const char *const words = "filename,id,voice,frequency,word,phones,length,correct\n"
                                 "a1,10,A,0,ten,T,3,1\n"
                                 "a0,10,A,,xten,XT,3,0\n"
                                 "b1,9,A,1,nine,N,4,1\n"
                                 "b0,9,A,,xnine,XN,4,0\n"
                                 "c1,9,B,1,nine,N,4,1\n"
                                 "c0,9,B,,xnine,XN,4,0\n"
                                 "d1,9,C,1,nine,N,4,1\n"
                                 "d0,9,C,,xnine,XN,4,0\n"
                                 "e1,8,A,,eight,E,5,1\n"
                                 "e0,8,A,,xeight,XE,5,0\n";

/* id 10: lost. id 9: won, tied, lost: 1/2. id 8: tied, and nobody knows how frequent the word is. */
static void overall_values(void **state)
{
    (void)state;
    struct csv table;
    struct slm21 gold;
    struct slm21_result result;
    double scores[] = {-2, -1, -1, -2, -3, -3, -5, -4, -7.5, -7.5};
    slm21_golden_table(words, &table);
    assert_ok(slm21_read(&table, SLM21_LEXICAL, SLM21_REFUSE, &gold));
    assert_int_equal(gold.item_count, 3);
    assert_int_equal(gold.pair_count, 5);
    assert_string_equal(gold.items[0].id, "8"); /* 10 comes last among numbers */
    assert_string_equal(gold.items[2].id, "10");
    assert_ok(slm21_evaluate(&gold, scores, NULL, 0.5, &result));
    double expected[] = {0.5, 0.5, 0};
    for (int i = 0; i < 3; i++)
        assert_true(result.item_scores[i] == expected[i]);
    assert_true(fabs(result.all - 1.0 / 3) < 1e-15);
    assert_true(result.in_vocabulary == 0.5);
    assert_int_equal(result.in_vocabulary_items, 1);
    assert_true(isnan(result.mean_of_types));
    assert_int_equal(result.ties, 2);
    assert_int_equal(result.pairs, 5);
    assert_int_equal(result.items, 3);
    int64_t n[] = {1, 1, 0, 0, 0}; /* the word without a frequency is in no band */
    for (int i = 0; i < 5; i++)
        assert_int_equal(result.bands[i].n, n[i]);
    assert_int_equal(result.line_count, 3);
    slm21_result_free(&result);

    /* Recordings that are not there: their pairs are left out and counted, and an item without any is none. */
    bool present[] = {true, false, true, true, true, true, false, true, true, true};
    scores[1] = NAN;
    assert_ok(slm21_evaluate(&gold, scores, present, 0.5, &result));
    assert_int_equal(result.missing_pairs, 2);
    assert_int_equal(result.items, 2);
    assert_true(result.item_scores[1] == 0.75 && isnan(result.item_scores[2]));
    assert_true(result.all == 0.625);
    slm21_result_free(&result);

    /* Text: a pair per id. */
    const char *correct, *incorrect;
    assert_ok(slm21_texts(&gold, 1, &correct, &incorrect));
    assert_string_equal(correct, "nine");
    assert_string_equal(incorrect, "xnine");
    slm21_free(&gold);
    csv_free(&table);
}

static void types_count_alike(void **state)
{
    (void)state;
    struct csv table;
    struct slm21 gold;
    struct slm21_result result;
    double scores[] = {1, 0, 1, 0, 0, 1}; /* type a: won, won; type b: lost */
    slm21_golden_table("filename,id,voice,type,subtype,transcription,correct\n"
                       "1,1,A,a,s,x,1\n2,1,A,a,s,y,0\n3,2,A,a,s,x,1\n4,2,A,a,s,y,0\n5,1,A,b,s,x,1\n6,1,A,b,s,y,0\n",
                       &table);
    assert_ok(slm21_read(&table, SLM21_SYNTACTIC, SLM21_REFUSE, &gold));
    assert_int_equal(gold.item_count, 3);
    assert_ok(slm21_evaluate(&gold, scores, NULL, 0.5, &result));
    assert_true(fabs(result.all - 2.0 / 3) < 1e-15);
    assert_true(result.mean_of_types == 0.5);
    assert_true(isnan(result.in_vocabulary));
    slm21_result_free(&result);
    slm21_free(&gold);
    csv_free(&table);
}

/* The second of two ids that differ in an integer beyond 2^53, and as texts alone. */
static void ids_are_texts(void **state)
{
    (void)state;
    struct csv table;
    struct slm21 gold;
    slm21_golden_table("filename,id,voice,type,subtype,transcription,correct\n"
                       "1,9007199254740993,A,a,s,x,1\n2,9007199254740993,A,a,s,y,0\n"
                       "3,9007199254740992,A,a,s,x,1\n4,9007199254740992,A,a,s,y,0\n"
                       "5,01,A,a,s,x,1\n6,01,A,a,s,y,0\n7,1,A,a,s,x,1\n8,1,A,a,s,y,0\n",
                       &table);
    assert_ok(slm21_read(&table, SLM21_SYNTACTIC, SLM21_REFUSE, &gold));
    assert_int_equal(gold.item_count, 4);
    assert_string_equal(gold.items[0].id, "01");
    assert_string_equal(gold.items[2].id, "9007199254740992");
    slm21_free(&gold);
    csv_free(&table);
}

/* ---- what is refused ---- */

struct fault {
    int task;
    const char *text, *part;
};

#define WORDS "filename,id,voice,frequency,word,phones,length,correct\n"
#define SENTENCES "filename,id,voice,type,subtype,transcription,correct\n"

static void faulty_tables_are_refused(void **state)
{
    (void)state;
    static const struct fault faults[] = {
        {0, WORDS "a,1,A,5,x,X,1,1\nb,1,B,,y,Y,1,0\n",
         "gold.csv:2: id \"1\", voice \"A\": the correct side has no counterpart"},
        {0, WORDS "a,1,A,,x,X,1,0\nb,2,A,1,y,Y,1,1\nc,2,A,,z,Z,1,0\n",
         "gold.csv:2: id \"1\", voice \"A\": the incorrect side has no counterpart"},
        {0, WORDS "a,1,A,5,x,X,1,1\nb,1,A,,y,Y,1,0\nc,1,A,,y,Y,1,0\n",
         "gold.csv:4: id \"1\", voice \"A\": the incorrect side is already on line 3"},
        {0, WORDS "a,1,A,5,x,X,1,1\nb,1,A,,y,Y,1,0\nc,1,A,5,x,X,1,1\n",
         "gold.csv:4: id \"1\", voice \"A\": the correct side is already on line 2"},
        {0, WORDS "a,1,A,5,x,X,1,1\nb,1,A,5,y,Y,1,1\n",
         "gold.csv:3: id \"1\", voice \"A\": the correct side is already"},
        {0, WORDS "a,1,A,5,x,X,1,1\na,1,A,,y,Y,1,0\n", "gold.csv:3: the recording \"a\" is already on line 2"},
        {0, WORDS "a,1,A,5,x,X,1,2\nb,1,A,,y,Y,1,0\n", "gold.csv:2: correct is \"2\"; expected 0 or 1"},
        {0, WORDS "a,1,A,5,x,X,1,\nb,1,A,,y,Y,1,0\n", "gold.csv:2: correct is \"\"; expected 0 or 1"},
        {0, WORDS "a,1,A,nan,x,X,1,1\nb,1,A,,y,Y,1,0\n", "gold.csv:2: frequency is \"nan\"; expected a number"},
        {0, WORDS "a,1,A,-1,x,X,1,1\nb,1,A,,y,Y,1,0\n", "gold.csv:2: frequency is \"-1\""},
        {0, WORDS "a,1,A,1e999,x,X,1,1\nb,1,A,,y,Y,1,0\n", "gold.csv:2: frequency is \"1e999\""},
        {0, WORDS "a,1,A,1,x,X,4.5,1\nb,1,A,,y,Y,1,0\n", "gold.csv:2: length is \"4.5\"; expected a whole number"},
        {0, WORDS "a,1,A,1,x,X,99999999999,1\nb,1,A,,y,Y,1,0\n", "gold.csv:2: length is \"99999999999\""},
        {0, WORDS ",1,A,5,x,X,1,1\nb,1,A,,y,Y,1,0\n", "gold.csv:2: filename is empty"},
        {0, WORDS "a,,A,5,x,X,1,1\nb,1,A,,y,Y,1,0\n", "gold.csv:2: id is empty"},
        {0, WORDS, "gold.csv: no pair of a correct and an incorrect side"},
        {0, WORDS "a,1,A,5,x,X,1,1\nb,1,A,,y,Y,1,0\nc,1,B,6,x,X,1,1\nd,1,B,,y,Y,1,0\n",
         "gold.csv:4: id \"1\", voice \"B\": another frequency than on line 2 for another voice"},
        {0, WORDS "a,1,A,5,x,X,1,1\nb,1,A,,y,Y,1,0\nc,1,B,5,x,X,1,1\nd,1,B,,z,Y,1,0\n",
         "gold.csv:5: id \"1\", voice \"B\": another text than on line 3 for another voice"},
        {0, WORDS "a,1,A,5,x,X,1,1\nb,1,A,,y,Y,1,0\nc,1,B,5,x,X,2,1\nd,1,B,,y,Y,1,0\n",
         "gold.csv:4: id \"1\", voice \"B\": another length"},
        {0, WORDS "a,1,A,5,x,X,1,1\nb,1,A,,,Y,1,0\nc,1,B,5,x,X,1,1\nd,1,B,,,Z,1,0\n",
         "gold.csv:5: id \"1\", voice \"B\": another phones"},
        {0, SENTENCES "a,1,A,t,s,x,1\n", "gold.csv: no column \"frequency\"; its columns are \"filename\", \"id\""},
        {1, WORDS "a,1,A,5,x,X,1,1\n", "gold.csv: no column \"type\""},
        {1, SENTENCES "a,1,A,t,s,x,1\nb,1,A,t,other,y,0\n",
         "gold.csv:3: type \"t\", subtype \"other\", id \"1\", voice \"A\": the incorrect side has no counterpart"},
        {1, SENTENCES "a,1,A,t,s,x,1\nb,1,A,u,s,y,0\n",
         "type \"t\", subtype \"s\", id \"1\", voice \"A\": the correct side has no"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct csv table;
        struct slm21 gold;
        slm21_golden_table(faults[i].text, &table);
        enum status result = slm21_read(&table, (enum slm21_task)faults[i].task, SLM21_REFUSE, &gold);
        if (result != STATUS_CORRUPT || !strstr(status_text(), faults[i].part))
            fail_msg("fault %zu: %d, \"%s\"; expected \"%s\"", i, result, result ? status_text() : "", faults[i].part);
        slm21_free(&gold);
        csv_free(&table);
    }
}

static void lone_and_doubled_rows_are_counted(void **state)
{
    (void)state;
    struct csv table;
    struct slm21 gold;
    slm21_golden_table(
        WORDS "a,1,A,5,x,X,1,1\nb,1,A,,y,Y,1,0\nc,1,B,5,x,X,1,1\nd,2,A,5,x,X,1,1\ne,2,A,,y,Y,1,0\nf,2,A,,y,Y,1,0\n",
        &table);
    assert_ok(slm21_read(&table, SLM21_LEXICAL, SLM21_SKIP, &gold));
    assert_int_equal(gold.pair_count, 1);
    assert_int_equal(gold.item_count, 1);
    assert_int_equal(gold.lone_rows, 1);
    assert_int_equal(gold.doubled_rows, 3);
    slm21_free(&gold);
    csv_free(&table);
}

static void scores_must_be_numbers(void **state)
{
    (void)state;
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    struct csv table;
    struct slm21 gold;
    struct slm21_result result;
    slm21_golden_table(words, &table);
    assert_ok(slm21_read(&table, SLM21_LEXICAL, SLM21_REFUSE, &gold));
    for (int i = 0; i < 3; i++) {
        double scores[10] = {0};
        bool present[10];
        memset(present, 1, sizeof present);
        scores[7] = bad[i];
        assert_fails(slm21_evaluate(&gold, scores, NULL, 0.5, &result), STATUS_CORRUPT,
                     "gold.csv: the score of the recording \"d0\" is");
        slm21_result_free(&result);
        assert_fails(slm21_evaluate(&gold, scores, present, 0.5, &result), STATUS_CORRUPT, "\"d0\"");
        slm21_result_free(&result);
    }
    assert_int_equal(slm21_find(&gold, "d0"), 7);
    assert_int_equal(slm21_find(&gold, "d"), -1);
    slm21_free(&gold);
    csv_free(&table);
}

static void texts_need_a_spelling(void **state)
{
    (void)state;
    struct csv table;
    struct slm21 gold;
    const char *correct, *incorrect;
    slm21_golden_table(WORDS "a,1,A,5,x,X,1,1\nb,1,A,,,Y,1,0\n", &table);
    assert_ok(slm21_read(&table, SLM21_LEXICAL, SLM21_REFUSE, &gold));
    assert_string_equal(gold.items[0].names[SLM21_CORRECT], "X");
    assert_fails(slm21_texts(&gold, 0, &correct, &incorrect), STATUS_CORRUPT,
                 "gold.csv: id \"1\": the incorrect side has no spelling");
    slm21_free(&gold);
    csv_free(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_equals_the_scorers),
        cmocka_unit_test(order_changes_nothing),
        cmocka_unit_test(overall_values),
        cmocka_unit_test(types_count_alike),
        cmocka_unit_test(ids_are_texts),
        cmocka_unit_test(faulty_tables_are_refused),
        cmocka_unit_test(lone_and_doubled_rows_are_counted),
        cmocka_unit_test(scores_must_be_numbers),
        cmocka_unit_test(texts_need_a_spelling),
    };
    return cmocka_run_group_tests(tests, slm21_golden_open, slm21_golden_close);
}
