/* The inside of the emulated CUDA runtime: devices, streams as queues of work, and what orders work. The libraries
 * (libraries/) put their calls into streams through this header as well.
 *
 * Work is stored when a call asks for it and runs only when something makes it: a wait of the host, a query, or work
 * that has to come after it. When it is asked for it gets a vector clock over all streams: which work of each stream
 * is ordered before it by streams, events and waits of the host. When it runs, every range of memory that it touches
 * is compared with who touched that range before: an earlier access that its clock does not cover is a missing wait
 * (hazards.c).
 *
 * One lock guards all of it: every call of CUDA's interface is runtime_enter, the work, runtime_leave. */
#ifndef SPIRITLM_EMULATOR_RUNTIME_INTERNAL_H
#define SPIRITLM_EMULATOR_RUNTIME_INTERNAL_H

#include <cuda_runtime_api.h>

#include "emulator/machine/machine.h"
#include "emulator/runtime/emulator.h"

enum { STREAM_SLOTS = 128, CAPTURE_BRANCHES = 16, DEVICES_MAXIMUM = 16 };

/* ---- order ---- */

/* Streams live in slots. Work number n of a slot is the n-th that was ever put there, whatever stream had the slot. */
struct stream_clock {
    int64_t passed[STREAM_SLOTS];
};
struct stream_mark {
    int32_t slot;
    int64_t sequence;
    struct stream_clock clock; /* of what is ordered before the mark, the marked work included */
};
void clock_join(struct stream_clock *clock, const struct stream_clock *other);
extern struct stream_clock host_clock; /* what the host has waited for */

/* ---- memory ---- */

/* `rows` rows of `width` bytes that begin `pitch` bytes apart. */
struct span {
    uint64_t address, width, pitch, rows;
};
struct span span_of(uint64_t address, uint64_t bytes);
/* Of `batches` such blocks, `stride` bytes apart; may cover more than they do, never less. */
struct span span_of_batches(uint64_t address, uint64_t width, uint64_t pitch, uint64_t rows, uint64_t stride,
                            uint64_t batches);
uint64_t span_end(const struct span *span);
bool span_overlaps(const struct span *a, const struct span *b);

struct operand {
    struct span span;
    const char *name; /* in reports */
    bool host, write;
};

struct device;

/* A range whose latest access by one stream was work number `sequence` of its slot. */
struct access_record {
    struct span span;
    uint64_t end;
    int32_t slot;
    bool write;
    int64_t sequence;
    const char *work;
};
enum allocation_kind { DEVICE_MEMORY, DEVICE_VARIABLE, HOST_ALLOCATED, HOST_REGISTERED };
struct allocation {
    uint64_t address, bytes;
    enum allocation_kind kind;
    struct device *device;
    unsigned int flags; /* of cudaHostAlloc or cudaHostRegister */
    bool retired;       /* cudaFreeAsync was called; the memory itself goes when the stream comes there */
    int32_t pending;    /* operands of queued work that lie here */
    struct access_record *records;
    int64_t record_count, record_capacity, prune_at;
    int64_t own_first; /* of the records of the work that is noted down (hazards.c) */
    bool replaced;     /* some record has been replaced and waits to be dropped */
};
struct allocation *allocation_add(uint64_t address, uint64_t bytes, enum allocation_kind kind, struct device *device);
struct allocation *allocation_at(uint64_t address); /* the one that contains the address, or NULL */
struct allocation *allocation_of(uint64_t address, uint64_t bytes);
void allocation_remove(struct allocation *allocation);
void allocations_remove_of(const struct device *device); /* NULL: of the host */
void allocations_forget_accesses(void);
int64_t allocation_count(void);
struct allocation *allocation_number(int64_t i);

/* ---- work ---- */

struct work;
typedef void work_function(struct device *device, struct work *work);

struct work {
    struct work *next;
    const char *name; /* of the call or kernel; is never freed */
    work_function *run;
    work_function *prepare; /* when it is really queued, not when it is captured; NULL: nothing to do */
    int32_t slot;
    int64_t sequence;
    struct stream_clock clock;
    bool calls_host; /* cudaLaunchHostFunc: may do anything to host memory */
    bool waits;      /* only waits for work of another slot */
    int32_t awaited_slot;
    int64_t awaited;
    struct operand operands[6];
    int32_t operand_count;
    size_t payload_bytes;
    _Alignas(16) unsigned char payload[]; /* plain bytes, so that a graph can repeat the work */
};
struct work *work_create(const char *name, work_function *run, size_t payload_bytes);
struct work *work_clone(const struct work *work);
void work_add_operand(struct work *work, const char *name, struct span span, bool host, bool write);

/* ---- streams, events, graphs ---- */

struct capture;

struct CUstream_st {
    struct device *device;
    int32_t slot;
    unsigned int flags;
    int priority;
    bool legacy, hidden, destroyed;
    struct work *first, *last;
    struct stream_clock clock; /* of what is put in next, before its own number */
    struct capture *capture;
    int32_t branch;
};

struct CUevent_st {
    struct CUevent_st *next;
    struct device *device;
    unsigned int flags;
    bool recorded;
    struct stream_mark mark;
    double milliseconds; /* when the mark was passed */
    /* Recorded into a stream that is being captured: the place in the capture's branches. */
    unsigned long long capture_id;
    int32_t branch;
    int32_t passed[CAPTURE_BRANCHES];
};

