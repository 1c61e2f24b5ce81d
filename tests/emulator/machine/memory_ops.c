/* ld and st of every space. Addresses become those of the machine (memory.h): a named space adds its window, so that one
 * path serves all. Cache operators, eviction priorities and prefetch sizes change no value and are accepted by name;
 * anything else is an error. Parameters by name are constants of the launch and are read without the checks. */
#include "emulator/machine/memory_ops.h"

#include <string.h>

static const uint64_t windows[PTX_CONST + 1] = {
    [PTX_PARAM] = PARAMETER_WINDOW, [PTX_SHARED] = SHARED_WINDOW, [PTX_LOCAL] = LOCAL_WINDOW};

/* ---- addresses ---- */

/* An address beyond the window must not become one of another space. */
static uint64_t in_window(uint64_t window, uint64_t value)
{
    return window + (value < WINDOW_BYTES ? value : WINDOW_BYTES - 64);
}

static bool check_global(struct execution *execution, struct warp *warp, const struct op *op, uint32_t active,
                         const uint64_t addresses[WARP_LANES])
{
    uint32_t wrong = 0;
    uint64_t inside = 0;
    for (int lane = 0; lane < WARP_LANES; lane++)
        inside |= addresses[lane] - SHARED_WINDOW < PARAMETER_WINDOW + WINDOW_BYTES - SHARED_WINDOW;
    if (inside == 0)
        return true;
    FOR_LANES(lane, active)
    {
        if (addresses[lane] >= SHARED_WINDOW && addresses[lane] < PARAMETER_WINDOW + WINDOW_BYTES)
            wrong |= 1u << lane;
    }
    if (wrong == 0)
        return true;
    return execution_report(execution, CHECK_BOUNDS, warp, op, wrong,
                            "an instruction for global memory has an address of shared, local or parameter memory");
}

bool memory_addresses(struct execution *execution, struct warp *warp, const struct op *op, uint32_t slot,
                      uint8_t base_size, int64_t offset, enum ptx_space space, bool generic, uint32_t active,
                      uint64_t addresses[WARP_LANES])
{
    uint64_t window = generic ? 0 : windows[space], constant = (uint64_t)offset;
    if (base_size == 0) {
        for (int lane = 0; lane < WARP_LANES; lane++)
            addresses[lane] = window + constant;
    } else if (base_size == 4) {
        const uint32_t *base = warp_slot(warp, slot);
        for (int lane = 0; lane < WARP_LANES; lane++)
            addresses[lane] = window + (uint32_t)(base[lane] + (uint32_t)constant);
    } else {
        const uint64_t *base = warp_slot(warp, slot);
        if (window == 0) {
            for (int lane = 0; lane < WARP_LANES; lane++)
                addresses[lane] = base[lane] + constant;
        } else {
            for (int lane = 0; lane < WARP_LANES; lane++)
                addresses[lane] = in_window(window, base[lane] + constant);
        }
    }
    return generic || window != 0 || check_global(execution, warp, op, active, addresses);
}

bool memory_is_constant(const struct machine *machine, uint64_t address)
{
    for (const struct machine_module *module = machine->modules; module != NULL; module = module->next) {
        for (int32_t i = 0; i < module->ptx->variable_count; i++) {
            const struct ptx_variable *variable = &module->ptx->variables[i];
            if (variable->space == PTX_CONST && address - module->addresses[i] < variable->size)
                return true;
        }
    }
    return false;
}

static bool check_constant(struct execution *execution, struct warp *warp, const struct op *op, uint32_t active,
                           const uint64_t addresses[WARP_LANES])
{
    const struct machine *machine = execution->machine;
    uint64_t start = machine->constant_start, size = machine->constant_end - start;
    if (size == 0)
        return true;
    FOR_LANES(lane, active)
    {
        if (addresses[lane] - start < size && memory_is_constant(machine, addresses[lane]))
            return execution_report(execution, CHECK_READ_ONLY, warp, op, active, "constant memory is written");
    }
    return true;
}

