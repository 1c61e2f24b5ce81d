/* Each kind of corpus on a few files with its difficulties: names with spaces, quotes, missing audio, lines that are cut
 * short. What is expected of each is the manifest and the list of what was left out, line by line. */
#include "support/files.h"
#include "support/import_files.h"
#include "support/test_support.h"

#include "data/manifest.h"
#include "data/prepare/import/import.h"
#include "io/atomic_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void ljspeech(void **state)
{
    (void)state;
    put_audio("lj/wavs/LJ001-0001.wav");
    put_audio("lj/wavs/LJ 2.WAV");
    put_audio("lj/wavs/LJ001-0003.wav");
    put_audio("lj/wavs/left over.wav");
    put_file("lj/metadata.csv", "LJ001-0001|Dr. \"Quoted|Doctor \"Quoted\r\nLJ 2|only raw|\nLJ001-0003|\nnothing|a|b\n"
                                "no bars\n\n");
    struct import_counts counts = import_ok((struct import_options){.kind = IMPORT_LJSPEECH}, "lj");
    expect_file("lj.jsonl",
                "{\"audio\": \"lj/wavs/LJ 2.WAV\", \"id\": \"LJ 2\", \"text\": \"only raw\"}\n"
                "{\"audio\": \"lj/wavs/LJ001-0001.wav\", \"id\": \"LJ001-0001\", \"text\": \"Doctor \\\"Quoted\"}\n");
    expect_notes("lj.rejects.jsonl", "metadata.csv:3: it has no text\n"
                                     "metadata.csv:5: it is not in the format\n"
                                     "metadata.csv:4: there is no audio file for it\n"
                                     "wavs/left over.wav: audio without a transcript\n");
    assert_int_equal(counts.rejected, 4);
}

static void common_voice(void **state)
{
    (void)state;
    put_audio("cv/clips/common_voice_en_1.mp3");
    put_audio("cv/clips/common_voice_en_2.mp3");
    /* A release with other columns, in another order; a path without its ending; a quote that closes nowhere. */
    put_file("cv/train.tsv", "\xef\xbb\xbf"
                             "sentence_id\tsentence\tclient_id\tpath\tup_votes\n"
                             "9\t\"He said so.\tabc\tcommon_voice_en_1\t2\n"
                             "9\tTwo  words\tdef\tcommon_voice_en_2.mp3\t2\n"
                             "9\tlost\tdef\tcommon_voice_en_3.mp3\t2\n"
                             "9\tcut\n"
                             "9\tout\tdef\t../../x.mp3\t2\n");
    struct import_counts counts = import_ok((struct import_options){.kind = IMPORT_COMMONVOICE}, "cv/train.tsv");
    expect_file("cv.jsonl", "{\"audio\": \"cv/clips/common_voice_en_1.mp3\", \"id\": \"common_voice_en_1\", "
                            "\"speaker\": \"abc\", \"text\": \"\\\"He said so.\"}\n"
                            "{\"audio\": \"cv/clips/common_voice_en_2.mp3\", \"id\": \"common_voice_en_2\", "
                            "\"speaker\": \"def\", \"text\": \"Two words\"}\n");
    assert_int_equal(counts.reasons[IMPORT_NO_AUDIO], 1);
    assert_int_equal(counts.reasons[IMPORT_UNREADABLE], 2);
    put_file("cv/train.tsv", "client_id\tfile\nx\ty\n");
    import_fails((struct import_options){.kind = IMPORT_COMMONVOICE}, "cv/train.tsv", STATUS_CORRUPT, "\"path\"");
}

