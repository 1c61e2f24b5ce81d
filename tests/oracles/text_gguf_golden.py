"""tests/golden/text/text.gguf: the SentencePiece model tests/golden/text/text.model as llama.cpp's converter puts one into GGUF.

    text_gguf_golden.py

Run with Python 3.11, gguf 0.19.0, sentencepiece 0.2.3. The keys are those that convert_hf_to_gguf.py writes for a Llama with a
tokenizer.model: tokens, scores, types, and the ids of the special pieces; add_space_prefix only where a tokenizer_config.json
says so, which LLaMA-2's does not. There are no tensors.
"""
import pathlib

import gguf
import sentencepiece

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden" / "text"


def kind(model, piece):
    for holds, name in ((model.IsUnknown, "UNKNOWN"), (model.IsControl, "CONTROL"), (model.IsUnused, "UNUSED"),
                        (model.IsByte, "BYTE")):
        if holds(piece):
            return gguf.TokenType[name]
    return gguf.TokenType.NORMAL


def main():
    model = sentencepiece.SentencePieceProcessor(str(GOLDEN / "text.model"))
    ids = range(model.vocab_size())
    writer = gguf.GGUFWriter(GOLDEN / "text.gguf", "llama")
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([model.IdToPiece(i).encode() for i in ids])
    writer.add_token_scores([model.GetScore(i) for i in ids])
    writer.add_token_types([kind(model, i) for i in ids])
    writer.add_bos_token_id(model.bos_id())
    writer.add_eos_token_id(model.eos_id())
    writer.add_unk_token_id(model.unk_id())
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main()
