/* Models too large to be made in memory, for benchmark_load_7b: the shape of LLaMA-2 7B with random bf16 weights, written a
 * piece at a time as the owners of real ones write them: model.safetensors with its names in order, and pytorch_model.bin as
 * torch.save stores it, a zip file of stored members that start at multiples of 64 bytes. */
#ifndef SPIRITLM_BENCHMARKS_LARGE_LLAMA_H
#define SPIRITLM_BENCHMARKS_LARGE_LLAMA_H

#include "benchmarks/measure.h"
#include "io/atomic_file.h"
#include "io/safetensors.h"
#include "models/llama/llama.h"
#include "models/llama/llama_folder.h"

#include <zlib.h>

enum { LARGE_PIECE = 1 << 22, LARGE_TENSORS = 512 };

/* Bytes [.., + bytes) of a tensor: ones for norms, else both signs, 2^-11 to 2^-7 in size. */
static inline void large_fill(uint64_t *words, int64_t bytes, bool norm, uint64_t *state)
{
    for (int64_t i = 0; i < (bytes + 7) / 8; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        uint64_t mixed = *state ^ *state >> 29;
        words[i] = norm ? 0x3f803f803f803f80 : (mixed & 0x81ff81ff81ff81ff) | 0x3a003a003a003a00;
    }
}

static inline int large_by_name(const void *a, const void *b)
{
    return strcmp(((const struct parameter_view *)a)->name, ((const struct parameter_view *)b)->name);
}

/* Calls `put` with all bytes of a tensor, a piece after the other. */
static inline void large_each_piece(const struct parameter_view *view, void (*put)(void *, const void *, int64_t),
                                    void *argument)
{
    static uint64_t words[LARGE_PIECE / 8];
    uint64_t state = (uint64_t)view->offset + 1;
    int64_t left = view->count * 2;
    while (left > 0) {
        int64_t bytes = left < LARGE_PIECE ? left : LARGE_PIECE;
        large_fill(words, bytes, view->rank == 1, &state);
        put(argument, words, bytes);
        left -= bytes;
    }
}

static inline void large_append(void *argument, const void *data, int64_t bytes)
{
    must(safetensors_append(argument, data, bytes));
}

static inline void large_write_safetensors(struct atomic_directory *directory, const struct parameter_layout *layout)
{
    static struct tensor_info infos[LARGE_TENSORS];
    static struct parameter_view views[LARGE_TENSORS];
    struct output_file *file;
    struct safetensors_writer writer;
    memcpy(views, layout->views, (size_t)layout->count * sizeof *views);
    qsort(views, (size_t)layout->count, sizeof *views, large_by_name);
    for (int64_t i = 0; i < layout->count; i++) {
        infos[i] = (struct tensor_info){
            .name = views[i].name, .type = DTYPE_BF16, .rank = views[i].rank, .bytes = views[i].count * 2};
        memcpy(infos[i].shape, views[i].shape, sizeof views[i].shape);
    }
    must(atomic_directory_create(directory, "model.safetensors", layout->elements * 2, &file));
    must(safetensors_begin(file, infos, layout->count, NULL, 0, &writer));
    for (int64_t i = 0; i < layout->count; i++)
        large_each_piece(&views[i], large_append, &writer);
    must(safetensors_end(&writer));
    must(output_close(file));
}

/* ---- a zip file ---- */

struct large_zip {
    struct output_file *file;
    int64_t size; /* written so far */
    uint32_t crc; /* of the member that is being written */
    unsigned char directory[LARGE_TENSORS * 128];
    size_t directory_size, members;
};

static inline void zip_bytes(struct large_zip *zip, const void *data, int64_t bytes)
{
    must(output_write(zip->file, data, bytes));
    zip->size += bytes;
}

static inline void zip_member_bytes(void *argument, const void *data, int64_t bytes)
{
    struct large_zip *zip = argument;
    zip->crc = (uint32_t)crc32(zip->crc, data, (uInt)bytes);
    zip_bytes(zip, data, bytes);
}

/* Numbers of a header, each as many bytes as its width says: "242" is three. */
static inline size_t zip_numbers(unsigned char *to, const char *widths, const uint64_t *numbers)
{
    size_t size = 0;
    for (size_t i = 0; widths[i]; i++)
        for (int b = 0; b < widths[i] - '0'; b++)
            to[size++] = (unsigned char)(numbers[i] >> 8 * b);
    return size;
}

enum { ZIP_ALIGNMENT = 64, ZIP_LATER = 8 }; /* flag: sizes and CRC stand behind the data */

/* A member's header, with a field of padding behind its name so that the data is aligned. */
static inline int64_t zip_begin(struct large_zip *zip, const char *name)
{
    unsigned char header[160] = {0};
    size_t length = strlen(name);
    int64_t start = zip->size, data = start + 30 + (int64_t)length + 4;
    size_t padding = (size_t)((ZIP_ALIGNMENT - data % ZIP_ALIGNMENT) % ZIP_ALIGNMENT);
    size_t size = zip_numbers(header, "42222244422",
                              (const uint64_t[]){0x04034b50, 0, ZIP_LATER, 0, 0, 0, 0, 0, 0, length, padding + 4});
    memcpy(header + size, name, length);
    size += length;
    size += zip_numbers(header + size, "22", (const uint64_t[]){0x4246, padding});
    zip_bytes(zip, header, (int64_t)(size + padding));
    zip->crc = 0;
    return start;
}

