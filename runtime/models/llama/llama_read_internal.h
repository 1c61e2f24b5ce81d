/* Reading a model's tensors one after the other, for those who put them into an arena and those who leave them in place. */
#ifndef SPIRITLM_MODELS_LLAMA_READ_INTERNAL_H
#define SPIRITLM_MODELS_LLAMA_READ_INTERNAL_H

#include "models/llama/llama_fill.h"
#include "models/llama/llama_source.h"

struct llama_reader {
    const struct llama_config *config;
    const struct parameter_layout *layout;
    const char *path;
    struct llama_source *source; /* opened by llama_reader_run, closed by its caller, also after a failure */
    int64_t rows;                /* of embedding and head; -1 until the first is seen */
    /* Called for each view that is no alias, in order; `info` is found and has the right shape. NULL: only shapes are
     * wanted, and warnings are somebody else's. */
    enum status (*take)(struct llama_reader *reader, const struct parameter_view *view,
                        const struct source_tensor *info);
    void *argument;
};

/* A missing, surplus or misshapen tensor is refused by name. */
enum status llama_reader_run(struct llama_reader *reader);

/* The file has all rows of the model's vocabulary. */
enum status llama_check_all_rows(const struct llama_reader *reader);

/* Reads a tensor into elements [offset, ...) of what `fill` fills; refuses numbers that are not finite. */
enum status llama_read_tensor(struct llama_fill *fill, const char *path, const struct parameter_view *view,
                              const struct source_tensor *info, int64_t offset);

int64_t llama_source_elements(const struct source_tensor *info); /* of a tensor of rank 1 or 2 */

#endif
