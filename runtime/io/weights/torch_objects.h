/* What the objects in pickles of torch.save stand for: tensors over storages, parameters, ordered dicts, namespaces, sizes,
 * devices, numpy's arrays and numbers. Anything else is opaque. The tensors have no data until their storages are found in
 * the file, which differs between its two formats (torch_archive.c, torch_stream.c). */
#ifndef SPIRITLM_IO_WEIGHTS_TORCH_OBJECTS_H
#define SPIRITLM_IO_WEIGHTS_TORCH_OBJECTS_H

#include "io/weights/pickle.h"

enum torch_known {
    KNOWN_NOTHING,
    KNOWN_TENSOR,    /* _rebuild_tensor, _rebuild_tensor_v2 */
    KNOWN_TENSOR_V3, /* with its dtype behind the rest */
    KNOWN_PARAMETER, /* the first argument */
    KNOWN_FROM_TYPE, /* a tensor of another class: function, class, arguments, state */
    KNOWN_DICT,      /* OrderedDict, defaultdict */
    KNOWN_NAMESPACE,
    KNOWN_SIZE,
    KNOWN_DEVICE,
    KNOWN_STORAGE, /* of `type` elements */
    KNOWN_STORAGE_UNTYPED,
    KNOWN_STORAGE_OTHER,   /* of elements that no tensor here can have, `width` bytes each */
    KNOWN_DTYPE,           /* of the value `type` */
    KNOWN_DTYPE_OTHER,     /* one that no tensor here can have */
    KNOWN_MADE_BY_COPYREG, /* class, base, state */
    KNOWN_NUMPY_WRAPPER,   /* joblib's */
    KNOWN_NUMPY_ELSEWHERE, /* likewise, of an array in a file of its own */
    KNOWN_NUMPY_ARRAY,
    KNOWN_NUMPY_DTYPE,
    KNOWN_NUMPY_SCALAR,
    KNOWN_ENCODE, /* Python 2's bytes: a text and "latin1" */
    KNOWN_BYTES
};

struct torch_class {
    const char *name;
    enum torch_known known;
    enum dtype type;
    int width;
};

struct torch_storage {
    struct torch_storage *next;
    const char *key; /* not NUL-terminated */
    int64_t key_length;
    const char *class_name;
    enum dtype type;
    bool untyped;
    int64_t width;              /* bytes of an element */
    int64_t stored;             /* elements in the file */
    int64_t first, count;       /* those of them that belong to this storage, which may be a view */
    const unsigned char *bytes; /* of element 0 in the file; NULL until it is found */
};

struct torch_tensor {
    struct stored_tensor tensor; /* the first member: values point to it */
    struct torch_tensor *next;
    const struct torch_storage *storage; /* NULL: its data is in the pickle */
    int64_t first;                       /* element of the storage */
};

struct numpy_dtype {
    bool supported, big_endian;
    enum dtype type;
    int64_t width; /* bytes of an element, supported or not; 0: not known */
};

struct numpy_array {
    struct torch_tensor *tensor; /* NULL until its state is set, and if its type is not supported */
};

struct torch_objects {
    struct pickle_memory *memory; /* borrowed */
    struct torch_class **classes; /* in order of names */
    int64_t class_count, class_capacity;
    struct torch_storage *storages; /* one per mention, the last first */
    int64_t storage_count;
    struct torch_tensor *tensors;
};

struct pickle_meaning torch_objects_meaning(struct torch_objects *objects);
/* The same for what joblib.dump writes: a pickle with the bytes of numpy's arrays between its operations. */
struct pickle_meaning torch_objects_meaning_joblib(struct torch_objects *objects);

/* A tensor of this type: shape and strides from tuples (stride NULL: dense), checked against `count` elements from `first`
 * on. Its data are found later. */
enum status torch_objects_tensor(struct torch_objects *objects, enum dtype type, const struct torch_value *shape,
                                 const struct torch_value *stride, int64_t first, int64_t count,
                                 struct torch_tensor **tensor);

/* The objects of numpy (numpy_objects.c). */
enum status numpy_make(struct torch_objects *objects, enum torch_known known, const struct torch_value *arguments,
                       struct torch_value *object);
enum status numpy_set_state(struct torch_objects *objects, struct torch_value *object, const struct torch_value *state);

/* The array of a wrapper that has its state: numpy.ndarray (joblib_arrays.c). *taken: where in `bytes` it ends. */
enum status joblib_read_array(struct torch_objects *objects, const struct torch_value *wrapper,
                              const unsigned char *bytes, int64_t size, int64_t *taken, struct torch_value *array);

/* Fortran's order has the first index as the innermost. */
void numpy_set_fortran_strides(struct stored_tensor *tensor);

/* Points the tensors to their data: all storages have been found. */
void torch_objects_place(struct torch_objects *objects);

/* Makes plain values of what is left of classes, storages and numpy's objects; refuses values that contain themselves, are
 * nested too deep, or have two equal keys. */
enum status torch_objects_finish(struct torch_objects *objects, struct torch_value *root);

#endif
