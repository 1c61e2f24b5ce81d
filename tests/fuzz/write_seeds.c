/* Writes the seed corpora: write_seeds FOLDER makes FOLDER/TARGET/NAME. Run it again when a format changes. */
#include "fuzz/shard_checks.h"
#include "support/sentencepiece_builder.h"
#include "support/test_support.h"
#include "support/torch_builder.h"

#include "core/hash.h"
#include "io/atomic_file.h"
#include "io/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *root;

static void put(const char *target, const char *name, const void *data, int64_t size)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", root, target);
    assert_ok(make_directories(path));
    snprintf(path, sizeof path, "%s/%s/%s", root, target, name);
    assert_ok(atomic_write(path, data, size));
}

static void put_text(const char *target, const char *name, const char *text)
{
    put(target, name, text, (int64_t)strlen(text));
}

/* ---- safetensors ---- */

static void put_tensors(const char *name, const char *header, int64_t data)
{
    uint8_t file[4096] = {0};
    size_t length = strlen(header);
    for (int i = 0; i < 8; i++)
        file[i] = (uint8_t)(length >> (8 * i));
    memcpy(file + 8, header, length);
    put("safetensors", name, file, 8 + (int64_t)length + data);
}

static void write_safetensors(void)
{
    put_tensors("empty", "{}", 0);
    put_tensors("metadata", "{\"__metadata__\":{\"format\":\"pt\"}}", 0);
    put_tensors("one", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}}", 24);
    put_tensors("several",
                "{\"__metadata__\":{\"format\":\"pt\"},"
                "\"w\":{\"dtype\":\"BF16\",\"shape\":[4,2],\"data_offsets\":[0,16]},"
                "\"odd\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[16,19]},"
                "\"late\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[19,27]},"
                "\"none\":{\"dtype\":\"I64\",\"shape\":[0,5],\"data_offsets\":[27,27]}}",
                27);
    put_tensors("deep", "{\"d\":{\"dtype\":\"U16\",\"shape\":[1,1,2,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4);
}

/* ---- the text model ---- */

static void write_models(void)
{
    static const char *const merges[] = {"an", "ban", "ana", "banana", "\xE2\x96\x81the", "th", "he", NULL};
    struct bytes model = build_small_model(merges, 0);
    put("sentencepiece", "letters", model.data, (int64_t)model.size);
    put_piece(&model, "<user>", 6, 0, 4);
    put_piece(&model, "<use", 4, 0, 4);
    put_piece(&model, "unused", 6, 0, 5);
    put("sentencepiece", "user_defined", model.data, (int64_t)model.size);
    bytes_free(&model);
    model = build_small_model(merges, 1);
    put("sentencepiece", "bytes", model.data, (int64_t)model.size);
    bytes_free(&model);
    put_piece(&model, "<unk>", 5, 0, 2);
    put_piece(&model, "a", 1, -1, 1);
    put_specifications(&model, 2, 0);
    put("sentencepiece", "smallest", model.data, (int64_t)model.size);
    bytes_free(&model);
}

#define BYTE_LEVEL(regex) "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":" regex "}"

static void write_byte_level_models(void)
{
    put_text("tokenizer_json", "gpt-2",
             "{\"version\":\"1.0\",\"added_tokens\":[{\"id\":6,\"content\":\"<s>\",\"special\":true},"
             "{\"id\":7,\"content\":\"[Text]\",\"special\":false}],\"pre_tokenizer\":" BYTE_LEVEL(
                 "true") ","
                         "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"vocab\":{\"a\":0,\"b\":1,\"n\":2,\"an\":3,"
                         "\"ban\":4,"
                         "\"banan\":5,\"<s>\":6},\"merges\":[\"a n\",\"b an\",[\"ban\",\"an\"]]}}");
    put_text("tokenizer_json", "smollm",
             "{\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\","
             "\"individual_digits\":true}," BYTE_LEVEL("true") "]},\"post_processor\":null,\"decoder\":" BYTE_LEVEL(
                 "true") ",\"model\":{\"unk_token\":null,\"merges\":[\"\\u0120 t\"],\"vocab\":{\"\\u0120\":0,"
                         "\"t\":4,\"\xc4\xa0t\":9,\"1\":2}}}");
    put_text(
        "tokenizer_json", "llama",
        "{\"truncation\":{\"deep\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"
        "]]]]]]]},"
        "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"
        "\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}|"
        " ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"},"
        "\"behavior\":\"Isolated\",\"invert\":false}," BYTE_LEVEL(
            "false") "]},"
                     "\"model\":{\"ignore_merges\":true,\"vocab\":{\"'\":0,\"s\":1,\"e\":2,\"the\":3},\"merges\":[]}}");
}

