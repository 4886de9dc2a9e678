from .folder_contents import Contents as Contents
from .folder_contents import FolderError as FolderError
from .folder_contents import find_contents as find_contents
from .id_reading import UnknownIdError as UnknownIdError
from .id_reading import known_ids as known_ids
from .id_reading import typed_ids as typed_ids
