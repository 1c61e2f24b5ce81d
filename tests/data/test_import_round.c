/* What import writes, prepare's reader takes: corpora of random words over all of Unicode, punctuation alone as a word,
 * and texts that write the same words otherwise, in every format with word times. Every row is read without a fault, and
 * every word that has a letter keeps its times. */
#include "support/files.h"
#include "support/random_words.h"
#include "support/test_support.h"

#include "data/manifest.h"
#include "data/prepare/import/import.h"
#include "io/atomic_file.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILES = 6, MOST_WORDS = 10 };

/* One utterance: its words as the recogniser has them, and the text as the transcript has them. */
struct utterance {
    char words[MOST_WORDS][3 * RANDOM_WORD_BYTES], text[8000];
    int count, spoken; /* spoken: those with a letter */
};

static void make_utterance(struct rng *rng, struct utterance *utterance, bool spaces_inside)
{
    int length = 0;
    utterance->count = 1 + (int)rng_below(rng, MOST_WORDS);
    utterance->spoken = 0;
    for (int i = 0; i < utterance->count; i++) {
        char *word = utterance->words[i], *text = utterance->text, plain[RANDOM_WORD_BYTES];
        int size = 0;
        if (i > 0)
            length += put_random_space(rng, text + length);
        if (utterance->spoken > 0 && rng_below(rng, 5) == 0) { /* punctuation alone */
            size = put_random_punctuation(rng, word);
            word[size] = 0;
            length += sprintf(text + length, "%s", word);
            continue;
        }
        utterance->spoken++;
        if (rng_below(rng, 5) == 0)
            size += put_random_punctuation(rng, word);
        put_random_word(rng, plain);
        length += sprintf(text + length, "%s", plain);
        char *other = rewrite_word(rng, plain);
        size += sprintf(word + size, "%s", other);
        free(other);
        if (spaces_inside && rng_below(rng, 8) == 0) { /* "10 000" as one word */
            int space = sprintf(word + size, "%s", "\xc2\xa0");
            length += sprintf(text + length, " ");
            put_random_word(rng, plain);
            size += space + sprintf(word + size + space, "%s", plain);
            length += sprintf(text + length, "%s", plain);
        }
        if (rng_below(rng, 3) == 0)
            length += put_random_punctuation(rng, text + length);
        if (rng_below(rng, 5) == 0)
            size += put_random_punctuation(rng, word + size);
        word[size] = 0;
    }
    utterance->text[length] = 0;
}

/* {"text", "segments": [{"words": [{"word", "start", "end"}]}]} */
static void write_whisper(const char *path, const struct utterance *utterance)
{
    json_t *words = json_array();
    for (int i = 0; i < utterance->count; i++)
        json_array_append_new(
            words, json_pack("{s:s, s:f, s:f}", "word", utterance->words[i], "start", 0.5 * i, "end", 0.5 * i + 0.25));
    json_t *root = json_pack("{s:s, s:[{s:o}]}", "text", utterance->text, "segments", "words", words);
    assert_non_null(root);
    assert_int_equal(json_dump_file(root, path, 0), 0);
    json_decref(root);
}

static void write_grid(const char *path, const struct utterance *utterance)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "\"ooTextFile\"\n\"TextGrid\"\n0\n%g\n<exists>\n1\n\"IntervalTier\"\n\"words\"\n0\n%g\n%d\n",
            0.5 * utterance->count, 0.5 * utterance->count, utterance->count);
    for (int i = 0; i < utterance->count; i++)
        fprintf(file, "%g\n%g\n\"%s\"\n", 0.5 * i, 0.5 * i + 0.5, utterance->words[i]);
    assert_int_equal(fclose(file), 0);
}

static void write_ctm(FILE *file, int number, const struct utterance *utterance)
{
    for (int i = 0; i < utterance->count; i++)
        fprintf(file, "u%d 1 %g 0.25 %s\n", number, 0.5 * i, utterance->words[i]);
}

