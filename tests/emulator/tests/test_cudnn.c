/* The emulated cudnnConvolutionForward against convolutions in double precision: lines and pixels, groups, strides, dilations,
 * paddings, images with gaps behind them that hold NaN, alpha and beta; and each wrong argument is named in a report.
 *
 * Tolerance: a chain of n additions and products in f32 errs by at most about 2 n 2^-24 of the sum of |x w|; bf16 results add
 * half a unit in their last place, 2^-9. */
#include "emulator/tests/runtime_support.h"

#include <cudnn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define assert_dnn(call) assert_int_equal((call), CUDNN_STATUS_SUCCESS)

struct problem {
    int n, c, h, w, k, r, s; /* c and k in all groups */
    int padding[2], step[2], dilation[2], groups, gap;
    bool bfloat;
    float alpha, beta;
};
struct array {
    int64_t count;
    bool bfloat;
    double *values; /* as they are rounded */
    unsigned char *host;
    void *device;
};
struct call {
    cudnnHandle_t handle;
    cudnnTensorDescriptor_t x_tensor, y_tensor;
    cudnnFilterDescriptor_t filter;
    cudnnConvolutionDescriptor_t convolution;
    cudnnConvolutionFwdAlgo_t algorithm;
    struct array x, w, y;
    void *workspace;
    size_t workspace_bytes;
    float alpha, beta;
    int p, q; /* lines and pixels of y */
};

/* ---- arrays ---- */

