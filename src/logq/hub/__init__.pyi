from .hub_folders import HubError as HubError
from .hub_folders import fetch_folder as fetch_folder
from .model_cards import Card as Card
from .published import Published as Published
