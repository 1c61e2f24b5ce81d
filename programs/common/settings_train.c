/* Keys, defaults, limits and help of the sections `model` and `train`. */
#include "programs/common/settings.h"

static const char *const dtypes[] = {"f32", "bf16", NULL};
static const char *const recomputations[] = {"none", "light", "block", NULL};
static const char *const new_row_kinds[] = {"match", "normal", "mean", "zero", NULL}; /* as enum llama_rows */
static const char *const schedules[] = {"constant", "cosine", NULL};

#define MODEL(member) offsetof(struct model_settings, member)
#define TRAIN(member) offsetof(struct train_settings, member)

const struct config_field model_fields[] = {
    {"initialize_from", CONFIG_PATH, MODEL(initialize_from), "", 0, 0, NULL,
     "Llama model to continue: a Hugging Face folder, a folder of Meta's (params.json), or a .gguf file; empty: random "
     "weights"},
    {"hidden_size", CONFIG_INT, MODEL(hidden_size), "256", 1, 1 << 20, NULL, "width"},
    {"intermediate_size", CONFIG_INT, MODEL(intermediate_size), "704", 1, 1 << 22, NULL, "width of the SwiGLU"},
    {"layers", CONFIG_INT, MODEL(layers), "6", 1, 1000, NULL, "number of layers"},
    {"heads", CONFIG_INT, MODEL(heads), "4", 1, 1000, NULL, "query heads"},
    {"kv_heads", CONFIG_INT, MODEL(kv_heads), "0", 0, 1000, NULL, "key and value heads; 0: same as heads"},
    {"head_size", CONFIG_INT, MODEL(head_size), "0", 0, 4096, NULL, "size of a head; 0: hidden_size / heads"},
    {"rope_theta", CONFIG_NUMBER, MODEL(rope_theta), "100000", 1, 1e12, NULL, "base of the rotary angles"},
    {"rms_norm_epsilon", CONFIG_NUMBER, MODEL(rms_norm_epsilon), "1e-5", 0, 1, NULL, "added to the mean square"},
    {"tie_embeddings", CONFIG_BOOL, MODEL(tie_embeddings), "false", 0, 0, NULL, "one table for embeddings and head"},
    {"initializer_deviation", CONFIG_NUMBER, MODEL(initializer_deviation), "0.02", 0, 10, NULL,
     "standard deviation of random weights, and of new vocabulary rows with new_rows=normal"},
    {"new_rows", CONFIG_CHOICE, MODEL(new_rows), "match", 0, 0, new_row_kinds,
     "rows of tags and units that a continued model gets: match (random, with mean and deviation of its own rows), "
     "normal "
     "(initializer_deviation), mean (of its rows) or zero"},
    {"untie", CONFIG_BOOL, MODEL(untie), "false", 0, 0, NULL,
     "give a continued model whose embedding is also its head a head of its own"},
    {"text_size", CONFIG_INT, MODEL(text_size), "32000", 2, 1 << 24, NULL,
     "text pieces, for --dry-run without a text model"},
};

