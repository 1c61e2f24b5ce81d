#include "sentencepiece_models.h"

#include "support/files.h"
#include "support/test_support.h"
#include "text/protobuf.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "text-models"
#define SPACE "\xE2\x96\x81"

struct bytes corpus;

struct bytes read_file(const char *path)
{
    struct bytes bytes = {0};
    char block[65536];
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("cannot open %s", path);
    for (size_t got; (got = fread(block, 1, sizeof block, file)) > 0;)
        bytes_add(&bytes, block, got);
    fclose(file);
    return bytes;
}

size_t put_utf8(char *text, uint32_t code)
{
    unsigned char *byte = (unsigned char *)text;
    if (code < 0x80) {
        byte[0] = (unsigned char)code;
        return 1;
    }
    size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char leads[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = length - 1; i > 0; i--, code >>= 6)
        byte[i] = (unsigned char)(0x80 | (code & 0x3F));
    byte[0] = (unsigned char)(leads[length] | code);
    return length;
}

/* Words of random letters from many scripts, so that pieces of two to four bytes per letter are merged too. */
static void write_scripts(const char *path)
{
    static const uint32_t starts[] = {0xE0,   0x3B1,  0x430,  0x5D0,   0x627,  0x905,
                                      0x3042, 0x4E00, 0xAC00, 0x1F600, 0x10400};
    struct rng rng = rng_make(1, RNG_TEST, 30, 0);
    struct bytes lines = {0};
    for (int line = 0; line < 6000; line++) {
        uint32_t start = starts[rng_below(&rng, sizeof starts / sizeof *starts)];
        for (uint64_t word = 0; word < 4; word++) {
            char text[64];
            size_t size = 0;
            for (uint64_t letters = 1 + rng_below(&rng, 5); letters > 0; letters--)
                size += put_utf8(text + size, start + (uint32_t)(rng_below(&rng, 5) * rng_below(&rng, 4)));
            bytes_add(&lines, text, size);
            bytes_add(&lines, word == 3 ? "\n" : " ", 1);
        }
    }
    write_plainly(path, lines.data, (int64_t)lines.size);
    bytes_free(&lines);
}

static void run(const char *command)
{
    static char output[65536];
    if (run_command(output, sizeof output, "%s", command) != 0)
        fail_msg("%s: %.2000s", command, output);
}

static void make_corpora(void)
{
    if (mkdir(FOLDER, 0777) != 0 && access(FOLDER, W_OK) != 0)
        fail_msg("cannot make " FOLDER);
    if (access(FOLDER "/kjv.txt", R_OK) != 0)
        run("cd " FOLDER " && bible -f Gen1:1-Rev22:21 </dev/null | cut -d' ' -f2- >kjv.tmp && test -s kjv.tmp && "
            "grep -v \"'s\" /usr/share/dict/american-english | awk 'NR % 5 == 0' >words.txt && mv kjv.tmp kjv.txt");
    if (access(FOLDER "/scripts.txt", R_OK) != 0)
        write_scripts(FOLDER "/scripts.txt");
    corpus = read_file(FOLDER "/kjv.txt");
    assert_true(corpus.size > 4000000);
}

static void train(const char *name, const char *input, int size, const char *options)
{
    char command[2048], path[256];
    snprintf(path, sizeof path, FOLDER "/%s.model", name);
    if (access(path, R_OK) == 0)
        return;
    snprintf(command, sizeof command,
             "cd " FOLDER " && spm_train --input=%s --model_prefix=%s.tmp --vocab_size=%d --model_type=bpe "
             "--normalization_rule_name=identity --num_threads=2 %s && mv %s.tmp.model %s.model",
             input, name, size, options, name, name);
    run(command);
}

