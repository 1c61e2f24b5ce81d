/* config.yaml of a VQ-VAE. Everything in the parameters of the networks and of the codebook decides what is computed, so a key that
 * is not known there is refused; what stands beside them belongs to training, but for the features and what is done to them. */
#include "models/vqvae/vqvae.h"

#include "io/yaml_flat.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH_LIMIT = 4096, CODES_LIMIT = 1 << 16, STRIDE_LIMIT = 1024, DILATION_LIMIT = 8191, FRAME_HOP = 80 };

struct reader {
    const char *path, *section; /* "encoder_params", or "" at the top */
    const struct yaml_flat *flat;
};

static const struct yaml_item *find(const struct reader *reader, const char *key)
{
    char name[128];
    snprintf(name, sizeof name, "%s%s%s", reader->section, *reader->section ? "." : "", key);
    for (int64_t i = 0; i < reader->flat->count; i++)
        if (strcmp(reader->flat->items[i].key, name) == 0)
            return &reader->flat->items[i];
    return NULL;
}

static enum status parse_integer(const struct reader *reader, const struct yaml_item *item, int64_t place,
                                 int64_t least, int64_t most, int64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoll(item->values[place], &end, 10);
    if (errno || end == item->values[place] || *end || *value < least || *value > most)
        return status_set(STATUS_CORRUPT,
                          "%s:%" PRId64 ": %s is \"%.40s\"; expected an integer from %" PRId64 " to %" PRId64,
                          reader->path, item->line, item->key, item->values[place], least, most);
    return STATUS_OK;
}

/* fallback < 0: the key must be there. */
static enum status get_integer(const struct reader *reader, const char *key, int64_t least, int64_t most,
                               int64_t fallback, int64_t *value)
{
    const struct yaml_item *item = find(reader, key);
    *value = fallback;
    if ((!item || item->kind == YAML_EMPTY) && fallback >= 0)
        return STATUS_OK;
    if (!item || item->kind != YAML_VALUE)
        return status_set(STATUS_CORRUPT, "%s: %s.%s is missing or no single value", reader->path, reader->section,
                          key);
    return parse_integer(reader, item, 0, least, most, value);
}

static enum status get_flag(const struct reader *reader, const char *key, bool *flag)
{
    static const char *const yes[] = {"true", "True", "TRUE"}, *const no[] = {"false", "False", "FALSE"};
    const struct yaml_item *item = find(reader, key);
    *flag = false;
    if (!item || item->kind == YAML_EMPTY)
        return STATUS_OK;
    for (int i = 0; item->kind == YAML_VALUE && i < 3; i++) {
        *flag = strcmp(item->values[0], yes[i]) == 0;
        if (*flag || strcmp(item->values[0], no[i]) == 0)
            return STATUS_OK;
    }
    return status_set(STATUS_CORRUPT, "%s:%" PRId64 ": %s is neither true nor false", reader->path, item->line,
                      item->key);
}

static enum status get_real(const struct reader *reader, const char *key, double fallback, double *value)
{
    const struct yaml_item *item = find(reader, key);
    char *end;
    *value = fallback;
    if (!item || item->kind == YAML_EMPTY)
        return STATUS_OK;
    if (item->kind == YAML_VALUE)
        *value = strtod(item->values[0], &end);
    if (item->kind != YAML_VALUE || end == item->values[0] || *end || !(*value > 0 && *value <= WIDTH_LIMIT))
        return status_set(STATUS_CORRUPT, "%s:%" PRId64 ": %s is not a number above 0", reader->path, item->line,
                          item->key);
    return STATUS_OK;
}

/* Every key of the section is one of `known`. */
static enum status refuse_unknown(const struct reader *reader, const char *const *known)
{
    size_t length = strlen(reader->section);
    for (int64_t i = 0; i < reader->flat->count; i++) {
        const struct yaml_item *item = &reader->flat->items[i];
        bool found = strncmp(item->key, reader->section, length) != 0 || item->key[length] != '.';
        for (const char *const *name = known; *name && !found; name++) {
            size_t size = strlen(*name);
            found = strncmp(item->key + length + 1, *name, size) == 0 &&
                    (!item->key[length + 1 + size] || item->key[length + 1 + size] == '.');
        }
        if (!found)
            return status_set(STATUS_CORRUPT, "%s:%" PRId64 ": %s is not supported", reader->path, item->line,
                              item->key);
    }
    return STATUS_OK;
}

