/* Convolutions by cuDNN, in its classic calls. Frames are pixels of images with one line, channels last: NHWC with H = 1, and
 * our weights [O][K][C / groups] are its NHWC filters as they lie. In that layout cuDNN has its implicit matrix products,
 * which want dense images and pad both ends alike; so x goes through a dense copy with its padding and with zeros behind
 * each row's own frames where it has lengths, gaps or two different paddings. f32 means FMA in f32, never TF32.
 *
 * cuDNN rounds its sums to the type of the activations. What we add to them comes afterwards, in a kernel of our own, since its
 * fused calls have neither exact GELU nor our order of the residual; in bf16 a result is rounded once more than ours.
 *
 * How much workspace an algorithm wants only the library knows, when it is asked; scratch is planned from shapes alone. It
 * has one fixed piece, and a product that wants more is computed by the algorithm that wants none. */
#include "kernels/cuda/conv1d_cudnn.h"

#ifdef SPIRITLM_HAVE_CUDNN

#include "kernels/cuda/cudnn.h"

#include <stdio.h>
#include <stdlib.h>

struct cuda_cudnn {
    const struct cudnn *calls;
    cudnnHandle_t handle;
    cudnnTensorDescriptor_t x, y; /* set anew by each call */
    cudnnFilterDescriptor_t weight;
    cudnnConvolutionDescriptor_t convolution;
};

static enum status checked(const struct cuda_cudnn *cudnn, cudnnStatus_t status, const char *what)
{
    CHECK(status == CUDNN_STATUS_SUCCESS, "conv1d_forward: %s: %s", what, cudnn->calls->GetErrorString(status));
    return STATUS_OK;
}

enum status cuda_cudnn_open(cudaStream_t stream, struct cuda_cudnn **out)
{
    enum status result = STATUS_OK;
    *out = NULL;
    struct cuda_cudnn *cudnn = calloc(1, sizeof *cudnn);
    CHECK(cudnn, "no memory for cuDNN's handle");
    result = cudnn_load(&cudnn->calls);
    if (result != STATUS_OK)
        status_prefix(result, "kernels.conv1d: cudnn");
    TRY(result);
    const struct cudnn *calls = cudnn->calls;
    TRY(checked(cudnn, calls->Create(&cudnn->handle), "cuDNN does not start"));
    TRY(checked(cudnn, calls->SetStream(cudnn->handle, stream), "cuDNN refuses the stream"));
    TRY(checked(cudnn, calls->CreateTensorDescriptor(&cudnn->x), "a descriptor of x"));
    TRY(checked(cudnn, calls->CreateTensorDescriptor(&cudnn->y), "a descriptor of the output"));
    TRY(checked(cudnn, calls->CreateFilterDescriptor(&cudnn->weight), "a descriptor of the weight"));
    TRY(checked(cudnn, calls->CreateConvolutionDescriptor(&cudnn->convolution), "a descriptor of a convolution"));
    *out = cudnn;
    return STATUS_OK;
fail:
    cuda_cudnn_close(cudnn);
    return result;
}

void cuda_cudnn_close(struct cuda_cudnn *cudnn)
{
    if (!cudnn)
        return;
    if (cudnn->convolution)
        (void)cudnn->calls->DestroyConvolutionDescriptor(cudnn->convolution);
    if (cudnn->weight)
        (void)cudnn->calls->DestroyFilterDescriptor(cudnn->weight);
    if (cudnn->y)
        (void)cudnn->calls->DestroyTensorDescriptor(cudnn->y);
    if (cudnn->x)
        (void)cudnn->calls->DestroyTensorDescriptor(cudnn->x);
    if (cudnn->handle)
        (void)cudnn->calls->Destroy(cudnn->handle);
    free(cudnn);
}

void cuda_cudnn_version(const struct cuda_cudnn *cudnn, char *text, size_t size)
{
    size_t version = cudnn->calls->GetVersion(); /* 10000 major + 100 minor + patch; before 9: 1000 major */
    size_t major = version >= 90000 ? version / 10000 : version / 1000;
    size_t rest = version >= 90000 ? version % 10000 : version % 1000;
    snprintf(text, size, "%zu.%zu.%zu", major, rest / 100, rest % 100);
}

