from .explorer_app import create_explorer as create_explorer
from .explorer_page import write_explorer as write_explorer
