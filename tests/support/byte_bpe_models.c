#include "support/byte_bpe_models.h"
#include "support/test_support.h"

#include "io/atomic_file.h"
#include "text/byte_alphabet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT = 64 };

static struct byte_bpe_text texts[SMALL_MODEL_PIECES], lefts[SMALL_MODEL_MERGES], rights[SMALL_MODEL_MERGES];
static char piece_texts[SMALL_MODEL_PIECES][TEXT], merge_texts[SMALL_MODEL_MERGES][TEXT];
static uint8_t types[SMALL_MODEL_PIECES];

void add_piece(struct small_model *small, const char *text, enum byte_bpe_type type)
{
    int64_t id = small->pieces.count++;
    assert_true(id < SMALL_MODEL_PIECES && strlen(text) < TEXT);
    strcpy(piece_texts[id], text);
    texts[id] = (struct byte_bpe_text){piece_texts[id], (int64_t)strlen(text)};
    types[id] = (uint8_t)type;
}

static void add_merge(struct small_model *small, const char *merge)
{
    int64_t rank = small->pieces.merge_count++;
    const char *space = strchr(merge, ' ');
    char joined[TEXT];
    assert_true(rank < SMALL_MODEL_MERGES && space && strlen(merge) < TEXT);
    strcpy(merge_texts[rank], merge);
    merge_texts[rank][space - merge] = '\0';
    lefts[rank] = (struct byte_bpe_text){merge_texts[rank], space - merge};
    rights[rank] = (struct byte_bpe_text){merge_texts[rank] + (space - merge) + 1, (int64_t)strlen(space + 1)};
    snprintf(joined, sizeof joined, "%s%s", merge_texts[rank], space + 1);
    for (int64_t id = 0; id < small->pieces.count; id++)
        if (strcmp(piece_texts[id], joined) == 0)
            return;
    add_piece(small, joined, BYTE_BPE_NORMAL);
}

struct small_model small_byte_bpe(const char *pre_tokenizer, const char *const *merges)
{
    struct small_model small = {.pieces = {.pieces = texts,
                                           .types = types,
                                           .lefts = lefts,
                                           .rights = rights,
                                           .pre_tokenizer = pre_tokenizer,
                                           .bos = -1,
                                           .eos = -1},
                                .texts = texts,
                                .types = types,
                                .lefts = lefts,
                                .rights = rights};
    for (int byte = 0; byte < 256; byte++) {
        char text = (char)byte, spelled[3] = "";
        alphabet_write(&text, 1, spelled);
        add_piece(&small, spelled, BYTE_BPE_NORMAL);
    }
    for (; *merges; merges++)
        add_merge(&small, *merges);
    return small;
}

struct byte_bpe *open_byte_bpe(const char *path)
{
    struct byte_bpe *model = NULL;
    size_t length = strlen(path);
    if (length > 5 && strcmp(path + length - 5, ".gguf") == 0) {
        struct gguf *file;
        assert_ok(gguf_open(path, &file));
        assert_ok(byte_bpe_load_gguf(file, &model));
        gguf_close(file);
    } else {
        void *data;
        int64_t size;
        assert_ok(file_read(path, INT64_C(1) << 28, &data, &size));
        assert_ok(byte_bpe_load_json(path, data, size, &model));
        free(data);
    }
    return model;
}
