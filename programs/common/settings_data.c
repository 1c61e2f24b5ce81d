/* Keys, defaults, limits and help of the sections `tokenizer`, `prepare` and `data`. */
#include "programs/common/settings.h"

static const char *const modes[] = {"spans", "none", "words", "asr_tts", "spans_asr_tts", NULL};

static const char *const prefixes[] = {"span", "document", NULL};

#define TOKENIZER(member) offsetof(struct tokenizer_settings, member)
#define SPEECH(member) offsetof(struct speech_options, member)
#define PREPARE(member) offsetof(struct prepare_settings, member)
#define DATA(member) offsetof(struct data_settings, member)

const struct config_field tokenizer_fields[] = {
    {"folder", CONFIG_PATH, TOKENIZER(folder), "tokenizer", 0, 0, NULL,
     "folder of the speech tokenizer; prepare fits one there if there is none yet"},
    {"text_model", CONFIG_PATH, TOKENIZER(text_model), "", 0, 0, NULL,
     "text model: a SentencePiece .model, a tokenizer.json of byte-level BPE, a .gguf, or a folder with one of the "
     "first two; empty: that of model.initialize_from"},
    {"dummy_prefix", CONFIG_CHOICE, TOKENIZER(dummy_prefix), "span", 0, 0, prefixes,
     "the space that the text model puts before a text: once per document, as in the released models, or per span"},
    {"span_space", CONFIG_BOOL, TOKENIZER(span_space), "false", 0, 0, NULL,
     "a span of text that continues a document keeps the space before its first word"},
    {"units", CONFIG_INT, TOKENIZER(units), "100", 2, 65535, NULL,
     "number of hubert units, the clusters of k-means over log-mel frames"},
    {"pitch_codes", CONFIG_INT, TOKENIZER(pitch_codes), "64", 2, 65535, NULL, "number of pitch units"},
    {"style_codes", CONFIG_INT, TOKENIZER(style_codes), "100", 1, 65535, NULL,
     "largest number of style units; a small sample gets fewer"},
    {"iterations", CONFIG_INT, TOKENIZER(iterations), "20", 1, 10000, NULL, "passes of k-means"},
    {"sample_hours", CONFIG_NUMBER, TOKENIZER(sample_hours), "10", 0.001, 1e6, NULL, "hours of audio to fit on"},
    {"seed", CONFIG_INT, TOKENIZER(seed), "1", 0, 9007199254740992.0, NULL, "seed of the sample and the fit"},
};

const struct config_field speech_fields[] = {
    {"checkpoints", CONFIG_PATH, SPEECH(checkpoints), "", 0, 0, NULL,
     "folder that the names below start from; empty: the environment's SPIRITLM_CHECKPOINTS_DIR"},
    {"hubert", CONFIG_PATH, SPEECH(hubert), "", 0, 0, NULL,
     "checkpoint of a HuBERT or wav2vec 2.0 whose frames become units; empty: the embedded units; none: no units"},
    {"layer", CONFIG_INT, SPEECH(layer), "11", 1, 256, NULL, "its layer that is quantized, from 1 on"},
    {"quantizer", CONFIG_PATH, SPEECH(quantizer), "", 0, 0, NULL, "linear or k-means quantizer of that layer's frames"},
    {"pad", CONFIG_BOOL, SPEECH(pad), "false", 0, 0, NULL,
     "40 zeros at both ends of the audio, as slamkit pads it for its units"},
    {"pitch", CONFIG_PATH, SPEECH(pitch), "", 0, 0, NULL,
     "folder of a VQ-VAE of F0 (config.yaml, model.pt); empty: the embedded pitch; none: no pitch"},
    {"f0", CONFIG_PATH, SPEECH(f0), "", 0, 0, NULL,
     "weights of FCPE, whose F0 the VQ-VAE gets; empty: pYAAPT, which needs none"},
    {"style", CONFIG_PATH, SPEECH(style), "", 0, 0, NULL,
     "folder of a wav2vec 2.0 classifier of style; empty: the embedded style; none: no style"},
    {"vocoder", CONFIG_PATH, SPEECH(vocoder), "", 0, 0, NULL,
     "folder or weights of a unit HiFi-GAN; empty: the embedded vocoder, which speaks embedded units alone; none"},
};

static const char *const aligners[] = {"pocketsphinx", "ctc", NULL}; /* as enum aligner_kind */