static void put_pair(const char *name, const char *vocabulary, const char *merges)
{
    char text[2048];
    int size = snprintf(text, sizeof text, "%s%c%s", vocabulary, '\0', merges);
    put("bpe_files", name, text, size);
}

static void write_bpe_files(void)
{
    put_pair("gpt-2", "{\"a\": 0, \"b\": 1, \"n\": 2, \"an\": 3, \"ban\": 4}", "#version: 0.2\na n\nb an\n");
    put_pair("roberta",
             "{\"<s>\":0,\"</s>\":2,\"\\u0120\":3,\"t\":4,\"\xc4\xa0t\":9,\"h\":5,\"e\":6,\"he\":7,\"\xc4\xa0the\":8}",
             "\xc4\xa0 t\r\nh e\r\n\xc4\xa0t he");
    put_pair("bytes", "{\"\xc4\xac\": 0}", "");
    put_pair("empty_lines", "{\"a\": 0, \"aa\": 1}", "a a\n\n\n");
}

/* ---- tables ---- */

/* The first byte says how the rest is read (fuzz_csv.c). */
static void write_tables(void)
{
    static const char utf16[] = "C\xff\xfe"
                                "a\0,\0b\0\n";
    put_text(
        "csv", "lexical",
        "Cfilename,id,voice,frequency,word,phones,length,correct\nA1,1,V,5,\"a, b\",B AH,3,1\nA0,1,V,,,P AH,3,0\n");
    put_text("csv", "tabs",
             "T\xef\xbb\xbf"
             "a\tb\r\n1\t\"x\r\n\"\"y\"\"\"\r\n2\t");
    put_text("csv", "quotes", "c\"What is 1 + 1?\n\",1,2,3,4,B\n\"\"\"x\"\" y\",a,b,c,d,A");
    put_text("csv", "one_column", "Ca\r\r1\r\n\n\"\"\r");
    put("csv", "utf16", utf16, sizeof utf16);
}

/* ---- configurations and manifests ---- */

static void write_texts(void)
{
    put_text("config", "all",
             "train:\n  steps: 7\n  any: -12\n  rate: 0.25\n  flag: true\n  recomputation: block\n  deep:\n"
             "    text: \"a \\\"quoted\\\" text\"\n    path: $${HOME}/x\n  words: [a, 'b c', d]\n  folders:\n  - x\n"
             "  - y/z\n");
    put_text("config", "overrides", "train:\n  steps: 7\n\x1etrain.steps=9\ntrain.words=a,b,c\ntrain.rate=1e-3\n");
    put_text("config", "dotted", "# a comment\ntrain.deep.text: >\n  folded\n  text\ntrain: {flag: false, words: x}\n");
    put_text("config", "empty", "");
    put_text("config", "extends", "extends: other.yaml\n");
    put_text("manifest", "speech",
             "{\"id\": \"a/1\", \"audio\": \"a/1.wav\", \"text\": \"Hello, there!\", \"speaker\": \"rm\", "
             "\"channel\": 0, \"words\": [[\"hello\", 0.1, 0.42], [\"there\", 0.45, 0.8]], \"begin\": 0.5, "
             "\"end\": 12.5, \"source\": \"demo\"}\n\n{\"id\": \"a/2\", \"audio\": \"/b.flac\"}\n");
    put_text("manifest", "units",
             "{\"id\": \"u\", \"hubert\": [5, 5, 65535], \"pitch\": [1, 2], \"style\": [0], \"units\": \"[Hu5]\", "
             "\"text\": \"caf\xc3\xa9 \xce\xa3 can't\", \"words\": [[\"CAF\xc3\x89\", 0, 0.1], [\"cant\", 0.1, 2e1]]}");
    put_text("manifest", "text",
             "{\"id\":\"t\",\"text\":\"one\"}\n{\"id\":\"s\",\"text\":\"two\",\"deep\":{\"a\":[1]}}\n");
    char longest[1200] = "{\"id\":\"l\",\"audio\":\"x\",\"text\":\"";
    for (int word = 0; word < 2; word++) {
        memset(longest + strlen(longest), 'a', 250);
        strcat(longest, word ? "\",0,1]]}" : "\",\"words\":[[\"");
    }
    put_text("manifest", "long_word", longest);
}

