/* The shape of a wav2vec 2.0 encoder (Baevski et al. 2020), HuBERT's too (Hsu et al. 2021), as the published checkpoints
 * describe it. Three ways of writing the same thing are read: the release of Spirit LM ("model_cfg" and "task_cfg"), fairseq
 * ("cfg", or "args" in older files), and Hugging Face's config.json with preprocessor_config.json. */
#ifndef SPIRITLM_MODELS_ENCODER_CONFIG_H
#define SPIRITLM_MODELS_ENCODER_CONFIG_H

#include "io/weights/named_tensors.h"

#include <stdbool.h>
#include <stdint.h>

enum { ENCODER_MAXIMUM_CONVOLUTIONS = 16, ENCODER_MAXIMUM_LAYERS = 256 };

struct encoder_convolution {
    int64_t channels, kernel, stride;
};

struct encoder_config {
    /* From the waveform to features: convolutions without padding, each followed by GELU. */
    struct encoder_convolution convolutions[ENCODER_MAXIMUM_CONVOLUTIONS];
    int64_t convolution_count;
    bool convolution_bias;
    bool
        layer_norm_features; /* a layer norm over channels in each of them; else a group norm, one group a channel, in the
                                 first alone */
    /* From features to frames: layer norm, projection, positional convolution. */
    bool projection_norm; /* there is that layer norm */
    bool projection;      /* there is a linear layer; without one the widths are equal */
    int64_t positional_kernel, positional_groups;
    /* The transformer. */
    int64_t hidden_size, intermediate_size, layers, heads;
    bool norm_first; /* before attention and feed-forward, with one more norm after the last layer; else after each */
    double epsilon;  /* of the layer norms from the projection's on; those of the convolutions have 1e-5 */
    /* What is done to the samples before. */
    int64_t sample_rate;
    bool normalize; /* to mean 0 and variance 1 over the whole clip */
    double normalize_epsilon;
};

/* Reads the configuration that belongs to the tensors: from the file itself where it is one of PyTorch, from the folder's
 * JSON where it is a folder. `normalize` where the folder does not say it is `normalize_default`. STATUS_CORRUPT names a
 * key with a value that this encoder does not compute. */
enum status encoder_config_read(const struct named_tensors *tensors, bool normalize_default,
                                struct encoder_config *config);

/* The readers behind it. */
enum status encoder_config_read_fairseq(const struct named_tensors *tensors, struct encoder_config *config);
enum status encoder_config_read_folder(const char *folder, bool normalize_default, struct encoder_config *config);

/* Whether the sizes fit together; the text names the one that does not. */
enum status encoder_config_check(const struct encoder_config *config);

/* A stack of convolutions as fairseq writes it, an expression of Python such as "[(512,10,5)] + [(512,3,2)] * 4": lists of
 * (channels, kernel, stride), joined with + and repeated with *, and nothing else of that language. STATUS_CORRUPT says where
 * another thing stands. */
enum status encoder_convolutions_parse(const char *text, int64_t length, struct encoder_convolution *convolutions,
                                       int64_t *count);

/* Frames that `samples` samples give; 0 when they are too few. */
int64_t encoder_config_frames(const struct encoder_config *config, int64_t samples);
/* The fewest samples that give so many frames, at least one. */
int64_t encoder_config_samples(const struct encoder_config *config, int64_t frames);
/* Samples from one frame to the next. */
int64_t encoder_config_hop(const struct encoder_config *config);

#endif