/* Its size and CRC, and its entry in the directory, which has places of 8 bytes for large files. */
static inline void zip_end(struct large_zip *zip, const char *name, int64_t start, int64_t bytes)
{
    unsigned char descriptor[64], *entry = zip->directory + zip->directory_size;
    size_t length = strlen(name);
    uint64_t size = (uint64_t)bytes;
    zip_bytes(zip, descriptor,
              (int64_t)zip_numbers(descriptor, "4444", (const uint64_t[]){0x08074b50, zip->crc, size, size}));
    size_t written = zip_numbers(entry,
                                 "4222222444222224"
                                 "4",
                                 (const uint64_t[]){0x02014b50, 45, 45, ZIP_LATER, 0, 0, 0, zip->crc, size, size,
                                                    length, 12, 0, 0, 0, 0, UINT32_MAX});
    memcpy(entry + written, name, length);
    written += length;
    written += zip_numbers(entry + written, "228", (const uint64_t[]){1, 8, (uint64_t)start});
    zip->directory_size += written;
    zip->members++;
}

static inline void zip_finish(struct large_zip *zip)
{
    unsigned char end[128];
    uint64_t start = (uint64_t)zip->size, size = zip->directory_size, members = zip->members;
    zip_bytes(zip, zip->directory, (int64_t)zip->directory_size);
    uint64_t record = (uint64_t)zip->size;
    size_t written =
        zip_numbers(end, "4822448888", (const uint64_t[]){0x06064b50, 44, 45, 45, 0, 0, members, members, size, start});
    written += zip_numbers(end + written, "4484", (const uint64_t[]){0x07064b50, 0, record, 1});
    written += zip_numbers(end + written, "42222442",
                           (const uint64_t[]){0x06054b50, 0, 0, members, members, size, UINT32_MAX, 0});
    zip_bytes(zip, end, (int64_t)written);
}

/* ---- the pickle of a dictionary of tensors ---- */

static inline size_t pickle_bytes(char *to, const void *data, size_t size)
{
    memcpy(to, data, size);
    return size;
}

static inline size_t pickle_unicode(char *to, const char *text)
{
    size_t length = strlen(text);
    to[0] = 'X';
    zip_numbers((unsigned char *)to + 1, "4", (const uint64_t[]){length});
    memcpy(to + 5, text, length);
    return length + 5;
}

static inline size_t pickle_int(char *to, int64_t number)
{
    to[0] = 'J';
    return 1 + zip_numbers((unsigned char *)to + 1, "4", (const uint64_t[]){(uint64_t)number});
}

static inline size_t pickle_tensor(char *to, const struct parameter_view *view, int64_t key)
{
    static const char rebuild[] = "ctorch._utils\n_rebuild_tensor_v2\n((", storage[] = "ctorch\nBFloat16Storage\n";
    char number[24];
    size_t size = pickle_unicode(to, view->name);
    snprintf(number, sizeof number, "%d", (int)key);
    size += pickle_bytes(to + size, rebuild, sizeof rebuild - 1);
    size += pickle_unicode(to + size, "storage");
    size += pickle_bytes(to + size, storage, sizeof storage - 1);
    size += pickle_unicode(to + size, number);
    size += pickle_unicode(to + size, "cpu");
    size += pickle_int(to + size, view->count);
    size += pickle_bytes(to + size, "tQ", 2);
    size += pickle_int(to + size, 0);
    for (int kind = 0; kind < 2; kind++) { /* shape, strides */
        to[size++] = '(';
        for (int d = 0; d < view->rank; d++)
            size += pickle_int(to + size, kind == 0 ? view->shape[d] : d + 1 < view->rank ? view->shape[1] : 1);
        to[size++] = 't';
    }
    return size + pickle_bytes(to + size,
                               "\x89"
                               "ccollections\nOrderedDict\n)RtR",
                               30);
}

static inline void large_write_torch(struct atomic_directory *directory, const struct parameter_layout *layout)
{
    static struct large_zip zip;
    static char pickle[LARGE_TENSORS * 400];
    size_t size = pickle_bytes(pickle, "\x80\x02}(", 4);
    memset(&zip, 0, sizeof zip);
    for (int64_t i = 0; i < layout->count; i++)
        size += pickle_tensor(pickle + size, &layout->views[i], i);
    size += pickle_bytes(pickle + size, "u.", 2);
    must(atomic_directory_create(directory, "pytorch_model.bin", layout->elements * 2, &zip.file));
    int64_t start = zip_begin(&zip, "pytorch_model/data.pkl");
    zip_member_bytes(&zip, pickle, (int64_t)size);
    zip_end(&zip, "pytorch_model/data.pkl", start, (int64_t)size);
    for (int64_t i = 0; i < layout->count; i++) {
        char name[64];
        snprintf(name, sizeof name, "pytorch_model/data/%d", (int)i);
        start = zip_begin(&zip, name);
        large_each_piece(&layout->views[i], zip_member_bytes, &zip);
        zip_end(&zip, name, start, layout->views[i].count * 2);
    }
    start = zip_begin(&zip, "pytorch_model/version");
    zip_member_bytes(&zip, "3\n", 2);
    zip_end(&zip, "pytorch_model/version", start, 2);
    zip_finish(&zip);
    must(output_close(zip.file));
}

/* A folder with config.json and the weights. */
static inline void large_write(const char *folder, const struct llama_config *config, bool torch)
{
    struct atomic_directory *directory;
    struct parameter_layout layout;
    const struct llama described = {.config = *config, .dtype = DTYPE_BF16};
    must(parameter_layout_create(config, &layout));
    if (layout.count + 2 > LARGE_TENSORS) {
        fprintf(stderr, "error: %d tensors\n", (int)layout.count);
        exit(1);
    }
    must(atomic_directory_begin(folder, true, &directory));
    must(llama_write_configs(&described, directory, 1, 2));
    if (torch)
        large_write_torch(directory, &layout);
    else
        large_write_safetensors(directory, &layout);
    must(atomic_directory_commit(directory));
    parameter_layout_free(&layout);
}

#endif
