"""Work on many independent items: in threads of this process, or on the workers of a Dask cluster.

The door is `map_tasks`. A room says what is to be done with each item and takes the results in
the order of the items; whether threads or workers did it changes no bit of them. Stages that
need each other's results are a graph, `run_graph`.
"""

from prs.cluster.connect import open_client as open_client
from prs.cluster.graph import run_graph as run_graph
from prs.cluster.remote import Shared as Shared
from prs.cluster.remote import share as share
from prs.cluster.tasks import count_threads as count_threads
from prs.cluster.tasks import map_tasks as map_tasks
from prs.cluster.tasks import one_blas_thread as one_blas_thread
