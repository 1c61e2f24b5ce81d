/* What a user can get wrong, one row per case: each program must answer with one clear line and its exit code, and
 * leave nothing behind. In commands $B is the programs' folder and $D a folder with a tiny corpus, a trained run, a
 * fitted speech tokenizer and damaged copies of everything. `$FULL 'COMMAND'` runs it with a disk of two pages at
 * $D/disk, `$ASUSER COMMAND` without root's right to ignore permissions. */
#include "support/files.h"
#include "support/test_support.h"
#include "support/tiny_corpus.h"

#include <math.h>
#include <sndfile.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct bad_case {
    const char *command;
    int code;
    const char *text; /* must be in the error line */
} cases[] = {
    /* ---- every program: options ---- */
    {"$B/train --confg x.yaml", 2, "--config"},
    {"$B/train --config", 2, "--config"},
    {"$B/train --config $D/none.yaml", 2, "none.yaml"},
    {"$B/train --config $D", 2, "$D"},
    {"$B/train --config $D/run.yaml --config $D/run.yaml", 2, "--config"},
    {"$B/train --config $D/run.yaml extra", 2, "extra"},
    {"$B/generate", 2, "--model"},
    {"$B/evaluate --config $D/run.yaml", 2, "task"},
    {"$B/evaluate --config $D/run.yaml sing", 2, "sing"},
    /* ---- configuration ---- */
    {"$B/train --config $D/empty_value.yaml", 2, "empty_value.yaml:2"},
    {"$B/train --config $D/unknown_key.yaml", 2, "train.steps"},
    {"$B/train --config $D/unknown_section.yaml", 2, "unknown_section.yaml:1"},
    {"$B/train --config $D/wrong_type.yaml", 2, "wrong_type.yaml:2"},
    {"$B/train --config $D/twice.yaml", 2, "twice.yaml:3"},
    {"$B/train --config $D/anchor.yaml", 2, "anchor.yaml"},
    {"$B/train --config $D/not_yaml.yaml", 2, "not_yaml.yaml"},
    {"$B/train --config $D/binary.yaml", 2, "binary.yaml"},
    {"$B/train --config $D/loop.yaml", 2, "loop.yaml"},
    {"$B/train --config $D/extends_none.yaml", 2, "none.yaml"},
    {"$B/train --config $D/run.yaml train.steps=many", 2, "train.steps"},
    {"$B/train --config $D/run.yaml train.steps=0", 2, "train.steps"},
    {"$B/train --config $D/run.yaml train.stepz=3", 2, "train.steps"},
    {"$B/train --config $D/run.yaml data.text_words_max=3", 2, "did you mean data.text_words_maximum?"},
    {"$B/train --config $D/run.yaml data.seq_len=3", 2, "did you mean data.sequence_length?"},
    {"$B/train --config $D/run.yaml train.dtype=f64", 2, "train.dtype"},
    {"$B/train --config $D/run.yaml kernels.conv1d=fast", 2, "own, cudnn"},
    {"$B/train --config $D/run.yaml kernels.conv1d=cudnn", 2, "kernels.conv1d: cudnn computes on GPUs alone"},
    {"$B/train --config $D/run.yaml --dry-run kernels.conv1d=cudnn", 2, "kernels.conv1d: cudnn computes on GPUs alone"},
    {"$B/train --config $D/run.yaml train.beta1=nan", 2, "train.beta1"},
    {"$B/train --config $D/run.yaml data.sequence_length=1", 2, "data.sequence_length"},
    /* ---- data, tokenizers, model ---- */
    {"$B/train --config $D/run.yaml data.train=$D/nowhere", 2, "nowhere: there is no such folder; data.train"},
    {"$B/train --config $D/run.yaml data.train=$D/damaged_index", 65, "damaged_index"},
    /* Found when the shard is first read, and then the run has begun: its folder is the user's. */
    {"$B/train --config $D/run.yaml data.train=$D/damaged_shard,$D/corpus/text train.run=$D/new; c=$?; rm -r $D/new; "
     "exit $c",
     65, "shard_00000.h5"},
    {"$B/train --config $D/run.yaml data.train=$D/missing_shard,$D/corpus/text train.run=$D/new", 65, "shard_00000.h5"},
    {"$B/train --config $D/run.yaml data.train=$D/corpus/speech train.run=$D/new", 2, "text"},
    {"$B/train --config $D/run.yaml data.train=$D/corpus/text train.run=$D/new", 2, "speech"},
    {"$B/train --config $D/run.yaml tokenizer.text_model=$D/none.model", 2, "none.model"},
    {"$B/train --config $D/run.yaml tokenizer.text_model=$D/empty train.run=$D/new", 65, "empty"},
    {"$B/train --config $D/run.yaml tokenizer.text_model=$D/run.yaml train.run=$D/new", 65, "run.yaml"},
    {"$B/train --config $D/run.yaml tokenizer.text_model=", 2, "tokenizer.text_model"},
    {"$B/train --config $D/run.yaml prepare.ready.label= tokenizer.folder=$D/nowhere", 2,
     "nowhere: there is no such folder; tokenizer.folder"},
    {"$B/train --config $D/run.yaml prepare.ready.label= tokenizer.folder=$D/corpus", 65, "corpus"},
    {"$B/train --config $D/run.yaml prepare.ready.hubert_rate=fast", 2, "fast"},
    {"$B/train --config $D/run.yaml prepare.ready.hubert_rate=50 train.run=$D/new", 2, "hubert"},
    {"$B/train --config $D/run.yaml model.heads=3 train.run=$D/new", 2, "head"},
    {"$B/train --config $D/run.yaml model.initialize_from=$D/nowhere train.run=$D/new", 2, "nowhere"},
    {"$B/train --config $D/run.yaml model.initialize_from=$D/hf_no_weights train.run=$D/new", 2, "safetensors"},
    {"$B/train --config $D/run.yaml model.initialize_from=$D/hf_truncated train.run=$D/new", 65, "model.safetensors"},
    {"$B/train --config $D/run.yaml model.initialize_from=$D/hf_bad_config train.run=$D/new", 65, "config.json"},
    /* ---- runs and checkpoints ---- */
    {"$B/train --config $D/run.yaml --resume none", 2, "has begun already"},
    {"$B/train --config $D/run.yaml --resume $D/nowhere", 2, "nowhere"},
    {"$B/train --config $D/run.yaml train.seed=9 train.steps=9", 2, "seed"},
    {"$B/train --config $D/run.yaml data.lanes=3 train.steps=9", 2, "lanes"},
    {"$B/train --config $D/run.yaml data.sequence_length=64 train.steps=9", 2, "sequence"},
    {"$B/train --config $D/run.yaml train.run=$D/empty", 2, "empty"},
    {"$B/train --config $D/run.yaml train.run=/proc/none", 74, "/proc/none"},
    {"$B/train --config $D/run.yaml --dry-run --gpus 0", 2, "--gpus"},
    {"$B/train --config $D/run.yaml --device abacus", 2, "this program has: cpu"},
    {"$B/train --config $D/run.yaml --dry-run --device abacus", 2, "this program has: cpu"},
    {"$B/generate --model $D/run --text a --device abacus", 2, "this program has: cpu"},
    {"$B/evaluate --config $D/run.yaml learning --device abacus", 2, "this program has: cpu"},
    {"$B/prepare --config $D/prepare.yaml --device abacus", 2, "this program has: cpu"},
    {"$B/prepare --config $D/prepare.yaml --device cuda", 2, "scripts/build cuda builds it"},
    {"$B/tokenize --config $D/prepare.yaml --device cuda:1 $D/tone.wav", 2, "scripts/build cuda builds it"},
    {"$B/train --config $D/run.yaml --device cuda", 2, "scripts/build cuda builds it"},
    {"$B/train --config $D/run.yaml --device cuda:1", 2, "scripts/build cuda builds it"},
    {"$B/generate --model $D/run --text a --device cuda", 2, "scripts/build cuda builds it"},
    {"$B/evaluate --config $D/run.yaml learning --device cuda", 2, "scripts/build cuda builds it"},
    {"$B/train --config $D/run.yaml --device cuda:x", 2, "--device cuda:x: no such device"},
    {"$B/train --config $D/run.yaml --dry-run --gpus 900", 2, "lanes"},
    {"$B/train --config $D/run.yaml --dry-run --show-samples 5", 2, "--show-samples"},
    {"$B/train --config $D/run.yaml --dry-run train.device_memory=80Q", 2, "train.device_memory is \"80Q\""},
    {"$B/train --config $D/run.yaml --dry-run train.device_memory=9kB", 2, "no micro-batch, recomputation"},
    {"$B/train --config $D/run.yaml --device cpu train.run=$D/new train.device_memory=9kB", 2,
     "train.device_memory is"},
    {"$B/train --config $D/run.yaml --show-samples 0", 2, "--show-samples"},
    {"$B/train --config $D/run.yaml --dry-run data.text_words_minimum=20 data.text_words_maximum=10", 2,
     "data.text_words_minimum"},
    {"$B/train --config $D/run.yaml --dry-run data.weights.text=0 data.weights.speech=0 data.weights.interleaved=0", 2,
     "data.weights"},
    {"$B/train --config $D/run.yaml data.train= train.run=$D/new", 2, "data.train is empty"},
    {"$B/train --config $D/run.yaml tokenizer.units=5 train.run=$D/new", 2, "the vocabulary has only 5"},
    {"$B/train --config $D/run.yaml --show-samples -1", 2, "--show-samples"},
    {"$B/train --config $D/run.yaml --show-samples 2 > /dev/full", 74, "standard output"},
    /* ---- generate ---- */
    {"$B/generate --model $D/nowhere --text a", 2, "nowhere"},
    {"$B/generate --model $D/corpus --text a", 2, "corpus"},
    {"$B/generate --model $D/flipped_checkpoint --text a", 65, "model.safetensors"},
    {"$B/generate --model $D/truncated_checkpoint --text a", 65, "model.safetensors"},
    {"$B/generate --model $D/swapped_checkpoint --text a", 65, "tokenizer.model"},
    {"$B/generate --model $D/no_manifest --text a", 65, "MANIFEST"},
    {"$B/generate --model $D/run --text a --output song", 2, "song"},
    {"$B/generate --model $D/run --text a --temperature hot", 2, "hot"},
    {"$B/generate --model $D/run --text a --temperature -1", 2, "temperature"},
    {"$B/generate --model $D/run --text a --top-p 0", 2, "top_p"},
    {"$B/generate --model $D/run --text a --samples 0", 2, "--samples"},
    {"$B/generate --model $D/run --units '[Hu1][Hu99]'", 2, "[Hu99]"},
    {"$B/generate --model $D/run --units 'Hu1'", 2, "Hu1"},
    {"$B/generate --model $D/run --speech $D/tone.wav", 2, "speech tokenizer"},
    {"$B/generate --model $D/run --text \"$(head -c 5000 /dev/zero | tr '\\0' a)\"", 2, "context"},
    {"$B/generate --model $D/run --text a --output text --out $D/empty", 2, "empty"},
    {"$B/generate --model $D/run --text a --output text > /dev/full", 74, "standard output"},
    /* ---- prepare: options, manifests, tokenizer ---- */
    {"$B/prepare", 2, "without --config"},
    {"$B/prepare --config $D/prepare.yaml --stage fitt", 2, "fitt"},
    {"$B/prepare --config $D/prepare.yaml --part 3/2", 2, "3/2"},
    /* Read last, looked at first. */
    {"$B/prepare --config $D/prepare.yaml tokenizer.text_model=$D/none.model prepare.output=$D/new", 2,
     "none.model: there is no such file; tokenizer.text_model names a SentencePiece model, and docs/text.md"},
    {"$B/prepare --config $D/prepare.yaml tokenizer.text_model=$D/run.yaml prepare.output=$D/new", 65, "run.yaml"},
    {"$B/prepare --config $D/prepare.yaml --part 0/2", 2, "0/2"},
    {"$B/prepare --config $D/prepare.yaml --part 1", 2, "--part"},
    {"$B/prepare --config $D/prepare.yaml prepare.shard_rows=0", 2, "prepare.shard_rows"},
    {"$B/prepare --config $D/prepare.yaml prepare.output=", 2, "prepare.output"},
    {"$B/prepare --config $D/prepare.yaml prepare.manifests=", 2, "prepare.manifests"},
    {"$B/prepare --config $D/prepare.yaml prepare.manifests=$D/none.jsonl", 2, "none.jsonl"},
    {"$B/prepare --config $D/prepare.yaml prepare.manifests=$D/speech.jsonl,$D/other/speech.jsonl", 2, "speech"},
    {"$B/prepare --config $D/prepare.yaml prepare.manifests=$D/empty.jsonl", 65, "empty.jsonl"},
    {"$B/prepare --config $D/prepare.yaml prepare.manifests=$D/not_json.jsonl", 65, "not_json.jsonl:2"},
    {"$B/prepare --config $D/prepare.yaml prepare.manifests=$D/no_id.jsonl", 65, "no_id.jsonl:1"},
    {"$B/prepare --config $D/prepare.yaml prepare.manifests=$D/same_id.jsonl", 65, "same_id.jsonl:2"},
    {"$B/prepare --config $D/prepare.yaml prepare.manifests=$D/wrong_type.jsonl", 65, "wrong_type.jsonl:1"},
    {"$B/prepare --config $D/prepare.yaml prepare.manifests=$D/words.jsonl", 65, "words.jsonl:1"},
    {"$B/prepare --config $D/prepare.yaml prepare.manifests=$D/nothing.jsonl", 65, "nothing.jsonl:1"},
    {"$B/prepare --config $D/prepare.yaml prepare.fit=[choir]", 2, "choir"},
    {"$B/prepare --config $D/prepare.yaml tokenizer.units=25", 2, "units"},
    {"$B/prepare --config $D/prepare.yaml tokenizer.folder=$D/flipped_tokenizer", 65, "flipped_tokenizer"},
    {"$B/prepare --config $D/prepare.yaml tokenizer.folder=$D/cut_tokenizer", 65, "cut_tokenizer"},
    {"$B/prepare --config $D/prepare.yaml --stage shards tokenizer.folder=$D/nowhere", 2, "nowhere"},
    {"$B/prepare --config $D/prepare.yaml --stage index prepare.output=$D/nowhere", 2, "nowhere"},
    {"$B/prepare --config $D/prepare.yaml prepare.output=$D/empty", 2, "empty"},
    {"$B/prepare --config $D/prepare.yaml prepare.output=/proc/none", 74, "/proc/none"},
    /* A manifest of which not one row can be used; what is wrong with each row is in the line or the list. */
    {"$B/prepare --config $D/prepare.yaml --stage fit tokenizer.folder=$D/new prepare.manifests=$D/nan.jsonl", 65,
     "nan"},
    {"$B/prepare --config $D/prepare.yaml --stage fit tokenizer.folder=$D/new prepare.manifests=$D/silent.jsonl", 65,
     "zero_seconds.wav"},
    /* ---- tokenize ---- */
    {"$B/tokenize $D/tone.wav", 2, "--config"},
    {"$B/tokenize --config $D/prepare.yaml", 2, "audio file"},
    {"$B/tokenize --config $D/prepare.yaml $D/none.wav", 2, "none.wav"},
    {"$B/tokenize --config $D/prepare.yaml $D", 65, "$D"},
    {"$B/tokenize --config $D/prepare.yaml $D/empty", 65, "empty"},
    {"$B/tokenize --config $D/prepare.yaml $D/run.yaml", 65, "run.yaml"},
    {"$B/tokenize --config $D/prepare.yaml $D/nan.wav", 65, "nan.wav"},
    {"$B/tokenize --config $D/prepare.yaml $D/infinite.wav", 65, "infinite.wav"},
    {"$B/tokenize --config $D/prepare.yaml $D/zero_seconds.wav", 65, "zero_seconds.wav"},
    {"$B/tokenize --config $D/prepare.yaml $D/short.wav", 65, "short.wav"},
    {"$B/tokenize --config $D/prepare.yaml $D/head_only.wav", 65, "head_only.wav"},
    {"$B/tokenize --config $D/prepare.yaml tokenizer.folder=$D/nowhere $D/tone.wav", 2, "nowhere"},
    {"$B/tokenize --config $D/prepare.yaml tokenizer.folder=$D/flipped_tokenizer $D/tone.wav", 65, "flipped_tokenizer"},
    {"$B/tokenize --config $D/prepare.yaml --streams pitch $D/tone.wav", 2, "pitch"},
    {"$B/tokenize --config $D/prepare.yaml --speaker nobody $D/tone.wav", 2, "nobody"},
    {"$B/tokenize --config $D/prepare.yaml --channel 3 $D/tone.wav", 2, "channel 3"},
    {"$B/tokenize --config $D/prepare.yaml --output $D/new.wav $D/tone.wav", 2, "--decode"},
    {"$B/tokenize --config $D/prepare.yaml --decode --channel 0 --output $D/new.wav '[Hu1]'", 2, "--channel"},
    {"$B/tokenize --config $D/prepare.yaml --decode --output $D/new.wav '[Hu1]' '[Hu2]'", 2, "%d"},
    {"$B/tokenize --config $D/prepare.yaml --decode --output $D/new.mp3 '[Hu1]'", 2, "new.mp3"},
    {"$B/tokenize --config $D/prepare.yaml $D/tone.wav > /dev/full", 74, "standard output"},
    {"$B/tokenize --config $D/prepare.yaml --decode '[Hu1]'", 2, "--output"},
    {"$B/tokenize --config $D/prepare.yaml --decode --output $D/new.wav", 2, "unit string"},
    {"$B/tokenize --config $D/prepare.yaml --decode --output $D/new.wav '[Hu1][Hu99]'", 2, "[Hu99]"},
    {"$B/tokenize --config $D/prepare.yaml --decode --output $D/new.wav '[Hu1'", 2, "[Hu1"},
    {"$B/tokenize --config $D/prepare.yaml --decode --output $D/new.wav '[St0]'", 2, "[Hu"},
    {"$B/tokenize --config $D/prepare.yaml --decode --output $D/new.wav '{\"hubert\": [1, 99]}'", 2, "\"hubert\"[1]"},
    {"$B/tokenize --config $D/prepare.yaml --decode --output $D/new.wav '{\"hubert\": '", 2, "units"},
    {"$B/tokenize --config $D/prepare.yaml --decode --output $D/none/new.wav '[Hu1]'", 74, "none/new.wav"},
    /* ---- inspect ---- */
    {"$B/inspect", 2, "no file"},
    {"$B/inspect $D/nowhere", 2, "nowhere"},
    {"$B/inspect $D/other", 2, "other"},
    {"$B/inspect $D/run.yaml", 2, "run.yaml"},
    {"$B/inspect $D/corpus/speech --row 20", 2, "20"},
    {"$B/inspect $D/corpus/speech --row -1", 2, "--row"},
    {"$B/inspect $D/corpus/text.model --row 1", 2, "--row"},
    {"$B/inspect $D/damaged_index", 65, "damaged_index"},
    {"$B/inspect $D/damaged_shard --verify", 65, "shard_00000.h5"},
    {"$B/inspect $D/damaged_shard/shard_00000.h5", 65, "shard_00000.h5"},
    {"$B/inspect $D/missing_shard --verify", 65, "shard_00000.h5"},
    {"$B/inspect $D/cut.h5", 65, "cut.h5"},
    {"$B/inspect $D/empty.h5", 65, "empty.h5"},
    {"$B/inspect $D/not_json.jsonl", 65, "not_json.jsonl:2"},
    {"$B/inspect $D/flipped_tokenizer", 65, "flipped_tokenizer"},
    {"$B/inspect $D/flipped_checkpoint", 65, "model.safetensors"},
    {"$B/inspect $D/truncated_checkpoint/model.safetensors", 65, "model.safetensors"},
    {"$B/inspect $D/nan.safetensors --verify", 65, "nan.safetensors"},
    {"$B/inspect $D/cut.model", 65, "cut.model"},
    {"$B/inspect $D/run > /dev/full", 74, "standard output"},
    {"$B/inspect --get rows", 2, "no file"},
    {"$B/inspect --get rows $D/nowhere.json", 2, "nowhere.json"},
    {"$B/inspect --get rows $D/corpus/speech", 2, "corpus/speech"},
    {"$B/inspect --get rows $D/not_json.jsonl", 65, "not_json.jsonl:2"},
    {"$B/inspect --get totals.row $D/corpus/speech/index.json", 2, "\"rows\""},
    {"$B/inspect --get totals.rows.0 $D/corpus/speech/index.json", 2, "a single value"},
    {"$B/inspect --get totals --verify $D/corpus/speech/index.json", 2, "--get"},
    /* ---- import ---- */
    {"$B/import", 2, "KIND"},
    {"$B/import folder $D/other", 2, "--output"},
    {"$B/import nokind $D/other --output $D/new.jsonl", 2, "nokind"},
    {"$B/import kaldi $D/other --output $D/new.jsonl", 2, "wav.scp"},
    {"$B/import ljspeech $D/other --output $D/new.jsonl", 2, "metadata.csv"},
    {"$B/import nemo $D/other --output $D/new.jsonl", 2, "other"},
    {"$B/import fairseq $D/nowhere.tsv --output $D/new.jsonl", 2, "nowhere.tsv"},
    {"$B/import slamkit $D/not_json.jsonl --output $D/new.jsonl", 65, "not_json.jsonl:1"},
    {"$B/import moshi $D/not_json.jsonl --output $D/new.jsonl", 65, "not_json.jsonl:1"},
    {"$B/import text $D/other --per page --output $D/new.jsonl", 2, "--per"},
    {"$B/import folder $D/sounds --per line --output $D/new.jsonl", 2, "--per"},
    {"$B/import text $D/other --text-key t --output $D/new.jsonl", 2, "--text-key"},
    {"$B/import folder $D/sounds --seed 1 --output $D/new.jsonl", 2, "--split"},
    {"$B/import folder $D/sounds --split a=0.5,b=0.5 --output $D/new.jsonl", 2, "--split-by"},
    {"$B/import folder $D/sounds --split a=0.5 --split-by document --output $D/new.jsonl", 2, "add up to"},
    {"$B/import folder $D/sounds --split a=1 --split-by day --output $D/new.jsonl", 2, "day"},
    {"$B/import folder $D/sounds --split a=1 --split-by speaker --output $D/new.jsonl", 2, "no speaker"},
    {"$B/import folder $D/other $D/other --output $D/new.jsonl", 2, "unexpected"},
    {"$B/import folder $D/other --tier words --output $D/new.jsonl", 2, "--tier"},
    {"$B/import folder $D/other --audio $D --output $D/new.jsonl", 2, "--audio"},
    {"$B/import ctm $D/bad.ctm --speaker-folders --output $D/new.jsonl", 2, "--speaker-folders"},
    {"$B/import folder $D/other --speaker-folders --speaker a --output $D/new.jsonl", 2, "cannot be given together"},
    {"$B/import folder $D/nowhere --output $D/new.jsonl", 2, "nowhere"},
    {"$B/import folder $D/empty_folder --output $D/new.jsonl", 2, "empty_folder"},
    {"$B/import librispeech $D/empty_folder --output $D/new.jsonl", 2, "empty_folder"},
    {"$B/import ctm $D/nowhere.ctm --output $D/new.jsonl", 2, "nowhere.ctm"},
    {"$B/import ctm $D/bad.ctm --output $D/new.jsonl", 65, "bad.ctm:2"},
    {"$B/import ctm $D/empty --output $D/new.jsonl", 2, "empty"},
    {"$B/import textgrid $D/bad.TextGrid --output $D/new.jsonl", 65, "bad.TextGrid"},
    {"$B/import whisper $D/bad.json --output $D/new.jsonl", 65, "bad.json"},
    {"$B/import folder $D/sounds --output $D/empty/new.jsonl", 2, "empty"},
    /* ---- a full disk, a file too large, no permission ---- */
    {"$FULL '$B/train --config $D/run.yaml train.run=$D/disk/new'", 74, "$D/disk/new"},
    {"$FULL '$B/prepare --config $D/prepare.yaml prepare.output=$D/disk/new'", 74, "$D/disk/new"},
    {"$FULL '$B/prepare --config $D/prepare.yaml tokenizer.folder=$D/disk/new'", 74, "$D/disk/new"},
    {"$FULL '$B/tokenize --config $D/prepare.yaml --decode --output $D/disk/new.wav \"$(cat $D/long_units)\"'", 74,
     "$D/disk/new.wav"},
    {"$FULL '$B/demo_corpus --output $D/disk/new'", 74, "$D/disk/new"},
    {"(ulimit -f 8; $B/tokenize --config $D/prepare.yaml --decode --output $D/new.wav \"$(cat $D/long_units)\")", 74,
     "new.wav"},
    {"$ASUSER $B/train --config $D/run.yaml train.run=$D/locked/new", 74, "locked"},
    {"$ASUSER $B/train --config $D/unreadable.yaml", 74, "unreadable.yaml"},
    {"$ASUSER $B/prepare --config $D/prepare.yaml prepare.output=$D/locked/new", 74, "locked"},
    {"$ASUSER $B/tokenize --config $D/prepare.yaml $D/unreadable.wav", 74, "unreadable.wav"},
    {"$ASUSER $B/tokenize --config $D/prepare.yaml --decode --output $D/locked/new.wav '[Hu1]'", 74, "locked"},
    {"$ASUSER $B/generate --model $D/run --text a --output text --out $D/locked/new", 74, "locked"},
    {"$ASUSER $B/import folder $D/sounds --output $D/locked/new.jsonl", 74, "locked"},
    {"$ASUSER $B/inspect $D/unreadable.wav", 74, "unreadable.wav"},
    {"$ASUSER $B/demo_corpus --output $D/locked/new", 74, "locked"},
    /* ---- demo_corpus ---- */
    {"$B/demo_corpus", 2, "--output"},
    {"$B/demo_corpus --output $D/corpus", 2, "not a demo corpus"},
    {"$B/demo_corpus --output $D/x --synthetic-minutes many", 2, "--synthetic-minutes"},
    /* ---- evaluate ---- */
    {"$B/evaluate --config $D/run.yaml pairs", 2, "file"},
    {"$B/evaluate --config $D/run.yaml learning extra", 2, "extra"},
    {"$B/evaluate --config $D/run.yaml generation lerning", 2, "did you mean learning?"},
    {"$B/evaluate --config $D/run.yaml pairs $D/pairs_long.jsonl generate", 2, "did you mean generation?"},
    {"$B/evaluate --config $D/run.yaml learning generation learning", 2, "learning is named twice"},
    {"$B/evaluate --config $D/run.yaml pairs $D/x/a.jsonl $D/y/a.jsonl", 2,
     "would both be written to results_pairs_a.json"},
    {"$B/evaluate --config $D/run.yaml learning --out $D/run.yaml --model $D/nowhere", 2, "--out names another folder"},
    {"$B/evaluate --config $D/run.yaml learning --out $D/made/for/nothing --model $D/nowhere", 2, "nowhere"},
    {"$ASUSER $B/evaluate --config $D/run.yaml learning --out $D/locked --model $D/nowhere", 74,
     "Permission denied; --out"},
    {"$ASUSER $B/evaluate --config $D/run.yaml generation --out $D/locked/new", 74, "Permission denied; --out"},
    {"$FULL 'head -c 8192 /dev/zero > $D/disk/zeros; $B/evaluate --config $D/run.yaml generation --out $D/disk/a'", 74,
     "No space left"},
    {"$B/evaluate --config $D/run.yaml learning data.train= data.validation=", 2, "nothing to compare"},
    {"$B/evaluate --config $D/run.yaml generation extra", 2, "extra"},
    {"$B/evaluate --config $D/run.yaml pairs $D/pairs_long.jsonl $D/pairs_long.jsonl", 2, "pairs_long.jsonl"},
    {"$B/evaluate --config $D/run.yaml pairs $D/pairs_long.jsonl", 2, "\"long one\""},
    {"$B/evaluate --config $D/run.yaml pairs $D/none.jsonl", 2, "none.jsonl"},
    {"$B/evaluate --config $D/run.yaml pairs $D/empty", 65, "no pairs"},
    {"$B/evaluate --config $D/run.yaml pairs $D/pairs_not_json.jsonl", 65, "pairs_not_json.jsonl:2"},
    {"$B/evaluate --config $D/run.yaml pairs $D/pairs_no_side.jsonl", 65, "incorrect"},
    {"$B/evaluate --config $D/run.yaml pairs $D/pairs_bad_piece.jsonl", 65, "piece"},
    {"$B/evaluate --config $D/run.yaml pairs $D/pairs_bad_units.jsonl", 65, "pairs_bad_units.jsonl:1"},
    {"$B/evaluate --config $D/run.yaml learning --model $D/nowhere", 2, "nowhere"},
};

