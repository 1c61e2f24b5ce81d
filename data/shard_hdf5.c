/* The only code that calls libhdf5: a set of columns becomes the image of an HDF5 file in memory, and back. libhdf5
 * (serial) is not thread-safe, so one mutex guards every call. A file must not be able to make it open another path:
 * links must be hard, layouts chunked with one chunk and no filter, and no dataset may claim more bytes than the image
 * has. */
#include "core/memory_room.h"
#include "data/shard_layout.h"

#include <hdf5.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t library = PTHREAD_MUTEX_INITIALIZER;

static const char *const groups[] = {"id", "speaker", "meta", "text", "word", "hubert", "pitch", "style"};

/* libhdf5 wants a name even for a file in memory and checks whether it exists: this one cannot. */
static const char NO_PATH[] = "/dev/null/shard.h5";

/* What libhdf5 (1.10.8) allocates for a file beside its data is below 3 MiB; other threads allocate meanwhile. */
enum { LIBRARY_BYTES = 16 << 20 };

enum { GROUPS = sizeof groups / sizeof *groups, NAME_LENGTH = 64, ROOT_LINKS = 15, ROOT_NAME_LENGTH = 8 };

/* Types as stored: little-endian on every machine. The identifiers exist once the library is initialised. */
static hid_t stored_type(enum shard_element element)
{
    switch (element) {
    case ELEMENT_U8:
        return H5T_STD_U8LE;
    case ELEMENT_U16:
        return H5T_STD_U16LE;
    case ELEMENT_I32:
        return H5T_STD_I32LE;
    case ELEMENT_I64:
        return H5T_STD_I64LE;
    case ELEMENT_U32:
        return H5T_STD_U32LE;
    default:
        return H5T_IEEE_F32LE;
    }
}

static void column_path(enum shard_column column, char path[NAME_LENGTH])
{
    const struct shard_column_layout *layout = shard_layout + column;
    snprintf(path, NAME_LENGTH, "%s%s%s", layout->group ? layout->group : "", layout->group ? "/" : "", layout->name);
}

/* Closes an identifier that may be invalid. */
static void release(herr_t (*close)(hid_t), hid_t identifier)
{
    if (identifier >= 0)
        close(identifier);
}

/* Sets an error text that contains the innermost message of libhdf5's error stack. */
static herr_t first_message(unsigned depth, const H5E_error2_t *error, void *text)
{
    if (depth == 0 && error->desc)
        snprintf(text, 200, "%s", error->desc);
    return 0;
}

static enum status library_failed(enum status code, const char *name, const char *what)
{
    char text[200] = "no reason given";
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, first_message, text);
    return status_set(code, "%s: libhdf5 cannot %s: %s", name, what, text);
}

/* libhdf5 writes through a null pointer when it gets no memory for a file's cache (H5AC_create), and reports any other
 * allocation that fails as if the file were damaged. `copies` of the data are made on the way. */
static enum status check_room(const char *name, size_t bytes, size_t copies)
{
    return memory_has_room(bytes * copies + LIBRARY_BYTES)
               ? STATUS_OK
               : status_set(STATUS_INTERNAL, "%s: no memory: libhdf5 needs %zu MiB", name,
                            (bytes * copies + LIBRARY_BYTES) >> 20);
}

static enum status start_library(void)
{
    if (H5open() < 0 || H5Eset_auto2(H5E_DEFAULT, NULL, NULL) < 0)
        return status_set(STATUS_INTERNAL, "libhdf5 does not start");
    return STATUS_OK;
}

/* ---- writing ---- */

static bool has_column_of(const struct shard_columns *columns, const char *group)
{
    for (int column = 0; column < COLUMN_COUNT; column++)
        if (columns->count[column] > 0 && shard_layout[column].group && strcmp(shard_layout[column].group, group) == 0)
            return true;
    return false;
}

