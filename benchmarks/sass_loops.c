/* What do a kernel's inner loops cost? Reads the text of `nvdisasm -c` from standard input and prints, for each innermost
 * loop that multiplies on tensor cores, how many instructions of each kind one pass has, and how many cycles of a
 * sub-core each unit needs for a warp's pass. No GPU is asked: it is a model, whose rates are in `rates` below, and it
 * shows which unit an inner loop is limited by, not how long it takes.
 *
 * Loops are the natural loops of the control flow (Aho, Lam, Sethi, Ullman, section 9.6): an edge to a block that
 * dominates its origin closes one. What does not dominate every such origin runs in some passes only; it is counted
 * apart, as `sometimes`, and is left out of the cycles. Instructions predicated on @!PT never run and are skipped.
 *
 * Usage: nvdisasm -c FILE.cubin | benchmark_sass_loops sm_80|sm_90 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind {
    TENSOR,
    MATRIX_LOAD, /* ldmatrix */
    COPY,        /* cp.async */
    SHARED,      /* other accesses of shared memory, shuffles */
    GLOBAL,
    SPECIAL, /* exp2, reciprocals */
    FLOAT,   /* and the integer products, which the same lanes compute */
    CONVERT,
    INTEGER,
    CONTROL, /* branches, barriers, waits */
    KINDS
};
static const char *const kind_names[KINDS] = {"mma",     "ldmatrix", "cp.async", "shared",  "global",
                                              "special", "float",    "convert",  "integer", "control"};

/* Cycles of one sub-core, a quarter of a processor, for an instruction of a warp. */
struct rates {
    const char *architecture;
    double mma;     /* m16n8k16: 2048 multiply-adds */
    double floats;  /* 16 or 32 lanes a sub-core */
    double special; /* 4 lanes a sub-core */
    double wave;    /* 128 bytes of shared memory a cycle, for all four sub-cores */
};
static const struct rates architectures[] = {
    {"sm_80", 8, 2, 8, 4},
    {"sm_90", 6.5, 1, 8, 4},
};

/* The first that an opcode begins with decides; what no row names is integer arithmetic, moves and selects. */
static const struct {
    const char *prefix;
    enum kind kind;
} opcodes[] = {
    {"HMMA", TENSOR},   {"LDSM", MATRIX_LOAD}, {"LDGSTS", COPY},    {"LDGDEPBAR", CONTROL}, {"LDS", SHARED},
    {"STS", SHARED},    {"SHFL", SHARED},      {"LDG", GLOBAL},     {"STG", GLOBAL},        {"LDL", GLOBAL},
    {"STL", GLOBAL},    {"MUFU", SPECIAL},     {"F2F", CONVERT},    {"I2F", CONVERT},       {"F2I", CONVERT},
    {"FADD", FLOAT},    {"FMUL", FLOAT},       {"FFMA", FLOAT},     {"FMNMX", FLOAT},       {"FSETP", FLOAT},
    {"FSEL", FLOAT},    {"HFMA2", FLOAT},      {"IMAD", FLOAT},     {"BRA", CONTROL},       {"BSSY", CONTROL},
    {"BSYNC", CONTROL}, {"BAR", CONTROL},      {"DEPBAR", CONTROL}, {"WARPSYNC", CONTROL},  {"NOP", CONTROL},
    {"CALL", CONTROL},  {"RET", CONTROL},      {"EXIT", CONTROL},   {"VOTE", CONTROL}};

enum { INSTRUCTIONS = 65536, LABELS = 8192, BLOCKS = 8192, NAME = 64 };

struct instruction {
    char opcode[NAME], target[NAME]; /* of branches */
    bool conditional;
};
struct label {
    char name[NAME];
    int at;
};
struct block {
    int first, end, next[2]; /* -1: none */
    bool in_loop;
};
struct function {
    char name[1024];
    struct instruction instructions[INSTRUCTIONS];
    struct label labels[LABELS];
    struct block blocks[BLOCKS];
    int instruction_count, label_count, block_count;
    int block_of[INSTRUCTIONS + 1];
    uint64_t *dominators; /* [block_count][words] */
    int words;
};

static void fail(const char *what)
{
    fprintf(stderr, "error: %s\n", what);
    exit(1);
}

