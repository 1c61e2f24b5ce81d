/* The masks of the three output modalities, and the limits of temperature, top-k and top-p. */
#include "generate/sampler.h"

enum status sampling_check(const struct sampling *sampling)
{
    if (!(sampling->temperature >= 0 && sampling->temperature <= 100))
        return status_set(STATUS_USAGE, "temperature %g is not between 0 and 100", sampling->temperature);
    if (sampling->top_k < 0)
        return status_set(STATUS_USAGE, "top_k %lld is negative", (long long)sampling->top_k);
    if (!(sampling->top_p > 0 && sampling->top_p <= 1))
        return status_set(STATUS_USAGE, "top_p %g is not in (0, 1]", sampling->top_p);
    return STATUS_OK;
}

void output_mask(const struct text_model *text_model, const struct vocabulary *vocabulary,
                 enum output_modality modality, uint8_t *allowed)
{
    for (int32_t id = 0; id < vocabulary->padded_size; id++) {
        enum token_kind kind = vocabulary_kind(vocabulary, id);
        bool unit = kind == TOKEN_HUBERT || kind == TOKEN_PITCH || kind == TOKEN_STYLE;
        bool text = kind == TOKEN_TEXT && id != vocabulary->bos && id != vocabulary->unk &&
                    !(text_model && text_model_is_control(text_model, id));
        allowed[id] = id == vocabulary->eos || (modality != OUTPUT_TEXT && unit) ||
                      (modality != OUTPUT_SPEECH && text) || (modality == OUTPUT_ANY && kind == TOKEN_TAG);
    }
}