static const char *put_corpus(struct rng *rng, enum import_kind kind, const char *folder, struct utterance *utterances)
{
    assert_ok(make_directories(test_path("%s", folder)));
    FILE *ctm = fopen(test_path("%s/x.ctm", folder), "w");
    for (int i = 0; i < FILES; i++) {
        make_utterance(rng, utterances + i, kind != IMPORT_CTM);
        write_text(test_path("%s/u%d.wav", folder, i), "RIFF");
        if (kind == IMPORT_WHISPER)
            write_whisper(test_path("%s/u%d.json", folder, i), utterances + i);
        else if (kind == IMPORT_TEXTGRID)
            write_grid(test_path("%s/u%d.TextGrid", folder, i), utterances + i);
        else
            write_ctm(ctm, i, utterances + i);
    }
    assert_int_equal(fclose(ctm), 0);
    return kind == IMPORT_CTM ? test_path("%s/x.ctm", folder) : test_path("%s", folder);
}

static void what_import_writes_prepare_reads(void **state)
{
    (void)state;
    static const enum import_kind kinds[] = {IMPORT_WHISPER, IMPORT_TEXTGRID, IMPORT_CTM};
    struct rng rng = rng_make(test_seed(), RNG_TEST, 72, 0);
    struct utterance *utterances = calloc(FILES, sizeof *utterances);
    int64_t rounds = test_is_long() ? 3000 : 90, words = 0;
    for (int64_t round = 0; round < rounds; round++) {
        enum import_kind kind = kinds[round % 3];
        struct import_options options = {.kind = kind,
                                         .output = test_path("out.jsonl"),
                                         .lowercase = round / 3 % 3 == 0}; /* words are found in any case */
        struct import_counts counts = {0};
        struct manifest manifest;
        options.source = put_corpus(&rng, kind, "corpus", utterances);
        assert_ok(import_run(&options, &counts));
        assert_ok(manifest_read(options.output, NULL, &manifest));
        if (manifest.faults > 0 || manifest.count != FILES)
            for (int64_t i = 0; i < manifest.count; i++)
                if (manifest.rows[i].fault)
                    fail_msg("round %lld, %s: %s", (long long)round, import_kind_name(kind), manifest.rows[i].fault);
        assert_int_equal(manifest.count, FILES);
        assert_int_equal(counts.reasons[IMPORT_UNTIMED_ROW], 0);
        for (int i = 0; i < FILES; i++) {
            if (manifest.rows[i].word_count != utterances[i].spoken)
                fail_msg("round %lld, %s: %d words of \"%s\", found %d", (long long)round, import_kind_name(kind),
                         utterances[i].spoken, manifest.rows[i].text, (int)manifest.rows[i].word_count);
            words += manifest.rows[i].word_count;
        }
        manifest_free(&manifest);
        assert_ok(remove_tree(test_path("corpus")));
    }
    printf("%lld words\n", (long long)words);
    free(utterances);
}