/* ---- reading ---- */

/* The text behind the address: "@!P0 BRA `(.L_x_0) ;". */
static void read_instruction(struct function *f, const char *text)
{
    if (f->instruction_count == INSTRUCTIONS)
        fail("a function has more instructions than this program takes");
    struct instruction *own = &f->instructions[f->instruction_count];
    memset(own, 0, sizeof *own);
    if (*text == '{')
        text += 1 + strspn(text + 1, " \t");
    if (*text == '@') {
        const size_t length = strcspn(text, " \t");
        if (strncmp(text, "@!PT", length) == 0 || strncmp(text, "@!UPT", length) == 0)
            return;
        own->conditional = true;
        text += length + strspn(text + length, " \t");
    }
    size_t length = strcspn(text, " \t;");
    snprintf(own->opcode, sizeof own->opcode, "%.*s", (int)length, text);
    const char *label = strstr(text, "`(.L_");
    if (label && strncmp(own->opcode, "BRA", 3) == 0) {
        length = strcspn(label + 2, ")");
        snprintf(own->target, sizeof own->target, "%.*s", (int)length, label + 2);
        const char *operand = text + strcspn(text, " \t;");
        own->conditional |= operand + strspn(operand, " \t") != label; /* BRA P2, label */
    }
    f->instruction_count++;
}

/* Reads up to the next function's section, whose name is left in `next`. */
static bool read_function(struct function *f, char *next, size_t size)
{
    static char line[16384];
    snprintf(f->name, sizeof f->name, "%s", next);
    f->instruction_count = f->label_count = 0;
    next[0] = 0;
    while (fgets(line, sizeof line, stdin)) {
        const char *text = line + strspn(line, " \t");
        if (strncmp(text, ".section", 8) == 0 && (text[8] == ' ' || text[8] == '\t')) {
            const char *name = strstr(text, ".text.");
            if (name)
                snprintf(next, size, "%.*s", (int)strcspn(name + 6, ",\" \t\n"), name + 6);
            return true;
        }
        if (strncmp(line, ".L_", 3) == 0) {
            if (f->label_count == LABELS)
                fail("a function has more labels than this program takes");
            struct label *label = &f->labels[f->label_count++];
            snprintf(label->name, sizeof label->name, "%.*s", (int)strcspn(line, ":"), line);
            label->at = f->instruction_count;
        } else if (strncmp(text, "/*", 2) == 0 && strstr(text, "*/") && f->name[0]) {
            text = strstr(text, "*/") + 2;
            text += strspn(text, " \t");
            if (*text == '@' || *text == '{' || (*text >= 'A' && *text <= 'Z'))
                read_instruction(f, text);
        }
    }
    return false;
}

/* ---- control flow ---- */

static bool opcode_is(const struct instruction *instruction, const char *prefix)
{
    return strncmp(instruction->opcode, prefix, strlen(prefix)) == 0;
}

static int label_at(const struct function *f, const char *name)
{
    for (int i = 0; i < f->label_count; i++)
        if (strcmp(f->labels[i].name, name) == 0)
            return f->labels[i].at;
    return -1;
}

static void make_blocks(struct function *f)
{
    static bool begins[INSTRUCTIONS + 1];
    memset(begins, 0, sizeof begins);
    begins[0] = true;
    for (int i = 0; i < f->label_count; i++)
        begins[f->labels[i].at] = true;
    for (int i = 0; i < f->instruction_count; i++)
        if (opcode_is(&f->instructions[i], "BRA") || opcode_is(&f->instructions[i], "EXIT") ||
            opcode_is(&f->instructions[i], "RET"))
            begins[i + 1] = true;
    f->block_count = 0;
    for (int i = 0; i < f->instruction_count; i++) {
        if (begins[i]) {
            if (f->block_count == BLOCKS)
                fail("a function has more blocks than this program takes");
            f->blocks[f->block_count++].first = i;
        }
        f->block_of[i] = f->block_count - 1;
    }
    for (int b = 0; b < f->block_count; b++) {
        struct block *block = &f->blocks[b];
        block->end = b + 1 < f->block_count ? f->blocks[b + 1].first : f->instruction_count;
        const struct instruction *last = &f->instructions[block->end - 1];
        const bool leaves = opcode_is(last, "BRA") || opcode_is(last, "EXIT") || opcode_is(last, "RET");
        block->next[0] = (!leaves || last->conditional) && b + 1 < f->block_count ? b + 1 : -1;
        const int target = last->target[0] ? label_at(f, last->target) : -1;
        block->next[1] = target >= 0 && target < f->instruction_count ? f->block_of[target] : -1;
    }
}

