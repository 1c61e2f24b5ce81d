/* A reader of Python's pickles (protocols 0 to 5; PEP 307, PEP 574 and the comments of CPython's pickletools.py) that makes
 * plain values of them. A pickle is a program for a machine with a stack and a memo, which may name any function of Python
 * and have it called. This machine calls nothing: whoever uses it says what an object of a known class stands for, and every
 * other object is opaque. Opcodes are an allow-list; stack, memo and all memory are limited. */
#ifndef SPIRITLM_IO_WEIGHTS_PICKLE_H
#define SPIRITLM_IO_WEIGHTS_PICKLE_H

#include "core/status.h"
#include "io/weights/torch_value.h"

/* Memory that is freed in one go. Its limit holds for everything that is read from one file, so that a small file cannot ask
 * for much. */
struct pickle_memory {
    const char *path; /* of the file, for errors; borrowed */
    struct pickle_block *blocks, *large;
    int64_t used, limit;
};
/* Zeroed memory. STATUS_CORRUPT beyond the limit. */
enum status pickle_take(struct pickle_memory *memory, int64_t bytes, void **out);
void pickle_memory_free(struct pickle_memory *memory);

/* Containers in that memory. */
enum status pickle_new_items(struct pickle_memory *memory, int64_t capacity, struct torch_items **items);
enum status pickle_append(struct pickle_memory *memory, struct torch_items *items, const struct torch_value *values,
                          int64_t count);

struct pickle;

/* What the objects of a pickle stand for. An error's text need not name the file: the machine adds it, with the place. */
struct pickle_meaning {
    void *context;
    /* "module.name", `length` characters: a class or a function. */
    enum status (*named)(void *context, const char *name, int64_t length, struct torch_value *class);
    /* An object outside of the pickle, by its persistent identifier. */
    enum status (*outside)(void *context, const struct torch_value *identifier, struct torch_value *object);
    /* What calling `class`, or making an object of it, stands for. */
    enum status (*made)(void *context, const struct torch_value *class, const struct torch_value *arguments,
                        struct torch_value *object);
    /* The object is given its state. */
    enum status (*state)(void *context, struct torch_value *object, const struct torch_value *state);
    /* The `size` bytes behind that, of which *taken (0 before) may be something else than operations that belongs to the
     * object, which may become another value. NULL: there is never anything else. */
    enum status (*behind)(void *context, struct torch_value *object, const unsigned char *bytes, int64_t size,
                          int64_t *taken);
};

/* Reads the pickle at the beginning of `bytes`, of at most `size` bytes, whose first byte is at `offset` of the file. *used
 * becomes its length. */
enum status pickle_read(struct pickle_memory *memory, const struct pickle_meaning *meaning, const unsigned char *bytes,
                        int64_t size, int64_t offset, int64_t *used, struct torch_value *value);

#endif
