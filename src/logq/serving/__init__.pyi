from .application import create_app as create_app
from .limits import ServingLimits as ServingLimits