/* Texts of kinds without times come through as they were; only where a line holds a text, white space becomes a space. */
static void texts_are_kept(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 76, 0);
    struct utterance *utterance = calloc(1, sizeof *utterance);
    for (int64_t round = 0; round < (test_is_long() ? 1000 : 30); round++) {
        json_t *expected = json_array();
        assert_ok(make_directories(test_path("texts")));
        FILE *lines = fopen(test_path("texts/a.jsonl"), "w"), *pairs = fopen(test_path("texts/text"), "w");
        FILE *audio = fopen(test_path("texts/wav.scp"), "w");
        assert_true(lines && pairs && audio);
        write_text(test_path("texts/a.wav"), "RIFF");
        for (int i = 0; i < FILES; i++) {
            make_utterance(&rng, utterance, true);
            json_t *row =
                json_pack("{s:s++, s:s}", "id", "u", (char[]){(char)('0' + i), 0}, "", "text", utterance->text);
            assert_non_null(row);
            assert_int_equal(json_dumpf(row, lines, JSON_COMPACT), 0);
            fputc('\n', lines);
            json_array_append_new(expected, json_string(utterance->text));
            json_decref(row);
            for (char *c = utterance->text; *c; c++)
                *c = (unsigned char)*c <= ' ' ? ' ' : *c;
            fprintf(pairs, "u%d %s\n", i, utterance->text);
            fprintf(audio, "u%d a.wav\n", i);
        }
        assert_int_equal(fclose(lines) | fclose(pairs) | fclose(audio), 0);
        for (int kind = 0; kind < 2; kind++) {
            struct import_options options = {.kind = kind ? IMPORT_KALDI : IMPORT_JSONL,
                                             .output = test_path("out.jsonl")};
            struct import_counts counts;
            struct manifest manifest;
            options.source = test_path("texts");
            assert_ok(import_run(&options, &counts));
            assert_int_equal(counts.rejected, 0);
            assert_ok(manifest_read(options.output, NULL, &manifest));
            assert_int_equal(manifest.faults, 0);
            assert_int_equal(manifest.count, FILES);
            for (int i = 0; i < FILES; i++) {
                const char *text = json_string_value(json_array_get(expected, (size_t)i)),
                           *found = manifest.rows[i].text;
                if (kind == 0)
                    assert_string_equal(found, text);
                for (; kind == 1 && *text; text++) /* letter by letter, without white space */
                    if ((unsigned char)*text > ' ') {
                        found += strspn(found, " ");
                        assert_int_equal(*found++, *text);
                    }
            }
            manifest_free(&manifest);
        }
        json_decref(expected);
    }
    free(utterance);
}

/* A transcript of something else: the row keeps its text, and prepare finds the times itself. */
static void words_of_another_text_are_counted(void **state)
{
    (void)state;
    struct import_options options = {.kind = IMPORT_WHISPER, .output = test_path("out.jsonl")};
    struct import_counts counts = {0};
    struct manifest manifest;
    struct utterance utterance = {.words = {"he", "left"}, .text = "totally other words", .count = 2};
    assert_ok(make_directories(test_path("other")));
    options.source = test_path("other");
    write_text(test_path("other/a.wav"), "RIFF");
    write_text(test_path("other/b.wav"), "RIFF");
    write_whisper(test_path("other/a.json"), &utterance);
    strcpy(utterance.text, "He — left.");
    write_whisper(test_path("other/b.json"), &utterance);
    assert_ok(import_run(&options, &counts));
    assert_int_equal(counts.reasons[IMPORT_UNTIMED_ROW], 1);
    assert_int_equal(counts.words, 2);
    assert_ok(manifest_read(options.output, NULL, &manifest));
    assert_int_equal(manifest.faults, 0);
    assert_null(manifest.rows[0].words);
    assert_string_equal(manifest.rows[0].text, "totally other words");
    assert_int_equal(manifest.rows[1].word_count, 2);
    manifest_free(&manifest);
}

/* A folder called "~" is not the home folder when the manifest is read. */
static void a_tilde_is_a_letter_of_a_name(void **state)
{
    (void)state;
    struct import_options options = {.kind = IMPORT_FOLDER, .output = test_path("tilde/out.jsonl")};
    struct import_counts counts = {0};
    struct manifest manifest;
    assert_ok(make_directories(test_path("tilde/~/~anna")));
    options.source = test_path("tilde/~");
    write_text(test_path("tilde/~/~anna/a.wav"), "RIFF");
    assert_ok(import_run(&options, &counts));
    assert_ok(manifest_read(options.output, NULL, &manifest));
    assert_int_equal(manifest.faults, 0);
    assert_true(same_file(manifest.rows[0].audio, test_path("tilde/~/~anna/a.wav")));
    manifest_free(&manifest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_import_writes_prepare_reads),
        cmocka_unit_test(texts_are_kept),
        cmocka_unit_test(words_of_another_text_are_counted),
        cmocka_unit_test(a_tilde_is_a_letter_of_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