static void kaldi_segments(void **state)
{
    (void)state;
    put_audio("k/audio/rec 1.wav");
    put_audio("k/audio/rec2.sph");
    put_file("k/data/train/wav.scp", "rec1 audio/rec 1.wav\nrec2\taudio/rec2.sph\nrec3 sph2pipe -f wav x.sph |\n");
    put_file("k/data/train/segments", "u3 rec1 2.5 -1\nu1 rec1 0 1.25\nu2 rec2 1 2\nu4 rec3 0 1\nu5 rec9 0 1\n"
                                      "u6 rec1 3 2\nu7 rec1 3\n");
    put_file("k/data/train/text", "u1 hello  there\nu2\tgood day\nu4 x\nu8 never cut\nu3\n");
    put_file("k/data/train/utt2spk", "u1 ann\nu2 bob\n");
    put_file("k/data/train/reco2file_and_channel", "rec1 rec1 A\nrec2 rec2 B\n");
    struct import_counts counts = import_ok((struct import_options){.kind = IMPORT_KALDI}, "k/data/train");
    expect_file("k.jsonl", "{\"audio\": \"k/audio/rec 1.wav\", \"channel\": 0, \"end\": 1.25, \"id\": \"u1\", "
                           "\"speaker\": \"ann\", \"text\": \"hello there\"}\n"
                           "{\"audio\": \"k/audio/rec2.sph\", \"begin\": 1.0, \"channel\": 1, \"end\": 2.0, \"id\": "
                           "\"u2\", \"speaker\": \"bob\", \"text\": \"good day\"}\n"
                           "{\"audio\": \"k/audio/rec 1.wav\", \"begin\": 2.5, \"channel\": 0, \"id\": \"u3\"}\n");
    expect_notes("k.rejects.jsonl", "segments: audio without a text: kept as speech alone\n"
                                    "segments: its audio is made by a command\n"
                                    "segments: there is no audio file for it\n"
                                    "segments: it is not in the format\n"
                                    "segments: it is not in the format\n"
                                    "text: there is no audio file for it\n");
    assert_int_equal(counts.rejected, 5);
    put_file("k/data/train/segments",
             "u1 rec1 0 1.25\nu2 rec1 43300 43301\nu4 rec2 1 1e9\n"); /* beyond a manifest's limit */
    counts = import_ok((struct import_options){.kind = IMPORT_KALDI}, "k/data/train");
    assert_int_equal(counts.rows, 1);
}

static void kaldi_recordings(void **state)
{
    (void)state;
    put_audio("k2/a.wav");
    put_audio("k2/b.wav");
    put_file("k2/wav.scp", "b b.wav\na a.wav\na b.wav\nc features.ark:17\n");
    import_ok((struct import_options){.kind = IMPORT_KALDI}, "k2");
    expect_file("k2.jsonl", "{\"audio\": \"k2/a.wav\", \"id\": \"a\"}\n{\"audio\": \"k2/b.wav\", \"id\": \"b\"}\n");
    expect_notes("k2.rejects.jsonl", "wav.scp: another utterance has the same id\n"
                                     "wav.scp: there is no audio file for it\n");
    put_file("k3/text", "a b\n");
    import_fails((struct import_options){.kind = IMPORT_KALDI}, "k3", STATUS_USAGE, "wav.scp");
}

static void nemo(void **state)
{
    (void)state;
    put_audio("nemo/a b.wav");
    put_audio("nemo/long.flac");
    put_file(
        "nemo/m.json",
        "{\"audio_filepath\": \"a b.wav\", \"duration\": 1.5, \"text\": \"one\", \"lang\": \"en\"}\n"
        "{\"audio_filepath\": \"long.flac\", \"offset\": 12.5, \"duration\": 2, \"text\": \"late\", \"speaker\": 7}\n"
        "{\"audio_filepath\": \"long.flac\", \"offset\": 0.0, \"duration\": 2, \"text\": \"early\"}\n"
        "{\"audio_filepath\": \"long.flac\", \"offset\": NaN, \"duration\": 2, \"text\": \"never\"}\n"
        "{\"audio_filepath\": \"missing.wav\", \"duration\": 1.5, \"text\": \"one\"}\n"
        "{\"audio_filepath\": \"a b.wav\", \"duration\": 1.5, \"te\n"
        "{\"text\": \"one\"}\n");
    struct import_counts counts = import_ok((struct import_options){.kind = IMPORT_NEMO}, "nemo/m.json");
    expect_file("nemo.jsonl", "{\"audio\": \"nemo/a b.wav\", \"id\": \"a b\", \"text\": \"one\"}\n"
                              "{\"audio\": \"nemo/long.flac\", \"end\": 2.0, \"id\": \"long-000000000\", \"text\": "
                              "\"early\"}\n"
                              "{\"audio\": \"nemo/long.flac\", \"begin\": 12.5, \"end\": 14.5, \"id\": "
                              "\"long-000012500\", \"speaker\": \"7\", \"text\": \"late\"}\n");
    assert_int_equal(counts.rejected, 4);
}

