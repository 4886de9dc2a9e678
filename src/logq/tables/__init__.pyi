from .result_frames import Columns as Columns
from .result_frames import HasColumns as HasColumns
from .result_frames import to_frame as to_frame
