/* The meaning of the classes and functions that torch.save writes into its pickles. The names are those of torch/_utils.py,
 * torch/serialization.py and torch/storage.py; their arguments are checked one by one, since any value may stand there. */
#include "io/weights/torch_objects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLASSES_LIMIT = 4096 };

#define REFUSE(...) status_set(STATUS_CORRUPT, __VA_ARGS__)

/* ---- classes ---- */

static const struct torch_class known_classes[] = {
    {"torch._utils._rebuild_tensor", KNOWN_TENSOR, 0, 0},
    {"torch._utils._rebuild_tensor_v2", KNOWN_TENSOR, 0, 0},
    {"torch._utils._rebuild_tensor_v3", KNOWN_TENSOR_V3, 0, 0},
    {"torch._utils._rebuild_parameter", KNOWN_PARAMETER, 0, 0},
    {"torch._utils._rebuild_parameter_with_state", KNOWN_PARAMETER, 0, 0},
    {"torch._tensor._rebuild_from_type_v2", KNOWN_FROM_TYPE, 0, 0},
    {"collections.OrderedDict", KNOWN_DICT, 0, 0},
    {"collections.defaultdict", KNOWN_DICT, 0, 0},
    {"argparse.Namespace", KNOWN_NAMESPACE, 0, 0},
    {"sklearn.cluster._kmeans.KMeans", KNOWN_NAMESPACE, 0, 0},
    {"sklearn.cluster._kmeans.MiniBatchKMeans", KNOWN_NAMESPACE, 0, 0},
    {"sklearn.cluster.k_means_.KMeans", KNOWN_NAMESPACE, 0, 0},
    {"sklearn.cluster.k_means_.MiniBatchKMeans", KNOWN_NAMESPACE, 0, 0},
    {"joblib.numpy_pickle.NumpyArrayWrapper", KNOWN_NUMPY_WRAPPER, 0, 0},
    {"sklearn.externals.joblib.numpy_pickle.NumpyArrayWrapper", KNOWN_NUMPY_WRAPPER, 0, 0},
    {"joblib.numpy_pickle_compat.NDArrayWrapper", KNOWN_NUMPY_ELSEWHERE, 0, 0},
    {"joblib.numpy_pickle_compat.ZNDArrayWrapper", KNOWN_NUMPY_ELSEWHERE, 0, 0},
    {"joblib.numpy_pickle.NDArrayWrapper", KNOWN_NUMPY_ELSEWHERE, 0, 0},
    {"sklearn.externals.joblib.numpy_pickle.NDArrayWrapper", KNOWN_NUMPY_ELSEWHERE, 0, 0},
    {"torch.Size", KNOWN_SIZE, 0, 0},
    {"torch.device", KNOWN_DEVICE, 0, 0},
    {"torch.FloatStorage", KNOWN_STORAGE, DTYPE_F32, 0},
    {"torch.HalfStorage", KNOWN_STORAGE, DTYPE_F16, 0},
    {"torch.BFloat16Storage", KNOWN_STORAGE, DTYPE_BF16, 0},
    {"torch.DoubleStorage", KNOWN_STORAGE, DTYPE_F64, 0},
    {"torch.LongStorage", KNOWN_STORAGE, DTYPE_I64, 0},
    {"torch.IntStorage", KNOWN_STORAGE, DTYPE_I32, 0},
    {"torch.ShortStorage", KNOWN_STORAGE, DTYPE_I16, 0},
    {"torch.CharStorage", KNOWN_STORAGE, DTYPE_I8, 0},
    {"torch.ByteStorage", KNOWN_STORAGE, DTYPE_U8, 0},
    {"torch.BoolStorage", KNOWN_STORAGE, DTYPE_BOOL, 0},
    {"torch.storage.UntypedStorage", KNOWN_STORAGE_UNTYPED, DTYPE_U8, 0},
    {"torch.UntypedStorage", KNOWN_STORAGE_UNTYPED, DTYPE_U8, 0},
    {"torch.ComplexFloatStorage", KNOWN_STORAGE_OTHER, 0, 8},
    {"torch.ComplexDoubleStorage", KNOWN_STORAGE_OTHER, 0, 16},
    {"torch.QInt8Storage", KNOWN_STORAGE_OTHER, 0, 1},
    {"torch.QUInt8Storage", KNOWN_STORAGE_OTHER, 0, 1},
    {"torch.QInt32Storage", KNOWN_STORAGE_OTHER, 0, 4},
    {"torch.QUInt4x2Storage", KNOWN_STORAGE_OTHER, 0, 1},
    {"torch.QUInt2x4Storage", KNOWN_STORAGE_OTHER, 0, 1},
    {"torch.float32", KNOWN_DTYPE, DTYPE_F32, 0},
    {"torch.float16", KNOWN_DTYPE, DTYPE_F16, 0},
    {"torch.bfloat16", KNOWN_DTYPE, DTYPE_BF16, 0},
    {"torch.float64", KNOWN_DTYPE, DTYPE_F64, 0},
    {"torch.int64", KNOWN_DTYPE, DTYPE_I64, 0},
    {"torch.int32", KNOWN_DTYPE, DTYPE_I32, 0},
    {"torch.int16", KNOWN_DTYPE, DTYPE_I16, 0},
    {"torch.int8", KNOWN_DTYPE, DTYPE_I8, 0},
    {"torch.uint8", KNOWN_DTYPE, DTYPE_U8, 0},
    {"torch.uint16", KNOWN_DTYPE, DTYPE_U16, 0},
    {"torch.bool", KNOWN_DTYPE, DTYPE_BOOL, 0},
    {"torch.uint32", KNOWN_DTYPE_OTHER, 0, 0},
    {"torch.uint64", KNOWN_DTYPE_OTHER, 0, 0},
    {"torch.complex32", KNOWN_DTYPE_OTHER, 0, 0},
    {"torch.complex64", KNOWN_DTYPE_OTHER, 0, 0},
    {"torch.complex128", KNOWN_DTYPE_OTHER, 0, 0},
    {"torch.float8_e4m3fn", KNOWN_DTYPE_OTHER, 0, 0},
    {"torch.float8_e5m2", KNOWN_DTYPE_OTHER, 0, 0},
    {"torch.qint8", KNOWN_DTYPE_OTHER, 0, 0},
    {"torch.quint8", KNOWN_DTYPE_OTHER, 0, 0},
    {"torch.qint32", KNOWN_DTYPE_OTHER, 0, 0},
    {"copy_reg._reconstructor", KNOWN_MADE_BY_COPYREG, 0, 0},
    {"copyreg._reconstructor", KNOWN_MADE_BY_COPYREG, 0, 0},
    {"copy_reg.__newobj__", KNOWN_MADE_BY_COPYREG, 0, 0},
    {"copyreg.__newobj__", KNOWN_MADE_BY_COPYREG, 0, 0},
    {"numpy.core.multiarray._reconstruct", KNOWN_NUMPY_ARRAY, 0, 0},
    {"numpy._core.multiarray._reconstruct", KNOWN_NUMPY_ARRAY, 0, 0},
    {"numpy.core.multiarray.scalar", KNOWN_NUMPY_SCALAR, 0, 0},
    {"numpy._core.multiarray.scalar", KNOWN_NUMPY_SCALAR, 0, 0},
    {"numpy.dtype", KNOWN_NUMPY_DTYPE, 0, 0},
    {"_codecs.encode", KNOWN_ENCODE, 0, 0},
    {"__builtin__.bytes", KNOWN_BYTES, 0, 0},
    {"builtins.bytes", KNOWN_BYTES, 0, 0},
};