void make_models(void)
{
    make_corpora();
    train("small", "kjv.txt", 2000, "--byte_fallback=true --remove_extra_whitespaces=false");
    train("large", "kjv.txt,words.txt,scripts.txt", 32000,
          "--byte_fallback=true --remove_extra_whitespaces=false --character_coverage=1.0");
    train(
        "user", "kjv.txt,scripts.txt", 2000,
        "--byte_fallback=true --remove_extra_whitespaces=false --control_symbols='[CTRL],<pad>' "
        "--user_defined_symbols='[Text],[Speech],[Hu0],[Hu1],[Hu10],[Hu100],[Pi0],[St0],the,there,th,\xF0\x9F\x98\x80,"
        "\xE4\xB8\x80\xE4\xB8\x81,a" SPACE "b," SPACE "Lord,LO,LORD'"
        " --bos_piece='<begin>' --eos_piece='<end>' --unk_piece='<what>' --unk_surface=' <!> '");
    train("plain", "kjv.txt,scripts.txt", 1500, ""); /* spm_train's defaults: no bytes, extra spaces removed */
    train("suffix", "kjv.txt", 1500, "--byte_fallback=true --treat_whitespace_as_suffix=true");
}

struct fixture open_fixture(const char *name, bool round_trips)
{
    char path[256], error[512] = "";
    struct fixture fixture = {.name = name, .round_trips = round_trips};
    snprintf(path, sizeof path, FOLDER "/%s.model", name);
    fixture.oracle = oracle_load(path, error, sizeof error);
    if (!fixture.oracle)
        fail_msg("the library refuses %s: %s", path, error);
    assert_ok(sentencepiece_load(path, &fixture.model));
    return fixture;
}

void close_fixture(struct fixture *fixture)
{
    oracle_free(fixture->oracle);
    sentencepiece_free(fixture->model);
}

/* The flags go into a second normalizer_spec and trainer_spec, which protocol buffers merge into the first. */
void make_variant(const char *from, const char *to, const struct variant *variant)
{
    char path[256];
    snprintf(path, sizeof path, FOLDER "/%s.model", from);
    struct bytes file = read_file(path), made = {0}, normalizer = {0}, trainer = {0};
    struct protobuf message = {.data = file.data, .size = file.size, .name = path};
    struct protobuf_field field;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 31, 0);
    for (bool found;;) {
        size_t start = message.at;
        assert_ok(protobuf_next(&message, &field, &found));
        if (!found)
            break;
        /* Normal pieces leave their type out or name it 1; the last occurrence of a field counts. */
        bool normal = field.number == 1 && !(field.bytes[field.size - 2] == 0x18 && field.bytes[field.size - 1] != 1);
        if (normal && (int)rng_below(&rng, 100) < variant->unused_percent) {
            struct bytes piece = {0};
            bytes_add(&piece, field.bytes, field.size);
            put_number(&piece, 3, 5);
            put_bytes(&made, 1, piece.data, piece.size);
            bytes_free(&piece);
        } else {
            bytes_add(&made, file.data + start, message.at - start);
        }
    }
    if (variant->add_dummy_prefix >= 0)
        put_number(&normalizer, 3, (uint64_t)variant->add_dummy_prefix);
    if (variant->remove_extra_whitespaces >= 0)
        put_number(&normalizer, 4, (uint64_t)variant->remove_extra_whitespaces);
    if (variant->escape_whitespaces >= 0)
        put_number(&normalizer, 5, (uint64_t)variant->escape_whitespaces);
    if (variant->suffix >= 0)
        put_number(&trainer, 24, (uint64_t)variant->suffix);
    if (variant->unk_surface)
        put_bytes(&trainer, 44, variant->unk_surface, strlen(variant->unk_surface));
    put_bytes(&made, 3, normalizer.data, normalizer.size);
    put_bytes(&made, 2, trainer.data, trainer.size);
    snprintf(path, sizeof path, FOLDER "/%s.model", to);
    write_plainly(path, made.data, (int64_t)made.size);
    bytes_free(&file);
    bytes_free(&made);
    bytes_free(&normalizer);
    bytes_free(&trainer);
}
