/* What the demo reads from Debian's packages: the prompts' texts and which of them are usable, the Bible, its LZW
 * windows compared with what gzip makes of them, and damaged files. */
#include "data/demo/demo_passages.h"
#include "data/demo/demo_sources.h"
#include "io/atomic_file.h"
#include "support/test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- prompts ---- */

static void write_text(char *path, size_t size, const char *name, const char *text, int64_t length)
{
    snprintf(path, size, "%s/%s", test_directory(), name);
    assert_ok(atomic_write(path, text, length));
}

static void prompts_by_their_rule(void **state)
{
    (void)state;
    static const char texts[] = "; a comment: not a prompt\n\n"
                                "hello:   Hello\tworld.  Again. \n"
                                "digits/1: one\r\n"
                                "silence/1: (1 second of silence)\n"
                                "tone: [ascending tones]\n"
                                "join: <beep>\n"
                                "empty:\n"
                                "at: at [@]\n"
                                "iax: IAX (note: does not say \"2\")\n"
                                "gone: it has no sound\n"
                                "no colon here\n"
                                "colon: as: it stands";
    static const char *const expected[][2] = {{"asterisk/hello", "Hello world. Again."},
                                              {"asterisk/digits/1", "one"},
                                              {"asterisk/at", "at"},
                                              {"asterisk/iax", "IAX"},
                                              {"asterisk/colon", "as: it stands"}};
    static const char *const sounds[] = {"hello", "digits/1", "silence/1", "tone",  "join",
                                         "empty", "at",       "iax",       "colon", "comment"};
    char list[800], zipped[804], path[900], folder[800], output[200];
    write_text(list, sizeof list, "texts.txt", texts, (int64_t)strlen(texts));
    snprintf(zipped, sizeof zipped, "%s.gz", list);
    assert_int_equal(run_command(output, sizeof output, "gzip -k '%s'", list), 0);
    snprintf(folder, sizeof folder, "%s/sounds/digits", test_directory());
    assert_ok(make_directories(folder));
    snprintf(folder, sizeof folder, "%s/sounds/silence", test_directory());
    assert_ok(make_directories(folder));
    snprintf(folder, sizeof folder, "%s/sounds", test_directory());
    for (size_t i = 0; i < sizeof sounds / sizeof sounds[0]; i++) {
        snprintf(path, sizeof path, "%s/%s.g722", folder, sounds[i]);
        assert_ok(atomic_write(path, "x", 1));
    }
    for (int way = 0; way < 2; way++) { /* plain and gzip */
        struct demo_clips clips = {0};
        assert_ok(demo_prompts_read_from(way ? zipped : list, folder, &clips));
        assert_int_equal(clips.count, sizeof expected / sizeof expected[0]);
        for (int64_t i = 0; i < clips.count; i++) {
            assert_string_equal(clips.list[i].id, expected[i][0]);
            assert_string_equal(clips.list[i].text, expected[i][1]);
            assert_string_equal(clips.list[i].source, "asterisk");
            assert_int_equal(access(clips.list[i].path, R_OK), 0);
        }
        demo_clips_free(&clips);
    }
}

static void prompts_that_are_missing_or_damaged(void **state)
{
    (void)state;
    char path[800], folder[900];
    struct demo_clips clips = {0};
    snprintf(folder, sizeof folder, "%s/nowhere", test_directory());
    write_text(path, sizeof path, "few.txt", "hello: Hello\n", 13);
    assert_fails(demo_prompts_read_from("/nonexistent/texts.gz", "/", &clips), STATUS_USAGE, "asterisk-core-sounds-en");
    assert_fails(demo_prompts_read_from(path, folder, &clips), STATUS_USAGE, "asterisk-core-sounds-en-g722");
    assert_fails(demo_prompts_read_from(path, test_directory(), &clips), STATUS_CORRUPT, "none of its texts");
    char zipped[64] = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xff\xff\xff\xff";
    write_text(path, sizeof path, "broken.gz", zipped, 40);
    assert_fails(demo_prompts_read_from(path, test_directory(), &clips), STATUS_CORRUPT, "broken.gz: damaged");
    assert_int_equal(clips.count, 0);
    demo_clips_free(&clips);
}

static void the_installed_recordings(void **state)
{
    (void)state;
    struct demo_clips clips = {0};
    assert_ok(demo_prompts_read(&clips));
    int64_t prompts = clips.count;
    assert_ok(demo_recordings_read(&clips));
    print_message("%lld prompts, %lld recordings\n", (long long)prompts, (long long)(clips.count - prompts));
    assert_true(prompts >= 544);
    assert_int_equal(clips.count - prompts, 10);
    assert_string_equal(clips.list[prompts].text, "ten of clubs");
    for (int64_t i = 0; i < clips.count; i++) {
        assert_int_equal(access(clips.list[i].path, R_OK), 0);
        assert_null(strpbrk(clips.list[i].text, "[]()<>"));
    }
    demo_clips_free(&clips);
}

/* ---- LZW ---- */

/* What gzip makes of the same codes, with the header of compress(1) for 16 bits and block mode before them. */
static void check_against_gzip(const unsigned char *codes, int64_t size, const char *text, int64_t length)
{
    char path[800], output[400];
    unsigned char *file = malloc((size_t)size + 3);
    void *expected;
    int64_t expected_length;
    assert_non_null(file);
    memcpy(file, "\x1f\x9d\x90", 3);
    memcpy(file + 3, codes, (size_t)size);
    write_text(path, sizeof path, "window.Z", (const char *)file, size + 3);
    assert_int_equal(run_command(output, sizeof output, "gzip -dc '%s' > '%s.out'", path, path), 0);
    strcat(path, ".out");
    assert_ok(file_read(path, 1 << 24, &expected, &expected_length));
    assert_int_equal(length, expected_length);
    assert_memory_equal(text, expected, (size_t)length);
    free(expected);
    free(file);
}