bool memory_touch(struct execution *execution, struct warp *warp, const struct op *op, enum access_action action,
                  int32_t bytes, const uint64_t addresses[WARP_LANES], uint32_t active, void *pointers[WARP_LANES])
{
    const struct place *place = &execution->kernel->places[op->index];
    struct access access = {.action = action,
                            .warp = warp->index,
                            .lanes = active,
                            .bytes = bytes,
                            .addresses = addresses,
                            .file = place->file,
                            .line = place->line};
    bool writes = action == ACCESS_WRITE || action == ACCESS_ATOMIC;
    if (writes && !check_constant(execution, warp, op, active, addresses))
        return false;
    return memory_access(execution->memory, &access, pointers);
}

/* Vectors of 32 bytes are two accesses of 16. */
static bool touch_vector(struct execution *execution, struct warp *warp, const struct op *op, uint64_t *addresses,
                         uint32_t active, void *pointers[2][WARP_LANES])
{
    int32_t bytes = op->memory.size * op->memory.count;
    if (bytes <= 16)
        return memory_touch(execution, warp, op, op->memory.action, bytes, addresses, active, pointers[0]);
    FOR_LANES(lane, active)
    {
        if (addresses[lane] % 32 != 0)
            return execution_report(execution, CHECK_ALIGNMENT, warp, op, active, "address 0x%llx is no multiple of 32",
                                    (unsigned long long)addresses[lane]);
    }
    if (!memory_touch(execution, warp, op, op->memory.action, 16, addresses, active, pointers[0]))
        return false;
    for (int lane = 0; lane < WARP_LANES; lane++)
        addresses[lane] += 16;
    return memory_touch(execution, warp, op, op->memory.action, 16, addresses, active, pointers[1]);
}

/* ---- ld ---- */

/* Whether lane l's bytes are right behind those of lane l - 1. */
static inline bool neighbours(void *const pointers[WARP_LANES], size_t bytes)
{
    uintptr_t first = (uintptr_t)pointers[0], differs = 0;
    for (size_t lane = 0; lane < WARP_LANES; lane++)
        differs |= (uintptr_t)pointers[lane] ^ (first + lane * bytes);
    return differs == 0;
}