/* ---- shards ---- */

static void write_shard(const char *name, bool speech)
{
    static const struct aligned_word words[] = {{0, 800, 0, 5}, {800, 1500, 6, 11}};
    static uint16_t units[] = {1, 2, 2};
    struct shard_writer *writer = NULL;
    struct shard_fingerprints fingerprints = {.rates = {{{25, 1}, {25, 2}, {1, 1}}}};
    int64_t bytes;
    struct sha256 hash;
    char path[4096];
    assert_ok(shard_writer_create(&writer));
    for (int r = 0; r < 2; r++) {
        struct shard_row row = {
            .id = r ? "b" : "a", .id_length = 1, .text = "hello there", .text_length = 11, .score = NAN};
        if (speech) {
            row.meta = "{}";
            row.meta_length = 2;
            row.speaker = "s";
            row.speaker_length = 1;
            row.words = words;
            row.word_count = 2 - r;
            row.units = (struct units){{units, units, units}, {3, 2, 1}};
            row.duration = 1920;
        }
        assert_ok(shard_writer_add(writer, &row));
    }
    snprintf(path, sizeof path, "%s/shard", root);
    assert_ok(make_directories(path));
    snprintf(path, sizeof path, "%s/shard/%s", root, name);
    assert_ok(shard_writer_write(writer, path, &fingerprints, &bytes, &hash));
    shard_writer_free(writer);

    void *image;
    struct shard_columns columns;
    uint8_t flat[8192];
    assert_ok(file_read(path, SHARD_MAX_BYTES, &image, &bytes));
    assert_ok(shard_image_parse(name, image, bytes, &columns));
    size_t size = columns_to_bytes(&columns, flat, sizeof flat);
    assert_true(size > 0);
    put("shard_rows", name, flat, (int64_t)size);
    shard_columns_free(&columns);
    free(image);
}

/* ---- PyTorch; PyTorch's own files are copies of tests/golden/torch ---- */

static void put_tensor(struct bytes *pickle, const char *class, int64_t elements, int64_t columns)
{
    pickle_class(pickle, "torch._utils", "_rebuild_tensor_v2");
    pickle_raw(pickle, "(");
    pickle_storage(pickle, class, "0", elements);
    pickle_integer(pickle, 0);
    pickle_integer(pickle, elements / columns);
    pickle_integer(pickle, columns);
    pickle_raw(pickle, "\x86");
    pickle_integer(pickle, columns);
    pickle_raw(pickle, "K\x01\x86\x89}tR");
}

static void put_torch(const char *name, const struct bytes *pickle)
{
    static uint8_t numbers[24];
    const struct zip_piece storage = {.data = numbers, .size = sizeof numbers};
    struct bytes file = {0};
    torch_build(&file, pickle->data, pickle->size, &storage, 1);
    put("torch_archive", name, file.data, (int64_t)file.size);
    bytes_free(&file);
}