/* `handle` as a stream of a live device; NULL and cudaStreamLegacy are the current device's legacy stream. */
cudaError_t stream_resolve(cudaStream_t handle, struct CUstream_st **stream);
struct CUstream_st *stream_create(struct device *device, unsigned int flags, int priority);
struct CUstream_st *stream_in_slot(int32_t slot);
void streams_drop(const struct device *device);
void events_drop(const struct device *device);
cudaError_t event_resolve(cudaEvent_t handle);

/* Puts work at the end of a stream, or of the graph that the stream is being captured into. Takes the work over. */
cudaError_t queue_put(struct CUstream_st *stream, struct work *work);
void queue_put_wait(struct CUstream_st *stream, const struct stream_mark *mark);
struct stream_mark queue_mark(struct CUstream_st *stream); /* the end of what is in the stream now */
bool queue_passed(const struct stream_mark *mark);
void queue_run_to(const struct stream_mark *mark); /* runs what is needed, and the host knows of it */
void queue_step(const struct stream_mark *mark);   /* one piece of it */
void queue_finish(struct CUstream_st *stream);
void queue_finish_device(struct device *device);
struct stream_clock queue_floor(void);       /* what all queued and all future work comes after */
void queue_drop(struct CUstream_st *stream); /* without running it */
bool queue_calls_host(void);                 /* whether a host function is queued */
/* The first queued work that touches the range, or NULL. `device_memory`: also by values in kernels' parameters. */
const struct work *queue_user(uint64_t address, uint64_t bytes, bool device_memory);

/* Adds the work to the stream's capture. */
cudaError_t capture_put(struct CUstream_st *stream, struct work *work);
cudaError_t capture_record(struct CUstream_st *stream, struct CUevent_st *event);
cudaError_t capture_wait(struct CUstream_st *stream, const struct CUevent_st *event);
/* The error of a call that must not be made while a stream is captured; the capture is then lost. `stream` NULL: a call
 * that concerns the whole device. */
cudaError_t capture_forbids(struct CUstream_st *stream);
/* Use of the legacy stream while a blocking stream is captured. */
cudaError_t captures_forbid_legacy(const struct CUstream_st *legacy);
void captures_drop(const struct device *device); /* and graphs */

/* Compares the access with those before it and remembers it. */
void hazard_access(struct device *device, const struct work *work, const struct operand *operand);
/* Those of a kernel that has just run, when the machine can name them. */
void hazard_launch(struct device *device, const struct work *work);

/* ---- devices, errors ---- */

struct device {
    int32_t number;
    struct machine *machine;
    cudaError_t lost; /* what every call says after an illegal access, until the device is reset */
    struct CUstream_st *legacy;
};
extern struct device devices[DEVICES_MAXIMUM];
extern int32_t device_count;
extern int32_t device_places[DEVICES_MAXIMUM]; /* of the visible devices among all that the machine has */
struct device *device_current(void);
int32_t device_current_number(void);
void device_make_current(int32_t number);
void device_open(struct device *device);
void device_close(struct device *device); /* drops everything that belongs to it */

/* Takes the lock. Not cudaSuccess when the current device is lost or the call comes from a host function. */
cudaError_t runtime_enter(void);
/* Takes the lock only: for calls that work on a lost device. */
void runtime_enter_always(void);
/* What every call says where there is no driver, too old a one, or no device. */
cudaError_t runtime_unusable(void);
extern int runtime_driver; /* the version that it supports, as cudaDriverGetVersion says it; 0: none */
cudaError_t runtime_leave(cudaError_t error); /* keeps it for cudaGetLastError */
cudaError_t runtime_last_error(bool clear);
void runtime_call_host(cudaHostFn_t function, void *data);
_Noreturn void runtime_fatal(const char *format, ...) __attribute__((format(printf, 1, 2)));
void runtime_report(struct device *device, enum machine_check check, const char *call, uint64_t address,
                    const char *format, ...) __attribute__((format(printf, 5, 6)));
/* A launch by <<<>>> whose error cannot be returned; reported at the end unless the program asks for errors. */
void runtime_note_unseen(cudaError_t error, const char *kernel);
extern struct emulator_counters runtime_counters;

/* ---- modules ---- */

/* A kernel as the program registered it; cudaFunction_t and cudaKernel_t point to it. */
struct CUkern_st {
    struct CUkern_st *next;
    const void *host_function;
    const char *name;
    struct registered_module *module;
    struct machine_kernel *loaded[DEVICES_MAXIMUM];
    int64_t dynamic_shared[DEVICES_MAXIMUM]; /* opted into by cudaFuncSetAttribute */
};
struct CUkern_st *module_kernel(const void *host_function); /* NULL: nobody registered it */
bool module_is_kernel(const struct CUkern_st *kernel);
/* Whether its module has PTX that the device can run: to be asked before it is loaded. */
bool module_suits(const struct CUkern_st *kernel, const struct device *device);
struct machine_kernel *module_load_kernel(struct CUkern_st *kernel, struct device *device);
/* 0 when no variable is registered for it. */
uint64_t module_variable(const void *host_variable, struct device *device, uint64_t *bytes);
void modules_forget(const struct device *device);

/* ---- totals.c ---- */

/* machine_run, and counted for totals_print when EMULATOR_COUNTERS asks for it. */
bool totals_run(struct machine *machine, const struct machine_launch *launch, const char *kernel);
void totals_print(void); /* nothing when nothing was counted */

/* Values that a launch found in its parameters; for queue_user. */
bool launch_mentions(const struct work *work, uint64_t address, uint64_t bytes);

#endif