static void windows_against_gzip(void **state)
{
    (void)state;
    void *data;
    int64_t size, length;
    char *text = malloc(1 << 16);
    assert_non_null(text);
    assert_ok(file_read("/usr/lib/bible.data", 1 << 24, &data, &size));
    const unsigned char *bytes = data;
    for (int i = 0; i < 67; i += 22) { /* the offsets of the windows begin at byte 92 */
        const unsigned char *offset = bytes + 92 + 4 * i;
        int64_t begin = offset[0] << 24 | offset[1] << 16 | offset[2] << 8 | offset[3];
        int64_t end = offset[4] << 24 | offset[5] << 16 | offset[6] << 8 | offset[7];
        assert_ok(lzw_decode(bytes + begin, end - begin, text, 1 << 16, &length));
        check_against_gzip(bytes + begin, end - begin, text, length);
    }
    free(data);
    free(text);
}

/* Random codes, and real ones with flipped bits: an error or a text, never more than the room. */
static void lzw_of_random_bytes(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 75, 0);
    unsigned char codes[512];
    int64_t length, refused = 0;
    for (int i = 0; i < 3000; i++) {
        int64_t size = (int64_t)rng_below(&rng, sizeof codes + 1), room = (int64_t)rng_below(&rng, 4096);
        for (int64_t k = 0; k < size; k++)
            codes[k] = (unsigned char)(rng_u32(&rng) & (i % 2 ? 0xFF : 0x1));
        char *text = guarded_allocate((size_t)room + 1);
        enum status status = lzw_decode(codes, size, text, room, &length);
        refused += status != STATUS_OK;
        assert_true(status == STATUS_OK || status == STATUS_CORRUPT);
        assert_true(length >= 0 && length <= room);
        guarded_free(text);
    }
    print_message("%lld of 3000 refused\n", (long long)refused);
    assert_true(refused > 500);
}

/* ---- the book ---- */

static void the_book(void **state)
{
    (void)state;
    struct demo_book book;
    assert_ok(demo_book_read(&book));
    assert_int_equal(book.count, 31102); /* the verses of the King James Bible */
    assert_string_equal(book.verses[0].reference, "Ge1:1");
    assert_string_equal(book.verses[0].text, "In the beginning God created the heaven and the earth.");
    assert_string_equal(book.verses[31101].text, "The grace of our Lord Jesus Christ be with you all. Amen.");
    int64_t bytes = 0;
    for (int64_t i = 0; i < book.count; i++)
        bytes += (int64_t)strlen(book.verses[i].text);
    assert_true(bytes > 4000000 && bytes < 4300000);

    struct demo_passages passages;
    assert_ok(demo_passages_make(&book, &passages));
    int64_t within = 0, verse = 0;
    size_t in_passages = 0;
    for (int64_t i = 0; i < passages.count; i++) {
        const struct demo_passage *passage = &passages.list[i];
        within += passage->words >= PASSAGE_WORDS_MINIMUM && passage->words <= PASSAGE_WORDS_MAXIMUM;
        /* Whole verses, one after the other, none left out. */
        const char *at = passage->text;
        while (*at) {
            size_t length = strlen(book.verses[verse].text);
            assert_memory_equal(at, book.verses[verse].text, length);
            at += length;
            at += *at == ' ';
            in_passages += length;
            verse++;
        }
        assert_int_equal(passage->plain, strpbrk(passage->text, "()-") == NULL);
    }
    assert_int_equal(verse, book.count);
    assert_int_equal(in_passages, bytes);
    print_message("%lld passages, %lld of 40 to 80 words\n", (long long)passages.count, (long long)within);
    assert_true(within * 10 > passages.count * 9);
    assert_string_equal(passages.list[0].name, "Ge1:1-3");
    demo_passages_free(&passages);
    demo_book_free(&book);
}

static void books_that_are_missing_or_damaged(void **state)
{
    (void)state;
    char path[800];
    struct demo_book book;
    void *data;
    int64_t size;
    assert_fails(demo_book_read_from("/nonexistent/bible.data", &book), STATUS_USAGE, "bible-kjv-text");
    assert_ok(file_read("/usr/lib/bible.data", 1 << 24, &data, &size));
    unsigned char *bytes = data;
    static const int64_t lengths[] = {0, 3, 91, 92, 200, 363, 364, 1000, 500000};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) { /* truncated */
        write_text(path, sizeof path, "bible.data", data, lengths[i]);
        assert_fails(demo_book_read_from(path, &book), STATUS_CORRUPT, "bible.data");
    }
    bytes[3] ^= 1;
    write_text(path, sizeof path, "bible.data", data, size);
    assert_fails(demo_book_read_from(path, &book), STATUS_CORRUPT, "does not begin with EC02");
    bytes[3] ^= 1;
    bytes[88] = 0x7F; /* windows */
    write_text(path, sizeof path, "bible.data", data, size);
    assert_fails(demo_book_read_from(path, &book), STATUS_CORRUPT, "windows of");
    bytes[88] = 0;
    bytes[92 + 40] = 0x7F; /* an offset */
    write_text(path, sizeof path, "bible.data", data, size);
    assert_fails(demo_book_read_from(path, &book), STATUS_CORRUPT, "window 9 lies at");
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompts_by_their_rule),
        cmocka_unit_test(prompts_that_are_missing_or_damaged),
        cmocka_unit_test(the_installed_recordings),
        cmocka_unit_test(windows_against_gzip),
        cmocka_unit_test(lzw_of_random_bytes),
        cmocka_unit_test(the_book),
        cmocka_unit_test(books_that_are_missing_or_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