/* Whether there is a key of this section; a section without keys, or "null", is none. */
static bool has_section(const struct reader *reader)
{
    size_t length = strlen(reader->section);
    for (int64_t i = 0; i < reader->flat->count; i++)
        if (strncmp(reader->flat->items[i].key, reader->section, length) == 0 &&
            reader->flat->items[i].key[length] == '.')
            return true;
    return false;
}

/* ---- strides ---- */

/* The values of `key` for the one level that there is: a number, a list of one number, or a list of one list. */
static enum status level_item(const struct reader *reader, const char *key, bool *listed, const struct yaml_item **item)
{
    char inner[64], second[64];
    snprintf(inner, sizeof inner, "%s.0", key);
    snprintf(second, sizeof second, "%s.1", key);
    *item = find(reader, inner);
    *listed = *item != NULL;
    if (!*item)
        *item = find(reader, key);
    if (!*item || find(reader, second) || (*item)->count < 1 || (!*listed && (*item)->count != 1))
        return status_set(STATUS_CORRUPT, "%s: %s.%s: expected the values of one level", reader->path, reader->section,
                          key);
    return STATUS_OK;
}

static enum status read_strides(const struct reader *reader, struct vqvae_coder_config *coder)
{
    enum status result = STATUS_OK;
    const struct yaml_item *strides, *downs;
    bool listed;
    TRY(level_item(reader, "strides_t", &coder->listed, &strides));
    TRY(level_item(reader, "downs_t", &listed, &downs));
    if (listed != coder->listed || strides->count != downs->count)
        FAIL(STATUS_CORRUPT, "%s: %s: strides_t and downs_t have different numbers of values", reader->path,
             reader->section);
    for (int64_t i = 0; i < strides->count; i++) {
        int64_t stride, times;
        TRY(parse_integer(reader, strides, i, 1, STRIDE_LIMIT, &stride));
        TRY(parse_integer(reader, downs, i, 0, VQVAE_STEPS_LIMIT, &times));
        for (int64_t j = 0; j < times; j++) {
            if (coder->steps == VQVAE_STEPS_LIMIT)
                FAIL(STATUS_CORRUPT, "%s: %s: more than %d steps", reader->path, reader->section, VQVAE_STEPS_LIMIT);
            coder->strides[coder->steps++] = stride;
        }
    }
    if (coder->steps == 0)
        FAIL(STATUS_CORRUPT, "%s: %s: no steps", reader->path, reader->section);
fail:
    return result;
}

int64_t vqvae_kernel(const struct vqvae_coder_config *coder, int64_t stride)
{
    return 2 * stride + (coder->listed && stride % 2 != 0);
}

int64_t vqvae_padding(const struct vqvae_coder_config *coder, int64_t stride)
{
    return stride / 2 + (coder->listed && stride % 2 != 0);
}

int64_t vqvae_dilation(const struct vqvae_coder_config *coder, int64_t index)
{
    int64_t power = coder->reversed_dilations ? coder->depth - 1 - index : index, dilation = 1;
    power = coder->dilation_cycle > 0 ? power % coder->dilation_cycle : power;
    for (int64_t i = 0; i < power && dilation <= DILATION_LIMIT; i++)
        dilation *= coder->dilation_growth;
    return dilation;
}

/* ---- the sections ---- */

static enum status read_coder(const struct reader *reader, bool decoder, struct vqvae_coder_config *coder)
{
    static const char *const known[] = {"input_emb_width",
                                        "output_emb_width",
                                        "levels",
                                        "downs_t",
                                        "strides_t",
                                        "width",
                                        "depth",
                                        "m_conv",
                                        "zero_out",
                                        "dilation_growth_rate",
                                        "dilation_cycle",
                                        "res_scale",
                                        "checkpoint_res",
                                        "reverse_decoder_dilation",
                                        NULL};
    enum status result = STATUS_OK;
    int64_t input, levels;
    double multiple;
    TRY(refuse_unknown(reader, known));
    TRY(get_integer(reader, "levels", 1, 1, -1, &levels));
    TRY(get_integer(reader, "input_emb_width", VQVAE_CHANNELS, VQVAE_CHANNELS, -1, &input));
    TRY(get_integer(reader, "output_emb_width", 1, WIDTH_LIMIT, -1, &coder->output_width));
    TRY(get_integer(reader, "width", 1, WIDTH_LIMIT, -1, &coder->width));
    TRY(get_integer(reader, "depth", 0, VQVAE_DEPTH_LIMIT, -1, &coder->depth));
    TRY(get_integer(reader, "dilation_growth_rate", 1, DILATION_LIMIT, 1, &coder->dilation_growth));
    TRY(get_integer(reader, "dilation_cycle", 1, VQVAE_DEPTH_LIMIT, 0, &coder->dilation_cycle));
    TRY(get_real(reader, "m_conv", 1, &multiple));
    TRY(get_flag(reader, "res_scale", &coder->scaled_blocks));
    TRY(get_flag(reader, "reverse_decoder_dilation", &coder->reversed_dilations));
    coder->reversed_dilations = coder->reversed_dilations && decoder;
    coder->hidden = (int64_t)(multiple * (double)coder->width);
    if (coder->hidden < 1 || coder->hidden > WIDTH_LIMIT)
        FAIL(STATUS_CORRUPT, "%s: %s.m_conv: %g times a width of %" PRId64 " is not supported", reader->path,
             reader->section, multiple, coder->width);
    for (int64_t i = 0; i < coder->depth; i++)
        if (vqvae_dilation(coder, i) > DILATION_LIMIT)
            FAIL(STATUS_CORRUPT, "%s: %s: dilations above %d are not supported", reader->path, reader->section,
                 DILATION_LIMIT);
    TRY(read_strides(reader, coder));
fail:
    return result;
}