static enum status write_groups(const char *name, hid_t file, const struct shard_columns *columns)
{
    enum status result = STATUS_OK;
    hid_t properties = H5Pcreate(H5P_GROUP_CREATE);
    if (properties < 0 || H5Pset_obj_track_times(properties, false) < 0)
        TRY(library_failed(STATUS_INTERNAL, name, "set up groups"));
    for (int i = 0; i < GROUPS; i++) {
        if (!has_column_of(columns, groups[i]))
            continue;
        hid_t group = H5Gcreate2(file, groups[i], H5P_DEFAULT, properties, H5P_DEFAULT);
        if (group < 0 || H5Gclose(group) < 0)
            TRY(library_failed(STATUS_INTERNAL, name, "make a group"));
    }
fail:
    release(H5Pclose, properties);
    return result;
}

static enum status write_column(const char *name, hid_t file, const struct shard_columns *columns,
                                enum shard_column column)
{
    enum status result = STATUS_OK;
    hid_t space = -1, dataset = -1, type = stored_type(shard_layout[column].element);
    hsize_t count = (hsize_t)columns->count[column];
    char path[NAME_LENGTH];
    column_path(column, path);
    hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    if (properties < 0 || H5Pset_obj_track_times(properties, false) < 0 || H5Pset_chunk(properties, 1, &count) < 0 ||
        H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER) < 0)
        TRY(library_failed(STATUS_INTERNAL, name, "set up a dataset"));
    space = H5Screate_simple(1, &count, NULL);
    if (space < 0)
        TRY(library_failed(STATUS_INTERNAL, name, "set up a dataspace"));
    dataset = H5Dcreate2(file, path, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    if (dataset < 0 || H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, columns->data[column]) < 0)
        TRY(library_failed(STATUS_INTERNAL, name, "write a dataset"));
    herr_t closed = H5Dclose(dataset); /* buffered data is written here, so this can fail too */
    dataset = -1;
    if (closed < 0)
        TRY(library_failed(STATUS_INTERNAL, name, "close a dataset"));
fail:
    release(H5Dclose, dataset);
    release(H5Sclose, space);
    release(H5Pclose, properties);
    return result;
}

/* The memory of a file that exists only in memory. It is taken from libhdf5 when the file is closed: the image that
 * H5Fget_file_image gives of an open file has a wrong checksum in its superblock (1.10.8). */
struct image {
    char *memory;
    size_t size; /* allocated; unused bytes are 0 */
};

static void *image_resize(void *memory, size_t size, H5FD_file_image_op_t operation, void *user)
{
    (void)memory;
    (void)operation;
    struct image *image = user;
    char *larger = realloc(image->memory, size);
    if (!larger)
        return NULL;
    if (size > image->size)
        memset(larger + image->size, 0, size - image->size);
    *image = (struct image){larger, size};
    return larger;
}

static void *image_allocate(size_t size, H5FD_file_image_op_t operation, void *user)
{
    return image_resize(NULL, size, operation, user);
}

static void *image_copy(void *to, const void *from, size_t size, H5FD_file_image_op_t operation, void *user)
{
    (void)operation;
    (void)user;
    return memcpy(to, from, size);
}

static herr_t image_keep(void *memory, H5FD_file_image_op_t operation, void *user)
{
    (void)memory;
    (void)operation;
    (void)user;
    return 0;
}

static void *share_user(void *user)
{
    return user;
}

static herr_t keep_user(void *user)
{
    (void)user;
    return 0;
}

