/* The configuration sections `data`, `model` and `train`: what a training run is made of. */
#ifndef SPIRITLM_TRAIN_CONFIG_H
#define SPIRITLM_TRAIN_CONFIG_H

#include "data/lanes.h"
#include "io/config.h"
#include "models/llama/llama.h"
#include "train/schedule.h"

struct data_settings {
    struct config_list train, validation; /* dataset folders made by prepare */
    int64_t lanes, sequence_length;
    double weights[SOURCE_KINDS];
    int mode; /* enum interleave_mode */
    int64_t text_words_minimum, text_words_maximum, speech_words_minimum, speech_words_maximum;
    bool expressive; /* pitch and style units beside hubert's */
    bool mask_documents;
};
struct interleave_options data_interleave_options(const struct data_settings *data);

struct model_settings {
    const char *initialize_from; /* a Hugging Face folder; "": random weights */
    int64_t hidden_size, intermediate_size, layers, heads, kv_heads, head_size;
    double rope_theta, rms_norm_epsilon;
    bool tie_embeddings;
    double initializer_deviation;
    int64_t text_size; /* pieces of the text model, for --dry-run where there is none */
};

struct train_settings {
    const char *run; /* the run's folder */
    int64_t seed, steps, micro_batch, threads;
    int dtype;         /* enum dtype: F32 or BF16 */
    int recomputation; /* enum recomputation */
    struct schedule_settings schedule;
    double beta1, beta2, epsilon, weight_decay, clip;
    double spike_deviations; /* 0: only non-finite steps are skipped */
    int64_t spike_window;
    int64_t log_every, validate_every, validation_rows, save_every, keep;
    double watchdog_seconds;  /* without a sign of life; 0: not watched */
    int64_t fruitless_starts; /* from the same step that are too many; 0: any number is fine */
};

extern const struct config_field data_fields[], model_fields[], train_fields[];
extern const int64_t data_field_count, model_field_count, train_field_count;

#endif
