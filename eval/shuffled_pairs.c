/* The two sides of a pair have the same units, the same number of tokens, and the same pitch and style; only the order
 * of the hubert units can tell them apart. They are written as unit strings rather than ids, so that the file means the
 * same to every model that has this tokenizer. */
#include "eval/shuffled_pairs.h"

#include "core/rng.h"
#include "eval/documents.h"
#include "eval/shuffle.h"
#include "io/atomic_file.h"

#include <stdio.h>
#include <stdlib.h>

/* The speech ids as a unit string, without BOS, EOS and tags. */
static void print_units(FILE *stream, const struct vocabulary *vocabulary, const struct scored_sequence *sequence)
{
    for (int64_t i = 0; i < sequence->count; i++) {
        enum token_kind kind = vocabulary_kind(vocabulary, sequence->ids[i]);
        char name[16];
        if (kind != TOKEN_HUBERT && kind != TOKEN_PITCH && kind != TOKEN_STYLE)
            continue;
        vocabulary_token_name(vocabulary, sequence->ids[i], name);
        fputs(name, stream);
    }
}

enum status shuffled_pairs_write(const struct learning_data *data, int64_t context, const char *path)
{
    enum status result = STATUS_OK;
    const struct vocabulary *vocabulary = &data->components->vocabulary;
    struct document_list list = {0};
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return status_set(STATUS_INTERNAL, "no memory for pairs");
    TRY(documents_read(&data->interleaver, data->held_out, data->held_out_count, DATASET_SPEECH, &list));
    for (int64_t i = 0; i < list.count; i++) {
        if (list.sequences[i].count > context)
            continue;
        fprintf(stream, "{\"id\": \"%lld\", \"correct\": {\"units\": \"", (long long)i);
        print_units(stream, vocabulary, &list.sequences[i]);
        TRY(shuffle_kind(vocabulary, TOKEN_HUBERT, data->seed, i, &list.sequences[i]));
        fputs("\"}, \"incorrect\": {\"units\": \"", stream);
        print_units(stream, vocabulary, &list.sequences[i]);
        fputs("\"}}\n", stream);
    }
    if (fflush(stream) != 0)
        FAIL(STATUS_INTERNAL, "no memory for pairs");
    TRY(atomic_write(path, text, (int64_t)size));
fail:
    fclose(stream);
    free(text);
    documents_free(&list);
    return result;
}
