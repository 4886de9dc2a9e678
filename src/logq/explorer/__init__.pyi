from .explorer_app import create_explorer as create_explorer
from .explorer_page import explorer_page as explorer_page
from .item_source import ItemSource as ItemSource