const struct config_field prepare_fields[] = {
    {"manifests", CONFIG_PATH_LIST, PREPARE(manifests), NULL, 0, 0, NULL,
     "JSON Lines files; NAME.jsonl becomes the dataset OUTPUT/NAME"},
    {"output", CONFIG_PATH, PREPARE(output), NULL, 0, 0, NULL, "folder of the datasets"},
    {"fit", CONFIG_STRING_LIST, PREPARE(fit), "", 0, 0, NULL,
     "names of the manifests that the speech tokenizer is fitted on; empty: all with audio"},
    {"threads", CONFIG_INT, PREPARE(threads), "0", 0, 1024, NULL, "0: SPIRITLM_THREADS, else all processors"},
    {"shard_rows", CONFIG_INT, PREPARE(shard_rows), "512", 1, SHARD_ROWS, NULL,
     "rows per shard; fewer where rows are so long that a shard would exceed 64 MiB"},
    {"align", CONFIG_BOOL, PREPARE(align), "true", 0, 0, NULL,
     "find the times of the words where a row with audio and text does not give them"},
    {"aligner", CONFIG_CHOICE, PREPARE(aligner), "pocketsphinx", 0, 0, aligners,
     "what finds them: pocketsphinx (English), or a CTC model of prepare.aligner_folder (any language)"},
    {"aligner_folder", CONFIG_PATH, PREPARE(aligner_folder), "", 0, 0, NULL,
     "folder of a Wav2Vec2ForCTC of Hugging Face with its vocab.json"},
    {"align_threshold", CONFIG_NUMBER, PREPARE(align_threshold), "0", 0, 0, NULL,
     "alignment score below which a row is rejected; 0: the aligner's measured default"},
    {"keep_unaligned", CONFIG_BOOL, PREPARE(keep_unaligned), "false", 0, 0, NULL,
     "keep rows whose text cannot be aligned or scores below the threshold, as speech without words, instead of "
     "rejecting "
     "them"},
    {"minimum_seconds", CONFIG_NUMBER, PREPARE(minimum_seconds), "0.1", 0, 43200, NULL, "shorter audio is rejected"},
    {"maximum_seconds", CONFIG_NUMBER, PREPARE(maximum_seconds), "3600", 0, 43200, NULL, "longer audio is rejected"},
    {"ready.label", CONFIG_STRING, PREPARE(ready.label), "", 0, 0, NULL,
     "what made the ready units of a manifest; empty: the speech tokenizer of tokenizer.folder"},
    {"ready.hubert_rate", CONFIG_STRING, PREPARE(ready.hubert_rate), "25", 0, 0, NULL,
     "ready hubert units per second, an integer or a fraction"},
    {"ready.pitch_rate", CONFIG_STRING, PREPARE(ready.pitch_rate), "25/2", 0, 0, NULL, "ready pitch units per second"},
    {"ready.style_rate", CONFIG_STRING, PREPARE(ready.style_rate), "1", 0, 0, NULL, "ready style units per second"},
};

/* Two sections of their own in name only: what stands for the ends of a document, and the manifests of prepare. */
const struct config_field text_fields[] = {
    {"bos", CONFIG_INT, TOKENIZER(bos), "-1", -1, 1 << 24, NULL,
     "id that begins every document; -1: the one that the text model's file names, if any"},
    {"eos", CONFIG_INT, TOKENIZER(eos), "-1", -1, 1 << 24, NULL,
     "id that ends every document; -1: the one that the text model's file names, if any"},
};

const struct config_field manifest_fields[] = {
    {"labels", CONFIG_STRING_LIST, PREPARE(labels), "", 0, 0, NULL,
     "keys of manifests to be kept as labels although they look like another name of one that prepare reads"},
};

const struct config_field data_fields[] = {
    {"train", CONFIG_PATH_LIST, DATA(train), "", 0, 0, NULL, "dataset folders to train on"},
    {"validation", CONFIG_PATH_LIST, DATA(validation), "", 0, 0, NULL, "dataset folders held out"},
    {"lanes", CONFIG_INT, DATA(lanes), "8", 1, 1 << 20, NULL, "sequences in the global batch"},
    {"sequence_length", CONFIG_INT, DATA(sequence_length), "512", 2, 1 << 20, NULL, "tokens per sequence"},
    {"weights.text", CONFIG_NUMBER, DATA(weights[SOURCE_TEXT]), "1", 0, 1e6, NULL, "share of tokens of text alone"},
    {"weights.speech", CONFIG_NUMBER, DATA(weights[SOURCE_SPEECH]), "1", 0, 1e6, NULL,
     "share of tokens of speech alone"},
    {"weights.interleaved", CONFIG_NUMBER, DATA(weights[SOURCE_INTERLEAVED]), "1", 0, 1e6, NULL,
     "share of tokens of aligned speech and text"},
    {"interleave", CONFIG_CHOICE, DATA(mode), "spans", 0, 0, modes, "form of the aligned documents"},
    {"text_words_minimum", CONFIG_INT, DATA(text_words_minimum), "10", 1, 10000, NULL, "shortest span of text"},
    {"text_words_maximum", CONFIG_INT, DATA(text_words_maximum), "30", 1, 10000, NULL, "longest span of text"},
    {"speech_words_minimum", CONFIG_INT, DATA(speech_words_minimum), "5", 1, 10000, NULL, "shortest span of speech"},
    {"speech_words_maximum", CONFIG_INT, DATA(speech_words_maximum), "15", 1, 10000, NULL, "longest span of speech"},
    {"expressive", CONFIG_BOOL, DATA(expressive), "true", 0, 0, NULL, "use pitch and style units beside hubert's"},
    {"mask_documents", CONFIG_BOOL, DATA(mask_documents), "true", 0, 0, NULL,
     "no attention across the documents packed into a sequence"},
};

const int64_t tokenizer_field_count = sizeof tokenizer_fields / sizeof *tokenizer_fields;
const int64_t speech_field_count = sizeof speech_fields / sizeof *speech_fields;
const int64_t text_field_count = sizeof text_fields / sizeof *text_fields;
const int64_t prepare_field_count = sizeof prepare_fields / sizeof *prepare_fields;
const int64_t manifest_field_count = sizeof manifest_fields / sizeof *manifest_fields;
const int64_t data_field_count = sizeof data_fields / sizeof *data_fields;
