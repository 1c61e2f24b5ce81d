/* Arrays and numbers of numpy in pickles (numpy's array.__reduce__ and dtype.__reduce__). Under protocol 2 their bytes are
 * written as a text of the characters 0 to 255, which _codecs.encode turns back into bytes. Types that no tensor here can
 * have, objects and texts among them, and the other byte order make an array opaque. */
#include "core/utf8.h"
#include "io/weights/torch_objects.h"

#include <string.h>

#define REFUSE(...) status_set(STATUS_CORRUPT, __VA_ARGS__)

/* A type by its text: a letter for the kind and a number of bytes. */
static bool find_type(const struct torch_value *text, enum dtype *type)
{
    static const struct {
        const char *name;
        enum dtype type;
    } types[] = {{"f4", DTYPE_F32}, {"f2", DTYPE_F16}, {"f8", DTYPE_F64}, {"i8", DTYPE_I64}, {"i4", DTYPE_I32},
                 {"i2", DTYPE_I16}, {"i1", DTYPE_I8},  {"u1", DTYPE_U8},  {"u2", DTYPE_U16}, {"b1", DTYPE_BOOL}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (torch_value_is(text, types[i].name)) {
            *type = types[i].type;
            return true;
        }
    return false;
}

/* Bytes of an element by the type's text, "u4", "U12", "V8"; 0 for objects and what is not understood. */
static int64_t width_of(const struct torch_value *text)
{
    int64_t width = 0;
    if (text->size < 2 || !memchr("biufcSVmMU", text->text[0], 10))
        return 0;
    for (int64_t i = 1; i < text->size; i++) {
        if (text->text[i] < '0' || text->text[i] > '9' || width > 1 << 20)
            return 0;
        width = 10 * width + (text->text[i] - '0');
    }
    return text->text[0] == 'U' ? 4 * width : width;
}

static enum status make_dtype(struct torch_objects *objects, const struct torch_items *arguments,
                              struct torch_value *object)
{
    void *memory;
    if (arguments->count < 1 || arguments->values[0].kind != TORCH_STRING)
        return REFUSE("a numpy.dtype without a name");
    enum status result = pickle_take(objects->memory, sizeof(struct numpy_dtype), &memory);
    if (result != STATUS_OK)
        return result;
    struct numpy_dtype *dtype = memory;
    dtype->supported = find_type(&arguments->values[0], &dtype->type);
    dtype->width = width_of(&arguments->values[0]);
    *object = (struct torch_value){.kind = PICKLE_DTYPE, .dtype = dtype};
    return STATUS_OK;
}

static enum status make_array(struct torch_objects *objects, struct torch_value *object)
{
    void *memory;
    enum status result = pickle_take(objects->memory, sizeof(struct numpy_array), &memory);
    *object = (struct torch_value){.kind = PICKLE_ARRAY, .array = memory};
    return result;
}

/* The number in `bytes`; texts of Python 2 count as bytes. */
static struct torch_value read_scalar(enum dtype type, const unsigned char *bytes)
{
    int size = (int)dtype_size(type);
    uint64_t bits = 0;
    struct torch_value value = {.kind = TORCH_INTEGER};
    float single;
    for (int i = 0; i < size; i++)
        bits |= (uint64_t)bytes[i] << (8 * i);
    switch (type) {
    case DTYPE_F64:
        value.kind = TORCH_REAL;
        memcpy(&value.real, &bits, sizeof bits);
        break;
    case DTYPE_F32:
    case DTYPE_F16:
    case DTYPE_BF16:
        dtype_to_float(&single, bytes, type, 1);
        value.kind = TORCH_REAL;
        value.real = (double)single;
        break;
    case DTYPE_BOOL:
        value.kind = TORCH_BOOL;
        value.boolean = bits != 0;
        break;
    case DTYPE_I32:
        value.integer = (int32_t)(uint32_t)bits;
        break;
    case DTYPE_I16:
        value.integer = (int16_t)(uint16_t)bits;
        break;
    case DTYPE_I8:
        value.integer = (int8_t)(uint8_t)bits;
        break;
    default:
        value.integer = (int64_t)bits;
    }
    return value;
}

static enum status make_scalar(const struct torch_items *arguments, struct torch_value *object)
{
    const struct torch_value *argument = arguments->values;
    _Alignas(8) unsigned char aligned[8];
    if (arguments->count != 2 || argument[0].kind != PICKLE_DTYPE)
        return REFUSE("a number of numpy without a dtype");
    const struct numpy_dtype *dtype = argument[0].dtype;
    if (!dtype->supported || dtype->big_endian) {
        *object = (struct torch_value){.kind = TORCH_OPAQUE, .class_name = "numpy.scalar"};
        return STATUS_OK;
    }
    if ((argument[1].kind != TORCH_BYTES && argument[1].kind != TORCH_STRING) ||
        argument[1].size != (int64_t)dtype_size(dtype->type))
        return REFUSE("a number of numpy without its %zu bytes", dtype_size(dtype->type));
    memcpy(aligned, argument[1].text, (size_t)argument[1].size);
    *object = read_scalar(dtype->type, aligned);
    return STATUS_OK;
}

/* _codecs.encode(text, "latin1") */
static enum status encode(struct torch_objects *objects, const struct torch_items *arguments,
                          struct torch_value *object)
{
    const struct torch_value *argument = arguments->values;
    void *memory;
    if (arguments->count != 2 || argument[0].kind != TORCH_STRING ||
        (!torch_value_is(&argument[1], "latin1") && !torch_value_is(&argument[1], "latin-1")))
        return REFUSE("expected bytes as a text in latin1");
    enum status result = pickle_take(objects->memory, argument[0].size, &memory);
    if (result != STATUS_OK)
        return result;
    unsigned char *bytes = memory;
    *object = (struct torch_value){.kind = TORCH_BYTES, .text = memory};
    for (int64_t at = 0; at < argument[0].size;) {
        uint32_t code = 0;
        size_t length = utf8_decode(argument[0].text + at, (size_t)(argument[0].size - at), &code);
        if (length == 0 || code > 0xff)
            return REFUSE("a character that is no byte in a text of bytes");
        bytes[object->size++] = (unsigned char)code;
        at += (int64_t)length;
    }
    return STATUS_OK;
}

enum status numpy_make(struct torch_objects *objects, enum torch_known known, const struct torch_value *arguments,
                       struct torch_value *object)
{
    switch (known) {
    case KNOWN_NUMPY_ARRAY:
        return make_array(objects, object);
    case KNOWN_NUMPY_DTYPE:
        return make_dtype(objects, arguments->items, object);
    case KNOWN_NUMPY_SCALAR:
        return make_scalar(arguments->items, object);
    case KNOWN_ENCODE:
        return encode(objects, arguments->items, object);
    default: /* bytes(), which protocol 2 has no other way to write */
        if (arguments->items->count != 0)
            return REFUSE("bytes made of arguments");
        *object = (struct torch_value){.kind = TORCH_BYTES, .text = ""};
        return STATUS_OK;
    }
}

void numpy_set_fortran_strides(struct stored_tensor *tensor)
{
    int64_t dense = 1;
    for (int i = 0; i < tensor->rank; i++) {
        tensor->stride[i] = dense;
        dense *= tensor->shape[i] > 0 ? tensor->shape[i] : 1;
    }
}

/* (version, shape, dtype, whether in Fortran's order, bytes or a list of objects) */
static enum status set_array(struct torch_objects *objects, struct numpy_array *array, const struct torch_items *state)
{
    const struct torch_value *part = state->values;
    if (state->count != 5 || part[2].kind != PICKLE_DTYPE || part[3].kind != TORCH_BOOL)
        return REFUSE("an array of numpy without its parts");
    const struct numpy_dtype *dtype = part[2].dtype;
    if (!dtype->supported || dtype->big_endian)
        return STATUS_OK;
    if (part[4].kind != TORCH_BYTES && part[4].kind != TORCH_STRING)
        return REFUSE("an array of numpy without its bytes");
    int64_t size = (int64_t)dtype_size(dtype->type);
    enum status result =
        torch_objects_tensor(objects, dtype->type, &part[1], NULL, 0, part[4].size / size, &array->tensor);
    if (result != STATUS_OK)
        return result;
    if (array->tensor->tensor.bytes != part[4].size)
        return REFUSE("an array of numpy has %lld bytes; its shape asks for %lld", (long long)part[4].size,
                      (long long)array->tensor->tensor.bytes);
    array->tensor->tensor.data = part[4].text;
    array->tensor->tensor.copied = true; /* perhaps: protocol 2 has its bytes as a text */
    if (part[3].boolean)
        numpy_set_fortran_strides(&array->tensor->tensor);
    return STATUS_OK;
}

enum status numpy_set_state(struct torch_objects *objects, struct torch_value *object, const struct torch_value *state)
{
    if (state->kind != TORCH_TUPLE)
        return REFUSE("the state of an object of numpy is not a tuple");
    if (object->kind == PICKLE_ARRAY)
        return set_array(objects, object->array, state->items);
    if (state->items->count < 2 || state->items->values[1].kind != TORCH_STRING)
        return REFUSE("a numpy.dtype without a byte order");
    object->dtype->big_endian = torch_value_is(&state->items->values[1], ">");
    return STATUS_OK;
}