static void moshi(void **state)
{
    (void)state;
    put_audio("moshi/d/a.wav");
    put_audio("moshi/d/b.wav");
    put_audio("moshi/d/c.wav");
    put_file("moshi/set.jsonl",
             "{\"path\": \"d/b.wav\", \"duration\": 24.5}\n{\"path\": \"d/a.wav\", \"duration\": 1}\n"
             "{\"path\": \"d/c.wav\", \"duration\": 1}\n{\"path\": \"d/x.wav\"}\n");
    put_file("moshi/d/a.json",
             "{\"alignments\": [[\" Hi\", [0.5, 0.75], \"SPEAKER_MAIN\"], [\"you\", [0.75, 0.9], \"SPEAKER_01\"], "
             "[\" there.\", [1, 1.5], \"SPEAKER_MAIN\"]]}");
    put_file("moshi/d/b.json", "{\"alignments\": [");
    struct import_counts counts = import_ok((struct import_options){.kind = IMPORT_MOSHI}, "moshi/set.jsonl");
    expect_file("moshi.jsonl", "{\"audio\": \"moshi/d/a.wav\", \"channel\": 0, \"id\": \"d/a\", \"text\": \"Hi "
                               "there.\", \"words\": [[\"Hi\", 0.5, 0.75], [\"there.\", 1.0, 1.5]]}\n"
                               "{\"audio\": \"moshi/d/c.wav\", \"channel\": 0, \"id\": \"d/c\"}\n");
    assert_int_equal(counts.reasons[IMPORT_OTHER_SPEAKER], 1);
    assert_int_equal(counts.reasons[IMPORT_UNREADABLE], 1);
    assert_int_equal(counts.reasons[IMPORT_NO_AUDIO], 1);
    assert_int_equal(counts.reasons[IMPORT_SPEECH_ALONE], 1);
}

static void fairseq(void **state)
{
    (void)state;
    char text[900];
    put_audio("fs/audio/a b/1.flac");
    snprintf(text, sizeof text, "%s\na b/1.flac\t16000\nc/2.flac\t320\n", test_path("fs/audio"));
    put_file("fs/train.tsv", text);
    put_file("fs/train.km", "5 5 71\n0 65535\n");
    import_ok((struct import_options){.kind = IMPORT_FAIRSEQ}, "fs/train.tsv");
    expect_file("fs.jsonl", "{\"hubert\": [5, 5, 71], \"id\": \"a b/1\"}\n{\"hubert\": [0, 65535], \"id\": \"c/2\"}\n");
    put_file("fs/train.km", "5 5 71\n3 x\n");
    import_ok((struct import_options){.kind = IMPORT_FAIRSEQ}, "fs/train.tsv");
    expect_file("fs.jsonl", "{\"hubert\": [5, 5, 71], \"id\": \"a b/1\"}\n");
    expect_notes("fs.rejects.jsonl", "train.tsv:3: it is not in the format\n");
    put_file("fs/train.km", "5 5 71\n\n"); /* an empty line is one too: nothing is shifted */
    import_ok((struct import_options){.kind = IMPORT_FAIRSEQ}, "fs/train.tsv");
    expect_file("fs.jsonl", "{\"hubert\": [5, 5, 71], \"id\": \"a b/1\"}\n");
    put_file("fs/train.km", "5 5 71\n");
    import_fails((struct import_options){.kind = IMPORT_FAIRSEQ}, "fs/train.tsv", STATUS_CORRUPT, "1 lines for the 2");
    put_file("fs/words.tsv", text);
    put_file("fs/words.wrd", "HELLO THERE\nGONE\n");
    import_ok((struct import_options){.kind = IMPORT_FAIRSEQ}, "fs/words.tsv");
    expect_file("fs.jsonl", "{\"audio\": \"fs/audio/a b/1.flac\", \"id\": \"a b/1\", \"text\": \"HELLO THERE\"}\n");
    put_file("fs/units.txt", "x/y.wav|7 7 8\nz|\n|3\n8 8\nw|65536\n");
    struct import_counts counts = import_ok((struct import_options){.kind = IMPORT_FAIRSEQ}, "fs/units.txt");
    expect_file("fs.jsonl", "{\"hubert\": [7, 7, 8], \"id\": \"x/y\"}\n");
    assert_int_equal(counts.rejected, 4);
}

