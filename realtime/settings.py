"""Command-line words become one frozen `Settings`; every wrong word is found here, before anything is opened."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from realtime.errors import UsageError
from realtime.profile import Profile, Stored, profile_path, read_profile
from realtime.secrets import without_secrets
from realtime.types import Size

ENGINES = ("auto", "tensorrt", "tensorrt-rtx", "openvino", "onnxruntime", "torch")
PRECISIONS = ("fp32", "fp16", "bf16", "int8")
CLIP_SUFFIXES = (".mp4", ".mkv", ".webm", ".gif")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")
STREAMED_TO = ("rtmp://", "rtmps://", "srt://", "rtsp://")
# What a profile may set, each with an example, which also tells its type. What leads to the camera's own picture
# (--only, the style none) is not among them: it can only be named on the command line.
PROFILE: Mapping[str, object] = {
    "source": "0",
    "sink": ["virtualcam", "preview"],
    "style": "webtoon",
    "background-style": "meadow",
    "strength": 1.0,
    "steadiness": 1.0,
    "expression": 1.0,
    "background": "style",
    "size": "1280x720",
    "fps": 30.0,
    "mirror": False,
    "microphone": "default",
    "engine": "auto",
    "max-cpu": 100.0,
    "remote": 8642,
}
_TYPES = {
    str: "text in quotes",
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    list: "a list of texts",
}


class Pace(Enum):
    """LIVE: newest frame wins. ALL: every frame, in order, as fast as it goes."""

    LIVE = "live"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Play:
    """Which part of a clip is shown. start_s: what comes before is left out. loop: again and again, without sound."""

    start_s: float = 0.0
    loop: bool = False


@dataclass(frozen=True, slots=True)
class Background:
    """What becomes of the room: `kind` is style, blur, color, image or transparent.

    color: (red, green, blue) 0..255 for `color`. image: path for `image`.
    """

    kind: str = "style"
    color: tuple[int, int, int] | None = None
    image: Path | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """How the picture is drawn: swapped whole between two frames while the filter runs.

    strength: 0 barely to 1 fully; 0 is still drawn. expression: 1 true to 1.5 exaggerated. steadiness: 0 each frame
    drawn for itself to 1 fully steady. room_style: of the background, None for the same.
    """

    style: str = "webtoon"
    strength: float = 1.0
    expression: float = 1.0
    background: Background = Background()
    steadiness: float = 1.0
    room_style: str | None = None

    @property
    def needs_mask(self) -> bool:
        """Whether it must be known where the person is."""
        return self.background.kind != "style" or self.room_style is not None


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the user asked for. None means: decide when the source is known.

    folder: source and sink are folders of clips and pictures. only: what is drawn, all, face, person or
    background; the rest is the camera's own picture. It is no part of the look: nothing that changes while it runs may
    lead there. profile: the file that settings came from, or for --calibrate the one to write. person: measured
    numbers. remote: the port for remote control.
    """

    source: str | None = None
    folder: bool = False
    sinks: tuple[str, ...] = ()
    look: Look = Look()
    only: str = "all"
    size: Size | None = None
    fps: float | None = None
    mirror: bool | None = None
    microphone: str | None = None
    engine: str = "auto"
    pace: Pace | None = None
    play: Play = Play()
    frames: int | None = None
    seconds: float | None = None
    max_cpu: float | None = None
    stats: Path | None = None
    trace: Path | None = None
    profile: Path | None = None
    person: Profile | None = None
    save_profile: str | None = None
    remote: int | None = None
    calibrate: bool = False
    gallery: Path | None = None
    list_what: str | None = None
    as_json: bool = False
    verbose: bool = False


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}. See python run.py --help.")


def settings_from_arguments(arguments: Sequence[str]) -> Settings:
    """The settings for these command-line words and the profile they name, over which they win.

    Raises `UsageError` for the first one that cannot be honoured.
    """
    parser, words = _parser(), list(arguments)
    given = parser.parse_args(words)
    stored = None if given.profile is None or given.calibrate else read_profile(given.profile)
    if stored is None:
        return _settings(given, profile_path(given.profile or "me") if given.calibrate else None, None)
    given = parser.parse_args([*_profile_words(parser, stored, without_sinks=bool(given.sink)), *words])
    try:
        return _settings(given, stored.path, stored.person)
    except UsageError as error:
        raise UsageError(f"With the profile {stored.path}: {error}") from None


