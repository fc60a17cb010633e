"""What the text encoders have made of the latest prompts: many tasks in a row have the same ones."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from darkroom.inference.stable_diffusion.encoding import Conditioning, encode
from darkroom.inference.stable_diffusion.folders import ModelFolders
from darkroom.inference.stable_diffusion.inversions import with_inversions
from darkroom.inference.stable_diffusion.loras import Applied
from darkroom.inference.stable_diffusion.networks import Networks

#: So many sets of prompts are kept, of about a megabyte each.
_KEPT = 32


class Conditionings:
    """Encodes prompts, and keeps the latest. Called from one thread."""

    def __init__(self, folders: ModelFolders) -> None:
        self._folders = folders
        self._kept: OrderedDict[tuple[Any, ...], Conditioning] = OrderedDict()
        #: How many sets were really encoded.
        self.encoded = 0

    def of(self, networks: Networks, texts: list[str], clip_skip: int, loras: Applied) -> Conditioning:
        """A row for each text. `loras` are those that the networks have now. Raises `ModelUnusable`."""
        alone = list(dict.fromkeys(texts))  # a batch repeats its prompt
        key = (networks.sha256, tuple(alone), clip_skip, loras)
        found = self._kept.get(key)
        with with_inversions(networks, texts, self._folders) as insertions:
            if found is None or insertions:
                self.encoded += 1
                found = encode(networks, alone, clip_skip, insertions)
                if not insertions:  # their files may change
                    self._kept[key] = found
        if key in self._kept:
            self._kept.move_to_end(key)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return found.rows([alone.index(text) for text in texts])

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