/* No file of weights has a use for these: it was made to run commands on the machine of whoever loads it with Python. The
 * reader would not call them in any case, but to list such a file as if it were a model would help nobody. */
static bool is_dangerous(const char *name)
{
    static const char *const modules[] = {"os.",  "posix.",  "nt.",    "subprocess.", "sys.",       "shutil.",
                                          "pty.", "socket.", "runpy.", "ctypes.",     "importlib.", "webbrowser."};
    static const char *const functions[] = {"eval", "exec", "execfile", "compile", "open", "__import__", "breakpoint"};
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++)
        if (strncmp(name, modules[i], strlen(modules[i])) == 0)
            return true;
    const char *function = strncmp(name, "builtins.", 9) == 0       ? name + 9
                           : strncmp(name, "__builtin__.", 12) == 0 ? name + 12
                                                                    : "";
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (strcmp(function, functions[i]) == 0)
            return true;
    return false;
}

static enum status add_class(struct torch_objects *objects, int64_t at, const char *name, int64_t length)
{
    void *memory;
    enum status result = STATUS_OK;
    if (objects->class_count == CLASSES_LIMIT)
        return REFUSE("more than %d different classes", CLASSES_LIMIT);
    if (objects->class_count == objects->class_capacity) {
        int64_t capacity = objects->class_capacity > 0 ? 2 * objects->class_capacity : 32;
        result = pickle_take(objects->memory, capacity * (int64_t)sizeof *objects->classes, &memory);
        if (result != STATUS_OK)
            return result;
        if (objects->class_count > 0)
            memcpy(memory, objects->classes, (size_t)objects->class_count * sizeof *objects->classes);
        objects->classes = memory;
        objects->class_capacity = capacity;
    }
    result = pickle_take(objects->memory, (int64_t)sizeof(struct torch_class) + length + 1, &memory);
    if (result != STATUS_OK)
        return result;
    struct torch_class *class = memory;
    char *copy = (char *)(class + 1);
    memcpy(copy, name, (size_t)length + 1);
    for (size_t i = 0; i < sizeof known_classes / sizeof *known_classes; i++)
        if (strcmp(known_classes[i].name, name) == 0)
            *class = known_classes[i];
    class->name = copy;
    memmove(objects->classes + at + 1, objects->classes + at,
            (size_t)(objects->class_count - at) * sizeof *objects->classes);
    objects->classes[at] = class;
    objects->class_count++;
    return STATUS_OK;
}

