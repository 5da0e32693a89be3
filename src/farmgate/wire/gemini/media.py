"""Images, sound and documents as Google takes them: base64 inline, or by an address that Google itself fetches."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from farmgate.core.words import AudioPart, FilePart, ImagePart
from farmgate.wire.gemini.flavors import Flavor
from farmgate.wire.inline import inline_of
from farmgate.wire.losses import Losses

__all__ = ["encode_audio", "encode_file", "encode_image"]

Fields = dict[str, object]

MEDIA_TYPES: Mapping[str, str] = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "heic": "image/heic",
    "heif": "image/heif",
    "gif": "image/gif",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "mp4": "video/mp4",
    "mov": "video/mov",
    "webm": "video/webm",
    "mp3": "audio/mp3",
    "wav": "audio/wav",
    "ogg": "audio/ogg",
    "flac": "audio/flac",
}
"""By the end of an address: Vertex AI wants to be told."""
AUDIO_TYPES: Mapping[str, str] = {
    "wav": "audio/wav",
    "mp3": "audio/mp3",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "aac": "audio/aac",
    "aiff": "audio/aiff",
}


def encode_image(part: ImagePart, where: str, losses: Losses) -> Fields:
    """An image. Raises UnsupportedParameter for an address of a kind Google cannot fetch."""
    if part.detail not in (None, "auto"):
        losses.drop(f"{where}.image_url.detail")
    if (held := inline_of(part.url)) is not None and held.media_type:
        return inline(held.media_type, held.base64)
    if part.url[:5].lower() == "data:":
        raise losses.refuse(where, "images are sent as `data:image/...;base64,...` or by their address")
    return at_address(part.url, None, where, losses)


def encode_audio(part: AudioPart, where: str, losses: Losses) -> Fields:
    """Sound in a container Google knows."""
    media_type = AUDIO_TYPES.get(part.format.lower())
    if media_type is None:
        raise losses.refuse(where, f"it takes {', '.join(AUDIO_TYPES)}, not {part.format[:20]!r}")
    return inline(media_type, part.data)


def encode_file(part: FilePart, where: str, losses: Losses, flavor: Flavor) -> Fields:
    """A document."""
    if part.text is not None:
        losses.drop_if(part.name, f"{where}.file.filename")
        return {"text": part.text}
    if part.data is not None:
        told = inline(part.media_type, part.data)
        if part.name and flavor.has_file_names:
            return {"inlineData": {"mimeType": part.media_type, "data": part.data, "displayName": part.name}}
        losses.drop_if(part.name, f"{where}.file.filename")
        return told
    losses.drop_if(part.name, f"{where}.file.filename")
    address = part.url or part.id or ""
    if flavor.files_url and address.startswith("files/"):
        return {"fileData": {"fileUri": flavor.files_url + address}}
    return at_address(address, part.media_type, where, losses)


def inline(media_type: str, data: str) -> Fields:
    return {"inlineData": {"mimeType": media_type, "data": data}}


def at_address(url: str, media_type: str | None, where: str, losses: Losses) -> Fields:
    """Something Google fetches; Farmgate does not."""
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in ("http", "https", "gs") or not rest:
        raise losses.refuse(where, "it takes the data itself, a gs:// or https:// address, or a name of its Files API")
    try:
        path = urlsplit(url).path
    except ValueError as error:
        raise losses.refuse(where, "that is not an address") from error
    known = MEDIA_TYPES.get(path.rpartition(".")[2].lower()) or media_type
    return {"fileData": ({"mimeType": known} if known else {}) | {"fileUri": url}}