/* The format before PyTorch 1.6, with a storage that is a view of another. */
static void put_stream(void)
{
    static const uint8_t numbers[16] = {4};
    struct bytes file = {0};
    bytes_add(&file, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);
    pickle_raw(&file, "\x80\x02M\xe9\x03.");
    pickle_raw(&file, "\x80\x02}");
    pickle_text(&file, "little_endian");
    pickle_raw(&file, "\x88s.\x80\x02");
    pickle_class(&file, "torch._utils", "_rebuild_tensor_v2");
    pickle_raw(&file, "((");
    pickle_text(&file, "storage");
    pickle_class(&file, "torch", "ShortStorage");
    pickle_text(&file, "5");
    pickle_text(&file, "cpu");
    pickle_raw(&file, "K\x04(");
    pickle_text(&file, "6");
    pickle_raw(&file, "K\x01K\x03ttQ");
    pickle_integer(&file, 1);
    pickle_raw(&file, "K\x02\x85K\x01\x85\x89}tR.\x80\x02]");
    pickle_text(&file, "5");
    pickle_raw(&file, "a.");
    bytes_add(&file, numbers, sizeof numbers);
    put("torch_archive", "stream", file.data, (int64_t)file.size);
    bytes_free(&file);
}

static void write_torch(void)
{
    struct bytes pickle = {0};
    pickle_raw(&pickle, "\x80\x02");
    put_tensor(&pickle, "FloatStorage", 6, 3);
    pickle_raw(&pickle, ".");
    put_torch("alone", &pickle);
    pickle.size = 0;
    pickle_raw(&pickle, "\x80\x02}(");
    pickle_text(&pickle, "w");
    put_tensor(&pickle, "DoubleStorage", 3, 1);
    pickle_raw(&pickle, "q\x01");
    pickle_text(&pickle, "again");
    pickle_raw(&pickle, "h\x01");
    pickle_text(&pickle, "args");
    pickle_class(&pickle, "argparse", "Namespace");
    pickle_raw(&pickle, ")\x81}");
    pickle_text(&pickle, "lr");
    pickle_raw(&pickle, "]G?\xb9\x99\x99\x99\x99\x99\x9a\x61sb");
    pickle_raw(&pickle, "u.");
    put_torch("dict", &pickle);
    pickle.size = 0;
    pickle_raw(&pickle, "(lp0\nVa\\u00e9\ng0\n0aS'x\\x41'\naI12\naL-5L\naF2.5\na(I1\nI2\n\x90.");
    put_torch("protocol0", &pickle);
    pickle.size = 0;
    pickle_raw(&pickle, "((lK\x01\x61(K\x02K\x03tK\x04\x85]K\x05\x61q\x01h\x01}K\x06K\x07st.");
    put_torch("containers", &pickle);
    put_stream();
    bytes_free(&pickle);
}

/* ---- journals ---- */

static void put_journal(const char *name, const char *const *lines, const char *rest)
{
    char text[4096];
    size_t used = 0;
    for (; *lines; lines++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%08x %s\n",
                                 (unsigned)crc32c(0, *lines, strlen(*lines)), *lines);
    snprintf(text + used, sizeof text - used, "%s", rest);
    put_text("journal", name, text);
}

static void write_journals(void)
{
#define FIRST "{\"identity\": {\"model\": \"a\", \"seeds\": [0, 1]}, \"journal\": 1}"
    static const char *const first[] = {FIRST, NULL};
    static const char *const items[] = {FIRST, "{\"id\": \"x\", \"item\": {\"ids\": [1, 2], \"ended\": true}}",
                                        "{\"id\": \"y\", \"item\": null}", "{\"id\": \"\", \"item\": 0.5}", NULL};
    static const char *const other[] = {"{\"identity\": {\"model\": \"b\", \"seeds\": [0, 1]}, \"journal\": 1}", NULL};
    put_journal("first", first, "");
    put_journal("items", items, "");
    put_journal("torn", items, "0badc0de {\"id\": \"z\", \"it");
    put_journal("damaged", first, "0badc0de {}\n");
    put_journal("other", other, "");
    put_text("journal", "short", "00000000 \n");
}

int main(int count, char **arguments)
{
    if (count != 2) {
        fprintf(stderr, "usage: write_seeds FOLDER\n");
        return 2;
    }
    root = arguments[1];
    write_safetensors();
    write_models();
    write_byte_level_models();
    write_bpe_files();
    write_tables();
    write_texts();
    write_torch();
    write_journals();
    write_shard("text", false);
    write_shard("speech", true);
    return 0;
}