static enum status named(void *context, const char *name, int64_t length, struct torch_value *class)
{
    struct torch_objects *objects = context;
    int64_t low = 0, high = objects->class_count;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (strcmp(objects->classes[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == objects->class_count || strcmp(objects->classes[low]->name, name) != 0) {
        if (is_dangerous(name))
            return REFUSE("it names %s, a function for attacks, not for weights", name);
        enum status result = add_class(objects, low, name, length);
        if (result != STATUS_OK)
            return result;
    }
    *class = (struct torch_value){.kind = PICKLE_CLASS, .class = objects->classes[low]};
    return STATUS_OK;
}

static struct torch_value opaque(const char *name)
{
    return (struct torch_value){.kind = TORCH_OPAQUE, .class_name = name};
}

/* ---- storages ---- */

static bool is_integer(const struct torch_value *value, int64_t least)
{
    return value->kind == TORCH_INTEGER && value->integer >= least;
}

/* ("storage", class, key, location, elements) and, in the stream format, None or (key, first, elements) of a view. */
static enum status outside(void *context, const struct torch_value *identifier, struct torch_value *object)
{
    struct torch_objects *objects = context;
    const struct torch_items *parts = identifier->kind == TORCH_TUPLE ? identifier->items : NULL;
    const struct torch_value *part = parts ? parts->values : NULL;
    void *memory;
    if (parts && parts->count >= 2 && torch_value_is(&part[0], "module") && part[1].kind == PICKLE_CLASS) {
        *object = part[1]; /* a class with its source text, as the stream format keeps it */
        return STATUS_OK;
    }
    if (!parts || parts->count < 5 || !torch_value_is(&part[0], "storage") || part[1].kind != PICKLE_CLASS ||
        part[2].kind != TORCH_STRING || !is_integer(&part[4], 0))
        return REFUSE("expected a storage (\"storage\", class, key, location, elements)");
    const struct torch_class *class = part[1].class;
    bool other = class->known == KNOWN_STORAGE_OTHER;
    if (class->known != KNOWN_STORAGE && class->known != KNOWN_STORAGE_UNTYPED && !other)
        return REFUSE("a storage of the unknown class %s", class->name);
    enum status result = pickle_take(objects->memory, sizeof(struct torch_storage), &memory);
    if (result != STATUS_OK)
        return result;
    struct torch_storage *storage = memory;
    *storage = (struct torch_storage){.next = objects->storages,
                                      .key = part[2].text,
                                      .key_length = part[2].size,
                                      .class_name = class->name,
                                      .type = class->type,
                                      .untyped = class->known == KNOWN_STORAGE_UNTYPED,
                                      .width = other ? class->width : (int64_t)dtype_size(class->type),
                                      .stored = part[4].integer,
                                      .count = part[4].integer};
    if (parts->count > 5 && part[5].kind != TORCH_NONE) {
        const struct torch_value *view = part[5].kind == TORCH_TUPLE ? part[5].items->values : NULL;
        if (!view || part[5].items->count != 3 || !is_integer(&view[1], 0) || !is_integer(&view[2], 0) ||
            view[1].integer > storage->stored || view[2].integer > storage->stored - view[1].integer)
            return REFUSE("a view of a storage that does not lie in its %lld elements", (long long)storage->stored);
        storage->first = view[1].integer;
        storage->count = view[2].integer;
    }
    objects->storages = storage;
    objects->storage_count++;
    *object = other ? opaque(class->name) : (struct torch_value){.kind = PICKLE_STORAGE, .storage = storage};
    return STATUS_OK;
}

/* ---- tensors ---- */

/* (storage, first element, shape, strides, ...). With `typed`, argument 6 is the dtype and the storage has none. */
static enum status make_tensor(struct torch_objects *objects, bool typed, const struct torch_items *arguments,
                               struct torch_value *object)
{
    const struct torch_value *argument = arguments->values;
    if (arguments->count < (typed ? 7 : 4))
        return REFUSE("a tensor of %lld arguments", (long long)arguments->count);
    if (argument[0].kind == TORCH_OPAQUE) { /* of a type that is not supported */
        *object = argument[0];
        return STATUS_OK;
    }
    if (argument[0].kind != PICKLE_STORAGE || !is_integer(&argument[1], 0))
        return REFUSE("a tensor without a storage and a first element");
    const struct torch_storage *storage = argument[0].storage;
    enum dtype type = storage->type;
    int64_t count = storage->count;
    if (typed) {
        if (argument[6].kind != PICKLE_CLASS ||
            (argument[6].class->known != KNOWN_DTYPE && argument[6].class->known != KNOWN_DTYPE_OTHER))
            return REFUSE("a tensor without a dtype");
        if (argument[6].class->known == KNOWN_DTYPE_OTHER) {
            *object = opaque(argument[6].class->name);
            return STATUS_OK;
        }
        type = argument[6].class->type;
    }
    if (storage->untyped != typed)
        return REFUSE("a tensor that takes its dtype from a storage without one, or the other way round");
    if (typed)
        count /= (int64_t)dtype_size(type);
    struct torch_tensor *tensor;
    enum status result =
        torch_objects_tensor(objects, type, &argument[2], &argument[3], argument[1].integer, count, &tensor);
    if (result != STATUS_OK)
        return result;
    tensor->storage = storage;
    *object = (struct torch_value){.kind = TORCH_TENSOR, .tensor = &tensor->tensor};
    return STATUS_OK;
}

/* ---- other objects ---- */

/* A dict with the pairs of an OrderedDict's only argument, a list of pairs, if it has one. */
static enum status make_dict(struct torch_objects *objects, const struct torch_items *arguments, enum torch_known known,
                             struct torch_value *object)
{
    const struct torch_value *list = arguments->count == 1 ? arguments->values : NULL;
    *object = (struct torch_value){.kind = TORCH_DICT};
    enum status result = pickle_new_items(objects->memory, 0, &object->items);
    if (result != STATUS_OK)
        return result;
    object->items->namespace = known != KNOWN_DICT;
    object->items->wrapper = known == KNOWN_NUMPY_WRAPPER;
    if (!list || list->kind != TORCH_LIST)
        return STATUS_OK;
    for (int64_t i = 0; result == STATUS_OK && i < list->items->count; i++) {
        const struct torch_value *pair = &list->items->values[i];
        if ((pair->kind != TORCH_LIST && pair->kind != TORCH_TUPLE) || pair->items->count != 2)
            return REFUSE("an ordered dict of something else than pairs");
        result = pickle_append(objects->memory, object->items, pair->items->values, 2);
    }
    return result;
}

/* "cuda:0" of ("cuda", 0) */
static enum status make_device(struct torch_objects *objects, const struct torch_items *arguments,
                               struct torch_value *object)
{
    char text[64];
    void *memory;
    const struct torch_value *argument = arguments->values;
    if (arguments->count < 1 || argument[0].kind != TORCH_STRING || argument[0].size > 30)
        return REFUSE("a device without a name");
    int length = snprintf(text, sizeof text, "%.*s", (int)argument[0].size, argument[0].text);
    if (arguments->count > 1 && argument[1].kind == TORCH_INTEGER)
        length += snprintf(text + length, sizeof text - (size_t)length, ":%lld", (long long)argument[1].integer);
    enum status result = pickle_take(objects->memory, length + 1, &memory);
    if (result != STATUS_OK)
        return result;
    memcpy(memory, text, (size_t)length);
    *object = (struct torch_value){.kind = TORCH_STRING, .text = memory, .size = length};
    return STATUS_OK;
}

static enum status make(void *context, const struct torch_value *class, const struct torch_value *arguments,
                        struct torch_value *object);

/* A function of tensors under another class: (function, class, arguments, state). */
static enum status make_from_type(struct torch_objects *objects, const struct torch_items *arguments,
                                  struct torch_value *object)
{
    const struct torch_value *argument = arguments->values;
    if (arguments->count < 3 || argument[0].kind != PICKLE_CLASS || argument[2].kind != TORCH_TUPLE)
        return REFUSE("a tensor of a class without a function and its arguments");
    enum torch_known known = argument[0].class->known;
    if (known == KNOWN_TENSOR || known == KNOWN_TENSOR_V3 || known == KNOWN_PARAMETER)
        return make(objects, &argument[0], &argument[2], object);
    *object = opaque(argument[0].class->name);
    return STATUS_OK;
}

static enum status make_by_copyreg(struct torch_objects *objects, const struct torch_items *arguments,
                                   struct torch_value *object)
{
    const struct torch_value *argument = arguments->values;
    if (arguments->count < 1 || (argument[0].kind != PICKLE_CLASS && argument[0].kind != TORCH_OPAQUE))
        return REFUSE("an object without a class");
    if (argument[0].kind == PICKLE_CLASS &&
        (argument[0].class->known == KNOWN_NAMESPACE || argument[0].class->known == KNOWN_NUMPY_WRAPPER)) {
        const struct torch_items none = {0};
        return make_dict(objects, &none, argument[0].class->known, object);
    }
    *object = argument[0].kind == PICKLE_CLASS ? opaque(argument[0].class->name) : argument[0];
    return STATUS_OK;
}

static enum status make(void *context, const struct torch_value *class, const struct torch_value *arguments,
                        struct torch_value *object)
{
    struct torch_objects *objects = context;
    const struct torch_items *items = arguments->items;
    if (class->kind != PICKLE_CLASS) {
        *object = *class;
        return STATUS_OK;
    }
    switch (class->class->known) {
    case KNOWN_TENSOR:
    case KNOWN_TENSOR_V3:
        return make_tensor(objects, class->class->known == KNOWN_TENSOR_V3, items, object);
    case KNOWN_PARAMETER:
        if (items->count < 1 || (items->values[0].kind != TORCH_TENSOR && items->values[0].kind != TORCH_OPAQUE))
            return REFUSE("a parameter without a tensor");
        *object = items->values[0];
        return STATUS_OK;
    case KNOWN_FROM_TYPE:
        return make_from_type(objects, items, object);
    case KNOWN_DICT:
    case KNOWN_NAMESPACE:
    case KNOWN_NUMPY_WRAPPER:
        return make_dict(objects, items, class->class->known, object);
    case KNOWN_NUMPY_ELSEWHERE:
        return REFUSE("an array in a file of its own, as joblib wrote them before 0.10");
    case KNOWN_SIZE:
        if (items->count != 1 || (items->values[0].kind != TORCH_TUPLE && items->values[0].kind != TORCH_LIST))
            return REFUSE("a torch.Size without a tuple");
        *object = (struct torch_value){.kind = TORCH_TUPLE, .items = items->values[0].items};
        return STATUS_OK;
    case KNOWN_DEVICE:
        return make_device(objects, items, object);
    case KNOWN_MADE_BY_COPYREG:
        return make_by_copyreg(objects, items, object);
    case KNOWN_NUMPY_ARRAY:
    case KNOWN_NUMPY_DTYPE:
    case KNOWN_NUMPY_SCALAR:
    case KNOWN_ENCODE:
    case KNOWN_BYTES:
        return numpy_make(objects, class->class->known, arguments, object);
    default:
        *object = opaque(class->class->name);
        return STATUS_OK;
    }
}

/* A namespace becomes its dict. What else has a state here (an OrderedDict's _metadata, a tensor's attributes) is the same
 * without it. */
static enum status set_state(void *context, struct torch_value *object, const struct torch_value *state)
{
    struct torch_objects *objects = context;
    if (object->kind == PICKLE_ARRAY || object->kind == PICKLE_DTYPE)
        return numpy_set_state(objects, object, state);
    if (object->kind == TORCH_DICT && object->items->namespace) {
        if (state->kind != TORCH_DICT)
            return REFUSE("the state of a namespace is not a dict");
        return pickle_append(objects->memory, object->items, state->items->values, state->items->count);
    }
    if (object->kind == TORCH_DICT || object->kind == TORCH_OPAQUE || object->kind == TORCH_TENSOR)
        return STATUS_OK;
    return REFUSE("a state for a value that has none");
}

static enum status read_behind(void *context, struct torch_value *object, const unsigned char *bytes, int64_t size,
                               int64_t *taken)
{
    if (object->kind != TORCH_DICT || !object->items->wrapper)
        return STATUS_OK;
    const struct torch_value wrapper = *object;
    return joblib_read_array(context, &wrapper, bytes, size, taken, object);
}

struct pickle_meaning torch_objects_meaning_joblib(struct torch_objects *objects)
{
    struct pickle_meaning meaning = torch_objects_meaning(objects);
    meaning.behind = read_behind;
    return meaning;
}

struct pickle_meaning torch_objects_meaning(struct torch_objects *objects)
{
    return (struct pickle_meaning){
        .context = objects, .named = named, .outside = outside, .made = make, .state = set_state};
}