static char folder[600];

static void write_tone(void)
{
    char path[800];
    SF_INFO info = {.samplerate = 16000, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_PCM_16};
    static short samples[16000];
    for (int i = 0; i < 16000; i++)
        samples[i] = (short)((i % 80) * 200 - 8000);
    snprintf(path, sizeof path, "%s/tone.wav", folder);
    SNDFILE *file = sf_open(path, SFM_WRITE, &info);
    assert_non_null(file);
    assert_int_equal(sf_write_short(file, samples, 16000), 16000);
    sf_close(file);
}

enum { PCM = SF_FORMAT_WAV | SF_FORMAT_PCM_16, FLOATS = SF_FORMAT_WAV | SF_FORMAT_FLOAT };

/* `count` samples of noise that rises and falls, with `odd` as one of them. */
static void write_sound(const char *name, int format, int count, float odd)
{
    static float samples[16000];
    char path[800];
    SF_INFO info = {.samplerate = 16000, .channels = 1, .format = format};
    uint32_t state = 1;
    for (int i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        samples[i] = ((float)(state >> 8) / 16777216.0f - 0.5f) * (float)(i % 1600) / 1600.0f;
    }
    if (count > 9000)
        samples[9000] = odd;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    SNDFILE *file = sf_open(path, SFM_WRITE, &info);
    assert_non_null(file);
    assert_int_equal(sf_write_float(file, samples, count), count);
    sf_close(file);
}

