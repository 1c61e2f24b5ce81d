/* The machine that executes a pickle's opcodes: a stack of values, marks on it, a memo, and containers that are filled while
 * they lie on the stack. Values are small and copied; containers are shared by reference, as in Python. */
#include "io/weights/pickle.h"

#include "io/weights/pickle_internal.h"

#include <string.h>

enum { NAME_LIMIT = 500 };

/* ---- the stack ---- */

static enum status push_mark(struct pickle *pickle, int opcode)
{
    (void)opcode;
    if (pickle->mark_count == pickle->mark_capacity) {
        void *marks;
        int64_t capacity = pickle->mark_capacity > 0 ? 2 * pickle->mark_capacity : 64;
        if (capacity > PICKLE_STACK_LIMIT)
            return PICKLE_REFUSE("more than %d marks on the stack", PICKLE_STACK_LIMIT);
        enum status result = pickle_take(pickle->memory, capacity * (int64_t)sizeof *pickle->marks, &marks);
        if (result != STATUS_OK)
            return result;
        if (pickle->mark_count > 0)
            memcpy(marks, pickle->marks, (size_t)pickle->mark_count * sizeof *pickle->marks);
        pickle->marks = marks;
        pickle->mark_capacity = capacity;
    }
    pickle->marks[pickle->mark_count++] = pickle->depth;
    return STATUS_OK;
}

/* Takes the values above the last mark off the stack, where they stay until something is pushed. */
static enum status pop_marked(struct pickle *pickle, const struct torch_value **values, int64_t *count)
{
    if (pickle->mark_count == 0)
        return PICKLE_REFUSE("expected a mark on the stack, found none");
    int64_t mark = pickle->marks[--pickle->mark_count];
    *count = pickle->depth - mark;
    *values = pickle->stack + mark;
    pickle->depth = mark;
    return STATUS_OK;
}

static enum status drop(struct pickle *pickle, int opcode)
{
    struct torch_value ignored;
    const struct torch_value *values;
    int64_t count;
    if (opcode == '1' ||
        (opcode == '0' && pickle->mark_count > 0 && pickle_reachable(pickle) == 0)) /* a mark goes too */
        return pop_marked(pickle, &values, &count);
    return pickle_pop(pickle, &ignored);
}

static enum status duplicate(struct pickle *pickle, int opcode)
{
    (void)opcode;
    const struct torch_value *top = pickle_top(pickle);
    return top ? pickle_push(pickle, *top) : STATUS_CORRUPT;
}

static enum status stop(struct pickle *pickle, int opcode)
{
    (void)opcode;
    if (pickle->mark_count > 0 || pickle->depth != 1)
        return PICKLE_REFUSE("expected one value at its end, found %lld and %lld marks", (long long)pickle->depth,
                             (long long)pickle->mark_count);
    pickle->stopped = true;
    return STATUS_OK;
}

/* PROTO and FRAME, which say nothing about the value. */
static enum status announce(struct pickle *pickle, int opcode)
{
    uint64_t number;
    enum status result = pickle_number(pickle, opcode == 0x80 ? 1 : 8, &number);
    if (result == STATUS_OK && opcode == 0x80 && number > 5)
        return PICKLE_REFUSE("protocol %llu is not supported", (unsigned long long)number);
    if (result == STATUS_OK && opcode == 0x95 && number > (uint64_t)(pickle->size - pickle->at))
        return PICKLE_REFUSE("a frame of %llu bytes in %lld", (unsigned long long)number,
                             (long long)(pickle->size - pickle->at));
    return result;
}

/* ---- the memo ---- */

