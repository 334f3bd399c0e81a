"""The models; one file per paper. Importing this registers all of them."""

from mien.models import auxformer as auxformer
from mien.models import cross_attention as cross_attention
from mien.models import efficientface as efficientface
from mien.models import feature_fusion as feature_fusion
from mien.models import i3d as i3d
from mien.models import late_lstm as late_lstm
from mien.models import mater as mater
from mien.models import mmte as mmte
from mien.models import mult as mult
from mien.models import sfav as sfav
from mien.models import tav as tav
from mien.models import tlstm as tlstm
from mien.models import uavm as uavm
from mien.models import vavl as vavl
from mien.models._base import Model, Prediction, Task
from mien.models._official import from_official
from mien.models._registry import COUNTED, create_model, describe_model, list_models
from mien.models.linear_probe import Description, LinearProbe, PersonBaseline
from mien.models.pretrained import list_trained, load_model

__all__ = [
    "COUNTED",
    "Description",
    "LinearProbe",
    "Model",
    "PersonBaseline",
    "Prediction",
    "Task",
    "create_model",
    "describe_model",
    "from_official",
    "list_models",
    "list_trained",
    "load_model",
]
