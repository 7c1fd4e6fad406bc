"""Join, watch and read federated learning runs of Parley from Python.

    parley.Client(train=..., evaluate=...).run("host:port")    trains a model of your own
    parley.connect("host:port").watch()                        follows a run
    parley.load_run("runs/mine-1").metrics                     what it measured

Log lines go to logging.getLogger("parley"): warnings, such as whom it waits
for, are seen by default; logging.basicConfig(level=logging.INFO) shows all.
"""

from ._client import VERSION as __version__
from ._client import Client
from ._coordinator import ClientStatus, Coordinator, RunState, RunStatus, connect
from ._dial import Refused, Tls, Unreachable
from ._job import Evaluation, Task, Update
from ._runs import Run, load_run
from ._wire import Parameters

__all__ = ["Client", "ClientStatus", "Coordinator", "Evaluation", "Parameters", "Refused", "Run",
           "RunState", "RunStatus", "Task", "Tls", "Unreachable", "Update", "__version__",
           "connect", "load_run"]