static void slamkit(void **state)
{
    (void)state;
    put_file("slam/features.jsonl", "{\"units\": [4, 5], \"duration\": [2, 1], \"file_name\": \"b.wav\"}\n"
                                    "{\"units\": [4, 5], \"duration\": [2], \"file_name\": \"c.wav\"}\n"
                                    "{\"units\": [4, 70000], \"duration\": [2, 1], \"file_name\": \"d.wav\"}\n"
                                    "{\"units\": [], \"duration\": [], \"file_name\": \"e.wav\"}\n");
    struct import_counts counts = import_ok((struct import_options){.kind = IMPORT_SLAMKIT}, "slam/features.jsonl");
    expect_file("slam.jsonl", "{\"hubert\": [4, 4, 5], \"id\": \"b\"}\n");
    assert_int_equal(counts.rejected, 3);
    put_file("slam/tokens.jsonl", "{\"file_name\": \"b\", \"audio_repr\": \"<Un3><Un49>\"}\n"
                                  "{\"file_name\": \"c\", \"audio_repr\": \"<Un3><Ux>\"}\n");
    counts = import_ok((struct import_options){.kind = IMPORT_SLAMKIT}, "slam/tokens.jsonl");
    expect_file("slam.jsonl", "{\"hubert\": [3, 49], \"id\": \"b\"}\n");
    assert_int_equal(counts.reasons[IMPORT_RUNS], 1);
    assert_int_equal(counts.rejected, 1);
}

static void plain_text(void **state)
{
    (void)state;
    static const char text[] = "\xef\xbb\xbfOne line.\r\nTwo \"lines\".\r\n\r\n \r\nA paragraph.\r\n";
    put_file("txt/b/one.txt", text);
    put_file("txt/a.TXT", "alone");
    put_file("txt/empty.txt", " \n");
    put_file("txt/notes.md", "no text");
    struct import_options options = {.kind = IMPORT_TEXT};
    import_ok(options, "txt");
    expect_file("txt.jsonl",
                "{\"id\": \"a\", \"text\": \"alone\"}\n"
                "{\"id\": \"b/one\", \"text\": \"One line.\\nTwo \\\"lines\\\".\\n\\n \\nA paragraph.\"}\n");
    expect_notes("txt.rejects.jsonl", "empty.txt: it has no text\n");
    options.per = IMPORT_PER_PARAGRAPH;
    import_ok(options, "txt/b/one.txt");
    expect_file("txt.jsonl", "{\"id\": \"one-00000001\", \"text\": \"One line.\\nTwo \\\"lines\\\".\"}\n"
                             "{\"id\": \"one-00000005\", \"text\": \"A paragraph.\"}\n");
    options.per = IMPORT_PER_LINE;
    import_ok(options, "txt/b/one.txt");
    expect_file("txt.jsonl", "{\"id\": \"one-00000001\", \"text\": \"One line.\"}\n"
                             "{\"id\": \"one-00000002\", \"text\": \"Two \\\"lines\\\".\"}\n"
                             "{\"id\": \"one-00000005\", \"text\": \"A paragraph.\"}\n");
}