const struct config_field train_fields[] = {
    {"run", CONFIG_PATH, TRAIN(run), "runs/default", 0, 0, NULL, "folder of the run"},
    {"seed", CONFIG_INT, TRAIN(seed), "1", 0, 9007199254740992.0, NULL, "seed of weights and data order"},
    {"steps", CONFIG_INT, TRAIN(steps), "1000", 1, 1e12, NULL, "optimizer steps"},
    {"micro_batch", CONFIG_INT, TRAIN(micro_batch), "0", 0, 1 << 20, NULL,
     "sequences per forward pass; 0: all of the rank's lanes"},
    {"threads", CONFIG_INT, TRAIN(threads), "0", 0, 1024, NULL, "0: SPIRITLM_THREADS, else all processors"},
    {"dtype", CONFIG_CHOICE, TRAIN(dtype), "f32", 0, 0, dtypes, "type of weights and activations"},
    {"recomputation", CONFIG_CHOICE, TRAIN(recomputation), "none", 0, 0, recomputations,
     "activations computed again in the backward pass"},
    {"head_rows", CONFIG_INT, TRAIN(head_rows), "0", 0, 1 << 24, NULL,
     "positions whose logits exist at a time; 0: as many as suit the device"},
    {"device_memory", CONFIG_STRING, TRAIN(device_memory), "", 0, 0, NULL,
     "what a plan may take on each device, such as 80 GB; empty: the memory of the GPU that is used, on the cpu no "
     "limit"},
    {"schedule", CONFIG_CHOICE, TRAIN(schedule.kind), "constant", 0, 0, schedules, "learning rate after the warm-up"},
    {"learning_rate", CONFIG_NUMBER, TRAIN(schedule.learning_rate), "3e-5", 0, 10, NULL, "highest learning rate"},
    {"new_input_learning_rate", CONFIG_NUMBER, TRAIN(new_input_learning_rate), "0", 0, 10, NULL,
     "of the embeddings of tags and units; 0: learning_rate"},
    {"new_output_learning_rate", CONFIG_NUMBER, TRAIN(new_output_learning_rate), "0", 0, 10, NULL,
     "of the head's rows of tags and units, if it has rows of its own; 0: learning_rate"},
    {"minimum_learning_rate", CONFIG_NUMBER, TRAIN(schedule.minimum), "0", 0, 10, NULL,
     "where the cosine schedule ends"},
    {"warmup_steps", CONFIG_INT, TRAIN(schedule.warmup_steps), "500", 0, 1e12, NULL, "steps of linear warm-up from 0"},
    {"beta1", CONFIG_NUMBER, TRAIN(beta1), "0.9", 0, 0.999999, NULL, "AdamW"},
    {"beta2", CONFIG_NUMBER, TRAIN(beta2), "0.95", 0, 0.999999, NULL, "AdamW"},
    {"epsilon", CONFIG_NUMBER, TRAIN(epsilon), "1e-8", 1e-30, 1, NULL, "AdamW"},
    {"weight_decay", CONFIG_NUMBER, TRAIN(weight_decay), "0.1", 0, 10, NULL, "decoupled; not applied to norms"},
    {"stochastic_rounding", CONFIG_BOOL, TRAIN(stochastic_rounding), "false", 0, 0, NULL,
     "round f32 masters to bf16 weights up or down by chance, so that small updates are not lost"},
    {"clip", CONFIG_NUMBER, TRAIN(clip), "1.0", 0, 1e9, NULL, "largest global gradient norm; 0: no limit"},
    {"spike_deviations", CONFIG_NUMBER, TRAIN(spike_deviations), "0", 0, 1e9, NULL,
     "skip a step whose loss or norm lies this many deviations (by MAD) above the median; 0: only non-finite steps"},
    {"spike_window", CONFIG_INT, TRAIN(spike_window), "128", 8, 4096, NULL, "accepted steps that the median covers"},
    {"log_every", CONFIG_INT, TRAIN(log_every), "1", 1, 1e12, NULL, "steps per line of metrics"},
    {"validate_every", CONFIG_INT, TRAIN(validate_every), "0", 0, 1e12, NULL, "0: only at the end"},
    {"validation_rows", CONFIG_INT, TRAIN(validation_rows), "16", 1, 1 << 20, NULL, "sequences per source"},
    {"save_every", CONFIG_INT, TRAIN(save_every), "0", 0, 1e12, NULL, "0: only at the end"},
    {"keep", CONFIG_INT, TRAIN(keep), "2", 2, 1 << 20, NULL, "newest checkpoints kept"},
    {"keep_best", CONFIG_BOOL, TRAIN(keep_best), "false", 0, 0, NULL,
     "keep the checkpoint of the best validation loss too; save_every must be a multiple of validate_every"},
    {"watchdog_seconds", CONFIG_NUMBER, TRAIN(watchdog_seconds), "3600", 0, 1e9, NULL,
     "exit with code 76 when a step, validation or save takes longer; 0: never"},
    {"fruitless_starts", CONFIG_INT, TRAIN(fruitless_starts), "3", 0, 1e9, NULL,
     "after this many starts without a new checkpoint, refuse another with code 77; 0: never"},
};

const int64_t model_field_count = sizeof model_fields / sizeof *model_fields;
const int64_t train_field_count = sizeof train_fields / sizeof *train_fields;