static bool dominates(const struct function *f, int a, int b)
{
    return f->dominators[(size_t)b * (size_t)f->words + (size_t)a / 64] >> (a % 64) & 1;
}

/* The largest sets with dominators(b) = {b} and the intersection of those of b's predecessors. */
static void find_dominators(struct function *f)
{
    f->words = (f->block_count + 63) / 64;
    const size_t words = (size_t)f->words, count = (size_t)f->block_count;
    f->dominators = malloc((count + 1) * words * sizeof(uint64_t));
    if (!f->dominators)
        fail("out of memory");
    memset(f->dominators, 0xff, count * words * sizeof(uint64_t));
    memset(f->dominators, 0, words * sizeof(uint64_t));
    f->dominators[0] = 1;
    for (bool changed = true; changed;) {
        changed = false;
        for (int b = 0; b < f->block_count; b++)
            for (int i = 0; i < 2; i++) {
                const int to = f->blocks[b].next[i];
                if (to <= 0)
                    continue;
                for (size_t w = 0; w < words; w++) {
                    uint64_t *own = &f->dominators[(size_t)to * words + w];
                    uint64_t kept = *own & f->dominators[(size_t)b * words + w];
                    if ((size_t)to / 64 == w)
                        kept |= 1ull << (to % 64);
                    changed |= kept != *own;
                    *own = kept;
                }
            }
    }
}

/* Marks the natural loop of `header`: what reaches an edge back to it without passing it. Returns the number of those
 * edges: 0 when no loop begins here. */
static int mark_loop(struct function *f, int header)
{
    int found = 0;
    for (int b = 0; b < f->block_count; b++) {
        const struct block *block = &f->blocks[b];
        f->blocks[b].in_loop =
            (block->next[0] == header || block->next[1] == header) && dominates(f, header, b) && b != header;
        found += f->blocks[b].in_loop || ((block->next[0] == header || block->next[1] == header) && b == header);
    }
    f->blocks[header].in_loop = true;
    for (bool changed = found > 0; changed;) {
        changed = false;
        for (int b = 0; b < f->block_count; b++)
            for (int i = 0; i < 2 && !f->blocks[b].in_loop; i++) {
                const int to = f->blocks[b].next[i];
                if (to >= 0 && to != header && f->blocks[to].in_loop && dominates(f, header, b))
                    f->blocks[b].in_loop = changed = true;
            }
    }
    return found;
}

static enum kind kind_of(const struct instruction *instruction)
{
    for (size_t i = 0; i < sizeof opcodes / sizeof *opcodes; i++)
        if (opcode_is(instruction, opcodes[i].prefix))
            return opcodes[i].kind;
    return INTEGER;
}

static int loop_mmas(const struct function *f)
{
    int count = 0;
    for (int b = 0; b < f->block_count; b++)
        for (int i = f->blocks[b].first; f->blocks[b].in_loop && i < f->blocks[b].end; i++)
            count += kind_of(&f->instructions[i]) == TENSOR;
    return count;
}

/* Whether block b runs in every pass of the marked loop: it dominates each origin of an edge back. */
static bool always_runs(const struct function *f, int header, int b)
{
    for (int i = 0; i < f->block_count; i++)
        if (f->blocks[i].in_loop && (f->blocks[i].next[0] == header || f->blocks[i].next[1] == header) &&
            !dominates(f, b, i))
            return false;
    return true;
}

/* ---- the report ---- */

struct cost {
    int counts[KINDS], always, sometimes;
    double waves; /* wavefronts of shared memory */
};

