"""What KServe's own client does with the service: `python -m tests.real.kserve_calls URL GRPC_PORT RED_PNG BLUE_PNG`.

It is a program of its own because the client's messages have the names of those of Triton's, and one process can have one of them.
"""

from __future__ import annotations

import asyncio
import base64
import sys
from pathlib import Path
from typing import Any

import kserve
import numpy as np
import pytest

RED, BLUE = ((250, 10, 10), (10, 10, 250))


def request(name: str, datatype: str, values: Any, *, binary: bool = True, **parameters: Any) -> Any:
    given = kserve.InferInput(name, [*values.shape], datatype)
    given.set_data_from_numpy(values, binary_data=binary)
    return kserve.InferRequest("tiny", [given], parameters=parameters)


def images(*data: bytes, **how: Any) -> Any:
    array = np.empty(len(data), dtype=object)
    array[:] = data
    return request("image", "BYTES", array, **how)


def pixels(*colours: tuple[int, int, int], **how: Any) -> Any:
    return request("pixels", "UINT8", np.stack([np.full((8, 8, 3), colour, np.uint8) for colour in colours]), **how)


def outputs_of(response: Any) -> tuple[Any, list[str]]:
    found = {output.name: output for output in response.outputs}
    return found["scores"].as_numpy(), [str(each, "utf-8") if isinstance(each, bytes) else each for each in found["labels"].as_numpy()]


async def rest(url: str, red_png: bytes, blue_png: bytes) -> None:
    async with kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v2")) as client:
        assert await client.is_server_live(url)
        assert await client.is_server_ready(url)
        assert await client.is_model_ready(url, "tiny")
        assert not await client.is_model_ready(url, "none")
        scores, labels = outputs_of(await client.infer(url, images(red_png, blue_png), "tiny"))
        assert (scores.shape, scores.dtype, labels) == ((2, 3), np.float32, ["red", "blue"])
        in_text = images(*(base64.b64encode(image) for image in (red_png, blue_png)), binary=False)
        for other in (in_text, pixels(RED, BLUE), pixels(RED, BLUE, binary=False), images(red_png, blue_png, binary_data_output=True)):
            again, names = outputs_of(await client.infer(url, other, "tiny"))
            np.testing.assert_array_equal(again.reshape(2, 3), scores)
            assert names == labels
        with pytest.raises(Exception, match=r"image 0: .*400"):
            await client.infer(url, images(b"junk"), "tiny")


async def rest_by_the_first_version(url: str, red_png: bytes) -> None:
    async with kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v1")) as client:
        image = {"instances": [{"b64": base64.b64encode(red_png).decode()}]}
        (by_image,) = (await client.infer(url, image, "tiny"))["predictions"]
        (by_pixels,) = (await client.infer(url, {"instances": [np.full((8, 8, 3), RED).tolist()]}, "tiny"))["predictions"]
        assert by_image == by_pixels
        assert np.argmax(by_image) == 0


async def grpc(port: str, red_png: bytes, blue_png: bytes) -> None:
    async with kserve.InferenceGRPCClient(f"127.0.0.1:{port}") as client:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("tiny")
        scores, labels = outputs_of(await client.infer(images(red_png, blue_png)))
        assert (scores.shape, scores.dtype, labels) == ((2, 3), np.float32, ["red", "blue"])
        again, _ = outputs_of(await client.infer(pixels(RED, BLUE)))
        np.testing.assert_array_equal(again, scores)
        with pytest.raises(Exception, match="no recognizer named 'none'"):
            await client.is_model_ready("none")


async def main(url: str, port: str, red_png: bytes, blue_png: bytes) -> None:
    await rest(url, red_png, blue_png)
    await rest_by_the_first_version(url, red_png)
    await grpc(port, red_png, blue_png)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], *(Path(file).read_bytes() for file in sys.argv[3:])))