/* ---- one convolution ---- */

/* What cuDNN is given: operands as they are, or dense copies in scratch. */
struct arrays {
    const void *x;
    void *y;
    int64_t frames, padding; /* of the x that is given */
    void *workspace;
};

static bool on_boundary(const void *array)
{
    return (uintptr_t)array % 16 == 0;
}

static bool is_dense(int64_t batch, int64_t frames, int64_t columns, int64_t row_stride, int64_t batch_stride)
{
    return row_stride == columns && (batch == 1 || batch_stride == frames * columns);
}

static struct arrays place(const struct device_context *context, const struct conv1d_forward *p)
{
    unsigned char *scratch = context->scratch;
    const struct conv1d_cudnn_room room = conv1d_cudnn_room(p);
    struct arrays a = {.x = scratch, .y = scratch + room.y, .workspace = scratch + room.workspace};
    a.frames = p->padding_left + p->frames + p->padding_right;
    if (!p->lengths && on_boundary(p->x) && p->padding_left == p->padding_right &&
        is_dense(p->batch, p->frames, p->channels, p->x_row_stride, p->x_batch_stride)) {
        a.x = p->x;
        a.frames = p->frames;
        a.padding = p->padding_left;
    }
    if (on_boundary(p->output) && p->residual != p->output &&
        is_dense(p->batch, p->output_frames, p->output_channels, p->output_row_stride, p->output_batch_stride))
        a.y = p->output;
    return a;
}

/* Whether every number fits into cuDNN's, and no array has 2^31 elements. */
static bool fits(const struct conv1d_forward *p)
{
    const int64_t numbers[] = {
        p->batch * (p->padding_left + p->frames + p->padding_right) * p->channels,
        p->batch * p->output_frames * p->output_channels,
        p->output_channels * p->kernel * (p->channels / p->groups),
        (p->kernel - 1) * p->dilation,
        p->stride,
        p->dilation,
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i] > INT32_MAX)
            return false;
    return true;
}

static cudnnStatus_t set_frames(const struct cuda_cudnn *cudnn, cudnnTensorDescriptor_t tensor, cudnnDataType_t type,
                                int64_t batch, int64_t frames, int64_t channels)
{
    const int line = (int)(frames * channels);
    return cudnn->calls->SetTensor4dDescriptorEx(tensor, type, (int)batch, (int)channels, 1, (int)frames, line, 1, line,
                                                 (int)channels);
}

static enum status describe(const struct cuda_cudnn *cudnn, const struct conv1d_forward *p, const struct arrays *a)
{
    enum status result = STATUS_OK;
    const struct cudnn *calls = cudnn->calls;
    const cudnnDataType_t type = p->type == DTYPE_F32 ? CUDNN_DATA_FLOAT : CUDNN_DATA_BFLOAT16;
    const cudnnMathType_t math = p->type == DTYPE_F32 ? CUDNN_FMA_MATH : CUDNN_TENSOR_OP_MATH;
    TRY(checked(cudnn, set_frames(cudnn, cudnn->x, type, p->batch, a->frames, p->channels), "x is refused"));
    TRY(checked(cudnn, set_frames(cudnn, cudnn->y, type, p->batch, p->output_frames, p->output_channels),
                "the output is refused"));
    TRY(checked(cudnn,
                calls->SetFilter4dDescriptor(cudnn->weight, type, CUDNN_TENSOR_NHWC, (int)p->output_channels,
                                             (int)(p->channels / p->groups), 1, (int)p->kernel),
                "the weight is refused"));
    TRY(checked(cudnn,
                calls->SetConvolution2dDescriptor(cudnn->convolution, 0, (int)a->padding, 1, (int)p->stride, 1,
                                                  (int)p->dilation, CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT),
                "the convolution is refused"));
    TRY(checked(cudnn, calls->SetConvolutionGroupCount(cudnn->convolution, (int)p->groups), "groups are refused"));
    TRY(checked(cudnn, calls->SetConvolutionMathType(cudnn->convolution, math), "its arithmetic is refused"));
fail:
    return result;
}