/* Of a warp's access without bank conflicts: 128 bytes each of what its 32 lanes ask for, also where some ask for the same. */
static double waves_of(const struct instruction *instruction, enum kind kind)
{
    if (kind == MATRIX_LOAD)
        return strstr(instruction->opcode, ".4") ? 4 : strstr(instruction->opcode, ".2") ? 2 : 1;
    if (kind == COPY || kind == SHARED)
        return strstr(instruction->opcode, ".128") ? 4 : strstr(instruction->opcode, ".64") ? 2 : 1;
    return 0;
}

/* Copies of the next tile are skipped in the last pass alone, so they count as if they always ran. */
static bool holds_copies(const struct function *f, int b)
{
    for (int i = f->blocks[b].first; i < f->blocks[b].end; i++)
        if (kind_of(&f->instructions[i]) == COPY)
            return true;
    return false;
}

static struct cost count_loop(const struct function *f, int header)
{
    struct cost cost = {0};
    for (int b = 0; b < f->block_count; b++) {
        if (!f->blocks[b].in_loop)
            continue;
        const bool always = always_runs(f, header, b) || holds_copies(f, b);
        for (int i = f->blocks[b].first; i < f->blocks[b].end; i++) {
            const enum kind kind = kind_of(&f->instructions[i]);
            if (!always) {
                cost.sometimes++;
                continue;
            }
            cost.counts[kind]++;
            cost.always++;
            cost.waves += waves_of(&f->instructions[i], kind);
        }
    }
    return cost;
}

static void print_loop(const struct function *f, const struct rates *rates, int number, const struct cost *cost)
{
    const int mma = cost->counts[TENSOR], loads = cost->counts[MATRIX_LOAD];
    const double units[] = {mma * rates->mma, cost->always, cost->waves * rates->wave,
                            cost->counts[SPECIAL] * rates->special, cost->counts[FLOAT] * rates->floats};
    double largest = 0;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        largest = units[i] > largest ? units[i] : largest;
    printf("%s\t%s\t%d", f->name, rates->architecture, number);
    for (int kind = 0; kind < KINDS; kind++)
        printf("\t%d", cost->counts[kind]);
    printf("\t%d\t%d", cost->always, cost->sometimes);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        printf("\t%.0f", units[i]);
    printf("\t%.3f\t%.1f\t%.2f\n", largest / units[0], 100.0 * mma / cost->always, loads ? (double)mma / loads : 0.0);
}

/* Innermost loops with tensor-core products, in the order of their code. */
static void report(struct function *f, const struct rates *rates)
{
    if (f->instruction_count == 0)
        return;
    make_blocks(f);
    find_dominators(f);
    int number = 0;
    for (int header = 0; header < f->block_count; header++) {
        if (mark_loop(f, header) == 0 || loop_mmas(f) == 0)
            continue;
        static bool members[BLOCKS];
        for (int b = 0; b < f->block_count; b++)
            members[b] = f->blocks[b].in_loop;
        bool innermost = true;
        for (int b = 0; b < f->block_count && innermost; b++)
            innermost = b == header || !members[b] || mark_loop(f, b) == 0 || loop_mmas(f) == 0;
        mark_loop(f, header);
        const struct cost cost = count_loop(f, header);
        if (innermost)
            print_loop(f, rates, number++, &cost);
    }
    free(f->dominators);
}

int main(int count, char **arguments)
{
    const struct rates *rates = NULL;
    for (size_t i = 0; count == 2 && i < sizeof architectures / sizeof *architectures; i++)
        if (strcmp(arguments[1], architectures[i].architecture) == 0)
            rates = &architectures[i];
    if (!rates) {
        fprintf(stderr, "usage: nvdisasm -c FILE.cubin | benchmark_sass_loops sm_80|sm_90\n");
        return 2;
    }
    struct function *f = calloc(1, sizeof *f);
    if (!f)
        fail("out of memory");
    printf("kernel\tarchitecture\tloop");
    for (int kind = 0; kind < KINDS; kind++)
        printf("\t%s", kind_names[kind]);
    printf("\tinstructions\tsometimes\ttensor cycles\tissue\tshared memory\tspecial unit\tfloat unit\tlargest/tensor\t"
           "mma share %%\tmma/ldmatrix\n");
    char next[sizeof f->name] = "";
    bool more = true;
    while (more) {
        more = read_function(f, next, sizeof next);
        report(f, rates);
    }
    free(f);
    return 0;
}