def _settings(given: argparse.Namespace, profile: Path | None, person: Profile | None) -> Settings:
    """What each word means by itself is known; here it is found which do not go together."""
    folder = given.source is not None and "://" not in given.source and Path(given.source).is_dir()
    settings = Settings(
        source=given.source,
        folder=folder,
        sinks=(_folder(given),) if folder else tuple(_sink(s) for s in given.sink),
        look=Look(
            given.style, given.strength, given.expression, given.background, given.steadiness, given.background_style
        ),
        only=given.only,
        size=given.size,
        fps=given.fps,
        mirror=given.mirror,
        microphone=given.microphone,
        engine=given.engine,
        pace=given.pace,
        play=Play(given.start, given.loop),
        frames=given.frames,
        seconds=given.seconds,
        max_cpu=given.max_cpu,
        stats=given.stats,
        trace=given.trace,
        profile=profile,
        person=person,
        save_profile=given.save_profile,
        remote=given.remote,
        calibrate=given.calibrate,
        gallery=given.gallery,
        list_what=given.list,
        as_json=given.json,
        verbose=given.verbose,
    )
    if settings.look.room_style == "none":
        raise UsageError("--background-style none is not known; to leave the room as it is, use --only person.")
    if settings.as_json and settings.list_what is None:
        raise UsageError("--json goes with --list: python run.py --list cameras --json.")
    for flag, path in (("--stats", settings.stats), ("--trace", settings.trace)):
        if path is not None and not path.absolute().parent.is_dir():
            raise UsageError(f"The folder for {flag} {path} does not exist; create it or name another.")
    if settings.pace is Pace.ALL and any(sink.startswith(STREAMED_TO) for sink in settings.sinks):
        raise UsageError("A stream is sent as it happens; leave --pace all out.")
    return settings


def given_options(arguments: Sequence[str]) -> dict[str, object]:
    """What these words, and the profile they name, set of what a profile may hold, as TOML has it."""
    parser = _parser()
    for action in parser._actions:
        action.default = argparse.SUPPRESS
    given = vars(parser.parse_args(list(arguments)))
    options = {} if "profile" not in given else dict(read_profile(given["profile"]).options)
    for name in PROFILE:
        if (value := given.get(name.replace("-", "_"))) is not None:
            options[name] = value if isinstance(value, str | int | float | list) else text_of(value)
    if options.get("style") == "none":
        raise UsageError("A profile cannot hold the style none: the camera's own picture is named by hand each time.")
    return options


def explained_options() -> dict[str, tuple[str, object]]:
    """The meaning of everything a profile may set, and an example."""
    meaning = {name: action.help for action in _parser()._actions for name in action.option_strings}
    return {name: (str(meaning[f"--{name}"]).replace("%%", "%"), example) for name, example in PROFILE.items()}


def text_of(value: object) -> str:
    """A setting in the words of the command line."""
    if isinstance(value, Background):
        if value.color is not None:
            return "color:#{:02x}{:02x}{:02x}".format(*value.color)
        return value.kind if value.image is None else f"image:{value.image}"
    return str(value)


def option_type(name: str, value: object, known: Mapping[str, object] = PROFILE) -> None:
    """Raises `UsageError` for an option that is not `known`, or whose value has another type than its example there."""
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}."
        raise UsageError(f"there is no '{name[:40]}'; {hint}")
    kind = type(known[name])
    fits = isinstance(value, (int, float) if kind is float else kind) and (kind is bool) == isinstance(value, bool)
    fits = fits or (name == "source" and type(value) is int)
    if isinstance(value, list):
        fits = fits and all(isinstance(item, str) for item in value)
    if not fits:
        raise UsageError(f"{name} is {str(value)[:40]!r}, not {_TYPES[kind]}.")


def parsed_option(name: str, value: object, known: Mapping[str, object] = PROFILE) -> object:
    """The value as `Settings` and `Look` have it; raises `UsageError`."""
    return _parsed(_option_parser(), name, value, known)[1]


@cache
def _option_parser() -> _Parser:
    return _parser()


def _parsed(parser: _Parser, name: str, value: object, known: Mapping[str, object]) -> tuple[list[str], object]:
    """The option as command-line words, and what they mean."""
    option_type(name, value, known)
    if isinstance(value, bool):
        words = [f"--{name}" if value else f"--no-{name}"]
    else:
        words = [f"--{name}={item}" for item in (value if isinstance(value, list) else [value])]
    try:
        return words, getattr(parser.parse_args(words), name.replace("-", "_"))
    except UsageError as error:
        why = str(error).removeprefix(f"Argument --{name}: ").removesuffix(" See python run.py --help.")
        raise UsageError(f"{name}: {why}") from None


