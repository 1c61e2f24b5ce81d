/* Counts shapes. Two calls have the same shape when all their operands have the same sizes in bytes: that says less than the sizes
 * themselves (a product and that of its transposes may be one), so an operation has at least as many shapes as are printed. */
#include "support/shape_tally.h"

#include "kernels/operands.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The type by which an operation's calls are told apart. */
#define TYPE_matmul p->c_type
#define TYPE_embedding_forward p->type
#define TYPE_embedding_backward p->type
#define TYPE_rmsnorm_forward p->type
#define TYPE_rmsnorm_backward p->type
#define TYPE_rope p->type
#define TYPE_rope_append p->type
#define TYPE_attention_forward p->type
#define TYPE_attention_backward p->forward.type
#define TYPE_attention_decode p->type
#define TYPE_swiglu_forward p->type
#define TYPE_swiglu_backward p->type
#define TYPE_cross_entropy p->type
#define TYPE_log_sum_exp p->type
#define TYPE_convert p->source_type
#define TYPE_squared_norm DTYPE_F32
#define TYPE_clip_scale DTYPE_F32
#define TYPE_adamw p->weights_type
#define TYPE_sample DTYPE_F32
#define TYPE_gelu_backward p->type
#define TYPE_activate p->type
#define TYPE_glu p->type
#define TYPE_gather_repeat p->type
#define TYPE_conv1d_transposed p->type
#define TYPE_conv1d_forward p->type
#define TYPE_conv1d_backward p->forward.type
#define TYPE_layer_norm_forward p->type
#define TYPE_layer_norm_backward p->type
#define TYPE_group_norm_forward p->type
#define TYPE_group_norm_backward p->type
#define TYPE_conv1d_group_norm p->conv.type
#define TYPE_waveform_normalise p->type
#define TYPE_log_mel_spectrum DTYPE_F32
#define TYPE_kmeans_assign DTYPE_F32

enum operation {
#define NUMBER(name) OPERATION_##name,
    KERNEL_OPERATIONS(NUMBER)
#undef NUMBER
        OPERATIONS
};
static const char *const names[] = {
#define NAME(name) #name,
    KERNEL_OPERATIONS(NAME)
#undef NAME
};

/* The shapes of one operation and type, as hashes of their sizes. */
struct shapes {
    uint64_t *hashes;
    int64_t count, capacity;
};

static const struct kernels *counted;
static struct kernels table;
static struct shapes seen[OPERATIONS][2]; /* f32, bf16 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void note(enum operation operation, enum dtype type, uint64_t hash)
{
    pthread_mutex_lock(&lock);
    struct shapes *shapes = &seen[operation][type == DTYPE_BF16];
    int64_t i = 0;
    while (i < shapes->count && shapes->hashes[i] != hash)
        i++;
    if (i == shapes->capacity) {
        shapes->capacity = 2 * shapes->capacity + 64;
        uint64_t *larger = realloc(shapes->hashes, (size_t)shapes->capacity * sizeof *larger);
        if (!larger) {
            fprintf(stderr, "no memory to count shapes\n");
            exit(2);
        }
        shapes->hashes = larger;
    }
    if (i == shapes->count)
        shapes->hashes[shapes->count++] = hash;
    pthread_mutex_unlock(&lock);
}

static void write_shapes(void)
{
    FILE *file = fopen(getenv("SPIRITLM_TEST_SHAPES"), "a");
    bool good = file != NULL;
    for (int operation = 0; operation < OPERATIONS; operation++)
        for (int type = 0; type < 2; type++) {
            struct shapes *shapes = &seen[operation][type];
            const char *type_name = type ? "bf16" : "f32";
            for (int64_t i = 0; good && i < shapes->count; i++)
                good = fprintf(file, "%s %s %016" PRIx64 "\n", names[operation], type_name, shapes->hashes[i]) > 0;
            if (shapes->count > 0)
                printf("shapes %s %s %" PRId64 "\n", names[operation], type_name, shapes->count);
            free(shapes->hashes);
        }
    fflush(stdout);
    if (!file || fclose(file) != 0 || !good) {
        fprintf(stderr, "cannot write shapes to %s\n", getenv("SPIRITLM_TEST_SHAPES"));
        _exit(2);
    }
}

/* Mixes a number into a hash (the finaliser of splitmix64). */
static uint64_t mixed(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) + 0x9E3779B97F4A7C15u;
    hash = (hash ^ (hash >> 30)) * 0xBF58476D1CE4E5B9u;
    hash = (hash ^ (hash >> 27)) * 0x94D049BB133111EBu;
    return hash ^ (hash >> 31);
}

#define MIX(member, bytes, access) hash = mixed(hash, p->member ? (uint64_t)(bytes) : UINT64_MAX);
#define COUNTED(name)                                                                                                  \
    static enum status counted_##name(const struct device_context *context, const struct name *p)                      \
    {                                                                                                                  \
        enum status result = counted->name(context, p);                                                                \
        if (result == STATUS_OK) {                                                                                     \
            uint64_t hash = 0;                                                                                         \
            OPERANDS_##name(MIX);                                                                                      \
            note(OPERATION_##name, TYPE_##name, hash);                                                                 \
        }                                                                                                              \
        return result;                                                                                                 \
    }
KERNEL_OPERATIONS(COUNTED)
#undef COUNTED

static void fill(void)
{
    table = *counted;
#define MEMBER(name) table.name = counted_##name;
    KERNEL_OPERATIONS(MEMBER)
#undef MEMBER
    if (atexit(write_shapes) != 0) {
        fprintf(stderr, "cannot register what writes the shapes\n");
        exit(2);
    }
}

const struct kernels *shape_tally(const struct kernels *inner)
{
    const char *text = getenv("SPIRITLM_TEST_SHAPES");
    if (!text || !*text)
        return inner;
    counted = inner;
    pthread_once(&once, fill);
    return &table;
}