static void write_sounds(void)
{
    write_tone();
    write_sound("noise.wav", PCM, 16000, 0);
    write_sound("nan.wav", FLOATS, 16000, NAN);
    write_sound("infinite.wav", FLOATS, 16000, INFINITY);
    write_sound("zero_seconds.wav", PCM, 0, 0);
    write_sound("short.wav", PCM, 100, 0);
}

/* One row per manifest except the good one. */
static void write_manifests(void)
{
    static char units[1 << 14];
    write_text_in(folder, "speech.jsonl",
                  "{\"id\": \"tone\", \"audio\": \"tone.wav\"}\n"
                  "{\"id\": \"noise\", \"audio\": \"noise.wav\"}\n");
    write_text_in(folder, "empty.jsonl", "\n");
    write_text_in(folder, "not_json.jsonl", "{\"id\": \"a\", \"text\": \"b\"}\n{\"id\": \"c\", \"text\"\n");
    write_text_in(folder, "no_id.jsonl", "{\"audio\": \"tone.wav\"}\n");
    write_text_in(folder, "same_id.jsonl", "{\"id\": \"a\", \"text\": \"b\"}\n{\"id\": \"a\", \"text\": \"c\"}\n");
    write_text_in(folder, "wrong_type.jsonl", "{\"id\": \"a\", \"audio\": 3}\n");
    write_text_in(folder, "words.jsonl",
                  "{\"id\": \"a\", \"audio\": \"tone.wav\", \"text\": \"b\", "
                  "\"words\": [[\"b\", 0.4, 0.1]]}\n");
    write_text_in(folder, "nothing.jsonl", "{\"id\": \"a\", \"speaker\": \"b\"}\n");
    write_text_in(folder, "nan.jsonl", "{\"id\": \"a\", \"audio\": \"nan.wav\"}\n");
    write_text_in(folder, "silent.jsonl", "{\"id\": \"a\", \"audio\": \"zero_seconds.wav\"}\n");
    write_text_in(folder, "bad.ctm", "a 1 0.0 0.5 well\na 1 0.5 word\n");
    write_text_in(folder, "bad.TextGrid", "File type = \"ooTextFile\"\nObject class = \"TextGrid\"\n\n0\n");
    write_text_in(folder, "bad.json", "{\"segments\": [{\"words\": [{\"word\": 3}]}]}\n");
    write_text_in(folder, "empty.h5", "");
    for (int i = 0; i < 400; i++)
        sprintf(units + strlen(units), "[Hu%d]", i % 20);
    write_text_in(folder, "long_units", units);
}