def _profile_words(parser: _Parser, stored: Stored, *, without_sinks: bool) -> Iterator[str]:
    for name, value in stored.options.items():
        try:
            words, parsed = _parsed(parser, name, value, PROFILE)
            if name == "style" and parsed == "none":
                raise UsageError("style: none, the camera's own picture, can only be named on the command line.")
        except UsageError as error:
            raise UsageError(f"In the profile {stored.path}: {error}") from None
        if not (name == "sink" and without_sinks):
            yield from words


def _parser() -> _Parser:
    parser = _Parser(
        prog="run.py",
        usage="python run.py [option ...]",
        add_help=False,
        description="Turns a webcam picture, or a clip, into a drawn one.",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Examples:\n  python run.py                                  camera to virtual camera and preview\n"
        "  python run.py --source clip.mp4 --sink out.mp4   a clip, drawn\n"
        "  python run.py --source photo.jpg --sink out.png  a picture, drawn\n"
        "  python run.py --source folder --sink drawn       all clips and pictures of a folder\n"
        "  python run.py --doctor                           what works on this machine, and what to do",
    )
    moves = parser.add_argument_group("in and out").add_argument
    looks = parser.add_argument_group("how it is drawn").add_argument
    keeps = parser.add_argument_group("profiles and remote control").add_argument
    limits = parser.add_argument_group("how far and how fast").add_argument
    add = parser.add_argument_group("to know more").add_argument
    moves(
        "--source",
        metavar="URI",
        type=_words,
        help="camera (0, /dev/video2, part of its name), clip, picture, stream URL, folder, screen, "
        "screen:X,Y,WxH, demo, test:1280x720@30; default: the first camera, else demo",
    )
    moves(
        "--sink",
        metavar="URI",
        action="append",
        default=[],
        help="virtualcam, virtualcam:DEVICE, preview, out.mp4, out.png, frames/%%05d.png, rtmp://..., srt://..., "
        "rtsp://..., null; may be given more than once; default: virtual camera and preview",
    )
    looks(
        "--style",
        metavar="NAME|FOLDER",
        default="webtoon",
        type=_words,
        help="a style's name or folder, painting:0 to painting:25, painting:3+12, picture:PATH",
    )
    looks("--background-style", metavar="NAME|FOLDER", type=_words, help="another style for the room; costs both")
    looks(
        "--only",
        default="all",
        metavar="PART",
        choices=("all", "face", "person", "background"),
        help="face, person or background: draw only this, the rest is the camera's own picture",
    )
    looks("--strength", metavar="0..1", default=1.0, type=_share, help="0 barely to 1 fully drawn")
    looks("--steadiness", metavar="0..1", default=1.0, type=_share, help="0 each frame for itself to 1 fully steady")
    looks(
        "--expression", metavar="1..1.5", default=1.0, type=_expression, help="1 true, above exaggerated, as comics do"
    )
    looks(
        "--background",
        metavar="MODE",
        default=Background(),
        type=_background,
        help="style, blur, color:#rrggbb, image:PATH, transparent",
    )
    moves("--size", metavar="WxH", type=_size, help="output size, even numbers; default: 1280x720 for a camera")
    moves("--fps", metavar="N", type=_positive, help="frames a second asked of a camera")
    moves("--mirror", action=argparse.BooleanOptionalAction, default=None, help="mirror what every sink gets")
    moves(
        "--microphone",
        metavar="NAME",
        type=_words,
        help="part of its name, or default: heard in streams and in clips recorded live",
    )
    limits("--engine", metavar="NAME", default="auto", type=_engine, help=f"{', '.join(ENGINES)}; openvino:fp32")
    limits("--pace", metavar="live|all", type=_pace, help="live: newest frame wins; all: every frame")
    limits("--start", metavar="S", default=0.0, type=_seconds, help="leave out the first S seconds of a clip")
    limits("--loop", action="store_true", help="show a clip again and again, without its sound")
    limits("--frames", metavar="N", type=_count, help="stop after N frames")
    limits("--seconds", metavar="S", type=_positive, help="stop after S seconds")
    limits("--max-cpu", metavar="PERCENT", type=_percent, help="take no more of the processor, 5 to 100: beside a game")
    add("--stats", metavar="FILE", type=Path, help="write a JSON file with counts and times at the end")
    add("--trace", metavar="FILE", type=Path, help="write what each stage did when, for chrome://tracing or Perfetto")
    keeps("--profile", metavar="NAME|FILE", type=_words, help="settings from a TOML file; other words win over it")
    keeps("--save-profile", metavar="NAME|FILE", type=_words, help="write these settings to a profile, and end")
    keeps("--calibrate", action="store_true", help="measure your eyes for --profile (default name: me); takes 20 s")
    keeps("--remote", metavar="PORT", type=_port, help="remote control by programs of this machine: docs/remote.md")
    add(
        "--gallery", metavar="PICTURE", type=Path, help="draw a picture in every style, on one sheet (--sink sheet.png)"
    )
    add("--list", metavar="WHAT", choices=("cameras", "styles", "engines"), help="list cameras, styles or engines")
    add("--json", action="store_true", help="with --list: print JSON")
    add("--doctor", action="store_true", help="say what works on this machine, and the remedy for what does not")
    add("--verbose", action="store_true", help="show the technical detail of an error")
    add("--help", "-h", action="help", help="show this and end")
    return parser


