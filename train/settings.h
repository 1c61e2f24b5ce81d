/* The configuration sections `model` and `train`; programs/common/ has their keys and defaults. */
#ifndef SPIRITLM_TRAIN_SETTINGS_H
#define SPIRITLM_TRAIN_SETTINGS_H

#include "train/schedule.h"

#include <stdbool.h>
#include <stdint.h>

struct model_settings {
    const char *initialize_from; /* what llama_source.h reads; "": random weights */
    int64_t hidden_size, intermediate_size, layers, heads, kv_heads, head_size;
    double rope_theta, rms_norm_epsilon;
    bool tie_embeddings;
    double initializer_deviation;
    int new_rows;      /* enum llama_rows */
    bool untie;        /* give a model that is tied in its file a head of its own */
    int64_t text_size; /* pieces of the text model, for --dry-run where there is none */
};

struct train_settings {
    const char *run; /* the run's folder */
    int64_t seed, steps, micro_batch, threads;
    int dtype;                 /* enum dtype: F32 or BF16 */
    int recomputation;         /* enum recomputation */
    const char *device_memory; /* bytes that a plan may take, with a unit; "": what the device has */
    int64_t head_rows;         /* of the head computed at a time; 0: as many as suit the device */
    struct schedule_settings schedule;
    /* The highest learning rates of the rows of tags and units, on the same schedule; 0: that of all weights. */
    double new_input_learning_rate, new_output_learning_rate;
    double beta1, beta2, epsilon, weight_decay, clip;
    bool stochastic_rounding; /* of masters to bf16 weights */
    double spike_deviations;  /* 0: only non-finite steps are skipped */
    int64_t spike_window;
    int64_t log_every, validate_every, validation_rows, save_every, keep;
    bool keep_best;           /* the checkpoint of the best validation loss is not removed */
    double watchdog_seconds;  /* without a sign of life; 0: not watched */
    int64_t fruitless_starts; /* from the same step that are too many; 0: any number is fine */
};

#endif
