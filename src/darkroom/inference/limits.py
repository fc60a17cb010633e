"""How much one request, and all of them together, may ask of this process. Each is checked before memory is spent."""

from __future__ import annotations

from darkroom.policy.sdwebui_fields import LARGEST_SEED, MOST_PICTURES_IN, ContentLimits

MIB = 1024 * 1024

# The doors go by the same numbers, so that they let nothing through that is refused here.
_LIMITS = ContentLimits()
MAX_SIDE = _LIMITS.max_side
MAX_STEPS = _LIMITS.max_steps
MAX_BATCH = _LIMITS.max_batch_size
MAX_ROUNDS = _LIMITS.max_rounds
MAX_LIST = MOST_PICTURES_IN
MAX_SEED = LARGEST_SEED
MIN_SEED = -(2**63)  # generators take negative ones too; -1 alone asks for any

MAX_TEXT = 20_000

#: One picture that comes in: 4096 x 4096.
MAX_PIXELS = 4096 * 4096
#: All pictures that come in with one request, and all that go out with its answer: 256 MiB of memory, decoded.
MAX_REQUEST_PIXELS = 4 * MAX_PIXELS
#: What an upscaler's network makes before it is brought to the size asked for.
MAX_ENLARGED_PIXELS = 2 * MAX_REQUEST_PIXELS

#: A 4096 x 4096 picture with alpha fits, uncompressed.
MAX_BASE64 = 96 * MIB
MAX_BODY = 128 * MIB
#: Bodies and answers of all requests that are under way. What is too much is refused with 503: it may be sent later.
MAX_HELD = 512 * MIB
#: Values in a body's JSON: a body of nothing but `[],[],…` would take thirty times its size.
MAX_VALUES = 100_000

#: The longest side that a format can hold.
LONGEST_SIDES = {"jpg": 65_535, "jpeg": 65_535, "webp": 16_383}
#: EXIF lies in one segment of a JPEG, and its length in 16 bits.
MAX_EXIF = 65_533
