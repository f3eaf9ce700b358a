"""What a run leaves behind, and all it needs to continue. No pickles, no JAX."""

from hinterland.record.checkpoints import read_checkpoint, write_checkpoint
from hinterland.record.files import write_files
from hinterland.record.run_folder import RunFolder

__all__ = ["RunFolder", "read_checkpoint", "write_checkpoint", "write_files"]
