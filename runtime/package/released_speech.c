/* The release is one tree, checkpoints/{spiritlm_model/NAME, speech_tokenizer/...}, which its code finds by an environment variable.
 * Who names the model's folder has named the tree already. */
#include "package/released_speech.h"

#include "core/path.h"
#include "package/speech_composed.h"

#include <string.h>
#include <unistd.h>

/* The folder that `folder`/../.. is, if it has a speech_tokenizer; else "", so that the environment's is taken. */
static void find_root(const char *folder, char root[PATH_BYTES])
{
    char tokenizer[PATH_BYTES];
    if (path_format(root, "%s/../..", folder) != STATUS_OK ||
        path_format(tokenizer, "%s/speech_tokenizer", root) != STATUS_OK || access(tokenizer, F_OK) != 0)
        root[0] = 0;
}

enum status released_speech_open(const char *folder, const struct vocabulary *vocabulary, struct speech **speech)
{
    char root[PATH_BYTES];
    const bool expressive = vocabulary->pitch_count > 0;
    const struct speech_belief belief = {
        .sizes = {vocabulary->hubert_count, vocabulary->pitch_count, vocabulary->style_count},
        .rates = {{{2499, 100}, {25, 2}, {1, 1}}}};
    struct speech_options options = {
        .checkpoints = root,
        .hubert = "speech_tokenizer/hubert_25hz/mhubert_base_25hz.pt",
        .quantizer = "speech_tokenizer/hubert_25hz/L11_quantizer_500.pt",
        .layer = 11,
        .pitch = expressive ? "speech_tokenizer/vqvae_f0_quantizer" : "none",
        .f0 = "speech_tokenizer/fcpe/fcpe_c_v001.pt",
        .style = expressive ? "speech_tokenizer/style_encoder_w2v2" : "none",
        .vocoder =
            expressive ? "speech_tokenizer/hifigan_spiritlm_expressive_w2v2" : "speech_tokenizer/hifigan_spiritlm_base",
    };
    find_root(folder, root);
    return speech_compose_unread(&options, &belief, speech);
}