/* The newest format: every piece of metadata carries a checksum. */
static enum status create_file(const char *name, struct image *image, hid_t *file)
{
    H5FD_file_image_callbacks_t callbacks = {.image_malloc = image_allocate,
                                             .image_memcpy = image_copy,
                                             .image_realloc = image_resize,
                                             .image_free = image_keep,
                                             .udata_copy = share_user,
                                             .udata_free = keep_user,
                                             .udata = image};
    enum status result = STATUS_OK;
    hid_t creation = H5Pcreate(H5P_FILE_CREATE), access = H5Pcreate(H5P_FILE_ACCESS);
    /* Compact links: all names are in the root group's header, and no heap or tree is needed. */
    if (creation < 0 || access < 0 || H5Pset_obj_track_times(creation, false) < 0 ||
        H5Pset_link_phase_change(creation, COLUMN_COUNT, COLUMN_COUNT / 2) < 0 ||
        H5Pset_est_link_info(creation, ROOT_LINKS, ROOT_NAME_LENGTH) < 0 ||
        H5Pset_fapl_core(access, 1 << 20, false) < 0 || H5Pset_file_image_callbacks(access, &callbacks) < 0 ||
        H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110) < 0)
        TRY(library_failed(STATUS_INTERNAL, name, "set up a file in memory"));
    *file = H5Fcreate(NO_PATH, H5F_ACC_TRUNC, creation, access);
    if (*file < 0)
        TRY(library_failed(STATUS_INTERNAL, name, "make a file in memory"));
fail:
    release(H5Pclose, access);
    release(H5Pclose, creation);
    return result;
}

static enum status make_image(const char *name, const struct shard_columns *columns, struct image *image, int64_t *size)
{
    enum status result = STATUS_OK;
    hid_t file = -1;
    size_t bytes = 0;
    for (int column = 0; column < COLUMN_COUNT; column++)
        bytes += (size_t)columns->count[column] * shard_element_size[shard_layout[column].element];
    TRY(check_room(name, bytes, 3)); /* the chunk, the image, and the image while it grows */
    TRY(start_library());
    TRY(create_file(name, image, &file));
    TRY(write_groups(name, file, columns));
    for (int column = 0; column < COLUMN_COUNT; column++)
        if (columns->count[column] > 0)
            TRY(write_column(name, file, columns, (enum shard_column)column));
    herr_t closed = H5Fclose(file);
    file = -1;
    if (closed < 0)
        TRY(library_failed(STATUS_INTERNAL, name, "close"));
    /* The end of the file, from the superblock of version 3. */
    if (image->size < 48 || image->memory[8] != 3)
        FAIL(STATUS_INTERNAL, "%s: libhdf5 made no superblock of version 3", name);
    memcpy(size, image->memory + 28, sizeof *size);
    if (*size < 48 || *size > (int64_t)image->size)
        FAIL(STATUS_INTERNAL, "%s: libhdf5 made a file of %lld bytes in an image of %zu", name, (long long)*size,
             image->size);
fail:
    release(H5Fclose, file);
    return result;
}

enum status shard_image_make(const char *name, const struct shard_columns *columns, void **data, int64_t *size)
{
    struct image image = {NULL, 0};
    *size = 0;
    pthread_mutex_lock(&library);
    enum status result = make_image(name, columns, &image, size);
    pthread_mutex_unlock(&library);
    if (result != STATUS_OK) {
        free(image.memory);
        image.memory = NULL;
    }
    *data = image.memory;
    return result;
}

/* ---- reading ---- */

static enum status refuse(const char *name, const char *path, const char *reason)
{
    return status_set(STATUS_CORRUPT, "%s: not a shard: dataset %s %s", name, path, reason);
}

/* 1: a hard link is there; 0: nothing is there; -1: a link that could lead out of the file, or a broken one. */
static int hard_link(hid_t file, const char *path)
{
    htri_t exists = H5Lexists(file, path, H5P_DEFAULT);
    if (exists <= 0)
        return exists < 0 ? -1 : 0;
    H5L_info_t info;
    return H5Lget_info(file, path, &info, H5P_DEFAULT) >= 0 && info.type == H5L_TYPE_HARD ? 1 : -1;
}

