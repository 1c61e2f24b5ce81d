"""Zip and tar files by Python's own zipfile and tarfile, in tests/golden/archive; io.archive reads them.

    python tests/oracles/archives_golden.py          (needs nothing but Python; written with 3.11.7)

Each holds the same four members. zipfile writes stored, deflated and, into something that cannot seek, streamed members (sizes
behind the data), ZIP64 and a comment; tarfile the three dialects of long and of composed and decomposed names. joined.tar.gz
consists of two gzip streams, as pigz and `cat` make them.
"""
import gzip
import io
import pathlib
import tarfile
import zipfile

folder = pathlib.Path(__file__).parent.parent / "golden" / "archive"
names = ["d" * 120 + "/long.txt", "e\u0301.txt", "lexical/dev/gold.csv", "\u00e9.txt"]
contents = [("contents %d\n" % i).encode() * (300 if i == 2 else 1) for i in range(4)]
date = (2020, 1, 1, 0, 0, 0)


class Pipe(io.RawIOBase):
    def __init__(self):
        self.bytes = bytearray()

    def writable(self):
        return True

    def write(self, data):
        self.bytes += data
        return len(data)


def write_zip(name, method, zip64=False, comment=b"", pipe=False):
    target = Pipe() if pipe else io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        archive.comment = comment
        for i in (2, 0, 3, 1):
            info = zipfile.ZipInfo(names[i], date)
            info.compress_type = method
            with archive.open(info, "w", force_zip64=zip64) as member:
                member.write(contents[i])
    (folder / name).write_bytes(bytes(target.bytes) if pipe else target.getvalue())


def write_tar(dialect):
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=dialect) as archive:
        for i in (2, 0, 3, 1):
            name = "d" * 90 + "/long.txt" if i == 0 and dialect == tarfile.USTAR_FORMAT else names[i]
            info = tarfile.TarInfo(name)
            info.size = len(contents[i])
            archive.addfile(info, io.BytesIO(contents[i]))
    return target.getvalue()


folder.mkdir(parents=True, exist_ok=True)
write_zip("stored.zip", zipfile.ZIP_STORED)
write_zip("deflated.zip", zipfile.ZIP_DEFLATED)
write_zip("streamed.zip", zipfile.ZIP_DEFLATED, pipe=True)
write_zip("zip64.zip", zipfile.ZIP_DEFLATED, zip64=True)
write_zip("commented.zip", zipfile.ZIP_DEFLATED, comment=b"PK\x05\x06 is not the end")
for name, dialect in (("ustar.tar", tarfile.USTAR_FORMAT), ("gnu.tar", tarfile.GNU_FORMAT), ("pax.tar", tarfile.PAX_FORMAT)):
    (folder / name).write_bytes(write_tar(dialect))
whole = write_tar(tarfile.PAX_FORMAT)
half = len(whole) // 2 + 100
(folder / "joined.tar.gz").write_bytes(gzip.compress(whole[:half], mtime=0) + gzip.compress(whole[half:], mtime=0))