static enum status memo_index(struct pickle *pickle, int opcode, uint64_t *index)
{
    if (opcode == 'q' || opcode == 'h')
        return pickle_number(pickle, 1, index);
    if (opcode == 'r' || opcode == 'j')
        return pickle_number(pickle, 4, index);
    const char *line;
    int64_t length;
    enum status result = pickle_line(pickle, 10, &line, &length);
    if (result != STATUS_OK)
        return result;
    *index = 0;
    for (int64_t i = 0; i < length; i++) {
        if (line[i] < '0' || line[i] > '9')
            return PICKLE_REFUSE("expected the number of a place in the memo");
        *index = 10 * *index + (uint64_t)(line[i] - '0');
    }
    return length > 0 ? STATUS_OK : PICKLE_REFUSE("expected the number of a place in the memo");
}

static enum status memo_put(struct pickle *pickle, int opcode)
{
    uint64_t index = (uint64_t)pickle->memo_next;
    enum status result = opcode == 0x94 ? STATUS_OK : memo_index(pickle, opcode, &index);
    if (result != STATUS_OK)
        return result;
    if (index >= MEMO_CHUNK * MEMO_CHUNKS)
        return PICKLE_REFUSE("place %llu of the memo is not below %d", (unsigned long long)index,
                             MEMO_CHUNK * MEMO_CHUNKS);
    const struct torch_value *top = pickle_top(pickle);
    if (!top)
        return STATUS_CORRUPT;
    struct torch_value **chunk = &pickle->memo[index / MEMO_CHUNK];
    if (!*chunk) {
        void *memory;
        result = pickle_take(pickle->memory, MEMO_CHUNK * (int64_t)sizeof **chunk, &memory);
        if (result != STATUS_OK)
            return result;
        *chunk = memory;
    }
    (*chunk)[index % MEMO_CHUNK] = *top;
    pickle->memo_next += opcode == 0x94;
    return STATUS_OK;
}

static enum status memo_get(struct pickle *pickle, int opcode)
{
    uint64_t index;
    enum status result = memo_index(pickle, opcode, &index);
    if (result != STATUS_OK)
        return result;
    const struct torch_value *chunk = index < MEMO_CHUNK * MEMO_CHUNKS ? pickle->memo[index / MEMO_CHUNK] : NULL;
    if (!chunk || chunk[index % MEMO_CHUNK].kind == TORCH_ABSENT)
        return PICKLE_REFUSE("place %llu of the memo is empty", (unsigned long long)index);
    return pickle_push(pickle, chunk[index % MEMO_CHUNK]);
}

/* ---- containers ---- */

static enum status push_container(struct pickle *pickle, enum torch_kind kind, const struct torch_value *values,
                                  int64_t count)
{
    struct torch_value container = {.kind = kind};
    if (kind == TORCH_DICT && count % 2 != 0)
        return PICKLE_REFUSE("a key without a value");
    enum status result = pickle_new_items(pickle->memory, count, &container.items);
    if (result == STATUS_OK)
        result = pickle_append(pickle->memory, container.items, values, count);
    return result == STATUS_OK ? pickle_push(pickle, container) : result;
}

/* TUPLE, LIST, DICT and FROZENSET take what is above the mark. */
static enum status collect(struct pickle *pickle, int opcode)
{
    const struct torch_value *values;
    int64_t count;
    enum status result = pop_marked(pickle, &values, &count);
    if (result != STATUS_OK)
        return result;
    return push_container(pickle, opcode == 't' ? TORCH_TUPLE : opcode == 'd' ? TORCH_DICT : TORCH_LIST, values, count);
}

static enum status push_empty(struct pickle *pickle, int opcode)
{
    return push_container(pickle, opcode == ')' ? TORCH_TUPLE : opcode == '}' ? TORCH_DICT : TORCH_LIST, NULL, 0);
}

/* TUPLE1, TUPLE2, TUPLE3 */
static enum status collect_few(struct pickle *pickle, int opcode)
{
    int64_t count = opcode - 0x84;
    if (pickle_reachable(pickle) < count)
        return PICKLE_REFUSE("expected %lld values on the stack, found %lld", (long long)count,
                             (long long)pickle_reachable(pickle));
    pickle->depth -= count;
    return push_container(pickle, TORCH_TUPLE, pickle->stack + pickle->depth, count);
}

