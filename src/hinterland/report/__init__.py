"""What a run or a study says, as one page and as figures; reads run folders, never trains."""

from hinterland.report.page import write_report
from hinterland.report.replay import replay_gif, replay_page, save_replay, write_replay_page

__all__ = ["replay_gif", "replay_page", "save_replay", "write_replay_page", "write_report"]
