/* Two tables of names, and which of them a checkpoint follows. What stands before the names differs from file to file (the key
 * of the state dict, the attribute of a model with a head), so it is taken from the one tensor that every encoder has. */
#include "models/encoder/encoder_names.h"

#include <stdio.h>
#include <string.h>

enum { FAIRSEQ, HUGGING_FACE, STYLES };

static const char *const templates[STYLES][ENCODER_PARTS] = {
    [FAIRSEQ] = {[ENCODER_CONVOLUTION] = "feature_extractor.conv_layers.%d.0",
                 [ENCODER_FEATURE_GROUP_NORM] = "feature_extractor.conv_layers.0.2",
                 [ENCODER_FEATURE_LAYER_NORM] = "feature_extractor.conv_layers.%d.2.1",
                 [ENCODER_PROJECTION_NORM] = "layer_norm",
                 [ENCODER_PROJECTION] = "post_extract_proj",
                 [ENCODER_POSITIONAL] = "encoder.pos_conv.0",
                 [ENCODER_NORM] = "encoder.layer_norm",
                 [ENCODER_QUERY] = "encoder.layers.%d.self_attn.q_proj",
                 [ENCODER_KEY] = "encoder.layers.%d.self_attn.k_proj",
                 [ENCODER_VALUE] = "encoder.layers.%d.self_attn.v_proj",
                 [ENCODER_OUTPUT] = "encoder.layers.%d.self_attn.out_proj",
                 [ENCODER_ATTENTION_NORM] = "encoder.layers.%d.self_attn_layer_norm",
                 [ENCODER_EXPAND] = "encoder.layers.%d.fc1",
                 [ENCODER_CONTRACT] = "encoder.layers.%d.fc2",
                 [ENCODER_FINAL_NORM] = "encoder.layers.%d.final_layer_norm"},
    [HUGGING_FACE] = {[ENCODER_CONVOLUTION] = "feature_extractor.conv_layers.%d.conv",
                      [ENCODER_FEATURE_GROUP_NORM] = "feature_extractor.conv_layers.0.layer_norm",
                      [ENCODER_FEATURE_LAYER_NORM] = "feature_extractor.conv_layers.%d.layer_norm",
                      [ENCODER_PROJECTION_NORM] = "feature_projection.layer_norm",
                      [ENCODER_PROJECTION] = "feature_projection.projection",
                      [ENCODER_POSITIONAL] = "encoder.pos_conv_embed.conv",
                      [ENCODER_NORM] = "encoder.layer_norm",
                      [ENCODER_QUERY] = "encoder.layers.%d.attention.q_proj",
                      [ENCODER_KEY] = "encoder.layers.%d.attention.k_proj",
                      [ENCODER_VALUE] = "encoder.layers.%d.attention.v_proj",
                      [ENCODER_OUTPUT] = "encoder.layers.%d.attention.out_proj",
                      [ENCODER_ATTENTION_NORM] = "encoder.layers.%d.layer_norm",
                      [ENCODER_EXPAND] = "encoder.layers.%d.feed_forward.intermediate_dense",
                      [ENCODER_CONTRACT] = "encoder.layers.%d.feed_forward.output_dense",
                      [ENCODER_FINAL_NORM] = "encoder.layers.%d.final_layer_norm"}};

static const char first_weight[STYLES][48] = {"feature_extractor.conv_layers.0.0.weight",
                                              "feature_extractor.conv_layers.0.conv.weight"};

/* Whether the name is a prefix and then `end`. */
static bool ends_with(const char *name, const char *end, int64_t *prefix)
{
    size_t length = strlen(name), tail = strlen(end);
    *prefix = (int64_t)length - (int64_t)tail;
    return length >= tail && strcmp(name + *prefix, end) == 0 && (*prefix == 0 || name[*prefix - 1] == '.');
}

enum status encoder_names_find(const struct named_tensors *tensors, struct encoder_names *names)
{
    const char *path = named_tensors_path(tensors), *found = NULL;
    for (int64_t i = 0; i < named_tensors_count(tensors); i++)
        for (int style = 0; style < STYLES; style++) {
            const char *name = named_tensors_tensor(tensors, i)->name;
            int64_t prefix;
            if (!ends_with(name, first_weight[style], &prefix))
                continue;
            if (found)
                return status_set(STATUS_CORRUPT, "%s: two encoders, with %.100s and %.100s", path, found, name);
            if (prefix >= ENCODER_PREFIX_BYTES)
                return status_set(STATUS_CORRUPT, "%s: the name of tensor %.200s is too long", path, name);
            found = name;
            names->hugging_face = style == HUGGING_FACE;
            snprintf(names->prefix, sizeof names->prefix, "%.*s", (int)prefix, name);
        }
    if (!found)
        return status_set(STATUS_CORRUPT, "%s: expected a tensor %s or %s; it is no wav2vec 2.0 or HuBERT encoder",
                          path, first_weight[FAIRSEQ], first_weight[HUGGING_FACE]);
    return STATUS_OK;
}

void encoder_name(const struct encoder_names *names, enum encoder_part part, int64_t index, const char *tensor,
                  char name[static ENCODER_NAME_BYTES])
{
    const char *template = templates[names->hugging_face ? HUGGING_FACE : FAIRSEQ][part];
    const char *place = strstr(template, "%d");
    if (place)
        snprintf(name, ENCODER_NAME_BYTES, "%s%.*s%d%s.%s", names->prefix, (int)(place - template), template,
                 (int)index, place + 2, tensor);
    else
        snprintf(name, ENCODER_NAME_BYTES, "%s%s.%s", names->prefix, template, tensor);
}
