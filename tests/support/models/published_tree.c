/* Each part of the tree is written as its owner has it: torch zips with their dictionaries, a Hugging Face folder, YAML, lists. */
#include "support/models/published_tree.h"

#include "core/path.h"
#include "io/atomic_file.h"
#include "io/audio/audio.h"
#include "io/json.h"
#include "support/files.h"
#include "support/models/checkpoint_files.h"
#include "support/test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char hubert[] = "speech_tokenizer/hubert_25hz/mhubert_base_25hz.pt",
                  quantizer[] = "speech_tokenizer/hubert_25hz/L11_quantizer_500.pt",
                  pitch[] = "speech_tokenizer/vqvae_f0_quantizer", style[] = "speech_tokenizer/style_encoder_w2v2",
                  base[] = "speech_tokenizer/hifigan_spiritlm_base",
                  expressive[] = "speech_tokenizer/hifigan_spiritlm_expressive_w2v2";

static void make_folder(const char *root, const char *name)
{
    char path[PATH_BYTES];
    assert_ok(path_format(path, "%s/%s", root, name));
    assert_ok(make_directories(path));
}

/* golden: "mhubert_base_25hz.json" of tests/golden/speech_models. */
static void copy_to(const char *golden, const char *root, const char *folder, const char *name)
{
    char from[PATH_BYTES], to[PATH_BYTES];
    assert_ok(path_format(from, "speech_models/%s", golden));
    assert_ok(path_format(to, "%s/%s/%s", root, folder, name));
    copy_golden(from, to);
}

static void write_weights(const char *tag, const char *root, const char *file, const json_t *values, const char *key)
{
    struct checkpoint checkpoint;
    char path[PATH_BYTES];
    assert_ok(path_format(path, "%s/%s", root, file));
    checkpoint_make(tag, &checkpoint);
    checkpoint_write_torch(&checkpoint, path, values, key);
    checkpoint_free(&checkpoint);
}

static json_t *read_golden_json(const char *name)
{
    char path[PATH_BYTES];
    json_t *root;
    assert_ok(path_format(path, "%s/speech_models/%s", TEST_GOLDEN_DIRECTORY, name));
    assert_ok(jdoc_read(path, &root));
    return root;
}

static void write_units(const char *root)
{
    json_t *model = read_golden_json("mhubert_base_25hz.json"), *inner = read_golden_json("L11_quantizer_500.json");
    json_t *config = json_pack("{s:o}", "model_cfg", inner);
    make_folder(root, "speech_tokenizer/hubert_25hz");
    write_weights("hubert", root, hubert, model, "model_weight");
    write_weights("quantizer", root, quantizer, config, "model_weight");
    json_decref(config);
    json_decref(model);
}

void published_tree_write(const char *root)
{
    make_folder(root, pitch);
    make_folder(root, style);
    make_folder(root, base);
    make_folder(root, expressive);
    write_units(root);
    copy_to("vqvae_f0_quantizer/config.yaml", root, pitch, "config.yaml");
    write_weights("vqvae", root, "speech_tokenizer/vqvae_f0_quantizer/model.pt", NULL, "model");
    copy_to("style_encoder_w2v2/config.json", root, style, "config.json");
    write_weights("style", root, "speech_tokenizer/style_encoder_w2v2/pytorch_model.bin", NULL, NULL);
    copy_to("hifigan_spiritlm_base/config.json", root, base, "config.json");
    copy_to("hifigan_spiritlm_base/speakers.txt", root, base, "speakers.txt");
    copy_to("hifigan_spiritlm_base/styles.txt", root, base, "styles.txt");
    write_weights("hifigan_base", root, "speech_tokenizer/hifigan_spiritlm_base/generator.pt", NULL, "generator");
    copy_to("hifigan_spiritlm_expressive_w2v2/config.json", root, expressive, "config.json");
    copy_to("hifigan_spiritlm_expressive_w2v2/speakers.txt", root, expressive, "speakers.txt");
    write_weights("hifigan_expr", root, "speech_tokenizer/hifigan_spiritlm_expressive_w2v2/generator.pt", NULL,
                  "generator");
}

struct speech_options published_options(const char *root, bool is_expressive, const char *f0)
{
    struct speech_options options = {.checkpoints = root,
                                     .hubert = hubert,
                                     .quantizer = quantizer,
                                     .layer = PUBLISHED_LAYER,
                                     .pitch = "none",
                                     .style = "none",
                                     .vocoder = base};
    if (is_expressive) {
        options.pitch = pitch;
        options.f0 = f0;
        options.style = style;
        options.vocoder = expressive;
    }
    return options;
}

/* 16-bit samples and nothing else. */
static void load_raw(const char *path, struct published_clip *clip)
{
    FILE *file = fopen(path, "rb");
    int16_t sample;
    assert_non_null(file);
    clip->samples = malloc(1 << 20);
    assert_non_null(clip->samples);
    while (clip->count < 1 << 18 && fread(&sample, sizeof sample, 1, file) == 1)
        clip->samples[clip->count++] = (float)sample / 32768;
    fclose(file);
}

void published_clips_load(struct published_clip clips[PUBLISHED_CLIPS])
{
#define DATA "/usr/share/pocketsphinx/test/data/"
    static const char librivox[] = DATA "librivox/sense_and_sensibility_01_austen_64kb-0870.wav";
    const struct published_clip list[PUBLISHED_CLIPS] = {{.name = "goforward"},
                                                         {.name = "cards005", .path = DATA "cards/005.wav"},
                                                         {.name = "austen0870", .path = librivox}};
    memcpy(clips, list, sizeof list);
    load_raw(DATA "goforward.raw", &clips[0]);
    for (int i = 1; i < PUBLISHED_CLIPS; i++)
        assert_ok(audio_read(clips[i].path, -1, &clips[i].samples, &clips[i].count));
#undef DATA
}

void published_clips_free(struct published_clip clips[PUBLISHED_CLIPS])
{
    for (int i = 0; i < PUBLISHED_CLIPS; i++)
        free(clips[i].samples);
}

const char *published_value(const char *clip, const char *key)
{
    static json_t *clips;
    if (!clips)
        clips = read_golden_json("clips.json");
    const char *text = json_string_value(json_object_get(json_object_get(clips, clip), key));
    assert_non_null(text);
    return text;
}
