"""What a run leaves behind, and all it needs to continue. No pickles, no JAX."""

from hinterland.record.checkpoints import read_checkpoint, write_checkpoint
from hinterland.record.files import check_new, check_output, write_files, write_output
from hinterland.record.run_folder import RunFolder

__all__ = [
    "RunFolder",
    "check_new",
    "check_output",
    "read_checkpoint",
    "write_checkpoint",
    "write_files",
    "write_output",
]
