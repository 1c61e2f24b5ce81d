"""What the Zero Resource Speech Challenge's own program makes of scores: it is run, nothing of it is copied.

    python -m venv VENV && VENV/bin/pip install zerospeech-benchmarks==0.9.4 pandas==2.1.4 'pydantic<2'
    python tests/oracles/slm21_archives.py FOLDER
    VENV/bin/python tests/oracles/slm21_scores.py golden FOLDER         (writes tests/golden/slm21/archives.tar.gz)
    VENV/bin/python tests/oracles/slm21_scores.py check SUBMISSION ARCHIVE

Its data folder, ~/zr-data, is made below a temporary HOME, with an index dated 30 days back; otherwise it asks the network.

`golden` scores each of the 30 archives with the scores beside them and packs gold.csv, scores and the result tables:
NN/lexical/dev/gold.csv, NN/scores/lexical/dev.txt, NN/results/score_lexical_dev_by_pair.csv and so on.

`check` holds a submission that we wrote (meta.yaml, params.yaml, lexical/dev.txt...) against an unpacked archive: the program's
own checks of meta.yaml and of the files must accept it, and score it as it scored the archive's own file of scores. A test
program writes such a submission:

    TEST_SUBMISSION=OUT build/cpu/tests/test_eval_submission
    mkdir A && tar xzf tests/golden/slm21/archives.tar.gz -C A
    VENV/bin/python tests/oracles/slm21_scores.py check OUT A/00
"""
import argparse
import gzip
import io
import json
import os
import pathlib
import shutil
import sys
import tarfile
import tempfile
import time
import warnings

home = pathlib.Path(tempfile.mkdtemp())
os.environ["HOME"] = str(home)
data = home / "zr-data"
archive_place = data / "datasets" / "sLM21-dataset"
for folder in ("datasets", "samples", "checkpoints"):
    (data / folder).mkdir(parents=True)
item = {"name": "sLM21-dataset", "type": "internal", "zip_url": "https://example.org/x.zip", "md5sum": "", "total_size": 1}
(data / "repo.json").write_text(json.dumps(
    {"last_modified": "2020-01-01T00:00:00", "datasets": [item], "checkpoints": [], "samples": []}))
os.utime(data / "repo.json", (time.time() - 30 * 86400,) * 2)
warnings.filterwarnings("ignore")

from zerospeech.benchmarks.sLM21 import SLM21Benchmark  # noqa: E402
from zerospeech.datasets import SLM21Dataset  # noqa: E402
from zerospeech.submissions import MetaFile  # noqa: E402

TASKS, PARTS = ("lexical", "syntactic"), ("dev", "test")


def install(archive):
    """Puts the tables where the program looks for them; the sounds need only be listed."""
    shutil.rmtree(archive_place, ignore_errors=True)
    subsets = {}
    for task in TASKS:
        for part in PARTS:
            place = pathlib.Path(task) / part
            (archive_place / place).mkdir(parents=True)
            shutil.copy(archive / place / "gold.csv", archive_place / place / "gold.csv")
            rows = (archive / place / "gold.csv").read_text(encoding="utf-8-sig").split("\n")[1:]
            sounds = [str(place / (row.split(",")[0] + ".wav")) for row in rows if row.strip()]
            subsets[f"{task}_{part}"] = {"items": {
                "wav_list": {"item_type": "filelist_item", "file_type": "wav", "relative_path": True, "files_list": sounds},
                "gold": {"item_type": "file_item", "file_type": "csv", "relative_path": True, "file": str(place / "gold.csv")}}}
    (archive_place / "index.json").write_text(json.dumps({"subsets": subsets}))
    SLM21Dataset.load.cache_clear()


def score(submission_folder):
    benchmark = SLM21Benchmark(quiet=True)
    submission = benchmark.load_submission(location=submission_folder, tasks=TASKS, sets=PARTS)
    if not submission.valid:
        sys.exit("\n".join(str(line) for line in ~submission.validation_output if not line.valid()))
    submission.params_obj = submission.load_parameters()
    submission.params.quiet = True
    benchmark.run(submission)
    return submission


def golden(folder):
    target = pathlib.Path(__file__).parent.parent / "golden" / "slm21" / "archives.tar.gz"
    target.parent.mkdir(parents=True, exist_ok=True)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for archive in sorted(path for path in folder.iterdir() if path.is_dir()):
            install(archive)
            submission = home / "submission"
            shutil.rmtree(submission, ignore_errors=True)
            shutil.copytree(archive / "scores", submission)
            score(submission)
            files = [(path, pathlib.Path(archive.name) / path.relative_to(archive)) for path in sorted(archive.rglob("*"))]
            files += [(path, pathlib.Path(archive.name) / "results" / path.name)
                      for path in sorted((submission / "scores").iterdir())]
            for path, name in files:
                if not path.is_file() or path.suffix == ".wav":
                    continue
                info = tarfile.TarInfo(str(name))
                info.size = path.stat().st_size
                tar.addfile(info, io.BytesIO(path.read_bytes()))
            print(archive.name, end=" ", flush=True)
    target.write_bytes(gzip.compress(packed.getvalue(), 9, mtime=0))
    print(f"\n{target}: {target.stat().st_size} bytes")


def check(submission_folder, archive):
    install(archive)
    meta = MetaFile.from_file(submission_folder / "meta.yaml", enforce=True)
    if not meta.is_valid() or MetaFile.benchmark_from_submission(submission_folder) != "sLM21":
        sys.exit("\n".join(str(line) for line in ~meta.validation_context))
    for line in ~meta.validation_context:
        print(line)
    submission = score(submission_folder)
    for line in ~submission.validation_output:
        print(line)
    for path in (archive / "results").iterdir():
        if path.read_bytes() != (submission_folder / "scores" / path.name).read_bytes():
            sys.exit(f"{path.name} differs from the one made of the archive's own scores")
    print("accepted, and scored as the archive's own scores:", ", ".join(sorted(path.name for path in (submission_folder / "scores").iterdir())))


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("action", choices=["golden", "check"])
parser.add_argument("folders", type=pathlib.Path, nargs="+")
options = parser.parse_args()
try:
    golden(*options.folders) if options.action == "golden" else check(*options.folders)
finally:
    shutil.rmtree(home)