/* "norm_f0_interp,vuv", as one text or as a list. */
static enum status read_features(const struct reader *reader, bool *normalised)
{
    const struct yaml_item *item = find(reader, "features");
    char text[128] = "";
    for (int64_t i = 0; item && i < item->count && strlen(text) < 64; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%.40s", i ? "," : "", item->values[i]);
    *normalised = strcmp(text, "norm_f0_interp,vuv") == 0;
    if (!*normalised && strcmp(text, "f0_interp,vuv") != 0)
        return status_set(STATUS_CORRUPT,
                          "%s: features is \"%s\"; only norm_f0_interp,vuv and f0_interp,vuv are supported",
                          reader->path, text);
    return STATUS_OK;
}

static enum status read_rest(const struct reader *top, struct vqvae_config *config)
{
    static const char *const known[] = {"l_bins", "emb_width", "mu", "levels", NULL};
    enum status result = STATUS_OK;
    const struct reader codebook = {top->path, "vq_params", top->flat};
    const struct yaml_item *statistics = find(top, "speaker_stats");
    bool normalised;
    int64_t levels, hop;
    TRY(refuse_unknown(&codebook, known));
    TRY(get_integer(&codebook, "levels", 1, 1, -1, &levels));
    TRY(get_integer(&codebook, "l_bins", 1, CODES_LIMIT, -1, &config->codes));
    TRY(get_integer(&codebook, "emb_width", 1, WIDTH_LIMIT, -1, &config->width));
    TRY(read_features(top, &normalised));
    TRY(get_flag(top, "speaker_norm", &config->speaker_norm));
    config->speaker_norm = config->speaker_norm || normalised;
    TRY(get_integer(top, "frame_hop", FRAME_HOP, FRAME_HOP, FRAME_HOP, &hop));
    if (statistics && statistics->kind != YAML_EMPTY)
        FAIL(STATUS_CORRUPT, "%s:%" PRId64 ": speaker_stats is not supported here: speakers' means come from the data",
             top->path, statistics->line);
fail:
    return result;
}

/* What the two networks and the codebook must have in common. */
static enum status check_widths(const char *path, const struct vqvae_config *config)
{
    if (config->encoder.output_width != config->width && config->encoder.output_width != 2 * config->width)
        return status_set(STATUS_CORRUPT,
                          "%s: encoder_params.output_emb_width %" PRId64 " is neither vq_params.emb_width %" PRId64
                          " nor twice as much",
                          path, config->encoder.output_width, config->width);
    if (config->has_decoder && config->decoder.output_width != config->width)
        return status_set(STATUS_CORRUPT,
                          "%s: decoder_params.output_emb_width %" PRId64 " is not vq_params.emb_width %" PRId64, path,
                          config->decoder.output_width, config->width);
    return STATUS_OK;
}

enum status vqvae_config_read(const char *path, struct vqvae_config *config)
{
    enum status result = STATUS_OK;
    struct yaml_flat flat = {0};
    const struct reader top = {path, "", &flat}, encoder = {path, "encoder_params", &flat},
                        decoder = {path, "decoder_params", &flat};
    *config = (struct vqvae_config){0};
    TRY(yaml_flat_read_foreign(path, &flat));
    TRY(read_coder(&encoder, false, &config->encoder));
    config->has_decoder = has_section(&decoder);
    if (config->has_decoder)
        TRY(read_coder(&decoder, true, &config->decoder));
    TRY(read_rest(&top, config));
    TRY(check_widths(path, config));
fail:
    yaml_flat_free(&flat);
    return result;
}
