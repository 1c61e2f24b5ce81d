"""What lm-evaluation-harness's own model, transformers', makes of the toy sets of lm_eval_golden.py.

    python -m venv VENV && VENV/bin/pip install lm_eval==0.4.13 torch==2.2.2 transformers==4.45.2 accelerate==1.15.0 \
        'numpy<2' 'pyarrow<20' 'datasets<4' sentencepiece==0.2.1
    build/cpu/bin/inspect --export FOLDER --layout hf tests/golden/text_llama/model.gguf
    VENV/bin/python tests/oracles/lm_eval_model.py FOLDER            (writes tests/golden/lm_eval/model.json)

The weights are those of FOLDER in float64, the tokenizer is tests/golden/text_llama/tokenizer.model as LLaMA's. The context is 487 tokens, so that half of
MMLU's questions with five examples lose their left end. {TASK: {"items": {ID: [log-likelihood of each choice]}, "results": {ROW: {"acc": x, "acc_stderr": x}}}}; a
choice that another is closer to than 1e-3 would make its item a matter of chance, so there must be none.
"""
import json
import pathlib
import sys

import torch
import transformers
from lm_eval.models.huggingface import HFLM

import lm_eval_golden as toy

CONTEXT = 487


class Noted(HFLM):
    """Counts what it cuts."""

    cut = 0

    def _loglikelihood_tokens(self, requests, **arguments):
        self.cut += sum(len(context) + len(continuation) > CONTEXT + 1 for _, context, continuation in requests)
        return super()._loglikelihood_tokens(requests, **arguments)


def main():
    model = transformers.LlamaForCausalLM.from_pretrained(sys.argv[1], torch_dtype=torch.float64, attn_implementation="eager")
    tokenizer = transformers.LlamaTokenizer(str(toy.GOLDEN / "text_llama/tokenizer.model"), legacy=True)
    harness = Noted(pretrained=model.eval(), tokenizer=tokenizer, max_length=CONTEXT, batch_size=8, device="cpu")
    golden = {}
    for task, shots, identity in (("mmlu", 5, lambda t, d: f"{t[len('mmlu_'):]}/{d['doc_id']}"),
                                  ("blimp", 0, lambda t, d: f"{t[len('blimp_'):]}/{d['doc_id']}"),
                                  ("storycloze_2016", 0, lambda t, d: d["doc"]["story_id"])):
        harness.cut = 0
        _, found = toy.run([task], shots, model=harness, log_samples=True)
        items = {}
        for name, documents in found["samples"].items():
            for document in documents:
                scores = [float(response[0][0]) for response in document["resps"]]
                best = sorted(scores, reverse=True)
                assert best[0] == best[1] or best[0] - best[1] > 1e-3, (name, document["doc_id"], scores)
                items[identity(name, document)] = scores
        golden[task] = {"items": items, "cut": harness.cut,
                        "results": {row: {"acc": numbers["acc,none"], "acc_stderr": numbers["acc_stderr,none"]}
                                    for row, numbers in found["results"].items() if "acc,none" in numbers}}
        print(task, len(items), "items,", harness.cut, "of their requests cut,", golden[task]["results"].get(task))
    (toy.GOLDEN / "lm_eval/model.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


main()