/* Since version 9 the thousand that begins with it says why. */
static bool means_unsupported(cudnnStatus_t status)
{
    const int code = (int)status, first = CUDNN_STATUS_NOT_SUPPORTED;
    return code == first || (first >= 1000 && code / 1000 == first / 1000);
}

/* The algorithm that the descriptors' product gets, and its workspace. `found` false: cuDNN has none. */
static enum status choose(const struct cuda_cudnn *cudnn, cudnnConvolutionFwdAlgo_t *algorithm, size_t *bytes,
                          bool *found)
{
    static const cudnnConvolutionFwdAlgo_t algorithms[] = {CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM,
                                                           CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM};
    *found = false;
    for (int i = 0; i < 2 && !*found; i++) {
        cudnnStatus_t status = cudnn->calls->GetConvolutionForwardWorkspaceSize(
            cudnn->handle, cudnn->x, cudnn->weight, cudnn->convolution, cudnn->y, algorithms[i], bytes);
        if (means_unsupported(status))
            continue;
        if (status != CUDNN_STATUS_SUCCESS)
            return checked(cudnn, status, "no algorithm can be asked for");
        *algorithm = algorithms[i];
        *found = *bytes <= CONV1D_CUDNN_WORKSPACE;
    }
    return STATUS_OK;
}

static bool needs_finish(const struct conv1d_forward *p, const struct arrays *a)
{
    return a->y != p->output || p->lengths || p->bias || p->residual || p->pre_activation ||
           p->activation != ACTIVATION_NONE;
}

enum status cuda_cudnn_forward(const struct device_context *context, const struct conv1d_forward *p, bool *done)
{
    enum status result = STATUS_OK;
    const struct cuda_cudnn *cudnn = cuda_libraries_of(context)->cudnn;
    const float one = 1, zero = 0;
    cudnnConvolutionFwdAlgo_t algorithm;
    size_t bytes, needed = conv1d_cudnn_room(p).end;
    *done = false;
    if (!fits(p) || !on_boundary(p->weight))
        return STATUS_OK;
    CHECK(context->scratch_bytes >= needed, "conv1d_forward: needs %zu bytes of scratch, the context has %zu", needed,
          context->scratch_bytes);
    const struct arrays a = place(context, p);
    bool found;
    TRY(describe(cudnn, p, &a));
    TRY(choose(cudnn, &algorithm, &bytes, &found));
    if (!found)
        return STATUS_OK;
    if (a.x != p->x)
        TRY(cuda_conv1d_stage(context, p, context->scratch));
    cudnnStatus_t status = cudnn->calls->ConvolutionForward(cudnn->handle, &one, cudnn->x, a.x, cudnn->weight,
                                                            p->weight, cudnn->convolution, algorithm,
                                                            bytes ? a.workspace : NULL, bytes, &zero, cudnn->y, a.y);
    if (means_unsupported(status))
        return STATUS_OK;
    TRY(checked(cudnn, status, "cuDNN's convolution fails"));
    if (needs_finish(p, &a))
        TRY(cuda_conv1d_finish(context, p, a.y));
    *done = true;
fail:
    return result;
}

#else

enum status cuda_cudnn_open(cudaStream_t stream, struct cuda_cudnn **cudnn)
{
    (void)stream;
    *cudnn = NULL;
    return status_set(STATUS_USAGE, "kernels.conv1d: cudnn: this program was built without cuDNN, for want of cudnn.h; "
                                    "expected own");
}

void cuda_cudnn_close(struct cuda_cudnn *cudnn)
{
    (void)cudnn; /* no context has one */
}

void cuda_cudnn_version(const struct cuda_cudnn *cudnn, char *text, size_t size)
{
    (void)cudnn;
    if (size > 0)
        *text = 0;
}

enum status cuda_cudnn_forward(const struct device_context *context, const struct conv1d_forward *p, bool *done)
{
    (void)context, (void)p;
    *done = false;
    return STATUS_OK;
}

#endif
