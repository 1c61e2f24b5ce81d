/* What a file of PyTorch holds besides numbers: a tree of plain values, with tensors at some of its leaves. Objects that are
 * not plain data are known by the name of their class alone. No value contains itself, and none is nested deeper than
 * TORCH_DEPTH_LIMIT; but one may be reachable in many ways, so whoever walks through the tree must count the steps. */
#ifndef SPIRITLM_IO_WEIGHTS_TORCH_VALUE_H
#define SPIRITLM_IO_WEIGHTS_TORCH_VALUE_H

#include "io/weights/stored_tensor.h"

#include <stdbool.h>
#include <stdint.h>

enum { TORCH_DEPTH_LIMIT = 100 };

enum torch_kind {
    TORCH_ABSENT, /* not a value */
    TORCH_NONE,
    TORCH_BOOL,
    TORCH_INTEGER, /* of 64 bits; larger ones are opaque */
    TORCH_REAL,
    TORCH_STRING, /* also a dtype ("torch.float16") or a device ("cuda:0") */
    TORCH_BYTES,
    TORCH_LIST, /* also a set */
    TORCH_TUPLE,
    TORCH_DICT,   /* also an OrderedDict or an argparse.Namespace; string keys are unique */
    TORCH_TENSOR, /* also a numpy array */
    TORCH_OPAQUE, /* an object, a class or a function: nothing but its name is known */
    /* The rest occurs only while a pickle is read. */
    PICKLE_CLASS,
    PICKLE_STORAGE,
    PICKLE_DTYPE, /* numpy's */
    PICKLE_ARRAY
};

struct torch_value {
    enum torch_kind kind;
    union {
        bool boolean;
        int64_t integer;
        double real;
        struct { /* of a string or bytes: not NUL-terminated, and a string is not always proper UTF-8 */
            const char *text;
            int64_t size;
        };
        struct torch_items *items; /* of a list, tuple or dict */
        struct stored_tensor *tensor;
        const char *class_name;    /* "argparse.Namespace"; of an opaque value */
        struct torch_class *class; /* this and the following: while a pickle is read */
        struct torch_storage *storage;
        struct numpy_dtype *dtype;
        struct numpy_array *array;
    };
};

struct torch_items {
    struct torch_value *values; /* of a dict: key, value, key, value... in the file's order */
    int64_t count;              /* of values: a dict's pairs have two */
    int64_t capacity;
    int height;       /* levels of nesting below, once it has been walked through */
    bool entered;     /* being walked through */
    bool has_tensors; /* somewhere below */
    bool namespace;   /* an argparse.Namespace, which gets its pairs as its state */
    bool wrapper;     /* a namespace too: joblib's description of an array that follows it in the file */
};

/* The value of a dict's string key; NULL when it is no dict or has no such key. */
const struct torch_value *torch_value_get(const struct torch_value *dict, const char *key);

/* The value at "key.key.0": dicts by key, lists and tuples by number. A key that contains dots is found too where it is
 * the longest that fits. NULL: none. */
const struct torch_value *torch_value_find(const struct torch_value *value, const char *path);

/* The values of a list or tuple, or the pairs of a dict; 0 for others. */
int64_t torch_value_count(const struct torch_value *value);

/* Whether the value is a string of exactly this text. */
bool torch_value_is(const struct torch_value *value, const char *text);

/* An integer, or a real number with an integer's value; false otherwise. */
bool torch_value_integer(const struct torch_value *value, int64_t *integer);
/* An integer or a real number; false otherwise. */
bool torch_value_real(const struct torch_value *value, double *real);

#endif
