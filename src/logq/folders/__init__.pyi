from .folder_contents import Contents as Contents
from .folder_contents import FolderError as FolderError
from .folder_contents import find_contents as find_contents
from .typed_ids import UnknownIdError as UnknownIdError
from .typed_ids import known_ids as known_ids
from .typed_ids import typed_ids as typed_ids