static void json_lines_of_text(void **state)
{
    (void)state;
    put_file("jl/a.jsonl",
             "{\"text\": \"one\\ntwo\", \"meta\": {\"x\": NaN}}\n\n{\"id\": 12, \"text\": \"b\"}\n"
             "{\"id\": \"12\", \"text\": \"again\"}\n{\"text\": \"\"}\n{\"content\": \"c\"}\nbroken\n[1]\n");
    struct import_options options = {.kind = IMPORT_JSONL};
    struct import_counts counts = import_ok(options, "jl");
    expect_file("jl.jsonl", "{\"id\": \"12\", \"text\": \"b\"}\n{\"id\": \"a-00000001\", \"text\": \"one\\ntwo\"}\n");
    assert_int_equal(counts.reasons[IMPORT_SAME_ID], 1);
    assert_int_equal(counts.reasons[IMPORT_NO_TEXT], 2);
    assert_int_equal(counts.reasons[IMPORT_UNREADABLE], 2);
    /* A manifest in the corpus itself is not imported again. */
    put_file("self/a.jsonl", "{\"text\": \"one\"}\n{}\n");
    for (int i = 0; i < 2; i++) {
        struct import_options inside = {
            .kind = IMPORT_JSONL, .source = test_path("self"), .output = test_path("self/out.jsonl")};
        assert_ok(import_run(&inside, &counts));
        assert_int_equal(counts.rows, 1);
        assert_int_equal(counts.rejected, 1);
    }
    options.text_key = "content";
    import_ok(options, "jl/a.jsonl");
    expect_file("jl.jsonl", "{\"id\": \"a-00000006\", \"text\": \"c\"}\n");
}

/* Sound files in kinds that are read since, and those that cannot be; .txt in capitals; a link to nothing. */
/* Every kind of sound file that prepare reads is found, whatever the case of its ending. */
static void all_kinds_of_sound_files_are_found(void **state)
{
    (void)state;
    static const char *const endings[] = {"wav", "flac", "ogg", "opus", "mp3", "g722", "aiff",
                                          "aif", "aifc", "caf", "w64",  "sph", "au",   "AIFC"};
    enum { ENDINGS = sizeof endings / sizeof *endings };
    char name[100];
    for (int i = 0; i < ENDINGS; i++) {
        snprintf(name, sizeof name, "sounds/%d.%s", i, endings[i]);
        put_audio(name);
        snprintf(name, sizeof name, "sounds/%d.txt", i);
        put_file(name, "a text");
    }
    put_audio("sounds/x.mov");
    struct import_counts counts = import_ok((struct import_options){.kind = IMPORT_FOLDER}, "sounds");
    assert_int_equal(counts.rows, ENDINGS);
    assert_int_equal(counts.with_text, ENDINGS);
}

static void more_names(void **state)
{
    (void)state;
    char text[500];
    put_audio("more/a.AIFF");
    put_file("more/a.TXT", "one");
    put_audio("more/b.sph");
    put_file("more/b.sph.txt", "two");
    put_audio("more/c.m4a");
    put_file("more/c.txt", "three");
    assert_int_equal(run_command(text, sizeof text, "ln -s nowhere '%s'", test_path("more/d.wav")), 0);
    struct import_counts counts = import_ok((struct import_options){.kind = IMPORT_FOLDER}, "more");
    expect_file("more.jsonl", "{\"audio\": \"more/a.AIFF\", \"id\": \"a\", \"text\": \"one\"}\n"
                              "{\"audio\": \"more/b.sph\", \"id\": \"b\", \"text\": \"two\"}\n");
    assert_int_equal(counts.reasons[IMPORT_OTHER_FILE], 1);
    assert_int_equal(counts.reasons[IMPORT_NO_AUDIO], 1);
    assert_int_equal(counts.reasons[IMPORT_UNREADABLE], 1);
}

