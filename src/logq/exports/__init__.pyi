from .export_formats import FORMATS as FORMATS
from .export_formats import ExportFormat as ExportFormat
from .export_formats import export_model as export_model