static void write_configurations(void)
{
    char text[5000];
    write_text_in(folder, "empty", "");
    snprintf(text, sizeof text,
             "tokenizer:\n  text_model: %s/corpus/text.model\n  units: 20\n  pitch_codes: 8\n  style_codes: 4\n"
             "prepare:\n  ready.label: tiny\n"
             "data:\n  train: [%s/corpus/speech, %s/corpus/text]\n  validation: [%s/corpus/speech, %s/corpus/text]\n"
             "  lanes: 2\n  sequence_length: 48\n  speech_words_minimum: 1\n  speech_words_maximum: 3\n"
             "model:\n  hidden_size: 16\n  intermediate_size: 24\n  layers: 1\n  heads: 2\n"
             "train:\n  run: %s/run\n  steps: 2\n  validation_rows: 1\n  threads: 1\n",
             folder, folder, folder, folder, folder, folder);
    write_text_in(folder, "run.yaml", text);
    snprintf(text, sizeof text,
             "tokenizer:\n  folder: %s/tokenizer\n  text_model: %s/corpus/text.model\n  units: 24\n"
             "  pitch_codes: 4\n  iterations: 3\n"
             "prepare:\n  manifests: [%s/speech.jsonl]\n  output: %s/datasets\n",
             folder, folder, folder, folder);
    write_text_in(folder, "prepare.yaml", text);
    write_text_in(folder, "empty_value.yaml", "train:\n  steps:\n");
    write_text_in(folder, "unknown_key.yaml", "train:\n  step: 3\n");
    write_text_in(folder, "unknown_section.yaml", "trian:\n  steps: 3\n");
    write_text_in(folder, "wrong_type.yaml", "train:\n  steps: [1, 2]\n");
    write_text_in(folder, "twice.yaml", "train:\n  steps: 3\n  steps: 4\n");
    write_text_in(folder, "anchor.yaml", "train: &a\n  steps: 3\n");
    write_text_in(folder, "not_yaml.yaml", "train: {steps: 3\n");
    write_text_in(folder, "binary.yaml", "\x01\x02\xff\xfe train");
    write_text_in(folder, "loop.yaml", "extends: loop.yaml\n");
    write_text_in(folder, "extends_none.yaml", "extends: none.yaml\n");
    write_text_in(folder, "pairs_not_json.jsonl",
                  "{\"id\": \"1\", \"correct\": {\"text\": \"a\"}, \"incorrect\": {\"text\": \"b\"}}\n{\n");
    write_text_in(folder, "pairs_no_side.jsonl", "{\"id\": \"1\", \"correct\": {\"text\": \"a\"}}\n");
    write_text_in(folder, "pairs_bad_piece.jsonl",
                  "{\"id\": \"1\", \"correct\": {\"txt\": \"a\"}, \"incorrect\": {\"text\": \"b\"}}\n");
    write_text_in(folder, "pairs_bad_units.jsonl",
                  "{\"id\": \"1\", \"correct\": {\"units\": \"[Hu1\"}, \"incorrect\": {\"text\": \"b\"}}\n");
}

