/* What cuDNN asks of a convolution's descriptors, from the tables of its manual ("cudnnConvolutionForward()": data type
 * configurations, layouts of each algorithm), and the workspace of an algorithm.
 *
 * An f32 convolution has to ask for CUDNN_FMA_MATH here: with any other setting the real library may multiply in TF32, which
 * this project never wants and the emulator does not compute. */
#include "emulator/libraries/cudnn_internal.h"

static const char *check_types(const struct cudnn_work *work)
{
    const struct cudnn_convolution *convolution = &work->convolution;
    const cudnnDataType_t type = work->x.type;
    if (type != CUDNN_DATA_FLOAT && type != CUDNN_DATA_BFLOAT16)
        return "the type of x is neither CUDNN_DATA_FLOAT nor CUDNN_DATA_BFLOAT16";
    if (work->w.type != type || work->y.type != type)
        return "the types of x, w and y differ";
    if (convolution->compute_type != CUDNN_DATA_FLOAT)
        return "the compute type is not CUDNN_DATA_FLOAT";
    if (convolution->mode != CUDNN_CROSS_CORRELATION)
        return "the mode is not CUDNN_CROSS_CORRELATION";
    if (type == CUDNN_DATA_FLOAT && convolution->math != CUDNN_FMA_MATH)
        return "f32 without CUDNN_FMA_MATH may be computed in TF32";
    if (type == CUDNN_DATA_BFLOAT16 && convolution->math == CUDNN_FMA_MATH)
        return "bf16 with CUDNN_FMA_MATH has no tensor cores";
    return NULL;
}

/* Channels, then pixels, then lines packed; images may have gaps behind them. */
static bool is_packed(const struct cudnn_tensor *tensor)
{
    const int c = tensor->size[1], h = tensor->size[2], w = tensor->size[3];
    return tensor->stride[1] == 1 && tensor->stride[3] == c && tensor->stride[2] == w * c &&
           (int64_t)tensor->stride[0] >= (int64_t)h * w * c;
}

static const char *check_layout(const struct cudnn_work *work, cudnnConvolutionFwdAlgo_t algorithm)
{
    if (algorithm != CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM &&
        algorithm != CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM)
        return "the algorithm is not an implicit matrix product, which alone takes NHWC";
    if (work->w.format != CUDNN_TENSOR_NHWC)
        return "the filter's format is not CUDNN_TENSOR_NHWC";
    if (!is_packed(&work->x) || !is_packed(&work->y))
        return "x or y is not packed in NHWC";
    return NULL;
}

static int64_t output_size(const struct cudnn_work *work, int axis)
{
    const struct cudnn_convolution *c = &work->convolution;
    int64_t extent = (int64_t)(work->w.size[2 + axis] - 1) * c->dilation[axis] + 1;
    int64_t room = (int64_t)work->x.size[2 + axis] + 2 * (int64_t)c->padding[axis] - extent;
    return room < 0 ? 0 : room / c->step[axis] + 1;
}

cudnnStatus_t cudnn_check_shapes(const struct cudnn_work *work, cudnnConvolutionFwdAlgo_t algorithm, const char *call)
{
    if (!work->x.set || !work->w.set || !work->y.set || !work->convolution.set)
        return cudnn_refuse(CUDNN_STATUS_BAD_PARAM, call, "a descriptor was created and never set");
    const char *refusal = check_types(work);
    refusal = refusal ? refusal : check_layout(work, algorithm);
    if (refusal)
        return cudnn_refuse(CUDNN_STATUS_NOT_SUPPORTED, call, "%s", refusal);
    const int groups = work->convolution.groups;
    if (work->x.size[1] != work->w.size[1] * groups)
        return cudnn_refuse(CUDNN_STATUS_BAD_PARAM, call,
                            "x has %d channels, %d groups of the filter's %d are expected", work->x.size[1], groups,
                            work->w.size[1]);
    if (work->w.size[0] % groups)
        return cudnn_refuse(CUDNN_STATUS_BAD_PARAM, call, "%d filters in %d groups", work->w.size[0], groups);
    const int64_t expected[] = {work->x.size[0], work->w.size[0], output_size(work, 0), output_size(work, 1)};
    for (int i = 0; i < 4; i++)
        if (work->y.size[i] != expected[i])
            return cudnn_refuse(CUDNN_STATUS_BAD_PARAM, call, "y is %d in dimension %d, expected %lld", work->y.size[i],
                                i, (long long)expected[i]);
    return CUDNN_STATUS_SUCCESS;
}
