"""What a run or a study says, as one page and as figures; reads run folders, never trains."""

from hinterland.report.document import PAGE
from hinterland.report.page import check_report, write_report
from hinterland.report.replay import replay_gif, replay_page, save_replay, write_replay_page

__all__ = [
    "PAGE",
    "check_report",
    "replay_gif",
    "replay_page",
    "save_replay",
    "write_replay_page",
    "write_report",
]