/* A side beyond the model's context. */
static void write_long_pair(void)
{
    static char text[6000];
    char *at =
        text + sprintf(text, "{\"id\": \"long one\", \"correct\": {\"text\": \"a\"}, \"incorrect\": {\"text\": \"");
    memset(at, 'b', 5000);
    strcpy(at + 5000, "\"}}\n");
    write_text_in(folder, "pairs_long.jsonl", text);
}

/* What a case's command begins with, and whether this machine can do it. */
static char full_disk[300], as_user[300];

static void find_ways(void)
{
    char output[1000];
    bool root = geteuid() == 0;
    snprintf(full_disk, sizeof full_disk,
             "unshare -%sm sh -c 'mount -t tmpfs -o size=8k tmpfs \"$D\"/disk && eval \"$1\"' sh", root ? "" : "r");
    if (root)
        strcpy(as_user, "setpriv --bounding-set -dac_override,-dac_read_search");
    if (run_command(output, sizeof output, "D='%s'; export D; %s true", folder, full_disk) != 0)
        full_disk[0] = 0;
    if (root && run_command(output, sizeof output, "%s true", as_user) != 0)
        strcpy(as_user, "false");
}

static void must_run(const char *format)
{
    char output[4000], command[4000];
    snprintf(command, sizeof command, "D='%s' B='%s'; export D B; %s", folder, TEST_PROGRAM_DIRECTORY, format);
    int code = run_command(output, sizeof output, "%s", command);
    if (code != 0)
        fail_msg("%s: exit %d: %s", format, code, output);
}