/* Element `offset` bytes into each lane's vector, of type T in memory and H in the register. */
#define LOAD_LANES(T, H)                                                                                               \
    do {                                                                                                               \
        H *registers = held;                                                                                           \
        if (active == ALL_LANES) {                                                                                     \
            for (int lane = 0; lane < WARP_LANES; lane++) {                                                            \
                T value;                                                                                               \
                memcpy(&value, (const char *)pointers[lane] + offset, sizeof value);                                   \
                registers[lane] = (H)value;                                                                            \
            }                                                                                                          \
        } else {                                                                                                       \
            FOR_LANES(lane, active)                                                                                    \
            {                                                                                                          \
                T value;                                                                                               \
                memcpy(&value, (const char *)pointers[lane] + offset, sizeof value);                                   \
                registers[lane] = (H)value;                                                                            \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)

static void load_narrow(const struct op *op, void *held, int register_size, void *const pointers[WARP_LANES],
                        int offset, uint32_t active)
{
    bool sign = op->memory.sign, wide = register_size == 8;
    if (op->memory.size == 1 && sign && wide)
        LOAD_LANES(int8_t, uint64_t);
    else if (op->memory.size == 1 && wide)
        LOAD_LANES(uint8_t, uint64_t);
    else if (op->memory.size == 1 && sign)
        LOAD_LANES(int8_t, uint32_t);
    else if (op->memory.size == 1)
        LOAD_LANES(uint8_t, uint32_t);
    else if (sign && wide)
        LOAD_LANES(int16_t, uint64_t);
    else if (wide)
        LOAD_LANES(uint16_t, uint64_t);
    else if (sign)
        LOAD_LANES(int16_t, uint32_t);
    else
        LOAD_LANES(uint16_t, uint32_t);
    if (register_size == 2 && sign) {
        uint32_t *registers = held;
        FOR_LANES(lane, active)
        registers[lane] &= 0xFFFF;
    }
}

static void load_element(const struct op *op, void *held, int i, void *const pointers[WARP_LANES], int offset,
                         uint32_t active)
{
    int size = op->memory.size, register_size = op->memory.register_size[i];
    if (size == 4 && register_size == 4) {
        if (active == ALL_LANES && neighbours(pointers, 4))
            memcpy(held, (const char *)pointers[0] + offset, sizeof(uint32_t[WARP_LANES]));
        else
            LOAD_LANES(uint32_t, uint32_t);
    } else if (size == 8) {
        LOAD_LANES(uint64_t, uint64_t);
    } else if (size == 4 && op->memory.sign) {
        LOAD_LANES(int32_t, uint64_t);
    } else if (size == 4) {
        LOAD_LANES(uint32_t, uint64_t);
    } else {
        load_narrow(op, held, register_size, pointers, offset, active);
    }
}

static bool run_load(struct execution *execution, struct warp *warp, const struct op *op, uint32_t active)
{
    uint64_t addresses[WARP_LANES];
    void *pointers[2][WARP_LANES];
    const struct op_memory *memory = &op->memory;
    if (!memory_addresses(execution, warp, op, op->slots[op->destination_count], memory->base_size, memory->offset,
                          memory->space, memory->generic, active, addresses) ||
        !touch_vector(execution, warp, op, addresses, active, pointers))
        return false;
    for (int i = 0; i < memory->count; i++) {
        int offset = i * memory->size;
        load_element(op, warp_slot(warp, op->slots[i]), i, pointers[offset / 16], offset % 16, active);
    }
    return true;
}

static bool run_load_parameter(struct execution *execution, struct warp *warp, const struct op *op, uint32_t active)
{
    const char *parameters = execution->launch->parameters;
    void *pointers[WARP_LANES];
    for (int i = 0; i < op->memory.count; i++) {
        for (int lane = 0; lane < WARP_LANES; lane++)
            pointers[lane] = (void *)(uintptr_t)(parameters + op->memory.offset + i * op->memory.size);
        load_element(op, warp_slot(warp, op->slots[i]), i, pointers, 0, active);
    }
    return true;
}

/* ---- st ---- */

#define STORE_LANES(T, H)                                                                                              \
    do {                                                                                                               \
        const H *registers = held;                                                                                     \
        FOR_LANES(lane, active)                                                                                        \
        {                                                                                                              \
            T value = (T)registers[lane];                                                                              \
            memcpy((char *)pointers[lane] + offset, &value, sizeof value);                                             \
        }                                                                                                              \
    } while (0)

static void store_element(const void *held, bool wide, int size, void *const pointers[WARP_LANES], int offset,
                          uint32_t active)
{
    if (size == 4 && !wide) {
        if (active == ALL_LANES && neighbours(pointers, 4))
            memcpy((char *)pointers[0] + offset, held, sizeof(uint32_t[WARP_LANES]));
        else
            STORE_LANES(uint32_t, uint32_t);
    } else if (size == 8) {
        STORE_LANES(uint64_t, uint64_t);
    } else if (size == 4) {
        STORE_LANES(uint32_t, uint64_t);
    } else if (size == 2 && wide) {
        STORE_LANES(uint16_t, uint64_t);
    } else if (size == 2) {
        STORE_LANES(uint16_t, uint32_t);
    } else if (wide) {
        STORE_LANES(uint8_t, uint64_t);
    } else {
        STORE_LANES(uint8_t, uint32_t);
    }
}

static bool run_store(struct execution *execution, struct warp *warp, const struct op *op, uint32_t active)
{
    uint64_t addresses[WARP_LANES];
    void *pointers[2][WARP_LANES];
    const struct op_memory *memory = &op->memory;
    int first = memory->base_size > 0;
    if (!memory_addresses(execution, warp, op, op->slots[0], memory->base_size, memory->offset, memory->space,
                          memory->generic, active, addresses) ||
        !touch_vector(execution, warp, op, addresses, active, pointers))
        return false;
    for (int i = 0; i < memory->count; i++) {
        int offset = i * memory->size;
        store_element(warp_slot(warp, op->slots[first + i]), (memory->wide >> (first + i) & 1) != 0, memory->size,
                      pointers[offset / 16], offset % 16, active);
    }
    return true;
}

/* ---- modifiers ---- */

static bool one_of(const char *name, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (strcmp(name, *names) == 0)
            return true;
    }
    return false;
}

bool memory_space_named(const char *name, enum ptx_space *space)
{
    static const struct {
        const char *name;
        enum ptx_space space;
    } spaces[] = {
        {"global", PTX_GLOBAL}, {"shared", PTX_SHARED}, {"shared::cta", PTX_SHARED}, {"shared::cluster", PTX_SHARED},
        {"local", PTX_LOCAL},   {"const", PTX_CONST},   {"param", PTX_PARAM},        {"param::entry", PTX_PARAM}};
    for (size_t i = 0; i < sizeof spaces / sizeof spaces[0]; i++) {
        if (strcmp(spaces[i].name, name) == 0) {
            *space = spaces[i].space;
            return true;
        }
    }
    return false;
}

bool memory_is_scope(const char *name)
{
    static const char *const scopes[] = {"cta", "cluster", "gpu", "sys", NULL};
    return one_of(name, scopes);
}

bool memory_is_hint(const char *name)
{
    static const char *const hints[] = {"ca",
                                        "cg",
                                        "cs",
                                        "lu",
                                        "cv",
                                        "wb",
                                        "wt",
                                        "L1::evict_normal",
                                        "L1::evict_unchanged",
                                        "L1::evict_first",
                                        "L1::evict_last",
                                        "L1::no_allocate",
                                        "L2::evict_normal",
                                        "L2::evict_first",
                                        "L2::evict_last",
                                        "L2::64B",
                                        "L2::128B",
                                        "L2::256B",
                                        NULL};
    return one_of(name, hints);
}

/* Modifiers of ld and st in any order; `strong` for those that other threads may race with. */
static bool decode_modifiers(struct decoder *decoder, bool load, enum ptx_type *type, bool *strong, bool *hinted)
{
    static const char *const weak[] = {"weak", "volatile", NULL}, *const orders[] = {"relaxed", "acquire", "release",
                                                                                     NULL};
    struct op_memory *memory = &decoder->op->memory;
    const struct ptx_instruction *instruction = decoder->instruction;
    bool read_only = false;
    *type = PTX_NO_TYPE;
    *strong = *hinted = false;
    memory->generic = true;
    memory->count = 1;
    for (int32_t i = 0; i < instruction->modifier_count; i++) {
        const char *name = instruction->modifiers[i];
        bool last = i + 1 == instruction->modifier_count;
        if (last && decode_type_named(name) != PTX_NO_TYPE)
            *type = decode_type_named(name);
        else if (memory->generic && memory_space_named(name, &memory->space))
            memory->generic = false;
        else if (one_of(name, orders) && (load ? strcmp(name, "release") : strcmp(name, "acquire")) != 0)
            *strong = true;
        else if (strcmp(name, "v2") == 0 || strcmp(name, "v4") == 0 || strcmp(name, "v8") == 0)
            memory->count = (uint8_t)(name[1] - '0');
        else if (load && strcmp(name, "nc") == 0)
            read_only = true;
        else if (strcmp(name, "L2::cache_hint") == 0)
            *hinted = true;
        else if (!one_of(name, weak) && !memory_is_scope(name) && !memory_is_hint(name))
            return decode_fail(decoder, "the modifier \".%s\" is not known here", name);
    }
    if (*type == PTX_NO_TYPE || *type == PTX_PRED || *type == PTX_B128)
        return decode_fail(decoder, "its type is not known here");
    if (read_only && (memory->generic || memory->space != PTX_GLOBAL))
        return decode_fail(decoder, ".nc is for .global");
    memory->size = (uint8_t)ptx_type_size(*type);
    if (memory->size * memory->count > 32)
        return decode_fail(decoder, "a vector of more than 32 bytes");
    memory->sign = *type == PTX_S8 || *type == PTX_S16 || *type == PTX_S32;
    memory->action = !load ? ACCESS_WRITE : read_only ? ACCESS_READ_ONLY : *strong ? ACCESS_ATOMIC : ACCESS_READ;
    return true;
}

static bool decode_elements(struct decoder *decoder, const struct ptx_operand *operand,
                            const struct ptx_operand **elements)
{
    int32_t expected = decoder->op->memory.count;
    *elements = operand->kind == PTX_OPERAND_VECTOR ? operand->elements : operand;
    int32_t found = operand->kind == PTX_OPERAND_VECTOR ? operand->count : 1;
    if (found != expected)
        return decode_fail(decoder, "%d elements are expected, %d are found", (int)expected, (int)found);
    return true;
}

/* The policy of .L2::cache_hint is read, so that it must be defined. */
static bool decode_policy(struct decoder *decoder, bool hinted, int32_t at)
{
    struct op *op = decoder->op;
    if (!decode_operand_count(decoder, at + hinted, at + hinted))
        return false;
    if (!hinted)
        return true;
    if (!decode_source(decoder, decode_operand(decoder, at), PTX_B64))
        return false;
    op->source_count--;
    return true;
}

bool decode_load(struct decoder *decoder)
{
    struct op *op = decoder->op;
    struct op_memory *memory = &op->memory;
    const struct ptx_operand *elements;
    enum ptx_type type;
    bool strong, hinted;
    op->kind = OP_PLAIN;
    op->run = run_load;
    if (!decode_modifiers(decoder, true, &type, &strong, &hinted) || !decode_operand_count(decoder, 2, 3) ||
        !decode_elements(decoder, decode_operand(decoder, 0), &elements))
        return false;
    for (int i = 0; i < memory->count; i++) {
        int size;
        if (!decode_destination_any(decoder, &elements[i], &size))
            return false;
        size = size == 0 ? 8 : size;
        if (size < memory->size || size == 1)
            return decode_fail(decoder, "a destination of %d bytes for type %s", size, ptx_type_name(type));
        memory->register_size[i] = (uint8_t)size;
    }
    if (!decode_address(decoder, decode_operand(decoder, 1), memory->space, memory->generic, &memory->offset,
                        &memory->base_size) ||
        !decode_policy(decoder, hinted, 2))
        return false;
    if (!memory->generic && memory->space == PTX_PARAM && memory->base_size == 0) {
        int64_t bytes = memory->size * memory->count, all = (int64_t)decoder->source->parameter_bytes;
        if (memory->offset < 0 || memory->offset + bytes > all || memory->offset % bytes != 0)
            return decode_fail(decoder, "%d bytes at offset %d of %d bytes of parameters", (int)bytes,
                               (int)memory->offset, (int)all);
        op->run = run_load_parameter;
    }
    return true;
}

bool decode_store(struct decoder *decoder)
{
    struct op *op = decoder->op;
    struct op_memory *memory = &op->memory;
    const struct ptx_operand *elements;
    enum ptx_type type;
    bool strong, hinted;
    op->kind = OP_PLAIN;
    op->run = run_store;
    if (!decode_modifiers(decoder, false, &type, &strong, &hinted) || !decode_operand_count(decoder, 2, 3) ||
        !decode_elements(decoder, decode_operand(decoder, 1), &elements))
        return false;
    if (!memory->generic && (memory->space == PTX_PARAM || memory->space == PTX_CONST))
        return decode_fail(decoder, "this space cannot be written");
    if (!decode_address(decoder, decode_operand(decoder, 0), memory->space, memory->generic, &memory->offset,
                        &memory->base_size))
        return false;
    for (int i = 0; i < memory->count; i++) {
        int size;
        if (!decode_source_any(decoder, &elements[i], type, &size))
            return false;
        if (size < memory->size || (size == 1 && elements[i].kind == PTX_OPERAND_REGISTER))
            return decode_fail(decoder, "a source of %d bytes for type %s", size, ptx_type_name(type));
        if (size == 8)
            memory->wide |= (uint16_t)(1 << (op->source_count - 1));
    }
    return decode_policy(decoder, hinted, 2);
}