static void put(struct array *array, int64_t i, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    if (array->bfloat) {
        uint16_t half = isnan(value) ? 0x7FC0 : (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
        memcpy(array->host + 2 * i, &half, 2);
        bits = (uint32_t)half << 16;
        memcpy(&value, &bits, 4);
    } else {
        memcpy(array->host + 4 * i, &value, 4);
    }
    array->values[i] = value;
}

static double get(const struct array *array, int64_t i)
{
    uint32_t bits = 0;
    float value;
    if (array->bfloat)
        memcpy((unsigned char *)&bits + 2, array->host + 2 * i, 2);
    else
        memcpy(&bits, array->host + 4 * i, 4);
    memcpy(&value, &bits, 4);
    return value;
}

static size_t bytes_of(const struct array *array)
{
    return (size_t)array->count * (array->bfloat ? 2 : 4);
}

/* Images of `length` numbers, `gap` apart; NaN in the gaps. */
static struct array make(struct rng *rng, bool bfloat, int images, int64_t length, int gap)
{
    struct array array = {.count = images * (length + gap), .bfloat = bfloat};
    array.values = calloc((size_t)array.count, sizeof *array.values);
    array.host = calloc((size_t)array.count, 4);
    assert_true(array.values && array.host);
    for (int64_t i = 0; i < array.count; i++)
        put(&array, i, i % (length + gap) < length ? (float)rng_normal(rng) : NAN);
    assert_cuda(cudaMalloc(&array.device, bytes_of(&array)));
    assert_cuda(cudaMemcpy(array.device, array.host, bytes_of(&array), cudaMemcpyHostToDevice));
    return array;
}

static int output_size(const struct problem *problem, int axis)
{
    const int size = axis == 0 ? problem->h : problem->w, taps = axis == 0 ? problem->r : problem->s;
    return (size + 2 * problem->padding[axis] - (taps - 1) * problem->dilation[axis] - 1) / problem->step[axis] + 1;
}

/* ---- calls ---- */

static cudnnStatus_t set_image(cudnnTensorDescriptor_t tensor, cudnnDataType_t type, int n, int c, int h, int w,
                               int gap)
{
    return cudnnSetTensor4dDescriptorEx(tensor, type, n, c, h, w, h * w * c + gap, 1, w * c, c);
}

static struct call prepare(const struct problem *problem, struct rng *rng)
{
    struct call call = {.alpha = problem->alpha,
                        .beta = problem->beta,
                        .p = output_size(problem, 0),
                        .q = output_size(problem, 1),
                        .algorithm = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM};
    const cudnnDataType_t type = problem->bfloat ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
    const int c = problem->c / problem->groups;
    call.x = make(rng, problem->bfloat, problem->n, (int64_t)problem->h * problem->w * problem->c, problem->gap);
    call.w = make(rng, problem->bfloat, 1, (int64_t)problem->k * problem->r * problem->s * c, 0);
    call.y = make(rng, problem->bfloat, problem->n, (int64_t)call.p * call.q * problem->k, problem->gap);
    assert_dnn(cudnnCreate(&call.handle));
    assert_dnn(cudnnCreateTensorDescriptor(&call.x_tensor));
    assert_dnn(cudnnCreateTensorDescriptor(&call.y_tensor));
    assert_dnn(cudnnCreateFilterDescriptor(&call.filter));
    assert_dnn(cudnnCreateConvolutionDescriptor(&call.convolution));
    assert_dnn(set_image(call.x_tensor, type, problem->n, problem->c, problem->h, problem->w, problem->gap));
    assert_dnn(set_image(call.y_tensor, type, problem->n, problem->k, call.p, call.q, problem->gap));
    assert_dnn(cudnnSetFilter4dDescriptor(call.filter, type, CUDNN_TENSOR_NHWC, problem->k, c, problem->r, problem->s));
    assert_dnn(cudnnSetConvolution2dDescriptor(call.convolution, problem->padding[0], problem->padding[1],
                                               problem->step[0], problem->step[1], problem->dilation[0],
                                               problem->dilation[1], CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
    assert_dnn(cudnnSetConvolutionGroupCount(call.convolution, problem->groups));
    assert_dnn(cudnnSetConvolutionMathType(call.convolution, problem->bfloat ? CUDNN_TENSOR_OP_MATH : CUDNN_FMA_MATH));
    assert_dnn(cudnnGetConvolutionForwardWorkspaceSize(call.handle, call.x_tensor, call.filter, call.convolution,
                                                       call.y_tensor, call.algorithm, &call.workspace_bytes));
    assert_true(call.workspace_bytes > 0);
    assert_cuda(cudaMalloc(&call.workspace, call.workspace_bytes));
    assert_cuda(cudaDeviceSynchronize());
    return call;
}

static cudnnStatus_t convolve(const struct call *call)
{
    return cudnnConvolutionForward(call->handle, &call->alpha, call->x_tensor, call->x.device, call->filter,
                                   call->w.device, call->convolution, call->algorithm, call->workspace,
                                   call->workspace_bytes, &call->beta, call->y_tensor, call->y.device);
}

/* Device memory goes with the emulator's reset; its objects do not. */
static void discard(const struct call *call)
{
    const struct array *arrays[] = {&call->x, &call->w, &call->y};
    for (int i = 0; i < 3; i++) {
        free(arrays[i]->values);
        free(arrays[i]->host);
    }
    assert_dnn(cudnnDestroyConvolutionDescriptor(call->convolution));
    assert_dnn(cudnnDestroyFilterDescriptor(call->filter));
    assert_dnn(cudnnDestroyTensorDescriptor(call->y_tensor));
    assert_dnn(cudnnDestroyTensorDescriptor(call->x_tensor));
    assert_dnn(cudnnDestroy(call->handle));
}

/* ---- results ---- */

/* The sum of pixel (i, j) of image n for filter k, and that of its absolute values. */
static double sum_at(const struct problem *problem, const struct call *call, int n, int i, int j, int k, double *size)
{
    const int c = problem->c / problem->groups, group = k / (problem->k / problem->groups);
    const int64_t image = (int64_t)problem->h * problem->w * problem->c + problem->gap;
    double sum = 0;
    for (int r = 0; r < problem->r; r++)
        for (int s = 0; s < problem->s; s++)
            for (int e = 0; e < c; e++) {
                const int line = i * problem->step[0] + r * problem->dilation[0] - problem->padding[0];
                const int pixel = j * problem->step[1] + s * problem->dilation[1] - problem->padding[1];
                if (line < 0 || line >= problem->h || pixel < 0 || pixel >= problem->w)
                    continue;
                const double product =
                    call->x.values[n * image + ((int64_t)line * problem->w + pixel) * problem->c + group * c + e] *
                    call->w.values[(((int64_t)k * problem->r + r) * problem->s + s) * c + e];
                sum += product;
                *size += fabs(product);
            }
    return sum;
}

static void compare(const struct problem *problem, const struct call *call)
{
    const int64_t image = (int64_t)call->p * call->q * problem->k,
                  depth = (int64_t)problem->r * problem->s * problem->c;
    for (int64_t at = 0; at < call->y.count; at++) {
        const int n = (int)(at / (image + problem->gap)), inside = (int)(at % (image + problem->gap));
        const double found = get(&call->y, at);
        if (inside >= image) {
            assert_true(isnan(found)); /* the gap is as it was */
            continue;
        }
        const int k = inside % problem->k, j = inside / problem->k % call->q, i = inside / problem->k / call->q;
        double size = 0, expected = call->alpha * sum_at(problem, call, n, i, j, k, &size);
        if (call->beta != 0)
            expected += call->beta * call->y.values[at];
        const double tolerance = 2 * (double)(depth + 3) * ldexp(1, -24) * (fabs(call->alpha) * size + fabs(expected)) +
                                 1e-6 + (problem->bfloat ? ldexp(fabs(expected), -8) : 0);
        if (!(fabs(found - expected) <= tolerance))
            fail_msg("image %d, line %d, pixel %d, filter %d: expected %.9g, found %.9g", n, i, j, k, expected, found);
    }
}

static int below(struct rng *rng, int count)
{
    return (int)rng_below(rng, (uint64_t)count);
}

static void convolutions_equal_their_reference(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 11, 1);
    for (int round = 0; round < 120; round++) {
        const int groups = 1 + below(&rng, 3);
        struct problem problem = {.n = 1 + below(&rng, 3),
                                  .c = groups * (1 + below(&rng, 9)),
                                  .h = round % 3 ? 1 : 5 + below(&rng, 5),
                                  .w = 9 + below(&rng, 30),
                                  .k = groups * (1 + below(&rng, 9)),
                                  .r = round % 3 ? 1 : 1 + below(&rng, 3),
                                  .s = 1 + below(&rng, 5),
                                  .padding = {round % 3 ? 0 : below(&rng, 3), below(&rng, 7)},
                                  .step = {1 + below(&rng, 2), 1 + below(&rng, 4)},
                                  .dilation = {1 + below(&rng, 2), 1 + below(&rng, 2)},
                                  .groups = groups,
                                  .gap = below(&rng, 2) * 6,
                                  .bfloat = round % 2,
                                  .alpha = below(&rng, 2) ? 1.0f : 0.37f,
                                  .beta = below(&rng, 2) ? 0.0f : -0.6f};
        struct call call = prepare(&problem, &rng);
        if (below(&rng, 2)) {
            call.algorithm = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM;
            call.workspace = NULL;
            call.workspace_bytes = 0;
        }
        assert_dnn(convolve(&call));
        assert_cuda(cudaMemcpy(call.y.host, call.y.device, bytes_of(&call.y), cudaMemcpyDeviceToHost));
        compare(&problem, &call);
        discard(&call);
    }
}

/* ---- wrong arguments ---- */

static const struct problem good = {.n = 2,
                                    .c = 8,
                                    .h = 1,
                                    .w = 20,
                                    .k = 4,
                                    .r = 1,
                                    .s = 3,
                                    .padding = {0, 1},
                                    .step = {1, 2},
                                    .dilation = {1, 1},
                                    .groups = 2,
                                    .alpha = 1};

static struct call good_call(void)
{
    struct rng rng = rng_make(test_seed(), RNG_TEST, 12, 1);
    return prepare(&good, &rng);
}

static void refuse(const struct call *call, cudnnStatus_t status, const char *part)
{
    const int64_t before = emulator_pending();
    assert_int_equal(convolve(call), status);
    expect_reports(1, part);
    assert_int_equal(emulator_pending(), before); /* nothing was put into the stream */
}

static void wrong_shapes_and_types_are_named(void **state)
{
    (void)state;
    const cudnnStatus_t bad = CUDNN_STATUS_BAD_PARAM, unsupported = CUDNN_STATUS_NOT_SUPPORTED;
    struct call call = good_call();
    assert_dnn(convolve(&call));
    assert_dnn(set_image(call.y_tensor, CUDNN_DATA_FLOAT, 2, 4, 1, call.q + 1, 0));
    refuse(&call, bad, "y is 11 in dimension 3, expected 10");
    assert_dnn(set_image(call.y_tensor, CUDNN_DATA_FLOAT, 1, 4, 1, call.q, 0));
    refuse(&call, bad, "y is 1 in dimension 0, expected 2");
    assert_dnn(set_image(call.y_tensor, CUDNN_DATA_BFLOAT16, 2, 4, 1, call.q, 0));
    refuse(&call, unsupported, "the types of x, w and y differ");
    assert_dnn(set_image(call.y_tensor, CUDNN_DATA_FLOAT, 2, 4, 1, call.q, 0));
    assert_dnn(set_image(call.x_tensor, CUDNN_DATA_FLOAT, 2, 9, 1, 20, 0));
    refuse(&call, bad, "x has 9 channels, 2 groups of the filter's 4 are expected");
    assert_dnn(cudnnSetTensor4dDescriptorEx(call.x_tensor, CUDNN_DATA_FLOAT, 2, 8, 1, 20, 160, 20, 20, 1));
    refuse(&call, unsupported, "x or y is not packed in NHWC");
    assert_dnn(cudnnSetTensor4dDescriptorEx(call.x_tensor, CUDNN_DATA_FLOAT, 2, 8, 1, 20, 180, 1, 180, 9));
    refuse(&call, unsupported, "x or y is not packed in NHWC");
    assert_dnn(set_image(call.x_tensor, CUDNN_DATA_HALF, 2, 8, 1, 20, 0));
    refuse(&call, unsupported, "the type of x is neither");
    assert_dnn(set_image(call.x_tensor, CUDNN_DATA_FLOAT, 2, 8, 1, 20, 0));
    assert_dnn(cudnnSetFilter4dDescriptor(call.filter, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NCHW, 4, 4, 1, 3));
    refuse(&call, unsupported, "the filter's format is not CUDNN_TENSOR_NHWC");
    assert_dnn(cudnnSetFilter4dDescriptor(call.filter, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NHWC, 3, 4, 1, 3));
    refuse(&call, bad, "3 filters in 2 groups");
    assert_dnn(cudnnSetFilter4dDescriptor(call.filter, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NHWC, 4, 4, 1, 3));
    assert_dnn(cudnnSetConvolutionMathType(call.convolution, CUDNN_DEFAULT_MATH));
    refuse(&call, unsupported, "may be computed in TF32");
    assert_dnn(cudnnSetConvolutionMathType(call.convolution, CUDNN_FMA_MATH));
    call.algorithm = CUDNN_CONVOLUTION_FWD_ALGO_FFT;
    refuse(&call, unsupported, "the algorithm is not an implicit matrix product");
    discard(&call);
}

static void wrong_settings_are_named(void **state)
{
    (void)state;
    const cudnnStatus_t bad = CUDNN_STATUS_BAD_PARAM;
    struct call call = good_call(), fresh = call;
    assert_int_equal(set_image(call.x_tensor, CUDNN_DATA_FLOAT, 0, 8, 1, 20, 0), bad);
    expect_reports(1, "sizes: number 1 is 0, expected at least 1");
    assert_int_equal(cudnnSetFilter4dDescriptor(call.filter, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NHWC, 4, 4, 1, -3), bad);
    expect_reports(1, "sizes: number 4 is -3");
    assert_int_equal(
        cudnnSetConvolution2dDescriptor(call.convolution, 0, -1, 1, 1, 1, 1, CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT),
        bad);
    expect_reports(1, "a padding is negative");
    assert_int_equal(
        cudnnSetConvolution2dDescriptor(call.convolution, 0, 1, 1, 0, 1, 1, CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT),
        bad);
    expect_reports(1, "strides and dilations: number 2 is 0");
    assert_int_equal(cudnnSetConvolutionGroupCount(call.convolution, 0), bad);
    expect_reports(1, "groupCount: number 1 is 0");
    assert_int_equal(cudnnSetStream(call.handle, (cudaStream_t)(void *)&call), bad);
    expect_reports(1, "a stream is used that was never created or is destroyed");
    assert_dnn(cudnnCreateConvolutionDescriptor(&fresh.convolution));
    refuse(&fresh, bad, "a descriptor was created and never set");
    assert_dnn(cudnnDestroyConvolutionDescriptor(fresh.convolution));
    refuse(&fresh, bad, "convDesc is not a live convolution descriptor");
    assert_dnn(convolve(&call)); /* what was refused has changed nothing */
    discard(&call);
}

static void wrong_pointers_are_named(void **state)
{
    (void)state;
    const cudnnStatus_t bad = CUDNN_STATUS_BAD_PARAM;
    const struct call whole = good_call();
    struct call call = whole;
    static float host[400];
    call.x.device = NULL;
    refuse(&call, bad, "x is NULL");
    call = whole;
    call.w.device = (char *)whole.w.device + 4;
    refuse(&call, bad, "w is not aligned to 16 bytes");
    call = whole;
    call.x.device = (char *)whole.x.device + 256;
    refuse(&call, bad, "x: 1280 bytes");
    call = whole;
    call.y.device = host + (16 - (uintptr_t)host % 16) % 16 / 4;
    refuse(&call, bad, "y: ");
    call = whole;
    call.y.device = whole.x.device;
    refuse(&call, bad, "y overlaps x");
    call = whole;
    call.workspace_bytes--;
    refuse(&call, bad, "bytes of workspace, found");
    call = whole;
    call.workspace = NULL;
    refuse(&call, bad, "the workspace is NULL");
    call = whole;
    call.workspace = call.x.device = device_floats(1 << 14);
    refuse(&call, bad, "the workspace overlaps x");
    call = whole;
    call.handle = (cudnnHandle_t)(void *)whole.filter;
    refuse(&call, bad, "handle is not a live handle");
    discard(&whole);
}

static void a_convolution_is_work_of_its_stream(void **state)
{
    (void)state;
    struct call call = good_call();
    cudaStream_t first, second;
    assert_cuda(cudaStreamCreateWithFlags(&first, cudaStreamNonBlocking));
    assert_cuda(cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking));
    assert_dnn(cudnnSetStream(call.handle, first));
    assert_dnn(convolve(&call));
    assert_int_equal(emulator_pending(), 1);
    assert_cuda(cudaMemsetAsync(call.w.device, 0, 4, second));
    assert_cuda(cudaDeviceSynchronize());
    expect_reports(1, "cudaMemsetAsync writes device memory that cudnnConvolutionForward reads");
    /* Its workspace is not a place to keep anything. */
    assert_cuda(cudaMemsetAsync(call.workspace, 0, 4, second));
    assert_dnn(convolve(&call));
    assert_cuda(cudaDeviceSynchronize());
    expect_reports(1, "cudaMemsetAsync writes device memory that cudnnConvolutionForward writes");
    /* Operands that nobody wrote. */
    call.x.device = device_floats(320);
    assert_dnn(convolve(&call));
    assert_int_equal(emulator_report_count(), 0);
    assert_cuda(cudaDeviceSynchronize());
    assert_int_equal(emulator_reports_of(CHECK_UNINITIALISED, "bytes of x that nobody wrote"), 1);
    emulator_clear_reports();
    discard(&call);
}

static void a_captured_convolution_equals_the_call(void **state)
{
    (void)state;
    struct call call = good_call();
    const size_t bytes = bytes_of(&call.y);
    cudaStream_t stream;
    cudaGraph_t graph;
    cudaGraphExec_t executable;
    unsigned char *eager = malloc(bytes), *replayed = malloc(bytes);
    assert_true(eager && replayed);
    assert_cuda(cudaStreamCreate(&stream));
    assert_dnn(cudnnSetStream(call.handle, stream));
    assert_dnn(convolve(&call));
    assert_cuda(cudaMemcpy(eager, call.y.device, bytes, cudaMemcpyDeviceToHost));
    assert_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    assert_dnn(convolve(&call));
    assert_cuda(cudaStreamEndCapture(stream, &graph));
    assert_cuda(cudaGraphInstantiate(&executable, graph, 0));
    assert_cuda(cudaMemset(call.y.device, 0, bytes));
    assert_cuda(cudaGraphLaunch(executable, stream));
    assert_cuda(cudaMemcpy(replayed, call.y.device, bytes, cudaMemcpyDeviceToHost));
    assert_memory_equal(eager, replayed, bytes);
    assert_int_equal(emulator_counters().library_launches, 2);
    free(eager);
    free(replayed);
    discard(&call);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        runtime_test(convolutions_equal_their_reference),
        runtime_test(wrong_shapes_and_types_are_named),
        runtime_test(wrong_settings_are_named),
        runtime_test(wrong_pointers_are_named),
        runtime_test(a_convolution_is_work_of_its_stream),
        runtime_test(a_captured_convolution_equals_the_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