static int make_world(void **state)
{
    (void)state;
    struct tiny_corpus corpus;
    char path[700];
    snprintf(folder, sizeof folder, "%s/world", test_directory());
    snprintf(path, sizeof path, "%s/corpus", folder);
    if (tiny_corpus_write(path, 20, 1, &corpus) != STATUS_OK)
        return -1;
    write_sounds();
    write_configurations();
    write_long_pair();
    write_manifests();
    must_run("cd $D; mkdir disk other empty_folder sounds locked; cp speech.jsonl other; cp tone.wav sounds; cp "
             "tone.wav bad.wav");
    must_run("$B/train --config $D/run.yaml");
    must_run("$B/prepare --config $D/prepare.yaml");
    must_run("cd $D; head -c 500 noise.wav > head_only.wav; truncate -s 20 head_only.wav");
    must_run("cd $D; cp -r tokenizer flipped_tokenizer; cp -r tokenizer cut_tokenizer");
    must_run("cd $D; printf x | dd of=flipped_tokenizer/tokenizer.safetensors bs=1 seek=900 conv=notrunc status=none");
    must_run("cd $D; truncate -s -8 cut_tokenizer/tokenizer.safetensors");
    must_run("cd $D; head -c 3000 corpus/speech/shard_00000.h5 > cut.h5; head -c 200 corpus/text.model > cut.model");
    must_run("cd $D; { printf '\\077\\0\\0\\0\\0\\0\\0\\0'; printf '%-63s' "
             "'{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}'; "
             "printf '\\0\\0\\300\\177'; } > nan.safetensors");
    must_run(
        "cd $D; cp run.yaml unreadable.yaml; cp tone.wav unreadable.wav; chmod 000 unreadable.*; chmod 555 locked");
    find_ways();
    must_run("cd $D; for c in flipped truncated swapped; do cp -r run/checkpoints/step_00000002 ${c}_checkpoint; done");
    must_run("cd $D; printf x | dd of=flipped_checkpoint/model.safetensors bs=1 seek=3000 conv=notrunc status=none");
    must_run("cd $D; truncate -s -100 truncated_checkpoint/model.safetensors");
    must_run("cd $D; printf x >> swapped_checkpoint/tokenizer.model");
    must_run("cd $D; cp -r run/checkpoints/step_00000002 no_manifest; rm no_manifest/MANIFEST");
    must_run("cd $D; cp -r run/checkpoints/step_00000002 hf_no_weights; rm hf_no_weights/model.safetensors");
    must_run(
        "cd $D; cp -r run/checkpoints/step_00000002 hf_truncated; truncate -s -100 hf_truncated/model.safetensors");
    must_run("cd $D; cp -r run/checkpoints/step_00000002 hf_bad_config; echo '{\"hidden_size\": 16' > "
             "hf_bad_config/config.json");
    must_run("cd $D; for c in damaged_index damaged_shard missing_shard; do cp -r corpus/speech $c; done");
    must_run("cd $D; sed -i s/rows/rowz/ damaged_index/index.json; rm missing_shard/shard_00000.h5");
    must_run("cd $D; printf x | dd of=damaged_shard/shard_00000.h5 bs=1 seek=5000 conv=notrunc status=none");
    return 0;
}