static void put_golden(const char *golden, const char *name)
{
    char path[700];
    snprintf(path, sizeof path, "import/%s", golden);
    put_file(name, "");
    copy_golden(path, test_path("%s", name));
}

/* The folder that lhotse wrote (tests/oracles/make_import_folders.py). */
static void kaldi_of_lhotse(void **state)
{
    (void)state;
    static const char *const files[] = {"wav.scp", "segments", "text", "utt2spk"};
    for (int i = 0; i < 4; i++) {
        char golden[100], name[100];
        snprintf(golden, sizeof golden, "kaldi/%s", files[i]);
        snprintf(name, sizeof name, "lhotse/%s", files[i]);
        put_golden(golden, name);
    }
    put_audio("lhotse/audio/rec 1.wav");
    put_audio("lhotse/audio/rec2.flac");
    import_ok((struct import_options){.kind = IMPORT_KALDI}, "lhotse");
    expect_file("lhotse.jsonl",
                "{\"audio\": \"lhotse/audio/rec 1.wav\", \"begin\": 0.5, \"end\": 1.75, \"id\": \"u1-0\", "
                "\"speaker\": \"ann\", \"text\": \"hello there\"}\n"
                "{\"audio\": \"lhotse/audio/rec 1.wav\", \"begin\": 3.0, \"end\": 5.0, \"id\": \"u3-0\", "
                "\"speaker\": \"ann\", \"text\": \"and \\\"more\\\"\"}\n");
    expect_notes("lhotse.rejects.jsonl", "segments: its audio is made by a command\n");
}

/* TextGrids of praatio (long and short) and of the package textgrid. */
static void textgrids_of_python(void **state)
{
    (void)state;
    static const char *const names[] = {"praatio_long", "praatio_short", "textgrid"};
    for (int i = 0; i < 3; i++) {
        char golden[100], name[100];
        snprintf(golden, sizeof golden, "%s.TextGrid", names[i]);
        snprintf(name, sizeof name, "grids/%s.TextGrid", names[i]);
        put_golden(golden, name);
        snprintf(name, sizeof name, "grids/%s.wav", names[i]);
        put_audio(name);
    }
    import_ok((struct import_options){.kind = IMPORT_TEXTGRID}, "grids");
#define MERGED                                                                                                         \
    "\"text\": \"he said \\\"so\\\"\", \"words\": [[\"he\", 0.25, 0.5], [\"said\", 0.75, 1.0], "                       \
    "[\"\\\"so\\\"\", 2.0, 2.5]]}\n"
    expect_file("grids.jsonl",
                "{\"audio\": \"grids/praatio_long.wav\", \"id\": \"praatio_long\", " MERGED
                "{\"audio\": \"grids/praatio_short.wav\", \"id\": \"praatio_short\", " MERGED
                "{\"audio\": \"grids/textgrid.wav\", \"id\": \"textgrid\", \"text\": \"caf\xc3\xa9 \\\"there\\\"\", "
                "\"words\": [[\"caf\xc3\xa9\", 0.25, 0.5], [\"\\\"there\\\"\", 0.5, 1.25]]}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_kinds_of_sound_files_are_found),
        cmocka_unit_test(ljspeech),
        cmocka_unit_test(common_voice),
        cmocka_unit_test(kaldi_segments),
        cmocka_unit_test(kaldi_recordings),
        cmocka_unit_test(nemo),
        cmocka_unit_test(moshi),
        cmocka_unit_test(fairseq),
        cmocka_unit_test(slamkit),
        cmocka_unit_test(plain_text),
        cmocka_unit_test(json_lines_of_text),
        cmocka_unit_test(more_names),
        cmocka_unit_test(kaldi_of_lhotse),
        cmocka_unit_test(textgrids_of_python),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
