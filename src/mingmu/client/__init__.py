"""Ask a Mingmu service from Python, at once or with `await`; both give the same answers and raise the same errors."""

from mingmu.client.batching import Batched as Batched
from mingmu.client.connection import AsyncClient as AsyncClient
from mingmu.client.connection import Client as Client
from mingmu.client.images import Image as Image
from mingmu.client.recognizing import Listed as Listed
from mingmu.client.recognizing import Recognition as Recognition
from mingmu.client.teaching import Job as Job
from mingmu.client.teaching import Measured as Measured
from mingmu.client.teaching import Taught as Taught