/* Names, sizes and times of everything in the folder, one text. */
static void list_world(char *text, size_t size)
{
    assert_int_equal(run_command(text, size,
                                 "cd '%s' && find . -type f -printf '%%p %%s %%T@\\n' | sort && find . -type d | sort",
                                 folder),
                     0);
}

/* run.json records starts that fail too; nothing else may change. */
static bool run_case(const struct bad_case *bad)
{
    static char before[1 << 18], after[1 << 18];
    char output[8192], command[8000], expected[800];
    size_t used = 0, prefix = 0;
    const char *way = "";
    if (strncmp(bad->command, "$FULL", 5) == 0 || strncmp(bad->command, "$ASUSER", 7) == 0) {
        way = bad->command[1] == 'F' ? full_disk : as_user;
        prefix = strcspn(bad->command, " ");
    }
    list_world(before, sizeof before);
    snprintf(command, sizeof command, "D='%s' B='%s'; export D B SPIRITLM_THREADS=1; %s%s", folder,
             TEST_PROGRAM_DIRECTORY, way, bad->command + prefix);
    int code = run_command(output, sizeof output, "%s", command);
    for (const char *c = bad->text; *c && used < sizeof expected - 1; c++)
        if (!strncmp(c, "$D", 2)) {
            used += (size_t)snprintf(expected + used, sizeof expected - used, "%s", folder);
            c++;
        } else
            expected[used++] = *c;
    expected[used] = 0;
    bool good = true;
    const char *error = strstr(output, "error: ");
    if (code != bad->code || !error || !strstr(error, expected)) {
        print_error("%s\n  exit %d, expected %d and \"%s\"; printed: %s\n", bad->command, code, bad->code, expected,
                    output);
        good = false;
    }
    if (error && strchr(error, '\n') && strchr(error, '\n')[1]) {
        print_error("%s\n  the error is not the last line: %s\n", bad->command, output);
        good = false;
    }
    list_world(after, sizeof after);
    if (strcmp(before, after) != 0) {
        print_error("%s\n  left something behind:\n", bad->command);
        must_run("cd $D; find . -newer run.yaml -mmin -0.05 | head -5 >&2");
        good = false;
    }
    return good;
}

static bool is_possible(const struct bad_case *bad)
{
    return !(strncmp(bad->command, "$FULL", 5) == 0 && full_disk[0] == 0) &&
           !(strncmp(bad->command, "$ASUSER", 7) == 0 && strcmp(as_user, "false") == 0);
}

static void every_mistake_gets_its_line_and_code(void **state)
{
    (void)state;
    int count = sizeof cases / sizeof *cases, bad = 0, left_out = 0;
    assert_true(count >= 60);
    for (int i = 0; i < count; i++)
        if (is_possible(&cases[i]))
            bad += !run_case(&cases[i]);
        else
            left_out++;
    print_message("%d cases; %d skipped because this machine cannot mount or drop capabilities\n", count, left_out);
    assert_int_equal(bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_mistake_gets_its_line_and_code)};
    return cmocka_run_group_tests(tests, make_world, NULL);
}