static enum status check_dataset(const char *name, const char *path, hid_t dataset, enum shard_element element,
                                 int64_t image_size, int64_t *count)
{
    enum status result = STATUS_OK;
    hsize_t extent = 0, chunk = 0;
    hid_t properties = H5Dget_create_plist(dataset), type = H5Dget_type(dataset), space = H5Dget_space(dataset);
    if (properties < 0 || type < 0 || space < 0)
        TRY(refuse(name, path, "has a broken header"));
    if (H5Tequal(type, stored_type(element)) <= 0)
        TRY(refuse(name, path, "has the wrong type"));
    if (H5Sget_simple_extent_ndims(space) != 1 || H5Sget_simple_extent_dims(space, &extent, NULL) != 1)
        TRY(refuse(name, path, "is not one-dimensional"));
    if (H5Pget_layout(properties) != H5D_CHUNKED || H5Pget_chunk(properties, 1, &chunk) != 1 || chunk != extent)
        TRY(refuse(name, path, "is not one chunk"));
    if (H5Pget_nfilters(properties) != 0 || H5Pget_external_count(properties) != 0)
        TRY(refuse(name, path, "is filtered or external"));
    if (extent == 0 || extent > (hsize_t)image_size / shard_element_size[element])
        TRY(refuse(name, path, "claims more than the file has"));
    *count = (int64_t)extent;
fail:
    release(H5Sclose, space);
    release(H5Tclose, type);
    release(H5Pclose, properties);
    return result;
}

static enum status read_column(const char *name, hid_t file, int64_t image_size, enum shard_column column,
                               struct shard_columns *columns)
{
    enum status result = STATUS_OK;
    const struct shard_column_layout *layout = shard_layout + column;
    char path[NAME_LENGTH];
    column_path(column, path);
    hid_t dataset = -1;
    int64_t count = 0;
    int link = layout->group ? hard_link(file, layout->group) : 1;
    if (link > 0)
        link = hard_link(file, path);
    if (link < 0)
        TRY(refuse(name, path, "has a broken or foreign link"));
    if (link == 0)
        return STATUS_OK;
    dataset = H5Dopen2(file, path, H5P_DEFAULT);
    if (dataset < 0)
        TRY(library_failed(STATUS_CORRUPT, name, "open a dataset"));
    TRY(check_dataset(name, path, dataset, layout->element, image_size, &count));
    size_t bytes = (size_t)count * shard_element_size[layout->element];
    columns->data[column] = calloc(1, bytes);
    if (!columns->data[column])
        FAIL(STATUS_INTERNAL, "%s: no memory for %zu bytes", name, bytes);
    columns->count[column] = count;
    if (H5Dread(dataset, stored_type(layout->element), H5S_ALL, H5S_ALL, H5P_DEFAULT, columns->data[column]) < 0)
        TRY(library_failed(STATUS_CORRUPT, name, "read a dataset"));
fail:
    release(H5Dclose, dataset);
    return result;
}

static enum status parse_image(const char *name, const void *image, int64_t size, struct shard_columns *columns)
{
    enum status result = STATUS_OK;
    hid_t file = -1, access = -1;
    TRY(check_room(name, (size_t)size, 3)); /* the image in the access list, in the file, and the columns */
    TRY(start_library());
    access = H5Pcreate(H5P_FILE_ACCESS);
    if (access < 0 || H5Pset_fapl_core(access, 1 << 20, false) < 0 ||
        H5Pset_file_image(access, (void *)(uintptr_t)image, (size_t)size) < 0)
        TRY(library_failed(STATUS_INTERNAL, name, "take a file's image"));
    file = H5Fopen(NO_PATH, H5F_ACC_RDONLY, access);
    if (file < 0)
        TRY(library_failed(STATUS_CORRUPT, name, "open the file"));
    for (int column = 0; column < COLUMN_COUNT; column++)
        TRY(read_column(name, file, size, (enum shard_column)column, columns));
fail:
    release(H5Fclose, file);
    release(H5Pclose, access);
    if (result == STATUS_CORRUPT && check_room(name, (size_t)size, 3) != STATUS_OK)
        result = STATUS_INTERNAL; /* another thread took the memory: nothing is known of the file */
    if (result != STATUS_OK)
        shard_columns_free(columns);
    return result;
}

enum status shard_image_parse(const char *name, const void *image, int64_t size, struct shard_columns *columns)
{
    memset(columns, 0, sizeof *columns);
    pthread_mutex_lock(&library);
    enum status result = parse_image(name, image, size, columns);
    pthread_mutex_unlock(&library);
    return result;
}