/* Adds to the container on top of the stack. What an opaque object holds is dropped. */
static enum status add(struct pickle *pickle, enum torch_kind kind, const struct torch_value *values, int64_t count)
{
    struct torch_value *top = pickle_top(pickle);
    if (!top)
        return STATUS_CORRUPT;
    if (top->kind == TORCH_OPAQUE)
        return STATUS_OK;
    if (top->kind != kind)
        return PICKLE_REFUSE("expected a %s to add to, found another value", kind == TORCH_DICT ? "dict" : "list");
    if (kind == TORCH_DICT && count % 2 != 0)
        return PICKLE_REFUSE("a key without a value");
    return pickle_append(pickle->memory, top->items, values, count);
}

static enum status add_marked(struct pickle *pickle, int opcode)
{
    const struct torch_value *values;
    int64_t count;
    enum status result = pop_marked(pickle, &values, &count);
    return result == STATUS_OK ? add(pickle, opcode == 'u' ? TORCH_DICT : TORCH_LIST, values, count) : result;
}

/* APPEND and SETITEM */
static enum status add_one(struct pickle *pickle, int opcode)
{
    int64_t count = opcode == 's' ? 2 : 1;
    if (pickle_reachable(pickle) <= count)
        return PICKLE_REFUSE("expected %lld values on the stack, found %lld", (long long)count + 1,
                             (long long)pickle_reachable(pickle));
    pickle->depth -= count;
    return add(pickle, opcode == 's' ? TORCH_DICT : TORCH_LIST, pickle->stack + pickle->depth, count);
}

/* ---- objects ---- */

static enum status push_named(struct pickle *pickle, const char *module, int64_t module_length, const char *name,
                              int64_t length)
{
    char whole[2 * NAME_LIMIT + 2];
    struct torch_value class = {0};
    if (module_length > NAME_LIMIT || length > NAME_LIMIT || memchr(module, 0, (size_t)module_length) ||
        memchr(name, 0, (size_t)length))
        return PICKLE_REFUSE("an impossible name of a class");
    memcpy(whole, module, (size_t)module_length);
    whole[module_length] = '.';
    memcpy(whole + module_length + 1, name, (size_t)length);
    whole[module_length + 1 + length] = 0;
    enum status result = pickle->meaning->named(pickle->meaning->context, whole, module_length + 1 + length, &class);
    return result == STATUS_OK ? pickle_push(pickle, class) : result;
}

/* GLOBAL has its two names on two lines, STACK_GLOBAL on the stack. */
static enum status push_class(struct pickle *pickle, int opcode)
{
    struct torch_value module = {0}, name = {0};
    enum status result;
    if (opcode == 'c') {
        result = pickle_line(pickle, NAME_LIMIT, &module.text, &module.size);
        if (result == STATUS_OK)
            result = pickle_line(pickle, NAME_LIMIT, &name.text, &name.size);
    } else {
        result = pickle_pop(pickle, &name);
        if (result == STATUS_OK)
            result = pickle_pop(pickle, &module);
        if (result == STATUS_OK && (name.kind != TORCH_STRING || module.kind != TORCH_STRING))
            return PICKLE_REFUSE("the name of a class is not a text");
    }
    return result == STATUS_OK ? push_named(pickle, module.text, module.size, name.text, name.size) : result;
}

/* REDUCE, NEWOBJ and NEWOBJ_EX, whose named arguments are dropped. */
static enum status make(struct pickle *pickle, int opcode)
{
    struct torch_value class, arguments, named, object = {0};
    enum status result = opcode == 0x92 ? pickle_pop(pickle, &named) : STATUS_OK;
    if (result == STATUS_OK)
        result = pickle_pop(pickle, &arguments);
    if (result == STATUS_OK)
        result = pickle_pop(pickle, &class);
    if (result != STATUS_OK)
        return result;
    if (arguments.kind != TORCH_TUPLE)
        return PICKLE_REFUSE("the arguments of an object are not a tuple");
    if (class.kind != PICKLE_CLASS && class.kind != TORCH_OPAQUE)
        return PICKLE_REFUSE("an object of something that is not a class");
    result = pickle->meaning->made(pickle->meaning->context, &class, &arguments, &object);
    return result == STATUS_OK ? pickle_push(pickle, object) : result;
}

