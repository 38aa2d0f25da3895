"""BCF as the text of a VCF, through `pysam` where it is installed."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from data_prep.errors import DataPrepError

RECORDS = 1 << 12  # become text together


def bcf_text(path: Path) -> Iterator[bytes]:
    """Header and records without samples, in pieces; DataPrepError where pysam is missing or the file is damaged."""
    try:
        import pysam
    except ImportError:
        raise DataPrepError(
            f"{path}: BCF; pip install pysam, or convert it: bcftools view -G -Oz -o OUT.vcf.gz {path}"
        ) from None
    silent = pysam.set_verbosity(0)
    try:
        with pysam.VariantFile(str(path), drop_samples=True) as file:
            yield str(file.header).encode()
            while text := "".join(map(str, islice(file, RECORDS))):
                yield text.encode()
    except (OSError, ValueError) as error:
        raise DataPrepError(f"{path}: damaged BCF ({error}); fetch it again") from None
    finally:
        pysam.set_verbosity(silent)