def _words(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("a value is missing")
    return text


def _sink(text: str) -> str:
    """Refuses what no sink can be made of, so that a typing mistake is found before the camera is opened."""
    if text.startswith(STREAMED_TO):
        return _server(text)
    if _is_sink(text):
        return text
    wanted = ", ".join(CLIP_SUFFIXES + PICTURE_SUFFIXES)
    raise UsageError(f"--sink {text} is unknown: expected virtualcam, preview, null, or a file ending in {wanted}.")


def _is_sink(text: str) -> bool:
    named = text in ("preview", "null", "virtualcam") or text.startswith(("virtualcam:", *STREAMED_TO))
    return named or Path(text).suffix.lower() in CLIP_SUFFIXES + PICTURE_SUFFIXES


def _folder(given: argparse.Namespace) -> str:
    """Refuses what cannot be done with a whole folder."""
    if len(given.sink) != 1 or _is_sink(given.sink[0]):
        raise UsageError(f"{given.source} is a folder, so its drawings go to a folder: --sink drawn, and nothing else.")
    if Path(given.sink[0]).exists() and Path(given.sink[0]).samefile(given.source):
        raise UsageError(f"--sink {given.sink[0]} is the source itself; name another folder.")
    if given.stats is not None or given.pace is Pace.LIVE:
        raise UsageError("--stats and --pace live go with one clip, not with a folder.")
    return str(given.sink[0])


def _server(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
        missing = "server" if not parts.hostname else "port" if parts.scheme == "srt" and port is None else ""
    except ValueError:
        missing = "port"
    if missing:
        raise UsageError(
            f"--sink {without_secrets(url)} names no {missing}: expected for example rtmp://server/app/key or "
            "srt://server:9000."
        )
    return url


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number") from None


def _engine(text: str) -> str:
    name, _, precision = text.partition(":")
    if name not in ENGINES or (":" in text and precision not in PRECISIONS):
        wanted = (
            f"{', '.join(ENGINES)}, with a precision if need be ({', '.join(PRECISIONS)}), for example openvino:fp32"
        )
        raise argparse.ArgumentTypeError(f"'{text}' is none of {wanted}")
    return text


def _share(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _expression(text: str) -> float:
    value = _number(text)
    if not 1 <= value <= 1.5:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 1.5")
    return value


def _percent(text: str) -> float:
    value = _number(text)
    if not 5 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text} is not between 5 and 100")
    return value / 100


def _positive(text: str) -> float:
    value = _number(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _seconds(text: str) -> float:
    value = _number(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return value


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or not 1024 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port between 1024 and 65535")
    return int(text)


def _size(text: str) -> Size:
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"'{text}' is not WIDTHxHEIGHT, for example 1280x720")
    size = Size(int(match[1]), int(match[2]))
    if size != size.even or min(size.width, size.height) < 16 or max(size.width, size.height) > 7680:
        raise argparse.ArgumentTypeError(f"{text} must have even sides between 16 and 7680")
    return size


def _pace(text: str) -> Pace:
    try:
        return Pace(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is neither live nor all") from None


def _background(text: str) -> Background:
    kind, _, value = text.partition(":")
    if text in ("style", "blur", "transparent"):
        return Background(text)
    if kind == "color":
        match = re.fullmatch(r"#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})", value)
        if match is None:
            raise argparse.ArgumentTypeError(f"'{value}' is not a colour such as #20a060")
        red, green, blue = (int(match[i], 16) for i in (1, 2, 3))
        return Background("color", color=(red, green, blue))
    if kind == "image":
        if not Path(value).is_file():
            raise argparse.ArgumentTypeError(f"there is no picture at '{value}'")
        return Background("image", image=Path(value))
    raise argparse.ArgumentTypeError(f"'{text}' is not style, blur, color:#rrggbb, image:PATH or transparent")