static enum status set_state(struct pickle *pickle, int opcode)
{
    struct torch_value state;
    (void)opcode;
    enum status result = pickle_pop(pickle, &state);
    if (result != STATUS_OK)
        return result;
    struct torch_value *object = pickle_top(pickle);
    if (!object)
        return STATUS_CORRUPT;
    const struct pickle_meaning *meaning = pickle->meaning;
    int64_t taken = 0;
    result = meaning->state(meaning->context, object, &state);
    if (result == STATUS_OK && meaning->behind)
        result =
            meaning->behind(meaning->context, object, pickle->bytes + pickle->at, pickle->size - pickle->at, &taken);
    pickle->at += taken;
    return result;
}

static enum status push_outside(struct pickle *pickle, int opcode)
{
    struct torch_value identifier, object = {0};
    (void)opcode;
    enum status result = pickle_pop(pickle, &identifier);
    if (result == STATUS_OK)
        result = pickle->meaning->outside(pickle->meaning->context, &identifier, &object);
    return result == STATUS_OK ? pickle_push(pickle, object) : result;
}

/* ---- the machine ---- */

static pickle_operation operation_of(int opcode)
{
    static const pickle_operation operations[256] = {
        ['('] = push_mark,  ['.'] = stop,         ['0'] = drop,         ['1'] = drop,         ['2'] = duplicate,
        [0x80] = announce,  [0x95] = announce,    ['p'] = memo_put,     ['q'] = memo_put,     ['r'] = memo_put,
        [0x94] = memo_put,  ['g'] = memo_get,     ['h'] = memo_get,     ['j'] = memo_get,     ['t'] = collect,
        ['l'] = collect,    ['d'] = collect,      [0x91] = collect,     [')'] = push_empty,   [']'] = push_empty,
        ['}'] = push_empty, [0x8f] = push_empty,  [0x85] = collect_few, [0x86] = collect_few, [0x87] = collect_few,
        ['e'] = add_marked, ['u'] = add_marked,   [0x90] = add_marked,  ['a'] = add_one,      ['s'] = add_one,
        ['c'] = push_class, [0x93] = push_class,  ['R'] = make,         [0x81] = make,        [0x92] = make,
        ['b'] = set_state,  ['Q'] = push_outside,
    };
    return operations[opcode] ? operations[opcode] : pickle_constant(opcode);
}

enum status pickle_read(struct pickle_memory *memory, const struct pickle_meaning *meaning, const unsigned char *bytes,
                        int64_t size, int64_t offset, int64_t *used, struct torch_value *value)
{
    struct pickle *pickle;
    void *state;
    enum status result = pickle_take(memory, sizeof *pickle, &state);
    if (result != STATUS_OK)
        return status_prefix(result, "%s", memory->path);
    pickle = state;
    *pickle = (struct pickle){.memory = memory, .meaning = meaning, .bytes = bytes, .size = size};
    int64_t begin = 0;
    result = pickle_stack_start(pickle);
    while (result == STATUS_OK && !pickle->stopped) {
        begin = pickle->at;
        if (pickle->at == pickle->size) {
            result = PICKLE_REFUSE("it ends in the middle");
            break;
        }
        int opcode = bytes[pickle->at++];
        pickle_operation operation = operation_of(opcode);
        result =
            operation ? operation(pickle, opcode) : PICKLE_REFUSE("opcode 0x%02x is not allowed", (unsigned)opcode);
    }
    if (result != STATUS_OK)
        return status_prefix(result, "%s: pickle at byte %lld", memory->path, (long long)(offset + begin));
    *used = pickle->at;
    *value = pickle->stack[0];
    return STATUS_OK;
}
